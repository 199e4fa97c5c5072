//! Sums that Redis does not have: at the first start, and after it has lost its memory.

use engine::period::{self, Calendar, Period};

use super::calls::{text, whole};
use super::*;

/// What the ledger knows of a scope, in one view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    /// What was spent on each day, by its first instant.
    pub(crate) days: Vec<(u64, NanoUsd)>,
    /// What exchanges that were asked for come to there, as far as the days hold them.
    pub(crate) known: HashMap<String, NanoUsd>,
    /// The version of what is counted that they are of.
    pub(crate) version: u64,
    /// How much of each service's records they hold.
    pub(crate) held: Vec<(String, u64)>,
}

/// A charge that waits for its scope's sums.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pending {
    exchange: String,
    /// What the exchange comes to in all.
    cost_nano: NanoUsd,
    day_ms: u64,
}

/// Charges that wait, and how often there was one.
struct Waiting {
    charges: Vec<Pending>,
    seen: String,
}

impl Counters {
    /// Removes what other epochs of a group have left.
    pub(crate) async fn sweep(&self, group: &Group, now_ms: u64) -> Result<(), Fault> {
        let mut cursor = "0".to_owned();
        loop {
            let mut command = self.command(&script::SWEEP, group, now_ms);
            command.arg(&cursor).arg(group.pattern());
            let told = self.told(&command).await?;
            match told.into_iter().nth(1).and_then(text) {
                Some(next) if next != "0" => cursor = next,
                _ => return Ok(()),
            }
        }
    }

    /// Exchanges whose charges wait for a scope's sums; `None` when another replica was faster.
    pub(crate) async fn waiting(
        &self,
        group: &Group,
        scope: &Scope,
        now_ms: u64,
    ) -> Result<Waits, Fault> {
        let mut command = self.command(&script::PENDING, group, now_ms);
        command.arg(scope.to_string());
        let told = self.told(&command).await?;
        let Some(Value::Array(pairs)) = told.into_iter().nth(1) else {
            return Err(Fault::Odd("no list of charges".to_owned()));
        };
        let mut waiting = Waiting {
            charges: Vec::new(),
            seen: "0".to_owned(),
        };
        let mut pairs = pairs.into_iter().filter_map(text);
        while let (Some(exchange), Some(value)) = (pairs.next(), pairs.next()) {
            if exchange.is_empty() {
                waiting.seen = value;
                continue;
            }
            let mut parts = value.split(' ');
            let mut next = || parts.next()?.parse::<i64>().ok();
            if let (Some(cost_nano), Some(day)) = (next(), next()) {
                waiting.charges.push(Pending {
                    exchange,
                    cost_nano,
                    day_ms: u64::try_from(day).unwrap_or(0),
                });
            }
        }
        Ok(Waits(waiting))
    }

    /// Gives a scope its sums. `false` when another charge came in between: they have to be read again.
    pub(crate) async fn initialise(
        &self,
        group: &Group,
        (scope, since): (&Scope, u64),
        waits: &Waits,
        sum: &Sum,
        calendar: &Calendar,
        now_ms: u64,
    ) -> Result<bool, Fault> {
        let mut days: HashMap<u64, NanoUsd> = HashMap::new();
        let mut add = |day_ms: u64, cost: NanoUsd| {
            let sum = days.entry(day_ms).or_default();
            *sum = sum.saturating_add(cost);
        };
        for (day_ms, cost_nano) in &sum.days {
            add(*day_ms, *cost_nano);
        }
        for pending in &waits.0.charges {
            let known = sum.known.get(&pending.exchange).copied().unwrap_or(0);
            add(pending.day_ms, pending.cost_nano.saturating_sub(known));
        }
        let mut windows: HashMap<String, NanoUsd> = HashMap::from([("T".to_owned(), 0)]);
        for (day_ms, cost_nano) in &days {
            let mut add = |name: String| {
                let sum = windows.entry(name).or_default();
                *sum = sum.saturating_add(*cost_nano);
            };
            add("T".to_owned());
            let [_, week, month, quarter, year] = Fields::of(calendar, *day_ms).starts();
            for (letter, start_ms) in [("W", week), ("M", month), ("Q", quarter), ("Y", year)] {
                add(format!("{letter}{start_ms}"));
            }
        }
        let oldest = calendar.window(Period::Rolling(period::ROLLING_DAYS_MAX), now_ms);
        days.retain(|day_ms, _| *day_ms >= oldest.start_ms);
        let held: Vec<String> = sum
            .held
            .iter()
            .map(|(service, seq)| format!("{service}={seq}"))
            .collect();
        let mut command = self.command_of(&script::INIT, group, now_ms, sum.version);
        command.arg(scope.to_string()).arg(since);
        command.arg(&waits.0.seen);
        command.arg(format!(";{};", held.join(";")));
        command.arg(days.len());
        for (day_ms, cost_nano) in &days {
            command.arg(day_ms).arg(cost_nano);
        }
        command.arg(windows.len());
        for (name, cost_nano) in &windows {
            command.arg(name).arg(cost_nano);
        }
        let told = self.told(&command).await?;
        Ok(told.into_iter().next().and_then(whole) == Some(1))
    }
}

/// Charges of a scope that wait for its sums.
pub(crate) struct Waits(Waiting);

impl Waits {
    /// Their exchanges.
    pub(crate) fn exchanges(&self) -> Vec<String> {
        let charges = self.0.charges.iter();
        charges.map(|pending| pending.exchange.clone()).collect()
    }
}
