//! Addresses as the file writes them: `base_url` of a provider, `host:port`, `unix:path`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::{Address, Endpoint, Host};

/// The `base_url` of the built-in demo provider.
const DEMO: &str = "demo";
/// Its socket in the data directory.
const DEMO_SOCKET: &str = "demo.sock";

impl Endpoint {
    /// Takes a `base_url` apart. `data` is where the demo provider's socket is.
    pub(super) fn parse(url: &str, data: &Path) -> Result<Endpoint, String> {
        if url == DEMO {
            let host = Host::Demo(data.join(DEMO_SOCKET));
            return Ok(Endpoint {
                tls: false,
                host,
                authority: DEMO.to_owned(),
                base_path: "/v1".to_owned(),
            });
        }
        let (tls, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(format!("`{url}` is neither http://, https:// nor `demo`")),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, String::new()),
        };
        let odd = |byte: u8| {
            byte <= b' '
                || byte >= 0x7f
                || matches!(byte, b'?' | b'#' | b'@' | b'"' | b'\\' | b'<' | b'>')
        };
        if rest.bytes().any(odd) {
            return Err(format!(
                "`{url}` has a user, a query, a fragment or a character that a base URL can not have"
            ));
        }
        let (name, port) =
            split_port(authority).ok_or_else(|| format!("`{url}` has a port that is not one"))?;
        let default = if tls { 443 } else { 80 };
        let number = port.unwrap_or(default);
        if name.is_empty() || number == 0 {
            return Err(format!("`{url}` names no host or port"));
        }
        let host = match name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
        {
            Ok(ip) => Host::Ip(SocketAddr::new(ip, number)),
            Err(_) if name.starts_with('[') => {
                return Err(format!("`{url}` has a broken IPv6 address"));
            }
            Err(_) => Host::Name(name.to_ascii_lowercase(), number),
        };
        let shown = if number == default {
            name.to_owned()
        } else {
            format!("{name}:{number}")
        };
        Ok(Endpoint {
            tls,
            host,
            authority: shown,
            base_path: path.trim_end_matches('/').to_owned(),
        })
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => Some((name, Some(port.parse().ok()?))),
        _ => Some((authority, None)),
    }
}

impl Address {
    /// `unix:path`, `ip:port` or `localhost:port`.
    pub fn parse(text: &str) -> Option<Address> {
        match text.strip_prefix("unix:") {
            Some("") => None,
            Some(path) => Some(Address::Unix(path.into())),
            None => socket_address(text).map(Address::Tcp),
        }
    }
}

/// `ip:port`, `localhost:port` or `:port` (every interface).
pub(super) fn socket_address(text: &str) -> Option<SocketAddr> {
    let text = match text.split_once(':') {
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        Some(("", port)) if !port.starts_with(':') => format!("0.0.0.0:{port}"),
        _ => text.to_owned(),
    };
    text.parse().ok()
}
