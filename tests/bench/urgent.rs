//! One-time passwords behind, and between, alerts to the same destination.

use crate::disk::{Flushes, Ground, Probe};
use crate::engine::{self, DOMAIN, Engine};
use crate::figure::{Figure, Waits};
use crate::load::{self, Load};
use crate::place::{Place, SMTP_PORT};
use crate::rival;
use crate::sink::{Manner, Sink, Taken};
use karamail::queue::Class;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

const CONNECTIONS: usize = 4;
/// What the destination takes for a mail, or how far away it is.
const FIFTY: Duration = Duration::from_millis(50);

const BEHIND: &str = "OTPs behind 2,000 alerts to one destination, 50 ms a mail, 4 connections";
const BACKLOG: usize = 2_000;
const BETWEEN: &str = "1,000 mails over 50 ms round trips, 4 connections, OTPs in between";
const MAILS: usize = 1_000;

fn address(place: &Place) -> SocketAddr {
    SocketAddr::new(place.host(10), SMTP_PORT)
}

/// Orders a one-time password every 137 ms until the sink has taken `until` mails; gives when, once it has taken all of these.
async fn order_until(engine: &Engine, sink: &mut Sink, until: usize) -> Vec<Instant> {
    let (mut ordered, mut beat) = (Vec::new(), tokio::time::interval(Duration::from_millis(137)));
    while sink.seen.borrow().taken < until {
        beat.tick().await;
        ordered.push(engine.order(Class::Otp, &format!("otp{}", ordered.len())).await);
    }
    let number = ordered.len();
    sink.until_seen(|seen| seen.urgent.len() >= number).await;
    ordered
}

fn taken(sink: &Sink, number: usize) -> Taken {
    sink.seen.borrow().urgent[&format!("otp{number}@{DOMAIN}")]
}

/// How long each one-time password waited for its 250.
pub fn waits(sink: &Sink, ordered: &[Instant]) -> Waits {
    let wait = |(number, began): (usize, &Instant)| taken(sink, number).at.duration_since(*began);
    Waits::new(ordered.iter().enumerate().map(wait).collect())
}

/// How many waited for longer than their own message and the one before it took, and three raw flushes that were under way
/// meanwhile: for a message that was begun after they were ordered.
fn late(sink: &Sink, ordered: &[Instant], flushes: &Flushes) -> usize {
    let is_late = |(number, began): &(usize, &Instant)| {
        let taken = taken(sink, *number);
        let three = flushes.three((*began).into_std(), taken.at.into_std());
        taken.two.is_some_and(|two| taken.at.duration_since(**began) > two + three)
    };
    ordered.iter().enumerate().filter(is_late).count()
}

/// A store with `count` mails of a class waiting, and a worker that sends them.
async fn engine(place: &Place, class: Class, count: usize) -> Engine {
    let folder = place.path(".");
    let (store, content) = engine::open(&folder).await;
    engine::fill(&folder, &content, class, count, &[DOMAIN]);
    Engine::start(&folder, store, content, address(place), CONNECTIONS).await
}

pub async fn behind_alerts() -> Figure {
    let place = Place::take();
    let manner = Manner { per_mail: FIFTY, ..Manner::default() };
    let mut sink = Sink::start(address(&place), manner).await;
    let ground = Ground::of(&place.path("."));
    let start = Instant::now();
    let engine = engine(&place, Class::Alert, BACKLOG).await;
    sink.until(1).await;
    let probe = Probe::start(&place.path("."));
    let ordered = order_until(&engine, &mut sink, BACKLOG * 3 / 4).await;
    let flushes = probe.stop();
    sink.until(BACKLOG).await;
    let seconds = start.elapsed().as_secs_f64();
    engine.stop().await;
    let waits = waits(&sink, &ordered);
    let late = late(&sink, &ordered, &flushes);
    let kept = if waits.share(0.5) <= 2 * FIFTY && late == 0 { "kept" } else { "missed" };
    assert!(sink.seen.borrow().most <= CONNECTIONS, "{} connections", sink.seen.borrow().most);
    let longest = flushes.longest().as_secs_f64() * 1_000.0;
    let result = format!(
        "{} ({late} beyond two messages and three flushes beside them: {kept}; the longest flush {longest:.1} ms)",
        waits.text()
    );
    Figure { what: BEHIND, who: "karamail", mails: BACKLOG, seconds, result: Some(result), ground }
}

fn postfix_load(server: SocketAddr, mails: usize, sessions: usize, recipient: fn(usize) -> String) -> Load {
    Load { server, recipient, sender_domain: "mc-anpi.com", mails, sessions, body: 1024 }
}

pub async fn behind_alerts_at_postfix() -> Figure {
    let place = Place::take();
    let manner = Manner { per_mail: FIFTY, ..Manner::default() };
    let mut sink = Sink::start(address(&place), manner).await;
    let ground = Ground::of(&place.path("."));
    let rival = rival::relaying(&place, place.host(11), address(&place), CONNECTIONS);
    let start = Instant::now();
    load::run(postfix_load(rival.smtp(), BACKLOG, 20, |number| format!("a{number}@{DOMAIN}"))).await;
    let mut ordered = Vec::new();
    for number in 0..5 {
        ordered.push(Instant::now());
        let otp: fn(usize) -> String = [
            |_| format!("otp0@{DOMAIN}"),
            |_| format!("otp1@{DOMAIN}"),
            |_| format!("otp2@{DOMAIN}"),
            |_| format!("otp3@{DOMAIN}"),
            |_| format!("otp4@{DOMAIN}"),
        ][number];
        load::run(postfix_load(rival.smtp(), 1, 1, otp)).await;
    }
    sink.until_seen(|seen| seen.urgent.len() >= 5).await;
    let seconds = start.elapsed().as_secs_f64();
    let waits = waits(&sink, &ordered);
    Figure { what: BEHIND, who: "Postfix", mails: BACKLOG, seconds, result: Some(waits.text()), ground }
}

/// `class` decides whether mails are sent ahead: alerts are, answers to people never.
pub async fn over_distance(class: Class) -> Figure {
    let place = Place::take();
    let manner = Manner { round_trip: FIFTY, ..Manner::default() };
    let mut sink = Sink::start(address(&place), manner).await;
    let ground = Ground::of(&place.path("."));
    let start = Instant::now();
    let engine = engine(&place, class, MAILS).await;
    sink.until(1).await;
    let ordered = order_until(&engine, &mut sink, MAILS * 3 / 4).await;
    let waits = waits(&sink, &ordered);
    let mails = MAILS + sink.seen.borrow().urgent.len();
    sink.until(mails).await;
    let seconds = start.elapsed().as_secs_f64();
    engine.stop().await;
    let who = if class == Class::Alert { "karamail, alerts" } else { "karamail, registrations (never sent ahead)" };
    let result = Some(format!("{}; {}", trips(mails, seconds), waits.text()));
    Figure { what: BETWEEN, who, mails, seconds, result, ground }
}

/// How many round trips a mail took on each connection.
fn trips(mails: usize, seconds: f64) -> String {
    let each = seconds * CONNECTIONS as f64 / mails as f64 / FIFTY.as_secs_f64();
    format!("{each:.2} round trips a mail ({:.2} × two)", each / 2.0)
}

pub async fn over_distance_by_postfix() -> Figure {
    let place = Place::take();
    let manner = Manner { round_trip: FIFTY, ..Manner::default() };
    let mut sink = Sink::start(address(&place), manner).await;
    let ground = Ground::of(&place.path("."));
    let rival = rival::relaying(&place, place.host(11), address(&place), CONNECTIONS);
    let start = Instant::now();
    load::run(postfix_load(rival.smtp(), MAILS, 20, |number| format!("a{number}@{DOMAIN}"))).await;
    sink.until(MAILS).await;
    let seconds = start.elapsed().as_secs_f64();
    let result = Some(trips(MAILS, seconds));
    Figure { what: BETWEEN, who: "Postfix", mails: MAILS, seconds, result, ground }
}
