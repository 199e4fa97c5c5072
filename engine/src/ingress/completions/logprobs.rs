//! How likely each token was, turned from a list of tokens into lists side by side.

use super::some;
use crate::json::{self, Span, Writer};

/// Alternatives of one token that are passed on: OpenAI gives no more.
const ALTERNATIVES_MAX: usize = 20;

/// Characters of a string, from its inside.
pub(super) fn chars(inside: &[u8]) -> u64 {
    json::unescaped(inside).map_or(0, |text| text.chars().count() as u64)
}

/// Writes the `logprobs` of a choice, `null` for none. `start` is where its text begins, in
/// characters.
pub(super) fn write(body: &[u8], choice: Span, start: u64, out: &mut Writer<'_>) {
    let list = some(body, choice, "logprobs").and_then(|logprobs| {
        some(body, logprobs, "content").or_else(|| some(body, logprobs, "refusal"))
    });
    let Some(list) = list else {
        return out.null();
    };
    let tokens = || json::elements(body, list);
    out.object(|out| {
        out.key("tokens").array(|out| {
            tokens().for_each(|token| write_token(body, token, out));
        });
        out.key("token_logprobs").array(|out| {
            tokens().for_each(|token| write_logprob(body, token, out));
        });
        let has_alternatives = tokens().any(|token| alternatives(body, token).next().is_some());
        if has_alternatives {
            out.key("top_logprobs").array(|out| {
                tokens().for_each(|token| write_alternatives(body, token, out));
            });
        } else {
            out.key("top_logprobs").null();
        }
        out.key("text_offset").array(|out| {
            let mut offset = start;
            for token in tokens() {
                out.number(offset);
                let text = json::member(body, token, "token").unwrap_or_default();
                offset = offset.saturating_add(chars(text.unquoted().of(body)));
            }
        });
    });
}

fn alternatives(body: &[u8], token: Span) -> impl Iterator<Item = Span> {
    let list = json::member(body, token, "top_logprobs").unwrap_or_default();
    json::elements(body, list).take(ALTERNATIVES_MAX)
}

fn write_token(body: &[u8], token: Span, out: &mut Writer<'_>) {
    let text = json::member(body, token, "token").and_then(|text| json::string(body, text));
    out.string(&text.unwrap_or_default());
}

fn write_logprob(body: &[u8], token: Span, out: &mut Writer<'_>) {
    match json::member(body, token, "logprob") {
        Some(logprob) => out.copy(body, logprob),
        None => out.null(),
    }
}

/// An object of tokens: of two that read alike (parts of a character do) the likelier one stays.
fn write_alternatives(body: &[u8], token: Span, out: &mut Writer<'_>) {
    let mut seen = Vec::new();
    out.object(|out| {
        for alternative in alternatives(body, token) {
            let text = json::member(body, alternative, "token")
                .and_then(|text| json::string(body, text))
                .unwrap_or_default();
            if seen.contains(&text) {
                continue;
            }
            out.key(&text);
            write_logprob(body, alternative, out);
            seen.push(text);
        }
    });
}
