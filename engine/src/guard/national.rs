//! Numbers that states and their offices give to people, companies and cars.
//!
//! Most are bare digits, so a word has to name them; then form and check digits decide. A few have a
//! form so strong that they need no word.

#[cfg(test)]
mod tests;

use super::Kind;
use super::checksum::{luhn, verhoeff};
use super::number::{Lengths, Run, Separator};
use super::scanner::{Scanner, is_word};

/// Longest identifier without its separators.
const LEN_MAX: usize = 17;

/// One identifier: how it is written (`9` a digit, `A` a letter, `N` either) and its check over the
/// capitals and digits of it.
struct Identifier {
    kind: Kind,
    forms: &'static [&'static str],
    check: fn(&[u8]) -> bool,
}

const fn id(kind: Kind, forms: &'static [&'static str], check: fn(&[u8]) -> bool) -> Identifier {
    Identifier { kind, forms, check }
}

static IDENTIFIERS: &[Identifier] = &[
    id(Kind::UsItin, &["999999999"], itin),
    id(Kind::UsNpi, &["9999999999"], npi),
    id(Kind::UsMbi, &["9ANN9AN9AA99", "9AN9AN9AA99"], mbi),
    id(Kind::UsDea, &["AA9999999"], dea),
    id(Kind::UsRouting, &["999999999"], routing),
    id(Kind::UkNhs, &["9999999999"], nhs),
    id(Kind::UkNino, &["AA999999A"], nino),
    id(Kind::CaSin, &["999999999"], sin),
    id(Kind::AuTfn, &["999999999"], |id| {
        weighted(id, &[1, 4, 3, 7, 5, 8, 6, 9, 10], 11)
    }),
    id(Kind::AuAbn, &["99999999999"], abn),
    id(Kind::AuAcn, &["999999999"], |id| {
        weighted(id, &[8, 7, 6, 5, 4, 3, 2, 1, 1], 10)
    }),
    id(Kind::AuMedicare, &["9999999999", "99999999999"], medicare),
    id(Kind::InAadhaar, &["999999999999"], aadhaar),
    id(Kind::InPan, &["AAAAA9999A"], |id| {
        matches!(
            id.get(3),
            Some(b'A' | b'B' | b'C' | b'F' | b'G' | b'H' | b'J' | b'L' | b'P' | b'T')
        )
    }),
    id(Kind::InGstin, &["99AAAAA9999ANAN"], gstin),
    id(Kind::SgNric, &["A9999999A"], nric),
    id(Kind::ThId, &["9999999999999"], thai),
    id(Kind::KrRrn, &["9999999999999"], rrn),
    id(Kind::JpMyNumber, &["999999999999"], my_number),
    id(Kind::CnId, &["99999999999999999N"], resident),
    id(Kind::HkId, &["A999999N", "AA999999N"], hong_kong),
    id(Kind::TwId, &["A999999999"], taiwan),
    id(Kind::TrId, &["99999999999"], turkish),
    id(Kind::ZaId, &["9999999999999"], |id| {
        over_digits(luhn, b"", id) && is_date(id, 2, 4)
    }),
    id(Kind::BrCpf, &["99999999999"], cpf),
    id(Kind::BrCnpj, &["99999999999999"], cnpj),
    id(Kind::EsNif, &["99999999A", "A9999999A"], nif),
    id(Kind::ItFiscalCode, &["AAAAAA99A99A999A"], fiscal_code),
    id(Kind::FrNir, &["999999999999999"], nir),
    id(Kind::DeTaxId, &["99999999999"], steuer_id),
    id(Kind::DeSocialSecurity, &["99999999A999"], german_pension),
    id(Kind::PlPesel, &["99999999999"], |id| {
        weighted(id, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1], 10)
    }),
    id(Kind::FiHetu, &["999999999N", "999999A999N"], hetu),
    id(
        Kind::SePersonnummer,
        &["9999999999", "999999999999"],
        personnummer,
    ),
    id(Kind::NoId, &["99999999999"], norwegian),
    id(Kind::DkCpr, &["9999999999"], |id| is_date(id, 2, 0)),
    id(Kind::NlBsn, &["999999999"], |id| {
        weighted(id, &[9, 8, 7, 6, 5, 4, 3, 2, 10], 11)
    }),
    id(Kind::BeNationalNumber, &["99999999999"], belgian),
    id(Kind::ChAhv, &["9999999999999"], ahv),
    id(Kind::IePps, &["9999999A", "9999999AA"], pps),
    id(Kind::PtNif, &["999999999"], portuguese),
    id(
        Kind::VnTaxCode,
        &["9999999999999", "9999999999"],
        vietnamese_tax,
    ),
    id(
        Kind::LicencePlate,
        &["99A99999", "99A9999", "99A999999", "99AA99999", "99AA9999"],
        |id| id.first().is_some_and(|first| *first != b'0'),
    ),
    id(Kind::Vin, &["NNNNNNNNNNNNNNNNN"], vin),
];

/// The end of an identifier of this kind that begins at `start`.
pub(super) fn named(scan: &Scanner<'_>, start: usize, kind: Kind) -> Option<usize> {
    let row = IDENTIFIERS.iter().find(|row| row.kind == kind)?;
    row.forms.iter().find_map(|form| {
        let (id, end) = compact(scan, start, form)?;
        (row.check)(id.get(..form.len())?).then_some(end)
    })
}

/// Reads as many characters as `form` has, with single separators between; ends where a word does.
fn compact(scan: &Scanner<'_>, start: usize, form: &str) -> Option<([u8; LEN_MAX + 1], usize)> {
    let mut id = [0; LEN_MAX + 1];
    let mut at = start;
    for (index, wanted) in form.bytes().enumerate() {
        if index > 0 && matches!(scan.at(at), b' ' | b'-' | b'.' | b'/' | b'+' | b'(') {
            at += 1;
        }
        let byte = scan.at(at).to_ascii_uppercase();
        let fits = match wanted {
            b'9' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_uppercase(),
            _ => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
        };
        if !fits {
            return None;
        }
        *id.get_mut(index)? = byte;
        at += 1;
    }
    at += usize::from(scan.at(at) == b')' && scan.byte_before(at - 1) == b'(');
    let glued = is_word(scan.at(at))
        || matches!(scan.at(at), b'-' | b'/' | b'.') && scan.at(at + 1).is_ascii_digit();
    (!glued).then_some((id, at))
}

/// An identifier whose form needs no word: the group after it, and its kind.
pub(super) fn strong(run: &Run, from: usize) -> Option<(usize, Kind)> {
    if !matches!(run.len_of(from), 2 | 3 | 18) {
        return None;
    }
    let between = |index: usize| run.separator(from + index);
    let (count, kind): (usize, Kind) = if run.has(from, Lengths::of(&[18])) {
        (1, Kind::CnId)
    } else if run.has(from, Lengths::of(&[3, 4, 4, 2]))
        && run.between(from, from + 4) == Some(Separator::Dot)
    {
        (4, Kind::ChAhv)
    } else if run.has(from, Lengths::of(&[3, 3, 3, 2]))
        && between(1) == Separator::Dot
        && between(2) == Separator::Dot
        && between(3) == Separator::Dash
    {
        (4, Kind::BrCpf)
    } else if run.has(from, Lengths::of(&[2, 3, 3, 4, 2]))
        && between(3) == Separator::Slash
        && between(4) == Separator::Dash
    {
        (5, Kind::BrCnpj)
    } else {
        return None;
    };
    let to = from + count;
    if !run.free_left(from) || !run.free_right(to) {
        return None;
    }
    let mut id = [0; LEN_MAX + 1];
    let digits = run.digits(from, to);
    for (slot, digit) in id.iter_mut().zip(digits) {
        *slot = digit + b'0';
    }
    let row = IDENTIFIERS.iter().find(|row| row.kind == kind)?;
    (row.check)(id.get(..digits.len())?).then_some((to, kind))
}

/// The same for a word of letters and digits.
pub(super) fn strong_word(word: &[u8]) -> Option<Kind> {
    let upper = |word: &[u8]| {
        word.iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    match word.len() {
        16 if upper(word) && has_form(word, "AAAAAA99A99A999A") && fiscal_code(word) => {
            Some(Kind::ItFiscalCode)
        }
        17 if upper(word) && vin(word) => Some(Kind::Vin),
        18 if word.ends_with(b"X") && resident(word) => Some(Kind::CnId),
        15 if upper(word) && has_form(word, "99AAAAA9999ANAN") && gstin(word) => {
            Some(Kind::InGstin)
        }
        _ => None,
    }
}

fn has_form(word: &[u8], form: &str) -> bool {
    word.len() == form.len()
        && word
            .iter()
            .zip(form.bytes())
            .all(|(byte, wanted)| match wanted {
                b'9' => byte.is_ascii_digit(),
                b'A' => byte.is_ascii_uppercase(),
                _ => true,
            })
}

/// Digit values; of letters, 10 and more.
fn value(byte: u8) -> u32 {
    char::from(byte).to_digit(36).unwrap_or(0)
}

/// `check` over the digit values of `prefix` and `id`.
fn over_digits(check: fn(&[u8]) -> bool, prefix: &[u8], id: &[u8]) -> bool {
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

fn weighted(id: &[u8], weights: &[u32], modulus: u32) -> bool {
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
fn is_date(id: &[u8], month: usize, day: usize) -> bool {
    (1..=12).contains(&part(id, month, month + 2)) && (1..=31).contains(&part(id, day, day + 2))
}

fn itin(id: &[u8]) -> bool {
    id.first() == Some(&b'9') && matches!(part(id, 3, 5), 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// ISO/IEC 7812 prefix 80840 before the number (45 CFR 162.406).
fn npi(id: &[u8]) -> bool {
    matches!(id.first(), Some(b'1' | b'2')) && over_digits(luhn, b"80840", id)
}

fn mbi(id: &[u8]) -> bool {
    id.len() == 11
        && id.first() != Some(&b'0')
        && !id
            .iter()
            .any(|byte| matches!(byte, b'S' | b'L' | b'O' | b'I' | b'B' | b'Z'))
}

fn dea(id: &[u8]) -> bool {
    let sum = digit(id, 2)
        + digit(id, 4)
        + digit(id, 6)
        + 2 * (digit(id, 3) + digit(id, 5) + digit(id, 7));
    sum % 10 == digit(id, 8)
}

fn routing(id: &[u8]) -> bool {
    matches!(part(id, 0, 2), 0..=12 | 21..=32 | 61..=72 | 80)
        && weighted(id, &[3, 7, 1, 3, 7, 1, 3, 7, 1], 10)
}

fn nhs(id: &[u8]) -> bool {
    weighted(id, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 11)
}

fn nino(id: &[u8]) -> bool {
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

fn sin(id: &[u8]) -> bool {
    !matches!(id.first(), Some(b'0' | b'8')) && over_digits(luhn, b"", id)
}

fn abn(id: &[u8]) -> bool {
    sum(id, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]) % 89 == 10
}

fn medicare(id: &[u8]) -> bool {
    matches!(id.first(), Some(b'2'..=b'6'))
        && sum(id.get(..8).unwrap_or_default(), &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == digit(id, 8)
}

fn aadhaar(id: &[u8]) -> bool {
    !matches!(id.first(), Some(b'0' | b'1')) && over_digits(verhoeff, b"", id)
}

fn gstin(id: &[u8]) -> bool {
    let body = id.get(..14).unwrap_or_default();
    let sum: u32 = body
        .iter()
        .zip([1, 2].into_iter().cycle())
        .map(|(byte, factor)| value(*byte) * factor)
        .map(|product| product / 36 + product % 36)
        .sum();
    (1..=38).contains(&part(id, 0, 2)) && (36 - sum % 36) % 36 == digit(id, 14)
}

fn nric(id: &[u8]) -> bool {
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

fn thai(id: &[u8]) -> bool {
    let sum = sum(
        id.get(..12).unwrap_or_default(),
        &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2],
    );
    matches!(id.first(), Some(b'1'..=b'8')) && (11 - sum % 11) % 10 == digit(id, 12)
}

/// Date, then a digit for sex and century; numbers given since October 2020 have no check digit.
fn rrn(id: &[u8]) -> bool {
    is_date(id, 2, 4) && matches!(id.get(6), Some(b'1'..=b'8'))
}

fn my_number(id: &[u8]) -> bool {
    let rest = sum(id, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest <= 1 { 0 } else { 11 - rest };
    check == digit(id, 11)
}

/// ISO 7064 MOD 11-2 (GB 11643-1999).
fn resident(id: &[u8]) -> bool {
    if id.len() != 18 || !id.iter().take(17).all(u8::is_ascii_digit) {
        return false;
    }
    let rest = sum(id, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11;
    b"10X98765432".get(rest as usize) == id.last()
        && is_date(id, 10, 12)
        && matches!(part(id, 6, 8), 19 | 20)
}

fn hong_kong(id: &[u8]) -> bool {
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

fn taiwan(id: &[u8]) -> bool {
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

fn turkish(id: &[u8]) -> bool {
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

fn cpf(id: &[u8]) -> bool {
    !is_uniform(id)
        && brazilian(id, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id, 9)
        && brazilian(id, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id, 10)
}

fn cnpj(id: &[u8]) -> bool {
    !is_uniform(id)
        && brazilian(id, &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id, 12)
        && brazilian(id, &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id, 13)
}

fn nif(id: &[u8]) -> bool {
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
fn fiscal_code(id: &[u8]) -> bool {
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

fn nir(id: &[u8]) -> bool {
    matches!(id.first(), Some(b'1' | b'2'))
        && matches!(part(id, 3, 5), 1..=12 | 20..=42 | 50..=99)
        && 97 - part(id, 0, 13) % 97 == part(id, 13, 15)
}

/// ISO 7064 MOD 11,10.
fn steuer_id(id: &[u8]) -> bool {
    let product = id.iter().take(10).fold(10, |product, byte| {
        let sum = (value(*byte) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    id.first() != Some(&b'0') && (11 - product) % 10 == digit(id, 10)
}

fn german_pension(id: &[u8]) -> bool {
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

fn hetu(id: &[u8]) -> bool {
    let century = usize::from(id.len() == 11);
    let serial = part(id, 6 + century, 9 + century);
    let rest = (part(id, 0, 6) * 1000 + serial) % 31;
    is_date(id, 2, 0) && b"0123456789ABCDEFHJKLMNPRSTUVWXY".get(rest as usize) == id.last()
}

fn personnummer(id: &[u8]) -> bool {
    let short = id.get(id.len().saturating_sub(10)..).unwrap_or_default();
    over_digits(luhn, b"", short) && is_date(short, 2, 4)
}

fn norwegian(id: &[u8]) -> bool {
    is_date(id, 2, 0)
        && weighted(id, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1], 11)
        && weighted(id, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1], 11)
}

fn belgian(id: &[u8]) -> bool {
    let check = part(id, 9, 11);
    let body = part(id, 0, 9);
    check == 97 - body % 97 || check == 97 - (2_000_000_000 + body) % 97
}

fn ahv(id: &[u8]) -> bool {
    id.starts_with(b"756") && weighted(id, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1], 10)
}

fn pps(id: &[u8]) -> bool {
    let second = id.get(8).map_or(0, |byte| value(*byte).saturating_sub(9));
    let rest = (sum(id, &[8, 7, 6, 5, 4, 3, 2]) + second * 9) % 23;
    b"WABCDEFGHIJKLMNOPQRSTUV".get(rest as usize) == id.get(7)
}

fn portuguese(id: &[u8]) -> bool {
    matches!(
        id.first(),
        Some(b'1' | b'2' | b'3' | b'5' | b'6' | b'8' | b'9')
    ) && brazilian(id, &[9, 8, 7, 6, 5, 4, 3, 2]) == digit(id, 8)
}

/// Circular 105/2020/TT-BTC: ten digits, and three more for a branch.
fn vietnamese_tax(id: &[u8]) -> bool {
    10 - sum(id, &[31, 29, 23, 19, 17, 13, 7, 5, 3]) % 11 == digit(id, 9)
}

/// ISO 3779 with the check digit of North America (49 CFR 565.15).
fn vin(id: &[u8]) -> bool {
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
