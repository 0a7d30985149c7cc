//! Names of files that other programs obey: what they say is done later, outside of every sandbox, and without a
//! question.

use std::{
    ffi::OsStr,
    path::{Component, Path},
};

/// Names, and who obeys what lies there.
const OBEYED: &[(&str, &str)] = &[
    (".git", "git"),
    (".agent", "this program"),
    (".envrc", "direnv"),
    (".vscode", "editors"),
    (".idea", "editors"),
    (".devcontainer", "editors"),
    (".devcontainer.json", "editors"),
    (".zed", "editors"),
    (".fleet", "editors"),
    (".hg", "Mercurial"),
    (".jj", "Jujutsu"),
    (".svn", "Subversion"),
    (".mcp.json", "other agents"),
    (".claude", "other agents"),
    (".codex", "other agents"),
    (".cursor", "other agents"),
    (".gemini", "other agents"),
    (".opencode", "other agents"),
    (".windsurf", "other agents"),
    (".kiro", "other agents"),
    (".roo", "other agents"),
];

/// The names that somebody obeys.
pub fn obeyed_names() -> impl Iterator<Item = &'static str> {
    OBEYED.iter().map(|(name, _)| *name)
}

/// Whether somebody obeys what has this name. Case does not count, because to some file systems it does not.
#[must_use]
pub fn is_obeyed(name: &OsStr) -> bool {
    OBEYED.iter().any(|(known, _)| name.eq_ignore_ascii_case(known))
}

/// Who obeys what lies at this path: by any name in it, so that the path must be one below a root. Case does not
/// count, because to some file systems it does not.
#[must_use]
pub fn obeyed_by(path: &Path) -> Option<&'static str> {
    path.components().find_map(|part| {
        let Component::Normal(name) = part else { return None };
        OBEYED.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, who)| *who)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_wherever_it_stands_and_only_whole() {
        for (path, who) in [
            (".git", Some("git")),
            (".git/config", Some("git")),
            (".GIT/hooks/pre-commit", Some("git")),
            ("sub/module/.git/config", Some("git")),
            (".envrc", Some("direnv")),
            ("a/.vscode/tasks.json", Some("editors")),
            (".agent/config.toml", Some("this program")),
            (".mcp.json", Some("other agents")),
            (".gitignore", None),
            (".github/workflows/ci.yml", None),
            ("git/config", None),
            ("x.git/config", None),
            ("AGENTS.md", None),
            ("", None),
        ] {
            assert_eq!(obeyed_by(Path::new(path)), who, "{path}");
        }
    }
}
