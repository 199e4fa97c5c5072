//! Contents of items, as places in the request.

use super::{is_string, some, string, text};
use crate::json::{self, Kind, Span, Writer};
use crate::request::RequestError;

/// Members of a part that mark where a cached prompt may end.
const MARKS: [&str; 2] = ["cache_control", "prompt_cache_breakpoint"];

/// A part of a content. What it holds is never copied before it is written: media are most of a
/// body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    said: Said,
    /// The part itself; empty when the content is one text.
    object: Span,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Audio(Span),
    File {
        data: Option<Span>,
        id: Option<Span>,
        name: Option<Span>,
    },
    Image {
        url: Span,
        detail: Option<Span>,
    },
    Refusal(Span),
    Text(Span),
}

/// Reads a content: a string, or a list of parts. `place` names it in errors.
pub(super) fn read(
    body: &[u8],
    content: Option<Span>,
    place: &str,
) -> Result<Vec<Part>, RequestError> {
    let content = content.unwrap_or_default();
    match json::kind(body, content) {
        Some(Kind::String) => Ok(vec![Part {
            said: Said::Text(content),
            object: Span::default(),
        }]),
        Some(Kind::Array) => json::elements(body, content)
            .enumerate()
            .map(|(index, part)| Part::read(body, part, &format!("{place}[{index}]")))
            .collect(),
        _ => {
            let message = format!("'{place}' must be a string or a list of parts");
            Err(RequestError::invalid(place, message))
        }
    }
}

impl Part {
    fn read(body: &[u8], part: Span, place: &str) -> Result<Part, RequestError> {
        let lacks = |member: &str, what: &str| {
            let place = format!("{place}.{member}");
            let message = format!("'{place}' {what}");
            Err(RequestError::invalid(place, message))
        };
        let kind = text(body, part, "type").unwrap_or_default();
        let said = match &*kind {
            "input_text" | "output_text" | "summary_text" | "text" => {
                match string(body, part, "text") {
                    Some(text) => Said::Text(text),
                    None => return lacks("text", "must be a string"),
                }
            }
            "refusal" => match string(body, part, "refusal") {
                Some(refusal) => Said::Refusal(refusal),
                None => return lacks("refusal", "must be a string"),
            },
            "input_image" | "image_url" => {
                let image = some(body, part, "image_url").unwrap_or_default();
                // Some clients write it as for a chat completion.
                let url = string(body, image, "url").unwrap_or(image);
                if !is_string(body, url) {
                    return lacks("image_url", "is needed: this provider has no stored files");
                }
                Said::Image {
                    url,
                    detail: string(body, part, "detail").or_else(|| string(body, image, "detail")),
                }
            }
            "input_file" => {
                let data =
                    string(body, part, "file_data").or_else(|| string(body, part, "file_url"));
                let id = string(body, part, "file_id");
                if data.is_none() && id.is_none() {
                    return lacks("file_data", "is needed");
                }
                Said::File {
                    data,
                    id,
                    name: string(body, part, "filename"),
                }
            }
            "input_audio" => match some(body, part, "input_audio") {
                Some(audio) => Said::Audio(audio),
                None => return lacks("input_audio", "is needed"),
            },
            _ => return lacks("type", "is no type of content that this provider takes"),
        };
        Ok(Part { said, object: part })
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.said, Said::Text(_) | Said::Refusal(_))
    }

    /// The text of a part that is nothing else.
    fn bare_text(&self, body: &[u8]) -> Option<Span> {
        let is_marked = MARKS
            .iter()
            .any(|mark| some(body, self.object, mark).is_some());
        match self.said {
            Said::Text(text) if !is_marked => Some(text),
            _ => None,
        }
    }

    fn write(&self, body: &[u8], out: &mut Writer<'_>) {
        out.object(|out| {
            match self.said {
                Said::Audio(audio) => {
                    out.key("type").string("input_audio");
                    out.key("input_audio").copy(body, audio);
                }
                Said::File { data, id, name } => {
                    out.key("type").string("file");
                    out.key("file").object(|out| {
                        for (key, value) in
                            [("file_data", data), ("file_id", id), ("filename", name)]
                        {
                            if let Some(value) = value {
                                out.key(key).copy(body, value);
                            }
                        }
                    });
                }
                Said::Image { url, detail } => {
                    out.key("type").string("image_url");
                    out.key("image_url").object(|out| {
                        out.key("url").copy(body, url);
                        if let Some(detail) = detail {
                            out.key("detail").copy(body, detail);
                        }
                    });
                }
                Said::Refusal(refusal) => {
                    out.key("type").string("refusal");
                    out.key("refusal").copy(body, refusal);
                }
                Said::Text(text) => {
                    out.key("type").string("text");
                    out.key("text").copy(body, text);
                }
            }
            for mark in MARKS {
                if let Some(value) = some(body, self.object, mark) {
                    out.key(mark).copy(body, value);
                }
            }
        });
    }
}

/// Writes a content. One text is written as such: many servers take no lists but from users.
pub(super) fn write(body: &[u8], parts: &[Part], out: &mut Writer<'_>) {
    match parts {
        [] => out.string(""),
        [part] if let Some(text) = part.bare_text(body) => out.copy(body, text),
        _ => out.array(|out| write_each(body, parts, out)),
    }
}

/// Writes the parts without the brackets of a list.
pub(super) fn write_each(body: &[u8], parts: &[Part], out: &mut Writer<'_>) {
    parts.iter().for_each(|part| part.write(body, out));
}
