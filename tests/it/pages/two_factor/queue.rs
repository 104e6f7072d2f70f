//! Codes ordered on the pages among alerts that wait for the same carrier, read at the carrier's server.

use super::*;
use crate::delivery::world::{Plan, World, code, one_peer};
use crate::peer::{Act, Setup};
use karamail::model::{EmailAddress, JobId, Language};
use karamail::queue::{Class, State};
use std::sync::Arc;
use tokio::sync::Notify;

const TARO: &str = "taro@carrier.example";
const JIRO: &str = "jiro@carrier.example";
const TAKEN: &str = "250 2.0.0 taken";

/// A member who has a start password, and a mail address for codes.
async fn jiro(house: &House) {
    let (id, now) = (house.member("0003", "次郎", Language::Ja, Some(START)).await, house.clock.now());
    let address: EmailAddress = JIRO.parse().unwrap();
    let put = move |tx: &mut karamail::store::Tx<'_>| tx.put_factor(id, FactorKind::Mail, Some(&address), None, now);
    house.store.write::<_, StoreError, _>(put).await.unwrap();
}

/// The job of the code that was ordered last.
async fn ordered(world: &World) -> JobId {
    let filter = JobFilter { class: Some(Class::Otp), ..JobFilter::default() };
    let jobs = world.store.read::<_, StoreError, _>(move |tx| tx.list_jobs(&filter)).await.unwrap();
    jobs.iter().map(|job| job.id).max().unwrap()
}

/// Lets the alert go on that holds the only connection, once the code is on its way.
async fn let_go(world: &World, job: JobId, gate: &Notify) {
    world.wait_for_state(job, State::Sending).await;
    gate.notify_one();
    world.wait_for("accepted", job).await;
}

#[tokio::test]
async fn r042_a_code_ordered_on_a_page_overtakes_two_thousand_alerts_for_the_same_carrier() {
    let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let dots = [Act::When(first.clone(), TAKEN), Act::Say(TAKEN), Act::When(second.clone(), TAKEN)];
    let (peer, plan) = one_peer(Setup::default().at("dot", dots)).await;
    let mut world = World::prepare(&plan.zone).await;
    let house = House::open_over(&world.store, &world.clock).await;
    policy(&house, Policy { two_factor: true, ..Policy::default() }).await;
    jiro(&house).await;
    let mut taros = first_login(&house).await;
    taros.get("/account/two-factor/mail").await;
    let mut jiros = house.browser();
    jiros.get("/login").await;
    send(&mut jiros, "/login", &[("org", "DEMO"), ("id", "0003"), ("password", START)]).await.has("メール送信");

    world.run(Plan { keychain: house.chain.clone(), ..plan.in_order() });
    world.enqueue_many(Class::Alert, 2_000).await;
    world.ring();
    // One alert is on its way, and the next ones are in memory. Nobody rings for the codes but the presses on the pages.
    peer.wait_for(|seen| seen.mails.len() == 1).await;
    send(&mut taros, "/account/two-factor/mail/send", &[("email", TARO)]).await.has("メールで送りました");
    let_go(&world, ordered(&world).await, &first).await;
    // Another alert holds the connection when the code of a login is ordered.
    peer.wait_for(|seen| seen.mails.len() == 3).await;
    send(&mut jiros, "/login/code/send", &[]).await.has("送りました");
    let_go(&world, ordered(&world).await, &second).await;

    let seen = peer.seen();
    let to = seen.recipients();
    assert_eq!((to[1], to[3]), (TARO, JIRO), "{to:?}");
    let [taros_code, jiros_code] = [1, 3].map(|place| code(seen.messages()[place]));
    send(&mut taros, "/account/two-factor/mail", &[("otp", &taros_code)]).await.has("登録が完了しました");
    type_code(&mut jiros, FactorKind::Mail, &jiros_code).await.has("新しいパスワードを決める");
    world.stop();
    world.stopped().await;
    house.close().await;
}
