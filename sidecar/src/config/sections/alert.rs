//! `alerts`.

use std::path::Path;

use super::super::reader::{Object, Reader};
use super::super::{Endpoint, Host, WebhookConfig};
use super::optional_secret;

/// Who is told of alerts.
pub(super) fn webhook(
    top: &mut Object<'_>,
    data: &Path,
    reader: &mut Reader<'_>,
) -> Option<WebhookConfig> {
    let mut alerts = top
        .member("alerts")
        .and_then(|field| reader.object(field))?;
    let webhook = alerts
        .required("webhook", reader)
        .and_then(|field| reader.object(field));
    alerts.finish(reader);
    let mut webhook = webhook?;
    let endpoint = webhook.required("url", reader).and_then(|field| {
        let url = reader.text(&field)?;
        match Endpoint::parse(&url, data) {
            Ok(endpoint) if !matches!(endpoint.host, Host::Demo(_)) => Some(endpoint),
            Ok(_) => {
                reader.problem(&field, "`demo` takes no alerts");
                None
            }
            Err(message) => {
                reader.problem(&field, message);
                None
            }
        }
    });
    let secret = webhook
        .member("secret")
        .and_then(|field| optional_secret(field, reader));
    let ca = webhook.member("ca").and_then(|field| reader.text(&field));
    webhook.finish(reader);
    Some(WebhookConfig {
        endpoint: endpoint?,
        secret,
        ca: ca.map(Into::into),
    })
}
