//! Figures, beside Postfix's on the same machine in the same run.
//!
//! `cargo bench` runs everything (as root: Postfix starts only so); `cargo bench -- NAME …` some of its parts: `accepts`, `loop`,
//! `otp`, `door`, `ahead`, `claims`, `million`, `alerts`, `pages`, `timing`. With opendkim installed, Postfix signs as karamail
//! does; without, the table says so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a harness that stops at the unexpected, measures real time and prints; parts are shared with the tests"
)]

mod alerts;
#[path = "../it/daemon.rs"]
mod daemon;
mod disk;
mod door;
mod engine;
mod figure;
mod intake;
mod load;
mod million;
#[path = "../it/names.rs"]
mod names;
mod pages;
#[path = "../it/place.rs"]
mod place;
#[path = "../it/real/postfix.rs"]
mod postfix;
mod rival;
mod sink;
mod timing;
mod urgent;
#[path = "../it/visitor.rs"]
mod visitor;

use karamail::queue::Class;
use tokio::runtime::{Builder, Runtime};

/// A part of a run and its name.
type Part = (&'static str, fn(&Runtime));

const PARTS: [Part; 10] = [
    ("accepts", |runtime| {
        runtime.block_on(intake::accepts_of_karamail(30_000)).print();
        runtime.block_on(intake::accepts_of_postfix(10_000)).print();
    }),
    ("loop", |runtime| {
        runtime.block_on(intake::loop_of_karamail(10_000)).print();
        runtime.block_on(intake::loop_of_postfix(300)).print();
    }),
    ("otp", |runtime| {
        runtime.block_on(urgent::behind_alerts()).print();
        runtime.block_on(urgent::behind_alerts_at_postfix()).print();
    }),
    ("door", |runtime| runtime.block_on(door::pressed()).print()),
    ("ahead", |runtime| {
        runtime.block_on(urgent::over_distance(Class::Alert)).print();
        runtime.block_on(urgent::over_distance(Class::Registration)).print();
        runtime.block_on(urgent::over_distance_by_postfix()).print();
    }),
    ("claims", |runtime| runtime.block_on(million::claims()).iter().for_each(figure::Figure::print)),
    ("million", |runtime| {
        runtime.block_on(million::start_and_memory()).iter().for_each(figure::Figure::print);
        runtime.block_on(million::otps()).iter().for_each(figure::Figure::print);
    }),
    ("alerts", |runtime| {
        runtime.block_on(alerts::by_karamail(100_000)).print();
        runtime.block_on(alerts::by_postfix(3_000)).print();
    }),
    ("pages", |runtime| {
        runtime.block_on(pages::logins()).print();
        runtime.block_on(pages::pages()).iter().for_each(figure::Figure::print);
    }),
    ("timing", |runtime| runtime.block_on(timing::logins()).print()),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let unknown: Vec<&String> = wanted.iter().filter(|want| PARTS.iter().all(|(name, _)| name != want)).collect();
    assert!(unknown.is_empty(), "no such parts: {unknown:?}");
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("{}", figure::HEAD);
    for (name, run) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|want| want == name) {
            run(&runtime);
        }
    }
}
