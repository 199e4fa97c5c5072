//! Check digits and other rules of each identifier, over its capitals and digits.

use super::super::checksum::{luhn, verhoeff};

/// Digit values; of letters, 10 and more.
fn value(byte: u8) -> u32 {
    char::from(byte).to_digit(36).unwrap_or(0)
}

/// `check` over the digit values of `prefix` and `id`.
pub(super) fn over_digits(check: fn(&[u8]) -> bool, prefix: &[u8], id: &[u8]) -> bool {
    let mut digits = [0; 24];
    for (slot, byte) in digits.iter_mut().zip(prefix.iter().chain(id)) {
        *slot = byte.wrapping_sub(b'0');
    }
    digits.get(..prefix.len() + id.len()).is_some_and(check)
}

fn number(id: &[u8]) -> u64 {
    id.iter()
        .fold(0, |number, byte| number * 10 + u64::from(value(*byte)))
}

fn sum(id: &[u8], weights: &[u32]) -> u32 {
    id.iter()
        .zip(weights)
        .map(|(byte, weight)| value(*byte) * weight)
        .sum()
}

pub(super) fn weighted(id: &[u8], weights: &[u32], modulus: u32) -> bool {
    sum(id, weights).is_multiple_of(modulus) && !is_uniform(id)
}

fn is_uniform(id: &[u8]) -> bool {
    id.windows(2)
        .all(|pair| matches!(pair, [first, second] if first == second))
}

fn digit(id: &[u8], index: usize) -> u32 {
    id.get(index).map_or(0, |byte| value(*byte))
}

fn part(id: &[u8], start: usize, end: usize) -> u64 {
    number(id.get(start..end).unwrap_or_default())
}

/// Two digits at `month` and two at `day` can be a date.
pub(super) fn is_date(id: &[u8], month: usize, day: usize) -> bool {
    (1..=12).contains(&part(id, month, month + 2)) && (1..=31).contains(&part(id, day, day + 2))
}

pub(super) fn itin(id: &[u8]) -> bool {
    id.first() == Some(&b'9') && matches!(part(id, 3, 5), 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// ISO/IEC 7812 prefix 80840 before the number (45 CFR 162.406).
pub(super) fn npi(id: &[u8]) -> bool {
    matches!(id.first(), Some(b'1' | b'2')) && over_digits(luhn, b"80840", id)
}

pub(super) fn mbi(id: &[u8]) -> bool {
    id.len() == 11
        && id.first() != Some(&b'0')
        && !id
            .iter()
            .any(|byte| matches!(byte, b'S' | b'L' | b'O' | b'I' | b'B' | b'Z'))
}

pub(super) fn dea(id: &[u8]) -> bool {
    let sum = digit(id, 2)
        + digit(id, 4)
        + digit(id, 6)
        + 2 * (digit(id, 3) + digit(id, 5) + digit(id, 7));
    sum % 10 == digit(id, 8)
}

pub(super) fn routing(id: &[u8]) -> bool {
    matches!(part(id, 0, 2), 0..=12 | 21..=32 | 61..=72 | 80)
        && weighted(id, &[3, 7, 1, 3, 7, 1, 3, 7, 1], 10)
}

pub(super) fn nhs(id: &[u8]) -> bool {
    weighted(id, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 11)
}

pub(super) fn nino(id: &[u8]) -> bool {
    let [first, second, .., last] = id else {
        return false;
    };
    let never = |byte: &u8| matches!(byte, b'D' | b'F' | b'I' | b'Q' | b'U' | b'V');
    !never(first)
        && !never(second)
        && *second != b'O'
        && (b'A'..=b'D').contains(last)
        && !matches!(
            &[*first, *second],
            b"BG" | b"GB" | b"NK" | b"KN" | b"TN" | b"NT" | b"ZZ"
        )
}

pub(super) fn sin(id: &[u8]) -> bool {
    !matches!(id.first(), Some(b'0' | b'8')) && over_digits(luhn, b"", id)
}

pub(super) fn abn(id: &[u8]) -> bool {
    sum(id, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]) % 89 == 10
}

pub(super) fn medicare(id: &[u8]) -> bool {
    matches!(id.first(), Some(b'2'..=b'6'))
        && sum(id.get(..8).unwrap_or_default(), &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == digit(id, 8)
}

pub(super) fn aadhaar(id: &[u8]) -> bool {
    !matches!(id.first(), Some(b'0' | b'1')) && over_digits(verhoeff, b"", id)
}

pub(super) fn gstin(id: &[u8]) -> bool {
    let body = id.get(..14).unwrap_or_default();
    let sum: u32 = body
        .iter()
        .zip([1, 2].into_iter().cycle())
        .map(|(byte, factor)| value(*byte) * factor)
        .map(|product| product / 36 + product % 36)
        .sum();
    (1..=38).contains(&part(id, 0, 2)) && (36 - sum % 36) % 36 == digit(id, 14)
}

pub(super) fn nric(id: &[u8]) -> bool {
    let (Some(first), Some(last)) = (id.first(), id.last()) else {
        return false;
    };
    let (letters, offset): (&[u8; 11], u32) = match first {
        b'S' => (b"JZIHGFEDCBA", 0),
        b'T' => (b"JZIHGFEDCBA", 4),
        b'F' => (b"XWUTRQPNMLK", 0),
        b'G' => (b"XWUTRQPNMLK", 4),
        _ => return false,
    };
    let sum = sum(id.get(1..8).unwrap_or_default(), &[2, 7, 6, 5, 4, 3, 2]) + offset;
    letters.get((sum % 11) as usize) == Some(last)
}

pub(super) fn thai(id: &[u8]) -> bool {
    let sum = sum(
        id.get(..12).unwrap_or_default(),
        &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2],
    );
    matches!(id.first(), Some(b'1'..=b'8')) && (11 - sum % 11) % 10 == digit(id, 12)
}

/// Date, then a digit for sex and century; numbers given since October 2020 have no check digit.
pub(super) fn rrn(id: &[u8]) -> bool {
    is_date(id, 2, 4) && matches!(id.get(6), Some(b'1'..=b'8'))
}

pub(super) fn my_number(id: &[u8]) -> bool {
    let rest = sum(id, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest <= 1 { 0 } else { 11 - rest };
    check == digit(id, 11)
}

/// ISO 7064 MOD 11-2 (GB 11643-1999).
pub(super) fn resident(id: &[u8]) -> bool {
    if id.len() != 18 || !id.iter().take(17).all(u8::is_ascii_digit) {
        return false;
    }
    let rest = sum(id, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11;
    b"10X98765432".get(rest as usize) == id.last()
        && is_date(id, 10, 12)
        && matches!(part(id, 6, 8), 19 | 20)
}

pub(super) fn hong_kong(id: &[u8]) -> bool {
    let letters = id
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    let space = if letters == 1 { 36 * 9 } else { 0 };
    let weights: &[u32] = if letters == 1 {
        &[8, 7, 6, 5, 4, 3, 2, 1]
    } else {
        &[9, 8, 7, 6, 5, 4, 3, 2, 1]
    };
    (space + sum(id, weights)).is_multiple_of(11)
}

pub(super) fn taiwan(id: &[u8]) -> bool {
    const LETTERS: &[u8; 26] = b"ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let Some(place) = LETTERS.iter().position(|letter| Some(letter) == id.first()) else {
        return false;
    };
    let area = place as u32 + 10;
    let sum = area / 10
        + area % 10 * 9
        + sum(
            id.get(1..).unwrap_or_default(),
            &[8, 7, 6, 5, 4, 3, 2, 1, 1],
        );
    matches!(id.get(1), Some(b'1' | b'2' | b'8' | b'9')) && sum.is_multiple_of(10)
}

pub(super) fn turkish(id: &[u8]) -> bool {
    let odd: u32 = [0, 2, 4, 6, 8].iter().map(|index| digit(id, *index)).sum();
    let even: u32 = [1, 3, 5, 7].iter().map(|index| digit(id, *index)).sum();
    let all: u32 = (0..10).map(|index| digit(id, index)).sum();
    id.first() != Some(&b'0')
        && (odd * 7 + 1000 - even) % 10 == digit(id, 9)
        && all % 10 == digit(id, 10)
}

/// A check digit of Brazil's registers: eleven less the remainder, ten and more are zero.
fn brazilian(id: &[u8], weights: &[u32]) -> u32 {
    match sum(id, weights) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    }
}

pub(super) fn cpf(id: &[u8]) -> bool {
    !is_uniform(id)
        && brazilian(id, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id, 9)
        && brazilian(id, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id, 10)
}

pub(super) fn cnpj(id: &[u8]) -> bool {
    !is_uniform(id)
        && brazilian(id, &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id, 12)
        && brazilian(id, &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id, 13)
}

pub(super) fn nif(id: &[u8]) -> bool {
    let lead = match id.first() {
        Some(b'X') => 0,
        Some(b'Y') => 1,
        Some(b'Z') => 2,
        Some(byte) if byte.is_ascii_digit() => u64::from(value(*byte)),
        _ => return false,
    };
    let rest = (lead * 10_000_000 + part(id, 1, 8)) % 23;
    b"TRWAGMYFPDXBNJZSQVHLCKE".get(rest as usize) == id.last()
}

/// Decree of 23 December 1976, article 8.
pub(super) fn fiscal_code(id: &[u8]) -> bool {
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let sum: u32 = id
        .iter()
        .take(15)
        .enumerate()
        .map(|(index, byte)| {
            let place = if byte.is_ascii_digit() {
                value(*byte)
            } else {
                value(*byte).saturating_sub(10)
            };
            if index % 2 == 0 {
                ODD.get(place as usize).copied().unwrap_or(0)
            } else {
                place
            }
        })
        .sum();
    sum % 26 + 10 == digit(id, 15)
}

pub(super) fn nir(id: &[u8]) -> bool {
    matches!(id.first(), Some(b'1' | b'2'))
        && matches!(part(id, 3, 5), 1..=12 | 20..=42 | 50..=99)
        && 97 - part(id, 0, 13) % 97 == part(id, 13, 15)
}

/// ISO 7064 MOD 11,10.
pub(super) fn steuer_id(id: &[u8]) -> bool {
    let product = id.iter().take(10).fold(10, |product, byte| {
        let sum = (value(*byte) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    id.first() != Some(&b'0') && (11 - product) % 10 == digit(id, 10)
}

pub(super) fn german_pension(id: &[u8]) -> bool {
    let letter = digit(id, 8).saturating_sub(9);
    let tail = [letter / 10, letter % 10, digit(id, 9), digit(id, 10)];
    let head = id.iter().take(8).map(|byte| value(*byte));
    let sum: u32 = head
        .chain(tail)
        .zip([2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1])
        .map(|(digit, weight)| digit * weight)
        .map(|product| product / 10 + product % 10)
        .sum();
    sum % 10 == digit(id, 11) && is_date(id, 4, 2)
}

pub(super) fn hetu(id: &[u8]) -> bool {
    let century = usize::from(id.len() == 11);
    let serial = part(id, 6 + century, 9 + century);
    let rest = (part(id, 0, 6) * 1000 + serial) % 31;
    is_date(id, 2, 0) && b"0123456789ABCDEFHJKLMNPRSTUVWXY".get(rest as usize) == id.last()
}

pub(super) fn personnummer(id: &[u8]) -> bool {
    let short = id.get(id.len().saturating_sub(10)..).unwrap_or_default();
    over_digits(luhn, b"", short) && is_date(short, 2, 4)
}

pub(super) fn norwegian(id: &[u8]) -> bool {
    is_date(id, 2, 0)
        && weighted(id, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1], 11)
        && weighted(id, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1], 11)
}

pub(super) fn belgian(id: &[u8]) -> bool {
    let check = part(id, 9, 11);
    let body = part(id, 0, 9);
    check == 97 - body % 97 || check == 97 - (2_000_000_000 + body) % 97
}

pub(super) fn ahv(id: &[u8]) -> bool {
    id.starts_with(b"756") && weighted(id, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1], 10)
}

pub(super) fn pps(id: &[u8]) -> bool {
    let second = id.get(8).map_or(0, |byte| value(*byte).saturating_sub(9));
    let rest = (sum(id, &[8, 7, 6, 5, 4, 3, 2]) + second * 9) % 23;
    b"WABCDEFGHIJKLMNOPQRSTUV".get(rest as usize) == id.get(7)
}

pub(super) fn portuguese(id: &[u8]) -> bool {
    matches!(
        id.first(),
        Some(b'1' | b'2' | b'3' | b'5' | b'6' | b'8' | b'9')
    ) && brazilian(id, &[9, 8, 7, 6, 5, 4, 3, 2]) == digit(id, 8)
}

/// Circular 105/2020/TT-BTC: ten digits, and three more for a branch.
pub(super) fn vietnamese_tax(id: &[u8]) -> bool {
    10 - sum(id, &[31, 29, 23, 19, 17, 13, 7, 5, 3]) % 11 == digit(id, 9)
}

/// ISO 3779 with the check digit of North America (49 CFR 565.15).
pub(super) fn vin(id: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let code = |byte: u8| match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'I' | b'O' | b'Q' => None,
        b'A'..=b'H' => Some(u32::from(byte - b'A') + 1),
        b'J'..=b'R' => Some(u32::from(byte - b'J') + 1),
        b'S'..=b'Z' => Some(u32::from(byte - b'S') + 2),
        _ => None,
    };
    let mut sum = 0;
    for (byte, weight) in id.iter().zip(WEIGHTS) {
        let Some(value) = code(*byte) else {
            return false;
        };
        sum += value * weight;
    }
    let check = b"0123456789X".get((sum % 11) as usize);
    id.len() == 17
        && check == id.get(8)
        && id.iter().filter(|byte| byte.is_ascii_digit()).count() >= 5
        && !is_uniform(id)
}
