//! Secrets of vaults while the service runs: asked for again when their time is over. A new value
//! reaches filters as a new policy; a vault that does not answer changes nothing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::admin::Interface;
use super::log::{Level, Log};
use super::state::Shared;
use crate::config::{Config, Purpose, VaultReference};
use crate::vault::{Access, Vaults};

/// What the service itself needs.
pub(super) const PURPOSES: [Purpose; 2] = [Purpose::Service, Purpose::Administration];
/// How long after a failure a vault is asked again, at most.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Everything that a change of a secret touches.
pub(super) struct Rotation {
    pub(super) vaults: Vaults,
    /// With the values that are in use.
    pub(super) config: Mutex<Config>,
    pub(super) shared: Arc<Shared>,
    pub(super) interface: Arc<Interface>,
}

/// The line of an access in the audit log.
pub(super) fn audit(log: Log, access: &Access) {
    let level = match access.result {
        Ok(()) => Level::Info,
        Err(_) => Level::Warn,
    };
    log.line(level, "vault access", access.fields());
}

/// Starts a task for each vault that something refers to; dropping them ends them.
pub(super) async fn start(rotation: Rotation) -> JoinSet<()> {
    let rotation = Arc::new(rotation);
    let (references, vaults) = {
        let mut config = rotation.config.lock().await;
        (config.references(&PURPOSES), config.vaults.clone())
    };
    let mut tasks = JoinSet::new();
    for vault in vaults {
        let of_it = |reference: &&VaultReference| reference.vault == vault.name;
        let references: Vec<VaultReference> = references.iter().filter(of_it).cloned().collect();
        if !references.is_empty() {
            let rotation = Arc::clone(&rotation);
            tasks.spawn(async move { rotation.watch(vault.ttl, &references).await });
        }
    }
    tasks
}

impl Rotation {
    async fn watch(&self, ttl: Duration, references: &[VaultReference]) {
        let mut pause = ttl;
        loop {
            tokio::time::sleep(pause).await;
            let fresh = self.refresh(references).await;
            pause = if fresh { ttl } else { ttl.min(RETRY_AFTER_MAX) };
        }
    }

    /// Whether everything that was asked for is in use now.
    async fn refresh(&self, references: &[VaultReference]) -> bool {
        let reading = self.vaults.read(references).await;
        let log = self.shared.log;
        for access in &reading.accesses {
            audit(log, access);
            self.shared.metrics().vault_access(access);
        }
        for problem in &reading.problems {
            let fields = json!({"problem": problem});
            log.line(
                Level::Warn,
                "a secret was not refreshed, the last one stays in use",
                fields,
            );
        }
        let mut config = self.config.lock().await;
        let mut next = config.clone();
        let changed = next.fill(&|reference| reading.value(reference));
        if changed.is_empty() {
            return reading.complete();
        }
        match self.adopt(&config, &next).await {
            Ok(()) => {
                *config = next;
                log.line(Level::Info, "secrets changed", json!({"members": changed}));
                reading.complete()
            }
            Err(why) => {
                let fields = json!({"members": changed, "problem": why});
                log.line(Level::Error, "changed secrets could not be used", fields);
                false
            }
        }
    }

    /// Puts the secrets of `next` to use. After an error some are; the next refresh repeats it.
    async fn adopt(&self, now: &Config, next: &Config) -> Result<(), String> {
        next.check_filled()?;
        for (old, new) in now.virtual_keys.iter().zip(&next.virtual_keys) {
            if old.key != new.key || old.real_api_key != new.real_api_key {
                self.interface.rotate_file_key(new).await?;
            }
        }
        self.interface.set_token(next.admin_token.as_ref());
        let adopted = self.shared.core().set_policy(next.policy());
        adopted.map_err(|error| error.to_string())
    }
}
