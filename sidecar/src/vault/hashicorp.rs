//! HashiCorp Vault: secrets engine KV, versions 1 and 2; tokens, and logins with AppRole.
//! <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::{self, Client, Token};
use super::{Cause, Content};
use crate::config::{VaultAccess, VaultLogin};
use crate::http::{Call, encoded};

/// Where AppRole is mounted unless somebody moves it.
const LOGIN_PATH: &str = "/v1/auth/approle/login";

#[derive(Deserialize)]
struct Of<T> {
    data: T,
}

#[derive(Deserialize)]
struct Login {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    #[serde(default)]
    lease_duration: u64,
}

/// A token for the role.
pub(super) async fn login(client: &Client) -> Result<Token, Cause> {
    let VaultAccess::Hashicorp {
        endpoint,
        namespace,
        login: VaultLogin::Role { id, secret },
        ..
    } = client.access()
    else {
        return Err(Cause::Unusable("there is no role".to_owned()));
    };
    let body = json!({"role_id": id.current(), "secret_id": secret.current()});
    let call = Call {
        method: "POST",
        path: LOGIN_PATH.to_owned(),
        headers: headers(namespace.as_deref(), None),
        body: body.to_string(),
    };
    let answer = client.send(endpoint, call).await?;
    // Wrong ids are a bad request.
    let login: Login = client::json(&answer, &[400])?;
    Ok(Token::new(
        login.auth.client_token,
        login.auth.lease_duration,
    ))
}

pub(super) async fn read(
    client: &Client,
    token: &str,
    secret: &str,
    version: Option<&str>,
) -> Result<Content, Cause> {
    let VaultAccess::Hashicorp {
        endpoint,
        mount,
        kv,
        namespace,
        ..
    } = client.access()
    else {
        return Err(Cause::Missing);
    };
    let (mount, secret) = (path(mount), path(secret));
    let path = match (kv, version) {
        (1, _) => format!("/v1/{mount}/{secret}"),
        (_, None) => format!("/v1/{mount}/data/{secret}"),
        (_, Some(version)) => format!("/v1/{mount}/data/{secret}?version={version}"),
    };
    let call = Call {
        method: "GET",
        path,
        headers: headers(namespace.as_deref(), Some(token)),
        body: String::new(),
    };
    let answer = client.send(endpoint, call).await?;
    let members: Map<String, Value> = if *kv == 1 {
        client::json::<Of<_>>(&answer, &[])?.data
    } else {
        client::json::<Of<Of<_>>>(&answer, &[])?.data.data
    };
    Ok(Content::Members(members))
}

fn headers<'a>(namespace: Option<&'a str>, token: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    let mut headers = vec![("x-vault-request", "true")];
    headers.extend(namespace.map(|name| ("x-vault-namespace", name)));
    headers.extend(token.map(|token| ("x-vault-token", token)));
    headers
}

fn path(text: &str) -> String {
    let parts: Vec<String> = text.split('/').map(encoded).collect();
    parts.join("/")
}
