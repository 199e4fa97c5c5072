//! Budget periods and the calendar they follow: UTC, proleptic Gregorian.

use serde::{Deserialize, Serialize};

const DAY_MS: u64 = 86_400_000;
/// Days of a Gregorian era of 400 years.
const ERA_DAYS: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;
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
}

/// The stretch of time that a period makes of an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Unix milliseconds of its first instant.
    pub start_ms: u64,
    /// Unix milliseconds of the first instant after it; `None` when it never ends.
    pub end_ms: Option<u64>,
}

impl Period {
    pub(crate) const ALL: [Period; 6] = [
        Period::Daily,
        Period::Weekly,
        Period::Monthly,
        Period::Quarterly,
        Period::Yearly,
        Period::Total,
    ];

    /// Name in configuration and in the admin interface.
    pub fn name(self) -> &'static str {
        match self {
            Period::Daily => "daily",
            Period::Weekly => "weekly",
            Period::Monthly => "monthly",
            Period::Quarterly => "quarterly",
            Period::Yearly => "yearly",
            Period::Total => "total",
        }
    }

    /// Word at the head of a refusal.
    pub fn word(self) -> &'static str {
        match self {
            Period::Daily => "Daily",
            Period::Weekly => "Weekly",
            Period::Monthly => "Monthly",
            Period::Quarterly => "Quarterly",
            Period::Yearly => "Yearly",
            Period::Total => "Total",
        }
    }

    /// The period called `name`, in any case; `none` is `total`.
    pub fn from_name(name: &str) -> Option<Period> {
        if name.eq_ignore_ascii_case("none") {
            return Some(Period::Total);
        }
        Period::ALL
            .into_iter()
            .find(|period| period.name().eq_ignore_ascii_case(name))
    }

    /// The window that `now_ms` lies in.
    pub fn window(self, now_ms: u64) -> Window {
        let now_ms = now_ms.min(INSTANT_MS_MAX);
        let day = now_ms / DAY_MS;
        let date = Date::of_day(day);
        let months = |first: u64, count: u64| {
            let (years, next) = ((first - 1 + count) / 12, (first - 1 + count) % 12 + 1);
            let start = Date {
                month: first,
                day: 1,
                ..date
            };
            let end = Date {
                year: date.year + years,
                month: next,
                day: 1,
            };
            Window {
                start_ms: start.unix_day() * DAY_MS,
                end_ms: Some(end.unix_day() * DAY_MS),
            }
        };
        let days = |first: u64, count: u64| Window {
            start_ms: first * DAY_MS,
            end_ms: Some((first + count) * DAY_MS),
        };
        match self {
            Period::Daily => days(day, 1),
            // 1970-01-01 was a Thursday; the week that holds it starts at the epoch here.
            Period::Weekly => match (day + 3) / 7 * 7 {
                0 => Window {
                    start_ms: 0,
                    end_ms: Some(4 * DAY_MS),
                },
                week => days(week - 3, 7),
            },
            Period::Monthly => months(date.month, 1),
            Period::Quarterly => months((date.month - 1) / 3 * 3 + 1, 3),
            Period::Yearly => months(1, 12),
            Period::Total => Window {
                start_ms: 0,
                end_ms: None,
            },
        }
    }
}

impl Window {
    /// Whether `at_ms` lies in it.
    pub fn holds(self, at_ms: u64) -> bool {
        at_ms >= self.start_ms && self.end_ms.is_none_or(|end| at_ms < end)
    }
}

/// A day of the calendar; month and day count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: u64,
    month: u64,
    day: u64,
}

impl Date {
    /// Days since 1970-01-01 to a date (years start in March, so that a leap day comes last).
    fn of_day(unix_day: u64) -> Date {
        let days = unix_day + EPOCH_DAYS;
        let (era, of_era) = (days / ERA_DAYS, days % ERA_DAYS);
        let year_of_era =
            (of_era - of_era / 1_460 + of_era / 36_524 - of_era / (ERA_DAYS - 1)) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        Date {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: of_year - (153 * shifted + 2) / 5 + 1,
        }
    }

    /// The opposite of [`Date::of_day`]; dates before 1970 give 0.
    fn unix_day(self) -> u64 {
        let year = self.year.saturating_sub(u64::from(self.month <= 2));
        let (era, year_of_era) = (year / 400, year % 400);
        let shifted = (self.month + 9) % 12;
        let of_year = (153 * shifted + 2) / 5 + self.day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        (era * ERA_DAYS + of_era).saturating_sub(EPOCH_DAYS)
    }
}

/// `2026-11-21`, the UTC day of `at_ms`.
pub fn day(at_ms: u64) -> String {
    let date = Date::of_day(at_ms.min(INSTANT_MS_MAX) / DAY_MS);
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

/// `2026-11-21 12:30:00.000`: the form of SQL's date functions, in UTC.
pub fn sql(at_ms: u64) -> String {
    let (hour, minute, second, milli) = clock(at_ms);
    format!(
        "{} {hour:02}:{minute:02}:{second:02}.{milli:03}",
        day(at_ms)
    )
}

/// `2026-11-21T12:30:00Z` (RFC 3339), with milliseconds when there are any.
pub fn rfc3339(at_ms: u64) -> String {
    let (hour, minute, second, milli) = clock(at_ms);
    let day = day(at_ms);
    if milli == 0 {
        format!("{day}T{hour:02}:{minute:02}:{second:02}Z")
    } else {
        format!("{day}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

fn clock(at_ms: u64) -> (u64, u64, u64, u64) {
    let of_day = at_ms.min(INSTANT_MS_MAX) % DAY_MS;
    (
        of_day / 3_600_000,
        of_day / 60_000 % 60,
        of_day / 1_000 % 60,
        of_day % 1_000,
    )
}

/// Unix milliseconds of an RFC 3339 instant from 1970 on, of a day alone (its midnight) or of the
/// form of [`sql`]. `None` for anything else, a day that does not exist included.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let date = Date {
        year: digits(parts.next()?, 4)?,
        month: digits(parts.next()?, 2)?,
        day: digits(parts.next()?, 2)?,
    };
    let known = parts.next().is_none() && date.year >= 1970 && (1..=12).contains(&date.month);
    if !known || date.day == 0 || Date::of_day(date.unix_day()) != date {
        return None;
    }
    let midnight = date.unix_day() * DAY_MS;
    match time {
        None => Some(midnight),
        Some(time) => {
            let (of_day, zone_ms) = time_of_day(time)?;
            midnight.checked_add(of_day)?.checked_add_signed(-zone_ms)
        }
    }
}

/// Milliseconds of the day, and what its zone is ahead of UTC.
fn time_of_day(text: &str) -> Option<(u64, i64)> {
    let (clock, zone) = match text.find(['Z', 'z', '+', '-']) {
        Some(at) => text.split_at_checked(at)?,
        None => (text, "Z"),
    };
    let zone_ms = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign @ ("+" | "-"), rest) => {
            let (hours, minutes) = rest.split_once(':')?;
            let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let ahead = i64::try_from((hours * 60 + minutes) * 60_000).ok()?;
            if sign == "-" { -ahead } else { ahead }
        }
        _ => return None,
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    let second = digits(parts.next().unwrap_or("00"), 2)?;
    // A leap second is read as the second before it.
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let milli: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let seconds = (hour * 60 + minute) * 60 + second.min(59);
    Some((seconds * 1_000 + milli, zone_ms))
}

fn digits(text: &str, count: usize) -> Option<u64> {
    let plain = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
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
