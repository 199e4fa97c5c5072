//! The columns of an SQL `INSERT`.

use super::super::cue::Cue;
use super::super::scanner::Scanner;
use super::Heading;

/// Bytes looked back for `VALUES`, and from there for its columns.
pub(in super::super) const INSERT_BYTES_MAX: usize = 1024;

/// Bytes after a value in which the next `VALUES` is looked for.
const AHEAD_BYTES: usize = 256;
/// `VALUES`.
const WORD_BYTES: usize = 6;

/// A place in the values of an SQL `INSERT`.
#[derive(Clone)]
pub(super) struct Insert {
    pub(super) columns: Heading,
    pub(super) cursor: usize,
    column: usize,
    depth: u32,
    quote: u8,
}

/// Where `VALUES` begins.
fn values(text: &[u8]) -> impl DoubleEndedIterator<Item = usize> {
    memchr::memchr2_iter(b'v', b'V', text).filter(|start| {
        let word = text.get(*start..*start + WORD_BYTES);
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"values"))
    })
}

impl Scanner<'_> {
    /// The values of an `INSERT` may hold `at`. Looks ahead, so that most values are spared a search
    /// of their own.
    #[inline]
    pub(super) fn may_be_inserted(&mut self, at: usize) -> bool {
        self.tables.insert.is_some() || at >= self.tables.values_end && self.seek_values(at)
    }

    /// The first `VALUES` that was not found yet may end before `at`.
    #[inline(never)]
    fn seek_values(&mut self, at: usize) -> bool {
        let tables = &mut self.tables;
        let before = tables.values_end.saturating_sub(WORD_BYTES);
        let from = tables.searched.max(before);
        let to = self.bytes.len().min(at + AHEAD_BYTES);
        let ahead = self.bytes.get(from..to).unwrap_or_default();
        let found = values(ahead).next();
        tables.values_end = found.map_or(to + 1, |found| from + found + WORD_BYTES);
        at >= tables.values_end
    }

    /// What the name of the SQL column `at` is a value of announces.
    pub(in super::super) fn inserted(&mut self, at: usize) -> Option<Cue> {
        if !self.may_be_inserted(at) {
            return None;
        }
        let from = self
            .tables
            .searched
            .max(at.saturating_sub(INSERT_BYTES_MAX));
        if at > from {
            let window = self.slice(from, at);
            if let Some(found) = values(window).next_back() {
                self.tables.insert = self.columns_before(from + found);
            }
            self.tables.searched = at.saturating_sub(5).max(self.tables.searched);
        }
        self.enter_values(at)?;
        let insert = self.tables.insert.as_ref()?;
        if insert.cursor != at || insert.depth != 1 {
            return None;
        }
        self.announced(&insert.columns, b',', insert.column)
    }

    /// Follows the values up to `at`.
    pub(super) fn enter_values(&mut self, at: usize) -> Option<()> {
        let mut insert = self.tables.insert.take()?;
        for byte in self.bytes.get(insert.cursor..at).unwrap_or_default() {
            match byte {
                b'\'' | b'"' if insert.quote == 0 => insert.quote = *byte,
                quote if *quote == insert.quote => insert.quote = 0,
                _ if insert.quote != 0 => {}
                b'(' => {
                    insert.depth += 1;
                    if insert.depth == 1 {
                        insert.column = 0;
                    }
                }
                b')' => insert.depth = insert.depth.saturating_sub(1),
                b',' if insert.depth == 1 => insert.column += 1,
                b';' => return None,
                _ => {}
            }
        }
        insert.cursor = insert.cursor.max(at);
        self.tables.insert = Some(insert);
        Some(())
    }

    /// The list of names before `VALUES` at `at`.
    fn columns_before(&self, at: usize) -> Option<Insert> {
        let low = at.saturating_sub(INSERT_BYTES_MAX);
        let head = self.slice(low, at).trim_ascii_end();
        let list = head.strip_suffix(b")")?;
        let open = list.iter().rposition(|byte| *byte == b'(')?;
        Some(Insert {
            columns: Heading::At(low + open + 1, low + list.len()),
            cursor: at + WORD_BYTES,
            column: 0,
            depth: 0,
            quote: 0,
        })
    }
}
