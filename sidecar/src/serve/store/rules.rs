//! Budgets that were set while the service ran: rows of `budget_rules`, which the admin interface writes,
//! and of `user_budgets`, which is there for whoever writes SQL. Of both for one user the later holds.

use engine::ledger::{Budget, Thresholds};
use engine::period::Period;

use super::db::{Db, DbError, Row};
use crate::config::{self, BudgetConfig, BudgetScope};

/// Rows of `user_budgets` that count, the first by name.
const USERS_MAX: u64 = 10_000;

/// Every budget. One that this version cannot read is passed over.
pub(crate) fn all(db: &mut Db) -> Result<Vec<BudgetConfig>, DbError> {
    let documents = documents(db)?;
    let read =
        |(_, document): &(String, String)| config::parse_budgets(document).unwrap_or_default();
    let mut found: Vec<BudgetConfig> = documents.iter().flat_map(read).collect();
    let users = users(db)?;
    found.extend(
        users
            .into_iter()
            .map(|(user, limit_nano)| of_user(user, limit_nano)),
    );
    Ok(found)
}

/// Identities and documents of the admin interface's.
pub(super) fn documents(db: &mut Db) -> Result<Vec<(String, String)>, DbError> {
    let sql = "SELECT identity, document FROM budget_rules ORDER BY identity";
    db.query(sql, &[], |row: &mut Row| Ok((row.take()?, row.take()?)))
}

/// Users and what they may spend in a month, in nano-dollars.
pub(super) fn users(db: &mut Db) -> Result<Vec<(String, i64)>, DbError> {
    let sql = "SELECT user_id, CAST(ROUND(monthly_limit_usd * 1000000000) AS BIGINT) \
               FROM user_budgets ORDER BY user_id LIMIT $1";
    db.query(sql, &[USERS_MAX.into()], |row: &mut Row| {
        Ok((row.take()?, row.take()?))
    })
}

fn of_user(user: String, limit_nano: i64) -> BudgetConfig {
    BudgetConfig {
        scope: BudgetScope::User,
        name: Some(user),
        tier: None,
        teams: Vec::new(),
        budget: Budget {
            limit_nano,
            period: Period::Monthly,
            hard: true,
            thresholds: Thresholds::default(),
        },
    }
}

/// Sets one, in place of another of its identity.
pub(crate) fn put(db: &mut Db, identity: &str, document: &str) -> Result<(), DbError> {
    forget_user(db, identity)?;
    let sql = "INSERT INTO budget_rules (identity, document) VALUES ($1, $2) \
               ON CONFLICT (identity) DO UPDATE SET document = excluded.document";
    db.execute(sql, &[identity.into(), document.into()])?;
    Ok(())
}

/// Removes one. Says whether it was there.
pub(crate) fn remove(db: &mut Db, identity: &str) -> Result<bool, DbError> {
    let user = forget_user(db, identity)?;
    let sql = "DELETE FROM budget_rules WHERE identity = $1";
    Ok(db.execute(sql, &[identity.into()])? == 1 || user)
}

fn forget_user(db: &mut Db, identity: &str) -> Result<bool, DbError> {
    let user = identity.strip_prefix("user\n");
    let Some(user) = user.and_then(|rest| rest.strip_suffix("\n\nmonthly")) else {
        return Ok(false);
    };
    let sql = "DELETE FROM user_budgets WHERE user_id = $1";
    Ok(db.execute(sql, &[user.into()])? == 1)
}
