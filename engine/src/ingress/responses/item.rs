//! Items of an output, and how they are written.
//!
//! Texts are the insides of strings: escaped, without quotes.

use crate::json::Writer;

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) is_open: bool,
    pub(super) holds: Holds,
}

#[derive(Clone, Debug)]
pub(super) enum Holds {
    Call(Call),
    Message(Vec<Part>),
    Reasoning(Reasoning),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Reasoning {
    pub(super) text: Vec<u8>,
    /// What the provider wants back besides the text, as JSON: a block of thinking.
    pub(super) sealed: Vec<u8>,
    pub(super) is_reasoning_content: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) is_refusal: bool,
    pub(super) text: Vec<u8>,
    /// Elements of lists.
    pub(super) annotations: Vec<u8>,
    pub(super) annotation_count: u64,
    pub(super) logprobs: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    pub(super) index: Option<u64>,
    pub(super) kind: CallKind,
    pub(super) call_id: Vec<u8>,
    pub(super) name: Vec<u8>,
    pub(super) arguments: Vec<u8>,
    pub(super) signature: Vec<u8>,
    /// The client knows of it.
    pub(super) is_told: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CallKind {
    Custom,
    #[default]
    Function,
    /// A custom tool, called as a function.
    Wrapped,
}

impl Item {
    /// Writes it as it is now.
    pub(super) fn write(&self, status: &str, out: &mut Writer<'_>) {
        out.object(|out| {
            out.key("id").string(&self.id);
            match &self.holds {
                Holds::Call(call) => call.write(status, out),
                Holds::Message(parts) => {
                    out.key("type").string("message");
                    out.key("status").string(status);
                    out.key("role").string("assistant");
                    out.key("content")
                        .array(|out| parts.iter().for_each(|part| part.write(out)));
                }
                Holds::Reasoning(reasoning) => reasoning.write(out),
            }
        });
    }
}

impl Reasoning {
    fn write(&self, out: &mut Writer<'_>) {
        out.key("type").string("reasoning");
        out.key("summary").array(|out| {
            if !self.text.is_empty() {
                self.write_part(out);
            }
        });
        let mut carried = Vec::new();
        if !self.sealed.is_empty() {
            Writer::new(&mut carried).object(|out| {
                out.key("thinking_blocks")
                    .array(|out| out.raw(&self.sealed));
            });
        } else if self.is_reasoning_content {
            carried.extend_from_slice(br#"{"reasoning_content":"summary"}"#);
        }
        if !carried.is_empty() {
            out.key("encrypted_content")
                .string(&String::from_utf8_lossy(&carried));
        }
    }

    /// The only part of the summary.
    pub(super) fn write_part(&self, out: &mut Writer<'_>) {
        out.object(|out| {
            out.key("type").string("summary_text");
            out.key("text").escaped(&[&self.text]);
        });
    }
}

impl Part {
    pub(super) fn new(is_refusal: bool) -> Part {
        Part {
            is_refusal,
            ..Part::default()
        }
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        out.object(|out| {
            if self.is_refusal {
                out.key("type").string("refusal");
                out.key("refusal").escaped(&[&self.text]);
                return;
            }
            out.key("type").string("output_text");
            out.key("text").escaped(&[&self.text]);
            out.key("annotations")
                .array(|out| write_list(&self.annotations, out));
            out.key("logprobs")
                .array(|out| write_list(&self.logprobs, out));
        });
    }
}

/// Writes elements, of which there may be none.
pub(super) fn write_list(elements: &[u8], out: &mut Writer<'_>) {
    if !elements.is_empty() {
        out.raw(elements);
    }
}

impl Call {
    /// The call as it begins.
    pub(super) fn without_arguments(&self) -> Call {
        Call {
            kind: self.kind,
            call_id: self.call_id.clone(),
            name: self.name.clone(),
            ..Call::default()
        }
    }

    fn write(&self, status: &str, out: &mut Writer<'_>) {
        let (kind, arguments) = match self.kind {
            CallKind::Function => ("function_call", "arguments"),
            CallKind::Custom | CallKind::Wrapped => ("custom_tool_call", "input"),
        };
        out.key("type").string(kind);
        out.key("status").string(status);
        out.key("call_id").escaped(&[&self.call_id]);
        out.key("name").escaped(&[&self.name]);
        out.key(arguments).escaped(&[&self.arguments]);
        if !self.signature.is_empty() {
            out.key("extra_content").object(|out| {
                out.key("google")
                    .object(|out| out.key("thought_signature").escaped(&[&self.signature]));
            });
        }
    }
}
