//! What this service holds in Redis: it puts that back when Redis has lost it. It stands in the journal as
//! well, so that a service that starts again still knows.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::ledger::{HOLD_TTL_MS, Hold};
use engine::usage::NanoUsd;
use lru::LruCache;

use super::super::journal::{Counts, Journal};
use super::bounds::Bounds;
use super::{Group, Wish};

/// A hold that was not renewed here for so long may have been settled by others, in milliseconds: it is put
/// back only when the ledger does not have it.
const DOUBT_MS: u64 = 20_000;
/// How long one is known that was not renewed: long enough that whoever has charged it after it expired has
/// brought that to the ledger, in milliseconds.
const KNOWN_MS: u64 = 5 * HOLD_TTL_MS;
/// Exchanges that are remembered because they ended before it was known here that they are held.
const OVER_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8_191);

/// See the module.
pub(crate) struct Own(Mutex<Holds>);

struct Holds {
    kept: HashMap<String, Kept>,
    journal: Journal,
    /// Those of the service before, until it is known what has become of them.
    before: Vec<Kept>,
    /// Of these, those that have not ended meanwhile.
    open: HashSet<String>,
    /// What has ended and was not known: a client that leaves at once is settled while Redis still answers that
    /// it is held.
    over: LruCache<String, ()>,
}

/// A hold, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) wish: Wish,
    pub(crate) shares: Vec<(Group, Bounds)>,
    pub(crate) admitted_ms: u64,
    pub(crate) seen_ms: u64,
}

impl Own {
    pub(super) fn new(journal: Journal) -> Own {
        Own(Mutex::new(Holds {
            kept: HashMap::new(),
            journal,
            before: Vec::new(),
            open: HashSet::new(),
            over: LruCache::new(OVER_MAX),
        }))
    }

    /// When an exchange or a lease was admitted, if it was here.
    pub(crate) fn admitted_ms(&self, id: &str) -> Option<u64> {
        self.lock().kept.get(id).map(|kept| kept.admitted_ms)
    }

    pub(super) fn held(&self, wish: &Wish, shares: Vec<(Group, Bounds)>, now_ms: u64) {
        let kept = Kept {
            wish: wish.clone(),
            shares,
            admitted_ms: now_ms,
            seen_ms: now_ms,
        };
        let mut own = self.lock();
        if own.over.pop(&wish.id).is_some() {
            return;
        }
        own.note(&kept);
        own.kept.insert(wish.id.clone(), kept);
    }

    /// Holds of the service before.
    pub(super) fn begin(&self, before: Vec<Kept>) {
        let mut own = self.lock();
        let Holds { journal, .. } = &mut *own;
        // What is noted twice is held once.
        let _longer = journal.rewrite(before.iter().map(Kept::noted));
        own.open = before.iter().map(|kept| kept.wish.id.clone()).collect();
        own.before = before;
    }

    /// These, once.
    pub(super) fn before(&self) -> Vec<Kept> {
        std::mem::take(&mut self.lock().before)
    }

    /// A hold of the service before is still there, or again; one that was settled since is nobody's.
    pub(super) fn keeps(&self, kept: Kept, now_ms: u64) {
        let kept = Kept {
            seen_ms: now_ms,
            ..kept
        };
        let mut own = self.lock();
        if own.open.remove(&kept.wish.id) {
            own.kept.insert(kept.wish.id.clone(), kept);
        }
    }

    pub(super) fn renewed(&self, live: &[(String, NanoUsd)], now_ms: u64) {
        let mut own = self.lock();
        // Without this line less is charged after a crash than was spent, no more.
        let _unwritten = own.journal.renew(live);
        own.compact();
        for (id, cost_nano) in live {
            if let Some(kept) = own.kept.get_mut(id) {
                kept.seen_ms = now_ms;
                // What a lease has cost goes down when its records come.
                kept.wish.cost_nano = match kept.wish.lease {
                    Some(_) => *cost_nano,
                    None => (*cost_nano).max(kept.wish.cost_nano),
                };
                kept.wish.amount_nano = (*cost_nano).max(kept.wish.amount_nano);
            }
        }
    }

    pub(super) fn changed(&self, id: &str, more_nano: NanoUsd) {
        let mut own = self.lock();
        let Some(kept) = own.kept.get_mut(id) else {
            return;
        };
        let amount_nano = kept.wish.amount_nano.saturating_add(more_nano);
        kept.wish.amount_nano = amount_nano.max(0);
        kept.wish.cost_nano = kept.wish.cost_nano.min(kept.wish.amount_nano);
        if more_nano > 0 {
            let kept = kept.clone();
            own.note(&kept);
        }
    }

    /// A lease keeps no more than this.
    pub(super) fn lowered(&self, id: &str, keep_nano: NanoUsd, running: u64) {
        let mut own = self.lock();
        if let Some(kept) = own.kept.get_mut(id) {
            let wish = &mut kept.wish;
            wish.amount_nano = wish.amount_nano.min(keep_nano).max(0);
            wish.cost_nano = wish.cost_nano.min(wish.amount_nano);
            wish.running = wish.running.min(running);
        }
    }

    /// An exchange was settled, which the ledger tells.
    pub(super) fn ended(&self, id: &str) {
        let mut own = self.lock();
        let was_open = own.open.remove(id);
        if own.kept.remove(id).is_none() && !was_open {
            own.over.put(id.to_owned(), ());
        }
    }

    /// A lease has ended, which nothing else tells.
    pub(super) fn lease_ended(&self, id: &str) {
        let mut own = self.lock();
        own.kept.remove(id);
        own.open.remove(id);
        let _unwritten = own.journal.end(id);
    }

    /// Forgets what has expired long since, and leases of which nothing was used: nobody is charged for
    /// these, so the ledger does not tell.
    pub(super) fn tidy(&self, now_ms: u64) {
        let mut own = self.lock();
        own.kept.retain(|_, kept| {
            let is_unused = kept.wish.lease.is_some() && kept.wish.cost_nano == 0;
            let known_ms = if is_unused { HOLD_TTL_MS } else { KNOWN_MS };
            kept.seen_ms.saturating_add(known_ms) > now_ms
        });
    }

    /// What nobody else has settled for sure.
    pub(super) fn recent(&self, now_ms: u64) -> Vec<Kept> {
        self.of(|kept| !kept.is_doubtful(now_ms))
    }

    /// What others may have settled.
    pub(super) fn doubtful(&self, now_ms: u64) -> Vec<Kept> {
        self.of(|kept| kept.is_doubtful(now_ms))
    }

    fn of(&self, is: impl Fn(&Kept) -> bool) -> Vec<Kept> {
        let own = self.lock();
        let kept = own.kept.values().filter(|kept| is(kept));
        kept.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Holds> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holds {
    /// Notes a hold. Redis has it: a journal that cannot be written is no reason to refuse anybody.
    fn note(&mut self, kept: &Kept) {
        self.compact();
        let (id, hold, counts) = kept.noted();
        let _unwritten = self.journal.note(id, &hold, counts);
    }

    fn compact(&mut self) {
        if self.journal.is_full() {
            let all = self.kept.values().chain(&self.before);
            let _longer = self.journal.rewrite(all.map(Kept::noted));
        }
    }
}

impl Kept {
    /// How long it is held yet unless it is renewed, in milliseconds. What is over has to be charged.
    pub(super) fn ttl_ms(&self, now_ms: u64) -> u64 {
        let until_ms = self.seen_ms.saturating_add(HOLD_TTL_MS);
        until_ms.saturating_sub(now_ms).max(1)
    }

    fn is_doubtful(&self, now_ms: u64) -> bool {
        self.seen_ms.saturating_add(DOUBT_MS) <= now_ms
    }

    /// As the journal tells of it.
    fn noted(&self) -> (&str, Hold, Counts) {
        let Wish { info, .. } = &self.wish;
        let hold = Hold {
            amount_nano: self.wish.amount_nano,
            metered_nano: self.wish.cost_nano,
            admitted_ms: self.admitted_ms,
            expires_ms: 0,
            scopes: Vec::new(),
            key: info.key.clone(),
            provider: info.provider.clone(),
            model: info.model.clone(),
            tokens_in: info.tokens_in,
            user: info.user.clone(),
            tags: info.tags.clone(),
            lease_requests: self.wish.lease,
        };
        let limited = self.shares.iter().flat_map(|(_, bounds)| bounds.limited());
        let counted = (self.wish.requests, self.wish.tokens, self.wish.running);
        (&self.wish.id, hold, (limited.collect(), Some(counted)))
    }
}

#[cfg(test)]
mod tests {
    use engine::period::Calendar;

    use super::*;
    use crate::serve::shared::bounds::Fields;

    fn kept(id: &str) -> Kept {
        Kept {
            wish: Wish {
                id: id.to_owned(),
                amount_nano: 5,
                cost_nano: 0,
                fields: Fields::of(&Calendar::default(), 1),
                lease: None,
                info: Default::default(),
                requests: 1,
                tokens: 1,
                running: 1,
                check: (0, 0),
            },
            shares: Vec::new(),
            admitted_ms: 1,
            seen_ms: 1,
        }
    }

    fn ids(kept: Vec<Kept>) -> Vec<String> {
        let mut ids: Vec<String> = kept.into_iter().map(|kept| kept.wish.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn what_is_settled_while_a_service_comes_back_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let own = Own::new(Journal::open(&folder.path().join("holds.journal")).unwrap());
        own.begin(vec![kept("settled"), kept("runs")]);
        let before = own.before();
        own.ended("settled");
        for kept in before {
            own.keeps(kept, 2);
        }
        assert_eq!(ids(own.recent(3)), ["runs"]);
    }

    #[test]
    fn what_is_not_renewed_is_known_until_somebody_has_charged_it() {
        let own = Own::new(Journal::none());
        let lease = |id: &str, cost_nano| Wish {
            lease: Some(5),
            cost_nano,
            ..kept(id).wish
        };
        own.held(&kept("runs").wish, Vec::new(), 1);
        own.held(&lease("unused", 0), Vec::new(), 1);
        own.held(&lease("used", 2), Vec::new(), 1);
        own.held(&kept("over").wish, Vec::new(), 1);
        let later = 1 + HOLD_TTL_MS;
        own.renewed(&[("runs".to_owned(), 0)], later);
        own.tidy(later);
        assert_eq!(ids(own.recent(later)), ["runs"]);
        assert_eq!(ids(own.doubtful(later)), ["over", "used"]);
        assert_eq!(own.recent(later + 1)[0].ttl_ms(later + 1), HOLD_TTL_MS - 1);
        // It expires at once, and is charged then.
        assert_eq!(own.doubtful(later)[0].ttl_ms(later), 1);
        own.ended("used");
        assert_eq!(ids(own.doubtful(later)), ["over"]);
        own.tidy(later + KNOWN_MS);
        assert!(own.recent(0).is_empty() && own.doubtful(u64::MAX).is_empty());
    }

    #[test]
    fn what_is_settled_before_it_is_known_to_be_held_is_not_kept() {
        let own = Own::new(Journal::none());
        own.ended("left");
        own.held(&kept("left").wish, Vec::new(), 1);
        own.held(&kept("runs").wish, Vec::new(), 1);
        assert_eq!(ids(own.recent(1)), ["runs"]);
        own.ended("runs");
        assert!(own.recent(1).is_empty());
    }

    #[test]
    fn a_lease_is_put_back_as_low_as_it_is() {
        let own = Own::new(Journal::none());
        own.held(&kept("a").wish, Vec::new(), 1);
        own.lowered("a", 3, 0);
        own.lowered("a", 4, 1);
        let wish = own.recent(1)[0].wish.clone();
        assert_eq!((wish.amount_nano, wish.running), (3, 0));
    }
}
