//! Figures, beside Postfix's on the same machine in the same run.
//!
//! `cargo bench` runs everything (as root: Postfix starts only so); `cargo bench -- accepts` or `-- loop` one part.
//! With opendkim installed, Postfix signs its answers as karamail does; without, the table says so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a harness that stops at the unexpected, measures real time and prints; parts are shared with the tests"
)]

#[path = "../it/daemon.rs"]
mod daemon;
mod disk;
mod load;
#[path = "../it/place.rs"]
mod place;
#[path = "../it/real/postfix.rs"]
mod postfix;
mod rival;
mod sink;

use daemon::{Daemon, settings};
use load::Load;
use place::{Place, SMTP_PORT};
use std::net::SocketAddr;
use std::time::Instant;
use tokio::task::JoinSet;

const SESSIONS: usize = 100;

/// One measured figure.
struct Figure {
    what: &'static str,
    who: &'static str,
    mails: usize,
    seconds: f64,
    flushes: f64,
}

impl Figure {
    fn print(&self) {
        let rate = self.mails as f64 / self.seconds;
        println!(
            "| {} | {} | {} | {:.1} s | **{rate:.0}/s** | {:.0} |",
            self.what, self.who, self.mails, self.seconds, self.flushes
        );
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|want| want == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("| what | who | mails | time | rate | raw fdatasync/s |\n| --- | --- | --- | --- | --- | --- |");
    if runs("accepts") {
        runtime.block_on(accepts_of_karamail(30_000)).print();
        runtime.block_on(accepts_of_postfix(10_000)).print();
    }
    if runs("loop") {
        runtime.block_on(loop_of_karamail(10_000)).print();
        runtime.block_on(loop_of_postfix(300)).print();
    }
}

/// Settings under which the load of one machine is not taken for an attack.
fn open_settings(place: &Place, delivery: &str) -> String {
    settings(place, delivery, "").replace(
        "addresses = [\"bizanpi@mc-anpi.com\"]",
        "addresses = [\"bizanpi@mc-anpi.com\"]\nreply_limit_domain = \"1000000/1m\"\nreply_limit_network = \"1000000/1m\"",
    )
}

fn load(server: SocketAddr, recipient: &'static str, mails: usize) -> Load {
    Load { server, recipient, sender_domain: "docomo.ne.jp", mails, sessions: SESSIONS, body: 1024 }
}

/// Mails to postmaster: each is kept whole, none is answered, so this is intake and storage alone.
async fn accepts_of_karamail(mails: usize) -> Figure {
    let place = Place::take();
    let daemon = Daemon::start(&place, &open_settings(&place, "route = \"capture\""));
    let flushes = disk::flushes_per_second(&place.path("."));
    let start = Instant::now();
    assert_eq!(load::run(load(daemon.smtp, "postmaster@mc-anpi.com", mails)).await, mails);
    let seconds = start.elapsed().as_secs_f64();
    Figure { what: "durable accepts, 100 sessions", who: "karamail", mails, seconds, flushes }
}

/// Postfix takes the same mails into its queue and discards them from there.
async fn accepts_of_postfix(mails: usize) -> Figure {
    let place = Place::take();
    let postfix = rival::taking(&place);
    let flushes = disk::flushes_per_second(&place.path("."));
    let start = Instant::now();
    assert_eq!(load::run(load(postfix.smtp(&place), "postmaster@mc-anpi.com", mails)).await, mails);
    let seconds = start.elapsed().as_secs_f64();
    Figure { what: "durable accepts, 100 sessions", who: "Postfix", mails, seconds, flushes }
}

async fn loop_of_karamail(mails: usize) -> Figure {
    let place = Place::take();
    let sink_address = SocketAddr::new(place.host(10), SMTP_PORT);
    let mut tasks = JoinSet::new();
    let mut count = sink::start(sink_address, &mut tasks).await;
    let route = format!("route = \"smarthost\"\nsmarthost = \"{sink_address}\"\ntls = \"off\"");
    let daemon = Daemon::start(&place, &open_settings(&place, &route));
    let flushes = disk::flushes_per_second(&place.path("."));
    let start = Instant::now();
    assert_eq!(load::run(load(daemon.smtp, "bizanpi@mc-anpi.com", mails)).await, mails);
    sink::until(&mut count, mails).await;
    let seconds = start.elapsed().as_secs_f64();
    Figure { what: "empty mail to signed answer at the peer", who: "karamail", mails, seconds, flushes }
}

async fn loop_of_postfix(mails: usize) -> Figure {
    let place = Place::take();
    let sink_address = SocketAddr::new(place.host(11), SMTP_PORT);
    let mut tasks = JoinSet::new();
    let mut count = sink::start(sink_address, &mut tasks).await;
    let rival = rival::answering(&place, sink_address);
    let flushes = disk::flushes_per_second(&place.path("."));
    let start = Instant::now();
    assert_eq!(load::run(load(rival.smtp(&place), "bizanpi@mc-anpi.com", mails)).await, mails);
    sink::until(&mut count, mails).await;
    let seconds = start.elapsed().as_secs_f64();
    Figure { what: "empty mail to signed answer at the peer", who: rival.name(), mails, seconds, flushes }
}
