//! The database as a whole, by command: schema, copies, backups; with and without a daemon, and as root for another user.

mod restore;

use crate::conformance;
use crate::machine::{Daemon, Machine, beside, errors, keys, text};
use crate::place::until;
use karamail::model::MailId;
use karamail::queue::{Class, Content, NewJob};
use karamail::store::{Location, StoreError, Tx, schema_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NOBODY: u32 = 65_534;

/// A machine with an organisation.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.say(&["org", "add", "ACME", "--title", "アクメ"]);
    machine
}

fn database(machine: &Machine) -> PathBuf {
    machine.data_dir().join("karamail.db")
}

/// Says something to a database past the store.
fn sql(file: &Path, text: &str) {
    rusqlite::Connection::open(file).unwrap().execute_batch(text).unwrap();
}

/// The titles of organisations that a database holds, in whatever journal mode it is.
fn titles(file: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(file).unwrap();
    let mut statement = connection.prepare("SELECT title FROM orgs ORDER BY id").unwrap();
    statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The newest schema there is.
fn newest() -> i64 {
    schema_of(&Location::Sqlite("/nowhere".into())).unwrap().known
}

/// What lies in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Makes the database so large that a backup takes a while.
fn fatten(machine: &Machine, mebibytes: u32) {
    let rows = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {mebibytes})
         INSERT INTO secrets (purpose, owner, sealed) SELECT 'test', i, randomblob(1048576) FROM n"
    );
    sql(&database(machine), &rows);
}

#[test]
fn each_command_says_how_it_is_used() {
    let machine = Machine::new();
    for arguments in [&["store"][..], &["store", "copy", "sqlite:karamail.db"], &["store", "backup"]] {
        machine.fail(2, arguments);
    }
    for command in ["migrate", "copy", "backup"] {
        assert!(machine.say(&["store", command, "--help"]).contains("Example"), "{command}");
    }
}

#[test]
fn the_schema_is_brought_up_to_date_and_its_numbers_are_said() {
    let (machine, newest) = (Machine::new(), newest());
    let made = machine.say(&["store", "migrate"]);
    assert!(made.ends_with(&format!("karamail.db: made, with schema {newest}\n")), "{made}");
    let again = machine.say(&["store", "migrate"]);
    assert!(again.ends_with(&format!("karamail.db: has schema {newest}, which is the newest\n")), "{again}");
    let facts = machine.json(&["store", "migrate"]);
    assert_eq!(keys(&facts), ["database", "from", "to"]);
    assert_eq!((&facts["from"], &facts["to"]), (&newest.into(), &newest.into()));

    std::fs::remove_file(database(&machine)).unwrap();
    let first = include_str!("../../src/store/migrations/sqlite/0001_first.sql");
    let sum = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(first));
    let applied = format!(
        "{first}; CREATE TABLE migrations (number BIGINT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL);
         INSERT INTO migrations VALUES (1, '{sum}')"
    );
    sql(&database(&machine), &applied);
    let said = machine.say(&["store", "migrate"]);
    assert!(said.ends_with(&format!("karamail.db: brought from schema 1 to schema {newest}\n")), "{said}");
    sql(&database(&machine), "INSERT INTO migrations VALUES (900, 'x')");
    for arguments in [&["store", "migrate"][..], &["org", "list"]] {
        let said = machine.fail(1, arguments);
        let why = format!("has schema 900 and this program knows schemas up to {newest}");
        assert!(said.contains(&why), "{said}");
    }
    assert!(text(&machine.run(&["check"])).contains("has schema 900"));
}

#[tokio::test]
async fn what_changes_a_whole_database_wants_the_daemon_stopped_and_a_backup_does_not() {
    let machine = machine();
    let daemon = Daemon::start(&machine).await;
    for arguments in [
        &["store", "migrate"][..],
        &["store", "copy", "sqlite:karamail.db", "sqlite:other.db"],
        &["store", "copy", "sqlite:other.db", "sqlite:karamail.db", "--compare"],
    ] {
        let refused = beside(&machine, arguments).await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(errors(&refused).contains("the daemon is running: stop it first"), "{}", errors(&refused));
    }
    let work = |tx: &mut Tx<'_>| tx.set_org(&"ACME".parse().unwrap(), Some("あとから"), None);
    daemon.store.write::<_, StoreError, _>(work).await.unwrap();
    let file = machine.folder.path().join("backup.db");
    let done = beside(&machine, &["store", "backup", "backup.db"]).await;
    assert_eq!((errors(&done), done.status.code()), (String::new(), Some(0)));
    // What was committed a moment ago is in the log only; the backup has it, and is one file.
    assert_eq!(titles(&file), ["あとから"]);
    assert_eq!(names(machine.folder.path()), ["backup.db", "data", "karamail.toml"]);
    assert_eq!(daemon.store.read::<_, StoreError, _>(|tx| tx.orgs()).await.unwrap().len(), 1);
}

#[test]
fn a_backup_is_one_private_file_that_takes_the_place_of_nothing_unasked() {
    let machine = machine();
    let said = machine.say(&["store", "backup", "backup.db"]);
    assert!(
        said.starts_with("backup.db: ")
            && said.contains(&format!("schema {}", newest()))
            && said.contains("found sound"),
        "{said}"
    );
    let kept = machine.data_dir().join("keys");
    assert!(said.contains("The keys are not in it") && said.contains(&kept.display().to_string()), "{said}");
    let file = machine.folder.path().join("backup.db");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let before = std::fs::read(&file).unwrap();

    machine.say(&["org", "set", "ACME", "title=新"]);
    let said = machine.fail(1, &["store", "backup", "backup.db"]);
    assert!(said.contains("backup.db: is there already: name another file, or write over it with --force"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let facts = machine.json(&["store", "backup", "backup.db", "--force"]);
    assert_eq!(keys(&facts), ["file", "database", "at", "schema", "bytes", "tables", "keys"]);
    assert_eq!(facts["bytes"], std::fs::metadata(&file).unwrap().len());
    assert_eq!(facts["keys"], serde_json::json!([kept]));
    let orgs = facts["tables"].as_array().unwrap().iter().find(|table| table["table"] == "orgs").unwrap();
    assert_eq!(orgs, &serde_json::json!({"table": "orgs", "rows": 1}));
    assert_eq!(titles(&file), ["新"]);
    assert_eq!(names(machine.folder.path()), ["backup.db", "data", "karamail.toml"]);
}

#[test]
fn a_store_that_was_put_back_gives_out_no_number_twice() {
    let machine = machine();
    machine.say(&["store", "backup", "backup.db"]);
    let backup = machine.folder.path().join("backup.db");
    machine.say(&["org", "add", "LOST", "--title", "x"]);
    let last = |file: &Path, sql: &str| -> i64 {
        rusqlite::Connection::open(file).unwrap().query_row(sql, (), |row| row.get(0)).unwrap()
    };
    let lost = last(&database(&machine), "SELECT max(id) FROM orgs");
    for name in names(&machine.data_dir()).iter().filter(|name| name.starts_with("karamail.db")) {
        std::fs::remove_file(machine.data_dir().join(name)).unwrap();
    }
    std::fs::copy(&backup, database(&machine)).unwrap();
    machine.say(&["org", "add", "ANEW", "--title", "x"]);
    let anew = last(&database(&machine), "SELECT max(id) FROM orgs");
    assert!(lost < 10 && anew >= 1 << 32, "{lost}, {anew}");
    // A table that was empty leaps, too: what it gave out after the backup is not known to it.
    assert!(last(&backup, "SELECT seq FROM sqlite_sequence WHERE name = 'registrations'") >= 1 << 32);
}

#[test]
fn a_backup_never_takes_the_place_of_the_database() {
    let machine = machine();
    std::os::unix::fs::symlink(machine.data_dir(), machine.folder.path().join("link")).unwrap();
    for file in ["data/karamail.db", "link/karamail.db", "data/karamail.db-wal", "data/../data/karamail.db-shm"] {
        let said = machine.fail(1, &["store", "backup", file, "--force"]);
        assert!(said.contains("is the database itself, or a part of it"), "{file}: {said}");
    }
    std::fs::create_dir(machine.folder.path().join("folder")).unwrap();
    assert!(machine.fail(1, &["store", "backup", "folder", "--force"]).contains("is no file of ours"));
    assert!(machine.fail(1, &["store", "backup", "none/backup.db"]).contains("No such file"));
    std::os::unix::fs::symlink("data/karamail.db", machine.folder.path().join("b.db.partial")).unwrap();
    assert!(machine.fail(1, &["store", "backup", "b.db"]).contains("b.db.partial: "));
    assert_eq!(titles(&database(&machine)), ["アクメ"]);
    std::fs::remove_file(database(&machine)).unwrap();
    assert!(machine.fail(1, &["store", "backup", "c.db"]).contains("karamail.db: there is no such database"));
}

#[test]
fn a_backup_of_a_damaged_database_is_not_kept() {
    let machine = machine();
    // An index that lacks a row: every page can be read, and what they say does not fit together.
    let connection = rusqlite::Connection::open(database(&machine)).unwrap();
    connection
        .execute_batch("CREATE TABLE odd (a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX odd_b ON odd (b)")
        .unwrap();
    let root: i64 =
        connection.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'odd_b'", (), |row| row.get(0)).unwrap();
    connection.execute_batch("INSERT INTO odd (b) VALUES ('x'), ('y'); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    let mut bytes = std::fs::read(database(&machine)).unwrap();
    let page = usize::try_from(root - 1).unwrap() * 4096;
    // The head of a leaf of an index says that it has no cells.
    bytes[page + 3..page + 5].copy_from_slice(&[0, 0]);
    std::fs::write(database(&machine), bytes).unwrap();
    let said = machine.fail(1, &["store", "backup", "backup.db"]);
    assert!(said.contains("the copy is damaged, and so must be the database"), "{said}");
    assert_eq!(names(machine.folder.path()), ["data", "karamail.toml"]);
}

#[test]
fn root_backs_up_the_store_of_another_user_to_where_only_root_may_write() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let machine = Machine::new();
    std::fs::set_permissions(machine.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(machine.data_dir()).unwrap();
    chown(machine.data_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    machine.say(&["org", "add", "ACME", "--title", "x"]);
    let private = machine.folder.path().join("root");
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
    for force in [&[][..], &["--force"]] {
        machine.say(&[&["store", "backup", "root/backup.db"], force].concat());
        let there = std::fs::metadata(private.join("backup.db")).unwrap();
        assert_eq!((there.uid(), there.mode() & 0o777), (0, 0o600));
    }
    assert_eq!(names(&private), ["backup.db"]);
    for entry in std::fs::read_dir(machine.data_dir()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), NOBODY, "{:?}", entry.path());
    }
    // A copy goes to where the daemon could read it.
    let said = machine.fail(1, &["store", "copy", "sqlite:karamail.db", &format!("sqlite:{}/x.db", private.display())]);
    assert!(said.contains("Permission denied") && said.contains("a folder in which nobody may write"), "{said}");
    // What the other user's folder leads to is opened with that user's rights.
    std::fs::rename(database(&machine), private.join("karamail.db")).unwrap();
    chown(private.join("karamail.db"), Some(0), Some(0)).unwrap();
    std::os::unix::fs::symlink(private.join("karamail.db"), database(&machine)).unwrap();
    let said = machine.fail(1, &["store", "backup", "root/stolen.db"]);
    assert!(said.contains("unable to open database file"), "{said}");
    assert!(!private.join("stolen.db").exists() && !private.join("stolen.db.partial").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_leaves_no_backup_and_the_daemon_untouched() {
    let machine = machine();
    fatten(&machine, 12);
    let disk = machine.folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(&disk).output().unwrap();
    if !mount.status.success() {
        eprintln!("not run: only root may mount a small disk");
        return;
    }
    let daemon = Daemon::start(&machine).await;
    let failed = beside(&machine, &["store", "backup", "disk/backup.db"]).await;
    let (left, said) = (names(&disk), errors(&failed));
    assert!(Command::new("umount").arg("--lazy").arg(&disk).status().unwrap().success());
    assert_eq!(failed.status.code(), Some(1));
    assert!(said.contains("backup.db.partial: the disk is full; nothing was kept"), "{said}");
    assert_eq!(left, [""; 0]);
    let work = |tx: &mut Tx<'_>| tx.enqueue(&waiting());
    assert_eq!(daemon.store.write::<_, StoreError, _>(work).await.unwrap().number(), 1);
}

fn waiting() -> NewJob {
    let at = karamail::model::Timestamp::from_millis(1);
    NewJob {
        class: Class::Otp,
        to: "a@docomo.ne.jp".parse().unwrap(),
        content: Content::Forward { mail: MailId::new(1) },
        language: None,
        cause: None,
        queued_at: at,
        due: at,
        give_up: at,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_killed_leaves_a_partial_file_and_the_next_one_takes_it_over() {
    let machine = machine();
    fatten(&machine, 48);
    let daemon = Daemon::start(&machine).await;
    let (file, partial) = (machine.folder.path().join("backup.db"), machine.folder.path().join("backup.db.partial"));
    let mut child = machine.command(&["store", "backup", "backup.db"]).stdout(Stdio::null()).spawn().unwrap();
    until("it has begun to write", || {
        std::fs::metadata(&partial).is_ok_and(|there| there.len() > 1 << 20).then_some(())
    });
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(!file.exists() && partial.exists());
    daemon.store.write::<_, StoreError, _>(|tx| tx.enqueue(&waiting())).await.unwrap();
    // Somebody who is still at it is not disturbed.
    let held = std::fs::File::open(&partial).unwrap();
    held.lock().unwrap();
    let refused = beside(&machine, &["store", "backup", "backup.db"]).await;
    assert!(errors(&refused).contains("another command is writing it"), "{}", errors(&refused));
    drop(held);
    let done = beside(&machine, &["store", "backup", "backup.db"]).await;
    assert_eq!((errors(&done), done.status.code()), (String::new(), Some(0)));
    assert_eq!(names(machine.folder.path()), ["backup.db", "data", "karamail.toml"]);
    assert_eq!(titles(&file), ["アクメ"]);
}

#[test]
fn a_store_is_copied_compared_and_told_table_by_table() {
    let machine = machine();
    let said = machine.say(&["store", "copy", "sqlite:karamail.db", "sqlite:other.db"]);
    let line = said.lines().find(|line| line.trim().starts_with("orgs")).unwrap();
    assert!(line.trim().ends_with("the same"), "{said}");
    let facts = machine.json(&["store", "copy", "sqlite:karamail.db", "sqlite:other.db", "--compare"]);
    assert_eq!(keys(&facts), ["from", "to", "same", "tables"]);
    assert_eq!(facts["same"], true);
    let orgs = facts["tables"].as_array().unwrap().iter().find(|table| table["table"] == "orgs").unwrap();
    assert_eq!(keys(orgs), ["table", "same", "from", "to"]);
    assert_eq!(keys(&orgs["from"]), ["rows", "sha256", "last_number"]);

    sql(&machine.data_dir().join("other.db"), "UPDATE orgs SET title_en = 'Acme'");
    let differs = machine.run(&["store", "copy", "sqlite:karamail.db", "sqlite:other.db", "--compare"]);
    assert_eq!(differs.status.code(), Some(1));
    assert!(errors(&differs).ends_with("karamail: not the same: orgs\n"), "{}", errors(&differs));
    assert!(text(&differs).contains("other rows: "), "{}", text(&differs));
    let said = machine.fail(1, &["store", "copy", "sqlite:karamail.db", "sqlite:other.db"]);
    assert!(said.contains("other.db: is there already: move it away, or name another file"), "{said}");

    // An address with a password stands in a file of its own.
    let url = machine.write("url", b"sqlite:third.db\n");
    std::fs::set_permissions(&url, std::fs::Permissions::from_mode(0o600)).unwrap();
    machine.say(&["store", "copy", "sqlite:karamail.db", &format!("@{url}")]);
    assert_eq!(titles(&machine.data_dir().join("third.db")), ["アクメ"]);
    let said = machine.fail(2, &["store", "copy", "karamail.db", "mysql://x"]);
    assert!(said.contains("write \"sqlite:FILE\" or \"postgres://USER@HOST/DATABASE\""), "{said}");
    assert!(machine.fail(2, &["store", "copy", "@none", "sqlite:x.db"]).contains("none: cannot be read"));
    machine.fail(2, &["store", "copy", "sqlite:karamail.db"]);
}

#[test]
fn a_copy_that_is_killed_leaves_nothing_that_has_a_name() {
    let machine = machine();
    fatten(&machine, 48);
    let partial = machine.data_dir().join("other.db.partial");
    let mut child = machine.command(&["store", "copy", "sqlite:karamail.db", "sqlite:other.db"]).spawn().unwrap();
    until("it has begun to write", || {
        std::fs::metadata(&partial).is_ok_and(|there| there.len() > 1 << 20).then_some(())
    });
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(!machine.data_dir().join("other.db").exists());
    machine.say(&["store", "copy", "sqlite:karamail.db", "sqlite:other.db"]);
    assert!(!partial.exists());
}

#[test]
fn postgres_a_copy_that_is_killed_leaves_the_server_as_empty_as_it_was() {
    let machine = machine();
    fatten(&machine, 48);
    let url = conformance::schema();
    let name = conformance::schema_of(&url).to_owned();
    let named = format!("{url}&application_name=killed_{name}");
    let mut child = machine.command(&["store", "copy", "sqlite:karamail.db", &named]).spawn().unwrap();
    let at_work = |state: &str| {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'killed_{name}' {state}");
        conformance::sql(&sql).trim() != "0"
    };
    until("it has begun to write", || at_work("AND query LIKE 'COPY %'").then_some(()));
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    until("the server has noticed", || (!at_work("")).then_some(()));
    assert_eq!(schema_of(&Location::Postgres(url.clone())).unwrap().found, 0);
    assert_eq!(machine.json(&["store", "copy", "sqlite:karamail.db", &url])["same"], true);
}

#[test]
fn postgres_a_store_moves_to_a_server_by_command_and_is_served_from_there() {
    let machine = machine();
    let url = conformance::schema();
    let file = machine.write("url", url.as_bytes());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let facts = machine.json(&["store", "copy", "sqlite:karamail.db", &url]);
    assert_eq!(facts["same"], true);
    let settings = std::fs::read_to_string(machine.settings()).unwrap();
    std::fs::write(machine.settings(), settings + &format!("[storage]\nurl_file = \"{file}\"\n")).unwrap();
    assert!(machine.say(&["check"]).contains("are in order"));
    assert_eq!(machine.json(&["org", "list"])[0]["org"], "ACME");
    assert!(machine.say(&["store", "migrate"]).contains("which is the newest"));
    machine.say(&["store", "backup", "backup.db"]);
    assert_eq!(titles(&machine.folder.path().join("backup.db")), ["アクメ"]);
    let backup = format!("sqlite:{}", machine.folder.path().join("backup.db").display());
    assert_eq!(machine.json(&["store", "copy", &format!("@{file}"), &backup, "--compare"])["same"], true);
    conformance::sql(&format!("DROP SCHEMA {} CASCADE", conformance::schema_of(&url)));
    let said = machine.fail(1, &["store", "backup", "other.db"]);
    assert!(said.contains("is no store of karamail"), "{said}");
}

#[test]
fn a_bar_is_drawn_where_a_terminal_watches_and_nowhere_else() {
    let machine = machine();
    fatten(&machine, 16);
    let rows: String = (0..3_000).map(|number| format!("{number:05},hajime-kite7,花子\n")).collect();
    machine.write("members.csv", format!("id,password,name\n{rows}").as_bytes());
    for (arguments, units) in [
        (&["store", "backup", "backup.db"][..], "pages"),
        (&["store", "copy", "sqlite:karamail.db", "sqlite:other.db"], "rows"),
        (&["member", "import", "ACME", "members.csv", "--dry-run"], "rows"),
    ] {
        // `say` has standard error in a pipe, and wants it empty.
        let plain = machine.say(arguments);
        for left in ["backup.db", "data/other.db"].map(|name| machine.folder.path().join(name)) {
            drop(std::fs::remove_file(left));
        }
        let mut typed = format!("{} -c {}", crate::machine::PROGRAM, machine.settings().display());
        arguments.iter().for_each(|argument| typed.extend([" ", argument]));
        // On a terminal: `script` gives it one, and takes down what it shows.
        let seen = machine.folder.path().join("seen");
        let mut script = Command::new("script");
        script.args(["-qec", &typed]).arg(&seen).current_dir(machine.folder.path());
        let output = script.env("TERM", "xterm").stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let shown = std::fs::read_to_string(&seen).unwrap();
        assert!(shown.contains(units) && shown.contains(" left"), "{arguments:?}: {shown:?}");
        assert!(!plain.contains(" left"), "{plain}");
    }
}

#[test]
fn locations_are_what_the_settings_call_them() {
    let machine = machine();
    let facts: Value = machine.json(&["store", "backup", "backup.db"]);
    assert_eq!(facts["database"], Location::Sqlite(database(&machine)).to_string());
}
