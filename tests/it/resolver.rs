//! Where a domain's mail goes, asked of a name server of the test's own.

use crate::delivery::world::Plan;
use crate::names::Names;
use karamail::clock::Clock;
use karamail::config::{Delivery, Resolver as NameServer, Route, Smarthost};
use karamail::model::{Domain, Span, Timestamp};
use karamail::net::resolver::{Reach, Resolver, Unresolved};
use karamail::outbound::guard::{Guard, Policies};
use karamail::outbound::way::{Ways, outcome_of};
use karamail::queue::{Blame, Outcome, Verdict};
use karamail::random::Random;
use std::collections::BTreeSet;

fn clock() -> Clock {
    Clock::turned_by_hand(Timestamp::from_millis(1_795_298_400_000))
}

fn resolver(names: &Names, seed: u64) -> Resolver {
    Resolver::new(NameServer::Server(names.address), clock(), Random::repeating(seed)).unwrap()
}

fn guard(names: &Names) -> Guard {
    Guard::new(resolver(names, 1), Policies::default(), None, 25)
}

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

async fn servers(names: &Names, of: &str) -> Result<Vec<String>, Unresolved> {
    let found = resolver(names, 1).servers(&domain(of)).await?;
    Ok(found.iter().map(Domain::to_string).collect())
}

async fn addresses(names: &Names, reach: Reach, of: &str) -> Result<Vec<String>, Unresolved> {
    let found = resolver(names, 1).addresses(&domain(of), reach).await?;
    Ok(found.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn servers_come_in_order_of_preference() {
    let names =
        Names::serve("d.example MX 20 b.d.example\nd.example MX 10 a.d.example\nd.example MX 30 c.d.example").await;
    assert_eq!(servers(&names, "d.example").await.unwrap(), ["a.d.example", "b.d.example", "c.d.example"]);
}

#[tokio::test]
async fn servers_of_equal_preference_come_in_random_order() {
    let names =
        Names::serve("d.example MX 10 a.example\nd.example MX 10 b.example\nd.example MX 5 first.example").await;
    let mut seen = BTreeSet::new();
    for seed in 0..20 {
        let found = resolver(&names, seed).servers(&domain("d.example")).await.unwrap();
        assert_eq!(found[0], domain("first.example"));
        seen.insert(found);
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn a_stranger_does_not_choose_how_many_servers_are_tried() {
    let zone: Vec<String> = (0..40).map(|number| format!("d.example MX {number} mx{number}.example")).collect();
    let names = Names::serve(&zone.join("\n")).await;
    let found = servers(&names, "d.example").await.unwrap();
    assert_eq!((found.len(), found[9].as_str()), (10, "mx9.example"));
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_server() {
    let names = Names::serve("d.example A 192.0.2.7").await;
    assert_eq!(servers(&names, "d.example").await.unwrap(), ["d.example"]);
    assert_eq!(addresses(&names, Reach::Any, "d.example").await.unwrap(), ["192.0.2.7"]);
}

#[tokio::test]
async fn an_alias_is_followed() {
    let names = Names::serve(
        "d.example CNAME e.example\ne.example MX 10 mx.example\nmx.example CNAME h.example\nh.example A 192.0.2.8",
    )
    .await;
    assert_eq!(servers(&names, "d.example").await.unwrap(), ["mx.example"]);
    assert_eq!(addresses(&names, Reach::Any, "mx.example").await.unwrap(), ["192.0.2.8"]);
}

#[tokio::test]
async fn only_an_answer_that_says_so_is_final() {
    let names = Names::serve(
        "null.example MX 0 .
         servfail.example SERVFAIL
         refused.example REFUSED
         empty.example EMPTY
         literal.example MX 10 192.0.2.1",
    )
    .await;
    assert_eq!(servers(&names, "gone.example").await, Err(Unresolved::NoDomain("gone.example".to_owned())));
    assert_eq!(servers(&names, "null.example").await, Err(Unresolved::NullMx("null.example".to_owned())));
    assert_eq!(servers(&names, "literal.example").await, Err(Unresolved::NoAddress("literal.example".to_owned())));
    for name in ["servfail.example", "refused.example"] {
        assert!(servers(&names, name).await.unwrap_err().is_temporary(), "{name}");
        assert!(addresses(&names, Reach::Any, name).await.unwrap_err().is_temporary(), "{name}");
    }
    for name in ["empty.example", "gone.example"] {
        assert_eq!(addresses(&names, Reach::Any, name).await, Err(Unresolved::NoAddress(name.to_owned())));
    }
}

#[tokio::test]
async fn a_null_mx_beside_others_is_no_server() {
    let names = Names::serve("d.example MX 0 .\nd.example MX 10 mx.example").await;
    assert_eq!(servers(&names, "d.example").await.unwrap(), ["mx.example"]);
}

#[tokio::test]
async fn a_name_server_that_stays_silent_is_waited_for_until_the_deadline() {
    let names = Names::serve("d.example SILENT").await;
    let clock = clock();
    let resolver = Resolver::new(NameServer::Server(names.address), clock.clone(), Random::repeating(1)).unwrap();
    let asked = domain("d.example");
    let turn = async {
        names.wait_for("MX d.example").await;
        clock.turn(Span::from_secs(30));
    };
    let (found, ()) = tokio::join!(resolver.servers(&asked), turn);
    assert!(found.unwrap_err().is_temporary());
}

#[tokio::test]
async fn addresses_of_private_networks_are_handed_out_only_where_allowed() {
    let names = Names::serve(
        "in.example A 127.0.0.1
         in.example AAAA fd00::1
         both.example A 10.0.0.1
         both.example A 9.9.9.9
         both.example AAAA 2620:fe::fe",
    )
    .await;
    assert_eq!(
        addresses(&names, Reach::Public, "in.example").await,
        Err(Unresolved::Forbidden("in.example".to_owned()))
    );
    assert_eq!(addresses(&names, Reach::Any, "in.example").await.unwrap(), ["127.0.0.1", "fd00::1"]);
    assert_eq!(addresses(&names, Reach::Public, "both.example").await.unwrap(), ["9.9.9.9", "2620:fe::fe"]);
}

#[tokio::test]
async fn an_answer_is_remembered() {
    let names = Names::serve("d.example MX 10 mx.example").await;
    let resolver = resolver(&names, 1);
    for _ in 0..5 {
        resolver.servers(&domain("d.example")).await.unwrap();
    }
    assert_eq!(names.asked(), ["MX d.example"]);
}

/// A mistyped or missing smarthost is the operator's trouble: no recipient may lose a mail for it.
#[tokio::test]
async fn a_smarthost_that_is_not_found_defers_while_a_domain_that_is_not_refuses() {
    let names = Names::serve("other.example A 192.0.2.1").await;
    let server = "relay.example:587".parse().unwrap();
    let route = Route::Smarthost(Smarthost { server, login: None });
    let delivery = Delivery { route, private_addresses: false, ..Plan::new("", 25).delivery };
    let mut way = Ways::new(guard(&names), &delivery).find(&domain("d.example")).await.unwrap();
    assert!(way.next().await.is_none());
    let outcome = way.end();
    assert!(matches!(&outcome, Outcome::Deferred { blame: Blame::Site, .. }), "{outcome:?}");
    let ways = Ways::new(guard(&names), &Delivery { route: Route::Mx, ..delivery });
    let refused = match ways.find(&domain("d.example")).await {
        Ok(_) => panic!("there is no such domain"),
        Err(unresolved) => outcome_of(&unresolved),
    };
    assert!(matches!(&refused, Outcome::Refused { verdict: Verdict::UnknownUser, .. }), "{refused:?}");
}
