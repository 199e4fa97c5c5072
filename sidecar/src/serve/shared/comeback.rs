//! Holds that this service had before it was started again. Where Redis still has them they are its own
//! again; where Redis has lost its memory meanwhile they are put back, unless somebody has settled them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use engine::ledger::HOLD_TTL_MS;

use super::super::journal::{Journal, Noted};
use super::super::restart;
use super::super::state::{Core, Spent};
use super::Group;
use super::bounds::{Bounds, Fields};
use super::client::Fault;
use super::own::{Kept, Own};
use super::replica::{Replica, tenant_of};
use super::{Info, Owner, Wish};
use crate::clock;

/// How long a store is left alone after it did not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// Epochs by the names of their groups.
type Epochs = HashMap<String, String>;

impl Replica {
    /// Takes over what a journal tells of the service before.
    pub(crate) fn take_over(
        &mut self,
        core: &mut Core,
        journal: Journal,
        noted: Vec<(String, Noted)>,
    ) {
        let now_ms = clock::now_ms();
        self.own = Own::new(journal);
        let before = noted
            .into_iter()
            .filter_map(|(id, noted)| self.kept(core, id, noted, now_ms));
        self.own.begin(before.collect());
    }

    fn kept(&self, core: &mut Core, id: String, noted: Noted, now_ms: u64) -> Option<Kept> {
        let Noted {
            hold,
            limited,
            counted: counts,
        } = noted;
        let tenant = tenant_of(core, &hold.key)?;
        let scopes = core.scope_ids(&Spent {
            key: &hold.key,
            user: &hold.user,
            tags: &hold.tags,
            provider: &hold.provider,
            model: &hold.model,
        });
        let places = restart::reopened(core, &hold.key, &limited, now_ms);
        let Core {
            ledger,
            limits,
            counted,
            ..
        } = core;
        let fields = Fields::of(ledger.calendar(), hold.admitted_ms);
        let bounds = Bounds::of(ledger, limits, counted, &scopes, &places, now_ms);
        let owner = Owner {
            key: &hold.key,
            tenant: &tenant,
        };
        let shares = self.shares(bounds, owner);
        let wish = Wish {
            id,
            amount_nano: hold.amount_nano,
            // Exchanges under a lease are charged by their records, which its worker still has.
            cost_nano: match hold.lease_requests {
                Some(_) => 0,
                None => hold.metered_nano,
            },
            fields,
            lease: hold.lease_requests,
            info: Info {
                key: hold.key.clone(),
                tenant: tenant.clone(),
                user: hold.user.clone(),
                tags: hold.tags.clone(),
                provider: hold.provider.clone(),
                model: hold.model.clone(),
                tokens_in: hold.tokens_in,
            },
            requests: counts.requests,
            tokens: counts.tokens,
            running: counts.running,
            check: (0, 0),
        };
        Some(Kept {
            wish,
            shares,
            admitted_ms: hold.admitted_ms,
            seen_ms: now_ms,
        })
    }

    /// The groups that have a hold, and those that have lost it. Where a group has the same epoch and not the
    /// hold, others have settled it.
    async fn stands(
        &self,
        kept: &Kept,
        was: &Epochs,
        now: &Epochs,
    ) -> Result<(HashSet<Group>, Vec<(Group, Bounds)>), Fault> {
        let groups = kept.shares.iter().map(|(group, _)| group);
        let found = self
            .where_held(&kept.wish.id, groups, clock::now_ms())
            .await?;
        let is_lost =
            |group: &Group| !found.contains(group) && was.get(&group.0) != now.get(&group.0);
        let lost = kept.shares.iter().filter(|(group, _)| is_lost(group));
        let lost = lost.cloned().collect();
        Ok((found, lost))
    }

    /// Holds again, unless it was settled: until Redis has it and this service knows that.
    async fn hold_again(&self, kept: Kept, lost: Vec<(Group, Bounds)>) -> Result<(), Fault> {
        let id = kept.wish.id.clone();
        loop {
            self.put_back(&kept.wish, &lost, HOLD_TTL_MS).await?;
            let now_ms = clock::now_ms();
            self.own.keeps(kept.clone(), now_ms);
            let groups = lost.iter().map(|(group, _)| group);
            let found = self.where_held(&id, groups, now_ms).await?;
            // What it has forgotten since is put back with the rest, if that was in time.
            if found.len() == lost.len() || self.own.admitted_ms(&id).is_none() {
                return Ok(());
            }
        }
    }
}

/// Takes care of what was held before, as far as Redis was at `was` then and is at `now`.
pub(super) async fn all(replica: &Replica, was: &Epochs, now: &Epochs) {
    let mut gone = Vec::new();
    for kept in replica.own.before() {
        let (found, lost) = loop {
            match replica.stands(&kept, was, now).await {
                Ok(stands) => break stands,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        if !lost.is_empty() {
            gone.push((kept, lost));
        } else if !found.is_empty() {
            replica.own.keeps(kept, clock::now_ms());
        }
    }
    let settled = settled(replica, gone.iter().map(|(kept, _)| &kept.wish)).await;
    for (kept, lost) in gone {
        if settled.contains(&kept.wish.id) {
            continue;
        }
        while replica
            .hold_again(kept.clone(), lost.clone())
            .await
            .is_err()
        {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Puts back what has not been renewed here for a while, unless others have settled it.
pub(super) async fn doubtful(replica: &Replica) {
    let doubtful = replica.own.doubtful(clock::now_ms());
    let settled = settled(replica, doubtful.iter().map(|kept| &kept.wish)).await;
    for kept in doubtful {
        if settled.contains(&kept.wish.id) {
            continue;
        }
        while replica.put_back_own(&kept, &kept.shares).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Those that the ledger has: others have settled them, or given them up.
async fn settled(replica: &Replica, wishes: impl Iterator<Item = &Wish>) -> HashSet<String> {
    let exchanges: Vec<String> = wishes.map(|wish| wish.id.clone()).collect();
    if exchanges.is_empty() {
        return HashSet::new();
    }
    loop {
        match replica.sums.known(&replica.who, exchanges.clone()).await {
            Ok((known, _)) => return known.into_iter().map(|known| known.exchange).collect(),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
