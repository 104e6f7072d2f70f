//! Claims what is due and hands it to couriers.
//!
//! Wakes when something is ordered, when something falls due, and when there is room again; keeps the claims of what is
//! under way; at the end lets transactions finish and gives back what was not begun.
//!
//! Claims of a class come from the front of the queue. Where a destination has no room for the class, or is shut, they are made
//! domain by domain, past all that waits for it.
//!
//! Knows nothing of SMTP or of messages. What always holds: what is claimed at a time has a bound; a destination that is
//! slow, full or shut keeps no other waiting; while the store refuses to write nothing is claimed, so nothing is sent.

use super::Limits;
use super::atlas::{Atlas, Sight};
use super::board::Board;
use super::claims::{Claims, batch};
use super::courier::Courier;
use super::dial::{Dialer, Sources};
use super::guard::{Guard, Policies};
use super::leases::{Claim, Leases};
use super::letters::Letters;
use super::line::{Servers, Trip};
use super::memory::Memory;
use super::office::{Exit, Office, keep};
use super::outbox::Outbox;
use super::pool::{Pool, Resumed};
use super::sign::Signer;
use super::unplaced::Rank;
use super::way::Ways;
use crate::clock::Clock;
use crate::config::{Delivery, Destinations, Route};
use crate::model::{Domain, JobId, Span, Timestamp};
use crate::net::resolver::{Reach, Resolver, ResolverError};
use crate::net::sts::{Place, Sts};
use crate::net::tls::{Connectors, TlsError};
use crate::queue::destination::Name;
use crate::queue::turn::is_urgent;
use crate::queue::{Class, Job, Outcome};
use crate::random::{NoChance, Random};
use crate::service::compose::Composer;
use crate::service::settle::Settler;
use crate::store::{Reclaim, Store, StoreError, Tx, Wish};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// How often destinations are forgotten that nothing was sent to for a while.
const FORGET: Span = Span::from_secs(60);
/// A clock that goes back by more than this was put back, and not just corrected.
const PUT_BACK: Span = Span::from_secs(1);
/// How soon it is looked again while a lane is full or shut.
const LOOK_AGAIN: Span = Span::from_secs(1);
/// The most mails that are woken in one transaction.
const WAKEN: usize = 500;
/// The longest wait without looking.
const LOOK: Span = Span::from_secs(60);
/// The longest wait after the store refused.
const TROUBLE: Span = Span::from_secs(30);

/// How long outcomes may take into the store after the last transaction was broken off.
const RECORDING: Span = Span::from_secs(5);

/// How delivery is to behave.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our name, said in EHLO.
    pub hostname: Domain,
    /// `[delivery]`.
    pub delivery: Delivery,
    /// `[[destination]]`.
    pub destinations: Destinations,
    /// The port where domains publish policies by HTTPS: 443 but in a world of its own.
    pub policy_port: u16,
    /// The folder of captured mails.
    pub outbox: PathBuf,
    /// No other process works on this store: what is claimed at the start was claimed by a daemon that is gone.
    pub alone: bool,
    /// How many of everything.
    pub limits: Limits,
    /// How long transactions under way may take to finish at the end.
    pub grace: Span,
}

/// What delivery is built on.
pub struct Parts {
    /// Where jobs are.
    pub store: Store,
    /// Writes mails.
    pub composer: Composer,
    /// Signs them.
    pub signer: Signer,
    /// Tells the time.
    pub clock: Clock,
    /// Spreads retries.
    pub random: Random,
    /// Rung when something was ordered.
    pub wake: Arc<Notify>,
}

/// Why delivery cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No name servers.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No folder for captured mails.
    #[error("the outbox cannot be made: {0}")]
    Outbox(#[from] io::Error),
    /// No chance to make a name of.
    #[error(transparent)]
    Chance(#[from] NoChance),
}

/// Delivers what is due.
pub struct Worker {
    office: Arc<Office>,
    store: Store,
    wake: Arc<Notify>,
    /// Told each time the loop comes round.
    rounds: watch::Sender<()>,
    atlas: Arc<Atlas>,
    /// The name in our claims: one for each start.
    owner: String,
    alone: bool,
    grace: Span,
}

/// When what is to be done next, and what has been put off.
struct Agenda {
    look: Timestamp,
    renew: Timestamp,
    renew_codes: Timestamp,
    reclaim: Timestamp,
    forget: Timestamp,
    /// The store was away when it was last needed: other workers have not had the time to keep their claims since.
    was_away: bool,
    /// What the clock showed last.
    seen: Timestamp,
    claims: Claims,
    /// How long to wait after the next refusal of the store.
    trouble: Span,
}

impl Agenda {
    fn next(&self) -> Timestamp {
        self.look.min(self.renew).min(self.renew_codes).min(self.reclaim).min(self.forget)
    }
}

impl Worker {
    /// Puts delivery together.
    ///
    /// # Errors
    /// A part of it cannot be set up.
    pub fn new(settings: Settings, parts: Parts) -> Result<Self, SetupError> {
        let (exit, sight) = exit(&settings, &parts)?;
        let Settings { hostname, delivery, destinations, alone, limits, grace, .. } = settings;
        let Parts { store, composer, signer, clock, random, wake } = parts;
        let owner = format!("{hostname}-{:016x}", u64::from_le_bytes(random.bytes()?));
        let settler = Settler::new(store.clone(), delivery.classes.clone(), random.clone());
        let groups = destinations.groups;
        let atlas = Arc::new(Atlas::new(sight, groups, clock.clone()));
        let named = Arc::clone(&atlas);
        let pool = Pool::new(limits, Box::new(move |name| named.limits(name)), clock.clone(), random);
        let office = Arc::new(Office {
            clock: clock.clone(),
            store: store.clone(),
            pool,
            leases: Leases::new(store.clone(), clock, alone),
            composer,
            signer,
            letters: Letters::default(),
            settler,
            exit,
        });
        Ok(Self { office, store, wake, rounds: watch::Sender::new(()), atlas, owner, alone, grace })
    }

    /// Gives what operators see of it.
    #[must_use]
    pub fn board(&self) -> Board {
        let (pool, atlas) = (Arc::clone(&self.office.pool), Arc::clone(&self.atlas));
        let settler = self.office.settler.clone();
        let (wake, rounds) = (Arc::clone(&self.wake), self.rounds.subscribe());
        Board { pool, atlas, wake, rounds, settler, owner: self.owner.clone() }
    }

    /// Delivers until `stop` turns true (or is dropped), then lets transactions under way finish and gives back the rest.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut couriers = JoinSet::new();
        let mut agenda = self.begin().await;
        loop {
            self.rounds.send_replace(());
            tokio::select! {
                () = stopped(&mut stop) => break,
                Some(_) = couriers.join_next() => self.open_more(&mut couriers),
                () = self.office.pool.more() => self.open_more(&mut couriers),
                () = self.wake.notified() => {
                    agenda.claims.forget();
                    self.claim(&mut couriers, &mut agenda).await;
                }
                () = self.office.pool.room() => self.claim(&mut couriers, &mut agenda).await,
                () = self.office.clock.sleep_until(self.next_moment(&agenda)) => {
                    self.keep_agenda(&mut couriers, &mut agenda).await;
                }
            }
        }
        self.end(couriers).await;
    }

    /// Says when something is to be done: what the agenda says, or a destination may have another connection from then on.
    fn next_moment(&self, agenda: &Agenda) -> Timestamp {
        self.office.pool.next_moment().map_or_else(|| agenda.next(), |moment| moment.min(agenda.next()))
    }

    async fn begin(&self) -> Agenda {
        let now = self.office.clock.now();
        if self.alone {
            match self.store.write::<_, StoreError, _>(move |tx| tx.reclaim(now, Reclaim::All)).await {
                Ok(gone) => tell_of(&gone),
                Err(error) => tracing::error!(%error, "what was claimed before the start waits for its time"),
            }
        }
        Agenda {
            look: now,
            renew: now.plus(self.office.leases.renewals().0),
            renew_codes: now.plus(self.office.leases.renewals().1),
            reclaim: now.plus(self.office.leases.reclaim()),
            forget: now.plus(FORGET),
            was_away: false,
            seen: now,
            claims: Claims::default(),
            trouble: LOOK_AGAIN,
        }
    }

    /// Looks at the clock. Where it was put back, what was planned by it is due at once: nothing is to wait for as long as
    /// the clock was wrong.
    fn look_at_clock(&self, agenda: &mut Agenda) -> Timestamp {
        let now = self.office.clock.now();
        if now.plus(PUT_BACK) < agenda.seen {
            tracing::warn!(from = %agenda.seen, to = %now, "the clock was put back");
            (agenda.look, agenda.renew, agenda.reclaim, agenda.forget) = (now, now, now, now);
            agenda.renew_codes = now;
            self.office.pool.clock_was_put_back();
        }
        agenda.seen = now;
        now
    }

    async fn keep_agenda(&self, couriers: &mut JoinSet<()>, agenda: &mut Agenda) {
        let now = self.look_at_clock(agenda);
        let (all, codes) = self.office.leases.renewals();
        if agenda.renew <= now {
            (agenda.renew, agenda.renew_codes) = (now.plus(all), now.plus(codes));
            self.keep_claims(agenda, |_| true, None).await;
        } else if agenda.renew_codes <= now {
            agenda.renew_codes = now.plus(codes);
            self.keep_claims(agenda, |claim| claim.class == Class::Otp, None).await;
        }
        if agenda.reclaim <= now {
            agenda.reclaim = now.plus(self.office.leases.reclaim());
            self.reclaim(agenda, now).await;
        }
        if agenda.look <= now {
            self.claim(couriers, agenda).await;
        }
        if agenda.forget <= now {
            agenda.forget = now.plus(FORGET);
            self.office.pool.forget();
        }
        self.open_more(couriers);
    }

    /// Claims what is due and there is room for, and decides when to look again.
    async fn claim(&self, couriers: &mut JoinSet<()>, agenda: &mut Agenda) {
        self.look_at_clock(agenda);
        match self.claim_all(couriers, agenda).await {
            Ok(look) => {
                agenda.look = look;
                agenda.trouble = LOOK_AGAIN;
            }
            Err(StoreError::Closed) => agenda.look = self.office.clock.now().plus(LOOK),
            Err(error) => {
                agenda.was_away = true;
                tracing::error!(%error, "nothing is sent while the store refuses");
                agenda.look = self.office.clock.now().plus(agenda.trouble);
                agenda.trouble = agenda.trouble.plus(agenda.trouble).min(TROUBLE);
            }
        }
    }

    async fn claim_all(&self, couriers: &mut JoinSet<()>, agenda: &mut Agenda) -> Result<Timestamp, StoreError> {
        let began = self.office.clock.now();
        // What somebody waits for is not held up by finding out what else there is.
        let urgent = self.claim_those(true, couriers, agenda).await?;
        self.give_back_what_was_recalled().await?;
        let woken = self.wake_resumed().await?;
        let more = self.claim_those(false, couriers, agenda).await? | urgent | woken;
        if more {
            // At once, but from the top: one batch after the other would keep what is urgent, our claims and the end waiting.
            return Ok(began);
        }
        let dues = self.store.read::<_, StoreError, _>(|tx| tx.next_dues()).await?;
        let now = self.office.clock.now();
        // What was due and was not claimed is for a lane without room, or another node is at it: both pass. What fell due
        // meanwhile is claimed at once.
        let looks = dues.into_iter().map(|(_, due)| if due <= began { now.plus(LOOK_AGAIN) } else { due });
        Ok(looks.fold(now.plus(LOOK), Timestamp::min))
    }

    /// Claims a batch of mail that somebody waits for, or of the rest; says whether there may be more.
    async fn claim_those(
        &self,
        urgent: bool,
        couriers: &mut JoinSet<()>,
        agenda: &mut Agenda,
    ) -> Result<bool, StoreError> {
        let now = self.office.clock.now();
        let (pool, atlas) = (&self.office.pool, &self.atlas);
        let wanted = agenda.claims.wanted(urgent, pool, atlas, &self.store, now).await?;
        let asked: usize = wanted.wishes.iter().map(|wish| wish.limit).sum();
        let leases = &self.office.leases;
        let (owner, wished) = (self.owner.clone(), wanted.wishes);
        let (codes, others): (Vec<Wish>, Vec<Wish>) = wished.iter().cloned().partition(|wish| wish.class == Class::Otp);
        let until = now.plus(leases.span(Class::Alert, false));
        let parts = [(codes, now.plus(leases.span(Class::Otp, false))), (others, until)];
        let coming = self.store.coming();
        let most = batch(urgent);
        let claims = move |tx: &mut Tx<'_>| {
            let over = if urgent { tx.claim_expired(&owner, now, until, most)? } else { Vec::new() };
            let mut claimed = Vec::new();
            for (wishes, until) in parts.iter().filter(|(wishes, _)| !wishes.is_empty()) {
                claimed.append(&mut tx.claim_some(&owner, now, *until, most - claimed.len(), wishes)?);
            }
            Ok::<_, StoreError>((claimed, over))
        };
        let (claimed, over) = self.store.write(claims).await?;
        let (count, ended) = (claimed.len(), over.len());
        if count < most {
            agenda.claims.claimed(&wished, &claimed);
        }
        over.into_iter().for_each(|job| self.expire(job, couriers));
        claimed.into_iter().for_each(|job| self.give_out(job, now, couriers));
        if urgent {
            self.office.pool.claimed_up_to(coming);
        }
        self.open_more(couriers);
        self.give_back_what_was_recalled().await?;
        Ok(ended == most || wanted.cut_short || count > 0 && (count == most || count == asked || !wanted.left_out))
    }

    fn give_out(&self, job: Job, now: Timestamp, couriers: &mut JoinSet<()>) {
        if job.order.give_up <= now {
            return self.expire(job, couriers);
        }
        let domain = job.order.to.domain();
        match self.atlas.find(domain) {
            Some(name) => {
                if is_urgent(job.order.class) {
                    let (office, job) = (Arc::clone(&self.office), job.clone());
                    couriers.spawn(async move { office.prepare(&job).await });
                }
                self.office.pool.place(&name, job);
            }
            None => {
                let (domain, rank) = (domain.clone(), Rank::of(job.order.class));
                let (office, atlas) = (Arc::clone(&self.office), Arc::clone(&self.atlas));
                if self.office.pool.keep_unplaced(job) {
                    couriers.spawn(async move {
                        let name = atlas.look_up(&domain, rank).await;
                        office.pool.place_all(&domain, &name);
                    });
                }
            }
        }
    }

    /// Ends a job whose time is over.
    fn expire(&self, job: Job, couriers: &mut JoinSet<()>) {
        self.office.pool.hold(&job);
        let attempt = Trip::default().attempt(&job, Outcome::Expired);
        couriers.spawn(keep(Arc::clone(&self.office), job, attempt));
    }

    async fn give_back_what_was_recalled(&self) -> Result<(), StoreError> {
        self.release(self.office.pool.take_back()).await
    }

    /// What waits for another try where mail is taken again need not wait any longer; a batch at a time, so that what is urgent
    /// is claimed in between. Says whether there may be more.
    async fn wake_resumed(&self) -> Result<bool, StoreError> {
        let Some(resumed) = self.office.pool.next_resumed() else { return Ok(false) };
        let domains = match &resumed {
            Resumed::Destination(name) => self.atlas.domains(name),
            Resumed::Domain(domain) => vec![domain.clone()],
        };
        let now = self.office.clock.now();
        let woken = self.store.write::<_, StoreError, _>(move |tx| tx.wake(&domains, now, WAKEN)).await?;
        if woken < WAKEN as u64 {
            self.office.pool.has_woken(&resumed);
        }
        Ok(true)
    }

    fn open_more(&self, couriers: &mut JoinSet<()>) {
        while let Some((seat, job)) = self.office.pool.another() {
            couriers.spawn(Courier::new(Arc::clone(&self.office), seat).run(job));
        }
    }

    /// Gives jobs back unsent, a batch at a time.
    async fn release(&self, claims: Vec<(JobId, i64)>) -> Result<(), StoreError> {
        for batch in claims.chunks(WAKEN) {
            let (owner, batch) = (self.owner.clone(), batch.to_vec());
            let release = move |tx: &mut Tx<'_>| {
                batch.iter().try_for_each(|(job, fence)| tx.release(*job, &owner, *fence).map(drop))
            };
            self.store.write::<_, StoreError, _>(release).await?;
        }
        Ok(())
    }

    /// Keeps those of our claims that fit and, where that is said, takes back those of others that were over at a moment; says
    /// whether there were any. Both in one transaction, ours first: after the store was away ours may be over as well, and are not
    /// to be taken for theirs while their mails are on their way. What is ours, and which of it is on its way, is looked at in that
    /// moment.
    async fn keep_claims(&self, agenda: &mut Agenda, fits: fn(&Claim) -> bool, over: Option<Timestamp>) -> bool {
        if over.is_none() && !self.office.pool.held().iter().any(fits) {
            return false;
        }
        let (owner, office) = (self.owner.clone(), Arc::clone(&self.office));
        let kept = self.store.write::<_, StoreError, _>(move |tx| {
            let mut spans: BTreeMap<Span, Vec<(JobId, i64)>> = BTreeMap::new();
            for claim in office.pool.held().into_iter().filter(fits) {
                let span = office.leases.span(claim.class, claim.under_way);
                spans.entry(span).or_default().push((claim.job, claim.fence));
            }
            let (now, mut lost) = (office.clock.now(), Vec::new());
            for (span, claims) in spans {
                lost.append(&mut tx.extend(&owner, now.plus(span), &claims)?);
            }
            let gone = over.map_or(Ok(Vec::new()), |over| tx.reclaim(over, Reclaim::Expired))?;
            Ok((lost, gone))
        });
        match kept.await {
            Ok((lost, gone)) => {
                self.office.pool.lost(&lost);
                tell_of(&gone);
                !gone.is_empty()
            }
            Err(error) => {
                agenda.was_away = true;
                tracing::error!(%error, "claims cannot be kept");
                false
            }
        }
    }

    /// Looks for claims of workers that are gone, and takes them back. Where the store was away others get the time to keep theirs
    /// first: they could not before.
    async fn reclaim(&self, agenda: &mut Agenda, now: Timestamp) {
        match self.store.read::<_, StoreError, _>(move |tx| tx.is_any_claim_over(now)).await {
            Ok(found) => {
                let was_away = std::mem::take(&mut agenda.was_away);
                if found && !was_away && self.keep_claims(agenda, |_| true, Some(now)).await {
                    agenda.look = now;
                }
            }
            Err(error) => {
                agenda.was_away = true;
                tracing::error!(%error, "it cannot be seen whether other workers are there");
            }
        }
    }

    /// Gives back what was not begun, lets transactions end, and gives back what came to nothing.
    async fn end(&self, mut couriers: JoinSet<()>) {
        let clock = &self.office.clock;
        let end = clock.now().plus(self.grace);
        self.give_back(self.office.pool.stop(end)).await;
        let finishing = async { while couriers.join_next().await.is_some() {} };
        // A mail that was given away and not answered by then is lost; that is still to be written down.
        if clock.within(end.plus(RECORDING), finishing).await.is_err() {
            tracing::warn!(count = couriers.len(), "connections did not end in time and are broken off");
            couriers.shutdown().await;
        }
        self.give_back(self.office.pool.unsent()).await;
    }

    async fn give_back(&self, claims: Vec<(JobId, i64)>) {
        if let Err(error) = self.release(claims).await {
            tracing::warn!(%error, "jobs could not be given back; they are sent after the next start");
        }
    }
}

fn tell_of(gone: &[JobId]) {
    if !gone.is_empty() {
        tracing::warn!(count = gone.len(), "jobs of a worker that is gone are sent again");
    }
}

fn exit(settings: &Settings, parts: &Parts) -> Result<(Exit, Sight), SetupError> {
    let (delivery, clock) = (&settings.delivery, &parts.clock);
    let login = match &delivery.route {
        Route::Capture => {
            return Ok((Exit::Outbox(Outbox::open(settings.outbox.clone())?), Sight::OneWay(Name::new("outbox"))));
        }
        Route::Smarthost(smarthost) => smarthost.login.clone(),
        Route::Mx => None,
    };
    let root = delivery.trust_anchor.as_deref();
    let resolver = Resolver::validating(delivery.resolver, root, clock.clone(), parts.random.clone())?;
    let sight = match &delivery.route {
        Route::Smarthost(_) => Sight::OneWay(Name::new("smarthost")),
        Route::Mx | Route::Capture => Sight::Servers(Box::new(resolver.clone())),
    };
    let tls = Connectors::new(delivery.tls_ca_file.as_deref(), clock)?;
    let ways = Ways::new(guard(settings, parts, resolver, &tls), delivery);
    let sources = Sources::new(delivery.bind.clone());
    let memory = Memory::new(parts.store.clone(), clock.clone());
    let dialer = Dialer::new(clock.clone(), settings.hostname.to_string(), tls, sources, login);
    Ok((Exit::Servers(Box::new(Servers::new(ways, dialer, memory, clock.clone()))), sight))
}

/// Lists what would be wrong with the ways out, and makes nothing.
#[must_use]
pub fn rehearse(delivery: &Delivery, outbox: PathBuf, clock: &Clock, random: &Random) -> Vec<SetupError> {
    if matches!(delivery.route, Route::Capture) {
        return Outbox::look(&outbox).err().map(SetupError::from).into_iter().collect();
    }
    let root = delivery.trust_anchor.as_deref();
    let resolver = Resolver::validating(delivery.resolver, root, clock.clone(), random.clone());
    let tls = Connectors::new(delivery.tls_ca_file.as_deref(), clock);
    [resolver.err().map(SetupError::from), tls.err().map(SetupError::from)].into_iter().flatten().collect()
}

fn guard(settings: &Settings, parts: &Parts, resolver: Resolver, tls: &Connectors) -> Guard {
    let delivery = &settings.delivery;
    let place = Place { port: settings.policy_port, reach: Reach::of(delivery.private_addresses) };
    let sts = Sts::new(resolver.clone(), tls.verified.clone(), place, parts.store.clone(), parts.clock.clone());
    let policies = Policies::new(delivery.tls, &settings.destinations);
    Guard::new(resolver, policies, Some(sts), delivery.port)
}

/// Waits until the daemon is to stop, or is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stopping| *stopping).await);
}
