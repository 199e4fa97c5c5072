//! Dates of birth: a date that a word announces as one.

use super::Kind;
use super::cue::Cue;
use super::number::{Run, Separator};
use super::scanner::{Scanner, is_word};

/// Words that may stand between the phrase and the date.
const DISTANCE_MAX: usize = 5;
/// How far after a date `geboren` is looked for.
const AFTER_BYTES: usize = 14;

/// Reports the date that begins at group `from` when it is one of birth; returns where to go on.
pub(super) fn birth(scan: &mut Scanner<'_>, run: &Run, from: usize) -> Option<usize> {
    let len = run.len_of(from);
    if !matches!(len, 1 | 2 | 4) {
        return None;
    }
    let (start, end) = match numeric(run, from) {
        Some(found) => found,
        None if len == 4 => ideographic(scan, run, from)?,
        // No name stands between groups of one run.
        None if from + 1 < run.len() => month_first(scan, run, from)?,
        None => day_first(scan, run, from).or_else(|| month_first(scan, run, from))?,
    };
    let context = scan.context(start);
    let announced = context.is(&[Cue::Birth]) && context.clean && context.distance <= DISTANCE_MAX;
    if !announced && !born_after(scan, end) {
        return None;
    }
    scan.found(Kind::DateOfBirth, start, end);
    Some(end)
}

/// What follows one or two digits can make a date of them: a month's name, or a year.
pub(super) fn may_follow_day(mut rest: &[u8]) -> bool {
    if rest.first().is_some_and(u8::is_ascii_alphabetic) {
        return true;
    }
    for _ in 0..3 {
        match rest {
            [b' ' | b'.' | b'-' | b',' | b'/', after @ ..] => rest = after,
            _ => break,
        }
    }
    matches!(
        rest.first().map(|first| first | 0x20),
        Some(
            b'0'..=b'9'
                | b'a'
                | b'd'
                | b'e'
                | b'f'
                | b'g'
                | b'j'
                | b'l'
                | b'm'
                | b'n'
                | b'o'
                | b's'
                | b't'
        )
    )
}

fn born_after(scan: &Scanner<'_>, end: usize) -> bool {
    let mut after = scan.slice(end, end + AFTER_BYTES);
    while let Some((b' ' | b')' | b',', rest)) = after.split_first() {
        after = rest;
    }
    after.starts_with(b"geb")
        || after.starts_with("生".as_bytes())
        || after.starts_with("に生".as_bytes())
        || after.starts_with("出生".as_bytes())
}

/// Value of a group of digits; of one too long for any date, the highest.
fn number(run: &Run, index: usize) -> u32 {
    let digits = run.digits(index, index + 1);
    digits.iter().fold(0_u32, |number, digit| {
        number.saturating_mul(10).saturating_add(u32::from(*digit))
    })
}

fn plausible(year: u32, month: u32, day: u32) -> bool {
    is_year(year) && (1..=31).contains(&month.max(day)) && (1..=12).contains(&month.min(day))
}

const fn is_year(year: u32) -> bool {
    matches!(year, 1900..=2035)
}

/// `24-09-1970`, `1970/9/24`, `24.9.70`.
fn numeric(run: &Run, from: usize) -> Option<(usize, usize)> {
    let to = from + 3;
    if to > run.len()
        || !matches!(
            run.between(from, to)?,
            Separator::Dash | Separator::Dot | Separator::Slash
        )
    {
        return None;
    }
    let (first, middle, last) = (
        number(run, from),
        number(run, from + 1),
        number(run, from + 2),
    );
    let lengths = (run.len_of(from), run.len_of(from + 1), run.len_of(from + 2));
    let valid = match lengths {
        (1 | 2, 1 | 2, 4) => plausible(last, first, middle),
        (4, 1 | 2, 1 | 2) => plausible(first, middle, last),
        (1 | 2, 1 | 2, 2) => plausible(1900 + last, first, middle),
        _ => false,
    };
    (valid && run.free_right(to)).then(|| (run.start_of(from), run.end_of(to - 1)))
}

/// `1970年9月24日`.
fn ideographic(scan: &Scanner<'_>, run: &Run, from: usize) -> Option<(usize, usize)> {
    if run.len_of(from) != 4 || !is_year(number(run, from)) {
        return None;
    }
    let at = skip(scan, run.end_of(from), "年")?;
    let (month, at) = short(scan, at)?;
    let at = skip(scan, at, "月")?;
    let (day, at) = short(scan, at)?;
    let end = skip(scan, at, "日")?;
    plausible(2000, month, day).then_some((run.start_of(from), end))
}

/// `24 September 1970`, `24. Sept. 1970`, `24 de mayo de 1970`, `24 tháng 9 năm 1970`, `24-Sep-1970`.
fn day_first(scan: &Scanner<'_>, run: &Run, from: usize) -> Option<(usize, usize)> {
    if run.len_of(from) > 2 || !(1..=31).contains(&number(run, from)) {
        return None;
    }
    let mut at = run.end_of(from);
    if matches!(
        scan.slice(at, at + 2),
        b"st" | b"nd" | b"rd" | b"th" | b"er"
    ) {
        at += 2;
    }
    at = spaces(scan, at, b". -,/");
    let mut first = scan.at(at) | 0x20;
    if matches!(first, b'o' | b'd') {
        for word in ["of ", "de ", "do "] {
            at = skip(scan, at, word).unwrap_or(at);
        }
        first = scan.at(at) | 0x20;
    }
    at = match first {
        b't' => {
            let mut names = ["tháng", "thang", "tha\u{301}ng"].into_iter();
            let after = names.find_map(|name| skip(scan, at, name))?;
            let (month, after) = short(scan, spaces(scan, after, b" "))?;
            (1..=12).contains(&month).then_some(after)?
        }
        b'a'..=b'z' => month(scan, at)?,
        _ => return None,
    };
    at = spaces(scan, at, b". -,/");
    for word in ["năm ", "nam ", "na\u{306}m ", "de ", "del "] {
        at = skip(scan, at, word).unwrap_or(at);
    }
    let end = year(scan, at)?;
    Some((run.start_of(from), end))
}

/// `September 24, 1970`.
fn month_first(scan: &Scanner<'_>, run: &Run, from: usize) -> Option<(usize, usize)> {
    let before = scan.byte_before(run.start_of(from));
    if !matches!(before, b' ' | b'.' | b'-') || from + 1 < run.len() && run.len_of(from + 1) != 4 {
        return None;
    }
    if run.len_of(from) > 2 || !(1..=31).contains(&number(run, from)) {
        return None;
    }
    let mut at = run.end_of(from);
    if matches!(scan.slice(at, at + 2), b"st" | b"nd" | b"rd" | b"th") {
        at += 2;
    }
    let end = year(scan, spaces(scan, at, b", .-"))?;
    let first = run.start_of(from);
    let gap = scan.start_of(first, 2, |byte| matches!(byte, b' ' | b'.' | b'-'));
    let start = scan.start_of(gap, 15, |byte| byte.is_ascii_alphabetic() || byte >= 0x80);
    // A full-width colon or an ideograph is no letter of the month.
    let wide = scan
        .slice(start, gap)
        .iter()
        .rposition(|byte| *byte >= 0xe3);
    let start = wide.map_or(start, |wide| start + wide + 3);
    if gap == first || month(scan, start)? != gap {
        return None;
    }
    Some((start, end))
}

/// The place after a month's name that begins at `at`.
fn month(scan: &Scanner<'_>, at: usize) -> Option<usize> {
    let head = |index: usize| scan.at(at + index) | 0x20;
    let known = match [head(0), head(1), head(2)] {
        [b'm', 0xe3, 0xa4] | [b'd', 0xe3, 0xa9] | [b'f', 0xe3, 0xa9] => true,
        letters => MONTHS.contains(&&letters),
    };
    if !known {
        return None;
    }
    let end = scan.end_within(at, 13, |byte| byte.is_ascii_alphabetic() || byte >= 0x80);
    (end - at <= 12).then_some(end)
}

/// A month's name begins at `at`.
pub(super) fn is_month(scan: &Scanner<'_>, at: usize) -> bool {
    month(scan, at).is_some()
}

/// How months begin in English, German, French, Spanish, Portuguese and Italian.
const MONTHS: &[&[u8; 3]] = &[
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
    b"mai", b"okt", b"dez", b"avr", b"jui", b"aou", b"ao\xe3", b"fev", b"ene", b"abr", b"ago",
    b"set", b"out", b"dic", b"mag", b"giu", b"lug", b"gen",
];

fn year(scan: &Scanner<'_>, at: usize) -> Option<usize> {
    let end = scan.end_within(at, 5, |byte| byte.is_ascii_digit());
    let digits = scan.slice(at, end);
    let value = digits
        .iter()
        .take(5)
        .fold(0u32, |number, digit| number * 10 + u32::from(digit - b'0'));
    (digits.len() == 4 && is_year(value) && !is_word(scan.at(end))).then_some(end)
}

/// One or two digits.
fn short(scan: &Scanner<'_>, at: usize) -> Option<(u32, usize)> {
    let end = scan.end_within(at, 5, |byte| byte.is_ascii_digit());
    let digits = scan.slice(at, end);
    let value = digits
        .iter()
        .take(3)
        .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    matches!(digits.len(), 1 | 2).then_some((value, end))
}

fn skip(scan: &Scanner<'_>, at: usize, word: &str) -> Option<usize> {
    let found = scan.slice(at, at + word.len());
    found
        .eq_ignore_ascii_case(word.as_bytes())
        .then_some(at + word.len())
}

fn spaces(scan: &Scanner<'_>, at: usize, set: &[u8]) -> usize {
    scan.end_within(at, 3, |byte| set.contains(&byte))
}
