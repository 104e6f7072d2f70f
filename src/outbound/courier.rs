//! Carries the mails of one destination over one connection.
//!
//! For each job: a connection, the mail composed and signed, the transaction, and what came of it written down. Where the
//! seat has another mail that can wait, its commands go right behind the body of the one before. A server that breaks off, or
//! closes for a reason of its own, before it has said anything about the mail sends the courier on to the next one, once; what a
//! call to slow down is, and what says nothing at all, is decided in [`super::errand`].
//!
//! Knows nothing of where jobs come from. What always holds: a mail's outcome is in the store before the body of the next is
//! written, so that a crash repeats at most one mail for each connection; a mail of which a server has heard nothing but
//! commands behind another's body goes back as if it had not been tried; mail that can wait is composed when there is a
//! server to hand it to, what is urgent maybe a moment before; when no server of a destination is to be reached, what is
//! urgent there shares that fate and does not try one by one, and what can wait goes back to the store untried, as it does
//! where a domain's own names or demands keep its mail from servers that are there ([`crate::queue::kept`]); what a
//! destination is to learn from a server that failed it learns before the next is asked, and each MAIL has a token of its own;
//! a connection refused beside open ones is no matter of any mail; no connection is opened before the last one is closed.

use super::errand::{Detour, Errand, ours};
use super::leases::Hold;
use super::line::{Line, Servers, Trip};
use super::office::{Exit, NotWritten, Office, drop_unsent, keep};
use super::outbox::Outbox;
use super::seat::Seat;
use crate::model::{Reply, Span, Timestamp};
use crate::queue::lanes::Part;
use crate::queue::outcome::Delays;
use crate::queue::pace::Signal;
use crate::queue::turn::is_urgent;
use crate::queue::view::Held;
use crate::queue::{Cause, Job, Outcome};
use crate::service::compose::{Outgoing, Unwanted};
use crate::smtp::client::{After, Ending, NotAhead, Upshot};
use std::sync::Arc;
use tokio::task::JoinSet;

/// How long a mail that is on its way waits to hear whether another may go behind it.
const GLANCE: Span = Span::from_millis(100);
/// How long a mail waits for the token with which it is begun once more; where there is none within that, it waits in the store.
const TOKEN: Span = Span::from_secs(30);

/// Carries mails until nothing is left to carry.
pub(super) struct Courier {
    office: Arc<Office>,
    seat: Seat,
    line: Option<Line>,
    /// What opening the connection took, until a mail is told of it.
    dialled: Option<Delays>,
    /// How many mails it has carried.
    carried: u32,
    /// The outcomes on their way into the store.
    settling: JoinSet<()>,
}

/// A mail whose turn it is on a connection.
struct Turn {
    errand: Errand,
    /// Its commands went behind the body of the one before.
    went_ahead: bool,
}

impl Courier {
    pub(super) fn new(office: Arc<Office>, seat: Seat) -> Self {
        Self { office, seat, line: None, dialled: None, carried: 0, settling: JoinSet::new() }
    }

    /// Carries whatever comes for the destination; `reason` is the mail for which a connection is opened, though another may
    /// be more urgent by the time it stands.
    pub(super) async fn run(mut self, reason: Job) {
        if self.reach(reason).await {
            while let Some(job) = self.seat.next().await {
                if !self.carry(job).await || self.makes_way() || self.has_no_line() {
                    break;
                }
            }
        }
        if let Some(line) = self.line.take() {
            self.seat.closed();
            line.session.quit().await;
        }
        self.settled().await;
    }

    /// Says whether its connection is gone. Who is urgent does not wait for the next one to be opened: that is the matter of
    /// another courier, while the mail waits for whichever connection is free first.
    fn has_no_line(&self) -> bool {
        self.line.is_none() && matches!(self.office.exit, Exit::Servers(_))
    }

    /// Says whether this courier has had its share of mails while another destination has no connection at all.
    fn makes_way(&self) -> bool {
        self.carried >= self.seat.messages() && self.seat.is_crowded_out()
    }

    /// Opens the first connection; says whether there is one.
    async fn reach(&mut self, job: Job) -> bool {
        let office = Arc::clone(&self.office);
        let Exit::Servers(servers) = &office.exit else {
            self.seat.opened();
            self.seat.put_back(job);
            return true;
        };
        let mut trip = self.trip(&job);
        match Box::pin(self.connect(servers, &job, &mut trip)).await {
            Ok(line) => {
                self.line = Some(line);
                self.dialled = Some(trip.delays);
                self.seat.put_back(job);
                true
            }
            Err(outcome) => {
                self.unreached(job, Part::Reason, &trip, &outcome);
                false
            }
        }
    }

    /// No server takes the connection in: the jobs that share this fate are tried.
    fn unreached(&mut self, job: Job, part: Part, trip: &Trip, outcome: &Outcome) {
        let one_way = matches!(&self.office.exit, Exit::Servers(servers) if servers.is_one_way());
        let shared = match outcome {
            // What one domain's name servers say, or what it demands of a connection, is no matter of others with its servers.
            Outcome::Deferred { cause: cause @ (Cause::Dns | Cause::Tls), .. } if !one_way => {
                self.seat.kept_back(job, part, *cause)
            }
            Outcome::Refused { .. } => {
                let domain = job.order.to.domain().clone();
                self.seat.reached(&domain, self.office.clock.now());
                self.seat.withdraw(job, part).into_iter().chain(self.seat.kin(&domain)).collect()
            }
            _ => self.seat.unreached(job, part),
        };
        for job in shared {
            self.record(job, trip.clone(), outcome.clone());
        }
    }

    /// Begins to tell of a mail.
    fn trip(&mut self, job: &Job) -> Trip {
        let queue = self.office.clock.now().since(job.due);
        let Held { suspended, throttled } = self.seat.waited(job.due);
        let dialled = self.dialled.take().unwrap_or_default();
        let mut trip = Trip::default();
        trip.delays = Delays {
            queue,
            suspended,
            throttled,
            held: job.held,
            resolve: dialled.resolve,
            connect: dialled.connect,
            ..Delays::default()
        };
        trip
    }

    /// Carries one mail, and those that go ahead behind it; says whether the courier may go on.
    async fn carry(&mut self, job: Job) -> bool {
        let trip = self.trip(&job);
        if job.order.give_up <= self.office.clock.now() {
            self.tried(job, trip, Outcome::Expired);
            return true;
        }
        let office = Arc::clone(&self.office);
        match &office.exit {
            Exit::Outbox(outbox) => {
                self.capture(outbox, job, trip).await;
                true
            }
            Exit::Servers(_) if !self.is_usable().await => {
                self.seat.unsent(job);
                false
            }
            Exit::Servers(servers) => {
                let goes_on = Box::pin(self.deliver(servers, job, trip)).await;
                self.seat.ahead_ended();
                goes_on
            }
        }
    }

    /// Says whether its connection still stands; a server may have closed it while it was idle.
    async fn is_usable(&mut self) -> bool {
        match &mut self.line {
            Some(line) => line.session.is_usable().await,
            None => false,
        }
    }

    async fn capture(&mut self, outbox: &Outbox, job: Job, trip: Trip) {
        let written = self.office.write(&job).await;
        let Some(Errand { job, mut trip, letter, .. }) = self.written(job, trip, written) else { return };
        self.settled().await;
        trip.meet("outbox", None);
        let outcome = match outbox.put(job.id, Arc::unwrap_or_clone(letter).message).await {
            Ok(()) => Outcome::Accepted(Reply::new(250, "2.0.0 captured")),
            Err(error) => ours(Cause::Ours, &format!("the outbox cannot be written: {error}")),
        };
        self.tried(job, trip, outcome);
    }

    async fn deliver(&mut self, servers: &Servers, mut job: Job, mut trip: Trip) -> bool {
        loop {
            let id = job.id;
            let (line, written) = match self.reach_and_write(servers, &job, &mut trip).await {
                Ok(reached) => reached,
                Err(outcome) => {
                    self.seat.report(None);
                    self.unreached(job, Part::Taken, &trip, &outcome);
                    return false;
                }
            };
            // A connection was opened and a mail signed meanwhile: somebody may be waiting by now, or in a moment.
            if !is_urgent(job.order.class) {
                self.office.pool.claims_up_to(self.office.store.coming()).await;
            }
            job = self.seat.exchange(job);
            if job.id != id {
                self.line = Some(line);
                trip = self.trip(&job);
                continue;
            }
            return match self.written(job, trip, written) {
                Some(errand) => Box::pin(self.send(servers, line, errand)).await,
                None => {
                    self.line = Some(line);
                    true
                }
            };
        }
    }

    async fn reach_and_write(
        &mut self,
        servers: &Servers,
        job: &Job,
        trip: &mut Trip,
    ) -> Result<(Line, Result<Outgoing, NotWritten>), Outcome> {
        let line = self.connect(servers, job, trip).await?;
        Ok((line, self.office.write(job).await))
    }

    /// Gives a connection: the last one, where it is still good, and good enough for this mail; else a new one.
    async fn connect(&mut self, servers: &Servers, job: &Job, trip: &mut Trip) -> Result<Line, Outcome> {
        let domain = job.order.to.domain();
        if let Some(mut line) = self.line.take() {
            if servers.serves(&mut line, domain).await {
                return Ok(line);
            }
            self.seat.closed();
            line.session.quit().await;
        }
        self.seat.closed();
        let line = servers.connect(domain, trip).await?;
        self.seat.opened();
        Ok(line)
    }

    /// Takes the mail that was written for a job; nothing where that was its end.
    fn written(&mut self, job: Job, trip: Trip, written: Result<Outgoing, NotWritten>) -> Option<Errand> {
        match written {
            Ok(mail) => return Some(Errand::new(job, trip, mail, self.office.clock.now())),
            Err(NotWritten::Ours(outcome)) => self.tried(job, trip, outcome),
            Err(NotWritten::Unwanted(why)) => {
                self.seat.report(None);
                self.drop_unsent(job, why);
            }
        }
        None
    }

    /// Sends a mail and those that go ahead behind it, one after another, each to the server that is connected or, where
    /// that fails before anything was said about the mail, to the next one; says whether the courier may go on.
    async fn send(&mut self, servers: &Servers, mut line: Line, first: Errand) -> bool {
        let mut turn = Turn { errand: first, went_ahead: false };
        loop {
            let Some((ending, behind)) = self.transact(servers, &mut line, &turn).await else {
                drop(line);
                self.seat.closed();
                self.seat.unsent(turn.errand.job);
                return false;
            };
            turn.errand.trip.meet(line.session.server(), line.session.tls());
            if let Some(detour) = turn.errand.detour(&ending, line.session.sent() > 1, turn.went_ahead) {
                self.unsent(behind);
                turn.went_ahead = false;
                if self.office.pool.has_ended() {
                    self.seat.unsent(turn.errand.job);
                    return false;
                }
                let host = line.session.host().to_owned();
                self.seat.report(detour.signal());
                match Box::pin(self.again(servers, line, &mut turn.errand, &detour)).await {
                    Ok(next) => line = next,
                    // What the destination was to learn from it has been told.
                    Err(unreached) => return self.stranded(turn.errand, &host, ending.upshot, unreached),
                }
                continue;
            }
            self.end(turn.errand, line.session.host(), ending.upshot);
            match behind {
                Some(next) if ending.after != After::Gone => {
                    self.seat.moved_up();
                    turn = next;
                    turn.errand.began = self.office.clock.now();
                }
                behind => {
                    self.unsent(behind);
                    self.part(line, ending.after).await;
                    return true;
                }
            }
        }
    }

    /// Does one mail's transaction; gives how it ended, and the mail whose turn is next on this connection, where one was
    /// taken on. Gives nothing where the mail may be another worker's by now: its body was not written.
    async fn transact(&mut self, servers: &Servers, line: &mut Line, turn: &Turn) -> Option<(Ending, Option<Turn>)> {
        let domain = turn.errand.job.order.to.domain();
        if let Some(found) = line.found(domain) {
            self.seat.reached(domain, found);
        }
        line.session.ends_with(self.office.pool.end());
        if !turn.went_ahead
            && let Err(ending) = line.session.begin(&turn.errand.letter).await
        {
            return Some((ending, None));
        }
        let job = self.take_ahead(servers, line, &turn.errand).await;
        let office = Arc::clone(&self.office);
        let writing = async {
            match &job {
                Some(job) => Some(office.write(job).await),
                None => None,
            }
        };
        let leases = office.leases.clone();
        let securing = leases.secure(&turn.errand.job);
        let (ready, written, (), hold) = tokio::join!(line.session.ready(), writing, self.settled(), securing);
        let next = job.zip(written).and_then(|(job, written)| {
            let trip = self.trip(&job);
            self.written(job, trip, written)
        });
        if let Err(ending) = ready {
            return Some((ending, next.map(|errand| Turn { errand, went_ahead: false })));
        }
        match leases.still(&turn.errand.job, hold).await {
            Hold::Until(_) => {}
            Hold::Lost => {
                self.office.pool.strike(&turn.errand.job);
                return None;
            }
            Hold::Unknown => return None,
        }
        let next = next.and_then(|errand| self.go_ahead(line, errand));
        match line.session.body().await {
            Ok(()) => Some((line.session.verdict().await, next)),
            Err(ending) => Some((ending, next)),
        }
    }

    /// Takes on a mail that may go behind the one that is under way, now or never.
    async fn take_ahead(&self, servers: &Servers, line: &mut Line, errand: &Errand) -> Option<Job> {
        // Whoever waits for a mail does not wait for another's signature first.
        let may = line.session.sends_ahead()
            && line.session.sent() < self.seat.messages()
            && !is_urgent(errand.job.order.class)
            && !self.makes_way();
        let Some(job) = may.then(|| self.seat.ahead()).flatten() else {
            self.seat.ahead_ended();
            return None;
        };
        let glance = self.office.clock.now().plus(GLANCE);
        let serves = self.office.clock.within(glance, servers.serves(line, job.order.to.domain())).await;
        if serves == Ok(true) {
            return Some(job);
        }
        self.seat.unsent(job);
        self.seat.ahead_ended();
        None
    }

    /// Lets a mail's commands go behind the body that is written next; nothing where it is over already.
    fn go_ahead(&mut self, line: &mut Line, mut errand: Errand) -> Option<Turn> {
        match line.session.ahead(&errand.letter) {
            Ok(()) => Some(Turn { errand, went_ahead: true }),
            Err(NotAhead::Alone) => Some(Turn { errand, went_ahead: false }),
            Err(NotAhead::Over(ending)) => {
                errand.trip.meet(line.session.server(), line.session.tls());
                self.end(errand, line.session.host(), ending.upshot);
                None
            }
        }
    }

    /// Gives the connection by which a mail is tried once more, when it has the token for that.
    ///
    /// # Errors
    /// There is none, and the mail has ended as it did; or as is said here, where that was no end.
    async fn again(
        &mut self,
        servers: &Servers,
        line: Line,
        errand: &mut Errand,
        detour: &Detour,
    ) -> Result<Line, Option<Outcome>> {
        let line = self.elsewhere(servers, line, errand, detour).await?;
        let until = match detour {
            // What was said of the one form is not the last word on the mail.
            Detour::Otherwise => Timestamp::from_millis(i64::MAX),
            Detour::Anew(_) | Detour::Sibling(_) => self.office.clock.now().plus(TOKEN),
        };
        if self.seat.again(until).await {
            return Ok(line);
        }
        self.seat.closed();
        line.session.quit().await;
        Err(None)
    }

    async fn elsewhere(
        &mut self,
        servers: &Servers,
        line: Line,
        errand: &mut Errand,
        detour: &Detour,
    ) -> Result<Line, Option<Outcome>> {
        let (domain, trip) = (errand.job.order.to.domain(), &mut errand.trip);
        let next = match detour {
            Detour::Otherwise if line.session.sent() < self.seat.messages() => return Ok(line),
            Detour::Otherwise => {
                self.seat.closed();
                line.session.quit().await;
                servers.connect(domain, trip).await.map_err(Some)
            }
            Detour::Anew(_) => {
                drop(line);
                self.seat.closed();
                servers.connect(domain, trip).await.map_err(Some)
            }
            Detour::Sibling(_) => {
                self.seat.closed();
                servers.sibling(line, domain, trip).await.ok().ok_or(None)
            }
        }?;
        self.seat.opened();
        Ok(next)
    }

    /// Ends a mail for which no connection was found once more; says whether the courier may go on.
    fn stranded(&mut self, errand: Errand, host: &str, upshot: Upshot, unreached: Option<Outcome>) -> bool {
        if let Some(outcome) = unreached {
            self.unreached(errand.job, Part::Taken, &errand.trip, &outcome);
            return false;
        }
        let (job, trip, outcome) = errand.end(Some(host), upshot, self.office.clock.now());
        self.carried += 1;
        self.record(job, trip, outcome);
        true
    }

    /// Keeps the connection for the next mail, or leaves it.
    async fn part(&mut self, line: Line, after: After) {
        match after {
            After::Gone => drop(line),
            After::Ready | After::Reset if line.session.sent() >= self.seat.messages() => {
                // It takes no other mail while it says goodbye: another may not count on it.
                self.seat.closed();
                line.session.quit().await;
            }
            After::Ready | After::Reset => {
                self.line = Some(line);
                return;
            }
        }
        self.seat.closed();
    }

    /// Puts a mail back that was taken on and of which no server has heard more than commands.
    fn unsent(&self, turn: Option<Turn>) {
        if let Some(turn) = turn {
            self.seat.unsent(turn.errand.job);
        }
    }

    fn end(&mut self, errand: Errand, host: &str, upshot: Upshot) {
        let (job, trip, outcome) = errand.end(Some(host), upshot, self.office.clock.now());
        self.tried(job, trip, outcome);
    }

    fn tried(&mut self, job: Job, trip: Trip, outcome: Outcome) {
        self.carried += 1;
        self.seat.report(Signal::of(&outcome));
        self.record(job, trip, outcome);
    }

    fn record(&mut self, job: Job, trip: Trip, outcome: Outcome) {
        self.office.pool.told(&job);
        let attempt = trip.attempt(&job, outcome);
        self.settling.spawn(keep(Arc::clone(&self.office), job, attempt));
    }

    fn drop_unsent(&mut self, job: Job, why: Unwanted) {
        self.settling.spawn(drop_unsent(Arc::clone(&self.office), job, why));
    }

    /// Waits until every outcome so far is in the store.
    async fn settled(&mut self) {
        while self.settling.join_next().await.is_some() {}
    }
}
