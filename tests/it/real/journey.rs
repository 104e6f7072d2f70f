//! The journey of an empty mail between real mail systems.

use super::dns::{self, Records};
use super::postfix::{Options, Postfix};
use crate::daemon::{Daemon, settings};
use crate::place::{Place, Program, SMTP_PORT, until};
use std::io::Write as _;
use std::process::{Command, Stdio};

const VERIFY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/real/verify_dkim.py");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tests/venv/bin/python");

/// A carrier (Postfix on host 10) that takes mail for docomo.ne.jp and hands all its own mail to us.
pub fn carrier(place: &Place) -> (Program, Postfix) {
    let name = "mfsmax.docomo.ne.jp";
    let records = Records::default().mx("docomo.ne.jp", name, 10).address(name, place.host(10));
    let dns = dns::start(place, &records);
    let relay = format!("relayhost = [{}]:{SMTP_PORT}\n", place.host(3));
    let postfix = Postfix::start(
        place,
        name,
        place.host(10),
        &Options { domains: &["docomo.ne.jp"], main: &relay, ..Options::default() },
    );
    (dns, postfix)
}

/// The one answer the carrier has stored.
fn answer(postfix: &Postfix) -> Vec<u8> {
    postfix.until_logged(&["status=sent", "delivered to maildir"]);
    let mut stored = postfix.stored();
    assert_eq!(stored.len(), 1);
    stored.remove(0)
}

pub fn body(message: &[u8]) -> String {
    mail_parser::MessageParser::default().parse(message).unwrap().body_text(0).unwrap().into_owned()
}

pub fn verdicts(daemon: &Daemon, message: &[u8]) -> Vec<String> {
    let keys = std::fs::read_dir(daemon.data.join("keys")).unwrap().map(|entry| entry.unwrap().path());
    let named = keys.filter_map(|path| {
        let selector = path.file_name()?.to_str()?.strip_prefix("dkim-")?.to_owned();
        Some(format!("{selector}={}", path.display()))
    });
    let mut child = Command::new(PYTHON)
        .arg(VERIFY)
        .args(named)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/run makes target/tests/venv");
    // Postfix's maildir holds LF; what was signed had CRLF.
    let wire = String::from_utf8_lossy(message).replace("\r\n", "\n").replace('\n', "\r\n");
    child.stdin.take().unwrap().write_all(wire.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn r111_an_empty_mail_from_postfix_is_answered_into_postfix_and_both_signatures_hold() {
    let place = Place::take();
    let (_dns, postfix) = carrier(&place);
    let daemon = Daemon::start(&place, &settings(&place, "", ""));
    postfix.submit("hanako@docomo.ne.jp", "bizanpi@mc-anpi.com", b"From: hanako@docomo.ne.jp\n\n");
    daemon.until_logged(&["accepted", "code=250"], 1);
    let message = answer(&postfix);
    let mut verdicts = verdicts(&daemon, &message);
    verdicts.sort_by_key(|line| line.split(' ').nth(1).map(str::to_owned));
    let said: Vec<&str> = verdicts.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(said, ["ed25519-sha256 mob-connect.com pass", "rsa-sha256 mob-connect.com pass"]);
    let body = body(&message);
    let urls: Vec<&str> = body.lines().filter(|line| line.contains("://")).collect();
    assert_eq!(urls.len(), 1, "{body}");
    assert!(urls[0].starts_with(&format!("http://{}/r/", daemon.web)), "{}", urls[0]);
}

#[test]
fn an_address_with_odd_dots_is_answered_in_its_quoted_form() {
    let place = Place::take();
    let (_dns, postfix) = carrier(&place);
    let daemon = Daemon::start(&place, &settings(&place, "", ""));
    postfix.submit("\"a..b.\"@docomo.ne.jp", "bizanpi@mc-anpi.com", b"From: <\"a..b.\"@docomo.ne.jp>\n\n");
    daemon.until_logged(&["accepted", "code=250"], 1);
    postfix.until_logged(&["to=<\"a..b.\"@docomo.ne.jp>", "status=sent"]);
    let address = daemon.tells(&["address", "show", "a..b.@docomo.ne.jp"]);
    assert_eq!(address["state"], "accepted");
}

#[test]
fn swaks_hears_what_an_own_and_what_a_foreign_recipient_is_told() {
    let place = Place::take();
    let (_dns, postfix) = carrier(&place);
    let daemon = Daemon::start(&place, &settings(&place, "", ""));
    let swaks = |to: &str, more: &[&str]| {
        let out = Command::new("swaks")
            .args(["--server", &daemon.smtp.to_string(), "--from", "taro@docomo.ne.jp", "--helo", "phone.test"])
            .args(["--to", to])
            .args(more)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let said = swaks("bizanpi@mc-anpi.com", &["--data", "From: taro@docomo.ne.jp\\n\\n", "--pipeline"]);
    assert!(said.contains("250 2.0.0"), "{said}");
    assert!(swaks("nobody@mc-anpi.com", &[]).contains("550 5.1.1"));
    assert!(swaks("someone@example.com", &[]).contains("550 5.7.1"));
    answer(&postfix);
}

#[test]
fn a_burst_from_smtp_source_is_taken_whole_and_answered_within_the_senders_budget() {
    let place = Place::take();
    let (_dns, postfix) = carrier(&place);
    let daemon = Daemon::start(&place, &settings(&place, "", ""));
    let done = Command::new("smtp-source")
        .args(["-s", "20", "-m", "300", "-l", "1024", "-f", "busy@docomo.ne.jp", "-t", "bizanpi@mc-anpi.com"])
        .arg(format!("inet:{}:{}", daemon.smtp.ip(), daemon.smtp.port()))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    daemon.until_logged(&["received ", "b***@docomo.ne.jp"], 300);
    daemon.until_logged(&["ignored ", "reason=budget-address"], 297);
    daemon.until_logged(&["accepted ", "code=250"], 3);
    until("Postfix has stored what it took", || (postfix.stored().len() >= 3).then_some(()));
    assert_eq!(postfix.stored().len(), 3);
}
