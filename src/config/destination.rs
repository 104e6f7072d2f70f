//! `[[destination]]`: receiving systems with a name, and what each of them gets.
//!
//! The carriers are built in (`config/carriers.toml`). What always holds: one of the file replaces the built-in one of the
//! same name key by key, and goes before the built-in ones; no name and no domain is given twice in the file.

use super::TlsPolicy;
use super::delivery::TLS_WORDS;
use super::reader::{Book, Section};
use crate::queue::destination::{Group, Groups, Limits, Pattern, Rate};
use std::collections::BTreeMap;

/// The receiving systems known by name.
const CARRIERS: &str = include_str!("../../config/carriers.toml");

/// `[[destination]]`, the built-in ones among them.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    /// Who belongs where, and what each takes.
    pub groups: Groups,
    /// The TLS policy of those that have one of their own, by name (`tls`).
    pub tls: BTreeMap<String, TlsPolicy>,
}

/// One table as written.
struct Entry {
    name: String,
    domains: Option<Vec<Pattern>>,
    mx: Option<Vec<Pattern>>,
    connections: Option<u16>,
    messages_per_connection: Option<u16>,
    rate: Option<Rate>,
    tls: Option<TlsPolicy>,
}

impl Destinations {
    /// Gives the built-in ones alone.
    #[must_use]
    pub fn shipped() -> Self {
        let book = Book::new(CARRIERS);
        let sections = book.root().map(|mut root| root.sections("destination")).unwrap_or_default();
        let entries: Vec<Entry> = sections.into_iter().filter_map(|mut section| Entry::read(&mut section)).collect();
        Self::of(&entries, &Groups::default())
    }

    pub(super) fn read(sections: Vec<Section<'_>>) -> Self {
        let shipped = Self::shipped().groups;
        let mut entries: Vec<Entry> = Vec::new();
        for mut section in sections {
            if let Some(entry) = Entry::read(&mut section) {
                entry.look(&section, &entries, &shipped);
                entries.push(entry);
            }
        }
        Self::of(&entries, &shipped)
    }

    fn of(entries: &[Entry], shipped: &Groups) -> Self {
        let own: Vec<Group> = entries.iter().map(|entry| entry.over(shipped.named(&entry.name))).collect();
        let rest = shipped.all().iter().filter(|group| !own.iter().any(|other| other.name == group.name));
        let groups = own.iter().chain(rest).cloned().collect();
        let tls = entries.iter().filter_map(|entry| Some((entry.name.clone(), entry.tls?))).collect();
        Self { groups: Groups::new(groups), tls }
    }
}

impl Entry {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let name: Option<String> = section.required("name", "\"docomo\"");
        let most = 1..=u16::MAX;
        let entry = Self {
            name: String::new(),
            domains: section.list("domains"),
            mx: section.list("mx"),
            connections: section.number("connections", most.clone()),
            messages_per_connection: section.number("messages_per_connection", most),
            rate: section.value("rate"),
            tls: section.word("tls", &TLS_WORDS),
        };
        Some(Self { name: name?, ..entry })
    }

    /// Looks whether it goes with the ones before it.
    fn look(&self, section: &Section<'_>, before: &[Self], shipped: &Groups) {
        if self.name.is_empty() || self.name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            section.complain("name", "must be one word", None);
        }
        if before.iter().any(|other| other.name == self.name) {
            section.complain("name", format!("“{}” is named twice", self.name), Some("put both into one".to_owned()));
        }
        if self.domains.is_none() && self.mx.is_none() && shipped.named(&self.name).is_none() {
            let hint = "add domains = [\"example.jp\"], or mx = [\"*.example.jp\"]";
            section.complain("name", format!("“{}” has neither domains nor mx", self.name), Some(hint.to_owned()));
        }
        for domain in self.domains.iter().flatten() {
            if let Some(other) =
                before.iter().find(|other| other.domains.iter().flatten().any(|theirs| theirs == domain))
            {
                section.complain("domains", format!("“{domain}” belongs to “{}” already", other.name), None);
            }
        }
    }

    /// Gives the group that results where this is laid over another of the same name.
    fn over(&self, other: Option<&Group>) -> Group {
        let usual = other.map_or_else(Limits::default, |group| group.limits);
        let limits = Limits {
            connections: self.connections.map_or(usual.connections, usize::from),
            messages_per_connection: self.messages_per_connection.map_or(usual.messages_per_connection, u32::from),
            rate: self.rate.or(usual.rate),
        };
        let patterns = |own: &Option<Vec<Pattern>>, theirs: Option<&Vec<Pattern>>| {
            own.clone().or_else(|| theirs.cloned()).unwrap_or_default()
        };
        Group {
            name: self.name.clone(),
            domains: patterns(&self.domains, other.map(|group| &group.domains)),
            mx: patterns(&self.mx, other.map(|group| &group.mx)),
            limits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Destinations, Vec<String>) {
        let book = Book::new(text);
        let destinations = book.root().map(|mut root| Destinations::read(root.sections("destination"))).unwrap();
        (destinations, book.close(Vec::new).1.iter().map(ToString::to_string).collect())
    }

    fn limits(destinations: &Destinations, domain: &str) -> Option<(String, Limits)> {
        let group = destinations.groups.of_domain(&domain.parse().unwrap())?;
        Some((group.name.clone(), group.limits))
    }

    #[test]
    fn the_carriers_are_built_in() {
        let shipped = Destinations::shipped();
        let names: Vec<&str> = shipped.groups.all().iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["docomo", "au", "softbank", "yahoo-japan", "gmail", "outlook", "icloud"]);
        for (domain, name) in [
            ("docomo.ne.jp", "docomo"),
            ("ezweb.ne.jp", "au"),
            ("t.biz.ezweb.ne.jp", "au"),
            ("uqmobile.jp", "au"),
            ("i.softbank.jp", "softbank"),
            ("d.vodafone.ne.jp", "softbank"),
            ("dk.pdx.ne.jp", "softbank"),
            ("yahoo.co.jp", "yahoo-japan"),
            ("gmail.com", "gmail"),
            ("hotmail.co.jp", "outlook"),
            ("me.com", "icloud"),
        ] {
            assert_eq!(limits(&shipped, domain).map(|(name, _)| name).as_deref(), Some(name), "{domain}");
        }
        assert_eq!(limits(&shipped, "company.example"), None);
        let company = "company.example".parse().unwrap();
        let hosted = shipped.groups.find(&company, &["aspmx.l.google.com".parse().unwrap()]);
        assert_eq!(hosted.map(|group| group.name.as_str()), Some("gmail"));
    }

    #[test]
    fn one_of_the_file_replaces_what_it_names_of_the_built_in_one() {
        let (read, wrong) = read(
            "[[destination]]\nname = \"docomo\"\nconnections = 3\nrate = \"5/s\"\ntls = \"require\"\n\
             [[destination]]\nname = \"branch\"\ndomains = [\"gmail.com\"]",
        );
        assert_eq!(wrong, [""; 0]);
        let (name, docomo) = limits(&read, "docomo.ne.jp").unwrap();
        assert_eq!((name.as_str(), docomo.connections, docomo.messages_per_connection), ("docomo", 3, 90));
        assert_eq!(docomo.rate, "5/s".parse().ok());
        assert_eq!(read.tls.get("docomo"), Some(&TlsPolicy::Require));
        assert_eq!(limits(&read, "gmail.com"), Some(("branch".to_owned(), Limits::default())));
        assert_eq!(limits(&read, "googlemail.com").map(|(name, _)| name).as_deref(), Some("gmail"));
    }

    #[test]
    fn what_cannot_be_meant_is_complained_about_with_its_key() {
        let (_, wrong) = read(
            "[[destination]]\nname = \"mine\"\n\
             [[destination]]\nname = \"a\"\ndomains = [\"x.example\"]\nconnections = 0\n\
             [[destination]]\nname = \"a\"\ndomains = [\"x.example\"]\nrate = \"fast\"\n\
             [[destination]]\nname = \"two words\"\nmx = [\"*\"]",
        );
        for (count, needle) in [
            (1, "destination[1].name: “mine” has neither"),
            (1, "destination[2].connections"),
            (1, "destination[3].name: “a” is named twice"),
            (1, "destination[3].domains: “x.example” belongs to “a” already"),
            (1, "destination[3].rate: “fast” is no rate"),
            (1, "destination[4].name: must be one word"),
            (1, "destination[4].mx"),
        ] {
            assert_eq!(wrong.iter().filter(|line| line.contains(needle)).count(), count, "{needle}: {wrong:#?}");
        }
    }
}
