//! The operator's commands as typed: the built program, its output and its exit codes, with and without a daemon.

use crate::machine::{Daemon, Machine, PROGRAM, SETTINGS, beside, errors, keys, text};
use karamail::maillog;
use karamail::model::{EmailAddress, Timestamp};
use karamail::store::Store;
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

const MEMBERS: &str = "id,password,name,language,mail1\n0001,hajime-kite7,髙﨑 花子,en,hanako@docomo.ne.jp\n";

/// Puts as many events into the log.
async fn log_events(store: &Store, count: i64) {
    let address: EmailAddress = "hanako@docomo.ne.jp".parse().unwrap();
    let work = move |tx: &mut karamail::store::Tx<'_>| {
        (0..count).try_for_each(|second| {
            maillog::marked(tx, &address, "verified", Timestamp::from_millis(1_795_298_400_000 + second * 1_000))
        })
    };
    store.write::<_, karamail::store::StoreError, _>(work).await.unwrap();
}

#[test]
fn organisations_are_added_changed_listed_and_shown() {
    let machine = Machine::new();
    machine.say(&["org", "add", "acme", "--title", "株式会社アクメ"]);
    assert!(machine.fail(1, &["org", "add", "ACME", "--title", "x"]).contains("already"));
    machine.say(&["org", "set", "ACME", "title=アクメ", "title_en=Acme"]);
    let shown = machine.json(&["org", "show", "ＡＣＭＥ"]);
    let policy = ["profile", "plan", "two_factor", "otp_digits", "otp_lifetime", "backup_code"];
    let passwords = ["password_min_length", "password_max_length", "password_min_strength", "blocklist"];
    let first = ["org", "title", "title_en", "members", "created_at", "second_factors"];
    let expected = [&first[..], &policy, &passwords, &["reauthenticate_after", "differs"]].concat();
    assert_eq!(keys(&shown), expected);
    assert_eq!(
        (&shown["org"], &shown["title"], &shown["title_en"]),
        (&"ACME".into(), &"アクメ".into(), &"Acme".into())
    );
    assert_eq!(machine.json(&["org", "list"]).as_array().unwrap().len(), 1);
    let table = machine.say(&["org", "list"]);
    assert!(table.lines().nth(1).unwrap().trim().starts_with("ACME"), "{table}");
    assert!(machine.fail(1, &["org", "show", "NONE"]).contains("org list"));
    let set = machine.say(&["org", "set", "ACME", "plan=academic", "two_factor=on", "reauthenticate_after=10m"]);
    let has = |key: &str, value: &str| set.lines().any(|line| line.split_whitespace().eq([key, value]));
    assert!(has("plan", "academic") && has("two_factor", "on") && has("reauthenticate_after", "10m"), "{set}");
    let set = machine.say(&["org", "set", "ACME", "otp_digits=7", "profile=nist"]);
    assert!(set.contains("nist, but for otp_digits") && set.contains("no members"), "{set}");
    assert!(machine.fail(1, &["org", "set", "ACME", "family=on"]).contains("cannot set family yet"));
}

#[test]
fn a_wrong_command_line_leaves_two_and_help_leaves_nothing_wrong() {
    let machine = Machine::new();
    for arguments in [
        &[][..],
        &["fly"],
        &["org"],
        &["org", "add", "団体", "--title", "x"],
        &["org", "add", "ACME"],
        &["org", "set", "ACME", "titel=x"],
        &["org", "set", "ACME", "title"],
        &["org", "set", "ACME", "otp_digits=9"],
        &["member", "reset-2fa", "ACME"],
        &["queue", "list", "--class", "bulk"],
        &["queue", "show", "x"],
        &["trace", "x"],
        &["address", "show", "x"],
        &["log", "-n", "0"],
        &["dns", "--address", "mx.example.jp"],
    ] {
        machine.fail(2, arguments);
    }
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["org", "add", "--help"],
        &["org", "set", "--help"],
        &["member", "import", "--help"],
        &["queue", "list", "--help"],
        &["queue", "summary", "--help"],
        &["queue", "why", "--help"],
        &["queue", "hold", "--help"],
        &["queue", "release", "--help"],
        &["queue", "retry", "--help"],
        &["queue", "drop", "--help"],
        &["address", "suppressions", "--help"],
        &["address", "clear", "--help"],
        &["serve", "--help"],
        &["address", "show", "--help"],
        &["trace", "--help"],
        &["log", "--help"],
        &["check", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
        &["dns", "--help"],
    ] {
        let said = machine.say(arguments);
        assert!(arguments == ["--version"] || said.contains("Example"), "{arguments:?}: {said}");
    }
    assert!(!machine.data_dir().exists());
}

#[test]
fn members_are_imported_from_either_encoding_and_from_standard_input() {
    let machine = Machine::new();
    machine.say(&["org", "add", "ACME", "--title", "x"]);
    let (shift_jis, _, _) = encoding_rs::SHIFT_JIS.encode(MEMBERS);
    let file = machine.write("members.csv", &shift_jis);
    let rehearsed = machine.json(&["member", "import", "ACME", &file, "--dry-run"]);
    assert_eq!((&rehearsed["added"], &rehearsed["encoding"]), (&1.into(), &"Shift_JIS".into()));
    assert_eq!(machine.json(&["member", "list", "ACME"]), Value::Array(Vec::new()));
    assert_eq!(
        machine.say(&["member", "import", "ACME", &file]),
        "ACME: added 1, changed 0, unchanged 0 (Shift_JIS)\n"
    );

    let shown = machine.json(&["member", "show", "ACME", "0001"]);
    assert_eq!(shown["name"], "髙﨑 花子");
    for key in ["org", "id", "name", "language", "addresses", "two_factor"] {
        assert!(keys(&shown).contains(&key), "{key}");
    }
    assert_eq!(keys(&shown["addresses"][0]), ["priority", "address", "state"]);
    assert_eq!(keys(&shown["two_factor"]), ["app", "mail", "backup_code"]);

    let mut import = machine.command(&["member", "import", "ACME", "-"]);
    let mut child = import.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(MEMBERS.replace("花子", "葉子").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output), "ACME: added 0, changed 1, unchanged 0 (UTF-8)\n");
}

#[test]
fn r149_who_is_locked_out_is_let_in_again_and_it_is_written_down() {
    let machine = Machine::new();
    machine.say(&["org", "add", "ACME", "--title", "x"]);
    let file = machine.write("members.csv", MEMBERS.as_bytes());
    machine.say(&["member", "import", "ACME", &file]);
    assert_eq!(machine.say(&["member", "history", "ACME", "0001"]), "nothing yet\n");
    let cleared = machine.say(&["member", "reset-2fa", "ACME", "0001"]);
    assert_eq!(cleared, "ACME 0001: second factors and backup code cleared\n");
    let said = machine.say(&["member", "reset-password", "ACME", "0001"]);
    let first =
        said.strip_prefix("ACME 0001: start password ").and_then(|rest| rest.split_whitespace().next()).unwrap();
    let again = machine.json(&["member", "reset-password", "ACME", "0001"]);
    assert_eq!(keys(&again), ["org", "id", "password", "expires"]);
    assert_eq!((first.len(), again["password"].as_str().unwrap().len()), (12, 12));
    assert_ne!(again["password"], first);
    assert_eq!(machine.json(&["member", "show", "ACME", "0001"])["start_password_expires"], again["expires"]);
    let history = machine.json(&["member", "history", "ACME", "0001"]);
    assert_eq!(keys(&history), ["org", "id", "entries", "broken_at"]);
    let events: Vec<&Value> = history["entries"].as_array().unwrap().iter().map(|entry| &entry["event"]).collect();
    assert_eq!(events, ["authn_two_factor_reset", "authn_password_reset", "authn_password_reset"]);

    let file = machine.data_dir().join("karamail.db");
    rusqlite::Connection::open(file).unwrap().execute("DELETE FROM audit WHERE id = 1", ()).unwrap();
    let broken = machine.run(&["member", "history", "ACME", "0001"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(errors(&broken).contains("tampered with"), "{}", errors(&broken));
    assert!(text(&broken).contains("authn_password_reset"), "{}", text(&broken));
    assert!(machine.fail(1, &["member", "reset-2fa", "ACME", "9999"]).contains("no member 9999"));
}

#[test]
fn a_bad_row_names_its_line_and_column_and_nothing_is_written() {
    let machine = Machine::new();
    machine.say(&["org", "add", "ACME", "--title", "x"]);
    let file = machine.write("bad.csv", format!("{MEMBERS}0002,,鈴木,fr,not-an-address\n0001,x1,佐藤,,\n").as_bytes());
    let said = machine.fail(1, &["member", "import", "ACME", &file]);
    for fault in [
        "bad.csv: line 3, language: ",
        "bad.csv: line 3, mail1: ",
        "bad.csv: line 4, id: ",
        "nothing was written: 3 faults",
    ] {
        assert!(said.contains(fault), "{said}");
    }
    let output = machine.run(&["member", "import", "ACME", &file, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let faults: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(keys(&faults), ["faults", "more"]);
    assert_eq!(keys(&faults["faults"][0]), ["line", "column", "problem"]);
    assert_eq!(machine.json(&["org", "show", "ACME"])["members"], 0);

    let latin = machine.write("latin.csv", b"id,name\n1,Caf\xe9\xff\n");
    assert!(machine.fail(1, &["member", "import", "ACME", &latin]).contains("neither UTF-8 (byte 14 of 16, line 2)"));
    assert!(machine.fail(1, &["member", "import", "ACME", "none.csv"]).contains("none.csv: No such file"));
    let endless = std::fs::File::create(machine.folder.path().join("endless.csv")).unwrap();
    endless.set_len((64 << 20) + 1).unwrap();
    assert!(machine.fail(1, &["member", "import", "ACME", "endless.csv"]).contains("larger than 64 MiB"));
}

#[test]
fn what_is_known_of_an_address_is_shown_with_the_keys_scripts_rely_on() {
    let machine = Machine::new();
    machine.say(&["org", "add", "ACME", "--title", "x"]);
    let file = machine.write("members.csv", MEMBERS.as_bytes());
    machine.say(&["member", "import", "ACME", &file]);
    let shown = machine.json(&["address", "show", "Hanako@docomo.ne.jp"]);
    assert_eq!(keys(&shown), ["address", "state", "verdict", "stage", "reply", "at", "verified_at", "members"]);
    assert_eq!(shown["members"], serde_json::json!([{"org": "ACME", "id": "0001", "priority": 1}]));
    assert!(machine.say(&["address", "show", "hanako@docomo.ne.jp"]).contains("ACME 0001 (priority 1)"));
}

#[test]
fn an_empty_queue_is_an_empty_list() {
    let machine = Machine::new();
    assert_eq!(machine.json(&["queue", "list", "--class", "otp", "--state", "accepted"]), Value::Array(Vec::new()));
    assert_eq!(machine.say(&["queue", "list"]), "no such mails\n");
    assert!(machine.fail(1, &["queue", "show", "jb"]).contains("no job jb"));
    assert!(machine.fail(1, &["queue", "show", "mb"]).contains("no mail mb"));
}

#[test]
fn what_is_not_there_yet_is_checked_without_being_made() {
    let machine = Machine::new();
    assert!(machine.say(&["check"]).contains("are in order"));
    assert!(!machine.data_dir().exists());
    assert_eq!(machine.json(&["check"])["ok"], true);
    machine.say(&["org", "list"]);
    assert!(machine.say(&["check"]).contains("are in order"));
}

#[test]
fn check_says_everything_that_is_wrong_with_the_settings() {
    let machine = Machine::new();
    std::fs::write(machine.settings(), SETTINGS.replace("hostname", "hotsname").replace("https://", "ftp://")).unwrap();
    let output = machine.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    for problem in [
        "line 2: hotsname: there is no such setting (hint: did you mean “hostname”?)",
        "hostname: is missing",
        "web.public_url: ",
    ] {
        assert!(said.contains(problem), "{said}");
    }
    assert!(said.ends_with("3 problems\n"), "{said}");
    let output = machine.run(&["check", "--json"]);
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["ok"], false);
    assert_eq!(keys(&verdict["problems"][0]), ["place", "line", "key", "problem", "hint"]);
    assert!(machine.fail(1, &["org", "list"]).contains("web.public_url"));
}

#[test]
fn check_looks_at_keys_templates_and_the_database_too() {
    let machine = Machine::new();
    machine.say(&["org", "list"]);
    let (key, verp) = (machine.data_dir().join("keys/link-1"), machine.data_dir().join("keys/verp-1"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&verp, "").unwrap();
    let said = text(&machine.run(&["check"]));
    assert!(
        said.contains("link-1: others than its owner can reach it") && said.contains("verp-1: is not one line"),
        "{said}"
    );
    assert!(machine.fail(1, &["org", "list"]).contains("chmod 600"));
    std::fs::remove_dir_all(machine.data_dir().join("keys")).unwrap();

    let database = |name: &str| machine.data_dir().join(name);
    // Which of these are left depends on which of the store's threads closed last.
    for left in ["karamail.db-wal", "karamail.db-shm"].map(database).iter().filter(|path| path.exists()) {
        std::fs::remove_file(left).unwrap();
    }
    let text_file = "this is no database, but long enough to be looked at ".repeat(40);
    std::fs::write(database("karamail.db"), text_file).unwrap();
    let said = text(&machine.run(&["check"]));
    assert!(said.contains("storage.url: the database holds what cannot be understood"), "{said}");
    std::fs::remove_file(database("karamail.db")).unwrap();

    std::fs::create_dir_all(machine.folder.path().join("mail-templates/ja")).unwrap();
    machine.write("mail-templates/ja/registration.body.tera", b"{{ link }}");
    let said = text(&machine.run(&["check"]));
    assert!(said.contains("templates_dir: ") && said.contains("mail-templates/ja/registration.body.tera"), "{said}");
}

#[test]
fn records_to_publish_are_printed_before_there_are_keys_and_after() {
    let machine = Machine::new();
    let before = machine.say(&["dns"]);
    assert!(before.contains("\n; k1._domainkey.example.jp. 3600 IN TXT …\n"), "{before}");
    assert!(before.contains("The first start of karamail serve makes the key"), "{before}");
    assert!(before.contains("\n; mx.example.jp. 3600 IN A …\n"), "{before}");
    assert!(!machine.data_dir().exists());
    machine.say(&["org", "list"]);
    let after = machine.say(&["dns", "--address", "203.0.113.9"]);
    assert!(after.contains("\nexample.jp. 3600 IN MX 10 mx.example.jp.\n"), "{after}");
    assert!(after.contains("\nk1._domainkey.example.jp. 3600 IN TXT (\n    \"v=DKIM1; k=rsa; p="), "{after}");
    assert!(after.contains("\nmx.example.jp. 3600 IN A 203.0.113.9\n"), "{after}");
    let lines = machine.json(&["dns", "--address", "203.0.113.9"]);
    for line in lines.as_array().unwrap() {
        assert_eq!(keys(line), ["name", "type", "value", "needed", "why", "hint"]);
        assert!(line["value"].is_string(), "{line}");
    }

    let more = SETTINGS.replacen("127.0.0.1:0\"", "8.8.8.8:25\", \"10.1.2.3:25\"", 1);
    let more = format!("{more}[delivery]\nbind = [\"8.8.4.4\"]\n");
    std::fs::write(machine.settings(), more).unwrap();
    let lines = machine.json(&["dns"]);
    let values = |kind: &str| {
        let of =
            lines.as_array().unwrap().iter().filter(|line| line["type"] == kind && line["name"] != "www.example.jp");
        of.map(|line| format!("{} {}", line["name"].as_str().unwrap(), line["value"].as_str().unwrap()))
            .filter(|line| !line.starts_with("mta-sts."))
            .collect::<Vec<_>>()
    };
    assert_eq!(values("A"), ["mx.example.jp 8.8.4.4", "mx.example.jp 8.8.8.8"]);
    assert_eq!(values("PTR"), ["4.4.8.8.in-addr.arpa mx.example.jp"]);
    std::fs::write(machine.data_dir().join("keys/dkim-k1"), "half").unwrap();
    assert!(machine.fail(1, &["dns"]).contains("dkim-k1: "));
}

#[test]
fn the_settings_are_found_where_they_usually_are() {
    let machine = Machine::new();
    let bare = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(machine.folder.path()).env_remove("KARAMAIL_CONFIG").stdin(Stdio::null());
        command
    };
    // Unless this machine has a karamail of its own.
    if !Path::new("/etc/karamail/karamail.toml").exists() {
        let output = bare(&["check"]).output().unwrap();
        assert!(errors(&output).contains("neither config/karamail.toml nor /etc/karamail/karamail.toml"));
    }
    let from_environment = bare(&["check"]).env("KARAMAIL_CONFIG", "karamail.toml").output().unwrap();
    assert!(text(&from_environment).starts_with("karamail.toml: "));
    std::fs::create_dir(machine.folder.path().join("config")).unwrap();
    std::fs::rename(machine.settings(), machine.folder.path().join("config/karamail.toml")).unwrap();
    assert!(text(&bare(&["check"]).output().unwrap()).starts_with("config/karamail.toml: "));
    let named = bare(&["check", "-c", "other.toml"]).env("KARAMAIL_CONFIG", "config/karamail.toml").output().unwrap();
    assert!(text(&named).starts_with("other.toml: cannot be read: "), "{}", text(&named));
}

#[test]
fn commands_that_are_typed_at_once_take_turns() {
    let machine = Machine::new();
    let children: Vec<_> = (0..6)
        .map(|number| {
            let code = format!("ORG{number}");
            machine.command(&["org", "add", &code, "--title", "x"]).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(machine.json(&["org", "list"]).as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_life_and_the_log_are_printed_for_people_and_for_scripts() {
    let machine = Machine::new();
    machine.say(&["org", "list"]);
    let store = machine.store().await;
    log_events(&store, 3).await;
    store.close().await;
    let trace = machine.json(&["trace", "hanako@docomo.ne.jp"]);
    assert_eq!(keys(&trace), ["events"]);
    assert_eq!(keys(&trace["events"][0]), ["at", "event", "to", "state"]);
    let story = machine.say(&["trace", "hanako@docomo.ne.jp"]);
    let lines: Vec<String> = story.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines[0], "WHEN EVENT WHAT");
    assert_eq!(lines[1], "2026-11-22 07:00:00 marked <h***@docomo.ne.jp> is now known to be verified");
    assert!(machine.fail(1, &["trace", "nobody@example.jp"]).contains("nothing is known"));

    let log = machine.say(&["log"]);
    assert_eq!(log.lines().next(), Some("2026-11-22 07:00:00 marked    to=<h***@docomo.ne.jp> state=verified"));
    assert_eq!(log.lines().count(), 3);
    assert_eq!(machine.say(&["log", "-n", "1"]).lines().count(), 1);
    let line = machine.say(&["log", "-n", "1", "--json"]);
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["at"], &event["event"]), (&"2026-11-22T07:00:02+09:00".into(), &"marked".into()));
    let output = machine.run(&["log", "-f"]);
    assert_eq!((text(&output), output.status.code()), (log, Some(1)));
    assert!(errors(&output).contains("no daemon is running"));
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let machine = Machine::new();
    machine.say(&["org", "list"]);
    let store = machine.store().await;
    log_events(&store, 20_000).await;
    store.close().await;
    let mut child = machine.command(&["log"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), errors(&output)), (Some(0), String::new()));
}

#[test]
fn run_by_root_a_command_leaves_every_file_with_the_owner_of_the_folder() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    const NOBODY: u32 = 65_534;
    let machine = Machine::new();
    std::fs::set_permissions(machine.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(machine.data_dir()).unwrap();
    chown(machine.data_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    machine.say(&["check"]);
    machine.say(&["org", "add", "ACME", "--title", "x"]);
    // A file of root's own is read before.
    let file = machine.write("members.csv", MEMBERS.as_bytes());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    machine.say(&["member", "import", "ACME", &file]);
    let mut seen = 0;
    for folder in [machine.data_dir(), machine.data_dir().join("keys")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().uid(), NOBODY, "{:?}", entry.path());
            seen += 1;
        }
    }
    assert!(seen >= 7);
}

#[tokio::test]
async fn while_a_daemon_runs_it_does_the_work() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine).await;
    let added = beside(&machine, &["org", "add", "ACME", "--title", "アクメ"]).await;
    assert_eq!((errors(&added), added.status.code()), (String::new(), Some(0)));
    let found = daemon.store.read(|tx| tx.org(&"ACME".parse().unwrap())).await.unwrap();
    assert_eq!(found.unwrap().title, "アクメ");
    let refused = beside(&machine, &["org", "show", "NONE"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors(&refused).contains("no organisation NONE"));
    let file = machine.write("members.csv", MEMBERS.as_bytes());
    let imported = beside(&machine, &["member", "import", "ACME", &file]).await;
    assert!(text(&imported).contains("added 1"));
    assert!(text(&beside(&machine, &["check"]).await).contains("are in order"));
}

#[tokio::test]
async fn the_log_is_followed_live() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let machine = Machine::new();
    let mut daemon = Daemon::start(&machine).await;
    log_events(&daemon.store, 1).await;
    let mut follower = tokio::process::Command::from(machine.command(&["log", "-f", "--json"]));
    let mut child = follower.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let event: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        assert_eq!(event["event"], "marked");
        log_events(&daemon.store, 1).await;
    }
    // The daemon stops: the follower hears of it.
    daemon.tasks.shutdown().await;
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("the daemon ended before its answer did"), "{}", errors(&output));
}
