//! `[delivery]`: which way mail goes out, and how long it is tried.

use super::reader::Section;
use super::secret::{self, Noted};
use super::value::{Server, ValueError};
use crate::model::{Secret, Span};
use crate::queue::{Class, retry::Schedule};
use hickory_resolver::proto::dnssec::TrustAnchors;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `[delivery]`.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Which way mail goes out (`route`, `smarthost`, …).
    pub route: Route,
    /// The port dialled at an MX (`port`).
    pub port: u16,
    /// Who answers about names (`resolver`).
    pub resolver: Resolver,
    /// Whether connections are secured (`tls`).
    pub tls: TlsPolicy,
    /// More authorities to believe, in PEM (`tls_ca_file`); can be read and holds at least one.
    pub tls_ca_file: Option<PathBuf>,
    /// The keys of the DNS root (`trust_anchor`), as DNSKEY records; can be read and holds at least one. Nothing: those of
    /// the public root.
    pub trust_anchor: Option<PathBuf>,
    /// The addresses connections go out from (`bind`); of a family without one the system chooses.
    pub bind: Vec<IpAddr>,
    /// Whether an MX may be on loopback or a private network (`private_addresses`).
    pub private_addresses: bool,
    /// How long each class is tried, and after which waits (`class`).
    pub classes: BTreeMap<Class, Schedule>,
}

/// Which way mail goes out.
#[derive(Debug, Clone)]
pub enum Route {
    /// To the MX hosts of each recipient's domain.
    Mx,
    /// All of it to one server.
    Smarthost(Smarthost),
    /// Nowhere: it is kept and shown.
    Capture,
}

/// The server that takes all mail.
#[derive(Debug, Clone)]
pub struct Smarthost {
    /// Where it is (`smarthost`).
    pub server: Server,
    /// How we make ourselves known to it (`user`, `password`); nothing: not at all.
    pub login: Option<Login>,
}

/// A name and a password.
#[derive(Debug, Clone)]
pub struct Login {
    /// `user`.
    pub user: String,
    /// `password` or `password_file`.
    pub password: Secret<String>,
}

/// Who answers about names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// Whom the system asks (`/etc/resolv.conf`).
    System,
    /// One name server.
    Server(SocketAddr),
}

impl FromStr for Resolver {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "system" => Ok(Self::System),
            other => other.parse().map(Self::Server).ok().ok_or_else(|| ValueError::Resolver(other.to_owned())),
        }
    }
}

/// Whether connections are secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsPolicy {
    /// Where the other side offers it, whatever its certificate (RFC 7435).
    #[default]
    Opportunistic,
    /// Always, with a certificate we believe; else the mail waits.
    Require,
    /// Never.
    Off,
}

/// The words of `tls`, here and in `[[destination]]`.
pub(super) const TLS_WORDS: [(&str, TlsPolicy); 3] =
    [("opportunistic", TlsPolicy::Opportunistic), ("require", TlsPolicy::Require), ("off", TlsPolicy::Off)];

/// What the word of `route` says before it is known whether a server goes with it.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Mx,
    Smarthost,
    Capture,
}

impl Delivery {
    /// Says how long a class is tried, and after which waits.
    #[must_use]
    pub fn schedule(&self, class: Class) -> Schedule {
        self.classes.get(&class).cloned().unwrap_or_else(|| Schedule::shipped(class))
    }

    pub(super) fn read(mut section: Section<'_>, data_dir: &Path, link_lifetime: Option<Span>) -> Option<Self> {
        let tls = section.word("tls", &TLS_WORDS).unwrap_or(TlsPolicy::Opportunistic);
        let route = read_route(&mut section, data_dir, tls);
        let delivery = Self {
            route: Route::Mx,
            port: section.number("port", 1..=u16::MAX).unwrap_or(25),
            resolver: section.value("resolver").unwrap_or(Resolver::System),
            tls,
            tls_ca_file: read_authorities(&mut section, data_dir),
            trust_anchor: read_root_keys(&mut section, data_dir),
            bind: section.list("bind").unwrap_or_default(),
            private_addresses: section.flag("private_addresses").unwrap_or(false),
            classes: read_classes(section.section("class"), link_lifetime),
        };
        Some(Self { route: route?, ..delivery })
    }
}

fn read_route(section: &mut Section<'_>, data_dir: &Path, tls: TlsPolicy) -> Option<Route> {
    let given = section.has("route");
    let way = section.word("route", &[("mx", Way::Mx), ("smarthost", Way::Smarthost), ("capture", Way::Capture)]);
    let keys = ["smarthost", "user", "password", "password_file"].map(|key| (key, section.has(key)));
    let server = section.value::<Server>("smarthost");
    let login = read_login(section, data_dir);
    let way = way.or((!given).then_some(Way::Mx))?;
    if way != Way::Smarthost {
        for (key, _) in keys.into_iter().filter(|(_, given)| *given) {
            section.complain(key, "is without effect", Some("write route = \"smarthost\", or remove it".to_owned()));
        }
        return Some(if way == Way::Mx { Route::Mx } else { Route::Capture });
    }
    if !keys.iter().any(|(key, given)| *key == "smarthost" && *given) {
        let hint = "for example smarthost = \"relay.example.jp:587\"";
        section.complain("route", "“smarthost” needs to know the server", Some(hint.to_owned()));
    }
    let login = login.ok()?;
    if login.is_some() && tls != TlsPolicy::Require {
        let hint = "write tls = \"require\", so that nobody on the way reads the password";
        section.complain("user", "would log in without certain encryption", Some(hint.to_owned()));
    }
    Some(Route::Smarthost(Smarthost { server: server?, login }))
}

fn read_login(section: &mut Section<'_>, data_dir: &Path) -> Result<Option<Login>, Noted> {
    let user = section.value::<String>("user");
    let password = secret::read(section, "password", data_dir)?;
    match (user, password) {
        (None, None) => Ok(None),
        (Some(user), Some(found)) => Ok(Some(Login { user, password: found.secret })),
        (Some(_), None) => {
            section.complain("user", "needs a password", Some("add password_file = \"FILE\"".to_owned()));
            Err(Noted)
        }
        (None, Some(found)) => {
            section.complain(&found.key, "needs a user", Some("add user = \"NAME\"".to_owned()));
            Err(Noted)
        }
    }
}

/// Reads where more authorities are; a file without any would only be noticed when mail stops.
fn read_authorities(section: &mut Section<'_>, data_dir: &Path) -> Option<PathBuf> {
    let file = data_dir.join(section.value::<String>("tls_ca_file")?);
    let why = match std::fs::read(&file) {
        Err(cause) => format!("cannot be read: {cause}"),
        Ok(text) => match CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>() {
            Ok(found) if !found.is_empty() => return Some(file),
            Ok(_) | Err(_) => "holds no certificate in PEM".to_owned(),
        },
    };
    section.complain("tls_ca_file", format!("{}: {why}", file.display()), None);
    None
}

/// Reads where the keys of the root are; a file without any would make every signature worthless.
fn read_root_keys(section: &mut Section<'_>, data_dir: &Path) -> Option<PathBuf> {
    let file = data_dir.join(section.value::<String>("trust_anchor")?);
    let (why, hint) = match std::fs::read_to_string(&file) {
        Err(cause) => (format!("cannot be read: {cause}"), None),
        Ok(text) => match text.parse::<TrustAnchors>() {
            Ok(keys) if !keys.is_empty() => return Some(file),
            Ok(_) | Err(_) => {
                let hint = "one record a line: . 172800 IN DNSKEY 257 3 13 KEY".to_owned();
                ("holds no DNSKEY record of the root".to_owned(), Some(hint))
            }
        },
    };
    section.complain("trust_anchor", format!("{}: {why}", file.display()), hint);
    None
}

fn read_classes(mut section: Section<'_>, link_lifetime: Option<Span>) -> BTreeMap<Class, Schedule> {
    let read = |class: Class| (class, read_class(section.section(class.as_str()), class, link_lifetime));
    Class::ALL.into_iter().map(read).collect()
}

fn read_class(mut section: Section<'_>, class: Class, link_lifetime: Option<Span>) -> Schedule {
    let shipped = Schedule::shipped(class);
    let life = link_lifetime.filter(|_| class == Class::Registration).unwrap_or(shipped.give_up);
    let give_up = section.value("give_up").unwrap_or(shipped.give_up.min(life));
    let own_waits = section.has("retry");
    let waits = section.list("retry").unwrap_or(shipped.waits);
    if give_up.millis() == 0 {
        section.complain("give_up", "no mail can be sent in no time", None);
    }
    // Requirements R040, R041: a one-time password lives 60 minutes, and its mail ends at the same instant.
    if class == Class::Otp && give_up.millis() != 0 && give_up != shipped.give_up {
        let what =
            format!("{give_up} is not the {} that a one-time password lives, and its mail with it", shipped.give_up);
        section.complain("give_up", what, None);
    }
    if class == Class::Registration && give_up > life {
        let what = format!("{give_up} is longer than a link lives (registration.link_lifetime, {life})");
        section.complain("give_up", what, Some("a mail could arrive whose link is over: shorten it".to_owned()));
    }
    match waits.first() {
        None if !section.complained("retry") => {
            section.complain("retry", "is empty", Some("for example retry = [\"15s\", \"1m\", \"5m\"]".to_owned()));
        }
        Some(first) if *first >= give_up && own_waits => {
            section.complain("retry", format!("waits {first} first, and {give_up} is all the time there is"), None);
        }
        Some(_) | None => {}
    }
    if waits.iter().any(|wait| wait.millis() < 1_000) {
        section.complain("retry", "has a wait below a second, which would press the receiving server", None);
    }
    Schedule { give_up, waits }
}
