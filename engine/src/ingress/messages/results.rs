//! Results of calls, as the messages that OpenAI has for them.

use std::borrow::Cow;

use super::blocks::{self, Part};
use super::place::Place;
use super::{provider_id, some, text};
use crate::dialect::DroppedNames;
use crate::json::{self, Span, Writer};
use crate::request::RequestError;

/// Characters at a result's begin in which it may say by itself that it is an error.
const SAYS_ERROR_CHARS: usize = 40;

/// A tool message.
#[derive(Debug)]
pub(super) struct ToolMessage<'a> {
    pub(super) id: String,
    parts: Vec<Part<'a>>,
}

impl<'a> ToolMessage<'a> {
    /// Reads a `tool_result`. A tool message holds text only: its images and documents go to
    /// `attached`, for the user's message behind it, under numbers that both places name;
    /// `numbered` counts them through the request.
    ///
    /// There is no member for `is_error`: a failure that does not say so itself is marked in its
    /// text.
    ///
    /// # Errors
    /// Neither id nor content is what it should be.
    pub(super) fn read(
        body: &'a [u8],
        block: Span,
        place: Place,
        numbered: &mut usize,
        attached: &mut Vec<Part<'a>>,
        dropped: &mut DroppedNames,
    ) -> Result<ToolMessage<'a>, RequestError> {
        let id = text(body, block, "tool_use_id").filter(|id| !id.is_empty());
        let Some(id) = id else {
            return Err(place.invalid(".tool_use_id", "Field required"));
        };
        let mut given = Vec::new();
        if let Some(content) = some(body, block, "content") {
            for (block, place) in blocks::blocks(body, Some(content), place)? {
                blocks::parts(body, block, place, dropped, &mut given)?;
            }
        }
        let mut parts = Vec::with_capacity(given.len());
        for part in given {
            match part {
                Part::Text { .. } => parts.push(part),
                Part::Media { ref kind, .. } => {
                    *numbered = numbered.saturating_add(1);
                    let label = format!("[{} {numbered}]", kind.name());
                    parts.push(Part::text(format!("{label} (in the next message)")));
                    attached.push(Part::text(label));
                    attached.push(part);
                }
            }
        }
        let failed = some(body, block, "is_error");
        if failed.and_then(|failed| json::boolean(body, failed)) == Some(true) {
            mark_error(&mut parts);
        }
        if let Some(all) = some(body, block, "cache_control")
            && let Some(Part::Text { cache_control, .. }) = parts.last_mut()
        {
            cache_control.get_or_insert(all);
        }
        Ok(ToolMessage {
            id: provider_id(id).into_owned(),
            parts,
        })
    }

    pub(super) fn write(&self, body: &[u8], out: &mut Writer<'_>) {
        out.object(|out| {
            out.key("role").string("tool");
            out.key("tool_call_id").string(&self.id);
            blocks::write_content(&self.parts, body, out.key("content"));
        });
    }
}

fn mark_error(parts: &mut Vec<Part<'_>>) {
    let Some(Part::Text { text, .. }) = parts.first_mut() else {
        return parts.insert(0, Part::text("Error"));
    };
    let begin: String = text.chars().take(SAYS_ERROR_CHARS).collect();
    if !begin.to_ascii_lowercase().contains("error") {
        *text = Cow::Owned(format!("Error: {text}"));
    }
}
