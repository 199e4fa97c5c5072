//! Counters, holds and limits that replicas share, in Redis.
//!
//! The engine decides and Redis keeps: a replica weighs an admission on what it last saw of the
//! counters, and a script holds it if every bound has room, or changes nothing and tells how things
//! stand. What is not plainly granted is decided on states that were read for it. Every script is
//! idempotent or says so, because an answer may be lost.
//!
//! Keys that one script uses share a hash tag. In one Redis all share one; in a cluster each tenant's
//! keys and the tenant itself have one ([`Layout::Tenants`]), and everybody else's scopes another. An
//! exchange that is bounded in both is held in the common group first, and given back there when the
//! tenant's refuses.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::ledger::{HOLD_TTL_MS, HOLDS_MAX, Scope};
use engine::usage::NanoUsd;
use redis::{Cmd, Value};
use serde::{Deserialize, Serialize};

pub(crate) mod bounds;
pub(crate) mod calls;
pub(crate) mod client;
mod comeback;
pub(crate) mod counting;
pub(crate) mod draft;
pub(crate) mod epoch;
mod homes;
pub(crate) mod ledger;
pub(crate) mod own;
mod recount;
pub(crate) mod replica;
mod roll;
mod script;
pub(crate) mod sums;
#[cfg(test)]
mod tests;

use bounds::{Bounds, Fields};
use client::{Client, Fault};
use homes::Homes;
use script::Script;

/// How long what is not on a request's path waits for it.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(2);
/// How long Redis remembers that an exchange was settled, in milliseconds, whoever tells of it. What its
/// own service tells again is known until the database has it.
pub(crate) const MARK_TTL_MS: u64 = 20 * 60_000;
/// How long it remembers records of a service that says nothing any more, in milliseconds.
const PLACES_TTL_MS: u64 = 7 * 24 * 3_600_000;
/// How long it remembers what an expired hold was charged, in milliseconds: its record may come yet.
pub(crate) const EXPIRED_TTL_MS: u64 = 24 * 3_600_000;
/// Holds that one call gives up at most.
const EXPIRED_PER_CALL_MAX: usize = 500;
/// The most that one hold or charge can be: what scripts compare exactly.
const NANO_MAX: NanoUsd = 1 << 53;

/// How scopes are spread over hash tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All in one.
    One,
    /// A tenant's in one of its own.
    Tenants,
}

/// A hash tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group(String);

impl Group {
    fn common() -> Group {
        Group("all".to_owned())
    }

    fn key(&self, name: &str) -> String {
        format!("weir:{{{}}}:{name}", self.0)
    }

    /// What all keys of it match.
    fn pattern(&self) -> String {
        let mut pattern = String::new();
        for letter in self.key("").chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern.push('*');
        pattern
    }
}

/// Whose an exchange is: what tells its groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) key: &'a str,
    pub(crate) tenant: &'a str,
}

/// Whose a hold is, as Redis keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Info {
    #[serde(rename = "k")]
    pub(crate) key: String,
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    pub(crate) tenant: String,
    #[serde(rename = "u", default, skip_serializing_if = "String::is_empty")]
    pub(crate) user: String,
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    #[serde(rename = "p")]
    pub(crate) provider: String,
    #[serde(rename = "m")]
    pub(crate) model: String,
    #[serde(rename = "n")]
    pub(crate) tokens_in: u64,
}

/// What is to be held or counted.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// Exchange or lease; empty to count only.
    pub(crate) id: String,
    pub(crate) amount_nano: NanoUsd,
    pub(crate) cost_nano: NanoUsd,
    pub(crate) fields: Fields,
    /// Requests that a lease is made for.
    pub(crate) lease: Option<u64>,
    pub(crate) info: Info,
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    pub(crate) running: u64,
    /// Tokens and running exchanges that there must be room for.
    pub(crate) check: (u64, u64),
}

/// What became of a [`Wish`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// It is held. States of every group follow.
    Yes(Vec<Vec<i64>>),
    /// A bound of that group has no room for it: these are its states.
    No(usize, Vec<i64>),
    /// Sums of these scopes of a group, counted since these versions, are not there yet.
    Unready(Group, Vec<(Scope, u64)>),
    /// The group is not in use yet: it has lost what it knew.
    Unopened(Group),
    /// Others are still putting back what they hold.
    Closed,
    /// There are too many holds.
    Full,
    /// It was settled before.
    Settled,
}

/// An exchange that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) lease: Option<&'a str>,
    /// Whether it stands for an expired hold.
    pub(crate) expired: bool,
    pub(crate) cost_nano: NanoUsd,
    pub(crate) at_ms: u64,
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// Where it is charged, and the versions since which that is counted.
    pub(crate) scopes: Vec<(Scope, u64)>,
    /// Where its record waits for the database.
    pub(crate) place: Place,
}

/// Where a record is in the spool of its service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    /// It may be counted already, as far as things were counted in this version.
    pub(crate) again: Option<u64>,
}

/// What settling came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    /// It was known.
    Known,
    /// It is new.
    New,
    /// It stands in place of an expired hold's.
    Replaced,
}

/// What settling an exchange came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Charged {
    pub(crate) charge: Charge,
    /// The instant whose windows it is charged in.
    pub(crate) at_ms: u64,
}

/// A hold that nobody renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Late {
    pub(crate) id: String,
    pub(crate) cost_nano: NanoUsd,
    pub(crate) at_ms: u64,
    pub(crate) lease: Option<u64>,
    pub(crate) info: Info,
}

/// See the module.
pub(crate) struct Counters {
    client: Arc<Client>,
    layout: Layout,
    /// Who counts.
    who: String,
    /// The version of what is counted.
    version: AtomicU64,
    /// In a cluster, where holds are.
    homes: Option<Arc<Homes>>,
}
