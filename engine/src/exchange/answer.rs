//! The answer on its way to the client: decoded once, metered, priced, written in OpenAI's form.

use super::upstream::stays_behind;
use super::{Answer, AnswerBody, AnswerHead, AnswerMode, Env, Exchange, Reply, State, Step};
use crate::dialect::{self, DecodeError, FirstEvent, StreamDecoder};
use crate::headers::Headers;
use crate::json::{self, Edits, Kind};
use crate::limits;
use crate::price;
use crate::reply::Code;
use crate::tokens::Encoding;
use crate::usage::{NanoUsd, Usage};
use crate::wire::{CachePut, CacheStatus, CachedAnswer, Dialect, Ending};

impl Exchange {
    /// The head of the answer. `details` is Envoy's own word on who made it, asked for only when
    /// the status is an error.
    pub fn on_answer_head(
        &mut self,
        env: &Env<'_>,
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
            _ if streams => AnswerMode::StreamHeld,
            200..=299 => AnswerMode::Document,
            _ => AnswerMode::Opaque,
        };
        match self.answer.mode {
            AnswerMode::Opaque => AnswerHead::Pass,
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
    pub fn wants_answer_body(&self, end: bool) -> bool {
        match self.answer.mode {
            AnswerMode::Document | AnswerMode::Error => end,
            AnswerMode::StreamHeld | AnswerMode::Stream => true,
            AnswerMode::None | AnswerMode::Opaque => false,
        }
    }

    /// Whether a piece of the answer's body must be held when its bytes are not wanted yet.
    pub fn holds_answer_body(&self) -> bool {
        matches!(self.answer.mode, AnswerMode::Document | AnswerMode::Error)
    }

    /// A piece of the answer's body: everything held so far, or what follows in a stream.
    pub fn on_answer_body(&mut self, env: &mut Env<'_>, body: Vec<u8>, end: bool) -> AnswerBody {
        match self.answer.mode {
            AnswerMode::Document if end => self.document(env, body),
            AnswerMode::Error if end => self.error(body),
            AnswerMode::StreamHeld => self.stream_head(env, body, end),
            AnswerMode::Stream => self.stream(env, &body, end),
            AnswerMode::Document | AnswerMode::Error => AnswerBody {
                hold: true,
                ..AnswerBody::default()
            },
            AnswerMode::None | AnswerMode::Opaque => AnswerBody::default(),
        }
    }

    fn document(&mut self, env: &mut Env<'_>, body: Vec<u8>) -> AnswerBody {
        let Some((dialect, model)) = self.dialect_and_model() else {
            return self.unreadable();
        };
        let created_s = env.now_ms / 1000;
        let answer = match dialect::decode_answer(dialect, &model, created_s, body) {
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
        let put = self.cache_put(&answer.body, false, usage);
        let metadata = self.metadata(false, cost, None);
        let body = with_metadata(&answer.body, &metadata);
        let headers = self.answer_headers(Some((cost, usage)), Some(body.len()));
        self.finish(Ending::Done);
        AnswerBody {
            hold: false,
            headers: Some(headers),
            body: Some(body),
            put,
        }
    }

    fn stream_head(&mut self, env: &mut Env<'_>, body: Vec<u8>, end: bool) -> AnswerBody {
        let Some((dialect, model)) = self.dialect_and_model() else {
            return self.unreadable();
        };
        match dialect::first_event(dialect, &body, end) {
            FirstEvent::NeedMore if !end => AnswerBody {
                hold: true,
                ..AnswerBody::default()
            },
            FirstEvent::NeedMore => self.unreadable(),
            FirstEvent::Failed { status, body } => {
                self.replaced_by_error(status, body, Code::UpstreamError)
            }
            FirstEvent::Good => {
                let asked = self
                    .request
                    .as_ref()
                    .is_some_and(|request| request.include_usage);
                let created_s = env.now_ms / 1000;
                let decoder = StreamDecoder::new(dialect, &model, created_s, &self.id, asked);
                self.answer.decoder = Some(decoder);
                self.answer.mode = AnswerMode::Stream;
                if self.wishes.cache_store && self.cache_key.is_some() {
                    self.answer.captured = Some(Vec::new());
                }
                let mut step = self.stream(env, &body, end);
                step.headers = Some(self.answer_headers(None, None));
                step
            }
        }
    }

    fn stream(&mut self, env: &mut Env<'_>, chunk: &[u8], end: bool) -> AnswerBody {
        let Some(mut decoder) = self.answer.decoder.take() else {
            // The stream is complete: what a provider sends after its own end is not passed on.
            return AnswerBody {
                body: Some(Vec::new()),
                ..AnswerBody::default()
            };
        };
        let mut out = Vec::with_capacity(chunk.len().saturating_add(64));
        decoder.push(chunk, &mut out);
        if end && !decoder.finished() && !decoder.failed() {
            decoder.end(&mut out);
        }
        self.capture(&out);
        if decoder.text_bytes() >= limits::METER_TEXT_BYTES_MAX {
            self.meter_text(env, &mut decoder);
        }
        let mut put = None;
        if decoder.failed() {
            self.meter(env, &mut decoder);
            self.answer.captured = None;
            self.outcome.code = Some(Code::UpstreamStreamInterrupted);
            self.finish(Ending::UpstreamCut);
        } else if decoder.finished() {
            let usage = self.meter(env, &mut decoder);
            let cost = self.price(&usage);
            if let Some(captured) = self.answer.captured.take() {
                put = self.cache_put(&captured, true, usage);
            }
            let metadata = self.metadata(false, cost, Some(usage));
            if decoder.usage().is_none() {
                decoder.set_usage(usage);
            }
            decoder.tail(&metadata, &mut out);
            self.finish(Ending::Done);
        } else {
            self.answer.decoder = Some(decoder);
        }
        AnswerBody {
            hold: false,
            headers: None,
            body: Some(out),
            put,
        }
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
    pub(super) fn meter(&mut self, env: &mut Env<'_>, decoder: &mut StreamDecoder) -> Usage {
        self.outcome.usage = decoder.usage();
        if let Some(usage) = self.outcome.usage {
            return usage;
        }
        self.meter_text(env, decoder);
        Usage {
            input: self.tokens_in,
            output: self.outcome.metered_output,
            ..Usage::default()
        }
    }

    fn meter_text(&mut self, env: &mut Env<'_>, decoder: &mut StreamDecoder) {
        if let Some(text) = decoder.take_text() {
            let counted = self.count(env, &text);
            self.outcome.metered_output = self.outcome.metered_output.saturating_add(counted);
        }
    }

    fn count(&self, env: &mut Env<'_>, text: &str) -> u64 {
        let model = self
            .target()
            .map(|target| target.model.as_str())
            .unwrap_or_default();
        env.tokenizers.count(Encoding::of_model(model), text)
    }

    pub(super) fn price(&self, usage: &Usage) -> NanoUsd {
        self.target()
            .map_or(0, |target| price::cost(&target.price, usage))
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
        let Some((dialect, _)) = self.dialect_and_model() else {
            return self.unreadable();
        };
        let answer = dialect::decode_error(dialect, self.answer.status, &body);
        if let Some(wait_s) = answer.retry_after_s
            && self.answer.head.get("retry-after").is_none()
        {
            self.answer.head.push("retry-after", wait_s.to_string());
        }
        self.replaced_by_error(answer.status, answer.body, code)
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
        let mut headers = self.answer_headers(None, Some(body.len()));
        if let Some(retry) = code.row().should_retry {
            headers.push("x-should-retry", if retry { "true" } else { "false" });
        }
        self.finish(Ending::Done);
        self.answer.mode = AnswerMode::Opaque;
        AnswerBody {
            hold: false,
            headers: Some(headers),
            body: Some(body),
            put: None,
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

    fn dialect_and_model(&self) -> Option<(Dialect, String)> {
        let target = self.target()?;
        Some((target.provider.dialect, target.model.clone()))
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

    /// A cached answer, replayed in the form it was asked for.
    pub(super) fn replay(&mut self, _env: &Env<'_>, cached: &CachedAnswer) -> Step {
        self.outcome.cache = CacheStatus::Hit;
        self.outcome.usage = Some(cached.usage);
        let asked = self
            .request
            .as_ref()
            .is_some_and(|request| request.include_usage);
        let metadata = metadata(
            true,
            &cached.provider,
            0,
            cached.stream.then_some(cached.usage),
        );
        let (kind, body) = if cached.stream {
            // What the cache holds went through a decoder before: this pass changes nothing in it
            // and learns what the tail has to repeat.
            let mut body = Vec::with_capacity(cached.body.len().saturating_add(512));
            let mut decoder =
                StreamDecoder::new(Dialect::Openai, &cached.model, 0, &self.id, asked);
            decoder.push(cached.body.as_bytes(), &mut body);
            decoder.set_usage(cached.usage);
            decoder.tail(&metadata, &mut body);
            ("text/event-stream", body)
        } else {
            (
                "application/json",
                with_metadata(cached.body.as_bytes(), &metadata),
            )
        };
        let mut headers = self.reply_headers(kind);
        push_result(
            &mut headers,
            &cached.provider,
            &cached.model,
            Some((0, cached.usage)),
        );
        let step = self.reply(Reply {
            status: 200,
            headers,
            body,
        });
        self.outcome.code = None;
        self.outcome.ending = Some(Ending::Done);
        self.replayed_from = Some((cached.provider.clone(), cached.model.clone()));
        step
    }

    /// Head of an answer: the provider's own, less what stays behind, and ours.
    fn answer_headers(&self, result: Option<(NanoUsd, Usage)>, length: Option<usize>) -> Headers {
        let ours = self.rate.is_some();
        let mut headers = self.answer.head.filtered(|name| {
            name != b":status"
                && name != b"x-envoy-attempt-count"
                && (!stays_behind(name))
                && (length.is_none() || name != b"content-type")
                && !(ours && name.starts_with(b"x-ratelimit-"))
        });
        headers.push(":status", self.answer.status.to_string());
        let foreign = |kind: &[u8]| {
            dialect::is_stream(kind) && !kind.starts_with(dialect::EVENT_STREAM.as_bytes())
        };
        if length.is_none() && headers.get("content-type").is_some_and(foreign) {
            headers = headers.filtered(|name| name != b"content-type");
            headers.push("content-type", dialect::EVENT_STREAM);
        }
        if let Some(length) = length {
            headers.push("content-type", "application/json");
            headers.push("content-length", length.to_string());
        }
        self.push_common(&mut headers);
        if let Some(target) = self.target() {
            push_result(&mut headers, &target.provider.name, &target.model, result);
        }
        if result.is_none() && self.tokens_in > 0 {
            headers.push("x-weir-tokens-in", self.tokens_in.to_string());
        }
        headers.push("x-weir-attempts", self.progress.attempts.to_string());
        headers
    }
}

fn push_result(
    headers: &mut Headers,
    provider: &str,
    model: &str,
    result: Option<(NanoUsd, Usage)>,
) {
    headers.push("x-weir-provider", provider);
    headers.push("x-weir-model", model);
    if let Some((cost, usage)) = result {
        headers.push("x-weir-cost-usd", price::usd(cost));
        headers.push("x-weir-tokens-in", usage.input.to_string());
        headers.push("x-weir-tokens-out", usage.output.to_string());
    }
}

fn metadata(hit: bool, provider: &str, cost: NanoUsd, usage: Option<Usage>) -> String {
    let mut out = format!("{{\"cache_hit\":{hit},\"provider\":\"").into_bytes();
    json::escape_into(provider, &mut out);
    out.extend_from_slice(format!("\",\"cost_usd\":{}", price::usd(cost)).as_bytes());
    if let Some(usage) = usage {
        let tokens = format!(
            ",\"tokens_in\":{},\"tokens_out\":{}",
            usage.input, usage.output
        );
        out.extend_from_slice(tokens.as_bytes());
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default()
}

/// Adds `metadata` to an answer. A provider's own object keeps its members.
fn with_metadata(body: &[u8], metadata: &str) -> Vec<u8> {
    let Ok(root) = json::document(body) else {
        return body.to_vec();
    };
    let mut edits = Edits::default();
    match json::member(body, root, "metadata") {
        Some(own) if json::kind(body, own) == Some(Kind::Object) => {
            if let Ok(ours) = json::document(metadata.as_bytes()) {
                let mut merged = Edits::default();
                for member in json::members(metadata.as_bytes(), ours) {
                    let name = String::from_utf8_lossy(member.key.of(metadata.as_bytes()));
                    merged.set_member(body, own, &name, member.value.of(metadata.as_bytes()));
                }
                return merged.apply(body);
            }
        }
        _ => edits.set_member(body, root, "metadata", metadata.as_bytes()),
    }
    edits.apply(body)
}
