//! What was found, judged.
//!
//! Knows nothing of name servers: what was found comes in as values, and what could not be looked up does not come in at all.
//! What always holds: a record counts for what receivers make of it, not for how it is written; who is told that something is
//! wrong is told what to do.

mod dkim;
mod dmarc;
mod spf;

pub(super) use dkim::dkim;
pub(super) use dmarc::{Author, dmarc};
pub(super) use spf::{Senders, is_spf, spf};

use crate::model::Domain;
use crate::net::sts::id_of;
use serde::Serialize;
use std::net::IpAddr;

/// What a record is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does what it is for.
    Right,
    /// There is something, and it does not.
    Wrong,
    /// There is nothing.
    Missing,
    /// The name servers did not say.
    Unanswered,
    /// There is something, and only others can say whether it is right.
    Unclear,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What it is found to be.
    pub state: State,
    /// What is there.
    pub found: Vec<String>,
    /// What to do, or to know.
    pub hint: Option<String>,
}

impl Verdict {
    pub(super) const fn missing() -> Self {
        Self { state: State::Missing, found: Vec::new(), hint: None }
    }

    pub(super) fn unanswered(why: impl ToString) -> Self {
        Self { state: State::Unanswered, found: Vec::new(), hint: Some(why.to_string()) }
    }

    fn right(found: Vec<String>, hint: Option<String>) -> Self {
        Self { state: State::Right, found, hint }
    }

    fn wrong(found: Vec<String>, hint: impl Into<String>) -> Self {
        Self { state: State::Wrong, found, hint: Some(hint.into()) }
    }
}

/// One server that takes a domain's mail; nobody where the domain says that it takes none (RFC 7505).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    /// The lower, the more it is preferred.
    pub(super) preference: u16,
    /// Its name.
    pub(super) host: String,
}

impl Exchange {
    fn shown(&self) -> String {
        format!("{} {}", self.preference, if self.host.is_empty() { "." } else { &self.host })
    }
}

/// The addresses of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) list: Vec<IpAddr>,
    /// The name that has them, where the one asked for is its alias.
    pub(super) alias_of: Option<Domain>,
}

impl Addresses {
    fn shown(&self) -> Vec<String> {
        let alias = self.alias_of.iter().map(|name| format!("CNAME {name}"));
        alias.chain(self.list.iter().map(ToString::to_string)).collect()
    }
}

/// Judges where a domain's mail goes; it should go to `host`.
pub(super) fn mail(found: &[Exchange], host: &Domain) -> Verdict {
    let shown = found.iter().map(Exchange::shown).collect();
    let others: Vec<&str> =
        found.iter().map(|exchange| exchange.host.as_str()).filter(|name| *name != host.as_str()).collect();
    if found.is_empty() {
        Verdict::missing()
    } else if found.iter().all(|exchange| exchange.host.is_empty()) {
        Verdict::wrong(shown, "the domain says that it takes no mail (null MX): replace it")
    } else if others.len() == found.len() {
        let hint = format!("mail goes elsewhere: it has to go to {host}, unless that server hands it on to us");
        Verdict::wrong(shown, hint)
    } else if others.is_empty() {
        Verdict::right(shown, None)
    } else {
        let hint =
            format!("mail also goes to {}: it is lost there unless that server hands it on to us", others.join(", "));
        Verdict::right(shown, Some(hint))
    }
}

/// Judges the addresses of our own name, all of one family.
pub(super) fn address(found: &Addresses, expected: Option<IpAddr>, assumed: bool) -> Verdict {
    let shown = found.shown();
    if let Some(name) = &found.alias_of {
        let hint = format!(
            "it is an alias of {name}, which the name in an MX must not be (RFC 2181 10.3): give it the address itself"
        );
        return Verdict::wrong(shown, hint);
    }
    if found.list.is_empty() {
        return Verdict::missing();
    }
    let Some(expected) = expected.filter(|expected| found.list.contains(expected)) else {
        return Verdict::wrong(shown, "it leads to another machine");
    };
    let others: Vec<String> =
        found.list.iter().filter(|address| **address != expected).map(ToString::to_string).collect();
    let hint = if assumed {
        Some("whether this is our address only you can say: compare it, or name yours with --address".to_owned())
    } else {
        (!others.is_empty()).then(|| {
            format!("it also leads to {}: name it with --address if it is ours, else remove it", others.join(", "))
        })
    };
    Verdict::right(shown, hint)
}

/// Judges the name of one of our addresses; `forward` are the addresses of `host`.
pub(super) fn name(names: &[String], host: &Domain, address: IpAddr, forward: &[IpAddr]) -> Verdict {
    let found = names.to_vec();
    if names.is_empty() {
        Verdict::missing()
    } else if !names.iter().any(|name| name == host.as_str()) {
        let hint = format!("{address} should have the name that we say in EHLO, {host}");
        Verdict::wrong(found, hint)
    } else if !forward.contains(&address) {
        let hint = format!("{host} does not have the address {address}, so receivers do not believe the name: add it");
        Verdict::wrong(found, hint)
    } else {
        let hint = "it has several names, and receivers look at any of them: leave only ours";
        Verdict::right(found, (names.len() > 1).then(|| hint.to_owned()))
    }
}

/// Judges whether the sender's domain looks as if it could be answered.
pub(super) fn answer(exchanges: &[Exchange], addresses: &Addresses) -> Verdict {
    let mut found: Vec<String> = exchanges.iter().map(|exchange| format!("MX {}", exchange.shown())).collect();
    found.extend(addresses.shown());
    let takes_none = !exchanges.is_empty() && exchanges.iter().all(|exchange| exchange.host.is_empty());
    if takes_none {
        let hint =
            "the domain says that it takes no mail (null MX), so mail from it is refused (RFC 7505 4.2): remove that";
        return Verdict::wrong(found, hint);
    }
    if exchanges.is_empty() && addresses.list.is_empty() { Verdict::missing() } else { Verdict::right(found, None) }
}

/// Judges whether a name leads to any server.
pub(super) fn site(found: &Addresses) -> Verdict {
    if found.list.is_empty() { Verdict::missing() } else { Verdict::right(found.shown(), None) }
}

/// Judges the announcement of a policy about servers (RFC 8461 3.1).
pub(super) fn sts(texts: &[String]) -> Verdict {
    let found: Vec<String> = texts.iter().filter(|text| text.starts_with("v=STSv1")).cloned().collect();
    if found.is_empty() {
        Verdict::missing()
    } else if id_of(texts).is_some() {
        Verdict::right(found, None)
    } else if found.len() > 1 {
        Verdict::wrong(found, "there are several, and then none counts: leave one")
    } else {
        Verdict::wrong(found, "it has no id= of up to 32 letters and digits, so senders pass it over")
    }
}

/// Judges where reports on TLS go (RFC 8460 3).
pub(super) fn tls_reports(texts: &[String]) -> Verdict {
    let found: Vec<String> = texts.iter().filter(|text| text.starts_with("v=TLSRPTv1")).cloned().collect();
    let goes_somewhere = |text: &str| {
        let targets = tag(text, "rua").unwrap_or_default().split(',').map(str::trim);
        targets.into_iter().any(|uri| uri.starts_with("mailto:") || uri.starts_with("https:"))
    };
    match found.as_slice() {
        [] => Verdict::missing(),
        [one] if goes_somewhere(one) => Verdict::right(found, None),
        [_] => Verdict::wrong(found, "it has no rua= with mailto: or https:, so nobody gets the reports"),
        _ => Verdict::wrong(found, "there are several, and then none counts: leave one"),
    }
}

/// Reads `key=value; key=value`, as DKIM and those after it write (RFC 6376 3.2); blanks around do not count.
fn tags(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';').filter_map(|part| part.split_once('=')).map(|(key, value)| (key.trim(), value.trim()))
}

/// Gives the value of one of them.
fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    tags(text).find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
