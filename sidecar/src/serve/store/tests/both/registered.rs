//! Keys, budgets and alerts.

use engine::ledger::{Budget, Crossing, Thresholds};
use engine::period::Window;

use super::super::super::mirror::Snapshot;
use super::*;
use crate::serve::keys::VirtualKey;

on_both! {
    keys_are_read_as_they_were_written
    budgets_of_users_are_set_with_sql
    an_alert_is_new_once_and_told_by_one
}

fn key(id: &str) -> VirtualKey {
    VirtualKey {
        sealed: Some(vec![0, 1, 255]),
        rate_limit: Some(3),
        budget_limit_nano: Some(5),
        models: vec!["m".into()],
        expires_at_ms: Some(NOON),
        ..crate::serve::admin::new_key(id.into(), &format!("vk-{id}-0123456789"), NOON)
    }
}

fn keys_are_read_as_they_were_written(place: &Place) {
    let mut db = place.open();
    let before = keys_version(&mut db).unwrap();
    let key = key("key_a");
    let version = keys::put(&mut db, &key).unwrap();
    assert!(version > before);
    assert_eq!(keys::all(&mut db).unwrap(), std::slice::from_ref(&key));
    let changed = VirtualKey {
        name: "it's another".into(),
        provider: Some("openai".into()),
        ..key.clone()
    };
    assert!(keys::put(&mut db, &changed).unwrap() > version);
    // Whoever has SQL has a switch too.
    let before = keys_version(&mut db).unwrap();
    db.batch("UPDATE virtual_keys SET is_active = false")
        .unwrap();
    assert!(keys_version(&mut db).unwrap() > before);
    let found = keys::all(&mut db).unwrap();
    let off = VirtualKey {
        is_active: false,
        ..changed
    };
    assert_eq!(found, [off]);
    let copy = Place::sqlite();
    let mut copy = copy.open();
    keys::put(&mut copy, &key).unwrap();
    let snapshot = Snapshot::take(&mut db).unwrap();
    snapshot.put(&mut copy).unwrap();
    assert_eq!(keys::all(&mut copy).unwrap(), found);
    assert_eq!(keys_version(&mut copy).unwrap(), snapshot.version);
}

fn budgets_of_users_are_set_with_sql(place: &Place) {
    let mut db = place.open();
    let limits = |db: &mut Db| -> Vec<(String, i64)> {
        let budgets = rules::all(db).unwrap();
        let shown = budgets.iter().map(|rule| {
            assert!(rule.budget.hard && rule.budget.period == Period::Monthly);
            (rule.name.clone().unwrap(), rule.budget.limit_nano)
        });
        shown.collect()
    };
    // As the documents have it, `user_id` and `limit_usd` in place of `$1` and `$2`.
    let set = |user: &str, usd: &str| {
        format!(
            "INSERT INTO user_budgets (user_id, monthly_limit_usd) VALUES ('{user}', {usd}) \
             ON CONFLICT (user_id) DO UPDATE SET monthly_limit_usd = {usd}"
        )
    };
    let before = keys_version(&mut db).unwrap();
    db.batch(&set("ada", "0.1")).unwrap();
    assert_eq!(limits(&mut db), [("ada".into(), 100_000_000)]);
    db.batch(&set("ada", "500")).unwrap();
    assert_eq!(limits(&mut db), [("ada".into(), 500_000_000_000)]);
    assert!(keys_version(&mut db).unwrap() >= before + 2);
    for odd in ["-1", "'NaN'", "1e10"] {
        assert!(db.batch(&set("ada", odd)).is_err(), "{odd}");
    }
    // Whoever speaks last is heard: the admin interface, then SQL again.
    let budget = rules::all(&mut db).unwrap().remove(0);
    let document = budget.document().replace("500", "7");
    rules::put(&mut db, &budget.identity(), &document).unwrap();
    assert_eq!(limits(&mut db), [("ada".into(), 7_000_000_000)]);
    db.batch(&set("ada", "8")).unwrap();
    assert_eq!(limits(&mut db), [("ada".into(), 8_000_000_000)]);
    let copy = Place::sqlite();
    let mut copy = copy.open();
    Snapshot::take(&mut db).unwrap().put(&mut copy).unwrap();
    assert_eq!(limits(&mut copy), [("ada".into(), 8_000_000_000)]);
    assert!(rules::remove(&mut db, &budget.identity()).unwrap());
    assert!(limits(&mut db).is_empty());
}

fn an_alert_is_new_once_and_told_by_one(place: &Place) {
    let (mut db, mut other) = (place.open(), place.open());
    let crossing = || Crossing {
        scope: Scope::User("ada".into()),
        budget: Budget {
            limit_nano: 10,
            period: Period::Monthly,
            hard: true,
            thresholds: Thresholds::default(),
        },
        window: Window {
            start_ms: NOON,
            end_ms: None,
        },
        threshold_ppm: 800_000,
        spent_nano: 8,
    };
    let first = alerts::note(&mut db, vec![crossing()], NOON, true).unwrap();
    assert_eq!(first.len(), 1);
    let second = alerts::note(&mut other, vec![crossing()], NOON + 1, true).unwrap();
    assert_eq!(second, []);
    let untold = alerts::untold(&mut other, 9).unwrap();
    assert_eq!(untold, first);
    let alert = &untold[0];
    let claim = |db: &mut Db, who: &str, now_ms: u64| {
        alerts::claim(db, alert, who, now_ms, now_ms - 100).unwrap()
    };
    assert!(claim(&mut db, "one", NOON));
    assert!(!claim(&mut other, "two", NOON + 50));
    assert!(claim(&mut db, "one", NOON + 60));
    // Who has claimed it has died.
    assert!(claim(&mut other, "two", NOON + 170));
    alerts::told(&mut other, alert, NOON + 180).unwrap();
    assert!(!claim(&mut db, "one", NOON + 900));
    assert_eq!(alerts::untold(&mut db, 9).unwrap(), []);
}
