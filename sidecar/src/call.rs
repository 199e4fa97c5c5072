//! One HTTP call of the command line to a service of this installation.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::config::{Address, Secret};

/// A call that takes longer has failed.
const CALL_TIME_MAX: Duration = Duration::from_secs(10);
/// A larger answer is a failure.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body, invalid UTF-8 replaced.
    pub body: String,
}

/// Calls `path` with an optional bearer token and JSON body.
///
/// # Errors
/// When no HTTP answer comes, worded for the operator.
pub async fn call(
    address: &Address,
    method: &str,
    path: &str,
    token: Option<&Secret>,
    body: Option<String>,
) -> Result<Answer, String> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "weir");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {}", token.expose()));
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let request = request
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|error| error.to_string())?;
    let connected = async {
        match address {
            Address::Tcp(at) => {
                send(
                    TcpStream::connect(at)
                        .await
                        .map_err(|error| error.to_string())?,
                    request,
                )
                .await
            }
            Address::Unix(at) => {
                send(
                    UnixStream::connect(at)
                        .await
                        .map_err(|error| error.to_string())?,
                    request,
                )
                .await
            }
        }
    };
    match tokio::time::timeout(CALL_TIME_MAX, connected).await {
        Ok(answer) => answer.map_err(|error| format!("{address} does not answer: {error}")),
        Err(_) => Err(format!(
            "{address} did not answer within {} s",
            CALL_TIME_MAX.as_secs()
        )),
    }
}

/// Sends a request over a connection of its own.
pub(crate) async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    driver.abort();
    Ok(Answer {
        status,
        body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    })
}
