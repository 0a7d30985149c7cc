//! The person's own themes: files in a folder, read when they are asked for.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use crate::config::save;
use crate::tui::theme;

use super::{screen::short, start::Start};

/// More than that nobody chooses from.
const MOST: usize = 200;

/// The name and the text of each theme, in the order of their names.
pub(super) fn read(folder: &Path) -> Vec<(String, Result<String, String>)> {
    // No folder, no themes.
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let mut themes: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?.strip_suffix(".toml")?.to_owned();
            theme::is_name(&name).then(|| (name, text(&entry.path())))
        })
        .take(MOST)
        .collect();
    themes.sort();
    themes
}

/// Has every later session begin with this theme.
pub(super) fn keep(start: &Start, name: &str) -> Result<String, String> {
    let kept = save::set(&start.home, &["tui", "theme"], Some(name.into()));
    kept.map_err(|error| format!("for now: it can't be kept, since {error}"))?;
    let file = short(&start.home.config_file());
    let now = start.config_now().map_err(|error| error.to_string())?;
    match now.origin("tui.theme") {
        Some(origin) if now.tui.theme != name => {
            Ok(format!("kept in {file}, but {origin} sets another one here"))
        }
        _ => Ok(format!("kept in {file}: theme = \"{name}\"")),
    }
}

fn text(path: &Path) -> Result<String, String> {
    let told = |error: io::Error| format!("{} can't be read: {error}", path.display());
    if !path.metadata().map_err(told)?.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(told)?;
    file.take(theme::MAX_FILE + 1).read_to_string(&mut text).map_err(told)?;
    if text.len() as u64 > theme::MAX_FILE {
        return Err(format!("{} is larger than {} KiB", path.display(), theme::MAX_FILE >> 10));
    }
    Ok(text)
}
