//! Instruction files (`AGENTS.md` and its kin): which ones, in which order, and how much of them.
//!
//! It reads nothing itself; the caller lends a function that does. What does not fit is left out from the far end,
//! and never in silence: the model finds a line in its place, the person gets a list.

use std::{
    fmt::{self, Write as _},
    io,
    path::{Path, PathBuf},
};

/// The names of instruction files, most wanted first. A directory gives the first one that it has.
pub const NAMES: [&str; 4] = ["AGENTS.override.md", "AGENTS.md", "CLAUDE.md", "GEMINI.md"];

/// A budget that holds for most projects, in bytes.
pub const DEFAULT_BUDGET: usize = 48 * 1024;

/// A directory that may have an instruction file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub dir: PathBuf,
    /// The files to try, most wanted first.
    pub files: Vec<PathBuf>,
}

/// An instruction file with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub path: PathBuf,
    pub text: String,
}

/// What the model is told, and what it is not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instructions {
    /// Empty when there is nothing to tell.
    pub text: String,
    pub left_out: Vec<LeftOut>,
}

/// A part of an instruction file that did not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub path: PathBuf,
    /// Lines and bytes at its end that were left out.
    pub lines: usize,
    pub bytes: usize,
    /// Nothing of the file was kept.
    pub whole: bool,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, lines, bytes, whole } = self;
        let what = if *whole { "all of" } else { "the end of" };
        write!(
            f,
            "the instruction files are longer than their budget: {what} {} ({lines} lines, {bytes} bytes) is not \
             told to the model; shorten them, or set instructions.max_bytes",
            path.display()
        )
    }
}

/// Where instruction files may be, farthest first: the user's own directories, then from the root of the
/// repository down to the working directory. Without a repository only the working directory counts.
#[must_use]
pub fn candidates(root: Option<&Path>, cwd: &Path, user: &[PathBuf]) -> Vec<Place> {
    let root = root.filter(|root| cwd.starts_with(root)).unwrap_or(cwd);
    let mut dirs: Vec<&Path> = cwd.ancestors().take_while(|dir| dir.starts_with(root)).collect();
    dirs.reverse();
    let own = user.iter().map(|dir| place(dir, &NAMES[..2]));
    let project = dirs.into_iter().map(|dir| place(dir, &NAMES));
    own.chain(project).collect()
}

fn place(dir: &Path, names: &[&str]) -> Place {
    Place { dir: dir.to_owned(), files: names.iter().map(|name| dir.join(name)).collect() }
}

/// Reads the first file of each place. A file that can't be read is named among the problems and passed over.
///
/// `read` gives nothing for a file that does not exist. An empty file hides the ones after it.
pub fn gather(
    places: &[Place],
    read: impl Fn(&Path) -> io::Result<Option<String>>,
) -> (Vec<File>, Vec<String>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for place in places {
        for path in &place.files {
            match read(path) {
                Ok(None) => {}
                Ok(Some(text)) => {
                    if !text.trim().is_empty() {
                        files.push(File { path: path.clone(), text });
                    }
                    break;
                }
                Err(error) => problems.push(format!("{} can't be read: {error}", path.display())),
            }
        }
    }
    (files, problems)
}

/// Puts the files, farthest first, into one text of at most `budget` bytes of theirs.
///
/// The budget is spent from the nearest file outwards, because the nearest one wins.
#[must_use]
pub fn build(files: &[File], budget: usize) -> Instructions {
    let mut room = budget;
    let mut kept: Vec<&str> = Vec::with_capacity(files.len());
    for file in files.iter().rev() {
        let part = whole_lines(&file.text, room);
        room -= part.len();
        kept.push(part);
    }
    kept.reverse();

    let mut built = Instructions::default();
    for (file, part) in files.iter().zip(kept) {
        if !built.text.is_empty() {
            built.text.push_str("\n\n");
        }
        let rest = file.text.get(part.len()..).unwrap_or("");
        let dir = file.path.parent().unwrap_or(Path::new("")).display();
        let name = file.path.file_name().unwrap_or_default().display();
        // Writing to a string can't fail, here and below.
        let _ = write!(built.text, "# {name} instructions for {dir}\n\n<INSTRUCTIONS>\n");
        built.text.push_str(part);
        if !part.is_empty() && !part.ends_with('\n') {
            built.text.push('\n');
        }
        if !rest.is_empty() {
            let (lines, bytes) = (rest.lines().count(), rest.len());
            let whole = part.is_empty();
            let what = if whole { "All" } else { "The last" };
            let _ = writeln!(
                built.text,
                "[CUT: {what} {lines} lines ({bytes} bytes) of this file were left out to save room. \
                 They apply as well: read them in {} before you rely on them.]",
                file.path.display()
            );
            built.left_out.push(LeftOut { path: file.path.clone(), lines, bytes, whole });
        }
        built.text.push_str("</INSTRUCTIONS>");
    }
    built
}

/// As many whole lines from the beginning as fit.
fn whole_lines(text: &str, room: usize) -> &str {
    if text.len() <= room {
        return text;
    }
    let end = text.as_bytes().iter().take(room).rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    text.get(..end).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn dirs(places: &[Place]) -> Vec<&str> {
        places.iter().map(|place| place.dir.to_str().unwrap()).collect()
    }

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn places_go_from_the_user_over_the_root_down_to_the_working_directory() {
        let user = [PathBuf::from("/home/me/.config"), PathBuf::from("/home/me/.config/agent")];
        let places = candidates(Some(Path::new("/p")), Path::new("/p/a/b"), &user);
        assert_eq!(dirs(&places), ["/home/me/.config", "/home/me/.config/agent", "/p", "/p/a", "/p/a/b"]);
        let names = |at: usize| -> Vec<_> {
            places[at].files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect()
        };
        assert_eq!(names(0), ["AGENTS.override.md", "AGENTS.md"]);
        assert_eq!(names(2), ["AGENTS.override.md", "AGENTS.md", "CLAUDE.md", "GEMINI.md"]);
        for (root, cwd, wanted) in [
            (Some("/p"), "/p", vec!["/p"]),
            (None, "/p/a", vec!["/p/a"]),
            (Some("/q"), "/p/a", vec!["/p/a"]),
            (Some("/p"), "/px", vec!["/px"]),
            (Some("/"), "/p", vec!["/", "/p"]),
        ] {
            assert_eq!(dirs(&candidates(root.map(Path::new), Path::new(cwd), &[])), wanted, "{root:?} {cwd}");
        }
    }

    #[test]
    fn a_directory_gives_the_first_file_that_it_has() {
        let on_disk = HashMap::from([
            ("/p/AGENTS.md", "p"),
            ("/p/CLAUDE.md", "not read"),
            ("/p/a/AGENTS.override.md", " \n"),
            ("/p/a/AGENTS.md", "hidden by the empty one"),
            ("/p/a/b/GEMINI.md", "b"),
        ]);
        let places = candidates(Some(Path::new("/p")), Path::new("/p/a/b"), &[]);
        let (files, problems) = gather(&places, |path| {
            if path == Path::new("/p/a/b/AGENTS.md") {
                return Err(io::Error::other("it is a directory"));
            }
            Ok(on_disk.get(path.to_str().unwrap()).map(|text| (*text).to_owned()))
        });
        assert_eq!(files, [file("/p/AGENTS.md", "p"), file("/p/a/b/GEMINI.md", "b")]);
        assert_eq!(problems, ["/p/a/b/AGENTS.md can't be read: it is a directory"]);
    }

    #[test]
    fn each_file_has_its_block_with_the_nearest_last() {
        let built = build(&[file("/p/AGENTS.md", "far\n"), file("/p/a/CLAUDE.md", "near")], 100);
        assert_eq!(
            built.text,
            "# AGENTS.md instructions for /p\n\n<INSTRUCTIONS>\nfar\n</INSTRUCTIONS>\n\n\
             # CLAUDE.md instructions for /p/a\n\n<INSTRUCTIONS>\nnear\n</INSTRUCTIONS>"
        );
        assert!(built.left_out.is_empty());
        assert_eq!(build(&[], 100), Instructions::default());
    }

    #[test]
    fn the_nearest_file_gets_the_room_and_the_rest_is_named() {
        let files = [
            file("/AGENTS.md", "gone\n"),
            file("/p/AGENTS.md", "one\ntwo\nthree\n"),
            file("/p/a/AGENTS.md", "near\n"),
        ];
        let built = build(&files, 14);
        assert_eq!(
            built.left_out,
            [
                LeftOut { path: "/AGENTS.md".into(), lines: 1, bytes: 5, whole: true },
                LeftOut { path: "/p/AGENTS.md".into(), lines: 1, bytes: 6, whole: false },
            ]
        );
        for part in [
            "<INSTRUCTIONS>\nnear\n</INSTRUCTIONS>",
            "one\ntwo\n[CUT: The last 1 lines (6 bytes) of this file were left out to save room. They apply as well: \
             read them in /p/AGENTS.md before you rely on them.]\n</INSTRUCTIONS>",
            "<INSTRUCTIONS>\n[CUT: All 1 lines (5 bytes)",
        ] {
            assert!(built.text.contains(part), "{part}\n---\n{}", built.text);
        }
    }

    #[test]
    fn a_line_is_kept_whole_or_not_at_all() {
        let long = "x".repeat(1_000_000);
        assert!(build(&[file("/p/AGENTS.md", &long)], 1_000).left_out[0].whole);
        assert_eq!(whole_lines("ab\ncd", 4), "ab\n");
        assert_eq!(whole_lines("ab\ncd", 3), "ab\n");
        assert_eq!(whole_lines("ab\ncd", 2), "");
        assert_eq!(whole_lines("ä\nß", 3), "ä\n");
        assert_eq!(whole_lines("ab", 0), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn nothing_is_lost_in_silence(texts in prop::collection::vec("[a-zä\n]{1,30}", 0..5), budget in 0usize..80) {
            let files: Vec<File> = texts.iter().enumerate().map(|(at, text)| file(&format!("/{at}/AGENTS.md"), text)).collect();
            let built = build(&files, budget);
            let all: usize = texts.iter().map(String::len).sum();
            let lost: usize = built.left_out.iter().map(|left| left.bytes).sum();
            prop_assert!(all - lost <= budget);
            prop_assert_eq!(built.text.matches("[CUT:").count(), built.left_out.len());
            prop_assert!(all > budget || lost == 0);
        }
    }
}
