//! The request as one provider wants it: path, authority, credentials, body.

use std::borrow::Cow;

use super::{
    Endpoint, Env, Exchange, HEADER_EXCHANGE, HEADER_HOST, HEADER_RETRY, HEADER_TARGET, TARGET_NONE,
};
use crate::dialect::{self, Form, NativeCall};
use crate::digits::Decimal;
use crate::headers::Headers;
use crate::ingress::Ingress;
use crate::json::Edits;
use crate::keys::KEY_HEADERS;
use crate::plan::Target;
use crate::request::RequestError;
use crate::wire::{Dialect, Provider};

/// Request headers that end here: ours, the client's credentials, and what would make a provider
/// answer in a form nobody can read on the way (compressed) or with the wrong length.
fn ends_here(name: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 4] = [b"x-weir-", b"x-portkey-", b"x-envoy-", b"x-stainless-"];
    const NAMES: [&[u8]; 9] = [
        b"accept-encoding",
        b"content-length",
        b"cookie",
        b"expect",
        b"host",
        b"x-forwarded-for",
        b"proxy-authorization",
        b"openai-organization",
        b"openai-project",
    ];
    KEY_HEADERS.iter().any(|header| header.as_bytes() == name)
        || NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn replaced(name: &[u8]) -> bool {
    matches!(name, b":path" | b":authority")
}

impl Exchange {
    /// How the call goes to `target`.
    pub(super) fn form(&self, target: &Target) -> Form {
        let provider = &target.provider;
        match self.endpoint {
            Some(Endpoint::Conversation(ingress)) if speaks(provider, ingress, &target.model) => {
                Form::Native(ingress)
            }
            Some(Endpoint::CountTokens) if speaks(provider, Ingress::Messages, "") => {
                Form::Native(Ingress::Messages)
            }
            Some(Endpoint::Embeddings) => Form::Embeddings,
            Some(Endpoint::Through(through)) => Form::Through(through),
            _ => Form::Chat,
        }
    }

    /// Whether the target's dialect can carry the request at all.
    pub(super) fn encodable(&self, target: &Target) -> Result<(), RequestError> {
        match target.provider.dialect {
            // Splices only: nothing a valid request holds can fail.
            Dialect::Openai
                if self.endpoint == Some(Endpoint::Chat) && target.provider.params.is_empty() =>
            {
                Ok(())
            }
            _ => self.encode(target).map(|_| ()),
        }
    }

    fn encode<'a>(&'a self, target: &'a Target) -> Result<dialect::Encoded<'a>, RequestError> {
        // The grant's cap is for the target with the most room; each is held at its own maximum.
        let output_cap = self.output_cap.map(|cap| match target.output_max {
            0 => cap,
            most => cap.min(most),
        });
        let wanted = dialect::Target {
            dialect: target.provider.dialect,
            model: &target.model,
            output_cap,
            output_max: target.output_max,
            api_version: &target.provider.api_version,
            strict: target.provider.strict_params,
            rules: Some(&target.provider.params),
        };
        let form = self.form(target);
        let mut encoded = match (form, &self.call, &self.request) {
            (Form::Embeddings, Some(call), _) => {
                dialect::embeddings::encode(&wanted, call, &self.body)?
            }
            (Form::Native(_) | Form::Through(_), call, _) => {
                let native = NativeCall {
                    form,
                    path: self.head.text(":path").unwrap_or_default(),
                    call: call.as_ref(),
                    is_json: self.is_json,
                    has_version: self.head.get("anthropic-version").is_some(),
                };
                dialect::encode_native(&wanted, &native, &self.body)?
            }
            (_, _, Some(request)) if self.translated.is_some() => {
                dialect::encode_translated(&wanted, request, self.chat_body())?
            }
            (_, _, Some(request)) => {
                dialect::encode(&wanted, request, self.chat_body(), Edits::default())?
            }
            _ => return Err(self.untranslatable.clone().unwrap_or_else(unread)),
        };
        if let (Form::Chat, Some(translated)) = (form, &self.translated) {
            encoded.dropped.extend(translated.dropped.iter().cloned());
        }
        match encoded.dropped.first() {
            Some(name) if wanted.strict => Err(RequestError::invalid(
                name.as_str(),
                format!("this provider does not take {name}"),
            )),
            _ => Ok(encoded),
        }
    }

    /// Head and body for the current target; no body where the client's own serves.
    pub(super) fn upstream(
        &mut self,
        env: &Env<'_>,
    ) -> Result<(Headers, Option<Vec<u8>>), RequestError> {
        let target = self.target().ok_or_else(unread)?;
        let form = self.form(target);
        let encoded = self.encode(target)?;
        let provider = &target.provider;
        let mut headers = self.base_headers();
        if self.has_adapter() {
            // Envoy matches no route without x-forwarded-proto, and takes both away only once.
            headers =
                headers.filtered(|name| name != b"x-forwarded-proto" && name != b"x-request-id");
        }
        if form == Form::Chat && self.call.is_some() {
            headers = headers.filtered(|name| !name.starts_with(b"anthropic-"));
        }
        // A virtual host may be chosen by the name that clients use, and the route is chosen once more.
        let host = if self.has_adapter() || self.route_tries.is_none() {
            ":authority"
        } else {
            if let Some(client) = self.head.get(":authority") {
                headers.push(":authority", client);
            }
            HEADER_HOST
        };
        let own = self
            .credentials
            .iter()
            .find(|(name, _)| *name == provider.name);
        let own = own.map(|(_, secret)| secret.as_str());
        // What a client of OpenAI asks of OpenAI goes the same way each time.
        let is_usual = !self.has_adapter()
            && own.is_none()
            && self.endpoint == Some(Endpoint::Chat)
            && provider.dialect == Dialect::Openai;
        let make = || {
            let mut way = Headers::default();
            push_way(&mut way, host, provider, form, &encoded, own);
            self.push_direct(&mut way);
            way
        };
        let way = is_usual.then(|| {
            target
                .ways
                .get(self.streams(), self.route_tries.as_ref(), make)
        });
        let way = way.flatten();
        let is_said = way.is_some();
        match way {
            Some(way) => headers.extend(way),
            None => push_way(&mut headers, host, provider, form, &encoded, own),
        }
        if !encoded.body.is_empty() {
            headers.push("content-length", Decimal::of_len(encoded.body.len()));
        }
        if form == Form::Chat && self.translated.is_some() || form == Form::Embeddings {
            headers = headers.filtered(|name| name != b"content-type");
            headers.push("content-type", "application/json");
        }
        let dropped = encoded.dropped;
        let changed = self.redacted || (form == Form::Chat && self.translated.is_some());
        let body = match encoded.body {
            Cow::Owned(body) => Some(body),
            Cow::Borrowed(body) => changed.then(|| body.to_vec()),
        };
        if self.has_adapter() {
            headers.push(HEADER_TARGET, self.next_target());
            headers.push(HEADER_EXCHANGE, &self.id);
        } else if !is_said {
            self.push_direct(&mut headers);
        }
        self.outcome.dropped = dropped;
        self.progress.attempt_started(env.now_ms);
        Ok((headers, body))
    }

    /// Headers that send a request to its only target.
    fn push_direct(&self, headers: &mut Headers) {
        let name = self.target().map(|target| target.provider.name.as_str());
        let name = name.unwrap_or_default();
        headers.push(HEADER_TARGET, format!("{name}/direct"));
        self.push_retries(headers);
    }

    /// Headers that send a request of several targets to the first one's adapter.
    pub(super) fn routing_headers(&self) -> Headers {
        let mut headers = self.base_headers();
        for name in [":path", ":authority"] {
            if let Some(value) = self.head.get(name) {
                headers.push(name, value);
            }
        }
        if !self.body.is_empty() {
            headers.push("content-length", Decimal::of_len(self.body.len()));
        }
        let first = self
            .plan
            .targets
            .first()
            .map(|target| target.provider.name.as_str());
        headers.push(HEADER_TARGET, first.unwrap_or(TARGET_NONE));
        headers.push(HEADER_EXCHANGE, &self.id);
        self.push_retries(&mut headers);
        headers
    }

    fn base_headers(&self) -> Headers {
        self.head
            .filtered(|name| !ends_here(name) && !replaced(name))
    }
}

/// Where a provider is called, with its name in the header `host`, and as whom.
fn push_way(
    headers: &mut Headers,
    host: &str,
    provider: &Provider,
    form: Form,
    encoded: &dialect::Encoded<'_>,
    own: Option<&str>,
) {
    let path = if provider.chat_path.is_empty() || form != Form::Chat {
        &*encoded.path
    } else {
        provider.chat_path.as_str()
    };
    headers.push(":path", [&provider.base_path, path].concat());
    headers.push(host, &provider.authority);
    if let Some(secret) = own.or(provider.api_key.as_deref()) {
        headers.push(
            &provider.auth_header,
            [&provider.auth_prefix, secret].concat(),
        );
    }
    for (name, value) in &encoded.headers {
        headers.push(name, value);
    }
    for (name, value) in &provider.headers {
        headers.push(name, value);
    }
}

fn unread() -> RequestError {
    RequestError::invalid("", "the request was not planned")
}

/// Whether a provider takes a conversation in that form as it is.
fn speaks(provider: &Provider, ingress: Ingress, model: &str) -> bool {
    match ingress {
        Ingress::Messages => provider.dialect == Dialect::Anthropic,
        Ingress::Responses => provider.serves.contains(&ingress),
        Ingress::Completions => {
            provider.serves.contains(&ingress)
                || (provider.dialect == Dialect::Openai && completes(model))
        }
    }
}

/// OpenAI's models that know no chat.
fn completes(model: &str) -> bool {
    model.starts_with("gpt-3.5-turbo-instruct")
        || model.starts_with("davinci-")
        || model.starts_with("babbage-")
}

/// Answer headers of a provider that do not reach the client: those about one hop, those that
/// speak of the operator's account, and those Weir writes itself.
pub(super) fn stays_behind(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 9] = [
        b"content-length",
        b"set-cookie",
        b"openai-organization",
        b"openai-project",
        b"server",
        b"transfer-encoding",
        b"x-envoy-upstream-service-time",
        b"alt-svc",
        b"strict-transport-security",
    ];
    NAMES.contains(&name)
        || name == HEADER_RETRY.as_bytes()
        || name.starts_with(b"x-ratelimit-")
        || name.starts_with(b"anthropic-ratelimit-")
        || name.starts_with(b"x-weir-")
}
