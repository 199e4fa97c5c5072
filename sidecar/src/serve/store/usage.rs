//! Rows of `llm_usage_log` and their daily sums.

use std::collections::HashSet;
use std::sync::LazyLock;

use engine::usage::NanoUsd;
use engine::wire::{CacheStatus, Ending, UsageRecord};

use super::super::state::Spent;
use super::db::{Db, DbError, Instant, Row, Value};
use super::sums::{Sums, pieces, places};

/// What writing a record came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is new.
    New,
    /// It stands in place of an expired hold's record: that one, and the instant it was charged at.
    Replaced { old: Stand, charged_ms: u64 },
    /// It was known.
    Known,
}

/// The record that stood for an expired hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) cost_nano: NanoUsd,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) user: String,
    pub(crate) tags: Vec<String>,
    pub(super) at_ms: u64,
    pub(super) tokens: i64,
}

impl Stand {
    /// Whose spend it was.
    pub(crate) fn spent<'a>(&'a self, key: &'a str) -> Spent<'a> {
        Spent {
            key,
            user: &self.user,
            tags: &self.tags,
            provider: &self.provider,
            model: &self.model,
        }
    }
}

/// Columns of a record.
const COLUMNS: &str = "exchange_id, timestamp, key_id, user_id, provider, model, cost_nano, \
    prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, metered, \
    status, code, ending, stream, attempts, cache, duration_ms, first_byte_ms, trace_id, pii, \
    endpoint, tags, guardrails";
const COLUMN_COUNT: usize = 26;

/// The statement for one record.
static ONE: LazyLock<String> = LazyLock::new(|| insert(1));

/// Writes one record, charged at `charged_ms`; what it changes in the daily sums goes to `sums`.
pub(crate) fn write(
    step: &mut Db,
    record: &UsageRecord,
    charged_ms: u64,
    sums: &mut Sums,
) -> Result<Written, DbError> {
    let sql = ONE.as_str();
    if step.execute(sql, &values(record, charged_ms))? == 1 {
        sums.record(record, charged_ms);
        return Ok(Written::New);
    }
    let old = stood(step, &record.exchange)?;
    let Some(old) = old.filter(|_| record.ending != Ending::Expired) else {
        return Ok(Written::Known);
    };
    let charged_ms = old.at_ms;
    let gone = "DELETE FROM llm_usage_log WHERE exchange_id = $1 AND ending = 'expired'";
    if step.execute(gone, &[(&record.exchange).into()])? == 0 {
        // Another service was faster.
        return Ok(Written::Known);
    }
    step.execute(sql, &values(record, charged_ms))?;
    sums.take_back(&record.key, &old);
    sums.record(record, charged_ms);
    Ok(Written::Replaced { old, charged_ms })
}

/// The same for many records, one after the other: for a database that is near.
pub(crate) fn write_each(
    step: &mut Db,
    records: &[(&UsageRecord, u64)],
    sums: &mut Sums,
) -> Result<Vec<Written>, DbError> {
    let rows = records.iter();
    let rows = rows.map(|(record, charged_ms)| values(record, *charged_ms));
    let new = step.execute_each(&ONE, rows)?;
    let all = records.iter().zip(new);
    all.map(|((record, charged_ms), new)| {
        if new == 1 {
            sums.record(record, *charged_ms);
            return Ok(Written::New);
        }
        write(step, record, *charged_ms, sums)
    })
    .collect()
}

/// The same with few statements, for one that is far: those of exchanges that are new go together.
pub(crate) fn write_all(
    step: &mut Db,
    records: &[(UsageRecord, u64)],
    sums: &mut Sums,
) -> Result<Vec<Written>, DbError> {
    let mut new: HashSet<String> = HashSet::new();
    for piece in pieces(records) {
        let sql = format!("{} RETURNING exchange_id", insert(piece.len()));
        let rows = piece.iter().map(|(record, at_ms)| values(record, *at_ms));
        let rows: Vec<Value<'_>> = rows.flatten().collect();
        new.extend(step.query(&sql, &rows, |row| row.take::<String>())?);
    }
    let mut written = Vec::with_capacity(records.len());
    for (record, charged_ms) in records {
        // Of two records of one exchange the first was written.
        written.push(if new.remove(&record.exchange) {
            sums.record(record, *charged_ms);
            Written::New
        } else {
            write(step, record, *charged_ms, sums)?
        });
    }
    Ok(written)
}

fn insert(rows: usize) -> String {
    let places = places(rows, COLUMN_COUNT);
    format!("INSERT INTO llm_usage_log ({COLUMNS}) VALUES {places} ON CONFLICT DO NOTHING")
}

/// The record of an exchange, if it stands for an expired hold.
fn stood(db: &mut Db, exchange: &str) -> Result<Option<Stand>, DbError> {
    let sql = "SELECT cost_nano, timestamp, provider, model, prompt_tokens, user_id, tags \
               FROM llm_usage_log WHERE exchange_id = $1 AND ending = 'expired'";
    db.first(sql, &[exchange.into()], |row| {
        Ok(Stand {
            cost_nano: row.take()?,
            at_ms: row.take::<Instant>()?.0,
            provider: row.take()?,
            model: row.take()?,
            tokens: row.take()?,
            user: row.take()?,
            tags: serde_json::from_str(&row.take::<String>()?).unwrap_or_default(),
        })
    })
}

fn values(record: &UsageRecord, charged_ms: u64) -> [Value<'_>; COLUMN_COUNT] {
    let pii = match record.pii.as_slice() {
        [] => None,
        found => serde_json::to_string(found).ok(),
    };
    let guardrails = match record.guard.as_slice() {
        [] => None,
        verdicts => serde_json::to_string(verdicts).ok(),
    };
    [
        (&record.exchange).into(),
        Value::Instant(charged_ms),
        (&record.key).into(),
        (&record.user).into(),
        (&record.provider).into(),
        (&record.model).into(),
        record.cost_nano.into(),
        record.usage.input.into(),
        record.usage.output.into(),
        record.usage.cached_input.into(),
        record.usage.cache_write.into(),
        record.usage.reasoning.into(),
        record.metered.into(),
        record.status.into(),
        (&record.code).into(),
        ending_name(record.ending).into(),
        record.stream.into(),
        record.attempts.into(),
        cache_name(record.cache).into(),
        record.duration_ms.into(),
        record.first_byte_ms.into(),
        (&record.trace_id).into(),
        pii.into(),
        (&record.endpoint).into(),
        match record.tags.as_slice() {
            [] => "[]".into(),
            tags => serde_json::to_string(tags).unwrap_or_default().into(),
        },
        guardrails.into(),
    ]
}

/// Whether an exchange is settled.
pub(crate) fn is_settled(db: &mut Db, exchange: &str) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM llm_usage_log WHERE exchange_id = $1";
    let found = db.first(sql, &[exchange.into()], |_| Ok(()))?;
    Ok(found.is_some())
}

/// Requests of one kind that were let through in one stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// The first of them.
    pub(crate) at_ms: u64,
    pub(crate) key: String,
    pub(crate) user: String,
    pub(crate) tags: Vec<String>,
    pub(crate) provider: String,
    pub(crate) model: String,
    /// Whether the cache answered them.
    pub(crate) cached: bool,
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

/// Requests that were let through from `from_ms` and before `to_ms`, those of one kind and minute
/// together, or with `by_second` those of one second.
pub(crate) fn admitted(
    db: &mut Db,
    from_ms: u64,
    to_ms: u64,
    by_second: bool,
) -> Result<Vec<Admitted>, DbError> {
    let sql = "SELECT MIN(timestamp), key_id, user_id, tags, provider, model, cache = 'hit', \
               COUNT(*), CAST(SUM(total_tokens) AS BIGINT) FROM llm_usage_log \
               WHERE timestamp >= $1 AND timestamp < $2 AND ending <> 'refused' \
               GROUP BY substr(CAST(timestamp AS TEXT), 1, $3), 2, 3, 4, 5, 6, 7";
    // `2026-11-21 12:00:00.000` up to its minutes or seconds.
    let letters: u64 = if by_second { 19 } else { 16 };
    let values = [
        Value::Instant(from_ms),
        Value::Instant(to_ms),
        letters.into(),
    ];
    db.query(sql, &values, |row: &mut Row| {
        let mut admitted = Admitted {
            at_ms: row.take::<Instant>()?.0,
            key: row.take()?,
            user: row.take()?,
            tags: serde_json::from_str(&row.take::<String>()?).unwrap_or_default(),
            provider: row.take()?,
            model: row.take()?,
            cached: row.take()?,
            requests: row.take()?,
            tokens: row.take()?,
        };
        if admitted.cached {
            admitted.tokens = 0;
        }
        Ok(admitted)
    })
}

/// Value of `ending`.
fn ending_name(ending: Ending) -> &'static str {
    match ending {
        Ending::Done => "done",
        Ending::ClientGone => "client_gone",
        Ending::UpstreamCut => "upstream_cut",
        Ending::Refused => "refused",
        Ending::Expired => "expired",
    }
}

fn cache_name(cache: CacheStatus) -> &'static str {
    match cache {
        CacheStatus::Hit => "hit",
        CacheStatus::Miss => "miss",
        CacheStatus::Refresh => "refresh",
        CacheStatus::Off => "off",
    }
}
