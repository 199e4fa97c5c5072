//! The development key and admin token: made once, kept in the data directory.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};

use crate::config::Secret;

/// Where they are kept.
const FILE: &str = "dev.secret";
/// Random bytes of a secret.
const SECRET_BYTES: usize = 24;

/// Secrets of this installation.
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    pub(super) virtual_key: Secret,
    pub(super) admin_token: Secret,
}

impl Secrets {
    /// Reads them from `data`, or makes and keeps them. A token that the configuration names wins.
    pub(super) fn load_or_make(data: &Path, token: Option<Secret>) -> Result<Secrets, String> {
        let path = data.join(FILE);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let kept: Value = serde_json::from_str(&text).unwrap_or_default();
        let member = |name: &str| {
            kept.get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let (key, kept_token) = match (member("virtual_key"), member("admin_token")) {
            (Some(key), Some(token)) => (key.to_owned(), token.to_owned()),
            _ => {
                let (key, token) = (
                    format!("vk-{}", random_hex()?),
                    format!("adm-{}", random_hex()?),
                );
                write(
                    &path,
                    &json!({"virtual_key": key, "admin_token": token}).to_string(),
                )?;
                (key, token)
            }
        };
        let admin_token = token.unwrap_or_else(|| Secret::new(kept_token));
        Ok(Secrets {
            virtual_key: Secret::new(key),
            admin_token,
        })
    }
}

fn random_hex() -> Result<String, String> {
    let mut bytes = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes a folder that only its owner can enter.
pub(super) fn folder(path: &Path) -> Result<(), String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| format!("cannot create {}: {error}", path.display()))
}

/// Writes a file that only its owner can read; readers never see half of it.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)
}
