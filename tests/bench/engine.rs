//! Delivery alone, inside this process: a store, a worker, names of its own. Jobs are put in through the store.

use crate::names::Names;
use data_encoding::HEXLOWER;
use karamail::clock::Clock;
use karamail::config::{Delivery, Destinations, Resolver, Route, TlsPolicy};
use karamail::keys::{Keychain, Keys};
use karamail::mail::template::Templates;
use karamail::model::{Domain, EmailAddress, KeyRing, Secret, Span, Timestamp};
use karamail::outbound::Limits;
use karamail::outbound::sign::Signer;
use karamail::outbound::worker::{Parts, Settings, Worker};
use karamail::queue::destination::{self, Group, Groups};
use karamail::queue::retry::Schedule;
use karamail::queue::{Class, Content, NewJob};
use karamail::random::Random;
use karamail::service::compose::{self, Composer};
use karamail::store::{Location, Options, Store, StoreError};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The domain all of an engine's mail goes to.
pub const DOMAIN: &str = "carrier.example";

pub struct Engine {
    pub store: Store,
    content: Content,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    worker: JoinSet<()>,
    _names: Names,
}

/// Opens the store in a folder and gives what its mails say.
pub async fn open(folder: &Path) -> (Store, Content) {
    let store = Store::open(Options::new(Location::Sqlite(folder.join("karamail.db")))).await.unwrap();
    let now = Clock::system().now();
    let expires = now.plus(Span::from_secs(86_400));
    let address: EmailAddress = format!("member@{DOMAIN}").parse().unwrap();
    let begin = move |tx: &mut karamail::store::Tx<'_>| tx.begin_registration(&address, None, now, expires);
    let registration = store.write::<_, StoreError, _>(begin).await.unwrap();
    let nonce = HEXLOWER.encode(&[9; 16]);
    (store, Content::RegistrationReply { registration, key: 1, expires: expires.seconds(), nonce })
}

/// Puts many jobs into a store's file at once, past the store, to the domains in turn; due since `due` ago.
pub fn fill(folder: &Path, content: &Content, class: Class, count: usize, domains: &[&str]) {
    let file = rusqlite::Connection::open(folder.join("karamail.db")).unwrap();
    let now = Clock::system().now().millis();
    let list: Vec<String> = domains.iter().enumerate().map(|(n, domain)| format!("({n}, '{domain}')")).collect();
    let sql = format!(
        "PRAGMA synchronous = OFF; \
         WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {count} - 1), \
         place (place, domain) AS (VALUES {places}) \
         INSERT INTO jobs (class_rank, recipient, folded, domain, content, queued_at, first_due, give_up, due, state) \
         SELECT {rank}, 'a' || n || '@' || domain, 'a' || n || '@' || domain, domain, '{content}', {now}, {now}, \
         {now} + 86400000, {now} - 60000 + n / 100, 'queued' FROM n JOIN place ON place = n % {domains}",
        places = list.join(", "),
        rank = class.rank(),
        content = serde_json::to_string(content).unwrap(),
        domains = domains.len(),
    );
    file.execute_batch(&sql).unwrap();
    file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    // On the disk before anything is measured: a flush would wait for all of it.
    std::fs::File::open(folder.join("karamail.db")).unwrap().sync_all().unwrap();
}

fn ring() -> KeyRing {
    KeyRing::new(1, [(1, Secret::new([7; 32]))].into()).unwrap()
}

fn settings(folder: &Path, resolver: SocketAddr, port: u16, connections: usize) -> Settings {
    let waits = Schedule { give_up: Span::from_secs(3_600), waits: vec![Span::from_secs(5)] };
    let limits = destination::Limits { connections, messages_per_connection: 1_000, rate: None };
    let group = Group { name: "carrier".to_owned(), domains: vec![DOMAIN.parse().unwrap()], mx: Vec::new(), limits };
    Settings {
        hostname: "mx.mob-connect.example".parse().unwrap(),
        delivery: Delivery {
            route: Route::Mx,
            port,
            resolver: Resolver::Server(resolver),
            tls: TlsPolicy::Off,
            tls_ca_file: None,
            trust_anchor: None,
            bind: Vec::new(),
            private_addresses: true,
            classes: Class::ALL.into_iter().map(|class| (class, waits.clone())).collect(),
        },
        destinations: Destinations { groups: Groups::new(vec![group]), tls: BTreeMap::new() },
        policy_port: 443,
        outbox: folder.join("outbox"),
        alone: true,
        limits: Limits::default(),
        grace: Span::from_secs(5),
    }
}

fn composer(store: &Store) -> Composer {
    let settings = compose::Settings {
        address: "anpi@mob-connect.example".parse().unwrap(),
        title: "安否確認".to_owned(),
        title_en: "Emergency Service".to_owned(),
        bounce_domain: "bounce.mob-connect.example".parse().unwrap(),
        public_url: "https://www.mc-anpi.example".to_owned(),
    };
    let keys = Keychain::of(Keys::apart(ring(), ring(), ring()));
    Composer::new(store.clone(), Templates::new([]).unwrap(), keys, settings)
}

impl Engine {
    /// Delivers what lies in the folder's store, and what comes, to a server over so many connections.
    pub async fn start(folder: &Path, store: Store, content: Content, server: SocketAddr, connections: usize) -> Self {
        let names = Names::serve(&format!("{DOMAIN} MX 10 mx.{DOMAIN}\nmx.{DOMAIN} A {}", server.ip())).await;
        let random = Random::system();
        let from: Domain = "mob-connect.example".parse().unwrap();
        let keys = Keys::open(folder, &random).unwrap().signers(&[], &from).unwrap();
        let wake = Arc::new(Notify::new());
        let parts = Parts {
            store: store.clone(),
            composer: composer(&store),
            signer: Signer::new(&keys).unwrap(),
            clock: Clock::system(),
            random,
            wake: Arc::clone(&wake),
        };
        let settings = settings(folder, names.address, server.port(), connections);
        let stop = watch::channel(false).0;
        let mut worker = JoinSet::new();
        worker.spawn(Worker::new(settings, parts).unwrap().run(stop.subscribe()));
        Self { store, content, wake, stop, worker, _names: names }
    }

    /// Orders a mail; gives the moment when the order was given.
    pub async fn order(&self, class: Class, name: &str) -> Instant {
        let began = Instant::now();
        let job = new_job(class, name, &self.content, Clock::system().now());
        self.store.write::<_, StoreError, _>(move |tx| tx.enqueue(&job)).await.unwrap();
        self.wake.notify_one();
        began
    }

    /// Stops delivering.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.worker.join_next().await.unwrap().unwrap();
        self.store.close().await;
    }
}

/// A mail to one of the domain's people.
pub fn new_job(class: Class, name: &str, content: &Content, now: Timestamp) -> NewJob {
    NewJob {
        class,
        to: format!("{name}@{DOMAIN}").parse().unwrap(),
        content: content.clone(),
        language: None,
        cause: None,
        queued_at: now,
        due: now,
        give_up: now.plus(Span::from_secs(3_600)),
    }
}
