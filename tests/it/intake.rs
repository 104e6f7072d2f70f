//! Mail coming in by SMTP: dialogues, limits, and how it ends.

pub mod door;
mod secured;
mod starttls;
mod transcript;

use self::door::{Door, MAX_MESSAGE};
use karamail::inbound::smtp::Deadlines;
use karamail::model::{Span, Via};
use karamail::service::reception::Destination;

#[tokio::test]
async fn a_mail_is_handed_over_with_its_envelope_and_every_octet() {
    let door = Door::open().await;
    let mut client = door.enter().await;
    let envelope = "MAIL FROM:<Hanako@DOCOMO.ne.jp>\r\nRCPT TO:<bizanpi+demo@mc-anpi.example>\r\n\
                    RCPT TO:<postmaster>\r\nDATA\r\n";
    client
        .says(envelope, &["250 2.1.0 Ok", "250 2.1.5 Ok", "250 2.1.5 Ok", "354 End data with <CR><LF>.<CR><LF>"])
        .await;
    door.clock.turn(Span::from_secs(2));
    client.says("\0\u{e9}\r\n..\r\n.\r\n", &["250 2.0.0 Ok: queued as mb"]).await;
    let (mail, to) = door.shelf.mails().remove(0);
    assert_eq!((mail.via, mail.peer.to_string(), mail.helo.as_str()), (Via::Smtp, "127.0.0.1".to_owned(), "b.example"));
    assert_eq!(mail.envelope_sender.address(), Some(&"Hanako@docomo.ne.jp".parse().unwrap()));
    assert_eq!(mail.message, b"\0\xc3\xa9\r\n.\r\n");
    assert_eq!(mail.at, door.clock.now());
    let registration = Destination::Registration {
        address: "bizanpi@mc-anpi.example".parse().unwrap(),
        org: Some("DEMO".parse().unwrap()),
    };
    let postmaster = Destination::Postmaster { address: "postmaster@mx.mc-anpi.example".parse().unwrap() };
    assert_eq!(to, [registration, postmaster]);
}

#[tokio::test]
async fn nobody_hears_250_before_the_mail_is_stored() {
    let door = Door::open().await;
    door.shelf.hold_up();
    let mut client = door.enter_data().await;
    client.send(b"x\r\n.\r\nNOOP\r\n").await;
    door.shelf.handed_over(1).await;
    door.enter().await.round_trip().await;
    assert!(client.has_heard_nothing());
    door.shelf.go_on(1);
    assert_eq!(client.line().await, "250 2.0.0 Ok: queued as mb");
    assert_eq!(client.line().await, "250 2.0.0 Ok");
}

#[tokio::test]
async fn a_store_that_takes_too_long_is_a_temporary_failure() {
    let door = Door::open().await;
    door.shelf.hold_up();
    let mut client = door.enter_data().await;
    client.send(b"x\r\n.\r\n").await;
    door.shelf.handed_over(1).await;
    door.clock.turn(Deadlines::default().store);
    assert_eq!(client.line().await, "451 4.3.0 Could not store the mail, try again later");
    client.says("NOOP\r\n", &["250 2.0.0 Ok"]).await;
}

#[tokio::test]
async fn a_network_has_so_many_connections_and_gets_them_back() {
    let door = Door::open_with(|settings| settings.limits.connections_per_network = 2).await;
    let first = door.enter().await;
    let _second = door.enter().await;
    let mut third = door.knock().await;
    assert_eq!(third.line().await, "421 4.7.0 mx.mc-anpi.example Too many connections, try again later");
    third.expect_end().await;
    first.leave().await;
    door.enter().await;
}

#[tokio::test]
async fn there_are_so_many_connections_in_all() {
    let door = Door::open_with(|settings| settings.limits.connections = 1).await;
    let _first = door.enter().await;
    let mut second = door.knock().await;
    assert_eq!(second.line().await, "421 4.7.0 mx.mc-anpi.example Too many connections, try again later");
}

#[tokio::test]
async fn messages_under_way_share_what_memory_they_may_take() {
    let door = Door::open_with(|settings| {
        settings.max_message = 64 * 1024;
        settings.limits.octets = 48 * 1024;
    });
    let door = door.await;
    let half = "x".repeat(29 * 1024) + "\r\n";
    let mut first = door.enter_data().await;
    first.send(half.as_bytes()).await;
    let mut second = door.enter().await;
    second.begin().await;
    second.says(&format!("{half}.\r\n"), &["452 4.3.1 Too many mails at this moment, try again later"]).await;
    first.says(".\r\n", &["250 2.0.0 Ok: queued as mb"]).await;
    second.begin().await;
    second.says(&format!("{half}.\r\n"), &["250 2.0.0 Ok: queued as mc"]).await;
}

#[tokio::test]
async fn a_stop_ends_idle_sessions_and_lets_a_transaction_finish() {
    let door = Door::open().await;
    let mut idle = door.enter().await;
    let mut busy = door.enter_data().await;
    door.stop();
    assert_eq!(idle.line().await, "421 4.3.2 mx.mc-anpi.example Server is stopping, try again later");
    idle.expect_end().await;
    drop(idle);
    busy.says("x\r\n.\r\n", &["250 2.0.0 Ok: queued as mb"]).await;
    assert_eq!(busy.line().await, "421 4.3.2 mx.mc-anpi.example Server is stopping, try again later");
    busy.expect_end().await;
    drop(busy);
    assert_eq!(door.shelf.mails().len(), 1);
    door.stopped().await;
}

#[tokio::test]
async fn a_transaction_that_does_not_finish_is_cut_off_when_its_grace_is_over() {
    let door = Door::open().await;
    let mut idle = door.enter().await;
    let mut busy = door.enter_data().await;
    busy.send(b"half a ma").await;
    door.stop();
    assert_eq!(idle.line().await, "421 4.3.2 mx.mc-anpi.example Server is stopping, try again later");
    drop(idle);
    door.clock.turn(Deadlines::default().grace);
    assert_eq!(busy.line().await, "421 4.3.2 mx.mc-anpi.example Server is stopping, try again later");
    busy.expect_end().await;
    drop(busy);
    assert!(door.shelf.mails().is_empty());
    door.stopped().await;
}

#[tokio::test]
async fn a_stopped_intake_accepts_nobody() {
    let door = Door::open().await;
    door.stop();
    let address = door.address;
    door.stopped().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_message_of_the_largest_size_is_taken() {
    let door = Door::open().await;
    let mut client = door.enter_data().await;
    let largest = "x".repeat(MAX_MESSAGE - 2);
    client.says(&format!("{largest}\r\n.\r\n"), &["250 2.0.0 Ok: queued as mb"]).await;
    assert_eq!(door.shelf.mails()[0].0.message.len(), MAX_MESSAGE);
}
