//! `kill -9` while alerts go out: what the receiver saw, counted there.

use super::dns::{self, Records};
use crate::daemon::{Daemon, settings};
use crate::mailbox::{Mailbox, Taken};
use crate::place::{Place, until};
use crate::stock::{Order, lay};
use karamail::model::Span;
use karamail::queue::Class;
use std::collections::{HashMap, HashSet};

const CONNECTIONS: usize = 4;
const ALERTS: usize = 400;
const KILLS: usize = 3;

fn message_id(mail: &Taken) -> &str {
    let text = std::str::from_utf8(&mail.message).unwrap();
    text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap()
}

#[test]
fn three_kills_under_load_lose_nothing_and_repeat_one_mail_a_connection_at_most() {
    let place = Place::take();
    let name = "mx.carrier.example";
    let records = Records::default().mx("carrier.example", name, 10).address(name, place.host(10));
    let _dns = dns::start(&place, &records);
    let destination =
        format!("[[destination]]\nname = \"carrier\"\ndomains = [\"carrier.example\"]\nconnections = {CONNECTIONS}");
    let settings = settings(&place, "tls = \"off\"", &destination);
    let mailbox = Mailbox::open(place.host(10));
    let alerts: Vec<Order> =
        (0..ALERTS).map(|number| Order::new(Class::Alert, &format!("a{number}@carrier.example"))).collect();
    lay(&place.path("data"), &alerts);
    let mut daemon = Daemon::start(&place, &settings);
    for kill in 1..=KILLS {
        until("alerts go out", || (mailbox.taken().len() >= kill * ALERTS / (KILLS + 1)).then_some(()));
        daemon.kill();
        // A code whose life ended while nobody was there, and one that still has some.
        let dead = Order { life: Span::default(), ..Order::new(Class::Otp, &format!("dead{kill}@carrier.example")) };
        lay(&place.path("data"), &[dead, Order::new(Class::Otp, &format!("otp{kill}@carrier.example"))]);
        daemon = Daemon::start(&place, &settings);
    }
    until("everything has come", || {
        let to: HashSet<String> = mailbox.taken().into_iter().map(|mail| mail.recipient).collect();
        (to.iter().filter(|to| !to.starts_with("dead")).count() == ALERTS + KILLS).then_some(())
    });
    until("nothing waits", || (daemon.tells(&["queue", "list"]) == serde_json::json!([])).then_some(()));
    let taken = mailbox.taken();
    assert!(!taken.iter().any(|mail| mail.recipient.starts_with("dead")), "a code was sent after its life");
    let mut ids: HashMap<&str, HashSet<&str>> = HashMap::new();
    for mail in &taken {
        ids.entry(&mail.recipient).or_default().insert(message_id(mail));
    }
    assert!(ids.values().all(|ids| ids.len() == 1), "a mail that is sent again is the same mail");
    let again = taken.len() - ids.len();
    assert!(again <= KILLS * CONNECTIONS, "{again} mails were sent twice");
}
