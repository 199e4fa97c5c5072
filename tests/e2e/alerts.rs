//! Whoever asked to be told of thresholds is told, once, whatever happens in between.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use e2e::client::{marker, prompt};
use e2e::gateway::Gateway;
use e2e::setup::Setup;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::budgets::priced;
use crate::signatures;

const SECRET: &str = "e2e-webhook-secret";

/// What was posted: signature and body.
type Posted = Arc<Mutex<Vec<(String, String)>>>;

/// A listener that refuses the first `refusals` posts.
async fn listen(refusals: usize) -> (String, Posted) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("a port").port();
    let posted: Posted = Arc::default();
    let shared = Arc::clone(&posted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            let service =
                hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                    let shared = Arc::clone(&shared);
                    async move {
                        let signature = request.headers().get("x-weir-signature");
                        let signature = signature
                            .and_then(|it| it.to_str().ok())
                            .unwrap_or_default();
                        let signature = signature.to_owned();
                        let body = request.into_body().collect().await?.to_bytes();
                        let body = String::from_utf8_lossy(&body).into_owned();
                        let mut all = shared.lock().expect("posted");
                        all.push((signature, body));
                        let status = if all.len() <= refusals { 503 } else { 204 };
                        let answer = Response::builder().status(status);
                        Ok::<_, hyper::Error>(answer.body(Full::new(Bytes::new())).expect("answer"))
                    }
                });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
    (format!("http://127.0.0.1:{port}/hook"), posted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_threshold_is_told_until_somebody_takes_it_and_then_never_again() {
    let (url, posted) = listen(2).await;
    let setup = Setup::default().with(move |config| {
        config["budgets"] = json!([
            {"scope": "team", "name": "red", "limit_usd": 0.001, "thresholds": [0.05, 0.5]},
        ]);
        config["alerts"] = json!({"webhook": {"url": url, "secret": SECRET}});
    });
    let gateway = Gateway::start(setup).await;
    let (key, _) = gateway
        .new_key(json!({"provider": "openai", "teams": ["red"]}))
        .await;
    let mut body = prompt("gpt-4o-mini", &priced(20, 100, &marker()));
    body["max_tokens"] = json!(100);
    gateway.chat_as(&key, &body).send().await.good();

    let first = wait(&posted, 1).await;
    // It was refused: a restart does not lose it.
    gateway.kill_sidecar();
    gateway.restart_sidecar();
    gateway.ready().await;
    let third = wait(&posted, 3).await;
    assert_eq!(first["id"], third["id"]);
    assert_eq!(third["type"], "budget_threshold_reached");
    assert_eq!(
        (&third["scope"], &third["name"], &third["threshold"]),
        (&json!("team"), &json!("red"), &json!("0.05"))
    );
    assert_eq!(third["limit_usd"], "0.001");
    assert!(
        third["resets_at"]
            .as_str()
            .is_some_and(|at| at.ends_with("-01T00:00:00Z"))
    );

    gateway.chat_as(&key, &body).send().await.good();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let all = posted.lock().expect("posted").clone();
    assert_eq!(
        all.len(),
        3,
        "taken once, and the next threshold is far: {all:?}"
    );
    for (signature, body) in &all {
        let (at, hex) = signature.split_once(",v1=").expect("signature");
        let at = at.strip_prefix("t=").expect("time");
        let wanted = signatures::hmac(SECRET.as_bytes(), format!("{at}.{body}").as_bytes());
        let wanted: String = wanted.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, wanted);
    }
    assert!(!gateway.sidecar_log().contains(SECRET));
}

/// The post of that number, once it has come.
async fn wait(posted: &Posted, count: usize) -> Value {
    let started = Instant::now();
    loop {
        let found = posted.lock().expect("posted").get(count - 1).cloned();
        if let Some((_, body)) = found {
            return serde_json::from_str(&body).expect("JSON");
        }
        assert!(started.elapsed() < Duration::from_secs(20), "never told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
