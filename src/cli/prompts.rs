//! Prompts: files in folders that become commands. The person's own, and those of a repository that were trusted.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::config::trust::{Trust, Verdict};
use crate::tui::prompts::{MAX_FILE, Prompt, is_name};

use super::start::Start;

/// More than that nobody types.
const MOST: usize = 500;

/// The prompts that are commands in this directory, and what the person should know of files that were passed over.
pub(super) fn here(start: &Start) -> (Vec<Prompt>, Vec<String>) {
    let trust = &start.config.trust;
    let dirs = start.workspace.ancestors().take_while(|dir| dir.starts_with(&trust.root));
    let brought: Vec<PathBuf> = dirs.map(|dir| dir.join(".agent/prompts")).collect();
    read(&start.home.prompts(), &brought, trust)
}

/// The prompts of the folders. What stands in an earlier one goes before what has the same name in a later one, and
/// the person's own before what the repository brings.
fn read(own: &Path, brought: &[PathBuf], trust: &Trust) -> (Vec<Prompt>, Vec<String>) {
    let (mut prompts, mut notices) = (Vec::<Prompt>::new(), Vec::new());
    let folders = brought.iter().map(|folder| (folder.as_path(), true));
    for (folder, brought) in std::iter::once((own, false)).chain(folders) {
        // No folder, no prompts.
        let Ok(entries) = folder.read_dir() else { continue };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "md")) {
            let mut passed = |why: &str| notices.push(format!("{} is not used: {why}", file.display()));
            let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let text = text(file);
            if brought && !trusted(file, text.as_deref().unwrap_or_default(), trust) {
                // Whoever was asked about it knows.
            } else if !is_name(name) {
                passed("its name can't be the name of a command");
            } else if prompts.iter().any(|prompt| prompt.name == name) {
                passed("there is another one of this name");
            } else if prompts.len() == MOST {
                passed("there are too many");
            } else {
                match text {
                    Ok(text) if brought => prompts.push(Prompt::read(name, &text).of("this repository's")),
                    Ok(text) => prompts.push(Prompt::read(name, &text)),
                    Err(why) => passed(&why),
                }
            }
        }
    }
    (prompts, notices)
}

/// Whether a person has let a file of the repository be read as it is.
fn trusted(file: &Path, text: &str, trust: &Trust) -> bool {
    let inside = file.canonicalize().is_ok_and(|target| target.starts_with(&trust.root));
    inside && trust.verdict(file, text.as_bytes()) == Verdict::Read
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
    use std::{fs, os::unix::fs::symlink};

    use crate::config::{self, Home, Inputs};

    use super::*;

    fn said(prompts: &[Prompt]) -> Vec<(&str, String)> {
        prompts.iter().map(|prompt| (prompt.name.as_str(), prompt.expand(""))).collect()
    }

    #[test]
    fn files_become_commands_and_the_rest_is_told() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("own");
        fs::create_dir_all(own.join("dir.md")).unwrap();
        let large = "x".repeat(usize::try_from(MAX_FILE).unwrap() + 1);
        for (name, text) in [
            ("a.md", b"mine".as_slice()),
            ("two words.md", b"x"),
            ("latin.md", b"\xe4"),
            ("large.md", large.as_bytes()),
            ("notes.txt", b"no prompt"),
        ] {
            fs::write(own.join(name), text).unwrap();
        }
        let (prompts, notices) = read(&own, &[root.path().join("missing")], &Trust::default());
        assert_eq!(said(&prompts), [("a", "mine".to_owned())]);
        let told = |name: &str, why: &str| format!("{} is not used: {why}", own.join(name).display());
        assert_eq!(
            notices,
            [
                told("dir.md", "it is not a file"),
                told("large.md", "it is larger than 64 KiB"),
                told("latin.md", "it is not UTF-8"),
                told("two words.md", "its name can't be the name of a command"),
            ]
        );
    }

    #[test]
    fn what_a_repository_brings_is_a_command_when_it_was_trusted_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let [home, own, project] = ["home", "home/prompts", "p"].map(|name| root.join(name));
        let brought = project.join("sub/.agent/prompts");
        for dir in [&own, &project.join(".git"), &brought] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(own.join("a.md"), "mine").unwrap();
        for (name, text) in [("a.md", "theirs"), ("b.md", "b"), ("c.md", "c")] {
            fs::write(brought.join(name), text).unwrap();
        }
        fs::write(root.join("secret"), "s").unwrap();
        symlink(root.join("secret"), brought.join("out.md")).unwrap();
        let home = Home::below(&home);
        let trust = |trusted: Option<bool>| {
            let inputs =
                Inputs { home: home.clone(), cwd: project.join("sub"), env: vec![], overrides: vec![] };
            let now = config::load(&inputs).unwrap().trust;
            if let Some(trusted) = trusted {
                now.decide(&home.trust_file(), trusted).unwrap();
            }
            config::load(&inputs).unwrap().trust
        };
        let names = |trust: &Trust| {
            let (prompts, notices) = read(&own, std::slice::from_ref(&brought), trust);
            (prompts.iter().map(|prompt| prompt.name.clone()).collect::<String>(), notices.len())
        };
        assert_eq!(names(&trust(None)), ("a".to_owned(), 0), "nobody was asked");
        assert_eq!(names(&trust(Some(false))), ("a".to_owned(), 0), "left alone");
        let seen = trust(Some(true));
        assert_eq!(names(&seen), ("abc".to_owned(), 1), "one is hidden by the person's own");
        let (prompts, _) = read(&own, std::slice::from_ref(&brought), &seen);
        assert_eq!(prompts[1].spec().about, "b (this repository's)");
        fs::write(brought.join("c.md"), "another").unwrap();
        assert_eq!(names(&seen), ("ab".to_owned(), 1), "it is not what was seen");
        // Trusted as a whole, and yet nothing from outside.
        let line = format!("[projects.{:?}]\ntrusted = true\n", project.display().to_string());
        fs::write(home.config_file(), line).unwrap();
        assert_eq!(names(&trust(None)), ("abc".to_owned(), 1));
    }
}
