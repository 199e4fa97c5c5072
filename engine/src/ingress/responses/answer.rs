//! A chat completion as a response.

use super::output::Output;
use super::said::{self, CallPiece, Said, Thought};
use super::{Context, echo, some, text};
use crate::dialect::openai_usage;
use crate::json::{self, Span, Writer};
use crate::usage::Usage;

pub(in crate::ingress) fn answer(chat: &[u8], context: &Context<'_>) -> Vec<u8> {
    let root = json::document(chat).unwrap_or_default();
    let mut response = Response::new(context);
    response.read_head(chat, root, true);
    let choices = some(chat, root, "choices").unwrap_or_default();
    if let Some(choice) = said::choice(chat, choices) {
        let message = some(chat, choice, "message").unwrap_or_default();
        collect(chat, choice, message, &mut response.output);
        if let Some(why) = said::incomplete(chat, choice) {
            response.status = Status::Incomplete(why);
        }
    }
    if let Status::InProgress = response.status {
        response.status = Status::Completed;
    }
    response.usage = some(chat, root, "usage").and_then(|usage| openai_usage(chat, usage));
    let mut body = Vec::with_capacity(chat.len());
    response.write(&mut Writer::new(&mut body));
    body
}

fn collect(chat: &[u8], choice: Span, message: Span, output: &mut Output) {
    let said = Said::read(chat, message);
    collect_reasoning(chat, &said, output);
    let mut logprobs = said::logprobs(chat, choice);
    for text in said::texts(chat, said.content) {
        let (at, _) = output.message();
        output.part(at, false);
        output.say(at, text.unquoted().of(chat), &std::mem::take(&mut logprobs));
    }
    for annotation in json::elements(chat, said.annotations.unwrap_or_default()) {
        let (at, _) = output.message();
        output.part(at, false);
        let mut flat = Vec::new();
        said::write_annotation(chat, annotation, &mut Writer::new(&mut flat));
        output.annotate(at, &flat);
    }
    if let Some(refusal) = said.refusal {
        let (at, _) = output.message();
        output.part(at, true);
        output.say(at, refusal.unquoted().of(chat), &[]);
    }
    let calls = said.tool_calls.unwrap_or_default();
    for (index, call) in (0_u64..).zip(json::elements(chat, calls)) {
        let piece = CallPiece {
            index: Some(index),
            ..CallPiece::read(chat, call)
        };
        output.call(chat, &piece);
    }
    for at in 0..output.items.len() {
        output.tell(at);
        output.complete_call(at);
        output.close(at);
    }
}

/// Each block of thinking is an item; the text over all of them says the same once more.
fn collect_reasoning(chat: &[u8], said: &Said, output: &mut Output) {
    let blocks = said.thinking_blocks.unwrap_or_default();
    let mut is_told = false;
    for thought in json::elements(chat, blocks).filter_map(|block| Thought::read(chat, block)) {
        let (at, _) = output.reasoning();
        output.reason(at, thought.text, false);
        output.seal(at, &thought);
        output.close(at);
        is_told |= !thought.text.is_empty();
    }
    if let Some(text) = said.reasoning.filter(|_| !is_told) {
        let (at, _) = output.reasoning();
        output.reason(at, text.unquoted().of(chat), said.is_reasoning_content);
    }
}

/// How far a response has come.
#[derive(Clone, Debug, Default)]
pub(super) enum Status {
    #[default]
    InProgress,
    Completed,
    /// And why.
    Incomplete(&'static str),
    Failed {
        code: &'static str,
        message: String,
    },
}

impl Status {
    fn name(&self) -> &'static str {
        match self {
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::Incomplete(_) => "incomplete",
            Status::Failed { .. } => "failed",
        }
    }

    /// OpenAI's error as that of a response, which has few codes.
    pub(super) fn failed(message: &str, kind: &str, code: &str) -> Status {
        let code = match (kind, code) {
            (_, "rate_limit_exceeded") | ("rate_limit_error", _) => "rate_limit_exceeded",
            ("invalid_request_error", _) => "invalid_prompt",
            _ => "server_error",
        };
        Status::Failed {
            code,
            message: message.to_owned(),
        }
    }

    /// Of the item that came last.
    pub(super) fn of_last_item(&self) -> &'static str {
        match self {
            Status::Incomplete(_) => "incomplete",
            _ => "completed",
        }
    }
}

/// The response object.
#[derive(Clone, Debug)]
pub(super) struct Response {
    id: String,
    created_s: u64,
    model: String,
    /// Members that the request gave.
    echo: Vec<u8>,
    pub(super) status: Status,
    pub(super) output: Output,
    pub(super) usage: Option<Usage>,
    /// As JSON; empty when the provider does not say.
    service_tier: Vec<u8>,
}

impl Response {
    pub(super) fn new(context: &Context<'_>) -> Response {
        Response {
            id: format!("resp_{}", context.exchange),
            created_s: context.created_s,
            model: context.model.to_owned(),
            echo: echo::members(context.echo),
            status: Status::default(),
            output: Output::new(context),
            usage: None,
            service_tier: Vec::new(),
        }
    }

    /// Reads what a completion says of itself. What names the response stands fast once it begins.
    pub(super) fn read_head(&mut self, chat: &[u8], root: Span, is_beginning: bool) {
        if let Some(tier) = super::string(chat, root, "service_tier") {
            self.service_tier = tier.of(chat).to_vec();
        }
        if !is_beginning {
            return;
        }
        if let Some(model) = text(chat, root, "model").filter(|model| !model.is_empty()) {
            self.model = model.into_owned();
        }
        if let Some(created @ 1..) =
            json::member(chat, root, "created").and_then(|it| json::number_u64(chat, it))
        {
            self.created_s = created;
        }
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        out.object(|out| {
            out.key("id").string(&self.id);
            out.key("object").string("response");
            out.key("created_at").number(self.created_s);
            out.key("status").string(self.status.name());
            out.key("error");
            match &self.status {
                Status::Failed { code, message } => out.object(|out| {
                    out.key("code").string(code);
                    out.key("message").string(message);
                }),
                _ => out.null(),
            }
            out.key("incomplete_details");
            match &self.status {
                Status::Incomplete(why) => out.object(|out| out.key("reason").string(why)),
                _ => out.null(),
            }
            out.key("model").string(&self.model);
            let last_status = self.status.of_last_item();
            out.key("output")
                .array(|out| self.output.write(last_status, out));
            out.key("usage");
            match &self.usage {
                Some(usage) => write_usage(usage, out),
                None => out.null(),
            }
            if !self.service_tier.is_empty() {
                out.key("service_tier").raw(&self.service_tier);
            }
            out.raw(&self.echo);
        });
    }
}

fn write_usage(usage: &Usage, out: &mut Writer<'_>) {
    out.object(|out| {
        out.key("input_tokens").number(usage.input);
        out.key("input_tokens_details").object(|out| {
            out.key("cached_tokens").number(usage.cached_input);
            out.key("cache_write_tokens").number(usage.cache_write);
        });
        out.key("output_tokens").number(usage.output);
        out.key("output_tokens_details")
            .object(|out| out.key("reasoning_tokens").number(usage.reasoning));
        out.key("total_tokens").number(usage.total());
    });
}
