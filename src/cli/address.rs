//! `address`: what is known of a mail address.

use super::ask::{ask, ask_one, unexpected};
use super::failure::Failure;
use super::org::Form;
use super::print::{Out, moment};
use crate::control::{AddressFacts, PlaceFacts, Request, Response};
use crate::model::EmailAddress;
use clap::Subcommand;
use std::path::PathBuf;

/// What is known of a mail address
#[derive(Debug, Subcommand)]
pub(super) enum Address {
    /// Shows what is known of an address, and whose it is
    #[command(after_help = "Example:\n  karamail address show hanako@docomo.ne.jp --json | jq .state")]
    Show {
        /// The address
        address: EmailAddress,
        #[command(flatten)]
        form: Form,
    },
    /// Lists the addresses that are not written to any more, and why
    #[command(after_help = "Example:\n  karamail address suppressions --json | jq -r '.[].address'")]
    Suppressions {
        #[command(flatten)]
        form: Form,
    },
    /// Forgets what refusals said of an address: it is written to again
    #[command(after_help = "Example:\n  karamail address clear hanako@docomo.ne.jp")]
    Clear {
        /// The address
        address: EmailAddress,
        #[command(flatten)]
        form: Form,
    },
}

impl Address {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        let (request, form) = match self {
            Self::Show { address, form } => (Request::ShowAddress { address }, form),
            Self::Clear { address, form } => (Request::ClearAddress { address }, form),
            Self::Suppressions { form } => return suppressions(config, form, out),
        };
        match ask_one(config, &request)? {
            Response::Address(address) if form.json => Ok(out.json(&address)?),
            Response::Address(address) => Ok(show(out, address)?),
            _ => Err(unexpected()),
        }
    }
}

fn suppressions(config: Option<PathBuf>, form: Form, out: &mut Out) -> Result<(), Failure> {
    let mut all = Vec::new();
    ask(config, &Request::Suppressions, |answer| {
        let Response::Addresses(mut page) = answer else { return Err(unexpected()) };
        all.append(&mut page);
        Ok(())
    })?;
    if form.json {
        return Ok(out.json(&all)?);
    }
    let row = |known: AddressFacts| {
        let since = known.at.as_deref().map(moment).unwrap_or_default();
        [known.address.to_string(), since, known.reply.or(known.verdict).unwrap_or_default()]
    };
    let rows = all.into_iter().map(row).collect();
    Ok(out.table(["ADDRESS", "SINCE", "LAST REPLY"], rows, "every address is written to")?)
}

fn show(out: &mut Out, known: AddressFacts) -> std::io::Result<()> {
    let place = |place: &PlaceFacts| format!("{} {} (priority {})", place.org, place.id, place.priority);
    let members: Vec<String> = known.members.iter().map(place).collect();
    out.sheet([
        ("address", Some(known.address.to_string())),
        ("state", Some(known.state)),
        ("verdict", known.verdict),
        ("stage", known.stage),
        ("last reply", known.reply),
        ("since", known.at.as_deref().map(moment)),
        ("verified", known.verified_at.as_deref().map(moment)),
        ("members", Some(if members.is_empty() { "none".to_owned() } else { members.join("\n") })),
    ])
}
