//! The conversation as Converse wants it: user and assistant strictly in turns, user first.

use std::borrow::Cow;

use super::text;
use crate::cache_key::sha256_hex;
use crate::dialect::content::Part;
use crate::dialect::talk::{Call, Said};
use crate::json::{self, Kind, Span, Writer};
use crate::request::RequestError;

/// Longest id of a call.
const ID_CHARS_MAX: usize = 64;
/// Stands where the API demands a text and the request has none.
const NO_TEXT: &str = ".";
/// Name of a document that has none.
const DOCUMENT: &str = "document";

struct Turn {
    role: &'static str,
    /// Results of calls as JSON; they come before all else.
    results: Vec<u8>,
    /// Blocks as JSON.
    blocks: Vec<u8>,
}

/// Messages, sorted into turns.
pub(super) struct Turns {
    /// System blocks as JSON.
    pub(super) system: Vec<u8>,
    turns: Vec<Turn>,
    /// Names of the tools called, each once.
    pub(super) called: Vec<String>,
    /// The last assistant turn with calls brought no thinking back.
    pub(super) calls_without_thinking: bool,
    documents: usize,
}

impl Turns {
    /// # Errors
    /// Media that Converse does not take.
    pub(super) fn read(body: &[u8], messages: Vec<Said<'_>>) -> Result<Turns, RequestError> {
        let mut turns = Turns {
            system: Vec::new(),
            turns: Vec::new(),
            called: Vec::new(),
            calls_without_thinking: false,
            documents: 0,
        };
        for (index, said) in messages.into_iter().enumerate() {
            let place = format!("messages[{index}].content");
            turns.message(body, said, &place)?;
        }
        turns.complete();
        Ok(turns)
    }

    fn message(&mut self, body: &[u8], said: Said<'_>, place: &str) -> Result<(), RequestError> {
        let mut blocks = Vec::new();
        let mut out = Writer::new(&mut blocks);
        match said {
            Said::System(parts) if self.turns.is_empty() => {
                for part in &parts {
                    let Part::Text(text) = part else {
                        return Err(RequestError::invalid(place, "a system message is text"));
                    };
                    write_text(text, &mut Writer::new(&mut self.system));
                }
                return Ok(());
            }
            // Later ones go in place: their order says more than their role.
            Said::System(parts) | Said::User(parts) => {
                self.write_parts(&parts, place, &mut out)?;
                self.say("user", &blocks, false);
            }
            Said::Assistant {
                message,
                parts,
                calls,
            } => {
                let thought = write_thinking(body, message, &mut out);
                self.write_parts(&parts, place, &mut out)?;
                calls
                    .iter()
                    .for_each(|call| self.write_call(call, &mut out));
                if !calls.is_empty() {
                    self.calls_without_thinking = !thought;
                }
                self.say("assistant", &blocks, false);
            }
            Said::Result { id, parts, .. } => {
                let mut content = Vec::new();
                self.write_parts(&parts, place, &mut Writer::new(&mut content))?;
                out.object(|out| {
                    out.key("toolResult").object(|out| {
                        out.key("toolUseId").string(&call_id(&id));
                        out.key("content").array(|out| {
                            if content.is_empty() {
                                // A blank text would be refused.
                                out.object(|out| out.key("json").object(|_| {}));
                            } else {
                                out.raw(&content);
                            }
                        });
                    });
                });
                self.say("user", &blocks, true);
            }
        }
        Ok(())
    }

    fn say(&mut self, role: &'static str, blocks: &[u8], are_results: bool) {
        if blocks.is_empty() {
            return;
        }
        let mut turn = match self.turns.pop() {
            Some(last) if last.role == role => last,
            last => {
                self.turns.extend(last);
                Turn {
                    role,
                    results: Vec::new(),
                    blocks: Vec::new(),
                }
            }
        };
        let place = if are_results {
            &mut turn.results
        } else {
            &mut turn.blocks
        };
        Writer::new(place).raw(blocks);
        self.turns.push(turn);
    }

    /// Only system texts are the question themselves, and the user speaks first.
    fn complete(&mut self) {
        if self.turns.is_empty() {
            let blocks = std::mem::take(&mut self.system);
            self.say("user", &blocks, false);
        }
        if self.turns.first().is_none_or(|first| first.role != "user") {
            let mut blocks = Vec::new();
            write_text(NO_TEXT, &mut Writer::new(&mut blocks));
            let opening = Turn {
                role: "user",
                results: Vec::new(),
                blocks,
            };
            self.turns.insert(0, opening);
        }
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        out.array(|out| {
            for turn in &self.turns {
                out.object(|out| {
                    out.key("role").string(turn.role);
                    out.key("content").array(|out| {
                        for blocks in [&turn.results, &turn.blocks] {
                            if !blocks.is_empty() {
                                out.raw(blocks);
                            }
                        }
                    });
                });
            }
        });
    }

    fn write_parts(
        &mut self,
        parts: &[Part<'_>],
        place: &str,
        out: &mut Writer<'_>,
    ) -> Result<(), RequestError> {
        for part in parts {
            match part {
                Part::Text(text) => write_text(text, out),
                Part::Data {
                    media_type,
                    base64,
                    name,
                } => self.write_media(media_type, base64, name.as_deref(), place, out)?,
                Part::Link(_) => {
                    let why = "this provider takes images and documents only as data URLs";
                    return Err(RequestError::invalid(place, why));
                }
            }
        }
        Ok(())
    }

    fn write_media(
        &mut self,
        media_type: &str,
        base64: &str,
        name: Option<&str>,
        place: &str,
        out: &mut Writer<'_>,
    ) -> Result<(), RequestError> {
        let Some((kind, format)) = format_of(media_type) else {
            let why = format!("this provider takes no {media_type}");
            return Err(RequestError::invalid(place, why));
        };
        let name = (kind == DOCUMENT).then(|| self.document_name(name));
        out.object(|out| {
            out.key(kind).object(|out| {
                out.key("format").string(format);
                if let Some(name) = &name {
                    out.key("name").string(name);
                }
                out.key("source")
                    .object(|out| out.key("bytes").string(base64));
            });
        });
        Ok(())
    }

    /// A name in the letters that Converse takes, and no name twice.
    fn document_name(&mut self, name: Option<&str>) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']');
        let name = name.unwrap_or(DOCUMENT);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let words = stem.split_whitespace().map(|word| {
            let letters = word.chars().map(|c| if plain(c) { c } else { '-' });
            letters.collect::<String>()
        });
        let mut name = words.collect::<Vec<_>>().join(" ");
        if name.is_empty() {
            DOCUMENT.clone_into(&mut name);
        }
        self.documents = self.documents.saturating_add(1);
        if self.documents > 1 {
            name = format!("{name} {}", self.documents);
        }
        name
    }

    fn write_call(&mut self, call: &Call<'_>, out: &mut Writer<'_>) {
        if !self.called.iter().any(|called| *called == *call.name) {
            self.called.push(call.name.clone().into_owned());
        }
        out.object(|out| {
            out.key("toolUse").object(|out| {
                out.key("toolUseId").string(&call_id(&call.id));
                out.key("name").string(&call.name);
                out.key("input").raw(&call.arguments);
            });
        });
    }
}

fn write_text(text: &str, out: &mut Writer<'_>) {
    out.object(|out| out.key("text").string(text));
}

/// Member and format of a media type.
fn format_of(media_type: &str) -> Option<(&'static str, &'static str)> {
    Some(match media_type {
        "image/gif" => ("image", "gif"),
        "image/jpeg" => ("image", "jpeg"),
        "image/png" => ("image", "png"),
        "image/webp" => ("image", "webp"),
        "application/msword" => (DOCUMENT, "doc"),
        "application/pdf" => (DOCUMENT, "pdf"),
        "application/vnd.ms-excel" => (DOCUMENT, "xls"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => (DOCUMENT, "xlsx"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => {
            (DOCUMENT, "docx")
        }
        "text/csv" => (DOCUMENT, "csv"),
        "text/html" => (DOCUMENT, "html"),
        "text/markdown" => (DOCUMENT, "md"),
        "text/plain" => (DOCUMENT, "txt"),
        _ => return None,
    })
}

/// Thinking that the client brought back, to go unchanged before the calls it led to. Clients that
/// collect a stream bring it in pieces, of which the last has the signature.
fn write_thinking(body: &[u8], message: Span, out: &mut Writer<'_>) -> bool {
    let list = json::member(body, message, "thinking_blocks").unwrap_or_default();
    let mut thought = String::new();
    let mut wrote = false;
    for block in json::elements(body, list) {
        thought.push_str(&text(body, block, "thinking").unwrap_or_default());
        let signature = text(body, block, "signature").filter(|it| !it.is_empty());
        let redacted = text(body, block, "data")
            .filter(|_| text(body, block, "type").as_deref() == Some("redacted_thinking"));
        if signature.is_none() && redacted.is_none() {
            continue;
        }
        wrote = true;
        out.object(|out| {
            out.key("reasoningContent")
                .object(|out| match (&redacted, &signature) {
                    (Some(redacted), _) => out.key("redactedContent").string(redacted),
                    (None, signature) => out.key("reasoningText").object(|out| {
                        out.key("text").string(&thought);
                        out.key("signature")
                            .string(signature.as_deref().unwrap_or_default());
                    }),
                });
        });
        thought.clear();
    }
    wrote
}

/// A call id as Converse takes it. Call and result get the same one without any memory.
fn call_id(id: &str) -> Cow<'_, str> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
    if (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(plain) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(sha256_hex(id.as_bytes()))
}

/// Whether the value is an object with at most `most` members, all of them text.
pub(super) fn is_texts(body: &[u8], value: Span, most: usize) -> bool {
    json::kind(body, value) == Some(Kind::Object)
        && json::members(body, value).count() <= most
        && json::members(body, value)
            .all(|member| json::kind(body, member.value) == Some(Kind::String))
}
