//! What Envoy and the service say of themselves.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::Connection;
use crate::stage::{Side, Stage};

/// How often Envoy begins its histograms anew.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(20);

/// How long admissions took in the last whole interval, half of them and 99 of 100.
pub(super) async fn admit_ms(stage: &Stage) -> (f64, f64) {
    let started = Instant::now();
    loop {
        let found = quantiles(stage).await;
        if !found.0.is_nan() || started.elapsed() > PATIENCE {
            return found;
        }
        // The first interval is not over.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn quantiles(stage: &Stage) -> (f64, f64) {
    let path = "/stats?format=json&filter=wasmcustom.weir_admit_us";
    let text = got(stage.admin_address(), path).await;
    // Envoy sends it in pieces, of which one has it all.
    let json = text
        .find('{')
        .zip(text.rfind('}'))
        .and_then(|(start, end)| text.get(start..=end))
        .and_then(|json| serde_json::from_str::<Value>(json).ok());
    let json = json.unwrap_or_else(|| panic!("Envoy's statistics: {text}"));
    let stats = json["stats"].as_array().expect("statistics");
    let histograms = stats.iter().find_map(|one| one.get("histograms"));
    let histograms = histograms.expect("a histogram");
    let places = histograms["supported_quantiles"]
        .as_array()
        .expect("quantiles");
    let values = &histograms["computed_quantiles"][0]["values"];
    let of = |share: f64| {
        let place = places
            .iter()
            .position(|place| place.as_f64() == Some(share));
        let value = &values[place.expect("the quantile")];
        let us = value["interval"].as_f64().or(value["cumulative"].as_f64());
        us.unwrap_or(f64::NAN) / 1_000.0
    };
    (of(50.0), of(99.0))
}

/// Exchanges admitted under a lease, and by a call.
pub(super) async fn admissions(stage: &Stage) -> (f64, f64) {
    let text = got(stage.address(Side::Weir), "/metrics").await;
    let of = |by: &str| {
        let sample = format!("weir_admissions_total{{by=\"{by}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&sample));
        line.and_then(|value| value.trim().parse::<f64>().ok())
            .unwrap_or_else(|| panic!("no {sample} in {text}"))
    };
    (of("lease"), of("call"))
}

/// The same, once `count` more are settled.
pub(super) async fn settled(stage: &Stage, before: (f64, f64), count: u64) -> (f64, f64) {
    let started = Instant::now();
    loop {
        let now = admissions(stage).await;
        let more = now.0 + now.1 - before.0 - before.1;
        if more >= count as f64 {
            return now;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{more} of {count} are settled"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn got(address: SocketAddr, path: &str) -> String {
    let mut connection = Connection::open(address).await.expect("a connection");
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer bench-admin\r\n\r\n");
    let answer = connection.exchange(request.as_bytes()).await;
    let answer = answer.expect("an answer");
    assert!(answer.status == 200, "{path}: {}", connection.last());
    connection.last()
}
