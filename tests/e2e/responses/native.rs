//! Providers that speak responses themselves: what passes is theirs.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_pass_to_who_speaks_them() {
    let gateway = Arc::new(Gateway::start(setup()).await);
    run_cases!(
        gateway,
        [
            a_native_answer_is_the_providers_own,
            a_native_stream_passes_unchanged,
            a_native_call_keeps_what_only_openai_knows,
            a_native_stream_that_breaks_off_is_an_error,
            a_native_failure_falls_over,
            personal_data_is_redacted_natively,
        ]
    );
}

async fn personal_data_is_redacted_natively(gateway: Arc<Gateway>) {
    redacted(&gateway, NATIVE).await;
}

async fn a_native_answer_is_the_providers_own(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = json!({"model": NATIVE, "input": format!("{mark} {}", saying("Chào").directive())});
    let answer = ask(&gateway, &body).await;
    answer.good();
    let response = answer.json();
    assert_eq!(text_of(&response), "Chào");
    assert_eq!(response["usage"]["input_tokens"], 40);
    // 32 at 1, 8 at 0.5 and 9 at 4 dollars per million.
    assert!(
        (answer.number("x-weir-cost-usd") - 0.000_072).abs() < 1e-9,
        "{answer}"
    );
    let seen = seen_of(&gateway, &mark).await;
    assert_eq!(seen.path, "/native/v1/responses");
    assert_eq!(seen.header("authorization"), Some("Bearer sk-native"));
    assert_eq!(seen.json()["model"], "gpt-5");
}

async fn a_native_stream_passes_unchanged(gateway: Arc<Gateway>) {
    let mark = marker();
    let body = json!({
        "model": NATIVE, "stream": true,
        "input": format!("{mark} {}", saying("a bb ccc").directive()),
    });
    let answer = ask(&gateway, &body).await;
    answer.good();
    let events = events(&answer);
    assert_eq!(kinds(&events).last(), Some(&"response.completed"));
    assert_eq!(
        text_of(&events.last().expect("end")["response"]),
        "a bb ccc"
    );
    let cost = answer.metadata()["cost_usd"].as_f64().expect("cost");
    assert!((cost - 0.000_072).abs() < 1e-9, "{answer}");
}

async fn a_native_call_keeps_what_only_openai_knows(gateway: Arc<Gateway>) {
    let first = ask(&gateway, &json!({"model": NATIVE, "input": "first"})).await;
    first.good();
    let mark = marker();
    let body = json!({
        "model": NATIVE, "previous_response_id": first.json()["id"], "store": true,
        "input": [
            {"role": "user", "content": mark},
            // Sealed here for another provider in an earlier turn.
            {"type": "reasoning", "id": "rs_1", "summary": [],
             "encrypted_content": "{\"thinking_blocks\":[{\"type\":\"thinking\",\"signature\":\"eA==\"}]}"},
        ],
        "tools": [{"type": "web_search"}], "truncation": "auto",
    });
    let answer = ask(&gateway, &body).await;
    answer.good();
    let seen = seen_of(&gateway, &mark).await.json();
    for name in ["previous_response_id", "store", "tools", "truncation"] {
        assert_eq!(seen[name], body[name], "{seen:#}");
    }
    assert_eq!(seen["input"].as_array().map(Vec::len), Some(1), "{seen:#}");
}

async fn a_native_stream_that_breaks_off_is_an_error(gateway: Arc<Gateway>) {
    for ending in [Ending::Close, Ending::Cut, Ending::Reset] {
        let behaviour = Behaviour {
            ending,
            after_chunks: 2,
            ..saying("one two three four")
        };
        let body = json!({"model": NATIVE, "stream": true, "input": behaviour.directive()});
        let answer = ask(&gateway, &body).await;
        assert_eq!(answer.status, 200, "{answer}");
        let kinds_seen = answer.text();
        assert!(!kinds_seen.contains("response.completed"), "{answer}");
        if ending == Ending::Close {
            let events = events(&answer);
            let error = events.last().expect("error");
            assert_eq!(error["type"], "error", "{answer}");
            assert_eq!(
                error["error"]["code"], "upstream_stream_interrupted",
                "{answer}"
            );
        } else {
            assert!(
                answer.broken || kinds_seen.contains("event: error"),
                "{answer}"
            );
        }
    }
    let behaviour = Behaviour {
        error_after: Some(2),
        ..saying("one two three four")
    };
    let body = json!({"model": NATIVE, "stream": true, "input": behaviour.directive()});
    let answer = ask(&gateway, &body).await;
    answer.good();
    let text = answer.text();
    // The provider's own words, and none of ours behind them.
    assert!(!text.contains("upstream_stream_interrupted"), "{answer}");
    assert!(
        text.contains("response.failed") || text.contains("event: error"),
        "{answer}"
    );
}

async fn a_native_failure_falls_over(gateway: Arc<Gateway>) {
    let config = json!({
        "strategy": {"mode": "fallback"},
        "targets": [
            {"provider": "native", "override_params": {"model": "gpt-5"}},
            {"provider": "openai", "override_params": {"model": "gpt-4o-mini"}},
        ],
    });
    let mark = marker();
    let failing = Behaviour {
        error_after: Some(0),
        ..Behaviour::default()
    };
    gateway.provider.next(1, &mark, failing).await;
    let body = json!({"model": "gpt-5", "stream": true, "input": mark});
    let answer = post(&gateway, &body).config(&config).send().await;
    answer.good();
    let events = events(&answer);
    assert_eq!(
        kinds(&events).last(),
        Some(&"response.completed"),
        "{answer}"
    );
    let seen = gateway.provider.requests(&mark).await;
    assert_eq!(seen.len(), 2, "{seen:#?}");
    assert_eq!(seen[1].path, "/v1/chat/completions");
}
