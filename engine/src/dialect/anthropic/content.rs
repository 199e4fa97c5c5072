//! Contents of messages as content blocks.

use std::borrow::Cow;

use crate::dialect::content;
use crate::json::{self, Span, Writer};
use crate::request::RequestError;

/// A content block that is yet to be written. Media are borrowed: they are most of a body.
#[derive(Clone, Debug)]
pub(super) enum Block<'a> {
    /// Never blank: the API refuses a blank text block.
    Text {
        text: Cow<'a, str>,
        cache_control: Option<Span>,
    },
    Media {
        /// `image` or `document`.
        kind: &'static str,
        /// `image/png`.
        media_type: String,
        base64: Cow<'a, str>,
        title: Option<Cow<'a, str>>,
    },
    /// A block that is JSON already.
    Json(Vec<u8>),
}

impl<'a> Block<'a> {
    /// A text block, or nothing for a blank text.
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Option<Block<'a>> {
        let text = text.into();
        (!text.trim().is_empty()).then_some(Block::Text {
            text,
            cache_control: None,
        })
    }

    pub(super) fn json(write: impl FnOnce(&mut Writer<'_>)) -> Block<'a> {
        let mut json = Vec::new();
        write(&mut Writer::new(&mut json));
        Block::Json(json)
    }

    pub(super) fn write(&self, body: &[u8], out: &mut Writer<'_>) {
        match self {
            Block::Json(json) => out.raw(json),
            Block::Text {
                text,
                cache_control,
            } => out.object(|out| {
                out.key("type").string("text");
                out.key("text").string(text);
                if let Some(cache_control) = cache_control {
                    out.key("cache_control").copy(body, *cache_control);
                }
            }),
            Block::Media {
                kind,
                media_type,
                base64,
                title,
            } => out.object(|out| {
                out.key("type").string(kind);
                out.key("source").object(|out| {
                    out.key("type").string("base64");
                    out.key("media_type").string(media_type);
                    out.key("data").string(base64);
                });
                if let Some(title) = title {
                    out.key("title").string(title);
                }
            }),
        }
    }
}

/// Reads a `content`: a text, a list of parts or nothing. Blank texts are left out. `place` names
/// the content in errors: `messages[3].content`.
///
/// # Errors
/// A part that has no counterpart (audio), or that is not what its type promises.
pub(super) fn blocks<'a>(
    body: &'a [u8],
    content: Option<Span>,
    place: &str,
) -> Result<Vec<Block<'a>>, RequestError> {
    content::each(body, content, place, Block::text, |part, place| {
        block(body, part, place)
    })
}

fn block<'a>(body: &'a [u8], part: Span, place: &str) -> Result<Option<Block<'a>>, RequestError> {
    let text = |object: Span, name: &str| {
        let value = json::member(body, object, name)?;
        json::string(body, value)
    };
    if let Some(text) = json::string(body, part) {
        return Ok(Block::text(text));
    }
    let kind = text(part, "type").unwrap_or_default();
    match &*kind {
        "text" | "input_text" | "output_text" => {
            let mut block = text(part, "text").and_then(Block::text);
            if let Some(Block::Text { cache_control, .. }) = &mut block {
                *cache_control = json::member(body, part, "cache_control");
            }
            Ok(block)
        }
        "refusal" => Ok(text(part, "refusal").and_then(Block::text)),
        "image_url" | "input_image" => {
            let image = json::member(body, part, "image_url");
            let url =
                image.and_then(|image| text(image, "url").or_else(|| json::string(body, image)));
            match url {
                Some(url) => media(url, "image", None, place).map(Some),
                None => Err(RequestError::invalid(
                    place,
                    "an image part needs image_url.url",
                )),
            }
        }
        "file" => {
            let file = json::member(body, part, "file").unwrap_or_default();
            if let Some(data) = text(file, "file_data") {
                return media(data, "document", text(file, "filename"), place).map(Some);
            }
            match text(file, "file_id") {
                Some(id) => Ok(Some(source("document", "file", "file_id", &id))),
                None => Err(RequestError::invalid(
                    place,
                    "a file part needs file_data or file_id",
                )),
            }
        }
        // Blocks that are Anthropic's own already.
        "image" | "document" | "search_result" | "thinking" | "redacted_thinking" => {
            Ok(Some(Block::json(|out| out.copy(body, part))))
        }
        _ => Err(RequestError::invalid(
            place,
            "this provider takes no content of that type",
        )),
    }
}

/// An image or document from a data URL or a web address.
fn media<'a>(
    url: Cow<'a, str>,
    kind: &'static str,
    title: Option<Cow<'a, str>>,
    place: &str,
) -> Result<Block<'a>, RequestError> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(source(kind, "url", "url", &url));
    }
    let (media_type, base64) = content::data_url(url, place)?;
    // A PDF may come as an image part from clients that know no file parts.
    let kind = if media_type == "application/pdf" {
        "document"
    } else {
        kind
    };
    Ok(Block::Media {
        kind,
        media_type,
        base64,
        title,
    })
}

fn source<'a>(kind: &str, source_type: &str, member: &str, value: &str) -> Block<'a> {
    Block::json(|out| {
        out.object(|out| {
            out.key("type").string(kind);
            out.key("source").object(|out| {
                out.key("type").string(source_type);
                out.key(member).string(value);
            });
        });
    })
}
