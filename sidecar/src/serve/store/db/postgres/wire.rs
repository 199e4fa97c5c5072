//! Neutral values in PostgreSQL's binary format.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::super::{DbError, Value};

/// PostgreSQL counts instants in microseconds from 2000-01-01, this many milliseconds after 1970.
const EPOCH_MS: i64 = 946_684_800_000;

type Failure = Box<dyn Error + Sync + Send>;

/// A value on its way.
#[derive(Debug)]
pub(super) struct Sent<'a>(pub(super) &'a Value<'a>);

impl ToSql for Sent<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Bool(yes) => yes.to_sql(kind, out),
            Value::Integer(number) if *kind == Type::INT4 => {
                i32::try_from(*number)?.to_sql(kind, out)
            }
            Value::Integer(number) if *kind == Type::INT2 => {
                i16::try_from(*number)?.to_sql(kind, out)
            }
            Value::Integer(number) => number.to_sql(kind, out),
            Value::Real(number) => number.to_sql(kind, out),
            // The one character that its texts cannot hold.
            Value::Text(text) if text.contains('\0') => {
                text.replace('\0', "\u{fffd}").to_sql(kind, out)
            }
            Value::Text(text) => text.as_ref().to_sql(kind, out),
            Value::Bytes(bytes) => bytes.as_ref().to_sql(kind, out),
            Value::Instant(at_ms) => {
                let at_ms = i64::try_from(*at_ms)?.saturating_sub(EPOCH_MS);
                out.extend_from_slice(&at_ms.saturating_mul(1_000).to_be_bytes());
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A value that came.
struct Got(Value<'static>);

impl<'a> FromSql<'a> for Got {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Got, Failure> {
        let value = match *kind {
            Type::BOOL => Value::Bool(bool::from_sql(kind, raw)?),
            Type::INT2 => Value::Integer(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Value::Integer(i64::from_sql(kind, raw)?),
            Type::FLOAT8 => Value::Real(f64::from_sql(kind, raw)?),
            Type::BYTEA => Value::Bytes(raw.to_vec().into()),
            Type::TIMESTAMPTZ => {
                let micros = i64::from_be_bytes(raw.try_into()?);
                let at_ms = micros.div_euclid(1_000).saturating_add(EPOCH_MS);
                Value::Instant(u64::try_from(at_ms).unwrap_or(0))
            }
            _ => Value::Text(String::from_sql(kind, raw)?.into()),
        };
        Ok(Got(value))
    }

    fn from_sql_null(_: &Type) -> Result<Got, Failure> {
        Ok(Got(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The columns of a row.
pub(super) fn cells(row: &tokio_postgres::Row) -> Result<Vec<Value<'static>>, DbError> {
    let cell = |column| Ok(row.try_get::<_, Got>(column)?.0);
    (0..row.len()).map(cell).collect()
}
