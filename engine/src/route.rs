//! The route configuration of a request (`x-portkey-config`, `x-weir-config`), in Portkey's own
//! dialect (`strategy: {mode}`) and in the short one (`strategy: "fallback"`, `weights`,
//! `on_errors`). Both become one tree.

use std::fmt;

use serde_json::{Map, Value};

use crate::guard::Guardrails;
use crate::limits;

mod parse;
#[cfg(test)]
mod tests;

/// A checked route configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteConfig {
    /// Where to go; a leaf without provider and model means "as the request says".
    pub root: Node,
    /// Guardrails of this request.
    pub guardrails: Guardrails,
}

/// How a node picks among its targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The first target only.
    #[default]
    Single,
    /// One target after the other while errors match.
    Fallback,
    /// One target by weight.
    LoadBalance,
}

/// One node of the tree. Members that are `None` are inherited from the parent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// How to pick among `targets`.
    pub strategy: Strategy,
    /// Children; empty for a leaf.
    pub targets: Vec<Node>,
    /// Provider by name.
    pub provider: Option<String>,
    /// Model by client-facing id or by the provider's own name.
    pub model: Option<String>,
    /// Share among siblings of a load-balanced parent, in millionths.
    pub weight_ppm: u64,
    /// Which errors go on to the next target.
    pub on_errors: Option<ErrorRules>,
    /// Retries of the same target.
    pub retry: Option<Retry>,
    /// Milliseconds an attempt may take.
    pub timeout_ms: Option<u64>,
    /// Exact cache.
    pub cache: Option<CacheRule>,
}

/// Errors that a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRules {
    /// Everything (`"*"`).
    pub any: bool,
    /// No answer: refused, reset, timed out.
    pub no_answer: bool,
    /// Statuses.
    pub statuses: Vec<u16>,
}

impl ErrorRules {
    /// What holds without a rule: every error moves on, as Portkey does.
    pub const ANY: ErrorRules = ErrorRules {
        any: true,
        no_answer: true,
        statuses: Vec::new(),
    };

    /// Whether an answer with `status` matches.
    pub fn matches(&self, status: u16) -> bool {
        status >= 400 && (self.any || self.statuses.contains(&status))
    }
}

/// Retries of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first one.
    pub attempts: u32,
    /// Statuses worth another try; `None` takes the defaults.
    pub on: Option<Vec<u16>>,
}

/// Exact cache of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheRule {
    /// Whether the cache takes part at all.
    pub enabled: bool,
    /// Seconds an entry lives; `None` takes the default.
    pub ttl_s: Option<u64>,
}

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The member at fault (`targets[1].weight`), empty for the whole.
    pub member: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.member.is_empty() {
            write!(f, "Invalid route configuration: {}", self.message)
        } else {
            write!(
                f,
                "Invalid route configuration: {}: {}",
                self.member, self.message
            )
        }
    }
}

impl RouteConfig {
    /// Parses and checks a configuration.
    ///
    /// # Errors
    /// Names the first member that is unknown, of the wrong type or out of range.
    pub fn parse(text: &str) -> Result<RouteConfig, ConfigError> {
        let whole = |message: String| ConfigError {
            member: String::new(),
            message,
        };
        if text.len() > limits::CONFIG_HEADER_BYTES_MAX {
            return Err(whole(format!(
                "longer than {} bytes",
                limits::CONFIG_HEADER_BYTES_MAX
            )));
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| whole(format!("not valid JSON ({error})")))?;
        let Value::Object(object) = &value else {
            return Err(whole("must be a JSON object".into()));
        };
        let mut count = 0;
        let root = parse::node(object, "", &mut count)?;
        let guardrails = parse::guardrails(object)?;
        Ok(RouteConfig { root, guardrails })
    }
}

/// An object's member, absent when null.
fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}
