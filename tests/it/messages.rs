//! Every mail of `tests/messages` is read and decided as the file beside it expects, and answered as the interface says.
//!
//! Each is taken in by a reception with a store of its own, after the mails that its expectation names (`after`), which
//! come from the same folder.

use karamail::keys::{Keychain, Keys};
use karamail::mail::read::{FromField, Mark, Reading, read};
use karamail::mail::template::Templates;
use karamail::model::{EmailAddress, KeyRing, Received, ReversePath, Secret, Span, Timestamp, Via};
use karamail::queue::Job;
use karamail::random::Random;
use karamail::service::compose::{self, Composed, Composer};
use karamail::service::reception::{Destination, Reception, Settings};
use karamail::service::registration::{Own, Reason};
use karamail::store::{JobFilter, Location, MailRow, Options, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const NOON: Timestamp = Timestamp::from_millis(1_795_316_400_123);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages")
}

fn names_of(ending: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let fitting = files.filter(|path| path.extension().is_some_and(|found| found == ending));
    fitting.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

/// A mail and what is expected of it.
struct Case {
    name: String,
    message: Vec<u8>,
    /// Keys and their values; a key may stand on several lines.
    expected: Vec<(String, String)>,
}

impl Case {
    fn load(name: &str) -> Self {
        let message = std::fs::read(folder().join(format!("{name}.eml"))).unwrap();
        let text = std::fs::read_to_string(folder().join(format!("{name}.expected"))).unwrap();
        let expected = text.lines().map(|line| {
            let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{name}: {line}"));
            (key.to_owned(), value.to_owned())
        });
        Self { name: name.to_owned(), message, expected: expected.collect() }
    }

    fn all() -> Vec<Self> {
        names_of("eml").iter().map(|name| Self::load(name)).collect()
    }

    fn find(&self, key: &str) -> Option<&str> {
        self.expected.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str())
    }

    fn get(&self, key: &str) -> &str {
        self.find(key).unwrap_or_else(|| panic!("{}: no {key}", self.name))
    }

    fn received(&self) -> Received {
        let envelope = self.get("envelope");
        Received {
            via: Via::Smtp,
            peer: self.find("peer").unwrap_or("203.0.113.9").parse().unwrap(),
            tls: None,
            helo: "phone.example".to_owned(),
            envelope_sender: match envelope {
                "<>" => ReversePath::Null,
                address => ReversePath::Address(address.parse().unwrap()),
            },
            recipients: vec!["bizanpi@mc-anpi.example".parse().unwrap()],
            message: self.message.clone(),
            at: NOON,
        }
    }

    /// How mails are taken in, with the narrower limit that the case asks for.
    fn settings(&self) -> Settings {
        let mut settings = Settings {
            own: Own { domains: vec!["mc-anpi.example".parse().unwrap(), "mob-connect.example".parse().unwrap()] },
            link_lifetime: Span::from_secs(86_400),
            address_limit: "3/1h".parse().unwrap(),
            domain_limit: "100/1h".parse().unwrap(),
            network_limit: "100/1h".parse().unwrap(),
            answer_give_up: Span::from_secs(86_400),
            operator: None,
            forward_give_up: Span::from_secs(86_400),
        };
        match self.find("limit").and_then(|limit| limit.split_once(' ')) {
            Some(("domain", limit)) => settings.domain_limit = limit.parse().unwrap(),
            Some(("network", limit)) => settings.network_limit = limit.parse().unwrap(),
            Some(other) => panic!("{}: {other:?}", self.name),
            None => {}
        }
        settings
    }
}

fn keys() -> Keychain {
    Keychain::of(Keys::apart(ring(), ring(), ring()))
}

fn ring() -> KeyRing {
    KeyRing::new(1, [(1, Secret::new([1; 32]))].into()).unwrap()
}

/// A store, and who takes mails in and writes the answers.
struct Office {
    store: Store,
    reception: Reception,
    composer: Composer,
    _folder: tempfile::TempDir,
}

impl Office {
    async fn open(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("test.db"));
        let store = Store::open(Options::new(location)).await.unwrap();
        let reception = Reception::new(store.clone(), keys(), Random::repeating(1), settings);
        let wording = compose::Settings {
            address: "anpi@mob-connect.example".parse().unwrap(),
            title: "安否確認/一斉通報サービス".to_owned(),
            title_en: "Emergency Service".to_owned(),
            bounce_domain: "bounce.mob-connect.example".parse().unwrap(),
            public_url: "https://www.mc-anpi.example".to_owned(),
        };
        let composer = Composer::new(store.clone(), Templates::new([]).unwrap(), keys(), wording);
        Self { store, reception, composer, _folder: folder }
    }

    async fn take(&self, case: &Case) -> MailRow {
        let address = "bizanpi@mc-anpi.example".parse().unwrap();
        let to = vec![Destination::Registration { address, org: None }];
        let id = self.reception.receive(case.received(), to).await.unwrap();
        self.store.read(move |tx| tx.mail(id)).await.unwrap().unwrap()
    }

    async fn answers_to(&self, mail: &MailRow) -> Vec<Job> {
        let filter = JobFilter { cause: Some(mail.id), ..JobFilter::default() };
        self.store.read::<_, StoreError, _>(move |tx| tx.list_jobs(&filter)).await.unwrap()
    }

    /// Writes the answer and gives its text.
    async fn text_of(&self, job: &Job) -> String {
        let Composed::Mail(mail) = self.composer.compose(job).await.unwrap() else { panic!("{job:?}") };
        assert!(mail.message.len() < 4_096, "{} bytes", mail.message.len());
        let read = mail_parser::MessageParser::new().parse(&mail.message).unwrap();
        assert_eq!((read.text_body_count(), read.attachment_count()), (1, 0));
        read.body_text(0).unwrap().into_owned()
    }
}

fn shown_from(from: &FromField) -> String {
    match from {
        FromField::Missing => "missing".to_owned(),
        FromField::One(address) => address.to_string(),
        FromField::Several => "several".to_owned(),
        FromField::Unusable => "unusable".to_owned(),
    }
}

const fn shown_mark(mark: Mark) -> &'static str {
    match mark {
        Mark::NullReturnPath => "null-return-path",
        Mark::Report => "report",
        Mark::AutoSubmitted => "auto-submitted",
        Mark::List => "list",
        Mark::Bulk => "bulk",
        Mark::Loop => "loop",
    }
}

fn shown_marks(reading: &Reading) -> String {
    let marks: Vec<&str> = reading.marks.iter().copied().map(shown_mark).collect();
    if marks.is_empty() { "none".to_owned() } else { marks.join(", ") }
}

#[test]
fn every_mail_is_read_as_expected() {
    for case in Case::all() {
        let reading = read(&case.message);
        assert_eq!(shown_from(&reading.from), case.get("from"), "{}", case.name);
        let id = reading.message_id.as_ref().map_or("none", |id| id.as_str());
        assert_eq!(id, case.get("message-id"), "{}", case.name);
        assert_eq!(shown_marks(&reading), case.get("marks"), "{}", case.name);
    }
}

#[tokio::test]
async fn every_mail_is_decided_as_expected() {
    for case in Case::all() {
        let office = Office::open(case.settings()).await;
        for (_, before) in case.expected.iter().filter(|(key, _)| key == "after") {
            assert_eq!(office.take(&Case::load(before)).await.decision, "answered", "{} before {}", before, case.name);
        }
        let row = office.take(&case).await;
        let decision = row.reason.iter().fold(row.decision.clone(), |decision, reason| format!("{decision} {reason}"));
        assert_eq!(decision, case.get("decision"), "{}", case.name);
        assert_eq!(office.answers_to(&row).await.len(), usize::from(row.decision == "answered"), "{}", case.name);
        office.store.close().await;
    }
}

#[tokio::test]
async fn each_answered_mail_gets_one_answer_with_one_short_url_alone_on_its_line() {
    for case in Case::all().iter().filter(|case| case.get("decision") == "answered") {
        let office = Office::open(case.settings()).await;
        let row = office.take(case).await;
        let jobs = office.answers_to(&row).await;
        let [job] = jobs.as_slice() else { panic!("{}: {jobs:?}", case.name) };
        let sender: EmailAddress = case.get("envelope").parse().unwrap();
        assert_eq!(job.order.to, sender, "{}", case.name);
        let text = office.text_of(job).await;
        assert_eq!(text.matches("://").count(), 1, "{text}");
        let url = text.lines().find_map(|line| line.strip_prefix("https://www.mc-anpi.example")).unwrap();
        assert!(url.starts_with("/r/") && url.len() <= 70, "{url}");
        assert!(url[3..].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{url}");
        office.store.close().await;
    }
}

#[test]
fn every_reason_occurs_at_least_twice() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for case in Case::all() {
        *seen.entry(case.get("decision").trim_start_matches("ignored ").to_owned()).or_default() += 1;
    }
    for reason in Reason::ALL {
        assert!(seen.get(reason.as_str()).is_some_and(|count| *count >= 2), "{reason}: {seen:?}");
    }
}

#[test]
fn every_mail_has_its_expectation_and_every_expectation_its_mail() {
    assert_eq!(names_of("eml"), names_of("expected"));
}
