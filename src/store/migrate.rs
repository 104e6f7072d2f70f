//! The schema's history: numbered steps, each applied once, each recognised by its checksum.
//!
//! Both databases have the same numbers. What always holds: a step that has been applied is never applied again nor
//! changed, and a database that a later program has used is refused rather than guessed at.

use crate::store::tx::{Link, Tx};
use crate::store::{Location, StoreError, copy, postgres, sqlite};
use sha2::{Digest, Sha256};

/// How far a database has come in that history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The number of the last step applied to it; 0 for none.
    pub found: i64,
    /// The number of the last step there is.
    pub known: i64,
}

/// One step.
pub(super) struct Migration {
    /// Its number, counted from 1.
    pub(super) number: i64,
    /// Its statements.
    pub(super) sql: &'static str,
}

/// The steps of SQLite, in order.
pub(super) const SQLITE: &[Migration] = &[
    Migration { number: 1, sql: include_str!("migrations/sqlite/0001_first.sql") },
    Migration { number: 2, sql: include_str!("migrations/sqlite/0002_lanes.sql") },
    Migration { number: 3, sql: include_str!("migrations/sqlite/0003_doors.sql") },
];

/// The steps of PostgreSQL, under the same numbers.
pub(super) const POSTGRES: &[Migration] = &[
    Migration { number: 1, sql: include_str!("migrations/postgres/0001_first.sql") },
    Migration { number: 2, sql: include_str!("migrations/postgres/0002_lanes.sql") },
    Migration { number: 3, sql: include_str!("migrations/postgres/0003_doors.sql") },
];

/// Makes the table that remembers what was applied; both databases understand it.
pub(super) const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS migrations (number BIGINT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL)";
/// Reads what was applied.
pub(super) const APPLIED: &str = "SELECT number, checksum FROM migrations ORDER BY number";
/// Remembers that a step was applied.
pub(super) const REMEMBER: &str = "INSERT INTO migrations (number, checksum) VALUES (?1, ?2)";

/// Says how far a database has come; only reads, and makes nothing where nothing is.
///
/// # Errors
/// The database cannot be read, is newer than the program, or was made by other steps.
pub fn schema_of(location: &Location) -> Result<Schema, StoreError> {
    match location {
        Location::Sqlite(path) if !path.exists() => Ok(Schema { found: 0, known: newest(SQLITE) }),
        _ => copy::End::read(location)?.schema(),
    }
}

/// Brings a database up to date, makes it where it is missing, and says how far it had come.
///
/// # Errors
/// The database cannot be written, is newer than the program, or was made by other steps.
pub fn migrate(location: &Location) -> Result<Schema, StoreError> {
    match location {
        Location::Sqlite(path) => sqlite::migrate(&sqlite::open(path)?),
        Location::Postgres(url) => postgres::Server::parse(url)?.connect(postgres::Purpose::Write)?.migrate(),
    }
}

/// Reads how far a database has come; none of the `known` steps may be missing before the last one applied.
pub(super) fn schema(tx: &mut Tx<'_>, known: &[Migration]) -> Result<Schema, StoreError> {
    let there = match tx.link() {
        Link::Sqlite(_) => "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'",
        Link::Postgres(_) => "SELECT 1::bigint FROM pg_class WHERE oid = to_regclass('migrations')",
    };
    let applied = match tx.one(there, &[], |row| row.get::<i64>(0))? {
        Some(_) => tx.query(APPLIED, &[], |row| Ok((row.get(0)?, row.get(1)?)))?,
        None => Vec::new(),
    };
    missing(known, &applied)?;
    Ok(Schema { found: applied.len() as i64, known: newest(known) })
}

/// Gives the number of the last step.
pub(super) fn newest(known: &[Migration]) -> i64 {
    known.last().map_or(0, |migration| migration.number)
}

/// Tells that a database was brought up to date. A new one is not worth a word.
pub(super) fn tell(schema: Schema) {
    if (1..schema.known).contains(&schema.found) {
        tracing::info!(from = schema.found, to = schema.known, "the schema of the database was brought up to date");
    }
}

impl Migration {
    /// Gives what recognises the step: SHA-256 of its text, in hex.
    pub(super) fn checksum(&self) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(self.sql.as_bytes()))
    }
}

/// Says which of the `known` steps are still to be applied.
///
/// # Errors
/// The database is newer than the program, or was made by other steps.
pub(super) fn missing<'a>(known: &'a [Migration], applied: &[(i64, String)]) -> Result<&'a [Migration], StoreError> {
    let newest = newest(known);
    if let Some((found, _)) = applied.iter().find(|(number, _)| *number > newest) {
        return Err(StoreError::Newer { found: *found, known: newest });
    }
    for (migration, (number, checksum)) in known.iter().zip(applied) {
        if migration.number != *number || migration.checksum() != *checksum {
            return Err(StoreError::Migration(*number));
        }
    }
    Ok(known.get(applied.len()..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Migration] = &[Migration { number: 1, sql: "a" }, Migration { number: 2, sql: "b" }];

    fn applied(count: usize) -> Vec<(i64, String)> {
        KNOWN[..count].iter().map(|migration| (migration.number, migration.checksum())).collect()
    }

    #[test]
    fn both_databases_have_the_same_steps() {
        for steps in [SQLITE, POSTGRES] {
            let numbers: Vec<_> = steps.iter().map(|migration| migration.number).collect();
            assert_eq!(numbers, (1..=steps.len() as i64).collect::<Vec<_>>());
        }
        assert_eq!(SQLITE.len(), POSTGRES.len());
    }

    #[test]
    fn only_what_is_missing_is_applied() {
        for count in 0..=2 {
            assert_eq!(missing(KNOWN, &applied(count)).unwrap().len(), 2 - count);
        }
    }

    #[test]
    fn a_database_of_a_later_program_is_refused() {
        let mut later = applied(2);
        later.push((7, String::new()));
        assert_eq!(missing(KNOWN, &later).err(), Some(StoreError::Newer { found: 7, known: 2 }));
    }

    #[test]
    fn a_step_that_was_changed_afterwards_is_found() {
        let other = vec![(1, Migration { number: 1, sql: "A" }.checksum())];
        assert_eq!(missing(KNOWN, &other).err(), Some(StoreError::Migration(1)));
        let hole = vec![(2, KNOWN[1].checksum())];
        assert_eq!(missing(KNOWN, &hole).err(), Some(StoreError::Migration(2)));
    }
}
