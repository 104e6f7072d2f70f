//! What a schema is made of, read out of the database: tables, columns and keys, and who points to whom.
//!
//! Knows the catalogs of both databases, and of all tables only that of the migrations by name: each database has its own. What
//! always holds: every other table of the schema is named, behind those it points to; columns stand in the order of their
//! names, so that both databases give the same table the same words.

use super::value::Kind;
use crate::store::StoreError;
use crate::store::sql::{Row, params};
use crate::store::tx::{Link, Tx};
use std::collections::BTreeSet;

/// The most rows written or read at once.
const PAGE: usize = 5_000;
/// The same for tables that hold bytes: a row may be a whole mail.
const PAGE_OF_BYTES: usize = 100;

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: String,
    pub(super) columns: Vec<Column>,
    /// The places in `columns` of what tells its rows apart, in the order in which they do.
    pub(super) key: Vec<usize>,
    /// The tables it points to.
    references: BTreeSet<String>,
    /// The column that the database numbers by itself.
    pub(super) numbered: Option<String>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// Where the catalog is, in the words of each database.
struct Words {
    tables: &'static str,
    /// The name, the type and the place in the key (below 0: none), and whether the database numbers it.
    columns: &'static str,
    references: &'static str,
}

const SQLITE: Words = Words {
    tables: "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' \
             AND name <> 'migrations' ORDER BY name",
    columns: "SELECT c.name, c.type, c.pk - 1, c.pk = 1 AND s.sql LIKE '%AUTOINCREMENT%' \
              FROM pragma_table_info(?1) c JOIN sqlite_schema s ON s.type = 'table' AND s.name = ?1",
    references: "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1)",
};

const POSTGRES: Words = Words {
    tables: "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' \
             AND relname <> 'migrations' ORDER BY relname",
    columns: "SELECT a.attname::text, format_type(a.atttypid, NULL), \
              coalesce(array_position(i.indkey::int2[], a.attnum), -1)::bigint, (a.attidentity <> '')::int::bigint \
              FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary \
              WHERE a.attrelid = ?1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped",
    references: "SELECT DISTINCT f.relname::text FROM pg_constraint k JOIN pg_class f ON f.oid = k.confrelid \
                 WHERE k.conrelid = ?1::text::regclass AND k.contype = 'f'",
};

/// Reads the catalog.
pub(in crate::store) fn tables(tx: &mut Tx<'_>) -> Result<Vec<Table>, StoreError> {
    let words = match tx.link() {
        Link::Sqlite(_) => &SQLITE,
        Link::Postgres(_) => &POSTGRES,
    };
    let names = tx.query(words.tables, &[], |row| row.get::<String>(0))?;
    let tables = names.into_iter().map(|name| table(tx, words, name)).collect::<Result<Vec<_>, _>>()?;
    in_order(tables)
}

/// A column as the catalog has it.
struct Found {
    column: Column,
    place: i64,
    numbered: bool,
}

fn table(tx: &mut Tx<'_>, words: &Words, name: String) -> Result<Table, StoreError> {
    let read = |row: &Row<'_>| {
        let (column, written): (String, String) = (row.get(0)?, row.get(1)?);
        let kind = Kind::of(&written).ok_or_else(|| {
            StoreError::Other(format!("column {column} of table {name} is of a type that no copy knows: {written}"))
        })?;
        Ok(Found { column: Column { name: column, kind }, place: row.get(2)?, numbered: row.get(3)? })
    };
    let mut found = tx.query(words.columns, params![&name], read)?;
    found.sort_by(|one, other| one.column.name.cmp(&other.column.name));
    let references = tx.query(words.references, params![&name], |row| row.get::<String>(0))?.into_iter().collect();
    let mut key: Vec<(i64, usize)> =
        found.iter().enumerate().filter(|(_, found)| found.place >= 0).map(|(at, found)| (found.place, at)).collect();
    key.sort_unstable();
    if key.is_empty() {
        return Err(StoreError::Other(format!("table {name} has no key, so its rows have no order")));
    }
    let numbered = found.iter().find(|found| found.numbered).map(|found| found.column.name.clone());
    let key = key.into_iter().map(|(_, at)| at).collect();
    let columns = found.into_iter().map(|found| found.column).collect();
    Ok(Table { name, columns, key, references, numbered })
}

/// Puts each table behind those it points to.
fn in_order(mut tables: Vec<Table>) -> Result<Vec<Table>, StoreError> {
    let mut placed: Vec<Table> = Vec::new();
    while !tables.is_empty() {
        let is_there = |name: &String| placed.iter().any(|table| table.name == *name);
        let ready = |table: &Table| table.references.iter().all(|name| *name == table.name || is_there(name));
        let (next, waiting): (Vec<_>, Vec<_>) = tables.into_iter().partition(ready);
        if next.is_empty() {
            return Err(StoreError::Other(String::from("tables point to one another in a circle")));
        }
        placed.extend(next);
        tables = waiting;
    }
    Ok(placed)
}

impl Table {
    /// How many rows are written or read at once.
    pub(super) fn page(&self) -> usize {
        if self.columns.iter().any(|column| column.kind == Kind::Blob) { PAGE_OF_BYTES } else { PAGE }
    }

    /// Its name, as statements have it.
    pub(super) fn quoted(&self) -> String {
        quoted(&self.name)
    }

    /// Its columns, as statements have them.
    pub(super) fn list(&self) -> String {
        self.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }

    /// What its rows are ordered by: texts by their bytes, on both databases.
    pub(super) fn order(&self) -> String {
        let part = |at: &usize| {
            let column = self.columns.get(*at)?;
            let by_bytes = if column.kind == Kind::Text { " /* by bytes */" } else { "" };
            Some(quoted(&column.name) + by_bytes)
        };
        self.key.iter().filter_map(part).collect::<Vec<_>>().join(", ")
    }
}

/// A name as statements have it: `by` is a word of SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;
    use crate::store::sqlite;

    fn of(connection: &rusqlite::Connection) -> Vec<Table> {
        tables(&mut Tx::new(Link::Sqlite(connection))).unwrap()
    }

    /// The tables that the steps of the schema make, read from their text.
    fn made() -> BTreeSet<String> {
        let texts = migrate::SQLITE.iter().map(|step| step.sql);
        let made = texts.flat_map(|text| text.split("CREATE TABLE ").skip(1));
        made.map(|rest| rest.split([' ', '(']).next().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_table_that_the_schema_makes_is_found_behind_those_it_points_to() {
        let folder = tempfile::tempdir().unwrap();
        let found = of(&sqlite::open_writer(&folder.path().join("karamail.db")).unwrap());
        let names: Vec<&str> = found.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), made());
        let place = |name: &str| names.iter().position(|found| *found == name).unwrap();
        assert!(place("orgs") < place("members") && place("members") < place("sessions"), "{names:?}");
        assert!(place("mails") < place("jobs") && place("mails") < place("mail_bodies"), "{names:?}");
    }

    #[test]
    fn what_a_table_is_made_of_is_read_from_it() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let made = "CREATE TABLE one (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER);
                    CREATE TABLE two (\"by\" TEXT NOT NULL, bytes BLOB, one INTEGER REFERENCES one (id), PRIMARY KEY (one, \"by\"))";
        connection.execute_batch(made).unwrap();
        let found = of(&connection);
        assert_eq!((found[0].name.as_str(), found[0].numbered.as_deref()), ("one", Some("id")));
        assert_eq!((found[1].numbered.as_deref(), found[1].page()), (None, PAGE_OF_BYTES));
        assert_eq!(found[1].list(), "\"by\", \"bytes\", \"one\"");
        assert_eq!(found[1].order(), "\"one\", \"by\" /* by bytes */");
    }

    #[test]
    fn what_cannot_be_copied_faithfully_is_not_copied() {
        for made in [
            "CREATE TABLE odd (id INTEGER PRIMARY KEY, price REAL)",
            "CREATE TABLE odd (a TEXT)",
            "CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER REFERENCES b (id));
             CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER REFERENCES a (id))",
        ] {
            let connection = rusqlite::Connection::open_in_memory().unwrap();
            connection.execute_batch(made).unwrap();
            assert!(tables(&mut Tx::new(Link::Sqlite(&connection))).is_err(), "{made}");
        }
    }
}
