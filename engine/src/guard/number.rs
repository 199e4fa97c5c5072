//! The one lexer for everything made of digits.
//!
//! It reads digit groups with their separators once (space, no-break space, dashes of every kind,
//! dot, slash, parentheses; ASCII and full-width digits) and offers the groups to the table of
//! shapes. A shape has to fill a whole token: `SKU 233-37-8772-05` holds no social security number.

use super::cue::{Context, Cue};
use super::scanner::{Scanner, is_word};
use super::shape::{self, SHAPES, Shape};
use super::{Evidence, Kind, date, national, token};

/// Groups kept of a run; a longer run is read in pieces.
const GROUPS_MAX: usize = 24;
/// Groups the longest shape needs.
const GROUPS_OF_SHAPE_MAX: usize = 8;
/// Groups of a telephone number without its country's code.
const PHONE_GROUPS_MAX: usize = 6;
/// Digits of the shortest shape.
const SHAPE_DIGITS_MIN: usize = 7;
/// Bytes between two versions that are told together.
const VERSIONS_APART_MAX: usize = 14;
/// Bytes of a run after which no further group is read.
const RUN_BYTES_MAX: usize = 110;
/// Digits of a group that are read as one; more are no number of anybody's.
const GROUP_DIGITS_MAX: usize = 64;
/// Digits kept of a run.
const DIGITS_MAX: usize = 96;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Separator {
    /// Before the first group.
    #[default]
    None,
    Space,
    Dash,
    Dot,
    Slash,
    /// `(`, alone or after a space.
    Open,
    /// `)`, alone or with a space or dash.
    Close,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Index of its first digit.
    first: usize,
    pub(super) len: usize,
    /// What stands before it.
    pub(super) separator: Separator,
}

/// A [`Group`] as a run keeps it; offsets count from the run's first digit.
#[derive(Clone, Copy, Debug)]
struct Packed {
    start: u32,
    end: u32,
    first: u8,
    len: u8,
    separator: Separator,
}

impl Packed {
    const NONE: Self = Self {
        start: 0,
        end: 0,
        first: 0,
        len: 0,
        separator: Separator::None,
    };
}

/// Digit groups that stand together.
pub(super) struct Run {
    groups: [Packed; GROUPS_MAX],
    /// Offset of its first digit.
    base: usize,
    len: usize,
    digits: [u8; DIGITS_MAX],
    digits_len: usize,
    /// `+` right before the first group.
    pub(super) plus: bool,
    /// `(` right before that.
    pub(super) open: bool,
    /// Start of it all.
    pub(super) start: usize,
    /// A longer token begins to the left.
    glued_left: bool,
    /// A longer token goes on to the right.
    glued_right: bool,
    /// It goes on with `/` and a letter, as a path does.
    pub(super) path_right: bool,
    /// A currency or number sign stands before it.
    pub(super) signed: bool,
    /// There are more groups than fit.
    more: bool,
}

impl Run {
    /// One run is read after the other, so that none has to be cleared.
    pub(super) const fn new() -> Self {
        Self {
            groups: [Packed::NONE; GROUPS_MAX],
            base: 0,
            len: 0,
            digits: [0; DIGITS_MAX],
            digits_len: 0,
            plus: false,
            open: false,
            start: 0,
            glued_left: false,
            glued_right: false,
            path_right: false,
            signed: false,
            more: false,
        }
    }

    /// Nothing is read yet of the run whose first digit stands at `at`.
    const fn begin(&mut self, at: usize) {
        self.base = at;
        self.len = 0;
        self.digits_len = 0;
        self.plus = false;
        self.open = false;
        self.start = at;
        self.glued_left = false;
        self.glued_right = false;
        self.path_right = false;
        self.signed = false;
        self.more = false;
    }

    pub(super) fn group(&self, index: usize) -> Group {
        let packed = match self.groups.get(index) {
            Some(packed) if index < self.len => *packed,
            _ => Packed::NONE,
        };
        Group {
            start: self.base + packed.start as usize,
            end: self.base + packed.end as usize,
            first: usize::from(packed.first),
            len: usize::from(packed.len),
            separator: packed.separator,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Digit values of the groups `from..to`.
    pub(super) fn digits(&self, from: usize, to: usize) -> &[u8] {
        let first = self.group(from).first;
        let last = self.group(to.saturating_sub(1));
        self.digits
            .get(first..last.first + last.len)
            .unwrap_or_default()
    }

    /// The groups from `from` have these lengths.
    pub(super) fn has(&self, from: usize, lengths: &[usize]) -> bool {
        from + lengths.len() <= self.len
            && lengths
                .iter()
                .enumerate()
                .all(|(index, len)| self.group(from + index).len == *len)
    }

    /// The one separator between the groups `from..to`.
    pub(super) fn between(&self, from: usize, to: usize) -> Option<Separator> {
        let separator = self.group(from + 1).separator;
        (from + 1..to)
            .all(|index| self.group(index).separator == separator)
            .then_some(separator)
    }

    /// No longer token reaches over the left border of group `from`.
    pub(super) fn free_left(&self, from: usize) -> bool {
        match self.group(from).separator {
            Separator::None => !self.glued_left,
            Separator::Space | Separator::Open => true,
            _ => false,
        }
    }

    /// No longer token reaches over the right border of the groups before `to`.
    pub(super) fn free_right(&self, to: usize) -> bool {
        if to >= self.len {
            return !self.glued_right;
        }
        matches!(self.group(to).separator, Separator::Space | Separator::Open)
    }

    /// A letter or digit stands right before the first group.
    fn glued_left_word(&self, scan: &Scanner<'_>) -> bool {
        is_word(scan.byte_before(self.base))
    }

    fn push(&mut self, group: Group) -> bool {
        let Some(slot) = self.groups.get_mut(self.len) else {
            return false;
        };
        let offset = |at: usize| u32::try_from(at - self.base).unwrap_or(u32::MAX);
        *slot = Packed {
            start: offset(group.start),
            end: offset(group.end),
            first: u8::try_from(group.first).unwrap_or(u8::MAX),
            len: u8::try_from(group.len).unwrap_or(u8::MAX),
            separator: group.separator,
        };
        self.len += 1;
        true
    }
}

pub(super) fn wide_digit(bytes: &[u8], at: usize) -> bool {
    digit(bytes, at).is_some()
}

/// Value and width of the digit at `at`.
fn digit(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    match *bytes.get(at)? {
        byte @ b'0'..=b'9' => Some((byte - b'0', 1)),
        0xef => match (bytes.get(at + 1), bytes.get(at + 2)) {
            (Some(0xbc), Some(byte @ 0x90..=0x99)) => Some((byte - 0x90, 3)),
            _ => None,
        },
        _ => None,
    }
}

/// The separator at `at` and its width.
fn separator(bytes: &[u8], at: usize) -> Option<(Separator, usize)> {
    Some(match *bytes.get(at)? {
        b' ' => (Separator::Space, 1),
        b'-' => (Separator::Dash, 1),
        b'.' => (Separator::Dot, 1),
        b'/' => (Separator::Slash, 1),
        b'(' => (Separator::Open, 1),
        b')' => (Separator::Close, 1),
        0xc2 if bytes.get(at + 1) == Some(&0xa0) => (Separator::Space, 2),
        0xe2 => match (bytes.get(at + 1)?, bytes.get(at + 2)?) {
            (0x80, 0x90..=0x94) | (0x88, 0x92) => (Separator::Dash, 3),
            (0x80, 0xaf | 0x80..=0x8a) => (Separator::Space, 3),
            _ => return None,
        },
        0xef => match (bytes.get(at + 1)?, bytes.get(at + 2)?) {
            (0xbc, 0x8d) => (Separator::Dash, 3),
            (0xbc, 0x88) => (Separator::Open, 3),
            (0xbc, 0x89) => (Separator::Close, 3),
            _ => return None,
        },
        0xe3 if bytes.get(at + 1..at + 3) == Some(&[0x80, 0x80]) => (Separator::Space, 3),
        _ => return None,
    })
}

/// The separator between a group that ends at `at` and the next, and where that begins.
fn joint(bytes: &[u8], at: usize) -> Option<(Separator, usize)> {
    let (first, width) = separator(bytes, at)?;
    let next = at + width;
    if digit(bytes, next).is_some() {
        return Some((first, next));
    }
    let (second, width) = separator(bytes, next)?;
    let next = next + width;
    let joined = match (first, second) {
        (Separator::Close, Separator::Space | Separator::Dash | Separator::Dot) => Separator::Close,
        (Separator::Space, Separator::Open) => Separator::Open,
        _ => return None,
    };
    digit(bytes, next).is_some().then_some((joined, next))
}

/// Reads the run at `at` and returns where it ends.
fn lex(scan: &Scanner<'_>, at: usize, run: &mut Run) -> usize {
    run.begin(at);
    if scan.byte_before(run.start) == b'+' {
        run.plus = true;
        run.start -= 1;
    }
    if scan.byte_before(run.start) == b'(' {
        run.open = true;
        run.start -= 1;
    }
    let before = scan.byte_before(run.start);
    run.glued_left = is_word(before)
        || matches!(before, b'-' | b'.' | b'/' | b'+' | b'%' | b'\\')
            && scan.byte_before(run.start - 1).is_ascii_alphanumeric();
    run.signed = matches!(before, b'$' | b'#')
        || scan
            .slice(run.start.saturating_sub(3), run.start)
            .ends_with("€".as_bytes())
        || scan.slice(run.start.saturating_sub(2), run.start) == "£".as_bytes()
        || scan.slice(run.start.saturating_sub(2), run.start) == "¥".as_bytes();

    let mut end = at;
    let mut joined = Separator::None;
    loop {
        // A run is read in pieces, so that none waits for the end of a text of digits.
        if end - at > RUN_BYTES_MAX {
            run.more = true;
            run.glued_right = true;
            return end;
        }
        let mut group = Group {
            start: end,
            end,
            first: run.digits_len,
            len: 0,
            separator: joined,
        };
        while group.len < GROUP_DIGITS_MAX
            && let Some((value, width)) = digit(scan.bytes, group.end)
        {
            if let Some(slot) = run.digits.get_mut(run.digits_len) {
                *slot = value;
                run.digits_len += 1;
            }
            group.len += 1;
            group.end += width;
        }
        if !run.push(group) {
            run.more = true;
            return group.start;
        }
        end = group.end;
        match joint(scan.bytes, end) {
            Some((separator, next)) => {
                joined = separator;
                end = next;
            }
            None => break,
        }
    }
    scan.touch_within(end, 8);
    run.signed |= is_money(scan, end);
    let next = scan.at(end);
    let beyond = scan.at(end + 1);
    run.path_right = next == b'/';
    run.glued_right = is_word(next)
        || matches!(next, b'@' | b'%')
        || matches!(next, b'-' | b'.' | b'/') && beyond.is_ascii_alphanumeric();
    end
}

/// A currency follows.
fn is_money(scan: &Scanner<'_>, end: usize) -> bool {
    let at = end + usize::from(scan.at(end) == b' ');
    if !matches!(scan.at(at), 0xc4 | 0xe2 | b'V' | b'v' | b'U' | b'E') {
        return false;
    }
    let rest = scan.text.get(at..).unwrap_or_default();
    let unit = ["đ", "₫", "€", "VND", "VNĐ", "vnd", "USD", "EUR"]
        .into_iter()
        .find(|unit| rest.starts_with(unit));
    unit.is_some_and(|unit| {
        let after = rest.get(unit.len()..).and_then(|rest| rest.chars().next());
        rest.starts_with("đồng") || after.is_none_or(|letter| !letter.is_alphanumeric())
    })
}

/// End of the number at `at` when it is one group, too short for anything but a part of a date, and
/// none of that either: most numbers are.
fn small(scan: &Scanner<'_>, at: usize) -> Option<usize> {
    let window = scan.bytes.get(at..)?.first_chunk::<SMALL_WINDOW>()?;
    let len = window
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let rest = window.get(len..)?;
    let apart = match rest {
        [b' ', b'(', ..] | [b')', b' ' | b'-' | b'.', ..] => false,
        [b' ' | b'-' | b'.' | b'/' | b'(' | b')', next, ..] => {
            next.is_ascii() && !next.is_ascii_digit()
        }
        [next, ..] => next.is_ascii(),
        [] => false,
    };
    let dated = match len {
        1 | 2 => date::may_follow_day(rest),
        3..=6 => false,
        _ => true,
    };
    (apart && !dated).then_some(at + len)
}

/// Bytes from a short number's first that tell what it is.
const SMALL_WINDOW: usize = 16;

/// Reads the run at `at`, reports what it holds, and returns where to go on.
pub(super) fn run(scan: &mut Scanner<'_>, at: usize, run: &mut Run) -> usize {
    if let Some(end) = small(scan, at) {
        return end;
    }
    let end = lex(scan, at, run);
    let run = &*run;
    if run.len() == 1
        && scan.at(end) == b':'
        && !run.glued_left
        && let Some(after) = token::bot(scan, at, end)
    {
        return after;
    }
    let mut from = 0;
    while from < run.len() {
        if run.more && from > 0 && from + GROUPS_OF_SHAPE_MAX > run.len() {
            return run.group(from).start;
        }
        if from == 0 && !run.glued_left_word(scan) || from > 0 && run.free_left(from) {
            if let Some(after) = date::birth(scan, run, from) {
                return after;
            }
            // A short number is part of a date or nothing, but for four groups: an address.
            let rest = run.digits(from, run.len()).len();
            if rest < ID_DIGITS_MIN && run.len() < from + 4 {
                from += 1;
                continue;
            }
            if run.len() == 1 && rest < SHAPE_DIGITS_MIN {
                break;
            }
            if let Some(to) = accept(scan, run, from) {
                from = to;
                continue;
            }
        }
        from += 1;
    }
    end
}

impl Scanner<'_> {
    /// A version stands close before `start`, in the same line and list.
    fn follows_version(&self, start: usize, clean: bool) -> bool {
        !clean
            && self.progress.version_end > 0
            && start < self.progress.version_end + VERSIONS_APART_MAX
            && !self
                .slice(self.progress.version_end, start)
                .iter()
                .any(|byte| matches!(byte, b'\n' | b',' | b';' | b'|' | b'\t'))
    }
}

/// Digits of the shortest identifier.
const ID_DIGITS_MIN: usize = 6;

/// Reports an identifier that a word names, or whose form needs none.
fn identified(
    scan: &mut Scanner<'_>,
    run: &Run,
    from: usize,
    context: &mut Option<Context>,
) -> Option<usize> {
    if let Some((to, kind)) = national::strong(run, from)
        && scan.wants(kind)
    {
        scan.found(kind, run.group(from).start, run.group(to - 1).end);
        return Some(to);
    }
    if run.digits(from, run.len()).len() < ID_DIGITS_MIN {
        return None;
    }
    let start = run.group(from).start;
    let known = *context.get_or_insert_with(|| scan.context(start));
    let Some(Cue::Id(kind)) = known.cue else {
        return None;
    };
    let near = known.clean && known.distance <= shape::DISTANCE_MAX;
    if !near || !run.free_left(from) || !scan.wants(kind) {
        return None;
    }
    // `AB 12 34 56 C`: the letters stand before the first digit.
    let letters = scan.start_of(start.saturating_sub(1), 2, |byte| byte.is_ascii_uppercase());
    let (start, end) = match national::named(scan, start, kind) {
        Some(end) => (start, end),
        None => (letters, national::named(scan, letters, kind)?),
    };
    if is_word(scan.byte_before(start)) {
        return None;
    }
    scan.found(kind, start, end);
    let inside = (from..run.len()).filter(|index| run.group(*index).start < end);
    Some(from + inside.count())
}

/// Reports the first shape that fits group `from` with enough evidence; returns the group after it.
fn accept(scan: &mut Scanner<'_>, run: &Run, from: usize) -> Option<usize> {
    let mut context = None;
    if let Some(to) = identified(scan, run, from, &mut context) {
        return Some(to);
    }
    // Too few digits for all of them but two: an address, and what a country's code begins.
    let near = run.digits(from, run.len().min(from + PHONE_GROUPS_MAX));
    let dotted = run.group(from + 1).separator == Separator::Dot;
    if near.len() < SHAPE_DIGITS_MIN && !dotted && !run.plus && !near.starts_with(&[0, 0]) {
        return None;
    }
    // Beyond the longest group of any shape lengths are alike.
    let first = 1_u32 << run.group(from).len.min(31);
    for shape in SHAPES {
        if shape.first & first == 0 {
            continue;
        }
        if shape.told && context.is_some_and(|context| !is_told(shape, &context, run)) {
            continue;
        }
        let Some(fit) = (shape.fits)(run, from) else {
            continue;
        };
        let start = fit.start.unwrap_or_else(|| run.group(from).start);
        let end = run.group(fit.to - 1).end;
        let context = *context.get_or_insert_with(|| scan.context(start));
        let accepted = match fit.evidence {
            Evidence::Proof => true,
            // `from 1.2.3.4 to 1.2.3.5`: what the first is, the second is too.
            Evidence::Shape if shape.kind == Kind::Ip => {
                let denied = run.signed
                    || context.denies(shape.cues)
                    || scan.follows_version(start, context.clean);
                if denied {
                    scan.progress.version_end = end;
                }
                !denied
            }
            Evidence::Shape => !run.signed && !context.denies(shape.cues),
            Evidence::Context => is_told(shape, &context, run),
        };
        if accepted {
            scan.found(shape.kind, start, end);
            return Some(fit.to);
        }
    }
    None
}

/// The phrase before announces this shape.
fn is_told(shape: &Shape, context: &Context, run: &Run) -> bool {
    // `OLD_DT_LOOS: u32 = 1610612736`: the phrase is spent on what stands between.
    let fresh = shape.kind != Kind::Phone || context.clean;
    let near = context.distance <= shape::DISTANCE_MAX;
    context.is(shape.cues) && near && fresh && !run.signed
}
