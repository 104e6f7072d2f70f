//! Puts it all together: build, start, reload, stop.
//!
//! Each part is handed what it needs here, and nobody else holds the whole [`Config`]. Knows the long-lived tasks by name.
//! What always holds: nothing listens before the store is open and the keys are there; when [`Daemon::stop`] returns, every
//! task has ended, every claim on a mail has been settled or given back, and the store is closed.

mod doors;
mod housekeeping;
mod journal;
mod live;
mod parts;
mod pulse;
mod reload;
mod survey;

pub use doors::{Doors, Unwanted};
pub use parts::notices;
pub use pulse::Pulse;
pub use survey::{Fault, Presence, advice, closed_doors, is_new, presence, survey};

use journal::News;
use parts::Certificates;

use crate::api::{self, Api, Ledger};
use crate::clock::Clock;
use crate::config::{Config, Format, Storage};
use crate::control::{Desk, Lock, Socket};
use crate::inbound::smtp::Intake;
use crate::keys::{Keychain, Keys, Signing};
use crate::net::tls::identity::Identity;
use crate::outbound::Board;
use crate::outbound::worker::Worker;
use crate::random::Random;
use crate::store::{Location, Observer, Options, Store};
use crate::web::Web;
use anyhow::Context as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a daemon takes from the world around it; a test hands in its own.
#[derive(Debug, Clone)]
pub struct World {
    /// The time.
    pub clock: Clock,
    /// Chance.
    pub random: Random,
    /// After how many commits the process kills itself; only where built for tests.
    #[cfg(feature = "crash-test")]
    pub crash_after: Option<u64>,
}

impl World {
    /// The world as it is.
    #[must_use]
    pub const fn real() -> Self {
        Self {
            clock: Clock::system(),
            random: Random::system(),
            #[cfg(feature = "crash-test")]
            crash_after: None,
        }
    }
}

/// A running daemon.
pub struct Daemon {
    /// Where mail is taken in.
    pub smtp: Vec<SocketAddr>,
    /// Where the pages are.
    pub web: Vec<SocketAddr>,
    /// Where health and metrics are.
    pub api: Vec<SocketAddr>,
    /// The database, for whoever runs in the same process.
    pub store: Store,
    /// Changes with each commit that has events, for whoever runs in the same process.
    pub commits: watch::Receiver<u64>,
    board: Board,
    /// What is shown to those who want a secured connection.
    identities: Vec<Identity>,
    clock: Clock,
    keys: Keychain,
    /// The settings it was started with.
    started: Config,
    /// Whether the mail log is printed as JSON.
    json: Arc<AtomicBool>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    printer: JoinHandle<()>,
    _lock: Lock,
}

impl Daemon {
    /// Builds everything, opens the store and starts to serve at `doors`.
    ///
    /// # Errors
    /// Somebody else works in the data folder, or a key, the database or a socket cannot be used; the message says which
    /// and what to do.
    pub async fn start(config: Config, doors: Doors, world: World) -> anyhow::Result<Self> {
        let lock = Lock::take(&config.data_dir)?;
        let keys = Keychain::open(&config.data_dir, &world.random)?;
        keys.sign_as(signing(&config))?;
        let ledger = Arc::new(Ledger::default());
        let json = Arc::new(AtomicBool::new(config.log.format == Format::Json));
        let news = journal::start(Arc::clone(&json), Arc::clone(&ledger)).context("the thread of the mail log")?;
        let News { observer, queued, commits, printer } = news;
        let store = open_store(&config.storage, &world, observer).await?;

        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let smtp = doors::listen("smtp", doors.smtp)?;
        let web = doors::listen("web", doors.web)?;
        let api = doors::listen("api", doors.api)?;
        let addresses = (places(&smtp), places(&web), places(&api));
        let doors = [&addresses.0[..], &addresses.1, &addresses.2].concat();

        let mut vital: Vec<api::Vital> = Vec::new();
        let mut hold = |trouble| {
            let held = Arc::new(());
            vital.push((Arc::downgrade(&held), trouble));
            held
        };
        let certificates = Certificates::open(&config, &world);
        let identities = certificates.identities();
        let Certificates { smtp: shown_by_smtp, web: shown_by_web, keepers } = certificates;
        for keeper in keepers {
            tasks.spawn(keeper.keep(stopping.clone()));
        }
        let intake = Arc::new(parts::intake(&config, shown_by_smtp, &store, &keys, &world));
        for (listener, _) in smtp {
            let (intake, stopping, taking) = (Arc::clone(&intake), stopping.clone(), hold("no mail is taken in"));
            tasks.spawn(async move {
                Intake::serve(&intake, listener, stopping).await;
                drop(taking);
            });
        }
        let hasher = parts::hasher(&world);
        let pages: Web = parts::pages(&config, &store, &keys, hasher.clone(), &world)?;
        let web = web.into_iter().map(|(listener, _)| listener).collect();
        let (showing, until) = (hold("the pages are not shown"), stopped(stopping.clone()));
        tasks.spawn(async move {
            crate::web::serve(pages, shown_by_web, web, until).await;
            drop(showing);
        });
        let worker: Worker = parts::worker(&config, &store, &keys, &world, queued)?;
        let board = worker.board();
        let (delivering, until) = (hold("no mail is delivered"), stopping.clone());
        tasks.spawn(async move {
            worker.run(until).await;
            drop(delivering);
        });
        let naming = board.clone();
        ledger.learn(Arc::new(move |domain| naming.destination(domain)));
        let (store_of_api, clock) = (store.clone(), world.clock.clone());
        let watched = board.clone();
        let look: api::Look = Arc::new(move || watched.view());
        let stopping_api = stopping.clone();
        let data_dir = config.data_dir.clone();
        let keys_are_there = Arc::new(move || matches!(Keys::load(&data_dir), Ok(Some(_))));
        let parts = api::Parts {
            store: store_of_api,
            clock,
            ledger,
            hasher,
            look,
            identities: identities.clone(),
            vital,
            keys: keys_are_there,
            stopping: stopping_api,
        };
        let api = api.into_iter().map(|(listener, _)| listener).collect();
        tasks.spawn(api::serve(Api::new(parts), api, stopped(stopping.clone())));
        tasks.spawn(housekeeping::reseal(
            store.clone(),
            keys.clone(),
            world.random.clone(),
            world.clock.clone(),
            stopping.clone(),
        ));
        tasks.spawn(housekeeping::run(store.clone(), world.clock.clone(), config.log.audit_kept, stopping.clone()));
        let socket = Socket::open(&config.data_dir).context("the operator's socket, control.sock")?;
        let desk = Desk {
            store: store.clone(),
            keys: keys.clone(),
            link_lifetime: config.registration.link_lifetime,
            random: world.random.clone(),
            notices: notices(&config),
            clock: world.clock.clone(),
            commits: commits.clone(),
            live: Some(Arc::new(board.clone())),
            groups: config.destinations.groups.clone(),
            doors,
        };
        tasks.spawn(async move {
            tokio::select! {
                () = socket.serve(desk) => {}
                () = stopped(stopping) => {}
            }
        });
        tracing::info!(data_dir = %config.data_dir.display(), "karamail is up");
        let (smtp, web, api) = addresses;
        let (started, clock) = (config, world.clock);
        Ok(Self {
            smtp,
            web,
            api,
            store,
            commits,
            board,
            identities,
            clock,
            keys,
            started,
            json,
            tasks,
            stop,
            printer,
            _lock: lock,
        })
    }

    /// Gives what feels whether it lives.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        let (store, board, clock) = (self.store.clone(), self.board.clone(), self.clock.clone());
        Pulse { store, board, clock, doors: pulse::doors(&self.smtp, &self.web) }
    }

    /// Waits until a task ends although nobody asked it to: a fault of ours, after which it is better to start anew.
    pub async fn failed(&mut self) {
        match self.tasks.join_next().await {
            Some(Err(error)) => tracing::error!(%error, "a part of the daemon ended by a panic"),
            Some(Ok(())) | None => tracing::error!("a part of the daemon ended by itself"),
        }
    }

    /// Stops: nothing new is taken, what is under way is finished or given back, and the store is closed.
    pub async fn stop(mut self) {
        tracing::info!("stopping");
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part of the daemon ended by a panic");
            }
        }
        self.store.close().await;
        // With the store the last observer is gone, so the printer ends once everything has been printed.
        let printer = self.printer;
        if !matches!(tokio::task::spawn_blocking(|| printer.join()).await, Ok(Ok(()))) {
            tracing::error!("the mail log's thread ended by a panic");
        }
        tracing::info!("stopped");
    }
}

fn places<T>(doors: &[(T, SocketAddr)]) -> Vec<SocketAddr> {
    doors.iter().map(|(_, address)| *address).collect()
}

/// Waits until the daemon is to stop, or is gone.
async fn stopped(mut stop: watch::Receiver<bool>) {
    drop(stop.wait_for(|stopping| *stopping).await);
}

/// Says whose mail is signed, and with what, as the settings have it.
#[must_use]
pub fn signing(config: &Config) -> Signing {
    Signing { entries: config.dkim.clone(), from: config.sender.address.domain().clone() }
}

/// Says where the settings want the database.
#[must_use]
pub fn location(storage: &Storage) -> Location {
    match storage {
        Storage::Sqlite(path) => Location::Sqlite(path.clone()),
        Storage::Postgres(url) => Location::Postgres(url.reveal().clone()),
    }
}

async fn open_store(storage: &Storage, world: &World, observer: Observer) -> anyhow::Result<Store> {
    let options = Options::new(location(storage)).observed_by(observer);
    #[cfg(feature = "crash-test")]
    let options = Options { crash_after: world.crash_after, ..options };
    #[cfg(not(feature = "crash-test"))]
    let _: &World = world;
    Store::open(options).await.context("storage.url")
}
