//! What was read of a run of digit groups, kept so that a shape is one comparison.

use super::super::scanner::{Scanner, is_word};

/// Groups kept of a run; a longer run is read in pieces.
const GROUPS_MAX: usize = 24;
/// Groups that are compared at a time.
const WINDOW: usize = 8;
/// Digits kept of a run.
const DIGITS_MAX: usize = 96;
/// Digits that are kept at a time.
pub(super) const DIGITS_AT_ONCE: usize = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Separator {
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

impl Separator {
    const ALL: [Self; 7] = [
        Self::None,
        Self::Space,
        Self::Dash,
        Self::Dot,
        Self::Slash,
        Self::Open,
        Self::Close,
    ];

    fn of(code: u8) -> Self {
        Self::ALL
            .get(usize::from(code))
            .copied()
            .unwrap_or_default()
    }
}

/// Lengths of groups that stand together, the first in the lowest byte.
#[derive(Clone, Copy)]
pub(in super::super) struct Lengths {
    key: u64,
    mask: u64,
}

impl Lengths {
    /// `lengths` are those of eight groups at most.
    pub(in super::super) const fn of(lengths: &[u8]) -> Self {
        let mut key = 0;
        let mut mask = 0;
        let mut rest = lengths;
        while let [before @ .., last] = rest {
            key = key << 8 | *last as u64;
            mask = mask << 8 | 0xff;
            rest = before;
        }
        Self { key, mask }
    }

    pub(in super::super) const fn count(self) -> usize {
        self.mask.count_ones() as usize / 8
    }
}

/// Where the digits of a group stand; offsets count from the run's first digit.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    end: u32,
}

/// Digit groups that stand together.
///
/// What is asked of lengths and separators is a question to eight bytes at once, so after the last
/// group there are as many zeros.
pub(in super::super) struct Run {
    places: [Place; GROUPS_MAX],
    /// Digits of each group.
    lens: [u8; GROUPS_MAX + WINDOW],
    /// What stands before each group, as a number.
    separators: [u8; GROUPS_MAX + WINDOW],
    /// Digits before each group, and before the end.
    firsts: [u8; GROUPS_MAX + 1],
    /// Offset of its first digit.
    base: usize,
    len: usize,
    digits: [u8; DIGITS_MAX + DIGITS_AT_ONCE],
    /// `+` right before the first group.
    pub(in super::super) plus: bool,
    /// `(` right before that.
    pub(in super::super) open: bool,
    /// Start of it all.
    pub(in super::super) start: usize,
    /// A longer token begins to the left.
    pub(super) glued_left: bool,
    /// A longer token goes on to the right.
    pub(super) glued_right: bool,
    /// It goes on with `/` and a letter, as a path does.
    pub(in super::super) path_right: bool,
    /// A currency or number sign stands before it.
    pub(in super::super) signed: bool,
    /// There are more groups than fit.
    pub(super) more: bool,
    /// What stands between its groups, a bit each.
    joints: u8,
}

impl Run {
    /// One run is read after the other, so that none has to be cleared.
    pub(in super::super) const fn new() -> Self {
        Self {
            places: [Place { start: 0, end: 0 }; GROUPS_MAX],
            lens: [0; GROUPS_MAX + WINDOW],
            separators: [0; GROUPS_MAX + WINDOW],
            firsts: [0; GROUPS_MAX + 1],
            base: 0,
            len: 0,
            digits: [0; DIGITS_MAX + DIGITS_AT_ONCE],
            plus: false,
            open: false,
            start: 0,
            glued_left: false,
            glued_right: false,
            path_right: false,
            signed: false,
            more: false,
            joints: 0,
        }
    }

    /// Nothing is read yet of the run whose first digit stands at `at`.
    pub(super) const fn begin(&mut self, at: usize) {
        self.base = at;
        self.len = 0;
        self.plus = false;
        self.open = false;
        self.start = at;
        self.glued_left = false;
        self.glued_right = false;
        self.path_right = false;
        self.signed = false;
        self.more = false;
        self.joints = 0;
    }

    /// Keeps the values of digits that stand together; `before` of the run are kept. What follows
    /// them is overwritten.
    pub(super) fn keep(&mut self, before: usize, digits: [u8; DIGITS_AT_ONCE]) {
        let rest = self.digits.get_mut(before..).unwrap_or_default();
        if let Some(slots) = rest.first_chunk_mut() {
            *slots = digits;
        }
    }

    /// Keeps a group of `len` digits from `start` to `end`, after `first` digits of the run; `false`
    /// when there is no room.
    pub(super) fn push(
        &mut self,
        (start, end): (usize, usize),
        separator: Separator,
        first: usize,
        len: usize,
    ) -> bool {
        let index = self.len;
        let place = Place {
            start: (start - self.base) as u32,
            end: (end - self.base) as u32,
        };
        let (Some(to), Some(slot), Some(before), Some(digits)) = (
            self.places.get_mut(index),
            self.lens.get_mut(index),
            self.separators.get_mut(index),
            self.firsts.get_mut(index + 1),
        ) else {
            return false;
        };
        *to = place;
        *slot = len as u8;
        *before = separator as u8;
        *digits = (first + len) as u8;
        self.joints |= 1 << separator as u8;
        self.len = index + 1;
        true
    }

    /// All groups are kept.
    pub(super) fn finish(&mut self) {
        for bytes in [&mut self.lens, &mut self.separators] {
            let rest = bytes.get_mut(self.len..).unwrap_or_default();
            if let Some(next) = rest.first_chunk_mut() {
                *next = [0; WINDOW];
            }
        }
    }

    pub(in super::super) const fn len(&self) -> usize {
        self.len
    }

    /// Digits of group `index`; none of one that there is not.
    pub(in super::super) fn len_of(&self, index: usize) -> usize {
        self.lens.get(index).map_or(0, |len| usize::from(*len))
    }

    /// What stands before group `index`.
    pub(in super::super) fn separator(&self, index: usize) -> Separator {
        Separator::of(self.separators.get(index).copied().unwrap_or_default())
    }

    pub(in super::super) fn start_of(&self, index: usize) -> usize {
        let place = self.places.get(index);
        self.base + place.map_or(0, |place| place.start as usize)
    }

    pub(in super::super) fn end_of(&self, index: usize) -> usize {
        let place = self.places.get(index);
        self.base + place.map_or(0, |place| place.end as usize)
    }

    /// Number of digits before group `index`.
    fn first(&self, index: usize) -> usize {
        self.firsts
            .get(index)
            .map_or(0, |first| usize::from(*first))
    }

    /// Digit values of the groups `from..to`; none when not all of them are kept.
    pub(in super::super) fn digits(&self, from: usize, to: usize) -> &[u8] {
        let end = self.first(to);
        let kept = self.digits.get(self.first(from)..end);
        kept.filter(|_| to <= self.len && end <= DIGITS_MAX)
            .unwrap_or_default()
    }

    /// How many digits [`Self::digits`] has.
    pub(in super::super) fn count(&self, from: usize, to: usize) -> usize {
        let end = self.first(to);
        if end > DIGITS_MAX {
            return 0;
        }
        end.saturating_sub(self.first(from))
    }

    /// The groups from `from` have these lengths.
    pub(in super::super) fn has(&self, from: usize, lengths: Lengths) -> bool {
        window(&self.lens, from) & lengths.mask == lengths.key
    }

    /// The one separator between the groups `from..to`, eight at most.
    pub(in super::super) fn between(&self, from: usize, to: usize) -> Option<Separator> {
        let count = to.saturating_sub(from + 1).min(WINDOW);
        let codes = window(&self.separators, from + 1);
        let first = codes & 0xff;
        let inside = u64::MAX.checked_shr(64 - 8 * count as u32).unwrap_or(0);
        let others = (codes ^ first.wrapping_mul(ONES)) & inside;
        (others == 0).then(|| Separator::of(first as u8))
    }

    /// No longer token reaches over the left border of group `from`.
    pub(in super::super) fn free_left(&self, from: usize) -> bool {
        match self.separator(from) {
            Separator::None => !self.glued_left,
            Separator::Space | Separator::Open => true,
            _ => false,
        }
    }

    /// No longer token reaches over the right border of the groups before `to`.
    pub(in super::super) fn free_right(&self, to: usize) -> bool {
        if to >= self.len {
            return !self.glued_right;
        }
        matches!(self.separator(to), Separator::Space | Separator::Open)
    }

    /// A longer token reaches over the right border of each of its groups.
    pub(super) const fn has_no_end(&self) -> bool {
        const ENDS: u8 =
            1 << Separator::Space as u8 | 1 << Separator::Open as u8 | 1 << Separator::Slash as u8;
        self.glued_right && !self.path_right && self.joints & ENDS == 0
    }

    /// A letter or digit stands right before the first group.
    pub(super) fn glued_left_word(&self, scan: &Scanner<'_>) -> bool {
        is_word(scan.byte_before(self.base))
    }
}

/// One in each byte.
const ONES: u64 = u64::MAX / 0xff;

/// Eight bytes from `from`, the first in the lowest byte.
fn window(bytes: &[u8; GROUPS_MAX + WINDOW], from: usize) -> u64 {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.first_chunk()
        .map_or(0, |eight| u64::from_le_bytes(*eight))
}
