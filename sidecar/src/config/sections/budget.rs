//! `budgets`.

use engine::ledger::{Budget, THRESHOLDS_MAX, Thresholds};
use engine::usage::NanoUsd;

use super::super::document::Value;
use super::super::reader::{Field, Object, Reader};
use super::super::{BudgetConfig, BudgetScope, Period};
use super::period;

const SCOPES: [(&str, BudgetScope); 8] = [
    ("global", BudgetScope::Global),
    ("tenant", BudgetScope::Tenant),
    ("team", BudgetScope::Team),
    ("user", BudgetScope::User),
    ("tier", BudgetScope::Tier),
    ("provider", BudgetScope::Provider),
    ("model", BudgetScope::Model),
    ("tag", BudgetScope::Tag),
];
/// Nano-dollars, which decimals are read as, in one millionth.
const NANO_PER_PPM: NanoUsd = 1_000;
/// Ten times a limit.
const THRESHOLD_PPM_MAX: u32 = 10_000_000;

/// The budget of everybody, for those who configure by environment: dollars.
const LIMIT_VARIABLE: &str = "GLOBAL_BUDGET_LIMIT";
/// Its period; a month without it.
const PERIOD_VARIABLE: &str = "BUDGET_RESET_PERIOD";
/// The part of it that is told of.
const WARNING_VARIABLE: &str = "BUDGET_WARNING_THRESHOLD";

pub(super) fn budgets(top: &mut Object<'_>, reader: &mut Reader<'_>) -> Vec<BudgetConfig> {
    let mut found = match top.member("budgets") {
        Some(all) => read(all, reader),
        None => Vec::new(),
    };
    if !found.iter().any(|rule| rule.scope == BudgetScope::Global) {
        found.extend(of_environment(top, reader));
    }
    found
}

/// A budget of everybody from the environment.
fn of_environment(top: &Object<'_>, reader: &mut Reader<'_>) -> Option<BudgetConfig> {
    let text = reader.env(LIMIT_VARIABLE)?;
    let limit_nano = engine::price::nano(text.trim());
    if limit_nano.is_none() {
        let message = format!("{LIMIT_VARIABLE} is not dollars such as 1000.00");
        reader.problem(top.field(), message);
    }
    let period = reader
        .env(PERIOD_VARIABLE)
        .map_or(Some(Period::Monthly), |text| {
            let period = Period::from_name(text.trim());
            if period.is_none() {
                let message = format!("{PERIOD_VARIABLE}: {}", super::no_period(&text));
                reader.problem(top.field(), message);
            }
            period
        });
    let warning = reader.env(WARNING_VARIABLE).map(|text| {
        let ppm = engine::price::nano(text.trim()).and_then(threshold_ppm);
        if ppm.is_none() {
            let message = format!("{WARNING_VARIABLE} is not a part of the limit, such as 0.8");
            reader.problem(top.field(), message);
        }
        ppm
    });
    Some(BudgetConfig {
        scope: BudgetScope::Global,
        name: None,
        tier: None,
        teams: Vec::new(),
        budget: Budget {
            limit_nano: limit_nano?,
            period: period?,
            hard: true,
            thresholds: Thresholds::new(warning.flatten()),
        },
    })
}

/// Members of the form that has all budgets in one mapping.
const FLAT: [&str; 3] = ["global_limit", "user_limits", "group_limits"];

/// A list, one entry of it, or all in one mapping.
pub(super) fn read(all: Field<'_>, reader: &mut Reader<'_>) -> Vec<BudgetConfig> {
    let mut found: Vec<BudgetConfig> = Vec::new();
    if let Value::Mapping(members) = &all.node.value {
        let is_flat = |text: &str| FLAT.contains(&text);
        if members.iter().any(|(key, _)| is_flat(&key.text)) {
            return flat(all, reader);
        }
        return entry(all, reader).into_iter().collect();
    }
    for field in reader.list(&all) {
        let Some(budget) = entry(field.clone(), reader) else {
            continue;
        };
        let same = |other: &BudgetConfig| {
            (other.scope, &other.name, &other.tier, other.budget.period)
                == (
                    budget.scope,
                    &budget.name,
                    &budget.tier,
                    budget.budget.period,
                )
        };
        if found.iter().any(same) {
            reader.problem(&field, "a budget of this scope and period is given twice");
        }
        found.push(budget);
    }
    found
}

/// One budget; a member may have its other name.
fn entry(field: Field<'_>, reader: &mut Reader<'_>) -> Option<BudgetConfig> {
    let mut object = reader.object(field)?;
    let pool = object
        .member("budget_id")
        .and_then(|field| reader.text(&field));
    let teams = object
        .member("user_groups")
        .map(|field| reader.texts(&field));
    let is_pool = pool.is_some() || teams.is_some();
    let scope = match is_pool {
        true => Some(BudgetScope::Pool),
        false => object
            .required("scope", reader)
            .and_then(|field| reader.choice(&field, &SCOPES)),
    };
    let name_field = object.member("name");
    let name = name_field.as_ref().and_then(|field| reader.text(field));
    if let (Some(BudgetScope::Global), Some(field)) = (scope, &name_field) {
        reader.problem(field, "there is one `global` only: it has no name");
    }
    if let (Some(BudgetScope::Tag), Some(field), Some(name)) = (scope, &name_field, &name)
        && !name.contains('=')
    {
        reader.problem(field, "a tag is NAME=VALUE, or NAME=* for each value");
    }
    if scope == Some(BudgetScope::Tag) && name.is_none() {
        reader.problem(object.field(), "`name` is missing: NAME=VALUE, or NAME=*");
    }
    let tier_field = object.member("tier");
    let tier = tier_field.as_ref().and_then(|field| reader.text(field));
    if let Some(field) = tier_field.filter(|_| scope != Some(BudgetScope::User)) {
        reader.problem(&field, "only budgets of scope `user` have a tier");
    }
    let limit =
        either(&mut object, "limit_usd", "total_budget").and_then(|field| reader.usd(&field));
    if limit.is_none() {
        reader.problem(object.field(), "`limit_usd` is missing");
    }
    let budget = terms(&mut object, reader);
    object.finish(reader);
    Some(BudgetConfig {
        scope: scope?,
        name: if is_pool { pool.or(name) } else { name },
        tier,
        teams: teams.unwrap_or_default(),
        budget: Budget {
            limit_nano: limit?,
            ..budget
        },
    })
}

fn either<'n>(
    object: &mut Object<'n>,
    name: &'static str,
    other: &'static str,
) -> Option<Field<'n>> {
    let (first, second) = (object.member(name), object.member(other));
    first.or(second)
}

/// What all budgets say besides whose they are and how much.
fn terms(object: &mut Object<'_>, reader: &mut Reader<'_>) -> Budget {
    let period = either(object, "period", "reset_period")
        .and_then(|field| super::period(&field, reader))
        .unwrap_or_default();
    let hard = either(object, "hard", "auto_disable_at_limit")
        .and_then(|field| reader.choice(&field, &[("true", true), ("false", false)]))
        .unwrap_or(true);
    let thresholds = either(object, "thresholds", "alert_thresholds")
        .map(|field| thresholds(&field, reader))
        .unwrap_or_default();
    Budget {
        limit_nano: 0,
        period,
        hard,
        thresholds,
    }
}

fn thresholds(field: &Field<'_>, reader: &mut Reader<'_>) -> Thresholds {
    let parts = reader.list(field);
    if parts.len() > THRESHOLDS_MAX {
        reader.problem(field, format!("at most {THRESHOLDS_MAX} thresholds"));
    }
    let found: Vec<u32> = parts
        .iter()
        .filter_map(|part| threshold(part, reader))
        .collect();
    Thresholds::new(found)
}

/// A part of the limit: 0.8.
fn threshold(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<u32> {
    let ppm = threshold_ppm(reader.usd(field)?);
    if ppm.is_none() {
        reader.problem(field, "a threshold is a part of the limit, such as 0.8");
    }
    ppm
}

fn threshold_ppm(nano: NanoUsd) -> Option<u32> {
    let ppm = u32::try_from(nano / NANO_PER_PPM).ok()?;
    (1..=THRESHOLD_PPM_MAX).contains(&ppm).then_some(ppm)
}

/// All of them in one mapping: `{global_limit, user_limits, group_limits, reset_period, ...}`.
fn flat(field: Field<'_>, reader: &mut Reader<'_>) -> Vec<BudgetConfig> {
    let Some(mut object) = reader.object(field) else {
        return Vec::new();
    };
    let global = object
        .member("global_limit")
        .and_then(|field| reader.usd(&field));
    let mut named = |name: &'static str, reader: &mut Reader<'_>| -> Vec<(String, NanoUsd)> {
        let members = object.member(name).map(|field| reader.map(&field));
        let members = members.unwrap_or_default();
        let limits = members
            .iter()
            .filter_map(|(name, field)| Some(((*name).to_owned(), reader.usd(field)?)));
        limits.collect()
    };
    let users = named("user_limits", reader);
    let groups = named("group_limits", reader);
    let period = object
        .member("reset_period")
        .and_then(|field| period(&field, reader))
        .unwrap_or(Period::Monthly);
    let hard = object
        .member("auto_disable_on_exceed")
        .and_then(|field| reader.choice(&field, &[("true", true), ("false", false)]))
        .unwrap_or(true);
    let warning = object
        .member("warning_threshold")
        .and_then(|field| threshold(&field, reader));
    object.finish(reader);
    let budget = |limit_nano| Budget {
        limit_nano,
        period,
        hard,
        thresholds: Thresholds::new(warning),
    };
    let entry = |scope, name, tier, limit_nano| BudgetConfig {
        scope,
        name,
        tier,
        teams: Vec::new(),
        budget: budget(limit_nano),
    };
    let mut found = Vec::new();
    found.extend(global.map(|limit| entry(BudgetScope::Global, None, None, limit)));
    // The limits of users are given by tier: each user of it has that much.
    found.extend(
        users
            .into_iter()
            .map(|(tier, limit)| entry(BudgetScope::User, None, Some(tier), limit)),
    );
    found.extend(
        groups
            .into_iter()
            .map(|(team, limit)| entry(BudgetScope::Team, Some(team), None, limit)),
    );
    found
}
