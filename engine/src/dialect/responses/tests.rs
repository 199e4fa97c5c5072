use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A stream as OpenAI sends it: of a reasoning model that calls a tool.
const STREAM: &str = concat!(
    "event: response.created\n",
    r#"data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","error":null,"output":[],"usage":null}}"#,
    "\n\nevent: response.in_progress\n",
    r#"data: {"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_1","object":"response","status":"in_progress","error":null,"output":[],"usage":null}}"#,
    "\n\nevent: response.output_item.added\n",
    r#"data: {"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}}"#,
    "\n\nevent: response.reasoning_summary_text.delta\n",
    r#"data: {"type":"response.reasoning_summary_text.delta","sequence_number":3,"item_id":"rs_1","output_index":0,"summary_index":0,"delta":"Hm","obfuscation":"x1"}"#,
    "\n\nevent: response.output_text.delta\n",
    r#"data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":1,"content_index":0,"delta":" \"ế\"\n","logprobs":[],"obfuscation":"abc"}"#,
    "\n\nevent: response.output_item.added\n",
    r#"data: {"type":"response.output_item.added","sequence_number":5,"output_index":2,"item":{"id":"fc_1","type":"function_call","status":"in_progress","arguments":"","call_id":"call_1","name":"weather"}}"#,
    "\n\nevent: response.function_call_arguments.delta\n",
    r#"data: {"type":"response.function_call_arguments.delta","sequence_number":6,"item_id":"fc_1","output_index":2,"delta":"{}","obfuscation":"q"}"#,
    "\n\nevent: response.function_call_arguments.done\n",
    r#"data: {"type":"response.function_call_arguments.done","sequence_number":7,"item_id":"fc_1","output_index":2,"arguments":"{}"}"#,
    "\n\nevent: response.completed\n",
    r#"data: {"type":"response.completed","sequence_number":8,"response":{"id":"resp_1","object":"response","status":"completed","error":null,"output":[],"usage":{"input_tokens":75,"input_tokens_details":{"cached_tokens":64,"cache_write_tokens":1},"output_tokens":1186,"output_tokens_details":{"reasoning_tokens":1024},"total_tokens":1261},"user":null}}"#,
    "\n\n",
);

const USAGE: Usage = Usage {
    input: 75,
    cached_input: 64,
    cache_write: 1,
    output: 1186,
    reasoning: 1024,
};

#[derive(Debug, PartialEq)]
struct Outcome {
    finished: bool,
    failed: bool,
    reported: bool,
    usage: Option<Usage>,
    text: String,
    cut_event: Vec<u8>,
}

fn metered(chunks: &[&[u8]]) -> Outcome {
    let mut meter = Meter::default();
    let mut text = String::new();
    for chunk in chunks {
        meter.push(chunk);
        assert_eq!(
            meter.text_bytes(),
            meter.clone().take_text().unwrap_or_default().len()
        );
        text.extend(meter.take_text());
    }
    let cut_event = meter.cut_event(Code::UpstreamStreamInterrupted);
    meter.end();
    assert_eq!(
        meter
            .cut_event(Code::UpstreamStreamInterrupted)
            .starts_with(b"\n"),
        cut_event.starts_with(b"\n")
    );
    text.extend(meter.take_text());
    Outcome {
        finished: meter.finished(),
        failed: meter.failed(),
        reported: meter.reported(),
        usage: meter.usage(),
        text,
        cut_event,
    }
}

fn status(stream: &str, end: bool) -> Option<u16> {
    match first_event(stream.as_bytes(), end) {
        FirstEvent::NeedMore => Some(0),
        FirstEvent::Good => None,
        FirstEvent::Failed { status, body } => {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert!(body["error"]["message"].is_string() && body["error"]["type"] != "error");
            Some(status)
        }
    }
}

#[test]
fn a_whole_stream_is_metered() {
    let seen = metered(&[STREAM.as_bytes()]);
    assert!(seen.finished && !seen.failed);
    assert_eq!(seen.usage, Some(USAGE));
    assert_eq!(seen.text, "Hm \"ế\"\nweather{}");
    // The last blank line may be missing.
    let seen = metered(&[STREAM.trim_end().as_bytes()]);
    assert_eq!((seen.finished, seen.usage), (true, Some(USAGE)));
}

#[test]
fn a_stream_without_its_end_is_broken() {
    for (end, _) in STREAM.match_indices('\n') {
        let part = STREAM.get(..end).unwrap();
        let seen = metered(&[part.as_bytes()]);
        let is_whole = part.contains("response.completed\",") && part.trim_end().ends_with("}}");
        assert_eq!(seen.finished, is_whole, "{part}");
        assert_eq!((seen.failed, seen.reported), (!is_whole, false));
    }
}

#[test]
fn a_cut_stream_is_ended_with_an_error() {
    let lines: Vec<&str> = STREAM.split_inclusive("\n\n").collect();
    let three = lines.get(..3).unwrap().concat();
    for (part, blank) in [
        (three.clone(), false),
        (format!("{three}event: respo"), true),
    ] {
        let event = metered(&[part.as_bytes()]).cut_event;
        let event = String::from_utf8(event).unwrap();
        assert_eq!(event.starts_with("\n\n"), blank);
        let data = event
            .trim_start()
            .strip_prefix("event: error\ndata: ")
            .unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["sequence_number"], 3);
        assert_eq!(data["code"], "upstream_stream_interrupted");
        assert_eq!(data["error"]["code"], data["code"]);
        assert_eq!(data["error"]["message"], data["message"]);
    }
}

#[test]
fn failures_are_seen() {
    for end in [
        r#"{"type":"error","code":"server_error","message":"m","param":null,"sequence_number":9}"#,
        r#"{"type":"error","sequence_number":9,"error":{"type":"server_error","message":"m"}}"#,
        r#"{"error":{"type":"server_error","message":"m"}}"#,
        r#"{"type":"response.failed","sequence_number":9,"response":{"status":"failed","error":{"code":"server_error","message":"m"},"usage":{"input_tokens":75,"output_tokens":2}}}"#,
    ] {
        let part = STREAM.split("event: response.completed").next().unwrap();
        let stream = format!("{part}data: {end}\n\ndata: {{\"type\":\"response.completed\"}}\n\n");
        let seen = metered(&[stream.as_bytes()]);
        assert!(seen.failed && seen.reported && !seen.finished, "{end}");
        assert_eq!(seen.usage.is_some(), end.contains("usage"));
    }
}

#[test]
fn an_incomplete_response_has_finished() {
    let stream = STREAM.replace("response.completed", "response.incomplete");
    let seen = metered(&[stream.as_bytes()]);
    assert_eq!((seen.finished, seen.usage), (true, Some(USAGE)));
}

#[test]
fn events_of_any_length_are_metered() {
    let output = "a\\\"usage\\\":{".repeat(400_000);
    let long = STREAM
        .replace(
            r#""output":[],"usage":{"#,
            &format!(r#""output":["{output}"],"usage" : {{"#),
        )
        .replace(r#""usage" :"#, r#""usage": "#);
    let image = "b".repeat(3 * 1024 * 1024);
    let event = format!(
        "data: {{\"type\":\"response.image_generation_call.partial_image\",\"sequence_number\":5,\"partial_image_b64\":\"{image}\"}}\n\n"
    );
    let stream = long.replacen(
        "event: response.output_text",
        &format!("{event}event: response.output_text"),
        1,
    );
    assert!(stream.len() > 6 * EVENT_BYTES_MAX);
    for size in [stream.len(), 16_384, 65_537] {
        let chunks: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
        let seen = metered(&chunks);
        assert_eq!((seen.finished, seen.usage), (true, Some(USAGE)), "{size}");
        assert_eq!(seen.text, "Hm \"ế\"\nweather{}");
    }
}

#[test]
fn pending_bytes_are_those_of_the_unfinished_event() {
    let mut meter = Meter::default();
    let mut whole = 0;
    for (at, byte) in STREAM.bytes().enumerate() {
        meter.push(&[byte]);
        let so_far = STREAM.get(..=at).unwrap_or_default();
        if so_far.ends_with("\n\n") {
            whole = at + 1;
        }
        if !meter.finished() && STREAM.is_char_boundary(at + 1) {
            assert_eq!(meter.pending(), at + 1 - whole);
        }
    }
    let mut meter = Meter::default();
    let long = format!("data: {}", "x".repeat(2 * EVENT_BYTES_MAX));
    meter.push(b"data: {}\n\n");
    meter.push(long.as_bytes());
    assert_eq!(meter.pending(), long.len());
    meter.push(b"\n");
    assert_eq!(meter.pending(), long.len() + 1);
    meter.push(b"\n");
    assert_eq!((meter.pending(), meter.failed()), (0, false));
}

#[test]
fn the_first_event_decides() {
    let begun: String = STREAM.split_inclusive("\n\n").take(2).collect();
    assert_eq!(status(&begun, false), Some(0));
    assert_eq!(status(&begun, true), Some(502));
    assert_eq!(status("", true), Some(502));
    assert_eq!(status(": ping\n\ndata: [DONE]\n\n", false), Some(0));
    assert_eq!(status(STREAM, false), None);
    assert_eq!(
        status(
            &format!("{begun}data: {{\"type\":\"response.completed\"}}\n\n"),
            false
        ),
        None
    );
    for (event, expect) in [
        (
            r#"{"type":"error","code":"rate_limit_exceeded","message":"m","param":null}"#,
            429,
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"m"}}"#,
            400,
        ),
        (
            r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"m"}}}"#,
            500,
        ),
        (
            r#"{"type":"response.failed","response":{"error":{"code":"invalid_image_url","message":"m"}}}"#,
            400,
        ),
        (r#"{"type":"response.failed","response":{}}"#, 502),
        (r#"{"error":{"message":"m","type":"server_error"}}"#, 500),
        (r#"{"choices":[{"delta":{}}]}"#, 502),
        (r#"{"cut"#, 502),
    ] {
        assert_eq!(
            status(&format!("data: {event}\n\n"), false),
            Some(expect),
            "{event}"
        );
        assert_eq!(
            status(&format!("{begun}data: {event}\n\n"), false),
            Some(expect),
            "{event}"
        );
    }
    let bare = r#"{"error":{"message":"m","type":"invalid_request_error"}}"#;
    assert_eq!(status(bare, false), Some(400));
    assert_eq!(status(r#"{"object":"response""#, false), Some(0));
    assert_eq!(status(r#"{"object":"response"}"#, true), Some(502));
    // What repeats a long request has begun.
    let long = begun.replacen(
        "\"output\":[]",
        &format!("\"instructions\":\"{}\"", "a".repeat(EVENT_BYTES_MAX)),
        1,
    );
    assert_eq!(status(&long, false), None);
    assert_eq!(status(&"x".repeat(EVENT_BYTES_MAX + 1), false), Some(502));
}

#[test]
fn answers_are_read_and_stay_as_they_are() {
    let response = json!({"object": "response", "status": "completed", "error": null, "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "message", "content": [{"type": "output_text", "text": " a"}, {"type": "refusal", "refusal": "b"}]},
        {"type": "function_call", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "name": "g", "input": "x"}],
        "usage": {"input_tokens": 3, "output_tokens": 4}});
    let body = serde_json::to_vec_pretty(&response).unwrap();
    let answer = decode_answer(body.clone()).unwrap();
    assert_eq!((answer.body, answer.text.as_str()), (body, ""));
    assert_eq!(
        answer.usage.map(|usage| (usage.input, usage.output)),
        Some((3, 4))
    );

    let mut unmetered = response.clone();
    unmetered["usage"] = Value::Null;
    let answer = decode_answer(unmetered.to_string().into_bytes()).unwrap();
    assert_eq!((answer.usage, answer.text.as_str()), (None, "Hm abf{}gx"));

    let mut background = response.clone();
    background["status"] = "queued".into();
    assert!(decode_answer(background.to_string().into_bytes()).is_ok());
    for body in [
        "",
        "[]",
        "{}",
        r#"{"object":"chat.completion","choices":[]}"#,
    ] {
        assert_eq!(
            decode_answer(body.as_bytes().to_vec()),
            Err(DecodeError::Invalid),
            "{body}"
        );
    }
    for (error, expect) in [
        (json!({"code": "server_error", "message": "m"}), 500),
        (json!({"code": "rate_limit_exceeded", "message": "m"}), 429),
        (json!({"code": "invalid_prompt", "message": "m"}), 400),
    ] {
        let mut failed = response.clone();
        (failed["status"], failed["error"]) = ("failed".into(), error);
        match decode_answer(failed.to_string().into_bytes()) {
            Err(DecodeError::Reported(error)) => assert_eq!(error.status, expect),
            other => panic!("{other:?}"),
        }
    }
}

/// What this gateway itself writes in the format is read as any provider's.
#[test]
fn our_own_streams_are_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/ingress/responses/streams");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".events.sse") {
            continue;
        }
        count += 1;
        let stream = fs::read_to_string(&path).unwrap();
        let seen = metered(&[stream.as_bytes()]);
        let failed = stream.contains("event: error\n");
        assert_eq!((seen.failed, seen.finished), (failed, !failed), "{name}");
        assert_eq!(seen.reported, failed, "{name}");
        assert_eq!(
            seen.usage.is_some(),
            stream.contains("\"input_tokens\":"),
            "{name}"
        );
    }
    assert!(count > 15, "the goldens are gone");
}

proptest! {
    #[test]
    fn any_split_gives_the_same(cuts in prop::collection::vec(0usize..4000, 0..8), flip in prop::option::of(0usize..4000)) {
        let mut stream = STREAM.as_bytes().to_vec();
        if let Some(byte) = flip.and_then(|at| stream.get_mut(at)) {
            *byte ^= 4;
        }
        let whole = metered(&[&stream]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut start = 0;
        let chunks: Vec<&[u8]> = cuts
            .into_iter()
            .map(|cut| &stream[std::mem::replace(&mut start, cut)..cut])
            .collect();
        prop_assert_eq!(&metered(&chunks), &whole);
        prop_assert_eq!(&metered(&stream.chunks(1).collect::<Vec<_>>()), &whole);
        prop_assert!(whole.failed != whole.finished);
    }

    #[test]
    fn no_bytes_can_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        metered(&[&bytes]);
        let _ = decode_answer(bytes.clone());
        let _ = first_event(&bytes, true);
    }
}
