//! The scripts on a real Redis, against the machines of one process: the same answers, the same states.

use engine::ledger::{Answer, Ask, Budget, Ledger, ScopeId, Thresholds};
use engine::limit::{Bound, Limits, Measure, Place};
use engine::period::{Calendar, Period};
use engine::wire::Quote;
use proptest::prelude::*;
use test_servers::redis::Redis;

use super::super::store::counted::Counted;
use super::sums::Sum;
use super::*;

mod again;
mod endings;
mod failover;
mod roll;
mod sequences;

const NOON: u64 = 1_795_262_400_000; // 2026-11-21T12:00:00Z
const DAY: u64 = 86_400_000;
const CASES: u32 = 100;
const OWNER: Owner<'static> = Owner {
    key: "key_a",
    tenant: "acme",
};

/// The machines of one process beside Redis, and what Redis tells in machines of their own.
struct World {
    now_ms: u64,
    ledger: Ledger,
    limits: Limits,
    seen: Ledger,
    seen_limits: Limits,
    counters: Counters,
    scopes: Vec<Scope>,
    live: Vec<(String, bool)>,
    next: u64,
}

fn budget(period: Period, limit_nano: i64, hard: bool) -> Budget {
    Budget {
        limit_nano,
        period,
        hard,
        thresholds: Thresholds::default(),
    }
}

fn bounds_of(scope: &Scope) -> Vec<Bound> {
    let bound = |measure, limit, window_ms| Bound {
        measure,
        limit,
        window_ms,
    };
    match scope {
        Scope::Key(_) => vec![
            bound(Measure::Requests, 8, 60_000),
            bound(Measure::Tokens, 900, 3_600_000),
            bound(Measure::Running, 6, 0),
        ],
        Scope::Provider(_) => vec![
            bound(Measure::Tokens, 700, 60_000),
            bound(Measure::Tokens, 650, 60_000),
        ],
        Scope::Tenant(_) => vec![bound(Measure::Requests, 40, DAY)],
        _ => Vec::new(),
    }
}

/// An epoch that admits from noon on, and that nobody is waited for in.
async fn begin(counters: &Counters, group: &Group) {
    let mut call = super::roll::Call {
        open_ms: NOON,
        done: String::new(),
        peers: Vec::new(),
    };
    let begun = counters.epoch(group, &call, NOON).await.unwrap();
    call.done = begun.epoch;
    let begun = counters.epoch(group, &call, NOON).await.unwrap();
    assert!(!begun.waits);
}

impl World {
    async fn new(server: &Redis, layout: Layout) -> World {
        server.command("FLUSHALL").unwrap();
        let client = Client::new(&server.url(), false, LONG_PATIENCE);
        World::of(Counters::new(client, layout, "me")).await
    }

    async fn of(counters: Counters) -> World {
        let scopes = vec![
            Scope::Global,
            Scope::Key("key_a".into()),
            Scope::Tenant("acme".into()),
            Scope::Provider("p".into()),
            Scope::Provider("q".into()),
            Scope::User("ada\u{0}: \u{e9}".into()),
        ];
        let mut world = World {
            now_ms: NOON,
            ledger: Ledger::default(),
            limits: Limits::default(),
            seen: Ledger::default(),
            seen_limits: Limits::default(),
            counters,
            scopes,
            live: Vec::new(),
            next: 0,
        };
        world.ledger.expire(NOON);
        world.seen.expire(NOON);
        for scope in world.scopes.clone() {
            world.ledger.open(scope.clone());
            world.seen.open(scope);
        }
        let key = [
            budget(Period::Daily, 500, true),
            budget(Period::Rolling(3), 900, true),
        ];
        world.set(0, &[budget(Period::Monthly, 2_000, true)]);
        world.set(1, &key);
        world.set(2, &[budget(Period::Weekly, 10, false)]);
        world.set(4, &[budget(Period::Total, 600, true)]);
        for group in [world.counters.home(OWNER), Group::common()] {
            begin(&world.counters, &group).await;
        }
        world.ready().await;
        world
    }

    fn set(&mut self, scope: usize, budgets: &[Budget]) {
        let id = self.ledger.open(self.scopes[scope].clone());
        self.ledger.set_budgets(id, budgets.to_vec());
        self.seen.set_budgets(id, budgets.to_vec());
    }

    fn ids(&self, skip: Option<usize>) -> Vec<ScopeId> {
        let all = self.scopes.iter().enumerate();
        let some = all.filter(|(place, _)| Some(*place) != skip);
        some.map(|(_, scope)| self.ledger.place_of(scope).unwrap())
            .collect()
    }

    fn places(&self, limits: &mut Limits, skip: Option<usize>) -> Vec<Place> {
        let all = self.scopes.iter().enumerate();
        let some =
            all.filter(|(place, scope)| Some(*place) != skip && !bounds_of(scope).is_empty());
        some.map(|(_, scope)| limits.open(scope, &bounds_of(scope), self.now_ms).unwrap())
            .collect()
    }

    fn shares(&mut self, skip: Option<usize>) -> Vec<(Group, Bounds)> {
        let mut limits = std::mem::take(&mut self.seen_limits);
        let (ids, places) = (self.ids(skip), self.places(&mut limits, skip));
        let bounds = Bounds::of(
            &mut self.seen,
            &limits,
            &Counted::default(),
            &ids,
            &places,
            self.now_ms,
        );
        self.seen_limits = limits;
        self.counters.shares(bounds, OWNER)
    }

    fn adopt(&mut self, shares: &[(Group, Bounds)], states: &[Vec<i64>]) {
        for ((_, bounds), states) in shares.iter().zip(states) {
            bounds.adopt(states, &mut self.seen, &mut self.seen_limits, self.now_ms);
        }
    }

    /// Gives every scope the sums that it has without: none.
    async fn ready(&mut self) {
        let shares = self.shares(None);
        while let Held::Unready(group, scopes) =
            self.counters.read(&shares, self.now_ms).await.unwrap()
        {
            for (scope, since) in scopes {
                let waits = self.counters.waiting(&group, &scope, self.now_ms).await;
                let (waits, sum) = (waits.unwrap(), Sum::default());
                let calendar = Calendar::default();
                let scope = (&scope, since);
                let given =
                    self.counters
                        .initialise(&group, scope, &waits, &sum, &calendar, self.now_ms);
                assert!(given.await.unwrap());
            }
        }
    }

    fn wish(&self, id: &str, amount_nano: i64, cost_nano: i64, tokens: u64) -> Wish {
        Wish {
            id: id.to_owned(),
            amount_nano,
            cost_nano,
            fields: Fields::of(&Calendar::default(), self.now_ms),
            lease: None,
            info: Info {
                key: "key_a".into(),
                tenant: "acme".into(),
                ..Info::default()
            },
            requests: 1,
            tokens,
            running: 1,
            check: (tokens.max(1), 1),
        }
    }

    async fn admit(&mut self, input_nano: i64, output: u64, tokens: u64, skip: usize) {
        self.next += 1;
        let exchange = format!("x{}", self.next);
        let skip = Some(3 + skip);
        let quotes = [Quote {
            provider: "p".into(),
            model: "m".into(),
            input_nano,
            output_nano_per_mtok: 1_000_000,
            output_max: 10_000,
        }];
        let ids = self.ids(skip);
        let ask = Ask {
            exchange: &exchange,
            key: "key_a",
            scopes: &ids,
            quotes: &quotes,
            output_cap: Some(output),
            choices: 1,
            tokens_in: tokens,
            user: "",
            tags: &[],
            slice_tokens: None,
        };
        let mut limits = std::mem::take(&mut self.limits);
        let places = self.places(&mut limits, skip);
        let mut granted = None;
        if limits.check(&places, tokens, self.now_ms).is_ok()
            && let Answer::Granted { held, .. } = self.ledger.admit(&ask, self.now_ms)
        {
            limits.pass(&exchange, places, tokens, self.now_ms);
            granted = Some(held.hold_nano);
        }
        self.limits = limits;
        let amount_nano = input_nano + i64::try_from(output).unwrap();
        let wish = self.wish(&exchange, amount_nano, input_nano, tokens);
        let shares = self.shares(skip);
        let held = self.counters.hold(&wish, &shares, None, self.now_ms).await;
        match (held.unwrap(), granted) {
            (Held::Yes(states), Some(hold_nano)) => {
                assert_eq!(hold_nano, amount_nano);
                self.adopt(&shares, &states);
                self.live.push((exchange, false));
            }
            (Held::No(place, states), None) => {
                self.adopt(&shares[place..=place], &[states]);
            }
            odd => panic!("{odd:?}"),
        }
    }

    async fn lease(&mut self, of: usize, amount: i64, tokens: u64) {
        let Some((like, false)) = self.live.get(of).cloned() else {
            return;
        };
        let hold = self.ledger.hold(&like).unwrap().clone();
        if hold.admitted_ms != self.now_ms {
            return;
        }
        let skip = match hold.scopes.contains(&self.ids(None)[3]) {
            true => Some(4),
            false => Some(3),
        };
        let (left, _) = self.ledger.room(&hold.scopes, self.now_ms);
        let room = self.limits.room(&like, self.now_ms);
        let amount = amount.min(left.unwrap_or(i64::MAX)).max(0);
        let requests = room.requests.unwrap_or(0).min(2);
        let tokens = tokens.min(room.tokens.unwrap_or(0));
        let running = room.running.unwrap_or(0).min(2);
        self.next += 1;
        let id = format!("lease-{}", self.next);
        assert!(self.ledger.lease(&id, &like, amount, requests));
        self.limits
            .lease(&id, &like, (requests, tokens, running), self.now_ms);
        let wish = Wish {
            lease: Some(requests),
            requests,
            running,
            check: (tokens, running),
            ..self.wish(&id, amount, 0, tokens)
        };
        let shares = self.shares(skip);
        let held = self.counters.hold(&wish, &shares, None, self.now_ms).await;
        assert!(matches!(held.unwrap(), Held::Yes(_)));
        self.live.push((id, true));
    }

    /// Redis tells what the machines of one process say.
    async fn compare(&mut self) {
        let shares = self.shares(None);
        let states = self.counters.read(&shares, self.now_ms).await.unwrap();
        let Held::Yes(states) = states else {
            panic!("{states:?}");
        };
        self.adopt(&shares, &states);
        // In a cluster nothing is held where nothing is bounded, and nobody looks.
        for id in self.ids(None) {
            let ours = self.ledger.budgets(id, self.now_ms);
            assert_eq!(self.seen.budgets(id, self.now_ms), ours);
        }
        let mut limits = std::mem::take(&mut self.limits);
        let mut seen = std::mem::take(&mut self.seen_limits);
        for place in self.places(&mut limits, None) {
            let scope = limits.bounds_at(place).unwrap().0.clone();
            let told = seen.open(&scope, &bounds_of(&scope), self.now_ms).unwrap();
            assert_eq!(
                (seen.rates(&[told], self.now_ms), seen.running(&scope)),
                (limits.rates(&[place], self.now_ms), limits.running(&scope)),
                "{scope}"
            );
        }
        (self.limits, self.seen_limits) = (limits, seen);
    }
}
