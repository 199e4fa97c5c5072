//! The phrase right before a place, read without a state where the words are ASCII, as most are.

use super::Cue;
use super::ends::Ends;
use super::index::{PHRASE_SEED, join, look_up, may_end, may_go_on};
use super::mark::Mark;
use super::word::{self, Ending};
use super::words::REACH_BYTES;

/// Signs between a phrase and what it announces.
const GAP_BYTES_MAX: usize = 8;

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
    let mut end = at;
    let (mut keyed, mut odd) = (false, false);
    let first = loop {
        let Some(last) = end.checked_sub(1).and_then(|last| bytes.get(last)) else {
            return Ok(None);
        };
        match Mark::of(*last) {
            mark @ (Mark::Letter | Mark::Wide) => {
                let last = bytes.get(..end).and_then(<[u8]>::last_chunk);
                if last.is_some_and(|last| !ends.may_end(*last)) {
                    return Ok(None);
                }
                break word::any(text, end, mark);
            }
            Mark::Digit => return Ok(None),
            _ if at - end == GAP_BYTES_MAX => return Ok(None),
            Mark::Key => keyed = true,
            Mark::Line | Mark::Apostrophe | Mark::Other => odd = true,
            _ => {}
        }
        end -= 1;
    };
    let (mut hash, low) = match first {
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
