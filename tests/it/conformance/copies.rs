//! A whole store goes from one database to the other and back, and is the same.

use super::{Place, at, order, server, write};
use karamail::queue::Class;
use karamail::store::{
    Backup, Compared, CopyError, Location, Over, Progress, Schema, StoreError, compare, copy, migrate, schema_of,
};
use std::path::Path;

/// How many jobs and members there are: a hundred thousand where there is time for it.
fn many() -> u32 {
    if std::env::var_os("KARAMAIL_LONG").is_some() { 100_000 } else { 20_000 }
}

/// Fills a store of SQLite with whatever a column can hold: so many jobs and members, wide letters, a NUL, empty and large
/// bytes, keys whose order differs from one language to the next.
fn filled(path: &Path, many: u32) -> Location {
    let location = Location::Sqlite(path.to_owned());
    migrate(&location).unwrap();
    let numbers = format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})");
    let few = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)";
    let text = format!(
        "BEGIN;
         INSERT INTO orgs (id, code, title, title_en, created_at) VALUES (7, 'DEMO', '株式会社デモ', NULL, 1);
         {numbers} INSERT INTO members (id, org, login, login_folded, name, kana, department, language, password_hash,
                                        must_change, last_login, created_at, changed_at)
             SELECT i * 3, 7, 'M' || i, 'm' || i, '髙﨑 花子 ' || i, CASE WHEN i % 2 THEN 'ハナコ' END, NULL,
                    CASE WHEN i % 3 THEN 'ja' ELSE 'en' END, NULL, i % 2, CASE WHEN i % 5 = 0 THEN -i END, 1,
                    9007199254740993 FROM n;
         {numbers} INSERT INTO member_addresses (member, priority, address, folded, source, changed_at)
             SELECT i * 3, 1 + i % 3, 'M' || i || '..@docomo.ne.jp', 'm' || i || '..@docomo.ne.jp', 'import', i FROM n;
         {numbers} INSERT INTO secrets (purpose, owner, sealed) SELECT 'start_password', i * 3, randomblob(40) FROM n
             WHERE i % 10 = 0;
         {few} INSERT INTO mails (id, via, peer, helo, sender, recipient, message_id, size, received_at, decision, reason)
             SELECT i, 'smtp', '203.0.113.9', '', CASE WHEN i % 2 THEN 'a' || i || '@b.jp' END, 'bizanpi@mc-anpi.com', NULL,
                    i, i, 'answered', NULL FROM n;
         INSERT INTO mail_bodies (mail, raw) VALUES (1, x''), (2, randomblob(300000)), (3, x'00ff00');
         {numbers} INSERT INTO jobs (class_rank, recipient, folded, domain, content, language, cause, queued_at, first_due,
                                     give_up, due, state, attempts, lease_owner, lease_until, last_stage, last_code,
                                     last_reply)
             SELECT i % 6, 'A@b.jp', 'a@b.jp', 'b' || i % 50 || '.jp', '{{\"kind\":\"forward\",\"mail\":\"mb\"}}', NULL,
                    CASE WHEN i % 7 THEN 1 + i % 300 END, i, i, i + 9, i,
                    CASE i % 3 WHEN 0 THEN 'queued' WHEN 1 THEN 'deferred' ELSE 'sending' END, i % 3,
                    CASE WHEN i % 3 = 2 THEN 'w' END, CASE WHEN i % 3 = 2 THEN i END, CASE WHEN i % 3 THEN 'rcpt' END,
                    CASE WHEN i % 3 THEN 450 END, CASE WHEN i % 3 THEN '4.2.0 あとで' END FROM n;
         DELETE FROM jobs WHERE id > {many} - 10;
         INSERT INTO history (id, class_rank, recipient, folded, domain, content, queued_at, first_due, give_up, due, state,
                              attempts, ended_at)
             VALUES ({many}, 0, 'a@b.jp', 'a@b.jp', 'b.jp', '', 1, 1, 1, 1, 'expired', 0, 9223372036854775807);
         INSERT INTO addresses (folded, address, state, unknown_day) VALUES ('a@b.jp', 'A@b.jp', 'suppressed', -1);
         INSERT INTO budgets (scope, key, full_until) VALUES ('a', 'b', 1), ('a', 'B', 1), ('a', 'Ä', 1), ('a', 'a-b', 1),
             ('a', 'ab', 1), ('a', '', 1), ('A', 'b', 1), ('a', '\u{1f600}', 1), ('a', '\u{ff21}', 1), ('a', '花', 1);
         {few} INSERT INTO seen_mails (fingerprint, seen_at) SELECT randomblob(32), i FROM n;
         DELETE FROM seen_mails;
         {few} INSERT INTO login_failures (account, device, failures, open_at) SELECT randomblob(32), zeroblob(32), 1, i
             FROM n;
         INSERT INTO events (at, name, address, folded, fields) VALUES (1, 'marked', 'a@b.jp', 'a@b.jp', 'a' || char(0) || 'b');
         COMMIT;"
    );
    rusqlite::Connection::open(path).unwrap().execute_batch(&text).unwrap();
    location
}

fn silent() -> impl FnMut(Progress) {
    |_| ()
}

fn copied(from: &Location, to: &Location) -> Vec<Compared> {
    copy(from, to, &mut silent()).unwrap()
}

/// What each table comes to.
fn sums(compared: &[Compared]) -> Vec<(&str, &karamail::store::Sum)> {
    compared.iter().map(|table| (table.table.as_str(), &table.to)).collect()
}

/// A database whose language orders texts otherwise than by their bytes.
fn in_swedish() -> Location {
    let url = server::schema();
    let name = format!("swedish_{}", server::schema_of(&url));
    server::sql(&format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE'"));
    let (server, _) = url.rsplit_once("/postgres").unwrap();
    Location::Postgres(format!("{server}/{name}"))
}

#[test]
fn postgres_a_store_goes_there_and_comes_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let many = many();
    let from = filled(&folder.path().join("karamail.db"), many);
    let there = in_swedish();
    let mut heard = Vec::new();
    let went = copy(&from, &there, &mut |now| heard.push(now)).unwrap();
    let rows = |name: &str| went.iter().find(|table| table.table == name).unwrap().to.rows;
    assert_eq!((rows("members"), rows("jobs"), rows("history")), (many.into(), u64::from(many) - 10, 1));
    // Every row is told twice: as it is written, and as it is read again.
    let all: u64 = went.iter().map(|table| 2 * table.to.rows).sum();
    assert_eq!(heard.last(), Some(&Progress { done: all, all }));
    assert!(heard.windows(2).all(|two| two[0].done <= two[1].done && two[1].done - two[0].done <= 5_000));

    let back = Location::Sqlite(folder.path().join("back.db"));
    let came = copied(&there, &back);
    assert_eq!(sums(&came), sums(&went));
    let again = compare(&from, &back, &mut silent()).unwrap();
    assert!(again.iter().all(Compared::is_same));
    let numbers = |name: &str| again.iter().find(|table| table.table == name).unwrap().to.last_number;
    assert_eq!((numbers("jobs"), numbers("seen_mails"), numbers("history")), (Some(many.into()), Some(300), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_numbers_go_on_behind_the_last_one_given_out() {
    let folder = tempfile::tempdir().unwrap();
    let (from, there) = (filled(&folder.path().join("karamail.db"), 300), Place::postgres());
    let back = Place::sqlite();
    let (to, home) = (there.location.clone(), back.location.clone());
    tokio::task::spawn_blocking(move || drop((copied(&from, &to), copied(&to, &home)))).await.unwrap();
    for place in [there, back] {
        let store = place.open().await;
        let job = write(&store, |tx| tx.enqueue(&order(Class::Otp, 1))).await;
        assert_eq!(job.number(), 301, "{}", place.location);
        assert!(write(&store, |tx| tx.first_time(&[9; 32], at(1))).await);
        store.close().await;
    }
}

#[test]
fn postgres_one_row_that_was_changed_by_hand_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("karamail.db");
    let (from, there) = (filled(&path, 300), Place::postgres());
    copied(&from, &there.location);
    let differing = || {
        let compared = compare(&from, &there.location, &mut silent()).unwrap();
        let differing = compared.into_iter().filter(|table| !table.is_same()).map(|table| table.table);
        differing.collect::<Vec<_>>()
    };
    assert_eq!(differing(), [""; 0]);
    there.sql("UPDATE members SET kana = '' WHERE id = 3 * 200");
    assert_eq!(differing(), ["members"]);
    there.sql("DELETE FROM jobs WHERE id = 1; SELECT setval('seen_mails_id_seq', 299)");
    let expected = ["jobs", "members", "seen_mails"].map(str::to_owned);
    let mut found = differing();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn postgres_a_target_with_rows_is_left_alone_and_one_that_was_refused_is_still_empty() {
    let folder = tempfile::tempdir().unwrap();
    let (from, there) = (filled(&folder.path().join("karamail.db"), 300), Place::postgres());
    migrate(&there.location).unwrap();
    there.sql("INSERT INTO orgs (code, title, created_at) VALUES ('OTHER', 'x', 1)");
    let refused = copy(&from, &there.location, &mut silent()).unwrap_err();
    assert!(matches!(&refused, CopyError::NotEmpty { table, .. } if table == "orgs"), "{refused}");
    assert_eq!(schema_of(&there.location).unwrap().found, schema_of(&from).unwrap().known);

    // A row that points to nothing: SQLite was told not to mind, the server minds and keeps nothing.
    let empty = Place::postgres();
    let Location::Sqlite(path) = &from else { panic!("{from}") };
    let broken = "PRAGMA foreign_keys = OFF; INSERT INTO mail_bodies (mail, raw) VALUES (4000, x'00')";
    rusqlite::Connection::open(path).unwrap().execute_batch(broken).unwrap();
    let refused = copy(&from, &empty.location, &mut silent()).unwrap_err();
    assert!(matches!(refused, CopyError::Store { cause: StoreError::Constraint(_), .. }), "{refused}");
    assert_eq!(schema_of(&empty.location).unwrap().found, 0);
    let file = folder.path().join("copy.db");
    let refused = copy(&from, &Location::Sqlite(file.clone()), &mut silent()).unwrap_err();
    assert!(matches!(refused, CopyError::Store { cause: StoreError::Corrupt(_), .. }), "{refused}");
    assert!(!file.exists() && !folder.path().join("copy.db.partial").exists());
}

#[test]
fn postgres_a_server_that_is_not_there_is_named_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let from = filled(&folder.path().join("karamail.db"), 300);
    let nobody = Location::Postgres("postgres://k:hunter2@127.0.0.1:9/karamail".to_owned());
    for refused in [copy(&from, &nobody, &mut silent()), copy(&nobody, &from, &mut silent())] {
        let said = refused.unwrap_err().to_string();
        assert!(said.starts_with("postgres://k@127.0.0.1:9/karamail: the database is not reachable: "), "{said}");
    }
}

#[test]
fn postgres_a_backup_of_a_server_is_a_file_that_goes_back_into_one() {
    let folder = tempfile::tempdir().unwrap();
    let (from, there) = (filled(&folder.path().join("karamail.db"), 300), Place::postgres());
    copied(&from, &there.location);
    let kept = Location::Sqlite(folder.path().join("backup.db"));
    let mut backup = Backup::begin(&folder.path().join("backup.db"), Over::Nothing).unwrap();
    backup.take(&there.location, &mut silent()).unwrap();
    let facts = backup.finish().unwrap();
    assert!(facts.tables.contains(&("jobs".to_owned(), 290)), "{facts:?}");
    assert!(compare(&from, &kept, &mut silent()).unwrap().iter().all(Compared::is_same));
    let anew = Place::postgres();
    assert_eq!(sums(&copied(&kept, &anew.location)), sums(&compare(&from, &kept, &mut silent()).unwrap()));
}

#[test]
fn a_copy_goes_only_from_a_store_of_this_schema_to_where_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| Location::Sqlite(folder.path().join(name));
    let from = filled(&folder.path().join("karamail.db"), 300);
    let said = |from: &Location, to: &Location| copy(from, to, &mut silent()).unwrap_err().to_string();
    assert!(said(&from, &from).ends_with("is both where it comes from and where it goes to"));
    assert!(said(&path("none.db"), &path("to.db")).ends_with("none.db: there is no such database"));
    std::fs::write(folder.path().join("empty.db"), "").unwrap();
    assert!(said(&path("empty.db"), &path("to.db")).ends_with("empty.db: is no store of karamail"));
    assert!(said(&from, &path("empty.db")).ends_with("empty.db: is there already"));
    std::fs::write(folder.path().join("to.db-wal"), "left behind").unwrap();
    assert!(said(&from, &path("to.db")).ends_with("to.db-wal: is there already"));
    let Location::Sqlite(file) = &from else { panic!("{from}") };
    let older = "DELETE FROM migrations WHERE number = (SELECT max(number) FROM migrations)";
    rusqlite::Connection::open(file).unwrap().execute_batch(older).unwrap();
    assert!(said(&from, &path("other.db")).contains("bring it up to date first (store migrate)"));
    rusqlite::Connection::open(file).unwrap().execute_batch("INSERT INTO migrations VALUES (900, 'x')").unwrap();
    assert!(said(&from, &path("other.db")).contains("use the program that made it, or a later one"));
    assert!(!folder.path().join("other.db").exists());
}

pub async fn a_schema_is_looked_at_without_being_made_and_brought_up_to_date_once(place: Place) {
    let location = place.location.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let before = schema_of(&location).unwrap();
        let still = schema_of(&location).unwrap();
        assert!(!matches!(&location, Location::Sqlite(path) if path.exists()));
        let (first, second) = (migrate(&location).unwrap(), migrate(&location).unwrap());
        [before, still, first, second, schema_of(&location).unwrap()].map(|schema: Schema| {
            assert!(schema.known >= 3);
            schema.found == schema.known
        })
    });
    assert_eq!(looked.await.unwrap(), [false, false, false, true, true]);
}
