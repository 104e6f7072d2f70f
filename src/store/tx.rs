//! A transaction, as the nouns use it: statements in, rows out.
//!
//! Knows which database it runs on, and nothing of the tables. What always holds: after an error of the database nothing of
//! the transaction is kept, even if its work shrugs the error off; the databases differ in what would be left.

use crate::store::postgres::Session;
use crate::store::sql::{Param, Row};
use crate::store::{Event, StoreError};
use rusqlite::params_from_iter;
use std::sync::atomic::{AtomicU64, Ordering};

/// A transaction that is under way; everything that can be asked of the store is a method of it.
pub struct Tx<'a> {
    link: Link<'a>,
    pub(super) events: Vec<Event>,
    trouble: Option<StoreError>,
    /// Counts the one-time passwords that are being ordered.
    coming: Option<&'a AtomicU64>,
}

/// The connection it runs on.
pub(super) enum Link<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a mut Session),
}

impl<'a> Tx<'a> {
    pub(super) const fn new(link: Link<'a>) -> Self {
        Self { link, events: Vec::new(), trouble: None, coming: None }
    }

    pub(super) const fn writing(link: Link<'a>, coming: &'a AtomicU64) -> Self {
        Self { link, events: Vec::new(), trouble: None, coming: Some(coming) }
    }

    /// Gives the connection, for what each database has to be asked in words of its own.
    pub(super) const fn link(&self) -> &Link<'a> {
        &self.link
    }

    /// Says that a one-time password is being ordered, before its commit.
    pub(super) fn announce(&self) {
        if let Some(coming) = self.coming {
            coming.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives the first error of the database, after which nothing is kept.
    pub(super) const fn trouble(&self) -> Option<&StoreError> {
        self.trouble.as_ref()
    }

    /// Ends it; gives that error and the events recorded.
    pub(super) fn into_parts(self) -> (Option<StoreError>, Vec<Event>) {
        (self.trouble, self.events)
    }

    fn note<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let (Err(error), None) = (&result, &self.trouble) {
            self.trouble = Some(error.clone());
        }
        result
    }

    /// Keeps everybody else from deciding about the same things until this transaction ends. SQLite has one writer anyway.
    /// What a decision rests on is read after it.
    ///
    /// # Errors
    /// The database failed.
    pub fn guard(&mut self) -> Result<(), StoreError> {
        let result = match &mut self.link {
            Link::Sqlite(_) => Ok(()),
            Link::Postgres(session) => session.guard(),
        };
        self.note(result)
    }

    /// Runs a statement that answers nothing; gives how many rows it touched.
    pub(super) fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let result = match &mut self.link {
            Link::Sqlite(connection) => sqlite_execute(connection, sql, params),
            Link::Postgres(session) => session.execute(sql, params),
        };
        self.note(result)
    }

    /// Inserts one row into a table numbered by `id`; gives the number.
    pub(super) fn insert(&mut self, sql: &str, params: &[Param<'_>]) -> Result<i64, StoreError> {
        let result = match &mut self.link {
            Link::Sqlite(connection) => sqlite_execute(connection, sql, params).map(|_| connection.last_insert_rowid()),
            Link::Postgres(session) => session.insert(sql, params),
        };
        self.note(result)
    }

    /// Runs a statement and reads every row of its answer.
    pub(super) fn query<T>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let result = match &mut self.link {
            Link::Sqlite(connection) => sqlite_query(connection, sql, params, read),
            Link::Postgres(session) => session.query(sql, params, read),
        };
        self.note(result)
    }

    /// Runs a statement that answers at most one row, and reads it.
    pub(super) fn one<T>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.query(sql, params, read).map(|mut rows| rows.pop())
    }
}

fn sqlite_execute(connection: &rusqlite::Connection, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
    let rows = connection.prepare_cached(sql)?.execute(params_from_iter(params))?;
    Ok(u64::try_from(rows).unwrap_or(u64::MAX))
}

fn sqlite_query<T>(
    connection: &rusqlite::Connection,
    sql: &str,
    params: &[Param<'_>],
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(params))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(&Row::Sqlite(row))?);
    }
    Ok(found)
}
