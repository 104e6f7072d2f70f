//! Finds the servers that take a domain's mail.
//!
//! Asks for MX records, orders them by preference (RFC 5321 5.1), falls back to the domain itself where there are none
//! (implicit MX), and looks up a server's addresses when it is that server's turn.
//!
//! Knows nothing of connections or mails. What always holds: only an answer that says so ("no such domain", "takes no
//! mail", "no address") is final, any other trouble is temporary; every look-up ends by its deadline; an address inside a
//! private network is handed out only to who asks for any.

use crate::clock::Clock;
use crate::config::Resolver as NameServer;
use crate::model::{Domain, Span};
use crate::random::Random;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// How many servers of a domain are considered; a stranger chooses the number of MX records.
const SERVERS_MAX: usize = 10;
/// How many addresses of one server are considered.
const ADDRESSES_MAX: usize = 6;
/// How long one question may take, asking again included.
const DEADLINE: Span = Span::from_secs(30);
/// How long one name server may think before it is asked again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many answers are remembered.
const CACHE: u64 = 4_096;
/// The longest an answer is remembered, whatever its TTL: a carrier that moves is followed within the hour.
const REMEMBER: Duration = Duration::from_secs(3_600);
/// The longest "there is none" is remembered.
const REMEMBER_NONE: Duration = Duration::from_secs(300);

/// Which addresses of a server are of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those on the public Internet: strangers write MX records.
    Public,
    /// Any: the operator named the server, or allowed private networks.
    Any,
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

/// Asks the name servers. Clones share one cache.
#[derive(Clone)]
pub struct Resolver {
    dns: TokioResolver,
    clock: Clock,
    random: Random,
}

impl Resolver {
    /// Sets up the way to the name servers.
    ///
    /// # Errors
    /// The system's settings cannot be read.
    pub fn new(server: NameServer, clock: Clock, random: Random) -> Result<Self, ResolverError> {
        let wrong = |error: NetError| ResolverError(error.to_string());
        let mut builder = match server {
            NameServer::System => TokioResolver::builder_tokio().map_err(wrong)?,
            NameServer::Server(address) => {
                TokioResolver::builder_with_config(config_of(address), TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        options.timeout = PATIENCE;
        options.cache_size = CACHE;
        options.positive_max_ttl = Some(REMEMBER);
        options.negative_max_ttl = Some(REMEMBER_NONE);
        if matches!(server, NameServer::Server(_)) {
            options.use_hosts_file = ResolveHosts::Never;
        }
        // Questions go out by UDP and TCP alone; without this the library would read the system's authorities for nothing.
        let builder = builder.with_tls_config(no_tls().map_err(|error| ResolverError(error.to_string()))?);
        Ok(Self { dns: builder.build().map_err(wrong)?, clock, random })
    }

    /// Gives the servers that take mail for `domain`, the most preferred first, equals in random order (RFC 5321 5.1).
    ///
    /// # Errors
    /// The domain does not exist, takes no mail, or cannot be looked up.
    pub async fn servers(&self, domain: &Domain) -> Result<Vec<Domain>, Unresolved> {
        match self.ask(domain, RecordType::MX).await? {
            Found::Records(records) => self.ordered(domain, &records),
            // RFC 5321 5.1: no MX, so the domain is its own server, if it has an address.
            Found::Nothing => Ok(vec![domain.clone()]),
            Found::NoDomain => Err(Unresolved::NoDomain(domain.to_string())),
        }
    }

    /// Gives the addresses of a server, IPv4 and IPv6, in the order to try them.
    ///
    /// # Errors
    /// It has none that mail may be sent to, or they cannot be looked up.
    pub async fn addresses(&self, server: &Domain, reach: Reach) -> Result<Vec<IpAddr>, Unresolved> {
        let (v4, v6) = tokio::join!(self.ask(server, RecordType::A), self.ask(server, RecordType::AAAA));
        let found: Vec<IpAddr> = [&v4, &v6].into_iter().flatten().flat_map(Found::addresses).collect();
        if found.is_empty() {
            // One family that could not be looked up may be the one that has the address.
            v4.and(v6)?;
            return Err(Unresolved::NoAddress(server.to_string()));
        }
        let mut allowed: Vec<IpAddr> =
            found.into_iter().filter(|address| reach == Reach::Any || is_public(*address)).collect();
        // IPv4 first, each family in the order of the answer: receivers ask more of who comes by IPv6.
        allowed.sort_by_key(IpAddr::is_ipv6);
        allowed.truncate(ADDRESSES_MAX);
        if allowed.is_empty() {
            return Err(Unresolved::Forbidden(server.to_string()));
        }
        Ok(allowed)
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

    async fn ask(&self, domain: &Domain, kind: RecordType) -> Result<Found, Unresolved> {
        let trouble = |why: String| Unresolved::Trouble { name: domain.to_string(), why };
        // Fully qualified, so that no search list of the system is tried.
        let name = Name::from_str(&format!("{domain}.")).map_err(|error| trouble(error.to_string()))?;
        let question = Box::pin(self.dns.lookup(name, kind));
        match self.clock.within(self.clock.now().plus(DEADLINE), question).await {
            Ok(Ok(answer)) => {
                let records = answer.answers().iter().filter(|record| record.record_type() == kind);
                Ok(Found::of(records.map(|record| record.data.clone()).collect()))
            }
            Ok(Err(error)) if error.is_nx_domain() => Ok(Found::NoDomain),
            Ok(Err(error)) if error.is_no_records_found() => Ok(Found::Nothing),
            Ok(Err(error)) => Err(trouble(error.to_string())),
            Err(late) => Err(trouble(late.to_string())),
        }
    }
}

/// What an answered question brought.
enum Found {
    Records(Vec<RData>),
    /// The name exists, without records of this kind.
    Nothing,
    NoDomain,
}

impl Found {
    fn of(records: Vec<RData>) -> Self {
        if records.is_empty() { Self::Nothing } else { Self::Records(records) }
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let Self::Records(records) = self else { return Vec::new() };
        records.iter().filter_map(RData::ip_addr).collect()
    }
}

fn config_of(address: SocketAddr) -> ResolverConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    ResolverConfig::from_parts(None, Vec::new(), vec![server])
}

fn no_tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

/// Says whether an address lies on the public Internet; a stranger's MX record must not make us dial inside hosts.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// The registry of RFC 6890, "globally reachable: false", and multicast.
const fn is_public_v4(address: Ipv4Addr) -> bool {
    let reserved = match address.octets() {
        [0 | 10 | 127, ..] | [224..=255, ..] => true,
        [100, second, ..] => second & 0xc0 == 0x40,
        [169, 254, ..] | [192, 168, ..] | [198, 18 | 19, ..] => true,
        [172, second, ..] => second & 0xf0 == 0x10,
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => false,
    };
    !reserved
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let inside = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // IPv4 in other clothes: mapped, by NAT64, by 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            inside(high, low)
        }
        // Documentation, and the protocol assignments (Teredo among them).
        [0x2001, second, ..] if second == 0x0db8 || second < 0x0200 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Only 2000::/3 is handed out; unspecified, loopback, unique local, link-local and multicast lie outside.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_a_network_are_told_from_public_ones() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.1.2.3",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::127.0.0.1",
            "2002:7f00:1::1",
            "2001:0:1::1",
            "100::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "203.0.112.1",
            "223.255.255.255",
            "2400:4000::1",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }
}
