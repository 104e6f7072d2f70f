//! The whole daemon, seen from outside: journeys, crashes, real counterparts, the command line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a test that meets the unexpected stops and shows it"
)]

mod browser;
mod certificates;
mod chain;
mod check;
mod cli;
mod commands;
mod config;
mod conformance;
mod daemon;
mod delivery;
mod hostile;
mod intake;
mod layers;
mod machine;
mod mailbox;
mod messages;
mod names;
mod overseer;
mod pages;
mod peer;
mod place;
mod queue;
mod readme;
mod real;
mod reload;
mod requirements;
mod resolver;
mod rotation;
mod session;
mod signing;
mod stock;
mod store;
mod story;
mod tls;
mod visitor;
