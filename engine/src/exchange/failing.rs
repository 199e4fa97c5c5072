//! Answers that are errors, or that become one.

use super::{AnswerBody, AnswerMode, Exchange};
use crate::dialect;
use crate::limits;
use crate::reply::Code;
use crate::wire::{Direction, Ending};

impl Exchange {
    pub(super) fn error(&mut self, body: Vec<u8>) -> AnswerBody {
        if let Some(failure) = self.progress.failure.take() {
            return self.replaced_by_error(failure.status, failure.body, failure.code);
        }
        let code = self.outcome.code.unwrap_or(Code::UpstreamError);
        if code != Code::UpstreamError {
            let row = code.row();
            let body = dialect::error_body(row.message, row.kind, None, Some(row.name));
            return self.replaced_by_error(row.status, body, code);
        }
        let Some(dialect) = self.target().map(|target| target.provider.dialect) else {
            return self.unreadable();
        };
        let answer = dialect::decode_error(dialect, self.answer.status, &body);
        if let Some(wait_s) = answer.retry_after_s
            && self.answer.head.get("retry-after").is_none()
        {
            self.answer.head.push("retry-after", wait_s.to_string());
        }
        if answer.is_final && self.answer.head.get("x-should-retry").is_none() {
            self.answer.head.push("x-should-retry", "false");
        }
        self.replaced_by_error(answer.status, answer.body, code)
    }

    /// An answer that must not be shown. It has been made, and is paid for.
    pub(super) fn denied_answer(&mut self) -> AnswerBody {
        let row = Code::GuardrailViolation.row();
        let message = self.denial(Direction::Output);
        let message = message.unwrap_or_else(|| row.message.to_owned());
        let body = dialect::error_body(&message, row.kind, None, Some(row.name));
        self.replaced_by_error(row.status, body, Code::GuardrailViolation)
    }

    /// A stream that would have to be held for longer than it can be.
    pub(super) fn too_long(&mut self) -> AnswerBody {
        let row = Code::GuardrailViolation.row();
        let message = format!(
            "The answer is longer than {} bytes, and a guardrail has to read it as a whole",
            limits::HELD_STREAM_BYTES_MAX
        );
        let body = dialect::error_body(&message, row.kind, None, Some(row.name));
        let step = self.replaced_by_error(row.status, body, Code::GuardrailViolation);
        // What the provider goes on to say is not passed on.
        self.answer.mode = AnswerMode::Stream;
        AnswerBody { cut: true, ..step }
    }

    pub(super) fn unreadable(&mut self) -> AnswerBody {
        let row = Code::UpstreamInvalidAnswer.row();
        let body = dialect::error_body(row.message, row.kind, None, Some(row.name));
        self.replaced_by_error(row.status, body, Code::UpstreamInvalidAnswer)
    }

    pub(super) fn replaced_by_error(
        &mut self,
        status: u16,
        body: Vec<u8>,
        code: Code,
    ) -> AnswerBody {
        self.outcome.status = status;
        self.outcome.code = Some(code);
        self.answer.status = status;
        let mut body = self.spoken(status, body);
        if code == Code::GuardrailViolation {
            body = self.reported(body);
        }
        let mut headers = self.answer_headers(None, Some(body.len()));
        if let Some(retry) = code.row().should_retry {
            headers.push("x-should-retry", if retry { "true" } else { "false" });
        }
        self.finish(Ending::Done);
        self.answer.mode = AnswerMode::Opaque;
        AnswerBody {
            headers: Some(headers),
            body: Some(body),
            ..AnswerBody::default()
        }
    }
}
