//! Which receiving system a recipient's domain belongs to.
//!
//! By the group that names the domain; else by the server that its mail prefers, so that the companies of one hoster share what
//! the hoster takes; else, where no server is found, by itself.
//!
//! Knows nothing of jobs. What always holds: what is remembered has a bound and an age, so that a domain that moves is followed.

use super::unplaced::Rank;
use crate::clock::Clock;
use crate::model::{Domain, Span, Timestamp};
use crate::net::resolver::Resolver;
use crate::queue::destination::{Groups, Limits, Name};
use crate::queue::lanes::Moved;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// How many domains are remembered; beyond it all of them are looked up anew.
const DOMAINS: usize = 50_000;
/// For how long it is believed where a domain belongs.
const BELIEVED: Span = Span::from_secs(600);
/// For how long it is believed that no server is found.
const DOUBTED: Span = Span::from_secs(30);
/// How many domains are looked up at a time for each rank: a one-time password does not wait behind what others look up.
const LOOKUPS: usize = 100;

/// How destinations are found.
pub(super) enum Sight {
    /// All mail takes one way, whatever its domain; under this name.
    OneWay(Name),
    /// By the servers of each domain.
    Servers(Box<Resolver>),
}

pub(super) struct Atlas {
    sight: Sight,
    clock: Clock,
    lookups: [Semaphore; 3],
    state: Mutex<State>,
}

struct State {
    groups: Arc<Groups>,
    known: HashMap<Domain, Known>,
}

/// Where a domain belongs.
struct Known {
    name: Name,
    /// The server that its mail prefers, where that was looked up and found.
    server: Option<Domain>,
    until: Timestamp,
}

impl Atlas {
    pub(super) fn new(sight: Sight, groups: Groups, clock: Clock) -> Self {
        let state = State { groups: Arc::new(groups), known: HashMap::new() };
        Self { sight, clock, lookups: [LOOKUPS; 3].map(Semaphore::new), state: Mutex::new(state) }
    }

    /// Says where a domain belongs; nothing where that is to be looked up.
    pub(super) fn find(&self, domain: &Domain) -> Option<Name> {
        if let Sight::OneWay(name) = &self.sight {
            return Some(name.clone());
        }
        let now = self.clock.now();
        let mut state = self.lock();
        if let Some(known) = state.known.get(domain).filter(|known| now < known.until) {
            return Some(known.name.clone());
        }
        let name = Name::new(&state.groups.of_domain(domain)?.name);
        state.note(domain, &name, None, now.plus(BELIEVED));
        Some(name)
    }

    /// Looks up where a domain belongs, for mail of that rank.
    pub(super) async fn look_up(&self, domain: &Domain, rank: Rank) -> Name {
        let resolver = match &self.sight {
            Sight::OneWay(name) => return name.clone(),
            Sight::Servers(resolver) => resolver,
        };
        // Never closed.
        let turn = self.lookups[rank as usize].acquire().await;
        let found = resolver.preferred(domain).await;
        drop(turn);
        let now = self.clock.now();
        let mut state = self.lock();
        let (name, until) = match &found {
            Ok(server) => {
                let group = state.groups.find(domain, std::slice::from_ref(server));
                (group.map_or(server.as_str(), |group| &group.name), now.plus(BELIEVED))
            }
            Err(_) => (domain.as_str(), now.plus(DOUBTED)),
        };
        let name = Name::new(name);
        state.note(domain, &name, found.ok(), until);
        name
    }

    /// Lists the domains that are known to belong to a destination.
    pub(super) fn domains(&self, of: &Name) -> Vec<Domain> {
        let state = self.lock();
        state.known.iter().filter(|(_, known)| known.name == *of).map(|(domain, _)| domain.clone()).collect()
    }

    /// Gives the limits of a destination that has a name of its own.
    pub(super) fn limits(&self, of: &Name) -> Option<Limits> {
        self.lock().groups.named(of.as_str()).map(|group| group.limits)
    }

    /// Takes other groups; gives the domains that belong elsewhere now.
    pub(super) fn regroup(&self, groups: Groups) -> Vec<Moved> {
        let mut state = self.lock();
        let mut moved = Vec::new();
        state.known.retain(|domain, known| {
            let to = known.name_in(&groups, domain);
            if to.as_ref() != Some(&known.name) {
                moved.push(Moved { domain: domain.clone(), from: known.name.clone(), to: to.clone() });
            }
            to.map(|name| known.name = name).is_some()
        });
        state.groups = Arc::new(groups);
        moved
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, domain: &Domain, name: &Name, server: Option<Domain>, until: Timestamp) {
        if self.known.len() >= DOMAINS {
            self.known.clear();
        }
        self.known.insert(domain.clone(), Known { name: name.clone(), server, until });
    }
}

impl Known {
    /// Names the destination by other groups; nothing where the domain's servers would have to be looked up.
    fn name_in(&self, groups: &Groups, domain: &Domain) -> Option<Name> {
        if let Some(group) = groups.find(domain, self.server.as_slice()) {
            return Some(Name::new(&group.name));
        }
        match &self.server {
            Some(server) => Some(Name::new(server.as_str())),
            None => (self.name.as_str() == domain.as_str()).then(|| self.name.clone()),
        }
    }
}
