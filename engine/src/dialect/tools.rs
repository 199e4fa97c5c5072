//! Tools and the choice among them, as a request names them.

use std::borrow::Cow;

use crate::json::{self, Kind, Span, Writer};

/// Which tool the model may or must call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Any,
    Auto,
    Never,
    Tool(String),
}

impl Choice {
    pub(super) fn is_forced(&self) -> bool {
        matches!(self, Choice::Any | Choice::Tool(_))
    }
}

/// The tools of a request, as places in its body.
#[derive(Debug, Default)]
pub(super) struct Tools {
    definitions: Vec<Span>,
    pub(super) choice: Option<Choice>,
    /// Names that the choice leaves; `None` leaves all.
    pub(super) allowed: Option<Vec<String>>,
}

impl Tools {
    /// Reads `tools` and `tool_choice`, or the older `functions` and `function_call`.
    pub(super) fn read(body: &[u8], root: Span) -> Tools {
        let list = |name: &str| json::member(body, root, name).unwrap_or_default();
        let definitions: Vec<Span> = json::elements(body, list("tools"))
            .chain(json::elements(body, list("functions")))
            .collect();
        let mut tools = Tools {
            definitions,
            ..Tools::default()
        };
        for name in ["tool_choice", "function_call"] {
            if let Some(choice) = json::member(body, root, name) {
                tools.read_choice(body, choice);
            }
        }
        tools
    }

    pub(super) fn is_empty(&self) -> bool {
        self.definitions.is_empty()
    }

    fn read_choice(&mut self, body: &[u8], choice: Span) {
        let text = |object: Span, name: &str| {
            let value = json::member(body, object, name)?;
            json::string(body, value)
        };
        if let Some(mode) = json::string(body, choice) {
            self.choice = of_mode(&mode);
            return;
        }
        let kind = text(choice, "type").unwrap_or_default();
        if let Some(group) = json::member(body, choice, "allowed_tools") {
            self.choice = of_mode(&text(group, "mode").unwrap_or_default());
            let list = json::member(body, group, "tools").unwrap_or_default();
            let names = json::elements(body, list).filter_map(|tool| name_of(body, tool));
            self.allowed = Some(names.map(Cow::into_owned).collect());
        } else if let Some(name) = name_of(body, choice) {
            self.choice = Some(Choice::Tool(name.into_owned()));
        } else {
            self.choice = of_mode(&kind);
        }
    }

    /// The definitions that the choice leaves, each with its name.
    pub(super) fn offered<'a>(
        &'a self,
        body: &'a [u8],
    ) -> impl Iterator<Item = (Span, Cow<'a, str>)> {
        let named = |tool: &Span| (*tool, name_of(body, *tool).unwrap_or_default());
        self.definitions.iter().map(named).filter(|(_, name)| {
            let allowed = self.allowed.as_ref();
            allowed.is_none_or(|allowed| allowed.iter().any(|allowed| *allowed == **name))
        })
    }
}

fn of_mode(mode: &str) -> Option<Choice> {
    match mode {
        "any" | "required" => Some(Choice::Any),
        "auto" => Some(Choice::Auto),
        "none" => Some(Choice::Never),
        _ => None,
    }
}

/// The name in `{function:{name}}`, `{custom:{name}}` or `{name}`.
fn name_of(body: &[u8], tool: Span) -> Option<Cow<'_, str>> {
    let inner = json::member(body, tool, "function").or_else(|| json::member(body, tool, "custom"));
    let name = json::member(body, inner.unwrap_or(tool), "name")?;
    json::string(body, name)
}

/// Arguments as the object that they spell. Their numbers are copied, never read: they may not fit
/// a float. What spells no object (a call that was cut off) goes into one.
pub(super) fn write_arguments(body: &[u8], arguments: Span, out: &mut Writer<'_>) {
    let Some(text) = json::string(body, arguments) else {
        return match json::kind(body, arguments) {
            Some(Kind::Object) => out.copy(body, arguments),
            _ => out.object(|_| {}),
        };
    };
    let inner = text.as_bytes();
    match json::document(inner) {
        Ok(root) if json::kind(inner, root) == Some(Kind::Object) => out.copy(inner, root),
        _ if text.trim().is_empty() => out.object(|_| {}),
        _ => out.object(|out| out.key("arguments").string(&text)),
    }
}
