//! One-time passwords among other mail, ordered as the pages order them and read at the receiving server.

use super::world::{World, before_the_code, code, keychain, one_peer, ring};
use crate::peer::{Act, Setup};
use karamail::model::{EmailAddress, JobId, Language, Span, Timestamp};
use karamail::queue::{Class, State};
use karamail::random::Random;
use karamail::service::otp::{self, Ordered, Otp, Purpose, Tried};
use karamail::service::session::Visitor;
use karamail::store::{JobFilter, NewMember, OTP_CODE, StoreError, Tx};
use std::sync::Arc;
use tokio::sync::Notify;

const TARO: &str = "taro@carrier.example";

/// A member who has come as far as the page that asks for a code.
async fn taro(world: &World) -> Visitor {
    let now = world.clock.now();
    let work = move |tx: &mut Tx<'_>| {
        let org = tx.add_org(&"DEMO".parse().unwrap(), "デモ", None, now)?.unwrap();
        let new = NewMember {
            login: "taro".parse().unwrap(),
            name: "太郎".into(),
            kana: None,
            department: None,
            language: Language::Ja,
            password_hash: None,
            addresses: [None, None, None],
        };
        let (id, _) = tx.put_member(org, &new, now)?;
        tx.member_by_id(id)
    };
    before_the_code(world.store.write::<_, StoreError, _>(work).await.unwrap().unwrap(), 1, now)
}

/// Orders a code through the service; gives its job and until when it is good.
async fn order(world: &World, visitor: &Visitor) -> (JobId, Timestamp) {
    let otp = Otp::new(world.store.clone(), keychain(), Random::repeating(8));
    let to: EmailAddress = TARO.parse().unwrap();
    let ordered = otp.order(visitor, Purpose::Login, &to, Language::Ja, world.clock.now()).await.unwrap();
    let Ordered::Sent { expires, .. } = ordered else { panic!("{ordered:?}") };
    world.ring();
    let filter = JobFilter { class: Some(Class::Otp), ..JobFilter::default() };
    (world.store.read(move |tx| tx.list_jobs(&filter)).await.unwrap()[0].id, expires)
}

async fn sealed(world: &World, job: JobId) -> Option<Vec<u8>> {
    world.store.read(move |tx| tx.secret(OTP_CODE, job.number())).await.unwrap()
}

#[tokio::test]
async fn r042_an_ordered_code_overtakes_two_thousand_alerts_for_the_same_carrier() {
    let gate = Arc::new(Notify::new());
    let (peer, plan) = one_peer(Setup::default().at("dot", [Act::When(gate.clone(), "250 2.0.0 taken")])).await;
    let world = World::start(plan.in_order()).await;
    let visitor = taro(&world).await;
    world.enqueue_many(Class::Alert, 2_000).await;
    world.ring();
    // One alert is on its way, and the next ones are in memory.
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    let (job, _) = order(&world, &visitor).await;
    world.wait_for_state(job, State::Sending).await;
    gate.notify_one();
    world.wait_for("accepted", job).await;
    let seen = peer.seen();
    assert_eq!(seen.recipients()[1], TARO);
    assert_eq!(sealed(&world, job).await, None);

    let (typed, now) = (code(seen.messages()[1]), world.clock.now());
    let (session, member) = (visitor.session, visitor.member.id);
    let judge = move |tx: &mut Tx<'_>| otp::try_code(tx, &ring(), &session, member, Purpose::Login, &typed, now);
    let tried = world.store.write::<_, StoreError, _>(judge).await.unwrap();
    assert_eq!(tried, Tried::Right { address: TARO.parse().unwrap() });
}

#[tokio::test]
async fn r040_a_code_whose_hour_is_over_is_never_sent_and_nowhere_kept() {
    let setup = Setup::plain().says("rcpt", ["450 4.2.1 later"; 60]);
    let (peer, plan) = one_peer(setup).await;
    let world = World::start(plan.in_order()).await;
    let visitor = taro(&world).await;
    let (job, expires) = order(&world, &visitor).await;
    world.wait_for("deferred", job).await;
    assert!(sealed(&world, job).await.is_some());
    world.turn_until(job, State::Expired, 100).await;
    assert_eq!(world.job(job).await.order.give_up, expires);
    assert_eq!(sealed(&world, job).await, None);
    // The server would take it now; there is nothing to take.
    world.turn_slowly(3_600).await;
    assert_eq!(peer.seen().mails, []);
    assert!(world.clock.now() > expires.plus(Span::from_secs(60)));
}
