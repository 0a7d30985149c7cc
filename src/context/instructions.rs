//! Instruction files (`AGENTS.md` and its kin): which ones, in which order, and how much of them.
//!
//! It reads nothing itself; the caller lends a function that does. What does not fit is left out from the far end,
//! and never in silence: the model finds a line in its place, the person gets a list.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::{self, Write as _},
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use crate::protocol::{Context, Item};

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

/// A directory that may have one of these files.
#[must_use]
pub fn place(dir: &Path, names: &[&str]) -> Place {
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

/// Files in files in files.
const INCLUDED_DEEP: usize = 5;
/// Files that one instruction file brings along, at most.
const INCLUDED: usize = 20;

/// Adds what the files name with `@path`, each before the file that names it: the nearer word is the file's own.
///
/// Paths are relative to the file that names them. A file comes once, so that a circle ends; a name without a file is
/// no include. `read` decides what may be read: it gives nothing for a file that does not exist.
pub fn with_included(
    files: Vec<File>,
    read: impl Fn(&Path) -> io::Result<Option<String>>,
) -> (Vec<File>, Vec<String>) {
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    let known: HashSet<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    for file in files {
        let mut seen = known.clone();
        let mut count = 0;
        include(&file, 0, &mut count, &mut seen, &read, &mut all, &mut problems);
        all.retain(|kept: &File| kept.path != file.path);
        all.push(file);
    }
    (all, problems)
}

fn include(
    file: &File,
    depth: usize,
    count: &mut usize,
    seen: &mut HashSet<PathBuf>,
    read: &impl Fn(&Path) -> io::Result<Option<String>>,
    all: &mut Vec<File>,
    problems: &mut Vec<String>,
) {
    let folder = file.path.parent().unwrap_or(Path::new("/"));
    for name in included(&file.text) {
        let path = plain(&folder.join(name));
        if seen.contains(&path) {
            continue;
        }
        let mut passed = |why: &str| {
            problems.push(format!("{} names @{name}, which is not read: {why}", file.path.display()));
        };
        match read(&path) {
            Ok(Some(_)) if depth == INCLUDED_DEEP => passed("it is the sixth file in a row"),
            Ok(Some(_)) if *count == INCLUDED => passed("there are too many of these"),
            Ok(Some(text)) => {
                seen.insert(path.clone());
                *count += 1;
                let found = File { path, text };
                include(&found, depth + 1, count, seen, read, all, problems);
                all.push(found);
            }
            // People are named that way as well.
            Ok(None) => {}
            Err(error) => passed(&error.to_string()),
        }
    }
}

/// The paths that a text names with `@`, outside of code.
#[must_use]
pub fn included(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut fence = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fence = !fence;
            continue;
        }
        if fence {
            continue;
        }
        // Every second part stands between backticks.
        for part in line.split('`').step_by(2) {
            let words = part
                .split_whitespace()
                .filter_map(|word| word.trim_start_matches(['(', '[', '"']).strip_prefix('@'));
            names.extend(
                words.map(|name| name.trim_end_matches([')', ']', '"', ',', ';', ':', '.', '!', '?'])),
            );
        }
    }
    names.retain(|name| !name.is_empty() && !name.starts_with(['~', '-']) && !names_twice(name));
    names
}

fn names_twice(name: &str) -> bool {
    // An address of a person or a package: `@a@b`, `@scope/name@1`.
    name.contains('@')
}

/// A path without `.` and `..`, by its names alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// What the model was told of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// See [`mark`].
    pub mark: String,
    /// All of it, where it stands in the conversation as a whole.
    pub text: Option<String>,
}

/// What a text is known by.
#[must_use]
pub fn mark(text: &str) -> String {
    blake3::hash(text.trim_end().as_bytes()).to_hex().chars().take(16).collect()
}

/// What a conversation says of instruction files, by their paths. What was cut says nothing that could be compared.
#[must_use]
pub fn told(items: &[Arc<Item>]) -> BTreeMap<PathBuf, Told> {
    let mut all = BTreeMap::new();
    for item in items {
        let Item::Context { context: Context::Instructions, text } = &**item else { continue };
        if let Some((path, now)) = changed_head(text) {
            all.insert(path, Told { mark: now, text: None });
            continue;
        }
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(path) = block_head(line) else { continue };
            let mut rest = lines.clone();
            if rest.next() != Some("") || rest.next() != Some("<INSTRUCTIONS>") {
                continue;
            }
            let mut body = String::new();
            for line in rest.by_ref().take_while(|line| *line != "</INSTRUCTIONS>") {
                body.push_str(line);
                body.push('\n');
            }
            lines = rest;
            let whole = !body.lines().any(|line| line.starts_with("[CUT: "));
            let mark = if whole { mark(&body) } else { String::new() };
            all.insert(path, Told { mark, text: whole.then_some(body) });
        }
    }
    all
}

/// The path in the first line of a file's block.
fn block_head(line: &str) -> Option<PathBuf> {
    let (name, dir) = line.strip_prefix("# ")?.split_once(" instructions for ")?;
    Some(Path::new(dir).join(name))
}

/// What the model is told when a file has become another one: `what` says how.
#[must_use]
pub fn changed(path: &Path, now: &str, what: &str) -> String {
    format!("{CHANGED}{}\" now=\"{now}\">\n{}\n</instructions_changed>", path.display(), what.trim_end())
}

const CHANGED: &str = "<instructions_changed path=\"";

fn changed_head(text: &str) -> Option<(PathBuf, String)> {
    let (path, rest) = text.strip_prefix(CHANGED)?.split_once("\" now=\"")?;
    let (now, _) = rest.split_once("\">")?;
    Some((path.into(), now.to_owned()))
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
    fn what_a_file_names_is_read_before_it_and_circles_and_links_end() {
        let on_disk = HashMap::from([
            (
                "/p/AGENTS.md",
                "See @docs/style.md, @me and `@docs/code.md`.\n```\n@docs/code.md\n```\nAlso (@./docs/../more.md).",
            ),
            ("/p/docs/style.md", "@../AGENTS.md @deep.md"),
            ("/p/docs/deep.md", "deep @style.md"),
            ("/p/docs/code.md", "not read"),
            ("/p/more.md", "@/etc/passwd @a@b @~/x"),
        ]);
        let read = |path: &Path| match path.to_str().unwrap() {
            "/etc/passwd" => Err(io::Error::other("it is a link to a place outside of the repository")),
            path => Ok(on_disk.get(path).map(|text| (*text).to_owned())),
        };
        let first = file("/p/AGENTS.md", on_disk["/p/AGENTS.md"]);
        let (files, problems) = with_included(vec![first], read);
        let paths: Vec<&str> = files.iter().map(|file| file.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["/p/docs/deep.md", "/p/docs/style.md", "/p/more.md", "/p/AGENTS.md"]);
        assert_eq!(
            problems,
            [
                "/p/more.md names @/etc/passwd, which is not read: it is a link to a place outside of the repository"
            ]
        );
        // One names the next, without an end.
        let read = |path: &Path| {
            let number: usize = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            Ok(Some(format!("@{}", number + 1)))
        };
        let (files, problems) = with_included(vec![file("/p/0", "@1")], read);
        assert_eq!((files.len(), problems.len()), (1 + INCLUDED_DEEP, 1), "{problems:?}");
        let wide: String = (1..40).map(|number| format!("@{number} ")).collect();
        let (files, problems) = with_included(vec![file("/p/0", &wide)], |_| Ok(Some(String::new())));
        assert_eq!((files.len(), problems.len()), (1 + INCLUDED, 39 - INCLUDED));
    }

    #[test]
    fn what_was_told_is_read_from_the_conversation() {
        let files =
            [file("/p/AGENTS.md", "far\n"), file("/p/a/CLAUDE.md", "near\n\nend"), file("/q/AGENTS.md", "")];
        let item = |text: String| Arc::new(Item::Context { context: Context::Instructions, text });
        let first = item(build(&files[..2], 100).text);
        let all = told(std::slice::from_ref(&first));
        assert_eq!(all.len(), 2);
        assert_eq!(all[Path::new("/p/AGENTS.md")], Told { mark: mark("far"), text: Some("far\n".into()) });
        assert_eq!(all[Path::new("/p/a/CLAUDE.md")].mark, mark("near\n\nend\n"));
        let second = item(changed(Path::new("/p/AGENTS.md"), &mark("other"), "+other\n"));
        let all = told(&[first, second]);
        assert_eq!(all[Path::new("/p/AGENTS.md")], Told { mark: mark("other"), text: None });
        let cut = item(build(&[file("/p/AGENTS.md", "one\ntwo\n")], 5).text);
        assert_eq!(told(&[cut])[Path::new("/p/AGENTS.md")], Told { mark: String::new(), text: None });
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
