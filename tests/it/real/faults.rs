//! A disk that fails under the program while it delivers, step by step: nothing is sent whose outcome cannot be recorded,
//! nothing is lost, and all is well again afterwards.

use super::dns::{self, Records};
use crate::daemon::{Daemon, settings};
use crate::mailbox::{Client, Mailbox};
use crate::place::{Place, Program, until};
use crate::stock::{Order, lay};
use karamail::queue::Class;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const CONNECTIONS: usize = 4;
const ALERTS: usize = 120;

/// The library that makes system calls fail, and the file that tells it which.
pub(super) struct Faults {
    library: PathBuf,
    control: PathBuf,
}

impl Faults {
    pub(super) fn build(place: &Place) -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/real/faults.c");
        let library = place.path("faults.so");
        let built = Command::new("gcc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Self { library, control: place.path("faults") }
    }

    pub(super) fn preload(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("FAULTS", &self.control);
    }

    /// From now on the step fails; all at once, so that the library never reads half of it.
    pub(super) fn arm(&self, step: &str, file: &str, errno: i32) {
        let draft = self.control.with_extension("draft");
        std::fs::write(&draft, format!("{step} {file} {errno}")).unwrap();
        std::fs::rename(draft, &self.control).unwrap();
    }

    /// From now on the step does not return, until all is well again.
    pub(super) fn hang(&self, step: &str, file: &str) {
        self.arm(step, file, 0);
    }

    pub(super) fn disarm(&self) {
        std::fs::remove_file(&self.control).unwrap();
    }

    /// Waits until so many calls have failed.
    fn until_met(&self, number: usize) {
        let met = self.control.with_extension("met");
        until("calls fail", || (std::fs::metadata(&met).ok()?.len() >= number as u64).then_some(()));
    }
}

/// The settings of a daemon that sends to `carrier.example`, the mailbox on host 10.
fn carrier(place: &Place) -> (Program, Mailbox, String) {
    let name = "mx.carrier.example";
    let dns = dns::start(place, &Records::default().mx("carrier.example", name, 10).address(name, place.host(10)));
    let destination = format!(
        "[[destination]]\nname = \"carrier\"\ndomains = [\"carrier.example\"]\nconnections = {CONNECTIONS}\nrate = \"40/s\""
    );
    (dns, Mailbox::open(place.host(10)), settings(place, "tls = \"off\"", &destination))
}

fn alerts() -> Vec<Order> {
    (0..ALERTS).map(|number| Order::new(Class::Alert, &format!("a{number}@carrier.example"))).collect()
}

/// Hands in a mail that is kept and not answered; gives the reply.
fn hand_in(daemon: &Daemon, size: usize) -> String {
    let line = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n";
    let message = format!("From: <taro@docomo.ne.jp>\r\nPrecedence: bulk\r\n\r\n{}", line.repeat(size / line.len()));
    Client::connect(daemon.smtp).unwrap().send("taro@docomo.ne.jp", "postmaster@mc-anpi.com", &message).unwrap()
}

/// How often each alert has come.
fn times(mailbox: &Mailbox) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    for mail in mailbox.taken() {
        *times.entry(mail.recipient).or_default() += 1;
    }
    times
}

/// All alerts come, each once, and nothing is left over.
fn ends_well(daemon: &Daemon, mailbox: &Mailbox) {
    until("all alerts come", || (times(mailbox).len() == ALERTS).then_some(()));
    until("nothing waits", || (daemon.tells(&["queue", "list"]) == serde_json::json!([])).then_some(()));
    assert!(times(mailbox).values().all(|times| *times == 1), "{:?}", times(mailbox));
    assert!(hand_in(daemon, 64).starts_with("250 2.0.0"));
    assert!(!daemon.log().iter().any(|line| line.contains("panicked")));
}

/// The log of the database cannot be written or flushed: no commit succeeds.
fn without_commits(step: &str, errno: i32) {
    let place = Place::take();
    let faults = Faults::build(&place);
    let (_dns, mailbox, settings) = carrier(&place);
    lay(&place.path("data"), &alerts());
    let daemon = Daemon::start_with(&place, &settings, |command| faults.preload(command));
    until("alerts go out", || (mailbox.taken().len() >= 10).then_some(()));
    faults.arm(step, "karamail.db-wal", errno);
    let before = mailbox.taken().len();
    faults.until_met(8);
    let refused = hand_in(&daemon, 64);
    assert!(refused.starts_with("451 4.3"), "{refused}");
    faults.until_met(12);
    // What was on its way on each connection, and the next one of those whose outcome was recorded just before.
    let sent = mailbox.taken().len() - before;
    assert!(sent <= 2 * CONNECTIONS, "{sent} were sent while nothing could be recorded");
    faults.disarm();
    ends_well(&daemon, &mailbox);
}

/// The log cannot be copied back into the database: commits succeed, and nobody notices.
fn without_copying_back(step: &str, errno: i32) {
    let place = Place::take();
    let faults = Faults::build(&place);
    let (_dns, mailbox, settings) = carrier(&place);
    lay(&place.path("data"), &alerts());
    let daemon = Daemon::start_with(&place, &settings, |command| faults.preload(command));
    faults.arm(step, "karamail.db", errno);
    until("the log is copied back", || {
        assert!(hand_in(&daemon, 900_000).starts_with("250 2.0.0"));
        std::fs::metadata(faults.control.with_extension("met")).ok()
    });
    assert!(hand_in(&daemon, 64).starts_with("250 2.0.0"));
    faults.disarm();
    ends_well(&daemon, &mailbox);
}

#[test]
fn a_log_that_cannot_be_written_stops_deliveries_and_loses_nothing() {
    without_commits("write", ENOSPC);
    without_commits("write", EIO);
}

#[test]
fn a_log_that_cannot_be_flushed_stops_deliveries_and_loses_nothing() {
    without_commits("flush", ENOSPC);
    without_commits("flush", EIO);
}

#[test]
fn a_database_into_which_the_log_cannot_be_copied_loses_nothing() {
    for step in ["write", "flush"] {
        for errno in [ENOSPC, EIO] {
            without_copying_back(step, errno);
        }
    }
}

#[test]
fn a_program_that_cannot_open_its_log_does_not_start_and_later_does() {
    let place = Place::take();
    let faults = Faults::build(&place);
    let (_dns, mailbox, settings) = carrier(&place);
    lay(&place.path("data"), &alerts());
    faults.arm("open", "karamail.db-wal", EIO);
    // Its doors may be open for a moment: they are bound before the database is opened.
    if let Some(mut daemon) = Daemon::try_start(&place, &settings, |command| faults.preload(command)) {
        assert!(!daemon.wait().success());
        daemon.until_logged(&["unable to open database file"], 1);
    }
    assert_eq!(mailbox.taken().len(), 0);
    faults.disarm();
    let daemon = Daemon::start_with(&place, &settings, |command| faults.preload(command));
    ends_well(&daemon, &mailbox);
}
