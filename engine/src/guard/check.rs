//! Checks of a text as a whole: the built-in judge of content, attempts to get past instructions,
//! languages, schemas, patterns.

use serde_json::Value;

use super::rules::{Check, Test};
use super::{CustomDetector, Detectors, GuardConfig, Kind};

mod injection;
mod judge;
pub(crate) mod language;
mod safety;
pub(crate) mod schema;
#[cfg(test)]
mod tests;
mod words;

pub use judge::{Judge, JudgeKind, Opinion};

/// Bytes of a text that are looked at; of a longer one its end, which is what is answered.
pub const CHECKED_BYTES_MAX: usize = 256 * 1024;

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
                    .any(|text| matches(pattern, text));
                match (found, allow) {
                    (true, false) => Some("found".to_owned()),
                    (false, true) => Some("missing".to_owned()),
                    _ => None,
                }
            }
        }
    }
}

/// Whether a pattern is found. One that cannot be compiled was refused when it was read.
fn matches(pattern: &str, text: &str) -> bool {
    let Ok(detectors) = compile(pattern) else {
        return true;
    };
    let mut found = Vec::new();
    detectors.scan(text, &mut found);
    found
        .iter()
        .any(|found| matches!(found.kind, Kind::Custom(_)))
}

/// A pattern as a detector.
pub(super) fn compile(pattern: &str) -> Result<Detectors, String> {
    let config = GuardConfig {
        custom: vec![CustomDetector {
            name: "REGEX".to_owned(),
            patterns: vec![pattern.to_owned()],
            ..CustomDetector::default()
        }],
        ..GuardConfig::default()
    };
    Detectors::compile(&config).map_err(|error| error.message)
}

/// The end of a text.
fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(CHECKED_BYTES_MAX);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default()
}
