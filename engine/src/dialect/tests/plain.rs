//! Requests of clients of Anthropic's, as providers of OpenAI's format get them.

use super::*;
use crate::ingress::Ingress;

/// What Claude Code sends, more or less.
const CLAUDE_CODE: &str = r#"{
  "model": "alias", "max_tokens": 32000, "stream": true, "temperature": 0.5, "top_k": 5,
  "stop_sequences": ["END"], "metadata": {"user_id": "USER"},
  "thinking": THINKING, "output_config": CONFIG,
  "system": [{"type": "text", "text": "One."},
             {"type": "text", "text": "Two.", "cache_control": {"type": "ephemeral"}}],
  "tools": TOOLS,
  "messages": [
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    {"role": "assistant", "content": [
      {"type": "thinking", "thinking": "old", "signature": "s"},
      {"type": "thinking", "thinking": "hm", "signature": ""},
      {"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1",
      "content": "r", "cache_control": {"type": "ephemeral"}}]},
    {"role": "user", "content": [{"type": "image", "cache_control": {"type": "ephemeral"},
      "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]}
  ]}"#;

const TOOLS: &str = r#"[{"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}]"#;

struct Sent {
    body: serde_json::Value,
    dropped: Vec<String>,
}

fn sent(dialect: Dialect, model: &str, thinking: &str, config: &str, tools: &str) -> Sent {
    let user = "u".repeat(100);
    let body = CLAUDE_CODE
        .replace("USER", &user)
        .replace("THINKING", thinking)
        .replace("CONFIG", config)
        .replace("TOOLS", tools);
    let root = json::document(body.as_bytes()).unwrap();
    let chat = Ingress::Messages.to_chat(body.as_bytes(), root).unwrap();
    let request = ChatRequest::parse(&chat.body).unwrap();
    let target = Target {
        output_max: 16_384,
        ..Target::new(dialect, model)
    };
    let sent = encode_translated(&target, &request, &chat.body).unwrap();
    Sent {
        body: serde_json::from_slice(&sent.body).unwrap(),
        dropped: sent.dropped,
    }
}

#[test]
fn openai_gets_nothing_that_it_would_refuse() {
    let Sent { body, dropped } = sent(
        Dialect::Openai,
        "gpt-4o",
        r#"{"type":"enabled","budget_tokens":4000}"#,
        "null",
        TOOLS,
    );
    let expect = serde_json::json!({
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "One.\n\nTwo."},
            {"role": "user", "content": "a\n\nb"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "t1", "content": "r"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
        ],
        "max_tokens": 16_384,
        "stream": true,
        "stream_options": {"include_usage": true},
        "temperature": 0.5,
        "stop": ["END"],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "user": crate::cache_key::sha256_hex("u".repeat(100).as_bytes()),
    });
    assert_eq!(body, expect);
    assert_eq!(dropped, ["thinking", "top_k"]);
}

#[test]
fn thinking_becomes_an_effort_that_the_model_takes() {
    const BUDGET: &str = r#"{"type":"enabled","budget_tokens":10000}"#;
    const ADAPTIVE: &str = r#"{"type":"adaptive"}"#;
    const OFF: &str = r#"{"type":"disabled"}"#;
    const MAX: &str = r#"{"effort":"max"}"#;
    for (model, thinking, config, tools, effort, named) in [
        (
            "o3",
            BUDGET,
            "null",
            TOOLS,
            Some("high"),
            "stop temperature top_k",
        ),
        (
            "o3",
            OFF,
            "null",
            TOOLS,
            Some("low"),
            "stop temperature top_k",
        ),
        (
            "gpt-5",
            ADAPTIVE,
            MAX,
            TOOLS,
            Some("high"),
            "stop temperature top_k",
        ),
        (
            "gpt-5",
            ADAPTIVE,
            "null",
            TOOLS,
            None,
            "stop temperature top_k",
        ),
        (
            "gpt-5",
            OFF,
            "null",
            TOOLS,
            Some("minimal"),
            "stop temperature top_k",
        ),
        ("gpt-5.2", "null", "null", TOOLS, None, "stop top_k"),
        (
            "gpt-5.2",
            "null",
            MAX,
            TOOLS,
            Some("xhigh"),
            "stop temperature top_k",
        ),
        // Functions only while it does not reason.
        (
            "gpt-5.5",
            ADAPTIVE,
            MAX,
            TOOLS,
            Some("none"),
            "reasoning_effort stop top_k",
        ),
        (
            "gpt-5.5",
            BUDGET,
            "null",
            TOOLS,
            Some("none"),
            "stop thinking top_k",
        ),
        ("gpt-5.5", "null", "null", TOOLS, Some("none"), "stop top_k"),
        (
            "gpt-6",
            ADAPTIVE,
            MAX,
            "[]",
            Some("max"),
            "stop temperature top_k",
        ),
        ("gpt-oss-20b", ADAPTIVE, MAX, TOOLS, Some("high"), ""),
        ("llama-3.3", ADAPTIVE, "null", TOOLS, None, ""),
        ("llama-3.3", OFF, MAX, TOOLS, None, ""),
        ("llama-3.3", BUDGET, MAX, TOOLS, None, "reasoning_effort"),
    ] {
        let mut sent = sent(Dialect::Openai, model, thinking, config, tools);
        sent.dropped.sort();
        let place = format!("{model} {thinking} {config}");
        assert_eq!(sent.body["reasoning_effort"].as_str(), effort, "{place}");
        assert_eq!(sent.dropped.join(" "), named, "{place}");
        assert!(sent.body.get("thinking").is_none());
    }
}

#[test]
fn reasoning_goes_back_to_who_wants_it() {
    for (dialect, model, wanted) in [
        (Dialect::Openai, "deepseek-chat", true),
        (Dialect::Openai, "moonshotai/Kimi-K2-Thinking", true),
        (Dialect::Openai, "llama-3.3", false),
        (Dialect::Azure, "gpt-4o", false),
        (Dialect::Mistral, "mistral-large", false),
    ] {
        let body = sent(dialect, model, "null", "null", TOOLS).body;
        let message = &body["messages"][2];
        assert_eq!(message["reasoning_content"] == "hm", wanted, "{model}");
        assert!(message.get("thinking_blocks").is_none(), "{model}");
        assert!(!body.to_string().contains("cache_control"), "{model}");
    }
}

#[test]
fn no_model_is_asked_for_more_than_it_can_give() {
    for (dialect, model, place) in [
        (Dialect::Openai, "gpt-4o", "/max_tokens"),
        (Dialect::Openai, "o3", "/max_completion_tokens"),
        (Dialect::Ollama, "llama3", "/max_tokens"),
        (
            Dialect::Gemini,
            "gemini-2.5-pro",
            "/generationConfig/maxOutputTokens",
        ),
        (
            Dialect::Bedrock,
            "anthropic.claude-3-haiku",
            "/inferenceConfig/maxTokens",
        ),
        (Dialect::Anthropic, "claude-3-haiku", "/max_tokens"),
    ] {
        let body = sent(dialect, model, "null", "null", TOOLS).body;
        assert_eq!(body.pointer(place), Some(&16_384.into()), "{model}: {body}");
    }
}

/// Those who know more than OpenAI's format get all of it.
#[test]
fn claude_keeps_what_only_claude_knows() {
    let claude = "us.anthropic.claude-sonnet-4-5";
    let body = sent(Dialect::Bedrock, claude, "null", "null", TOOLS).body;
    assert!(body.to_string().contains("\"signature\":\"s\""), "{body}");
    let router = "anthropic/claude-sonnet-4-5";
    let body = sent(Dialect::Openai, router, "null", "null", TOOLS).body;
    assert_eq!(body.to_string().matches("cache_control").count(), 4);
}
