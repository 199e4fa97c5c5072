//! `providers`.

use std::path::Path;

use engine::wire::Dialect;

use super::super::reader::{Field, Object, Reader};
use super::super::{Endpoint, ProviderConfig, Secret};
use super::{Names, model, optional_secret};

mod access;
mod calls;
mod params;

const DIALECTS: [(&str, Dialect); 9] = [
    ("openai", Dialect::Openai),
    ("anthropic", Dialect::Anthropic),
    ("azure", Dialect::Azure),
    ("bedrock", Dialect::Bedrock),
    ("gemini", Dialect::Gemini),
    ("mistral", Dialect::Mistral),
    ("ollama", Dialect::Ollama),
    ("perplexity", Dialect::Perplexity),
    ("vertex", Dialect::Vertex),
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
    // Where the path has the model in it there is no other one.
    let has_chat_path = !matches!(
        dialect,
        Dialect::Azure | Dialect::Bedrock | Dialect::Gemini | Dialect::Vertex
    );
    let chat_path = has_chat_path
        .then(|| object.member("chat_path"))
        .flatten()
        .and_then(|field| absolute_path(&field, reader))
        .unwrap_or_default();
    let access = access::access(&mut object, dialect, present, reader);
    let endpoint = endpoint(&mut object, &access, data, reader);
    let params = params::rules(&mut object, reader);
    let strict_params = object
        .member("strict_params")
        .and_then(|field| reader.choice(&field, &[("true", true), ("false", false)]))
        .unwrap_or_default();
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
    let stated = calls::read(&mut object, dialect, reader);
    object.finish(reader);
    let mut endpoint = endpoint?;
    endpoint.base_path = base_path(dialect, &endpoint.base_path, !chat_path.is_empty());
    endpoint.base_path.push_str(&access.path);
    let (serves, calls) = stated.complete(dialect, &endpoint);
    let provider = ProviderConfig {
        name: name?,
        dialect,
        endpoint,
        chat_path,
        api_version: access.api_version,
        strict_params,
        params,
        signing: access.signing,
        auth_header: access.header,
        auth_prefix: access.prefix,
        api_key: access.key,
        headers,
        default_price: default_price.or(free),
        serves,
        calls,
    };
    Some((provider, present))
}

/// `base_url`, or the one that follows from the rest.
fn endpoint(
    object: &mut Object<'_>,
    access: &access::Access,
    data: &Path,
    reader: &mut Reader<'_>,
) -> Option<Endpoint> {
    let parse = |url: &str| Endpoint::parse(url, data);
    let field = match &access.base_url {
        None => object.required("base_url", reader)?,
        Some(default) => match object.member("base_url") {
            Some(field) => field,
            None => return parse(default).ok(),
        },
    };
    let url = reader.text(&field)?;
    parse(&url)
        .map_err(|message| reader.problem(&field, message))
        .ok()
}

/// The base path as the dialect's own paths follow it: people write it with and without.
fn base_path(dialect: Dialect, path: &str, has_chat_path: bool) -> String {
    let without = |suffix| path.strip_suffix(suffix).unwrap_or(path);
    let path = match dialect {
        Dialect::Anthropic if !has_chat_path => without("/v1"),
        Dialect::Azure => {
            let path = without("/v1");
            path.strip_suffix("/openai").unwrap_or(path)
        }
        Dialect::Gemini if path.is_empty() => "/v1beta",
        Dialect::Ollama if path.is_empty() => "/v1",
        _ => path,
    };
    path.to_owned()
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

fn absolute_path(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let path = reader.text(field)?;
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(path);
    }
    reader.problem(field, format!("`{path}` is not a path: it starts with `/`"));
    None
}
