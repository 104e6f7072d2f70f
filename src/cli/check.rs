//! `check`: everything that would keep the daemon from starting, said at once; and what works and is unwise.

mod certificates;

use super::ask::block_on;
use super::failure::Failure;
use super::org::Form;
use super::print::Out;
use super::{owner, place, voice};
use crate::clock::Clock;
use crate::config::{Config, Format};
use crate::daemon::{self, Fault};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  karamail check
  karamail check -c /etc/karamail/karamail.toml --json | jq '.problems[].problem'

Run it after each change of the settings, beside the running daemon or without one, as root or as the user the daemon
starts as: it exits 1 while anything would keep the daemon from starting or its pages from browsers. What works and is unwise,
or only begins to go wrong, such as a certificate that ends within three weeks, is a warning.";

/// Says everything that would keep the daemon from starting: in settings, templates, keys, certificates, database, ports
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    #[command(flatten)]
    form: Form,
}

/// One thing that is wrong, or unwise.
#[derive(Debug, Serialize)]
struct Problem {
    /// The settings' file, or that it is about certificates.
    place: String,
    line: Option<usize>,
    key: Option<String>,
    problem: String,
    hint: Option<String>,
}

/// What `check --json` prints.
#[derive(Debug, Serialize)]
struct Verdict {
    config: PathBuf,
    ok: bool,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    #[serde(skip)]
    is_new: bool,
}

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Problem>,
    /// What does not keep it from working, or not yet.
    warnings: Vec<Problem>,
    /// Keys and database are still to be made.
    is_new: bool,
}

impl Check {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        let file = place::find(config)?;
        let Findings { problems, warnings, is_new } = match Config::load(&file) {
            Err(problems) => {
                let problems = problems.iter().map(|problem| of_settings(&file, problem)).collect();
                Findings { problems, ..Findings::default() }
            }
            Ok(config) => look(&file, &config)?,
        };
        let verdict = Verdict { config: file, ok: problems.is_empty(), problems, warnings, is_new };
        if self.form.json {
            out.json(&verdict)?;
        } else {
            verdict.print(out)?;
        }
        out.flush()?;
        if verdict.ok { Ok(()) } else { Err(Failure::Said) }
    }
}

impl Verdict {
    fn print(&self, out: &mut Out) -> std::io::Result<()> {
        self.problems.iter().try_for_each(|problem| out.line(&problem.told("")))?;
        self.warnings.iter().try_for_each(|warning| out.line(&warning.told("warning: ")))?;
        let warnings = match self.warnings.len() {
            0 => String::new(),
            1 => "; 1 warning".to_owned(),
            more => format!("; {more} warnings"),
        };
        let problems = match self.problems.len() {
            0 => {
                let (keys, made) = match self.is_new {
                    false => ("keys, certificates, database", ""),
                    true => ("certificates", "; the first start makes keys and database"),
                };
                format!("{}: settings, templates, {keys} and ports are in order{made}", self.config.display())
            }
            1 => "1 problem".to_owned(),
            more => format!("{more} problems"),
        };
        out.line(&format!("{problems}{warnings}"))
    }
}

impl Problem {
    /// `karamail.toml: line 12: smtp.listen: … (hint: …)`.
    fn told(&self, what: &str) -> String {
        let line = self.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let key = self.key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default();
        let hint = self.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        format!("{}: {what}{line}{key}{}{hint}", self.place, self.problem)
    }
}

fn of_settings(file: &Path, problem: &crate::config::Problem) -> Problem {
    Problem {
        place: file.display().to_string(),
        line: problem.line,
        key: (!problem.key.is_empty()).then(|| problem.key.clone()),
        problem: problem.what.clone(),
        hint: problem.hint.clone(),
    }
}

fn of_start(file: &Path, fault: Fault) -> Problem {
    let Fault { key, what, hint } = fault;
    Problem {
        place: file.display().to_string(),
        line: None,
        key: key.map(str::to_owned),
        problem: what,
        hint: hint.map(str::to_owned),
    }
}

/// Looks at what the settings lead to: what is wrong, and what is unwise.
fn look(file: &Path, config: &Config) -> Result<Findings, Failure> {
    voice::start(Format::Text, "off");
    let presence = block_on(daemon::presence(config))?;
    // A start opens its doors while it is still root, too.
    let mut faults = daemon::closed_doors(config, &presence);
    let mut unwise: Vec<Problem> = config.advice.iter().map(|advice| of_settings(file, advice)).collect();
    match owner::become_owner(&config.data_dir) {
        Ok(()) => faults.extend(block_on(daemon::survey(config, &presence))?),
        Err(Failure::Refused(why)) => faults.push(Fault { key: Some("data_dir"), what: why, hint: None }),
        Err(other) => return Err(other),
    }
    unwise.extend(daemon::advice(config, file).into_iter().map(|fault| of_start(file, fault)));
    let problems = faults.into_iter().map(|fault| of_start(file, fault)).collect();
    let mut findings = Findings { problems, warnings: unwise, is_new: daemon::is_new(config) };
    certificates::look(config, Clock::system().now(), &mut findings);
    Ok(findings)
}
