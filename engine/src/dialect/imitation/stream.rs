//! A stream of chunks.

use super::{FAILED, Said, arguments, copy_others, finish_reason, some, text};
use crate::dialect::failure;
use crate::dialect::openai::{self, chunk};
use crate::dialect::stream::{Context, Step};
use crate::json::{self, Kind, Span, Writer};
use crate::sse;
use crate::usage::Usage;

/// Calls of one stream that are told apart. Pieces of further ones go to the last.
const CALLS_MAX: usize = 1024;
/// Filter results of the first chunk that are kept for the second. Longer ones are left out.
const FILTER_BYTES_MAX: usize = 64 * 1024;

/// What a stream's chunks change.
#[derive(Clone, Debug, Default)]
pub(in crate::dialect) struct Stream {
    choices: Vec<Choice>,
    usage: Option<Usage>,
    /// Azure's `prompt_filter_results` of a chunk without choices, to go with the next one.
    filter: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Choice {
    index: u64,
    ended: bool,
    calls: Vec<Call>,
}

#[derive(Clone, Debug)]
struct Call {
    /// The provider's index of it.
    theirs: u64,
    id: String,
    has_arguments: bool,
}

/// A call's piece, and which call of its choice it belongs to.
struct Piece {
    span: Span,
    at: usize,
    is_new: bool,
}

impl Stream {
    pub(in crate::dialect) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Takes the data of one event.
    pub(in crate::dialect) fn event(
        &mut self,
        data: &[u8],
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        if data == b"[DONE]" {
            self.complete_calls(None, context, out);
            return Step::Finished;
        }
        let Ok(root) = json::document(data) else {
            return Step::Invalid;
        };
        if json::kind(data, root) != Some(Kind::Object) {
            return Step::Go;
        }
        if let Some(error) = json::member(data, root, "error")
            && let Some(error) = failure::from_error(data, error)
        {
            return Step::Reported(error);
        }
        if !context.head.is_known {
            let member = |name| json::member(data, root, name);
            context
                .head
                .take(data, member("id"), member("created"), member("model"));
        }
        if let Some(usage) = some(data, root, "usage").and_then(|it| openai::usage(data, it)) {
            self.usage = Some(usage);
        }
        let Some(list) = json::member(data, root, "choices") else {
            // Mistral's errors have no member `error` around them.
            return failure::reported(data, root).map_or(Step::Go, Step::Reported);
        };
        let choices: Vec<Span> = json::elements(data, list).collect();
        if choices.is_empty() {
            self.keep_filter(data, root);
            return Step::Go;
        }
        if choices
            .iter()
            .any(|choice| text(data, *choice, "finish_reason").as_deref() == Some(FAILED))
        {
            return Step::Reported(failure::Reported::default());
        }
        self.chunk(data, root, &choices, context, out);
        if self.choices.iter().all(|choice| choice.ended) {
            Step::MayEnd
        } else {
            Step::Go
        }
    }

    fn keep_filter(&mut self, data: &[u8], root: Span) {
        if let Some(results) = some(data, root, "prompt_filter_results")
            && results.len() <= FILTER_BYTES_MAX
        {
            self.filter = results.of(data).to_vec();
        }
    }

    fn chunk(
        &mut self,
        data: &[u8],
        root: Span,
        choices: &[Span],
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let mut written = Vec::with_capacity(choices.len());
        for (position, span) in choices.iter().enumerate() {
            let index = json::member(data, *span, "index");
            let index = index.and_then(|index| json::number_u64(data, index));
            let index = index.unwrap_or(position as u64);
            let (at, is_first) = self.choice(index);
            if self.choices.get(at).is_some_and(|choice| choice.ended) {
                continue;
            }
            let pieces = self.pieces(at, data, *span, context);
            let reason = text(data, *span, "finish_reason").unwrap_or_default();
            let has_calls = self.choices.get(at).is_some_and(|it| !it.calls.is_empty());
            let ended = finish_reason(&reason, has_calls);
            if ended.is_some() {
                self.complete_calls(Some((at, &pieces)), context, out);
            }
            written.push((*span, at, is_first, pieces, ended));
        }
        if written.is_empty() {
            return;
        }
        let mut json = Vec::with_capacity(data.len());
        Writer::new(&mut json).object(|out| {
            context.head.write(out);
            out.key("choices").array(|out| {
                for (span, at, is_first, pieces, ended) in &written {
                    let Some(choice) = self.choices.get_mut(*at) else {
                        continue;
                    };
                    out.object(|out| choice.write(data, *span, *is_first, pieces, *ended, out));
                }
            });
            if context.include_usage {
                out.key("usage").null();
            }
            if !self.filter.is_empty() {
                out.key("prompt_filter_results").raw(&self.filter);
                self.filter.clear();
            }
            let known = [
                "id", "object", "created", "model", "choices", "usage", "error",
            ];
            copy_others(data, root, &known, out);
        });
        chunk::look(&json, context.text);
        sse::write_event(&json, out);
    }

    /// The choice called `index` by the provider, and whether this is its first chunk.
    fn choice(&mut self, index: u64) -> (usize, bool) {
        if let Some(at) = self.choices.iter().position(|it| it.index == index) {
            return (at, false);
        }
        self.choices.push(Choice {
            index,
            ended: false,
            calls: Vec::new(),
        });
        (self.choices.len().saturating_sub(1), true)
    }

    /// Finds the call of each piece. An index may be missing, or be 0 in all: a piece with an id of
    /// its own, or with a name and no index, begins a call.
    fn pieces(
        &mut self,
        at: usize,
        data: &[u8],
        choice: Span,
        context: &Context<'_>,
    ) -> Vec<Piece> {
        let delta = json::member(data, choice, "delta").unwrap_or_default();
        let list = json::member(data, delta, "tool_calls").unwrap_or_default();
        let Some(state) = self.choices.get_mut(at) else {
            return Vec::new();
        };
        let mut pieces = Vec::new();
        for span in json::elements(data, list) {
            let function = json::member(data, span, "function").unwrap_or_default();
            let id = text(data, span, "id").filter(|id| !id.is_empty());
            let theirs =
                json::member(data, span, "index").and_then(|index| json::number_u64(data, index));
            let has_name = text(data, function, "name").is_some_and(|name| !name.is_empty());
            let open = match theirs {
                Some(theirs) => state.calls.iter().rposition(|call| call.theirs == theirs),
                None => state.calls.len().checked_sub(1),
            };
            let goes_on =
                open.and_then(|at| state.calls.get(at))
                    .is_some_and(|open| match (&id, theirs) {
                        (Some(id), _) => open.id == **id,
                        (None, Some(_)) => true,
                        (None, None) => !has_name,
                    });
            let is_new = !goes_on && state.calls.len() < CALLS_MAX;
            if is_new {
                let number = state.calls.len();
                let made_up = || format!("call_{}_{at}_{number}", context.head.bare_id());
                state.calls.push(Call {
                    theirs: theirs.unwrap_or(number as u64),
                    id: id.map_or_else(made_up, |id| id.into_owned()),
                    has_arguments: false,
                });
            }
            let last = state.calls.len().saturating_sub(1);
            let at = if goes_on { open.unwrap_or(last) } else { last };
            if let Some(call) = state.calls.get_mut(at) {
                call.has_arguments |= arguments(data, function).is_some();
            }
            pieces.push(Piece { span, at, is_new });
        }
        pieces
    }

    /// Gives calls without any argument text theirs: none. `only` is a choice, and the pieces that
    /// are about to be written for it; without it every choice's calls are completed.
    fn complete_calls(
        &mut self,
        only: Option<(usize, &[Piece])>,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        for (at, choice) in self.choices.iter_mut().enumerate() {
            if only.is_some_and(|(wanted, _)| wanted != at) || choice.ended {
                continue;
            }
            let index = choice.index;
            for (number, call) in choice.calls.iter_mut().enumerate() {
                let coming =
                    only.is_some_and(|(_, pieces)| pieces.iter().any(|it| it.at == number));
                if call.has_arguments || coming {
                    continue;
                }
                call.has_arguments = true;
                let mut json = Vec::new();
                Writer::new(&mut json).object(|out| {
                    context.head.write(out);
                    out.key("choices").array(|out| {
                        out.object(|out| {
                            out.key("index").number(index);
                            out.key("delta").object(|out| {
                                out.key("tool_calls").array(|out| {
                                    out.object(|out| {
                                        out.key("index").number(number as u64);
                                        out.key("function")
                                            .object(|out| out.key("arguments").string("{}"));
                                    });
                                });
                            });
                            out.key("finish_reason").null();
                        });
                    });
                    if context.include_usage {
                        out.key("usage").null();
                    }
                });
                context.text.push_str("{}");
                sse::write_event(&json, out);
            }
        }
    }
}

impl Choice {
    fn write(
        &mut self,
        data: &[u8],
        span: Span,
        is_first: bool,
        pieces: &[Piece],
        ended: Option<&'static str>,
        out: &mut Writer<'_>,
    ) {
        out.key("index").number(self.index);
        let delta = json::member(data, span, "delta").unwrap_or_default();
        out.key("delta").object(|out| {
            if is_first {
                out.key("role").string("assistant");
            }
            let said = Said::read(data, delta);
            match &said.content {
                Some(content) => out.key("content").string(content),
                None if is_first && pieces.is_empty() => out.key("content").string(""),
                None => {}
            }
            if let Some(refusal) = text(data, delta, "refusal") {
                out.key("refusal").string(&refusal);
            }
            said.write_reasoning(out);
            if !pieces.is_empty() {
                out.key("tool_calls").array(|out| {
                    for piece in pieces {
                        self.write_piece(data, piece, ended.is_some(), out);
                    }
                });
            }
            let known = [
                "role",
                "content",
                "refusal",
                "reasoning_content",
                "reasoning",
                "tool_calls",
            ];
            copy_others(data, delta, &known, out);
        });
        if let Some(logprobs) = some(data, span, "logprobs") {
            out.key("logprobs").copy(data, logprobs);
        }
        match ended {
            Some(reason) => out.key("finish_reason").string(reason),
            None => out.key("finish_reason").null(),
        }
        // Perplexity repeats the whole message so far beside each delta.
        let known = ["index", "delta", "message", "logprobs", "finish_reason"];
        copy_others(data, span, &known, out);
        self.ended |= ended.is_some();
    }

    fn write_piece(&mut self, data: &[u8], piece: &Piece, is_last: bool, out: &mut Writer<'_>) {
        let Some(call) = self.calls.get_mut(piece.at) else {
            return;
        };
        let function = json::member(data, piece.span, "function").unwrap_or_default();
        out.object(|out| {
            out.key("index").number(piece.at as u64);
            if piece.is_new {
                out.key("id").string(&call.id);
                out.key("type").string("function");
            }
            out.key("function").object(|out| {
                if piece.is_new {
                    let name = text(data, function, "name").unwrap_or_default();
                    out.key("name").string(&name);
                }
                let arguments = arguments(data, function).unwrap_or_default();
                if arguments.is_empty() && is_last && !call.has_arguments {
                    call.has_arguments = true;
                    out.key("arguments").string("{}");
                } else {
                    out.key("arguments").string(&arguments);
                }
            });
            copy_others(data, piece.span, &["id", "type", "function", "index"], out);
        });
    }
}
