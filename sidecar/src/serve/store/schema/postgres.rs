//! PostgreSQL.

use super::super::StoreError;
use super::super::db::Db;
use super::views::VIEWS;

/// Version of the schema, in the table `schema_version`.
const VERSION: i64 = 3;
/// Who migrates or writes what `weir.yaml` names holds this advisory lock: `weir` in ASCII.
pub(crate) const LOCK: i64 = 0x7765_6972;

/// `cost` is derived from the integer that counts. Names without quotes are in lower case here, so what
/// has capitals in the documents is there in both forms.
const FIRST: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO meta VALUES ('keys_version', 1);

CREATE TABLE virtual_keys (
    id TEXT PRIMARY KEY,
    virtual_key TEXT NOT NULL,
    key_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    provider TEXT,
    real_api_key BYTEA,
    rate_limit BIGINT,
    budget_limit_nano BIGINT,
    budget_limit_usd NUMERIC GENERATED ALWAYS AS (budget_limit_nano / 1000000000.0) STORED,
    budget_period TEXT NOT NULL,
    is_active BOOLEAN NOT NULL,
    revoked_at_ms BIGINT,
    expires_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    created_at TIMESTAMPTZ GENERATED ALWAYS AS (to_timestamp(created_at_ms / 1000.0)) STORED,
    rotated_at_ms BIGINT,
    models TEXT NOT NULL,
    pii_input TEXT,
    config TEXT,
    metadata TEXT,
    environment TEXT,
    tenant TEXT NOT NULL,
    from_file BOOLEAN NOT NULL,
    membership TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX idx_virtual_keys_active ON virtual_keys(virtual_key) WHERE is_active = true;

CREATE TABLE llm_usage_log (
    exchange_id TEXT PRIMARY KEY,
    timestamp TIMESTAMPTZ NOT NULL,
    key_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    cost_nano BIGINT NOT NULL,
    cost NUMERIC GENERATED ALWAYS AS (cost_nano / 1000000000.0) STORED,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    total_tokens BIGINT GENERATED ALWAYS AS (prompt_tokens + completion_tokens) STORED,
    cached_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    metered BOOLEAN NOT NULL,
    status BIGINT NOT NULL,
    code TEXT NOT NULL,
    ending TEXT NOT NULL,
    stream BOOLEAN NOT NULL,
    attempts BIGINT NOT NULL,
    cache TEXT NOT NULL,
    duration_ms BIGINT NOT NULL,
    first_byte_ms BIGINT,
    trace_id TEXT NOT NULL,
    pii TEXT,
    endpoint TEXT NOT NULL,
    tags TEXT NOT NULL
);
CREATE INDEX idx_usage_user_date ON llm_usage_log(user_id, timestamp DESC);
CREATE INDEX idx_usage_provider ON llm_usage_log(provider, model);
CREATE INDEX idx_usage_date ON llm_usage_log(timestamp);
CREATE INDEX idx_usage_refused ON llm_usage_log(timestamp) WHERE ending = 'refused';

CREATE TABLE usage_daily (
    day TEXT NOT NULL,
    key_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    PRIMARY KEY (day, key_id, provider, model)
);
CREATE TABLE spend_daily (
    scope TEXT NOT NULL,
    day_ms BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    PRIMARY KEY (scope, day_ms)
);
CREATE TABLE budget_alerts (
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    window_ms BIGINT NOT NULL,
    threshold_ppm BIGINT NOT NULL,
    reached_ms BIGINT NOT NULL,
    spent_nano BIGINT NOT NULL,
    limit_nano BIGINT NOT NULL,
    resets_ms BIGINT,
    told_ms BIGINT,
    claimed_by TEXT,
    claimed_ms BIGINT,
    PRIMARY KEY (scope, period, window_ms, threshold_ppm)
);
CREATE TABLE budget_rules (identity TEXT PRIMARY KEY, document TEXT NOT NULL);

CREATE TABLE user_budgets (
    user_id TEXT PRIMARY KEY,
    monthly_limit_usd NUMERIC NOT NULL
        CHECK (monthly_limit_usd >= 0 AND monthly_limit_usd < 1000000000)
);
CREATE FUNCTION weir_user_budget_changed() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
    IF TG_OP <> ''DELETE'' THEN
        DELETE FROM budget_rules
            WHERE identity = ''user'' || chr(10) || NEW.user_id || chr(10) || chr(10) || ''monthly'';
    END IF;
    UPDATE meta SET value = value + 1 WHERE name = ''keys_version'';
    RETURN NULL;
END';
CREATE TRIGGER user_budgets_changed AFTER INSERT OR UPDATE OR DELETE ON user_budgets
    FOR EACH ROW EXECUTE FUNCTION weir_user_budget_changed();

CREATE FUNCTION weir_keys_changed() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
    UPDATE meta SET value = value + 1 WHERE name = ''keys_version'';
    RETURN NULL;
END';
CREATE TRIGGER virtual_keys_changed AFTER INSERT OR UPDATE OR DELETE ON virtual_keys
    FOR EACH STATEMENT EXECUTE FUNCTION weir_keys_changed();

CREATE TABLE configured_providers (
    name TEXT PRIMARY KEY,
    dialect TEXT NOT NULL,
    api_key TEXT,
    endpoint TEXT NOT NULL,
    organization TEXT,
    is_enabled BOOLEAN NOT NULL,
    is_default BOOLEAN NOT NULL,
    settings TEXT NOT NULL
);
CREATE TABLE configured_models (
    id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    context BIGINT NOT NULL,
    max_output BIGINT NOT NULL,
    input_nano BIGINT NOT NULL,
    cached_input_nano BIGINT NOT NULL,
    output_nano BIGINT NOT NULL,
    input_usd_per_million NUMERIC GENERATED ALWAYS AS (input_nano / 1000000000.0) STORED,
    cached_input_usd_per_million NUMERIC
        GENERATED ALWAYS AS (cached_input_nano / 1000000000.0) STORED,
    output_usd_per_million NUMERIC GENERATED ALWAYS AS (output_nano / 1000000000.0) STORED,
    temperature DOUBLE PRECISION,
    use_case TEXT,
    capabilities TEXT,
    is_enabled BOOLEAN NOT NULL,
    is_default BOOLEAN NOT NULL
);
";

/// The views again, with the capitals of the documents.
const QUOTED: &str = "
CREATE VIEW \"LLMUsageLogs\" AS SELECT exchange_id AS \"Id\",
    trace_id AS \"RequestId\",
    user_id AS \"UserId\",
    provider AS \"ProviderId\",
    model AS \"ModelId\",
    endpoint AS \"RequestType\",
    prompt_tokens AS \"InputTokens\",
    completion_tokens AS \"OutputTokens\",
    total_tokens AS \"TotalTokens\",
    cost AS \"Cost\",
    duration_ms AS \"DurationMs\",
    ending = 'done' AND status < 400 AS \"Success\",
    code AS \"ErrorMessage\",
    cache = 'hit' AS \"CacheHit\",
    timestamp AS \"RequestTimestamp\",
    tags AS \"Metadata\" FROM llm_usage_log;
CREATE VIEW \"LLMProviderConfigs\" AS SELECT name AS \"ProviderId\",
    name AS \"Name\",
    dialect AS \"Type\",
    api_key AS \"ApiKey\",
    endpoint AS \"Endpoint\",
    organization AS \"Organization\",
    is_enabled AS \"IsEnabled\",
    is_default AS \"IsDefault\",
    settings AS \"Settings\" FROM configured_providers;
CREATE VIEW \"LLMModelConfigs\" AS SELECT id AS \"ModelId\",
    provider AS \"ProviderId\",
    model AS \"Name\",
    id AS \"DisplayName\",
    temperature AS \"Temperature\",
    max_output AS \"MaxTokens\",
    context AS \"ContextLength\",
    input_usd_per_million / 1000000 AS \"CostPerToken\",
    use_case AS \"UseCase\",
    capabilities AS \"Capabilities\",
    is_enabled AS \"IsEnabled\",
    is_default AS \"IsDefault\" FROM configured_models;
";

/// What is counted where, and how much of the spool of each service is here.
const SECOND: &str = "
CREATE TABLE counted_rules (line TEXT PRIMARY KEY, since BIGINT NOT NULL);
CREATE TABLE deliveries (service TEXT PRIMARY KEY, seq BIGINT NOT NULL, at_ms BIGINT NOT NULL);
INSERT INTO meta VALUES ('counted_version', 1), ('spend_generation', 1);
";

/// What guardrails found and did, never a value, and its sums.
const THIRD: &str = "
ALTER TABLE llm_usage_log ADD COLUMN guardrails TEXT;
CREATE TABLE guard_daily (
    day TEXT NOT NULL,
    rule TEXT NOT NULL,
    type TEXT NOT NULL,
    direction TEXT NOT NULL,
    action TEXT NOT NULL,
    requests BIGINT NOT NULL,
    findings BIGINT NOT NULL,
    PRIMARY KEY (day, rule, type, direction, action)
);
";

/// Brings the database to [`VERSION`]. The lock is released with the transaction.
pub(super) fn migrate(db: &mut Db) -> Result<(), StoreError> {
    db.transaction(|step| {
        step.batch(&format!("SELECT pg_advisory_xact_lock({LOCK})"))?;
        step.batch("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)")?;
        let sql = "SELECT MAX(version) FROM schema_version";
        let version = step.first(sql, &[], |row| row.take::<Option<i64>>())?;
        let version = version.flatten().unwrap_or(0);
        if version > VERSION {
            return Err(StoreError::TooNew(version, VERSION));
        }
        let steps: [&[&str]; 3] = [&[FIRST, VIEWS, QUOTED], &[SECOND], &[THIRD]];
        for (number, parts) in (1_i64..).zip(steps) {
            if version < number {
                for part in parts {
                    step.batch(part)?;
                }
                let sql = "INSERT INTO schema_version (version) VALUES ($1)";
                step.execute(sql, &[number.into()])?;
            }
        }
        Ok(())
    })
}
