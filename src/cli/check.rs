//! `check`: everything that would keep the daemon from starting, said at once.

mod certificates;

use super::ask::block_on;
use super::failure::Failure;
use super::org::Form;
use super::print::Out;
use super::{owner, place, voice};
use crate::clock::Clock;
use crate::config::{Config, Format, Storage};
use crate::control::{self, AskError, Lock, Request, Response};
use crate::daemon::location;
use crate::keys::Keys;
use crate::store::{Options, Store};
use clap::Args;
use nix::unistd::{AccessFlags, access};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  karamail check
  karamail check -c /etc/karamail/karamail.toml --json

Run it after each change of the settings: it exits 1 while anything is wrong. What only begins to go wrong, such as a
certificate that ends within three weeks, is a warning.";

/// Reads settings, templates, keys, certificates and database, and says everything that is wrong with them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    #[command(flatten)]
    form: Form,
}

/// One thing that is wrong, or going to be.
#[derive(Debug, Serialize)]
struct Problem {
    /// Where to look: the settings' file, a key's, the data folder, the database.
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
    /// What does not keep it from working, or not yet.
    warnings: Vec<Problem>,
}

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Check {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        let file = place::find(config)?;
        let Findings { problems, warnings } = match Config::load(&file) {
            Err(problems) => {
                let problems = problems.iter().map(|problem| of_settings(&file, problem)).collect();
                Findings { problems, ..Findings::default() }
            }
            Ok(config) => {
                owner::become_owner(&config.data_dir)?;
                voice::start(Format::Text, "error");
                look(&config)?
            }
        };
        let verdict = Verdict { config: file, ok: problems.is_empty(), problems, warnings };
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
        for problem in &self.problems {
            out.line(&problem.to_string())?;
        }
        for warning in &self.warnings {
            out.line(&format!("warning: {warning}"))?;
        }
        match self.problems.len() {
            0 => {
                let all = "settings, templates, keys, certificates and database are in order";
                out.line(&format!("{}: {all}", self.config.display()))
            }
            1 => out.line("1 problem"),
            more => out.line(&format!("{more} problems")),
        }
    }
}

/// `PLACE: line 12: smtp.listen: … (hint: …)`.
impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let key = self.key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default();
        let hint = self.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        write!(out, "{}: {line}{key}{}{hint}", self.place, self.problem)
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

fn plain(place: impl ToString, problem: impl ToString) -> Problem {
    Problem { place: place.to_string(), line: None, key: None, problem: problem.to_string(), hint: None }
}

/// Looks at what the settings point to.
fn look(config: &Config) -> Result<Findings, Failure> {
    let mut problems = of_keys(config);
    problems.extend(of_data_dir(&config.data_dir));
    // Without its folder the database cannot be there either, and that has been said.
    if problems.is_empty() {
        problems.extend(block_on(of_storage(config))?);
    }
    let mut findings = Findings { problems, ..Findings::default() };
    certificates::look(config, Clock::system().now(), &mut findings);
    Ok(findings)
}

/// The folder must be ours to write, or to make below one that is.
fn of_data_dir(data_dir: &Path) -> Option<Problem> {
    let there = data_dir.ancestors().find(|folder| folder.exists())?;
    let wanted = AccessFlags::W_OK | AccessFlags::X_OK;
    let cause = if there.is_dir() { access(there, wanted).err()?.to_string() } else { "is no folder".to_owned() };
    let mut problem = plain(there.display(), cause);
    problem.key = Some("data_dir".to_owned());
    problem.hint = Some("run as the user that the daemon runs as, or as root".to_owned());
    Some(problem)
}

/// Keys of a first start are made by it; those that the settings bring along must be there before.
fn of_keys(config: &Config) -> Vec<Problem> {
    let wrong = match Keys::load(&config.data_dir) {
        Err(wrong) => wrong,
        Ok(None) => Keys::before_the_first_start(&config.data_dir, &config.dkim),
        Ok(Some(keys)) if config.dkim.is_empty() => {
            keys.signers(&[], config.sender.address.domain()).err().into_iter().collect()
        }
        Ok(Some(keys)) => config.dkim.iter().filter_map(|entry| keys.signer(entry).err()).collect(),
    };
    wrong.iter().map(|error| plain("keys", error)).collect()
}

/// Asks the daemon whether its database answers, or opens it where none runs.
async fn of_storage(config: &Config) -> Option<Problem> {
    let wrong = match control::ask(&config.data_dir, &Request::Ping).await {
        Ok(mut answers) => match answers.next().await {
            Ok(Some(Response::Refused { why })) => Some(why),
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        },
        Err(AskError::Down) => open(config).await.err(),
        Err(other) => Some(other.to_string()),
    };
    wrong.map(|why| plain("storage", why))
}

/// Opens the database; a file that is not there yet is for the daemon to make, as its own user.
async fn open(config: &Config) -> Result<(), String> {
    if matches!(&config.storage, Storage::Sqlite(file) if !file.exists()) {
        return Ok(());
    }
    let lock = config.data_dir.is_dir().then(|| Lock::take(&config.data_dir)).transpose();
    let lock = lock.map_err(|error| error.to_string())?;
    let store = Store::open(Options::new(location(&config.storage))).await.map_err(|error| error.to_string())?;
    store.close().await;
    drop(lock);
    Ok(())
}
