//! An orderly end in the middle of the work: mails under way are finished or given back, and the end comes in the unit's time.

use super::dns::{self, Records};
use crate::daemon::{Daemon, settings};
use crate::mailbox::{Client, Mailbox};
use crate::overseer::{Ear, signal};
use crate::place::{Place, Program, until};
use crate::stock::{Order, lay};
use karamail::queue::Class;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SERVICE: &str = include_str!("../../../systemd/karamail.service");
const CONNECTIONS: usize = 3;
const MAILS: usize = 40;

/// A carrier with more mail for it than it has connections, whose final dots wait for an answer.
struct Stage {
    place: Place,
    mailbox: Mailbox,
    settings: String,
    ear: Ear,
    _dns: Program,
}

impl Stage {
    fn set() -> Self {
        let place = Place::take();
        let (name, host) = ("mx.carrier.example", place.host(10));
        let records = Records::default().mx("carrier.example", name, 10).address(name, host);
        let dns = dns::start(&place, &records);
        let group = format!(
            "[[destination]]\nname = \"carrier\"\ndomains = [\"carrier.example\"]\nconnections = {CONNECTIONS}\n"
        );
        let settings = settings(&place, "tls = \"off\"", &group);
        let mailbox = Mailbox::open(host);
        mailbox.answer_dots(false);
        let orders = (0..MAILS).map(|number| Order::new(Class::Registration, &format!("a{number}@carrier.example")));
        lay(&place.path("data"), &orders.collect::<Vec<_>>());
        let ear = Ear::open(&place);
        Self { place, mailbox, settings, ear, _dns: dns }
    }

    fn start(&self) -> Daemon {
        Daemon::start_with(&self.place, &self.settings, |command| self.ear.lend(command, None))
    }

    /// Waits until each connection has a mail that came whole and was not answered.
    fn until_in_the_middle(&self) {
        until("each connection has a mail", || (self.mailbox.waiting() == CONNECTIONS).then_some(()));
    }
}

/// How many jobs there are in each state, as a command says after the daemon's end.
fn states(daemon: &Daemon) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for job in daemon.tells(&["queue", "list"]).as_array().unwrap() {
        *states.entry(job["state"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    states
}

#[test]
fn what_is_in_the_middle_is_finished_and_the_rest_is_given_back() {
    let stage = Stage::set();
    let mut daemon = stage.start();
    stage.until_in_the_middle();
    let mut sender = Client::connect(daemon.smtp).unwrap();
    for command in ["MAIL FROM:<taro@docomo.ne.jp>\r\n", "RCPT TO:<postmaster@mc-anpi.com>\r\n", "DATA\r\n"] {
        assert!(sender.say(command).unwrap().starts_with(['2', '3']));
    }
    signal(&daemon, Signal::SIGTERM);
    stage.ear.until("STOPPING=1", 1);
    assert!(sender.say("Precedence: bulk\r\n\r\n.\r\n").unwrap().starts_with("250 2.0.0"));
    stage.mailbox.answer_dots(true);
    assert_eq!(daemon.wait().code(), Some(0));
    let finished = stage.mailbox.taken().len();
    assert_eq!(finished, CONNECTIONS);
    assert_eq!(states(&daemon), BTreeMap::from([("queued".to_owned(), MAILS - finished)]));

    let daemon = stage.start();
    until("nothing waits", || states(&daemon).is_empty().then_some(()));
    let taken = stage.mailbox.taken();
    let recipients: std::collections::BTreeSet<&str> = taken.iter().map(|mail| mail.recipient.as_str()).collect();
    assert_eq!((taken.len(), recipients.len()), (MAILS, MAILS));
}

#[test]
fn a_carrier_that_never_answers_does_not_hold_the_daemon_past_the_time_of_its_unit() {
    let seconds = SERVICE.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.strip_suffix('s')).unwrap();
    let allowed = Duration::from_secs(seconds.parse().unwrap());
    let stage = Stage::set();
    let mut daemon = stage.start();
    stage.until_in_the_middle();
    let asked = Instant::now();
    signal(&daemon, Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(asked.elapsed() < allowed, "{:?}", asked.elapsed());
    // Whether those that came whole were taken nobody can know; none is left to a worker that is gone.
    let states = states(&daemon);
    assert_eq!(states.get("sending"), None, "{states:?}");
    assert_eq!(states.values().sum::<usize>(), MAILS, "{states:?}");
    assert_eq!(states["queued"], MAILS - CONNECTIONS, "{states:?}");
}
