//! Limits that are lowered and raised while mail flows: a Postfix whose final dots wait for a gate of the test's shows in its
//! own log how many connections stood, and the gate when each mail had come.

use super::dns::{self, Records};
use super::postfix::{Options, Postfix};
use crate::daemon::{Daemon, settings};
use crate::place::{Place, Program, until};
use crate::stock::{Order, lay};
use karamail::queue::Class;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const DOMAIN: &str = "counting.example";

/// A policy service that Postfix asks about each mail that has come in whole, and that keeps the answer back while it is shut.
struct Gate {
    address: SocketAddr,
    state: Arc<(Mutex<Inside>, Condvar)>,
}

#[derive(Default)]
struct Inside {
    open: bool,
    /// Mails that wait for their answer.
    waiting: usize,
    /// When each mail had come.
    came: Vec<Instant>,
}

impl Gate {
    fn shut_at(place: &Place) -> Self {
        let listener = TcpListener::bind((place.host(20), 0)).unwrap();
        let gate = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let state = Arc::clone(&gate.state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                std::thread::spawn(move || answer(stream, &state));
            }
        });
        gate
    }

    fn open(&self, open: bool) {
        let (inside, bell) = &*self.state;
        inside.lock().unwrap().open = open;
        bell.notify_all();
    }

    fn until_waiting(&self, count: usize) {
        until(&format!("{count} mails wait for their answer"), || {
            (self.state.0.lock().unwrap().waiting == count).then_some(())
        });
    }

    fn came(&self) -> Vec<Instant> {
        self.state.0.lock().unwrap().came.clone()
    }
}

fn answer(stream: TcpStream, (inside, bell): &(Mutex<Inside>, Condvar)) {
    let mut out = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if line.is_empty() {
            let mut now = inside.lock().unwrap();
            now.came.push(Instant::now());
            now.waiting += 1;
            now = bell.wait_while(now, |inside| !inside.open).unwrap();
            now.waiting -= 1;
            drop(now);
            out.write_all(b"action=DUNNO\n\n").unwrap();
        }
    }
}

/// A daemon with mail for a carrier.
struct Stage {
    gate: Gate,
    postfix: Postfix,
    _names: Program,
    /// Last, as the others are ended with what lies in its folder.
    place: Place,
}

impl Stage {
    fn set(class: Class, mails: usize) -> Self {
        let place = Place::take();
        let (mx, host) = (format!("mx.{DOMAIN}"), place.host(10));
        let names = dns::start(&place, &Records::default().mx(DOMAIN, &mx, 10).address(&mx, host));
        let gate = Gate::shut_at(&place);
        let main = format!("smtpd_end_of_data_restrictions = check_policy_service inet:{}\n", gate.address);
        let options = Options { domains: &[DOMAIN], main: &main, ..Options::default() };
        let postfix = Postfix::start(&place, &mx, host, &options);
        let orders: Vec<Order> = (0..mails).map(|number| Order::new(class, &format!("a{number}@{DOMAIN}"))).collect();
        lay(&place.path("data"), &orders);
        Self { gate, postfix, _names: names, place }
    }

    /// The settings with these limits; the daemon comes from an address of its own.
    fn settings(&self, connections: usize, rate: &str) -> String {
        let delivery = format!("tls = \"off\"\nbind = [\"{}\"]", self.place.host(3));
        let group = format!(
            "[[destination]]\nname = \"counting\"\ndomains = [\"{DOMAIN}\"]\nconnections = {connections}\nrate = \"{rate}\"\n\
             messages_per_connection = 1000\n"
        );
        settings(&self.place, &delivery, &group)
    }

    fn until_stored(&self, count: usize) {
        until(&format!("{count} mails are stored"), || (self.postfix.stored().len() >= count).then_some(()));
    }

    /// What the carrier saw of the daemon so far.
    fn sights(&self) -> Vec<(u32, Sight)> {
        sights(&self.postfix.log(), &format!("unknown[{}]", self.place.host(3)))
    }

    /// Shuts the gate and waits until so many connections stand before it, each with a mail; gives the number of sights.
    fn stand_still(&self, connections: usize) -> usize {
        self.gate.open(false);
        self.gate.until_waiting(connections);
        let begun = |(_, sight): &&(u32, Sight)| *sight == Sight::Began;
        until("the log has it all", || {
            let sights = self.sights();
            (sights.iter().filter(begun).count() == self.gate.came().len()).then_some(sights.len())
        })
    }
}

/// What a process of Postfix, which has one connection at a time, saw on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Came,
    /// A mail was begun.
    Began,
    Went,
}

/// Reads what happened, in order: one process writes the log for all, and each tells that a connection went before it closes it.
fn sights(log: &str, client: &str) -> Vec<(u32, Sight)> {
    let told = |line: &str| {
        let (number, words) = line.split_once("/smtpd[")?.1.split_once("]: ")?;
        let sight = match words {
            _ if words.starts_with(&format!("connect from {client}")) => Sight::Came,
            _ if words.starts_with(&format!("disconnect from {client}")) => Sight::Went,
            _ if words.ends_with(&format!(": client={client}")) => Sight::Began,
            _ => return None,
        };
        Some((number.parse().unwrap(), sight))
    };
    log.lines().filter_map(told).collect()
}

/// A limit on connections, and the number of sights after which it came.
type Limit = (usize, usize);

/// Holds what was seen against the limits: there are never more connections than that; where there were more when the limit
/// fell, they only become fewer until there are not, and each of those that leave has begun at most `ahead` mails since.
fn hold_against(sights: &[(u32, Sight)], limits: &[Limit], ahead: usize) {
    let (mut open, mut bound) = (BTreeSet::new(), 0);
    let mut surplus: BTreeMap<u32, usize> = BTreeMap::new();
    for (at, (process, sight)) in sights.iter().enumerate() {
        let limit = limits.iter().rfind(|(_, from)| *from <= at).unwrap().0;
        bound = limit.max(bound.min(open.len()));
        if open.len() <= limit {
            surplus.clear();
        } else if surplus.is_empty() {
            surplus.extend(open.iter().map(|process| (*process, 0)));
        }
        let is_new = match sight {
            Sight::Came => open.insert(*process),
            Sight::Went => !open.remove(process),
            Sight::Began => !open.contains(process),
        };
        assert_eq!(is_new, *sight == Sight::Came, "{at} {sights:?}");
        assert!(open.len() <= bound, "{} connections where {bound} may be: {at} {sights:?}", open.len());
        if let Some(begun) = surplus.get_mut(process) {
            *begun += usize::from(*sight == Sight::Began);
            assert!(*sight != Sight::Went || *begun <= ahead, "one too many began {begun} mails: {at} {sights:?}");
        }
    }
}

/// Lets the limit on connections fall and rise while mails flow.
fn change_connections(class: Class, ahead: usize) {
    let mails = 120;
    let stage = Stage::set(class, mails);
    let daemon = Daemon::start(&stage.place, &stage.settings(4, "1000/s"));
    let mut limits = vec![(4, 0), (1, stage.stand_still(4))];
    daemon.reload(&stage.settings(1, "1000/s"));
    stage.gate.open(true);
    stage.until_stored(40);
    limits.push((3, stage.stand_still(1)));
    daemon.reload(&stage.settings(3, "1000/s"));
    limits.push((2, stage.stand_still(3)));
    daemon.reload(&stage.settings(2, "1000/s"));
    stage.gate.open(true);
    stage.until_stored(mails);
    hold_against(&stage.sights(), &limits, ahead);
}

#[test]
fn the_carrier_never_sees_more_connections_than_the_limit_while_it_is_lowered_and_raised() {
    change_connections(Class::Registration, 0);
}

#[test]
fn a_connection_too_many_ends_the_mail_it_sends_ahead_and_begins_no_other() {
    change_connections(Class::Alert, 1);
}

#[test]
fn the_carrier_never_sees_mails_come_faster_than_the_rate_while_it_is_lowered_and_raised() {
    let stage = Stage::set(Class::Registration, 60);
    let gate = &stage.gate;
    let daemon = Daemon::start(&stage.place, &stage.settings(4, "1000/s"));
    let waits_for_rate = |what: &str| {
        until(what, || {
            let left = daemon.tells(&["queue", "list"]);
            let job = left.as_array().unwrap().last()?["job"].as_str()?.to_owned();
            (daemon.tells(&["queue", "why", &job])["cause"] == "rate").then_some(())
        });
    };
    // Each connection has a mail that waits for its answer, so none has the next one's turn yet.
    stage.stand_still(4);
    daemon.reload(&stage.settings(4, "1/h"));
    gate.open(true);
    stage.until_stored(4);
    waits_for_rate("the fifth mail waits for an hour");
    assert_eq!(gate.came().len(), 4);

    let (per_second, raised) = (20.0, Instant::now());
    daemon.reload(&stage.settings(4, "20/s"));
    stage.until_stored(34);
    stage.stand_still(4);
    let came = gate.came();
    daemon.reload(&stage.settings(4, "1/h"));
    gate.open(true);
    stage.until_stored(came.len());
    waits_for_rate("the next mail waits for an hour again");
    assert_eq!(gate.came().len(), came.len());
    // A late mail comes later still, never earlier: whatever the machine does, so many may have come by then. A timer that
    // rings late by two thousandths of a second is not held against the next one.
    for (before, at) in came[4..].iter().enumerate() {
        let since = (*at - raised + Duration::from_millis(2)).as_secs_f64();
        assert!(before as f64 <= since * per_second, "{before} mails before that of {since} s");
    }

    daemon.reload(&stage.settings(4, "1000/s"));
    stage.until_stored(60);
    assert_eq!(gate.came().len(), 60);
}
