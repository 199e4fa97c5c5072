//! Text that comes in pieces: what is settled goes on, what could still become a finding waits.
//!
//! The pass of the scanner stops at the first recognizer that looked beyond the text at hand, and
//! everything before the earliest place where a finding could still begin is settled. What was
//! settled stays for a while as context, so that the pieces read as the whole does.

#[cfg(test)]
mod tests;

use super::scanner::{Progress, Scanner};
use super::table::{INSERT_BYTES_MAX, Tables};
use super::{Detectors, Finding};

/// Bytes of settled text that may be looked back at: a list of columns, `VALUES` and a value.
const CONTEXT_BYTES: usize = 2 * INSERT_BYTES_MAX + 512;
/// Settled text is let go when there is so much of it.
const CONTEXT_BYTES_MAX: usize = 16_384;

/// The text of one stream, such as the content of one choice.
///
/// However it is cut into pieces, the settled texts together are the whole text, and the findings in
/// them are those of the whole text. At most 256 bytes wait, and beside them what is a secret
/// already: a private key, a signed token, the value of a key or password, up to its end.
#[derive(Clone, Default)]
pub struct Window {
    /// Settled text, as context, and what waits.
    text: String,
    settled: usize,
    progress: Progress,
    tables: Tables,
    /// In `text`, also in the part that is settled.
    found: Vec<Finding>,
    custom: Vec<super::custom::Progress>,
}

impl std::fmt::Debug for Window {
    /// Without the text, which is somebody's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Window");
        shown.field("held", &self.held()).finish_non_exhaustive()
    }
}

impl Window {
    /// Adds the next piece.
    pub fn push(&mut self, piece: &str) {
        self.text.push_str(piece);
    }

    /// Bytes that wait.
    pub fn held(&self) -> usize {
        self.text.len().saturating_sub(self.settled)
    }

    /// Takes the text that nothing to come can change, and appends its findings to `out`, with
    /// offsets in that text. With `end` nothing is to come, and all of it is settled.
    pub fn settle(&mut self, detectors: &Detectors, end: bool, out: &mut Vec<Finding>) -> String {
        let mut until = self.scan(detectors, end);
        let from = self.settled;
        let mut fresh = Vec::new();
        detectors.merge(&self.text, &self.found, &self.custom, from, &mut fresh);
        for finding in &fresh {
            if finding.start < until && finding.end > until {
                until = finding.start;
            }
        }
        let shift = |at: usize| at.saturating_sub(from);
        let settled = fresh.iter().filter(|finding| finding.end <= until);
        out.extend(settled.map(|finding| Finding {
            kind: finding.kind,
            start: shift(finding.start),
            end: shift(finding.end),
        }));
        let text = self.text.get(from..until).unwrap_or_default().to_owned();
        self.settled = until.max(from);
        if end {
            *self = Self::default();
        } else if self.settled > CONTEXT_BYTES_MAX {
            self.forget();
        }
        text
    }

    /// Reads on. Returns up to where the text is settled.
    fn scan(&mut self, detectors: &Detectors, end: bool) -> usize {
        let tables = std::mem::take(&mut self.tables);
        let mut scanner = Scanner::resumed(&self.text, &mut self.found, &[], self.progress, tables);
        let mut until = if end {
            scanner.run_from();
            self.text.len()
        } else {
            scanner.advance()
        };
        (self.progress, self.tables) = scanner.into_state();
        until = until.min(detectors.advance(&self.text, end, &mut self.custom));
        until = until.max(self.settled);
        while !self.text.is_char_boundary(until) {
            until = until.saturating_sub(1);
        }
        until
    }

    /// Lets go of settled text that is out of reach.
    fn forget(&mut self) {
        let tables = std::mem::take(&mut self.tables);
        let mut scanner = Scanner::resumed(&self.text, &mut self.found, &[], self.progress, tables);
        let mut cut = self.settled.saturating_sub(CONTEXT_BYTES);
        scanner.keep_headings(cut);
        if let Some(line) = scanner.tables.line_start(cut) {
            cut = cut.min(line);
        }
        // A finding stays whole: the words before others are read without it.
        let straddled = scanner
            .findings()
            .iter()
            .filter(|finding| finding.end > cut);
        cut = straddled.fold(cut, |cut, finding| cut.min(finding.start));
        while !self.text.is_char_boundary(cut) {
            cut = cut.saturating_sub(1);
        }
        scanner.keep_headings(cut);
        (self.progress, self.tables) = scanner.into_state();
        self.text.drain(..cut);
        self.settled -= cut;
        self.progress = self.progress.shifted(cut);
        self.tables.shift(cut);
        self.found.retain(|finding| finding.start >= cut);
        for finding in &mut self.found {
            finding.start -= cut;
            finding.end -= cut;
        }
        for custom in &mut self.custom {
            custom.shift(cut);
        }
    }
}
