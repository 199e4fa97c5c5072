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
        marks[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Mark::Letter,
            b'0'..=b'9' => Mark::Digit,
            b'\n' => Mark::Line,
            b'\'' => Mark::Apostrophe,
            b']' => Mark::Other,
            b':' | b'=' => Mark::Key,
            b'|' | b'\t' | b';' | b'<' | b'{' | b'[' => Mark::Stop,
            b'"' | b',' | b'&' | b'`' => Mark::Quote,
            b'.' | b'!' | b'?' => Mark::Sentence,
            _ => Mark::Plain,
        };
        byte += 1;
    }
    marks
}
