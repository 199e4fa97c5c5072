//! Thoughts without a signature, on their way to Anthropic.

use memchr::memmem;

use super::{some, text};
use crate::json::{self, Edits, Kind, Span, Writer};

/// Stands in a message that held nothing else: an empty one would be refused.
const NO_TEXT: &str = ".";

/// Takes thinking without a signature out of a request that goes to Anthropic as it is: other
/// providers' thoughts have none, and a conversation that began with one of them would be refused
/// from then on.
pub(crate) fn leave_out_unsigned(body: &[u8], root: Span, edits: &mut Edits) {
    if memmem::find(body, b"\"thinking\"").is_none() {
        return;
    }
    let messages = some(body, root, "messages").unwrap_or_default();
    for message in json::elements(body, messages) {
        let Some(content) = some(body, message, "content")
            .filter(|content| json::kind(body, *content) == Some(Kind::Array))
        else {
            continue;
        };
        if !json::elements(body, content).any(|block| is_unsigned(body, block)) {
            continue;
        }
        let mut kept = Vec::new();
        Writer::new(&mut kept).array(|out| {
            let mut blocks = json::elements(body, content)
                .filter(|block| !is_unsigned(body, *block))
                .peekable();
            if blocks.peek().is_none() {
                out.object(|out| {
                    out.key("type").string("text");
                    out.key("text").string(NO_TEXT);
                });
            }
            blocks.for_each(|block| out.copy(body, block));
        });
        edits.replace(content, kept);
    }
}

fn is_unsigned(body: &[u8], block: Span) -> bool {
    text(body, block, "type").as_deref() == Some("thinking")
        && text(body, block, "signature").is_none_or(|signature| signature.is_empty())
}
