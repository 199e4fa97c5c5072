//! Instants as text, and days as dates: proleptic Gregorian.

use super::{DAY_MS, INSTANT_MS_MAX};

/// Days of a Gregorian era of 400 years.
const ERA_DAYS: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;

/// Bytes of an instant as text.
const TEXT_BYTES: usize = 24;

/// A day of the calendar; month and day count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: u64,
    pub(super) month: u64,
    pub(super) day: u64,
}

impl Date {
    /// Days since 1970-01-01 to a date (years start in March, so that a leap day comes last).
    pub(super) fn of_day(unix_day: u64) -> Date {
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
    pub(super) fn unix_day(self) -> u64 {
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
    let mut text = String::with_capacity(TEXT_BYTES);
    pair(&mut text, date.year / 100);
    pair(&mut text, date.year);
    for part in [date.month, date.day] {
        text.push('-');
        pair(&mut text, part);
    }
    text
}

/// `2026-11-21 12:30:00.000`: the form of SQL's date functions, in UTC.
pub fn sql(at_ms: u64) -> String {
    let mut text = day(at_ms);
    text.push(' ');
    let milli = clock(&mut text, at_ms);
    fraction(&mut text, milli);
    text
}

/// `2026-11-21T12:30:00Z` (RFC 3339), with milliseconds when there are any.
pub fn rfc3339(at_ms: u64) -> String {
    let mut text = day(at_ms);
    text.push('T');
    let milli = clock(&mut text, at_ms);
    if milli != 0 {
        fraction(&mut text, milli);
    }
    text.push('Z');
    text
}

/// Adds hours, minutes and seconds; gives the milliseconds.
fn clock(text: &mut String, at_ms: u64) -> u64 {
    let of_day = at_ms.min(INSTANT_MS_MAX) % DAY_MS;
    pair(text, of_day / 3_600_000);
    for part in [of_day / 60_000 % 60, of_day / 1_000 % 60] {
        text.push(':');
        pair(text, part);
    }
    of_day % 1_000
}

fn fraction(text: &mut String, milli: u64) {
    text.push('.');
    digit(text, milli / 100);
    pair(text, milli);
}

/// Adds the last two digits of a number. There is an instant in each record of the ledger: the
/// standard library's formatting takes ten times as long.
fn pair(text: &mut String, number: u64) {
    digit(text, number / 10);
    digit(text, number);
}

fn digit(text: &mut String, number: u64) {
    text.push(char::from(b'0' + (number % 10) as u8));
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
