//! What the person has allowed or forbidden from now on: how rules stand in the settings, which hold where, and their
//! changes.
//!
//! Rules are read from the person's own settings only. What a project brings along can't hold any.

mod keep;
#[cfg(test)]
mod tests;
mod written;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::policy;
use crate::protocol::{Grant, Rule, Scope};

use super::{Config, PermissionSettings, Project, project_root};

pub use keep::{forget, keep, revoke};
pub use written::{Allow, Ask, Deny, Examples, Keys};

/// A rule that is kept, and for which project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub grant: Grant,
    /// Missing where it holds everywhere.
    pub project: Option<PathBuf>,
    /// Where it stands.
    pub origin: String,
}

impl Config {
    /// All rules that are kept, those that hold everywhere first.
    #[must_use]
    pub fn kept_rules(&self) -> Vec<Kept> {
        let mut all = Vec::new();
        let mut keep = |grants: Vec<&Grant>, project: Option<&Path>, path: &[&str]| {
            for grant in grants {
                let path: Vec<String> =
                    path.iter().copied().chain([list_of(grant)]).map(str::to_owned).collect();
                let origin = self.origin(&super::path::joined(&path)).unwrap_or_default().to_owned();
                all.push(Kept { grant: grant.clone(), project: project.map(Path::to_owned), origin });
            }
        };
        let PermissionSettings { allow, ask, deny } = &self.permissions;
        keep(grants(allow, ask, deny), None, &["permissions"]);
        for (dir, Project { allow, ask, deny, .. }) in &self.projects {
            keep(grants(allow, ask, deny), Some(dir), &["projects", &dir.to_string_lossy()]);
        }
        all
    }

    /// The rules that hold in sessions about a directory.
    #[must_use]
    pub fn rules(&self, workspace: &Path) -> Vec<Rule> {
        let workspace = canonical(workspace);
        let of_kept = |kept: Kept| {
            let scope = match &kept.project {
                None => Scope::Everywhere,
                Some(dir) => holds(&canonical(dir), &workspace).then_some(Scope::Project)?,
            };
            Some(Rule { grant: kept.grant, scope })
        };
        self.kept_rules().into_iter().filter_map(of_kept).collect()
    }

    /// What a person should know of the rules.
    pub(super) fn rule_notices(&self) -> Vec<String> {
        let idle = |kept: &Kept| match &kept.grant {
            Grant::CommandPrefix { words } => policy::too_broad(words),
            _ => false,
        };
        let notice = |kept: Kept| {
            format!(
                "{}: the rule has no effect, because it would allow too much: {}",
                kept.origin, kept.grant
            )
        };
        self.kept_rules().into_iter().filter(idle).map(notice).collect()
    }
}

/// What the rules of three lists say.
fn grants<'a>(allow: &'a [Allow], ask: &'a [Ask], deny: &'a [Deny]) -> Vec<&'a Grant> {
    let allow = allow.iter().map(|Allow(grant)| grant);
    allow.chain(ask.iter().map(|Ask(grant)| grant)).chain(deny.iter().map(|Deny(grant)| grant)).collect()
}

/// The list that a rule stands in.
fn list_of(grant: &Grant) -> &'static str {
    match grant {
        Grant::Ask { .. } => "ask",
        Grant::Deny { .. } => "deny",
        Grant::CommandPrefix { .. }
        | Grant::WriteBelow { .. }
        | Grant::Script { .. }
        | Grant::Host { .. }
        | Grant::Unknown => "allow",
    }
}

/// Whether what is said of one directory holds for sessions about another one: it lies there, in the same project.
fn holds(dir: &Path, workspace: &Path) -> bool {
    workspace.starts_with(dir) && dir.starts_with(project_root(workspace))
}

fn canonical(dir: &Path) -> PathBuf {
    fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())
}
