use super::*;
use crate::clock::Clock;
use crate::keys::{Keychain, Keys};
use crate::maillog;
use crate::model::{KeyRing, Language, Priority, Received, RegistrationId, Reply, ReversePath, Secret, Span, Stage};
use crate::model::{Timestamp, Via};
use crate::queue::{Cause, Class, Content, NewJob};
use crate::random::Random;
use crate::store::{
    AddressRow, AddressState, Location, NewMail, NewMember, Options, Reclaim, Settlement, Store, StoreError, Tx,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

mod door;
mod jobs;
mod keys;
mod lives;
mod people;
mod resets;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

fn ring() -> KeyRing {
    KeyRing::new(1, BTreeMap::from([(1, Secret::new([7; 32]))])).unwrap()
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
            doors: Vec::new(),
            store: Store::open(options).await.unwrap(),
            keys: Keychain::of(Keys::apart(ring(), ring(), ring())),
            link_lifetime: Span::from_secs(86_400),
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
    Request::ImportMembers { org: "DEMO".parse().unwrap(), file, dry_run, watched: false }
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
