//! A chat request as generateContent's.

use std::borrow::Cow;

use super::gate::{Gate, Thinking};
use super::{schema, text};
use crate::dialect::content::Part;
use crate::dialect::members::{Format, Members};
use crate::dialect::parameters::DroppedNames;
use crate::dialect::path::push_segment;
use crate::dialect::talk::{self, Call, Said};
use crate::dialect::tools::{Choice, Tools};
use crate::dialect::{Encoded, Target};
use crate::json::{self, Kind, Span, Writer};
use crate::request::{ChatRequest, RequestError};

/// Stop sequences that the API takes.
const STOPS_MAX: usize = 5;
/// Stands where the API demands a text and the request has none.
const NO_TEXT: &str = ".";
/// Google's word for a call whose thought has no signature, in base64:
/// `skip_thought_signature_validator`.
const NO_SIGNATURE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

pub(in crate::dialect) fn encode(
    target: &Target<'_>,
    request: &ChatRequest,
    body: &[u8],
    dropped: DroppedNames,
) -> Result<Encoded<'static>, RequestError> {
    let gate = Gate::of_model(target.model);
    let talk = Talk::read(body, gate, talk::read(body, request)?);
    let mut mapping = Mapping {
        members: Members {
            body,
            root: request.root,
            dropped,
        },
        gate,
        tools: Tools::read(body, request.root),
        output_cap: match (target.output_cap, request.output_cap) {
            (Some(derived), Some(asked)) => Some(derived.min(asked)),
            (derived, asked) => derived.or(asked),
        },
        choices: request.choices,
    };
    let mut out = Vec::with_capacity(body.len().saturating_add(512));
    Writer::new(&mut out).object(|out| mapping.write(&talk, out));
    Ok(Encoded {
        path: Cow::Owned(path(target.model, request.stream)),
        body: Cow::Owned(out),
        headers: Vec::new(),
        dropped: mapping.members.dropped.into_names(),
    })
}

fn path(model: &str, stream: bool) -> String {
    let mut path = String::from("/");
    let (folder, name) = match model.split_once('/') {
        Some((folder @ ("models" | "tunedModels"), name)) => (folder, name),
        _ => ("models", model),
    };
    path.push_str(folder);
    path.push('/');
    push_segment(&mut path, name);
    path.push_str(if stream {
        ":streamGenerateContent?alt=sse"
    } else {
        ":generateContent"
    });
    path
}

/// A content: who speaks, and its parts as JSON.
struct Content {
    role: &'static str,
    parts: Vec<u8>,
    /// It holds results of calls, and nothing else may join them.
    is_results: bool,
}

/// The conversation as contents.
struct Talk {
    system: Vec<u8>,
    contents: Vec<Content>,
}

impl Talk {
    fn read(body: &[u8], gate: Gate, messages: Vec<Said<'_>>) -> Talk {
        let mut talk = Talk {
            system: Vec::new(),
            contents: Vec::new(),
        };
        let mut results: Vec<(String, Vec<u8>)> = Vec::new();
        let mut media: Vec<Part<'_>> = Vec::new();
        let mut called: Vec<String> = Vec::new();
        for said in messages {
            if !matches!(said, Said::Result { .. } | Said::System(_)) {
                talk.results(&called, &mut results, &mut media);
            }
            match said {
                Said::System(parts) => {
                    let mut out = Writer::new(&mut talk.system);
                    parts.iter().for_each(|part| write_part(part, &mut out));
                }
                Said::User(parts) => talk.say("user", &parts),
                Said::Assistant { parts, calls, .. } => {
                    talk.say("model", &parts);
                    called = calls.iter().map(|call| call.id.clone()).collect();
                    talk.calls(body, gate, &calls);
                }
                Said::Result { id, name, parts } => {
                    let mut json = Vec::new();
                    write_result(&name, &parts, &mut Writer::new(&mut json));
                    results.push((id, json));
                    let is_media = |part: &Part<'_>| !matches!(part, Part::Text(_));
                    media.extend(parts.into_iter().filter(is_media));
                }
            }
        }
        talk.results(&called, &mut results, &mut media);
        talk.complete();
        talk
    }

    /// Adds to the parts of the last content when `role` has it, else of a new one.
    fn add(&mut self, role: &'static str, is_results: bool, write: impl FnOnce(&mut Writer<'_>)) {
        match self.contents.last_mut() {
            Some(last) if last.role == role && last.is_results == is_results => {
                write(&mut Writer::new(&mut last.parts));
            }
            _ => {
                let mut parts = Vec::new();
                write(&mut Writer::new(&mut parts));
                self.contents.push(Content {
                    role,
                    parts,
                    is_results,
                });
            }
        }
    }

    fn say(&mut self, role: &'static str, parts: &[Part<'_>]) {
        if parts.is_empty() {
            return;
        }
        self.add(role, false, |out| {
            parts.iter().for_each(|part| write_part(part, out));
        });
    }

    fn calls(&mut self, body: &[u8], gate: Gate, calls: &[Call<'_>]) {
        if calls.is_empty() {
            return;
        }
        self.add("model", false, |out| {
            for (number, call) in calls.iter().enumerate() {
                let signature = signature(body, call.span);
                // Only the first call of a turn has to have one.
                let signature = match signature {
                    None if gate.signatures && number == 0 => Some(Cow::Borrowed(NO_SIGNATURE)),
                    signature => signature,
                };
                out.object(|out| {
                    out.key("functionCall").object(|out| {
                        out.key("name").string(&call.name);
                        out.key("args").raw(&call.arguments);
                    });
                    if let Some(signature) = signature {
                        out.key("thoughtSignature").string(&signature);
                    }
                });
            }
        });
    }

    /// Results go into one content, in the order of their calls: names are all that binds them.
    fn results(
        &mut self,
        called: &[String],
        results: &mut Vec<(String, Vec<u8>)>,
        media: &mut Vec<Part<'_>>,
    ) {
        if results.is_empty() {
            return;
        }
        let place = |id: &String| called.iter().position(|called| called == id);
        results.sort_by_key(|(id, _)| place(id).unwrap_or(usize::MAX));
        self.add("user", true, |out| {
            results.drain(..).for_each(|(_, json)| out.raw(&json));
        });
        let media = std::mem::take(media);
        self.say("user", &media);
    }

    /// Only system texts are the question themselves, and a conversation begins with the user.
    fn complete(&mut self) {
        if self.contents.is_empty() {
            let parts = std::mem::take(&mut self.system);
            self.contents.push(Content {
                role: "user",
                parts,
                is_results: false,
            });
        }
        let first = self.contents.first();
        if first.is_some_and(|first| first.role != "user" || first.parts.is_empty()) {
            let mut parts = Vec::new();
            write_part(
                &Part::Text(Cow::Borrowed(NO_TEXT)),
                &mut Writer::new(&mut parts),
            );
            let opening = Content {
                role: "user",
                parts,
                is_results: false,
            };
            self.contents.retain(|content| !content.parts.is_empty());
            self.contents.insert(0, opening);
        }
    }

    fn write(&self, instruction: Option<&str>, out: &mut Writer<'_>) {
        if !self.system.is_empty() || instruction.is_some() {
            out.key("systemInstruction").object(|out| {
                out.key("parts").array(|out| {
                    if !self.system.is_empty() {
                        out.raw(&self.system);
                    }
                    if let Some(instruction) = instruction {
                        write_part(&Part::Text(Cow::Borrowed(instruction)), out);
                    }
                });
            });
        }
        out.key("contents").array(|out| {
            for content in &self.contents {
                out.object(|out| {
                    out.key("role").string(content.role);
                    out.key("parts").array(|out| out.raw(&content.parts));
                });
            }
        });
    }
}

/// The signature that a call brought, where Google's own OpenAI endpoint puts it.
fn signature(body: &[u8], call: Span) -> Option<Cow<'_, str>> {
    let extra = json::member(body, call, "extra_content")?;
    let google = json::member(body, extra, "google")?;
    text(body, google, "thought_signature").filter(|it| !it.is_empty())
}

fn write_part(part: &Part<'_>, out: &mut Writer<'_>) {
    out.object(|out| match part {
        Part::Text(text) => out.key("text").string(text),
        Part::Data {
            media_type, base64, ..
        } => out.key("inlineData").object(|out| {
            out.key("mimeType").string(media_type);
            out.key("data").string(base64);
        }),
        Part::Link(url) => out.key("fileData").object(|out| {
            if let Some(media_type) = media_type(url) {
                out.key("mimeType").string(media_type);
            }
            out.key("fileUri").string(url);
        }),
    });
}

/// The type of a file by the end of its address.
fn media_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let (_, end) = path.rsplit_once('.')?;
    Some(match end.to_ascii_lowercase().as_str() {
        "gif" => "image/gif",
        "heic" => "image/heic",
        "jpeg" | "jpg" => "image/jpeg",
        "mp3" => "audio/mp3",
        "mp4" => "video/mp4",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "wav" => "audio/wav",
        "webp" => "image/webp",
        _ => return None,
    })
}

/// A result has to be an object: what is none goes into one.
fn write_result(name: &str, parts: &[Part<'_>], out: &mut Writer<'_>) {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(&**text),
        _ => None,
    });
    let said = texts.collect::<Vec<_>>().join("\n");
    out.object(|out| {
        out.key("functionResponse").object(|out| {
            out.key("name").string(name);
            let inner = said.as_bytes();
            match json::document(inner) {
                Ok(root) if json::kind(inner, root) == Some(Kind::Object) => {
                    out.key("response").copy(inner, root);
                }
                _ => out
                    .key("response")
                    .object(|out| out.key("output").string(&said)),
            }
        });
    });
}

struct Mapping<'a> {
    members: Members<'a>,
    gate: Gate,
    tools: Tools,
    output_cap: Option<u64>,
    choices: u32,
}

impl Mapping<'_> {
    fn write(&mut self, talk: &Talk, out: &mut Writer<'_>) {
        let body = self.members.body;
        let format = self.members.format();
        // Older models answer with a 400 to a JSON format beside tools.
        let by_words = !self.tools.is_empty() && !self.gate.json_with_tools;
        let instruction = format.instruction(body).filter(|_| by_words);
        talk.write(instruction.as_deref(), out);
        self.write_tools(out);
        let mut config = Vec::new();
        let format = if by_words { Format::Text } else { format };
        Writer::new(&mut config).object(|out| self.write_config(format, out));
        if config != b"{}" {
            out.key("generationConfig").raw(&config);
        }
        for (name, theirs) in [
            ("safety_settings", "safetySettings"),
            ("cached_content", "cachedContent"),
        ] {
            if let Some(value) = self.members.get(name) {
                out.key(theirs).copy(body, value);
            }
        }
        match self.members.text("service_tier").as_deref() {
            None | Some("auto") => {}
            Some("default" | "standard") => out.key("serviceTier").string("standard"),
            Some("flex") => out.key("serviceTier").string("flex"),
            Some("priority") => out.key("serviceTier").string("priority"),
            Some(_) => self.members.dropped.add("service_tier"),
        }
    }

    fn write_tools(&self, out: &mut Writer<'_>) {
        let body = self.members.body;
        if self.tools.is_empty() {
            return;
        }
        out.key("tools").array(|out| {
            out.object(|out| {
                out.key("functionDeclarations").array(|out| {
                    for (tool, name) in self.tools.offered(body) {
                        out.object(|out| self.write_tool(tool, &name, out));
                    }
                });
            });
        });
        let (mode, name) = match &self.tools.choice {
            None => return,
            Some(Choice::Any) => ("ANY", None),
            Some(Choice::Auto) => ("AUTO", None),
            Some(Choice::Never) => ("NONE", None),
            Some(Choice::Tool(name)) => ("ANY", Some(name)),
        };
        out.key("toolConfig").object(|out| {
            out.key("functionCallingConfig").object(|out| {
                out.key("mode").string(mode);
                if let Some(name) = name {
                    out.key("allowedFunctionNames")
                        .array(|out| out.string(name));
                }
            });
        });
    }

    fn write_tool(&self, tool: Span, name: &str, out: &mut Writer<'_>) {
        let body = self.members.body;
        let custom = json::member(body, tool, "custom");
        let definition = json::member(body, tool, "function")
            .or(custom)
            .unwrap_or(tool);
        out.key("name").string(name);
        let description = text(body, definition, "description");
        if let Some(description) = description.filter(|text| !text.trim().is_empty()) {
            out.key("description").string(&description);
        }
        let parameters = json::member(body, definition, "parameters")
            .filter(|schema| json::kind(body, *schema) == Some(Kind::Object))
            .filter(|schema| json::members(body, *schema).next().is_some());
        match parameters {
            Some(schema) if self.gate.json_schema => {
                out.key("parametersJsonSchema").copy(body, schema);
            }
            // An object without members is refused, and says nothing.
            Some(schema) if has_members(body, schema) => {
                schema::write(body, schema, out.key("parameters"));
            }
            None if custom.is_some() => out
                .key("parameters")
                .raw(br#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#),
            _ => {}
        }
    }

    fn write_config(&mut self, format: Format, out: &mut Writer<'_>) {
        let body = self.members.body;
        if let Some(cap) = self.output_cap {
            out.key("maxOutputTokens").number(cap);
        }
        if self.choices > 1 {
            out.key("candidateCount").number(u64::from(self.choices));
        }
        for (name, theirs, taken) in [
            ("temperature", "temperature", self.gate.sampling),
            ("top_p", "topP", self.gate.sampling),
            ("top_k", "topK", self.gate.sampling),
            ("presence_penalty", "presencePenalty", self.gate.penalties),
            ("frequency_penalty", "frequencyPenalty", self.gate.penalties),
        ] {
            match self.members.number(name) {
                None => {}
                Some((value, _)) if taken => out.key(theirs).copy(body, value),
                // Nothing is lost with a value that is the model's own.
                Some((_, number)) if number == 0.0 && name.ends_with("penalty") => {}
                Some((_, number)) => self.members.drop_unless_default(name, number),
            }
        }
        if let Some(seed) = self.members.get("seed") {
            out.key("seed").copy(body, seed);
        }
        self.write_stops(out);
        let logprobs = self.members.get("logprobs");
        if logprobs.and_then(|it| json::boolean(body, it)) == Some(true) {
            out.key("responseLogprobs").boolean(true);
            if let Some(count) = self.members.get("top_logprobs") {
                out.key("logprobs").copy(body, count);
            }
        }
        match format {
            Format::Text => {}
            Format::Json => out.key("responseMimeType").string("application/json"),
            Format::Schema { schema, .. } => {
                out.key("responseMimeType").string("application/json");
                if self.gate.json_schema {
                    out.key("responseJsonSchema").copy(body, schema);
                } else {
                    schema::write(body, schema, out.key("responseSchema"));
                }
            }
        }
        self.write_thinking(out);
    }

    fn write_stops(&mut self, out: &mut Writer<'_>) {
        let (stops, has_blank) = self.members.stops();
        if !stops.is_empty() {
            let kept = stops.iter().take(STOPS_MAX);
            out.key("stopSequences")
                .array(|out| kept.for_each(|text| out.string(text)));
        }
        if has_blank || stops.len() > STOPS_MAX {
            self.members.dropped.add("stop");
        }
    }

    /// The client's own `thinking` wins over an effort.
    fn write_thinking(&mut self, out: &mut Writer<'_>) {
        let body = self.members.body;
        let effort = self.members.text("reasoning_effort");
        let own = self
            .members
            .get("thinking")
            .filter(|_| self.gate.thinking != Thinking::Never);
        if let Some(own) = own {
            let budget = json::member(body, own, "budget_tokens");
            let budget = budget.and_then(|budget| json::number_u64(body, budget));
            let off = text(body, own, "type").as_deref() == Some("disabled");
            out.key("thinkingConfig").object(|out| match (off, budget) {
                (true, _) => out.key("thinkingBudget").number(0),
                (false, Some(budget)) => {
                    out.key("thinkingBudget").number(budget);
                    out.key("includeThoughts").boolean(true);
                }
                (false, None) => out.key("includeThoughts").boolean(true),
            });
            return;
        }
        if self.members.get("thinking").is_some() {
            self.members.dropped.add("thinking");
        }
        let Some(effort) = effort else { return };
        let is_none = effort == "none";
        let wanted = match &*effort {
            "none" => (0, "LOW"),
            "minimal" => (1024, "MINIMAL"),
            "low" => (1024, "LOW"),
            "medium" => (2048, "MEDIUM"),
            "high" => (4096, "HIGH"),
            "xhigh" => (8192, "HIGH"),
            "max" => (16_384, "HIGH"),
            _ => return self.members.dropped.add("reasoning_effort"),
        };
        let (budget, level) = wanted;
        match self.gate.thinking {
            Thinking::Never => {
                if !is_none {
                    self.members.dropped.add("reasoning_effort");
                }
            }
            Thinking::Budget { min } => out.key("thinkingConfig").object(|out| {
                out.key("thinkingBudget").number(budget.max(min));
                if !is_none {
                    out.key("includeThoughts").boolean(true);
                }
            }),
            Thinking::Level { minimal } => {
                let lowest = if minimal { "MINIMAL" } else { "LOW" };
                let level = if is_none || level == "MINIMAL" {
                    lowest
                } else {
                    level
                };
                out.key("thinkingConfig").object(|out| {
                    out.key("thinkingLevel").string(level);
                    if !is_none {
                        out.key("includeThoughts").boolean(true);
                    }
                });
            }
        }
    }
}

fn has_members(body: &[u8], schema: Span) -> bool {
    let properties = json::member(body, schema, "properties");
    properties.is_none_or(|it| json::members(body, it).next().is_some())
}
