//! Tables for single decisions, and a model: a store that keeps what was settled, a journal that
//! keeps what was held, and crashes between them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::period;
use crate::usage::NANO_PER_USD;

const NOW: u64 = 1_795_264_200_000; // 2026-11-21T12:30:00Z
const USD: i64 = NANO_PER_USD;

fn quote(input_nano: i64, output_usd_per_mtok: i64, output_max: u64) -> Quote {
    Quote {
        provider: "p".into(),
        model: "m".into(),
        input_nano,
        output_nano_per_mtok: output_usd_per_mtok * USD,
        output_max,
    }
}

fn budget(limit_nano: i64) -> Budget {
    Budget {
        limit_nano,
        period: Period::Monthly,
        hard: true,
        thresholds: Thresholds::default(),
    }
}

fn ask<'a>(
    exchange: &'a str,
    scopes: &'a [ScopeId],
    quotes: &'a [Quote],
    cap: Option<u64>,
) -> Ask<'a> {
    Ask {
        exchange,
        key: "key_a",
        scopes,
        quotes,
        output_cap: cap,
        choices: 1,
        tokens_in: 10,
        user: "",
        tags: &[],
        slice_tokens: None,
    }
}

fn whole(hold_nano: i64) -> Worst {
    Worst {
        hold_nano,
        ..Worst::default()
    }
}

fn ledger(limit_nano: i64) -> (Ledger, Vec<ScopeId>) {
    let mut ledger = Ledger::default();
    let scopes = vec![
        ledger.open(Scope::Global),
        ledger.open(Scope::Key("key_a".into())),
    ];
    ledger.set_budgets(scopes[1], vec![budget(limit_nano)]);
    (ledger, scopes)
}

#[test]
fn the_most_an_exchange_can_cost_is_held_and_then_given_back() {
    let (mut ledger, scopes) = ledger(USD);
    // 10 USD a million tokens: 10,000 nano a token.
    let quotes = [quote(500, 10, 4_000), quote(900, 1, 4_000)];
    let granted = ledger.admit(&ask("a", &scopes, &quotes, Some(1_000)), NOW);
    assert_eq!(
        granted,
        Answer::Granted {
            held: whole(500 + 10_000_000),
            hard: true,
        }
    );
    for scope in &scopes {
        assert_eq!(
            ledger.spend(*scope, Period::Daily, NOW).held_nano,
            10_000_500
        );
    }
    ledger.settle("a", &scopes, NOW, 7);
    let spend = ledger.spend(scopes[1], Period::Monthly, NOW);
    assert_eq!((spend.spent_nano, spend.held_nano), (7, 0));
    ledger.settle("lost", &scopes, NOW, 3);
    assert_eq!(ledger.spend(scopes[0], Period::Total, NOW).spent_nano, 10);
}

#[test]
fn caps_are_derived_only_when_the_models_maximum_does_not_fit() {
    let check = |limit: i64,
                 quotes: &[Quote],
                 choices: u32,
                 cap: Option<u64>,
                 expect: Option<(i64, Option<u64>)>| {
        let (mut ledger, scopes) = ledger(limit);
        let ask = Ask {
            choices,
            ..ask("a", &scopes, quotes, cap)
        };
        let got = match ledger.admit(&ask, NOW) {
            Answer::Granted { held, .. } => Some((held.hold_nano, held.output_cap)),
            Answer::Refused(_) => None,
            Answer::Full => panic!("full"),
        };
        assert_eq!(got, expect, "limit {limit} choices {choices} cap {cap:?}");
    };
    let one = [quote(1_000, 1, 4_000)]; // 1,000 nano a token, 4,001,000 at most
    check(4_001_000, &one, 1, None, Some((4_001_000, None)));
    check(4_000_999, &one, 1, None, Some((4_000_000, Some(3_999))));
    check(4_001_000, &one, 2, None, Some((4_001_000, Some(2_000))));
    check(17_000, &one, 1, None, Some((17_000, Some(16))));
    check(16_999, &one, 1, None, None);
    check(16_999, &one, 1, Some(15), Some((16_000, None)));
    check(16_999, &one, 1, Some(16), None);
    // A tiny model fits whole though it is below the smallest derived cap.
    check(9_000, &[quote(1_000, 1, 8)], 1, None, Some((9_000, None)));
    // The dearest target decides, and a target that fits whole asks for no cap.
    check(
        3_001_000,
        &[quote(1_000, 1, 4_000), quote(1_000, 1, 100)],
        1,
        None,
        Some((3_001_000, Some(3_000))),
    );
    // Nothing bounds an unknown maximum but the cap.
    check(
        USD,
        &[quote(0, 1, 0)],
        1,
        None,
        Some((4_096_000, Some(4_096))),
    );
    // Free exchanges pass an empty budget, prompts that cost something do not.
    check(0, &[quote(0, 0, 4_000)], 1, None, Some((0, None)));
    check(0, &[quote(1, 0, 4_000)], 1, None, None);
    check(1, &[quote(1, 0, 4_000)], 1, None, Some((1, None)));
}

#[test]
fn without_a_hard_budget_nothing_is_refused() {
    let (mut ledger, scopes) = ledger(5);
    ledger.set_budgets(
        scopes[1],
        vec![Budget {
            hard: false,
            ..budget(5)
        }],
    );
    let quotes = [quote(i64::MAX, i64::MAX / USD, u64::MAX)];
    let granted = ledger.admit(&ask("a", &scopes, &quotes, None), NOW);
    assert_eq!(
        granted,
        Answer::Granted {
            held: whole(i64::MAX),
            hard: false,
        }
    );
}

#[test]
fn a_stream_holds_a_slice_that_grows_while_budgets_cover_it() {
    // 10,000 nano a token, 100 tokens in the budget.
    let (mut ledger, scopes) = ledger(1_000_000);
    let quotes = [quote(0, 10, 4_000)];
    let sliced = |cap, slice| Ask {
        slice_tokens: Some(slice),
        ..ask("a", &scopes, &quotes, cap)
    };
    let held = |answer| match answer {
        Answer::Granted { held, hard } => Some((held.hold_nano, held.sliced, hard)),
        _ => None,
    };
    assert_eq!(
        held(ledger.admit(&sliced(Some(500), 20), NOW)),
        Some((200_000, true, true))
    );
    assert_eq!(
        held(ledger.admit(&sliced(Some(10), 20), NOW)),
        Some((100_000, false, true))
    );
    // What is left does not cover the slice, and the cap is not ours to lower.
    assert_eq!(held(ledger.admit(&sliced(Some(500), 101), NOW)), None);
    // Where it is, the last of the budget is usable.
    assert_eq!(
        held(ledger.admit(&sliced(None, 101), NOW)),
        Some((1_000_000, false, true))
    );
    assert_eq!(
        held(ledger.admit(&sliced(None, 20), NOW)),
        Some((200_000, true, true))
    );
    assert_eq!(ledger.grow("a", 500_000, NOW), 500_000);
    assert_eq!(ledger.grow("a", 500_000, NOW), 300_000);
    assert_eq!(ledger.grow("a", 500_000, NOW), 0);
    assert_eq!(ledger.grow("nobody", 1, NOW), 0);
    ledger.settle("a", &scopes, NOW, 900_000);
    let spend = ledger.spend(scopes[1], Period::Monthly, NOW);
    assert_eq!((spend.spent_nano, spend.held_nano), (900_000, 0));
}

const DAY: u64 = 86_400_000;

#[test]
fn a_rolling_budget_gets_back_each_day_what_the_oldest_day_took() {
    let mut ledger = Ledger::default();
    ledger.advance(NOW);
    let scopes = [ledger.open(Scope::Team("research".into()))];
    for (days_ago, cost) in [(3, 40), (2, 30), (1, 20), (0, 10)] {
        ledger.charge(&scopes, NOW - days_ago * DAY, cost);
    }
    let rolling = Period::Rolling(3);
    let limit = Budget {
        period: rolling,
        ..budget(100)
    };
    ledger.set_budgets(scopes[0], vec![limit]);
    let spent = |ledger: &mut Ledger, now| ledger.spend(scopes[0], rolling, now).spent_nano;
    assert_eq!(spent(&mut ledger, NOW), 60);
    let quotes = [quote(41, 0, 1)];
    let asked = ask("a", &scopes, &quotes, Some(0));
    assert!(matches!(ledger.admit(&asked, NOW), Answer::Refused(_)));
    let quotes = [quote(40, 0, 1)];
    let asked = ask("b", &scopes, &quotes, Some(0));
    assert!(matches!(ledger.admit(&asked, NOW), Answer::Granted { .. }));
    assert_eq!(spent(&mut ledger, NOW + DAY), 30);
    // What is promised does not drop out at midnight.
    assert_eq!(ledger.spend(scopes[0], rolling, NOW + DAY).held_nano, 40);
    ledger.settle("b", &scopes, NOW, 7);
    let spend = ledger.spend(scopes[0], rolling, NOW + DAY);
    assert_eq!((spend.spent_nano, spend.held_nano), (37, 0));
    assert_eq!(spent(&mut ledger, NOW + 2 * DAY), 17);
    assert_eq!(spent(&mut ledger, NOW + 9 * DAY), 0);
}

#[test]
fn each_threshold_is_told_once_in_a_window() {
    let mut ledger = Ledger::default();
    ledger.advance(NOW);
    let scopes = [ledger.open(Scope::User("ada".into()))];
    let soft = Budget {
        hard: false,
        period: Period::Daily,
        thresholds: Thresholds::new([500_000, 0, 800_000, 1_000_000]),
        ..budget(100)
    };
    ledger.set_budgets(scopes[0], vec![soft]);
    let mut told = |now_ms: u64, cost: i64| -> Vec<(u32, i64)> {
        ledger.advance(now_ms);
        ledger.charge(&scopes, now_ms, cost);
        let crossings = ledger.take_crossings().into_iter();
        crossings
            .map(|it| (it.threshold_ppm, it.spent_nano))
            .collect()
    };
    assert_eq!(told(NOW, 49), []);
    assert_eq!(told(NOW, 1), [(500_000, 50)]);
    assert_eq!(told(NOW, 49), [(800_000, 99)]);
    assert_eq!(told(NOW, 900), [(1_000_000, 999)]);
    assert_eq!(told(NOW, 900), []);
    assert_eq!(told(NOW + DAY, 80), [(500_000, 80), (800_000, 80)]);
    let lowered = Budget {
        limit_nano: 80,
        ..soft
    };
    ledger.set_budgets(scopes[0], vec![lowered]);
    let told = ledger.take_crossings();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].threshold_ppm, told[0].scope.to_string()),
        (1_000_000, "user:ada".into())
    );
}

#[test]
fn all_planned_providers_hold_and_the_one_that_served_pays() {
    let mut ledger = Ledger::default();
    ledger.advance(NOW);
    let key = ledger.open(Scope::Key("k".into()));
    let first = ledger.open(Scope::Provider("a".into()));
    let second = ledger.open(Scope::Provider("b".into()));
    ledger.set_budgets(second, vec![budget(50)]);
    let all = [key, first, second];
    let quotes = [quote(51, 0, 1)];
    let refused = ledger.admit(&ask("x", &all, &quotes, Some(0)), NOW);
    assert!(matches!(refused, Answer::Refused(_)));
    assert_eq!(ledger.spend(key, Period::Daily, NOW).held_nano, 0);
    let quotes = [quote(50, 0, 1)];
    let granted = ledger.admit(&ask("x", &all, &quotes, Some(0)), NOW);
    assert!(matches!(granted, Answer::Granted { .. }));
    ledger.settle("x", &[key, first], NOW, 30);
    let spent = |ledger: &mut Ledger, id| {
        let spend = ledger.spend(id, Period::Monthly, NOW);
        (spend.spent_nano, spend.held_nano)
    };
    assert_eq!(spent(&mut ledger, first), (30, 0));
    assert_eq!(spent(&mut ledger, second), (0, 0));
    assert_eq!(spent(&mut ledger, key), (30, 0));
}

#[test]
fn a_refusal_names_the_budget_and_its_end() {
    let check = |limit: i64, period: Period, message: &str, wait: Option<u64>| {
        let (mut ledger, scopes) = ledger(limit);
        ledger.set_budgets(
            scopes[1],
            vec![Budget {
                period,
                ..budget(limit)
            }],
        );
        let quotes = [quote(limit + 1, 1, 10)];
        match ledger.admit(&ask("a", &scopes, &quotes, None), NOW) {
            Answer::Refused(overdrawn) => {
                assert_eq!(
                    (overdrawn.message().as_str(), overdrawn.retry_after_s),
                    (message, wait)
                );
            }
            other => panic!("{other:?}"),
        }
    };
    let until = |end: &str| Some((period::parse(end).unwrap() - NOW) / 1_000);
    check(
        500 * USD,
        Period::Monthly,
        "Monthly budget limit $500 exceeded",
        until("2026-12-01"),
    );
    check(
        12_500_000,
        Period::Daily,
        "Daily budget limit $0.0125 exceeded",
        until("2026-11-22"),
    );
    check(
        1_500 * USD + 1,
        Period::Quarterly,
        "Quarterly budget limit $1500.000000001 exceeded",
        until("2027-01-01"),
    );
    check(
        0,
        Period::Weekly,
        "Weekly budget limit $0 exceeded",
        until("2026-11-23"),
    );
    check(USD, Period::Total, "Total budget limit $1 exceeded", None);
}

#[test]
fn an_exchange_belongs_to_the_window_it_was_admitted_in() {
    let (mut ledger, scopes) = ledger(100);
    let quotes = [quote(60, 0, 10)];
    let midnight = period::parse("2026-12-01").unwrap();
    assert!(matches!(
        ledger.admit(&ask("old", &scopes, &quotes, None), midnight - 1),
        Answer::Granted { .. }
    ));
    assert!(matches!(
        ledger.admit(&ask("b", &scopes, &quotes, None), midnight - 1),
        Answer::Refused(_)
    ));
    assert!(matches!(
        ledger.admit(&ask("new", &scopes, &quotes, None), midnight),
        Answer::Granted { .. }
    ));
    let charged = ledger.charged_ms("old", midnight + 5, midnight + 9);
    assert_eq!(charged, midnight - 1);
    ledger.settle("old", &scopes, charged, 60);
    let spend = ledger.spend(scopes[1], Period::Monthly, midnight + 9);
    assert_eq!((spend.spent_nano, spend.held_nano), (0, 60));
    assert_eq!(
        ledger
            .spend(scopes[1], Period::Total, midnight + 9)
            .spent_nano,
        60
    );
    assert_eq!(
        ledger.charged_ms("unknown", midnight + 99, midnight + 9),
        midnight + 9
    );
}

#[test]
fn holds_live_while_they_are_renewed() {
    let (mut ledger, scopes) = ledger(1_000);
    let quotes = [quote(60, 1, 0)];
    ledger.admit(&ask("a", &scopes, &quotes, Some(0)), NOW);
    assert!(!ledger.renew("b", 1, NOW));
    assert!(ledger.renew("a", 10, NOW + HOLD_TTL_MS - 1));
    assert!(ledger.expire(NOW + HOLD_TTL_MS).is_empty());
    let late = NOW + 2 * HOLD_TTL_MS;
    let expired = ledger.expire(late);
    assert_eq!(
        (
            expired.len(),
            expired[0].0.as_str(),
            expired[0].1.metered_nano
        ),
        (1, "a", 60)
    );
    assert!(ledger.expire(late).is_empty());
    assert_eq!(ledger.expire(late + HOLD_TTL_MS).len(), 1);
    assert!(ledger.renew("a", 75, late));
    let spend = ledger.spend(scopes[0], Period::Daily, late);
    assert_eq!((spend.spent_nano, spend.held_nano), (0, 75));
}

#[test]
fn holds_are_bounded() {
    let mut ledger = Ledger::default();
    for count in 0..HOLDS_MAX {
        ledger.admit(&ask(&count.to_string(), &[], &[], None), NOW);
    }
    assert_eq!(
        ledger.admit(&ask("one more", &[], &[], None), NOW),
        Answer::Full
    );
    ledger.settle("0", &[], NOW, 0);
    assert!(matches!(
        ledger.admit(&ask("one more", &[], &[], None), NOW),
        Answer::Granted { .. }
    ));
}

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
