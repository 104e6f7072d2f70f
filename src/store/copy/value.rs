//! Values as they go from one database to the other, and what a table full of them comes to.
//!
//! Knows the three types a column can have. What always holds: the checksum of a table depends on its name, its columns and
//! its rows in the order of their keys, and not on the database that holds it.

use super::catalog::Table;
use crate::store::StoreError;
use crate::store::dialect::without_nul;
use crate::store::sql::{Param, Row};
use data_encoding::HEXLOWER;
use postgres::types::Type;
use sha2::{Digest, Sha256};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Text,
    Blob,
}

impl Kind {
    /// Reads the type as either catalog writes it.
    pub(super) fn of(written: &str) -> Option<Self> {
        match written {
            "INTEGER" | "bigint" => Some(Self::Integer),
            "TEXT" | "text" => Some(Self::Text),
            "BLOB" | "bytea" => Some(Self::Blob),
            _ => None,
        }
    }

    /// The type as PostgreSQL numbers it.
    pub(super) const fn postgres(self) -> Type {
        match self {
            Self::Integer => Type::INT8,
            Self::Text => Type::TEXT,
            Self::Blob => Type::BYTEA,
        }
    }
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// The values of a row, in the order of its table's columns.
pub(super) type Record = Vec<Value>;

impl Value {
    pub(super) fn param(&self) -> Param<'_> {
        match self {
            Self::Null => Param::Null,
            Self::Integer(number) => Param::Integer(*number),
            Self::Text(text) => text.as_str().into(),
            Self::Blob(bytes) => Param::Blob(bytes),
        }
    }
}

/// Reads a row of a table's columns.
pub(super) fn record(row: &Row<'_>, table: &Table) -> Result<Record, StoreError> {
    let value = |(at, kind): (usize, Kind)| {
        let value = match kind {
            Kind::Integer => row.find(at)?.map(Value::Integer),
            Kind::Text => row.find(at)?.map(Value::Text),
            Kind::Blob => row.find(at)?.map(Value::Blob),
        };
        Ok(value.unwrap_or(Value::Null))
    };
    table.columns.iter().map(|column| column.kind).enumerate().map(value).collect()
}

/// What a table comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// How many rows it has.
    pub rows: u64,
    /// The SHA-256 of its rows, in hex.
    pub sha256: String,
    /// The last number it has given out; nothing where it gives out none.
    pub last_number: Option<i64>,
}

/// A [`Sum`] that is being added up.
pub(super) struct Adding {
    rows: u64,
    digest: Sha256,
}

impl Adding {
    pub(super) fn of(table: &Table) -> Self {
        let mut adding = Self { rows: 0, digest: Sha256::new() };
        adding.bytes(table.name.as_bytes());
        table.columns.iter().for_each(|column| adding.bytes(column.name.as_bytes()));
        adding
    }

    /// Adds a row; one tells the kind of each value, so that no two rows read the same.
    pub(super) fn row(&mut self, record: &Record) {
        self.rows += 1;
        for value in record {
            match value {
                Value::Null => self.digest.update([0]),
                Value::Integer(number) => {
                    self.digest.update([1]);
                    self.digest.update(number.to_be_bytes());
                }
                Value::Text(text) => {
                    self.digest.update([2]);
                    // As both can keep it.
                    self.bytes(without_nul(text).as_bytes());
                }
                Value::Blob(bytes) => {
                    self.digest.update([3]);
                    self.bytes(bytes);
                }
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.digest.update((bytes.len() as u64).to_be_bytes());
        self.digest.update(bytes);
    }

    pub(super) fn sum(self, last_number: Option<i64>) -> Sum {
        Sum { rows: self.rows, sha256: HEXLOWER.encode(&self.digest.finalize()), last_number }
    }
}
