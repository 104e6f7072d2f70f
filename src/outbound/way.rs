//! The servers that a mail may be handed to, in the order to try them.
//!
//! Knows nothing of connections. What always holds: a server's addresses are looked up when it is its turn, so one that
//! cannot be looked up costs nothing while another takes the mail; the number of servers tried has a bound.

use super::dial::Peer;
use crate::config::{Host, Route, Smarthost};
use crate::model::{Domain, Reply, Stage};
use crate::net::resolver::{Reach, Resolver, Unresolved};
use crate::queue::{Blame, Cause, Outcome, Verdict};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// How many addresses are dialled for one attempt, whatever the number of servers.
const TRIES: usize = 10;

/// Knows the ways out.
#[derive(Clone)]
pub struct Ways {
    resolver: Resolver,
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
    resolver: Resolver,
    reach: Reach,
    port: u16,
    servers: VecDeque<Domain>,
    peers: VecDeque<Peer>,
    tried: usize,
    /// The operator named the server: that it is not found says nothing about any recipient.
    named: bool,
    /// Why a server had no address; temporary trouble is kept before any other.
    unresolved: Option<Unresolved>,
}

impl Ways {
    /// Takes what the settings say of ways out: `port` is the one dialled at an MX, `private_addresses` lets an MX be inside
    /// a private network.
    #[must_use]
    pub fn new(resolver: Resolver, route: &Route, port: u16, private_addresses: bool) -> Self {
        let reach = if private_addresses { Reach::Any } else { Reach::Public };
        let smarthost = match route {
            Route::Smarthost(smarthost) => Some(smarthost.clone()),
            Route::Mx | Route::Capture => None,
        };
        Self { resolver, smarthost, port, reach }
    }

    /// Finds the way for a domain's mail.
    ///
    /// # Errors
    /// The domain takes no mail, or its servers cannot be looked up.
    pub async fn find(&self, domain: &Domain) -> Result<Way, Unresolved> {
        let way = |servers: Vec<Domain>, peers: Vec<Peer>, port, reach| Way {
            domain: domain.clone(),
            resolver: self.resolver.clone(),
            reach,
            port,
            servers: servers.into(),
            peers: peers.into(),
            tried: 0,
            named: self.smarthost.is_some(),
            unresolved: None,
        };
        match &self.smarthost {
            None => Ok(way(self.resolver.servers(domain).await?, Vec::new(), self.port, self.reach)),
            // The operator named it, so it may be anywhere.
            Some(Smarthost { server, .. }) => Ok(match &server.host {
                Host::Name(name) => way(vec![name.clone()], Vec::new(), server.port, Reach::Any),
                Host::Address(address) => {
                    let peer = peer(address.to_string(), *address, server.port);
                    way(Vec::new(), vec![peer], server.port, Reach::Any)
                }
            }),
        }
    }
}

impl Way {
    /// Gives the domain whose mail it leads to.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Gives the next server to try; nothing once all have been.
    pub async fn next(&mut self) -> Option<Peer> {
        if self.tried >= TRIES {
            return None;
        }
        while self.peers.is_empty() {
            let name = self.servers.pop_front()?;
            match self.resolver.addresses(&name, self.reach).await {
                Ok(found) => {
                    self.peers = found.into_iter().map(|address| peer(name.to_string(), address, self.port)).collect();
                }
                Err(unresolved) => self.note(unresolved),
            }
        }
        self.tried += 1;
        self.peers.pop_front()
    }

    /// Says what it means that no server was found to try, or that none is left.
    #[must_use]
    pub fn end(self) -> Outcome {
        match self.unresolved {
            Some(unresolved) if self.tried == 0 && self.named => {
                let reply = Reply::none(&format!("delivery.smarthost: {unresolved}"));
                Outcome::Deferred { stage: Stage::Connect, reply, blame: Blame::Site, cause: Cause::Dns }
            }
            Some(unresolved) if self.tried == 0 => outcome_of(&unresolved),
            _ => {
                let reply = Reply::none("no server is left to try");
                Outcome::Deferred { stage: Stage::Connect, reply, blame: Blame::Site, cause: Cause::Unreachable }
            }
        }
    }

    fn note(&mut self, unresolved: Unresolved) {
        if !self.unresolved.as_ref().is_some_and(Unresolved::is_temporary) {
            self.unresolved = Some(unresolved);
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
