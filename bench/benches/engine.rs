//! The engine's parts and a whole exchange, natively: what one of them costs without Envoy.

use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use engine::dialect::responses::Meter;
use engine::dialect::{self, StreamDecoder};
use engine::event_stream::crc32;
use engine::exchange::{Env, Exchange, Step};
use engine::guard::Guardrails;
use engine::headers::Headers;
use engine::ingress::{Context, Ingress, StreamEncoder};
use engine::json::Edits;
use engine::keys::{KeyTable, presented};
use engine::lease::Leases;
use engine::policy::PolicyIndex;
use engine::request::ChatRequest;
use engine::tokens::{Encoding, Tokenizers};
use engine::wire::{
    Admission, Defaults, Dialect, Grant, KeyAnswer, KeyRecord, Model, PiiAction, Policy, Price,
    Provider,
};
use engine::{cache_key, guard, json};

const WORDS: [&str; 24] = [
    "account", "after", "amount", "answer", "because", "budget", "change", "client", "delivery",
    "every", "forecast", "invoice", "letter", "meeting", "number", "office", "payment", "please",
    "quarter", "report", "summary", "their", "which", "with",
];

fn prose(bytes: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9).wrapping_add(1);
    let mut text = format!("Request {seed}: ");
    while text.len() < bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        text.push_str(WORDS[(state >> 33) as usize % WORDS.len()]);
        text.push(if state >> 60 == 0 { '.' } else { ' ' });
    }
    text
}

fn body(bytes: usize, stream: bool, seed: u64) -> Vec<u8> {
    let prompt = prose(bytes, seed);
    format!(
        r#"{{"model":"gpt-4o-mini","stream":{stream},"max_tokens":256,"messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{prompt}"}}]}}"#
    )
    .into_bytes()
}

fn answer() -> Vec<u8> {
    let content = "The summary of the quarter is ready. ".repeat(9);
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"gpt-4o-mini","choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":190,"completion_tokens":72,"total_tokens":262}}}}"#
    )
    .into_bytes()
}

fn openai_stream() -> Vec<u8> {
    let mut out = String::new();
    for number in 0..64 {
        out.push_str(&format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"gpt-4o-mini\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word{number}\"}},\"finish_reason\":null}}]}}\n\n"
        ));
    }
    out.push_str("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    out.push_str("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"gpt-4o-mini\",\"choices\":[],\"usage\":{\"prompt_tokens\":190,\"completion_tokens\":64,\"total_tokens\":254}}\n\ndata: [DONE]\n\n");
    out.into_bytes()
}

fn anthropic_stream() -> Vec<u8> {
    let mut out = String::from(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\",\"content\":[],\"usage\":{\"input_tokens\":190,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    );
    for number in 0..64 {
        out.push_str(&format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\" word{number}\"}}}}\n\n"
        ));
    }
    out.push_str("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":64}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    out.into_bytes()
}

fn gemini_stream() -> Vec<u8> {
    let event = |text: &str, finish: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}],\"role\":\"model\"}}{finish},\"index\":0}}],\"usageMetadata\":{{\"promptTokenCount\":190,\"candidatesTokenCount\":64,\"totalTokenCount\":254}},\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":\"r1\"}}\r\n\r\n"
        )
    };
    let mut out: String = (0..64)
        .map(|number| event(&format!(" word{number}"), ""))
        .collect();
    out.push_str(&event("", ",\"finishReason\":\"STOP\""));
    out.into_bytes()
}

fn bedrock_stream() -> Vec<u8> {
    let frame = |kind: &str, payload: &str| {
        let mut headers = Vec::new();
        for (name, value) in [(":event-type", kind), (":message-type", "event")] {
            headers.push(name.len() as u8);
            headers.extend_from_slice(name.as_bytes());
            headers.extend_from_slice(&[7, 0, value.len() as u8]);
            headers.extend_from_slice(value.as_bytes());
        }
        let total = (16 + headers.len() + payload.len()) as u32;
        let mut frame = [total.to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
        frame.extend_from_slice(&crc32(&frame).to_be_bytes());
        frame.extend_from_slice(&headers);
        frame.extend_from_slice(payload.as_bytes());
        frame.extend_from_slice(&crc32(&frame).to_be_bytes());
        frame
    };
    let mut out = frame("messageStart", "{\"role\":\"assistant\"}");
    for number in 0..64 {
        let delta = format!(
            "{{\"contentBlockIndex\":0,\"delta\":{{\"text\":\" word{number}\"}},\"p\":\"abcdefghij\"}}"
        );
        out.extend(frame("contentBlockDelta", &delta));
    }
    out.extend(frame("messageStop", "{\"stopReason\":\"end_turn\"}"));
    out.extend(frame(
        "metadata",
        "{\"usage\":{\"inputTokens\":190,\"outputTokens\":64}}",
    ));
    out
}

fn parts(criterion: &mut Criterion) {
    for (size, name) in [(1024, "1k"), (100 * 1024, "100k")] {
        let bytes = body(size, false, 1);
        let request = ChatRequest::parse(&bytes).expect("a request");
        let text = prose(size, 2);
        let mut group = criterion.benchmark_group(format!("request {name}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("json::document", |b| {
            b.iter(|| json::document(black_box(&bytes)))
        });
        group.bench_function("request::parse", |b| {
            b.iter(|| ChatRequest::parse(black_box(&bytes)))
        });
        group.bench_function("guard::inspect", |b| {
            b.iter(|| {
                let mut edits = Edits::default();
                guard::inspect(
                    black_box(&bytes),
                    &request.texts,
                    PiiAction::Redact,
                    &mut edits,
                )
            })
        });
        group.bench_function("guard::scan", |b| {
            let mut found = Vec::new();
            b.iter(|| guard::scan(black_box(&text), &mut found))
        });
        let mut tokenizers = Tokenizers::default();
        group.bench_function("tokens", |b| {
            b.iter(|| tokenizers.prompt_tokens(Encoding::O200k, &request, black_box(&bytes)))
        });
        group.bench_function("cache_key", |b| {
            b.iter(|| {
                cache_key::cache_key(
                    "scope",
                    "p",
                    "m",
                    (black_box(&bytes), request.root),
                    cache_key::WITHOUT_INFLUENCE,
                )
            })
        });
        group.finish();
    }
}

fn dialects(criterion: &mut Criterion) {
    for (name, dialect, bytes) in [
        ("openai", Dialect::Openai, openai_stream()),
        ("anthropic", Dialect::Anthropic, anthropic_stream()),
        ("azure", Dialect::Azure, openai_stream()),
        ("bedrock", Dialect::Bedrock, bedrock_stream()),
        ("gemini", Dialect::Gemini, gemini_stream()),
    ] {
        let mut group = criterion.benchmark_group(format!("stream {name}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("decode, one piece", |b| {
            b.iter(|| decode(dialect, [bytes.as_slice()].into_iter()))
        });
        group.bench_function("decode, piece per event", |b| {
            b.iter(|| decode(dialect, bytes.chunks(160)))
        });
        group.finish();
    }
    let bytes = body(1024, false, 1);
    let request = ChatRequest::parse(&bytes).expect("a request");
    let mut group = criterion.benchmark_group("encode 1k");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    for (name, dialect) in [
        ("openai", Dialect::Openai),
        ("anthropic", Dialect::Anthropic),
        ("azure", Dialect::Azure),
        ("bedrock", Dialect::Bedrock),
        ("gemini", Dialect::Gemini),
        ("mistral", Dialect::Mistral),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let target = dialect::Target::new(dialect, "claude");
                dialect::encode(&target, &request, black_box(&bytes), Edits::default())
                    .expect("a body")
                    .body
                    .len()
            })
        });
    }
    group.finish();
    let whole = answer();
    let mut group = criterion.benchmark_group("answer");
    group.throughput(Throughput::Bytes(whole.len() as u64));
    group.bench_function("decode openai", |b| {
        b.iter_batched(
            || whole.clone(),
            |bytes| dialect::decode_answer(Dialect::Openai, "gpt-4o-mini", 0, bytes),
            BatchSize::SmallInput,
        )
    });
    group.finish();
}

/// What Claude Code asks for, more or less: instructions, tools, and rounds of calls.
fn messages_request() -> Vec<u8> {
    let tools: Vec<String> = (0..20)
        .map(|tool| {
            let description = prose(1024, tool);
            format!(
                r#"{{"name":"tool{tool}","description":"{description}","input_schema":{{"type":"object","properties":{{"path":{{"type":"string"}}}}}}}}"#
            )
        })
        .collect();
    let rounds: Vec<String> = (0..20)
        .map(|round| {
            let result = prose(4096, round);
            format!(
                r#"{{"role":"assistant","content":[{{"type":"text","text":"I look."}},{{"type":"tool_use","id":"toolu_{round}","name":"tool1","input":{{"path":"a/b"}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"toolu_{round}","content":"{result}"}}]}}"#
            )
        })
        .collect();
    format!(
        r#"{{"model":"m","max_tokens":32000,"stream":true,"system":[{{"type":"text","text":"{}"}}],"tools":[{}],"messages":[{{"role":"user","content":"Go."}},{}]}}"#,
        prose(12 * 1024, 7),
        tools.join(","),
        rounds.join(","),
    )
    .into_bytes()
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("messages 120k");
    let bytes = messages_request();
    let root = json::document(&bytes).expect("a document");
    let chat = Ingress::Messages.to_chat(&bytes, root).expect("a request");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("request", |b| {
        b.iter(|| Ingress::Messages.to_chat(black_box(&bytes), root))
    });
    let request = ChatRequest::parse(&chat.body).expect("a chat request");
    let target = dialect::Target::new(Dialect::Openai, "gpt-5");
    group.bench_function("request for OpenAI", |b| {
        b.iter(|| dialect::encode_translated(&target, &request, black_box(&chat.body)))
    });
    group.finish();
}

/// Vectors of 3072 numbers, as providers write them.
fn embeddings_answer(dialect: Dialect, base64: bool) -> Vec<u8> {
    let mut state = 1_u64;
    let vectors: Vec<String> = (0..64)
        .map(|_| {
            let numbers: Vec<f32> = (0..3072)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (state >> 40) as f32 / 1e8 - 0.08
                })
                .collect();
            if base64 {
                let bytes: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
                return format!("\"{}\"", BASE64.encode(bytes));
            }
            let numbers: Vec<String> = numbers.iter().map(f32::to_string).collect();
            format!("[{}]", numbers.join(","))
        })
        .collect();
    if dialect == Dialect::Gemini {
        let vectors: Vec<String> = vectors
            .iter()
            .map(|vector| format!("{{\"values\":{vector}}}"))
            .collect();
        return format!("{{\"embeddings\":[{}]}}", vectors.join(",")).into_bytes();
    }
    let data: Vec<String> = vectors
        .iter()
        .map(|vector| format!("{{\"object\":\"embedding\",\"index\":0,\"embedding\":{vector}}}"))
        .collect();
    let data = data.join(",");
    format!(
        "{{\"object\":\"list\",\"data\":[{data}],\"usage\":{{\"prompt_tokens\":9,\"total_tokens\":9}}}}"
    )
    .into_bytes()
}

fn embeddings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("embeddings");
    group.sample_size(20);
    for (name, dialect, base64, wanted) in [
        ("openai, numbers pass", Dialect::Openai, false, "float"),
        ("openai, base64 passes", Dialect::Openai, true, "base64"),
        (
            "openai, numbers to base64",
            Dialect::Openai,
            false,
            "base64",
        ),
        ("openai, base64 to numbers", Dialect::Openai, true, "float"),
        ("gemini, numbers copied", Dialect::Gemini, false, "float"),
        (
            "gemini, numbers to base64",
            Dialect::Gemini,
            false,
            "base64",
        ),
    ] {
        let answer = embeddings_answer(dialect, base64);
        let request = format!("{{\"input\":\"a\",\"encoding_format\":\"{wanted}\"}}");
        let context = dialect::embeddings::Context {
            request: request.as_bytes(),
            model: "m",
            tokens_in: 1,
        };
        group.throughput(Throughput::Bytes(answer.len() as u64));
        group.bench_function(name, |b| {
            b.iter_batched(
                || answer.clone(),
                |answer| {
                    dialect::embeddings::decode_answer(dialect, &context, answer)
                        .expect("an answer")
                        .body
                        .len()
                },
                BatchSize::LargeInput,
            )
        });
    }
    group.finish();
}

/// What clients speak besides chat: a stream of the middle form, written in each.
fn ingresses(criterion: &mut Criterion) {
    let chunks = openai_stream();
    let context = Context {
        exchange: "wr-1",
        created_s: 0,
        model: "gpt-4o-mini",
        tokens_in: 1,
        echo: b"",
    };
    let encode = |ingress: Ingress, out: &mut Vec<u8>| {
        let mut encoder = StreamEncoder::new(ingress, &context);
        for piece in chunks.chunks(160) {
            encoder.push(black_box(piece), out);
        }
    };
    let mut group = criterion.benchmark_group("stream encode");
    group.throughput(Throughput::Bytes(chunks.len() as u64));
    for (name, ingress) in [
        ("completions", Ingress::Completions),
        ("messages", Ingress::Messages),
        ("responses", Ingress::Responses),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut out = Vec::new();
                encode(ingress, &mut out);
                out.len()
            })
        });
    }
    group.finish();
    let mut native = Vec::new();
    encode(Ingress::Responses, &mut native);
    let mut group = criterion.benchmark_group("stream responses");
    group.throughput(Throughput::Bytes(native.len() as u64));
    group.bench_function("meter, piece per event", |b| {
        b.iter(|| {
            let mut meter = Meter::default();
            for piece in native.chunks(240) {
                meter.push(black_box(piece));
            }
            assert!(meter.finished());
        })
    });
    group.finish();
}

fn decode<'a>(dialect: Dialect, pieces: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut decoder = StreamDecoder::new(dialect, "gpt-4o-mini", 0, "wr-1", true);
    let mut out = Vec::new();
    for piece in pieces {
        decoder.push(black_box(piece), &mut out);
    }
    decoder.end(&mut out);
    out.len()
}

struct World {
    policy: PolicyIndex,
    keys: KeyTable,
    tokenizers: Tokenizers,
    leases: Leases,
}

impl World {
    fn new() -> World {
        let provider = |name: &str, dialect| Provider {
            name: name.into(),
            dialect,
            authority: format!("{name}.test"),
            base_path: "/v1".into(),
            auth_header: "authorization".into(),
            auth_prefix: "Bearer ".into(),
            api_key: Some("sk-bench".into()),
            ..Provider::default()
        };
        let policy = PolicyIndex::new(Policy {
            providers: vec![
                provider("openai", Dialect::Openai),
                provider("anthropic", Dialect::Anthropic),
            ],
            models: vec![Model {
                id: "gpt-4o-mini".into(),
                provider: "openai".into(),
                model: "gpt-4o-mini".into(),
                max_output: 16_384,
                price: Price {
                    input: 150_000_000,
                    output: 600_000_000,
                    ..Price::default()
                },
                listed: true,
                ..Model::default()
            }],
            defaults: Defaults {
                retry_attempts: 2,
                retry_on: vec![429, 500, 502, 503, 504],
                request_timeout_ms: 60_000,
                guardrails: Guardrails::input(PiiAction::Redact),
                ..Defaults::default()
            },
        });
        World {
            policy,
            keys: KeyTable::default(),
            tokenizers: Tokenizers::default(),
            leases: Leases::default(),
        }
    }

    fn env(&mut self) -> Env<'_> {
        Env {
            now_ms: 1_000_000,
            random: 7,
            policy: Some(&self.policy),
            keys: &mut self.keys,
            tokenizers: &mut self.tokenizers,
            leases: &mut self.leases,
            body_bytes_max: 32 * 1024 * 1024,
        }
    }

    fn exchange(&mut self, body: Vec<u8>, stream: bool, answer: &[u8]) -> u64 {
        let mut head = Headers::default();
        let length = body.len().to_string();
        for (name, value) in [
            (":method", "POST"),
            (":path", "/v1/chat/completions"),
            (":authority", "gateway"),
            (":scheme", "http"),
            ("content-type", "application/json"),
            ("content-length", length.as_str()),
            (
                "authorization",
                "Bearer vk-bench-0123456789abcdef0123456789abcdef",
            ),
            ("x-forwarded-proto", "http"),
            ("x-request-id", "6b1cbd4e-2f0d-4d1b-9a4e-1d0c8b5d9c0e"),
        ] {
            head.push(name, value);
        }
        let mut exchange = Exchange::new("wr-1a1febe5ec1f9cb91e2937bc38d000012".into(), 1_000_000);
        if let Step::Ask(_) = exchange.on_head(&mut self.env(), head, false) {
            let known = KeyAnswer::Known(KeyRecord {
                id: "key_1".into(),
                ..KeyRecord::default()
            });
            exchange.on_key(&mut self.env(), Some(known));
        }
        exchange.on_body(&mut self.env(), body);
        let grant = Admission::Granted(Grant {
            hold_nano: 5,
            ..Grant::default()
        });
        let Step::Forward(forward) = exchange.on_admission(&mut self.env(), Some(grant)) else {
            panic!("not forwarded")
        };
        black_box(forward);
        let mut head = Headers::default();
        head.push(":status", "200");
        head.push(
            "content-type",
            if stream {
                "text/event-stream"
            } else {
                "application/json"
            },
        );
        exchange.on_answer_head(&mut self.env(), head, false, None);
        if stream {
            for piece in answer.chunks(160) {
                black_box(exchange.on_answer_body(&mut self.env(), piece.to_vec(), false));
            }
            black_box(exchange.on_answer_body(&mut self.env(), Vec::new(), true));
        } else {
            black_box(exchange.on_answer_body(&mut self.env(), answer.to_vec(), true));
        }
        let record = exchange.on_end(&mut self.env(), None).expect("a record");
        serde_json::to_vec(&record).expect("JSON").len() as u64
    }
}

fn exchanges(criterion: &mut Criterion) {
    let mut world = World::new();
    let whole = answer();
    let stream = openai_stream();
    let mut seed = 0;
    let mut group = criterion.benchmark_group("exchange 1k");
    group.bench_function("json", |b| {
        b.iter_batched(
            || {
                seed += 1;
                body(1024, false, seed)
            },
            |body| world.exchange(body, false, &whole),
            BatchSize::SmallInput,
        )
    });
    group.bench_function("stream of 64 chunks", |b| {
        b.iter_batched(
            || {
                seed += 1;
                body(1024, true, seed)
            },
            |body| world.exchange(body, true, &stream),
            BatchSize::SmallInput,
        )
    });
    let mut head = Headers::default();
    head.push("authorization", "Bearer vk-bench-0123456789abcdef");
    group.bench_function("keys::presented", |b| {
        b.iter(|| presented(black_box(&head)) == engine::keys::Presented::Missing)
    });
    group.finish();
}

criterion_group!(
    benches, parts, dialects, ingresses, messages, embeddings, exchanges
);
criterion_main!(benches);
