//! The phrases by hash, made by the compiler: a phrase is hashed from its last word to its first, as
//! a reader who goes to the left meets them.

use super::Cue;
use super::phrases::PHRASES;
use super::word::Letters;

pub(super) const PHRASE_SEED: u32 = 0x9e37_79b9;

pub(super) const fn join(phrase: u32, word: u32) -> u32 {
    (phrase ^ word).wrapping_mul(0x85eb_ca6b).rotate_left(13)
}

/// Slots of the index; a power of two with more than twice as many as phrases.
const SLOTS: usize = 8192;

/// Hash of a phrase and what it announces, open addressing.
static INDEX: [(u32, Option<Cue>); SLOTS] = index();

#[expect(
    clippy::indexing_slicing,
    reason = "a slot is a remainder of their number"
)]
pub(super) const fn look_up(hash: u32) -> Option<Cue> {
    let mut slot = hash as usize % SLOTS;
    loop {
        let (held, cue) = INDEX[slot];
        if held == hash || cue.is_none() {
            return cue;
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// Words of 64 bits in [`LAST_WORDS`].
const LAST_SLOTS: usize = 512;

/// A phrase may end in the word of this hash.
pub(super) fn may_end(word: u32) -> bool {
    let (slot, bit) = last_word(word);
    LAST_WORDS.get(slot).is_some_and(|bits| bits & bit != 0)
}

/// A set of the last words of all phrases, by their hashes; it may hold a word too many.
static LAST_WORDS: [u64; LAST_SLOTS] = last_words();

/// Where a word stands in [`LAST_WORDS`].
const fn last_word(hash: u32) -> (usize, u64) {
    let bit = hash ^ (hash >> 15);
    (bit as usize / 64 % LAST_SLOTS, 1 << (bit % 64))
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn last_words() -> [u64; LAST_SLOTS] {
    let mut words = [0; LAST_SLOTS];
    let mut entry = 0;
    while entry < PHRASES.len() {
        let phrase = PHRASES[entry].0.as_bytes();
        let (hash, _) = word_before(phrase, phrase.len());
        let (slot, bit) = last_word(hash);
        words[slot] |= bit;
        entry += 1;
    }
    words
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn index() -> [(u32, Option<Cue>); SLOTS] {
    let mut slots = [(0, None); SLOTS];
    let mut entry = 0;
    while entry < PHRASES.len() {
        let hash = phrase_hash(PHRASES[entry].0.as_bytes());
        let mut slot = hash as usize % SLOTS;
        while slots[slot].1.is_some() {
            assert!(
                slots[slot].0 != hash,
                "two phrases hash alike or one is there twice"
            );
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = (hash, Some(PHRASES[entry].1));
        entry += 1;
    }
    slots
}

/// Words of 64 bits in [`PARTIAL`].
const PARTIAL_SLOTS: usize = 1024;

/// A set of the hashes of phrases that lack their first words, and announce something else with them;
/// it may hold some too many.
static PARTIAL: [u64; PARTIAL_SLOTS] = partial();

const fn place(hash: u32) -> (usize, u64) {
    let bit = hash ^ (hash >> 16);
    (bit as usize / 64 % PARTIAL_SLOTS, 1 << (bit % 64))
}

/// A longer phrase may end in what this hash stands for, and announce something else.
pub(super) fn may_go_on(hash: u32) -> bool {
    let (slot, bit) = place(hash);
    PARTIAL.get(slot).is_some_and(|bits| bits & bit != 0)
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn partial() -> [u64; PARTIAL_SLOTS] {
    let mut set = [0; PARTIAL_SLOTS];
    let mut entry = 0;
    while entry < PHRASES.len() {
        let phrase = PHRASES[entry].0.as_bytes();
        let mut at = phrase.len();
        let mut hash = PHRASE_SEED;
        let mut found = None;
        while at > 0 {
            let word;
            (word, at) = word_before(phrase, at);
            hash = join(hash, word);
            if let Some(cue) = look_up(hash) {
                found = Some(cue);
            }
            let told = matches!(found, Some(cue) if cue.is_same(PHRASES[entry].1));
            if at > 0 && !told {
                let (slot, bit) = place(hash);
                set[slot] |= bit;
            }
        }
        entry += 1;
    }
    set
}

/// Hash of the word that ends at `at`, and where the word before it ends. An ideograph is a word.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn word_before(phrase: &[u8], mut at: usize) -> (u32, usize) {
    let mut word = Letters::NONE;
    let wide = phrase[at - 1] >= 0x80;
    while at > 0 {
        let byte = phrase[at - 1];
        if byte == b' ' {
            return (word.hash(), at - 1);
        }
        if !wide && byte >= 0x80 {
            break;
        }
        word = word.and(byte);
        at -= 1;
        if byte >= 0xe0 {
            break;
        }
    }
    (word.hash(), at)
}

/// Hash of a phrase as it is read: last word first.
const fn phrase_hash(phrase: &[u8]) -> u32 {
    let mut hash = PHRASE_SEED;
    let mut at = phrase.len();
    while at > 0 {
        let word;
        (word, at) = word_before(phrase, at);
        hash = join(hash, word);
    }
    hash
}
