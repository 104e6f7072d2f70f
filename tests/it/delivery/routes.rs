//! Which server gets a mail, and what it means when none does.

use super::world::{Plan, World, field, one_peer, two_peers};
use crate::peer::{Act, Peer, Setup, network};
use karamail::config::{Host, Route, Server, Smarthost};
use karamail::model::{EmailAddress, Stage};
use karamail::queue::{Class, State};
use karamail::store::AddressState;

#[tokio::test]
async fn a_due_mail_is_given_to_the_mx_of_its_domain_signed_and_with_its_own_return_path() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let world = World::start(plan).await;
    let job = world.order(Class::Registration, "a..b.@carrier.example").await;
    let ended = world.wait_for("accepted", job).await;
    assert_eq!((ended.state, ended.attempts), (State::Accepted, 1));
    let seen = peer.seen();
    let mail = &seen.mails[0];
    assert_eq!(mail.rcpt, "RCPT TO:<\"a..b.\"@carrier.example>");
    assert!(mail.mail.starts_with("MAIL FROM:<b+") && mail.mail.contains("@bounce.mob-connect.example> SIZE="));
    let message = String::from_utf8(mail.message.clone()).unwrap();
    assert_eq!(message.matches("DKIM-Signature: ").count(), 2);
    assert_eq!(field(&mail.message, "Auto-Submitted"), "auto-replied");
    let events = world.events(job).await;
    assert_eq!(events.iter().map(|event| event.name.as_ref()).collect::<Vec<_>>(), ["attempted", "accepted"]);
    assert_eq!(events[0].fields["mx"], format!("mx.carrier.example[{}]", peer.address.ip()));
    assert_eq!(events[0].fields["tls"], "none");
}

#[tokio::test]
async fn the_preferred_server_is_asked_first_and_the_next_where_it_turns_everybody_away() {
    for (first, asked) in [
        (Setup::default(), true),
        (Setup::default().says("greeting", ["554 no service"]), false),
        (Setup::default().says("greeting", ["421 busy"]), false),
        (Setup::default().says("ehlo", ["550 go away"]), false),
        (Setup::default().at("greeting", [Act::Close]), false),
        (Setup::default().says("mail", ["421 4.3.2 closing"]), false),
        (Setup::default().at("mail", [Act::Close]), false),
        (Setup::default().at("data", [Act::Close]), false),
    ] {
        let (first, second, network, port) = two_peers(first, Setup::default()).await;
        let zone = format!(
            "carrier.example MX 20 two.example\ncarrier.example MX 10 one.example\n\
             one.example A {network}1\ntwo.example A {network}2"
        );
        let world = World::start(Plan::new(&zone, port)).await;
        let job = world.order(Class::Alert, "a@carrier.example").await;
        let ended = world.wait_for("accepted", job).await;
        assert_eq!(ended.attempts, 1);
        assert_eq!((first.seen().mails.len(), second.seen().mails.len()), if asked { (1, 0) } else { (0, 1) });
        assert_eq!(first.seen().connections, 1);
    }
}

#[tokio::test]
async fn a_server_that_is_down_or_cannot_be_looked_up_costs_the_next_one_nothing() {
    let network = network();
    let peer = Peer::listen(format!("{network}3:0").parse().unwrap(), Setup::default()).await;
    let zone = format!(
        "carrier.example MX 10 lost.example\ncarrier.example MX 20 down.example\ncarrier.example MX 30 up.example\n\
         lost.example SERVFAIL\ndown.example A {network}2\nup.example A {network}3"
    );
    let world = World::start(Plan::new(&zone, peer.address.port())).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    world.wait_for("accepted", job).await;
    assert_eq!(peer.seen().mails.len(), 1);
}

#[tokio::test]
async fn what_a_server_says_of_the_recipient_or_the_message_is_final_for_the_attempt() {
    for (stage, line, event, expected) in [
        ("mail", "550 5.7.1 blocked", "refused", (State::Refused, Stage::Mail, 550)),
        ("rcpt", "550 Unknown user", "refused", (State::Refused, Stage::Rcpt, 550)),
        ("rcpt", "450 4.2.1 later", "deferred", (State::Deferred, Stage::Rcpt, 450)),
        ("data", "451 later", "deferred", (State::Deferred, Stage::Data, 451)),
        ("dot", "550 Unknown user", "refused", (State::Refused, Stage::Data, 550)),
        ("dot", "554 5.7.1 spam", "refused", (State::Refused, Stage::Data, 554)),
    ] {
        let first = Setup::plain().says(stage, [line]);
        let (_first, second, network, port) = two_peers(first, Setup::default()).await;
        let zone = format!(
            "carrier.example MX 10 one.example\ncarrier.example MX 20 two.example\n\
             one.example A {network}1\ntwo.example A {network}2"
        );
        let world = World::start(Plan::new(&zone, port)).await;
        let job = world.order(Class::Alert, "a@carrier.example").await;
        let found = world.wait_for(event, job).await;
        let (stage, reply) = found.last.unwrap();
        assert_eq!((found.state, stage, reply.code), expected, "{line}");
        assert_eq!(second.seen().connections, 0);
    }
}

#[tokio::test]
async fn the_same_550_is_gone_at_rcpt_and_filtered_behind_data() {
    for (stage, verdict, state) in
        [("rcpt", "unknown-user", AddressState::Unreachable), ("dot", "filtered", AddressState::Filtered)]
    {
        let (_peer, plan) = one_peer(Setup::plain().says(stage, ["550 Unknown user a@carrier.example"])).await;
        let world = World::start(plan).await;
        let job = world.order(Class::Alert, "a@carrier.example").await;
        world.wait_for("refused", job).await;
        let refused = world.events(job).await.into_iter().find(|event| event.name == "refused").unwrap();
        assert_eq!(refused.fields["verdict"], verdict);
        let address: EmailAddress = "a@carrier.example".parse().unwrap();
        let row = world.store.read(move |tx| tx.address(&address)).await.unwrap().unwrap();
        assert_eq!(row.state, state);
    }
}

#[tokio::test]
async fn a_domain_without_mx_gets_its_mail_itself() {
    let peer = Peer::listen(format!("{}1:0", network()).parse().unwrap(), Setup::default()).await;
    let zone = format!("carrier.example A {}", peer.address.ip());
    let world = World::start(Plan::new(&zone, peer.address.port())).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    world.wait_for("accepted", job).await;
    assert_eq!(peer.seen().mails.len(), 1);
}

#[tokio::test]
async fn only_an_answer_that_says_so_ends_a_mail() {
    let zone = "null.example MX 0 .
        noaddress.example MX 10 nowhere.example
        servfail.example SERVFAIL
        refused.example REFUSED
        broken.example MX 10 mx.broken.example
        mx.broken.example SERVFAIL";
    let world = World::start(Plan::new(zone, 25)).await;
    for (domain, event, verdict) in [
        ("null.example", "refused", Some("unknown-user")),
        ("gone.example", "refused", Some("unknown-user")),
        ("noaddress.example", "refused", Some("unknown-user")),
        ("servfail.example", "deferred", None),
        ("refused.example", "deferred", None),
        ("broken.example", "deferred", None),
    ] {
        let job = world.order(Class::Alert, &format!("a@{domain}")).await;
        let found = world.wait_for(event, job).await;
        let (stage, reply) = found.last.unwrap();
        assert_eq!((stage, reply.code), (Stage::Connect, 0), "{domain}");
        let last = world.events(job).await.pop().unwrap();
        assert_eq!(last.fields.get("verdict").and_then(|verdict| verdict.as_str()), verdict, "{domain}");
    }
}

#[tokio::test]
async fn a_strangers_mx_record_does_not_make_us_dial_inside_hosts() {
    let (peer, mut plan) = one_peer(Setup::default()).await;
    plan.delivery.private_addresses = false;
    let world = World::start(plan).await;
    let job = world.order(Class::Registration, "a@carrier.example").await;
    let found = world.wait_for("refused", job).await;
    assert!(found.last.unwrap().1.text.contains("private networks"));
    assert_eq!(peer.seen().connections, 0);
}

#[tokio::test]
async fn a_smarthost_gets_everything_over_the_same_connections_wherever_it_is() {
    let (peer, mut plan) = one_peer(Setup::default()).await;
    plan.zone = format!("relay.example A {}", peer.address.ip());
    plan.delivery.private_addresses = false;
    plan.delivery.port = 25;
    for host in [Host::Name("relay.example".parse().unwrap()), Host::Address(peer.address.ip())] {
        let server = Server { host, port: peer.address.port() };
        let mut delivery = plan.delivery.clone();
        delivery.route = Route::Smarthost(Smarthost { server, login: None });
        let plan = Plan { delivery, ..plan.clone() }.in_order();
        let before = peer.seen().connections;
        let world = World::start(plan).await;
        for domain in ["one.example", "two.example", "three.example"] {
            let job = world.order(Class::Alert, &format!("a@{domain}")).await;
            world.wait_for("accepted", job).await;
        }
        assert_eq!(peer.seen().connections, before + 1);
        assert!(!world.names.asked().iter().any(|asked| asked.starts_with("MX")));
    }
}

#[tokio::test]
async fn captured_mail_is_kept_in_the_outbox_and_goes_nowhere() {
    let (peer, mut plan) = one_peer(Setup::default()).await;
    plan.delivery.route = Route::Capture;
    let world = World::start(plan).await;
    let job = world.order(Class::Registration, "a..b.@carrier.example").await;
    let ended = world.wait_for("accepted", job).await;
    assert_eq!(ended.last.unwrap().1.to_string(), "2.0.0 captured");
    let message = std::fs::read(world.outbox().join(format!("{job}.eml"))).unwrap();
    assert!(message.starts_with(b"DKIM-Signature: "));
    assert_eq!(field(&message, "To"), "<\"a..b.\"@carrier.example>");
    assert_eq!((peer.seen().connections, world.names.asked().len()), (0, 0));
}

#[tokio::test]
async fn a_mail_that_the_server_cannot_be_given_is_refused_without_a_word() {
    let offers = vec!["SIZE 100"];
    let (peer, plan) = one_peer(Setup { offers, ..Setup::default() }).await;
    let world = World::start(plan).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    world.wait_for("refused", job).await;
    assert_eq!(world.events(job).await.pop().unwrap().fields["verdict"], "too-large");
    assert!(!peer.seen().lines.iter().any(|line| line.contains("MAIL")));
}
