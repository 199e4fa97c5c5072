//! SQLite.

use super::super::StoreError;
use super::super::db::Db;
use super::views::VIEWS;

/// Version of the schema, in `PRAGMA user_version`.
const VERSION: i64 = 7;

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

/// What settled records wait in for a database, and those that it does not take; who is telling of an
/// alert; budgets that SQL sets; and what `weir.yaml` says, for those who look with SQL.
const FIFTH: &str = "
CREATE TABLE spool (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    exchange_id TEXT NOT NULL,
    charged_ms INTEGER NOT NULL,
    record TEXT NOT NULL,
    counted INTEGER NOT NULL
);
CREATE INDEX idx_spool_exchange ON spool(exchange_id);
CREATE INDEX idx_spool_uncounted ON spool(seq) WHERE counted = 0;
CREATE TABLE spool_refused (
    exchange_id TEXT NOT NULL,
    charged_ms INTEGER NOT NULL,
    record TEXT NOT NULL,
    why TEXT NOT NULL
);
ALTER TABLE budget_alerts ADD COLUMN claimed_by TEXT;
ALTER TABLE budget_alerts ADD COLUMN claimed_ms INTEGER;

CREATE TABLE user_budgets (
    user_id TEXT PRIMARY KEY,
    monthly_limit_usd NUMERIC NOT NULL CHECK (
        typeof(monthly_limit_usd) IN ('integer', 'real')
        AND monthly_limit_usd >= 0 AND monthly_limit_usd < 1000000000)
) WITHOUT ROWID;
CREATE TRIGGER user_budgets_set AFTER INSERT ON user_budgets BEGIN
    DELETE FROM budget_rules
        WHERE identity = 'user' || char(10) || NEW.user_id || char(10) || char(10) || 'monthly';
    UPDATE meta SET value = value + 1 WHERE name = 'keys_version';
END;
CREATE TRIGGER user_budgets_changed AFTER UPDATE ON user_budgets BEGIN
    DELETE FROM budget_rules
        WHERE identity = 'user' || char(10) || NEW.user_id || char(10) || char(10) || 'monthly';
    UPDATE meta SET value = value + 1 WHERE name = 'keys_version';
END;
CREATE TRIGGER user_budgets_removed AFTER DELETE ON user_budgets BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_version';
END;

CREATE TRIGGER virtual_keys_set AFTER INSERT ON virtual_keys BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_version';
END;
CREATE TRIGGER virtual_keys_changed AFTER UPDATE ON virtual_keys BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_version';
END;
CREATE TRIGGER virtual_keys_removed AFTER DELETE ON virtual_keys BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_version';
END;

CREATE TABLE configured_providers (
    name TEXT PRIMARY KEY,
    dialect TEXT NOT NULL,
    api_key TEXT,
    endpoint TEXT NOT NULL,
    organization TEXT,
    is_enabled INTEGER NOT NULL,
    is_default INTEGER NOT NULL,
    settings TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE configured_models (
    id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    context INTEGER NOT NULL,
    max_output INTEGER NOT NULL,
    input_nano INTEGER NOT NULL,
    cached_input_nano INTEGER NOT NULL,
    output_nano INTEGER NOT NULL,
    input_usd_per_million REAL GENERATED ALWAYS AS (input_nano / 1e9) VIRTUAL,
    cached_input_usd_per_million REAL GENERATED ALWAYS AS (cached_input_nano / 1e9) VIRTUAL,
    output_usd_per_million REAL GENERATED ALWAYS AS (output_nano / 1e9) VIRTUAL,
    temperature REAL,
    use_case TEXT,
    capabilities TEXT,
    is_enabled INTEGER NOT NULL,
    is_default INTEGER NOT NULL
) WITHOUT ROWID;
";

/// What is counted where, of a database that is shared; and how far others know what was counted.
const SIXTH: &str = "
CREATE TABLE counted_rules (line TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE deliveries (
    service TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE epochs (place TEXT PRIMARY KEY, epoch TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('counted_version', 0), ('spend_generation', 0);
";

/// What guardrails found and did, never a value, and its sums.
const SEVENTH: &str = "
ALTER TABLE llm_usage_log ADD COLUMN guardrails TEXT;
CREATE TABLE guard_daily (
    day TEXT NOT NULL,
    rule TEXT NOT NULL,
    type TEXT NOT NULL,
    direction TEXT NOT NULL,
    action TEXT NOT NULL,
    requests INTEGER NOT NULL,
    findings INTEGER NOT NULL,
    PRIMARY KEY (day, rule, type, direction, action)
) WITHOUT ROWID;
";

/// Brings the database to [`VERSION`].
pub(super) fn migrate(db: &mut Db) -> Result<(), StoreError> {
    let version = db.first("PRAGMA user_version", &[], |row| row.take::<i64>())?;
    let version = version.unwrap_or(0);
    if version > VERSION {
        return Err(StoreError::TooNew(version, VERSION));
    }
    let steps: [&[&str]; 7] = [
        &[FIRST],
        &[SECOND],
        &[THIRD],
        &[FOURTH],
        &[FIFTH, VIEWS],
        &[SIXTH],
        &[SEVENTH],
    ];
    for (number, parts) in (1..).zip(steps) {
        if version < number {
            db.transaction(|step| {
                for part in parts {
                    step.batch(part)?;
                }
                step.batch(&format!("PRAGMA user_version = {number}"))
            })?;
        }
    }
    Ok(())
}
