//! JSON text, written in order; commas take care of themselves.

use super::{Span, compact_into, escape_into};

/// Appends JSON to a buffer.
///
/// A comma is due wherever the text so far ends in a value, which its last byte tells: the caller
/// only has to open and close in pairs.
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out }
    }

    pub(crate) fn object(&mut self, members: impl FnOnce(&mut Writer<'_>)) {
        self.separate();
        self.out.push(b'{');
        members(&mut Writer { out: self.out });
        self.out.push(b'}');
    }

    pub(crate) fn array(&mut self, elements: impl FnOnce(&mut Writer<'_>)) {
        self.separate();
        self.out.push(b'[');
        elements(&mut Writer { out: self.out });
        self.out.push(b']');
    }

    pub(crate) fn key(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.out.push(b':');
        self
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.separate();
        self.out.push(b'"');
        escape_into(text, self.out);
        self.out.push(b'"');
    }

    /// A string whose inside is escaped already, in pieces.
    pub(crate) fn escaped(&mut self, pieces: &[&[u8]]) {
        self.separate();
        self.out.push(b'"');
        for piece in pieces {
            self.out.extend_from_slice(piece);
        }
        self.out.push(b'"');
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.raw(number.to_string().as_bytes());
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.raw(if value { b"true" } else { b"false" });
    }

    pub(crate) fn null(&mut self) {
        self.raw(b"null");
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, json: &[u8]) {
        self.separate();
        self.out.extend_from_slice(json);
    }

    /// A value of a validated document, without its white space.
    pub(crate) fn copy(&mut self, body: &[u8], value: Span) {
        self.separate();
        compact_into(body, value, self.out);
    }

    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':' | b' ')) {
            self.out.push(b',');
        }
    }
}
