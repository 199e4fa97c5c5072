//! How exchanges and leases end: settled, renewed, finished, given up.

use engine::limit::Served;

use super::super::calls::{Ending, Settling};
use super::*;

impl World {
    /// An exchange ends, or one under a lease does.
    pub(super) async fn settle(&mut self, at: usize, cost_nano: i64, output: u64, second: bool) {
        let Some((id, leased)) = self.live.get(at).cloned() else {
            return;
        };
        self.next += 1;
        let exchange = if leased {
            format!("l{}", self.next)
        } else {
            id.clone()
        };
        let lease = leased.then_some(id.as_str());
        let provider = if second { "q" } else { "p" };
        let skip = Some(if second { 3 } else { 4 });
        let charged_ms = self.ledger.charged_ms(&id, self.now_ms - 5, self.now_ms);
        let ids = self.ids(skip);
        let served = Served {
            provider,
            model: "m",
            input: 7,
            output,
        };
        match lease {
            Some(lease) => {
                self.limits.settle_leased(lease, &served, self.now_ms);
                self.ledger
                    .settle_leased(lease, &ids, charged_ms, cost_nano);
            }
            None => {
                self.limits.settle(&exchange, &served, self.now_ms);
                self.ledger.settle(&exchange, &ids, charged_ms, cost_nano);
                self.live.remove(at);
            }
        }
        let ended = Ended {
            exchange: &exchange,
            lease,
            expired: false,
            cost_nano,
            at_ms: self.now_ms - 5,
            provider,
            model: "m",
            input: 7,
            output,
            scopes: ids
                .iter()
                .map(|id| (self.ledger.scope(*id).unwrap().clone(), 0))
                .collect(),
            place: super::super::Place::default(),
        };
        for charge in [Charge::New, Charge::Known] {
            let charged = self.charge(&ended).await;
            assert_eq!((charged.charge, charged.at_ms), (charge, charged_ms));
        }
    }

    pub(super) async fn charge(&self, ended: &Ended<'_>) -> Charged {
        let fields = |at_ms| Fields::of(&Calendar::default(), at_ms);
        let settled = self.counters.settle(ended, OWNER, fields, self.now_ms);
        match settled.await.unwrap() {
            Settling::Done(charged) => charged,
            odd => panic!("{odd:?}"),
        }
    }

    pub(super) async fn renew(&mut self, at: usize, cost_nano: i64) {
        if let Some((id, _)) = self.live.get(at).cloned() {
            assert!(self.ledger.renew(&id, cost_nano, self.now_ms));
            let live = [(id, cost_nano), ("nobody".to_owned(), 1)];
            let extended = self.counters.renew(&live, self.now_ms).await.unwrap();
            assert_eq!(extended, 1);
        }
    }

    pub(super) async fn finish(
        &mut self,
        at: usize,
        keep_nano: i64,
        done: bool,
        unused: u64,
        running: u64,
    ) {
        let Some((id, true)) = self.live.get(at).cloned() else {
            return;
        };
        self.ledger.shrink(&id, keep_nano);
        if done {
            self.limits.end(&id, unused, unused, self.now_ms);
            self.ledger.cancel(&id);
            self.live.remove(at);
        } else {
            self.limits.shrink(&id, running);
        }
        let ending = Ending {
            id: &id,
            keep_nano,
            done,
            requests: unused,
            tokens: unused,
            running,
        };
        self.counters.finish(&ending, self.now_ms).await.unwrap();
    }

    /// Gives up what was not renewed.
    pub(super) async fn expire(&mut self) {
        let late = self.ledger.expire(self.now_ms);
        let (unused, owed): (Vec<_>, Vec<_>) = late
            .into_iter()
            .partition(|(_, hold)| hold.lease_requests.is_some() && hold.metered_nano == 0);
        for (id, _) in unused {
            self.ledger.cancel(&id);
            self.limits.end(&id, 0, 0, self.now_ms);
            self.live.retain(|(live, _)| *live != id);
        }
        let home = self.counters.home(OWNER);
        let mut told = self.counters.expire(&home, self.now_ms).await.unwrap();
        let running = self.counters.expire_halves(self.now_ms).await.unwrap();
        assert!(running.iter().all(|group| *group == home));
        let mut owed: Vec<_> = owed
            .into_iter()
            .map(|(id, hold)| (id, hold.metered_nano, hold.admitted_ms, hold.lease_requests))
            .collect();
        owed.sort();
        told.sort_by(|one, other| one.id.cmp(&other.id));
        let told: Vec<_> = told
            .into_iter()
            .map(|late| (late.id, late.cost_nano, late.at_ms, late.lease))
            .collect();
        assert_eq!(told, owed);
        for (id, cost_nano, at_ms, _) in owed {
            self.give_up(&id, cost_nano, at_ms).await;
        }
    }

    /// An expired hold is charged what was metered, and then its record comes after all.
    async fn give_up(&mut self, id: &str, cost_nano: i64, at_ms: u64) {
        self.live.retain(|(live, _)| live != id);
        let (stood, real) = (self.ids(Some(4)), self.ids(Some(3)));
        let names = |world: &World, ids: &[ScopeId]| {
            let names = ids
                .iter()
                .map(|id| (world.ledger.scope(*id).unwrap().clone(), 0));
            names.collect::<Vec<_>>()
        };
        let mut ended = Ended {
            exchange: id,
            lease: None,
            expired: true,
            cost_nano,
            at_ms,
            provider: "p",
            model: "m",
            input: 7,
            output: 0,
            scopes: names(self, &stood),
            place: super::super::Place::default(),
        };
        let served = Served {
            provider: "p",
            model: "m",
            input: 7,
            output: 0,
        };
        self.limits.settle(id, &served, self.now_ms);
        self.ledger.settle(id, &stood, at_ms, cost_nano);
        assert_eq!(self.charge(&ended).await.charge, Charge::New);
        assert_eq!(self.charge(&ended).await.charge, Charge::Known);
        ended.expired = false;
        ended.cost_nano += 3;
        ended.provider = "q";
        ended.scopes = names(self, &real);
        self.ledger.charge(&stood, at_ms, -cost_nano);
        self.ledger.charge(&real, at_ms, cost_nano + 3);
        let charged = self.charge(&ended).await;
        assert_eq!((charged.charge, charged.at_ms), (Charge::Replaced, at_ms));
        assert_eq!(self.charge(&ended).await.charge, Charge::Known);
    }
}
