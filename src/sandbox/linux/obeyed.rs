//! What other programs obey in the directories that commands write: git, editors and others do what it says, outside
//! of every sandbox, so that it is not a command's to write.
//!
//! What the user has of it is read-only to commands. What a command makes, or puts into the place of something, can't
//! be prevented: it gets another name when the command has ended.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{StatVfsMountFlags, fstatvfs},
    mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree},
};

use crate::sandbox::{
    env,
    publish::{
        adopt,
        obeyed::{Theirs, is_repository},
        survey::{self, Found, Identity, Kind, Place, Stamp, Survey, Why},
        tree::Tree,
        view::Real,
    },
};

use super::{
    overlay,
    place::{at, open_plain},
    sys::{MountChange, set_mount},
};

const NAME: &str = ".git";

/// Sentences about one command's work.
const SENTENCES: usize = 8;

/// What is put out of the way may have hidden more of it, so often.
const ROUNDS: usize = 8;

/// Makes these places read-only, in the session's own mount namespace.
pub(super) fn protect(places: &[PathBuf]) -> io::Result<()> {
    for path in places {
        let opened = match open_plain(path) {
            // Something else is there meanwhile, of which the next look takes care.
            Err(_) if !path.exists() || path.canonicalize().ok().as_ref() != Some(path) => continue,
            opened => opened?,
        };
        // What commands write there goes into a layer of the session's own.
        if overlay::is_layered(&opened)? || fstatvfs(&opened)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
            continue;
        }
        let whole = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = open_tree(&opened, "", whole).map_err(|error| at(path, error.into()))?;
        let set = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID;
        let change = MountChange { set, private: true, recursive: true, idmap: None };
        set_mount(tree.as_fd(), &change).map_err(|error| at(path, error))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&tree, "", &opened, "", flags).map_err(|error| at(path, error.into()))?;
    }
    Ok(())
}

/// What was there before a command, of what is obeyed in the roots.
pub(super) struct Known {
    pub(super) roots: Vec<PathBuf>,
    survey: Survey,
    /// Configurations of git that count for every repository.
    pub(super) settings: Vec<PathBuf>,
    pub(super) home: PathBuf,
    pub(super) there: HashMap<PathBuf, Identity>,
    /// Directories among them, which are the same under another name.
    directories: HashSet<Identity>,
    /// What was closed to this user.
    pub(super) closed: HashSet<(PathBuf, Stamp)>,
    /// Repositories that were made anew while a command ran that can write them, and what is obeyed in each.
    open: HashMap<PathBuf, adopt::Fingerprint>,
    /// Whether commands may have made something since.
    pub(super) ran: bool,
}

impl Known {
    /// What is there now, in `roots` but for what commands don't see.
    pub(super) fn of(roots: Vec<PathBuf>, except: Vec<PathBuf>) -> Self {
        let mut known = Self::new(roots, except, HashMap::new(), HashSet::new());
        known.take();
        known
    }

    /// What is said to have been there.
    pub(super) fn new(
        roots: Vec<PathBuf>,
        except: Vec<PathBuf>,
        there: HashMap<PathBuf, Identity>,
        closed: HashSet<(PathBuf, Stamp)>,
    ) -> Self {
        Self {
            survey: Survey::new(roots.clone(), except),
            roots,
            settings: env::git_settings(),
            home: env::home(),
            directories: there.values().filter(|is| is.kind == Kind::Directory).copied().collect(),
            there,
            closed,
            open: HashMap::new(),
            ran: false,
        }
    }

    /// Takes what is there for the user's, unless a command may have made it.
    pub(super) fn look(&mut self) -> Vec<String> {
        if self.ran {
            return self.quarantine(false);
        }
        self.take();
        Vec::new()
    }

    /// The directories of repositories, of any form. Those that are called so may be none.
    pub(super) fn repositories(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = self
            .there
            .iter()
            .filter(|(path, is)| is.kind == Kind::Directory && (path.ends_with(NAME) || is_repository(path)))
            .map(|(path, _)| path.clone())
            .collect();
        found.sort();
        found
    }

    /// All that commands must not change.
    pub(super) fn protected(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> =
            self.there.iter().filter(|(_, is)| is.kind != Kind::Link).map(|(path, _)| path.clone()).collect();
        found.sort();
        found
    }

    fn take(&mut self) {
        let found = self.found(|_, _| true);
        self.set(found);
    }

    fn set(&mut self, found: Found) {
        let Found { places, closed } = found;
        self.closed = closed.into_iter().collect();
        self.directories =
            places.iter().map(|place| place.identity).filter(|is| is.kind == Kind::Directory).collect();
        self.there = places.into_iter().map(|place| (place.path, place.identity)).collect();
    }

    /// What is obeyed by its name, and by what those places say that are the user's.
    fn found(&mut self, is_theirs: impl Fn(&Self, &Place) -> bool) -> Found {
        let mut found = self.survey.look();
        let above = survey::above(&self.roots);
        let theirs = found.places.iter().filter(|place| is_theirs(self, place)).chain(&above);
        let theirs = Theirs::of(theirs, &self.settings, &self.home);
        for path in theirs.places(&Real, &self.roots) {
            let is_known = found.places.iter().any(|place| place.path == path);
            if is_known || !self.survey.holds(&path) {
                continue;
            }
            if let Some(identity) = Identity::at(&path) {
                found.places.push(Place { path, identity, why: Why::Named });
            }
        }
        found
    }

    /// Whether something was there before the command.
    fn knows(&self, place: &Place) -> bool {
        self.there.get(&place.path) == Some(&place.identity) || self.directories.contains(&place.identity)
    }

    /// Puts what is new out of the way of those who would obey it. Gives what is to be told of it.
    ///
    /// `alone`: no command runs any more.
    pub(super) fn quarantine(&mut self, alone: bool) -> Vec<String> {
        self.ran = !alone;
        self.forget_changed();
        let mut said = Vec::new();
        let mut stuck: HashSet<PathBuf> = HashSet::new();
        let mut settled = None;
        for _ in 0..ROUNDS {
            let found = self.found(Self::knows);
            let is_new = |place: &&Place| !self.knows(place) && !stuck.contains(&place.path);
            let new: Vec<Place> = found.places.iter().filter(is_new).cloned().collect();
            let closed: Vec<(PathBuf, Stamp)> =
                found.closed.iter().filter(|closed| !self.closed.contains(closed)).cloned().collect();
            if new.is_empty() && closed.is_empty() {
                // All of it was known: another look would find the same.
                settled = stuck.is_empty().then_some(found);
                break;
            }
            // Where a new link led is not what was meant.
            let has_link = new.iter().any(|place| place.identity.kind == Kind::Link);
            for place in new.into_iter().filter(|place| !has_link || place.identity.kind == Kind::Link) {
                said.extend(self.put_away(&place, &mut stuck));
            }
            for (path, stamp) in closed {
                if let Err(error) = open_up(&path) {
                    said.push(format!(
                        "{} can't be looked into ({error}), and a command may have put something there that other programs \
                         obey: tell the user",
                        path.display()
                    ));
                    self.closed.insert((path, stamp));
                }
            }
        }
        match settled {
            Some(found) => self.set(found),
            None => self.take(),
        }
        if said.len() > SENTENCES {
            let more = said.len() - SENTENCES;
            said.truncate(SENTENCES);
            said.push(format!("{more} more of them were renamed in the same way, to untrusted.NAME"));
        }
        said
    }

    fn put_away(&mut self, place: &Place, stuck: &mut HashSet<PathBuf>) -> Vec<String> {
        let path = match place.why {
            Why::Repository => place.path.join("HEAD"),
            Why::Name | Why::Named => place.path.clone(),
        };
        let shown = path.display();
        match untrusted(&path) {
            Ok(to) if place.why == Why::Name && path.ends_with(NAME) => {
                let said = adopt::adopt(&path, &to);
                // What is left of it is a repository too, whatever its name.
                let _ = untrusted(&to.join("HEAD"));
                if let Some(identity) = Identity::at(&path) {
                    self.there.insert(path.clone(), identity);
                    self.directories.insert(identity);
                    if self.ran {
                        self.open.insert(path.clone(), adopt::fingerprint(&path));
                    }
                }
                said
            }
            Ok(to) => {
                let name = to.file_name().unwrap_or_default().display().to_string();
                let why = match place.why {
                    Why::Name => "other programs would obey it",
                    Why::Repository => "git would take the directory for a repository, and obey it",
                    Why::Named => "git would run or obey it, because a configuration names it",
                };
                vec![format!(
                    "a command made {shown}: {why}, so that it is {name} now, for the user to look at and to rename"
                )]
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                stuck.insert(place.path.clone());
                vec![format!(
                    "a command made {shown}, which other programs obey, and it can't be renamed ({error}): tell the user to \
                     look at it before anything else"
                )]
            }
        }
    }

    /// Forgets of repositories that were made anew while a command ran those in which something else is obeyed now.
    fn forget_changed(&mut self) {
        let open = std::mem::take(&mut self.open);
        for (path, before) in open {
            if adopt::fingerprint(&path) == before {
                if self.ran {
                    self.open.insert(path, before);
                }
            } else if let Some(identity) = self.there.remove(&path) {
                self.directories.remove(&identity);
            }
        }
    }
}

/// Lets this user look into a directory of his own.
pub(super) fn open_up(path: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;

    let opened = open_plain(path)?;
    let held = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    let mode = fs::metadata(&held)?.permissions().mode();
    fs::set_permissions(&held, fs::Permissions::from_mode(mode | 0o700))?;
    fs::read_dir(&held).map(drop)
}

/// Renames something to a name that nobody obeys.
fn untrusted(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default();
    let shown = name.display().to_string();
    let parent = Tree::open(path.parent().unwrap_or(Path::new("/")))?;
    for number in 0..100 {
        let end = if number == 0 { String::new() } else { format!(".{number}") };
        let to = format!("untrusted.{}{end}", shown.trim_start_matches('.'));
        match parent.rename_new(Path::new(name), Path::new(&to)) {
            Ok(()) => return Ok(path.with_file_name(to)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are too many of them already"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sandbox::publish::filter::BARE;

    fn fresh() -> (tempfile::TempDir, PathBuf, Known) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let known = Known::of(vec![root.clone()], Vec::new());
        (dir, root, known)
    }

    /// A repository as git makes it, as far as it takes one for one.
    fn repository(top: &Path) {
        for path in [".git/objects", ".git/refs"] {
            fs::create_dir_all(top.join(path)).unwrap();
        }
        fs::write(top.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    const NOTHING: [String; 0] = [];

    #[test]
    fn what_is_new_is_put_out_of_the_way_and_told_once() {
        let (_dir, root, mut known) = fresh();
        fs::write(root.join(".envrc"), "mine").unwrap();
        assert_eq!(known.look(), NOTHING);
        assert_eq!(known.quarantine(true), NOTHING);
        fs::create_dir_all(root.join("deep/er/.vscode")).unwrap();
        symlink("/nowhere", root.join(".mcp.json")).unwrap();
        for name in BARE {
            fs::write(root.join(name), "").unwrap();
        }
        assert_eq!(known.quarantine(true).len(), 3);
        assert_eq!(known.quarantine(true), NOTHING);
        for name in ["deep/er/untrusted.vscode", "untrusted.mcp.json", "untrusted.HEAD", ".envrc"] {
            assert!(root.join(name).symlink_metadata().is_ok(), "{name}");
        }
        fs::create_dir(root.join("deep/er/.vscode")).unwrap();
        assert_eq!(known.quarantine(true).len(), 1);
        assert!(root.join("deep/er/untrusted.vscode.1").exists());
        fs::create_dir(root.join(".idea")).unwrap();
        assert_eq!(known.look(), NOTHING);
        assert_eq!(known.quarantine(true), NOTHING, "the user made it");
        fs::create_dir(root.join(".claude")).unwrap();
        known.ran = true;
        assert_eq!(known.look().len(), 1, "a command may have made it");
    }

    #[test]
    fn what_takes_the_place_of_the_users_is_new_and_what_moves_is_not() {
        let (_dir, root, mut known) = fresh();
        fs::create_dir_all(root.join("a/.vscode")).unwrap();
        fs::write(root.join("a/.envrc"), "mine").unwrap();
        symlink("a", root.join(".zed")).unwrap();
        known.look();
        fs::rename(root.join("a"), root.join("b")).unwrap();
        fs::create_dir_all(root.join("a/.vscode")).unwrap();
        let said = known.quarantine(true);
        // The link leads to something else now; of the file nobody can say whether it is the same.
        assert_eq!(said.len(), 3, "{said:#?}");
        for name in ["b/.vscode", "untrusted.a/untrusted.vscode", "b/untrusted.envrc"] {
            assert!(root.join(name).exists(), "{name}: {said:#?}");
        }
    }

    #[test]
    fn what_a_configuration_names_is_kept_and_what_comes_in_its_place_is_not() {
        let (_dir, root, mut known) = fresh();
        repository(&root);
        for path in ["tools", "hooks"] {
            fs::create_dir(root.join(path)).unwrap();
        }
        fs::write(
            root.join(".git/config"),
            "[core]\nhooksPath = hooks\n[diff]\nexternal = tools/differ\n[filter \"x\"]\nclean = sh x.sh\n",
        )
        .unwrap();
        fs::write(root.join("tools/differ"), "").unwrap();
        known.look();
        let protected = known.protected();
        for name in [".git", "hooks", "tools/differ"] {
            assert!(protected.contains(&root.join(name)), "{name}: {protected:?}");
        }
        fs::rename(root.join("tools"), root.join("old")).unwrap();
        fs::create_dir(root.join("tools")).unwrap();
        fs::write(root.join("tools/differ"), "evil").unwrap();
        fs::write(root.join("x.sh"), "evil").unwrap();
        assert_eq!(known.quarantine(true).len(), 2);
        assert!(root.join("tools/untrusted.differ").exists() && root.join("untrusted.x.sh").exists());
        fs::remove_dir_all(root.join("tools")).unwrap();
        symlink("old", root.join("tools")).unwrap();
        assert_eq!(known.quarantine(true).len(), 1);
        assert!(root.join("untrusted.tools").is_symlink());
    }

    #[test]
    fn hooks_that_lie_beside_everything_are_found() {
        let (_dir, root, mut known) = fresh();
        repository(&root);
        fs::write(root.join(".git/config"), "[core]\nhooksPath = .\n").unwrap();
        fs::write(root.join("pre-commit"), "").unwrap();
        known.look();
        assert!(known.protected().contains(&root.join("pre-commit")), "{:?}", known.protected());
        for name in ["post-checkout", "file"] {
            fs::write(root.join(name), "evil").unwrap();
        }
        assert_eq!(known.quarantine(true).len(), 1);
        assert!(root.join("untrusted.post-checkout").exists() && root.join("file").exists());
    }

    #[test]
    fn the_repository_that_the_workspace_is_a_part_of_is_asked_too() {
        let (_dir, top, _) = fresh();
        repository(&top);
        fs::create_dir(top.join("sub")).unwrap();
        fs::write(top.join(".git/config"), "[core]\nhooksPath = sub/hooks\n").unwrap();
        let mut known = Known::of(vec![top.join("sub")], Vec::new());
        assert_eq!(known.protected(), [] as [&Path; 0]);
        fs::create_dir(top.join("sub/hooks")).unwrap();
        assert_eq!(known.quarantine(true).len(), 1);
        assert!(top.join("sub/untrusted.hooks").exists());
    }

    #[test]
    fn a_configuration_that_a_command_made_says_nothing_of_the_users_files() {
        let (_dir, root, mut known) = fresh();
        fs::create_dir_all(root.join("src")).unwrap();
        fs::write(root.join("main"), "").unwrap();
        fs::write(root.join("src/x"), "").unwrap();
        known.look();
        repository(&root.join("sub"));
        fs::write(root.join("sub/.git/config"), "[core]\nhooksPath = ../src\n[diff]\nexternal = ../main\n")
            .unwrap();
        symlink("src", root.join(".vscode")).unwrap();
        known.quarantine(true);
        assert!(root.join("src/x").exists() && root.join("main").exists());
        assert!(root.join("sub/untrusted.git/config").exists() && root.join("untrusted.vscode").is_symlink());
        assert!(!root.join("sub/untrusted.git/HEAD").exists());
    }

    #[test]
    fn a_repository_made_anew_is_looked_at_again_while_a_command_runs() {
        let (_dir, root, mut known) = fresh();
        repository(&root.join("sub"));
        known.quarantine(false);
        let config = root.join("sub/.git/config");
        assert!(config.exists());
        assert_eq!(known.quarantine(false), NOTHING);
        fs::write(&config, "[core]\nfsmonitor = evil\n").unwrap();
        assert_eq!(known.quarantine(true).len(), 1);
        assert!(!fs::read_to_string(&config).unwrap().contains("evil"));
        fs::write(&config, "[core]\nfsmonitor = mine\n").unwrap();
        assert_eq!(known.quarantine(true), NOTHING, "nobody was there but the user");
    }
}
