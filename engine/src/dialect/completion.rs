//! Answers in OpenAI's form, for formats that share nothing with it.

use super::openai::write_usage;
use super::stream::{Context, Head};
use crate::json::Writer;
use crate::usage::Usage;

/// A choice of an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) index: u64,
    /// `None` for an answer without any text.
    pub(super) content: Option<String>,
    pub(super) reasoning: String,
    /// A list, as JSON; empty for none.
    pub(super) thinking_blocks: Vec<u8>,
    pub(super) calls: Vec<Call>,
    /// As JSON; empty for none.
    pub(super) logprobs: Vec<u8>,
    pub(super) finish_reason: &'static str,
}

/// A call of a tool.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON text, never empty.
    pub(super) arguments: String,
    /// Google's signature of the thought that led to it, to come back with it.
    pub(super) thought_signature: Option<String>,
}

impl Call {
    /// Writes it; in a stream with its index.
    pub(super) fn write(&self, index: Option<u64>, out: &mut Writer<'_>) {
        out.object(|out| {
            if let Some(index) = index {
                out.key("index").number(index);
            }
            out.key("id").string(&self.id);
            out.key("type").string("function");
            out.key("function").object(|out| {
                out.key("name").string(&self.name);
                out.key("arguments").string(&self.arguments);
            });
            if let Some(signature) = &self.thought_signature {
                out.key("extra_content").object(|out| {
                    out.key("google")
                        .object(|out| out.key("thought_signature").string(signature));
                });
            }
        });
    }
}

/// The whole answer.
pub(super) fn write(
    id: &str,
    created_s: u64,
    model: &str,
    choices: &[Choice],
    usage: Option<&Usage>,
) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).object(|out| {
        out.key("id").string(id);
        out.key("object").string("chat.completion");
        out.key("created").number(created_s);
        out.key("model").string(model);
        out.key("choices").array(|out| {
            for choice in choices {
                out.object(|out| choice.write(out));
            }
        });
        if let Some(usage) = usage {
            write_usage(usage, out.key("usage"));
        }
    });
    out
}

impl Choice {
    fn write(&self, out: &mut Writer<'_>) {
        out.key("index").number(self.index);
        out.key("message").object(|out| {
            out.key("role").string("assistant");
            match &self.content {
                Some(content) => out.key("content").string(content),
                None => out.key("content").null(),
            }
            out.key("refusal").null();
            if !self.reasoning.is_empty() {
                out.key("reasoning_content").string(&self.reasoning);
            }
            if !self.thinking_blocks.is_empty() {
                out.key("thinking_blocks").raw(&self.thinking_blocks);
            }
            if !self.calls.is_empty() {
                out.key("tool_calls")
                    .array(|out| self.calls.iter().for_each(|call| call.write(None, out)));
            }
        });
        if self.logprobs.is_empty() {
            out.key("logprobs").null();
        } else {
            out.key("logprobs").raw(&self.logprobs);
        }
        out.key("finish_reason").string(self.finish_reason);
    }

    /// What was delivered, for counting.
    pub(super) fn delivered(&self) -> String {
        let mut text = self.reasoning.clone();
        text.push_str(self.content.as_deref().unwrap_or_default());
        for call in &self.calls {
            text.push_str(&call.name);
            text.push_str(&call.arguments);
        }
        text
    }
}

/// The chunks of one choice of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    pub(super) index: u64,
    begun: bool,
    pub(super) ended: bool,
}

impl Chunks {
    pub(super) fn new(index: u64) -> Chunks {
        Chunks {
            index,
            ..Chunks::default()
        }
    }

    /// Writes a chunk with this delta. The first chunk carries the role, and nothing comes before it.
    pub(super) fn delta(
        &mut self,
        context: &Context<'_>,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Writer<'_>),
    ) {
        self.begin(context, out);
        self.write(context, None, &[], out, delta);
    }

    /// Ends the choice; `logprobs` is JSON or empty.
    pub(super) fn finish(
        &mut self,
        reason: &str,
        logprobs: &[u8],
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) {
        self.begin(context, out);
        self.write(context, Some(reason), logprobs, out, |_| {});
        self.ended = true;
    }

    /// Writes the first chunk, which carries the role.
    pub(super) fn begin(&mut self, context: &Context<'_>, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            self.write(context, None, &[], out, |out| {
                out.key("role").string("assistant");
                out.key("content").string("");
            });
        }
    }

    fn write(
        &self,
        context: &Context<'_>,
        reason: Option<&str>,
        logprobs: &[u8],
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Writer<'_>),
    ) {
        let head: &Head = context.head;
        out.extend_from_slice(b"data: ");
        Writer::new(out).object(|out| {
            head.write(out);
            out.key("choices").array(|out| {
                out.object(|out| {
                    out.key("index").number(self.index);
                    out.key("delta").object(delta);
                    if !logprobs.is_empty() {
                        out.key("logprobs").raw(logprobs);
                    }
                    match reason {
                        Some(reason) => out.key("finish_reason").string(reason),
                        None => out.key("finish_reason").null(),
                    }
                });
            });
            if context.include_usage {
                out.key("usage").null();
            }
        });
        out.extend_from_slice(b"\n\n");
    }
}
