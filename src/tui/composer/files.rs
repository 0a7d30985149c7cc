//! Files for `@`: a pure ranking, and a plain walk of the directory for the app to run on a thread.
//!
//! Ignored files are offered only when nothing else matches. What lies below a `.git` is never offered.

use std::{
    collections::HashSet,
    path::{MAIN_SEPARATOR, Path},
};

use ignore::WalkBuilder;
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{AtomKind, CaseMatching, Normalization, Pattern},
};
use tokio_util::sync::CancellationToken;

/// The most paths that are kept of a directory.
const MOST_FILES: usize = 300_000;
const MOST_IGNORED: usize = 50_000;

/// A file that may be meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileMatch {
    /// Relative to the root; a directory ends with a slash.
    pub path: String,
    /// Which characters of the path matched, in order.
    pub positions: Vec<u32>,
}

/// What a directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// What no ignore file names.
    pub tracked: Vec<String>,
    pub ignored: Vec<String>,
}

/// The best matches of a listing: ignored files only when nothing else matches.
#[must_use]
pub fn search(query: &str, listing: &Listing, limit: usize) -> Vec<FileMatch> {
    let found = rank(query, &listing.tracked, limit);
    if found.is_empty() && !query.is_empty() { rank(query, &listing.ignored, limit) } else { found }
}

/// The best matches of some paths, best first: the exact path, the exact name, then by how well the characters
/// fit, and shorter paths before longer ones.
#[must_use]
pub fn rank(query: &str, paths: &[String], limit: usize) -> Vec<FileMatch> {
    let query = query.strip_prefix("./").unwrap_or(query);
    let mut matcher = Matcher::new(Config::DEFAULT.match_paths());
    let pattern = Pattern::new(query, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy);
    let mut chars = Vec::new();
    let mut found: Vec<(Rank<'_>, &String)> = Vec::new();
    for path in paths.iter().filter(|path| !in_git(path)) {
        let Some(score) = pattern.score(Utf32Str::new(path, &mut chars), &mut matcher) else { continue };
        let trimmed = path.trim_end_matches('/');
        let name = trimmed.rsplit('/').next().unwrap_or(trimmed);
        let exactness = match () {
            () if trimmed == query.trim_end_matches('/') => 0,
            () if name == query => 1,
            () => 2,
        };
        let depth = if query.is_empty() || exactness < 2 { trimmed.matches('/').count() } else { 0 };
        let fit = if exactness < 2 { 0 } else { u32::MAX - score };
        found.push(((exactness, depth, fit, trimmed.len(), path), path));
    }
    if found.len() > limit {
        found.select_nth_unstable(limit);
        found.truncate(limit);
    }
    found.sort_unstable();
    let matched = |path: &String| {
        let mut positions = Vec::new();
        let mut chars = Vec::new();
        pattern.indices(Utf32Str::new(path, &mut chars), &mut matcher, &mut positions);
        positions.sort_unstable();
        positions.dedup();
        FileMatch { path: path.clone(), positions }
    };
    found.into_iter().map(|(_, path)| path).map(matched).collect()
}

type Rank<'a> = (u8, usize, u32, usize, &'a String);

fn in_git(path: &str) -> bool {
    path.split('/').any(|part| part.eq_ignore_ascii_case(".git"))
}

/// Lists a directory, in order of path. Blocks until done, cancelled, or at the cap; links are not followed,
/// and names that are not Unicode are left out.
#[must_use]
pub fn walk(root: &Path, cancel: &CancellationToken) -> Listing {
    let mut tracked = Vec::new();
    list(root, true, cancel, MOST_FILES, |path| tracked.push(path));
    let known: HashSet<&str> = tracked.iter().map(String::as_str).collect();
    let mut ignored = Vec::new();
    list(root, false, cancel, MOST_FILES, |path| {
        if ignored.len() < MOST_IGNORED && !known.contains(path.as_str()) {
            ignored.push(path);
        }
    });
    tracked.sort_unstable();
    ignored.sort_unstable();
    Listing { tracked, ignored }
}

fn list(root: &Path, ignoring: bool, cancel: &CancellationToken, most: usize, mut add: impl FnMut(String)) {
    let walk = WalkBuilder::new(root)
        .standard_filters(ignoring)
        .hidden(false)
        .require_git(false)
        .filter_entry(|entry| !entry.file_name().eq_ignore_ascii_case(".git"))
        .build();
    // An entry that can't be read is only missing from the list.
    let entries = walk.filter_map(Result::ok).filter(|entry| entry.depth() > 0);
    for entry in entries.take(most).take_while(|_| !cancel.is_cancelled()) {
        let Some(path) = entry.path().strip_prefix(root).ok().and_then(Path::to_str) else { continue };
        let mut path = path.replace(MAIN_SEPARATOR, "/");
        if entry.file_type().is_some_and(|kind| kind.is_dir()) {
            path.push('/');
        }
        add(path);
    }
}

/// How a path is written into the text: quoted when it has blanks.
pub(super) fn quoted(path: &str) -> String {
    if !path.contains([' ', '\t', '\n', '"', '\'']) {
        return path.to_owned();
    }
    if path.contains('"') && !path.contains('\'') {
        return format!("'{path}'");
    }
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn ranked(query: &str, paths: &[&str]) -> Vec<String> {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        rank(query, &paths, 10).into_iter().map(|found| found.path).collect()
    }

    #[test]
    fn the_exact_path_is_first_then_the_exact_name_then_what_fits_best() {
        let paths =
            ["src/main.rs/x", "docs/main.rs.md", "src/main.rs", "main.rs", "a/b/main.rs", "src/remain.rs"];
        assert_eq!(
            ranked("src/main.rs", &paths)[..2],
            ["src/main.rs".to_owned(), "src/main.rs/x".to_owned()]
        );
        assert_eq!(ranked("main.rs", &paths)[..3], ["main.rs", "src/main.rs", "a/b/main.rs"]);
        assert_eq!(ranked("smr", &["other", "src/main.rs"]), ["src/main.rs"]);
        assert_eq!(ranked("", &["z/y/x", "b", "a/b"]), ["b", "a/b", "z/y/x"]);
    }

    #[test]
    fn nothing_below_git_is_offered() {
        assert_eq!(
            ranked("h", &[".git/hooks/h", "sub/.git/h", ".GIT/h", "h", ".github/h"]),
            ["h", ".github/h"]
        );
    }

    #[test]
    fn ignored_files_are_offered_when_nothing_else_matches() {
        let listing =
            Listing { tracked: vec!["src/lib.rs".into()], ignored: vec!["target/lib.d".into(), "x".into()] };
        let paths = |query| search(query, &listing, 5).into_iter().map(|m| m.path).collect::<Vec<_>>();
        assert_eq!(paths("lib"), ["src/lib.rs"]);
        assert_eq!(paths("target"), ["target/lib.d"]);
        assert_eq!(paths(""), ["src/lib.rs"]);
        assert_eq!(search("lib", &listing, 5)[0].positions, [4, 5, 6]);
    }

    #[test]
    fn a_walk_parts_what_is_ignored_and_leaves_git_out() {
        let root = tempfile::tempdir().unwrap();
        for path in [".git/config", "src/a.rs", "target/a.d", ".env", "sub/.git/x", ".agent/config.toml"] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::write(root.path().join(".gitignore"), "target\n.env\n").unwrap();
        let listing = walk(root.path(), &CancellationToken::new());
        assert_eq!(
            listing.tracked,
            [".agent/", ".agent/config.toml", ".gitignore", "src/", "src/a.rs", "sub/"]
        );
        assert_eq!(listing.ignored, [".env", "target/", "target/a.d"]);
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        assert_eq!(walk(root.path(), &cancelled), Listing::default());
    }

    #[test]
    fn paths_with_blanks_are_quoted() {
        let table = [
            ("a/b.rs", "a/b.rs"),
            ("a b", "\"a b\""),
            ("a \"b\"", "'a \"b\"'"),
            ("it's \"b\"", "\"it's \\\"b\\\"\""),
        ];
        for (path, expected) in table {
            assert_eq!(quoted(path), expected);
        }
    }
}
