//! What to paste into an Envoy that is already there.

use super::piece::Piece;
use super::{
    Options, filter, provider_clusters, service_clusters, service_routes, target_matcher,
    target_routes,
};
use crate::config::Config;

/// Names of the snippets.
pub const NAMES: [&str; 4] = ["filter", "cluster", "route", "istio"];

/// The snippet of that name.
///
/// # Errors
/// There is none.
pub fn text(name: &str, config: &Config, options: &Options) -> Result<String, String> {
    Ok(match name {
        "filter" => Piece::new(include_str!("snippet/filter.yaml"))
            .block("policy_filter", &filter("policy", config, options))
            .value("buffer_bytes", super::buffer_bytes(config))
            .finish(),
        "cluster" => Piece::new(include_str!("snippet/cluster.yaml"))
            .block("service_clusters", &service_clusters(config))
            .block("provider_clusters", &provider_clusters(config, options))
            .finish(),
        "route" => Piece::new(include_str!("snippet/route.yaml"))
            .block("target_matcher", &target_matcher(config))
            .block("service_routes", &service_routes())
            .block("target_routes", &target_routes(config))
            .finish(),
        "istio" => istio(config, options),
        _ => {
            return Err(format!(
                "no snippet is named {name}; there are {}",
                NAMES.join(", ")
            ));
        }
    })
}

/// Istio's form: one patch for the filter, one for the routes, one for each cluster.
fn istio(config: &Config, options: &Options) -> String {
    let clusters = [service_clusters(config), provider_clusters(config, options)].concat();
    let patches: String = items(&clusters)
        .iter()
        .map(|cluster| {
            Piece::new(include_str!("snippet/istio_cluster.yaml"))
                .block("cluster", cluster)
                .finish()
        })
        .collect();
    let policy: String = items(&filter("policy", config, options)).concat();
    Piece::new(include_str!("snippet/istio.yaml"))
        .value("buffer_bytes", super::buffer_bytes(config))
        .block("policy_filter", &policy)
        .block("target_matcher", &target_matcher(config))
        .block("service_routes", &service_routes())
        .block("target_routes", &target_routes(config))
        .block("clusters", &patches)
        .finish()
}

/// The items of a YAML list of mappings, without their dashes.
fn items(list: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in list.lines() {
        let (first, rest) = match line.strip_prefix("- ") {
            Some(rest) => (true, rest),
            None => (false, line.strip_prefix("  ").unwrap_or(line)),
        };
        if first || items.is_empty() {
            items.push(String::new());
        }
        if let Some(item) = items.last_mut() {
            item.push_str(rest);
            item.push('\n');
        }
    }
    items
}
