//! Any sequence of calls keeps what budgets promise.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Admit {
        exchange: u8,
        key: u8,
        input: i64,
        cap: Option<u64>,
        choices: u32,
        output_max: u64,
    },
    Renew {
        exchange: u8,
        share: u8,
    },
    Settle {
        exchange: u8,
        share: u8,
    },
    Grow {
        exchange: u8,
        by: i64,
    },
    Wait {
        ms: u64,
    },
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    let cap = prop::option::of(0u64..200);
    prop_oneof![
        6 => (any::<u8>(), 0u8..3, 0i64..3_000, cap, 1u32..4, 0u64..300).prop_map(
            |(exchange, key, input, cap, choices, output_max)| Op::Admit {
                exchange, key, input, cap, choices, output_max
            }
        ),
        2 => (any::<u8>(), 0u8..=100).prop_map(|(exchange, share)| Op::Renew { exchange, share }),
        4 => (any::<u8>(), 0u8..=100).prop_map(|(exchange, share)| Op::Settle { exchange, share }),
        2 => (any::<u8>(), 0i64..2_000).prop_map(|(exchange, by)| Op::Grow { exchange, by }),
        2 => prop_oneof![0u64..40_000, Just(3_600_000u64), Just(40_000_000u64)].prop_map(|ms| Op::Wait { ms }),
        1 => Just(Op::Crash),
    ]
}

/// What survives a crash.
#[derive(Default)]
struct Disk {
    settled: BTreeMap<String, (usize, u64, i64)>,
    journal: BTreeMap<String, (usize, Hold)>,
}

const LIMITS: [(i64, Period); 4] = [
    (40_000, Period::Daily),
    (9_000, Period::Daily),
    (20_000, Period::Monthly),
    (15_000, Period::Total),
];

fn start(disk: &Disk, now_ms: u64) -> (Ledger, Vec<ScopeId>) {
    let mut ledger = Ledger::default();
    ledger.advance(now_ms);
    let mut ids = vec![ledger.open(Scope::Global)];
    ids.extend((0..3).map(|key| ledger.open(Scope::Key(key.to_string()))));
    for (id, (limit_nano, period)) in ids.iter().zip(LIMITS) {
        ledger.set_budgets(
            *id,
            vec![Budget {
                limit_nano,
                period,
                hard: true,
                thresholds: Thresholds::default(),
            }],
        );
    }
    for (key, at_ms, cost) in disk.settled.values() {
        ledger.charge(&[ids[0], ids[1 + key]], *at_ms, *cost);
    }
    for (exchange, (_, hold)) in &disk.journal {
        if !disk.settled.contains_key(exchange) {
            ledger.restore(exchange.clone(), hold.clone(), now_ms);
        }
    }
    (ledger, ids)
}

fn settle(
    ledger: &mut Ledger,
    disk: &mut Disk,
    ids: &[ScopeId],
    exchange: &str,
    cost: i64,
    now_ms: u64,
) {
    let Some((key, _)) = disk.journal.get(exchange) else {
        return;
    };
    let key = *key;
    let at_ms = ledger.charged_ms(exchange, now_ms, now_ms);
    if !disk.settled.contains_key(exchange) {
        disk.settled.insert(exchange.to_owned(), (key, at_ms, cost));
        ledger.settle(exchange, &[ids[0], ids[1 + key]], at_ms, cost);
    }
}

fn check(
    ledger: &mut Ledger,
    disk: &Disk,
    ids: &[ScopeId],
    now_ms: u64,
) -> Result<(), TestCaseError> {
    for (place, id) in ids.iter().enumerate() {
        for state in ledger.budgets(*id, now_ms) {
            let spend = state.spend;
            let sum: i64 = disk
                .settled
                .values()
                .filter(|(key, at_ms, _)| {
                    (place == 0 || place == key + 1) && spend.window.holds(*at_ms)
                })
                .map(|(_, _, cost)| cost)
                .sum();
            prop_assert_eq!(spend.spent_nano, sum);
            let held: i64 = ledger
                .holds()
                .filter(|(_, hold)| {
                    hold.scopes.contains(id) && spend.window.holds(hold.admitted_ms)
                })
                .map(|(_, hold)| hold.amount_nano)
                .sum();
            prop_assert_eq!(spend.held_nano, held);
            prop_assert!(spend.spent_nano + spend.held_nano <= state.budget.limit_nano);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn money_adds_up_whatever_happens(ops in prop::collection::vec(op(), 1..120)) {
        let (mut disk, mut now_ms) = (Disk::default(), NOW);
        let (mut ledger, mut ids) = start(&disk, now_ms);
        for op in ops {
            match op {
                Op::Admit { exchange, key, input, cap, choices, output_max } => {
                    let (exchange, key) = (exchange.to_string(), usize::from(key));
                    if disk.journal.contains_key(&exchange) { continue }
                    let quotes = [Quote { input_nano: input, output_max, ..quote(0, 0, 0) },
                                  quote(input / 2, 0, output_max)].map(|quote| Quote {
                        // 10 nano a token.
                        output_nano_per_mtok: 10_000_000, ..quote
                    });
                    let scopes = [ids[0], ids[1 + key]];
                    let ask = Ask { choices, ..ask(&exchange, &scopes, &quotes, cap) };
                    if let Answer::Granted { held: Worst { hold_nano, output_cap, .. }, .. } = ledger.admit(&ask, now_ms) {
                        let tokens = match (cap, output_cap) {
                            (Some(cap), _) => cap,
                            (None, Some(each)) => each.min(if output_max > 0 { output_max } else { u64::MAX }) * u64::from(choices),
                            (None, None) => output_max * u64::from(choices),
                        };
                        prop_assert!(input + i64::try_from(tokens).unwrap() * 10 <= hold_nano);
                        let hold = ledger.hold(&exchange).unwrap().clone();
                        disk.journal.insert(exchange, (key, hold));
                    }
                }
                Op::Renew { exchange, share } => {
                    let exchange = exchange.to_string();
                    if let Some(hold) = ledger.hold(&exchange) {
                        let cost = hold.amount_nano * i64::from(share) / 100;
                        prop_assert!(ledger.renew(&exchange, cost, now_ms));
                    }
                }
                Op::Grow { exchange, by } => {
                    let exchange = exchange.to_string();
                    let before = ledger.hold(&exchange).map_or(0, |hold| hold.amount_nano);
                    let more = ledger.grow(&exchange, by, now_ms);
                    prop_assert!((0..=by).contains(&more));
                    if let Some(hold) = ledger.hold(&exchange) {
                        prop_assert_eq!(hold.amount_nano, before + more);
                        let hold = hold.clone();
                        disk.journal.entry(exchange).and_modify(|noted| noted.1 = hold);
                    } else {
                        prop_assert_eq!(more, 0);
                    }
                }
                Op::Settle { exchange, share } => {
                    let exchange = exchange.to_string();
                    let most = disk.journal.get(&exchange).map_or(0, |(_, hold)| hold.amount_nano);
                    settle(&mut ledger, &mut disk, &ids, &exchange, most * i64::from(share) / 100, now_ms);
                }
                Op::Wait { ms } => {
                    now_ms += ms;
                    for (exchange, hold) in ledger.expire(now_ms) {
                        settle(&mut ledger, &mut disk, &ids, &exchange, hold.metered_nano, now_ms);
                    }
                }
                Op::Crash => (ledger, ids) = start(&disk, now_ms),
            }
            check(&mut ledger, &disk, &ids, now_ms)?;
        }
    }
}
