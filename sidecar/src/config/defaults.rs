//! What stands for members that a file does not name.

use super::*;

impl Default for DefaultsConfig {
    fn default() -> DefaultsConfig {
        DefaultsConfig {
            provider: None,
            judges: Vec::new(),
            guardrails: Guardrails::default(),
            detectors: GuardConfig::default(),
            cache_ttl_s: None,
            retry_attempts: 2,
            retry_on: vec![429, 500, 502, 503, 504],
            backoff_base_ms: 25,
            backoff_max_ms: 250,
            request_timeout_ms: 60_000,
            grace_on_state_loss: false,
            budget_status: 429,
        }
    }
}

impl Default for StoreConfig {
    fn default() -> StoreConfig {
        StoreConfig {
            redis: None,
            redis_cluster: false,
            redis_timeout_ms: REDIS_TIMEOUT_MS,
            database: None,
            secret_key: None,
            spool_records: SPOOL_RECORDS,
        }
    }
}

impl Default for EnvoyConfig {
    fn default() -> EnvoyConfig {
        EnvoyConfig {
            admin: ([127, 0, 0, 1], 9901).into(),
            workers: None,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> LimitsConfig {
        LimitsConfig {
            request_body_bytes: REQUEST_BODY_BYTES,
        }
    }
}
