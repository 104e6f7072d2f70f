//! `address`: what is known of a mail address.

use super::ask::{ask_one, unexpected};
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
}

impl Address {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        let Self::Show { address, form } = self;
        match ask_one(config, &Request::ShowAddress { address })? {
            Response::Address(address) if form.json => Ok(out.json(&address)?),
            Response::Address(address) => Ok(show(out, address)?),
            _ => Err(unexpected()),
        }
    }
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
