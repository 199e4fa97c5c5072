//! The phrase right before a place, read without a state where the words are ASCII, as most are.

use super::Cue;
use super::ends::Ends;
use super::index::{PHRASE_SEED, join, look_up, may_end, may_go_on};
use super::mark::Mark;
use super::word::{self, Ending};
use super::words::REACH_BYTES;

/// Signs between a phrase and what it announces.
const GAP_BYTES_MAX: usize = 8;

/// Those before a place.
struct Gap {
    /// Where the phrase ends.
    end: usize,
    /// `:` or `=` is among them.
    keyed: bool,
    /// One is among them that takes more to read.
    odd: bool,
}

impl Gap {
    /// The signs before `at`; nothing where there are too many, or a number stands before them.
    #[inline]
    fn before(text: &[u8], at: usize) -> Option<Self> {
        let mut end = at;
        let mut signs = 0;
        loop {
            let last = *text.get(end.checked_sub(1)?)?;
            let sign = SIGNS.get(usize::from(last)).copied().unwrap_or(NONE);
            if sign & (NONE | DIGIT) != 0 {
                return (sign & DIGIT == 0).then_some(Self {
                    end,
                    keyed: signs & KEY != 0,
                    odd: signs & ODD != 0,
                });
            }
            if at - end == GAP_BYTES_MAX {
                return None;
            }
            signs |= sign;
            end -= 1;
        }
    }
}

const KEY: u8 = 1;
const ODD: u8 = 2;
const DIGIT: u8 = 4;
/// It belongs to a word.
const NONE: u8 = 8;

/// What a byte is between a phrase and what it announces.
static SIGNS: [u8; 256] = signs();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn signs() -> [u8; 256] {
    let mut signs = [NONE; 256];
    let mut byte = 0;
    while byte < 0x80 {
        signs[byte] = match Mark::of_ascii(byte as u8) {
            Mark::Letter | Mark::Wide => NONE,
            Mark::Digit => DIGIT,
            Mark::Key => KEY,
            Mark::Line | Mark::Apostrophe | Mark::Other => ODD,
            Mark::Plain | Mark::Quote | Mark::Stop | Mark::Sentence => 0,
        };
        byte += 1;
    }
    signs
}

/// Why a phrase is not told here.
pub(super) struct Unread;

/// A phrase.
#[derive(Clone, Copy)]
pub(super) struct Phrase {
    pub(super) cue: Cue,
    /// Where the words begin that were read to tell it.
    pub(super) start: usize,
}

/// The phrase of at most `most` words that ends right before byte `at`.
pub(super) fn ending(
    text: &str,
    at: usize,
    most: usize,
    ends: Ends,
) -> Result<Option<Phrase>, Unread> {
    let bytes = text.as_bytes();
    let Some(Gap {
        mut end,
        keyed,
        odd,
    }) = Gap::before(bytes, at)
    else {
        return Ok(None);
    };
    let Some(last) = end.checked_sub(1).and_then(|last| bytes.get(last)) else {
        return Ok(None);
    };
    let letters = bytes.get(..end).and_then(<[u8]>::last_chunk);
    if letters.is_some_and(|letters| !ends.may_end(*letters)) {
        return Ok(None);
    }
    let (mut hash, low) = match word::any(text, end, Mark::of(*last)) {
        Ending::Word { hash, start } => {
            if !may_end(hash) {
                return Ok(None);
            }
            end = start;
            (join(PHRASE_SEED, hash), at.saturating_sub(REACH_BYTES))
        }
        Ending::Value => return Ok(None),
        Ending::Other => return Err(Unread),
    };
    if odd || end <= low && end > 0 {
        return Err(Unread);
    }
    let mut found = look_up(hash);
    let mut words = 1;
    while words < most && may_go_on(hash) {
        match before(text, end, low, keyed)? {
            Some((word, start)) => {
                hash = join(hash, word);
                end = start;
            }
            None => break,
        }
        found = look_up(hash).or(found);
        words += 1;
    }
    Ok(found.map(|cue| Phrase { cue, start: end }))
}

/// The word before the one that begins at `end`, and where it begins itself; nothing where reading
/// ends, or a value stands.
fn before(
    text: &str,
    mut end: usize,
    low: usize,
    keyed: bool,
) -> Result<Option<(u32, usize)>, Unread> {
    let mut after = b'a';
    while end > low
        && let Some(last) = text.as_bytes().get(end - 1).copied()
    {
        if last == b' ' {
            after = last;
            end -= 1;
            continue;
        }
        match Mark::of(last) {
            mark @ (Mark::Letter | Mark::Wide) => {
                return match word::any(text, end, mark) {
                    Ending::Word { hash, start } if start > low || start == 0 => {
                        Ok(Some((hash, start)))
                    }
                    Ending::Value => Ok(None),
                    _ => Err(Unread),
                };
            }
            Mark::Plain | Mark::Key => {}
            Mark::Quote if !keyed => {}
            Mark::Sentence if after != b' ' => {}
            Mark::Digit | Mark::Stop | Mark::Quote => return Ok(None),
            Mark::Line => return Ok(None),
            Mark::Sentence | Mark::Apostrophe | Mark::Other => return Err(Unread),
        }
        after = last;
        end -= 1;
    }
    Ok(None)
}
