//! A picture from the clipboard, by the tool that the desktop has for it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime},
};

use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

use crate::tools::view_image;

/// How long a tool may take: whoever has the clipboard has to answer it.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes of a picture.
const MOST: u64 = 32 << 20;
/// How long a picture is kept here: a draft may name it. What was sent is kept with its session.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A program that prints the picture on the clipboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    args: &'static [&'static str],
    /// What brings it.
    pub(super) package: &'static str,
}

const WAYLAND: Tool =
    Tool { name: "wl-paste", args: &["--no-newline", "--type", "image/png"], package: "wl-clipboard" };
const X11: Tool =
    Tool { name: "xclip", args: &["-selection", "clipboard", "-t", "image/png", "-o"], package: "xclip" };
const MACOS: Tool = Tool { name: "pngpaste", args: &["-"], package: "pngpaste" };

/// The tool for the desktop that there is, by the variables that are set.
///
/// # Errors
/// With a sentence for the person, when there is no desktop.
pub(super) fn tool(set: impl Fn(&str) -> bool) -> Result<Tool, String> {
    match () {
        () if cfg!(target_os = "macos") => Ok(MACOS),
        () if set("WAYLAND_DISPLAY") => Ok(WAYLAND),
        () if set("DISPLAY") => Ok(X11),
        () => Err(
            "there is no clipboard with pictures here (no WAYLAND_DISPLAY, no DISPLAY); paste the path of a \
                   file instead"
                .to_owned(),
        ),
    }
}

/// Puts the picture on the clipboard into a file in `folder`. The variables in `hidden` are not for the tool.
///
/// # Errors
/// With a sentence for the person.
pub(super) async fn image(folder: &Path, tool: Tool, hidden: &[String]) -> Result<PathBuf, String> {
    let bytes = match timeout(LIMIT, run(tool, hidden)).await {
        Err(_) => return Err(format!("the clipboard did not answer within {} s", LIMIT.as_secs())),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("pictures on the clipboard need `{}`: install {}", tool.name, tool.package));
        }
        Ok(Err(error)) => return Err(format!("`{}` failed: {error}", tool.name)),
        Ok(Ok(bytes)) => bytes,
    };
    if !bytes.starts_with(b"\x89PNG") {
        return Err("there is no picture on the clipboard".to_owned());
    }
    if bytes.len() as u64 > MOST {
        return Err(format!("the picture on the clipboard is larger than {} MiB", MOST >> 20));
    }
    let name: String = blake3::hash(&bytes).to_hex().chars().take(16).collect();
    let path = folder.join(format!("clipboard-{name}.png"));
    let kept = tokio::task::spawn_blocking({
        let (folder, path) = (folder.to_owned(), path.clone());
        move || keep(&folder, &path, &bytes)
    });
    match kept.await {
        Ok(kept) => kept.map(|()| path),
        Err(_) => Err("the picture on the clipboard is such that it can't be read".to_owned()),
    }
}

/// Writes a picture, and makes sure that it is one which can be sent.
fn keep(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), String> {
    let written = fs::create_dir_all(folder).and_then(|()| {
        sweep(folder, SystemTime::now());
        fs::write(path, bytes)
    });
    written.map_err(|error| format!("can't write {}: {error}", path.display()))?;
    view_image::load(path).map(drop).map_err(|error| {
        // What can't be removed is swept later.
        let _ = fs::remove_file(path);
        format!("the picture on the clipboard can't be used: {error}")
    })
}

/// Removes pictures that are long gone from the clipboard.
fn sweep(folder: &Path, now: SystemTime) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|meta| meta.modified());
        let age = written.ok().and_then(|written| now.duration_since(written).ok());
        if age.is_some_and(|age| age > KEPT) {
            // It is tried again with the next picture.
            let _ = fs::remove_file(entry.path());
        }
    }
}

async fn run(tool: Tool, hidden: &[String]) -> io::Result<Vec<u8>> {
    let mut command = Command::new(tool.name);
    command.args(tool.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    for name in hidden {
        command.env_remove(name);
    }
    let mut child = command.kill_on_drop(true).spawn()?;
    let mut bytes = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(MOST + 1).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_go_when_they_are_a_week_old() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("clipboard-1.png"), "x").unwrap();
        let left = || folder.path().read_dir().unwrap().count();
        let days = |days: u64| SystemTime::now() + Duration::from_secs(days * 24 * 3600);
        sweep(folder.path(), days(6));
        assert_eq!(left(), 1);
        sweep(folder.path(), days(8));
        assert_eq!(left(), 0);
    }
}
