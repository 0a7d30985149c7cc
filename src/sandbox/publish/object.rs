//! Objects: each goes by the digest of its content, so that one that has it harms nobody, whoever wrote it.

use std::io::{self, Read, Write};

use flate2::read::ZlibDecoder;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// An object at most, unpacked: a small file can unpack to any size.
const LARGEST: u64 = 2 << 30;

/// Copies a loose object, and says whether its content has the name `id`. What was copied is what was judged.
///
/// # Errors
/// When it can't be read or written.
pub(in crate::sandbox) fn copy(from: impl Read, to: impl Write, id: &str) -> io::Result<bool> {
    let mut decoder = ZlibDecoder::new(Tee { from, to, copied: 0 });
    let (mut sha1, mut sha256) = (Sha1::new(), Sha256::new());
    let mut head = Vec::new();
    let mut size = 0;
    let mut announced = None;
    let mut buffer = vec![0_u8; 64 << 10];
    loop {
        let count = match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let read = buffer.get(..count).unwrap_or_default();
        if id.len() == 40 {
            sha1.update(read);
        } else {
            sha256.update(read);
        }
        if announced.is_none() {
            head.extend(read.iter().take(64));
            announced = announced_size(&head);
            // The longest head there is, has a kind of six letters and a number of twenty figures.
            if announced.is_none() && head.len() >= 32 {
                return Ok(false);
            }
        }
        size += count as u64;
        if size > LARGEST {
            return Ok(false);
        }
    }
    let Some((head, announced)) = announced else { return Ok(false) };
    let digest: Vec<u8> = if id.len() == 40 { sha1.finalize().to_vec() } else { sha256.finalize().to_vec() };
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    // Nothing may stand behind the end of what was judged.
    let unpacked = decoder.total_in();
    let mut tee = decoder.into_inner();
    io::copy(&mut tee, &mut io::sink())?;
    Ok(name == id && size == head + announced && tee.copied == unpacked)
}

/// The length of the head `KIND SIZE\0`, and the size.
fn announced_size(head: &[u8]) -> Option<(u64, u64)> {
    let end = head.iter().position(|byte| *byte == 0)?;
    let (kind, size) = std::str::from_utf8(head.get(..end)?).ok()?.split_once(' ')?;
    let known = matches!(kind, "blob" | "tree" | "commit" | "tag");
    let size = size.parse().ok().filter(|_| known && !size.starts_with('+'))?;
    Some((end as u64 + 1, size))
}

/// Writes what is read.
struct Tee<R, W> {
    from: R,
    to: W,
    copied: u64,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.to.write_all(buffer.get(..count).unwrap_or_default())?;
        self.copied += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::ZlibEncoder};

    use super::*;

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// What git calls a file with "x\n" in it.
    const X: &str = "587be6b4c3f93f93c489c0111bba5596147a26cb";
    const X256: &str = "ccde1ab8cbaa66d4ce96aee92b1c9bb7e37d83d3c04b1ade0ab7b6f0db6a2b06";

    fn judged(bytes: &[u8], id: &str) -> bool {
        let mut copied = Vec::new();
        let good = copy(bytes, &mut copied, id).unwrap();
        assert!(!good || copied == bytes);
        good
    }

    #[test]
    fn an_object_is_what_its_name_says() {
        let good = packed(b"blob 2\0x\n");
        assert!(judged(&good, X));
        assert!(!judged(&good, X256) && !judged(&good, &X.replace('5', "6")));
        let sha256: String =
            Sha256::digest(b"blob 2\0x\n").iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(judged(&good, &sha256));
    }

    #[test]
    fn what_is_no_object_is_none_whatever_its_digest() {
        for content in [
            &b"blob 3\0x\n"[..],
            b"x\n",
            b"",
            b"evil 2\0x\n",
            b"blob +2\0x\n",
            b"blob two of them, and more of it all\0",
        ] {
            let id: String = Sha1::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!judged(&packed(content), &id), "{content:?}");
        }
        let good = packed(b"blob 2\0x\n");
        assert!(!judged(&[&good[..], b"more"].concat(), X), "something behind its end");
        assert!(!judged(&good[..good.len() - 5], X), "cut off");
        assert!(!judged(b"not packed at all", X));
    }
}
