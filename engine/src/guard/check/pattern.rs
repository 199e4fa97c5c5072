//! Patterns of checks: compiled when a rule is read, looked for in whole texts and in streams.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::custom::{Pattern, Sought};

/// A regular expression in the syntax of Rust's `regex`, without look-around and back-references. Of a
/// match at most 256 bytes are looked at. A copy shares what was compiled.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TextPattern {
    source: String,
    compiled: Arc<Pattern>,
}

impl TextPattern {
    /// # Errors
    /// Says in a sentence why a pattern is refused.
    pub fn compile(source: &str) -> Result<TextPattern, String> {
        Ok(TextPattern {
            source: source.to_owned(),
            compiled: Arc::new(Pattern::compile(source, false)?),
        })
    }

    /// Whether the text has a match.
    pub fn is_in(&self, text: &str) -> bool {
        let sought = self.compiled.seek(text.as_bytes(), 0, true);
        matches!(sought, Sought::From(_))
    }
}

impl TryFrom<String> for TextPattern {
    type Error = String;

    fn try_from(source: String) -> Result<TextPattern, String> {
        TextPattern::compile(&source)
    }
}

impl From<TextPattern> for String {
    fn from(pattern: TextPattern) -> String {
        pattern.source
    }
}

impl fmt::Debug for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl PartialEq for TextPattern {
    fn eq(&self, other: &TextPattern) -> bool {
        self.source == other.source
    }
}

impl Eq for TextPattern {}

/// Looks for a pattern in a text that comes in pieces.
#[derive(Debug, Default)]
pub(in super::super) struct Seeker {
    /// The character before what waits, and what waits.
    text: String,
    settled: usize,
}

impl Seeker {
    /// Bytes that wait.
    pub(in super::super) fn held(&self) -> usize {
        self.text.len().saturating_sub(self.settled)
    }

    /// Adds a piece. Gives back the text in which nothing can be found any more, and whether a match
    /// follows it.
    pub(in super::super) fn read(
        &mut self,
        pattern: &TextPattern,
        piece: &str,
        end: bool,
    ) -> (String, bool) {
        self.text.push_str(piece);
        let sought = pattern
            .compiled
            .seek(self.text.as_bytes(), self.settled, end);
        let (mut until, found) = match sought {
            Sought::From(start) => (start, true),
            Sought::Open(start) => (start, false),
        };
        while !self.text.is_char_boundary(until) {
            until = until.saturating_sub(1);
        }
        let text = self.text.get(self.settled..until).unwrap_or_default();
        let text = text.to_owned();
        let before = self.text.get(..until).unwrap_or_default();
        let last = before.chars().next_back().map_or(0, char::len_utf8);
        self.text.drain(..until.saturating_sub(last));
        self.settled = last;
        (text, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_is_found_wherever_the_text_is_cut() {
        let text = "é the code is X-42é, not AX-4711 or X-4711 then";
        let pattern = TextPattern::compile(r"\bX-\d{4}\b").expect("pattern");
        assert!(pattern.is_in(text));
        for size in 1..text.len() {
            let letters: Vec<char> = text.chars().collect();
            let (mut seeker, mut said) = (Seeker::default(), String::new());
            let mut found = false;
            for piece in letters.chunks(size) {
                let piece: String = piece.iter().collect();
                let (text, here) = seeker.read(&pattern, &piece, false);
                said.push_str(&text);
                assert!(here || seeker.held() <= 7, "{}", seeker.held());
                found = here;
                if found {
                    break;
                }
            }
            assert!(found, "{size}");
            assert_eq!(said, "é the code is X-42é, not AX-4711 or ", "{size}");
        }
    }

    #[test]
    fn a_pattern_travels_as_its_text() {
        let pattern = TextPattern::compile("a+b").expect("pattern");
        let json = serde_json::to_string(&pattern).expect("JSON");
        assert_eq!(json, "\"a+b\"");
        assert_eq!(
            serde_json::from_str::<TextPattern>(&json).ok(),
            Some(pattern)
        );
        assert!(serde_json::from_str::<TextPattern>("\"a(\"").is_err());
    }
}
