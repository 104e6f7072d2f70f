//! A queue of a million: what a claim costs, what a start costs, how much memory it takes, how long an urgent mail waits.

use crate::daemon::{Daemon, settings};
use crate::disk::Ground;
use crate::engine::{self, DOMAIN, Engine};
use crate::figure::{Figure, Waits};
use crate::place::{Place, SMTP_PORT};
use crate::sink::{Manner, Sink};
use karamail::clock::Clock;
use karamail::keys::Keys;
use karamail::model::Span;
use karamail::queue::Class;
use karamail::random::Random;
use karamail::store::{Store, StoreError, Wish};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const MILLION: usize = 1_000_000;
/// Jobs of one claim.
const BATCH: usize = 50;
const CLAIMS: usize = 400;

/// What a claim takes inside its transaction, without the flush: from the front, and by domain past all that waits for another.
async fn claim_cost(waiting: usize) -> (Duration, Duration, Ground) {
    let place = Place::take();
    let folder = place.path(".");
    let (store, content) = engine::open(&folder).await;
    engine::fill(&folder, &content, Class::Alert, waiting, &[DOMAIN]);
    engine::fill(&folder, &content, Class::Alert, BATCH, &["beside.example"]);
    let ground = Ground::of(&folder);
    let front = || Wish { class: Class::Alert, limit: BATCH, only: None };
    let beside = || Wish { only: Some(vec!["beside.example".parse().unwrap()]), ..front() };
    let mut costs = (Vec::new(), Vec::new());
    for _ in 0..CLAIMS {
        costs.0.push(claim(&store, front()).await);
        costs.1.push(claim(&store, beside()).await);
    }
    store.close().await;
    (Waits::new(costs.0).share(0.5), Waits::new(costs.1).share(0.5), ground)
}

/// Claims and undoes it.
async fn claim(store: &Store, wish: Wish) -> Duration {
    let took = Arc::new(Mutex::new(Duration::ZERO));
    let (noted, now) = (Arc::clone(&took), Clock::system().now());
    let undone = store.write::<(), StoreError, _>(move |tx| {
        let start = Instant::now();
        let wishes = std::slice::from_ref(&wish);
        let claimed = tx.claim_some("bench", now, now.plus(Span::from_secs(60)), BATCH, wishes)?;
        *noted.lock().unwrap() = start.elapsed();
        assert_eq!(claimed.len(), BATCH);
        Err(StoreError::Other("measured".to_owned()))
    });
    assert!(undone.await.is_err());
    *took.lock().unwrap()
}

pub async fn claims() -> [Figure; 2] {
    let (few, past_few, _) = claim_cost(1_000).await;
    let start = Instant::now();
    let (many, past_many, ground) = claim_cost(MILLION).await;
    let seconds = start.elapsed().as_secs_f64();
    let figure = |what, few: Duration, many: Duration| {
        let micros = |cost: Duration| cost.as_secs_f64() * 1_000_000.0;
        let (few, many) = (micros(few), micros(many));
        let result = format!("{few:.0} µs with 1,000 waiting, {many:.0} µs with 1,000,000: × {:.2}", many / few);
        Figure { what, who: "karamail", mails: BATCH, seconds, result: Some(result), ground }
    };
    [
        figure("claim of 50 from the front (SQLite, median of 400)", few, many),
        figure("claim of 50 by domain, past all that waits for another", past_few, past_many),
    ]
}

pub fn megabytes(daemon: &Daemon, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find(|one| one.starts_with(line)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Starts the program on a store with a million waiting, and lets it send some of them.
pub async fn start_and_memory() -> [Figure; 2] {
    const SENT: usize = 20_000;
    let place = Place::take();
    let address = SocketAddr::new(place.host(10), SMTP_PORT);
    let mut sink = Sink::start(address, Manner::default()).await;
    let folder = place.path("data");
    std::fs::create_dir_all(&folder).unwrap();
    drop(Keys::open(&folder, &Random::system()).unwrap());
    let (store, content) = engine::open(&folder).await;
    store.close().await;
    engine::fill(&folder, &content, Class::Alert, MILLION, &[DOMAIN]);
    let ground = Ground::of(&place.path("."));
    let route = format!("route = \"smarthost\"\nsmarthost = \"{address}\"\ntls = \"off\"");
    let start = Instant::now();
    let starting = {
        let (settings, place) = (settings(&place, &route, ""), &place);
        async move { tokio::task::block_in_place(|| Daemon::start(place, &settings)) }
    };
    let first = async {
        sink.until(1).await;
        start.elapsed().as_secs_f64()
    };
    let (daemon, first) = tokio::join!(starting, first);
    sink.until(SENT).await;
    let seconds = start.elapsed().as_secs_f64();
    let peak = megabytes(&daemon, "VmHWM:");
    let now = megabytes(&daemon, "VmRSS:");
    let figure = |what, mails, seconds, result| Figure { what, who: "karamail", mails, seconds, result, ground };
    [
        figure("start with 1,000,000 waiting → first delivery", 1, first, Some(format!("{first:.2} s"))),
        figure(
            "memory with 1,000,000 waiting, sending",
            SENT,
            seconds,
            Some(format!("{now} MiB resident, {peak} MiB at most")),
        ),
    ]
}

/// How long 300 one-time passwords wait with so many alerts waiting for the same destination.
async fn urgent(waiting: usize) -> (Waits, f64, Ground) {
    let place = Place::take();
    let folder = place.path(".");
    let address = SocketAddr::new(place.host(10), SMTP_PORT);
    let mut sink = Sink::start(address, Manner::default()).await;
    let (store, content) = engine::open(&folder).await;
    if waiting > 0 {
        engine::fill(&folder, &content, Class::Alert, waiting, &[DOMAIN]);
    }
    let ground = Ground::of(&folder);
    let start = Instant::now();
    let engine = Engine::start(&folder, store, content, address, 10).await;
    let mut waits = Vec::new();
    let mut beat = tokio::time::interval(Duration::from_millis(43));
    for number in 0..300 {
        beat.tick().await;
        let began = engine.order(Class::Otp, &format!("otp{number}")).await;
        let to = format!("otp{number}@{DOMAIN}");
        sink.until_seen(|seen| seen.urgent.contains_key(&to)).await;
        waits.push(sink.seen.borrow().urgent[&to].at.duration_since(began));
    }
    let seconds = start.elapsed().as_secs_f64();
    engine.stop().await;
    (Waits::new(waits), seconds, ground)
}

pub async fn otps() -> [Figure; 2] {
    let (empty, took, ground) = urgent(0).await;
    let what = "OTP ordered → accepted, queue empty";
    let first = Figure { what, who: "karamail", mails: 300, seconds: took, result: Some(empty.text()), ground };
    let (full, seconds, ground) = urgent(MILLION).await;
    let ratio = full.share(0.99).as_secs_f64() / empty.share(0.99).as_secs_f64();
    let result = Some(format!("{} (p99 × {ratio:.2})", full.text()));
    let what = "OTP ordered → accepted, 1,000,000 alerts waiting for the same destination";
    [first, Figure { what, who: "karamail", mails: 300, seconds, result, ground }]
}
