//! Skills that came from git repositories: all their versions side by side, one of them the default.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Origin, Problem, SKILL, Skill, front,
    git::{Ask, Fetched, Source},
    shelf::{self, Files},
};

/// Letters of a commit that name a version.
const LETTERS: usize = 12;

/// The folder of installed skills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    folder: PathBuf,
}

/// What is kept of all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Index {
    skills: BTreeMap<String, Versions>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Versions {
    /// The commit of the version that a bare name means.
    default: String,
    /// The newest last.
    versions: Vec<Version>,
}

/// A version of a skill, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The whole id.
    pub commit: String,
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The folder in the repository; empty for its root.
    #[serde(default)]
    pub folder: String,
}

/// A skill that could not be fetched, and why.
pub type Failure = (String, String);

/// What became of a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub name: String,
    /// The version that a bare name means now.
    pub version: String,
    /// The one that it meant before.
    pub before: Option<String>,
    /// Where it lies.
    pub place: PathBuf,
    pub problems: Vec<Problem>,
}

impl Version {
    /// The beginning of the commit, as it is typed.
    #[must_use]
    pub fn short(&self) -> &str {
        self.commit.get(..LETTERS).unwrap_or(&self.commit)
    }

    fn source(&self) -> Source {
        let folder = Some(self.folder.clone()).filter(|folder| !folder.is_empty());
        Source { url: self.url.clone(), reference: self.reference.clone(), folder }
    }
}

impl Installed {
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All versions of all skills; of each name the default first.
    #[must_use]
    pub fn all(&self) -> (Vec<Skill>, Vec<Problem>) {
        let index = match self.index() {
            Ok(index) => index,
            Err(error) => return (Vec::new(), vec![Problem::new(&self.file(), error.to_string())]),
        };
        let (mut skills, mut problems) = (Vec::new(), Vec::new());
        for (name, versions) in &index.skills {
            let mut ordered: Vec<&Version> = versions.versions.iter().rev().collect();
            ordered.sort_by_key(|version| version.commit != versions.default);
            for version in ordered {
                let (skill, found) = self.skill(name, version);
                skills.extend(skill);
                problems.extend(found);
            }
        }
        (skills, problems)
    }

    fn skill(&self, name: &str, version: &Version) -> (Option<Skill>, Vec<Problem>) {
        let folder = self.place(name, version);
        match fs::read_to_string(folder.join(SKILL)) {
            Ok(text) => {
                let (skill, problems) = front::in_folder(&folder, &text, Origin::Installed);
                let named = |skill: Skill| Skill {
                    name: name.to_owned(),
                    version: Some(version.short().to_owned()),
                    ..skill
                };
                (skill.map(named), problems)
            }
            Err(error) => (None, vec![Problem::new(&folder.join(SKILL), error.to_string())]),
        }
    }

    /// The versions of each skill, and which is the default.
    ///
    /// # Errors
    /// When the list of them can't be read.
    pub fn versions(&self) -> io::Result<Vec<(String, Version, bool)>> {
        let index = self.index()?;
        let each = index.skills.into_iter().flat_map(|(name, all)| {
            let default = all.default;
            all.versions.into_iter().map(move |version| {
                let is = version.commit == default;
                (name.clone(), version, is)
            })
        });
        Ok(each.collect())
    }

    /// Takes all skills of a source, each as a further version and the default.
    ///
    /// # Errors
    /// With a sentence for the person. Nothing has changed then.
    pub fn add(&self, source: &Source, ask: Ask<'_>) -> Result<(Vec<Change>, Vec<String>), String> {
        let fetched = source.fetch(ask)?;
        self.locked(|index| self.take(index, source, &fetched))
    }

    /// Fetches the default version of each of these skills anew, or of all. What has not changed is not among the
    /// changes; what can't be fetched is among the failures.
    ///
    /// # Errors
    /// With a sentence for the person, when there is no such skill.
    pub fn update(&self, names: &[String], ask: Ask<'_>) -> Result<(Vec<Change>, Vec<Failure>), String> {
        let known = self.index().map_err(|error| self.unread(&error))?;
        if let Some(name) = names.iter().find(|name| !known.skills.contains_key(*name)) {
            return Err(format!("no skill `{name}` is installed"));
        }
        let (mut changes, mut failures) = (Vec::new(), Vec::new());
        for (name, versions) in &known.skills {
            if !names.is_empty() && !names.contains(name) {
                continue;
            }
            let Some(now) = versions.versions.iter().find(|version| version.commit == versions.default)
            else {
                continue;
            };
            let source = now.source();
            let taken = source.fetch(ask).and_then(|fetched| {
                if fetched.commit == now.commit {
                    return Ok(Vec::new());
                }
                self.locked(|index| self.take(index, &source, &fetched)).map(|(changes, _)| changes)
            });
            match taken {
                Ok(taken) => changes.extend(
                    taken.into_iter().filter(|change| change.before.as_ref() != Some(&change.version)),
                ),
                Err(why) => failures.push((name.clone(), why)),
            }
        }
        Ok((changes, failures))
    }

    /// Makes a version the default.
    ///
    /// # Errors
    /// With a sentence for the person, when there is no such version.
    pub fn choose(&self, name: &str, version: &str) -> Result<String, String> {
        self.locked(|index| {
            let all = index.skills.get_mut(name).ok_or_else(|| format!("no skill `{name}` is installed"))?;
            let commit = one(all, name, version)?;
            all.default.clone_from(&commit);
            Ok(commit)
        })
    }

    /// Removes a skill, or one version of it. Gives how many were removed.
    ///
    /// # Errors
    /// With a sentence for the person, when there is no such thing.
    pub fn remove(&self, name: &str, version: Option<&str>) -> Result<usize, String> {
        self.locked(|index| {
            let all = index.skills.get_mut(name).ok_or_else(|| format!("no skill `{name}` is installed"))?;
            let gone: Vec<Version> = match version {
                Some(version) => {
                    let commit = one(all, name, version)?;
                    all.versions.iter().filter(|version| version.commit == commit).cloned().collect()
                }
                None => all.versions.clone(),
            };
            all.versions.retain(|version| !gone.contains(version));
            match all.versions.last() {
                None => drop(index.skills.remove(name)),
                Some(newest) if gone.iter().any(|version| version.commit == all.default) => {
                    all.default.clone_from(&newest.commit);
                }
                Some(_) => {}
            }
            for version in &gone {
                // What stays is in no list, and so is no skill any more.
                drop(fs::remove_dir_all(self.place(name, version)));
            }
            // Only an empty one goes.
            drop(fs::remove_dir(self.folder.join(name)));
            Ok(gone.len())
        })
    }

    fn take(
        &self,
        index: &mut Index,
        source: &Source,
        fetched: &Fetched,
    ) -> Result<(Vec<Change>, Vec<String>), String> {
        let mut changes = Vec::new();
        for (root, files) in &fetched.skills {
            let text =
                files.get(Path::new(SKILL)).map(|(bytes, _)| String::from_utf8_lossy(bytes).into_owned());
            // At the root of a repository a skill has the repository's name, if it says no other.
            let folder = if root.as_os_str().is_empty() {
                PathBuf::from(repository(&source.url))
            } else {
                root.clone()
            };
            let (skill, problems) = front::in_folder(&folder, &text.unwrap_or_default(), Origin::Installed);
            let Some(skill) = skill else {
                let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
                return Err(said.join("\n"));
            };
            let version = Version {
                commit: fetched.commit.clone(),
                url: source.url.clone(),
                reference: source.reference.clone(),
                folder: root.to_string_lossy().into_owned(),
            };
            let place = self.place(&skill.name, &version);
            self.write(&place, files)
                .map_err(|error| format!("{} can't be written: {error}", place.display()))?;
            let all = index.skills.entry(skill.name.clone()).or_default();
            let before = Some(std::mem::replace(&mut all.default, version.commit.clone()));
            let before = before.filter(|commit| !commit.is_empty());
            all.versions.retain(|known| known.commit != version.commit);
            changes.push(Change {
                name: skill.name,
                version: version.short().to_owned(),
                before: before.map(|commit| commit.chars().take(LETTERS).collect()),
                place,
                problems,
            });
            all.versions.push(version);
        }
        Ok((changes, fetched.left_out.clone()))
    }

    fn write(&self, place: &Path, files: &Files) -> io::Result<()> {
        if shelf::files(place).is_ok_and(|there| there == *files) {
            return Ok(());
        }
        let above = place.parent().unwrap_or(&self.folder);
        fs::create_dir_all(above)?;
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(above)?;
        shelf::write(new.path(), files)?;
        if place.symlink_metadata().is_ok() {
            fs::remove_dir_all(place)?;
        }
        fs::rename(new.path(), place)?;
        let _ = new.keep();
        Ok(())
    }

    fn place(&self, name: &str, version: &Version) -> PathBuf {
        self.folder.join(name).join(version.short())
    }

    fn file(&self) -> PathBuf {
        self.folder.join("index.json")
    }

    fn index(&self) -> io::Result<Index> {
        match fs::read(self.file()) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
            Err(error) => Err(error),
        }
    }

    fn unread(&self, error: &io::Error) -> String {
        format!("{} can't be read: {error}", self.file().display())
    }

    /// Changes the list, while nobody else does.
    fn locked<T>(&self, change: impl FnOnce(&mut Index) -> Result<T, String>) -> Result<T, String> {
        let failed = |error: io::Error| format!("{} can't be written: {error}", self.folder.display());
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let lock = File::create(self.folder.join(".lock")).map_err(failed)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|error| failed(error.into()))?;
        let mut index = self.index().map_err(|error| self.unread(&error))?;
        let result = change(&mut index)?;
        let write = || -> io::Result<()> {
            let mut new = tempfile::NamedTempFile::new_in(&self.folder)?;
            serde_json::to_writer_pretty(&mut new, &index)?;
            new.write_all(b"\n")?;
            new.as_file().sync_all()?;
            new.persist(self.file())?;
            Ok(())
        };
        write().map_err(failed)?;
        Ok(result)
    }
}

/// The commit of the only version that begins so.
fn one(all: &Versions, name: &str, version: &str) -> Result<String, String> {
    let fits: Vec<&Version> =
        all.versions.iter().filter(|known| version.len() >= 4 && known.commit.starts_with(version)).collect();
    match fits[..] {
        [only] => Ok(only.commit.clone()),
        _ => {
            let known: Vec<&str> = all.versions.iter().map(Version::short).collect();
            Err(format!("`{name}` has no version `{version}`, or several; there are {}", known.join(", ")))
        }
    }
}

/// The last part of an address.
fn repository(url: &str) -> &str {
    let last = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or(url);
    last.strip_suffix(".git").unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A repository that is pushed to from a work tree.
    struct Repository {
        _root: tempfile::TempDir,
        bare: PathBuf,
        work: PathBuf,
    }

    fn git(folder: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(args).current_dir(folder);
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "a"),
            ("GIT_AUTHOR_EMAIL", "a@b"),
            ("GIT_COMMITTER_NAME", "a"),
            ("GIT_COMMITTER_EMAIL", "a@b"),
        ] {
            command.env(name, value);
        }
        command
    }

    impl Repository {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let [bare, work] = ["pdf.git", "work"].map(|name| root.path().join(name));
            for args in [
                vec!["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()],
                vec!["init", "-q", "-b", "main", work.to_str().unwrap()],
            ] {
                assert!(git(root.path(), &args).status().unwrap().success());
            }
            Self { _root: root, bare, work }
        }

        fn run(&self, args: &[&str]) -> String {
            let output = git(&self.work, args).output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        }

        /// Writes a skill, commits and pushes it; the commit.
        fn skill(&self, folder: &str, name: &str, about: &str) -> String {
            let place = self.work.join(folder);
            fs::create_dir_all(place.join("scripts")).unwrap();
            fs::write(place.join(SKILL), format!("---\nname: {name}\ndescription: {about}\n---\n{about}\n"))
                .unwrap();
            fs::write(place.join("scripts/run.sh"), "#!/bin/sh\necho it runs\n").unwrap();
            self.push(about)
        }

        fn push(&self, message: &str) -> String {
            self.run(&["add", "-A"]);
            self.run(&["commit", "-q", "-m", message]);
            self.run(&["push", "-q", self.bare.to_str().unwrap(), "HEAD:main"]);
            self.run(&["rev-parse", "HEAD"])
        }

        fn source(&self, tail: &str) -> Source {
            Source::read(&format!("file://{}{tail}", self.bare.display())).unwrap()
        }
    }

    fn versions(installed: &Installed) -> Vec<(String, String, bool)> {
        let all = installed.versions().unwrap();
        all.into_iter().map(|(name, version, default)| (name, version.commit, default)).collect()
    }

    #[test]
    fn versions_stand_side_by_side_and_one_is_the_default() {
        let repository = Repository::new();
        let first = repository.skill("", "pdf", "one");
        let root = tempfile::tempdir().unwrap();
        let installed = Installed::new(root.path().join("skills"));
        let (changes, left_out) = installed.add(&repository.source(""), &git).unwrap();
        assert_eq!((changes.len(), changes[0].before.as_deref(), left_out.len()), (1, None, 0));
        assert_eq!(installed.update(&[], &git).unwrap(), (vec![], vec![]), "nothing is new");

        let second = repository.skill("", "pdf", "two");
        let (changes, failures) = installed.update(&["pdf".to_owned()], &git).unwrap();
        assert_eq!((changes[0].before.as_deref(), failures.len()), (first.get(..12), 0));
        assert_eq!(
            versions(&installed),
            [("pdf".to_owned(), first.clone(), false), ("pdf".to_owned(), second.clone(), true)]
        );
        let (skills, problems) = installed.all();
        let said: Vec<&str> = skills.iter().map(|skill| skill.description.as_str()).collect();
        assert_eq!((said, problems), (vec!["two", "one"], vec![]));
        let run = skills[0].folder.join("scripts/run.sh");
        assert_eq!(fs::read_to_string(run).unwrap(), "#!/bin/sh\necho it runs\n");

        // A commit that no name leads to any more, by its beginning.
        let short = |commit: &str| commit.chars().take(LETTERS).collect::<String>();
        let beginning: String = first.chars().take(10).collect();
        assert!(installed.choose("pdf", "nope").unwrap_err().contains(&short(&second)));
        assert_eq!(installed.choose("pdf", &beginning).unwrap(), first);
        assert_eq!(installed.all().0[0].description, "one");
        assert_eq!(installed.remove("pdf", Some(&short(&first))).unwrap(), 1);
        assert_eq!(versions(&installed), [("pdf".to_owned(), second, true)]);
        let (changes, _) = installed.add(&repository.source(&format!("@{beginning}")), &git).unwrap();
        assert_eq!(changes[0].version, short(&first));
        assert_eq!(installed.remove("pdf", None).unwrap(), 2);
        assert!(versions(&installed).is_empty() && !root.path().join("skills/pdf").exists());
        assert!(installed.remove("pdf", None).unwrap_err().contains("no skill `pdf`"));
    }

    #[test]
    fn many_skills_of_one_repository_and_one_folder_of_it() {
        let repository = Repository::new();
        repository.skill("skills/a", "a", "it is a");
        repository.skill("skills/b", "b", "it is b");
        let root = tempfile::tempdir().unwrap();
        let installed = Installed::new(root.path().join("skills"));
        let (changes, _) = installed.add(&repository.source("@main#skills/b"), &git).unwrap();
        assert_eq!(changes.iter().map(|change| &*change.name).collect::<Vec<_>>(), ["b"]);
        let (changes, _) = installed.add(&repository.source(""), &git).unwrap();
        assert_eq!(changes.iter().map(|change| &*change.name).collect::<Vec<_>>(), ["a", "b"]);
        let why = installed.add(&repository.source("#nothing"), &git).unwrap_err();
        assert_eq!(why, "there is no SKILL.md in nothing");
        let why = installed.add(&repository.source("@no-branch"), &git).unwrap_err();
        assert!(why.contains("has no `no-branch` that can be fetched"), "{why}");
    }

    #[test]
    fn hostile_repositories_leave_links_behind_and_break_nothing() {
        let repository = Repository::new();
        repository.skill("", "pdf", "one");
        std::os::unix::fs::symlink("/etc/passwd", repository.work.join("passwd")).unwrap();
        std::os::unix::fs::symlink("../../..", repository.work.join("up")).unwrap();
        repository.push("links");
        let root = tempfile::tempdir().unwrap();
        let installed = Installed::new(root.path().join("skills"));
        let (changes, left_out) = installed.add(&repository.source(""), &git).unwrap();
        assert_eq!(left_out, ["passwd is a link", "up is a link"]);
        assert!(changes[0].place.join("passwd").symlink_metadata().is_err());

        // A name that leads elsewhere is none.
        repository.skill("", "../../evil", "one");
        let why = installed.add(&repository.source(""), &git).unwrap_err();
        assert!(why.contains("`../../evil` can't be the name of a skill"), "{why}");
        assert_eq!(versions(&installed).len(), 1);
        fs::write(root.path().join("skills/index.json"), "{").unwrap();
        assert!(installed.all().1[0].to_string().contains("index.json"));
        assert!(installed.remove("pdf", None).unwrap_err().contains("index.json can't be read"));
    }
}
