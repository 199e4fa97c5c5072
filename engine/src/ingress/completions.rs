//! OpenAI's older completions.

use super::{Context, Translated};
use crate::json::Span;
use crate::request::RequestError;

pub(super) fn to_chat(body: &[u8], _root: Span) -> Result<Translated, RequestError> {
    Ok(Translated {
        body: body.to_vec(),
        ..Translated::default()
    })
}

pub(super) fn answer(chat: &[u8], _context: &Context<'_>) -> Vec<u8> {
    chat.to_vec()
}

#[derive(Clone, Debug)]
pub(super) struct Stream;

impl Stream {
    pub(super) fn new(_context: &Context<'_>) -> Stream {
        Stream
    }

    /// A chunk: a valid document.
    pub(super) fn chunk(&mut self, _data: &[u8], _root: Span, _out: &mut Vec<u8>) {}

    /// An error in place of the rest: a valid document with OpenAI's `error`.
    pub(super) fn error(&mut self, _data: &[u8], _root: Span, _out: &mut Vec<u8>) {}

    /// The end.
    pub(super) fn done(&mut self, _out: &mut Vec<u8>) {}
}
