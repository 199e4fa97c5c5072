//! The output of an answer, item by item.

use super::item::{Call, CallKind, Holds, Item, Part, Reasoning};
use super::said::{CallPiece, Thought, inside};
use super::{Context, echo};
use crate::json::{self, Writer};

/// What an item or part takes besides its texts.
const ITEM_BYTES: usize = 512;

/// The items so far. Texts are kept as they came, escaped, without their quotes: nothing is
/// decoded, and a character whose escapes come in two pieces is whole again.
#[derive(Clone, Debug, Default)]
pub(super) struct Output {
    /// Id of the exchange, which makes those of the items.
    exchange: String,
    pub(super) items: Vec<Item>,
    /// Memory in use, about.
    bytes: usize,
    /// Tools that take any text. Providers that know only functions call them with an object.
    custom_tools: Vec<String>,
}

impl Output {
    pub(super) fn new(context: &Context<'_>) -> Output {
        Output {
            exchange: context.exchange.to_owned(),
            custom_tools: echo::custom_tools(context.echo),
            ..Output::default()
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn grow(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn add(&mut self, prefix: &str, holds: Holds) -> usize {
        let index = self.items.len();
        self.grow(ITEM_BYTES);
        self.items.push(Item {
            id: format!("{prefix}_{}_{index}", self.exchange),
            is_open: true,
            holds,
        });
        index
    }

    /// The reasoning that is open, and whether it is new.
    pub(super) fn reasoning(&mut self) -> (usize, bool) {
        match self.items.last() {
            Some(item) if item.is_open && matches!(item.holds, Holds::Reasoning(_)) => {
                (self.items.len().saturating_sub(1), false)
            }
            _ => (self.add("rs", Holds::Reasoning(Reasoning::default())), true),
        }
    }

    /// Appends to a reasoning, and tells whether it had no text before.
    pub(super) fn reason(&mut self, at: usize, text: &[u8], is_content: bool) -> bool {
        self.grow(text.len());
        let Some(Holds::Reasoning(reasoning)) = self.holds(at) else {
            return false;
        };
        let is_first = reasoning.text.is_empty();
        reasoning.text.extend_from_slice(text);
        reasoning.is_reasoning_content |= is_content;
        is_first
    }

    /// Whether a reasoning has any text.
    pub(super) fn has_reasoned(&self, at: usize) -> bool {
        let holds = self.items.get(at).map(|item| &item.holds);
        matches!(holds, Some(Holds::Reasoning(reasoning)) if !reasoning.text.is_empty())
    }

    /// Adds what the provider wants back with a reasoning. Its text stands in the summary, unless
    /// that says something else.
    pub(super) fn seal(&mut self, at: usize, thought: &Thought<'_>) {
        self.grow(thought.sealed.len());
        let Some(Holds::Reasoning(reasoning)) = self.holds(at) else {
            return;
        };
        let differs = !thought.text.is_empty()
            && reasoning.text != thought.text
            && json::unescape(&reasoning.text) != json::unescape(thought.text);
        reasoning.sealed = if differs {
            thought.whole()
        } else {
            thought.sealed.clone()
        };
    }

    /// The message that is open, and whether it is new.
    pub(super) fn message(&mut self) -> (usize, bool) {
        match self.items.last() {
            Some(item) if item.is_open && matches!(item.holds, Holds::Message(_)) => {
                (self.items.len().saturating_sub(1), false)
            }
            _ => (self.add("msg", Holds::Message(Vec::new())), true),
        }
    }

    /// The last part of a message when it is of that kind, else a new one; and whether it is new.
    pub(super) fn part(&mut self, at: usize, is_refusal: bool) -> (usize, bool) {
        let Some(Holds::Message(parts)) = self.holds(at) else {
            return (0, false);
        };
        let last = parts.len().saturating_sub(1);
        if parts
            .last()
            .is_some_and(|part| part.is_refusal == is_refusal)
        {
            return (last, false);
        }
        parts.push(Part::new(is_refusal));
        let index = parts.len().saturating_sub(1);
        self.grow(ITEM_BYTES);
        (index, true)
    }

    /// Appends to the last part of a message.
    pub(super) fn say(&mut self, at: usize, text: &[u8], logprobs: &[u8]) {
        self.grow(text.len().saturating_add(logprobs.len()));
        if let Some(part) = self.last_part(at) {
            part.text.extend_from_slice(text);
            if !logprobs.is_empty() {
                Writer::new(&mut part.logprobs).raw(logprobs);
            }
        }
    }

    /// Adds to the last part of a message; the annotation's index.
    pub(super) fn annotate(&mut self, at: usize, annotation: &[u8]) -> u64 {
        self.grow(annotation.len());
        let Some(part) = self.last_part(at) else {
            return 0;
        };
        let index = part.annotation_count;
        part.annotation_count = index.saturating_add(1);
        Writer::new(&mut part.annotations).raw(annotation);
        index
    }

    fn last_part(&mut self, at: usize) -> Option<&mut Part> {
        match self.holds(at)? {
            Holds::Message(parts) => parts.last_mut(),
            _ => None,
        }
    }

    fn holds(&mut self, at: usize) -> Option<&mut Holds> {
        self.items.get_mut(at).map(|item| &mut item.holds)
    }

    /// The call that a piece belongs to, which is added when there is none. Some servers number
    /// all calls 0, or none.
    pub(super) fn call(&mut self, data: &[u8], piece: &CallPiece) -> usize {
        let id = inside(data, piece.id);
        let belongs = |item: &Item| match &item.holds {
            Holds::Call(call) => {
                let same_id = id.is_empty() || call.call_id.is_empty() || call.call_id == id;
                item.is_open && same_id && (piece.index.is_none() || call.index == piece.index)
            }
            _ => false,
        };
        let found = self.items.iter().rposition(belongs);
        let at = found.unwrap_or_else(|| {
            let call = Call {
                index: piece.index,
                kind: if piece.is_custom {
                    CallKind::Custom
                } else {
                    CallKind::Function
                },
                ..Call::default()
            };
            let prefix = if piece.is_custom { "ctc" } else { "fc" };
            self.add(prefix, Holds::Call(call))
        });
        self.take(at, data, piece);
        at
    }

    fn take(&mut self, at: usize, data: &[u8], piece: &CallPiece) {
        let id = inside(data, piece.id);
        let name = inside(data, piece.name);
        let arguments = piece.arguments(data);
        let signature = inside(data, piece.signature);
        self.grow(id.len() + name.len() + arguments.len() + signature.len());
        let Output {
            items,
            custom_tools,
            exchange,
            ..
        } = self;
        let Some(item) = items.get_mut(at) else {
            return;
        };
        let Holds::Call(call) = &mut item.holds else {
            return;
        };
        if call.call_id.is_empty() && !call.is_told {
            call.call_id = id.to_vec();
        }
        if call.name.is_empty() && !name.is_empty() && !call.is_told {
            call.name = name.to_vec();
            let name = json::unescape(name);
            if call.kind == CallKind::Function && custom_tools.contains(&name) {
                call.kind = CallKind::Wrapped;
                item.id = format!("ctc_{exchange}_{at}");
            }
        }
        call.arguments.extend_from_slice(&arguments);
        if !signature.is_empty() {
            call.signature = signature.to_vec();
        }
    }

    /// Completes a call: no arguments are an empty object, and a custom tool gets the text that
    /// the object holds. What the client has not been told yet of the arguments.
    pub(super) fn complete_call(&mut self, at: usize) -> Vec<u8> {
        let Some(Holds::Call(call)) = self.holds(at) else {
            return Vec::new();
        };
        match call.kind {
            CallKind::Function if call.arguments.is_empty() => call.arguments = b"{}".to_vec(),
            CallKind::Wrapped => {
                if let Some(input) = unwrapped(&call.arguments) {
                    call.arguments = input;
                }
            }
            _ => return Vec::new(),
        }
        call.arguments.clone()
    }

    /// The client hears of a call; whether it had before.
    pub(super) fn tell(&mut self, at: usize) -> bool {
        let made_up = format!("call_{}_{at}", self.exchange);
        let Some(Holds::Call(call)) = self.holds(at) else {
            return true;
        };
        if call.call_id.is_empty() {
            call.call_id = made_up.into_bytes();
        }
        std::mem::replace(&mut call.is_told, true)
    }

    pub(super) fn is_told(&self, at: usize) -> bool {
        let holds = self.items.get(at).map(|item| &item.holds);
        !matches!(holds, Some(Holds::Call(call)) if !call.is_told)
    }

    /// Nothing is added to an item any more.
    pub(super) fn close(&mut self, at: usize) {
        if let Some(item) = self.items.get_mut(at) {
            item.is_open = false;
        }
    }

    /// Writes the items, the last of them with this status.
    pub(super) fn write(&self, last_status: &str, out: &mut Writer<'_>) {
        let last = self.items.len().saturating_sub(1);
        for (index, item) in self.items.iter().enumerate() {
            let status = match index {
                _ if item.is_open => "incomplete",
                _ if index == last => last_status,
                _ => "completed",
            };
            item.write(status, out);
        }
    }
}

/// The text in `{"input":text}`.
fn unwrapped(arguments: &[u8]) -> Option<Vec<u8>> {
    let document = json::unescape(arguments).into_bytes();
    let root = json::document(&document).ok()?;
    let input = super::string(&document, root, "input")?;
    Some(input.unquoted().of(&document).to_vec())
}
