//! From JSON to the tree.

use serde_json::{Map, Value};

use super::{CacheRule, ConfigError, ErrorRules, Node, Retry, Strategy, get};
use crate::guard::Guardrails;
use crate::limits;

type Object = Map<String, Value>;

/// Members a node may have. The last rows are Portkey's own that do not change what Weir does.
const MEMBERS: &[&str] = &[
    "strategy",
    "targets",
    "weights",
    "provider",
    "model",
    "weight",
    "on_errors",
    "retry",
    "cache",
    "request_timeout",
    "request_timeout_ms",
    "guardrails",
    "override_params",
    "name",
    "metadata",
    "strict_open_ai_compliance",
    "id",
    "version",
];
/// Members that would move credentials or traffic past the operator's configuration.
const REFUSED: &[(&str, &str)] = &[
    (
        "api_key",
        "provider keys are kept by the gateway: store it with the virtual key",
    ),
    (
        "custom_host",
        "upstream addresses are kept by the gateway: add a provider",
    ),
    (
        "virtual_key",
        "send the virtual key as Authorization: Bearer",
    ),
    ("forward_headers", "not supported"),
    ("input_guardrails", "use guardrails.input"),
    ("output_guardrails", "use guardrails.output"),
    ("before_request_hooks", "use guardrails.input"),
    ("after_request_hooks", "use guardrails.output"),
];

const TIMEOUT_MS_MAX: u64 = 3_600_000;

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.into()
    } else {
        format!("{path}.{name}")
    }
}

fn fault<T>(path: &str, name: &str, message: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError {
        member: join(path, name),
        message: message.into(),
    })
}

/// Reads one node and everything below it.
pub(super) fn node(object: &Object, path: &str, count: &mut usize) -> Result<Node, ConfigError> {
    check_members(object, path)?;
    let (strategy, strategy_statuses) = strategy(object, path)?;
    let mut node = Node {
        strategy,
        provider: text(object, path, "provider")?,
        model: model(object, path)?,
        weight_ppm: weight(object, path)?,
        on_errors: on_errors(object, path)?,
        retry: retry(object, path)?,
        timeout_ms: timeout(object, path)?,
        cache: cache(object, path)?,
        targets: Vec::new(),
    };
    let (list_name, list) = match (get(object, "targets"), get(object, "weights")) {
        (Some(_), Some(_)) => return fault(path, "weights", "give targets or weights, not both"),
        (Some(list), None) => ("targets", Some(list)),
        (None, Some(list)) => ("weights", Some(list)),
        (None, None) => ("targets", None),
    };
    if let Some(list) = list {
        node.targets = children(list, &join(path, list_name), count)?;
    }
    check_shape(object, &node, path, list_name)?;
    if let Some(statuses) = strategy_statuses {
        let rules = ErrorRules {
            any: false,
            no_answer: true,
            statuses,
        };
        for child in &mut node.targets {
            child.on_errors.get_or_insert_with(|| rules.clone());
        }
    }
    Ok(node)
}

fn children(list: &Value, path: &str, count: &mut usize) -> Result<Vec<Node>, ConfigError> {
    let Value::Array(list) = list else {
        return fault("", path, "must be an array");
    };
    let mut nodes = Vec::with_capacity(list.len().min(limits::TARGETS_MAX));
    for (index, item) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        *count += 1;
        if *count > limits::TARGETS_MAX {
            return fault(
                "",
                &path,
                format!("more than {} targets", limits::TARGETS_MAX),
            );
        }
        let Value::Object(item) = item else {
            return fault("", &path, "must be an object");
        };
        nodes.push(node(item, &path, count)?);
    }
    Ok(nodes)
}

fn check_members(object: &Object, path: &str) -> Result<(), ConfigError> {
    for name in object.keys() {
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| refused == name) {
            return fault(path, name, *why);
        }
        if !MEMBERS.contains(&name.as_str()) {
            return fault(path, name, "unknown member");
        }
    }
    if !path.is_empty() && object.contains_key("guardrails") {
        return fault(
            path,
            "guardrails",
            "belongs to the top of the configuration",
        );
    }
    Ok(())
}

fn check_shape(object: &Object, node: &Node, path: &str, list: &str) -> Result<(), ConfigError> {
    let has_strategy = get(object, "strategy").is_some();
    let is_group = !node.targets.is_empty();
    if has_strategy && node.strategy != Strategy::Single && !is_group {
        return fault(path, list, "this strategy needs at least one target");
    }
    if is_group && (node.provider.is_some() || node.model.is_some()) {
        let name = if node.provider.is_some() {
            "provider"
        } else {
            "model"
        };
        return fault(
            path,
            name,
            "belongs to a target, not beside a list of targets",
        );
    }
    if node.strategy == Strategy::LoadBalance && node.targets.iter().all(|t| t.weight_ppm == 0) {
        return fault(path, list, "all weights are zero");
    }
    Ok(())
}

fn strategy(object: &Object, path: &str) -> Result<(Strategy, Option<Vec<u16>>), ConfigError> {
    let (mode, member, statuses) = match get(object, "strategy") {
        None if get(object, "weights").is_some() => return Ok((Strategy::LoadBalance, None)),
        None => return Ok((Strategy::Single, None)),
        Some(Value::String(mode)) => (mode.as_str(), "strategy", None),
        Some(Value::Object(strategy)) => {
            for name in strategy.keys() {
                if !["mode", "on_status_codes"].contains(&name.as_str()) {
                    return fault(&join(path, "strategy"), name, "unknown member");
                }
            }
            let Some(Value::String(mode)) = get(strategy, "mode") else {
                return fault(
                    path,
                    "strategy.mode",
                    "must be single, fallback or loadbalance",
                );
            };
            let statuses = match get(strategy, "on_status_codes") {
                Some(list) => Some(status_list(list, &join(path, "strategy.on_status_codes"))?),
                None => None,
            };
            (mode.as_str(), "strategy.mode", statuses)
        }
        Some(_) => return fault(path, "strategy", "must be a string or an object with mode"),
    };
    let strategy = match mode {
        "single" => Strategy::Single,
        "fallback" => Strategy::Fallback,
        "loadbalance" => Strategy::LoadBalance,
        other => {
            let what = format!("\"{other}\" is not one of single, fallback, loadbalance");
            return fault(path, member, what);
        }
    };
    Ok((strategy, statuses))
}

fn text(object: &Object, path: &str, name: &str) -> Result<Option<String>, ConfigError> {
    match get(object, name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => {
            Ok(Some(text.trim_start_matches('@').to_owned()))
        }
        Some(_) => fault(path, name, "must be a non-empty string"),
    }
}

fn model(object: &Object, path: &str) -> Result<Option<String>, ConfigError> {
    if let Some(model) = text(object, path, "model")? {
        return Ok(Some(model));
    }
    match get(object, "override_params") {
        None => Ok(None),
        Some(Value::Object(params)) => {
            let path = join(path, "override_params");
            if let Some(other) = params.keys().find(|name| *name != "model") {
                return fault(&path, other, "only model can be overridden");
            }
            text(params, &path, "model")
        }
        Some(_) => fault(path, "override_params", "must be an object"),
    }
}

fn weight(object: &Object, path: &str) -> Result<u64, ConfigError> {
    let Some(value) = get(object, "weight") else {
        return Ok(1_000_000);
    };
    match value.as_f64() {
        Some(weight) if (0.0..=1_000_000.0).contains(&weight) => Ok((weight * 1e6).round() as u64),
        _ => fault(path, "weight", "must be a number from 0 to 1000000"),
    }
}

fn on_errors(object: &Object, path: &str) -> Result<Option<ErrorRules>, ConfigError> {
    let Some(value) = get(object, "on_errors") else {
        return Ok(None);
    };
    let Value::Array(list) = value else {
        return fault(path, "on_errors", "must be an array");
    };
    let mut rules = ErrorRules {
        any: false,
        no_answer: false,
        statuses: Vec::new(),
    };
    for (index, item) in list.iter().enumerate() {
        let word = match item {
            Value::String(word) => word.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        match word.as_str() {
            "*" => (rules.any, rules.no_answer) = (true, true),
            "timeout" | "connection" => {
                rules.no_answer = true;
                rules.statuses.extend([408, 504]);
            }
            "rate_limit" => rules.statuses.push(429),
            "server_error" => rules.statuses.extend([500, 502, 503, 504, 529]),
            other => match other.parse::<u16>() {
                Ok(status @ 400..=599) => rules.statuses.push(status),
                _ => {
                    let name = format!("on_errors[{index}]");
                    let what = "must be timeout, connection, rate_limit, server_error, \
                                a status from 400 to 599, or *";
                    return fault(path, &name, what);
                }
            },
        }
    }
    Ok(Some(rules))
}

fn status_list(value: &Value, member: &str) -> Result<Vec<u16>, ConfigError> {
    let Value::Array(list) = value else {
        return fault("", member, "must be an array of statuses");
    };
    let mut statuses = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        match item.as_u64().and_then(|status| u16::try_from(status).ok()) {
            Some(status @ 400..=599) => statuses.push(status),
            _ => {
                return fault(
                    "",
                    &format!("{member}[{index}]"),
                    "must be a status from 400 to 599",
                );
            }
        }
    }
    Ok(statuses)
}

fn retry(object: &Object, path: &str) -> Result<Option<Retry>, ConfigError> {
    let Some(value) = get(object, "retry") else {
        return Ok(None);
    };
    let Value::Object(retry) = value else {
        return fault(path, "retry", "must be an object");
    };
    let path = join(path, "retry");
    for name in retry.keys() {
        let known = [
            "attempts",
            "on_status_codes",
            "exponential_backoff",
            "use_retry_after_header",
        ];
        if !known.contains(&name.as_str()) {
            return fault(&path, name, "unknown member");
        }
    }
    for flag in ["exponential_backoff", "use_retry_after_header"] {
        if get(retry, flag).is_some_and(|value| !value.is_boolean()) {
            return fault(&path, flag, "must be true or false");
        }
    }
    let attempts = match get(retry, "attempts").map(Value::as_u64) {
        None => 0,
        Some(Some(attempts)) if attempts <= u64::from(limits::RETRIES_MAX) => attempts as u32,
        Some(_) => {
            let what = format!("must be a whole number from 0 to {}", limits::RETRIES_MAX);
            return fault(&path, "attempts", what);
        }
    };
    let on = match get(retry, "on_status_codes") {
        Some(list) => Some(status_list(list, &join(&path, "on_status_codes"))?),
        None => None,
    };
    Ok(Some(Retry { attempts, on }))
}

fn timeout(object: &Object, path: &str) -> Result<Option<u64>, ConfigError> {
    for name in ["request_timeout", "request_timeout_ms"] {
        let Some(value) = get(object, name) else {
            continue;
        };
        return match value.as_u64() {
            Some(ms) if (1..=TIMEOUT_MS_MAX).contains(&ms) => Ok(Some(ms)),
            _ => fault(
                path,
                name,
                format!("must be milliseconds from 1 to {TIMEOUT_MS_MAX}"),
            ),
        };
    }
    Ok(None)
}

fn cache(object: &Object, path: &str) -> Result<Option<CacheRule>, ConfigError> {
    let Some(value) = get(object, "cache") else {
        return Ok(None);
    };
    let cache = match value {
        Value::Object(cache) => cache,
        Value::Bool(false) => {
            return Ok(Some(CacheRule {
                enabled: false,
                ttl_s: None,
            }));
        }
        _ => return fault(path, "cache", "must be an object or false"),
    };
    let path = join(path, "cache");
    for name in cache.keys() {
        if !["mode", "ttl", "max_age"].contains(&name.as_str()) {
            return fault(&path, name, "unknown member");
        }
    }
    let enabled = match get(cache, "mode") {
        None => true,
        Some(Value::String(mode)) => match mode.as_str() {
            // A semantic cache may answer with a near match; the exact one never answers wrongly,
            // so it is the safe reading until there is one.
            "simple" | "semantic" => true,
            "off" | "none" => false,
            _ => return fault(&path, "mode", "must be simple, semantic or off"),
        },
        Some(_) => return fault(&path, "mode", "must be a string"),
    };
    let mut ttl_s = None;
    for name in ["ttl", "max_age"] {
        let Some(value) = get(cache, name) else {
            continue;
        };
        match value.as_u64() {
            Some(seconds @ 1..=31_536_000) => ttl_s = Some(seconds),
            _ => return fault(&path, name, "must be seconds from 1 to 31536000"),
        }
    }
    Ok(Some(CacheRule { enabled, ttl_s }))
}

/// What the request asks of guardrails.
pub(super) fn guardrails(object: &Object) -> Result<Guardrails, ConfigError> {
    let Some(value) = get(object, "guardrails") else {
        return Ok(Guardrails::default());
    };
    Guardrails::parse(value).map_err(|error| ConfigError {
        member: match error.member.as_str() {
            "" => "guardrails".to_owned(),
            member => join("guardrails", member),
        },
        message: error.message,
    })
}
