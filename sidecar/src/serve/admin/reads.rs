//! `/admin/usage`.

use engine::period::{self, Period};
use engine::reply::Code;
use engine::usage::NanoUsd;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::store::db::{Db, DbError, Target};
use super::{Interface, Refusal, Reply, usd};
use crate::clock;

/// Where the ledger is read: beside whoever writes it.
#[derive(Clone)]
pub(in super::super) enum Ledger {
    File(std::path::PathBuf),
    Server(Box<Target>),
}

impl Ledger {
    fn open(&self) -> Result<Db, DbError> {
        match self {
            Ledger::File(path) => Db::reader(path),
            Ledger::Server(target) => Db::server(target),
        }
    }
}

/// Rows of one grouping. Above it the dearest are shown.
const ROWS_MAX: i64 = 1_000;

#[derive(Serialize)]
struct Totals {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    requests: i64,
    errors: i64,
    cost_usd: Option<Box<RawValue>>,
    prompt_tokens: i64,
    completion_tokens: i64,
}

#[derive(Serialize)]
struct Usage {
    start_date: String,
    end_date: String,
    totals: Option<Totals>,
    by_day: Vec<Totals>,
    by_key: Vec<Totals>,
    by_provider: Vec<Totals>,
    by_model: Vec<Totals>,
    by_guardrail: Vec<Deeds>,
}

/// What guardrails found and did, of one kind.
#[derive(Serialize)]
struct Deeds {
    rule: String,
    /// Of personal data.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
    on: String,
    action: String,
    requests: i64,
    findings: i64,
}

/// `GET /admin/usage?start_date=2026-11-01&end_date=2026-11-30`: UTC days, both included; without
/// them the present month.
pub(super) async fn usage(interface: &Interface, query: &str) -> Reply {
    let now_ms = clock::now_ms();
    let month = Period::Monthly.window(now_ms);
    let (mut start_ms, mut end_ms) = (month.start_ms, now_ms);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let day = || {
            let odd = || Refusal::member(name, "must be a day such as 2026-11-21");
            value.get(..10).and_then(period::parse).ok_or_else(odd)
        };
        match name {
            "start_date" | "from" => start_ms = day()?,
            "end_date" | "to" => end_ms = day()?,
            _ => {
                return Err(Refusal::member(
                    name,
                    "is not a parameter that is known here",
                ));
            }
        }
    }
    let (start, end) = (period::day(start_ms), period::day(end_ms));
    let ledger = interface.ledger.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut db = ledger.open()?;
        Ok::<_, DbError>(Usage {
            totals: sums(&mut db, "NULL", &start, &end)?.pop(),
            by_day: sums(&mut db, "day", &start, &end)?,
            by_key: sums(&mut db, "key_id", &start, &end)?,
            by_provider: sums(&mut db, "provider", &start, &end)?,
            by_model: sums(&mut db, "model", &start, &end)?,
            by_guardrail: deeds(&mut db, &start, &end)?,
            start_date: start,
            end_date: end,
        })
    });
    match read.await {
        Ok(Ok(body)) => super::json(StatusCode::OK, &body),
        _ => Err(Refusal::new(Code::StateUnavailable)),
    }
}

fn deeds(db: &mut Db, start: &str, end: &str) -> Result<Vec<Deeds>, DbError> {
    let sql = "SELECT rule, type, direction, action, CAST(SUM(requests) AS BIGINT), \
               CAST(SUM(findings) AS BIGINT) FROM guard_daily WHERE day BETWEEN $1 AND $2 \
               GROUP BY 1, 2, 3, 4 ORDER BY 6 DESC, 1, 2, 3, 4 LIMIT $3";
    db.query(sql, &[start.into(), end.into(), ROWS_MAX.into()], |row| {
        Ok(Deeds {
            rule: row.take()?,
            kind: row.take()?,
            on: row.take()?,
            action: row.take()?,
            requests: row.take()?,
            findings: row.take()?,
        })
    })
}

/// `column` is one of ours, never a caller's.
fn sums(db: &mut Db, column: &str, start: &str, end: &str) -> Result<Vec<Totals>, DbError> {
    let sum = |column: &str| format!("CAST(SUM({column}) AS BIGINT)");
    let sql = format!(
        "SELECT {column}, {}, {}, {}, {}, {} FROM usage_daily WHERE day BETWEEN $1 AND $2 \
         GROUP BY 1 ORDER BY 4 DESC LIMIT $3",
        sum("requests"),
        sum("errors"),
        sum("cost_nano"),
        sum("prompt_tokens"),
        sum("completion_tokens"),
    );
    db.query(&sql, &[start.into(), end.into(), ROWS_MAX.into()], |row| {
        Ok(Totals {
            name: row.take()?,
            requests: row.take()?,
            errors: row.take()?,
            cost_usd: usd(row.take::<NanoUsd>()?),
            prompt_tokens: row.take()?,
            completion_tokens: row.take()?,
        })
    })
}
