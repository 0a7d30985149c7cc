//! What later sessions remember of earlier ones: `agent memory`, and the job that makes notes beside whatever else is
//! done.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use crate::config::{project_root, save};
use crate::context::Person;
use crate::harness::notes::{Border, Notes, Report, Wish, last_run};
use crate::memory::{
    Change, Memory, MemoryError, Note, Origin, Shelf,
    search::search,
    spent::Ledger,
    told::{self, Told},
};
use crate::protocol::{Effort, SessionId, Settings, Usage, printable};
use crate::tools::{Toolbox, remember::Remember};

use super::{
    args::MemoryArgs,
    error::CliError,
    screen::{edited, short},
    start::{Start, now},
};

/// The start of the program comes first.
const LATER: Duration = Duration::from_secs(2);
/// So often somebody who stays is looked after: a session may have come to rest.
const AGAIN: Duration = Duration::from_secs(10 * 60);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(180);

impl Start {
    /// What is remembered. Nothing is made by asking for it.
    pub(super) fn memory(&self) -> Memory {
        Memory::new(self.home.memory(), Arc::new(Border(self.secrets.clone())))
    }

    /// What a new session is told of it.
    pub(super) fn told_memory(&self) -> Told {
        if !self.config.memory.read {
            return Told::default();
        }
        self.know_secrets();
        let shelves = self.memory().shelves(project_root(&self.workspace));
        told::told(&shelves, self.config.memory.told_tokens).unwrap_or_else(|error| Told {
            text: String::new(),
            problems: vec![format!(
                "earlier sessions are not remembered: {error}; `agent memory show` says more"
            )],
        })
    }

    /// The tools of a session, with that for its memory where it has one.
    pub(super) fn with_memory(&self, tools: Toolbox, session: SessionId) -> Toolbox {
        if !self.config.memory.read {
            return tools;
        }
        let root = project_root(&self.workspace);
        let tokens = self.config.memory.told_tokens;
        tools.with(Arc::new(Remember::new(&self.memory(), root, session, tokens)))
    }

    /// What the person was not told yet of changes that were made in the background.
    pub(super) fn memory_news(&self) -> Option<String> {
        if !self.config.memory.read && !self.config.memory.write {
            return None;
        }
        let mut news = Vec::new();
        for shelf in self.memory().shelves(project_root(&self.workspace)) {
            // What can't be read is said where it is to be told.
            let Ok(Some(kept)) = shelf.read() else { continue };
            let file = shelf.folder().join("told");
            let told =
                fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0u64);
            if kept.number > told {
                if kept.state.by_itself {
                    news.push(format!("about {}: {}", shelf.title(), kept.state.what));
                }
                // Told twice is no harm.
                let _ = fs::write(&file, kept.number.to_string());
            }
        }
        let hint = "`agent memory diff` shows it, `agent memory undo` takes it back";
        (!news.is_empty())
            .then(|| format!("notes of earlier sessions have changed ({}); {hint}", news.join("; ")))
    }

    /// The job that makes notes.
    fn notes(&self) -> Result<Notes, CliError> {
        let resolved = match &self.config.memory.model {
            Some(model) => self
                .catalog()
                .resolve(model)
                .map_err(|error| CliError::usage(format!("memory.model: {error}")))?,
            None => self.resolve(&self.config.model)?,
        };
        // Little thought is needed, and all of it is paid for.
        let effort = resolved.efforts.contains(&Effort::Low).then_some(Effort::Low).or(resolved.effort);
        let model = Settings {
            model: resolved.model,
            effort,
            verbosity: resolved.verbosity,
            limits: resolved.limits,
            price: resolved.price,
            ..self.prospect()
        };
        self.know_secrets();
        // What is recorded is what the task has sent.
        let models = Self { recorder: None, ..self.clone() }.models();
        Ok(Notes {
            memory: self.memory(),
            settings: self.config.memory.clone(),
            sessions: self.sessions(),
            models,
            model,
            root: |dir| project_root(dir).to_owned(),
            clock: Arc::new(now),
            today: || jiff::Zoned::now().date(),
            patience: PATIENCE,
        })
    }

    fn change(&self) -> Change {
        let now = jiff::Zoned::now();
        Change { at: now.timestamp(), today: now.date(), told_tokens: self.config.memory.told_tokens }
    }
}

/// Makes notes of sessions that are over, beside whatever else is done, if the person wants that. Nothing waits for it: it
/// ends with the program, and the next one goes on.
pub(super) fn in_background(start: &Start) {
    if !start.config.memory.write {
        return;
    }
    // Settings that name no model are told of by whoever wants to use it.
    let Ok(notes) = start.notes() else { return };
    let stays = start.person == Person::Present;
    let work = move || {
        thread::sleep(LATER);
        #[cfg(target_os = "linux")]
        // Without it others have to share.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 10);
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        loop {
            // What went wrong stands in the memory's folder, for `agent memory show`.
            let _ = runtime.block_on(notes.run(Wish::Due, &mut |_| {}));
            if !stays {
                return;
            }
            thread::sleep(AGAIN);
        }
    };
    // A program that can't begin a thread has other things to care about.
    drop(thread::Builder::new().name("memory".to_owned()).spawn(work));
}

pub(super) fn run(start: &Start, command: &MemoryArgs) -> Result<ExitCode, CliError> {
    start.know_secrets();
    let shelf = |user: bool| {
        if user { start.memory().user() } else { start.memory().project(project_root(&start.workspace)) }
    };
    match command {
        MemoryArgs::Show { query, json } => {
            if *json {
                return super::print(&json_of(start)?);
            }
            print(&shown(start, &query.join(" "))?.join("\n"))
        }
        MemoryArgs::Diff { user } => match shelf(*user).diff().map_err(failed)? {
            None => print("Nothing was changed yet."),
            Some((what, diff)) => print(&format!("{what}\n{diff}")),
        },
        MemoryArgs::Undo { user, yes } => undo(start, &shelf(*user), *yes),
        MemoryArgs::Edit { user } => edit(start, &shelf(*user)),
        MemoryArgs::Forget { notes, session } => forget(start, notes, session.as_deref()),
        MemoryArgs::Run { json } => run_now(start, *json),
    }
}

fn failed(error: MemoryError) -> CliError {
    let hint = match &error {
        MemoryError::Damaged { path, .. } => {
            Some(format!("move {} away to go on without it; other versions lie beside it", path.display()))
        }
        MemoryError::Io { .. } | MemoryError::Refused(_) => None,
    };
    let told = CliError::failed(error);
    match hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

/// Whether it is on, and with which model.
fn standing(start: &Start) -> String {
    let settings = &start.config.memory;
    let word = |on: bool| if on { "on" } else { "off" };
    let model = settings.model.as_ref().unwrap_or(&start.config.model);
    format!(
        "reading is {}, writing is {} (by {model}); [memory] in {}",
        word(settings.read),
        word(settings.write),
        short(&start.home.config_file())
    )
}

/// What is remembered here, in lines.
pub(super) fn shown(start: &Start, query: &str) -> Result<Vec<String>, CliError> {
    let memory = start.memory();
    let shelves = memory.shelves(project_root(&start.workspace));
    let today = start.change().today;
    if !query.trim().is_empty() {
        let found = search(&shelves, query, today).map_err(failed)?;
        return Ok(if found.lines.is_empty() {
            vec!["Nothing is remembered of that.".to_owned()]
        } else {
            found.lines
        });
    }
    let mut lines = vec![format!("Memory: {}", standing(start))];
    for shelf in &shelves {
        lines.push(String::new());
        let Some(kept) = shelf.read().map_err(failed)? else {
            lines.push(format!("About {}: nothing yet.", shelf.title()));
            continue;
        };
        let (book, ..) = kept.book(today);
        lines.push(format!(
            "About {} ({}):",
            shelf.title(),
            short(&shelf.folder().join("current/MEMORY.md"))
        ));
        lines.extend(book.with_topics().map(|(topic, note)| {
            let topic = if topic.is_empty() { String::new() } else { format!(" [{topic}]") };
            format!("{}{topic}", note.line())
        }));
        if let Some(at) = kept.state.at {
            lines.push(format!("Last change, {}: {}", day(at), kept.state.what));
        }
    }
    lines.push(String::new());
    lines.extend(costs(&memory).map_err(failed)?);
    if let Some((at, Report { done, problems, .. })) = last_run(&memory) {
        lines.push(format!("Last looked at sessions {}.", day(at)));
        lines.extend(done.iter().chain(&problems).map(|line| format!("  {line}")));
    }
    Ok(lines)
}

fn day(at: crate::protocol::Time) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// What making notes has used in a day, and in all.
fn costs(memory: &Memory) -> Result<Vec<String>, MemoryError> {
    let ledger = Ledger::new(memory.folder());
    let requests = ledger.read()?.len();
    if requests == 0 {
        return Ok(vec!["Making notes has cost nothing yet.".to_owned()]);
    }
    let day = now().checked_sub(jiff::SignedDuration::from_hours(24)).unwrap_or_default();
    let (all, today) = (ledger.since(crate::protocol::Time::UNIX_EPOCH)?, ledger.since(day)?);
    let used = |usage: &Usage| {
        let cost = usage.cost.map(|cost| format!(", {cost}")).unwrap_or_default();
        format!("{} tokens in, {} out{cost}", usage.input, usage.output)
    };
    Ok(vec![format!(
        "Making notes has cost, apart from sessions: {} in {requests} requests; in the last 24 hours {}.",
        used(&all),
        used(&today)
    )])
}

fn json_of(start: &Start) -> Result<String, CliError> {
    let memory = start.memory();
    let mut shelves = Vec::new();
    for shelf in memory.shelves(project_root(&start.workspace)) {
        let kept = shelf.read().map_err(failed)?;
        let (book, state, _) =
            kept.as_ref().map_or_else(Default::default, |kept| kept.book(start.change().today));
        let notes: Vec<_> = book
            .with_topics()
            .map(|(topic, note)| {
                let session = match &note.from {
                    Origin::Session(session) => Some(session.clone()),
                    Origin::You => None,
                };
                serde_json::json!({
                    "id": note.id, "topic": topic, "text": note.text, "date": note.date, "session": session,
                    "used": state.used.get(&note.id),
                })
            })
            .collect();
        let sessions: Vec<_> = shelf.sessions().into_iter().map(|(notes, _)| notes.session).collect();
        shelves.push(serde_json::json!({
            "about": shelf.about(), "title": shelf.title(), "folder": shelf.folder(),
            "version": kept.as_ref().map(|kept| kept.number), "changed": state.at, "what": state.what,
            "notes": notes, "sessions": sessions,
        }));
    }
    let ledger = Ledger::new(memory.folder());
    let all = ledger.since(crate::protocol::Time::UNIX_EPOCH).map_err(failed)?;
    let settings = &start.config.memory;
    let last = last_run(&memory).map(|(at, report)| serde_json::json!({ "at": at, "report": report }));
    Ok(serde_json::json!({
        "read": settings.read, "write": settings.write,
        "model": settings.model.as_ref().unwrap_or(&start.config.model),
        "shelves": shelves, "requests": ledger.read().map_err(failed)?.len(), "usage": all, "last_run": last,
    })
    .to_string())
}

fn undo(start: &Start, shelf: &Shelf, yes: bool) -> Result<ExitCode, CliError> {
    let nothing =
        || CliError::failed(format!("nothing was changed yet in what is remembered of {}", shelf.title()));
    let (what, diff) = shelf.diff().map_err(failed)?.ok_or_else(nothing)?;
    if !yes {
        print(&format!("This would be taken back: {what}\n{diff}"))?;
        if !io::stdin().is_terminal() {
            return Err(CliError::usage("nobody can be asked here").hint("agent memory undo --yes"));
        }
        let _ = write!(io::stderr(), "Take it back? [y/N] ");
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(CliError::failed)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return print("Nothing was changed.");
        }
    }
    let undone = shelf.undo(start.change()).map_err(failed)?;
    print(&format!("Taken back: {undone}\n`agent memory undo` brings it again."))
}

fn edit(start: &Start, shelf: &Shelf) -> Result<ExitCode, CliError> {
    let today = start.change().today;
    let kept = shelf.read().map_err(failed)?;
    let before = match &kept {
        Some(kept) => kept.memory.clone(),
        None => crate::memory::Book::default().text(shelf.title()),
    };
    let after = edited(start, &before).map_err(CliError::failed)?;
    if after.trim_end() == before.trim_end() {
        return print("Nothing was changed.");
    }
    let guard = shelf.guard();
    let hidden = guard.hidden(&after);
    let mut words = String::new();
    shelf
        .change(start.change(), |book, state| {
            // Somebody else may have changed them meanwhile: what is not as it was in the editor is not lost.
            let now = shelf.read()?;
            if now.as_ref().map(|now| &now.memory) != kept.as_ref().map(|kept| &kept.memory) {
                let what = "the notes have changed while you were editing; edit again".to_owned();
                return Err(MemoryError::Refused(what));
            }
            let summary = now.map(|now| now.summary).unwrap_or_default();
            let (new, edits) = state.absorb(&after, &summary, today);
            *book = new;
            let counts = [(&edits.added, "added"), (&edits.changed, "changed"), (&edits.removed, "removed")];
            let some = counts.iter().filter(|(ids, _)| !ids.is_empty());
            words = some.map(|(ids, what)| format!("{} {what}", ids.len())).collect::<Vec<_>>().join(", ");
            if words.is_empty() {
                words = "words beside the notes".to_owned();
            }
            Ok(Some(format!("edited by you: {words}")))
        })
        .map_err(failed)?;
    let warning =
        hidden.map(|hidden| format!("\nIt has text that people don't see: {hidden}")).unwrap_or_default();
    print(&format!("Kept: {words}.{warning}"))
}

fn forget(start: &Start, notes: &[String], session: Option<&str>) -> Result<ExitCode, CliError> {
    let shelves = start.memory().shelves(project_root(&start.workspace));
    let meant = |note: &Note| {
        notes.contains(&note.id)
            || match (&note.from, session) {
                (Origin::Session(from), Some(wanted)) if !wanted.is_empty() => {
                    from.starts_with(wanted) || wanted.starts_with(from.as_str())
                }
                _ => false,
            }
    };
    let mut gone: Vec<Note> = Vec::new();
    for shelf in &shelves {
        shelf
            .change(start.change(), |book, state| {
                let found: Vec<Note> = book.notes().filter(|note| meant(note)).cloned().collect();
                for note in &found {
                    book.remove(&note.id);
                    state.forget(&note.text);
                }
                gone.extend(found.clone());
                let ids: Vec<&str> = found.iter().map(|note| note.id.as_str()).collect();
                Ok::<_, MemoryError>(
                    (!found.is_empty()).then(|| format!("forgotten by you: {}", ids.join(", "))),
                )
            })
            .map_err(failed)?;
        if let Some(session) = session.filter(|session| session.len() >= 8) {
            for (notes, _) in
                shelf.sessions().into_iter().filter(|(notes, _)| notes.session.starts_with(session))
            {
                let file = shelf.session_file(&notes.session);
                fs::remove_file(&file)
                    .map_err(|error| CliError::failed(format!("{}: {error}", file.display())))?;
            }
        }
    }
    let missing: Vec<&String> = notes.iter().filter(|id| gone.iter().all(|note| note.id != **id)).collect();
    if let Some(id) = missing.first() {
        let hint = "agent memory show";
        return Err(
            CliError::usage(format!("there is no note {id}; what else was named is forgotten")).hint(hint)
        );
    }
    let lines: Vec<String> = gone.iter().map(|note| format!("forgotten: {}", note.text)).collect();
    print(
        if lines.is_empty() { "No note comes from that session.".to_owned() } else { lines.join("\n") }
            .as_str(),
    )
}

fn run_now(start: &Start, json: bool) -> Result<ExitCode, CliError> {
    if !start.config.memory.write {
        return Err(CliError::usage("no notes are made: memory.write is off")
            .hint("turn it on with `write = true` under [memory] in config.toml, or for once with -c memory.write=true"));
    }
    let notes = start.notes()?;
    let mut tell = |line: &str| {
        if !json {
            // Progress that can't be shown is no reason to stop.
            let _ = writeln!(io::stderr(), "{}", printable(line));
        }
    };
    let report = super::runtime()?.block_on(notes.run(Wish::Now, &mut tell)).map_err(failed)?;
    if report.busy {
        return Err(CliError::failed("another program is making notes at the moment"));
    }
    if json {
        super::print(&serde_json::to_string(&report).map_err(CliError::failed)?)?;
    } else if report.problems.is_empty() {
        print(&format!(
            "{} sessions were read. `agent memory diff` shows what has changed.",
            report.sessions
        ))?;
    }
    match &report.problems[..] {
        [] => Ok(ExitCode::SUCCESS),
        problems => Err(CliError::failed(problems.join("\n"))),
    }
}

/// `/memory` on the screen: what is remembered; or `on`, `off`, `read on`, `write off`, `diff`, or words to look for.
pub(super) fn on_screen(start: &Start, words: &str) -> Result<Vec<String>, String> {
    let said = |error: CliError| error.message;
    let switch = |word: &str| match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    };
    let parts: Vec<&str> = words.split_whitespace().collect();
    let (keys, on): (&[&str], bool) = match parts[..] {
        [word] if switch(word).is_some() => (&["read", "write"], word == "on"),
        ["read", word] if switch(word).is_some() => (&["read"], word == "on"),
        ["write", word] if switch(word).is_some() => (&["write"], word == "on"),
        ["diff"] => {
            let mut lines = Vec::new();
            for shelf in start.memory().shelves(project_root(&start.workspace)) {
                if let Some((what, diff)) = shelf.diff().map_err(|error| error.to_string())? {
                    lines.push(format!("About {}: {what}", shelf.title()));
                    lines.extend(diff.lines().skip(2).map(str::to_owned));
                }
            }
            return Ok(if lines.is_empty() { vec!["Nothing was changed yet.".to_owned()] } else { lines });
        }
        _ => return shown(start, words).map_err(said),
    };
    for key in keys {
        save::set(&start.home, &["memory", key], Some(on.into()))
            .map_err(|error| format!("it can't be kept, since {error}"))?;
    }
    let now = Start { config: start.config_now().map_err(|error| error.to_string())?, ..start.clone() };
    let from = if on { "From the next start of agent on" } else { "From the next session on" };
    let mut lines = vec![format!("{from}: {}", standing(&now))];
    if on && keys.contains(&"write") {
        lines.push(
            "Notes are made in the background, with requests to that model; memory.daily_usd limits them."
                .to_owned(),
        );
    }
    Ok(lines)
}

/// What making notes has cost; nothing where none were ever made.
pub(super) fn cost_on_screen(start: &Start) -> Result<Vec<String>, String> {
    let memory = start.memory();
    let made = Ledger::new(memory.folder()).read().is_ok_and(|requests| !requests.is_empty());
    if made { costs(&memory).map_err(|error| error.to_string()) } else { Ok(Vec::new()) }
}

fn print(text: &str) -> Result<ExitCode, CliError> {
    super::print(&printable(text))
}
