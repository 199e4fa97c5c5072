//! Log lines: one JSON object each, on standard output. Nothing here takes a body or a key.

use std::io::{self, Write};

use engine::period;
use engine::wire::{CacheStatus, Ending, PiiAction, UsageRecord, Verdict};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// The level called `name`, in any case.
    pub(crate) fn from_name(name: &str) -> Option<Level> {
        match name.to_ascii_lowercase().as_str() {
            "debug" | "trace" => Some(Level::Debug),
            "info" => Some(Level::Info),
            "warn" | "warning" => Some(Level::Warn),
            "error" | "critical" => Some(Level::Error),
            _ => None,
        }
    }
}

/// The log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    /// Milder lines are dropped.
    pub(crate) level: Level,
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: Level,
    trace_id: &'a str,
    msg: &'a str,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// The line of one exchange.
#[derive(Serialize)]
struct ExchangeLine<'a> {
    timestamp: &'a str,
    level: Level,
    trace_id: &'a str,
    msg: &'static str,
    exchange: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    endpoint: &'a str,
    provider: &'a str,
    model: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    code: &'a str,
    ending: Ending,
    stream: bool,
    attempts: u32,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte_ms: Option<u64>,
    tokens_in: u64,
    tokens_out: u64,
    metered: bool,
    cost_nano: i64,
    cache: CacheStatus,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pii: &'a [(String, u32)],
    #[serde(skip_serializing_if = "Option::is_none")]
    pii_action: Option<PiiAction>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    guard: &'a [Verdict],
}

impl Log {
    /// Writes one line; `fields` is a JSON object.
    pub(crate) fn line(&self, level: Level, msg: &str, fields: Value) {
        if level < self.level {
            return;
        }
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let timestamp = period::rfc3339(clock::now_ms());
        let line = Line {
            timestamp,
            level,
            trace_id: "",
            msg,
            fields,
        };
        let mut out = Vec::new();
        push(&mut out, &line);
        emit(&out);
    }

    /// Adds the line of a finished exchange to `out`, for [`emit`].
    pub(crate) fn exchange(&self, record: &UsageRecord, timestamp: &str, out: &mut Vec<u8>) {
        let level = match record.status {
            _ if record.ending == Ending::UpstreamCut => Level::Error,
            500.. => Level::Error,
            400.. => Level::Warn,
            _ => Level::Info,
        };
        if level < self.level {
            return;
        }
        let line = ExchangeLine {
            timestamp,
            level,
            trace_id: &record.trace_id,
            msg: message(record),
            exchange: &record.exchange,
            key: &record.key,
            user: &record.user,
            endpoint: &record.endpoint,
            provider: &record.provider,
            model: &record.model,
            status: record.status,
            code: &record.code,
            ending: record.ending,
            stream: record.stream,
            attempts: record.attempts,
            duration_ms: record.duration_ms,
            first_byte_ms: record.first_byte_ms,
            tokens_in: record.usage.input,
            tokens_out: record.usage.output,
            metered: record.metered,
            cost_nano: record.cost_nano,
            cache: record.cache,
            pii: &record.pii,
            pii_action: record.pii_action,
            guard: &record.guard,
        };
        push(out, &line);
    }
}

fn message(record: &UsageRecord) -> &'static str {
    match record.ending {
        Ending::Done if record.status < 400 => "exchange done",
        Ending::Done => "exchange failed",
        Ending::ClientGone => "client left",
        Ending::UpstreamCut => "provider's stream broke off",
        Ending::Refused => "exchange refused",
        Ending::Expired => "hold expired",
    }
}

fn push(out: &mut Vec<u8>, line: &impl Serialize) {
    // Serialising these types into memory cannot fail.
    if serde_json::to_writer(&mut *out, line).is_ok() {
        out.push(b'\n');
    }
}

/// Writes whole lines at once. A log that cannot be written stops nothing.
pub(crate) fn emit(lines: &[u8]) {
    if !lines.is_empty() {
        let mut stdout = io::stdout().lock();
        let _lost = stdout.write_all(lines).and_then(|()| stdout.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_an_exchange_is_in_the_manual_and_no_other() {
        let record = serde_json::json!({
            "exchange": "x", "trace_id": "t", "endpoint": "chat", "key": "k", "user": "u", "at_ms": 0,
            "duration_ms": 1, "first_byte_ms": 1, "provider": "p", "model": "m", "status": 400,
            "code": "c", "ending": "refused", "stream": false, "attempts": 1, "metered": false,
            "cost_nano": 0, "usage": engine::usage::Usage::default(), "cache": "off",
            "pii": [["EMAIL", 1]], "pii_action": "flag",
            "guard": [{"rule": "pii_detection", "type": "EMAIL", "on": "input", "action": "flag", "count": 1}],
        });
        let record: UsageRecord = serde_json::from_value(record).unwrap();
        let mut line = Vec::new();
        let level = Level::Debug;
        Log { level }.exchange(&record, "", &mut line);
        let line: Map<String, Value> = serde_json::from_slice(&line).unwrap();
        let mut fields: Vec<&str> = line.keys().map(String::as_str).collect();

        let manual = crate::docs::read("docs/operations.md");
        let (_, rest) = manual.split_once("\n## Logs\n").unwrap();
        let text = rest.split("\n## ").next().unwrap();
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let mut documented: Vec<&str> = rows
            .flat_map(|line| {
                line.split('|')
                    .nth(1)
                    .unwrap()
                    .split('`')
                    .skip(1)
                    .step_by(2)
            })
            .collect();
        documented.sort_unstable();
        fields.sort_unstable();
        assert_eq!(documented, fields);
    }
}
