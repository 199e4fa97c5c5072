//! What each byte does where words are read to the left.

/// What an ASCII character between words does where words are read.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    Letter,
    Digit,
    /// Of a character beyond ASCII.
    Wide,
    Plain,
    /// Ends the reading of a key.
    Quote,
    Key,
    /// Ends the reading.
    Stop,
    Sentence,
    Line,
    Apostrophe,
    Other,
}

impl Mark {
    #[inline]
    pub(super) fn of(byte: u8) -> Self {
        MARKS.get(usize::from(byte)).copied().unwrap_or(Self::Other)
    }

    /// That of a byte of ASCII.
    pub(super) const fn of_ascii(byte: u8) -> Self {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Self::Letter,
            b'0'..=b'9' => Self::Digit,
            b'\n' => Self::Line,
            b'\'' => Self::Apostrophe,
            b']' => Self::Other,
            b':' | b'=' => Self::Key,
            b'|' | b'\t' | b';' | b'<' | b'{' | b'[' => Self::Stop,
            b'"' | b',' | b'&' | b'`' => Self::Quote,
            b'.' | b'!' | b'?' => Self::Sentence,
            _ => Self::Plain,
        }
    }
}

static MARKS: [Mark; 256] = marks();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn marks() -> [Mark; 256] {
    let mut marks = [Mark::Wide; 256];
    let mut byte = 0;
    while byte < 0x80 {
        marks[byte] = Mark::of_ascii(byte as u8);
        byte += 1;
    }
    marks
}
