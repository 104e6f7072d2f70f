use super::*;
use crate::model::{EmailAddress, Language, LoginId, Priority, Secret};
use crate::store::{Location, Options};
use std::collections::BTreeMap;

const HEADER: &str = "id,password,name,kana,department,language,mail1,mail2,mail3";

fn file(lines: &[&str]) -> Result<MemberFile, Vec<String>> {
    let text = format!("{HEADER}\n{}\n", lines.join("\n"));
    MemberFile::read(text.as_bytes()).map_err(|faults| faults.shown().iter().map(ToString::to_string).collect())
}

fn faults_of(text: &str) -> Vec<String> {
    MemberFile::read(text.as_bytes()).unwrap_err().shown().iter().map(ToString::to_string).collect()
}

fn good(lines: &[&str]) -> Arc<MemberFile> {
    Arc::new(file(lines).unwrap())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn unwatched() -> watch::Sender<usize> {
    watch::Sender::new(0)
}

struct Office {
    importer: Importer,
    org: OrgCode,
    _folder: tempfile::TempDir,
}

impl Office {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(Location::Sqlite(folder.path().join("store.db")))).await.unwrap();
        let org: OrgCode = "DEMO".parse().unwrap();
        let code = org.clone();
        store.write(move |tx| tx.add_org(&code, "デモ", None, at(0))).await.unwrap();
        let seal = KeyRing::new(1, BTreeMap::from([(1, Secret::new([7; 32]))])).unwrap();
        Self { importer: Importer { store, seal, random: Random::repeating(1) }, org, _folder: folder }
    }

    async fn import(&self, lines: &[&str]) -> Report {
        self.importer.import(&self.org, &good(lines), at(1), unwatched()).await.unwrap()
    }

    async fn member(&self, login: &str) -> Option<Member> {
        let (code, login): (_, LoginId) = (self.org.clone(), login.parse().unwrap());
        let find = move |tx: &mut Tx<'_>| {
            let org = tx.org(&code)?.unwrap();
            tx.member(org.id, &login)
        };
        self.importer.store.read(find).await.unwrap()
    }

    async fn addresses(&self, login: &str) -> Vec<String> {
        let id = self.member(login).await.unwrap().id;
        let found = self.importer.store.read(move |tx| tx.addresses_of(id)).await.unwrap();
        found.iter().map(|(priority, address)| format!("{priority} {address}")).collect()
    }

    async fn start_password(&self, login: &str) -> Option<String> {
        let id = self.member(login).await.unwrap().id;
        let sealed =
            self.importer.store.read(move |tx| tx.secret(start_password::PURPOSE, id.number())).await.unwrap()?;
        assert!(!String::from_utf8_lossy(&sealed).contains("kite"));
        Some(start_password::open(&self.importer.seal, id, &sealed).unwrap().reveal().clone())
    }
}

#[test]
fn a_row_is_read_into_its_types() {
    let file =
        file(&["０００１, ｋite7 ,山田 花子,ヤマダ ハナコ,総務,EN,\"\"\"a..b.\"\"@docomo.ne.jp\",,x@Example.JP"])
            .unwrap();
    let row = &file.rows()[0];
    assert_eq!(row.line, 2);
    assert_eq!(row.member.login.as_str(), "0001");
    assert_eq!(row.password.as_ref().unwrap().reveal(), "kite7");
    assert_eq!(row.member.name, "山田 花子");
    assert_eq!(row.member.language, Language::En);
    let shown = row.member.addresses.each_ref().map(|address| address.as_ref().map(EmailAddress::to_string));
    assert_eq!(shown, [Some("a..b.@docomo.ne.jp".to_owned()), None, Some("x@example.jp".to_owned())]);
}

#[test]
fn every_fault_of_a_file_is_named_with_line_and_column() {
    let said = file(&[
        "0001,kite7,山田,,,,,,",
        ",kite7,山田,,,fr,not-an-address,,",
        "花子,kite7,,,,,,,",
        "0001,kite7,鈴木,,,,a@b.jp,A@B.jp,",
        "0005,パスワード,佐藤,,,,,,",
        "0006,$2b$12$abcdefghijklmnopqrstuv,佐藤,,,,,,",
        "0007,kite7,\"佐\n藤\",,,,,,",
        "0008,kite7,佐藤",
        "",
        ",,,,,,,,",
        "0012,kite7,佐藤,,,,,,x y@b.jp",
    ])
    .unwrap_err();
    let expected = [
        "line 3, id: is empty",
        "line 3, language: a language is “ja” or “en”, not “fr”",
        "line 3, mail1: “not-an-address”: an address has the form name@domain",
        "line 4, id: an ID has 1 to 64 visible half-width characters, not “花子”",
        "line 4, name: is empty",
        "line 5, mail2: is the same address as in a column before",
        "line 5, id: “0001” stands in line 2 already",
        "line 6, password: cannot be typed at login",
        "line 7, password: is a hash that cannot be used",
        "line 8, name: has a line break",
        "line 10: has 3 cells and the header 9",
        "line 13, mail3: “x y@b.jp”: ",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{said} / {expected}");
    }
    assert!(!said.join("").contains("パスワード"));
}

#[test]
fn a_header_with_unknown_missing_or_doubled_columns_is_refused() {
    for (header, expected) in [
        ("id,name,mail4", "line 1: there is no column “mail4”; did you mean “mail1”?"),
        ("id,name,phone", "line 1: there is no column “phone”; the columns are id, password,"),
        ("id,name,", "line 1: column 3 has no name"),
        ("id,kana", "line 1, name: is missing from the header"),
        ("id,name,ID", "line 1, id: stands there twice, at places 1 and 3"),
        ("id\tname", "line 1: there is no column “id\tname”"),
        ("x,name", "line 1: there is no column “x”; the columns are id, password,"),
    ] {
        let said = faults_of(&format!("{header}\n1,x,y\n"));
        assert!(said[0].starts_with(expected), "{header}: {said:?}");
    }
    assert_eq!(faults_of("id,name\n"), ["line 1: there is no member below the header"]);
    assert_eq!(faults_of("")[0], "line 1, id: is missing from the header");
}

#[test]
fn ids_that_differ_in_case_or_width_only_are_one() {
    let said = faults_of("id,name\ntaro,x\nＴＡＲＯ,y\n");
    assert_eq!(said, ["line 3, id: “TARO” stands in line 2 already"]);
}

#[test]
fn faults_beyond_the_first_fifty_are_counted() {
    let text = format!("id,name\n{}", "花子,x\n".repeat(120));
    let faults = MemberFile::read(text.as_bytes()).unwrap_err();
    assert_eq!((faults.shown().len(), faults.more()), (50, 70));
}

#[test]
fn a_quote_that_never_ends_is_found() {
    let said = faults_of("id,name,mail1\n1,\"山田,a@b.jp\n2,鈴木,c@d.jp\n");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("line 2: has 2 cells and the header 3"), "{said:?}");
}

#[test]
fn a_file_in_shift_jis_keeps_its_letters() {
    let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode("id,name,kana\r\n1,髙﨑 表,ﾀｶｻｷ\r\n");
    let file = MemberFile::read(&bytes).unwrap();
    assert_eq!(file.encoding(), Encoding::ShiftJis);
    assert_eq!(file.rows()[0].member.name, "髙﨑 表");
    assert_eq!(file.rows()[0].member.kana.as_deref(), Some("ﾀｶｻｷ"));
}

#[tokio::test]
async fn members_are_added_with_sealed_start_passwords() {
    let office = Office::open().await;
    let report = office.import(&["0001,hajime-kite7,山田 花子,ヤマダ,総務,en,hanako@docomo.ne.jp,,h@example.jp"]).await;
    assert_eq!(report, Report { added: 1, ..Report::default() });
    let member = office.member("0001").await.unwrap();
    assert_eq!((member.name.as_str(), member.language), ("山田 花子", Language::En));
    assert!(member.must_change_password && member.password_hash.is_none());
    assert_eq!(office.start_password("0001").await.as_deref(), Some("hajime-kite7"));
    assert_eq!(office.addresses("0001").await, ["1 hanako@docomo.ne.jp", "3 h@example.jp"]);
}

#[tokio::test]
async fn importing_again_changes_nothing_and_keeps_passwords() {
    let office = Office::open().await;
    let line = "0001,hajime-kite7,山田,,,,a@b.jp,,";
    office.import(&[line]).await;
    assert_eq!(office.import(&[line]).await, Report { unchanged: 1, ..Report::default() });
    let other = "0001,another-kite,山田,,,,,,";
    assert_eq!(office.import(&[other]).await, Report { unchanged: 1, ..Report::default() });
    assert_eq!(office.start_password("0001").await.as_deref(), Some("hajime-kite7"));

    let id = office.member("0001").await.unwrap().id;
    office.importer.store.write(move |tx| tx.set_password(id, "$argon2id$chosen", at(2))).await.unwrap();
    let renamed = "0001,another-kite,山本,,,,,,";
    assert_eq!(office.import(&[renamed]).await, Report { changed: 1, ..Report::default() });
    let member = office.member("0001").await.unwrap();
    assert_eq!((member.name.as_str(), member.password_hash.as_deref()), ("山本", Some("$argon2id$chosen")));
    assert!(!member.must_change_password);
    assert_eq!(office.start_password("0001").await, None);
}

#[tokio::test]
async fn what_the_file_does_not_say_stays() {
    let office = Office::open().await;
    office.import(&["0001,kite7,山田,ヤマダ,総務,en,a@b.jp,,"]).await;
    let id = office.member("0001").await.unwrap().id;
    let typed: EmailAddress = "typed@b.jp".parse().unwrap();
    office
        .importer
        .store
        .write(move |tx| tx.put_address(id, Priority::Second, &typed, "registration", at(2)))
        .await
        .unwrap();
    let short = Arc::new(MemberFile::read("id,name,mail3\n0001,山本,c@d.jp\n".as_bytes()).unwrap());
    let report = office.importer.import(&office.org, &short, at(3), unwatched()).await.unwrap();
    assert_eq!(report, Report { changed: 1, ..Report::default() });
    let member = office.member("0001").await.unwrap();
    assert_eq!(member.name, "山本");
    assert_eq!((member.kana.as_deref(), member.department.as_deref()), (Some("ヤマダ"), Some("総務")));
    assert_eq!(member.language, Language::En);
    assert_eq!(office.addresses("0001").await, ["1 a@b.jp", "2 typed@b.jp", "3 c@d.jp"]);
}

#[tokio::test]
async fn a_member_without_any_password_is_given_the_files() {
    let office = Office::open().await;
    let line = "0001,hajime-kite7,山田,,,,,,";
    office.import(&[line]).await;
    let id = office.member("0001").await.unwrap().id;
    let store = &office.importer.store;
    store.write(move |tx| tx.wipe_secret(start_password::PURPOSE, id.number())).await.unwrap();
    assert_eq!(office.import(&[line]).await, Report { changed: 1, ..Report::default() });
    assert_eq!(office.start_password("0001").await.as_deref(), Some("hajime-kite7"));
}

#[tokio::test]
async fn a_hashed_start_password_is_taken_as_it_is() {
    let office = Office::open().await;
    let phc = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ";
    let line = format!("0001,\"{phc}\",山田,,,,,,");
    office.import(&[&line]).await;
    let member = office.member("0001").await.unwrap();
    assert_eq!(member.password_hash.as_deref(), Some(phc));
    assert!(member.must_change_password);
    assert_eq!(office.start_password("0001").await, None);
}

#[tokio::test]
async fn a_new_member_without_a_password_stops_the_whole_import() {
    let office = Office::open().await;
    office.import(&["0001,kite7,山田,,,,,,"]).await;
    let lines = good(&["0001,,山本,,,,,,", "0002,kite7,佐藤,,,,,,", "0003,,鈴木,,,,,,"]);
    let Err(ImportError::Faults(faults)) = office.importer.import(&office.org, &lines, at(2), unwatched()).await else {
        panic!("taken")
    };
    let said: Vec<String> = faults.shown().iter().map(ToString::to_string).collect();
    assert_eq!(said, ["line 4, password: is empty, and this member is new: nobody could log in"]);
    assert_eq!(office.member("0001").await.unwrap().name, "山田");
    assert!(office.member("0002").await.is_none());
}

#[tokio::test]
async fn a_rehearsal_says_the_same_and_writes_nothing() {
    let office = Office::open().await;
    office.import(&["0001,kite7,山田,,,,,,", "0002,kite7,佐藤,,,,,,"]).await;
    let lines = good(&["0001,kite7,山田,,,,,,", "0002,kite7,佐々木,,,,,,", "0003,kite7,鈴木,,,,,,"]);
    let expected = Report { added: 1, changed: 1, unchanged: 1 };
    assert_eq!(office.importer.rehearse(&office.org, &lines, at(1), unwatched()).await.unwrap(), expected);
    assert!(office.member("0003").await.is_none());
    assert_eq!(office.importer.import(&office.org, &lines, at(2), unwatched()).await.unwrap(), expected);
    assert!(office.member("0003").await.is_some());
}

#[tokio::test]
async fn an_import_of_several_pages_is_complete() {
    let office = Office::open().await;
    let lines: Vec<String> = (0..PAGE * 2 + 1).map(|id| format!("{id},kite7,member {id},,,,m{id}@b.jp,,")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(office.import(&lines).await.added, PAGE * 2 + 1);
    assert_eq!(office.addresses("2000").await, ["1 m2000@b.jp"]);
    let again = good(&lines);
    assert_eq!(
        office.importer.rehearse(&office.org, &again, at(1), unwatched()).await.unwrap().unchanged,
        PAGE * 2 + 1
    );
}

#[tokio::test]
async fn members_of_an_organisation_that_is_not_there_are_refused_with_what_to_do() {
    let office = Office::open().await;
    let none: OrgCode = "NONE".parse().unwrap();
    let refused =
        office.importer.import(&none, &good(&["0001,kite7,山田,,,,,,"]), at(1), unwatched()).await.unwrap_err();
    assert!(refused.to_string().contains("org add NONE --title"), "{refused}");
}

proptest::proptest! {
    #[test]
    fn whatever_bytes_a_file_has_it_is_read_or_its_faults_are_named(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        cells in proptest::collection::vec("[ -~あ\"\r\n\u{1b}]{0,12}", 0..24),
    ) {
        let lines: String = cells.chunks(3).map(|cells| cells.join(",") + "\n").collect();
        let files = [bytes.clone(), [HEADER.as_bytes(), b"\n", &bytes].concat(), format!("id,name,mail1\n{lines}").into_bytes()];
        for file in files {
            match MemberFile::read(&file) {
                Ok(file) => proptest::prop_assert!(!file.rows().is_empty()),
                Err(faults) => proptest::prop_assert!(!faults.shown().is_empty()),
            }
        }
    }
}

#[tokio::test]
async fn an_import_is_in_the_audit_log_with_the_addresses_it_changed() {
    let office = Office::open().await;
    office.import(&["0001,kite7,山田,,,,a@b.jp,,", "0002,kite7,鈴木,,,,,,"]).await;
    office.import(&["0001,,山田,,,,c@d.jp,,e@f.jp", "0002,,鈴木,,,,,,"]).await;
    // What was known writes nothing.
    office.import(&["0001,,山田,,,,c@d.jp,,e@f.jp", "0002,,鈴木,,,,,,"]).await;
    assert_eq!(
        audit::told(&office.importer.store).await,
        [
            r#"users_imported operator {"added":2,"changed":0}"#,
            r#"user_address_changed operator {"place":1,"address":"c***@d.jp","before":"a***@b.jp"}"#,
            r#"user_address_added operator {"place":3,"address":"e***@f.jp"}"#,
            r#"users_imported operator {"added":0,"changed":1}"#,
        ]
    );
}

#[tokio::test]
async fn an_address_that_the_member_has_in_another_place_is_found_before_anything_is_written() {
    let office = Office::open().await;
    office.import(&["0001,kite7,山田,,,,,x@b.jp,y@b.jp", "0002,kite7,佐藤,,,,,,"]).await;
    let clash = good(&["0001,,山田,,,,X@b.jp,,", "0002,,鈴木,,,,,,"]);
    let ImportError::Faults(faults) =
        office.importer.import(&office.org, &clash, at(2), unwatched()).await.unwrap_err()
    else {
        panic!("not for its faults")
    };
    let said: Vec<String> = faults.shown().iter().map(ToString::to_string).collect();
    let why = "is the address that this member has as mail2: leave it blank, or give another mail2";
    assert_eq!(said, [format!("line 2, mail1: {why}")]);
    assert_eq!(office.member("0002").await.unwrap().name, "佐藤");
    // Places may be exchanged, and what stands where it stood is no clash.
    office.import(&["0001,,山田,,,,x@b.jp,y@b.jp,z@b.jp"]).await;
    assert_eq!(office.addresses("0001").await, ["1 x@b.jp", "2 y@b.jp", "3 z@b.jp"]);
    office.import(&["0001,,山田花,,,,,,z@b.jp"]).await;
    assert_eq!(office.member("0001").await.unwrap().name, "山田花");
}
