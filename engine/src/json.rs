//! A JSON scanner that locates and never rebuilds.
//!
//! [`document`] validates a body once and strictly (RFC 8259). Everything else takes a body that
//! passed it, and answers with places in it. A body that did not pass gives wrong places or `None`,
//! never a panic and never an endless loop. Nothing here recurses: nesting costs no stack.

mod checked;
mod edits;
#[cfg(test)]
mod tests;
mod validate;
mod walk;
mod writer;

use std::borrow::Cow;

pub(crate) use checked::Checked;
pub use edits::Edits;
pub use validate::{Malformed, document};
pub use walk::Walk;
pub(crate) use writer::Writer;

/// A half-open range of bytes of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes of the span; empty when it does not lie in `body`.
    pub fn of(self, body: &[u8]) -> &[u8] {
        body.get(self.start..self.end).unwrap_or_default()
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether the span holds nothing.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The inside of a string's span: without its quotes.
    pub fn unquoted(self) -> Span {
        let start = self.start.saturating_add(1);
        Span {
            start,
            end: self.end.saturating_sub(1).max(start),
        }
    }
}

/// One member of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name, inside its quotes, escapes kept.
    pub key: Span,
    /// The value, with its quotes or brackets.
    pub value: Span,
}

impl Member {
    /// From the name's opening quote to the end of the value.
    pub fn span(&self) -> Span {
        Span {
            start: self.key.start.saturating_sub(1),
            end: self.value.end,
        }
    }
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Array,
    False,
    Null,
    Number,
    Object,
    String,
    True,
}

impl Kind {
    /// The type of the value that begins with `first`.
    pub fn of_first(first: u8) -> Option<Kind> {
        Some(match first {
            b'[' => Kind::Array,
            b'f' => Kind::False,
            b'n' => Kind::Null,
            b'-' | b'0'..=b'9' => Kind::Number,
            b'{' => Kind::Object,
            b'"' => Kind::String,
            b't' => Kind::True,
            _ => return None,
        })
    }
}

/// The type of the value at `value`.
pub fn kind(body: &[u8], value: Span) -> Option<Kind> {
    value.of(body).first().copied().and_then(Kind::of_first)
}

/// The place of the value of a body that [`document`] has passed before.
pub fn root(body: &[u8]) -> Span {
    let start = walk::skip_space(body, 0);
    let behind = body.iter().rev().take_while(|byte| walk::is_space(**byte));
    Span {
        start,
        end: body.len().saturating_sub(behind.count()).max(start),
    }
}

/// The members of an object in order; none for any other value.
pub fn members(body: &[u8], object: Span) -> Members<'_> {
    let mut walk = Walk::new(body, object);
    if !walk.enter(b'{') {
        walk.stop();
    }
    Members { walk }
}

/// Iterator of [`members`].
#[derive(Clone, Debug)]
pub struct Members<'a> {
    walk: Walk<'a>,
}

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let key = self.walk.key()?;
        let value = self.walk.skip()?;
        Some(Member { key, value })
    }
}

/// The elements of an array in order; none for any other value.
pub fn elements(body: &[u8], array: Span) -> Elements<'_> {
    let mut walk = Walk::new(body, array);
    if !walk.enter(b'[') {
        walk.stop();
    }
    Elements { walk }
}

/// Iterator of [`elements`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    walk: Walk<'a>,
}

impl Iterator for Elements<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        if self.walk.element() {
            self.walk.skip()
        } else {
            None
        }
    }
}

/// The value of the member called `name`: of several the last, as the readers of providers have it.
pub fn member(body: &[u8], object: Span, name: &str) -> Option<Span> {
    members(body, object)
        .filter(|member| is_named(body, member.key, name))
        .last()
        .map(|member| member.value)
}

/// `body` with one more member (JSON text) at the head of `object`, which has none called `name`. For any
/// other value `body` as it is.
pub fn with_first_member(body: &[u8], object: Span, name: &str, value: &str) -> Vec<u8> {
    let Some((head, tail)) = body.split_at_checked(object.start.saturating_add(1)) else {
        return body.to_vec();
    };
    if head.last() != Some(&b'{') {
        return body.to_vec();
    }
    let added = name.len().saturating_add(value.len()).saturating_add(4);
    let mut out = Vec::with_capacity(body.len().saturating_add(added));
    out.extend_from_slice(head);
    out.push(b'"');
    escape_into(name, &mut out);
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value.as_bytes());
    if tail.get(walk::skip_space(tail, 0)) != Some(&b'}') {
        out.push(b',');
    }
    out.extend_from_slice(tail);
    out
}

/// Whether the name at `key` (inside its quotes) says `name` once its escapes are resolved.
pub fn is_named(body: &[u8], key: Span, name: &str) -> bool {
    let raw = key.of(body);
    raw == name.as_bytes() || (raw.contains(&b'\\') && unescape(raw) == name)
}

/// The bytes of a member's name, escapes resolved.
pub(crate) fn name(body: &[u8], key: Span) -> Cow<'_, [u8]> {
    let raw = key.of(body);
    if raw.contains(&b'\\') {
        Cow::Owned(unescape(raw).into_bytes())
    } else {
        Cow::Borrowed(raw)
    }
}

/// The text of a string value, escapes resolved; `None` for any other value.
pub fn string(body: &[u8], value: Span) -> Option<Cow<'_, str>> {
    let raw = value.of(body).strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    unescaped(raw)
}

/// The text of the inside of a string; `None` when it is not UTF-8.
pub fn unescaped(raw: &[u8]) -> Option<Cow<'_, str>> {
    if raw.contains(&b'\\') {
        Some(Cow::Owned(unescape(raw)))
    } else {
        std::str::from_utf8(raw).ok().map(Cow::Borrowed)
    }
}

/// A number without sign, fraction and exponent that fits; `None` for any other value.
pub fn number_u64(body: &[u8], value: Span) -> Option<u64> {
    let digits = value.of(body);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `true` or `false`; `None` for any other value.
pub fn boolean(body: &[u8], value: Span) -> Option<bool> {
    match value.of(body) {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// Appends `text` as the inside of a JSON string (no quotes).
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let mut rest = text.as_bytes();
    loop {
        let plain = walk::plain_run(rest);
        let (head, tail) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
        out.extend_from_slice(head);
        let Some((&byte, after)) = tail.split_first() else {
            return;
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend([digit(byte >> 4), digit(byte & 15)]);
            }
        }
        rest = after;
    }
}

/// Appends the value at `value` without insignificant white space.
pub fn compact_into(body: &[u8], value: Span, out: &mut Vec<u8>) {
    let mut rest = value.of(body);
    loop {
        let plain = rest
            .iter()
            .position(|&byte| byte == b'"' || walk::is_space(byte))
            .unwrap_or(rest.len());
        let (head, tail) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
        out.extend_from_slice(head);
        let skipped = match tail.first() {
            None => return,
            Some(b'"') => {
                let end = walk::string_end(tail, 0).map_or(tail.len(), |(end, _)| end);
                out.extend_from_slice(tail.get(..end).unwrap_or_default());
                end
            }
            Some(_) => 1,
        };
        rest = tail.get(skipped..).unwrap_or_default();
    }
}

/// The inside of a string with its escapes resolved. A surrogate without its partner becomes
/// U+FFFD, as do bytes that are not UTF-8.
pub fn unescape(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(backslash) = rest.iter().position(|&byte| byte == b'\\') {
        let (head, tail) = rest.split_at_checked(backslash).unwrap_or((rest, &[]));
        text.push_str(&String::from_utf8_lossy(head));
        let (character, length) = escape(tail);
        text.push(character);
        rest = tail.get(length..).unwrap_or_default();
    }
    text.push_str(&String::from_utf8_lossy(rest));
    text
}

/// The character of the escape that `tail` begins with, and the escape's length in bytes (at least
/// one). A surrogate pair is one escape of twelve bytes.
pub fn escape(tail: &[u8]) -> (char, usize) {
    let character = match tail.get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => return unicode_escape(tail),
        Some(&byte) if byte.is_ascii() => char::from(byte),
        _ => return (char::REPLACEMENT_CHARACTER, 1),
    };
    (character, 2)
}

fn unicode_escape(tail: &[u8]) -> (char, usize) {
    let Some(unit) = tail.get(2..6).and_then(hex4) else {
        return (char::REPLACEMENT_CHARACTER, 2);
    };
    if let 0xD800..=0xDBFF = unit
        && tail.get(6..8) == Some(b"\\u")
        && let Some(low @ 0xDC00..=0xDFFF) = tail.get(8..12).and_then(hex4)
    {
        let scalar = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        return (
            char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER),
            12,
        );
    }
    (
        char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
        6,
    )
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |sum, &digit| {
        char::from(digit)
            .to_digit(16)
            .map(|value| (sum << 4) | value)
    })
}
