//! Receiving systems: which recipient domains share one, and what each takes.
//!
//! Knows nothing of DNS: whoever looked a domain's servers up hands them in. What always holds: a domain belongs to one
//! group at most; a group that names the domain goes before one that names its servers, and among those the first that fits.

use crate::model::{Domain, Span, SpanError};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// How many mails in how long: `50/s`, `600/m`, `3/10s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    messages: u32,
    period: Span,
}

/// The text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not of the form number, slash, period.
    #[error("“{0}” is no rate: write how many mails in how long, such as \"50/s\", \"600/m\" or \"3/10s\"")]
    Form(String),
    /// The period is wrong.
    #[error(transparent)]
    Period(#[from] SpanError),
}

impl Rate {
    /// The fastest rate that can be named: one mail each microsecond would be none at all.
    const FASTEST: i64 = 100_000;

    /// Makes a rate of `messages` in `period`; nothing where either is zero, or it is faster than 100,000 a second.
    #[must_use]
    pub fn new(messages: u32, period: Span) -> Option<Self> {
        let per_second = i64::from(messages).checked_mul(1_000)?.checked_div(period.millis())?;
        (messages > 0 && per_second <= Self::FASTEST).then_some(Self { messages, period })
    }

    /// Gives the time from one mail to the next, in microseconds, rounded up.
    #[must_use]
    pub fn spacing_micros(self) -> i64 {
        let (micros, messages) = (self.period.millis().saturating_mul(1_000), i64::from(self.messages));
        micros / messages + i64::from(micros % messages > 0)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let form = || RateError::Form(text.to_owned());
        let (messages, period) = text.split_once('/').ok_or_else(form)?;
        let messages = messages.trim().parse().ok().ok_or_else(form)?;
        let period = period.trim();
        // "50/s" means 50 in one second.
        let period = if period.starts_with(|c: char| c.is_ascii_digit()) {
            period.parse()?
        } else {
            format!("1{period}").parse()?
        };
        Self::new(messages, period).ok_or_else(form)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = self.period.to_string();
        // One second, minute or hour is read without its number.
        let unit = period.strip_prefix('1').filter(|unit| !unit.starts_with(|c: char| c.is_ascii_digit()));
        write!(out, "{}/{}", self.messages, unit.unwrap_or(&period))
    }
}

/// What a receiving system takes, over all classes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; at least one.
    pub connections: usize,
    /// Mails on one connection; at least one.
    pub messages_per_connection: u32,
    /// Mails in a time; nothing: as many as the connections carry.
    pub rate: Option<Rate>,
}

impl Default for Limits {
    /// What a system gets that nobody named: 10 connections as KumoMTA does, and no more mails on one than docomo takes
    /// (100 recipients a session; with the 101st the whole session is lost).
    fn default() -> Self {
        Self { connections: 10, messages_per_connection: 100, rate: None }
    }
}

/// A name, or all names below one: `docomo.ne.jp`, `*.docomo.ne.jp`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    name: Domain,
    below: bool,
}

impl Pattern {
    /// Says whether a name fits.
    #[must_use]
    pub fn fits(&self, name: &Domain) -> bool {
        if self.below { *name != self.name && name.is_within(&self.name) } else { *name == self.name }
    }
}

impl FromStr for Pattern {
    type Err = <Domain as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("*.") {
            Some(name) => Ok(Self { name: name.parse()?, below: true }),
            None => Ok(Self { name: text.parse()?, below: false }),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", if self.below { "*." } else { "" }, self.name)
    }
}

/// A receiving system with a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What operators call it.
    pub name: String,
    /// The recipient domains that belong to it.
    pub domains: Vec<Pattern>,
    /// The servers that belong to it, and with them every domain whose mail they take.
    pub mx: Vec<Pattern>,
    /// What it takes.
    pub limits: Limits,
}

/// What a receiving system is called: by its group, by the server that takes its mail, or by its domain. Clones share the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Takes a name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Gives it as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// All named receiving systems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(Vec<Group>);

impl Groups {
    /// Takes the groups, the first ones before later ones.
    #[must_use]
    pub const fn new(groups: Vec<Group>) -> Self {
        Self(groups)
    }

    /// Finds the group that names a recipient domain.
    #[must_use]
    pub fn of_domain(&self, domain: &Domain) -> Option<&Group> {
        self.0.iter().find(|group| group.domains.iter().any(|pattern| pattern.fits(domain)))
    }

    /// Finds the group of a recipient domain whose servers are known, the most preferred first.
    #[must_use]
    pub fn find(&self, domain: &Domain, servers: &[Domain]) -> Option<&Group> {
        let by_server = || {
            let first = servers.first()?;
            self.0.iter().find(|group| group.mx.iter().any(|pattern| pattern.fits(first)))
        };
        self.of_domain(domain).or_else(by_server)
    }

    /// Gives all of them.
    #[must_use]
    pub fn all(&self) -> &[Group] {
        &self.0
    }

    /// Finds a group by its name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Group> {
        self.0.iter().find(|group| group.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        text.parse().unwrap()
    }

    fn group(name: &str, domains: &[&str], mx: &[&str]) -> Group {
        let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Group { name: name.to_owned(), domains: patterns(domains), mx: patterns(mx), limits: Limits::default() }
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, micros, shown) in [
            ("50/s", 20_000, "50/s"),
            ("600/1m", 100_000, "600/m"),
            ("3 / 10s", 3_333_334, "3/10s"),
            ("1/1h", 3_600_000_000, "1/h"),
            ("2/11s", 5_500_000, "2/11s"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.spacing_micros(), rate.to_string().as_str()), (micros, shown), "{text}");
        }
        for wrong in ["", "50", "0/s", "x/s", "5/", "5/x", "-1/s", "5/0s", "200000/s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_star_stands_for_names_below_and_not_for_the_name_itself() {
        let below: Pattern = "*.ezweb.ne.jp".parse().unwrap();
        assert!(below.fits(&domain("t.biz.ezweb.ne.jp")));
        assert!(!below.fits(&domain("ezweb.ne.jp")) && !below.fits(&domain("xezweb.ne.jp")));
        assert!("ezweb.ne.jp".parse::<Pattern>().unwrap().fits(&domain("EZWEB.ne.jp")));
        assert!("*".parse::<Pattern>().is_err());
    }

    #[test]
    fn a_domain_by_name_goes_before_its_servers_and_only_the_most_preferred_server_counts() {
        let groups = Groups::new(vec![
            group("hoster", &[], &["*.hoster.example"]),
            group("carrier", &["carrier.example"], &["mx.carrier.example"]),
        ]);
        let name = |of: &str, servers: &[&str]| {
            let servers: Vec<Domain> = servers.iter().map(|server| domain(server)).collect();
            groups.find(&domain(of), &servers).map(|group| group.name.as_str())
        };
        assert_eq!(name("carrier.example", &["a.hoster.example"]), Some("carrier"));
        assert_eq!(name("company.example", &["a.hoster.example", "mx.carrier.example"]), Some("hoster"));
        assert_eq!(name("company.example", &["mx.carrier.example", "a.hoster.example"]), Some("carrier"));
        assert_eq!(name("company.example", &["mx.company.example", "a.hoster.example"]), None);
        assert_eq!(name("company.example", &[]), None);
        assert_eq!(groups.named("carrier").map(|group| group.mx.len()), Some(1));
    }
}
