//! What an answer says besides itself: its head, and what it cost.

use super::Exchange;
use super::upstream::stays_behind;
use crate::dialect;
use crate::digits::Decimal;
use crate::headers::Headers;
use crate::json::{self, Edits, Kind};
use crate::price;
use crate::usage::{NanoUsd, Usage};

/// Bytes of a usual `metadata`.
const METADATA_BYTES: usize = 128;

impl Exchange {
    /// Head of an answer: the provider's own, less what stays behind, and ours.
    pub(super) fn answer_headers(
        &self,
        result: Option<(NanoUsd, Usage)>,
        length: Option<usize>,
    ) -> Headers {
        let ours = !self.rate.is_empty();
        let mut headers = self.answer.head.filtered(|name| {
            name != b":status"
                && name != b"x-envoy-attempt-count"
                && (!stays_behind(name))
                && (length.is_none() || name != b"content-type")
                && !(ours && name.starts_with(b"x-ratelimit-"))
        });
        headers.push(":status", Decimal::of(self.answer.status));
        let foreign = |kind: &[u8]| {
            dialect::is_stream(kind) && !kind.starts_with(dialect::EVENT_STREAM.as_bytes())
        };
        if length.is_none() && headers.get("content-type").is_some_and(foreign) {
            headers = headers.filtered(|name| name != b"content-type");
            headers.push("content-type", dialect::EVENT_STREAM);
        }
        if let Some(length) = length {
            headers.push("content-type", "application/json");
            headers.push("content-length", Decimal::of_len(length));
        }
        self.push_common(&mut headers);
        if let Some(target) = self.target() {
            push_result(&mut headers, &target.provider.name, &target.model, result);
        }
        if self.streams() && self.holds_streams() {
            headers.push("x-weir-guardrails-held", self.holding_checks().join(","));
        }
        if result.is_none() && self.tokens_in > 0 {
            headers.push("x-weir-tokens-in", Decimal::of(self.tokens_in));
        }
        headers.push("x-weir-attempts", Decimal::of(self.progress.attempts));
        headers
    }
}

pub(super) fn push_result(
    headers: &mut Headers,
    provider: &str,
    model: &str,
    result: Option<(NanoUsd, Usage)>,
) {
    headers.push("x-weir-provider", provider);
    headers.push("x-weir-model", model);
    if let Some((cost, usage)) = result {
        headers.push("x-weir-cost-usd", price::usd(cost));
        headers.push("x-weir-tokens-in", Decimal::of(usage.input));
        headers.push("x-weir-tokens-out", Decimal::of(usage.output));
    }
}

pub(super) fn metadata(hit: bool, provider: &str, cost: NanoUsd, usage: Option<Usage>) -> String {
    let mut out = Vec::with_capacity(METADATA_BYTES);
    out.extend_from_slice(b"{\"cache_hit\":");
    out.extend_from_slice(if hit { b"true" } else { b"false" });
    out.extend_from_slice(b",\"provider\":\"");
    json::escape_into(provider, &mut out);
    out.extend_from_slice(b"\",\"cost_usd\":");
    out.extend_from_slice(price::usd(cost).as_bytes());
    if let Some(usage) = usage {
        out.extend_from_slice(b",\"tokens_in\":");
        out.extend_from_slice(Decimal::of(usage.input).as_ref());
        out.extend_from_slice(b",\"tokens_out\":");
        out.extend_from_slice(Decimal::of(usage.output).as_ref());
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default()
}

/// Adds `metadata` to an answer. A provider's own object keeps its members.
pub(super) fn with_metadata(body: &[u8], metadata: &str) -> Vec<u8> {
    let root = json::root(body);
    let mut edits = Edits::default();
    match json::member(body, root, "metadata") {
        None => return json::with_first_member(body, root, "metadata", metadata),
        Some(own) if json::kind(body, own) == Some(Kind::Object) => {
            if let Ok(ours) = json::document(metadata.as_bytes()) {
                let mut merged = Edits::default();
                for member in json::members(metadata.as_bytes(), ours) {
                    let name = String::from_utf8_lossy(member.key.of(metadata.as_bytes()));
                    merged.set_member(body, own, &name, member.value.of(metadata.as_bytes()));
                }
                return merged.apply(body);
            }
        }
        _ => edits.set_member(body, root, "metadata", metadata.as_bytes()),
    }
    edits.apply(body)
}
