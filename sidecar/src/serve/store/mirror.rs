//! What a service keeps on its own disk of the database that it shares: enough to start without it.

use std::collections::HashMap;

use engine::ledger::Scope;
use engine::usage::NanoUsd;

use super::super::keys::VirtualKey;
use super::counted::Counted;
use super::db::{Db, DbError};
use super::sums::Sums;
use super::{keys, rules};
use crate::config::BudgetConfig;

/// Keys and budgets at one version.
pub(crate) struct Snapshot {
    pub(crate) version: u64,
    pub(crate) keys: Vec<VirtualKey>,
    pub(crate) budgets: Vec<BudgetConfig>,
    /// What is counted, where services share it.
    pub(crate) counted: Counted,
    documents: Vec<(String, String)>,
    users: Vec<(String, i64)>,
}

impl Snapshot {
    /// Reads one.
    pub(crate) fn take(db: &mut Db) -> Result<Snapshot, DbError> {
        db.transaction(|step| {
            let counted = match step {
                Db::Sqlite(_) => Counted::default(),
                Db::Postgres(_) => {
                    step.batch("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
                    Counted::read(step)?
                }
            };
            Ok(Snapshot {
                version: super::keys_version(step)?,
                keys: keys::all(step)?,
                budgets: rules::all(step)?,
                counted,
                documents: rules::documents(step)?,
                users: rules::users(step)?,
            })
        })
    }

    /// Puts it in place of what another database has.
    pub(crate) fn put(&self, db: &mut Db) -> Result<(), DbError> {
        db.transaction(|step| {
            step.batch(
                "DELETE FROM virtual_keys; DELETE FROM user_budgets; DELETE FROM budget_rules",
            )?;
            for key in &self.keys {
                keys::write(step, key)?;
            }
            for (user, limit_nano) in &self.users {
                let sql = "INSERT INTO user_budgets (user_id, monthly_limit_usd) \
                           VALUES ($1, $2 / 1000000000.0)";
                step.execute(sql, &[user.into(), (*limit_nano).into()])?;
            }
            for (identity, document) in &self.documents {
                rules::put(step, identity, document)?;
            }
            let sql = "UPDATE meta SET value = $1 WHERE name = 'keys_version'";
            step.execute(sql, &[self.version.into()])?;
            self.counted.put(step)
        })
    }
}

/// Puts sums in place of those that another database has.
pub(crate) fn put_spend(
    db: &mut Db,
    spend: &HashMap<Scope, Vec<(u64, NanoUsd)>>,
) -> Result<(), DbError> {
    let mut sums = Sums::default();
    for (scope, days) in spend {
        for (day_ms, cost_nano) in days {
            sums.spend(std::slice::from_ref(scope), *day_ms, *cost_nano);
        }
    }
    db.transaction(|step| {
        step.execute("DELETE FROM spend_daily", &[])?;
        sums.write(step)
    })
}
