//! The requests: a prompt of a kilobyte each, no two alike, so that nothing is cheap because it was
//! seen before.

/// Requests before the first one comes again.
const VARIETY: usize = 512;
const PROMPT_BYTES: usize = 1024;
const WORDS: [&str; 48] = [
    "account",
    "after",
    "amount",
    "answer",
    "because",
    "between",
    "branch",
    "budget",
    "can",
    "change",
    "city",
    "client",
    "could",
    "customer",
    "delivery",
    "department",
    "email",
    "every",
    "fifteen",
    "forecast",
    "from",
    "invoice",
    "letter",
    "manager",
    "meeting",
    "month",
    "north",
    "number",
    "office",
    "order",
    "payment",
    "people",
    "please",
    "quarter",
    "question",
    "report",
    "sales",
    "send",
    "should",
    "summary",
    "supplier",
    "table",
    "the",
    "their",
    "through",
    "week",
    "which",
    "with",
];
/// A route of two targets: the answer may come from either, so the adapter takes part.
const ROUTE: &str =
    r#"{"strategy":"fallback","targets":[{"provider":"bench"},{"provider":"spare"}]}"#;

/// Key that the measured gateway knows.
pub(crate) const KEY: &str = "vk-bench-0123456789abcdef0123456789abcdef";

/// Whole HTTP requests, ready to send.
pub(crate) fn requests(stream: bool, adapter: bool) -> Vec<Vec<u8>> {
    (0..VARIETY)
        .map(|number| request(&prompt(number), stream, adapter))
        .collect()
}

fn prompt(number: usize) -> String {
    let mut state = number as u64 * 0x9e37_79b9 + 1;
    let mut text = format!("Request {number}: ");
    while text.len() < PROMPT_BYTES {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        text.push_str(WORDS[(state >> 33) as usize % WORDS.len()]);
        text.push(if state >> 60 == 0 { '.' } else { ' ' });
    }
    text
}

fn request(prompt: &str, stream: bool, adapter: bool) -> Vec<u8> {
    let body = format!(
        r#"{{"model":"gpt-4o-mini","stream":{stream},"max_tokens":256,"messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{prompt}"}}]}}"#
    );
    let route = if adapter {
        format!("x-weir-config: {ROUTE}\r\n")
    } else {
        String::new()
    };
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         authorization: Bearer {KEY}\r\n{route}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
