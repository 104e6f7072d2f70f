//! Peers that stall, or say too much, while a connection is opened; and where we come from.

use super::pki::{Authority, HOLDS};
use crate::peer::{Act, Peer, Setup};
use crate::session::at_the_deadline;
use karamail::clock::Clock;
use karamail::model::{Reply, ReversePath, Stage, Timestamp};
use karamail::net::tls::Connectors;
use karamail::outbound::demand::Demand;
use karamail::outbound::dial::{self, Dialer, Sources, Trouble};
use karamail::smtp::client::{Envelope, Upshot};
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Notify;

fn clock() -> Clock {
    Clock::turned_by_hand(Timestamp::from_millis(1_795_298_400_000))
}

fn dialer(clock: &Clock, sources: Sources) -> Dialer {
    let tls = Connectors::new(None, clock).unwrap();
    Dialer::new(clock.clone(), "mx.example.jp".to_owned(), tls, sources, None)
}

fn at(address: SocketAddr) -> dial::Peer {
    dial::Peer { name: "peer.example".to_owned(), address }
}

fn secured() -> Setup {
    Authority::new("any").identity(&["peer.example".to_owned()], HOLDS).offered_by(Setup::plain())
}

fn too_late(stage: Stage) -> Trouble {
    Trouble { stage, reply: Reply::none("the time allowed for it was over") }
}

#[tokio::test]
async fn a_peer_that_says_half_of_what_it_has_to_say_is_waited_for_until_the_deadline() {
    let offers = "250-peer.example\r\n250 STARTTLS";
    for (setup, before, stage) in [
        (secured().says("greeting", ["220-half"]), None, Stage::Greeting),
        (secured().says("ehlo", ["250-half"]), Some("EHLO"), Stage::Ehlo),
        (secured().says("ehlo", ["250-half\r\n250-STARTTLS"]), Some("EHLO"), Stage::Ehlo),
        // The second EHLO, when TLS has begun.
        (secured().at("ehlo", [Act::Say(offers), Act::Hang]), Some("STARTTLS"), Stage::Ehlo),
        (secured().at("ehlo", [Act::Say(offers), Act::Say("250-half")]), Some("STARTTLS"), Stage::Ehlo),
    ] {
        let peer = Peer::start(setup).await;
        let (clock, peer_at) = (clock(), at(peer.address));
        let dialer = dialer(&clock, Sources::default());
        let reached = async {
            match before {
                None => drop(peer.wait_for(|seen| seen.connections == 1).await),
                Some("EHLO") => peer.wait_for_line(1, "EHLO").await,
                Some(_) => {
                    peer.wait_for(|seen| seen.lines.iter().filter(|line| line.contains("EHLO")).count() == 2).await;
                }
            }
        };
        let opened = at_the_deadline(&clock, 300, reached, dialer.open(&peer_at, &Demand::Any)).await;
        assert_eq!(opened.err().unwrap(), too_late(stage));
    }
}

/// Greets, answers EHLO, agrees to TLS, takes the first bytes of the handshake, and no more.
async fn stall_in_the_handshake(listener: &TcpListener, reached: &Notify) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    for says in ["220 peer.example", "250-peer.example\r\n250 STARTTLS", "220 go ahead"] {
        stream.write_all(format!("{says}\r\n").as_bytes()).await.unwrap();
        if !says.ends_with("ahead") {
            stream.read_line(&mut line).await.unwrap();
        }
    }
    stream.read_u8().await.unwrap();
    reached.notify_one();
    std::future::pending().await
}

#[tokio::test]
async fn the_handshake_has_a_deadline_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (clock, peer) = (clock(), at(listener.local_addr().unwrap()));
    let dialer = dialer(&clock, Sources::default());
    let reached = Notify::new();
    let opening = at_the_deadline(&clock, 120, reached.notified(), dialer.open(&peer, &Demand::Verified));
    tokio::select! {
        opened = opening => assert_eq!(opened.err().unwrap(), too_late(Stage::StartTls)),
        () = stall_in_the_handshake(&listener, &reached) => unreachable!(),
    }
}

/// Taken for the reply to the EHLO behind the handshake, the second line would forbid every mail.
#[tokio::test]
async fn what_is_said_behind_the_reply_to_starttls_counts_for_nothing() {
    let peer = Peer::start(secured().says("starttls", ["220 go ahead\r\n250-peer.example\r\n250 SIZE 1"])).await;
    let dialer = dialer(&clock(), Sources::default());
    let mut session = dialer.open(&at(peer.address), &Demand::Encrypted).await.unwrap();
    let envelope = Envelope { sender: ReversePath::Null, recipient: "a@carrier.example".parse().unwrap() };
    let far = Timestamp::from_millis(i64::MAX);
    let ending = session.deliver(&envelope, b"Subject: x\r\n\r\nhello\r\n", far).await;
    assert!(matches!(ending.upshot, Upshot::Accepted(_)), "{ending:?}");
    assert!(peer.seen().mails[0].tls);
}

#[tokio::test]
async fn connections_go_out_from_each_address_in_its_turn_and_from_any_where_none_is_given() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let (one, two) = (address("127.9.9.1"), address("127.9.9.2"));
    let sources = Sources::new(vec![one, address("::1"), two]);
    for (sources, listening, expected) in [
        (&sources, "127.0.0.1:0", [one, two, one]),
        (&Sources::new(vec![address("::1")]), "127.0.0.1:0", [address("127.0.0.1"); 3]),
        (&sources, "[::1]:0", [address("::1"); 3]),
    ] {
        let listener = TcpListener::bind(listening).await.unwrap();
        let dialer = dialer(&clock(), sources.clone());
        let peer = at(listener.local_addr().unwrap());
        let mut seen = Vec::new();
        for _ in expected {
            let turned_away = async {
                let (_, from) = listener.accept().await.unwrap();
                from.ip()
            };
            let (opened, from) = tokio::join!(dialer.open(&peer, &Demand::Any), turned_away);
            assert_eq!(opened.err().unwrap().stage, Stage::Greeting);
            seen.push(from);
        }
        assert_eq!(seen, expected, "{listening}");
    }
}
