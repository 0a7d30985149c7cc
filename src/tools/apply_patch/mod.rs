//! The tool `apply_patch`, and the program of that name.
//!
//! The language itself is in [`crate::patch`]; here are the hands: reading the tree, judging where paths lie,
//! and writing a plan whole or not at all. Whether a path outside the workspace may be written is not decided
//! here: the intent says that it lies outside, and a call that was allowed with that intent comes with a
//! workspace that was [widened](Workspace::widened) by it. Everything else outside is refused when it runs.

mod disk;
mod program;
mod write;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::{
    patch::{Change, ChangeKind, DIFF_LIMIT, Diff, Node, Patch, Plan, Tree as _, plan},
    protocol::{Args, Content, FileChange, FileOperation, Intent, PatchedFile, Shown, ToolForm, ToolSpec},
};

use super::{Output, Tool, ToolCx, ToolError, Workspace, args::parse_args, places::Inside};

pub use program::program;

/// Changes files by a patch.
#[derive(Debug, Clone, Copy)]
pub struct ApplyPatch;

/// All diffs of one patch together. Later files get less, down to a line that says so.
const ALL_DIFFS: usize = 8 * DIFF_LIMIT;

#[async_trait::async_trait]
impl Tool for ApplyPatch {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "apply_patch".to_owned(),
            description: include_str!("../../../assets/tools/apply_patch.md").trim_end().to_owned(),
            form: ToolForm::Freeform {
                grammar: include_str!("../../../assets/tools/apply_patch.lark").to_owned(),
            },
        }
    }

    fn intent(&self, args: &Args, workspace: &Workspace) -> Result<Intent, ToolError> {
        intent_for(&patch_text(args)?, &workspace.root, workspace)
    }

    async fn run(&self, args: &Args, cx: ToolCx) -> Result<Output, ToolError> {
        run_for(&patch_text(args)?, &cx.workspace.root, &cx).await
    }
}

/// What a patch would do, with its paths relative to `workdir`.
///
/// # Errors
/// When it is no patch, or does not fit the files.
pub fn intent_for(patch_text: &str, workdir: &Path, workspace: &Workspace) -> Result<Intent, ToolError> {
    let job = Job::new(patch_text, workdir, workspace)?;
    let files = diffs(&job.plan)
        .map(|(change, diff)| {
            let outside = !job.inside.holds(&change.path)
                || change.moved_to.as_ref().is_some_and(|path| !job.inside.holds(path));
            FileChange {
                path: change.path.clone(),
                operation: operation(change.kind),
                moved_to: change.moved_to.clone(),
                outside,
                diff: diff.text,
            }
        })
        .collect();
    Ok(Intent::Write { files })
}

/// Applies a patch, with its paths relative to `workdir`: whole, or not at all.
///
/// # Errors
/// When it is no patch, does not fit the files, leads out of `cx.workspace`, or can't be written. Nothing has
/// changed then.
pub async fn run_for(patch_text: &str, workdir: &Path, cx: &ToolCx) -> Result<Output, ToolError> {
    let (text, workdir, workspace) = (patch_text.to_owned(), workdir.to_owned(), cx.workspace.clone());
    let cancel = cx.cancel.clone();
    // Files can be slow (network mounts). An interrupt stops it before the first change and never half-way.
    let work = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        let job = Job::new(&text, &workdir, &workspace)?;
        if let Some(path) = job.plan.touched.iter().find(|path| !job.inside.gives(path)) {
            return Err(outside(path));
        }
        if cancel.is_cancelled() {
            return Err(ToolError("interrupted; nothing was changed".to_owned()));
        }
        write::write(&job.plan.steps).map_err(|problem| not_written(&problem))?;
        Ok(job.output(begun.elapsed()))
    });
    work.await.unwrap_or_else(|error| Err(ToolError(format!("apply_patch failed: {error}"))))
}

/// The content of a text file, as a patch would find it; nothing, if there is no file.
///
/// # Errors
/// When it can't be read, is no text, or belongs to this program.
pub fn content(path: &str, workspace: &Workspace) -> Result<Option<String>, ToolError> {
    let inside = Inside::of(workspace);
    let workdir = disk::real_workdir(&workspace.root);
    let disk = disk::Disk { workdir: &workdir, inside: Some(&inside) };
    let place = disk.locate(path).map_err(ToolError)?;
    if inside.keeps(&place.target) {
        return Err(ToolError(format!("{path} belongs to this program")));
    }
    match disk.read(&place.target).map_err(ToolError)? {
        None => Ok(None),
        Some(Node::Link(_)) => Err(ToolError(format!("{path} leads nowhere"))),
        Some(Node::File(bytes)) => {
            let text = String::from_utf8(bytes.to_vec());
            text.map(Some)
                .map_err(|_| ToolError(format!("{path} is not UTF-8: change it with a command instead")))
        }
    }
}

/// A patch, read and planned.
struct Job {
    plan: Plan,
    inside: Inside,
}

impl Job {
    fn new(text: &str, workdir: &Path, workspace: &Workspace) -> Result<Self, ToolError> {
        let inside = Inside::of(workspace);
        let workdir = disk::real_workdir(&workspace.absolute(workdir));
        let plan = plan_of(text, &disk::Disk { workdir: &workdir, inside: Some(&inside) })?;
        if let Some(path) = plan.touched.iter().find(|path| inside.keeps(path)) {
            return Err(ToolError(format!("patch rejected: {} belongs to this program", path.display())));
        }
        // A move through a link would bring in the content of a file that nobody was asked about.
        let from =
            plan.changes.iter().filter(|change| change.moved_to.is_some()).map(|change| &change.source);
        match from.into_iter().find(|source| !inside.gives(source) && !names(&plan, source)) {
            Some(path) => Err(outside(path)),
            None => Ok(Self { plan, inside }),
        }
    }

    fn output(&self, wall: Duration) -> Output {
        let files = diffs(&self.plan)
            .map(|(change, diff)| PatchedFile {
                path: change.path.clone(),
                operation: operation(change.kind),
                moved_to: change.moved_to.clone(),
                added: diff.added,
                removed: diff.removed,
                diff: diff.text,
            })
            .collect();
        let seconds = (wall.as_secs_f64() * 10.0).round() / 10.0;
        let text = format!("Exit code: 0\nWall time: {seconds} seconds\nOutput:\n{}", self.plan.summary());
        Output { content: vec![Content::text(text)], shown: Shown::Patch { files }, blobs: Vec::new() }
    }
}

/// Whether a change is about this path by name, so that the intent shows it.
fn names(plan: &Plan, path: &PathBuf) -> bool {
    plan.changes.iter().any(|change| change.path == *path || change.moved_to.as_ref() == Some(path))
}

/// The text of the patch, from either form of the tool.
fn patch_text(args: &Args) -> Result<String, ToolError> {
    #[derive(Deserialize)]
    struct Input {
        input: String,
    }
    match args {
        Args::Text(text) => Ok(text.clone()),
        Args::Json(_) => parse_args::<Input>(args).map(|args| args.input),
    }
}

fn plan_of(text: &str, tree: &disk::Disk<'_>) -> Result<Plan, ToolError> {
    let told = |problem: String| ToolError(format!("apply_patch verification failed: {problem}"));
    let patch = Patch::parse(text).map_err(|error| told(error.to_string()))?;
    plan(&patch, tree).map_err(|error| told(error.0))
}

fn outside(path: &Path) -> ToolError {
    ToolError(format!("patch rejected: writing outside of the project: {}", path.display()))
}

fn not_written(problem: &str) -> ToolError {
    ToolError(format!("apply_patch failed: {problem}"))
}

/// Every change with its diff, as long as there is room for diffs.
fn diffs(plan: &Plan) -> impl Iterator<Item = (&Change, Diff)> {
    let mut room = ALL_DIFFS;
    plan.changes.iter().map(move |change| {
        let diff = Diff::between(&change.old, &change.new, room.min(DIFF_LIMIT));
        room = room.saturating_sub(diff.text.len());
        (change, diff)
    })
}

fn operation(kind: ChangeKind) -> FileOperation {
    match kind {
        ChangeKind::Add => FileOperation::Add,
        ChangeKind::Overwrite => FileOperation::Overwrite,
        ChangeKind::Update => FileOperation::Update,
        ChangeKind::Delete => FileOperation::Delete,
    }
}

#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod tests;
