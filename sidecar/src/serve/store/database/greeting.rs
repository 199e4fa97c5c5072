//! What a service says to a database that it meets.

use super::*;

/// What a service says to a database that it meets.
#[derive(Clone)]
pub(crate) struct Greeting {
    pub(crate) target: Target,
    pub(crate) config: Config,
    pub(crate) sealer: Arc<Sealer>,
}

impl Greeting {
    /// Connects, brings tables up to date, and writes what `weir.yaml` names.
    ///
    /// # Errors
    /// The database cannot be reached or is not ours: see [`is_fatal`].
    pub(crate) fn meet(&self) -> Result<Db, StoreError> {
        let mut db = Db::server(&self.target)?;
        schema::migrate(&mut db)?;
        db.transaction(|step| {
            step.batch(&format!("SELECT pg_advisory_xact_lock({})", schema::LOCK))?;
            self.check_seal(step)?;
            catalogue::put(step, &self.config)?;
            admin::write_file_keys(&self.config, step, &self.sealer)
        })?;
        Ok(db)
    }

    /// Provider keys that one service seals have to be opened by the others.
    fn check_seal(&self, step: &mut Db) -> Result<(), StoreError> {
        let ours = self.sealer.fingerprint();
        let sql =
            "INSERT INTO meta (name, value) VALUES ('seal', $1) ON CONFLICT (name) DO NOTHING";
        step.execute(sql, &[ours.into()])?;
        let sql = "SELECT value FROM meta WHERE name = 'seal'";
        let known: Option<i64> = step.first(sql, &[], |row| row.take())?;
        if known == Some(ours) {
            return Ok(());
        }
        Err(StoreError::Secret(
            "is not the one that this database's provider keys are encrypted with: all services need \
             the same file, or the same `store.secret_key`",
        ))
    }
}

/// Whether a service must not start with this database, rather than without it for now.
pub(crate) fn is_fatal(error: &StoreError) -> bool {
    matches!(error, StoreError::TooNew(..) | StoreError::Secret(_))
}
