//! Judges of texts behind an Envoy cluster: what they say, every way they can fail, and who may make
//! them work at all.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use e2e::artefact;
use e2e::behaviour::{Behaviour, Ending, Script};
use e2e::client::{Answer, marker, prompt};
use e2e::gateway::Gateway;
use e2e::run_cases;
use e2e::setup::Setup;
use serde_json::{Value, json};

const MODEL: &str = "gpt-4o-mini";
const SECRET: &str = "whsec-of-the-judge";
/// What the judges of the tests may take.
const TIMEOUT_MS: u64 = 800;

/// The webhook, a process of its own.
struct Webhook {
    process: Child,
    url: String,
}

static PLACE: OnceLock<String> = OnceLock::new();

impl Webhook {
    fn start() -> Webhook {
        let script = artefact::root().join("tests/python/webhook_judge.py");
        let mut process = Command::new(artefact::python())
            .arg(script)
            .arg(SECRET)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the webhook");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("stdout");
        BufReader::new(stdout).read_line(&mut line).expect("a port");
        Webhook {
            process,
            url: format!("http://127.0.0.1:{}", line.trim()),
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn seen(gateway: &Gateway, text: &str) -> Vec<Value> {
    let url = PLACE.get().expect("a webhook");
    let answer = gateway.http.get(format!("{url}/seen?{text}")).send().await;
    let body = answer.expect("an answer").text().await.expect("a body");
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn judges_are_asked() {
    let webhook = Webhook::start();
    PLACE.set(webhook.url.clone()).expect("one test");
    let url = webhook.url.clone();
    let setup = Setup::default().with(move |config| {
        let webhook = |name: &str, on_error: &str| {
            json!({"name": name, "kind": "webhook", "url": format!("{url}/judge"),
                "secret": SECRET, "timeout_ms": TIMEOUT_MS, "on_error": on_error})
        };
        let model = |name: &str, kind: &str, on_error: &str| {
            json!({"name": name, "kind": kind, "provider": "openai", "model": format!("{name}-m"),
                "timeout_ms": TIMEOUT_MS, "on_error": on_error})
        };
        config["judges"] = json!([
            webhook("webhook", "closed"),
            webhook("webhook-open", "open"),
            model("moderations", "moderations", "closed"),
            model("moderations-open", "moderations", "open"),
            model("chat", "chat", "closed"),
            model("chat-open", "chat", "open"),
        ]);
    });
    let gateway = Arc::new(Gateway::start(setup).await);
    run_cases!(
        gateway,
        [
            a_webhook_judges_both_directions,
            a_webhook_that_fails,
            models_that_fail,
            who_is_refused_makes_no_judge_work,
            what_is_judged_away_is_given_back,
            a_cached_answer_is_judged_too,
            rules_of_keys_name_what_is_there,
        ]
    );
}

fn safety(judge: &str) -> Value {
    json!({"type": "content_safety", "threshold": 0.5, "judge": judge})
}

fn on(direction: &str, judge: &str) -> Value {
    json!({"guardrails": {direction: [safety(judge)]}})
}

#[track_caller]
fn objects(answer: &Answer, what: &str) {
    answer.refused(400, "guardrail_violation");
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains(what), "{answer}");
}

async fn a_webhook_judges_both_directions(gateway: Arc<Gateway>) {
    let mark = marker();
    let good = prompt(MODEL, &format!("{mark} judge:good"));
    gateway
        .chat(&good)
        .config(&on("input", "webhook"))
        .send()
        .await
        .good();
    let asked = seen(&gateway, &mark).await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0]["on"], "input");
    assert_eq!(asked[0]["signed"], true, "{asked:?}");
    assert_eq!(asked[0]["path"], "/judge");
    for (kind, what) in [
        ("bad", "content_safety (cruelty)"),
        ("flagged", "content_safety"),
    ] {
        let body = prompt(MODEL, &format!("judge:{kind}"));
        let refused = gateway
            .chat(&body)
            .config(&on("input", "webhook"))
            .send()
            .await;
        objects(&refused, what);
    }
    for stream in [false, true] {
        let mark = marker();
        let mut body = prompt(MODEL, &format!("{mark} judge:bad"));
        body["stream"] = json!(stream);
        let refused = gateway
            .chat(&body)
            .config(&on("output", "webhook"))
            .send()
            .await;
        objects(&refused, "content_safety (cruelty)");
        assert_eq!(seen(&gateway, &mark).await[0]["on"], "output");
    }
}

async fn a_webhook_that_fails(gateway: Arc<Gateway>) {
    for kind in ["fails", "nonsense", "empty", "slow"] {
        let body = prompt(MODEL, &format!("judge:{kind}"));
        for direction in ["input", "output"] {
            let began = Instant::now();
            let closed = gateway
                .chat(&body)
                .config(&on(direction, "webhook"))
                .send()
                .await;
            objects(&closed, "content_safety (no_verdict)");
            assert!(began.elapsed() < Duration::from_secs(4), "{kind}: {closed}");
            let open = on(direction, "webhook-open");
            let open = gateway.chat(&body).config(&open).send().await;
            open.good();
            if direction == "input" {
                let unenforced = open.header("x-weir-guardrails-unenforced");
                assert_eq!(unenforced, Some("input.content_safety"), "{kind}");
            }
        }
    }
}

async fn models_that_fail(gateway: Arc<Gateway>) {
    let faults = [
        Behaviour {
            status: Some(500),
            ..Behaviour::default()
        },
        Behaviour {
            body: Some("no JSON".to_owned()),
            ..Behaviour::default()
        },
        Behaviour {
            body: Some("{}".to_owned()),
            ..Behaviour::default()
        },
        Behaviour {
            ending: Ending::Hang,
            ..Behaviour::default()
        },
    ];
    for judge in ["moderations", "chat"] {
        for fault in &faults {
            for (name, passes) in [(judge.to_owned(), false), (format!("{judge}-open"), true)] {
                let mark = marker();
                let script = Script {
                    times: 1,
                    model: Some(format!("{name}-m")),
                    contains: Some(mark.clone()),
                    behaviour: fault.clone(),
                    ..Script::default()
                };
                gateway.provider.script(&script).await;
                let body = prompt(MODEL, &mark);
                let answer = gateway.chat(&body).config(&on("input", &name)).send().await;
                if passes {
                    answer.good();
                } else {
                    objects(&answer, "content_safety (no_verdict)");
                }
            }
        }
    }
}

async fn who_is_refused_makes_no_judge_work(gateway: Arc<Gateway>) {
    let (key, _) = gateway.new_key(json!({"rate_limit": 1})).await;
    let mark = marker();
    let body = prompt(MODEL, &format!("{mark} judge:good"));
    let ask = || gateway.chat_as(&key, &body).config(&on("input", "webhook"));
    ask().send().await.good();
    for _ in 0..3 {
        ask().send().await.refused(429, "rate_limit_exceeded");
    }
    let poor = json!({"budget_limit_usd": 0.000_000_1});
    let (key, _) = gateway.new_key(poor).await;
    let ask = gateway.chat_as(&key, &body).config(&on("input", "webhook"));
    ask.send().await.refused(429, "budget_exceeded");
    assert_eq!(seen(&gateway, &mark).await.len(), 1);
}

async fn what_is_judged_away_is_given_back(gateway: Arc<Gateway>) {
    // Room for one answer at a time.
    let narrow = json!({"budget_limit_usd": 0.001});
    let (key, _) = gateway.new_key(narrow).await;
    let asked = |text: &str| {
        let mut body = prompt(MODEL, text);
        body["max_tokens"] = json!(1_000);
        gateway.chat_as(&key, &body).config(&on("input", "webhook"))
    };
    // What was held is given back when the exchange is settled, in a moment; else the hold would stand
    // for a minute.
    let once_there_is_room = async |text: &str| {
        for _ in 0..100 {
            let answer = asked(text).send().await;
            if answer.code() != "budget_exceeded" {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("what was held is not given back");
    };
    for _ in 0..4 {
        objects(&once_there_is_room("judge:bad").await, "cruelty");
    }
    once_there_is_room("judge:good").await.good();
}

async fn a_cached_answer_is_judged_too(gateway: Arc<Gateway>) {
    let mut config = json!({"cache": {"mode": "simple"}});
    let body = prompt(MODEL, &format!("{} judge:bad", marker()));
    for _ in 0..2 {
        gateway.chat(&body).config(&config).send().await.good();
    }
    config["guardrails"] = json!({"input": [safety("webhook")]});
    let refused = gateway.chat(&body).config(&config).send().await;
    objects(&refused, "cruelty");
}

async fn rules_of_keys_name_what_is_there(gateway: Arc<Gateway>) {
    let pii = |types: &str| json!({"type": "pii_detection", "types": [types]});
    for (rule, param, hint) in [
        (
            pii("EMIAL"),
            "guardrails.input.types",
            "did you mean `EMAIL`?",
        ),
        (
            safety("webhok"),
            "guardrails.input[0].judge",
            "did you mean `webhook`?",
        ),
        (
            json!({"type": "pii_detection", "action": "redakt"}),
            "guardrails.input[0].action",
            "did you mean `redact`?",
        ),
    ] {
        let mut body = json!({"name": marker(), "guardrails": {"input": [rule]}});
        let refused = gateway
            .admin("POST", "/admin/virtual-keys", Some(body.clone()))
            .await;
        refused.refused(400, "invalid_request");
        let error = &refused.json()["error"];
        assert_eq!(error["param"], param, "{refused}");
        assert!(error["message"].to_string().contains(hint), "{refused}");
        // A route that a key brings along is looked at as well.
        body["config"] = json!({"guardrails": body["guardrails"]});
        body.as_object_mut()
            .expect("an object")
            .remove("guardrails");
        let refused = gateway
            .admin("POST", "/admin/virtual-keys", Some(body))
            .await;
        assert_eq!(refused.status, 400, "{refused}");
    }
    let rules = json!({"input": [pii("EMAIL"), safety("webhook")]});
    let (key, _) = gateway.new_key(json!({"guardrails": rules})).await;
    let body = prompt(MODEL, "judge:bad");
    objects(&gateway.chat_as(&key, &body).send().await, "cruelty");
}
