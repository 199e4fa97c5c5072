//! Rows of `llm_usage_log` and their daily sums.

use engine::period;
use engine::usage::NanoUsd;
use engine::wire::{CacheStatus, Ending, UsageRecord};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::super::state::Spent;
use super::signed;

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
    at: String,
    tokens: i64,
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

/// Writes one record, charged at `charged_ms`, and its daily sums.
pub(crate) fn write(
    step: &Transaction<'_>,
    record: &UsageRecord,
    charged_ms: u64,
) -> rusqlite::Result<Written> {
    if insert(step, record, charged_ms, "INSERT OR IGNORE")? == 1 {
        sum(step, record, charged_ms)?;
        return Ok(Written::New);
    }
    let sql = "SELECT cost_nano, timestamp, provider, model, prompt_tokens, user_id, tags \
               FROM llm_usage_log WHERE exchange_id = ? AND ending = 'expired'";
    let old = step
        .prepare_cached(sql)?
        .query_row([&record.exchange], |row| {
            let tags: String = row.get(6)?;
            Ok(Stand {
                cost_nano: row.get(0)?,
                at: row.get(1)?,
                provider: row.get(2)?,
                model: row.get(3)?,
                tokens: row.get(4)?,
                user: row.get(5)?,
                tags: serde_json::from_str(&tags).unwrap_or_default(),
            })
        })
        .optional()?;
    let Some(old) = old.filter(|_| record.ending != Ending::Expired) else {
        return Ok(Written::Known);
    };
    let charged_ms = period::parse(&old.at).unwrap_or(charged_ms);
    insert(step, record, charged_ms, "INSERT OR REPLACE")?;
    // The sums of the record that stood for the expired hold are taken back first.
    step.prepare_cached(
        "UPDATE usage_daily SET requests = requests - 1, errors = errors - 1, \
         cost_nano = cost_nano - ?, prompt_tokens = prompt_tokens - ? \
         WHERE day = ? AND key_id = ? AND provider = ? AND model = ?",
    )?
    .execute(params![
        old.cost_nano,
        old.tokens,
        period::day(charged_ms),
        record.key,
        old.provider,
        old.model
    ])?;
    sum(step, record, charged_ms)?;
    Ok(Written::Replaced { old, charged_ms })
}

fn insert(
    step: &Transaction<'_>,
    record: &UsageRecord,
    charged_ms: u64,
    verb: &str,
) -> rusqlite::Result<usize> {
    let mut statement = step.prepare_cached(&format!(
        "{verb} INTO llm_usage_log (exchange_id, timestamp, key_id, user_id, provider, model, \
         cost_nano, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, \
         reasoning_tokens, metered, status, code, ending, stream, attempts, cache, duration_ms, \
         first_byte_ms, trace_id, pii, endpoint, tags) \
         VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    ))?;
    let pii = match record.pii.as_slice() {
        [] => None,
        found => serde_json::to_string(found).ok(),
    };
    statement.execute(params![
        record.exchange,
        period::sql(charged_ms),
        record.key,
        record.user,
        record.provider,
        record.model,
        record.cost_nano,
        signed(record.usage.input),
        signed(record.usage.output),
        signed(record.usage.cached_input),
        signed(record.usage.cache_write),
        signed(record.usage.reasoning),
        record.metered,
        record.status,
        record.code,
        ending_name(record.ending),
        record.stream,
        record.attempts,
        cache_name(record.cache),
        signed(record.duration_ms),
        record.first_byte_ms.map(signed),
        record.trace_id,
        pii,
        record.endpoint,
        serde_json::to_string(&record.tags).unwrap_or_default(),
    ])
}

fn sum(step: &Transaction<'_>, record: &UsageRecord, charged_ms: u64) -> rusqlite::Result<()> {
    // Where a provider takes any model's name, refused requests could make a row of each.
    let model = match record.ending {
        Ending::Refused => "",
        _ => record.model.as_str(),
    };
    let mut statement = step.prepare_cached(
        "INSERT INTO usage_daily VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8) \
         ON CONFLICT DO UPDATE SET requests = requests + 1, errors = errors + ?5, \
         cost_nano = cost_nano + ?6, prompt_tokens = prompt_tokens + ?7, \
         completion_tokens = completion_tokens + ?8",
    )?;
    statement.execute(params![
        period::day(charged_ms),
        record.key,
        record.provider,
        model,
        i64::from(!record.succeeded()),
        record.cost_nano,
        signed(record.usage.input),
        signed(record.usage.output),
    ])?;
    Ok(())
}

/// Whether an exchange is settled.
pub(crate) fn is_settled(db: &Connection, exchange: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM llm_usage_log WHERE exchange_id = ?";
    db.prepare_cached(sql)?.exists([exchange])
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
    db: &Connection,
    from_ms: u64,
    to_ms: u64,
    by_second: bool,
) -> rusqlite::Result<Vec<Admitted>> {
    let sql = "SELECT MIN(timestamp), key_id, user_id, tags, provider, model, cache = 'hit', \
               COUNT(*), SUM(total_tokens) FROM llm_usage_log \
               WHERE timestamp >= ? AND timestamp < ? AND ending <> 'refused' \
               GROUP BY substr(timestamp, 1, ?), 2, 3, 4, 5, 6, 7";
    let mut statement = db.prepare(sql)?;
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    // `2026-11-21 12:00:00.000` up to its minutes or seconds.
    let letters = if by_second { 19 } else { 16 };
    let rows = statement.query_map(
        params![period::sql(from_ms), period::sql(to_ms), letters],
        |row| {
            let at: String = row.get(0)?;
            let tags: String = row.get(3)?;
            let cached = row.get(6)?;
            Ok(Admitted {
                at_ms: period::parse(&at).unwrap_or(0),
                key: row.get(1)?,
                user: row.get(2)?,
                tags: serde_json::from_str(&tags).unwrap_or_default(),
                provider: row.get(4)?,
                model: row.get(5)?,
                cached,
                requests: unsigned(row.get(7)?),
                tokens: if cached { 0 } else { unsigned(row.get(8)?) },
            })
        },
    )?;
    rows.collect()
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
