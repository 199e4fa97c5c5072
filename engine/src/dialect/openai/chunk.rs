//! One look at a chunk (or a whole answer): a single walk, no tree, no copy but of the text.

use crate::json::{self, Kind, Span, Walk};

/// What matters in a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::dialect) struct Chunk {
    /// It is one object from the first byte to the last, as far as one look can tell.
    pub(in crate::dialect) is_whole: bool,
    /// It has at least one choice.
    pub(in crate::dialect) has_choices: bool,
    /// A choice names the reason why it ended.
    pub(in crate::dialect) finish: bool,
    /// It is one of the older completions.
    pub(in crate::dialect) is_older: bool,
    pub(in crate::dialect) usage: Option<Span>,
    pub(in crate::dialect) error: Option<Span>,
    pub(in crate::dialect) id: Option<Span>,
    pub(in crate::dialect) created: Option<Span>,
    pub(in crate::dialect) model: Option<Span>,
    /// The inside of the only string delivered, when there is exactly one.
    pub(in crate::dialect) text: Option<Span>,
    /// The inside of a random text against guessing by length (`stream_options.include_obfuscation`).
    pub(in crate::dialect) obfuscation: Option<Span>,
}

impl Chunk {
    /// The string delivered, when the chunk says nothing else that matters.
    pub(in crate::dialect) fn only_text(&self) -> Option<Span> {
        self.text.filter(|_| self.has_choices && !self.finish)
    }
}

/// What was delivered in a chunk.
struct Delivered<'a> {
    text: &'a mut String,
    /// Strings appended to `text`, and where the last of them is (inside its quotes).
    strings: usize,
    place: Span,
}

/// Looks through `data` and appends what was delivered in it to `text`.
///
/// `data` need not be valid: what can not be read is passed over.
pub(in crate::dialect) fn look(data: &[u8], text: &mut String) -> Chunk {
    let mut delivered = Delivered {
        text,
        strings: 0,
        place: Span::default(),
    };
    let mut chunk = read(data, &mut delivered);
    if delivered.strings == 1 {
        chunk.text = Some(delivered.place);
    }
    chunk
}

fn read(data: &[u8], text: &mut Delivered<'_>) -> Chunk {
    let mut chunk = Chunk::default();
    let mut walk = Walk::new(
        data,
        Span {
            start: 0,
            end: data.len(),
        },
    );
    if !walk.enter(b'{') {
        return chunk;
    }
    while let Some(key) = walk.key() {
        let place = match key.of(data) {
            b"choices" => {
                choices(&mut walk, &mut chunk, text);
                continue;
            }
            b"usage" => &mut chunk.usage,
            b"error" => &mut chunk.error,
            b"id" => &mut chunk.id,
            b"created" => &mut chunk.created,
            b"model" => &mut chunk.model,
            b"obfuscation" => &mut chunk.obfuscation,
            _ => {
                walk.skip();
                continue;
            }
        };
        *place = walk.skip();
    }
    chunk.obfuscation = chunk
        .obfuscation
        .filter(|value| json::kind(data, *value) == Some(Kind::String))
        .map(Span::unquoted);
    chunk.is_whole = walk.passed() == data.len() && data.ends_with(b"}");
    chunk
}

fn choices(walk: &mut Walk<'_>, chunk: &mut Chunk, text: &mut Delivered<'_>) {
    if !walk.enter(b'[') {
        walk.skip();
        return;
    }
    while walk.element() {
        chunk.has_choices = true;
        if !walk.enter(b'{') {
            walk.skip();
            continue;
        }
        while let Some(key) = walk.key() {
            match key.of(walk.body()) {
                b"delta" | b"message" => delta(walk, text),
                b"text" => {
                    chunk.is_older = true;
                    append(walk, text);
                }
                b"finish_reason" => {
                    // Some servers send "" until the end.
                    let reason = walk.skip().unwrap_or_default();
                    chunk.finish |=
                        json::kind(walk.body(), reason) == Some(Kind::String) && reason.len() > 2;
                }
                _ => {
                    walk.skip();
                }
            }
        }
    }
}

fn delta(walk: &mut Walk<'_>, text: &mut Delivered<'_>) {
    if !walk.enter(b'{') {
        walk.skip();
        return;
    }
    let mut reasoned = false;
    while let Some(key) = walk.key() {
        match key.of(walk.body()) {
            b"content" | b"refusal" => deliver(walk, text),
            // OpenRouter sends the same text under both names.
            b"reasoning_content" | b"reasoning" if !reasoned => {
                let before = text.text.len();
                deliver(walk, text);
                reasoned = text.text.len() > before;
            }
            b"tool_calls" => calls(walk, text),
            b"function_call" => call(walk, text),
            _ => {
                walk.skip();
            }
        }
    }
}

/// Appends a string, or the texts of a list of parts (Mistral).
fn deliver(walk: &mut Walk<'_>, text: &mut Delivered<'_>) {
    if !walk.enter(b'[') {
        append(walk, text);
        return;
    }
    while walk.element() {
        if !walk.enter(b'{') {
            walk.skip();
            continue;
        }
        while let Some(key) = walk.key() {
            match key.of(walk.body()) {
                b"text" => append(walk, text),
                _ => {
                    walk.skip();
                }
            }
        }
    }
}

fn calls(walk: &mut Walk<'_>, text: &mut Delivered<'_>) {
    if !walk.enter(b'[') {
        walk.skip();
        return;
    }
    while walk.element() {
        if !walk.enter(b'{') {
            walk.skip();
            continue;
        }
        while let Some(key) = walk.key() {
            match key.of(walk.body()) {
                b"function" | b"custom" => call(walk, text),
                _ => {
                    walk.skip();
                }
            }
        }
    }
}

fn call(walk: &mut Walk<'_>, text: &mut Delivered<'_>) {
    if !walk.enter(b'{') {
        walk.skip();
        return;
    }
    while let Some(key) = walk.key() {
        match key.of(walk.body()) {
            b"name" | b"arguments" | b"input" => append(walk, text),
            _ => {
                walk.skip();
            }
        }
    }
}

fn append(walk: &mut Walk<'_>, delivered: &mut Delivered<'_>) {
    let Some(value) = walk.skip() else { return };
    match json::kind(walk.body(), value) {
        Some(Kind::String) => {
            delivered.place = value.unquoted();
            if let Some(piece) = json::unescaped(delivered.place.of(walk.body())) {
                delivered.text.push_str(&piece);
            }
        }
        // Local servers write arguments as an object.
        Some(Kind::Object) => {
            let object = String::from_utf8_lossy(value.of(walk.body()));
            delivered.text.push_str(&object);
        }
        _ => return,
    }
    delivered.strings = delivered.strings.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_older_completion_is_delivered_too() {
        let chunk = |choices: &str| {
            let mut text = String::new();
            let data = format!(r#"{{"object":"text_completion","choices":[{choices}]}}"#);
            let chunk = look(data.as_bytes(), &mut text);
            let only = chunk
                .only_text()
                .map(|place| place.of(data.as_bytes()).to_vec());
            (text, only, chunk.finish)
        };
        let open =
            r#"{"text":" h\u00ec","index":0,"logprobs":{"tokens":[" h"]},"finish_reason":null}"#;
        assert_eq!(
            chunk(open),
            (" hì".to_owned(), Some(br" h\u00ec".to_vec()), false)
        );
        let end = r#"{"text":"","index":0,"logprobs":null,"finish_reason":"length"}"#;
        assert_eq!(chunk(end), (String::new(), None, true));
        let two = r#"{"text":"a","index":0},{"text":"b","index":1}"#;
        assert_eq!(chunk(two), ("ab".to_owned(), None, false));
    }
}
