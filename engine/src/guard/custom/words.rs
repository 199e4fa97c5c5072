//! Lists of words.

use hashbrown::HashMap;

use super::super::cue::folded_char;
use super::super::detectors::CustomDetector;
use super::Verdict;

/// Words of one detector.
const WORDS_MAX: usize = 10_000;
/// Longest word or phrase of a list.
const WORD_BYTES_MAX: usize = 128;

/// Words and phrases, found by their first word.
#[derive(Clone, Default)]
pub(in super::super) struct Words {
    by_first: HashMap<u64, Vec<Vec<char>>>,
    /// The ASCII characters that any of them begins with, as they are compared.
    first: u128,
    ignore_case: bool,
    ignore_accents: bool,
}

impl Words {
    pub(in super::super) fn compile(custom: &CustomDetector) -> Result<Self, (usize, String)> {
        let mut words = Self {
            by_first: HashMap::new(),
            first: 0,
            ignore_case: custom.ignore_case,
            ignore_accents: custom.ignore_accents,
        };
        for (index, word) in custom.words.iter().enumerate() {
            if index >= WORDS_MAX {
                return Err((index, format!("more than {WORDS_MAX} words")));
            }
            if word.len() > WORD_BYTES_MAX {
                return Err((index, format!("longer than {WORD_BYTES_MAX} bytes")));
            }
            let folded: Vec<char> = words
                .folded(word.trim())
                .map(|(_, letter)| letter)
                .collect();
            if folded.is_empty() {
                return Err((index, "empty".to_owned()));
            }
            if let Some(letter) = folded.first().filter(|letter| letter.is_ascii()) {
                words.first |= 1 << (*letter as u32);
            }
            let first = first_word(&folded);
            words.by_first.entry(first).or_default().push(folded);
        }
        for list in words.by_first.values_mut() {
            list.sort_by_key(|word| std::cmp::Reverse(word.len()));
        }
        Ok(words)
    }

    /// Letters as they are compared, each with the offset after it; white space is one space.
    fn folded<'t>(&self, text: &'t str) -> impl Iterator<Item = (usize, char)> + use<'t> {
        let (case, accents) = (self.ignore_case, self.ignore_accents);
        let mut space = false;
        text.char_indices().filter_map(move |(at, letter)| {
            let end = at + letter.len_utf8();
            if letter.is_whitespace() {
                let first = !space;
                space = true;
                return first.then_some((end, ' '));
            }
            space = false;
            let letter = if accents {
                folded_char(letter)?
            } else {
                letter
            };
            let lower = letter.to_lowercase().next().unwrap_or(letter);
            Some((end, if case { lower } else { letter }))
        })
    }

    /// A phrase may begin with the character that begins with this byte.
    fn may_begin(&self, byte: u8) -> bool {
        let letter = if self.ignore_case {
            byte.to_ascii_lowercase()
        } else {
            byte
        };
        // Of others the first byte says too little; those in between begin nothing.
        byte >= 0xc0 || byte.is_ascii() && self.first >> letter & 1 == 1
    }

    /// The longest phrase that begins at `from`, the start of a word.
    pub(super) fn at(&self, text: &str, from: usize, end: bool) -> Verdict {
        let Some(rest) = text.get(from..) else {
            return Verdict::No;
        };
        let mut first = WORD_SEED;
        let mut closed = end;
        for (index, (after, letter)) in self.folded(rest).enumerate() {
            if index > 0 && (!letter.is_alphanumeric() || is_ideograph(letter)) {
                closed = true;
                break;
            }
            first = joined(first, letter);
            if is_ideograph(letter) || !letter.is_alphanumeric() {
                closed = true;
                break;
            }
            if after > WORD_BYTES_MAX {
                return Verdict::No;
            }
        }
        if !closed {
            return Verdict::Open;
        }
        for word in self.by_first.get(&first).into_iter().flatten() {
            match self.phrase(rest, word, end) {
                Verdict::Until(until) => return Verdict::Until(from + until),
                Verdict::Open => return Verdict::Open,
                Verdict::No => {}
            }
        }
        Verdict::No
    }

    /// Where the next word begins that a phrase may begin with, from `at` on.
    pub(super) fn next_word(&self, text: &str, at: usize) -> Option<usize> {
        let rest = text.as_bytes().get(at..)?;
        for (index, byte) in rest.iter().enumerate() {
            if !self.may_begin(*byte) {
                continue;
            }
            let (head, tail) = text.split_at_checked(at + index)?;
            if begins(head.chars().next_back(), tail.chars().next()?) {
                return Some(at + index);
            }
        }
        None
    }

    fn phrase(&self, rest: &str, word: &[char], end: bool) -> Verdict {
        let mut letters = self.folded(rest);
        let mut until = 0;
        for wanted in word {
            match letters.next() {
                None if end => return Verdict::No,
                None => return Verdict::Open,
                Some((_, letter)) if letter != *wanted => return Verdict::No,
                Some((after, _)) => until = after,
            }
        }
        let last = word.last().copied().unwrap_or(' ');
        // Combining marks belong to the letter before them.
        let tail = rest.get(until..).unwrap_or_default();
        until += tail
            .chars()
            .take_while(|mark| matches!(mark, '\u{300}'..='\u{36f}'))
            .map(char::len_utf8)
            .sum::<usize>();
        match rest.get(until..).and_then(|tail| tail.chars().next()) {
            None if end => Verdict::Until(until),
            None => Verdict::Open,
            Some(next)
                if next.is_alphanumeric()
                    && last.is_alphanumeric()
                    && !is_ideograph(last)
                    && !is_ideograph(next) =>
            {
                Verdict::No
            }
            Some(_) => Verdict::Until(until),
        }
    }
}

const WORD_SEED: u64 = 0xcbf2_9ce4_8422_2325;

const fn joined(hash: u64, letter: char) -> u64 {
    (hash ^ letter as u64).wrapping_mul(0x0100_0000_01b3)
}

/// Hash of a phrase's first word; an ideograph is a word.
fn first_word(folded: &[char]) -> u64 {
    let first = folded.first().copied().unwrap_or(' ');
    let more = folded.iter().skip(1).take_while(|letter| {
        letter.is_alphanumeric()
            && !is_ideograph(**letter)
            && first.is_alphanumeric()
            && !is_ideograph(first)
    });
    more.fold(joined(WORD_SEED, first), |hash, letter| {
        joined(hash, *letter)
    })
}

const fn is_ideograph(letter: char) -> bool {
    matches!(letter, '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
}

/// `letter` begins a word after `before`; an ideograph is a word.
fn begins(before: Option<char>, letter: char) -> bool {
    if is_ideograph(letter) {
        return true;
    }
    let goes_on = |before: char| {
        letter.is_alphanumeric()
            && (before.is_alphanumeric() && !is_ideograph(before)
                || matches!(before, '\u{300}'..='\u{36f}'))
    };
    let mark = matches!(letter, '\u{300}'..='\u{36f}');
    !letter.is_whitespace() && !mark && !before.is_some_and(goes_on)
}
