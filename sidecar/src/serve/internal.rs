//! The filter's interface ([`engine::wire`]). Its thread does nothing else; what takes longer than
//! a decision goes to the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::wire::{
    Admit, KeyLookup, PATH_ADMIT, PATH_CACHE, PATH_KEY, PATH_POLICY, PATH_RENEW, PATH_SETTLE,
    PolicyPoll, Renew,
};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::cache;
use super::listen::{self, Answer};
use super::state::{AdmitReply, Shared};
use super::store::writer::{Failure, Writer};
use crate::clock;

/// A body on this interface. Above it: `413`.
const BODY_BYTES_MAX: usize = cache::ENTRY_BYTES_MAX + 64 * 1024;
/// How long an admission waits for another exchange's end before it is refused because too many run.
const BUSY_MAX: Duration = Duration::from_millis(500);
/// How often it looks.
const BUSY_STEP: Duration = Duration::from_millis(10);
/// Admissions that wait so at one time. Further ones are refused at once.
const BUSY_WAITING_MAX: usize = 100;
const JSON: &str = "application/json";

/// [`engine::wire::CachePut`] with the answer left as it came.
#[derive(Deserialize)]
struct CachePutText {
    key: String,
    ttl_s: u64,
    answer: Box<RawValue>,
}

/// Answers one request.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    writer: Writer,
    request: Request<Incoming>,
) -> Answer {
    if request.method() != Method::POST {
        return listen::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let path = Path::of(request.uri().path());
    let body = match listen::body(request, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(status) => return listen::empty(status),
    };
    match path {
        Some(Path::Settle) => match writer.settle(body).await {
            Ok(settled) => json(&settled),
            Err(Failure::Malformed) => listen::empty(StatusCode::BAD_REQUEST),
            Err(Failure::Unavailable) => listen::empty(StatusCode::SERVICE_UNAVAILABLE),
        },
        Some(Path::Admit) => match serde_json::from_slice(&body) {
            Ok(admit) => admission(&shared, &admit).await,
            Err(_) => listen::empty(StatusCode::BAD_REQUEST),
        },
        Some(path @ (Path::Renew | Path::Cache)) if shared.replica.is_some() => {
            replicate(&shared, path, &body).await
        }
        Some(path) => {
            decide(&shared, path, &body).unwrap_or_else(|_| listen::empty(StatusCode::BAD_REQUEST))
        }
        None => listen::empty(StatusCode::NOT_FOUND),
    }
}

#[derive(Clone, Copy)]
enum Path {
    Admit,
    Cache,
    Key,
    Policy,
    Renew,
    Settle,
}

impl Path {
    fn of(path: &str) -> Option<Path> {
        Some(match path {
            PATH_ADMIT => Path::Admit,
            PATH_CACHE => Path::Cache,
            PATH_KEY => Path::Key,
            PATH_POLICY => Path::Policy,
            PATH_RENEW => Path::Renew,
            PATH_SETTLE => Path::Settle,
            _ => return None,
        })
    }
}

/// Whoever sends one request after the other is not to be refused because the end of the one before is
/// still on its way: filters tell of it some milliseconds after the client has the answer.
async fn admission(shared: &Shared, admit: &Admit) -> Answer {
    let first = decision(shared, admit).await;
    if !matches!(first, AdmitReply::Busy(_)) {
        return json(&first);
    }
    let Some(_place) = Waiting::enter(&shared.busy) else {
        return json(&first);
    };
    let mut waited = Duration::ZERO;
    loop {
        tokio::time::sleep(BUSY_STEP).await;
        waited = waited.saturating_add(BUSY_STEP);
        let reply = decision(shared, admit).await;
        if !matches!(reply, AdmitReply::Busy(_)) || waited >= BUSY_MAX {
            return json(&reply);
        }
    }
}

/// Where counters are says what comes of an admission.
async fn decision(shared: &Shared, admit: &Admit) -> AdmitReply {
    match &shared.replica {
        Some(replica) => replica.admit(shared, admit).await,
        None => shared.core().admit(admit, clock::now_ms()),
    }
}

/// What counters, holds and cached answers of several services are asked for.
async fn replicate(shared: &Shared, path: Path, body: &Bytes) -> Answer {
    let Some(replica) = &shared.replica else {
        return listen::empty(StatusCode::NOT_FOUND);
    };
    if let Path::Renew = path {
        let Ok(renew) = serde_json::from_slice::<Renew>(body) else {
            return listen::empty(StatusCode::BAD_REQUEST);
        };
        return match replica.renew(shared, &renew).await {
            Ok(renewed) => json(&renewed),
            Err(_) => listen::empty(StatusCode::SERVICE_UNAVAILABLE),
        };
    }
    let Ok(put) = cache_put(body) else {
        return listen::empty(StatusCode::BAD_REQUEST);
    };
    match replica.keep(&put.key, &put.answer, put.ttl_s).await {
        Ok(()) => listen::empty(StatusCode::NO_CONTENT),
        Err(_) => listen::empty(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn cache_put(body: &Bytes) -> Result<CachePutText, serde_json::Error> {
    let put: CachePutText = serde_json::from_slice(body)?;
    let _checked: engine::wire::CachedAnswer = serde_json::from_str(put.answer.get())?;
    Ok(put)
}

/// A place among the admissions that wait, given back when dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn enter(count: &AtomicUsize) -> Option<Waiting<'_>> {
        let place = Waiting(count);
        let before = count.fetch_add(1, Ordering::Relaxed);
        (before < BUSY_WAITING_MAX).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn decide(shared: &Shared, path: Path, body: &Bytes) -> Result<Answer, serde_json::Error> {
    let now_ms = clock::now_ms();
    Ok(match path {
        Path::Key => {
            let lookup: KeyLookup = serde_json::from_slice(body)?;
            let reply = shared.core().key(&lookup.key_hash, now_ms);
            json(&reply)
        }
        Path::Renew => {
            let renew: Renew = serde_json::from_slice(body)?;
            let reply = shared.core().renew(&renew, now_ms);
            json(&reply)
        }
        Path::Policy => {
            let poll: PolicyPoll = serde_json::from_slice(body)?;
            json(&shared.core().policy(&poll, now_ms))
        }
        Path::Cache => {
            let put = cache_put(body)?;
            shared
                .core()
                .cache
                .put(put.key, put.answer.into(), put.ttl_s, now_ms);
            listen::empty(StatusCode::NO_CONTENT)
        }
        Path::Admit | Path::Settle => listen::empty(StatusCode::NOT_FOUND),
    })
}

fn json(reply: &impl Serialize) -> Answer {
    match serde_json::to_vec(reply) {
        Ok(body) => listen::answer(StatusCode::OK, JSON, body),
        Err(_) => listen::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
