//! Configurations of what is compared.

use std::path::Path;

use serde_json::{Value, json};

use super::Setup;
use crate::prompt;

/// All services that come after each other on one database need the same.
const SECRET_KEY: &str = "abababababababababababababababababababababababababababababababab";

/// Where counters and the ledger are, when that is not the service itself.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) redis: String,
    pub(crate) database: String,
}

/// An Envoy that does nothing but proxy, set up as Weir's own is.
pub(super) fn plain(port: u16, provider: u16) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "plain",
        "use_remote_address": true,
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
        }}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "provider", "timeout": "0s"}},
        ]}]},
    });
    json!({"static_resources": {
        "listeners": [{
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
            }]}],
        }],
        "clusters": [{
            "name": "provider",
            "type": "STATIC",
            "circuit_breakers": {"thresholds": [{"max_connections": 100_000, "max_requests": 100_000, "max_pending_requests": 100_000}]},
            "load_assignment": {"cluster_name": "provider", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": provider}}}},
            ]}]},
        }],
    }})
}

/// Keys, redaction, counting, a request limit and two budgets: everything but the cache is on.
/// `ports` are those of clients, of the provider and of Envoy's own interface.
pub(super) fn weir(ports: [u16; 3], folder: &Path, setup: &Setup) -> Value {
    let [port, provider, admin] = ports;
    let provider = |name: &str| {
        json!({
            "name": name, "dialect": "openai", "api_key": "sk-bench",
            "base_url": format!("http://127.0.0.1:{provider}/v1"),
            "default_price": {"input": 0.15, "output": 0.60},
        })
    };
    let mut weir = json!({
        "listen": format!("127.0.0.1:{port}"),
        "data": folder.join("data"),
        "admin_token": "bench-admin",
        "providers": [provider("bench"), provider("spare")],
        "models": [{"id": "gpt-4o-mini", "provider": "bench", "context": 128_000, "max_output": 16_384,
                    "price": {"input": 0.15, "cached_input": 0.075, "output": 0.60}}],
        "defaults": {
            "provider": "bench",
            "guardrails": {"input": [{"type": "pii_detection", "action": "redact"}]},
            "cache": {"mode": "off"},
        },
        "budgets": [{"scope": "global", "limit_usd": 1_000_000, "period": "monthly"}],
        "virtual_keys": [{"name": "bench", "key": prompt::KEY, "rate_limit": 100_000_000, "budget_limit_usd": 1_000_000}],
        "envoy": {"admin": format!("127.0.0.1:{admin}")},
        "sidecar": {"leases": setup.leases},
    });
    if let Some(store) = &setup.store {
        weir["store"] = json!({
            "redis": store.redis,
            "database": store.database,
            "secret_key": SECRET_KEY,
        });
    }
    weir
}
