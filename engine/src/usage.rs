//! What an exchange consumed, in tokens.

use serde::{Deserialize, Serialize};

/// Token counts of one exchange. `input` includes `cached_input` and `cache_write`; `output`
/// includes `reasoning` (OpenAI's convention; the dialects convert to it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens, all kinds together.
    pub input: u64,
    /// Prompt tokens that the provider read from its own cache.
    #[serde(default)]
    pub cached_input: u64,
    /// Prompt tokens that the provider wrote to its own cache.
    #[serde(default)]
    pub cache_write: u64,
    /// Completion tokens, all kinds together.
    pub output: u64,
    /// Completion tokens spent on reasoning.
    #[serde(default)]
    pub reasoning: u64,
}

impl Usage {
    /// Prompt and completion tokens together.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// Money in nano-dollars: 1 USD is 1,000,000,000.
pub type NanoUsd = i64;

/// Nano-dollars in one dollar.
pub const NANO_PER_USD: i64 = 1_000_000_000;
