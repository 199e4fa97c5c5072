//! IP addresses.

use std::net::Ipv6Addr;

use super::number::{Run, Separator};
use super::scanner::{Scanner, is_word};
use super::shape::Fit;
use super::{Evidence, Kind};

/// Longest IPv6 text (with an embedded IPv4 address).
const V6_BYTES_MAX: usize = 45;
/// Shortest one worth reporting; `::1` and `a::b` are code more often than addresses.
const V6_BYTES_MIN: usize = 7;

/// Four octets without leading zeros; none of no host: unspecified, loopback, mask.
pub(super) fn v4(run: &Run, from: usize) -> Option<Fit> {
    let to = from + 4;
    if to > run.len() || run.between(from, to) != Some(Separator::Dot) || !run.free_left(from) {
        return None;
    }
    let mut first = None;
    for index in from..to {
        let len = run.len_of(index);
        if len > 3 {
            return None;
        }
        let digits = run.digits(index, index + 1);
        let value = digits
            .iter()
            .fold(0u32, |number, digit| number * 10 + u32::from(*digit));
        if value > 255 || len > 1 && digits.first() == Some(&0) {
            return None;
        }
        first = first.or(Some(value));
    }
    let right = if to < run.len() {
        match run.separator(to) {
            Separator::Space | Separator::Open => true,
            Separator::Slash => run.len_of(to) <= 2,
            _ => false,
        }
    } else {
        run.free_right(to) || run.path_right
    };
    let ordinary = !matches!(first, Some(0 | 127 | 255));
    (right && ordinary).then_some(Fit::new(to, Evidence::Shape))
}

/// IPv6 around the colon at `at`.
pub(super) fn colon(scan: &mut Scanner<'_>, at: usize) -> Option<usize> {
    let next = scan.at(at + 1);
    if !(next == b':' || next.is_ascii_hexdigit()) {
        return None;
    }
    let start = scan.start_of(at, 5, |byte| byte.is_ascii_hexdigit());
    v6(scan, start)
}

/// Six pairs of hexadecimal digits with colons between.
fn hardware(scan: &mut Scanner<'_>, start: usize) -> Option<usize> {
    if !scan.wants(Kind::MacAddress) {
        return None;
    }
    let end = start + 17;
    let text = scan.slice(start, end);
    let pairs = text.len() == 17
        && text.iter().enumerate().all(|(index, byte)| {
            if index % 3 == 2 {
                *byte == b':'
            } else {
                byte.is_ascii_hexdigit()
            }
        });
    if !pairs || is_word(scan.byte_before(start)) || is_word(scan.at(end)) || scan.at(end) == b':' {
        return None;
    }
    scan.found(Kind::MacAddress, start, end);
    Some(end)
}

/// IPv6 that begins at `start`.
pub(super) fn v6(scan: &mut Scanner<'_>, start: usize) -> Option<usize> {
    if let Some(end) = hardware(scan, start) {
        return Some(end);
    }
    let before = scan.byte_before(start);
    if is_word(before) || matches!(before, b':' | b'.' | b'-') {
        return None;
    }
    let mut end = scan.end_within(start, V6_BYTES_MAX + 1, |byte| {
        byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
    });
    while matches!(scan.byte_before(end), b'.' | b':')
        && end > start + 1
        && !scan.slice(start, end).ends_with(b"::")
    {
        end -= 1;
    }
    let text = scan.text.get(start..end)?;
    let colons = text.bytes().filter(|byte| *byte == b':').count();
    let plausible = text.len() >= V6_BYTES_MIN
        && colons >= 3 | usize::from(text.starts_with("::"))
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && !is_word(scan.at(end));
    if !plausible || text.parse::<Ipv6Addr>().is_err() {
        return None;
    }
    scan.found(Kind::Ip, start, end);
    Some(end)
}
