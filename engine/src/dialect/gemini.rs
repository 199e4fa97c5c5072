//! Google's generateContent, as Gemini's API and Vertex AI have it.

use std::borrow::Cow;

use crate::json::{self, Span, Writer};
use crate::usage::Usage;

mod answer;
mod gate;
mod request;
mod schema;
mod stream;

pub(super) use answer::decode_answer;
pub(super) use request::encode;
pub(super) use stream::Stream;

fn text<'a>(body: &'a [u8], object: Span, name: &str) -> Option<Cow<'a, str>> {
    json::string(body, json::member(body, object, name)?)
}

/// OpenAI's reason for an end, from Google's. A reason nobody knows is an ordinary end.
fn finish_reason(reason: &str, has_calls: bool) -> &'static str {
    match reason {
        "MAX_TOKENS" | "CONTINUATION" => "length",
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE"
        | "OTHER" | "NO_IMAGE" | "ESCALATION" | "MODEL_ARMOR" => "content_filter",
        image if image.starts_with("IMAGE_") => "content_filter",
        // The reason does not tell a call from a text.
        _ if has_calls => "tool_calls",
        _ => "stop",
    }
}

/// Whether the prompt itself was blocked.
fn is_blocked(body: &[u8], root: Span) -> bool {
    json::member(body, root, "promptFeedback")
        .and_then(|feedback| text(body, feedback, "blockReason"))
        .is_some()
}

/// Google counts thoughts beside the answer's tokens, OpenAI in them.
fn usage(body: &[u8], root: Span) -> Option<Usage> {
    let figures = json::member(body, root, "usageMetadata")?;
    let count = |name: &str| {
        json::member(body, figures, name).and_then(|value| json::number_u64(body, value))
    };
    let prompt = count("promptTokenCount")?;
    let thoughts = count("thoughtsTokenCount").unwrap_or_default();
    let input = prompt.saturating_add(count("toolUsePromptTokenCount").unwrap_or_default());
    Some(Usage {
        input,
        cached_input: count("cachedContentTokenCount").unwrap_or_default(),
        cache_write: 0,
        output: count("candidatesTokenCount")
            .unwrap_or_default()
            .saturating_add(thoughts),
        reasoning: thoughts,
    })
}

/// One part of a candidate's content.
enum Part<'a> {
    Text(Cow<'a, str>),
    Thought(Cow<'a, str>),
    Call {
        id: Option<Cow<'a, str>>,
        name: Cow<'a, str>,
        arguments: String,
        signature: Option<String>,
    },
}

/// The parts of a candidate. There may be none: all was spent on thinking, or blocked.
fn parts<'a>(body: &'a [u8], candidate: Span) -> impl Iterator<Item = Part<'a>> {
    let content = json::member(body, candidate, "content").unwrap_or_default();
    let list = json::member(body, content, "parts").unwrap_or_default();
    json::elements(body, list).filter_map(|part| {
        if let Some(call) = json::member(body, part, "functionCall") {
            let mut arguments = Vec::new();
            match json::member(body, call, "args") {
                Some(args) if json::kind(body, args) == Some(json::Kind::Object) => {
                    json::compact_into(body, args, &mut arguments);
                }
                _ => arguments.extend_from_slice(b"{}"),
            }
            return Some(Part::Call {
                id: text(body, call, "id").filter(|id| !id.is_empty()),
                name: text(body, call, "name").unwrap_or_default(),
                arguments: String::from_utf8(arguments).unwrap_or_default(),
                signature: text(body, part, "thoughtSignature").map(Cow::into_owned),
            });
        }
        let said = text(body, part, "text").filter(|text| !text.is_empty())?;
        let thought = json::member(body, part, "thought");
        if thought.and_then(|thought| json::boolean(body, thought)) == Some(true) {
            Some(Part::Thought(said))
        } else {
            Some(Part::Text(said))
        }
    })
}

/// `logprobs` of a choice, as JSON; empty where there are none.
fn logprobs(body: &[u8], candidate: Span) -> Vec<u8> {
    let mut json = Vec::new();
    let Some(result) = json::member(body, candidate, "logprobsResult") else {
        return json;
    };
    let list = |name: &str| {
        let list = json::member(body, result, name).unwrap_or_default();
        json::elements(body, list)
    };
    let mut out = Writer::new(&mut json);
    let write_token = |token: Span, out: &mut Writer<'_>| {
        out.key("token")
            .string(&text(body, token, "token").unwrap_or_default());
        match json::member(body, token, "logProbability") {
            Some(number) => out.key("logprob").copy(body, number),
            None => out.key("logprob").number(0),
        }
        out.key("bytes").null();
    };
    out.object(|out| {
        out.key("content").array(|out| {
            let mut tops = list("topCandidates");
            for chosen in list("chosenCandidates") {
                let top = tops.next().unwrap_or_default();
                let top = json::member(body, top, "candidates").unwrap_or_default();
                out.object(|out| {
                    write_token(chosen, out);
                    out.key("top_logprobs").array(|out| {
                        for token in json::elements(body, top) {
                            out.object(|out| write_token(token, out));
                        }
                    });
                });
            }
        });
        out.key("refusal").null();
    });
    json
}
