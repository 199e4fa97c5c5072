//! Tokens of letters and digits: accounts, wallets, passports, and values of secret-like names.

mod account;
mod secret;

use super::bytes::{is_quote, is_value};
use super::cue::{self, Cue, Ends};
use super::scanner::{BACK_BYTES_MAX, Scanner, is_word};
use super::{Kind, credential, national, network};
use account::{iban, wallet};
use secret::{has_kinds, is_mail, is_mixed, is_passport, is_strong};

pub(super) use secret::is_placeholder;

/// Shortest value a word alone makes a secret.
const SECRET_BYTES_MIN: usize = 6;
/// Shortest one a word alone makes a key.
const KEY_BYTES_MIN: usize = 16;
/// Words between a passport or a key and the phrase that names it.
const NAMED_DISTANCE_MAX: usize = 4;
/// Words between a secret and the phrase that names it.
const SECRET_DISTANCE_MAX: usize = 2;
/// Longest of both; of longer ones the rest is not looked at.
const SECRET_BYTES_MAX: usize = 512;

/// A Telegram bot's token: its number, then `:AA` and 33 characters more.
pub(super) fn bot(scan: &mut Scanner<'_>, start: usize, colon: usize) -> Option<usize> {
    if !(8..=10).contains(&(colon - start)) || scan.slice(colon, colon + 3) != b":AA" {
        return None;
    }
    let end = scan.end_within(colon + 1, 40, |byte| is_word(byte) || byte == b'-');
    if !(34..=36).contains(&(end - colon - 1)) {
        return None;
    }
    scan.found(Kind::ApiKey, start, end);
    Some(end)
}

/// Reads the word from `start` to `end` that has its first digit at `digit`.
pub(super) fn word(scan: &mut Scanner<'_>, start: usize, digit: usize, end: usize) -> usize {
    let letters = digit - start;
    let word = scan.slice(start, end);
    if letters > 0
        && let Some(after) = credential::joined(scan, start)
    {
        return after;
    }
    if letters == 2
        && let Some(after) = iban(scan, start)
    {
        return after;
    }
    if scan.at(end) == b':'
        && word.len() <= 4
        && let Some(after) = network::v6(scan, start)
    {
        return after;
    }
    if let Some(after) = wallet(scan, start, end) {
        return after;
    }
    if let Some(kind) = national::strong_word(word)
        && scan.wants(kind)
    {
        scan.found(kind, start, end);
        return end;
    }
    if let Some(after) = named(scan, start, end) {
        return after;
    }
    end
}

/// Digits that end a token of other signs, such as `Tulip@3319`, when a word names it.
pub(super) fn tail(scan: &mut Scanner<'_>, at: usize, end: usize) -> Option<usize> {
    let sign = scan.byte_before(at);
    let joined = matches!(
        sign,
        b'@' | b'#' | b'!' | b'$' | b'%' | b'&' | b'*' | b'~' | b'^' | b'-' | b'.' | b'+' | b'?'
    ) && scan.byte_before(at - 1).is_ascii_alphabetic();
    if !joined {
        return None;
    }
    named(scan, at, end)
}

/// A token that a word before it names: a passport, a password, a key.
fn named(scan: &mut Scanner<'_>, start: usize, end: usize) -> Option<usize> {
    if start < scan.progress.token_end {
        return None;
    }
    let from = scan.start_of(start, BACK_BYTES_MAX, is_value);
    scan.progress.token_end = scan.end_within(end, BACK_BYTES_MAX, is_value);
    if scan.progress.token_end - from < SECRET_BYTES_MIN {
        return None;
    }
    let context = scan.context(from);
    if let Some(Cue::Id(kind)) = context.cue
        && context.clean
        && context.distance <= NAMED_DISTANCE_MAX
        && from == start
        && scan.wants(kind)
        && let Some(after) = national::named(scan, start, kind)
    {
        scan.found(kind, start, after);
        return Some(after);
    }
    let named = context.is(&[Cue::Passport, Cue::Papers, Cue::Secret, Cue::ApiKey]);
    if !named || !context.clean || context.distance > NAMED_DISTANCE_MAX {
        return None;
    }
    let until = scan.end_within(end, SECRET_BYTES_MAX, is_value);
    scan.progress.token_end = until;
    let mut to = until.min(from + SECRET_BYTES_MAX);
    while to > end && matches!(scan.byte_before(to), b'.' | b'?') {
        to -= 1;
    }
    if to - from < SECRET_BYTES_MIN || scan.at(until) == b'(' {
        return None;
    }
    let value = scan.slice(from, to);
    let kind = match context.cue? {
        Cue::Passport | Cue::Papers if is_passport(scan.slice(start, end)) && from == start => {
            scan.found(Kind::Passport, start, end);
            return Some(end);
        }
        Cue::Secret if is_told(scan, from, to, context.distance) && !is_placeholder(value) => {
            Kind::Secret
        }
        Cue::ApiKey if value.len() >= KEY_BYTES_MIN && !is_placeholder(value) => Kind::ApiKey,
        _ => return None,
    };
    if !has_kinds(value) {
        return None;
    }
    let end = scan.end_within(to, 2, |byte| byte == b'=');
    scan.found(kind, from, end);
    Some(end)
}

/// The value after the `:` or `=` at `at`, `width` bytes wide, when the name before it says secret.
pub(super) fn assigned(scan: &mut Scanner<'_>, at: usize, width: usize) -> Option<usize> {
    let name_end = scan.start_of(at, 2, is_quote);
    let last = scan.byte_before(name_end);
    if !(last.is_ascii_alphabetic() || last >= 0x80) {
        return None;
    }
    if !cue::may_end(scan.bytes, name_end, Ends::Value) {
        return None;
    }
    let from = scan.end_within(at + width, 4, |byte| {
        matches!(byte, b' ' | b'"' | b'\'' | b'=' | b'>' | b'`' | b'\\')
    });
    let first = scan.at(from);
    if !is_value(first) {
        return None;
    }
    match cue::ending(scan.text, name_end, Ends::Value)? {
        Cue::Secret => {}
        Cue::Address if scan.wants(Kind::Address) => return postal(scan, from),
        _ => return None,
    }
    let mut to = scan.end_within(from, SECRET_BYTES_MAX, is_value);
    while matches!(scan.byte_before(to), b'.' | b'?') && to > from {
        to -= 1;
    }
    // A call or a block of PEM, which has its own recognizer.
    if scan.at(to) == b'(' || scan.slice(from, to).starts_with(b"-----") {
        return None;
    }
    let value = scan.slice(from, to);
    let long =
        value.len() >= SECRET_BYTES_MIN && has_kinds(value) || value.len() >= 8 && is_mixed(value);
    if !long
        || is_placeholder(value)
        || value.contains(&b'@') && scan.at(to) != b'"' && is_mail(value)
    {
        return None;
    }
    scan.found(Kind::Secret, from, to);
    Some(to)
}

/// Longest postal address.
const ADDRESS_BYTES_MAX: usize = 160;

/// A postal address: the rest of the line, when it has a number and several words.
fn postal(scan: &mut Scanner<'_>, from: usize) -> Option<usize> {
    let stops = |byte: u8| {
        matches!(
            byte,
            b'\n' | b'\r' | b'"' | b';' | b'|' | b'\t' | b'<' | b'{' | b'}' | b'@' | b'='
        )
    };
    let end = scan.end_within(from, ADDRESS_BYTES_MAX, |byte| !stops(byte));
    let line = scan.slice(from, end).trim_ascii_end();
    let words = line
        .split(|byte| *byte == b' ')
        .filter(|word| word.len() > 1)
        .count();
    let wide = line.iter().filter(|byte| **byte >= 0xe3).count();
    let number = line.iter().any(u8::is_ascii_digit);
    let url = line.windows(3).any(|window| window == b"://");
    if scan.at(end) == b'@' || url || !number || words < 3 && wide < 4 {
        return None;
    }
    scan.found(Kind::Address, from, from + line.len());
    Some(from + line.len())
}

/// The phrase stands right before the value, or two words before a long one.
fn is_told(scan: &Scanner<'_>, from: usize, to: usize, distance: usize) -> bool {
    let before = scan.byte_before(from);
    let strong = to - from >= 8 && is_strong(scan.slice(from, to));
    distance == 0
        || distance <= SECRET_DISTANCE_MAX + usize::from(strong) * 2
            && (to - from >= 8 || before != b' ')
            && matches!(before, b' ' | b'"' | b'\'' | b'`' | b':')
}
