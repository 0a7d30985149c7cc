//! The layer table of the crate documentation, held against the imports.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Which modules a module may import, besides itself. `*` is everything.
const MAY_IMPORT: &[(&str, &str)] = &[
    ("protocol", ""),
    ("session", "protocol"),
    ("policy", "protocol"),
    ("patch", ""),
    ("context", "protocol session"),
    ("memory", "protocol"),
    ("model", "protocol context"),
    ("sandbox", "protocol"),
    ("secrets", ""),
    ("shell", "protocol sandbox secrets"),
    ("store", "protocol"),
    ("snapshot", "protocol"),
    ("skills", ""),
    ("tools", "protocol patch shell sandbox memory"),
    (
        "harness",
        "protocol session policy patch context memory model sandbox secrets shell store snapshot tools",
    ),
    ("headless", "protocol session"),
    ("tui", "protocol session patch"),
    (
        "config",
        "protocol session policy patch context memory model sandbox shell store snapshot tools harness tui",
    ),
    ("cli", "*"),
];

const ENVIRONMENT: &[&str] = &["cli", "config", "main.rs", "sandbox/env.rs"];

/// Text that may stand only in some modules. The reason is what a failure prints.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    ("std::env::", ENVIRONMENT, "the environment is read in one place"),
    ("use std::env", ENVIRONMENT, "the environment is read in one place"),
    ("env::var", ENVIRONMENT, "the environment is read in one place"),
    ("println!", &[], "only the faces write, and they write to what they are given"),
    ("print!", &[], "only the faces write, and they write to what they are given"),
];

#[test]
fn modules_import_only_what_stands_below_them() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        MAY_IMPORT.iter().map(|(module, list)| (*module, list.split(' ').collect())).collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(module) = module_of(&path) else { continue };
        let Some(may) = allowed.get(module.as_str()) else {
            wrong.push(format!("{}: module `{module}` is not in the layer table", path.display()));
            continue;
        };
        for imported in imports(&text) {
            if imported != module && !may.contains("*") && !may.contains(imported.as_str()) {
                wrong.push(format!("{}: `{module}` may not import `{imported}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_belongs_to_one_place_stands_only_there() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (needle, places, why) in ONLY_IN {
            let at_home = places.iter().any(|place| path.starts_with(place));
            if !at_home && without_comments(&without_tests(&text)).contains(needle) {
                wrong.push(format!("{}: `{needle}` ({why})", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<PathBuf> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "without a `//!` line at the top: {silent:?}");
}

/// All source files but those of unit tests, by their path below `src`.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".rs") && !path.to_string_lossy().ends_with("tests.rs")
            {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 30, "the sources were not found");
    found
}

/// The top-level module that a file belongs to; nothing for `main.rs` and `lib.rs`.
fn module_of(path: &Path) -> Option<String> {
    let first = path.iter().next()?.to_str()?;
    match first.strip_suffix(".rs") {
        Some("main" | "lib") => None,
        Some(module) => Some(module.to_owned()),
        None => Some(first.to_owned()),
    }
}

fn imports(text: &str) -> BTreeSet<String> {
    let code = without_comments(text);
    code.match_indices("crate::")
        .filter_map(|(at, found)| code.get(at + found.len()..))
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => outermost(list),
            None => vec![word(rest)],
        })
        .filter(|name| !name.is_empty() && name != "Result")
        .collect()
}

fn word(text: &str) -> String {
    text.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
}

/// The first words in a list in braces, without what stands in braces of their own.
fn outermost(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for char in list.chars() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            char if depth == 0 => parts.last_mut().unwrap().push(char),
            _ => {}
        }
    }
    parts.iter().map(|part| word(part.trim())).collect()
}

/// Without the modules of unit tests that stand at the end of a file.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let tests = line == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.contains("mod ") && next.ends_with('{'));
        if tests {
            break;
        }
        code.push_str(line);
        code.push('\n');
    }
    code
}

#[test]
fn imports_are_seen_in_every_form() {
    let text = "use crate::{\n    protocol::{BlobId, x::Y},\n    shell,\n};\nuse crate::store::Log;\nfn f(x: crate::tui::X) {}";
    let expected = ["protocol", "shell", "store", "tui"].map(str::to_owned);
    assert_eq!(imports(text), expected.into_iter().collect());
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}
