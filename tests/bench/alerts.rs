//! An alert to very many, at five carriers.

use crate::daemon::{Daemon, settings};
use crate::disk::Ground;
use crate::engine;
use crate::figure::Figure;
use crate::load::{self, Load};
use crate::names::Names;
use crate::place::{Place, SMTP_PORT};
use crate::rival;
use crate::sink::{Manner, Sink};
use karamail::keys::Keys;
use karamail::queue::Class;
use karamail::random::Random;
use std::net::SocketAddr;
use std::time::Instant;

const WHAT: &str = "alert waiting in the queue → accepted by 5 sinks, signed";
const CARRIERS: [&str; 5] = ["one.example", "two.example", "three.example", "four.example", "five.example"];

async fn sinks(place: &Place) -> Vec<Sink> {
    let mut sinks = Vec::new();
    for host in 10..15 {
        sinks.push(Sink::start(SocketAddr::new(place.host(host), SMTP_PORT), Manner::default()).await);
    }
    sinks
}

async fn until_taken(sinks: &mut [Sink], mails: usize) {
    for sink in sinks {
        sink.until(mails / CARRIERS.len()).await;
    }
}

/// Signed by RSA-2048 and Ed25519 both, as the program does by itself.
pub async fn by_karamail(mails: usize) -> Figure {
    let place = Place::take();
    let mut sinks = sinks(&place).await;
    let zone: Vec<String> =
        CARRIERS.iter().zip(10..).map(|(name, host)| format!("{name} A {}", place.host(host))).collect();
    let names = Names::serve(&zone.join("\n")).await;
    let folder = place.path("data");
    std::fs::create_dir_all(&folder).unwrap();
    drop(Keys::open(&folder, &Random::system()).unwrap());
    let (store, content) = engine::open(&folder).await;
    store.close().await;
    engine::fill(&folder, &content, Class::Alert, mails, &CARRIERS);
    let ground = Ground::of(&place.path("."));
    let settings =
        settings(&place, "tls = \"off\"", "").replace(&format!("{}:5353", place.host(2)), &names.address.to_string());
    let start = Instant::now();
    let daemon = tokio::task::block_in_place(|| Daemon::start(&place, &settings));
    until_taken(&mut sinks, mails).await;
    let seconds = start.elapsed().as_secs_f64();
    drop(daemon);
    Figure { what: WHAT, who: "karamail (RSA-2048 and Ed25519)", mails, seconds, result: None, ground }
}

/// Handed in by 20 sessions as fast as it takes them: it delivers meanwhile.
pub async fn by_postfix(mails: usize) -> Figure {
    let place = Place::take();
    let mut sinks = sinks(&place).await;
    let ways: Vec<(&str, SocketAddr)> =
        CARRIERS.iter().zip(10..).map(|(name, host)| (*name, SocketAddr::new(place.host(host), SMTP_PORT))).collect();
    let ground = Ground::of(&place.path("."));
    let rival = rival::signing(&place, place.host(20), &ways);
    let load = Load {
        server: rival.smtp(),
        recipient: |number| format!("a{number}@{}", CARRIERS[number % CARRIERS.len()]),
        sender_domain: "mob-connect.com",
        mails,
        sessions: 20,
        body: 1024,
    };
    let start = Instant::now();
    assert_eq!(load::run(load).await, mails);
    until_taken(&mut sinks, mails).await;
    let seconds = start.elapsed().as_secs_f64();
    Figure { what: WHAT, who: rival.name(), mails, seconds, result: None, ground }
}
