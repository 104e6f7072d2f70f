//! `[smtp]` and `[registration]`: how mail comes in, and which of it is an empty mail.

use super::reader::Section;
use super::tls::TlsFiles;
use super::value::{Listen, Size};
use crate::model::{Budget, EmailAddress, Span};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// `[smtp]`.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Where connections are taken (`listen`); never empty.
    pub listen: Vec<SocketAddr>,
    /// What is shown to those who say STARTTLS (`tls_cert`, `tls_key`); nothing: it is not offered.
    pub tls: Option<TlsFiles>,
    /// The largest message taken (`max_message`).
    pub max_message: Size,
    /// Who gets what is sent to `postmaster@` and `abuse@` (`operator`); nobody: it is kept.
    pub operator: Option<EmailAddress>,
}

/// The least and the most that `max_message` may be: phones sign even empty mails; a message is held in memory.
const MESSAGE: [Size; 2] = [Size::from_bytes(64 << 10), Size::from_bytes(64 << 20)];

impl Smtp {
    /// The largest message taken unless the file says otherwise.
    pub const MAX_MESSAGE: Size = Size::from_bytes(1 << 20);

    pub(super) fn read(mut section: Section<'_>, data_dir: &Path) -> Self {
        let max_message = section.value("max_message").unwrap_or(Self::MAX_MESSAGE);
        let [least, most] = MESSAGE;
        if !(least..=most).contains(&max_message) {
            section.complain("max_message", format!("must be between {least} and {most}, not {max_message}"), None);
        }
        let smtp = Self {
            listen: listen(&mut section, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 25))),
            tls: TlsFiles::read(&mut section, data_dir),
            max_message,
            operator: section.value("operator"),
        };
        section.not_yet("proxy_protocol_from", "let peers connect directly; remove it");
        smtp
    }
}

/// Reads where to listen; an empty list would leave the door shut, which nobody wants of a daemon.
pub(super) fn listen(section: &mut Section<'_>, usual: SocketAddr) -> Vec<SocketAddr> {
    let given = section.has("listen");
    match section.list::<Listen>("listen") {
        Some(list) if !list.is_empty() => list.into_iter().map(|Listen(address)| address).collect(),
        Some(_) if given && !section.complained("listen") => {
            section.complain("listen", "is empty", Some(format!("for example listen = [\"{usual}\"]")));
            Vec::new()
        }
        Some(_) | None => vec![usual],
    }
}

/// `[registration]`.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The addresses that empty mails are sent to (`addresses`), without `+CODE`; never empty.
    pub addresses: Vec<EmailAddress>,
    /// How long a link lives (`link_lifetime`).
    pub link_lifetime: Span,
    /// How many answers one address gets (`reply_limit`).
    pub reply_limit: Budget,
    /// How many answers the addresses of one domain get together (`reply_limit_domain`).
    pub reply_limit_domain: Budget,
    /// How many answers the peers of one network get together (`reply_limit_network`).
    pub reply_limit_network: Budget,
}

/// The least and the most that `link_lifetime` may be, in seconds: a minute to a month.
const LIFETIME: [Span; 2] = [Span::from_secs(60), Span::from_secs(31 * 86_400)];

impl Registration {
    /// How long a link lives unless the file says otherwise.
    pub const LINK_LIFETIME: Span = Span::from_secs(86_400);

    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let addresses: Option<Vec<EmailAddress>> = section.required_list("addresses", "[\"bizanpi@example.jp\"]");
        let link_lifetime = section.value("link_lifetime").unwrap_or(Self::LINK_LIFETIME);
        let [least, most] = LIFETIME;
        if !(least..=most).contains(&link_lifetime) {
            section.complain("link_lifetime", format!("must be between {least} and {most}, not {link_lifetime}"), None);
        }
        authentication(&mut section);
        let mut limit = |key, usual| section.value(key).unwrap_or(usual);
        let reply_limit = limit("reply_limit", Budget::new(3, Span::from_secs(3_600)));
        // High: on the day it matters one carrier's gateways bring thousands within minutes (requirements, chapter 2).
        let reply_limit_domain = limit("reply_limit_domain", Budget::new(6_000, Span::from_secs(60)));
        let reply_limit_network = limit("reply_limit_network", Budget::new(6_000, Span::from_secs(60)));
        let addresses = addresses?;
        let fitting = addresses.iter().filter(|address| fits(&section, address)).count();
        if addresses.is_empty() && !section.complained("addresses") {
            section.complain("addresses", "is empty", Some("nobody could register".to_owned()));
        }
        (fitting > 0).then_some(Self { addresses, link_lifetime, reply_limit, reply_limit_domain, reply_limit_network })
    }
}

/// Refuses what looks like an address but cannot serve as this one.
fn fits(section: &Section<'_>, address: &EmailAddress) -> bool {
    let wrong = if address.needs_smtputf8() {
        "has letters that phones cannot write to"
    } else if address.local().contains('+') {
        "has a +, which parts the address from an organisation's code"
    } else if !address.has_regular_dots() || address.to_wire().starts_with('"') {
        "can only be written in quotes"
    } else if ["postmaster", "abuse"].contains(&address.local().to_ascii_lowercase().as_str()) {
        "is read by the operator"
    } else {
        return true;
    };
    section.complain("addresses", format!("“{address}” {wrong}"), Some("choose another address".to_owned()));
    false
}

fn authentication(section: &mut Section<'_>) {
    match section.value::<String>("authentication").as_deref() {
        None | Some("off") => {}
        Some(word @ ("require" | "prefer")) => {
            let hint = "senders are not authenticated until then: write authentication = \"off\"";
            section.complain("authentication", format!("this version cannot “{word}” yet"), Some(hint.to_owned()));
        }
        Some(other) => section.complain("authentication", format!("“{other}” is not one of \"off\""), None),
    }
}
