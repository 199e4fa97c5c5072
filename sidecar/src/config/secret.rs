//! Secrets, and where those come from that a vault keeps.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use super::{AwsCredentials, Config, VirtualKeyConfig};

/// A secret that never prints itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    origin: Origin,
}

#[derive(Clone, PartialEq, Eq)]
enum Origin {
    /// The file itself or the environment.
    Given,
    File(PathBuf),
    Vault(Box<VaultReference>),
}

/// Where a vault keeps a secret, and which member of `weir.yaml` wants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VaultReference {
    /// Name of the vault.
    pub vault: String,
    /// Name or path of the secret in it.
    pub secret: String,
    /// Version; the latest when `None`.
    pub version: Option<String>,
    /// Member of a secret that is an object.
    pub field: Option<String>,
    /// Member path such as `providers[1].api_key`.
    pub member: String,
}

/// Who needs a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The state service, which hands it to filters.
    Service,
    /// The state service, and commands that speak to its admin interface.
    Administration,
    /// Envoy, in its rendered configuration.
    Envoy,
}

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        let (text, origin) = (text.into(), Origin::Given);
        Secret { text, origin }
    }

    /// What the file `path` holds, without white space at both ends.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(path: PathBuf) -> std::io::Result<Secret> {
        let text = std::fs::read_to_string(&path)?.trim().to_owned();
        let origin = Origin::File(path);
        Ok(Secret { text, origin })
    }

    /// One that a vault keeps: empty until [`Config::fill`].
    pub fn kept(reference: VaultReference) -> Secret {
        let origin = Origin::Vault(Box::new(reference));
        Secret {
            text: String::new(),
            origin,
        }
    }

    /// The text; for the place that needs it and for no log.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The text as its file has it now; something else may put a new one there.
    pub fn current(&self) -> Cow<'_, str> {
        if let Origin::File(path) = &self.origin
            && let Ok(text) = std::fs::read_to_string(path)
        {
            return Cow::Owned(text.trim().to_owned());
        }
        Cow::Borrowed(&self.text)
    }

    /// Where a vault keeps it.
    pub fn reference(&self) -> Option<&VaultReference> {
        match &self.origin {
            Origin::Vault(reference) => Some(reference),
            Origin::Given | Origin::File(_) => None,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Config {
    /// What vaults keep for any of `purposes`.
    pub fn references(&mut self, purposes: &[Purpose]) -> Vec<VaultReference> {
        let wanted = |(purpose, secret): (Purpose, &mut Secret)| {
            let reference = secret.reference().cloned();
            reference.filter(|_| purposes.contains(&purpose))
        };
        self.secrets().into_iter().filter_map(wanted).collect()
    }

    /// Puts in what vaults hold, as far as `value` knows it. Returns the members that changed.
    pub fn fill(&mut self, value: &dyn Fn(&VaultReference) -> Option<String>) -> Vec<String> {
        let mut changed = Vec::new();
        for (_, secret) in self.secrets() {
            let Some(reference) = secret.reference() else {
                continue;
            };
            if let Some(text) = value(reference).filter(|text| *text != secret.text) {
                changed.push(reference.member.clone());
                secret.text = text;
            }
        }
        changed
    }

    /// What only values of vaults can get wrong.
    ///
    /// # Errors
    /// A virtual key that cannot be one, worded for the operator.
    pub fn check_filled(&self) -> Result<(), String> {
        let keys = &self.virtual_keys;
        for (index, key) in keys.iter().enumerate() {
            let name = &key.name;
            if let Some(why) = unfit(&key.key) {
                return Err(format!("virtual key `{name}`: its key has {why}"));
            }
            // Those that nobody has asked for are empty.
            let same = |other: &&VirtualKeyConfig| {
                !key.key.expose().is_empty() && other.key.expose() == key.key.expose()
            };
            if let Some(other) = keys.iter().take(index).find(same) {
                let other = &other.name;
                return Err(format!(
                    "virtual keys `{other}` and `{name}` have the same key"
                ));
            }
        }
        Ok(())
    }

    fn secrets(&mut self) -> Vec<(Purpose, &mut Secret)> {
        let mut found: Vec<(Purpose, &mut Secret)> = Vec::new();
        let token = self.admin_token.iter_mut();
        found.extend(token.map(|secret| (Purpose::Administration, secret)));
        let store = [
            &mut self.store.redis,
            &mut self.store.database,
            &mut self.store.secret_key,
        ];
        let store = store.into_iter().flatten();
        found.extend(store.map(|secret| (Purpose::Service, secret)));
        let webhook = self
            .webhook
            .as_mut()
            .and_then(|webhook| webhook.secret.as_mut());
        found.extend(webhook.map(|secret| (Purpose::Service, secret)));
        let judges = self.defaults.judges.iter_mut();
        let judges = judges.filter_map(|judge| judge.secret.as_mut());
        found.extend(judges.map(|secret| (Purpose::Service, secret)));
        for provider in &mut self.providers {
            let headers = provider.headers.iter_mut().map(|(_, value)| value);
            let own = provider.api_key.iter_mut().chain(headers);
            found.extend(own.map(|secret| (Purpose::Service, secret)));
            let signing = provider.signing.as_mut();
            if let Some(AwsCredentials::Keys {
                id,
                secret,
                session_token,
            }) = signing.map(|signing| &mut signing.credentials)
            {
                let keys = [id, secret].into_iter().chain(session_token);
                found.extend(keys.map(|secret| (Purpose::Envoy, secret)));
            }
        }
        for key in &mut self.virtual_keys {
            let both = [&mut key.key].into_iter().chain(&mut key.real_api_key);
            found.extend(both.map(|secret| (Purpose::Service, secret)));
        }
        found
    }
}

/// Why clients could not send this key; one that a vault keeps may be there or not yet.
pub(super) fn unfit(key: &Secret) -> Option<&'static str> {
    let text = key.expose();
    if text.len() > engine::limits::KEY_BYTES_MAX {
        return Some("more than 256 characters");
    }
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    (!visible).then_some("characters other than visible ASCII")
}
