//! `/admin/virtual-keys`: make, show, change, rotate, revoke.

use engine::cache_key::sha256_hex;
use engine::guard::{Detectors, Guardrails};
use engine::period::Period;
use engine::reply::Code;
use engine::route::RouteConfig;
use hyper::StatusCode;
use serde_json::json;

use super::super::keys::VirtualKey;
use super::super::log::Level;
use super::super::state::Core;
use super::super::store::{self, seal};
use super::members::{Members, wrong_rule};
use super::{Interface, Refusal, Reply};
use crate::clock;
use crate::config::{KeyLimits, Membership};

mod shown;

/// Random characters of a virtual key: 238 bits.
const KEY_CHARS: usize = 40;
/// Random characters of a public id.
const ID_CHARS: usize = 20;
/// Keys at one time, revoked ones included.
const KEYS_MAX: usize = 100_000;

impl Interface {
    /// Finds a key by id, by its masked form when only one has it, or by the whole key.
    fn find(&self, name: &str) -> Result<VirtualKey, Refusal> {
        let core = self.shared.core();
        let keys = &core.keys;
        let mut masked = keys.all().filter(|entry| entry.key.masked == name);
        let by_mask = match (masked.next(), masked.next()) {
            (Some(entry), None) => Some(entry),
            _ => None,
        };
        let found = keys
            .by_id(name)
            .or_else(|| keys.by_hash(&sha256_hex(name.as_bytes())))
            .or(by_mask);
        let found = found.map(|entry| VirtualKey::clone(&entry.key));
        found.ok_or_else(|| Refusal::not_found("No such virtual key"))
    }

    /// Makes a key durable, then known.
    pub(super) async fn save(
        &self,
        key: &VirtualKey,
        real_api_key: Option<String>,
        what: &str,
    ) -> Result<(), Refusal> {
        let unavailable = || Refusal::new(Code::StateUnavailable);
        let row = key.clone();
        let saved = self
            .registry
            .change(move |db| store::keys::put(db, &row))
            .await;
        match saved.map_err(|_| unavailable())? {
            Ok(version) => {
                let mut core = self.shared.core();
                let Core {
                    keys,
                    ledger,
                    keys_version,
                    ..
                } = &mut *core;
                keys.put(key.clone(), real_api_key.as_deref(), ledger);
                // A later change may have been adopted before this one.
                *keys_version = version.max(*keys_version);
            }
            Err(error) => {
                let fields = json!({"error": error.to_string()});
                self.shared
                    .log
                    .line(Level::Error, "a virtual key could not be written", fields);
                return Err(unavailable());
            }
        }
        self.shared
            .log
            .line(Level::Info, what, json!({"key": key.id, "name": key.name}));
        Ok(())
    }

    /// The provider's key that belongs to `key` now.
    pub(super) fn real_api_key(&self, key: &VirtualKey) -> Result<Option<String>, Refusal> {
        let opened = key
            .sealed
            .as_deref()
            .map(|sealed| self.sealer.unseal(&key.id, sealed));
        opened
            .transpose()
            .map_err(|_| Refusal::new(Code::StateUnavailable))
    }

    /// A provider that nobody knows is a slip of the pen.
    fn check_provider(&self, key: &VirtualKey) -> Result<(), Refusal> {
        match &key.provider {
            Some(name) if !self.providers.contains(name) && !self.catalogued.contains(name) => {
                let known = self.providers.join(", ");
                Err(Refusal::member(
                    "provider",
                    format!("no provider `{name}`; there are {known}"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Detectors and judges that nobody knows are too: each request of the key would be refused.
    fn check_guardrails(&self, key: &VirtualKey) -> Result<(), Refusal> {
        let (detectors, judges) = self.shared.core().policy.guard_names();
        let detectors = Detectors::compile(&detectors).unwrap_or_default();
        let check = |rules: &Guardrails| {
            rules.check_types(&detectors)?;
            rules.check_judges(judges.iter())
        };
        check(&key.guardrails).map_err(|error| wrong_rule("guardrails", &error))?;
        let config = key.config.as_deref().map(RouteConfig::parse);
        match config {
            Some(Ok(config)) => {
                check(&config.guardrails).map_err(|error| wrong_rule("config.guardrails", &error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn seal(
        &self,
        key: &mut VirtualKey,
        real_api_key: Option<&str>,
    ) -> Result<(), Refusal> {
        if real_api_key.is_some() && key.provider.is_none() {
            return Err(Refusal::member(
                "provider",
                "is required: whose key real_api_key is",
            ));
        }
        let sealed = real_api_key
            .map(|real| self.sealer.seal(&key.id, real))
            .transpose();
        key.sealed = sealed.map_err(|_| Refusal::new(Code::StateUnavailable))?;
        Ok(())
    }
}

/// `POST /admin/virtual-keys`
pub(super) async fn create(interface: &Interface, body: &[u8]) -> Reply {
    let unavailable = |_| Refusal::new(Code::StateUnavailable);
    let now_ms = clock::now_ms();
    let secret = format!("vk-{}", random_text(KEY_CHARS).map_err(unavailable)?);
    let id = format!("key_{}", random_text(ID_CHARS).map_err(unavailable)?);
    let mut key = new_key(id, &secret, now_ms);
    let members = Members::parse(body)?;
    let extra = members.apply(&mut key, now_ms)?;
    if key.name.is_empty() {
        return Err(Refusal::member("name", "is required"));
    }
    interface.check_provider(&key)?;
    interface.check_guardrails(&key)?;
    let real_api_key = extra.real_api_key.flatten();
    interface.seal(&mut key, real_api_key.as_deref())?;
    let _alone = interface.changing.lock().await;
    if interface.shared.core().keys.all().count() >= KEYS_MAX {
        return Err(Refusal::member(
            "virtual_keys",
            format!("there are {KEYS_MAX} already"),
        ));
    }
    interface
        .save(&key, real_api_key, "virtual key created")
        .await?;
    let mut core = interface.shared.core();
    super::json(StatusCode::OK, &interface.show(&mut core, &key, &secret))
}

/// `GET /admin/virtual-keys`
pub(super) fn list(interface: &Interface) -> Reply {
    let mut keys: Vec<_> = interface
        .shared
        .core()
        .keys
        .all()
        .map(|entry| entry.key.clone())
        .collect();
    keys.sort_by(|a, b| (a.created_at_ms, &a.id).cmp(&(b.created_at_ms, &b.id)));
    // The lock is taken for each key alone: a long list must not hold up admissions.
    let show = |key| interface.show(&mut interface.shared.core(), key, &key.masked);
    let data: Vec<_> = keys.iter().map(|key| show(key)).collect();
    super::list(&data)
}

/// `GET /admin/virtual-keys/{key}`
pub(super) fn one(interface: &Interface, name: &str) -> Reply {
    let key = interface.find(name)?;
    let mut core = interface.shared.core();
    super::json(
        StatusCode::OK,
        &interface.show(&mut core, &key, &key.masked),
    )
}

/// `PATCH /admin/virtual-keys/{key}`
pub(super) async fn change(interface: &Interface, name: &str, body: &[u8]) -> Reply {
    let _alone = interface.changing.lock().await;
    let mut key = interface.find(name)?;
    let old_provider = key.provider.clone();
    let extra = Members::parse(body)?.apply(&mut key, clock::now_ms())?;
    if key.provider != old_provider {
        interface.check_provider(&key)?;
    }
    interface.check_guardrails(&key)?;
    let real_api_key = match extra.real_api_key {
        Some(real) => {
            interface.seal(&mut key, real.as_deref())?;
            real
        }
        None => interface.real_api_key(&key)?,
    };
    if real_api_key.is_some() && key.provider.is_none() {
        return Err(Refusal::member(
            "provider",
            "is required: whose key real_api_key is",
        ));
    }
    interface
        .save(&key, real_api_key, "virtual key changed")
        .await?;
    let mut core = interface.shared.core();
    super::json(
        StatusCode::OK,
        &interface.show(&mut core, &key, &key.masked),
    )
}

/// `PUT /admin/virtual-keys/{key}/rotate`: a new provider key behind the same virtual key.
pub(super) async fn rotate(interface: &Interface, name: &str, body: &[u8]) -> Reply {
    let real = Members::parse(body)?.new_api_key()?;
    let _alone = interface.changing.lock().await;
    let mut key = interface.find(name)?;
    interface.seal(&mut key, Some(&real))?;
    key.rotated_at_ms = Some(clock::now_ms());
    interface
        .save(&key, Some(real), "provider key rotated")
        .await?;
    let mut core = interface.shared.core();
    super::json(
        StatusCode::OK,
        &interface.show(&mut core, &key, &key.masked),
    )
}

/// `DELETE /admin/virtual-keys/{key}`: the key is refused from now on; its spend stays.
pub(super) async fn revoke(interface: &Interface, name: &str) -> Reply {
    let _alone = interface.changing.lock().await;
    let mut key = interface.find(name)?;
    if key.revoked_at_ms.is_none() {
        key.revoked_at_ms = Some(clock::now_ms());
        key.is_active = false;
        key.sealed = None;
        interface.save(&key, None, "virtual key revoked").await?;
    }
    let body =
        json!({"deleted": true, "id": key.id, "virtual_key": key.masked, "status": "revoked"});
    super::json(StatusCode::OK, &body)
}

/// A key that may do everything.
pub(in super::super) fn new_key(id: String, secret: &str, now_ms: u64) -> VirtualKey {
    VirtualKey {
        id,
        masked: mask(secret),
        hash: sha256_hex(secret.as_bytes()),
        name: String::new(),
        provider: None,
        sealed: None,
        rate_limit: None,
        limits: KeyLimits::default(),
        budget_limit_nano: None,
        period: Period::default(),
        is_active: true,
        revoked_at_ms: None,
        expires_at_ms: None,
        created_at_ms: now_ms,
        rotated_at_ms: None,
        models: Vec::new(),
        guardrails: Guardrails::default(),
        config: None,
        metadata: None,
        environment: None,
        membership: Membership::default(),
        from_file: false,
    }
}

/// `vk-ab...wxyz`; a short key shows nothing.
pub(super) fn mask(secret: &str) -> String {
    match (
        secret.get(..5),
        secret.len().checked_sub(4).and_then(|at| secret.get(at..)),
    ) {
        (Some(head), Some(tail)) if secret.len() >= 20 => format!("{head}...{tail}"),
        _ => "***".to_owned(),
    }
}

/// `count` random letters and digits, each as likely as any other.
pub(super) fn random_text(count: usize) -> Result<String, store::StoreError> {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(count);
    let mut bytes = [0; 64];
    while text.len() < count {
        seal::random(&mut bytes)?;
        // 248 is the largest multiple of 62 in a byte: what lies above would favour some letters.
        let even = bytes.iter().filter(|byte| **byte < 248);
        let letters = even.filter_map(|byte| LETTERS.get(usize::from(byte % 62)));
        text.extend(
            letters
                .take(count - text.len())
                .map(|letter| char::from(*letter)),
        );
    }
    Ok(text)
}
