//! The columns of an SQL `INSERT`.

use super::super::cue::Cue;
use super::super::scanner::Scanner;
use super::Heading;

/// Bytes looked back for `VALUES`, and from there for its columns.
pub(in super::super) const INSERT_BYTES_MAX: usize = 1024;

/// A place in the values of an SQL `INSERT`.
#[derive(Clone)]
pub(super) struct Insert {
    pub(super) columns: Heading,
    pub(super) cursor: usize,
    column: usize,
    depth: u32,
    quote: u8,
}

impl Scanner<'_> {
    /// What the name of the SQL column `at` is a value of announces.
    pub(in super::super) fn inserted(&mut self, at: usize) -> Option<Cue> {
        let from = self
            .tables
            .searched
            .max(at.saturating_sub(INSERT_BYTES_MAX));
        if at > from {
            let window = self.slice(from, at);
            let found = memchr::memchr2_iter(b'v', b'V', window)
                .rev()
                .find(|start| {
                    window
                        .get(*start..start + 6)
                        .is_some_and(|word| word.eq_ignore_ascii_case(b"values"))
                });
            if let Some(found) = found {
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
            cursor: at + 6,
            column: 0,
            depth: 0,
            quote: 0,
        })
    }
}
