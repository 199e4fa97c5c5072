//! `weir.yaml`: one file says everything. [`Config::load`] reads it, checks it as a whole and
//! reports every problem of one run with its place; what it returns is then trusted.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use engine::guard::{GuardConfig, Guardrails, Judge};
use engine::wire::{Defaults, Governed, Model, Policy, Price};

mod defaults;
mod document;
mod endpoint;
mod party;
mod problem;
mod provider;
mod rate;
mod reader;
mod secret;
mod sections;
mod vault;

pub use engine::period::{Calendar, Period};
pub(crate) use party::parse_budgets;
pub use party::{BudgetConfig, BudgetScope, Membership, VirtualKeyConfig};
pub(crate) use problem::closest;
pub use problem::{ConfigError, Problem};
pub use provider::{AwsCredentials, Endpoint, Host, ProviderConfig, Signing};
pub use rate::{
    KEY_RATES_MAX, KeyLimits, LimitScope, PER, PER_S_MAX, RATE_MAX, RateConfig, RateLimitConfig,
};
pub use secret::{Purpose, Secret, VaultReference};
pub use vault::{VaultAccess, VaultConfig, VaultKeys, VaultLogin, VaultProvider};

/// Environment variable with the admin token, when the file names none.
pub const ADMIN_TOKEN_VARIABLE: &str = "WEIR_ADMIN_TOKEN";
/// Environment variable with the development key that `weir up` makes.
pub const DEV_KEY_VARIABLE: &str = "WEIR_DEV_KEY";
/// Name of that key.
const DEV_KEY_NAME: &str = "dev";
/// Its name when the file has a key of that name.
const DEV_KEY_OTHER_NAME: &str = "dev-local";
/// Seconds an exact-cache entry lives when `cache` names no `ttl`.
const CACHE_TTL_S: u64 = 3600;
/// Records that may wait for the database when `store` names no number: some 1.5 GB.
const SPOOL_RECORDS: u64 = 1_000_000;
/// A disk that others keep busy holds a Redis that writes to it up for some hundred milliseconds.
const REDIS_TIMEOUT_MS: u64 = 1_000;
/// Request body cap when `limits` names none: the largest that can be asked for.
const REQUEST_BODY_BYTES: u32 = 32 * 1024 * 1024;

/// Everything `weir.yaml` says, with defaults filled in and secrets read, but for those that vaults
/// keep ([`crate::vault::fill`]).
#[derive(Clone, Debug)]
pub struct Config {
    /// Where Envoy listens for clients.
    pub listen: SocketAddr,
    /// Proxies in front of Envoy whose `x-forwarded-for` is believed.
    pub trusted_hops: u32,
    /// Directory of the embedded store, sockets and logs; relative to the working directory.
    pub data: PathBuf,
    /// Token of the admin interface; without one the interface refuses everything.
    pub admin_token: Option<Secret>,
    /// Vaults of the file, and those of the environment that something refers to.
    pub vaults: Vec<VaultConfig>,
    /// Providers that are present (see [`ProviderConfig`]), in file order.
    pub providers: Vec<ProviderConfig>,
    /// Models of present providers, in file order.
    pub models: Vec<ModelConfig>,
    /// What holds when key and request say nothing.
    pub defaults: DefaultsConfig,
    /// Budgets above those of single keys.
    pub budgets: Vec<BudgetConfig>,
    /// Limits on requests, tokens and what runs, above those of single keys.
    pub rate_limits: Vec<RateLimitConfig>,
    /// When periods begin.
    pub calendar: Calendar,
    /// Who is told of alerts.
    pub webhook: Option<WebhookConfig>,
    /// Virtual keys that exist because the file says so.
    pub virtual_keys: Vec<VirtualKeyConfig>,
    /// Where state is kept that several state services share.
    pub store: StoreConfig,
    /// Where the state service listens.
    pub sidecar: SidecarConfig,
    /// How Envoy is run.
    pub envoy: EnvoyConfig,
    /// Caps an operator may change.
    pub limits: LimitsConfig,
    /// Well-known models with their list prices, those of providers that are not here included.
    pub catalogue: Vec<Model>,
    /// What is odd but not wrong, worded for the operator.
    pub warnings: Vec<String>,
}

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IP address and port.
    Tcp(SocketAddr),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

/// A model.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// Name clients use, unique.
    pub id: String,
    /// Provider that serves it.
    pub provider: String,
    /// Name the provider uses.
    pub model: String,
    /// Context window in tokens, 0 unknown.
    pub context: u64,
    /// Output limit in tokens, 0 unknown.
    pub max_output: u64,
    /// Price: its own, the catalogue's or the provider's default.
    pub price: Price,
}

/// What holds when key and request say nothing.
#[derive(Clone, Debug)]
pub struct DefaultsConfig {
    /// Provider for models that name none.
    pub provider: Option<String>,
    /// Judges of content that are here, in file order.
    pub judges: Vec<JudgeConfig>,
    /// Guardrails that hold for every request.
    pub guardrails: Guardrails,
    /// Detectors of the operator's own, and what is never reported.
    pub detectors: GuardConfig,
    /// Seconds an exact-cache entry lives; `None` leaves the cache off.
    pub cache_ttl_s: Option<u64>,
    /// Retries of one target after the first attempt, 0 for none.
    pub retry_attempts: u32,
    /// Provider statuses that are retried.
    pub retry_on: Vec<u16>,
    /// First and longest pause between attempts, milliseconds.
    pub backoff_base_ms: u64,
    /// See [`DefaultsConfig::backoff_base_ms`].
    pub backoff_max_ms: u64,
    /// Milliseconds an attempt may take (streams: may be silent), 0 for no limit.
    pub request_timeout_ms: u64,
    /// Whether a known key may go on unmetered while the state service does not answer.
    pub grace_on_state_loss: bool,
    /// Status of budget refusals.
    pub budget_status: u16,
}

/// Who is told of alerts, by a `POST`.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Where.
    pub endpoint: Endpoint,
    /// What the messages are signed with.
    pub secret: Option<Secret>,
    /// PEM file of the authorities it is checked against; the system's when `None`.
    pub ca: Option<PathBuf>,
}

/// A judge of content.
#[derive(Clone, Debug)]
pub struct JudgeConfig {
    /// The filter's view of it, without what opens it.
    pub judge: Judge,
    /// Where a webhook is.
    pub endpoint: Option<Endpoint>,
    /// Provider that is asked, with its key.
    pub provider: Option<String>,
    /// What questions to a webhook are signed with.
    pub secret: Option<Secret>,
}

/// Where state is kept. Without a database: in `data`, by one state service alone.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Address of a Redis or Valkey that counts for all state services; needs a database.
    pub redis: Option<Secret>,
    /// Whether that is a Redis Cluster.
    pub redis_cluster: bool,
    /// How long an admission waits for Redis, in milliseconds.
    pub redis_timeout_ms: u64,
    /// Address of the PostgreSQL with keys, budgets and ledger. Alone it serves one state service.
    pub database: Option<Secret>,
    /// What provider keys are sealed with, 64 hexadecimal digits; `secret.key` in `data` when `None`.
    pub secret_key: Option<Secret>,
    /// Records that may wait on disk for the database.
    pub spool_records: u64,
}

/// Where the state service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarConfig {
    /// The filter's interface.
    pub internal: Address,
    /// Admin, health and metrics.
    pub admin: Address,
    /// Whether Envoy's workers may admit requests of a busy key by themselves, from a part of its
    /// limits that is held for them.
    pub leases: bool,
    /// Output tokens per choice that the first hold of a stream under a hard budget covers at most; the
    /// hold grows while the stream runs. `None` holds the most that it can cost.
    pub hold_output_tokens: Option<u64>,
}

/// How Envoy is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyConfig {
    /// Envoy's own admin interface.
    pub admin: SocketAddr,
    /// Worker threads; Envoy's own default (one a core) when `None`.
    pub workers: Option<u32>,
}

/// Caps an operator may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Request body in bytes, at most [`engine::limits::REQUEST_BODY_BYTES_MAX`].
    pub request_body_bytes: u32,
}

impl Config {
    /// Reads the file `path`. Secrets that name an environment variable are asked of `env`, and so
    /// are [`ADMIN_TOKEN_VARIABLE`] and [`DEV_KEY_VARIABLE`].
    ///
    /// # Errors
    /// Every problem found, in file order.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::unreadable(path, unreadable(&error)))?;
        Config::parse(path, &text, env)
    }

    /// The same for a file already read; `path` is only for messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        path: &Path,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let failed = |problems| ConfigError {
            path: path.to_owned(),
            problems,
        };
        let root = document::parse(text).map_err(|problem| failed(vec![problem]))?;
        let mut reader = reader::Reader::new(env);
        let catalogue = engine::price::parse_catalogue(engine::price::CATALOGUE)
            .map_err(|error| ConfigError::unreadable(path, error.to_string()))?;
        let config = sections::config(&root, &catalogue, &mut reader);
        let reader::Reader {
            mut problems,
            warnings,
            vaults,
            ..
        } = reader;
        problems.sort_by_key(|problem| (problem.line, problem.column));
        let mut config = match config {
            Some(config) if problems.is_empty() => config,
            _ => return Err(failed(problems)),
        };
        config.warnings = warnings;
        config.vaults = vaults;
        config.catalogue = catalogue;
        config.add_local(env);
        Ok(config)
    }

    /// What `weir up` hands to the state service it starts.
    fn add_local(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        let variable = |name| env(name).filter(|value| !value.is_empty());
        if self.admin_token.is_none() {
            self.admin_token = variable(ADMIN_TOKEN_VARIABLE).map(Secret::new);
        }
        let Some(key) = variable(DEV_KEY_VARIABLE) else {
            return;
        };
        let keys = &mut self.virtual_keys;
        if keys.iter().all(|other| other.key.expose() != key) {
            let taken = keys.iter().any(|other| other.name == DEV_KEY_NAME);
            let name = if taken {
                DEV_KEY_OTHER_NAME
            } else {
                DEV_KEY_NAME
            };
            keys.push(VirtualKeyConfig::new(name, Secret::new(key)));
        }
    }

    /// The filter's view of it: with the catalogue's models of the providers that are here.
    pub fn policy(&self) -> Policy {
        let configured = self.models.iter().map(ModelConfig::wire);
        let known = self.catalogue.iter().filter(|known| {
            self.providers
                .iter()
                .any(|provider| provider.name == known.provider)
                && !self.models.iter().any(|model| model.id == known.id)
        });
        Policy {
            providers: self.providers.iter().map(ProviderConfig::wire).collect(),
            models: configured.chain(known.cloned()).collect(),
            defaults: Defaults {
                judges: self.judges(),
                ..self.defaults.wire()
            },
        }
    }

    /// Judges with what opens them.
    fn judges(&self) -> Vec<Judge> {
        let judges = self.defaults.judges.iter().map(|config| {
            let mut judge = config.judge.clone();
            let secret = config.secret.as_ref().map(Secret::expose);
            judge.secret = secret.map(str::to_owned);
            let provider = config.provider.as_ref();
            let provider = provider.and_then(|name| {
                let mut providers = self.providers.iter();
                providers.find(|provider| provider.name == *name)
            });
            if let Some(provider) = provider {
                let key = provider.api_key.as_ref().map(|key| {
                    let value = format!("{}{}", provider.auth_prefix, key.expose());
                    (provider.auth_header.clone(), value)
                });
                let headers = provider.headers.iter();
                let headers =
                    headers.map(|(name, value)| (name.clone(), value.expose().to_owned()));
                judge.headers = key.into_iter().chain(headers).collect();
            }
            judge
        });
        judges.collect()
    }
}

fn unreadable(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound {
        return "there is no such file; name another one with --config".to_owned();
    }
    format!("cannot be read: {error}")
}

impl ModelConfig {
    fn wire(&self) -> Model {
        Model {
            id: self.id.clone(),
            provider: self.provider.clone(),
            model: self.model.clone(),
            context: self.context,
            max_output: self.max_output,
            price: self.price,
            listed: true,
        }
    }
}

impl DefaultsConfig {
    fn wire(&self) -> Defaults {
        Defaults {
            provider: self.provider.clone(),
            guardrails: self.guardrails.clone(),
            detectors: self.detectors.clone(),
            judges: Vec::new(),
            guard_key: Vec::new(),
            cache_ttl_s: self.cache_ttl_s,
            retry_attempts: self.retry_attempts,
            retry_on: self.retry_on.clone(),
            request_timeout_ms: self.request_timeout_ms,
            grace_on_state_loss: self.grace_on_state_loss,
            budget_status: self.budget_status,
            governed: Governed::default(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
