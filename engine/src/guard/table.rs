//! Columns: the heading a value stands under, in CSV, TSV and Markdown tables.
//!
//! Found lazily, when a candidate asks: lines with the same number of the same delimiter form a
//! table, and its first line is the heading when its cells are words. Lines are visited once each,
//! so tables cost linear time too.

use super::cue::{self, Cue};
use super::scanner::Scanner;

/// A longer line is no row of a table.
const LINE_BYTES_MAX: usize = 4096;
/// Bytes looked back for `VALUES`, and from there for its columns.
const INSERT_BYTES_MAX: usize = 1024;
/// Rows gone up in search of a heading.
const ROWS_MAX: usize = 500;

/// What is known of the lines read so far.
#[derive(Default)]
pub(super) struct Tables {
    line: Line,
    /// Start of the last row that was found to belong to `table`.
    last_row: usize,
    table: Option<Table>,
    insert: Option<Insert>,
    /// `VALUES` was looked for up to here.
    searched: usize,
}

/// A place in the values of an SQL `INSERT`.
#[derive(Clone, Copy)]
struct Insert {
    columns: (usize, usize),
    cursor: usize,
    column: usize,
    depth: u32,
    quote: u8,
}

#[derive(Default)]
struct Line {
    start: usize,
    /// No line break stands between `start` and here.
    seen: usize,
    known: bool,
    table: Option<Table>,
    /// Delimiters counted up to `counted`.
    column: usize,
    counted: usize,
}

#[derive(Clone, Copy)]
struct Table {
    heading: (usize, usize),
    delimiter: u8,
    count: usize,
    /// The first line is a heading.
    valid: bool,
}

impl Scanner<'_> {
    /// What the heading of the column around `at` announces.
    pub(super) fn heading(&mut self, at: usize) -> Option<Cue> {
        self.enter_line(at);
        if !self.tables.line.known {
            self.tables.line.known = true;
            self.tables.line.table = self.find_table();
        }
        let table = self.tables.line.table.filter(|table| table.valid)?;
        let line = &mut self.tables.line;
        if at < line.counted {
            let back = self.bytes.get(at..line.counted).unwrap_or_default();
            line.column = line
                .column
                .saturating_sub(delimiters(back, table.delimiter));
        } else {
            let ahead = self.bytes.get(line.counted..at).unwrap_or_default();
            line.column += delimiters(ahead, table.delimiter);
        }
        line.counted = at;
        let column = line.column;
        let heading = self.text.get(table.heading.0..table.heading.1)?;
        cue::heading(cell(heading, table.delimiter, column)?)
    }

    /// What the name of the SQL column `at` is a value of announces.
    pub(super) fn inserted(&mut self, at: usize) -> Option<Cue> {
        let from = self
            .tables
            .searched
            .max(at.saturating_sub(INSERT_BYTES_MAX));
        if at > from {
            let window = self.slice(from, at);
            let starts = window
                .iter()
                .enumerate()
                .rev()
                .filter(|(_, byte)| **byte | 0x20 == b'v');
            let found = starts.map(|(start, _)| start).find(|start| {
                window
                    .get(*start..start + 6)
                    .is_some_and(|word| word.eq_ignore_ascii_case(b"values"))
            });
            if let Some(found) = found {
                self.tables.insert = self.columns_before(from + found);
            }
            self.tables.searched = at.saturating_sub(5).max(self.tables.searched);
        }
        let mut insert = self.tables.insert?;
        if at < insert.cursor {
            return None;
        }
        for byte in self.slice(insert.cursor, at) {
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
                b';' => {
                    self.tables.insert = None;
                    return None;
                }
                _ => {}
            }
        }
        insert.cursor = at;
        self.tables.insert = Some(insert);
        if insert.depth != 1 {
            return None;
        }
        let columns = self.text.get(insert.columns.0..insert.columns.1)?;
        cue::heading(columns.split(',').nth(insert.column)?)
    }

    /// The list of names before `VALUES` at `at`.
    fn columns_before(&self, at: usize) -> Option<Insert> {
        let low = at.saturating_sub(INSERT_BYTES_MAX);
        let head = self.slice(low, at).trim_ascii_end();
        let list = head.strip_suffix(b")")?;
        let open = list.iter().rposition(|byte| *byte == b'(')?;
        let columns = (low + open + 1, low + list.len());
        Some(Insert {
            columns,
            cursor: at + 6,
            column: 0,
            depth: 0,
            quote: 0,
        })
    }

    fn enter_line(&mut self, at: usize) {
        let line = &self.tables.line;
        if (line.start..line.seen).contains(&at) {
            return;
        }
        let from = if at >= line.seen {
            line.seen
        } else {
            at.saturating_sub(LINE_BYTES_MAX)
        };
        let start = match self.slice(from, at).iter().rposition(|byte| *byte == b'\n') {
            Some(found) => from + found + 1,
            None if at >= line.seen => line.start,
            None => from,
        };
        let line = &mut self.tables.line;
        line.seen = at;
        if start != line.start {
            *line = Line {
                start,
                seen: at,
                counted: start,
                ..Line::default()
            };
        }
    }

    fn find_table(&mut self) -> Option<Table> {
        let start = self.tables.line.start;
        let bytes = self.slice(start, start + LINE_BYTES_MAX + 1);
        let bytes = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => bytes.get(..end)?,
            None if bytes.len() > LINE_BYTES_MAX => return None,
            None => bytes,
        };
        let table = DELIMITERS
            .into_iter()
            .zip(counts(bytes))
            .filter(|(_, count)| *count > 0)
            .find_map(|(delimiter, count)| self.find_heading(start, delimiter, count))?;
        self.tables.last_row = start;
        self.tables.table = Some(table);
        Some(table)
    }

    /// Goes up from the row that starts at `start`.
    fn find_heading(&self, start: usize, delimiter: u8, count: usize) -> Option<Table> {
        let mut top = (start, start);
        for _ in 0..ROWS_MAX {
            let Some(end) = top.0.checked_sub(1) else {
                break;
            };
            let low = end.saturating_sub(LINE_BYTES_MAX);
            let above = self.slice(low, end);
            let from = match above.iter().rposition(|byte| *byte == b'\n') {
                Some(found) => low + found + 1,
                None if low == 0 => 0,
                None => break,
            };
            if delimiters(self.slice(from, end), delimiter) != count {
                break;
            }
            if let Some(table) = self.tables.table
                && from == self.tables.last_row
                && (table.delimiter, table.count) == (delimiter, count)
            {
                return Some(table);
            }
            top = (from, end);
        }
        (top.0 < start).then(|| Table {
            heading: top,
            delimiter,
            count,
            valid: !self.found_within(top.0, top.1)
                && is_heading(self.slice(top.0, top.1), delimiter),
        })
    }
}

/// Candidates, the surest first. A space stands for two and more.
const DELIMITERS: [u8; 5] = [b'\t', b'|', b';', b',', b' '];

/// How often each delimiter is in a line.
fn counts(line: &[u8]) -> [usize; 5] {
    let mut counts = [0; 5];
    let [tabs, bars, semicolons, commas, gaps] = &mut counts;
    let mut before = [b' ', b' '];
    for byte in line {
        match byte {
            b'\t' => *tabs += 1,
            b'|' => *bars += 1,
            b';' => *semicolons += 1,
            b',' => *commas += 1,
            b' ' if matches!(before, [first, b' '] if first != b' ') => *gaps += 1,
            _ => {}
        }
        let [_, last] = before;
        before = [last, *byte];
    }
    counts
}

/// A space stands for runs of two and more.
fn delimiters(line: &[u8], delimiter: u8) -> usize {
    if delimiter != b' ' {
        return line.iter().filter(|byte| **byte == delimiter).count();
    }
    let starts = line
        .windows(3)
        .filter(|window| matches!(window, [before, b' ', b' '] if *before != b' '));
    starts.count()
}

/// Cell number `column` of a heading.
fn cell(heading: &str, delimiter: u8, column: usize) -> Option<&str> {
    if delimiter == b' ' {
        return heading
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .nth(column);
    }
    heading.split(char::from(delimiter)).nth(column)
}

/// Every cell is a few words and no value.
fn is_heading(line: &[u8], delimiter: u8) -> bool {
    line.split(|byte| *byte == delimiter).all(|cell| {
        cell.len() <= 48
            && !cell
                .iter()
                .any(|byte| matches!(byte, b':' | b'=' | b'@' | b'{' | b'[' | b'(' | b'?' | b'!'))
            && cell.iter().filter(|byte| byte.is_ascii_digit()).count() <= 2
            && !cell.trim_ascii().first().is_some_and(u8::is_ascii_digit)
            && !cell.ends_with(b".")
            && cell
                .trim_ascii()
                .iter()
                .filter(|byte| **byte == b' ')
                .count()
                <= 3
    })
}
