//! The last three letters of all words that end a phrase: most words are told from these by them,
//! before they are read.

use super::Cue;
use super::phrases::PHRASES;

/// Phrases of which one may end before a place.
#[derive(Clone, Copy)]
pub(in super::super) enum Ends {
    Any,
    /// Those that announce a person.
    Person,
    /// Those that announce a secret or a postal address.
    Value,
}

impl Ends {
    /// A word that ends with these bytes may be the last of such a phrase. Only words of letters of
    /// one case are told.
    #[inline]
    pub(super) fn may_end(self, last: [u8; 3]) -> bool {
        let [first, second, third] = last;
        let letters = last.iter().all(u8::is_ascii_alphabetic);
        let [second_case, third_case] = [second & CASE, third & CASE];
        // A word begins at a capital before a small letter.
        let whole = second_case == third_case && (second_case != 0 || first & CASE == 0);
        if !letters || !whole {
            return true;
        }
        let (slot, bit) = place(last);
        let set = match self {
            Self::Any => &ANY,
            Self::Person => &PERSON,
            Self::Value => &VALUE,
        };
        set.get(slot).is_some_and(|bits| bits & bit != 0)
    }

    const fn holds(self, cue: Cue) -> bool {
        match self {
            Self::Any => true,
            Self::Person => cue.is_of_person(),
            Self::Value => matches!(cue, Cue::Secret | Cue::Address),
        }
    }
}

const CASE: u8 = 0x20;

/// A bit for each three letters.
type Set = [u64; 512];

static ANY: Set = set(Ends::Any);
static PERSON: Set = set(Ends::Person);
static VALUE: Set = set(Ends::Value);

/// Where three letters stand in a set, whatever their case.
const fn place([first, second, third]: [u8; 3]) -> (usize, u64) {
    const LETTER: usize = 0x1f;
    let (first, second, third) = (first as usize, second as usize, third as usize);
    let bit = (first & LETTER) << 10 | (second & LETTER) << 5 | third & LETTER;
    (bit / 64, 1 << (bit % 64))
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn set(ends: Ends) -> Set {
    let mut set = [0; 512];
    let mut entry = 0;
    while entry < PHRASES.len() {
        let (phrase, cue) = PHRASES[entry];
        if ends.holds(cue)
            && let Some(last) = phrase.as_bytes().last_chunk()
        {
            let (slot, bit) = place(*last);
            set[slot] |= bit;
        }
        entry += 1;
    }
    set
}
