//! `weir.yaml`: one file says everything. [`Config::load`] reads it, checks it as a whole and
//! reports every problem of one run with its place; what it returns is then trusted.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use engine::usage::NanoUsd;
use engine::wire::{Dialect, PiiAction, Policy, Price};

mod problem;

pub use problem::{ConfigError, Problem};

/// When spend starts at zero again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// At midnight UTC.
    Daily,
    /// On Monday.
    Weekly,
    /// On the first of the month.
    Monthly,
    /// On the first of January, April, July and October.
    Quarterly,
    /// On the first of January.
    Yearly,
    /// Never.
    None,
}

/// Everything `weir.yaml` says, with defaults filled in and secrets read.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where Envoy listens for clients.
    pub listen: SocketAddr,
    /// Directory of the embedded store, sockets and logs; relative to the working directory.
    pub data: PathBuf,
    /// Token of the admin interface; without one the interface refuses everything.
    pub admin_token: Option<Secret>,
    /// Providers that are present (see [`ProviderConfig`]), in file order.
    pub providers: Vec<ProviderConfig>,
    /// Models of present providers, in file order.
    pub models: Vec<ModelConfig>,
    /// What holds when key and request say nothing.
    pub defaults: DefaultsConfig,
    /// Budgets above those of single keys.
    pub budgets: Vec<BudgetConfig>,
    /// Virtual keys that exist because the file says so.
    pub virtual_keys: Vec<VirtualKeyConfig>,
    /// Where the state service listens.
    pub sidecar: SidecarConfig,
    /// How Envoy is run.
    pub envoy: EnvoyConfig,
    /// Caps an operator may change.
    pub limits: LimitsConfig,
    /// What is odd but not wrong, worded for the operator.
    pub warnings: Vec<String>,
}

/// A secret that never prints itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IP address and port.
    Tcp(SocketAddr),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

/// A provider.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Name, `[a-z0-9._-]`, unique.
    pub name: String,
    /// Wire format.
    pub dialect: Dialect,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Path of the chat call after the base path; the dialect's own when empty.
    pub chat_path: String,
    /// Header that carries the key, lower case.
    pub auth_header: String,
    /// What precedes the key in that header.
    pub auth_prefix: String,
    /// The key, when the provider has one of its own.
    pub api_key: Option<Secret>,
    /// Further headers to send, lower-case names.
    pub headers: Vec<(String, String)>,
    /// Price of models that have none.
    pub default_price: Option<Price>,
}

/// A provider's `base_url`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// What is connected to.
    pub host: Host,
    /// Host header, with the port where it is not the scheme's own.
    pub authority: String,
    /// Path prefix without trailing slash.
    pub base_path: String,
}

/// What Envoy connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name that DNS resolves, and the port.
    Name(String, u16),
    /// An address.
    Ip(SocketAddr),
    /// The built-in demo provider behind a Unix socket (`base_url: demo`).
    Demo(PathBuf),
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
    /// Price; `None` leaves it to the catalogue or to the provider's default.
    pub price: Option<Price>,
}

/// What holds when key and request say nothing.
#[derive(Clone, Debug)]
pub struct DefaultsConfig {
    /// Provider for models that name none.
    pub provider: Option<String>,
    /// Input rule for personal data.
    pub pii_input: Option<PiiAction>,
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

/// A budget above those of single keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Whose spend it bounds.
    pub scope: BudgetScope,
    /// The limit.
    pub limit_nano: NanoUsd,
    /// When spend starts at zero again.
    pub period: Period,
}

/// Whose spend a budget bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetScope {
    /// Everybody's together.
    Global,
}

/// A virtual key that exists because the file says so.
#[derive(Clone, Debug)]
pub struct VirtualKeyConfig {
    /// Name, unique.
    pub name: String,
    /// The key clients send.
    pub key: Secret,
    /// Provider for requests whose model names none.
    pub provider: Option<String>,
    /// Provider key that replaces the provider's own; needs `provider`.
    pub real_api_key: Option<Secret>,
    /// Requests per minute.
    pub rate_limit: Option<u64>,
    /// Spend allowed per period.
    pub budget_limit_nano: Option<NanoUsd>,
    /// Period of that spend.
    pub budget_period: Period,
    /// Models the key may ask for; empty allows all.
    pub models: Vec<String>,
    /// Input rule of the key.
    pub pii_input: Option<PiiAction>,
    /// Route configuration used when the request sends none, as JSON.
    pub config: Option<String>,
}

/// Where the state service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarConfig {
    /// The filter's interface.
    pub internal: Address,
    /// Admin, health and metrics.
    pub admin: Address,
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
    /// Reads `path`. Secrets named by environment variables are asked of `env`.
    ///
    /// # Errors
    /// Every problem found, in file order.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let _ = env;
        Err(ConfigError::unreadable(path, "not written yet"))
    }

    /// The filter's view of it.
    pub fn policy(&self) -> Policy {
        Policy::default()
    }
}

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text; for the place that needs it and for no log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
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
