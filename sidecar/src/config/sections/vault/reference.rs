//! What refers to a vault.

use std::path::{Component, Path};

use super::super::super::document::Value;
use super::super::super::reader::{Field, Reader, SecretSource};
use super::super::super::{Endpoint, Secret, VaultConfig, VaultProvider, VaultReference};
use super::super::closest;
use super::{PROVIDERS, Source};

/// Longest name of a secret: an ARN has at most 2048 characters.
const SECRET_NAME_MAX: usize = 2048;
/// Where keys of AWS may be.
const AWS_KEYS: [&str; 3] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];
/// What "the newest" is called; Azure and AWS have words of their own for it.
const LATEST: &str = "latest";

/// `{vault: SECRET}` or `{vault: {in: VAULT, secret: SECRET, version: V, field: F}}`; `path` is the
/// member that wants it.
pub(in super::super::super) fn reference(
    field: Field<'_>,
    path: &str,
    reader: &mut Reader<'_>,
) -> Option<SecretSource> {
    if matches!(field.node.value, Value::Scalar { .. }) {
        let secret = reader.text(&field)?;
        if !reader.here {
            return Some(of_nobody());
        }
        let vault = first(&field, reader)?;
        return kept(&field, path, &vault, [Some(secret), None, None], reader);
    }
    let mut object = reader.object(field.clone())?;
    let name = object.member("in").and_then(|field| reader.text(&field));
    let secret = object.required("secret", reader);
    let secret = secret.and_then(|field| reader.text(&field));
    let rest = ["version", "field"].map(|name| {
        let field = object.member(name)?;
        reader.text(&field)
    });
    object.finish(reader);
    if !reader.here {
        return Some(of_nobody());
    }
    let vault = match name {
        None => first(&field, reader)?,
        Some(name) => named(&field, &name, reader)?,
    };
    let [version, member] = rest;
    kept(&field, path, &vault, [secret, version, member], reader)
}

/// `{provider, vault_url, secret_name, version}`, also with `secret_identifier`: what other gateways
/// call `api_key_reference` and `api_key_secret_ref`.
pub(in super::super) fn alias(field: Field<'_>, reader: &mut Reader<'_>) -> Option<SecretSource> {
    let mut object = reader.object(field.clone())?;
    let provider = object.required("provider", reader);
    let provider = provider.and_then(|field| reader.choice(&field, &PROVIDERS));
    let mut text = |name| object.member(name).and_then(|field| reader.text(&field));
    let [url, name, identifier, version] =
        ["vault_url", "secret_name", "secret_identifier", "version"].map(&mut text);
    if name.is_some() == identifier.is_some() {
        reader.problem(&field, "give `secret_name` or `secret_identifier`");
    }
    object.finish(reader);
    if !reader.here {
        return Some(of_nobody());
    }
    let vault = of_provider(&field, provider?, url, reader)?;
    let secret = name.or(identifier);
    kept(&field, &field.path, &vault, [secret, version, None], reader)
}

/// The secret of an entry that does not exist: its vault need not exist either.
fn of_nobody() -> SecretSource {
    SecretSource::Present(Secret::new(""))
}

fn kept(
    at: &Field<'_>,
    path: &str,
    vault: &VaultConfig,
    [secret, version, field]: [Option<String>; 3],
    reader: &mut Reader<'_>,
) -> Option<SecretSource> {
    let secret = secret?;
    let version = version.filter(|version| version != LATEST);
    if let Err(message) = check(vault.provider(), &secret, version.as_deref()) {
        reader.problem(at, message);
        return None;
    }
    Some(SecretSource::Present(Secret::kept(VaultReference {
        vault: vault.name.clone(),
        secret,
        version,
        field,
        member: path.to_owned(),
    })))
}

/// Whether a vault of this kind can have such a secret.
fn check(provider: VaultProvider, secret: &str, version: Option<&str>) -> Result<(), String> {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let (fits, rule) = match provider {
        VaultProvider::Aws => (
            secret.bytes().all(|byte| byte.is_ascii_graphic()),
            "a name or an ARN",
        ),
        VaultProvider::Azure => (
            secret.bytes().all(name) && secret.len() <= 127,
            "letters, digits and `-`, at most 127",
        ),
        VaultProvider::Hashicorp => (
            secret.split('/').all(|part| {
                !matches!(part, "" | "." | "..") && !part.contains(|c: char| c.is_control())
            }),
            "a path in the secrets engine such as team/openai, without the engine's own `data/`",
        ),
        VaultProvider::Local => (
            Path::new(secret)
                .components()
                .all(|part| matches!(part, Component::Normal(_))),
            "a file below the vault's folder",
        ),
    };
    if !fits || secret.len() > SECRET_NAME_MAX {
        let kind = provider.name();
        return Err(format!(
            "`{secret}` is not a secret of a vault of {kind}: {rule}"
        ));
    }
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match (provider, version) {
        (_, None) => Ok(()),
        (VaultProvider::Local, Some(_)) => Err("files have no versions".to_owned()),
        (VaultProvider::Hashicorp, Some(version)) if digits(version) => Ok(()),
        (VaultProvider::Aws, Some(version)) if version.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(())
        }
        (VaultProvider::Azure, Some(version)) if version.bytes().all(name) => Ok(()),
        (_, Some(version)) => Err(format!("`{version}` is not a version")),
    }
}

/// The first vault of the file, else the environment's.
fn first(at: &Field<'_>, reader: &mut Reader<'_>) -> Option<VaultConfig> {
    if reader.has_vaults {
        return reader.vaults.first().cloned();
    }
    let any = |names: &[&str]| names.iter().any(|name| reader.env(name).is_some());
    let named = reader.env("KEY_VAULT_PROVIDER");
    let provider = match named.as_deref() {
        Some(name) => match PROVIDERS.iter().find(|(known, _)| *known == name) {
            Some((_, provider)) => *provider,
            None => {
                let names = PROVIDERS.map(|(name, _)| name).join(", ");
                reader.problem(at, format!("KEY_VAULT_PROVIDER is none of {names}"));
                return None;
            }
        },
        None if any(&["VAULT_URL", "VAULT_ADDR"]) => VaultProvider::Hashicorp,
        None if any(&["AZURE_KEY_VAULT_URL"]) => VaultProvider::Azure,
        None if any(&["AWS_REGION"]) && any(&AWS_KEYS) => VaultProvider::Aws,
        None => {
            reader.problem(at, "there is no vault: add `vaults`, or name one in the environment with KEY_VAULT_PROVIDER");
            return None;
        }
    };
    of_provider(at, provider, None, reader)
}

fn named(at: &Field<'_>, name: &str, reader: &mut Reader<'_>) -> Option<VaultConfig> {
    let found = reader.vaults.iter().find(|vault| vault.name == name);
    if let Some(vault) = found {
        return Some(vault.clone());
    }
    // The environment's has the name of its kind.
    if !reader.has_vaults
        && let Some((_, provider)) = PROVIDERS.iter().find(|(known, _)| *known == name)
    {
        return of_provider(at, *provider, None, reader);
    }
    let names: Vec<&str> = reader.vaults.iter().map(|v| v.name.as_str()).collect();
    let hint = closest(name, &names);
    reader.problem(at, format!("no vault is named `{name}`{hint}"));
    None
}

/// A vault of this kind and address, else one that the environment has the credentials of.
fn of_provider(
    at: &Field<'_>,
    provider: VaultProvider,
    url: Option<String>,
    reader: &mut Reader<'_>,
) -> Option<VaultConfig> {
    let wanted = url
        .as_deref()
        .map(|url| Endpoint::parse(url, Path::new("")));
    let wanted = wanted.map(Result::ok);
    // What the environment alone describes has the name of its kind.
    let name = match &wanted {
        Some(Some(endpoint)) => endpoint.authority.clone(),
        _ => provider.name().to_owned(),
    };
    let fits = |vault: &&VaultConfig| {
        vault.provider() == provider
            && match &wanted {
                Some(endpoint) => endpoint.as_ref() == vault.endpoint(),
                None => reader.has_vaults || vault.name == name,
            }
    };
    if let Some(vault) = reader.vaults.iter().find(fits) {
        return Some(vault.clone());
    }
    let mut source = Source {
        at: at.clone(),
        object: None,
    };
    let vault = source.vault(name, provider, url, reader)?;
    reader.vaults.push(vault.clone());
    Some(vault)
}
