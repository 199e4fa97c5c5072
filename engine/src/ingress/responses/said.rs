//! What a chat completion, or a chunk of one, says.

use std::borrow::Cow;

use crate::json::{self, Kind, Span, Writer};

/// The members of a `message` or `delta` that Responses has a place for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// A string that is not empty.
    pub(super) reasoning: Option<Span>,
    /// The model wants its reasoning back: not so where it is under another name than this one.
    pub(super) is_reasoning_content: bool,
    pub(super) thinking_blocks: Option<Span>,
    /// A string, or a list of parts.
    pub(super) content: Option<Span>,
    /// A string that is not empty.
    pub(super) refusal: Option<Span>,
    pub(super) annotations: Option<Span>,
    pub(super) tool_calls: Option<Span>,
}

impl Said {
    pub(super) fn read(data: &[u8], message: Span) -> Said {
        let mut said = Said::default();
        // Two quotes are an empty string.
        let text = |value: Span| {
            Some(value).filter(|_| json::kind(data, value) == Some(Kind::String) && value.len() > 2)
        };
        let list =
            |value: Span| Some(value).filter(|_| json::kind(data, value) == Some(Kind::Array));
        for member in json::members(data, message) {
            match member.key.of(data) {
                b"reasoning_content" => {
                    if let Some(reasoning) = text(member.value) {
                        said.reasoning = Some(reasoning);
                        said.is_reasoning_content = true;
                    }
                }
                // OpenRouter sends the same text under both names.
                b"reasoning" if said.reasoning.is_none() => said.reasoning = text(member.value),
                b"thinking_blocks" => said.thinking_blocks = list(member.value),
                b"content" => said.content = text(member.value).or_else(|| list(member.value)),
                b"refusal" => said.refusal = text(member.value),
                b"annotations" => said.annotations = list(member.value),
                b"tool_calls" => said.tool_calls = list(member.value),
                _ => {}
            }
        }
        said
    }
}

/// The texts of a content that are not empty, as strings with their quotes.
pub(super) fn texts(data: &[u8], content: Option<Span>) -> impl Iterator<Item = Span> {
    let content = content.unwrap_or_default();
    let whole = Some(content).filter(|_| json::kind(data, content) == Some(Kind::String));
    let parts = json::elements(data, content).filter_map(|part| super::string(data, part, "text"));
    whole.into_iter().chain(parts).filter(|text| text.len() > 2)
}

/// The inside of a string at `value`; nothing for any other value.
pub(super) fn inside(data: &[u8], value: Option<Span>) -> &[u8] {
    value
        .filter(|value| super::is_string(data, *value))
        .map(|value| value.unquoted().of(data))
        .unwrap_or_default()
}

/// A block of thinking that a provider wants back as it is.
#[derive(Debug)]
pub(super) struct Thought<'a> {
    /// The inside of a string.
    pub(super) text: &'a [u8],
    /// The block without its text.
    pub(super) sealed: Vec<u8>,
    pub(super) is_redacted: bool,
}

impl<'a> Thought<'a> {
    /// `None` for a block without signature: nobody wants it back.
    pub(super) fn read(data: &'a [u8], block: Span) -> Option<Thought<'a>> {
        let kind = super::text(data, block, "type")?;
        let (seal, is_redacted) = match &*kind {
            "thinking" => ("signature", false),
            "redacted_thinking" => ("data", true),
            _ => return None,
        };
        let value = super::string(data, block, seal).filter(|value| value.len() > 2)?;
        let mut sealed = Vec::new();
        Writer::new(&mut sealed).object(|out| {
            out.key("type").string(&kind);
            out.key(seal).copy(data, value);
        });
        Some(Thought {
            text: inside(data, super::string(data, block, "thinking")),
            sealed,
            is_redacted,
        })
    }

    /// The block with its text.
    pub(super) fn whole(&self) -> Vec<u8> {
        let mut whole = self.sealed.clone();
        whole.pop();
        let mut out = Writer::new(&mut whole);
        out.key("thinking").escaped(&[self.text]);
        whole.push(b'}');
        whole
    }
}

/// A call, or a piece of one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallPiece {
    pub(super) index: Option<u64>,
    /// A string that is not empty.
    pub(super) id: Option<Span>,
    pub(super) name: Option<Span>,
    /// A string, or a document in place of its text.
    pub(super) arguments: Option<Span>,
    /// Google's signature of the thought that led to the call.
    pub(super) signature: Option<Span>,
    pub(super) is_custom: bool,
}

impl CallPiece {
    pub(super) fn read(data: &[u8], call: Span) -> CallPiece {
        let text = |object: Span, name: &str| {
            super::string(data, object, name).filter(|text| text.len() > 2)
        };
        let custom = super::some(data, call, "custom");
        let function = custom
            .or_else(|| super::some(data, call, "function"))
            .unwrap_or_default();
        let arguments = if custom.is_some() {
            "input"
        } else {
            "arguments"
        };
        CallPiece {
            index: json::member(data, call, "index")
                .and_then(|index| json::number_u64(data, index)),
            id: text(call, "id"),
            name: text(function, "name"),
            arguments: super::some(data, function, arguments),
            signature: super::some(data, call, "extra_content")
                .and_then(|extra| super::some(data, extra, "google"))
                .and_then(|google| text(google, "thought_signature")),
            is_custom: custom.is_some(),
        }
    }

    /// The arguments as the inside of a string.
    pub(super) fn arguments<'a>(&self, data: &'a [u8]) -> Cow<'a, [u8]> {
        let value = self.arguments.unwrap_or_default();
        match json::kind(data, value) {
            Some(Kind::String) => Cow::Borrowed(value.unquoted().of(data)),
            Some(Kind::Object | Kind::Array) => {
                let mut text = Vec::new();
                json::escape_into(&super::compact(data, value), &mut text);
                Cow::Owned(text)
            }
            _ => Cow::Borrowed(&[]),
        }
    }
}

/// The choice that the answer is: the only one a request can ask for.
pub(super) fn choice(data: &[u8], choices: Span) -> Option<Span> {
    let index = |choice: Span| {
        let index = json::member(data, choice, "index")?;
        json::number_u64(data, index)
    };
    json::elements(data, choices).find(|choice| index(*choice).unwrap_or_default() == 0)
}

/// Why an answer is not complete, by the `finish_reason` of its choice.
pub(super) fn incomplete(data: &[u8], choice: Span) -> Option<&'static str> {
    match super::text(data, choice, "finish_reason").as_deref() {
        Some("length") => Some("max_output_tokens"),
        Some("content_filter") => Some("content_filter"),
        _ => None,
    }
}

/// The likelihoods of a choice's text, as elements of a list; empty for none. Servers leave out
/// what clients take for granted.
pub(super) fn logprobs(data: &[u8], choice: Span) -> Vec<u8> {
    let mut list = Vec::new();
    let Some(logprobs) = super::some(data, choice, "logprobs") else {
        return list;
    };
    let content = super::some(data, logprobs, "content").unwrap_or_default();
    let mut out = Writer::new(&mut list);
    for token in json::elements(data, content) {
        out.object(|out| {
            write_token(data, token, out);
            let top = super::some(data, token, "top_logprobs").unwrap_or_default();
            out.key("top_logprobs").array(|out| {
                for token in json::elements(data, top) {
                    out.object(|out| write_token(data, token, out));
                }
            });
        });
    }
    list
}

fn write_token(data: &[u8], token: Span, out: &mut Writer<'_>) {
    for (name, none) in [("token", "\"\""), ("bytes", "[]"), ("logprob", "0")] {
        match super::some(data, token, name) {
            Some(value) => out.key(name).copy(data, value),
            None => out.key(name).raw(none.as_bytes()),
        }
    }
}

/// Writes an annotation as Responses has it: flat.
pub(super) fn write_annotation(data: &[u8], annotation: Span, out: &mut Writer<'_>) {
    let Some(kind) = super::text(data, annotation, "type") else {
        return out.copy(data, annotation);
    };
    let Some(inner) = super::some(data, annotation, &kind) else {
        return out.copy(data, annotation);
    };
    out.object(|out| {
        out.key("type").string(&kind);
        for member in json::members(data, inner) {
            if let Some(name) = json::unescaped(member.key.of(data)).filter(|name| name != "type") {
                out.key(&name).copy(data, member.value);
            }
        }
    });
}
