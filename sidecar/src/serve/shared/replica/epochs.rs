//! What epochs are looked after with.

use super::*;

impl Replica {
    /// Others that were there before this service was started, and when.
    pub(crate) fn remember(&self, peers: Vec<(String, u64)>) {
        let others = peers.into_iter().filter(|(peer, _)| *peer != self.who);
        self.roll.remember(others);
    }

    /// The epoch of a group, which begins if there is none. Everything of this service is in `done`.
    pub(in crate::serve::shared) async fn epoch(
        &self,
        group: &Group,
        done: &str,
    ) -> Result<roll::Answer, Fault> {
        let now_ms = clock::now_ms();
        let call = roll::Call {
            open_ms: now_ms.saturating_add(GRACE_MS),
            done: done.to_owned(),
            peers: self.roll.peers(),
        };
        let answer = self.heard(self.slow.epoch(group, &call, now_ms).await)?;
        self.roll.heard(&answer, now_ms);
        Ok(answer)
    }

    /// The database has this service's records up to `seq`.
    pub(in crate::serve::shared) async fn stored(
        &self,
        group: &Group,
        seq: u64,
    ) -> Result<(), Fault> {
        self.slow.stored(group, seq, clock::now_ms()).await
    }

    /// Forgets what keys have spent where their tenants were others. What cannot be forgotten now is given
    /// back.
    pub(in crate::serve::shared) async fn forget(
        &self,
        moved: Vec<(String, String)>,
    ) -> Vec<(String, String)> {
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
    pub(in crate::serve::shared) async fn sweep(&self, group: &Group) -> Result<(), Fault> {
        self.slow.sweep(group, clock::now_ms()).await
    }

    /// Whether somebody is waited for.
    pub(in crate::serve::shared) fn waits(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    /// An epoch is known here, and what this service holds is in it.
    pub(in crate::serve::shared) fn opened(&self, epoch: &str) {
        let open_ms = epoch.get(..13).and_then(|digits| digits.parse().ok());
        self.open_ms.store(open_ms.unwrap_or(0), Ordering::Relaxed);
    }

    /// Holds again what was held before Redis lost it.
    pub(in crate::serve::shared) async fn put_back(
        &self,
        wish: &Wish,
        shares: &[(Group, Bounds)],
        ttl_ms: u64,
    ) -> Result<(), Fault> {
        let now_ms = clock::now_ms();
        self.slow.hold(wish, shares, Some(ttl_ms), now_ms).await?;
        Ok(())
    }

    /// The same for what this service holds, until it would have expired. A lease may end meanwhile, which
    /// nothing tells afterwards.
    pub(in crate::serve::shared) async fn put_back_own(
        &self,
        kept: &Kept,
        shares: &[(Group, Bounds)],
    ) -> Result<(), Fault> {
        let (wish, now_ms) = (&kept.wish, clock::now_ms());
        self.put_back(wish, shares, kept.ttl_ms(now_ms)).await?;
        if wish.lease.is_some() && self.own.admitted_ms(&wish.id).is_none() {
            self.slow.finish(&Ending::settled(&wish.id), now_ms).await?;
        }
        Ok(())
    }

    /// Where bounds of `owner` are.
    pub(in crate::serve::shared) fn shares(
        &self,
        bounds: Bounds,
        owner: Owner<'_>,
    ) -> Vec<(Group, Bounds)> {
        self.slow.shares(bounds, owner)
    }

    /// Those of these groups that have a hold.
    pub(in crate::serve::shared) async fn where_held(
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

    /// Whether some groups may answer while others do not.
    pub(in crate::serve::shared) fn is_parted(&self) -> bool {
        self.slow.layout == Layout::Tenants
    }

    /// Groups of all keys, and everybody's.
    pub(in crate::serve::shared) fn every_group(&self, shared: &Shared) -> Vec<Group> {
        let mut groups = self.homes(shared);
        let common = Group::common();
        if !groups.contains(&common) {
            groups.push(common);
        }
        groups
    }
}
