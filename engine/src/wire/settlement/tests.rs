use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::usage::Usage;
use crate::wire::{Direction, sample_record};

fn record() -> impl Strategy<Value = UsageRecord> {
    let names = vec("[a-c]{0,2}|[a-z0-9]{1,12}|é{200}", 5);
    let ids = ("[a-z0-9]{1,40}", option::of("[a-z]{0,9}"), "[a-z]{0,3}");
    let lease = option::of("[a-c]");
    let tags = vec("[a-z]=[a-z]", 0..2);
    let numbers = vec(any::<u64>(), 7);
    let rest = (
        any::<(u16, u32, i64, bool, bool, Option<u64>)>(),
        (0..ENDINGS.len(), 0..CACHES.len(), any::<bool>()),
    );
    (names, ids, lease, tags, numbers, rest).prop_map(
        |(names, (exchange, trace, user), lease, tags, numbers, (counts, states))| {
            let (status, attempts, cost_nano, stream, metered, first_byte_ms) = counts;
            let (ending, cache, found) = states;
            let verdict = Verdict {
                rule: "quo\"te".into(),
                kind: "EMAIL".into(),
                on: Direction::Output,
                action: PiiAction::Mask,
                count: 3,
            };
            UsageRecord {
                trace_id: trace.unwrap_or_else(|| exchange.clone()),
                exchange,
                endpoint: names[0].clone(),
                key: names[1].clone(),
                user,
                tags,
                at_ms: numbers[0],
                duration_ms: numbers[1],
                first_byte_ms,
                provider: names[2].clone(),
                model: names[3].clone(),
                status,
                code: names[4].clone(),
                ending: ENDINGS[ending],
                stream,
                attempts,
                usage: Usage {
                    input: numbers[2],
                    output: numbers[3],
                    cached_input: numbers[4] & 1,
                    cache_write: numbers[5] & 1,
                    reasoning: numbers[6] & 1,
                },
                metered,
                cost_nano,
                cache: CACHES[cache],
                pii: found.then(|| ("EMAIL".into(), 2)).into_iter().collect(),
                pii_action: found.then_some(PiiAction::Redact),
                guard: found.then_some(verdict).into_iter().collect(),
                lease,
            }
        },
    )
}

fn parcel(records: &[UsageRecord]) -> Parcel {
    let mut parcel = Parcel::default();
    records.iter().cloned().for_each(|it| parcel.push(it));
    parcel
}

proptest! {
    #[test]
    fn what_is_packed_is_read(records in vec(record(), 0..80), done in any::<bool>()) {
        let leases = vec![LeaseState { id: "l".into(), done, ..LeaseState::default() }];
        let packed = parcel(&records);
        let free = records.iter().filter(|it| it.cost_nano == 0).count();
        prop_assert_eq!((packed.len(), packed.free()), (records.len(), free));
        let settle = Settle { records, leases };
        let read = Settle::read(&packed.body(&settle.leases));
        prop_assert_eq!(read, Some(settle));
    }

    #[test]
    fn records_are_taken_out_alone(records in vec(record(), 1..20), free in any::<bool>()) {
        let mut packed = parcel(&records);
        let mut left = records;
        let place = left.iter().position(|it| !free || it.cost_nano == 0);
        prop_assert_eq!(packed.remove(free), place.is_some());
        place.map(|place| left.remove(place));
        let more = sample_record();
        packed.push(more.clone());
        left.push(more);
        let read = Settle::read(&packed.body(&[])).map(|settle| settle.records);
        prop_assert_eq!(read, Some(left));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>()) {
        let _refused = Settle::read(&[&[FORMAT], &bytes[..]].concat());
        let body = parcel(&[sample_record(), sample_record()]).body(&[]);
        let cut = cut.index(body.len());
        prop_assert_eq!(Settle::read(&body[..cut]), None);
    }
}

#[test]
fn the_form_is_pinned() {
    let mut packed = parcel(&[sample_record(), sample_record()]);
    let one = b"\x98\x04\x02wr\x01\x02\x03\x04\x05\x06\x80\x01\x07\x06\xc8\x01\x01\x0a\x05\xc8\x01";
    let names = b"\x01\x06\x05key_a\x05bench\x05gpt-4\x04chat\x00\x02l1\x02";
    assert_eq!(packed.body(&[]), [&names[..], one, one].concat());
    packed.clear();
    assert_eq!(packed.body(&[]), [FORMAT, 0, 0]);
    assert_eq!(Settle::read(&[FORMAT, 0, 0]), Some(Settle::default()));
}

#[test]
fn json_is_read_too_and_another_format_is_not() {
    let records = vec![sample_record()];
    let settle = Settle {
        records,
        leases: Vec::new(),
    };
    let body = serde_json::to_vec(&settle).unwrap();
    assert_eq!(Settle::read(&body), Some(settle));
    assert_eq!(Settle::read(&[FORMAT + 1, 0, 0]), None);
    assert_eq!(Settle::read(&[]), None);
}

#[test]
fn names_beyond_the_bound_are_written_out() {
    let named = |number: usize| UsageRecord {
        model: format!("model-{number}"),
        ..sample_record()
    };
    let records: Vec<UsageRecord> = (0..RECORDS_PER_SETTLE_MAX).map(named).collect();
    let packed = parcel(&records);
    assert!(packed.is_full());
    let read = Settle::read(&packed.body(&[])).unwrap();
    assert_eq!(read.records, records);
}
