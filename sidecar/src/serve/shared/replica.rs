//! This service as one of several that count in the same Redis.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
use super::ledger::{Known, LedgerSums, Read};
use super::own::{Kept, Own};
use super::roll::{self, GRACE_MS, Roll};
use super::sums::{Sum, Waits};
use super::{Charged, Counters, Ended, Group, Held, LONG_PATIENCE, Late, Layout, Owner, Wish};
use crate::clock;

mod epochs;
mod settling;
mod sums;

/// How long a hold may take to grow, less than filters wait for it.
const GROW_PATIENCE: Duration = Duration::from_millis(1_500);
/// Between two tries.
const GROW_PAUSE: Duration = Duration::from_millis(100);
/// Times that one admission is weighed at most.
const ROUNDS_MAX: usize = 8;
/// Times that a scope's sums are read at most, while charges come in between.
const SUMS_MAX: usize = 8;

/// See the module.
pub(crate) struct Replica {
    /// What requests wait for.
    fast: Counters,
    /// How long an admission does.
    patience: Duration,
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
    /// Whether somebody is waited for before budgets admit.
    waits: AtomicBool,
    /// Who else counts there.
    pub(super) roll: Roll,
}

impl Replica {
    pub(crate) fn new(
        (url, layout, patience): (&str, Layout, Duration),
        sums: LedgerSums,
        counting: Counting,
        who: &str,
    ) -> Replica {
        let cluster = layout == Layout::Tenants;
        let client = |patience| Client::new(url, cluster, patience);
        let fast = Counters::new(client(patience), layout, who);
        let slow = fast.beside(client(LONG_PATIENCE));
        Replica {
            fast,
            patience,
            slow,
            sums,
            who: who.to_owned(),
            works: AtomicBool::new(true),
            counting,
            own: Own::new(Journal::none()),
            groups: Mutex::default(),
            open_ms: AtomicU64::new(u64::MAX),
            waits: AtomicBool::new(true),
            roll: Roll::default(),
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
        is_open && !self.waits.load(Ordering::Relaxed) && self.works.load(Ordering::Relaxed)
    }

    /// What is counted is of this version from now on.
    pub(crate) fn counts(&self, version: u64) {
        self.fast.counts(version);
        self.slow.counts(version);
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
        let decided = tokio::time::timeout(self.patience, self.decide(shared, admit)).await;
        let late = || Err(Fault::Down("no answer in time".to_owned()));
        let decided = self.heard(decided.unwrap_or_else(|_| late()));
        // What is held though nobody waited any more, the refused request's record gives back.
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
            let passage = self.roll.enter();
            match self.fast.hold(wish, &shares, None, now_ms).await? {
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
                Held::Unready(group, scopes) => {
                    drop(passage);
                    self.ready(shared, &group, &scopes).await?;
                }
                Held::Unopened(group) => {
                    drop(passage);
                    self.open(&group).await?;
                }
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
            match self.fast.hold(lease, &shares, None, now_ms).await {
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
        self.epoch(group, "").await?;
        Ok(())
    }

    /// Extends the holds of running exchanges.
    pub(crate) async fn renew(&self, shared: &Shared, renew: &Renew) -> Result<Renewed, Fault> {
        let extended = match renew.live.as_slice() {
            [] => 0,
            live => self.heard(self.fast.renew(live, clock::now_ms()).await)?,
        };
        self.own.renewed(&renew.live, clock::now_ms());
        let grown_nano = match &renew.grow {
            Some(grow) => self.heard(self.grown(shared, grow).await)?,
            None => 0,
        };
        Ok(Renewed {
            extended,
            grown_nano,
        })
    }

    /// By how much a hold has grown. A stream waits for it and ends without it, so a Redis that comes back
    /// soon is waited for, and asked again.
    async fn grown(&self, shared: &Shared, grow: &Grow) -> Result<NanoUsd, Fault> {
        let tries = async {
            loop {
                match self.grow(shared, grow).await {
                    Ok(Some(grown_nano)) => return grown_nano,
                    // One that Redis has lost is put back.
                    Ok(None) if self.own.admitted_ms(&grow.id).is_none() => return 0,
                    Ok(None) | Err(_) => tokio::time::sleep(GROW_PAUSE).await,
                }
            }
        };
        let late = |_| Fault::Down("a hold did not grow in time".to_owned());
        tokio::time::timeout(GROW_PATIENCE, tries)
            .await
            .map_err(late)
    }

    /// Lets one hold grow as far as every hard budget has room; `None` when there is no such hold, or when
    /// that is not known yet. What a group gives and another does not stays held until the hold ends.
    async fn grow(&self, shared: &Shared, grow: &Grow) -> Result<Option<NanoUsd>, Fault> {
        let now_ms = clock::now_ms();
        let _passage = self.roll.enter();
        let mut grown_nano = None;
        for (group, info, scopes) in self.fast.peek(&grow.id, now_ms).await? {
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
            grown_nano = self.fast.grow(&group, more, &bounds, now_ms).await?;
            if grown_nano.is_none() {
                let owner = Owner {
                    key: &info.key,
                    tenant: &info.tenant,
                };
                let _not_yet = self.look(&self.fast, shared, bounds, owner, now_ms).await;
                return Ok(None);
            }
        }
        if let Some(grown_nano) = grown_nano {
            self.own.changed(&grow.id, grown_nano);
        }
        Ok(grown_nano)
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

pub(super) fn tenant_of(core: &Core, key: &str) -> Option<String> {
    let entry = core.keys.by_id(key)?;
    Some(entry.key.membership.tenant.clone())
}
