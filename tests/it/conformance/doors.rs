//! The members' door: what is decided about one member at the same time.

use super::{Place, address, at, read, server, taro, write};
use karamail::clock::Clock;
use karamail::keys::Keychain;
use karamail::model::{MemberId, Priority, Secret, Span};
use karamail::random::Random;
use karamail::service::hasher::Hasher;
use karamail::service::login::{Again, Device, Entrance, Login, MANY, Typed, Verdict};
use karamail::service::notice::Notices;
use karamail::service::session::{Stage, Standing, standing};
use karamail::store::{Location, Store};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio::task::{JoinSet, spawn_blocking};

const NOTICES: Notices = Notices { give_up: Span::from_secs(3_600) };
const LONG: Duration = Duration::from_secs(30);

const OWN: &str = "umi-to-yama-9";

fn typed(password: &str) -> Typed {
    let (org, id, family) = ("DEMO".to_owned(), "taro".to_owned(), String::new());
    Typed { org, id, family, password: Secret::new(password.to_owned()) }
}

/// A login of taro, whose password is [`OWN`].
async fn login(store: &Store) -> (Login, MemberId) {
    let member = taro(store).await;
    let folder = tempfile::tempdir().unwrap();
    let keys = Keychain::open(folder.path(), &Random::system()).unwrap();
    let hasher = Hasher::new(1, Clock::system());
    let hash = hasher.hash(typed(OWN).password, [7; 16]).await.unwrap();
    write(store, move |tx| tx.set_password(member, &hash, at(2))).await;
    (Login::new(store.clone(), keys, hasher, Random::system(), NOTICES), member)
}

/// A stranger of a network of their own.
fn stranger(number: u8) -> Entrance {
    Entrance { device: Device::Network([number; 32]), old: None, session: [number; 32], language: None }
}

/// Waits until somebody waits for what a transaction of this place has decided.
fn until_somebody_waits(place: &Place) {
    let Location::Postgres(url) = &place.location else { return };
    let schema = server::schema_of(url);
    let waiting = format!(
        "SELECT count(*) FROM pg_locks w JOIN pg_locks g ON g.locktype = 'advisory' AND g.granted AND (g.classid, g.objid, \
         g.objsubid) = (w.classid, w.objid, w.objsubid) WHERE w.locktype = 'advisory' AND NOT w.granted AND EXISTS (SELECT \
         1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = g.pid AND c.relnamespace = \
         '{schema}'::regnamespace)"
    );
    while server::sql(&waiting).trim() == "0" {}
}

pub async fn after_a_hundred_failures_side_by_side_a_strangers_right_password_waits_for_a_code(place: Place) {
    let store = place.open().await;
    let (login, member) = login(&store).await;
    write(&store, move |tx| tx.put_address(member, Priority::First, &address("taro@docomo.ne.jp"), "import", at(2)))
        .await;
    let account = login.account("DEMO", "taro");
    for (before, stage) in [(MANY - 5, Stage::Full), (MANY - 4, Stage::Doubt)] {
        for _ in 0..before {
            write(&store, move |tx| tx.count_try(&account, at(0), at(3))).await;
        }
        let mut guesses = JoinSet::new();
        for number in 1..=4 {
            let login = login.clone();
            guesses.spawn(async move { login.attempt(typed("guess"), stranger(number), at(4)).await.unwrap() });
        }
        assert!(guesses.join_all().await.into_iter().all(|verdict| verdict == Verdict::Refused));
        let verdict = login.attempt(typed(OWN), stranger(9), at(5)).await.unwrap();
        assert!(matches!(verdict, Verdict::In(_, reached) if reached == stage), "{before}: {verdict:?}");
        write(&store, move |tx| tx.end_session(&[9; 32])).await;
        for number in 1..=4 {
            write(&store, move |tx| tx.login_succeeded(&account, &[number; 32])).await;
        }
    }
}

/// A change of a member's password that has ended every session, and is not committed yet.
struct Change {
    task: JoinSet<()>,
    release: SyncSender<()>,
}

impl Change {
    async fn begin(store: &Store, member: MemberId) -> Self {
        let (tell, told) = sync_channel(1);
        let (release, released) = sync_channel(1);
        let (mut task, store) = (JoinSet::new(), store.clone());
        task.spawn(async move {
            let change = move |tx: &mut karamail::store::Tx<'_>| {
                tx.guard()?;
                tx.set_password(member, "another", at(3))?;
                tx.end_sessions_of(member, None)?;
                assert!(tell.send(()).is_ok());
                assert!(released.recv_timeout(LONG).is_ok());
                Ok(())
            };
            write(&store, change).await;
        });
        spawn_blocking(move || told.recv_timeout(LONG)).await.unwrap().unwrap();
        Self { task, release }
    }

    /// Commits it once somebody waits for it.
    async fn end(mut self, place: Place) -> Place {
        let waited = spawn_blocking(move || {
            until_somebody_waits(&place);
            place
        });
        let place = waited.await.unwrap();
        self.release.send(()).unwrap();
        self.task.join_next().await.unwrap().unwrap();
        place
    }
}

pub async fn a_login_judged_before_the_password_changed_opens_nothing(place: Place) {
    let store = place.open().await;
    let (login, member) = login(&store).await;
    let change = Change::begin(&store, member).await;
    let mut logins = JoinSet::new();
    logins.spawn(async move { login.attempt(typed(OWN), stranger(9), at(4)).await.unwrap() });
    let _place = change.end(place).await;
    assert_eq!(logins.join_next().await.unwrap().unwrap(), Verdict::Refused);
    assert_eq!(read(&store, |tx| tx.session(&[9; 32])).await, None);
}

pub async fn a_password_typed_once_more_does_not_bring_back_a_session_that_a_change_ends(place: Place) {
    let store = place.open().await;
    let (login, member) = login(&store).await;
    let verdict = login.attempt(typed(OWN), stranger(9), at(3)).await.unwrap();
    assert!(matches!(verdict, Verdict::In(..)), "{verdict:?}");
    let Standing::In(visitor) = standing(&store, [9; 32], at(3)).await.unwrap() else { panic!("not logged in") };
    let change = Change::begin(&store, member).await;
    let mut tries = JoinSet::new();
    let device = Device::Network([9; 32]);
    tries.spawn(async move { login.again(&visitor, &typed(OWN).password, device, [8; 32], at(4)).await.unwrap() });
    let _place = change.end(place).await;
    let verdict = tries.join_next().await.unwrap().unwrap();
    assert!(matches!(verdict, Again::Gone | Again::Refused), "{verdict:?}");
    for session in [[8; 32], [9; 32]] {
        assert_eq!(read(&store, move |tx| tx.session(&session)).await, None);
    }
}
