//! Workers with leases against one ledger: what is spent and held never exceeds the limit.

use proptest::prelude::*;

use super::*;
use crate::ledger::{Answer, Budget, Ledger, Scope, ScopeId};
use crate::limit::Room;
use crate::period::Period;
use crate::wire::Quote;

const LIMIT: NanoUsd = 1_000_000;

fn admit(exchange: String, cap: u64) -> Admit {
    Admit {
        sharing: "key".into(),
        user: String::new(),
        tags: Vec::new(),
        address: String::new(),
        exchange,
        key: "key".into(),
        at_ms: 0,
        targets: vec![Quote {
            provider: "p".into(),
            model: "m".into(),
            input_nano: 10,
            output_nano_per_mtok: 1_000_000,
            output_max: 1_000,
        }],
        output_cap: Some(cap),
        choices: 1,
        stream: false,
        tokens_in: 1,
        cache: None,
    }
}

fn grant(amount_nano: NanoUsd, requests: Option<u64>) -> Grant {
    Grant {
        lease: Some(LeaseGrant {
            id: "lease-a".into(),
            amount_nano,
            requests,
            until_ms: 5_000,
            hard: true,
            ..LeaseGrant::default()
        }),
        rate: Rates {
            requests: requests.map(|_| RateState {
                limit: 1_000,
                remaining: 500,
                reset_ms: 30_000,
            }),
            tokens: None,
        },
        ..Grant::default()
    }
}

#[test]
fn a_lease_admits_until_it_is_used_up_or_over() {
    let mut leases = Leases::default();
    assert!(leases.admit(&admit("x".into(), 90), 0).is_none());
    leases.learn("key", &mut grant(250, Some(3)), 0);
    let (id, first) = leases.admit(&admit("a".into(), 90), 1_000).unwrap();
    assert_eq!((id.as_str(), first.hold_nano), ("lease-a", 100));
    let rate = first.rate.requests.unwrap();
    assert_eq!((rate.remaining, rate.reset_ms), (502, 29_000));
    leases.admit(&admit("b".into(), 90), 1_000).unwrap();
    assert!(
        leases.admit(&admit("c".into(), 90), 1_000).is_none(),
        "money"
    );
    leases.settle("key", "lease-a", 100, 20);
    leases.admit(&admit("c".into(), 90), 1_000).unwrap();
    leases.settle("key", "lease-a", 100, 0);
    leases.settle("key", "lease-a", 100, 0);
    assert!(
        leases.admit(&admit("d".into(), 1), 1_000).is_none(),
        "requests"
    );
    assert!(leases.admit(&admit("e".into(), 1), 5_000).is_none(), "time");
    let mut cached = admit("f".into(), 1);
    cached.cache = Some(crate::wire::CacheAsk {
        key: "k".into(),
        read: true,
    });
    assert!(leases.admit(&cached, 1_000).is_none(), "cache");
}

#[test]
fn what_ends_is_told_once_and_forgotten_when_nothing_runs() {
    let mut leases = Leases::default();
    leases.learn("key", &mut grant(1_000, Some(10)), 0);
    leases.admit(&admit("a".into(), 90), 100).unwrap();
    assert_eq!(leases.states(200), []);
    let states = leases.states(100 + IDLE_MS);
    let state = |keep_nano, done, requests| LeaseState {
        id: "lease-a".into(),
        keep_nano,
        done,
        requests,
        ..LeaseState::default()
    };
    assert_eq!(states, [state(100, false, 0)]);
    assert!(leases.admit(&admit("b".into(), 1), 100 + IDLE_MS).is_none());
    assert_eq!(
        leases.states(5_000).len(),
        1,
        "told again until it is heard"
    );
    leases.told(&states);
    assert_eq!(leases.states(5_000), []);
    assert_eq!(leases.ids().count(), 1);
    leases.settle("key", "lease-a", 100, 30);
    let states = leases.states(5_000);
    assert_eq!(states, [state(0, true, 9)]);
    leases.told(&states);
    assert_eq!(leases.ids().count(), 0);
}

#[test]
fn leases_are_for_busy_keys_far_from_their_limits() {
    let mut demand = Demand::default();
    demand.note(DEMAND_RPS_MIN - 1, 1_500);
    assert_eq!(demand.rps(1_900), DEMAND_RPS_MIN - 1);
    assert_eq!(demand.rps(2_999), DEMAND_RPS_MIN - 1);
    assert_eq!(demand.rps(3_000), 0);
    let sized = |rps, left: Option<NanoUsd>, requests: Option<u64>| {
        let room = Room {
            requests,
            ..Room::default()
        };
        size(rps, 10, left, &room, 1).map(|slice| (slice.amount_nano, slice.requests))
    };
    assert_eq!(sized(DEMAND_RPS_MIN - 1, None, None), None);
    assert_eq!(sized(20, None, None), Some((1_000, None)));
    assert_eq!(sized(1_000_000, None, None), Some((10_000, None)));
    assert_eq!(
        sized(20, Some(1_600_000), Some(1_600)),
        Some((1_000, Some(100)))
    );
    assert_eq!(sized(20, Some(3_200), None), Some((200, None)));
    assert_eq!(sized(20, Some(2_559), None), None, "money near its limit");
    assert_eq!(
        sized(20, None, Some(255)),
        None,
        "requests near their limit"
    );
    let room = |tokens, running| Room {
        tokens: Some(tokens),
        running: Some(running),
        ..Room::default()
    };
    let slice = size(20, 10, None, &room(64_000, 1_000), 40).unwrap();
    assert_eq!((slice.tokens, slice.running), (Some(4_000), Some(62)));
    assert_eq!(size(20, 10, None, &room(10_239, 1_000), 40), None);
    assert_eq!(size(20, 10, None, &room(10_240, 255), 40), None);
}

#[test]
fn tokens_and_running_exchanges_are_given_out_too() {
    let mut leases = Leases::default();
    let mut granted = grant(10_000, Some(9));
    let lease = granted.lease.as_mut().unwrap();
    (lease.tokens, lease.running) = (Some(25), Some(2));
    leases.learn("key", &mut granted, 0);
    let ask = |name: &str, tokens_in| Admit {
        tokens_in,
        ..admit(name.into(), 90)
    };
    assert!(leases.admit(&ask("large", 26), 10).is_none());
    leases.admit(&ask("a", 10), 10).unwrap();
    leases.admit(&ask("b", 10), 10).unwrap();
    assert!(leases.admit(&ask("c", 1), 10).is_none(), "two run");
    leases.settle("key", "lease-a", 100, 50);
    leases.admit(&ask("d", 1), 10).unwrap();
    leases.retire_all();
    let told = |leases: &mut Leases| {
        let states = leases.states(20);
        leases.told(&states);
        let told = states.iter();
        told.map(|it| (it.running, it.done, it.requests, it.tokens))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&mut leases), [(2, false, 0, 0)]);
    leases.settle("key", "lease-a", 100, 100);
    assert_eq!(told(&mut leases), [(1, false, 0, 0)]);
    leases.settle("key", "lease-a", 100, 100);
    assert_eq!(told(&mut leases), [(0, true, 6, 4)]);
}

#[derive(Clone, Debug)]
enum Op {
    Admit { worker: usize, cap: u64 },
    End { worker: usize, share: u8 },
    Tell { worker: usize, heard: bool },
    Wait(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0usize..2, 1u64..900).prop_map(|(worker, cap)| Op::Admit { worker, cap }),
        6 => (0usize..2, 0u8..=100).prop_map(|(worker, share)| Op::End { worker, share }),
        3 => (0usize..2, any::<bool>()).prop_map(|(worker, heard)| Op::Tell { worker, heard }),
        1 => (1u64..2_000).prop_map(Op::Wait),
    ];
    proptest::collection::vec(op, 1..400)
}

#[derive(Default)]
struct Worker {
    leases: Leases,
    running: Vec<(String, Option<String>, NanoUsd)>,
    records: Vec<(String, Option<String>, NanoUsd)>,
}

struct World {
    ledger: Ledger,
    scopes: [ScopeId; 1],
    workers: [Worker; 2],
    now_ms: u64,
    next: u64,
}

impl World {
    fn admit(&mut self, at: usize, cap: u64) {
        self.next += 1;
        let id = format!("x{}", self.next);
        let ask = admit(id.clone(), cap);
        let worker = &mut self.workers[at];
        if let Some((lease, grant)) = worker.leases.admit(&ask, self.now_ms) {
            worker.running.push((id, Some(lease), grant.hold_nano));
            return;
        }
        let asked = Ask {
            exchange: &id,
            key: "key",
            scopes: &self.scopes,
            quotes: &ask.targets,
            output_cap: ask.output_cap,
            choices: 1,
            tokens_in: 1,
            user: "",
            tags: &[],
            slice_tokens: None,
        };
        let Answer::Granted { held, .. } = self.ledger.admit(&asked, self.now_ms) else {
            return;
        };
        let hold_nano = held.hold_nano;
        let (left, _) = self.ledger.room(&self.scopes, self.now_ms);
        let mut grant = Grant::default();
        if let Some(slice) = size(100, hold_nano, left, &Room::default(), 1) {
            let amount_nano = slice.amount_nano;
            let lease = format!("lease-{id}");
            assert!(self.ledger.lease(&lease, &id, amount_nano, 0));
            grant.lease = Some(LeaseGrant {
                id: lease,
                amount_nano,
                until_ms: self.now_ms + LEASE_MS,
                hard: true,
                ..LeaseGrant::default()
            });
        }
        worker.leases.learn("key", &mut grant, self.now_ms);
        worker.running.push((id, None, hold_nano));
    }

    fn end(&mut self, at: usize, share: u8) {
        let worker = &mut self.workers[at];
        if worker.running.is_empty() {
            return;
        }
        let (id, lease, hold) = worker.running.remove(0);
        let cost = hold * NanoUsd::from(share) / 100;
        if let Some(lease) = &lease {
            worker.leases.settle("key", lease, hold, cost);
        }
        worker.records.push((id, lease, cost));
    }

    /// One settle call; an unheard one was lost on its way.
    fn tell(&mut self, at: usize, heard: bool) -> NanoUsd {
        let worker = &mut self.workers[at];
        let states = worker.leases.states(self.now_ms);
        if !heard {
            return 0;
        }
        let mut sum = 0;
        for (id, lease, cost) in worker.records.drain(..) {
            match lease {
                Some(lease) => {
                    self.ledger
                        .settle_leased(&lease, &self.scopes, self.now_ms, cost);
                }
                None => self.ledger.settle(&id, &self.scopes, self.now_ms, cost),
            }
            sum += cost;
        }
        for state in &states {
            self.ledger.shrink(&state.id, state.keep_nano);
            if state.done {
                self.ledger.cancel(&state.id);
            }
        }
        worker.leases.told(&states);
        sum
    }
}

proptest! {
    #[test]
    fn the_limit_holds_and_everything_comes_back(ops in ops()) {
        let mut ledger = Ledger::default();
        let scope = ledger.open(Scope::Global);
        ledger.set_budgets(scope, vec![Budget { limit_nano: LIMIT, period: Period::Total, hard: true, thresholds: Default::default() }]);
        let mut world = World {
            ledger,
            scopes: [scope],
            workers: Default::default(),
            now_ms: 0,
            next: 0,
        };
        let mut spent = 0;
        for op in ops {
            match op {
                Op::Admit { worker, cap } => world.admit(worker, cap),
                Op::End { worker, share } => world.end(worker, share),
                Op::Tell { worker, heard } => spent += world.tell(worker, heard),
                Op::Wait(ms) => world.now_ms += ms,
            }
            let state = world.ledger.spend(scope, Period::Total, world.now_ms);
            prop_assert_eq!(state.spent_nano, spent);
            prop_assert!(state.held_nano >= 0);
            prop_assert!(state.spent_nano + state.held_nano <= LIMIT);
            // What the workers may still charge is covered by what is held.
            let owed: NanoUsd = world.workers.iter().map(|worker| {
                let running = worker.running.iter().map(|(_, _, hold)| hold).sum::<NanoUsd>();
                running + worker.records.iter().map(|(_, _, cost)| cost).sum::<NanoUsd>()
            }).sum();
            prop_assert!(owed <= state.held_nano, "{} owed, {} held", owed, state.held_nano);
        }
        for at in 0..2 {
            while !world.workers[at].running.is_empty() {
                world.end(at, 50);
            }
        }
        world.now_ms += LEASE_MS;
        for at in 0..2 {
            world.tell(at, true);
            world.tell(at, true);
        }
        prop_assert_eq!(world.ledger.holds().len(), 0);
        prop_assert_eq!(world.ledger.spend(scope, Period::Total, world.now_ms).held_nano, 0);
    }
}
