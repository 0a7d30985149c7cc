//! A picture from the clipboard, by the tool that the desktop has for it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

/// How long a tool may take: whoever has the clipboard has to answer it.
const LIMIT: Duration = Duration::from_secs(2);
/// Bytes of a picture.
const MOST: u64 = 32 << 20;

/// The tools that may be there, and what gets them.
const WAYLAND: (&str, &[&str], &str) = ("wl-paste", &["--no-newline", "--type", "image/png"], "wl-clipboard");
const X11: (&str, &[&str], &str) = ("xclip", &["-selection", "clipboard", "-t", "image/png", "-o"], "xclip");
const MACOS: (&str, &[&str], &str) = ("pngpaste", &["-"], "pngpaste");

/// Puts the picture on the clipboard into a file in `folder`.
///
/// # Errors
/// With a sentence for the person.
pub(super) async fn image(folder: &Path, set: impl Fn(&str) -> bool) -> Result<PathBuf, String> {
    let tool = match () {
        () if cfg!(target_os = "macos") => MACOS,
        () if set("WAYLAND_DISPLAY") => WAYLAND,
        () if set("DISPLAY") => X11,
        () => {
            return Err("there is no clipboard with pictures here (no WAYLAND_DISPLAY, no DISPLAY); paste the path of \
                        a file instead"
                .to_owned());
        }
    };
    let bytes = match timeout(LIMIT, run(tool.0, tool.1)).await {
        Err(_) => return Err(format!("the clipboard did not answer within {} s", LIMIT.as_secs())),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("pictures on the clipboard need `{}`: install {}", tool.0, tool.2));
        }
        Ok(Err(error)) => return Err(format!("`{}` failed: {error}", tool.0)),
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
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, &bytes));
    written.map(|()| path.clone()).map_err(|error| format!("can't write {}: {error}", path.display()))
}

async fn run(name: &str, args: &[&str]) -> io::Result<Vec<u8>> {
    let mut command = Command::new(name);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut bytes = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(MOST + 1).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}
