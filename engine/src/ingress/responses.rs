//! OpenAI's Responses, as its clients speak them.
//!
//! Nothing is stored here: a request brings the whole conversation. What a provider wants back in
//! the next turn (signatures of thinking, or the mark that its reasoning belongs to calls) goes out
//! in `encrypted_content` of reasoning items, as JSON text, and is found there when it returns. What
//! was thought stands in the summary only, where a rule for personal data sees it.

use std::borrow::Cow;

use super::{Context, Translated};
use crate::json::{self, Kind, Span};

mod answer;
mod echo;
mod events;
mod foreign;
mod item;
mod items;
mod output;
mod parts;
mod request;
mod said;
mod stream;
#[cfg(test)]
mod tests;
mod tools;

pub(super) use answer::answer;
pub(crate) use foreign::leave_out_sealed;
pub(super) use request::to_chat;
pub(super) use stream::Stream;

/// The value of a member that is not `null`.
fn some(body: &[u8], object: Span, name: &str) -> Option<Span> {
    json::member(body, object, name).filter(|value| json::kind(body, *value) != Some(Kind::Null))
}

/// A member that is a string, as it stands with its quotes.
fn string(body: &[u8], object: Span, name: &str) -> Option<Span> {
    json::member(body, object, name).filter(|value| is_string(body, *value))
}

fn is_string(body: &[u8], value: Span) -> bool {
    json::kind(body, value) == Some(Kind::String)
}

/// A member's text.
fn text<'a>(body: &'a [u8], object: Span, name: &str) -> Option<Cow<'a, str>> {
    json::string(body, json::member(body, object, name)?)
}

/// A value as text, without its white space.
fn compact(body: &[u8], value: Span) -> String {
    let mut text = Vec::with_capacity(value.len());
    json::compact_into(body, value, &mut text);
    String::from_utf8(text).unwrap_or_default()
}
