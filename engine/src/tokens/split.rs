//! The patterns of o200k_base and cl100k_base, walked by hand.
//!
//! A text is cut exactly where the patterns cut it, in linear time and without a regex engine. The
//! comments name the alternatives of the patterns in order; the first that matches wins.

use super::Encoding;
use super::classes::{
    CASELESS, Class, LOWER, MARK, NEWLINE, NUMBER, OTHER, SPACE, UPPER, basic_plane, byte_class,
    class_of,
};

const LETTER: Class = UPPER | LOWER | CASELESS;
/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`.
const HEAD: Class = UPPER | CASELESS | MARK;
/// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`.
const TAIL: Class = LOWER | CASELESS | MARK;
/// `[^\r\n\p{L}\p{N}]`.
const PREFIX: Class = MARK | SPACE | OTHER;
/// `[^\s\p{L}\p{N}]`.
const SYMBOL: Class = MARK | OTHER;
const WHITE: Class = SPACE | NEWLINE;

/// Characters of one number piece: `\p{N}{1,3}`.
const DIGITS_MAX: usize = 3;

/// Iterator over the pieces of a text: neighbours that cover it whole.
pub(super) struct Pieces<'a> {
    text: &'a str,
    at: usize,
    encoding: Encoding,
    plane: &'static [Class],
}

impl<'a> Pieces<'a> {
    pub(super) fn of(encoding: Encoding, text: &'a str) -> Pieces<'a> {
        Pieces {
            text,
            at: 0,
            encoding,
            plane: basic_plane(),
        }
    }

    /// The class of the character at `at` and its length; nothing at the end.
    #[inline]
    fn look(&self, at: usize) -> Option<(Class, usize)> {
        match byte_class(self.byte(at)?) {
            0 => self.decoded(at),
            class => Some((class, 1)),
        }
    }

    fn decoded(&self, at: usize) -> Option<(Class, usize)> {
        let character = self.text.get(at..)?.chars().next()?;
        Some((class_of(self.plane, character), character.len_utf8()))
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// End of the run of `classes` that begins at `at`.
    #[inline]
    fn run(&self, mut at: usize, classes: Class) -> usize {
        loop {
            let rest = self.text.as_bytes().get(at..).unwrap_or_default();
            let ascii = rest
                .iter()
                .position(|byte| byte_class(*byte) & classes == 0);
            let Some(ascii) = ascii else {
                return self.text.len();
            };
            at += ascii;
            match rest.get(ascii) {
                Some(0x80..) => match self.decoded(at) {
                    Some((class, length)) if class & classes != 0 => at += length,
                    _ => return at,
                },
                _ => return at,
            }
        }
    }

    fn o200k(&self, at: usize) -> Option<usize> {
        let (class, length) = self.look(at)?;
        if class & NUMBER != 0 {
            return Some(self.digits(at));
        }
        let word = if class & LETTER != 0 {
            self.word(at)
        } else if class & MARK != 0 {
            // The mark before the word, else the mark as a word.
            self.cased_word(at + length).or_else(|| self.cased_word(at))
        } else if class & PREFIX != 0 {
            self.word(at + length)
        } else {
            None
        };
        Some(match word {
            Some(end) => self.contraction(end).unwrap_or(end),
            None => self
                .symbols(at, |byte| matches!(byte, b'\r' | b'\n' | b'/'))
                .unwrap_or_else(|| self.white(at)),
        })
    }

    /// `HEAD*TAIL+`, else `HEAD+TAIL*`.
    #[inline]
    fn word(&self, start: usize) -> Option<usize> {
        if let Some((LOWER, length)) = self.look(start) {
            return Some(self.run(start + length, TAIL));
        }
        let capitals = self.run(start, UPPER);
        match self.look(capitals) {
            Some((LOWER, length)) => Some(self.run(capitals + length, TAIL)),
            Some((CASELESS | MARK, _)) => self.cased_word(start),
            _ => Some(capitals).filter(|&end| end > start),
        }
    }

    /// `HEAD*TAIL+`. The head runs as far as it can; when no lower case follows it gives back
    /// characters until its last one could be a tail, and that one ends the word.
    fn cased_word(&self, start: usize) -> Option<usize> {
        let mut at = start;
        let mut tail_end = None;
        while let Some((class, length)) = self.look(at) {
            if class & LOWER != 0 {
                return Some(self.run(at, TAIL));
            }
            if class & HEAD == 0 {
                break;
            }
            at += length;
            if class & TAIL != 0 {
                tail_end = Some(at);
            }
        }
        tail_end
    }

    fn cl100k(&self, at: usize) -> Option<usize> {
        if let Some(end) = self.contraction(at) {
            return Some(end);
        }
        let (class, length) = self.look(at)?;
        if class & LETTER != 0 {
            return Some(self.run(at + length, LETTER));
        }
        if class & NUMBER != 0 {
            return Some(self.digits(at));
        }
        if class & PREFIX != 0 {
            let end = self.run(at + length, LETTER);
            if end > at + length {
                return Some(end);
            }
        }
        let symbols = self.symbols(at, |byte| matches!(byte, b'\r' | b'\n'));
        Some(symbols.unwrap_or_else(|| match self.run(at, WHITE) {
            // `\s++$` comes before the line ends here.
            end if end == self.text.len() => end,
            _ => self.white(at),
        }))
    }

    /// `'s`, `'t`, `'m`, `'d`, `'re`, `'ve`, `'ll` in any case; the long s folds to s.
    fn contraction(&self, at: usize) -> Option<usize> {
        if self.byte(at)? != b'\'' {
            return None;
        }
        let first = self.byte(at + 1)?.to_ascii_lowercase();
        let second = self.byte(at + 2).map(|byte| byte.to_ascii_lowercase());
        match (first, second) {
            (b's' | b't' | b'm' | b'd', _) => Some(at + 2),
            (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) | (0xC5, Some(0xBF)) => Some(at + 3),
            _ => None,
        }
    }

    fn digits(&self, at: usize) -> usize {
        (0..DIGITS_MAX)
            .try_fold(at, |end, _| match self.look(end) {
                Some((class, length)) if class & NUMBER != 0 => Ok(end + length),
                _ => Err(end),
            })
            .unwrap_or_else(|end| end)
    }

    /// ` ?[^\s\p{L}\p{N}]+` and the bytes of `closing` behind it.
    fn symbols(&self, at: usize, closing: impl Fn(u8) -> bool) -> Option<usize> {
        let start = if self.byte(at) == Some(b' ') {
            at + 1
        } else {
            at
        };
        let mut end = self.run(start, SYMBOL);
        if end == start {
            return None;
        }
        while self.byte(end).is_some_and(&closing) {
            end += 1;
        }
        Some(end)
    }

    /// White space: to the last line end of the run; else all at the end of the text; else all but
    /// the last character, which goes with what follows; else that character.
    fn white(&self, start: usize) -> usize {
        let mut at = start;
        let mut line_end = None;
        let mut last = start;
        while let Some((class, length)) = self.look(at)
            && class & WHITE != 0
        {
            last = at;
            at += length;
            if class & NEWLINE != 0 {
                line_end = Some(at);
            }
        }
        line_end.unwrap_or(if at == self.text.len() || last == start {
            at
        } else {
            last
        })
    }
}

impl Iterator for Pieces<'_> {
    /// Where the piece begins and ends in the text.
    type Item = (usize, usize);

    #[inline]
    fn next(&mut self) -> Option<(usize, usize)> {
        let start = self.at;
        let end = match self.encoding {
            Encoding::O200k => self.o200k(start),
            Encoding::Cl100k => self.cl100k(start),
        }?;
        self.at = end;
        Some((start, end)).filter(|_| end > start)
    }
}
