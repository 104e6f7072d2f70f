//! Mail that comes in: taken, and answered.

use crate::daemon::{Daemon, settings};
use crate::disk::Ground;
use crate::figure::Figure;
use crate::load::{self, Load};
use crate::place::{Place, SMTP_PORT};
use crate::rival;
use crate::sink::{Manner, Sink};
use std::net::SocketAddr;
use std::time::Instant;

const SESSIONS: usize = 100;
const ACCEPTS: &str = "durable accepts, 100 sessions";
const LOOP: &str = "empty mail to signed answer at the peer";

/// Settings under which the load of one machine is not taken for an attack.
fn open_settings(place: &Place, delivery: &str) -> String {
    settings(place, delivery, "").replace(
        "addresses = [\"bizanpi@mc-anpi.com\"]",
        "addresses = [\"bizanpi@mc-anpi.com\"]\nreply_limit_domain = \"1000000/1m\"\nreply_limit_network = \"1000000/1m\"",
    )
}

fn load(server: SocketAddr, recipient: fn(usize) -> String, mails: usize) -> Load {
    Load { server, recipient, sender_domain: "docomo.ne.jp", mails, sessions: SESSIONS, body: 1024 }
}

fn postmaster(_: usize) -> String {
    "postmaster@mc-anpi.com".to_owned()
}

fn registration(_: usize) -> String {
    "bizanpi@mc-anpi.com".to_owned()
}

/// Mails to postmaster: each is kept whole, none is answered, so this is intake and storage alone.
pub async fn accepts_of_karamail(mails: usize) -> Figure {
    let place = Place::take();
    let daemon = Daemon::start(&place, &open_settings(&place, "route = \"capture\""));
    let ground = Ground::of(&place.path("."));
    let start = Instant::now();
    assert_eq!(load::run(load(daemon.smtp, postmaster, mails)).await, mails);
    let seconds = start.elapsed().as_secs_f64();
    Figure { what: ACCEPTS, who: "karamail", mails, seconds, result: None, ground }
}

/// Postfix takes the same mails into its queue and discards them from there.
pub async fn accepts_of_postfix(mails: usize) -> Figure {
    let place = Place::take();
    let postfix = rival::taking(&place);
    let ground = Ground::of(&place.path("."));
    let start = Instant::now();
    assert_eq!(load::run(load(postfix.smtp(), postmaster, mails)).await, mails);
    let seconds = start.elapsed().as_secs_f64();
    Figure { what: ACCEPTS, who: "Postfix", mails, seconds, result: None, ground }
}

pub async fn loop_of_karamail(mails: usize) -> Figure {
    let place = Place::take();
    let address = SocketAddr::new(place.host(10), SMTP_PORT);
    let mut sink = Sink::start(address, Manner::default()).await;
    let route = format!("route = \"smarthost\"\nsmarthost = \"{address}\"\ntls = \"off\"");
    let daemon = Daemon::start(&place, &open_settings(&place, &route));
    let ground = Ground::of(&place.path("."));
    let start = Instant::now();
    assert_eq!(load::run(load(daemon.smtp, registration, mails)).await, mails);
    sink.until(mails).await;
    let seconds = start.elapsed().as_secs_f64();
    Figure { what: LOOP, who: "karamail", mails, seconds, result: None, ground }
}

pub async fn loop_of_postfix(mails: usize) -> Figure {
    let place = Place::take();
    let address = SocketAddr::new(place.host(11), SMTP_PORT);
    let mut sink = Sink::start(address, Manner::default()).await;
    let rival = rival::answering(&place, address);
    let ground = Ground::of(&place.path("."));
    let start = Instant::now();
    assert_eq!(load::run(load(rival.smtp(), registration, mails)).await, mails);
    sink.until(mails).await;
    let seconds = start.elapsed().as_secs_f64();
    Figure { what: LOOP, who: rival.name(), mails, seconds, result: None, ground }
}
