//! The daemon reads its settings again while it works.

use crate::daemon::{Daemon, settings};
use crate::place::{Place, until};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

/// Hands in an empty mail.
pub fn send(to: SocketAddr, from: &str) {
    let mut stream = TcpStream::connect(to).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let mut expect = |code: &str| {
        let last = replies.by_ref().find(|line| line.get(3..4) != Some("-")).unwrap();
        assert!(last.starts_with(code), "{last}");
    };
    expect("220");
    for (line, code) in [
        ("EHLO gw.docomo.ne.jp", "250"),
        (&format!("MAIL FROM:<{from}>"), "250"),
        ("RCPT TO:<bizanpi@mc-anpi.com>", "250"),
        ("DATA", "354"),
        (&format!("From: {from}\r\nTo: bizanpi@mc-anpi.com\r\n\r\n."), "250"),
        ("QUIT", "221"),
    ] {
        stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        expect(code);
    }
}

/// What the daemon says of the one destination, once it is as wanted.
fn destination(daemon: &Daemon, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until(what, || {
        let facts = daemon.tells(&["queue", "summary"]);
        let outbox =
            facts["by_destination"].as_array().unwrap().iter().find(|facts| facts["name"] == "outbox").cloned();
        outbox.filter(|facts| wanted(facts))
    })
}

#[test]
fn limits_are_raised_and_lowered_at_once_and_a_broken_file_changes_nothing() {
    let place = Place::take();
    let config = |connections: &str, rate: &str, hostname: &str| {
        let group = format!(
            "[[destination]]\nname = \"outbox\"\ndomains = [\"outbox.example\"]\nconnections = {connections}\nrate = \"{rate}\"\n"
        );
        settings(&place, "route = \"capture\"", &group).replace("mx.mc-anpi.com", hostname)
    };
    let mut daemon = Daemon::start(&place, &config("2", "1/h", "mx.mc-anpi.com"));
    for from in ["a@docomo.ne.jp", "b@docomo.ne.jp", "c@docomo.ne.jp"] {
        send(daemon.smtp, from);
    }
    daemon.until_logged(&["accepted "], 1);
    let waits = |facts: &Value| facts["connections_limit"] == 2 && facts["limit"] == "1/h";
    destination(&daemon, "two mails wait for a token", waits);
    let job = daemon.tells(&["queue", "list"])[0]["job"].as_str().unwrap().to_owned();
    assert_eq!(daemon.tells(&["queue", "why", &job])["cause"], "rate");

    daemon.reload(&config("5", "1/h", "mx.mc-anpi.com"));
    destination(&daemon, "five connections", |facts| facts["connections_limit"] == 5);
    daemon.reload(&config("1", "1/h", "other.mc-anpi.com"));
    destination(&daemon, "one connection", |facts| {
        facts["connections_limit"] == 1 && facts["connections_allowed"] == 1
    });
    // What was set before the start stays, and that is said.
    assert_eq!(daemon.until_logged(&["takes effect with the next start"], 1).len(), 1);
    assert!(daemon.log().iter().any(|line| line.contains("setting=hostname")), "{:#?}", daemon.log());

    let broken = config("0", "fast", "mx.mc-anpi.com");
    daemon.reads_again(&broken, "the settings are wrong; they stay as they were");
    // The commands read the file too.
    std::fs::write(place.path("karamail.toml"), config("1", "1/h", "mx.mc-anpi.com")).unwrap();
    destination(&daemon, "one connection still", |facts| facts["connections_limit"] == 1 && facts["limit"] == "1/h");
    assert_eq!(daemon.tells(&["queue", "why", &job])["cause"], "rate");

    daemon.reload(&config("1", "1000/s", "mx.mc-anpi.com"));
    daemon.until_logged(&["accepted "], 3);
    assert!(!daemon.has_ended());
}
