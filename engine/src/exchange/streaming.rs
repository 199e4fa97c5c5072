//! An answer that streams: what of each piece goes on, and what the end of it says.

use super::bound::{self, Room};
use super::stream::{AnswerStream, write_comment};
use super::{AnswerBody, AnswerMode, Endpoint, Env, Exchange};
use crate::dialect::{FirstEvent, Stop};
use crate::ingress::Ingress;
use crate::limits;
use crate::reply::Code;
use crate::tokens::Encoding;
use crate::usage::Usage;
use crate::wire::{CachePut, Ending};

impl Exchange {
    pub(super) fn stream_head(
        &mut self,
        env: &mut Env<'_>,
        body: Vec<u8>,
        end: bool,
    ) -> AnswerBody {
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

    pub(super) fn stream(&mut self, env: &mut Env<'_>, chunk: &[u8], end: bool) -> AnswerBody {
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
    pub(super) fn push<'a>(
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

    pub(super) fn choices(&self) -> u32 {
        self.request.as_ref().map_or(1, |request| request.choices)
    }

    /// The end of a stream: what it cost, and what the client's format has to say last.
    pub(super) fn close(
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

    pub(super) fn capture(&mut self, out: &[u8]) {
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
}
