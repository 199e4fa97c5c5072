//! The sections of `weir.yaml`, one function each.

use std::path::Path;

use engine::limits::{REQUEST_BODY_BYTES_MAX, RETRY_WAIT_MS_MAX};
use engine::wire::Model;

use super::document::Node;
use super::endpoint::socket_address;
use super::problem::closest;
use super::reader::{Field, Object, Reader, SecretSource};
use super::{
    Address, BudgetConfig, Config, DefaultsConfig, EnvoyConfig, LimitsConfig, Period, Secret,
    SidecarConfig,
};

mod alert;
mod budget;
mod calendar;
mod guardrail;
mod judge;
mod model;
mod provider;
mod rate_limit;
mod store;
mod vault;
mod virtual_key;

pub(super) use vault::reference as vault_reference;

/// Tokens of a context window or an output limit above this are a mistake.
const TOKENS_MAX: u64 = 1_000_000_000;
/// A day in milliseconds, the longest timeout or pause.
const DAY_MS: u64 = 86_400_000;
/// Seconds of the longest cache entry: one year.
const CACHE_TTL_S_MAX: u64 = 31_536_000;
/// Proxies in front of Envoy.
const TRUSTED_HOPS_MAX: u64 = 16;
/// Worker threads of Envoy.
const WORKERS_MAX: u64 = 1024;

/// Names that exist in the file, and those that are present in this environment.
#[derive(Default)]
struct Names {
    declared: Vec<String>,
    present: Vec<String>,
}

/// The whole file. What could not be read is left out; the caller looks at the reader's problems.
pub(super) fn config(root: &Node, catalogue: &[Model], reader: &mut Reader<'_>) -> Option<Config> {
    let field = Field {
        node: root,
        path: String::new(),
    };
    let mut top = reader.object(field)?;
    let listen = top
        .member("listen")
        .and_then(|field| address(&field, reader));
    let trusted_hops = top
        .member("trusted_hops")
        .and_then(|field| reader.integer(&field, 0, TRUSTED_HOPS_MAX))
        .and_then(|hops| hops.try_into().ok());
    let data = top
        .member("data")
        .and_then(|field| reader.text(&field))
        .unwrap_or_else(|| "./data".to_owned());
    let data = Path::new(&data).to_owned();
    vault::vaults(&mut top, reader);
    let admin_token = top
        .member("admin_token")
        .and_then(|field| optional_secret(field, reader));
    let mut names = Names::default();
    let providers = provider::providers(&mut top, &data, &mut names, reader);
    let models = model::models(&mut top, &names, &providers, catalogue, reader);
    let known = guardrail::Known {
        detectors: guardrail::detectors(&mut top, reader),
        judges: judge::judges(&mut top, &data, &names, &providers, reader),
    };
    let defaults = defaults(&mut top, &names, &known, reader);
    let budgets = budget::budgets(&mut top, reader);
    let rate_limits = rate_limit::rate_limits(&mut top, reader);
    let calendar = calendar::calendar(&mut top, reader);
    let webhook = alert::webhook(&mut top, &data, reader);
    let virtual_keys = virtual_key::virtual_keys(&mut top, &names, &known, reader);
    let store = store::store(&mut top, reader);
    let sidecar = sidecar(&mut top, &data, reader);
    let envoy = envoy(&mut top, reader);
    let limits = limits(&mut top, reader);
    top.finish(reader);
    Some(Config {
        listen: listen.unwrap_or_else(|| ([0, 0, 0, 0], 8000).into()),
        trusted_hops: trusted_hops.unwrap_or(0),
        data,
        admin_token,
        vaults: Vec::new(),
        providers,
        models,
        defaults,
        budgets,
        rate_limits,
        calendar,
        webhook,
        virtual_keys,
        store,
        sidecar,
        envoy,
        limits,
        warnings: Vec::new(),
        catalogue: Vec::new(),
    })
}

fn defaults(
    top: &mut Object<'_>,
    names: &Names,
    known: &guardrail::Known,
    reader: &mut Reader<'_>,
) -> DefaultsConfig {
    let mut found = DefaultsConfig {
        provider: names.present.first().cloned(),
        detectors: known.detectors.clone(),
        judges: known.judges.clone(),
        ..DefaultsConfig::default()
    };
    let Some(mut object) = top
        .member("defaults")
        .and_then(|field| reader.object(field))
    else {
        return found;
    };
    let provider = object
        .member("provider")
        .and_then(|field| reference(&field, names, reader))
        .filter(|name| names.present.contains(name));
    found.provider = provider.or(found.provider);
    if let Some(field) = object.member("guardrails") {
        found.guardrails = guardrail::guardrails(&field, known, reader);
    }
    if let Some(field) = object.member("cache") {
        found.cache_ttl_s = cache(field, reader);
    }
    if let Some(retry) = object
        .member("retry")
        .and_then(|field| reader.object(field))
    {
        self::retry(retry, &mut found, reader);
    }
    if let Some(ms) = object
        .member("request_timeout_ms")
        .and_then(|field| reader.integer(&field, 0, DAY_MS))
    {
        found.request_timeout_ms = ms;
    }
    let on_state_loss = object.member("on_state_loss");
    found.grace_on_state_loss = on_state_loss
        .and_then(|field| reader.choice(&field, &[("closed", false), ("grace", true)]))
        .unwrap_or(found.grace_on_state_loss);
    found.budget_status = object
        .member("budget_status_code")
        .and_then(|field| reader.choice(&field, &[("429", 429), ("402", 402), ("403", 403)]))
        .unwrap_or(found.budget_status);
    object.finish(reader);
    found
}

fn retry(mut object: Object<'_>, found: &mut DefaultsConfig, reader: &mut Reader<'_>) {
    let attempts_max = u64::from(engine::limits::RETRIES_MAX);
    if let Some(field) = object.member("attempts") {
        found.retry_attempts = reader
            .integer(&field, 0, attempts_max)
            .and_then(|n| n.try_into().ok())
            .unwrap_or(found.retry_attempts);
    }
    if let Some(field) = object.member("on_status_codes") {
        let statuses = reader.list(&field);
        found.retry_on = statuses
            .iter()
            .filter_map(|status| {
                reader
                    .integer(status, 400, 599)
                    .and_then(|status| status.try_into().ok())
            })
            .collect();
    }
    if let Some(mut backoff) = object
        .member("backoff_ms")
        .and_then(|field| reader.object(field))
    {
        let mut ms = |name| {
            backoff
                .member(name)
                .and_then(|field| reader.integer(&field, 1, RETRY_WAIT_MS_MAX))
        };
        let base = ms("base").unwrap_or(found.backoff_base_ms);
        let max = ms("max").unwrap_or_else(|| base.saturating_mul(10).min(RETRY_WAIT_MS_MAX));
        if max < base {
            reader.problem(backoff.field(), "`max` is less than `base`");
        }
        (found.backoff_base_ms, found.backoff_max_ms) = (base, max);
        backoff.finish(reader);
    }
    object.finish(reader);
}

fn cache(field: Field<'_>, reader: &mut Reader<'_>) -> Option<u64> {
    let mut object = reader.object(field)?;
    let mode = object
        .member("mode")
        .and_then(|field| reader.choice(&field, &[("simple", true), ("off", false)]));
    let ttl = object.member("ttl").or_else(|| object.member("max_age"));
    // Both spellings are known even when only one is there.
    let _ = object.member("max_age");
    let ttl = ttl
        .and_then(|field| reader.integer(&field, 1, CACHE_TTL_S_MAX))
        .unwrap_or(super::CACHE_TTL_S);
    object.finish(reader);
    mode.unwrap_or(true).then_some(ttl)
}

/// Bounds of `sidecar.hold_output_tokens`.
const HOLD_OUTPUT_TOKENS_MIN: u64 = 64;
const HOLD_OUTPUT_TOKENS_MAX: u64 = 1_000_000;

fn sidecar(top: &mut Object<'_>, data: &Path, reader: &mut Reader<'_>) -> SidecarConfig {
    let mut found = SidecarConfig {
        internal: Address::Unix(data.join("internal.sock")),
        admin: Address::Unix(data.join("admin.sock")),
        leases: true,
        hold_output_tokens: None,
    };
    let Some(mut object) = top.member("sidecar").and_then(|field| reader.object(field)) else {
        return found;
    };
    for (name, address) in [
        ("internal", &mut found.internal),
        ("admin", &mut found.admin),
    ] {
        let Some(field) = object.member(name) else {
            continue;
        };
        let Some(text) = reader.text(&field) else {
            continue;
        };
        match Address::parse(&text) {
            Some(parsed) => *address = parsed,
            None => reader.problem(&field, format!("`{text}` is neither unix:PATH nor IP:PORT")),
        }
    }
    if let Some(leases) = object
        .member("leases")
        .and_then(|field| reader.choice(&field, &[("true", true), ("false", false)]))
    {
        found.leases = leases;
    }
    if let Some(field) = object.member("hold_output_tokens") {
        found.hold_output_tokens =
            reader.integer(&field, HOLD_OUTPUT_TOKENS_MIN, HOLD_OUTPUT_TOKENS_MAX);
    }
    if found.internal == found.admin {
        reader.problem(
            object.field(),
            "`internal` and `admin` must differ: clients may reach only the second",
        );
    }
    object.finish(reader);
    found
}

fn envoy(top: &mut Object<'_>, reader: &mut Reader<'_>) -> EnvoyConfig {
    let mut found = EnvoyConfig::default();
    let Some(mut object) = top.member("envoy").and_then(|field| reader.object(field)) else {
        return found;
    };
    if let Some(admin) = object
        .member("admin")
        .and_then(|field| address(&field, reader))
    {
        found.admin = admin;
    }
    found.workers = object
        .member("workers")
        .and_then(|field| reader.integer(&field, 1, WORKERS_MAX))
        .and_then(|workers| workers.try_into().ok());
    object.finish(reader);
    found
}

fn limits(top: &mut Object<'_>, reader: &mut Reader<'_>) -> LimitsConfig {
    let mut found = LimitsConfig::default();
    let Some(mut object) = top.member("limits").and_then(|field| reader.object(field)) else {
        return found;
    };
    let max = u64::try_from(REQUEST_BODY_BYTES_MAX).unwrap_or(u64::MAX);
    if let Some(bytes) = object
        .member("request_body_bytes")
        .and_then(|field| reader.integer(&field, 1024, max))
    {
        found.request_body_bytes = bytes.try_into().unwrap_or(found.request_body_bytes);
    }
    object.finish(reader);
    found
}

fn address(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<std::net::SocketAddr> {
    let text = reader.text(field)?;
    let parsed = socket_address(&text);
    if parsed.is_none() {
        reader.problem(
            field,
            format!("`{text}` is not IP:PORT, for example 0.0.0.0:8000"),
        );
    }
    parsed
}

/// A secret that may name an environment variable that is not set.
fn optional_secret(field: Field<'_>, reader: &mut Reader<'_>) -> Option<Secret> {
    match reader.secret(field)? {
        SecretSource::Present(secret) => Some(secret),
        SecretSource::Unset(_) => None,
    }
}

/// Budgets on their own.
pub(super) fn budgets(root: &Node, reader: &mut Reader<'_>) -> Vec<BudgetConfig> {
    let field = Field {
        node: root,
        path: "budget".to_owned(),
    };
    budget::read(field, reader)
}

/// `monthly`, `30d` ...
fn period(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Period> {
    let text = reader.text(field)?;
    // A rolling day is a day.
    let period = Period::from_name(&text).map(|period| match period {
        Period::Rolling(1) => Period::Daily,
        other => other,
    });
    if period.is_none() {
        reader.problem(field, no_period(&text));
    }
    period
}

/// What is wrong with a text that is no period.
fn no_period(text: &str) -> String {
    let names = ["daily", "weekly", "monthly", "quarterly", "yearly", "none"];
    let hint = closest(text, &names);
    format!(
        "`{text}` is none of {}, nor a number of days like 30d{hint}",
        names.join(", ")
    )
}

/// The name of a declared provider.
fn reference(field: &Field<'_>, names: &Names, reader: &mut Reader<'_>) -> Option<String> {
    let name = reader.text(field)?;
    if names.declared.contains(&name) {
        return Some(name);
    }
    let declared: Vec<&str> = names.declared.iter().map(String::as_str).collect();
    let hint = closest(&name, &declared);
    reader.problem(field, format!("no provider is named `{name}`{hint}"));
    None
}
