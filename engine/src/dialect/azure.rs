//! Azure OpenAI. The body is OpenAI's; deployment and version are in the path.
//!
//! With an `api-version` the call goes to the deployment's own path and the body's model means
//! nothing; without one it goes to Azure's `v1` paths, where the body names the deployment.

use super::{Encoded, Target, openai, path};
use crate::json::Edits;
use crate::request::ChatRequest;

const PATH_V1: &str = "/openai/v1/chat/completions";
/// The first version that takes `stream_options`. Versions are dates and sort as such.
const STREAM_OPTIONS_SINCE: &str = "2024-09-01";

pub(super) fn encode<'a>(
    target: &Target<'_>,
    request: &ChatRequest,
    body: &'a [u8],
    mut edits: Edits,
) -> Encoded<'a> {
    if target.api_version.is_empty() {
        return Encoded {
            path: PATH_V1.into(),
            ..openai::encode(target, request, body, edits)
        };
    }
    let knows_stream_options = target.api_version >= STREAM_OPTIONS_SINCE;
    if knows_stream_options {
        openai::ask_for_usage(request, body, &mut edits);
    } else if request.stream_options.is_some() {
        edits.remove_member(body, request.root, "stream_options");
    }
    let mut call = String::from("/openai/deployments/");
    path::push_segment(&mut call, target.model);
    call.push_str("/chat/completions?api-version=");
    path::push_segment(&mut call, target.api_version);
    let mut encoded = openai::splice(target, request, body, edits, call);
    if !knows_stream_options && request.stream_options.is_some() {
        encoded.dropped.push("stream_options".to_owned());
    }
    encoded
}
