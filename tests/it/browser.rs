//! The pages in a real browser: Debian's Chromium, driven by the scripts of `tests/browser`, with scripts and without.

mod planted;

use crate::pages::house::{ADDRESS, House, START};
use karamail::link::{Link, Purpose};
use karamail::model::{Language, Policy, Priority, RegistrationId, Span};
use karamail::store::{StoreError, Tx};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::sync::Semaphore;

/// Two browsers at a time: they take all of a small machine.
static PLACES: Semaphore = Semaphore::const_new(2);

const CHROMIUM: &str = "/usr/bin/chromium";
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");
/// What keeps Chromium to the pages it is given.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Prepares everything one walk through the pages needs.
async fn walk(house: &House, id: &str, language: Language, scripts: bool) -> Value {
    let member = house.member(id, "見本 花子", language, Some(START)).await;
    house.put(member, Priority::First, "hanako.mihon@example.jp").await;
    house.put(member, Priority::Third, "a-rather-long-address-that-has-to-break.somewhere@mail.example.co.jp").await;
    let address = format!("{id}.{ADDRESS}");
    let token = house.registration(&address, Some("DEMO")).await;
    let over = house.clock.now().minus(Span::from_secs(60));
    let mut forged = token.clone().into_bytes();
    forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
    json!({
        "id": id,
        "lang": language.as_str(),
        "scripts": scripts,
        "address": address,
        "token": token,
        "taken": "hanako.mihon@example.jp",
        "free": house.registration(&format!("free.{address}"), None).await,
        "expired": house.token(RegistrationId::new(9_999), over),
        "forged": String::from_utf8(forged).unwrap(),
        "start": START,
        "own": format!("umi-to-yama-{id}"),
    })
}

async fn install() {
    if !Path::new(FOLDER).join("node_modules/html-validate").exists() {
        let npm = Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(FOLDER).status();
        assert!(npm.await.unwrap().success(), "npm ci failed in {FOLDER}");
    }
}

fn is_long() -> bool {
    std::env::var_os("KARAMAIL_LONG").is_some()
}

/// Each width and each scheme once; every pairing where there is time for it.
fn views() -> Vec<Value> {
    if is_long() {
        let schemes = |width: u32| ["light", "dark"].map(|scheme| json!({ "width": width, "colorScheme": scheme }));
        [320, 390, 1280].map(schemes).concat()
    } else {
        vec![json!({"width": 320, "colorScheme": "dark"}), json!({"width": 390, "colorScheme": "light"})]
    }
}

/// Runs one of the scripts, and turns the clock or closes the store where it asks for that; what it finds wrong fails the test.
async fn drive(house: &House, script: &str, mut plan: Value) {
    assert!(Path::new(CHROMIUM).exists(), "Chromium is missing: apt-get install chromium");
    let _place = PLACES.acquire().await.unwrap();
    install().await;
    let profile = tempfile::tempdir().unwrap();
    let all = json!({
        "base": format!("http://{}", house.at),
        "chromium": CHROMIUM,
        "flags": FLAGS,
        "shots": concat!(env!("CARGO_TARGET_TMPDIR"), "/screenshots"),
        "tags": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
        "views": views(),
        "long": is_long(),
    });
    plan.as_object_mut().unwrap().extend(all.as_object().unwrap().clone());
    let mut node = Command::new("node")
        .arg(script)
        .current_dir(FOLDER)
        .env("TMPDIR", profile.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut tell = node.stdin.take().unwrap();
    tell.write_all(format!("{plan}\n").as_bytes()).await.unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(seconds) = line.strip_prefix("TURN ") {
            house.clock.turn(Span::from_secs(seconds.parse().unwrap()));
            tell.write_all(format!("{}\n", house.clock.now().seconds()).as_bytes()).await.unwrap();
        } else if line == "CLOSE" {
            house.store.clone().close().await;
            tell.write_all(b"\n").await.unwrap();
        } else {
            said.push_str(&format!("{line}\n"));
        }
    }
    assert!(node.wait().await.unwrap().success(), "{said}");
    eprint!("{script}: {said}");
}

#[tokio::test]
async fn r002_a_form_pressed_twice_is_sent_once_until_the_page_is_there_again() {
    let ran = Command::new("node").arg("twice.mjs").current_dir(FOLDER).output().await.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_walks_through_every_page_in_both_languages_with_and_without_scripts() {
    let house = House::open().await;
    std::fs::create_dir(house.outbox()).unwrap();
    let mail = "From: =?utf-8?B?5a6J5ZCm56K66KqN?= <anpi@mob-connect.com>\r\nTo: hanako@docomo.ne.jp\r\n\
                Subject: =?utf-8?B?55m76Yyy?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
                次のリンクを押してください。\r\nhttp://www.mc-anpi.com/r/AQABAQ\r\n";
    std::fs::write(house.outbox().join("1.eml"), mail).unwrap();
    let mut walks = Vec::new();
    for (id, language, scripts) in [
        ("w1", Language::Ja, true),
        ("w2", Language::En, true),
        ("w3", Language::Ja, false),
        ("w4", Language::En, false),
    ] {
        walks.push(walk(&house, id, language, scripts).await);
    }
    let plan = json!({
        "walks": walks,
        "keyboard": {
            "lang": "ja", "scripts": false, "id": "0001", "start": START, "own": "umi-to-yama-0001",
            "token": house.registration("keyboard@example.jp", None).await,
        },
    });
    drive(&house, "journey.mjs", plan).await;
    assert_eq!(house.events("registered").await.len(), 5);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r019_r020_r056_r139_a_member_goes_everywhere_by_keyboard_alone_with_and_without_scripts() {
    let house = House::open().await;
    let mut walks = Vec::new();
    for (id, language, scripts) in [("m1", Language::Ja, true), ("m2", Language::En, true), ("m3", Language::Ja, false)]
    {
        walks.push(walk(&house, id, language, scripts).await);
    }
    drive(&house, "members.mjs", json!({ "walks": walks })).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r025_r027_r032_r036_r043_r146_r147_r148_app_and_mail_are_set_up_used_removed_and_lost_by_keyboard_alone() {
    let house = House::whole().await;
    let policy = Policy { two_factor: true, ..Policy::default() };
    let ask = move |tx: &mut Tx<'_>| tx.set_policy(&"DEMO".parse().unwrap(), &policy);
    assert!(house.store.write::<_, StoreError, _>(ask).await.unwrap());
    let mut walks = Vec::new();
    for (id, language, scripts) in [("f1", Language::Ja, true), ("f2", Language::En, true), ("f3", Language::Ja, false)]
    {
        walks.push(walk(&house, id, language, scripts).await);
    }
    drive(&house, "factor.mjs", json!({ "walks": walks })).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r072_r104_r108_r110_addresses_are_tested_by_a_mail_that_arrives_and_saved_after_a_question_by_keyboard_alone()
{
    let house = House::whole().await;
    let mut walks = Vec::new();
    for (id, language, scripts) in [
        ("p1", Language::Ja, true),
        ("p2", Language::En, true),
        ("p3", Language::Ja, false),
        ("p4", Language::En, false),
    ] {
        walks.push(walk(&house, id, language, scripts).await);
    }
    drive(&house, "profile.mjs", json!({ "walks": walks })).await;
    assert_eq!(house.events("arrived").await.len(), 4);
    house.close().await;
}

/// Orders a test of an address; gives the token of its link.
async fn contact_test(house: &House, id: &str, language: Language) -> String {
    let member = house.member(id, "見本 花子", language, None).await;
    let now = house.clock.now();
    let expires = now.plus(Span::from_secs(86_400));
    let address = ADDRESS.parse().unwrap();
    let begin = move |tx: &mut Tx<'_>| tx.begin_contact_test(member, &address, now, expires);
    let test = house.store.write::<_, StoreError, _>(begin).await.unwrap();
    let link = Link { purpose: Purpose::ContactTest, row: test.number(), expires: expires.seconds(), nonce: [7; 16] };
    link.mint(house.keys.link())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r110_the_help_page_and_the_page_of_a_test_mail_work_by_keyboard_alone() {
    let house = House::open().await;
    let mut walks = Vec::new();
    for (id, language, scripts) in [("h1", Language::Ja, true), ("h2", Language::En, true), ("h3", Language::Ja, false)]
    {
        let test = contact_test(&house, id, language).await;
        walks.push(json!({ "lang": language.as_str(), "scripts": scripts, "test": test }));
    }
    drive(&house, "arrival.mjs", json!({ "walks": walks })).await;
    house.close().await;
}

/// Looks at everything that is planted in one language.
async fn look_at_every_state(language: Language) {
    let house = House::open_with(|settings| {
        settings.official_at = vec!["docomo.ne.jp".parse().unwrap()];
        settings.manuals = planted::manuals();
    })
    .await;
    planted::found(&house).await;
    let looks = planted::looks(&house, language).await;
    assert!(looks.len() >= 50, "{}", looks.len());
    let walk = json!({ "lang": language.as_str(), "scripts": true, "looks": looks });
    drive(&house, "states.mjs", json!({ "walks": [walk] })).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_that_no_walk_comes_through_is_looked_at_in_japanese() {
    look_at_every_state(Language::Ja).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_that_no_walk_comes_through_is_looked_at_in_english() {
    look_at_every_state(Language::En).await;
}
