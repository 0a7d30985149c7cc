//! What follows a request's head, passed on to its end and no further: a second request behind it could be for
//! another host.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    head::Body,
    incoming::Incoming,
    tally::{Tally, Way},
};

/// Bytes of a line between chunks.
const LONGEST_LINE: usize = 4 * 1024;
/// Lines that may follow the last chunk.
const TRAILERS: usize = 64;

/// Passes a body on.
pub(super) async fn forward<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    body: Body,
    from: &mut Incoming<R>,
    to: &mut W,
    tally: &Tally,
) -> io::Result<()> {
    match body {
        Body::Sized(length) => sized(length, from, to, tally).await,
        Body::Chunked => chunked(from, to, tally).await,
    }
}

async fn sized<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    mut left: u64,
    from: &mut Incoming<R>,
    to: &mut W,
    tally: &Tally,
) -> io::Result<()> {
    while left > 0 {
        if from.buffer.is_empty() && !from.more().await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let piece = from.take(usize::try_from(left).unwrap_or(usize::MAX));
        left -= piece.len() as u64;
        tally.write(to, &piece, Way::Out).await?;
    }
    Ok(())
}

async fn chunked<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    from: &mut Incoming<R>,
    to: &mut W,
    tally: &Tally,
) -> io::Result<()> {
    loop {
        let size = chunk_size(&line(from).await?).ok_or(io::ErrorKind::InvalidData)?;
        if size == 0 {
            break;
        }
        // Written anew: what a chunk says beside its size is for nobody.
        tally.write(to, format!("{size:x}\r\n").as_bytes(), Way::Out).await?;
        sized(size, from, to, tally).await?;
        if !line(from).await?.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        tally.write(to, b"\r\n", Way::Out).await?;
    }
    for _ in 0..TRAILERS {
        if line(from).await?.is_empty() {
            return tally.write(to, b"0\r\n\r\n", Way::Out).await;
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// The next line, without its end.
async fn line<R: AsyncRead + Unpin>(from: &mut Incoming<R>) -> io::Result<Vec<u8>> {
    loop {
        if let Some(at) = memchr::memchr(b'\n', &from.buffer) {
            let mut line = from.take(at + 1);
            line.pop();
            return if line.pop() == Some(b'\r') && !line.contains(&b'\r') {
                Ok(line)
            } else {
                Err(io::ErrorKind::InvalidData.into())
            };
        }
        if from.buffer.len() > LONGEST_LINE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if !from.more().await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn passed(body: Body, bytes: &[u8]) -> (Option<String>, String) {
        let mut from = Incoming::new(bytes);
        let mut to = Vec::new();
        let done = forward(body, &mut from, &mut to, &Tally::unseen()).await.is_ok();
        while from.more().await.unwrap() {}
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.then(|| text(to)), text(from.buffer))
    }

    #[tokio::test]
    async fn a_body_is_passed_on_and_what_follows_it_is_not() {
        let evil = "GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n";
        for (body, bytes, out) in [
            (Body::Sized(3), "abc", "abc"),
            (Body::Sized(0), "", ""),
            (Body::Chunked, "3\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n"),
            (Body::Chunked, "0A;x=y\r\n0123456789\r\n00\r\nX: y\r\n\r\n", "a\r\n0123456789\r\n0\r\n\r\n"),
        ] {
            let bytes = format!("{bytes}{evil}");
            assert_eq!(
                passed(body, bytes.as_bytes()).await,
                (Some(out.to_owned()), evil.to_owned()),
                "{bytes}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_that_has_no_clear_end_is_not_passed_on() {
        for bytes in [
            "3\nabc\r\n0\r\n\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
            "-1\r\n",
            "+3\r\nabc\r\n",
            " 3\r\nabc\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "ffffffffffffffff\r\n",
            "3\r\nab",
            "\r\n",
            "g\r\n",
        ] {
            assert_eq!(passed(Body::Chunked, bytes.as_bytes()).await.0, None, "{bytes:?}");
        }
        assert_eq!(passed(Body::Sized(4), b"abc").await.0, None);
    }
}
