//! Numbers as text, without the formatting machinery: it is a lot of code, and a head has a dozen of
//! them.

/// Digits of the longest number.
const DIGITS_MAX: usize = 20;

/// A number in decimal digits.
pub(crate) struct Decimal {
    digits: [u8; DIGITS_MAX],
    start: usize,
}

impl Decimal {
    pub(crate) fn of(number: impl Into<u64>) -> Decimal {
        let mut rest = number.into();
        let mut digits = [b'0'; DIGITS_MAX];
        let mut start = DIGITS_MAX;
        for place in digits.iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            start -= 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        Decimal { digits, start }
    }

    /// The same of a length.
    pub(crate) fn of_len(length: usize) -> Decimal {
        Decimal::of(length as u64)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_ref()).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Decimal {
    fn as_ref(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

/// `bytes` in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        text.push(char::from(digit(byte >> 4)));
        text.push(char::from(digit(byte & 15)));
    }
    text
}

/// Appends the last `count` hexadecimal digits of a number.
pub(crate) fn push_hex(text: &mut String, number: u64, count: u32) {
    for place in (0..count).rev() {
        let digit = (number >> (4 * place)) & 15;
        text.push(char::from_digit(digit as u32, 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_the_standard_library_writes_them() {
        for number in [0, 1, 9, 10, 99, 100, 1_234_567_890, u64::MAX - 1, u64::MAX] {
            assert_eq!(Decimal::of(number).as_str(), number.to_string());
            let bytes = number.to_be_bytes();
            assert_eq!(hex(&bytes), format!("{number:016x}"));
        }
        assert_eq!(Decimal::of_len(42).as_str(), "42");
        let mut text = String::from("x");
        push_hex(&mut text, 0x1_00ab, 4);
        assert_eq!(text, "x00ab");
    }
}
