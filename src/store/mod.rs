//! The database: everything the daemon must not forget, behind transactions.
//!
//! Work is handed in as a short closure over [`Tx`] and runs on storage's own threads; nobody else holds a connection. Each
//! noun has its file, with the values it is made of and the methods of [`Tx`] that read and write it. Transactions that wait
//! at the same time are committed together, and each is answered once the disk has it.
//!
//! Knows nothing of mail, links, pages or rules: what is to be done was decided before, times and secrets come in as
//! arguments. It reads no clock and no environment.
//!
//! What always holds: `Ok` from [`Store::write`] means committed and flushed. Work that returns an error leaves nothing
//! behind, and neither does work during which the database failed. A job exists exactly when its cause was recorded, and the
//! observer hears of exactly the events that were kept, in order.

mod address;
mod audit;
mod backup;
mod budget;
mod census;
mod challenge;
mod contact_test;
mod copy;
#[cfg(feature = "crash-test")]
mod crash;
mod dialect;
mod domain;
mod draft;
mod error;
mod event;
mod factor;
mod hand;
mod job;
mod lease;
mod link;
mod login;
mod mail;
mod member;
mod migrate;
mod new_file;
mod org;
mod postgres;
mod registration;
mod sealed;
mod secret;
mod session;
mod sql;
mod sqlite;
mod sts;
mod tail;
mod tx;
mod work;

pub use address::{AddressRow, AddressState};
pub use audit::{AUDIT_TRIMMED, AuditRow};
pub use backup::{Backup, BackupError, Kept};
pub use census::{AGES, Crowd};
pub use challenge::{Challenge, NewChallenge, OTP_CODE};
pub use contact_test::ContactTest;
pub use copy::{Compared, CopyError, Progress, Sum, Watch, compare, copy};
pub use domain::{DomainMemory, TlsLoss};
pub use error::StoreError;
pub use event::{Event, EventFilter, Ordered};
pub use factor::{APP_SECRET, BackupCodeRow, Factor, FactorKind, Handover};
pub use hand::Touched;
pub use job::{JobFilter, Settlement};
pub use lease::{Reclaim, Wish};
pub use link::LinkUse;
pub use login::Gate;
pub use mail::{MailRow, NewMail};
pub use member::{Member, NewMember, START_PASSWORD};
pub use migrate::{Schema, migrate, schema_of};
pub use new_file::{NewFileError, Over};
pub use org::Org;
pub use registration::{Registration, RegistrationState};
pub use sealed::{Sealed, SealedPlace};
pub use session::Session;
pub use sts::{StsMode, StsPolicy};
pub use tail::Tail;
pub use tx::Tx;

use postgres::{Line, Purpose};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use work::{Job, Queue, Waiting, Work};

/// How much work may wait for the storage threads; whoever comes then waits to hand it in.
const WAITING: usize = 1_024;
/// How many connections to PostgreSQL write.
const WRITERS: usize = 3;
/// How many threads read.
const READERS: usize = 3;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of SQLite; made where it is missing.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL database. TLS is spoken where it says `sslmode=require`; the server's certificate has to be
    /// one that the public authorities vouch for.
    Postgres(String),
}

/// Shows the file, but not the URL: it may hold a password.
impl fmt::Debug for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => out.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => out.write_str("Postgres(•••)"),
        }
    }
}

/// Says where it is, as people may see it: without the password.
impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(out, "sqlite:{}", path.display()),
            Self::Postgres(url) => postgres::show(url, out),
        }
    }
}

/// Hears of the events of each commit, in order, on the storage thread: it has to be quick. Called after the commit and
/// before those who wait for it are answered.
pub type Observer = Arc<dyn Fn(&[Event]) + Send + Sync>;

/// What a store is opened with.
#[derive(Clone)]
pub struct Options {
    /// Where the database is.
    pub location: Location,
    /// Who hears of events.
    pub observer: Observer,
    /// The process kills itself after this many commits.
    #[cfg(feature = "crash-test")]
    pub crash_after: Option<u64>,
}

impl Options {
    /// Opens the database at `location`, with nobody listening.
    #[must_use]
    pub fn new(location: Location) -> Self {
        Self {
            location,
            observer: Arc::new(|_| ()),
            #[cfg(feature = "crash-test")]
            crash_after: None,
        }
    }

    /// Lets `observer` hear of events.
    #[must_use]
    pub fn observed_by(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }
}

/// The way to the database; clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    writes: Door,
    reads: Door,
    /// The one-time passwords whose order was begun to be written.
    coming: Arc<AtomicU64>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Where work is handed in, until it is closed.
struct Door(Mutex<Option<mpsc::Sender<Waiting>>>);

impl Door {
    fn new() -> (Self, mpsc::Receiver<Waiting>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(Mutex::new(Some(sender))), receiver)
    }

    /// Nobody can hand in more; what waits is still done.
    fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        E: From<StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (job, answer) = Job::new(work);
        let job: Box<dyn Work> = Box::new(job);
        match sender {
            Some(sender) if sender.send(job).await.is_ok() => {}
            _ => return Err(StoreError::Closed.into()),
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }
}

impl Store {
    /// Opens the database, brings its schema up to date and starts the storage threads.
    ///
    /// # Errors
    /// The database cannot be opened or was made by a later version of the program.
    pub async fn open(options: Options) -> Result<Self, StoreError> {
        let (writes, write_queue) = Door::new();
        let (reads, read_queue) = Door::new();
        let (opened, answer) = oneshot::channel();
        let coming = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&coming);
        let keeper = start("store-open", move || {
            let hands = Hands {
                writes: Arc::new(Queue::new(write_queue)),
                reads: Arc::new(Queue::new(read_queue)),
                observer: options.observer,
                coming: counted,
                #[cfg(feature = "crash-test")]
                crash: crash::Crash::new(options.crash_after),
            };
            let started = start_threads(&options.location, &hands);
            if opened.send(started).is_err() {
                tracing::debug!("nobody waited for the database to be opened any more");
            }
        })?;
        let mut threads = answer.await.unwrap_or(Err(StoreError::Closed))?;
        threads.push(keeper);
        Ok(Self(Arc::new(Inner { writes, reads, coming, threads: Mutex::new(threads) })))
    }

    /// Tries whether a database that is there could be opened: what that does to its schema is done and taken back.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn rehearse(location: Location) -> Result<(), StoreError> {
        let rehearsing = tokio::task::spawn_blocking(move || match location {
            Location::Sqlite(path) => sqlite::rehearse(&path),
            Location::Postgres(url) => postgres::Server::parse(&url)?.connect(Purpose::Write)?.rehearse(),
        });
        rehearsing.await.unwrap_or(Err(StoreError::Panicked))
    }

    /// Runs `work` in a transaction of its own. `Ok` comes only after the commit has been flushed; an error means that
    /// nothing was kept. `work` may be run more than once, so it changes nothing but through its [`Tx`].
    ///
    /// # Errors
    /// What `work` refuses with, or the trouble of the database.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        E: From<StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.0.writes.run(work).await
    }

    /// Counts the one-time passwords whose order this process began to write down, whatever came of it: whoever sends mail
    /// that can wait may wait a moment for one that is about to come.
    #[must_use]
    pub fn coming(&self) -> u64 {
        self.0.coming.load(Ordering::Relaxed)
    }

    /// Runs `work` on a snapshot of what has been committed; it cannot write.
    ///
    /// # Errors
    /// What `work` refuses with, or the trouble of the database.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        E: From<StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.0.reads.run(work).await
    }

    /// Finishes the work that waits, closes the database and stops the storage threads. Other clones get
    /// [`StoreError::Closed`] from then on.
    pub async fn close(self) {
        self.0.writes.close();
        self.0.reads.close();
        let threads = std::mem::take(&mut *self.0.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(|| threads.into_iter().map(JoinHandle::join).all(|end| end.is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!("a storage thread ended by a panic");
        }
    }
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| StoreError::Io(format!("no thread for the database: {error}")))
}

type Started = Result<Vec<JoinHandle<()>>, StoreError>;

/// What the storage threads of either database are given.
struct Hands {
    writes: Arc<Queue>,
    reads: Arc<Queue>,
    observer: Observer,
    coming: Arc<AtomicU64>,
    #[cfg(feature = "crash-test")]
    crash: crash::Crash,
}

fn start_threads(location: &Location, hands: &Hands) -> Started {
    match location {
        Location::Sqlite(path) => start_sqlite(path, hands),
        Location::Postgres(url) => start_postgres(url, hands),
    }
}

fn start_sqlite(path: &Path, hands: &Hands) -> Started {
    let (copier, commits) = std::sync::mpsc::sync_channel(1);
    let writer = sqlite::Writer {
        connection: sqlite::open_writer(path)?,
        observer: Arc::clone(&hands.observer),
        coming: Arc::clone(&hands.coming),
        copier,
        #[cfg(feature = "crash-test")]
        crash: hands.crash.clone(),
    };
    let readers = (0..READERS).map(|_| sqlite::open_reader(path)).collect::<Result<Vec<_>, _>>()?;
    let writes = Arc::clone(&hands.writes);
    let copied = sqlite::open_writer(path)?;
    let mut threads = vec![start("store-write", move || writer.run(&writes))?];
    threads.push(start("store-copy", move || sqlite::copy(&copied, &commits))?);
    for reader in readers {
        let reads = Arc::clone(&hands.reads);
        threads.push(start("store-read", move || sqlite::read(&reader, &reads))?);
    }
    Ok(threads)
}

fn start_postgres(url: &str, hands: &Hands) -> Started {
    let server = postgres::Server::parse(url)?;
    migrate::tell(server.connect(Purpose::Write)?.migrate()?);
    let mut threads = Vec::new();
    for _ in 0..WRITERS {
        let writer = postgres::Writer {
            line: Line::new(server.clone(), Purpose::Write),
            observer: Arc::clone(&hands.observer),
            coming: Arc::clone(&hands.coming),
            #[cfg(feature = "crash-test")]
            crash: hands.crash.clone(),
        };
        let writes = Arc::clone(&hands.writes);
        threads.push(start("store-write", move || writer.run(&writes))?);
    }
    for _ in 0..READERS {
        let mut line = Line::new(server.clone(), Purpose::Read);
        let reads = Arc::clone(&hands.reads);
        threads.push(start("store-read", move || postgres::read(&mut line, &reads))?);
    }
    Ok(threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_does_not_show_its_password() {
        let location = Location::Postgres("postgres://u:hunter2@db.example.jp/karamail".into());
        assert_eq!(format!("{location:?}"), "Postgres(•••)");
        assert_eq!(location.to_string(), "postgres://u@db.example.jp/karamail");
        for (url, shown) in [
            ("postgres://%2Frun%2Fpg:5433/x?user=k", "postgres://k@/run/pg:5433/x"),
            ("host=a,b port=1,2 dbname=x password=hunter2", "postgres://a:1,b:2/x"),
            ("nonsense hunter2", "postgres://?"),
        ] {
            assert_eq!(Location::Postgres(url.to_owned()).to_string(), shown);
        }
    }
}
