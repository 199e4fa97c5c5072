//! Where the texts of an answer stand in its JSON.

use crate::json::{self, Kind, Span, Writer};

/// What a text of an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Part {
    #[default]
    Content,
    Refusal,
    Reasoning,
    ReasoningContent,
    /// The text of an older completion.
    Older,
    /// Arguments of the call with that number.
    Call(u64),
    /// The input of such a call, when it is no JSON.
    Free(u64),
    /// Arguments of the one call that older answers have.
    Function,
    /// A string of another member; each stands for itself.
    Whole,
}

impl Part {
    pub(super) fn is_call(self) -> bool {
        matches!(self, Part::Call(_) | Part::Free(_) | Part::Function)
    }

    /// Whether the text is a JSON document.
    pub(super) fn is_json(self) -> bool {
        matches!(self, Part::Call(_) | Part::Function)
    }

    pub(super) fn is_whole(self) -> bool {
        self == Part::Whole
    }

    pub(super) fn thinks(self) -> bool {
        matches!(self, Part::Reasoning | Part::ReasoningContent)
    }

    /// Writes a text of that kind as the members of a choice.
    pub(super) fn write(self, text: &str, out: &mut Writer<'_>) {
        if self == Part::Older {
            return out.key("text").string(text);
        }
        out.key("delta").object(|out| match self {
            Part::Refusal => out.key("refusal").string(text),
            Part::Reasoning => out.key("reasoning").string(text),
            Part::ReasoningContent => out.key("reasoning_content").string(text),
            Part::Call(number) => write_call(number, ["function", "arguments"], text, out),
            Part::Free(number) => write_call(number, ["custom", "input"], text, out),
            Part::Function => out
                .key("function_call")
                .object(|out| out.key("arguments").string(text)),
            Part::Content | Part::Older | Part::Whole => out.key("content").string(text),
        });
    }
}

fn write_call(number: u64, [kind, member]: [&str; 2], text: &str, out: &mut Writer<'_>) {
    out.key("tool_calls").array(|out| {
        out.object(|out| {
            out.key("index").number(number);
            out.key(kind).object(|out| out.key(member).string(text));
        });
    });
}

/// A text in the JSON of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) part: Part,
    /// Inside the quotes.
    pub(super) span: Span,
}

/// Finds the texts of a choice. Says whether it tells something besides.
pub(super) fn slots(data: &[u8], choice: Span, found: &mut Vec<Slot>) -> bool {
    found.clear();
    let mut more = false;
    for member in json::members(data, choice) {
        match member.key.of(data) {
            b"delta" | b"message" => more |= message(data, member.value, found),
            b"text" => push(data, member.value, Part::Older, found),
            b"index" | b"finish_reason" | b"logprobs" | b"stop_reason" => {}
            _ => strings(data, member.value, found),
        }
    }
    more
}

fn message(data: &[u8], message: Span, found: &mut Vec<Slot>) -> bool {
    let mut more = false;
    for member in json::members(data, message) {
        let is_null = json::kind(data, member.value) == Some(Kind::Null);
        match member.key.of(data) {
            b"content" => content(data, member.value, found),
            b"refusal" => push(data, member.value, Part::Refusal, found),
            b"reasoning" => push(data, member.value, Part::Reasoning, found),
            b"reasoning_content" => push(data, member.value, Part::ReasoningContent, found),
            b"tool_calls" => more |= calls(data, member.value, found),
            b"function_call" => more |= call(data, member.value, Part::Function, found),
            b"role" => more |= !is_null,
            _ => {
                more |= !is_null;
                strings(data, member.value, found);
            }
        }
    }
    more
}

fn content(data: &[u8], content: Span, found: &mut Vec<Slot>) {
    if json::kind(data, content) != Some(Kind::Array) {
        return push(data, content, Part::Content, found);
    }
    for part in json::elements(data, content) {
        for member in json::members(data, part) {
            match member.key.of(data) {
                b"text" => push(data, member.value, Part::Content, found),
                b"type" => {}
                _ => strings(data, member.value, found),
            }
        }
    }
}

fn calls(data: &[u8], calls: Span, found: &mut Vec<Slot>) -> bool {
    let mut more = false;
    for (place, one) in json::elements(data, calls).enumerate() {
        let number = json::member(data, one, "index")
            .and_then(|index| json::number_u64(data, index))
            .unwrap_or(place as u64);
        for member in json::members(data, one) {
            match member.key.of(data) {
                b"function" => more |= call(data, member.value, Part::Call(number), found),
                b"custom" => more |= call(data, member.value, Part::Free(number), found),
                b"index" => {}
                _ => more = true,
            }
        }
    }
    more
}

fn call(data: &[u8], function: Span, part: Part, found: &mut Vec<Slot>) -> bool {
    let mut more = false;
    for member in json::members(data, function) {
        match member.key.of(data) {
            b"arguments" | b"input" if json::kind(data, member.value) == Some(Kind::String) => {
                push(data, member.value, part, found);
            }
            // Local servers write arguments as an object.
            b"arguments" | b"input" => {
                more = true;
                strings(data, member.value, found);
            }
            _ => more = true,
        }
    }
    more
}

fn push(data: &[u8], value: Span, part: Part, found: &mut Vec<Slot>) {
    if json::kind(data, value) == Some(Kind::String) {
        found.push(Slot {
            part,
            span: value.unquoted(),
        });
    }
}

/// Every string of a value but names, and but what is sealed. Recursion ends at the validated depth
/// of the document.
fn strings(data: &[u8], value: Span, found: &mut Vec<Slot>) {
    match json::kind(data, value) {
        Some(Kind::String) => push(data, value, Part::Whole, found),
        Some(Kind::Array) => {
            for element in json::elements(data, value) {
                strings(data, element, found);
            }
        }
        Some(Kind::Object) => {
            for member in json::members(data, value) {
                let name = member.key.of(data);
                if !matches!(name, b"type" | b"id" | b"signature" | b"data" | b"format") {
                    strings(data, member.value, found);
                }
            }
        }
        _ => {}
    }
}
