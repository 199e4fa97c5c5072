//! The compiled policy: what filters run on, and what it is made of.

use serde::{Deserialize, Serialize};

use super::is_default;
use crate::endpoint::Through;
use crate::guard::{GuardConfig, Guardrails, Judge};
use crate::ingress::Ingress;
use crate::usage::NanoUsd;

/// Which wire format a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI Chat Completions, and everything compatible with it.
    #[default]
    Openai,
    /// Anthropic Messages.
    Anthropic,
    /// Azure OpenAI: OpenAI's format under Azure's paths, with filter results in it.
    Azure,
    /// AWS Bedrock Converse.
    Bedrock,
    /// Google Gemini generateContent.
    Gemini,
    /// Mistral: OpenAI's format with members of its own.
    Mistral,
    /// Ollama's OpenAI-compatible endpoint.
    Ollama,
    /// Perplexity: OpenAI's format with members of its own.
    Perplexity,
    /// Google Vertex AI: Gemini's format under a project's path.
    Vertex,
}

/// What an operator adds to the table of parameters, for servers that differ from OpenAI in a few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParameterRules {
    /// Members left out; the answer names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// Members refused with a `400`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refuse: Vec<String>,
    /// Members that go on under another name: from, to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rename: Vec<(String, String)>,
}

impl ParameterRules {
    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.drop.is_empty() && self.refuse.is_empty() && self.rename.is_empty()
    }
}

/// The compiled policy that filters run on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Providers, in configuration order.
    pub providers: Vec<Provider>,
    /// Models by client-facing id: those configured first, then the catalogue's.
    pub models: Vec<Model>,
    /// What holds when key and request say nothing.
    pub defaults: Defaults,
}

/// A provider as the filter sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    /// Name; Envoy's clusters are `provider/<name>` (with adapter) and `direct/<name>`.
    pub name: String,
    /// Wire format.
    pub dialect: Dialect,
    /// Host header, with the port where it is not the scheme's own.
    pub authority: String,
    /// Path prefix from `base_url`, without trailing slash (`/v1`).
    pub base_path: String,
    /// Path of the chat call after `base_path`; the dialect's own when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub chat_path: String,
    /// Azure's `api-version`; empty for the paths that need none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Whether a parameter that would be dropped is refused.
    #[serde(default)]
    pub strict_params: bool,
    /// Rules for parameters besides the dialect's own.
    #[serde(default, skip_serializing_if = "ParameterRules::is_empty")]
    pub params: ParameterRules,
    /// Header that carries the key (`authorization`, `x-api-key`, `api-key`).
    pub auth_header: String,
    /// What precedes the key in that header (`Bearer `).
    #[serde(default)]
    pub auth_prefix: String,
    /// The key, when the provider has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Further headers to send, lower-case names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Price of models that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_price: Option<Price>,
    /// Forms of conversation that it speaks besides chat completions: what a client sends in one
    /// of them then goes on as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<Ingress>,
    /// Calls that pass through to it, and what one costs when its model has no price of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<(Through, NanoUsd)>,
}

impl Provider {
    /// What a call of that kind costs here; `None` when it does not pass to this provider.
    pub fn call_price(&self, call: Through) -> Option<NanoUsd> {
        let listed = self.calls.iter().find(|(listed, _)| *listed == call);
        match (listed, call) {
            (Some((_, nano)), _) => Some(*nano),
            // Whoever makes responses also keeps them.
            (None, Through::StoredResponses) => {
                self.serves.contains(&Ingress::Responses).then_some(0)
            }
            (None, _) => None,
        }
    }
}

/// Price of a model in nano-dollars per million tokens. All zero is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Prompt tokens.
    pub input: NanoUsd,
    /// Prompt tokens read from the provider's cache.
    pub cached_input: NanoUsd,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: NanoUsd,
    /// Completion tokens.
    pub output: NanoUsd,
    /// Completion tokens spent on reasoning.
    pub reasoning: NanoUsd,
    /// From this many prompt tokens on, `long` prices the whole request; 0 never.
    #[serde(default)]
    pub long_from: u64,
    /// Prompt price of long requests.
    #[serde(default)]
    pub long_input: NanoUsd,
    /// Completion price of long requests.
    #[serde(default)]
    pub long_output: NanoUsd,
    /// Price of a call besides its tokens, in nano-dollars.
    #[serde(default)]
    pub per_call: NanoUsd,
}

/// A model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Name clients use.
    pub id: String,
    /// Provider that serves it.
    pub provider: String,
    /// Name the provider uses.
    pub model: String,
    /// Context window in tokens, 0 unknown.
    pub context: u64,
    /// Output limit in tokens, 0 unknown.
    pub max_output: u64,
    /// Price.
    pub price: Price,
    /// Whether `/v1/models` shows it (catalogue entries of configured providers are not listed).
    #[serde(default)]
    pub listed: bool,
}

/// What holds when key and request say nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    /// Provider for models that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Guardrails that hold for every request.
    #[serde(default, skip_serializing_if = "Guardrails::is_empty")]
    pub guardrails: Guardrails,
    /// Detectors of the operator's own, and what is never reported.
    #[serde(default, skip_serializing_if = "is_default")]
    pub detectors: GuardConfig,
    /// Judges of content, in configuration order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judges: Vec<Judge>,
    /// Secret that hashes and placeholders are made with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guard_key: Vec<u8>,
    /// Seconds an exact-cache entry lives; `None` leaves the cache off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_ttl_s: Option<u64>,
    /// Retries of one target after the first attempt, 0 for none.
    pub retry_attempts: u32,
    /// Provider statuses that are retried.
    pub retry_on: Vec<u16>,
    /// Milliseconds an attempt may take (streams: may be silent), 0 for no limit.
    pub request_timeout_ms: u64,
    /// Whether a known key may go on unmetered while the sidecar does not answer.
    #[serde(default)]
    pub grace_on_state_loss: bool,
    /// Status of budget refusals (429, 402 or 403).
    pub budget_status: u16,
    /// What of a request, besides its key, decides which limits it counts against.
    #[serde(default)]
    pub governed: Governed,
}

/// What requests are told apart by where limits are concerned. What no limit asks for is not sent,
/// and does not keep requests from sharing a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Governed {
    /// Some limit is for users.
    #[serde(default)]
    pub users: bool,
    /// Some limit is for a provider or a model.
    #[serde(default)]
    pub models: bool,
    /// Names of metadata that some limit is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Some limit is for client addresses.
    #[serde(default)]
    pub addresses: bool,
}
