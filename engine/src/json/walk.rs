//! A cursor over a validated document: each byte is passed once, whatever is looked for.

use super::{Kind, Span};

/// Bytes looked at together, as one word. Compared in the host's V8, this is three times as fast as
/// what the compiler makes of 16 bytes with wasm's vector instructions.
const LANES: usize = size_of::<u64>();
/// A word with 1 in each byte.
const ONES: u64 = u64::MAX / 255;
/// A word with the highest bit of each byte.
const HIGHS: u64 = ONES << 7;

/// A cursor. After [`Walk::key`] or [`Walk::element`] it stands at a value, which the caller must
/// pass with [`Walk::skip`] or [`Walk::enter`] and a full walk of the inside.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// A cursor at the value at `value`; it sees nothing behind it.
    pub fn new(body: &'a [u8], value: Span) -> Walk<'a> {
        Walk {
            body: body.get(..value.end).unwrap_or_default(),
            at: value.start,
        }
    }

    /// The bytes that the cursor moves over.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Offset of the next value or bracket.
    pub fn position(&mut self) -> usize {
        self.space();
        self.at
    }

    /// Offset behind the last thing passed.
    pub fn passed(&self) -> usize {
        self.at
    }

    /// Ends the walk: everything asked later answers "nothing".
    pub fn stop(&mut self) {
        self.at = self.body.len();
    }

    /// The type of the value at the cursor.
    pub fn kind(&mut self) -> Option<Kind> {
        self.peek().and_then(Kind::of_first)
    }

    /// Steps into the value at the cursor when it begins with `bracket`.
    pub fn enter(&mut self, bracket: u8) -> bool {
        let found = self.peek() == Some(bracket);
        if found {
            self.at = self.at.saturating_add(1);
        }
        found
    }

    /// The next name of the object entered, inside its quotes; `None` when the object was passed.
    pub fn key(&mut self) -> Option<Span> {
        if self.peek() == Some(b',') {
            self.at = self.at.saturating_add(1);
        }
        match self.peek() {
            Some(b'"') => {}
            Some(b'}') => {
                self.at = self.at.saturating_add(1);
                return None;
            }
            _ => {
                self.stop();
                return None;
            }
        }
        let (key, _) = self.string()?;
        if !self.enter(b':') {
            self.stop();
            return None;
        }
        self.space();
        Some(key)
    }

    /// Whether the array entered has another element; `false` when the array was passed.
    pub fn element(&mut self) -> bool {
        if self.peek() == Some(b',') {
            self.at = self.at.saturating_add(1);
        }
        match self.peek() {
            Some(b']') => {
                self.at = self.at.saturating_add(1);
                false
            }
            Some(_) => true,
            None => false,
        }
    }

    /// Passes the value at the cursor.
    pub fn skip(&mut self) -> Option<Span> {
        let start = self.position();
        let end = value_end(self.body, start).filter(|&end| end > start);
        self.at = end.unwrap_or(self.body.len());
        end.map(|end| Span { start, end })
    }

    /// Passes the string at the cursor: its inside, and whether that holds escapes. `None`, and
    /// nothing passed, for any other value.
    pub fn string(&mut self) -> Option<(Span, bool)> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let (end, escaped) = string_end(self.body, self.at)?;
        self.at = end;
        Some((
            Span {
                start,
                end: end - 1,
            },
            escaped,
        ))
    }

    fn space(&mut self) {
        self.at = skip_space(self.body, self.at);
    }

    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.body.get(self.at).copied()
    }
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Offset of the first byte from `at` that is not white space.
#[inline]
pub(super) fn skip_space(body: &[u8], mut at: usize) -> usize {
    while body.get(at).copied().is_some_and(is_space) {
        at += 1;
    }
    at
}

/// Length of the run at the head of `bytes` that a string may hold as it is: up to the first quote,
/// backslash or control character.
#[inline]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<LANES>();
    let mut run = 0;
    for word in words {
        let odd = odd_bytes(u64::from_le_bytes(*word));
        if odd != 0 {
            return run + first_byte(odd);
        }
        run += LANES;
    }
    let odd = |byte: &u8| matches!(*byte, b'"' | b'\\' | 0..=0x1f);
    run + tail.iter().position(odd).unwrap_or(tail.len())
}

/// Length of the run of digits at the head of `bytes`.
#[inline]
pub(super) fn digit_run(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<LANES>();
    let mut run = 0;
    for word in words {
        let value = u64::from_le_bytes(*word) ^ (ONES * u64::from(b'0'));
        // What is above 9 reaches the highest bit, or has it; the carry of those that have it goes
        // into later bytes only.
        let odd = (value.wrapping_add(ONES * 0x76) | value) & HIGHS;
        if odd != 0 {
            return run + first_byte(odd);
        }
        run += LANES;
    }
    let odd = |byte: &u8| !byte.is_ascii_digit();
    run + tail.iter().position(odd).unwrap_or(tail.len())
}

/// The highest bit of each byte that is a quote, a backslash or a control character. Bits above the
/// first one set may be wrong: the subtractions borrow from there.
#[inline]
fn odd_bytes(word: u64) -> u64 {
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (equal(b'"') | equal(b'\\') | below(word, b' ')) & HIGHS
}

/// Index of the byte that holds the lowest bit set.
#[inline]
fn first_byte(flags: u64) -> usize {
    (flags.trailing_zeros() / u8::BITS) as usize
}

/// Offset behind the closing quote of the string whose opening quote is at `open`, and whether it
/// holds escapes.
#[inline]
pub(super) fn string_end(body: &[u8], open: usize) -> Option<(usize, bool)> {
    let mut at = open + 1;
    let mut escaped = false;
    loop {
        at += plain_run(body.get(at..)?);
        match body.get(at)? {
            b'"' => return Some((at + 1, escaped)),
            b'\\' => {
                at += 2;
                escaped = true;
            }
            _ => at += 1,
        }
    }
}

/// Offset behind the value that begins at `start`.
fn value_end(body: &[u8], start: usize) -> Option<usize> {
    match body.get(start)? {
        b'"' => string_end(body, start).map(|(end, _)| end),
        b'{' | b'[' => container_end(body, start),
        _ => {
            let rest = body.get(start..)?;
            let end = |byte: &u8| matches!(*byte, b',' | b']' | b'}' | b':') || is_space(*byte);
            Some(start + rest.iter().position(end).unwrap_or(rest.len()))
        }
    }
}

fn container_end(body: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match body.get(at)? {
            b'"' => {
                (at, _) = string_end(body, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            // Behind one number there may be thousands.
            b'0'..=b'9' => {
                at += level_run(body.get(at..)?);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// Length of the run at the head of `bytes` without quotes and brackets.
fn level_run(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<LANES>();
    let mut run = 0;
    for word in words {
        // Square brackets become curly ones, and nothing else that a document holds does.
        let word = u64::from_le_bytes(*word) | (ONES * 0x20);
        let equal = |byte: u8| {
            let differs = word ^ (ONES * u64::from(byte));
            differs.wrapping_sub(ONES) & !differs
        };
        let marks = (equal(b'"') | equal(b'{') | equal(b'}')) & HIGHS;
        if marks != 0 {
            return run + first_byte(marks);
        }
        run += LANES;
    }
    let is_mark = |byte: &u8| matches!(*byte, b'"' | b'{' | b'}' | b'[' | b']');
    run + tail.iter().position(is_mark).unwrap_or(tail.len())
}
