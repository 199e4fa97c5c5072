//! Names of people, where a phrase says that one follows.

mod ideographic;
mod lists;

use super::Kind;
use super::bytes::{is_gap, is_of_name};
use super::cue::{self, Cue, Ends};
use super::scanner::{Scanner, is_word};
use ideographic::{ideographic, introduced};
use lists::{is_vietnamese, stops};

pub(super) use ideographic::family_start;

/// Words of a name.
const WORDS_MAX: usize = 6;
/// Bytes of one of its words.
const WORD_BYTES_MAX: usize = 32;

/// A capital that may begin a name.
pub(super) fn capital(scan: &mut Scanner<'_>, at: usize) -> Option<usize> {
    let before = scan.byte_before(at);
    if is_word(before)
        || before >= 0x80 && !ends_wide_mark(scan, at)
        || scan.byte_before(at) == b'/'
    {
        return None;
    }
    latin(scan, at)
}

/// A character beyond ASCII that may begin a name.
pub(super) fn lead(scan: &mut Scanner<'_>, at: usize) -> usize {
    let Some(letter) = scan.text.get(at..).and_then(|rest| rest.chars().next()) else {
        return at + 1;
    };
    let next = at + letter.len_utf8();
    if letter == 'と'
        && let Some(after) = introduced(scan, at)
    {
        return after;
    }
    if is_ideograph(letter) {
        return ideographic(scan, at, letter).unwrap_or(next);
    }
    if letter.is_uppercase()
        && (letter as u32) < 0x2000
        && !is_word(scan.byte_before(at))
        && (scan.byte_before(at) < 0x80 || ends_wide_mark(scan, at))
    {
        return latin(scan, at).unwrap_or(next);
    }
    next
}

fn ends_wide_mark(scan: &Scanner<'_>, at: usize) -> bool {
    let mark = scan.slice(at.saturating_sub(3), at);
    mark == "：".as_bytes()
        || mark == "は".as_bytes()
        || mark == "是".as_bytes()
        || mark == "叫".as_bytes()
}

fn latin(scan: &mut Scanner<'_>, at: usize) -> Option<usize> {
    let gap = scan.start_of(at, 6, is_gap);
    if gap == at && !ends_wide_mark(scan, at) && scan.byte_before(at) != b'\n' {
        return None;
    }
    // What no column can announce is told from the phrases for people alone.
    let begins_cell = begins_cell(scan, at);
    let ends = if begins_cell { Ends::Any } else { Ends::Person };
    let told = cue::may_end(scan.bytes, gap, ends)
        .then(|| cue::ending(scan.text, at, ends))
        .flatten();
    let (cue, in_column) = match told {
        Some(cue) => (cue, false),
        None if begins_cell && may_have_two_words(scan, at) => (column(scan, at)?, true),
        None => return None,
    };
    // `INSERT INTO t (full_name) VALUES`
    let bracket = scan.byte_before(gap) == b')' && !in_column;
    let marks = |byte: &u8| matches!(byte, b':' | b'=' | b'"' | b'\'' | b'|' | b'>');
    let labelled = in_column || scan.slice(gap, at).iter().any(marks);
    let least = match cue {
        // `ms: Option` and `elapsed_ms` are times.
        Cue::Title if !addresses(scan, gap, at) => return None,
        Cue::Person if !in_column => 1,
        Cue::Title => 1,
        Cue::Label if !labelled => return None,
        // After `name:` one word is as likely a product, a file or a host.
        Cue::Label | Cue::Person | Cue::Role | Cue::Speaker => 2,
        _ => return None,
    };
    let (end, words) = latin_name(scan, at, labelled);
    let alone = words == 1 && labelled && lists::is_value(scan.slice(at, end));
    let said = cue == Cue::Speaker && labelled && !in_column && goes_on(scan, end);
    if words < least || alone || said || bracket && !labelled || is_code(scan, end) {
        return None;
    }
    // The next label, or the next heading.
    if cue::whole(scan.text.get(at..end)?).is_some() {
        return None;
    }
    scan.found(Kind::Name, at, end);
    Some(end)
}

/// End of the name that begins at `at` and its number of words.
fn latin_name(scan: &Scanner<'_>, at: usize, labelled: bool) -> (usize, usize) {
    let mut end = at;
    let mut words = 0;
    let mut next = at;
    let mut before = at;
    let mut shouted = true;
    let mut usual = 2;
    while words < WORDS_MAX {
        let stop = scan.end_within(next, WORD_BYTES_MAX, is_of_name);
        let Some(word) = scan.text.get(next..stop) else {
            break;
        };
        let Some(first) = word.chars().next() else {
            break;
        };
        if !first.is_uppercase() || !word.chars().all(is_letter) || stops(word, words == 0) {
            break;
        }
        let loud = word.chars().all(|letter| !letter.is_lowercase());
        let initial = word.chars().filter(|letter| letter.is_alphabetic()).count() == 1;
        if words > 0 && loud && !initial && !shouted {
            break;
        }
        if words == 0 && is_vietnamese(word) {
            usual = 3;
        }
        if words >= 2 && begins_sentence(scan, next, stop, labelled && words >= usual) {
            // `Rufen Sie mich an`: the verb stands before.
            if word == "Sie" && words > 2 {
                (words, end) = (words - 1, before);
            }
            break;
        }
        before = end;
        if !initial {
            shouted &= loud;
        }
        words += 1;
        end = stop;
        let dotted = initial && scan.at(stop) == b'.';
        let border = stop + usize::from(dotted);
        if scan.at(border) != b' ' {
            break;
        }
        next = border + 1;
        let particle = scan.end_within(next, WORD_BYTES_MAX, |byte| byte.is_ascii_lowercase());
        if matches!(
            scan.slice(next, particle),
            b"van"
                | b"von"
                | b"de"
                | b"der"
                | b"den"
                | b"da"
                | b"dos"
                | b"del"
                | b"la"
                | b"bin"
                | b"al"
                | b"ten"
                | b"zu"
        ) && scan.at(particle) == b' '
        {
            next = particle + 1;
            let follow = scan.end_within(next, WORD_BYTES_MAX, |byte| byte.is_ascii_lowercase());
            if matches!(scan.slice(next, follow), b"der" | b"den" | b"la" | b"los")
                && scan.at(follow) == b' '
            {
                next = follow + 1;
            }
        }
    }
    while matches!(scan.byte_before(end), b'\'' | b'-') && end > at {
        end -= 1;
    }
    (end, words)
}

/// The word from `start` to `stop` is the next label, or followed by small letters as the first word
/// of a sentence is, where a sentence may begin.
fn begins_sentence(scan: &Scanner<'_>, start: usize, stop: usize, may: bool) -> bool {
    let word = scan.slice(start, stop);
    let joined = word
        .windows(2)
        .any(|pair| matches!(pair, [b'-', second] if second.is_ascii_lowercase()));
    let after = scan.end_within(stop, 2, |byte| byte == b' ');
    let label = scan.at(after) == b':' || scan.slice(after, after + 3) == "：".as_bytes();
    joined || label || scan.at(stop) == b'\'' || may && after == stop + 1 && goes_on(scan, stop)
}

/// A small letter or a number follows the space at `at`, and not a word that goes on after a name.
fn goes_on(scan: &Scanner<'_>, at: usize) -> bool {
    const AFTER_NAMES: &[&[u8]] = &[
        b"and",
        b"or",
        b"und",
        b"oder",
        b"et",
        b"y",
        b"e",
        b"v\xc3\xa0",
        b"who",
        b"whose",
        b"with",
        b"born",
        b"geb",
        b"aka",
        b"l\xc3\xa0",
        b"c\xc3\xb3",
    ];
    if scan.at(at) != b' ' {
        return false;
    }
    let end = scan.end_within(at + 1, 12, |byte| {
        byte.is_ascii_alphabetic() || byte >= 0x80
    });
    let follow = scan.text.get(at + 1..).and_then(|rest| rest.chars().next());
    follow.is_some_and(|letter| letter.is_lowercase() || letter.is_ascii_digit())
        && !AFTER_NAMES.contains(&scan.slice(at + 1, end))
}

/// Only a space or a dot stands between the form of address, written as one, and the name.
fn addresses(scan: &Scanner<'_>, gap: usize, at: usize) -> bool {
    let close = matches!(scan.slice(gap, at), b" " | b"." | b". ");
    let word = scan.start_of(gap, 12, |byte| byte.is_ascii_alphabetic() || byte >= 0x80);
    close && scan.at(word).is_ascii_uppercase() | (gap - word > 3) && scan.byte_before(word) != b'_'
}

/// What follows makes an expression of it.
fn is_code(scan: &Scanner<'_>, end: usize) -> bool {
    match scan.at(end) {
        b'(' | b'[' | b'{' | b'_' | b'/' | b'$' | b'0'..=b'9' => true,
        b'<' => scan.at(end + 1) != b'/',

        b':' => scan.at(end + 1) == b':',
        b'.' => scan.at(end + 1).is_ascii_alphabetic(),
        _ => false,
    }
}

/// A space follows the word at `at`, as in all names that only a column announces.
fn may_have_two_words(scan: &Scanner<'_>, at: usize) -> bool {
    let end = scan.end_within(at, WORD_BYTES_MAX, is_of_name);
    scan.at(end) == b' ' || scan.at(end) == b'.' && scan.at(end + 1) == b' '
}

/// A cell of a table, or a quoted value, may begin at `at`.
fn begins_cell(scan: &Scanner<'_>, at: usize) -> bool {
    match scan.byte_before(at) {
        b'\'' | b'"' | b',' | b';' | b'\t' | b'\n' => true,
        b' ' => matches!(scan.byte_before(at - 1), b'|' | b' '),
        _ => false,
    }
}

/// What the column of the value at `at` holds.
fn column(scan: &mut Scanner<'_>, at: usize) -> Option<Cue> {
    match scan.byte_before(at) {
        b'\'' | b'"' => scan.inserted(at),
        _ if begins_cell(scan, at) => scan.heading(at),
        _ => None,
    }
}

fn is_letter(letter: char) -> bool {
    letter.is_alphabetic() && !is_ideograph(letter)
        || matches!(letter, '\'' | '-' | '\u{300}'..='\u{36f}')
}

const fn is_ideograph(letter: char) -> bool {
    matches!(letter, '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
}
