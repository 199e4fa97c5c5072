//! Embeddings, of the providers that have them.
//!
//! The contract is OpenAI's: one request, a list of inputs, an answer with one vector for each, as
//! numbers or as base64 of little-endian 32-bit floats. Providers that speak it get the client's
//! bytes; for the others the request is written anew. The encoding of vectors is made here
//! wherever the provider's is not the one asked for.

use std::borrow::Cow;

use super::parameters::{self, DroppedNames};
use super::{Answer, DecodeError, Encoded, Target};
use crate::json::{self, Edits, Kind, Span};
use crate::request::{Call, RequestError};
use crate::wire::Dialect;

mod answer;
mod bedrock;
mod google;
mod input;
mod openai;
#[cfg(test)]
mod tests;
mod vector;

use input::Asked;

/// What an answer is made from besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The client's request.
    pub request: &'a [u8],
    /// Model as the provider knows it, for answers that name none.
    pub model: &'a str,
    /// Prompt tokens as counted here, for answers without usage.
    pub tokens_in: u64,
}

/// Writes a request for embeddings, read from `body`, for `target`.
///
/// # Errors
/// What the target's format cannot say; a target without embeddings.
pub fn encode<'a>(
    target: &Target<'_>,
    call: &Call,
    body: &'a [u8],
) -> Result<Encoded<'a>, RequestError> {
    let asked = Asked::read(body, call.root)?;
    let mut dropped = DroppedNames::default();
    let mut edits = Edits::default();
    if let Some(rules) = target.rules.filter(|rules| !rules.is_empty()) {
        parameters::apply(rules, body, call.root, &mut edits, &mut dropped)?;
    }
    let mut encoded = match target.dialect {
        Dialect::Openai | Dialect::Azure | Dialect::Mistral | Dialect::Ollama => {
            openai::encode(target, call, &asked, edits)?
        }
        Dialect::Anthropic | Dialect::Perplexity => {
            return Err(RequestError::invalid(
                "model",
                "this provider has no embeddings",
            ));
        }
        _ if edits.is_empty() => translate(target, &asked)?,
        _ => {
            let body = edits.apply(body);
            let call = Call::parse(&body)?;
            translate(target, &Asked::read(&body, call.root)?)?
        }
    };
    encoded.dropped.extend(dropped.into_names());
    encoded.unless_strict(target)
}

fn translate(target: &Target<'_>, asked: &Asked<'_>) -> Result<Encoded<'static>, RequestError> {
    match target.dialect {
        Dialect::Bedrock => bedrock::encode(target, asked),
        _ => google::encode(target, asked),
    }
}

/// Reads an answer with status `200` and writes it as OpenAI does, in the encoding asked for.
///
/// # Errors
/// The body is no answer, or an error in disguise.
pub fn decode_answer(
    dialect: Dialect,
    context: &Context<'_>,
    body: Vec<u8>,
) -> Result<Answer, DecodeError> {
    answer::decode(dialect, context, body)
}

/// How many token ids `input` has, when it is given as such. `body` is a valid document.
pub fn token_ids(body: &[u8], root: Span) -> u64 {
    let input = json::member(body, root, "input").unwrap_or_default();
    let numbers = |list: Span| {
        json::elements(body, list)
            .filter(|id| json::kind(body, *id) == Some(Kind::Number))
            .count()
    };
    let nested: usize = json::elements(body, input).map(numbers).sum();
    numbers(input).saturating_add(nested) as u64
}

/// A call's path and body, of which nothing else is to be said.
fn encoded(
    path: impl Into<Cow<'static, str>>,
    body: Vec<u8>,
    dropped: DroppedNames,
) -> Encoded<'static> {
    Encoded {
        path: path.into(),
        body: Cow::Owned(body),
        headers: Vec::new(),
        dropped: dropped.into_names(),
    }
}
