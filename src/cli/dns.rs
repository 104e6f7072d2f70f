//! `dns`: what the DNS has to say about this installation, and whether it does.

mod plan;
mod report;
mod zone;

use super::ask::block_on;
use super::failure::{Failure, complain};
use super::org::Form;
use super::print::Out;
use super::{owner, place, voice};
use crate::clock::Clock;
use crate::config::{Config, Format};
use crate::keys::Keys;
use crate::net::publication::{self, Record, State, Verdict};
use crate::net::resolver::Resolver;
use crate::random::Random;
use clap::Args;
use serde::Serialize;
use std::net::IpAddr;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  karamail dns --address 203.0.113.9                 what to publish, for a zone file
  karamail dns --address 203.0.113.9 --verify        is it there?
  karamail dns --verify --json | jq '.[] | select(.state != \"right\")'

Addresses that delivery.bind or smtp.listen name need no --address. --verify asks
delivery.resolver, which may remember for a while what was there before. Each record is
then right, wrong, missing, unanswered (the name servers could not be asked), or unclear
(only others can say). Exit code 1: something needed is wrong, missing or unanswered.";

/// Prints the DNS records to publish, and looks whether they are there
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Dns {
    /// A public address of this machine; can be given several times
    #[arg(long, value_name = "IP")]
    address: Vec<IpAddr>,
    /// Looks every record up and says what is wrong or missing
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    form: Form,
}

/// One record as `--json` prints it; state and found only where it was looked up.
#[derive(Debug, Serialize)]
struct Line<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: String,
    value: Option<&'a str>,
    needed: bool,
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'a [String]>,
    hint: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(record: &'a Record, verdict: Option<&'a Verdict>) -> Self {
        let settled = verdict.is_some_and(|verdict| verdict.state == State::Right);
        let note = record.note.as_deref().filter(|_| !settled);
        Self {
            name: record.name.as_str(),
            kind: record.kind.to_string(),
            value: record.value.as_deref(),
            needed: record.needed,
            why: &record.why,
            state: verdict.map(|verdict| verdict.state),
            found: verdict.map(|verdict| verdict.found.as_slice()),
            hint: verdict.and_then(|verdict| verdict.hint.as_deref()).or(note),
        }
    }
}

impl Dns {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        let file = place::find(config)?;
        let config = place::load(Some(file.clone()))?;
        owner::become_owner(&config.data_dir)?;
        voice::start(Format::Text, "error");
        let keys = Keys::load(&config.data_dir).map_err(|wrong| {
            wrong.iter().for_each(|error| complain(&error.to_string()));
            Failure::Said
        })?;
        let plan = plan::of(&config, keys.as_ref(), &self.address).map_err(Failure::refused)?;
        if self.verify {
            return self.verify(plan, &config, out);
        }
        let records = publication::records(&plan);
        if self.form.json {
            out.json(&records.iter().map(|record| Line::of(record, None)).collect::<Vec<_>>())?;
        } else {
            zone::print(&records, &plan.hostname, &file, out)?;
        }
        Ok(())
    }

    fn verify(&self, plan: publication::Plan, config: &Config, out: &mut Out) -> Result<(), Failure> {
        let resolver = config.delivery.resolver;
        let found = block_on(async {
            let resolver = Resolver::new(resolver, Clock::system(), Random::system()).map_err(Failure::refused)?;
            Ok::<_, Failure>(publication::verify(plan, &resolver).await)
        })??;
        if self.form.json {
            let lines: Vec<_> = found.iter().map(|(record, verdict)| Line::of(record, Some(verdict))).collect();
            out.json(&lines)?;
        } else {
            report::print(&found, out)?;
        }
        out.flush()?;
        if found.iter().all(|(record, verdict)| is_fine(record, verdict)) { Ok(()) } else { Err(Failure::Said) }
    }
}

/// Says whether nothing has to be done about a record.
fn is_fine(record: &Record, verdict: &Verdict) -> bool {
    !record.needed || matches!(verdict.state, State::Right | State::Unclear)
}
