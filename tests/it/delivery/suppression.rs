//! Addresses that are not written to any more.

use super::world::{START, World, one_peer};
use crate::peer::Setup;
use karamail::model::EmailAddress;
use karamail::queue::{Class, State};
use karamail::store::{AddressRow, AddressState};

#[tokio::test]
async fn a_mail_to_an_address_that_was_struck_off_ends_unsent_and_the_next_one_goes() {
    let (peer, plan) = one_peer(Setup::default()).await;
    let world = World::start(plan.in_order()).await;
    let gone: EmailAddress = "gone@carrier.example".parse().unwrap();
    let row = AddressRow {
        address: gone,
        state: AddressState::Suppressed,
        verdict: None,
        stage: None,
        reply: None,
        at: Some(START),
        verified_at: None,
        unknown_day: Some(1),
    };
    world.store.write(move |tx| tx.note_address(&row)).await.unwrap();
    let unsent = world.order(Class::Alert, "Gone@carrier.example").await;
    let sent = world.order(Class::Alert, "here@carrier.example").await;
    let ended = world.wait_for("suppressed", unsent).await;
    assert_eq!((ended.state, ended.attempts, ended.last), (State::Suppressed, 0, None));
    world.wait_for("accepted", sent).await;
    let seen = peer.seen();
    assert_eq!(seen.mails.len(), 1);
    assert!(!seen.lines.iter().any(|line| line.to_lowercase().contains("gone@")), "{:?}", seen.lines);
    assert_eq!(world.events(unsent).await.len(), 1);
}
