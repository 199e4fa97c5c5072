//! What an admission would come to, weighed on the machines of this process as Redis last told their
//! states. Nothing stays held there.

use engine::ledger::{Ledger, ScopeId};
use engine::limit::{Limits, Place};
use engine::usage::NanoUsd;
use engine::wire::{Admission, Admit, Grant};

use super::super::membership::Party;
use super::super::state::{AdmitReply, Core};
use super::bounds::{Bounds, Fields};
use super::{Info, Wish};

/// An admission as weighed.
pub(crate) enum Draft {
    /// It would go on.
    Grant(Box<Granted>),
    /// An answer from the cache, and where it counts.
    Cached(Box<(AdmitReply, Wish, Bounds)>),
    /// It would not.
    Refused(Box<AdmitReply>),
}

/// A grant that Redis has to agree to.
pub(crate) struct Granted {
    pub(crate) grant: Grant,
    /// Whether it would be the same with nothing spent and nothing counted.
    pub(crate) plain: bool,
    pub(crate) wish: Wish,
    pub(crate) lease: Option<Wish>,
    pub(crate) bounds: Bounds,
}

impl Core {
    /// See the module.
    pub(crate) fn draft(&mut self, admit: &Admit, now_ms: u64) -> Draft {
        match self.admit(admit, now_ms) {
            AdmitReply::Decided(Admission::Granted(grant)) => {
                let lease = grant.lease.as_ref().map(|lease| lease.id.clone());
                let lease = lease.and_then(|id| self.take_draft(&id)).map(|of| of.0);
                match self.take_draft(&admit.exchange) {
                    Some((wish, scopes, places)) => {
                        let bounds = self.bounds(&scopes, &places, now_ms);
                        Draft::Grant(Box::new(Granted {
                            plain: grant.output_cap.is_none() && grant.skipped.is_empty(),
                            grant,
                            wish,
                            lease,
                            bounds,
                        }))
                    }
                    None => Draft::Refused(Box::new(AdmitReply::unavailable())),
                }
            }
            cached @ AdmitReply::Cached(_) => match self.callers(admit, now_ms) {
                Some((wish, bounds)) => Draft::Cached(Box::new((cached, wish, bounds))),
                None => Draft::Refused(Box::new(AdmitReply::unavailable())),
            },
            refused => Draft::Refused(Box::new(refused)),
        }
    }

    /// Everything that can bound an admission, wherever it may go. `None` when its key is not known.
    pub(crate) fn every_bound(&mut self, admit: &Admit, now_ms: u64) -> Option<Bounds> {
        let Core {
            keys,
            limits,
            limit_rules,
            rules,
            ledger,
            counted,
            ..
        } = self;
        let entry = keys.by_id(&admit.key)?;
        let party = Party::asking(&entry.key, admit);
        let limited = limit_rules.open(entry, &party, limits, now_ms)?;
        let tier = entry.key.membership.tier.as_deref();
        let more = rules.open(rules.scopes(&party), tier, ledger)?;
        let scopes = [&entry.scopes[..], &more].concat();
        let places = limited.all();
        Some(Bounds::of(ledger, limits, counted, &scopes, places, now_ms))
    }

    fn bounds(&mut self, scopes: &[ScopeId], places: &[Place], now_ms: u64) -> Bounds {
        let Core {
            ledger,
            limits,
            counted,
            ..
        } = self;
        Bounds::of(ledger, limits, counted, scopes, places, now_ms)
    }

    /// Where an answer from the cache counts.
    fn callers(&mut self, admit: &Admit, now_ms: u64) -> Option<(Wish, Bounds)> {
        let Core {
            keys,
            limits,
            limit_rules,
            ledger,
            counted,
            ..
        } = self;
        let entry = keys.by_id(&admit.key)?;
        let party = Party::asking(&entry.key, admit);
        let limited = limit_rules.open(entry, &party, limits, now_ms)?;
        let bounds = Bounds::of(ledger, limits, counted, &[], limited.callers(), now_ms);
        let wish = Wish {
            id: String::new(),
            amount_nano: 0,
            cost_nano: 0,
            fields: Fields::of(ledger.calendar(), now_ms),
            lease: None,
            info: Info::default(),
            requests: 1,
            tokens: 0,
            running: 0,
            check: (admit.tokens_in.max(1), 1),
        };
        Some((wish, bounds))
    }

    /// What was held and counted here under an id, which is then no more.
    fn take_draft(&mut self, id: &str) -> Option<(Wish, Vec<ScopeId>, Vec<Place>)> {
        let hold = self.ledger.hold(id)?.clone();
        let pass = self.limits.pass_of(id).cloned();
        self.ledger.cancel(id);
        self.limits.cancel(id, hold.admitted_ms);
        let entry = self.keys.by_id(&hold.key);
        let tenant = entry.map(|entry| entry.key.membership.tenant.clone());
        let counts = pass.as_ref();
        let (requests, tokens, running) =
            counts.map_or((0, 0, 0), |pass| (pass.requests, pass.tokens, pass.running));
        let wish = Wish {
            id: id.to_owned(),
            amount_nano: hold.amount_nano,
            cost_nano: hold.metered_nano,
            fields: Fields::of(self.ledger.calendar(), hold.admitted_ms),
            lease: hold.lease_requests,
            requests,
            tokens,
            running,
            check: match hold.lease_requests {
                None => (tokens.max(1), 1),
                Some(_) => (tokens, running),
            },
            info: Info {
                key: hold.key,
                tenant: tenant.unwrap_or_default(),
                user: hold.user,
                tags: hold.tags,
                provider: hold.provider,
                model: hold.model,
                tokens_in: hold.tokens_in,
            },
        };
        let places = pass.map(|pass| pass.places().to_vec());
        Some((wish, hold.scopes, places.unwrap_or_default()))
    }
}

/// Takes over states of several groups. Gives the places of the limits among them.
pub(crate) fn adopt<'a>(
    told: impl Iterator<Item = (&'a Bounds, &'a Vec<i64>)>,
    ledger: &mut Ledger,
    limits: &mut Limits,
    now_ms: u64,
) -> Vec<Place> {
    let places = told.flat_map(|(bounds, states)| bounds.adopt(states, ledger, limits, now_ms));
    places.collect()
}

/// What an expired hold is charged.
pub(crate) fn expired(late: super::Late) -> (String, engine::ledger::Hold) {
    let cost_nano: NanoUsd = late.cost_nano;
    let hold = engine::ledger::Hold {
        amount_nano: cost_nano,
        metered_nano: cost_nano,
        admitted_ms: late.at_ms,
        expires_ms: 0,
        scopes: Vec::new(),
        key: late.info.key,
        provider: late.info.provider,
        model: late.info.model,
        tokens_in: late.info.tokens_in,
        user: late.info.user,
        tags: late.info.tags,
        lease_requests: late.lease,
    };
    (late.id, hold)
}
