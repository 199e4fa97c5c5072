use std::sync::Arc;

use engine::ledger::{Ask, HOLD_TTL_MS, Ledger, Scope};
use engine::period::{Calendar, Offset, Period};
use engine::usage::Usage;
use engine::wire::{CacheStatus, Ending, Policy, Quote, Settle, UsageRecord};

use super::super::journal::Journal;
use super::super::keys::KeyTable;
use super::super::log::{Level, Log};
use super::super::metrics::Metrics;
use super::super::state::Spent;
use super::super::state::{CompiledPolicy, Core, Shared};
use super::db::Cell;
use super::refusals::Refusals;
use super::usage::{Written, write};
use super::*;

const NOON: u64 = 1_795_262_400_000; // 2026-11-21T12:00:00Z

fn record(exchange: &str, cost_nano: i64, ending: Ending) -> UsageRecord {
    UsageRecord {
        exchange: exchange.into(),
        endpoint: "chat".into(),
        tags: Vec::new(),
        trace_id: "t".into(),
        key: "key_a".into(),
        user: "u".into(),
        at_ms: NOON,
        duration_ms: 5,
        first_byte_ms: Some(2),
        provider: "p".into(),
        model: "m".into(),
        status: if ending == Ending::Expired { 500 } else { 200 },
        code: String::new(),
        ending,
        stream: false,
        attempts: 1,
        usage: Usage {
            input: 10,
            output: 5,
            ..Usage::default()
        },
        metered: false,
        cost_nano,
        cache: CacheStatus::Off,
        pii: Vec::new(),
        pii_action: None,
        guard: Vec::new(),
        lease: None,
    }
}

fn put(db: &mut Db, record: &UsageRecord) -> Written {
    db.transaction(|step| write(step, record, NOON)).unwrap()
}

fn row<T: Cell>(db: &mut Db, sql: &str) -> T {
    db.first(sql, &[], |row| row.take()).unwrap().unwrap()
}

#[test]
fn a_record_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.db");
    let mut db = open(&path).unwrap();
    assert_eq!(put(&mut db, &record("a", 7, Ending::Done)), Written::New);
    assert_eq!(put(&mut db, &record("a", 9, Ending::Done)), Written::Known);
    assert_eq!(
        put(&mut db, &record("a", 9, Ending::Expired)),
        Written::Known
    );
    assert_eq!(
        put(&mut db, &record("b", 5, Ending::UpstreamCut)),
        Written::New
    );
    drop(db);
    let mut db = open(&path).unwrap();
    assert!(usage::is_settled(&mut db, "a").unwrap());
    assert!(!usage::is_settled(&mut db, "c").unwrap());
    assert_eq!(
        row::<i64>(&mut db, "SELECT requests * 10 + errors FROM usage_daily"),
        21
    );
}

#[test]
fn the_oldest_refusals_go_and_stay_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = open(&folder.path().join("weir.db")).unwrap();
    let mut refusals = Refusals::count(&mut db, 20).unwrap();
    let mut settle = |name: String, ending: Ending, second: u64| {
        let record = record(&name, 0, ending);
        let rows = db.transaction(|step| {
            let written = write(step, &record, NOON + second * 1_000)?;
            refusals.trim(step, [(&record, &written)].into_iter())
        });
        refusals.committed(rows.unwrap());
    };
    settle("paid".into(), Ending::Done, 0);
    for count in 1..=20 {
        settle(format!("r{count:03}"), Ending::Refused, count);
    }
    // Nothing goes at the bound, nor for what is known.
    settle("r020".into(), Ending::Refused, 20);
    settle("paid2".into(), Ending::ClientGone, 20);
    for count in 21..=50 {
        settle(format!("r{count:03}"), Ending::Refused, count);
    }
    let sql = "SELECT COUNT(*) FROM llm_usage_log WHERE ending = 'refused'";
    let rows = row::<i64>(&mut db, sql);
    assert!((19..=20).contains(&rows), "{rows}");
    assert_eq!(Refusals::count(&mut db, 20).unwrap().rows, rows as u64);
    let oldest = "SELECT MIN(exchange_id) FROM llm_usage_log WHERE ending = 'refused'";
    assert_eq!(row::<String>(&mut db, oldest), format!("r{:03}", 51 - rows));
    assert_eq!(
        row::<i64>(&mut db, "SELECT COUNT(*) FROM llm_usage_log") - rows,
        2
    );
    assert_eq!(
        row::<i64>(&mut db, "SELECT SUM(requests) FROM usage_daily"),
        52
    );
    let sums = "SELECT group_concat(model || requests) FROM usage_daily ORDER BY model";
    assert_eq!(row::<String>(&mut db, sums), "50,m2");
    let plan = "EXPLAIN QUERY PLAN SELECT exchange_id FROM llm_usage_log \
                WHERE ending = 'refused' ORDER BY timestamp LIMIT 1";
    let mut plans = db.query(plan, &[], |row| {
        let _numbers: (i64, i64, i64) = (row.take()?, row.take()?, row.take()?);
        row.take::<String>()
    });
    let plan = plans.as_mut().unwrap().remove(0);
    assert!(plan.contains("idx_usage_refused"), "{plan}");
}

#[test]
fn a_store_of_the_first_version_is_brought_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.db");
    let mut db = open(&path).unwrap();
    put(&mut db, &record("a", 7, Ending::Done));
    db.batch(
        "DROP INDEX idx_usage_refused; ALTER TABLE llm_usage_log DROP COLUMN endpoint; \
         ALTER TABLE llm_usage_log DROP COLUMN tags; DROP TABLE spend_daily; \
         DROP TABLE budget_alerts; DROP TABLE budget_rules; ALTER TABLE virtual_keys DROP COLUMN membership; \
         PRAGMA user_version = 1",
    )
    .unwrap();
    drop(db);
    let mut db = open(&path).unwrap();
    assert_eq!(row::<i64>(&mut db, "PRAGMA user_version"), 4);
    put(&mut db, &record("b", 7, Ending::Done));
    let endpoints = "SELECT group_concat(endpoint, '|') FROM llm_usage_log ORDER BY exchange_id";
    assert_eq!(row::<String>(&mut db, endpoints), "|chat");
}

#[test]
fn a_late_record_replaces_the_one_of_the_expired_hold() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = open(&folder.path().join("weir.db")).unwrap();
    put(&mut db, &record("a", 100, Ending::Expired));
    let late = UsageRecord {
        model: "other".into(),
        ..record("a", 30, Ending::Done)
    };
    let Written::Replaced { old, charged_ms } = put(&mut db, &late) else {
        panic!("it stands in place of the other");
    };
    assert_eq!(
        (old.cost_nano, old.model.as_str(), charged_ms),
        (100, "m", NOON)
    );
    assert_eq!(put(&mut db, &late), Written::Known);
    assert_eq!(
        row::<i64>(&mut db, "SELECT SUM(cost_nano) FROM llm_usage_log"),
        30
    );
    assert_eq!(
        row::<i64>(&mut db, "SELECT SUM(cost_nano) FROM usage_daily"),
        30
    );
    assert_eq!(
        row::<i64>(
            &mut db,
            "SELECT SUM(requests) * 10 + SUM(errors) FROM usage_daily"
        ),
        10
    );
    assert_eq!(
        row::<i64>(&mut db, "SELECT SUM(prompt_tokens) FROM usage_daily"),
        10
    );
}

#[tokio::test]
async fn a_hold_nobody_renewed_is_charged_until_its_exchange_reports() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(folder.path());
    let db = open(&folder.path().join("weir.db")).unwrap();
    let (writer, thread) = writer::Writer::start(db, Arc::clone(&shared), false).unwrap();
    let spend = || {
        let mut core = shared.core();
        let global = core.global;
        let spend = core.ledger.spend(global, Period::Total, 0);
        (spend.spent_nano, spend.held_nano)
    };
    let quotes = [Quote {
        provider: "p".into(),
        model: "m".into(),
        input_nano: 40,
        output_nano_per_mtok: 0,
        output_max: 1,
    }];
    {
        let mut core = shared.core();
        let scopes = [core.global];
        let ask = Ask {
            exchange: "a",
            key: "key_a",
            scopes: &scopes,
            quotes: &quotes,
            output_cap: None,
            choices: 1,
            tokens_in: 10,
            user: "",
            tags: &[],
            slice_tokens: None,
        };
        core.ledger.admit(&ask, NOON);
    }
    assert_eq!(spend(), (0, 40));
    let late = shared.core().ledger.expire(NOON + HOLD_TTL_MS);
    writer.expire(late).unwrap();
    // Whatever is written now is written after it.
    writer.change(|_| ()).await.unwrap();
    assert_eq!(spend(), (40, 0));
    for _ in 0..2 {
        let settle = Settle {
            records: vec![record("a", 25, Ending::Done)],
            leases: Vec::new(),
        };
        let body = serde_json::to_vec(&settle).unwrap();
        assert_eq!(writer.settle(body.into()).await.unwrap().durable, 1);
        assert_eq!(spend(), (25, 0));
    }
    let malformed = writer.settle("[]".into()).await;
    assert_eq!(malformed, Err(writer::Failure::Malformed));
    writer.stop();
    thread.join().unwrap();
    assert_eq!(
        writer.settle("{}".into()).await,
        Err(writer::Failure::Unavailable)
    );
}

fn shared(folder: &Path) -> Arc<Shared> {
    let journal = Journal::open(&folder.join("holds.journal")).unwrap();
    let policy = CompiledPolicy::new(Policy::default()).unwrap();
    let core = Core::new(
        Ledger::default(),
        KeyTable::default(),
        journal,
        policy,
        1,
        Default::default(),
        (true, None),
    );
    let log = Log {
        level: Level::Error,
    };
    Arc::new(Shared::new(
        core,
        Metrics::new(&Policy::default()),
        log,
        None,
    ))
}

#[test]
fn spend_is_summed_anew_when_other_scopes_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = open(&folder.path().join("weir.db")).unwrap();
    put(&mut db, &record("a", 7, Ending::Done));
    put(&mut db, &record("b", 5, Ending::UpstreamCut));
    let ahead = Offset {
        from_ms: 0,
        ahead_ms: 13 * 3_600_000,
    };
    let east = Calendar::new(vec![ahead], 1);
    let scopes = |spent: &Spent<'_>| vec![Scope::Global, Scope::Model(spent.model.to_owned())];
    assert!(spend::rebase(&mut db, 1, &Calendar::default(), scopes).unwrap());
    let day = |at: &str| engine::period::parse(at).unwrap();
    let sums = |db: &mut Db| spend::all(db).unwrap();
    assert_eq!(sums(&mut db)[&Scope::Global], [(day("2026-11-21"), 12)]);
    assert!(!spend::rebase(&mut db, 1, &east, scopes).unwrap());
    assert!(spend::rebase(&mut db, 2, &east, scopes).unwrap());
    // Noon is the next day there.
    let found = sums(&mut db);
    assert_eq!(
        found[&Scope::Model("m".into())],
        [(day("2026-11-21T11:00:00Z"), 12)]
    );
    assert_eq!(found.len(), 2);
}

#[test]
fn the_documented_queries_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.db");
    let mut db = open(&path).unwrap();
    put(&mut db, &record("a", 52_500, Ending::Done));
    let cost: f64 = row(
        &mut Db::reader(&path).unwrap(),
        "SELECT SUM(cost) FROM llm_usage_log WHERE timestamp >= datetime('2026-11-21', '-1 day') \
         GROUP BY provider, model",
    );
    assert!((cost - 0.000_052_5).abs() < 1e-12);
    assert_eq!(
        row::<i64>(
            &mut db,
            "SELECT SUM(prompt_tokens + completion_tokens) FROM llm_usage_log"
        ),
        15
    );
    let indexes = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'index' AND name IN \
                   ('idx_usage_user_date', 'idx_usage_provider', 'idx_virtual_keys_active')";
    assert_eq!(row::<i64>(&mut db, indexes), 3);
    assert_eq!(row::<String>(&mut db, "PRAGMA journal_mode"), "wal");
    assert_eq!(row::<i64>(&mut db, "PRAGMA synchronous"), 2);
}

#[test]
fn a_newer_schema_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.db");
    open(&path)
        .unwrap()
        .batch("PRAGMA user_version = 99")
        .unwrap();
    assert!(matches!(open(&path), Err(StoreError::TooNew(99))));
}

#[test]
fn sealed_keys_open_with_their_secret_and_for_their_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.key");
    let sealer = seal::Sealer::open(&path).unwrap();
    let sealed = sealer.seal("key_a", "sk-real").unwrap();
    assert!(!sealed.windows(7).any(|window| window == b"sk-real"));
    assert_ne!(sealed, sealer.seal("key_a", "sk-real").unwrap());
    let again = seal::Sealer::open(&path).unwrap();
    assert_eq!(again.unseal("key_a", &sealed).unwrap(), "sk-real");
    assert!(again.unseal("key_b", &sealed).is_err());
    assert!(again.unseal("key_a", &[]).is_err());
    std::fs::write(&path, [0; 31]).unwrap();
    assert!(matches!(
        seal::Sealer::open(&path),
        Err(StoreError::Secret(_))
    ));
}
