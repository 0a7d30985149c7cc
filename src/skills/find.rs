//! Looks for skills below some folders.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{Origin, Problem, SKILL, Skill, front};

/// Folders in folders.
const DEPTH: usize = 6;
/// Folders that are looked at below one place, at most.
const FOLDERS: usize = 2_000;
/// Entries of one folder, at most.
const ENTRIES: usize = 20_000;
/// Folders that hold no skills of anybody's.
const SKIPPED: [&str; 3] = [".git", "node_modules", "target"];

/// A folder below which skills may lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub folder: PathBuf,
    pub origin: Origin,
    /// Nothing outside of this is read, whatever links say.
    pub within: Option<PathBuf>,
}

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// What goes before the others comes first; of a name there is one.
    pub skills: Vec<Skill>,
    /// Skills that are hidden by others of their name.
    pub hidden: Vec<Skill>,
    pub problems: Vec<Problem>,
}

impl Found {
    /// Adds what lies below a place. What is there already goes before it.
    ///
    /// `may` tells why a file may not be read, by its path and content; nothing if it may.
    pub fn look(&mut self, place: &Place, may: &dyn Fn(&Path, &[u8]) -> Option<String>) {
        let mut walk = Walk { place, problems: Vec::new(), files: Vec::new() };
        walk.walk();
        let Walk { problems, files, .. } = walk;
        self.problems.extend(problems);
        for path in files {
            let bytes = text(&path, place.within.as_deref()).map_err(|error| error.to_string());
            let text = bytes.and_then(|bytes| match may(&path, &bytes) {
                Some(why) => Err(why),
                None => String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()),
            });
            match text {
                Ok(text) => self.read(&path, &text, place.origin),
                Err(why) => self.problems.push(Problem::new(&path, why)),
            }
        }
    }

    fn read(&mut self, path: &Path, text: &str, origin: Origin) {
        let (skill, problems) = front::read(path, text, origin);
        self.problems.extend(problems);
        if let Some(skill) = skill {
            self.add(skill);
        }
    }

    /// Adds a skill that was read before.
    pub fn add(&mut self, skill: Skill) {
        match self.skills.iter().any(|known| known.name == skill.name) {
            true => self.hidden.push(skill),
            false => self.skills.push(skill),
        }
    }

    /// The skill of this name: of those, or, as `NAME@VERSION`, of hidden ones as well.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Skill> {
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (name, None),
        };
        let is = |skill: &&Skill| {
            let known = skill.version.as_deref();
            skill.name == name
                && version.is_none_or(|wanted| {
                    wanted.len() >= 4
                        && known.is_some_and(|known| known.starts_with(wanted) || wanted.starts_with(known))
                })
        };
        self.skills.iter().find(is).or_else(|| self.hidden.iter().filter(|_| version.is_some()).find(is))
    }

    /// Where two of one name are, for a person: the one that counts, and the one that does not.
    #[must_use]
    pub fn clashes(&self) -> Vec<String> {
        let by_name: HashMap<&str, &Skill> = self.skills.iter().map(|skill| (&*skill.name, skill)).collect();
        let clash = |hidden: &Skill| {
            let shown = by_name.get(&*hidden.name)?;
            // Another version is there on purpose, and so is one's own in the place of what ships.
            if hidden.origin == Origin::Shipped
                || (hidden.origin, shown.origin) == (Origin::Installed, Origin::Installed)
            {
                return None;
            }
            Some(format!(
                "two skills are called `{}`: {} goes before {}",
                hidden.name,
                shown.folder.display(),
                hidden.folder.display()
            ))
        };
        self.hidden.iter().filter_map(clash).collect()
    }
}

/// All skills below these places, the first places first.
#[must_use]
pub fn find(places: &[Place], may: &dyn Fn(&Path, &[u8]) -> Option<String>) -> Found {
    let mut found = Found::default();
    for place in places {
        found.look(place, may);
    }
    found
}

/// The bytes of a file that is one, lies where it must, and is not too long.
fn text(path: &Path, within: Option<&Path>) -> io::Result<Vec<u8>> {
    let target = path.canonicalize()?;
    if let Some(within) = within
        && !target.starts_with(within.canonicalize()?)
    {
        return Err(io::Error::other("it is a link to a place outside"));
    }
    // A pipe would wait for ever.
    if !target.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(target)?.take(front::LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > front::LONGEST {
        return Err(io::Error::other(format!("it is longer than {} KiB", front::LONGEST >> 10)));
    }
    Ok(bytes)
}

struct Walk<'a> {
    place: &'a Place,
    problems: Vec<Problem>,
    files: Vec<PathBuf>,
}

impl Walk<'_> {
    /// Goes by breadth, so that a deep folder hides no shallow one.
    fn walk(&mut self) {
        let mut queue = VecDeque::from([(self.place.folder.clone(), 0)]);
        let mut folders = 0;
        while let Some((folder, depth)) = queue.pop_front() {
            folders += 1;
            if folders > FOLDERS {
                let why = format!(
                    "there are more than {FOLDERS} folders; those from {} on are not looked at",
                    folder.display()
                );
                self.problems.push(Problem { harmless: true, ..Problem::new(&self.place.folder, why) });
                return;
            }
            if !self.inside(&folder) {
                self.problems.push(Problem::new(&folder, "it is a link to a place outside"));
                continue;
            }
            let file = folder.join(SKILL);
            if depth > 0 && file.symlink_metadata().is_ok() {
                self.files.push(file);
                continue;
            }
            // A folder that is not there, or that nobody may read, has none.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            let mut inner: Vec<PathBuf> = entries
                .take(ENTRIES)
                .flatten()
                .filter(|entry| !SKIPPED.iter().any(|name| entry.file_name() == *name))
                .filter(|entry| {
                    // People link single skills into their folders. Further down a link may lead in a circle.
                    entry.file_type().is_ok_and(|kind| {
                        kind.is_dir() || (kind.is_symlink() && depth == 0 && entry.path().is_dir())
                    })
                })
                .map(|entry| entry.path())
                .collect();
            inner.sort();
            if depth < DEPTH {
                queue.extend(inner.into_iter().map(|folder| (folder, depth + 1)));
            }
        }
    }

    fn inside(&self, folder: &Path) -> bool {
        let Some(within) = &self.place.within else { return true };
        match (folder.canonicalize(), within.canonicalize()) {
            (Ok(folder), Ok(within)) => folder.starts_with(within),
            // What is not there leads nowhere.
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(folder: &Path, name: &str, description: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(
            folder.join(SKILL),
            format!("---\nname: {name}\ndescription: {description}\n---\n# {name}\n"),
        )
        .unwrap();
    }

    fn place(folder: &Path, origin: Origin) -> Place {
        Place { folder: folder.to_owned(), origin, within: None }
    }

    fn names(found: &Found) -> Vec<&str> {
        found.skills.iter().map(|skill| skill.name.as_str()).collect()
    }

    fn all(_: &Path, _: &[u8]) -> Option<String> {
        None
    }

    #[test]
    fn what_comes_first_hides_what_has_its_name_and_both_are_told() {
        let root = tempfile::tempdir().unwrap();
        let [project, person, shipped] = ["p", "u", "s"].map(|name| root.path().join(name));
        write(&project.join("pdf"), "pdf", "the project's");
        write(&person.join("pdf"), "pdf", "the person's");
        write(&person.join("deep/er/csv"), "csv", "c");
        write(&shipped.join("csv"), "csv", "hidden without a word");
        let places = [
            place(&project, Origin::Project),
            place(&person, Origin::Person),
            place(&shipped, Origin::Shipped),
            place(&root.path().join("missing"), Origin::Person),
        ];
        let found = find(&places, &all);
        assert_eq!(names(&found), ["pdf", "csv"]);
        assert_eq!(found.skills[0].description, "the project's");
        assert_eq!(found.problems, []);
        let said = format!(
            "two skills are called `pdf`: {} goes before {}",
            project.join("pdf").display(),
            person.join("pdf").display()
        );
        assert_eq!(found.clashes(), [said]);
    }

    #[test]
    fn a_version_is_named_by_the_beginning_of_its_commit() {
        let skill = |version: &str| Skill {
            name: "pdf".into(),
            description: version.into(),
            folder: "/x".into(),
            origin: Origin::Installed,
            version: Some(version.into()),
            allowed: Vec::new(),
            license: None,
            compatibility: None,
            only_person: false,
        };
        let mut found = Found::default();
        found.add(skill("1111aaaa"));
        found.add(skill("2222bbbb"));
        let of = |name: &str| found.named(name).map(|skill| skill.description.as_str());
        assert_eq!(of("pdf"), Some("1111aaaa"));
        assert_eq!(of("pdf@2222"), Some("2222bbbb"));
        assert_eq!(of("pdf@2222bbbbcccc"), Some("2222bbbb"));
        assert_eq!((of("pdf@2"), of("pdf@3333"), of("csv")), (None, None, None));
        assert!(found.clashes().is_empty());
    }

    #[test]
    fn links_lead_nowhere_outside_and_pipes_and_heaps_hold_nothing_up() {
        let root = tempfile::tempdir().unwrap();
        let [repo, outside] = ["repo", "outside"].map(|name| root.path().join(name));
        let skills = repo.join(".agent/skills");
        write(&outside.join("evil"), "evil", "e");
        write(&skills.join("good"), "good", "g");
        symlink(outside.join("evil"), skills.join("evil")).unwrap();
        fs::create_dir_all(skills.join("file")).unwrap();
        symlink(outside.join("evil/SKILL.md"), skills.join("file/SKILL.md")).unwrap();
        fs::create_dir_all(skills.join("circle")).unwrap();
        symlink(&skills, skills.join("circle/again")).unwrap();
        fs::create_dir_all(skills.join("pipe")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            skills.join("pipe/SKILL.md"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o666),
            0,
        )
        .unwrap();
        fs::create_dir_all(skills.join("long")).unwrap();
        fs::write(skills.join("long/SKILL.md"), "x".repeat(1 << 20)).unwrap();
        fs::create_dir_all(skills.join("latin")).unwrap();
        fs::write(skills.join("latin/SKILL.md"), b"---\nname: \xe4\n---").unwrap();
        let place = Place { folder: skills.clone(), origin: Origin::Project, within: Some(repo) };
        let found = find(std::slice::from_ref(&place), &all);
        assert_eq!(names(&found), ["good"]);
        let mut problems: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        problems.sort();
        let said =
            |name: &str, why: &str| format!("{}: {why}; the skill is not used", skills.join(name).display());
        assert_eq!(
            problems,
            [
                said("evil", "it is a link to a place outside"),
                said("file/SKILL.md", "it is a link to a place outside"),
                said("latin/SKILL.md", "it is not UTF-8"),
                said("long/SKILL.md", "it is longer than 256 KiB"),
                said("pipe/SKILL.md", "it is not a file"),
            ]
        );
        // What a person links in on purpose is theirs.
        let own = find(&[Place { within: None, origin: Origin::Person, ..place }], &all);
        assert!(names(&own).contains(&"evil"), "{own:?}");
    }

    #[test]
    fn two_thousand_folders_are_looked_at_and_the_rest_is_told() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..2_100 {
            write(&root.path().join(format!("s{number:04}")), &format!("s{number:04}"), "d");
        }
        let found = find(&[place(root.path(), Origin::Person)], &all);
        assert_eq!(found.skills.len(), FOLDERS - 1);
        let said = found.problems[0].to_string();
        assert!(said.contains("more than 2000 folders") && found.problems.len() == 1, "{said}");
    }

    #[test]
    fn what_may_not_be_read_is_not() {
        let root = tempfile::tempdir().unwrap();
        write(&root.path().join("a"), "a", "d");
        let no = |_: &Path, _: &[u8]| Some("the project is not trusted".to_owned());
        let found = find(&[place(root.path(), Origin::Project)], &no);
        assert!(found.skills.is_empty());
        assert!(found.problems[0].to_string().ends_with("the project is not trusted; the skill is not used"));
    }
}
