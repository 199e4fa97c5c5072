//! AWS's signature, version 4, of requests without a query.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use engine::cache_key::sha256_hex;
use engine::period::rfc3339;
use ring::hmac;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// When and what a signature is for.
pub(super) struct Scope<'a> {
    /// `20150830T123600Z`
    pub(super) date: String,
    region: &'a str,
    service: &'a str,
}

impl<'a> Scope<'a> {
    pub(super) fn new(now_ms: u64, region: &'a str, service: &'a str) -> Scope<'a> {
        let whole = now_ms.saturating_sub(now_ms % 1_000);
        let date = rfc3339(whole).replace(['-', ':'], "");
        Scope {
            date,
            region,
            service,
        }
    }

    fn day(&self) -> &str {
        self.date.split('T').next().unwrap_or_default()
    }

    fn text(&self) -> String {
        let (day, region, service) = (self.day(), self.region, self.service);
        format!("{day}/{region}/{service}/aws4_request")
    }
}

/// The value of `authorization` for a `POST`. `headers` are those that are signed, in the order of
/// their names, which are in lower case.
pub(super) fn sign(
    id: &str,
    secret: &str,
    scope: &Scope<'_>,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let payload = sha256_hex(body.as_bytes());
    let canonical = format!("POST\n{path}\n\n{lines}\n{names}\n{payload}");
    let (date, place) = (&scope.date, scope.text());
    let hash = sha256_hex(canonical.as_bytes());
    let text = format!("{ALGORITHM}\n{date}\n{place}\n{hash}");
    let key = format!("AWS4{secret}").into_bytes();
    let parts = [scope.day(), scope.region, scope.service, "aws4_request"];
    let key = parts.iter().fold(key, |key, part| mac(&key, part));
    let signature: String = mac(&key, &text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{ALGORITHM} Credential={id}/{place}, SignedHeaders={names}, Signature={signature}")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `post-vanilla` and `post-header-key-sort` of AWS's test suite for the signature.
    #[test]
    fn signatures_are_those_that_aws_publishes() {
        let scope = Scope::new(1_440_938_160_000, "us-east-1", "service");
        assert_eq!(scope.date, "20150830T123600Z");
        let date = ("x-amz-date", "20150830T123600Z");
        let host = ("host", "example.amazonaws.com");
        let vanilla = (
            vec![host, date],
            "host;x-amz-date",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        );
        let sorted = (
            vec![host, ("my-header1", "value1"), date],
            "host;my-header1;x-amz-date",
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        );
        for (headers, names, signature) in [vanilla, sorted] {
            let found = sign(
                "AKIDEXAMPLE",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                &scope,
                "/",
                &headers,
                "",
            );
            assert_eq!(
                found,
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                     SignedHeaders={names}, Signature={signature}"
                )
            );
        }
    }
}
