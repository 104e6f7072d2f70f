//! One-time passwords ordered at the members' door: from the press on the page to the 250 of the carrier.

use crate::daemon::{Daemon, settings};
use crate::disk::Ground;
use crate::engine::{self, DOMAIN};
use crate::figure::{Figure, Waits};
use crate::names::Names;
use crate::pages::{cookie, login, member, secret, session};
use crate::place::{Place, SMTP_PORT};
use crate::sink::{Manner, Sink};
use crate::urgent::waits;
use crate::visitor::Visitor;
use karamail::clock::Clock;
use karamail::keys::Keys;
use karamail::model::Policy;
use karamail::queue::Class;
use karamail::random::Random;
use karamail::service::session::Stage;
use karamail::store::{FactorKind, Session, Store, StoreError, Tx};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

const WHAT: &str = "OTPs pressed for on the page behind 2,000 alerts to one destination, 50 ms a mail, 4 connections";
const BACKLOG: usize = 2_000;
/// More than there is time to press for.
const MEMBERS: usize = 400;
const GROUP: &str = "[[destination]]\nname = \"carrier\"\ndomains = [\"carrier.example\"]\nconnections = 4\n";

/// Members who have typed their password, and are asked for a code that comes by mail.
async fn furnish(store: &Store) {
    let now = Clock::system().now();
    let furnish = move |tx: &mut Tx<'_>| {
        let (code, policy) = ("DEMO".parse().unwrap(), Policy { two_factor: true, ..Policy::default() });
        let org = tx.add_org(&code, "デモ団体", None, now)?.unwrap();
        tx.set_policy(&code, &policy)?;
        for number in 0..MEMBERS {
            let (id, _) = tx.put_member(org, &member(&login(number)), now)?;
            let address = format!("otp{number}@{DOMAIN}").parse().unwrap();
            tx.put_factor(id, FactorKind::Mail, Some(&address), None, now)?;
            let session = Session { stage: Stage::Code.as_str().to_owned(), ..session(id, now) };
            tx.open_session(&Sha256::digest(secret(number)).into(), &session)?;
        }
        Ok::<_, StoreError>(())
    };
    store.write(furnish).await.unwrap();
}

/// A daemon with the alerts and the members in its store.
async fn daemon(place: &Place, names: &Names) -> Daemon {
    let folder = place.path("data");
    std::fs::create_dir_all(&folder).unwrap();
    drop(Keys::open(&folder, &Random::system()).unwrap());
    let (store, content) = engine::open(&folder).await;
    furnish(&store).await;
    store.close().await;
    engine::fill(&folder, &content, Class::Alert, BACKLOG, &[DOMAIN]);
    let settings =
        settings(place, "tls = \"off\"", GROUP).replace(&format!("{}:5353", place.host(2)), &names.address.to_string());
    tokio::task::block_in_place(|| Daemon::start(place, &settings))
}

/// Presses for a code; gives when, and how long the page took to answer.
fn press(web: SocketAddr, number: usize) -> (Instant, Duration) {
    let mut visitor = Visitor::new(web);
    visitor.cookies.insert("karamail".to_owned(), cookie(number));
    let page = visitor.get("/login/code/mail").unwrap();
    assert!(page.status == 200, "{}", page.body);
    let pressed = Instant::now();
    let answer = visitor.send(&page, "/login/code/send", &[]).unwrap();
    assert_eq!(answer.location.as_deref(), Some("/login/code/mail"), "{}", answer.body);
    (pressed, pressed.elapsed())
}

/// Somebody presses every 137 ms until three quarters of the alerts have gone.
pub async fn pressed() -> Figure {
    let place = Place::take();
    let (host, per_mail) = (place.host(10), Duration::from_millis(50));
    let mut sink = Sink::start(SocketAddr::new(host, SMTP_PORT), Manner { per_mail, ..Manner::default() }).await;
    let names = Names::serve(&format!("{DOMAIN} A {host}")).await;
    let ground = Ground::of(&place.path("."));
    let start = Instant::now();
    let daemon = daemon(&place, &names).await;
    sink.until(1).await;
    let (mut ordered, mut answers) = (Vec::new(), Vec::new());
    let mut beat = tokio::time::interval(Duration::from_millis(137));
    while sink.seen.borrow().taken < BACKLOG * 3 / 4 {
        beat.tick().await;
        let (pressed, answered) = tokio::task::block_in_place(|| press(daemon.web, ordered.len()));
        ordered.push(pressed);
        answers.push(answered);
    }
    let number = ordered.len();
    sink.until_seen(|seen| seen.urgent.len() >= number).await;
    let seconds = start.elapsed().as_secs_f64();
    let [p50, p99] = [0.5, 0.99].map(|share| Waits::new(answers.clone()).share(share).as_secs_f64() * 1_000.0);
    let result = format!("{}; the page answers after p50 {p50:.1} ms, p99 {p99:.1} ms", waits(&sink, &ordered).text());
    Figure { what: WHAT, who: "karamail", mails: BACKLOG, seconds, result: Some(result), ground }
}
