//! A stream, chunk by chunk.

use super::{Context, Echo, finish_reason, logprobs, said, some, write_head, write_text};
use crate::json::{self, Span, Writer};
use crate::request::CHOICES_MAX;
use crate::sse;

#[derive(Clone, Debug)]
pub(in crate::ingress) struct Stream {
    exchange: String,
    created_s: u64,
    model: String,
    echo: Echo,
    /// By index, those that have begun; at most [`CHOICES_MAX`].
    choices: Vec<Choice>,
    /// The client was told of an error, and gets nothing after it.
    has_failed: bool,
}

/// How far a choice has come.
#[derive(Clone, Copy, Debug, Default)]
struct Choice {
    has_begun: bool,
    /// Characters delivered, the prompt's among them; counted where `logprobs` need it.
    chars: u64,
}

/// A choice of a chunk that has something to deliver.
struct Piece {
    choice: Span,
    index: u64,
    said: Vec<Span>,
    /// It is the choice's first, and the prompt comes before it.
    has_prompt: bool,
    /// Characters before what is said here.
    start: u64,
}

impl Stream {
    pub(in crate::ingress) fn new(context: &Context<'_>) -> Stream {
        Stream {
            exchange: context.exchange.to_owned(),
            created_s: context.created_s,
            model: context.model.to_owned(),
            echo: Echo::read(context),
            choices: Vec::new(),
            has_failed: false,
        }
    }

    /// A chunk: a valid document.
    pub(in crate::ingress) fn chunk(&mut self, data: &[u8], root: Span, out: &mut Vec<u8>) {
        if self.has_failed {
            return;
        }
        let choices = json::member(data, root, "choices").unwrap_or_default();
        if json::elements(data, choices).next().is_none() {
            return self.figures(data, root, out);
        }
        let pieces: Vec<Piece> = json::elements(data, choices)
            .filter_map(|choice| self.piece(data, choice))
            .collect();
        if pieces.is_empty() {
            return;
        }
        out.extend_from_slice(b"data: ");
        Writer::new(out).object(|out| {
            write_head(data, root, &self.context(), out);
            out.key("choices").array(|out| {
                for piece in &pieces {
                    out.object(|out| self.write(data, piece, out));
                }
            });
            if self.echo.usage {
                out.key("usage").null();
            }
        });
        out.extend_from_slice(b"\n\n");
    }

    /// What a choice of a chunk delivers; `None` for one that says nothing in this format, such as a
    /// role or reasoning.
    fn piece(&mut self, data: &[u8], choice: Span) -> Option<Piece> {
        let index = json::member(data, choice, "index")
            .and_then(|index| json::number_u64(data, index))
            .unwrap_or_default();
        let place = usize::try_from(index)
            .ok()
            .filter(|_| index < CHOICES_MAX)?;
        if self.choices.len() <= place {
            self.choices
                .resize(place.saturating_add(1), Choice::default());
        }
        let state = self.choices.get_mut(place)?;
        let delta = json::member(data, choice, "delta").unwrap_or_default();
        let said = said(data, delta);
        let has_prompt = !state.has_begun && self.echo.prompt.is_some();
        let says_something = has_prompt
            || said.iter().any(|text| !text.is_empty())
            || some(data, choice, "logprobs").is_some()
            || finish_reason(data, choice).is_some();
        if !says_something {
            return None;
        }
        if has_prompt && self.echo.logprobs {
            state.chars = self.echo.prompt.as_deref().map_or(0, logprobs::chars);
        }
        let start = state.chars;
        if self.echo.logprobs {
            let more = said.iter().map(|text| logprobs::chars(text.of(data)));
            state.chars = more.fold(start, u64::saturating_add);
        }
        state.has_begun = true;
        Some(Piece {
            choice,
            index,
            said,
            has_prompt,
            start,
        })
    }

    fn write(&self, data: &[u8], piece: &Piece, out: &mut Writer<'_>) {
        let prompt = self.echo.prompt.as_deref().filter(|_| piece.has_prompt);
        write_text(data, prompt, &piece.said, out);
        out.key("index").number(piece.index);
        logprobs::write(data, piece.choice, piece.start, out.key("logprobs"));
        match finish_reason(data, piece.choice) {
            Some(reason) => out.key("finish_reason").string(reason),
            None => out.key("finish_reason").null(),
        }
    }

    /// The chunk without choices that ends a stream: what it consumed and what it cost. A client
    /// that did not ask for it gets the cost in a comment.
    fn figures(&self, data: &[u8], root: Span, out: &mut Vec<u8>) {
        let usage = some(data, root, "usage");
        let metadata = some(data, root, "metadata");
        if usage.is_none() && metadata.is_none() {
            return;
        }
        if !self.echo.usage {
            if let Some(metadata) = metadata {
                out.extend_from_slice(b": weir ");
                json::compact_into(data, metadata, out);
                out.extend_from_slice(b"\n\n");
            }
            return;
        }
        out.extend_from_slice(b"data: ");
        Writer::new(out).object(|out| {
            write_head(data, root, &self.context(), out);
            out.key("choices").array(|_| {});
            for (name, value) in [("usage", usage), ("metadata", metadata)] {
                if let Some(value) = value {
                    out.key(name).copy(data, value);
                }
            }
        });
        out.extend_from_slice(b"\n\n");
    }

    /// An error in place of the rest: a valid document with OpenAI's `error`.
    pub(in crate::ingress) fn error(&mut self, data: &[u8], _root: Span, out: &mut Vec<u8>) {
        if !self.has_failed {
            self.has_failed = true;
            sse::write_event(data, out);
        }
    }

    /// The end.
    pub(in crate::ingress) fn done(&mut self, out: &mut Vec<u8>) {
        if !self.has_failed {
            sse::write_event(b"[DONE]", out);
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            exchange: &self.exchange,
            created_s: self.created_s,
            model: &self.model,
            tokens_in: 0,
            echo: &[],
        }
    }
}
