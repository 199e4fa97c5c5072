//! A cursor over a document that nobody has validated: it finds the faults of what it passes, so that a
//! document is validated and read in one pass.

use super::validate::Scan;
use super::{Kind, Span};

/// A cursor like [`Walk`](super::Walk). What it gave holds once [`Checked::finish`] has found no fault; until
/// then a fault looks like the end of the document.
#[derive(Clone, Debug)]
pub(crate) struct Checked<'a> {
    scan: Scan<'a>,
    /// Nothing was passed since a container was entered.
    entered: bool,
    faulty: bool,
}

impl<'a> Checked<'a> {
    /// A cursor at the value of a document.
    pub(crate) fn new(body: &'a [u8]) -> Checked<'a> {
        let mut scan = Scan::new(body);
        scan.space();
        let mut checked = Checked {
            scan,
            entered: false,
            faulty: false,
        };
        if std::str::from_utf8(body).is_err() {
            checked.fault();
        }
        checked
    }

    /// Whether the document has been passed, and is one.
    pub(crate) fn finish(&mut self) -> bool {
        self.scan.space();
        !self.faulty && self.scan.depth == 0 && self.scan.at == self.scan.body.len()
    }

    /// Offset of the next value or bracket.
    pub(crate) fn position(&mut self) -> usize {
        self.scan.space();
        self.scan.at
    }

    /// Offset behind the last thing passed.
    pub(crate) fn passed(&self) -> usize {
        self.scan.at
    }

    /// The type of the value at the cursor.
    pub(crate) fn kind(&mut self) -> Option<Kind> {
        self.peek().and_then(Kind::of_first)
    }

    /// Steps into the value at the cursor when it begins with `bracket`.
    pub(crate) fn enter(&mut self, bracket: u8) -> bool {
        if self.peek() != Some(bracket) {
            return false;
        }
        self.entered = true;
        let opened = self.scan.push(u128::from(bracket == b'{'));
        self.sound(opened).is_some()
    }

    /// The next name of the object entered, inside its quotes; `None` when the object was passed.
    pub(crate) fn key(&mut self) -> Option<Span> {
        if !self.another(b'}') {
            return None;
        }
        let Some((key, _)) = self.string() else {
            self.fault();
            return None;
        };
        if self.peek() != Some(b':') {
            self.fault();
            return None;
        }
        self.scan.at += 1;
        self.scan.space();
        Some(key)
    }

    /// Whether the array entered has another element; `false` when the array was passed.
    pub(crate) fn element(&mut self) -> bool {
        self.another(b']')
    }

    /// Passes the value at the cursor.
    pub(crate) fn skip(&mut self) -> Option<Span> {
        let start = self.position();
        let passed = self.scan.value_tree();
        self.sound(passed)?;
        let end = self.scan.at;
        Some(Span { start, end })
    }

    /// Passes the string at the cursor: its inside, and whether that holds escapes. `None`, and
    /// nothing passed, for any other value.
    pub(crate) fn string(&mut self) -> Option<(Span, bool)> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.scan.at + 1;
        let passed = self.scan.string();
        let escaped = self.sound(passed)?;
        let end = self.scan.at - 1;
        Some((Span { start, end }, escaped))
    }

    /// Whether something follows in the container that `close` ends; passes the comma before it, or
    /// the bracket.
    fn another(&mut self, close: u8) -> bool {
        let first = std::mem::replace(&mut self.entered, false);
        match self.peek() {
            Some(byte) if byte == close && self.scan.depth > 0 => {
                self.scan.pop();
                false
            }
            Some(b',') if !first => {
                self.scan.at += 1;
                self.scan.space();
                true
            }
            Some(_) if first => true,
            _ => {
                self.fault();
                false
            }
        }
    }

    fn sound<T, E>(&mut self, passed: Result<T, E>) -> Option<T> {
        if passed.is_err() {
            self.fault();
        }
        passed.ok()
    }

    fn fault(&mut self) {
        self.faulty = true;
        self.scan.at = self.scan.body.len();
    }

    #[inline]
    fn peek(&mut self) -> Option<u8> {
        self.scan.space();
        self.scan.peek()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::tests::{json_value, jsonish};
    use crate::json::{Walk, document, root};
    use crate::limits::JSON_DEPTH_MAX;

    /// Names and scalars in order, as the cursor gives them.
    fn walked(walk: &mut Checked<'_>, found: &mut Vec<Span>) {
        if walk.enter(b'{') {
            while let Some(key) = walk.key() {
                found.push(key);
                walked(walk, found);
            }
        } else if walk.enter(b'[') {
            while walk.element() {
                walked(walk, found);
            }
        } else if let Some((inside, _)) = walk.string() {
            found.push(inside);
        } else {
            found.extend(walk.skip());
        }
    }

    /// The same of a document that was validated.
    fn walked_before(walk: &mut Walk<'_>, found: &mut Vec<Span>) {
        if walk.enter(b'{') {
            while let Some(key) = walk.key() {
                found.push(key);
                walked_before(walk, found);
            }
        } else if walk.enter(b'[') {
            while walk.element() {
                walked_before(walk, found);
            }
        } else if let Some((inside, _)) = walk.string() {
            found.push(inside);
        } else {
            found.extend(walk.skip());
        }
    }

    fn agrees(body: &[u8]) {
        let valid = document(body).is_ok();
        let text = String::from_utf8_lossy(body);
        let mut found = Vec::new();
        let mut walk = Checked::new(body);
        walked(&mut walk, &mut found);
        assert_eq!(walk.finish(), valid, "walked: {text}");
        let mut walk = Checked::new(body);
        let whole = walk.skip();
        assert_eq!(walk.finish(), valid, "skipped: {text}");
        if valid {
            assert_eq!(whole, Some(root(body)));
            let mut before = Vec::new();
            walked_before(&mut Walk::new(body, root(body)), &mut before);
            assert_eq!(found, before, "{text}");
        }
    }

    #[test]
    fn commas_and_brackets_stand_where_they_may() {
        for body in [
            "",
            " ",
            "{",
            "}",
            "[,]",
            "[1,]",
            "[1,,2]",
            "[1 2]",
            "{,}",
            "{\"a\":1,}",
            "{\"a\",1}",
            "{\"a\":}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":[1}",
            "[{]}",
            "[1]]",
            "{}{}",
            "[] x",
            "1,2",
            "{\"a\":1}",
            "[1, 2,3 ]",
            " [ ] ",
            "{ \"a\" : [ { } ] }",
            "\"\\x\"",
            "[01]",
            "[1,2,3,-]",
        ] {
            agrees(body.as_bytes());
        }
        for depth in [JSON_DEPTH_MAX, JSON_DEPTH_MAX + 1] {
            agrees(&[vec![b'['; depth], vec![b']'; depth]].concat());
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_validator_on_jsonish(body in jsonish()) {
            agrees(&body);
        }

        #[test]
        fn agrees_with_the_validator_on_damaged_documents(
            value in json_value(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut body = serde_json::to_vec_pretty(&value).unwrap();
            agrees(&body);
            let at = at.index(body.len());
            body[at] = byte;
            agrees(&body);
        }
    }
}
