//! `judges`: who says whether a text is harmful.

use std::path::Path;

use engine::guard::rules::BUILT_IN;
use engine::guard::{Judge, JudgeKind};
use engine::wire::Dialect;

use super::super::reader::{Field, Object, Reader};
use super::super::{Endpoint, Host, JudgeConfig, ProviderConfig, Secret};
use super::{Names, optional_secret, reference};

const KINDS: [(&str, JudgeKind); 3] = [
    ("moderations", JudgeKind::Moderations),
    ("chat", JudgeKind::Chat),
    ("webhook", JudgeKind::Webhook),
];
/// Milliseconds that a judge may take when nothing else is said, and at most.
const TIMEOUT_MS: u64 = 2_000;
const TIMEOUT_MS_MAX: u64 = 60_000;

pub(super) fn judges(
    top: &mut Object<'_>,
    data: &Path,
    names: &Names,
    providers: &[ProviderConfig],
    reader: &mut Reader<'_>,
) -> Vec<JudgeConfig> {
    let mut found: Vec<JudgeConfig> = Vec::new();
    let Some(list) = top.member("judges") else {
        return found;
    };
    for field in reader.list(&list) {
        let Some(judge) = judge(field.clone(), data, names, providers, reader) else {
            continue;
        };
        let name = &judge.judge.name;
        if name == BUILT_IN || found.iter().any(|other| other.judge.name == *name) {
            reader.problem(&field, format!("judge `{name}` is there already"));
        } else {
            found.push(judge);
        }
    }
    found
}

fn judge(
    field: Field<'_>,
    data: &Path,
    names: &Names,
    providers: &[ProviderConfig],
    reader: &mut Reader<'_>,
) -> Option<JudgeConfig> {
    let mut object = reader.object(field.clone())?;
    let present = reader.present(&mut object);
    let name = object
        .required("name", reader)
        .and_then(|field| reader.name(&field));
    let kind = object
        .required("kind", reader)
        .and_then(|field| reader.choice(&field, &KINDS));
    let provider = object.member("provider");
    let model = object
        .member("model")
        .and_then(|field| reader.text(&field))
        .unwrap_or_default();
    let url = object.member("url");
    let secret = object
        .member("secret")
        .and_then(|field| optional_secret(field, reader));
    let timeout_ms = object
        .member("timeout_ms")
        .and_then(|field| reader.integer(&field, 1, TIMEOUT_MS_MAX))
        .unwrap_or(TIMEOUT_MS);
    let fails_open = object
        .member("on_error")
        .and_then(|field| reader.choice(&field, &[("closed", false), ("open", true)]))
        .unwrap_or(false);
    object.finish(reader);
    let (name, kind) = (name?, kind?);
    let judge = Judge {
        name,
        kind,
        model,
        timeout_ms,
        fails_open,
        ..Judge::default()
    };
    let found = match kind {
        JudgeKind::Webhook => {
            let Some(url) = url else {
                reader.problem(&field, "`url` is missing: where the webhook is");
                return None;
            };
            if let Some(provider) = provider {
                reader.problem(
                    &provider,
                    "belongs to the other kinds; a webhook has a `url`",
                );
            }
            webhook(judge, &url, data, secret, reader)
        }
        JudgeKind::Moderations | JudgeKind::Chat => {
            if let Some(url) = url {
                reader.problem(&url, "belongs to the kind webhook; name a `provider`");
            }
            let Some(provider) = provider else {
                reader.problem(&field, "`provider` is missing: who is asked");
                return None;
            };
            let wanted = reference(&provider, names, reader)?;
            let known = providers.iter().find(|known| known.name == wanted)?;
            if known.dialect != Dialect::Openai {
                reader.problem(&provider, "must speak OpenAI's own format");
                return None;
            }
            Some(of_provider(judge, known))
        }
    };
    found.filter(|_| present)
}

fn webhook(
    judge: Judge,
    url: &Field<'_>,
    data: &Path,
    secret: Option<Secret>,
    reader: &mut Reader<'_>,
) -> Option<JudgeConfig> {
    let text = reader.text(url)?;
    let endpoint = match Endpoint::parse(&text, data) {
        Ok(endpoint) if !matches!(endpoint.host, Host::Demo(_)) => endpoint,
        Ok(_) => {
            reader.problem(url, "`demo` judges nothing");
            return None;
        }
        Err(message) => {
            reader.problem(url, message);
            return None;
        }
    };
    let path = if endpoint.base_path.is_empty() {
        "/"
    } else {
        &endpoint.base_path
    };
    let judge = Judge {
        cluster: format!("judge/{}", judge.name),
        authority: endpoint.authority.clone(),
        path: path.to_owned(),
        ..judge
    };
    Some(JudgeConfig {
        judge,
        endpoint: Some(endpoint),
        provider: None,
        secret,
    })
}

fn of_provider(judge: Judge, provider: &ProviderConfig) -> JudgeConfig {
    let path = match judge.kind {
        JudgeKind::Chat if !provider.chat_path.is_empty() => provider.chat_path.as_str(),
        JudgeKind::Chat => "/chat/completions",
        _ => "/moderations",
    };
    let judge = Judge {
        cluster: format!("direct/{}", provider.name),
        authority: provider.endpoint.authority.clone(),
        path: format!("{}{path}", provider.endpoint.base_path),
        ..judge
    };
    JudgeConfig {
        judge,
        endpoint: None,
        provider: Some(provider.name.clone()),
        secret: None,
    }
}
