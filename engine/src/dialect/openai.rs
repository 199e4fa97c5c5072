//! OpenAI's Chat Completions: what clients speak and most providers speak as well.
//!
//! A request is spliced, an answer is only read. Unknown members pass both ways.

use std::borrow::Cow;

use super::{Answer, DecodeError, Encoded, Target, failure};
use crate::json::{self, Edits, Kind, Member, Span, Writer};
use crate::request::ChatRequest;
use crate::usage::Usage;
use crate::wire::Dialect;

pub(super) mod chunk;
pub(super) mod gate;

pub(super) const PATH: &str = "/chat/completions";

pub(super) fn encode<'a>(
    target: &Target<'_>,
    request: &ChatRequest,
    body: &'a [u8],
    mut edits: Edits,
) -> Encoded<'a> {
    if request.model != target.model {
        edits.replace(request.model_span, quoted(target.model));
    }
    ask_for_usage(request, body, &mut edits);
    splice(target, request, body, edits, PATH)
}

/// Makes a stream end with its usage.
pub(super) fn ask_for_usage(request: &ChatRequest, body: &[u8], edits: &mut Edits) {
    if request.stream && !request.include_usage {
        match request.stream_options {
            Some(options) => edits.set_member(body, options, "include_usage", "true"),
            None => {
                let options = r#"{"include_usage":true}"#;
                edits.set_member(body, request.root, "stream_options", options);
            }
        }
    }
}

/// Makes the changes, and those that any target of this format needs.
pub(super) fn splice<'a>(
    target: &Target<'_>,
    request: &ChatRequest,
    body: &'a [u8],
    mut edits: Edits,
    path: impl Into<Cow<'static, str>>,
) -> Encoded<'a> {
    if let (None, Some(cap)) = (request.output_cap, target.output_cap) {
        let name = cap_member(target.model);
        edits.set_member(body, request.root, name, cap.to_string());
    } else if cap_member(target.model) == NEW_CAP {
        rename_old_cap(target.model, request, body, &mut edits);
    }
    let body = if edits.is_empty() {
        Cow::Borrowed(body)
    } else {
        Cow::Owned(edits.apply(body))
    };
    Encoded {
        path: path.into(),
        body,
        headers: Vec::new(),
        dropped: Vec::new(),
    }
}

const OLD_CAP: &str = "max_tokens";
const NEW_CAP: &str = "max_completion_tokens";

/// OpenAI's own models take the new name, the reasoning ones nothing else; servers that imitate
/// OpenAI are sure to know only the old one.
fn cap_member(model: &str) -> &'static str {
    let name = bare_name(model);
    let own = name.starts_with("gpt-") || name.starts_with("chatgpt-") || is_o_series(name);
    if own && !name.starts_with("gpt-oss") {
        NEW_CAP
    } else {
        OLD_CAP
    }
}

/// A request that was written for another model may carry a name that reasoning models refuse with
/// a `400`; a fallback must not fail on that.
fn rename_old_cap(model: &str, request: &ChatRequest, body: &[u8], edits: &mut Edits) {
    let name = bare_name(model);
    let refuses_old = is_o_series(name) || name.starts_with("gpt-5") || name.starts_with("gpt-6");
    if !refuses_old || json::member(body, request.root, NEW_CAP).is_some() {
        return;
    }
    for member in json::members(body, request.root) {
        if json::is_named(body, member.key, OLD_CAP) {
            edits.replace(member.key, NEW_CAP);
        }
    }
}

/// The model's name without the maker that some providers put before it.
fn bare_name(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

fn is_o_series(name: &str) -> bool {
    matches!(name.as_bytes(), [b'o', digit, ..] if digit.is_ascii_digit())
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    Writer::new(&mut out).string(text);
    out
}

pub(super) fn decode_answer(body: Vec<u8>) -> Result<Answer, DecodeError> {
    let root = json::document(&body).map_err(|_| DecodeError::Invalid)?;
    if json::kind(&body, root) != Some(Kind::Object) {
        return Err(DecodeError::Invalid);
    }
    let (mut error, mut used) = (None, None);
    for member in json::members(&body, root) {
        if json::is_named(&body, member.key, "usage") {
            used = Some(member.value);
        } else if json::is_named(&body, member.key, "error") {
            error = Some(member.value);
        }
    }
    if let Some(error) = error
        && let Some(error) = failure::from_error(&body, error)
    {
        return Err(DecodeError::Reported(failure::reported_answer(
            Dialect::Openai,
            &error,
        )));
    }
    let usage = used.and_then(|value| usage(&body, value));
    let mut text = String::new();
    if usage.is_none() {
        chunk::look(&body, &mut text);
    }
    Ok(Answer { body, usage, text })
}

/// Reads a `usage` object; `None` for anything that counts nothing.
///
/// Some providers (xAI, Gemini's compatible endpoint) leave reasoning out of `completion_tokens`
/// but not out of `total_tokens`: what the total has more is output.
pub(crate) fn usage(body: &[u8], value: Span) -> Option<Usage> {
    let mut found = Counts::default();
    for member in json::members(body, value) {
        found.note(body, member);
    }
    let prompt = found.prompt.or(found.input);
    let completion = found.completion.or(found.output);
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    let input = prompt.unwrap_or_default();
    let total = found.total.unwrap_or_default();
    let detail = |group: Option<Span>, name: &str| {
        let count = group.and_then(|group| json::member(body, group, name));
        count.and_then(|count| json::number_u64(body, count))
    };
    Some(Usage {
        input,
        cached_input: detail(found.prompt_details, "cached_tokens")
            .or(found.cache_hit)
            .unwrap_or_default(),
        cache_write: detail(found.prompt_details, "cache_write_tokens").unwrap_or_default(),
        output: completion
            .unwrap_or_default()
            .max(total.saturating_sub(input)),
        reasoning: detail(found.completion_details, "reasoning_tokens")
            .or(found.reasoning)
            .unwrap_or_default(),
    })
}

/// Members of a `usage` object; of several that have one name the last.
#[derive(Default)]
struct Counts {
    prompt: Option<u64>,
    input: Option<u64>,
    completion: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cache_hit: Option<u64>,
    reasoning: Option<u64>,
    prompt_details: Option<Span>,
    completion_details: Option<Span>,
}

impl Counts {
    fn note(&mut self, body: &[u8], member: Member) {
        let Some(name) = json::unescaped(member.key.of(body)) else {
            return;
        };
        let place = match name.as_ref() {
            "prompt_tokens" => &mut self.prompt,
            "input_tokens" => &mut self.input,
            "completion_tokens" => &mut self.completion,
            "output_tokens" => &mut self.output,
            "total_tokens" => &mut self.total,
            "prompt_cache_hit_tokens" => &mut self.cache_hit,
            "reasoning_tokens" => &mut self.reasoning,
            "prompt_tokens_details" => {
                self.prompt_details = Some(member.value);
                return;
            }
            "completion_tokens_details" => {
                self.completion_details = Some(member.value);
                return;
            }
            _ => return,
        };
        *place = json::number_u64(body, member.value);
    }
}

/// `usage` as OpenAI writes it.
pub(super) fn write_usage(usage: &Usage, out: &mut Writer<'_>) {
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
