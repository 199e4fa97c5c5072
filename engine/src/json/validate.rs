//! Strict validation of a whole document in one pass and without recursion.

use super::Span;
use super::walk::{digit_run, is_space, plain_run, skip_space};
use crate::limits::JSON_DEPTH_MAX;

// The kinds of the open containers are the bits of one u128.
const _: () = assert!(JSON_DEPTH_MAX <= 128);

/// Why and where a document is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset of the byte at fault; the length of the body when it ends too early.
    pub offset: usize,
    /// What was expected or found, for people.
    pub what: &'static str,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} at byte {}", self.what, self.offset)
    }
}

impl std::error::Error for Malformed {}

/// Validates `body` (RFC 8259): UTF-8 without byte order mark, one value, at most
/// [`JSON_DEPTH_MAX`] levels of containers, nothing behind it but white space. Surrogates without
/// partner in `\u` escapes pass, as they do at the providers. Returns the place of the value.
pub fn document(body: &[u8]) -> Result<Span, Malformed> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(Malformed {
            offset: error.valid_up_to(),
            what: "not UTF-8",
        });
    }
    let mut scan = Scan::new(body);
    scan.space();
    let start = scan.at;
    scan.value_tree()?;
    let end = scan.at;
    scan.space();
    if scan.at < body.len() {
        return Err(scan.malformed("unexpected characters after the document"));
    }
    Ok(Span { start, end })
}

/// A cursor that finds every fault of what it passes, but for bytes that are not UTF-8.
#[derive(Clone, Debug)]
pub(super) struct Scan<'a> {
    pub(super) body: &'a [u8],
    pub(super) at: usize,
    /// Open containers, the innermost in the lowest bit: 1 for an object.
    open: u128,
    pub(super) depth: usize,
    /// Containers that are open around the value that is being passed.
    floor: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(body: &'a [u8]) -> Scan<'a> {
        Scan {
            body,
            at: 0,
            open: 0,
            depth: 0,
            floor: 0,
        }
    }

    /// One value with all that it contains.
    pub(super) fn value_tree(&mut self) -> Result<(), Malformed> {
        self.floor = self.depth;
        loop {
            let opened = self.leaf_or_open()?;
            if opened && !self.closes_empty()? {
                continue;
            }
            if !self.next_in_container()? {
                return Ok(());
            }
        }
    }

    /// Passes a scalar, or opens a container and says so.
    fn leaf_or_open(&mut self) -> Result<bool, Malformed> {
        match self.peek() {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'{') => return self.push(1),
            Some(b'[') => return self.push(0),
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            Some(b'-' | b'0'..=b'9') => self.numbers()?,
            Some(_) => return Err(self.malformed("expected a value")),
            None => return Err(self.malformed("the document ends too early")),
        }
        Ok(false)
    }

    pub(super) fn push(&mut self, kind: u128) -> Result<bool, Malformed> {
        if self.depth >= JSON_DEPTH_MAX {
            return Err(self.malformed("nested too deeply"));
        }
        self.depth += 1;
        self.open = (self.open << 1) | kind;
        self.at += 1;
        Ok(true)
    }

    pub(super) fn pop(&mut self) {
        self.depth -= 1;
        self.open >>= 1;
        self.at += 1;
    }

    fn in_object(&self) -> bool {
        self.open & 1 == 1
    }

    /// Right behind an opening bracket: closes an empty container, else stands at the first value.
    fn closes_empty(&mut self) -> Result<bool, Malformed> {
        self.space();
        let close = if self.in_object() { b'}' } else { b']' };
        if self.peek() == Some(close) {
            self.pop();
            return Ok(true);
        }
        if self.in_object() {
            self.key()?;
        }
        Ok(false)
    }

    /// Behind a value: passes closing brackets and one comma. `false` when the document is whole.
    fn next_in_container(&mut self) -> Result<bool, Malformed> {
        while self.depth > self.floor {
            self.space();
            match (self.peek(), self.in_object()) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.space();
                    self.key()?;
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    self.space();
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => self.pop(),
                (None, _) => return Err(self.malformed("the document ends too early")),
                (_, true) => return Err(self.malformed("expected , or }")),
                (_, false) => return Err(self.malformed("expected , or ]")),
            }
        }
        Ok(false)
    }

    fn key(&mut self) -> Result<(), Malformed> {
        if self.peek() != Some(b'"') {
            return Err(self.malformed("expected a member name in quotes"));
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.malformed("expected :"));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Passes a string, and says whether it holds escapes.
    pub(super) fn string(&mut self) -> Result<bool, Malformed> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += plain_run(self.body.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    self.escape()?;
                    escaped = true;
                }
                Some(_) => return Err(self.malformed("control character in a string")),
                None => return Err(self.malformed("the document ends inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let tail = self.body.get(self.at + 1..).unwrap_or_default();
        self.at += match tail {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', a, b, c, d, ..]
                if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
            {
                6
            }
            _ => return Err(self.malformed("invalid escape")),
        };
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        let found = self
            .body
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word));
        if !found {
            return Err(self.malformed("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// A number, and those that follow it in a compact list.
    fn numbers(&mut self) -> Result<(), Malformed> {
        self.number()?;
        while let Some([b',', b'-' | b'0'..=b'9']) = self.body.get(self.at..self.at + 2)
            && self.depth > self.floor
            && !self.in_object()
        {
            self.at += 1;
            self.number()?;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Malformed> {
        let count = digit_run(self.body.get(self.at..).unwrap_or_default());
        self.at += count;
        if count == 0 {
            Err(self.malformed("invalid number"))
        } else {
            Ok(())
        }
    }

    #[inline]
    pub(super) fn space(&mut self) {
        // Compact documents have none: the common case is one compare.
        if self.peek().is_some_and(is_space) {
            self.at = skip_space(self.body, self.at);
        }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed {
            offset: self.at,
            what,
        }
    }
}
