//! What parts the cells of a line.

/// Candidates, the surest first. A space stands for two and more.
pub(super) const DELIMITERS: [u8; 5] = [b'\t', b'|', b';', b',', b' '];

/// A bit for each delimiter.
pub(super) const ALL_MARKS: u8 = (1 << DELIMITERS.len()) - 1;

/// The delimiters that are in `text`, without a branch for each byte.
pub(super) fn marks(text: &[u8]) -> u8 {
    let mark = |byte: u8| {
        u8::from(byte == b'\t')
            | u8::from(byte == b'|') << 1
            | u8::from(byte == b';') << 2
            | u8::from(byte == b',') << 3
    };
    let single = text.iter().fold(0, |marks, byte| marks | mark(*byte));
    let second = text.get(1..).unwrap_or_default();
    let pairs = text.iter().zip(second);
    let double = pairs.fold(0, |double, (first, second)| {
        double | u8::from(*first == b' ' && *second == b' ')
    });
    single | double << 4
}

/// A space stands for runs of two and more.
pub(super) fn delimiters(line: &[u8], delimiter: u8) -> usize {
    if delimiter != b' ' {
        return memchr::memchr_iter(delimiter, line).count();
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
    heading.split(char::from(delimiter)).nth(column)
}

/// Every cell is a few words and no value.
pub(super) fn is_heading(line: &[u8], delimiter: u8) -> bool {
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
