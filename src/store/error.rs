//! Why the database did not do what it was asked.

use crate::store::postgres::describe;
use rusqlite::ErrorCode;

/// What went wrong in the database; the text behind each is the database's own, for our log only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk. Nothing of the transaction was kept.
    #[error("the disk that holds the database is full: {0}")]
    Full(String),
    /// The disk or the file system failed. Nothing of the transaction was kept.
    #[error("the database could not be read or written: {0}")]
    Io(String),
    /// The database server is not reachable, or the connection was lost. Where that happened during the commit, it is not
    /// known whether the transaction was kept.
    #[error("the database is not reachable: {0}")]
    Unavailable(String),
    /// Others kept the rows or the file locked for too long.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// A rule of the schema, or of the state of a job, forbids it.
    #[error("a rule of the database forbids it: {0}")]
    Constraint(String),
    /// Something was to be written where only reading was asked for.
    #[error("a transaction that reads was asked to write: {0}")]
    ReadOnly(String),
    /// The file is damaged, or a row holds what no version of this program wrote.
    #[error("the database holds what cannot be understood: {0}")]
    Corrupt(String),
    /// A later version of the program has used this database.
    #[error(
        "the database has schema {found} and this program knows schemas up to {known}: use the program that made it, or a later one"
    )]
    Newer {
        /// The number of the last migration applied.
        found: i64,
        /// The number of the last migration known.
        known: i64,
    },
    /// A migration is not what it was when it was applied.
    #[error("migration {0} of the database is not the one this program knows under that number")]
    Migration(i64),
    /// The location names no database.
    #[error("this is no place of a database: {0}")]
    Location(String),
    /// The work panicked; what it had written was undone.
    #[error("a transaction panicked and was undone")]
    Panicked,
    /// The store has been closed.
    #[error("the database has been closed")]
    Closed,
    /// Anything else the database complains about.
    #[error("the database refused: {0}")]
    Other(String),
}

impl StoreError {
    /// Says whether the same work may succeed later, so that a sender is to hear 451 rather than a refusal.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Full(_) | Self::Io(_) | Self::Unavailable(_) | Self::Busy(_) | Self::Closed => true,
            Self::Constraint(_)
            | Self::ReadOnly(_)
            | Self::Corrupt(_)
            | Self::Newer { .. }
            | Self::Migration(_)
            | Self::Location(_)
            | Self::Panicked
            | Self::Other(_) => false,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(text),
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Self::Io(text),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(text),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => Self::Constraint(text),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(text),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(text),
            _ => Self::Other(text),
        }
    }
}

impl From<postgres::Error> for StoreError {
    fn from(error: postgres::Error) -> Self {
        let text = describe(&error);
        let Some(state) = error.code() else {
            // Without an answer of the server: the connection, unless a value was not what the statement takes.
            let broken = error.is_closed() || is_io(&error);
            return if broken { Self::Unavailable(text) } else { Self::Other(text) };
        };
        // The classes of SQLSTATE: PostgreSQL's manual, appendix A.
        match state.code() {
            "53100" => Self::Full(text),
            "40001" | "40P01" | "55P03" | "57014" => Self::Busy(text),
            "25006" => Self::ReadOnly(text),
            code => match code.get(..2) {
                Some("58") => Self::Io(text),
                Some("08" | "28" | "3D" | "53" | "57") => Self::Unavailable(text),
                Some("22" | "23") => Self::Constraint(text),
                Some("XX") => Self::Corrupt(text),
                _ => Self::Other(text),
            },
        }
    }
}

/// Says whether the trouble is the connection's.
fn is_io(error: &postgres::Error) -> bool {
    use std::error::Error;
    error.source().is_some_and(|cause| cause.is::<std::io::Error>())
}
