//! Keys with a vendor's prefix, signed tokens, private keys, and credentials in addresses.

mod address;
mod vendor;

use super::Kind;
use super::bytes::begins_key;
use super::scanner::{Scanner, is_word};
use vendor::{CAPITAL, JOINED, key, may_begin, may_join};

pub(super) use address::{colon, query};

/// `-` or `_` that may end a vendor's prefix, or begin a private key.
pub(super) fn joint(scan: &mut Scanner<'_>, at: usize) -> usize {
    if scan.at(at) == b'-' && scan.at(at + 1) == b'-' {
        return dashes(scan, at);
    }
    if !may_join(scan, at) {
        return at + 1;
    }
    let start = scan.start_of(at, 9, |byte| byte.is_ascii_alphanumeric());
    if at - start < 2
        || matches!(scan.byte_before(start), b'_' | b'-')
        || is_word(scan.byte_before(start))
    {
        return at + 1;
    }
    joined(scan, start).unwrap_or(at + 1)
}

/// A key that begins at `start` and whose prefix has a `-` or `_`.
pub(super) fn joined(scan: &mut Scanner<'_>, start: usize) -> Option<usize> {
    if !may_begin(scan, start) {
        return None;
    }
    let before = scan.byte_before(start);
    if is_word(before) || before == b'-' {
        return None;
    }
    let end = key(scan, JOINED, start)?;
    scan.found(Kind::ApiKey, start, end);
    Some(end)
}

/// A private key in PEM, from its first dash to the end of its last line.
fn dashes(scan: &mut Scanner<'_>, at: usize) -> usize {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const LABEL_BYTES_MAX: usize = 48;
    let after = scan.end_within(at, 64, |byte| byte == b'-');
    if after - at != 5 || !scan.slice(at, at + BEGIN.len()).eq(BEGIN) {
        return after;
    }
    let head = scan.slice(at + BEGIN.len(), at + BEGIN.len() + LABEL_BYTES_MAX);
    let Some(label) = head.windows(5).position(|window| window == b"-----") else {
        return after;
    };
    let private = head.get(..label).is_some_and(|label| {
        label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK")
    });
    if !private {
        return after;
    }
    let body = at + BEGIN.len() + label + 5;
    let end = pem_end(scan, body);
    scan.found(Kind::Secret, at, end);
    end
}

/// Longest private key that is taken as one.
const PEM_BYTES_MAX: usize = 65_536;

/// After the END line; of a block that was cut, after the last line that can belong to it.
fn pem_end(scan: &Scanner<'_>, body: usize) -> usize {
    const END: &[u8] = b"-----END ";
    let mut at = body;
    let mut end = body;
    loop {
        let word = scan.end_within(at, PEM_BYTES_MAX, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
        });
        if at - body > PEM_BYTES_MAX {
            return end;
        }
        if word > at && (word - at >= 8 || scan.at(word - 1) == b'=') {
            end = word;
        } else if word > at && !matches!(scan.at(at), b'n' | b'r') {
            if !is_last_line(scan, at, word) {
                return end;
            }
            end = word;
        }
        at = word;
        scan.touch_within(at, END.len() + 53);
        let rest = scan.bytes.get(at..).unwrap_or_default();
        if rest.starts_with(END) {
            let label = rest.get(END.len()..).unwrap_or_default();
            let close = label
                .windows(5)
                .take(48)
                .position(|window| window == b"-----");
            return close.map_or(at + END.len(), |close| at + END.len() + close + 5);
        }
        match scan.at(at) {
            // `Proc-Type:` and `DEK-Info:` headers of an encrypted key.
            b'\n' | b'\r' | b' ' | b'\t' | b'"' | b'+' | b',' => at += 1,
            b'\\' => at += 2,
            _ => return end,
        }
    }
}

/// The short word from `at` to `end` can end a block: it is no word of a sentence, or the END line
/// follows.
fn is_last_line(scan: &Scanner<'_>, at: usize, end: usize) -> bool {
    let word = scan.slice(at, end);
    let odd = word.iter().skip(1).any(|byte| !byte.is_ascii_lowercase());
    let after = scan.end_within(end, 4, |byte| matches!(byte, b'\n' | b'\r' | b'\\' | b'n'));
    odd || scan.slice(after, after + 5) == b"-----"
}

/// A key that begins with the capital at `at`, or whose `eyJ` has its capital there.
pub(super) fn capital(scan: &mut Scanner<'_>, at: usize) -> Option<usize> {
    if !begins_key(scan.at(at)) {
        return None;
    }
    let start = match scan.at(at) {
        b'J' if scan.slice(at.saturating_sub(2), at) == b"ey" => at - 2,
        first @ (b'A' | b'S' | b'E') => {
            // The second letters of the prefixes in `CAPITAL`.
            let second = scan.at(at + 1);
            let known = match first {
                b'A' => matches!(second, b'K' | b'S' | b'I' | b'T'),
                b'S' => matches!(second, b'G' | b'K'),
                _ => second == b'A',
            };
            if !known {
                return None;
            }
            at
        }
        _ => return None,
    };
    if is_word(scan.byte_before(start)) || scan.byte_before(start) == b'-' {
        return None;
    }
    let end = if start < at {
        jwt(scan, start)
    } else {
        key(scan, CAPITAL, start)
    }?;
    scan.found(Kind::ApiKey, start, end);
    Some(end)
}

/// Longest header of a signed token.
const HEADER_BYTES_MAX: usize = 180;
/// Longest of its other parts.
const PAYLOAD_BYTES_MAX: usize = 16_384;

/// A signed token: the header decodes to a JSON object, then two more parts (RFC 7519).
fn jwt(scan: &Scanner<'_>, start: usize) -> Option<usize> {
    let part =
        |at: usize, most: usize| scan.end_within(at, most, |byte| is_word(byte) || byte == b'-');
    let first = part(start, HEADER_BYTES_MAX);
    if scan.at(first) != b'.' || first - start < 12 || !header_decodes(scan.slice(start, first)) {
        return None;
    }
    let second = part(first + 1, PAYLOAD_BYTES_MAX);
    if second - first < 5 {
        return None;
    }
    let mut end = second;
    if scan.at(second) == b'.' {
        end = part(second + 1, PAYLOAD_BYTES_MAX);
        if end == second + 1 {
            end = second;
        }
    }
    Some(end)
}

/// The base64url text begins an object with a quoted name of letters: `{"alg"`, `{"typ"`, `{"kid"`.
fn header_decodes(text: &[u8]) -> bool {
    let mut decoded = [0u8; 9];
    let mut len = 0;
    for four in text.chunks(4).take(3) {
        let mut bits = 0u32;
        for byte in four {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return false,
            };
            bits = bits << 6 | u32::from(value);
        }
        let [_, triple @ ..] = bits.to_be_bytes();
        for (slot, byte) in decoded.iter_mut().skip(len).zip(triple) {
            *slot = byte;
        }
        len += 3;
    }
    let inner = decoded.trim_ascii_start();
    matches!(inner, [b'{', rest @ ..] if matches!(rest.trim_ascii_start(), [b'"', letter, ..] if letter.is_ascii_alphabetic()))
}
