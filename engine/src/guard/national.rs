//! Numbers that states and their offices give to people, companies and cars.
//!
//! Most are bare digits, so a word has to name them; then form and check digits decide. A few have a
//! form so strong that they need no word.

mod check;
#[cfg(test)]
mod tests;

use super::Kind;
use super::checksum::luhn;
use super::number::{Lengths, Run, Separator};
use super::scanner::{Scanner, is_word};
use check::{
    aadhaar, abn, ahv, belgian, cnpj, cpf, dea, fiscal_code, german_pension, gstin, hetu,
    hong_kong, is_date, itin, mbi, medicare, my_number, nhs, nif, nino, nir, norwegian, npi, nric,
    over_digits, personnummer, portuguese, pps, resident, routing, rrn, sin, steuer_id, taiwan,
    thai, turkish, vietnamese_tax, vin, weighted,
};

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
