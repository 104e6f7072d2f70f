//! Carries the mails of one destination over one connection, one mail at a time.
//!
//! For each job: a connection, the mail composed and signed, the transaction, and what came of it written down. What goes
//! wrong with a server before it has said anything about the mail sends the courier on to the next one.
//!
//! Knows nothing of where jobs come from. What always holds: a mail's outcome is in the store before the next mail is
//! given away, so that a crash repeats at most one mail for each connection; a mail is composed when there is a server to
//! hand it to; when no server of a destination is to be reached, what waits for it shares that fate and does not try one
//! by one; a connection refused beside open ones is no matter of any mail.

use super::line::{Line, Servers, Trip};
use super::office::{Exit, Office, drop_unsent, keep};
use super::outbox::Outbox;
use super::seat::Seat;
use super::sign::SignError;
use crate::model::{Carrier, Reply, ReversePath, Stage};
use crate::queue::outcome::Delays;
use crate::queue::pace::Signal;
use crate::queue::view::Held;
use crate::queue::{Blame, Cause, Job, Outcome, Verdict, verdict};
use crate::service::compose::{ComposeError, Composed, Outgoing, Unwanted};
use crate::smtp::client::{After, Ending, Envelope, Unfit, Upshot};
use std::sync::Arc;
use tokio::task::JoinSet;

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
    /// The connections that are being closed.
    parting: JoinSet<()>,
}

/// How an errand ended.
enum End {
    /// The mail was tried.
    Tried(Outcome),
    /// No server was to be reached, which is no matter of this mail.
    Unreached(Outcome),
    /// The daemon's end came before the mail was given away.
    Unsent,
    /// The mail is not to be sent.
    Unwanted(Unwanted),
}

/// Why a mail could not be written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Compose(#[from] ComposeError),
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl WriteError {
    const fn cause(&self) -> Cause {
        match self {
            Self::Sign(SignError::Key { .. } | SignError::Signing(_)) => Cause::NoKey,
            Self::Sign(SignError::Stopped) | Self::Compose(_) => Cause::Ours,
        }
    }
}

impl Office {
    /// Composes and signs the mail.
    async fn write(&self, job: &Job) -> Result<Outgoing, End> {
        match self.written(job).await {
            Ok(Composed::Mail(mail)) => Ok(mail),
            Ok(Composed::Unwanted(why)) => Err(End::Unwanted(why)),
            Err(error) => {
                tracing::error!(job = %job.id, %error, "a mail cannot be written; it waits");
                Err(End::Tried(ours(error.cause(), &format!("the mail cannot be written: {error}"))))
            }
        }
    }

    async fn written(&self, job: &Job) -> Result<Composed, WriteError> {
        Ok(match self.composer.compose(job).await? {
            Composed::Mail(mail) => {
                let message = self.signer.sign(mail.message).await?;
                Composed::Mail(Outgoing { message, ..mail })
            }
            unwanted @ Composed::Unwanted(_) => unwanted,
        })
    }
}

impl Courier {
    pub(super) fn new(office: Arc<Office>, seat: Seat) -> Self {
        Self { office, seat, line: None, dialled: None, carried: 0, settling: JoinSet::new(), parting: JoinSet::new() }
    }

    /// Carries whatever comes for the destination; `reason` is the mail for which a connection is opened, though another may
    /// be more urgent by the time it stands.
    pub(super) async fn run(mut self, reason: Job) {
        if self.reach(reason).await {
            while let Some(job) = self.seat.next().await {
                if !self.carry(job).await || self.makes_way() {
                    break;
                }
            }
        }
        if let Some(line) = self.line.take() {
            line.session.quit().await;
        }
        self.settled().await;
        while self.parting.join_next().await.is_some() {}
    }

    /// Says whether this courier has had its share of mails while another destination has no connection at all.
    fn makes_way(&mut self) -> bool {
        self.carried += 1;
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
        let mut trip = Trip::default();
        trip.delays = self.delays(&job);
        match Box::pin(self.connect(servers, &job, &mut trip)).await {
            Ok(()) => {
                self.dialled = Some(trip.delays);
                self.seat.put_back(job);
                true
            }
            Err(outcome) => {
                self.unreached(job, &trip, &outcome);
                false
            }
        }
    }

    /// No server takes the connection in: the jobs that share this fate are tried.
    fn unreached(&mut self, job: Job, trip: &Trip, outcome: &Outcome) {
        // What one domain's name servers say, or what it demands of a connection, is no matter of the destination.
        let shared = match outcome {
            Outcome::Deferred { cause: Cause::Dns | Cause::Tls, .. } | Outcome::Refused { .. } => vec![job],
            _ => self.seat.unreached(job),
        };
        for job in shared {
            self.record(job, trip.clone(), outcome.clone());
        }
    }

    fn delays(&mut self, job: &Job) -> Delays {
        let queue = self.office.clock.now().since(job.due);
        let Held { suspended, throttled } = self.seat.waited(job.due);
        let dialled = self.dialled.take().unwrap_or_default();
        Delays {
            queue,
            suspended,
            throttled,
            held: job.held,
            resolve: dialled.resolve,
            connect: dialled.connect,
            ..Delays::default()
        }
    }

    /// Carries one mail; says whether the courier may go on.
    async fn carry(&mut self, job: Job) -> bool {
        let mut trip = Trip::default();
        trip.delays = self.delays(&job);
        match Box::pin(self.errand(&job, &mut trip)).await {
            End::Tried(outcome) => {
                self.seat.report(Signal::of(&outcome));
                self.record(job, trip, outcome);
            }
            End::Unreached(outcome) => {
                self.seat.report(None);
                self.unreached(job, &trip, &outcome);
                return false;
            }
            End::Unsent => {
                self.seat.unsent(job);
                return false;
            }
            End::Unwanted(why) => {
                self.seat.report(None);
                self.drop_unsent(job, why);
            }
        }
        true
    }

    async fn errand(&mut self, job: &Job, trip: &mut Trip) -> End {
        if job.order.give_up <= self.office.clock.now() {
            return End::Tried(Outcome::Expired);
        }
        let office = Arc::clone(&self.office);
        let end = match &office.exit {
            Exit::Outbox(outbox) => self.capture(outbox, job, trip).await,
            Exit::Servers(servers) => self.deliver(servers, job, trip).await,
        };
        end.unwrap_or_else(|end| end)
    }

    async fn capture(&mut self, outbox: &Outbox, job: &Job, trip: &mut Trip) -> Result<End, End> {
        let mail = self.office.write(job).await?;
        self.settled().await;
        trip.meet("outbox", None);
        Ok(End::Tried(match outbox.put(job.id, mail.message).await {
            Ok(()) => Outcome::Accepted(Reply::new(250, "2.0.0 captured")),
            Err(error) => ours(Cause::Ours, &format!("the outbox cannot be written: {error}")),
        }))
    }

    async fn deliver(&mut self, servers: &Servers, job: &Job, trip: &mut Trip) -> Result<End, End> {
        self.connect(servers, job, trip).await.map_err(End::Unreached)?;
        let began = self.office.clock.now();
        let mail = self.office.write(job).await?;
        self.settled().await;
        let end = self.hand_over(servers, job, mail, trip).await;
        trip.delays.send = self.office.clock.now().since(began);
        Ok(end)
    }

    /// Opens a connection, unless the last one is still good, and good enough for this mail.
    async fn connect(&mut self, servers: &Servers, job: &Job, trip: &mut Trip) -> Result<(), Outcome> {
        let domain = job.order.to.domain();
        if let Some(mut line) = self.line.take()
            && line.session.is_usable().await
        {
            if servers.serves(&mut line, domain).await {
                self.line = Some(line);
                return Ok(());
            }
            line.session.quit().await;
        }
        self.seat.closed();
        self.line = Some(servers.connect(domain, trip).await?);
        self.seat.opened();
        Ok(())
    }

    /// Gives the mail to the server that is connected, or, where that fails before anything was said about the mail, to
    /// the next one.
    async fn hand_over(&mut self, servers: &Servers, job: &Job, mail: Outgoing, trip: &mut Trip) -> End {
        let envelope = Envelope { sender: ReversePath::Address(mail.sender), recipient: mail.to };
        let mut outcome = ours(Cause::Unreachable, "there is no connection");
        while let Some(mut line) = self.line.take() {
            line.session.ends_with(self.office.pool.end());
            let ending = line.session.deliver(&envelope, &mail.message, job.order.give_up).await;
            trip.meet(line.session.server(), line.session.tls());
            let carrier = Carrier::of(job.order.to.domain(), Some(line.session.host()));
            if !goes_on(&ending) {
                self.put_back(line, ending.after);
                return End::Tried(outcome_of(carrier, ending.upshot));
            }
            if self.office.pool.has_ended() {
                return End::Unsent;
            }
            // A connection that has served before and ends before RCPT says nothing about this mail or this server: it was
            // closed after its last mail. The way begins anew, as it does where the old one is that of another domain.
            let served_before = line.session.sent() > 1 && is_before_rcpt(&ending.upshot);
            outcome = outcome_of(carrier, ending.upshot);
            self.seat.closed();
            let domain = job.order.to.domain();
            let next = match line.way_of(domain) {
                Some(way) if !served_before => servers.go_on(way, trip).await,
                Some(_) | None => servers.connect(domain, trip).await,
            };
            self.line = next.ok();
            if self.line.is_some() {
                self.seat.opened();
            }
        }
        End::Tried(outcome)
    }

    fn put_back(&mut self, line: Line, after: After) {
        match after {
            After::Gone => {}
            After::Ready | After::Reset if line.session.sent() >= self.seat.messages() => {
                self.parting.spawn(line.session.quit());
            }
            After::Ready | After::Reset => self.line = Some(line),
        }
        if self.line.is_none() {
            self.seat.closed();
        }
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

/// Says whether the next server may be asked: this one broke off before the final dot, or said that it closes.
const fn goes_on(ending: &Ending) -> bool {
    match &ending.upshot {
        Upshot::Broken { .. } => true,
        Upshot::Refused { reply, .. } => reply.code == 421,
        Upshot::Accepted(_) | Upshot::Unknown(_) | Upshot::Expired | Upshot::Unfit(_) => false,
    }
}

const fn is_before_rcpt(upshot: &Upshot) -> bool {
    match upshot {
        Upshot::Broken { stage, .. } | Upshot::Refused { stage, .. } => matches!(stage, Stage::Mail),
        Upshot::Accepted(_) | Upshot::Unknown(_) | Upshot::Expired | Upshot::Unfit(_) => false,
    }
}

fn outcome_of(carrier: Option<Carrier>, upshot: Upshot) -> Outcome {
    match upshot {
        Upshot::Accepted(reply) => Outcome::Accepted(reply),
        Upshot::Refused { stage, reply } | Upshot::Broken { stage, reply } => verdict::judge(carrier, stage, reply),
        Upshot::Unknown(reply) => Outcome::Unknown(reply),
        Upshot::Expired => Outcome::Expired,
        Upshot::Unfit(unfit) => Outcome::Refused {
            stage: Stage::Mail,
            reply: Reply::none(&unfit.to_string()),
            verdict: match unfit {
                Unfit::TooLarge { .. } => Verdict::TooLarge,
                Unfit::EightBit | Unfit::Internationalised => Verdict::OurFault,
            },
        },
    }
}

/// Trouble of our own, before a server was given anything: the mail waits.
fn ours(cause: Cause, why: &str) -> Outcome {
    Outcome::Deferred { stage: Stage::Data, reply: Reply::none(why), blame: Blame::Message, cause }
}
