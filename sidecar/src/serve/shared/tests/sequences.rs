//! Random sequences of what can happen, on one Redis and on groups of tenants.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Admit(i64, u64, u64, usize),
    Lease(usize, i64, u64),
    Settle(usize, i64, u64, bool),
    Renew(usize, i64),
    Finish(usize, i64, bool, u64, u64),
    Wait(u64),
    Limit(usize, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop::sample::select(vec![
        1,
        900,
        30_000,
        59_000,
        61_000,
        3_600_000,
        DAY / 3,
        DAY,
    ]);
    prop_oneof![
        6 => (0i64..60, 0u64..80, 0u64..200, 0usize..2)
            .prop_map(|(input, output, tokens, skip)| Step::Admit(input, output, tokens, skip)),
        3 => (0usize..6, 0i64..80, 0u64..90).prop_map(|(of, amount, tokens)| Step::Lease(of, amount, tokens)),
        4 => (0usize..6, 0i64..150, 0u64..90, any::<bool>())
            .prop_map(|(at, cost, output, second)| Step::Settle(at, cost, output, second)),
        2 => (0usize..6, 0i64..150).prop_map(|(at, cost)| Step::Renew(at, cost)),
        2 => (0usize..6, 0i64..90, any::<bool>(), 0u64..4, 0u64..4)
            .prop_map(|(at, keep, done, unused, running)| Step::Finish(at, keep, done, unused, running)),
        3 => wait.prop_map(Step::Wait),
        1 => (prop::sample::select(vec![0usize, 2, 4]), 100i64..3_000)
            .prop_map(|(scope, limit)| Step::Limit(scope, limit)),
    ]
}

fn drive(server: &Redis, layout: Layout, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(server, layout).await;
        for step in steps {
            match step {
                Step::Admit(input, output, tokens, skip) => {
                    world.admit(input, output, tokens, skip).await;
                }
                Step::Lease(of, amount, tokens) => world.lease(of, amount, tokens).await,
                Step::Settle(at, cost, output, second) => {
                    world.settle(at, cost, output, second).await;
                }
                Step::Renew(at, cost) => world.renew(at, cost).await,
                Step::Finish(at, keep, done, unused, running) => {
                    world.finish(at, keep, done, unused, running).await;
                }
                Step::Wait(ms) => {
                    world.now_ms += ms;
                    world.expire().await;
                }
                Step::Limit(scope, limit) => {
                    let id = world.ids(None)[scope];
                    let budgets = world.ledger.budgets(id, world.now_ms);
                    let budgets = budgets.iter().map(|state| Budget {
                        limit_nano: limit,
                        ..state.budget
                    });
                    let budgets: Vec<Budget> = budgets.collect();
                    world.set(scope, &budgets);
                }
            }
            world.compare().await;
        }
    });
}

fn on(layout: Layout) {
    let server = Redis::start();
    let config = ProptestConfig::with_cases(CASES);
    proptest!(config, |(steps in prop::collection::vec(step(), 1..60))| {
        drive(&server, layout, steps);
    });
}

#[test]
fn a_hold_that_was_half_made_costs_nothing() {
    let server = Redis::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(&server, Layout::Tenants).await;
        let shares = world.shares(None);
        assert_eq!((shares.len(), &shares[0].0), (2, &Group::common()));
        let (half, whole) = (world.wish("half", 70, 70, 9), world.wish("whole", 7, 7, 9));
        let (common, now_ms) = (&shares[..1], world.now_ms);
        let held = world.counters.hold(&half, common, None, now_ms).await;
        assert!(matches!(held.unwrap(), Held::Yes(_)));
        let held = world.counters.hold(&whole, &shares, None, now_ms).await;
        assert!(matches!(held.unwrap(), Held::Yes(_)));
        let held = |world: &mut World| {
            let id = world.ids(None)[0];
            world.seen.budgets(id, world.now_ms)[0].spend.held_nano
        };
        let look = async |world: &mut World| {
            let shares = world.shares(None);
            let states = world.counters.read(&shares, world.now_ms).await.unwrap();
            let Held::Yes(states) = states else {
                panic!("{states:?}");
            };
            world.adopt(&shares, &states);
        };
        look(&mut world).await;
        assert_eq!(held(&mut world), 77);
        world.now_ms += HOLD_TTL_MS + 1;
        let home = world.counters.home(OWNER);
        let late = world.counters.expire(&home, world.now_ms).await.unwrap();
        assert_eq!((late.len(), late[0].id.as_str()), (1, "whole"));
        world.counters.expire_halves(world.now_ms).await.unwrap();
        look(&mut world).await;
        assert_eq!(held(&mut world), 7);
    });
}

#[test]
fn redis_decides_as_one_process_does() {
    on(Layout::One);
}

#[test]
fn a_cluster_decides_as_one_process_does() {
    on(Layout::Tenants);
}
