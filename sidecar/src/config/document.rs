//! YAML as a tree that remembers where each part stood. Reading it by hand and not through serde
//! is what lets one run report every problem with its place.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::problem::Problem;

/// Parts of a document, aliases expanded. A file with more is refused: aliases of aliases can
/// multiply a small file without bound.
const NODES_MAX: usize = 200_000;
/// Nesting of a document. A deeper file is refused.
const DEPTH_MAX: usize = 64;

/// One part of the document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Line from 1.
    pub(super) line: usize,
    /// Column from 1.
    pub(super) column: usize,
    /// What stands there.
    pub(super) value: Value,
}

/// What a part is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Text; `plain` when it was written without quotes and so may be a number, a truth value or
    /// null.
    Scalar { text: String, plain: bool },
    /// A list.
    Sequence(Vec<Node>),
    /// Members in file order; `Key` nodes are scalars.
    Mapping(Vec<(Key, Node)>),
}

/// The name of a member.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Node {
    /// Whether nothing, `~` or `null` stands there.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The kind of the part as a person would name it.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            _ if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } => format!("`{text}`"),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// The same as JSON: plain scalars by YAML's core schema, quoted ones as strings.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            _ if self.is_null() => serde_json::Value::Null,
            Value::Scalar { text, plain: true } => match text.as_str() {
                "true" | "True" | "TRUE" => true.into(),
                "false" | "False" | "FALSE" => false.into(),
                number => serde_json::from_str::<serde_json::Number>(number)
                    .map_or_else(|_| number.into(), Into::into),
            },
            Value::Scalar { text, plain: false } => text.as_str().into(),
            Value::Sequence(items) => items.iter().map(Node::to_json).collect::<Vec<_>>().into(),
            Value::Mapping(members) => members
                .iter()
                .map(|(key, value)| (key.text.clone(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// Reads the single document of `text`; an empty one is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut tree = Tree {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    loop {
        match tree.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd | Event::DocumentEnd, span) => return Ok(empty(span)),
            (event, span) => {
                let root = tree.node(event, span, 0)?;
                return match tree.rest()? {
                    None => Ok(if root.is_null() { empty(span) } else { root }),
                    Some(span) => Err(problem(
                        span,
                        "a second document starts here; one file holds one",
                    )),
                };
            }
        }
    }
}

struct Tree<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Tree<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let marker = error.marker();
                Err(Problem {
                    line: marker.line(),
                    column: marker.col().saturating_add(1),
                    member: String::new(),
                    message: format!("not valid YAML: {}", error.info()),
                })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// Where another document starts, if one does.
    fn rest(&mut self) -> Result<Option<Span>, Problem> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::DocumentStart(_), span) => return Ok(Some(span)),
                _ => {}
            }
        }
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > NODES_MAX {
            return Err(problem(
                span,
                &format!("the document has more than {NODES_MAX} parts"),
            ));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        if depth > DEPTH_MAX {
            return Err(problem(
                span,
                &format!("nested deeper than {DEPTH_MAX} levels"),
            ));
        }
        let before = self.nodes;
        self.count(1, span)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(text, style), anchor),
            Event::SequenceStart(anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(problem(
                        span,
                        "an alias of something that is not defined above it",
                    ));
                };
                self.count(size, span)?;
                (node.value, 0)
            }
            _ => return Err(problem(span, "a value is missing here")),
        };
        let node = Node {
            line: span.start.line(),
            column: span.start.col().saturating_add(1),
            value,
        };
        if anchor > 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.nodes.saturating_sub(before)));
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Sequence(items)),
                (event, span) => items.push(self.node(event, span, depth.saturating_add(1))?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut members: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Mapping(members)),
                next => next,
            };
            let name = self.node(event, span, depth.saturating_add(1))?;
            let Value::Scalar { text, .. } = name.value else {
                return Err(problem(span, "a member's name must be text"));
            };
            if members.iter().any(|(key, _)| key.text == text) {
                return Err(problem(span, &format!("`{text}` is given twice")));
            }
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, depth.saturating_add(1))?;
            members.push((
                Key {
                    text,
                    line: name.line,
                    column: name.column,
                },
                value,
            ));
        }
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Value {
    Value::Scalar {
        text: text.into_owned(),
        plain: style == ScalarStyle::Plain,
    }
}

fn empty(span: Span) -> Node {
    Node {
        line: span.start.line().max(1),
        column: 1,
        value: Value::Mapping(Vec::new()),
    }
}

fn problem(span: Span, message: &str) -> Problem {
    Problem {
        line: span.start.line(),
        column: span.start.col().saturating_add(1),
        member: String::new(),
        message: message.to_owned(),
    }
}
