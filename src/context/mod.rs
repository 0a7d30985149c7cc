//! What the model is shown beside the conversation itself, and how much room it takes.
//!
//! Pure: files, clock and machine come in as values. What is said here is said once, at the beginning of a session,
//! so that the prefix of every request stays byte for byte the same; what has changed since is said at the end.

pub mod compact;
mod environment;
pub mod hidden;
pub mod instructions;
mod permissions;
pub mod prompt;
pub mod skills;

use std::path::PathBuf;

use crate::protocol::{Context, Item};

use instructions::Instructions;
pub use permissions::Permissions;

/// Everything that the beginning of a session says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The system prompt.
    pub system: String,
    pub cwd: PathBuf,
    /// Name of the user's shell, such as `bash`.
    pub shell: String,
    /// Today, as `2026-11-20`.
    pub date: String,
    /// IANA name, such as `Europe/Berlin`.
    pub timezone: String,
    pub permissions: Permissions,
    /// Directories beside the workspace that may be written.
    pub writable: Vec<PathBuf>,
    /// What the instruction files say, already within its budget.
    pub instructions: Instructions,
    /// Which skills there are, already within its budget; empty for none.
    pub skills: String,
    /// What earlier sessions have noted, within its budget; empty to say nothing.
    pub memory: String,
}

/// What commands reach of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    Off,
    /// These hosts, and others where the user is asked and says yes.
    Listed {
        hosts: Vec<String>,
        asks: bool,
    },
    On,
}

impl Network {
    /// Whether the user is asked about hosts that are not listed.
    #[must_use]
    pub fn asks(&self) -> bool {
        matches!(self, Self::Listed { asks: true, .. })
    }
}

/// Whether somebody reads along and can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    Present,
    /// One task, nobody there.
    Absent,
}

/// The items that begin a session, in the order in which the model knows them.
#[must_use]
pub fn opening(facts: &Opening) -> Vec<Item> {
    let item = |context, text| Item::Context { context, text };
    let mut items = vec![item(Context::System, facts.system.clone()), facts.permissions.item()];
    if !facts.instructions.text.is_empty() {
        items.push(item(Context::Instructions, facts.instructions.text.clone()));
    }
    if !facts.skills.is_empty() {
        items.push(item(Context::Skills, facts.skills.clone()));
    }
    if !facts.memory.is_empty() {
        items.push(item(Context::Memory, facts.memory.clone()));
    }
    items.push(item(Context::Environment, environment::text(facts)));
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn facts() -> Opening {
        Opening {
            system: prompt::SYSTEM.to_owned(),
            cwd: "/home/me/project".into(),
            shell: "bash".into(),
            date: "2026-11-20".into(),
            timezone: "Europe/Berlin".into(),
            permissions: permissions::tests::permissions(),
            writable: Vec::new(),
            instructions: Instructions::default(),
            skills: String::new(),
            memory: String::new(),
        }
    }

    #[test]
    fn a_session_opens_with_prompt_permissions_instructions_and_environment() {
        let kinds = |facts: &Opening| -> Vec<Context> {
            let kind = |item| match item {
                Item::Context { context, .. } => context,
                other => panic!("{other:?}"),
            };
            opening(facts).into_iter().map(kind).collect()
        };
        let mut facts = facts();
        assert_eq!(kinds(&facts), [Context::System, Context::Permissions, Context::Environment]);
        facts.instructions.text = "# AGENTS.md".into();
        assert_eq!(
            kinds(&facts),
            [Context::System, Context::Permissions, Context::Instructions, Context::Environment]
        );
        facts.skills = "<skills>".into();
        facts.memory = "<memory>".into();
        assert_eq!(kinds(&facts)[3..], [Context::Skills, Context::Memory, Context::Environment]);
    }

    #[test]
    fn the_same_facts_open_with_the_same_bytes() {
        assert_eq!(opening(&facts()), opening(&facts()));
    }
}
