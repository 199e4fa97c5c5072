//! The conversation as turns. Anthropic wants user and assistant to take turns, and every result
//! of a call at the head of the very next user turn.

use std::borrow::Cow;

use super::content::{Block, blocks};
use super::gate::Gate;
use crate::dialect::tools::write_arguments;
use crate::json::{self, Kind, Span, Writer};
use crate::request::{ChatRequest, RequestError, Role};

/// Stands where the API demands a text and the request has none.
const NO_TEXT: &str = ".";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    Assistant,
    System,
    User,
}

impl Speaker {
    fn name(self) -> &'static str {
        match self {
            Speaker::Assistant => "assistant",
            Speaker::System => "system",
            Speaker::User => "user",
        }
    }
}

#[derive(Clone, Debug)]
struct Turn<'a> {
    speaker: Speaker,
    /// Results of calls; a user's only.
    results: Vec<Block<'a>>,
    blocks: Vec<Block<'a>>,
}

/// Messages, sorted into turns.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    body: &'a [u8],
    gate: Gate,
    /// System texts before the first turn.
    pub(super) system: Vec<Block<'a>>,
    turns: Vec<Turn<'a>>,
    /// Names of the tools called, each once.
    pub(super) called: Vec<String>,
    /// The last assistant turn with calls brought no thinking back.
    pub(super) calls_without_thinking: bool,
    /// Id made up for the last `function_call`, which has none of its own.
    function_id: String,
}

impl<'a> Conversation<'a> {
    /// # Errors
    /// What [`blocks`] refuses, an unknown role, a result without the id of its call.
    pub(super) fn read(
        body: &'a [u8],
        request: &ChatRequest,
        gate: Gate,
    ) -> Result<Conversation<'a>, RequestError> {
        let mut conversation = Conversation {
            body,
            gate,
            system: Vec::new(),
            turns: Vec::new(),
            called: Vec::new(),
            calls_without_thinking: false,
            function_id: String::new(),
        };
        for (index, message) in request.messages.iter().enumerate() {
            let next = request
                .messages
                .get(index.saturating_add(1))
                .map(|message| message.role);
            conversation.message(index, message.span, message.role, next)?;
        }
        conversation.complete();
        Ok(conversation)
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        out.array(|out| {
            for turn in &self.turns {
                out.object(|out| {
                    out.key("role").string(turn.speaker.name());
                    out.key("content").array(|out| {
                        for block in turn.results.iter().chain(&turn.blocks) {
                            block.write(self.body, out);
                        }
                    });
                });
            }
        });
    }

    fn message(
        &mut self,
        index: usize,
        span: Span,
        role: Role,
        next: Option<Role>,
    ) -> Result<(), RequestError> {
        let member = |name: &str| json::member(self.body, span, name);
        let place = format!("messages[{index}].content");
        let content = blocks(self.body, member("content"), &place)?;
        match role {
            Role::System | Role::Developer => self.system_text(content, next),
            Role::User => self.say(Speaker::User, None, content),
            Role::Assistant => self.assistant(index, span, content),
            Role::Tool => {
                let id = member("tool_call_id").and_then(|id| json::string(self.body, id));
                let Some(id) = id.filter(|id| !id.is_empty()) else {
                    let place = format!("messages[{index}].tool_call_id");
                    return Err(RequestError::invalid(
                        place,
                        "a tool message needs tool_call_id",
                    ));
                };
                self.result(&call_id(&id), &content);
            }
            Role::Function => {
                let id = std::mem::take(&mut self.function_id);
                self.result(&id, &content);
            }
            Role::Other => {
                let place = format!("messages[{index}].role");
                return Err(RequestError::invalid(
                    place,
                    "this provider knows no such role",
                ));
            }
        }
        Ok(())
    }

    /// Later system texts go in place where the model takes them, else into the user's turn: their
    /// order says more than their role.
    fn system_text(&mut self, content: Vec<Block<'a>>, next: Option<Role>) {
        if self.turns.is_empty() {
            return self.system.extend(content);
        }
        let after_user = self
            .turns
            .last()
            .is_some_and(|turn| turn.speaker == Speaker::User);
        let splits_results = matches!(next, Some(Role::Tool | Role::Function));
        let speaker = if self.gate.mid_system && after_user && !splits_results {
            Speaker::System
        } else {
            Speaker::User
        };
        self.say(speaker, None, content);
    }

    fn assistant(&mut self, index: usize, span: Span, content: Vec<Block<'a>>) {
        let body = self.body;
        let mut said = thinking(body, json::member(body, span, "thinking_blocks"));
        let has_thinking = !said.is_empty();
        said.extend(content);
        let calls = json::member(body, span, "tool_calls").unwrap_or_default();
        let mut called = false;
        for (number, call) in json::elements(body, calls).enumerate() {
            said.push(self.call(call, &format!("call_{index}_{number}")));
            called = true;
        }
        if let Some(call) = json::member(body, span, "function_call")
            && json::kind(body, call) == Some(Kind::Object)
        {
            self.function_id = format!("call_{index}");
            let id = self.function_id.clone();
            said.push(self.tool_use(&id, call));
            called = true;
        }
        if called {
            self.calls_without_thinking = !has_thinking;
        }
        self.say(Speaker::Assistant, None, said);
    }

    fn call(&mut self, call: Span, id_made_up: &str) -> Block<'a> {
        let id = json::member(self.body, call, "id")
            .and_then(|id| json::string(self.body, id))
            .filter(|id| !id.is_empty())
            .map_or_else(|| id_made_up.to_owned(), |id| call_id(&id).into_owned());
        let function = json::member(self.body, call, "function")
            .or_else(|| json::member(self.body, call, "custom"))
            .unwrap_or_default();
        self.tool_use(&id, function)
    }

    fn tool_use(&mut self, id: &str, function: Span) -> Block<'a> {
        let body = self.body;
        let name = json::member(body, function, "name")
            .and_then(|name| json::string(body, name))
            .unwrap_or_default();
        if !self.called.iter().any(|called| *called == *name) {
            self.called.push(name.clone().into_owned());
        }
        Block::json(|out| {
            out.object(|out| {
                out.key("type").string("tool_use");
                out.key("id").string(id);
                out.key("name").string(&name);
                out.key("input");
                match json::member(body, function, "arguments") {
                    Some(arguments) => write_arguments(body, arguments, out),
                    None => {
                        let free = json::member(body, function, "input")
                            .and_then(|free| json::string(body, free))
                            .unwrap_or_default();
                        out.object(|out| out.key("input").string(&free));
                    }
                }
            });
        })
    }

    fn result(&mut self, id: &str, content: &[Block<'a>]) {
        let body = self.body;
        let block = Block::json(|out| {
            out.object(|out| {
                out.key("type").string("tool_result");
                out.key("tool_use_id").string(id);
                match content {
                    [] => {}
                    [
                        Block::Text {
                            text,
                            cache_control: None,
                        },
                    ] => out.key("content").string(text),
                    blocks => out.key("content").array(|out| {
                        for block in blocks {
                            block.write(body, out);
                        }
                    }),
                }
            });
        });
        self.say(Speaker::User, Some(block), Vec::new());
    }

    /// Adds to the last turn when `speaker` has it, else to a new one.
    fn say(&mut self, speaker: Speaker, result: Option<Block<'a>>, blocks: Vec<Block<'a>>) {
        if result.is_none() && blocks.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(last) if last.speaker == speaker => {
                last.results.extend(result);
                last.blocks.extend(blocks);
            }
            _ => self.turns.push(Turn {
                speaker,
                results: result.into_iter().collect(),
                blocks,
            }),
        }
    }

    /// Gives the conversation the form that the API insists on.
    fn complete(&mut self) {
        if self.turns.is_empty() {
            // Only system texts: they are the question.
            let blocks = match std::mem::take(&mut self.system) {
                blocks if blocks.is_empty() => Block::text(NO_TEXT).into_iter().collect(),
                blocks => blocks,
            };
            self.turns.push(Turn {
                speaker: Speaker::User,
                results: Vec::new(),
                blocks,
            });
        }
        if self
            .turns
            .first()
            .is_some_and(|turn| turn.speaker != Speaker::User)
        {
            let blocks = Block::text(NO_TEXT).into_iter().collect();
            let opening = Turn {
                speaker: Speaker::User,
                results: Vec::new(),
                blocks,
            };
            self.turns.insert(0, opening);
        }
        self.trim_prefill();
    }

    /// A last assistant text is a beginning to go on from, and may not end in white space.
    fn trim_prefill(&mut self) {
        if let Some(Turn {
            speaker: Speaker::Assistant,
            blocks,
            ..
        }) = self.turns.last_mut()
            && let Some(Block::Text { text, .. }) = blocks.last_mut()
            && text.trim_end().len() < text.len()
        {
            *text = Cow::Owned(text.trim_end().to_owned());
        }
    }
}

/// Thinking that the client brought back, to go unchanged before the calls it led to. Clients that
/// collect a stream bring it in pieces, of which the last has the signature.
fn thinking<'a>(body: &'a [u8], list: Option<Span>) -> Vec<Block<'a>> {
    let mut thought = String::new();
    let mut blocks = Vec::new();
    for block in json::elements(body, list.unwrap_or_default()) {
        let text = |name: &str| {
            let value = json::member(body, block, name)?;
            json::string(body, value)
        };
        match text("type").as_deref() {
            Some("redacted_thinking") => {
                // By its members: clients that put a stream together leave an `index` in it.
                let hidden = json::member(body, block, "data");
                blocks.extend(hidden.map(|hidden| {
                    Block::json(|out| {
                        out.object(|out| {
                            out.key("type").string("redacted_thinking");
                            out.key("data").copy(body, hidden);
                        });
                    })
                }));
            }
            Some("thinking") => {
                thought.push_str(&text("thinking").unwrap_or_default());
                let Some(signature) = text("signature").filter(|it| !it.is_empty()) else {
                    continue;
                };
                blocks.push(Block::json(|out| {
                    out.object(|out| {
                        out.key("type").string("thinking");
                        out.key("thinking").string(&thought);
                        out.key("signature").string(&signature);
                    });
                }));
                thought.clear();
            }
            _ => {}
        }
    }
    blocks
}

/// A call id in the letters that Anthropic takes (`[a-zA-Z0-9_-]`). Different ids stay different,
/// and call and result get the same one without any memory.
fn call_id(id: &str) -> Cow<'_, str> {
    const SPELLED: &str = "hex-";
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if id.bytes().all(plain) && !id.starts_with(SPELLED) {
        return Cow::Borrowed(id);
    }
    let mut spelled = String::from(SPELLED);
    for byte in id.bytes() {
        spelled.push_str(&format!("{byte:02x}"));
    }
    Cow::Owned(spelled)
}
