//! Telephone numbers: international by country code, national by the numbering plans of the
//! countries our users write from, anything plausible after a word that says so.

use super::Evidence;
use super::number::{Lengths, Run, Separator};
use super::shape::Fit;

/// Digits of an international number (ITU-T E.164).
const E164_DIGITS_MAX: usize = 15;
/// Digits of a number as it is dialled within its country.
const NATIONAL_DIGITS_MIN: usize = 7;
const NATIONAL_DIGITS_MAX: usize = 12;

/// Some form that is dialled begins like group `from`.
pub(super) fn may_be_dialled(run: &Run, from: usize) -> bool {
    let first = run.digits(from, from + 1).first();
    // Without a trunk prefix only North America's numbers and China's are dialled.
    first.is_some_and(|first| *first <= 1)
        || from == 0 && run.plus
        || run.len_of(from) == 3 && matches!(run.len_of(from + 1), 3 | 7)
}

/// A number in one of the forms that are dialled.
pub(super) fn dialled(run: &Run, from: usize) -> Option<Fit> {
    if !run.free_left(from) {
        return None;
    }
    let fit = international(run, from).or_else(|| national(run, from))?;
    Some(begun(run, from, fit))
}

/// Any number that could be one.
pub(super) fn told(run: &Run, from: usize) -> Option<Fit> {
    if !run.free_left(from) {
        return None;
    }
    announced(run, from).map(|fit| begun(run, from, fit))
}

fn begun(run: &Run, from: usize, fit: Fit) -> Fit {
    Fit {
        start: start(run, from, fit.to),
        ..fit
    }
}

/// `+` belongs to the number, `(` only when it is closed inside.
fn start(run: &Run, from: usize, to: usize) -> Option<usize> {
    let first = run.start_of(from);
    let closes = (from + 1..to).any(|index| run.separator(index) == Separator::Close);
    if from > 0 {
        let open = run.separator(from) == Separator::Open && closes;
        return open.then(|| first - 1);
    }
    let sign = usize::from(run.plus);
    Some(first - sign - usize::from(run.open && closes))
}

fn international(run: &Run, from: usize) -> Option<Fit> {
    let plus = from == 0 && run.plus;
    let exit = run.digits(from, from + 1).starts_with(&[0, 0]);
    if !plus && !exit {
        return None;
    }
    let skip = if plus { 0 } else { 2 };
    let mut best = None;
    for to in from + 1..=run.len().min(from + 8) {
        if to > from + 1 && !joins(run, to - 1) {
            break;
        }
        let mut digits = [0u8; E164_DIGITS_MAX + 3];
        let mut len = 0;
        for index in from..to {
            // The trunk prefix in `+44 (0)161` is not dialled.
            if run.separator(index) == Separator::Open && run.digits(index, index + 1) == [0] {
                continue;
            }
            for digit in run.digits(index, index + 1) {
                *digits.get_mut(len)? = *digit;
                len += 1;
            }
        }
        let Some(dialled) = digits.get(skip..len) else {
            continue;
        };
        if dialled.len() > E164_DIGITS_MAX {
            break;
        }
        if plan(dialled) && run.free_right(to) {
            best = Some(to);
        }
    }
    Some(Fit::new(
        best?,
        if plus {
            Evidence::Proof
        } else {
            Evidence::Shape
        },
    ))
}

/// Country code and national number have lengths that exist (E.164, national plans).
fn plan(dialled: &[u8]) -> bool {
    let lead = |count: usize| {
        dialled
            .iter()
            .take(count)
            .fold(0u32, |number, digit| number * 10 + u32::from(*digit))
    };
    let len = dialled.len();
    let (code, least, most) = match (lead(1), lead(2), lead(3)) {
        (1, ..) => (1, 10, 10),
        (7, ..) => (1, 10, 10),
        (_, 33, _) => (2, 9, 9),
        (_, 84, _) => (2, 9, 10),
        (_, 86, _) => (2, 10, 11),
        (_, 81, _) => (2, 9, 10),
        (_, 82, _) => (2, 8, 10),
        (_, 91, _) => (2, 10, 10),
        (_, 44, _) => (2, 9, 10),
        (_, 49, _) => (2, 6, 11),
        (_, 34, _) => (2, 9, 9),
        (_, 39, _) => (2, 8, 11),
        (_, 61, _) => (2, 9, 9),
        (_, 55, _) => (2, 10, 11),
        (_, 52, _) => (2, 10, 11),
        (_, 65, _) => (2, 8, 8),
        (_, 66, _) => (2, 8, 9),
        (_, 62, _) => (2, 8, 12),
        (_, 60, _) => (2, 8, 10),
        (_, 63, _) => (2, 9, 10),
        (_, 41, _) => (2, 9, 9),
        (_, 43, _) => (2, 7, 13),
        (_, 31, _) => (2, 9, 9),
        (_, 32, _) => (2, 8, 9),
        (
            _,
            20 | 27 | 30 | 36 | 40 | 45..=48 | 51 | 53 | 54 | 56..=58 | 64 | 90 | 92..=95 | 98,
            _,
        ) => (2, 7, 11),
        (
            _,
            _,
            210..=299
            | 350..=389
            | 420..=429
            | 500..=509
            | 590..=599
            | 670..=699
            | 800..=899
            | 960..=999,
        ) => (3, 6, 12),
        _ => return false,
    };
    (least..=most).contains(&len.saturating_sub(code))
        && dialled
            .get(code)
            .is_some_and(|digit| *digit != 0 || code == 2 && lead(2) == 39)
}

/// What stands before group `index` may stand inside of a number.
fn joins(run: &Run, index: usize) -> bool {
    matches!(
        run.separator(index),
        Separator::Space | Separator::Dash | Separator::Dot | Separator::Open | Separator::Close
    )
}

fn national(run: &Run, from: usize) -> Option<Fit> {
    let bare = run.digits(from, from + 1).first()? > &1;
    if bare && !run.has(from, Lengths::of(&[3, 3, 4])) && !run.has(from, Lengths::of(&[3, 7])) {
        return None;
    }
    let mut best = None;
    for to in from + 1..=run.len().min(from + 6) {
        let slash = to == from + 2 && run.separator(to - 1) == Separator::Slash;
        if to > from + 1 && !slash && !joins(run, to - 1) {
            break;
        }
        let digits = run.digits(from, to);
        if digits.len() > NATIONAL_DIGITS_MAX {
            break;
        }
        if digits.len() < NATIONAL_DIGITS_MIN || !run.free_right(to) {
            continue;
        }
        if let Some(evidence) = domestic(run, from, to, digits) {
            best = Some(Fit::new(to, evidence));
        }
    }
    best
}

fn domestic(run: &Run, from: usize, to: usize, digits: &[u8]) -> Option<Evidence> {
    let count = to - from;
    let lengths = |lengths: &[u8]| {
        let lengths = Lengths::of(lengths);
        count == lengths.count() && run.has(from, lengths)
    };
    // More groups of the same length beside it: a longer number in groups, or a list of numbers.
    let alike = |outer: usize, inner: usize| run.len_of(outer) == run.len_of(inner);
    if count > 1 && (from > 0 && alike(from - 1, from) || to < run.len() && alike(to, to - 1)) {
        return None;
    }
    let uniform = count == 1
        || matches!(
            run.between(from, to),
            Some(Separator::Space | Separator::Dash | Separator::Dot)
        );
    let bracketed = run.separator(from + 1) == Separator::Close
        && (from == 0 && run.open || run.separator(from) == Separator::Open);
    if digits.iter().filter(|digit| **digit == 0).count() + 2 >= digits.len() {
        return None;
    }
    let tidy = uniform || bracketed && count <= 4;
    let shape = Some(Evidence::Shape);
    match (digits.len(), digits) {
        // Viet Nam: mobile 03, 05, 07, 08, 09; landlines 02.
        (10, [0, 3 | 5 | 7 | 8 | 9, second, ..]) if tidy && run.len_of(to - 1) > 1 => {
            let mobile = match digits.get(1) {
                Some(3) => *second >= 2,
                Some(5) => matches!(second, 2 | 5 | 6 | 8 | 9),
                Some(7) => matches!(second, 0 | 6..=9),
                Some(8) => *second >= 1,
                _ => true,
            };
            let french = lengths(&[2, 2, 2, 2, 2]);
            let japanese = lengths(&[2, 4, 4]) || lengths(&[3, 3, 4]);
            if mobile || french || japanese && count > 1 {
                shape
            } else {
                Some(Evidence::Context)
            }
        }
        (11, [0, 2, ..])
            if tidy
                && (lengths(&[4, 4, 3])
                    || lengths(&[3, 4, 4])
                    || lengths(&[4, 3, 4])
                    || lengths(&[3, 3, 5])
                    || lengths(&[4, 7])
                    || lengths(&[3, 8])
                    || lengths(&[2, 4, 5])) =>
        {
            shape
        }
        // France: five pairs.
        (10, [0, 1..=9, ..]) if lengths(&[2, 2, 2, 2, 2]) && uniform => shape,
        // Japan: mobile 0x0-xxxx-xxxx, cities 0x-xxxx-xxxx, towns 0xx-xxx-xxxx.
        (11, [0, 5 | 7 | 8 | 9, 0, ..]) if lengths(&[3, 4, 4]) && uniform => shape,
        (10, [0, 1..=9, ..])
            if uniform && (lengths(&[2, 4, 4]) || lengths(&[3, 3, 4]) || lengths(&[4, 2, 4])) =>
        {
            shape
        }
        // United Kingdom: 07xxx xxxxxx, 020 xxxx xxxx, 0xxx xxx xxxx.
        (11, [0, 1 | 2 | 7, ..])
            if uniform
                && (lengths(&[5, 6])
                    || lengths(&[3, 4, 4])
                    || lengths(&[4, 3, 4])
                    || lengths(&[5, 3, 3])) =>
        {
            shape
        }
        // Germany: 01xx mobile, grouped.
        (11 | 12, [0, 1, 5..=7, ..]) if count == 2 && run.len_of(from) == 4 => shape,
        // China: mobile 1[3-9].
        (11, [1, 3..=9, ..]) if lengths(&[3, 4, 4]) && uniform => shape,
        // North America: area and exchange start with 2-9.
        (10, _) if tidy && lengths(&[3, 3, 4]) && nanp(digits) => shape,
        (11, [1, rest @ ..]) if lengths(&[1, 3, 3, 4]) && nanp(rest) => shape,
        (10, _) if lengths(&[3, 7]) && bracketed && nanp(digits) => shape,
        // Germany: area code, a slash, the number.
        (7..=12, [0, 1..=9, ..])
            if count == 2
                && run.separator(from + 1) == Separator::Slash
                && matches!(run.len_of(from), 3..=5) =>
        {
            Some(Evidence::Context)
        }
        _ => None,
    }
}

fn nanp(digits: &[u8]) -> bool {
    matches!(digits, [2..=9, area, third, 2..=9, ..] if (*area, *third) != (1, 1))
}

/// Any number of a plausible length; a word must announce it.
fn announced(run: &Run, from: usize) -> Option<Fit> {
    let mut best = None;
    for to in from + 1..=run.len().min(from + 6) {
        if to > from + 1 && !joins(run, to - 1) {
            break;
        }
        let len = run.count(from, to);
        if len > 12 {
            break;
        }
        if len >= 7 && run.free_right(to) && !is_date(run, from, to) && !is_decimal(run, from, to) {
            best = Some(Fit::new(to, Evidence::Context));
        }
        // A number that is long enough does not go on after a space.
        if len >= 9 {
            break;
        }
    }
    best
}

/// `2018-12-24`.
fn is_date(run: &Run, from: usize, to: usize) -> bool {
    to - from == 3
        && run.has(from, Lengths::of(&[4, 2, 2]))
        && matches!(run.digits(from, to), [1, 9, ..] | [2, 0, ..])
}

/// `10.762622`.
fn is_decimal(run: &Run, from: usize, to: usize) -> bool {
    to - from == 2
        && run.separator(from + 1) == Separator::Dot
        && run.len_of(from) <= 3
        && run.len_of(from + 1) >= 5
}
