//! Values on their way into a statement and out of a row, the same for both databases.
//!
//! Knows integers, texts and bytes, and how ours become one of them. Knows no statement and no table. What always holds: a
//! value that cannot be read back is [`StoreError::Corrupt`], never a default.

use crate::model::{
    ChallengeId, ContactTestId, Domain, EmailAddress, JobId, Language, LoginId, MailId, MemberId, OrgCode, OrgId,
    Priority, RegistrationId, Span, Timestamp,
};
use crate::store::StoreError;
use crate::store::dialect::without_nul;
use bytes::BytesMut;
use postgres::types::{IsNull, Type, to_sql_checked};
use std::borrow::Cow;
use std::error::Error;
use std::str::FromStr;

/// A value bound to `?1`, `?2`, ….
#[derive(Debug, Clone)]
pub(super) enum Param<'a> {
    /// NULL.
    Null,
    /// A 64-bit integer; also what is true (1) or false (0).
    Integer(i64),
    /// A text.
    Text(Cow<'a, str>),
    /// Bytes.
    Blob(&'a [u8]),
}

/// Makes the parameters of a statement, in the order of their numbers.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::Param::from($value)),*] };
}
pub(super) use params;

impl<T: Into<Self>> From<Option<T>> for Param<'_> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Param<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Blob(bytes)
    }
}

impl<'a> From<&'a [u8; 32]> for Param<'a> {
    fn from(bytes: &'a [u8; 32]) -> Self {
        Self::Blob(bytes)
    }
}

/// Counts beyond 63 bits do not occur; were there one, it would stay the largest there is.
impl From<u64> for Param<'_> {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Param<'_> {
    fn from(number: usize) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl<'a> From<&'a EmailAddress> for Param<'a> {
    fn from(address: &'a EmailAddress) -> Self {
        address.to_string().into()
    }
}

macro_rules! integer {
    ($($type:ty, $value:ident => $number:expr;)*) => {$(
        impl From<$type> for Param<'_> {
            fn from($value: $type) -> Self {
                Self::Integer($number)
            }
        }
    )*};
}

integer! {
    i64, value => value;
    u32, value => i64::from(value);
    u16, value => i64::from(value);
    bool, value => i64::from(value);
    Timestamp, value => value.millis();
    Span, value => value.millis();
    Priority, value => i64::from(value.number());
    MailId, value => value.number();
    JobId, value => value.number();
    RegistrationId, value => value.number();
    ContactTestId, value => value.number();
    OrgId, value => value.number();
    MemberId, value => value.number();
    ChallengeId, value => value.number();
}

macro_rules! text {
    ($($type:ty),*) => {$(
        impl<'a> From<&'a $type> for Param<'a> {
            fn from(value: &'a $type) -> Self {
                value.as_str().into()
            }
        }
    )*};
}

text!(String, Domain, OrgCode, LoginId);

impl From<Language> for Param<'_> {
    fn from(language: Language) -> Self {
        language.as_str().into()
    }
}

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl postgres::types::ToSql for Param<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            // The server takes a parameter for an INT4 where it stands beside a number of the statement.
            Self::Integer(number) if *kind == Type::INT4 => i32::try_from(*number)?.to_sql(kind, out),
            Self::Integer(number) => number.to_sql(kind, out),
            Self::Text(text) => without_nul(text).to_sql(kind, out),
            Self::Blob(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::TEXT, Type::BYTEA].contains(kind)
    }

    to_sql_checked!();
}

/// A row of an answer.
pub(super) enum Row<'a> {
    /// Of SQLite.
    Sqlite(&'a rusqlite::Row<'a>),
    /// Of PostgreSQL.
    Postgres(&'a postgres::Row),
}

impl Row<'_> {
    /// Reads a column that is never NULL.
    pub(super) fn get<T: Column>(&self, index: usize) -> Result<T, StoreError> {
        T::read(self, index)?.ok_or_else(|| StoreError::Corrupt(format!("column {index} is empty")))
    }

    /// Reads a column that may be NULL.
    pub(super) fn find<T: Column>(&self, index: usize) -> Result<Option<T>, StoreError> {
        T::read(self, index)
    }
}

/// A type that a column can hold.
pub(super) trait Column: Sized {
    /// Reads it; nothing where the column is NULL.
    fn read(row: &Row<'_>, index: usize) -> Result<Option<Self>, StoreError>;
}

macro_rules! primitive {
    ($($type:ty),*) => {$(
        impl Column for $type {
            fn read(row: &Row<'_>, index: usize) -> Result<Option<Self>, StoreError> {
                match row {
                    Row::Sqlite(row) => row.get(index).map_err(unreadable),
                    Row::Postgres(row) => row.try_get(index).map_err(unreadable),
                }
            }
        }
    )*};
}

primitive!(i64, String, Vec<u8>);

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// Turns a stored text into its type.
pub(super) fn parse<T: FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().ok().ok_or_else(|| StoreError::Corrupt(format!("“{text}” is no {}", std::any::type_name::<T>())))
}

macro_rules! from_integer {
    ($($type:ty, $number:ident => $value:expr;)*) => {$(
        impl Column for $type {
            fn read(row: &Row<'_>, index: usize) -> Result<Option<Self>, StoreError> {
                let Some($number) = i64::read(row, index)? else { return Ok(None) };
                let wrong = || StoreError::Corrupt(format!("{} is no {}", $number, std::any::type_name::<$type>()));
                $value.ok_or_else(wrong).map(Some)
            }
        }
    )*};
}

from_integer! {
    u16, number => Self::try_from(number).ok();
    u32, number => Self::try_from(number).ok();
    u64, number => Self::try_from(number).ok();
    bool, number => match number { 0 => Some(false), 1 => Some(true), _ => None };
    Timestamp, number => Some(Self::from_millis(number));
    Span, number => (number >= 0).then_some(Self::from_millis(number));
    Priority, number => Self::ALL.into_iter().find(|priority| i64::from(priority.number()) == number);
    MailId, number => Some(Self::new(number));
    JobId, number => Some(Self::new(number));
    RegistrationId, number => Some(Self::new(number));
    ContactTestId, number => Some(Self::new(number));
    OrgId, number => Some(Self::new(number));
    MemberId, number => Some(Self::new(number));
    ChallengeId, number => Some(Self::new(number));
}

/// Reads columns of a type that has a textual form.
macro_rules! from_text {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::store::sql::Column for $type {
            fn read(
                row: &$crate::store::sql::Row<'_>,
                index: usize,
            ) -> Result<Option<Self>, $crate::store::StoreError> {
                let text = <String as $crate::store::sql::Column>::read(row, index)?;
                text.map(|text| $crate::store::sql::parse(&text)).transpose()
            }
        }
    )*};
}
pub(super) use from_text;

from_text!(
    EmailAddress,
    Domain,
    OrgCode,
    LoginId,
    Language,
    crate::queue::State,
    crate::model::Stage,
    std::net::IpAddr
);

impl Column for [u8; 32] {
    fn read(row: &Row<'_>, index: usize) -> Result<Option<Self>, StoreError> {
        let bytes: Option<Vec<u8>> = row.find(index)?;
        bytes
            .map(|bytes| Self::try_from(bytes).map_err(|bytes| unreadable(format!("{} bytes", bytes.len()))))
            .transpose()
    }
}
