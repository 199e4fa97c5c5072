//! Guardrails over an exchange: which rules hold, and what they do to a request.

use std::borrow::Cow;
use std::rc::Rc;

use super::{AnswerMode, Endpoint, Exchange, Step};
use crate::dialect::Form;
use crate::endpoint::Through;
use crate::guard::rules::{BUILT_IN, Check, Guardrails, PiiRule, RuleError, Test};
use crate::guard::{
    self, Actions, AnswerForm, AnswerGuard, Detectors, Inspection, Judge, Key, Orders, Pseudonyms,
};
use crate::ingress::Ingress;
use crate::json::Edits;
use crate::policy::PolicyIndex;
use crate::reply::Code;
use crate::request::Text;
use crate::wire::{Direction, KeyRecord, PiiAction, Verdict};

/// How rules for personal data are named.
const PII: &str = guard::PII_RULE;

/// The rules that hold for an exchange, whoever made them.
pub(super) struct Guard {
    pub(super) input: Actions,
    pub(super) output: Actions,
    /// What finds personal data, as it was when the request came.
    pub(super) detectors: Rc<Detectors>,
    key: [u8; 32],
    allow_unread: bool,
    pub(super) report: bool,
    pub(super) input_checks: Vec<Check>,
    pub(super) output_checks: Vec<Check>,
    judges: Vec<Rc<Judge>>,
    /// What the answer is to say in place of placeholders.
    pub(super) pseudonyms: Pseudonyms,
}

impl Exchange {
    /// Puts the rules of all places together.
    pub(super) fn watch(
        &mut self,
        policy: &PolicyIndex,
        key: &KeyRecord,
        asked: Option<&Guardrails>,
    ) -> Result<(), Box<Step>> {
        let defaults = policy.defaults();
        let places = [Some(&defaults.guardrails), Some(&key.guardrails), asked];
        let places = places.into_iter().flatten();
        let places = || places.clone();
        if places().all(|rules| rules.is_empty()) {
            return Ok(());
        }
        if let Some(asked) = asked {
            let known = asked.check_types(policy.detectors());
            let known = known.and_then(|()| asked.check_judges(defaults.judges.iter()));
            if let Err(error) = known {
                return Err(self.refuse_rules(&error));
            }
        }
        let rules = |of: fn(&Guardrails) -> &[PiiRule]| {
            let rules = places().flat_map(of);
            Actions::of(rules, Some(policy.detectors()))
        };
        let checks = |of: fn(&Guardrails) -> &[Check]| -> Vec<Check> {
            let mut checks: Vec<Check> = Vec::new();
            for check in places().flat_map(of) {
                let check = resolved(check, &defaults.judges);
                if !checks.contains(&check) {
                    checks.push(check);
                }
            }
            checks
        };
        let input = rules(|place| &place.input.pii);
        let output = rules(|place| &place.output.pii);
        let mut detectors = policy.detectors().clone();
        let named = || input.named().chain(output.named());
        if named().any(|kind| !kind.by_default()) {
            detectors = Rc::new(detectors.with(named()));
        }
        self.guard = Some(Box::new(Guard {
            input,
            output,
            detectors,
            key: policy.tenant_key(&key.tenant),
            // Each place that has rules has a say, and the strictest holds.
            allow_unread: places().all(|place| place.is_empty() || place.allow_unread),
            report: places().any(|place| place.report),
            input_checks: checks(|place| &place.input.checks),
            output_checks: checks(|place| &place.output.checks),
            judges: defaults.judges.iter().cloned().map(Rc::new).collect(),
            pseudonyms: Pseudonyms::default(),
        }));
        Ok(())
    }

    fn refuse_rules(&mut self, error: &RuleError) -> Box<Step> {
        let member = format!("guardrails.{}", error.member);
        let message = format!("Invalid route configuration: {member}: {}", error.message);
        Box::new(self.refuse_param(Code::ConfigInvalid, Some(message), Some(member)))
    }

    /// Inspects texts of the body. Says whether the body was changed.
    pub(super) fn inspect(&mut self, texts: &[Text]) -> Result<bool, Box<Step>> {
        let Some(guard) = self.guard.as_deref_mut().filter(|g| !g.input.is_empty()) else {
            return Ok(false);
        };
        let mut edits = Edits::default();
        let orders = Orders {
            actions: Cow::Borrowed(&guard.input),
            detectors: Some(&guard.detectors),
            key: Key(&guard.key),
        };
        let inspection = guard::inspect(&self.body, texts, orders, &mut edits);
        let Inspection {
            counts,
            edits_made,
            pseudonyms,
            unread,
        } = inspection;
        if unread > 0 && !guard.allow_unread {
            let message = "A file in the request holds no text, and a guardrail has to read it";
            let refusal = self.refuse(Code::GuardrailViolation, Some(message.to_owned()));
            return Err(Box::new(refusal));
        }
        if unread > 0 {
            self.outcome.unenforced.push(PII.to_owned());
        }
        if counts.is_empty() {
            return Ok(false);
        }
        guard.pseudonyms = pseudonyms;
        let verdicts = guard.verdicts(&counts, Direction::Input);
        self.outcome.verdicts.extend(verdicts);
        if let Some(message) = self.denial(Direction::Input) {
            return Err(Box::new(
                self.refuse(Code::GuardrailViolation, Some(message)),
            ));
        }
        if edits_made {
            self.body = edits.apply(&self.body);
            self.redacted = true;
        }
        Ok(edits_made)
    }

    /// Whether something is to be done with the texts of answers.
    pub(super) fn watches_answers(&self) -> bool {
        let guard = self.guard.as_deref();
        guard.is_some_and(|guard| {
            !guard.output.is_empty()
                || !guard.pseudonyms.is_empty()
                || !guard.output_checks.is_empty()
        })
    }

    /// Whether streams are held until they are complete, for checks of them as a whole.
    pub(super) fn holds_streams(&self) -> bool {
        let guard = self.guard.as_deref();
        guard.is_some_and(|guard| !guard.output_checks.iter().all(Check::is_gradual))
    }

    /// Names of the checks that a stream is held for.
    pub(super) fn holding_checks(&self) -> Vec<&'static str> {
        let checks = self.guard.as_deref().map(|guard| &guard.output_checks);
        let checks = checks.into_iter().flatten();
        let mut names = Vec::new();
        for check in checks.filter(|check| !check.is_gradual()) {
            if !names.contains(&check.name()) {
                names.push(check.name());
            }
        }
        names
    }

    /// What watches over the answer.
    pub(super) fn answer_guard(&self) -> Option<Box<AnswerGuard>> {
        if !matches!(
            self.endpoint,
            Some(Endpoint::Chat | Endpoint::Conversation(_))
        ) {
            // No other answer that is read has texts.
            return None;
        }
        let guard = self.guard.as_deref().filter(|_| self.watches_answers())?;
        let form = match self.target().map(|target| self.form(target)) {
            Some(Form::Native(Ingress::Messages)) => AnswerForm::Messages,
            Some(Form::Native(Ingress::Responses)) => AnswerForm::Responses,
            _ => AnswerForm::Chat,
        };
        let mut watch = AnswerGuard::new(
            guard.output.clone(),
            guard.detectors.clone(),
            guard.key,
            guard.pseudonyms.clone(),
        )
        .of_form(form);
        if self.answer.mode != AnswerMode::Document && !self.holds_streams() {
            for check in &guard.output_checks {
                if let Test::Regex { pattern, .. } = &check.test {
                    watch.look_for(pattern.clone(), check.flags);
                }
            }
        } else if !guard.output_checks.is_empty() {
            watch.keep_texts();
        }
        Some(Box::new(watch))
    }

    /// Applies the rules for answers to a complete one; `None` when it is denied.
    pub(super) fn guarded(
        &mut self,
        watch: Option<&mut AnswerGuard>,
        body: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let Some(watch) = watch else {
            return Some(body);
        };
        let body = watch.document(body);
        self.note(watch);
        (!watch.denied()).then_some(body)
    }

    /// Takes over what was found in an answer.
    pub(super) fn note(&mut self, watch: &mut AnswerGuard) {
        let counts = watch.take_counts();
        if let Some(guard) = self.guard.as_deref().filter(|_| !counts.is_empty()) {
            let verdicts = guard.verdicts(&counts, Direction::Output);
            self.outcome.verdicts.extend(verdicts);
        }
        self.note_patterns(watch);
    }

    /// What tells answers under these rules from those under others, in the cache. `None` when they
    /// must not be kept: the values in them are not the provider's.
    pub(super) fn cache_scope(&self) -> Option<String> {
        match self.guard.as_deref() {
            None => Some(String::new()),
            Some(guard) if !guard.pseudonyms.is_empty() => None,
            Some(guard) if guard.output.is_empty() && guard.output_checks.is_empty() => {
                Some(String::new())
            }
            Some(guard) => Some(format!("{:?}{:?}\n", guard.output, guard.output_checks)),
        }
    }

    /// A call whose answer nobody here reads: whether it may be made under the rules for answers.
    pub(super) fn unread_output(&mut self) -> Result<(), Box<Step>> {
        let watched = self.guard.as_deref();
        let watched = watched.filter(|g| !g.output.is_empty() || !g.output_checks.is_empty());
        let (Some(guard), Some(through)) = (watched, self.through()) else {
            return Ok(());
        };
        if through == Through::Moderations {
            return Ok(());
        }
        if guard.allow_unread {
            self.outcome.unenforced.push(format!("output.{PII}"));
            return Ok(());
        }
        let message = "The answer to this call cannot be read, and a guardrail has to".to_owned();
        Err(Box::new(
            self.refuse(Code::GuardrailViolation, Some(message)),
        ))
    }

    /// A body that nobody here can read: whether it may go on under the rules for requests.
    pub(super) fn unread_input(&mut self) -> Result<(), Box<Step>> {
        let Some(guard) = self.guard.as_deref().filter(|g| !g.input.is_empty()) else {
            return Ok(());
        };
        if self.body.is_empty() {
            return Ok(());
        }
        if guard.allow_unread {
            self.outcome.unenforced.push(PII.to_owned());
            return Ok(());
        }
        let message = "The request cannot be read, and a guardrail has to".to_owned();
        Err(Box::new(
            self.refuse(Code::GuardrailViolation, Some(message)),
        ))
    }

    /// Why a request or an answer is denied, for people; `None` when it is not.
    pub(super) fn denial(&self, on: Direction) -> Option<String> {
        let verdicts = self.outcome.verdicts.iter();
        let denied = verdicts.filter(|it| it.on == on && it.action == PiiAction::Deny);
        let what = match on {
            Direction::Input => "request",
            Direction::Output => "answer",
        };
        let (data, checks): (Vec<&Verdict>, Vec<&Verdict>) = denied.partition(|it| it.rule == PII);
        let data: Vec<&str> = data.iter().map(|verdict| verdict.kind.as_str()).collect();
        if !data.is_empty() {
            let data = data.join(", ");
            return Some(format!("The {what} contains personal data: {data}"));
        }
        let checks: Vec<String> = checks
            .iter()
            .map(|verdict| match verdict.kind.as_str() {
                "" => verdict.rule.clone(),
                kind => format!("{} ({kind})", verdict.rule),
            })
            .collect();
        let checks = (!checks.is_empty()).then(|| checks.join(", "));
        checks.map(|checks| format!("The {what} does not pass: {checks}"))
    }

    /// Personal data by type, in one direction or both.
    pub(super) fn findings(&self, on: Option<Direction>) -> Vec<(String, u32)> {
        let mut found: Vec<(String, u32)> = Vec::new();
        for verdict in &self.outcome.verdicts {
            if verdict.rule != PII || on.is_some_and(|on| on != verdict.on) {
                continue;
            }
            match found.iter_mut().find(|(kind, _)| *kind == verdict.kind) {
                Some((_, count)) => *count = count.saturating_add(verdict.count),
                None => found.push((verdict.kind.clone(), verdict.count)),
            }
        }
        found
    }

    /// The strictest of what was done about personal data.
    pub(super) fn strictest(&self) -> Option<PiiAction> {
        let verdicts = self.outcome.verdicts.iter();
        let found = verdicts.filter(|verdict| verdict.rule == PII);
        found.map(|verdict| verdict.action).max()
    }
}

/// A check with the judge that it means.
fn resolved(check: &Check, judges: &[Judge]) -> Check {
    let mut check = check.clone();
    if let Test::ContentSafety { judge, .. } = &mut check.test {
        *judge = match judge.take() {
            Some(name) if name == BUILT_IN => None,
            None => judges.first().map(|judge| judge.name.clone()),
            named => named,
        };
    }
    check
}

impl Guard {
    /// Checks for one direction.
    pub(super) fn checks(&self, on: Direction) -> &[Check] {
        match on {
            Direction::Input => &self.input_checks,
            Direction::Output => &self.output_checks,
        }
    }

    /// The judge of that name.
    pub(super) fn judge(&self, name: &str) -> Option<&Rc<Judge>> {
        self.judges.iter().find(|judge| judge.name == name)
    }

    /// A line for each type.
    pub(super) fn verdicts(&self, counts: &[(guard::Kind, u32)], on: Direction) -> Vec<Verdict> {
        let actions = match on {
            Direction::Input => &self.input,
            Direction::Output => &self.output,
        };
        let counts = counts.iter();
        let verdicts = counts.filter_map(|(kind, count)| {
            Some(Verdict {
                rule: PII.to_owned(),
                kind: self.detectors.name(*kind).to_owned(),
                on,
                action: actions.of_kind(*kind)?.action,
                count: *count,
            })
        });
        verdicts.collect()
    }
}
