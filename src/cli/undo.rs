//! `agent undo` and `agent redo`: files back as they were before a turn, and forth again.
//!
//! First it shows what would change. What somebody else has changed since is asked about by itself.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
};

use crate::harness;
use crate::protocol::{Event, Fact, Item, Restore, TurnId, printable, words};
use crate::session::{Session, Undoable};
use crate::snapshot::{Change, Done, Plan, SnapshotError, Snapshots, What, Which};
use crate::tui::Prospect;

use super::{
    args::WhichArgs,
    error::CliError,
    sessions::size,
    start::{Kept, Start, now},
};

/// Lines of a list at most.
const LINES: usize = 40;

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Before this turn; nothing: before the last one that can be undone.
    Back(Option<TurnId>),
    /// What the last undo took away.
    Forth,
}

pub(super) fn run(start: &Start, args: &WhichArgs, way: Way) -> Result<ExitCode, CliError> {
    let mut kept = start.reopen(start.find(args.id.as_deref())?)?;
    let snapshots = start.of(&kept)?.snapshots().map_err(CliError::failed)?;
    settle(&mut kept, &snapshots)?;
    let undo = &kept.session.undo;
    let known = match way {
        Way::Back(turn) => undo.undo(turn),
        Way::Forth => undo.redo(),
    };
    let known = known.map_err(|error| CliError::usage(format!("session {}: {error}", kept.id())))?;
    let taken = snapshots.take().map_err(failed)?;
    let plan = snapshots.plan(&taken.id, &known.to, &known.between(&taken.id)).map_err(failed)?;
    let mut out = io::stdout().lock();
    if plan.shown().next().is_none() {
        write(&mut out, &left(&plan))?;
        return told(&mut out, "nothing to put back: the files are as they were");
    }
    write(&mut out, &[heading(known.turn, &kept.history)])?;
    write(&mut out, &lines(&plan))?;
    let Some(which) = chosen(&plan, args)? else {
        return told(&mut out, "nothing was changed");
    };
    let restore = known.restore(taken.id, which == Which::All);
    let done = put_back(&mut kept, &snapshots, &plan, &restore)?;
    report(&mut out, &done, way).map_err(CliError::failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Puts the files of a session back as it left them, whoever changed them since. Shows what would change, and asks.
pub(super) fn put_back_as_left(start: &Start, kept: &mut Kept, yes: bool) -> Result<(), CliError> {
    let snapshots = start.of(kept)?.snapshots().map_err(CliError::failed)?;
    settle(kept, &snapshots)?;
    let known = kept.session.undo.as_left();
    let known = known.map_err(|error| CliError::usage(format!("session {}: {error}", kept.id())))?;
    let taken = snapshots.take().map_err(failed)?;
    let plan = snapshots.plan(&taken.id, &known.to, &[]).map_err(failed)?;
    // Standard output may be for facts.
    let mut out = io::stderr().lock();
    if plan.shown().next().is_none() {
        write(&mut out, &left(&plan))?;
        return write(&mut out, &["nothing to put back: the files are as the session left them".to_owned()]);
    }
    write(&mut out, &["Put the files back as the session left them:".to_owned()])?;
    write(&mut out, &lines(&plan))?;
    if !yes {
        if !io::stdin().is_terminal() {
            return Err(CliError::usage("nothing was changed: nobody is there to be asked")
                .hint("--restore --yes does not ask"));
        }
        drop(out);
        if !ask(&format!("Put {} back?", paths(plan.shown().count())))? {
            return Err(CliError::usage("nothing was changed").hint(format!(
                "without --restore the session goes on with the files as they are: agent resume {}",
                kept.id()
            )));
        }
        out = io::stderr().lock();
    }
    let restore = known.restore(taken.id, true);
    let done = put_back(kept, &snapshots, &plan, &restore)?;
    report(&mut out, &done, Way::Back(None)).map_err(CliError::failed)
}

/// Puts files back, and records that.
fn put_back(
    kept: &mut Kept,
    snapshots: &Snapshots,
    plan: &Plan,
    restore: &Restore,
) -> Result<Done, CliError> {
    record(kept, vec![Fact::RestoreStarted { restore: restore.clone() }])?;
    let which = if restore.all { Which::All } else { Which::Ours };
    match snapshots.restore(plan, which) {
        Ok((done, result)) => {
            let facts = harness::restored(&kept.session, kept.log.path(), restore, &done, &result);
            record(kept, facts)?;
            Ok(done)
        }
        Err(error) => {
            record(kept, vec![Fact::RestoreFailed { reason: error.to_string() }])?;
            Err(failed(error))
        }
    }
}

/// Finishes what a killed run has begun.
fn settle(kept: &mut Kept, snapshots: &Snapshots) -> Result<(), CliError> {
    let done = snapshots.recover().map_err(failed)?;
    if let Some(restore) = kept.session.undo.restoring.clone() {
        let taken = snapshots.take().map_err(failed)?;
        let done = done.unwrap_or_default();
        let facts = harness::restored(&kept.session, kept.log.path(), &restore, &done, &taken);
        let rewound = facts.iter().any(|fact| matches!(fact, Fact::Rewound { .. }));
        let both = if rewound { ", and the conversation went back with the files" } else { "" };
        let text =
            format!("an undo that was cut off is finished now ({} changed){both}", paths(done.paths.len()));
        record(kept, facts)?;
        super::fork::say(&text);
    }
    Ok(())
}

pub(super) fn record(kept: &mut Kept, facts: Vec<Fact>) -> Result<(), CliError> {
    if facts.is_empty() {
        return Ok(());
    }
    let told = |error| CliError::failed(format!("it can't be recorded: {error}"));
    let events = kept.log.append(facts, now()).map_err(told)?;
    kept.log.sync().map_err(told)?;
    events.iter().for_each(|event| kept.session.apply(event));
    kept.history.extend(events);
    Ok(())
}

fn failed(error: SnapshotError) -> CliError {
    CliError::failed(error)
}

/// What is undone, by what was said when it began.
fn heading(turn: Option<TurnId>, history: &[Event]) -> String {
    let Some(turn) = turn else { return "Take back the last undo:".to_owned() };
    let mut since = history.iter().skip_while(|event| event.fact != Fact::TurnStarted { turn });
    let said = since.find_map(|event| match &event.fact {
        Fact::ItemAdded { item } => match &**item {
            Item::User { content, .. } => Some(words(content)),
            _ => None,
        },
        _ => None,
    });
    let last = Session::replay(history).undo.turns().next_back();
    let more = if last == Some(turn) { "" } else { " and what came after it" };
    let said: String = said.unwrap_or_default().lines().next().unwrap_or_default().chars().take(60).collect();
    format!("Undo turn {turn}{more}: {}", printable(&said))
}

/// Whose changes are undone; nothing when nobody wants it.
fn chosen(plan: &Plan, args: &WhichArgs) -> Result<Option<Which>, CliError> {
    let theirs = plan.shown().filter(|change| change.theirs).count();
    let ours = plan.shown().count() - theirs;
    if !args.yes && !io::stdin().is_terminal() {
        return Err(CliError::usage("nothing was changed: nobody is there to be asked")
            .hint("agent undo --yes does not ask; with --all, also what was changed since is put back"));
    }
    if args.yes && ours == 0 && !args.all {
        return Err(CliError::usage("nothing was changed: all of it was changed since by somebody else")
            .hint("--all puts that back as well"));
    }
    if ours > 0 && !args.yes && !ask(&format!("Put {} back?", paths(ours)))? {
        return Ok(None);
    }
    if theirs == 0 {
        return Ok(Some(Which::Ours));
    }
    let question = format!(
        "{} changed by you since. Put that back as well? `agent redo` brings your changes back.",
        if theirs == 1 { "1 path was".to_owned() } else { format!("{theirs} paths were") }
    );
    if args.all && args.yes || !args.yes && ask(&question)? {
        return Ok(Some(Which::All));
    }
    Ok((ours > 0).then_some(Which::Ours))
}

pub(super) fn ask(question: &str) -> Result<bool, CliError> {
    write!(io::stderr(), "{question} [y/N] ").map_err(CliError::failed)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(CliError::failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// All that would change and all that stays, in lines.
fn lines(plan: &Plan) -> Vec<String> {
    let part = |theirs| plan.shown().filter(move |change| change.theirs == theirs).collect::<Vec<_>>();
    let mut lines = list(&part(false));
    let theirs = part(true);
    if !theirs.is_empty() {
        lines.push("Changed since by you, or by a process that ran on:".to_owned());
        lines.extend(list(&theirs));
    }
    lines.extend(left(plan));
    lines
}

fn list(changes: &[&Change]) -> Vec<String> {
    let mut lines: Vec<String> = changes.iter().take(LINES).map(|change| line(change)).collect();
    if let more @ 1.. = changes.len().saturating_sub(LINES) {
        lines.push(format!("  and {more} more"));
    }
    lines
}

fn line(change: &Change) -> String {
    let path = shown(&change.path);
    let (now, then) = change.bytes;
    match change.what {
        What::Add => format!("  + {path}  {}", size(then)),
        What::Remove => format!("  - {path}  {}", size(now)),
        What::Replace => format!("  ~ {path}  {} -> {}", size(now), size(then)),
        What::Touch | What::TouchFolder => format!("  ~ {path}  permissions or times"),
        What::AddFolder => format!("  + {path}/"),
        What::RemoveFolder => format!("  - {path}/"),
    }
}

fn left(plan: &Plan) -> Vec<String> {
    plan.left.iter().take(LINES).map(|(path, why)| format!("  ! {}: {why}", shown(path))).collect()
}

/// A name on one line, with nothing that a terminal would act on.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).replace('\n', "\\n")
}

/// What the screen asks for: what an undo or a redo would come to.
pub(super) fn prospect(snapshots: &Snapshots, known: Undoable) -> Result<Prospect, SnapshotError> {
    let taken = snapshots.take()?;
    let plan = snapshots.plan(&taken.id, &known.to, &known.between(&taken.id))?;
    let theirs = plan.shown().filter(|change| change.theirs).count();
    let ours = plan.shown().count() - theirs;
    Ok(Prospect { lines: lines(&plan), from: taken.id, known, ours, theirs })
}

fn report(out: &mut impl io::Write, done: &Done, way: Way) -> io::Result<()> {
    for (path, why) in &done.left {
        writeln!(out, "  ! {}: {why}", shown(path))?;
    }
    let count = done.paths.len();
    let again = match way {
        Way::Back(_) => "`agent redo` takes this back",
        Way::Forth => "`agent undo` takes this back",
    };
    writeln!(
        out,
        "{} as before; {again}",
        if count == 1 { "1 path is".to_owned() } else { format!("{count} paths are") }
    )
}

fn told(out: &mut impl io::Write, text: &str) -> Result<ExitCode, CliError> {
    write(out, &[text.to_owned()])?;
    Ok(ExitCode::SUCCESS)
}

fn write(out: &mut impl io::Write, lines: &[String]) -> Result<(), CliError> {
    lines.iter().try_for_each(|line| writeln!(out, "{line}")).map_err(CliError::failed)
}

pub(super) fn paths(count: usize) -> String {
    if count == 1 { "1 path".to_owned() } else { format!("{count} paths") }
}
