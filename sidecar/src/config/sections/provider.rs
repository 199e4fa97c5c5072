//! `providers`.

use std::path::Path;

use engine::wire::Dialect;

use super::super::document::Value;
use super::super::reader::{Field, Object, Reader, SecretSource};
use super::super::{Endpoint, ProviderConfig, Secret};
use super::{Names, model, optional_secret};

const DIALECTS: [(&str, Dialect); 2] = [
    ("openai", Dialect::Openai),
    ("anthropic", Dialect::Anthropic),
];

pub(super) fn providers(
    top: &mut Object<'_>,
    data: &Path,
    names: &mut Names,
    reader: &mut Reader<'_>,
) -> Vec<ProviderConfig> {
    let mut found: Vec<ProviderConfig> = Vec::new();
    let Some(list) = top.required("providers", reader) else {
        return found;
    };
    for field in reader.list(&list) {
        let Some((provider, present)) = provider(field.clone(), data, reader) else {
            continue;
        };
        names.declared.push(provider.name.clone());
        if !present {
            continue;
        }
        if names.present.contains(&provider.name) {
            reader.problem(
                &field,
                format!("provider `{}` is given twice", provider.name),
            );
            continue;
        }
        names.present.push(provider.name.clone());
        found.push(provider);
    }
    if found.is_empty() && reader.problems.is_empty() {
        reader.problem(
            &list,
            "no provider is present; add one, for example {name: demo, base_url: demo}",
        );
    }
    found
}

fn provider(
    field: Field<'_>,
    data: &Path,
    reader: &mut Reader<'_>,
) -> Option<(ProviderConfig, bool)> {
    let mut object = reader.object(field)?;
    let present = reader.present(&mut object);
    let name = object
        .required("name", reader)
        .and_then(|field| reader.name(&field));
    let dialect = object
        .member("dialect")
        .and_then(|field| reader.choice(&field, &DIALECTS))
        .unwrap_or_default();
    let chat_path = object
        .member("chat_path")
        .and_then(|field| absolute_path(&field, reader))
        .unwrap_or_default();
    let endpoint = object.required("base_url", reader).and_then(|field| {
        let url = reader.text(&field)?;
        Endpoint::parse(&url, data)
            .map_err(|message| reader.problem(&field, message))
            .ok()
    });
    let api_key =
        object
            .member("api_key")
            .and_then(|field| match reader.secret(field.clone())? {
                SecretSource::Present(secret) => Some(secret),
                SecretSource::Unset(variable) => {
                    if present {
                        let text = format!(
                            "{}: {variable} is not set; requests go there without a key",
                            field.path
                        );
                        reader.warnings.push(text);
                    }
                    None
                }
            });
    let (header, prefix) = match dialect {
        Dialect::Openai => ("authorization", "Bearer "),
        Dialect::Anthropic => ("x-api-key", ""),
    };
    let auth_header = object
        .member("auth_header")
        .and_then(|field| header_name(&field, reader));
    let auth_prefix = object
        .member("auth_prefix")
        .map(|field| match &field.node.value {
            Value::Scalar { text, .. } => text.clone(),
            _ => reader.text(&field).unwrap_or_default(),
        });
    let own_header = auth_header.as_deref().is_some_and(|name| name != header);
    let headers = object
        .member("headers")
        .map(|field| headers(&field, reader))
        .unwrap_or_default();
    let default_price = object
        .member("default_price")
        .and_then(|field| model::price(field, reader));
    let free = object
        .member("price")
        .and_then(|field| model::price(field, reader));
    object.finish(reader);
    let mut endpoint = endpoint?;
    if dialect == Dialect::Anthropic && chat_path.is_empty() {
        // Anthropic's own SDKs take the base without `/v1`; people write both.
        endpoint.base_path = endpoint
            .base_path
            .strip_suffix("/v1")
            .unwrap_or(&endpoint.base_path)
            .to_owned();
    }
    let provider = ProviderConfig {
        name: name?,
        dialect,
        endpoint,
        chat_path,
        auth_header: auth_header.unwrap_or_else(|| header.to_owned()),
        auth_prefix: auth_prefix.unwrap_or_else(|| {
            if own_header {
                String::new()
            } else {
                prefix.to_owned()
            }
        }),
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
