//! The front matter of a `SKILL.md`: YAML between two lines `---`, read forgivingly.
//!
//! A library reads the YAML: descriptions come folded, quoted and over several lines, and reading a part of that
//! language oneself means to read it wrongly. Aliases are limited by it, so that a small file can't become a large one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Origin, Problem, Skill};

/// The name of the file, to the letter.
pub const SKILL: &str = "SKILL.md";
/// A longer file is no skill, in bytes.
pub const LONGEST: u64 = 256 << 10;
/// A longer front matter is none, in bytes.
const FRONT: usize = 64 << 10;
/// Characters, as the format says.
const NAME: usize = 64;
const DESCRIPTION: usize = 1024;
const COMPATIBILITY: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Front {
    name: Option<Scalar>,
    description: Option<Scalar>,
    license: Option<Scalar>,
    compatibility: Option<Scalar>,
    allowed_tools: Option<Tools>,
    #[serde(default)]
    disable_model_invocation: Option<bool>,
    /// Of no use here, but it has to be what it should be.
    #[serde(default)]
    #[expect(dead_code, reason = "read to be checked")]
    metadata: Option<BTreeMap<String, Scalar>>,
}

/// What people write where a text is meant: `version: 1.0` is a number to YAML.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(f64),
    Bool(bool),
    Nothing,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Tools {
    Words(String),
    List(Vec<String>),
}

impl Scalar {
    fn text(self) -> Option<String> {
        let text = match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Nothing => return None,
        };
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

/// Reads the text of the file at `path`. Gives the skill if it can be used, and what is wrong with it.
pub(super) fn read(path: &Path, text: &str, origin: Origin) -> (Option<Skill>, Vec<Problem>) {
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let wrong =
        |line: Option<usize>, reason: String| (None, vec![Problem { line, ..Problem::new(path, reason) }]);
    let Some((matter, _)) = parted(text) else {
        return wrong(Some(1), "it does not begin with front matter between two lines `---`".to_owned());
    };
    if matter.len() > FRONT {
        return wrong(Some(1), format!("its front matter is longer than {} KiB", FRONT >> 10));
    }
    // A colon in a description is the most common mistake; other programs read past it.
    let parsed = serde_saphyr::from_str::<Front>(matter);
    let parsed = parsed.or_else(|error| serde_saphyr::from_str(&quoted(matter)).map_err(|_| error));
    let front = match parsed {
        Ok(front) => front,
        Err(error) => {
            // The front matter begins on the second line of the file.
            let line = error.location().and_then(|at| usize::try_from(at.line()).ok());
            let said = error.without_snippet().to_string();
            let said = said.lines().next().unwrap_or_default().to_owned();
            return wrong(line.map(|line| line + 1), format!("its front matter is no YAML: {said}"));
        }
    };
    let line_of = |key: &str| {
        let at =
            matter.lines().position(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
        at.map(|at| at + 2)
    };
    let Some(description) = front.description.and_then(Scalar::text) else {
        return wrong(line_of("description").or(Some(1)), "it has no `description`".to_owned());
    };
    let mut problems = Vec::new();
    let mut warn = |key: &str, reason: String| {
        problems.push(Problem { line: line_of(key), harmless: true, ..Problem::new(path, reason) });
    };
    let called = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = match front.name.and_then(Scalar::text) {
        Some(name) => name,
        None => {
            warn("name", format!("it has no `name`; its folder's is taken, `{}`", clean(&called)));
            called.clone()
        }
    };
    if let Err(why) = check_name(&name) {
        // What can't be typed, or would break a line, can't be called for.
        if !usable(&name) {
            return wrong(line_of("name"), format!("`{}` can't be the name of a skill: {why}", clean(&name)));
        }
        warn("name", format!("its name `{name}` is not as the format wants it: {why}"));
    } else if name != called && origin != Origin::Installed {
        warn("name", format!("its name `{name}` is not that of its folder, `{}`", clean(&called)));
    }
    let short = |text: String, most: usize| -> (String, bool) {
        let text = clean(&text);
        match text.char_indices().nth(most) {
            Some((end, _)) => (format!("{}…", text.get(..end).unwrap_or_default()), true),
            None => (text, false),
        }
    };
    let (description, cut) = short(description, DESCRIPTION);
    if cut {
        warn("description", format!("its description is longer than {DESCRIPTION} characters, and was cut"));
    }
    let compatibility = front.compatibility.and_then(Scalar::text).map(|text| short(text, COMPATIBILITY).0);
    let allowed = match front.allowed_tools {
        None => Vec::new(),
        Some(Tools::Words(words)) => tools(&words),
        Some(Tools::List(list)) => list.iter().map(|tool| clean(tool)).collect(),
    };
    let skill = Skill {
        name,
        description,
        folder,
        origin,
        version: None,
        allowed,
        license: front.license.and_then(Scalar::text).map(|text| short(text, COMPATIBILITY).0),
        compatibility,
        only_person: front.disable_model_invocation == Some(true),
    };
    (Some(skill), problems)
}

/// What a `SKILL.md` says below its front matter.
#[must_use]
pub fn body(text: &str) -> &str {
    parted(text).map_or(text, |(_, body)| body).trim()
}

/// The front matter, and what follows it.
fn parted(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.split_inclusive('\n').next()?;
    if first.trim_end() != "---" {
        return None;
    }
    let rest = text.get(first.len()..)?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some((rest.get(..at)?, rest.get(at + line.len()..)?));
        }
        at += line.len();
    }
    None
}

/// The same with the values of plain lines `key: value` in quotes.
fn quoted(matter: &str) -> String {
    let line = |line: &str| -> String {
        let Some((key, value)) = line.split_once(": ") else { return line.to_owned() };
        let plain =
            !key.is_empty() && key.chars().all(|char| char.is_ascii_alphanumeric() || "-_".contains(char));
        let value = value.trim();
        if !plain || value.is_empty() || value.starts_with(['"', '\'', '|', '>', '[', '{', '&', '*']) {
            return line.to_owned();
        }
        format!("{key}: '{}'", value.replace('\'', "''"))
    };
    matter.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The words of `allowed-tools`. A pair of brackets may hold blanks.
fn tools(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut depth = 0_usize;
    let mut word = String::new();
    for char in clean(text).chars() {
        match char {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && (char == ',' || char.is_whitespace()) {
            all.push(std::mem::take(&mut word));
        } else {
            word.push(char);
        }
    }
    all.push(word);
    all.retain(|word| !word.is_empty());
    all
}

/// On one line, without what people don't see.
fn clean(text: &str) -> String {
    let visible = |char: char| !char.is_control() && !hides(char);
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| word.chars().filter(|char| visible(*char)).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// Characters that take no room, or change the order of others.
fn hides(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether the format allows such a name.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.chars().count() > NAME {
        return Err(format!("it has 1 to {NAME} characters"));
    }
    if !name.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-') {
        return Err("it has only small letters, digits and hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') || name.contains("--") {
        return Err("hyphens stand between other characters, one at a time".to_owned());
    }
    Ok(())
}

/// Whether one can be called for by it all the same, and it can be the name of a folder.
fn usable(name: &str) -> bool {
    let part = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.' | ':');
    !name.is_empty()
        && name.chars().count() <= NAME
        && name.chars().all(part)
        && !name.starts_with(['.', '-'])
}

/// The same, of a folder that lies anywhere.
pub(super) fn in_folder(folder: &Path, text: &str, origin: Origin) -> (Option<Skill>, Vec<Problem>) {
    let path: PathBuf = folder.join(SKILL);
    read(&path, text, origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill(text: &str) -> (Option<Skill>, Vec<String>) {
        let (skill, problems) = in_folder(Path::new("/s/pdf"), text, Origin::Person);
        (skill, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_skill_says_what_it_is_for() {
        let (read, problems) = skill(
            "\u{feff}---\r\nname: pdf\r\ndescription: >\r\n  Fills in forms.\r\n  Use it for PDFs.\r\nlicense: MIT\r\n\
             compatibility: needs qpdf\r\nallowed-tools: Bash(git log:*) Read,Edit\r\nmetadata:\r\n  version: 1.0\r\n---\r\nBody\r\n",
        );
        assert_eq!(problems, [""; 0]);
        assert_eq!(
            read.unwrap(),
            Skill {
                name: "pdf".into(),
                description: "Fills in forms. Use it for PDFs.".into(),
                folder: "/s/pdf".into(),
                origin: Origin::Person,
                version: None,
                allowed: vec!["Bash(git log:*)".into(), "Read".into(), "Edit".into()],
                license: Some("MIT".into()),
                compatibility: Some("needs qpdf".into()),
                only_person: false,
            }
        );
        assert_eq!(body("---\nname: x\n---\n\n# Hi\n\n---\nmore\n"), "# Hi\n\n---\nmore");
    }

    #[test]
    fn what_others_read_is_read_and_what_is_odd_is_said() {
        for (text, name, said) in [
            (
                "---\ndescription: Use when: always\n---",
                "pdf",
                "/s/pdf/SKILL.md: it has no `name`; its folder's is taken, `pdf`",
            ),
            (
                "---\nname: PDF\ndescription: x\n---",
                "PDF",
                "/s/pdf/SKILL.md:2: its name `PDF` is not as the format wants it: it has only small letters, digits and hyphens",
            ),
            (
                "---\nname: other\ndescription: x\n---",
                "other",
                "/s/pdf/SKILL.md:2: its name `other` is not that of its folder, `pdf`",
            ),
            ("---\nname: pdf\ndescription: 'it''s \"x\"'\ndisable-model-invocation: true\n---", "pdf", ""),
        ] {
            let (read, problems) = skill(text);
            assert_eq!(read.unwrap().name, name, "{text}");
            assert_eq!(problems.join("\n"), said, "{text}");
        }
    }

    #[test]
    fn what_can_not_be_used_is_named_with_file_line_and_reason() {
        let deep = format!("---\nname: pdf\ndescription: x\nmetadata:\n  a: {}\n---", "[".repeat(5000));
        for (text, said) in [
            ("# just text", ":1: it does not begin with front matter between two lines `---`"),
            ("---\nname: pdf\n", ":1: it does not begin with front matter between two lines `---`"),
            ("---\nname: pdf\n---\n", ":1: it has no `description`"),
            ("---\nname: pdf\ndescription:\n---\n", ":3: it has no `description`"),
            (
                "---\nname: ../up\ndescription: x\n---\n",
                ":2: `../up` can't be the name of a skill: it has only small letters, digits and hyphens",
            ),
            ("---\nname: 'a b'\ndescription: x\n---\n", ":2: `a b` can't be the name of a skill"),
            ("---\nname: pdf\ndescription: [\n---\n", "its front matter is no YAML"),
            (&deep, "its front matter is no YAML"),
            ("---\n- a\n- b\n---\n", "its front matter is no YAML"),
        ] {
            let (read, problems) = skill(text);
            assert_eq!(read, None, "{text}");
            assert!(
                problems[0].contains(said) && problems[0].ends_with("the skill is not used"),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn a_description_of_a_megabyte_is_cut_and_hides_nothing() {
        let long = format!("---\nname: pdf\ndescription: {}\n---", "many words ".repeat(5000));
        let (read, problems) = skill(&long);
        assert_eq!(read.unwrap().description.chars().count(), DESCRIPTION + 1);
        assert!(problems[0].contains(":3: its description is longer than 1024 characters"), "{problems:?}");
        let (read, problems) = skill(&format!("---\ndescription: {}\n---", "x".repeat(1 << 20)));
        assert!(read.is_none() && problems[0].contains("longer than 64 KiB"), "{problems:?}");
        let hidden = "---\nname: pdf\ndescription: \"a\\u202Eb \\u200B c\\nd\\e[0m\"\n---";
        assert_eq!(skill(hidden).0.unwrap().description, "ab c d[0m");
    }
}
