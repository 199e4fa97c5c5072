//! Bank accounts and wallets, which check themselves.

use super::super::Kind;
use super::super::checksum::{base58check, bech32, mod97};
use super::super::scanner::{Scanner, is_word};

/// Length of an IBAN by country (SWIFT IBAN registry, release 99).
fn iban_len(country: &[u8]) -> Option<usize> {
    Some(match country {
        b"NO" => 15,
        b"BE" => 16,
        b"DK" | b"FI" | b"FO" | b"GL" | b"NL" | b"FK" | b"SD" => 18,
        b"MK" | b"SI" => 19,
        b"AT" | b"BA" | b"EE" | b"KZ" | b"LT" | b"LU" | b"XK" | b"MN" => 20,
        b"CH" | b"HR" | b"LI" | b"LV" => 21,
        b"BG" | b"BH" | b"CR" | b"DE" | b"GB" | b"GE" | b"IE" | b"ME" | b"RS" | b"VA" => 22,
        b"AE" | b"GI" | b"IL" | b"IQ" | b"TL" | b"OM" | b"SO" => 23,
        b"AD" | b"CZ" | b"ES" | b"MD" | b"PK" | b"RO" | b"SA" | b"SE" | b"SK" | b"TN" | b"VG" => 24,
        b"LY" | b"PT" | b"ST" => 25,
        b"IS" | b"TR" => 26,
        b"BI" | b"DJ" | b"FR" | b"GR" | b"IT" | b"MC" | b"MR" | b"SM" => 27,
        b"AL" | b"AZ" | b"BY" | b"CY" | b"DO" | b"GT" | b"HN" | b"HU" | b"LB" | b"NI" | b"PL"
        | b"SV" => 28,
        b"BR" | b"EG" | b"PS" | b"QA" | b"UA" => 29,
        b"JO" | b"KW" | b"MU" | b"YE" => 30,
        b"MT" | b"SC" => 31,
        b"LC" => 32,
        b"RU" => 33,
        _ => return None,
    })
}

/// An IBAN that begins at `start`, compact or in groups.
pub(super) fn iban(scan: &mut Scanner<'_>, start: usize) -> Option<usize> {
    let len = iban_len(scan.slice(start, start + 2))?;
    if scan.byte_before(start) == b'-' {
        return None;
    }
    let mut compact = [0u8; 34];
    let mut filled = 0;
    let mut end = start;
    while filled < len {
        let byte = scan.at(end);
        if byte.is_ascii_uppercase() || byte.is_ascii_digit() {
            *compact.get_mut(filled)? = byte;
            filled += 1;
            end += 1;
            continue;
        }
        let gap = match byte {
            b' ' | b'-' => 1,
            0xc2 if scan.at(end + 1) == 0xa0 => 2,
            0xe2 if scan.at(end + 1) == 0x80 && matches!(scan.at(end + 2), 0x80..=0x94 | 0xaf) => 3,
            _ => return None,
        };
        if filled == 0 || filled % 2 != 0 {
            return None;
        }
        end += gap;
    }
    if is_word(scan.at(end)) {
        return None;
    }
    if !mod97(compact.get(..len)?) {
        // A mistyped account holds no card.
        return Some(end);
    }
    scan.found(Kind::Iban, start, end);
    Some(end)
}

/// A wallet address with its checksum.
pub(super) fn wallet(scan: &mut Scanner<'_>, start: usize, end: usize) -> Option<usize> {
    let word = scan.slice(start, end);
    let valid = match word {
        [b'0', b'x' | b'X', hex @ ..] => hex.len() == 40 && hex.iter().all(u8::is_ascii_hexdigit),
        [b'b', b'c', b'1', ..] | [b't', b'b', b'1', ..] if matches!(word.len(), 14..=90) => {
            bech32(word)
        }
        [b'B', b'C', b'1', ..] if matches!(word.len(), 14..=90) => {
            let mut lower = [0u8; 90];
            let lower = lower.get_mut(..word.len())?;
            lower.copy_from_slice(word);
            lower.make_ascii_lowercase();
            bech32(lower)
        }
        [b'1' | b'3', ..] if matches!(word.len(), 25..=35) => base58check(word),
        _ => false,
    };
    if !valid {
        return None;
    }
    scan.found(Kind::Crypto, start, end);
    Some(end)
}
