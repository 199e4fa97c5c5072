//! How exchanges end: settled, given up, or half made.

use super::*;

impl Counters {
    /// Settles an exchange in every group, in its own first, which says when it was admitted.
    pub(crate) async fn settle(
        &self,
        ended: &Ended<'_>,
        owner: Owner<'_>,
        fields: impl Fn(u64) -> Fields,
        now_ms: u64,
    ) -> Result<Settling, Fault> {
        let mut done: Option<Charged> = None;
        for group in self.groups(owner) {
            let at_ms = done.as_ref().map_or(ended.at_ms, |charged| charged.at_ms);
            let mut command = self.command(&script::SETTLE, &group, now_ms);
            ended.write(at_ms, &fields(at_ms), &self.who, &mut command);
            let of = |(scope, _): &&(Scope, u64)| self.group(scope, owner) == group;
            let scopes: Vec<_> = ended.scopes.iter().filter(of).collect();
            command.arg(scopes.len());
            for (scope, since) in scopes {
                command.arg(scope.to_string()).arg(since);
            }
            let mut told = self.told(&command).await?.into_iter();
            let charge = match told.next().and_then(whole) {
                Some(0) => Charge::Known,
                Some(1) => Charge::New,
                Some(2) => Charge::Replaced,
                Some(-3) => return Ok(Settling::Unopened(group)),
                _ => return Err(odd()),
            };
            let at_ms = told.next().and_then(whole).ok_or_else(odd)?;
            done.get_or_insert(Charged {
                charge,
                at_ms: u64::try_from(at_ms).unwrap_or(0),
            });
        }
        if let Some(homes) = self.homes.as_ref().filter(|_| ended.lease.is_none()) {
            let held = homes.of(ended.exchange).await?;
            if let Some(elsewhere) = held.filter(|held| *held != self.home(owner)) {
                // Its key has gone over to another tenant meanwhile.
                let ending = Ending::settled(ended.exchange);
                self.finish_in(&elsewhere, &ending, now_ms).await?;
            }
            homes.ended(ended.exchange);
        }
        done.map(Settling::Done).ok_or_else(odd)
    }

    /// Notes what an expired hold of `owner` was charged where: the database alone knows it by now.
    pub(crate) async fn stand(
        &self,
        (exchange, cost_nano): (&str, NanoUsd),
        scopes: &[Scope],
        owner: Owner<'_>,
        (at_ms, fields): (u64, &Fields),
        now_ms: u64,
    ) -> Result<(), Fault> {
        for group in self.groups(owner) {
            let mut command = self.command(&script::STAND, &group, now_ms);
            command.arg(exchange).arg(at_ms);
            fields.write(&mut command);
            command
                .arg(cost_nano.clamp(0, NANO_MAX))
                .arg(EXPIRED_TTL_MS);
            let of = |scope: &&Scope| self.group(scope, owner) == group;
            let scopes: Vec<String> = scopes.iter().filter(of).map(Scope::to_string).collect();
            command.arg(scopes.len()).arg(&scopes);
            self.numbers(&command).await?;
        }
        Ok(())
    }

    /// The database has this service's records up to `seq`.
    pub(crate) async fn stored(&self, group: &Group, seq: u64, now_ms: u64) -> Result<(), Fault> {
        let mut command = self.command(&script::STORED, group, now_ms);
        command.arg(&self.who).arg(seq);
        self.numbers(&command).await?;
        Ok(())
    }

    /// Gives back a hold of a group whose exchange was charged before.
    pub(crate) async fn give_back(
        &self,
        group: &Group,
        id: &str,
        now_ms: u64,
    ) -> Result<(), Fault> {
        for group in [group, &Group::common()] {
            self.finish_in(group, &Ending::settled(id), now_ms).await?;
        }
        Ok(())
    }

    /// Claims holds of a group that nobody renewed.
    pub(crate) async fn expire(&self, group: &Group, now_ms: u64) -> Result<Vec<Late>, Fault> {
        self.late(group, true, now_ms).await
    }

    async fn late(&self, group: &Group, has_word: bool, now_ms: u64) -> Result<Vec<Late>, Fault> {
        let mut command = self.command(&script::EXPIRE, group, now_ms);
        command
            .arg(HOLD_TTL_MS)
            .arg(EXPIRED_PER_CALL_MAX)
            .arg(u8::from(has_word));
        let told = self.told(&command).await?;
        Ok(told.into_iter().skip(1).filter_map(late).collect())
    }

    /// In a cluster, gives up what the common group holds and no tenant's does any more: a hold that was
    /// half made costs nothing, and one that was half settled is charged by its record.
    /// Gives the groups where others of them still run.
    pub(crate) async fn expire_halves(&self, now_ms: u64) -> Result<Vec<Group>, Fault> {
        let mut running = Vec::new();
        if self.layout == Layout::One {
            return Ok(running);
        }
        let common = Group::common();
        for late in self.late(&common, false, now_ms).await? {
            let home = self.home(Owner {
                key: &late.info.key,
                tenant: &late.info.tenant,
            });
            let mut command = self.command(&script::STANDING, &home, now_ms);
            command.arg(&late.id);
            let ending = match self.numbers(&command).await?.as_slice() {
                [1, 0, 0] => Ending::everything(&late.id),
                [1, 0, _] => Ending::settled(&late.id),
                _ => {
                    running.push(home);
                    continue;
                }
            };
            self.finish_in(&common, &ending, now_ms).await?;
        }
        Ok(running)
    }

    /// Forgets the sums of a key that is another tenant's now.
    pub(crate) async fn forget(
        &self,
        (key, tenant): (&str, &str),
        now_ms: u64,
    ) -> Result<(), Fault> {
        if self.layout == Layout::One {
            return Ok(());
        }
        let home = self.home(Owner { key, tenant });
        let mut command = self.command(&script::FORGET, &home, now_ms);
        command.arg(Scope::Key(key.to_owned()).to_string());
        self.numbers(&command).await?;
        Ok(())
    }
}

impl Ended<'_> {
    fn write(&self, at_ms: u64, fields: &Fields, who: &str, command: &mut Cmd) {
        command
            .arg(self.exchange)
            .arg(self.lease.unwrap_or_default())
            .arg(if self.expired { "x" } else { "n" })
            .arg(self.cost_nano.clamp(0, NANO_MAX))
            .arg(at_ms);
        fields.write(command);
        command
            .arg(self.provider)
            .arg(self.model)
            .arg(self.input)
            .arg(self.output)
            .arg(MARK_TTL_MS)
            .arg(EXPIRED_TTL_MS)
            .arg(PLACES_TTL_MS)
            .arg(who)
            .arg(self.place.seq)
            .arg(u8::from(self.place.again.is_some()))
            .arg(self.place.again.unwrap_or(0));
    }
}

/// What a lease still needs, or the end of a hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending<'a> {
    pub(crate) id: &'a str,
    pub(crate) keep_nano: NanoUsd,
    pub(crate) done: bool,
    /// Requests and tokens that were not used; only when `done`.
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    pub(crate) running: u64,
}

impl<'a> Ending<'a> {
    /// Of what did not start after all.
    pub(crate) fn everything(id: &'a str) -> Ending<'a> {
        Ending {
            id,
            keep_nano: 0,
            done: true,
            requests: u64::from(u32::MAX),
            tokens: NANO_MAX.unsigned_abs(),
            running: 0,
        }
    }

    /// Of what is charged elsewhere: it was counted for good reason.
    pub(crate) fn settled(id: &'a str) -> Ending<'a> {
        Ending {
            requests: 0,
            tokens: 0,
            ..Ending::everything(id)
        }
    }
}

/// What became of a settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settling {
    Done(Charged),
    /// The group has lost what it knew.
    Unopened(Group),
}

fn late(told: Value) -> Option<Late> {
    let Value::Array(told) = told else {
        return None;
    };
    let mut told = told.into_iter();
    let id = told.next().and_then(text)?;
    let cost_nano = told.next().and_then(whole)?;
    let at_ms = u64::try_from(told.next().and_then(whole)?).ok()?;
    let lease = told.next().and_then(text)?.parse().ok();
    let info = serde_json::from_str(&told.next().and_then(text)?).ok()?;
    Some(Late {
        id,
        cost_nano,
        at_ms,
        lease,
        info,
    })
}
