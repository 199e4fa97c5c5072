//! Where something can start or betray itself: byte by byte with a table, in wasm sixteen at a time.

#[cfg(not(target_family = "wasm"))]
pub(super) use plain::Triggers;
#[cfg(target_family = "wasm")]
pub(super) use vector::Triggers;

/// What a byte can start or betray.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Skip,
    At,
    Capital,
    /// Lead byte of a character that can begin a name or end a phrase before one.
    Lead,
    Colon,
    Dash,
    Digit,
    Equals,
    /// Lead byte of the full-width digits.
    Wide,
    Underscore,
}

#[inline]
pub(super) fn class(byte: u8) -> Class {
    CLASS.get(usize::from(byte)).copied().unwrap_or(Class::Skip)
}

static CLASS: [Class; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn classes() -> [Class; 256] {
    let mut classes = [Class::Skip; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = class_of(byte as u8);
        byte += 1;
    }
    classes
}

const fn class_of(byte: u8) -> Class {
    match byte {
        b'0'..=b'9' => Class::Digit,
        b'A'..=b'Z' => Class::Capital,
        b'@' => Class::At,
        b':' => Class::Colon,
        b'=' => Class::Equals,
        b'-' => Class::Dash,
        b'_' => Class::Underscore,
        0xef => Class::Wide,
        0xc3..=0xc5 | 0xe1 | 0xe3..=0xe9 => Class::Lead,
        _ => Class::Skip,
    }
}

/// Where there is no instruction that finds a byte in a table of sixteen.
#[cfg(not(target_family = "wasm"))]
mod plain {
    use super::{Class, class};

    /// What is known of the text besides: nothing.
    #[derive(Clone, Copy, Default)]
    pub(in super::super) struct Triggers(());

    impl Triggers {
        /// The first trigger from `at` on.
        pub(in super::super) fn next(&mut self, text: &[u8], at: usize) -> Option<usize> {
            let mut rest = text.get(at..)?.iter();
            let skipped = rest.position(|byte| class(*byte) != Class::Skip)?;
            Some(at + skipped)
        }
    }
}

/// Sixteen bytes at a time: a byte belongs to a group when both its halves have the group's bit.
#[cfg(target_family = "wasm")]
mod vector {
    use core::arch::wasm32::{
        u8x16, u8x16_bitmask, u8x16_eq, u8x16_ne, u8x16_shr, u8x16_splat, u8x16_swizzle, v128,
        v128_and, v128_or,
    };

    use crate::guard::scanner::is_word;

    /// The triggers of one block of the text.
    #[derive(Clone, Copy, Default)]
    pub(in super::super) struct Triggers {
        start: usize,
        /// Past its last byte; what is added to the text is classified later.
        end: usize,
        bits: u64,
    }

    impl Triggers {
        /// The first trigger from `at` on. Inside of a word no capital begins anything, but for the `J`
        /// of `eyJ`, and no digit after another, but for one at `at` itself.
        #[inline]
        pub(in super::super) fn next(&mut self, text: &[u8], mut at: usize) -> Option<usize> {
            if text.get(at)?.is_ascii_digit() {
                return Some(at);
            }
            loop {
                if !(self.start..self.end).contains(&at) {
                    *self = Self::of(text, at)?;
                }
                let bits = self.bits >> (at - self.start);
                if bits != 0 {
                    return Some(at + bits.trailing_zeros() as usize);
                }
                at = self.end;
            }
        }

        fn of(text: &[u8], start: usize) -> Option<Self> {
            let len = text.len().checked_sub(start)?.min(BLOCK);
            let before = start.checked_sub(1).and_then(|before| text.get(before));
            let after_word = before.is_some_and(|byte| is_word(*byte));
            let after_digit = before.is_some_and(u8::is_ascii_digit);
            let kinds = kinds(text, start, len);
            let words = kinds.words << 1 | u64::from(after_word);
            let digits = kinds.digits << 1 | u64::from(after_digit);
            (len > 0).then(|| Self {
                start,
                end: start + len,
                bits: kinds.signs | kinds.capitals & !words | kinds.digits & !digits,
            })
        }
    }

    /// Bytes classified at a time.
    const BLOCK: usize = 64;
    /// Bytes of a vector.
    const PART: usize = 16;

    /// A bit for each byte of a block.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Kinds {
        /// Triggers wherever they stand.
        signs: u64,
        capitals: u64,
        digits: u64,
        /// Letters, digits and `_`.
        words: u64,
    }

    /// `A` to `O` and `P` to `Z`.
    const CAPITAL: u8 = 1 | 2;
    /// The same of small letters.
    const SMALL: u8 = 4 | 8;
    const DIGIT: u8 = 16;
    /// `:` and `=`; lead bytes of two bytes, and of three.
    const SIGN: u8 = 32 | 64 | 128;

    /// The kinds of `len` bytes from `start` on, and of nothing after them.
    fn kinds(text: &[u8], start: usize, len: usize) -> Kinds {
        let end = start + len;
        let mut kinds = Kinds::default();
        let mut at = start;
        while let Some(part) = text.get(at..end).and_then(<[u8]>::first_chunk) {
            kinds.put(of(load(part)), at - start);
            at += PART;
        }
        if at < end {
            let last = match text.get(..end).and_then(<[u8]>::last_chunk) {
                Some(last) => of(load(last)).without(at + PART - end),
                None => of(load(&padded(text))).without(at),
            };
            kinds.put(last, at - start);
        }
        kinds
    }

    /// A text shorter than one part.
    fn padded(text: &[u8]) -> [u8; PART] {
        let mut padded = [0; PART];
        let both = padded.iter_mut().zip(text);
        both.for_each(|(to, from)| *to = *from);
        padded
    }

    impl Kinds {
        /// Adds those of bytes that stand `shift` after the first.
        fn put(&mut self, part: Self, shift: usize) {
            self.signs |= part.signs << shift;
            self.capitals |= part.capitals << shift;
            self.digits |= part.digits << shift;
            self.words |= part.words << shift;
        }

        /// Those of all bytes but the first `count`.
        fn without(self, count: usize) -> Self {
            Self {
                signs: self.signs >> count,
                capitals: self.capitals >> count,
                digits: self.digits >> count,
                words: self.words >> count,
            }
        }
    }

    fn of(bytes: v128) -> Kinds {
        let low = u8x16(
            2 | 8 | 16,
            1 | 2 | 4 | 8 | 16 | 128,
            1 | 2 | 4 | 8 | 16,
            1 | 2 | 4 | 8 | 16 | 64 | 128,
            1 | 2 | 4 | 8 | 16 | 64 | 128,
            1 | 2 | 4 | 8 | 16 | 64 | 128,
            1 | 2 | 4 | 8 | 16 | 128,
            1 | 2 | 4 | 8 | 16 | 128,
            1 | 2 | 4 | 8 | 16 | 128,
            1 | 2 | 4 | 8 | 16 | 128,
            1 | 2 | 4 | 8 | 32,
            1 | 4,
            1 | 4,
            1 | 4 | 32,
            1 | 4,
            1 | 4 | 128,
        );
        let high = u8x16(0, 0, 0, 16 | 32, 1, 2, 4, 8, 0, 0, 0, 0, 64, 0, 128, 0);
        let lows = u8x16_swizzle(low, v128_and(bytes, u8x16_splat(0x0f)));
        let groups = v128_and(lows, u8x16_swizzle(high, u8x16_shr(bytes, 4)));
        let among = |group: u8| u8x16_ne(v128_and(groups, u8x16_splat(group)), u8x16_splat(0));
        let is = |byte: u8| u8x16_eq(bytes, u8x16_splat(byte));
        let underscore = is(b'_');
        let others = v128_or(v128_or(is(b'@'), is(b'-')), v128_or(is(b'J'), underscore));
        let bits = |flags: v128| u64::from(u8x16_bitmask(flags));
        Kinds {
            signs: bits(v128_or(among(SIGN), others)),
            capitals: bits(among(CAPITAL)),
            digits: bits(among(DIGIT)),
            words: bits(v128_or(among(CAPITAL | SMALL | DIGIT), underscore)),
        }
    }

    fn load(part: &[u8; PART]) -> v128 {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *part;
        u8x16(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
    }
}
