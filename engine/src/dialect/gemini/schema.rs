//! JSON schemas as OpenAPI's subset, which is all that older models take: no references, one type
//! each, no closed objects, no constants.

use crate::json::{self, Kind, Span, Writer};

/// Nesting of what is written; what is deeper is any object.
const DEPTH_MAX: usize = 16;
/// Schemas written for one. References can multiply a small document without bound.
const NODES_MAX: usize = 4096;

/// Keywords of the subset that are copied as they are.
const COPIED: [&str; 15] = [
    "title",
    "description",
    "nullable",
    "required",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "default",
    "propertyOrdering",
];
/// Values of `format` that the API knows.
const FORMATS: [&str; 6] = ["date-time", "double", "enum", "float", "int32", "int64"];

/// Writes the schema at `schema` in the subset.
pub(super) fn write(body: &[u8], schema: Span, out: &mut Writer<'_>) {
    let mut subset = Subset {
        body,
        root: schema,
        nodes: NODES_MAX,
        open: Vec::new(),
    };
    subset.write(schema, DEPTH_MAX, out);
}

struct Subset<'a> {
    body: &'a [u8],
    root: Span,
    nodes: usize,
    /// Schemas that are being written: one of them in itself is any object.
    open: Vec<Span>,
}

impl Subset<'_> {
    fn write(&mut self, schema: Span, depth: usize, out: &mut Writer<'_>) {
        let body = self.body;
        self.nodes = self.nodes.saturating_sub(1);
        let schema = self.resolved(schema);
        let circular = self.open.contains(&schema);
        let spent = depth == 0 || self.nodes == 0;
        if circular || spent || json::kind(body, schema) != Some(Kind::Object) {
            return out.object(|out| out.key("type").string("object"));
        }
        self.open.push(schema);
        self.write_open(schema, depth.saturating_sub(1), out);
        self.open.pop();
    }

    fn write_open(&mut self, schema: Span, depth: usize, out: &mut Writer<'_>) {
        let body = self.body;
        out.object(|out| {
            let mut typed = false;
            for member in json::members(body, schema) {
                let Some(name) = json::unescaped(member.key.of(body)) else {
                    continue;
                };
                let value = member.value;
                match &*name {
                    "type" => typed |= self.write_type(value, depth, out),
                    "const" => self.write_enum(&[value], out),
                    "enum" => {
                        let values: Vec<Span> = json::elements(body, value).collect();
                        self.write_enum(&values, out);
                    }
                    "format" if is_known_format(body, value) => out.key("format").copy(body, value),
                    "items" => {
                        out.key("items");
                        self.write(value, depth, out);
                    }
                    "anyOf" | "oneOf" => self.write_choice(value, depth, out),
                    "allOf" => {
                        // Of several that must all hold, the first says what kind of thing it is.
                        if let Some(first) = json::elements(body, value).next() {
                            self.write_merged(first, depth, out);
                            typed = true;
                        }
                    }
                    "properties" => {
                        if !typed && json::member(body, schema, "type").is_none() {
                            out.key("type").string("object");
                            typed = true;
                        }
                        // The API refuses an object whose list of members is empty.
                        if json::members(body, value).next().is_none() {
                            continue;
                        }
                        out.key("properties").object(|out| {
                            for member in json::members(body, value) {
                                let name = json::unescaped(member.key.of(body)).unwrap_or_default();
                                out.key(&name);
                                self.write(member.value, depth, out);
                            }
                        });
                    }
                    known if COPIED.contains(&known) => out.key(known).copy(body, value),
                    _ => {}
                }
            }
        });
    }

    /// Writes the members of a schema into the one that is open.
    fn write_merged(&mut self, schema: Span, depth: usize, out: &mut Writer<'_>) {
        let mut inner = Vec::new();
        self.write(schema, depth, &mut Writer::new(&mut inner));
        let members = inner
            .strip_prefix(b"{")
            .and_then(|it| it.strip_suffix(b"}"));
        if let Some(members) = members.filter(|members| !members.is_empty()) {
            out.raw(members);
        }
    }

    /// `[string, null]` is a string that may be null; of several types each is one alternative.
    fn write_type(&mut self, value: Span, depth: usize, out: &mut Writer<'_>) -> bool {
        let body = self.body;
        if json::kind(body, value) != Some(Kind::Array) {
            out.key("type").copy(body, value);
            return true;
        }
        let is_null = |kind: &Span| json::string(body, *kind).as_deref() == Some("null");
        let all: Vec<Span> = json::elements(body, value).collect();
        let kinds: Vec<&Span> = all.iter().filter(|kind| !is_null(kind)).collect();
        match kinds.as_slice() {
            [] => {}
            [one] => out.key("type").copy(body, **one),
            several if depth > 0 => out.key("anyOf").array(|out| {
                for kind in several {
                    out.object(|out| out.key("type").copy(body, **kind));
                }
            }),
            _ => {}
        }
        if kinds.len() < all.len() {
            out.key("nullable").boolean(true);
        }
        true
    }

    /// The subset's enums are strings.
    fn write_enum(&self, values: &[Span], out: &mut Writer<'_>) {
        let body = self.body;
        let is_text = |value: &Span| json::kind(body, *value) == Some(Kind::String);
        if values.is_empty() || !values.iter().all(is_text) {
            return;
        }
        out.key("enum")
            .array(|out| values.iter().for_each(|value| out.copy(body, *value)));
    }

    fn write_choice(&mut self, list: Span, depth: usize, out: &mut Writer<'_>) {
        let body = self.body;
        let is_null = |schema: &Span| {
            let kind = json::member(body, *schema, "type");
            kind.and_then(|kind| json::string(body, kind)).as_deref() == Some("null")
        };
        let all: Vec<Span> = json::elements(body, list).collect();
        let rest: Vec<Span> = all.iter().copied().filter(|it| !is_null(it)).collect();
        if rest.len() < all.len() {
            out.key("nullable").boolean(true);
        }
        match rest.as_slice() {
            [] => {}
            [one] => self.write_merged(*one, depth, out),
            several => out.key("anyOf").array(|out| {
                for schema in several {
                    self.write(*schema, depth, out);
                }
            }),
        }
    }

    /// What a `$ref` into the same document stands for.
    fn resolved(&self, schema: Span) -> Span {
        let body = self.body;
        let mut at = schema;
        // A reference to a reference, but no circle of them.
        for _ in 0..DEPTH_MAX {
            let target = json::member(body, at, "$ref")
                .and_then(|target| json::string(body, target))
                .and_then(|path| self.find(&path));
            match target {
                Some(target) => at = target,
                None => break,
            }
        }
        at
    }

    /// `#/$defs/name`
    fn find(&self, pointer: &str) -> Option<Span> {
        let path = pointer.strip_prefix('#')?;
        let mut at = self.root;
        for step in path.split('/').skip(1) {
            let name = step.replace("~1", "/").replace("~0", "~");
            at = json::member(self.body, at, &name)?;
        }
        Some(at)
    }
}

fn is_known_format(body: &[u8], value: Span) -> bool {
    json::string(body, value).is_some_and(|format| FORMATS.contains(&&*format))
}
