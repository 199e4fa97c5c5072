use super::*;
use crate::docs::{fresh, root};

/// The default `weir.yaml`, with those environment variables set.
fn default_config(set: &'static [&'static str]) -> Config {
    let env = move |name: &str| set.contains(&name).then(|| "secret".to_owned());
    Config::load(&root().join("weir.yaml"), &env).unwrap_or_else(|error| panic!("{error}"))
}

const EVERY_PROVIDER: &[&str] = &["OPENAI_API_KEY", "ANTHROPIC_API_KEY"];

#[test]
fn the_committed_configuration_is_fresh() {
    fresh(
        "envoy/envoy.yaml",
        &bootstrap(&default_config(&[]), &Options::default()),
    );
    for name in snippet::NAMES {
        let folder = if name == "istio" {
            "envoy/istio"
        } else {
            "envoy/snippets"
        };
        let options = Options {
            wasm: "/etc/envoy/weir_filter.wasm".to_owned(),
            ..Options::default()
        };
        let text = snippet::text(name, &default_config(EVERY_PROVIDER), &options).unwrap();
        fresh(&format!("{folder}/{name}.yaml"), &text);
    }
}

#[test]
fn every_place_of_a_piece_is_filled_and_no_secret_is_there() {
    let config = default_config(EVERY_PROVIDER);
    let mut texts = vec![bootstrap(&config, &Options::default())];
    texts.extend(
        snippet::NAMES.map(|name| snippet::text(name, &config, &Options::default()).unwrap()),
    );
    for text in texts {
        assert!(!text.contains("secret"), "{text}");
        for line in text.lines() {
            let place = line.split('@').nth(1).filter(|inner| {
                !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            });
            assert!(place.is_none() || line.contains("\"@type\""), "{line}");
        }
    }
}

#[test]
fn the_port_of_the_command_line_wins() {
    let options = Options {
        port: Some(18123),
        ..Options::default()
    };
    let text = bootstrap(&default_config(&[]), &options);
    assert!(text.contains("port_value: 18123") && !text.contains("port_value: 8000"));
}

#[test]
fn a_named_host_is_resolved_has_tls_and_an_endpoint_that_refuses() {
    let text = bootstrap(&default_config(EVERY_PROVIDER), &Options::default());
    let cluster = text.split("  - name: provider/openai\n").nth(1).unwrap();
    let cluster = cluster.split("  - name: direct/openai\n").next().unwrap();
    for part in [
        "envoy.clusters.dns",
        "sni: \"api.openai.com\"",
        "auto_sni_san_validation: true",
        "trusted_ca: {filename: \"/etc/ssl/certs/ca-certificates.crt\"}",
        "port_value: 443",
        "port_value: 0",
        "\"role\":\"adapter\"",
    ] {
        assert!(cluster.contains(part), "{part} is not in\n{cluster}");
    }
}

#[test]
fn a_path_with_quotes_stays_one_text() {
    let options = Options {
        wasm: "a \"b\": c.wasm".to_owned(),
        ..Options::default()
    };
    let text = bootstrap(&default_config(&[]), &options);
    assert!(text.contains(r#"filename: "a \"b\": c.wasm""#));
}

#[test]
fn milliseconds_become_envoys_durations() {
    assert_eq!(
        [seconds(25), seconds(1000), seconds(90_050)],
        ["0.025s", "1.000s", "90.050s"]
    );
}
