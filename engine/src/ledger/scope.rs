//! Whose money it is.

use std::fmt;

/// Whose spend is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Everybody's.
    Global,
    /// One organisation's.
    Tenant(String),
    /// One team's or group's.
    Team(String),
    /// One end user's.
    User(String),
    /// That of all users of one tier.
    Tier(String),
    /// One virtual key's, by its public id.
    Key(String),
    /// What goes to one provider.
    Provider(String),
    /// What goes to one model, by the name that its provider has for it.
    Model(String),
    /// What carries one tag: `name=value` of a request's metadata.
    Tag(String),
    /// What a named budget bounds together, by its id.
    Pool(String),
    /// What comes from one client address, or one network of them. It has limits and no budget.
    Ip(String),
}

impl Scope {
    /// The kind in configuration and reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Scope::Global => "global",
            Scope::Tenant(_) => "tenant",
            Scope::Team(_) => "team",
            Scope::User(_) => "user",
            Scope::Tier(_) => "tier",
            Scope::Key(_) => "key",
            Scope::Provider(_) => "provider",
            Scope::Model(_) => "model",
            Scope::Tag(_) => "tag",
            Scope::Pool(_) => "pool",
            Scope::Ip(_) => "ip",
        }
    }

    /// The name within the kind; empty for [`Scope::Global`].
    pub fn name(&self) -> &str {
        match self {
            Scope::Global => "",
            Scope::Tenant(name)
            | Scope::Team(name)
            | Scope::User(name)
            | Scope::Tier(name)
            | Scope::Key(name)
            | Scope::Provider(name)
            | Scope::Model(name)
            | Scope::Tag(name)
            | Scope::Pool(name)
            | Scope::Ip(name) => name,
        }
    }

    /// The scope of that kind and name.
    pub fn of(kind: &str, name: &str) -> Option<Scope> {
        let name = name.to_owned();
        Some(match kind {
            "global" => Scope::Global,
            "tenant" => Scope::Tenant(name),
            "team" => Scope::Team(name),
            "user" => Scope::User(name),
            "tier" => Scope::Tier(name),
            "key" => Scope::Key(name),
            "provider" => Scope::Provider(name),
            "model" => Scope::Model(name),
            "tag" => Scope::Tag(name),
            "pool" => Scope::Pool(name),
            "ip" => Scope::Ip(name),
            _ => return None,
        })
    }

    /// The scope that [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Scope> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        Scope::of(kind, name)
    }
}

/// `team:research`, `global`: the store's form.
impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Global => out.write_str("global"),
            named => write!(out, "{}:{}", named.kind(), named.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_form_is_read_back() {
        for scope in [
            Scope::Global,
            Scope::Tenant("acme".into()),
            Scope::User("a:b".into()),
            Scope::Tag("env=prod".into()),
            Scope::Model("meta/llama:8b".into()),
            Scope::Ip("2001:db8::/64".into()),
        ] {
            assert_eq!(Scope::parse(&scope.to_string()), Some(scope));
        }
        assert_eq!(Scope::parse("nobody:x"), None);
    }
}
