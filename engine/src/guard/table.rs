//! Columns: the heading a value stands under, in CSV, TSV and Markdown tables and in SQL.
//!
//! Lines above one another with the same number of the same delimiter are a table, and its first
//! line is the heading when its cells are words. Lines are counted when a candidate asks, once each,
//! and nothing after a value is looked at but for a few bytes.

use std::rc::Rc;

use super::cue::{self, Cue};
use super::scanner::Scanner;

/// A longer line is no row of a table.
pub(super) const LINE_BYTES_MAX: usize = 4096;
/// Bytes looked back for `VALUES`, and from there for its columns.
pub(super) const INSERT_BYTES_MAX: usize = 1024;
/// Bytes of a first cell after which a delimiter has to follow.
const CELL_BYTES_MAX: usize = 96;

/// What is known of the lines read so far.
#[derive(Clone, Default)]
pub(super) struct Tables {
    line: Line,
    insert: Option<Insert>,
    /// `VALUES` was looked for up to here.
    searched: usize,
}

/// A place in the values of an SQL `INSERT`.
#[derive(Clone)]
struct Insert {
    columns: Heading,
    cursor: usize,
    column: usize,
    depth: u32,
    quote: u8,
}

#[derive(Clone, Default)]
struct Line {
    start: usize,
    /// No line break stands between `start` and here.
    seen: usize,
    /// Bytes of it that were cut off before `start`.
    cut: usize,
    /// The table above it by each delimiter.
    tables: [Option<Table>; 5],
    /// Which of them it belongs to, when that is known.
    chosen: Option<usize>,
    /// Delimiters counted up to `counted`.
    column: usize,
    counted: usize,
}

#[derive(Clone)]
struct Table {
    count: usize,
    heading: Heading,
}

/// A line of names.
#[derive(Clone)]
enum Heading {
    /// Where it stands.
    At(usize, usize),
    /// What its cells announced, when it is out of reach.
    Kept(Rc<[Option<Cue>]>),
}

impl Tables {
    /// The same after `count` bytes of text were cut off in front.
    pub(super) fn shift(&mut self, count: usize) {
        let line = &mut self.line;
        line.cut += count.saturating_sub(line.start);
        line.start = line.start.saturating_sub(count);
        line.seen = line.seen.saturating_sub(count);
        line.counted = line.counted.saturating_sub(count);
        for table in line.tables.iter_mut().flatten() {
            table.heading.shift(count);
        }
        self.searched = self.searched.saturating_sub(count);
        if let Some(insert) = &mut self.insert {
            insert.columns.shift(count);
            insert.cursor = insert.cursor.saturating_sub(count);
        }
    }

    /// Where the line begins that was read last; `None` when it is too long for a row.
    pub(super) fn line_start(&self, at: usize) -> Option<usize> {
        (self.line.cut == 0 && at.saturating_sub(self.line.start) <= LINE_BYTES_MAX)
            .then_some(self.line.start)
    }
}

impl Heading {
    const fn shift(&mut self, count: usize) {
        if let Self::At(start, end) = self {
            *start = start.saturating_sub(count);
            *end = end.saturating_sub(count);
        }
    }
}

impl Scanner<'_> {
    /// What the heading of the column around `at` announces.
    pub(super) fn heading(&mut self, at: usize) -> Option<Cue> {
        self.enter_line(at);
        let line = &self.tables.line;
        if at < line.start || at - line.start + line.cut > LINE_BYTES_MAX {
            return None;
        }
        let chosen = match line.chosen {
            Some(chosen) => chosen,
            None => {
                let chosen = (0..DELIMITERS.len()).find(|index| self.is_row(*index, at))?;
                self.tables.line.chosen = Some(chosen);
                chosen
            }
        };
        let delimiter = *DELIMITERS.get(chosen)?;
        let line = &self.tables.line;
        let column = if at < line.counted {
            let back = self.bytes.get(at..line.counted).unwrap_or_default();
            line.column.saturating_sub(delimiters(back, delimiter))
        } else {
            let ahead = self.bytes.get(line.counted..at).unwrap_or_default();
            line.column + delimiters(ahead, delimiter)
        };
        self.tables.line.column = column;
        self.tables.line.counted = at;
        let table = self.tables.line.tables.get(chosen)?.as_ref()?;
        if column > table.count {
            return None;
        }
        self.announced(&table.heading, delimiter, column)
    }

    fn announced(&self, heading: &Heading, delimiter: u8, column: usize) -> Option<Cue> {
        match heading {
            Heading::At(start, end) => {
                cue::heading(cell(self.text.get(*start..*end)?, delimiter, column)?)
            }
            Heading::Kept(cues) => *cues.get(column)?,
        }
    }

    /// The line belongs to the table above it by this delimiter, as far as the value at `at` shows.
    fn is_row(&self, index: usize, at: usize) -> bool {
        let line = &self.tables.line;
        let (Some(Some(table)), Some(delimiter)) =
            (line.tables.get(index), DELIMITERS.get(index).copied())
        else {
            return false;
        };
        let before = self.bytes.get(line.start..at).unwrap_or_default();
        let column = delimiters(before, delimiter);
        let follows = || {
            let end = self.end_within(at, CELL_BYTES_MAX, |byte| {
                byte != b'\n' && (byte != delimiter || delimiter == b' ')
            });
            self.at(end) != b'\n'
                && delimiters(self.bytes.get(at..end + 3).unwrap_or_default(), delimiter) > 0
                || self.at(end) == delimiter && delimiter != b' '
        };
        let valid = match &table.heading {
            Heading::At(start, end) => {
                !self.found_within(*start, *end)
                    && is_heading(self.bytes.get(*start..*end).unwrap_or_default(), delimiter)
            }
            Heading::Kept(cues) => !cues.is_empty(),
        };
        valid && column <= table.count && (column > 0 || follows())
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
        self.enter_values(at)?;
        let insert = self.tables.insert.as_ref()?;
        if insert.cursor != at || insert.depth != 1 {
            return None;
        }
        self.announced(&insert.columns, b',', insert.column)
    }

    /// Follows the values up to `at`.
    fn enter_values(&mut self, at: usize) -> Option<()> {
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

    /// Counts the lines before the one that holds `at`.
    fn enter_line(&mut self, at: usize) {
        while let Some(ahead) = self.bytes.get(self.tables.line.seen..at) {
            let Some(found) = memchr::memchr(b'\n', ahead) else {
                self.tables.line.seen = at;
                return;
            };
            let start = self.tables.line.start;
            let end = self.tables.line.seen + found;
            let len = end - start;
            let mut counted = [0; 5];
            if len + self.tables.line.cut <= LINE_BYTES_MAX {
                counted = counts(self.bytes.get(start..end).unwrap_or_default());
            }
            let line = &mut self.tables.line;
            for (table, count) in line.tables.iter_mut().zip(counted) {
                match table {
                    _ if count == 0 => *table = None,
                    Some(table) if table.count == count => {}
                    _ => {
                        let heading = Heading::At(start, end);
                        *table = Some(Table { count, heading });
                    }
                }
            }
            line.start = end + 1;
            line.seen = line.start;
            (line.cut, line.chosen) = (0, None);
            (line.column, line.counted) = (0, line.start);
        }
    }

    /// Brings what is known up to `at`, and keeps what the headings before it announce: the text
    /// there goes.
    pub(super) fn keep_headings(&mut self, at: usize) {
        self.enter_line(at);
        self.enter_values(at);
        let keep = |heading: &Heading, delimiter: u8, count: usize| match heading {
            Heading::At(start, end) if *start < at => {
                let line = self.bytes.get(*start..*end).unwrap_or_default();
                let valid = !self.found_within(*start, *end) && is_heading(line, delimiter);
                let cues = (0..=count)
                    .take_while(|_| valid)
                    .map(|column| self.announced(heading, delimiter, column));
                Some(Heading::Kept(cues.collect()))
            }
            _ => None,
        };
        let tables = self.tables.line.tables.iter().zip(DELIMITERS);
        let kept: Vec<Option<Heading>> = tables
            .map(|(table, delimiter)| {
                table
                    .as_ref()
                    .and_then(|table| keep(&table.heading, delimiter, table.count))
            })
            .collect();
        let columns = self
            .tables
            .insert
            .as_ref()
            .and_then(|insert| match &insert.columns {
                Heading::At(start, end) if *start < at => {
                    let list = self.text.get(*start..*end)?;
                    Some(Heading::Kept(list.split(',').map(cue::heading).collect()))
                }
                _ => None,
            });
        for (table, kept) in self.tables.line.tables.iter_mut().zip(kept) {
            if let (Some(table), Some(kept)) = (table, kept) {
                table.heading = kept;
            }
        }
        if let (Some(insert), Some(columns)) = (&mut self.tables.insert, columns) {
            insert.columns = columns;
        }
    }
}

/// Candidates, the surest first. A space stands for two and more.
const DELIMITERS: [u8; 5] = [b'\t', b'|', b';', b',', b' '];

/// How often each delimiter is in a line.
fn counts(line: &[u8]) -> [usize; 5] {
    let sums = line.iter().fold(0_u64, |sums, byte| {
        sums + LANES.get(usize::from(*byte)).copied().unwrap_or(0)
    });
    let lane = |index: u32| (sums >> (16 * index) & 0xffff) as usize;
    [lane(0), lane(1), lane(2), lane(3), delimiters(line, b' ')]
}

/// One of each delimiter, in a lane of sixteen bits each.
static LANES: [u64; 256] = lanes();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn lanes() -> [u64; 256] {
    let mut lanes = [0; 256];
    let mut index = 0;
    while index < 4 {
        lanes[DELIMITERS[index] as usize] = 1 << (16 * index);
        index += 1;
    }
    lanes
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
