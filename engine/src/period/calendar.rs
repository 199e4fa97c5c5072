//! The calendar that periods follow: a time zone, and where its business year begins.

use super::instant::Date;
use super::{DAY_MS, INSTANT_MS_MAX, Period, Window};

/// From an instant on, how far clocks are ahead of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Unix milliseconds of the first instant.
    pub from_ms: u64,
    /// Milliseconds ahead of UTC; negative west of it.
    pub ahead_ms: i64,
}

/// See the module. The default is UTC with years from January on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// In order of time. Before the first one, and without any, clocks show UTC.
    offsets: Vec<Offset>,
    /// First month of the business year, 1 to 12.
    first_month: u64,
}

impl Default for Calendar {
    fn default() -> Calendar {
        Calendar {
            offsets: Vec::new(),
            first_month: 1,
        }
    }
}

impl Calendar {
    /// A calendar whose clocks change as `offsets` say and whose years and quarters count from
    /// `first_month` (1 to 12, else January).
    pub fn new(mut offsets: Vec<Offset>, first_month: u64) -> Calendar {
        offsets.sort_by_key(|offset| offset.from_ms);
        let mut shown = 0;
        offsets.retain(|offset| std::mem::replace(&mut shown, offset.ahead_ms) != offset.ahead_ms);
        Calendar {
            offsets,
            first_month: if (1..=12).contains(&first_month) {
                first_month
            } else {
                1
            },
        }
    }

    /// The window of `period` that `now_ms` lies in.
    pub fn window(&self, period: Period, now_ms: u64) -> Window {
        let now_ms = now_ms.min(INSTANT_MS_MAX);
        let day = self.local_day(now_ms);
        let (first, end) = match period {
            Period::Total => {
                return Window {
                    start_ms: 0,
                    end_ms: None,
                };
            }
            Period::Daily => (day, day + 1),
            Period::Rolling(days) => {
                let days = u64::from(days.max(1));
                ((day + 1).saturating_sub(days), day + 1)
            }
            // 1970-01-01 was a Thursday; the week that holds it starts at the epoch here.
            Period::Weekly => match (day + 3) / 7 * 7 {
                0 => (0, 4),
                week => (week - 3, week + 4),
            },
            Period::Monthly => months(day, 1, 1),
            Period::Quarterly => months(day, self.first_month, 3),
            Period::Yearly => months(day, self.first_month, 12),
        };
        Window {
            start_ms: self.midnight(first),
            end_ms: Some(self.midnight(end)),
        }
    }

    /// Days since 1970-01-01 as clocks here show them.
    fn local_day(&self, at_ms: u64) -> u64 {
        at_ms.saturating_add_signed(self.ahead_ms(at_ms)) / DAY_MS
    }

    fn ahead_ms(&self, at_ms: u64) -> i64 {
        let after = self
            .offsets
            .partition_point(|offset| offset.from_ms <= at_ms);
        let current = after.checked_sub(1).and_then(|at| self.offsets.get(at));
        current.map_or(0, |offset| offset.ahead_ms)
    }

    /// The first instant of a day. Where clocks skip midnight it is the instant of the change; where
    /// they pass it twice, the first time.
    fn midnight(&self, day: u64) -> u64 {
        let local_ms = day.saturating_mul(DAY_MS);
        let of = |ahead_ms: i64| local_ms.saturating_add_signed(ahead_ms.saturating_neg());
        // Offsets lie within a day of UTC: one of those around holds at that midnight.
        let near = |offset: &&Offset| offset.from_ms <= local_ms.saturating_add(2 * DAY_MS);
        let around = self.offsets.iter().rev().filter(near).take(4);
        let mut candidates: Vec<i64> = around.map(|offset| offset.ahead_ms).collect();
        candidates.push(0);
        let shown = candidates
            .iter()
            .map(|ahead_ms| of(*ahead_ms))
            .filter(|at_ms| self.shows(*at_ms, local_ms))
            .min();
        shown.unwrap_or_else(|| {
            let mut changes = self.offsets.iter().filter(|change| {
                let before = self.ahead_ms(change.from_ms.saturating_sub(1));
                let shown_before = change.from_ms.saturating_add_signed(before);
                let shown_after = change.from_ms.saturating_add_signed(change.ahead_ms);
                shown_before <= local_ms && local_ms < shown_after
            });
            changes
                .next_back()
                .map_or(local_ms, |change| change.from_ms)
        })
    }

    fn shows(&self, at_ms: u64, local_ms: u64) -> bool {
        at_ms.checked_add_signed(self.ahead_ms(at_ms)) == Some(local_ms)
    }
}

/// First day of the `count` months that `day` lies in, counted from `first_month`, and the first day
/// after them.
fn months(day: u64, first_month: u64, count: u64) -> (u64, u64) {
    let date = Date::of_day(day);
    // Months since the beginning of a year that lies before every date.
    let since = date.year * 12 + date.month - 1;
    let into = (since + 12 - (first_month - 1)) % 12 % count;
    let start = since - into;
    let day_of = |month: u64| {
        Date {
            year: month / 12,
            month: month % 12 + 1,
            day: 1,
        }
        .unix_day()
    };
    (day_of(start), day_of(start + count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::period::{parse, rfc3339};

    const HOUR_MS: i64 = 3_600_000;

    /// Berlin, 2026 and 2027.
    fn berlin() -> Calendar {
        let change = |at: &str, hours: i64| Offset {
            from_ms: parse(at).unwrap(),
            ahead_ms: hours * HOUR_MS,
        };
        Calendar::new(
            vec![
                change("1996-10-27T01:00:00Z", 1),
                change("2026-03-29T01:00:00Z", 2),
                change("2026-10-25T01:00:00Z", 1),
                change("2027-03-28T01:00:00Z", 2),
            ],
            4,
        )
    }

    fn check(calendar: &Calendar, period: Period, now: &str, start: &str, end: &str) {
        let window = calendar.window(period, parse(now).unwrap());
        let shown = (rfc3339(window.start_ms), rfc3339(window.end_ms.unwrap()));
        assert_eq!(
            shown,
            (start.to_owned(), end.to_owned()),
            "{period:?} at {now}"
        );
    }

    #[test]
    fn a_day_has_23_or_25_hours_when_clocks_change() {
        let berlin = berlin();
        let day = Period::Daily;
        check(
            &berlin,
            day,
            "2026-03-29T12:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        );
        check(
            &berlin,
            day,
            "2026-10-25T12:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
        );
        check(
            &berlin,
            day,
            "2026-06-01T22:00:00Z",
            "2026-06-01T22:00:00Z",
            "2026-06-02T22:00:00Z",
        );
        check(
            &berlin,
            day,
            "2026-06-01T21:59:59Z",
            "2026-05-31T22:00:00Z",
            "2026-06-01T22:00:00Z",
        );
    }

    #[test]
    fn business_years_start_where_the_setting_says() {
        let berlin = berlin();
        check(
            &berlin,
            Period::Yearly,
            "2026-11-21",
            "2026-03-31T22:00:00Z",
            "2027-03-31T22:00:00Z",
        );
        check(
            &berlin,
            Period::Yearly,
            "2026-03-31",
            "2025-03-31T23:00:00Z",
            "2026-03-31T22:00:00Z",
        );
        check(
            &berlin,
            Period::Quarterly,
            "2026-11-21",
            "2026-09-30T22:00:00Z",
            "2026-12-31T23:00:00Z",
        );
        check(
            &berlin,
            Period::Monthly,
            "2026-11-21",
            "2026-10-31T23:00:00Z",
            "2026-11-30T23:00:00Z",
        );
    }

    #[test]
    fn rolling_days_end_with_the_present_one() {
        let utc = Calendar::default();
        let week = Period::Rolling(7);
        check(
            &utc,
            week,
            "2026-11-21T12:00:00Z",
            "2026-11-15T00:00:00Z",
            "2026-11-22T00:00:00Z",
        );
        check(
            &utc,
            Period::Rolling(1),
            "2026-11-21",
            "2026-11-21T00:00:00Z",
            "2026-11-22T00:00:00Z",
        );
    }

    #[test]
    fn a_midnight_that_clocks_skip_is_the_instant_of_the_change() {
        // Lebanon: 00:00 becomes 01:00.
        let beirut = Calendar::new(
            vec![
                Offset {
                    from_ms: 0,
                    ahead_ms: 2 * HOUR_MS,
                },
                Offset {
                    from_ms: parse("2026-03-28T22:00:00Z").unwrap(),
                    ahead_ms: 3 * HOUR_MS,
                },
            ],
            1,
        );
        let day = Period::Daily;
        check(
            &beirut,
            day,
            "2026-03-29T12:00:00Z",
            "2026-03-28T22:00:00Z",
            "2026-03-29T21:00:00Z",
        );
    }

    proptest! {
        #[test]
        fn each_instant_lies_in_its_window_and_windows_join(
            at_ms in 946_684_800_000_u64..2_000_000_000_000,
            first_month in 1_u64..=12,
        ) {
            let calendar = Calendar { first_month, ..berlin() };
            for period in Period::ALL {
                let window = calendar.window(period, at_ms);
                prop_assert!(window.holds(at_ms), "{:?} {:?}", period, window);
                if let Some(end) = window.end_ms {
                    prop_assert_eq!(calendar.window(period, end).start_ms, end);
                    prop_assert_eq!(calendar.window(period, end - 1), window);
                }
            }
        }
    }
}
