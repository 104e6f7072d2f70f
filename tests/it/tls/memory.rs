//! What is remembered of a domain's TLS.

use super::pki::{Authority, HOLDS};
use crate::delivery::world::{START, World, one_peer};
use crate::peer::{Act, Setup};
use karamail::config::TlsPolicy;
use karamail::model::Span;
use karamail::queue::Class;
use karamail::store::DomainMemory;

async fn memory(world: &World) -> DomainMemory {
    let domain = "carrier.example".parse().unwrap();
    world.store.read(move |tx| tx.domain_memory(&domain)).await.unwrap()
}

#[tokio::test]
async fn a_domain_whose_tls_is_gone_gets_its_mail_and_the_loss_is_kept_until_tls_is_back() {
    let identity = Authority::new("any").identity(&["mx.carrier.example".to_owned()], HOLDS);
    let (peer, mut plan) = one_peer(identity.offered_by(Setup::default())).await;
    // A connection for each mail.
    plan.limits.mails = 1;
    let world = World::start(plan).await;
    let day = |number: i64| Some(START.plus(Span::from_secs(number * 86_400)));
    for (number, offered, seen, missed) in
        [(0, true, day(0), None), (1, false, day(0), day(1)), (2, false, day(0), day(1)), (3, true, day(3), None)]
    {
        if !offered {
            peer.says("ehlo", [Act::Say("250 peer.example")]);
        }
        let job = world.order(Class::Alert, "a@carrier.example").await;
        world.wait_for("accepted", job).await;
        let found = memory(&world).await;
        assert_eq!((found.tls_seen_at, found.tls_missed_at), (seen, missed), "day {number}");
        world.turn(86_400);
    }
    let ways: Vec<bool> = peer.seen().mails.iter().map(|mail| mail.tls).collect();
    assert_eq!(ways, [true, false, false, true]);
}

#[tokio::test]
async fn where_tls_is_off_nothing_is_learned_about_it() {
    let (_peer, mut plan) = one_peer(Setup::default()).await;
    plan.delivery.tls = TlsPolicy::Off;
    let world = World::start(plan).await;
    let job = world.order(Class::Alert, "a@carrier.example").await;
    world.wait_for("accepted", job).await;
    assert_eq!(memory(&world).await, DomainMemory::default());
}
