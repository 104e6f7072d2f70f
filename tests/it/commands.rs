//! Every command there is, tried alike: with the daemon up and down, for people and for scripts, refused and mistyped, at a pipe
//! that nobody reads and on a full disk.
//!
//! A command without a line in [`CASES`] fails `every_command_has_a_case`: add one there, and nothing else.

use crate::daemon::{Daemon, PROGRAM, settings};
use crate::mailbox::Client;
use crate::place::Place;
use karamail::config::Config;
use karamail::model::{MailId, Timestamp};
use karamail::queue::{Class, Content, NewJob};
use karamail::store::{AddressRow, AddressState, Location, Options, Store, StoreError, Tx};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// What a command prints with `--json`.
#[derive(Clone, Copy)]
enum Facts {
    /// One object with at least these keys.
    One(&'static [&'static str]),
    /// A list of such.
    List(&'static [&'static str]),
    /// One such object a line.
    Lines(&'static [&'static str]),
}

/// How a command is tried.
struct Case {
    /// Its name.
    name: &'static str,
    /// What follows the name: `{n}` is another number at each run, `{job}`, `{mail}`, `{file}` and `{folder}` are there.
    with: &'static str,
    /// What is refused, with exit code 1; empty where nothing can be.
    refused: &'static str,
    facts: Facts,
    /// Whether it changes anything; what it prints is then alike only in kind.
    changes: bool,
    /// Keys whose values only a daemon knows, or that tell the time.
    live: &'static [&'static str],
}

const fn reads(name: &'static str, with: &'static str, refused: &'static str, facts: Facts) -> Case {
    Case { name, with, refused, facts, changes: false, live: &[] }
}

const fn changes(name: &'static str, with: &'static str, refused: &'static str, facts: Facts) -> Case {
    Case { name, with, refused, facts, changes: true, live: &[] }
}

const ADDRESS: &[&str] = &["address", "state", "verdict", "stage", "reply", "at", "verified_at", "members"];
const JOB: &[&str] = &["job", "class", "to", "state", "due", "attempts", "last", "why"];
const TOUCHED: Facts = Facts::One(&["touched", "under_way"]);
const ORG: &[&str] = &["org", "title", "title_en", "members", "plan", "two_factor"];

const KEY: &[&str] = &["id", "kind", "state", "made_at", "file", "values", "algorithm", "records"];

const CASES: &[Case] = &[
    reads("check", "", "", Facts::One(&["config", "ok", "problems", "warnings"])),
    reads("org list", "", "", Facts::List(ORG)),
    reads("org show", "ACME", "NONE", Facts::One(ORG)),
    reads("member list", "ACME", "NONE", Facts::List(&["id", "name", "kana", "department", "language"])),
    reads(
        "member show",
        "ACME 0001",
        "ACME 9999",
        Facts::One(&["org", "id", "name", "language", "addresses", "two_factor"]),
    ),
    reads("member history", "ACME 0001", "ACME 9999", Facts::One(&["org", "id", "entries", "broken_at"])),
    Case {
        live: &["at", "running", "by_destination", "connections", "connections_max"],
        ..reads("queue summary", "", "", Facts::One(&["by_class", "by_destination"]))
    },
    Case { live: &["why"], ..reads("queue list", "", "", Facts::List(JOB)) },
    Case { live: &["why"], ..reads("queue show", "{job}", "j7777777", Facts::One(JOB)) },
    Case {
        live: &["why", "destination"],
        ..reads("queue why", "{job}", "j7777777", Facts::One(&["job", "why", "cause"]))
    },
    reads("address show", "hanako@docomo.ne.jp", "", Facts::One(ADDRESS)),
    reads("address suppressions", "", "", Facts::List(ADDRESS)),
    reads("key list", "", "", Facts::List(KEY)),
    reads("trace", "{mail}", "nobody@example.jp", Facts::One(&["events"])),
    reads("log", "", "", Facts::Lines(&["at", "event"])),
    changes("org add", "N{n} --title 株式会社", "ACME --title x", Facts::One(ORG)),
    changes("org set", "ACME title=題{n}", "NONE title=x", Facts::One(ORG)),
    changes("member import", "ACME {file}", "NONE {file}", Facts::One(&["added", "changed", "unchanged", "encoding"])),
    changes("member reset-2fa", "ACME 0001", "ACME 9999", Facts::One(&["org", "id"])),
    changes("member reset-password", "ACME 0001", "ACME 9999", Facts::One(&["org", "id", "password", "expires"])),
    changes("address clear", "kuro{n}@docomo.ne.jp", "hanako@docomo.ne.jp", Facts::One(ADDRESS)),
    changes("key new link", "", "", Facts::One(KEY)),
    changes("key new seal", "", "", Facts::One(KEY)),
    changes("key new verp", "--wait", "", Facts::One(KEY)),
    changes("key new dkim", "rsa --selector s{n}", "ed25519 --selector k1", Facts::One(KEY)),
    changes("key use", "k1", "nobody", Facts::One(KEY)),
    changes("key retire", "link-1 --yes", "k1", Facts::One(KEY)),
    changes("queue hold", "{job}", "", TOUCHED),
    changes("queue release", "{job}", "", TOUCHED),
    changes("queue retry", "--to nobody.example", "", TOUCHED),
    changes("queue drop", "--yes {job}", "", TOUCHED),
];

/// Commands that stay up, show themselves or are for packages; each has tests of its own.
const OWN: [&str; 4] = ["serve", "demo", "man", "completions"];

/// Commands on the database as a whole, which want the daemon stopped or read beside it, and on what others publish about us:
/// their tests are in files of their own.
const ELSEWHERE: [&str; 4] = ["store migrate", "store copy", "store backup", "dns"];

/// Where commands are run.
struct Station {
    place: Place,
    mail: String,
    jobs: Vec<String>,
}

impl Station {
    /// An organisation with names as wide as they come, mails that wait for a distant day, addresses that are not written to.
    fn new() -> Self {
        let place = Place::take();
        fs::write(place.path("karamail.toml"), settings(&place, "route = \"capture\"", "")).unwrap();
        let station = Self { place, mail: String::new(), jobs: Vec::new() };
        station.say("org add ACME --title-en Acme --title", Some(&"株式会社アクメ".repeat(9)));
        let (name, kana) = ("髙﨑 花子".repeat(12), "タカサキ ハナコ".repeat(8));
        let row = format!("0001,hajime-kite7,{name},{kana},{},ja,hanako@docomo.ne.jp\n", "営業部".repeat(20));
        fs::write(station.file(), format!("id,password,name,kana,department,language,mail1\n{row}")).unwrap();
        station.say("member import ACME {file}", None);
        station
    }

    fn file(&self) -> PathBuf {
        self.place.path("members.csv")
    }

    fn config(&self) -> PathBuf {
        self.place.path("karamail.toml")
    }

    /// Puts what waits into the database, past everybody.
    async fn fill(&mut self) {
        let config = Config::load(&self.config()).unwrap();
        let store = Store::open(Options::new(Location::Sqlite(config.data_dir.join("karamail.db")))).await.unwrap();
        let at = |days: i64| Timestamp::from_millis(1_795_298_400_000 + days * 86_400_000);
        let work = move |tx: &mut Tx<'_>| {
            for number in 1..=5 {
                let row = AddressRow {
                    address: format!("kuro{number}@docomo.ne.jp").parse().unwrap(),
                    state: AddressState::Suppressed,
                    verdict: None,
                    stage: None,
                    reply: Some(format!("550 5.1.1 {}", "そのような宛先はありません ".repeat(9))),
                    at: Some(at(0)),
                    verified_at: None,
                    unknown_day: None,
                };
                tx.note_address(&row)?;
            }
            let order = NewJob {
                class: Class::Notice,
                to: "a-rather-long-name-that-somebody-chose@a-rather-long-domain.example".parse().unwrap(),
                content: Content::Forward { mail: MailId::new(1) },
                language: None,
                cause: None,
                queued_at: at(0),
                due: at(36_500),
                give_up: at(36_501),
            };
            (0..6).map(|_| tx.enqueue(&order)).collect::<Result<Vec<_>, StoreError>>()
        };
        let jobs = store.write::<_, StoreError, _>(work).await.unwrap();
        self.jobs = jobs.iter().map(ToString::to_string).collect();
        store.close().await;
    }

    /// Starts the daemon, and has a mail answered where none was.
    fn up(&mut self) -> Daemon {
        let daemon = Daemon::start(&self.place, &settings(&self.place, "route = \"capture\"", ""));
        if self.mail.is_empty() {
            let mut phone = Client::connect(daemon.smtp).unwrap();
            phone.send("hanako@docomo.ne.jp", "bizanpi@mc-anpi.com", "From: hanako@docomo.ne.jp\r\n\r\n").unwrap();
            daemon.until_logged(&["accepted "], 1);
            let line = daemon.logged(&["received "]).remove(0);
            self.mail = line.split("id=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        }
        daemon
    }

    /// Makes the command line of a case; `number` is another at each run.
    fn arguments(&self, line: &str, number: usize) -> Vec<String> {
        let put = |word: &str| {
            word.replace("{n}", &number.to_string())
                .replace("{job}", self.jobs.get(number).map_or("j1", String::as_str))
                .replace("{mail}", &self.mail)
                .replace("{file}", &self.file().display().to_string())
                .replace("{folder}", &self.place.path("out").display().to_string())
        };
        line.split_whitespace().map(put).collect()
    }

    fn command(&self, line: &str, number: usize) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(self.arguments(line, number)).arg("-c").arg(self.config());
        command.env_remove("KARAMAIL_CONFIG").env_remove("KARAMAIL_LOG").stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str, number: usize) -> Output {
        self.command(line, number).output().unwrap()
    }

    /// Runs what has to succeed; gives what it prints.
    fn say(&self, line: &str, last: Option<&str>) -> String {
        let mut command = Command::new(PROGRAM);
        command.args(self.arguments(line, 0)).args(last).arg("-c").arg(self.config()).stdin(Stdio::null());
        let done = command.output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{line}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Runs a case for scripts, and gives its facts.
    fn facts(&self, case: &Case, number: usize) -> Value {
        let done = self.run(&format!("{} {} --json", case.name, case.with), number);
        let (out, err) = (text(&done.stdout), text(&done.stderr));
        assert_eq!(done.status.code(), Some(0), "{}: {err}{out}", case.name);
        let facts = match case.facts {
            Facts::Lines(_) => Value::Array(out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()),
            _ => serde_json::from_str(&out).unwrap_or_else(|wrong| panic!("{}: {wrong}: {out}", case.name)),
        };
        has_keys(case, &facts);
        facts
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Looks that all keys are there which scripts rely on.
fn has_keys(case: &Case, facts: &Value) {
    let (wanted, all) = match case.facts {
        Facts::One(keys) => (keys, std::slice::from_ref(facts)),
        Facts::List(keys) | Facts::Lines(keys) => (keys, facts.as_array().unwrap().as_slice()),
    };
    assert!(!all.is_empty(), "{}: the list is empty, so nothing is known of its keys", case.name);
    for one in all {
        wanted.iter().for_each(|key| assert!(one.get(key).is_some(), "{} has no {key}: {one}", case.name));
    }
}

/// Takes away what only a daemon knows.
fn lasting(facts: Value, live: &[&str]) -> Value {
    match facts {
        Value::Object(object) => {
            let kept = object.into_iter().filter(|(key, _)| !live.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key, lasting(value, live))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(|one| lasting(one, live)).collect()),
        other => other,
    }
}

/// Gives the keys, and of each kind of value only that.
fn shape(facts: &Value) -> Value {
    match facts {
        Value::Object(object) => Value::Object(object.iter().map(|(key, value)| (key.clone(), shape(value))).collect()),
        Value::Array(list) => Value::Array(list.iter().map(shape).take(1).collect()),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        other => other.clone(),
    }
}

/// The columns that a terminal needs for a line.
fn width(line: &str) -> usize {
    let is_wide = |c: char| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}')
    };
    line.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

/// The names of all commands that have none below them.
fn leaves(command: &clap::Command, above: &str) -> Vec<(String, clap::Command)> {
    let below: Vec<&clap::Command> = command.get_subcommands().collect();
    if below.is_empty() {
        return vec![(above.to_owned(), command.clone())];
    }
    below.into_iter().flat_map(|one| leaves(one, format!("{above} {}", one.get_name()).trim())).collect()
}

fn all() -> Vec<(String, clap::Command)> {
    leaves(&karamail::cli::tree(), "")
}

#[test]
fn every_command_has_a_case_and_prints_its_facts_for_scripts_too() {
    let named: BTreeSet<&str> = CASES.iter().map(|case| case.name).chain(OWN).chain(ELSEWHERE).collect();
    let found = all();
    let untried: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).filter(|name| !named.contains(name)).collect();
    assert_eq!(untried, [""; 0], "commands without a case");
    for (name, command) in &found {
        let speaks = command.get_arguments().any(|argument| argument.get_id() == "json");
        let facts = !OWN.contains(&name.as_str());
        assert_eq!(speaks, facts, "{name}: --json");
    }
}

#[test]
fn every_command_says_in_its_help_how_it_is_used() {
    for (name, _) in all().into_iter().chain([(String::new(), karamail::cli::tree())]) {
        let done = Command::new(PROGRAM).args(name.split_whitespace()).arg("--help").output().unwrap();
        let said = text(&done.stdout);
        assert_eq!(done.status.code(), Some(0), "{name}");
        assert!(said.contains("Example") && said.contains(&format!("karamail {name}")), "{name}: {said}");
    }
}

#[test]
fn a_mistyped_command_line_leaves_two_and_nothing_on_standard_output() {
    for (name, _) in all() {
        let done = Command::new(PROGRAM).args(name.split_whitespace()).arg("--no-such-option").output().unwrap();
        assert_eq!((done.status.code(), text(&done.stdout)), (Some(2), String::new()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_says_the_same_with_the_daemon_and_without_it() {
    let mut station = Station::new();
    station.fill().await;
    let readers = || CASES.iter().filter(|case| !case.changes);
    let writers = || CASES.iter().filter(|case| case.changes);

    let daemon = station.up();
    let live: Vec<Value> = readers().map(|case| station.facts(case, 0)).collect();
    let shown: Vec<Output> = readers().map(|case| station.run(&format!("{} {}", case.name, case.with), 0)).collect();
    refuses(&station);
    stop(daemon);
    for (case, live) in readers().zip(live) {
        let alone = station.facts(case, 0);
        assert_eq!(lasting(live, case.live), lasting(alone, case.live), "{}", case.name);
    }
    for (case, shown) in readers().zip(shown) {
        fits(case, &shown);
        fits(case, &station.run(&format!("{} {}", case.name, case.with), 0));
    }
    refuses(&station);

    let alone: Vec<Value> = writers().map(|case| station.facts(case, 1)).collect();
    let daemon = station.up();
    for (case, alone) in writers().zip(alone) {
        let beside = lasting(station.facts(case, 2), case.live);
        assert_eq!(shape(&beside), shape(&lasting(alone, case.live)), "{}", case.name);
    }
    for case in writers() {
        fits(case, &station.run(&format!("{} {}", case.name, case.with), 3));
    }
    unread(&station);
    stop(daemon);
}

/// What a person is shown fits a terminal; a line of the mail log, a DNS record and a sentence may be longer.
fn fits(case: &Case, shown: &Output) {
    assert_eq!(shown.status.code(), Some(0), "{}: {shown:?}", case.name);
    let out = text(&shown.stdout);
    assert!(!out.trim().is_empty(), "{} shows nothing", case.name);
    if !matches!(case.name, "log" | "check" | "queue why" | "key new dkim") {
        for line in out.lines() {
            assert!(width(line) <= 80, "{}: {} columns: {line}", case.name, width(line));
        }
    }
}

/// What cannot be leaves 1, and says why and nothing else.
fn refuses(station: &Station) {
    for case in CASES.iter().filter(|case| !case.refused.is_empty()) {
        let done = station.run(&format!("{} {}", case.name, case.refused), 0);
        let (out, err) = (text(&done.stdout), text(&done.stderr));
        assert_eq!((done.status.code(), out.as_str()), (Some(1), ""), "{}: {err}", case.name);
        assert!(err.starts_with("karamail: ") && err.lines().count() == 1, "{}: {err}", case.name);
    }
}

/// A reader that went away is no failure; a disk that is full is one.
fn unread(station: &Station) {
    for case in CASES {
        let line = format!("{} {}", case.name, case.with);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = station.command(&line, 4).stdout(writer).output().unwrap();
        let left = (done.status.code(), text(&done.stderr).replace("about to drop", ""));
        assert!(left.0 == Some(0) && !left.1.contains("written"), "{line}: {left:?}");
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let done = station.command(&line, 5).stdout(full).output().unwrap();
        let err = text(&done.stderr);
        assert!(done.status.code() == Some(1) && err.contains("standard output cannot be written"), "{line}: {err}");
    }
}

fn stop(mut daemon: Daemon) {
    kill(Pid::from_raw(daemon.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(daemon.wait().success());
}

#[test]
fn a_second_daemon_on_one_folder_is_refused_and_the_first_goes_on() {
    let mut station = Station::new();
    let daemon = station.up();
    let other = settings(&station.place, "route = \"capture\"", "").replace(":8080\"]", ":0\"]").replace(":8081", ":0");
    fs::write(station.config(), other.replace(":2525\"]", ":0\"]")).unwrap();
    let done = station.run("serve", 0);
    assert!(!done.status.success());
    assert!(text(&done.stderr).contains("another karamail"), "{done:?}");
    assert!(station.say("org list", None).contains("ACME"));
    stop(daemon);
}

#[test]
fn the_demonstration_ends_well_and_a_folder_that_cannot_be_is_refused() {
    let done = Command::new(PROGRAM).args(["demo", "--once"]).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(text(&done.stdout).contains("/r/"));
    let done = Command::new(PROGRAM).args(["demo", "--once", "--keep", "/dev/null/x"]).output().unwrap();
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(1), String::new()));
}
