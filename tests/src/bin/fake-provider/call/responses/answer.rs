//! A response, and the events that tell of its making.

use e2e::behaviour::{Behaviour, Tokens};
use serde_json::{Value, json};

use crate::call::{CREATED, with_extra};
use crate::chat::{Answer, TOOL_ARGUMENTS};
use crate::openai::Events;

const THOUGHT: &str = "**Thinking**";

/// What a response is worded from.
pub(super) struct Words<'a> {
    pub(super) id: &'a str,
    pub(super) request: &'a Value,
    pub(super) answer: &'a Answer,
    pub(super) behaviour: &'a Behaviour,
}

impl Words<'_> {
    fn item_id(&self, prefix: &str) -> String {
        self.id.replacen("resp_", prefix, 1)
    }

    /// Summaries of reasoning come only to those who ask for them.
    fn thinks(&self) -> bool {
        !self.request["reasoning"]["summary"].is_null()
    }

    fn reasoning(&self) -> Value {
        json!({
            "id": self.item_id("rs_"), "type": "reasoning",
            "summary": [{"type": "summary_text", "text": THOUGHT}],
        })
    }

    fn part(text: &str) -> Value {
        json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
    }

    /// The message or the call.
    fn item(&self, done: bool) -> Value {
        let status = match (done, self.answer.cut) {
            (false, _) => "in_progress",
            (true, true) => "incomplete",
            (true, false) => "completed",
        };
        match &self.answer.tool {
            Some(tool) => {
                let arguments = if done {
                    TOOL_ARGUMENTS.concat()
                } else {
                    String::new()
                };
                json!({
                    "id": self.item_id("fc_"), "type": "function_call", "status": status,
                    "arguments": arguments, "call_id": "call_fake1", "name": tool,
                })
            }
            None => {
                let content = if done {
                    json!([Words::part(&self.answer.text())])
                } else {
                    json!([])
                };
                json!({
                    "id": self.item_id("msg_"), "type": "message", "status": status,
                    "content": content, "role": "assistant",
                })
            }
        }
    }

    fn object(&self, status: &str, output: Vec<Value>) -> Value {
        let request = self.request;
        let or = |name: &str, otherwise: Value| match &request[name] {
            Value::Null => otherwise,
            value => value.clone(),
        };
        let object = json!({
            "id": self.id, "object": "response", "created_at": CREATED, "status": status,
            "background": or("background", json!(false)), "error": null,
            "incomplete_details": null, "instructions": request["instructions"],
            "max_output_tokens": request["max_output_tokens"],
            "max_tool_calls": request["max_tool_calls"], "model": self.answer.model,
            "output": output, "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
            "previous_response_id": request["previous_response_id"],
            "prompt_cache_key": request["prompt_cache_key"],
            "reasoning": {"effort": request["reasoning"]["effort"],
                          "summary": request["reasoning"]["summary"]},
            "safety_identifier": null, "service_tier": "default",
            "store": or("store", json!(true)), "temperature": or("temperature", json!(1.0)),
            "text": or("text", json!({"format": {"type": "text"}, "verbosity": "medium"})),
            "tool_choice": or("tool_choice", json!("auto")), "tools": or("tools", json!([])),
            "top_logprobs": 0, "top_p": or("top_p", json!(1.0)),
            "truncation": or("truncation", json!("disabled")), "usage": null,
            "user": request["user"], "metadata": or("metadata", json!({})),
        });
        with_extra(object, self.behaviour)
    }

    /// The response when all is said.
    pub(super) fn whole(&self) -> Value {
        let mut output = vec![self.item(true)];
        if self.thinks() {
            output.insert(0, self.reasoning());
        }
        let cut = self.answer.cut;
        let mut object = self.object(if cut { "incomplete" } else { "completed" }, output);
        if cut {
            object["incomplete_details"] = json!({"reason": "max_output_tokens"});
        } else {
            object["completed_at"] = json!(CREATED + 1);
        }
        if let Some(usage) = self.answer.usage {
            object["usage"] = usage_value(usage);
        }
        object
    }

    /// The events of a stream, numbered.
    pub(super) fn events(&self, whole: &Value) -> Events {
        let started = self.object("in_progress", Vec::new());
        let mut head = vec![
            json!({"type": "response.created", "response": started}),
            json!({"type": "response.in_progress", "response": started}),
        ];
        if self.thinks() {
            head.extend(self.thinking());
        }
        let at = usize::from(self.thinks());
        let item = self.item(true);
        head.push(json!({
            "type": "response.output_item.added", "output_index": at, "item": self.item(false),
        }));
        let mut pieces = Vec::new();
        let mut tail = Vec::new();
        let id = &item["id"];
        if let Some(tool) = &self.answer.tool {
            head.extend(TOOL_ARGUMENTS.iter().map(|delta| {
                json!({"type": "response.function_call_arguments.delta", "item_id": id,
                       "output_index": at, "delta": delta, "obfuscation": "zYx"})
            }));
            tail.push(json!({
                "type": "response.function_call_arguments.done", "item_id": id, "name": tool,
                "output_index": at, "arguments": TOOL_ARGUMENTS.concat(),
            }));
        } else {
            let text = self.answer.text();
            let place = |kind: &str| json!({"type": kind, "item_id": id, "output_index": at, "content_index": 0});
            let with = |kind: &str, name: &str, value: Value| {
                let mut event = place(kind);
                event[name] = value;
                event
            };
            let added = "response.content_part.added";
            head.push(with(added, "part", Words::part("")));
            pieces.extend(self.answer.pieces.iter().map(|piece| {
                let mut event = with("response.output_text.delta", "delta", json!(piece));
                event["logprobs"] = json!([]);
                event["obfuscation"] = json!("zYx");
                event
            }));
            let mut done = with("response.output_text.done", "text", json!(text));
            done["logprobs"] = json!([]);
            let part = with("response.content_part.done", "part", Words::part(&text));
            tail.extend([done, part]);
        }
        tail.push(json!({
            "type": "response.output_item.done", "output_index": at, "item": item,
        }));
        let kind = format!("response.{}", whole["status"].as_str().unwrap_or_default());
        tail.push(json!({"type": kind, "response": whole}));
        let (first, second) = (head.len(), head.len() + pieces.len());
        Events {
            head: numbered(head, 0),
            pieces: numbered(pieces, first),
            tail: numbered(tail, second),
        }
    }

    fn thinking(&self) -> Vec<Value> {
        let mut empty = self.reasoning();
        empty["summary"] = json!([]);
        let id = empty["id"].clone();
        let event = |kind: &str, name: &str, value: Value| {
            let mut event = json!({
                "type": format!("response.{kind}"), "item_id": id, "output_index": 0,
                "summary_index": 0,
            });
            event[name] = value;
            event
        };
        let part = |text: &str| json!({"type": "summary_text", "text": text});
        vec![
            json!({"type": "response.output_item.added", "output_index": 0, "item": empty}),
            event("reasoning_summary_part.added", "part", part("")),
            event("reasoning_summary_text.delta", "delta", json!(THOUGHT)),
            event("reasoning_summary_text.done", "text", json!(THOUGHT)),
            event("reasoning_summary_part.done", "part", part(THOUGHT)),
            json!({"type": "response.output_item.done", "output_index": 0,
                   "item": self.reasoning()}),
        ]
    }

    /// The error event at the place that the behaviour names.
    pub(super) fn error(&self, whole: &Value) -> String {
        let number = match self.behaviour.error_after {
            None | Some(0) => 0,
            Some(after) => self.events(whole).head.len() + after as usize,
        };
        let event = json!({
            "type": "error", "code": "server_error", "param": null,
            "message": "The server had an error while processing your request",
        });
        numbered(vec![event], number).concat()
    }
}

fn usage_value(usage: Tokens) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    })
}

/// Events as they go out, numbered from `first`.
fn numbered(events: Vec<Value>, first: usize) -> Vec<String> {
    let each = events.into_iter().zip(first..);
    each.map(|(mut event, number)| {
        event["sequence_number"] = json!(number);
        let kind = event["type"].as_str().unwrap_or_default();
        format!("event: {kind}\ndata: {event}\n\n")
    })
    .collect()
}
