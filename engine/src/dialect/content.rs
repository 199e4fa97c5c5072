//! Contents of messages as parts, for formats that have parts of their own.

use std::borrow::Cow;

use crate::json::{self, Kind, Span};
use crate::request::RequestError;

/// A part of a content. Media are borrowed: they are most of a body.
#[derive(Clone, Debug)]
pub(super) enum Part<'a> {
    /// Never blank.
    Text(Cow<'a, str>),
    /// A file that is in the request itself.
    Data {
        /// `image/png`, lower case.
        media_type: String,
        base64: Cow<'a, str>,
        name: Option<Cow<'a, str>>,
    },
    /// A file that is elsewhere.
    Link(Cow<'a, str>),
}

fn text<'a>(body: &'a [u8], object: Span, name: &str) -> Option<Cow<'a, str>> {
    json::string(body, json::member(body, object, name)?)
}

/// Reads a `content`: a text, a list of parts or nothing. Blank texts are left out. `place` names
/// the content in errors: `messages[3].content`.
///
/// # Errors
/// A part of a type that no format has a counterpart for, or that is not what its type promises.
pub(super) fn parts<'a>(
    body: &'a [u8],
    content: Option<Span>,
    place: &str,
) -> Result<Vec<Part<'a>>, RequestError> {
    each(body, content, place, said, |one, place| {
        part(body, one, place)
    })
}

/// Reads each part of a `content` with `part`, or all of it with `said` when it is one text.
pub(super) fn each<'a, T>(
    body: &'a [u8],
    content: Option<Span>,
    place: &str,
    said: impl Fn(Cow<'a, str>) -> Option<T>,
    part: impl Fn(Span, &str) -> Result<Option<T>, RequestError>,
) -> Result<Vec<T>, RequestError> {
    let Some(content) = content else {
        return Ok(Vec::new());
    };
    match json::kind(body, content) {
        Some(Kind::String) => Ok(json::string(body, content)
            .and_then(said)
            .into_iter()
            .collect()),
        Some(Kind::Array) => {
            let mut found = Vec::new();
            for (index, one) in json::elements(body, content).enumerate() {
                found.extend(part(one, &format!("{place}[{index}]"))?);
            }
            Ok(found)
        }
        Some(Kind::Null) => Ok(Vec::new()),
        _ => Err(RequestError::invalid(
            place,
            "content must be a string or a list of parts",
        )),
    }
}

fn said(text: Cow<'_, str>) -> Option<Part<'_>> {
    (!text.trim().is_empty()).then_some(Part::Text(text))
}

fn part<'a>(body: &'a [u8], part: Span, place: &str) -> Result<Option<Part<'a>>, RequestError> {
    if let Some(text) = json::string(body, part) {
        return Ok(said(text));
    }
    let refuse = |why: &str| Err(RequestError::invalid(place, why));
    match &*text(body, part, "type").unwrap_or_default() {
        "text" | "input_text" | "output_text" => Ok(text(body, part, "text").and_then(said)),
        "refusal" => Ok(text(body, part, "refusal").and_then(said)),
        "image_url" | "input_image" => {
            let image = json::member(body, part, "image_url");
            let url = image
                .and_then(|image| text(body, image, "url").or_else(|| json::string(body, image)));
            match url {
                Some(url) => media(url, None, place).map(Some),
                None => refuse("an image part needs image_url.url"),
            }
        }
        "file" => {
            let file = json::member(body, part, "file").unwrap_or_default();
            match text(body, file, "file_data") {
                Some(data) => media(data, text(body, file, "filename"), place).map(Some),
                None => refuse("this provider takes files only as file_data"),
            }
        }
        "input_audio" => {
            let audio = json::member(body, part, "input_audio").unwrap_or_default();
            let format = text(body, audio, "format").unwrap_or_default();
            match text(body, audio, "data") {
                Some(base64) => Ok(Some(Part::Data {
                    media_type: format!("audio/{}", format.to_ascii_lowercase()),
                    base64,
                    name: None,
                })),
                None => refuse("an audio part needs input_audio.data"),
            }
        }
        // Thinking comes back in a member of its own.
        "thinking" | "redacted_thinking" => Ok(None),
        _ => refuse("this provider takes no content of that type"),
    }
}

/// An image or document from a data URL or an address.
fn media<'a>(
    url: Cow<'a, str>,
    name: Option<Cow<'a, str>>,
    place: &str,
) -> Result<Part<'a>, RequestError> {
    if ["https://", "http://", "gs://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Ok(Part::Link(url));
    }
    let (media_type, base64) = data_url(url, place)?;
    Ok(Part::Data {
        media_type,
        base64,
        name,
    })
}

/// Media type (lower case) and base64 of a data URL.
///
/// # Errors
/// It is none.
pub(super) fn data_url<'a>(
    url: Cow<'a, str>,
    place: &str,
) -> Result<(String, Cow<'a, str>), RequestError> {
    let parsed = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(','));
    let Some((head, data)) = parsed.filter(|(head, _)| head.ends_with(";base64")) else {
        let message = "media must be an http(s) address or a base64 data URL";
        return Err(RequestError::invalid(place, message));
    };
    let media_type = head.split(';').next().unwrap_or_default();
    let media_type = match media_type.to_ascii_lowercase() {
        // Both are names for the same thing, and servers know one.
        jpg if jpg == "image/jpg" => "image/jpeg".to_owned(),
        other => other,
    };
    let at = url.len().saturating_sub(data.len());
    let base64 = match url {
        Cow::Borrowed(url) => Cow::Borrowed(url.get(at..).unwrap_or_default()),
        Cow::Owned(mut url) => Cow::Owned(url.split_off(at)),
    };
    Ok((media_type, base64))
}
