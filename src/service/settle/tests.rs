//! The rule as a table, and what of it stands in the store.

use super::{Settler, Unwanted, audit, maillog, plan};
use crate::model::{EmailAddress, JobId, Language, MailId, Reply, Span, Stage, Timestamp};
use crate::queue::outcome::Delays;
use crate::queue::retry::Schedule;
use crate::queue::{Attempt, Blame, Cause, Class, Content, Job, NewJob, Outcome, State, Verdict};
use crate::random::Random;
use crate::store::{
    AddressRow, AddressState, EventFilter, Location, NewMember, Options, Settlement, Store, StoreError, Tx,
};
use std::collections::BTreeMap;

const GIVE_UP: i64 = 3_600_000;

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn address() -> EmailAddress {
    "a..b.@docomo.ne.jp".parse().unwrap()
}

struct World {
    store: Store,
    settler: Settler,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("karamail.db"));
        let store = Store::open(Options::new(location)).await.unwrap();
        let waits = Schedule { give_up: Span::from_millis(GIVE_UP), waits: vec![Span::from_secs(100)] };
        let schedules = Class::ALL.map(|class| (class, waits.clone()));
        let settler = Settler::new(store.clone(), BTreeMap::from(schedules), Random::repeating(3));
        Self { store, settler, _folder: folder }
    }

    async fn order(&self, class: Class) -> JobId {
        let order = NewJob {
            class,
            to: address(),
            content: Content::Forward { mail: MailId::new(1) },
            language: None,
            cause: None,
            queued_at: at(0),
            due: at(0),
            give_up: at(GIVE_UP),
        };
        self.store.write(move |tx| tx.enqueue(&order)).await.unwrap()
    }

    async fn claim(&self, now: i64) -> Job {
        let claimed = self.store.write(move |tx| tx.claim("w", at(now), at(now + 60_000), 1)).await;
        claimed.unwrap().pop().unwrap()
    }

    async fn claimed(class: Class) -> (Self, Job) {
        let world = Self::new().await;
        world.order(class).await;
        let job = world.claim(0).await;
        (world, job)
    }

    async fn settle(&self, job: &Job, outcome: Outcome, now: i64) -> bool {
        self.settler.settle(job, &attempt(job, outcome), at(now)).await.unwrap()
    }

    async fn job(&self, id: JobId) -> Job {
        self.store.read(move |tx| tx.job(id)).await.unwrap().unwrap()
    }

    async fn events(&self) -> Vec<String> {
        let events = self.store.read(|tx| tx.events(&EventFilter::default())).await.unwrap();
        events.into_iter().map(|(_, event)| event.name.into_owned()).collect()
    }

    /// A field of the last event.
    async fn last_event(&self, key: &str) -> String {
        let events = self.store.read(|tx| tx.events(&EventFilter::default())).await.unwrap();
        events.last().unwrap().1.fields[key].as_str().unwrap().to_owned()
    }

    async fn address(&self) -> Option<AddressRow> {
        self.store.read(|tx| tx.address(&address())).await.unwrap()
    }

    async fn mark(&self, state: AddressState) {
        let row = AddressRow {
            address: address(),
            state,
            verdict: None,
            stage: None,
            reply: None,
            at: None,
            verified_at: Some(at(7)),
            unknown_day: None,
        };
        self.store.write(move |tx| tx.note_address(&row)).await.unwrap();
    }
}

fn attempt(job: &Job, outcome: Outcome) -> Attempt {
    let fence = job.lease.as_ref().unwrap().fence;
    Attempt {
        job: job.id,
        fence,
        mx: "mx[192.0.2.1]".to_owned(),
        tls: None,
        delays: Delays::default(),
        form: None,
        outcome,
    }
}

fn taken() -> Outcome {
    Outcome::Accepted(Reply::new(250, "2.0.0 taken"))
}

fn refused(stage: Stage, verdict: Verdict) -> Outcome {
    Outcome::Refused { stage, reply: Reply::new(550, "no"), verdict }
}

fn deferred(cause: Cause) -> Outcome {
    Outcome::Deferred { stage: Stage::Rcpt, reply: Reply::new(452, "later"), blame: Blame::Recipient, cause }
}

#[test]
fn each_outcome_has_one_settlement() {
    let reply = || Reply::new(550, "no");
    let end = |state, last: Option<(Stage, Reply)>| Settlement::End {
        state,
        stage: last.as_ref().map(|(stage, _)| *stage),
        reply: last.map(|(_, reply)| reply),
        at: at(5),
    };
    let unknown = |due| Settlement::Unknown { due, reply: reply(), at: at(5) };
    let cause = Cause::Throttled;
    let deferred = Settlement::Defer { due: at(9), stage: Stage::Mail, reply: reply(), cause, at: at(5) };
    let later = Outcome::Deferred { stage: Stage::Mail, reply: reply(), blame: Blame::Site, cause };
    let accepted = Some((Stage::Data, Reply::new(250, "2.0.0 taken")));
    for (class, outcome, lost_before, expected) in [
        (Class::Alert, taken(), false, end(State::Accepted, accepted)),
        (Class::Alert, refused(Stage::Rcpt, Verdict::Policy), false, end(State::Refused, Some((Stage::Rcpt, reply())))),
        (Class::Alert, Outcome::Expired, false, end(State::Expired, None)),
        (Class::Otp, later, true, deferred),
        (Class::Otp, Outcome::Unknown(reply()), false, unknown(None)),
        (Class::Otp, Outcome::Unknown(reply()), true, unknown(None)),
        (Class::Alert, Outcome::Unknown(reply()), false, unknown(Some(at(9)))),
        (Class::Alert, Outcome::Unknown(reply()), true, unknown(None)),
        (Class::Registration, Outcome::Unknown(reply()), false, unknown(Some(at(9)))),
        (Class::Registration, Outcome::Unknown(reply()), true, unknown(None)),
        (Class::ContactTest, Outcome::Unknown(reply()), false, unknown(Some(at(9)))),
        (Class::ContactTest, Outcome::Unknown(reply()), true, unknown(None)),
        (Class::Notice, Outcome::Unknown(reply()), false, unknown(Some(at(9)))),
        (Class::Notice, Outcome::Unknown(reply()), true, unknown(None)),
        (Class::Report, Outcome::Unknown(reply()), false, unknown(Some(at(9)))),
        (Class::Report, Outcome::Unknown(reply()), true, unknown(None)),
    ] {
        assert_eq!(plan(class, &outcome, at(9), lost_before, at(5)), expected, "{class} {outcome:?}");
    }
}

#[tokio::test]
async fn an_accepted_mail_is_history_and_its_log_says_how_it_went() {
    let (world, job) = World::claimed(Class::Registration).await;
    assert!(world.settle(&job, taken(), 1_000).await);
    let ended = world.job(job.id).await;
    assert_eq!((ended.state, ended.attempts), (State::Accepted, 1));
    assert_eq!(world.events().await, ["attempted", "accepted"]);
    let row = world.address().await.unwrap();
    assert_eq!(
        (row.state, row.stage, row.reply.as_deref()),
        (AddressState::Accepted, Some(Stage::Data), Some("250 2.0.0 taken"))
    );
}

#[tokio::test]
async fn a_deferred_mail_waits_as_its_class_says_and_never_past_its_time() {
    let (world, job) = World::claimed(Class::Alert).await;
    assert!(world.settle(&job, deferred(Cause::Said), 1_000).await);
    let waiting = world.job(job.id).await;
    assert_eq!((waiting.state, waiting.attempts), (State::Deferred, 1));
    let wait = waiting.due.since(at(1_000)).millis();
    assert!((75_000..=125_000).contains(&wait), "{wait}");
    assert_eq!(world.events().await, ["attempted", "deferred"]);
    assert_eq!(world.last_event("cause").await, "said");
    assert_eq!(world.address().await, None);
    let job = world.claim(GIVE_UP - 10).await;
    assert!(world.settle(&job, deferred(Cause::Said), GIVE_UP - 10).await);
    assert_eq!(world.job(job.id).await.due, at(GIVE_UP));
}

#[tokio::test]
async fn a_mail_whose_time_was_over_before_a_server_was_asked_was_not_tried() {
    let (world, job) = World::claimed(Class::Otp).await;
    let untried = Attempt { mx: String::new(), ..attempt(&job, Outcome::Expired) };
    assert!(world.settler.settle(&job, &untried, at(GIVE_UP)).await.unwrap());
    assert_eq!(world.events().await, ["expired"]);
    assert_eq!(world.job(job.id).await.state, State::Expired);
    let (world, job) = World::claimed(Class::Otp).await;
    assert!(world.settle(&job, Outcome::Expired, GIVE_UP).await);
    assert_eq!(world.events().await, ["attempted", "expired"]);
}

#[tokio::test]
async fn a_lost_connection_behind_the_dot_is_made_good_once_and_never_for_a_code() {
    let lost = || Outcome::Unknown(Reply::none("lost"));
    for class in Class::ALL {
        let (world, job) = World::claimed(class).await;
        assert!(world.settle(&job, lost(), 1_000).await);
        let waiting = world.job(job.id).await;
        assert_eq!(waiting.state, State::Unknown, "{class}");
        if class == Class::Otp {
            assert_eq!(waiting.due, at(GIVE_UP));
            continue;
        }
        assert!(waiting.due < at(GIVE_UP), "{class}");
        let job = world.claim(waiting.due.millis()).await;
        assert!(world.settle(&job, lost(), 2_000_000).await);
        let waiting = world.job(job.id).await;
        assert_eq!((waiting.state, waiting.due), (State::Unknown, at(GIVE_UP)), "{class}");
        assert_eq!(world.events().await, ["attempted", "unknown", "attempted", "unknown"], "{class}");
    }
}

#[tokio::test]
async fn a_claim_that_was_lost_settles_nothing() {
    let (world, old) = World::claimed(Class::Alert).await;
    world.store.write(|tx| tx.reclaim(at(60_000), crate::store::Reclaim::Expired)).await.unwrap();
    let new = world.claim(60_000).await;
    assert!(!world.settle(&old, refused(Stage::Rcpt, Verdict::UnknownUser), 61_000).await);
    assert!(!world.settler.drop_unsent(&old, Unwanted::Suppressed, at(61_000)).await.unwrap());
    assert_eq!((world.events().await, world.address().await), (Vec::new(), None));
    assert!(world.settle(&new, taken(), 62_000).await);
    assert!(!world.settle(&new, taken(), 62_000).await);
}

#[tokio::test]
async fn a_job_that_is_not_sent_is_history_with_its_reason() {
    for (why, state, event) in [
        (Unwanted::Pointless("the address is registered"), State::Cancelled, "cancelled"),
        (Unwanted::Suppressed, State::Suppressed, "suppressed"),
    ] {
        let (world, job) = World::claimed(Class::Registration).await;
        assert!(world.settler.drop_unsent(&job, why, at(5)).await.unwrap());
        let ended = world.job(job.id).await;
        assert_eq!((ended.state, ended.attempts), (state, 0));
        assert_eq!(world.events().await, [event]);
        assert!(maillog::OUTCOMES.contains(&event), "{event}");
    }
}

/// What is said of an address, one line after another: the hour in Japan, the outcome, the state it leaves.
async fn tell(story: &[(i64, Outcome, AddressState)]) {
    let world = World::new().await;
    for (line, (hour, outcome, state)) in story.iter().enumerate() {
        world.order(Class::Alert).await;
        let now = (hour - 9) * 3_600_000;
        let job = world.claim(now.max(0)).await;
        assert!(world.settle(&job, outcome.clone(), now).await);
        assert_eq!(world.address().await.unwrap().state, *state, "line {line} of {story:?}");
    }
}

#[tokio::test]
async fn an_address_is_struck_off_when_it_was_unknown_on_two_days_with_nothing_between_that_shows_its_mailbox() {
    use AddressState::{Accepted, Filtered, Full, Suppressed, Unreachable};
    let unknown = || refused(Stage::Rcpt, Verdict::UnknownUser);
    let (day, next) = (24, 48);
    // Two on one day are one: the first and the last hour of it.
    tell(&[
        (day, unknown(), Unreachable),
        (next - 1, unknown(), Unreachable),
        (next, unknown(), Suppressed),
        (next, taken(), Suppressed),
    ])
    .await;
    // However it was found out: no such domain, a refusal after the body.
    let no_domain = || refused(Stage::Connect, Verdict::UnknownUser);
    tell(&[(day, no_domain(), Unreachable), (next, refused(Stage::Data, Verdict::UnknownUser), Suppressed)]).await;
    for (between, left) in
        [(taken(), Accepted), (refused(Stage::Data, Verdict::Filtered), Filtered), (deferred(Cause::Full), Full)]
    {
        let again = (next + 24, unknown(), Unreachable);
        tell(&[(day, unknown(), Unreachable), (next, between, left), again, (next + 48, unknown(), Suppressed)]).await;
    }
    // What says nothing about the mailbox changes nothing.
    for between in [refused(Stage::Mail, Verdict::Policy), refused(Stage::Rcpt, Verdict::SuspendedUser)] {
        tell(&[(day, unknown(), Unreachable), (next, between, Unreachable), (next, unknown(), Suppressed)]).await;
    }
    // A clock that was set back makes no second day of the first.
    tell(&[(next, unknown(), Unreachable), (day, unknown(), Unreachable), (next, unknown(), Unreachable)]).await;
}

#[tokio::test]
async fn no_other_verdict_strikes_an_address_off_however_often_it_comes() {
    for verdict in [
        Verdict::Filtered,
        Verdict::Full,
        Verdict::SuspendedUser,
        Verdict::Throttled,
        Verdict::TooLarge,
        Verdict::Policy,
        Verdict::OurFault,
        Verdict::Outage,
        Verdict::Unclear,
    ] {
        let world = World::new().await;
        for day in 1..=4 {
            world.order(Class::Alert).await;
            let job = world.claim(day * 86_400_000).await;
            assert!(world.settle(&job, refused(Stage::Data, verdict), day * 86_400_000).await);
            assert_ne!(world.address().await.unwrap().state, AddressState::Suppressed, "{verdict}");
        }
    }
}

#[tokio::test]
async fn the_mail_log_says_when_an_address_was_marked_and_when_it_was_struck_off() {
    let (world, job) = World::claimed(Class::Alert).await;
    for (now, state) in [(0, "unreachable"), (86_400_000, "suppressed")] {
        let job = if now == 0 { job.clone() } else { world.claim(now).await };
        assert!(world.settle(&job, refused(Stage::Rcpt, Verdict::UnknownUser), now).await);
        assert_eq!(world.last_event("state").await, state);
        world.order(Class::Alert).await;
    }
}

#[tokio::test]
async fn the_audit_log_says_of_each_member_what_is_held_against_an_address() {
    let world = World::new().await;
    let add = |tx: &mut Tx<'_>| {
        let org = tx.add_org(&"DEMO".parse().unwrap(), "デモ", None, at(0))?.unwrap();
        for (login, places) in [("0001", [Some(address()), None, None]), ("0002", [None, None, Some(address())])] {
            let member = NewMember {
                login: login.parse().unwrap(),
                name: "花子".to_owned(),
                kana: None,
                department: None,
                language: Language::Ja,
                password_hash: None,
                addresses: places,
            };
            tx.put_member(org, &member, at(0))?;
        }
        Ok(())
    };
    world.store.write::<_, StoreError, _>(add).await.unwrap();
    // The same refusal twice is told once, and what clears the address is none of it.
    let (full, day) = (|| deferred(Cause::Full), 86_400_000);
    for (now, outcome) in [(0, full()), (1, full()), (2, taken()), (3, refused(Stage::Rcpt, Verdict::UnknownUser))] {
        world.order(Class::Registration).await;
        let job = world.claim(now * day).await;
        assert!(world.settle(&job, outcome, now * day).await);
    }
    let told = |place: u8, state: &str| {
        format!(r#"user_address_bounced anybody {{"place":{place},"address":"a***@docomo.ne.jp","state":"{state}"}}"#)
    };
    let expected = [told(1, "full"), told(3, "full"), told(1, "unreachable"), told(3, "unreachable")];
    assert_eq!(audit::told(&world.store).await, expected);
}

#[tokio::test]
async fn an_address_is_marked_by_what_its_servers_say() {
    use AddressState::{Accepted, Filtered, Full, New, Suppressed, Unreachable, Verified};
    for (before, outcome, after, marked) in [
        (New, taken(), Accepted, false),
        (Accepted, taken(), Accepted, false),
        (Verified, taken(), Verified, false),
        (Unreachable, taken(), Accepted, true),
        (Filtered, taken(), Accepted, true),
        (Suppressed, taken(), Suppressed, false),
        (Verified, refused(Stage::Rcpt, Verdict::UnknownUser), Unreachable, true),
        (Unreachable, refused(Stage::Rcpt, Verdict::UnknownUser), Unreachable, false),
        (Suppressed, refused(Stage::Rcpt, Verdict::UnknownUser), Suppressed, false),
        (Verified, refused(Stage::Data, Verdict::Filtered), Filtered, true),
        (New, refused(Stage::Mail, Verdict::Policy), New, false),
        (Accepted, refused(Stage::Data, Verdict::Unclear), Accepted, false),
        (Accepted, refused(Stage::Data, Verdict::OurFault), Accepted, false),
        (Accepted, refused(Stage::Rcpt, Verdict::SuspendedUser), Accepted, false),
        (Accepted, refused(Stage::Rcpt, Verdict::TooLarge), Accepted, false),
        (Accepted, deferred(Cause::Full), Full, true),
        (Full, taken(), Accepted, true),
        (Verified, deferred(Cause::Said), Verified, false),
    ] {
        let (world, job) = World::claimed(Class::Alert).await;
        world.mark(before).await;
        assert!(world.settle(&job, outcome.clone(), 1_000).await);
        let row = world.address().await.unwrap();
        assert_eq!(row.state, after, "{before} {outcome:?}");
        assert_eq!(row.verified_at, Some(at(7)));
        assert_eq!(world.events().await.contains(&"marked".to_owned()), marked, "{before} {outcome:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_an_error_and_may_be_tried_again() {
    let (world, job) = World::claimed(Class::Alert).await;
    world.store.clone().close().await;
    let failed = world.settler.settle(&job, &attempt(&job, taken()), at(1)).await;
    assert_eq!(failed, Err(StoreError::Closed));
}
