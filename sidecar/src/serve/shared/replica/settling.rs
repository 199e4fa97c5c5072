//! How exchanges end, wherever they began.

use super::*;

impl Replica {
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
    pub(in crate::serve::shared) async fn stand(
        &self,
        shared: &Shared,
        known: &Known,
    ) -> Result<(), Fault> {
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
            // First what would be put back.
            if state.done {
                self.own.lease_ended(&state.id);
            } else {
                self.own.lowered(&state.id, state.keep_nano, state.running);
            }
            self.slow.finish(&ending, now_ms).await?;
        }
        Ok(())
    }

    /// Of these holds those that the ledger does not have. The others were put back after they were settled,
    /// and are given back.
    async fn unsettled(&self, group: &Group, late: Vec<Late>) -> Result<Vec<Late>, Fault> {
        if late.is_empty() {
            return Ok(late);
        }
        let exchanges = late.iter().map(|late| late.id.clone()).collect();
        // Without the ledger they are charged: who has to pay then is not known to have paid.
        let known = self.sums.known(&self.who, exchanges).await;
        let known = known.map(|(known, _)| known).unwrap_or_default();
        let known: HashSet<String> = known.into_iter().map(|known| known.exchange).collect();
        let (settled, left) = late
            .into_iter()
            .partition::<Vec<_>, _>(|late| known.contains(&late.id));
        for late in settled {
            let now_ms = clock::now_ms();
            self.slow.give_back(group, &late.id, now_ms).await?;
        }
        Ok(left)
    }

    /// Holds that nobody renewed and that somebody has to pay for.
    pub(crate) async fn expire(&self, shared: &Shared) -> Result<Vec<Late>, Fault> {
        let now_ms = clock::now_ms();
        let mut late = Vec::new();
        for group in self.homes(shared) {
            let told = self.slow.expire(&group, now_ms).await;
            late.extend(self.unsettled(&group, self.heard(told)?).await?);
        }
        let running = self.slow.expire_halves(now_ms).await;
        self.groups().extend(self.heard(running)?);
        Ok(late)
    }
}
