//! The `weir.yaml` of a test, written as JSON (which is YAML).

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::behaviour::MODEL_NAMES;
use crate::process::free_port;
use crate::stores::Store;

/// Key that every gateway of the tests knows from its file.
pub const KEY: &str = "vk-e2e-0123456789abcdef0123456789abcdef";
/// Token of the admin interface.
pub const ADMIN_TOKEN: &str = "admin-e2e-token";

type Change = Box<dyn FnOnce(&mut Value) + Send>;

/// How to start a gateway.
pub struct Setup {
    /// Envoy's workers.
    pub workers: u32,
    /// Certificates that providers are checked against; the system's when `None`.
    pub ca: Option<PathBuf>,
    /// Where state is kept.
    pub store: Store,
    changes: Vec<Change>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            workers: 2,
            ca: None,
            store: Store::Embedded,
            changes: Vec::new(),
        }
    }
}

/// Where things listen.
#[derive(Clone, Debug)]
pub struct Ports {
    pub listen: u16,
    pub internal: u16,
    pub admin: u16,
    pub envoy_admin: u16,
    /// Nobody listens here.
    pub dead: u16,
}

impl Ports {
    /// Some that nobody uses.
    pub(crate) fn free() -> Ports {
        Ports {
            listen: free_port(),
            internal: free_port(),
            admin: free_port(),
            envoy_admin: free_port(),
            dead: free_port(),
        }
    }
}

impl Setup {
    /// The usual one over that store.
    pub fn over(store: Store) -> Setup {
        Setup {
            store,
            ..Setup::default()
        }
    }

    /// Changes the configuration before it is written.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Value) + Send + 'static) -> Setup {
        self.changes.push(Box::new(change));
        self
    }

    /// Adds the provider `native`, which speaks responses, and its model `native/gpt-5`.
    #[must_use]
    pub fn with_native(self, price: Value) -> Setup {
        self.with(move |config| {
            let base = config["providers"][0]["base_url"].as_str().expect("base");
            let base = base.strip_suffix("/v1").expect("base").to_owned();
            let providers = config["providers"].as_array_mut().expect("providers");
            providers.push(json!({
                "name": "native", "dialect": "openai", "base_url": format!("{base}/native/v1"),
                "api_key": "sk-native", "serves": ["responses"],
            }));
            let models = config["models"].as_array_mut().expect("models");
            models.push(json!({
                "id": "native/gpt-5", "provider": "native", "model": "gpt-5", "context": 128_000,
                "max_output": 16_384, "price": price,
            }));
        })
    }

    /// Checks providers against the certificates in `ca`.
    #[must_use]
    pub fn ca(mut self, ca: &Path) -> Setup {
        self.ca = Some(ca.to_owned());
        self
    }

    /// The number of Envoy's workers.
    #[must_use]
    pub fn workers(mut self, workers: u32) -> Setup {
        self.workers = workers;
        self
    }

    /// The configuration. All providers but `dead` are one fake provider under different paths.
    pub fn config(self, provider: &str, ports: &Ports, data: &str) -> Value {
        let price = json!({"input": 0.15, "cached_input": 0.075, "output": 0.60});
        let sonnet = json!({"input": 3, "cached_input": 0.3, "cache_write": 3.75, "output": 15});
        let model = |id: &str, provider: &str, price: &Value| {
            json!({
                "id": id, "provider": provider, "model": id,
                "context": 128_000, "max_output": 16_384, "price": price,
            })
        };
        let mut models = vec![
            model("gpt-4o-mini", "openai", &price),
            model("claude-3-sonnet", "anthropic", &sonnet),
            model("claude-3-5-sonnet-20241022", "anthropic", &sonnet),
            model("llama3:8b", "ollama", &json!("free")),
            model("dead-model", "dead", &price),
            model(
                "o4-mini",
                "openai",
                &json!({"input": 1.10, "cached_input": 0.275, "output": 4.40, "reasoning": 8.80}),
            ),
        ];
        for name in MODEL_NAMES {
            models.push(model(name, "openai", &price));
            models.push(model(&format!("claude-{name}"), "anthropic", &sonnet));
        }
        let mut config = json!({
            "listen": format!("127.0.0.1:{}", ports.listen),
            "data": data,
            "admin_token": {"env": "WEIR_ADMIN_TOKEN"},
            "sidecar": {
                "internal": format!("127.0.0.1:{}", ports.internal),
                "admin": format!("127.0.0.1:{}", ports.admin),
            },
            "envoy": {"admin": format!("127.0.0.1:{}", ports.envoy_admin), "workers": self.workers},
            "providers": [
                {"name": "openai", "dialect": "openai", "base_url": format!("{provider}/v1"),
                 "api_key": {"env": "E2E_OPENAI_KEY"}},
                {"name": "anthropic", "dialect": "anthropic",
                 "base_url": format!("{provider}/anthropic"), "api_key": {"env": "E2E_ANTHROPIC_KEY"}},
                {"name": "ollama", "dialect": "openai", "base_url": format!("{provider}/ollama/v1")},
                {"name": "dead", "dialect": "openai",
                 "base_url": format!("http://127.0.0.1:{}/v1", ports.dead)},
            ],
            "models": models,
            "defaults": {
                "provider": "openai",
                "retry": {"attempts": 0, "on_status_codes": [429, 500, 502, 503, 504]},
                "request_timeout_ms": 20_000,
            },
            "budgets": [{"scope": "global", "limit_usd": 1000, "period": "monthly"}],
            "virtual_keys": [{"name": "e2e", "key": {"env": "E2E_KEY"}, "provider": "openai"}],
        });
        for change in self.changes {
            change(&mut config);
        }
        config
    }
}

/// Environment that the configuration names.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("WEIR_ADMIN_TOKEN", ADMIN_TOKEN),
    ("E2E_KEY", KEY),
    ("E2E_OPENAI_KEY", "sk-real-openai"),
    ("E2E_ANTHROPIC_KEY", "sk-ant-real-anthropic"),
];
