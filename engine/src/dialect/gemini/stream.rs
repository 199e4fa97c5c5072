//! A stream of answers, each with what is new in it.

use super::answer::call_id;
use super::{Part, finish_reason, is_blocked, logprobs, parts, text, usage};
use crate::dialect::completion::{Call, Chunks};
use crate::dialect::failure;
use crate::dialect::stream::{Context, Step};
use crate::json::{self, Kind, Span};
use crate::usage::Usage;

/// Candidates of one stream. Further ones are passed over.
const CANDIDATES_MAX: usize = 128;

/// What a stream's events change.
#[derive(Clone, Debug, Default)]
pub(in crate::dialect) struct Stream {
    candidates: Vec<Candidate>,
    /// Each event repeats it, and the last one counts.
    usage: Option<Usage>,
}

#[derive(Clone, Debug)]
struct Candidate {
    chunks: Chunks,
    calls: usize,
}

impl Stream {
    /// The figures so far, once the provider has counted output or has ended.
    pub(in crate::dialect) fn usage(&self) -> Option<Usage> {
        let ended = self.candidates.iter().any(|it| it.chunks.ended);
        self.usage.filter(|usage| ended || usage.output > 0)
    }

    /// Takes the data of one event.
    pub(in crate::dialect) fn event(
        &mut self,
        data: &[u8],
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        let Ok(root) = json::document(data) else {
            return Step::Invalid;
        };
        let is_object = json::kind(data, root) == Some(Kind::Object);
        if !is_object || json::member(data, root, "error").is_some() {
            return match failure::reported(data, root) {
                Some(error) => Step::Reported(error),
                None => Step::Invalid,
            };
        }
        if !context.head.is_known {
            self.take_head(data, root, context);
        }
        self.usage = usage(data, root).or(self.usage);
        let list = json::member(data, root, "candidates").unwrap_or_default();
        for (position, candidate) in json::elements(data, list).enumerate() {
            self.candidate(data, candidate, position, context, out);
        }
        if self.candidates.is_empty() && is_blocked(data, root) {
            let mut chunks = Chunks::new(0);
            chunks.finish("content_filter", &[], context, out);
            self.candidates.push(Candidate { chunks, calls: 0 });
        }
        let ended = self.candidates.iter().all(|it| it.chunks.ended);
        if ended && !self.candidates.is_empty() {
            Step::MayEnd
        } else {
            Step::Go
        }
    }

    fn take_head(&self, data: &[u8], root: Span, context: &mut Context<'_>) {
        let Some(id) = text(data, root, "responseId").filter(|id| !id.is_empty()) else {
            return;
        };
        let mut json = Vec::new();
        let mut out = json::Writer::new(&mut json);
        out.string(&format!("chatcmpl-{id}"));
        context.head.id = json;
        context.head.is_known = true;
        if let Some(model) = json::member(data, root, "modelVersion").filter(|it| it.len() > 2) {
            context.head.model = model.of(data).to_vec();
        }
    }

    fn candidate(
        &mut self,
        data: &[u8],
        span: Span,
        position: usize,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let index = json::member(data, span, "index");
        let index = index.and_then(|index| json::number_u64(data, index));
        let index = index.unwrap_or(position as u64);
        let known = self
            .candidates
            .iter()
            .position(|it| it.chunks.index == index);
        if known.is_none() && self.candidates.len() < CANDIDATES_MAX {
            self.candidates.push(Candidate {
                chunks: Chunks::new(index),
                calls: 0,
            });
        }
        let at = known.unwrap_or(self.candidates.len().saturating_sub(1));
        let Some(candidate) = self
            .candidates
            .get_mut(at)
            .filter(|it| it.chunks.index == index && !it.chunks.ended)
        else {
            return;
        };
        for part in parts(data, span) {
            candidate.part(part, context, out);
        }
        if let Some(reason) = text(data, span, "finishReason").filter(|it| !it.is_empty()) {
            let reason = finish_reason(&reason, candidate.calls > 0);
            let logprobs = logprobs(data, span);
            candidate.chunks.finish(reason, &logprobs, context, out);
        }
    }
}

impl Candidate {
    fn part(&mut self, part: Part<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) {
        match part {
            Part::Text(text) => {
                context.text.push_str(&text);
                self.chunks
                    .delta(context, out, |out| out.key("content").string(&text));
            }
            Part::Thought(text) => {
                context.text.push_str(&text);
                self.chunks.delta(context, out, |out| {
                    out.key("reasoning_content").string(&text)
                });
            }
            Part::Call {
                id,
                name,
                arguments,
                signature,
            } => {
                context.text.push_str(&name);
                context.text.push_str(&arguments);
                let number = self.calls;
                self.calls = self.calls.saturating_add(1);
                let answer = context.head.bare_id();
                let answer = answer.strip_prefix("chatcmpl-").unwrap_or(&answer);
                let index = self.chunks.index;
                let call = Call {
                    id: id.map_or_else(|| call_id(answer, index, number), |id| id.into_owned()),
                    name: name.into_owned(),
                    arguments,
                    thought_signature: signature,
                };
                self.chunks.delta(context, out, |out| {
                    out.key("tool_calls")
                        .array(|out| call.write(Some(number as u64), out));
                });
            }
        }
    }
}
