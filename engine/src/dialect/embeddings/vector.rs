//! One vector, in either encoding.

use base64::Engine;
use memchr::memchr_iter;

use super::input::Encoding;
use crate::dialect::DecodeError;
use crate::json::{self, Kind, Span};
use crate::lenient::BASE64;

/// Bytes looked at together.
const BLOCK_BYTES: usize = 256;

/// The encoding that a vector comes in.
pub(super) fn encoding(body: &[u8], vector: Span) -> Option<Encoding> {
    match json::kind(body, vector)? {
        Kind::Array => Some(Encoding::Float),
        Kind::String => Some(Encoding::Base64),
        _ => None,
    }
}

/// Writes vectors in one encoding, whatever they come in.
pub(super) struct Vectors {
    wanted: Encoding,
    bytes: Vec<u8>,
    text: String,
}

impl Vectors {
    pub(super) fn new(wanted: Encoding) -> Vectors {
        Vectors {
            wanted,
            bytes: Vec::new(),
            text: String::new(),
        }
    }

    /// Appends the vector at `vector` of a valid document. Numbers that stay numbers are copied as
    /// they are written.
    ///
    /// # Errors
    /// It is no vector.
    pub(super) fn write(
        &mut self,
        body: &[u8],
        vector: Span,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        let raw = vector.of(body);
        match (encoding(body, vector), self.wanted) {
            (Some(Encoding::Float), Encoding::Float) if is_numbers(raw) => {
                json::compact_into(body, vector, out);
            }
            (Some(Encoding::Float), Encoding::Base64) => {
                self.read_numbers(raw).ok_or(DecodeError::Invalid)?;
                self.text.clear();
                BASE64.encode_string(&self.bytes, &mut self.text);
                out.push(b'"');
                out.extend_from_slice(self.text.as_bytes());
                out.push(b'"');
            }
            (Some(Encoding::Base64), Encoding::Float) => {
                self.read_base64(body, vector).ok_or(DecodeError::Invalid)?;
                self.write_numbers(out).ok_or(DecodeError::Invalid)?;
            }
            (Some(Encoding::Base64), Encoding::Base64) => out.extend_from_slice(raw),
            _ => return Err(DecodeError::Invalid),
        }
        Ok(())
    }

    fn read_numbers(&mut self, list: &[u8]) -> Option<()> {
        self.bytes.clear();
        let inside = list.strip_prefix(b"[")?.strip_suffix(b"]")?;
        if inside.trim_ascii().is_empty() {
            return Some(());
        }
        let inside = std::str::from_utf8(inside).ok()?;
        let mut start = 0;
        for end in memchr_iter(b',', inside.as_bytes()).chain([inside.len()]) {
            let number: f32 = inside.get(start..end)?.trim_ascii().parse().ok()?;
            start = end.saturating_add(1);
            if !number.is_finite() {
                return None;
            }
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        Some(())
    }

    fn read_base64(&mut self, body: &[u8], text: Span) -> Option<()> {
        self.bytes.clear();
        let text = json::string(body, text)?;
        BASE64.decode_vec(text.as_bytes(), &mut self.bytes).ok()
    }

    fn write_numbers(&self, out: &mut Vec<u8>) -> Option<()> {
        let (floats, rest) = self.bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return None;
        }
        out.push(b'[');
        for (index, float) in floats.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let float = f32::from_le_bytes(*float);
            if !float.is_finite() {
                return None;
            }
            serde_json::to_writer(&mut *out, &float).ok()?;
        }
        out.push(b']');
        Some(())
    }
}

/// Whether a list of a valid document holds nothing but numbers: every other value has a quote, a
/// bracket or letters that numbers have not.
fn is_numbers(list: &[u8]) -> bool {
    let inside = list
        .strip_prefix(b"[")
        .and_then(|list| list.strip_suffix(b"]"));
    let is_odd = |byte: u8| byte == b'"' || (byte >= b'[' && byte != b'e');
    // A block at a time, so that the compiler compares many bytes at once.
    inside.is_some_and(|inside| {
        inside
            .chunks(BLOCK_BYTES)
            .all(|block| !block.iter().fold(false, |odd, byte| odd | is_odd(*byte)))
    })
}
