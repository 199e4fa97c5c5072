//! Envoy's routes: to the state service, and to providers by what is asked of the attempts.

use engine::exchange::{HEADER_IDLE, IDLE_TIERS_S, RETRY_ON_DIRECT, RouteTries, idle_tier_s};
use engine::limits;

use super::piece::Piece;
use super::seconds;
use crate::config::{Config, ProviderConfig};

/// A stream on which nothing moves in either direction for so long is ended.
const STREAM_IDLE_S: u32 = 3600;

pub(super) fn target_matcher(config: &Config) -> String {
    let target = |name: &str, cluster: &str| {
        Piece::new(include_str!("target.yaml"))
            .text("target", name)
            .text("cluster", cluster)
            .finish()
    };
    let targets: String = config
        .providers
        .iter()
        .flat_map(|ProviderConfig { name, .. }| {
            [
                target(name, &format!("provider/{name}")),
                target(&format!("{name}/direct"), &format!("direct/{name}")),
            ]
        })
        .collect();
    Piece::new(include_str!("matcher.yaml"))
        .block("targets", &targets)
        .finish()
}

/// Routes to the state service, past the filter.
pub(super) fn service_routes() -> String {
    let routes = [
        ("{path: /health}", "5s"),
        ("{path: /metrics}", "10s"),
        ("{path_separated_prefix: /admin}", "60s"),
    ];
    let route = |(path, timeout): (&str, &str)| {
        Piece::new(include_str!("service_route.yaml"))
            .value("match", path)
            .value("timeout", timeout)
            .finish()
    };
    routes.into_iter().map(route).collect()
}

/// Routes to providers: the one for whatever asks for the defaults, one for each limit on silence, and
/// the one without.
pub(super) fn target_routes(config: &Config) -> String {
    let asked = |path: String, idle: Option<u64>| {
        let limits = include_str!("asked_limits.yaml");
        target_route(config, &path, limits, include_str!("asked.yaml"), idle)
    };
    let tiers = IDLE_TIERS_S.iter().map(|tier| {
        let header = format!("{{name: {HEADER_IDLE}, string_match: {{exact: \"{tier}\"}}}}");
        asked(format!("{{prefix: /, headers: [{header}]}}"), Some(*tier))
    });
    std::iter::once(usual_route(config))
        .chain(tiers)
        .chain([asked("{prefix: /}".to_owned(), None)])
        .collect()
}

fn target_route(
    config: &Config,
    path: &str,
    limits: &str,
    tries: &str,
    idle: Option<u64>,
) -> String {
    let mut text = Piece::new(include_str!("route.yaml"))
        .value("match", path)
        .block("limits", limits)
        .value("idle_timeout_s", STREAM_IDLE_S)
        .block("tries", tries)
        .value("backoff_base", seconds(config.defaults.backoff_base_ms))
        .value("backoff_max", seconds(config.defaults.backoff_max_ms))
        .value("retry_after_max", seconds(limits::RETRY_WAIT_MS_MAX))
        .finish();
    if let Some(idle) = idle {
        text.push_str(&format!("      per_try_idle_timeout: {idle}s\n"));
    }
    text
}

/// The route of requests that say nothing of their tries: the configuration's defaults are theirs.
fn usual_route(config: &Config) -> String {
    let defaults = &config.defaults;
    let tries = RouteTries {
        retries: defaults.retry_attempts.min(limits::RETRIES_MAX),
        retry_on: defaults.retry_on.clone(),
        timeout_ms: defaults.request_timeout_ms,
    };
    let statuses: Vec<String> = tries.retry_on.iter().map(u16::to_string).collect();
    let limits = Piece::new(include_str!("usual_limits.yaml"))
        .value("timeout", seconds(tries.total_ms()))
        .finish();
    let lines = Piece::new(include_str!("usual.yaml"))
        .value("retry_on", RETRY_ON_DIRECT)
        .value("statuses", statuses.join(", "))
        .value("retries", tries.retries)
        .value("per_try", seconds(tries.timeout_ms))
        .finish();
    let path = format!(
        "{{prefix: /, headers: [{{name: {HEADER_IDLE}, present_match: true, invert_match: true}}]}}"
    );
    let idle = idle_tier_s(tries.timeout_ms);
    let mut text = target_route(config, &path, &limits, &lines, idle);
    let said = serde_json::to_string(&tries).unwrap_or_default();
    text.push_str(&format!(
        "  metadata: {{filter_metadata: {{weir: {{tries: '{said}'}}}}}}\n"
    ));
    text
}
