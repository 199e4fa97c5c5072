//! Checks of whole texts: our own, and those of judges outside, who are asked while the request or the
//! answer waits.

use std::rc::Rc;

use super::{AnswerBody, Ask, Env, Exchange, Outside, State, Step};
use crate::guard::rules::{Check, Test};
use crate::guard::{AnswerGuard, Checked, FOUND, Judge};
use crate::json;
use crate::reply::Code;
use crate::request::attached::{self, Content};
use crate::request::{Place, Text};
use crate::wire::{CachedAnswer, Direction, PiiAction, Verdict};

/// What is said of a judge that gave no answer.
const NO_VERDICT: &str = "no_verdict";

/// What an admitted request goes on to.
pub(super) enum Admitted {
    Granted,
    Cached(Box<CachedAnswer>),
}

/// Questions to judges that wait for their turn.
#[derive(Default)]
pub(super) struct Questions {
    /// Place of the check, and who is asked about it; the first is being asked.
    open: Vec<(usize, Rc<Judge>)>,
    text: String,
    /// What goes on when the last one is content.
    admitted: Option<Admitted>,
    answer: Option<AnswerBody>,
}

impl Exchange {
    /// Checks the request, as far as that can be done here.
    pub(super) fn check_input(&mut self) -> Result<(), Box<Step>> {
        let has_checks = self
            .guard
            .as_deref()
            .is_some_and(|it| !it.input_checks.is_empty());
        if !has_checks {
            return Ok(());
        }
        let (said, brought) = self.texts();
        let checked = Checked {
            said: &said,
            brought: &brought,
            tokens: self.tokens_in,
            contents: &[],
        };
        self.check(Direction::Input, &checked);
        if let Some(message) = self.denial(Direction::Input) {
            return Err(Box::new(
                self.refuse(Code::GuardrailViolation, Some(message)),
            ));
        }
        let open = self.judges_of(Direction::Input);
        let text = [said, brought].join("\n").trim().to_owned();
        if !open.is_empty() && !text.is_empty() {
            (self.questions.open, self.questions.text) = (open, text);
        }
        Ok(())
    }

    /// What the user wrote, and what tools brought.
    fn texts(&self) -> (String, String) {
        let (texts, body): (&[Text], &[u8]) = match (&self.request, &self.call) {
            (Some(request), _) => (&request.texts, self.chat_body()),
            (None, Some(call)) => (&call.texts, &self.body),
            (None, None) => return Default::default(),
        };
        let (mut said, mut brought) = (String::new(), String::new());
        for text in texts {
            let to = match text.place {
                Place::User | Place::Other | Place::Name => &mut said,
                Place::Parameter if self.request.is_none() => &mut said,
                Place::File | Place::ToolResult => &mut brought,
                _ => continue,
            };
            let text = match text.place {
                Place::File => match attached::content(body, text.span) {
                    Some(Content::Text(text, _)) => Some(text),
                    _ => None,
                },
                _ => json::unescaped(text.span.of(body)),
            };
            if let Some(text) = text {
                to.push_str(&text);
                to.push('\n');
            }
        }
        (said, brought)
    }

    fn check(&mut self, on: Direction, checked: &Checked<'_>) {
        let Some(guard) = self.guard.as_deref() else {
            return;
        };
        let checks = guard.checks(on).iter();
        let found = checks.filter_map(|check| Some((check, check.object(checked)?)));
        let verdicts: Vec<Verdict> = found
            .map(|(check, objection)| verdict(check, objection, on))
            .collect();
        self.outcome.verdicts.extend(verdicts);
    }

    /// Takes over which patterns a stream had in it. All its checks are patterns then.
    pub(super) fn note_patterns(&mut self, watch: &mut AnswerGuard) {
        let Some(guard) = self.guard.as_deref() else {
            return;
        };
        let found = watch.take_patterns();
        let checks = guard.output_checks.iter().zip(found);
        let found = checks.filter(|(_, is_found)| *is_found);
        let verdicts = found.map(|(check, _)| verdict(check, FOUND.to_owned(), Direction::Output));
        self.outcome.verdicts.extend(verdicts);
    }

    fn judges_of(&self, on: Direction) -> Vec<(usize, Rc<Judge>)> {
        let Some(guard) = self.guard.as_deref() else {
            return Vec::new();
        };
        let checks = guard.checks(on).iter().enumerate();
        let asked = checks.filter_map(|(place, check)| match &check.test {
            Test::ContentSafety {
                judge: Some(name), ..
            } => Some((place, guard.judge(name)?.clone())),
            _ => None,
        });
        asked.collect()
    }

    /// Asks the next judge before an admitted request goes on, if there is one: who may not ask makes no
    /// judge work.
    pub(super) fn admitted(&mut self, env: &mut Env<'_>, admitted: Admitted) -> Step {
        match (self.judge_ask(env, Direction::Input), admitted) {
            (Some(ask), admitted) => {
                self.questions.admitted = Some(admitted);
                self.state = State::Judging;
                Step::Ask(ask)
            }
            (None, Admitted::Granted) => self.forward(env),
            (None, Admitted::Cached(cached)) => self.replay(&cached),
        }
    }

    /// Judges the complete answer before it is sent. `watch` has read it.
    pub(super) fn before_answer(
        &mut self,
        env: &Env<'_>,
        watch: &mut AnswerGuard,
        step: AnswerBody,
    ) -> AnswerBody {
        let Some(texts) = watch.take_texts() else {
            return step;
        };
        let checked = Checked {
            said: &texts.all,
            contents: &texts.contents,
            ..Checked::default()
        };
        self.check(Direction::Output, &checked);
        if self.denial(Direction::Output).is_some() {
            return self.denied_answer();
        }
        if !texts.all.trim().is_empty() {
            self.questions.open = self.judges_of(Direction::Output);
            self.questions.text = texts.all;
        }
        match self.judge_ask(env, Direction::Output) {
            None => step,
            Some(ask) => {
                self.questions.answer = Some(step);
                AnswerBody {
                    ask: Some(ask),
                    wait: Some(Vec::new()),
                    ..AnswerBody::default()
                }
            }
        }
    }

    /// The answer that waited for its judges.
    pub(super) fn judged_answer(&mut self, env: &Env<'_>) -> Option<AnswerBody> {
        let step = self.questions.answer.take()?;
        if self.denial(Direction::Output).is_some() {
            return Some(self.denied_answer());
        }
        Some(match self.judge_ask(env, Direction::Output) {
            None => step,
            Some(ask) => {
                self.questions.answer = Some(step);
                AnswerBody {
                    ask: Some(ask),
                    wait: Some(Vec::new()),
                    ..AnswerBody::default()
                }
            }
        })
    }

    fn judge_ask(&self, env: &Env<'_>, on: Direction) -> Option<Ask> {
        let (_, judge) = self.questions.open.first()?;
        let body = judge.question(&self.id, on, &self.questions.text);
        let headers = judge.question_headers(&body, env.now_ms / 1000);
        Some(Ask {
            path: "",
            body,
            outside: Some(Outside {
                cluster: judge.cluster.clone(),
                headers,
                timeout_ms: judge.timeout_ms,
            }),
        })
    }

    /// What a judge has answered about the request; `None` for no answer, or an error.
    pub fn on_verdict(&mut self, env: &mut Env<'_>, answer: Option<&[u8]>) -> Step {
        if self.state != State::Judging {
            return Step::Wait;
        }
        self.take_verdict(Direction::Input, answer);
        if let Some(message) = self.denial(Direction::Input) {
            return self.refuse(Code::GuardrailViolation, Some(message));
        }
        match self.questions.admitted.take() {
            Some(admitted) => self.admitted(env, admitted),
            None => Step::Wait,
        }
    }

    /// What a judge has answered about the answer: the next event brings that again.
    pub fn on_answer_verdict(&mut self, answer: Option<&[u8]>) {
        self.take_verdict(Direction::Output, answer);
    }

    /// Whether the answer waits for a judge.
    pub fn is_judged(&self) -> bool {
        self.questions.answer.is_some()
    }

    fn take_verdict(&mut self, on: Direction, answer: Option<&[u8]>) {
        if self.questions.open.is_empty() {
            return;
        }
        let (place, judge) = self.questions.open.remove(0);
        let check = self
            .guard
            .as_deref()
            .and_then(|it| it.checks(on).get(place));
        let Some(check) = check else { return };
        let objection = match (answer.and_then(|it| judge.opinion(it)), &check.test) {
            (Some(opinion), Test::ContentSafety { threshold_ppm, .. }) => {
                (opinion.score_ppm >= *threshold_ppm).then_some(opinion.category)
            }
            (None, _) if judge.fails_open => {
                let name = format!("{}.{}", on.name(), check.name());
                self.outcome.unenforced.push(name);
                return;
            }
            _ => Some(NO_VERDICT.to_owned()),
        };
        if let Some(objection) = objection {
            let verdict = verdict(check, objection, on);
            self.outcome.verdicts.push(verdict);
        }
    }
}

fn verdict(check: &Check, objection: String, on: Direction) -> Verdict {
    Verdict {
        rule: check.name().to_owned(),
        kind: objection,
        on,
        action: if check.flags {
            PiiAction::Flag
        } else {
            PiiAction::Deny
        },
        count: 1,
    }
}
