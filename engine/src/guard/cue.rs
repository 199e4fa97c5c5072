//! The words before a candidate that say what it is.
//!
//! Read backwards from the candidate, a bounded distance, and only when a candidate asks. Letters
//! are folded (case, accents, both normal forms), `phoneNumber`, `phone_number` and `PHONE NUMBER`
//! are the same two words, and each ideograph or kana is a word of its own, so that one table of
//! phrases serves every script. The nearest phrase wins; of those that end at the same word, the
//! longest.

mod fold;
mod index;
mod phrases;

use super::{Finding, Kind};
use fold::{Folded, fold};
use index::{
    LAST_WORD_BYTES_MAX, LAST_WORDS, PHRASE_SEED, WORD_SEED, join, last_word, letter, look_up,
    may_go_on,
};

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

/// Longest name of a kind in a token.
const TOKEN_BYTES_MAX: usize = 24;
/// Bytes looked at before a candidate.
const REACH_BYTES: usize = 96;
/// The same with the findings between, which do not count.
const REACH_BYTES_MAX: usize = 1536;
/// Words looked at before a candidate; an ideograph is a word.
const REACH_WORDS: usize = 14;
/// Words of the longest phrase that announces a name.
const NAME_PHRASE_WORDS: usize = 8;

/// The nearest phrase before byte `at` of `text` that says what a value is; whose it is says
/// nothing.
pub(super) fn before(text: &str, at: usize, found: &[Finding]) -> Context {
    Words::before(text, at, REACH_WORDS, found).nearest(|cue| !cue.is_of_person())
}

/// The nearest phrase to the end of `cell`, a column's heading.
pub(super) fn heading(cell: &str) -> Option<Cue> {
    Words::before(cell, cell.len(), REACH_WORDS, &[])
        .nearest(|_| true)
        .cue
}

/// What `cell` announces when it is a phrase and nothing else.
pub(super) fn whole(cell: &str) -> Option<Cue> {
    let mut words = Words::before(cell, cell.len(), NAME_PHRASE_WORDS, &[]);
    let mut hash = PHRASE_SEED;
    let mut index = 0;
    while let Some(word) = words.word(index) {
        hash = join(hash, word);
        index += 1;
    }
    look_up(hash)
}

/// The phrase that ends right before byte `at` of `text`.
pub(super) fn ending(text: &str, at: usize) -> Option<Cue> {
    if !may_end(text.as_bytes().get(..at)?) {
        return None;
    }
    Words::before(text, at, NAME_PHRASE_WORDS, &[]).phrase(0)
}

/// Whether the last word of `head` is the last word of any phrase. Most words are not, and most are
/// ASCII, which is all this looks at: other words are left to the full reading.
fn may_end(head: &[u8]) -> bool {
    let is_gap = |byte: u8| byte.is_ascii() && !byte.is_ascii_alphanumeric();
    let gap = head
        .iter()
        .rev()
        .take(8)
        .take_while(|byte| is_gap(**byte))
        .count();
    let mut hash = WORD_SEED;
    let mut lower = false;
    for (index, byte) in head.iter().rev().skip(gap).enumerate() {
        match byte {
            b'a'..=b'z' => lower = true,
            b'A'..=b'Z' if lower => {
                hash = letter(hash, byte | 0x20);
                break;
            }
            b'A'..=b'Z' => {}
            _ if !byte.is_ascii() => return true,
            _ if index == 0 || byte.is_ascii_digit() => return false,
            _ => break,
        }
        hash = letter(hash, byte | 0x20);
        if index > LAST_WORD_BYTES_MAX {
            return false;
        }
    }
    let (slot, bit) = last_word(hash);
    LAST_WORDS.get(slot).is_some_and(|bits| bits & bit != 0)
}

/// The words before a place, nearest first, read as they are asked for. A value (a word with digits)
/// hashes to 0.
struct Words<'a> {
    text: &'a str,
    /// Findings that end at `end` or before.
    found: &'a [Finding],
    end: usize,
    low: usize,
    floor: usize,
    most: usize,
    reader: Reader,
    hashes: [u32; REACH_WORDS],
    len: usize,
    done: bool,
}

impl<'a> Words<'a> {
    fn before(text: &'a str, at: usize, most: usize, found: &'a [Finding]) -> Self {
        Self {
            text,
            found,
            end: at,
            low: at.saturating_sub(REACH_BYTES),
            floor: at.saturating_sub(REACH_BYTES_MAX),
            most,
            reader: Reader::default(),
            hashes: [0; REACH_WORDS],
            len: 0,
            done: false,
        }
    }

    /// The word number `index`, read when it was not.
    fn word(&mut self, index: usize) -> Option<u32> {
        while self.len <= index && !self.done {
            self.letters();
            self.done = !self.step();
        }
        self.hashes.get(..self.len)?.get(index).copied()
    }

    /// Reads small letters to the left: most of a text, and they change nothing but their word.
    fn letters(&mut self) {
        if self.reader.broken || self.reader.sentence || self.len >= self.most {
            return;
        }
        let findings = self.found.iter().rev().map(|finding| finding.end);
        let last = findings.into_iter().find(|end| *end <= self.end);
        let low = self.low.max(last.unwrap_or(0));
        let bytes = self.text.as_bytes().get(low..self.end).unwrap_or_default();
        let mut hash = self.reader.hash;
        let mut count = 0;
        for byte in bytes.iter().rev() {
            if !byte.is_ascii_lowercase() {
                break;
            }
            hash = letter(hash, *byte);
            count += 1;
        }
        if let Some(first) = bytes.get(bytes.len() - count).filter(|_| count > 0) {
            self.reader.hash = hash;
            self.reader.letters += u32::try_from(count).unwrap_or(u32::MAX);
            self.reader.lower_first = true;
            self.reader.after = char::from(*first);
            self.end -= count;
        }
    }

    /// Reads one character to the left. A finding, and the token that stands for one, is a word
    /// without letters, so that a text and its redacted form are read alike.
    fn step(&mut self) -> bool {
        let Some(letter) = char_before(self.text, self.end) else {
            self.push();
            return false;
        };
        while let Some((last, before)) = self.found.split_last()
            && last.end > self.end
        {
            self.found = before;
        }
        let masked = match self.found.last() {
            Some(last) if last.end == self.end => Some((last.start, last.kind == Kind::Name)),
            _ if letter == ']' => token_before(self.text, self.end),
            _ => None,
        };
        if let Some((start, is_name)) = masked {
            self.push();
            self.reader.letters = 1;
            self.reader.value = !is_name;
            self.push();
            self.low = self.low.saturating_sub(self.end - start).max(self.floor);
            self.end = start;
            return true;
        }
        if self.end <= self.low || self.len >= self.most || !self.take(letter) {
            return false;
        }
        self.end -= letter.len_utf8();
        true
    }

    /// Takes one more character to the left; `false` where reading stops.
    fn take(&mut self, letter: char) -> bool {
        // After a line break only a colon lets reading go on: the heading of what follows.
        if self.reader.broken && !letter.is_ascii_whitespace() {
            if !matches!(letter, ':' | '：') {
                return false;
            }
            self.reader.broken = false;
        }
        let folded = match letter {
            'a'..='z' => letter as u32 as u8,
            'A'..='Z' => {
                // The capital that starts a word of camelCase belongs to the word on its right.
                if self.reader.lower_first {
                    self.reader.feed(letter.to_ascii_lowercase() as u32 as u8);
                    self.push();
                    return true;
                }
                letter.to_ascii_lowercase() as u32 as u8
            }
            '0'..='9' => {
                self.reader.value = true;
                b'0'
            }
            '\u{300}'..='\u{36f}' => return true,
            _ if letter >= '\u{80}' => match fold(letter) {
                Folded::Letter(folded) => folded,
                Folded::Word => {
                    self.push();
                    let mut buffer = [0; 4];
                    for byte in letter.encode_utf8(&mut buffer).bytes().rev() {
                        self.reader.feed(byte);
                    }
                    self.push();
                    self.reader.after = letter;
                    return true;
                }
                Folded::Mark(mark) => return self.mark(mark),
            },
            _ => return self.mark(letter),
        };
        if self.reader.sentence {
            self.reader.abbreviation += 1;
            if self.reader.abbreviation > 3 {
                return false;
            }
        }
        self.reader.lower_first = letter.is_lowercase();
        self.reader.feed(folded);
        self.reader.after = letter;
        true
    }

    /// A character between words: may end the reading.
    fn mark(&mut self, mark: char) -> bool {
        self.push();
        if self.reader.sentence && self.reader.abbreviation > 0 {
            self.reader.sentence = false;
        }
        let seen = self.len > 0;
        let stop = match mark {
            '\n' => {
                self.reader.broken = true;
                seen || self.reader.keyed
            }
            ':' | '=' => {
                self.reader.keyed |= !seen;
                false
            }
            '|' | '\t' | ';' | '<' | '{' | '[' => seen,
            // `jeton d'accès`
            '\'' => seen && self.reader.keyed && !self.reader.after.is_alphabetic(),
            '"' | ',' | '&' | '`' => seen && self.reader.keyed,
            '.' | '!' | '?' => {
                if seen && matches!(self.reader.after, ' ' | '\n') {
                    self.reader.sentence = true;
                    self.reader.abbreviation = 0;
                }
                false
            }
            _ => false,
        };
        self.reader.after = mark;
        !stop
    }

    fn push(&mut self) {
        if self.reader.letters > 0
            && let Some(slot) = self.hashes.get_mut(self.len)
        {
            *slot = if self.reader.value {
                0
            } else {
                self.reader.hash
            };
            self.len += 1;
        }
        self.reader.next_word();
    }

    /// The longest phrase whose last word is word `first`.
    fn phrase(&mut self, first: usize) -> Option<Cue> {
        let last = self.word(first)?;
        let (slot, bit) = last_word(last);
        LAST_WORDS.get(slot).filter(|bits| *bits & bit != 0)?;
        let mut hash = join(PHRASE_SEED, last);
        let mut found = look_up(hash);
        let mut next = first + 1;
        while may_go_on(hash)
            && let Some(word) = self.word(next).filter(|word| *word != 0)
        {
            hash = join(hash, word);
            found = look_up(hash).or(found);
            next += 1;
        }
        found
    }

    fn nearest(mut self, counts: impl Fn(Cue) -> bool) -> Context {
        let mut clean = true;
        let mut first = 0;
        while let Some(word) = self.word(first) {
            if let Some(cue) = self.phrase(first).filter(|cue| counts(*cue)) {
                return Context {
                    cue: Some(cue),
                    distance: first,
                    clean,
                };
            }
            clean &= word != 0;
            first += 1;
        }
        Context::default()
    }
}

/// State of the walk to the left.
struct Reader {
    hash: u32,
    letters: u32,
    value: bool,
    /// The character last taken is a lower-case letter.
    lower_first: bool,
    /// The candidate stands right of `:` or `=`: only the key counts.
    keyed: bool,
    /// A line break was crossed and nothing seen since.
    broken: bool,
    /// A sentence may have ended: only a short word, an abbreviation, continues it.
    sentence: bool,
    abbreviation: u32,
    /// The character taken before, that is to the right.
    after: char,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            hash: WORD_SEED,
            letters: 0,
            value: false,
            lower_first: false,
            keyed: false,
            broken: false,
            sentence: false,
            abbreviation: 0,
            after: ' ',
        }
    }
}

impl Reader {
    fn feed(&mut self, byte: u8) {
        self.hash = letter(self.hash, byte);
        self.letters += 1;
    }

    fn next_word(&mut self) {
        self.hash = WORD_SEED;
        self.letters = 0;
        self.value = false;
        self.lower_first = false;
    }
}

fn char_before(text: &str, end: usize) -> Option<char> {
    let last = *text.as_bytes().get(end.checked_sub(1)?)?;
    if last.is_ascii() {
        return Some(char::from(last));
    }
    text.get(..end)?.chars().next_back()
}

/// Start of the token of a redacted text that ends at `end`, and whether it stands for a name.
fn token_before(text: &str, end: usize) -> Option<(usize, bool)> {
    let head = text.get(..end)?.strip_suffix("_REDACTED]")?;
    let low = head.len().saturating_sub(TOKEN_BYTES_MAX);
    let start = low
        + head
            .as_bytes()
            .get(low..)?
            .iter()
            .rposition(|byte| *byte == b'[')?;
    Some((start, head.get(start..)? == "[NAME"))
}
