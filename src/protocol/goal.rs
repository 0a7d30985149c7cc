//! What a session is to come to: a command that has to pass, a goal that is worked on turn after turn, and what was
//! checked since files were last changed.

use serde::{Deserialize, Serialize};

/// A command that has to pass before a turn counts as done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    pub command: String,
    /// How often it may fail in one turn.
    pub tries: u32,
}

/// What a session works on until it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    pub text: String,
    /// Tokens that may be spent on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Seconds that may be worked on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// The command that has to pass for it to be met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<String>,
}

/// How a goal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoalStatus {
    /// Turn follows turn.
    Active,
    /// Until a person lets it go on.
    Paused,
    /// The model can't go on without a person.
    Blocked,
    /// What may be spent on it is spent.
    OutOfBudget,
    Met,
    /// Nobody wants it any more.
    Cleared,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// What the model says of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    Complete,
    Blocked,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// A check that ran, such as tests or a linter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What it is called by: `cargo test`.
    pub name: String,
    /// Its exit code. Missing where nobody can tell: that of a pipe is the one of its last command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
}

/// What was checked, and what was not, since files were last changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checked {
    /// Files were changed in this turn.
    #[serde(default)]
    pub edited: bool,
    /// Checks that began after the last change.
    #[serde(default)]
    pub fresh: Vec<Check>,
    /// Those that a later change has made say nothing.
    #[serde(default)]
    pub stale: Vec<Check>,
}

impl Checked {
    /// On one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let list = |checks: &[Check]| checks.iter().map(Check::in_words).collect::<Vec<_>>().join(", ");
        let names =
            |checks: &[Check]| checks.iter().map(|check| check.name.as_str()).collect::<Vec<_>>().join(", ");
        let fresh = match (self.edited, self.fresh.is_empty()) {
            (true, true) => "not checked since the last edit".to_owned(),
            (true, false) => format!("checked after the last edit: {}", list(&self.fresh)),
            (false, true) => String::new(),
            (false, false) => format!("checked: {}", list(&self.fresh)),
        };
        let stale =
            if self.stale.is_empty() { String::new() } else { format!("stale: {}", names(&self.stale)) };
        [fresh, stale].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

impl Check {
    fn in_words(&self) -> String {
        match self.exit {
            Some(0) => format!("{} ✓", self.name),
            Some(code) => format!("{} ✗ (exit {code})", self.name),
            None => format!("{} (its exit code is hidden)", self.name),
        }
    }
}

impl GoalStatus {
    /// In a word or two.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::OutOfBudget => "out of budget",
            Self::Met => "met",
            Self::Cleared => "cleared",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_checked_is_said_on_one_line() {
        let check = |name: &str, exit| Check { name: name.into(), exit };
        let [test, lint, hidden] =
            [check("cargo test", Some(0)), check("cargo clippy", Some(101)), check("make check", None)];
        let said = |edited, fresh: &[&Check], stale: &[&Check]| {
            let own = |checks: &[&Check]| checks.iter().map(|check| (*check).clone()).collect();
            Checked { edited, fresh: own(fresh), stale: own(stale) }.in_words()
        };
        assert_eq!(
            said(true, &[&test], &[&lint]),
            "checked after the last edit: cargo test ✓; stale: cargo clippy"
        );
        assert_eq!(
            said(true, &[&lint, &hidden], &[]),
            "checked after the last edit: cargo clippy ✗ (exit 101), make check (its exit code is hidden)"
        );
        assert_eq!(said(true, &[], &[&test]), "not checked since the last edit; stale: cargo test");
        assert_eq!(said(true, &[], &[]), "not checked since the last edit");
        assert_eq!(said(false, &[&test], &[]), "checked: cargo test ✓");
    }
}
