//! Content blocks as parts of a chat message.

use std::borrow::Cow;

use super::place::Place;
use super::{some, text};
use crate::dialect::DroppedNames;
use crate::json::{self, Kind, Span, Writer};
use crate::request::RequestError;

const REQUIRED: &str = "Field required";

/// A part that is yet to be written. Media are borrowed: they are most of a body.
#[derive(Clone, Debug)]
pub(super) enum Part<'a> {
    Text {
        text: Cow<'a, str>,
        cache_control: Option<Span>,
    },
    Media {
        kind: Media,
        source: Source<'a>,
        cache_control: Option<Span>,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Media {
    Image,
    Document {
        /// OpenAI wants a file to have a name.
        title: String,
    },
}

impl Media {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Media::Image => "image",
            Media::Document { .. } => "document",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Source<'a> {
    Base64 {
        media_type: Cow<'a, str>,
        /// The inside of a string.
        data: Span,
    },
    Url(Cow<'a, str>),
    /// Id of a file that the provider has.
    File(Cow<'a, str>),
}

impl<'a> Part<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Part<'a> {
        Part::Text {
            text: text.into(),
            cache_control: None,
        }
    }

    pub(super) fn write(&self, body: &[u8], out: &mut Writer<'_>) {
        let cached = |cache_control: &Option<Span>, out: &mut Writer<'_>| {
            if let Some(cache_control) = cache_control {
                out.key("cache_control").copy(body, *cache_control);
            }
        };
        match self {
            Part::Text {
                text,
                cache_control,
            } => out.object(|out| {
                out.key("type").string("text");
                out.key("text").string(text);
                cached(cache_control, out);
            }),
            Part::Media {
                kind: Media::Image,
                source,
                cache_control,
            } => out.object(|out| {
                out.key("type").string("image_url");
                out.key("image_url")
                    .object(|out| source.write_url(body, out.key("url")));
                cached(cache_control, out);
            }),
            Part::Media {
                kind: Media::Document { title },
                source,
                cache_control,
            } => out.object(|out| {
                out.key("type").string("file");
                out.key("file").object(|out| match source {
                    Source::File(id) => out.key("file_id").string(id),
                    source => {
                        out.key("filename").string(title);
                        source.write_url(body, out.key("file_data"));
                    }
                });
                cached(cache_control, out);
            }),
        }
    }
}

impl Source<'_> {
    fn write_url(&self, body: &[u8], out: &mut Writer<'_>) {
        match self {
            Source::Base64 { media_type, data } => {
                let mut head = b"data:".to_vec();
                json::escape_into(media_type, &mut head);
                out.escaped(&[&head, b";base64,", data.of(body)]);
            }
            Source::Url(address) | Source::File(address) => out.string(address),
        }
    }
}

/// Writes parts as a `content`: a single text as such, anything else as a list.
pub(super) fn write_content(parts: &[Part<'_>], body: &[u8], out: &mut Writer<'_>) {
    match parts {
        [] => out.string(""),
        [
            Part::Text {
                text,
                cache_control: None,
            },
        ] => out.string(text),
        parts => out.array(|out| parts.iter().for_each(|part| part.write(body, out))),
    }
}

/// The blocks of a `content` with their places: a text is one block.
///
/// # Errors
/// It is neither a text nor a list of objects.
pub(super) fn blocks(
    body: &[u8],
    content: Option<Span>,
    place: Place,
) -> Result<Vec<(Span, Place)>, RequestError> {
    let name = match place {
        Place::System { .. } => "",
        Place::Message { .. } => ".content",
    };
    let Some(content) = content else {
        return Err(place.invalid(name, REQUIRED));
    };
    match json::kind(body, content) {
        Some(Kind::String) => Ok(vec![(content, place)]),
        Some(Kind::Array) => {
            let mut found = Vec::new();
            for (index, block) in json::elements(body, content).enumerate() {
                let place = place.at(index);
                if json::kind(body, block) != Some(Kind::Object) {
                    return Err(place.invalid("", "Input should be an object"));
                }
                found.push((block, place));
            }
            Ok(found)
        }
        _ => Err(place.invalid(name, "Input should be a string or a list of blocks")),
    }
}

/// A text block; `None` for any other.
///
/// # Errors
/// It has no text.
pub(super) fn text_part<'a>(
    body: &'a [u8],
    block: Span,
    place: Place,
) -> Result<Option<Part<'a>>, RequestError> {
    if let Some(text) = json::string(body, block) {
        return Ok(Some(Part::text(text)));
    }
    if text(body, block, "type").as_deref() != Some("text") {
        return Ok(None);
    }
    match text(body, block, "text") {
        Some(text) => Ok(Some(Part::Text {
            text,
            cache_control: some(body, block, "cache_control"),
        })),
        None => Err(place.invalid(".text", REQUIRED)),
    }
}

/// Appends the parts of a block that both a user and a tool may give.
///
/// # Errors
/// A block of another type, or one that is not what its type promises.
pub(super) fn parts<'a>(
    body: &'a [u8],
    block: Span,
    place: Place,
    dropped: &mut DroppedNames,
    out: &mut Vec<Part<'a>>,
) -> Result<(), RequestError> {
    if let Some(part) = text_part(body, block, place)? {
        out.push(part);
        return Ok(());
    }
    let Some(kind) = text(body, block, "type") else {
        return Err(place.invalid(".type", REQUIRED));
    };
    let cache_control = some(body, block, "cache_control");
    match &*kind {
        "image" => out.push(Part::Media {
            kind: Media::Image,
            source: image(body, block, place)?,
            cache_control,
        }),
        "document" => document(body, block, place, dropped, out)?,
        "search_result" => out.push(Part::Text {
            text: Cow::Owned(search_result(body, block, place)?),
            cache_control,
        }),
        // Names a tool that a search found; the tools themselves are all in the request.
        "tool_reference" => dropped.add("messages[].content[].tool_reference"),
        kind => {
            let kind: String = kind.chars().take(64).collect();
            let why = format!("{kind} is no content that can be given here");
            return Err(place.invalid(".type", why));
        }
    }
    Ok(())
}

/// # Errors
/// It is a file of Anthropic's: others know images as data and addresses only.
fn image<'a>(body: &'a [u8], block: Span, place: Place) -> Result<Source<'a>, RequestError> {
    match source(body, block, place, "image/png")? {
        Source::File(_) => Err(place.invalid(
            ".source.type",
            "only Anthropic has that file; send the image as base64 or url",
        )),
        source => Ok(source),
    }
}

fn source<'a>(
    body: &'a [u8],
    block: Span,
    place: Place,
    media_type: &'static str,
) -> Result<Source<'a>, RequestError> {
    let Some(source) = some(body, block, "source") else {
        return Err(place.invalid(".source", REQUIRED));
    };
    let member = |name: &str| {
        text(body, source, name).ok_or_else(|| place.invalid(&format!(".source.{name}"), REQUIRED))
    };
    match &*member("type")? {
        "base64" => {
            member("data")?;
            let data = json::member(body, source, "data").unwrap_or_default();
            let given = text(body, source, "media_type").filter(|it| !it.is_empty());
            Ok(Source::Base64 {
                media_type: given.unwrap_or(Cow::Borrowed(media_type)),
                data: data.unquoted(),
            })
        }
        "url" => member("url").map(Source::Url),
        "file" => member("file_id").map(Source::File),
        _ => Err(place.invalid(
            ".source.type",
            "Input should be base64, url, file, or for a document text or content",
        )),
    }
}

/// A document: a file, or, when it is text, that text under its title.
fn document<'a>(
    body: &'a [u8],
    block: Span,
    place: Place,
    dropped: &mut DroppedNames,
    out: &mut Vec<Part<'a>>,
) -> Result<(), RequestError> {
    let cache_control = some(body, block, "cache_control");
    let title = text(body, block, "title").filter(|title| !title.is_empty());
    let context = text(body, block, "context").filter(|context| !context.is_empty());
    let citations = some(body, block, "citations");
    let cited = citations.and_then(|it| json::member(body, it, "enabled"));
    if cited.and_then(|cited| json::boolean(body, cited)) == Some(true) {
        dropped.add("messages[].content[].citations");
    }
    let inside = some(body, block, "source").unwrap_or_default();
    let head: String = [&title, &context]
        .into_iter()
        .flatten()
        .map(|line| format!("{line}\n\n"))
        .collect();
    let kind = text(body, inside, "type").unwrap_or_default();
    match &*kind {
        "text" => match text(body, inside, "data") {
            Some(data) => out.push(Part::Text {
                text: Cow::Owned(format!("{head}{data}")),
                cache_control,
            }),
            None => return Err(place.invalid(".source.data", REQUIRED)),
        },
        "content" => {
            if !head.is_empty() {
                out.push(Part::text(head.trim_end().to_owned()));
            }
            let content = some(body, inside, "content");
            for (block, place) in blocks(body, content, place)? {
                match text_part(body, block, place)? {
                    Some(part) => out.push(part),
                    None => out.push(Part::Media {
                        kind: Media::Image,
                        source: image(body, block, place)?,
                        cache_control: None,
                    }),
                }
            }
        }
        _ => {
            if let Some(context) = context {
                out.push(Part::text(context));
            }
            out.push(Part::Media {
                kind: Media::Document {
                    title: title.map_or_else(|| "document.pdf".to_owned(), Cow::into_owned),
                },
                source: source(body, block, place, "application/pdf")?,
                cache_control,
            });
        }
    }
    Ok(())
}

/// What a search of the client's own found, as text.
fn search_result(body: &[u8], block: Span, place: Place) -> Result<String, RequestError> {
    let mut found = String::new();
    for name in ["title", "source"] {
        if let Some(line) = text(body, block, name) {
            found.push_str(&line);
            found.push('\n');
        }
    }
    for (block, place) in blocks(body, some(body, block, "content"), place)? {
        match text_part(body, block, place)? {
            Some(Part::Text { text, .. }) => {
                found.push('\n');
                found.push_str(&text);
            }
            _ => return Err(place.invalid(".type", "a search result is text")),
        }
    }
    Ok(found)
}
