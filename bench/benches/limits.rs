//! What an admission costs in the state service: budgets, and limits of few and of many scopes.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use engine::ledger::{Ask, Budget, Ledger, Scope, Thresholds};
use engine::limit::{Bound, Limits, Measure, Place, Served};
use engine::period::Period;
use engine::wire::Quote;

const NOW: u64 = 1_763_726_400_000;

fn bounds() -> [Bound; 3] {
    let bound = |measure, limit, window_ms| Bound {
        measure,
        limit,
        window_ms,
    };
    [
        bound(Measure::Requests, 1 << 40, 60_000),
        bound(Measure::Tokens, 1 << 40, 3_600_000),
        bound(Measure::Running, 1 << 20, 0),
    ]
}

fn budgets(criterion: &mut Criterion) {
    let mut ledger = Ledger::default();
    let scopes = [Scope::Global, Scope::Key("key_1".into())].map(|scope| {
        let id = ledger.open(scope);
        let budget = Budget {
            limit_nano: i64::MAX / 2,
            period: Period::Monthly,
            hard: true,
            thresholds: Thresholds::default(),
        };
        ledger.set_budgets(id, vec![budget]);
        id
    });
    let quotes = [Quote {
        provider: "openai".into(),
        model: "gpt-4o-mini".into(),
        input_nano: 1_000,
        output_nano_per_mtok: 600_000_000,
        output_max: 16_384,
    }];
    let ask = Ask {
        exchange: "wr-0199a2b3c4d5e6f708192a3b4c5d6e7f",
        key: "key_1",
        scopes: &scopes,
        quotes: &quotes,
        output_cap: Some(100),
        choices: 1,
        tokens_in: 20,
        user: "",
        tags: &[],
        slice_tokens: None,
    };
    criterion.bench_function("ledger: admit and settle", |b| {
        b.iter(|| {
            let answer = ledger.admit(&ask, NOW);
            ledger.settle(ask.exchange, &scopes, NOW, 5);
            answer
        })
    });
}

fn limits(criterion: &mut Criterion) {
    let all = [
        Scope::Global,
        Scope::Key("key_0123456789abcdefghij".into()),
        Scope::Ip("192.0.2.7".into()),
        Scope::User("somebody@example.org".into()),
        Scope::Team("research".into()),
        Scope::Tenant("acme".into()),
        Scope::Provider("openai".into()),
        Scope::Model("gpt-4o-mini".into()),
    ];
    let bounds = bounds();
    let served = Served {
        provider: "openai",
        model: "gpt-4o-mini",
        input: 20,
        output: 80,
    };
    let mut group = criterion.benchmark_group("limits: admit and settle, scopes of three limits");
    for count in [0, 1, 4, 8] {
        let mut limits = Limits::default();
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                let scopes = all.iter().take(count);
                let open = |scope| limits.open(scope, &bounds, NOW);
                let places: Vec<Place> = scopes.filter_map(open).collect();
                let fits = limits.check(&places, 20, NOW).is_ok();
                let rates = limits.rates(&places, NOW);
                limits.pass("wr-0199a2b3c4d5e6f708192a3b4c5d6e7f", places, 20, NOW);
                limits.settle("wr-0199a2b3c4d5e6f708192a3b4c5d6e7f", &served, NOW);
                (fits, rates)
            })
        });
    }
    group.finish();
}

criterion_group!(benches, budgets, limits);
criterion_main!(benches);
