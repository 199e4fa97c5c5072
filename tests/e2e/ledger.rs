//! The ledger as an auditor reads it: straight from the store.

use std::time::{Duration, Instant};

use e2e::gateway::Gateway;
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
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(gateway.ledger(), flags).expect("the store opens");
    store
        .busy_timeout(Duration::from_secs(5))
        .expect("busy timeout");
    let mut query = store
        .prepare(
            "SELECT trace_id, cost_nano, prompt_tokens, completion_tokens, ending \
             FROM llm_usage_log WHERE key_id = ?1 AND ending <> 'refused' ORDER BY timestamp",
        )
        .expect("llm_usage_log has these columns");
    let rows = query
        .query_map([key_id], |row| {
            Ok(Line {
                trace_id: row.get(0)?,
                cost_nano: row.get(1)?,
                prompt_tokens: row.get(2)?,
                completion_tokens: row.get(3)?,
                ending: row.get(4)?,
            })
        })
        .expect("rows");
    rows.map(|row| row.expect("a row")).collect()
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
            started.elapsed() < Duration::from_secs(15),
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
