//! The shapes of numbers, strongest first.

use super::checksum::luhn;
use super::cue::Cue;
use super::number::{Lengths, Run, Separator};
use super::{Evidence, Kind, network, phone};

/// Words that may stand between a bare number and the phrase that names it.
pub(super) const DISTANCE_MAX: usize = 7;

/// How groups of a run fill a shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// Group after the last one.
    pub(super) to: usize,
    pub(super) evidence: Evidence,
    /// Where it begins when not at its first group.
    pub(super) start: Option<usize>,
}

impl Fit {
    pub(super) const fn new(to: usize, evidence: Evidence) -> Self {
        Self {
            to,
            evidence,
            start: None,
        }
    }
}

/// A row of the table.
pub(super) struct Shape {
    pub(super) kind: Kind,
    /// Phrases that announce it; others speak against it.
    pub(super) cues: &'static [Cue],
    /// It is nothing when no phrase announces it.
    pub(super) told: bool,
    /// Tries it on the groups from an index on.
    pub(super) fits: fn(&Run, usize) -> Option<Fit>,
}

const SHAPES: [Shape; 8] = [
    Shape {
        kind: Kind::Card,
        cues: &[Cue::Card],
        told: false,
        fits: card,
    },
    Shape {
        kind: Kind::Ip,
        cues: &[
            Cue::Ip,
            Cue::Phone,
            Cue::Card,
            Cue::Ssn,
            Cue::NationalId,
            Cue::Papers,
            Cue::Passport,
            Cue::Iban,
        ],
        told: false,
        fits: network::v4,
    },
    Shape {
        kind: Kind::Ssn,
        cues: &[Cue::Ssn],
        told: false,
        fits: ssn,
    },
    Shape {
        kind: Kind::Cccd,
        cues: &[Cue::NationalId, Cue::Papers],
        told: true,
        fits: cccd,
    },
    Shape {
        kind: Kind::Cmnd,
        cues: &[Cue::NationalId, Cue::Papers],
        told: true,
        fits: cmnd,
    },
    Shape {
        kind: Kind::Passport,
        cues: &[Cue::Passport, Cue::Papers],
        told: true,
        fits: passport,
    },
    Shape {
        kind: Kind::Phone,
        cues: &[Cue::Phone],
        told: false,
        fits: phone::dialled,
    },
    Shape {
        kind: Kind::Phone,
        cues: &[Cue::Phone],
        told: true,
        fits: phone::told,
    },
];

static TABLE: [Shape; 8] = SHAPES;

/// The phrase announces a shape that is nothing without it.
pub(super) const fn may_tell(cue: Option<Cue>) -> bool {
    matches!(
        cue,
        Some(Cue::NationalId | Cue::Papers | Cue::Passport | Cue::Phone)
    )
}

/// A bit for each shape.
#[derive(Clone, Copy)]
pub(super) struct Candidates(u8);

/// Shapes that can begin with group `from`.
pub(super) fn candidates(run: &Run, from: usize) -> Candidates {
    let (len, next) = (run.len_of(from), run.len_of(from + 1));
    let row = BY_LENGTHS.get(len.min(LENGTHS - 1));
    let shapes = row.and_then(|row| row.get(next.min(NEXT_LENGTHS - 1)));
    let mut shapes = shapes.copied().unwrap_or_default();
    if run.separator(from + 1) != Separator::Dot {
        shapes &= !IP;
    }
    if !phone::may_be_dialled(run, from) {
        shapes &= !DIALLED;
    }
    Candidates(shapes)
}

impl Candidates {
    /// No phrase announces any.
    pub(super) const fn drop_told(&mut self) {
        self.0 &= !TOLD;
    }
}

impl Iterator for Candidates {
    type Item = &'static Shape;

    fn next(&mut self) -> Option<Self::Item> {
        let shape = TABLE.get(self.0.trailing_zeros() as usize)?;
        self.0 &= self.0 - 1;
        Some(shape)
    }
}

/// Lengths of a first group that are told apart, and of the one after it: longer ones are alike.
const LENGTHS: usize = 21;
const NEXT_LENGTHS: usize = 15;

/// By the lengths of the first two groups the shapes they can begin.
static BY_LENGTHS: [[u8; NEXT_LENGTHS]; LENGTHS] = by_lengths();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn by_lengths() -> [[u8; NEXT_LENGTHS]; LENGTHS] {
    let mut shapes = [[0; NEXT_LENGTHS]; LENGTHS];
    let mut len = 0;
    while len < LENGTHS {
        let mut next = 0;
        while next < NEXT_LENGTHS {
            shapes[len][next] = begun(len, next);
            next += 1;
        }
        len += 1;
    }
    shapes
}

/// Shapes that can begin with groups of these lengths.
const fn begun(len: usize, next: usize) -> u8 {
    let card = matches!((len, next), (12..=19, _) | (4, 4 | 6) | (6, 13) | (8, 8));
    let ip = matches!((len, next), (1..=3, 1..=3));
    let ssn = matches!((len, next), (3, 2) | (9, _));
    let cccd = matches!((len, next), (12, _) | (3, 3) | (4, 4));
    let cmnd = matches!((len, next), (9, _) | (3, 3));
    let passport = matches!(len, 8 | 9);
    // Any may be part of a telephone number.
    let others = DIALLED | 1 << 7;
    card as u8
        | (ip as u8 * IP)
        | (ssn as u8) << 2
        | (cccd as u8) << 3
        | (cmnd as u8) << 4
        | (passport as u8) << 5
        | others
}

const TOLD: u8 = told();
/// Addresses of the Internet, by their place in the table.
const IP: u8 = 1 << 1;
/// Numbers in a form that is dialled.
const DIALLED: u8 = 1 << 6;

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: out of range is an error"
)]
const fn told() -> u8 {
    let mut told = 0;
    let mut shape = 0;
    while shape < SHAPES.len() {
        told |= (SHAPES[shape].told as u8) << shape;
        shape += 1;
    }
    told
}

/// Payment card: issuer range, its lengths, Luhn.
fn card(run: &Run, from: usize) -> Option<Fit> {
    let count = card_groups(run, from)?;
    let to = from + count;
    let digits = run.digits(from, to);
    let dialled = from == 0 && run.plus;
    if dialled || !run.free_left(from) || !card_right(run, to) || !issued(digits) || !luhn(digits) {
        return None;
    }
    let grouped = count > 1;
    Some(Fit::new(
        to,
        if grouped {
            Evidence::Proof
        } else {
            Evidence::Shape
        },
    ))
}

/// A card may be followed by its date or code, not by more of its own groups.
fn card_right(run: &Run, to: usize) -> bool {
    run.free_right(to) && (to >= run.len() || run.len_of(to) < 4)
}

fn card_groups(run: &Run, from: usize) -> Option<usize> {
    const GROUPINGS: [Lengths; 7] = [
        Lengths::of(&[4, 4, 4, 4, 3]),
        Lengths::of(&[4, 4, 4, 4]),
        Lengths::of(&[4, 6, 5]),
        Lengths::of(&[4, 6, 4]),
        Lengths::of(&[4, 4, 4, 1]),
        Lengths::of(&[6, 13]),
        Lengths::of(&[8, 8]),
    ];
    if (12..=19).contains(&run.len_of(from)) {
        return Some(1);
    }
    let groups = GROUPINGS
        .iter()
        .find(|lengths| run.has(from, **lengths))?
        .count();
    let one_separator = matches!(
        run.between(from, from + groups),
        Some(Separator::Space | Separator::Dash | Separator::Dot)
    );
    let follows = from > 0 && run.len_of(from - 1) == 4;
    (one_separator && !follows).then_some(groups)
}

/// Issuer ranges (ISO/IEC 7812 registrations as published by the networks) with their lengths.
fn issued(digits: &[u8]) -> bool {
    let lead = |count: usize| {
        digits
            .iter()
            .take(count)
            .fold(0u32, |number, digit| number * 10 + u32::from(*digit))
    };
    let len = digits.len();
    let (one, two, three, four) = (lead(1), lead(2), lead(3), lead(4));
    let maestro = matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763);
    match len {
        12 => maestro,
        13 => one == 4 || maestro,
        14 => matches!(three, 300..=305) || three == 309 || matches!(two, 36 | 38 | 39) || maestro,
        // American Express, and the older cards of JCB.
        15 => matches!(two, 34 | 37) || matches!(four, 2131 | 1800) || maestro,
        16 => {
            one == 4
                || matches!(two, 51..=55 | 62 | 65 | 60 | 81 | 82)
                || matches!(three, 644..=649 | 300..=305 | 309 | 508)
                || matches!(two, 36 | 38 | 39)
                || matches!(four, 2221..=2720 | 2200..=2204 | 3528..=3589 | 9704)
                || maestro
        }
        17 | 18 => matches!(two, 62 | 65) || maestro,
        19 => {
            one == 4
                || matches!(two, 62 | 65)
                || matches!(three, 644..=649)
                || four == 9704
                || maestro
        }
        _ => false,
    }
}

/// United States social security number: never area 000, 666 or 900-999, group 00, serial 0000.
fn ssn(run: &Run, from: usize) -> Option<Fit> {
    let (count, evidence) = if run.has(from, Lengths::of(&[3, 2, 4])) {
        match run.between(from, from + 3) {
            Some(Separator::Dash) => (3, Evidence::Shape),
            Some(Separator::Space | Separator::Dot) => (3, Evidence::Context),
            _ => return None,
        }
    } else if run.has(from, Lengths::of(&[9])) {
        (1, Evidence::Context)
    } else {
        return None;
    };
    let to = from + count;
    let [a, b, c, d, e, f, g, h, i] = *run.digits(from, to) else {
        return None;
    };
    let area = u32::from(a) * 100 + u32::from(b) * 10 + u32::from(c);
    let valid =
        !matches!(area, 0 | 666 | 900..) && (d, e) != (0, 0) && (f, g, h, i) != (0, 0, 0, 0);
    (valid && run.free_left(from) && run.free_right(to)).then_some(Fit::new(to, evidence))
}

/// Vietnamese citizen card: province 001-096, then century and sex, then the year's two digits
/// (Decree 137/2015/ND-CP, article 13).
fn cccd(run: &Run, from: usize) -> Option<Fit> {
    let count = grouped(run, from, &[12], &[3, 3, 3, 3])
        .or_else(|| grouped(run, from, &[12], &[4, 4, 4]))?;
    let to = from + count;
    let [a, b, c, ..] = *run.digits(from, to) else {
        return None;
    };
    let province = u32::from(a) * 100 + u32::from(b) * 10 + u32::from(c);
    matches!(province, 1..=96).then_some(Fit::new(to, Evidence::Context))
}

/// The older Vietnamese identity card: nine digits.
fn cmnd(run: &Run, from: usize) -> Option<Fit> {
    let count = grouped(run, from, &[9], &[3, 3, 3])?;
    Some(Fit::new(from + count, Evidence::Context))
}

fn passport(run: &Run, from: usize) -> Option<Fit> {
    let fits = matches!(run.len_of(from), 8 | 9) && run.free_left(from) && run.free_right(from + 1);
    fits.then_some(Fit::new(from + 1, Evidence::Context))
}

/// Groups used when a whole token reads as `plain` or as `groups`.
fn grouped(run: &Run, from: usize, plain: &[u8], groups: &[u8]) -> Option<usize> {
    let (plain, groups) = (Lengths::of(plain), Lengths::of(groups));
    let count = if run.has(from, plain) {
        plain.count()
    } else if run.has(from, groups) {
        let count = groups.count();
        let separator = run.between(from, from + count)?;
        let alone = (from == 0 || run.len_of(from - 1) != 3)
            && (from + count >= run.len() || run.len_of(from + count) != 3);
        if !alone
            || !matches!(
                separator,
                Separator::Space | Separator::Dot | Separator::Dash
            )
        {
            return None;
        }
        count
    } else {
        return None;
    };
    (run.free_left(from) && run.free_right(from + count)).then_some(count)
}
