//! Vaults: services that keep secrets.

use std::path::PathBuf;
use std::time::Duration;

use super::{Endpoint, Secret};

/// A vault.
#[derive(Clone, Debug)]
pub struct VaultConfig {
    /// Name, unique.
    pub name: String,
    /// What it is and how it lets us in.
    pub access: VaultAccess,
    /// PEM file of the authorities it is checked against; the system's when `None`.
    pub ca: Option<PathBuf>,
    /// How long a secret is used before the vault is asked again.
    pub ttl: Duration,
}

/// What a vault is and how it lets us in.
#[derive(Clone, Debug)]
pub enum VaultAccess {
    /// AWS Secrets Manager.
    Aws {
        /// Where it is.
        endpoint: Endpoint,
        /// Region of the service.
        region: String,
        /// What calls are signed with.
        keys: VaultKeys,
    },
    /// Azure Key Vault.
    Azure {
        /// Where it is.
        endpoint: Endpoint,
        /// Where Entra ID gives tokens.
        authority: Endpoint,
        /// Entra tenant.
        tenant: String,
        /// Application.
        client: String,
        /// Its secret.
        secret: Secret,
    },
    /// HashiCorp Vault, secrets engine KV.
    Hashicorp {
        /// Where it is.
        endpoint: Endpoint,
        /// Where the secrets engine is mounted.
        mount: String,
        /// Version of the secrets engine, 1 or 2.
        kv: u64,
        /// Namespace of the enterprise edition.
        namespace: Option<String>,
        /// Who we are.
        login: VaultLogin,
    },
    /// A folder with a file a secret, for development.
    Local(PathBuf),
}

/// What calls of AWS's vault are signed with.
#[derive(Clone, Debug)]
pub enum VaultKeys {
    /// These.
    Given {
        /// `AKIA...`
        id: Secret,
        /// The secret key.
        secret: Secret,
        /// Of temporary keys.
        session_token: Option<Secret>,
    },
    /// Those of the IAM role of our container, temporary ones.
    Container {
        /// Where they are given out, path included.
        endpoint: Endpoint,
        /// What has to be shown there.
        token: Option<Secret>,
    },
}

/// Who we are to HashiCorp Vault.
#[derive(Clone, Debug)]
pub enum VaultLogin {
    /// A token.
    Token(Secret),
    /// AppRole.
    Role {
        /// The role's id.
        id: Secret,
        /// A secret id of it.
        secret: Secret,
    },
}

/// What kind of vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultProvider {
    /// AWS Secrets Manager.
    Aws,
    /// Azure Key Vault.
    Azure,
    /// HashiCorp Vault.
    Hashicorp,
    /// A folder.
    Local,
}

impl VaultProvider {
    /// Its name in `weir.yaml`.
    pub fn name(self) -> &'static str {
        match self {
            VaultProvider::Aws => "aws",
            VaultProvider::Azure => "azure",
            VaultProvider::Hashicorp => "hashicorp",
            VaultProvider::Local => "local",
        }
    }
}

impl VaultConfig {
    /// What kind of vault it is.
    pub fn provider(&self) -> VaultProvider {
        match &self.access {
            VaultAccess::Aws { .. } => VaultProvider::Aws,
            VaultAccess::Azure { .. } => VaultProvider::Azure,
            VaultAccess::Hashicorp { .. } => VaultProvider::Hashicorp,
            VaultAccess::Local(_) => VaultProvider::Local,
        }
    }

    /// Where it is, when it is a service.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match &self.access {
            VaultAccess::Aws { endpoint, .. }
            | VaultAccess::Azure { endpoint, .. }
            | VaultAccess::Hashicorp { endpoint, .. } => Some(endpoint),
            VaultAccess::Local(_) => None,
        }
    }
}
