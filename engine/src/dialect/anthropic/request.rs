//! A chat request as a Messages request.
//!
//! The target's model decides what can be said (see `gate`). What can not be said is left out and
//! named in [`Encoded::dropped`]; only what would change the answer's very shape is refused.

use std::borrow::Cow;

use super::content::Block;
use super::gate::{Gate, Thinking};
use super::tools::{write_choice, write_stand_ins, write_tools};
use super::turns::Conversation;
use super::{PATH, VERSION, schema};
use crate::dialect::parameters::DroppedNames;
use crate::dialect::tools::{Choice, Tools};
use crate::dialect::{Encoded, Target};
use crate::json::{self, Kind, Span, Writer};
use crate::request::{ChatRequest, RequestError};

/// Output cap when neither request nor catalogue knows one, tokens.
const OUTPUT_CAP_DEFAULT: u64 = 4096;
/// Smallest thinking budget that the API takes, tokens.
const THINKING_BUDGET_MIN: u64 = 1024;
/// Longest `metadata.user_id`, characters.
const USER_ID_CHARS_MAX: usize = 256;
/// Digits from which on an id of digits and signs may be a phone number.
const PHONE_DIGITS_MIN: usize = 7;
pub(in crate::dialect) fn encode(
    target: &Target<'_>,
    request: &ChatRequest,
    body: &[u8],
    dropped: DroppedNames,
) -> Result<Encoded<'static>, RequestError> {
    let gate = Gate::of_model(target.model);
    let mut conversation = Conversation::read(body, request, gate)?;
    let mut mapping = Mapping {
        body,
        root: request.root,
        gate,
        max_tokens: max_tokens(target, request),
        tools: Tools::read(body, request.root),
        dropped,
    };
    let format = mapping.response_format();
    conversation
        .system
        .extend(format.instruction.and_then(Block::text));
    let thought = mapping.thinking(conversation.calls_without_thinking);
    let mut out = Vec::with_capacity(body.len().saturating_add(512));
    Writer::new(&mut out).object(|out| {
        out.key("model").string(target.model);
        out.key("max_tokens").number(mapping.max_tokens);
        if request.stream {
            out.key("stream").boolean(true);
        }
        if !conversation.system.is_empty() {
            out.key("system").array(|out| {
                for block in &conversation.system {
                    block.write(body, out);
                }
            });
        }
        conversation.write(out.key("messages"));
        mapping.write_tools(&conversation.called, out);
        mapping.write_thinking(&thought, format.schema, out);
        mapping.write_sampling(thought.is_manual(), out);
        mapping.write_rest(out);
    });
    Ok(Encoded {
        path: Cow::Borrowed(PATH),
        body: Cow::Owned(out),
        headers: vec![VERSION],
        dropped: mapping.dropped.into_names(),
    })
}

/// The cap that is sent, and never more than the model can give. The API insists on one.
fn max_tokens(target: &Target<'_>, request: &ChatRequest) -> u64 {
    let asked = match (target.output_cap, request.output_cap) {
        (Some(derived), Some(asked)) => Some(derived.min(asked)),
        (derived, asked) => derived.or(asked),
    };
    match (asked, target.output_max) {
        (None, 0) => OUTPUT_CAP_DEFAULT,
        (None, most) => most,
        (Some(asked), 0) => asked,
        (Some(asked), most) => asked.min(most),
    }
}

struct Mapping<'a> {
    body: &'a [u8],
    root: Span,
    gate: Gate,
    max_tokens: u64,
    tools: Tools,
    dropped: DroppedNames,
}

/// How the model is told to think.
#[derive(Default)]
struct Thought {
    /// The client's own `thinking`, which wins.
    own: Option<Span>,
    budget: Option<u64>,
    adaptive: bool,
    effort: Option<&'static str>,
}

impl Thought {
    /// With a budget the API ties sampling down.
    fn is_manual(&self) -> bool {
        self.own.is_some() || self.budget.is_some()
    }
}

#[derive(Default)]
struct Format {
    schema: Option<Span>,
    instruction: Option<String>,
}

impl Mapping<'_> {
    /// A member of the request that says something.
    fn member(&self, name: &str) -> Option<Span> {
        json::member(self.body, self.root, name)
            .filter(|value| json::kind(self.body, *value) != Some(Kind::Null))
    }

    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.member(name)
            .and_then(|value| json::string(self.body, value))
    }

    fn number(&self, name: &str) -> Option<(Span, f64)> {
        let value = self.member(name)?;
        let text = std::str::from_utf8(value.of(self.body)).ok()?;
        text.parse().ok().map(|number| (value, number))
    }

    /// A schema goes where the model enforces it; others are told in words.
    fn response_format(&mut self) -> Format {
        let Some(format) = self.member("response_format") else {
            return Format::default();
        };
        let kind = json::member(self.body, format, "type");
        let kind = kind
            .and_then(|kind| json::string(self.body, kind))
            .unwrap_or_default();
        let schema = json::member(self.body, format, "json_schema")
            .and_then(|group| json::member(self.body, group, "schema"));
        match (&*kind, schema) {
            ("json_schema", Some(schema)) if self.gate.structured => Format {
                schema: Some(schema),
                instruction: None,
            },
            ("json_schema", Some(schema)) => {
                let mut compact = Vec::new();
                json::compact_into(self.body, schema, &mut compact);
                let schema = String::from_utf8_lossy(&compact);
                let instruction = format!(
                    "Answer with one JSON document that fits this JSON schema, and with nothing \
                     else:\n{schema}"
                );
                Format {
                    schema: None,
                    instruction: Some(instruction),
                }
            }
            ("json_object" | "json_schema", _) => {
                let instruction = "Answer with one JSON object, and with nothing else.";
                Format {
                    schema: None,
                    instruction: Some(instruction.to_owned()),
                }
            }
            _ => Format::default(),
        }
    }

    fn thinking(&mut self, calls_without_thinking: bool) -> Thought {
        let own = self
            .member("thinking")
            .filter(|own| json::kind(self.body, *own) == Some(Kind::Object));
        if own.is_some() {
            return Thought {
                own,
                ..Thought::default()
            };
        }
        let Some(effort) = self.text("reasoning_effort").map(Cow::into_owned) else {
            return Thought::default();
        };
        let (level, budget) = match effort.as_str() {
            "minimal" | "low" => ("low", 1024),
            "medium" => ("medium", 2048),
            "high" => ("high", 4096),
            "xhigh" if self.gate.effort_xhigh => ("xhigh", 8192),
            "xhigh" => ("high", 8192),
            "max" => ("max", 16384),
            // "none", and levels nobody knows: as the model does by itself.
            _ => return Thought::default(),
        };
        match self.gate.thinking {
            Thinking::Adaptive => Thought {
                adaptive: true,
                effort: Some(level),
                ..Thought::default()
            },
            // A budget forbids a forced tool, and demands the thinking that led to earlier calls.
            Thinking::Budget
                if self.max_tokens > THINKING_BUDGET_MIN
                    && !calls_without_thinking
                    && !self.tools.choice.as_ref().is_some_and(Choice::is_forced) =>
            {
                // At least half of the cap stays for the answer where the minimum allows it.
                let most = (self.max_tokens / 2).max(THINKING_BUDGET_MIN);
                Thought {
                    budget: Some(most.min(budget)),
                    ..Thought::default()
                }
            }
            Thinking::Budget | Thinking::Never => {
                self.dropped.add("reasoning_effort");
                Thought::default()
            }
        }
    }

    fn write_tools(&mut self, called: &[String], out: &mut Writer<'_>) {
        if self.tools.is_empty() {
            if !called.is_empty() {
                write_stand_ins(called, out.key("tools"));
                write_choice(&Choice::Never, false, out.key("tool_choice"));
            }
            return;
        }
        write_tools(&self.tools, self.body, self.gate, out.key("tools"));
        let mut choice = self.tools.choice.clone();
        if !self.gate.forced_tool && choice.as_ref().is_some_and(Choice::is_forced) {
            self.dropped.add("tool_choice");
            choice = Some(Choice::Auto);
        }
        let parallel = self.member("parallel_tool_calls");
        let one_at_a_time =
            parallel.and_then(|parallel| json::boolean(self.body, parallel)) == Some(false);
        if choice.is_some() || one_at_a_time {
            let choice = choice.unwrap_or(Choice::Auto);
            write_choice(&choice, one_at_a_time, out.key("tool_choice"));
        }
    }

    fn write_thinking(&self, thought: &Thought, schema: Option<Span>, out: &mut Writer<'_>) {
        if let Some(own) = thought.own {
            out.key("thinking").copy(self.body, own);
        } else if let Some(budget) = thought.budget {
            out.key("thinking").object(|out| {
                out.key("type").string("enabled");
                out.key("budget_tokens").number(budget);
            });
        } else if thought.adaptive {
            out.key("thinking")
                .object(|out| out.key("type").string("adaptive"));
        }
        if thought.effort.is_none() && schema.is_none() {
            return;
        }
        out.key("output_config").object(|out| {
            if let Some(effort) = thought.effort {
                out.key("effort").string(effort);
            }
            if let Some(schema) = schema {
                out.key("format").object(|out| {
                    out.key("type").string("json_schema");
                    schema::write(self.body, schema, out.key("schema"));
                });
            }
        });
    }

    fn write_sampling(&mut self, thinking: bool, out: &mut Writer<'_>) {
        let temperature = self.number("temperature");
        let top_p = self.number("top_p");
        let top_k = self.number("top_k");
        // Adaptive thinking on a model that still samples (4.6) forbids it as a budget does.
        let thinking = thinking || self.gate.thinking == Thinking::Adaptive && self.is_effort_set();
        if let Some((value, number)) = temperature {
            if !self.gate.sampling || thinking {
                self.drop_unless_default("temperature", number);
            } else if number > 1.0 {
                out.key("temperature").number(1);
            } else {
                out.key("temperature").copy(self.body, value);
            }
        }
        if let Some((value, number)) = top_p {
            let paired = temperature.is_some() && !self.gate.sampling_pair;
            if !self.gate.sampling || paired || (thinking && number < 0.95) {
                self.drop_unless_default("top_p", number);
            } else {
                out.key("top_p").copy(self.body, value);
            }
        }
        if let Some((value, _)) = top_k {
            if !self.gate.sampling || thinking {
                self.dropped.add("top_k");
            } else {
                out.key("top_k").copy(self.body, value);
            }
        }
    }

    /// Nothing is lost with a value that is the model's own.
    fn drop_unless_default(&mut self, name: &str, number: f64) {
        if number != 1.0 {
            self.dropped.add(name);
        }
    }

    fn is_effort_set(&self) -> bool {
        self.text("reasoning_effort")
            .is_some_and(|effort| effort != "none")
    }

    fn write_rest(&mut self, out: &mut Writer<'_>) {
        self.write_stop(out);
        let user = self.text("user").or_else(|| self.text("safety_identifier"));
        if let Some(user) = user.map(Cow::into_owned) {
            if is_opaque(&user) {
                out.key("metadata")
                    .object(|out| out.key("user_id").string(&user));
            } else {
                self.dropped.add("user");
            }
        }
        match self.text("service_tier").as_deref() {
            None => {}
            Some("auto") => out.key("service_tier").string("auto"),
            Some("default" | "standard_only") => out.key("service_tier").string("standard_only"),
            Some(_) => self.dropped.add("service_tier"),
        }
        if let Some(cache_control) = self.member("cache_control") {
            out.key("cache_control").copy(self.body, cache_control);
        }
    }

    /// The API refuses blank sequences, which would stop nearly any answer at once.
    fn write_stop(&mut self, out: &mut Writer<'_>) {
        let Some(stop) = self.member("stop") else {
            return;
        };
        let texts: Vec<Cow<'_, str>> = match json::string(self.body, stop) {
            Some(text) => vec![text],
            None => json::elements(self.body, stop)
                .filter_map(|element| json::string(self.body, element))
                .collect(),
        };
        let count = texts.len();
        let kept: Vec<_> = texts
            .into_iter()
            .filter(|text| !text.trim().is_empty())
            .collect();
        if !kept.is_empty() {
            out.key("stop_sequences")
                .array(|out| kept.iter().for_each(|text| out.string(text)));
        }
        if kept.len() < count {
            self.dropped.add("stop");
        }
    }
}

/// Anthropic wants no e-mail address and no phone number as an id.
fn is_opaque(user: &str) -> bool {
    let digits = user.bytes().filter(u8::is_ascii_digit).count();
    let dialled =
        |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '(' | ')' | '.' | ' ' | '/');
    let phone = digits >= PHONE_DIGITS_MIN && user.chars().all(dialled);
    let length = user.chars().count();
    (1..=USER_ID_CHARS_MAX).contains(&length) && !user.contains('@') && !phone
}
