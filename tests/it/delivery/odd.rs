//! Recipients whose dots stand in odd places: in quotes, and as they are where a server knows no quotes.

use super::world::{World, one_peer};
use crate::peer::{Act, Seen, Setup};
use karamail::queue::{Class, State, Verdict};
use karamail::store::AddressState;

const QUOTED: &str = "1 RCPT TO:<\"a..b.\"@carrier.example>";
const RAW: &str = "1 RCPT TO:<a..b.@carrier.example>";

fn recipients(seen: &Seen) -> Vec<&str> {
    seen.lines.iter().map(String::as_str).filter(|line| line.contains("RCPT")).collect()
}

#[tokio::test]
async fn where_the_syntax_of_quotes_is_refused_the_address_goes_without_and_so_from_then_on() {
    for offers in [vec![], vec!["PIPELINING"]] {
        let refusals = [Act::Say("501 5.1.3 Bad recipient address syntax")];
        let (peer, plan) = one_peer(Setup { offers, ..Setup::default() }.at("rcpt", refusals)).await;
        let world = World::start(plan.in_order()).await;
        let code = world.order(Class::Otp, "a..b.@carrier.example").await;
        assert_eq!(world.wait_for("accepted", code).await.attempts, 1);
        assert_eq!(recipients(&peer.seen()), [QUOTED, RAW]);
        assert_eq!(peer.seen().connections, 1);
        let alert = world.order(Class::Alert, ".c@carrier.example").await;
        world.wait_for("accepted", alert).await;
        assert_eq!(recipients(&peer.seen())[2..], ["1 RCPT TO:<.c@carrier.example>"]);
        // Others are written as ever.
        let plain = world.order(Class::Alert, "\"x y\"@carrier.example").await;
        world.wait_for("accepted", plain).await;
        assert_eq!(recipients(&peer.seen())[3], "1 RCPT TO:<\"x y\"@carrier.example>");
        // A server that has changed its mind is followed.
        peer.says("rcpt", [Act::Say("553 5.1.3 Malformed")]);
        for name in ["d.", "e."] {
            let job = world.order(Class::Alert, &format!("{name}@carrier.example")).await;
            world.wait_for("accepted", job).await;
        }
        let last: Vec<_> = ["d.", "\"d.\"", "\"e.\""].map(|name| format!("1 RCPT TO:<{name}@carrier.example>")).into();
        assert_eq!(recipients(&peer.seen())[4..], last);
    }
}

#[tokio::test]
async fn an_address_that_is_refused_in_both_forms_is_refused_and_nothing_is_remembered() {
    let (peer, plan) = one_peer(Setup::default().says("rcpt", ["501 5.1.3 no"; 2]).says("data", ["503 no"; 2])).await;
    let world = World::start(plan.in_order()).await;
    let job = world.order(Class::Alert, "a..b.@carrier.example").await;
    assert_eq!(world.wait_for("refused", job).await.state, State::Refused);
    let next = world.order(Class::Alert, "c.@carrier.example").await;
    world.wait_for("accepted", next).await;
    assert_eq!(recipients(&peer.seen()), [QUOTED, RAW, "1 RCPT TO:<\"c.\"@carrier.example>"]);
}

#[tokio::test]
async fn an_unknown_user_is_not_asked_for_in_another_form() {
    let (peer, plan) = one_peer(Setup::plain().says("rcpt", ["550 5.1.1 Unknown user"])).await;
    let world = World::start(plan.in_order()).await;
    let job = world.order(Class::Alert, "a..b.@carrier.example").await;
    world.wait_for("refused", job).await;
    assert_eq!(recipients(&peer.seen()), [QUOTED]);
    let address = "a..b.@carrier.example".parse().unwrap();
    let row = world.store.read(move |tx| tx.address(&address)).await.unwrap().unwrap();
    assert_eq!((row.verdict, row.state), (Some(Verdict::UnknownUser), AddressState::Unreachable));
}

#[tokio::test]
async fn the_other_form_counts_as_a_mail_of_its_own_on_the_connection() {
    let (peer, mut plan) = one_peer(Setup::plain().says("rcpt", ["501 5.1.3 no"])).await;
    plan.limits.mails = 1;
    let world = World::start(plan.in_order()).await;
    let job = world.order(Class::Alert, "a..b.@carrier.example").await;
    world.wait_for("accepted", job).await;
    let seen = peer.seen();
    assert_eq!(recipients(&seen), [QUOTED, "2 RCPT TO:<a..b.@carrier.example>"]);
    assert_eq!((seen.most, seen.lines.contains(&"1 QUIT".to_owned())), (1, true));
}
