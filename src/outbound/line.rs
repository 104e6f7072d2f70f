//! A connection to a destination, found and opened: servers one after another until one takes us in.
//!
//! Knows nothing of mails. What always holds: each server is tried at most once on a [`Way`]; a server that turns us away with
//! 421 may be the one of several that is closing, so one more is asked, and no third; what was met on the way is in the [`Trip`],
//! whether it led anywhere or not.

use super::demand::Demand;
use super::dial::{Dialer, Peer, Trouble};
use super::guard::Tested;
use super::memory::Memory;
use super::session::Session;
use super::way::{Way, Ways, outcome_of};
use crate::clock::Clock;
use crate::model::{Carrier, Domain, LocalForm, Reply, Span, Stage, Timestamp};
use crate::queue::outcome::Delays;
use crate::queue::{Attempt, Blame, Cause, Job, Outcome, verdict};

/// How long one mail may look for a server that takes us in, all its addresses together.
const ROUND: Span = Span::from_secs(300);
/// What one of them gets of that at least; else half of what is left, so that a silent one leaves the next its time.
const SHARE: Span = Span::from_secs(30);

/// A connection, and the servers left to try should it fail.
pub(super) struct Line {
    pub(super) session: Session,
    way: Way,
    peer: Peer,
    /// What it was opened to be.
    demand: Demand,
    /// The domains whose mail may go over it, and when that was found out.
    carries: Vec<(Domain, Timestamp)>,
}

impl Line {
    /// Gives the way on, for the mail of `domain`; nothing where it leads to the servers of another.
    fn way_of(self, domain: &Domain) -> Option<Way> {
        (self.way.domain() == domain).then_some(self.way)
    }

    /// Says when it was found out that a domain's mail may go over it; nothing where that was not.
    pub(super) fn found(&self, domain: &Domain) -> Option<Timestamp> {
        self.carries.iter().find(|(carried, _)| carried == domain).map(|(_, found)| *found)
    }

    /// Says whether the domain's own server speaks TLS, where that was tried.
    fn speaks_tls(&self) -> Option<bool> {
        (self.way.is_the_domains() && self.demand.takes_tls()).then_some(self.session.tls().is_some())
    }
}

/// What is told of an attempt besides its outcome.
#[derive(Debug, Clone, Default)]
pub(super) struct Trip {
    mx: String,
    tls: Option<String>,
    pub(super) delays: Delays,
    /// How the recipient's local part is to be written, where that was found out.
    pub(super) form: Option<LocalForm>,
}

impl Trip {
    /// Notes the server that is being talked to.
    pub(super) fn meet(&mut self, server: &str, tls: Option<&str>) {
        self.mx = server.to_owned();
        self.tls = tls.map(str::to_owned);
    }

    /// Tells of the attempt.
    pub(super) fn attempt(self, job: &Job, outcome: Outcome) -> Attempt {
        let fence = job.lease.as_ref().map_or(0, |lease| lease.fence);
        Attempt { job: job.id, fence, mx: self.mx, tls: self.tls, delays: self.delays, form: self.form, outcome }
    }
}

/// Opens lines.
pub(super) struct Servers {
    ways: Ways,
    dialer: Dialer,
    memory: Memory,
    clock: Clock,
}

impl Servers {
    pub(super) const fn new(ways: Ways, dialer: Dialer, memory: Memory, clock: Clock) -> Self {
        Self { ways, dialer, memory, clock }
    }

    /// Says whether all mail goes to the same servers, whatever its domain.
    pub(super) const fn is_one_way(&self) -> bool {
        self.ways.is_one()
    }

    /// Opens a connection to the first server of a domain that takes us in.
    ///
    /// # Errors
    /// None does, or the domain has none: what that means for its mail.
    pub(super) async fn connect(&self, domain: &Domain, trip: &mut Trip) -> Result<Line, Outcome> {
        let began = self.clock.now();
        let found = self.ways.find(domain).await;
        trip.delays.resolve = trip.delays.resolve.plus(self.clock.now().since(began));
        self.go_on(found.map_err(|unresolved| outcome_of(&unresolved))?, trip).await
    }

    /// Opens a connection to the next server for the mail of a domain, behind one that broke off.
    ///
    /// # Errors
    /// None is left that takes us in: what that means for the mail.
    pub(super) async fn sibling(&self, line: Line, domain: &Domain, trip: &mut Trip) -> Result<Line, Outcome> {
        let failed = line.peer.address;
        let way = match line.way_of(domain) {
            Some(way) => way,
            // The old way is that of another domain.
            None => self.ways.find(domain).await.map_err(|unresolved| outcome_of(&unresolved))?.past(failed),
        };
        self.go_on(way, trip).await
    }

    /// Says whether a domain's mail may go over an open connection: the server is one of its own now, and what it showed is
    /// what that domain asks for. Two domains that share a server need not ask for the same.
    pub(super) async fn serves(&self, line: &mut Line, domain: &Domain) -> bool {
        if line.found(domain).is_some() {
            return true;
        }
        let now = self.clock.now();
        let Ok(way) = self.ways.find(domain).await else { return false };
        let Some(demand) = way.demand_on(&line.peer.name).await else { return false };
        // Where TLS was not even begun nothing is known of what the server would have done.
        let untried = demand.takes_tls() && !line.demand.takes_tls();
        let serves = demand == line.demand || !untried && self.dialer.meets(&line.session, &line.peer, &demand);
        line.carries.extend(serves.then(|| (domain.clone(), now)));
        serves
    }

    /// Tells what would have failed if the policy that a domain tests were enforced.
    fn test(&self, line: &Line) {
        let (domain, server) = (line.way.domain(), &line.peer.name);
        let fails = match line.way.tested(server) {
            None => false,
            Some(Tested::Unnamed) => true,
            Some(Tested::Named) => !self.dialer.meets(&line.session, &line.peer, &Demand::Verified),
        };
        if fails {
            tracing::warn!(%domain, server, "the MTA-STS policy that the domain tests would have kept its mail back");
        }
    }

    /// Opens a connection to the next server on a way.
    ///
    /// # Errors
    /// None is left that takes us in: what that means for the mail.
    async fn go_on(&self, mut way: Way, trip: &mut Trip) -> Result<Line, Outcome> {
        let (mut met, mut turned_away) = (None, false);
        loop {
            let began = self.clock.now();
            let peer = way.next().await;
            let found = self.clock.now();
            trip.delays.resolve = trip.delays.resolve.plus(found.since(began));
            let Some((peer, demand)) = peer else { return Err(met.unwrap_or_else(|| way.end())) };
            let left = Span::from_millis(ROUND.millis() - trip.delays.connect.millis());
            if left == Span::from_millis(0) {
                return Err(met.unwrap_or_else(|| way.end()));
            }
            let share = Span::from_millis(left.millis() / 2).max(SHARE);
            let opened = self.clock.within(found.plus(share), Box::pin(self.dialer.open(&peer, &demand))).await;
            let opened = opened
                .unwrap_or_else(|late| Err(Trouble { stage: Stage::Greeting, reply: Reply::none(&late.to_string()) }));
            trip.delays.connect = trip.delays.connect.plus(self.clock.now().since(found));
            match opened {
                Ok(session) => {
                    let carries = vec![(way.domain().clone(), began)];
                    let line = Line { session, way, peer, demand, carries };
                    self.test(&line);
                    if let Some(secured) = line.speaks_tls() {
                        self.memory.note(line.way.domain(), secured).await;
                    }
                    return Ok(line);
                }
                Err(trouble) => {
                    trip.meet(&peer.to_string(), None);
                    tracing::debug!(server = %peer, stage = %trouble.stage, said = %trouble.reply, "no connection");
                    let closes = trouble.reply.code == 421;
                    let outcome = outcome_of_trouble(trouble, way.domain(), &peer);
                    if closes && turned_away {
                        return Err(outcome);
                    }
                    turned_away |= closes;
                    met = Some(outcome);
                }
            }
        }
    }
}

/// Says what it means for a mail that a connection could not be opened.
fn outcome_of_trouble(trouble: Trouble, domain: &Domain, peer: &Peer) -> Outcome {
    let Trouble { stage, reply } = trouble;
    // Without TLS the mail could go if it did not have to be secured: whatever was said, that is why it waits. Who closes
    // (421) says something else.
    if stage == Stage::StartTls && reply.code != 421 {
        return Outcome::Deferred { stage, reply, blame: Blame::Site, cause: Cause::Tls };
    }
    verdict::judge(Carrier::of(domain, Some(&peer.name)), stage, reply)
}
