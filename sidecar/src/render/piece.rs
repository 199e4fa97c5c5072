//! A piece of YAML with `@places@` to fill.

use std::fmt::Display;

/// A piece on its way to being complete.
pub(super) struct Piece(String);

impl Piece {
    pub(super) fn new(template: &str) -> Piece {
        Piece(template.to_owned())
    }

    /// Fills a place with a value as it is.
    pub(super) fn value(self, place: &str, value: impl Display) -> Piece {
        Piece(self.0.replace(&format!("@{place}@"), &value.to_string()))
    }

    /// Fills a place with text that YAML must read as text.
    pub(super) fn text(self, place: &str, text: &str) -> Piece {
        self.value(place, quoted(text))
    }

    /// Fills a line of its own with lines indented as the place is; without lines it goes away.
    pub(super) fn block(self, place: &str, lines: &str) -> Piece {
        let place = format!("@{place}@");
        let mut filled = String::with_capacity(self.0.len().saturating_add(lines.len()));
        for line in self.0.lines() {
            match line.strip_suffix(&place) {
                Some(indent) if indent.trim().is_empty() => {
                    for inner in lines.lines() {
                        filled.extend([indent, inner, "\n"]);
                    }
                }
                _ => filled.extend([line, "\n"]),
            }
        }
        Piece(filled)
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// JSON's string form, which YAML reads the same.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
