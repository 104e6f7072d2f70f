//! What is demanded of a connection to each server of a domain: the operator's policy, the domain's own in DNS (DANE,
//! RFC 7672) and by HTTPS (MTA-STS, RFC 8461).
//!
//! Knows nothing of connections. What always holds: a domain's rules come from that domain alone, whoever shares its
//! servers; what a domain enforces is never weakened but by an operator who switched TLS off; DANE goes before MTA-STS
//! (RFC 8461 2); a server about whose certificate nothing certain is known, where the domain's names are signed, is not
//! used (RFC 7672 2.1.1).

use super::demand::Demand;
use crate::config::{Destinations, TlsPolicy};
use crate::model::Domain;
use crate::net::dane::Dane;
use crate::net::resolver::{Addresses, Reach, Resolver, Unresolved};
use crate::net::sts::{self, Sts};
use crate::queue::destination::Groups;
use crate::store::{StsMode, StsPolicy};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The operator's policies.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    usual: TlsPolicy,
    groups: Groups,
    own: BTreeMap<String, TlsPolicy>,
}

impl Policies {
    /// Takes the usual policy, and those of receiving systems that have one of their own.
    #[must_use]
    pub fn new(usual: TlsPolicy, destinations: &Destinations) -> Self {
        Self { usual, groups: destinations.groups.clone(), own: destinations.tls.clone() }
    }

    /// Gives the policy for a domain, its servers being these.
    #[must_use]
    pub fn of(&self, domain: &Domain, servers: &[Domain]) -> TlsPolicy {
        self.named(self.groups.find(domain, servers).map(|group| group.name.as_str()))
    }

    /// Says whether TLS is off for a domain whatever its servers: nothing need be asked about it.
    fn is_off(&self, domain: &Domain) -> bool {
        let group = self.groups.of_domain(domain).map(|group| group.name.as_str());
        let settled = group.is_some() || self.own.is_empty();
        settled && self.named(group) == TlsPolicy::Off
    }

    fn named(&self, group: Option<&str>) -> TlsPolicy {
        group.and_then(|name| self.own.get(name)).copied().unwrap_or(self.usual)
    }
}

/// Finds out what is demanded.
#[derive(Clone)]
pub struct Guard {
    resolver: Resolver,
    policies: Policies,
    /// Knows what domains publish by HTTPS; nothing: nobody looks.
    sts: Option<Sts>,
    /// The port whose TLSA records are asked for.
    port: u16,
}

/// What is known of one domain before its servers are tried.
pub(super) struct Rules {
    domain: Domain,
    policy: TlsPolicy,
    /// Its list of servers is signed, so that what their names say about certificates counts.
    signed: bool,
    /// What it publishes by HTTPS.
    sts: Option<StsPolicy>,
}

/// Why a server is not to be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// Its addresses, or what its name says about its certificate, cannot be found.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// The domain does not name it.
    #[error("the MTA-STS policy of {domain} does not name {server}")]
    Unnamed {
        /// The domain.
        domain: Domain,
        /// The server.
        server: Domain,
    },
}

/// What a server's name says, signed, about its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Published {
    Nothing,
    /// Records that authenticate nobody.
    Unusable,
    Usable(Dane),
}

impl Guard {
    /// Takes whom to ask, and the port at which servers are dialled.
    #[must_use]
    pub const fn new(resolver: Resolver, policies: Policies, sts: Option<Sts>, port: u16) -> Self {
        Self { resolver, policies, sts, port }
    }

    /// Gives who knows servers' addresses.
    pub(super) const fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Gives what is demanded where only the operator has a say.
    pub(super) fn usual(&self) -> Demand {
        self.policies.usual.into()
    }

    /// Finds a domain's servers, and what holds for all of them.
    pub(super) async fn servers(&self, domain: &Domain) -> Result<(Vec<Domain>, Rules), Unresolved> {
        let rules = |policy, signed, sts| Rules { domain: domain.clone(), policy, signed, sts };
        if self.policies.is_off(domain) {
            return Ok((self.resolver.servers(domain).await?, rules(TlsPolicy::Off, false, None)));
        }
        let (found, sts) = tokio::join!(self.resolver.signed_servers(domain), self.sts_of(domain));
        let found = found?;
        let policy = self.policies.of(domain, &found.value);
        Ok((found.value, rules(policy, found.signed, sts)))
    }

    async fn sts_of(&self, domain: &Domain) -> Option<StsPolicy> {
        match &self.sts {
            Some(sts) => Box::pin(sts.policy(domain)).await,
            None => None,
        }
    }

    /// Finds a server's addresses and what is demanded of a connection to it.
    pub(super) async fn approach(
        &self,
        rules: &Rules,
        server: &Domain,
        reach: Reach,
    ) -> Result<(Vec<IpAddr>, Demand), Barred> {
        if !rules.signed || rules.policy == TlsPolicy::Off {
            let demand = rules.demand(server, Published::Nothing)?;
            return Ok((self.resolver.addresses(server, reach).await?, demand));
        }
        let found = self.resolver.signed_addresses(server, reach).await?;
        // RFC 7672 2.2.2: where the addresses are not signed, the question for TLSA may trouble old name servers.
        let published =
            if found.signed { self.published(rules, server, &found.value).await? } else { Published::Nothing };
        Ok((found.value.list, rules.demand(server, published)?))
    }

    /// Asks for TLSA records at the name that has the addresses, then at the one that the MX record gives, where that is
    /// an alias (RFC 7672 2.2.2).
    async fn published(&self, rules: &Rules, server: &Domain, found: &Addresses) -> Result<Published, Unresolved> {
        let mut bases = vec![&found.owner];
        bases.extend((found.owner != *server).then_some(server));
        for base in bases {
            let records = self.resolver.associations(base, self.port).await?;
            if !records.is_empty() {
                let dane = Dane::of(&records, base.as_str(), rules.domain.as_str());
                return Ok(dane.map_or(Published::Unusable, Published::Usable));
            }
        }
        Ok(Published::Nothing)
    }
}

impl Rules {
    fn demand(&self, server: &Domain, published: Published) -> Result<Demand, Barred> {
        let (policy, published) = match (self.policy, published) {
            (TlsPolicy::Off, _) => return Ok(Demand::Plain),
            (_, Published::Usable(dane)) => return Ok(Demand::Dane(dane)),
            (policy, published) => (policy, published),
        };
        if let Some(sts) = self.sts.as_ref().filter(|sts| sts.mode == StsMode::Enforce) {
            let (domain, server) = (&self.domain, server);
            if !sts::allows(sts, server) {
                return Err(Barred::Unnamed { domain: domain.clone(), server: server.clone() });
            }
            return Ok(Demand::Verified);
        }
        Ok(match (policy, published) {
            (TlsPolicy::Opportunistic, Published::Unusable) => Demand::Encrypted,
            (policy, _) => policy.into(),
        })
    }

    /// Says what would bar a server, or fail on it, if the policy that the domain tests were enforced: nothing, or whether
    /// the server is named and then has to be known by its certificate.
    pub(super) fn tested(&self, server: &str) -> Option<Tested> {
        let sts = self.sts.as_ref().filter(|sts| sts.mode == StsMode::Testing)?;
        let named = server.parse().is_ok_and(|server| sts::allows(sts, &server));
        Some(if named { Tested::Named } else { Tested::Unnamed })
    }
}

/// What a policy that is only tested says of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tested {
    /// It takes the domain's mail, if its certificate is good.
    Named,
    /// It does not.
    Unnamed,
}
