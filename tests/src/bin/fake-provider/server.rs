//! Connections, and the control interface.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use e2e::behaviour::{Recorded, Script};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpStream;

use crate::delivery::{Breaker, Paced};
use crate::exchange::{Exchange, whole};
use crate::state::State;

/// Serves one connection until it ends.
pub(crate) async fn serve(stream: TcpStream, state: Arc<State>) {
    let (Ok(()), Ok(breaker)) = (stream.set_nodelay(true), Breaker::new(&stream)) else {
        return;
    };
    let breaker = Arc::new(breaker);
    let service = hyper::service::service_fn(move |request| {
        respond(request, Arc::clone(&state), Arc::clone(&breaker))
    });
    // An error here is a client that went away, or a fault we were told to make.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(1 << 20)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(
    request: Request<Incoming>,
    state: Arc<State>,
    breaker: Arc<Breaker>,
) -> io::Result<Response<Paced>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    if path.starts_with("/_") {
        return Ok(control(head.method.as_str(), &path, &body, &state));
    }
    let mut request = Recorded {
        method: head.method.to_string(),
        path,
        headers: head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        ..Recorded::default()
    };
    state.note(&mut request);
    Exchange {
        state,
        breaker,
        request,
        body,
    }
    .answer()
    .await
}

fn control(method: &str, path: &str, body: &Bytes, state: &State) -> Response<Paced> {
    match (method, path) {
        ("GET", "/_requests") => whole(200, state.recorded()),
        ("DELETE", "/_requests") => {
            state.forget();
            whole(200, "{}".to_owned())
        }
        ("POST", "/_script") => match serde_json::from_slice::<Script>(body) {
            Ok(script) => {
                state.script(script);
                whole(200, "{}".to_owned())
            }
            Err(error) => whole(400, json!({"error": error.to_string()}).to_string()),
        },
        ("DELETE", "/_script") => {
            state.drop_scripts();
            whole(200, "{}".to_owned())
        }
        _ => whole(404, "{}".to_owned()),
    }
}
