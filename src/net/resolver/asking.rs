//! One question to the name servers, and its answer.
//!
//! Knows nothing of mail. What always holds: a question ends by its deadline; an answer with a wrong signature is trouble,
//! never an answer.

use super::{ResolverError, Unresolved};
use crate::clock::{Clock, TooLate};
use crate::config::Resolver as NameServer;
use crate::model::{Domain, Span, Timestamp};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{DnssecSummary, Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{MessageAuthenticator, SpfResult};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

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

/// Whether signatures are looked at.
pub(super) enum Trust {
    /// They are not.
    Unasked,
    /// They are, from these keys of the root down.
    In(TrustAnchors),
}

/// Asks. Clones share one cache.
#[derive(Clone)]
pub(super) struct Asker {
    dns: TokioResolver,
    clock: Clock,
}

/// What an answered question brought.
pub(super) enum Answer {
    Records {
        /// The records of the kind asked for.
        data: Vec<RData>,
        /// The name that has them: the one asked for, or the one it is an alias of.
        owner: Option<Domain>,
        /// Whether all of them are, aliases on the way included.
        signed: bool,
    },
    /// The name exists, without records of this kind.
    Nothing,
    NoDomain,
}

impl Answer {
    pub(super) fn records(&self) -> impl Iterator<Item = &RData> {
        let data: &[RData] = match self {
            Self::Records { data, .. } => data,
            Self::Nothing | Self::NoDomain => &[],
        };
        data.iter()
    }

    pub(super) const fn is_signed(&self) -> bool {
        matches!(self, Self::Records { signed: true, .. })
    }

    pub(super) fn owner(&self) -> Option<Domain> {
        match self {
            Self::Records { owner, .. } => owner.clone(),
            Self::Nothing | Self::NoDomain => None,
        }
    }

    fn of(answer: &Lookup, kind: RecordType) -> Self {
        let wanted = || answer.answers().iter().filter(|record| record.record_type() == kind);
        let data: Vec<RData> = wanted().map(|record| record.data.clone()).collect();
        if data.is_empty() {
            return Self::Nothing;
        }
        let owner = wanted().next().and_then(|record| record.name.to_ascii().parse().ok());
        let signed = matches!(DnssecSummary::from_records(answer.answers().iter()), DnssecSummary::Secure);
        Self::Records { data, owner, signed }
    }
}

impl Asker {
    pub(super) fn new(server: NameServer, trust: Trust, clock: Clock) -> Result<Self, ResolverError> {
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
        if let Trust::In(keys) = trust {
            builder = builder.with_trust_anchor(Arc::new(keys));
        }
        // Questions go out by UDP and TCP alone; without this the library would read the system's authorities for nothing.
        let builder = builder.with_tls_config(no_tls().map_err(|error| ResolverError(error.to_string()))?);
        Ok(Self { dns: builder.build().map_err(wrong)?, clock })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) async fn ask(&self, domain: &Domain, kind: RecordType) -> Result<Answer, Unresolved> {
        let trouble = |why: String| Unresolved::Trouble { name: domain.to_string(), why };
        // Fully qualified, so that no search list of the system is tried.
        let name = Name::from_str(&format!("{domain}.")).map_err(|error| trouble(error.to_string()))?;
        let question = Box::pin(self.dns.lookup(name, kind));
        match self.clock.within(self.clock.now().plus(DEADLINE), question).await {
            Ok(Ok(answer)) => Ok(Answer::of(&answer, kind)),
            Ok(Err(error)) => none_of(&error).ok_or_else(|| trouble(why(&error))),
            Err(late) => Err(trouble(late.to_string())),
        }
    }

    /// Tries an SPF record as a receiver does; what cannot be looked up is a result too.
    pub(super) async fn spf(&self, question: SpfParameters<'_>) -> Result<SpfResult, TooLate> {
        let receiver = MessageAuthenticator(self.dns.clone());
        let trying = Box::pin(receiver.verify_spf(question));
        Ok(self.clock.within(self.clock.now().plus(DEADLINE), trying).await?.result())
    }

    /// Says whether the keys of the root come, signed by those that are trusted.
    pub(super) async fn root_is_signed(&self) -> bool {
        let question = Box::pin(self.dns.lookup(Name::root(), RecordType::DNSKEY));
        match self.clock.within(self.clock.now().plus(DEADLINE), question).await {
            Ok(Ok(answer)) => Answer::of(&answer, RecordType::DNSKEY).is_signed(),
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

/// Reads the errors that are answers: there is nothing.
fn none_of(error: &NetError) -> Option<Answer> {
    let code = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        // Where nothing is signed, nothing proves that there is nothing.
        NetError::Dns(DnsError::Nsec { response, proof: Proof::Insecure | Proof::Indeterminate, .. }) => {
            response.metadata.response_code
        }
        _ => return None,
    };
    Some(if code == ResponseCode::NXDomain { Answer::NoDomain } else { Answer::Nothing })
}

fn why(error: &NetError) -> String {
    match error {
        NetError::Dns(DnsError::DnssecBogus | DnsError::Nsec { .. }) => "its DNSSEC signatures do not hold".to_owned(),
        other => other.to_string(),
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
