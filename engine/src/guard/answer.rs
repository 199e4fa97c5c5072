//! Guardrails over an answer, whole or as a stream, in OpenAI's chat form or a provider's own.
//!
//! Each text of an answer (content, reasoning, the arguments of each call; of each choice or block)
//! is a stream of its own. What could still become personal data waits in a
//! [`Window`](super::Window); what is settled is replaced where a rule says so, and then gets its
//! values back in place of placeholders.

use std::rc::Rc;

use super::{Actions, Detectors, Kind, Pseudonyms, TextPattern};
use crate::json::{self, Edits};
use crate::sse::{Event, Splitter};

mod arguments;
mod chunks;
mod events;
mod field;
mod messages;
mod repeats;
mod responses;
mod slots;
#[cfg(test)]
mod tests;
mod watch;
mod whole;

pub use watch::Texts;

use events::Events;
use field::Field;
use slots::Slot;
use watch::{Orders, Sought, Watch};

/// The form that an answer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerForm {
    /// OpenAI's chat completions, and the older completions.
    #[default]
    Chat,
    /// Anthropic's messages.
    Messages,
    /// OpenAI's responses.
    Responses,
}

/// What watches over one answer.
#[derive(Debug)]
pub struct AnswerGuard {
    form: AnswerForm,
    watch: Watch,
    splitter: Splitter,
    fields: Vec<Field>,
    slots: Vec<Slot>,
    /// Members that every chunk repeats, as JSON without braces.
    head: Vec<u8>,
    events: Events,
}

impl AnswerGuard {
    /// Rules for an answer in the chat form, and what it may say again.
    pub fn new(
        actions: Actions,
        detectors: Rc<Detectors>,
        key: [u8; 32],
        pseudonyms: Pseudonyms,
    ) -> AnswerGuard {
        AnswerGuard {
            form: AnswerForm::Chat,
            watch: Watch::new(Orders {
                actions,
                detectors,
                key,
                pseudonyms,
            }),
            splitter: Splitter::default(),
            fields: Vec::new(),
            slots: Vec::new(),
            head: Vec::new(),
            events: Events::default(),
        }
    }

    /// The same for an answer in another form.
    #[must_use]
    pub fn of_form(mut self, form: AnswerForm) -> AnswerGuard {
        self.form = form;
        self
    }

    /// Keeps what is said, for [`AnswerGuard::take_texts`].
    pub fn keep_texts(&mut self) {
        self.watch.texts = Some(Texts::default());
    }

    /// What was said, when it was to be kept.
    pub fn take_texts(&mut self) -> Option<Texts> {
        self.watch.texts.take()
    }

    /// Looks for a pattern as the answer goes by: it ends before what a check denies, and what is only
    /// flagged is said.
    pub fn look_for(&mut self, pattern: TextPattern, is_flagged: bool) {
        self.watch.patterns.push(Sought {
            pattern,
            is_flagged,
            is_found: false,
        });
    }

    /// Whether each pattern was found, in the order in which they were given. They are then forgotten.
    pub fn take_patterns(&mut self) -> Vec<bool> {
        let patterns = std::mem::take(&mut self.watch.patterns);
        patterns.iter().map(|sought| sought.is_found).collect()
    }

    /// Whether something was found that must not be said. Nothing more of a stream is said then; the
    /// caller ends it.
    pub fn denied(&self) -> bool {
        self.watch.denied
    }

    /// What was found since the last take.
    pub fn take_counts(&mut self) -> Vec<(Kind, u32)> {
        std::mem::take(&mut self.watch.counts)
    }

    /// Bytes of text that wait, in all fields together.
    pub fn held(&self) -> usize {
        self.fields.iter().map(Field::held).sum()
    }

    /// The content block that the client has seen begin and not end.
    pub fn open_block(&self) -> Option<u64> {
        self.events.open
    }

    /// Number of the next event, where the form numbers them and one was written.
    pub fn sequence(&self) -> Option<u64> {
        self.events.sequence
    }

    /// A complete answer. Of one that is denied nothing must be shown.
    pub fn document(&mut self, body: Vec<u8>) -> Vec<u8> {
        let Ok(root) = json::document(&body) else {
            self.watch.denied = true;
            return Vec::new();
        };
        let mut edits = Edits::default();
        match self.form {
            AnswerForm::Chat => self.choices(&body, root, &mut edits),
            AnswerForm::Messages => self.message(&body, root, &mut edits),
            AnswerForm::Responses => self.response(&body, root, &mut edits),
        }
        if edits.is_empty() {
            return body;
        }
        edits.apply(&body)
    }

    /// The next bytes of a stream, cut anywhere; appends what may be said of them.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut splitter = std::mem::take(&mut self.splitter);
        let is_whole = splitter
            .push(chunk, |event| self.event(&event, out))
            .is_ok();
        self.splitter = splitter;
        // In the chat form the decoder has refused an event beyond the cap before.
        if !is_whole && self.form != AnswerForm::Chat {
            self.watch.denied = true;
        }
    }

    /// The provider has closed the stream: an event whose blank line never came is read if it is
    /// whole, and everything that waits is said or denied.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        let mut splitter = std::mem::take(&mut self.splitter);
        splitter.finish(|event| {
            let data = event.data.trim_ascii();
            if json::document(data).is_ok() {
                let mut raw = Vec::new();
                events::write(event.name, data, &mut raw);
                let whole = Event {
                    raw: &raw,
                    ..event.clone()
                };
                self.event(&whole, out);
            }
        });
        self.finish(out);
    }

    /// Everything that waits is said or denied.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.watch.denied {
            self.flush(|_| true, out);
        }
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.watch.denied {
            return;
        }
        let data = event.data.trim_ascii();
        if data.first() != Some(&b'{') {
            if !data.is_empty() {
                self.finish(out);
            }
            if !self.watch.denied {
                out.extend_from_slice(event.raw);
            }
            return;
        }
        let Ok(root) = json::document(data) else {
            return;
        };
        match self.form {
            AnswerForm::Chat => self.chunk(event.raw, data, root, out),
            AnswerForm::Messages => self.message_event(event, data, root, out),
            AnswerForm::Responses => self.response_event(event, data, root, out),
        }
    }

    /// Says what waits in some fields, in events of their own.
    fn flush(&mut self, which: impl Fn(&Field) -> bool, out: &mut Vec<u8>) {
        let mut fields = std::mem::take(&mut self.fields);
        for field in &mut fields {
            if self.watch.denied || !which(field) {
                continue;
            }
            if field.held() > 0 {
                let said = self.watch.say(field, "", true);
                if !said.is_empty() {
                    self.write_held(field, &said, out);
                }
            }
            field.is_over = true;
        }
        if self.form != AnswerForm::Chat {
            for field in fields.extract_if(.., |field| field.is_over) {
                self.events.repeats.learn(field);
            }
        }
        self.fields = fields;
    }

    fn write_held(&mut self, field: &mut Field, said: &str, out: &mut Vec<u8>) {
        match (self.form, field.last.take()) {
            (AnswerForm::Chat, _) => {
                let part = field.part;
                self.write_chunk(field.choice, |out| part.write(said, out), out);
            }
            (_, Some(last)) => self.write_again(&last, said, out),
            (_, None) => {}
        }
    }

    /// The field of a part, taken out of the list.
    fn take_field(&mut self, wanted: Field) -> Option<(usize, Field)> {
        let known = self.fields.iter().position(|field| field.is_same(&wanted));
        let at = match known {
            Some(at) => at,
            None if self.fields.len() >= field::FIELDS_MAX => {
                self.watch.denied = true;
                return None;
            }
            None => {
                self.fields.push(wanted);
                self.fields.len() - 1
            }
        };
        Some((at, std::mem::take(self.fields.get_mut(at)?)))
    }

    /// What may be said of a field now that `text` was added to it.
    fn piece(&mut self, wanted: Field, text: &str, end: bool, last: Option<field::Last>) -> String {
        let Some((at, mut field)) = self.take_field(wanted) else {
            return String::new();
        };
        let said = self.watch.say(&mut field, text, end);
        field.last = last.filter(|_| field.held() > 0);
        if let Some(place) = self.fields.get_mut(at) {
            *place = field;
        }
        said
    }
}

const OBJECT: Option<json::Kind> = Some(json::Kind::Object);

/// `text` as the inside of a JSON string.
fn escaped(text: &str) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    json::escape_into(text, &mut escaped);
    escaped
}
