//! One scope's budgets and windows.

use std::collections::VecDeque;

use super::{Budget, Crossing, Scope, Spend};
use crate::period::{Calendar, Period, Window};
use crate::usage::NanoUsd;

/// Days whose sums are kept when no budget looks further back.
const DAYS_KEPT: usize = 32;

/// One scope: its spend in every period, so that a budget can change its period at any time.
#[derive(Clone, Debug)]
pub(super) struct Account {
    scope: Scope,
    budgets: Vec<Budget>,
    spends: Vec<(Period, Spend)>,
    /// What was settled on each day that had any, by the day's first instant, in order.
    days: VecDeque<(u64, NanoUsd)>,
    /// Thresholds that were reached: period, start of the window, threshold.
    reached: Vec<(Period, u64, u32)>,
    /// Unix milliseconds at which the next window of any period ends.
    rolls_ms: u64,
}

impl Account {
    pub(super) fn new(scope: Scope, calendar: &Calendar, now_ms: u64) -> Account {
        let spend = |period: Period| {
            let window = calendar.window(period, now_ms);
            let spend = Spend {
                window,
                ..Spend::default()
            };
            (period, spend)
        };
        Account {
            scope,
            budgets: Vec::new(),
            spends: Period::ALL.map(spend).to_vec(),
            days: VecDeque::new(),
            reached: Vec::new(),
            rolls_ms: next_day(calendar, now_ms),
        }
    }

    pub(super) fn budgets(&self) -> &[Budget] {
        &self.budgets
    }

    pub(super) fn set_budgets(&mut self, budgets: Vec<Budget>, calendar: &Calendar, now_ms: u64) {
        for budget in &budgets {
            if self.spend(budget.period).is_none() {
                let window = calendar.window(budget.period, now_ms);
                // Every running exchange was admitted in the longest window there is.
                let held_nano = self.spend(Period::Total).map_or(0, |spend| spend.held_nano);
                let spend = Spend {
                    window,
                    spent_nano: self.settled_in(window),
                    held_nano,
                };
                self.spends.push((budget.period, spend));
            }
        }
        let named = Period::ALL;
        self.spends.retain(|(period, _)| {
            named.contains(period) || budgets.iter().any(|budget| budget.period == *period)
        });
        self.budgets = budgets;
    }

    /// Forgets what was settled, for the store's own sums to take its place.
    pub(super) fn forget_spend(&mut self) {
        self.days.clear();
        for (_, spend) in &mut self.spends {
            spend.spent_nano = 0;
        }
    }

    /// Starts the windows that `now_ms` has reached. A day ends no later than any other window.
    pub(super) fn roll(&mut self, calendar: &Calendar, now_ms: u64) {
        if now_ms < self.rolls_ms {
            return;
        }
        let days = std::mem::take(&mut self.days);
        for (period, spend) in &mut self.spends {
            let window = calendar.window(*period, now_ms);
            if spend.window == window {
                continue;
            }
            let rolls = matches!(period, Period::Rolling(_));
            *spend = Spend {
                window,
                spent_nano: if rolls { sum(&days, window) } else { 0 },
                held_nano: if rolls { spend.held_nano } else { 0 },
            };
        }
        self.days = days;
        self.rolls_ms = next_day(calendar, now_ms);
        let spends = &self.spends;
        self.reached.retain(|(period, start_ms, _)| {
            let spend = spends.iter().find(|(of, _)| of == period);
            spend.is_some_and(|(_, spend)| spend.window.start_ms == *start_ms)
        });
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Takes over what one window has spent and holds. One that is not the present one is left out.
    pub(super) fn adopt(
        &mut self,
        period: Period,
        start_ms: u64,
        (spent, held): (NanoUsd, NanoUsd),
    ) {
        let mut spends = self.spends.iter_mut();
        let known = spends.find(|(of, spend)| *of == period && spend.window.start_ms == start_ms);
        if let Some((_, spend)) = known {
            (spend.spent_nano, spend.held_nano) = (spent, held);
        }
    }

    pub(super) fn spend(&self, period: Period) -> Option<&Spend> {
        self.spends
            .iter()
            .find(|(of, _)| *of == period)
            .map(|(_, spend)| spend)
    }

    pub(super) fn charge(&mut self, calendar: &Calendar, at_ms: u64, cost_nano: NanoUsd) {
        if cost_nano == 0 {
            return;
        }
        for (_, spend) in self
            .spends
            .iter_mut()
            .filter(|(_, spend)| spend.window.holds(at_ms))
        {
            spend.spent_nano = spend.spent_nano.saturating_add(cost_nano);
        }
        self.note_day(calendar.window(Period::Daily, at_ms).start_ms, cost_nano);
    }

    fn note_day(&mut self, day_ms: u64, cost_nano: NanoUsd) {
        let at = self.days.partition_point(|(day, _)| *day < day_ms);
        match self.days.get_mut(at) {
            Some((day, spent)) if *day == day_ms => *spent = spent.saturating_add(cost_nano),
            _ => self.days.insert(at, (day_ms, cost_nano)),
        }
        let rolling = self
            .budgets
            .iter()
            .filter_map(|budget| match budget.period {
                Period::Rolling(days) => Some(usize::from(days)),
                _ => None,
            });
        let kept = rolling.max().unwrap_or_default().max(DAYS_KEPT);
        while self.days.len() > kept {
            self.days.pop_front();
        }
    }

    fn settled_in(&self, window: Window) -> NanoUsd {
        sum(&self.days, window)
    }

    /// Adds to what is held. Of a rolling window no running exchange drops out.
    pub(super) fn hold(&mut self, at_ms: u64, amount_nano: NanoUsd) {
        for (_, spend) in self.spends.iter_mut().filter(|(period, spend)| {
            matches!(period, Period::Rolling(_)) || spend.window.holds(at_ms)
        }) {
            spend.held_nano = spend.held_nano.saturating_add(amount_nano);
        }
    }

    /// Thresholds that spend has reached since the last call.
    pub(super) fn crossings(&mut self, found: &mut Vec<Crossing>) {
        for budget in &self.budgets {
            let spend = self.spends.iter().find(|(of, _)| *of == budget.period);
            let Some((period, spend)) = spend else {
                continue;
            };
            for threshold_ppm in budget.thresholds.iter() {
                let mark = (*period, spend.window.start_ms, threshold_ppm);
                if spend.spent_nano < budget.at(threshold_ppm) || self.reached.contains(&mark) {
                    continue;
                }
                self.reached.push(mark);
                found.push(Crossing {
                    scope: self.scope.clone(),
                    budget: *budget,
                    threshold_ppm,
                    window: spend.window,
                    spent_nano: spend.spent_nano,
                });
            }
        }
    }
}

fn sum(days: &VecDeque<(u64, NanoUsd)>, window: Window) -> NanoUsd {
    let inside = days.iter().filter(|(day_ms, _)| window.holds(*day_ms));
    inside.fold(0, |sum: NanoUsd, (_, spent)| sum.saturating_add(*spent))
}

fn next_day(calendar: &Calendar, now_ms: u64) -> u64 {
    let today = calendar.window(Period::Daily, now_ms);
    today.end_ms.unwrap_or(u64::MAX)
}
