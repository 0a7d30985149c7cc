//! Streams split, damaged and long.

use super::*;
use crate::support::wires::{self, Wired};

/// What a stream of bytes decodes to, without a network.
fn decode(pieces: Vec<Bytes>) -> (Vec<Chunk>, Option<ModelError>) {
    (wires::ALL[0].read)(pieces, 1 << 20)
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

#[test]
fn a_recorded_stream_of_any_wire_is_read_the_same_wherever_it_is_split_and_cut_off_it_is_none() {
    for wire in wires::ALL {
        for (path, bytes) in wire.samples() {
            let whole = wire.whole(&bytes);
            for at in 0..=bytes.len() {
                let (a, b) = bytes.split_at(at);
                let split = (wire.read)(vec![Bytes::copy_from_slice(a), Bytes::copy_from_slice(b)], 1 << 20);
                assert!(split == whole, "{} split at {at}: {split:?}", path.display());
                let (chunks, error) = wire.whole(a);
                match error {
                    None => {
                        assert!(finished(&chunks), "{} cut at {at}: {chunks:?}", path.display());
                        assert_eq!(items(&chunks), items(&whole.0), "{} cut at {at}", path.display());
                    }
                    // What was cut off has not ended in any other way than the whole.
                    Some(error) => assert!(
                        matches!(error.kind, Kind::Network | Kind::Garbage)
                            || Some(&error) == whole.1.as_ref(),
                        "{} cut at {at}: {error:?}",
                        path.display()
                    ),
                }
            }
            let bytes = bytes.iter().map(|byte| Bytes::copy_from_slice(&[*byte]));
            assert_eq!((wire.read)(bytes.collect(), 1 << 20), whole);
        }
    }
}

/// A recorded stream of any wire, with bytes that are others.
fn damaged() -> impl Strategy<Value = (Wired, Vec<u8>)> {
    let sample = (0..wires::ALL.len()).prop_flat_map(|wire| {
        let wire = wires::ALL[wire];
        let samples: Vec<Vec<u8>> = wire.samples().into_iter().map(|(_, bytes)| bytes).collect();
        (Just(wire), prop::sample::select(samples))
    });
    sample.prop_flat_map(|(wire, bytes)| {
        prop::collection::vec((0..bytes.len(), any::<u8>()), 0..12).prop_map(move |changes| {
            let mut bytes = bytes.clone();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            (wire, bytes)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn damage_to_a_stream_is_read_the_same_wherever_it_is_split_and_never_ends_without_a_word(
        (wire, bytes) in damaged(),
        at in 0usize..4000,
        from in prop_oneof![3 => Just(0usize), 1 => 0usize..4000],
    ) {
        let bytes = &bytes[from.min(bytes.len())..];
        let (a, b) = bytes.split_at(at.min(bytes.len()));
        let (chunks, error) = (wire.read)(vec![Bytes::copy_from_slice(a), Bytes::copy_from_slice(b)], 1 << 20);
        prop_assert!(error.is_some() != finished(&chunks), "{}: {:?} {:?}", wire.name, error, chunks);
        prop_assert_eq!(&(chunks, error), &wire.whole(bytes));
        let (chunks, error) = (wire.document)(bytes);
        prop_assert!(error.is_some() != finished(&chunks), "{}: {:?} {:?}", wire.name, error, chunks);
    }

    #[test]
    fn no_data_of_an_event_makes_it_panic(
        (wire, data) in (0..wires::ALL.len()).prop_flat_map(|wire| {
            let wire = wires::ALL[wire];
            (Just(wire), prop_oneof!["\\PC{0,80}", wire.pattern])
        })
    ) {
        let (chunks, error) = wire.whole(&wire.event(&data));
        prop_assert!(error.is_some() != finished(&chunks), "{}: {:?} {:?}", wire.name, error, chunks);
        let (chunks, error) = (wire.document)(data.as_bytes());
        prop_assert!(error.is_some() != finished(&chunks), "{}: {:?} {:?}", wire.name, error, chunks);
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
