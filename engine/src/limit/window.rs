//! The sliding window: what was counted lately, in two fixed buckets.

use crate::wire::RateState;

/// What was counted in the current bucket and in the one before. Buckets are as long as the window
/// and begin at multiples of its length, so one of a day is a day of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Start of the current bucket.
    start_ms: u64,
    current: u64,
    previous: u64,
}

impl Window {
    /// The window at `now_ms` that has counted `current` in its bucket and `previous` in the one before.
    pub fn of(length_ms: u64, now_ms: u64, current: u64, previous: u64) -> Window {
        let into = now_ms.checked_rem(length_ms).unwrap_or(0);
        Window {
            start_ms: now_ms.saturating_sub(into),
            current,
            previous,
        }
    }

    /// Whether `more` fits `limit` in `length_ms` at `now_ms`.
    pub fn fits(&mut self, more: u64, limit: u64, length_ms: u64, now_ms: u64) -> bool {
        let into = self.roll(length_ms, now_ms);
        let used = self.used(length_ms, into);
        used.saturating_add(scaled(more, length_ms)) <= scaled(limit, length_ms)
    }

    /// Counts `more`.
    pub fn count(&mut self, more: u64, length_ms: u64, now_ms: u64) {
        self.roll(length_ms, now_ms);
        self.current = self.current.saturating_add(more);
    }

    /// Takes back what was counted at `at_ms`, in the bucket that counts it. What no bucket counts any
    /// more needs no taking back.
    pub fn give_back(&mut self, less: u64, at_ms: u64, length_ms: u64, now_ms: u64) {
        self.roll(length_ms, now_ms);
        if at_ms >= self.start_ms {
            self.current = self.current.saturating_sub(less);
        } else if at_ms >= self.start_ms.saturating_sub(length_ms) {
            self.previous = self.previous.saturating_sub(less);
        }
    }

    /// The state without a refusal: `reset_ms` is when the bucket ends.
    pub fn state(&mut self, limit: u64, length_ms: u64, now_ms: u64) -> RateState {
        let into = self.roll(length_ms, now_ms);
        let left = scaled(limit, length_ms).saturating_sub(self.used(length_ms, into));
        let left = left.checked_div(u128::from(length_ms)).unwrap_or(0);
        RateState {
            limit,
            remaining: u64::try_from(left).unwrap_or(u64::MAX),
            reset_ms: length_ms.saturating_sub(into),
        }
    }

    /// Milliseconds until `more` fits, `None` when it is more than the limit.
    pub fn wait_ms(&mut self, more: u64, limit: u64, length_ms: u64, now_ms: u64) -> Option<u64> {
        let into = self.roll(length_ms, now_ms);
        let room = limit.checked_sub(more)?;
        // In this bucket the one before fades: previous * (length - t) <= (room - current) * length.
        if let Some(room) = room.checked_sub(self.current)
            && let Some(at) = faded(self.previous, room, length_ms)
        {
            return Some(at.saturating_sub(into).max(1));
        }
        // In the next bucket this one fades.
        let to_border = length_ms.saturating_sub(into);
        let fades = faded(self.current, room, length_ms).unwrap_or(length_ms);
        Some(to_border.saturating_add(fades).max(1))
    }

    /// Whether nothing is counted any more.
    pub fn is_idle(&mut self, length_ms: u64, now_ms: u64) -> bool {
        self.roll(length_ms, now_ms);
        self.current == 0 && self.previous == 0
    }

    /// Moves to the bucket of `now_ms`; a clock that went back stays in the newest bucket. Gives the
    /// milliseconds since it began.
    fn roll(&mut self, length_ms: u64, now_ms: u64) -> u64 {
        let start_ms = now_ms.saturating_sub(now_ms.checked_rem(length_ms).unwrap_or(0));
        if start_ms > self.start_ms {
            let next = start_ms.saturating_sub(self.start_ms) == length_ms;
            self.previous = if next { self.current } else { 0 };
            self.current = 0;
            self.start_ms = start_ms;
        }
        now_ms.saturating_sub(self.start_ms).min(length_ms)
    }

    /// What the sliding window counts, in units of 1 / `length_ms`.
    fn used(&self, length_ms: u64, into_ms: u64) -> u128 {
        let before = u128::from(self.previous) * u128::from(length_ms.saturating_sub(into_ms));
        scaled(self.current, length_ms).saturating_add(before)
    }
}

fn scaled(count: u64, length_ms: u64) -> u128 {
    u128::from(count) * u128::from(length_ms)
}

/// The first millisecond into a bucket at which `previous` weighs `room` or less.
fn faded(previous: u64, room: u64, length_ms: u64) -> Option<u64> {
    if previous <= room {
        return Some(0);
    }
    let kept = scaled(room, length_ms).checked_div(u128::from(previous))?;
    Some(length_ms.saturating_sub(u64::try_from(kept).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60_000;

    fn ask(window: &mut Window, limit: u64, now_ms: u64) -> bool {
        let fits = window.fits(1, limit, MINUTE, now_ms);
        if fits {
            window.count(1, MINUTE, now_ms);
        }
        fits
    }

    #[test]
    fn a_fresh_minute_takes_exactly_its_limit() {
        let (mut window, start) = (Window::default(), 60_000_000);
        let allowed = (0..150).filter(|_| ask(&mut window, 100, start)).count();
        assert_eq!(allowed, 100);
        let state = window.state(100, MINUTE, start);
        assert_eq!((state.limit, state.remaining), (100, 0));
        assert!(!ask(&mut window, 100, start + MINUTE - 1));
        assert!(!ask(&mut window, 100, start + MINUTE));
        assert!(ask(&mut window, 100, start + MINUTE + 600));
        assert!(ask(&mut window, 100, start + 2 * MINUTE));
    }

    #[test]
    fn states_count_down() {
        let mut window = Window::default();
        let mut state = |now_ms| {
            window.count(1, MINUTE, now_ms);
            let state = window.state(2, MINUTE, now_ms);
            (state.remaining, state.reset_ms)
        };
        assert_eq!(state(30_000), (1, 30_000));
        assert_eq!(state(40_000), (0, 20_000));
        assert!(!Window::default().fits(1, 0, MINUTE, 5));
        assert_eq!(Window::default().wait_ms(3, 2, MINUTE, 5), None);
    }

    #[test]
    fn what_is_taken_back_leaves_the_bucket_it_was_counted_in() {
        let mut window = Window::default();
        window.count(10, MINUTE, 30_000);
        window.count(4, MINUTE, 70_000);
        window.give_back(10, 30_000, MINUTE, 90_000);
        assert_eq!(window.state(10, MINUTE, 90_000).remaining, 6);
        window.give_back(99, 30_000, MINUTE, 150_000);
        assert_eq!(window.state(10, MINUTE, 150_000).remaining, 8);
        assert!(!window.is_idle(MINUTE, 150_000));
        assert!(window.is_idle(MINUTE, 180_000));
    }

    proptest! {
        #[test]
        fn a_refusal_names_when_it_fits(
            limit in 1u64..50,
            length in prop::sample::select(vec![1_000u64, 60_000, 3_600_000, 86_400_000]),
            steps in prop::collection::vec((0u64..1_000, 1u64..8), 1..300),
        ) {
            let (mut window, mut now) = (Window::default(), 1_000_000_000);
            let mut buckets = std::collections::BTreeMap::<u64, u64>::new();
            for (part, weight) in steps {
                now += length * part / 12_000;
                if window.fits(weight, limit, length, now) {
                    window.count(weight, length, now);
                    let counted = buckets.entry(now / length).or_default();
                    *counted += weight;
                    prop_assert!(*counted <= limit);
                    continue;
                }
                let Some(wait) = window.wait_ms(weight, limit, length, now) else {
                    prop_assert!(weight > limit);
                    continue;
                };
                prop_assert!(wait >= 1 && wait <= 2 * length);
                let mut later = window;
                prop_assert!(later.fits(weight, limit, length, now + wait));
                let mut sooner = window;
                prop_assert!(wait == 1 || !sooner.fits(weight, limit, length, now + wait - 1));
            }
        }
    }
}
