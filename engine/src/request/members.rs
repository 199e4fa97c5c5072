//! Members that may be given once only.
//!
//! Of two members with one name some parsers take the first and some the last, and Go's takes one
//! that differs in letter case alone: a provider might act on a value that Weir never looked at.
//! Such a request is refused. Dropping all but one would mean to guess what its writer wanted, and
//! no client library writes one. Members that Weir neither acts on nor translates may repeat: every
//! text in them is inspected, whichever of them a provider reads.

/// Root members whose values Weir acts on or translates.
pub(super) const OF_REQUEST: &[&str] = &[
    "messages",
    "model",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "tools",
    "tool_choice",
    "stream_options",
    "user",
    "stop",
    "metadata",
    "response_format",
    "prediction",
    "functions",
    "function_call",
    "parallel_tool_calls",
    "reasoning_effort",
    "service_tier",
    "temperature",
    "top_p",
];

/// The same of a message.
pub(super) const OF_MESSAGE: &[&str] = &[
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "function_call",
];

/// Members of requests that are no chat completion.
pub(super) const OF_CALL: &[&str] = &[
    "model",
    "stream",
    "messages",
    "input",
    "prompt",
    "system",
    "instructions",
    "max_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "tools",
    "tool_choice",
    "user",
    "stop",
    "stop_sequences",
    "stream_options",
    "encoding_format",
    "dimensions",
    "output_config",
    "reasoning",
    "text",
    "thinking",
    "temperature",
    "top_p",
];

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The member was given before.
    Twice,
    /// It is another one's name to readers that pass over letter case.
    Case,
}

/// Names of one object that were seen. One bit each, so it knows at most 32.
#[derive(Default)]
pub(super) struct Seen(u32);

impl Seen {
    /// Notes `name` (escapes resolved). The error holds the name as it should be.
    pub(super) fn note(
        &mut self,
        known: &[&'static str],
        name: &[u8],
    ) -> Result<(), (&'static str, Fault)> {
        let place = |name: &[u8]| known.iter().position(|known| known.as_bytes() == name);
        if let Some(at) = place(name) {
            let bit = 1_u32.checked_shl(u32::try_from(at).unwrap_or(u32::MAX));
            let bit = bit.unwrap_or_default();
            let before = self.0;
            self.0 |= bit;
            let first = before & bit == 0;
            return known
                .get(at)
                .filter(|_| !first)
                .map_or(Ok(()), |known| Err((*known, Fault::Twice)));
        }
        let odd = |byte: &u8| byte.is_ascii_uppercase() || !byte.is_ascii();
        if name.len() > NAME_BYTES_MAX || !name.iter().any(odd) {
            return Ok(());
        }
        let folded = place(folded(name).as_bytes()).and_then(|at| known.get(at));
        folded.map_or(Ok(()), |known| Err((*known, Fault::Case)))
    }
}

/// No known name is longer, even when each letter takes three bytes.
const NAME_BYTES_MAX: usize = 64;

/// `name` as Go's `encoding/json` compares it: letter case aside, and with the two letters beyond
/// ASCII that fold into it.
fn folded(name: &[u8]) -> String {
    let letters = String::from_utf8_lossy(name);
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => letter.to_ascii_lowercase(),
    };
    letters.chars().map(fold).collect()
}

const _: () = assert!(OF_REQUEST.len() <= u32::BITS as usize);
const _: () = assert!(OF_MESSAGE.len() <= u32::BITS as usize);
const _: () = assert!(OF_CALL.len() <= u32::BITS as usize);
