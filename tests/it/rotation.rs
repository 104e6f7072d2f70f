//! Keys that take the place of others under a daemon at work, and while none runs: the built program.

use crate::daemon::{Daemon, settings};
use crate::machine::{Machine, keys};
use crate::names::Names;
use crate::place::{Place, until};
use crate::reload::send;
use crate::signing::verified;
use crate::visitor::{Page, Visitor};
use mail_auth::common::crypto::Algorithm;
use serde_json::Value;
use std::path::PathBuf;

const START: &str = "hajime-kite7";

/// A daemon whose keys are made: its doors open before that.
fn daemon(place: &Place) -> Daemon {
    let daemon = Daemon::start(place, &settings(place, "route = \"capture\"", ""));
    daemon.until_logged(&["karamail is up"], 1);
    daemon
}

/// Hands in an empty mail, and gives the answer to it as it went out.
fn answer(daemon: &Daemon, from: &str) -> Vec<u8> {
    send(daemon.smtp, from);
    let is_to = |mail: &Vec<u8>| text(mail).lines().any(|line| line.starts_with("To:") && line.contains(from));
    until("the answer is captured", || {
        let files = std::fs::read_dir(daemon.data.join("outbox")).ok()?.map(|entry| entry.unwrap().path());
        let whole = files.filter(|file| file.extension().is_some_and(|ending| ending == "eml"));
        whole.filter_map(|file| std::fs::read(file).ok()).find(is_to)
    })
}

fn text(mail: &[u8]) -> String {
    String::from_utf8_lossy(mail).into_owned()
}

/// The path of the link in a mail.
fn link(mail: &[u8]) -> String {
    let body = mail_parser::MessageParser::default().parse(mail).unwrap().body_text(0).unwrap().into_owned();
    body.lines().find_map(|line| line.split_once("/r/")).map(|(_, token)| format!("/r/{}", token.trim())).unwrap()
}

/// The number of the key that a link was signed with.
fn key_of(link: &str) -> u8 {
    let token = data_encoding::BASE64URL_NOPAD.decode(link.trim_start_matches("/r/").as_bytes()).unwrap();
    token[2]
}

fn state(daemon: &Daemon, id: &str) -> Value {
    let all = daemon.tells(&["key", "list"]);
    all.as_array().unwrap().iter().find(|key| key["id"] == id).unwrap()["state"].clone()
}

/// What the DNS holds: the records of all keys that are not retired.
fn zone(daemon: &Daemon) -> String {
    let all = daemon.tells(&["key", "list"]);
    let records = all.as_array().unwrap().iter().flat_map(|key| key["records"].as_array().unwrap().clone());
    let line = |record: Value| Some(format!("{} TXT {}", record["name"].as_str()?, record["text"].as_str()?));
    records.filter_map(line).collect::<Vec<_>>().join("\n")
}

fn refused(daemon: &Daemon, arguments: &[&str]) -> String {
    let done = daemon.command(arguments);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stdout));
    text(&done.stderr)
}

#[test]
fn a_link_from_before_a_rotation_opens_until_its_key_is_retired() {
    let place = Place::take();
    let mut daemon = daemon(&place);
    let before = link(&answer(&daemon, "a@docomo.ne.jp"));
    assert_eq!(key_of(&before), 1);
    let made = daemon.tells(&["key", "new", "link"]);
    assert_eq!((&made["id"], &made["state"]), (&"link-2".into(), &"in-use".into()));
    let after = link(&answer(&daemon, "b@docomo.ne.jp"));
    assert_eq!(key_of(&after), 2);
    let mut phone = Visitor::new(daemon.web);
    for link in [&before, &after] {
        assert_eq!(phone.get(link).unwrap().status, 200, "{link}");
    }
    let why = refused(&daemon, &["key", "retire", "link-1"]);
    assert!(why.contains("links in mails from before") && why.contains("--yes"), "{why}");
    daemon.says(&["key", "retire", "link-1", "--yes"]);
    let gone = phone.get(&before).unwrap();
    assert_eq!(gone.status, 404);
    assert!(gone.body.contains("このリンクは使えません") && gone.body.contains("空メールを送って"), "{}", gone.body);
    assert_eq!(phone.get(&after).unwrap().status, 200);
    assert!(!daemon.has_ended());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dkim_key_takes_the_place_of_another_and_every_mail_verifies() {
    let place = Place::take();
    let daemon = daemon(&place);
    let before = answer(&daemon, "a@docomo.ne.jp");
    let printed = daemon.says(&["key", "new", "dkim", "rsa", "--selector", "k2"]);
    let words = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("k2._domainkey.mob-connect.com. IN TXT ( \"v=DKIM1; k=rsa; p=MII"), "{printed}");
    assert!(words.contains("key use k2"), "{printed}");
    assert_eq!(state(&daemon, "k2"), "waiting");
    let names = Names::serve(&zone(&daemon)).await;
    let waiting = answer(&daemon, "b@docomo.ne.jp");
    let used = daemon.tells(&["key", "use", "k2"]);
    assert!(used["notes"][0].as_str().unwrap().starts_with("k1 signs no more"), "{used}");
    let after = answer(&daemon, "c@docomo.ne.jp");
    assert_eq!((state(&daemon, "k1"), state(&daemon, "k2")), ("verifies".into(), "in-use".into()));
    for (mail, selector) in [(&before, "k1"), (&waiting, "k1"), (&after, "k2")] {
        for selector in [selector, "e1"] {
            assert!(text(mail).contains(&format!("s={selector};")), "{selector}: {}", text(mail));
        }
        assert_eq!(text(mail).matches("DKIM-Signature:").count(), 2);
        assert_eq!(verified(&names, mail).await, [(Algorithm::RsaSha256, true), (Algorithm::Ed25519Sha256, true)]);
    }
    daemon.says(&["key", "retire", "k1"]);
    assert_eq!(verified(&names, &answer(&daemon, "d@docomo.ne.jp")).await.len(), 2);
    assert!(refused(&daemon, &["key", "retire", "k2"]).contains("no other rsa key does"));
}

#[test]
fn the_settings_name_another_dkim_key_without_a_new_start() {
    let place = Place::take();
    let named = |selector: &str| {
        let dkim = format!("[[dkim]]\ndomain = \"mob-connect.com\"\nselector = \"{selector}\"\n");
        settings(&place, "route = \"capture\"", &dkim)
    };
    let daemon = Daemon::start(&place, &named("k1"));
    assert!(text(&answer(&daemon, "a@docomo.ne.jp")).contains("s=k1;"));
    daemon.says(&["key", "new", "dkim", "ed25519", "--selector", "e2"]);
    daemon.reads_again(&named("e2"), "the keys are wrong; they stay as they were");
    assert!(text(&answer(&daemon, "b@docomo.ne.jp")).contains("s=k1;"));
    let used = daemon.tells(&["key", "use", "e2"]);
    assert!(used["notes"][0].as_str().unwrap().contains("[[dkim]] in the settings names the keys"), "{used}");
    assert_eq!(state(&daemon, "e2"), "verifies");
    assert!(refused(&daemon, &["key", "retire", "k1"]).contains("named by [[dkim]]"));
    daemon.reload(&named("e2"));
    assert_eq!(daemon.logged(&["takes effect with the next start"]), Vec::<String>::new());
    let mail = text(&answer(&daemon, "c@docomo.ne.jp"));
    assert!(mail.contains("s=e2;") && mail.matches("DKIM-Signature:").count() == 1, "{mail}");
    daemon.says(&["key", "retire", "k1"]);
}

/// Sends the form of `page` that goes to `place`, and gives the page it leads to.
fn submit(visitor: &mut Visitor, page: &Page, place: &str, fields: &[(&str, &str)]) -> Page {
    let answer = visitor.send(page, place, fields).unwrap();
    visitor.get(answer.location.as_deref().unwrap_or_else(|| panic!("{}", answer.body))).unwrap()
}

#[test]
fn a_start_password_that_an_old_key_sealed_lets_in_after_that_key_is_retired() {
    let place = Place::take();
    let daemon = daemon(&place);
    daemon.says(&["org", "add", "DEMO", "--title", "デモ団体"]);
    let file = place.path("members.csv");
    std::fs::write(&file, format!("id,password,name,language\n0001,{START},花子,ja\n0002,{START},葉子,ja\n")).unwrap();
    daemon.says(&["member", "import", "DEMO", file.to_str().unwrap()]);
    let login = |id| [("org", "DEMO"), ("id", id), ("family", ""), ("password", START)];
    let mut early = Visitor::new(daemon.web);
    let shown_before = early.get("/login").unwrap();

    daemon.says(&["key", "new", "seal"]);
    until("what seal-1 sealed is sealed anew", || {
        let all = daemon.tells(&["key", "list"]);
        let values = |id: &str| all.as_array().unwrap().iter().find(|key| key["id"] == id).unwrap()["values"].clone();
        (values("seal-1") == 0 && values("seal-2") == 2).then_some(())
    });
    let page = submit(&mut early, &shown_before, "/login", &login("0002"));
    assert_eq!(page.path, "/login/password", "{}", page.body);
    daemon.says(&["key", "retire", "seal-1", "--yes"]);
    let mut late = Visitor::new(daemon.web);
    let page = late.get("/login").unwrap();
    let page = submit(&mut late, &page, "/login", &login("0001"));
    assert_eq!(page.path, "/login/password", "{}", page.body);
    assert_eq!(daemon.logged(&["stays closed"]), Vec::<String>::new());
}

#[test]
fn a_folder_with_a_fault_changes_nothing_when_it_is_read_again() {
    let place = Place::take();
    let text = settings(&place, "route = \"capture\"", "");
    let mut daemon = daemon(&place);
    let broken = daemon.data.join("keys/link-2");
    std::fs::write(&broken, "half").unwrap();
    daemon.reads_again(&text, "link-2: others than its owner can reach it");
    assert_eq!(key_of(&link(&answer(&daemon, "a@docomo.ne.jp"))), 1);
    assert!(refused(&daemon, &["key", "new", "verp"]).contains("link-2"));
    std::fs::remove_file(&broken).unwrap();
    daemon.reload(&text);
    assert_eq!(daemon.tells(&["key", "new", "verp"])["id"], "verp-2");
    assert!(!daemon.has_ended());
}

#[test]
fn a_key_that_was_copied_from_another_node_is_believed_from_the_next_reading() {
    let (place, other) = (Place::take(), Machine::new());
    let daemon = daemon(&place);
    other.json(&["key", "list"]);
    for name in std::fs::read_dir(daemon.data.join("keys")).unwrap().map(|entry| entry.unwrap().file_name()) {
        std::fs::copy(daemon.data.join("keys").join(&name), other.data_dir().join("keys").join(&name)).unwrap();
    }
    // The other node makes the key, and only then both use it.
    let made = other.json(&["key", "new", "link", "--wait"]);
    assert_eq!((&made["id"], &made["state"]), (&"link-2".into(), &"waiting".into()));
    std::fs::copy(other.data_dir().join("keys/link-2.new"), daemon.data.join("keys/link-2.new")).unwrap();
    daemon.reload(&settings(&place, "route = \"capture\"", ""));
    assert_eq!(key_of(&link(&answer(&daemon, "a@docomo.ne.jp"))), 1);
    assert_eq!(daemon.tells(&["key", "use", "link-2"])["state"], "in-use");
    assert_eq!(other.json(&["key", "use", "link-2"])["state"], "in-use");
    assert_eq!(key_of(&link(&answer(&daemon, "b@docomo.ne.jp"))), 2);
    let bytes = |folder: PathBuf| std::fs::read(folder.join("keys/link-2")).unwrap();
    assert_eq!(bytes(daemon.data.clone()), bytes(other.data_dir()));
}

#[test]
fn keys_are_made_used_and_retired_while_no_daemon_runs() {
    let machine = Machine::new();
    machine.say(&["org", "add", "ACME", "--title", "x"]);
    let file = machine.write("members.csv", b"id,password,name,language\n0001,hajime-kite7,x,ja\n");
    machine.say(&["member", "import", "ACME", &file]);
    let listed = machine.json(&["key", "list"]);
    let expected = ["id", "kind", "state", "made_at", "file", "values", "algorithm", "records"];
    assert_eq!(keys(&listed[0]), expected);
    assert_eq!(listed.as_array().unwrap().len(), 5);
    let table = machine.say(&["key", "list"]);
    assert!(table.contains("seal-1") && table.lines().all(|line| line.chars().count() <= 80), "{table}");

    assert_eq!(keys(&machine.json(&["key", "new", "seal"])), [&expected[..], &["notes"]].concat());
    let why = machine.fail(1, &["key", "retire", "seal-1", "--yes"]);
    assert!(
        why.contains("values that are still sealed with seal-1: 1; the daemon seals them anew while it runs"),
        "{why}"
    );
    assert!(machine.fail(1, &["key", "retire", "seal-2"]).contains("seal-2 is in use"));
    machine.say(&["key", "new", "verp"]);
    assert!(machine.fail(1, &["key", "retire", "verp-1"]).contains("bounces of mails from before"));
    assert!(machine.say(&["key", "retire", "verp-1", "--yes"]).starts_with("verp-1: retired\n"));
    machine.say(&["key", "new", "dkim", "ed25519", "--selector", "e2"]);
    assert!(machine.say(&["key", "use", "e2"]).contains("e1 signs no more"));
    assert!(machine.fail(1, &["key", "new", "dkim", "rsa", "--selector", "e2"]).contains("a selector is given once"));
    for (arguments, code) in [
        (&["key", "new", "dkim", "dsa", "--selector", "d1"][..], 2),
        (&["key", "new", "dkim", "rsa"], 2),
        (&["key", "use", "a b"], 2),
        (&["key", "use", "nobody"], 1),
    ] {
        machine.fail(code, arguments);
    }
    for arguments in
        [["key", "list", "--help"], ["key", "new", "--help"], ["key", "use", "--help"], ["key", "retire", "--help"]]
    {
        assert!(machine.say(&arguments).contains("Example"), "{arguments:?}");
    }
}
