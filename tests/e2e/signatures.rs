//! AWS's signatures (version 4) on what a provider received, checked by a second hand.

use e2e::behaviour::Recorded;
use sha2::{Digest, Sha256};

/// Asserts that `request` carries a signature of `secret` over all of it.
#[track_caller]
pub(crate) fn assert_signed(request: &Recorded, id: &str, secret: &str, region: &str) {
    assert_signed_for("bedrock", request, id, secret, region);
}

/// The same for any service.
#[track_caller]
pub(crate) fn assert_signed_for(
    service: &str,
    request: &Recorded,
    id: &str,
    secret: &str,
    region: &str,
) {
    let header = |name: &str| {
        request
            .header(name)
            .unwrap_or_else(|| panic!("no {name}: {request:?}"))
    };
    let authorization = header("authorization");
    let field = |name: &str| {
        let (_, rest) = authorization
            .split_once(name)
            .unwrap_or_else(|| panic!("{authorization}"));
        rest.split(',').next().unwrap_or_default().to_owned()
    };
    let date = header("x-amz-date");
    let scope = format!("{}/{region}/{service}/aws4_request", &date[..8]);
    assert_eq!(field("Credential="), format!("{id}/{scope}"));
    let signed = field("SignedHeaders=");
    let names: Vec<&str> = signed.split(';').collect();
    assert!(
        names.contains(&"host") && names.contains(&"x-amz-date"),
        "{signed}"
    );
    assert!(!signed.contains("x-weir"), "{signed}");
    let payload = hex(&Sha256::digest(&request.body));
    if let Some(said) = request.header("x-amz-content-sha256") {
        assert_eq!(said, payload, "the hash is not of the body that arrived");
    }
    let headers: String = names
        .iter()
        .map(|name| format!("{name}:{}\n", header(name).trim()))
        .collect();
    // Every service but S3 encodes the path again, percent signs and all.
    let path = request.path.replace('%', "%25");
    let canonical = format!("POST\n{path}\n\n{headers}\n{signed}\n{payload}");
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(&canonical))
    );
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [&date[..8], region, service, "aws4_request", &text] {
        key = hmac(&key, part.as_bytes());
    }
    assert_eq!(
        field("Signature="),
        hex(&key),
        "signed something else than:\n{canonical}"
    );
}

pub(crate) fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |mask: u8| block.map(|byte| byte ^ mask);
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    let outer = Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize();
    outer.to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
