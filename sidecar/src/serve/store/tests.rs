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
use super::sums::Sums;
use super::usage::{Written, write};
use super::*;

mod both;
mod server;

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
    put_at(db, record, NOON)
}

fn put_at(db: &mut Db, record: &UsageRecord, charged_ms: u64) -> Written {
    let written = db.transaction(|step| {
        let mut sums = Sums::default();
        let written = write(step, record, charged_ms, &mut sums)?;
        sums.write(step)?;
        Ok::<_, DbError>(written)
    });
    written.unwrap()
}

fn row<T: Cell>(db: &mut Db, sql: &str) -> T {
    db.first(sql, &[], |row| row.take()).unwrap().unwrap()
}

#[test]
fn a_store_of_the_first_version_is_brought_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.db");
    let mut db = open(&path).unwrap();
    put(&mut db, &record("a", 7, Ending::Done));
    db.batch(
        "DROP VIEW LLMUsageLogs; DROP VIEW LLMProviderConfigs; DROP VIEW LLMModelConfigs; \
         DROP VIEW pricing_config; DROP TABLE configured_providers; DROP TABLE configured_models; \
         DROP TABLE user_budgets; DROP TABLE spool; DROP TABLE spool_refused; \
         DROP TRIGGER virtual_keys_set; DROP TRIGGER virtual_keys_changed; \
         DROP TRIGGER virtual_keys_removed; \
         DROP INDEX idx_usage_refused; ALTER TABLE llm_usage_log DROP COLUMN endpoint; \
         ALTER TABLE llm_usage_log DROP COLUMN tags; DROP TABLE spend_daily; \
         DROP TABLE budget_alerts; DROP TABLE budget_rules; ALTER TABLE virtual_keys DROP COLUMN membership; \
         DROP TABLE counted_rules; DROP TABLE deliveries; DROP TABLE epochs; DROP TABLE guard_daily; \
         ALTER TABLE llm_usage_log DROP COLUMN guardrails; \
         DELETE FROM meta WHERE name IN ('counted_version', 'spend_generation'); \
         PRAGMA user_version = 1",
    )
    .unwrap();
    drop(db);
    let mut db = open(&path).unwrap();
    assert_eq!(row::<i64>(&mut db, "PRAGMA user_version"), 7);
    put(&mut db, &record("b", 7, Ending::Done));
    let endpoints = "SELECT group_concat(endpoint, '|') FROM llm_usage_log ORDER BY exchange_id";
    assert_eq!(row::<String>(&mut db, endpoints), "|chat");
}

#[tokio::test]
async fn what_is_counted_waits_for_no_other_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.db");
    let mut db = open(&path).unwrap();
    spool::add(&mut db, &record("a", 1, Ending::Done), NOON, false).unwrap();
    let (database, _jobs) = database::Database::new();
    let spool = writer::Spool::new(database, 10, true);
    let shared = shared(folder.path());
    let (writer, thread) = writer::Writer::start(db, shared, false, Some(spool)).unwrap();
    // Something else comes right before and right after.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (before, after) = (writer.clone(), writer.clone());
    let before = tokio::spawn(async move { before.change(move |_| wait.recv()).await });
    tokio::task::yield_now().await;
    writer.counted(vec!["a".into()]).unwrap();
    let after = tokio::spawn(async move { after.change(|_| ()).await });
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    let (before, after) = (before.await.unwrap(), after.await.unwrap());
    assert!(before.is_ok() && after.is_ok());
    let mut db = open(&path).unwrap();
    let is_counted = |_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        row::<i64>(&mut db, "SELECT counted FROM spool") == 1
    };
    assert!((0..250).any(is_counted));
    writer.stop();
    thread.join().unwrap();
}

#[tokio::test]
async fn a_hold_nobody_renewed_is_charged_until_its_exchange_reports() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(folder.path());
    let db = open(&folder.path().join("weir.db")).unwrap();
    let (writer, thread) = writer::Writer::start(db, Arc::clone(&shared), false, None).unwrap();
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
