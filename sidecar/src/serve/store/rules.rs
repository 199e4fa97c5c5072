//! Rows of `budget_rules`: budgets that were set while the service ran.

use super::db::{Db, DbError};
use crate::config::{self, BudgetConfig};

/// Every budget of the table. One that this version cannot read is passed over.
pub(crate) fn all(db: &mut Db) -> Result<Vec<BudgetConfig>, DbError> {
    let sql = "SELECT document FROM budget_rules ORDER BY identity";
    let documents: Vec<String> = db.query(sql, &[], |row| row.take())?;
    let read = |document: &String| config::parse_budgets(document).unwrap_or_default();
    Ok(documents.iter().flat_map(read).collect())
}

/// Sets one, in place of another of its identity.
pub(crate) fn put(db: &mut Db, identity: &str, document: &str) -> Result<(), DbError> {
    let sql = "INSERT INTO budget_rules (identity, document) VALUES ($1, $2) \
               ON CONFLICT (identity) DO UPDATE SET document = excluded.document";
    db.execute(sql, &[identity.into(), document.into()])?;
    Ok(())
}

/// Removes one. Says whether it was there.
pub(crate) fn remove(db: &mut Db, identity: &str) -> Result<bool, DbError> {
    let sql = "DELETE FROM budget_rules WHERE identity = $1";
    Ok(db.execute(sql, &[identity.into()])? == 1)
}
