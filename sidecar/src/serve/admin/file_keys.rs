//! Virtual keys that `weir.yaml` names: written to the store at start.

use engine::cache_key::sha256_hex;

use super::super::keys::VirtualKey;
use super::super::store::{self, StoreError, db::Db, seal::Sealer};
use super::Interface;
use super::virtual_keys::{mask, new_key, random_text};
use crate::clock;
use crate::config::{Config, VirtualKeyConfig};

/// Ids of new keys of the file.
const ID_CHARS: usize = 20;

/// Writes what has changed, in a transaction of the caller. A key whose entry is gone is disabled, and enabled again when the entry
/// comes back; a key that was revoked or disabled through the interface stays so until its entry
/// names another key.
pub(in super::super) fn write(
    config: &Config,
    db: &mut Db,
    sealer: &Sealer,
) -> Result<(), StoreError> {
    let known = store::keys::all(db)?;
    let mut kept: Vec<String> = Vec::new();
    for entry in &config.virtual_keys {
        let hash = sha256_hex(entry.key.expose().as_bytes());
        let by_name = |key: &&VirtualKey| key.from_file && key.name == entry.name;
        let old = known
            .iter()
            .find(|key| key.hash == hash)
            .or_else(|| known.iter().find(by_name));
        let id = match &config.store.database {
            None => random_text(ID_CHARS)?,
            Some(_) => same_everywhere(&entry.name),
        };
        let key = wanted(entry, old, (id, &hash), sealer)?;
        kept.push(key.id.clone());
        if old != Some(&key) {
            store::keys::write(db, &key)?;
        }
    }
    for gone in known
        .iter()
        .filter(|key| key.from_file && !kept.contains(&key.id))
    {
        let key = VirtualKey {
            is_active: false,
            from_file: false,
            ..gone.clone()
        };
        store::keys::write(db, &key)?;
    }
    Ok(())
}

/// A service that starts while the database is away has to give a key of the file the id that the others
/// give it.
fn same_everywhere(name: &str) -> String {
    let hash = sha256_hex(format!("key of the file: {name}").as_bytes());
    hash.chars().take(ID_CHARS).collect()
}

fn wanted(
    entry: &VirtualKeyConfig,
    old: Option<&VirtualKey>,
    (id, hash): (String, &str),
    sealer: &Sealer,
) -> Result<VirtualKey, StoreError> {
    let secret = entry.key.expose();
    let mut key = match old {
        Some(old) => old.clone(),
        None => new_key(format!("key_{id}"), secret, clock::now_ms()),
    };
    if key.hash != hash {
        key.revoked_at_ms = None;
        key.is_active = true;
    } else if !key.from_file && key.revoked_at_ms.is_none() {
        key.is_active = true;
    }
    hash.clone_into(&mut key.hash);
    key.masked = mask(secret);
    key.name.clone_from(&entry.name);
    key.provider.clone_from(&entry.provider);
    key.rate_limit = entry.rate_limit;
    key.limits.clone_from(&entry.limits);
    key.budget_limit_nano = entry.budget_limit_nano;
    key.period = entry.budget_period;
    key.membership.clone_from(&entry.membership);
    key.models.clone_from(&entry.models);
    key.guardrails.clone_from(&entry.guardrails);
    key.config.clone_from(&entry.config);
    key.from_file = true;
    let real = entry.real_api_key.as_ref().map(|real| real.expose());
    let sealed_now = key
        .sealed
        .as_deref()
        .map(|sealed| sealer.unseal(&key.id, sealed))
        .transpose()?;
    if sealed_now.as_deref() != real {
        key.sealed = real.map(|real| sealer.seal(&key.id, real)).transpose()?;
    }
    Ok(key)
}

impl Interface {
    /// A vault has another secret for this key of the file. What else an operator has changed of the
    /// key stays.
    pub(in super::super) async fn rotate_file_key(
        &self,
        entry: &VirtualKeyConfig,
    ) -> Result<(), String> {
        let _alone = self.changing.lock().await;
        let of_entry = |key: &VirtualKey| key.from_file && key.name == entry.name;
        let old = {
            let core = self.shared.core();
            let mut all = core.keys.all().map(|entry| &entry.key);
            all.find(|key| of_entry(key))
                .map(|key| VirtualKey::clone(key))
        };
        let Some(mut key) = old.filter(|key| key.revoked_at_ms.is_none()) else {
            return Ok(());
        };
        let secret = entry.key.expose();
        key.hash = sha256_hex(secret.as_bytes());
        key.masked = mask(secret);
        let mut real = self.real_api_key(&key).map_err(|refusal| refusal.message)?;
        // The new one is of the provider that the file names.
        if let Some(new) = &entry.real_api_key
            && key.provider == entry.provider
            && real.as_deref() != Some(new.expose())
        {
            real = Some(new.expose().to_owned());
            self.seal(&mut key, real.as_deref())
                .map_err(|refusal| refusal.message)?;
            key.rotated_at_ms = Some(clock::now_ms());
        }
        self.save(&key, real, "virtual key has another secret")
            .await
            .map_err(|refusal| refusal.message)
    }
}
