//! `GET /health`: whether the parts work, tried and not assumed.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;

use super::super::store::registry::Registry;
use super::{Interface, Reply};
use crate::clock;

/// How long the store may take to answer.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
/// How long a finding is told again, so that anybody's health checks do not load the store.
const FRESH_MS: u64 = 1_000;

/// The last finding and when it was made.
#[derive(Default)]
pub(super) struct Probe(Mutex<Option<(u64, bool)>>);

pub(super) async fn answer(interface: &Interface) -> Reply {
    let now_ms = clock::now_ms();
    let store = store_answers(interface, now_ms).await && interface.shared.store_works();
    let vms = interface.shared.core().vms(now_ms);
    let counters = interface.shared.counters_work();
    let (status, word) = match store && counters {
        true => (StatusCode::OK, "healthy"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
    };
    let mut parts = json!({
        "store": if store { "ok" } else { "failed" },
        "counters": if counters { "ok" } else { "failed" },
        "store_queue": interface.writer.queue(),
        "filter_vms": vms,
    });
    let mut word = word;
    if let Registry::Shared(database) = &interface.registry
        && let Some(parts) = parts.as_object_mut()
    {
        let up = database.is_up();
        // Requests are served without it, so whoever balances load must not turn away.
        if store && !up {
            word = "degraded";
        }
        parts.insert("database".into(), if up { "ok" } else { "failed" }.into());
        let waiting = interface.shared.spooled.load(Ordering::Relaxed);
        parts.insert("spooled_records".into(), waiting.into());
    }
    let body = json!({
        "status": word,
        "version": env!("CARGO_PKG_VERSION"),
        "parts": parts,
    });
    super::json(status, &body)
}

async fn store_answers(interface: &Interface, now_ms: u64) -> bool {
    let lock = || {
        interface
            .health
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    if let Some((at_ms, works)) = *lock()
        && at_ms.saturating_add(FRESH_MS) > now_ms
    {
        return works;
    }
    // It takes the write lock and the disk as a settlement does. What stays as it is SQLite does not write.
    let write = interface.writer.change(move |db| {
        let sql = "INSERT INTO meta (name, value) VALUES ('probed', $1) \
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        db.execute(sql, &[now_ms.into()]).is_ok()
    });
    let works = matches!(
        tokio::time::timeout(STORE_PATIENCE, write).await,
        Ok(Ok(true))
    );
    if works {
        interface.shared.note_store(true);
    }
    *lock() = Some((now_ms, works));
    works
}
