//! What a tool would do, said before it does it. Policy judges it, people approve it, the log keeps it.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::ProcessId;

/// What a tool call would do to the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Intent {
    /// Nothing outside the conversation (a plan, say).
    None,
    /// Look at files.
    Read { paths: Vec<PathBuf> },
    /// Change files, with the harness's own hands.
    Write { files: Vec<FileChange> },
    /// Run a command. The text is byte for byte what the shell is given.
    Command {
        command: String,
        workdir: PathBuf,
        /// Asked to run outside the sandbox.
        #[serde(default, skip_serializing_if = "super::item::is_false")]
        escalated: bool,
        /// Why, in the model's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        justification: Option<String>,
        /// The argv prefix that the model proposes to allow from now on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        prefix: Vec<String>,
        /// The shell that reads it, where the model wants another one than the user's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shell: Option<PathBuf>,
    },
    /// Type into a process that was allowed before, or look at it.
    Input { process: ProcessId, text: String },
    /// Reach another machine from inside the sandbox. No tool asks for it: a running command does.
    Connect { host: String, port: u16 },
    /// Change what is remembered for later sessions.
    Remember {
        /// The note as it is; empty for a new one.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        before: String,
        /// What it is to say; empty to forget it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        after: String,
    },
    /// Have the provider use these tools of its own: what the model gives them goes where they are.
    Hosted { tools: Vec<String> },
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// A change to one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Absolute.
    pub path: PathBuf,
    pub operation: FileOperation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<PathBuf>,
    /// Lies, links resolved, outside the places that may be written.
    #[serde(default, skip_serializing_if = "super::item::is_false")]
    pub outside: bool,
    /// Unified diff hunks, so that a person sees what would change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOperation {
    Add,
    /// An add or a move over an existing file.
    Overwrite,
    Update,
    Delete,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// What a rule says: a permission that outlives the call it was given for, or a limit to all permissions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Grant {
    /// Commands whose words begin with exactly these, outside the sandbox as well.
    CommandPrefix { words: Vec<String> },
    /// Changes to files at or below this path.
    WriteBelow { path: PathBuf },
    /// Commands whose words begin with exactly these, the first of which names a program in the workspace: as long as
    /// that has the content of this BLAKE3 hash.
    Script { words: Vec<String>, hash: String },
    /// A person is asked before commands that begin with these words, whatever else is allowed.
    Ask { words: Vec<String> },
    /// Commands that begin with these words are refused, whatever else is allowed.
    Deny { words: Vec<String> },
    /// Connections to this host and port, from inside the sandbox.
    Host { host: String, port: u16 },
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// Where and for how long a grant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    #[default]
    Session,
    /// In each session of this project.
    Project,
    /// In each session.
    Everywhere,
    /// Written by a newer version: nobody knows how little that is, so it holds nowhere.
    #[serde(other)]
    Unknown,
}

/// A grant that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub grant: Grant,
    #[serde(default, skip_serializing_if = "Scope::is_session")]
    pub scope: Scope,
}

impl Scope {
    /// Whether it ends with the session, as every grant does that says nothing else.
    #[must_use]
    pub fn is_session(&self) -> bool {
        *self == Self::Session
    }

    /// Whether it is kept beyond the session.
    #[must_use]
    pub fn is_kept(self) -> bool {
        matches!(self, Self::Project | Self::Everywhere)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session => "until this session ends",
            Self::Project => "always in this project",
            Self::Everywhere => "always everywhere",
            Self::Unknown => "never (of a newer version)",
        })
    }
}

impl Grant {
    /// Whether it takes something away instead of giving it.
    #[must_use]
    pub fn limits(&self) -> bool {
        matches!(self, Self::Ask { .. } | Self::Deny { .. })
    }

    /// Whether it can be given that scope. A program that is named by its place in the workspace is another one in
    /// each project.
    #[must_use]
    pub fn fits(&self, scope: Scope) -> bool {
        match (self, scope) {
            (Self::Unknown, _) | (_, Scope::Unknown) => false,
            (Self::Script { .. }, Scope::Everywhere) => false,
            (Self::CommandPrefix { words }, Scope::Everywhere) => {
                words.first().is_some_and(|program| program.starts_with('/') || !program.contains('/'))
            }
            (_, Scope::Session | Scope::Project | Scope::Everywhere) => true,
        }
    }
}

/// What it allows, for a person to read: to the letter, with each word as a shell would be told it.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandPrefix { words } => {
                write!(f, "commands that begin with `{}`, outside the sandbox too", line(words))
            }
            Self::Script { words, hash } => {
                let short: String = hash.chars().take(8).collect();
                let words = line(words);
                write!(
                    f,
                    "commands that begin with `{words}`, outside the sandbox too, while that file is as it is now ({short})"
                )
            }
            Self::Ask { words } => write!(f, "ask before commands that begin with `{}`", line(words)),
            Self::Deny { words } => write!(f, "never commands that begin with `{}`", line(words)),
            Self::WriteBelow { path } => write!(f, "changes at or below {}", path.display()),
            Self::Host { host, port } => write!(f, "connections to {host}:{port}"),
            Self::Unknown => f.write_str("nothing that this version knows"),
        }
    }
}

/// Words as a shell would be told them.
fn line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell has to be told it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let bare = |c: char| c.is_alphanumeric() || "_-./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(bare) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Intent {
    /// Whether the workspace may differ afterwards.
    #[must_use]
    pub fn mutates(&self) -> bool {
        match self {
            Self::None
            | Self::Read { .. }
            | Self::Connect { .. }
            | Self::Remember { .. }
            | Self::Hosted { .. } => false,
            Self::Write { .. } | Self::Command { .. } | Self::Input { .. } | Self::Unknown => true,
        }
    }

    /// Whether the call must have the workspace for itself while it runs.
    #[must_use]
    pub fn exclusive(&self) -> bool {
        match self {
            Self::Write { .. } => true,
            Self::None
            | Self::Read { .. }
            | Self::Command { .. }
            | Self::Input { .. }
            | Self::Connect { .. }
            | Self::Remember { .. }
            | Self::Hosted { .. }
            | Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_read_to_the_letter() {
        let words =
            |words: &[&str]| Grant::CommandPrefix { words: words.iter().map(|w| (*w).to_owned()).collect() };
        for (grant, text) in [
            (words(&["npm", "install"]), "commands that begin with `npm install`, outside the sandbox too"),
            (
                words(&["git", "commit", "-m", "it's a", ""]),
                r"commands that begin with `git commit -m 'it'\''s a' ''`, outside the sandbox too",
            ),
            (Grant::WriteBelow { path: "/a b".into() }, "changes at or below /a b"),
        ] {
            assert_eq!(grant.to_string(), text);
        }
    }

    #[test]
    fn a_program_of_the_workspace_is_not_allowed_everywhere() {
        let program = |word: &str| Grant::CommandPrefix { words: vec![word.to_owned(), "x".to_owned()] };
        for (grant, everywhere) in [
            (program("npm"), true),
            (program("/usr/bin/npm"), true),
            (program("./deploy"), false),
            (program("scripts/deploy"), false),
            (Grant::WriteBelow { path: "/notes".into() }, true),
        ] {
            assert!(grant.fits(Scope::Session) && grant.fits(Scope::Project) && !grant.fits(Scope::Unknown));
            assert_eq!(grant.fits(Scope::Everywhere), everywhere, "{grant}");
        }
    }

    #[test]
    fn a_rule_without_a_scope_is_of_the_session_and_an_unknown_scope_is_none() {
        let read = |text: &str| serde_json::from_str::<Rule>(text).unwrap().scope;
        let grant = r#""grant":{"type":"command_prefix","words":["a"]}"#;
        assert_eq!(read(&format!("{{{grant}}}")), Scope::Session);
        assert_eq!(read(&format!(r#"{{{grant},"scope":"everywhere"}}"#)), Scope::Everywhere);
        assert_eq!(read(&format!(r#"{{{grant},"scope":"on_the_moon"}}"#)), Scope::Unknown);
        let rule: Rule = serde_json::from_str(&format!("{{{grant}}}")).unwrap();
        assert_eq!(serde_json::to_string(&rule).unwrap(), format!("{{{grant}}}"));
    }
}
