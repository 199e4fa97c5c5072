//! The words before a candidate that say what it is.
//!
//! Read backwards from the candidate, a bounded distance, and only when a candidate asks. Letters
//! are folded (case, accents, both normal forms), `phoneNumber`, `phone_number` and `PHONE NUMBER`
//! are the same two words, and each ideograph or kana is a word of its own, so that one table of
//! phrases serves every script. The nearest phrase wins; of those that end at the same word, the
//! longest.

mod ends;
mod fold;
mod index;
mod mark;
mod near;
mod phrases;
mod reader;
#[cfg(test)]
mod tests;
mod word;
mod words;

use super::{Finding, Kind};
use index::look_up;
use words::{REACH_WORDS, Words};

pub(super) use ends::Ends;
pub(super) use fold::{folded, folded_char};

/// What a phrase announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cue {
    Account,
    /// A number that an office gives.
    Id(Kind),
    /// A postal address.
    Address,
    ApiKey,
    Birth,
    Card,
    Crypto,
    Iban,
    Ip,
    /// A label such as `name:`, after which two words and more are a person.
    Label,
    NationalId,
    /// Either a national identity card or a passport.
    Papers,
    /// Something with digits that is nobody's: an order, a version, an amount.
    Other,
    Passport,
    Person,
    Phone,
    /// A job or a form of address: what follows is a name when it is at least two words.
    Role,
    Secret,
    /// Whoever speaks in a chat, or a job: as a role, but what follows a colon may be what is said.
    Speaker,
    Ssn,
    /// A form of address that only stands before a name: one word is enough.
    Title,
}

impl Cue {
    /// Surely the same.
    const fn is_same(self, other: Self) -> bool {
        self.rank() == other.rank() && !matches!(self, Self::Id(_))
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Account => 0,
            Self::Id(_) => 1,
            Self::Address => 2,
            Self::ApiKey => 3,
            Self::Birth => 4,
            Self::Card => 5,
            Self::Crypto => 6,
            Self::Iban => 7,
            Self::Ip => 8,
            Self::Label => 9,
            Self::NationalId => 10,
            Self::Papers => 11,
            Self::Other => 12,
            Self::Passport => 13,
            Self::Person => 14,
            Self::Phone => 15,
            Self::Role => 16,
            Self::Secret => 17,
            Self::Speaker => 18,
            Self::Ssn => 19,
            Self::Title => 20,
        }
    }

    pub(super) const fn is_of_person(self) -> bool {
        matches!(
            self,
            Self::Label | Self::Person | Self::Role | Self::Speaker | Self::Title
        )
    }
}

/// What the words before a candidate say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    pub(super) cue: Option<Cue>,
    /// Words between the phrase and the candidate.
    pub(super) distance: usize,
    /// No other value stands between the phrase and the candidate.
    pub(super) clean: bool,
}

impl Context {
    pub(super) fn is(&self, cues: &[Cue]) -> bool {
        self.cue.is_some_and(|cue| cues.contains(&cue))
    }

    /// The candidate is announced as something else that a number can be.
    pub(super) fn denies(&self, cues: &[Cue]) -> bool {
        self.clean
            && self.cue.is_some_and(|cue| {
                !cues.contains(&cue)
                    && matches!(
                        cue,
                        Cue::Account
                            | Cue::Card
                            | Cue::Iban
                            | Cue::Id(_)
                            | Cue::NationalId
                            | Cue::Other
                            | Cue::Papers
                            | Cue::Passport
                            | Cue::Phone
                            | Cue::Ssn
                    )
            })
    }
}

/// Words of the longest phrase that announces a name.
const NAME_PHRASE_WORDS: usize = 8;

/// The nearest phrase before byte `at` of `text` that says what a value is; whose it is says
/// nothing.
pub(super) fn before(text: &str, at: usize, found: &[Finding]) -> Context {
    let words = Words::before(text, at, REACH_WORDS, found);
    match near::ending(text, at, REACH_WORDS, Ends::Any) {
        Ok(Some(phrase)) if !phrase.cue.is_of_person() && words.border() <= phrase.start => {
            Context {
                cue: Some(phrase.cue),
                distance: 0,
                clean: true,
            }
        }
        _ => words.nearest(|cue| !cue.is_of_person()),
    }
}

/// The nearest phrase to the end of `cell`, a column's heading.
pub(super) fn heading(cell: &str) -> Option<Cue> {
    match near::ending(cell, cell.len(), REACH_WORDS, Ends::Any) {
        Ok(Some(phrase)) => Some(phrase.cue),
        _ => {
            let words = Words::before(cell, cell.len(), REACH_WORDS, &[]);
            words.nearest(|_| true).cue
        }
    }
}

/// What `cell` announces when it is a phrase and nothing else.
pub(super) fn whole(cell: &str) -> Option<Cue> {
    look_up(Words::before(cell, cell.len(), NAME_PHRASE_WORDS, &[]).whole())
}

/// A phrase may end with the word right before `at`, or with what is no word of ASCII letters.
#[inline]
pub(super) fn may_end(text: &[u8], at: usize, ends: Ends) -> bool {
    match text.get(..at) {
        Some([.., first, second, third]) => {
            !third.is_ascii_digit() && ends.may_end([*first, *second, *third])
        }
        _ => true,
    }
}

/// The phrase that ends right before byte `at` of `text`; of others than `ends` it may be missed.
pub(super) fn ending(text: &str, at: usize, ends: Ends) -> Option<Cue> {
    match near::ending(text, at, NAME_PHRASE_WORDS, ends) {
        Ok(phrase) => phrase.map(|phrase| phrase.cue),
        Err(near::Unread) => Words::before(text, at, NAME_PHRASE_WORDS, &[]).phrase(0),
    }
}
