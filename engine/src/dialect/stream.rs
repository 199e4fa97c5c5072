//! A provider's event stream as OpenAI's, event by event.

use super::failure::{self, Reported, code_body};
use super::mould::Mould;
use super::openai::chunk;
use super::openai::write_usage;
use super::{anthropic, bedrock, gemini, imitation, openai};
use crate::event_stream::{self, Message};
use crate::json::{self, Span, Writer};
use crate::reply::Code;
use crate::sse::{self, Event, Splitter};
use crate::usage::Usage;
use crate::wire::Dialect;

/// Decodes one stream.
///
/// What comes out at [`StreamDecoder::push`] may go to the client at once. The end is held back:
/// usage and `[DONE]` are written by [`StreamDecoder::tail`], after the caller has settled.
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    cutter: Cutter,
    state: State,
}

/// How a stream is cut into events.
#[derive(Clone, Debug)]
enum Cutter {
    Events(Splitter),
    Messages(event_stream::Splitter),
}

/// Why a stream is ended before its provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing covers a longer answer.
    Length,
    /// What follows may not be shown.
    ContentFilter,
}

impl Stop {
    /// OpenAI's `finish_reason`.
    pub fn finish_reason(self) -> &'static str {
        match self {
            Stop::Length => "length",
            Stop::ContentFilter => "content_filter",
        }
    }
}

#[derive(Clone, Debug)]
struct State {
    dialect: Dialect,
    wire: Wire,
    head: Head,
    include_usage: bool,
    end: End,
    /// The provider itself has said why it failed.
    reported: bool,
    /// What guardrails did, as JSON, for the last chunk.
    report: Option<Vec<u8>>,
    /// A choice has named why it ended.
    finish_seen: bool,
    usage: Option<Usage>,
    /// `usage` as the provider wrote it on a chunk with choices.
    usage_json: Vec<u8>,
    /// The provider's usage chunk, as received.
    usage_chunk: Vec<u8>,
    text: String,
}

#[derive(Clone, Debug)]
enum Wire {
    Openai(Mould),
    Translated(Box<Translated>),
}

/// A stream that is written anew.
#[derive(Clone, Debug)]
enum Translated {
    Anthropic(anthropic::Stream),
    Bedrock(bedrock::Stream),
    Gemini(gemini::Stream),
    Imitation(imitation::Stream),
}

/// What the decoder lends.
pub(super) struct Context<'a> {
    pub(super) head: &'a mut Head,
    pub(super) text: &'a mut String,
    pub(super) include_usage: bool,
}

/// What an event means for the stream as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Go,
    /// A choice has said why it ended: the stream may end now without more.
    MayEnd,
    Finished,
    /// Not a document: a piece of the answer is lost.
    Invalid,
    Reported(Reported),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Finished,
    Failed,
}

/// What every chunk of a stream repeats, as JSON values.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) id: Vec<u8>,
    pub(super) created: Vec<u8>,
    pub(super) model: Vec<u8>,
    /// Taken from the provider, not made up here.
    pub(super) is_known: bool,
    /// The chunks are those of older completions.
    is_older: bool,
}

impl Wire {
    fn translated(stream: Translated) -> Wire {
        Wire::Translated(Box::new(stream))
    }
}

impl StreamDecoder {
    /// A decoder for the stream of one attempt. `created_s` is in Unix seconds; it, `model_asked`
    /// and `exchange` stand in for what the provider does not say.
    pub fn new(
        dialect: Dialect,
        model_asked: &str,
        created_s: u64,
        exchange: &str,
        include_usage: bool,
    ) -> StreamDecoder {
        let quoted = |text: &str| {
            let mut json = Vec::with_capacity(text.len() + 2);
            Writer::new(&mut json).string(text);
            json
        };
        StreamDecoder {
            cutter: match dialect {
                Dialect::Bedrock => Cutter::Messages(event_stream::Splitter::default()),
                _ => Cutter::Events(Splitter::default()),
            },
            state: State {
                dialect,
                wire: match dialect {
                    Dialect::Openai => Wire::Openai(Mould::default()),
                    Dialect::Anthropic => {
                        Wire::translated(Translated::Anthropic(Default::default()))
                    }
                    Dialect::Bedrock => Wire::translated(Translated::Bedrock(Default::default())),
                    Dialect::Gemini | Dialect::Vertex => {
                        Wire::translated(Translated::Gemini(Default::default()))
                    }
                    _ => Wire::translated(Translated::Imitation(Default::default())),
                },
                head: Head {
                    id: quoted(&format!("chatcmpl-{exchange}")),
                    created: created_s.to_string().into_bytes(),
                    model: quoted(model_asked),
                    is_known: false,
                    is_older: false,
                },
                include_usage,
                end: End::Open,
                reported: false,
                report: None,
                finish_seen: false,
                usage: None,
                usage_json: Vec::new(),
                usage_chunk: Vec::new(),
                text: String::new(),
            },
        }
    }

    /// Takes the provider's next bytes and appends what the client may have of them.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let StreamDecoder { cutter, state } = self;
        if state.end != End::Open {
            return;
        }
        let is_whole = match cutter {
            Cutter::Events(splitter) => splitter
                .push(chunk, |event| state.event(&event, out))
                .is_ok(),
            Cutter::Messages(splitter) => splitter
                .push(chunk, |message| state.message(message, out))
                .is_ok(),
        };
        if !is_whole {
            state.fail(&code_body(Code::UpstreamInvalidAnswer), out);
        }
    }

    /// The provider has closed the stream. An end that is not the format's own becomes an error
    /// event, and no `[DONE]` may follow.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        let StreamDecoder { cutter, state } = self;
        if let Cutter::Events(splitter) = cutter {
            splitter.finish(|event| state.last_event(&event, out));
        }
        if state.end == End::Open && state.finish_seen {
            state.end = End::Finished;
        }
        state.fail(&code_body(Code::UpstreamStreamInterrupted), out);
    }

    /// Ends the stream before the provider does: each of `choices` gets its reason, and what of an event
    /// has come is dropped. [`StreamDecoder::tail`] then ends it.
    pub fn stop(&mut self, why: Stop, choices: u32, out: &mut Vec<u8>) {
        // What is not to be shown may have come with the provider's own end.
        if self.state.end != End::Open && why == Stop::Length {
            return;
        }
        for index in 0..choices.max(1) {
            let mut chunk = Vec::new();
            self.state
                .finish_chunk(index, why.finish_reason(), &mut Writer::new(&mut chunk));
            sse::write_event(&chunk, out);
        }
        self.state.end = End::Finished;
    }

    /// Anthropic's number of the content block that has begun and not ended.
    pub fn open_block(&self) -> Option<u64> {
        match &self.state.wire {
            Wire::Translated(stream) => match stream.as_ref() {
                Translated::Anthropic(stream) => stream.open_block(),
                _ => None,
            },
            Wire::Openai(_) => None,
        }
    }

    /// Whether the provider's own end was seen.
    pub fn finished(&self) -> bool {
        self.state.end == End::Finished
    }

    /// Whether the stream broke off or reported an error; the client has been told.
    pub fn failed(&self) -> bool {
        self.state.end == End::Failed
    }

    /// Whether it failed by an error that the provider sent.
    pub fn reported(&self) -> bool {
        self.state.reported
    }

    /// How many of the bytes pushed last belong to an event that is not complete.
    pub fn pending(&self) -> usize {
        match &self.cutter {
            Cutter::Events(splitter) => splitter.pending(),
            Cutter::Messages(_) => 0,
        }
    }

    /// What the provider says the exchange consumed, once it has said all of it.
    pub fn usage(&self) -> Option<Usage> {
        self.state.usage
    }

    /// The caller's own count, for a provider that sends none; [`StreamDecoder::tail`] reports it.
    pub fn set_usage(&mut self, usage: Usage) {
        self.state.usage = Some(usage);
    }

    /// Bytes that [`StreamDecoder::take_text`] would give. A caller takes them at the latest at
    /// [`crate::limits::METER_TEXT_BYTES_MAX`]: one push adds no more than its own length.
    pub fn text_bytes(&self) -> usize {
        self.state.text.len()
    }

    /// The text that [`StreamDecoder::take_text`] would give.
    pub fn text(&self) -> &str {
        &self.state.text
    }

    /// The text delivered since the last take (content, reasoning, calls), for counting.
    pub fn take_text(&mut self) -> Option<String> {
        let text = std::mem::take(&mut self.state.text);
        (!text.is_empty()).then_some(text)
    }

    /// What guardrails did, as JSON: the last chunk says it.
    pub fn report(&mut self, hook_results: Vec<u8>) {
        self.state.report = Some(hook_results);
    }

    /// Ends a stream that has finished: the usage chunk with `metadata_json` in it when the client
    /// asked for usage, else that object in a comment; then `[DONE]`. Nothing after a failure.
    pub fn tail(&mut self, metadata_json: &str, out: &mut Vec<u8>) {
        if self.state.end == End::Failed {
            return;
        }
        match self.state.usage_chunk(metadata_json) {
            Some(chunk) if self.state.include_usage => sse::write_event(&chunk, out),
            _ => {
                out.extend_from_slice(b": weir ");
                out.extend_from_slice(metadata_json.as_bytes());
                out.extend_from_slice(b"\n\n");
                if let Some(chunk) = self.state.report_chunk() {
                    sse::write_event(&chunk, out);
                }
            }
        }
        sse::write_event(b"[DONE]", out);
        self.state.end = End::Finished;
    }
}

impl State {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.end != End::Open {
            return;
        }
        match self.wire {
            Wire::Openai(_) => self.openai_event(event, out),
            Wire::Translated(_) => self.translated_event(event.data.trim_ascii(), out),
        }
    }

    /// An event without its blank line may be cut anywhere: only a whole document counts.
    fn last_event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let data = event.data.trim_ascii();
        if data == b"[DONE]" || json::document(data).is_ok() {
            let mut raw = Vec::new();
            sse::write_event(data, &mut raw);
            self.event(
                &Event {
                    raw: &raw,
                    ..event.clone()
                },
                out,
            );
        }
    }

    fn openai_event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let data = event.data.trim_ascii();
        match data.first() {
            Some(b'{') => {}
            None => return out.extend_from_slice(event.raw),
            Some(_) => {
                // Whatever else is no chunk, and clients expect nothing but chunks.
                if data == b"[DONE]" {
                    self.end = End::Finished;
                }
                return;
            }
        }
        let Wire::Openai(mould) = &mut self.wire else {
            return;
        };
        if let Some(text) = mould.text_of(data).and_then(json::unescaped) {
            self.text.push_str(&text);
            return out.extend_from_slice(event.raw);
        }
        let chunk = chunk::look(data, &mut self.text);
        if !chunk.is_whole {
            return self.fail(&code_body(Code::UpstreamInvalidAnswer), out);
        }
        if let Some(error) = openai_error(event, data, chunk.error) {
            self.reported = true;
            return self.fail(&error.event(Dialect::Openai), out);
        }
        if !self.head.is_known {
            self.head.take(data, chunk.id, chunk.created, chunk.model);
        }
        self.head.is_older |= chunk.is_older;
        self.finish_seen |= chunk.finish;
        if let Some(value) = chunk.usage
            && let Some(usage) = openai::usage(data, value)
        {
            self.usage = Some(usage);
            if !chunk.has_choices {
                self.usage_chunk = data.to_vec();
                return;
            }
            self.usage_json.clear();
            self.usage_json.extend_from_slice(value.of(data));
        } else if let (Wire::Openai(mould), Some(text)) = (&mut self.wire, chunk.only_text()) {
            mould.remember(data, text, chunk.obfuscation);
        }
        out.extend_from_slice(event.raw);
    }

    fn translated_event(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if data.is_empty() {
            return;
        }
        let step = self.translate(|stream, context| match stream {
            Translated::Anthropic(stream) => (stream.event(data, context, out), stream.usage()),
            // Cut into messages, not into events.
            Translated::Bedrock(stream) => (Step::Invalid, stream.usage()),
            Translated::Gemini(stream) => (stream.event(data, context, out), stream.usage()),
            Translated::Imitation(stream) => (stream.event(data, context, out), stream.usage()),
        });
        self.step(step, out);
    }

    fn message(&mut self, message: Message<'_>, out: &mut Vec<u8>) {
        if self.end != End::Open {
            return;
        }
        let step = self.translate(|stream, context| match stream {
            Translated::Bedrock(stream) => (stream.message(message, context, out), stream.usage()),
            _ => (Step::Invalid, None),
        });
        self.step(step, out);
    }

    fn translate(
        &mut self,
        take: impl FnOnce(&mut Translated, &mut Context<'_>) -> (Step, Option<Usage>),
    ) -> Step {
        let Wire::Translated(stream) = &mut self.wire else {
            return Step::Go;
        };
        let mut context = Context {
            head: &mut self.head,
            text: &mut self.text,
            include_usage: self.include_usage,
        };
        let (step, usage) = take(stream, &mut context);
        self.usage = usage;
        step
    }

    fn step(&mut self, step: Step, out: &mut Vec<u8>) {
        match step {
            Step::Go => {}
            Step::MayEnd => self.finish_seen = true,
            Step::Finished => self.end = End::Finished,
            Step::Reported(error) => {
                self.reported = true;
                self.fail(&error.event(self.dialect), out);
            }
            Step::Invalid => self.fail(&code_body(Code::UpstreamInvalidAnswer), out),
        }
    }

    fn fail(&mut self, error: &[u8], out: &mut Vec<u8>) {
        if self.end == End::Open {
            sse::write_event(error, out);
            self.end = End::Failed;
        }
    }

    fn finish_chunk(&self, index: u32, reason: &str, out: &mut Writer<'_>) {
        out.object(|out| {
            self.head.write(out);
            out.key("choices").array(|out| {
                out.object(|out| {
                    out.key("index").number(u64::from(index));
                    if self.head.is_older {
                        out.key("text").string("");
                    } else {
                        out.key("delta").object(|_| {});
                    }
                    out.key("logprobs").null();
                    out.key("finish_reason").string(reason);
                });
            });
            if self.include_usage {
                out.key("usage").null();
            }
        });
    }

    fn usage_chunk(&self, metadata_json: &str) -> Option<Vec<u8>> {
        if let Some(open) = self.usage_chunk.strip_suffix(b"}") {
            let mut chunk = [open, b",\"metadata\":", metadata_json.as_bytes()].concat();
            if let Some(report) = &self.report {
                Writer::new(&mut chunk).key("hook_results").raw(report);
            }
            chunk.push(b'}');
            return Some(chunk);
        }
        let usage = self.usage?;
        let mut chunk = Vec::new();
        Writer::new(&mut chunk).object(|out| {
            self.head.write(out);
            out.key("choices").array(|_| {});
            out.key("usage");
            match self.usage_json.as_slice() {
                [] => write_usage(&usage, out),
                json => out.raw(json),
            }
            out.key("metadata").raw(metadata_json.as_bytes());
            if let Some(report) = &self.report {
                out.key("hook_results").raw(report);
            }
        });
        Some(chunk)
    }

    /// A chunk for the report alone.
    fn report_chunk(&self) -> Option<Vec<u8>> {
        let report = self.report.as_ref()?;
        let mut chunk = Vec::new();
        Writer::new(&mut chunk).object(|out| {
            self.head.write(out);
            out.key("choices").array(|_| {});
            out.key("hook_results").raw(report);
        });
        Some(chunk)
    }
}

impl Head {
    /// Takes over the provider's values, JSON as they are.
    pub(super) fn take(
        &mut self,
        data: &[u8],
        id: Option<Span>,
        created: Option<Span>,
        model: Option<Span>,
    ) {
        // Azure's first chunk has empty strings here: two quotes.
        let some =
            |value: Option<Span>| value.map(|value| value.of(data)).filter(|it| it.len() > 2);
        let Some(id) = some(id) else { return };
        self.is_known = true;
        self.id = id.to_vec();
        if let Some(created) = some(created) {
            self.created = created.to_vec();
        }
        if let Some(model) = some(model) {
            self.model = model.to_vec();
        }
    }

    /// The id without its quotes.
    pub(super) fn bare_id(&self) -> String {
        let id = self.id.strip_prefix(b"\"").unwrap_or(&self.id);
        let id = id.strip_suffix(b"\"").unwrap_or(id);
        String::from_utf8_lossy(id).into_owned()
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        out.key("id").raw(&self.id);
        out.key("object").string(if self.is_older {
            "text_completion"
        } else {
            "chat.completion.chunk"
        });
        out.key("created").raw(&self.created);
        out.key("model").raw(&self.model);
    }
}

fn openai_error(event: &Event<'_>, data: &[u8], error: Option<Span>) -> Option<Reported> {
    match error {
        Some(error) => failure::from_error(data, error),
        None if event.name == Some(b"error") => failure::from_message(
            data,
            Span {
                start: 0,
                end: data.len(),
            },
        ),
        None => None,
    }
}
