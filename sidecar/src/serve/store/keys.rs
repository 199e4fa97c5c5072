//! Rows of `virtual_keys`.

use engine::period::Period;
use engine::wire::PiiAction;
use rusqlite::{Connection, Row, named_params};
use serde::{Deserialize, Serialize};

use super::super::keys::VirtualKey;
use super::signed;
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
pub(crate) fn all(db: &Connection) -> rusqlite::Result<Vec<VirtualKey>> {
    let mut statement = db.prepare(&format!("SELECT {COLUMNS} FROM virtual_keys"))?;
    let rows = statement.query_map([], read)?;
    rows.collect()
}

/// Writes a key, new or changed, and counts the change. The new version of all keys is returned
/// once both are durable.
pub(crate) fn put(db: &mut Connection, key: &VirtualKey) -> rusqlite::Result<u64> {
    let step = db.transaction()?;
    step.execute(
        &format!(
            "INSERT OR REPLACE INTO virtual_keys ({COLUMNS}) VALUES (:id, :masked, :hash, :name, \
             :provider, :sealed, :rate_limit, :budget, :period, :active, :revoked, :expires, \
             :created, :rotated, :models, :pii, :config, :metadata, :environment, :tenant, :file, \
             :membership)"
        ),
        named_params! {
            ":id": key.id,
            ":masked": key.masked,
            ":hash": key.hash,
            ":name": key.name,
            ":provider": key.provider,
            ":sealed": key.sealed,
            ":rate_limit": key.rate_limit.map(signed),
            ":budget": key.budget_limit_nano,
            ":period": key.period.name(),
            ":active": key.is_active,
            ":revoked": key.revoked_at_ms.map(signed),
            ":expires": key.expires_at_ms.map(signed),
            ":created": signed(key.created_at_ms),
            ":rotated": key.rotated_at_ms.map(signed),
            ":models": serde_json::to_string(&key.models).unwrap_or_default(),
            ":pii": key.pii_input.map(pii_name),
            ":config": key.config,
            ":metadata": key.metadata,
            ":environment": key.environment,
            ":tenant": key.membership.tenant,
            ":file": key.from_file,
            ":membership": serde_json::to_string(&Terms {
                membership: key.membership.clone(),
                limits: key.limits.clone(),
            })
            .unwrap_or_default(),
        },
    )?;
    let version = super::next_keys_version(&step)?;
    step.commit()?;
    Ok(version)
}

/// Name of a rule in the admin interface.
pub(crate) fn pii_name(action: PiiAction) -> &'static str {
    match action {
        PiiAction::Flag => "flag",
        PiiAction::Redact => "redact",
        PiiAction::Deny => "deny",
    }
}

/// The rule called `name`.
pub(crate) fn pii_action(name: &str) -> Option<PiiAction> {
    [PiiAction::Flag, PiiAction::Redact, PiiAction::Deny]
        .into_iter()
        .find(|action| pii_name(*action) == name)
}

fn read(row: &Row<'_>) -> rusqlite::Result<VirtualKey> {
    let period: String = row.get("budget_period")?;
    let models: String = row.get("models")?;
    let pii: Option<String> = row.get("pii_input")?;
    let terms: String = row.get("membership")?;
    let terms: Terms = serde_json::from_str(&terms).unwrap_or_default();
    Ok(VirtualKey {
        id: row.get("id")?,
        masked: row.get("virtual_key")?,
        hash: row.get("key_hash")?,
        name: row.get("name")?,
        provider: row.get("provider")?,
        sealed: row.get("real_api_key")?,
        rate_limit: unsigned(row.get("rate_limit")?),
        budget_limit_nano: row.get("budget_limit_nano")?,
        period: Period::from_name(&period).unwrap_or_default(),
        is_active: row.get("is_active")?,
        revoked_at_ms: unsigned(row.get("revoked_at_ms")?),
        expires_at_ms: unsigned(row.get("expires_at_ms")?),
        created_at_ms: unsigned(row.get("created_at_ms")?).unwrap_or_default(),
        rotated_at_ms: unsigned(row.get("rotated_at_ms")?),
        models: serde_json::from_str(&models).unwrap_or_default(),
        pii_input: pii.as_deref().and_then(pii_action),
        config: row.get("config")?,
        metadata: row.get("metadata")?,
        environment: row.get("environment")?,
        membership: Membership {
            tenant: row.get("tenant")?,
            ..terms.membership
        },
        limits: terms.limits,
        from_file: row.get("from_file")?,
    })
}

fn unsigned(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok())
}
