//! Reads digit groups with the separators between them, eight digits at a time.

use super::super::scanner::{Scanner, is_word};
use super::run::{DIGITS_AT_ONCE, Run, Separator};

/// Bytes of a run after which no further group is read.
const RUN_BYTES_MAX: usize = 110;
/// Digits of a group that are read as one; more are no number of anybody's.
const GROUP_DIGITS_MAX: usize = 64;

pub(in super::super) fn wide_digit(bytes: &[u8], at: usize) -> bool {
    digit(bytes, at).is_some()
}

/// Value and width of the digit at `at`.
fn digit(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    match *bytes.get(at)? {
        byte @ b'0'..=b'9' => Some((byte - b'0', 1)),
        0xef => match (bytes.get(at + 1), bytes.get(at + 2)) {
            (Some(0xbc), Some(byte @ 0x90..=0x99)) => Some((byte - 0x90, 3)),
            _ => None,
        },
        _ => None,
    }
}

/// The separator at `at` and its width.
fn separator(bytes: &[u8], at: usize) -> Option<(Separator, usize)> {
    let byte = *bytes.get(at)?;
    if let Some(separator) = of_byte(byte) {
        return Some((separator, 1));
    }
    Some(match byte {
        0xc2 if bytes.get(at + 1) == Some(&0xa0) => (Separator::Space, 2),
        0xe2 => match (bytes.get(at + 1)?, bytes.get(at + 2)?) {
            (0x80, 0x90..=0x94) | (0x88, 0x92) => (Separator::Dash, 3),
            (0x80, 0xaf | 0x80..=0x8a) => (Separator::Space, 3),
            _ => return None,
        },
        0xef => match (bytes.get(at + 1)?, bytes.get(at + 2)?) {
            (0xbc, 0x8d) => (Separator::Dash, 3),
            (0xbc, 0x88) => (Separator::Open, 3),
            (0xbc, 0x89) => (Separator::Close, 3),
            _ => return None,
        },
        0xe3 if bytes.get(at + 1..at + 3) == Some(&[0x80, 0x80]) => (Separator::Space, 3),
        _ => return None,
    })
}

/// The separators of one byte.
#[inline]
fn of_byte(byte: u8) -> Option<Separator> {
    let found = SEPARATORS.get(usize::from(byte.wrapping_sub(b' ')));
    found.copied().filter(|found| *found != Separator::None)
}

/// By the byte, from the space on.
static SEPARATORS: [Separator; 16] = {
    let mut separators = [Separator::None; 16];
    separators[0] = Separator::Space;
    separators[8] = Separator::Open;
    separators[9] = Separator::Close;
    separators[13] = Separator::Dash;
    separators[14] = Separator::Dot;
    separators[15] = Separator::Slash;
    separators
};

/// The separator between a group that ends at `at` and the next, and where that begins.
#[inline]
fn joint(bytes: &[u8], at: usize) -> Option<(Separator, usize)> {
    let first = *bytes.get(at)?;
    match of_byte(first) {
        Some(separator) if bytes.get(at + 1)?.is_ascii_digit() => Some((separator, at + 1)),
        None if first.is_ascii() => None,
        _ => wide_joint(bytes, at),
    }
}

/// The same where it has more than one character, or those beyond ASCII.
fn wide_joint(bytes: &[u8], at: usize) -> Option<(Separator, usize)> {
    let (first, width) = separator(bytes, at)?;
    let next = at + width;
    if digit(bytes, next).is_some() {
        return Some((first, next));
    }
    let (second, width) = separator(bytes, next)?;
    let next = next + width;
    let joined = match (first, second) {
        (Separator::Close, Separator::Space | Separator::Dash | Separator::Dot) => Separator::Close,
        (Separator::Space, Separator::Open) => Separator::Open,
        _ => return None,
    };
    digit(bytes, next).is_some().then_some((joined, next))
}

/// Reads the run at `at` and returns where it ends.
pub(super) fn lex(scan: &Scanner<'_>, at: usize, run: &mut Run) -> usize {
    run.begin(at);
    before(scan, run);
    let end = groups(scan.bytes, at, run);
    run.finish();
    if run.more {
        return end;
    }
    scan.touch_within(end, 8);
    run.signed |= is_money(scan, end);
    let next = scan.at(end);
    run.path_right = next == b'/';
    run.glued_right = is_word(next)
        || matches!(next, b'@' | b'%')
        || matches!(next, b'-' | b'.' | b'/') && scan.at(end + 1).is_ascii_alphanumeric();
    end
}

/// Reads what stands before the first digit.
fn before(scan: &Scanner<'_>, run: &mut Run) {
    let mut before = scan.byte_before(run.start);
    if before == b'+' {
        run.plus = true;
        run.start -= 1;
        before = scan.byte_before(run.start);
    }
    if before == b'(' {
        run.open = true;
        run.start -= 1;
        before = scan.byte_before(run.start);
    }
    run.glued_left = is_word(before)
        || matches!(before, b'-' | b'.' | b'/' | b'+' | b'%' | b'\\')
            && scan.byte_before(run.start - 1).is_ascii_alphanumeric();
    run.signed = matches!(before, b'$' | b'#')
        || !before.is_ascii() && {
            let head = scan.slice(run.start.saturating_sub(3), run.start);
            ["€", "£", "¥"]
                .iter()
                .any(|sign| head.ends_with(sign.as_bytes()))
        };
}

/// Reads the groups from `at` on and returns where the last one ends, or the first one begins that
/// was not kept.
fn groups(bytes: &[u8], at: usize, run: &mut Run) -> usize {
    let mut end = at;
    let mut first = 0;
    let mut joined = Separator::None;
    loop {
        // A run is read in pieces, so that none waits for the end of a text of digits.
        if end - at > RUN_BYTES_MAX {
            run.more = true;
            run.glued_right = true;
            return end;
        }
        let start = end;
        let len;
        (len, end) = group(bytes, start, first, run);
        if !run.push((start, end), joined, first, len) {
            run.more = true;
            return start;
        }
        first += len;
        match joint(bytes, end) {
            Some((separator, next)) => {
                joined = separator;
                end = next;
            }
            None => return end,
        }
    }
}

/// Reads the digits from `start` on, after `first` of the run: how many there are, and their end.
fn group(bytes: &[u8], start: usize, first: usize, run: &mut Run) -> (usize, usize) {
    let mut len = 0;
    let mut end = start;
    while len < GROUP_DIGITS_MAX {
        if let Some(eight) = bytes.get(end..).and_then(<[u8]>::first_chunk) {
            let (count, values) = digits(*eight);
            let count = count.min(GROUP_DIGITS_MAX - len);
            run.keep(first + len, values);
            len += count;
            end += count;
            if count == DIGITS_AT_ONCE {
                continue;
            }
            if bytes.get(end) != Some(&0xef) {
                break;
            }
        }
        // At the end of the text, and where digits are full-width.
        let Some((value, width)) = digit(bytes, end).filter(|_| len < GROUP_DIGITS_MAX) else {
            break;
        };
        run.keep(first + len, [value; DIGITS_AT_ONCE]);
        len += 1;
        end += width;
    }
    (len, end)
}

/// How many digits `bytes` begins with, and their values; what follows them has none.
#[inline]
pub(in super::super) const fn digits(bytes: [u8; 8]) -> (usize, [u8; 8]) {
    let values = u64::from_le_bytes(bytes) ^ ZEROS;
    let others = (((values & !HIGH) + BEYOND_NINE) | values) & HIGH;
    (others.trailing_zeros() as usize / 8, values.to_le_bytes())
}

/// `0` in each byte.
const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
/// What makes a value below 0x80 reach 0x80 when it is above nine.
const BEYOND_NINE: u64 = u64::from_le_bytes([0x76; 8]);

/// A currency follows.
fn is_money(scan: &Scanner<'_>, end: usize) -> bool {
    let at = end + usize::from(scan.at(end) == b' ');
    if !matches!(scan.at(at), 0xc4 | 0xe2 | b'V' | b'v' | b'U' | b'E') {
        return false;
    }
    let rest = scan.text.get(at..).unwrap_or_default();
    let unit = ["đ", "₫", "€", "VND", "VNĐ", "vnd", "USD", "EUR"]
        .into_iter()
        .find(|unit| rest.starts_with(unit));
    unit.is_some_and(|unit| {
        let after = rest.get(unit.len()..).and_then(|rest| rest.chars().next());
        rest.starts_with("đồng") || after.is_none_or(|letter| !letter.is_alphanumeric())
    })
}
