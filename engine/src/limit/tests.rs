//! Scopes together, and workers with leases against them.

use proptest::prelude::*;

use super::*;
use crate::lease::{self, LEASE_MS, LEASE_MS_MIN, Leases};
use crate::wire::{Admit, Grant, LeaseGrant, Quote};

const MINUTE: u64 = 60_000;
const NOW: u64 = 1_000_000 * MINUTE;

fn requests(limit: u64) -> Bound {
    Bound {
        measure: Measure::Requests,
        limit,
        window_ms: MINUTE,
    }
}

fn tokens(limit: u64) -> Bound {
    Bound {
        measure: Measure::Tokens,
        ..requests(limit)
    }
}

fn running(limit: u64) -> Bound {
    Bound {
        measure: Measure::Running,
        limit,
        window_ms: 0,
    }
}

fn user(name: &str) -> Scope {
    Scope::User(name.into())
}

/// Admits when all limits allow it.
fn admit(limits: &mut Limits, id: &str, places: &[Place], tokens: u64, now_ms: u64) -> bool {
    let fits = limits.check(places, tokens, now_ms).is_ok();
    if fits {
        limits.pass(id, places.to_vec(), tokens, now_ms);
    }
    fits
}

#[test]
fn an_exchange_counts_everywhere_or_nowhere() {
    let mut limits = Limits::default();
    let ada = limits.open(&user("ada"), &[requests(3)], NOW).unwrap();
    let all = limits.open(&Scope::Global, &[requests(2)], NOW).unwrap();
    assert!(admit(&mut limits, "a", &[ada, all], 1, NOW));
    assert!(admit(&mut limits, "b", &[ada, all], 1, NOW));
    let refused = limits.check(&[ada, all], 1, NOW).unwrap_err();
    assert_eq!((refused.kind, refused.bound), ("global", requests(2)));
    let mut told = limits.rates(&[ada], NOW);
    refused.tell(&mut told);
    let told = told.requests.unwrap();
    assert_eq!(
        (told.limit, told.remaining, told.reset_ms),
        (2, 0, MINUTE + MINUTE / 2)
    );
    let rates = limits.rates(&[ada], NOW);
    assert_eq!(rates.requests.unwrap().remaining, 1);
    assert_eq!(limits.rates(&[ada, all], NOW).requests.unwrap().limit, 2);
    assert_eq!(rates.tokens, None);
}

#[test]
fn answers_count_when_they_are_known_and_bar_what_comes_next() {
    let mut limits = Limits::default();
    let key = limits.open(&user("ada"), &[tokens(100)], NOW).unwrap();
    assert!(admit(&mut limits, "a", &[key], 60, NOW));
    assert!(admit(&mut limits, "b", &[key], 40, NOW));
    assert!(!admit(&mut limits, "c", &[key], 0, NOW), "not even nothing");
    let answer = |output| Served {
        input: 60,
        output,
        ..Served::default()
    };
    limits.settle("a", &answer(500), NOW);
    let left = limits.rates(&[key], NOW).tokens.unwrap().remaining;
    assert_eq!(left, 0);
    let later = NOW + MINUTE + MINUTE / 2;
    let refused = limits.check(&[key], 1, later).unwrap_err();
    assert_eq!(refused.wait_ms, Some(20_100), "600 fade to 99");
    let never = limits.check(&[key], 101, later).unwrap_err();
    assert_eq!(never.wait_ms, None);
    assert_eq!(
        never.message(),
        "Request too large: its 101 prompt tokens are more than the limit of 100 tokens per minute for this user."
    );
}

#[test]
fn what_runs_is_counted_until_it_ends() {
    let mut limits = Limits::default();
    let key = limits.open(&user("ada"), &[running(2)], NOW).unwrap();
    assert!(admit(&mut limits, "a", &[key], 1, NOW));
    assert!(admit(&mut limits, "b", &[key], 1, NOW));
    let refused = limits.check(&[key], 1, NOW + 10 * MINUTE).unwrap_err();
    assert_eq!(
        (refused.message().as_str(), refused.retry_after_s()),
        (
            "Rate limit reached: 2 requests at a time for this user. Please try again in 1s.",
            Some(1)
        )
    );
    limits.settle("a", &Served::default(), NOW);
    limits.settle("a", &Served::default(), NOW);
    assert_eq!(limits.running(&user("ada")), 1);
    assert!(admit(&mut limits, "c", &[key], 1, NOW));
    limits.cancel("c", NOW);
    assert!(admit(&mut limits, "c", &[key], 1, NOW));
    assert!(!admit(&mut limits, "d", &[key], 1, NOW));
}

#[test]
fn a_planned_provider_that_did_not_serve_gets_its_count_back() {
    let mut limits = Limits::default();
    let bounds = [requests(2), tokens(1_000)];
    let mut open = |scope: Scope| limits.open(&scope, &bounds, NOW).unwrap();
    let all = [
        open(Scope::Key("k".into())),
        open(Scope::Provider("a".into())),
        open(Scope::Provider("b".into())),
        open(Scope::Model("m".into())),
    ];
    assert!(admit(&mut limits, "x", &all, 10, NOW));
    let served = Served {
        provider: "b",
        model: "m",
        input: 12,
        output: 30,
    };
    limits.settle("x", &served, NOW + 5);
    let left = |limits: &mut Limits, at: usize| {
        let rates = limits.rates(&[all[at]], NOW + 5);
        let left = |state: Option<RateState>| state.unwrap().remaining;
        (left(rates.requests), left(rates.tokens))
    };
    let found = [0, 1, 2, 3].map(|at| left(&mut limits, at));
    assert_eq!(found, [(1, 958), (2, 1_000), (1, 958), (1, 958)]);
}

#[test]
fn changed_limits_keep_what_was_counted() {
    let mut limits = Limits::default();
    let place = limits.open(&user("ada"), &[requests(5)], NOW).unwrap();
    for id in ["a", "b", "c"] {
        assert!(admit(&mut limits, id, &[place], 1, NOW));
    }
    limits.open(&user("ada"), &[requests(3)], NOW);
    assert!(!admit(&mut limits, "d", &[place], 1, NOW));
    limits.open(&user("ada"), &[], NOW);
    assert!(admit(&mut limits, "d", &[place], 1, NOW));
    limits.open(&user("ada"), &[requests(4)], NOW);
    assert!(!admit(&mut limits, "e", &[place], 1, NOW));
}

#[test]
fn idle_scopes_are_dropped_and_others_are_not() {
    let mut limits = Limits::default();
    for count in 0..ACCOUNTS_MAX {
        let scope = Scope::Ip(count.to_string());
        let place = limits.open(&scope, &[requests(1)], NOW).unwrap();
        limits.count(&[place], NOW);
    }
    let one_more = Scope::Ip("one more".into());
    assert_eq!(limits.open(&one_more, &[requests(1)], NOW), None);
    let place = limits.open(&Scope::Ip("7".into()), &[requests(9)], NOW);
    limits.pass("running", vec![place.unwrap()], 1, NOW);
    let later = NOW + 2 * MINUTE;
    assert!(limits.open(&one_more, &[requests(1)], later).is_some());
    assert_eq!(limits.scope_count(), 2);
    assert_eq!(limits.running(&Scope::Ip("7".into())), 1);
}

#[test]
fn a_restored_count_is_the_one_that_was() {
    let bounds = [requests(9), tokens(90), running(3)];
    let mut lived = Limits::default();
    let place = lived.open(&user("ada"), &bounds, NOW).unwrap();
    for (id, at_ms) in [("a", NOW - 1_000), ("b", NOW + 5), ("c", NOW + 9)] {
        assert!(admit(&mut lived, id, &[place], 7, at_ms));
    }
    lived.settle("a", &Served::default(), NOW + 9);
    let mut restored = Limits::default();
    let place = restored.open(&user("ada"), &bounds, NOW + 9).unwrap();
    for at_ms in [NOW - 1_000, NOW + 5, NOW + 9] {
        restored.recount(place, 1, 7, at_ms);
    }
    for (id, at_ms) in [("b", NOW + 5), ("c", NOW + 9)] {
        let counted = Counted {
            at_ms,
            requests: 1,
            tokens: 7,
            running: 1,
        };
        restored.restore(id, vec![place], &counted);
        assert_eq!(restored.pass_of(id), lived.pass_of(id));
    }
    assert_eq!(
        restored.rates(&[place], NOW + 9),
        lived.rates(&[place], NOW + 9)
    );
    assert_eq!(restored.running(&user("ada")), 2);
}

#[derive(Clone, Debug)]
enum Op {
    /// Some requests; the sidecar's answers to them may be lost.
    Ask {
        worker: usize,
        tokens: u64,
        heard: bool,
        times: u8,
    },
    End {
        worker: usize,
        output: u64,
    },
    Tell {
        worker: usize,
        heard: bool,
    },
    Wait(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let worker = 0usize..2;
    let heard = prop::bool::weighted(0.9);
    let op = prop_oneof![
        12 => (worker.clone(), prop_oneof![Just(1u64), 0u64..30], heard, 1u8..60).prop_map(|(worker, tokens, heard, times)| Op::Ask { worker, tokens, heard, times }),
        6 => (worker.clone(), 0u64..50).prop_map(|(worker, output)| Op::End { worker, output }),
        4 => (worker, heard).prop_map(|(worker, heard)| Op::Tell { worker, heard }),
        2 => prop_oneof![1u64..1_000, 1_000u64..40_000].prop_map(Op::Wait),
    ];
    proptest::collection::vec(op, 1..120)
}

#[derive(Default)]
struct Worker {
    leases: Leases,
    running: Vec<(String, Option<String>)>,
    records: Vec<(String, Option<String>, u64)>,
}

/// Requests, prompt tokens and running exchanges that some limits allow to two workers together.
struct World {
    limits: Limits,
    bounds: Vec<Bound>,
    workers: [Worker; 2],
    now_ms: u64,
    next: u64,
    /// By bucket: requests that went on, and their prompt tokens with the answers told so far.
    went: std::collections::BTreeMap<u64, (u64, u64)>,
    lost: u64,
}

impl World {
    fn request(&self, tokens_in: u64) -> Admit {
        Admit {
            exchange: format!("x{}", self.next),
            key: "key".into(),
            at_ms: self.now_ms,
            targets: vec![Quote {
                provider: "p".into(),
                model: "m".into(),
                input_nano: 1,
                output_nano_per_mtok: 0,
                output_max: 1,
            }],
            output_cap: Some(1),
            choices: 1,
            stream: false,
            tokens_in,
            cache: None,
            user: String::new(),
            tags: Vec::new(),
            address: String::new(),
            sharing: "key".into(),
        }
    }

    fn ask(&mut self, at: usize, tokens: u64, heard: bool) {
        self.next += 1;
        let admit = self.request(tokens);
        let id = admit.exchange.clone();
        let bucket = self.now_ms / MINUTE;
        if let Some((lease, _)) = self.workers[at].leases.admit(&admit, self.now_ms) {
            self.workers[at].running.push((id, Some(lease)));
            let went = self.went.entry(bucket).or_default();
            *went = (went.0 + 1, went.1 + tokens);
            return;
        }
        let bounds = self.bounds.clone();
        let place = self
            .limits
            .open(&user("ada"), &bounds, self.now_ms)
            .unwrap();
        if self.limits.check(&[place], tokens, self.now_ms).is_err() {
            return;
        }
        self.limits.pass(&id, vec![place], tokens, self.now_ms);
        let room = self.limits.room(&id, self.now_ms);
        let until_ms = (self.now_ms + LEASE_MS).min(room.until_ms.unwrap_or(u64::MAX));
        let mut grant = Grant::default();
        let slice = lease::size(1_000, 1, None, &room, tokens);
        if let Some(slice) = slice.filter(|_| until_ms >= self.now_ms + LEASE_MS_MIN) {
            let lease = format!("lease-{id}");
            let part = |part: Option<u64>| part.unwrap_or(0);
            let of = (
                part(slice.requests),
                part(slice.tokens),
                part(slice.running),
            );
            self.limits.lease(&lease, &id, of, self.now_ms);
            grant.lease = Some(LeaseGrant {
                id: lease,
                amount_nano: slice.amount_nano,
                requests: slice.requests,
                tokens: slice.tokens,
                running: slice.running,
                until_ms,
                hard: false,
            });
        }
        if !heard {
            // Neither the exchange nor its lease came to be; both stay counted until they expire.
            self.lost += 1 + grant.lease.map_or(0, |lease| lease.running.unwrap_or(0));
            return;
        }
        let worker = &mut self.workers[at];
        worker.leases.learn("key", &mut grant, self.now_ms);
        worker.running.push((id, None));
        let went = self.went.entry(bucket).or_default();
        *went = (went.0 + 1, went.1 + tokens);
    }

    fn end(&mut self, at: usize, output: u64) {
        let worker = &mut self.workers[at];
        if worker.running.is_empty() {
            return;
        }
        let (id, lease) = worker.running.remove(0);
        if let Some(lease) = &lease {
            worker.leases.settle("key", lease, 0, 0);
        }
        worker.records.push((id, lease, output));
    }

    fn tell(&mut self, at: usize, heard: bool) {
        let worker = &mut self.workers[at];
        let states = worker.leases.states(self.now_ms);
        if !heard {
            return;
        }
        for (id, lease, output) in worker.records.drain(..) {
            let served = Served {
                output,
                ..Served::default()
            };
            match lease {
                Some(lease) => self.limits.settle_leased(&lease, &served, self.now_ms),
                None => self.limits.settle(&id, &served, self.now_ms),
            }
        }
        for state in &states {
            if state.done {
                self.limits
                    .end(&state.id, state.requests, state.tokens, self.now_ms);
            } else {
                self.limits.shrink(&state.id, state.running);
            }
        }
        worker.leases.told(&states);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn never_more_than_the_limit_with_leases_and_lost_calls(
        ops in ops(),
        most in prop::sample::select(vec![20u64, 300, 600, 2_000]),
        tokens_most in prop::sample::select(vec![100u64, 3_000, 20_000]),
        running_most in prop::sample::select(vec![3u64, 300, 700]),
    ) {
        let mut world = World {
            limits: Limits::default(),
            bounds: vec![requests(most), tokens(tokens_most), running(running_most)],
            workers: Default::default(),
            now_ms: NOW,
            next: 0,
            went: Default::default(),
            lost: 0,
        };
        for op in ops {
            match op {
                Op::Ask { worker, tokens, heard, times } => {
                    (0..times).for_each(|_| world.ask(worker, tokens, heard));
                }
                Op::End { worker, output } => world.end(worker, output),
                Op::Tell { worker, heard } => world.tell(worker, heard),
                Op::Wait(ms) => world.now_ms += ms,
            }
            for (requests, tokens) in world.went.values() {
                prop_assert!(*requests <= most);
                prop_assert!(*tokens <= tokens_most);
            }
            let run: usize = world.workers.iter().map(|worker| worker.running.len()).sum();
            prop_assert!(run as u64 <= running_most);
            prop_assert!(world.limits.running(&user("ada")) <= running_most);
        }
        for at in 0..2 {
            while !world.workers[at].running.is_empty() {
                world.end(at, 0);
            }
        }
        world.now_ms += LEASE_MS;
        for at in 0..2 {
            world.tell(at, true);
            world.tell(at, true);
        }
        prop_assert_eq!(world.limits.running(&user("ada")), world.lost);
    }
}
