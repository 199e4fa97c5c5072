//! The column of a value, and what its heading announces.

use super::super::cue::{self, Cue};
use super::super::scanner::Scanner;
use super::Heading;
use super::delimiter::{DELIMITERS, cell, delimiters};

/// Cells of a heading whose cues are kept; those of later ones are read each time.
const CELLS_MAX: usize = 16;

/// The cells of a heading, read once each.
#[derive(Clone, Default)]
pub(super) struct Cells {
    start: usize,
    end: usize,
    delimiter: u8,
    /// By each cell, once it was read, its cue.
    cues: [Option<Option<Cue>>; CELLS_MAX],
}

impl Scanner<'_> {
    pub(super) fn column(&mut self, at: usize, live: u8) -> Option<Cue> {
        let chosen = match self.tables.line.chosen {
            Some(chosen) => chosen,
            None => {
                let chosen = self.choose(at, live)?;
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
        let table = self.tables.above.get(chosen)?.table.as_ref()?;
        if column > table.count {
            return None;
        }
        match table.heading {
            Heading::At(start, end) if column < CELLS_MAX => {
                self.announced_once(start, end, delimiter, column)
            }
            _ => self.announced(&table.heading, delimiter, column),
        }
    }

    /// What a cell of a heading announces; kept for the rows below.
    fn announced_once(
        &mut self,
        start: usize,
        end: usize,
        delimiter: u8,
        column: usize,
    ) -> Option<Cue> {
        let cells = &self.tables.cells;
        if (cells.start, cells.end, cells.delimiter) != (start, end, delimiter) {
            self.tables.cells = Cells {
                start,
                end,
                delimiter,
                ..Cells::default()
            };
        }
        if let Some(Some(known)) = self.tables.cells.cues.get(column) {
            return *known;
        }
        let cue = self.announced(&Heading::At(start, end), delimiter, column);
        if let Some(kept) = self.tables.cells.cues.get_mut(column) {
            *kept = Some(cue);
        }
        cue
    }

    pub(super) fn announced(&self, heading: &Heading, delimiter: u8, column: usize) -> Option<Cue> {
        match heading {
            Heading::At(start, end) => {
                cue::heading(cell(self.text.get(*start..*end)?, delimiter, column)?)
            }
            Heading::Kept(cues) => *cues.get(column)?,
        }
    }
}
