use super::count::decoy;
use super::*;
use crate::clock::Clock;
use crate::model::{LoginId, OrgCode, Span};
use crate::service::second_factor::tests::{NOON, NOTICES, World};
use crate::store::Gate;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

mod doubt;

const OWN: &str = "umi-to-yama-9";
/// As long as a turn is waited for.
const TURN: Span = Span::from_secs(10);

struct Door {
    world: World,
    login: Login,
    hasher: Hasher,
    clock: Clock,
}

impl Door {
    /// The member taro with a password, and one core.
    async fn open() -> Self {
        let world = World::open().await;
        let clock = Clock::turned_by_hand(NOON);
        let hasher = Hasher::new(1, clock.clone());
        let hash = hasher.hash(Secret::new(OWN.to_owned()), [7; 16]).await.unwrap();
        let visitor = world.log_in(51, NOON).await;
        let set = move |tx: &mut Tx<'_>| tx.set_password(visitor.member.id, &hash, NOON);
        world.store.write::<_, StoreError, _>(set).await.unwrap();
        let login = Login::new(world.store.clone(), world.keys.clone(), hasher.clone(), Random::system(), NOTICES);
        Self { world, login, hasher, clock }
    }

    async fn attempt(&self, password: &str) -> Result<Verdict, LoginError> {
        self.login.attempt(typed(password), ENTRANCE, NOON).await
    }

    /// How many tries failed one after another.
    async fn failures(&self) -> i64 {
        let account = self.login.account("DEMO", "taro");
        let seen = Arc::new(AtomicI64::new(-1));
        let into = Arc::clone(&seen);
        let later = NOON.plus(Span::from_secs(3_600));
        let look = move |tx: &mut Tx<'_>| {
            let Gate::Open { failures } = tx.try_login(&account, ENTRANCE.device.fingerprint(), later)? else {
                return Ok(());
            };
            into.store(failures.into(), Ordering::SeqCst);
            // Looking is not trying: nothing of it is kept.
            Err(StoreError::Closed)
        };
        assert!(self.world.store.write(look).await.is_err());
        seen.load(Ordering::SeqCst)
    }

    /// The names in the audit log.
    async fn names(&self) -> Vec<String> {
        let rows = self.world.store.read::<_, StoreError, _>(|tx| tx.audit(None, 0, 99)).await.unwrap();
        rows.into_iter().map(|row| row.name).collect()
    }

    /// Waits until so many failures are counted.
    async fn counted(&self, failures: i64) {
        while self.failures().await != failures {
            tokio::task::yield_now().await;
        }
    }
}

const ENTRANCE: Entrance = Entrance { device: Device::Network([7; 32]), old: None, session: [9; 32], language: None };

fn typed(password: &str) -> Typed {
    let (org, id, family) = ("DEMO".to_owned(), "taro".to_owned(), String::new());
    Typed { org, id, family, password: Secret::new(password.to_owned()) }
}

#[tokio::test]
async fn a_login_is_recorded_as_one_when_the_member_is_in_and_the_password_alone_under_another_name() {
    let door = Door::open().await;
    assert!(matches!(door.attempt(OWN).await.unwrap(), Verdict::In(_, Stage::Enrol)));
    let visitor = door.world.visitor(9, NOON).await.unwrap();
    assert_eq!((door.names().await, visitor.member.last_login), (vec![audit::LOGIN_PASSWORD.to_owned()], None));
    door.world.with_app().await;
    let names = [audit::LOGIN_PASSWORD, audit::TWO_FACTOR_SET, audit::LOGIN_SUCCESS];
    assert_eq!(door.names().await, names);
    let later = NOON.plus(Span::from_secs(60));
    assert_eq!(door.world.log_in(5, later).await.member.last_login, Some(NOON));
    assert_eq!(door.names().await, names, "whoever is asked for a code is not in");
}

#[tokio::test]
async fn tries_for_accounts_that_there_are_none_of_are_told_together() {
    let door = Door::open().await;
    for id in ["hanako", "jiro", "saburo"] {
        let typed = Typed { id: id.to_owned(), ..typed("guess") };
        assert_eq!(door.login.attempt(typed, ENTRANCE, NOON).await.unwrap(), Verdict::Refused);
    }
    let tell = |at| door.world.store.write::<_, StoreError, _>(move |tx| tell_unknown(tx, at));
    assert_eq!(tell(NOON.plus(UNKNOWN).minus(Span::from_millis(1))).await.unwrap(), 0);
    assert!(door.names().await.is_empty());
    assert_eq!(tell(NOON.plus(UNKNOWN)).await.unwrap(), 1);
    assert_eq!(tell(NOON.plus(UNKNOWN)).await.unwrap(), 0);
    let rows = door.world.store.read::<_, StoreError, _>(|tx| tx.audit(None, 0, 9)).await.unwrap();
    let said = rows.iter().map(|row| (row.name.as_str(), row.fields.as_str())).collect::<Vec<_>>();
    let fields = format!(r#"{{"why":"unknown","tries":3,"since":{}}}"#, NOON.millis());
    assert_eq!(said, [(audit::LOGIN_FAIL, fields.as_str())]);
}

#[tokio::test]
async fn an_account_that_there_is_none_of_costs_what_another_one_costs_and_opens_for_no_password() {
    let door = Door::open().await;
    let next = |org: &str, id: &str| {
        let (code, login): (OrgCode, LoginId) = (org.parse().unwrap(), id.parse().unwrap());
        door.world.store.read::<_, StoreError, _>(move |tx| {
            let org = tx.org(&code)?;
            decoy(tx, org.as_ref(), &code, &login)
        })
    };
    let hash = door.world.visitor(51, NOON).await.unwrap().member.password_hash;
    assert!(hash.is_some());
    for (org, id) in [("DEMO", "aoki"), ("DEMO", "zen"), ("ACME", "aoki"), ("ZZZ", "aoki")] {
        assert_eq!(next(org, id).await.unwrap(), hash, "{org} {id}");
        let typed = Typed { org: org.to_owned(), id: id.to_owned(), ..typed(OWN) };
        assert_eq!(door.login.attempt(typed, ENTRANCE, NOON).await.unwrap(), Verdict::Refused);
    }
}

#[tokio::test]
async fn a_password_chosen_when_the_session_is_over_is_not_kept() {
    let door = Door::open().await;
    let id = door.world.visitor(51, NOON).await.unwrap().member.id;
    door.world.store.write::<_, StoreError, _>(move |tx| tx.take_password(id, NOON)).await.unwrap();
    let visitor = door.world.log_in(3, NOON).await;
    assert_eq!(visitor.stage, Stage::Password);
    let choice = || Choice { new: Secret::new("kaze-7-tori".into()), again: Secret::new("kaze-7-tori".into()) };
    let late = NOON.plus(session::IDLE);
    assert_eq!(door.login.choose(&visitor, choice(), [4; 32], late).await.unwrap(), Chosen::Gone);
    let member = door.world.store.read::<_, StoreError, _>(move |tx| tx.member_by_id(id)).await.unwrap().unwrap();
    assert_eq!(member.password_hash, None);
    let just = late.minus(Span::from_millis(1));
    assert_eq!(door.login.choose(&visitor, choice(), [4; 32], just).await.unwrap(), Chosen::Changed(Stage::Enrol));
}

#[tokio::test]
async fn a_login_that_got_no_turn_is_no_wrong_one() {
    let door = Door::open().await;
    let taken = [door.hasher.turn(Whose::Known).await.unwrap(), door.hasher.turn(Whose::Known).await.unwrap()];
    for _ in 0..9 {
        let mut attempt = Box::pin(door.attempt(OWN));
        // However late it begins to wait, its time runs out.
        let verdict = loop {
            tokio::select! {
                biased;
                verdict = &mut attempt => break verdict,
                () = door.counted(0) => door.clock.turn(TURN),
            }
        };
        assert!(matches!(verdict, Err(LoginError::Hash(HashError::Busy))), "{verdict:?}");
    }
    assert_eq!(door.failures().await, 0);
    drop(taken);
    assert!(matches!(door.attempt(OWN).await.unwrap(), Verdict::In(_, Stage::Enrol)));
}

#[tokio::test]
async fn a_browser_that_goes_away_while_it_waits_for_its_turn_was_not_wrong() {
    let door = Door::open().await;
    let taken = [door.hasher.turn(Whose::Known).await.unwrap(), door.hasher.turn(Whose::Known).await.unwrap()];
    for _ in 0..9 {
        let mut attempt = Box::pin(door.attempt(OWN));
        tokio::select! {
            biased;
            verdict = &mut attempt => assert!(verdict.is_err(), "there is no turn"),
            () = async { for _ in 0..99 { door.counted(0).await } } => {}
        }
    }
    drop(taken);
    assert!(matches!(door.attempt(OWN).await.unwrap(), Verdict::In(_, Stage::Enrol)));
}

#[tokio::test]
async fn a_browser_that_goes_away_while_its_password_is_hashed_was_wrong_only_if_it_was() {
    for (password, failures) in [(OWN, 0), ("wrong", 1)] {
        let door = Door::open().await;
        let (free, freed) = std::sync::mpsc::sync_channel::<()>(1);
        let turn = door.hasher.turn(Whose::Known).await.unwrap();
        // The one core has something to do.
        let busy = turn.run(move || freed.recv());
        let mut busy = Box::pin(busy);
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(busy.as_mut().poll(cx).is_pending())).await);
        {
            let mut attempt = Box::pin(door.attempt(password));
            tokio::select! {
                biased;
                verdict = &mut attempt => assert!(verdict.is_err(), "the core is busy"),
                () = door.counted(1) => {}
            }
        }
        free.send(()).unwrap();
        assert!(busy.await.unwrap().is_ok());
        // Both turns come back only once it was judged.
        drop([door.hasher.turn(Whose::Known).await.unwrap(), door.hasher.turn(Whose::Known).await.unwrap()]);
        door.counted(failures).await;
        // Nobody holds the session that it would have opened.
        assert!(door.world.visitor(9, NOON).await.is_none());
        assert_eq!(door.failures().await, failures);
    }
}
