//! Native streams and documents: what is not a finding passes as it came.

use super::*;

fn of(form: AnswerForm, action: &str, pseudonyms: Pseudonyms) -> AnswerGuard {
    guard(&all(action), pseudonyms).of_form(form)
}

fn event(data: &Value) -> String {
    let kind = data["type"].as_str().expect("type");
    format!("event: {kind}\ndata: {data}\n\n")
}

fn pieces(text: &str, size: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(size).map(|it| it.iter().collect()).collect()
}

/// A message that thinks, speaks with a citation, and calls a tool.
fn message(size: usize) -> String {
    let mut stream = event(&json!({"type": "message_start", "message": {"id": "msg_1",
        "type": "message", "role": "assistant", "model": "claude", "content": [],
        "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 3, "cache_creation_input_tokens": 7, "output_tokens": 1}}}));
    let blocks = [
        (
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            "thinking",
        ),
        (json!({"type": "text", "text": "", "citations": []}), "text"),
        (
            json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}),
            "partial_json",
        ),
    ];
    let kinds = ["thinking_delta", "text_delta", "input_json_delta"];
    let arguments = "{\"mail\":\"ann\\u0040example.com\",\"ssn\":536221234,\"q\":\"a\\\"b\"}";
    let texts = ["so ann@example.com", TEXT, arguments];
    for (index, ((block, member), text)) in blocks.into_iter().zip(texts).enumerate() {
        stream.push_str(&event(
            &json!({"type": "content_block_start", "index": index,
            "content_block": block}),
        ));
        for piece in pieces(text, size) {
            let mut delta = json!({"type": kinds[index]});
            delta[member] = json!(piece);
            stream.push_str(&event(
                &json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ));
        }
        let more = match index {
            0 => json!({"type": "signature_delta", "signature": "EqQBann@example"}),
            1 => json!({"type": "citations_delta", "citation": {"type": "char_location",
                "cited_text": "mail bob@example.org", "document_index": 0}}),
            _ => json!({"type": "input_json_delta", "partial_json": ""}),
        };
        stream.push_str(&event(
            &json!({"type": "content_block_delta", "index": index, "delta": more}),
        ));
        stream.push_str(&event(
            &json!({"type": "content_block_stop", "index": index}),
        ));
        stream.push_str(": keep\n\n");
    }
    stream.push_str(&event(
        &json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"},
        "usage": {"output_tokens": 9, "server_tool_use": {"web_search_requests": 2}}}),
    ));
    stream.push_str(&event(&json!({"type": "message_stop"})));
    stream
}

fn events(stream: &[u8]) -> Vec<Value> {
    let stream = std::str::from_utf8(stream).expect("UTF-8");
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).expect("JSON"))
        .collect()
}

fn bytes(mut guard: AnswerGuard, pieces: &[&[u8]]) -> (Vec<u8>, AnswerGuard) {
    let mut out = Vec::new();
    for piece in pieces {
        guard.push(piece, &mut out);
    }
    guard.end(&mut out);
    (out, guard)
}

/// The texts of a message's blocks, put together as a client does.
fn blocks(events: &[Value]) -> Vec<String> {
    let mut blocks = vec![String::new(); 4];
    for event in events {
        let Some(index) = event["index"].as_u64() else {
            continue;
        };
        for name in ["thinking", "text", "partial_json"] {
            let text = event["delta"][name].as_str().unwrap_or_default();
            blocks[usize::try_from(index).expect("small")].push_str(text);
        }
    }
    blocks
}

#[test]
fn a_message_is_rewritten_in_place() {
    let wanted = crate::guard::redact(TEXT).expect("findings");
    for size in 1..40 {
        let stream = message(size);
        let fresh = of(AnswerForm::Messages, "redact", Pseudonyms::default());
        let (out, mut guard) = bytes(fresh, &[stream.as_bytes()]);
        let events = events(&out);
        let blocks = blocks(&events);
        assert_eq!(blocks[0], "so [EMAIL_REDACTED]", "{size}");
        assert_eq!(blocks[1], wanted, "{size}");
        assert_eq!(
            blocks[2],
            "{\"mail\":\"[EMAIL_REDACTED]\",\"ssn\":\"[SSN_REDACTED]\",\"q\":\"a\\\"b\"}"
        );
        let out = String::from_utf8(out).expect("UTF-8");
        for kept in [
            "\"cache_creation_input_tokens\":7",
            "\"signature\":\"EqQBann@example\"",
            "\"cited_text\":\"mail [EMAIL_REDACTED]\"",
            "\"web_search_requests\":2",
            ": keep\n\n",
        ] {
            assert!(out.contains(kept), "{kept}: {out}");
        }
        assert_eq!(guard.open_block(), None);
        let counts = guard.take_counts();
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u32>(), 12);
    }
}

#[test]
fn a_native_stream_without_findings_passes_byte_for_byte() {
    let plain = message(5).replace("ann", "").replace("4111", "");
    for form in [AnswerForm::Messages, AnswerForm::Responses] {
        let fresh = guard(
            &json!([{"type": "pii_detection", "action": "redact", "types": ["IBAN"]}]),
            Pseudonyms::default(),
        );
        let (out, _) = bytes(fresh.of_form(form), &[plain.as_bytes()]);
        let held = String::from_utf8(out.clone()).expect("UTF-8");
        assert_eq!(
            blocks(&events(&out)),
            blocks(&events(plain.as_bytes())),
            "{held}"
        );
    }
}

#[test]
fn native_bytes_can_be_cut_anywhere() {
    let (pseudonyms, sent) = pseudonyms("mail ann@example.com");
    let placeholder = sent.strip_prefix("mail ").expect("placeholder");
    let streams = [
        (
            AnswerForm::Messages,
            message(7).replace("that is all", placeholder),
        ),
        (AnswerForm::Responses, response(7, placeholder)),
    ];
    for (form, stream) in streams {
        for action in ["mask", "deny"] {
            let whole = stream.as_bytes();
            let (wanted, _) = bytes(of(form, action, pseudonyms.clone()), &[whole]);
            for cut in (0..whole.len()).step_by(13) {
                let pieces = [&whole[..cut], &whole[cut..]];
                let (out, _) = bytes(of(form, action, pseudonyms.clone()), &pieces);
                assert!(out == wanted, "{form:?} {action} {cut}");
            }
        }
    }
}

/// A response that speaks and calls, and repeats everything at its end.
fn response(size: usize, placeholder: &str) -> String {
    let text = format!("{TEXT} {placeholder}");
    let arguments = "{\"to\":\"ann@example.com\"}";
    let mut number = 0;
    let mut stream = String::new();
    let mut add = |mut data: Value| {
        data["sequence_number"] = json!(number);
        number += 1;
        stream.push_str(&event(&data));
    };
    let head = json!({"id": "resp_1", "object": "response", "status": "in_progress",
        "instructions": format!("Write to {placeholder} or bob@example.org"), "output": [],
        "reasoning": {"effort": "low"}});
    add(json!({"type": "response.created", "response": head}));
    let part = json!({"type": "output_text", "text": "", "annotations": []});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "content": []});
    add(json!({"type": "response.output_item.added", "output_index": 0, "item": message}));
    add(
        json!({"type": "response.content_part.added", "item_id": "msg_1", "output_index": 0,
        "content_index": 0, "part": part}),
    );
    for piece in pieces(&text, size) {
        add(
            json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": piece, "logprobs": [{"token": piece}]}),
        );
    }
    let note = json!({"type": "url_citation", "url": "https://example.com/?q=ann@example.com",
        "title": "T", "start_index": 1, "end_index": 2});
    add(
        json!({"type": "response.output_text.annotation.added", "item_id": "msg_1",
        "output_index": 0, "content_index": 0, "annotation_index": 0, "annotation": note}),
    );
    add(
        json!({"type": "response.output_text.done", "item_id": "msg_1", "output_index": 0,
        "content_index": 0, "text": text, "logprobs": []}),
    );
    let part = json!({"type": "output_text", "text": text, "annotations": [note]});
    add(
        json!({"type": "response.content_part.done", "item_id": "msg_1", "output_index": 0,
        "content_index": 0, "part": part}),
    );
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant",
        "content": [part]});
    add(json!({"type": "response.output_item.done", "output_index": 0, "item": message}));
    let call = json!({"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f",
        "arguments": ""});
    add(json!({"type": "response.output_item.added", "output_index": 1, "item": call}));
    for piece in pieces(arguments, size) {
        add(
            json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1",
            "output_index": 1, "delta": piece}),
        );
    }
    add(
        json!({"type": "response.function_call_arguments.done", "item_id": "fc_1",
        "output_index": 1, "arguments": arguments}),
    );
    let call = json!({"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f",
        "arguments": arguments});
    add(json!({"type": "response.output_item.done", "output_index": 1, "item": call}));
    let mut head = head;
    head["status"] = json!("completed");
    head["output"] = json!([message, call]);
    head["usage"] = json!({"input_tokens": 1, "input_tokens_details": {"cached_tokens": 1}});
    add(json!({"type": "response.completed", "response": head}));
    stream
}

#[test]
fn a_response_is_rewritten_wherever_it_repeats_itself() {
    let (pseudonyms, sent) = pseudonyms("mail ann@example.com");
    let placeholder = sent.strip_prefix("mail ").expect("placeholder");
    let redacted = crate::guard::redact(TEXT).expect("findings");
    let wanted = format!("{redacted} ann@example.com");
    for size in 1..40 {
        let stream = response(size, placeholder);
        let fresh = of(AnswerForm::Responses, "redact", pseudonyms.clone());
        let (out, mut guard) = bytes(fresh, &[stream.as_bytes()]);
        let events = events(&out);
        let texts: String = events
            .iter()
            .filter(|event| event["type"] == "response.output_text.delta")
            .filter_map(|event| event["delta"].as_str())
            .collect();
        assert_eq!(texts, wanted, "{size}");
        let of_kind = |kind: &str| {
            let mut found = events.iter().filter(|event| event["type"] == kind);
            found.next_back().cloned().expect("event")
        };
        assert_eq!(of_kind("response.output_text.done")["text"], wanted);
        assert_eq!(
            of_kind("response.content_part.done")["part"]["text"],
            wanted
        );
        let completed = &of_kind("response.completed")["response"];
        assert_eq!(completed["output"][0]["content"][0]["text"], wanted);
        assert_eq!(
            completed["output"][1]["arguments"],
            "{\"to\":\"[EMAIL_REDACTED]\"}"
        );
        assert_eq!(
            completed["usage"]["input_tokens_details"]["cached_tokens"],
            1
        );
        // The client's own words come back as it said them.
        assert_eq!(
            completed["instructions"],
            "Write to ann@example.com or bob@example.org"
        );
        let note = &completed["output"][0]["content"][0]["annotations"][0];
        assert_eq!(note["url"], "https://example.com/?q=[EMAIL_REDACTED]");
        for (place, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], json!(place), "{event}");
            if event["type"] == "response.output_text.delta" {
                assert_eq!(event["logprobs"], json!([]));
            }
        }
        // Repetitions are not counted: eight kinds in the text, the address in the arguments and
        // the one of the citation.
        let counts = guard.take_counts();
        assert_eq!(
            counts.iter().map(|(_, count)| count).sum::<u32>(),
            10,
            "{size}"
        );
    }
}

#[test]
fn native_documents_are_rewritten_in_place() {
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "content": [
        {"type": "thinking", "thinking": "of ann@example.com", "signature": "s1g"},
        {"type": "text", "text": "to ann@example.com", "citations": [{"type": "char_location",
            "cited_text": "x", "document_index": 0}]},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"ssn": 536_221_234, "n": 7}}],
        "usage": {"cache_read_input_tokens": 5}});
    let mut guard = of(AnswerForm::Messages, "redact", Pseudonyms::default());
    let out = guard.document(body.to_string().into_bytes());
    let wanted = body
        .to_string()
        .replace("ann@example.com", "[EMAIL_REDACTED]")
        .replace("536221234", "\"[SSN_REDACTED]\"");
    assert_eq!(String::from_utf8(out).expect("UTF-8"), wanted);
    let body = json!({"id": "resp_1", "object": "response", "instructions": "ann@example.com",
        "output": [{"type": "reasoning", "id": "rs_ann@example.com", "summary": [
            {"type": "summary_text", "text": "ann@example.com"}], "encrypted_content": "QUJD"},
        {"type": "image_generation_call", "result": "ann@example.com"}]});
    let mut guard = of(AnswerForm::Responses, "redact", Pseudonyms::default());
    let out = guard.document(body.to_string().into_bytes());
    let wanted = body.to_string().replace(
        "\"text\":\"ann@example.com\"",
        "\"text\":\"[EMAIL_REDACTED]\"",
    );
    assert_eq!(String::from_utf8(out).expect("UTF-8"), wanted);
}

#[test]
fn what_is_signed_keeps_its_placeholders() {
    let (pseudonyms, sent) = pseudonyms("mail ann@example.com");
    let body = json!({"content": [{"type": "thinking", "thinking": sent, "signature": "s"},
        {"type": "text", "text": sent}]});
    let mut guard = guard(&json!([]), pseudonyms).of_form(AnswerForm::Messages);
    let out = guard.document(body.to_string().into_bytes());
    let out: Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(out["content"][0]["thinking"], sent);
    assert_eq!(out["content"][1]["text"], "mail ann@example.com");
}

#[test]
fn a_denied_native_stream_ends_before_the_finding() {
    for (form, stream) in [
        (AnswerForm::Messages, message(3)),
        (AnswerForm::Responses, response(3, "x")),
    ] {
        let (out, guard) = bytes(
            of(form, "deny", Pseudonyms::default()),
            &[stream.as_bytes()],
        );
        assert!(guard.denied());
        let out = String::from_utf8(out).expect("UTF-8");
        assert!(
            !out.contains("example.com") && !out.contains("message_stop"),
            "{out}"
        );
        assert!(!out.contains("response.completed"), "{out}");
    }
    let text = json!({"type": "message_start", "message": {"content": []}});
    let long = format!("data: {{\"a\":\"{}\"}}\n\n", "a".repeat(2 * 1024 * 1024));
    let fresh = of(AnswerForm::Messages, "redact", Pseudonyms::default());
    let (_, guard) = bytes(fresh, &[event(&text).as_bytes(), long.as_bytes()]);
    assert!(guard.denied(), "what cannot be read is not shown");
}

/// Arguments that are no JSON are read as any text, from where they are none.
#[test]
fn arguments_are_read_as_their_reader_sees_them() {
    for (came, wanted) in [
        (
            "{\"a\":\"\\u0061nn@example.com \\ud83d\\ude00\"}",
            "{\"a\":\"[EMAIL_REDACTED] \\ud83d\\ude00\"}",
        ),
        (
            "{\"n\":-536221234.5, \"x\":1}",
            "{\"n\":-536221234.5, \"x\":1}",
        ),
        ("{\"ssn\": 536221234 }", "{\"ssn\": \"[SSN_REDACTED]\" }"),
        ("call +84 912 345 678 now", "call [PHONE_REDACTED] now"),
        ("{'ssn': '536-22-1234'}", "{'ssn': '[SSN_REDACTED]'}"),
        (
            "{\"a\":1} call +84 912 345 678",
            "{\"a\":1} call [PHONE_REDACTED]",
        ),
        (
            "{\"password\":\"Tr0ub4dor&3\"}",
            "{\"password\":\"[SECRET_REDACTED]\"}",
        ),
        ("{\"a\":\"cut \\u00", "{\"a\":\"cut \\u00"),
        (
            "{\"a\":[\"x\",{\"b\":null}],\"c\":true}",
            "{\"a\":[\"x\",{\"b\":null}],\"c\":true}",
        ),
    ] {
        for size in 1..came.len() {
            let mut guard = guard(&all("redact"), Pseudonyms::default());
            let mut field = Field::whole(slots::Part::Function);
            let mut said = String::new();
            for piece in pieces(came, size) {
                said.push_str(&guard.watch.say(&mut field, &piece, false));
            }
            said.push_str(&guard.watch.say(&mut field, "", true));
            assert_eq!(said, wanted, "{size}");
        }
    }
}
