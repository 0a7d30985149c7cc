//! What is obeyed because of what the user has: what a configuration of git names, what a hook calls, and where links
//! with names that others obey lead to.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    filter::BARE,
    named::{self, Named},
    survey::{Kind, Place, Why},
    view::{Lies, Real, View, way},
};

/// What the user has, and what that makes obeyed.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Theirs {
    /// Directories of repositories, whatever their names.
    pub(in crate::sandbox) repositories: Vec<PathBuf>,
    named: Named,
    links: Vec<PathBuf>,
}

impl Theirs {
    /// From those places that are the user's; `settings` are configurations that count for every repository.
    pub(in crate::sandbox) fn of<'p>(
        places: impl Iterator<Item = &'p Place>,
        settings: &[PathBuf],
        home: &Path,
    ) -> Self {
        let mut theirs = Self::default();
        for place in places {
            match place.identity.kind {
                Kind::Directory if is_repository(&place.path) => theirs.repositories.push(place.path.clone()),
                Kind::Link => theirs.links.push(place.path.clone()),
                Kind::Directory | Kind::File | Kind::Other => {}
            }
        }
        theirs.named = named::named(&theirs.repositories, settings, home);
        theirs
    }

    /// The links, files and directories that decide about all of it. Those in a repository are judged as parts of that,
    /// and the whole of a root can't be kept from anybody.
    pub(in crate::sandbox) fn places(&self, view: &dyn View, roots: &[PathBuf]) -> BTreeSet<PathBuf> {
        // A link among those that are obeyed by name leads to what is obeyed.
        let led = self.links.iter().flat_map(|path| way(view, path));
        let all = self.named.places(view).into_iter().chain(led);
        all.filter(|path| {
            let is_apart = self.repositories.iter().any(|git| path.starts_with(git));
            let is_too_much = roots.iter().chain(&self.repositories).any(|inner| inner.starts_with(path));
            !is_apart && !is_too_much
        })
        .collect()
    }

    /// Which of these changes would decide about what git or others run or obey, with the place that each of them would
    /// decide about, and why that is obeyed.
    pub(in crate::sandbox) fn withheld(&self, mut changes: Changes, roots: &[PathBuf]) -> Withheld {
        let mut places: BTreeMap<PathBuf, Why> = BTreeMap::new();
        let mut held = Withheld::new();
        let named = |view: &dyn View| self.places(view, roots).into_iter().map(|path| (path, Why::Named));
        places.extend(named(&Real));
        for round in 0.. {
            let after = After { changes: &changes };
            places.extend(named(&after));
            places.extend(self.begun(&after).into_iter().map(|path| (path, Why::Repository)));
            let now: Withheld = changes
                .iter()
                .filter_map(|(path, lies)| {
                    let found = decided(path, lies.as_ref(), &places);
                    let found = found.or_else(|| (round >= ROUNDS).then_some((path, Why::Named)));
                    found.map(|(place, why)| (path.clone(), (place.clone(), why)))
                })
                .collect();
            if now.is_empty() {
                break;
            }
            changes.retain(|path, _| !now.contains_key(path));
            held.extend(now);
        }
        held
    }

    /// What would make repositories of directories that are none yet: of each, so much that it stays none.
    fn begun(&self, after: &After<'_>) -> BTreeSet<PathBuf> {
        let names: Vec<&str> = BARE.iter().copied().chain([PART]).collect();
        let mut folders = BTreeSet::new();
        for path in after.changes.iter().filter(|(_, lies)| lies.is_some()).map(|(path, _)| path) {
            let own = |folder: &Path| self.repositories.iter().any(|git| folder.starts_with(git));
            let parts = path
                .ancestors()
                .filter(|part| part.file_name().is_some_and(|name| names.iter().any(|known| name == *known)));
            folders.extend(parts.filter_map(Path::parent).filter(|folder| !own(folder)).map(Path::to_owned));
        }
        let mut begun = BTreeSet::new();
        for folder in folders.iter().filter(|folder| is_one(after, folder) && !is_one(&Real, folder)) {
            let new = |name: &&str| Real.at(&folder.join(name)).is_none();
            match new(&"HEAD") {
                true => drop(begun.insert(folder.join("HEAD"))),
                false => begun.extend(names.iter().filter(|name| new(name)).map(|name| folder.join(name))),
            }
        }
        begun
    }
}

/// Absolute paths, and what lies there after a change: nothing, if it is removed.
pub(in crate::sandbox) type Changes = BTreeMap<PathBuf, Option<Lies>>;

/// Changes that must not be made, with the places that they are about.
pub(in crate::sandbox) type Withheld = BTreeMap<PathBuf, (PathBuf, Why)>;

/// What is withheld may have hidden more of it, so often. Then all is withheld.
const ROUNDS: usize = 100;

/// What makes a directory a part of another repository, beside a HEAD.
const PART: &str = "commondir";

/// The place that a change of `path` would decide about.
fn decided<'p>(
    path: &Path,
    lies: Option<&Lies>,
    places: &'p BTreeMap<PathBuf, Why>,
) -> Option<(&'p PathBuf, Why)> {
    let found = path.ancestors().find_map(|above| places.get_key_value(above));
    // In the place of a directory above it.
    let replaced = || {
        let (place, why) = places.range(path.to_owned()..).next()?;
        let above = !matches!(lies, None | Some(Lies::Directory)) && place.starts_with(path);
        above.then_some((place, why))
    };
    found.or_else(replaced).map(|(place, why)| (place, *why))
}

/// The files as they would be.
struct After<'a> {
    changes: &'a Changes,
}

impl View for After<'_> {
    fn at(&self, path: &Path) -> Option<Lies> {
        if let Some(lies) = self.changes.get(path) {
            return lies.clone();
        }
        // Directories are made with what is in them.
        let mut below =
            self.changes.range(path.to_owned()..).take_while(|(below, _)| below.starts_with(path));
        if below.any(|(_, lies)| lies.is_some()) {
            return Some(Lies::Directory);
        }
        let stays = |above: &Path| matches!(self.changes.get(above), None | Some(Some(Lies::Directory)));
        if path.ancestors().skip(1).all(stays) { Real.at(path) } else { None }
    }
}

/// Whether git would take a directory for one of its own.
pub(in crate::sandbox) fn is_repository(path: &Path) -> bool {
    is_one(&Real, path)
}

fn is_one(view: &impl View, path: &Path) -> bool {
    let has = |name: &str| view.at(&path.join(name)).is_some();
    BARE.iter().all(|name| has(name)) || (has("HEAD") && has(PART))
}

/// How deep a module's name, and how deep modules in modules are looked for.
const DEPTH: usize = 8;

/// The repositories of modules (gitsubmodules(7)), which git keeps in that of the whole.
pub(in crate::sandbox) fn modules(git: &Path, found: &mut Vec<PathBuf>) {
    modules_in(&git.join("modules"), found, DEPTH);
}

fn modules_in(directory: &Path, found: &mut Vec<PathBuf>, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if path.join("HEAD").is_file() {
            modules_in(&path.join("modules"), found, depth);
            found.push(path);
        } else {
            modules_in(&path, found, depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{super::survey::Survey, *};

    fn world(config: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for path in [".git/objects", ".git/refs", "tools", "near/objects", "tasks"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in [".git/HEAD", "near/HEAD", "tools/differ"] {
            fs::write(root.join(path), "ref: refs/heads/main\n").unwrap();
        }
        symlink("tasks", root.join(".vscode")).unwrap();
        fs::write(root.join(".git/config"), config).unwrap();
        (dir, root)
    }

    /// What of these changes is withheld.
    fn withheld(root: &Path, changes: &[(&str, Option<Lies>)]) -> Vec<String> {
        let places = Survey::new(vec![root.to_owned()], Vec::new()).look().places;
        let theirs = Theirs::of(places.iter(), &[], root);
        let changes = changes.iter().map(|(path, lies)| (root.join(path), lies.clone())).collect();
        let held = theirs.withheld(changes, &[root.to_owned()]);
        held.into_keys().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    const FILE: Option<Lies> = Some(Lies::File { runs: false });
    const PROGRAM: Option<Lies> = Some(Lies::File { runs: true });

    fn link(to: &str) -> Option<Lies> {
        Some(Lies::Link(to.into()))
    }

    #[test]
    fn what_a_configuration_names_is_judged_by_what_would_be() {
        let (_dir, root) = world(
            "[core]\nhooksPath = .githooks\nfsmonitor = tools/watch\n[diff]\nexternal = tools/differ\n\
             [include]\npath = ../more\n[filter \"x\"]\nclean = deep/er/clean\n",
        );
        for (path, lies) in [
            (".githooks", Some(Lies::Directory)),
            (".githooks/pre-commit", FILE),
            (".githooks", link(".")),
            ("tools/differ", FILE),
            ("tools/differ", None),
            ("tools/watch", FILE),
            ("more", FILE),
            ("tasks/tasks.json", FILE),
            ("tools", link("elsewhere")),
        ] {
            assert_eq!(withheld(&root, &[(path, lies.clone())]), [path], "{lies:?}");
        }
        for (path, lies) in [
            ("tools/other", PROGRAM),
            ("x", link(".githooks")),
            ("tools", None),
            ("deep", Some(Lies::Directory)),
            ("file", FILE),
        ] {
            assert_eq!(withheld(&root, &[(path, lies.clone())]), [] as [&str; 0], "{path} {lies:?}");
        }
        // Each part alone decides nothing.
        let parts = [("deep", link("evil")), ("evil/er/clean", FILE), ("evil/other", PROGRAM)];
        assert_eq!(withheld(&root, &parts), ["deep", "evil/er/clean"]);
        assert_eq!(withheld(&root, &parts[1..]), [] as [&str; 0]);
    }

    #[test]
    fn hooks_are_kept_also_where_all_of_the_workspace_is_their_place() {
        for config in ["[core]\nhooksPath = .\n", "[core]\nhooksPath = tools/..\n"] {
            let (_dir, root) = world(config);
            let changes =
                [("pre-commit", PROGRAM), ("post-checkout", FILE), ("file", PROGRAM), ("a/pre-push", FILE)];
            assert_eq!(withheld(&root, &changes), ["post-checkout", "pre-commit"], "{config}");
        }
    }

    #[test]
    fn no_directory_becomes_a_repository() {
        let (_dir, root) = world("");
        for (changes, expected) in [
            (&["near/refs/heads/x", "near/config"][..], &["near/refs/heads/x"][..]),
            (&["new/HEAD", "new/objects/x", "new/refs/x", "new/config"], &["new/HEAD"]),
            (&["tree/HEAD", "tree/commondir"], &["tree/HEAD"]),
            (&["near/commondir"], &["near/commondir"]),
            (&["HEAD", "objects/x", "refs/x"], &["HEAD"]),
            (&["src/HEAD", "src/refs/x", "near/x"], &[]),
        ] {
            let changes: Vec<_> = changes.iter().map(|path| (*path, FILE)).collect();
            assert_eq!(withheld(&root, &changes), expected);
        }
    }
}
