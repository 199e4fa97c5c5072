//! What is done with the texts of an answer.

use std::rc::Rc;

use super::super::check::Seeker;
use super::super::inspect::{Offsets, add};
use super::super::replacement::{hashed, masked};
use super::super::{Actions, Detectors, Finding, Key, Kind, Pseudonyms, TextPattern};
use super::escaped;
use super::field::{FIELDS_MAX, Field};
use super::slots::Part;
use crate::limits::EVENT_BYTES_MAX;
use crate::wire::PiiAction;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) actions: Actions,
    pub(super) detectors: Rc<Detectors>,
    pub(super) key: [u8; 32],
    pub(super) pseudonyms: Pseudonyms,
}

/// Orders, and what came of them so far.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) orders: Orders,
    pub(super) counts: Vec<(Kind, u32)>,
    pub(super) denied: bool,
    pub(super) texts: Option<Texts>,
    pub(super) patterns: Vec<Sought>,
}

/// A pattern that must not be said, or is to be reported.
#[derive(Debug)]
pub(super) struct Sought {
    pub(super) pattern: TextPattern,
    pub(super) is_flagged: bool,
    /// Whether it was said, or would have been.
    pub(super) is_found: bool,
}

/// What an answer says, for checks of it as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The content of each choice.
    pub contents: Vec<String>,
    /// All of it: content, reasoning, arguments.
    pub all: String,
    /// The text that was added to last.
    last: Option<(u64, u64, Part)>,
}

/// A stretch of text that nothing to come can change.
pub(super) struct Settled<'a> {
    /// As its reader sees it.
    pub(super) text: &'a str,
    /// As it stands in JSON, where it does.
    pub(super) raw: Option<&'a str>,
    /// In `text`.
    pub(super) findings: &'a [Finding],
    /// It stands in JSON without quotes.
    pub(super) is_bare: bool,
}

impl Watch {
    pub(super) fn new(orders: Orders) -> Watch {
        Watch {
            orders,
            counts: Vec::new(),
            denied: false,
            texts: None,
            patterns: Vec::new(),
        }
    }

    /// Whether nothing is to be done.
    pub(super) fn is_idle(&self) -> bool {
        self.orders.actions.is_empty() && self.orders.pseudonyms.is_empty()
    }

    /// What may be said of a field now that `text` was added to it.
    pub(super) fn say(&mut self, field: &mut Field, text: &str, end: bool) -> String {
        let said = if self.patterns.is_empty() {
            self.settled(field, text, end)
        } else {
            let (text, ends) = self.without_patterns(field, text, end);
            let said = self.settled(field, &text, end || ends);
            self.denied |= ends;
            said
        };
        if let Some((came, of_it)) = &mut field.repeated {
            came.push_str(text);
            of_it.push_str(&said);
        }
        if let Some(texts) = &mut self.texts {
            texts.add(field, &said);
        }
        said
    }

    /// What may be said of a text that is complete.
    pub(super) fn say_whole(&mut self, part: Part, is_signed: bool, text: &str) -> String {
        let mut field = Field {
            is_signed,
            ..Field::whole(part)
        };
        self.say(&mut field, text, true)
    }

    /// A text with the values in it that its client has sent, and no rule applied.
    pub(super) fn restored(&self, text: &str) -> String {
        let mut said = String::new();
        let pseudonyms = &self.orders.pseudonyms;
        pseudonyms.restore(text, false, false, &mut said);
        said
    }

    /// The text before anything that a check denies, and whether it ends there.
    fn without_patterns(&mut self, field: &mut Field, text: &str, end: bool) -> (String, bool) {
        let mut text = text.to_owned();
        field
            .seekers
            .resize_with(self.patterns.len(), Seeker::default);
        let mut ends = false;
        for (sought, seeker) in self.patterns.iter_mut().zip(&mut field.seekers) {
            if sought.is_flagged && sought.is_found {
                continue;
            }
            let (before, found) = seeker.read(&sought.pattern, &text, end || ends);
            sought.is_found |= found;
            if !sought.is_flagged {
                text = before;
                ends |= found;
            }
        }
        (text, ends)
    }

    fn settled(&mut self, field: &mut Field, text: &str, end: bool) -> String {
        if self.orders.actions.is_empty() {
            field.tail.push_str(text);
        } else if field.part.is_json() {
            self.arguments(field, text, end);
        } else {
            field.window.push(text);
            let mut findings = Vec::new();
            let detectors = &self.orders.detectors;
            let text = field.window.settle(detectors, end, &mut findings);
            let settled = Settled {
                text: &text,
                raw: None,
                findings: &findings,
                is_bare: false,
            };
            self.treat(&mut field.tail, &settled);
        }
        if field.is_signed {
            return std::mem::take(&mut field.tail);
        }
        // Of a denied text what stands before the finding is said: placeholders are the client's.
        let more = !end && !self.denied;
        let mut said = String::new();
        let pseudonyms = &self.orders.pseudonyms;
        let read = pseudonyms.restore(&field.tail, more, field.part.is_json(), &mut said);
        field.tail.drain(..read);
        said
    }

    fn arguments(&mut self, field: &mut Field, text: &str, end: bool) {
        let Field {
            arguments, tail, ..
        } = field;
        let detectors = Rc::clone(&self.orders.detectors);
        arguments.push(text, end, &detectors, tail, |tail, settled| {
            self.treat(tail, &settled);
            !self.denied
        });
    }

    /// Adds settled text to a tail, with what rules make of the findings in it. Of a denied one that is
    /// what stands before the finding.
    fn treat(&mut self, tail: &mut String, settled: &Settled<'_>) {
        let raw = settled.raw.unwrap_or(settled.text);
        let mut offsets = Offsets::new(raw.as_bytes());
        let mut place = |at: usize| match settled.raw {
            Some(_) => offsets.raw(at),
            None => at,
        };
        let mut from = 0;
        for finding in settled.findings {
            let Some(treatment) = self.orders.actions.of_kind(finding.kind) else {
                continue;
            };
            add(&mut self.counts, finding.kind);
            let value = settled.text.get(finding.start..finding.end);
            let value = value.unwrap_or_default();
            let (start, end) = (place(finding.start), place(finding.end));
            let before = raw.get(from..start).unwrap_or_default();
            let orders = &self.orders;
            let name = orders.detectors.name(finding.kind);
            let instead = match treatment.action {
                PiiAction::Flag => continue,
                PiiAction::Deny => {
                    tail.push_str(before);
                    self.denied = true;
                    return;
                }
                PiiAction::Mask => masked(finding.kind, value, treatment.keep),
                PiiAction::Hash => hashed(Key(&orders.key), finding.kind, name, value),
                PiiAction::Pseudonymize | PiiAction::Redact => {
                    orders.detectors.token(finding.kind).to_owned()
                }
            };
            tail.push_str(before);
            put(tail, &instead, settled);
            from = end;
        }
        tail.push_str(raw.get(from..).unwrap_or_default());
    }
}

fn put(tail: &mut String, instead: &str, settled: &Settled<'_>) {
    if settled.raw.is_none() {
        return tail.push_str(instead);
    }
    let inside = escaped(instead);
    let inside = String::from_utf8_lossy(&inside);
    if !settled.is_bare {
        return tail.push_str(&inside);
    }
    tail.push('"');
    tail.push_str(&inside);
    tail.push('"');
}

impl Texts {
    fn add(&mut self, field: &Field, said: &str) {
        if said.is_empty() || self.all.len() > EVENT_BYTES_MAX.saturating_mul(4) {
            return;
        }
        let place = (field.choice, field.block, field.part);
        if self.last.replace(place).is_some_and(|last| last != place) {
            self.all.push('\n');
        }
        self.all.push_str(said);
        let choice = usize::try_from(field.choice).unwrap_or(usize::MAX);
        if !matches!(field.part, Part::Content | Part::Older) || choice >= FIELDS_MAX {
            return;
        }
        if self.contents.len() <= choice {
            self.contents.resize(choice + 1, String::new());
        }
        if let Some(content) = self.contents.get_mut(choice) {
            content.push_str(said);
        }
    }
}
