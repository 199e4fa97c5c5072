//! What guardrails found and did, as the client is told: in headers, and where somebody asks for it in
//! the answer itself.

use super::guarding::Guard;
use super::{Endpoint, Exchange};
use crate::headers::Headers;
use crate::ingress::Ingress;
use crate::json::{self, Edits, Writer};
use crate::sse::{self, Splitter};
use crate::wire::{Direction, PiiAction, Verdict};

impl Exchange {
    /// `hook_results` as Portkey writes them, where somebody asks for a report.
    pub(super) fn hook_results(&self) -> Option<Vec<u8>> {
        self.guard.as_deref().filter(|guard| guard.report)?;
        let mut results = Vec::new();
        Writer::new(&mut results).object(|out| {
            for (name, on) in [
                ("before_request_hooks", Direction::Input),
                ("after_request_hooks", Direction::Output),
            ] {
                let verdicts = self.outcome.verdicts.iter().filter(|it| it.on == on);
                out.key(name).array(|out| {
                    for verdict in verdicts {
                        write_hook(verdict, out);
                    }
                });
            }
        });
        Some(results)
    }

    /// An answer or an error with that report.
    pub(super) fn reported(&self, body: Vec<u8>) -> Vec<u8> {
        let has_place = matches!(
            self.endpoint,
            Some(Endpoint::Chat | Endpoint::Conversation(_))
        );
        let Some(results) = self.hook_results().filter(|_| has_place) else {
            return body;
        };
        let Ok(root) = json::document(&body) else {
            return body;
        };
        let mut edits = Edits::default();
        edits.set_member(&body, root, "hook_results", results);
        edits.apply(&body)
    }

    /// Puts the report into the last event of a stream, as a member that official clients keep. An
    /// older completion gets a chunk of its own.
    pub(super) fn report_last(&self, report: &[u8], out: &mut Vec<u8>) {
        let form = self.endpoint.and_then(Endpoint::ingress);
        let mut written = Vec::with_capacity(out.len().saturating_add(report.len()));
        let mut splitter = Splitter::default();
        let split = splitter.push(out, |event| {
            let data = event.data.trim_ascii();
            match form {
                Some(Ingress::Completions) if data == b"[DONE]" => {
                    sse::write_event(&self.report_chunk(report), &mut written);
                    written.extend_from_slice(event.raw);
                }
                Some(form) => match with_report(form, data, report) {
                    Some((path, data)) => {
                        written.extend_from_slice(format!("event: {path}\n").as_bytes());
                        sse::write_event(&data, &mut written);
                    }
                    None => written.extend_from_slice(event.raw),
                },
                None => written.extend_from_slice(event.raw),
            }
        });
        // An event beyond the cap passes, and what would be a member of it is left out.
        if split.is_ok() {
            *out = written;
        }
    }

    fn report_chunk(&self, report: &[u8]) -> Vec<u8> {
        let mut chunk = Vec::new();
        Writer::new(&mut chunk).object(|out| {
            out.key("id").string(&format!("cmpl-{}", self.id));
            out.key("object").string("text_completion");
            out.key("created").number(self.started_ms / 1000);
            out.key("model").string(self.model_asked());
            out.key("choices").array(|_| {});
            out.key("hook_results").raw(report);
        });
        chunk
    }

    /// What was found, in the head of an answer.
    pub(super) fn push_findings(&self, headers: &mut Headers) {
        let images = self.request.as_ref().map_or(0, |request| request.images);
        let is_read = |guard: &Guard| !guard.input.is_empty();
        if images > 0 && self.guard.as_deref().is_some_and(is_read) {
            headers.push("x-weir-guardrails-unread", format!("images={images}"));
        }
        if self.outcome.verdicts.is_empty() {
            return;
        }
        for (name, on) in [
            ("x-weir-pii", Direction::Input),
            ("x-weir-pii-output", Direction::Output),
        ] {
            let found = self.findings(Some(on));
            let found: Vec<String> = found
                .iter()
                .map(|(kind, count)| format!("{kind}={count}"))
                .collect();
            if !found.is_empty() {
                headers.push(name, found.join(","));
            }
        }
    }
}

/// The name and data of a last event with the report in it; `None` for any other event.
fn with_report(form: Ingress, data: &[u8], report: &[u8]) -> Option<(String, Vec<u8>)> {
    let root = json::document(data).ok()?;
    let kind = json::string(data, json::member(data, root, "type")?)?;
    let object = match (form, &*kind) {
        (Ingress::Messages, "message_stop") => root,
        (Ingress::Responses, "response.completed" | "response.incomplete") => {
            json::member(data, root, "response")?
        }
        _ => return None,
    };
    let mut edits = Edits::default();
    edits.set_member(data, object, "hook_results", report);
    Some((kind.into_owned(), edits.apply(data)))
}

fn write_hook(verdict: &Verdict, out: &mut Writer<'_>) {
    out.object(|out| {
        out.key("id").string(&verdict.rule);
        out.key("type").string("guardrail");
        out.key("verdict").boolean(false);
        out.key("deny").boolean(verdict.action == PiiAction::Deny);
        out.key("transformed")
            .boolean(!matches!(verdict.action, PiiAction::Flag | PiiAction::Deny));
        out.key("checks").array(|out| {
            out.object(|out| {
                out.key("id").string(&verdict.rule);
                out.key("verdict").boolean(false);
                out.key("data").object(|out| {
                    out.key("type").string(&verdict.kind);
                    out.key("action").string(verdict.action.name());
                    out.key("count").number(u64::from(verdict.count));
                });
            });
        });
    });
}
