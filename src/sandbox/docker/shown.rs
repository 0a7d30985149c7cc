//! Directories that commands read beside the workspace, such as copies of skills: copied into a container at the same
//! path, where they belong to somebody that commands are not.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::Docker;
use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::{
    control::quoted,
    endpoint::Endpoint,
    hijack::{self, Attached, Frames, Which},
};

/// Bytes of one directory at most: it lives in memory.
pub(super) const MOST: u64 = 48 << 20;
/// How long copying may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Copies what has come into these directories since the last time. `there` is what the container has of them.
pub(super) async fn bring(
    docker: &Docker,
    endpoint: &Endpoint,
    container: &str,
    folders: &[PathBuf],
    there: &mut BTreeSet<PathBuf>,
) -> io::Result<()> {
    for folder in folders {
        let known = there.clone();
        let from = folder.clone();
        let packed =
            tokio::task::spawn_blocking(move || pack(&from, &known)).await.map_err(io::Error::other)?;
        let (bytes, new) = packed?;
        if new.is_empty() {
            continue;
        }
        timeout(LIMIT, unpack(docker, endpoint, container, folder, &bytes))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        there.extend(new);
    }
    Ok(())
}

/// What is new in a folder as an archive, and its paths.
fn pack(folder: &Path, known: &BTreeSet<PathBuf>) -> io::Result<(Vec<u8>, Vec<PathBuf>)> {
    // What is not there holds nothing.
    let Ok(entries) = fs::read_dir(folder) else { return Ok((Vec::new(), Vec::new())) };
    let mut builder = tar::Builder::new(Limited(Vec::new()));
    builder.follow_symlinks(false);
    builder.mode(tar::HeaderMode::Deterministic);
    let mut new = Vec::new();
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if hidden || known.contains(&path) || !entry.file_type()?.is_dir() {
            continue;
        }
        builder.append_dir_all(&name, &path)?;
        new.push(path);
    }
    Ok((builder.into_inner()?.0, new))
}

struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() as u64 + bytes.len() as u64 > MOST {
            return Err(io::Error::other(format!("there are more than {} MiB of them", MOST >> 20)));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn unpack(
    docker: &Docker,
    endpoint: &Endpoint,
    container: &str,
    folder: &Path,
    bytes: &[u8],
) -> io::Result<()> {
    let place = quoted(folder.as_os_str().as_encoded_bytes());
    let script = format!("cd {} && tar -x -f -", String::from_utf8_lossy(&place));
    let Attached { output, mut input } = hijack::run_script(docker, endpoint, container, &script).await?;
    let mut frames = Frames::new(output, false);
    let mut said = Vec::new();
    let write = async {
        input.write_all(bytes).await?;
        input.shutdown().await
    };
    let read = async {
        while let Some((which, piece)) = frames.next().await? {
            if matches!(which, Which::Err) && said.len() < 1000 {
                said.extend_from_slice(piece);
            }
        }
        io::Result::Ok(())
    };
    let (written, read) = tokio::join!(write, read);
    match String::from_utf8_lossy(&said).trim() {
        "" => written.and(read),
        said => Err(io::Error::other(said.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_packed() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a-1/scripts", "b-2", ".new-3"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("a-1/scripts/run.sh"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("b-2/link")).unwrap();
        let mut there = BTreeSet::new();
        let (bytes, mut new) = pack(root.path(), &there).unwrap();
        new.sort();
        assert_eq!(new, [root.path().join("a-1"), root.path().join("b-2")]);
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                entry.unwrap().path().unwrap().display().to_string().trim_end_matches('/').to_owned()
            })
            .collect();
        names.sort();
        assert_eq!(names, ["a-1", "a-1/scripts", "a-1/scripts/run.sh", "b-2", "b-2/link"]);
        there.extend(new);
        assert_eq!(pack(root.path(), &there).unwrap().1, Vec::<PathBuf>::new());
        assert_eq!(pack(&root.path().join("none"), &there).unwrap().1, Vec::<PathBuf>::new());
    }
}
