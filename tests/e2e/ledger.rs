//! The ledger as an auditor reads it: straight from the store.

use std::time::{Duration, Instant};

use e2e::gateway::Gateway;
use e2e::postgres::Postgres;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// One line of `llm_usage_log`.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) trace_id: String,
    pub(crate) cost_nano: i64,
    pub(crate) prompt_tokens: i64,
    pub(crate) completion_tokens: i64,
    pub(crate) ending: String,
}

/// Every line of the virtual key with that public id, in order; refusals are not exchanges.
pub(crate) fn lines(gateway: &Gateway, key_id: &str) -> Vec<Line> {
    let sql = format!(
        "SELECT trace_id, cost_nano, prompt_tokens, completion_tokens, ending \
         FROM llm_usage_log WHERE key_id = '{key_id}' AND ending <> 'refused' ORDER BY timestamp"
    );
    let rows = match &gateway.stores {
        Some(stores) => of_server(&stores.postgres(), &sql),
        None => of_file(gateway, &sql),
    };
    rows.into_iter().map(line).collect()
}

fn line(row: Vec<String>) -> Line {
    let [trace_id, cost, prompt, completion, ending] = <[String; 5]>::try_from(row).expect("a row");
    let number = |text: String| text.parse().expect("a number");
    Line {
        trace_id,
        cost_nano: number(cost),
        prompt_tokens: number(prompt),
        completion_tokens: number(completion),
        ending,
    }
}

fn of_server(postgres: &Postgres, sql: &str) -> Vec<Vec<String>> {
    let text = postgres.sql(sql).expect("llm_usage_log has these columns");
    let rows = text.lines().map(|row| row.split('|').map(str::to_owned));
    rows.map(Iterator::collect).collect()
}

fn of_file(gateway: &Gateway, sql: &str) -> Vec<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(gateway.ledger(), flags).expect("the store opens");
    let busy = store.busy_timeout(Duration::from_secs(5));
    busy.expect("busy timeout");
    let mut query = store.prepare(sql).expect("llm_usage_log has these columns");
    let rows = query.query_map([], |row| {
        let text = |column| -> rusqlite::Result<String> {
            Ok(match row.get_ref(column)? {
                ValueRef::Integer(number) => number.to_string(),
                other => other.as_str()?.to_owned(),
            })
        };
        (0..5).map(text).collect()
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

/// The lines, once there are at least `count`.
pub(crate) async fn settled(gateway: &Gateway, key_id: &str, count: usize) -> Vec<Line> {
    let started = Instant::now();
    loop {
        let found = lines(gateway, key_id);
        if found.len() >= count {
            return found;
        }
        assert!(
            started.elapsed() < Duration::from_secs(40),
            "{} of {count} lines in the ledger: {found:#?}",
            found.len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Their sum.
pub(crate) fn sum(lines: &[Line]) -> i64 {
    lines.iter().map(|line| line.cost_nano).sum()
}

/// Nano-dollars of an amount in dollars.
pub(crate) fn nano(usd: f64) -> i64 {
    (usd * 1e9).round() as i64
}
