//! Streams split, damaged and long.

use super::*;

/// What a stream of bytes decodes to, without a network.
fn decode(pieces: Vec<Bytes>) -> (Vec<Chunk>, Option<ModelError>) {
    let mut events = sse::events(stream::iter(pieces.into_iter().map(Ok)), 1 << 20);
    let mut decoder = Decoder::new("host");
    let mut chunks = VecDeque::new();
    let error = loop {
        let read = match events.next().now_or_never().expect("all bytes are there") {
            Some(Ok(event)) => decoder.event(&event, &mut chunks),
            Some(Err(error)) => Err(error),
            None => Err(decoder.ended(&mut chunks).unwrap_err()),
        };
        match read {
            Ok(Flow::More) => {}
            Ok(Flow::Done) => break None,
            Err(error) => break Some(error),
        }
    };
    (chunks.into(), error)
}

fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/wires/responses/{name}.sse", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn a_recorded_stream_gives_the_same_chunks_wherever_it_is_split() {
    for name in ["tools", "incomplete"] {
        let bytes = recorded(name);
        let whole = decode(vec![Bytes::copy_from_slice(&bytes)]);
        insta::with_settings!({snapshot_path => "../../data/wires/responses", prepend_module_to_snapshot => false}, {
            insta::assert_debug_snapshot!(name, whole);
        });
        for at in 0..bytes.len() {
            let (a, b) = bytes.split_at(at);
            let split = decode(vec![Bytes::copy_from_slice(a), Bytes::copy_from_slice(b)]);
            assert!(split == whole, "{name} split at {at}: {split:?}");
        }
        assert_eq!(decode(bytes.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect()), whole);
    }
}

#[tokio::test]
async fn an_answer_may_come_byte_by_byte() {
    let (chunks, error) = ask_mock(Step::text("héllo 🦀").chunk(1).split(1)).await;
    assert_eq!((text_of(&chunks), finished(&chunks), error), ("héllo 🦀".to_owned(), true, None));
}

/// Bytes with a good chance to get beyond the first brace.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let bytes = recorded("tools");
    let length = bytes.len();
    prop::collection::vec((0..length, any::<u8>()), 0..12).prop_map(move |changes| {
        let mut bytes = bytes.clone();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn damage_to_a_stream_is_read_the_same_wherever_it_is_split(bytes in streams(), at in 0usize..4000) {
        let (a, b) = bytes.split_at(at.min(bytes.len()));
        let split = decode(vec![Bytes::copy_from_slice(a), Bytes::copy_from_slice(b)]);
        prop_assert_eq!(split, decode(vec![Bytes::copy_from_slice(&bytes)]));
    }

    #[test]
    fn no_data_of_an_event_makes_it_panic(data in "\\PC{0,80}|\\{\"type\":\"response\\.[a-z_.]{0,30}\",\"(item|delta|response|error)\":\\PC{0,40}\\}") {
        let mut chunks = VecDeque::new();
        let _ = Decoder::new("h").event(&Event { name: String::new(), data: data.clone() }, &mut chunks);
        let _ = Decoder::new("h").document(data.as_bytes());
    }
}

#[test]
fn a_long_answer_is_no_quadratic_work() {
    let step = Step::text("word ".repeat(20_000)).chunk(5);
    let bytes = Bytes::from(step.events(1).concat());
    let pieces: Vec<Bytes> = bytes.chunks(1400).map(Bytes::copy_from_slice).collect();
    let begun = Instant::now();
    let (chunks, error) = decode(pieces);
    assert_eq!((chunks.len(), error), (20_002, None));
    // A debug build takes a fraction of a second; work that grows with the square would take minutes.
    assert!(begun.elapsed() < Duration::from_secs(20));
}
