//! Where an exchange counts, and what bounds it there: what scripts are told of it, and what they tell
//! of its state.

use engine::ledger::{Ledger, Scope, ScopeId};
use engine::limit::{Bound, Limits, Measure, Place, Window};
use engine::period::{self, Calendar, Period};
use engine::usage::NanoUsd;
use redis::Cmd;

use super::super::store::counted::Counted;

/// Budgets and limits that share a hash tag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    budgets: Vec<Spending>,
    limits: Vec<Rate>,
}

#[derive(Clone, Debug)]
struct Spending {
    id: ScopeId,
    scope: Scope,
    /// The version since which it is counted.
    since: u64,
    windows: Vec<(Period, period::Window, Option<NanoUsd>)>,
}

#[derive(Clone, Debug)]
struct Rate {
    scope: Scope,
    bounds: Vec<Bound>,
    running: Option<u64>,
    tracks: Vec<(Measure, u64, u64)>,
}

/// Days, weeks, months, quarters and years that an instant lies in, by their beginnings: where a cost
/// is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields([u64; 5]);

impl Fields {
    pub(crate) fn of(calendar: &Calendar, at_ms: u64) -> Fields {
        let periods = [
            Period::Daily,
            Period::Weekly,
            Period::Monthly,
            Period::Quarterly,
            Period::Yearly,
        ];
        Fields(periods.map(|period| calendar.window(period, at_ms).start_ms))
    }

    pub(super) fn write(&self, command: &mut Cmd) {
        for start_ms in self.0 {
            command.arg(start_ms);
        }
    }

    pub(super) fn starts(&self) -> [u64; 5] {
        self.0
    }
}

impl Bounds {
    /// What bounds an exchange in these scopes and places. Windows are those of `now_ms`.
    pub(crate) fn of(
        ledger: &mut Ledger,
        limits: &Limits,
        counted: &Counted,
        scopes: &[ScopeId],
        places: &[Place],
        now_ms: u64,
    ) -> Bounds {
        let mut budgets = Vec::with_capacity(scopes.len());
        for id in scopes {
            let states = ledger.budgets(*id, now_ms);
            let windows = states.iter().map(|state| {
                let budget = state.budget;
                let limit = budget.hard.then_some(budget.limit_nano);
                (budget.period, state.spend.window, limit)
            });
            let windows = windows.collect();
            if let Some(scope) = ledger.scope(*id) {
                budgets.push(Spending {
                    id: *id,
                    scope: scope.clone(),
                    since: counted.since(scope),
                    windows,
                });
            }
        }
        let rates = places.iter().filter_map(|place| {
            let (scope, bounds) = limits.bounds_at(*place)?;
            Some(Rate::new(scope.clone(), bounds.to_vec()))
        });
        Bounds {
            budgets,
            limits: rates.collect(),
        }
    }

    /// Adds a window to what is looked at in each of the scopes.
    pub(crate) fn look_at(&mut self, period: Period, window: period::Window) {
        for budget in &mut self.budgets {
            if budget.windows.iter().all(|(of, ..)| *of != period) {
                budget.windows.push((period, window, None));
            }
        }
    }

    /// Those of scopes that `takes` takes, and the others.
    pub(crate) fn parted(self, takes: impl Fn(&Scope) -> bool) -> (Bounds, Bounds) {
        let (budgets, other_budgets) = self.budgets.into_iter().partition(|it| takes(&it.scope));
        let (limits, other_limits) = self.limits.into_iter().partition(|it| takes(&it.scope));
        let taken = Bounds { budgets, limits };
        let others = Bounds {
            budgets: other_budgets,
            limits: other_limits,
        };
        (taken, others)
    }

    /// Names of the scopes with limits.
    pub(crate) fn limited(&self) -> impl Iterator<Item = String> {
        self.limits.iter().map(|limit| limit.scope.to_string())
    }

    /// Whether something is bounded here.
    pub(crate) fn bind(&self) -> bool {
        !self.limits.is_empty() || self.budgets.iter().any(|it| !it.windows.is_empty())
    }

    /// The scopes at these places of the list of budgets.
    pub(super) fn scopes_at(&self, places: &[i64]) -> Vec<(Scope, u64)> {
        let at = |place: &i64| {
            let place = usize::try_from(*place).ok()?.checked_sub(1)?;
            let budget = self.budgets.get(place)?;
            Some((budget.scope.clone(), budget.since))
        };
        places.iter().filter_map(at).collect()
    }

    pub(super) fn write(&self, command: &mut Cmd) {
        command.arg(self.budgets.len());
        for budget in &self.budgets {
            command.arg(budget.scope.to_string()).arg(budget.since);
            command.arg(budget.windows.len());
            for (period, window, limit) in &budget.windows {
                command.arg(letter(*period)).arg(window.start_ms);
                optional(command, *limit);
            }
        }
        command.arg(self.limits.len());
        for limit in &self.limits {
            command.arg(limit.scope.to_string());
            optional(command, limit.running);
            command.arg(limit.tracks.len());
            for (measure, window_ms, most) in &limit.tracks {
                command.arg(initial(*measure)).arg(window_ms).arg(most);
            }
        }
    }

    /// Takes over the states that a script has told, into the machines that decide. Gives the places
    /// of the limits among them.
    pub(crate) fn adopt(
        &self,
        states: &[i64],
        ledger: &mut Ledger,
        limits: &mut Limits,
        now_ms: u64,
    ) -> Vec<Place> {
        let mut states = states.iter().copied();
        for budget in &self.budgets {
            let told = budget.windows.iter().map_while(|(period, window, _)| {
                Some((*period, window.start_ms, (states.next()?, states.next()?)))
            });
            let told: Vec<_> = told.collect();
            ledger.adopt(budget.id, told, now_ms);
        }
        let mut count = || {
            let next = states.next().unwrap_or(0);
            u64::try_from(next).unwrap_or(0)
        };
        let mut places = Vec::with_capacity(self.limits.len());
        for limit in &self.limits {
            let running = count();
            let counted = limit.tracks.iter().map(|(measure, window_ms, _)| {
                let window = Window::of(*window_ms, now_ms, count(), count());
                (*measure, *window_ms, window)
            });
            let counted: Vec<_> = counted.collect();
            if let Some(place) = limits.open(&limit.scope, &limit.bounds, now_ms) {
                limits.adopt(place, running, &counted);
                places.push(place);
            }
        }
        places
    }
}

impl Rate {
    fn new(scope: Scope, bounds: Vec<Bound>) -> Rate {
        let mut rate = Rate {
            scope,
            running: None,
            tracks: Vec::new(),
            bounds: Vec::new(),
        };
        for bound in &bounds {
            if bound.measure == Measure::Running {
                let most = rate.running.unwrap_or(u64::MAX);
                rate.running = Some(most.min(bound.limit));
                continue;
            }
            let mut tracks = rate.tracks.iter_mut();
            let same = |track: &&mut (Measure, u64, u64)| {
                (track.0, track.1) == (bound.measure, bound.window_ms)
            };
            match tracks.find(same) {
                Some((_, _, most)) => *most = bound.limit.min(*most),
                None => rate
                    .tracks
                    .push((bound.measure, bound.window_ms, bound.limit)),
            }
        }
        rate.bounds = bounds;
        rate
    }
}

fn optional<T: redis::ToRedisArgs>(command: &mut Cmd, value: Option<T>) {
    match value {
        Some(value) => command.arg(value),
        None => command.arg(""),
    };
}

fn letter(period: Period) -> &'static str {
    match period {
        Period::Daily => "D",
        Period::Weekly => "W",
        Period::Monthly => "M",
        Period::Quarterly => "Q",
        Period::Yearly => "Y",
        Period::Total => "T",
        Period::Rolling(_) => "R",
    }
}

fn initial(measure: Measure) -> &'static str {
    match measure {
        Measure::Tokens => "t",
        Measure::Requests | Measure::Running => "r",
    }
}
