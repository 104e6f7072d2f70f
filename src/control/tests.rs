use super::*;
use crate::clock::Clock;
use crate::maillog;
use crate::model::{KeyRing, Language, Priority, Received, RegistrationId, Reply, ReversePath, Secret, Span, Stage};
use crate::model::{Timestamp, Via};
use crate::queue::{Cause, Class, Content, NewJob};
use crate::random::Random;
use crate::store::{
    AddressRow, AddressState, FactorKind, Location, NewMail, NewMember, Options, Reclaim, Settlement, Store,
    StoreError, Tx,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

mod resets;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

/// A desk over a database of its own.
struct Office {
    desk: Desk,
    folder: tempfile::TempDir,
}

impl Office {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, commits) = watch::channel(0);
        let observer = Arc::new(move |_: &[crate::store::Event]| sender.send_modify(|count| *count += 1));
        let options = Options::new(Location::Sqlite(folder.path().join("store.db"))).observed_by(observer);
        let desk = Desk {
            store: Store::open(options).await.unwrap(),
            seal: KeyRing::new(1, BTreeMap::from([(1, Secret::new([7; 32]))])).unwrap(),
            random: Random::repeating(1),
            notices: crate::service::notice::Notices { give_up: Span::from_secs(86_400) },
            clock: Clock::turned_by_hand(at(100)),
            commits,
            live: None,
            groups: crate::queue::destination::Groups::default(),
        };
        Self { desk, folder }
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.desk.store.write(work).await.unwrap()
    }

    /// All answers to a request, without the end.
    async fn ask(&self, request: Request) -> Vec<Response> {
        let (to, mut answers) = mpsc::channel(100);
        self.desk.answer(request, to).await;
        let mut all = Vec::new();
        while let Some(answer) = answers.recv().await {
            all.push(answer);
        }
        assert_eq!(all.pop(), Some(Response::End));
        all
    }

    /// The one answer to a request, as scripts see its facts.
    async fn facts(&self, request: Request) -> Value {
        let mut answers = self.ask(request).await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        serde_json::to_value(answers.remove(0)).unwrap()["facts"].take()
    }

    async fn refusal(&self, request: Request) -> String {
        self.facts(request).await["why"].as_str().unwrap().to_owned()
    }

    async fn with_demo() -> Self {
        let office = Self::open().await;
        let org = "demo".parse().unwrap();
        office.facts(Request::AddOrg { org, title: " デモ ".to_owned(), title_en: Some("Demo".to_owned()) }).await;
        office
    }
}

fn import(text: &str, dry_run: bool) -> Request {
    let file = data_encoding::BASE64.encode(text.as_bytes());
    Request::ImportMembers { org: "DEMO".parse().unwrap(), file, dry_run }
}

fn job(to: &str, cause: Option<MailId>) -> NewJob {
    NewJob {
        class: Class::Registration,
        to: address(to),
        content: Content::RegistrationReply {
            registration: RegistrationId::new(1),
            key: 1,
            expires: 86_400,
            nonce: "00".repeat(16),
        },
        language: None,
        cause,
        queued_at: at(10),
        due: at(10),
        give_up: at(1_000),
    }
}

fn mail(from: &str) -> NewMail {
    NewMail {
        via: Via::Smtp,
        peer: "203.0.113.9".parse().unwrap(),
        helo: "gw.docomo.ne.jp".to_owned(),
        sender: Some(address(from)),
        to: address("bizanpi@example.jp"),
        message_id: Some("<1@docomo.ne.jp>".to_owned()),
        size: 512,
        at: at(10),
        decision: "kept",
        reason: None,
        raw: Some(b"Subject: hello\r\n\r\n\xff".to_vec()),
    }
}

#[tokio::test]
async fn an_organisation_is_added_once_changed_and_shown() {
    let office = Office::with_demo().await;
    let org: OrgCode = "DEMO".parse().unwrap();
    let shown = office.facts(Request::ShowOrg { org: org.clone() }).await;
    assert_eq!(
        shown,
        json!({
            "org": "DEMO", "title": "デモ", "title_en": "Demo", "members": 0, "created_at": at(100).to_string(),
            "second_factors": {"members": 0, "mail_only": 0},
            "profile": "manual", "plan": "standard", "two_factor": false, "otp_digits": 6, "otp_lifetime": 3600,
            "backup_code": "digits8", "password_min_length": 1, "password_max_length": 32,
            "password_min_strength": "weak", "blocklist": "reject", "reauthenticate_after": 300, "differs": [],
        })
    );
    let again = Request::AddOrg { org: org.clone(), title: "x".to_owned(), title_en: None };
    assert!(office.refusal(again).await.contains("already"));
    let set = Request::SetOrg { org: org.clone(), title: Some("新".to_owned()), title_en: None, policy: Vec::new() };
    assert_eq!(office.facts(set).await["title"], "新");
    assert_eq!(office.facts(Request::ListOrgs).await[0]["title_en"], "Demo");
    let nobody: OrgCode = "NOBODY".parse().unwrap();
    for request in [
        Request::ShowOrg { org: nobody.clone() },
        Request::SetOrg { org: nobody.clone(), title: None, title_en: None, policy: Vec::new() },
        Request::ListMembers { org: nobody.clone() },
        Request::ShowMember { org: nobody, id: "1".parse().unwrap() },
    ] {
        assert!(office.refusal(request).await.contains("no organisation NOBODY"));
    }
    for title in ["", " ", "a\nb", "see https://x.jp", &"x".repeat(65)] {
        let request =
            Request::SetOrg { org: org.clone(), title: Some(title.to_owned()), title_en: None, policy: Vec::new() };
        assert!(office.refusal(request).await.contains("one line"), "{title}");
    }
}

#[tokio::test]
async fn a_profile_goes_before_what_stands_beside_it_and_it_is_shown_what_differs() {
    let office = Office::with_demo().await;
    let org: OrgCode = "DEMO".parse().unwrap();
    let set = |changes: &[(&str, &str)]| {
        let policy = changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Request::SetOrg { org: org.clone(), title: None, title_en: None, policy }
    };
    let shown = office.facts(set(&[("password_min_length", "12"), ("two_factor", "on"), ("profile", "asvs2")])).await;
    assert_eq!((&shown["profile"], &shown["password_min_length"]), (&json!("asvs2"), &json!(12)));
    assert_eq!((&shown["otp_lifetime"], &shown["two_factor"]), (&json!(600), &json!(true)));
    assert_eq!(shown["differs"], json!(["password_min_length"]));
    assert_eq!(office.facts(set(&[("profile", "asvs2")])).await["differs"], json!([]));
}

#[tokio::test]
async fn the_share_of_members_who_have_codes_by_mail_only_is_shown() {
    let office = Office::with_demo().await;
    let file = "id,password,name\n1,kite7,a\n2,kite7,b\n3,kite7,c\n4,kite7,d\n5,kite7,e\n";
    office.facts(import(file, false)).await;
    let org: OrgCode = "DEMO".parse().unwrap();
    let found = office.write(|tx| tx.org(&"DEMO".parse().unwrap())).await.unwrap().id;
    office
        .write(move |tx| {
            let codes = address("codes@d.jp");
            for (login, app, mail, ends) in [
                ("1", false, true, false),
                ("2", true, true, false),
                ("3", true, false, false),
                ("4", false, true, true),
            ] {
                let member = tx.member(found, &login.parse().unwrap())?.unwrap().id;
                if app {
                    tx.put_factor(member, FactorKind::App, None, None, at(1))?;
                }
                if mail {
                    tx.put_factor(member, FactorKind::Mail, Some(&codes), None, at(1))?;
                }
                if ends {
                    tx.end_factors(member, at(2))?;
                }
            }
            Ok(())
        })
        .await;
    let shown = office.facts(Request::ShowOrg { org }).await;
    assert_eq!(shown["second_factors"], json!({"members": 3, "mail_only": 1}));
}

#[tokio::test]
async fn members_are_imported_listed_and_shown_with_the_keys_scripts_rely_on() {
    let office = Office::with_demo().await;
    let file = "id,password,name,language,mail1\n0001,kite7,山田,en,a@b.jp\n";
    let report = office.facts(import(file, true)).await;
    assert_eq!(
        report,
        json!({"org": "DEMO", "encoding": "UTF-8", "added": 1, "changed": 0, "unchanged": 0, "dry_run": true})
    );
    let list = Request::ListMembers { org: "DEMO".parse().unwrap() };
    assert!(office.ask(list.clone()).await.is_empty());
    assert_eq!(office.facts(import(file, false)).await["added"], 1);
    assert_eq!(office.facts(list).await[0]["id"], "0001");

    let row = AddressRow {
        address: address("a@b.jp"),
        state: AddressState::Verified,
        verdict: None,
        stage: None,
        reply: None,
        at: None,
        verified_at: Some(at(5)),
        unknown_day: None,
    };
    office.write(move |tx| tx.note_address(&row)).await;
    let shown = office.facts(Request::ShowMember { org: "DEMO".parse().unwrap(), id: "0001".parse().unwrap() }).await;
    assert_eq!(
        shown,
        json!({
            "org": "DEMO", "id": "0001", "name": "山田", "kana": null, "department": null, "language": "en",
            "must_change_password": true, "last_login": null,
            "start_password_expires": at(100 + 14 * 86_400).to_string(),
            "addresses": [{"priority": 1, "address": "a@b.jp", "state": "verified"}],
            "two_factor": {"app": false, "mail": false, "backup_code": false},
        })
    );
    let unknown = Request::ShowMember { org: "DEMO".parse().unwrap(), id: "0002".parse().unwrap() };
    assert_eq!(office.refusal(unknown).await, "DEMO has no member 0002");
}

#[tokio::test]
async fn r022_what_an_organisation_asks_for_is_set_all_or_nothing() {
    let office = Office::with_demo().await;
    let org: OrgCode = "DEMO".parse().unwrap();
    let set = |changes: &[(&str, &str)]| {
        let policy = changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Request::SetOrg { org: org.clone(), title: None, title_en: None, policy }
    };
    let shown = office.facts(set(&[("two_factor", "on"), ("otp_digits", "8")])).await;
    assert_eq!((&shown["two_factor"], &shown["otp_digits"]), (&json!(true), &json!(8)));
    assert!(office.refusal(set(&[("two_factor", "off"), ("otp_digits", "9")])).await.contains("from 6 to 8"));
    assert!(office.refusal(set(&[("family", "on")])).await.contains("no key “family”"));
    assert_eq!(office.facts(Request::ShowOrg { org: org.clone() }).await, shown);
}

#[tokio::test]
async fn a_faulty_file_is_answered_with_its_faults() {
    let office = Office::with_demo().await;
    let faults = office.facts(import("id,name,mail1\n1,x,a@\n2,,b@c.jp\n", false)).await;
    assert_eq!(faults["faults"][0]["line"], 2);
    assert_eq!(faults["faults"][0]["column"], "mail1");
    assert_eq!(faults["faults"][1]["problem"], "is empty");
    assert_eq!(faults["more"], 0);
    let org = "DEMO".parse().unwrap();
    assert!(
        office.refusal(Request::ImportMembers { org, file: "*".to_owned(), dry_run: true }).await.contains("no base64")
    );
}

#[tokio::test]
async fn long_lists_of_members_come_in_pages() {
    let office = Office::with_demo().await;
    let lines: String = (0..1_001).map(|id| format!("{id:04},kite7,member {id}\n")).collect();
    office.facts(import(&format!("id,password,name\n{lines}"), false)).await;
    let pages = office.ask(Request::ListMembers { org: "DEMO".parse().unwrap() }).await;
    let sizes: Vec<usize> =
        pages.iter().map(|page| if let Response::Members(rows) = page { rows.len() } else { 0 }).collect();
    assert_eq!(sizes, [500, 500, 1]);
}

#[tokio::test]
async fn a_job_is_shown_with_the_keys_scripts_rely_on_and_the_reason_it_waits() {
    let office = Office::open().await;
    let id = office.write(|tx| tx.enqueue(&job("hanako@docomo.ne.jp", None))).await;
    office.write(|tx| tx.claim("w", at(20), at(60), 10)).await;
    let defer = Settlement::Defer {
        due: at(200),
        stage: Stage::Rcpt,
        reply: Reply::new(451, "4.7.1 Greylisted"),
        cause: Cause::Greylisted,
        at: at(21),
    };
    assert!(office.write(move |tx| tx.settle(id, "w", 1, &defer)).await);
    let shown = office.facts(Request::ShowJob { job: id }).await;
    assert_eq!(
        shown,
        json!({
            "job": id.to_string(), "class": "registration", "to": "hanako@docomo.ne.jp", "state": "deferred",
            "due": at(200).to_string(), "attempts": 1,
            "last": {"code": 451, "stage": "rcpt", "reply": "4.7.1 Greylisted"},
            "why": format!("the server wants to see us come back; another try at {} after: 451 4.7.1 Greylisted (rcpt)", at(200)),
            "queued_at": at(10).to_string(), "give_up": at(1_000).to_string(), "cause": null,
        })
    );
    let list = |class: Option<&str>, to: Option<&str>, state: Option<&str>| Request::ListJobs {
        class: class.map(str::to_owned),
        to: to.map(str::to_owned),
        state: state.map(str::to_owned),
        limit: 10,
    };
    for (request, found) in [
        (list(None, None, None), 1),
        (list(Some("registration"), Some("docomo.ne.jp"), Some("deferred")), 1),
        (list(Some("otp"), None, None), 0),
        (list(None, Some("example.jp"), None), 0),
        (list(None, None, Some("accepted")), 0),
    ] {
        assert_eq!(office.facts(request).await.as_array().unwrap().len(), found);
    }
    assert!(office.refusal(list(Some("bulk"), None, None)).await.contains("no class"));
    assert!(office.refusal(Request::ShowJob { job: JobId::new(99) }).await.contains("no job"));
}

#[tokio::test]
async fn an_ended_job_is_found_by_its_state_and_is_due_no_more() {
    let office = Office::open().await;
    let id = office.write(|tx| tx.enqueue(&job("hanako@docomo.ne.jp", None))).await;
    office.write(|tx| tx.claim("w", at(20), at(60), 10)).await;
    let reply = Reply::new(250, "2.0.0 Ok");
    let end = Settlement::End {
        state: crate::queue::State::Accepted,
        stage: Some(Stage::Data),
        reply: Some(reply),
        at: at(21),
    };
    assert!(office.write(move |tx| tx.settle(id, "w", 1, &end)).await);
    let request = Request::ListJobs { class: None, to: None, state: Some("accepted".to_owned()), limit: 10 };
    let listed = office.facts(request).await;
    assert_eq!(listed[0]["due"], Value::Null);
    assert_eq!(listed[0]["why"], "the receiving server took it after: 250 2.0.0 Ok (data)");
}

#[tokio::test]
async fn a_kept_mail_is_shown_with_its_text() {
    let office = Office::open().await;
    let id = office.write(|tx| tx.remember_mail(&mail("x@y.jp"))).await;
    let shown = office.facts(Request::ShowMail { mail: id }).await;
    assert_eq!(shown["decision"], "kept");
    assert_eq!(shown["message"], "Subject: hello\r\n\r\n\u{fffd}");
    assert!(office.refusal(Request::ShowMail { mail: MailId::new(99) }).await.contains("no mail"));
}

#[tokio::test]
async fn an_address_is_shown_with_the_keys_scripts_rely_on() {
    let office = Office::with_demo().await;
    let new = office.facts(Request::ShowAddress { address: address("nobody@b.jp") }).await;
    assert_eq!(
        new,
        json!({
            "address": "nobody@b.jp", "state": "new", "verdict": null, "stage": null, "reply": null, "at": null,
            "verified_at": null, "members": [],
        })
    );
    office.facts(import("id,password,name,mail2\n0001,kite7,山田,a@b.jp\n", false)).await;
    let shown = office.facts(Request::ShowAddress { address: address("A@b.jp") }).await;
    assert_eq!(shown["members"], json!([{"org": "DEMO", "id": "0001", "priority": 2}]));
}

/// A visit, then two mails of one sender, an answer to each, and a visit after the second.
async fn two_lives(office: &Office) -> [(MailId, JobId); 2] {
    let visit = |second| {
        move |tx: &mut Tx<'_>| {
            maillog::visited(tx, RegistrationId::new(1), &address("hanako@docomo.ne.jp"), "page", at(second))
        }
    };
    office.write(visit(5)).await;
    let mut lives = Vec::new();
    for minute in [1, 2] {
        let life = office
            .write(move |tx| {
                let mail = tx.remember_mail(&mail("hanako@docomo.ne.jp"))?;
                let received = Received {
                    via: Via::Smtp,
                    peer: "203.0.113.9".parse().unwrap(),
                    helo: "gw".to_owned(),
                    envelope_sender: ReversePath::Address(address("hanako@docomo.ne.jp")),
                    recipients: vec![address("bizanpi@example.jp")],
                    message: Vec::new(),
                    at: at(60 * minute),
                };
                maillog::received(tx, mail, &received, &address("bizanpi@example.jp"))?;
                let order = NewJob { queued_at: at(60 * minute), ..job("hanako@docomo.ne.jp", Some(mail)) };
                let job = tx.enqueue(&order)?;
                maillog::queued(tx, job, &order)?;
                Ok((mail, job))
            })
            .await;
        lives.push(life);
    }
    office.write(visit(180)).await;
    lives.try_into().unwrap()
}

fn names(trace: &Value) -> Vec<&str> {
    trace["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_life_is_told_in_order_without_what_belongs_to_others() {
    let office = Office::open().await;
    let [(mail, job), _] = two_lives(&office).await;
    for of in [Subject::Mail(mail), Subject::Job(job)] {
        let trace = office.facts(Request::Trace { of: of.clone() }).await;
        assert_eq!(names(&trace), ["received", "queued", "visited"], "{of:?}");
        assert_eq!(trace["events"][0]["at"], at(60).to_string());
        assert_eq!(trace["events"][1]["job"], job.to_string());
    }
    let all = office.facts(Request::Trace { of: Subject::Address(address("Hanako@docomo.ne.jp")) }).await;
    assert_eq!(names(&all), ["visited", "received", "queued", "received", "queued", "visited"]);
    for of in [Subject::Mail(MailId::new(99)), Subject::Job(JobId::new(99)), Subject::Address(address("x@y.jp"))] {
        assert!(office.refusal(Request::Trace { of }).await.contains("nothing is known"));
    }
}

#[tokio::test]
async fn the_life_of_one_of_two_jobs_of_a_mail_leaves_out_the_other() {
    let office = Office::open().await;
    let [(mail, first), _] = two_lives(&office).await;
    let second = office
        .write(move |tx| {
            let order = NewJob { queued_at: at(90), ..job("ops@example.jp", Some(mail)) };
            let id = tx.enqueue(&order)?;
            maillog::queued(tx, id, &order)?;
            Ok(id)
        })
        .await;
    let trace = office.facts(Request::Trace { of: Subject::Job(first) }).await;
    assert_eq!(names(&trace), ["received", "queued", "visited"]);
    assert!(!trace.to_string().contains(&second.to_string()));
    let trace = office.facts(Request::Trace { of: Subject::Mail(mail) }).await;
    assert_eq!(names(&trace), ["received", "queued", "queued", "visited"]);
}

#[tokio::test]
async fn the_log_gives_all_or_the_last_lines() {
    let office = Office::open().await;
    two_lives(&office).await;
    let all = office.facts(Request::Log { lines: None, follow: false }).await;
    assert_eq!(all.as_array().unwrap().len(), 6);
    let last = office.facts(Request::Log { lines: Some(2), follow: false }).await;
    let last: Vec<&str> = last.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(last, ["queued", "visited"]);
}

#[tokio::test]
async fn a_long_log_comes_in_pages_and_loses_nothing() {
    let office = Office::open().await;
    office
        .write(|tx| {
            (0..1_201i64).try_for_each(|second| maillog::marked(tx, &address("a@b.jp"), "accepted", at(second)))
        })
        .await;
    let pages = office.ask(Request::Log { lines: None, follow: false }).await;
    let events: Vec<EventFacts> = pages
        .into_iter()
        .flat_map(|page| if let Response::Events(events) = page { events } else { Vec::new() })
        .collect();
    assert_eq!(events.len(), 1_201);
    assert!(events.iter().enumerate().all(|(place, event)| event.at == at(place as i64).to_string()));
}

#[test]
fn a_subject_is_an_address_a_mail_or_a_job() {
    assert_eq!("a@b.jp".parse(), Ok(Subject::Address(address("a@b.jp"))));
    assert_eq!("maa".parse(), Ok(Subject::Mail(MailId::new(0))));
    assert_eq!("jb".parse(), Ok(Subject::Job(JobId::new(1))));
    for text in ["", "x", "raa", "a@", "j1"] {
        assert!(text.parse::<Subject>().is_err(), "{text}");
    }
}

#[test]
fn requests_and_answers_survive_the_wire() {
    let request = Request::Trace { of: Subject::Address(address("a..b.@docomo.ne.jp")) };
    let line = serde_json::to_string(&request).unwrap();
    assert_eq!(line, r#"{"ask":"trace","of":{"address":"a..b.@docomo.ne.jp"}}"#);
    assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
    let answer = Response::Events(vec![EventFacts {
        at: "now".to_owned(),
        event: "marked".to_owned(),
        fields: serde_json::Map::from_iter([("to".to_owned(), json!("<a***@b.jp>"))]),
    }]);
    let line = serde_json::to_string(&answer).unwrap();
    assert_eq!(line, r#"{"answer":"events","facts":[{"at":"now","event":"marked","to":"<a***@b.jp>"}]}"#);
    assert_eq!(serde_json::from_str::<Response>(&line).unwrap(), answer);
}

/// A daemon's door in a folder of its own.
struct Door {
    office: Office,
    folder: tempfile::TempDir,
    tasks: JoinSet<()>,
}

impl Door {
    async fn open() -> Self {
        let (office, folder) = (Office::with_demo().await, tempfile::tempdir().unwrap());
        let socket = Socket::open(folder.path()).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(socket.serve(office.desk.clone()));
        Self { office, folder, tasks }
    }

    async fn ask(&self, request: &Request) -> Answers {
        ask(self.folder.path(), request).await.unwrap()
    }

    /// What is answered to bytes that no command of ours sends.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.folder.path().join("control.sock")).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        said
    }
}

#[tokio::test]
async fn a_command_is_answered_through_the_door() {
    let door = Door::open().await;
    let mut answers = door.ask(&Request::ListOrgs).await;
    assert!(matches!(answers.next().await.unwrap(), Some(Response::Orgs(orgs)) if orgs.len() == 1));
    assert_eq!(answers.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_large_file_goes_through_the_door() {
    let door = Door::open().await;
    let name = "x".repeat(150);
    let lines: String = (0..5_000).map(|id| format!("{id},kite7,{name}\n")).collect();
    let mut answers = door.ask(&import(&format!("id,password,name\n{lines}"), true)).await;
    assert!(matches!(answers.next().await.unwrap(), Some(Response::Import(facts)) if facts.added == 5_000));
}

#[tokio::test]
async fn the_door_is_open_to_its_owner_only_and_is_taken_away_at_the_end() {
    let mut door = Door::open().await;
    let path = door.folder.path().join("control.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!door.folder.path().join("control.new").exists());
    door.tasks.shutdown().await;
    assert!(!path.exists());
    assert!(matches!(ask(door.folder.path(), &Request::Ping).await, Err(AskError::Down)));
}

#[tokio::test]
async fn a_door_left_behind_by_a_killed_daemon_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let left = Socket::open(folder.path()).unwrap();
    std::mem::forget(left);
    std::fs::create_dir(folder.path().join("control.new")).unwrap();
    Socket::open(folder.path()).unwrap();
}

#[tokio::test]
async fn nonsense_at_the_door_is_answered_or_hung_up_on() {
    let door = Door::open().await;
    for bytes in [
        &b"{}\n"[..],
        b"nonsense\n",
        b"\n",
        b"\xff\n",
        br#"{"ask":"fly"}
"#,
    ] {
        let said = door.say(bytes).await;
        assert!(said.contains("are both of one version?") && said.ends_with("{\"answer\":\"end\"}\n"), "{said}");
    }
    for bytes in [&b""[..], b"{\"ask\":\"list_orgs\"}"] {
        assert_eq!(door.say(bytes).await, "");
    }
    assert_eq!(door.ask(&Request::Ping).await.next().await.unwrap(), Some(Response::Done));
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on_when_the_time_is_over() {
    let door = Door::open().await;
    let mut silent = UnixStream::connect(door.folder.path().join("control.sock")).await.unwrap();
    // The other command is answered behind it, so the silent one is being waited for by now.
    door.ask(&Request::Ping).await.next().await.unwrap();
    door.office.desk.clock.turn(Span::from_secs(61));
    let mut said = Vec::new();
    assert_eq!(silent.read_to_end(&mut said).await.unwrap(), 0);
}

#[tokio::test]
async fn what_comes_is_followed_until_the_command_hangs_up() {
    let door = Door::open().await;
    let mut answers = door.ask(&Request::Log { lines: Some(10), follow: true }).await;
    for state in ["verified", "accepted"] {
        door.office.write(move |tx| maillog::marked(tx, &address("a@b.jp"), state, at(1))).await;
        let Some(Response::Events(events)) = answers.next().await.unwrap() else { panic!("no events") };
        let states: Vec<&Value> = events.iter().map(|event| &event.fields["state"]).collect();
        assert_eq!(states, [&json!(state)]);
    }
    drop(answers);
    // All turns are free again: the follower kept none.
    for _ in 0..40 {
        assert_eq!(door.ask(&Request::Ping).await.next().await.unwrap(), Some(Response::Done));
    }
}

#[tokio::test]
async fn a_command_waits_for_its_turn_where_too_many_are_answered() {
    let door = Door::open().await;
    let follow = Request::Log { lines: None, follow: true };
    let mut followers = Vec::new();
    for _ in 0..32 {
        followers.push(door.ask(&follow).await);
    }
    let mut waiting = door.ask(&Request::Ping).await;
    // News went to everybody twice: whoever had a turn has been answered by now.
    for _ in 0..2 {
        door.office.write(|tx| maillog::marked(tx, &address("a@b.jp"), "accepted", at(1))).await;
        for follower in &mut followers {
            assert!(matches!(follower.next().await.unwrap(), Some(Response::Events(_))));
        }
    }
    door.office.write(|tx| maillog::marked(tx, &address("a@b.jp"), "accepted", at(1))).await;
    tokio::select! {
        biased;
        answer = waiting.next() => panic!("answered before its turn: {answer:?}"),
        news = followers[0].next() => assert!(matches!(news.unwrap(), Some(Response::Events(_)))),
    }
    followers.pop();
    assert_eq!(waiting.next().await.unwrap(), Some(Response::Done));
}

#[tokio::test]
async fn who_closes_the_half_that_is_not_needed_is_answered_all_the_same() {
    let door = Door::open().await;
    let said = door.say(b"{\"ask\":\"list_orgs\"}\n").await;
    assert!(said.contains("DEMO") && said.ends_with("{\"answer\":\"end\"}\n"), "{said}");
}

#[tokio::test]
async fn a_log_that_nobody_writes_is_not_followed() {
    let (mut office, (sender, commits)) = (Office::open().await, watch::channel(0));
    drop(sender);
    office.desk.commits = commits;
    assert!(office.refusal(Request::Log { lines: None, follow: true }).await.contains("nothing more will come"));
}

#[test]
fn the_lock_is_held_by_one_and_names_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let lock = Lock::take(&data_dir).unwrap();
    assert_eq!(std::fs::metadata(&data_dir).unwrap().permissions().mode() & 0o777, 0o700);
    let held = Lock::take(&data_dir).unwrap_err();
    assert!(held.to_string().contains(&format!("process {}", std::process::id())), "{held}");
    drop(lock);
    Lock::take(&data_dir).unwrap();
    let missing = Lock::take(std::path::Path::new("/proc/none")).unwrap_err();
    assert!(matches!(missing, LockError::Io { .. }), "{missing}");
}

#[tokio::test]
async fn a_claim_given_back_reads_as_waiting_again() {
    let office = Office::open().await;
    let id = office.write(|tx| tx.enqueue(&job("a@b.jp", None))).await;
    office.write(|tx| tx.claim("w", at(20), at(60), 10)).await;
    office.write(|tx| tx.reclaim(at(61), Reclaim::Expired)).await;
    assert_eq!(office.facts(Request::ShowJob { job: id }).await["state"], "queued");
}

#[tokio::test]
async fn a_member_of_the_store_is_shown_without_a_password() {
    let office = Office::with_demo().await;
    office
        .write(|tx| {
            let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
            let member = NewMember {
                login: "0001".parse().unwrap(),
                name: "山田".to_owned(),
                kana: None,
                department: None,
                language: Language::Ja,
                password_hash: Some("$argon2id$secret".to_owned()),
                addresses: [None, None, None],
            };
            let (id, _) = tx.put_member(org.id, &member, at(1))?;
            tx.put_address(id, Priority::First, &address("a@b.jp"), "registration", at(1))
        })
        .await;
    let request = Request::ShowMember { org: "DEMO".parse().unwrap(), id: "0001".parse().unwrap() };
    assert!(!office.facts(request).await.to_string().contains("secret"));
}
