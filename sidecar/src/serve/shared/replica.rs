//! This service as one of several that count in the same Redis.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::ledger::Scope;
use engine::period::Period;
use engine::usage::NanoUsd;
use engine::wire::{Admission, Admit, Grow, LeaseState, Rates, Renew, Renewed};
use serde_json::value::RawValue;

use super::super::journal::Journal;
use super::super::state::{AdmitReply, Core, Shared, Spent};
use super::bounds::{Bounds, Fields};
use super::calls::{Ending, Settling};
use super::client::{Client, Fault};
use super::counting::{Batch, Counting, Durable};
use super::draft::{Draft, Granted, adopt};
use super::epoch::GRACE_MS;
use super::ledger::{Known, LedgerSums, Read};
use super::own::Own;
use super::sums::{Sum, Waits};
use super::{
    Charged, Counters, Ended, Group, Held, LONG_PATIENCE, Late, Layout, Owner, PATIENCE, Wish,
};
use crate::clock;

/// Times that one admission is weighed at most.
const ROUNDS_MAX: usize = 8;
/// Times that a scope's sums are read at most, while charges come in between.
const SUMS_MAX: usize = 8;

/// See the module.
pub(crate) struct Replica {
    /// What requests wait for.
    fast: Counters,
    /// What they do not wait for.
    slow: Counters,
    pub(super) sums: LedgerSums,
    /// Who this service is.
    pub(super) who: String,
    /// Whether Redis answered last.
    works: AtomicBool,
    /// Where records go that have to be counted.
    counting: Counting,
    /// What this service holds.
    pub(crate) own: Own,
    /// Groups of tenants, as far as they are known.
    groups: Mutex<HashSet<Group>>,
    /// From when on what was begun last admits, in Unix milliseconds.
    open_ms: AtomicU64,
}

impl Replica {
    pub(crate) fn new(
        (url, layout): (&str, Layout),
        sums: LedgerSums,
        counting: Counting,
        who: &str,
    ) -> Replica {
        let cluster = layout == Layout::Tenants;
        let client = |patience| Client::new(url, cluster, patience);
        let fast = Counters::new(client(PATIENCE), layout, who);
        let slow = fast.beside(client(LONG_PATIENCE));
        Replica {
            fast,
            slow,
            sums,
            who: who.to_owned(),
            works: AtomicBool::new(true),
            counting,
            own: Own::new(Journal::none()),
            groups: Mutex::default(),
            open_ms: AtomicU64::new(u64::MAX),
        }
    }

    /// Leaves durable records to be counted.
    pub(crate) fn count(&self, batch: Batch) {
        // Who counts has ended with the service: the records are durable.
        let _ended = self.counting.send(batch);
    }

    /// Whether Redis answered when it was asked last, and admits.
    pub(crate) fn works(&self) -> bool {
        let is_open = self.open_ms.load(Ordering::Relaxed) <= clock::now_ms();
        is_open && self.works.load(Ordering::Relaxed)
    }

    /// The epoch of a group, which begins if there is none.
    pub(super) async fn epoch(&self, group: &Group) -> Result<String, Fault> {
        let open_ms = clock::now_ms().saturating_add(GRACE_MS);
        self.heard(self.slow.epoch(group, open_ms).await)
    }

    /// What is counted is of this version from now on.
    pub(crate) fn counts(&self, version: u64) {
        self.fast.counts(version);
        self.slow.counts(version);
    }

    /// The database has this service's records up to `seq`.
    pub(super) async fn stored(&self, group: &Group, seq: u64) -> Result<(), Fault> {
        self.slow.stored(group, seq, clock::now_ms()).await
    }

    /// Forgets what keys have spent where their tenants were others. What cannot be forgotten now is given
    /// back.
    pub(super) async fn forget(&self, moved: Vec<(String, String)>) -> Vec<(String, String)> {
        let mut left = Vec::new();
        for (key, tenant) in moved {
            let place = (key.as_str(), tenant.as_str());
            if self.slow.forget(place, clock::now_ms()).await.is_err() {
                left.push((key, tenant));
            }
        }
        left
    }

    /// Removes what epochs before have left.
    pub(super) async fn sweep(&self, group: &Group) -> Result<(), Fault> {
        self.slow.sweep(group, clock::now_ms()).await
    }

    /// An epoch is known here, and everything of this service is in it.
    pub(super) fn opened(&self, epoch: &str) {
        let open_ms = epoch.get(..13).and_then(|digits| digits.parse().ok());
        self.open_ms.store(open_ms.unwrap_or(0), Ordering::Relaxed);
    }

    /// Holds again what was held before Redis lost it.
    pub(super) async fn put_back(
        &self,
        wish: &Wish,
        shares: &[(Group, Bounds)],
        now_ms: u64,
    ) -> Result<(), Fault> {
        self.slow.hold(wish, shares, true, now_ms).await?;
        Ok(())
    }

    /// Where bounds of `owner` are.
    pub(super) fn shares(&self, bounds: Bounds, owner: Owner<'_>) -> Vec<(Group, Bounds)> {
        self.slow.shares(bounds, owner)
    }

    /// Those of these groups that have a hold.
    pub(super) async fn where_held(
        &self,
        id: &str,
        groups: impl Iterator<Item = &Group>,
        now_ms: u64,
    ) -> Result<HashSet<Group>, Fault> {
        let mut found = HashSet::new();
        for group in groups {
            if self.slow.has(group, id, now_ms).await? {
                found.insert(group.clone());
            }
        }
        Ok(found)
    }

    /// Groups of all keys, and everybody's.
    pub(super) fn every_group(&self, shared: &Shared) -> Vec<Group> {
        let mut groups = self.homes(shared);
        let common = Group::common();
        if !groups.contains(&common) {
            groups.push(common);
        }
        groups
    }

    fn heard<T>(&self, answer: Result<T, Fault>) -> Result<T, Fault> {
        self.works.store(answer.is_ok(), Ordering::Relaxed);
        answer
    }

    /// Waits until what was left so far is counted, but not for a Redis that does not answer.
    pub(crate) async fn flush(&self) {
        let (reply, counted) = tokio::sync::oneshot::channel();
        self.count(Batch {
            replies: vec![(reply, 0)],
            ..Batch::default()
        });
        // What is not counted now is counted after the next start.
        let _later = tokio::time::timeout(LONG_PATIENCE, counted).await;
    }

    /// Decides on an admission with what all replicas have counted.
    pub(crate) async fn admit(&self, shared: &Shared, admit: &Admit) -> AdmitReply {
        let decided = self.heard(self.decide(shared, admit).await);
        decided.unwrap_or_else(|_| AdmitReply::unavailable())
    }

    async fn decide(&self, shared: &Shared, admit: &Admit) -> Result<AdmitReply, Fault> {
        let Some(tenant) = tenant_of(&shared.core(), &admit.key) else {
            return Ok(shared.core().admit(admit, clock::now_ms()));
        };
        let owner = Owner {
            key: &admit.key,
            tenant: &tenant,
        };
        if let Some(ask) = admit.cache.as_ref().filter(|ask| ask.read) {
            let kept = self.fast.kept(&ask.key).await?;
            shared.core().cache.show(&ask.key, kept, clock::now_ms());
        }
        let mut is_fresh = false;
        for _ in 0..ROUNDS_MAX {
            let now_ms = clock::now_ms();
            let draft = shared.core().draft(admit, now_ms);
            let (wish, bounds) = match &draft {
                Draft::Grant(granted) if granted.plain || is_fresh => {
                    (&granted.wish, granted.bounds.clone())
                }
                Draft::Cached(cached) => (&cached.1, cached.2.clone()),
                Draft::Refused(_) if is_fresh => {
                    let Draft::Refused(reply) = draft else { break };
                    return Ok(*reply);
                }
                Draft::Refused(_) | Draft::Grant(_) => {
                    is_fresh = self.refresh(shared, admit, owner, now_ms).await?;
                    continue;
                }
            };
            let shares = self.fast.shares(bounds, owner);
            match self.fast.hold(wish, &shares, false, now_ms).await? {
                Held::Yes(states) => {
                    let rate = seen(shared, &shares, &states, now_ms);
                    if !wish.id.is_empty() {
                        self.own.held(wish, shares, now_ms);
                    }
                    return Ok(match draft {
                        Draft::Grant(granted) => {
                            self.granted(shared, *granted, rate, owner, now_ms).await
                        }
                        Draft::Cached(cached) => cached.0.with_rate(rate),
                        Draft::Refused(reply) => *reply,
                    });
                }
                Held::No(place, states) => {
                    let told = shares.get(place..).unwrap_or_default();
                    seen(shared, told, &[states], now_ms);
                    is_fresh = false;
                }
                Held::Unready(group, scopes) => self.ready(shared, &group, &scopes).await?,
                Held::Unopened(group) => self.open(&group).await?,
                Held::Closed | Held::Full | Held::Settled => break,
            }
        }
        Ok(AdmitReply::unavailable())
    }

    /// Reads everything that can bound an admission. `false` when it has to be done again.
    async fn refresh(
        &self,
        shared: &Shared,
        admit: &Admit,
        owner: Owner<'_>,
        now_ms: u64,
    ) -> Result<bool, Fault> {
        let Some(bounds) = shared.core().every_bound(admit, now_ms) else {
            return Ok(true);
        };
        self.look(&self.fast, shared, bounds, owner, now_ms).await
    }

    async fn look(
        &self,
        counters: &Counters,
        shared: &Shared,
        bounds: Bounds,
        owner: Owner<'_>,
        now_ms: u64,
    ) -> Result<bool, Fault> {
        let shares = counters.shares(bounds, owner);
        match counters.read(&shares, now_ms).await? {
            Held::Yes(states) => {
                seen(shared, &shares, &states, now_ms);
                return Ok(true);
            }
            Held::Unready(group, scopes) => self.ready(shared, &group, &scopes).await?,
            Held::Unopened(group) => self.open(&group).await?,
            _ => return Err(Fault::Down("it is being filled again".to_owned())),
        }
        Ok(false)
    }

    /// A grant that is held; its lease is given if there is room for that too.
    async fn granted(
        &self,
        shared: &Shared,
        granted: Granted,
        rate: Rates,
        owner: Owner<'_>,
        now_ms: u64,
    ) -> AdmitReply {
        let mut grant = granted.grant;
        grant.rate = rate;
        if let Some(lease) = &granted.lease {
            let shares = self.fast.shares(granted.bounds, owner);
            match self.fast.hold(lease, &shares, false, now_ms).await {
                Ok(Held::Yes(states)) => {
                    grant.rate = seen(shared, &shares, &states, now_ms);
                    self.own.held(lease, shares, now_ms);
                }
                // One that was made though the answer is lost expires.
                _ => grant.lease = None,
            }
        } else {
            grant.lease = None;
        }
        AdmitReply::Decided(Admission::Granted(grant))
    }

    /// Begins an epoch. What comes before it admits has to come again.
    async fn open(&self, group: &Group) -> Result<(), Fault> {
        self.epoch(group).await?;
        Ok(())
    }

    /// Gives scopes the sums that the ledger has of them.
    async fn ready(
        &self,
        shared: &Shared,
        group: &Group,
        scopes: &[(Scope, u64)],
    ) -> Result<(), Fault> {
        let calendar = shared.core().ledger.calendar().clone();
        let mut left: Vec<&(Scope, u64)> = scopes.iter().collect();
        for _ in 0..SUMS_MAX {
            let now_ms = clock::now_ms();
            let mut waits = Vec::with_capacity(left.len());
            for (scope, _) in &left {
                waits.push(self.slow.waiting(group, scope, now_ms).await?);
            }
            let names = left.iter().map(|(scope, _)| scope.clone()).collect();
            let exchanges = waits.iter().flat_map(Waits::exchanges).collect();
            let read = self.sums.read(names, exchanges).await;
            let read = read.map_err(|error| Fault::Odd(error.to_string()))?;
            let mut unready = Vec::new();
            for (one, waits) in left.into_iter().zip(&waits) {
                let (scope, since) = one;
                if *since > read.version {
                    let why = "a scope is not counted in the database yet";
                    return Err(Fault::Odd(why.to_owned()));
                }
                let sum = sum(shared, scope, &read);
                let place = (scope, *since);
                let given = self
                    .slow
                    .initialise(group, place, waits, &sum, &calendar, now_ms);
                if !given.await? {
                    unready.push(one);
                }
            }
            left = unready;
            if left.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Extends the holds of running exchanges.
    pub(crate) async fn renew(&self, shared: &Shared, renew: &Renew) -> Result<Renewed, Fault> {
        let extended = self.fast.renew(&renew.live, clock::now_ms()).await;
        let extended = self.heard(extended)?;
        self.own.renewed(&renew.live, clock::now_ms());
        let grown_nano = match &renew.grow {
            Some(grow) => self.heard(self.grow(shared, grow).await)?,
            None => 0,
        };
        Ok(Renewed {
            extended,
            grown_nano,
        })
    }

    /// Lets one hold grow as far as every hard budget has room. What a group gives and another does
    /// not stays held until the hold ends.
    async fn grow(&self, shared: &Shared, grow: &Grow) -> Result<NanoUsd, Fault> {
        let now_ms = clock::now_ms();
        let mut grown_nano = None;
        for (group, _, scopes) in self.fast.peek(&grow.id, now_ms).await? {
            let bounds = {
                let mut core = shared.core();
                let Core {
                    ledger,
                    limits,
                    counted,
                    ..
                } = &mut *core;
                let ids = scopes.iter().filter_map(|scope| ledger.place_of(scope));
                let ids: Vec<_> = ids.collect();
                Bounds::of(ledger, limits, counted, &ids, &[], now_ms)
            };
            let by_nano = grown_nano.unwrap_or(grow.by_nano);
            let more = (grow.id.as_str(), by_nano);
            grown_nano = Some(self.fast.grow(&group, more, &bounds, now_ms).await?);
        }
        let grown_nano = grown_nano.unwrap_or(0);
        self.own.changed(&grow.id, grown_nano);
        Ok(grown_nano)
    }

    /// Settles a record that is durable.
    pub(crate) async fn settle(
        &self,
        shared: &Shared,
        durable: &Durable,
    ) -> Result<Charged, Fault> {
        let record = &durable.record;
        let (tenant, scopes, calendar) = {
            let core = shared.core();
            let scopes = match record.key.is_empty() || durable.elsewhere {
                true => Vec::new(),
                false => core.scopes(&Spent::of(record)),
            };
            let since = |scope: Scope| {
                let since = core.counted.since(&scope);
                (scope, since)
            };
            let scopes = scopes.into_iter().map(since).collect();
            let tenant = tenant_of(&core, &record.key).unwrap_or_default();
            (tenant, scopes, core.ledger.calendar().clone())
        };
        let owner = Owner {
            key: &record.key,
            tenant: &tenant,
        };
        let ended = Ended {
            exchange: &record.exchange,
            lease: record.lease.as_deref(),
            expired: record.ending == engine::wire::Ending::Expired,
            cost_nano: record.cost_nano,
            at_ms: durable.charged_ms,
            provider: &record.provider,
            model: &record.model,
            input: record.usage.input,
            output: record.usage.output,
            scopes,
            place: durable.place,
        };
        let fields = |at_ms| Fields::of(&calendar, at_ms);
        for _ in 0..ROUNDS_MAX {
            let now_ms = clock::now_ms();
            let mut ended = ended.clone();
            ended.at_ms = ended.at_ms.min(now_ms);
            let settled = self.slow.settle(&ended, owner, fields, now_ms).await;
            match self.heard(settled)? {
                Settling::Done(charged) => {
                    match &record.lease {
                        Some(lease) => self.own.changed(lease, record.cost_nano.saturating_neg()),
                        None => self.own.ended(&record.exchange),
                    }
                    return Ok(charged);
                }
                Settling::Unopened(group) => self.open(&group).await?,
            }
        }
        Err(Fault::Odd("Redis forgets what it is told".to_owned()))
    }

    /// Notes what an expired hold was charged, as the ledger tells it.
    pub(super) async fn stand(&self, shared: &Shared, known: &Known) -> Result<(), Fault> {
        let (tenant, scopes, calendar) = {
            let core = shared.core();
            let tenant = tenant_of(&core, &known.key).unwrap_or_default();
            let scopes = core.scopes(&known.spent());
            (tenant, scopes, core.ledger.calendar().clone())
        };
        let owner = Owner {
            key: &known.key,
            tenant: &tenant,
        };
        let charged = (known.exchange.as_str(), known.cost_nano);
        let fields = Fields::of(&calendar, known.at_ms);
        let at = (known.at_ms, &fields);
        let stands = self
            .slow
            .stand(charged, &scopes, owner, at, clock::now_ms());
        self.heard(stands.await)
    }

    /// Lowers or ends leases as their workers say.
    pub(crate) async fn lease_states(&self, states: &[LeaseState]) -> Result<(), Fault> {
        for state in states {
            let now_ms = clock::now_ms();
            let ending = Ending {
                id: &state.id,
                keep_nano: state.keep_nano,
                done: state.done,
                requests: state.requests,
                tokens: state.tokens,
                running: state.running,
            };
            self.slow.finish(&ending, now_ms).await?;
            if state.done {
                self.own.lease_ended(&state.id);
            }
        }
        Ok(())
    }

    /// Holds that nobody renewed and that somebody has to pay for.
    pub(crate) async fn expire(&self, shared: &Shared) -> Result<Vec<Late>, Fault> {
        let now_ms = clock::now_ms();
        let mut late = Vec::new();
        for group in self.homes(shared) {
            let told = self.slow.expire(&group, now_ms).await;
            late.extend(self.heard(told)?);
        }
        let running = self.slow.expire_halves(now_ms).await;
        self.groups().extend(self.heard(running)?);
        Ok(late)
    }

    /// The groups of all tenants, of those too that had keys when something began.
    fn homes(&self, shared: &Shared) -> Vec<Group> {
        let mut homes = self.groups();
        let core = shared.core();
        homes.extend(core.keys.all().map(|entry| {
            self.slow.home(Owner {
                key: &entry.key.id,
                tenant: &entry.key.membership.tenant,
            })
        }));
        homes.iter().cloned().collect()
    }

    fn groups(&self) -> MutexGuard<'_, HashSet<Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings budgets of these scopes up to date in this process's ledger: what reads of them show.
    pub(crate) async fn watch(&self, shared: &Shared, scopes: &[Scope]) -> Result<(), Fault> {
        for scope in scopes {
            let now_ms = clock::now_ms();
            for _ in 0..SUMS_MAX {
                let (bounds, key, tenant) = {
                    let mut core = shared.core();
                    let (key, tenant) = match scope {
                        Scope::Key(key) => {
                            let tenant = tenant_of(&core, key);
                            (key.clone(), tenant.unwrap_or_default())
                        }
                        Scope::Tenant(tenant) => (String::new(), tenant.clone()),
                        _ => (String::new(), String::new()),
                    };
                    let also = match scope {
                        Scope::Key(key) => core.keys.by_id(key).map(|entry| entry.key.period),
                        Scope::Global => Some(Period::Monthly),
                        _ => None,
                    };
                    let Core {
                        ledger,
                        limits,
                        counted,
                        ..
                    } = &mut *core;
                    let ids: Vec<_> = ledger.place_of(scope).into_iter().collect();
                    let mut bounds = Bounds::of(ledger, limits, counted, &ids, &[], now_ms);
                    if let Some(period) = also {
                        bounds.look_at(period, ledger.calendar().window(period, now_ms));
                    }
                    (bounds, key, tenant)
                };
                let owner = Owner {
                    key: &key,
                    tenant: &tenant,
                };
                if !bounds.bind() {
                    break;
                }
                let looked = self.look(&self.slow, shared, bounds, owner, now_ms).await;
                if self.heard(looked)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Keeps an answer for all replicas.
    pub(crate) async fn keep(&self, key: &str, answer: &RawValue, ttl_s: u64) -> Result<(), Fault> {
        self.heard(self.slow.keep(key, answer, ttl_s).await)
    }

    /// Holds that are open, in the groups of all keys.
    pub(crate) async fn holds(&self, shared: &Shared) -> Result<usize, Fault> {
        let mut open: usize = 0;
        for group in self.homes(shared) {
            let more = self.heard(self.slow.holds(&group, clock::now_ms()).await)?;
            open = open.saturating_add(more);
        }
        Ok(open)
    }
}

/// Takes over what Redis has told; the tightest limits of requests and tokens among it.
fn seen(shared: &Shared, shares: &[(Group, Bounds)], states: &[Vec<i64>], now_ms: u64) -> Rates {
    let mut core = shared.core();
    let Core { ledger, limits, .. } = &mut *core;
    let told = shares.iter().map(|(_, bounds)| bounds).zip(states);
    let places = adopt(told, ledger, limits, now_ms);
    limits.rates(&places, now_ms)
}

/// What was read of one scope.
fn sum(shared: &Shared, scope: &Scope, read: &Read) -> Sum {
    let core = shared.core();
    let counts = read.known.iter().map(|known| {
        let counts = core.scopes(&known.spent()).contains(scope);
        let cost_nano = if counts { known.cost_nano } else { 0 };
        (known.exchange.clone(), cost_nano)
    });
    Sum {
        known: counts.collect(),
        days: read.days.get(scope).cloned().unwrap_or_default(),
        version: read.version,
        held: read.held.clone(),
    }
}

pub(super) fn tenant_of(core: &Core, key: &str) -> Option<String> {
    let entry = core.keys.by_id(key)?;
    Some(entry.key.membership.tenant.clone())
}
