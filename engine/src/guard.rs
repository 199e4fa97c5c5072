//! Personal data and secrets in text: found in one pass, by shape, checksum and the words nearby.
//!
//! A byte-class table finds the few bytes an entity can turn on (digits, `@`, `:`, `-`, `_`,
//! capitals); everything else is skipped. Each such byte calls a recognizer that reads the token
//! around it once and moves past it, so the work is linear in the text whatever it holds. Numbers
//! are read by one lexer and tried against one table of shapes, strongest evidence first: a
//! checksum decides alone, a shape is believed unless the words before it say otherwise, and a bare
//! number needs a word that names it.
//!
//! Boundaries are ASCII: letters beyond ASCII never hide a match, so `服务器10.0.0.1无法访问` is
//! found; ASCII letters, digits and `_` do.

mod answer;
mod bytes;
mod check;
mod checksum;
mod credential;
mod cue;
mod custom;
mod date;
mod detectors;
mod digest;
mod inspect;
mod kind;
mod mail;
mod name;
mod national;
mod network;
mod number;
mod phone;
mod pseudonym;
mod replacement;
pub mod rules;
mod scanner;
mod shape;
mod table;
mod token;
mod trigger;
mod window;

#[cfg(test)]
mod tests;

pub use answer::{AnswerForm, AnswerGuard, Texts};
pub(crate) use check::FOUND;
pub use check::{CHECKED_BYTES_MAX, Checked, Judge, JudgeKind, Opinion, TextPattern};
pub use detectors::{AllowList, CustomDetector, DetectorError, Detectors, GuardConfig};
pub use inspect::{Inspection, Orders, inspect};
pub use kind::{Detector, Evidence, Kind, detectors};
pub use pseudonym::Pseudonyms;
pub use replacement::{Key, tenant_key};
pub use rules::{Actions, Guardrails, PII_RULE};
pub use window::Window;

/// One piece of personal data in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    /// Byte offset of its first byte, on a character border.
    pub start: usize,
    /// Byte offset after its last byte, on a character border.
    pub end: usize,
}

/// Appends what `text` holds to `out`: sorted, not overlapping, on character borders.
///
/// Allocates only when `out` has to grow.
pub fn scan(text: &str, out: &mut Vec<Finding>) {
    Detectors::default().scan(text, out);
}

/// `text` with each finding replaced by its token; `None` when nothing is found.
pub fn redact(text: &str) -> Option<String> {
    let mut findings = Vec::new();
    scan(text, &mut findings);
    if findings.is_empty() {
        return None;
    }
    let mut redacted = String::with_capacity(text.len());
    let mut from = 0;
    for finding in &findings {
        redacted.push_str(text.get(from..finding.start).unwrap_or_default());
        redacted.push_str(finding.kind.token());
        from = finding.end;
    }
    redacted.push_str(text.get(from..).unwrap_or_default());
    Some(redacted)
}
