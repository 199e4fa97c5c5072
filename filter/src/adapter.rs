//! The adapter role: one attempt at one provider, inside that provider's cluster.

use engine::exchange::{AttemptStep, HEADER_EXCHANGE, HEADER_RETRY, HEADER_TARGET};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::host::{self, Buffer, Map};
use crate::vm::{self, Shared};

#[derive(Default)]
pub(crate) struct Adapter {
    exchange: Option<Shared>,
    body: Option<Vec<u8>>,
    decided: bool,
}

impl Adapter {
    fn perform(&mut self, step: Option<AttemptStep>) -> Action {
        match step {
            Some(AttemptStep::Hold) => return Action::Pause,
            Some(AttemptStep::Fail { status }) => {
                host::set_header(Map::Response, ":status", status.to_string());
            }
            Some(AttemptStep::Retry {
                target,
                status,
                same_target,
            }) => {
                host::set_header(Map::Request, HEADER_TARGET, &target);
                host::set_header(Map::Response, HEADER_RETRY, "1");
                if let Some(status) = status {
                    host::set_header(Map::Response, ":status", status.to_string());
                }
                if !same_target {
                    host::remove_header(Map::Response, "retry-after");
                }
            }
            Some(AttemptStep::Pass) | None => {}
        }
        self.decided = true;
        Action::Continue
    }
}

impl Context for Adapter {}

impl HttpContext for Adapter {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        let id = host::header(Map::Request, HEADER_EXCHANGE);
        let id = id.as_deref().and_then(|id| std::str::from_utf8(id).ok());
        self.exchange = id
            .and_then(|id| vm::with(|vm| vm.live.get(id).cloned()))
            .flatten();
        let attempt = self
            .exchange
            .as_ref()
            .and_then(|exchange| vm::drive(exchange, |exchange, env| exchange.on_attempt(env)));
        let Some(forward) = attempt.flatten() else {
            host::reply(503, engine::headers::Headers::default(), b"");
            return Action::Pause;
        };
        host::set_headers(Map::Request, forward.headers);
        if end {
            return Action::Continue;
        }
        self.body = forward.body;
        // The head goes out with the body: from here on both are still ours to change, and the
        // host keeps the request's headers writable for the decision on the answer.
        Action::Pause
    }

    fn on_http_request_body(&mut self, _size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        if let Some(body) = self.body.take() {
            host::set_bytes(Buffer::RequestBody, &body);
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        let Some(exchange) = &self.exchange else {
            return Action::Continue;
        };
        let status = host::header(Map::Response, ":status");
        let status = status
            .and_then(|s| std::str::from_utf8(&s).ok()?.parse().ok())
            .unwrap_or(502);
        let kind = host::header(Map::Response, "content-type").unwrap_or_default();
        let streams = engine::dialect::is_stream(&kind);
        let step = vm::drive(exchange, |exchange, _| {
            exchange.on_attempt_head(status, streams, end)
        });
        self.perform(step)
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        let Some(exchange) = self.exchange.as_ref().filter(|_| !self.decided) else {
            return Action::Continue;
        };
        // Reading a long answer anew with each of its pieces would cost the square of its length.
        let wanted = exchange
            .try_borrow()
            .map(|exchange| exchange.wants_attempt_body(end));
        if matches!(wanted, Ok(false)) {
            return Action::Pause;
        }
        let body = host::bytes(Buffer::ResponseBody, size);
        let step = vm::drive(exchange, |exchange, _| exchange.on_attempt_body(&body, end));
        self.perform(step)
    }
}
