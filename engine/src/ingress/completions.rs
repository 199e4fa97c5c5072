//! OpenAI's older completions: a text that a model goes on with.
//!
//! The prompt becomes the one message of a chat, the answer's content the text. Members that both
//! formats have go on as they are, with those that neither knows. What chats have no place for is
//! refused where leaving it out would change the answer.

use super::{Context, Translated};
use crate::json::{self, Kind, Span, Writer};
use crate::request::RequestError;

mod answer;
mod logprobs;
mod stream;
#[cfg(test)]
mod tests;

pub(super) use answer::answer;
pub(super) use stream::Stream;

pub(super) fn to_chat(body: &[u8], root: Span) -> Result<Translated, RequestError> {
    let prompt = prompt(body, root)?;
    check(body, root)?;
    let mut translated = Translated::default();
    Writer::new(&mut translated.body).object(|out| {
        for member in json::members(body, root) {
            let name = json::unescaped(member.key.of(body)).unwrap_or_default();
            match &*name {
                "best_of" | "echo" | "prompt" | "stream_options" | "suffix" => {}
                "logprobs" => write_logprobs(body, member.value, out),
                // Not this format's, and the chat's own are written here.
                "messages" | "top_logprobs" => translated.dropped.push(name.into_owned()),
                _ => out.key(&name).copy(body, member.value),
            }
        }
        write_stream_options(body, root, out);
        out.key("messages").array(|out| {
            out.object(|out| {
                out.key("role").string("user");
                out.key("content").copy(body, prompt);
            });
        });
    });
    Writer::new(&mut translated.echo).object(|out| {
        if is_true(body, some(body, root, "echo")) {
            out.key("prompt").copy(body, prompt);
        }
        out.key("logprobs")
            .boolean(some(body, root, "logprobs").is_some());
        out.key("usage").boolean(shows_usage(body, root));
    });
    Ok(translated)
}

/// The prompt as it is written: a text, or a list of nothing but one.
fn prompt(body: &[u8], root: Span) -> Result<Span, RequestError> {
    let prompt = some(body, root, "prompt").unwrap_or_default();
    let mut list = json::elements(body, prompt);
    let (first, more) = (list.next(), list.next().is_some());
    let kind = |value: Span| json::kind(body, value);
    let why = match (kind(prompt), first.and_then(kind)) {
        (Some(Kind::String), _) => return Ok(prompt),
        (Some(Kind::Array), Some(Kind::String)) if !more => return Ok(first.unwrap_or_default()),
        (Some(Kind::Array), Some(Kind::String)) => {
            "this model's provider takes one prompt per request"
        }
        (Some(Kind::Array), Some(Kind::Number | Kind::Array)) => {
            "this model's provider takes a text, not token ids"
        }
        _ => "'prompt' must be a text",
    };
    Err(RequestError::invalid("prompt", why))
}

/// # Errors
/// A member that chats have no place for, and one with a value that has no meaning.
fn check(body: &[u8], root: Span) -> Result<(), RequestError> {
    if some(body, root, "suffix").is_some_and(|suffix| !suffix.unquoted().is_empty()) {
        let why = "this model's provider cannot fill in text before a suffix";
        return Err(RequestError::invalid("suffix", why));
    }
    let number = |name: &str| {
        some(body, root, name).map(|value| json::number_u64(body, value).unwrap_or(u64::MAX))
    };
    let choices = number("n").unwrap_or(1);
    if number("best_of").is_some_and(|best_of| best_of != 1 && best_of != choices) {
        let why = "this model's provider returns all choices: 'best_of' must be 'n' or 1";
        return Err(RequestError::invalid("best_of", why));
    }
    if number("logprobs") == Some(u64::MAX) {
        let why = "'logprobs' must be a non-negative integer";
        return Err(RequestError::invalid("logprobs", why));
    }
    for name in ["echo", "stream"] {
        if some(body, root, name).is_some_and(|value| json::boolean(body, value).is_none()) {
            let why = format!("'{name}' must be a boolean");
            return Err(RequestError::invalid(name, why));
        }
    }
    Ok(())
}

/// A number of alternatives here is a wish and a number there.
fn write_logprobs(body: &[u8], value: Span, out: &mut Writer<'_>) {
    if json::kind(body, value) == Some(Kind::Number) {
        out.key("logprobs").boolean(true);
        out.key("top_logprobs").copy(body, value);
    }
}

/// A stream is metered by its usage, whether or not the client wants to see it.
fn write_stream_options(body: &[u8], root: Span, out: &mut Writer<'_>) {
    if !is_true(body, some(body, root, "stream")) {
        return;
    }
    let options = some(body, root, "stream_options").unwrap_or_default();
    out.key("stream_options").object(|out| {
        for member in json::members(body, options) {
            if !json::is_named(body, member.key, "include_usage") {
                let name = json::unescaped(member.key.of(body)).unwrap_or_default();
                out.key(&name).copy(body, member.value);
            }
        }
        out.key("include_usage").boolean(true);
    });
}

fn shows_usage(body: &[u8], root: Span) -> bool {
    some(body, root, "stream_options")
        .is_some_and(|options| is_true(body, json::member(body, options, "include_usage")))
}

/// What an answer repeats of its request.
#[derive(Clone, Debug, Default)]
struct Echo {
    /// The inside of the prompt's string, when the text is to begin with it.
    prompt: Option<Vec<u8>>,
    /// The client asked how likely each token was.
    logprobs: bool,
    /// The client asked for the usage of a stream.
    usage: bool,
}

impl Echo {
    fn read(context: &Context<'_>) -> Echo {
        let echo = context.echo;
        let root = Span {
            start: 0,
            end: echo.len(),
        };
        Echo {
            prompt: json::member(echo, root, "prompt")
                .map(|prompt| prompt.unquoted().of(echo).to_vec()),
            logprobs: is_true(echo, json::member(echo, root, "logprobs")),
            usage: is_true(echo, json::member(echo, root, "usage")),
        }
    }
}

/// The reason for an end, as this format has it. It knows no calls.
fn finish_reason(body: &[u8], choice: Span) -> Option<&'static str> {
    let reason = json::string(body, some(body, choice, "finish_reason")?)?;
    Some(match &*reason {
        "length" => "length",
        "content_filter" => "content_filter",
        _ => "stop",
    })
}

/// What was said in a message or delta, as the insides of strings. Reasoning is no part of the text.
fn said(body: &[u8], message: Span) -> Vec<Span> {
    let content = some(body, message, "content").or_else(|| some(body, message, "refusal"));
    match content.and_then(|content| Some((content, json::kind(body, content)?))) {
        Some((text, Kind::String)) => vec![text.unquoted()],
        // Mistral's parts.
        Some((parts, Kind::Array)) => json::elements(body, parts)
            .filter_map(|part| json::member(body, part, "text"))
            .filter(|text| json::kind(body, *text) == Some(Kind::String))
            .map(Span::unquoted)
            .collect(),
        _ => Vec::new(),
    }
}

/// Writes a text out of the insides of strings.
fn write_text(body: &[u8], prompt: Option<&[u8]>, said: &[Span], out: &mut Writer<'_>) {
    let mut text = Vec::new();
    text.push(b'"');
    text.extend_from_slice(prompt.unwrap_or_default());
    for piece in said {
        text.extend_from_slice(piece.of(body));
    }
    text.push(b'"');
    out.key("text").raw(&text);
}

/// Writes what an answer and each chunk of it begin with.
fn write_head(body: &[u8], root: Span, context: &Context<'_>, out: &mut Writer<'_>) {
    let id = some(body, root, "id").and_then(|id| json::string(body, id));
    let id = id.as_deref().filter(|id| !id.is_empty());
    let bare = id.unwrap_or(context.exchange);
    let bare = bare.strip_prefix("chatcmpl-").unwrap_or(bare);
    let bare = bare.strip_prefix("cmpl-").unwrap_or(bare);
    out.key("id").string(&format!("cmpl-{bare}"));
    out.key("object").string("text_completion");
    match some(body, root, "created") {
        Some(created) => out.key("created").copy(body, created),
        None => out.key("created").number(context.created_s),
    }
    match some(body, root, "model") {
        Some(model) => out.key("model").copy(body, model),
        None => out.key("model").string(context.model),
    }
}

fn is_true(body: &[u8], value: Option<Span>) -> bool {
    value.and_then(|value| json::boolean(body, value)) == Some(true)
}

fn some(body: &[u8], object: Span, name: &str) -> Option<Span> {
    json::member(body, object, name).filter(|value| json::kind(body, *value) != Some(Kind::Null))
}
