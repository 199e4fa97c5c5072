//! What must hold for any bytes, one function for each part that reads what strangers write. Each
//! panics when it does not hold.
//!
//! libFuzzer calls them from `fuzz_targets`, the engine's tests from `engine/tests/fuzz.rs`.

use std::cell::RefCell;
use std::sync::OnceLock;

use engine::dialect::responses::{self, Meter};
use engine::dialect::{self, StreamDecoder};
use engine::guard;
use engine::ingress::{Context, Ingress, StreamEncoder};
use engine::json::{self, Edits, Kind, Span};
use engine::limits;
use engine::request::{ChatRequest, Place};
use engine::route::RouteConfig;
use engine::sse::Splitter;
use engine::tokens::{Encoding, Tokenizers};
use engine::usage::Usage;
use engine::wire::{Dialect, Parcel, PiiAction, Settle};
use serde::de::IgnoredAny;
use serde_json::Value;

/// A target: its name (of its corpus as well) and what to call.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 13] = [
    ("json", json),
    ("request", request),
    ("sse", sse),
    ("stream_openai", stream_openai),
    ("stream_anthropic", stream_anthropic),
    ("answer", answer),
    ("ingress", ingress),
    ("route", route),
    ("guard", guard),
    ("tokens", tokens),
    ("watch", watch),
    ("rules", rules),
    ("settlement", settlement),
];

/// Deeper documents are refused by either reader, each at a depth of its own.
const DEPTH_OF_BOTH: usize = 100;

fn depth_bound(data: &[u8]) -> usize {
    data.iter()
        .filter(|byte| matches!(byte, b'{' | b'['))
        .count()
}

/// `json::document` accepts what serde_json does; places lie where they should; edits keep the rest.
pub fn json(data: &[u8]) {
    let document = json::document(data);
    if depth_bound(data) <= DEPTH_OF_BOTH {
        if document.is_ok() {
            assert!(std::str::from_utf8(data).is_ok(), "a document is UTF-8");
            assert!(
                serde_json::from_slice::<IgnoredAny>(data).is_ok(),
                "not JSON"
            );
        } else {
            assert!(serde_json::from_slice::<Value>(data).is_err(), "JSON");
        }
    }
    // Whatever was not validated must not hurt either.
    let all = Span {
        start: 0,
        end: data.len(),
    };
    let root = document.as_ref().copied().unwrap_or(all);
    let mut at = 0;
    for member in json::members(data, root) {
        assert!(member.key.start >= at && member.value.end <= data.len());
        at = member.value.end;
    }
    at = 0;
    for element in json::elements(data, root) {
        assert!(element.start >= at && element.end <= data.len());
        at = element.end;
    }
    let text = json::unescape(data);
    let mut escaped = Vec::new();
    json::escape_into(&text, &mut escaped);
    assert_eq!(json::unescape(&escaped), text);
    if document.is_err() {
        return;
    }
    let value = serde_json::from_slice::<Value>(data).ok();
    let mut compact = Vec::new();
    json::compact_into(data, root, &mut compact);
    assert_eq!(serde_json::from_slice::<Value>(&compact).ok(), value);
    if json::kind(data, root) == Some(Kind::Object) {
        edits(data, root, value);
    }
}

fn edits(data: &[u8], root: Span, value: Option<Value>) {
    let names: Vec<_> = json::members(data, root)
        .filter_map(|member| json::unescaped(member.key.of(data)))
        .collect();
    for name in names.iter().take(3) {
        let mut edits = Edits::default();
        edits.remove_member(data, root, name);
        edits.set_member(data, root, "new", "1");
        let edited = edits.apply(data);
        let end = json::document(&edited).expect("edits keep a document valid");
        assert!(**name == *"new" || json::member(&edited, end, name).is_none());
        assert_eq!(
            json::member(&edited, end, "new").map(|span| span.of(&edited)),
            Some(&b"1"[..])
        );
        let Some(Value::Object(mut wanted)) = value.clone() else {
            continue;
        };
        wanted.remove(&**name);
        wanted.insert("new".to_owned(), 1.into());
        let edited = serde_json::from_slice::<Value>(&edited).expect("JSON");
        assert_eq!(edited, Value::Object(wanted));
    }
}

/// A request's places are strings of it, and each dialect writes a document.
pub fn request(data: &[u8]) {
    let Ok(request) = ChatRequest::parse(data) else {
        return;
    };
    for text in &request.texts {
        let quoted = Span {
            start: text.span.start - 1,
            end: text.span.end + 1,
        };
        assert!(json::string(data, quoted).is_some(), "no string: {text:?}");
        let escaped = text.span.of(data).contains(&b'\\');
        assert_eq!(text.escaped, escaped);
    }
    for dialect in [
        Dialect::Openai,
        Dialect::Anthropic,
        Dialect::Azure,
        Dialect::Bedrock,
        Dialect::Gemini,
        Dialect::Mistral,
        Dialect::Ollama,
        Dialect::Perplexity,
    ] {
        let target = dialect::Target {
            output_cap: Some(7),
            output_max: 99,
            ..dialect::Target::new(dialect, "another")
        };
        let Ok(encoded) = dialect::encode(&target, &request, data, Edits::default()) else {
            continue;
        };
        let root = json::document(&encoded.body).expect("a body is a document");
        let model = json::member(&encoded.body, root, "model");
        let in_body = model.and_then(|model| json::string(&encoded.body, model));
        assert!(in_body.as_deref() == Some("another") || encoded.path.contains("/another"));
        if dialect == Dialect::Openai {
            let again = ChatRequest::parse(&encoded.body).expect("still a request");
            assert_eq!(again.messages.len(), request.messages.len());
            assert_eq!(again.output_cap, request.output_cap.or(Some(7)));
            assert!(!again.stream || again.include_usage, "usage is asked for");
        }
    }
}

/// Takes the cuts off the head of the input: what is left, and in which pieces.
fn pieces(data: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let Some((&cuts, rest)) = data.split_first() else {
        return (data, Vec::new());
    };
    let count = usize::from(cuts % 8).min(rest.len());
    let (lengths, stream) = rest.split_at(count);
    let mut pieces = Vec::new();
    let mut behind = stream;
    for length in lengths {
        let (piece, after) = behind.split_at(usize::from(*length).min(behind.len()));
        pieces.push(piece);
        behind = after;
    }
    pieces.push(behind);
    (stream, pieces)
}

type Events = (Vec<(Option<Vec<u8>>, Vec<u8>, Vec<u8>)>, bool);

fn events(pieces: &[&[u8]]) -> Events {
    let mut splitter = Splitter::default();
    let mut events = Vec::new();
    let mut good = true;
    for piece in pieces {
        let pushed = splitter.push(piece, |event| {
            events.push((
                event.name.map(<[u8]>::to_vec),
                event.data.to_vec(),
                event.raw.to_vec(),
            ));
        });
        good &= pushed.is_ok();
    }
    splitter.finish(|event| {
        events.push((
            event.name.map(<[u8]>::to_vec),
            event.data.to_vec(),
            event.raw.to_vec(),
        ));
    });
    (events, good)
}

/// Any split of a stream gives the same events, and nothing is lost or made up.
pub fn sse(data: &[u8]) {
    let (stream, pieces) = pieces(data);
    let whole = events(&[stream]);
    assert_eq!(whole, events(&pieces));
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(whole, events(&bytes));
    if whole.1 {
        let raw: Vec<u8> = whole.0.iter().flat_map(|(_, _, raw)| raw.clone()).collect();
        assert!(stream.starts_with(&raw), "what was not sent was read");
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    out: Vec<u8>,
    text: String,
    usage: Option<Usage>,
    failed: bool,
    finished: bool,
}

fn decoded(dialect: Dialect, pieces: &[&[u8]]) -> Outcome {
    let mut decoder = StreamDecoder::new(dialect, "m", 0, "x", true);
    let (mut out, mut text) = (Vec::new(), String::new());
    for piece in pieces {
        decoder.push(piece, &mut out);
        text.extend(decoder.take_text());
    }
    if !decoder.finished() && !decoder.failed() {
        decoder.end(&mut out);
    }
    text.extend(decoder.take_text());
    decoder.tail("{}", &mut out);
    let (usage, failed, finished) = (decoder.usage(), decoder.failed(), decoder.finished());
    Outcome {
        out,
        text,
        usage,
        failed,
        finished,
    }
}

fn stream(dialect: Dialect, data: &[u8]) {
    let (stream, pieces) = pieces(data);
    let whole = decoded(dialect, &[stream]);
    assert_eq!(whole, decoded(dialect, &pieces));
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(whole, decoded(dialect, &bytes));
    assert!(whole.failed != whole.finished, "a stream ends one way");
    let done = whole.out.ends_with(b"data: [DONE]\n\n");
    assert_eq!(done, whole.finished, "[DONE] says that all is there");
    assert!(std::str::from_utf8(stream).is_err() || std::str::from_utf8(&whole.out).is_ok());
    for end in [false, true] {
        let _ = dialect::first_event(dialect, stream, end);
    }
}

/// OpenAI's streams.
pub fn stream_openai(data: &[u8]) {
    stream(Dialect::Openai, data);
}

/// Anthropic's streams.
pub fn stream_anthropic(data: &[u8]) {
    stream(Dialect::Anthropic, data);
}

/// Answers and errors of providers become documents.
pub fn answer(data: &[u8]) {
    for dialect in [Dialect::Openai, Dialect::Anthropic] {
        if let Ok(answer) = dialect::decode_answer(dialect, "m", 0, data.to_vec()) {
            assert!(
                json::document(&answer.body).is_ok(),
                "an answer is a document"
            );
        }
        for status in [400, 429, 503] {
            let error = dialect::decode_error(dialect, status, data);
            let root = json::document(&error.body).expect("an error is a document");
            assert!(json::member(&error.body, root, "error").is_some());
        }
    }
}

/// Formats of clients: requests become chat completions or are refused, answers become documents,
/// and any split of a stream gives the same.
pub fn ingress(data: &[u8]) {
    for format in [Ingress::Completions, Ingress::Messages, Ingress::Responses] {
        if let Ok(root) = json::document(data) {
            translated(format, data, root);
        }
        let context = Context {
            exchange: "x",
            created_s: 0,
            model: "m",
            tokens_in: 1,
            echo: b"thinking",
        };
        let stream = |chunks: &mut dyn Iterator<Item = &[u8]>| {
            let mut encoder = StreamEncoder::new(format, &context);
            let mut out = Vec::new();
            chunks.for_each(|chunk| encoder.push(chunk, &mut out));
            out
        };
        let whole = stream(&mut std::iter::once(data));
        assert_eq!(whole, stream(&mut data.chunks(1)));
        assert_eq!(whole, stream(&mut data.chunks(7)));
    }
    native_responses(data);
}

/// Responses as a provider's own: a stream ends one way, wherever it is cut.
fn native_responses(data: &[u8]) {
    let metered = |chunks: &mut dyn Iterator<Item = &[u8]>| {
        let mut meter = Meter::default();
        chunks.for_each(|chunk| meter.push(chunk));
        assert!(meter.failed() || meter.finished() || meter.pending() <= data.len());
        meter.end();
        assert!(meter.failed() != meter.finished(), "a stream ends one way");
        (meter.finished(), meter.usage(), meter.take_text())
    };
    let whole = metered(&mut std::iter::once(data));
    assert_eq!(whole, metered(&mut data.chunks(1)));
    assert_eq!(whole, metered(&mut data.chunks(7)));
    let _ = responses::first_event(data, true);
    let _ = responses::decode_answer(data.to_vec());
}

fn translated(format: Ingress, data: &[u8], root: Span) {
    let context = Context {
        exchange: "x",
        created_s: 0,
        model: "m",
        tokens_in: 1,
        echo: b"",
    };
    let answer = format.answer(data, &context);
    assert!(json::document(&answer).is_ok(), "an answer is a document");
    let error = format.error(500, data.to_vec(), "x");
    assert!(json::document(&error).is_ok(), "an error is a document");
    let Ok(chat) = format.to_chat(data, root) else {
        return;
    };
    let request = ChatRequest::parse(&chat.body);
    // One level is added around a schema.
    let is_deep = depth_bound(data) > DEPTH_OF_BOTH;
    assert!(
        request.is_ok() || is_deep,
        "not a chat request: {request:?}"
    );
    let Ok(request) = request else { return };
    for dialect in [Dialect::Openai, Dialect::Anthropic, Dialect::Mistral] {
        let target = dialect::Target::new(dialect, "gpt-5");
        if let Ok(sent) = dialect::encode_translated(&target, &request, &chat.body) {
            assert!(json::document(&sent.body).is_ok(), "a body is a document");
        }
    }
}

/// Route configurations are read or refused.
pub fn route(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = RouteConfig::parse(text);
    }
}

/// Findings lie on borders of characters in order; a redacted request is a request without them.
pub fn guard(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut findings = Vec::new();
    guard::scan(text, &mut findings);
    let mut at = 0;
    for found in &findings {
        assert!(found.start >= at && found.end > found.start, "{found:?}");
        assert!(text.get(found.start..found.end).is_some(), "{found:?}");
        at = found.end;
    }
    assert_eq!(guard::redact(text).is_some(), !findings.is_empty());
    // The first byte says where to cut: pieces read as the whole does.
    let size = usize::from(data.first().copied().unwrap_or(0)) + 1;
    let (mut window, mut settled, mut streamed) =
        (guard::Window::default(), String::new(), Vec::new());
    let mut from = 0;
    while from < text.len() || from == 0 {
        let mut to = (from + size).min(text.len());
        while !text.is_char_boundary(to) {
            to += 1;
        }
        window.push(text.get(from..to).unwrap_or_default());
        let mut fresh = Vec::new();
        let piece = window.settle(&guard::Detectors::default(), to == text.len(), &mut fresh);
        streamed.extend(fresh.iter().map(|found| guard::Finding {
            kind: found.kind,
            start: found.start + settled.len(),
            end: found.end + settled.len(),
        }));
        settled.push_str(&piece);
        from = to.max(1);
    }
    assert_eq!((settled.as_str(), streamed), (text, findings));
    let body = serde_json::json!({
        "model": "m", "user": text, "metadata": {"a": text},
        "messages": [
            {"role": "user", "content": text},
            {"role": "assistant", "content": [{"type": "text", "text": text}], "tool_calls": [
                {"id": "1", "function": {"name": "f", "arguments": text}}]},
        ],
    });
    redacts(&body.to_string().into_bytes());
    // The bytes themselves as a request, with whatever escapes they hold.
    redacts(data);
}

fn redacts(body: &[u8]) {
    let Ok(request) = ChatRequest::parse(body) else {
        return;
    };
    let mut edits = Edits::default();
    let found = guard::inspect(body, &request.texts, PiiAction::Redact, &mut edits);
    let mut none = Edits::default();
    let flagged = guard::inspect(body, &request.texts, PiiAction::Flag, &mut none);
    assert_eq!(found.counts, flagged.counts);
    assert!(none.is_empty() && found.edits_made != edits.is_empty());
    let redacted = edits.apply(body);
    let again = ChatRequest::parse(&redacted).expect("redaction keeps a request valid");
    assert_eq!(again.texts.len(), request.texts.len());
    for (old, new) in request.texts.iter().zip(&again.texts) {
        if old.place == Place::ToolArguments && is_document(body, old.span) {
            assert!(is_document(&redacted, new.span), "arguments stay JSON");
        }
    }
}

fn is_document(body: &[u8], inside: Span) -> bool {
    let text = json::unescaped(inside.of(body));
    text.is_some_and(|text| json::document(text.as_bytes()).is_ok())
}

/// Counts are tiktoken's own, also from memory.
pub fn tokens(data: &[u8]) {
    thread_local! {
        static TOKENIZERS: RefCell<Tokenizers> = RefCell::new(Tokenizers::default());
    }
    static REFERENCE: OnceLock<Option<tiktoken_rs::CoreBPE>> = OnceLock::new();
    let text = String::from_utf8_lossy(data);
    let reference = REFERENCE.get_or_init(|| tiktoken_rs::o200k_base().ok());
    TOKENIZERS.with_borrow_mut(|tokenizers| {
        let first = tokenizers.count(Encoding::O200k, &text);
        assert_eq!(
            first,
            tokenizers.count(Encoding::O200k, &text),
            "memory differs"
        );
        // Longer pieces are counted in parts.
        if text.len() <= engine::tokens::PIECE_BYTES_MAX {
            let wanted = reference
                .as_ref()
                .map(|bpe| bpe.encode_ordinary(&text).len() as u64);
            assert_eq!(Some(first), wanted);
        }
        if let Ok(request) = ChatRequest::parse(data) {
            tokenizers.prompt_tokens(Encoding::O200k, &request, data);
        }
    });
}

/// What a guard makes of a stream: what is said, what was found, and whether it was denied.
type Watched = (Vec<u8>, Vec<(guard::Kind, u32)>, bool);

/// A guard over answers reads any events the same however their bytes are cut, and what it says of
/// a document is a document.
pub fn watch(data: &[u8]) {
    let Some((&[form, action], rest)) = data.split_first_chunk() else {
        return;
    };
    let fresh = || {
        let action = PiiAction::ALL
            .get(usize::from(action) % (PiiAction::ALL.len() + 1))
            .copied()
            .filter(|action| *action != PiiAction::Pseudonymize);
        let actions = action.map_or_else(guard::Actions::default, guard::Actions::from);
        let detectors = std::rc::Rc::new(guard::Detectors::default());
        let pseudonyms = PSEUDONYMS.with(Clone::clone);
        let mut watch = guard::AnswerGuard::new(actions, detectors, [7; 32], pseudonyms).of_form(
            match form % 3 {
                0 => guard::AnswerForm::Chat,
                1 => guard::AnswerForm::Messages,
                _ => guard::AnswerForm::Responses,
            },
        );
        if form & 64 != 0 {
            let pattern = PATTERN.get_or_init(|| guard::TextPattern::compile("X-[0-9]{2,9}").ok());
            watch.look_for(pattern.clone().expect("a pattern"), form & 128 != 0);
        }
        watch
    };
    let watched = |chunks: &mut dyn Iterator<Item = &[u8]>| -> Watched {
        let mut watch = fresh();
        let mut out = Vec::new();
        chunks.for_each(|chunk| watch.push(chunk, &mut out));
        watch.end(&mut out);
        (out, watch.take_counts(), watch.denied())
    };
    let (stream, pieces) = pieces(rest);
    let whole = watched(&mut std::iter::once(stream));
    assert_eq!(whole, watched(&mut pieces.into_iter()));
    assert_eq!(whole, watched(&mut stream.chunks(1)));
    let mut watch = fresh();
    let said = watch.document(stream.to_vec());
    if json::document(stream).is_ok() && !watch.denied() {
        assert!(json::document(&said).is_ok(), "a document stays one");
    }
}

thread_local! {
    /// Placeholders: `[EMAIL_1_....]` and `[NAME_1_....]`.
    static PSEUDONYMS: guard::Pseudonyms = {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"ann@example.com"}]}"#;
        let request = ChatRequest::parse(body).expect("a request");
        let mut edits = Edits::default();
        guard::inspect(body, &request.texts, PiiAction::Pseudonymize, &mut edits).pseudonyms
    };
}

static PATTERN: OnceLock<Option<guard::TextPattern>> = OnceLock::new();

/// Rules are read or refused with a member and a sentence; what was read is the same after a journey.
pub fn rules(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    match guard::Guardrails::parse(&value) {
        Ok(rules) => {
            let wire = serde_json::to_vec(&rules).expect("rules are JSON");
            let again: guard::Guardrails = serde_json::from_slice(&wire).expect("rules");
            assert_eq!(again, rules);
        }
        Err(error) => assert!(!error.message.is_empty()),
    }
}

/// A settlement is read or refused; what was read is the same after a journey.
pub fn settlement(data: &[u8]) {
    let Some(settle) = Settle::read(data) else {
        return;
    };
    if settle.records.len() > limits::RECORDS_PER_SETTLE_MAX {
        return;
    }
    let mut parcel = Parcel::default();
    let records = settle.records.iter().cloned();
    records.for_each(|record| parcel.push(record));
    assert_eq!(Settle::read(&parcel.body(&settle.leases)), Some(settle));
}
