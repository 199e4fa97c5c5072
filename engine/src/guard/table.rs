//! Columns: the heading a value stands under, in CSV, TSV and Markdown tables and in SQL.
//!
//! Lines above one another with the same number of the same delimiter are a table, and its first
//! line is the heading when its cells are words. Lines are counted when a candidate asks, once each,
//! and nothing after a value is looked at but for a few bytes.

mod column;
mod delimiter;
mod insert;

use std::rc::Rc;

use super::cue::{self, Cue};
use super::scanner::Scanner;
use column::Cells;
use delimiter::{ALL_MARKS, DELIMITERS, delimiters, is_heading, marks};
use insert::Insert;

pub(super) use insert::INSERT_BYTES_MAX;

/// A longer line is no row of a table.
pub(super) const LINE_BYTES_MAX: usize = 4096;
/// Bytes of a first cell after which a delimiter has to follow.
const CELL_BYTES_MAX: usize = 96;

/// What is known of the lines read so far.
#[derive(Clone, Default)]
pub(super) struct Tables {
    line: Line,
    /// The text begins inside of a line that is too long for a row.
    headless: bool,
    /// By each delimiter, the table above the line.
    above: [Above; 5],
    /// What the cells of the heading announce that was asked last.
    cells: Cells,
    insert: Option<Insert>,
    /// `VALUES` was looked for up to here.
    searched: usize,
    /// Where the first `VALUES` after that may end.
    values_end: usize,
}

/// The line that was asked for last.
#[derive(Clone, Default)]
struct Line {
    start: usize,
    /// No line break stands between `start` and here.
    seen: usize,
    /// Bytes of it that were cut off before `start`.
    cut: usize,
    /// Delimiters, a bit each, that have a table above; `None` before it was looked.
    live: Option<u8>,
    /// Those between `start` and `marked`.
    marks: u8,
    marked: usize,
    /// Which of the tables above it belongs to, when that is known.
    chosen: Option<usize>,
    /// Delimiters counted up to `counted`.
    column: usize,
    counted: usize,
}

/// The table that ends with the line before `through`; lines below are not counted yet.
#[derive(Clone, Default)]
struct Above {
    through: usize,
    table: Option<Table>,
}

#[derive(Clone)]
struct Table {
    count: usize,
    heading: Heading,
    /// The cells of the heading are names, when that is known.
    named: Option<bool>,
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
        line.marked = line.marked.saturating_sub(count);
        line.counted = line.counted.saturating_sub(count);
        self.headless = line.cut > 0;
        for above in &mut self.above {
            above.through = above.through.saturating_sub(count);
            if let Some(table) = &mut above.table {
                table.heading.shift(count);
            }
        }
        self.cells = Cells::default();
        self.searched = self.searched.saturating_sub(count);
        self.values_end = self.values_end.saturating_sub(count);
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
    /// Neither a heading nor a list of columns can announce what stands at `at`, for the line has no
    /// table above.
    pub(super) fn is_in_no_table(&mut self, at: usize) -> bool {
        self.enter_line(at);
        let line = &self.tables.line;
        line.live == Some(0) && at >= line.start && !self.may_be_inserted(at)
    }

    /// What the heading of the column around `at` announces.
    pub(super) fn heading(&mut self, at: usize) -> Option<Cue> {
        self.enter_line(at);
        self.heading_in_line(at)
    }

    /// The same in the line that was entered last.
    pub(super) fn heading_in_line(&mut self, at: usize) -> Option<Cue> {
        let line = &self.tables.line;
        if at < line.start || at - line.start + line.cut > LINE_BYTES_MAX {
            return None;
        }
        match self.live() {
            0 => None,
            live => self.column(at, live),
        }
    }

    /// The delimiter of the table that the line belongs to. Only those are tried that stand in the
    /// line above, and in this one before `at` or close behind it.
    fn choose(&mut self, at: usize, live: u8) -> Option<usize> {
        let line = &mut self.tables.line;
        if let Some(ahead) = self.bytes.get(line.marked..at) {
            line.marks |= marks(ahead);
            // The second space of two may follow.
            line.marked = at.saturating_sub(1).max(line.start);
        }
        let mut near = line.marks;
        if live & !near != 0 {
            near |= match self.bytes.get(at..at + CELL_BYTES_MAX + 3) {
                Some(cell) => {
                    let len = memchr::memchr(b'\n', cell).unwrap_or(cell.len());
                    marks(cell.get(..len).unwrap_or_default())
                }
                // What stands there is not known yet.
                None => ALL_MARKS,
            };
        }
        let near = near & live;
        (0..DELIMITERS.len()).find(|index| near >> index & 1 == 1 && self.is_row(*index, at))
    }

    /// Delimiters that have a table with a heading above the line.
    fn live(&mut self) -> u8 {
        if let Some(live) = self.tables.line.live {
            return live;
        }
        let above = self.marks_above();
        if above == 0 {
            self.tables.line.live = Some(0);
            return 0;
        }
        let tables = (0..DELIMITERS.len()).filter(|index| above >> index & 1 == 1);
        let live = tables.fold(0, |live, index| {
            live | u8::from(self.table_above(index)) << index
        });
        self.tables.line.live = Some(live);
        live
    }

    /// Delimiters that may have a table above the line.
    fn marks_above(&self) -> u8 {
        let start = self.tables.line.start;
        match start.checked_sub(1) {
            Some(end) => {
                let low = end.saturating_sub(LINE_BYTES_MAX);
                let above = self.bytes.get(low..end).unwrap_or_default();
                match memchr::memrchr(b'\n', above) {
                    Some(last) => marks(above.get(last + 1..).unwrap_or_default()),
                    None if low > 0 => 0,
                    None => marks(above) | self.known(),
                }
            }
            None => self.known(),
        }
    }

    /// Delimiters of tables whose lines may be cut off in front.
    fn known(&self) -> u8 {
        let tables = self.tables.above.iter().enumerate();
        tables.fold(0, |known, (index, above)| {
            known | u8::from(above.table.is_some()) << index
        })
    }

    /// A table by this delimiter stands above, and its first line is a heading.
    fn table_above(&mut self, index: usize) -> bool {
        self.count_above(index);
        let delimiter = DELIMITERS.get(index).copied().unwrap_or_default();
        let above = self.tables.above.get_mut(index);
        let Some(table) = above.and_then(|above| above.table.as_mut()) else {
            return false;
        };
        match &table.heading {
            Heading::At(start, end) => {
                let (start, end) = (*start, *end);
                let line = self.bytes.get(start..end).unwrap_or_default();
                *table
                    .named
                    .get_or_insert_with(|| is_heading(line, delimiter))
                    && !self.found_within(start, end)
            }
            Heading::Kept(cues) => !cues.is_empty(),
        }
    }

    /// The line belongs to the table above it by this delimiter, as far as the value at `at` shows.
    fn is_row(&self, index: usize, at: usize) -> bool {
        let (
            Some(delimiter),
            Some(Above {
                table: Some(table), ..
            }),
        ) = (DELIMITERS.get(index).copied(), self.tables.above.get(index))
        else {
            return false;
        };
        let count = table.count;
        let line = &self.tables.line;
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
        column <= count && (column > 0 || follows())
    }

    /// Finds the line that holds `at`.
    #[inline]
    fn enter_line(&mut self, at: usize) {
        if at > self.tables.line.seen {
            self.seek_line(at);
        }
    }

    /// The same where `at` may stand in a line that was not entered yet.
    #[inline(never)]
    fn seek_line(&mut self, at: usize) {
        let line = &mut self.tables.line;
        let Some(ahead) = self.bytes.get(line.seen..at) else {
            return;
        };
        if let Some(last) = memchr::memrchr(b'\n', ahead) {
            let start = line.seen + last + 1;
            *line = Line {
                start,
                marked: start,
                counted: start,
                ..Line::default()
            };
        }
        let rest = self.bytes.get(at..).unwrap_or_default();
        line.seen = at + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }

    /// Counts one delimiter in the lines above, as far up as there are equally many: each line is
    /// counted once.
    fn count_above(&mut self, index: usize) {
        let below = self.tables.line.start;
        let headless = self.tables.headless;
        let (Some(above), Some(delimiter)) = (
            self.tables.above.get_mut(index),
            DELIMITERS.get(index).copied(),
        ) else {
            return;
        };
        let through = above.through;
        if through >= below {
            return;
        }
        let known = above.table.take();
        above.through = below;
        let mut end = below - 1;
        loop {
            let lines = self.bytes.get(through..end).unwrap_or_default();
            let start = memchr::memrchr(b'\n', lines).map_or(through, |last| through + last + 1);
            let line = self.bytes.get(start..end).unwrap_or_default();
            let row = line.len() <= LINE_BYTES_MAX && !(start == 0 && headless);
            let count = if row { delimiters(line, delimiter) } else { 0 };
            let heading = Heading::At(start, end);
            match &mut above.table {
                None if count == 0 => return,
                Some(table) if table.count != count => return,
                Some(table) => table.heading = heading,
                table @ None => {
                    *table = Some(Table {
                        count,
                        heading,
                        named: None,
                    });
                }
            }
            if start == through {
                // It goes on above what is counted now.
                if let Some(known) = known
                    && known.count == count
                {
                    above.table = Some(known);
                }
                return;
            }
            end = start - 1;
        }
    }

    /// Brings what is known up to `at`, and keeps what the headings before it announce: the text
    /// there goes.
    pub(super) fn keep_headings(&mut self, at: usize) {
        self.enter_line(at);
        (0..DELIMITERS.len()).for_each(|index| self.count_above(index));
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
        let tables = self.tables.above.iter().zip(DELIMITERS);
        let kept: Vec<Option<Heading>> = tables
            .map(|(above, delimiter)| {
                let table = above.table.as_ref();
                table.and_then(|table| keep(&table.heading, delimiter, table.count))
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
        for (above, kept) in self.tables.above.iter_mut().zip(kept) {
            if let (Some(table), Some(kept)) = (&mut above.table, kept) {
                table.heading = kept;
            }
        }
        if let (Some(insert), Some(columns)) = (&mut self.tables.insert, columns) {
            insert.columns = columns;
        }
    }
}
