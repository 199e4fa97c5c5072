//! The order that Anthropic's events keep, checked.

use serde_json::Value;

/// Reads a whole stream of events.
pub(super) fn check(events: &[u8]) -> Result<(), String> {
    let mut reader = Reader::default();
    for block in std::str::from_utf8(events)
        .map_err(|e| e.to_string())?
        .split("\n\n")
    {
        if block.is_empty() || block.starts_with(':') {
            continue;
        }
        let (name, data) = block
            .strip_prefix("event: ")
            .and_then(|rest| rest.split_once("\ndata: "))
            .ok_or_else(|| format!("no event: {block:?}"))?;
        let data: Value = serde_json::from_str(data).map_err(|e| format!("{e}: {data}"))?;
        if data["type"] != name {
            return Err(format!("{name} says it is {}", data["type"]));
        }
        reader
            .event(name, &data)
            .map_err(|e| format!("{e}: {block}"))?;
    }
    if reader.end.is_none() && reader.begun {
        return Err("no end".to_owned());
    }
    Ok(())
}

/// Reads the last event: it is the only one, an error.
pub(super) fn check_end(event: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(event);
    match text.matches("event: ").count() {
        1 if text.starts_with("event: error\n") => check(event),
        _ => Err(text.into_owned()),
    }
}

#[derive(Default)]
struct Reader {
    begun: bool,
    /// Type and input of the open block.
    open: Option<(String, String)>,
    index: u64,
    stopped: bool,
    end: Option<String>,
}

impl Reader {
    fn event(&mut self, name: &str, data: &Value) -> Result<(), String> {
        let fail = |why: &str| Err(why.to_owned());
        if self.end.is_some() {
            return fail("after the end");
        }
        if !self.begun && !matches!(name, "message_start" | "error") {
            return fail("before the beginning");
        }
        match name {
            "message_start" if self.begun => return fail("twice"),
            "message_start" => self.begun = true,
            "ping" => {}
            "error" => {
                if !data["error"]["message"].is_string() || !data["error"]["type"].is_string() {
                    return fail("an error without words");
                }
                self.end = Some(name.to_owned());
            }
            "content_block_start" => {
                if self.open.is_some() || self.stopped || data["index"] != self.index {
                    return fail("a block out of order");
                }
                let kind = data["content_block"]["type"].as_str().unwrap_or_default();
                self.open = Some((kind.to_owned(), String::new()));
            }
            "content_block_delta" => self.delta(data)?,
            "content_block_stop" => {
                let Some((kind, input)) = self.open.take() else {
                    return fail("no block is open");
                };
                if data["index"] != self.index {
                    return fail("another block");
                }
                if kind == "tool_use" && input.trim_start().starts_with("{\"whole\"") {
                    serde_json::from_str::<Value>(&input).map_err(|e| e.to_string())?;
                }
                self.index += 1;
            }
            "message_delta" => {
                if self.open.is_some() || self.stopped || !data["usage"]["output_tokens"].is_u64() {
                    return fail("an early end");
                }
                self.stopped = true;
            }
            "message_stop" if self.stopped => self.end = Some(name.to_owned()),
            _ => return fail("unexpected"),
        }
        Ok(())
    }

    fn delta(&mut self, data: &Value) -> Result<(), String> {
        let Some((kind, input)) = &mut self.open else {
            return Err("no block is open".to_owned());
        };
        let delta = &data["delta"];
        let (fits, member) = match (kind.as_str(), delta["type"].as_str().unwrap_or_default()) {
            ("text", "text_delta") => (true, "text"),
            ("thinking", "thinking_delta") => (true, "thinking"),
            ("thinking", "signature_delta") => (true, "signature"),
            ("tool_use", "input_json_delta") => (true, "partial_json"),
            _ => (false, ""),
        };
        let Some(text) = delta[member].as_str().filter(|_| fits) else {
            return Err(format!("no delta of {kind}"));
        };
        if data["index"] != self.index {
            return Err("another block".to_owned());
        }
        if member == "partial_json" {
            input.push_str(text);
        }
        Ok(())
    }
}
