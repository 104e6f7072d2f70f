//! SPF records (RFC 7208), by what receivers make of them.

use super::Verdict;
use crate::config::Host;
use crate::model::Domain;
use mail_auth::SpfResult;
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::spf::Spf;
use std::net::IpAddr;

/// How many names a receiver looks up for a record (RFC 7208 4.6.4).
const LOOKUPS_MAX: usize = 10;

/// Who sends, and what a receiver would make of each address.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Senders<'a> {
    /// The name that has the record.
    pub(in super::super) name: &'a Domain,
    /// The name in EHLO.
    pub(in super::super) hostname: &'a Domain,
    /// The server that takes all our mail, where there is one: the addresses are its own.
    pub(in super::super) relay: Option<&'a Host>,
    /// What came of each address.
    pub(in super::super) results: &'a [(IpAddr, SpfResult)],
}

/// Says whether a text is an SPF record (RFC 7208 4.5).
pub(in super::super) fn is_spf(text: &str) -> bool {
    text.split(' ').next().is_some_and(|version| version.eq_ignore_ascii_case("v=spf1"))
}

/// Judges the texts at a sender's domain.
pub(in super::super) fn spf(texts: &[String], senders: Senders<'_>) -> Verdict {
    let found: Vec<String> = texts.iter().filter(|text| is_spf(text)).cloned().collect();
    match found.as_slice() {
        [] => Verdict::missing(),
        [record] => judge(record, senders),
        several => {
            let hint =
                format!("there are {} SPF records, and receivers then believe none: make them one", several.len());
            Verdict::wrong(found, hint)
        }
    }
}

fn judge(record: &str, senders: Senders<'_>) -> Verdict {
    let found = vec![record.to_owned()];
    if let Some(fault) = fault(record) {
        return Verdict::wrong(found, fault);
    }
    let of = |wanted: SpfResult| senders.results.iter().find(|(_, result)| *result == wanted);
    if of(SpfResult::PermError).is_some() {
        let hint = format!(
            "receivers give up on it: it makes them look up more than {LOOKUPS_MAX} names, or an include: or redirect= in \
             it leads to no SPF record"
        );
        return Verdict::wrong(found, hint);
    }
    if of(SpfResult::TempError).is_some() {
        return Verdict { found, ..Verdict::unanswered("a name in it cannot be looked up") };
    }
    match (senders.relay, senders.results.iter().find(|(_, result)| *result != SpfResult::Pass)) {
        (None, None) if senders.results.is_empty() => {
            let hint = "no address of ours is known to try it with: name it with --address";
            Verdict { state: super::State::Unclear, found, hint: Some(hint.to_owned()) }
        }
        (None, None) => Verdict::right(found, None),
        (None, Some((address, result))) => {
            let hint = format!("mail from {address} does not pass ({}): {}", word(*result), remedy(record, senders));
            Verdict::wrong(found, hint)
        }
        (Some(relay), None) if !senders.results.is_empty() => {
            let hint =
                format!("it lets {relay} pass; ask whoever runs it whether it delivers from other addresses too");
            Verdict::right(found, Some(hint))
        }
        (Some(relay), _) => {
            let hint = format!("ask whoever runs {relay} whether it names the addresses that it delivers from");
            Verdict { state: super::State::Unclear, found, hint: Some(hint) }
        }
    }
}

/// Says how to let our address pass.
fn remedy(record: &str, senders: Senders<'_>) -> String {
    let host = senders.hostname;
    let own = |term: &str| term == format!("a:{host}") || term == "a" && senders.name == host;
    if record.split_ascii_whitespace().any(|term| own(&term.to_ascii_lowercase())) {
        format!("give {host} that address, which is all it lacks")
    } else {
        format!("put a:{host} before its “all”")
    }
}

/// Says what is wrong with a record whoever sends.
fn fault(record: &str) -> Option<String> {
    let terms = || record.split_ascii_whitespace().skip(1).map(str::to_ascii_lowercase);
    if let Some(term) = terms().find(|term| !is_term(term)) {
        return Some(format!("receivers give up on it, because “{term}” is nothing that SPF knows"));
    }
    if Spf::parse(record.as_bytes()).is_err() {
        return Some("it cannot be read as SPF, so receivers give up on it".to_owned());
    }
    if terms().any(|term| term == "all" || term == "+all") {
        return Some(
            "it lets everybody send in our name (+all), so nobody gives anything for it: end it in ~all".to_owned(),
        );
    }
    let lookups = terms().filter(|term| asks(term)).count();
    (lookups > LOOKUPS_MAX).then(|| {
        format!(
            "it makes receivers look up {lookups} names, and they give up after {LOOKUPS_MAX}: name addresses instead \
             (ip4:)"
        )
    })
}

/// Says whether a term is one that SPF knows; a modifier may have any name (RFC 7208 4.6.1, 6).
fn is_term(term: &str) -> bool {
    let (name, value) = parts(term);
    match name {
        "all" => value.is_empty(),
        "include" | "exists" => value.len() > 1 && value.starts_with(':'),
        "a" | "mx" | "ptr" => value != ":",
        "ip4" => is_network(value, 32, |address| address.is_ipv4()),
        "ip6" => is_network(value, 128, |address| address.is_ipv6()),
        other => {
            let is_name = other.starts_with(|c: char| c.is_ascii_alphabetic())
                && other.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            is_name && value.starts_with('=')
        }
    }
}

/// Takes a term apart: its name without the qualifier, and what stands behind it, the sign in between included.
fn parts(term: &str) -> (&str, &str) {
    let term = term.strip_prefix(['+', '-', '~', '?']).unwrap_or(term);
    term.split_at_checked(term.find([':', '/', '=']).unwrap_or(term.len())).unwrap_or((term, ""))
}

/// Says whether a value is an address of a family, or a network.
fn is_network(value: &str, longest: u8, family: impl Fn(&IpAddr) -> bool) -> bool {
    let Some(value) = value.strip_prefix(':') else { return false };
    let (address, length) = value.split_once('/').map_or((value, None), |(address, length)| (address, Some(length)));
    address.parse().is_ok_and(|address| family(&address))
        && length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= longest))
}

/// Says whether a term makes the receiver look up a name.
fn asks(term: &str) -> bool {
    ["include", "a", "mx", "ptr", "exists", "redirect"].contains(&parts(term).0)
}

const fn word(result: SpfResult) -> &'static str {
    match result {
        SpfResult::Pass => "pass",
        SpfResult::Fail => "fail",
        SpfResult::SoftFail => "softfail",
        SpfResult::Neutral => "neutral",
        SpfResult::TempError => "temperror",
        SpfResult::PermError => "permerror",
        SpfResult::None => "none",
    }
}
