//! Client addresses as limits count them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Bits of an IPv6 address that one customer has at least: what is below is free to choose.
const IPV6_PREFIX_BITS: u32 = 64;

/// What is counted together of a peer `IP:PORT`: an IPv4 address, or the `/64` of an IPv6 one. An IPv4
/// address written as IPv6 is IPv4. `None` for what is neither, such as a Unix socket's path.
pub fn network(peer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(peer).ok()?;
    let address = text
        .parse::<SocketAddr>()
        .map(|peer| peer.ip())
        .or_else(|_| text.parse::<IpAddr>())
        .ok()?;
    Some(match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let mask = u128::MAX << IPV6_PREFIX_BITS;
            let network = Ipv6Addr::from_bits(address.to_bits() & mask);
            format!("{network}/{IPV6_PREFIX_BITS}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_of_ipv6_is_one_network() {
        for (peer, counted) in [
            ("192.0.2.7:443", Some("192.0.2.7")),
            ("192.0.2.7", Some("192.0.2.7")),
            ("[2001:db8:1:2:3:4:5:6]:0", Some("2001:db8:1:2::/64")),
            ("2001:db8:1:2:ffff::1", Some("2001:db8:1:2::/64")),
            ("[::ffff:192.0.2.7]:5", Some("192.0.2.7")),
            ("[::1]:9", Some("::/64")),
            ("/run/envoy.sock", None),
            ("", None),
        ] {
            assert_eq!(network(peer.as_bytes()).as_deref(), counted, "{peer}");
        }
        assert_eq!(network(b"\xff"), None);
    }
}
