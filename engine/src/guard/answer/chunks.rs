//! Answers in the chat form: documents with choices, and streams of their chunks.

use super::field::Field;
use super::slots::slots;
use super::{AnswerGuard, OBJECT, escaped};
use crate::json::{self, Edits, Span, Writer};
use crate::sse;

impl AnswerGuard {
    /// The choices of a complete answer.
    pub(super) fn choices(&mut self, body: &[u8], root: Span, edits: &mut Edits) {
        let choices = json::member(body, root, "choices").unwrap_or_default();
        for (number, choice) in (0..).zip(json::elements(body, choices)) {
            self.silence(body, choice, edits);
            let mut found = std::mem::take(&mut self.slots);
            slots(body, choice, &mut found);
            for slot in &found {
                let mut field = Field {
                    choice: number,
                    ..Field::whole(slot.part)
                };
                let text = json::unescaped(slot.span.of(body)).unwrap_or_default();
                let said = self.watch.say(&mut field, &text, true);
                edits.replace(slot.span, escaped(&said));
            }
            self.slots = found;
        }
    }

    /// One chunk.
    pub(super) fn chunk(&mut self, raw: &[u8], data: &[u8], root: Span, out: &mut Vec<u8>) {
        if json::member(data, root, "error").is_some_and(|it| json::kind(data, it) == OBJECT) {
            self.finish(out);
            return out.extend_from_slice(raw);
        }
        self.remember(data, root);
        let mut edits = Edits::default();
        let mut worth = false;
        let choices = json::member(data, root, "choices").unwrap_or_default();
        let mut count = 0;
        for choice in json::elements(data, choices) {
            count += 1;
            worth |= self.choice(data, choice, &mut edits, out);
            if self.denied() {
                break;
            }
        }
        if !self.denied() && (worth || count == 0) {
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
            if self.denied() {
                break;
            }
            let field = Field {
                choice: index,
                ..Field::whole(slot.part)
            };
            let said = self.piece(field, &text, ends || slot.part.is_whole(), None);
            if self.denied() {
                // The rest of the chunk has not been looked at: it is not said.
                if !said.is_empty() {
                    self.write_chunk(index, |out| slot.part.write(&said, out), out);
                }
                break;
            }
            worth |= !said.is_empty();
            edits.replace(slot.span, escaped(&said));
        }
        if ends && !self.denied() {
            self.flush(|field| field.choice == index, out);
        }
        self.slots = found;
        worth
    }

    /// A token's spelling would tell what the text does not.
    fn silence(&self, data: &[u8], choice: Span, edits: &mut Edits) {
        if let Some(value) = json::member(data, choice, "logprobs")
            && json::kind(data, value) != Some(json::Kind::Null)
            && !self.watch.is_idle()
        {
            edits.replace(value, "null");
        }
    }

    /// A chunk of our own.
    pub(super) fn write_chunk(
        &self,
        choice: u64,
        delta: impl FnOnce(&mut Writer<'_>),
        out: &mut Vec<u8>,
    ) {
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
