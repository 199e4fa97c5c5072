//! Thresholds of budgets that spend has reached: to the log, and to whoever asked to be told.

use engine::period;
use engine::price;
use serde_json::{Value, json};

use super::log::{Level, Log};
use super::store::alerts::Alert;

impl Alert {
    /// The alert as it is logged and told. `id` is the same however often it is told.
    pub(crate) fn document(&self) -> Value {
        let scope = self.scope.to_string();
        let period = self.period.name();
        let id = format!(
            "{scope}/{period}/{}/{}",
            period::rfc3339(self.window_ms),
            self.threshold_ppm
        );
        json!({
            "id": id,
            "scope": self.scope.kind(),
            "name": self.scope.name(),
            "period": period,
            "window_starts_at": period::rfc3339(self.window_ms),
            "resets_at": self.resets_ms.map(period::rfc3339),
            // A decimal, from an integer.
            "threshold": price::usd(i64::from(self.threshold_ppm).saturating_mul(1_000)),
            "limit_usd": price::usd(self.limit_nano),
            "spent_usd": price::usd(self.spent_nano),
            "reached_at": period::rfc3339(self.reached_ms),
        })
    }
}

/// A line for each.
pub(crate) fn log(alerts: &[Alert], log: &Log) {
    for alert in alerts {
        log.line(Level::Warn, "budget threshold reached", alert.document());
    }
}
