//! A backup: the whole store in one file, as it was at one moment, while the daemon goes on.
//!
//! Of a file of SQLite every page is copied within one reading transaction, which no writer waits for and none can make begin
//! again; the copy is flushed bit by bit, so that no commit waits behind a great flush. Of PostgreSQL the rows are copied, as by
//! [`mod@super::copy`]. Then the backup is read: all of it, without the database it came from.
//!
//! Knows no table by name, and nothing of keys: they are elsewhere. What always holds: a file that has its name is whole, was
//! found sound, and is on the disk; its only file is itself, without a log beside it; and a store that is put back from it gives
//! out no number that was given out after the backup, so that a link or return address of what was lost with the database never
//! means somebody else.

use super::copy::{self, End, Named, Progress, Watch};
use super::migrate::Schema;
use super::new_file::{NewFile, NewFileError, Over};
use super::{CopyError, Location, StoreError, sqlite};
use rusqlite::Connection;
use rusqlite::backup::{Backup as Pages, StepResult};
use std::path::{Path, PathBuf};

/// Pages copied at a time: 1 MiB.
const STEP: i32 = 256;
/// So often a flush: each 4 MiB.
const FLUSHED: u32 = 4;
/// How much further a store that is put back goes on: more rows than a table gets between a backup and the loss of the database.
const LEAP: i64 = 1 << 32;

/// A backup that is being made.
pub struct Backup {
    file: NewFile,
    /// Open until the store has been taken in.
    making: Option<Connection>,
    /// What was counted where it comes from.
    counted: Vec<(String, u64)>,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its size.
    pub bytes: u64,
    /// The number of its schema.
    pub schema: i64,
    /// Its tables, and how many rows each has.
    pub tables: Vec<(String, u64)>,
}

/// Why no backup was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be made.
    #[error(transparent)]
    File(#[from] NewFileError),
    /// No room for the backup.
    #[error("{}: the disk is full; nothing was kept", .0.display())]
    Full(PathBuf),
    /// The database cannot be read, or not copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The file cannot be written or read back.
    #[error("{}: {cause}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        cause: StoreError,
    },
    /// What was read back is damaged. Pages are copied as they are, so the database is.
    #[error(
        "the copy is damaged, and so must be the database: {0}; nothing was kept. Keep the older backups, and look at the \
         disk"
    )]
    Damaged(String),
}

impl Backup {
    /// Makes the file, empty, as whoever runs us.
    ///
    /// # Errors
    /// It is there already, or cannot be made.
    pub fn begin(path: &Path, over: Over) -> Result<Self, BackupError> {
        let file = NewFile::begin(path, over)?;
        let making = sqlite::open_new(file.partial()).map_err(|cause| written(&file, cause))?;
        Ok(Self { file, making: Some(making), counted: Vec::new() })
    }

    /// Takes in all that the store has now. Nothing is opened beside the file meanwhile, so that who reads the store need not
    /// be who may write there.
    ///
    /// # Errors
    /// The store cannot be read, or the disk is full.
    pub fn take(&mut self, from: &Location, watch: &mut Watch<'_>) -> Result<(), BackupError> {
        let Some(making) = self.making.take() else { return Ok(()) };
        match from {
            Location::Sqlite(_) => self.take_pages(making, Named::open(from)?, watch),
            Location::Postgres(_) => self.take_rows(making, Named::source(from)?, watch),
        }
    }

    fn take_pages(
        &mut self,
        mut making: Connection,
        mut source: Named,
        watch: &mut Watch<'_>,
    ) -> Result<(), BackupError> {
        self.counted = source.ask(counts)?;
        let End::Sqlite(connection) = &source.end else { return Ok(()) };
        let failed = |cause: rusqlite::Error| written(&self.file, cause.into());
        let pages = Pages::new(connection, &mut making).map_err(failed)?;
        for step in 1_u32.. {
            let done = pages.step(STEP).map_err(failed)?;
            watch(progress(&pages));
            match done {
                StepResult::Done => break,
                StepResult::More if step % FLUSHED == 0 => self.file.flush()?,
                StepResult::More => {}
                other => return Err(written(&self.file, StoreError::Busy(format!("{other:?}")))),
            }
        }
        Ok(())
    }

    fn take_rows(&mut self, making: Connection, mut source: Named, watch: &mut Watch<'_>) -> Result<(), BackupError> {
        let place = Location::Sqlite(self.file.partial().to_owned());
        let mut target = Named::of(&place, End::filled(making))?;
        let compared = copy::fill(&mut source, &mut target, watch).map_err(|error| self.full_or(error))?;
        self.counted = compared.into_iter().map(|table| (table.table, table.to.rows)).collect();
        target.end.keep().map_err(|cause| written(&self.file, cause))
    }

    /// Tells a full disk, which only the target can have, from all else.
    fn full_or(&self, error: CopyError) -> BackupError {
        match error {
            CopyError::Store { cause: StoreError::Full(_), .. } => BackupError::Full(self.file.partial().to_owned()),
            other => other.into(),
        }
    }

    /// Reads the backup, all of it, and gives it its name.
    ///
    /// # Errors
    /// It is not what it should be, or the disk failed; nothing is kept.
    pub fn finish(self) -> Result<Kept, BackupError> {
        let Self { file, making, counted } = self;
        drop(making);
        let (schema, tables) = read_back(file.partial()).map_err(|cause| match cause {
            StoreError::Corrupt(what) => BackupError::Damaged(what),
            cause => written(&file, cause),
        })?;
        if tables != counted {
            return Err(BackupError::Damaged(String::from("it has not as many rows")));
        }
        Ok(Kept { bytes: file.finish()?, schema: schema.found, tables })
    }
}

fn written(file: &NewFile, cause: StoreError) -> BackupError {
    let path = file.partial().to_owned();
    match cause {
        StoreError::Full(_) => BackupError::Full(path),
        cause => BackupError::Store { path, cause },
    }
}

fn progress(pages: &Pages<'_, '_>) -> Progress {
    let now = pages.progress();
    let count = |pages| u64::try_from(pages).unwrap_or_default();
    Progress { done: count(now.pagecount).saturating_sub(count(now.remaining)), all: count(now.pagecount) }
}

/// Counts the rows of each table.
fn counts(end: &mut End) -> Result<Vec<(String, u64)>, StoreError> {
    let tables = end.tables()?;
    tables.into_iter().map(|table| Ok((table.name.clone(), end.count(&table)?))).collect()
}

/// Reads all of a backup; leaves it as one file that needs none beside it, and that goes on far behind.
fn read_back(path: &Path) -> Result<(Schema, Vec<(String, u64)>), StoreError> {
    let connection = sqlite::open_new(path)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = DELETE", (), |row| row.get(0))?;
    if mode != "delete" {
        return Err(StoreError::Other(format!("the backup stays in mode {mode}")));
    }
    let found: String = connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))?;
    if found != "ok" {
        return Err(StoreError::Corrupt(found));
    }
    sqlite::check_references(&connection)?;
    let mut end = End::Sqlite(connection);
    leap(&mut end)?;
    Ok((end.schema()?, counts(&mut end)?))
}

/// Has each table go on far behind the last number that it has given out.
fn leap(end: &mut End) -> Result<(), StoreError> {
    for table in end.tables()? {
        if let Some(last) = end.last_number(&table)? {
            end.go_on_behind(&table, last.saturating_add(LEAP))?;
        }
    }
    Ok(())
}
