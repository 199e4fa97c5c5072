//! The one lexer for everything made of digits.
//!
//! It reads digit groups with their separators once (space, no-break space, dashes of every kind,
//! dot, slash, parentheses; ASCII and full-width digits) and offers the groups to the table of
//! shapes. A shape has to fill a whole token: `SKU 233-37-8772-05` holds no social security number.

mod lex;
mod run;

use super::cue::{Context, Cue};
use super::scanner::{Scanner, is_word};
use super::shape::{self, Shape};
use super::{Evidence, Kind, date, national, token};

pub(super) use lex::{digits, wide_digit};
pub(super) use run::{Lengths, Run, Separator};

/// Groups the longest shape needs.
const GROUPS_OF_SHAPE_MAX: usize = 8;
/// Groups of a telephone number without its country's code.
const PHONE_GROUPS_MAX: usize = 6;
/// Digits of the shortest shape.
const SHAPE_DIGITS_MIN: usize = 7;
/// Bytes between two versions that are told together.
const VERSIONS_APART_MAX: usize = 14;

/// End of the number at `at` when it is one group, too short for anything but a part of a date, and
/// none of that either: most numbers are.
fn small(scan: &Scanner<'_>, at: usize, end: usize) -> Option<usize> {
    let len = end - at;
    let window = scan.bytes.get(at..)?.first_chunk::<SMALL_WINDOW>()?;
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
    (apart && !dated).then_some(end)
}

/// Bytes from a short number's first that tell what it is.
const SMALL_WINDOW: usize = 16;

/// Reads the run at `at`, whose first digits end at `digits_end`, reports what it holds, and returns
/// where to go on.
pub(super) fn run(scan: &mut Scanner<'_>, at: usize, digits_end: usize, run: &mut Run) -> usize {
    if let Some(end) = small(scan, at, digits_end) {
        return end;
    }
    let end = lex::lex(scan, at, run);
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
            return run.start_of(from);
        }
        if from == 0 && !run.glued_left_word(scan) || from > 0 && run.free_left(from) {
            if let Some(after) = date::birth(scan, run, from) {
                return after;
            }
            // A short number is part of a date or nothing, but for four groups: an address.
            let rest = run.count(from, run.len());
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
/// The same of one without letters.
const BARE_DIGITS_MIN: usize = 9;

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
        scan.found(kind, run.start_of(from), run.end_of(to - 1));
        return Some(to);
    }
    if !may_be_named(scan, run, from) {
        return None;
    }
    let start = run.start_of(from);
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
    let inside = (from..run.len()).filter(|index| run.start_of(*index) < end);
    Some(from + inside.count())
}

/// What begins at group `from` has the digits of an identifier that a word names, or letters beside
/// fewer.
fn may_be_named(scan: &Scanner<'_>, run: &Run, from: usize) -> bool {
    let digits = run.count(from, run.len());
    if digits < ID_DIGITS_MIN {
        return false;
    }
    if digits >= BARE_DIGITS_MIN {
        // One of eighteen digits needs no word.
        return run.len() > 1 || matches!(digits, 0..=15 | 17);
    }
    let before = run.start_of(from).checked_sub(2);
    let end = run.end_of(run.len() - 1);
    before.is_some_and(|before| scan.at(before).is_ascii_uppercase())
        || scan.at(end).is_ascii_alphabetic()
        || scan.at(end + 1).is_ascii_alphabetic()
}

/// Reports the first shape that fits group `from` with enough evidence; returns the group after it.
fn accept(scan: &mut Scanner<'_>, run: &Run, from: usize) -> Option<usize> {
    let mut context = None;
    if let Some(to) = identified(scan, run, from, &mut context) {
        return Some(to);
    }
    // Too few digits for all of them but two: an address, and what a country's code begins.
    let near = run.len().min(from + PHONE_GROUPS_MAX);
    if run.count(from, near) < SHAPE_DIGITS_MIN
        && run.separator(from + 1) != Separator::Dot
        && !run.plus
        && !run.digits(from, near).starts_with(&[0, 0])
    {
        return None;
    }
    if run.has_no_end() {
        return None;
    }
    let mut candidates = shape::candidates(run, from);
    if run.signed || context.is_some_and(|context| !shape::may_tell(context.cue)) {
        candidates.drop_told();
    }
    for shape in candidates {
        if shape.told && context.is_some_and(|context| !is_told(shape, &context, run)) {
            continue;
        }
        let Some(fit) = (shape.fits)(run, from) else {
            continue;
        };
        let start = fit.start.unwrap_or_else(|| run.start_of(from));
        let end = run.end_of(fit.to - 1);
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
