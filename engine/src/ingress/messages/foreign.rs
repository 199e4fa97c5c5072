//! What other providers left in a conversation, on its way to Anthropic.

use memchr::memmem;

use super::{EXTRA, some, text};
use crate::json::{self, Edits, Kind, Span, Writer};

/// Stands in a message that held nothing else: an empty one would be refused.
const NO_TEXT: &str = ".";

/// Takes out of a request that goes to Anthropic as it is what it would refuse: thinking without a
/// signature, which other providers' thoughts have none of, and Google's signature of a call. A
/// conversation that began with one of them could not go on else.
pub(crate) fn leave_out_foreign(body: &[u8], root: Span, edits: &mut Edits) {
    let may_hold = |name: &[u8]| memmem::find(body, name).is_some();
    if !may_hold(b"\"thinking\"") && !may_hold(EXTRA.as_bytes()) {
        return;
    }
    let messages = some(body, root, "messages").unwrap_or_default();
    for message in json::elements(body, messages) {
        let Some(content) = some(body, message, "content")
            .filter(|content| json::kind(body, *content) == Some(Kind::Array))
        else {
            continue;
        };
        let is_foreign =
            |block: Span| is_unsigned(body, block) || some(body, block, EXTRA).is_some();
        if !json::elements(body, content).any(is_foreign) {
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
            blocks.for_each(|block| write_own(body, block, out));
        });
        edits.replace(content, kept);
    }
}

fn is_unsigned(body: &[u8], block: Span) -> bool {
    text(body, block, "type").as_deref() == Some("thinking")
        && text(body, block, "signature").is_none_or(|signature| signature.is_empty())
}

fn write_own(body: &[u8], block: Span, out: &mut Writer<'_>) {
    if some(body, block, EXTRA).is_none() {
        return out.copy(body, block);
    }
    out.object(|out| {
        for member in json::members(body, block) {
            let name = json::unescaped(member.key.of(body)).unwrap_or_default();
            if name != EXTRA {
                out.key(&name).copy(body, member.value);
            }
        }
    });
}
