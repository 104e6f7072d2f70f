//! What a refusal means depends on who speaks; the mail log and the address remember it.

use super::world::{Plan, World};
use crate::peer::{Peer, Setup, network};
use karamail::queue::Class;
use karamail::store::AddressState;

/// Sends one mail to `a@DOMAIN`, whose MX is called `mx` and says `line` at `stage`; gives what the mail log says under
/// `key` of the event, and what is known of the address then.
async fn said(
    (domain, mx): (&str, &str),
    (stage, line): (&'static str, &'static str),
    (event, key): (&str, &str),
) -> (String, Option<AddressState>) {
    let peer = Peer::listen(format!("{}1:0", network()).parse().unwrap(), Setup::default().says(stage, [line])).await;
    let zone = format!("{domain} MX 10 {mx}\n{mx} A {}", peer.address.ip());
    let world = World::start(Plan::new(&zone, peer.address.port())).await;
    let job = world.order(Class::Alert, &format!("a@{domain}")).await;
    world.wait_for(event, job).await;
    let event = world.events(job).await.into_iter().find(|found| found.name == event).unwrap();
    let address = format!("a@{domain}").parse().unwrap();
    let known = world.store.read(move |tx| tx.address(&address)).await.unwrap();
    (event.fields[key].as_str().unwrap().to_owned(), known.map(|row| row.state))
}

#[tokio::test]
async fn a_refusal_is_judged_by_the_server_that_speaks_and_where_its_name_says_nothing_by_the_address() {
    let filtered = ("filtered".to_owned(), Some(AddressState::Filtered));
    let unknown = ("unknown-user".to_owned(), Some(AddressState::Unreachable));
    let verdict = ("refused", "verdict");
    let words = ("rcpt", "550 : User unknown");
    assert_eq!(said(("company.example", "lsean.ezweb.ne.jp"), words, verdict).await, filtered);
    assert_eq!(said(("company.example", "mx.company.example"), words, verdict).await, unknown);
    let words = ("dot", "551 5.1.1 Unknown user");
    assert_eq!(said(("docomo.ne.jp", "relay.example"), words, verdict).await, filtered);
    assert_eq!(said(("company.example", "relay.example"), words, verdict).await, unknown);
}

#[tokio::test]
async fn a_server_that_turns_us_away_is_judged_by_whose_it_is_too() {
    let words = ("greeting", "553 VS98-IP0 deferred");
    for (domain, cause) in [("yahoo.co.jp", "throttled"), ("company.example", "unreachable")] {
        let told = said((domain, "mx.carrier.example"), words, ("deferred", "cause")).await;
        assert_eq!(told, (cause.to_owned(), None), "{domain}");
    }
}
