//! What the two interfaces and the writer share: everything that decides, behind one lock.

mod policy;
mod reply;
mod spent;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::ledger::{Answer, Ask, Ledger, Scope, ScopeId};
use engine::limit::Limits;
use engine::period::Period;
use engine::reply::Code;
use engine::usage::NanoUsd;
use engine::wire::{
    Admission, Admit, Grant, Grow, KeyAnswer, Quote, Rates, Refused, Renew, Renewed,
};

use super::cache::Cache;
use super::journal::Journal;
use super::keys::KeyTable;
use super::limits::LimitRules;
use super::log::Log;
use super::membership::{Party, Rules, Targets};
use super::metrics::{Gauges, Metrics};
use super::shared::replica::Replica;
use super::store::counted::Counted;
use reply::{CachedReply, rate_refusal, refuse, refused};

pub(crate) use policy::CompiledPolicy;
pub(crate) use reply::AdmitReply;
pub(crate) use spent::Spent;

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
