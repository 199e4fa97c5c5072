//! What vaults are sent, byte for byte, and what becomes of their answers. The answers are those of
//! their documentation.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::config::ConfigError;

/// A vault on a thread of its own that gives the answers it was made with, one a request.
struct Vault {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Vault {
    fn start(answers: Vec<(u16, &str)>) -> Vault {
        Vault::serve(answers, None)
    }

    fn serve(answers: Vec<(u16, &str)>, tls: Option<Arc<ServerConfig>>) -> Vault {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let port = listener.local_addr().unwrap().port();
        let url = format!("{scheme}://localhost:{port}");
        let answers: Vec<(u16, String)> = answers
            .into_iter()
            .map(|(status, body)| (status, body.to_owned()))
            .collect();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for (status, body) in answers {
                let (stream, _) = listener.accept().unwrap();
                let heard = match &tls {
                    None => exchange(stream, status, &body, &noted),
                    Some(tls) => {
                        let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
                        exchange(StreamOwned::new(connection, stream), status, &body, &noted)
                    }
                };
                // One that does not want this server says so in its own place.
                let _heard = heard;
            }
        });
        Vault { url, seen }
    }

    /// Requests with their lines in order, the date and what depends on it left out.
    fn seen(&self) -> Vec<String> {
        let all = self.seen.lock().unwrap().clone();
        let fixed =
            |line: &&str| !line.starts_with("x-amz-date") && !line.starts_with("content-length");
        all.iter()
            .map(|request| {
                let lines: Vec<&str> = request.lines().filter(fixed).collect();
                lines
                    .join("\n")
                    .replace(self.url.split("//").nth(1).unwrap(), "VAULT")
            })
            .collect()
    }
}

/// `None` when the client does not want this server.
fn exchange(
    mut stream: impl Read + Write,
    status: u16,
    body: &str,
    noted: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    let head = String::from_utf8(request).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).unwrap();
    let request = head.replace("\r\n", "\n") + &String::from_utf8(rest).unwrap();
    // Before the answer: then the test looks.
    noted.lock().unwrap().push(request);
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).unwrap();
    stream.flush().unwrap();
    Some(())
}

const NO_CERTIFICATES: &str = "/nonexistent/ca.pem";

fn config(vault: &str, secret: &str) -> Result<Config, ConfigError> {
    let text = format!(
        "vaults: [{{name: main, {vault}}}]\n\
         providers: [{{name: a, base_url: 'http://127.0.0.1:1', api_key: {{vault: {secret}}}}}]"
    );
    Config::parse(Path::new("weir.yaml"), &text, &|_| None)
}

/// The provider's key, or why there is none; and the log's fields of the access.
async fn key(vault: &str, secret: &str) -> (Result<String, String>, Vec<Value>) {
    let mut config = config(vault, secret).unwrap();
    let mut lines = Vec::new();
    let mut heard = |access: &Access| lines.push(access.fields());
    let filled = fill(
        &mut config,
        &[Purpose::Service],
        NO_CERTIFICATES.as_ref(),
        &mut heard,
    )
    .await;
    let key = config.providers[0]
        .api_key
        .as_ref()
        .unwrap()
        .expose()
        .to_owned();
    (filled.map(|_| key), lines)
}

const KV2: &str = r#"{"request_id": "6d", "lease_id": "", "renewable": false, "lease_duration": 0,
  "data": {"data": {"api_key": "sk-1", "org": "o"}, "metadata": {"version": 3, "destroyed": false}},
  "wrap_info": null, "warnings": null, "auth": null}"#;

#[tokio::test]
async fn hashicorp_kv_version_2_with_a_token() {
    let vault = Vault::start(vec![(200, KV2)]);
    let url = &vault.url;
    let (key, lines) = key(
        &format!("provider: hashicorp, url: '{url}', token: hvs.t, namespace: team"),
        "{secret: ai/open ai, field: api_key, version: 3}",
    )
    .await;
    assert_eq!(key.as_deref(), Ok("sk-1"));
    let wanted = "GET /v1/secret/data/ai/open%20ai?version=3 HTTP/1.1\nhost: VAULT\n\
                  x-vault-request: true\nx-vault-namespace: team\nx-vault-token: hvs.t\n";
    assert_eq!(vault.seen(), [wanted]);
    let line = json!({"vault": "main", "provider": "hashicorp", "secret": "ai/open ai", "version": "3",
        "members": ["providers[0].api_key"], "result": "ok"});
    assert_eq!(lines, [line]);
}

#[tokio::test]
async fn hashicorp_kv_version_1_and_a_login_that_has_been_revoked() {
    let kv1 = r#"{"data": {"value": " sk-2\n", "ttl": "1h"}}"#;
    let login = r#"{"auth": {"client_token": "hvs.A", "lease_duration": 3600, "renewable": true}}"#;
    let vault = Vault::start(vec![
        (200, login),
        (200, kv1),
        (403, r#"{"errors": ["permission denied"]}"#),
        (200, &login.replace("hvs.A", "hvs.B")),
        (200, kv1),
    ]);
    let url = &vault.url;
    let entry = format!(
        "provider: hashicorp, url: '{url}', mount: kv/old, kv: 1, role_id: r, secret_id: s"
    );
    let mut config = config(&entry, "openai").unwrap();
    let (purposes, none) = ([Purpose::Service], Path::new(NO_CERTIFICATES));
    let vaults = fill(&mut config, &purposes, none, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(
        config.providers[0].api_key.as_ref().unwrap().expose(),
        "sk-2"
    );
    let again = vaults.read(&config.references(&purposes)).await;
    assert!(again.complete(), "{:?}", again.problems);
    let login = "POST /v1/auth/approle/login HTTP/1.1\nhost: VAULT\nx-vault-request: true\n\n\
                 {\"role_id\":\"r\",\"secret_id\":\"s\"}";
    let read = |token: &str| {
        format!(
            "GET /v1/kv/old/openai HTTP/1.1\nhost: VAULT\nx-vault-request: true\nx-vault-token: {token}\n"
        )
    };
    let wanted = [login, &read("hvs.A"), &read("hvs.A"), login, &read("hvs.B")];
    assert_eq!(vault.seen(), wanted);
}

#[tokio::test]
async fn a_token_in_a_file_may_be_renewed_by_somebody_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let vault = Vault::start(vec![(200, KV2), (200, KV2)]);
    std::fs::write(&file, "hvs.one\n").unwrap();
    let (url, path) = (&vault.url, file.display());
    let entry = format!("provider: hashicorp, url: '{url}', token: {{file: '{path}'}}");
    let mut config = config(&entry, "{secret: x, field: org}").unwrap();
    let (purposes, none) = ([Purpose::Service], Path::new(NO_CERTIFICATES));
    let vaults = fill(&mut config, &purposes, none, &mut |_| {})
        .await
        .unwrap();
    std::fs::write(&file, "hvs.two\n").unwrap();
    vaults.read(&config.references(&purposes)).await;
    let seen = vault.seen();
    assert!(seen[0].contains("x-vault-token: hvs.one\n"), "{seen:?}");
    assert!(seen[1].contains("x-vault-token: hvs.two\n"), "{seen:?}");
}

#[tokio::test]
async fn azure_with_a_token_of_entra() {
    let vault = Vault::start(vec![
        (
            200,
            r#"{"token_type": "Bearer", "expires_in": 3599, "access_token": "eyJ0"}"#,
        ),
        (
            200,
            r#"{"value": "sk-3", "id": "https://v.vault.azure.net/secrets/openai-api-key/4387", "attributes": {"enabled": true}}"#,
        ),
    ]);
    let url = &vault.url;
    let (key, _) = key(
        &format!("provider: azure, url: '{url}', authority: '{url}', tenant_id: t, client_id: c, client_secret: s~&s"),
        "{secret: openai-api-key, version: '4387'}",
    )
    .await;
    assert_eq!(key.as_deref(), Ok("sk-3"));
    let login = "POST /t/oauth2/v2.0/token HTTP/1.1\nhost: VAULT\n\
                 content-type: application/x-www-form-urlencoded\n\n\
                 grant_type=client_credentials&client_id=c&client_secret=s~%26s\
                 &scope=https%3A%2F%2Fvault.azure.net%2F.default";
    let read = "GET /secrets/openai-api-key/4387?api-version=7.4 HTTP/1.1\nhost: VAULT\nauthorization: Bearer eyJ0\n";
    assert_eq!(vault.seen(), [login, read]);
}

#[tokio::test]
async fn aws_with_a_signature() {
    let vault = Vault::start(vec![(
        200,
        r#"{"ARN": "arn:aws:secretsmanager:x", "Name": "prod/openai", "VersionId": "EX", "SecretString": "{\"key\":\"sk-4\",\"org\":\"o\"}", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1.5}"#,
    )]);
    let url = &vault.url;
    let (key, _) = key(
        &format!("provider: aws, url: '{url}', region: eu-west-1, access_key_id: AKIA, secret_access_key: s, session_token: st"),
        "{secret: prod/openai, field: key, version: AWSPREVIOUS}",
    )
    .await;
    assert_eq!(key.as_deref(), Ok("sk-4"));
    let seen = vault.seen();
    let [request] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    let (head, signature) = request.split_once("authorization: ").unwrap();
    assert_eq!(
        head,
        "POST / HTTP/1.1\nhost: VAULT\ncontent-type: application/x-amz-json-1.1\n\
         x-amz-security-token: st\nx-amz-target: secretsmanager.GetSecretValue\n"
    );
    assert!(signature.contains("/eu-west-1/secretsmanager/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature="));
    let body = "\n{\"SecretId\":\"prod/openai\",\"VersionStage\":\"AWSPREVIOUS\"}";
    assert!(signature.ends_with(body), "{signature}");
}

#[tokio::test]
async fn aws_with_the_role_of_the_container() {
    let role = r#"{"AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": "st",
        "Expiration": "2026-11-21T18:00:00Z", "RoleArn": "r"}"#;
    let vault = Vault::start(vec![
        (200, role),
        (200, r#"{"Name": "openai", "SecretString": "sk-6"}"#),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "eks-1\n").unwrap();
    let env = |name: &str| match name {
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "AWS_ENDPOINT_URL_SECRETS_MANAGER" => Some(vault.url.clone()),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI" => Some(format!("{}/v1/credentials", vault.url)),
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" => Some(file.display().to_string()),
        _ => None,
    };
    let text = "providers: [{name: a, base_url: 'http://x', api_key: {vault: openai}}]";
    let mut config = Config::parse(Path::new("weir.yaml"), text, &env).unwrap();
    let (purposes, none) = ([Purpose::Service], Path::new(NO_CERTIFICATES));
    fill(&mut config, &purposes, none, &mut |_| {})
        .await
        .unwrap();
    let key = config.providers[0].api_key.as_ref().unwrap();
    assert_eq!(key.expose(), "sk-6");
    let seen = vault.seen();
    let role = "GET /v1/credentials HTTP/1.1\nhost: VAULT\nauthorization: eks-1\n";
    assert_eq!(seen[0], role);
    assert!(seen[1].contains("x-amz-security-token: st\n"), "{seen:?}");
    assert!(seen[1].contains("Credential=ASIA/"), "{seen:?}");
}

#[tokio::test]
async fn a_folder_is_a_vault_for_development() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("openai"), "sk-5\n").unwrap();
    let entry = format!("provider: local, url: '{}'", folder.path().display());
    assert_eq!(key(&entry, "openai").await.0.as_deref(), Ok("sk-5"));
    let missing = key(&entry, "other").await.0.unwrap_err();
    assert!(
        missing.ends_with("the vault has no such secret"),
        "{missing}"
    );
    let [warning] = &config(&entry, "openai").unwrap().warnings[..] else {
        panic!("no warning")
    };
    assert!(warning.contains("for development"), "{warning}");
}

#[tokio::test]
async fn a_secret_that_is_not_to_be_had_is_named_with_its_cause() {
    let token = "provider: hashicorp, url: 'URL', token: t";
    let role = "provider: hashicorp, url: 'URL', role_id: r, secret_id: s";
    let azure = "provider: azure, url: 'URL', authority: 'URL', tenant_id: t, client_id: c, client_secret: s";
    let aws = "provider: aws, url: 'URL', region: r, access_key_id: a, secret_access_key: s";
    let denied = "Key vault authentication failed (HTTP ";
    let kind = |name: &str| format!("{{\"__type\": \"com.amazonaws#{name}\"}}");
    for (entry, status, body, cause) in [
        (token, 403, String::new(), format!("{denied}403)")),
        (role, 400, String::new(), format!("{denied}400)")),
        (azure, 401, String::new(), format!("{denied}401)")),
        (
            aws,
            400,
            kind("UnrecognizedClientException"),
            format!("{denied}400)"),
        ),
        (
            aws,
            400,
            kind("ResourceNotFoundException"),
            "the vault has no such secret".into(),
        ),
        (
            token,
            404,
            String::new(),
            "the vault has no such secret".into(),
        ),
        (
            token,
            307,
            String::new(),
            "the vault answered with HTTP 307".into(),
        ),
        (
            token,
            200,
            "[]".into(),
            "the vault's answer is not what it documents".into(),
        ),
        (
            token,
            200,
            KV2.into(),
            "the secret has several members; name one in `field`".into(),
        ),
        (
            aws,
            200,
            r#"{"SecretString": "a\nb"}"#.into(),
            "the secret is too long or has line breaks: it fits no header".into(),
        ),
        (
            aws,
            200,
            r#"{"SecretBinary": "YQ=="}"#.into(),
            "the secret is binary".into(),
        ),
    ] {
        let vault = Vault::start(vec![(status, &body)]);
        let (key, lines) = key(&entry.replace("URL", &vault.url), "openai").await;
        let provider = entry.split([' ', ',']).nth(1).unwrap();
        let wanted =
            format!("providers[0].api_key: vault `main` ({provider}), secret `openai`: {cause}");
        assert_eq!(key.unwrap_err(), wanted);
        assert_eq!(lines.len(), 1);
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let vault = Vault::start(vec![
        (503, "{\"errors\": [\"sealed\"]}"),
        (429, ""),
        (200, KV2),
    ]);
    let entry = format!("provider: hashicorp, url: '{}', token: t", vault.url);
    let (key, _) = key(&entry, "{secret: x, field: org}").await;
    assert_eq!(key.as_deref(), Ok("o"));
    assert_eq!(vault.seen().len(), 3);
}

#[tokio::test]
async fn a_vault_over_tls_is_who_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let (trusted, stranger) = (authority(), authority());
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, trusted.pem()).unwrap();
    let entry = |vault: &Vault| {
        let ca = ca.display();
        format!(
            "provider: hashicorp, url: '{}', token: t, ca: '{ca}'",
            vault.url
        )
    };
    let good = Vault::serve(vec![(200, KV2)], Some(server(&trusted, "localhost")));
    let (found, _) = key(&entry(&good), "{secret: x, field: org}").await;
    assert_eq!(found.as_deref(), Ok("o"));
    for (issuer, name) in [(&trusted, "elsewhere.test"), (&stranger, "localhost")] {
        let bad = Vault::serve(vec![(200, KV2); 3], Some(server(issuer, name)));
        let (found, _) = key(&entry(&bad), "x").await;
        let why = found.unwrap_err();
        assert!(
            why.contains("does not answer: invalid peer certificate"),
            "{why}"
        );
        assert_eq!(bad.seen(), [""; 0]);
    }
    let (found, _) = key(
        "provider: hashicorp, url: 'https://localhost:1', token: t",
        "x",
    )
    .await;
    let why = found.unwrap_err();
    assert!(
        why.starts_with("vault `main`: cannot read the certificates in /nonexistent"),
        "{why}"
    );
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn server(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate: CertificateDer = params.signed_by(&key, issuer).unwrap().into();
    let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], secret)
        .unwrap();
    Arc::new(config)
}
