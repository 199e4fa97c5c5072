//! OpenAI's Chat Completions: what clients speak and most providers speak as well.
//!
//! A request is spliced, an answer is only read. Unknown members pass both ways.

use std::borrow::Cow;

use super::{Answer, DecodeError, Encoded, Target, failure};
use crate::json::{self, Checked, Edits, Member, Span, Writer};
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
    let slash = model.bytes().rposition(|byte| byte == b'/');
    slash.and_then(|at| model.get(at + 1..)).unwrap_or(model)
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
    let mut walk = Checked::new(&body);
    let start = walk.position();
    if !walk.enter(b'{') {
        return Err(DecodeError::Invalid);
    }
    let (mut error, mut used, mut metadata) = (None, None, None);
    while let Some(key) = walk.key() {
        match &*json::name(&body, key) {
            b"usage" => used = counts(&body, &mut walk),
            b"error" => error = walk.skip(),
            b"metadata" => metadata = walk.skip(),
            _ => {
                walk.skip();
            }
        }
    }
    let end = walk.passed();
    if !walk.finish() {
        return Err(DecodeError::Invalid);
    }
    if let Some(error) = error
        && let Some(error) = failure::from_error(&body, error)
    {
        return Err(DecodeError::Reported(failure::reported_answer(
            Dialect::Openai,
            &error,
        )));
    }
    let usage = used.and_then(|counts| counts.usage(&body));
    let mut text = String::new();
    if usage.is_none() {
        chunk::look(&body, &mut text);
    }
    let root = Some(Span { start, end });
    Ok(Answer {
        body,
        usage,
        text,
        bare_root: root.filter(|_| metadata.is_none()),
    })
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
    found.usage(body)
}

/// The same of a document that is being read; the value is passed.
fn counts(body: &[u8], walk: &mut Checked<'_>) -> Option<Counts> {
    if !walk.enter(b'{') {
        walk.skip();
        return None;
    }
    let mut found = Counts::default();
    while let Some(key) = walk.key() {
        let value = walk.skip()?;
        found.note(body, Member { key, value });
    }
    Some(found)
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
    fn usage(&self, body: &[u8]) -> Option<Usage> {
        let prompt = self.prompt.or(self.input);
        let completion = self.completion.or(self.output);
        if prompt.is_none() && completion.is_none() {
            return None;
        }
        let input = prompt.unwrap_or_default();
        let total = self.total.unwrap_or_default();
        let detail = |group: Option<Span>, name: &str| {
            let count = group.and_then(|group| json::member(body, group, name));
            count.and_then(|count| json::number_u64(body, count))
        };
        Some(Usage {
            input,
            cached_input: detail(self.prompt_details, "cached_tokens")
                .or(self.cache_hit)
                .unwrap_or_default(),
            cache_write: detail(self.prompt_details, "cache_write_tokens").unwrap_or_default(),
            output: completion
                .unwrap_or_default()
                .max(total.saturating_sub(input)),
            reasoning: detail(self.completion_details, "reasoning_tokens")
                .or(self.reasoning)
                .unwrap_or_default(),
        })
    }

    fn note(&mut self, body: &[u8], member: Member) {
        let place = match &*json::name(body, member.key) {
            b"prompt_tokens" => &mut self.prompt,
            b"input_tokens" => &mut self.input,
            b"completion_tokens" => &mut self.completion,
            b"output_tokens" => &mut self.output,
            b"total_tokens" => &mut self.total,
            b"prompt_cache_hit_tokens" => &mut self.cache_hit,
            b"reasoning_tokens" => &mut self.reasoning,
            b"prompt_tokens_details" => {
                self.prompt_details = Some(member.value);
                return;
            }
            b"completion_tokens_details" => {
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
