//! The skills that the program brings along: the folder `skills` of its sources.

use std::path::{Path, PathBuf};

use super::{Origin, Problem, SKILL, Shelf, Skill, front, shelf::Files};

/// A skill's name, and its files with their text.
type Text = (&'static str, &'static [(&'static str, &'static str)]);

const ALL: &[Text] = &[
    ("commit", &[(SKILL, include_str!("../../skills/commit/SKILL.md"))]),
    ("fix-failing-test", &[(SKILL, include_str!("../../skills/fix-failing-test/SKILL.md"))]),
    ("review", &[(SKILL, include_str!("../../skills/review/SKILL.md"))]),
    (
        "security-scan",
        &[
            (SKILL, include_str!("../../skills/security-scan/SKILL.md")),
            ("scripts/scan.sh", include_str!("../../skills/security-scan/scripts/scan.sh")),
        ],
    ),
    (
        "write-skill",
        &[
            (SKILL, include_str!("../../skills/write-skill/SKILL.md")),
            ("scripts/check.sh", include_str!("../../skills/write-skill/scripts/check.sh")),
        ],
    ),
];

/// All of them, laid out on the shelf.
#[must_use]
pub fn shipped(shelf: &Shelf) -> (Vec<Skill>, Vec<Problem>) {
    let (mut skills, mut problems) = (Vec::new(), Vec::new());
    for (name, files) in ALL {
        let content: Files = files
            .iter()
            .map(|(path, text)| {
                (PathBuf::from(path), (text.as_bytes().to_vec(), path.starts_with("scripts/")))
            })
            .collect();
        let text = files.iter().find(|(path, _)| *path == SKILL).map_or("", |(_, text)| *text);
        match shelf.keep(name, &content) {
            Ok(folder) => {
                let (skill, _) = front::in_folder(Path::new(name), text, Origin::Shipped);
                skills.extend(skill.map(|skill| Skill { folder, ..skill }));
            }
            Err(error) => {
                problems.push(Problem::new(
                    Path::new(name),
                    format!("this skill of the program's own can't be laid out: {error}"),
                ));
            }
        }
    }
    (skills, problems)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::skills::shelf;

    fn sources() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("skills")
    }

    #[test]
    fn what_ships_is_the_folder_of_the_sources() {
        let root = tempfile::tempdir().unwrap();
        let (skills, problems) = shipped(&Shelf::new(root.path().join("shelf")));
        assert_eq!(problems, []);
        let mut names: Vec<String> = fs::read_dir(sources())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(skills.iter().map(|skill| skill.name.clone()).collect::<Vec<_>>(), names);
        for skill in &skills {
            let source = shelf::files(&sources().join(&skill.name)).unwrap();
            assert_eq!(shelf::files(&skill.folder).unwrap(), source, "{}", skill.name);
        }
    }

    #[test]
    fn what_ships_is_as_the_format_wants_it_and_short() {
        for entry in fs::read_dir(sources()).unwrap() {
            let folder = entry.unwrap().path();
            let text = fs::read_to_string(folder.join(SKILL)).unwrap();
            let (skill, problems) = front::in_folder(&folder, &text, Origin::Shipped);
            let skill = skill.unwrap();
            assert_eq!(problems, [], "{}", folder.display());
            // A line in the prompt: what it does, and when it is to be used.
            assert!(
                (60..=400).contains(&skill.description.len()),
                "{}: {}",
                skill.name,
                skill.description.len()
            );
            assert!(skill.description.contains("Use"), "{}", skill.description);
            assert!(text.lines().count() <= 120 && text.len() <= 6_000, "{}: {}", skill.name, text.len());
        }
    }

    fn script(name: &str, folder: &Path) -> (i32, String) {
        let mut command = std::process::Command::new("sh");
        let output = command.arg(sources().join(name)).arg(folder).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    #[test]
    fn the_check_of_write_skill_finds_what_does_not_fit() {
        let check = |folder: &Path| script("write-skill/scripts/check.sh", folder);
        for entry in fs::read_dir(sources()).unwrap() {
            let (code, said) = check(&entry.unwrap().path());
            assert!(code == 0 && said.ends_with("nothing to mend\n"), "{said}");
        }
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("pdf");
        fs::create_dir(&folder).unwrap();
        assert!(check(&folder).1.contains("there is no such file"));
        for (text, said) in [
            ("# no front matter", ":1: it does not begin with a line ---"),
            ("---\nname: pdf\n", ":1: the front matter has no end"),
            ("---\nname: PDF\ndescription: Use when x\n---\nx\n", ":2: name: small letters"),
            (
                "---\nname: csv\ndescription: Use when x\n---\nx\n",
                ":2: name: `csv` is not that of the folder, `pdf`",
            ),
            ("---\nname: pdf\n---\nx\n", ":1: there is no description"),
            (
                "---\nname: pdf\ndescription: >\n  Fills in\n  forms.\n---\nx\n",
                ":3: description: it does not say when",
            ),
            ("---\nname: pdf\ndescription: Use when x\n---\n\n", ":4: nothing follows the front matter"),
            (
                "---\nname: pdf\ndescription: Use when x\n---\nRun scripts/no.sh.\n",
                "it names scripts/no.sh, which is not there",
            ),
        ] {
            fs::write(folder.join(SKILL), text).unwrap();
            let (code, all) = check(&folder);
            assert!(code == 1 && all.contains(said), "{text}\n{all}");
        }
    }

    #[test]
    fn the_scan_lists_places_and_gives_away_no_secret() {
        let root = tempfile::tempdir().unwrap();
        let key = "sk-abcdefghijklmnopqrstuvwx";
        fs::write(root.path().join("a b.py"), format!("KEY = '{key}'\nos.system(name)\nx = 1\n")).unwrap();
        fs::write(root.path().join("fine.py"), "def add(a, b):\n    return a + b\n").unwrap();
        let before = shelf::files(root.path()).unwrap();
        let (code, said) = script("security-scan/scripts/scan.sh", root.path());
        assert_eq!(code, 0, "{said}");
        assert!(
            said.contains("./a b.py:1: secret:") && said.contains("./a b.py:2: shell: os.system(name)"),
            "{said}"
        );
        assert!(!said.contains(key) && said.contains("sk-abcd…"), "{said}");
        assert!(!said.contains("fine.py") && said.contains("gitleaks"), "{said}");
        assert_eq!(shelf::files(root.path()).unwrap(), before);
        assert_eq!(script("security-scan/scripts/scan.sh", &root.path().join("none")).0, 2);
    }
}
