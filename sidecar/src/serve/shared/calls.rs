//! What is asked of Redis: each call one script, or one of each group.

use serde_json::value::RawValue;

use super::super::cache;
use super::*;

mod ending;

pub(crate) use ending::{Ending, Settling};

impl Counters {
    /// `who` tells the records of this service from those of others.
    pub(crate) fn new(client: Client, layout: Layout, who: &str) -> Counters {
        let client = Arc::new(client);
        let homes = (layout == Layout::Tenants).then(|| Arc::new(Homes::new(Arc::clone(&client))));
        Counters {
            client,
            layout,
            who: who.to_owned(),
            version: AtomicU64::new(0),
            homes,
        }
    }

    /// The same with another connection.
    pub(crate) fn beside(&self, client: Client) -> Counters {
        Counters {
            client: Arc::new(client),
            layout: self.layout,
            who: self.who.clone(),
            version: AtomicU64::new(self.version.load(Ordering::Relaxed)),
            homes: self.homes.clone(),
        }
    }

    /// What is counted is of this version from now on.
    pub(crate) fn counts(&self, version: u64) {
        self.version.store(version, Ordering::Relaxed);
    }

    /// The group of a scope that a request of `owner` counts in.
    fn group(&self, scope: &Scope, owner: Owner<'_>) -> Group {
        let own = match scope {
            Scope::Key(key) => key == owner.key,
            Scope::Tenant(tenant) => tenant == owner.tenant,
            _ => false,
        };
        if own {
            self.home(owner)
        } else {
            Group::common()
        }
    }

    /// The group that has the word on exchanges of `owner`.
    pub(crate) fn home(&self, owner: Owner<'_>) -> Group {
        match self.layout {
            Layout::One => Group::common(),
            Layout::Tenants => Group(format!("t:{}", owner.tenant)),
        }
    }

    /// Bounds by group, the owner's own last. The common group is left out where nothing is bounded.
    pub(crate) fn shares(&self, bounds: Bounds, owner: Owner<'_>) -> Vec<(Group, Bounds)> {
        let home = self.home(owner);
        if self.layout == Layout::One {
            return vec![(home, bounds)];
        }
        let (own, common) = bounds.parted(|scope| self.group(scope, owner) == home);
        let common = Some(common).filter(Bounds::bind);
        let mut shares = Vec::with_capacity(2);
        shares.extend(common.map(|common| (Group::common(), common)));
        shares.push((home, own));
        shares
    }

    /// How things stand in each group.
    pub(crate) async fn read(
        &self,
        shares: &[(Group, Bounds)],
        now_ms: u64,
    ) -> Result<Held, Fault> {
        let mut states = Vec::with_capacity(shares.len());
        for (group, bounds) in shares {
            let mut command = self.command(&script::READ, group, now_ms);
            bounds.write(&mut command);
            match self.states(&command, group, bounds).await? {
                Held::Yes(told) => states.extend(told),
                other => return Ok(other),
            }
        }
        Ok(Held::Yes(states))
    }

    /// Holds, or counts, in every group or in none. What is held again for so many milliseconds has room
    /// in any case.
    pub(crate) async fn hold(
        &self,
        wish: &Wish,
        shares: &[(Group, Bounds)],
        again_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<Held, Fault> {
        let mut states = Vec::with_capacity(shares.len());
        for (place, (group, bounds)) in shares.iter().enumerate() {
            let mut command = self.command(&script::ADMIT, group, now_ms);
            wish.write(again_ms, &mut command);
            bounds.write(&mut command);
            match self.states(&command, group, bounds).await {
                Ok(Held::Yes(told)) => states.extend(told),
                refused => {
                    let before = shares.get(..place).unwrap_or_default();
                    self.undo(&wish.id, before, now_ms).await;
                    return match refused? {
                        Held::No(_, states) => Ok(Held::No(place, states)),
                        other => Ok(other),
                    };
                }
            }
        }
        if let (Some(homes), Some((home, _))) = (&self.homes, shares.last())
            && !wish.id.is_empty()
        {
            homes.made(&wish.id, home);
        }
        Ok(Held::Yes(states))
    }

    /// What could not be taken back expires.
    async fn undo(&self, id: &str, shares: &[(Group, Bounds)], now_ms: u64) {
        for (group, _) in shares {
            let all = Ending::everything(id);
            let _expires = self.finish_in(group, &all, now_ms).await;
        }
    }

    /// Lowers a lease to what it still needs, or ends it.
    pub(crate) async fn finish(&self, ending: &Ending<'_>, now_ms: u64) -> Result<(), Fault> {
        for group in self.groups_of_hold(ending.id).await? {
            self.finish_in(&group, ending, now_ms).await?;
        }
        if let Some(homes) = self.homes.as_ref().filter(|_| ending.done) {
            homes.ended(ending.id);
        }
        Ok(())
    }

    async fn finish_in(
        &self,
        group: &Group,
        ending: &Ending<'_>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let mut command = self.command(&script::FINISH, group, now_ms);
        command
            .arg(ending.id)
            .arg(ending.keep_nano)
            .arg(u8::from(ending.done))
            .arg(ending.requests)
            .arg(ending.tokens)
            .arg(ending.running);
        self.numbers(&command).await?;
        Ok(())
    }

    /// Extends holds: how many of them there are.
    pub(crate) async fn renew(
        &self,
        live: &[(String, NanoUsd)],
        now_ms: u64,
    ) -> Result<u32, Fault> {
        let mut by_group: HashMap<Group, Vec<&(String, NanoUsd)>> = HashMap::new();
        for one in live {
            for group in self.groups_of_hold(&one.0).await? {
                by_group.entry(group).or_default().push(one);
            }
        }
        let mut extended = std::collections::HashSet::new();
        for (group, live) in by_group {
            let mut command = self.command(&script::RENEW, &group, now_ms);
            command.arg(HOLD_TTL_MS).arg(live.len());
            for (id, cost_nano) in &live {
                command.arg(id).arg((*cost_nano).clamp(0, NANO_MAX));
            }
            let found = self.numbers(&command).await?;
            let found = live.iter().zip(found.iter().skip(1));
            extended.extend(found.filter(|(_, is)| **is == 1).map(|(one, _)| &one.0));
        }
        Ok(u32::try_from(extended.len()).unwrap_or(u32::MAX))
    }

    /// Whose a hold is, and in which scopes it is in each group; nothing when there is none.
    pub(crate) async fn peek(
        &self,
        id: &str,
        now_ms: u64,
    ) -> Result<Vec<(Group, Info, Vec<Scope>)>, Fault> {
        let mut found = Vec::with_capacity(2);
        for group in self.groups_of_hold(id).await? {
            let mut command = self.command(&script::PEEK, &group, now_ms);
            command.arg(id);
            let mut told = self.told(&command).await?.into_iter().skip(1);
            let info = told.next().and_then(text);
            let info = info.and_then(|info| serde_json::from_str(&info).ok());
            if let (Some(info), Some(Value::Array(scopes))) = (info, told.next()) {
                let scopes = scopes.into_iter().filter_map(text);
                let scopes = scopes.filter_map(|scope| Scope::parse(&scope));
                found.push((group, info, scopes.collect()));
            }
        }
        Ok(found)
    }

    /// Lets a hold grow in one group, as far as `bounds` have room: by how much. `None` while that is not
    /// known.
    pub(crate) async fn grow(
        &self,
        group: &Group,
        (id, by_nano): (&str, NanoUsd),
        bounds: &Bounds,
        now_ms: u64,
    ) -> Result<Option<NanoUsd>, Fault> {
        let mut command = self.command(&script::GROW, group, now_ms);
        command.arg(id).arg(by_nano.clamp(0, NANO_MAX));
        bounds.write(&mut command);
        let told = self.numbers(&command).await?;
        Ok(match told.as_slice() {
            [1, grown_nano, ..] => Some(*grown_nano),
            [0, ..] => Some(0),
            _ => None,
        })
    }

    /// Whether a group has a hold.
    pub(crate) async fn has(&self, group: &Group, id: &str, now_ms: u64) -> Result<bool, Fault> {
        let mut command = self.command(&script::STANDING, group, now_ms);
        command.arg(id);
        match self.numbers(&command).await?.as_slice() {
            [1, held, _] => Ok(*held == 1),
            _ => Err(Fault::Down("the group is not in use yet".to_owned())),
        }
    }

    /// Holds of a group that are open.
    pub(crate) async fn holds(&self, group: &Group, now_ms: u64) -> Result<usize, Fault> {
        let command = self.command(&script::COUNT, group, now_ms);
        Ok(match self.numbers(&command).await?.as_slice() {
            [1, open] => usize::try_from(*open).unwrap_or(0),
            _ => 0,
        })
    }

    /// An answer that is kept for all.
    pub(crate) async fn kept(&self, key: &str) -> Result<Option<String>, Fault> {
        let mut command = redis::cmd("GET");
        command.arg(cached(key));
        Ok(text(self.client.ask(&command).await?))
    }

    /// Keeps an answer for all, unless it is too large.
    pub(crate) async fn keep(&self, key: &str, answer: &RawValue, ttl_s: u64) -> Result<(), Fault> {
        if ttl_s == 0 || answer.get().len() > cache::ENTRY_BYTES_MAX {
            return Ok(());
        }
        let mut command = redis::cmd("SET");
        command
            .arg(cached(key))
            .arg(answer.get())
            .arg("EX")
            .arg(ttl_s.min(cache::TTL_S_MAX));
        self.client.ask(&command).await?;
        Ok(())
    }

    /// Groups that exchanges of `owner` count in, its own first.
    fn groups(&self, owner: Owner<'_>) -> Vec<Group> {
        let home = self.home(owner);
        match self.layout {
            Layout::One => vec![home],
            Layout::Tenants => vec![home, Group::common()],
        }
    }

    async fn groups_of_hold(&self, id: &str) -> Result<Vec<Group>, Fault> {
        let home = match &self.homes {
            None => None,
            Some(homes) => homes.of(id).await?,
        };
        Ok(home.into_iter().chain([Group::common()]).collect())
    }

    pub(super) fn command(&self, script: &Script, group: &Group, now_ms: u64) -> Cmd {
        self.command_of(script, group, now_ms, self.version.load(Ordering::Relaxed))
    }

    pub(super) fn command_of(
        &self,
        script: &Script,
        group: &Group,
        now_ms: u64,
        version: u64,
    ) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command
            .arg(&script.name)
            .arg(1)
            .arg(group.key("e"))
            .arg(group.key(""))
            .arg(now_ms)
            .arg(version);
        command
    }

    /// What a script that tells states has told.
    async fn states(&self, command: &Cmd, group: &Group, bounds: &Bounds) -> Result<Held, Fault> {
        let told = self.numbers(command).await?;
        let (code, rest) = told.split_first().ok_or_else(odd)?;
        Ok(match code {
            1 => Held::Yes(vec![rest.to_vec()]),
            0 => Held::No(0, rest.to_vec()),
            -2 => Held::Unready(group.clone(), bounds.scopes_at(rest)),
            -3 => Held::Unopened(group.clone()),
            -4 => Held::Closed,
            -5 => Held::Settled,
            -6 => Held::Full,
            _ => return Err(odd()),
        })
    }

    pub(super) async fn numbers(&self, command: &Cmd) -> Result<Vec<i64>, Fault> {
        let told = self.told(command).await?;
        told.into_iter()
            .map(|value| whole(value).ok_or_else(odd))
            .collect()
    }

    pub(super) async fn told(&self, command: &Cmd) -> Result<Vec<Value>, Fault> {
        match self.client.ask(command).await? {
            Value::Array(told) => Ok(told),
            _ => Err(odd()),
        }
    }
}

impl Wish {
    fn write(&self, again_ms: Option<u64>, command: &mut Cmd) {
        command
            .arg(&self.id)
            .arg(u8::from(again_ms.is_some()))
            .arg(self.amount_nano.clamp(0, NANO_MAX))
            .arg(self.cost_nano.clamp(0, NANO_MAX))
            .arg(again_ms.unwrap_or(HOLD_TTL_MS))
            .arg(HOLDS_MAX);
        self.fields.write(command);
        match self.lease {
            Some(requests) => command.arg(requests),
            None => command.arg(""),
        };
        let (tokens, running) = self.check;
        // Strings and numbers: writing them cannot fail.
        command
            .arg(serde_json::to_string(&self.info).unwrap_or_default())
            .arg(self.requests)
            .arg(self.tokens)
            .arg(self.running)
            .arg(tokens)
            .arg(running);
    }
}

pub(super) fn whole(value: Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(number),
        other => text(other)?.parse().ok(),
    }
}

pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

pub(super) fn odd() -> Fault {
    Fault::Odd("an answer that is not understood".to_owned())
}

fn cached(key: &str) -> String {
    format!("weir:cache:{key}")
}
