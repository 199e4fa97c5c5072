//! What clients speak besides Chat Completions, translated to and from it.
//!
//! Every conversation takes one form in the middle: OpenAI's Chat Completions. A client's own form
//! is turned into it once, when the request arrives, and every answer is turned back; so each of
//! these formats works with every provider, and neither side knows of the other. Where a provider
//! speaks the client's own format nothing is translated (see [`crate::dialect::Form`]).

use serde::{Deserialize, Serialize};

use crate::json::{self, Span};
use crate::request::RequestError;
use crate::sse::{Event, Splitter};

mod completions;
mod messages;
mod responses;

pub use messages::{
    count_to_chat as messages_count_to_chat, model as messages_model, models as messages_models,
};
pub(crate) use messages::{leave_out_foreign as messages_leave_out_foreign, stop as messages_stop};

pub(crate) use responses::leave_out_sealed as responses_leave_out_sealed;

/// A format of conversations that is not Chat Completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ingress {
    /// OpenAI's older `/v1/completions`.
    Completions,
    /// Anthropic's `/v1/messages`.
    Messages,
    /// OpenAI's `/v1/responses`.
    Responses,
}

/// A request in the middle form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translated {
    /// The body of a chat completion request.
    pub body: Vec<u8>,
    /// Members that the middle form has no place for, by name.
    pub dropped: Vec<String>,
    /// What the answer has to repeat of the request. Only the format that made it reads it.
    pub echo: Vec<u8>,
}

/// What an answer is made from besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Id of the exchange: ASCII letters, digits and `-`.
    pub exchange: &'a str,
    /// Unix seconds.
    pub created_s: u64,
    /// Model that was asked for, for answers that name none.
    pub model: &'a str,
    /// Prompt tokens as counted here, for what is written before the provider's figures come.
    pub tokens_in: u64,
    /// [`Translated::echo`].
    pub echo: &'a [u8],
}

impl Ingress {
    /// Writes a request, read from `body`, in the middle form. A stream of it is asked for with
    /// its usage.
    ///
    /// # Errors
    /// What the middle form cannot say, and what is not valid in the client's own.
    pub fn to_chat(self, body: &[u8], root: Span) -> Result<Translated, RequestError> {
        match self {
            Ingress::Completions => completions::to_chat(body, root),
            Ingress::Messages => messages::to_chat(body, root),
            Ingress::Responses => responses::to_chat(body, root),
        }
    }

    /// Writes a complete answer, a valid `chat.completion`, in the client's form.
    pub fn answer(self, chat: &[u8], context: &Context<'_>) -> Vec<u8> {
        match self {
            Ingress::Completions => completions::answer(chat, context),
            Ingress::Messages => messages::answer(chat, context),
            Ingress::Responses => responses::answer(chat, context),
        }
    }

    /// Writes an error, given as OpenAI's error body, in the client's form.
    pub fn error(self, status: u16, openai: Vec<u8>, exchange: &str) -> Vec<u8> {
        match self {
            Ingress::Messages => messages::error(status, &openai, exchange),
            Ingress::Completions | Ingress::Responses => openai,
        }
    }
}

/// The answer to a question for a count, in Anthropic's form.
pub fn count_tokens_answer(tokens: u64) -> Vec<u8> {
    let mut body = Vec::new();
    json::Writer::new(&mut body).object(|out| out.key("input_tokens").number(tokens));
    body
}

/// Writes a stream of `chat.completion.chunk` events in the client's form.
///
/// It takes what [`crate::dialect::StreamDecoder`] gives, cut anywhere: chunks, the usage chunk,
/// `[DONE]`, an error event, comments. Comments pass.
#[derive(Clone, Debug)]
pub struct StreamEncoder {
    splitter: Splitter,
    stream: Stream,
}

#[derive(Clone, Debug)]
enum Stream {
    Completions(completions::Stream),
    Messages(Box<messages::Stream>),
    Responses(Box<responses::Stream>),
}

impl StreamEncoder {
    /// An encoder for one answer.
    pub fn new(ingress: Ingress, context: &Context<'_>) -> StreamEncoder {
        StreamEncoder {
            splitter: Splitter::default(),
            stream: match ingress {
                Ingress::Completions => Stream::Completions(completions::Stream::new(context)),
                Ingress::Messages => Stream::Messages(Box::new(messages::Stream::new(context))),
                Ingress::Responses => Stream::Responses(Box::new(responses::Stream::new(context))),
            },
        }
    }

    /// Takes the next bytes of the middle form and appends what the client may have of them.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let StreamEncoder { splitter, stream } = self;
        // An event beyond the cap was refused by the decoder before.
        let _ = splitter.push(chunk, |event| stream.event(&event, out));
    }
}

impl Stream {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let data = event.data.trim_ascii();
        if data.is_empty() {
            // Comments pass; to a client, an event that says nothing is not a document.
            if event.raw.starts_with(b":") {
                out.extend_from_slice(event.raw);
            }
            return;
        }
        if data == b"[DONE]" {
            return match self {
                Stream::Completions(stream) => stream.done(out),
                Stream::Messages(stream) => stream.done(out),
                Stream::Responses(stream) => stream.done(out),
            };
        }
        let Ok(root) = json::document(data) else {
            return;
        };
        let is_error = json::member(data, root, "error")
            .is_some_and(|error| json::kind(data, error) == Some(json::Kind::Object));
        match (self, is_error) {
            (Stream::Completions(stream), false) => stream.chunk(data, root, out),
            (Stream::Completions(stream), true) => stream.error(data, root, out),
            (Stream::Messages(stream), false) => stream.chunk(data, root, out),
            (Stream::Messages(stream), true) => stream.error(data, root, out),
            (Stream::Responses(stream), false) => stream.chunk(data, root, out),
            (Stream::Responses(stream), true) => stream.error(data, root, out),
        }
    }
}
