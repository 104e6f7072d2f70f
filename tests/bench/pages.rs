//! Members at the door: logins a second, what a page takes, what sessions cost.

use crate::daemon::{Daemon, settings};
use crate::disk::Ground;
use crate::figure::{Figure, Waits};
use crate::million::megabytes;
use crate::place::Place;
use crate::visitor::{Page, Visitor};
use data_encoding::BASE64URL_NOPAD;
use karamail::clock::Clock;
use karamail::model::{Language, MemberId, Secret, Timestamp};
use karamail::service::hasher::Hasher;
use karamail::service::session::Stage;
use karamail::store::{Location, NewMember, Options, Session, Store, StoreError, Tx};
use sha2::{Digest, Sha256};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub const PASSWORD: &str = "umi-to-yama-9";
const LOGINS: usize = 600;
const SESSIONS: usize = 10_000;
/// People who press at the same time.
const CROWD: usize = 16;

pub fn login(number: usize) -> String {
    format!("{number:05}")
}

/// Adds so many members of DEMO who have chosen their password, and for each a session of a name that [`cookie`] gives.
async fn furnish(folder: &Path, members: usize, hash: String) {
    let store = Store::open(Options::new(Location::Sqlite(folder.join("karamail.db")))).await.unwrap();
    let now = Clock::system().now();
    let furnish = move |tx: &mut Tx<'_>| {
        let org = tx.add_org(&"DEMO".parse().unwrap(), "デモ団体", None, now)?.unwrap();
        for number in 0..members {
            let (id, _) = tx.put_member(org, &member(&login(number)), now)?;
            tx.set_password(id, &hash, now)?;
            tx.open_session(&Sha256::digest(secret(number)).into(), &session(id, now))?;
        }
        Ok::<_, StoreError>(())
    };
    store.write(furnish).await.unwrap();
    store.close().await;
}

pub fn member(login: &str) -> NewMember {
    NewMember {
        login: login.parse().unwrap(),
        name: "見本 花子".to_owned(),
        kana: None,
        department: None,
        language: Language::Ja,
        password_hash: None,
        addresses: [None, None, None],
    }
}

pub fn session(member: MemberId, now: Timestamp) -> Session {
    Session {
        member,
        created: now,
        seen: now,
        password_at: now,
        code_at: None,
        last_login: None,
        stage: Stage::Full.as_str().to_owned(),
        language: Language::Ja,
    }
}

pub fn secret(number: usize) -> [u8; 32] {
    Sha256::digest(number.to_be_bytes()).into()
}

pub fn cookie(number: usize) -> String {
    BASE64URL_NOPAD.encode(&secret(number))
}

/// A daemon whose members are there.
pub async fn daemon(place: &Place, members: usize) -> Daemon {
    let hasher = Hasher::new(1, Clock::system());
    let hash = hasher.hash(Secret::new(PASSWORD.to_owned()), [7; 16]).await.unwrap();
    let folder = place.path("data");
    std::fs::create_dir_all(&folder).unwrap();
    furnish(&folder, members, hash).await;
    let settings = settings(place, "route = \"capture\"", "");
    tokio::task::block_in_place(|| Daemon::start(place, &settings))
}

/// Has a crowd do something, each time with the next number; gives how long each time took.
fn crowd(times: usize, act: impl Fn(usize) + Sync) -> Vec<Duration> {
    let next = AtomicUsize::new(0);
    let one = || {
        let mut waits = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= times {
                return waits;
            }
            let start = Instant::now();
            act(number);
            waits.push(start.elapsed());
        }
    };
    std::thread::scope(|scope| {
        let people: Vec<_> = (0..CROWD).map(|_| scope.spawn(one)).collect();
        people.into_iter().flat_map(|person| person.join().unwrap()).collect()
    })
}

/// Asks for a page with a session.
fn get(web: SocketAddr, path: &str, cookie: &str) -> String {
    let mut stream = TcpStream::connect(web).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\nCookie: karamail={cookie}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn log_in(web: SocketAddr, number: usize) -> Page {
    let mut visitor = Visitor::new(web);
    let page = visitor.get("/login").unwrap();
    let (id, fields) = (login(number), [("org", "DEMO"), ("family", ""), ("password", PASSWORD)]);
    let page = visitor.submit(&page, &[&fields[..], &[("id", id.as_str())]].concat()).unwrap();
    assert!(page.path.starts_with("/account"), "{}: {}", page.path, page.body);
    page
}

/// How many passwords are hashed a second on all cores, with nothing beside.
async fn hashes() -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let hasher = Hasher::new(cores, Clock::system());
    let hash = hasher.hash(Secret::new(PASSWORD.to_owned()), [7; 16]).await.unwrap();
    let start = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..LOGINS / 2 {
        let (hasher, hash) = (hasher.clone(), hash.clone());
        all.spawn(async move { hasher.verify(Secret::new(PASSWORD.to_owned()), Some(hash)).await.unwrap() });
    }
    assert!(all.join_all().await.into_iter().all(|right| right));
    (LOGINS / 2) as f64 / start.elapsed().as_secs_f64()
}

/// The page of the login, the login, the page behind it, over connections of their own; and the same without the hash, which is
/// what is left of the time when that of the hashes is taken away.
pub async fn logins() -> Figure {
    let hashes = hashes().await;
    let place = Place::take();
    let daemon = daemon(&place, LOGINS).await;
    let ground = Ground::of(&place.path("."));
    let start = Instant::now();
    let web = daemon.web;
    tokio::task::block_in_place(|| crowd(LOGINS, |number| drop(log_in(web, number))));
    let seconds = start.elapsed().as_secs_f64();
    let rate = LOGINS as f64 / seconds;
    let without = 1.0 / (1.0 / rate - 1.0 / hashes);
    let result = Some(format!("{rate:.0}/s; Argon2id alone {hashes:.0}/s, so all the rest {without:.0}/s"));
    Figure { what: "logins: page, password, page", who: "karamail", mails: LOGINS, seconds, result, ground }
}

/// What a page of a member takes while a crowd presses, and what ten thousand sessions cost in memory.
pub async fn pages() -> [Figure; 2] {
    let place = Place::take();
    let daemon = daemon(&place, SESSIONS).await;
    let ground = Ground::of(&place.path("."));
    let web = daemon.web;
    let look = |number: usize| {
        let page = get(web, "/account", &cookie(number));
        assert!(page.starts_with("HTTP/1.1 200") && page.contains(&login(number)), "{page}");
    };
    tokio::task::block_in_place(|| crowd(200, look));
    let before = megabytes(&daemon, "VmRSS:");
    let start = Instant::now();
    let waits = tokio::task::block_in_place(|| crowd(SESSIONS, look));
    let seconds = start.elapsed().as_secs_f64();
    let after = megabytes(&daemon, "VmRSS:");
    let waits = Waits::new(waits);
    let [p50, p99] = [0.5, 0.99].map(|share| waits.share(share).as_secs_f64() * 1_000.0);
    let rate = SESSIONS as f64 / seconds;
    let page = Some(format!("{rate:.0}/s; p50 {p50:.1} ms, p99 {p99:.1} ms with {CROWD} at a time"));
    let memory = Some(format!("{after} MiB resident, {before} MiB before"));
    let figure = |what, result| Figure { what, who: "karamail", mails: SESSIONS, seconds, result, ground };
    [figure("a member's page, each in a session of its own", page), figure("memory after 10,000 sessions", memory)]
}
