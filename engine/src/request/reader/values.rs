//! Strings outside the texts of messages: everything a provider is given can hold personal data.
//!
//! Three kinds of places are told apart. *Free* values (`user`, `metadata`, `stop`, whatever is not
//! known) are texts like any other. In *definitions* (tools, schemas) only prose is: the names and
//! allowed values in them are what the application compares the model's answer with, so a changed
//! one breaks the call without hiding anything that the application did not put there as a name.
//! These are [`Place::Label`]: inspected, never replaced, and so are addresses, which lead nowhere
//! once changed. In what is *attached* to a message, members that machines write for machines
//! (ids, signatures, pictures) are passed over: by chance they look like anything. Files are
//! [`Place::File`], whatever is in them.

use super::{Reader, name};
use crate::json::{Kind, Span};
use crate::request::{Place, Text, attached};

/// Shorter strings hold no personal data by themselves (`a@b.vn` does).
const TEXT_BYTES_MIN: usize = 6;

impl Reader<'_> {
    /// Any value: all its strings are texts, its names are labels.
    pub(super) fn free(&mut self) {
        match self.walk.kind() {
            Some(Kind::String) => self.parameter_text(),
            Some(Kind::Array) => {
                self.walk.enter(b'[');
                while self.walk.element() {
                    self.free();
                }
            }
            Some(Kind::Object) => {
                self.walk.enter(b'{');
                while let Some(key) = self.walk.key() {
                    self.key(key);
                    match &*name(self.body, key) {
                        b"input_schema" | b"json_schema" | b"parameters" | b"schema" => {
                            self.definition();
                        }
                        _ => self.free(),
                    }
                }
            }
            _ => self.pass(),
        }
    }

    /// A tool, a schema or a choice among them: prose is text, every other string a label.
    pub(super) fn definition(&mut self) {
        match self.walk.kind() {
            Some(Kind::String) => self.label(),
            Some(Kind::Array) => {
                self.walk.enter(b'[');
                while self.walk.element() {
                    self.definition();
                }
            }
            Some(Kind::Object) => {
                self.walk.enter(b'{');
                while let Some(key) = self.walk.key() {
                    self.key(key);
                    let prose = matches!(
                        &*name(self.body, key),
                        b"description" | b"title" | b"$comment"
                    );
                    // A property may bear such a name too; what it holds is an object then.
                    if prose && self.walk.kind() == Some(Kind::String) {
                        self.parameter_text();
                    } else {
                        self.definition();
                    }
                }
            }
            _ => self.pass(),
        }
    }

    /// A value of a message or part that has no meaning known here.
    pub(super) fn attached(&mut self, key: Span) {
        match &*name(self.body, key) {
            b"b64_json" | b"call_id" | b"detail" | b"encrypted_content" | b"file_id"
            | b"format" | b"id" | b"media_type" | b"mime_type" | b"role" | b"signature"
            | b"thought_signature" | b"tool_call_id" | b"tool_use_id" | b"type" => self.pass(),
            b"data" | b"file_data" => self.file(),
            b"file_url" | b"image_url" | b"uri" | b"url" => self.address(),
            _ => {
                self.key(key);
                self.attachment();
            }
        }
    }

    fn attachment(&mut self) {
        match self.walk.kind() {
            Some(Kind::String) if self.data_url() => {}
            Some(Kind::String) => self.parameter_text(),
            Some(Kind::Array) => {
                self.walk.enter(b'[');
                while self.walk.element() {
                    self.attachment();
                }
            }
            Some(Kind::Object) => {
                self.walk.enter(b'{');
                while let Some(key) = self.walk.key() {
                    self.attached(key);
                }
            }
            _ => self.pass(),
        }
    }

    /// Where something is to be fetched from, or the thing itself as a data URL.
    pub(super) fn address(&mut self) {
        match self.walk.kind() {
            Some(Kind::String) if self.data_url() => {}
            Some(Kind::String) => self.label(),
            _ => self.attachment(),
        }
    }

    /// A string that is inspected and stays.
    pub(super) fn label(&mut self) {
        match self.walk.string() {
            Some((span, _)) => self.key(span),
            None => self.pass(),
        }
    }

    fn key(&mut self, span: Span) {
        if span.len() < TEXT_BYTES_MIN {
            return;
        }
        // A word is a name. What is more than a name has digits or an address sign in it.
        let telling = |byte: &u8| matches!(byte, b'@' | b'0'..=b'9' | b'\\');
        let inside = span.of(self.body);
        if inside.iter().any(telling) {
            let escaped = inside.contains(&b'\\');
            self.note(span, escaped, Place::Label);
        }
    }

    fn parameter_text(&mut self) {
        match self.walk.string() {
            Some((span, escaped)) if span.len() >= TEXT_BYTES_MIN => {
                self.note(span, escaped, Place::Parameter);
            }
            Some(_) => {}
            None => self.pass(),
        }
    }

    pub(super) fn note(&mut self, span: Span, escaped: bool, place: Place) {
        self.found.texts.push(Text {
            span,
            escaped,
            place,
            message: self.message,
        });
    }

    /// A file: in base64, as a data URL, or the text itself.
    fn file(&mut self) {
        if self.walk.kind() != Some(Kind::String) {
            return self.attachment();
        }
        if self.data_url() {
            return;
        }
        if let Some((span, escaped)) = self.walk.string()
            && !attached::is_media(span.of(self.body))
        {
            self.note(span, escaped, Place::File);
        }
    }

    /// Passes a string that is a data URL; a file in it is noted.
    fn data_url(&mut self) -> bool {
        let start = self.walk.position() + 1;
        let inside = self.body.get(start..).unwrap_or_default();
        // No quote stands in what comes before the mark.
        let Some((name, from)) =
            attached::data_url(inside).filter(|(name, _)| !name.contains(&b'"'))
        else {
            return false;
        };
        let is_media = attached::is_media_type(name);
        if let Some((span, escaped)) = self.walk.string()
            && !is_media
        {
            let start = span.start + from;
            self.note(Span { start, ..span }, escaped, Place::File);
        }
        true
    }
}
