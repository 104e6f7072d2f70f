//! The receiving systems whose replies do not mean what they mean elsewhere.
//!
//! Knows nothing of limits or speed. What always holds: the server that speaks decides before the address does, since
//! addresses are carried along from carrier to carrier and companies have their mail hosted.

use super::Domain;

/// A receiving system with habits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// NTT docomo.
    Docomo,
    /// KDDI: au, and UQ mobile on the same servers.
    Au,
    /// Yahoo! JAPAN, with the mailboxes it runs for Y!mobile.
    YahooJapan,
    /// Gmail and what Google hosts.
    Gmail,
    /// Outlook.com and what Microsoft hosts.
    Outlook,
    /// iCloud.
    ICloud,
}

/// Where a carrier is recognised: `name` is that name alone, `.name` all below it.
struct Habitat {
    carrier: Carrier,
    /// The domains of addresses.
    domains: &'static [&'static str],
    /// The names of servers.
    servers: &'static [&'static str],
}

const HABITATS: &[Habitat] = &[
    Habitat {
        carrier: Carrier::Docomo,
        domains: &["docomo.ne.jp", "docomo.blackberry.com", "mopera.ne.jp", "mopera.net"],
        servers: &[".docomo.ne.jp"],
    },
    Habitat {
        carrier: Carrier::Au,
        domains: &["ezweb.ne.jp", ".ezweb.ne.jp", "au.com", "biz.au.com", "uqmobile.jp"],
        servers: &[".ezweb.ne.jp", ".au.com"],
    },
    Habitat {
        carrier: Carrier::YahooJapan,
        domains: &["yahoo.co.jp", "ybb.ne.jp", "yahoo.ne.jp"],
        servers: &[".yahoo.co.jp"],
    },
    Habitat {
        carrier: Carrier::Gmail,
        domains: &["gmail.com", "googlemail.com"],
        servers: &[".google.com", ".googlemail.com"],
    },
    Habitat {
        carrier: Carrier::Outlook,
        domains: &["outlook.com", "outlook.jp", "hotmail.com", "hotmail.co.jp", "live.com", "live.jp", "msn.com"],
        servers: &[".outlook.com", ".mx.microsoft"],
    },
    Habitat { carrier: Carrier::ICloud, domains: &["icloud.com", "me.com", "mac.com"], servers: &[".mail.icloud.com"] },
];

impl Carrier {
    /// Says whose replies these are: those of `server`, where its name tells, else those of the recipient's domain.
    #[must_use]
    pub fn of(domain: &Domain, server: Option<&str>) -> Option<Self> {
        let server = server.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        server
            .and_then(|name| find(&name, |habitat| habitat.servers))
            .or_else(|| find(domain.as_str(), |habitat| habitat.domains))
    }
}

fn find(name: &str, patterns: impl Fn(&Habitat) -> &'static [&'static str]) -> Option<Carrier> {
    let fits = |pattern: &str| if pattern.starts_with('.') { name.ends_with(pattern) } else { name == pattern };
    HABITATS.iter().find(|habitat| patterns(habitat).iter().any(|pattern| fits(pattern))).map(|found| found.carrier)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(domain: &str, server: Option<&str>) -> Option<Carrier> {
        Carrier::of(&domain.parse().unwrap(), server)
    }

    #[test]
    fn each_domain_and_each_kind_of_server_is_known() {
        for (carrier, domains, servers) in [
            (Carrier::Docomo, "docomo.ne.jp docomo.blackberry.com mopera.ne.jp mopera.net", "mfsmax.docomo.ne.jp"),
            (
                Carrier::Au,
                "ezweb.ne.jp t9.ezweb.ne.jp a.biz.ezweb.ne.jp au.com biz.au.com uqmobile.jp",
                "lsean.ezweb.ne.jp msmx.au.com",
            ),
            (Carrier::YahooJapan, "yahoo.co.jp ybb.ne.jp yahoo.ne.jp", "mx1.mail.yahoo.co.jp"),
            (Carrier::Gmail, "gmail.com googlemail.com", "gmail-smtp-in.l.google.com aspmx3.googlemail.com"),
            (
                Carrier::Outlook,
                "outlook.com outlook.jp hotmail.com hotmail.co.jp live.com live.jp msn.com",
                "hotmail-com.olc.protection.outlook.com a-b.c-v1.mx.microsoft",
            ),
            (Carrier::ICloud, "icloud.com me.com mac.com", "mx01.mail.icloud.com"),
        ] {
            for domain in domains.split(' ') {
                assert_eq!(of(domain, None), Some(carrier), "{domain}");
            }
            for server in servers.split(' ') {
                assert_eq!(of("example.jp", Some(server)), Some(carrier), "{server}");
            }
        }
    }

    #[test]
    fn the_server_that_speaks_decides_before_the_address() {
        for (domain, server, carrier) in [
            ("docomo.ne.jp", "mfsmax.docomo.ne.jp", Some(Carrier::Docomo)),
            ("uqmobile.jp", "lsean.ezweb.ne.jp", Some(Carrier::Au)),
            ("example.co.jp", "lsean.ezweb.ne.jp", Some(Carrier::Au)),
            ("docomo.ne.jp", "msmx.au.com", Some(Carrier::Au)),
            ("example.co.jp", "ASPMX.L.Google.com.", Some(Carrier::Gmail)),
            ("example.co.jp", "aspmx2.googlemail.com", Some(Carrier::Gmail)),
            ("example.co.jp", "example-co-jp.mail.protection.outlook.com", Some(Carrier::Outlook)),
            ("yahoo.ne.jp", "mx1.mail.yahoo.co.jp", Some(Carrier::YahooJapan)),
            // A server that says nothing of itself: a relay of ours, or a name that has changed.
            ("docomo.ne.jp", "relay.example.jp", Some(Carrier::Docomo)),
            ("example.jp", "mx.example.jp", None),
        ] {
            assert_eq!(of(domain, Some(server)), carrier, "{domain} at {server}");
        }
    }

    #[test]
    fn a_name_that_only_looks_alike_is_nobodys() {
        for domain in ["notdocomo.ne.jp", "mail.docomo.ne.jp", "shop.au.com", "gmail.com.example.jp", "softbank.ne.jp"]
        {
            assert_eq!(of(domain, None), None, "{domain}");
        }
        assert_eq!(of("example.jp", Some("mx.evilgoogle.com")), None);
        assert_eq!(of("example.jp", Some("docomo.ne.jp.example.jp")), None);
    }
}
