//! `rate_limits`.

use super::super::document::Value;
use super::super::rate::{
    KEY_RATES_MAX, LimitScope, PER, PER_S_MAX, RATE_MAX, RateConfig, RateLimitConfig,
};
use super::super::reader::{Field, Object, Reader};

/// How many requests a user may make, for those who configure by environment.
const PER_USER_VARIABLE: &str = "RATE_LIMIT_PER_USER";
/// In how many seconds.
const WINDOW_VARIABLE: &str = "RATE_LIMIT_WINDOW";

pub(super) fn rate_limits(top: &mut Object<'_>, reader: &mut Reader<'_>) -> Vec<RateLimitConfig> {
    let mut found: Vec<RateLimitConfig> = Vec::new();
    let list = top.member("rate_limits");
    let entries = list.map(|list| reader.list(&list)).unwrap_or_default();
    for field in entries {
        let Some(limit) = entry(field.clone(), reader) else {
            continue;
        };
        let measures = |rate: &RateConfig| -> Vec<_> {
            let bounds = rate.bounds();
            bounds
                .map(|bound| (bound.measure, bound.window_ms))
                .collect()
        };
        let again = |other: &RateLimitConfig| {
            (other.scope, &other.name, &other.tier) == (limit.scope, &limit.name, &limit.tier)
                && measures(&other.rate)
                    .iter()
                    .any(|measure| measures(&limit.rate).contains(measure))
        };
        if found.iter().any(again) {
            reader.problem(&field, "a limit of this scope and window is given twice");
        }
        found.push(limit);
    }
    if !found.iter().any(|limit| limit.scope == LimitScope::User) {
        found.extend(of_environment(top, reader));
    }
    found
}

/// A limit for each user from the environment.
fn of_environment(top: &Object<'_>, reader: &mut Reader<'_>) -> Option<RateLimitConfig> {
    let mut number = |name: &str, max: u64, default: Option<u64>| {
        let Some(text) = reader.env(name) else {
            return default;
        };
        let number = text.trim().parse().ok();
        let number = number.filter(|number| (1..=max).contains(number));
        if number.is_none() {
            let message = format!("{name} is not a whole number from 1 to {max}");
            reader.problem(top.field(), message);
        }
        number
    };
    let window = number(WINDOW_VARIABLE, PER_S_MAX, Some(60));
    let requests = number(PER_USER_VARIABLE, RATE_MAX, None)?;
    Some(RateLimitConfig {
        scope: LimitScope::User,
        name: None,
        tier: None,
        rate: RateConfig {
            requests: Some(requests),
            per_s: window?,
            ..RateConfig::default()
        },
    })
}

fn entry(field: Field<'_>, reader: &mut Reader<'_>) -> Option<RateLimitConfig> {
    let mut object = reader.object(field)?;
    let scope = object
        .required("scope", reader)
        .and_then(|field| reader.choice(&field, &LimitScope::NAMES));
    let name_field = object.member("name");
    let name = name_field.as_ref().and_then(|field| reader.text(field));
    match (scope, &name_field, &name) {
        (Some(LimitScope::Global), Some(field), _) => {
            reader.problem(field, "there is one `global` only: it has no name");
        }
        (Some(LimitScope::Tag), None, _) => {
            reader.problem(object.field(), "`name` is missing: NAME=VALUE, or NAME=*");
        }
        (Some(LimitScope::Tag), Some(field), Some(name)) if !name.contains('=') => {
            reader.problem(field, "a tag is NAME=VALUE, or NAME=* for each value");
        }
        _ => {}
    }
    let tier_field = object.member("tier");
    let tier = tier_field.as_ref().and_then(|field| reader.text(field));
    if let Some(field) = tier_field.filter(|_| scope != Some(LimitScope::User)) {
        reader.problem(&field, "only limits of scope `user` have a tier");
    }
    let name = match (scope, name) {
        (Some(LimitScope::Ip), Some(name)) => network(&name, name_field.as_ref(), reader),
        (_, name) => name,
    };
    let rate = rate(object, reader);
    Some(RateLimitConfig {
        scope: scope?,
        name,
        tier,
        rate: rate?,
    })
}

/// An address as it is counted.
fn network(name: &str, field: Option<&Field<'_>>, reader: &mut Reader<'_>) -> Option<String> {
    let bare = name.strip_suffix("/64").unwrap_or(name);
    let found = engine::address::network(bare.as_bytes());
    if let (None, Some(field)) = (&found, field) {
        reader.problem(
            field,
            "an IPv4 address, or an IPv6 one of which the /64 counts",
        );
    }
    found
}

/// `rate_limits` of a virtual key.
pub(super) fn of_key(object: &mut Object<'_>, reader: &mut Reader<'_>) -> Vec<RateConfig> {
    let Some(list) = object.member("rate_limits") else {
        return Vec::new();
    };
    let entries = reader.list(&list);
    if entries.len() > KEY_RATES_MAX {
        reader.problem(&list, format!("at most {KEY_RATES_MAX} limits"));
    }
    let mut found = Vec::new();
    for field in entries {
        if let Some(object) = reader.object(field) {
            found.extend(rate(object, reader));
        }
    }
    found
}

/// The members that all of them have, and the end of the mapping.
fn rate(mut object: Object<'_>, reader: &mut Reader<'_>) -> Option<RateConfig> {
    let before = reader.problems.len();
    let mut number = |name| {
        let field = object.member(name)?;
        reader.integer(&field, 1, RATE_MAX)
    };
    let (requests, tokens, concurrent) =
        (number("requests"), number("tokens"), number("concurrent"));
    let per = object.member("per").map(|field| per(&field, reader));
    if reader.problems.len() == before && [requests, tokens, concurrent] == [None; 3] {
        let message = "`requests`, `tokens` or `concurrent` is missing";
        reader.problem(object.field(), message);
    }
    object.finish(reader);
    Some(RateConfig {
        requests,
        tokens,
        concurrent,
        per_s: per.unwrap_or(Some(60))?,
    })
}

/// A word, or seconds.
fn per(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<u64> {
    match &field.node.value {
        Value::Scalar { text, plain: true }
            if text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'_') =>
        {
            reader.integer(field, 1, PER_S_MAX)
        }
        _ => reader.choice(field, &PER),
    }
}
