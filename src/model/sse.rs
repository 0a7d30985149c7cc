//! Server-sent events over a stream of bytes.
//!
//! Knows nothing of what the events say. Tolerates CRLF, comments, byte order marks, missing event names and
//! any splitting of the bytes; what is not UTF-8, and an event without end, is an error.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use sse_stream::SseByteStream;

use super::{ModelError, ModelErrorKind as Kind};

/// The most that one event may hold.
pub const EVENT_LIMIT: usize = 64 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Empty when the server did not name it.
    pub name: String,
    pub data: String,
}

/// The events in a stream of bytes. An event that is not finished when the bytes end is dropped.
pub fn events<S>(bytes: S, limit: usize) -> impl Stream<Item = Result<Event, ModelError>> + Send + Unpin
where
    S: Stream<Item = Result<Bytes, ModelError>> + Send + Unpin,
{
    // The parser asks for more bytes only when it has used up what it had. So the bytes that came since the
    // last event bound what it holds.
    let held = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&held);
    let bounded = bytes.map(move |bytes| {
        let bytes = bytes?;
        if counter.fetch_add(bytes.len(), Ordering::Relaxed) > limit {
            let message = format!("the server sent an event of more than {} MiB", limit >> 20);
            return Err(ModelError::new(Kind::Garbage, message));
        }
        Ok(bytes)
    });
    SseByteStream::new(bounded).filter_map(move |event| {
        held.store(0, Ordering::Relaxed);
        std::future::ready(match event {
            // An event without data says nothing, by the standard.
            Ok(event) => event.data.map(|data| Ok(Event { name: event.event.unwrap_or_default(), data })),
            Err(sse_stream::Error::Body(error)) => Some(Err(match error.downcast::<ModelError>() {
                Ok(error) => *error,
                Err(error) => ModelError::new(Kind::Network, error.to_string()),
            })),
            Err(error) => {
                let message = format!("the server sent what is not an event stream: {error}");
                Some(Err(ModelError::new(Kind::Garbage, message)))
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, stream};
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]], limit: usize) -> Vec<Result<Event, ModelError>> {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        events(stream::iter(chunks), limit).collect().now_or_never().expect("nothing has to be waited for")
    }

    fn pairs(chunks: &[&[u8]]) -> Vec<(String, String)> {
        read(chunks, EVENT_LIMIT).into_iter().map(Result::unwrap).map(|e| (e.name, e.data)).collect()
    }

    #[test]
    fn events_are_read_however_they_are_written() {
        let text = "\u{feff}: hello\n\nevent: a\r\ndata: 1\r\n\r\ndata:2\n\n:\n\nid: 7\ndata: x\ndata: é\n\n\
                    retry: 5\n\nunknown: y\nevent: b\ndata\n\ndata: lost"
            .as_bytes();
        let expected = [("a", "1"), ("", "2"), ("", "x\né"), ("b", "")]
            .map(|(name, data)| (name.to_owned(), data.to_owned()));
        assert_eq!(pairs(&[text]), expected);
        for split in 0..=text.len() {
            let (a, b) = text.split_at(split);
            assert_eq!(pairs(&[a, b]), expected, "split at {split}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(pairs(&bytes), expected);
    }

    #[test]
    fn what_is_not_utf_8_is_garbage() {
        let read = read(&[b"data: ok\n\ndata: \xff\xfe\n\ndata: never\n\n"], EVENT_LIMIT);
        assert!(matches!(&read[..], [Ok(_), Err(error)] if error.kind == Kind::Garbage), "{read:?}");
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let line = [b'x'; 1000];
        let mut chunks: Vec<&[u8]> = vec![b"data: "];
        chunks.extend(std::iter::repeat_n(&line[..], 100));
        let read = read(&chunks, 10_000);
        assert!(matches!(&read[..], [Err(error)] if error.kind == Kind::Garbage), "{read:?}");
    }

    #[test]
    fn many_small_events_are_no_large_event() {
        let chunks = vec![&b"data: x\n\n"[..]; 1000];
        assert_eq!(read(&chunks, 100).iter().filter(|event| event.is_ok()).count(), 1000);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            read(&chunks, 64);
        }
    }
}
