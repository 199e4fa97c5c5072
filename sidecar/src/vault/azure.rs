//! Azure Key Vault, with a token of Entra ID for an application (client credentials).
//! <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret>

use serde::Deserialize;

use super::client::{self, Client, Token};
use super::{Cause, Content};
use crate::config::{Endpoint, VaultAccess};
use crate::http::{Call, encoded};

const API_VERSION: &str = "7.4";

#[derive(Deserialize)]
struct Login {
    access_token: String,
    #[serde(default)]
    expires_in: u64,
}

#[derive(Deserialize)]
struct Secret {
    value: String,
}

/// A token for the application.
pub(super) async fn login(client: &Client) -> Result<Token, Cause> {
    let VaultAccess::Azure {
        endpoint,
        authority,
        tenant,
        client: id,
        secret,
    } = client.access()
    else {
        return Err(Cause::Unusable("there is no application".to_owned()));
    };
    let body = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
        encoded(id),
        encoded(&secret.current()),
        encoded(&scope(endpoint))
    );
    let call = Call {
        method: "POST",
        path: format!("/{}/oauth2/v2.0/token", encoded(tenant)),
        headers: vec![("content-type", "application/x-www-form-urlencoded")],
        body,
    };
    let answer = client.send(authority, call).await?;
    // An unknown tenant or application is a bad request.
    let login: Login = client::json(&answer, &[400])?;
    Ok(Token::new(login.access_token, login.expires_in))
}

pub(super) async fn read(
    client: &Client,
    token: &str,
    secret: &str,
    version: Option<&str>,
) -> Result<Content, Cause> {
    let Some(endpoint) = (match client.access() {
        VaultAccess::Azure { endpoint, .. } => Some(endpoint),
        _ => None,
    }) else {
        return Err(Cause::Missing);
    };
    let version = version.map(|version| format!("/{version}"));
    let version = version.unwrap_or_default();
    let authorization = format!("Bearer {token}");
    let call = Call {
        method: "GET",
        path: format!("/secrets/{secret}{version}?api-version={API_VERSION}"),
        headers: vec![("authorization", &authorization)],
        body: String::new(),
    };
    let answer = client.send(endpoint, call).await?;
    let secret: Secret = client::json(&answer, &[])?;
    Ok(Content::Text(secret.value))
}

/// What the token is for: the vaults of the cloud that this one is in, `vault.azure.net` or that of
/// a sovereign cloud.
fn scope(vault: &Endpoint) -> String {
    let cloud = vault.authority.split_once(".vault.");
    let cloud = cloud.map_or("azure.net", |(_, cloud)| cloud);
    format!("https://vault.{cloud}/.default")
}
