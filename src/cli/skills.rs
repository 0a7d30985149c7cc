//! Skills, as this program has them: where they are looked for, which may be read, and what a session is told of them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use crate::config::trust::Verdict;
use crate::context::skills::{self as told, Entry};
use crate::protocol::{Context, Fact, Item, Level};
use crate::session::Session;
use crate::skills::{self, Found, Installed, Origin, Place, Shelf, Skill};
use crate::tools::load_skill::{Skills, Text};
use crate::tui::{Answer, KnownSkill};

use super::start::Start;

/// Bytes of a skill's text that the model gets.
const LONGEST: usize = 64 << 10;
/// Names that the model is told when it asks for one that is not there.
const NAMES: usize = 60;

impl Start {
    pub(super) fn shelf(&self) -> Shelf {
        // By its real path: the model, commands and file tools are to mean the same.
        let place = self.home.shelf();
        Shelf::new(self.shelf_place().pop().unwrap_or(place))
    }

    /// Where it is, for commands to see. A place that can't be made is not seen.
    pub(super) fn shelf_place(&self) -> Vec<PathBuf> {
        let place = self.home.shelf();
        let made = std::fs::create_dir_all(&place);
        made.ok().and_then(|()| place.canonicalize().ok()).into_iter().collect()
    }

    pub(super) fn installed(&self) -> Installed {
        Installed::new(self.home.installed_skills())
    }

    /// The folders in which skills are looked for: the nearest of the project first, then the person's own.
    pub(super) fn skill_places(&self) -> Vec<Place> {
        let root = &self.config.trust.root;
        let dirs = self.workspace.ancestors().take_while(|dir| dir.starts_with(root));
        let project = dirs.flat_map(|dir| {
            [".agent/skills", ".agents/skills", ".claude/skills"].map(|name| Place {
                folder: dir.join(name),
                origin: Origin::Project,
                within: Some(root.clone()),
            })
        });
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let others = home
            .into_iter()
            .flat_map(|home| [".agents/skills", ".claude/skills"].map(|name| home.join(name)));
        let person = std::iter::once(self.home.skills()).chain(others);
        let person = person.map(|folder| Place { folder, origin: Origin::Person, within: None });
        let mut places: Vec<Place> = Vec::new();
        for place in project.chain(person) {
            // Whoever works in their home has one folder for both.
            if !places.iter().any(|known| known.folder == place.folder) {
                places.push(place);
            }
        }
        places
    }

    /// All skills that may be used here.
    pub(super) fn skills(&self) -> Found {
        let may = |path: &Path, content: &[u8]| self.may_read(path, content);
        let mut found = skills::find(&self.skill_places(), &may);
        let (installed, problems) = self.installed().all();
        found.problems.extend(problems);
        installed.into_iter().for_each(|skill| found.add(skill));
        let (shipped, problems) = skills::shipped(&self.shelf());
        found.problems.extend(problems);
        shipped.into_iter().for_each(|skill| found.add(skill));
        found
    }

    /// Why a file of the repository may not be read; nothing if it may.
    fn may_read(&self, path: &Path, content: &[u8]) -> Option<String> {
        let trust = &self.config.trust;
        if !path.starts_with(&trust.root) || path.starts_with(&self.home.config) || !self.is_projects(path) {
            return None;
        }
        match trust.verdict(path, content) {
            Verdict::Read => None,
            Verdict::Leave => Some("the project is not trusted".to_owned()),
            Verdict::Unasked => Some("nobody was asked about it as it is now".to_owned()),
        }
    }

    /// Whether a file lies in one of the project's folders of skills.
    fn is_projects(&self, path: &Path) -> bool {
        self.skill_places()
            .iter()
            .any(|place| place.origin == Origin::Project && path.starts_with(&place.folder))
    }

    /// The folder of a skill as commands see it.
    fn place(&self, skill: &Skill) -> io::Result<PathBuf> {
        match skill.origin {
            // The workspace is there anyway, and so are the person's changes to it.
            Origin::Project if skill.folder.starts_with(&self.workspace) => Ok(skill.folder.clone()),
            Origin::Shipped => Ok(skill.folder.clone()),
            Origin::Project | Origin::Person | Origin::Installed => self.shelf().put(skill),
        }
    }

    /// What the model is told of the skills at the beginning, and what of it the person should know.
    pub(super) fn skill_listing(&self) -> (String, Vec<String>) {
        let budget = self.config.skills.max_bytes;
        if budget == 0 {
            return (String::new(), Vec::new());
        }
        self.shelf().tidy(SystemTime::now());
        let found = self.skills();
        let mut said: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        said.extend(found.clashes());
        let mut entries = Vec::new();
        // More than this many fit no budget: they are not copied for nothing.
        let most = budget / 40;
        for skill in found.skills.iter().filter(|skill| !skill.only_person) {
            let place = if entries.len() < most { self.place(skill) } else { Ok(skill.folder.clone()) };
            let place = place.unwrap_or_else(|error| {
                said.push(format!("commands don't see the files of the skill `{}`: {error}", skill.name));
                skill.folder.clone()
            });
            entries.push(Entry {
                name: skill.name.clone(),
                description: skill.description.clone(),
                file: place.join(skills::SKILL),
            });
        }
        let listing = told::listing(&entries, budget);
        said.extend(listing.said());
        (listing.text, said)
    }

    /// A skill as the model is told it.
    pub(super) fn skill_text(&self, name: &str, by_person: bool) -> Result<Text, String> {
        self.skill_text_of(&self.skills(), name, by_person)
    }

    /// The same of these.
    fn skill_text_of(&self, found: &Found, name: &str, by_person: bool) -> Result<Text, String> {
        let Some(skill) = found.named(name) else {
            let mut names: Vec<&str> = found.skills.iter().map(|skill| skill.name.as_str()).collect();
            let more = names.len().saturating_sub(NAMES);
            names.truncate(NAMES);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            return Err(format!("there is no skill `{name}`; there are: {}{more}", names.join(", ")));
        };
        if skill.only_person && !by_person {
            return Err(format!("the skill `{name}` is called for by the user alone, with `${name}`"));
        }
        let unread = |error: io::Error| format!("the skill `{name}` can't be read: {error}");
        // The person was told at the beginning why commands can't see it, if they can't.
        let place = self.place(skill).unwrap_or_else(|_| skill.folder.clone());
        let bytes = std::fs::read(place.join(skills::SKILL)).map_err(unread)?;
        if let Some(why) = self.may_read(&skill.file(), &bytes) {
            return Err(format!("the skill `{name}` is not read: {why}"));
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut body = skills::body(&text).to_owned();
        if body.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|end| body.is_char_boundary(*end)).unwrap_or(0);
            body.truncate(end);
            body.push_str("\n[CUT: it is longer; read the rest in its SKILL.md]");
        }
        let hash: String = blake3::hash(&bytes).to_hex().chars().take(12).collect();
        // With its version, another one of the same name is another skill.
        let name = match &skill.version {
            Some(version) if name.contains('@') => format!("{}@{version}", skill.name),
            _ => skill.name.clone(),
        };
        let place = place.display().to_string();
        let text = told::loaded(&name, &hash, &place, &body);
        Ok(Text {
            text: self.secrets.text(&text).into_owned(),
            name,
            hash,
            place,
            allowed: skill.allowed.clone(),
        })
    }

    /// The skills, for the screen.
    pub(super) fn known_skills(&self) -> Answer {
        let found = self.skills();
        let skills = found.skills.iter().map(|skill| KnownSkill {
            name: skill.name.clone(),
            about: skill.description.clone(),
            origin: skill.origin.word().to_owned(),
        });
        let mut problems: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        problems.extend(found.clashes());
        Answer::Skills { skills: skills.collect(), problems }
    }

    /// The skills that messages without an answer call for, and that the conversation does not hold.
    pub(super) fn skills_called_for(&self, session: &Session) -> Vec<Fact> {
        let names: Vec<String> =
            told::unanswered(&session.items).into_iter().flat_map(told::mentions).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let known = self.skills();
        let mut facts = Vec::new();
        for name in names {
            // Many things begin with a `$`.
            if known.named(&name).is_none() {
                continue;
            }
            match self.skill_text_of(&known, &name, true) {
                Ok(skill) if told::holds(&session.items, &skill.name, &skill.hash) => {}
                Ok(skill) => {
                    let text = format!("took up the skill {} ({})", skill.name, skill.place);
                    facts.push(Fact::Noted { level: Level::Info, text });
                    let text = told::called_for(&skill.text);
                    facts.push(Fact::item(Item::Context { context: Context::Skill, text }));
                }
                Err(text) => facts.push(Fact::Noted { level: Level::Warning, text }),
            }
        }
        facts
    }

    /// The calls that a skill of the person's own says it needs. What a project or a repository brings along allows
    /// nothing.
    pub(super) fn allowed_by(&self, name: &str) -> Vec<String> {
        let found = self.skills();
        let own = found.named(name).filter(|skill| matches!(skill.origin, Origin::Person | Origin::Shipped));
        own.map(|skill| skill.allowed.clone()).unwrap_or_default()
    }
}

/// Skills for the tool that loads them.
pub(super) struct Library(pub(super) Arc<Start>);

impl Skills for Library {
    fn load(&self, name: &str) -> Result<Text, String> {
        self.0.skill_text(name, false)
    }
}
