//! Connections and mails on them, against a server that does what the test says.

use crate::peer::{Act, Peer, Setup};
use karamail::clock::Clock;
use karamail::config::{Login, TlsPolicy};
use karamail::model::{Reply, ReversePath, Secret, Span, Stage, Timestamp};
use karamail::net::tls::Connectors;
use karamail::outbound::demand::Demand;
use karamail::outbound::dial::{self, Dialer, Sources, Trouble};
use karamail::outbound::session::Session;
use karamail::smtp::client::{After, Ending, Envelope, Upshot};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;
use tokio::sync::Notify;

pub const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n";
pub const START: Timestamp = Timestamp::from_millis(1_795_298_400_000);
pub const FAR: Timestamp = Timestamp::from_millis(i64::MAX);

pub fn clock() -> Clock {
    Clock::turned_by_hand(START)
}

pub fn envelope(recipient: &str) -> Envelope {
    let sender = ReversePath::Address("b+1@bounce.example.jp".parse().unwrap());
    Envelope { sender, recipient: recipient.parse().unwrap() }
}

fn dialer(clock: &Clock) -> Dialer {
    let tls = Connectors::new(None, clock).unwrap();
    Dialer::new(clock.clone(), "mx.example.jp".to_owned(), tls, Sources::default(), None)
}

fn at(peer: &Peer) -> dial::Peer {
    dial::Peer { name: "peer.example".to_owned(), address: peer.address }
}

async fn open(peer: &Peer) -> Session {
    open_on(&clock(), peer).await
}

pub async fn open_on(clock: &Clock, peer: &Peer) -> Session {
    dialer(clock).open(&at(peer), &Demand::Any).await.unwrap()
}

async fn deliver(session: &mut Session, recipient: &str) -> Ending {
    session.deliver(&envelope(recipient), MESSAGE, FAR).await
}

pub fn accepted() -> Ending {
    Ending { upshot: Upshot::Accepted(Reply::new(250, "2.0.0 taken")), after: After::Ready }
}

fn trouble(stage: Stage, code: u16, text: &str) -> Trouble {
    Trouble { stage, reply: Reply::new(code, text) }
}

#[tokio::test]
async fn mails_follow_one_another_on_one_connection() {
    let peer = Peer::start(Setup::default()).await;
    let mut session = open(&peer).await;
    assert_eq!(session.tls(), None);
    assert_eq!(session.server(), "peer.example[127.0.0.1]");
    for recipient in ["a@docomo.ne.jp", "a..b.@docomo.ne.jp", "\"x y\"@docomo.ne.jp"] {
        assert!(session.is_usable().await);
        assert_eq!(deliver(&mut session, recipient).await, accepted());
    }
    assert_eq!(session.sent(), 3);
    session.quit().await;
    let seen = peer.wait_for(|seen| seen.open == 0).await;
    assert_eq!(
        seen.lines,
        [
            "1 EHLO mx.example.jp",
            "1 MAIL FROM:<b+1@bounce.example.jp> SIZE=21",
            "1 RCPT TO:<a@docomo.ne.jp>",
            "1 DATA",
            "1 .",
            "1 MAIL FROM:<b+1@bounce.example.jp> SIZE=21",
            "1 RCPT TO:<\"a..b.\"@docomo.ne.jp>",
            "1 DATA",
            "1 .",
            "1 MAIL FROM:<b+1@bounce.example.jp> SIZE=21",
            "1 RCPT TO:<\"x y\"@docomo.ne.jp>",
            "1 DATA",
            "1 .",
            "1 QUIT",
            "1 closed",
        ]
    );
    assert_eq!(seen.messages(), [MESSAGE; 3]);
}

#[tokio::test]
async fn what_turns_us_away_is_known_with_its_stage() {
    for (stage, line, expected) in [
        ("greeting", "554 5.7.1 no service", trouble(Stage::Greeting, 554, "5.7.1 no service")),
        ("greeting", "421 busy", trouble(Stage::Greeting, 421, "busy")),
        ("ehlo", "550 who are you", trouble(Stage::Ehlo, 550, "who are you")),
        ("ehlo", "421-4.3.2 come\r\n421 4.3.2 again", trouble(Stage::Ehlo, 421, "4.3.2 come again")),
    ] {
        let peer = Peer::start(Setup::plain().says(stage, [line])).await;
        let found = dialer(&clock()).open(&at(&peer), &Demand::Any).await.err().unwrap();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn a_server_that_breaks_off_is_known_with_its_stage() {
    for (name, stage) in [("greeting", Stage::Greeting), ("ehlo", Stage::Ehlo)] {
        for act in [Act::Close, Act::Leave("what is this"), Act::Leave("220-half")] {
            let peer = Peer::start(Setup::plain().at(name, [act.clone()])).await;
            let found = dialer(&clock()).open(&at(&peer), &Demand::Any).await.err().unwrap();
            assert_eq!((found.stage, found.reply.code), (stage, 0), "{name} {act:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_trouble_at_connecting() {
    let peer = Peer::start(Setup::plain()).await;
    let gone = at(&peer);
    drop(peer);
    let found = dialer(&clock()).open(&gone, &Demand::Any).await.err().unwrap();
    assert_eq!((found.stage, found.reply.code), (Stage::Connect, 0));
}

#[tokio::test]
async fn a_server_that_knows_only_helo_is_greeted_so() {
    let peer = Peer::start(Setup::plain().says("ehlo", ["502 what"])).await;
    let mut session = open(&peer).await;
    assert_eq!(deliver(&mut session, "a@b.jp").await, accepted());
    assert_eq!(
        peer.seen().lines[..3],
        ["1 EHLO mx.example.jp", "1 HELO mx.example.jp", "1 MAIL FROM:<b+1@bounce.example.jp>"]
    );
}

#[tokio::test]
async fn a_refusal_in_the_transaction_is_known_with_its_stage_and_the_next_mail_goes_through() {
    for offers in [vec![], vec!["PIPELINING"]] {
        for (name, stage, after) in [
            ("mail", Stage::Mail, After::Reset),
            ("rcpt", Stage::Rcpt, After::Reset),
            ("data", Stage::Data, After::Reset),
            ("dot", Stage::Data, After::Ready),
        ] {
            let setup = Setup { offers: offers.clone(), ..Setup::default() }.says(name, ["550 5.1.1 Unknown user"]);
            // A server that refused what came before refuses what depends on it.
            let setup = match name {
                "mail" if !offers.is_empty() => setup.says("rcpt", ["503 no"]).says("data", ["503 no"]),
                "rcpt" if !offers.is_empty() => setup.says("data", ["503 no"]),
                _ => setup,
            };
            let peer = Peer::start(setup).await;
            let mut session = open(&peer).await;
            let upshot = Upshot::Refused { stage, reply: Reply::new(550, "5.1.1 Unknown user") };
            assert_eq!(deliver(&mut session, "a@b.jp").await, Ending { upshot, after }, "{name}");
            assert_eq!(deliver(&mut session, "c@d.jp").await, accepted(), "{name}");
            let seen = peer.seen();
            let resets = seen.lines.iter().filter(|line| line.ends_with("RSET")).count();
            assert_eq!(resets, usize::from(after == After::Reset), "{name}");
            assert_eq!(seen.mails.last().unwrap().rcpt, "RCPT TO:<c@d.jp>");
            assert_eq!(seen.connections, 1);
        }
    }
}

#[tokio::test]
async fn a_server_that_takes_data_behind_a_refused_recipient_gets_an_empty_body_and_the_next_mail() {
    let peer = Peer::start(Setup::default().says("rcpt", ["550 no"]).says("dot", ["554 nothing"])).await;
    let mut session = open(&peer).await;
    let upshot = Upshot::Refused { stage: Stage::Rcpt, reply: Reply::new(550, "no") };
    assert_eq!(deliver(&mut session, "a@b.jp").await, Ending { upshot, after: After::Ready });
    assert_eq!(deliver(&mut session, "c@d.jp").await, accepted());
    assert_eq!(peer.seen().messages(), [b"".as_slice(), MESSAGE]);
}

#[tokio::test]
async fn a_connection_lost_behind_the_final_dot_is_unknown_and_before_it_is_not() {
    for (stage, unknown) in [("mail", false), ("rcpt", false), ("data", false), ("dot", true)] {
        let peer = Peer::start(Setup::plain().at(stage, [Act::Close])).await;
        let mut session = open(&peer).await;
        let ending = deliver(&mut session, "a@b.jp").await;
        assert_eq!(matches!(ending.upshot, Upshot::Unknown(_)), unknown, "{stage}: {ending:?}");
        assert_eq!(matches!(ending.upshot, Upshot::Broken { .. }), !unknown, "{stage}: {ending:?}");
        assert_eq!(ending.after, After::Gone);
        assert!(!session.is_usable().await);
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_not_used() {
    let peer = Peer::start(Setup::plain().at("dot", [Act::Leave("250 2.0.0 taken")])).await;
    let mut session = open(&peer).await;
    assert_eq!(deliver(&mut session, "a@b.jp").await, accepted());
    peer.wait_for(|seen| seen.open == 0).await;
    while session.is_usable().await {
        tokio::task::yield_now().await;
    }
}

/// Turns the clock until just before `allowed` is over, then beyond; gives what came of it.
pub async fn at_the_deadline<T>(
    clock: &Clock,
    allowed: i64,
    reached: impl Future<Output = ()>,
    work: impl Future<Output = T>,
) -> T {
    let turning = async {
        reached.await;
        clock.turn(Span::from_millis(allowed * 1_000 - 1));
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        clock.turn(Span::from_millis(1));
    };
    let before = clock.now();
    let stamped = async {
        let done = work.await;
        (done, clock.now())
    };
    let ((done, ended), ()) = tokio::join!(stamped, turning);
    assert_eq!(ended.since(before), Span::from_secs(allowed));
    done
}

#[tokio::test]
async fn each_phase_of_opening_has_a_deadline_of_its_own() {
    for (name, line, stage, allowed) in [
        ("greeting", "", Stage::Greeting, 300),
        ("ehlo", "EHLO", Stage::Ehlo, 300),
        ("starttls", "STARTTLS", Stage::StartTls, 120),
    ] {
        let (setup, _) = Setup::plain().at(name, [Act::Hang]).secured("peer.example");
        let peer = Peer::start(setup).await;
        let clock = clock();
        let dialer = dialer(&clock);
        let reached = async {
            if line.is_empty() {
                peer.wait_for(|seen| seen.connections == 1).await;
            } else {
                peer.wait_for_line(1, line).await;
            }
        };
        let opened = at_the_deadline(&clock, allowed, reached, dialer.open(&at(&peer), &Demand::Verified)).await;
        assert_eq!(opened.err().unwrap(), trouble(stage, 0, "the time allowed for it was over"), "{name}");
    }
}

#[tokio::test]
async fn each_stage_of_a_transaction_has_a_deadline_of_its_own() {
    for (name, line, stage, allowed, unknown) in [
        ("mail", "MAIL", Stage::Mail, 300, false),
        ("rcpt", "RCPT", Stage::Rcpt, 300, false),
        ("data", "DATA", Stage::Data, 120, false),
        ("dot", ".", Stage::Data, 600, true),
    ] {
        let peer = Peer::start(Setup::plain().at(name, [Act::Hang])).await;
        let clock = clock();
        let mut session = dialer(&clock).open(&at(&peer), &Demand::Any).await.unwrap();
        let reached = peer.wait_for_line(1, line);
        let ending = at_the_deadline(&clock, allowed, reached, deliver(&mut session, "a@b.jp")).await;
        match ending.upshot {
            Upshot::Unknown(reply) => assert!(unknown, "{name}: {reply}"),
            Upshot::Broken { stage: found, .. } => assert_eq!((found, false), (stage, unknown), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_mail_whose_time_ends_before_354_is_not_given_away() {
    for offers in [vec![], vec!["PIPELINING"]] {
        let gate = Arc::new(Notify::new());
        let setup = Setup { offers, ..Setup::default() }.at("data", [Act::When(gate.clone(), "354 go ahead")]);
        let peer = Peer::start(setup).await;
        let clock = clock();
        let mut session = dialer(&clock).open(&at(&peer), &Demand::Any).await.unwrap();
        let turning = async {
            peer.wait_for_line(1, "DATA").await;
            clock.turn(Span::from_secs(60));
            gate.notify_one();
        };
        let to = envelope("a@b.jp");
        let (ending, ()) = tokio::join!(session.deliver(&to, MESSAGE, START.plus(Span::from_secs(60))), turning);
        assert_eq!(ending, Ending { upshot: Upshot::Expired, after: After::Gone });
        drop(session);
        let seen = peer.wait_for(|seen| seen.open == 0).await;
        assert_eq!(seen.lines[seen.lines.len() - 2..], ["1 DATA", "1 closed"]);
        assert!(seen.mails.is_empty());
    }
}

#[tokio::test]
async fn a_mail_whose_time_is_over_is_not_begun() {
    let peer = Peer::start(Setup::default()).await;
    let mut session = open(&peer).await;
    let ending = session.deliver(&envelope("a@b.jp"), MESSAGE, START).await;
    assert_eq!(ending, Ending { upshot: Upshot::Expired, after: After::Ready });
    assert_eq!(deliver(&mut session, "c@d.jp").await, accepted());
    assert_eq!(peer.seen().lines.iter().filter(|line| line.contains("MAIL")).count(), 1);
}

#[tokio::test]
async fn tls_is_taken_where_it_is_offered_whatever_the_certificate() {
    let (setup, _) = Setup::default().secured("another.example");
    let peer = Peer::start(setup).await;
    let mut session = open(&peer).await;
    assert_eq!(session.tls(), Some("TLSv1.3"));
    assert_eq!(deliver(&mut session, "a@b.jp").await, accepted());
    assert!(session.is_usable().await);
    assert_eq!(deliver(&mut session, "c@d.jp").await, accepted());
    let seen = peer.seen();
    assert_eq!(seen.lines[..3], ["1 EHLO mx.example.jp", "1 STARTTLS", "1 EHLO mx.example.jp"]);
    assert!(seen.mails.iter().all(|mail| mail.tls && mail.connection == 1));
}

#[tokio::test]
async fn where_tls_fails_the_mail_goes_in_plain_text_by_another_connection() {
    for act in [Act::Say("454 4.7.0 not now"), Act::Leave("220 go"), Act::Close, Act::Leave("220 go\r\n250 injected")] {
        let (setup, _) = Setup::default().at("starttls", [act.clone()]).secured("peer.example");
        let peer = Peer::start(setup).await;
        let mut session = open(&peer).await;
        assert_eq!(session.tls(), None, "{act:?}");
        assert_eq!(deliver(&mut session, "a@b.jp").await, accepted());
        let mails = peer.seen().mails;
        assert_eq!((mails.len(), mails[0].connection, mails[0].tls), (1, 2, false), "{act:?}");
    }
}

fn pem_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn where_tls_is_required_only_a_certificate_for_that_name_will_do() {
    let (setup, right) = Setup::default().secured("peer.example");
    let peer = Peer::start(setup).await;
    let (setup, wrong) = Setup::default().secured("another.example");
    let other = Peer::start(setup).await;
    let bare = Peer::start(Setup::default()).await;
    let file = pem_file(&format!("{right}{wrong}"));
    let strict = |authorities| {
        let tls = Connectors::new(authorities, &clock()).unwrap();
        Dialer::new(clock(), "mx.example.jp".to_owned(), tls, Sources::default(), None)
    };
    let mut session = strict(Some(file.path())).open(&at(&peer), &Demand::Verified).await.unwrap();
    assert_eq!(deliver(&mut session, "a@b.jp").await, accepted());
    assert!(peer.seen().mails[0].tls);
    for (dialer, server) in [(strict(None), &peer), (strict(Some(file.path())), &other), (strict(None), &bare)] {
        let found = dialer.open(&at(server), &Demand::Verified).await.err().unwrap();
        assert_eq!((found.stage, found.reply.code), (Stage::StartTls, 0), "{}", found.reply);
    }
    assert!(other.seen().mails.is_empty() && bare.seen().mails.is_empty());
}

fn with_login(authority: &str) -> Dialer {
    let file = pem_file(authority);
    let login = Login { user: "user".to_owned(), password: Secret::new("pass".to_owned()) };
    let tls = Connectors::new((!authority.is_empty()).then(|| file.path()), &clock()).unwrap();
    Dialer::new(clock(), "mx.example.jp".to_owned(), tls, Sources::default(), Some(login))
}

#[tokio::test]
async fn a_password_is_sent_over_a_verified_connection_by_a_mechanism_that_is_finished() {
    let (mut setup, pem) = Setup::default().secured("peer.example");
    setup.offers.push("AUTH CRAM-MD5 DIGEST-MD5 PLAIN");
    let peer = Peer::start(setup).await;
    let mut session = with_login(&pem).open(&at(&peer), &Demand::Verified).await.unwrap();
    assert_eq!(deliver(&mut session, "a@b.jp").await, accepted());
    assert!(peer.seen().lines.contains(&"1 AUTH PLAIN AHVzZXIAcGFzcw==".to_owned()), "{:?}", peer.seen().lines);
    peer.says("auth", [Act::Say("535 5.7.8 wrong")]);
    let found = with_login(&pem).open(&at(&peer), &Demand::Verified).await.err().unwrap();
    assert_eq!(found, trouble(Stage::Auth, 535, "5.7.8 wrong"));
}

#[tokio::test]
async fn a_password_never_goes_in_plain_text_unless_tls_was_switched_off() {
    for (policy, sent) in [(TlsPolicy::Opportunistic, false), (TlsPolicy::Require, false), (TlsPolicy::Off, true)] {
        let (mut setup, _) = Setup::default().at("starttls", [Act::Say("454 no")]).secured("peer.example");
        setup.offers.push("AUTH PLAIN LOGIN");
        let peer = Peer::start(setup).await;
        drop(with_login("").open(&at(&peer), &policy.into()).await);
        assert_eq!(peer.seen().lines.iter().any(|line| line.contains("AUTH")), sent, "{policy:?}");
    }
}

#[tokio::test]
async fn a_reply_without_end_is_given_up() {
    let flood: &'static str = Box::leak(format!("250-{}", "x".repeat(10_000_000)).into_boxed_str());
    for (name, stage) in [("greeting", Stage::Greeting), ("ehlo", Stage::Ehlo)] {
        let peer = Peer::start(Setup::plain().says(name, [flood])).await;
        let found = dialer(&clock()).open(&at(&peer), &Demand::Any).await.err().unwrap();
        assert_eq!((found.stage, found.reply.code), (stage, 0));
    }
    let peer = Peer::start(Setup::plain().says("rcpt", [flood])).await;
    let ending = deliver(&mut open(&peer).await, "a@b.jp").await;
    assert!(matches!(ending.upshot, Upshot::Broken { stage: Stage::Rcpt, .. }), "{ending:?}");
}

#[test]
fn every_byte_of_a_message_arrives_and_none_ends_it_early() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let peer = runtime.block_on(Peer::start(Setup::default()));
    let session = RefCell::new(runtime.block_on(open(&peer)));
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let bytes = prop::collection::vec(prop::sample::select(b"..\r\n\r\nab \xe3\x81\x82\0".to_vec()), 0..80);
    let checked = runner.run(&bytes, |body| {
        let message = [b"Subject: x\r\n\r\n", body.as_slice()].concat();
        let ending = runtime.block_on(session.borrow_mut().deliver(&envelope("a@b.jp"), &message, FAR));
        prop_assert_eq!(ending, accepted());
        let seen = peer.seen();
        let mail = seen.mails.last().unwrap();
        prop_assert_eq!(&mail.message, &karamail::smtp::client::with_crlf(&message).into_owned());
        let declared = mail.mail.contains("BODY=8BITMIME");
        prop_assert_eq!(declared, !message.is_ascii());
        Ok(())
    });
    checked.unwrap();
}
