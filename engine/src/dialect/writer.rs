//! JSON text, written in order; commas take care of themselves.

use crate::json;
use crate::usage::Usage;

/// Appends JSON to a buffer.
///
/// A comma is due wherever the text so far ends in a value, which its last byte tells: the caller
/// only has to open and close in pairs.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out }
    }

    pub(super) fn object(&mut self, members: impl FnOnce(&mut Writer<'_>)) {
        self.separate();
        self.out.push(b'{');
        members(&mut Writer { out: self.out });
        self.out.push(b'}');
    }

    pub(super) fn array(&mut self, elements: impl FnOnce(&mut Writer<'_>)) {
        self.separate();
        self.out.push(b'[');
        elements(&mut Writer { out: self.out });
        self.out.push(b']');
    }

    pub(super) fn key(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.out.push(b':');
        self
    }

    pub(super) fn string(&mut self, text: &str) {
        self.separate();
        self.out.push(b'"');
        json::escape_into(text, self.out);
        self.out.push(b'"');
    }

    pub(super) fn number(&mut self, number: u64) {
        self.raw(number.to_string().as_bytes());
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.raw(if value { b"true" } else { b"false" });
    }

    pub(super) fn null(&mut self) {
        self.raw(b"null");
    }

    /// A value that is JSON already.
    pub(super) fn raw(&mut self, json: &[u8]) {
        self.separate();
        self.out.extend_from_slice(json);
    }

    /// A value of a validated document, without its white space.
    pub(super) fn copy(&mut self, body: &[u8], value: json::Span) {
        self.separate();
        json::compact_into(body, value, self.out);
    }

    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':' | b' ')) {
            self.out.push(b',');
        }
    }
}

/// `usage` as OpenAI writes it.
pub(super) fn usage(usage: &Usage, out: &mut Writer<'_>) {
    out.object(|out| {
        out.key("prompt_tokens").number(usage.input);
        out.key("completion_tokens").number(usage.output);
        out.key("total_tokens").number(usage.total());
        out.key("prompt_tokens_details").object(|out| {
            out.key("cached_tokens").number(usage.cached_input);
            out.key("cache_write_tokens").number(usage.cache_write);
        });
        out.key("completion_tokens_details").object(|out| {
            out.key("reasoning_tokens").number(usage.reasoning);
        });
    });
}
