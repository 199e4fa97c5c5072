//! Rows of `virtual_keys`.

use engine::guard::Guardrails;
use engine::period::Period;
use engine::wire::PiiAction;
use serde::{Deserialize, Serialize};

use super::super::keys::VirtualKey;
use super::db::{Db, DbError, Row};
use crate::config::{KeyLimits, Membership};

const COLUMNS: &str = "id, virtual_key, key_hash, name, provider, real_api_key, rate_limit, \
    budget_limit_nano, budget_period, is_active, revoked_at_ms, expires_at_ms, created_at_ms, \
    rotated_at_ms, models, pii_input, config, metadata, environment, tenant, from_file, membership";

/// The column `membership`.
#[derive(Default, Serialize, Deserialize)]
struct Terms {
    #[serde(flatten)]
    membership: Membership,
    #[serde(flatten)]
    limits: KeyLimits,
}

/// Every key.
pub(crate) fn all(db: &mut Db) -> Result<Vec<VirtualKey>, DbError> {
    db.query(&format!("SELECT {COLUMNS} FROM virtual_keys"), &[], read)
}

/// Writes a key, new or changed; the database counts the change. The new version of all keys is
/// returned once both are durable.
pub(crate) fn put(db: &mut Db, key: &VirtualKey) -> Result<u64, DbError> {
    db.transaction(|step| {
        write(step, key)?;
        super::keys_version(step)
    })
}

/// Writes a key without a transaction of its own.
pub(crate) fn write(step: &mut Db, key: &VirtualKey) -> Result<(), DbError> {
    let terms = Terms {
        membership: key.membership.clone(),
        limits: key.limits.clone(),
    };
    let terms = serde_json::to_string(&terms).unwrap_or_default();
    let models = serde_json::to_string(&key.models).unwrap_or_default();
    let values = [
        (&key.id).into(),
        (&key.masked).into(),
        (&key.hash).into(),
        (&key.name).into(),
        key.provider.as_ref().into(),
        key.sealed.as_ref().into(),
        key.rate_limit.into(),
        key.budget_limit_nano.into(),
        key.period.name().into(),
        key.is_active.into(),
        key.revoked_at_ms.into(),
        key.expires_at_ms.into(),
        key.created_at_ms.into(),
        key.rotated_at_ms.into(),
        models.into(),
        guardrails_column(&key.guardrails).into(),
        key.config.as_ref().into(),
        key.metadata.as_ref().into(),
        key.environment.as_ref().into(),
        (&key.membership.tenant).into(),
        key.from_file.into(),
        terms.into(),
    ];
    let set: Vec<String> = COLUMNS
        .split(", ")
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    let places: Vec<String> = (1..=values.len())
        .map(|place| format!("${place}"))
        .collect();
    let sql = format!(
        "INSERT INTO virtual_keys ({COLUMNS}) VALUES ({}) ON CONFLICT (id) DO UPDATE SET {}",
        places.join(", "),
        set.join(", ")
    );
    step.execute(&sql, &values)?;
    Ok(())
}

/// The column `pii_input`: the name of an action, which is meant for all personal data in requests,
/// or guardrails as JSON.
fn guardrails(column: &str) -> Guardrails {
    match PiiAction::of_name(column) {
        Some(action) => Guardrails::input(action),
        None => serde_json::from_str(column).unwrap_or_else(|_| Guardrails::input(PiiAction::Deny)),
    }
}

fn guardrails_column(rules: &Guardrails) -> Option<String> {
    (!rules.is_empty())
        .then(|| serde_json::to_string(rules).ok())
        .flatten()
}

fn read(row: &mut Row) -> Result<VirtualKey, DbError> {
    let mut key = VirtualKey {
        id: row.take()?,
        masked: row.take()?,
        hash: row.take()?,
        name: row.take()?,
        provider: row.take()?,
        sealed: row.take()?,
        rate_limit: row.take()?,
        budget_limit_nano: row.take()?,
        period: Period::from_name(&row.take::<String>()?).unwrap_or_default(),
        is_active: row.take()?,
        revoked_at_ms: row.take()?,
        expires_at_ms: row.take()?,
        created_at_ms: row.take()?,
        rotated_at_ms: row.take()?,
        models: serde_json::from_str(&row.take::<String>()?).unwrap_or_default(),
        guardrails: row
            .take::<Option<String>>()?
            .as_deref()
            .map(guardrails)
            .unwrap_or_default(),
        config: row.take()?,
        metadata: row.take()?,
        environment: row.take()?,
        membership: Membership::default(),
        limits: KeyLimits::default(),
        from_file: false,
    };
    let tenant = row.take()?;
    key.from_file = row.take()?;
    let terms: Terms = serde_json::from_str(&row.take::<String>()?).unwrap_or_default();
    key.membership = Membership {
        tenant,
        ..terms.membership
    };
    key.limits = terms.limits;
    Ok(key)
}
