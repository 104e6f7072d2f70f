//! STARTTLS: what is secured by it, what somebody between us may try, and certificates that come and go.

use super::door::Door;
use super::secured::{NAME, Shown, ready};
use crate::tls::pki::HOLDS;
use karamail::config::TlsFiles;
use karamail::inbound::smtp::Deadlines;
use karamail::model::Span;
use karamail::net::tls::identity::Keeper;

#[tokio::test]
async fn a_mail_says_by_which_version_of_tls_it_came() {
    let shown = Shown::new();
    let door = shown.door().await;
    for (versions, name) in [([&rustls::version::TLS13], "TLSv1.3"), ([&rustls::version::TLS12], "TLSv1.2")] {
        let mut client = shown.shake_by(&versions, ready(&door).await).await.unwrap();
        assert!(client.mail().await.starts_with("250 2.0.0 Ok: queued as m"));
        assert_eq!(door.shelf.mails().last().unwrap().0.tls.as_deref(), Some(name));
    }
    let mut plain = door.enter_data().await;
    plain.says(".\r\n", &["250 2.0.0 Ok: queued as md"]).await;
    assert_eq!(door.shelf.mails()[2].0.tls, None);
}

/// Ten thousand octets of commands, as somebody would slip them in.
fn smuggled() -> String {
    let mail =
        "EHLO evil.example\r\nMAIL FROM:<evil@b.example>\r\nRCPT TO:<bizanpi@mc-anpi.example>\r\nDATA\r\nx\r\n.\r\n";
    let mut commands = mail.repeat(10_000 / mail.len());
    while commands.len() < 10_000 {
        commands.push_str("NOOP\r\n");
    }
    commands
}

#[tokio::test]
async fn ten_thousand_octets_in_one_segment_with_starttls_have_no_effect() {
    let shown = Shown::new();
    let door = shown.door().await;
    let mut client = door.enter().await;
    let reply = "554 5.5.1 Octets behind STARTTLS, closing connection";
    client.says(&format!("STARTTLS\r\n{}", smuggled()), &[reply]).await;
    client.expect_end().await;
    assert!(door.shelf.mails().is_empty());
}

#[tokio::test]
async fn octets_that_come_in_place_of_the_handshake_have_no_effect() {
    let shown = Shown::new();
    let door = shown.door().await;
    let mut client = ready(&door).await;
    client.send(smuggled().as_bytes()).await;
    client.expect_reset().await;
    assert!(door.shelf.mails().is_empty());
}

#[tokio::test]
async fn an_envelope_begun_in_plain_is_not_finished_behind_the_handshake() {
    let shown = Shown::new();
    let door = shown.door().await;
    let mut client = door.enter().await;
    let envelope = "MAIL FROM:<evil@b.example>\r\nRCPT TO:<bizanpi@mc-anpi.example>\r\nSTARTTLS\r\n";
    client.says(envelope, &["250 2.1.0 Ok", "250 2.1.5 Ok", "220 2.0.0 Ready to start TLS"]).await;
    let mut client = shown.shake(client).await.unwrap();
    client.says("DATA\r\nx\r\n.\r\n", &["503 5.5.1 Send EHLO or HELO first"]).await;
    let unknown = "500 5.5.2 Command not recognized";
    client.says("", &[unknown, unknown]).await;
    assert!(client.mail().await.starts_with("250 "));
    let (mail, _) = door.shelf.mails().remove(0);
    assert_eq!(mail.envelope_sender.address(), Some(&"a@b.example".parse().unwrap()));
    assert_eq!(mail.message, b"");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_given_up_and_its_place_given_back() {
    let shown = Shown::new();
    let door = shown.door_with(|settings| settings.limits.connections = 1).await;
    for begun in [b"".as_slice(), b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut client = ready(&door).await;
        client.send(begun).await;
        door.clock.turn(Span::from_millis(Deadlines::default().handshake.millis() - 1));
        let mut other = door.knock().await;
        assert_eq!(other.line().await, "421 4.7.0 mx.mc-anpi.example Too many connections, try again later");
        door.clock.turn(Span::from_millis(1));
        client.expect_end().await;
        drop(client);
        other.expect_end().await;
    }
    shown.enter(&door).await.leave().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_handshake() {
    let shown = Shown::new();
    let door = shown.door().await;
    let mut client = ready(&door).await;
    door.stop();
    client.expect_end().await;
    drop(client);
    door.stopped().await;
}

#[tokio::test]
async fn a_secured_session_ends_in_order_when_the_intake_stops() {
    let shown = Shown::new();
    let door = shown.door().await;
    let mut client = shown.enter(&door).await;
    client.says("HELO b.example\r\n", &["250 mx.mc-anpi.example"]).await;
    door.stop();
    assert_eq!(client.line().await, "421 4.3.2 mx.mc-anpi.example Server is stopping, try again later");
    client.expect_end().await;
    drop(client);
    door.stopped().await;
}

#[tokio::test]
async fn a_new_certificate_is_for_new_sessions_and_an_open_one_goes_on() {
    let mut shown = Shown::new();
    let door = shown.door().await;
    let mut old = shown.enter(&door).await;
    let new = shown.renew();
    assert_ne!(old.certificate(), new);
    // Nobody has looked at the files yet.
    assert_eq!(shown.enter(&door).await.certificate(), old.certificate());
    shown.keeper.look();
    assert_eq!(shown.enter(&door).await.certificate(), new);
    assert!(old.mail().await.starts_with("250 2.0.0 Ok: queued as m"));
}

#[tokio::test]
async fn half_of_a_new_pair_is_not_shown_and_the_whole_is() {
    let mut shown = Shown::new();
    let door = shown.door().await;
    let first = shown.enter(&door).await.certificate();
    let elsewhere = tempfile::tempdir().unwrap();
    let new = shown.authority.identity(&[NAME.to_owned()], HOLDS);
    let TlsFiles { cert, key } = new.lay(elsewhere.path());
    std::fs::copy(key, &shown.files.key).unwrap();
    shown.keeper.look();
    assert_eq!(shown.enter(&door).await.certificate(), first);
    std::fs::copy(cert, &shown.files.cert).unwrap();
    shown.keeper.look();
    assert_eq!(shown.enter(&door).await.certificate(), new.chain[0]);
}

#[tokio::test]
async fn without_a_certificate_starttls_is_put_off_and_mail_is_taken_in_plain() {
    let mut shown = Shown::new();
    std::fs::remove_file(&shown.files.key).unwrap();
    shown.keeper = Keeper::open("smtp", shown.files.clone(), &[], super::door::clock());
    let door: Door = shown.door().await;
    let mut client = door.enter().await;
    let envelope = "MAIL FROM:<a@b.example>\r\nRCPT TO:<bizanpi@mc-anpi.example>\r\nSTARTTLS\r\n";
    client.says(envelope, &["250 2.1.0 Ok", "250 2.1.5 Ok", "454 4.7.0 TLS not available at this moment"]).await;
    client.says("DATA\r\n", &["354 End data with <CR><LF>.<CR><LF>"]).await;
    client.says(".\r\n", &["250 2.0.0 Ok: queued as mb"]).await;
    // As soon as there is one it is shown.
    shown.renew();
    shown.keeper.look();
    shown.enter(&door).await.leave().await;
}
