use proptest::prelude::*;

use super::*;

type Seen = (Vec<(Option<String>, Vec<u8>)>, Result<(), Broken>);

fn split(pieces: &[&[u8]]) -> Seen {
    let mut splitter = Splitter::default();
    let mut seen = Vec::new();
    let mut end = Ok(());
    for piece in pieces {
        end = splitter.push(piece, |message| {
            let name = message.header(":event-type").map(str::to_owned);
            seen.push((name, message.payload.to_vec()));
        });
    }
    (seen, end)
}

#[test]
fn checksums_are_the_common_ones() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    assert_eq!(crc32(b""), 0);
}

/// From the test vectors of AWS's own SDKs (`empty_message`, `int32_header`).
#[test]
fn reads_the_vectors_of_aws() {
    let empty: &[u8] = &[
        0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff,
    ];
    assert_eq!(split(&[empty]), (vec![(None, Vec::new())], Ok(())));
    let int32: &[u8] = &[
        0x00, 0x00, 0x00, 0x2d, 0x00, 0x00, 0x00, 0x10, 0x41, 0xc4, 0x24, 0xb8, 0x0a, 0x65, 0x76,
        0x65, 0x6e, 0x74, 0x2d, 0x74, 0x79, 0x70, 0x65, 0x04, 0x00, 0x00, 0xa0, 0x0c, 0x7b, 0x27,
        0x66, 0x6f, 0x6f, 0x27, 0x3a, 0x27, 0x62, 0x61, 0x72, 0x27, 0x7d, 0x36, 0xf4, 0x80, 0xa0,
    ];
    assert_eq!(
        split(&[int32]),
        (vec![(None, b"{'foo':'bar'}".to_vec())], Ok(()))
    );
}

#[test]
fn every_single_flipped_bit_is_noticed() {
    let whole = write(&[(":event-type", "metadata"), ("x", "y")], b"{\"a\":1}");
    for bit in 0..whole.len() * 8 {
        let mut broken = whole.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let (seen, end) = split(&[&broken]);
        assert!(seen.is_empty() && end.is_err(), "bit {bit}");
    }
}

#[test]
fn lengths_are_not_believed() {
    let prelude = |total: u32, headers: u32| {
        let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
        split(&[&bytes]).1
    };
    assert_eq!(prelude(EVENT_BYTES_MAX as u32 + 1, 0), Err(Broken::TooLong));
    assert_eq!(prelude(15, 0), Err(Broken::Length));
    assert_eq!(prelude(20, 5), Err(Broken::Length));
    assert_eq!(prelude(20, 4), Ok(()));
    let mut splitter = Splitter::default();
    assert!(splitter.push(&[0; 12], |_| {}).is_err());
    assert!(
        splitter
            .push(&write(&[], b""), |_| panic!("broken for good"))
            .is_err()
    );
}

proptest! {
    #[test]
    fn any_split_gives_the_same_messages(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..6),
        cuts in prop::collection::vec(0usize..600, 0..9),
        flip in prop::option::of(0usize..600),
    ) {
        let mut stream: Vec<u8> = payloads
            .iter()
            .flat_map(|payload| write(&[(":event-type", "e")], payload))
            .collect();
        if let Some(at) = flip.filter(|at| *at < stream.len()) {
            stream[at] ^= 0x10;
        }
        let whole = split(&[&stream]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut start = 0;
        let pieces: Vec<&[u8]> =
            cuts.into_iter().map(|cut| &stream[std::mem::replace(&mut start, cut)..cut]).collect();
        prop_assert_eq!(&split(&pieces), &whole);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        if !bytes.is_empty() {
            prop_assert_eq!(&split(&bytes), &whole);
        }
        if flip.is_none() {
            let sent: Vec<_> =
                payloads.iter().map(|payload| (Some("e".to_owned()), payload.clone())).collect();
            prop_assert_eq!(whole, (sent, Ok(())));
        }
    }
}
