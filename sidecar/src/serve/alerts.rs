//! Thresholds of budgets that spend has reached: to the log, and to whoever asked to be told.

use std::time::Duration;

use engine::period;
use engine::price;
use ring::hmac;
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

use super::log::{Level, Log};
use super::store::alerts::{self, Alert};
use super::store::db::{Db, DbError};
use super::store::registry::Registry;
use crate::clock;
use crate::config::WebhookConfig;
use crate::http::{self, Call};

/// How often the store is asked for alerts.
const EVERY: Duration = Duration::from_secs(1);
/// After so long somebody else tells of what a service wanted to tell of: it is gone, or cannot.
const CLAIM_MS: u64 = 120_000;
/// Alerts told one after the other.
const TOLD_PER_ROUND_MAX: usize = 16;
/// The longest pause after a failure; each failure doubles it.
const PAUSE_MAX: Duration = Duration::from_secs(300);

impl Alert {
    /// The same however often it is told.
    fn id(&self) -> String {
        let starts = period::rfc3339(self.window_ms);
        let period = self.period.name();
        format!("{}/{period}/{starts}/{}", self.scope, self.threshold_ppm)
    }

    /// The alert as it is logged and told.
    pub(crate) fn document(&self) -> Value {
        let period = self.period.name();
        json!({
            "id": self.id(),
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

/// The oldest alerts that nobody was told of, and that nobody else is telling of.
fn claimed(db: &mut Db, who: &str, now_ms: u64) -> Result<Vec<Alert>, DbError> {
    let stale_ms = now_ms.saturating_sub(CLAIM_MS);
    let mut mine = Vec::new();
    for alert in alerts::untold(db, TOLD_PER_ROUND_MAX)? {
        if alerts::claim(db, &alert, who, now_ms, stale_ms)? {
            mine.push(alert);
        }
    }
    Ok(mine)
}

/// A line for each.
pub(crate) fn log(alerts: &[Alert], log: &Log) {
    for alert in alerts {
        log.line(Level::Warn, "budget threshold reached", alert.document());
    }
}

/// Who is told, and what it takes to tell them.
pub(super) struct Webhook {
    config: WebhookConfig,
    trust: Option<TlsConnector>,
}

impl Webhook {
    /// Errors: the certificates cannot be read.
    pub(super) fn new(
        config: WebhookConfig,
        authorities: &std::path::Path,
    ) -> Result<Webhook, String> {
        let authorities = config.ca.as_deref().unwrap_or(authorities);
        let tls = config.endpoint.tls;
        let trust = tls.then(|| http::trust(authorities)).transpose()?;
        Ok(Webhook { config, trust })
    }

    /// Tells of every alert until somebody has taken it: again after a failure, after a restart too.
    pub(super) async fn tell(self, registry: Registry, who: String, log: Log) {
        let mut pause = EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let (now_ms, name) = (clock::now_ms(), who.clone());
            let untold = registry.change(move |db| claimed(db, &name, now_ms)).await;
            let Ok(Ok(untold)) = untold else {
                continue;
            };
            pause = EVERY;
            for alert in untold {
                match self.send(&alert).await {
                    Ok(()) => {
                        let told = move |db: &mut Db| alerts::told(db, &alert, clock::now_ms());
                        // Told twice rather than never.
                        let _untold = registry.change(told).await;
                    }
                    Err(why) => {
                        let fields = json!({"error": why, "id": alert.id()});
                        log.line(Level::Warn, "an alert was not taken", fields);
                        pause = pause.saturating_mul(2).min(PAUSE_MAX);
                        break;
                    }
                }
            }
        }
    }

    async fn send(&self, alert: &Alert) -> Result<(), String> {
        let mut document = alert.document();
        if let Some(members) = document.as_object_mut() {
            members.insert("type".into(), "budget_threshold_reached".into());
        }
        let body = document.to_string();
        let signature = self.config.secret.as_ref().map(|secret| {
            let at_s = clock::now_ms() / 1_000;
            signature(secret.expose(), at_s, &body)
        });
        let mut headers = vec![("content-type", "application/json")];
        if let Some(signature) = &signature {
            headers.push(("x-weir-signature", signature.as_str()));
        }
        let call = Call {
            method: "POST",
            path: String::new(),
            headers,
            body,
        };
        match http::send(&self.config.endpoint, self.trust.as_ref(), call).await {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(format!("HTTP status {}", answer.status)),
            Err(http::Failure::Unmade(why) | http::Failure::Unreachable(why)) => Err(why),
        }
    }
}

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 of `SECONDS.BODY`, so that an old message cannot be sent again.
fn signature(secret: &str, at_s: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{at_s}.{body}").as_bytes());
    let hex: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("t={at_s},v1={hex}")
}
