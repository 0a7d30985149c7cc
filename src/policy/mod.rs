//! What may happen unasked: judges what a tool says it would do.
//!
//! Pure: it looks at the intent, the settings and what a person granted before. It enforces nothing. Inside the
//! sandbox the kernel is the border; here is only decided whether a person has to be asked first. Reading a
//! command can therefore take a question away, or word it, and never makes anything safe.

pub mod command;
pub mod destructive;
pub mod effects;
mod grants;
pub mod harmless;
mod likeness;
mod limits;
mod needs;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use crate::protocol::{Approval, By, Effects, FileChange, Intent, Rule, SandboxMode, Verb, obeyed_by};

pub use grants::{own_programs, proposals, too_broad};
pub use likeness::{alike, killed};
pub use limits::limited;
pub use needs::needed;

/// Why a host that nobody has said anything of is not reached.
pub const HOST_UNLISTED: &str = "it is in no list of allowed hosts (network.allow)";

/// What the models know to be told when they ask for more and nobody may be asked.
pub const ESCALATION_REFUSED: &str = "approval policy is Never; reject command — you cannot ask for escalated \
                                      permissions if the approval policy is Never";
/// What the models know to be told when a patch leaves the project and nobody may be asked.
pub const WRITE_REFUSED: &str =
    "patch rejected: writing outside of the project; rejected by user approval settings";
/// The same, where nothing at all may be written.
pub const READ_ONLY_REFUSED: &str =
    "patch rejected: the sandbox mode is read-only; rejected by user approval settings";

/// What the person settled beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub approval: Approval,
    pub sandbox: SandboxMode,
    /// What a command that may change the workspace could do to it, because the sandbox of this machine can't hold it.
    /// Nothing where it can.
    pub weak: Option<String>,
    /// The workspace and the further directories that may be written. Absolute, links resolved.
    pub roots: Vec<PathBuf>,
    /// The BLAKE3 hashes of programs in the workspace that rules may be bound to. One that is not here has no rule.
    pub scripts: BTreeMap<PathBuf, String>,
    /// Of the files that the call changes, those that other programs obey although their names don't say so: what the
    /// user has configured does. As absolute paths.
    pub configured: BTreeSet<PathBuf>,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    Allow(By),
    /// A person decides; the reason is for that person.
    Ask {
        reason: String,
    },
    /// It does not happen; the reason is for the model.
    Refuse {
        reason: String,
    },
}

/// Judges one call.
#[must_use]
pub fn judge(intent: &Intent, policy: &Policy, rules: &[Rule]) -> Judgement {
    match intent {
        // What is typed goes to a process that was allowed with all that it can do.
        Intent::None | Intent::Input { .. } => Judgement::Allow(By::Policy),
        Intent::Read { paths } => judge_read(paths, policy),
        Intent::Write { files } => judge_write(files, policy, rules),
        Intent::Command { command, workdir, escalated, justification, .. } => {
            // Without a sandbox there is nothing to get out of.
            if *escalated && policy.sandbox != SandboxMode::DangerFullAccess {
                judge_escalated(command, workdir, justification.as_deref(), policy, rules)
            } else {
                judge_command(command, workdir, policy, rules)
            }
        }
        // What a rule allows needs nobody who is asked: it is the same as a list.
        Intent::Connect { host, port } => match grants::for_host(host, *port, rules) {
            Some(rule) => Judgement::Allow(by(rule)),
            None => policy.ask_or(HOST_UNLISTED.to_owned(), format!("{HOST_UNLISTED}, and nobody is asked")),
        },
        // Whoever tells all later sessions something is a person.
        Intent::Remember { .. } => policy.ask_or(
            "it changes what later sessions are told".to_owned(),
            "the memory stays as it is: it changes only with the user's word, and nobody is asked here"
                .to_owned(),
        ),
        Intent::Hosted { .. } => policy.ask_or(
            "it leaves this machine: what the model gives it goes to those who run it".to_owned(),
            "the provider may not do this: nobody is asked here, and nothing says that it may unasked"
                .to_owned(),
        ),
        Intent::Unknown => policy.ask_or(
            "this call says nothing that this version understands about what it would do".into(),
            "call rejected: what it would do is unknown; rejected by user approval settings".into(),
        ),
    }
}

fn judge_command(command: &str, workdir: &Path, policy: &Policy, rules: &[Rule]) -> Judgement {
    if let (SandboxMode::WorkspaceWrite, Some(why)) = (policy.sandbox, &policy.weak) {
        return judge_unheld(command, workdir, why, policy, rules);
    }
    let reason = match (policy.approval, policy.sandbox) {
        (Approval::Never, _) | (Approval::OnRequest, SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite) => {
            return Judgement::Allow(By::Policy);
        }
        (Approval::OnRequest, SandboxMode::DangerFullAccess) => match destructive::find(command) {
            None => return Judgement::Allow(By::Policy),
            Some(found) => format!("it {found}, and there is no sandbox"),
        },
        (Approval::Untrusted, _) => {
            if harmless::is_harmless(command, workdir, policy.sandbox) {
                return Judgement::Allow(By::Policy);
            }
            "it is not known to be harmless".to_owned()
        }
    };
    match grants::for_command(command, workdir, policy, rules) {
        Some(rule) => Judgement::Allow(by(rule)),
        None => Judgement::Ask { reason },
    }
}

/// Where the sandbox does not hold what the workspace's owner relies on, a command in it is judged as one that leaves
/// it: reading it makes it no safer, and a rule counts that would let it run without any sandbox.
fn judge_unheld(command: &str, workdir: &Path, why: &str, policy: &Policy, rules: &[Rule]) -> Judgement {
    if policy.approval == Approval::Never {
        let reason = format!(
            "command rejected: {why}, so that only the user can allow it, and nobody is asked here. Tell the user that \
             `--sandbox read-only` runs commands unasked"
        );
        return Judgement::Refuse { reason };
    }
    match grants::for_command(command, workdir, policy, rules) {
        Some(rule) => Judgement::Allow(by(rule)),
        None => Judgement::Ask { reason: why.to_owned() },
    }
}

fn judge_escalated(
    command: &str,
    workdir: &Path,
    justification: Option<&str>,
    policy: &Policy,
    rules: &[Rule],
) -> Judgement {
    if policy.approval == Approval::Never {
        return Judgement::Refuse { reason: ESCALATION_REFUSED.to_owned() };
    }
    match grants::for_command(command, workdir, policy, rules) {
        Some(rule) => Judgement::Allow(by(rule)),
        None => {
            let given = justification.map(str::trim).filter(|text| !text.is_empty());
            Judgement::Ask {
                reason: given
                    .unwrap_or("it wants to run outside the sandbox, and does not say why")
                    .to_owned(),
            }
        }
    }
}

fn judge_write(files: &[FileChange], policy: &Policy, rules: &[Rule]) -> Judgement {
    let mut used = None;
    for file in files {
        let outside = file.outside || !file_paths(file).all(|path| policy.holds(path));
        let obeyed = file_paths(file).find_map(|path| Some((path, policy.obeyed(path)?)));
        let free = match (policy.approval, policy.sandbox) {
            (Approval::Untrusted, _) | (_, SandboxMode::ReadOnly) => false,
            (_, SandboxMode::WorkspaceWrite) => !outside && obeyed.is_none(),
            (_, SandboxMode::DangerFullAccess) => true,
        };
        if free {
            continue;
        }
        // Inside by its name and outside in truth: a link leads out, and no grant spoke of where it leads.
        let misleading = file.outside && file_paths(file).all(|path| policy.holds(path));
        match grants::for_file(file, policy, rules) {
            Some(rule) if !misleading => {
                used.get_or_insert(rule);
            }
            _ => {
                return if policy.sandbox == SandboxMode::ReadOnly {
                    policy.ask_or(
                        format!("it changes {}, and the sandbox mode is read-only", file.path.display()),
                        READ_ONLY_REFUSED.to_owned(),
                    )
                } else if outside {
                    policy.ask_or(
                        format!("it writes outside the workspace: {}", file.path.display()),
                        WRITE_REFUSED.to_owned(),
                    )
                } else if let Some((path, who)) = obeyed {
                    let path = path.display();
                    policy.ask_or(
                        format!("it changes {path}, which {who} obeys later, outside the sandbox"),
                        format!(
                            "patch rejected: {who} obeys {path} later, outside the sandbox, so that only a person \
                             can allow the change; rejected by user approval settings"
                        ),
                    )
                } else {
                    policy.ask_or(format!("it changes {}", file.path.display()), WRITE_REFUSED.to_owned())
                };
            }
        }
    }
    Judgement::Allow(used.map_or(By::Policy, by))
}

fn judge_read(paths: &[PathBuf], policy: &Policy) -> Judgement {
    if policy.sandbox == SandboxMode::DangerFullAccess {
        return Judgement::Allow(By::Policy);
    }
    match paths.iter().find(|path| !policy.holds(path)) {
        None => Judgement::Allow(By::Policy),
        Some(path) => policy.ask_or(
            format!("it reads outside the workspace: {}", path.display()),
            format!(
                "read rejected: {} is outside of the project; rejected by user approval settings",
                path.display()
            ),
        ),
    }
}

impl Policy {
    /// Whether the path lies, by its name, in one of the roots.
    fn holds(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| below(path, root))
    }

    /// Who obeys what lies there, as seen from the root that it is below.
    fn obeyed(&self, path: &Path) -> Option<&'static str> {
        if self.configured.contains(path) {
            return Some("git or another program, because of what is configured,");
        }
        let roots = self.roots.iter().filter(|root| below(path, root));
        let mut seen = roots.filter_map(|root| path.strip_prefix(root).ok()).map(obeyed_by);
        let first = seen.next()?;
        // A root below such a name was meant.
        seen.try_fold(first?, |who, other| other.map(|_| who))
    }

    /// Whether a command that is allowed by itself is asked for when it would lose something.
    #[must_use]
    pub fn watches(&self) -> bool {
        (self.approval, self.sandbox) == (Approval::OnRequest, SandboxMode::DangerFullAccess)
    }

    /// Why somebody should be asked about these effects where there is no sandbox: what is lost lies outside, or is
    /// work that no commit holds, and more of it than one file.
    #[must_use]
    pub fn loss(&self, effects: &Effects) -> Option<String> {
        let temporary = |path: &Path| ["/tmp", "/var/tmp"].iter().any(|folder| path.starts_with(folder));
        let mut lost = effects.touched.iter().filter(|touched| touched.verb.loses());
        let beyond = lost.clone().find(|touched| touched.tally.outside > 0 && !temporary(&touched.path));
        if let Some(touched) = beyond {
            return Some(format!(
                "there is no sandbox, and it touches what lies outside: {}",
                touched.path.display()
            ));
        }
        let work = lost.find(|touched| touched.verb != Verb::Overwrite && touched.tally.uncommitted > 1)?;
        Some(format!("there is no sandbox, and no commit holds what it removes: {}", work.path.display()))
    }

    fn ask_or(&self, question: String, refusal: String) -> Judgement {
        match self.approval {
            Approval::Never => Judgement::Refuse { reason: refusal },
            Approval::OnRequest | Approval::Untrusted => Judgement::Ask { reason: question },
        }
    }
}

fn by(rule: &Rule) -> By {
    By::Grant { grant: rule.grant.clone(), scope: rule.scope }
}

fn file_paths(file: &FileChange) -> impl Iterator<Item = &Path> {
    std::iter::once(file.path.as_path()).chain(file.moved_to.as_deref())
}

/// Whether `path` is `root` or lies below it. A path that climbs (`..`) or is not absolute is below nothing.
fn below(path: &Path, root: &Path) -> bool {
    let honest = |path: &Path| {
        path.is_absolute() && !path.components().any(|part| matches!(part, Component::ParentDir))
    };
    honest(path) && honest(root) && path.starts_with(root)
}

/// Without the steps of a path that lead nowhere, by the names alone.
fn plain_path(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests;
