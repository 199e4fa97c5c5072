//! Whose limits a request counts against, as far as the request says it.

use super::Exchange;
use crate::json;
use crate::limits::{TAG_BYTES_MAX, TAGS_MAX};
use crate::plan::Plan;
use crate::wire::{Governed, KeyRecord};

/// Headers with a JSON object of metadata.
const METADATA_HEADERS: [&str; 2] = ["x-weir-metadata", "x-portkey-metadata"];

impl Exchange {
    /// The tags among `wanted` names that the request carries: from its metadata header, else from
    /// the member `metadata` of its body.
    pub(super) fn tags_of(&self, wanted: &[String]) -> Vec<String> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let header = METADATA_HEADERS
            .iter()
            .find_map(|name| self.head.get(name))
            .and_then(|text| Some((text, json::document(text).ok()?)));
        let root = match (&self.call, &self.request) {
            (Some(call), _) => Some(call.root),
            (None, request) => request.as_ref().map(|request| request.root),
        };
        let own = root
            .filter(|root| !root.is_empty())
            .and_then(|root| json::member(&self.body, root, "metadata"))
            .map(|value| (self.body.as_slice(), value));
        let value_of = |name: &str, place: Option<(&[u8], json::Span)>| {
            let (body, object) = place?;
            let value = json::member(body, object, name)?;
            match json::kind(body, value)? {
                json::Kind::String => json::string(body, value).map(|text| text.into_owned()),
                json::Kind::Number | json::Kind::True | json::Kind::False => {
                    std::str::from_utf8(value.of(body)).ok().map(str::to_owned)
                }
                _ => None,
            }
        };
        let tags = wanted.iter().filter_map(|name| {
            let value = value_of(name, header).or_else(|| value_of(name, own))?;
            Some(format!("{name}={value}")).filter(|tag| tag.len() <= TAG_BYTES_MAX)
        });
        tags.take(TAGS_MAX).collect()
    }

    /// What requests that may share a lease have in common: see [`crate::wire::Admit::sharing`].
    pub(super) fn sharing_of(&self, key: &KeyRecord, governed: &Governed, plan: &Plan) -> String {
        let mut sharing = key.id.clone();
        let mut add = |part: &str| {
            sharing.push('\n');
            sharing.push_str(part);
        };
        if governed.users {
            add(self.user().unwrap_or_default());
        }
        if governed.addresses {
            add(&self.address);
        }
        for tag in &self.tags {
            add(tag);
        }
        if governed.models {
            for target in &plan.targets {
                add(&target.provider.name);
                add(&target.model);
            }
        }
        sharing
    }
}
