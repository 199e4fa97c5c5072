//! Calls in a form that the provider speaks itself: spliced where they must change, else as they
//! came.

use super::{Encoded, Target, parameters, path};
use crate::endpoint::Through;
use crate::ingress::{self, Ingress};
use crate::json::{self, Edits, Kind};
use crate::request::{Call, RequestError};
use crate::wire::Dialect;

use super::parameters::DroppedNames;

/// How a call goes to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a chat completion, whatever the client speaks.
    Chat,
    /// As embeddings.
    Embeddings,
    /// In the client's own form, which is the provider's too.
    Native(Ingress),
    /// As it came, not looked at.
    Through(Through),
}

/// A call in the client's own form.
#[derive(Clone, Copy, Debug)]
pub struct NativeCall<'a> {
    /// [`Form::Native`] or [`Form::Through`].
    pub form: Form,
    /// The client's path and query.
    pub path: &'a str,
    /// What the body holds; `None` for a call without one.
    pub call: Option<&'a Call>,
    /// Whether the body is JSON.
    pub is_json: bool,
    /// The client's `anthropic-version`.
    pub has_version: bool,
}

const ANTHROPIC_VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// Writes the call for `target`.
///
/// # Errors
/// A parameter that the operator's rules refuse, or would drop when the target is strict.
pub fn encode<'a>(
    target: &Target<'_>,
    native: &NativeCall<'_>,
    body: &'a [u8],
) -> Result<Encoded<'a>, RequestError> {
    let mut dropped = DroppedNames::default();
    let mut edits = Edits::default();
    if let Some(call) = native.call {
        edit(target, native, call, body, &mut edits, &mut dropped)?;
    }
    let body = if edits.is_empty() {
        body.into()
    } else {
        edits.apply(body).into()
    };
    let is_messages = native.form == Form::Native(Ingress::Messages);
    let version = (is_messages && !native.has_version).then_some(ANTHROPIC_VERSION);
    Ok(Encoded {
        path: path_of(target, native).into(),
        body,
        headers: version.into_iter().collect(),
        dropped: dropped.into_names(),
    })
}

fn edit(
    target: &Target<'_>,
    native: &NativeCall<'_>,
    call: &Call,
    body: &[u8],
    edits: &mut Edits,
    dropped: &mut DroppedNames,
) -> Result<(), RequestError> {
    if let Some(span) = call.model_span.filter(|_| call.model != target.model) {
        // In a form, the value stands without quotes.
        let quoted = body.get(span.start) == Some(&b'"');
        let mut model = Vec::new();
        if quoted {
            json::Writer::new(&mut model).string(target.model);
        } else {
            model.extend_from_slice(target.model.as_bytes());
        }
        edits.replace(span, model);
    }
    if !native.is_json {
        return Ok(());
    }
    if let Some(rules) = target.rules.filter(|rules| !rules.is_empty()) {
        parameters::apply(rules, body, call.root, edits, dropped)?;
    }
    match native.form {
        Form::Native(Ingress::Completions) if call.stream => {
            let options = json::member(body, call.root, "stream_options")
                .filter(|options| json::kind(body, *options) == Some(Kind::Object));
            match options {
                Some(options) => edits.set_member(body, options, "include_usage", "true"),
                None => {
                    let options = r#"{"include_usage":true}"#;
                    edits.set_member(body, call.root, "stream_options", options);
                }
            }
        }
        Form::Native(Ingress::Messages) => {
            ingress::messages_leave_out_foreign(body, call.root, edits);
        }
        Form::Native(Ingress::Responses) => {
            let background = json::member(body, call.root, "background");
            if background.and_then(|value| json::boolean(body, value)) == Some(true) {
                return Err(RequestError::invalid(
                    "background",
                    "a response in the background cannot be accounted for here",
                ));
            }
            ingress::responses_leave_out_sealed(body, call.root, edits);
            if let Some(cap) = target.output_cap
                && json::member(body, call.root, "max_output_tokens")
                    .is_none_or(|cap| json::kind(body, cap) == Some(Kind::Null))
            {
                edits.set_member(body, call.root, "max_output_tokens", cap.to_string());
            }
        }
        _ => {}
    }
    Ok(())
}

fn path_of(target: &Target<'_>, native: &NativeCall<'_>) -> String {
    // Anthropic's base address is without a version.
    if native.form == Form::Native(Ingress::Messages) {
        return native.path.to_owned();
    }
    let rest = native.path.strip_prefix("/v1").unwrap_or(native.path);
    if target.dialect != Dialect::Azure {
        return rest.to_owned();
    }
    if target.api_version.is_empty() {
        return format!("/openai/v1{rest}");
    }
    let mut call = String::from("/openai");
    let by_deployment = matches!(
        native.form,
        Form::Native(Ingress::Completions) | Form::Through(Through::Audio | Through::Images)
    );
    if by_deployment {
        call.push_str("/deployments/");
        path::push_segment(&mut call, target.model);
    }
    call.push_str(rest);
    call.push(if rest.contains('?') { '&' } else { '?' });
    call.push_str("api-version=");
    path::push_segment(&mut call, target.api_version);
    call
}
