//! One word, read to the left: eight letters at a time where they are ASCII.

use super::fold::latin;
use super::mark::Mark;

/// The letters of a word in lower case, taken from its last to its first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letters {
    /// Hash of the whole groups of eight taken before.
    groups: u32,
    /// The letters of the group that is filled, the last of them in the highest byte.
    group: u64,
    count: u32,
}

impl Letters {
    pub(super) const NONE: Self = Self {
        groups: 0,
        group: 0,
        count: 0,
    };

    /// The same with one letter more on its left.
    pub(super) const fn and(mut self, letter: u8) -> Self {
        if self.count == 8 {
            self = Self {
                groups: self.hash(),
                ..Self::NONE
            };
        }
        self.count += 1;
        self.group |= (letter as u64) << (64 - 8 * self.count);
        self
    }

    pub(super) const fn is_none(self) -> bool {
        self.count == 0
    }

    pub(super) const fn hash(self) -> u32 {
        with_group(self.groups, self.group)
    }
}

/// Hash of a word with one group of up to eight letters more on its left.
const fn with_group(groups: u32, group: u64) -> u32 {
    let mixed = group ^ groups as u64;
    let product = (mixed ^ mixed >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (product >> 32) as u32
}

/// What ends at a place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A word of ASCII letters: its hash and where it begins.
    Word { hash: u32, start: usize },
    /// A word with digits in it.
    Value,
    /// What is read letter by letter.
    Other,
}

/// Reads the word that ends at `end`. A capital before a small letter begins one.
#[inline(always)]
fn ending(text: &[u8], end: usize) -> Ending {
    let group = group_before(text, end);
    let kinds = Kinds::of(group);
    let humps = kinds.capitals & kinds.small >> 8;
    // The highest byte that is no letter of the word.
    let border = !kinds.letters & HIGH | humps >> 8;
    let count = border.leading_zeros() / 8;
    if border == 0 {
        return if humps == 0 {
            long(text, end, group)
        } else {
            word_of(end, 0, group, 8, true)
        };
    }
    if count == 0 {
        let digit = (group >> 56) as u8;
        return if digit.is_ascii_digit() {
            Ending::Value
        } else {
            Ending::Other
        };
    }
    let taken = u64::MAX << (64 - 8 * count);
    let word = Ending::Word {
        hash: with_group(0, (group | SMALL) & taken),
        start: end - count as usize,
    };
    // What stands before the letters belongs to the word when it is a digit or an accented letter.
    match (group << (8 * count) >> 56) as u8 {
        _ if humps & taken & HIGH != 0 => word,
        b'0'..=b'9' => Ending::Value,
        0x80.. => Ending::Other,
        _ => word,
    }
}

/// Reads the word that ends at `end` with a letter, or with a character beyond ASCII.
#[inline(always)]
pub(super) fn any(text: &str, end: usize, last: Mark) -> Ending {
    if matches!(last, Mark::Letter) {
        match ending(text.as_bytes(), end) {
            Ending::Other => {}
            read => return read,
        }
    }
    wide(text, end)
}

/// The same for a word that has letters beyond ASCII.
#[inline(never)]
fn wide(text: &str, end: usize) -> Ending {
    match accented(text, end) {
        Ending::Other => match ideograph(text.as_bytes(), end) {
            Some(hash) => Ending::Word {
                hash,
                start: end - 3,
            },
            None => Ending::Other,
        },
        read => read,
    }
}

/// The eight bytes before `end`, the last highest; 0 before the text.
#[inline(always)]
fn group_before(text: &[u8], end: usize) -> u64 {
    match text.get(..end).and_then(<[u8]>::last_chunk) {
        Some(last) => u64::from_le_bytes(*last),
        None => first_group(text, end),
    }
}

/// The bytes before `end` where the text has no eight of them, the last highest.
#[cold]
fn first_group(text: &[u8], end: usize) -> u64 {
    let head = text.get(..end).unwrap_or_default();
    let bytes = head.iter().map(|byte| u64::from(*byte) << 56);
    bytes.fold(0, |group, byte| group >> 8 | byte)
}

/// A word that ends at `end` and of whose group on the left `count` letters belong to it; a capital
/// ends it when it is a `hump`.
#[inline]
fn word_of(end: usize, before: u32, group: u64, count: u32, hump: bool) -> Ending {
    let hash = if count > 0 {
        with_group(before, (group | SMALL) & u64::MAX << (64 - 8 * count))
    } else {
        before
    };
    let word = Ending::Word {
        hash,
        start: end - count as usize,
    };
    // What stands before the letters belongs to the word when it is a digit or an accented letter.
    match group.rotate_left(8 * count + 8) as u8 {
        _ if hump => word,
        b'0'..=b'9' => Ending::Value,
        0x80.. => Ending::Other,
        _ if hash == 0 => Ending::Other,
        _ => word,
    }
}

/// The same for a word of more than one group.
#[cold]
fn long(text: &[u8], mut end: usize, mut group: u64) -> Ending {
    let mut hash = 0;
    let low = end.saturating_sub(WORD_BYTES_MAX);
    loop {
        if end <= low {
            return Ending::Other;
        }
        let kinds = Kinds::of(group);
        hash = with_group(hash, group | SMALL);
        // The letter on the right is a small one.
        let small_after = (kinds.small & 0xff) << 56;
        end -= 8;
        group = group_before(text, end);
        let kinds = Kinds::of(group);
        let letters = (!kinds.letters & HIGH).leading_zeros() / 8;
        let hump = (kinds.capitals & (kinds.small >> 8 | small_after)).leading_zeros() / 8;
        let count = letters.min(hump + 1);
        if count < 8 || hump < 8 {
            return word_of(end, hash, group, count, hump < letters);
        }
    }
}

/// Start of the word of digits and ASCII letters that ends at `end`; nothing when it is more than one
/// word, or has other letters too.
pub(super) fn value(text: &[u8], end: usize) -> Option<usize> {
    let low = end.saturating_sub(WORD_BYTES_MAX);
    let mut small = false;
    for (at, byte) in text.get(low..end)?.iter().enumerate().rev() {
        match byte {
            b'0'..=b'9' => small = false,
            b'a'..=b'z' => small = true,
            b'A'..=b'Z' if small => return None,
            b'A'..=b'Z' => {}
            0x80.. => return None,
            _ => return Some(low + at + 1),
        }
    }
    (low == 0).then_some(0)
}

/// Hash of the ideograph or kana that ends at `end`, which is a word.
fn ideograph(text: &[u8], end: usize) -> Option<u32> {
    match text.get(..end)?.last_chunk()? {
        [0xe3, 0x80, _] => None,
        [first @ 0xe3..=0xed, second, third] => {
            let letters = Letters::NONE.and(*third).and(*second).and(*first);
            Some(letters.hash())
        }
        _ => None,
    }
}

/// Reads the word that ends at `end` when it has accented letters of Latin script.
fn accented(text: &str, end: usize) -> Ending {
    let bytes = text.as_bytes();
    let mut letters = Letters::NONE;
    let mut start = end;
    let mut right = ' ';
    while end - start < WORD_BYTES_MAX
        && let Some(byte) = start
            .checked_sub(1)
            .and_then(|last| bytes.get(last))
            .copied()
    {
        match byte {
            b'A'..=b'Z' if right.is_lowercase() => {
                let hash = letters.and(byte | 0x20).hash();
                let start = start - 1;
                return Ending::Word { hash, start };
            }
            b'a'..=b'z' | b'A'..=b'Z' => {
                letters = letters.and(byte | 0x20);
                right = char::from(byte);
                start -= 1;
            }
            b'0'..=b'9' => return Ending::Other,
            0x80.. => {
                let Some(letter) = text.get(..start).and_then(|head| head.chars().next_back())
                else {
                    return Ending::Other;
                };
                if !matches!(letter, '\u{300}'..='\u{36f}') {
                    let folded = latin(letter as u32);
                    if folded == 0 {
                        return Ending::Other;
                    }
                    letters = letters.and(folded);
                    right = letter;
                }
                start -= letter.len_utf8();
            }
            _ => break,
        }
    }
    if letters.is_none() || end - start >= WORD_BYTES_MAX {
        return Ending::Other;
    }
    let hash = letters.hash();
    Ending::Word { hash, start }
}

/// Longer words are left to who reads letter by letter, within its reach.
const WORD_BYTES_MAX: usize = 64;

const HIGH: u64 = 0x8080_8080_8080_8080;
const SMALL: u64 = 0x2020_2020_2020_2020;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each byte that is one.
struct Kinds {
    letters: u64,
    capitals: u64,
    small: u64,
}

impl Kinds {
    #[inline]
    const fn of(group: u64) -> Self {
        let folded = (group | SMALL) & !HIGH;
        // No byte carries into the next: they are below 0x80, and so is what is added.
        let from_a = folded + ONES * (0x80 - b'a' as u64);
        let beyond_z = folded + ONES * (0x80 - b'z' as u64 - 1);
        let letters = from_a & !beyond_z & !group & HIGH;
        let small = letters & group << 2;
        Self {
            letters,
            capitals: letters & !small,
            small,
        }
    }
}
