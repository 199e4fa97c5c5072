//! What the two interfaces and the writer share: everything that decides, behind one lock.

mod reply;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::cache_key::sha256_hex;
use engine::guard::{GuardConfig, Judge};
use engine::ledger::{Answer, Ask, Ledger, Scope, ScopeId};
use engine::limit::Limits;
use engine::period::Period;
use engine::reply::Code;
use engine::usage::NanoUsd;
use engine::wire::{
    Admission, Admit, Grant, Grow, KeyAnswer, Policy, PolicyAnswer, PolicyPoll, Quote, Rates,
    Refused, Renew, Renewed, UsageRecord,
};
use serde_json::value::RawValue;

use super::cache::Cache;
use super::journal::Journal;
use super::keys::KeyTable;
use super::limits::LimitRules;
use super::log::Log;
use super::membership::{Party, Rules, Targets};
use super::metrics::{Gauges, Metrics};
use super::shared::replica::Replica;
use super::store::counted::Counted;
use reply::{CachedReply, PolicyReply, rate_refusal, refuse, refused};

pub(crate) use reply::AdmitReply;

/// Filter VMs remembered for `/health`. Above it the list starts anew.
const VMS_MAX: usize = 1_024;
/// How long a VM counts as seen, in milliseconds.
const VM_SEEN_MS: u64 = 5_000;

/// What the threads of the service share.
pub(crate) struct Shared {
    core: Mutex<Core>,
    metrics: Mutex<Metrics>,
    /// Writes the service's own lines.
    pub(crate) log: Log,
    /// Whether the last write to the store succeeded.
    store_works: AtomicBool,
    /// Records that wait for the database.
    pub(crate) spooled: AtomicU64,
    /// Admissions that wait for a running exchange to end.
    pub(crate) busy: AtomicUsize,
    /// Where counters, holds and limits are when several services share them; else they are in `core`,
    /// where otherwise only stands what was last seen of them.
    pub(crate) replica: Option<Replica>,
}

/// Everything that decides.
pub(crate) struct Core {
    pub(crate) ledger: Ledger,
    pub(crate) keys: KeyTable,
    pub(crate) cache: Cache,
    pub(crate) journal: Journal,
    pub(crate) policy: CompiledPolicy,
    pub(crate) keys_version: u64,
    pub(crate) global: ScopeId,
    /// Budgets above those of keys.
    pub(crate) rules: Rules,
    /// What is counted besides where these budgets are.
    pub(crate) counted: Counted,
    /// What counts against limits on requests, tokens and what runs.
    pub(crate) limits: Limits,
    /// Those limits, besides the keys' own.
    pub(crate) limit_rules: LimitRules,
    /// Whether workers may get leases.
    leases: bool,
    /// Output tokens per choice that the first hold of a stream covers at most.
    slice_tokens: Option<u64>,
    vms: HashMap<String, u64>,
}

/// Spend, as far as it tells whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent<'a> {
    pub(crate) key: &'a str,
    pub(crate) user: &'a str,
    pub(crate) tags: &'a [String],
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
}

impl<'a> Spent<'a> {
    pub(crate) fn of(record: &'a UsageRecord) -> Spent<'a> {
        Spent {
            key: &record.key,
            user: &record.user,
            tags: &record.tags,
            provider: &record.provider,
            model: &record.model,
        }
    }
}

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
pub(crate) fn number(text: &str) -> i64 {
    let hash = sha256_hex(text.as_bytes());
    hash.get(..13)
        .and_then(|hex| i64::from_str_radix(hex, 16).ok())
        .unwrap_or(1)
}

impl Shared {
    pub(crate) fn new(core: Core, metrics: Metrics, log: Log, replica: Option<Replica>) -> Shared {
        Shared {
            replica,
            core: Mutex::new(core),
            metrics: Mutex::new(metrics),
            log,
            store_works: AtomicBool::new(true),
            spooled: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
        }
    }

    /// The lock is held for single decisions, never over I/O other than the journal's one write.
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn metrics(&self) -> MutexGuard<'_, Metrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store_works(&self) -> bool {
        self.store_works.load(Ordering::Relaxed)
    }

    /// Whether what is counted can be read and changed.
    pub(crate) fn counters_work(&self) -> bool {
        self.replica.as_ref().is_none_or(Replica::works)
    }

    pub(crate) fn note_store(&self, works: bool) {
        self.store_works.store(works, Ordering::Relaxed);
    }
}

impl Core {
    pub(crate) fn new(
        mut ledger: Ledger,
        keys: KeyTable,
        journal: Journal,
        policy: CompiledPolicy,
        keys_version: u64,
        (rules, limit_rules): (Rules, LimitRules),
        (leases, slice_tokens): (bool, Option<u64>),
    ) -> Core {
        let global = ledger.open(Scope::Global);
        let (cache, vms) = (Cache::new(), HashMap::new());
        Core {
            ledger,
            keys,
            cache,
            journal,
            policy,
            keys_version,
            global,
            rules,
            counted: Counted::default(),
            limits: Limits::default(),
            limit_rules,
            leases,
            slice_tokens,
            vms,
        }
    }

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

    /// Opens what budgets name.
    pub(crate) fn open_named(&mut self) {
        // Those above the cap are opened by their first request, or refused.
        let _opened = self.rules.open(self.rules.named(), None, &mut self.ledger);
    }

    /// Takes over what every scope has spent: days and costs.
    pub(crate) fn recount(&mut self, sums: HashMap<Scope, Vec<(u64, NanoUsd)>>) {
        for (scope, days) in sums {
            let id = match &scope {
                Scope::Global | Scope::Key(_) => self.ledger.open(scope),
                // The tier of a user is known with the next request.
                _ => match self.rules.open(vec![scope], None, &mut self.ledger) {
                    Some(ids) => match ids.first() {
                        Some(id) => *id,
                        None => continue,
                    },
                    None => continue,
                },
            };
            self.ledger.recount(id, days);
        }
    }

    /// Who the key with this hash belongs to.
    pub(crate) fn key(&self, hash: &str, now_ms: u64) -> KeyAnswer {
        match self.keys.by_hash(hash) {
            None => KeyAnswer::Refused(refused(Code::InvalidApiKey)),
            Some(entry) => match entry.key.refusal(now_ms) {
                Some(code) => KeyAnswer::Refused(refused(code)),
                None => KeyAnswer::Known(entry.record.clone()),
            },
        }
    }

    /// Limits, cache, budgets, in this order; only what goes on counts against the limit.
    pub(crate) fn admit(&mut self, admit: &Admit, now_ms: u64) -> AdmitReply {
        let Some(entry) = self.keys.by_id_mut(&admit.key) else {
            return refuse(refused(Code::InvalidApiKey));
        };
        if let Some(code) = entry.key.refusal(now_ms) {
            return refuse(refused(code));
        }
        let party = Party::asking(&entry.key, admit);
        let limits = &mut self.limits;
        let Some(mut limited) = self.limit_rules.open(entry, &party, limits, now_ms) else {
            return refuse(refused(Code::StateUnavailable));
        };
        if let Err(exceeded) = limits.check(limited.callers(), admit.tokens_in, now_ms) {
            return rate_refusal(&exceeded, limits.rates(limited.all(), now_ms));
        }
        let asked = admit.cache.as_ref().filter(|cache| cache.read);
        if let Some(answer) = asked.and_then(|ask| self.cache.get(&ask.key, now_ms)) {
            limits.count(limited.callers(), now_ms);
            let rate = limits.rates(limited.callers(), now_ms);
            return AdmitReply::Cached(CachedReply::Cached { answer, rate });
        }
        let mut skipped = Vec::new();
        if let Err(exceeded) = limits.check(limited.targets(), admit.tokens_in, now_ms) {
            skipped = self.limit_rules.full(entry, admit, limits, now_ms);
            if skipped.len() >= admit.targets.len() {
                return rate_refusal(&exceeded, limits.rates(limited.all(), now_ms));
            }
        }
        let broke = self.rules.exhausted(admit, &mut self.ledger, now_ms);
        let (kept, skipped) = chosen(&admit.targets, skipped, &broke);
        let quotes = kept.as_ref();
        let party = Party {
            targets: Targets::Planned(quotes),
            ..party
        };
        if !skipped.is_empty() {
            let Some(fewer) = self.limit_rules.open(entry, &party, limits, now_ms) else {
                return refuse(refused(Code::StateUnavailable));
            };
            limited = fewer;
        }
        let more = self.rules.scopes(&party);
        let tier = entry.key.membership.tier.as_deref();
        let Some(more) = self.rules.open(more, tier, &mut self.ledger) else {
            return refuse(refused(Code::StateUnavailable));
        };
        let scopes = [&entry.scopes[..], &more].concat();
        let ask = Ask {
            exchange: &admit.exchange,
            key: &admit.key,
            scopes: &scopes,
            quotes,
            output_cap: admit.output_cap,
            choices: admit.choices,
            tokens_in: admit.tokens_in,
            user: &admit.user,
            tags: &admit.tags,
            slice_tokens: self.slice_tokens.filter(|_| admit.stream),
        };
        match self.ledger.admit(&ask, now_ms) {
            Answer::Granted { held, hard } => {
                let places = limited.all().to_vec();
                limits.pass(&admit.exchange, places, admit.tokens_in, now_ms);
                let credentials = entry.credentials.clone();
                entry.demand.note(1, now_ms);
                if self.note(&admit.exchange).is_err() {
                    self.ledger.cancel(&admit.exchange);
                    self.limits.cancel(&admit.exchange, now_ms);
                    return refuse(refused(Code::StateUnavailable));
                }
                let mut grant = Grant {
                    hold_nano: held.hold_nano,
                    output_cap: held.output_cap,
                    hard,
                    sliced: held.sliced,
                    skipped,
                    credentials,
                    rate: Rates::default(),
                    lease: None,
                };
                if self.leases && admit.cache.is_none() {
                    self.lease(admit, &scopes, &mut grant, now_ms);
                }
                grant.rate = self.limits.rates(limited.all(), now_ms);
                AdmitReply::Decided(Admission::Granted(grant))
            }
            Answer::Refused(overdrawn) => refuse(Refused {
                code: Code::BudgetExceeded.row().name.to_owned(),
                message: overdrawn.message(),
                retry_after_s: overdrawn.retry_after_s,
                rate: self.limits.rates(limited.all(), now_ms),
            }),
            Answer::Full => refuse(refused(Code::StateUnavailable)),
        }
    }

    /// Notes a hold and what it counts, as they are now.
    pub(super) fn note(&mut self, id: &str) -> std::io::Result<()> {
        let hold = self.ledger.hold(id);
        let hold = hold.ok_or(std::io::ErrorKind::NotFound)?;
        self.journal.hold(id, hold, &self.limits)
    }

    /// Extends the holds of running exchanges.
    pub(crate) fn renew(&mut self, renew: &Renew, now_ms: u64) -> Renewed {
        let mut extended: u32 = 0;
        for (exchange, cost_nano) in &renew.live {
            if self.ledger.renew(exchange, *cost_nano, now_ms) {
                extended = extended.saturating_add(1);
            }
        }
        // Without this line a crash charges less for these exchanges than they have cost, which is
        // no reason to cut them.
        let _unwritten = self.journal.renew(&renew.live);
        let grown_nano = renew
            .grow
            .as_ref()
            .map_or(0, |grow| self.grow(grow, now_ms));
        Renewed {
            extended,
            grown_nano,
        }
    }

    /// Lets one hold grow, if that can be noted.
    fn grow(&mut self, grow: &Grow, now_ms: u64) -> NanoUsd {
        let grown = self.ledger.grow(&grow.id, grow.by_nano, now_ms);
        if grown > 0 && self.note(&grow.id).is_err() {
            let keep = self
                .ledger
                .hold(&grow.id)
                .map_or(0, |hold| hold.amount_nano);
            self.ledger.shrink(&grow.id, keep.saturating_sub(grown));
            return 0;
        }
        grown
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

    /// What `/metrics` shows of the present.
    pub(crate) fn gauges(&mut self, now_ms: u64) -> Gauges {
        let spend = self.ledger.spend(self.global, Period::Monthly, now_ms);
        Gauges {
            holds_open: self.ledger.holds().len(),
            keys: self.keys.all().count(),
            cache_entries: self.cache.len(),
            cache_bytes: self.cache.bytes(),
            vms: self.vms(now_ms),
            spent_month_nano: spend.spent_nano,
            held_nano: spend.held_nano,
            ..Gauges::default()
        }
    }

    /// Scopes that spend of this kind counts in, everybody's and the key's own among them.
    pub(crate) fn scopes(&self, spent: &Spent<'_>) -> Vec<Scope> {
        let mut scopes = vec![Scope::Global];
        let Some(entry) = self.keys.by_id(spent.key) else {
            return scopes;
        };
        scopes.push(Scope::Key(spent.key.to_owned()));
        let served = Targets::Served(spent.provider, spent.model);
        let party = Party::of(&entry.key, spent.user, spent.tags, served);
        scopes.extend(self.rules.scopes(&party));
        for scope in self.counted.scopes(&party) {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        scopes
    }

    /// The same, opened in the ledger.
    pub(crate) fn scope_ids(&mut self, spent: &Spent<'_>) -> Vec<ScopeId> {
        let key = self.keys.by_id(spent.key);
        let tier = key.and_then(|entry| entry.key.membership.tier.clone());
        let more = self.scopes(spent).split_off(1);
        let mut ids = vec![self.global];
        // Of too many scopes the further ones are not counted.
        for scope in more {
            if let Scope::Key(_) = scope {
                ids.push(self.ledger.open(scope));
            } else if let Some(opened) =
                self.rules
                    .open(vec![scope], tier.as_deref(), &mut self.ledger)
            {
                ids.extend(opened);
            }
        }
        ids
    }
}

/// The planned targets that are left, and the places of those that are not, for `full` ones have no room.
/// Those without budget stay when no other is left: they are what the refusal is about.
fn chosen<'a>(
    planned: &'a [Quote],
    full: Vec<usize>,
    broke: &[usize],
) -> (Cow<'a, [Quote]>, Vec<usize>) {
    if full.is_empty() && broke.is_empty() {
        return (planned.into(), full);
    }
    let both = |place: &usize| full.contains(place) || broke.contains(place);
    let all: Vec<usize> = (0..planned.len()).filter(both).collect();
    let skipped = if all.len() < planned.len() { all } else { full };
    let left = planned.iter().enumerate();
    let left = left.filter(|(place, _)| !skipped.contains(place));
    let left: Vec<Quote> = left.map(|(_, quote)| quote.clone()).collect();
    (left.into(), skipped)
}

// The reply types must keep saying what the wire says.
const _: fn(PolicyAnswer) -> (u64, u64) = |answer| (answer.version, answer.keys_version);
