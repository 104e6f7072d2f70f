//! The records to publish.
//!
//! Knows nothing of name servers. What always holds: a name has one SPF record and one DMARC record, whatever roles it plays;
//! a value that cannot be known from here is left open, and the note says what to put there.

use super::plan::{DkimHalf, Plan, Standing, Way};
use crate::config::Host;
use crate::keys::DkimAlgorithm;
use crate::model::{Domain, EmailAddress};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::net::IpAddr;

/// The type of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// A server that takes mail.
    Mx,
    /// The name of an address.
    Ptr,
    /// Text.
    Txt,
}

impl Kind {
    const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::A,
            IpAddr::V6(_) => Self::Aaaa,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Ptr => "PTR",
            Self::Txt => "TXT",
        })
    }
}

/// One record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub name: Domain,
    /// Its type.
    pub kind: Kind,
    /// Its content, a text as one without quotes; nothing where it cannot be known from here.
    pub value: Option<String>,
    /// How long others may remember it, in seconds.
    pub ttl: u32,
    /// Whether mail suffers without it.
    pub needed: bool,
    /// What it is for, and who wants it.
    pub why: String,
    /// What else whoever publishes it should know.
    pub note: Option<String>,
    /// What it has to do for us.
    pub(super) purpose: Purpose,
}

/// What a record has to do for us, with what it takes to judge that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Leads a domain's mail to this host.
    Mail(Domain),
    /// Gives our name this address.
    Address { expected: Option<IpAddr>, assumed: bool },
    /// Gives this address this name, our own.
    Name { address: IpAddr, host: Domain },
    /// Makes the sender's domain one that can be answered.
    Answer,
    /// Lets what we send pass, in the name of this sender.
    Spf { sender: String, hostname: Domain, way: Way, addresses: Vec<IpAddr> },
    /// Shows a key.
    Dkim(DkimHalf),
    /// Says what becomes of mail that only claims to be ours.
    Dmarc { from: Domain, bounce: Domain, signing: Vec<Domain> },
    /// Leads browsers, or whoever fetches a policy, to a server.
    Site,
    /// Announces a policy about the servers of a domain.
    Sts,
    /// Says who wants to hear about failures of TLS.
    TlsReports,
}

/// Lists the records to publish.
#[must_use]
pub fn records(plan: &Plan) -> Vec<Record> {
    let mut all = plan.mail();
    all.extend(plan.hosts());
    all.extend(plan.names());
    all.extend(plan.answerable());
    all.extend(plan.spf());
    all.extend(plan.dkim.iter().filter_map(key));
    all.extend(plan.dmarc());
    all.extend(plan.sites());
    for domain in plan.receiving() {
        all.extend(plan.transport(&domain));
    }
    all
}

impl Plan {
    /// Lists the domains that take mail, each once.
    fn receiving(&self) -> Vec<Domain> {
        let all = self.registration.iter().map(EmailAddress::domain).chain([&self.bounce]);
        all.fold(Vec::new(), |mut seen, domain| {
            if !seen.contains(domain) {
                seen.push(domain.clone());
            }
            seen
        })
    }

    fn mail(&self) -> Vec<Record> {
        let record = |name: Domain| {
            let own: Vec<String> =
                self.registration.iter().filter(|own| *own.domain() == name).map(ToString::to_string).collect();
            let mut why = Vec::new();
            if !own.is_empty() {
                why.push(format!("Empty mails to {} come here.", own.join(", ")));
            }
            if name == self.bounce {
                why.push("Bounces come here: they tell which addresses are gone. Carriers refuse return addresses of a domain without it.".to_owned());
            }
            let note =
                "As the only MX: other servers beside it would take our mail and not know whose it is.".to_owned();
            let purpose = Purpose::Mail(self.hostname.clone());
            Record::needed(name, Kind::Mx, Some(format!("10 {}", self.hostname)), why.join(" "), purpose).noted(note)
        };
        self.receiving().into_iter().map(record).collect()
    }

    fn hosts(&self) -> Vec<Record> {
        let why = "The server that the MX records name, and the name we send by; never an alias (CNAME).";
        let record = |expected: Option<IpAddr>, kind| {
            let purpose = Purpose::Address { expected, assumed: self.assumed };
            let value = expected.map(|address| address.to_string());
            Record::needed(self.hostname.clone(), kind, value, why.to_owned(), purpose)
        };
        if self.addresses.is_empty() {
            let note = "Put this machine's public address here, or name it: karamail dns --address 203.0.113.9. Its reverse \
                        zone then has to say the name (PTR), which whoever the address comes from sets up.";
            return vec![record(None, Kind::A).noted(note.to_owned())];
        }
        let mut all: Vec<Record> =
            self.addresses.iter().map(|address| record(Some(*address), Kind::of(*address))).collect();
        if let Some(last) = all.last_mut().filter(|_| !self.addresses.iter().any(IpAddr::is_ipv6)) {
            last.note = Some(
                "If this machine also sends by IPv6, that address needs the same records: name it with --address."
                    .to_owned(),
            );
        }
        all
    }

    fn names(&self) -> Vec<Record> {
        let record = |address: &IpAddr| {
            let name = reverse_name(*address)?;
            let (host, value) = (self.hostname.clone(), Some(self.hostname.to_string()));
            let why = "Gmail and the carriers distrust a sender whose address has no name, or another than it says.";
            let note =
                "Whoever the address comes from publishes it, often in the settings of the server they rent out.";
            let purpose = Purpose::Name { address: *address, host };
            let record = Record::needed(name, Kind::Ptr, value, why.to_owned(), purpose).noted(note.to_owned());
            Some(if self.way == Way::Direct { record } else { record.advised() })
        };
        self.senders.iter().filter_map(record).collect()
    }

    /// The sender's domain has an MX or an address, or gets one.
    fn answerable(&self) -> Option<Record> {
        let domain = self.from.domain();
        let has_one = self.receiving().contains(domain) || *domain == self.hostname || self.pages.contains(domain);
        if has_one {
            return None;
        }
        let why = "The domain in From: docomo refuses mail whose sender's domain has neither MX nor A.";
        let note = "Leave this one out where the domain has an MX or an address already: any will do. It must not say \
                    that it takes no mail (null MX).";
        let value = Some(format!("10 {}", self.hostname));
        let record = Record::needed(domain.clone(), Kind::Mx, value, why.to_owned(), Purpose::Answer);
        Some(record.noted(note.to_owned()))
    }

    fn spf(&self) -> Vec<Record> {
        let from = self.from.domain();
        let mut all = vec![self.spf_of(from, self.from.to_string())];
        if self.bounce != *from {
            all.push(self.spf_of(&self.bounce, format!("b@{}", self.bounce)));
        }
        let named = self.hostname == *from || self.hostname == self.bounce;
        if self.way == Way::Direct && !named {
            all.push(self.spf_of_host());
        }
        all
    }

    fn spf_of(&self, name: &Domain, sender: String) -> Record {
        let mut why = Vec::new();
        if name == self.from.domain() {
            why.push("SPF of the domain in From, which docomo and SoftBank look at.");
        }
        if *name == self.bounce {
            why.push("SPF of the return addresses, which everybody looks at.");
        }
        let value = match &self.way {
            Way::Direct if self.hostname == *name => "v=spf1 a ~all".to_owned(),
            Way::Direct => format!("v=spf1 a:{} ~all", self.hostname),
            Way::Relay(Host::Name(relay)) => format!("v=spf1 a:{relay} ~all"),
            Way::Relay(Host::Address(address @ IpAddr::V4(_))) => format!("v=spf1 ip4:{address} ~all"),
            Way::Relay(Host::Address(address @ IpAddr::V6(_))) => format!("v=spf1 ip6:{address} ~all"),
        };
        let mut note =
            "A name has one SPF record: where there is one already, put the middle of this one into it, before \
                        its “all”."
                .to_owned();
        if let Way::Relay(relay) = &self.way {
            note.push_str(&format!(
                " {relay} delivers our mail: whoever runs it says what to put here, often an include:. What stands here \
                 is right only where it delivers from the address it takes mail at."
            ));
        }
        Record::needed(name.clone(), Kind::Txt, Some(value), why.join(" "), self.spf_purpose(sender)).noted(note)
    }

    fn spf_of_host(&self) -> Record {
        let why = "SPF of the name in EHLO (RFC 7208 2.3); only we send by it.";
        let purpose = self.spf_purpose(format!("postmaster@{}", self.hostname));
        Record::needed(self.hostname.clone(), Kind::Txt, Some("v=spf1 a -all".to_owned()), why.to_owned(), purpose)
            .advised()
    }

    fn spf_purpose(&self, sender: String) -> Purpose {
        let (hostname, way) = (self.hostname.clone(), self.way.clone());
        Purpose::Spf { sender, hostname, way, addresses: self.senders.clone() }
    }

    fn dmarc(&self) -> Option<Record> {
        let from = self.from.domain();
        let signing = self.dkim.iter().filter(|half| half.standing == Standing::Signs);
        let purpose = Purpose::Dmarc {
            from: from.clone(),
            bounce: self.bounce.clone(),
            signing: signing.map(|half| half.domain.clone()).collect(),
        };
        let why = "DMARC: without it docomo warns its users of our links; Gmail and Outlook want it too.";
        let note = "Reports come to postmaster@ of the return addresses, which is ours. When they are clean for some \
                    weeks, change none to quarantine: then nobody else can write in our name.";
        let value = format!("v=DMARC1; p=none; rua=mailto:postmaster@{}", self.bounce);
        let name = format!("_dmarc.{from}").parse().ok()?;
        Some(Record::needed(name, Kind::Txt, Some(value), why.to_owned(), purpose).noted(note.to_owned()))
    }

    fn sites(&self) -> Vec<Record> {
        let why = "The pages: without it no link opens.";
        let pages = self.pages.iter().filter(|page| **page != self.hostname);
        pages.flat_map(|page| self.site(page, why)).collect()
    }

    /// A web server, as far as it is known where it runs.
    fn site(&self, name: &Domain, why: &str) -> Vec<Record> {
        let note = "If the web server is another machine's, put that address here, or a CNAME; leave it out where it is \
                    there already.";
        let record = |address: Option<IpAddr>| {
            let (kind, value) = (address.map_or(Kind::A, Kind::of), address.map(|address| address.to_string()));
            let record = Record::needed(name.clone(), kind, value, why.to_owned(), Purpose::Site);
            Record { ttl: SITE_TTL, ..record }.noted(note.to_owned())
        };
        if self.addresses.is_empty() {
            return vec![record(None)];
        }
        self.addresses.iter().map(|address| record(Some(*address))).collect()
    }

    /// What senders are told about TLS to the servers of a domain.
    fn transport(&self, domain: &Domain) -> Vec<Record> {
        let policy = self.policy();
        let id = HEXLOWER.encode(Sha256::digest(policy.join("\n")).get(..8).unwrap_or_default());
        let host: Option<Domain> = format!("mta-sts.{domain}").parse().ok();
        let mut all = Vec::new();
        if let (Ok(name), Some(host)) = (format!("_mta-sts.{domain}").parse(), host) {
            let note = format!(
                "https://{host}/.well-known/mta-sts.txt has to show, as text/plain and with a certificate for {host}:\n{}\n\
                 Go from testing to enforce only when mail comes in with STARTTLS and the TLS reports are clean; give it \
                 a new id then.",
                policy.join("\n")
            );
            let why = "MTA-STS: tells senders to insist on TLS to our server.".to_owned();
            let value = Some(format!("v=STSv1; id={id}"));
            all.push(Record::needed(name, Kind::Txt, value, why, Purpose::Sts).advised().noted(note));
            if !self.pages.contains(&host) && host != self.hostname {
                let site = self.site(&host, "The web server that shows the MTA-STS policy.");
                all.extend(site.into_iter().map(Record::advised));
            }
        }
        if let Ok(name) = format!("_smtp._tls.{domain}").parse() {
            let why = "TLS-RPT: senders report where TLS to our server fails.".to_owned();
            let value = Some(format!("v=TLSRPTv1; rua=mailto:postmaster@{domain}"));
            all.push(Record::needed(name, Kind::Txt, value, why, Purpose::TlsReports).advised());
        }
        all
    }

    /// The lines of the policy (RFC 8461 3.2).
    fn policy(&self) -> [String; 4] {
        let mx = format!("mx: {}", self.hostname);
        ["version: STSv1".to_owned(), "mode: testing".to_owned(), mx, "max_age: 86400".to_owned()]
    }
}

fn key(half: &DkimHalf) -> Option<Record> {
    let name = format!("{}._domainkey.{}", half.selector, half.domain).parse().ok()?;
    let signs = half.standing == Standing::Signs;
    let mut why = match half.algorithm {
        DkimAlgorithm::Rsa => "The public half of a DKIM key: everybody verifies RSA.".to_owned(),
        DkimAlgorithm::Ed25519 => {
            "The public half of a DKIM key: Ed25519 signs beside RSA, for those who verify it.".to_owned()
        }
    };
    if !signs {
        why.push_str(" The key waits, and signs nothing yet.");
    }
    let note = match (&half.text, signs) {
        (None, _) => Some("The first start of karamail serve makes the key; ask again then.".to_owned()),
        (Some(_), false) => Some(format!("Once it is published everywhere: karamail key use {}", half.selector)),
        (Some(text), true) if text.len() > STRING_MAX => Some(
            "In the form of a provider, write the strings as one, without quotes and without blanks between them."
                .to_owned(),
        ),
        (Some(_), true) => None,
    };
    let record = Record::needed(name, Kind::Txt, half.text.clone(), why, Purpose::Dkim(half.clone()));
    Some(Record { needed: signs, note, ..record })
}

/// How long others remember a record, in seconds.
const TTL: u32 = 3_600;
/// How long they remember where the pages are: on a bad day their name is led to another site (requirement R142).
const SITE_TTL: u32 = 300;
/// The longest string of a text record (RFC 1035 3.3).
const STRING_MAX: usize = 255;

impl Record {
    const fn needed(name: Domain, kind: Kind, value: Option<String>, why: String, purpose: Purpose) -> Self {
        Self { name, kind, value, ttl: TTL, needed: true, why, note: None, purpose }
    }

    fn advised(self) -> Self {
        Self { needed: false, ..self }
    }

    fn noted(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }
}

/// Gives the name under which the name of an address is published (RFC 1035 3.5, RFC 3596 2.5).
pub(super) fn reverse_name(address: IpAddr) -> Option<Domain> {
    let name = match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let nibbles = format!("{:032x}", u128::from(address));
            let labels: Vec<String> = nibbles.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa", labels.join("."))
        }
    };
    name.parse().ok()
}

#[cfg(test)]
mod tests;
