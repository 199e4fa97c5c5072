//! Texts of native answers that come as a whole: those of documents, and of events that bring or
//! repeat more than a piece.

use memchr::memmem;

use super::slots::Part;
use super::{AnswerGuard, escaped};
use crate::json::{self, Edits, Kind, Member, Span};

/// Members that are names, kinds, or sealed: no text that a rule could change. So are those that end
/// in `id`.
const NO_TEXT: [&[u8]; 20] = [
    b"b64_json",
    b"caller",
    b"data",
    b"encrypted_content",
    b"encrypted_index",
    b"encrypted_stdout",
    b"file_data",
    b"format",
    b"image_url",
    b"media_type",
    b"model",
    b"name",
    b"object",
    b"obfuscation",
    b"partial_image_b64",
    b"role",
    b"service_tier",
    b"signature",
    b"status",
    b"type",
];

/// What of its request a response repeats: the client's own words, in which only placeholders are
/// replaced.
const ECHO: [&[u8]; 10] = [
    b"input",
    b"instructions",
    b"metadata",
    b"prompt",
    b"prompt_cache_key",
    b"safety_identifier",
    b"text",
    b"tool_choice",
    b"tools",
    b"user",
];

impl AnswerGuard {
    /// A complete message of Anthropic's form, or an object of its events.
    pub(super) fn message(&mut self, data: &[u8], value: Span, edits: &mut Edits) {
        self.whole(data, value, edits);
    }

    /// A complete response.
    pub(super) fn response(&mut self, data: &[u8], response: Span, edits: &mut Edits) {
        for member in json::members(data, response) {
            let name = member.key.of(data);
            if ECHO.contains(&name) {
                self.echo(data, member.value, edits);
            } else {
                self.member(data, name, member.value, edits);
            }
        }
    }

    /// Every text of a value. Recursion ends at the validated depth of the document.
    pub(super) fn whole(&mut self, data: &[u8], value: Span, edits: &mut Edits) {
        match json::kind(data, value) {
            Some(Kind::String) => self.text(data, value, Part::Whole, false, edits),
            Some(Kind::Array) => {
                for element in json::elements(data, value) {
                    self.whole(data, element, edits);
                }
            }
            Some(Kind::Object) => self.object(data, value, edits),
            _ => {}
        }
    }

    fn object(&mut self, data: &[u8], object: Span, edits: &mut Edits) {
        let kind = json::member(data, object, "type");
        let kind = kind.map(|kind| kind.unquoted().of(data));
        for member in json::members(data, object) {
            self.told(data, kind.unwrap_or_default(), member, edits);
        }
    }

    /// The texts of one member of an object of that type.
    pub(super) fn told(&mut self, data: &[u8], kind: &[u8], member: Member, edits: &mut Edits) {
        let value = member.value;
        let is_text = json::kind(data, value) == Some(Kind::String);
        match member.key.of(data) {
            b"text" if is_text => {
                let thinks = kind == b"summary_text" || memmem::find(kind, b"reasoning").is_some();
                let part = if thinks {
                    Part::Reasoning
                } else {
                    Part::Content
                };
                self.text(data, value, part, false, edits);
            }
            b"thinking" if is_text => self.text(data, value, Part::Reasoning, true, edits),
            b"arguments" if is_text => self.text(data, value, Part::Function, false, edits),
            b"input" if !is_text => self.arguments(data, value, edits),
            // A picture, and sound.
            b"result" if kind == b"image_generation_call" => {}
            b"delta" if kind == b"response.audio.delta" => {}
            name => self.member(data, name, value, edits),
        }
    }

    fn member(&mut self, data: &[u8], name: &[u8], value: Span, edits: &mut Edits) {
        match name {
            b"logprobs" => self.silence_all(data, value, edits),
            b"id" => {}
            _ if NO_TEXT.contains(&name) || name.ends_with(b"_id") => {}
            _ => self.whole(data, value, edits),
        }
    }

    /// Spelled tokens would tell what the text does not.
    pub(super) fn silence_all(&self, data: &[u8], value: Span, edits: &mut Edits) {
        if !self.watch.is_idle() && json::elements(data, value).next().is_some() {
            edits.replace(value, "[]");
        }
    }

    fn text(&mut self, data: &[u8], value: Span, part: Part, is_signed: bool, edits: &mut Edits) {
        let span = value.unquoted();
        let came = json::unescaped(span.of(data)).unwrap_or_default();
        if let Some(said) = self.said(&came, part, is_signed) {
            edits.replace(span, escaped(&said));
        }
    }

    /// Arguments of a call that stand in the answer as JSON.
    fn arguments(&mut self, data: &[u8], value: Span, edits: &mut Edits) {
        let came = String::from_utf8_lossy(value.of(data));
        if let Some(said) = self.said(&came, Part::Function, false)
            && json::document(said.as_bytes()).is_ok()
        {
            edits.replace(value, said);
        }
    }

    /// What is said of a text; `None` for the text itself.
    fn said(&mut self, came: &str, part: Part, is_signed: bool) -> Option<String> {
        if came.is_empty() || self.denied() {
            return None;
        }
        if let Some(said) = self.events.repeats.get(came) {
            return (said != came).then(|| said.to_owned());
        }
        let said = self.watch.say_whole(part, is_signed, came);
        if self.events.sequence.is_some() {
            self.events.repeats.add(came.to_owned(), said.clone());
        }
        (said != came).then_some(said)
    }

    /// The client's own words.
    fn echo(&mut self, data: &[u8], value: Span, edits: &mut Edits) {
        match json::kind(data, value) {
            Some(Kind::String) => {
                let span = value.unquoted();
                let came = json::unescaped(span.of(data)).unwrap_or_default();
                let said = self.watch.restored(&came);
                if said != came {
                    edits.replace(span, escaped(&said));
                }
            }
            Some(Kind::Array) => {
                for element in json::elements(data, value) {
                    self.echo(data, element, edits);
                }
            }
            Some(Kind::Object) => {
                for member in json::members(data, value) {
                    self.echo(data, member.value, edits);
                }
            }
            _ => {}
        }
    }
}
