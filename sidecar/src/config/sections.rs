//! The sections of `weir.yaml`, one function each.

use std::path::Path;

use engine::limits::REQUEST_BODY_BYTES_MAX;
use engine::route::RouteConfig;
use engine::usage::NanoUsd;
use engine::wire::{Dialect, PiiAction, Price};

use super::document::{Node, Value};
use super::endpoint::socket_address;
use super::problem::closest;
use super::reader::{Field, Object, Reader, SecretSource};
use super::{
    Address, BudgetConfig, BudgetScope, Config, DefaultsConfig, Endpoint, EnvoyConfig, LimitsConfig, ModelConfig,
    Period, ProviderConfig, Secret, SidecarConfig, VirtualKeyConfig,
};

/// Dollars per million tokens above this are a mistake.
const PRICE_NANO_MAX: NanoUsd = 1_000_000 * engine::usage::NANO_PER_USD;
/// Tokens of a context window or an output limit above this are a mistake.
const TOKENS_MAX: u64 = 1_000_000_000;
/// A day in milliseconds, the longest timeout or pause.
const DAY_MS: u64 = 86_400_000;
/// Seconds of the longest cache entry: one year.
const CACHE_TTL_S_MAX: u64 = 31_536_000;
/// Requests per minute of one key.
const RATE_LIMIT_MAX: u64 = 1_000_000_000;
/// Worker threads of Envoy.
const WORKERS_MAX: u64 = 1024;

const PERIODS: [(&str, Period); 6] = [
    ("daily", Period::Daily),
    ("weekly", Period::Weekly),
    ("monthly", Period::Monthly),
    ("quarterly", Period::Quarterly),
    ("yearly", Period::Yearly),
    ("none", Period::Total),
];
const ACTIONS: [(&str, PiiAction); 3] =
    [("flag", PiiAction::Flag), ("redact", PiiAction::Redact), ("deny", PiiAction::Deny)];
const DIALECTS: [(&str, Dialect); 2] = [("openai", Dialect::Openai), ("anthropic", Dialect::Anthropic)];

/// Names that exist in the file, and those that are present in this environment.
#[derive(Default)]
struct Names {
    declared: Vec<String>,
    present: Vec<String>,
}

/// The whole file. What could not be read is left out; the caller looks at the reader's problems.
pub(super) fn config(root: &Node, reader: &mut Reader<'_>) -> Option<Config> {
    let field = Field { node: root, path: String::new() };
    let mut top = reader.object(field)?;
    let listen = top.member("listen").and_then(|field| address(&field, reader));
    let data = top.member("data").and_then(|field| reader.text(&field)).unwrap_or_else(|| "./data".to_owned());
    let data = Path::new(&data).to_owned();
    let admin_token = top.member("admin_token").and_then(|field| optional_secret(field, reader));
    let mut names = Names::default();
    let providers = providers(&mut top, &data, &mut names, reader);
    let models = models(&mut top, &names, reader);
    let defaults = defaults(&mut top, &names, reader);
    let budgets = budgets(&mut top, reader);
    let virtual_keys = virtual_keys(&mut top, &names, reader);
    let sidecar = sidecar(&mut top, &data, reader);
    let envoy = envoy(&mut top, reader);
    let limits = limits(&mut top, reader);
    top.finish(reader);
    Some(Config {
        listen: listen.unwrap_or_else(|| ([0, 0, 0, 0], 8000).into()),
        data,
        admin_token,
        providers,
        models,
        defaults,
        budgets,
        virtual_keys,
        sidecar,
        envoy,
        limits,
        warnings: Vec::new(),
    })
}

fn providers(top: &mut Object<'_>, data: &Path, names: &mut Names, reader: &mut Reader<'_>) -> Vec<ProviderConfig> {
    let mut found: Vec<ProviderConfig> = Vec::new();
    let Some(list) = top.required("providers", reader) else { return found };
    for field in reader.list(&list) {
        let Some((provider, present)) = provider(field.clone(), data, reader) else { continue };
        names.declared.push(provider.name.clone());
        if !present {
            continue;
        }
        if names.present.contains(&provider.name) {
            reader.problem(&field, format!("provider `{}` is given twice", provider.name));
            continue;
        }
        names.present.push(provider.name.clone());
        found.push(provider);
    }
    if found.is_empty() && reader.problems.is_empty() {
        reader.problem(&list, "no provider is present; add one, for example {name: demo, base_url: demo}");
    }
    found
}

fn provider(field: Field<'_>, data: &Path, reader: &mut Reader<'_>) -> Option<(ProviderConfig, bool)> {
    let mut object = reader.object(field)?;
    let present = reader.present(&mut object);
    let name = object.required("name", reader).and_then(|field| reader.name(&field));
    let dialect = object.member("dialect").and_then(|field| reader.choice(&field, &DIALECTS)).unwrap_or_default();
    let chat_path = object.member("chat_path").and_then(|field| absolute_path(&field, reader)).unwrap_or_default();
    let endpoint = object.required("base_url", reader).and_then(|field| {
        let url = reader.text(&field)?;
        Endpoint::parse(&url, data).map_err(|message| reader.problem(&field, message)).ok()
    });
    let api_key = object.member("api_key").and_then(|field| match reader.secret(field.clone())? {
        SecretSource::Present(secret) => Some(secret),
        SecretSource::Unset(variable) => {
            if present {
                let text = format!("{}: {variable} is not set; requests go there without a key", field.path);
                reader.warnings.push(text);
            }
            None
        }
    });
    let (header, prefix) = match dialect {
        Dialect::Openai => ("authorization", "Bearer "),
        Dialect::Anthropic => ("x-api-key", ""),
    };
    let auth_header = object.member("auth_header").and_then(|field| header_name(&field, reader));
    let auth_prefix = object.member("auth_prefix").map(|field| match &field.node.value {
        Value::Scalar { text, .. } => text.clone(),
        _ => reader.text(&field).unwrap_or_default(),
    });
    let own_header = auth_header.as_deref().is_some_and(|name| name != header);
    let headers = object.member("headers").map(|field| headers(&field, reader)).unwrap_or_default();
    let default_price = object.member("default_price").and_then(|field| price(field, reader));
    let free = object.member("price").and_then(|field| price(field, reader));
    object.finish(reader);
    let mut endpoint = endpoint?;
    if dialect == Dialect::Anthropic && chat_path.is_empty() {
        // Anthropic's own SDKs take the base without `/v1`; people write both.
        endpoint.base_path = endpoint.base_path.strip_suffix("/v1").unwrap_or(&endpoint.base_path).to_owned();
    }
    let provider = ProviderConfig {
        name: name?,
        dialect,
        endpoint,
        chat_path,
        auth_header: auth_header.unwrap_or_else(|| header.to_owned()),
        auth_prefix: auth_prefix.unwrap_or_else(|| if own_header { String::new() } else { prefix.to_owned() }),
        api_key,
        headers,
        default_price: default_price.or(free),
    };
    Some((provider, present))
}

fn headers(field: &Field<'_>, reader: &mut Reader<'_>) -> Vec<(String, Secret)> {
    let mut found = Vec::new();
    for (name, value) in reader.map(field) {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(token) {
            reader.problem(&value, format!("`{name}` is not the name of a header"));
        }
        if let Some(value) = optional_secret(value, reader) {
            found.push((name.to_ascii_lowercase(), value));
        }
    }
    found
}

fn models(top: &mut Object<'_>, names: &Names, reader: &mut Reader<'_>) -> Vec<ModelConfig> {
    let mut found: Vec<ModelConfig> = Vec::new();
    let Some(list) = top.member("models") else { return found };
    for field in reader.list(&list) {
        let Some(mut object) = reader.object(field.clone()) else { continue };
        let here = reader.present(&mut object);
        let id = object.required("id", reader).and_then(|field| reader.text(&field));
        let provider = object.required("provider", reader).and_then(|field| reference(&field, names, reader));
        let model = object.member("model").and_then(|field| reader.text(&field));
        let mut tokens = |name| object.member(name).and_then(|field| reader.integer(&field, 0, TOKENS_MAX));
        let (context, max_output) = (tokens("context").unwrap_or(0), tokens("max_output").unwrap_or(0));
        let price = object.member("price").and_then(|field| price(field, reader));
        object.finish(reader);
        let (Some(id), Some(provider)) = (id, provider) else { continue };
        if !here || !names.present.contains(&provider) {
            continue;
        }
        if found.iter().any(|model| model.id == id) {
            reader.problem(&field, format!("model `{id}` is given twice"));
            continue;
        }
        let model = model.unwrap_or_else(|| id.clone());
        found.push(ModelConfig { id, provider, model, context, max_output, price });
    }
    found
}

/// `free`, or dollars per million tokens by kind. A kind that is not given costs what its parent
/// kind costs, never less.
fn price(field: Field<'_>, reader: &mut Reader<'_>) -> Option<Price> {
    if matches!(&field.node.value, Value::Scalar { text, .. } if text == "free") {
        return Some(Price::default());
    }
    if matches!(field.node.value, Value::Scalar { .. }) {
        reader.problem(&field, "expected `free` or {input: USD, output: USD} per million tokens");
        return None;
    }
    let mut object = reader.object(field)?;
    let input = object.required("input", reader).and_then(|field| rate(&field, reader));
    let output = object.required("output", reader).and_then(|field| rate(&field, reader));
    let mut kind = |name, reader: &mut Reader<'_>| object.member(name).and_then(|field| rate(&field, reader));
    let cached_input = kind("cached_input", reader);
    let cache_write = kind("cache_write", reader);
    let reasoning = kind("reasoning", reader);
    let long_input = kind("long_input", reader);
    let long_output = kind("long_output", reader);
    let long_from = object.member("long_from").and_then(|field| reader.integer(&field, 1, TOKENS_MAX)).unwrap_or(0);
    object.finish(reader);
    let (input, output) = (input?, output?);
    Some(Price {
        input,
        cached_input: cached_input.unwrap_or(input),
        cache_write: cache_write.unwrap_or(input),
        output,
        reasoning: reasoning.unwrap_or(output),
        long_from,
        long_input: long_input.unwrap_or(input),
        long_output: long_output.unwrap_or(output),
    })
}

fn rate(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<NanoUsd> {
    let amount = reader.usd(field)?;
    if amount > PRICE_NANO_MAX {
        reader.problem(field, "more than a dollar per token: prices are per million tokens");
        return None;
    }
    Some(amount)
}

fn defaults(top: &mut Object<'_>, names: &Names, reader: &mut Reader<'_>) -> DefaultsConfig {
    let mut found = DefaultsConfig { provider: names.present.first().cloned(), ..DefaultsConfig::default() };
    let Some(mut object) = top.member("defaults").and_then(|field| reader.object(field)) else { return found };
    if let Some(name) = object.member("provider").and_then(|field| reference(&field, names, reader)) {
        if names.present.contains(&name) {
            found.provider = Some(name);
        }
    }
    found.pii_input = object.member("guardrails").and_then(|field| pii_input(field, reader));
    if let Some(field) = object.member("cache") {
        found.cache_ttl_s = cache(field, reader);
    }
    if let Some(retry) = object.member("retry").and_then(|field| reader.object(field)) {
        self::retry(retry, &mut found, reader);
    }
    if let Some(ms) = object.member("request_timeout_ms").and_then(|field| reader.integer(&field, 0, DAY_MS)) {
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
        found.retry_attempts =
            reader.integer(&field, 0, attempts_max).and_then(|n| n.try_into().ok()).unwrap_or(found.retry_attempts);
    }
    if let Some(field) = object.member("on_status_codes") {
        let statuses = reader.list(&field);
        found.retry_on = statuses
            .iter()
            .filter_map(|status| reader.integer(status, 400, 599).and_then(|status| status.try_into().ok()))
            .collect();
    }
    if let Some(mut backoff) = object.member("backoff_ms").and_then(|field| reader.object(field)) {
        let mut ms = |name| backoff.member(name).and_then(|field| reader.integer(&field, 1, DAY_MS));
        let base = ms("base").unwrap_or(found.backoff_base_ms);
        let max = ms("max").unwrap_or_else(|| base.saturating_mul(10));
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
    let mode = object.member("mode").and_then(|field| reader.choice(&field, &[("simple", true), ("off", false)]));
    let ttl = object.member("ttl").or_else(|| object.member("max_age"));
    // Both spellings are known even when only one is there.
    let _ = object.member("max_age");
    let ttl = ttl.and_then(|field| reader.integer(&field, 1, CACHE_TTL_S_MAX)).unwrap_or(super::CACHE_TTL_S);
    object.finish(reader);
    mode.unwrap_or(true).then_some(ttl)
}

/// `{input: [{type: pii_detection, action: redact}]}`; the strictest entry counts.
fn pii_input(field: Field<'_>, reader: &mut Reader<'_>) -> Option<PiiAction> {
    let mut object = reader.object(field)?;
    let input = object.member("input").map(|field| reader.list(&field)).unwrap_or_default();
    object.finish(reader);
    let mut strictest = None;
    for rule in input {
        let Some(mut rule) = reader.object(rule) else { continue };
        let known = [("pii_detection", ())];
        let kind = rule.required("type", reader).and_then(|field| reader.choice(&field, &known));
        let action = rule.required("action", reader).and_then(|field| reader.choice(&field, &ACTIONS));
        rule.finish(reader);
        strictest = strictest.max(kind.and(action));
    }
    strictest
}

fn budgets(top: &mut Object<'_>, reader: &mut Reader<'_>) -> Vec<BudgetConfig> {
    let mut found: Vec<BudgetConfig> = Vec::new();
    let Some(list) = top.member("budgets") else { return found };
    for field in reader.list(&list) {
        let Some(mut object) = reader.object(field.clone()) else { continue };
        let scopes = [("global", BudgetScope::Global)];
        let scope = object.required("scope", reader).and_then(|field| reader.choice(&field, &scopes));
        let limit = object.required("limit_usd", reader).and_then(|field| reader.usd(&field));
        let period = object.member("period").and_then(|field| reader.choice(&field, &PERIODS)).unwrap_or_default();
        object.finish(reader);
        let (Some(scope), Some(limit_nano)) = (scope, limit) else { continue };
        if found.iter().any(|budget| budget.scope == scope && budget.period == period) {
            reader.problem(&field, "a budget of this scope and period is given twice");
        }
        found.push(BudgetConfig { scope, limit_nano, period });
    }
    found
}

fn virtual_keys(top: &mut Object<'_>, names: &Names, reader: &mut Reader<'_>) -> Vec<VirtualKeyConfig> {
    let mut found: Vec<VirtualKeyConfig> = Vec::new();
    let Some(list) = top.member("virtual_keys") else { return found };
    for field in reader.list(&list) {
        let Some(key) = virtual_key(field.clone(), names, reader) else { continue };
        if found.iter().any(|other| other.name == key.name) {
            reader.problem(&field, format!("virtual key `{}` is given twice", key.name));
        } else if found.iter().any(|other| other.key == key.key) {
            reader.problem(&field, "another virtual key has the same key");
        } else {
            found.push(key);
        }
    }
    found
}

fn virtual_key(field: Field<'_>, names: &Names, reader: &mut Reader<'_>) -> Option<VirtualKeyConfig> {
    let mut object = reader.object(field)?;
    let present = reader.present(&mut object);
    let name = object.required("name", reader).and_then(|field| reader.name(&field));
    let key = object.required("key", reader).and_then(|field| client_key(field, present, reader));
    let provider = object.member("provider").and_then(|field| reference(&field, names, reader));
    let real_api_key = object.member("real_api_key").and_then(|field| {
        if provider.is_none() {
            reader.problem(&field, "needs `provider`: the provider whose key this is");
        }
        optional_secret(field, reader)
    });
    let rate_limit = object.member("rate_limit").and_then(|field| reader.integer(&field, 1, RATE_LIMIT_MAX));
    let budget_limit_nano = object.member("budget_limit_usd").and_then(|field| reader.usd(&field));
    let period = object.member("budget_period").and_then(|field| reader.choice(&field, &PERIODS));
    let models = object.member("models").map(|field| reader.texts(&field)).unwrap_or_default();
    let pii_input = object.member("guardrails").and_then(|field| pii_input(field, reader));
    let config = object.member("config").and_then(|field| route_config(&field, reader));
    object.finish(reader);
    if !present {
        return None;
    }
    Some(VirtualKeyConfig {
        name: name?,
        key: key?,
        provider: provider.filter(|name| names.present.contains(name)),
        real_api_key,
        rate_limit,
        budget_limit_nano,
        budget_period: period.unwrap_or_default(),
        models,
        pii_input,
        config,
    })
}

fn client_key(field: Field<'_>, present: bool, reader: &mut Reader<'_>) -> Option<Secret> {
    let key = match reader.secret(field.clone())? {
        SecretSource::Present(key) => key,
        SecretSource::Unset(variable) => {
            if present {
                reader.warnings.push(format!("{}: {variable} is not set; this key does not exist", field.path));
            }
            return None;
        }
    };
    let printable = |byte: u8| byte.is_ascii_graphic();
    if key.expose().len() > engine::limits::KEY_BYTES_MAX || !key.expose().bytes().all(printable) {
        reader.problem(&field, format!("at most {} visible ASCII characters", engine::limits::KEY_BYTES_MAX));
        return None;
    }
    Some(key)
}

/// A route configuration, as JSON text or written out in YAML.
fn route_config(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let text = match &field.node.value {
        Value::Scalar { text, .. } => text.clone(),
        _ => field.node.to_json().to_string(),
    };
    match RouteConfig::parse(&text) {
        Ok(_) => Some(text),
        Err(error) if error.member.is_empty() => {
            reader.problem(field, error.message);
            None
        }
        Err(error) => {
            reader.problem(field, format!("{}: {}", error.member, error.message));
            None
        }
    }
}

fn sidecar(top: &mut Object<'_>, data: &Path, reader: &mut Reader<'_>) -> SidecarConfig {
    let mut found = SidecarConfig {
        internal: Address::Unix(data.join("internal.sock")),
        admin: Address::Unix(data.join("admin.sock")),
    };
    let Some(mut object) = top.member("sidecar").and_then(|field| reader.object(field)) else { return found };
    for (name, address) in [("internal", &mut found.internal), ("admin", &mut found.admin)] {
        let Some(field) = object.member(name) else { continue };
        let Some(text) = reader.text(&field) else { continue };
        match Address::parse(&text) {
            Some(parsed) => *address = parsed,
            None => reader.problem(&field, format!("`{text}` is neither unix:PATH nor IP:PORT")),
        }
    }
    if found.internal == found.admin {
        reader.problem(object.field(), "`internal` and `admin` must differ: clients may reach only the second");
    }
    object.finish(reader);
    found
}

fn envoy(top: &mut Object<'_>, reader: &mut Reader<'_>) -> EnvoyConfig {
    let mut found = EnvoyConfig::default();
    let Some(mut object) = top.member("envoy").and_then(|field| reader.object(field)) else { return found };
    if let Some(admin) = object.member("admin").and_then(|field| address(&field, reader)) {
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
    let Some(mut object) = top.member("limits").and_then(|field| reader.object(field)) else { return found };
    let max = u64::try_from(REQUEST_BODY_BYTES_MAX).unwrap_or(u64::MAX);
    if let Some(bytes) = object.member("request_body_bytes").and_then(|field| reader.integer(&field, 1024, max)) {
        found.request_body_bytes = bytes.try_into().unwrap_or(found.request_body_bytes);
    }
    object.finish(reader);
    found
}

fn address(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<std::net::SocketAddr> {
    let text = reader.text(field)?;
    let parsed = socket_address(&text);
    if parsed.is_none() {
        reader.problem(field, format!("`{text}` is not IP:PORT, for example 0.0.0.0:8000"));
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

fn header_name(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let name = reader.name(field)?.to_ascii_lowercase();
    if name.contains('.') {
        reader.problem(field, format!("`{name}` is not the name of a header"));
        return None;
    }
    Some(name)
}

fn absolute_path(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let path = reader.text(field)?;
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(path);
    }
    reader.problem(field, format!("`{path}` is not a path: it starts with `/`"));
    None
}
