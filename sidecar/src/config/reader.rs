//! Typed reading of the tree. A wrong part becomes a [`Problem`] and `None`; reading goes on.

use super::document::{Key, Node, Value};
use super::problem::{Problem, closest};
use super::sections::vault_reference;
use super::{Secret, VaultConfig};
use engine::usage::NanoUsd;

/// What a secret that is not text is.
const ONE_SOURCE: &str = "one of {env: NAME}, {file: PATH} and {vault: NAME}";

/// Collects problems while the tree is read.
pub(super) struct Reader<'a> {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    /// Vaults that are known so far.
    pub(super) vaults: Vec<VaultConfig>,
    /// Whether the file names vaults; the environment does otherwise.
    pub(super) has_vaults: bool,
    /// Whether the entry that is being read exists in this environment.
    pub(super) here: bool,
    env: &'a dyn Fn(&str) -> Option<String>,
}

/// A part and its name, for messages.
#[derive(Clone, Debug)]
pub(super) struct Field<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
}

/// A mapping of which members are taken one by one; what is left at the end is unknown.
pub(super) struct Object<'n> {
    members: &'n [(Key, Node)],
    field: Field<'n>,
    known: Vec<&'static str>,
}

/// What a secret's member says.
pub(super) enum SecretSource {
    /// It is there, or in a vault.
    Present(Secret),
    /// It names this environment variable, which is not set.
    Unset(String),
}

impl<'a> Reader<'a> {
    pub(super) fn new(env: &'a dyn Fn(&str) -> Option<String>) -> Reader<'a> {
        Reader {
            problems: Vec::new(),
            warnings: Vec::new(),
            vaults: Vec::new(),
            has_vaults: false,
            here: true,
            env,
        }
    }

    /// An environment variable; an empty one counts as unset.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// Reports a problem at `field`.
    pub(super) fn problem(&mut self, field: &Field<'_>, message: impl Into<String>) {
        self.problems.push(Problem {
            line: field.node.line,
            column: field.node.column,
            member: field.path.clone(),
            message: message.into(),
        });
    }

    fn wrong<T>(&mut self, field: &Field<'_>, expected: &str) -> Option<T> {
        let found = field.node.describe();
        self.problem(field, format!("expected {expected}, found {found}"));
        None
    }

    pub(super) fn object<'n>(&mut self, field: Field<'n>) -> Option<Object<'n>> {
        match &field.node.value {
            Value::Mapping(members) => Some(Object {
                members,
                field,
                known: Vec::new(),
            }),
            _ => self.wrong(&field, "a mapping"),
        }
    }

    pub(super) fn list<'n>(&mut self, field: &Field<'n>) -> Vec<Field<'n>> {
        match &field.node.value {
            Value::Sequence(items) => items
                .iter()
                .enumerate()
                .map(|(index, node)| Field {
                    node,
                    path: format!("{}[{index}]", field.path),
                })
                .collect(),
            _ if field.node.is_null() => Vec::new(),
            _ => self.wrong::<Vec<_>>(field, "a list").unwrap_or_default(),
        }
    }

    /// The members of a mapping with free names.
    pub(super) fn map<'n>(&mut self, field: &Field<'n>) -> Vec<(&'n str, Field<'n>)> {
        match &field.node.value {
            Value::Mapping(members) => members
                .iter()
                .map(|(key, node)| {
                    (
                        key.text.as_str(),
                        Field {
                            node,
                            path: format!("{}.{}", field.path, key.text),
                        },
                    )
                })
                .collect(),
            _ if field.node.is_null() => Vec::new(),
            _ => self.wrong::<Vec<_>>(field, "a mapping").unwrap_or_default(),
        }
    }

    pub(super) fn text(&mut self, field: &Field<'_>) -> Option<String> {
        match &field.node.value {
            Value::Scalar { text, .. } if !text.is_empty() && !field.node.is_null() => {
                Some(text.clone())
            }
            _ => self.wrong(field, "text"),
        }
    }

    pub(super) fn texts(&mut self, field: &Field<'_>) -> Vec<String> {
        self.list(field)
            .iter()
            .filter_map(|item| self.text(item))
            .collect()
    }

    /// A whole number of `min..=max`.
    pub(super) fn integer(&mut self, field: &Field<'_>, min: u64, max: u64) -> Option<u64> {
        let number = match &field.node.value {
            Value::Scalar { text, plain: true } => text.replace('_', "").parse::<u64>().ok(),
            _ => None,
        };
        match number {
            Some(number) if (min..=max).contains(&number) => Some(number),
            _ => self.wrong(field, &format!("a whole number from {min} to {max}")),
        }
    }

    /// Dollars with at most nine decimal places, as nano-dollars: text to integer, no float between.
    pub(super) fn usd(&mut self, field: &Field<'_>) -> Option<NanoUsd> {
        let amount = match &field.node.value {
            Value::Scalar { text, plain: true } => engine::price::nano(text),
            _ => None,
        };
        match amount {
            Some(amount) => Some(amount),
            None => self.wrong(
                field,
                "dollars such as 0.15 (not negative, at most nine decimal places)",
            ),
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        field: &Field<'_>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(field)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let hint = closest(&text, &names);
        self.problem(
            field,
            format!("`{text}` is none of {}{hint}", names.join(", ")),
        );
        None
    }

    /// A name for logs, cluster names and URLs.
    pub(super) fn name(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.text(field)?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if text.len() <= 64 && text.bytes().all(fits) {
            return Some(text);
        }
        self.problem(
            field,
            format!("`{text}` is not a name: letters, digits, `.`, `_` and `-`, at most 64"),
        );
        None
    }

    /// A secret: plain text, `{env: NAME}`, `{file: PATH}` or `{vault: NAME}`.
    pub(super) fn secret(&mut self, field: Field<'_>) -> Option<SecretSource> {
        if matches!(field.node.value, Value::Scalar { .. }) {
            return self
                .text(&field)
                .map(|text| SecretSource::Present(Secret::new(text)));
        }
        let mut object = match &field.node.value {
            Value::Mapping(_) => self.object(field.clone())?,
            _ => return self.wrong(&field, "text, {env: NAME}, {file: PATH} or {vault: NAME}"),
        };
        let env = object.member("env").and_then(|name| self.text(&name));
        let file = object
            .member("file")
            .and_then(|path| self.text(&path).map(|text| (path, text)));
        let vault = object.member("vault");
        let before = self.problems.len();
        object.finish(self);
        match (env, file) {
            _ if self.problems.len() > before => None,
            (None, None) if vault.is_some() => vault_reference(vault?, &field.path, self),
            _ if vault.is_some() => self.wrong(&field, ONE_SOURCE),
            (Some(name), None) => Some(match self.env(&name) {
                Some(value) => SecretSource::Present(Secret::new(value)),
                None => SecretSource::Unset(name),
            }),
            (None, Some((at, path))) => match Secret::read((&path).into()) {
                Ok(secret) => Some(SecretSource::Present(secret)),
                Err(error) => {
                    self.problem(&at, format!("cannot read {path}: {error}"));
                    None
                }
            },
            _ => self.wrong(&field, ONE_SOURCE),
        }
    }

    /// Whether an entry's `when: {env: NAME}` holds; an entry without one is always there.
    pub(super) fn present(&mut self, object: &mut Object<'_>) -> bool {
        self.here = self.holds(object);
        self.here
    }

    fn holds(&mut self, object: &mut Object<'_>) -> bool {
        let Some(field) = object.member("when") else {
            return true;
        };
        let Some(mut when) = self.object(field) else {
            return true;
        };
        let name = when.required("env", self).and_then(|name| self.text(&name));
        when.finish(self);
        name.is_none_or(|name| self.env(&name).is_some())
    }
}

impl<'n> Object<'n> {
    /// Takes a member; one that is absent or null is `None`.
    pub(super) fn member(&mut self, name: &'static str) -> Option<Field<'n>> {
        self.known.push(name);
        let (_, node) = self.members.iter().find(|(key, _)| key.text == name)?;
        (!node.is_null()).then(|| Field {
            node,
            path: self.child(name),
        })
    }

    /// Takes a member that must be there.
    pub(super) fn required(
        &mut self,
        name: &'static str,
        reader: &mut Reader<'_>,
    ) -> Option<Field<'n>> {
        let member = self.member(name);
        if member.is_none() {
            reader.problem(&self.field, format!("`{name}` is missing"));
        }
        member
    }

    /// The mapping itself.
    pub(super) fn field(&self) -> &Field<'n> {
        &self.field
    }

    /// Reports what was not taken.
    pub(super) fn finish(self, reader: &mut Reader<'_>) {
        for (key, _) in self.members {
            if self.known.contains(&key.text.as_str()) {
                continue;
            }
            let hint = closest(&key.text, &self.known);
            let hint = if hint.is_empty() {
                format!("; known here: {}", self.known.join(", "))
            } else {
                hint
            };
            reader.problems.push(Problem {
                line: key.line,
                column: key.column,
                member: self.field.path.clone(),
                message: format!("unknown member `{}`{hint}", key.text),
            });
        }
    }

    fn child(&self, name: &str) -> String {
        if self.field.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.field.path)
        }
    }
}
