//! What turns one head into another, for a host that takes single edits.

use super::{Field, Headers, same};

/// Edits up to which it is worth while to look for them.
const CHANGES_MAX: usize = 16;

/// One edit of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Takes away all fields of a name.
    Remove(&'a [u8]),
    /// Puts a value in place of the only field of a name.
    Replace(&'a [u8], &'a [u8]),
    /// Appends a field.
    Add(&'a [u8], &'a [u8]),
}

impl Headers {
    /// The edits that make `old` of the same fields as this head, which may stand in another order.
    /// `None` where setting all of it costs a host less: it removes each old field and adds each new
    /// one then.
    pub fn changes_from<'a>(&'a self, old: &'a Headers) -> Option<Vec<Change<'a>>> {
        let most = CHANGES_MAX.min(old.count.saturating_add(self.count) / 2);
        let mut gone: Vec<Field<'_>> = Vec::with_capacity(most);
        let mut come = self.fields().peekable();
        // What stays keeps its order, so that one walk finds it.
        for field in old.fields() {
            if come.next_if(|next| *next == field).is_none() {
                if gone.len() == most {
                    return None;
                }
                gone.push(field);
            }
        }
        let mut changes = Vec::with_capacity(most);
        let mut named = Vec::with_capacity(most);
        for field in come {
            let (name, value) = field.parts();
            if gone.len() + changes.len() >= most || named.contains(&name) {
                return None;
            }
            named.push(name);
            match gone.iter().position(|it| same(it.parts().0, name)) {
                Some(at) if gone.swap_remove(at) == field => {}
                Some(_) => changes.push(Change::Replace(name, value)),
                None => changes.push(Change::Add(name, value)),
            }
        }
        for field in &gone {
            let name = field.parts().0;
            if self.get(name).is_some() {
                return None;
            }
            if !changes.contains(&Change::Remove(name)) {
                changes.push(Change::Remove(name));
            }
        }
        // A name that others of keep would lose them too.
        let is_alone = |change: &Change<'_>| match change {
            Change::Replace(name, _) => old.iter().filter(|(key, _)| same(key, name)).count() == 1,
            Change::Remove(_) | Change::Add(..) => true,
        };
        changes.iter().all(is_alone).then_some(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name, value);
        }
        headers
    }

    /// What a host does with edits.
    fn apply(old: &Headers, changes: &[Change<'_>]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let own = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
        let mut fields: Vec<_> = old.iter().map(own).collect();
        for change in changes {
            match change {
                Change::Remove(name) => fields.retain(|field| field.0 != *name),
                Change::Add(name, value) => fields.push(own((name, value))),
                Change::Replace(name, value) => {
                    let at = fields.iter().position(|field| field.0 == *name);
                    let at = at.expect("a field to replace");
                    fields[at].1 = value.to_vec();
                }
            }
        }
        fields.sort();
        fields
    }

    fn sorted(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
        apply(headers, &[])
    }

    #[test]
    fn a_request_that_goes_on_differs_in_little() {
        let same = [
            (":method", "POST"),
            ("content-type", "a"),
            ("user-agent", "b"),
        ];
        let old = of(&[&same[..], &[(":path", "/v1"), ("authorization", "c")]].concat());
        let come = [("authorization", "d"), (":path", "/v1"), ("x-new", "e")];
        let new = of(&[&same[..], &come].concat());
        assert_eq!(
            new.changes_from(&old),
            Some(vec![
                Change::Replace(b"authorization", b"d"),
                Change::Add(b"x-new", b"e"),
            ])
        );
        assert_eq!(of(&same).changes_from(&of(&same)), Some(vec![]));
        let mut less = of(&same);
        less.push(":path", "/v1");
        assert_eq!(
            less.changes_from(&old),
            Some(vec![Change::Remove(b"authorization")])
        );
    }

    #[test]
    fn what_differs_in_much_is_set() {
        let old = of(&[("a", "1"), ("b", "2")]);
        assert_eq!(of(&[("c", "1"), ("d", "2")]).changes_from(&old), None);
        // Edits by name would take more than what goes.
        let twice = of(&[("a", "1"), ("a", "2"), ("b", "3"), ("c", "4")]);
        let once = of(&[("a", "1"), ("b", "3"), ("c", "4")]);
        assert_eq!(once.changes_from(&twice), None);
    }

    proptest! {
        #[test]
        fn edits_make_the_same_fields(
            old in prop::collection::vec(("[a-e]", "[x-z]"), 0..12),
            kept in prop::collection::vec(any::<bool>(), 12),
            come in prop::collection::vec(("[a-g]", "[x-z]"), 0..5),
        ) {
            let mut before = Headers::default();
            let mut after = Headers::default();
            for ((name, value), keep) in old.iter().zip(kept) {
                before.push(name, value);
                if keep {
                    after.push(name, value);
                }
            }
            for (name, value) in &come {
                after.push(name, value);
            }
            if let Some(changes) = after.changes_from(&before) {
                prop_assert_eq!(apply(&before, &changes), sorted(&after));
            }
        }
    }
}
