//! The pass over the text: byte classes, dispatch, and the list of findings.
//!
//! A pass can stop where the text at hand ends: a recognizer that looked beyond it has decided
//! nothing, and is called again when there is more.

use std::cell::Cell;

pub(super) use super::bytes::is_word;
use super::bytes::{is_one_cell, turns};
use super::cue::{self, Context, Cue};
use super::number::Run;
use super::trigger::{Class, Triggers, class};
use super::{Finding, Kind, credential, date, mail, name, network, number, token};

/// Bytes a finding can begin before the byte that betrays it.
pub(super) const BACK_BYTES_MAX: usize = 64;
/// Longest word of letters and digits that is looked at.
const WORD_BYTES_MAX: usize = 120;

/// How far a text is read; offsets are the text's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Where the pass goes on.
    pub(super) at: usize,
    /// Everything before it was read by a recognizer; none goes back beyond it, except to look.
    pub(super) floor: usize,
    /// End of the run of token characters that was already offered as a whole.
    pub(super) token_end: usize,
    /// An address with four parts was taken for a version here: where it ends.
    pub(super) version_end: usize,
    /// The last context, and the range of its validity: no letter stands in it.
    context: Option<(usize, usize, Context)>,
    /// What the column announced, and the last place for which it did.
    column: Option<(usize, Option<Cue>)>,
}

impl Progress {
    /// The same after `count` bytes were cut off in front.
    pub(super) fn shifted(self, count: usize) -> Self {
        let shift = |at: usize| at.saturating_sub(count);
        Self {
            at: shift(self.at),
            floor: shift(self.floor),
            token_end: shift(self.token_end),
            version_end: shift(self.version_end),
            context: self
                .context
                .filter(|(from, ..)| *from >= count)
                .map(|(from, to, context)| (from - count, to - count, context)),
            column: self
                .column
                .filter(|(to, _)| *to >= count)
                .map(|(to, cue)| (to - count, cue)),
        }
    }
}

/// The text, how far it is read, and what was found.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    out: &'a mut Vec<Finding>,
    /// Length of `out` before this text.
    base: usize,
    also: &'a [Kind],
    pub(super) progress: Progress,
    triggers: Triggers,
    pub(super) tables: super::table::Tables,
    /// A recognizer asked for what stands after the end of the text.
    touched: Cell<bool>,
    /// Findings that stay when the recognizer at work has to be called again.
    mark: usize,
    /// Those it dropped.
    undo: Vec<Finding>,
}

impl<'a> Scanner<'a> {
    /// `also`: kinds to look for that are off by default.
    pub(super) fn new(text: &'a str, out: &'a mut Vec<Finding>, also: &'a [Kind]) -> Self {
        let base = out.len();
        Self {
            text,
            bytes: text.as_bytes(),
            out,
            base,
            also,
            progress: Progress::default(),
            triggers: Triggers::default(),
            tables: super::table::Tables::default(),
            touched: Cell::new(false),
            mark: 0,
            undo: Vec::new(),
        }
    }

    /// Goes on where another pass over the same text and more stopped.
    pub(super) fn resumed(
        text: &'a str,
        out: &'a mut Vec<Finding>,
        also: &'a [Kind],
        progress: Progress,
        tables: super::table::Tables,
    ) -> Self {
        Self {
            base: 0,
            progress,
            tables,
            ..Self::new(text, out, also)
        }
    }

    pub(super) fn run(mut self) {
        self.run_from();
    }

    /// Reads to the end from where another pass stopped.
    pub(super) fn run_from(&mut self) {
        let mut at = self.progress.at;
        let mut run = Run::new();
        while let Some(trigger) = self.trigger(at) {
            at = self.recognize(trigger, &mut run).max(trigger + 1);
        }
        self.progress.at = at;
    }

    pub(super) fn findings(&self) -> &[Finding] {
        self.out
    }

    /// What another pass needs to go on.
    pub(super) fn into_state(self) -> (Progress, super::table::Tables) {
        (self.progress, self.tables)
    }

    /// Reads on until only what follows the text can decide. Returns from where on a finding can
    /// still begin.
    pub(super) fn advance(&mut self) -> usize {
        let mut run = Run::new();
        while let Some(trigger) = self.trigger(self.progress.at) {
            let before = (self.progress, self.tables.clone());
            self.touched.set(false);
            self.mark = self.out.len();
            self.undo.clear();
            let next = self.recognize(trigger, &mut run).max(trigger + 1);
            if self.touched.get() {
                (self.progress, self.tables) = before;
                self.out.truncate(self.mark);
                self.out.extend(self.undo.drain(..).rev());
                self.progress.at = trigger;
                return self.earliest(trigger).min(self.earliest(self.bytes.len()));
            }
            self.progress.at = next;
        }
        self.progress.at = self.bytes.len().max(self.progress.at);
        self.earliest(self.bytes.len())
    }

    #[inline]
    fn trigger(&mut self, at: usize) -> Option<usize> {
        self.triggers.next(self.bytes, at)
    }

    /// Where a finding can begin whose first trigger stands at `at`: the start of the token there,
    /// a month's name before a day, a family name before a given one.
    fn earliest(&self, at: usize) -> usize {
        let gap = self.start_of(at, 3, |byte| matches!(byte, b' ' | b'.' | b'-'));
        let word = self.start_of(gap, 15, |byte| byte.is_ascii_alphabetic() || byte >= 0x80);
        let wide = self.slice(word, gap).iter().rposition(|byte| *byte >= 0xe3);
        let word = wide.map_or(word, |wide| word + wide + 3);
        let month = if date::is_month(self, word) { word } else { at };
        let token = self.start_of(at, BACK_BYTES_MAX, |byte| byte.is_ascii_graphic());
        let kanji = self.text.get(..at).map_or(at, name::family_start);
        let spaces = self.start_of(at, 3, |byte| byte == b' ');
        let opened = self.start_of(spaces, 2, |byte| matches!(byte, b'(' | b'+'));
        let opened = if opened < spaces { opened } else { at };
        // `AB 12 34 56 C`
        let capitals = self.start_of(spaces, 2, |byte| byte.is_ascii_uppercase());
        month.min(token).min(kanji).min(opened).min(capitals)
    }

    /// Reads what the byte at `at` betrays, and returns where to go on.
    fn recognize(&mut self, at: usize, run: &mut Run) -> usize {
        match class(self.at(at)) {
            Class::Skip => at + 1,
            Class::At => mail::at_sign(self, at),
            Class::Capital => credential::capital(self, at)
                .or_else(|| name::capital(self, at))
                .unwrap_or(at + 1),
            Class::Lead => name::lead(self, at),
            Class::Colon => credential::colon(self, at)
                .or_else(|| network::colon(self, at))
                .or_else(|| token::assigned(self, at, 1))
                .unwrap_or(at + 1),
            Class::Equals => credential::query(self, at)
                .or_else(|| token::assigned(self, at, 1))
                .unwrap_or(at + 1),
            Class::Dash | Class::Underscore => credential::joint(self, at),
            Class::Digit => self.digit(at, run),
            Class::Wide => {
                if number::wide_digit(self.bytes, at) {
                    self.digit(at, run)
                } else if self.slice(at, at + 3) == "：".as_bytes() {
                    token::assigned(self, at, 3).unwrap_or(at + 3)
                } else {
                    name::lead(self, at)
                }
            }
        }
    }

    /// Findings of this kind are reported.
    pub(super) fn wants(&self, kind: Kind) -> bool {
        kind.by_default() || self.also.contains(&kind)
    }

    /// What follows the text could change what was just decided.
    pub(super) fn touch(&self) {
        self.touched.set(true);
    }

    /// The same when fewer than `count` bytes follow `at`.
    pub(super) fn touch_within(&self, at: usize, count: usize) {
        if at.saturating_add(count) > self.bytes.len() {
            self.touch();
        }
    }

    fn digit(&mut self, at: usize, run: &mut Run) -> usize {
        let start = self.word_start(at);
        let end = self.digits_end(at);
        let next = if is_word(self.byte_before(start)) && start < at {
            // The rest of a word too long for anything.
            self.end_within(at, WORD_BYTES_MAX, is_word)
        } else if start < at || is_word(self.at(end)) && !self.is_ordinal(at, end) {
            let end = self.end_within(at, WORD_BYTES_MAX, is_word);
            token::word(self, start, at, end)
        } else {
            token::tail(self, at, end).unwrap_or_else(|| number::run(self, at, end, run))
        };
        self.progress.floor = self.progress.floor.max(next);
        next
    }

    /// `22nd`, as days are written.
    fn is_ordinal(&self, at: usize, end: usize) -> bool {
        end - at <= 2
            && matches!(
                self.slice(end, end + 2),
                b"st" | b"nd" | b"rd" | b"th" | b"er"
            )
            && !is_word(self.at(end + 2))
    }

    fn digits_end(&self, at: usize) -> usize {
        let mut end = at;
        while let Some(eight) = self.bytes.get(end..).and_then(<[u8]>::first_chunk)
            && end - at < WORD_BYTES_MAX
        {
            let (count, _) = number::digits(*eight);
            end += count;
            if count < eight.len() {
                return end;
            }
        }
        let most = WORD_BYTES_MAX.saturating_sub(end - at);
        self.end_within(end, most, |byte| byte.is_ascii_digit())
    }

    /// The byte at `at`; 0 outside of the text.
    pub(super) fn at(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_else(|| {
            self.touch();
            0
        })
    }

    /// The byte before `at`; 0 at the start.
    pub(super) fn byte_before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(0, |before| self.at(before))
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        if end > self.bytes.len() {
            self.touch();
        }
        self.bytes
            .get(start..end.min(self.bytes.len()))
            .unwrap_or_default()
    }

    /// First position from `at` whose byte does not satisfy `wanted`, looking at most `most` bytes
    /// on.
    pub(super) fn end_within(&self, at: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let limit = at.saturating_add(most).min(self.bytes.len());
        let head = self.bytes.get(..limit).unwrap_or_default();
        let mut end = at;
        while let Some(byte) = head.get(end) {
            if !wanted(*byte) {
                return end;
            }
            end += 1;
        }
        if end - at < most {
            self.touch();
        }
        end
    }

    /// Start of the run of bytes satisfying `wanted` that ends at `at`, at most `most` bytes back.
    pub(super) fn start_of(&self, at: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let low = at.saturating_sub(most);
        let mut start = at;
        while start > low
            && let Some(byte) = self.bytes.get(start - 1)
            && wanted(*byte)
        {
            start -= 1;
        }
        start
    }

    fn word_start(&self, at: usize) -> usize {
        if !is_word(self.byte_before(at)) {
            return at;
        }
        let most = at.saturating_sub(self.progress.floor).min(BACK_BYTES_MAX);
        self.start_of(at, most, is_word)
    }

    /// Records a finding; findings it overlaps are dropped, for a recognizer that comes later and
    /// reaches back has read the whole token.
    pub(super) fn found(&mut self, kind: Kind, start: usize, end: usize) {
        while self.out.len() > self.base
            && let Some(last) = self.out.last().copied()
            && last.end > start
        {
            if self.out.len() <= self.mark {
                self.mark = self.out.len() - 1;
                self.undo.push(last);
            }
            self.out.pop();
        }
        self.out.push(Finding { kind, start, end });
    }

    /// Something was found between `start` and `end`.
    pub(super) fn found_within(&self, start: usize, end: usize) -> bool {
        let found = self.out.get(self.base..).unwrap_or_default();
        let index = found.partition_point(|finding| finding.end <= start);
        found.get(index).is_some_and(|finding| finding.start < end)
    }

    /// What the words before `at` say: its column's heading, else the nearest phrase.
    pub(super) fn context(&mut self, at: usize) -> Context {
        if let Some(cue) = self.announced_above(at) {
            return Context {
                cue: Some(cue),
                distance: 0,
                clean: true,
            };
        }
        if let Some((from, to, known)) = self.progress.context
            && at - from.min(at) < 64
            && let Some(between) = self.bytes.get(to..at)
            && !between.iter().any(|byte| turns(*byte))
        {
            self.progress.context = Some((from, at, known));
            return Context {
                clean: known.clean && from == at,
                ..known
            };
        }
        let found = self.out.get(self.base..).unwrap_or_default();
        let context = cue::before(self.text, at, found);
        self.progress.context = Some((at, at, context));
        context
    }

    /// What the heading of the column of `at` announces, or the name of the SQL column.
    fn announced_above(&mut self, at: usize) -> Option<Cue> {
        if self.is_in_no_table(at) {
            return None;
        }
        if let Some((to, known)) = self.progress.column
            && let Some(between) = self.bytes.get(to..at)
            && is_one_cell(between)
        {
            self.progress.column = Some((at, known));
            return known;
        }
        let cue = self.heading_in_line(at).or_else(|| self.inserted(at));
        self.progress.column = Some((at, cue));
        cue
    }
}
