//! [`Settle`] as the filter sends it: values by their place, and texts that repeat once in a batch.
//!
//! ```text
//! body    = FORMAT names records leases
//! names   = number, then that many texts: what records name
//! records = number, then that many records
//! leases  = the rest: nothing, or a JSON array of `LeaseState`
//! record  = how what exchange [trace] key provider model endpoint code [lease] [user] at duration
//!           [first byte] status attempts input output [cached written reasoning] cost [more]
//! text    = number of bytes, UTF-8
//! name    = number of one of `names` from 1 on, or 0 and a text
//! more    = text: JSON of tags, findings and verdicts
//! ```
//!
//! `key` to `lease` are names, `exchange`, `trace` and `user` texts, the others numbers: LEB128, the cost
//! with its sign in the lowest bit. `how` is a byte: ending (3 bits), cache (2), stream, metered, lease.
//! `what` says which of the parts in brackets are there. [`FORMAT`] changes with any of this. A body that
//! begins with `{` is [`Settle`] as JSON.

use serde::{Deserialize, Serialize};

use super::{CacheStatus, Ending, LeaseState, PiiAction, Settle, UsageRecord, Verdict, is_default};
use crate::limits::RECORDS_PER_SETTLE_MAX;

mod reader;

/// The first byte of a body.
const FORMAT: u8 = 1;
/// Names of one batch. Further ones are written out where they stand.
const NAMES_MAX: usize = 64;
/// Bytes of a name. Longer ones are written out where they stand.
const NAME_BYTES_MAX: usize = 256;
/// Names of a record: key, provider, model, endpoint, code, lease.
const PLACES: usize = 6;

const ENDINGS: [Ending; 5] = [
    Ending::Done,
    Ending::ClientGone,
    Ending::UpstreamCut,
    Ending::Refused,
    Ending::Expired,
];
const CACHES: [CacheStatus; 4] = [
    CacheStatus::Hit,
    CacheStatus::Miss,
    CacheStatus::Refresh,
    CacheStatus::Off,
];

/// Bits of `how`.
const CACHE_SHIFT: u8 = 3;
const STREAM: u8 = 1 << 5;
const METERED: u8 = 1 << 6;
const LEASE: u8 = 1 << 7;

/// Bits of `what`.
const TRACE: u8 = 1;
const USER: u8 = 1 << 1;
const FIRST_BYTE: u8 = 1 << 2;
const KINDS: u8 = 1 << 3;
const MORE: u8 = 1 << 4;

/// What few records have.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct More {
    #[serde(default, skip_serializing_if = "is_default")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pii: Vec<(String, u32)>,
    #[serde(default, skip_serializing_if = "is_default")]
    pii_action: Option<PiiAction>,
    #[serde(default, skip_serializing_if = "is_default")]
    guard: Vec<Verdict>,
}

/// Records of one settlement, kept as they are sent.
#[derive(Debug, Default)]
pub struct Parcel {
    /// As in the body, and where each of their texts is.
    names: Vec<u8>,
    spans: Vec<(usize, usize)>,
    /// What the last record named: the next one mostly names the same.
    last: [usize; PLACES],
    records: Vec<u8>,
    ends: Vec<End>,
    free: usize,
}

/// Where a record ends.
#[derive(Clone, Copy, Debug)]
struct End {
    at: usize,
    /// Whether it costs nothing.
    is_free: bool,
}

impl Parcel {
    /// Records in it.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether one settlement takes no more.
    pub fn is_full(&self) -> bool {
        self.len() >= RECORDS_PER_SETTLE_MAX
    }

    /// Records in it that cost nothing.
    pub fn free(&self) -> usize {
        self.free
    }

    /// Adds a record.
    pub fn push(&mut self, record: UsageRecord) {
        let is_free = record.cost_nano == 0;
        self.write(record);
        let at = self.records.len();
        self.ends.push(End { at, is_free });
        self.free = self.free.saturating_add(usize::from(is_free));
    }

    /// Takes the first record out; with `free` the first that costs nothing. Whether there was one.
    pub fn remove(&mut self, free: bool) -> bool {
        let mut ends = self.ends.iter();
        let Some(place) = ends.position(|end| end.is_free || !free) else {
            return false;
        };
        let before = place.checked_sub(1).and_then(|place| self.ends.get(place));
        let start = before.map_or(0, |end| end.at);
        let gone = self.ends.remove(place);
        let length = gone.at.saturating_sub(start);
        self.records.drain(start..gone.at);
        self.free = self.free.saturating_sub(usize::from(gone.is_free));
        for end in self.ends.iter_mut().skip(place) {
            end.at = end.at.saturating_sub(length);
        }
        true
    }

    /// Takes everything out, and keeps the room.
    pub fn clear(&mut self) {
        let Parcel {
            mut names,
            mut spans,
            mut records,
            mut ends,
            ..
        } = std::mem::take(self);
        names.clear();
        spans.clear();
        records.clear();
        ends.clear();
        *self = Parcel {
            names,
            spans,
            records,
            ends,
            ..Parcel::default()
        };
    }

    /// The body that settles them, and ends leases.
    pub fn body(&self, leases: &[LeaseState]) -> Vec<u8> {
        const HEAD_BYTES: usize = 16;
        let length = self.names.len().saturating_add(self.records.len());
        let mut body = Vec::with_capacity(length.saturating_add(HEAD_BYTES));
        body.push(FORMAT);
        number(&mut body, self.spans.len() as u64);
        body.extend_from_slice(&self.names);
        number(&mut body, self.len() as u64);
        body.extend_from_slice(&self.records);
        if !leases.is_empty() {
            // Numbers and texts: written into memory they cannot fail.
            body.extend(serde_json::to_vec(leases).unwrap_or_default());
        }
        body
    }

    fn write(&mut self, record: UsageRecord) {
        let usage = record.usage;
        let kinds = [usage.cached_input, usage.cache_write, usage.reasoning];
        let more = More {
            tags: record.tags,
            pii: record.pii,
            pii_action: record.pii_action,
            guard: record.guard,
        };
        let has_more = !is_default(&more);
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let how = record.ending as u8
            | (record.cache as u8) << CACHE_SHIFT
            | bit(record.stream, STREAM)
            | bit(record.metered, METERED)
            | bit(record.lease.is_some(), LEASE);
        let what = bit(record.trace_id != record.exchange, TRACE)
            | bit(!record.user.is_empty(), USER)
            | bit(record.first_byte_ms.is_some(), FIRST_BYTE)
            | bit(kinds != [0; 3], KINDS)
            | bit(has_more, MORE);
        self.records.extend_from_slice(&[how, what]);
        text(&mut self.records, &record.exchange);
        if what & TRACE != 0 {
            text(&mut self.records, &record.trace_id);
        }
        let names = [
            &record.key,
            &record.provider,
            &record.model,
            &record.endpoint,
            &record.code,
        ];
        for (place, name) in names.into_iter().chain(&record.lease).enumerate() {
            self.name(place, name);
        }
        if what & USER != 0 {
            text(&mut self.records, &record.user);
        }
        let out = &mut self.records;
        number(out, record.at_ms);
        number(out, record.duration_ms);
        if let Some(first_byte_ms) = record.first_byte_ms {
            number(out, first_byte_ms);
        }
        number(out, record.status.into());
        number(out, record.attempts.into());
        number(out, usage.input);
        number(out, usage.output);
        if what & KINDS != 0 {
            kinds.into_iter().for_each(|tokens| number(out, tokens));
        }
        let cost = record.cost_nano;
        number(out, ((cost << 1) ^ (cost >> 63)).cast_unsigned());
        if has_more {
            text(out, &serde_json::to_string(&more).unwrap_or_default());
        }
    }

    fn name(&mut self, place: usize, name: &str) {
        let is = |span: &(usize, usize)| self.names.get(span.0..span.1) == Some(name.as_bytes());
        let last = self.last.get(place).copied().unwrap_or_default();
        let again = self.spans.get(last).is_some_and(is);
        let known = again
            .then_some(last)
            .or_else(|| self.spans.iter().position(is));
        let known = known.or_else(|| self.add(name));
        match known {
            Some(known) => {
                if let Some(last) = self.last.get_mut(place) {
                    *last = known;
                }
                number(&mut self.records, (known as u64).saturating_add(1));
            }
            None => {
                self.records.push(0);
                text(&mut self.records, name);
            }
        }
    }

    /// The place of a new name, if there is one for it.
    fn add(&mut self, name: &str) -> Option<usize> {
        if self.spans.len() >= NAMES_MAX || name.len() > NAME_BYTES_MAX {
            return None;
        }
        text(&mut self.names, name);
        let end = self.names.len();
        self.spans.push((end.saturating_sub(name.len()), end));
        self.spans.len().checked_sub(1)
    }
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

impl Settle {
    /// Reads a body of either form. `None` for anything else.
    pub fn read(body: &[u8]) -> Option<Settle> {
        let (format, rest) = body.split_first()?;
        match *format {
            FORMAT => reader::read(rest),
            b'{' => serde_json::from_slice(body).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
