//! What single bytes are to the detectors, by one table.

/// A byte that continues an ASCII word: what a match may not touch.
pub(super) const fn is_word(byte: u8) -> bool {
    is(byte, WORD)
}

/// A character of an unquoted value.
pub(super) fn is_value(byte: u8) -> bool {
    is(byte, VALUE)
}

/// A byte that can change what the words before say.
pub(super) fn turns(byte: u8) -> bool {
    is(byte, TURN)
}

/// A byte that may part a name from what announces it.
pub(super) fn is_gap(byte: u8) -> bool {
    is(byte, GAP)
}

/// A capital with which a vendor's key may begin, or that of `eyJ`.
pub(super) fn begins_key(byte: u8) -> bool {
    is(byte, KEY)
}

/// A byte of a word of a name.
pub(super) fn is_of_name(byte: u8) -> bool {
    is(byte, NAME)
}

/// A quote, a space or a backslash.
pub(super) fn is_quote(byte: u8) -> bool {
    is(byte, QUOTE)
}

/// No byte of it ends a cell or a value.
pub(super) fn is_one_cell(text: &[u8]) -> bool {
    let mut last = 0;
    text.iter().all(|byte| {
        let before = std::mem::replace(&mut last, *byte);
        is(*byte, CELL) || *byte == b' ' && before != b' '
    })
}

const WORD: u8 = 1;
const VALUE: u8 = 2;
const TURN: u8 = 4;
/// Inside of one cell, but for single spaces.
const CELL: u8 = 8;
const GAP: u8 = 16;
const KEY: u8 = 32;
const QUOTE: u8 = 64;
const NAME: u8 = 128;

#[expect(clippy::indexing_slicing, reason = "there is an entry for each byte")]
const fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

static CLASSES: [u8; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = classes_of(byte as u8);
        byte += 1;
    }
    classes
}

const fn classes_of(byte: u8) -> u8 {
    let word = byte.is_ascii_alphanumeric() || byte == b'_';
    let value = byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'"' | b'\''
                | b'`'
                | b','
                | b';'
                | b'<'
                | b'>'
                | b'('
                | b')'
                | b'='
                | b':'
                | b'|'
                | b'{'
                | b'}'
                | b'\\'
        );
    let turn = byte.is_ascii_alphabetic() || byte >= 0x80 || matches!(byte, b'\n' | b':' | b'=');
    let cell = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'/');
    let gap = matches!(
        byte,
        b' ' | b'"' | b'\'' | b':' | b'=' | b'|' | b'>' | b'*' | b'.' | b'\t' | b',' | b';'
    );
    let name = byte.is_ascii_alphabetic() || byte >= 0x80 || matches!(byte, b'\'' | b'-');
    let key = matches!(byte, b'A' | b'S' | b'E' | b'J');
    let quote = matches!(byte, b'"' | b'\'' | b' ' | b'\\');
    (word as u8 * WORD)
        | (value as u8 * VALUE)
        | (turn as u8 * TURN)
        | (cell as u8 * CELL)
        | (gap as u8 * GAP)
        | (key as u8 * KEY)
        | (quote as u8 * QUOTE)
        | (name as u8 * NAME)
}
