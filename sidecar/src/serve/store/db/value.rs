//! What goes into statements and comes out of rows.

use std::borrow::Cow;
use std::vec;

use engine::period;

use super::DbError;

/// A value of any database.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Unix milliseconds, kept as the database keeps instants.
    Instant(u64),
}

/// Unix milliseconds of an instant in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant(pub(crate) u64);

impl From<bool> for Value<'_> {
    fn from(yes: bool) -> Self {
        Value::Bool(yes)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Integer(i64::from(number))
    }
}

impl From<u16> for Value<'_> {
    fn from(number: u16) -> Self {
        Value::Integer(i64::from(number))
    }
}

impl From<Instant> for Value<'_> {
    fn from(instant: Instant) -> Self {
        Value::Instant(instant.0)
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Value::Bytes(Cow::Borrowed(bytes))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// A row whose columns are read in their order.
pub(crate) struct Row(vec::IntoIter<Value<'static>>);

impl Row {
    pub(super) fn new(cells: Vec<Value<'static>>) -> Row {
        Row(cells.into_iter())
    }

    /// The next column.
    pub(crate) fn take<T: Cell>(&mut self) -> Result<T, DbError> {
        T::read(self.0.next().ok_or(DbError::Column("anything"))?)
    }
}

/// What can be read from a column.
pub(crate) trait Cell: Sized {
    fn read(value: Value<'static>) -> Result<Self, DbError>;
}

impl Cell for bool {
    fn read(value: Value<'static>) -> Result<bool, DbError> {
        match value {
            Value::Bool(yes) => Ok(yes),
            // SQLite has no other kind.
            Value::Integer(number) => Ok(number != 0),
            _ => Err(DbError::Column("true or false")),
        }
    }
}

impl Cell for i64 {
    fn read(value: Value<'static>) -> Result<i64, DbError> {
        match value {
            Value::Integer(number) => Ok(number),
            _ => Err(DbError::Column("a whole number")),
        }
    }
}

/// A negative number is read as 0.
impl Cell for u64 {
    fn read(value: Value<'static>) -> Result<u64, DbError> {
        i64::read(value).map(|number| u64::try_from(number).unwrap_or(0))
    }
}

/// A number beyond its bounds is read as 0.
impl Cell for u32 {
    fn read(value: Value<'static>) -> Result<u32, DbError> {
        i64::read(value).map(|number| u32::try_from(number).unwrap_or(0))
    }
}

impl Cell for f64 {
    fn read(value: Value<'static>) -> Result<f64, DbError> {
        match value {
            Value::Real(number) => Ok(number),
            _ => Err(DbError::Column("a number")),
        }
    }
}

impl Cell for String {
    fn read(value: Value<'static>) -> Result<String, DbError> {
        match value {
            Value::Text(text) => Ok(text.into_owned()),
            _ => Err(DbError::Column("text")),
        }
    }
}

impl Cell for Vec<u8> {
    fn read(value: Value<'static>) -> Result<Vec<u8>, DbError> {
        match value {
            Value::Bytes(bytes) => Ok(bytes.into_owned()),
            _ => Err(DbError::Column("bytes")),
        }
    }
}

impl Cell for Instant {
    fn read(value: Value<'static>) -> Result<Instant, DbError> {
        const WRONG: DbError = DbError::Column("an instant");
        match value {
            Value::Instant(at_ms) => Ok(Instant(at_ms)),
            Value::Text(text) => period::parse(&text).map(Instant).ok_or(WRONG),
            _ => Err(WRONG),
        }
    }
}

impl<T: Cell> Cell for Option<T> {
    fn read(value: Value<'static>) -> Result<Option<T>, DbError> {
        match value {
            Value::Null => Ok(None),
            value => T::read(value).map(Some),
        }
    }
}
