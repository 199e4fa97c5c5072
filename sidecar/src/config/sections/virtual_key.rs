//! `virtual_keys`.

use engine::route::RouteConfig;

use super::super::document::Value;
use super::super::reader::{Field, Object, Reader, SecretSource};
use super::super::secret::unfit;
use super::super::{KeyLimits, Membership, Secret, VirtualKeyConfig};
use super::guardrail::{self, Known};
use super::{Names, optional_secret, rate_limit, reference};

/// Requests per minute of one key, or at the same time.
const RATE_LIMIT_MAX: u64 = 1_000_000_000;

pub(super) fn virtual_keys(
    top: &mut Object<'_>,
    names: &Names,
    known: &Known,
    reader: &mut Reader<'_>,
) -> Vec<VirtualKeyConfig> {
    let mut found: Vec<VirtualKeyConfig> = Vec::new();
    let Some(list) = top.member("virtual_keys") else {
        return found;
    };
    for field in reader.list(&list) {
        let Some(key) = virtual_key(field.clone(), names, known, reader) else {
            continue;
        };
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

fn virtual_key(
    field: Field<'_>,
    names: &Names,
    known: &Known,
    reader: &mut Reader<'_>,
) -> Option<VirtualKeyConfig> {
    let mut object = reader.object(field)?;
    let present = reader.present(&mut object);
    let name = object
        .required("name", reader)
        .and_then(|field| reader.name(&field));
    let key = object
        .required("key", reader)
        .and_then(|field| client_key(field, present, reader));
    let provider = object
        .member("provider")
        .and_then(|field| reference(&field, names, reader));
    let real_api_key = object.member("real_api_key").and_then(|field| {
        if provider.is_none() {
            reader.problem(&field, "needs `provider`: the provider whose key this is");
        }
        optional_secret(field, reader)
    });
    let rate_limit = object
        .member("rate_limit")
        .and_then(|field| reader.integer(&field, 1, RATE_LIMIT_MAX));
    let limits = KeyLimits {
        rate_limits: rate_limit::of_key(&mut object, reader),
        max_concurrent: object
            .member("max_concurrent")
            .and_then(|field| reader.integer(&field, 1, RATE_LIMIT_MAX)),
    };
    let budget_limit_nano = object
        .member("budget_limit_usd")
        .and_then(|field| reader.usd(&field));
    let period = object
        .member("budget_period")
        .and_then(|field| super::period(&field, reader));
    let membership = membership(&mut object, reader);
    let models = object
        .member("models")
        .map(|field| reader.texts(&field))
        .unwrap_or_default();
    let guardrails = object
        .member("guardrails")
        .map(|field| guardrail::guardrails(&field, known, reader))
        .unwrap_or_default();
    let config = object
        .member("config")
        .and_then(|field| route_config(&field, reader));
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
        limits,
        budget_limit_nano,
        budget_period: period.unwrap_or_default(),
        membership,
        models,
        guardrails,
        config,
    })
}

fn membership(object: &mut Object<'_>, reader: &mut Reader<'_>) -> Membership {
    let mut text = |name| object.member(name).and_then(|field| reader.text(&field));
    let (tenant, user, tier) = (text("tenant"), text("user"), text("tier"));
    let teams = object.member("teams");
    let teams = teams.map(|field| reader.texts(&field)).unwrap_or_default();
    let tags = object.member("tags");
    let tags = tags.map(|field| reader.map(&field)).unwrap_or_default();
    let tags = tags
        .iter()
        .filter_map(|(name, field)| Some(format!("{name}={}", reader.text(field)?)));
    Membership {
        tenant: tenant.unwrap_or_default(),
        teams,
        user,
        tier,
        tags: tags.collect(),
    }
}

fn client_key(field: Field<'_>, present: bool, reader: &mut Reader<'_>) -> Option<Secret> {
    let key = match reader.secret(field.clone())? {
        SecretSource::Present(key) => key,
        SecretSource::Unset(variable) => {
            if present {
                reader.warnings.push(format!(
                    "{}: {variable} is not set; this key does not exist",
                    field.path
                ));
            }
            return None;
        }
    };
    if unfit(&key).is_some() {
        reader.problem(
            &field,
            format!(
                "at most {} visible ASCII characters",
                engine::limits::KEY_BYTES_MAX
            ),
        );
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
