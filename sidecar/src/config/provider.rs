//! Providers, and where they are.

use std::net::SocketAddr;
use std::path::PathBuf;

use engine::endpoint::Through;
use engine::ingress::Ingress;
use engine::usage::NanoUsd;
use engine::wire::{Dialect, ParameterRules, Price, Provider};

use super::Secret;

/// A provider.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Name, `[a-z0-9._-]`, unique.
    pub name: String,
    /// Wire format.
    pub dialect: Dialect,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Path of the chat call after the base path; the dialect's own when empty.
    pub chat_path: String,
    /// Azure's `api-version`, empty for none.
    pub api_version: String,
    /// Whether parameters that would be dropped are refused.
    pub strict_params: bool,
    /// Rules for parameters besides the dialect's own.
    pub params: ParameterRules,
    /// How Envoy signs requests, when it does.
    pub signing: Option<Signing>,
    /// Header that carries the key, lower case.
    pub auth_header: String,
    /// What precedes the key in that header.
    pub auth_prefix: String,
    /// The key, when the provider has one of its own.
    pub api_key: Option<Secret>,
    /// Further headers to send, lower-case names.
    pub headers: Vec<(String, Secret)>,
    /// Price of models that have none.
    pub default_price: Option<Price>,
    /// Forms of conversation that go to it as they are.
    pub serves: Vec<Ingress>,
    /// Calls that pass through to it, and what one costs.
    pub calls: Vec<(Through, NanoUsd)>,
}

/// Signatures of AWS (version 4), made by Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// Region of the service.
    pub region: String,
    /// Where the keys come from.
    pub credentials: AwsCredentials,
}

/// Where AWS keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsCredentials {
    /// The usual places: environment, files, a role for a Kubernetes service account (IRSA),
    /// container, instance.
    Chain,
    /// These.
    Keys {
        /// `AKIA...`
        id: Secret,
        /// The secret key.
        secret: Secret,
        /// Of temporary keys.
        session_token: Option<Secret>,
    },
    /// A profile of `~/.aws/credentials`.
    Profile(String),
}

/// A provider's `base_url`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// What is connected to.
    pub host: Host,
    /// Host header, with the port where it is not the scheme's own.
    pub authority: String,
    /// Path prefix without trailing slash.
    pub base_path: String,
}

/// What Envoy connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name that DNS resolves, and the port.
    Name(String, u16),
    /// An address.
    Ip(SocketAddr),
    /// The built-in demo provider behind a Unix socket (`base_url: demo`).
    Demo(PathBuf),
}

impl ProviderConfig {
    pub(super) fn wire(&self) -> Provider {
        Provider {
            name: self.name.clone(),
            dialect: self.dialect,
            authority: self.endpoint.authority.clone(),
            base_path: self.endpoint.base_path.clone(),
            chat_path: self.chat_path.clone(),
            api_version: self.api_version.clone(),
            strict_params: self.strict_params,
            params: self.params.clone(),
            auth_header: self.auth_header.clone(),
            auth_prefix: self.auth_prefix.clone(),
            api_key: self.api_key.as_ref().map(|key| key.expose().to_owned()),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect(),
            default_price: self.default_price,
            serves: self.serves.clone(),
            calls: self.calls.clone(),
        }
    }
}
