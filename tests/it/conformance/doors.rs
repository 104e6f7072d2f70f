//! The members' door: what is decided about one member at the same time.

use super::{Place, at, read, server, taro, write};
use karamail::clock::Clock;
use karamail::keys::Keys;
use karamail::model::{Secret, Span};
use karamail::random::Random;
use karamail::service::hasher::Hasher;
use karamail::service::login::{Device, Entrance, Login, Typed, Verdict};
use karamail::service::notice::Notices;
use karamail::store::Location;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use tokio::task::{JoinSet, spawn_blocking};

const NOTICES: Notices = Notices { give_up: Span::from_secs(3_600) };
const LONG: Duration = Duration::from_secs(30);

fn typed() -> Typed {
    let (org, id, family) = ("DEMO".to_owned(), "taro".to_owned(), String::new());
    Typed { org, id, family, password: Secret::new("umi-to-yama-9".to_owned()) }
}

/// Waits until somebody waits to decide who has written something here already.
fn until_somebody_waits(place: &Place) {
    let Location::Postgres(url) = &place.location else { return };
    let schema = server::schema_of(url);
    let waiting = format!(
        "SELECT count(*) FROM pg_locks w WHERE w.locktype = 'advisory' AND NOT w.granted AND EXISTS (SELECT 1 FROM \
         pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = w.pid AND c.relnamespace = '{schema}'::regnamespace)"
    );
    while server::sql(&waiting).trim() == "0" {}
}

pub async fn a_login_judged_before_the_password_changed_opens_nothing(place: Place) {
    let store = place.open().await;
    let member = taro(&store).await;
    let folder = tempfile::tempdir().unwrap();
    let keys = Arc::new(Keys::open(folder.path(), &Random::system()).unwrap());
    let hasher = Hasher::new(1, Clock::system());
    let hash = hasher.hash(typed().password, [7; 16]).await.unwrap();
    write(&store, move |tx| tx.set_password(member, &hash, at(2))).await;
    let login = Login::new(store.clone(), keys, hasher, Random::system(), NOTICES);
    let (tell, told) = sync_channel(1);
    let (release, released) = sync_channel(1);
    let mut tasks = JoinSet::new();
    let changing = store.clone();
    tasks.spawn(async move {
        let change = move |tx: &mut karamail::store::Tx<'_>| {
            tx.guard()?;
            tx.set_password(member, "another", at(3))?;
            tx.end_sessions_of(member, None)?;
            assert!(tell.send(()).is_ok());
            assert!(released.recv_timeout(LONG).is_ok());
            Ok(())
        };
        write(&changing, change).await;
    });
    spawn_blocking(move || told.recv_timeout(LONG)).await.unwrap().unwrap();
    let entrance = Entrance { device: Device::Network([7; 32]), old: None, session: [9; 32], language: None };
    let mut logins = JoinSet::new();
    logins.spawn(async move { login.attempt(typed(), entrance, at(4)).await.unwrap() });
    let place = spawn_blocking(move || {
        until_somebody_waits(&place);
        place
    });
    let _place = place.await.unwrap();
    release.send(()).unwrap();
    assert_eq!(logins.join_next().await.unwrap().unwrap(), Verdict::Refused);
    tasks.join_next().await.unwrap().unwrap();
    assert_eq!(read(&store, |tx| tx.session(&[9; 32])).await, None);
}
