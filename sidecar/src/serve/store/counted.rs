//! Which scopes are counted in a database that several services share: those that a budget of one of them
//! names, from then on. A budget that comes back, or that a service with another `weir.yaml` has, knows
//! what was spent meanwhile, by whomever.

use std::collections::{BTreeMap, HashMap};

use engine::ledger::Scope;
use engine::period::Calendar;
use engine::wire::Governed;
use serde::{Deserialize, Serialize};

use super::super::membership::{Party, Rules};
use super::super::state::Spent;
use super::db::{Db, DbError, Row};
use super::spend;
use crate::config::BudgetConfig;

/// Kinds of scopes with names that stay. Above it those of other services are forgotten and come again.
pub(crate) const LINES_MAX: usize = 100_000;
/// The version of what nobody counts yet: no sums are of it.
const NEVER: u64 = 1 << 52;

/// What a budget names, without its limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Line {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    teams: Vec<String>,
}

impl Line {
    /// What `rule` names. Everybody's spend is counted without.
    pub(crate) fn of(rule: &BudgetConfig) -> Option<Line> {
        let kind = rule.kind();
        (kind != Scope::Global.kind()).then(|| Line {
            kind: kind.to_owned(),
            name: rule.name.clone(),
            tier: rule.tier.clone(),
            teams: rule.teams.clone(),
        })
    }

    fn text(&self) -> String {
        // Strings alone: writing them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// By the name in a line: tiers, and versions from which on they are counted.
type Names = HashMap<Option<String>, Vec<(Option<String>, u64)>>;

/// Everything that is counted, as it was at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Grows with each line.
    pub(crate) version: u64,
    /// The version from which on all sums are other ones than before.
    pub(crate) generation: u64,
    /// Whether there is a database that says so; else what has a budget now is counted.
    is_shared: bool,
    /// Versions from which on lines are counted.
    lines: BTreeMap<Line, u64>,
    /// The same by kind.
    places: HashMap<String, Names>,
}

impl Counted {
    /// Reads it from a database, or from the copy of one.
    pub(crate) fn read(db: &mut Db) -> Result<Counted, DbError> {
        let version = number(db, "counted_version")?;
        let generation = number(db, "spend_generation")?;
        let sql = "SELECT line, since FROM counted_rules";
        let rows = db.query(sql, &[], |row: &mut Row| {
            let line: String = row.take()?;
            Ok((serde_json::from_str::<Line>(&line).ok(), row.take()?))
        })?;
        let read = |(line, since): (Option<Line>, u64)| Some((line?, since));
        let lines: BTreeMap<Line, u64> = rows.into_iter().filter_map(read).collect();
        let mut places: HashMap<String, Names> = HashMap::new();
        for (line, since) in &lines {
            let names = places.entry(line.kind.clone()).or_default();
            let tiers = names.entry(line.name.clone()).or_default();
            tiers.push((line.tier.clone(), *since));
        }
        Ok(Counted {
            version,
            generation,
            is_shared: true,
            lines,
            places,
        })
    }

    /// Puts it in place of what a copy has.
    pub(super) fn put(&self, step: &mut Db) -> Result<(), DbError> {
        step.execute("DELETE FROM counted_rules", &[])?;
        for (line, since) in &self.lines {
            add(step, line, *since)?;
        }
        set_number(step, "counted_version", self.version)?;
        set_number(step, "spend_generation", self.generation)
    }

    /// Whether spend in a scope is counted because of a line. `tier` is that of its user.
    pub(crate) fn counts(&self, scope: &Scope, tier: Option<&str>) -> bool {
        let mut tiers = self.tiers(scope);
        tiers.any(|(of, _)| of.is_none() || of.as_deref() == tier)
    }

    /// The version from which on sums of a scope hold everything.
    pub(crate) fn since(&self, scope: &Scope) -> u64 {
        if !self.is_shared {
            return 0;
        }
        let since = match scope {
            Scope::Global | Scope::Key(_) => 0,
            _ => {
                let versions = self.tiers(scope).map(|(_, since)| *since);
                versions.min().unwrap_or(NEVER)
            }
        };
        since.max(self.generation)
    }

    /// Scopes of a party that count because of a line.
    pub(crate) fn scopes(&self, party: &Party<'_>) -> Vec<Scope> {
        if self.lines.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        party.candidates(&mut found);
        let tier = party.membership.tier.as_deref();
        found.retain(|scope| self.counts(scope, tier));
        let teams = &party.membership.teams;
        for line in self.lines.keys().filter(|line| line.kind == "pool") {
            let shares = line.teams.is_empty() || line.teams.iter().any(|of| teams.contains(of));
            let pool = Scope::Pool(line.name.clone().unwrap_or_default());
            if shares && !pool.name().is_empty() && !found.contains(&pool) {
                found.push(pool);
            }
        }
        found
    }

    /// What of a request decides where it is counted.
    pub(crate) fn govern(&self, governed: &mut Governed) {
        let has = |kind: &str| self.places.contains_key(kind);
        governed.users |= has("user");
        governed.models |= has("provider") || has("model");
        let tags = self.places.get("tag").into_iter().flatten();
        let names = tags.filter_map(|(name, _)| Some(name.as_deref()?.split_once('=')?.0));
        governed.tags.extend(names.map(str::to_owned));
        governed.tags.sort_unstable();
        governed.tags.dedup();
    }

    fn tiers(&self, scope: &Scope) -> impl Iterator<Item = &(Option<String>, u64)> {
        let names = self.places.get(scope.kind());
        let own = Some(scope.name().to_owned());
        let any = match (scope, scope.name().split_once('=')) {
            (Scope::Tag(_), Some((tag, _))) => Some(Some(format!("{tag}=*"))),
            _ => None,
        };
        let wanted = [Some(own), any, Some(None)].into_iter().flatten();
        let found = wanted.filter_map(move |name| names?.get(&name));
        found.flatten()
    }
}

/// The version of what is counted.
pub(crate) fn version(db: &mut Db) -> Result<u64, DbError> {
    number(db, "counted_version")
}

/// The same, which nobody changes before the transaction ends.
pub(super) fn version_held(step: &mut Db) -> Result<u64, DbError> {
    let held = match step {
        Db::Sqlite(_) => "",
        Db::Postgres(_) => " FOR SHARE",
    };
    let sql = format!("SELECT value FROM meta WHERE name = 'counted_version'{held}");
    Ok(step.first(&sql, &[], |row| row.take())?.unwrap_or(0))
}

/// What sharing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shares {
    /// Everything was counted.
    Same,
    /// Sums were made anew.
    Anew,
    /// Others count more by now: that has to be known first.
    Again,
}

/// What a service counts, and how.
pub(crate) struct Counting<'a> {
    /// What it knows to be counted.
    pub(crate) counted: &'a Counted,
    pub(crate) rules: &'a Rules,
    pub(crate) calendar: &'a Calendar,
    /// A number that stands for the calendar.
    pub(crate) basis: i64,
    /// Whether sums in another calendar are to be made anew: two services with two calendars must not
    /// do it in turns.
    pub(crate) insists: bool,
}

impl Counting<'_> {
    /// Has everything counted that a budget of this service names. The sums are made anew from the
    /// ledger when that is more than before; services do it one after the other.
    pub(crate) fn share(
        &self,
        db: &mut Db,
        scopes: impl Fn(&Spent<'_>) -> Vec<Scope>,
    ) -> Result<Shares, DbError> {
        let known = &self.counted.lines;
        let ours = self.rules.all().iter().filter_map(Line::of);
        let mut missing: Vec<Line> = ours.filter(|line| !known.contains_key(line)).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() && (!self.insists || spend::is_based(db, self.basis)?) {
            return Ok(Shares::Same);
        }
        db.transaction(|step| {
            // Whoever writes to the ledger has read it before: nobody waits in a circle.
            let sql = "UPDATE meta SET value = value WHERE name = 'counted_version'";
            step.execute(sql, &[])?;
            let version = number(step, "counted_version")?;
            if version != self.counted.version {
                return Ok(Shares::Again);
            }
            step.batch("LOCK TABLE llm_usage_log, spend_daily IN SHARE ROW EXCLUSIVE MODE")?;
            let next = version.saturating_add(1);
            let is_full = known.len().saturating_add(missing.len()) > LINES_MAX;
            if is_full {
                step.execute("DELETE FROM counted_rules", &[])?;
                missing = self.rules.all().iter().filter_map(Line::of).collect();
            }
            if is_full || !spend::is_based(step, self.basis)? {
                set_number(step, "spend_generation", next)?;
            }
            for line in &missing {
                add(step, line, next)?;
            }
            spend::remake(step, self.calendar, scopes)?;
            spend::set_basis(step, self.basis)?;
            set_number(step, "counted_version", next)?;
            Ok(Shares::Anew)
        })
    }
}

fn add(step: &mut Db, line: &Line, since: u64) -> Result<(), DbError> {
    let sql = "INSERT INTO counted_rules (line, since) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    step.execute(sql, &[line.text().into(), since.into()])?;
    Ok(())
}

fn number(db: &mut Db, name: &str) -> Result<u64, DbError> {
    let sql = "SELECT value FROM meta WHERE name = $1";
    Ok(db
        .first(sql, &[name.into()], |row| row.take())?
        .unwrap_or(0))
}

fn set_number(db: &mut Db, name: &str, number: u64) -> Result<(), DbError> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    db.execute(sql, &[name.into(), number.into()])?;
    Ok(())
}
