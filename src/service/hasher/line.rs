//! The line before Argon2: who waits for whom.
//!
//! Knows nothing of hashing. What always holds: whoever is known goes first, but every fourth turn is a stranger's; strangers
//! come one of each network in turn, so a crowd behind one gateway makes its own wait longer and nobody else's; of one network
//! no more than a quarter of the line's places are taken; a turn that nobody takes any more goes to the next.

use super::{HashError, Whose};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, oneshot};

/// How many may wait.
const PLACES: usize = 2_048;
/// How many of one network.
const OF_ONE: usize = PLACES / 4;
/// How many who are known go before a stranger does.
const BEFORE: usize = 3;

/// The line; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    waiting: Mutex<Waiting>,
    cores: Arc<Semaphore>,
    computed: AtomicU64,
}

/// A turn to compute; goes to the next when it is dropped.
#[derive(Debug)]
pub struct Turn(Option<Arc<Inner>>);

/// Whoever waits, called by what is sent there.
type Call = oneshot::Sender<Turn>;

#[derive(Debug, Default)]
struct Waiting {
    /// Turns that nobody has.
    free: usize,
    known: VecDeque<Call>,
    strangers: HashMap<[u8; 32], VecDeque<Call>>,
    /// The networks of strangers, in the order of their turns.
    round: VecDeque<[u8; 32]>,
    /// How many who are known were called since the last stranger.
    called: usize,
}

impl Line {
    /// Makes a line for that many turns; `cores` says how many of them compute at the same time.
    pub(super) fn new(turns: usize, cores: Arc<Semaphore>) -> Self {
        let waiting = Mutex::new(Waiting { free: turns, ..Waiting::default() });
        Self(Arc::new(Inner { waiting, cores, computed: AtomicU64::new(0) }))
    }

    /// Gives how many computations were begun so far.
    pub(super) fn computed(&self) -> u64 {
        self.0.computed.load(Ordering::Relaxed)
    }

    /// Takes a place, where there is one.
    pub(super) fn queue(&self, whose: Whose) -> Option<oneshot::Receiver<Turn>> {
        let (call, called) = oneshot::channel();
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.take(whose, call) {
            return None;
        }
        let free = waiting.free > 0;
        if free {
            waiting.free -= 1;
        }
        drop(waiting);
        if free {
            Inner::pass_on(&self.0);
        }
        Some(called)
    }
}

impl Waiting {
    /// Puts somebody into the line; where it is full, those who went away make room.
    fn take(&mut self, whose: Whose, call: Call) -> bool {
        if self.is_full(whose) {
            self.known.retain(|call| !call.is_closed());
            self.strangers.values_mut().for_each(|queue| queue.retain(|call| !call.is_closed()));
        }
        if self.is_full(whose) {
            return false;
        }
        match whose {
            Whose::Known => self.known.push_back(call),
            Whose::Network(network) => {
                if !self.strangers.contains_key(&network) {
                    self.round.push_back(network);
                }
                self.strangers.entry(network).or_default().push_back(call);
            }
        }
        true
    }

    fn is_full(&self, whose: Whose) -> bool {
        match whose {
            Whose::Known => self.known.len() >= PLACES,
            Whose::Network(network) => {
                let all: usize = self.strangers.values().map(VecDeque::len).sum();
                all >= PLACES || self.strangers.get(&network).is_some_and(|queue| queue.len() >= OF_ONE)
            }
        }
    }

    /// Calls the next one.
    fn next(&mut self) -> Option<Call> {
        if (self.called < BEFORE || self.round.is_empty())
            && let Some(call) = self.known.pop_front()
        {
            self.called += 1;
            return Some(call);
        }
        self.called = 0;
        while let Some(network) = self.round.pop_front() {
            let call = self.strangers.get_mut(&network).and_then(VecDeque::pop_front);
            match self.strangers.get(&network).is_some_and(|queue| !queue.is_empty()) {
                true => self.round.push_back(network),
                false => drop(self.strangers.remove(&network)),
            }
            if call.is_some() {
                return call;
            }
        }
        self.known.pop_front()
    }
}

impl Inner {
    /// Gives a turn to the next who still waits; keeps it where there is nobody.
    fn pass_on(this: &Arc<Self>) {
        loop {
            let mut waiting = this.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(call) = waiting.next() else {
                waiting.free += 1;
                return;
            };
            drop(waiting);
            let Err(mut missed) = call.send(Turn(Some(Arc::clone(this)))) else { return };
            // Nobody took it; it is still in our hands.
            missed.0 = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(line) = self.0.take() {
            Inner::pass_on(&line);
        }
    }
}

impl Turn {
    /// Computes something as soon as a core is free, which those before take no longer than a computation for.
    pub(in crate::service) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let line = self.0.as_ref().map(Arc::clone).ok_or(HashError::Busy)?;
        let core =
            Arc::clone(&line.cores).acquire_owned().await.map_err(|cause| HashError::Failed(cause.to_string()))?;
        line.computed.fetch_add(1, Ordering::Relaxed);
        // Both go along: whoever gave up still holds a core until Argon2 is through.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((core, self));
            done
        });
        done.await.map_err(|cause| HashError::Failed(cause.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Whose = Whose::Network([1; 32]);
    const OTHER: Whose = Whose::Network([2; 32]);

    fn line() -> Line {
        Line::new(1, Arc::new(Semaphore::new(1)))
    }

    /// Gives the order in which those who wait are called, each giving the turn back at once.
    fn order(first: Turn, mut waiting: Vec<(&'static str, oneshot::Receiver<Turn>)>) -> Vec<&'static str> {
        let mut order = Vec::new();
        let mut held = Some(first);
        while let Some(turn) = held.take() {
            drop(turn);
            let called = waiting.iter_mut().enumerate().find_map(|(at, (_, place))| Some((at, place.try_recv().ok()?)));
            if let Some((at, turn)) = called {
                order.push(waiting.remove(at).0);
                held = Some(turn);
            }
        }
        assert!(waiting.is_empty(), "nobody is forgotten");
        order
    }

    #[test]
    fn strangers_come_one_of_each_network_in_turn() {
        let line = line();
        let first = line.queue(ONE).unwrap().try_recv().unwrap();
        let names = [("a1", ONE), ("a2", ONE), ("a3", ONE), ("b1", OTHER), ("b2", OTHER)];
        let waiting = names.map(|(name, whose)| (name, line.queue(whose).unwrap())).into();
        assert_eq!(order(first, waiting), ["a1", "b1", "a2", "b2", "a3"]);
    }

    #[test]
    fn whoever_is_known_goes_first_but_every_fourth_turn_is_a_strangers() {
        let line = line();
        let first = line.queue(ONE).unwrap().try_recv().unwrap();
        let names = [("s1", ONE), ("s2", OTHER), ("k1", Whose::Known), ("k2", Whose::Known), ("k3", Whose::Known)];
        let more = [("k4", Whose::Known), ("k5", Whose::Known)];
        let waiting = names.into_iter().chain(more).map(|(name, whose)| (name, line.queue(whose).unwrap())).collect();
        assert_eq!(order(first, waiting), ["k1", "k2", "k3", "s1", "k4", "k5", "s2"]);
    }

    #[test]
    fn of_one_network_a_quarter_of_the_line_waits_at_most() {
        let line = line();
        let first = line.queue(Whose::Known).unwrap().try_recv().unwrap();
        let mut waiting: Vec<_> = (0..OF_ONE).map(|_| line.queue(ONE).unwrap()).collect();
        assert!(line.queue(ONE).is_none());
        assert!(line.queue(OTHER).is_some() && line.queue(Whose::Known).is_some());
        // Whoever gives up makes room.
        drop(waiting.pop());
        assert!(line.queue(ONE).is_some());
        drop(first);
    }

    #[test]
    fn all_networks_together_fill_the_line_and_no_more() {
        let line = line();
        let _first = line.queue(Whose::Known).unwrap().try_recv().unwrap();
        let _waiting: Vec<_> =
            (0..PLACES).map(|at| line.queue(Whose::Network([u8::try_from(at % 8).unwrap(); 32])).unwrap()).collect();
        assert!(line.queue(Whose::Network([99; 32])).is_none());
        assert!(line.queue(Whose::Known).is_some());
    }

    #[test]
    fn a_turn_that_nobody_takes_goes_to_the_next() {
        let line = line();
        let first = line.queue(ONE).unwrap().try_recv().unwrap();
        let (gone, mut called) = (line.queue(ONE).unwrap(), line.queue(OTHER).unwrap());
        drop(gone);
        drop(first);
        let turn = called.try_recv().unwrap();
        let untaken = line.queue(ONE).unwrap();
        drop(turn);
        // It was on its way when nobody wanted it any more.
        drop(untaken);
        assert!(line.queue(ONE).unwrap().try_recv().is_ok());
    }
}
