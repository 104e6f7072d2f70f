use super::*;
use crate::model::{KeyRing, Language, OrgCode, Policy};
use crate::queue::Class;
use crate::service::otp::Otp;
use crate::service::session::Standing;
use crate::store::{JobFilter, Location, NewMember, OTP_CODE, Options};
use std::sync::Arc;
use tokio::task::JoinSet;

/// 2026-11-22 12:00:00 in Japan, where a step begins.
pub(in crate::service) const NOON: Timestamp = Timestamp::from_millis(1_795_316_400_000);

/// How notices are sent.
pub(in crate::service) const NOTICES: Notices = Notices { give_up: Span::from_secs(7_200) };

pub(in crate::service) fn after(seconds: i64) -> Timestamp {
    NOON.plus(Span::from_secs(seconds))
}

/// A store with a member of an organisation that asks for a second factor.
pub(in crate::service) struct World {
    pub(in crate::service) store: Store,
    pub(in crate::service) keys: Keychain,
    factors: SecondFactor,
    member: MemberId,
    _folder: tempfile::TempDir,
}

impl World {
    pub(in crate::service) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keychain::open(folder.path(), &Random::system()).unwrap();
        let store = Store::open(Options::new(Location::Sqlite(folder.path().join("test.db")))).await.unwrap();
        let member = store.write::<_, StoreError, _>(add).await.unwrap();
        let issuer = "www.mc-anpi.com".to_owned();
        let factors = SecondFactor::new(store.clone(), keys.clone(), Random::repeating(5), NOTICES, issuer);
        Self { store, keys, factors, member, _folder: folder }
    }

    /// Logs in with the password, as session `number`.
    pub(in crate::service) async fn log_in(&self, number: u8, at: Timestamp) -> Visitor {
        let member = self.member;
        self.store
            .write::<_, StoreError, _>(move |tx| {
                let member = tx.member_by_id(member)?.unwrap();
                session::begin(tx, &[number; 32], &member, at)
            })
            .await
            .unwrap();
        self.visitor(number, at).await.unwrap()
    }

    pub(in crate::service) async fn visitor(&self, number: u8, at: Timestamp) -> Option<Visitor> {
        match session::standing(&self.store, [number; 32], at).await.unwrap() {
            Standing::In(visitor) => Some(*visitor),
            _ => None,
        }
    }

    /// Logs in and sets an app up at noon; gives its secret, as session 2.
    pub(in crate::service) async fn with_app(&self) -> [u8; SECRET_LEN] {
        let visitor = self.log_in(1, NOON).await;
        let (offer, secret) = self.offer(&visitor, NOON);
        assert_eq!(self.set_up(&visitor, &offer, &code(&secret, NOON), 2, NOON).await, Verdict::Right(Stage::Full));
        secret
    }

    /// Has the member's factors hold again, as after another set-up.
    pub(in crate::service) async fn set_up_again(&self, at: Timestamp) {
        let member = self.member;
        let put = move |tx: &mut Tx<'_>| tx.put_factor(member, FactorKind::App, None, None, at);
        self.store.write::<_, StoreError, _>(put).await.unwrap();
    }

    fn offer(&self, visitor: &Visitor, at: Timestamp) -> (Offer, [u8; SECRET_LEN]) {
        let offer = self.factors.offer(visitor, at).unwrap();
        let secret = data_encoding::BASE32.decode(offer.key.reveal().replace(' ', "").as_bytes()).unwrap();
        (offer, secret.try_into().unwrap())
    }

    async fn set_up(&self, visitor: &Visitor, offer: &Offer, typed: &str, to: u8, at: Timestamp) -> Verdict<Stage> {
        self.factors.set_up_app(visitor, &[offer.sealed.as_str()], typed, step(to, at)).await.unwrap()
    }

    async fn pass(&self, visitor: &Visitor, typed: &str, to: u8, at: Timestamp) -> Verdict<Stage> {
        let proof = Proof { kind: FactorKind::App, typed: typed.to_owned() };
        self.factors.pass(visitor, proof, step(to, at)).await.unwrap()
    }

    async fn kinds(&self, at: Timestamp) -> Vec<(FactorKind, Option<Timestamp>)> {
        let overview = self.factors.overview(self.member, at).await.unwrap();
        overview.factors.into_iter().map(|factor| (factor.kind, factor.ends)).collect()
    }

    async fn confirm(&self, visitor: &Visitor, typed: &str, to: u8, at: Timestamp) -> Verdict<Stage> {
        let proof = Proof { kind: FactorKind::App, typed: typed.to_owned() };
        self.factors.confirm(visitor, proof, step(to, at)).await.unwrap()
    }

    /// Sets a mail address up in a session that may; the session goes on as `to`.
    async fn set_up_mail(&self, visitor: &Visitor, to: u8, at: Timestamp) -> Verdict<Stage> {
        let code = self.mailed(visitor, at).await;
        self.type_mailed(visitor, &code, to, at).await
    }

    async fn type_mailed(&self, visitor: &Visitor, code: &str, to: u8, at: Timestamp) -> Verdict<Stage> {
        self.factors.set_up_mail(visitor, code, step(to, at)).await.unwrap()
    }

    /// Has a code sent to a mail address that is to be set up.
    async fn mailed(&self, visitor: &Visitor, at: Timestamp) -> String {
        let otp = Otp::new(self.store.clone(), self.keys.clone(), Random::system());
        let address = "taro@docomo.ne.jp".parse().unwrap();
        otp.order(visitor, Purpose::Enrol, &address, Language::Ja, at).await.unwrap();
        let waiting = otp.waiting(visitor, Purpose::Enrol, at).await.unwrap().unwrap();
        let expires = at.plus(Span::from_secs(3_600));
        assert_eq!((waiting.address, waiting.sent, waiting.expires), (address, at, expires));
        let (session, keys) = (visitor.session, self.keys.now());
        let open = move |tx: &mut Tx<'_>| {
            let job = tx.waiting_challenge(&session, Purpose::Enrol.as_str(), at)?.unwrap().job;
            let sealed = tx.secret(OTP_CODE, job.number())?.unwrap();
            Ok(otp::open(keys.seal(), job, &sealed).unwrap().reveal().clone())
        };
        self.store.read::<_, StoreError, _>(open).await.unwrap()
    }
}

fn add(tx: &mut Tx<'_>) -> Result<MemberId, StoreError> {
    let code: OrgCode = "DEMO".parse().unwrap();
    let org = tx.add_org(&code, "デモ", None, NOON)?.unwrap();
    tx.set_policy(&code, &Policy { two_factor: true, ..Policy::default() })?;
    let new = NewMember::plain("taro");
    let (member, _) = tx.put_member(org, &new, NOON)?;
    tx.set_password(member, "kept", NOON)?;
    Ok(member)
}

fn step(session: u8, now: Timestamp) -> Step {
    Step { device: None, session: [session; 32], now }
}

/// What the app shows at that moment.
pub(in crate::service) fn code(secret: &[u8; SECRET_LEN], at: Timestamp) -> String {
    let totp = totp_rs::Builder::new().with_secret(totp_rs::Secret::new_stack(*secret)).build().unwrap();
    totp.generate(at.seconds().try_into().unwrap()).to_string()
}

/// Another code of as many digits.
fn other_than(code: &str) -> String {
    code.chars().map(|c| if c == '1' { '2' } else { '1' }).collect()
}

const WRONG: Verdict<Stage> = Verdict::Wrong { left: None };

#[tokio::test]
async fn a_code_typed_when_the_session_is_over_is_not_used_up() {
    let world = World::open().await;
    let secret = world.with_app().await;
    let visitor = world.log_in(3, NOON).await;
    let late = NOON.plus(session::AWAITING);
    let shown = code(&secret, late);
    assert_eq!(world.pass(&visitor, &shown, 4, late).await, Verdict::Gone);
    let again = world.log_in(5, late).await;
    assert_eq!(world.pass(&again, &shown, 6, late).await, Verdict::Right(Stage::Full));
}

#[tokio::test]
async fn r031_r032_a_right_code_of_what_was_shown_sets_the_app_up_and_a_wrong_one_does_not() {
    let world = World::open().await;
    let visitor = world.log_in(1, NOON).await;
    assert_eq!(visitor.stage, Stage::Enrol);
    let (first, secret) = world.offer(&visitor, NOON);
    let (second, other) = world.offer(&visitor, NOON);
    assert_ne!(secret, other);
    assert_eq!(world.set_up(&visitor, &first, &other_than(&code(&secret, NOON)), 2, NOON).await, WRONG);
    // The code of what another tab shows is not one of this.
    assert_eq!(world.set_up(&visitor, &first, &code(&other, NOON), 2, NOON).await, WRONG);
    assert_eq!(world.kinds(NOON).await, []);
    let again = world.factors.offer_again(&visitor, &first.sealed, after(60)).unwrap().unwrap();
    assert_eq!(again.key.reveal(), first.key.reveal());
    let typed = code(&secret, after(60));
    let full_width: String = typed.chars().map(|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap()).collect();
    let spaced = format!("{} {}", full_width.chars().take(3).collect::<String>(), &typed[3..]);
    assert_eq!(world.set_up(&visitor, &first, &spaced, 2, after(60)).await, Verdict::Right(Stage::Full));
    assert_eq!(world.kinds(after(60)).await, [(FactorKind::App, None)]);
    assert!(world.visitor(1, after(60)).await.is_none());
    assert_eq!(world.visitor(2, after(60)).await.unwrap().stage, Stage::Full);
    // The session that was shown the second one is over.
    assert_eq!(world.set_up(&visitor, &second, &code(&other, after(60)), 3, after(60)).await, Verdict::Gone);
}

#[tokio::test]
async fn r031_the_old_secret_passes_until_the_new_one_is_confirmed() {
    let world = World::open().await;
    let old = world.with_app().await;
    let visitor = world.visitor(2, NOON).await.unwrap();
    let (offer, new) = world.offer(&visitor, NOON);
    let other = world.log_in(3, after(60)).await;
    assert_eq!(world.pass(&other, &code(&new, after(60)), 4, after(60)).await, WRONG);
    assert_eq!(world.pass(&other, &code(&old, after(90)), 4, after(90)).await, Verdict::Right(Stage::Full));
    assert_eq!(
        world.set_up(&visitor, &offer, &code(&new, after(120)), 5, after(120)).await,
        Verdict::Right(Stage::Full)
    );
    assert!(world.visitor(4, after(120)).await.is_none(), "the other sessions end");
    let third = world.log_in(6, after(180)).await;
    assert_eq!(world.pass(&third, &code(&old, after(180)), 7, after(180)).await, WRONG);
    assert_eq!(world.pass(&third, &code(&new, after(240)), 7, after(240)).await, Verdict::Right(Stage::Full));
}

#[tokio::test]
async fn r024_r031_where_a_factor_is_there_none_is_set_up_unless_a_code_passed_lately() {
    let world = World::open().await;
    let old = world.with_app().await;
    let visitor = world.visitor(2, after(299)).await.unwrap();
    let (in_time, _) = world.offer(&visitor, after(299));
    let (offer, new) = world.offer(&visitor, after(300));
    let typed = code(&new, after(300));
    assert_eq!(world.set_up(&visitor, &offer, &typed, 3, after(300)).await, Verdict::Unproven);
    let sent = world.mailed(&visitor, after(300)).await;
    assert_eq!(world.type_mailed(&visitor, &sent, 3, after(300)).await, Verdict::Unproven);
    assert_eq!(world.kinds(after(300)).await, [(FactorKind::App, None)]);
    // What was shown in time is not lost while the app is being installed.
    assert_eq!(world.set_up(&visitor, &in_time, "000000", 3, after(900)).await, WRONG);

    let wrong = other_than(&code(&old, after(930)));
    assert_eq!(world.confirm(&visitor, &wrong, 3, after(930)).await, WRONG);
    assert_eq!(world.set_up(&visitor, &offer, &code(&new, after(930)), 3, after(930)).await, Verdict::Unproven);
    assert_eq!(world.confirm(&visitor, &code(&old, after(960)), 3, after(960)).await, Verdict::Right(Stage::Full));
    let visitor = world.visitor(3, after(960)).await.unwrap();
    assert_eq!(world.type_mailed(&visitor, &sent, 4, after(960)).await, Verdict::Right(Stage::Full));
    let visitor = world.visitor(4, after(960)).await.unwrap();
    let typed = code(&new, after(960));
    assert_eq!(world.set_up(&visitor, &offer, &typed, 5, after(960)).await, Verdict::Right(Stage::Full));
    // It is asked of a member who is logged in, and of nobody before.
    let before = world.log_in(6, after(990)).await;
    assert_eq!(world.confirm(&before, &code(&new, after(990)), 7, after(990)).await, Verdict::Gone);
}

#[tokio::test]
async fn r031_r040_the_password_typed_once_more_takes_along_what_is_under_way() {
    let world = World::open().await;
    world.with_app().await;
    let visitor = world.visitor(2, NOON).await.unwrap();
    let (offer, new) = world.offer(&visitor, NOON);
    let sent = world.mailed(&visitor, NOON).await;
    let again = |tx: &mut Tx<'_>| session::typed_again(tx, &[2; 32], &[3; 32], after(400));
    assert_eq!(world.store.write::<_, StoreError, _>(again).await.unwrap(), Some(Stage::Full));
    let visitor = world.visitor(3, after(400)).await.unwrap();
    let other = other_than(&sent);
    assert_eq!(world.type_mailed(&visitor, &other, 4, after(400)).await, Verdict::Wrong { left: Some(4) });
    assert_eq!(world.type_mailed(&visitor, &sent, 4, after(400)).await, Verdict::Right(Stage::Full));
    let visitor = world.visitor(4, after(400)).await.unwrap();
    let typed = code(&new, after(400));
    assert_eq!(world.set_up(&visitor, &offer, &typed, 5, after(400)).await, Verdict::Right(Stage::Full));
    // To another session of the same member it is nothing.
    let other = world.log_in(6, after(400)).await;
    assert_eq!(world.set_up(&other, &offer, &typed, 7, after(400)).await, Verdict::Over);
}

#[tokio::test]
async fn a_code_passes_once_and_the_one_that_confirmed_never() {
    let world = World::open().await;
    let secret = world.with_app().await;
    let visitor = world.log_in(3, NOON).await;
    assert_eq!(visitor.stage, Stage::Code);
    assert_eq!(world.pass(&visitor, &code(&secret, NOON), 4, NOON).await, WRONG);
    let next = code(&secret, after(30));
    assert_eq!(world.pass(&visitor, &next, 4, after(30)).await, Verdict::Right(Stage::Full));
    let other = world.log_in(5, after(31)).await;
    assert_eq!(world.pass(&other, &next, 6, after(31)).await, WRONG);
    assert_eq!(world.visitor(5, after(31)).await.unwrap().stage, Stage::Code);
}

#[tokio::test]
async fn the_code_of_the_step_before_last_is_refused() {
    for (late, expected) in [(30, Verdict::Right(Stage::Full)), (60, WRONG)] {
        let world = World::open().await;
        let secret = world.with_app().await;
        let visitor = world.log_in(3, after(90)).await;
        let typed = code(&secret, after(90));
        assert_eq!(world.pass(&visitor, &typed, 4, after(90 + late)).await, expected, "{late}");
    }
}

#[tokio::test]
async fn of_codes_typed_side_by_side_one_is_judged() {
    let world = Arc::new(World::open().await);
    world.with_app().await;
    let visitor = world.log_in(3, after(90)).await;
    let mut guesses = JoinSet::new();
    for guess in 0..100u8 {
        let (world, visitor) = (Arc::clone(&world), visitor.clone());
        guesses.spawn(async move { world.pass(&visitor, &format!("{guess:06}"), 100 + guess, after(90)).await });
    }
    let verdicts = guesses.join_all().await;
    let judged = verdicts.iter().filter(|verdict| !matches!(verdict, Verdict::Wait { .. })).count();
    assert_eq!(judged, 2, "the first failure is free, and the next one waits");
}

#[tokio::test]
async fn after_thirty_wrong_codes_in_a_day_only_a_known_device_may_try() {
    let world = World::open().await;
    let secret = world.with_app().await;
    world.log_in(3, NOON).await;
    let mut at = NOON;
    for _ in 0..30 {
        at = at.plus(Span::from_secs(61));
        let wrong = other_than(&code(&secret, at));
        let visitor = world.visitor(3, at).await.unwrap();
        assert_eq!(world.pass(&visitor, &wrong, 4, at).await, WRONG);
    }
    at = at.plus(Span::from_secs(61));
    let visitor = world.log_in(5, at).await;
    assert!(matches!(world.pass(&visitor, &code(&secret, at), 6, at).await, Verdict::Wait { .. }));
    let proof = Proof { kind: FactorKind::App, typed: code(&secret, at) };
    let known = Step { device: Some([9; 32]), ..step(6, at) };
    assert_eq!(world.factors.pass(&visitor, proof, known).await.unwrap(), Verdict::Right(Stage::Full));
    let day = at.plus(Span::from_secs(86_400));
    let visitor = world.log_in(7, day).await;
    assert_eq!(world.pass(&visitor, &code(&secret, day), 8, day).await, Verdict::Right(Stage::Full));
}

#[tokio::test]
async fn r024_both_are_set_up_and_either_is_removed_against_a_code() {
    let world = World::open().await;
    let secret = world.with_app().await;
    let visitor = world.visitor(2, NOON).await.unwrap();
    assert_eq!(world.set_up_mail(&visitor, 3, NOON).await, Verdict::Right(Stage::Full));
    assert_eq!(world.kinds(NOON).await, [(FactorKind::App, None), (FactorKind::Mail, None)]);
    let visitor = world.visitor(3, NOON).await.unwrap();
    let by_app = |typed| Proof { kind: FactorKind::App, typed };
    let wrong = by_app(other_than(&code(&secret, after(60))));
    let verdict = world.factors.remove(&visitor, FactorKind::Mail, wrong, step(4, after(60))).await.unwrap();
    assert_eq!(verdict, WRONG);
    let right = by_app(code(&secret, after(90)));
    let verdict = world.factors.remove(&visitor, FactorKind::Mail, right, step(4, after(90))).await.unwrap();
    assert_eq!(verdict, Verdict::Right(Stage::Full));
    assert_eq!(world.kinds(after(90)).await, [(FactorKind::App, None)]);
    // It is written down, and the address that is gone is told.
    let written = world.store.read::<_, StoreError, _>(|tx| tx.audit(None, 0, 100)).await.unwrap();
    let names: Vec<&str> = written.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(
        names,
        [
            audit::TWO_FACTOR_SET,
            audit::LOGIN_SUCCESS,
            audit::TWO_FACTOR_SET,
            audit::TWO_FACTOR_FAIL,
            audit::TWO_FACTOR_REMOVED
        ]
    );
    let jobs = world.store.read::<_, StoreError, _>(|tx| tx.list_jobs(&JobFilter::default())).await.unwrap();
    let told: Vec<String> =
        jobs.iter().filter(|job| job.order.class == Class::Notice).map(|job| job.order.to.to_string()).collect();
    assert_eq!(told, ["taro@docomo.ne.jp"]);
}

#[tokio::test]
async fn r144_the_last_one_holds_until_another_is_set_up_or_half_an_hour_has_passed() {
    let world = World::open().await;
    let secret = world.with_app().await;
    let visitor = world.visitor(2, NOON).await.unwrap();
    let proof = Proof { kind: FactorKind::App, typed: code(&secret, after(30)) };
    let verdict = world.factors.remove(&visitor, FactorKind::App, proof, step(3, after(30))).await.unwrap();
    assert_eq!(verdict, Verdict::Right(Stage::Enrol));
    let ends = after(30).plus(REPLACED);
    assert_eq!(world.kinds(after(30)).await, [(FactorKind::App, Some(ends))]);
    // Whoever logs in meanwhile is still asked for a code, and gets no further than the set-up.
    let other = world.log_in(4, after(90)).await;
    assert_eq!(other.stage, Stage::Code);
    assert_eq!(world.pass(&other, &code(&secret, after(90)), 5, after(90)).await, Verdict::Right(Stage::Enrol));
    let visitor = world.visitor(3, after(90)).await.unwrap();
    assert_eq!(world.set_up_mail(&visitor, 6, after(120)).await, Verdict::Right(Stage::Full));
    assert_eq!(world.kinds(after(120)).await, [(FactorKind::Mail, None)]);
    assert_eq!(world.kinds(ends).await, [(FactorKind::Mail, None)]);
}

#[tokio::test]
async fn a_stage_opens_only_what_it_is_for() {
    let world = World::open().await;
    let secret = world.with_app().await;
    let full = world.visitor(2, NOON).await.unwrap();
    assert_eq!(world.pass(&full, &code(&secret, after(60)), 3, after(60)).await, Verdict::Gone);
    let before = world.log_in(4, after(60)).await;
    let (offer, new) = world.offer(&before, after(60));
    assert_eq!(world.set_up(&before, &offer, &code(&new, after(60)), 5, after(60)).await, Verdict::Gone);
    let proof = Proof { kind: FactorKind::App, typed: code(&secret, after(60)) };
    let verdict = world.factors.remove(&before, FactorKind::App, proof, step(5, after(60))).await.unwrap();
    assert_eq!(verdict, Verdict::Gone);
    // None of it used the code up.
    assert_eq!(world.pass(&before, &code(&secret, after(60)), 5, after(60)).await, Verdict::Right(Stage::Full));
}

#[tokio::test]
async fn the_secret_is_kept_sealed_for_its_member_alone() {
    let world = World::open().await;
    let secret = world.with_app().await;
    let member = world.member;
    let read = move |tx: &mut Tx<'_>| tx.secret(APP_SECRET, member.number());
    let kept = world.store.read::<_, StoreError, _>(read).await.unwrap().unwrap();
    assert!(!kept.windows(SECRET_LEN).any(|part| part == secret));
    let keys = world.keys.now();
    let ring: &KeyRing = keys.seal();
    assert!(seal::open(ring, &kept_for(MemberId::new(99)), &kept).is_err());
    assert_eq!(seal::open(ring, &kept_for(member), &kept).unwrap().reveal().as_slice(), secret);
}
