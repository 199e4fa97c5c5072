//! Packed settlements, read.

use super::*;
use crate::usage::Usage;

/// What follows the format.
pub(super) fn read(body: &[u8]) -> Option<Settle> {
    let mut reader = Reader(body);
    let count = reader.count(NAMES_MAX)?;
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        let name = reader.text()?;
        (name.len() <= NAME_BYTES_MAX).then(|| names.push(name))?;
    }
    let count = reader.count(RECORDS_PER_SETTLE_MAX)?;
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        records.push(reader.record(&names)?);
    }
    let leases = match reader.0 {
        [] => Vec::new(),
        leases => serde_json::from_slice(leases).ok()?,
    };
    Some(Settle { records, leases })
}

/// What is left of a body.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let moved = bits << shift;
            if moved >> shift != bits {
                return None;
            }
            number |= moved;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn count(&mut self, max: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= max).then_some(count)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn name(&mut self, names: &[&'a str]) -> Option<String> {
        let name = match self.count(names.len())?.checked_sub(1) {
            Some(place) => names.get(place).copied()?,
            None => self.text()?,
        };
        Some(name.to_owned())
    }

    fn record(&mut self, names: &[&'a str]) -> Option<UsageRecord> {
        let (how, what) = (self.byte()?, self.byte()?);
        if what & !(TRACE | USER | FIRST_BYTE | KINDS | MORE) != 0 {
            return None;
        }
        let has = |bit: u8| what & bit != 0;
        let ending = *ENDINGS.get(usize::from(how & 7))?;
        let cache = *CACHES.get(usize::from(how >> CACHE_SHIFT & 3))?;
        let exchange = self.text()?;
        let trace_id = if has(TRACE) { self.text()? } else { exchange };
        let (key, provider) = (self.name(names)?, self.name(names)?);
        let (model, endpoint) = (self.name(names)?, self.name(names)?);
        let code = self.name(names)?;
        let lease = match how & LEASE {
            0 => None,
            _ => Some(self.name(names)?),
        };
        let user = if has(USER) { self.text()? } else { "" };
        let (at_ms, duration_ms) = (self.number()?, self.number()?);
        let first_byte_ms = match has(FIRST_BYTE) {
            true => Some(self.number()?),
            false => None,
        };
        let status = u16::try_from(self.number()?).ok()?;
        let attempts = u32::try_from(self.number()?).ok()?;
        let mut usage = Usage {
            input: self.number()?,
            output: self.number()?,
            ..Usage::default()
        };
        if has(KINDS) {
            usage.cached_input = self.number()?;
            usage.cache_write = self.number()?;
            usage.reasoning = self.number()?;
        }
        let cost = self.number()?;
        let cost_nano = (cost >> 1).cast_signed() ^ (cost & 1).cast_signed().wrapping_neg();
        let more: More = match has(MORE) {
            true => serde_json::from_str(self.text()?).ok()?,
            false => More::default(),
        };
        Some(UsageRecord {
            exchange: exchange.to_owned(),
            trace_id: trace_id.to_owned(),
            endpoint,
            key,
            user: user.to_owned(),
            tags: more.tags,
            at_ms,
            duration_ms,
            first_byte_ms,
            provider,
            model,
            status,
            code,
            ending,
            stream: how & STREAM != 0,
            attempts,
            usage,
            metered: how & METERED != 0,
            cost_nano,
            cache,
            pii: more.pii,
            pii_action: more.pii_action,
            guard: more.guard,
            lease,
        })
    }
}
