//! One end of a copy: a database of either kind, opened to be read as it is at one moment, or to be filled.
//!
//! Knows how each of the two is paged through, filled and told what number comes next. What always holds: an end that is read
//! stays as it was when it was opened, whatever others write meanwhile; an end that is filled keeps nothing before `keep`.

use super::catalog::{self, Table};
use super::value::{Adding, Record, Sum, Value, record};
use crate::store::dialect::{BEGIN_COPY, UNHURRIED, for_postgres};
use crate::store::migrate::{self, POSTGRES, SQLITE, Schema};
use crate::store::postgres::{Purpose, Server, Session};
use crate::store::sql::{Param, params};
use crate::store::tx::{Link, Tx};
use crate::store::{Location, StoreError, sqlite};
use rusqlite::{Connection, params_from_iter};
use std::path::Path;

/// A database of either kind.
pub(in crate::store) enum End {
    /// A file.
    Sqlite(Connection),
    /// A connection to a server.
    Postgres(Box<Session>),
}

impl End {
    /// Opens what is there, as it is now.
    pub(in crate::store) fn read(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Sqlite(path) => sqlite::open_snapshot(path).map(Self::Sqlite),
            Location::Postgres(url) => {
                let mut session = Server::parse(url)?.connect(Purpose::Read)?;
                session.say(UNHURRIED)?;
                session.say("RESET enable_seqscan")?;
                session.begin()?;
                Ok(Self::Postgres(Box::new(session)))
            }
        }
    }

    /// Opens a new file to be filled.
    pub(in crate::store) fn new_file(path: &Path) -> Result<Self, StoreError> {
        Self::filled(sqlite::open_new(path)?)
    }

    /// Takes a new file that is open already.
    pub(in crate::store) fn filled(connection: Connection) -> Result<Self, StoreError> {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self::Sqlite(connection))
    }

    /// Opens a database of a server to be filled.
    pub(in crate::store) fn fill(url: &str) -> Result<Self, StoreError> {
        let mut session = Server::parse(url)?.connect(Purpose::Write)?;
        session.say(UNHURRIED)?;
        session.say(BEGIN_COPY)?;
        Ok(Self::Postgres(Box::new(session)))
    }

    fn tx(&mut self) -> Tx<'_> {
        match self {
            Self::Sqlite(connection) => Tx::new(Link::Sqlite(connection)),
            Self::Postgres(session) => Tx::new(Link::Postgres(session)),
        }
    }

    /// Says which steps of the schema have been applied.
    pub(in crate::store) fn schema(&mut self) -> Result<Schema, StoreError> {
        let steps = match self {
            Self::Sqlite(_) => SQLITE,
            Self::Postgres(_) => POSTGRES,
        };
        migrate::schema(&mut self.tx(), steps)
    }

    /// Makes the schema where it is missing.
    pub(in crate::store) fn prepare(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => sqlite::apply_missing(connection).map(drop),
            Self::Postgres(session) => session.apply_missing().map(drop),
        }
    }

    /// Names the tables.
    pub(in crate::store) fn tables(&mut self) -> Result<Vec<Table>, StoreError> {
        catalog::tables(&mut self.tx())
    }

    /// Counts the rows of a table.
    pub(in crate::store) fn count(&mut self, table: &Table) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {}", table.quoted());
        Ok(self.tx().one(&sql, &[], |row| row.get(0))?.unwrap_or_default())
    }

    /// Gives the next rows of a table in the order of their keys: those behind `after`, or the first.
    pub(super) fn page(&mut self, table: &Table, after: Option<&Record>) -> Result<Vec<Record>, StoreError> {
        let (page, order) = (table.page(), table.order());
        let all = format!("SELECT {} FROM {}", table.list(), table.quoted());
        match self {
            Self::Sqlite(_) => {
                let key: Vec<Param<'_>> = after.map(|record| key_of(table, record)).unwrap_or_default();
                let places = (1..=key.len()).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ");
                let behind = if key.is_empty() { String::new() } else { format!("WHERE ({order}) > ({places})") };
                let sql = format!("{all} {behind} ORDER BY {order} LIMIT {page}");
                self.tx().query(&sql, &key, |row| record(row, table))
            }
            // The order of texts is seldom that of an index there, so they are put in order once.
            Self::Postgres(session) => {
                if after.is_none() {
                    let sql = format!("CLOSE ALL; DECLARE pages NO SCROLL CURSOR FOR {all} ORDER BY {order}");
                    session.say(&for_postgres(&sql))?;
                }
                session.query_once(&format!("FETCH {page} FROM pages"), |row| record(row, table))
            }
        }
    }

    /// Writes rows into a table.
    pub(super) fn put(&mut self, table: &Table, records: &[Record]) -> Result<(), StoreError> {
        let rows = records.iter().map(|record| record.iter().map(Value::param).collect::<Vec<_>>());
        match self {
            Self::Sqlite(connection) => {
                let places = (1..=table.columns.len()).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ");
                let sql = format!("INSERT INTO {} ({}) VALUES ({places})", table.quoted(), table.list());
                let mut insert = connection.prepare_cached(&sql)?;
                for row in rows {
                    insert.execute(params_from_iter(&row))?;
                }
                Ok(())
            }
            Self::Postgres(session) => {
                let sql = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.quoted(), table.list());
                let types: Vec<_> = table.columns.iter().map(|column| column.kind.postgres()).collect();
                session.copy_in(&sql, &types, rows)
            }
        }
    }

    /// Gives the last number that a table has given out, 0 for none yet; nothing where it gives out none.
    pub(in crate::store) fn last_number(&mut self, table: &Table) -> Result<Option<i64>, StoreError> {
        let Some(column) = &table.numbered else { return Ok(None) };
        let last = match self {
            Self::Sqlite(_) => {
                let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
                self.tx().one(sql, params![&table.name], |row| row.get(0))?
            }
            Self::Postgres(_) => {
                let sequence = self.sequence(table, column)?;
                let sql = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}");
                self.tx().one(&sql, &[], |row| row.get(0))?
            }
        };
        Ok(Some(last.unwrap_or(0)))
    }

    /// Has a table go on behind a number.
    pub(in crate::store) fn go_on_behind(&mut self, table: &Table, last: i64) -> Result<(), StoreError> {
        let Some(column) = &table.numbered else { return Ok(()) };
        match self {
            Self::Sqlite(_) => {
                let mut tx = self.tx();
                tx.execute("DELETE FROM sqlite_sequence WHERE name = ?1", params![&table.name])?;
                if last > 0 {
                    let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";
                    tx.execute(sql, params![&table.name, last])?;
                }
            }
            Self::Postgres(_) => {
                let sequence = self.sequence(table, column)?;
                let sql = "SELECT setval(?1::text::regclass, greatest(?2::bigint, 1), ?2::bigint > 0)";
                self.tx().one(sql, params![&sequence, last], |_| Ok(()))?;
            }
        }
        Ok(())
    }

    /// Names what numbers a column of PostgreSQL, as statements have it.
    fn sequence(&mut self, table: &Table, column: &str) -> Result<String, StoreError> {
        let sql = "SELECT pg_get_serial_sequence(?1, ?2)";
        let found = self.tx().one(sql, params![&table.quoted(), column], |row| row.get(0))?;
        found.ok_or_else(|| StoreError::Other(format!("{column} of table {} is not numbered", table.name)))
    }

    /// Says whether every reference leads to a row. PostgreSQL has seen to it.
    pub(super) fn check_references(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => sqlite::check_references(connection),
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Adds up a table; tells of each page.
    pub(super) fn sum(&mut self, table: &Table, mut page: impl FnMut(usize)) -> Result<Sum, StoreError> {
        let (mut adding, mut last) = (Adding::of(table), None);
        loop {
            let mut rows = self.page(table, last.as_ref())?;
            rows.iter().for_each(|row| adding.row(row));
            page(rows.len());
            let Some(row) = rows.pop() else { break };
            last = Some(row);
        }
        let last_number = self.last_number(table)?;
        Ok(adding.sum(last_number))
    }

    /// Keeps what was filled in.
    pub(in crate::store) fn keep(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => {
                connection.execute_batch("COMMIT")?;
                connection.close().map_err(|(_, error)| error.into())
            }
            Self::Postgres(mut session) => session.say("COMMIT"),
        }
    }
}

fn key_of<'a>(table: &Table, record: &'a Record) -> Vec<Param<'a>> {
    table.key.iter().filter_map(|at| record.get(*at)).map(Value::param).collect()
}
