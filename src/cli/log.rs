//! `log`: the mail log.

use super::ask::{ask, unexpected};
use super::failure::Failure;
use super::print::{Out, moment};
use crate::control::{EventFacts, Request, Response};
use crate::maillog;
use crate::model::Timestamp;
use crate::store::Event;
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  karamail log -f                     what is happening now
  karamail log -n 20
  karamail log --json | jq 'select(.event == \"refused\")'";

/// How many lines are shown before following, as `tail -f` does.
const TAIL: u32 = 10;

/// Shows the mail log: one event a line
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Log {
    /// Goes on with what comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines [default: all, with -f 10]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    lines: Option<u32>,
    /// Prints one JSON object a line
    #[arg(long)]
    json: bool,
}

impl Log {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        let lines = self.lines.or(self.follow.then_some(TAIL));
        let lines = lines.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX));
        ask(config, &Request::Log { lines, follow: self.follow }, |answer| {
            let Response::Events(events) = answer else { return Err(unexpected()) };
            for event in events {
                out.line(&line(event, self.json))?;
            }
            Ok(out.flush()?)
        })
    }
}

/// Writes an event as the journal has it; for people with the moment before it.
pub(super) fn line(facts: EventFacts, json: bool) -> String {
    if json {
        // The same keys in the same order as the journal's JSON.
        return serde_json::to_string(&facts).unwrap_or_default();
    }
    let at = moment(&facts.at);
    let event = Event {
        at: Timestamp::default(),
        name: facts.event.into(),
        mail: None,
        job: None,
        address: None,
        fields: facts.fields,
        ordered: None,
    };
    format!("{at} {}", maillog::line(&event, maillog::Format::Text))
}
