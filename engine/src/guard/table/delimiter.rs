//! What parts the cells of a line.

/// Candidates, the surest first. A space stands for two and more.
pub(super) const DELIMITERS: [u8; 5] = [b'\t', b'|', b';', b',', b' '];

/// A bit for each delimiter.
pub(super) const ALL_MARKS: u8 = (1 << DELIMITERS.len()) - 1;

/// The delimiters that are in `text`: sixteen bytes at a time, without a branch for any.
pub(super) fn marks(text: &[u8]) -> u8 {
    let mut lanes = [0; LANES];
    let mut rest = text;
    while let Some((head, _)) = rest.split_first_chunk::<{ LANES + 1 }>() {
        mark(&mut lanes, head);
        rest = rest.get(LANES..).unwrap_or_default();
    }
    let mut last = [0; LANES + 1];
    match text.last_chunk::<LANES>() {
        // Some are marked twice.
        Some(end) => {
            if let Some(to) = last.first_chunk_mut() {
                *to = *end;
            }
        }
        None => {
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
        }
    }
    mark(&mut lanes, &last);
    lanes.iter().fold(0, |marks, lane| marks | lane)
}

const LANES: usize = 16;

/// Adds the marks of all bytes but the last, which tells whether a space before it is one of two.
fn mark(lanes: &mut [u8; LANES], text: &[u8; LANES + 1]) {
    let (Some(first), Some(second)) = (text.first_chunk::<LANES>(), text.last_chunk::<LANES>())
    else {
        return;
    };
    for ((lane, first), second) in lanes.iter_mut().zip(first).zip(second) {
        *lane |= u8::from(*first == b'\t')
            | u8::from(*first == b'|') << 1
            | u8::from(*first == b';') << 2
            | u8::from(*first == b',') << 3
            | (u8::from(*first == b' ') & u8::from(*second == b' ')) << 4;
    }
}

/// Bytes that are counted in a byte.
const COUNTED_MAX: usize = 128;

/// A space stands for runs of two and more.
pub(super) fn delimiters(line: &[u8], delimiter: u8) -> usize {
    if delimiter != b' ' {
        let part =
            |part: &[u8]| -> u8 { part.iter().map(|byte| u8::from(*byte == delimiter)).sum() };
        return line
            .chunks(COUNTED_MAX)
            .map(|bytes| usize::from(part(bytes)))
            .sum();
    }
    let starts = line
        .windows(3)
        .filter(|window| matches!(window, [before, b' ', b' '] if *before != b' '));
    starts.count()
}

/// Cell number `column` of a heading.
pub(super) fn cell(heading: &str, delimiter: u8, column: usize) -> Option<&str> {
    if delimiter == b' ' {
        return heading
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .nth(column);
    }
    let mut ends = memchr::memchr_iter(delimiter, heading.as_bytes());
    let start = match column.checked_sub(1) {
        Some(before) => ends.nth(before)? + 1,
        None => 0,
    };
    heading.get(start..ends.next().unwrap_or(heading.len()))
}

/// Every cell is a few words and no value.
pub(super) fn is_heading(line: &[u8], delimiter: u8) -> bool {
    line.split(|byte| *byte == delimiter).all(is_name)
}

/// Longest cell of a heading.
const NAME_BYTES_MAX: usize = 48;

fn is_name(cell: &[u8]) -> bool {
    if cell.len() > NAME_BYTES_MAX || cell.last() == Some(&b'.') {
        return false;
    }
    let words = cell.trim_ascii();
    if words.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let weighed = words.iter().map(|byte| WEIGHTS.get(usize::from(*byte)));
    let sum = weighed.fold(0, |sum, weight| sum + weight.copied().unwrap_or_default());
    sum / SIGN == 0 && sum % SIGN / SPACE <= 3 && sum % SPACE <= 2
}

/// One space of a name, among its digits; one sign that no name has.
const SPACE: u32 = 1 << 8;
const SIGN: u32 = 1 << 16;

/// What a byte adds to the count of a cell's digits, spaces and signs.
static WEIGHTS: [u32; 256] = weights();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn weights() -> [u32; 256] {
    let mut weights = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        weights[byte] = match byte as u8 {
            b'0'..=b'9' => 1,
            b' ' => SPACE,
            b':' | b'=' | b'@' | b'{' | b'[' | b'(' | b'?' | b'!' => SIGN,
            _ => 0,
        };
        byte += 1;
    }
    weights
}
