//! Policies that domains publish by HTTPS: found, kept, renewed, or not to be had.

use super::pki::{Authority, HELD, HOLDS, Identity};
use super::publisher::{Page, Publisher, policy};
use crate::names::Names;
use crate::peer::network;
use karamail::clock::Clock;
use karamail::config::Resolver as NameServer;
use karamail::model::{Domain, Span, Timestamp};
use karamail::net::resolver::{Reach, Resolver};
use karamail::net::sts::{Place, Sts};
use karamail::net::tls::Connectors;
use karamail::random::Random;
use karamail::store::{Location, Options, Store, StsMode, StsPolicy};

const START: Timestamp = Timestamp::from_millis(1_795_298_400_000);
const DAY: Span = Span::from_secs(86_400);

/// A domain `d.example`, its web server, and a store of ours.
struct House {
    names: Names,
    publisher: Publisher,
    known: Authority,
    network: String,
    clock: Clock,
    store: Store,
    _folder: tempfile::TempDir,
}

fn domain() -> Domain {
    "d.example".parse().unwrap()
}

fn host() -> Vec<String> {
    vec!["mta-sts.d.example".to_owned()]
}

impl House {
    async fn new() -> Self {
        let known = Authority::new("known");
        let identity = known.identity(&host(), HOLDS);
        Self::with(known, &identity).await
    }

    async fn with(known: Authority, identity: &Identity) -> Self {
        let network = network();
        let publisher = Publisher::listen(format!("{network}2:0").parse().unwrap(), identity).await;
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("karamail.db"));
        let store = Store::open(Options::new(location)).await.unwrap();
        let clock = Clock::turned_by_hand(START);
        let house = Self { names: Names::serve("").await, publisher, known, network, clock, store, _folder: folder };
        house.announce("v=STSv1; id=1;");
        house
    }

    fn announce(&self, text: &str) {
        self.names.set(&format!("_mta-sts.d.example TXT {text}\nmta-sts.d.example A {}2", self.network));
    }

    /// A daemon just started: nothing is known but what the store keeps.
    fn started(&self) -> Sts {
        let server = NameServer::Server(self.names.address);
        let resolver = Resolver::new(server, self.clock.clone(), Random::repeating(1)).unwrap();
        let tls = Connectors::new(Some(self.known.file().path()), &self.clock).unwrap();
        let place = Place { port: self.publisher.address.port(), reach: Reach::Any };
        Sts::new(resolver, tls.verified, place, self.store.clone(), self.clock.clone())
    }

    async fn kept(&self) -> Option<StsPolicy> {
        self.store.read(|tx| tx.sts_policy(&domain())).await.unwrap()
    }
}

fn mode(found: Option<StsPolicy>) -> Option<StsMode> {
    found.map(|policy| policy.mode)
}

#[tokio::test]
async fn a_policy_is_fetched_once_and_kept_over_a_restart() {
    let house = House::new().await;
    house.publisher.set("d.example", policy("enforce", &["mx.d.example"]));
    let sts = house.started();
    let found = sts.policy(&domain()).await.unwrap();
    assert_eq!((found.id.as_str(), found.mode, found.mx), ("1", StsMode::Enforce, vec!["mx.d.example".to_owned()]));
    assert_eq!((found.fetched_at, found.expires_at), (START, START.plus(Span::from_secs(604_800))));
    assert_eq!(sts.policy(&domain()).await, house.kept().await);
    assert_eq!(house.started().policy(&domain()).await, house.kept().await);
    assert_eq!(house.publisher.seen(), ["mta-sts.d.example /.well-known/mta-sts.txt"]);
}

#[tokio::test]
async fn many_who_ask_at_once_make_one_request() {
    let house = House::new().await;
    house.publisher.set("d.example", policy("enforce", &["mx.d.example"]));
    let (sts, of) = (house.started(), domain());
    let found = tokio::join!(sts.policy(&of), sts.policy(&of), sts.policy(&of));
    assert!(found.0.is_some() && found.0 == found.1 && found.1 == found.2);
    assert_eq!(house.publisher.seen().len(), 1);
}

#[tokio::test]
async fn a_new_id_means_a_new_policy_and_the_old_one_holds_while_that_cannot_be_had() {
    let house = House::new().await;
    house.publisher.set("d.example", policy("enforce", &["mx.d.example"]));
    let old = house.started().policy(&domain()).await;
    house.announce("v=STSv1; id=2;");
    house.publisher.set("d.example", Page::Raw("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_owned()));
    assert_eq!(house.started().policy(&domain()).await, old);
    house.publisher.set("d.example", policy("testing", &["mx.d.example"]));
    assert_eq!(mode(house.started().policy(&domain()).await), Some(StsMode::Testing));
    assert_eq!(house.kept().await.unwrap().id, "2");
}

#[tokio::test]
async fn a_policy_is_renewed_every_day_and_ends_in_time_where_it_cannot_be() {
    let house = House::new().await;
    house.publisher.set("d.example", policy("enforce", &["mx.d.example"]));
    let sts = house.started();
    sts.policy(&domain()).await.unwrap();
    house.clock.turn(DAY);
    assert_eq!(sts.policy(&domain()).await.unwrap().fetched_at, START.plus(DAY));
    assert_eq!(house.publisher.seen().len(), 2);
    // The announcement and the web server are gone: the policy is not.
    house.names.set("");
    house.clock.turn(Span::from_secs(604_799));
    assert_eq!(mode(house.started().policy(&domain()).await), Some(StsMode::Enforce));
    house.clock.turn(Span::from_secs(1));
    assert_eq!(house.started().policy(&domain()).await, None);
}

#[tokio::test]
async fn the_policy_that_there_is_none_is_obeyed_and_kept() {
    let house = House::new().await;
    house.publisher.set("d.example", policy("none", &[]));
    assert_eq!(house.started().policy(&domain()).await, None);
    assert_eq!(mode(house.kept().await), Some(StsMode::None));
    assert_eq!(house.started().policy(&domain()).await, None);
    assert_eq!(house.publisher.seen().len(), 1);
}

#[tokio::test]
async fn a_domain_that_announces_nothing_is_not_asked() {
    let house = House::new().await;
    house.publisher.set("d.example", policy("enforce", &["mx.d.example"]));
    for announcement in ["v=spf1 -all", "v=STSv1; id=1;\n_mta-sts.d.example TXT v=STSv1; id=2;", "v=STSv1; id=???"] {
        house.announce(announcement);
        assert_eq!(house.started().policy(&domain()).await, None, "{announcement}");
    }
    assert!(house.publisher.seen().is_empty());
}

#[tokio::test]
async fn after_a_failure_a_domain_is_left_alone_for_five_minutes() {
    let house = House::new().await;
    let sts = house.started();
    assert_eq!(sts.policy(&domain()).await, None);
    house.publisher.set("d.example", policy("enforce", &["mx.d.example"]));
    house.clock.turn(Span::from_secs(299));
    assert_eq!(sts.policy(&domain()).await, None);
    assert_eq!(house.publisher.seen().len(), 1);
    house.clock.turn(Span::from_secs(1));
    assert_eq!(mode(sts.policy(&domain()).await), Some(StsMode::Enforce));
}

#[tokio::test]
async fn what_is_not_the_policy_in_plain_text_is_none() {
    let text = "version: STSv1\nmode: enforce\nmx: mx.d.example\nmax_age: 604800\n";
    let answer =
        |head: &str, text: &str| Page::Raw(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
    let padded = |length: usize| format!("{text}x: {}", "x".repeat(length - text.len() - 3));
    for (page, taken) in [
        (answer("200 OK\r\nContent-Type: text/plain", text), true),
        (answer("200 OK\r\nContent-Type: Text/Plain;charset=us-ascii", text), true),
        (answer("200 OK\r\nContent-Type: text/plain", &padded(65_536)), true),
        (answer("200 OK\r\nContent-Type: text/plain", &padded(65_537)), false),
        (answer("200 OK\r\nContent-Type: text/html", text), false),
        (answer("200 OK\r\nContent-Type: text/plainly", text), false),
        (answer("200 OK", text), false),
        (answer("201 Created\r\nContent-Type: text/plain", text), false),
        (answer("404 Not Found\r\nContent-Type: text/plain", text), false),
        // RFC 8461 3.3: redirects are not followed.
        (answer("301 Moved\r\nContent-Type: text/plain\r\nLocation: https://mta-sts.d.example/other", text), false),
        (answer("200 OK\r\nContent-Type: text/plain", "version: STSv1\nmode: enforce\n"), false),
        (
            Page::Raw("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 999\r\n\r\nversion".to_owned()),
            false,
        ),
        (Page::Raw("what is this\r\n\r\n".to_owned()), false),
        (Page::Raw(String::new()), false),
    ] {
        let house = House::new().await;
        house.publisher.set("d.example", page.clone());
        let found = house.started().policy(&domain()).await;
        let Page::Raw(sent) = page else { unreachable!() };
        assert_eq!(found.is_some(), taken, "{}", sent.chars().take(90).collect::<String>());
        assert_eq!(house.publisher.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_host_that_is_not_known_by_its_certificate_is_not_even_asked() {
    for flaw in ["expired", "name", "authority", "self"] {
        let known = Authority::new("known");
        let identity = match flaw {
            "expired" => known.identity(&host(), HELD),
            "name" => known.identity(&["d.example".to_owned()], HOLDS),
            "authority" => Authority::new("stranger").identity(&host(), HOLDS),
            _ => Identity::self_signed("mta-sts.d.example"),
        };
        let house = House::with(known, &identity).await;
        house.publisher.set("d.example", policy("enforce", &["mx.d.example"]));
        assert_eq!(house.started().policy(&domain()).await, None, "{flaw}");
        assert!(house.publisher.seen().is_empty(), "{flaw}");
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_waited_for_until_the_deadline() {
    let house = House::new().await;
    house.publisher.set("d.example", Page::Silence);
    let (sts, of) = (house.started(), domain());
    let turn = async {
        house.publisher.wait_for(1).await;
        house.clock.turn(Span::from_secs(60));
    };
    let (found, ()) = tokio::join!(sts.policy(&of), turn);
    assert_eq!(found, None);
}
