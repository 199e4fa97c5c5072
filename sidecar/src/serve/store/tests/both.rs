//! What holds of every database: each test runs over SQLite and over PostgreSQL.

use engine::wire::{Direction, PiiAction, Verdict};
use test_servers::postgres::Postgres;

use super::super::refusals::Refusals;
use super::*;

/// A database that can be opened again.
pub(super) enum Place {
    File(tempfile::TempDir),
    Server(Postgres),
}

impl Place {
    pub(super) fn sqlite() -> Place {
        Place::File(tempfile::tempdir().unwrap())
    }

    pub(super) fn postgres() -> Place {
        Place::Server(Postgres::start())
    }

    fn is_file(&self) -> bool {
        matches!(self, Place::File(_))
    }

    fn connect(&self) -> Db {
        match self {
            Place::File(folder) => Db::file(&folder.path().join("weir.db")).unwrap(),
            Place::Server(server) => {
                let target = db::Target::parse(&server.url(), Path::new("/none")).unwrap();
                Db::server(&target).unwrap()
            }
        }
    }

    pub(super) fn open(&self) -> Db {
        let mut db = self.connect();
        schema::migrate(&mut db).unwrap();
        db
    }
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(&super::Place::sqlite()) })*
        }
        mod postgres {
            $(#[test] fn $name() { super::$name(&super::Place::postgres()) })*
        }
    };
}

mod registered;

on_both! {
    a_record_counts_once
    guardrails_stand_in_the_ledger_and_in_its_sums
    many_records_are_written_as_one_by_one
    the_oldest_refusals_go_and_stay_counted
    a_late_record_replaces_the_one_of_the_expired_hold
    spend_is_summed_anew_when_other_scopes_are_counted
    requests_are_counted_by_the_minute_and_by_the_second
    the_documented_statements_run
    a_newer_schema_is_left_alone
    what_fails_half_way_changes_nothing
}

fn count(db: &mut Db, sql: &str) -> i64 {
    row(db, sql)
}

fn a_record_counts_once(place: &Place) {
    let mut db = place.open();
    assert_eq!(put(&mut db, &record("a", 7, Ending::Done)), Written::New);
    assert_eq!(put(&mut db, &record("a", 9, Ending::Done)), Written::Known);
    let again = put(&mut db, &record("a", 9, Ending::Expired));
    assert_eq!(again, Written::Known);
    let other = put(&mut db, &record("b", 5, Ending::UpstreamCut));
    assert_eq!(other, Written::New);
    drop(db);
    let mut db = place.open();
    assert!(usage::is_settled(&mut db, "a").unwrap());
    assert!(!usage::is_settled(&mut db, "c").unwrap());
    let sums = count(&mut db, "SELECT requests * 10 + errors FROM usage_daily");
    assert_eq!(sums, 21);
}

fn guardrails_stand_in_the_ledger_and_in_its_sums(place: &Place) {
    let mut db = place.open();
    let verdict = |rule: &str, kind: &str, on, action, count| Verdict {
        rule: rule.into(),
        kind: kind.into(),
        on,
        action,
        count,
    };
    for exchange in ["a", "b", "a"] {
        let record = UsageRecord {
            guard: vec![
                verdict(
                    "pii_detection",
                    "EMAIL",
                    Direction::Input,
                    PiiAction::Redact,
                    2,
                ),
                verdict(
                    "content_safety",
                    "violence",
                    Direction::Output,
                    PiiAction::Flag,
                    1,
                ),
            ],
            ..record(exchange, 7, Ending::Done)
        };
        put(&mut db, &record);
    }
    put(&mut db, &record("c", 7, Ending::Done));
    let guardrails = "SELECT guardrails FROM llm_usage_log WHERE exchange_id = 'a'";
    let guardrails: Vec<Verdict> =
        serde_json::from_str(&row::<String>(&mut db, guardrails)).unwrap();
    assert_eq!((guardrails.len(), guardrails[0].count), (2, 2));
    let none = "SELECT COUNT(*) FROM llm_usage_log WHERE guardrails IS NULL";
    assert_eq!(count(&mut db, none), 1);
    let sums = "SELECT rule || ' ' || type || ' ' || direction || ' ' || action || ' ' || \
                CAST(requests AS TEXT) || ' ' || CAST(findings AS TEXT) FROM guard_daily ORDER BY rule";
    let sums: Vec<String> = db.query(sums, &[], |row| row.take()).unwrap();
    assert_eq!(
        sums,
        [
            "content_safety  output flag 2 2",
            "pii_detection EMAIL input redact 2 4"
        ]
    );
}

fn many_records_are_written_as_one_by_one(place: &Place) {
    let mut db = place.open();
    put(&mut db, &record("r003", 1, Ending::Done));
    put(&mut db, &record("r004", 100, Ending::Expired));
    let mut records: Vec<(UsageRecord, u64)> = (0..100)
        .map(|index| {
            let user = if index == 7 { "nul\0 is text too" } else { "u" };
            let record = UsageRecord {
                user: user.into(),
                ..record(&format!("r{index:03}"), 10, Ending::Done)
            };
            (record, NOON + index)
        })
        .collect();
    // One exchange twice: its hold expired, then it reported.
    records.push((record("twice", 50, Ending::Expired), NOON));
    records.push((record("twice", 20, Ending::Done), NOON));
    let write = |db: &mut Db| {
        let written = db.transaction(|step| {
            let mut sums = Sums::default();
            let written = usage::write_all(step, &records, &mut sums)?;
            sums.write(step)?;
            Ok::<_, DbError>(written)
        });
        written.unwrap()
    };
    let written = write(&mut db);
    let new = written.iter().filter(|written| **written == Written::New);
    assert_eq!((new.count(), &written[3]), (99, &Written::Known));
    let replaced = |written: &Written| matches!(written, Written::Replaced { .. });
    assert!(
        replaced(&written[4]) && replaced(&written[101]),
        "{written:?}"
    );
    let sql = "SELECT CAST(SUM(cost_nano) AS BIGINT) FROM ";
    for table in ["llm_usage_log", "usage_daily"] {
        assert_eq!(
            count(&mut db, &format!("{sql}{table}")),
            99 * 10 + 1 + 20,
            "{table}"
        );
    }
    let requests = "SELECT CAST(SUM(requests * 1000 + errors) AS BIGINT) FROM usage_daily";
    assert_eq!(count(&mut db, requests), 101_000);
    assert!(
        write(&mut db)
            .iter()
            .all(|written| *written == Written::Known)
    );
    assert_eq!(count(&mut db, requests), 101_000);
}

fn the_oldest_refusals_go_and_stay_counted(place: &Place) {
    let mut db = place.open();
    let mut refusals = Refusals::count(&mut db, 20).unwrap();
    let mut settle = |name: String, ending: Ending, second: u64| {
        let record = record(&name, 0, ending);
        let written = put_at(&mut db, &record, NOON + second * 1_000);
        let rows = db.transaction(|step| refusals.trim(step, [(&record, &written)].into_iter()));
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
    let rows = count(
        &mut db,
        "SELECT COUNT(*) FROM llm_usage_log WHERE ending = 'refused'",
    );
    assert!((19..=20).contains(&rows), "{rows}");
    assert_eq!(Refusals::count(&mut db, 20).unwrap().rows, rows as u64);
    let oldest = "SELECT MIN(exchange_id) FROM llm_usage_log WHERE ending = 'refused'";
    assert_eq!(row::<String>(&mut db, oldest), format!("r{:03}", 51 - rows));
    assert_eq!(
        count(&mut db, "SELECT COUNT(*) FROM llm_usage_log") - rows,
        2
    );
    let sums = "SELECT requests FROM usage_daily ORDER BY model";
    let sums = db.query(sums, &[], |row| row.take::<i64>()).unwrap();
    assert_eq!(sums, [50, 2]);
    if place.is_file() {
        let plan = "EXPLAIN QUERY PLAN SELECT exchange_id FROM llm_usage_log \
                    WHERE ending = 'refused' ORDER BY timestamp LIMIT 1";
        let mut plans = db.query(plan, &[], |row| {
            let _numbers: (i64, i64, i64) = (row.take()?, row.take()?, row.take()?);
            row.take::<String>()
        });
        let plan = plans.as_mut().unwrap().remove(0);
        assert!(plan.contains("idx_usage_refused"), "{plan}");
    }
}

fn a_late_record_replaces_the_one_of_the_expired_hold(place: &Place) {
    let mut db = place.open();
    put(&mut db, &record("a", 100, Ending::Expired));
    let late = UsageRecord {
        model: "other".into(),
        ..record("a", 30, Ending::Done)
    };
    let Written::Replaced { old, charged_ms } = put(&mut db, &late) else {
        panic!("it stands in place of the other");
    };
    let expected = (100, "m", NOON);
    assert_eq!((old.cost_nano, old.model.as_str(), charged_ms), expected);
    assert_eq!(put(&mut db, &late), Written::Known);
    let sum =
        |column: &str, table: &str| format!("SELECT CAST(SUM({column}) AS BIGINT) FROM {table}");
    assert_eq!(count(&mut db, &sum("cost_nano", "llm_usage_log")), 30);
    assert_eq!(count(&mut db, &sum("cost_nano", "usage_daily")), 30);
    assert_eq!(
        count(&mut db, &sum("requests * 10 + errors", "usage_daily")),
        10
    );
    assert_eq!(count(&mut db, &sum("prompt_tokens", "usage_daily")), 10);
}

fn spend_is_summed_anew_when_other_scopes_are_counted(place: &Place) {
    let mut db = place.open();
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
    let expected = [(day("2026-11-21T11:00:00Z"), 12)];
    assert_eq!(found[&Scope::Model("m".into())], expected);
    assert_eq!(found.len(), 2);
}

fn requests_are_counted_by_the_minute_and_by_the_second(place: &Place) {
    let mut db = place.open();
    for (index, after_ms) in [0, 400, 1_000, 59_999, 60_000].into_iter().enumerate() {
        let record = record(&format!("x{index}"), 1, Ending::Done);
        put_at(&mut db, &record, NOON + after_ms);
    }
    put_at(&mut db, &record("refused", 0, Ending::Refused), NOON);
    let mut admitted = |by_second| {
        let found = usage::admitted(&mut db, NOON, NOON + 60_001, by_second).unwrap();
        let mut found: Vec<_> = found
            .iter()
            .map(|kind| (kind.at_ms - NOON, kind.requests, kind.tokens, kind.cached))
            .collect();
        found.sort_unstable();
        found
    };
    let seconds = [(0, 2, 30), (1_000, 1, 15), (59_999, 1, 15), (60_000, 1, 15)];
    assert_eq!(
        admitted(true),
        seconds.map(|(at, n, tokens)| (at, n, tokens, false))
    );
    assert_eq!(admitted(false), [(0, 4, 60, false), (60_000, 1, 15, false)]);
}

/// The statements of the checklist's documents, as they are written there.
fn the_documented_statements_run(place: &Place) {
    let mut db = place.open();
    let now_ms = crate::clock::now_ms();
    put_at(&mut db, &record("a", 52_500, Ending::Done), now_ms);
    put_at(
        &mut db,
        &record("old", 1, Ending::Done),
        now_ms - 100_000_000,
    );
    // SQLite has other words for a day ago, and nothing else differs.
    let since = if place.is_file() {
        "datetime('now', '-24 hours')"
    } else {
        "NOW() - INTERVAL '24 hours'"
    };
    let sums = format!(
        "SELECT
            provider,
            model,
            SUM(cost) as total_cost,
            SUM(prompt_tokens + completion_tokens) as total_tokens
        FROM llm_usage_log
        WHERE timestamp >= {since}
        GROUP BY provider, model"
    );
    let sql = format!(
        "SELECT CAST(total_cost AS DOUBLE PRECISION), CAST(total_tokens AS BIGINT) FROM ({sums}) AS sums"
    );
    let found = db.query(&sql, &[], |row| {
        Ok((row.take::<f64>()?, row.take::<i64>()?))
    });
    let found = found.unwrap();
    assert!((found[0].0 - 0.000_052_5).abs() < 1e-12, "{found:?}");
    assert_eq!((found.len(), found[0].1), (1, 15));
    db.batch("SELECT * FROM pricing_config WHERE provider = 'openai';")
        .unwrap();
    db.batch(
        "DROP INDEX idx_usage_user_date; DROP INDEX idx_usage_provider; DROP INDEX idx_virtual_keys_active;
         CREATE INDEX idx_usage_user_date ON llm_usage_log(user_id, timestamp DESC);
         CREATE INDEX idx_usage_provider ON llm_usage_log(provider, model);
         CREATE INDEX idx_virtual_keys_active ON virtual_keys(virtual_key) WHERE is_active = true;",
    )
    .unwrap();
    let logs = "SELECT COUNT(*) FROM LLMUsageLogs WHERE InputTokens + OutputTokens = TotalTokens AND Success";
    assert_eq!(count(&mut db, logs), 2);
    let quoted =
        "SELECT COUNT(*) FROM \"LLMUsageLogs\" WHERE \"ProviderId\" = 'p' AND \"DurationMs\" = 5";
    assert_eq!(count(&mut db, quoted), 2);
    let text =
        "providers: [{name: openai, base_url: 'https://api.openai.com/v1', api_key: sk-secret}]\n";
    let config = crate::config::Config::parse(Path::new("weir.yaml"), text, &|_| None).unwrap();
    for _ in 0..2 {
        db.transaction(|step| catalogue::put(step, &config))
            .unwrap();
    }
    let masked = "SELECT ApiKey FROM LLMProviderConfigs WHERE Name = 'openai' AND IsEnabled";
    assert_eq!(row::<String>(&mut db, masked), "***");
    let price = "SELECT CAST(input_usd_per_million AS DOUBLE PRECISION) FROM pricing_config \
                 WHERE provider = 'openai' AND model = 'gpt-4o-mini'";
    assert!((row::<f64>(&mut db, price) - 0.15).abs() < 1e-12);
    let each = "SELECT CAST(CostPerToken * 1000000 AS DOUBLE PRECISION) FROM LLMModelConfigs \
                WHERE ModelId = 'gpt-4o-mini'";
    assert!((row::<f64>(&mut db, each) - 0.15).abs() < 1e-9);
}

fn a_newer_schema_is_left_alone(place: &Place) {
    let newer = if place.is_file() {
        "PRAGMA user_version = 99"
    } else {
        "INSERT INTO schema_version VALUES (99)"
    };
    place.open().batch(newer).unwrap();
    let refused = schema::migrate(&mut place.connect());
    assert!(
        matches!(refused, Err(StoreError::TooNew(99, _))),
        "{refused:?}"
    );
}

fn what_fails_half_way_changes_nothing(place: &Place) {
    let mut db = place.open();
    let failed: Result<(), DbError> = db.transaction(|step| {
        rules::put(step, "a", "{}")?;
        step.batch("SELECT nothing FROM nowhere")
    });
    assert!(failed.is_err() && !db.is_lost());
    assert_eq!(count(&mut db, "SELECT COUNT(*) FROM budget_rules"), 0);
    db.transaction(|step| rules::put(step, "a", "{}")).unwrap();
    assert_eq!(count(&mut db, "SELECT COUNT(*) FROM budget_rules"), 1);
}
