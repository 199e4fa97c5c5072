//! The policy role: a request on its way in, its answer on its way out.

use std::rc::Rc;
use std::time::Duration;

use engine::exchange::{AnswerHead, Ask, Step};
use engine::headers::Headers;
use engine::ingress::Ingress;
use engine::wire::{self, CachePut};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::host::{self, Buffer, Map, Stream};
use crate::root::{self, Settings};
use crate::stream;
use crate::vm::{self, Shared};

/// How long the sidecar may take before a request is answered without it.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a client has to leave a stream that has its end while the provider goes on.
const CUT_GRACE_MS: u64 = 1_000;
/// More than Envoy ever keeps of an answer.
const BUFFER_BYTES_MAX: usize = u32::MAX as usize;

/// Filter state of requests in Anthropic's form: `local_reply_config` looks for `wasm.` and this name.
const MARK_MESSAGES: &str = "weir_messages";
/// Requests watched at one time until the first body has come.
const BODILESS_MAX: usize = 1_000;

pub(crate) struct Policy {
    context: u32,
    settings: Rc<Settings>,
    exchange: Option<Shared>,
    asked: Option<&'static str>,
    asked_us: u64,
    body_seen: bool,
    /// A question for a larger hold, by the token of its call.
    growing: Option<u32>,
    waiting: Option<Waiting>,
}

/// An answer that waits for its hold to grow. Envoy keeps what has come of it.
struct Waiting {
    /// Bytes at the beginning of it that are written already.
    written: usize,
    /// The provider has closed the stream.
    ended: bool,
}

impl Policy {
    pub(crate) fn new(context: u32, settings: Rc<Settings>) -> Policy {
        Policy {
            context,
            settings,
            exchange: vm::begin(),
            asked: None,
            asked_us: 0,
            body_seen: false,
            growing: None,
            waiting: None,
        }
    }

    /// Performs a step on the request. `held` says whether Envoy waits for us to resume.
    fn perform(&mut self, step: Option<Step>, held: bool) -> Action {
        match step {
            Some(Step::Wait) => Action::Pause,
            Some(Step::Ask(ask)) => {
                self.asked = Some(ask.path);
                self.asked_us = host::now_us();
                if self.call(&ask).is_none() {
                    let step = self.answered(&[]);
                    return self.perform(step, held);
                }
                Action::Pause
            }
            Some(Step::Forward(forward)) => {
                self.mark();
                self.set_head(forward.headers);
                if let Some(body) = &forward.body {
                    host::set_bytes(Buffer::RequestBody, body);
                }
                host::clear_route_cache();
                if held {
                    host::resume(Stream::Request);
                }
                Action::Continue
            }
            Some(Step::Reply(reply)) => {
                host::reply(reply.status, reply.headers, &reply.body);
                Action::Pause
            }
            None => {
                // The VM's state is not reachable: fail closed.
                host::reply(500, Headers::default(), b"");
                Action::Pause
            }
        }
    }

    /// Feeds the sidecar's answer to the exchange; no bytes mean none came.
    fn answered(&mut self, body: &[u8]) -> Option<Step> {
        let exchange = self.exchange.as_ref()?;
        let asked = self.asked.take()?;
        vm::drive(exchange, |exchange, env| {
            if asked.is_empty() {
                exchange.on_verdict(env, is_good().then_some(body))
            } else if asked == wire::PATH_KEY {
                exchange.on_key(env, serde_json::from_slice(body).ok())
            } else {
                exchange.on_admission(env, serde_json::from_slice(body).ok())
            }
        })
    }

    /// Asks the sidecar, or who else is to be asked.
    fn call(&self, ask: &Ask) -> Option<u32> {
        let cluster = &self.settings.internal_cluster;
        match &ask.outside {
            None => host::post(cluster, ask.path, &ask.body, CALL_TIMEOUT),
            Some(outside) => {
                let timeout = Duration::from_millis(outside.timeout_ms);
                host::post_outside(&outside.cluster, &outside.headers, &ask.body, timeout)
            }
        }
    }

    /// Makes Envoy's head of the request another.
    fn set_head(&self, headers: Headers) {
        let exchange = self.exchange.as_ref();
        let exchange = exchange.and_then(|exchange| exchange.try_borrow().ok());
        let changes = exchange
            .as_ref()
            .and_then(|it| headers.changes_from(it.head()));
        let is_changed = changes.is_some_and(|it| host::change_headers(Map::Request, &it));
        // The client's credentials must not stay because one of them was not taken.
        if !is_changed {
            host::set_headers(Map::Request, headers);
        }
    }

    /// Envoy replies past the filters when an answer breaks off while its head is held: what shape its
    /// client expects must then be known without them, and the path is the provider's by then.
    fn mark(&self) {
        let exchange = self.exchange.as_ref();
        let form = exchange.and_then(|exchange| exchange.try_borrow().ok()?.client_form());
        if form == Some(Ingress::Messages) {
            host::mark(MARK_MESSAGES, "1");
        }
    }

    /// Without `allow_on_headers_stop_iteration` no body ever comes, and nothing says so.
    fn watch(&self) {
        let exchange = self.exchange.as_ref();
        let Some(exchange) = exchange.and_then(|exchange| exchange.try_borrow().ok()) else {
            return;
        };
        vm::with(|vm| {
            if !vm.bodies_arrive && vm.bodiless.len() < BODILESS_MAX {
                vm.bodiless.push((self.context, exchange.id().to_owned()));
            }
        });
    }

    /// Takes a piece of the answer, of which Envoy's buffer has `written` bytes before it that are ours.
    fn answer(&mut self, written: &[u8], body: Vec<u8>, end: bool) -> Action {
        let Some(exchange) = &self.exchange else {
            return Action::Continue;
        };
        let step = vm::drive(exchange, |exchange, env| {
            exchange.on_answer_body(env, body, end)
        });
        let Some(mut step) = step else {
            return Action::Continue;
        };
        if step.hold {
            return Action::Pause;
        }
        if let Some(headers) = step.headers.take() {
            host::set_headers(Map::Response, headers);
        }
        if let Some(body) = &step.body {
            match &step.wait {
                None if written.is_empty() => host::set_bytes(Buffer::ResponseBody, body),
                rest => {
                    let rest = rest.as_deref().unwrap_or_default();
                    host::set_bytes(Buffer::ResponseBody, &[written, body, rest].concat())
                }
            };
        }
        if let Some(put) = &step.put {
            self.store(put);
        }
        if step.cut {
            let at_ms = host::now_ms().saturating_add(CUT_GRACE_MS);
            vm::with(|vm| vm.cuts.push((self.context, at_ms)));
        }
        if step.wait.is_some() {
            let ours = step.body.map_or(0, |body| body.len());
            let written = written.len().saturating_add(ours);
            self.waiting = Some(Waiting {
                written,
                ended: end,
            });
        }
        if let Some(ask) = &step.ask {
            self.growing = self.call(ask);
            if self.growing.is_none() {
                return self.grown(&[], false);
            }
        }
        match self.waiting {
            Some(_) => Action::Pause,
            None => Action::Continue,
        }
    }

    /// The sidecar's word on a larger hold; no bytes mean none came. `held` says whether Envoy waits for
    /// us to resume.
    fn grown(&mut self, body: &[u8], held: bool) -> Action {
        let Some(exchange) = &self.exchange else {
            return Action::Continue;
        };
        vm::drive(exchange, |exchange, env| {
            if exchange.is_judged() {
                exchange.on_answer_verdict((held && is_good()).then_some(body));
            } else {
                exchange.on_grown(env, serde_json::from_slice(body).ok());
            }
        });
        let Some(waiting) = self.waiting.take() else {
            return Action::Continue;
        };
        let mut written = host::bytes(Buffer::ResponseBody, BUFFER_BYTES_MAX);
        let rest = written.split_off(waiting.written.min(written.len()));
        let action = self.answer(&written, rest, waiting.ended);
        if held && action == Action::Continue {
            host::resume(Stream::Response);
        }
        action
    }

    fn store(&self, put: &CachePut) {
        if let Ok(body) = serde_json::to_vec(put) {
            host::post(
                &self.settings.internal_cluster,
                wire::PATH_CACHE,
                &body,
                CALL_TIMEOUT,
            );
        }
    }
}

impl Context for Policy {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, size: usize, _: usize) {
        if self.growing == Some(token) {
            self.growing = None;
            let body = host::bytes(Buffer::CallBody, size);
            self.grown(&body, true);
            return;
        }
        if self.asked.is_none() {
            return;
        }
        if self.asked == Some(wire::PATH_ADMIT)
            && let Some(admit_us) = vm::with(|vm| vm.admit_us).flatten()
        {
            host::observe(admit_us, host::now_us().saturating_sub(self.asked_us));
        }
        let body = host::bytes(Buffer::CallBody, size);
        let step = self.answered(&body);
        self.perform(step, true);
    }
}

impl HttpContext for Policy {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        let headers = host::headers(Map::Request);
        let peer = stream::peer();
        // Envoy has only just made this context, and the exchange with it.
        let began = |exchange: &Shared| exchange.try_borrow().map(|it| it.started_ms());
        let now_ms = self.exchange.as_ref().and_then(|it| began(it).ok());
        let now_ms = now_ms.unwrap_or_default();
        let tries = stream::route_tries(&self.settings, &headers, now_ms);
        let step = self.exchange.as_ref().and_then(|exchange| {
            vm::drive_at(now_ms, exchange, |exchange, env| {
                if let Some(peer) = &peer {
                    exchange.on_peer(peer);
                }
                if let Some(tries) = tries {
                    exchange.on_route(tries);
                }
                exchange.on_head(env, headers, end)
            })
        });
        if !end {
            self.watch();
        }
        self.perform(step, false)
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !end || self.body_seen {
            vm::with(|vm| vm.bodies_arrive = true);
            return Action::Pause;
        }
        self.body_seen = true;
        vm::with(|vm| vm.bodies_arrive = true);
        let body = host::bytes(Buffer::RequestBody, size);
        let step = self
            .exchange
            .as_ref()
            .and_then(|exchange| vm::drive(exchange, |exchange, env| exchange.on_body(env, body)));
        self.perform(step, false)
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        let headers = host::headers(Map::Response);
        let failed = headers
            .get(":status")
            .is_none_or(|status| !status.starts_with(b"2"));
        let details = failed.then(stream::code_details).flatten();
        let Some(exchange) = &self.exchange else {
            return Action::Continue;
        };
        let step = vm::drive(exchange, |exchange, env| {
            exchange.on_answer_head(env, headers, end, details.as_deref())
        });
        match step {
            Some(AnswerHead::Hold) => Action::Pause,
            Some(AnswerHead::Send(headers)) => {
                host::set_headers(Map::Response, headers);
                Action::Continue
            }
            Some(AnswerHead::Pass) | None => Action::Continue,
        }
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if let Some(waiting) = &mut self.waiting {
            waiting.ended |= end;
            return Action::Pause;
        }
        let Some(exchange) = &self.exchange else {
            return Action::Continue;
        };
        let wanted = exchange.try_borrow().map(|exchange| {
            (
                exchange.wants_answer_body(size, end),
                exchange.holds_answer_body(),
            )
        });
        match wanted {
            Ok((true, _)) => {}
            Ok((false, true)) => return Action::Pause,
            _ => return Action::Continue,
        }
        let body = host::bytes(Buffer::ResponseBody, size);
        self.answer(&[], body, end)
    }

    fn on_log(&mut self) {
        let Some(exchange) = self.exchange.take() else {
            return;
        };
        let is_over = exchange
            .try_borrow()
            .is_ok_and(|exchange| exchange.is_over());
        let details = if is_over {
            None
        } else {
            stream::code_details()
        };
        let record = vm::drive(&exchange, |exchange, env| {
            exchange.on_end(env, details.as_deref())
        });
        vm::with(|vm| {
            vm.live.remove(exchange.borrow().id());
            vm.cuts.retain(|(context, _)| *context != self.context);
            if let Some(record) = record.flatten() {
                vm.outbox.push(record);
            }
        });
        root::settle_soon();
    }
}

/// Whether a call has been answered well.
fn is_good() -> bool {
    host::header(Map::CallResponse, ":status").is_some_and(|status| status == b"200")
}
