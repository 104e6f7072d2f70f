//! `trace`: the life of a mail, a job or an address, told as a story.

mod story;

use super::ask::{ask_one, unexpected};
use super::failure::Failure;
use super::org::Form;
use super::print::{Out, moment};
use crate::control::{EventFacts, Request, Response, Subject};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  karamail trace hanako@docomo.ne.jp
  karamail trace j7q --json | jq '.events[].event'

Ids stand in the mail log: id=m… is a mail that came in, job=j… one that goes out.";

/// Tells the life of a mail address, of a mail that came in (m…) or of one that goes out (j…)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Trace {
    /// A mail address, or an id
    #[arg(value_name = "MAIL|ID")]
    of: Subject,
    #[command(flatten)]
    form: Form,
}

impl Trace {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        match ask_one(config, &Request::Trace { of: self.of })? {
            Response::Trace(trace) if self.form.json => Ok(out.json(&trace)?),
            Response::Trace(trace) => {
                let row = |event: EventFacts| [moment(&event.at), story::sentence(&event), event.event];
                let rows = trace.events.into_iter().map(row).map(|[at, what, event]| [at, event, what]).collect();
                Ok(out.table(["WHEN", "EVENT", "WHAT"], rows, "nothing happened yet")?)
            }
            _ => Err(unexpected()),
        }
    }
}
