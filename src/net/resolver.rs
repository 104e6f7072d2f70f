//! Finds the servers that take a domain's mail.
//!
//! Asks for MX records, orders them by preference (RFC 5321 5.1), falls back to the domain itself where there are none
//! (implicit MX), and looks up a server's addresses when it is that server's turn. With the keys of the DNS root it also
//! says which answers are signed, and gives what signed answers say about certificates (TLSA).
//!
//! Most name servers of a system do not validate, so signatures are followed from the root down here. Where the name
//! servers do not hand signatures on at all, nothing is signed; where they do, an answer whose signatures do not hold
//! (bogus) is no answer.
//!
//! Knows nothing of connections or mails. What always holds: only an answer that says so ("no such domain", "takes no
//! mail", "no address") is final, any other trouble is temporary; every look-up ends by its deadline; an address inside a
//! private network is handed out only to who asks for any; nothing is called signed that is not signed all the way.

mod asking;
mod reach;

use crate::clock::{Clock, TooLate};
use crate::config::Resolver as NameServer;
use crate::model::{Domain, Span, Timestamp};
use crate::random::Random;
use asking::{Answer, Asker, Trust};
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::rr::rdata::TLSA;
use hickory_resolver::proto::rr::{RData, RecordType};
use mail_auth::SpfResult;
use mail_auth::spf::verify::SpfParameters;
use reach::is_public;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// How many servers of a domain are considered; a stranger chooses the number of MX records.
const SERVERS_MAX: usize = 10;
/// How many addresses of one server are considered.
const ADDRESSES_MAX: usize = 6;
/// How long it is believed that the name servers hand signatures on, or do not.
const BELIEVED: Span = Span::from_secs(600);

/// Which addresses of a server are of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those on the public Internet: strangers write MX records.
    Public,
    /// Any: the operator named the server, or allowed private networks.
    Any,
}

impl Reach {
    /// Gives the reach where an MX may be inside a private network, or may not.
    #[must_use]
    pub const fn of(private_addresses: bool) -> Self {
        if private_addresses { Self::Any } else { Self::Public }
    }

    /// Says whether an address is of use.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        self == Self::Any || is_public(address)
    }
}

/// Why there is no server to send to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// There is no such domain.
    #[error("there is no domain {0}")]
    NoDomain(String),
    /// The domain says that it takes no mail (RFC 7505).
    #[error("{0} takes no mail (null MX)")]
    NullMx(String),
    /// The name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// Its addresses all lie where mail must not be sent.
    #[error("{0} has only addresses of private networks, where no mail is sent")]
    Forbidden(String),
    /// The question was not answered.
    #[error("{name} cannot be looked up: {why}")]
    Trouble {
        /// The name asked for.
        name: String,
        /// What happened.
        why: String,
    },
}

impl Unresolved {
    /// Says whether asking again later may help.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Trouble { .. } => true,
            Self::NoDomain(_) | Self::NullMx(_) | Self::NoAddress(_) | Self::Forbidden(_) => false,
        }
    }
}

/// The resolver cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name servers cannot be set up: {0}")]
pub struct ResolverError(String);

/// What was found, and whether signatures from the root down vouch for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// What was found.
    pub value: T,
    /// Whether it is signed.
    pub signed: bool,
}

/// A server's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// In the order to try them.
    pub list: Vec<IpAddr>,
    /// The name that has them: the server's own, or the one it is an alias of.
    pub owner: Domain,
}

/// Asks the name servers. Clones share one cache.
#[derive(Clone)]
pub struct Resolver {
    plain: Asker,
    validating: Option<Validating>,
    random: Random,
}

/// The way to answers whose signatures are looked at.
#[derive(Clone)]
struct Validating {
    asker: Asker,
    /// Whether signatures reach us, and when that was seen.
    seen: Arc<Mutex<Option<(bool, Timestamp)>>>,
}

impl Resolver {
    /// Sets up the way to the name servers; signatures are not looked at.
    ///
    /// # Errors
    /// The system's settings cannot be read.
    pub fn new(server: NameServer, clock: Clock, random: Random) -> Result<Self, ResolverError> {
        Ok(Self { plain: Asker::new(server, Trust::Unasked, clock)?, validating: None, random })
    }

    /// Sets up the way to the name servers; `root` is a file with the keys of the DNS root, nothing the public ones.
    ///
    /// # Errors
    /// The system's settings or the keys cannot be read.
    pub fn validating(
        server: NameServer,
        root: Option<&Path>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, ResolverError> {
        let keys = match root {
            None => TrustAnchors::default(),
            Some(path) => TrustAnchors::from_file(path)
                .map_err(|error| ResolverError(format!("{}: no keys of the root: {error}", path.display())))?,
        };
        let asker = Asker::new(server, Trust::In(keys), clock.clone())?;
        let validating = Some(Validating { asker, seen: Arc::default() });
        Ok(Self { validating, ..Self::new(server, clock, random)? })
    }

    /// Gives the servers that take mail for `domain`, the most preferred first, equals in random order (RFC 5321 5.1).
    ///
    /// # Errors
    /// The domain does not exist, takes no mail, or cannot be looked up.
    pub async fn servers(&self, domain: &Domain) -> Result<Vec<Domain>, Unresolved> {
        self.servers_of(domain, self.plain.ask(domain, RecordType::MX).await?)
    }

    /// Gives the same, and says whether it is signed.
    ///
    /// # Errors
    /// As [`Resolver::servers`]; an answer with a wrong signature is none.
    pub async fn signed_servers(&self, domain: &Domain) -> Result<Found<Vec<Domain>>, Unresolved> {
        let plain = self.plain.ask(domain, RecordType::MX);
        let (answer, way) = match &self.validating {
            None => (plain.await, None),
            Some(way) => match way.believed() {
                Some(true) => (way.asker.ask(domain, RecordType::MX).await, Some(way)),
                Some(false) => (plain.await, None),
                // The mail does not wait longer for its servers because the signatures of the root are waited for.
                None => match tokio::join!(way.look(), plain) {
                    (true, _) => (way.asker.ask(domain, RecordType::MX).await, Some(way)),
                    (false, answer) => (answer, None),
                },
            },
        };
        let answer = answer?;
        // That there is no MX is said by the zone that has the addresses of the same name, so where they are signed this is.
        let signed = way.is_some() && (answer.is_signed() || matches!(answer, Answer::Nothing));
        Ok(Found { value: self.servers_of(domain, answer)?, signed })
    }

    /// Gives the one server that mail for `domain` prefers, of equals the first by its name: the same at every look.
    ///
    /// # Errors
    /// The domain does not exist, takes no mail, or cannot be looked up.
    pub async fn preferred(&self, domain: &Domain) -> Result<Domain, Unresolved> {
        let answer = self.plain.ask(domain, RecordType::MX).await?;
        let named = answer.records().filter_map(|record| match record {
            RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii().parse::<Domain>().ok()?)),
            _ => None,
        });
        let first = named.min().map(|(_, name)| name);
        let servers = self.servers_of(domain, answer)?;
        Ok(first.or_else(|| servers.into_iter().next()).unwrap_or_else(|| domain.clone()))
    }

    /// Gives the addresses of a server, IPv4 and IPv6, in the order to try them.
    ///
    /// # Errors
    /// It has none that mail may be sent to, or they cannot be looked up.
    pub async fn addresses(&self, server: &Domain, reach: Reach) -> Result<Vec<IpAddr>, Unresolved> {
        addresses_of(&self.plain, server, reach).await.map(|found| found.value.list)
    }

    /// Gives the addresses of a server whose name is signed, and says whether they are.
    ///
    /// # Errors
    /// As [`Resolver::addresses`]; an answer with a wrong signature is none.
    pub async fn signed_addresses(&self, server: &Domain, reach: Reach) -> Result<Found<Addresses>, Unresolved> {
        let asker = self.validating.as_ref().map_or(&self.plain, |way| &way.asker);
        addresses_of(asker, server, reach).await
    }

    /// Gives what is published, signed, about the certificate of a server at a port (RFC 6698 3); nothing where nothing is.
    ///
    /// # Errors
    /// It cannot be looked up, or its signatures do not hold.
    pub async fn associations(&self, server: &Domain, port: u16) -> Result<Vec<TLSA>, Unresolved> {
        let Some(way) = &self.validating else { return Ok(Vec::new()) };
        let Ok(name) = format!("_{port}._tcp.{server}").parse() else { return Ok(Vec::new()) };
        let answer = way.asker.ask(&name, RecordType::TLSA).await?;
        let data = answer.records().filter_map(|data| match data {
            RData::TLSA(record) => Some(record.clone()),
            _ => None,
        });
        Ok(if answer.is_signed() { data.collect() } else { Vec::new() })
    }

    /// Gives what is at a name of one kind, and the name that has it: another one where the name asked for is an alias.
    pub(super) async fn at(&self, name: &Domain, kind: RecordType) -> Result<(Vec<RData>, Option<Domain>), Unresolved> {
        let answer = self.plain.ask(name, kind).await?;
        Ok((answer.records().cloned().collect(), answer.owner()))
    }

    /// Tries an SPF record as a receiver does.
    pub(super) async fn spf(&self, question: SpfParameters<'_>) -> Result<SpfResult, TooLate> {
        self.plain.spf(question).await
    }

    /// Gives the texts at a name, each joined from its strings; nothing where there are none.
    ///
    /// # Errors
    /// They cannot be looked up.
    pub async fn texts(&self, name: &Domain) -> Result<Vec<String>, Unresolved> {
        let answer = self.plain.ask(name, RecordType::TXT).await?;
        let texts = answer.records().filter_map(|data| match data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        });
        Ok(texts.collect())
    }

    fn servers_of(&self, domain: &Domain, answer: Answer) -> Result<Vec<Domain>, Unresolved> {
        match answer {
            Answer::Records { data, .. } => self.ordered(domain, &data),
            // RFC 5321 5.1: no MX, so the domain is its own server, if it has an address.
            Answer::Nothing => Ok(vec![domain.clone()]),
            Answer::NoDomain => Err(Unresolved::NoDomain(domain.to_string())),
        }
    }

    fn ordered(&self, domain: &Domain, records: &[RData]) -> Result<Vec<Domain>, Unresolved> {
        let mut servers: Vec<(u16, u64, Domain)> = records
            .iter()
            .filter_map(|record| match record {
                RData::MX(mx) if !mx.exchange.is_root() => {
                    let name = mx.exchange.to_ascii().parse().ok()?;
                    Some((mx.preference, self.random.bytes().map_or(0, u64::from_le_bytes), name))
                }
                _ => None,
            })
            .collect();
        if servers.is_empty() {
            // RFC 7505 3: a lone "." as the server. Else the records name what can be no server, such as an address.
            let all_null = records.iter().all(|record| matches!(record, RData::MX(mx) if mx.exchange.is_root()));
            let name = domain.to_string();
            return Err(if all_null { Unresolved::NullMx(name) } else { Unresolved::NoAddress(name) });
        }
        servers.sort();
        servers.truncate(SERVERS_MAX);
        Ok(servers.into_iter().map(|(_, _, name)| name).collect())
    }
}

impl Validating {
    /// Says whether signatures reach us, where that was seen not long ago.
    fn believed(&self) -> Option<bool> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.filter(|(_, at)| self.asker.now() < at.plus(BELIEVED)).map(|(reach, _)| reach)
    }

    /// Looks whether the root's own keys come signed by those we trust.
    async fn look(&self) -> bool {
        let reach = self.asker.root_is_signed().await;
        let before = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace((reach, self.asker.now()))
            .map(|(reach, _)| reach);
        if before != Some(reach) {
            if reach {
                tracing::info!("the name servers hand DNSSEC signatures on: DANE is enforced where published");
            } else {
                tracing::warn!("the name servers hand no DNSSEC signatures on, so DANE is not looked at");
            }
        }
        reach
    }
}

async fn addresses_of(asker: &Asker, server: &Domain, reach: Reach) -> Result<Found<Addresses>, Unresolved> {
    let (v4, v6) = tokio::join!(asker.ask(server, RecordType::A), asker.ask(server, RecordType::AAAA));
    let answers: Vec<&Answer> = [&v4, &v6].into_iter().flatten().collect();
    let found: Vec<IpAddr> = answers.iter().flat_map(|answer| answer.records()).filter_map(RData::ip_addr).collect();
    if found.is_empty() {
        // One family that could not be looked up may be the one that has the address.
        v4.and(v6)?;
        return Err(Unresolved::NoAddress(server.to_string()));
    }
    let mut list: Vec<IpAddr> = found.into_iter().filter(|address| reach.allows(*address)).collect();
    // IPv4 first, each family in the order of the answer: receivers ask more of who comes by IPv6.
    list.sort_by_key(IpAddr::is_ipv6);
    list.truncate(ADDRESSES_MAX);
    if list.is_empty() {
        return Err(Unresolved::Forbidden(server.to_string()));
    }
    let mut with_records = answers.iter().filter(|answer| answer.records().next().is_some());
    let signed = with_records.clone().all(|answer| answer.is_signed());
    let owner = with_records.find_map(|answer| answer.owner()).unwrap_or_else(|| server.clone());
    Ok(Found { value: Addresses { list, owner }, signed })
}
