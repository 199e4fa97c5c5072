//! `calendar`.

use engine::period::{Calendar, Offset};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::reader::{Field, Object, Reader};

/// Changes of clocks are looked up from and to these instants: 2000 and 2100.
const FROM_S: i64 = 946_684_800;
const UNTIL_S: i64 = 4_102_444_800;

pub(super) fn calendar(top: &mut Object<'_>, reader: &mut Reader<'_>) -> Calendar {
    let Some(mut object) = top
        .member("calendar")
        .and_then(|field| reader.object(field))
    else {
        return Calendar::default();
    };
    let offsets = object
        .member("time_zone")
        .and_then(|field| offsets(&field, reader));
    let first_month = object
        .member("fiscal_year_start")
        .and_then(|field| reader.integer(&field, 1, 12));
    object.finish(reader);
    Calendar::new(offsets.unwrap_or_default(), first_month.unwrap_or(1))
}

fn offsets(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Vec<Offset>> {
    let name = reader.text(field)?;
    let Ok(zone) = TimeZone::get(&name) else {
        reader.problem(
            field,
            format!("`{name}` is no time zone, for example UTC or Europe/Berlin"),
        );
        return None;
    };
    let (from, until) = (
        Timestamp::from_second(FROM_S).ok()?,
        Timestamp::from_second(UNTIL_S).ok()?,
    );
    let offset = |from_ms: i64, seconds: i32| Offset {
        from_ms: u64::try_from(from_ms).unwrap_or(0),
        ahead_ms: i64::from(seconds) * 1_000,
    };
    let mut found = vec![offset(0, zone.to_offset(from).seconds())];
    for change in zone.following(from) {
        if change.timestamp() > until {
            break;
        }
        let at_ms = change.timestamp().as_millisecond();
        found.push(offset(at_ms, change.offset().seconds()));
    }
    Some(found)
}
