//! Lines of JSON over a stream of bytes, one event each.
//!
//! Knows nothing of what the lines say. Empty lines are passed over; what is not UTF-8, and a line without end, is an
//! error.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};

use super::{ModelError, ModelErrorKind as Kind, sse::Event};

/// The lines in a stream of bytes. What stands behind the last line break is a line as well.
pub fn events<S>(bytes: S, limit: usize) -> BoxStream<'static, Result<Event, ModelError>>
where
    S: Stream<Item = Result<Bytes, ModelError>> + Send + Unpin + 'static,
{
    let reading = Reading { bytes: Some(bytes), limit, held: Vec::new(), lines: VecDeque::new() };
    stream::unfold(reading, async |mut reading| {
        let next = reading.next().await?;
        Some((next, reading))
    })
    .boxed()
}

struct Reading<S> {
    /// Gone when there is nothing more to read.
    bytes: Option<S>,
    limit: usize,
    /// The beginning of a line whose end has not come.
    held: Vec<u8>,
    lines: VecDeque<Result<Event, ModelError>>,
}

impl<S: Stream<Item = Result<Bytes, ModelError>> + Unpin> Reading<S> {
    async fn next(&mut self) -> Option<Result<Event, ModelError>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                if line.is_err() {
                    self.bytes = None;
                    self.lines.clear();
                    self.held.clear();
                }
                return Some(line);
            }
            match self.bytes.as_mut()?.next().await {
                Some(Ok(bytes)) => self.take(&bytes),
                Some(Err(error)) => self.lines.push_back(Err(error)),
                None => {
                    self.bytes = None;
                    let last = std::mem::take(&mut self.held);
                    self.lines.extend(line(&last));
                    return self.lines.pop_front();
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (head, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            if self.held.is_empty() {
                self.lines.extend(line(head));
            } else {
                self.held.extend_from_slice(head);
                self.lines.extend(line(&self.held));
                self.held.clear();
            }
        }
        self.held.extend_from_slice(rest);
        if self.held.len() > self.limit {
            let what = format!("the server sent a line of more than {} MiB", self.limit >> 20);
            self.lines.push_back(Err(ModelError::new(Kind::Garbage, what)));
        }
    }
}

/// A line that says something.
fn line(bytes: &[u8]) -> Option<Result<Event, ModelError>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let what = "the server sent a line that is not UTF-8".to_owned();
        return Some(Err(ModelError::new(Kind::Garbage, what)));
    };
    let text = text.trim();
    (!text.is_empty()).then(|| Ok(Event { name: String::new(), data: text.to_owned() }))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]], limit: usize) -> Vec<Result<String, Kind>> {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let all = events(stream::iter(pieces), limit).collect::<Vec<_>>().now_or_never();
        let all = all.expect("nothing has to be waited for").into_iter();
        all.map(|event| event.map(|event| event.data).map_err(|error| error.kind)).collect()
    }

    #[test]
    fn lines_are_read_wherever_they_are_split() {
        let text = "{\"a\":1}\r\n\n  {\"é\":2}\n{\"last\":3}".as_bytes();
        let expected = ["{\"a\":1}", "{\"é\":2}", "{\"last\":3}"].map(|line| Ok(line.to_owned()));
        for split in 0..=text.len() {
            let (a, b) = text.split_at(split);
            assert_eq!(read(&[a, b], 1000), expected, "split at {split}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(read(&bytes, 1000), expected);
    }

    #[test]
    fn a_line_without_end_and_what_is_not_utf_8_end_it() {
        assert_eq!(read(&[&[b'x'; 50], &[b'x'; 60], b"\ny\n"], 100), [Err(Kind::Garbage)]);
        assert_eq!(read(&[b"ok\n\xff\xfe\nnever\n"], 100), [Ok("ok".to_owned()), Err(Kind::Garbage)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            read(&pieces, 64);
        }
    }
}
