//! What records change in the sums beside the ledger, gathered so that each row is written once in a
//! transaction, and by every service in the same order: they do not wait for each other in a circle.

use std::collections::BTreeMap;

use engine::guard::PII_RULE;
use engine::ledger::Scope;
use engine::period;
use engine::usage::NanoUsd;
use engine::wire::{Ending, UsageRecord};

use super::db::{Db, DbError, Value};
use super::usage::Stand;

/// Day, key, provider and model.
type Kind = (String, String, String, String);

/// Day, rule, type of data, direction and action.
type Deed = (String, String, String, &'static str, &'static str);

/// Changes of sums.
#[derive(Default)]
pub(crate) struct Sums {
    /// Requests and findings.
    guard: BTreeMap<Deed, [i64; 2]>,
    /// Requests, errors, cost, tokens of prompts, of completions.
    usage: BTreeMap<Kind, [i64; 5]>,
    spend: BTreeMap<(String, u64), NanoUsd>,
    run: Option<Run>,
}

/// Records that follow each other and are of one kind.
struct Run {
    /// Days since 1970-01-01.
    day: u64,
    key: String,
    provider: String,
    model: String,
    sums: [i64; 5],
}

impl Sums {
    /// A record that is new in the ledger.
    pub(super) fn record(&mut self, record: &UsageRecord, charged_ms: u64) {
        // Where a provider takes any model's name, refused requests could make a row of each.
        let model = match record.ending {
            Ending::Refused => "",
            _ => record.model.as_str(),
        };
        let signed = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let errors = i64::from(!record.succeeded());
        let (input, output) = (record.usage.input, record.usage.output);
        let change = [1, errors, record.cost_nano, signed(input), signed(output)];
        self.add(&record.key, &record.provider, model, charged_ms, change);
        for verdict in &record.guard {
            // What a check says of a text is no type: any judge may word it.
            let kind = match verdict.rule.as_str() {
                PII_RULE => verdict.kind.clone(),
                _ => String::new(),
            };
            let deed = (
                period::day(charged_ms),
                verdict.rule.clone(),
                kind,
                verdict.on.name(),
                verdict.action.name(),
            );
            let [requests, findings] = self.guard.entry(deed).or_default();
            *requests = requests.saturating_add(1);
            *findings = findings.saturating_add(verdict.count.into());
        }
    }

    /// The record that stood for an expired hold is one no more.
    pub(super) fn take_back(&mut self, key: &str, old: &Stand) {
        let change = [1, 1, old.cost_nano, old.tokens, 0].map(i64::saturating_neg);
        self.add(key, &old.provider, &old.model, old.at_ms, change);
    }

    fn add(&mut self, key: &str, provider: &str, model: &str, at_ms: u64, change: [i64; 5]) {
        let day = at_ms / period::DAY_MS;
        let is_same = |run: &Run| {
            run.day == day && run.key == key && run.provider == provider && run.model == model
        };
        if !self.run.as_ref().is_some_and(is_same) {
            self.end_run();
        }
        let run = self.run.get_or_insert_with(|| Run {
            day,
            key: key.to_owned(),
            provider: provider.to_owned(),
            model: model.to_owned(),
            sums: [0; 5],
        });
        plus(&mut run.sums, change);
    }

    fn end_run(&mut self) {
        if let Some(run) = self.run.take() {
            let day = period::day(run.day.saturating_mul(period::DAY_MS));
            let kind = (day, run.key, run.provider, run.model);
            plus(self.usage.entry(kind).or_default(), run.sums);
        }
    }

    /// Spend of some scopes on a day of the calendar.
    pub(crate) fn spend(&mut self, scopes: &[Scope], day_ms: u64, cost_nano: NanoUsd) {
        for scope in scopes {
            let sum = self.spend.entry((scope.to_string(), day_ms)).or_default();
            *sum = sum.saturating_add(cost_nano);
        }
    }

    /// Adds them to the tables.
    pub(crate) fn write(mut self, step: &mut Db) -> Result<(), DbError> {
        self.end_run();
        const USAGE: Upsert = Upsert {
            table: "usage_daily",
            key: &["day", "key_id", "provider", "model"],
            sums: &[
                "requests",
                "errors",
                "cost_nano",
                "prompt_tokens",
                "completion_tokens",
            ],
        };
        const SPEND: Upsert = Upsert {
            table: "spend_daily",
            key: &["scope", "day_ms"],
            sums: &["cost_nano"],
        };
        let usage = self
            .usage
            .into_iter()
            .map(|((day, key, provider, model), sums)| {
                let kind = [day, key, provider, model].map(Value::from);
                kind.into_iter().chain(sums.map(Value::from)).collect()
            });
        USAGE.run(step, usage.collect())?;
        const GUARD: Upsert = Upsert {
            table: "guard_daily",
            key: &["day", "rule", "type", "direction", "action"],
            sums: &["requests", "findings"],
        };
        let guard = self.guard.into_iter().map(|(deed, sums)| {
            let (day, rule, kind, on, action) = deed;
            let deed = [day, rule, kind, on.to_owned(), action.to_owned()].map(Value::from);
            deed.into_iter().chain(sums.map(Value::from)).collect()
        });
        GUARD.run(step, guard.collect())?;
        let spend = self.spend.into_iter().filter(|(_, cost)| *cost != 0);
        let spend =
            spend.map(|((scope, day_ms), cost)| vec![scope.into(), day_ms.into(), cost.into()]);
        SPEND.run(step, spend.collect())
    }
}

fn plus(sums: &mut [i64; 5], changes: [i64; 5]) {
    for (sum, change) in sums.iter_mut().zip(changes) {
        *sum = sum.saturating_add(change);
    }
}

/// A table of sums.
struct Upsert {
    table: &'static str,
    key: &'static [&'static str],
    sums: &'static [&'static str],
}

impl Upsert {
    fn run(&self, step: &mut Db, rows: Vec<Vec<Value<'_>>>) -> Result<(), DbError> {
        let columns = self.key.len().saturating_add(self.sums.len());
        for rows in pieces(&rows) {
            let sql = self.sql(&places(rows.len(), columns));
            let values: Vec<Value<'_>> = rows.iter().flatten().cloned().collect();
            step.execute(&sql, &values)?;
        }
        Ok(())
    }

    fn sql(&self, places: &str) -> String {
        let Upsert { table, key, sums } = self;
        let set: Vec<String> = sums
            .iter()
            .map(|sum| format!("{sum} = {table}.{sum} + excluded.{sum}"))
            .collect();
        let key = key.join(", ");
        format!(
            "INSERT INTO {table} ({key}, {}) VALUES {places} ON CONFLICT ({key}) DO UPDATE SET {}",
            sums.join(", "),
            set.join(", ")
        )
    }
}

/// Rows of one statement. Few different numbers, so that few statements are prepared.
const ROWS: [usize; 4] = [64, 16, 4, 1];

/// Cuts a list into pieces of such lengths, the longest first.
pub(super) fn pieces<T>(mut rest: &[T]) -> Vec<&[T]> {
    let mut pieces = Vec::new();
    for length in ROWS {
        while let Some((piece, after)) = rest.split_at_checked(length) {
            pieces.push(piece);
            rest = after;
        }
    }
    pieces
}

/// `($1, $2), ($3, $4)` for two rows of two columns.
pub(super) fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let first = row.saturating_mul(columns);
        let row: Vec<String> = (1..=columns)
            .map(|column| format!("${}", first.saturating_add(column)))
            .collect();
        format!("({})", row.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    rows.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cut_into_few_lengths() {
        let rows: Vec<u32> = (0..150).collect();
        let found: Vec<usize> = pieces(&rows).iter().map(|piece| piece.len()).collect();
        assert_eq!(found, [64, 64, 16, 4, 1, 1]);
        assert_eq!(pieces(&rows).concat(), rows);
        assert_eq!(places(2, 2), "($1, $2), ($3, $4)");
    }
}
