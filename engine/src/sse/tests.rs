//! Splitting is checked against itself: every cut must give what the whole gives.

use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq, Eq)]
struct Owned {
    name: Option<Vec<u8>>,
    data: Vec<u8>,
    raw: Vec<u8>,
}

fn owned(event: &Event<'_>) -> Owned {
    Owned {
        name: event.name.map(<[u8]>::to_vec),
        data: event.data.to_vec(),
        raw: event.raw.to_vec(),
    }
}

fn split<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Owned>, Result<(), EventTooLong>) {
    let mut splitter = Splitter::default();
    let mut events = Vec::new();
    let mut result = Ok(());
    for chunk in chunks {
        result = splitter.push(chunk, |event| events.push(owned(&event)));
        if result.is_err() {
            break;
        }
    }
    splitter.finish(|event| events.push(owned(&event)));
    (events, result)
}

fn data(stream: &str) -> Vec<String> {
    split([stream.as_bytes()])
        .0
        .into_iter()
        .map(|event| String::from_utf8(event.data).unwrap())
        .collect()
}

#[test]
fn reads_the_grammar() {
    for (stream, expect) in [
        ("data: a\n\n", vec!["a"]),
        ("data:a\n\ndata:  b\n\n", vec!["a", " b"]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", vec!["a", "b"]),
        ("data: a\r\rdata: b\r\r", vec!["a", "b"]),
        ("data: a\r\n\ndata: b\n\r\n", vec!["a", "b"]),
        ("data: a\ndata: b\ndata\n\n", vec!["a\nb\n"]),
        (": hello\n\ndata: a\n\n", vec!["", "a"]),
        (": hello\ndata: a\nid: 7\nretry: 3\nodd\n\n", vec!["a"]),
        ("\u{feff}data: a\n\n\u{feff}data: b\n\n", vec!["a", ""]),
        ("data: a\n\ndata: last", vec!["a", "last"]),
        ("data: a\n\ndata: last\n", vec!["a", "last"]),
        ("database: a\n\n", vec![""]),
        ("\n\ndata: a\n\n", vec!["", "", "a"]),
        ("", vec![]),
    ] {
        assert_eq!(data(stream), expect, "{stream:?}");
    }
}

#[test]
fn keeps_the_last_name() {
    let (events, _) = split([b"event: a\nevent:b\ndata: {}\n\nevent: c\n\n".as_slice()]);
    assert_eq!(events[0].name.as_deref(), Some(b"b".as_slice()));
    assert_eq!(events[1].name.as_deref(), Some(b"c".as_slice()));
}

#[test]
fn bounds_an_event_at_the_named_cap_whatever_the_split() {
    let fits = [
        b"data: ".as_slice(),
        &vec![b'x'; EVENT_BYTES_MAX - 8],
        b"\n\n",
    ]
    .concat();
    let over = [
        b"data: x".as_slice(),
        &vec![b'x'; EVENT_BYTES_MAX - 8],
        b"\n\n",
    ]
    .concat();
    for size in [4096, 65_537, EVENT_BYTES_MAX, EVENT_BYTES_MAX * 2] {
        let (events, result) = split(fits.chunks(size));
        assert_eq!((events.len(), result), (1, Ok(())), "{size}");
        let (events, result) = split(over.chunks(size));
        assert_eq!((events.len(), result), (0, Err(EventTooLong)), "{size}");
    }
}

#[test]
fn stays_failed() {
    let mut splitter = Splitter::default();
    let endless = vec![b'x'; EVENT_BYTES_MAX + 1];
    assert_eq!(splitter.push(&endless, |_| {}), Err(EventTooLong));
    assert_eq!(
        splitter.push(b"\n\ndata: a\n\n", |_| panic!("event")),
        Err(EventTooLong)
    );
    assert_eq!(splitter.pending(), 0);
}

#[test]
fn writes_what_it_reads() {
    let mut out = Vec::new();
    write_event(b"one\ntwo", &mut out);
    assert_eq!(out, b"data: one\ndata: two\n\n");
    assert_eq!(split([out.as_slice()]).0[0].data, b"one\ntwo");
}

/// Streams out of the pieces that matter, so that most of them hold several events.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "data: ",
        "data:",
        "data",
        "event: ",
        ":",
        " ",
        "\n",
        "\n",
        "\n\n",
        "\r",
        "\r\n",
        "\r\n\r\n",
        "a",
        "{\"x\":1}",
        "ế",
        "🙂",
        "\u{feff}",
        "[DONE]",
        "id: 1",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(stream in stream(), cuts in prop::collection::vec(0usize..200, 0..12)) {
        let whole = split([stream.as_slice()]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut start = 0;
        let mut chunks = Vec::new();
        for cut in cuts {
            chunks.push(&stream[start..cut]);
            start = cut;
        }
        prop_assert_eq!(&split(chunks), &whole);
        prop_assert_eq!(&split(stream.chunks(1)), &whole);
        let joined: Vec<u8> = whole.0.iter().flat_map(|event| event.raw.clone()).collect();
        prop_assert_eq!(joined, stream);
    }
}
