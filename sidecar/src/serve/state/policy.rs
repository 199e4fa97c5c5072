//! The policy in force, and the filters that ask for it.

use engine::cache_key::sha256_hex;
use engine::guard::{GuardConfig, Judge};
use engine::ledger::Scope;
use engine::wire::{Policy, PolicyAnswer, PolicyPoll};
use serde_json::value::RawValue;

use super::super::membership::Rules;
use super::Core;
use super::reply::PolicyReply;

/// Filter VMs remembered for `/health`. Above it the list starts anew.
const VMS_MAX: usize = 1_024;
/// How long a VM counts as seen, in milliseconds.
const VM_SEEN_MS: u64 = 5_000;

/// The policy as it is sent.
pub(crate) struct CompiledPolicy {
    /// Changes when the policy does, restarts included: it is taken from the content.
    pub(crate) version: u64,
    /// JSON of `policy`.
    pub(crate) json: Box<RawValue>,
    /// What was compiled.
    policy: Policy,
}

impl CompiledPolicy {
    /// Errors: it cannot be written as JSON.
    pub(crate) fn new(policy: Policy) -> Result<CompiledPolicy, serde_json::Error> {
        let json: Box<RawValue> = serde_json::value::to_raw_value(&policy)?;
        let version = u64::try_from(number(json.get())).unwrap_or(1);
        Ok(CompiledPolicy {
            version: version.max(1),
            json,
            policy,
        })
    }

    /// What rules of guardrails may name.
    pub(crate) fn guard_names(&self) -> (GuardConfig, Vec<Judge>) {
        let defaults = &self.policy.defaults;
        (defaults.detectors.clone(), defaults.judges.clone())
    }
}

/// 52 bits that stand for a text, so that the number is exact in every JSON reader.
fn number(text: &str) -> i64 {
    let hash = sha256_hex(text.as_bytes());
    hash.get(..13)
        .and_then(|hex| i64::from_str_radix(hex, 16).ok())
        .unwrap_or(1)
}

impl Core {
    /// Puts a policy in force; what its requests have to say of themselves follows from the rules.
    pub(crate) fn set_policy(&mut self, mut policy: Policy) -> Result<(), serde_json::Error> {
        let governed = &mut policy.defaults.governed;
        *governed = self.rules.governed();
        self.counted.govern(governed);
        self.limit_rules.govern(governed);
        if policy.defaults.guard_key.is_empty() {
            // No configuration has it.
            let known = &self.policy.policy.defaults.guard_key;
            policy.defaults.guard_key.clone_from(known);
        }
        self.policy = CompiledPolicy::new(policy)?;
        Ok(())
    }

    /// Puts other budgets in force.
    pub(crate) fn set_rules(&mut self, rules: Rules) -> Result<(), serde_json::Error> {
        self.rules = rules;
        for (scope, id) in self.ledger.scopes_with_budgets() {
            if !matches!(scope, Scope::Key(_)) {
                // The tier of a user is known with the next request.
                let budgets = self.rules.budgets(&scope, None);
                self.ledger.set_budgets(id, budgets);
            }
        }
        let global = self.rules.global();
        self.ledger.set_budgets(self.global, global);
        self.open_named();
        self.set_policy(self.policy.policy.clone())
    }

    /// A number that changes when other scopes are counted, or in another calendar.
    pub(crate) fn basis(&self) -> i64 {
        number(&format!(
            "{}{:?}",
            self.rules.basis(),
            self.ledger.calendar()
        ))
    }

    /// A number that changes with the calendar.
    pub(crate) fn calendar_basis(&self) -> i64 {
        number(&format!("{:?}", self.ledger.calendar()))
    }

    /// What has changed for a filter.
    pub(crate) fn policy(&mut self, poll: &PolicyPoll, now_ms: u64) -> PolicyReply<'_> {
        if self.vms.len() >= VMS_MAX && !self.vms.contains_key(&poll.vm) {
            self.vms.clear();
        }
        match self.vms.get_mut(&poll.vm) {
            Some(seen_ms) => *seen_ms = now_ms,
            None => {
                self.vms.insert(poll.vm.clone(), now_ms);
            }
        }
        let policy = (poll.version != self.policy.version).then_some(&*self.policy.json);
        PolicyReply {
            version: self.policy.version,
            keys_version: self.keys_version,
            policy,
        }
    }

    /// Filter VMs that asked for the policy lately.
    pub(crate) fn vms(&self, now_ms: u64) -> usize {
        let recent = |seen_ms: &&u64| seen_ms.saturating_add(VM_SEEN_MS) >= now_ms;
        self.vms.values().filter(recent).count()
    }
}

// The reply types must keep saying what the wire says.
const _: fn(PolicyAnswer) -> (u64, u64) = |answer| (answer.version, answer.keys_version);
