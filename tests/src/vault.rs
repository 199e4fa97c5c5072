//! A vault that speaks HashiCorp's, Azure's and AWS's documented formats, and what it has seen.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::behaviour::Recorded;

/// What HashiCorp's clients show.
pub const TOKEN: &str = "hvs.e2e-token";
/// What Azure's clients show to get a token.
pub const CLIENT_SECRET: &str = "e2e~client.secret";
/// What Azure's clients show then.
const BEARER: &str = "Bearer eyJ-e2e";
/// Whose signatures AWS's clients make.
pub const AWS_ID: &str = "AKIAE2EVAULT";

/// A running vault; dropping it ends it.
pub struct FakeVault {
    port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    secrets: BTreeMap<String, Value>,
    seen: Vec<Recorded>,
    down: bool,
}

impl FakeVault {
    /// Starts one on a free port.
    pub async fn start() -> FakeVault {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let service = hyper::service::service_fn(move |request| {
                    let shared = Arc::clone(&shared);
                    async move { respond(request, &shared).await }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        FakeVault { port, state, task }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Keeps `secret`: text, or an object of texts.
    pub fn put(&self, name: &str, secret: Value) {
        let mut state = self.state.lock().expect("state");
        state.secrets.insert(name.to_owned(), secret);
    }

    /// Breaks every connection off, or answers again.
    pub fn down(&self, down: bool) {
        self.state.lock().expect("state").down = down;
    }

    /// Requests so far whose path or body has `part`.
    pub fn seen(&self, part: &str) -> Vec<Recorded> {
        let state = self.state.lock().expect("state");
        let fits = |request: &&Recorded| request.path.contains(part) || request.body.contains(part);
        state.seen.iter().filter(fits).cloned().collect()
    }
}

impl Drop for FakeVault {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn respond(
    request: Request<Incoming>,
    state: &Mutex<State>,
) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    let mut state = state.lock().expect("state");
    let request = Recorded {
        id: state.seen.len(),
        method: head.method.to_string(),
        path: path.to_owned(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        chunks_sent: 0,
        answered: true,
        aborted: false,
    };
    if state.down {
        return Err(io::Error::other("down"));
    }
    let (status, answer) = answer(&request, &state.secrets);
    state.seen.push(request);
    let mut response = Response::new(Full::from(answer.to_string()));
    *response.status_mut() = status.try_into().expect("a status");
    Ok(response)
}

fn answer(request: &Recorded, secrets: &BTreeMap<String, Value>) -> (u16, Value) {
    let path = request.path.split('?').next().unwrap_or_default();
    if let Some(name) = path.strip_prefix("/v1/secret/data/") {
        return hashicorp(request, secrets.get(name));
    }
    if path.ends_with("/oauth2/v2.0/token") {
        let form = format!("client_secret={CLIENT_SECRET}&scope=https%3A%2F%2Fvault.azure.net");
        if request.body.contains(&form) {
            let token = &BEARER["Bearer ".len()..];
            let token = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token});
            return (200, token);
        }
        let error = "AADSTS7000215: Invalid client secret provided.";
        return (
            401,
            json!({"error": "invalid_client", "error_description": error}),
        );
    }
    if let Some(name) = path.strip_prefix("/secrets/") {
        return azure(request, name, secrets.get(name));
    }
    if request.header("x-amz-target") == Some("secretsmanager.GetSecretValue") {
        return aws(request, secrets);
    }
    (404, json!({"errors": []}))
}

fn hashicorp(request: &Recorded, secret: Option<&Value>) -> (u16, Value) {
    if request.header("x-vault-token") != Some(TOKEN) {
        return (403, json!({"errors": ["permission denied"]}));
    }
    match secret {
        None => (404, json!({"errors": []})),
        Some(members) => (
            200,
            json!({"request_id": "1", "renewable": false, "lease_duration": 0,
                   "data": {"data": members, "metadata": {"version": 1, "destroyed": false}}}),
        ),
    }
}

fn azure(request: &Recorded, name: &str, secret: Option<&Value>) -> (u16, Value) {
    if request.header("authorization") != Some(BEARER) || !request.path.contains("api-version=") {
        return (401, json!({"error": {"code": "Unauthorized"}}));
    }
    match secret {
        None => (404, json!({"error": {"code": "SecretNotFound"}})),
        Some(value) => {
            let id = format!("https://e2e.vault.azure.net/secrets/{name}/4387");
            (
                200,
                json!({"value": value, "id": id, "attributes": {"enabled": true}}),
            )
        }
    }
}

fn aws(request: &Recorded, secrets: &BTreeMap<String, Value>) -> (u16, Value) {
    let authorization = request.header("authorization").unwrap_or_default();
    if !authorization.contains(&format!("Credential={AWS_ID}/")) {
        let error = "The security token included in the request is invalid.";
        return (
            400,
            json!({"__type": "UnrecognizedClientException", "message": error}),
        );
    }
    let asked = request.json();
    let name = asked["SecretId"].as_str().unwrap_or_default();
    match secrets.get(name) {
        None => (400, json!({"__type": "ResourceNotFoundException"})),
        Some(secret) => {
            let text = secret
                .as_str()
                .map_or_else(|| secret.to_string(), str::to_owned);
            let stages = ["AWSCURRENT"];
            (
                200,
                json!({"Name": name, "VersionId": "e1", "SecretString": text, "VersionStages": stages}),
            )
        }
    }
}
