//! Keys and budgets that were changed in a database come into force.

use std::collections::HashSet;

use super::membership::Rules;
use super::state::{Core, Shared, Spent};
use super::store;
use super::store::counted::{Counting, Shares};
use super::store::db::{Db, DbError};
use super::store::mirror::Snapshot;
use super::store::seal::Sealer;

/// Puts in force what the local store says, with what was spent before. Runs where records are written,
/// so that none is missed in between.
pub(super) fn of_own(
    shared: &Shared,
    file: &Rules,
    sealer: &Sealer,
    db: &mut Db,
) -> Result<(), DbError> {
    let snapshot = Snapshot::take(db)?;
    take_over(shared, &snapshot, file, sealer);
    if rebase(db, shared)? {
        let sums = store::spend::all(db)?;
        shared.core().recount(sums);
    }
    Ok(())
}

/// Has everything counted in a shared database that budgets here name.
pub(super) fn share(db: &mut Db, shared: &Shared, insists: bool) -> Result<Shares, DbError> {
    let (counted, rules, calendar, basis) = {
        let core = shared.core();
        let calendar = core.ledger.calendar().clone();
        let basis = core.calendar_basis();
        (core.counted.clone(), core.rules.clone(), calendar, basis)
    };
    let counting = Counting {
        counted: &counted,
        rules: &rules,
        calendar: &calendar,
        basis,
        insists,
    };
    let scopes = |spent: &Spent<'_>| shared.core().scopes(spent);
    db.unhurried(|db| counting.share(db, scopes))
}

/// Makes the sums of a file anew where they stand for other scopes than are counted now. Says whether it
/// did.
fn rebase(db: &mut Db, shared: &Shared) -> Result<bool, DbError> {
    let (basis, calendar) = {
        let core = shared.core();
        (core.basis(), core.ledger.calendar().clone())
    };
    let scopes = |spent: &Spent<'_>| shared.core().scopes(spent);
    db.unhurried(|db| store::spend::rebase(db, basis, &calendar, scopes))
}

/// Keys and budgets of `snapshot` from now on.
pub(super) fn take_over(shared: &Shared, snapshot: &Snapshot, rules: &Rules, sealer: &Sealer) {
    let mut core = shared.core();
    let Core { keys, ledger, .. } = &mut *core;
    for key in &snapshot.keys {
        if keys.by_id(&key.id).is_some_and(|known| *known.key == *key) {
            continue;
        }
        let opened = key
            .sealed
            .as_deref()
            .map(|sealed| sealer.unseal(&key.id, sealed));
        // Without the provider's key its requests are refused by the provider.
        let opened = opened.and_then(Result::ok);
        keys.put(key.clone(), opened.as_deref(), ledger);
    }
    let known: HashSet<&str> = snapshot.keys.iter().map(|key| key.id.as_str()).collect();
    keys.retain(|id| known.contains(id));
    core.counted.clone_from(&snapshot.counted);
    if let Some(replica) = &shared.replica {
        replica.counts(core.counted.version);
    }
    // These types have string keys and finite numbers only: writing them cannot fail.
    let _written = core.set_rules(rules.replaced_by(&snapshot.budgets));
    core.keys_version = if snapshot.version >= core.keys_version {
        snapshot.version
    } else {
        // The database was restored from a copy.
        core.keys_version.saturating_add(1)
    };
}
