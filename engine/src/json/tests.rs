use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;
use crate::limits::JSON_DEPTH_MAX;

fn root(body: &[u8]) -> Span {
    document(body).unwrap()
}

fn applied(body: &str, change: impl FnOnce(&mut Edits, &[u8], Span)) -> String {
    let mut edits = Edits::default();
    change(&mut edits, body.as_bytes(), root(body.as_bytes()));
    let out = String::from_utf8(edits.apply(body.as_bytes())).unwrap();
    assert!(document(out.as_bytes()).is_ok(), "{out}");
    out
}

/// The oracle: serde_json without its depth limit, which does not look at surrogates either.
fn oracle(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

#[test]
fn accepts_what_the_grammar_has() {
    for body in [
        "0",
        "-0",
        "1.5e+9",
        "1E9",
        "\"\"",
        "[]",
        "{}",
        " { } ",
        "[1,2 , 3]",
        "null",
        "\t\ntrue\r",
        r#"{"a":{"b":[{},[],"x\n\u00e9\ud83d\ude00\ud800"]},"a":false}"#,
    ] {
        assert!(document(body.as_bytes()).is_ok(), "{body}");
    }
}

#[test]
fn refuses_everything_else_and_says_where() {
    for (body, offset) in [
        (&b""[..], 0),
        (b"  ", 2),
        (b"{", 1),
        (b"[1,]", 3),
        (b"{\"a\":1,}", 7),
        (b"{a:1}", 1),
        (b"01", 1),
        (b"1.", 2),
        (b".5", 0),
        (b"-", 1),
        (b"+1", 0),
        (b"1e", 2),
        (b"tru", 0),
        (b"nullx", 4),
        (b"{} {}", 3),
        (b"\"a", 2),
        (b"\"\n\"", 1),
        (b"\"\\x\"", 1),
        (b"\"\\u12g4\"", 1),
        (b"\"\\", 1),
        (b"[1 2]", 3),
        (b"{\"a\" 1}", 5),
        (b"{\"a\":}", 5),
        (b"[}", 1),
        (b"{]", 1),
        (b"\"\xff\"", 1),
        (b"\xef\xbb\xbf{}", 0),
        (b"NaN", 0),
        (b"'a'", 0),
        (b"[1]]", 3),
        (b"// x\n1", 0),
        (b"\"\x00\"", 1),
    ] {
        let error = document(body).unwrap_err();
        assert_eq!(
            error.offset,
            offset,
            "{}: {error}",
            String::from_utf8_lossy(body)
        );
    }
}

#[test]
fn depth_has_an_edge_and_costs_no_stack() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert!(document(&nested(JSON_DEPTH_MAX)).is_ok());
    let error = document(&nested(JSON_DEPTH_MAX + 1)).unwrap_err();
    assert_eq!(
        (error.offset, error.what),
        (JSON_DEPTH_MAX, "nested too deeply")
    );
    assert!(document(&vec![b'['; 10_000_000]).is_err());
    // The walker takes what the validator refused without harm.
    let deep = nested(1_000_000);
    assert_eq!(
        elements(
            &deep,
            Span {
                start: 0,
                end: deep.len()
            }
        )
        .count(),
        1
    );
    let mixed = br#"{"a":[{"b":[{}]}]}"#;
    assert!(document(mixed).is_ok());
}

#[test]
fn members_elements_and_scalars() {
    let body = br#" {"a" : [1, "x" ,{"b":2}] , "\u0061":"s\u00e9\n", "t":true,"n":null,"big":18446744073709551616} "#;
    let all: Vec<_> = members(body, root(body))
        .map(|member| member.value.of(body))
        .collect();
    assert_eq!(all.len(), 5);
    assert_eq!(all[0], br#"[1, "x" ,{"b":2}]"#);
    let a = member(body, root(body), "a").unwrap();
    assert_eq!(
        string(body, a).unwrap(),
        "sé\n",
        "the last of two, its name escaped"
    );
    assert_eq!(kind(body, a), Some(Kind::String));
    let list = members(body, root(body)).next().unwrap().value;
    let items: Vec<_> = elements(body, list).map(|item| item.of(body)).collect();
    assert_eq!(items, [&b"1"[..], b"\"x\"", b"{\"b\":2}"]);
    assert_eq!(
        boolean(body, member(body, root(body), "t").unwrap()),
        Some(true)
    );
    assert_eq!(
        number_u64(body, member(body, root(body), "big").unwrap()),
        None
    );
    assert_eq!(member(body, root(body), "absent"), None);
    assert_eq!(members(b"[1]", Span { start: 0, end: 3 }).count(), 0);
    assert_eq!(elements(b"{}", Span { start: 0, end: 2 }).count(), 0);
    for (number, value) in [("7", Some(7)), ("-7", None), ("7.0", None), ("7e1", None)] {
        assert_eq!(
            number_u64(number.as_bytes(), root(number.as_bytes())),
            value
        );
    }
}

#[test]
fn lists_of_numbers_end_where_they_end() {
    for count in 1..60 {
        let numbers = vec!["-1.5"; count].join(",");
        for (tail, inner) in [("", 0), (",[7]", 1), (",{\"]\":[]}", 1), (", \"]\" , 2", 2)] {
            let body = format!(r#"{{"a":[{numbers}{tail}] ,"b":[[{numbers}],3]}}"#).into_bytes();
            let root = root(&body);
            let list = |name| elements(&body, member(&body, root, name).unwrap());
            assert_eq!(list("a").count(), count + inner, "{numbers}{tail}");
            assert_eq!(list("b").nth(1).unwrap().of(&body), b"3");
        }
    }
}

#[test]
fn escapes() {
    let text = |json: &'static [u8]| {
        string(
            json,
            Span {
                start: 0,
                end: json.len(),
            },
        )
    };
    assert_eq!(
        text(br#""\ud83d\ude00\"\\\/\b\f\n\r\t""#).unwrap(),
        "😀\"\\/\u{8}\u{c}\n\r\t"
    );
    assert_eq!(
        text(br#""\ud83d\u0041\ude00x""#).unwrap(),
        "\u{fffd}A\u{fffd}x"
    );
    assert!(matches!(text(b"\"plain\""), Some(Cow::Borrowed("plain"))));
    assert_eq!(text(b"12"), None);
    let mut out = Vec::new();
    escape_into("a\"b\\c\n\u{1}é😀", &mut out);
    assert_eq!(out, "a\\\"b\\\\c\\n\\u0001é😀".as_bytes());
}

#[test]
fn compact_keeps_strings() {
    let body = b" { \"a b\" : [ 1 , \" x \\\" y \" ] }\n";
    let mut out = Vec::new();
    compact_into(body, root(body), &mut out);
    assert_eq!(out, br#"{"a b":[1," x \" y "]}"#);
}

#[test]
fn members_are_set_and_removed() {
    let body = r#"{ "a": 1, "b": 2, "c": 3 }"#;
    let without = |names: &[&str]| {
        applied(body, |edits, body, object| {
            names
                .iter()
                .for_each(|name| edits.remove_member(body, object, name));
        })
    };
    assert_eq!(without(&["a"]), r#"{ "b": 2, "c": 3 }"#);
    assert_eq!(without(&["b"]), r#"{ "a": 1, "c": 3 }"#);
    assert_eq!(without(&["c"]), r#"{ "a": 1, "b": 2 }"#);
    assert_eq!(without(&["a", "b"]), r#"{ "c": 3 }"#);
    assert_eq!(without(&["c", "b"]), r#"{ "a": 1 }"#);
    assert_eq!(without(&["a", "c"]), r#"{ "b": 2 }"#);
    assert_eq!(without(&["a", "b", "c"]), "{  }");
    assert_eq!(without(&["x"]), body);
    let set = applied(body, |edits, body, object| {
        edits.set_member(body, object, "b", "20");
        edits.set_member(body, object, "x", "1");
        edits.set_member(body, object, "y", "2");
        edits.set_member(body, object, "x", "10");
        edits.remove_member(body, object, "c");
    });
    assert_eq!(set, r#"{"x":10,"y":2, "a": 1, "b": 20 }"#);
    let swapped = applied(r#"{"a":1}"#, |edits, body, object| {
        edits.remove_member(body, object, "a");
        edits.set_member(body, object, "b", "2");
    });
    assert_eq!(swapped, r#"{"b":2}"#);
    let doubled = applied(
        r#"{"model":"x","q":1,"mod\u0065l":"y"}"#,
        |edits, body, object| {
            edits.set_member(body, object, "model", "\"z\"");
        },
    );
    assert_eq!(doubled, r#"{"q":1,"mod\u0065l":"z"}"#);
    assert_eq!(
        applied("{}", |edits, body, object| edits
            .set_member(body, object, "a", "1")),
        r#"{"a":1}"#
    );
    let again = applied(r#"{"a":1}"#, |edits, body, object| {
        edits.remove_member(body, object, "a");
        edits.set_member(body, object, "a", "2");
    });
    assert_eq!(again, r#"{"a":2}"#);
}

#[test]
fn overlapping_edits_have_a_winner() {
    let body = b"0123456789";
    let mut edits = Edits::default();
    assert!(edits.is_empty());
    edits.insert(5, "x");
    edits.replace(Span { start: 3, end: 4 }, "inner");
    edits.replace(Span { start: 2, end: 5 }, "OLD");
    edits.replace(Span { start: 2, end: 5 }, "NEW");
    edits.insert(5, "y");
    edits.insert(2, "<");
    edits.replace(Span { start: 9, end: 11 }, "out of range");
    edits.replace(Span { start: 8, end: 9 }, "");
    assert!(!edits.is_empty());
    assert_eq!(edits.apply(body), b"01<NEWxy5679");
}

#[test]
fn an_edit_inside_a_removed_member_does_not_bring_it_back() {
    let body = br#"{"a":1,"user":"mail@x.org","b":2}"#;
    let object = root(body);
    let user = member(body, object, "user").unwrap();
    let mut edits = Edits::default();
    edits.remove_member(body, object, "user");
    edits.replace(user.unquoted(), "[EMAIL_REDACTED]");
    assert_eq!(edits.apply(body), br#"{"a":1,"b":2}"#);
}

pub(super) fn jsonish() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"b\"",
        "1",
        "-",
        "0",
        ".5",
        "e9",
        "true",
        "false",
        "null",
        " ",
        "\n",
        "\\",
        "\\n",
        "\\u00e9",
        "\\ud800",
        "é",
        "\u{1}",
        "{\"a\":1}",
        "[]",
        "\"a\":",
        "nul",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

pub(super) fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,12}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map("[a-d\"\\\\é]{0,3}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Rebuilds a value through the scanner.
fn rebuilt(body: &[u8], value: Span) -> serde_json::Value {
    match kind(body, value).unwrap() {
        Kind::Object => members(body, value)
            .map(|member| (unescape(member.key.of(body)), rebuilt(body, member.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Kind::Array => elements(body, value)
            .map(|item| rebuilt(body, item))
            .collect(),
        Kind::String => string(body, value).unwrap().into_owned().into(),
        _ => serde_json::from_slice(value.of(body)).unwrap(),
    }
}

proptest! {
    #[test]
    fn agrees_with_serde_on_jsonish(body in jsonish()) {
        prop_assert_eq!(document(&body).is_ok(), oracle(&body));
    }

    #[test]
    fn agrees_with_serde_on_bytes(body in prop::collection::vec(any::<u8>(), 0..32)) {
        prop_assert_eq!(document(&body).is_ok(), oracle(&body));
    }

    #[test]
    fn agrees_with_serde_on_damaged_documents(
        value in json_value(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut body = serde_json::to_vec(&value).unwrap();
        prop_assert!(document(&body).is_ok());
        let at = at.index(body.len());
        body[at] = byte;
        prop_assert_eq!(document(&body).is_ok(), oracle(&body));
    }

    #[test]
    fn reads_what_serde_reads(value in json_value(), pretty in any::<bool>()) {
        let body = if pretty {
            serde_json::to_vec_pretty(&value).unwrap()
        } else {
            serde_json::to_vec(&value).unwrap()
        };
        let root = document(&body).unwrap();
        prop_assert_eq!(rebuilt(&body, root), value.clone());
        let mut compact = Vec::new();
        compact_into(&body, root, &mut compact);
        prop_assert_eq!(compact, serde_json::to_vec(&value).unwrap());
    }

    #[test]
    fn spans_stay_inside_whatever_the_bytes(body in jsonish(), start in 0_usize..40, end in 0_usize..40) {
        let span = Span { start, end };
        let within = |inner: Span| inner.start <= inner.end && inner.end <= body.len();
        for found in members(&body, span) {
            prop_assert!(within(found.key) && within(found.value));
        }
        for found in elements(&body, span) {
            prop_assert!(within(found));
        }
        let _ = (string(&body, span), kind(&body, span), member(&body, span, "a"));
        compact_into(&body, span, &mut Vec::new());
    }

    #[test]
    fn escaping_is_undone_by_unescaping(text in any::<String>()) {
        let mut body = vec![b'"'];
        escape_into(&text, &mut body);
        body.push(b'"');
        prop_assert_eq!(string(&body, document(&body).unwrap()).unwrap(), text);
    }

    #[test]
    fn member_edits_equal_edits_of_the_value(
        value in prop::collection::btree_map("[a-e]", 0_i64..9, 0..5),
        changes in prop::collection::vec(("[a-g]", prop::option::of(10_i64..99)), 0..8),
        pretty in any::<bool>(),
    ) {
        let body = if pretty {
            serde_json::to_vec_pretty(&value).unwrap()
        } else {
            serde_json::to_vec(&value).unwrap()
        };
        let root = document(&body).unwrap();
        let mut edits = Edits::default();
        let mut expected = value;
        for (name, change) in changes {
            match change {
                Some(number) => {
                    edits.set_member(&body, root, &name, number.to_string());
                    expected.insert(name, number);
                }
                None => {
                    edits.remove_member(&body, root, &name);
                    expected.remove(&name);
                }
            }
        }
        let out = edits.apply(&body);
        prop_assert!(document(&out).is_ok(), "{}", String::from_utf8_lossy(&out));
        let found: std::collections::BTreeMap<String, i64> = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn splices_equal_naive_splicing(
        body in prop::collection::vec(any::<u8>(), 0..40),
        cuts in prop::collection::btree_set(0_usize..40, 0..10),
        text in "[x-z]{0,3}",
    ) {
        let cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= body.len()).collect();
        let mut edits = Edits::default();
        let mut naive = body.clone();
        for pair in cuts.as_chunks::<2>().0.iter().rev() {
            edits.replace(Span { start: pair[0], end: pair[1] }, text.as_bytes());
            naive.splice(pair[0]..pair[1], text.bytes());
        }
        prop_assert_eq!(edits.apply(&body), naive);
    }
}
