use super::*;
use crate::keys::Keys;
use crate::model::{OrgCode, Policy};
use crate::queue::State;
use crate::service::session::Stage;
use crate::store::{AddressRow, AddressState, JobFilter, Location, Member, NewMember, Options, Settlement};
use std::collections::BTreeSet;

/// 2026-11-22 12:00:00.123 in Japan.
const NOON: Timestamp = Timestamp::from_millis(1_795_316_400_123);

fn ring(active: u16, ids: &[u16]) -> KeyRing {
    let key = |id: &u16| (*id, Secret::new([u8::try_from(*id).unwrap(); 32]));
    KeyRing::new(active, ids.iter().map(key).collect()).unwrap()
}

fn keys(seal: KeyRing) -> Keychain {
    Keychain::of(Keys::apart(ring(1, &[1]), seal, ring(1, &[1])))
}

fn after(seconds: i64) -> Timestamp {
    NOON.plus(Span::from_secs(seconds))
}

/// A store with members, and who orders codes for them.
struct World {
    store: Store,
    otp: Otp,
    taro: Visitor,
    folder: tempfile::TempDir,
}

impl World {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(Location::Sqlite(folder.path().join("test.db")))).await.unwrap();
        let taro = visitor(add(&store, "taro").await, 1);
        let otp = Otp::new(store.clone(), keys(ring(1, &[1])), Random::repeating(9));
        Self { store, otp, taro, folder }
    }

    async fn order_for(&self, visitor: &Visitor, purpose: Purpose, to: &str, at: Timestamp) -> Ordered {
        self.otp.order(visitor, purpose, &to.parse().unwrap(), Language::Ja, at).await.unwrap()
    }

    /// Orders a code for a login; gives it and its job.
    async fn order(&self, at: Timestamp) -> (String, JobId) {
        let ordered = self.order_for(&self.taro, Purpose::Login, "taro@docomo.ne.jp", at).await;
        assert!(matches!(ordered, Ordered::Sent { .. }), "{ordered:?}");
        let job = self.jobs().await.into_iter().max().unwrap();
        (self.code(job).await.unwrap(), job)
    }

    async fn jobs(&self) -> Vec<JobId> {
        let jobs = self.store.read(|tx| tx.list_jobs(&JobFilter::default())).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect()
    }

    /// The code that waits for its mail, while it does.
    async fn code(&self, job: JobId) -> Option<String> {
        let sealed = self.store.read(move |tx| tx.secret(OTP_CODE, job.number())).await.unwrap();
        sealed.map(|sealed| open(&ring(1, &[1]), job, &sealed).unwrap().reveal().clone())
    }

    async fn type_as(&self, visitor: &Visitor, purpose: Purpose, code: &str, at: Timestamp) -> Tried {
        let (session, member, code) = (visitor.session, visitor.member.id, code.to_owned());
        let keys = ring(2, &[1, 2]);
        self.store.write(move |tx| try_code(tx, &keys, &session, member, purpose, &code, at)).await.unwrap()
    }

    async fn typed(&self, code: &str, at: Timestamp) -> Tried {
        self.type_as(&self.taro, Purpose::Login, code, at).await
    }

    async fn paused(&self, at: Timestamp) -> Option<Timestamp> {
        let member = self.taro.member.id;
        self.store.write(move |tx| paused(tx, member, at)).await.unwrap()
    }
}

async fn add(store: &Store, login: &'static str) -> Member {
    let work = move |tx: &mut Tx<'_>| {
        let code: OrgCode = "DEMO".parse().unwrap();
        let org = match tx.org(&code)? {
            Some(org) => org.id,
            None => tx.add_org(&code, "デモ", None, NOON)?.unwrap(),
        };
        let new = NewMember::plain(login);
        let (id, _) = tx.put_member(org, &new, NOON)?;
        tx.member_by_id(id)
    };
    store.write::<_, StoreError, _>(work).await.unwrap().unwrap()
}

fn visitor(member: Member, session: u8) -> Visitor {
    Visitor::just_in(member, session, Stage::Code, NOON)
}

fn right() -> Tried {
    Tried::Right { address: "taro@docomo.ne.jp".parse().unwrap() }
}

/// Another code of as many digits.
fn other_than(code: &str) -> String {
    code.chars().map(|c| if c == '1' { '2' } else { '1' }).collect()
}

#[tokio::test]
async fn r040_r041_a_code_and_its_job_end_sixty_minutes_after_the_order() {
    for (seconds, expected) in [(59 * 60 + 59, right()), (60 * 60, Tried::Over), (60 * 60 + 1, Tried::Over)] {
        let world = World::open().await;
        let (code, job) = world.order(NOON).await;
        let job = world.store.read(move |tx| tx.job(job)).await.unwrap().unwrap();
        assert_eq!((job.order.class, job.order.queued_at, job.order.give_up), (Class::Otp, NOON, after(3_600)));
        assert_eq!(world.typed(&code, after(seconds)).await, expected, "{seconds}");
    }
}

#[tokio::test]
async fn r040_an_organisation_may_have_codes_end_sooner() {
    let mut world = World::open().await;
    world.taro.policy.set("otp_lifetime", "10m").unwrap();
    let (code, job) = world.order(NOON).await;
    let job = world.store.read(move |tx| tx.job(job)).await.unwrap().unwrap();
    assert_eq!(job.order.give_up, after(600));
    assert_eq!(world.typed(&code, after(600)).await, Tried::Over);
    assert_eq!(world.typed(&code, after(599)).await, right());
}

#[tokio::test]
async fn a_right_code_is_used_up_by_typing_it() {
    let world = World::open().await;
    let (code, _) = world.order(NOON).await;
    assert_eq!(world.typed(&format!(" {} {}\n", &code[..3], &code[3..]), after(9)).await, right());
    assert_eq!(world.typed(&code, after(10)).await, Tried::Over);
}

#[tokio::test]
async fn r040_five_wrong_tries_burn_a_code() {
    let world = World::open().await;
    let (code, job) = world.order(NOON).await;
    for left in (1..5).rev() {
        assert_eq!(world.typed(&other_than(&code), after(9)).await, Tried::Wrong { left });
    }
    assert!(world.code(job).await.is_some());
    assert_eq!(world.typed("", after(9)).await, Tried::Wrong { left: 0 });
    assert_eq!(world.typed(&code, after(9)).await, Tried::Over);
    assert_eq!(world.code(job).await, None);
}

#[tokio::test]
async fn r040_a_code_sent_again_replaces_the_one_before() {
    let world = World::open().await;
    let (first, job) = world.order(NOON).await;
    let (second, _) = world.order(after(60)).await;
    assert_ne!(first, second);
    assert_eq!(world.code(job).await, None);
    assert_eq!(world.typed(&first, after(61)).await, Tried::Wrong { left: 4 });
    assert_eq!(world.typed(&second, after(62)).await, right());
}

#[tokio::test]
async fn a_code_fits_its_session_member_and_purpose_only() {
    let world = World::open().await;
    let elsewhere = Visitor { session: [2; 32], ..world.taro.clone() };
    let jiro = Visitor { session: [1; 32], ..visitor(add(&world.store, "jiro").await, 1) };
    let (code, _) = world.order(NOON).await;
    assert_eq!(world.type_as(&elsewhere, Purpose::Login, &code, after(1)).await, Tried::Over);
    assert_eq!(world.type_as(&jiro, Purpose::Login, &code, after(1)).await, Tried::Over);
    for purpose in [Purpose::Enrol, Purpose::Confirm] {
        assert_eq!(world.type_as(&world.taro, purpose, &code, after(1)).await, Tried::Over, "{purpose:?}");
    }
    assert_eq!(world.typed(&code, after(1)).await, right());
}

#[tokio::test]
async fn a_code_ordered_before_a_new_key_came_is_still_right() {
    let world = World::open().await;
    let (code, _) = world.order(NOON).await;
    assert!(is_right(&ring(2, &[1, 2]), ChallengeId::new(1), Purpose::Login, &code, &proof_of(&world).await));
    assert!(!is_right(&ring(2, &[2]), ChallengeId::new(1), Purpose::Login, &code, &proof_of(&world).await));
    assert_eq!(world.typed(&code, after(1)).await, right());
}

async fn proof_of(world: &World) -> [u8; 32] {
    world.store.read(|tx| tx.challenge(ChallengeId::new(1))).await.unwrap().unwrap().proof
}

/// Orders codes as often as it is told they may be; gives the seconds of the orders.
async fn moments(world: &World, orders: &[(&Visitor, &str)]) -> Vec<i64> {
    let (mut at, mut moments) = (NOON, Vec::new());
    for (visitor, to) in orders {
        loop {
            match world.order_for(visitor, Purpose::Login, to, at).await {
                Ordered::Sent { again_at, .. } => {
                    assert!(again_at >= at.plus(Span::from_secs(60)));
                    break;
                }
                Ordered::Suppressed => panic!("{to} is not written to"),
                Ordered::Wait { until } => {
                    assert!(until > at);
                    let just_before = until.minus(Span::from_millis(1));
                    let early = world.order_for(visitor, Purpose::Login, to, just_before).await;
                    assert_eq!(early, Ordered::Wait { until });
                    at = until;
                }
            }
        }
        moments.push(at.since(NOON).millis() / 1_000);
    }
    moments
}

#[tokio::test]
async fn r036_codes_are_limited_for_a_member_wherever_they_go() {
    let world = World::open().await;
    let to: Vec<String> = (0..12).map(|number| format!("a{number}@docomo.ne.jp")).collect();
    let orders: Vec<(&Visitor, &str)> = to.iter().map(|to| (&world.taro, to.as_str())).collect();
    // One a minute, five in any hour, ten in any day.
    let expected = [0, 60, 120, 180, 240, 3_600, 3_660, 3_720, 3_780, 3_840, 86_400, 86_460];
    assert_eq!(moments(&world, &orders).await, expected);
}

#[tokio::test]
async fn r036_codes_are_limited_for_an_address_whoever_orders_them() {
    let world = World::open().await;
    let mut members = Vec::new();
    for login in ["a", "b", "c", "d", "e", "f"] {
        members.push(visitor(add(&world.store, login).await, login.as_bytes()[0]));
    }
    let to = ["X@docomo.ne.jp", "x@docomo.ne.jp", "x@DOCOMO.ne.jp"];
    let orders: Vec<(&Visitor, &str)> = members.iter().zip(to.into_iter().cycle()).collect();
    assert_eq!(moments(&world, &orders).await, [0, 60, 120, 180, 240, 3_600]);
}

#[tokio::test]
async fn r036_what_strangers_have_sent_to_an_address_takes_nothing_from_its_owner() {
    let world = World::open().await;
    let mine = "taro@docomo.ne.jp";
    for number in 0..5u8 {
        let stranger = visitor(add(&world.store, ["a", "b", "c", "d", "e"][usize::from(number)]).await, number);
        let sent = world.order_for(&stranger, Purpose::Enrol, mine, after(60 * i64::from(number))).await;
        assert!(matches!(sent, Ordered::Sent { .. }), "{number}: {sent:?}");
    }
    let stranger = visitor(add(&world.store, "f").await, 9);
    let wait = Ordered::Wait { until: after(3_600) };
    assert_eq!(world.order_for(&stranger, Purpose::Enrol, mine, after(300)).await, wait);
    for (purpose, at) in [(Purpose::Login, 300), (Purpose::Confirm, 360), (Purpose::Login, 420)] {
        let sent = world.order_for(&world.taro, purpose, mine, after(at)).await;
        assert!(matches!(sent, Ordered::Sent { .. }), "{purpose:?}: {sent:?}");
    }
    // What its owner has sent leaves less to strangers.
    let later = after(3_600 + 60);
    assert_eq!(world.order_for(&stranger, Purpose::Enrol, mine, later).await, Ordered::Wait { until: after(3_780) });
}

#[tokio::test]
async fn r036_r040_a_code_for_an_address_that_is_not_written_to_is_not_sent_and_counts() {
    let world = World::open().await;
    let (code, _) = world.order(NOON).await;
    let suppressed = AddressRow {
        address: "Taro@docomo.ne.jp".parse().unwrap(),
        state: AddressState::Suppressed,
        verdict: None,
        stage: None,
        reply: None,
        at: Some(NOON),
        verified_at: None,
        unknown_day: None,
    };
    world.store.write::<_, StoreError, _>(move |tx| tx.note_address(&suppressed)).await.unwrap();
    let order = |at| world.order_for(&world.taro, Purpose::Login, "taro@docomo.ne.jp", after(at));
    assert_eq!(order(60).await, Ordered::Suppressed);
    assert_eq!(world.jobs().await.len(), 1);
    assert_eq!(order(119).await, Ordered::Wait { until: after(120) });
    for at in [120, 180, 240] {
        assert_eq!(order(at).await, Ordered::Suppressed);
    }
    assert_eq!(order(300).await, Ordered::Wait { until: after(3_600) });
    // The one that was sent before may have arrived all the same.
    assert_eq!(world.typed(&code, after(301)).await, right());
}

#[tokio::test]
async fn r040_thirty_wrong_codes_in_a_day_pause_the_step_for_a_day() {
    let world = World::open().await;
    let member = world.taro.member.id;
    let wrong = |at| world.store.write::<_, StoreError, _>(move |tx| note_wrong(tx, member, at));
    wrong(after(-1)).await.unwrap();
    for number in 0..28 {
        wrong(after(number * 3_000)).await.unwrap();
    }
    let last = after(86_400 - 2);
    assert_eq!(world.paused(last).await, None);
    wrong(last).await.unwrap();
    let until = last.plus(Span::from_secs(86_400));
    assert_eq!(world.paused(last).await, Some(until));
    assert_eq!(world.paused(until.minus(Span::from_millis(1))).await, Some(until));
    assert_eq!(world.paused(until).await, None);
}

#[tokio::test]
async fn wrong_codes_that_lie_further_apart_pause_nothing() {
    let world = World::open().await;
    let member = world.taro.member.id;
    for number in 0..30 {
        let at = after(number * 2_980);
        world.store.write::<_, StoreError, _>(move |tx| note_wrong(tx, member, at)).await.unwrap();
        assert_eq!(world.paused(at).await, None, "{number}");
    }
}

#[tokio::test]
async fn wrong_codes_of_mails_count_for_the_pause() {
    let world = World::open().await;
    let mut at = NOON;
    for _ in 0..6 {
        while let Ordered::Wait { until } = world.order_for(&world.taro, Purpose::Login, "taro@docomo.ne.jp", at).await
        {
            at = until;
        }
        assert_eq!(world.paused(at).await, None);
        for _ in 0..5 {
            world.typed("x", at).await;
        }
    }
    assert!(world.paused(at).await.is_some());
}

#[tokio::test]
async fn no_file_of_the_database_shows_a_code() {
    let world = World::open().await;
    let policy = Policy { otp_digits: 8, ..Policy::default() };
    let eight = Visitor { policy, ..world.taro.clone() };
    world.order_for(&eight, Purpose::Login, "taro@docomo.ne.jp", NOON).await;
    let job = world.jobs().await[0];
    let code = world.code(job).await.unwrap();
    assert_eq!(code.len(), 8);
    let shows = |text: &str| {
        let files: Vec<_> = std::fs::read_dir(world.folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty());
        let contains = |file| std::fs::read(file).unwrap().windows(text.len()).any(|part| part == text.as_bytes());
        files.iter().any(contains)
    };
    assert!(shows("taro@docomo.ne.jp"), "the test looks at the wrong files");
    assert!(!shows(&code));
}

/// The ways in which a job comes to its end.
#[derive(Debug, Clone, Copy)]
enum End {
    Settled(State),
    Dropped,
}

#[tokio::test]
async fn a_code_goes_with_its_job_however_that_ends() {
    let states = [State::Accepted, State::Refused, State::Expired, State::Suppressed, State::Cancelled];
    for end in states.map(End::Settled).into_iter().chain([End::Dropped]) {
        let world = World::open().await;
        let (_, job) = world.order(NOON).await;
        let done = world.store.write::<_, StoreError, _>(move |tx| {
            let state = match end {
                End::Dropped => {
                    let selection = crate::queue::Selection { ids: vec![job], ..Default::default() };
                    return Ok(tx.drop_jobs(&selection, NOON, JobId::new(0), 9)?.0.count == 1);
                }
                End::Settled(state) => state,
            };
            let fence = tx.claim("w", NOON, after(60), 1)?[0].lease.as_ref().unwrap().fence;
            tx.settle(job, "w", fence, &Settlement::End { state, stage: None, reply: None, at: NOON })
        });
        assert!(done.await.unwrap(), "{end:?}");
        assert_eq!(world.code(job).await, None, "{end:?}");
    }
}

#[tokio::test]
async fn a_code_that_waits_for_another_try_stays_sealed() {
    let world = World::open().await;
    let (code, job) = world.order(NOON).await;
    let put_off = world.store.write::<_, StoreError, _>(move |tx| {
        let fence = tx.claim("w", NOON, after(60), 1)?[0].lease.as_ref().unwrap().fence;
        let defer = Settlement::Defer {
            due: after(5),
            stage: crate::model::Stage::Connect,
            reply: crate::model::Reply::new(451, "later"),
            cause: crate::queue::Cause::Unreachable,
            at: NOON,
        };
        tx.settle(job, "w", fence, &defer)
    });
    assert!(put_off.await.unwrap());
    assert_eq!(world.code(job).await, Some(code));
}

#[test]
fn r039_codes_have_the_digits_asked_for_and_none_is_likelier_than_another() {
    let random = Random::repeating(3);
    for digits in [6, 7, 8] {
        let codes: Vec<String> = (0..2_000).map(|_| draw(&random, digits).unwrap().reveal().clone()).collect();
        assert!(codes.iter().all(|code| code.len() == usize::from(digits)));
        assert!(codes.iter().collect::<BTreeSet<_>>().len() > 1_990);
        for place in 0..usize::from(digits) {
            for digit in b'0'..=b'9' {
                let count = codes.iter().filter(|code| code.as_bytes()[place] == digit).count();
                assert!((130..270).contains(&count), "{count} × {} at {place}", char::from(digit));
            }
        }
    }
}

#[test]
fn a_code_is_read_however_a_phone_writes_it() {
    for typed in
        ["123456", "123 456", "１２３４５６", "123-456", "１２３　４５６", " 123－456 ", "123ー456", "123‐456\u{a0}"]
    {
        assert_eq!(digits(typed), "123456", "{typed}");
    }
    assert_eq!(digits("AB-cd"), "ABcd");
}

#[test]
fn a_sealed_code_opens_for_its_job_only() {
    let sealed = seal::seal(&ring(1, &[1]), &owner(JobId::new(5)), [9; 24], b"123456");
    assert_eq!(open(&ring(1, &[1]), JobId::new(5), &sealed).unwrap().reveal(), "123456");
    assert_eq!(open(&ring(1, &[1]), JobId::new(6), &sealed).unwrap_err(), SealError::Broken);
}
