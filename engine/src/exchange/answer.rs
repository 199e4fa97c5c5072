//! The answer on its way to the client: decoded once, metered, priced, written in OpenAI's form.

use super::bound::{self, Room};
use super::result::{metadata, with_metadata};
use super::stream::{AnswerStream, write_comment};
use super::{Answer, AnswerBody, AnswerHead, AnswerMode, Endpoint, Env, Exchange, State};
use crate::dialect::{self, DecodeError, FirstEvent, Stop};
use crate::headers::Headers;
use crate::ingress::Ingress;
use crate::limits;
use crate::price;
use crate::reply::Code;
use crate::tokens::Encoding;
use crate::usage::{NanoUsd, Usage};
use crate::wire::{CachePut, CachedAnswer, Direction, Ending};

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

    fn document(&mut self, env: &mut Env<'_>, body: Vec<u8>) -> AnswerBody {
        let created_s = env.now_ms / 1000;
        let read = self.read_answer(created_s, body);
        if !matches!(&read, Ok(answer) if answer.usage.is_some()) {
            self.count_prompt(env);
        }
        let answer = match read {
            Ok(answer) => answer,
            Err(DecodeError::Reported(error)) => {
                return self.replaced_by_error(error.status, error.body, Code::UpstreamError);
            }
            Err(DecodeError::Invalid) => return self.unreadable(),
        };
        let usage = answer.usage.unwrap_or_else(|| {
            self.outcome.metered_output = self.count(env, &answer.text);
            Usage {
                input: self.tokens_in,
                output: self.outcome.metered_output,
                ..Usage::default()
            }
        });
        self.outcome.usage = answer.usage;
        let cost = self.price(&usage);
        let mut watch = self.answer_guard();
        let Some(mut body) = self.guarded(watch.as_deref_mut(), answer.body) else {
            self.count_prompt(env);
            return self.denied_answer();
        };
        if let Some(ingress) = self.translation() {
            body = ingress.answer(&body, &self.context(created_s));
        }
        let put = self.cache_put(&body, false, usage);
        if self.has_metadata() {
            body = with_metadata(&body, &self.metadata(false, cost, None));
        }
        body = self.reported(body);
        let headers = self.answer_headers(Some((cost, usage)), Some(body.len()));
        self.finish(Ending::Done);
        let step = AnswerBody {
            headers: Some(headers),
            body: Some(body),
            put,
            ..AnswerBody::default()
        };
        match watch {
            Some(mut watch) => self.before_answer(env, &mut watch, step),
            None => step,
        }
    }

    /// Whether an answer has a place for what it cost; elsewhere the headers say it.
    pub(super) fn has_metadata(&self) -> bool {
        matches!(
            self.endpoint,
            Some(Endpoint::Chat | Endpoint::Conversation(Ingress::Completions))
        )
    }

    fn stream_head(&mut self, env: &mut Env<'_>, body: Vec<u8>, end: bool) -> AnswerBody {
        if !end && self.holds_streams() {
            return self.too_long();
        }
        let Some(first) = self.first_event(&body, end) else {
            return self.unreadable();
        };
        match first {
            FirstEvent::NeedMore if !end => AnswerBody {
                hold: true,
                ..AnswerBody::default()
            },
            FirstEvent::NeedMore => self.unreadable(),
            FirstEvent::Failed { status, body } => {
                self.replaced_by_error(status, body, Code::UpstreamError)
            }
            FirstEvent::Good => {
                self.answer.stream = self.open(env.now_ms / 1000);
                self.answer.mode = AnswerMode::Stream;
                let keeps = self.endpoint != Some(Endpoint::Conversation(Ingress::Completions));
                if self.wishes.cache_store && self.cache_key.is_some() && keeps {
                    self.answer.captured = Some(Vec::new());
                }
                let mut step = self.stream(env, &body, end);
                step.headers = Some(self.answer_headers(None, None));
                if let Some(mut watch) = self.checked.take() {
                    return self.before_answer(env, &mut watch, step);
                }
                step
            }
        }
    }

    fn stream(&mut self, env: &mut Env<'_>, chunk: &[u8], end: bool) -> AnswerBody {
        let Some(mut stream) = self.answer.stream.take() else {
            // The stream is complete: what a provider sends after its own end is not passed on.
            return AnswerBody {
                body: Some(Vec::new()),
                ..AnswerBody::default()
            };
        };
        let mut out = Vec::with_capacity(chunk.len().saturating_add(64));
        let (room, rest) = self.push(env, &mut stream, chunk, &mut out);
        let mut step = AnswerBody::default();
        match room {
            Room::Enough => {}
            Room::Low(ask) => step.ask = Some(ask),
            Room::None(ask) => (step.ask, step.wait) = (ask, Some(rest.to_vec())),
            Room::Spent => {
                let delivered = self.delivered();
                stream.stop(Stop::Length, self.choices(), &delivered, &mut out);
                self.outcome.code = Some(Code::BudgetExceeded);
                (self.answer.captured, step.cut) = (None, !end);
            }
        }
        let end = end && step.wait.is_none();
        if end && !stream.meter().finished() && !stream.meter().failed() {
            stream.end(&mut out);
        }
        let denied = stream.guard().is_some_and(|guard| guard.denied());
        if denied {
            let delivered = self.delivered();
            stream.stop(Stop::ContentFilter, self.choices(), &delivered, &mut out);
            self.outcome.code = Some(Code::GuardrailViolation);
            (step.ask, step.wait, step.cut) = (None, None, !end);
        }
        self.capture(&out);
        if stream.text_bytes() >= limits::METER_TEXT_BYTES_MAX {
            self.meter_text(env, &mut stream);
        }
        if self.holds_streams()
            && let Some(mut watch) = stream.take_guard()
        {
            // It was held until it was complete.
            self.note(&mut watch);
            self.checked = Some(watch);
        }
        if denied {
            self.answer.captured = None;
            self.close(env, &mut stream, &mut out);
            self.finish(Ending::Done);
        } else if stream.meter().failed() {
            self.meter(env, &mut stream);
            self.answer.captured = None;
            self.outcome.code = Some(Code::UpstreamStreamInterrupted);
            self.finish(Ending::UpstreamCut);
        } else if stream.meter().finished() {
            step.put = self.close(env, &mut stream, &mut out);
            self.finish(Ending::Done);
        } else {
            self.answer.stream = Some(stream);
        }
        step.body = Some(out);
        step
    }

    /// Gives the stream its next bytes: near the end of its hold event by event, as far as that goes.
    /// Gives back those that are left.
    fn push<'a>(
        &mut self,
        env: &mut Env<'_>,
        stream: &mut AnswerStream,
        chunk: &'a [u8],
        out: &mut Vec<u8>,
    ) -> (Room, &'a [u8]) {
        // What is held until it is complete is delivered already, as a document is.
        let most = stream.text_bytes().saturating_add(chunk.len());
        if self.holds_streams() || !self.nears_its_hold(most) {
            stream.push(chunk, out);
            return (Room::Enough, &[]);
        }
        // A question asks for all: the hold is low once, and may be used up before the chunk is.
        let mut question = None;
        let mut rest = chunk;
        loop {
            match self.room(env, stream) {
                Room::Enough => {}
                Room::Low(ask) => question = Some(ask),
                Room::None(ask) => return (Room::None(ask.or(question)), rest),
                Room::Spent => return (Room::Spent, rest),
            }
            if rest.is_empty() {
                return (question.map_or(Room::Enough, Room::Low), rest);
            }
            let (event, after) = bound::first_event(rest);
            stream.push(event, out);
            rest = after;
        }
    }

    fn choices(&self) -> u32 {
        self.request.as_ref().map_or(1, |request| request.choices)
    }

    /// The end of a stream: what it cost, and what the client's format has to say last.
    fn close(
        &mut self,
        env: &mut Env<'_>,
        stream: &mut AnswerStream,
        out: &mut Vec<u8>,
    ) -> Option<CachePut> {
        let usage = self.meter(env, stream);
        let cost = self.bounded(self.price(&usage));
        let metadata = self.metadata(false, cost, Some(usage));
        if stream.meter().usage().is_none() {
            stream.set_usage(usage);
        }
        let report = self.hook_results().and_then(|it| stream.report(it));
        let before = out.len();
        stream.close(&metadata, out);
        if self.endpoint != Some(Endpoint::Chat) {
            // What is replayed of a chat gets its end anew; other formats are replayed as they are.
            let end = out.get(before..).unwrap_or_default().to_vec();
            self.capture(&end);
        }
        if let Some(report) = report {
            self.report_last(&report, out);
        }
        if stream.wants_comment() {
            write_comment(&metadata, out);
        }
        let captured = self.answer.captured.take()?;
        self.cache_put(&captured, true, usage)
    }

    fn capture(&mut self, out: &[u8]) {
        if let Some(captured) = &mut self.answer.captured {
            if captured.len().saturating_add(out.len()) > limits::CACHED_BODY_BYTES_MAX {
                self.answer.captured = None;
            } else {
                captured.extend_from_slice(out);
            }
        }
    }

    /// What a stream has consumed: the provider's own figures, else our count.
    pub(super) fn meter(&mut self, env: &mut Env<'_>, stream: &mut AnswerStream) -> Usage {
        if let Some(watch) = stream.guard() {
            self.note(watch);
        }
        self.outcome.usage = stream.meter().usage();
        if let Some(usage) = self.outcome.usage {
            return usage;
        }
        self.meter_text(env, stream);
        Usage {
            input: self.tokens_in,
            output: self.outcome.metered_output,
            ..Usage::default()
        }
    }

    pub(super) fn meter_text(&mut self, env: &mut Env<'_>, stream: &mut AnswerStream) {
        if let Some(text) = stream.meter().take_text() {
            let counted = self.count(env, &text);
            self.outcome.metered_output = self.outcome.metered_output.saturating_add(counted);
        }
    }

    pub(super) fn count(&self, env: &mut Env<'_>, text: &str) -> u64 {
        let model = self
            .target()
            .map(|target| target.model.as_str())
            .unwrap_or_default();
        env.tokenizers.count(Encoding::of_model(model), text)
    }

    /// What an answer with that usage costs.
    pub(super) fn price(&self, usage: &Usage) -> NanoUsd {
        self.target().map_or(0, |target| {
            price::cost(&target.price, usage).saturating_add(target.price.per_call)
        })
    }

    fn error(&mut self, body: Vec<u8>) -> AnswerBody {
        if let Some(failure) = self.progress.failure.take() {
            return self.replaced_by_error(failure.status, failure.body, failure.code);
        }
        let code = self.outcome.code.unwrap_or(Code::UpstreamError);
        if code != Code::UpstreamError {
            let row = code.row();
            let body = dialect::error_body(row.message, row.kind, None, Some(row.name));
            return self.replaced_by_error(row.status, body, code);
        }
        let Some(dialect) = self.target().map(|target| target.provider.dialect) else {
            return self.unreadable();
        };
        let answer = dialect::decode_error(dialect, self.answer.status, &body);
        if let Some(wait_s) = answer.retry_after_s
            && self.answer.head.get("retry-after").is_none()
        {
            self.answer.head.push("retry-after", wait_s.to_string());
        }
        if answer.is_final && self.answer.head.get("x-should-retry").is_none() {
            self.answer.head.push("x-should-retry", "false");
        }
        self.replaced_by_error(answer.status, answer.body, code)
    }

    /// An answer that must not be shown. It has been made, and is paid for.
    pub(super) fn denied_answer(&mut self) -> AnswerBody {
        let row = Code::GuardrailViolation.row();
        let message = self.denial(Direction::Output);
        let message = message.unwrap_or_else(|| row.message.to_owned());
        let body = dialect::error_body(&message, row.kind, None, Some(row.name));
        self.replaced_by_error(row.status, body, Code::GuardrailViolation)
    }

    /// A stream that would have to be held for longer than it can be.
    fn too_long(&mut self) -> AnswerBody {
        let row = Code::GuardrailViolation.row();
        let message = format!(
            "The answer is longer than {} bytes, and a guardrail has to read it as a whole",
            limits::HELD_STREAM_BYTES_MAX
        );
        let body = dialect::error_body(&message, row.kind, None, Some(row.name));
        let step = self.replaced_by_error(row.status, body, Code::GuardrailViolation);
        // What the provider goes on to say is not passed on.
        self.answer.mode = AnswerMode::Stream;
        AnswerBody { cut: true, ..step }
    }

    fn unreadable(&mut self) -> AnswerBody {
        let row = Code::UpstreamInvalidAnswer.row();
        let body = dialect::error_body(row.message, row.kind, None, Some(row.name));
        self.replaced_by_error(row.status, body, Code::UpstreamInvalidAnswer)
    }

    fn replaced_by_error(&mut self, status: u16, body: Vec<u8>, code: Code) -> AnswerBody {
        self.outcome.status = status;
        self.outcome.code = Some(code);
        self.answer.status = status;
        let mut body = self.spoken(status, body);
        if code == Code::GuardrailViolation {
            body = self.reported(body);
        }
        let mut headers = self.answer_headers(None, Some(body.len()));
        if let Some(retry) = code.row().should_retry {
            headers.push("x-should-retry", if retry { "true" } else { "false" });
        }
        self.finish(Ending::Done);
        self.answer.mode = AnswerMode::Opaque;
        AnswerBody {
            headers: Some(headers),
            body: Some(body),
            ..AnswerBody::default()
        }
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

    fn cache_put(&self, body: &[u8], stream: bool, usage: Usage) -> Option<CachePut> {
        let key = self.cache_key.clone().filter(|_| self.wishes.cache_store)?;
        if body.len() > limits::CACHED_BODY_BYTES_MAX {
            return None;
        }
        let target = self.target()?;
        let answer = CachedAnswer {
            provider: target.provider.name.clone(),
            model: target.model.clone(),
            body: String::from_utf8(body.to_vec()).ok()?,
            stream,
            usage,
        };
        Some(CachePut {
            key,
            ttl_s: self.plan.cache_ttl_s?,
            answer,
        })
    }

    /// The `metadata` member of an answer, as JSON.
    fn metadata(&self, hit: bool, cost: NanoUsd, usage: Option<Usage>) -> String {
        let provider = self
            .target()
            .map(|t| t.provider.name.as_str())
            .unwrap_or_default();
        metadata(hit, provider, cost, usage)
    }
}
