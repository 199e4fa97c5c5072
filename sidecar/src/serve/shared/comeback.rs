//! Holds that this service had before it was started again. Where Redis still has them they are its own
//! again; where Redis has lost its memory meanwhile they are put back, unless somebody has settled them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::journal::{Journal, Noted};
use super::super::restart;
use super::super::state::{Core, Shared, Spent};
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

    /// Looks what has become of a hold. Nothing of it is left where its group has the same epoch and not
    /// the hold: then others have settled it.
    async fn come_back(&self, kept: &Kept, was: &Epochs, now: &Epochs) -> Result<bool, Fault> {
        let now_ms = clock::now_ms();
        let id = kept.wish.id.as_str();
        let groups = kept.shares.iter().map(|(group, _)| group);
        let found: HashSet<Group> = self.where_held(id, groups, now_ms).await?;
        let is_lost =
            |group: &Group| !found.contains(group) && was.get(&group.0) != now.get(&group.0);
        let lost = kept.shares.iter().filter(|(group, _)| is_lost(group));
        let lost: Vec<_> = lost.cloned().collect();
        if !lost.is_empty() {
            self.put_back(&kept.wish, &lost, now_ms).await?;
        }
        Ok(!found.is_empty() || !lost.is_empty())
    }
}

/// Takes care of what was held before, as far as Redis was at `was` then and is at `now`.
pub(super) fn start(shared: &Arc<Shared>, was: Epochs, now: Epochs) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let Some(replica) = &shared.replica else {
            return;
        };
        let before = replica.own.before();
        let settled = settled(replica, &before).await;
        for kept in before {
            if settled.contains(&kept.wish.id) {
                continue;
            }
            let is_held = loop {
                match replica.come_back(&kept, &was, &now).await {
                    Ok(is_held) => break is_held,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            };
            if is_held {
                replica.own.keeps(kept, clock::now_ms());
            }
        }
    });
}

/// Those that the ledger has: others have settled them, or given them up.
async fn settled(replica: &Replica, before: &[Kept]) -> HashSet<String> {
    let exchanges: Vec<String> = before.iter().map(|kept| kept.wish.id.clone()).collect();
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
