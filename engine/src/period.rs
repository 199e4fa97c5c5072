//! Budget periods and the calendar they follow.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

mod calendar;
mod instant;

pub use calendar::{Calendar, Offset};
pub use instant::{day, parse, rfc3339, sql};

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z: later instants are read as this one, so that a year has four digits.
const INSTANT_MS_MAX: u64 = 253_402_300_799_999;

/// When spend starts at zero again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// At midnight.
    Daily,
    /// On Monday.
    Weekly,
    /// On the first of the month.
    #[default]
    Monthly,
    /// On the first of January, April, July and October.
    Quarterly,
    /// On the first of January.
    Yearly,
    /// Never.
    Total,
    /// Every day, for the day that has left the last so many days, the present one included.
    Rolling(u16),
}

/// The stretch of time that a period makes of an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Unix milliseconds of its first instant.
    pub start_ms: u64,
    /// Unix milliseconds of the first instant after it; `None` when it never ends.
    pub end_ms: Option<u64>,
}

/// Days of the longest rolling period.
pub const ROLLING_DAYS_MAX: u16 = 366;

impl Period {
    /// Those that have a name.
    pub(crate) const ALL: [Period; 6] = [
        Period::Daily,
        Period::Weekly,
        Period::Monthly,
        Period::Quarterly,
        Period::Yearly,
        Period::Total,
    ];

    /// Name in configuration and in the admin interface: `monthly`, `30d` for the last thirty days.
    pub fn name(self) -> Cow<'static, str> {
        let name = match self {
            Period::Daily => "daily",
            Period::Weekly => "weekly",
            Period::Monthly => "monthly",
            Period::Quarterly => "quarterly",
            Period::Yearly => "yearly",
            Period::Total => "total",
            Period::Rolling(days) => return Cow::Owned(format!("{days}d")),
        };
        Cow::Borrowed(name)
    }

    /// Word at the head of a refusal.
    pub fn word(self) -> Cow<'static, str> {
        let word = match self {
            Period::Daily => "Daily",
            Period::Weekly => "Weekly",
            Period::Monthly => "Monthly",
            Period::Quarterly => "Quarterly",
            Period::Yearly => "Yearly",
            Period::Total => "Total",
            Period::Rolling(days) => return Cow::Owned(format!("{days}-day")),
        };
        Cow::Borrowed(word)
    }

    /// The period called `name`, in any case; `none` is `total`.
    pub fn from_name(name: &str) -> Option<Period> {
        if name.eq_ignore_ascii_case("none") {
            return Some(Period::Total);
        }
        if let Some(days) = name.strip_suffix(['d', 'D']) {
            let days = days.parse().ok()?;
            return (1..=ROLLING_DAYS_MAX)
                .contains(&days)
                .then_some(Period::Rolling(days));
        }
        Period::ALL
            .into_iter()
            .find(|period| period.name().eq_ignore_ascii_case(name))
    }

    /// The window that `now_ms` lies in, in UTC and by the calendar year.
    pub fn window(self, now_ms: u64) -> Window {
        Calendar::default().window(self, now_ms)
    }
}

impl Window {
    /// Whether `at_ms` lies in it.
    pub fn holds(self, at_ms: u64) -> bool {
        at_ms >= self.start_ms && self.end_ms.is_none_or(|end| at_ms < end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows_start_and_end_where_the_calendar_says() {
        let check = |period: Period, now: &str, start: &str, end: &str| {
            let window = period.window(parse(now).unwrap());
            assert_eq!(rfc3339(window.start_ms), start, "{period:?} at {now}");
            assert_eq!(rfc3339(window.end_ms.unwrap()), end, "{period:?} at {now}");
        };
        let now = "2026-11-21T12:30:00Z";
        check(
            Period::Daily,
            now,
            "2026-11-21T00:00:00Z",
            "2026-11-22T00:00:00Z",
        );
        check(
            Period::Weekly,
            now,
            "2026-11-16T00:00:00Z",
            "2026-11-23T00:00:00Z",
        );
        check(
            Period::Monthly,
            now,
            "2026-11-01T00:00:00Z",
            "2026-12-01T00:00:00Z",
        );
        check(
            Period::Quarterly,
            now,
            "2026-10-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        );
        check(
            Period::Yearly,
            now,
            "2026-01-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        );
        let leap = "2028-02-29T23:59:59.999Z";
        check(
            Period::Monthly,
            leap,
            "2028-02-01T00:00:00Z",
            "2028-03-01T00:00:00Z",
        );
        check(
            Period::Weekly,
            "1970-01-02",
            "1970-01-01T00:00:00Z",
            "1970-01-05T00:00:00Z",
        );
        check(
            Period::Weekly,
            "1970-01-05",
            "1970-01-05T00:00:00Z",
            "1970-01-12T00:00:00Z",
        );
        assert_eq!(
            Period::Total.window(5),
            Window {
                start_ms: 0,
                end_ms: None
            }
        );
    }

    #[test]
    fn instants_are_read_in_every_zone_and_refused_when_they_do_not_exist() {
        let noon = parse("2026-11-21T12:00:00Z").unwrap();
        for same in [
            "2026-11-21t14:00:00+02:00",
            "2026-11-21 12:00:00.000",
            "2026-11-21T05:30:00.0001-06:30",
            "2026-11-21T12:00Z",
        ] {
            assert_eq!(parse(same), Some(noon), "{same}");
        }
        assert_eq!(Period::from_name("30D"), Some(Period::Rolling(30)));
        assert_eq!(Period::from_name("367d"), None);
        for odd in [
            "",
            "2026",
            "2026-02-30",
            "2026-13-01",
            "2026-1-1",
            "2026-11-21T24:00:00Z",
            "2026-11-21T12:00:00+2",
            "1969-12-31T23:59:59Z",
            "2026-11-21T12:00:00.Z",
            "tomorrow",
        ] {
            assert_eq!(parse(odd), None, "{odd}");
        }
        assert_eq!(sql(noon + 7), "2026-11-21 12:00:00.007");
    }

    proptest! {
        #[test]
        fn writing_and_reading_give_the_same_instant(at_ms in 0..=INSTANT_MS_MAX) {
            prop_assert_eq!(parse(&rfc3339(at_ms)), Some(at_ms));
            prop_assert_eq!(parse(&sql(at_ms)), Some(at_ms));
        }

        #[test]
        fn each_instant_lies_in_its_window_and_windows_join(at_ms in 0..INSTANT_MS_MAX / 2) {
            for period in Period::ALL {
                let window = period.window(at_ms);
                prop_assert!(window.holds(at_ms));
                if let Some(end) = window.end_ms {
                    prop_assert_eq!(period.window(end).start_ms, end);
                    prop_assert_eq!(period.window(end - 1), window);
                }
            }
        }
    }
}
