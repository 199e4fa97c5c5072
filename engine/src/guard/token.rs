//! Tokens of letters and digits: accounts, wallets, passports, and values of secret-like names.

use super::bytes::is_value;
use super::checksum::{base58check, bech32, mod97};
use super::cue::{self, Cue};
use super::scanner::{BACK_BYTES_MAX, Scanner, is_word};
use super::{Kind, credential, national, network};

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

/// Length of an IBAN by country (SWIFT IBAN registry, release 99).
fn iban_len(country: &[u8]) -> Option<usize> {
    Some(match country {
        b"NO" => 15,
        b"BE" => 16,
        b"DK" | b"FI" | b"FO" | b"GL" | b"NL" | b"FK" | b"SD" => 18,
        b"MK" | b"SI" => 19,
        b"AT" | b"BA" | b"EE" | b"KZ" | b"LT" | b"LU" | b"XK" | b"MN" => 20,
        b"CH" | b"HR" | b"LI" | b"LV" => 21,
        b"BG" | b"BH" | b"CR" | b"DE" | b"GB" | b"GE" | b"IE" | b"ME" | b"RS" | b"VA" => 22,
        b"AE" | b"GI" | b"IL" | b"IQ" | b"TL" | b"OM" | b"SO" => 23,
        b"AD" | b"CZ" | b"ES" | b"MD" | b"PK" | b"RO" | b"SA" | b"SE" | b"SK" | b"TN" | b"VG" => 24,
        b"LY" | b"PT" | b"ST" => 25,
        b"IS" | b"TR" => 26,
        b"BI" | b"DJ" | b"FR" | b"GR" | b"IT" | b"MC" | b"MR" | b"SM" => 27,
        b"AL" | b"AZ" | b"BY" | b"CY" | b"DO" | b"GT" | b"HN" | b"HU" | b"LB" | b"NI" | b"PL"
        | b"SV" => 28,
        b"BR" | b"EG" | b"PS" | b"QA" | b"UA" => 29,
        b"JO" | b"KW" | b"MU" | b"YE" => 30,
        b"MT" | b"SC" => 31,
        b"LC" => 32,
        b"RU" => 33,
        _ => return None,
    })
}

/// An IBAN that begins at `start`, compact or in groups.
fn iban(scan: &mut Scanner<'_>, start: usize) -> Option<usize> {
    let len = iban_len(scan.slice(start, start + 2))?;
    if scan.byte_before(start) == b'-' {
        return None;
    }
    let mut compact = [0u8; 34];
    let mut filled = 0;
    let mut end = start;
    while filled < len {
        let byte = scan.at(end);
        if byte.is_ascii_uppercase() || byte.is_ascii_digit() {
            *compact.get_mut(filled)? = byte;
            filled += 1;
            end += 1;
            continue;
        }
        let gap = match byte {
            b' ' | b'-' => 1,
            0xc2 if scan.at(end + 1) == 0xa0 => 2,
            0xe2 if scan.at(end + 1) == 0x80 && matches!(scan.at(end + 2), 0x80..=0x94 | 0xaf) => 3,
            _ => return None,
        };
        if filled == 0 || filled % 2 != 0 {
            return None;
        }
        end += gap;
    }
    if is_word(scan.at(end)) {
        return None;
    }
    if !mod97(compact.get(..len)?) {
        // A mistyped account holds no card.
        return Some(end);
    }
    scan.found(Kind::Iban, start, end);
    Some(end)
}

/// A wallet address with its checksum.
fn wallet(scan: &mut Scanner<'_>, start: usize, end: usize) -> Option<usize> {
    let word = scan.slice(start, end);
    let valid = match word {
        [b'0', b'x' | b'X', hex @ ..] => hex.len() == 40 && hex.iter().all(u8::is_ascii_hexdigit),
        [b'b', b'c', b'1', ..] | [b't', b'b', b'1', ..] if matches!(word.len(), 14..=90) => {
            bech32(word)
        }
        [b'B', b'C', b'1', ..] if matches!(word.len(), 14..=90) => {
            let mut lower = [0u8; 90];
            let lower = lower.get_mut(..word.len())?;
            lower.copy_from_slice(word);
            lower.make_ascii_lowercase();
            bech32(lower)
        }
        [b'1' | b'3', ..] if matches!(word.len(), 25..=35) => base58check(word),
        _ => false,
    };
    if !valid {
        return None;
    }
    scan.found(Kind::Crypto, start, end);
    Some(end)
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
    let name_end = scan.start_of(at, 2, |byte| matches!(byte, b'"' | b'\'' | b' ' | b'\\'));
    let last = scan.byte_before(name_end);
    if !(last.is_ascii_alphabetic() || last >= 0x80) {
        return None;
    }
    let from = scan.end_within(at + width, 4, |byte| {
        matches!(byte, b' ' | b'"' | b'\'' | b'=' | b'>' | b'`' | b'\\')
    });
    let first = scan.at(from);
    if !is_value(first) {
        return None;
    }
    match cue::ending(scan.text, name_end)? {
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

/// Letters and digits, and capitals beside small letters or a sign of punctuation.
fn is_strong(value: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| value.iter().any(kind);
    has(u8::is_ascii_digit)
        && has(u8::is_ascii_lowercase)
        && (has(u8::is_ascii_uppercase)
            || has(|byte| {
                matches!(
                    byte,
                    b'!' | b'#' | b'$' | b'%' | b'&' | b'*' | b'@' | b'~' | b'^'
                )
            }))
}

/// Upper-case letters and digits as passports of all countries have.
fn is_passport(word: &[u8]) -> bool {
    matches!(word.len(), 7..=10)
        && word
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Letters, and beside them digits or signs that no name, path, number or expression has.
fn has_kinds(value: &[u8]) -> bool {
    let strong = |byte: &u8| {
        byte.is_ascii_digit()
            || !byte.is_ascii_alphabetic()
                && !matches!(byte, b'.' | b'_' | b'-' | b'/' | b'[' | b']' | b'?')
    };
    let sign = |byte: &u8| matches!(byte, b'*' | b'!' | b'+' | b'&' | b'#' | b'@');
    let lead = value.iter().take_while(|byte| sign(byte)).count();
    let inner = value.get(lead..).unwrap_or_default();
    let path = value.starts_with(b"/") && !value.iter().any(u8::is_ascii_uppercase);
    let number = value.starts_with(b"0x") && value.len() <= 10;
    let expression = path || number || is_identifier(inner);
    !expression && inner.iter().any(u8::is_ascii_alphabetic) && inner.iter().any(strong)
}

/// `_bindgen_ty_3`, `self.dot2_token`: parts of letters with at most two digits at their end.
fn is_identifier(value: &[u8]) -> bool {
    if value.contains(&b'-') && value.iter().any(u8::is_ascii_uppercase) {
        return false;
    }
    let parts = value.split(|byte| matches!(byte, b'_' | b'.' | b'-' | b'/' | b'!' | b'&'));
    let plain = |part: &[u8]| {
        let letters = part
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        let (letters, digits) = part.split_at(letters);
        digits.len() <= 2 && digits.iter().all(u8::is_ascii_digit) && is_camel(letters)
    };
    parts.clone().count() >= 3 && parts.clone().all(plain)
        || value.contains(&b'.') && parts.clone().count() >= 2 && parts.clone().all(plain)
}

/// Small letters, capitals, or words of two letters and more with a capital each.
fn is_camel(letters: &[u8]) -> bool {
    let loud = letters.iter().all(u8::is_ascii_uppercase);
    let hump = |pair: &[u8]| matches!(pair, [first, second] if first.is_ascii_uppercase() && second.is_ascii_uppercase());
    let cut = matches!(letters, [_, .., last] if last.is_ascii_uppercase());
    loud || !cut && !letters.windows(2).any(hump)
}

/// Letters whose capitals stand where neither a word nor `CamelCase` has them.
fn is_mixed(value: &[u8]) -> bool {
    let capitals = value
        .iter()
        .filter(|byte| byte.is_ascii_uppercase())
        .count();
    let small = value
        .iter()
        .filter(|byte| byte.is_ascii_lowercase())
        .count();
    let humps = value
        .windows(2)
        .filter(|pair| matches!(pair, [first, second] if first.is_ascii_lowercase() && second.is_ascii_uppercase()))
        .count();
    let all_letters = capitals + small == value.len();
    let irregular = humps >= 3 && capitals * 4 >= value.len()
        || value.len() >= 12 && capitals * 5 >= value.len() * 2;
    all_letters && small * 6 >= value.len() && irregular
}

fn is_mail(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| *byte == b'@');
    let (Some(_), Some(host), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    host.contains(&b'.') && !host.iter().any(u8::is_ascii_digit)
}

/// What people write in place of a secret, by its first letter.
const fn placeholders(first: u8) -> &'static [&'static [u8]] {
    match first {
        b'x' | b'X' => &[b"xxxx"],
        b'*' => &[b"****"],
        b'.' => &[b"..."],
        b'y' | b'Y' => &[b"your"],
        b'e' | b'E' => &[b"example"],
        b'r' | b'R' => &[b"redacted"],
        b'p' | b'P' => &[b"placeholder", b"process.env"],
        b'c' | b'C' => &[b"changeme"],
        b'$' => &[b"${"],
        b'{' => &[b"{{"],
        b'o' | b'O' => &[b"os.environ"],
        b'g' | b'G' => &[b"getenv"],
        b'0' => &[b"0000000000"],
        b'i' | b'I' => &[b"insert"],
        b'd' | b'D' => &[b"dummy"],
        _ => &[],
    }
}

/// A value that stands for a secret and is none.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    let begins = |at: usize, word: &[u8]| {
        let second = value.get(at + 1).map(u8::to_ascii_lowercase);
        if second.as_ref() != word.get(1) {
            return false;
        }
        let head = value.get(at..at + word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    matches!(value.first(), Some(b'$' | b'<' | b'{' | b'['))
        || value.iter().enumerate().any(|(at, first)| {
            let words = placeholders(*first);
            words.iter().any(|word| begins(at, word))
        })
}
