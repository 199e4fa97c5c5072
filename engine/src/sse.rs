//! Server-sent events (WHATWG HTML, section 9.2) out of bytes that are cut anywhere.
//!
//! Any split of the same bytes gives the same events. Bytes are never decoded here, so a chunk
//! may end inside a character. The text of the events, joined, is the text of the stream: what a
//! caller passes on unchanged stays unchanged, comments and line ends included.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::limits::EVENT_BYTES_MAX;

/// One event, or a block without data (a comment that keeps a connection alive).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Value of the last `event:` line.
    pub name: Option<&'a [u8]>,
    /// Values of the `data:` lines, joined by LF; empty for a block that has none.
    pub data: Cow<'a, [u8]>,
    /// The event as received, with the blank line that ends it.
    pub raw: &'a [u8],
}

/// An event is longer than [`EVENT_BYTES_MAX`]; nothing is read after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLong;

/// Splits a byte stream into events.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    /// Start of an event whose end has not come yet; at most [`EVENT_BYTES_MAX`] between calls.
    held: Vec<u8>,
    /// Where in `held` the line begins that is not complete yet.
    line: usize,
    /// `held` has no unseen line end before this.
    seen: usize,
    /// Whether the first event has been delivered (a byte order mark may precede it).
    begun: bool,
    too_long: bool,
}

enum Scan {
    /// The event ends before this offset.
    End(usize),
    More {
        line: usize,
        seen: usize,
    },
}

impl Splitter {
    /// Takes the next bytes and hands over each event that they complete.
    ///
    /// An event that lies whole in `chunk` is not copied.
    ///
    /// # Errors
    /// [`EventTooLong`], from then on for good.
    pub fn push(
        &mut self,
        chunk: &[u8],
        mut on_event: impl FnMut(Event<'_>),
    ) -> Result<(), EventTooLong> {
        let mut rest = chunk;
        if !self.held.is_empty() {
            rest = self.complete_held(chunk, &mut on_event)?;
        }
        if self.too_long {
            return Err(EventTooLong);
        }
        while !rest.is_empty() {
            match scan(rest, 0, 0) {
                Scan::End(end) => {
                    let (raw, after) = rest.split_at(end.min(rest.len()));
                    self.deliver(raw, &mut on_event)?;
                    rest = after;
                }
                Scan::More { line, seen } => {
                    self.check(rest.len())?;
                    self.held.extend_from_slice(rest);
                    (self.line, self.seen) = (line, seen);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Hands over what is left when the stream has ended without a blank line.
    ///
    /// The block may be cut anywhere: check its data before use.
    pub fn finish(&mut self, mut on_event: impl FnMut(Event<'_>)) {
        let held = std::mem::take(&mut self.held);
        (self.line, self.seen) = (0, 0);
        if !held.is_empty() && !self.too_long {
            on_event(parse(&held, !self.begun));
        }
    }

    /// Bytes of an unfinished event.
    pub fn pending(&self) -> usize {
        self.held.len()
    }

    fn complete_held<'a>(
        &mut self,
        chunk: &'a [u8],
        on_event: &mut impl FnMut(Event<'_>),
    ) -> Result<&'a [u8], EventTooLong> {
        let before = self.held.len();
        self.held.extend_from_slice(chunk);
        match scan(&self.held, self.line, self.seen) {
            Scan::End(end) => {
                let held = std::mem::take(&mut self.held);
                let delivered = self.deliver(held.get(..end).unwrap_or(&held), on_event);
                // Keep the allocation: the next event is likely to be cut as well.
                self.held = held;
                self.held.clear();
                delivered?;
                Ok(chunk.get(end.saturating_sub(before)..).unwrap_or_default())
            }
            Scan::More { line, seen } => {
                (self.line, self.seen) = (line, seen);
                self.check(self.held.len())?;
                Ok(&[])
            }
        }
    }

    fn deliver(
        &mut self,
        raw: &[u8],
        on_event: &mut impl FnMut(Event<'_>),
    ) -> Result<(), EventTooLong> {
        self.check(raw.len())?;
        on_event(parse(raw, !self.begun));
        self.begun = true;
        Ok(())
    }

    fn check(&mut self, event_bytes: usize) -> Result<(), EventTooLong> {
        if event_bytes > EVENT_BYTES_MAX {
            self.too_long = true;
            self.held = Vec::new();
        }
        if self.too_long {
            Err(EventTooLong)
        } else {
            Ok(())
        }
    }
}

/// Looks for the blank line that ends the event at the start of `bytes`.
///
/// A CR in the last place is not judged yet: an LF may follow that belongs to it.
fn scan(bytes: &[u8], mut line: usize, mut seen: usize) -> Scan {
    loop {
        let Some(found) = bytes
            .get(seen..)
            .and_then(|rest| memchr2(b'\n', b'\r', rest))
        else {
            return Scan::More {
                line,
                seen: bytes.len(),
            };
        };
        let at = seen + found;
        let next = match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\r'), None) => return Scan::More { line, seen: at },
            (Some(b'\r'), Some(b'\n')) => at + 2,
            _ => at + 1,
        };
        if at == line {
            return Scan::End(next);
        }
        (line, seen) = (next, next);
    }
}

fn parse(raw: &[u8], first: bool) -> Event<'_> {
    let mut name = None;
    let mut data: Option<Cow<'_, [u8]>> = None;
    let mut rest = raw;
    if first {
        rest = rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest);
    }
    while !rest.is_empty() {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = match after {
            [b'\r', b'\n', tail @ ..] | [_, tail @ ..] => tail,
            [] => after,
        };
        if let Some(value) = field(line, b"data") {
            data = Some(match data {
                None => Cow::Borrowed(value),
                Some(lines) => {
                    let mut lines = lines.into_owned();
                    lines.push(b'\n');
                    lines.extend_from_slice(value);
                    Cow::Owned(lines)
                }
            });
        } else if let Some(value) = field(line, b"event") {
            name = Some(value);
        }
    }
    Event {
        name,
        data: data.unwrap_or_default(),
        raw,
    }
}

/// Value of `line` when its field is `name`; one space after the colon is not part of it.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let after = line.strip_prefix(name)?;
    match after {
        [] => Some(after),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// Appends `data` as one event. A JSON document has no raw line ends, but other text may.
pub fn write_event(data: &[u8], out: &mut Vec<u8>) {
    let mut rest = data;
    while let Some(end) = memchr(b'\n', rest) {
        let (line, after) = rest.split_at(end);
        write_line(line, out);
        rest = after.get(1..).unwrap_or_default();
    }
    write_line(rest, out);
    out.push(b'\n');
}

fn write_line(line: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line);
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
