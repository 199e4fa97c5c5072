//! A chat request as Converse's. What Converse has no member for but the model's own API has goes
//! into `additionalModelRequestFields`.

use std::borrow::Cow;

use super::text;
use super::turns::{Turns, is_texts};
use crate::dialect::anthropic::gate::{Gate, Thinking};
use crate::dialect::anthropic::schema;
use crate::dialect::members::{Format, Members};
use crate::dialect::parameters::DroppedNames;
use crate::dialect::path::push_segment;
use crate::dialect::tools::{Choice, Tools};
use crate::dialect::{Encoded, Target, talk};
use crate::json::{self, Kind, Span, Writer};
use crate::request::{ChatRequest, RequestError};

/// Smallest thinking budget that Claude takes, tokens.
const THINKING_BUDGET_MIN: u64 = 1024;
/// Output cap with a thinking budget when nobody knows one, tokens.
const OUTPUT_CAP_DEFAULT: u64 = 4096;
/// Pairs of `requestMetadata`.
const METADATA_MAX: usize = 16;

pub(in crate::dialect) fn encode(
    target: &Target<'_>,
    request: &ChatRequest,
    body: &[u8],
    dropped: DroppedNames,
) -> Result<Encoded<'static>, RequestError> {
    let turns = Turns::read(body, talk::read(body, request)?)?;
    let asked = match (target.output_cap, request.output_cap) {
        (Some(derived), Some(asked)) => Some(derived.min(asked)),
        (derived, asked) => derived.or(asked),
    };
    let mut mapping = Mapping {
        members: Members {
            body,
            root: request.root,
            dropped,
        },
        family: Family::of_model(target.model),
        tools: Tools::read(body, request.root),
        max_tokens: asked.map(|asked| match target.output_max {
            0 => asked,
            most => asked.min(most),
        }),
        output_max: match target.output_max {
            0 => OUTPUT_CAP_DEFAULT,
            most => most,
        },
    };
    let mut out = Vec::with_capacity(body.len().saturating_add(512));
    Writer::new(&mut out).object(|out| mapping.write(turns, out));
    let mut path = String::from("/model/");
    push_segment(&mut path, target.model);
    path.push_str(if request.stream {
        "/converse-stream"
    } else {
        "/converse"
    });
    Ok(Encoded {
        path: Cow::Owned(path),
        body: Cow::Owned(out),
        headers: Vec::new(),
        dropped: mapping.members.dropped.into_names(),
    })
}

/// Whose model it is, as far as that decides what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Claude(Gate),
    Nova,
    Other,
}

impl Family {
    fn of_model(model: &str) -> Family {
        if model.contains("claude") {
            Family::Claude(Gate::of_model(model))
        } else if model.contains("nova") {
            Family::Nova
        } else {
            Family::Other
        }
    }

    fn gate(self) -> Option<Gate> {
        match self {
            Family::Claude(gate) => Some(gate),
            Family::Nova | Family::Other => None,
        }
    }
}

struct Mapping<'a> {
    members: Members<'a>,
    family: Family,
    tools: Tools,
    max_tokens: Option<u64>,
    output_max: u64,
}

/// How a Claude is told to think.
#[derive(Default)]
struct Thought {
    /// The value of `thinking`, as JSON; empty for none.
    json: Vec<u8>,
    effort: Option<&'static str>,
}

impl Mapping<'_> {
    fn write(&mut self, turns: Turns, out: &mut Writer<'_>) {
        let body = self.members.body;
        let format = self.members.format();
        let structured = self.family.gate().is_some_and(|gate| gate.structured);
        let schema = match format {
            Format::Schema { schema, name } if structured => Some((schema, name)),
            _ => None,
        };
        let instruction = format.instruction(body).filter(|_| schema.is_none());
        turns.write(out.key("messages"));
        if !turns.system.is_empty() || instruction.is_some() {
            out.key("system").array(|out| {
                if !turns.system.is_empty() {
                    out.raw(&turns.system);
                }
                if let Some(instruction) = &instruction {
                    out.object(|out| out.key("text").string(instruction));
                }
            });
        }
        let thought = self.thinking(turns.calls_without_thinking);
        let mut config = Vec::new();
        Writer::new(&mut config).object(|out| self.write_config(&thought, out));
        if config != b"{}" {
            out.key("inferenceConfig").raw(&config);
        }
        self.write_tools(&turns.called, out);
        if thought.effort.is_some() || schema.is_some() {
            out.key("outputConfig").object(|out| {
                if let Some((schema, name)) = schema {
                    write_format(body, schema, name, out);
                }
                if let Some(effort) = thought.effort {
                    out.key("effort").string(effort);
                }
            });
        }
        let mut additional = Vec::new();
        Writer::new(&mut additional).object(|out| self.write_additional(&thought, out));
        if additional != b"{}" {
            out.key("additionalModelRequestFields").raw(&additional);
        }
        if !thought.json.is_empty() {
            out.key("additionalModelResponseFieldPaths")
                .array(|out| out.string("/usage/output_tokens_details"));
        }
        self.write_rest(out);
    }

    fn thinking(&mut self, calls_without_thinking: bool) -> Thought {
        let body = self.members.body;
        let own = self.members.get("thinking");
        let effort = self.members.text("reasoning_effort");
        let Some(gate) = self.family.gate() else {
            if own.is_some() {
                self.members.dropped.add("thinking");
            }
            if effort.is_some_and(|effort| effort != "none") {
                self.members.dropped.add("reasoning_effort");
            }
            return Thought::default();
        };
        let mut thought = Thought::default();
        if let Some(own) = own {
            json::compact_into(body, own, &mut thought.json);
            return thought;
        }
        let (level, budget) = match effort.as_deref() {
            Some("minimal" | "low") => ("low", 1024),
            Some("medium") => ("medium", 2048),
            Some("high") => ("high", 4096),
            Some("xhigh") if gate.effort_xhigh => ("xhigh", 8192),
            Some("xhigh") => ("high", 8192),
            Some("max") => ("max", 16_384),
            // "none", and levels nobody knows: as the model does by itself.
            _ => return thought,
        };
        let most = self.max_tokens.unwrap_or(self.output_max);
        let forced = self.tools.choice.as_ref().is_some_and(Choice::is_forced);
        let mut out = Writer::new(&mut thought.json);
        match gate.thinking {
            Thinking::Adaptive => {
                out.object(|out| out.key("type").string("adaptive"));
                thought.effort = Some(level);
            }
            // A budget forbids a forced tool, and demands the thinking that led to earlier calls.
            Thinking::Budget
                if most > THINKING_BUDGET_MIN && !calls_without_thinking && !forced =>
            {
                self.max_tokens = Some(most);
                let half = (most / 2).max(THINKING_BUDGET_MIN);
                out.object(|out| {
                    out.key("type").string("enabled");
                    out.key("budget_tokens").number(half.min(budget));
                });
            }
            Thinking::Budget | Thinking::Never => self.members.dropped.add("reasoning_effort"),
        }
        thought
    }

    fn write_config(&mut self, thought: &Thought, out: &mut Writer<'_>) {
        let body = self.members.body;
        if let Some(cap) = self.max_tokens {
            out.key("maxTokens").number(cap);
        }
        let thinks = !thought.json.is_empty();
        let gate = self.family.gate();
        let samples = gate.is_none_or(|gate| gate.sampling) && !thinks;
        let temperature = self.members.number("temperature");
        match temperature {
            None => {}
            Some((_, number)) if !samples => {
                self.members.drop_unless_default("temperature", number);
            }
            Some((_, number)) if number > 1.0 => out.key("temperature").number(1),
            Some((value, _)) => out.key("temperature").copy(body, value),
        }
        if let Some((value, number)) = self.members.number("top_p") {
            let paired = temperature.is_some() && gate.is_some_and(|gate| !gate.sampling_pair);
            if samples && !paired {
                out.key("topP").copy(body, value);
            } else {
                self.members.drop_unless_default("top_p", number);
            }
        }
        let (stops, has_blank) = self.members.stops();
        if !stops.is_empty() {
            out.key("stopSequences")
                .array(|out| stops.iter().for_each(|text| out.string(text)));
        }
        if has_blank {
            self.members.dropped.add("stop");
        }
    }

    fn write_tools(&mut self, called: &[String], out: &mut Writer<'_>) {
        let body = self.members.body;
        let never = self.tools.choice == Some(Choice::Never);
        if self.tools.is_empty() || (never && called.is_empty()) {
            // Calls in the history need tools in the request.
            if !called.is_empty() {
                out.key("toolConfig").object(|out| {
                    out.key("tools").array(|out| {
                        for name in called {
                            write_tool(name, None, br#"{"type":"object"}"#, false, out);
                        }
                    });
                });
            }
            return;
        }
        let gate = self.family.gate();
        let mut choice = self.tools.choice.clone();
        let cannot_force = gate.is_some_and(|gate| !gate.forced_tool);
        if cannot_force && choice.as_ref().is_some_and(Choice::is_forced) {
            self.members.dropped.add("tool_choice");
            choice = Some(Choice::Auto);
        }
        if never {
            // There is no word for it, and the history forbids leaving the tools out.
            self.members.dropped.add("tool_choice");
        }
        let strict = gate.is_some_and(|gate| gate.structured);
        out.key("toolConfig").object(|out| {
            out.key("tools").array(|out| {
                for (tool, name) in self.tools.offered(body) {
                    write_definition(body, tool, &name, strict, out);
                }
            });
            match &choice {
                None | Some(Choice::Never) => {}
                Some(Choice::Any) => write_choice("any", None, out),
                Some(Choice::Auto) => write_choice("auto", None, out),
                Some(Choice::Tool(name)) => write_choice("tool", Some(name), out),
            }
        });
    }

    fn write_additional(&mut self, thought: &Thought, out: &mut Writer<'_>) {
        let body = self.members.body;
        if !thought.json.is_empty() {
            out.key("thinking").raw(&thought.json);
        }
        if let Some((value, _)) = self.members.number("top_k") {
            match self.family {
                Family::Claude(gate) if gate.sampling && thought.json.is_empty() => {
                    out.key("top_k").copy(body, value);
                }
                Family::Nova => out
                    .key("inferenceConfig")
                    .object(|out| out.key("topK").copy(body, value)),
                Family::Claude(_) | Family::Other => self.members.dropped.add("top_k"),
            }
        }
        let parallel = self.members.get("parallel_tool_calls");
        if parallel.and_then(|it| json::boolean(body, it)) != Some(false) || self.tools.is_empty() {
            return;
        }
        let Family::Claude(_) = self.family else {
            return self.members.dropped.add("parallel_tool_calls");
        };
        let (kind, name) = match &self.tools.choice {
            Some(Choice::Any) => ("any", None),
            Some(Choice::Tool(name)) => ("tool", Some(name)),
            Some(Choice::Never) => return,
            Some(Choice::Auto) | None => ("auto", None),
        };
        out.key("tool_choice").object(|out| {
            out.key("type").string(kind);
            if let Some(name) = name {
                out.key("name").string(name);
            }
            out.key("disable_parallel_tool_use").boolean(true);
        });
    }

    fn write_rest(&mut self, out: &mut Writer<'_>) {
        let body = self.members.body;
        if let Some(guardrail) = self.members.get("guardrail_config") {
            out.key("guardrailConfig").copy(body, guardrail);
        }
        match self.members.get("metadata") {
            Some(pairs) if is_texts(body, pairs, METADATA_MAX) => {
                out.key("requestMetadata").copy(body, pairs);
            }
            Some(_) => self.members.dropped.add("metadata"),
            None => {}
        }
        match self.members.text("service_tier").as_deref() {
            None | Some("auto") => {}
            Some(tier @ ("default" | "flex" | "priority" | "reserved")) => out
                .key("serviceTier")
                .object(|out| out.key("type").string(tier)),
            Some(_) => self.members.dropped.add("service_tier"),
        }
    }
}

/// The schema is a text here, in which every object is closed.
fn write_format(body: &[u8], schema: Span, name: Option<Span>, out: &mut Writer<'_>) {
    let mut closed = Vec::new();
    schema::write(body, schema, &mut Writer::new(&mut closed));
    out.key("textFormat").object(|out| {
        out.key("type").string("json_schema");
        out.key("structure").object(|out| {
            out.key("jsonSchema").object(|out| {
                out.key("schema").string(&String::from_utf8_lossy(&closed));
                if let Some(name) = name {
                    out.key("name").copy(body, name);
                }
            });
        });
    });
}

fn write_choice(kind: &str, name: Option<&str>, out: &mut Writer<'_>) {
    out.key("toolChoice").object(|out| {
        out.key(kind).object(|out| {
            if let Some(name) = name {
                out.key("name").string(name);
            }
        });
    });
}

fn write_definition(body: &[u8], tool: Span, name: &str, gate: bool, out: &mut Writer<'_>) {
    let custom = json::member(body, tool, "custom");
    let definition = json::member(body, tool, "function")
        .or(custom)
        .unwrap_or(tool);
    let mut schema = Vec::new();
    match json::member(body, definition, "parameters") {
        Some(parameters) if json::kind(body, parameters) == Some(Kind::Object) => {
            write_object_schema(body, parameters, &mut Writer::new(&mut schema));
        }
        _ if custom.is_some() => schema.extend_from_slice(
            br#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#,
        ),
        _ => schema.extend_from_slice(br#"{"type":"object","properties":{}}"#),
    }
    let strict = json::member(body, definition, "strict");
    let strict = strict.and_then(|strict| json::boolean(body, strict)) == Some(true);
    let description = text(body, definition, "description");
    write_tool(name, description.as_deref(), &schema, strict && gate, out);
}

/// An empty description would be refused.
fn write_tool(
    name: &str,
    description: Option<&str>,
    schema: &[u8],
    strict: bool,
    out: &mut Writer<'_>,
) {
    out.object(|out| {
        out.key("toolSpec").object(|out| {
            out.key("name").string(name);
            if let Some(description) = description.filter(|text| !text.trim().is_empty()) {
                out.key("description").string(description);
            }
            out.key("inputSchema")
                .object(|out| out.key("json").raw(schema));
            if strict {
                out.key("strict").boolean(true);
            }
        });
    });
}

/// The schema as it is, but for its type: tools take an object.
fn write_object_schema(body: &[u8], schema: Span, out: &mut Writer<'_>) {
    out.object(|out| {
        out.key("type").string("object");
        for member in json::members(body, schema) {
            if !json::is_named(body, member.key, "type") {
                let name = json::unescaped(member.key.of(body)).unwrap_or_default();
                out.key(&name).copy(body, member.value);
            }
        }
    });
}
