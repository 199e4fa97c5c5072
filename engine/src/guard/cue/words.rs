//! The words before a place in a text.

use super::super::{Finding, Kind};
use super::fold::{Folded, fold};
use super::index::{PHRASE_SEED, join, look_up, may_end, may_go_on};
use super::mark::Mark;
use super::reader::Reader;
use super::word::{self, Ending};
use super::{Context, Cue};

/// Bytes looked at before a candidate.
pub(super) const REACH_BYTES: usize = 96;
/// The same with the findings between, which do not count.
const REACH_BYTES_MAX: usize = 1536;
/// Words looked at before a candidate; an ideograph is a word.
pub(super) const REACH_WORDS: usize = 14;
/// Longest name of a kind in a token.
const TOKEN_BYTES_MAX: usize = 24;

/// The words before a place, nearest first, read as they are asked for. A value (a word with digits)
/// hashes to 0.
pub(super) struct Words<'a> {
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
    pub(super) fn before(text: &'a str, at: usize, most: usize, found: &'a [Finding]) -> Self {
        let after = found.iter().rev().take_while(|finding| finding.end > at);
        let found = found.get(..found.len() - after.count());
        Self {
            text,
            found: found.unwrap_or_default(),
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
    #[inline]
    fn word(&mut self, index: usize) -> Option<u32> {
        if index < self.len || self.read_to(index, false) {
            return self.hashes.get(index).copied();
        }
        None
    }

    /// Reads up to word `index`, and further, when it looks for the end of a phrase and that is none;
    /// `false` where there are not so many.
    fn read_to(&mut self, index: usize, seeking: bool) -> bool {
        while self.len <= index {
            if self.done {
                return false;
            }
            if self.reader.between() {
                self.plain(index, seeking);
            }
            if self.len <= index && !self.done {
                self.read();
            }
        }
        true
    }

    /// Reads words of letters and the marks between them, which is most of a text, up to the first
    /// character that takes more.
    fn plain(&mut self, index: usize, seeking: bool) {
        let text = self.text.as_bytes();
        let mut border = self.border();
        let mut end = self.end;
        let mut after = self.reader.after;
        while self.len < self.most {
            if end <= border {
                match self.found.last() {
                    Some(finding) if finding.end == end => {
                        self.end = end;
                        self.mask(finding.start, finding.kind == Kind::Name);
                        end = self.end;
                        border = self.border();
                    }
                    _ => {
                        self.done = end <= self.low;
                        break;
                    }
                }
                if self.len > index {
                    break;
                }
                continue;
            }
            let Some(last) = text.get(end - 1).copied() else {
                break;
            };
            if last == b' ' {
                after = ' ';
                end -= 1;
                continue;
            }
            let read = match Mark::of(last) {
                mark @ (Mark::Letter | Mark::Wide) => match word::any(self.text, end, mark) {
                    Ending::Word { hash, start } => Some((hash, start)),
                    Ending::Value => word::value(text, end).map(|start| (0, start)),
                    Ending::Other => None,
                },
                Mark::Digit => word::value(text, end).map(|start| (0, start)),
                mark => {
                    match self.sign(mark, after) {
                        Sign::Between => {}
                        Sign::Ends => {
                            self.done = true;
                            break;
                        }
                        Sign::Odd => break,
                    }
                    after = char::from(last);
                    end -= 1;
                    continue;
                }
            };
            let Some((hash, start)) = read else {
                break;
            };
            if start <= border && start > 0 {
                // It reaches out of what is read.
                self.done = self.found.last().is_none_or(|last| last.end < start);
                break;
            }
            self.add(hash);
            end = start;
            after = if hash == 0 { '0' } else { 'a' };
            if self.len > index && (!seeking || may_end(hash)) {
                break;
            }
        }
        self.end = end;
        self.reader.after = after;
    }

    /// What a sign does before the character `after`.
    #[inline]
    fn sign(&mut self, mark: Mark, after: char) -> Sign {
        let seen = self.len > 0;
        let keyed = self.reader.keyed;
        let ends = match mark {
            Mark::Stop => seen,
            Mark::Quote => seen && keyed,
            Mark::Line if seen || keyed => true,
            Mark::Key => {
                self.reader.keyed |= !seen;
                false
            }
            Mark::Apostrophe => seen && keyed && !after.is_alphabetic(),
            Mark::Sentence if seen && matches!(after, ' ' | '\n') => return Sign::Odd,
            Mark::Line | Mark::Other => return Sign::Odd,
            _ => false,
        };
        if ends { Sign::Ends } else { Sign::Between }
    }

    /// Where the finding ends that is next, or the reading.
    pub(super) fn border(&self) -> usize {
        self.found.last().map_or(0, |last| last.end).max(self.low)
    }

    /// Reads one character to the left. A finding, and the token that stands for one, is a word
    /// without letters, so that a text and its redacted form are read alike.
    fn read(&mut self) {
        let Some(letter) = char_before(self.text, self.end) else {
            self.push();
            self.done = true;
            return;
        };
        let masked = match self.found.last() {
            Some(finding) if finding.end == self.end => {
                Some((finding.start, finding.kind == Kind::Name))
            }
            _ if letter == ']' => token_before(self.text, self.end),
            _ => None,
        };
        if let Some((start, is_name)) = masked {
            return self.mask(start, is_name);
        }
        if self.end <= self.low || self.len >= self.most || !self.take(letter) {
            self.done = true;
            return;
        }
        self.end -= letter.len_utf8();
    }

    fn mask(&mut self, start: usize, is_name: bool) {
        self.push();
        self.add(if is_name { WORDLESS } else { 0 });
        self.low = self.low.saturating_sub(self.end - start).max(self.floor);
        self.end = start;
        while let Some((last, before)) = self.found.split_last()
            && last.end > start
        {
            self.found = before;
        }
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
                if self.reader.in_small() {
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
        if let Some(hash) = self.reader.next_word() {
            self.add(hash);
        }
    }

    fn add(&mut self, hash: u32) {
        if let Some(slot) = self.hashes.get_mut(self.len) {
            *slot = hash;
            self.len += 1;
        }
    }

    /// The longest phrase whose last word is word `first`.
    pub(super) fn phrase(&mut self, first: usize) -> Option<Cue> {
        let last = self.word(first)?;
        if !may_end(last) {
            return None;
        }
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

    pub(super) fn nearest(mut self, counts: impl Fn(Cue) -> bool) -> Context {
        let mut clean = true;
        let mut first = 0;
        while first < self.len || self.read_to(first, true) {
            let Some(word) = self.hashes.get(first).copied() else {
                break;
            };
            if may_end(word)
                && let Some(cue) = self.phrase(first).filter(|cue| counts(*cue))
            {
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

    /// Hash of the phrase that all of the words are.
    pub(super) fn whole(mut self) -> u32 {
        let mut hash = PHRASE_SEED;
        let mut index = 0;
        while let Some(word) = self.word(index) {
            hash = join(hash, word);
            index += 1;
        }
        hash
    }
}

/// What a sign between words does.
enum Sign {
    Between,
    /// Ends the reading.
    Ends,
    /// Takes more to read.
    Odd,
}

/// Hash of a word that is in no phrase and is no value.
const WORDLESS: u32 = 1;

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
