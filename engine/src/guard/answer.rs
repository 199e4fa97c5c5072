//! Guardrails over an answer in OpenAI's form, whole or as a stream of chunks.
//!
//! Each text of an answer (content, reasoning, the arguments of each call; of each choice) is a
//! stream of its own. What could still become personal data waits in a [`Window`]; what is settled
//! is replaced where a rule says so, and then gets its values back in place of placeholders.

use std::rc::Rc;

use super::inspect::add;
use super::replacement::{hashed, masked};
use super::{Actions, Detectors, Finding, Key, Kind, Pseudonyms, Window};
use crate::json::{self, Edits, Span, Writer};
use crate::limits::EVENT_BYTES_MAX;
use crate::sse::{self, Event, Splitter};
use crate::wire::PiiAction;

mod slots;
#[cfg(test)]
mod tests;

use slots::{Part, Slot, slots};

/// Texts of one answer. An answer with more is not let through.
const FIELDS_MAX: usize = 1024;

/// What watches over one answer.
#[derive(Debug)]
pub struct AnswerGuard {
    orders: Orders,
    splitter: Splitter,
    fields: Vec<Field>,
    slots: Vec<Slot>,
    /// Members that every chunk repeats, as JSON without braces.
    head: Vec<u8>,
    counts: Vec<(Kind, u32)>,
    denied: bool,
    texts: Option<Texts>,
}

/// What an answer says, for checks of it as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The content of each choice.
    pub contents: Vec<String>,
    /// All of it: content, reasoning, arguments.
    pub all: String,
}

/// What is to be done.
#[derive(Debug)]
struct Orders {
    actions: Actions,
    detectors: Rc<Detectors>,
    key: [u8; 32],
    pseudonyms: Pseudonyms,
}

/// One text of an answer.
#[derive(Debug, Default)]
struct Field {
    choice: u64,
    part: Part,
    window: Window,
    /// Settled text that may be the beginning of a placeholder.
    tail: String,
    /// Where in the JSON of a call's arguments the settled text ends.
    quoted: bool,
    escaped: bool,
}

impl AnswerGuard {
    /// Rules for an answer, and what it may say again.
    pub fn new(
        actions: Actions,
        detectors: Rc<Detectors>,
        key: [u8; 32],
        pseudonyms: Pseudonyms,
    ) -> AnswerGuard {
        AnswerGuard {
            orders: Orders {
                actions,
                detectors,
                key,
                pseudonyms,
            },
            splitter: Splitter::default(),
            fields: Vec::new(),
            slots: Vec::new(),
            head: Vec::new(),
            counts: Vec::new(),
            denied: false,
            texts: None,
        }
    }

    /// Keeps what is said, for [`AnswerGuard::take_texts`].
    pub fn keep_texts(&mut self) {
        self.texts = Some(Texts::default());
    }

    /// What was said, when it was to be kept.
    pub fn take_texts(&mut self) -> Option<Texts> {
        self.texts.take()
    }

    /// Whether something was found that must not be said. Nothing more of a stream is said then; the
    /// caller ends it.
    pub fn denied(&self) -> bool {
        self.denied
    }

    /// What was found since the last take.
    pub fn take_counts(&mut self) -> Vec<(Kind, u32)> {
        std::mem::take(&mut self.counts)
    }

    /// Bytes of text that wait, in all fields together.
    pub fn held(&self) -> usize {
        let held = |field: &Field| field.window.held() + field.tail.len();
        self.fields.iter().map(held).sum()
    }

    /// A complete answer. Of one that is denied nothing must be shown.
    pub fn document(&mut self, body: Vec<u8>) -> Vec<u8> {
        let Ok(root) = json::document(&body) else {
            self.denied = true;
            return Vec::new();
        };
        let mut edits = Edits::default();
        let choices = json::member(&body, root, "choices").unwrap_or_default();
        for (number, choice) in (0..).zip(json::elements(&body, choices)) {
            self.silence(&body, choice, &mut edits);
            let mut found = std::mem::take(&mut self.slots);
            slots(&body, choice, &mut found);
            for slot in &found {
                let mut field = Field {
                    choice: number,
                    part: slot.part,
                    ..Field::default()
                };
                let text = json::unescaped(slot.span.of(&body)).unwrap_or_default();
                let said = self.say(&mut field, &text, true);
                edits.replace(slot.span, escaped(&said));
            }
            self.slots = found;
        }
        if edits.is_empty() {
            return body;
        }
        edits.apply(&body)
    }

    /// The next bytes of a stream of chunks, cut anywhere; appends what may be said of them.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut splitter = std::mem::take(&mut self.splitter);
        // An event beyond the cap was refused by the decoder before.
        let _ = splitter.push(chunk, |event| self.event(&event, out));
        self.splitter = splitter;
    }

    /// The end of the stream: everything that waits is said or denied.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.denied {
            self.flush(|_| true, out);
        }
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.denied {
            return;
        }
        let data = event.data.trim_ascii();
        if data.first() != Some(&b'{') {
            if !data.is_empty() {
                self.finish(out);
            }
            return out.extend_from_slice(event.raw);
        }
        let Ok(root) = json::document(data) else {
            return;
        };
        if json::member(data, root, "error").is_some_and(|it| json::kind(data, it) == OBJECT) {
            self.finish(out);
            return out.extend_from_slice(event.raw);
        }
        self.remember(data, root);
        let mut edits = Edits::default();
        let mut worth = false;
        let choices = json::member(data, root, "choices").unwrap_or_default();
        let mut count = 0;
        for choice in json::elements(data, choices) {
            count += 1;
            worth |= self.choice(data, choice, &mut edits, out);
            if self.denied {
                break;
            }
        }
        if !self.denied && (worth || count == 0) {
            sse::write_event(&edits.apply(data), out);
        }
    }

    /// One choice of a chunk. Says whether the chunk has to go on for it.
    fn choice(&mut self, data: &[u8], choice: Span, edits: &mut Edits, out: &mut Vec<u8>) -> bool {
        let index = json::member(data, choice, "index")
            .and_then(|index| json::number_u64(data, index))
            .unwrap_or(0);
        let ends = json::member(data, choice, "finish_reason")
            .and_then(|reason| json::string(data, reason))
            .is_some_and(|reason| !reason.is_empty());
        self.silence(data, choice, edits);
        let mut found = std::mem::take(&mut self.slots);
        let more = slots(data, choice, &mut found);
        let mut worth = more || ends || found.is_empty();
        for slot in &found {
            let text = json::unescaped(slot.span.of(data)).unwrap_or_default();
            if !text.is_empty() && !slot.part.is_call() {
                let part = slot.part;
                self.flush(
                    |field| field.choice == index && field.goes_before(part),
                    out,
                );
            }
            if slot.part.is_call() {
                self.flush(|field| field.choice == index && !field.part.is_call(), out);
            }
            if self.denied {
                break;
            }
            let said = self.piece(index, slot.part, &text, ends);
            if self.denied {
                // The rest of the chunk has not been looked at: it is not said.
                if !said.is_empty() {
                    self.write(index, |out| slot.part.write(&said, out), out);
                }
                break;
            }
            worth |= !said.is_empty();
            edits.replace(slot.span, escaped(&said));
        }
        if ends && !self.denied {
            self.flush(|field| field.choice == index, out);
        }
        self.slots = found;
        worth
    }

    /// A token's spelling would tell what the text does not.
    fn silence(&self, data: &[u8], choice: Span, edits: &mut Edits) {
        if let Some(value) = json::member(data, choice, "logprobs")
            && json::kind(data, value) != Some(json::Kind::Null)
            && !(self.orders.actions.is_empty() && self.orders.pseudonyms.is_empty())
        {
            edits.replace(value, "null");
        }
    }

    fn piece(&mut self, choice: u64, part: Part, text: &str, end: bool) -> String {
        let known = |field: &Field| field.choice == choice && field.part == part;
        let at = match self.fields.iter().position(known) {
            Some(at) => at,
            None if self.fields.len() >= FIELDS_MAX => {
                self.denied = true;
                return String::new();
            }
            None => {
                self.fields.push(Field {
                    choice,
                    part,
                    ..Field::default()
                });
                self.fields.len() - 1
            }
        };
        let mut field = match self.fields.get_mut(at) {
            Some(field) => std::mem::take(field),
            None => return String::new(),
        };
        let said = self.say(&mut field, text, end || part.is_whole());
        if let Some(place) = self.fields.get_mut(at) {
            *place = field;
        }
        said
    }

    fn say(&mut self, field: &mut Field, text: &str, end: bool) -> String {
        let said = self.settled(field, text, end);
        if let Some(texts) = &mut self.texts {
            texts.add(field, &said);
        }
        said
    }

    /// What may be said of a text now that `text` was added to it.
    fn settled(&mut self, field: &mut Field, text: &str, end: bool) -> String {
        let mut said = String::new();
        if self.orders.actions.is_empty() {
            field.tail.push_str(text);
        } else {
            field.window.push(text);
            let mut findings = Vec::new();
            let settled = field
                .window
                .settle(&self.orders.detectors, end, &mut findings);
            self.treat(field, &settled, &findings);
        }
        if self.denied {
            // What stands before the finding has been checked, and placeholders are the client's.
            let tail = std::mem::take(&mut field.tail);
            self.orders
                .pseudonyms
                .restore(&tail, false, field.part.is_json(), &mut said);
            return said;
        }
        let pseudonyms = &self.orders.pseudonyms;
        let read = pseudonyms.restore(&field.tail, !end, field.part.is_json(), &mut said);
        field.tail.drain(..read);
        said
    }

    /// Adds settled text to the tail of its field, with what rules make of the findings in it.
    fn treat(&mut self, field: &mut Field, settled: &str, findings: &[Finding]) {
        let mut from = 0;
        for finding in findings {
            let Some(treatment) = self.orders.actions.of_kind(finding.kind) else {
                continue;
            };
            add(&mut self.counts, finding.kind);
            let before = settled.get(from..finding.start).unwrap_or_default();
            let value = settled.get(finding.start..finding.end).unwrap_or_default();
            let orders = &self.orders;
            let name = orders.detectors.name(finding.kind);
            let instead = match treatment.action {
                PiiAction::Flag => continue,
                PiiAction::Deny => {
                    field.pass(before);
                    self.denied = true;
                    return;
                }
                PiiAction::Mask => masked(finding.kind, value, treatment.keep),
                PiiAction::Hash => hashed(Key(&orders.key), finding.kind, name, value),
                PiiAction::Pseudonymize | PiiAction::Redact => {
                    orders.detectors.token(finding.kind).to_owned()
                }
            };
            field.pass(before);
            field.put(&instead, value);
            from = finding.end;
        }
        field.pass(settled.get(from..).unwrap_or_default());
    }

    /// Says what waits in some fields, in chunks of their own.
    fn flush(&mut self, which: impl Fn(&Field) -> bool, out: &mut Vec<u8>) {
        let mut fields = std::mem::take(&mut self.fields);
        for field in &mut fields {
            let waits = field.window.held() > 0 || !field.tail.is_empty();
            if self.denied || !waits || !which(field) {
                continue;
            }
            let said = self.say(field, "", true);
            if !said.is_empty() {
                self.write(field.choice, |out| field.part.write(&said, out), out);
            }
        }
        self.fields = fields;
    }

    fn write(&self, choice: u64, delta: impl FnOnce(&mut Writer<'_>), out: &mut Vec<u8>) {
        let mut chunk = Vec::new();
        Writer::new(&mut chunk).object(|out| {
            if !self.head.is_empty() {
                out.raw(&self.head);
            }
            out.key("choices").array(|out| {
                out.object(|out| {
                    out.key("index").number(choice);
                    delta(out);
                    out.key("finish_reason").null();
                });
            });
        });
        sse::write_event(&chunk, out);
    }

    fn remember(&mut self, data: &[u8], root: Span) {
        if !self.head.is_empty() {
            return;
        }
        for member in json::members(data, root) {
            let name = member.key.of(data);
            if matches!(name, b"id" | b"object" | b"created" | b"model") {
                if !self.head.is_empty() {
                    self.head.push(b',');
                }
                self.head.extend_from_slice(member.span().of(data));
            }
        }
    }
}

const OBJECT: Option<json::Kind> = Some(json::Kind::Object);

impl Texts {
    fn add(&mut self, field: &Field, said: &str) {
        if said.is_empty() || self.all.len() > EVENT_BYTES_MAX.saturating_mul(4) {
            return;
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

impl Field {
    /// Whether its text has to be said before that of another part.
    fn goes_before(&self, part: Part) -> bool {
        !self.part.is_call() && self.part != part && !(self.part.thinks() && part.thinks())
    }

    fn pass(&mut self, text: &str) {
        self.tail.push_str(text);
        self.follow(text);
    }

    fn put(&mut self, instead: &str, value: &str) {
        let bare = self.part.is_json() && !self.quoted;
        if bare {
            self.tail.push('"');
        }
        self.tail.push_str(instead);
        if bare {
            self.tail.push('"');
        }
        self.follow(value);
    }

    /// Notes whether the arguments of a call stand inside quotes.
    fn follow(&mut self, text: &str) {
        if !self.part.is_json() {
            return;
        }
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.quoted => self.escaped = true,
                b'"' => self.quoted = !self.quoted,
                _ => {}
            }
        }
    }
}

fn escaped(text: &str) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    json::escape_into(text, &mut escaped);
    escaped
}
