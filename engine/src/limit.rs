//! Request limits: a sliding window made of two fixed buckets.
//!
//! Requests of the current minute count whole, those of the minute before by the share of it that
//! the sliding minute still covers. Within one fresh minute the count is exact: of 100 allowed, the
//! 101st is refused. Across the border the estimate assumes that the minute before was even, which
//! is never more than one bucket's worth off. A refused request does not count.

use crate::wire::RateState;

/// Length of a window in milliseconds.
pub const WINDOW_MS: u64 = 60_000;

/// What one key asked for lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateWindow {
    /// Start of the current bucket, a multiple of [`WINDOW_MS`].
    start_ms: u64,
    current: u64,
    previous: u64,
}

impl RateWindow {
    /// Whether one more request fits `limit` per minute at `now_ms`, and the state as it is before
    /// that request is counted. On refusal `reset_ms` is when the next request fits.
    pub fn check(&mut self, limit: u64, now_ms: u64) -> (bool, RateState) {
        let into = self.roll(now_ms);
        let used = self.used(into);
        let fits = used.saturating_add(u128::from(WINDOW_MS)) <= scaled(limit);
        (fits, self.state(limit, into, fits))
    }

    /// Counts one request and gives the state after it.
    pub fn count(&mut self, limit: u64, now_ms: u64) -> RateState {
        let into = self.roll(now_ms);
        self.current = self.current.saturating_add(1);
        self.state(limit, into, true)
    }

    /// Counts `requests` that a lease was made for, and gives the state after them.
    pub fn lease(&mut self, limit: u64, requests: u64, now_ms: u64) -> RateState {
        let into = self.roll(now_ms);
        self.current = self.current.saturating_add(requests);
        self.state(limit, into, true)
    }

    /// Takes back leased requests that were not made, as far as this bucket counts them.
    pub fn give_back(&mut self, requests: u64, now_ms: u64) {
        self.roll(now_ms);
        self.current = self.current.saturating_sub(requests);
    }

    /// Counts `requests` of an earlier time, as they are known after a restart. Calls must come in
    /// order of time.
    pub fn restore(&mut self, requests: u64, at_ms: u64) {
        self.roll(at_ms);
        self.current = self.current.saturating_add(requests);
    }

    /// Moves to the bucket of `now_ms`; a clock that went back stays in the newest bucket.
    fn roll(&mut self, now_ms: u64) -> u64 {
        let start_ms = now_ms - now_ms % WINDOW_MS;
        if start_ms > self.start_ms {
            let next = start_ms - self.start_ms == WINDOW_MS;
            self.previous = if next { self.current } else { 0 };
            self.current = 0;
            self.start_ms = start_ms;
        }
        now_ms.saturating_sub(self.start_ms).min(WINDOW_MS)
    }

    /// Requests in the sliding minute, in units of 1 / [`WINDOW_MS`] request.
    fn used(&self, into_ms: u64) -> u128 {
        let before = u128::from(self.previous) * u128::from(WINDOW_MS - into_ms);
        scaled(self.current).saturating_add(before)
    }

    fn state(&self, limit: u64, into_ms: u64, fits: bool) -> RateState {
        let left = scaled(limit).saturating_sub(self.used(into_ms)) / u128::from(WINDOW_MS);
        let reset_ms = if fits {
            WINDOW_MS - into_ms
        } else {
            self.wait_ms(limit, into_ms)
        };
        RateState {
            limit,
            remaining: u64::try_from(left).unwrap_or(u64::MAX),
            reset_ms,
        }
    }

    /// Milliseconds until one more request fits.
    fn wait_ms(&self, limit: u64, into_ms: u64) -> u64 {
        let to_border = WINDOW_MS - into_ms;
        let Some(room) = limit.checked_sub(1) else {
            return WINDOW_MS;
        };
        // In this bucket the one before fades: previous * (WINDOW - t) <= (room - current) * WINDOW.
        if let Some(room) = room.checked_sub(self.current)
            && let Some(at) = faded(self.previous, room)
        {
            return at.saturating_sub(into_ms).max(1);
        }
        // In the next bucket this one fades.
        to_border
            .saturating_add(faded(self.current, room).unwrap_or(WINDOW_MS))
            .max(1)
    }
}

fn scaled(requests: u64) -> u128 {
    u128::from(requests) * u128::from(WINDOW_MS)
}

/// The first millisecond into a bucket at which `previous` requests weigh `room` or less.
fn faded(previous: u64, room: u64) -> Option<u64> {
    if previous <= room {
        return Some(0);
    }
    let kept = scaled(room).checked_div(u128::from(previous))?;
    Some(WINDOW_MS.saturating_sub(u64::try_from(kept).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(window: &mut RateWindow, limit: u64, now_ms: u64) -> bool {
        let (fits, _) = window.check(limit, now_ms);
        if fits {
            window.count(limit, now_ms);
        }
        fits
    }

    #[test]
    fn a_fresh_minute_takes_exactly_its_limit() {
        let mut window = RateWindow::default();
        let allowed = (0..150)
            .filter(|_| ask(&mut window, 100, 60_000_000))
            .count();
        assert_eq!(allowed, 100);
        let (_, state) = window.check(100, 60_000_000);
        assert_eq!((state.limit, state.remaining), (100, 0));
        assert!(!ask(&mut window, 100, 60_000_000 + WINDOW_MS - 1));
        assert!(!ask(&mut window, 100, 60_000_000 + WINDOW_MS));
        assert!(ask(&mut window, 100, 60_000_000 + WINDOW_MS + 600));
        assert!(ask(&mut window, 100, 60_000_000 + 2 * WINDOW_MS));
    }

    #[test]
    fn states_count_down() {
        let mut window = RateWindow::default();
        assert_eq!(
            window.count(2, 30_000),
            RateState {
                limit: 2,
                remaining: 1,
                reset_ms: 30_000
            }
        );
        assert_eq!(
            window.count(2, 40_000),
            RateState {
                limit: 2,
                remaining: 0,
                reset_ms: 20_000
            }
        );
        assert!(!RateWindow::default().check(0, 5).0);
    }

    #[test]
    fn a_restored_window_is_the_one_that_was() {
        let times = [59_000, 59_500, 61_000, 100_000];
        let (mut lived, mut restored) = (RateWindow::default(), RateWindow::default());
        for at_ms in times {
            lived.count(9, at_ms);
        }
        restored.restore(2, 59_000);
        restored.restore(1, 61_000);
        restored.restore(1, 100_000);
        assert_eq!(lived, restored);
    }

    proptest! {
        #[test]
        fn a_refusal_names_when_the_next_request_fits(
            limit in 1u64..50,
            gaps in prop::collection::vec(0u64..5_000, 1..300),
        ) {
            let (mut window, mut now) = (RateWindow::default(), 1_000_000_000);
            for gap in gaps {
                now += gap;
                let (fits, state) = window.check(limit, now);
                if fits {
                    window.count(limit, now);
                } else {
                    prop_assert!(state.reset_ms >= 1 && state.reset_ms <= 2 * WINDOW_MS);
                    let mut later = window;
                    prop_assert!(later.check(limit, now + state.reset_ms).0);
                    if state.reset_ms > 1 {
                        let mut sooner = window;
                        prop_assert!(!sooner.check(limit, now + state.reset_ms - 1).0);
                    }
                }
            }
        }
    }
}
