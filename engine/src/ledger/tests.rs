//! Tables for single decisions, and a model: a store that keeps what was settled, a journal that
//! keeps what was held, and crashes between them.

mod sequences;

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
