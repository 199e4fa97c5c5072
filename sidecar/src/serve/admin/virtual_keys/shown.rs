//! A key as the interface shows it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use engine::guard::Guardrails;
use engine::ledger::Scope;
use engine::period;
use engine::reply::Code;
use engine::wire::PiiAction;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::super::keys::VirtualKey;
use super::super::super::state::Core;
use super::super::{Interface, usd};
use crate::clock;
use crate::config::RateConfig;

/// The action for all personal data in requests, when the rules say that and no more.
fn short_form(rules: &Guardrails) -> Option<&'static str> {
    PiiAction::ALL
        .into_iter()
        .find(|action| *rules == Guardrails::input(*action))
        .map(PiiAction::name)
}

/// Its members, in the order in which they are shown.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    id: &'a str,
    virtual_key: &'a str,
    name: &'a str,
    provider: Option<&'a str>,
    rate_limit: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rate_limits: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrent: Option<u64>,
    budget_limit_usd: Option<Box<RawValue>>,
    budget_period: Cow<'static, str>,
    spent_usd: Option<Box<RawValue>>,
    held_usd: Option<Box<RawValue>>,
    remaining_usd: Option<Box<RawValue>>,
    period_resets_at: Option<String>,
    status: &'static str,
    is_active: bool,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    rotated_at: Option<String>,
    has_real_api_key: bool,
    models: &'a [String],
    pii_input: Option<&'static str>,
    #[serde(skip_serializing_if = "Guardrails::is_empty")]
    guardrails: &'a Guardrails,
    config: Option<Box<RawValue>>,
    metadata: Option<Box<RawValue>>,
    environment: Option<&'a str>,
    tenant: &'a str,
    teams: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<&'a str, &'a str>,
    from_file: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Interface {
    /// `virtual_key` is the whole key right after its creation, and otherwise masked.
    pub(super) fn show<'a>(
        &self,
        core: &mut Core,
        key: &'a VirtualKey,
        virtual_key: &'a str,
    ) -> Shown<'a> {
        let now_ms = clock::now_ms();
        let own = core.ledger.place_of(&Scope::Key(key.id.clone()));
        let spend = own
            .map(|scope| core.ledger.spend(scope, key.period, now_ms))
            .unwrap_or_default();
        let remaining = key.budget_limit_nano.map(|limit| {
            limit
                .saturating_sub(spend.spent_nano)
                .saturating_sub(spend.held_nano)
        });
        let instant = |at_ms: u64| period::rfc3339(at_ms / 1_000 * 1_000);
        let raw = |text: &String| RawValue::from_string(text.clone()).ok();
        let unknown = key
            .provider
            .iter()
            .filter(|name| !self.providers.contains(name));
        let warnings = unknown.map(|name| {
            format!(
                "provider: no provider `{name}` is configured; requests that need it are refused"
            )
        });
        Shown {
            id: &key.id,
            virtual_key,
            name: &key.name,
            provider: key.provider.as_deref(),
            rate_limit: key.rate_limit,
            rate_limits: key.limits.rate_limits.iter().map(rate).collect(),
            max_concurrent: key.limits.max_concurrent,
            budget_limit_usd: key.budget_limit_nano.and_then(usd),
            budget_period: key.period.name(),
            spent_usd: usd(spend.spent_nano),
            held_usd: usd(spend.held_nano),
            remaining_usd: remaining.and_then(usd),
            period_resets_at: spend.window.end_ms.map(instant),
            status: match key.refusal(now_ms) {
                None => "active",
                Some(Code::KeyRevoked) => "revoked",
                Some(Code::KeyExpired) => "expired",
                Some(_) => "disabled",
            },
            is_active: key.is_active,
            created_at: instant(key.created_at_ms),
            expires_at: key.expires_at_ms.map(instant),
            revoked_at: key.revoked_at_ms.map(instant),
            rotated_at: key.rotated_at_ms.map(instant),
            has_real_api_key: key.sealed.is_some(),
            models: &key.models,
            pii_input: short_form(&key.guardrails),
            guardrails: &key.guardrails,
            config: key.config.as_ref().and_then(raw),
            metadata: key.metadata.as_ref().and_then(raw),
            environment: key.environment.as_deref(),
            teams: &key.membership.teams,
            user: key.membership.user.as_deref(),
            tier: key.membership.tier.as_deref(),
            tags: key
                .membership
                .tags
                .iter()
                .filter_map(|tag| tag.split_once('='))
                .collect(),
            tenant: &key.membership.tenant,
            from_file: key.from_file,
            warnings: warnings.collect(),
        }
    }
}

/// A limit as it is given.
fn rate(rate: &RateConfig) -> Value {
    let per = rate.per().map_or_else(Value::from, Value::from);
    let given = [
        ("requests", rate.requests),
        ("tokens", rate.tokens),
        ("concurrent", rate.concurrent),
    ];
    let given = given.into_iter();
    let members = given.filter_map(|(name, limit)| Some((name.to_owned(), limit?.into())));
    members.chain([("per".to_owned(), per)]).collect()
}
