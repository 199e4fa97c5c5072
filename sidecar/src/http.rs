//! HTTP calls to the outside, with TLS: few and far between, each over a connection of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::call::{self, Answer};
use crate::config::{Endpoint, Host};

/// A call that takes longer has failed.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// Why there is no answer.
pub(crate) enum Failure {
    /// What is to be sent is no request.
    Unmade(String),
    /// Nobody answered.
    Unreachable(String),
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) method: &'static str,
    /// After the endpoint's own path, with the query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, &'a str)>,
    pub(crate) body: String,
}

/// Whom we trust.
///
/// # Errors
/// The file cannot be read or has no certificate.
pub(crate) fn trust(authorities: &Path) -> Result<TlsConnector, String> {
    let roots = self::authorities(authorities)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The certificates in a PEM file.
///
/// # Errors
/// The file cannot be read or has no certificate.
pub(crate) fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let shown = file.display();
    let certificates = CertificateDer::pem_file_iter(file)
        .map_err(|error| format!("cannot read the certificates in {shown}: {error}"))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates.flatten());
    if added == 0 {
        return Err(format!("there is no certificate in {shown}"));
    }
    Ok(roots)
}

/// The text of a part of a query.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends `call` to `endpoint`, with TLS where its address says so.
pub(crate) async fn send(
    endpoint: &Endpoint,
    trust: Option<&TlsConnector>,
    call: Call<'_>,
) -> Result<Answer, Failure> {
    let mut request = Request::builder()
        .method(call.method)
        .uri(format!("{}{}", endpoint.base_path, call.path))
        .header("host", &endpoint.authority);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(Bytes::from(call.body)))
        .map_err(|error| Failure::Unmade(format!("the request cannot be made: {error}")))?;
    match tokio::time::timeout(CALL_TIME_MAX, exchange(endpoint, trust, request)).await {
        Ok(answer) => answer.map_err(Failure::Unreachable),
        Err(_) => {
            let why = format!("no answer within {} s", CALL_TIME_MAX.as_secs());
            Err(Failure::Unreachable(why))
        }
    }
}

async fn exchange(
    endpoint: &Endpoint,
    trust: Option<&TlsConnector>,
    request: Request<Full<Bytes>>,
) -> Result<Answer, String> {
    let text = |error: std::io::Error| error.to_string();
    let (stream, name) = match &endpoint.host {
        Host::Name(name, port) => {
            let stream = TcpStream::connect((name.as_str(), *port)).await;
            (stream.map_err(text)?, name.clone())
        }
        Host::Ip(at) => (
            TcpStream::connect(at).await.map_err(text)?,
            at.ip().to_string(),
        ),
        Host::Demo(_) => return Err("it has no address".to_owned()),
    };
    if !endpoint.tls {
        return call::send(stream, request).await;
    }
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    let trust = trust.ok_or("no certificates to check it against")?;
    let stream = trust.connect(name, stream).await.map_err(text)?;
    call::send(stream, request).await
}

/// `text` as a part of a path or a form.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
