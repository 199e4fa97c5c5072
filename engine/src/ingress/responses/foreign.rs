//! What came from here, on its way to a provider that speaks Responses itself.

use memchr::memmem;

use super::{some, string, text};
use crate::json::{self, Edits, Kind, Span, Writer};

/// The member that carries Google's signature.
const EXTRA: &str = "extra_content";

/// Takes out of a request what only translated conversations hold: reasoning that was sealed here,
/// which OpenAI cannot open and so refuses, and members that it does not know.
pub(crate) fn leave_out_sealed(body: &[u8], root: Span, edits: &mut Edits) {
    let may_hold = |name: &[u8]| memmem::find(body, name).is_some();
    if !may_hold(b"encrypted_content") && !may_hold(EXTRA.as_bytes()) {
        return;
    }
    let input = some(body, root, "input").unwrap_or_default();
    let items = || json::elements(body, input);
    if !items().any(|item| is_sealed(body, item) || some(body, item, EXTRA).is_some()) {
        return;
    }
    let mut kept = Vec::new();
    Writer::new(&mut kept).array(|out| {
        for item in items().filter(|item| !is_sealed(body, *item)) {
            if json::kind(body, item) != Some(Kind::Object) {
                out.copy(body, item);
                continue;
            }
            out.object(|out| {
                for member in json::members(body, item) {
                    let name = json::unescaped(member.key.of(body)).unwrap_or_default();
                    if name != EXTRA {
                        out.key(&name).copy(body, member.value);
                    }
                }
            });
        }
    });
    edits.replace(input, kept);
}

/// OpenAI's own is base64.
fn is_sealed(body: &[u8], item: Span) -> bool {
    text(body, item, "type").as_deref() == Some("reasoning")
        && string(body, item, "encrypted_content")
            .is_some_and(|sealed| sealed.of(body).starts_with(b"\"{"))
}
