//! What is told again is counted once: by marks, by places, and by what sums say that they hold.

use super::*;

const TEAM: u64 = 7;

/// A Redis whose sums of the key, and of a scope that is counted since version 7, were read at that version
/// from a database that had five records of this service.
async fn opened(server: &Redis) -> World {
    let mut world = World::new(server, Layout::One).await;
    server.command("FLUSHALL").unwrap();
    let group = Group::common();
    begin(&world.counters, &group).await;
    world.counters.counts(TEAM);
    let sum = Sum {
        days: vec![(NOON - NOON % DAY, 100)],
        version: TEAM,
        held: vec![("me".into(), 5), ("-12".into(), 9)],
        ..Sum::default()
    };
    for scope in world.scopes.clone() {
        let waits = world.counters.waiting(&group, &scope, NOON).await.unwrap();
        let calendar = Calendar::default();
        let place = (&scope, 0);
        let given = world
            .counters
            .initialise(&group, place, &waits, &sum, &calendar, NOON);
        assert!(given.await.unwrap());
    }
    world.now_ms = NOON;
    world
}

fn ended<'a>(world: &World, exchange: &'a str, seq: u64, again: Option<u64>) -> Ended<'a> {
    let since = |scope: &Scope| match scope {
        Scope::Tenant(_) => TEAM,
        _ => 0,
    };
    Ended {
        exchange,
        lease: None,
        expired: false,
        cost_nano: 10,
        at_ms: NOON,
        provider: "p",
        model: "m",
        input: 1,
        output: 1,
        scopes: world
            .scopes
            .iter()
            .take(3)
            .map(|scope| (scope.clone(), since(scope)))
            .collect(),
        place: super::super::Place { seq, again },
    }
}

/// What was spent by everybody, by the key and by the tenant.
async fn spent(world: &mut World) -> [i64; 3] {
    let shares = world.shares(None);
    let states = world.counters.read(&shares, world.now_ms).await.unwrap();
    let Held::Yes(states) = states else {
        panic!("{states:?}");
    };
    world.adopt(&shares, &states);
    let ids = world.ids(None);
    [0, 1, 2].map(|at| {
        world.seen.budgets(ids[at], world.now_ms)[0]
            .spend
            .spent_nano
    })
}

fn run(test: impl AsyncFnOnce(World, &Redis)) {
    let server = Redis::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = opened(&server).await;
        test(world, &server).await;
    });
}

#[test]
fn records_that_sums_hold_are_not_added_to_them() {
    run(async |mut world, _| {
        assert_eq!(spent(&mut world).await, [100; 3]);
        for (exchange, seq) in [("four", 4), ("five", 5)] {
            let charged = world
                .charge(&ended(&world, exchange, seq, Some(TEAM)))
                .await;
            assert_eq!(charged.charge, Charge::New);
        }
        assert_eq!(spent(&mut world).await, [100; 3]);
        for _ in 0..2 {
            world.charge(&ended(&world, "six", 6, Some(TEAM))).await;
            assert_eq!(spent(&mut world).await, [110; 3]);
        }
        // What is new was never in any sums.
        world.charge(&ended(&world, "new", 2, None)).await;
        assert_eq!(spent(&mut world).await, [120; 3]);
    });
}

#[test]
fn its_own_service_is_known_by_places_when_marks_are_gone() {
    run(async |mut world, server| {
        world.charge(&ended(&world, "six", 6, None)).await;
        let epoch = server.command("GET weir:{all}:e").unwrap();
        let mark = format!("DEL weir:{{all}}:{epoch}:z:six");
        assert_eq!(server.command(&mark).unwrap(), "1");
        let again = world.charge(&ended(&world, "six", 6, Some(TEAM))).await;
        assert_eq!(again.charge, Charge::Known);
        assert_eq!(spent(&mut world).await, [110; 3]);
        // Once the database has it, nobody tells of it again.
        let group = Group::common();
        world.counters.stored(&group, 6, NOON).await.unwrap();
        let left = format!("ZCARD weir:{{all}}:{epoch}:s:me");
        assert_eq!(server.command(&left).unwrap(), "0");
    });
}

#[test]
fn what_is_counted_only_since_then_is_added_once() {
    run(async |mut world, _| {
        // As a service counted it that did not know of the tenant's budget.
        world.counters.counts(TEAM - 1);
        let mut before = ended(&world, "six", 6, None);
        before.scopes.truncate(2);
        world.charge(&before).await;
        assert_eq!(spent(&mut world).await, [110, 110, 100]);
        world.counters.counts(TEAM);
        for _ in 0..2 {
            let again = world.charge(&ended(&world, "six", 6, Some(TEAM - 1))).await;
            assert_eq!(again.charge, Charge::Known);
            assert_eq!(spent(&mut world).await, [110; 3]);
        }
    });
}
