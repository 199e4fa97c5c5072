//! Rows of `budget_rules`: budgets that were set while the service ran.

use rusqlite::{Connection, params};

use crate::config::{self, BudgetConfig};

/// Every budget of the table. One that this version cannot read is passed over.
pub(crate) fn all(db: &Connection) -> rusqlite::Result<Vec<BudgetConfig>> {
    let mut statement = db.prepare("SELECT document FROM budget_rules ORDER BY identity")?;
    let documents = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut found = Vec::new();
    for document in documents {
        found.extend(config::parse_budgets(&document?).unwrap_or_default());
    }
    Ok(found)
}

/// Sets one, in place of another of its identity.
pub(crate) fn put(db: &Connection, identity: &str, document: &str) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO budget_rules VALUES (?, ?)";
    db.execute(sql, params![identity, document])?;
    Ok(())
}

/// Removes one. Says whether it was there.
pub(crate) fn remove(db: &Connection, identity: &str) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM budget_rules WHERE identity = ?";
    Ok(db.execute(sql, [identity])? == 1)
}
