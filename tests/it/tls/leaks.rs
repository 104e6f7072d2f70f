//! Domains that share a server, and do not ask for the same.

use super::pki::{Authority, HOLDS, Identity};
use super::publisher::{Publisher, policy};
use crate::delivery::world::{Plan, World, two_peers};
use crate::peer::{Peer, Setup, network};
use karamail::queue::{Cause, Class, State};

/// Two domains with one MX: `lax.example` asks for nothing, `strict.example` for a certificate to be believed. They are one
/// destination.
struct House {
    world: World,
    peer: Peer,
    _publisher: Publisher,
    _authorities: tempfile::NamedTempFile,
}

impl House {
    /// With one connection.
    async fn new(known: &Authority, identity: Option<&Identity>) -> Self {
        Self::with(known, identity, Plan::in_order).await
    }

    /// With as many connections as a destination gets.
    async fn crowded(known: &Authority, identity: Option<&Identity>) -> Self {
        Self::with(known, identity, |plan| plan).await
    }

    async fn with(known: &Authority, identity: Option<&Identity>, plan_of: impl FnOnce(Plan) -> Plan) -> Self {
        let network = network();
        let setup = identity.map_or_else(Setup::default, |identity| identity.offered_by(Setup::default()));
        let peer = Peer::listen(format!("{network}1:0").parse().unwrap(), setup).await;
        let identity = known.identity(&["mta-sts.strict.example".to_owned()], HOLDS);
        let publisher = Publisher::listen(format!("{network}2:0").parse().unwrap(), &identity).await;
        publisher.set("strict.example", policy("enforce", &["mx.shared.example"]));
        let zone = format!(
            "lax.example MX 10 mx.shared.example
             strict.example MX 10 mx.shared.example
             _mta-sts.strict.example TXT v=STSv1; id=1;
             mta-sts.strict.example A {network}2
             mx.shared.example A {network}1"
        );
        let authorities = known.file();
        let mut plan = plan_of(Plan::new(&zone, peer.address.port()));
        plan.delivery.tls_ca_file = Some(authorities.path().to_owned());
        plan.policy_port = publisher.address.port();
        Self { world: World::start(plan).await, peer, _publisher: publisher, _authorities: authorities }
    }

    async fn send(&self, to: &str, event: &str) -> Option<Cause> {
        let job = self.world.order(Class::Alert, to).await;
        self.world.wait_for(event, job).await.last_cause
    }

    /// What was sent: to whom, by which connection, whether secured.
    fn sent(&self) -> Vec<(String, usize, bool)> {
        self.peer.seen().mails.into_iter().map(|mail| (mail.rcpt, mail.connection, mail.tls)).collect()
    }
}

fn to(who: &str, connection: usize, tls: bool) -> (String, usize, bool) {
    (format!("RCPT TO:<{who}.example>"), connection, tls)
}

#[tokio::test]
async fn a_connection_that_is_good_enough_for_both_carries_both() {
    let known = Authority::new("known");
    let identity = known.identity(&["mx.shared.example".to_owned()], HOLDS);
    let house = House::new(&known, Some(&identity)).await;
    for who in ["a@lax.example", "b@strict.example", "c@lax.example"] {
        house.send(who, "accepted").await;
    }
    assert_eq!(house.sent(), [to("a@lax", 1, true), to("b@strict", 1, true), to("c@lax", 1, true)]);
}

#[tokio::test]
async fn a_domain_that_asks_for_nothing_does_not_open_the_door_for_one_that_does() {
    let known = Authority::new("known");
    for identity in [None, Some(Identity::self_signed("mx.shared.example"))] {
        let house = House::new(&known, identity.as_ref()).await;
        house.send("a@lax.example", "accepted").await;
        assert_eq!(house.send("b@strict.example", "deferred").await, Some(Cause::Tls));
        // Nor does the one that does keep the other's mail back.
        house.send("c@lax.example", "accepted").await;
        let tls = identity.is_some();
        let [first, last] = house.sent().try_into().unwrap();
        assert_eq!((first, last.0), (to("a@lax", 1, tls), to("c@lax", 1, tls).0));
    }
}

#[tokio::test]
async fn a_connection_to_a_server_that_a_domain_does_not_have_carries_nothing_of_it() {
    // Both prefer the same name, so they are one destination; it is not there, and their second servers differ.
    let (one, two, network, port) = two_peers(Setup::default(), Setup::default()).await;
    let zone = format!(
        "one.example MX 10 down.example\none.example MX 20 mx.one.example
         two.example MX 10 down.example\ntwo.example MX 20 mx.two.example
         down.example A {network}9\nmx.one.example A {network}1\nmx.two.example A {network}2"
    );
    let world = World::start(Plan::new(&zone, port).in_order()).await;
    for who in ["a@one.example", "b@two.example", "c@one.example"] {
        let job = world.order(Class::Alert, who).await;
        world.wait_for("accepted", job).await;
    }
    let rcpts = |peer: &Peer| peer.seen().mails.into_iter().map(|mail| mail.rcpt).collect::<Vec<_>>();
    assert_eq!(rcpts(&one), ["RCPT TO:<a@one.example>", "RCPT TO:<c@one.example>"]);
    assert_eq!(rcpts(&two), ["RCPT TO:<b@two.example>"]);
    // There was one connection at a time.
    assert_eq!((one.seen().connections, two.seen().connections), (2, 1));
}

/// Also where the commands of one mail go right behind another's body.
#[tokio::test]
async fn however_mails_of_both_mix_none_goes_where_its_domain_would_not_have_it() {
    let house = House::crowded(&Authority::new("known"), None).await;
    let mut jobs = Vec::new();
    for number in 0..40 {
        let who = if number % 2 == 0 { "lax" } else { "strict" };
        let address = format!("a{number}@{who}.example");
        jobs.push((house.world.enqueue(Class::Alert, &address, house.world.clock.now()).await, who));
    }
    house.world.ring();
    house.world.wait_for_kept("strict.example", Cause::Tls).await;
    // One of them is tried and put off, the others are kept back.
    let put_off = house.world.wait_for_first("deferred").await;
    for (job, who) in jobs {
        match who {
            "lax" => drop(house.world.wait_for("accepted", job).await),
            _ if job == put_off => {}
            _ => drop(house.world.wait_for_state(job, State::Queued).await),
        }
    }
    assert_eq!(house.world.heard("deferred").len(), 1);
    let sent = house.sent();
    assert!(sent.len() == 20 && sent.iter().all(|(rcpt, ..)| rcpt.ends_with("@lax.example>")), "{sent:?}");
    assert!(!house.peer.seen().lines.iter().any(|line| line.contains("@strict.example")));
}
