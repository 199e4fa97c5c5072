//! Personal data in a request, and the splices that take it out of the body.
//!
//! A text is scanned as its reader sees it: escapes resolved, and for the arguments of a tool call
//! the values of the JSON document inside the string. What is not replaced stays byte for byte:
//! only the escaped form of each finding is spliced, never the text around it.

use std::borrow::Cow;
use std::ops::Range;

use super::{Finding, Kind, scan};
use crate::json::{self, Edits, Span};
use crate::request::{Place, Text};
use crate::wire::PiiAction;

/// What an inspection found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Findings of each kind, kinds in the order of the table, none with zero.
    pub counts: Vec<(Kind, u32)>,
    /// Edits were added to the body.
    pub edits_made: bool,
}

/// Scans every text of a request, whoever wrote it. Only [`PiiAction::Redact`] adds edits, and
/// never to a [`Place::Label`].
pub fn inspect(body: &[u8], texts: &[Text], action: PiiAction, edits: &mut Edits) -> Inspection {
    let mut inspector = Inspector {
        counts: Vec::new(),
        findings: Vec::new(),
        edits: (action == PiiAction::Redact).then_some(edits),
        edits_made: false,
    };
    for text in texts {
        inspector.text(body, text);
    }
    inspector.counts.sort_unstable();
    Inspection {
        counts: inspector.counts,
        edits_made: inspector.edits_made,
    }
}

struct Inspector<'a> {
    counts: Vec<(Kind, u32)>,
    findings: Vec<Finding>,
    edits: Option<&'a mut Edits>,
    edits_made: bool,
}

/// A piece of text to be replaced, and by what (unescaped).
type Replacement = (Range<usize>, Cow<'static, str>);

impl Inspector<'_> {
    fn text(&mut self, body: &[u8], text: &Text) {
        let raw = text.span.of(body);
        let Some(unescaped) = json::unescaped(raw) else {
            return;
        };
        let replacements = match text.place {
            Place::ToolArguments => self.arguments(&unescaped),
            _ => self.plain(&unescaped),
        };
        let replaceable = text.place != Place::Label;
        let Some(edits) = self.edits.as_deref_mut().filter(|_| replaceable) else {
            return;
        };
        let mut offsets = Offsets::new(raw);
        for (range, replacement) in replacements {
            let start = offsets.raw(range.start);
            let end = offsets.raw(range.end);
            let mut token = Vec::with_capacity(replacement.len());
            json::escape_into(&replacement, &mut token);
            let span = Span {
                start: text.span.start + start,
                end: text.span.start + end,
            };
            edits.replace(span, token);
            self.edits_made = true;
        }
    }

    /// Findings of a text from byte `from` on, counted.
    fn find(&mut self, text: &str, from: usize) -> &[Finding] {
        self.findings.clear();
        scan(text, &mut self.findings);
        self.findings.retain(|finding| finding.start >= from);
        for finding in &self.findings {
            match self
                .counts
                .iter_mut()
                .find(|(kind, _)| *kind == finding.kind)
            {
                Some((_, count)) => *count = count.saturating_add(1),
                None => self.counts.push((finding.kind, 1)),
            }
        }
        &self.findings
    }

    fn plain(&mut self, text: &str) -> Vec<Replacement> {
        let findings = self.find(text, 0).iter();
        findings
            .map(|found| (found.start..found.end, Cow::Borrowed(found.kind.token())))
            .collect()
    }

    /// Findings in the strings, names and numbers of a document; in all of it when it is none.
    fn arguments(&mut self, text: &str) -> Vec<Replacement> {
        let document = text.as_bytes();
        let Ok(_) = json::document(document) else {
            return self.plain(text);
        };
        let mut replacements = Vec::new();
        let mut at = 0;
        // The document is valid, so tokens can be told by their first bytes.
        let mut label = Span::default();
        while let Some(byte) = document.get(at) {
            match byte {
                b'"' => {
                    let end = string_end(document, at);
                    let span = Span {
                        start: at + 1,
                        end: end.saturating_sub(1),
                    };
                    self.value(document, label, span, &mut replacements);
                    if is_name(document, end) {
                        label = span;
                    }
                    at = end;
                }
                b'-' | b'0'..=b'9' => {
                    let rest = document.get(at..).unwrap_or_default();
                    let len = rest
                        .iter()
                        .position(|byte| !is_number(*byte))
                        .unwrap_or(rest.len());
                    self.number(
                        document,
                        label,
                        Span {
                            start: at,
                            end: at + len,
                        },
                        &mut replacements,
                    );
                    at += len;
                }
                _ => at += 1,
            }
        }
        replacements
    }

    /// A string of the document or a name in it, without quotes.
    fn value(&mut self, document: &[u8], label: Span, span: Span, into: &mut Vec<Replacement>) {
        let raw = span.of(document);
        let Some(value) = json::unescaped(raw) else {
            return;
        };
        let (text, prefix) = labelled(document, label, &value);
        let mut offsets = Offsets::new(raw);
        for found in self.find(&text, prefix) {
            let start = offsets.raw(found.start.saturating_sub(prefix));
            let end = offsets.raw(found.end.saturating_sub(prefix));
            let range = span.start + start..span.start + end;
            into.push((range, Cow::Borrowed(found.kind.token())));
        }
    }

    /// A number: replaced as a whole, by a string, for a token is no number.
    fn number(&mut self, document: &[u8], label: Span, span: Span, into: &mut Vec<Replacement>) {
        let Ok(digits) = std::str::from_utf8(span.of(document)) else {
            return;
        };
        if digits.len() < NUMBER_BYTES_MIN {
            return;
        }
        let (text, prefix) = labelled(document, label, digits);
        if let Some(found) = self.find(&text, prefix).first() {
            into.push((
                span.start..span.end,
                Cow::Owned(format!("\"{}\"", found.kind.token())),
            ));
        }
    }
}

/// No number with fewer digits is personal.
const NUMBER_BYTES_MIN: usize = 8;
/// Longest name given to the scanner before its value.
const LABEL_BYTES_MAX: usize = 48;

/// `value` after its name, so that the name counts as context, and the length of that prefix. The
/// name is left out when it holds data itself: it is reported where it stands.
fn labelled<'a>(document: &[u8], label: Span, value: &'a str) -> (Cow<'a, str>, usize) {
    let plain = Cow::Borrowed(value);
    let name = label.of(document);
    let usable = !name.is_empty()
        && name.len() <= LABEL_BYTES_MAX
        && !name
            .iter()
            .any(|byte| matches!(byte, b'\\' | b'@' | b'0'..=b'9'));
    match std::str::from_utf8(name) {
        Ok(name) if usable => {
            let text = format!("{name}: {value}");
            let prefix = text.len() - value.len();
            (Cow::Owned(text), prefix)
        }
        _ => (plain, 0),
    }
}

/// Past the closing quote of the string that opens at `at`.
fn string_end(document: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = document.get(end) {
        match byte {
            b'"' => return end + 1,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    document.len()
}

/// A colon follows the string that ends at `end`.
fn is_name(document: &[u8], end: usize) -> bool {
    let rest = document.get(end..).unwrap_or_default();
    rest.trim_ascii_start().first() == Some(&b':')
}

const fn is_number(byte: u8) -> bool {
    matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
}

/// Where the bytes of an unescaped text stand in its escaped form, asked for in rising order.
struct Offsets<'a> {
    raw: &'a [u8],
    raw_at: usize,
    text_at: usize,
}

impl<'a> Offsets<'a> {
    const fn new(raw: &'a [u8]) -> Self {
        Self {
            raw,
            raw_at: 0,
            text_at: 0,
        }
    }

    /// Offset in the escaped form of byte `text` of the unescaped one.
    fn raw(&mut self, text: usize) -> usize {
        while self.text_at < text {
            let rest = self.raw.get(self.raw_at..).unwrap_or_default();
            let plain = rest
                .iter()
                .position(|byte| *byte == b'\\')
                .unwrap_or(rest.len());
            if plain > 0 {
                let step = plain.min(text - self.text_at);
                self.raw_at += step;
                self.text_at += step;
                continue;
            }
            if rest.is_empty() {
                break;
            }
            let (letter, width) = json::escape(rest);
            self.raw_at += width;
            self.text_at += letter.len_utf8();
        }
        self.raw_at.min(self.raw.len())
    }
}
