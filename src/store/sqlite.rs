//! SQLite: one thread that writes, a few that read, and one that copies the log back into the database, so that who waits for
//! a commit seldom waits for that: only where the log has come to 64 MiB does the writer copy what is left itself.
//!
//! The writer commits in groups: it takes everything that waits, runs each piece of work in a savepoint, commits once and
//! then answers all, because the disk flushes a few hundred to a few thousand times a second and no more. Work that arrives
//! during a commit makes the next group; work that comes alone is committed at once.
//!
//! Knows nothing of the tables. What always holds: nobody is answered before the flush; work that refuses is undone alone; a
//! full disk or an I/O error undoes and fails the whole group, and the writer goes on.

use crate::store::migrate::{APPLIED, REMEMBER, SQLITE, Schema, TABLE, missing, newest, tell};
use crate::store::tx::Link;
use crate::store::work::{Queue, Waiting, observe};
use crate::store::{Event, Observer, StoreError, Tx};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::Duration;

/// The most work committed at once.
const GROUP: usize = 256;
/// How long another process may keep the file locked.
const BUSY: Duration = Duration::from_secs(5);
/// More than there are statements, so that none is ever prepared twice.
const STATEMENTS: usize = 512;

/// What every connection is told. `synchronous = FULL` flushes the log at each commit.
const SETTINGS: &str = "
    PRAGMA foreign_keys = ON;
    PRAGMA synchronous = FULL;
    PRAGMA temp_store = MEMORY;
";

/// What the writer is told besides: copy the log back itself where the copier has not come to it within 64 MiB, and do not keep
/// more of it than that.
const WRITER: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA wal_autocheckpoint = 16000;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA cache_size = -16384;
";

/// Pages of the log that are copied back at a time, 1 MiB: the flush of more would hold up those of commits.
const COPIED: i64 = 250;

/// What a connection to a file in the making is told: it is flushed once, when it is whole, and thrown away if it never is. A
/// small cache hands what was written to the system soon.
const MAKING: &str = "
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -8192;
    PRAGMA foreign_keys = OFF;
    PRAGMA trusted_schema = OFF;
";

/// Opens the file for writing, makes it where it is missing, and brings its schema up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let connection = open(path)?;
    tell(migrate(&connection)?);
    Ok(connection)
}

/// Opens the file for writing and makes it where it is missing, whatever its schema.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    make_private(path)?;
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(WRITER)?;
    connection.execute_batch(SETTINGS)?;
    Ok(connection)
}

/// Does what opening a file that is there does to it, and takes it back.
pub(super) fn rehearse(path: &Path) -> Result<(), StoreError> {
    let connection = open(path)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let applied = apply_missing(&connection);
    connection.execute_batch("ROLLBACK")?;
    applied?;
    open_reader(path).map(drop)
}

/// Makes the file readable by its owner alone before anything is in it; SQLite gives its log the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    made.map(drop).map_err(|error| StoreError::Io(format!("{}: {error}", path.display())))
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(SETTINGS)?;
    Ok(connection)
}

/// Opens the file to be read as it is now, also while another process writes: what is read stays the same until the connection
/// is closed. Not read-only for SQLite, so that a log that a killed daemon left is read too.
pub(super) fn open_snapshot(path: &Path) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; BEGIN")?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    Ok(connection)
}

/// Opens a file that is being made.
pub(super) fn open_new(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.execute_batch(MAKING)?;
    Ok(connection)
}

/// Says whether every reference leads to a row.
pub(super) fn check_references(connection: &Connection) -> Result<(), StoreError> {
    let mut dangling = connection.prepare("PRAGMA foreign_key_check")?;
    let found = dangling.query_map((), |row| row.get::<_, String>(0))?.next().transpose()?;
    found.map_or(Ok(()), |table| {
        Err(StoreError::Corrupt(format!("a row of table {table} points to one that is not there")))
    })
}

/// Brings the schema up to date; says how far it had come.
pub(super) fn migrate(connection: &Connection) -> Result<Schema, StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let migrated = apply_missing(connection);
    connection.execute_batch(if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    migrated
}

/// The same, in the transaction that is under way.
pub(super) fn apply_missing(connection: &Connection) -> Result<Schema, StoreError> {
    connection.execute_batch(TABLE)?;
    let applied = connection
        .prepare(APPLIED)?
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(i64, String)>, _>>()?;
    for migration in missing(SQLITE, &applied)? {
        connection.execute_batch(migration.sql)?;
        connection.execute(REMEMBER, (migration.number, migration.checksum()))?;
    }
    Ok(Schema { found: applied.len() as i64, known: newest(SQLITE) })
}

/// The thread that writes.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) observer: Observer,
    pub(super) coming: Arc<AtomicU64>,
    /// The copier, which is told of each commit unless it has not yet heard of the last.
    pub(super) copier: SyncSender<()>,
    #[cfg(feature = "crash-test")]
    pub(super) crash: crate::store::crash::Crash,
}

impl Writer {
    /// Works until nobody can hand in more and nothing waits.
    pub(super) fn run(mut self, queue: &Queue) {
        while let Some(group) = queue.group(GROUP) {
            self.commit(group);
        }
    }

    fn commit(&mut self, mut group: Vec<Waiting>) {
        match self.attempt(&mut group) {
            Ok(events) => {
                #[cfg(feature = "crash-test")]
                self.crash.committed();
                observe(&self.observer, &events);
                group.into_iter().for_each(|work| work.answer());
                if let Err(TrySendError::Disconnected(())) = self.copier.try_send(()) {
                    tracing::debug!("the log is copied back by the writer");
                }
            }
            Err(error) => {
                tracing::error!(%error, transactions = group.len(), "nothing could be recorded");
                self.recover();
                group.into_iter().for_each(|work| work.fail(error.clone()));
            }
        }
    }

    /// Runs a group in one transaction; gives the events of what was kept.
    fn attempt(&self, group: &mut [Waiting]) -> Result<Vec<Event>, StoreError> {
        self.statement("BEGIN IMMEDIATE")?;
        let mut events = Vec::new();
        for work in group {
            events.append(&mut self.attempt_one(work)?);
        }
        self.statement("COMMIT")?;
        Ok(events)
    }

    /// Runs one piece of work in a savepoint; an error means that the whole transaction is lost.
    fn attempt_one(&self, work: &mut Waiting) -> Result<Vec<Event>, StoreError> {
        self.statement("SAVEPOINT work")?;
        let mut tx = Tx::writing(Link::Sqlite(&self.connection), &self.coming);
        let keep = work.run(&mut tx);
        let (trouble, events) = tx.into_parts();
        // SQLITE_FULL, I/O errors and the like may have undone everything, the savepoints included.
        if self.connection.is_autocommit() {
            return Err(trouble.unwrap_or_else(|| StoreError::Other(String::from("the transaction was lost"))));
        }
        if keep {
            self.statement("RELEASE work")?;
            Ok(events)
        } else {
            self.statement("ROLLBACK TO work")?;
            self.statement("RELEASE work")?;
            Ok(Vec::new())
        }
    }

    fn statement(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute(())?;
        Ok(())
    }

    /// Leaves what is left of a transaction that failed, so that the next one can begin.
    fn recover(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a failed transaction could not be undone");
        }
    }
}

/// Copies the log back after the writer's commits, until there is no writer any more.
pub(super) fn copy(connection: &Connection, commits: &Receiver<()>) {
    let mut failed = false;
    while commits.recv().is_ok() {
        match copy_some(connection) {
            Ok(()) => failed = false,
            Err(error) if failed => tracing::debug!(%error, "the log still cannot be copied back"),
            Err(error) => {
                tracing::error!(%error, "the log cannot be copied back into the database and grows");
                failed = true;
            }
        }
    }
}

/// Copies what nobody reads in its older form any more, where it is worth a flush.
fn copy_some(connection: &Connection) -> rusqlite::Result<()> {
    let pages = |mode: &str| {
        let mut statement = connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
        statement.query_row((), |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))
    };
    if pages("NOOP")? >= COPIED {
        pages("PASSIVE")?;
    }
    Ok(())
}

/// Reads until nobody can ask for more.
pub(super) fn read(connection: &Connection, queue: &Queue) {
    while let Some(mut work) = queue.next() {
        match read_one(connection, &mut work) {
            Ok(()) => work.answer(),
            Err(error) => work.fail(error),
        }
    }
}

fn read_one(connection: &Connection, work: &mut Waiting) -> Result<(), StoreError> {
    connection.prepare_cached("BEGIN")?.execute(())?;
    work.run(&mut Tx::new(Link::Sqlite(connection)));
    // Nothing was written, so how it ends does not matter; after some errors it has ended by itself.
    if !connection.is_autocommit() {
        connection.prepare_cached("COMMIT")?.execute(())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
