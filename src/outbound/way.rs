//! The servers that a mail may be handed to, in the order to try them.
//!
//! Knows nothing of connections. What always holds: a server's addresses are looked up when it is its turn, so one that
//! cannot be looked up costs nothing while another takes the mail; the number of servers tried has a bound.

use super::demand::Demand;
use super::dial::Peer;
use super::guard::{Barred, Guard, Rules, Tested};
use crate::config::{Delivery, Host, Route, Smarthost};
use crate::model::{Domain, Reply, Stage};
use crate::net::resolver::{Reach, Unresolved};
use crate::queue::{Blame, Cause, Outcome, Verdict};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// How many addresses are dialled for one attempt, whatever the number of servers.
const TRIES: usize = 10;

/// Knows the ways out.
#[derive(Clone)]
pub struct Ways {
    guard: Guard,
    /// The one server that takes everything; nothing: the MX of each domain.
    smarthost: Option<Smarthost>,
    /// The port dialled at an MX.
    port: u16,
    reach: Reach,
}

/// One attempt's way.
pub struct Way {
    /// Whose mail it leads to.
    domain: Domain,
    ways: Ways,
    /// What holds for the domain's servers; nothing for the smarthost.
    rules: Option<Rules>,
    servers: VecDeque<Domain>,
    /// Those whose turn it is, of one server.
    peers: VecDeque<Peer>,
    /// What is demanded of them.
    demand: Demand,
    tried: usize,
    /// An address that is not tried: it has just failed.
    past: Option<SocketAddr>,
    /// What it means that a server could not be tried; a deferral is kept before any other.
    missed: Option<Outcome>,
}

impl Ways {
    /// Takes what the settings say of ways out.
    #[must_use]
    pub fn new(guard: Guard, delivery: &Delivery) -> Self {
        let smarthost = match &delivery.route {
            Route::Smarthost(smarthost) => Some(smarthost.clone()),
            Route::Mx | Route::Capture => None,
        };
        Self { guard, smarthost, port: delivery.port, reach: Reach::of(delivery.private_addresses) }
    }

    /// Says whether all mail takes one way, whatever its domain.
    #[must_use]
    pub const fn is_one(&self) -> bool {
        self.smarthost.is_some()
    }

    /// Finds the way for a domain's mail.
    ///
    /// # Errors
    /// The domain takes no mail, or its servers cannot be looked up.
    pub async fn find(&self, domain: &Domain) -> Result<Way, Unresolved> {
        let way = |servers: Vec<Domain>, rules| Way {
            domain: domain.clone(),
            ways: self.clone(),
            rules,
            servers: servers.into(),
            peers: VecDeque::new(),
            demand: self.guard.usual(),
            tried: 0,
            past: None,
            missed: None,
        };
        let Some(Smarthost { server, .. }) = &self.smarthost else {
            let (servers, rules) = self.guard.servers(domain).await?;
            return Ok(way(servers, Some(rules)));
        };
        Ok(match &server.host {
            Host::Name(name) => way(vec![name.clone()], None),
            Host::Address(address) => {
                let peer = peer(address.to_string(), *address, server.port);
                Way { peers: [peer].into(), ..way(Vec::new(), None) }
            }
        })
    }

    /// Finds a server's addresses and what is demanded of a connection to it.
    async fn approach(&self, rules: Option<&Rules>, server: &Domain) -> Result<(Vec<IpAddr>, Demand), Barred> {
        match rules {
            Some(rules) => self.guard.approach(rules, server, self.reach).await,
            // The operator named it, so it may be anywhere.
            None => Ok((self.guard.resolver().addresses(server, Reach::Any).await?, self.guard.usual())),
        }
    }
}

impl Way {
    /// Gives the domain whose mail it leads to.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Gives the next server to try and what it must show; nothing once all have been.
    pub async fn next(&mut self) -> Option<(Peer, Demand)> {
        if self.tried >= TRIES {
            return None;
        }
        while self.peers.is_empty() {
            let name = self.servers.pop_front()?;
            match self.ways.approach(self.rules.as_ref(), &name).await {
                Ok((found, demand)) => {
                    let port = self.port();
                    let peers = found.into_iter().map(|address| peer(name.to_string(), address, port));
                    self.peers = peers.filter(|peer| self.past != Some(peer.address)).collect();
                    self.demand = demand;
                }
                Err(barred) => {
                    let outcome = self.outcome_of(&barred);
                    self.note(outcome);
                }
            }
        }
        self.tried += 1;
        Some((self.peers.pop_front()?, self.demand.clone()))
    }

    /// Leads past an address.
    pub(super) fn past(mut self, address: SocketAddr) -> Self {
        self.peers.retain(|peer| peer.address != address);
        Self { past: Some(address), ..self }
    }

    /// Says whether it leads to the domain's own servers, and not to the one that takes everything.
    pub(super) const fn is_the_domains(&self) -> bool {
        self.rules.is_some()
    }

    /// Says what a policy that the domain only tests says of a server; nothing where it tests none.
    pub(super) fn tested(&self, server: &str) -> Option<Tested> {
        self.rules.as_ref()?.tested(server)
    }

    /// Says what a connection to a server must show if it is to carry this way's mail; nothing where the server is none of
    /// those to be tried.
    pub async fn demand_on(self, server: &str) -> Option<Demand> {
        if self.peers.iter().any(|peer| peer.name == server) {
            return Some(self.demand);
        }
        let server = self.servers.iter().find(|name| name.as_str() == server)?;
        if self.rules.is_none() {
            return Some(self.demand);
        }
        self.ways.approach(self.rules.as_ref(), server).await.ok().map(|(_, demand)| demand)
    }

    /// Says what it means that no server was found to try, or that none is left.
    #[must_use]
    pub fn end(self) -> Outcome {
        match self.missed {
            Some(outcome) if self.tried == 0 => outcome,
            _ => {
                let reply = Reply::none("no server is left to try");
                Outcome::Deferred { stage: Stage::Connect, reply, blame: Blame::Site, cause: Cause::Unreachable }
            }
        }
    }

    fn port(&self) -> u16 {
        self.ways.smarthost.as_ref().map_or(self.ways.port, |smarthost| smarthost.server.port)
    }

    /// Says what it means that a server could not be tried. Where the operator named it, that says nothing about any
    /// recipient.
    fn outcome_of(&self, barred: &Barred) -> Outcome {
        match barred {
            Barred::Unresolved(unresolved) if self.rules.is_some() => outcome_of(unresolved),
            Barred::Unresolved(unresolved) => {
                let reply = Reply::none(&format!("delivery.smarthost: {unresolved}"));
                Outcome::Deferred { stage: Stage::Connect, reply, blame: Blame::Site, cause: Cause::Dns }
            }
            Barred::Unnamed { .. } => {
                let reply = Reply::none(&barred.to_string());
                Outcome::Deferred { stage: Stage::StartTls, reply, blame: Blame::Site, cause: Cause::Tls }
            }
        }
    }

    fn note(&mut self, outcome: Outcome) {
        if !matches!(self.missed, Some(Outcome::Deferred { .. })) {
            self.missed = Some(outcome);
        }
    }
}

fn peer(name: String, address: IpAddr, port: u16) -> Peer {
    Peer { name, address: SocketAddr::new(address, port) }
}

/// Says what it means for a mail that its servers were not found.
#[must_use]
pub fn outcome_of(unresolved: &Unresolved) -> Outcome {
    let reply = Reply::none(&unresolved.to_string());
    let verdict = match unresolved {
        Unresolved::Trouble { .. } => {
            return Outcome::Deferred { stage: Stage::Connect, reply, blame: Blame::Site, cause: Cause::Dns };
        }
        // RFC 7505 4.2 and RFC 3463 (5.1.2): no mailbox can be there.
        Unresolved::NoDomain(_) | Unresolved::NullMx(_) | Unresolved::NoAddress(_) => Verdict::UnknownUser,
        Unresolved::Forbidden(_) => Verdict::OurFault,
    };
    Outcome::Refused { stage: Stage::Connect, reply, verdict }
}
