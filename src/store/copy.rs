//! A whole store copied from one database to another, and two stores compared.
//!
//! The tables and their columns come out of the schema's own catalog (`catalog`), so that whatever a later step of it adds is
//! copied without a word here. Rows go over in pages, in the order in which tables point to one another (`end`); then each
//! table is read again where it came to, and must add up to what it was where it came from (`value`).
//!
//! Knows no table by name. What always holds: where it comes from is only read, as it was at one moment; where it goes to has
//! all of it in the end, or nothing; numbers are given out behind the last one that was given out before.

mod catalog;
mod end;
mod value;

pub use value::Sum;

pub(super) use end::End;

use crate::store::migrate::Schema;
use crate::store::new_file::{NewFile, NewFileError, Over};
use crate::store::{Location, StoreError};
use catalog::Table;
use std::path::Path;
use value::Adding;

/// How far a long piece of work has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// So much is done,
    pub done: u64,
    /// of so much.
    pub all: u64,
}

/// Hears how far it has come.
pub type Watch<'a> = dyn FnMut(Progress) + 'a;

/// A table at both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Its name.
    pub table: String,
    /// What it comes to where it was copied from.
    pub from: Sum,
    /// What it comes to where it was copied to.
    pub to: Sum,
}

impl Compared {
    /// Says whether both ends hold the same rows, and the target gives out no number that was given out before. It may go on
    /// further behind, as a backup does.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let last_number = self.from.last_number.max(self.to.last_number);
        self.to == Sum { last_number, ..self.from.clone() }
    }
}

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the databases failed.
    #[error("{place}: {cause}")]
    Store {
        /// Which.
        place: String,
        /// What it said.
        cause: StoreError,
    },
    /// There is no such file.
    #[error("{0}: there is no such database")]
    Missing(String),
    /// The database has no schema.
    #[error("{0}: is no store of karamail")]
    NoStore(String),
    /// The database has the schema of a program before this one.
    #[error("{place}: has schema {found} and this program makes {known}: bring it up to date first (store migrate)")]
    Older {
        /// Which database.
        place: String,
        /// The schema it has.
        found: i64,
        /// The schema of this program.
        known: i64,
    },
    /// There are rows already.
    #[error("{place}: is not empty, table {table} has rows; a copy goes into an empty database")]
    NotEmpty {
        /// Which database.
        place: String,
        /// The first table with rows.
        table: String,
    },
    /// Both ends are one database.
    #[error("{0}: is both where it comes from and where it goes to")]
    Same(String),
    /// The tables are not those of the other end.
    #[error("{place}: its tables are not those of {other}")]
    Unlike {
        /// Where it was to go to.
        place: String,
        /// Where it comes from.
        other: String,
    },
    /// The new file cannot be made.
    #[error(transparent)]
    File(#[from] NewFileError),
    /// What came out is not what went in; nothing was kept.
    #[error("the copy is not what was copied")]
    Differs(Vec<Compared>),
}

/// An end, and what it is called in complaints.
pub(super) struct Named {
    pub(super) end: End,
    place: String,
}

impl Named {
    /// Opens what is there, as it is now, where it has the schema of this program.
    pub(super) fn source(location: &Location) -> Result<Self, CopyError> {
        let mut source = Self::open(location)?;
        let Schema { found, known } = source.ask(End::schema)?;
        if found < known {
            return Err(CopyError::Older { place: source.place, found, known });
        }
        Ok(source)
    }

    /// Opens what is there, as it is now, where it has a schema of this program or of one before it.
    pub(super) fn open(location: &Location) -> Result<Self, CopyError> {
        // What a system refuses to show is not missing.
        let missing = |path: &Path| path.try_exists().is_ok_and(|there| !there);
        if matches!(location, Location::Sqlite(path) if missing(path)) {
            return Err(CopyError::Missing(location.to_string()));
        }
        let mut source = Self::of(location, End::read(location))?;
        match source.ask(End::schema)?.found {
            0 => Err(CopyError::NoStore(source.place)),
            _ => Ok(source),
        }
    }

    /// Gives an end that was opened, or failed to be, its name.
    pub(super) fn of(location: &Location, opened: Result<End, StoreError>) -> Result<Self, CopyError> {
        let place = location.to_string();
        match opened {
            Ok(end) => Ok(Self { end, place }),
            Err(cause) => Err(CopyError::Store { place, cause }),
        }
    }

    pub(super) fn ask<T>(&mut self, work: impl FnOnce(&mut End) -> Result<T, StoreError>) -> Result<T, CopyError> {
        work(&mut self.end).map_err(|cause| CopyError::Store { place: self.place.clone(), cause })
    }
}

/// Copies a store into an empty database, and compares both.
///
/// # Errors
/// See [`CopyError`]; nothing was kept.
pub fn copy(from: &Location, to: &Location, watch: &mut Watch<'_>) -> Result<Vec<Compared>, CopyError> {
    if from == to {
        return Err(CopyError::Same(from.to_string()));
    }
    let mut source = Named::source(from)?;
    match to {
        Location::Sqlite(path) => {
            let file = NewFile::begin(path, Over::Nothing)?;
            let mut target = Named::of(to, End::new_file(file.partial()))?;
            let compared = fill(&mut source, &mut target, watch)?;
            target.end.keep().map_err(|cause| CopyError::Store { place: target.place, cause })?;
            file.finish()?;
            Ok(compared)
        }
        Location::Postgres(url) => {
            let mut target = Named::of(to, End::fill(url))?;
            let compared = fill(&mut source, &mut target, watch)?;
            target.end.keep().map_err(|cause| CopyError::Store { place: target.place, cause })?;
            Ok(compared)
        }
    }
}

/// Compares two stores; neither is changed.
///
/// # Errors
/// See [`CopyError`]. What differs is no error, but in what is given.
pub fn compare(from: &Location, to: &Location, watch: &mut Watch<'_>) -> Result<Vec<Compared>, CopyError> {
    let (mut one, mut other) = (Named::source(from)?, Named::source(to)?);
    let tables = shared_tables(&mut one, &mut other)?;
    let mut steps = Steps::over(rows_of(&mut one, &tables)? + rows_of(&mut other, &tables)?, watch);
    let mut compared = Vec::new();
    for table in &tables {
        let from = one.ask(|end| end.sum(table, |rows| steps.take(rows)))?;
        let to = other.ask(|end| end.sum(table, |rows| steps.take(rows)))?;
        compared.push(Compared { table: table.name.clone(), from, to });
    }
    Ok(compared)
}

/// Makes the schema at the target, fills it and compares; the target is not yet told to keep it.
pub(super) fn fill(source: &mut Named, target: &mut Named, watch: &mut Watch<'_>) -> Result<Vec<Compared>, CopyError> {
    target.ask(End::prepare)?;
    let tables = shared_tables(source, target)?;
    for table in &tables {
        if target.ask(|end| end.count(table))? > 0 {
            return Err(CopyError::NotEmpty { place: target.place.clone(), table: table.name.clone() });
        }
    }
    let mut steps = Steps::over(2 * rows_of(source, &tables)?, watch);
    let sums = tables.iter().map(|table| copy_table(source, target, table, &mut steps));
    let sums = sums.collect::<Result<Vec<_>, _>>()?;
    target.ask(End::check_references)?;
    let mut compared = Vec::new();
    for (table, from) in tables.iter().zip(sums) {
        let to = target.ask(|end| end.sum(table, |rows| steps.take(rows)))?;
        compared.push(Compared { table: table.name.clone(), from, to });
    }
    if compared.iter().all(Compared::is_same) { Ok(compared) } else { Err(CopyError::Differs(compared)) }
}

/// Copies one table; gives what it comes to where it comes from.
fn copy_table(
    source: &mut Named,
    target: &mut Named,
    table: &Table,
    steps: &mut Steps<'_, '_>,
) -> Result<Sum, CopyError> {
    let (mut adding, mut last) = (Adding::of(table), None);
    loop {
        let mut rows = source.ask(|end| end.page(table, last.as_ref()))?;
        rows.iter().for_each(|row| adding.row(row));
        target.ask(|end| end.put(table, &rows))?;
        steps.take(rows.len());
        let Some(row) = rows.pop() else { break };
        last = Some(row);
    }
    let last_number = source.ask(|end| end.last_number(table))?;
    target.ask(|end| end.go_on_behind(table, last_number.unwrap_or(0)))?;
    Ok(adding.sum(last_number))
}

/// Names the tables of both ends; they have to be the same.
fn shared_tables(source: &mut Named, target: &mut Named) -> Result<Vec<Table>, CopyError> {
    let (tables, others) = (source.ask(End::tables)?, target.ask(End::tables)?);
    if tables == others {
        Ok(tables)
    } else {
        Err(CopyError::Unlike { place: target.place.clone(), other: source.place.clone() })
    }
}

fn rows_of(end: &mut Named, tables: &[Table]) -> Result<u64, CopyError> {
    tables.iter().map(|table| end.ask(|end| end.count(table))).sum()
}

/// Rows of so many, told to whoever watches.
struct Steps<'a, 'w> {
    now: Progress,
    watch: &'a mut Watch<'w>,
}

impl<'a, 'w> Steps<'a, 'w> {
    fn over(all: u64, watch: &'a mut Watch<'w>) -> Self {
        Self { now: Progress { done: 0, all }, watch }
    }

    fn take(&mut self, rows: usize) {
        self.now.done += rows as u64;
        (self.watch)(self.now);
    }
}
