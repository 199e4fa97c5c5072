//! Personal data in a request, and the splices that take it out of the body.
//!
//! A text is scanned as its reader sees it: escapes resolved, and for the arguments of a tool call
//! the values of the JSON document inside the string. What is not replaced stays byte for byte:
//! only the escaped form of each finding is spliced, never the text around it.

mod label;
mod offsets;

use std::borrow::Cow;
use std::ops::Range;

use super::replacement::{Key, hashed, masked};
use super::rules::{Actions, Treatment};
use super::{Detectors, Finding, Kind, Pseudonyms, scan};
use crate::json::{self, Edits, Span};
use crate::request::attached::{self, Content};
use crate::request::{Place, Text};
use crate::wire::PiiAction;
use label::labelled;

pub(super) use label::{LABEL_BYTES_MAX, is_label};
pub(super) use offsets::Offsets;

/// What to do with findings.
#[derive(Clone, Debug)]
pub struct Orders<'a> {
    /// What is done with each type of data. What no rule speaks of is not looked at.
    pub actions: Cow<'a, Actions>,
    /// What finds it; the built-in table when `None`.
    pub detectors: Option<&'a Detectors>,
    /// Secret of the tenant, for hashes and tags.
    pub key: Key<'a>,
}

impl From<PiiAction> for Orders<'_> {
    fn from(action: PiiAction) -> Self {
        Orders {
            actions: Cow::Owned(action.into()),
            detectors: None,
            key: Key::default(),
        }
    }
}

/// What an inspection found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Findings of each kind, kinds in the order of the table, none with zero.
    pub counts: Vec<(Kind, u32)>,
    /// Edits were added to the body.
    pub edits_made: bool,
    /// What the answer is to say in place of placeholders.
    pub pseudonyms: Pseudonyms,
    /// Files that hold no text.
    pub unread: u32,
}

/// Scans every text of a request, whoever wrote it. Edits are added where an action changes what it
/// finds, and never to a [`Place::Label`].
pub fn inspect<'a>(
    body: &[u8],
    texts: &[Text],
    orders: impl Into<Orders<'a>>,
    edits: &mut Edits,
) -> Inspection {
    let mut inspector = Inspector {
        orders: orders.into(),
        counts: Vec::new(),
        findings: Vec::new(),
        changes: Vec::new(),
        pseudonyms: Pseudonyms::default(),
        unread: 0,
    };
    for text in texts {
        inspector.text(body, text);
    }
    inspector.finish(body, edits)
}

struct Inspector<'a> {
    orders: Orders<'a>,
    counts: Vec<(Kind, u32)>,
    findings: Vec<Finding>,
    changes: Vec<Change>,
    pseudonyms: Pseudonyms,
    unread: u32,
}

/// A piece of text to be replaced, and by what (unescaped).
type Replacement = (Range<usize>, What);

/// A piece of the body to be replaced.
struct Change {
    span: Span,
    what: What,
}

enum What {
    Text(Cow<'static, str>),
    /// The placeholder with that number; in quotes where a number stood.
    Placeholder(usize, bool),
    /// A file in base64 with these pieces of its text replaced.
    File(String, Vec<Replacement>),
}

impl Inspector<'_> {
    fn text(&mut self, body: &[u8], text: &Text) {
        let raw = text.span.of(body);
        let unescaped = if text.escaped {
            Some(Cow::Owned(json::unescape(raw)))
        } else {
            std::str::from_utf8(raw).ok().map(Cow::Borrowed)
        };
        let Some(unescaped) = unescaped else {
            return;
        };
        let replacements = match text.place {
            Place::Label => {
                self.find(&unescaped, 0);
                return;
            }
            Place::File => return self.file(body, text.span),
            Place::ToolArguments => self.arguments(&unescaped),
            _ => self.plain(&unescaped),
        };
        self.change(raw, text.span.start, replacements);
    }

    /// Notes what becomes of the string `raw`, which begins at `start`.
    fn change(&mut self, raw: &[u8], start: usize, replacements: Vec<Replacement>) {
        let mut offsets = Offsets::new(raw);
        for (range, what) in replacements {
            let span = Span {
                start: start + offsets.raw(range.start),
                end: start + offsets.raw(range.end),
            };
            self.changes.push(Change { span, what });
        }
    }

    fn file(&mut self, body: &[u8], span: Span) {
        match attached::content(body, span) {
            Some(Content::Text(text, in_base64)) => {
                let replacements = self.plain(&text);
                if !in_base64 {
                    self.change(span.of(body), span.start, replacements);
                } else if !replacements.is_empty() {
                    let what = What::File(text.into_owned(), replacements);
                    self.changes.push(Change { span, what });
                }
            }
            Some(Content::Unread) => self.unread = self.unread.saturating_add(1),
            None => {}
        }
    }

    fn finish(mut self, body: &[u8], edits: &mut Edits) -> Inspection {
        if !self.pseudonyms.is_empty() {
            self.pseudonyms.name_all(self.orders.key.0, body);
        }
        for Change { span, what } in &self.changes {
            let mut token = Vec::new();
            match what {
                What::Text(text) => json::escape_into(text, &mut token),
                What::Placeholder(number, quoted) => {
                    let quote: &[u8] = if *quoted { b"\\\"" } else { b"" };
                    let placeholder = self.pseudonyms.placeholder(*number);
                    token.extend([quote, placeholder.as_bytes(), quote].concat());
                }
                What::File(text, replacements) => {
                    let text = self.replaced(text, replacements);
                    token.extend(attached::encoded(&text).into_bytes());
                }
            }
            edits.replace(*span, token);
        }
        self.counts.sort_unstable();
        Inspection {
            counts: self.counts,
            edits_made: !self.changes.is_empty(),
            pseudonyms: self.pseudonyms,
            unread: self.unread,
        }
    }

    /// The text of a file with its findings replaced.
    fn replaced(&self, text: &str, replacements: &[Replacement]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for (range, what) in replacements {
            out.push_str(text.get(from..range.start).unwrap_or_default());
            match what {
                What::Text(text) => out.push_str(text),
                What::File(text, _) => out.push_str(text),
                What::Placeholder(number, _) => out.push_str(self.pseudonyms.placeholder(*number)),
            }
            from = range.end;
        }
        out.push_str(text.get(from..).unwrap_or_default());
        out
    }

    /// Findings of a text from byte `from` on that a rule speaks of, counted.
    fn find(&mut self, text: &str, from: usize) {
        self.findings.clear();
        match self.orders.detectors {
            Some(detectors) => detectors.scan(text, &mut self.findings),
            None => scan(text, &mut self.findings),
        }
        let actions = &self.orders.actions;
        self.findings
            .retain(|finding| finding.start >= from && actions.of_kind(finding.kind).is_some());
        for finding in &self.findings {
            add(&mut self.counts, finding.kind);
        }
    }

    /// What a value is replaced by; `None` where it stays. `quoted` says that it stands in a
    /// document without quotes and needs some now.
    fn replacement(&mut self, kind: Kind, value: &str, quoted: bool) -> Option<What> {
        let Treatment { action, keep } = self.orders.actions.of_kind(kind)?;
        let text = match action {
            PiiAction::Flag | PiiAction::Deny => return None,
            PiiAction::Pseudonymize => {
                let name = self.name(kind).to_owned();
                let number = self.pseudonyms.add(name, value);
                return Some(What::Placeholder(number, quoted));
            }
            PiiAction::Redact => match self.orders.detectors {
                Some(detectors) => Cow::Owned(detectors.token(kind).to_owned()),
                None => Cow::Borrowed(kind.token()),
            },
            PiiAction::Hash => Cow::Owned(hashed(self.orders.key, kind, self.name(kind), value)),
            PiiAction::Mask => Cow::Owned(masked(kind, value, keep)),
        };
        Some(What::Text(if quoted {
            Cow::Owned(format!("\"{text}\""))
        } else {
            text
        }))
    }

    fn name(&self, kind: Kind) -> &str {
        match self.orders.detectors {
            Some(detectors) => detectors.name(kind),
            None => kind.name(),
        }
    }

    fn plain(&mut self, text: &str) -> Vec<Replacement> {
        self.find(text, 0);
        let findings = std::mem::take(&mut self.findings);
        let replacements = findings
            .iter()
            .filter_map(|found| {
                let range = found.start..found.end;
                let value = text.get(range.clone())?;
                Some((range, self.replacement(found.kind, value, false)?))
            })
            .collect();
        self.findings = findings;
        replacements
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

    /// A string of the document or a name in it, without quotes. What replaces a value needs no
    /// escapes there.
    fn value(&mut self, document: &[u8], label: Span, span: Span, into: &mut Vec<Replacement>) {
        let raw = span.of(document);
        let Some(value) = json::unescaped(raw) else {
            return;
        };
        let (text, prefix) = labelled(document, label, &value);
        self.find(&text, prefix);
        let findings = std::mem::take(&mut self.findings);
        let mut offsets = Offsets::new(raw);
        for found in &findings {
            let value = text.get(found.start..found.end).unwrap_or_default();
            let start = offsets.raw(found.start.saturating_sub(prefix));
            let end = offsets.raw(found.end.saturating_sub(prefix));
            if let Some(what) = self.replacement(found.kind, value, false) {
                into.push((span.start + start..span.start + end, what));
            }
        }
        self.findings = findings;
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
        self.find(&text, prefix);
        let Some(kind) = self.findings.first().map(|found| found.kind) else {
            return;
        };
        if let Some(what) = self.replacement(kind, digits, true) {
            into.push((span.start..span.end, what));
        }
    }
}

/// Counts one more.
pub(super) fn add(counts: &mut Vec<(Kind, u32)>, kind: Kind) {
    match counts.iter_mut().find(|(counted, _)| *counted == kind) {
        Some((_, count)) => *count = count.saturating_add(1),
        None => counts.push((kind, 1)),
    }
}

/// No number with fewer digits is personal.
pub(super) const NUMBER_BYTES_MIN: usize = 8;
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
