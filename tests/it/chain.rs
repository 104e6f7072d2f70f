//! Mails on one connection, each begun behind the final dot of the one before, against a server that does what the test
//! says.

mod transcript;

use crate::peer::{Act, Peer, Setup, patiently};
use crate::session::{FAR, MESSAGE, START, accepted, at_the_deadline, clock, envelope, open_on};
use karamail::clock::Clock;
use karamail::model::{LocalForm, Reply, Span, Stage, Timestamp};
use karamail::outbound::session::Session;
use karamail::smtp::client::{After, Ending, Letter, NotAhead, Upshot};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinSet;

const GROUP: [&str; 3] = ["MAIL FROM:<b+1@bounce.example.jp> SIZE=21\r\n", "RCPT TO:<", ">\r\nDATA\r\n"];
const BODY: &str = "Subject: x\r\n\r\nhello\r\n.\r\n";

fn letter(recipient: &str) -> Arc<Letter> {
    until(recipient, FAR)
}

fn until(recipient: &str, give_up: Timestamp) -> Arc<Letter> {
    Arc::new(Letter { envelope: envelope(recipient), form: LocalForm::Quoted, message: MESSAGE.to_vec(), give_up })
}

fn group(recipient: &str) -> String {
    GROUP.join("").replace("RCPT TO:<", &format!("RCPT TO:<{recipient}"))
}

/// A session in which `a@b.jp` waits for its verdict and the commands of `second` went ahead behind it.
async fn chained(clock: &Clock, peer: &Peer, second: &Arc<Letter>) -> Session {
    let mut session = open_on(clock, peer).await;
    session.begin(&letter("a@b.jp")).await.unwrap();
    session.ready().await.unwrap();
    session.ahead(second).unwrap();
    session.body().await.unwrap();
    session
}

/// Gives the mail away that the server waits for.
async fn finish(session: &mut Session) -> Ending {
    let written = async {
        session.ready().await?;
        session.body().await
    };
    match written.await {
        Ok(()) => session.verdict().await,
        Err(ending) => ending,
    }
}

fn broken(stage: Stage, ending: &Ending) -> bool {
    matches!(&ending.upshot, Upshot::Broken { stage: found, .. } if *found == stage) && ending.after == After::Gone
}

#[tokio::test]
async fn the_next_group_goes_in_one_write_with_the_body_before_it() {
    let peer = Peer::start(Setup::default()).await;
    let mut session = chained(&clock(), &peer, &letter("c@d.jp")).await;
    assert_eq!(session.verdict().await, accepted());
    session.ready().await.unwrap();
    session.ahead(&letter("e@f.jp")).unwrap();
    session.body().await.unwrap();
    assert_eq!(session.verdict().await, accepted());
    assert_eq!(finish(&mut session).await, accepted());
    assert_eq!(session.sent(), 3);
    let seen = peer.seen();
    assert_eq!(
        seen.pieces[1..],
        [
            format!("1 {}", group("a@b.jp")),
            format!("1 {BODY}{}", group("c@d.jp")),
            format!("1 {BODY}{}", group("e@f.jp")),
            format!("1 {BODY}"),
        ]
    );
    assert_eq!(seen.recipients(), ["a@b.jp", "c@d.jp", "e@f.jp"]);
    assert_eq!(seen.messages(), [MESSAGE; 3]);
}

#[tokio::test]
async fn nothing_goes_ahead_to_a_server_that_does_not_pipeline() {
    let peer = Peer::start(Setup::plain()).await;
    let mut session = open_on(&clock(), &peer).await;
    session.begin(&letter("a@b.jp")).await.unwrap();
    session.ready().await.unwrap();
    assert!(!session.sends_ahead());
    assert_eq!(session.ahead(&letter("c@d.jp")), Err(NotAhead::Alone));
    assert_eq!(finish(&mut session).await, accepted());
    assert_eq!((peer.seen().mails.len(), session.sent()), (1, 1));
}

#[tokio::test]
async fn the_body_of_what_went_ahead_waits_until_it_may_be_given_away() {
    let peer = Peer::start(Setup::default()).await;
    let mut session = chained(&clock(), &peer, &letter("c@d.jp")).await;
    assert_eq!(session.verdict().await, accepted());
    session.ready().await.unwrap();
    assert_eq!(peer.seen().mails.len(), 1);
    assert_eq!(peer.seen().pieces.last().unwrap(), &format!("1 {BODY}{}", group("c@d.jp")));
    session.body().await.unwrap();
    assert_eq!(session.verdict().await, accepted());
    assert_eq!(peer.seen().recipients(), ["a@b.jp", "c@d.jp"]);
}

#[tokio::test]
async fn a_refused_recipient_that_went_ahead_is_given_no_body_and_does_not_touch_the_others() {
    let refusal = [Act::Say("250 ok"), Act::Say("550 5.1.1 Unknown user")];
    let setup = Setup::default().at("rcpt", refusal).at("data", [Act::Say("354 go"), Act::Say("554 5.5.1 no")]);
    let peer = Peer::start(setup).await;
    let mut session = chained(&clock(), &peer, &letter("c@d.jp")).await;
    assert_eq!(session.verdict().await, accepted());
    let upshot = Upshot::Refused { stage: Stage::Rcpt, reply: Reply::new(550, "5.1.1 Unknown user") };
    assert_eq!(finish(&mut session).await, Ending { upshot, after: After::Reset });
    session.begin(&letter("e@f.jp")).await.unwrap();
    assert_eq!(finish(&mut session).await, accepted());
    let seen = peer.seen();
    assert_eq!(seen.recipients(), ["a@b.jp", "e@f.jp"]);
    assert_eq!(seen.lines.iter().filter(|line| line.ends_with("RSET")).count(), 1);
}

#[tokio::test]
async fn a_mail_that_the_filter_refuses_does_not_take_along_the_one_behind_it() {
    let peer = Peer::start(Setup::default().says("dot", ["550 5.2.0 filtered"])).await;
    let mut session = chained(&clock(), &peer, &letter("c@d.jp")).await;
    let upshot = Upshot::Refused { stage: Stage::Data, reply: Reply::new(550, "5.2.0 filtered") };
    assert_eq!(session.verdict().await, Ending { upshot, after: After::Ready });
    assert_eq!(finish(&mut session).await, accepted());
    assert!(!peer.seen().lines.iter().any(|line| line.ends_with("RSET")));
}

#[tokio::test]
async fn what_breaks_behind_a_final_dot_is_unknown_and_nothing_goes_on_behind_it() {
    let flood: &'static str = Box::leak(format!("250-{}", "x".repeat(10_000_000)).into_boxed_str());
    for act in [
        Act::Close,
        Act::Leave("250-half"),
        Act::Leave("25"),
        Act::Say("354 go on"),
        Act::Say("250-a\r\n550 b"),
        Act::Say("hello"),
        Act::Say(flood),
    ] {
        let peer = Peer::start(Setup::default().at("dot", [act])).await;
        let mut session = chained(&clock(), &peer, &letter("c@d.jp")).await;
        let ending = session.verdict().await;
        assert!(matches!(ending, Ending { upshot: Upshot::Unknown(_), after: After::Gone }), "{ending:?}");
        assert!(!session.is_usable().await);
        assert!(peer.seen().mails.len() == 1);
    }
}

#[tokio::test]
async fn what_breaks_before_its_final_dot_was_not_given_away_and_the_one_before_it_was() {
    let flood: &'static str = Box::leak(format!("250-{}", "x".repeat(10_000_000)).into_boxed_str());
    for (name, stage, usual) in
        [("mail", Stage::Mail, "250 ok"), ("rcpt", Stage::Rcpt, "250 ok"), ("data", Stage::Data, "354 go")]
    {
        for act in [Act::Close, Act::Leave("250-half"), Act::Say(flood), Act::Say("199 what"), Act::Leave("2")] {
            let peer = Peer::start(Setup::default().at(name, [Act::Say(usual), act.clone()])).await;
            let mut session = chained(&clock(), &peer, &letter("c@d.jp")).await;
            assert_eq!(session.verdict().await.upshot, accepted().upshot);
            let ending = finish(&mut session).await;
            assert!(broken(stage, &ending), "{name}: {ending:?}");
            assert_eq!(peer.seen().mails.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_body_is_not_given_to_a_server_that_left_while_it_was_held_back() {
    let peer = Peer::start(Setup::default().at("data", [Act::Say("354 go"), Act::Leave("354 go")])).await;
    let mut session = chained(&clock(), &peer, &letter("c@d.jp")).await;
    assert_eq!(session.verdict().await, accepted());
    session.ready().await.unwrap();
    peer.wait_for(|seen| seen.open == 0).await;
    while session.is_usable().await {
        tokio::task::yield_now().await;
    }
    assert!(broken(Stage::Data, &session.body().await.unwrap_err()));
}

#[tokio::test]
async fn a_time_that_ends_is_seen_before_the_commands_and_again_before_the_body() {
    let gate = Arc::new(Notify::new());
    let minute = START.plus(Span::from_secs(60));
    let setup = Setup::default().at("data", [Act::Say("354 go"), Act::When(gate.clone(), "354 go")]);
    let (peer, clock) = (Peer::start(setup).await, clock());
    let mut session = chained(&clock, &peer, &until("c@d.jp", minute)).await;
    assert_eq!(session.verdict().await, accepted());
    clock.turn(Span::from_secs(60));
    gate.notify_one();
    assert_eq!(finish(&mut session).await, Ending { upshot: Upshot::Expired, after: After::Gone });
    drop(session);
    let seen = peer.wait_for(|seen| seen.open == 0).await;
    assert_eq!(
        (seen.mails.len(), seen.lines[seen.lines.len() - 2..].to_vec()),
        (1, vec!["1 DATA".to_owned(), "1 closed".to_owned()])
    );

    let peer = Peer::start(Setup::default()).await;
    let mut session = open_on(&clock, &peer).await;
    session.begin(&letter("a@b.jp")).await.unwrap();
    session.ready().await.unwrap();
    let expired = Ending { upshot: Upshot::Expired, after: After::Ready };
    assert_eq!(session.ahead(&until("c@d.jp", minute)), Err(NotAhead::Over(expired)));
    session.body().await.unwrap();
    assert_eq!(session.verdict().await, accepted());
    assert_eq!(peer.seen().lines.iter().filter(|line| line.contains("MAIL")).count(), 1);
}

#[tokio::test]
async fn each_stage_of_what_went_ahead_has_a_deadline_that_begins_with_the_verdict_before_it() {
    for (name, usual, stage, allowed) in [
        ("mail", "250 ok", Stage::Mail, 300),
        ("rcpt", "250 ok", Stage::Rcpt, 300),
        ("data", "354 go", Stage::Data, 120),
    ] {
        let setup = Setup::default().at(name, [Act::Say(usual), Act::Hang]);
        let (peer, clock) = (Peer::start(setup).await, clock());
        let mut session = chained(&clock, &peer, &letter("c@d.jp")).await;
        assert_eq!(session.verdict().await, accepted());
        // What the first took of its time is not taken from the second's.
        clock.turn(Span::from_secs(500));
        let reached = peer.wait_for(|seen| seen.lines.iter().filter(|line| line.contains("MAIL")).count() == 2);
        let reached = async { drop(reached.await) };
        let ending = at_the_deadline(&clock, allowed, reached, finish(&mut session)).await;
        assert!(broken(stage, &ending), "{name}: {ending:?}");
    }
    let (peer, clock) = (Peer::start(Setup::default().at("dot", [Act::Hang])).await, clock());
    let mut session = chained(&clock, &peer, &letter("c@d.jp")).await;
    let ending = at_the_deadline(&clock, 600, peer.wait_for_line(1, "."), session.verdict()).await;
    assert!(matches!(ending, Ending { upshot: Upshot::Unknown(_), after: After::Gone }), "{ending:?}");
}

#[tokio::test]
async fn a_mail_that_keeps_every_deadline_and_comes_to_no_end_is_broken_off() {
    let told = Arc::new(Notify::new());
    let slow = |reply| [Act::When(told.clone(), reply)];
    let setup = Setup::plain().says("mail", ["550 no"]).at("rset", slow("250 ok")).at("mail", slow("250 ok"));
    let setup = setup.at("rcpt", slow("250 ok")).at("data", slow("354 go")).at("dot", [Act::Hang]);
    let (peer, clock) = (Peer::start(setup).await, clock());
    let mut session = open_on(&clock, &peer).await;
    assert_eq!(session.begin(&letter("a@b.jp")).await, Ok(()));
    assert_eq!(session.ready().await.unwrap_err().after, After::Reset);
    let began = clock.now();
    let turning = async {
        for (line, seconds) in [("RSET", 299), ("MAIL FROM:<b+1@bounce.example.jp>", 299), ("RCPT", 299), ("DATA", 119)]
        {
            let again = usize::from(line.starts_with("MAIL"));
            let line = format!("1 {line}");
            peer.wait_for(|seen| seen.lines.iter().filter(|one| one.starts_with(&line)).count() > again).await;
            clock.turn(Span::from_secs(seconds));
            told.notify_one();
        }
        peer.wait_for_line(1, ".").await;
        clock.turn(Span::from_secs(1_500 - 299 * 3 - 119));
    };
    let sending = async {
        session.begin(&letter("c@d.jp")).await.unwrap();
        finish(&mut session).await
    };
    let both = async { tokio::join!(sending, turning).0 };
    let ending = patiently(both).await.expect("it is broken off");
    assert_eq!(ending, Ending { upshot: Upshot::Unknown(Reply::none("the mail took too long")), after: After::Gone });
    assert_eq!(clock.now().since(began), Span::from_secs(1_500));
}

#[tokio::test]
async fn a_body_that_was_held_back_for_too_long_is_not_written() {
    let (peer, clock) = (Peer::start(Setup::default()).await, clock());
    let mut session = open_on(&clock, &peer).await;
    session.begin(&letter("a@b.jp")).await.unwrap();
    session.ready().await.unwrap();
    clock.turn(Span::from_secs(1_500));
    let ending = session.body().await.unwrap_err();
    let upshot = Upshot::Broken { stage: Stage::Data, reply: Reply::none("the mail took too long") };
    assert_eq!(ending, Ending { upshot, after: After::Gone });
    drop(session);
    assert!(peer.wait_for(|seen| seen.open == 0).await.mails.is_empty());
}

#[tokio::test]
async fn goodbye_is_over_when_the_server_has_closed_and_after_five_seconds_at_the_latest() {
    let told = Arc::new(Notify::new());
    for hangs in [false, true] {
        let act = if hangs { Act::Hang } else { Act::LeaveWhen(told.clone(), "221 bye") };
        let (peer, clock) = (Peer::start(Setup::default().at("quit", [act])).await, clock());
        let session = open_on(&clock, &peer).await;
        let mut leaving = JoinSet::new();
        leaving.spawn(session.quit());
        peer.wait_for_line(1, "QUIT").await;
        clock.turn(Span::from_millis(4_999));
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(leaving.try_join_next().is_none(), "it did not wait");
        if hangs {
            clock.turn(Span::from_millis(1));
        } else {
            told.notify_one();
        }
        patiently(leaving.join_next()).await.unwrap().unwrap().unwrap();
        assert!(hangs || peer.wait_for(|seen| seen.open == 0).await.lines.contains(&"1 closed".to_owned()));
    }
}
