//! What putting a state back would change, and which of that somebody else has changed since.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use crate::protocol::SnapshotId;

use super::{
    SnapshotError, Snapshots, at,
    compare::{Difference, differences},
    node::Node,
    path,
};

/// What putting a state back would change.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The state that it was made for.
    pub from: SnapshotId,
    /// The state that is put back.
    pub to: SnapshotId,
    /// Directories before what they hold.
    pub changes: Vec<Change>,
    /// What stays as it is in any case, and why.
    pub left: Vec<(PathBuf, String)>,
}

/// One path that would be changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Below the workspace.
    pub path: PathBuf,
    pub what: What,
    /// Bytes there now, and then.
    pub bytes: (u64, u64),
    /// Somebody has changed it in between: a person, or a process that ran on.
    pub theirs: bool,
    /// It belongs to the state of a repository, which is put back as a whole.
    pub git: bool,
    pub(super) difference: Difference,
}

/// What would happen at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Add,
    Replace,
    Remove,
    /// Permissions or times alone.
    Touch,
    AddFolder,
    RemoveFolder,
    /// Permissions or times of a directory: nothing that a person has to be asked about.
    TouchFolder,
}

impl Plan {
    /// What a person is shown: all but times of directories.
    pub fn shown(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.what != What::TouchFolder)
    }
}

impl Snapshots {
    /// What would change if `to` was put back where `from` is now. Each of `between` are two states with the work of
    /// others between them.
    ///
    /// # Errors
    /// When a snapshot is not there, or can't be read.
    pub fn plan(
        &self,
        from: &SnapshotId,
        to: &SnapshotId,
        between: &[(SnapshotId, SnapshotId)],
    ) -> Result<Plan, SnapshotError> {
        let theirs = self.of_others(between)?;
        let (before, after) = (self.root_of(from)?, self.root_of(to)?);
        let mut plan = Plan { from: from.clone(), to: to.clone(), changes: Vec::new(), left: Vec::new() };
        for difference in differences(&self.store, &before, &after)? {
            match judge(&difference) {
                Verdict::Change(what) => {
                    let theirs = theirs.contains(&difference.path);
                    plan.changes.push(Change::new(difference, what, theirs));
                }
                Verdict::Left(why) => plan.left.push((path(&difference.path), why)),
                Verdict::Nothing => {}
            }
        }
        whole_repositories(&mut plan);
        Ok(plan)
    }

    /// The paths whose content others have changed.
    fn of_others(&self, between: &[(SnapshotId, SnapshotId)]) -> Result<HashSet<Vec<u8>>, SnapshotError> {
        let mut paths = HashSet::new();
        for (one, other) in between.iter().filter(|(one, other)| one != other) {
            let found = differences(&self.store, &self.root_of(one)?, &self.root_of(other)?)?;
            paths.extend(found.into_iter().filter(Difference::of_content).map(|found| found.path));
        }
        Ok(paths)
    }
}

impl Change {
    fn new(difference: Difference, what: What, theirs: bool) -> Self {
        let size = |node: &Option<Node>| match node {
            Some(Node::File { size, .. }) => *size,
            _ => 0,
        };
        Self {
            path: path(&difference.path),
            what,
            bytes: (size(&difference.before), size(&difference.after)),
            theirs,
            git: repository(&difference.path).is_some(),
            difference,
        }
    }
}

enum Verdict {
    Change(What),
    Left(String),
    Nothing,
}

fn judge(difference: &Difference) -> Verdict {
    let change = |what| Verdict::Change(what);
    match (&difference.before, &difference.after) {
        (None, None) | (Some(Node::Left(_)), Some(Node::Left(_))) => Verdict::Nothing,
        (Some(Node::Left(why)), None) => Verdict::Left(format!("stays: {}, in no snapshot", why.words())),
        (None, Some(Node::Left(why))) => {
            Verdict::Left(format!("was there then, and can't be put back: {}", why.words()))
        }
        (Some(Node::Left(why)), Some(_)) | (Some(_), Some(Node::Left(why))) => {
            Verdict::Left(format!("stays: {}, in one snapshot only", why.words()))
        }
        (before, after)
            if at::split(&difference.path).1 == b".git" && before.is_none() != after.is_none() =>
        {
            Verdict::Left(match before {
                Some(_) => {
                    "stays: the repository was made since; delete it yourself if you want to".to_owned()
                }
                None => "can't be put back: a repository's own database is in no snapshot".to_owned(),
            })
        }
        (None, Some(Node::Folder { .. })) => change(What::AddFolder),
        (Some(Node::Folder { .. }), None) => change(What::RemoveFolder),
        (Some(Node::Folder { .. }), Some(Node::Folder { .. })) => change(What::TouchFolder),
        (None, Some(_)) => change(What::Add),
        (Some(_), None) => change(What::Remove),
        (
            Some(Node::File { content: one, meta: a, .. }),
            Some(Node::File { content: other, meta: b, .. }),
        ) if one == other && a != b => change(What::Touch),
        (Some(Node::Link { target: one, .. }), Some(Node::Link { target: other, .. })) if one == other => {
            change(What::Touch)
        }
        (Some(_), Some(_)) => change(What::Replace),
    }
}

/// The state of a repository makes sense only as a whole: when somebody has changed a part of it, all of it is theirs.
/// An index that was only looked at since is not worth a question: git brings it up to date by itself.
fn whole_repositories(plan: &mut Plan) {
    let mut states: HashMap<Vec<u8>, (bool, bool)> = HashMap::new();
    for change in &plan.changes {
        if let Some(git) = repository(&change.difference.path)
            && change.what != What::TouchFolder
        {
            let state = states.entry(git.to_vec()).or_default();
            state.0 |= change.theirs;
            state.1 |= change.what != What::Touch && change.difference.path != at::join(git, b"index");
        }
    }
    plan.changes.retain_mut(|change| {
        let Some((theirs, more)) = repository(&change.difference.path).and_then(|git| states.get(git)) else {
            return true;
        };
        change.theirs |= *theirs;
        *more || !*theirs
    });
}

/// The path of the `.git` that a path lies in.
fn repository(path: &[u8]) -> Option<&[u8]> {
    let mut end = 0;
    for name in path.split(|byte| *byte == b'/') {
        end += name.len();
        if name == b".git" {
            return path.get(..end);
        }
        end += 1;
    }
    None
}
