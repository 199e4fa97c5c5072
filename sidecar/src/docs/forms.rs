//! What becomes of each member of a request in a form of its own: found out by trying, so that the
//! table says what the code does.

use engine::ingress::{Ingress, Translated};
use engine::json;
use serde_json::{Map, Value};

use super::table;

/// A member and what it is tried with. What it needs beside it stands before it.
type Probe = (&'static str, &'static str, &'static str);

const MESSAGES: &[Probe] = &[
    ("cache_control", "", r#"{"type":"ephemeral"}"#),
    ("container", "", r#""c""#),
    ("context_management", "", r#"{"edits":[]}"#),
    ("inference_geo", "", r#""us""#),
    ("max_tokens", "", "7"),
    (
        "mcp_servers",
        "",
        r#"[{"type":"url","url":"https://x.example","name":"x"}]"#,
    ),
    ("messages", "", r#"[{"role":"user","content":"other"}]"#),
    ("metadata.user_id", "", r#"{"user_id":"u"}"#),
    ("output_config.effort", "", r#"{"effort":"high"}"#),
    (
        "output_config.format",
        "",
        r#"{"format":{"type":"json_schema","schema":{"type":"object"}}}"#,
    ),
    ("service_tier", "", r#""standard_only""#),
    ("speed", "", r#""fast""#),
    ("stop_sequences", "", r#"["x"]"#),
    ("stream", "", "true"),
    ("system", "", r#""Be brief""#),
    ("temperature", "", "0.5"),
    ("thinking", "", r#"{"type":"enabled","budget_tokens":2048}"#),
    (
        "tool_choice",
        r#""tools":[{"name":"f","input_schema":{"type":"object"}}]"#,
        r#"{"type":"any"}"#,
    ),
    (
        "tools",
        "",
        r#"[{"name":"f","input_schema":{"type":"object"}}]"#,
    ),
    ("top_k", "", "5"),
    ("top_p", "", "0.5"),
    ("any other", "", "1"),
];

const RESPONSES: &[Probe] = &[
    ("background", "", "true"),
    ("conversation", "", r#""conv_1""#),
    ("include", "", r#"["message.output_text.logprobs"]"#),
    ("input", "", r#""other""#),
    ("instructions", "", r#""Be brief""#),
    ("max_output_tokens", "", "7"),
    ("max_tool_calls", "", "3"),
    ("metadata", "", r#"{"a":"b"}"#),
    (
        "parallel_tool_calls",
        r#""tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]"#,
        "false",
    ),
    ("previous_response_id", "", r#""resp_1""#),
    ("prompt", "", r#"{"id":"pmpt_1"}"#),
    ("prompt_cache_key", "", r#""k""#),
    ("reasoning.effort", "", r#"{"effort":"low"}"#),
    ("reasoning.summary", "", r#"{"summary":"auto"}"#),
    ("safety_identifier", "", r#""s""#),
    ("service_tier", "", r#""flex""#),
    ("store", "", "true"),
    ("stream", "", "true"),
    ("temperature", "", "0.5"),
    ("text.format", "", r#"{"format":{"type":"json_object"}}"#),
    ("text.verbosity", "", r#"{"verbosity":"low"}"#),
    (
        "tool_choice",
        r#""tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]"#,
        r#""required""#,
    ),
    (
        "tools",
        "",
        r#"[{"type":"function","name":"f","parameters":{"type":"object"}}]"#,
    ),
    ("top_logprobs", "", "2"),
    ("top_p", "", "0.5"),
    ("truncation", "", r#""auto""#),
    ("user", "", r#""u""#),
    ("any other", "", "1"),
];

const COMPLETIONS: &[Probe] = &[
    ("best_of", "", "3"),
    ("echo", "", "true"),
    ("frequency_penalty", "", "0.5"),
    ("logit_bias", "", r#"{"1":2}"#),
    ("logprobs", "", "2"),
    ("max_tokens", "", "7"),
    ("n", "", "2"),
    ("presence_penalty", "", "0.5"),
    ("prompt", "", r#""other""#),
    ("seed", "", "7"),
    ("stop", "", r#"["x"]"#),
    ("stream", "", "true"),
    ("suffix", "", r#""x""#),
    ("temperature", "", "0.5"),
    ("top_p", "", "0.5"),
    ("user", "", r#""u""#),
];

/// The table of one form.
pub(super) fn members(ingress: Ingress) -> String {
    let (base, probes) = match ingress {
        Ingress::Completions => (r#""model":"m","prompt":"p""#, COMPLETIONS),
        Ingress::Messages => (
            r#""model":"m","max_tokens":5,"messages":[{"role":"user","content":"p"}]"#,
            MESSAGES,
        ),
        Ingress::Responses => (r#""model":"m","input":"p""#, RESPONSES),
    };
    let base: Map<String, Value> = serde_json::from_str(&format!("{{{base}}}")).unwrap();
    let rows = probes.iter().map(|(member, beside, value)| {
        let beside: Map<String, Value> = serde_json::from_str(&format!("{{{beside}}}")).unwrap();
        let mut without = base.clone();
        without.extend(beside);
        let mut with = without.clone();
        let name = member.split('.').next().unwrap().replace(' ', "_");
        with.insert(name, serde_json::from_str(value).unwrap());
        [
            format!("`{member}`").replace("`any other`", "any other"),
            fate(ingress, without, with),
        ]
    });
    table(["member", "in a chat completion"], rows)
}

fn fate(ingress: Ingress, without: Map<String, Value>, with: Map<String, Value>) -> String {
    let before = translated(ingress, without).expect("valid");
    let Some(after) = translated(ingress, with) else {
        return "`400`, by name".to_owned();
    };
    let changed: Vec<String> = {
        let (before, after) = (chat(&before), chat(&after));
        let differs = |name: &&String| before.get(name.as_str()) != after.get(name.as_str());
        after
            .keys()
            .filter(differs)
            .map(|name| format!("`{name}`"))
            .collect()
    };
    match changed.as_slice() {
        [] if !after.dropped.is_empty() => "left out, by name".to_owned(),
        [] if after.echo != before.echo => "not sent; shapes the answer".to_owned(),
        [] => "not sent; it is so anyway".to_owned(),
        changed => changed.join(", "),
    }
}

fn translated(ingress: Ingress, members: Map<String, Value>) -> Option<Translated> {
    let body = Value::Object(members).to_string().into_bytes();
    let root = json::document(&body).unwrap();
    ingress.to_chat(&body, root).ok()
}

fn chat(translated: &Translated) -> Map<String, Value> {
    serde_json::from_slice(&translated.body).unwrap()
}
