//! What the demo provider says.

use serde_json::{Value, json};

/// All answers carry it, so that the same request gets the same bytes.
const CREATED_S: u64 = 1_700_000_000;
/// Bytes that count as one token.
const BYTES_PER_TOKEN: u64 = 4;
/// Choices of one answer.
const CHOICES_MAX: u64 = 8;

/// A chat request, as far as the demo cares.
pub(super) struct Chat {
    pub(super) stream: bool,
    model: String,
    include_usage: bool,
    choices: u64,
    words: Vec<String>,
    finish: &'static str,
    prompt_tokens: u64,
}

/// An error in OpenAI's shape.
pub(super) struct Refusal {
    pub(super) status: u16,
    message: &'static str,
}

impl Chat {
    pub(super) fn parse(body: &[u8]) -> Result<Chat, Refusal> {
        let Ok(request) = serde_json::from_slice::<Value>(body) else {
            return Err(Refusal {
                status: 400,
                message: "The request body is not valid JSON",
            });
        };
        let member = |name: &str| request.get(name);
        let Some(messages) = member("messages").and_then(Value::as_array) else {
            return Err(Refusal {
                status: 400,
                message: "`messages` is missing",
            });
        };
        let prompt: usize = messages.iter().map(|message| text(message).len()).sum();
        let last = messages
            .iter()
            .rev()
            .find(|message| message.get("role").is_some_and(|role| role == "user"));
        let said = format!("You said: {}", last.map(text).unwrap_or_default());
        let cap = member("max_completion_tokens")
            .or_else(|| member("max_tokens"))
            .and_then(Value::as_u64);
        let mut words: Vec<String> = said.split_inclusive(' ').map(str::to_owned).collect();
        let mut finish = "stop";
        if let Some(cap) = cap {
            let fits = within(&words, cap);
            if fits < words.len() {
                words.truncate(fits);
                finish = "length";
            }
        }
        Ok(Chat {
            stream: member("stream").and_then(Value::as_bool).unwrap_or(false),
            model: member("model")
                .and_then(Value::as_str)
                .unwrap_or("demo")
                .to_owned(),
            include_usage: request
                .pointer("/stream_options/include_usage")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            choices: member("n")
                .and_then(Value::as_u64)
                .unwrap_or(1)
                .clamp(1, CHOICES_MAX),
            words,
            finish,
            prompt_tokens: tokens(prompt),
        })
    }

    /// The answer in one piece.
    pub(super) fn answer(&self) -> String {
        let content = self.words.concat();
        let choice = |index| {
            json!({"index": index, "message": {"role": "assistant", "content": content, "refusal": null},
                   "logprobs": null, "finish_reason": self.finish})
        };
        let choices: Vec<Value> = (0..self.choices).map(choice).collect();
        json!({"id": "chatcmpl-demo", "object": "chat.completion", "created": CREATED_S, "model": self.model,
               "choices": choices, "usage": self.usage(), "system_fingerprint": "fp_demo"})
        .to_string()
    }

    /// The answer as events, each with its end.
    pub(super) fn events(&self) -> Vec<String> {
        let mut events = Vec::new();
        let mut each = |delta: Value, finish: Value| {
            for index in 0..self.choices {
                let choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish});
                events.push(self.chunk(json!([choice]), Value::Null));
            }
        };
        each(
            json!({"role": "assistant", "content": "", "refusal": null}),
            Value::Null,
        );
        for word in &self.words {
            each(json!({"content": word}), Value::Null);
        }
        each(json!({}), self.finish.into());
        if self.include_usage {
            events.push(self.chunk(json!([]), self.usage()));
        }
        events.push("data: [DONE]\n\n".to_owned());
        events
    }

    fn chunk(&self, choices: Value, usage: Value) -> String {
        let mut chunk = json!({"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": CREATED_S,
                               "model": self.model, "system_fingerprint": "fp_demo", "choices": choices});
        if let (true, Some(members)) = (self.include_usage, chunk.as_object_mut()) {
            members.insert("usage".to_owned(), usage);
        }
        format!("data: {chunk}\n\n")
    }

    fn usage(&self) -> Value {
        let words: usize = self.words.iter().map(String::len).sum();
        let completion = tokens(words).saturating_mul(self.choices);
        json!({"prompt_tokens": self.prompt_tokens, "completion_tokens": completion,
               "total_tokens": self.prompt_tokens.saturating_add(completion),
               "prompt_tokens_details": {"cached_tokens": 0},
               "completion_tokens_details": {"reasoning_tokens": 0}})
    }
}

impl Refusal {
    pub(super) fn not_found() -> Refusal {
        Refusal {
            status: 404,
            message: "The demo provider has /v1/chat/completions and /v1/models",
        }
    }

    pub(super) fn unreadable() -> Refusal {
        Refusal {
            status: 413,
            message: "The request body could not be read or is too large",
        }
    }

    pub(super) fn body(&self) -> String {
        json!({"error": {"message": self.message, "type": "invalid_request_error", "param": null, "code": null}})
            .to_string()
    }
}

/// `GET /v1/models`.
pub(super) fn models() -> String {
    let model = json!({"id": "demo", "object": "model", "created": CREATED_S, "owned_by": "weir"});
    json!({"object": "list", "data": [model]}).to_string()
}

/// All text of a message, parts joined.
fn text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts
                .iter()
                .filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes)
        .unwrap_or(u64::MAX)
        .div_ceil(BYTES_PER_TOKEN)
        .max(1)
}

/// How many of `words` come to at most `cap` tokens.
fn within(words: &[String], cap: u64) -> usize {
    let mut bytes = 0_usize;
    let fits = |word: &&String| {
        bytes = bytes.saturating_add(word.len());
        tokens(bytes) <= cap
    };
    words.iter().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(request: &Value) -> Chat {
        Chat::parse(request.to_string().as_bytes())
            .unwrap_or_else(|refusal| panic!("{}", refusal.message))
    }

    #[test]
    fn the_stream_says_what_the_answer_says() {
        let mut request =
            json!({"model": "m", "messages": [{"role": "user", "content": "one two"}]});
        let answer: Value = serde_json::from_str(&chat(&request).answer()).unwrap();
        assert_eq!(
            answer["choices"][0]["message"]["content"],
            "You said: one two"
        );
        assert_eq!(answer["usage"]["total_tokens"], 2 + 5);
        request["stream"] = true.into();
        request["stream_options"] = json!({"include_usage": true});
        let events = chat(&request).events();
        let chunks: Vec<Value> = events
            .iter()
            .filter_map(|e| serde_json::from_str(e.trim().strip_prefix("data: ")?).ok())
            .collect();
        let said: String = chunks
            .iter()
            .filter_map(|c| c["choices"][0]["delta"]["content"].as_str())
            .collect();
        assert_eq!(said, "You said: one two");
        assert_eq!(chunks.last().unwrap()["usage"], answer["usage"]);
        assert_eq!(events.last().unwrap(), "data: [DONE]\n\n");
    }

    #[test]
    fn a_cap_cuts_the_answer() {
        let request = json!({"messages": [{"role": "user", "content": "one two three four"}], "max_tokens": 3});
        let answer: Value = serde_json::from_str(&chat(&request).answer()).unwrap();
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 3);
    }

    #[test]
    fn what_is_no_chat_request_is_refused() {
        for body in ["", "[]", "{}", r#"{"messages":1}"#] {
            assert_eq!(
                Chat::parse(body.as_bytes()).err().unwrap().status,
                400,
                "{body}"
            );
        }
    }
}
