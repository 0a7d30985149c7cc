//! The person's prompts: files in folders that become commands.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::tui::prompts::{MAX_FILE, Prompt, is_name};

/// More than that nobody types.
const MOST: usize = 500;

/// The prompts of the folders, and what the person should know of files that were passed over. What stands in an
/// earlier folder goes before what has the same name in a later one.
pub(super) fn read(folders: &[PathBuf]) -> (Vec<Prompt>, Vec<String>) {
    let (mut prompts, mut notices) = (Vec::<Prompt>::new(), Vec::new());
    for folder in folders {
        // No folder, no prompts.
        let Ok(entries) = folder.read_dir() else { continue };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "md")) {
            let mut passed = |why: &str| notices.push(format!("{} is not used: {why}", file.display()));
            let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if !is_name(name) {
                passed("its name can't be the name of a command");
            } else if prompts.iter().any(|prompt| prompt.name == name) {
                passed("there is another one of this name");
            } else if prompts.len() == MOST {
                passed("there are too many");
            } else {
                match text(file) {
                    Ok(text) => prompts.push(Prompt::read(name, &text)),
                    Err(why) => passed(&why),
                }
            }
        }
    }
    (prompts, notices)
}

fn text(path: &Path) -> Result<String, String> {
    if !path.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("it is larger than {} KiB", MAX_FILE >> 10));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_become_commands_and_the_rest_is_told() {
        let root = tempfile::tempdir().unwrap();
        let [own, project] = ["own", "project"].map(|name| root.path().join(name));
        for folder in [&own, &project] {
            fs::create_dir(folder).unwrap();
        }
        let large = "x".repeat(usize::try_from(MAX_FILE).unwrap() + 1);
        for (folder, name, text) in [
            (&own, "a.md", b"mine".as_slice()),
            (&project, "a.md", b"theirs"),
            (&project, "b.md", b"b"),
            (&project, "two words.md", b"x"),
            (&project, "latin.md", b"\xe4"),
            (&project, "large.md", large.as_bytes()),
            (&project, "notes.txt", b"no prompt"),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        fs::create_dir(project.join("dir.md")).unwrap();
        let (prompts, notices) = read(&[own, root.path().join("missing"), project.clone()]);
        let said: Vec<(String, String)> =
            prompts.iter().map(|prompt| (prompt.name.clone(), prompt.expand(""))).collect();
        assert_eq!(said, [("a", "mine"), ("b", "b")].map(|(name, text)| (name.to_owned(), text.to_owned())));
        let told = |name: &str, why: &str| format!("{} is not used: {why}", project.join(name).display());
        assert_eq!(
            notices,
            [
                told("a.md", "there is another one of this name"),
                told("dir.md", "it is not a file"),
                told("large.md", "it is larger than 64 KiB"),
                told("latin.md", "it is not UTF-8"),
                told("two words.md", "its name can't be the name of a command"),
            ]
        );
    }
}
