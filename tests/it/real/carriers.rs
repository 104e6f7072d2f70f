//! Postfix and smtp-sink as carriers: healthy, slow, sulking, greylisting, counting, away; what each gets is counted there.

use super::dns::{self, Records};
use super::postfix::{Options, Postfix};
use crate::daemon::{Daemon, settings};
use crate::place::{Place, Program, SMTP_PORT, until};
use crate::stock::{Order, lay};
use karamail::model::JobId;
use karamail::queue::Class;
use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

/// The carriers of a place, each at its host.
const CARRIERS: [(&str, u8); 7] = [
    ("well.example", 10),
    ("slow.example", 11),
    ("sulky.example", 12),
    ("grey.example", 13),
    ("gone.example", 14),
    ("counting.example", 15),
    ("other.example", 16),
];

fn names(place: &Place) -> Program {
    let records = CARRIERS.iter().fold(Records::default(), |records, (domain, host)| {
        let mx = format!("mx.{domain}");
        records.mx(domain, &mx, 10).address(&mx, place.host(*host))
    });
    dns::start(place, &records)
}

fn postfix(place: &Place, carrier: usize, main: &str) -> Postfix {
    let (domain, host) = CARRIERS[carrier];
    Postfix::start(
        place,
        &format!("mx.{domain}"),
        place.host(host),
        &Options { domains: &[domain], main, ..Options::default() },
    )
}

/// `smtp-sink` with its switches.
fn smtp_sink(place: &Place, carrier: usize, switches: &[&str]) -> Program {
    let address = SocketAddr::new(place.host(CARRIERS[carrier].1), SMTP_PORT);
    let mut command = Command::new("smtp-sink");
    let program = Program::start(command.args(["-u", "root"]).args(switches).arg(format!("inet:{address}")).arg("100"));
    until("smtp-sink listens", || TcpStream::connect(address).ok());
    program
}

/// A policy service that greylists: whoever is asked about for the first time is put off.
fn greylist(place: &Place) -> String {
    let listener = TcpListener::bind((place.host(20), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer_policy_questions(stream));
        }
    });
    format!("smtpd_recipient_restrictions = check_policy_service inet:{address}, permit\n")
}

fn answer_policy_questions(stream: TcpStream) {
    let mut out = stream.try_clone().unwrap();
    let mut seen = HashSet::new();
    let mut recipient = String::new();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if let Some(name) = line.strip_prefix("recipient=") {
            recipient = name.to_owned();
        } else if line.is_empty() {
            let action = if seen.insert(recipient.clone()) { "450 4.2.0 Greylisted, try again" } else { "DUNNO" };
            out.write_all(format!("action={action}\n\n").as_bytes()).unwrap();
        }
    }
}

fn alerts(carrier: usize, count: usize) -> Vec<Order> {
    (0..count).map(|number| Order::new(Class::Alert, &format!("a{number}@{}", CARRIERS[carrier].0))).collect()
}

fn count(postfix: &Postfix, words: &str) -> usize {
    postfix.log().lines().filter(|line| line.contains(words)).count()
}

/// Waits until the daemon names this cause for a job that waits.
fn until_why(daemon: &Daemon, job: JobId, causes: &[&str]) {
    until(&format!("{job} waits for {causes:?}"), || {
        let why = daemon.tells(&["queue", "why", &job.to_string()]);
        causes.contains(&why["cause"].as_str()?).then_some(())
    });
}

#[test]
fn carriers_that_are_slow_sulk_greylist_or_are_away_cost_a_healthy_one_nothing() {
    let place = Place::take();
    let _names = names(&place);
    let well = postfix(&place, 0, "");
    let _slow = smtp_sink(&place, 1, &["-w", "5"]);
    let _sulky = smtp_sink(&place, 2, &["-Q", "rcpt"]);
    let grey = postfix(&place, 3, &greylist(&place));
    // More than a window of mails for each of the ill ones, all of them due before those for the healthy one.
    let ill: Vec<Order> = [1, 2, 3, 4].into_iter().flat_map(|carrier| alerts(carrier, 250)).collect();
    let ill = lay(&place.path("data"), &ill);
    lay(&place.path("data"), &alerts(0, 60));
    let daemon = Daemon::start(&place, &settings(&place, "tls = \"off\"", ""));
    until("the healthy one has all its mail", || (well.stored().len() == 60).then_some(()));
    let waiting = daemon.tells(&["queue", "list", "--limit", "100000"]);
    let waiting = waiting.as_array().unwrap();
    let left = |domain: &str| waiting.iter().filter(|job| job["to"].as_str().unwrap().ends_with(domain)).count();
    assert_eq!((left("@well.example"), left("@sulky.example"), left("@gone.example")), (0, 250, 250));
    assert!(left("@slow.example") >= 200, "{}", left("@slow.example"));
    until_why(&daemon, ill[250], &["throttled", "suspended", "retry"]);
    until_why(&daemon, ill[500], &["greylisted"]);
    until_why(&daemon, ill[750], &["suspended", "retry"]);
    assert_eq!(grey.stored().len(), 0);
}

#[test]
fn recipients_that_a_carrier_does_not_know_are_refused_and_the_others_served() {
    let place = Place::take();
    let _names = names(&place);
    let well = postfix(&place, 0, "virtual_mailbox_maps = regexp:{ {/^a[0-9]+@/ all/} }\n");
    let mut orders = alerts(0, 40);
    for number in 0..5 {
        orders.insert(number * 7, Order::new(Class::Alert, &format!("nobody{number}@well.example")));
    }
    lay(&place.path("data"), &orders);
    let daemon = Daemon::start(&place, &settings(&place, "tls = \"off\"", ""));
    daemon.until_logged(&["accepted ", "code=250"], 40);
    let refused = daemon.until_logged(&["refused ", "code=550"], 5);
    assert!(refused.iter().all(|line| line.contains("verdict=unknown-user")), "{refused:#?}");
    until("Postfix has stored them", || (well.stored().len() == 40).then_some(()));
    assert_eq!(count(&well, "User unknown in virtual mailbox table"), 5);
    // Once is no proof: the address is written to again.
    assert_ne!(daemon.tells(&["address", "show", "nobody0@well.example"])["state"], "suppressed");
}

/// A Postfix that lets nobody have more than two connections, or eleven mails in two seconds; its anvil knows whole seconds
/// only, so that what it takes for two may be all but three.
const COUNTS: &str = "smtpd_client_event_limit_exceptions =\n\
                      smtpd_client_connection_count_limit = 2\n\
                      smtpd_client_message_rate_limit = 11\n\
                      anvil_rate_time_unit = 2s\n";

#[test]
fn a_carrier_that_counts_connections_and_mails_never_sees_more_than_its_limits() {
    let place = Place::take();
    let _names = names(&place);
    // Two of the same kind, but only of one it is known what it takes: the other shows that they do count.
    let (counting, other) = (postfix(&place, 5, COUNTS), postfix(&place, 6, COUNTS));
    lay(&place.path("data"), &[alerts(5, 30), alerts(6, 60)].concat());
    let known = "[[destination]]\nname = \"counting\"\ndomains = [\"counting.example\"]\nconnections = 2\n\
                 messages_per_connection = 4\nrate = \"3/s\"";
    let _daemon = Daemon::start(&place, &settings(&place, "tls = \"off\"", known));
    until("it has all its mail", || (counting.stored().len() == 30).then_some(()));
    assert_eq!((count(&counting, "limit exceeded"), count(&counting, "NOQUEUE")), (0, 0), "{}", counting.log());
    other.until_logged(&["limit exceeded"]);
}
