//! The built-in demo provider: OpenAI's chat completions as a deterministic echo, so that a
//! newcomer needs no account. It counts four bytes as a token and streams a word at a time.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::config::Address;

mod answer;

use answer::{Chat, Refusal};

/// Pause between two chunks of a stream, long enough to be seen.
const CHUNK_PAUSE: Duration = Duration::from_millis(15);
/// A larger request is refused.
const REQUEST_BYTES_MAX: usize = engine::limits::REQUEST_BODY_BYTES_MAX;
/// Chunks that wait for a slow reader.
const CHUNKS_WAITING_MAX: usize = 16;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Serves until it is dropped.
///
/// # Errors
/// When the address can not be bound.
pub async fn run(address: &Address) -> io::Result<Infallible> {
    match address {
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            loop {
                serve(listener.accept().await).await;
            }
        }
        Address::Unix(path) => {
            let listener = bind_unix(path)?;
            loop {
                serve(listener.accept().await).await;
            }
        }
    }
}

/// Binds a socket file, replacing one that an earlier run left behind.
fn bind_unix(path: &std::path::Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Serves one connection in a task of its own.
async fn serve<S, A>(accepted: io::Result<(S, A)>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok((stream, _)) = accepted else {
        // Out of file descriptors, most likely: wait for some to come back.
        return tokio::time::sleep(Duration::from_millis(50)).await;
    };
    tokio::spawn(async move {
        // A broken connection concerns nobody but its peer.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service_fn(respond))
            .await;
    });
}

async fn respond(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let answer = match (request.method(), path.as_str()) {
        (&Method::POST, "/v1/chat/completions") => chat(request).await,
        (&Method::GET, "/v1/models") => whole(StatusCode::OK, answer::models()),
        _ => refuse(&Refusal::not_found()),
    };
    Ok(answer)
}

async fn chat(request: Request<Incoming>) -> Answer {
    let Ok(body) = Limited::new(request.into_body(), REQUEST_BYTES_MAX)
        .collect()
        .await
    else {
        return refuse(&Refusal::unreadable());
    };
    let chat = match Chat::parse(&body.to_bytes()) {
        Ok(chat) => chat,
        Err(refusal) => return refuse(&refusal),
    };
    if !chat.stream {
        return whole(StatusCode::OK, chat.answer());
    }
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(CHUNKS_WAITING_MAX);
    tokio::spawn(async move {
        for event in chat.events() {
            if sender.send(Frame::data(Bytes::from(event))).await.is_err() {
                return;
            }
            tokio::time::sleep(CHUNK_PAUSE).await;
        }
    });
    response(StatusCode::OK, "text/event-stream", body.boxed())
}

fn whole(status: StatusCode, body: String) -> Answer {
    response(
        status,
        "application/json",
        Full::new(Bytes::from(body)).boxed(),
    )
}

fn refuse(refusal: &Refusal) -> Answer {
    whole(
        StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST),
        refusal.body(),
    )
}

fn response(status: StatusCode, kind: &'static str, body: BoxBody<Bytes, Infallible>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, kind);
    response
}
