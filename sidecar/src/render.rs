//! Envoy's configuration from `weir.yaml`. The pieces beside this file are Envoy's YAML with
//! `@places@`, so that they read as what they become.

use std::net::SocketAddr;

use engine::dialect::error_body;
use engine::ingress::Ingress;
use engine::reply::Code;

use crate::config::{Address, AwsCredentials, Config, Endpoint, Host, Signing};

mod piece;
mod routes;
pub mod snippet;

use piece::Piece;
use routes::{service_routes, target_matcher, target_routes};

/// Clients connected at once. Further connections are closed.
const DOWNSTREAM_CONNECTIONS_MAX: u32 = 50_000;
/// Requests, connections, waiting requests and retries of one cluster. Envoy's own defaults (1024,
/// retries 3) would turn a burst into failures; budgets and rate limits are what bounds it.
const CLUSTER_REQUESTS_MAX: u32 = 100_000;
/// Above the filter's cap on bodies, so that its answer comes before Envoy's.
const BUFFER_MARGIN_BYTES: u32 = 1024 * 1024;
/// Where Debian and Envoy's own image keep the certificates of public authorities.
pub const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where other systems keep them.
const OTHER_CA: [&str; 3] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The certificates of public authorities on this machine: `SSL_CERT_FILE`, else where the system
/// keeps them.
pub fn system_ca(env: &dyn Fn(&str) -> Option<String>) -> String {
    let places = [SYSTEM_CA].into_iter().chain(OTHER_CA).map(str::to_owned);
    let mut places = env("SSL_CERT_FILE").into_iter().chain(places);
    places
        .find(|path| std::path::Path::new(path).is_file())
        .unwrap_or_else(|| SYSTEM_CA.to_owned())
}

/// What the configuration does not say.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of the filter as Envoy will open it.
    pub wasm: String,
    /// PEM file of trusted authorities as Envoy will open it.
    pub ca: String,
    /// Replaces the port of `listen`.
    pub port: Option<u16>,
}

impl Default for Options {
    fn default() -> Options {
        let wasm = "target/wasm32-wasip1/release/weir_filter.wasm".to_owned();
        Options {
            wasm,
            ca: SYSTEM_CA.to_owned(),
            port: None,
        }
    }
}

/// The bootstrap of an Envoy that is Weir's alone.
pub fn bootstrap(config: &Config, options: &Options) -> String {
    let listen = SocketAddr::new(
        config.listen.ip(),
        options.port.unwrap_or(config.listen.port()),
    );
    Piece::new(include_str!("render/bootstrap.yaml"))
        .value("envoy_admin_ip", config.envoy.admin.ip())
        .value("envoy_admin_port", config.envoy.admin.port())
        .value("downstream_connections_max", DOWNSTREAM_CONNECTIONS_MAX)
        .value("listen_ip", listen.ip())
        .value("listen_port", listen.port())
        .value("trusted_hops", config.trusted_hops)
        .value("buffer_bytes", buffer_bytes(config))
        .value("late_body", refusal(Code::UpstreamTimeout, None))
        .value("broken_body", refusal(Code::UpstreamUnavailable, None))
        .value("late_message", refusal(Code::UpstreamTimeout, MESSAGES))
        .value(
            "broken_message",
            refusal(Code::UpstreamUnavailable, MESSAGES),
        )
        .block("policy_filter", &filter("policy", config, options))
        .block("target_matcher", &target_matcher(config))
        .block("service_routes", &service_routes())
        .block("target_routes", &target_routes(config))
        .block("service_clusters", &service_clusters(config))
        .block(
            "provider_clusters",
            &[
                provider_clusters(config, options),
                judge_clusters(config, options),
            ]
            .concat(),
        )
        .finish()
}

const MESSAGES: Option<Ingress> = Some(Ingress::Messages);

/// The body that the filter would send to a client of that form; JSON is YAML.
fn refusal(code: Code, ingress: Option<Ingress>) -> String {
    let row = code.row();
    let openai = error_body(row.message, row.kind, None, Some(row.name));
    let body = match ingress {
        Some(ingress) => ingress.error(row.status, openai, ""),
        None => openai,
    };
    String::from_utf8_lossy(&body).into_owned()
}

fn buffer_bytes(config: &Config) -> u32 {
    config
        .limits
        .request_body_bytes
        .saturating_add(BUFFER_MARGIN_BYTES)
}

fn filter(role: &str, config: &Config, options: &Options) -> String {
    Piece::new(include_str!("render/filter.yaml"))
        .value("role", role)
        .value("request_body_bytes", config.limits.request_body_bytes)
        .text("wasm", &options.wasm)
        .finish()
}

fn service_clusters(config: &Config) -> String {
    let cluster = |name: &str, address: &Address| {
        Piece::new(include_str!("render/service_cluster.yaml"))
            .value("name", name)
            .value("requests_max", CLUSTER_REQUESTS_MAX)
            .value("address", service_address(address))
            .finish()
    };
    [
        cluster("weir_internal", &config.sidecar.internal),
        cluster("weir_admin", &config.sidecar.admin),
    ]
    .concat()
}

fn provider_clusters(config: &Config, options: &Options) -> String {
    let filter = filter("adapter", config, options);
    let clusters = config.providers.iter().flat_map(|provider| {
        let signing = provider.signing.as_ref().map(signing).unwrap_or_default();
        let chain = |filter: &str| {
            Piece::new(include_str!("render/adapter.yaml"))
                .block("filter", filter)
                .block("signing", &signing)
                .finish()
        };
        let direct = if signing.is_empty() {
            String::new()
        } else {
            chain("")
        };
        [("provider", chain(&filter)), ("direct", direct)].map(|(kind, filters)| {
            let name = format!("{kind}/{}", provider.name);
            provider_cluster(&name, &provider.endpoint, &filters, config, options)
        })
    });
    clusters.collect()
}

/// Judges that are no providers.
fn judge_clusters(config: &Config, options: &Options) -> String {
    let judges = config.defaults.judges.iter();
    let clusters = judges.filter_map(|judge| {
        let endpoint = judge.endpoint.as_ref()?;
        let cluster = &judge.judge.cluster;
        Some(provider_cluster(cluster, endpoint, "", config, options))
    });
    clusters.collect()
}

/// The filter that signs requests for AWS.
fn signing(signing: &Signing) -> String {
    let credentials = match &signing.credentials {
        AwsCredentials::Chain => String::new(),
        AwsCredentials::Keys {
            id,
            secret,
            session_token,
        } => {
            let token = session_token.as_ref().map(|token| {
                let token = piece::quoted(token.expose());
                format!(", session_token: {token}")
            });
            format!(
                "credential_provider: {{inline_credential: {{access_key_id: {}, \
                 secret_access_key: {}{}}}}}",
                piece::quoted(id.expose()),
                piece::quoted(secret.expose()),
                token.unwrap_or_default()
            )
        }
        AwsCredentials::Profile(profile) => format!(
            "credential_provider: {{custom_credential_provider_chain: true, \
             credentials_file_provider: {{profile: {}}}}}",
            piece::quoted(profile)
        ),
    };
    Piece::new(include_str!("render/signing.yaml"))
        .text("region", &signing.region)
        .block("credentials", &credentials)
        .finish()
}

fn provider_cluster(
    name: &str,
    endpoint: &Endpoint,
    adapter: &str,
    config: &Config,
    options: &Options,
) -> String {
    let (dns, fixed) = (include_str!("render/dns.yaml"), "type: STATIC");
    let (discovery, address, refusing) = match &endpoint.host {
        Host::Name(name, port) => (
            dns,
            socket_address(name, *port),
            include_str!("render/refusing.yaml"),
        ),
        Host::Ip(at) => (fixed, socket_address(&at.ip().to_string(), at.port()), ""),
        Host::Demo(path) => (fixed, pipe(&path.display().to_string()), ""),
    };
    let (transport, protocol) = if endpoint.tls {
        (
            tls(endpoint, options),
            "auto_config: {http_protocol_options: {}, http2_protocol_options: {}}",
        )
    } else {
        (
            String::new(),
            "explicit_http_config: {http_protocol_options: {}}",
        )
    };
    Piece::new(include_str!("render/provider_cluster.yaml"))
        .value("name", name)
        .block("discovery", discovery)
        .value("buffer_bytes", buffer_bytes(config))
        .value("requests_max", CLUSTER_REQUESTS_MAX)
        .block("transport", &transport)
        .value("protocol", protocol)
        .block("adapter", adapter)
        .value("address", address)
        .block("refusing", refusing)
        .finish()
}

fn tls(endpoint: &Endpoint, options: &Options) -> String {
    let name = match &endpoint.host {
        Host::Name(name, _) => name.clone(),
        Host::Ip(address) => address.ip().to_string(),
        Host::Demo(_) => String::new(),
    };
    Piece::new(include_str!("render/tls.yaml"))
        .text("sni", &name)
        .text("ca", &options.ca)
        .finish()
}

fn service_address(address: &Address) -> String {
    match address {
        Address::Tcp(address) => socket_address(&address.ip().to_string(), address.port()),
        Address::Unix(path) => pipe(&path.display().to_string()),
    }
}

fn socket_address(host: &str, port: u16) -> String {
    format!(
        "{{socket_address: {{address: {}, port_value: {port}}}}}",
        piece::quoted(host)
    )
}

fn pipe(path: &str) -> String {
    format!("{{pipe: {{path: {}}}}}", piece::quoted(path))
}

/// Milliseconds as Envoy writes a duration.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}s", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests;
