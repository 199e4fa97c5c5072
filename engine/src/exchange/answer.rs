//! The answer on its way to the client: what its head says of it, and who takes its body.

use super::{Answer, AnswerBody, AnswerHead, AnswerMode, Env, Exchange, State};
use crate::dialect;
use crate::headers::Headers;
use crate::limits;
use crate::price;
use crate::reply::Code;
use crate::usage::{NanoUsd, Usage};
use crate::wire::Ending;

impl Exchange {
    /// The head of the answer. `details` is Envoy's own word on who made it, asked for only when
    /// the status is an error.
    pub fn on_answer_head(
        &mut self,
        env: &mut Env<'_>,
        headers: Headers,
        end: bool,
        details: Option<&str>,
    ) -> AnswerHead {
        if self.state == State::Replied {
            return AnswerHead::Pass;
        }
        let status = headers
            .text(":status")
            .and_then(|s| s.parse().ok())
            .unwrap_or(502);
        let streams = headers.get("content-type").is_some_and(dialect::is_stream);
        if !self.has_adapter()
            && let Some(count) = headers
                .text("x-envoy-attempt-count")
                .and_then(|n| n.parse().ok())
        {
            self.progress.attempts = count;
        }
        self.outcome.first_byte_ms = Some(env.now_ms.saturating_sub(self.started_ms));
        self.outcome.status = status;
        self.answer = Answer {
            status,
            head: headers,
            ..Answer::default()
        };
        self.answer.mode = match status {
            400.. => {
                self.outcome.code = Some(self.code_of(env, status, details));
                AnswerMode::Error
            }
            _ if self.through().is_some() => AnswerMode::Through,
            _ if streams => AnswerMode::StreamHeld,
            200..=299 => AnswerMode::Document,
            _ => AnswerMode::Opaque,
        };
        if end || self.answer.mode != AnswerMode::Document {
            self.count_prompt(env);
        }
        match self.answer.mode {
            AnswerMode::Opaque => AnswerHead::Pass,
            AnswerMode::Through => {
                let result = (self.price(&Usage::default()), Usage::default());
                let mut headers = self.answer_headers(Some(result), None);
                if let Some(length) = self.answer.head.get("content-length") {
                    headers.push("content-length", length);
                }
                if end {
                    self.finish(Ending::Done);
                }
                AnswerHead::Send(headers)
            }
            _ if end => {
                // No body event will come, so the head has to say it all.
                self.answer.mode = AnswerMode::Opaque;
                let code = *self.outcome.code.get_or_insert(Code::UpstreamInvalidAnswer);
                self.outcome.status = if status >= 400 {
                    status
                } else {
                    code.row().status
                };
                self.answer.status = self.outcome.status;
                AnswerHead::Send(self.answer_headers(None, Some(0)))
            }
            _ => AnswerHead::Hold,
        }
    }

    /// Whether the next event needs the bytes of the answer's body.
    /// `bytes` are held so far.
    pub fn wants_answer_body(&self, bytes: usize, end: bool) -> bool {
        match self.answer.mode {
            AnswerMode::Document | AnswerMode::Error => end,
            AnswerMode::StreamHeld => {
                end || !self.holds_streams() || bytes > limits::HELD_STREAM_BYTES_MAX
            }
            AnswerMode::Stream => true,
            AnswerMode::None | AnswerMode::Opaque | AnswerMode::Through => false,
        }
    }

    /// Whether a piece of the answer's body must be held when its bytes are not wanted yet.
    pub fn holds_answer_body(&self) -> bool {
        match self.answer.mode {
            AnswerMode::Document | AnswerMode::Error => true,
            AnswerMode::StreamHeld => self.holds_streams(),
            _ => false,
        }
    }

    /// A piece of the answer's body: everything held so far, or what follows in a stream.
    pub fn on_answer_body(&mut self, env: &mut Env<'_>, body: Vec<u8>, end: bool) -> AnswerBody {
        if let Some(judged) = self.judged_answer(env) {
            return judged;
        }
        match self.answer.mode {
            AnswerMode::Document if end => self.document(env, body),
            AnswerMode::Error if end => self.error(body),
            AnswerMode::StreamHeld => self.stream_head(env, body, end),
            AnswerMode::Stream => self.stream(env, &body, end),
            AnswerMode::Document | AnswerMode::Error => AnswerBody {
                hold: true,
                ..AnswerBody::default()
            },
            AnswerMode::None | AnswerMode::Opaque | AnswerMode::Through => AnswerBody::default(),
        }
    }

    /// What an answer with that usage costs.
    pub(super) fn price(&self, usage: &Usage) -> NanoUsd {
        self.target().map_or(0, |target| {
            price::cost(&target.price, usage).saturating_add(target.price.per_call)
        })
    }

    /// Who is at fault for an error status: the provider, or the way to it.
    fn code_of(&self, env: &Env<'_>, status: u16, details: Option<&str>) -> Code {
        let details = details.unwrap_or("via_upstream");
        if details.starts_with("via_upstream") {
            return Code::UpstreamError;
        }
        if status == 413 {
            return Code::RequestTooLarge;
        }
        if self.state != State::Forwarded && status < 500 {
            return Code::InvalidRequest;
        }
        let waited_ms = env.now_ms.saturating_sub(self.progress.since_ms);
        let patience_ms = self.target().map(|target| target.timeout_ms).unwrap_or(0);
        if details.contains("timeout") || (patience_ms > 0 && waited_ms >= patience_ms) {
            return Code::UpstreamTimeout;
        }
        Code::UpstreamUnavailable
    }

    pub(super) fn finish(&mut self, ending: Ending) {
        self.outcome.ending.get_or_insert(ending);
    }
}
