//! Token counting with the vocabularies of OpenAI's models.
//!
//! A count equals the length of what tiktoken-rs's `encode_ordinary` gives for the same text, except
//! in a piece longer than [`PIECE_BYTES_MAX`] (one word, or one run of blanks or symbols). Such a
//! piece is counted in parts of that length, at most a few tokens off per border, so that no text
//! costs more than linear time.

mod classes;
mod memo;
mod split;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use hashbrown::HashMap;
use tiktoken_rs::CoreBPE;

use self::memo::{SHORT_PIECE_BYTES_MAX, ShortPieces};
use crate::json;
use crate::request::{ChatRequest, OUTSIDE_MESSAGES, Place, Role, Text};

/// Bytes that byte pair encoding takes at once. Longer pieces are counted in parts.
pub const PIECE_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a piece worth remembering; longer ones hardly come again.
const REMEMBERED_PIECE_BYTES_MAX: usize = 48;
/// Pieces of more than 15 bytes that a tokenizer remembers (less than 1 MiB). At the cap all are
/// forgotten.
const LONGER_PIECES_MAX: usize = 7 * 1024;

/// Tokens around each message, its role not counted (OpenAI cookbook, "How to count tokens").
const MESSAGE_TOKENS: u64 = 3;
/// Tokens for a message having a name, the name not counted (same source).
const NAME_TOKENS: u64 = 1;
/// Tokens that open the answer (same source).
const PRIMING_TOKENS: u64 = 3;
/// Estimate: what a tool call costs besides its arguments (name, type, channel).
const TOOL_CALL_TOKENS: u64 = 8;
/// An image of `detail: low` for gpt-4o (OpenAI, "Images and vision").
const IMAGE_LOW_TOKENS: u64 = 85;
/// Estimate of any other image: one of 1024x1024 for gpt-4o (same source).
const IMAGE_TOKENS: u64 = 765;
/// Estimate where a vocabulary cannot be loaded: at most this many bytes make a token.
const BYTES_PER_TOKEN: u64 = 3;

/// A vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    Cl100k,
    O200k,
}

impl Encoding {
    /// The vocabulary of a model: cl100k_base for GPT-4, GPT-3.5 and the embedding models,
    /// o200k_base for everything later and everything unknown. Models of other makers are thereby
    /// estimated; their own `usage` settles what they cost. A maker's prefix (`openai/`) and
    /// `ft:` are passed over.
    pub fn of_model(model: &str) -> Encoding {
        let slash = model.bytes().rposition(|byte| byte == b'/');
        let name = slash.and_then(|at| model.get(at + 1..)).unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let is = |family: &str| {
            name.strip_prefix(family)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':']))
        };
        let older = is("gpt-4")
            || ["gpt-3.5", "gpt-35", "text-embedding-"]
                .iter()
                .any(|family| name.starts_with(family));
        if older {
            Encoding::Cl100k
        } else {
            Encoding::O200k
        }
    }

    /// The vocabulary itself, loaded at the first call: once per process, or per VM in wasm.
    fn vocabulary(self) -> Option<&'static CoreBPE> {
        static CL100K: OnceLock<Option<CoreBPE>> = OnceLock::new();
        static O200K: OnceLock<Option<CoreBPE>> = OnceLock::new();
        match self {
            Encoding::Cl100k => CL100K.get_or_init(|| tiktoken_rs::cl100k_base().ok()),
            Encoding::O200k => O200K.get_or_init(|| tiktoken_rs::o200k_base().ok()),
        }
        .as_ref()
    }
}

/// A vocabulary could not be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerError {
    /// The one that was asked for.
    pub encoding: Encoding,
}

impl fmt::Display for TokenizerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the vocabulary {:?} cannot be loaded", self.encoding)
    }
}

impl std::error::Error for TokenizerError {}

/// Counts in one vocabulary.
pub struct Tokenizer {
    encoding: Encoding,
    vocabulary: &'static CoreBPE,
    short: ShortPieces,
    longer: HashMap<Box<str>, u16>,
}

impl Tokenizer {
    /// Loads the vocabulary if nobody did yet: a matter of a tenth of a second.
    pub fn new(encoding: Encoding) -> Result<Tokenizer, TokenizerError> {
        let vocabulary = encoding.vocabulary().ok_or(TokenizerError { encoding })?;
        Ok(Tokenizer {
            encoding,
            vocabulary,
            short: ShortPieces::new(),
            longer: HashMap::new(),
        })
    }

    /// Tokens of `text`; text that looks like a special token counts as ordinary text.
    pub fn count(&mut self, text: &str) -> u64 {
        let mut sum = 0_u64;
        for (start, end) in split::Pieces::of(self.encoding, text) {
            let tokens = match end.saturating_sub(start) {
                // Every byte is a token.
                1 => 1,
                2..=SHORT_PIECE_BYTES_MAX => self.short_piece(text, start, end),
                _ => self.longer_piece(text.get(start..end).unwrap_or_default()),
            };
            sum = sum.saturating_add(tokens);
        }
        sum
    }

    #[inline]
    fn short_piece(&mut self, text: &str, start: usize, end: usize) -> u64 {
        let key = ShortPieces::key(text.as_bytes(), start, end);
        self.short.count(key).unwrap_or_else(|| {
            let tokens = self.encoded(text.get(start..end).unwrap_or_default());
            self.short.remember(key, tokens);
            tokens
        })
    }

    fn longer_piece(&mut self, piece: &str) -> u64 {
        if piece.len() > PIECE_BYTES_MAX {
            return self.long_piece(piece);
        }
        if piece.len() > REMEMBERED_PIECE_BYTES_MAX {
            return self.encoded(piece);
        }
        if let Some(count) = self.longer.get(piece) {
            return u64::from(*count);
        }
        let tokens = self.encoded(piece);
        if self.longer.len() >= LONGER_PIECES_MAX {
            self.longer.clear();
        }
        // A token has a byte at least, so this count fits.
        self.longer
            .insert(piece.into(), u16::try_from(tokens).unwrap_or(u16::MAX));
        tokens
    }

    fn long_piece(&self, piece: &str) -> u64 {
        let mut rest = piece;
        let mut sum = 0_u64;
        // Long pieces are mostly one thing repeated, and equal parts count alike.
        let mut last = ("", 0);
        while !rest.is_empty() {
            // A character is at most four bytes: one of four neighbouring offsets is a border.
            let cut = (0..4).find_map(|back| rest.split_at_checked(PIECE_BYTES_MAX - back));
            let (part, behind) = cut.unwrap_or((rest, ""));
            if part != last.0 {
                last = (part, self.encoded(part));
            }
            sum = sum.saturating_add(last.1);
            rest = behind;
        }
        sum
    }

    fn encoded(&self, piece: &str) -> u64 {
        self.vocabulary.encode_ordinary(piece).len() as u64
    }
}

/// The tokenizers of one VM, each made at its first use.
#[derive(Default)]
pub struct Tokenizers {
    cl100k: Option<Tokenizer>,
    o200k: Option<Tokenizer>,
}

impl Tokenizers {
    /// Tokens of `text`; an estimate from above for usual text should the vocabulary fail to load.
    pub fn count(&mut self, encoding: Encoding, text: &str) -> u64 {
        let slot = match encoding {
            Encoding::Cl100k => &mut self.cl100k,
            Encoding::O200k => &mut self.o200k,
        };
        if slot.is_none() {
            *slot = Tokenizer::new(encoding).ok();
        }
        match slot {
            Some(tokenizer) => tokenizer.count(text),
            None => (text.len() as u64).div_ceil(BYTES_PER_TOKEN),
        }
    }

    /// Tokens of texts that stand in no message, parameters and labels left out.
    pub fn text_tokens(&mut self, encoding: Encoding, texts: &[Text], body: &[u8]) -> u64 {
        let counts =
            |text: &&Text| !matches!(text.place, Place::File | Place::Label | Place::Parameter);
        let counted = texts.iter().filter(counts);
        counted
            .map(|text| self.count(encoding, &plain(body, text)))
            .fold(0, u64::saturating_add)
    }

    /// Tokens of a request's prompt as OpenAI counts them: each text and role, 3 per message, 1 per
    /// name, 3 to open the answer. Estimates: tool definitions count as their compact JSON, a tool
    /// call 8 besides its arguments, an image 85 (`detail: low`) or 765. Audio and files count
    /// nothing.
    pub fn prompt_tokens(&mut self, encoding: Encoding, request: &ChatRequest, body: &[u8]) -> u64 {
        let mut sum = PRIMING_TOKENS;
        let mut add = |tokens: u64| sum = sum.saturating_add(tokens);
        for message in &request.messages {
            add(MESSAGE_TOKENS);
            add(u64::from(message.has_name) * NAME_TOKENS);
            add(self.count(encoding, role_name(message.role)));
        }
        let counts = |text: &&Text| {
            text.message != OUTSIDE_MESSAGES
                && !matches!(text.place, Place::File | Place::Label | Place::Parameter)
        };
        for text in request.texts.iter().filter(counts) {
            add(u64::from(text.place == Place::ToolArguments) * TOOL_CALL_TOKENS);
            add(self.count(encoding, &plain(body, text)));
        }
        if let Some(tools) = request.tools {
            let mut compact = Vec::with_capacity(tools.len());
            json::compact_into(body, tools, &mut compact);
            add(self.count(encoding, &String::from_utf8_lossy(&compact)));
        }
        let low = u64::from(request.images_low);
        add(low.saturating_mul(IMAGE_LOW_TOKENS));
        add(u64::from(request.images)
            .saturating_sub(low)
            .saturating_mul(IMAGE_TOKENS));
        sum
    }
}

fn plain<'a>(body: &'a [u8], text: &Text) -> Cow<'a, str> {
    let raw = text.span.of(body);
    match std::str::from_utf8(raw) {
        Ok(plain) if !text.escaped => Cow::Borrowed(plain),
        _ => Cow::Owned(json::unescape(raw)),
    }
}

/// The name that counts; every known one is a single token.
fn role_name(role: Role) -> &'static str {
    match role {
        Role::Assistant => "assistant",
        Role::Developer => "developer",
        Role::Function => "function",
        Role::System => "system",
        Role::Tool => "tool",
        Role::Other | Role::User => "user",
    }
}
