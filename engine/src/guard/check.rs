//! Checks of a text as a whole: the built-in judge of content, attempts to get past instructions,
//! languages, schemas, patterns.

use serde_json::Value;

use super::rules::{Check, Test};

mod injection;
mod judge;
pub(crate) mod language;
mod pattern;
mod safety;
pub(crate) mod schema;
#[cfg(test)]
mod tests;
mod words;

pub use judge::{Judge, JudgeKind, Opinion};
pub(super) use pattern::Seeker;
pub use pattern::TextPattern;

/// Bytes of a text that are looked at; of a longer one its end, which is what is answered.
pub const CHECKED_BYTES_MAX: usize = 256 * 1024;

/// What is said of a text that has a pattern which must not be there.
pub(crate) const FOUND: &str = "found";

/// What there is to check.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checked<'a> {
    /// What people wrote, or the answer.
    pub said: &'a str,
    /// What else came with it and was not written by the one who asks: results of tools.
    pub brought: &'a str,
    /// Tokens of the prompt.
    pub tokens: u64,
    /// The content of each choice of an answer.
    pub contents: &'a [String],
}

/// What a check has against a text: a word for it, never the text.
pub(crate) type Objection = String;

impl Check {
    /// What the check has against it; `None` when it passes, or is not for this side to tell.
    pub(crate) fn object(&self, checked: &Checked<'_>) -> Option<Objection> {
        let said = tail(checked.said);
        match &self.test {
            // Somebody else is asked.
            Test::ContentSafety { judge: Some(_), .. } => None,
            Test::ContentSafety { threshold_ppm, .. } => {
                let (category, score) = safety::score(&words::plain(said));
                (score >= *threshold_ppm).then(|| category.to_owned())
            }
            Test::PromptInjection { threshold_ppm } => {
                let of = |text| injection::score(&words::plain(tail(text)));
                let (said, brought) = (of(said), of(checked.brought));
                (said.max(brought) >= *threshold_ppm).then(|| {
                    if said >= brought {
                        "prompt"
                    } else {
                        "tool_result"
                    }
                    .to_owned()
                })
            }
            Test::MaxInputTokens { max } => {
                (checked.tokens > *max).then(|| format!("{} of {max}", checked.tokens))
            }
            Test::AllowedLanguages { languages } => {
                let language = language::language(said)?;
                let allowed = languages.iter().any(|allowed| allowed == language);
                (!allowed).then(|| language.to_owned())
            }
            Test::JsonSchema { schema } => {
                let schema: Value = serde_json::from_str(schema).unwrap_or_default();
                let objection =
                    |content: &String| match serde_json::from_str::<Value>(content.trim()) {
                        Ok(value) if schema::fits(&schema, &value) => None,
                        Ok(_) => Some("other_shape"),
                        Err(_) => Some("no_json"),
                    };
                // An answer that only calls tools has no content.
                let said = checked.contents.iter().filter(|it| !it.is_empty());
                said.filter_map(objection).next().map(str::to_owned)
            }
            Test::Regex { pattern, allow } => {
                let found = [said, tail(checked.brought)]
                    .into_iter()
                    .any(|text| pattern.is_in(text));
                match (found, allow) {
                    (true, false) => Some(FOUND.to_owned()),
                    (false, true) => Some("missing".to_owned()),
                    _ => None,
                }
            }
        }
    }
}

/// The end of a text.
fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(CHECKED_BYTES_MAX);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default()
}
