//! Carriers that speak no TLS, with a daemon that remembers of some of them that they did.

use super::dns::{self, Records};
use super::postfix::{Options, Postfix};
use crate::daemon::{Daemon, settings};
use crate::place::{Place, until};
use crate::stock::{Order, lay, write};
use karamail::clock::Clock;
use karamail::model::Timestamp;
use karamail::queue::Class;

/// Domains, and how many days ago TLS was had with their servers.
const DOMAINS: [(&str, Option<i64>); 3] =
    [("lately.example", Some(29)), ("once.example", Some(31)), ("never.example", None)];
/// Mails for each of them.
const MAILS: usize = 4;

#[test]
fn a_domain_whose_tls_was_seen_within_a_month_and_is_gone_is_named_in_the_log_once_and_gets_its_mail() {
    let place = Place::take();
    let (mx, host) = ("mx.carrier.example", place.host(10));
    let records = Records::default().address(mx, host);
    let _names = dns::start(&place, &DOMAINS.iter().fold(records, |records, (domain, _)| records.mx(domain, mx, 10)));
    let domains = DOMAINS.map(|(domain, _)| domain);
    let postfix = Postfix::start(&place, mx, host, &Options { domains: &domains, ..Options::default() });
    let mails = DOMAINS
        .into_iter()
        .flat_map(|(domain, _)| (0..MAILS).map(move |number| Order::new(Class::Alert, &format!("a{number}@{domain}"))));
    let mails: Vec<Order> = mails.collect();
    lay(&place.path("data"), &mails);
    let now = Clock::system().now();
    write(&place.path("data"), move |tx| {
        for (domain, days) in DOMAINS {
            if let Some(days) = days {
                let seen = Timestamp::from_millis(now.millis() - days * 86_400_000);
                tx.note_tls(&domain.parse().unwrap(), true, seen)?;
            }
        }
        Ok(())
    });
    // A connection for each mail: that something is gone could be found out each time.
    let group = "[[destination]]\nname = \"carrier\"\nmx = [\"mx.carrier.example\"]\nmessages_per_connection = 1\n";
    let daemon = Daemon::start(&place, &settings(&place, "", group));
    daemon.until_logged(&["accepted "], mails.len());
    until("Postfix has stored them all", || (postfix.stored().len() == mails.len()).then_some(()));
    assert!(postfix.log().matches("]: connect from ").count() > mails.len(), "{}", postfix.log());
    let told = daemon.logged(&["TLS is gone"]);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("WARN") && told[0].contains("domain=lately.example"), "{told:?}");
    let lost = &daemon.tells(&["queue", "summary"])["tls_lost"];
    assert_eq!((lost.as_array().unwrap().len(), &lost[0]["domain"]), (1, &"lately.example".into()), "{lost}");
}
