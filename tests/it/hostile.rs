//! What strangers send at us: endless, slow, malformed, too much. Everything is answered, nothing hangs, nothing grows.

use crate::intake::door::{Door, MAX_MESSAGE};
use karamail::inbound::smtp::Deadlines;
use karamail::model::Span;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn sixty_four_megabytes_without_a_line_end_are_refused_after_two_thousand_octets() {
    let door = Door::open().await;
    let mut client = door.enter().await;
    let mut sent = 0;
    while sent < 64 * MIB && client.try_send(&[b'x'; 64 * 1024]).await {
        sent += 64 * 1024;
    }
    assert_eq!(client.line().await, "500 5.5.2 Line too long, closing connection");
    client.leave().await;
    door.enter().await.leave().await;
}

#[tokio::test]
async fn sixty_four_megabytes_of_data_without_a_line_end_are_read_to_their_end_and_not_kept() {
    let door = Door::open().await;
    let mut client = door.enter_data().await;
    for _ in 0..1024 {
        client.send(&[b'x'; 64 * 1024]).await;
    }
    client.says("\r\n.\r\n", &["552 5.3.4 Message too large"]).await;
    client.begin().await;
    client.says(".\r\n", &["250 2.0.0 Ok: queued as mb"]).await;
}

#[tokio::test]
async fn an_octet_too_many_is_refused_behind_the_end_and_the_session_goes_on() {
    let door = Door::open().await;
    let mut client = door.enter_data().await;
    let larger = "x".repeat(MAX_MESSAGE - 1);
    client.says(&format!("{larger}\r\n.\r\nNOOP\r\n"), &["552 5.3.4 Message too large", "250 2.0.0 Ok"]).await;
    assert!(door.shelf.mails().is_empty());
}

#[tokio::test]
async fn a_command_that_comes_an_octet_a_second_is_cut_off_after_five_minutes() {
    let door = Door::open().await;
    let mut client = door.enter().await;
    let mut other = door.enter().await;
    for _ in 0..300 {
        client.send(b"x").await;
        other.round_trip().await;
        assert!(client.has_heard_nothing());
        door.clock.turn(Span::from_secs(1));
    }
    assert_eq!(client.line().await, "421 4.4.2 mx.mc-anpi.example Timeout, closing connection");
    client.leave().await;
}

#[tokio::test]
async fn data_that_comes_an_octet_a_second_is_cut_off_after_ten_minutes() {
    let door = Door::open().await;
    let mut client = door.enter_data().await;
    let mut other = door.enter().await;
    for _ in 0..600 {
        client.send(b"x").await;
        other.round_trip().await;
        assert!(client.has_heard_nothing());
        door.clock.turn(Span::from_secs(1));
    }
    door.clock.turn(Span::from_secs(1));
    assert_eq!(client.line().await, "421 4.4.2 mx.mc-anpi.example Timeout, closing connection");
    assert!(door.shelf.mails().is_empty());
}

#[tokio::test]
async fn a_client_that_says_nothing_is_sent_away() {
    let door = Door::open().await;
    let mut client = door.knock().await;
    client.line().await;
    door.clock.turn(Deadlines::default().command);
    assert_eq!(client.line().await, "421 4.4.2 mx.mc-anpi.example Timeout, closing connection");
    client.leave().await;
}

#[tokio::test]
async fn a_client_that_only_chats_is_sent_away() {
    let door = Door::open().await;
    let mut client = door.enter().await;
    for _ in 0..7 {
        door.clock.turn(Span::from_secs(250));
        client.round_trip().await;
    }
    door.clock.turn(Span::from_secs(50));
    assert_eq!(client.line().await, "421 4.4.2 mx.mc-anpi.example Timeout, closing connection");
}

#[tokio::test]
async fn a_client_that_keeps_sending_mail_is_not_sent_away() {
    let door = Door::open().await;
    let mut client = door.enter().await;
    for _ in 0..20 {
        door.clock.turn(Span::from_secs(250));
        client.begin().await;
        client.send(b".\r\n").await;
        assert!(client.line().await.starts_with("250 2.0.0 Ok: queued as m"));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_replies_is_dropped() {
    let door = Door::open().await;
    let mut client = door.enter().await;
    client.send_until_blocked(b"HELP\r\nHELP\r\nHELP\r\n", &mut door.enter().await).await;
    door.clock.turn(Deadlines::default().write);
    client.expect_reset().await;
}

#[tokio::test]
async fn ten_thousand_recipients_are_answered_and_a_hundred_taken() {
    let door = Door::open().await;
    let mut client = door.enter().await;
    client.says("MAIL FROM:<a@b.example>\r\n", &["250 2.1.0 Ok"]).await;
    for hundred in 0..100 {
        let recipient = |n: usize| format!("RCPT TO:<bizanpi+{}@mc-anpi.example>\r\n", hundred * 100 + n);
        let commands: String = (0..100).map(recipient).collect();
        let reply = if hundred == 0 { "250 2.1.5 Ok" } else { "452 4.5.3 Too many recipients" };
        client.says(&commands, &[reply; 100]).await;
    }
    client.says("DATA\r\n", &["354 End data with <CR><LF>.<CR><LF>"]).await;
    client.says(".\r\n", &["250 2.0.0 Ok: queued as mb"]).await;
    let mails = door.shelf.mails();
    assert_eq!((mails[0].0.recipients.len(), mails[0].1.len()), (100, 100));
}

#[tokio::test]
async fn who_guesses_addresses_is_sent_away_after_a_hundred() {
    let door = Door::open().await;
    let mut client = door.enter().await;
    client.says("MAIL FROM:<a@b.example>\r\n", &["250 2.1.0 Ok"]).await;
    for n in 0..99 {
        let guess = format!("RCPT TO:<user{n}@mc-anpi.example>\r\n");
        client.says(&guess, &["550 5.1.1 No such mailbox here"]).await;
    }
    let reply = "421 4.7.0 mx.mc-anpi.example Too many errors, closing connection";
    client.says("RCPT TO:<hanako@docomo.ne.jp>\r\n", &[reply]).await;
    client.expect_end().await;
}

#[tokio::test]
async fn what_follows_a_bare_line_end_is_not_obeyed() {
    for smuggled in ["NOOP\nMAIL FROM:<a@b.example>\r\n", "NOOP\rMAIL FROM:<a@b.example>\r\n", "\n", "NOOP\r\r\n"] {
        let door = Door::open().await;
        let mut client = door.enter().await;
        let rest = "RCPT TO:<bizanpi@mc-anpi.example>\r\nDATA\r\nx\r\n.\r\n";
        let reply = "500 5.5.2 Bare CR or LF in a command line, closing connection";
        client.says(&format!("{smuggled}{rest}"), &[reply]).await;
        client.expect_end().await;
        assert!(door.shelf.mails().is_empty());
    }
}

#[tokio::test]
async fn who_hangs_up_in_the_middle_of_a_message_leaves_nothing_behind() {
    let door = Door::open().await;
    let mut client = door.enter_data().await;
    client.send(b"half a message\r\n").await;
    client.leave().await;
    door.enter().await.leave().await;
    assert!(door.shelf.mails().is_empty());
}
