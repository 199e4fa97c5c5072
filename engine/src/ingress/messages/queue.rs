//! The blocks of a streamed message, one after another.
//!
//! Anthropic's blocks do not nest, but pieces of OpenAI's calls may come in any order. The first
//! block that has not ended is written as it comes; what belongs to later ones is held until their
//! turn.

use std::collections::VecDeque;

use super::arguments::Arguments;
use super::{EXTRA, client_id};
use crate::json::Writer;
use crate::limits::CALLS_HELD_BYTES_MAX;

/// What a held block counts besides its text, bytes.
const BLOCK_BYTES: usize = 1024;

/// More is held than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// What a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Thinking,
    /// As JSON.
    Redacted(Vec<u8>),
    Call {
        /// Its number, where the provider counts.
        number: Option<u64>,
        /// As the provider has it; empty for none.
        id: String,
        /// Empty until it has come.
        name: String,
    },
}

/// A piece of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece<'a> {
    pub(super) number: Option<u64>,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// What it adds to the arguments: the inside of a JSON string, and the text of that.
    pub(super) arguments: &'a [u8],
    pub(super) text: &'a str,
    /// [`EXTRA`], as JSON.
    pub(super) extra: &'a [u8],
}

#[derive(Clone, Debug)]
struct Block {
    kind: Kind,
    /// Pieces to write at its turn: the inside of a JSON string.
    held: Vec<u8>,
    /// The signature of thinking, inside a JSON string.
    signature: Vec<u8>,
    arguments: Arguments,
    /// [`EXTRA`] of a call, as JSON.
    extra: Vec<u8>,
    /// Nothing can be added.
    ended: bool,
    /// Its part in [`Queue::held_bytes`].
    held_bytes: usize,
}

/// Blocks that have not been written to their end.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    /// The first is being written when `begun`.
    blocks: VecDeque<Block>,
    begun: bool,
    /// Index of the first block in the message.
    index: u64,
    /// Calls so far.
    pub(super) calls: usize,
    held_bytes: usize,
    /// For ids of calls that have none.
    made_up: String,
}

impl Queue {
    /// `made_up` begins the ids of calls that have none.
    pub(super) fn new(made_up: String) -> Queue {
        Queue {
            made_up,
            ..Queue::default()
        }
    }

    /// A piece of text or thinking: the inside of a JSON string.
    pub(super) fn say(
        &mut self,
        kind: Kind,
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), TooMuch> {
        let fits = |last: &Block| last.kind == kind && !last.ended;
        if !self.blocks.back().is_some_and(fits) {
            self.push(kind)?;
        }
        let last = self.blocks.len().saturating_sub(1);
        self.add(last, piece, out)
    }

    /// The signature of the thinking so far, inside a JSON string; `false` when there is no
    /// thinking that it could belong to.
    pub(super) fn sign(&mut self, signature: &[u8], out: &mut Vec<u8>) -> Result<bool, TooMuch> {
        let is_only = self.begun && self.blocks.len() == 1;
        let (index, place) = (self.index, self.blocks.len().saturating_sub(1));
        let Some(last) = self
            .blocks
            .back_mut()
            .filter(|last| last.kind == Kind::Thinking && !last.ended)
        else {
            return Ok(false);
        };
        last.ended = true;
        if is_only {
            write_delta(index, "signature_delta", "signature", signature, out);
        } else {
            last.signature = signature.to_vec();
            self.hold(place, signature.len())?;
        }
        Ok(true)
    }

    /// A block that comes whole.
    pub(super) fn redacted(&mut self, json: Vec<u8>, out: &mut Vec<u8>) -> Result<(), TooMuch> {
        self.push(Kind::Redacted(json))?;
        if let Some(last) = self.blocks.back_mut() {
            last.ended = true;
        }
        self.advance(out);
        Ok(())
    }

    /// A piece of a call. Which call it is, its number says, or else its id; a piece with neither
    /// belongs to the last one. Some servers give each call the same number, but an id of its own.
    pub(super) fn call(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) -> Result<(), TooMuch> {
        let Piece {
            number,
            id,
            name,
            text,
            ..
        } = *piece;
        let place = match self.place(piece) {
            Some(place) => place,
            // What is left of a call that has ended: white space.
            None if id.is_empty() && name.is_empty() => return Ok(()),
            None => {
                self.push(Kind::Call {
                    number,
                    id: String::new(),
                    name: String::new(),
                })?;
                self.calls = self.calls.saturating_add(1);
                self.blocks.len().saturating_sub(1)
            }
        };
        self.name(place, id, name)?;
        if let Some(block) = self.blocks.get_mut(place) {
            block.arguments.read(text.as_bytes());
            if block.extra.is_empty() {
                block.extra = piece.extra.to_vec();
                self.hold(place, piece.extra.len())?;
            }
        }
        self.add(place, piece.arguments, out)
    }

    /// Notes id and name of a call when they come.
    fn name(&mut self, place: usize, id: &str, name: &str) -> Result<(), TooMuch> {
        let Some(Kind::Call {
            id: known,
            name: called,
            ..
        }) = self.blocks.get_mut(place).map(|block| &mut block.kind)
        else {
            return Ok(());
        };
        let mut bytes = 0_usize;
        for (known, new) in [(known, id), (called, name)] {
            if known.is_empty() && !new.is_empty() {
                new.clone_into(known);
                bytes = bytes.saturating_add(new.len());
            }
        }
        if self.begun && place == 0 {
            return Ok(());
        }
        self.hold(place, bytes)
    }

    /// Where the call is that a piece belongs to; `None` for a new one, or one that has ended.
    fn place(&self, piece: &Piece<'_>) -> Option<usize> {
        let Piece {
            number,
            id,
            name,
            text,
            ..
        } = *piece;
        let blocks = self.blocks.iter().enumerate().rev();
        let mut calls = blocks.filter_map(|(place, block)| match &block.kind {
            Kind::Call { number, id, .. } => Some((place, block, *number, id.as_str())),
            _ => None,
        });
        // A whole call and a name again: another call, from a server that counts none.
        let is_another = |block: &Block| {
            id.is_empty()
                && !name.is_empty()
                && block.arguments.is_whole()
                && !text.trim_ascii().is_empty()
        };
        let found = match number {
            Some(_) => calls
                .find(|(_, _, known, _)| *known == number)
                .filter(|(.., known)| id.is_empty() || known.is_empty() || *known == id)
                .filter(|(_, block, ..)| !is_another(block)),
            None if !id.is_empty() => calls.find(|(.., known)| *known == id),
            None if name.is_empty() => calls.next(),
            None => None,
        };
        found.map(|(place, ..)| place)
    }

    fn push(&mut self, kind: Kind) -> Result<(), TooMuch> {
        let json = match &kind {
            Kind::Redacted(json) => json.len(),
            _ => 0,
        };
        self.blocks.push_back(Block {
            kind,
            held: Vec::new(),
            signature: Vec::new(),
            arguments: Arguments::default(),
            extra: Vec::new(),
            ended: false,
            held_bytes: 0,
        });
        let place = self.blocks.len().saturating_sub(1);
        self.hold(place, json.saturating_add(BLOCK_BYTES))
    }

    fn hold(&mut self, place: usize, bytes: usize) -> Result<(), TooMuch> {
        if let Some(block) = self.blocks.get_mut(place) {
            block.held_bytes = block.held_bytes.saturating_add(bytes);
        }
        self.held_bytes = self.held_bytes.saturating_add(bytes);
        if self.held_bytes > CALLS_HELD_BYTES_MAX {
            return Err(TooMuch);
        }
        Ok(())
    }

    fn add(&mut self, place: usize, piece: &[u8], out: &mut Vec<u8>) -> Result<(), TooMuch> {
        if place == 0 && self.begun {
            if let Some(block) = self.blocks.front()
                && !piece.is_empty()
            {
                block.write_piece(self.index, piece, out);
            }
        } else if let Some(block) = self.blocks.get_mut(place) {
            block.held.extend_from_slice(piece);
            self.hold(place, piece.len())?;
        }
        self.advance(out);
        Ok(())
    }

    /// Writes what can be written: ends blocks that others follow, and begins those that follow.
    fn advance(&mut self, out: &mut Vec<u8>) {
        loop {
            let Some(first) = self.blocks.front_mut() else {
                return;
            };
            if !self.begun {
                if !first.can_begin() {
                    return;
                }
                self.begin(out);
            } else if self.blocks.len() > 1 && self.blocks.front().is_some_and(Block::can_end) {
                self.end(out);
            } else {
                return;
            }
        }
    }

    /// Writes all blocks to their end.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        while !self.blocks.is_empty() {
            if !self.begun {
                self.begin(out);
            }
            self.end(out);
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        self.begun = true;
        let (index, made_up) = (self.index, &self.made_up);
        if let Some(first) = self.blocks.front_mut() {
            self.held_bytes = self.held_bytes.saturating_sub(first.held_bytes);
            write_event("content_block_start", out, |out| {
                out.key("index").number(index);
                first.write_start(index, made_up, out.key("content_block"));
            });
            let held = std::mem::take(&mut first.held);
            if !held.is_empty() {
                first.write_piece(index, &held, out);
            }
            if !first.signature.is_empty() {
                let signature = &first.signature;
                write_delta(index, "signature_delta", "signature", signature, out);
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        write_event("content_block_stop", out, |out| {
            out.key("index").number(self.index);
        });
        self.blocks.pop_front();
        self.begun = false;
        self.index = self.index.saturating_add(1);
    }
}

impl Block {
    fn can_begin(&self) -> bool {
        !matches!(&self.kind, Kind::Call { name, .. } if name.is_empty())
    }

    /// A call ends when its arguments are a whole document, or with the message.
    fn can_end(&self) -> bool {
        !matches!(self.kind, Kind::Call { .. }) || self.arguments.is_whole()
    }

    fn write_start(&self, index: u64, made_up: &str, out: &mut Writer<'_>) {
        match &self.kind {
            Kind::Text => out.object(|out| {
                out.key("type").string("text");
                out.key("text").string("");
            }),
            Kind::Thinking => out.object(|out| {
                out.key("type").string("thinking");
                out.key("thinking").string("");
                out.key("signature").string("");
            }),
            Kind::Redacted(json) => out.raw(json),
            Kind::Call { id, name, .. } => out.object(|out| {
                out.key("type").string("tool_use");
                match id.as_str() {
                    "" => out.key("id").string(&format!("{made_up}{index}")),
                    id => out.key("id").string(&client_id(id)),
                }
                out.key("name").string(name);
                out.key("input").object(|_| {});
                if !self.extra.is_empty() {
                    out.key(EXTRA).raw(&self.extra);
                }
            }),
        }
    }

    fn write_piece(&self, index: u64, piece: &[u8], out: &mut Vec<u8>) {
        let (kind, name) = match self.kind {
            Kind::Text => ("text_delta", "text"),
            Kind::Thinking => ("thinking_delta", "thinking"),
            Kind::Call { .. } => ("input_json_delta", "partial_json"),
            Kind::Redacted(_) => return,
        };
        write_delta(index, kind, name, piece, out);
    }
}

fn write_delta(index: u64, kind: &str, name: &str, piece: &[u8], out: &mut Vec<u8>) {
    write_event("content_block_delta", out, |out| {
        out.key("index").number(index);
        out.key("delta").object(|out| {
            out.key("type").string(kind);
            out.key(name).escaped(&[piece]);
        });
    });
}

/// Writes an event; its data says its name as well.
pub(super) fn write_event(name: &str, out: &mut Vec<u8>, members: impl FnOnce(&mut Writer<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    Writer::new(out).object(|out| {
        out.key("type").string(name);
        members(out);
    });
    out.extend_from_slice(b"\n\n");
}
