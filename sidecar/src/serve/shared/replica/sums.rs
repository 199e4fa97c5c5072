//! Scopes whose state is read, and filled from the ledger where Redis has none.

use super::*;

impl Replica {
    pub(super) async fn look(
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

    /// Gives scopes the sums that the ledger has of them.
    pub(super) async fn ready(
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
