//! AWS Secrets Manager, signed with an access key or with the temporary one of a container's role.
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>,
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>

use serde::Deserialize;
use serde_json::json;

use super::client::{self, Client};
use super::signature::{Scope, sign};
use super::{Cause, Content};
use crate::call::Answer;
use crate::clock;
use crate::config::{VaultAccess, VaultKeys};
use crate::http::Call;

const SERVICE: &str = "secretsmanager";
const TARGET: &str = "secretsmanager.GetSecretValue";
const MEDIA_TYPE: &str = "application/x-amz-json-1.1";
/// Errors that mean: not with these credentials. They come with status 400.
const DENIED: [&str; 8] = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    secret_string: Option<String>,
}

/// As the role's endpoint gives them, with more that is not of interest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    kind: String,
}

pub(super) async fn read(
    client: &Client,
    secret: &str,
    version: Option<&str>,
) -> Result<Content, Cause> {
    let VaultAccess::Aws {
        endpoint,
        region,
        keys,
    } = client.access()
    else {
        return Err(Cause::Missing);
    };
    let keys = current(client, keys).await?;
    let mut body = json!({"SecretId": secret});
    if let (Some(version), Some(body)) = (version, body.as_object_mut()) {
        // `AWSCURRENT` and the like are stages; whatever else, an id.
        let stage = version.starts_with("AWS");
        let name = if stage { "VersionStage" } else { "VersionId" };
        body.insert(name.to_owned(), version.into());
    }
    let body = body.to_string();
    let scope = Scope::new(clock::now_ms(), region, SERVICE);
    let mut headers = vec![
        ("content-type", MEDIA_TYPE),
        ("host", endpoint.authority.as_str()),
        ("x-amz-date", scope.date.as_str()),
        ("x-amz-target", TARGET),
    ];
    // In the order of names, as the signature wants them.
    if let Some(token) = &keys.token {
        headers.insert(3, ("x-amz-security-token", token));
    }
    let path = format!("{}/", endpoint.base_path);
    let authorization = sign(
        &keys.access_key_id,
        &keys.secret_access_key,
        &scope,
        &path,
        &headers,
        &body,
    );
    // Every call has it already.
    headers.retain(|(name, _)| *name != "host");
    headers.push(("authorization", &authorization));
    let call = Call {
        method: "POST",
        path: "/".to_owned(),
        headers,
        body,
    };
    let answer = client.send(endpoint, call).await?;
    if answer.status >= 400 {
        return Err(refused(&answer));
    }
    let secret: Secret = client::json(&answer, &[])?;
    let text = secret.secret_string;
    text.map(Content::Text)
        .ok_or_else(|| Cause::Unusable("the secret is binary".to_owned()))
}

/// The keys as they are now. Those of a role come from next door and are asked for each time.
async fn current(client: &Client, keys: &VaultKeys) -> Result<Keys, Cause> {
    let (endpoint, token) = match keys {
        VaultKeys::Given {
            id,
            secret,
            session_token,
        } => {
            return Ok(Keys {
                access_key_id: id.current().into_owned(),
                secret_access_key: secret.current().into_owned(),
                token: session_token
                    .as_ref()
                    .map(|token| token.current().into_owned()),
            });
        }
        VaultKeys::Container { endpoint, token } => (endpoint, token),
    };
    let token = token.as_ref().map(|token| token.current());
    let headers = token.as_ref().map(|token| ("authorization", &**token));
    let call = Call {
        method: "GET",
        path: String::new(),
        headers: headers.into_iter().collect(),
        body: String::new(),
    };
    let answer = client.send(endpoint, call).await?;
    client::json(&answer, &[400])
}

/// `{"__type": "ResourceNotFoundException", ...}`, in older answers behind `NAMESPACE#`.
fn refused(answer: &Answer) -> Cause {
    let refusal = serde_json::from_str::<Refusal>(&answer.body).ok();
    let kind = refusal.map(|refusal| refusal.kind).unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default();
    match answer.status {
        _ if kind == "ResourceNotFoundException" => Cause::Missing,
        status if DENIED.contains(&kind) => Cause::Authentication(status),
        status @ (401 | 403) => Cause::Authentication(status),
        _ if kind == "ThrottlingException" => Cause::Status(429),
        status => Cause::Status(status),
    }
}
