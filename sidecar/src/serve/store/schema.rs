//! Tables, and how older ones become the present ones.

use super::StoreError;
use super::db::Db;

/// Version of the schema, in `PRAGMA user_version`.
pub(super) const VERSION: i64 = 4;

/// `cost` is derived from the integer that counts. Instants are UTC texts that SQL's date functions
/// take and that sort by time.
const FIRST: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('keys_version', 1);

CREATE TABLE virtual_keys (
    id TEXT PRIMARY KEY,
    virtual_key TEXT NOT NULL,
    key_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    provider TEXT,
    real_api_key BLOB,
    rate_limit INTEGER,
    budget_limit_nano INTEGER,
    budget_limit_usd REAL GENERATED ALWAYS AS (budget_limit_nano / 1e9) VIRTUAL,
    budget_period TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    revoked_at_ms INTEGER,
    expires_at_ms INTEGER,
    created_at_ms INTEGER NOT NULL,
    created_at TEXT GENERATED ALWAYS AS (datetime(created_at_ms / 1000, 'unixepoch')) VIRTUAL,
    rotated_at_ms INTEGER,
    models TEXT NOT NULL,
    pii_input TEXT,
    config TEXT,
    metadata TEXT,
    environment TEXT,
    tenant TEXT NOT NULL,
    from_file INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX idx_virtual_keys_active ON virtual_keys(virtual_key) WHERE is_active = true;

CREATE TABLE llm_usage_log (
    exchange_id TEXT PRIMARY KEY,
    timestamp TEXT NOT NULL,
    key_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    cost_nano INTEGER NOT NULL,
    cost REAL GENERATED ALWAYS AS (cost_nano / 1e9) VIRTUAL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    total_tokens INTEGER GENERATED ALWAYS AS (prompt_tokens + completion_tokens) VIRTUAL,
    cached_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    metered INTEGER NOT NULL,
    status INTEGER NOT NULL,
    code TEXT NOT NULL,
    ending TEXT NOT NULL,
    stream INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    cache TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    first_byte_ms INTEGER,
    trace_id TEXT NOT NULL,
    pii TEXT
) WITHOUT ROWID;
CREATE INDEX idx_usage_user_date ON llm_usage_log(user_id, timestamp DESC);
CREATE INDEX idx_usage_provider ON llm_usage_log(provider, model);
CREATE INDEX idx_usage_date ON llm_usage_log(timestamp);

CREATE TABLE usage_daily (
    day TEXT NOT NULL,
    key_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    PRIMARY KEY (day, key_id, provider, model)
) WITHOUT ROWID;
";

/// The oldest refusals are looked for whenever there are too many.
const SECOND: &str = "
CREATE INDEX idx_usage_refused ON llm_usage_log(timestamp) WHERE ending = 'refused';
";

const THIRD: &str = "
ALTER TABLE llm_usage_log ADD COLUMN endpoint TEXT NOT NULL DEFAULT '';
";

/// Sums of each scope's days, in the calendar that `spend_basis` stands for.
const FOURTH: &str = "
ALTER TABLE virtual_keys ADD COLUMN membership TEXT NOT NULL DEFAULT '{}';
ALTER TABLE llm_usage_log ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
CREATE TABLE spend_daily (
    scope TEXT NOT NULL,
    day_ms INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL,
    PRIMARY KEY (scope, day_ms)
) WITHOUT ROWID;
CREATE TABLE budget_alerts (
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    window_ms INTEGER NOT NULL,
    threshold_ppm INTEGER NOT NULL,
    reached_ms INTEGER NOT NULL,
    spent_nano INTEGER NOT NULL,
    limit_nano INTEGER NOT NULL,
    resets_ms INTEGER,
    told_ms INTEGER,
    PRIMARY KEY (scope, period, window_ms, threshold_ppm)
) WITHOUT ROWID;
CREATE TABLE budget_rules (identity TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
";

/// Brings the database to [`VERSION`].
pub(super) fn migrate(db: &mut Db) -> Result<(), StoreError> {
    let version = db.first("PRAGMA user_version", &[], |row| row.take::<i64>())?;
    let version = version.unwrap_or(0);
    if version > VERSION {
        return Err(StoreError::TooNew(version));
    }
    for (number, tables) in [(1, FIRST), (2, SECOND), (3, THIRD), (4, FOURTH)] {
        if version < number {
            db.transaction(|step| {
                step.batch(tables)?;
                step.batch(&format!("PRAGMA user_version = {number}"))
            })?;
        }
    }
    Ok(())
}
