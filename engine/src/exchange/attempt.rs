//! Attempts: which target comes next, and whether an answer is good enough to be the last.
//!
//! Envoy asks for the next cluster by re-reading [`HEADER_TARGET`](super::HEADER_TARGET), also
//! when an attempt brought no answer at all. So each attempt names the successor it would have
//! *without* an answer at its start, and corrects it when an answer came.

use super::{Env, Exchange, Forward, TARGET_NONE};
use crate::dialect::{self, DecodeError, FirstEvent};
use crate::json;
use crate::reply::Code;

/// Position in the plan.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Target of the current attempt.
    pub(super) at: usize,
    /// Attempts at that target, the current one included.
    tries_here: u32,
    /// Attempts altogether.
    pub(super) attempts: u32,
    /// Target of the attempt that would follow, `None` for the end.
    next: Option<usize>,
    /// Unix milliseconds at which the current attempt began.
    pub(super) since_ms: u64,
    /// Why the last attempt's `200` is none, when it is not.
    pub(super) failure: Option<Failure>,
    /// Status of an answer whose body tells whether asking again can help.
    judged: Option<u16>,
    answered: bool,
    stream: bool,
    started: bool,
}

/// A `200` that is an error all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) code: Code,
}

/// What the adapter does with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptStep {
    /// Let it go to the policy.
    Pass,
    /// Hold it until more is known.
    Hold,
    /// Replace the status, so that nobody takes it for a success; then let it go.
    Fail {
        /// Status to set.
        status: u16,
    },
    /// Discard it and try the target named.
    Retry {
        /// Value of [`HEADER_TARGET`](super::HEADER_TARGET).
        target: String,
        /// Status to set when the answer's own would not do.
        status: Option<u16>,
        /// Whether the provider's `retry-after` speaks to this next attempt.
        same_target: bool,
    },
}

impl Progress {
    /// The only target, whose repetitions Envoy does by itself.
    pub(super) fn begin_only(&mut self) {
        (self.at, self.next) = (0, Some(0));
    }

    pub(super) fn attempt_started(&mut self, now_ms: u64) {
        self.attempts = self.attempts.saturating_add(1);
        self.since_ms = now_ms;
        self.answered = false;
        self.started = true;
    }

    /// Whether any attempt went out.
    pub(super) fn was_tried(&self) -> bool {
        self.started
    }
}

impl Exchange {
    /// The adapter begins an attempt.
    pub fn on_attempt(&mut self, env: &Env<'_>) -> Option<Forward> {
        let progress = &mut self.progress;
        let target = if progress.started { progress.next? } else { 0 };
        progress.tries_here = if progress.started && target == progress.at {
            progress.tries_here + 1
        } else {
            1
        };
        progress.at = target;
        progress.failure = None;
        progress.judged = None;
        self.progress.next = self.without_answer();
        let (headers, body) = self.upstream(env).ok()?;
        Some(Forward { headers, body })
    }

    /// Name of the target that follows.
    pub(super) fn next_target(&self) -> &str {
        let next = self
            .progress
            .next
            .and_then(|index| self.plan.targets.get(index));
        next.map_or(TARGET_NONE, |target| target.provider.name.as_str())
    }

    /// Who follows an attempt that brings no answer: the next target, or the same one when it is
    /// the last and has tries left.
    fn without_answer(&self) -> Option<usize> {
        let Progress { at, tries_here, .. } = self.progress;
        let target = self.plan.targets.get(at)?;
        let successor = at
            .checked_add(1)
            .filter(|next| *next < self.plan.targets.len());
        match successor {
            Some(next) if target.fall_on.no_answer => Some(next),
            _ => (tries_here <= target.retries).then_some(at),
        }
    }

    /// Who follows an answer with an error status.
    fn with_status(&self, status: u16) -> Option<usize> {
        let Progress { at, tries_here, .. } = self.progress;
        let target = self.plan.targets.get(at)?;
        if target.retry_on.contains(&status) && tries_here <= target.retries {
            return Some(at);
        }
        let successor = at
            .checked_add(1)
            .filter(|next| *next < self.plan.targets.len());
        successor.filter(|_| target.fall_on.matches(status))
    }

    /// The head of an attempt's answer.
    pub fn on_attempt_head(&mut self, status: u16, event_stream: bool, end: bool) -> AttemptStep {
        self.progress.answered = true;
        self.progress.stream = event_stream;
        if status >= 400 {
            let again_here = self.with_status(status) == Some(self.progress.at);
            if again_here && status == TOO_MANY && !end {
                self.progress.judged = Some(status);
                return AttemptStep::Hold;
            }
            return self.decide(status, None);
        }
        if self.through().is_some() {
            return AttemptStep::Pass;
        }
        if end {
            let (status, body) = empty_answer();
            return self.fail(status, body, Code::UpstreamInvalidAnswer);
        }
        AttemptStep::Hold
    }

    /// Whether the next event needs the bytes of the attempt's answer.
    pub fn wants_attempt_body(&self, end: bool) -> bool {
        end || (self.progress.stream && self.progress.judged.is_none())
    }

    /// The body of an attempt's answer as far as it is here.
    pub fn on_attempt_body(&mut self, so_far: &[u8], end: bool) -> AttemptStep {
        if let Some(status) = self.progress.judged {
            if !end {
                return AttemptStep::Hold;
            }
            self.progress.judged = None;
            let dialect = self.target().map(|target| target.provider.dialect);
            let dialect = dialect.unwrap_or_default();
            if dialect::decode_error(dialect, status, so_far).is_final {
                // A used-up account stays used up: of this target there are no more tries.
                self.progress.tries_here = u32::MAX;
            }
            return self.decide(status, None);
        }
        if self.progress.stream {
            return match self.first_event(so_far, end) {
                None | Some(FirstEvent::Good) => AttemptStep::Pass,
                Some(FirstEvent::NeedMore) => AttemptStep::Hold,
                Some(FirstEvent::Failed { status, body }) => {
                    self.fail(status, body, Code::UpstreamError)
                }
            };
        }
        if !end {
            return AttemptStep::Hold;
        }
        match self.read_answer(0, so_far.to_vec()) {
            Ok(_) => AttemptStep::Pass,
            Err(DecodeError::Reported(error)) => {
                self.fail(error.status, error.body, Code::UpstreamError)
            }
            Err(DecodeError::Invalid) => {
                let (status, body) = unreadable_answer(so_far);
                self.fail(status, body, Code::UpstreamInvalidAnswer)
            }
        }
    }

    fn fail(&mut self, status: u16, body: Vec<u8>, code: Code) -> AttemptStep {
        let status = status.clamp(400, 599);
        self.progress.failure = Some(Failure { status, body, code });
        match self.decide(status, Some(status)) {
            AttemptStep::Pass => AttemptStep::Fail { status },
            step => step,
        }
    }

    fn decide(&mut self, status: u16, replace: Option<u16>) -> AttemptStep {
        let next = self.with_status(status);
        let same_target = next == Some(self.progress.at);
        self.progress.next = next;
        if next.is_none() {
            return AttemptStep::Pass;
        }
        let target = self.next_target().to_owned();
        AttemptStep::Retry {
            target,
            status: replace,
            same_target,
        }
    }
}

/// The status of limits that pass with time, and of quotas that do not.
const TOO_MANY: u16 = 429;

fn empty_answer() -> (u16, Vec<u8>) {
    let row = Code::UpstreamInvalidAnswer.row();
    (
        row.status,
        dialect::error_body(
            "The provider's answer was empty",
            row.kind,
            None,
            Some(row.name),
        ),
    )
}

fn unreadable_answer(body: &[u8]) -> (u16, Vec<u8>) {
    if body.is_empty() {
        return empty_answer();
    }
    let row = Code::UpstreamInvalidAnswer.row();
    let what = if json::document(body).is_ok() {
        "not an answer"
    } else {
        "not valid JSON"
    };
    let message = format!("The provider's answer is {what}");
    (
        row.status,
        dialect::error_body(&message, row.kind, None, Some(row.name)),
    )
}
