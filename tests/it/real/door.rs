//! The mails of the members' door, ordered on the pages of the built program and taken by Postfix.

use super::journey::{body, carrier, verdicts};
use super::postfix::Postfix;
use crate::daemon::{Daemon, settings};
use crate::place::{Place, until};
use crate::visitor::{Page, Visitor};

const HANAKO: &str = "hanako@docomo.ne.jp";
const START: &str = "hajime-kite7";
const OWN: &str = "umi-to-yama-9";

/// A daemon with a member whose organisation asks for a second factor.
fn daemon(place: &Place) -> Daemon {
    let daemon = Daemon::start(place, &settings(place, "", ""));
    daemon.says(&["org", "add", "DEMO", "--title", "デモ団体"]);
    daemon.says(&["org", "set", "DEMO", "two_factor=on"]);
    let file = place.path("members.csv");
    std::fs::write(&file, format!("id,password,name,language\n0001,{START},見本 花子,ja\n")).unwrap();
    daemon.says(&["member", "import", "DEMO", file.to_str().unwrap()]);
    daemon
}

/// Waits for the mail of that subject: of the notices that go out beside it, Postfix gets none around the full hour.
fn arrived(postfix: &Postfix, subject: &str) -> Vec<u8> {
    let fits = |mail: &Vec<u8>| {
        mail_parser::MessageParser::default().parse(mail).is_some_and(|mail| mail.subject() == Some(subject))
    };
    until("Postfix has stored the mail", || postfix.stored().into_iter().find(fits))
}

/// Looks at a mail as a receiver does: who it says it is from, whom its return path belongs to, and who signed it.
fn check(daemon: &Daemon, mail: &[u8]) {
    let message = mail_parser::MessageParser::default().parse(mail).unwrap();
    let from = message.from().and_then(|from| from.first()).and_then(|from| from.address());
    assert_eq!(from, Some("anpi@mob-connect.com"));
    let return_path = message.header_raw("Return-Path").unwrap().trim();
    assert!(return_path.starts_with("<b+") && return_path.ends_with("@bounce.mob-connect.com>"), "{return_path}");
    let mut verdicts = verdicts(daemon, mail);
    verdicts.sort_by_key(|line| line.split(' ').nth(1).map(str::to_owned));
    let said: Vec<&str> = verdicts.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(said, ["ed25519-sha256 mob-connect.com pass", "rsa-sha256 mob-connect.com pass"]);
}

fn urls(text: &str) -> Vec<&str> {
    text.split_whitespace().filter(|word| word.contains("://")).collect()
}

/// Sends the form of `page` that goes to `place`, and gives the page it leads to.
fn send(visitor: &mut Visitor, page: &Page, place: &str, fields: &[(&str, &str)]) -> Page {
    let answer = visitor.send(page, place, fields).unwrap();
    visitor.get(answer.location.as_deref().unwrap_or_else(|| panic!("{}", answer.body))).unwrap()
}

#[test]
fn r006_r007_r010_r037_r105_codes_and_tests_ordered_on_the_pages_reach_postfix_and_their_signatures_hold() {
    let place = Place::take();
    let (_dns, postfix) = carrier(&place);
    let daemon = daemon(&place);
    let mut phone = Visitor::new(daemon.web);
    let page = phone.get("/login").unwrap();
    let login = [("org", "DEMO"), ("id", "0001"), ("family", ""), ("password", START)];
    let page = send(&mut phone, &page, "/login", &login);
    send(&mut phone, &page, "/login/password", &[("new", OWN), ("again", OWN)]);

    let page = phone.get("/account/two-factor/mail").unwrap();
    let page = send(&mut phone, &page, "/account/two-factor/mail/send", &[("email", HANAKO)]);
    let mail = arrived(&postfix, "二要素認証ワンタイムパスワード デモ団体");
    check(&daemon, &mail);
    let text = body(&mail);
    assert_eq!(urls(&text), Vec::<&str>::new());
    let code = text.lines().take(5).find(|line| line.len() == 7 && line.starts_with(|c: char| c.is_ascii_digit()));
    let code = code.unwrap_or_else(|| panic!("{text}"));
    let page = send(&mut phone, &page, "/account/two-factor/mail", &[("otp", code)]);
    assert!(page.body.contains("二要素認証の登録が完了しました"), "{}", page.body);

    let page = phone.get("/account/profile").unwrap();
    send(&mut phone, &page, "/account/profile", &[("mail1", HANAKO), ("mail2", ""), ("mail3", ""), ("test", "1")]);
    let test = arrived(&postfix, "連絡先確認");
    check(&daemon, &test);
    let text = body(&test);
    let [url] = urls(&text)[..] else { panic!("{text}") };
    let path = url.strip_prefix(&format!("http://{}", daemon.web)).unwrap();
    let mut reader = Visitor::new(daemon.web);
    let page = reader.get(path).unwrap();
    let page = send(&mut reader, &page, path, &[]);
    assert!(page.body.contains("届くことを確認しました"), "{}", page.body);
    assert_eq!(daemon.tells(&["address", "show", HANAKO])["state"], "verified");
}
