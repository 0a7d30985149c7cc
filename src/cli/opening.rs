//! What a session's model is told before anything else: what it may do, where it is, and the instructions that are
//! believed.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::config::{
    Backend,
    trust::{Standing, Verdict},
};
use crate::context::{self, Opening, Permissions, Person, hidden, instructions};
use crate::protocol::{Item, Settings};
use crate::sandbox::SharedSandbox;

use super::start::{Start, shell};

impl Start {
    /// What may be done, as the model is told it.
    pub(super) fn permissions(&self, settings: &Settings, sandbox: &SharedSandbox) -> Permissions {
        Permissions {
            sandbox: settings.sandbox,
            approval: settings.approval,
            network: if sandbox.can_reach() { self.told_network(settings) } else { context::Network::Off },
            backend: sandbox.describe(),
            weak: sandbox.weakness(),
            person: self.person,
        }
    }

    /// What the model is told at the beginning, and what of it the person should know.
    pub(super) fn opening(&self, settings: &Settings, sandbox: &SharedSandbox) -> (Vec<Item>, Vec<String>) {
        let user = [self.home.config.clone()];
        let trust = &self.config.trust;
        let places = instructions::candidates(Some(&trust.root), &self.workspace, &user);
        let (files, mut said) = self.instructions_of(&places);
        let instructions = instructions::build(&files, self.config.instructions.max_bytes);
        said.extend(instructions.left_out.iter().map(|left_out| left_out.to_string()));
        let told = self.told_memory();
        said.extend(told.problems);
        let (skills, about_skills) = self.skill_listing();
        said.extend(about_skills);
        let now = jiff::Zoned::now();
        let opening = context::opening(&Opening {
            system: context::prompt::system(settings).into_owned(),
            cwd: self.workspace.clone(),
            shell: sandbox
                .shell()
                .unwrap_or_else(shell)
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            date: now.strftime("%Y-%m-%d").to_string(),
            timezone: now.time_zone().iana_name().unwrap_or("UTC").to_owned(),
            permissions: self.permissions(settings, sandbox),
            // Containers have no others.
            writable: if settings.backend == Backend::Local.to_string() {
                self.writable_roots()
            } else {
                Vec::new()
            },
            instructions,
            memory: told.text,
            skills,
        });
        (opening, said)
    }

    /// The instruction files of these places, with what they name, as far as they may be read; and what the person
    /// should know of them.
    pub(super) fn instructions_of(
        &self,
        places: &[instructions::Place],
    ) -> (Vec<instructions::File>, Vec<String>) {
        let read = |path: &Path| self.instruction_text(path);
        let (files, mut said) = instructions::gather(places, read);
        // What nobody believes brings nothing along.
        let (files, left) = self.trusted(files);
        said.extend(left);
        let known: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
        let (files, problems) = instructions::with_included(files, read);
        said.extend(problems);
        let mut all = Vec::new();
        for file in files {
            if known.contains(&file.path) {
                all.push(file);
                continue;
            }
            let (believed, left) = self.trusted(vec![file]);
            all.extend(believed);
            said.extend(left);
        }
        (all, said)
    }

    /// The text of an instruction file, if there is one that may be looked at.
    pub(super) fn instruction_text(&self, path: &Path) -> io::Result<Option<String>> {
        let own = path.starts_with(&self.home.config);
        read_text(path, (!own).then_some(self.config.trust.root.as_path()))
    }

    /// The instruction files that may be read, and what is to be said about the repository's.
    pub(super) fn trusted(&self, files: Vec<instructions::File>) -> (Vec<instructions::File>, Vec<String>) {
        let trust = &self.config.trust;
        let mut said = Vec::new();
        let mut kept = Vec::new();
        for file in files {
            let name = file.path.display();
            if !file.path.starts_with(&trust.root) || file.path.starts_with(&self.home.config) {
                said.extend(hides(&file));
                kept.push(file);
                continue;
            }
            match (trust.verdict(&file.path, file.text.as_bytes()), self.person) {
                (Verdict::Read, _) => {
                    // Whoever was asked has seen it. Who trusts a directory whatever is in it has not.
                    if trust.standing != Standing::Accepted {
                        said.extend(hides(&file));
                    }
                    kept.push(file);
                }
                (Verdict::Leave, _) => said.push(format!("{name} is not read: the project is not trusted")),
                (Verdict::Unasked, Person::Present) => {
                    said.push(format!("{name} is not read: nobody was asked about it as it is now"));
                }
                // Where nobody can be asked, whoever starts it has chosen the directory. What hides is said.
                (Verdict::Unasked, Person::Absent) => {
                    said.extend(hides(&file));
                    kept.push(file);
                }
            }
        }
        (kept, said)
    }
}

/// What hides in a file, if something does.
fn hides(file: &instructions::File) -> Option<String> {
    let hidden: Vec<String> = hidden::find(&file.text).iter().map(ToString::to_string).collect();
    let name = file.path.display();
    (!hidden.is_empty()).then(|| format!("{name} has text that people don't see: {}", hidden.join(", ")))
}

/// More than this is no instruction file. 1 MiB.
const LONGEST_INSTRUCTIONS: u64 = 1 << 20;
const NO_INSTRUCTIONS: &str = "it is not a text file of at most 1 MiB";

/// Reads a text file, if there is one. What a repository has must lie in it: a link of its to somewhere else would
/// show the model a file that the person did not choose.
fn read_text(path: &Path, within: Option<&Path>) -> io::Result<Option<String>> {
    let path = match path.canonicalize() {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        path => path?,
    };
    if let Some(root) = within
        && !path.starts_with(root.canonicalize()?)
    {
        return Err(io::Error::other("it is a link to a place outside of the repository"));
    }
    if !path.metadata()?.is_file() {
        return Err(io::Error::other(NO_INSTRUCTIONS));
    }
    let mut text = String::new();
    // Not by its size alone: special files have none.
    fs::File::open(path)?.take(LONGEST_INSTRUCTIONS + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST_INSTRUCTIONS {
        return Err(io::Error::other(NO_INSTRUCTIONS));
    }
    Ok(Some(text))
}
