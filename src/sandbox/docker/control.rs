//! A shell inside a container that does our own work there: listing, packing and removing files of the workspace.
//!
//! It stays, because starting a program in a container takes longer than most that is asked of it. It has no more
//! rights than commands have, and what it says is no more to be believed.

use std::{
    io::{self, Write},
    path::Path,
};

use bollard::{Docker, models::ExecConfig};
use tokio::io::AsyncWriteExt as _;

use super::{
    endpoint::Endpoint,
    hijack::{self, Attached, Frames, Which},
};

/// The shell, and both of its streams.
pub(super) struct Control {
    input: tokio::io::WriteHalf<tokio::io::BufReader<Box<dyn super::endpoint::Stream>>>,
    output: Frames<tokio::io::ReadHalf<tokio::io::BufReader<Box<dyn super::endpoint::Stream>>>>,
}

/// The output of one script, without its last line.
struct Until<'a> {
    sink: &'a mut (dyn Write + Send),
    /// What may be the beginning of the last line.
    held: Vec<u8>,
    end: Vec<u8>,
    left: u64,
}

impl Control {
    pub(super) async fn start(
        docker: &Docker,
        endpoint: &Endpoint,
        container: &str,
        user: &str,
    ) -> io::Result<Self> {
        let config = ExecConfig {
            cmd: Some(vec!["sh".to_owned()]),
            // The same words from every tool.
            env: Some(vec!["LC_ALL=C".to_owned()]),
            user: Some(user.to_owned()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(false),
            ..ExecConfig::default()
        };
        let exec = docker.create_exec(container, config).await.map_err(io::Error::other)?;
        let Attached { output, input } = hijack::start_exec(endpoint, &exec.id, false).await?;
        Ok(Self { input, output: Frames::new(output, false) })
    }

    /// Runs a script in `directory`, and gives its exit code. Its output goes to `sink`, `most` bytes at most.
    pub(super) async fn run(
        &mut self,
        directory: &Path,
        script: &[u8],
        sink: &mut (dyn Write + Send),
        most: u64,
    ) -> io::Result<i32> {
        // Nobody inside knows how the output will end: it can't be made to end early.
        let end = uuid::Uuid::new_v4().simple().to_string();
        let mut text = b"(cd -- ".to_vec();
        text.extend(quoted(directory.as_os_str().as_encoded_bytes()));
        text.extend(b" || exit 125\n");
        text.extend(script);
        text.extend(format!("\n) </dev/null 2>/dev/null\necho \"{end}\" $?\n").as_bytes());
        self.input.write_all(&text).await?;
        self.input.flush().await?;
        let mut until = Until { sink, held: Vec::new(), end: end.into_bytes(), left: most };
        loop {
            match self.output.next().await? {
                Some((Which::Out, piece)) => {
                    if let Some(code) = until.take(piece)? {
                        return Ok(code);
                    }
                }
                Some((Which::Err, _)) => {}
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

impl Until<'_> {
    /// Takes a piece; the exit code when it was the last one.
    fn take(&mut self, piece: &[u8]) -> io::Result<Option<i32>> {
        self.held.extend_from_slice(piece);
        if let Some(at) = memchr::memmem::find(&self.held, &self.end) {
            let last = self.held.get(at + self.end.len()..).unwrap_or_default();
            let Some(line) = last.strip_suffix(b"\n") else { return Ok(None) };
            let code = std::str::from_utf8(line).ok().and_then(|line| line.trim().parse().ok());
            let rest = self.held.get(..at).unwrap_or_default().to_vec();
            self.pass(&rest)?;
            return code.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
        // The last line may have begun.
        let sure = self.held.len().saturating_sub(self.end.len());
        let sure: Vec<u8> = self.held.drain(..sure).collect();
        self.pass(&sure).map(|()| None)
    }

    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| io::Error::other("there is more of it than can be brought out"))?;
        self.sink.write_all(bytes)
    }
}

/// A word for `sh` that means these bytes.
pub(super) fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in bytes {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_ends_with_its_own_line_however_it_is_cut() {
        let whole = b"one\ntwo END7 0";
        let said = [&whole[..], b"END1 3\n"].concat();
        for size in 1..said.len() {
            let mut sink = Vec::new();
            let mut until = Until { sink: &mut sink, held: Vec::new(), end: b"END1".to_vec(), left: 1000 };
            let codes: Vec<i32> = said.chunks(size).filter_map(|piece| until.take(piece).unwrap()).collect();
            assert_eq!((codes.as_slice(), sink.as_slice()), (&[3][..], &whole[..]), "{size}");
        }
    }

    #[test]
    fn too_much_is_an_error() {
        let mut sink = Vec::new();
        let mut until = Until { sink: &mut sink, held: Vec::new(), end: b"END".to_vec(), left: 4 };
        assert!(until.take(b"0123456789").is_err());
    }

    #[test]
    fn a_word_is_quoted_whole() {
        assert_eq!(quoted(b"it's"), br"'it'\''s'");
    }
}
