//! Wire formats of providers, each translated from and to OpenAI's Chat Completions.
//!
//! Only this module knows how a provider writes. A provider that is compatible with OpenAI is
//! configuration: its bytes pass, and only what must change is changed.

use std::borrow::Cow;

use crate::json::{Edits, Span};
use crate::request::{ChatRequest, RequestError};
use crate::usage::Usage;
use crate::wire::{Dialect, ParameterRules};

mod anthropic;
mod azure;
mod bedrock;
mod begin;
mod completion;
mod content;
pub mod embeddings;
mod failure;
mod gemini;
mod imitation;
mod members;
mod mould;
mod native;
mod openai;
mod parameters;
mod path;
mod plain;
pub mod responses;
mod stream;
mod talk;
mod tools;

pub(crate) use openai::usage as openai_usage;
pub(crate) use parameters::DroppedNames;

pub use begin::{FirstEvent, first_event};
pub use failure::{ERROR_MESSAGE_BYTES_MAX, ErrorAnswer, decode_error, error_body};
pub use native::{Form, NativeCall, encode as encode_native};
pub use plain::encode_translated;
pub use stream::{Stop, StreamDecoder};

/// Where an attempt goes, as far as the body is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Wire format of the provider.
    pub dialect: Dialect,
    /// Model as the provider knows it.
    pub model: &'a str,
    /// Output cap per choice in tokens to send when the request has none.
    pub output_cap: Option<u64>,
    /// Output limit of the model in tokens, 0 unknown.
    pub output_max: u64,
    /// Azure's `api-version`, empty for none.
    pub api_version: &'a str,
    /// Whether to refuse what would be dropped.
    pub strict: bool,
    /// The operator's own rules for parameters.
    pub rules: Option<&'a ParameterRules>,
}

impl<'a> Target<'a> {
    /// A target of which nothing is known but its format and model.
    pub fn new(dialect: Dialect, model: &'a str) -> Target<'a> {
        Target {
            dialect,
            model,
            output_cap: None,
            output_max: 0,
            api_version: "",
            strict: false,
            rules: None,
        }
    }
}

/// A request in a provider's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded<'a> {
    /// Path of the call and its query, to follow the provider's base path.
    pub path: Cow<'static, str>,
    /// The body; borrowed when the client's own bytes can go as they are.
    pub body: Cow<'a, [u8]>,
    /// Headers of the format, credentials not included.
    pub headers: Vec<(&'static str, &'static str)>,
    /// Members of the request that the format has no place for, by name.
    pub dropped: Vec<String>,
}

impl Encoded<'_> {
    /// # Errors
    /// Something is left out, and the target is strict.
    fn unless_strict(self, target: &Target<'_>) -> Result<Self, RequestError> {
        match self.dropped.first() {
            Some(name) if target.strict => Err(RequestError::invalid(
                name.as_str(),
                format!("this provider does not take {name}"),
            )),
            _ => Ok(self),
        }
    }
}

/// Writes the request for `target`.
///
/// `request` was read from `body`; `edits` are changes still to be made to that body, and are made
/// along with the format's own.
///
/// # Errors
/// What the format cannot say at all (several choices, audio for Anthropic); a parameter that the
/// target refuses, or that it would drop when it is strict.
pub fn encode<'a>(
    target: &Target<'_>,
    request: &ChatRequest,
    body: &'a [u8],
    mut edits: Edits,
) -> Result<Encoded<'a>, RequestError> {
    let mut dropped = DroppedNames::default();
    if let Some(rules) = target.rules.filter(|rules| !rules.is_empty()) {
        parameters::apply(rules, body, request.root, &mut edits, &mut dropped)?;
    }
    let mut encoded = match target.dialect {
        Dialect::Openai => openai::encode(target, request, body, edits),
        Dialect::Azure => azure::encode(target, request, body, edits),
        _ if edits.is_empty() => translate(target, request, body)?,
        _ => {
            let body = edits.apply(body);
            translate(target, &ChatRequest::parse(&body)?, &body)?
        }
    };
    encoded.dropped.extend(dropped.into_names());
    encoded.unless_strict(target)
}

fn translate(
    target: &Target<'_>,
    request: &ChatRequest,
    body: &[u8],
) -> Result<Encoded<'static>, RequestError> {
    let dropped = parameters::check(target.dialect, body, request.root)?;
    match target.dialect {
        Dialect::Anthropic => anthropic::encode(target, request, body, dropped),
        Dialect::Bedrock => bedrock::encode(target, request, body, dropped),
        Dialect::Gemini | Dialect::Vertex => gemini::encode(target, request, body, dropped),
        _ => imitation::encode(target, request, body, dropped),
    }
}

/// Whether an answer of this `content-type` comes as a stream.
pub fn is_stream(content_type: &[u8]) -> bool {
    [EVENT_STREAM, AWS_EVENT_STREAM]
        .iter()
        .any(|kind| content_type.starts_with(kind.as_bytes()))
}

/// What clients get streams as.
pub const EVENT_STREAM: &str = "text/event-stream";
/// What AWS sends them as.
const AWS_EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// A complete answer in OpenAI's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// A `chat.completion`; the provider's own bytes where it speaks that format.
    pub body: Vec<u8>,
    /// What the provider says it consumed.
    pub usage: Option<Usage>,
    /// The delivered text for counting; filled only when `usage` is `None`.
    pub text: String,
    /// The object that the body is, where it is known to have no member `metadata`.
    pub bare_root: Option<Span>,
}

/// Why a `200` is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The body is not what the format promises (`502 upstream_invalid_answer`).
    Invalid,
    /// The body reports an error: what to answer.
    Reported(ErrorAnswer),
}

/// Reads a complete answer with status `200`.
///
/// `created_s` (Unix seconds) and `model_asked` stand in for what the format does not say.
///
/// # Errors
/// The body is no answer, or an error in disguise.
pub fn decode_answer(
    dialect: Dialect,
    model_asked: &str,
    created_s: u64,
    body: Vec<u8>,
) -> Result<Answer, DecodeError> {
    match dialect {
        Dialect::Openai => openai::decode_answer(body),
        Dialect::Anthropic => anthropic::decode_answer(model_asked, created_s, &body),
        Dialect::Bedrock => bedrock::decode_answer(model_asked, created_s, &body),
        Dialect::Gemini | Dialect::Vertex => {
            gemini::decode_answer(dialect, model_asked, created_s, &body)
        }
        _ => imitation::decode_answer(dialect, model_asked, created_s, &body),
    }
}

#[cfg(test)]
mod tests;
