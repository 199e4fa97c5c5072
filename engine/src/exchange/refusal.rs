//! Answers of our own: refusals in the caller's dialect, and the headers they share with others.

use super::{Exchange, Reply, State, Step};
use crate::dialect;
use crate::digits::Decimal;
use crate::headers::Headers;
use crate::ingress::Ingress;
use crate::period;
use crate::reply::Code;
use crate::wire::{CacheStatus, Ending, Refused};

impl Exchange {
    pub(super) fn refuse(&mut self, code: Code, message: Option<String>) -> Step {
        self.refuse_param(code, message, None)
    }

    pub(super) fn too_large(&mut self, bytes_max: usize) -> Step {
        let message = format!("The request body is larger than {bytes_max} bytes");
        self.refuse(Code::RequestTooLarge, Some(message))
    }

    /// A refusal that the sidecar worded.
    pub(super) fn refused(&mut self, refused: &Refused) -> Step {
        if !refused.rate.is_empty() {
            self.rate = refused.rate;
        }
        let code = Code::from_name(&refused.code).unwrap_or(Code::StateUnavailable);
        let message = (!refused.message.is_empty()).then(|| refused.message.clone());
        let step = self.refuse(code, message);
        match (step, refused.retry_after_s) {
            (Step::Reply(mut reply), Some(seconds)) => {
                reply.headers.push("retry-after", seconds.to_string());
                Step::Reply(reply)
            }
            (step, _) => step,
        }
    }

    /// A refusal that names the member at fault.
    pub(super) fn refuse_param(
        &mut self,
        code: Code,
        message: Option<String>,
        param: Option<String>,
    ) -> Step {
        let row = code.row();
        let message = message.as_deref().unwrap_or(row.message);
        let param = param.as_deref().filter(|param| !param.is_empty());
        let body = dialect::error_body(message, row.kind, param, Some(row.name));
        self.outcome.code = Some(code);
        let mut headers = self.reply_headers("application/json");
        if let Some(retry) = row.should_retry {
            headers.push("x-should-retry", if retry { "true" } else { "false" });
        }
        let status = match code {
            Code::BudgetExceeded if self.budget_status >= 400 => self.budget_status,
            _ => row.status,
        };
        let body = self.spoken(status, body);
        let body = match code {
            Code::GuardrailViolation => self.reported(body),
            _ => body,
        };
        self.reply(Reply {
            status,
            headers,
            body,
        })
    }

    pub(super) fn reply(&mut self, reply: Reply) -> Step {
        self.state = State::Replied;
        self.outcome.status = reply.status;
        let ending = if self.outcome.code.is_some() {
            Ending::Refused
        } else {
            Ending::Done
        };
        self.outcome.ending = Some(ending);
        self.body = Vec::new();
        Step::Reply(reply)
    }

    /// Headers of an answer of our own.
    pub(super) fn reply_headers(&self, kind: &str) -> Headers {
        let mut headers = Headers::default();
        headers.push("content-type", kind);
        self.push_common(&mut headers);
        headers
    }

    /// Headers that every answer carries.
    pub(super) fn push_common(&self, headers: &mut Headers) {
        headers.push("x-weir-request-id", &self.id);
        if self.client_form() == Some(Ingress::Messages) {
            // Anthropic's clients know this name.
            headers.push("request-id", &self.id);
        }
        let cache = match self.outcome.cache {
            CacheStatus::Hit => "hit",
            CacheStatus::Miss => "miss",
            CacheStatus::Refresh => "refresh",
            CacheStatus::Off => "off",
        };
        headers.push("x-weir-cache", cache);
        self.push_rates(headers);
        self.push_findings(headers);
        if !self.outcome.unenforced.is_empty() {
            headers.push(
                "x-weir-guardrails-unenforced",
                self.outcome.unenforced.join(","),
            );
        }
        if !self.outcome.dropped.is_empty() {
            headers.push("x-weir-dropped-params", self.outcome.dropped.join(","));
        }
    }
}

/// Names of a limit's headers: what is limited, OpenAI's names, Anthropic's.
const RATE_HEADERS: [[&str; 6]; 2] = [
    [
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ],
    [
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ],
];

impl Exchange {
    /// The state of the limits that apply, in OpenAI's headers (developers.openai.com, "Rate limits")
    /// and to Anthropic's clients in theirs too (docs.anthropic.com, "Rate limits").
    fn push_rates(&self, headers: &mut Headers) {
        let states = [self.rate.requests, self.rate.tokens];
        for (
            state,
            [
                limit,
                remaining,
                reset,
                their_limit,
                their_remaining,
                their_reset,
            ],
        ) in states.into_iter().zip(RATE_HEADERS)
        {
            let Some(state) = state else {
                continue;
            };
            headers.push(limit, Decimal::of(state.limit));
            headers.push(remaining, Decimal::of(state.remaining));
            headers.push(reset, duration(state.reset_ms));
            if self.client_form() == Some(Ingress::Messages) {
                // A whole second, not before the instant that is meant.
                let at_s = self.rate_ms.saturating_add(state.reset_ms).div_ceil(1_000);
                headers.push(their_limit, Decimal::of(state.limit));
                headers.push(their_remaining, Decimal::of(state.remaining));
                headers.push(their_reset, period::rfc3339(at_s.saturating_mul(1_000)));
            }
        }
    }
}

/// A duration as OpenAI writes it: `12ms`, `1s`, `6m0s`, `1h0m0s`.
fn duration(ms: u64) -> String {
    let mut text = String::with_capacity(12);
    let mut add = |number: u64, unit: &str| {
        text.push_str(Decimal::of(number).as_str());
        text.push_str(unit);
    };
    match ms {
        0..=999 => add(ms, "ms"),
        1000..=59_999 if (ms / 100).is_multiple_of(10) => add(ms / 1000, "s"),
        1000..=59_999 => {
            add(ms / 1000, ".");
            add(ms % 1000 / 100, "s");
        }
        _ => {
            if ms >= 3_600_000 {
                add(ms / 3_600_000, "h");
            }
            add(ms % 3_600_000 / 60_000, "m");
            add(ms % 60_000 / 1000, "s");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_like_openais() {
        for (ms, text) in [
            (0, "0ms"),
            (12, "12ms"),
            (1000, "1s"),
            (1500, "1.5s"),
            (360_000, "6m0s"),
            (3_661_000, "1h1m1s"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
