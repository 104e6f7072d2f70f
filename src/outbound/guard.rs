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
use crate::queue::destination::Groups;
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

    /// Gives the policy that goes without looking at anybody.
    #[must_use]
    pub const fn usual(&self) -> TlsPolicy {
        self.usual
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
pub(super) struct Guard {
    resolver: Resolver,
    policies: Policies,
    /// The port whose TLSA records are asked for.
    port: u16,
}

/// What is known of one domain before its servers are tried.
pub(super) struct Rules {
    domain: Domain,
    policy: TlsPolicy,
    /// Its list of servers is signed, so that what their names say about certificates counts.
    signed: bool,
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
    pub(super) const fn new(resolver: Resolver, policies: Policies, port: u16) -> Self {
        Self { resolver, policies, port }
    }

    /// Finds a domain's servers, and what holds for all of them.
    pub(super) async fn servers(&self, domain: &Domain) -> Result<(Vec<Domain>, Rules), Unresolved> {
        let (servers, signed) = if self.policies.is_off(domain) {
            (self.resolver.servers(domain).await?, false)
        } else {
            let found = self.resolver.signed_servers(domain).await?;
            (found.value, found.signed)
        };
        let policy = self.policies.of(domain, &servers);
        Ok((servers, Rules { domain: domain.clone(), policy, signed }))
    }

    /// Finds a server's addresses and what is demanded of a connection to it.
    pub(super) async fn approach(
        &self,
        rules: &Rules,
        server: &Domain,
        reach: Reach,
    ) -> Result<(Vec<IpAddr>, Demand), Unresolved> {
        if !rules.signed || rules.policy == TlsPolicy::Off {
            return Ok((self.resolver.addresses(server, reach).await?, rules.demand(Published::Nothing)));
        }
        let found = self.resolver.signed_addresses(server, reach).await?;
        // RFC 7672 2.2.2: where the addresses are not signed, the question for TLSA may trouble old name servers.
        let published =
            if found.signed { self.published(rules, server, &found.value).await? } else { Published::Nothing };
        Ok((found.value.list, rules.demand(published)))
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
    fn demand(&self, published: Published) -> Demand {
        match (self.policy, published) {
            (TlsPolicy::Off, _) => Demand::Plain,
            (TlsPolicy::Require | TlsPolicy::Opportunistic, Published::Usable(dane)) => Demand::Dane(dane),
            (TlsPolicy::Require, Published::Unusable | Published::Nothing) => Demand::Verified,
            (TlsPolicy::Opportunistic, Published::Unusable) => Demand::Encrypted,
            (TlsPolicy::Opportunistic, Published::Nothing) => Demand::Any,
        }
    }
}
