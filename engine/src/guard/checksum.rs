//! Check digits and checksums, over digit values or the bytes of the token itself.

use sha2::{Digest, Sha256};

/// ISO/IEC 7812-1 annex B over digit values 0-9.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .zip([1u32, 2].into_iter().cycle())
        .map(|(digit, weight)| {
            let product = u32::from(*digit) * weight;
            product / 10 + product % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO 7064 MOD 97-10 as ISO 13616 uses it: country and check digits moved to the end.
pub(super) fn mod97(compact: &[u8]) -> bool {
    let Some((head, tail)) = compact.split_at_checked(4) else {
        return false;
    };
    let mut remainder = 0u32;
    for byte in tail.iter().chain(head) {
        remainder = match byte {
            b'0'..=b'9' => remainder * 10 + u32::from(byte - b'0'),
            b'A'..=b'Z' => remainder * 100 + u32::from(byte - b'A') + 10,
            _ => return false,
        } % 97;
    }
    remainder == 1
}

/// Base58Check of a 25-byte payload (Bitcoin P2PKH, P2SH): version byte, hash, four check bytes.
pub(super) fn base58check(text: &[u8]) -> bool {
    // Seven words of 32 bits, the lowest first, of which the last holds one byte.
    let mut words = [0u32; 7];
    for byte in text {
        let value = BASE58.get(usize::from(*byte)).copied();
        let Some(value) = value.filter(|value| *value < 58) else {
            return false;
        };
        let mut carry = u64::from(value);
        for word in &mut words {
            carry += u64::from(*word) * 58;
            *word = carry as u32;
            carry >>= 32;
        }
        if words.last().is_some_and(|last| *last > 0xff) {
            return false;
        }
    }
    let mut payload = [0u8; 28];
    let (slots, _) = payload.as_chunks_mut();
    for (slot, word) in slots.iter_mut().zip(words.iter().rev()) {
        *slot = word.to_be_bytes();
    }
    let (body, check) = payload.split_at(24);
    let body = body.get(3..).unwrap_or_default();
    let digest = Sha256::digest(Sha256::digest(body));
    digest.get(..4) == Some(check)
}

/// The value of each letter of Base58; 58 of what is none.
static BASE58: [u8; 256] = base58();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn base58() -> [u8; 256] {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut values = [58; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
}

/// BIP 173 and BIP 350: `text` is the whole lower-case address, its prefix ends at the last `1`.
pub(super) fn bech32(text: &[u8]) -> bool {
    const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let Some(border) = text.iter().rposition(|byte| *byte == b'1') else {
        return false;
    };
    let (prefix, data) = (
        text.get(..border).unwrap_or_default(),
        text.get(border + 1..).unwrap_or_default(),
    );
    let mut sum = 1u32;
    let mut step = |value: u32| {
        let top = sum >> 25;
        sum = ((sum & 0x1ff_ffff) << 5) ^ value;
        for (bit, generator) in [
            0x3b6a_57b2u32,
            0x2650_8e6d,
            0x1ea1_19fa,
            0x3d42_33dd,
            0x2a14_62b3,
        ]
        .into_iter()
        .enumerate()
        {
            if (top >> bit) & 1 == 1 {
                sum ^= generator;
            }
        }
    };
    prefix.iter().for_each(|byte| step(u32::from(byte >> 5)));
    step(0);
    prefix.iter().for_each(|byte| step(u32::from(byte & 31)));
    for byte in data {
        let Some(value) = ALPHABET.iter().position(|letter| letter == byte) else {
            return false;
        };
        step(u32::try_from(value).unwrap_or(0));
    }
    data.len() > 6 && (sum == 1 || sum == 0x2bc8_30a3)
}

/// Verhoeff's check over digit values, which the dihedral group of order ten makes.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    const PERMUTATION: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let multiply = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a - 5 + 5 - b) % 5,
        (false, false) => (a - 5 + 5 - (b - 5)) % 5,
    };
    let permuted = |digit: u8, times: usize| {
        (0..times % 8).fold(digit, |digit, _| {
            PERMUTATION.get(usize::from(digit)).copied().unwrap_or(0)
        })
    };
    let places = digits.iter().rev().enumerate();
    places.fold(0, |sum, (place, digit)| {
        multiply(sum, permuted(*digit, place))
    }) == 0
}
