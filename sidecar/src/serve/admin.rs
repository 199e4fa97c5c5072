//! The admin interface, `/health` and `/metrics`. Envoy routes them here from its public port.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use engine::dialect::error_body;
use engine::ledger::Scope;
use engine::price;
use engine::reply::Code;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, StatusCode};
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;

use super::listen::{self, Answer};
use super::membership::Rules;
use super::metrics::MEDIA_TYPE;
use super::state::Shared;
use super::store::registry::Registry;
use super::store::seal::Sealer;
use super::store::writer::Writer;
use crate::clock;
use crate::config::{Config, Secret};

mod budgets;
mod file_keys;
mod health;
mod members;
mod reads;
mod virtual_keys;

#[cfg(test)]
mod tests;

pub(super) use file_keys::write as write_file_keys;
pub(super) use reads::Ledger;
#[cfg(test)]
pub(super) use virtual_keys::new_key;

/// A body on this interface. Above it: `413 request_too_large`.
const BODY_BYTES_MAX: usize = 256 * 1024;
const JSON: &str = "application/json";

/// What the interface works with.
pub(super) struct Interface {
    shared: Arc<Shared>,
    writer: Writer,
    registry: Registry,
    sealer: Arc<Sealer>,
    token: RwLock<Option<Secret>>,
    /// Where usage is read.
    ledger: reads::Ledger,
    /// Budgets of the file.
    file_rules: Rules,
    /// Providers that are configured.
    providers: Vec<String>,
    /// Providers that the price catalogue knows: a key may come before their configuration.
    catalogued: BTreeSet<String>,
    /// Changes of keys are read, changed and written one after the other.
    changing: tokio::sync::Mutex<()>,
    health: health::Probe,
}

/// Why a call was refused.
#[derive(Debug)]
struct Refusal {
    code: Code,
    message: String,
    param: Option<String>,
}

type Reply = Result<Answer, Refusal>;

impl Interface {
    pub(super) fn new(
        config: &Config,
        shared: Arc<Shared>,
        writer: Writer,
        (registry, ledger): (Registry, Ledger),
        sealer: Arc<Sealer>,
    ) -> Interface {
        let models = price::parse_catalogue(price::CATALOGUE).unwrap_or_default();
        Interface {
            shared,
            writer,
            registry,
            sealer,
            token: RwLock::new(usable(config.admin_token.as_ref())),
            ledger,
            providers: config
                .providers
                .iter()
                .map(|provider| provider.name.clone())
                .collect(),
            catalogued: models.into_iter().map(|model| model.provider).collect(),
            file_rules: Rules::new(&config.budgets),
            changing: tokio::sync::Mutex::default(),
            health: health::Probe::default(),
        }
    }

    /// Another token from now on.
    pub(super) fn set_token(&self, token: Option<&Secret>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = usable(token);
    }

    /// Compares in a time that does not depend on where they differ.
    fn authorize(&self, request: &Request<Incoming>) -> Result<(), Refusal> {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = token.as_ref() else {
            return Err(Refusal::unauthorized(
                "No admin token is configured: this interface is closed",
            ));
        };
        let given = request
            .headers()
            .get(AUTHORIZATION)
            .map(|value| value.as_bytes());
        let given = given.and_then(|value| value.split_at_checked(7));
        let fits = given.is_some_and(|(scheme, given)| {
            scheme.eq_ignore_ascii_case(b"bearer ")
                && bool::from(given.trim_ascii().ct_eq(token.expose().as_bytes()))
        });
        if fits {
            Ok(())
        } else {
            Err(Refusal::unauthorized("The admin token is missing or wrong"))
        }
    }
}

impl Refusal {
    fn new(code: Code) -> Refusal {
        Refusal {
            code,
            message: code.row().message.to_owned(),
            param: None,
        }
    }

    fn unauthorized(message: &str) -> Refusal {
        Refusal {
            code: Code::InvalidApiKey,
            message: message.to_owned(),
            param: None,
        }
    }

    /// The member `param` is wrong.
    fn member(param: &str, message: impl Into<String>) -> Refusal {
        let message = format!("{param}: {}", message.into());
        Refusal {
            code: Code::InvalidRequest,
            message,
            param: Some(param.to_owned()),
        }
    }

    fn not_found(what: &str) -> Refusal {
        Refusal {
            code: Code::NotFound,
            message: what.to_owned(),
            param: None,
        }
    }

    fn answer(&self) -> Answer {
        let row = self.code.row();
        let body = error_body(
            &self.message,
            row.kind,
            self.param.as_deref(),
            Some(row.name),
        );
        let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::BAD_REQUEST);
        listen::answer(status, JSON, body)
    }
}

fn usable(token: Option<&Secret>) -> Option<Secret> {
    token.cloned().filter(|token| !token.expose().is_empty())
}

/// Answers one request.
pub(super) async fn handle(interface: Arc<Interface>, request: Request<Incoming>) -> Answer {
    route(&interface, request)
        .await
        .unwrap_or_else(|refusal| refusal.answer())
}

async fn route(interface: &Interface, request: Request<Incoming>) -> Reply {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let method = request.method().clone();
    match path.as_str() {
        "/health" => {
            return only(
                &method,
                &[Method::GET, Method::HEAD],
                health::answer(interface),
            )
            .await;
        }
        "/metrics" => return only(&method, &[Method::GET, Method::HEAD], metrics(interface)).await,
        _ => {}
    }
    let Some(rest) = path.strip_prefix("/admin/") else {
        return Err(Refusal::new(Code::NotFound));
    };
    interface.authorize(&request)?;
    let query = request.uri().query().unwrap_or_default().to_owned();
    look(interface, &method, rest).await?;
    let mut segments = rest.split('/');
    match (
        segments.next(),
        segments.next(),
        segments.next(),
        segments.next(),
    ) {
        (Some("virtual-keys"), None, ..) => match method {
            Method::POST => virtual_keys::create(interface, &body(request).await?).await,
            Method::GET => virtual_keys::list(interface),
            _ => Err(Refusal::new(Code::MethodNotAllowed)),
        },
        (Some("virtual-keys"), Some(id), None, _) => match method {
            Method::GET => virtual_keys::one(interface, id),
            Method::PATCH => virtual_keys::change(interface, id, &body(request).await?).await,
            Method::DELETE => virtual_keys::revoke(interface, id).await,
            _ => Err(Refusal::new(Code::MethodNotAllowed)),
        },
        (Some("virtual-keys"), Some(id), Some("rotate"), None) => match method {
            Method::PUT | Method::POST => {
                virtual_keys::rotate(interface, id, &body(request).await?).await
            }
            _ => Err(Refusal::new(Code::MethodNotAllowed)),
        },
        (Some("usage"), None, ..) => {
            only(&method, &[Method::GET], reads::usage(interface, &query)).await
        }
        (Some("budgets"), None, ..) => match method {
            Method::GET => budgets::list(interface).await,
            Method::PUT | Method::POST => budgets::put(interface, &body(request).await?).await,
            Method::DELETE => budgets::remove(interface, &query).await,
            _ => Err(Refusal::new(Code::MethodNotAllowed)),
        },
        _ => Err(Refusal::new(Code::NotFound)),
    }
}

/// What a call shows of counters is read where they are, if that is elsewhere. A change does not
/// depend on it.
async fn look(interface: &Interface, method: &Method, path: &str) -> Result<(), Refusal> {
    let shared = &interface.shared;
    let Some(replica) = &shared.replica else {
        return Ok(());
    };
    let scopes = {
        let core = shared.core();
        match path.split_once('/') {
            None if path == "budgets" => core
                .ledger
                .scopes_with_budgets()
                .into_iter()
                .map(|(scope, _)| scope)
                .collect(),
            None if path == "virtual-keys" => core
                .keys
                .all()
                .map(|entry| Scope::Key(entry.key.id.clone()))
                .collect(),
            Some(("virtual-keys", id)) => {
                let id = id.split('/').next().unwrap_or_default();
                let hash = engine::cache_key::sha256_hex(id.as_bytes());
                let found = core.keys.by_id(id).or_else(|| core.keys.by_hash(&hash));
                found
                    .map(|entry| Scope::Key(entry.key.id.clone()))
                    .into_iter()
                    .collect::<Vec<_>>()
            }
            _ => Vec::new(),
        }
    };
    match replica.watch(shared, &scopes).await {
        Err(_) if method == Method::GET => Err(Refusal::new(Code::StateUnavailable)),
        _ => Ok(()),
    }
}

async fn only(method: &Method, taken: &[Method], reply: impl Future<Output = Reply>) -> Reply {
    if taken.contains(method) {
        reply.await
    } else {
        Err(Refusal::new(Code::MethodNotAllowed))
    }
}

/// Whatever the content type says, it is read as JSON.
async fn body(request: Request<Incoming>) -> Result<hyper::body::Bytes, Refusal> {
    listen::body(request, BODY_BYTES_MAX)
        .await
        .map_err(|status| match status {
            StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(Code::RequestTooLarge),
            _ => Refusal::new(Code::InvalidRequest),
        })
}

async fn metrics(interface: &Interface) -> Reply {
    let now_ms = clock::now_ms();
    let shared = &interface.shared;
    let mut holds = None;
    if let Some(replica) = &shared.replica {
        // Without an answer the last one is shown, and that there is none.
        let _unseen = replica.watch(shared, &[Scope::Global]).await;
        holds = replica.holds(shared).await.ok();
    }
    let mut gauges = shared.core().gauges(now_ms);
    gauges.holds_open = holds.unwrap_or(gauges.holds_open);
    gauges.counters_work = shared.counters_work();
    gauges.writer_queue = interface.writer.queue();
    gauges.store_works = shared.store_works();
    gauges.spooled = shared.spooled.load(std::sync::atomic::Ordering::Relaxed);
    if let Registry::Shared(database) = &interface.registry {
        gauges.database_works = Some(database.is_up());
    }
    let text = shared.metrics().render(&gauges);
    Ok(listen::answer(
        StatusCode::OK,
        MEDIA_TYPE,
        text.into_bytes(),
    ))
}

fn json(status: StatusCode, reply: &impl serde::Serialize) -> Reply {
    match serde_json::to_vec(reply) {
        Ok(body) => Ok(listen::answer(status, JSON, body)),
        Err(_) => Err(Refusal::new(Code::StateUnavailable)),
    }
}

/// A list as OpenAI's interface wraps it. It does not pass through a JSON value, which would turn
/// money into floats.
fn list<T: serde::Serialize>(data: &[T]) -> Reply {
    #[derive(serde::Serialize)]
    struct List<'a, T> {
        object: &'static str,
        data: &'a [T],
    }
    json(
        StatusCode::OK,
        &List {
            object: "list",
            data,
        },
    )
}

/// Dollars as a JSON number with all their digits.
fn usd(nano: engine::usage::NanoUsd) -> Option<Box<RawValue>> {
    RawValue::from_string(price::usd(nano)).ok()
}
