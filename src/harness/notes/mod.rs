//! Making notes of sessions that are over, for those that come: reads their logs, asks a model twice, and writes what
//! passes all checks.
//!
//! It runs beside sessions and belongs to none: nothing waits for it, and it may be killed at any moment. Only one process
//! at a time does it. What it spends is noted down apart, and limited.

mod ask;
mod done;
mod log;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::context::hidden;
use crate::memory::{
    About, Book, Change, Date, Guard, Memory, MemoryError, Settings, Shelf, State, consolidate, extract,
    session::SessionNotes, spent::Phase,
};
use crate::protocol;
use crate::secrets::Secrets;
use crate::store::{Listed, Sessions};

use super::{Clock, OpenModel};

use self::{
    ask::{Asked, Failure},
    done::Progress,
};

/// Notes of a shelf that the first request is shown.
const KNOWN: usize = 80;
/// After answers that could not be used, the next try waits this long.
const PAUSE: Duration = Duration::from_secs(12 * 60 * 60);
/// Tries to make notes of a session that give nothing but answers that can't be used.
const TRIES: u32 = 2;

/// What looks at texts here: known values and shapes of keys, and characters that nobody sees.
pub struct Border(pub Secrets);

impl Guard for Border {
    fn redact(&self, text: &str) -> String {
        self.0.text(text).into_owned()
    }

    fn hidden(&self, text: &str) -> Option<String> {
        let found = hidden::find(text);
        (!found.is_empty()).then(|| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

/// All that is needed to make notes.
pub struct Notes {
    pub memory: Memory,
    pub settings: Settings,
    pub sessions: Sessions,
    pub models: OpenModel,
    /// With the model that makes notes, and its price.
    pub model: protocol::Settings,
    /// The root of the project that a directory is in.
    pub root: fn(&Path) -> PathBuf,
    pub clock: Clock,
    pub today: fn() -> Date,
    /// How long one answer may take.
    pub patience: Duration,
}

/// Who wants notes to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Nobody in particular: what is due is done.
    Due,
    /// A person: what has gathered is put together at once.
    Now,
}

/// What a run did, a sentence each.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Report {
    /// Another process was at it.
    pub busy: bool,
    /// Sessions that were read.
    pub sessions: usize,
    pub done: Vec<String>,
    pub problems: Vec<String>,
}

/// Why a run stops before its end.
enum Stop {
    /// With a sentence for the person.
    Problem(String),
    Memory(MemoryError),
}

impl From<MemoryError> for Stop {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl Notes {
    /// Makes the notes that are wanted. `tell` hears of each thing as it is done.
    ///
    /// # Errors
    /// When the memory can't be read or written.
    pub async fn run(&self, wish: Wish, tell: &mut (dyn FnMut(&str) + Send)) -> Result<Report, MemoryError> {
        if !self.settings.write && wish == Wish::Due {
            return Ok(Report::default());
        }
        let Some(_lock) = self.memory.lock()? else { return Ok(Report { busy: true, ..Report::default() }) };
        let mut report = Report::default();
        let mut progress = Progress::read(self.memory.folder());
        let ended = self.work(wish, &mut progress, &mut report, tell).await;
        match ended {
            Ok(()) => {}
            Err(Stop::Problem(problem)) => report.problems.push(problem),
            Err(Stop::Memory(error)) => {
                report.problems.push(error.to_string());
                // That it failed can't be kept either, as a rule.
                let _ = progress.end((self.clock)(), &report);
                return Err(error);
            }
        }
        if report != Report::default() {
            progress.end((self.clock)(), &report)?;
        }
        Ok(report)
    }

    async fn work(
        &self,
        wish: Wish,
        progress: &mut Progress,
        report: &mut Report,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), Stop> {
        let listed = self
            .sessions
            .list()
            .map_err(|error| Stop::Problem(format!("the sessions can't be read: {error}")))?;
        progress.forget_all_but(&listed);
        let due: Vec<&Listed> = listed
            .iter()
            .filter(|one| self.is_due(one, progress))
            .take(self.settings.sessions_at_once)
            .collect();
        // The oldest first: what came later is right where they differ.
        for one in due.into_iter().rev() {
            self.extract(one, progress, report, tell).await?;
        }
        let roots: BTreeSet<PathBuf> = listed.iter().map(|one| (self.root)(&one.workspace)).collect();
        let projects = roots.iter().map(|root| self.memory.project(root));
        for shelf in
            std::iter::once(self.memory.user()).chain(projects).filter(|shelf| shelf.folder().exists())
        {
            self.consolidate(&shelf, wish, progress, report, tell).await?;
        }
        Ok(())
    }

    /// Whether a session has something that no notes were made of, and is over, or rests.
    fn is_due(&self, one: &Listed, progress: &Progress) -> bool {
        let age = SystemTime::now().duration_since(one.changed).unwrap_or_default();
        let rests = age >= Duration::from_secs(self.settings.idle_minutes.saturating_mul(60));
        let turns = one.turns.unwrap_or_default();
        turns > 0
            && age <= Duration::from_secs(self.settings.max_age_days.saturating_mul(24 * 60 * 60))
            && !progress.is_done(one.id, turns)
            && (rests || !self.sessions.is_open(one.id))
    }

    /// Makes notes of one session.
    async fn extract(
        &self,
        one: &Listed,
        progress: &mut Progress,
        report: &mut Report,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), Stop> {
        let turns = one.turns.unwrap_or_default();
        report.sessions += 1;
        let sample = match log::sample(&self.sessions.log(one.id)) {
            Ok(sample) => sample,
            Err(error) => {
                report.problems.push(format!("session {} can't be read: {error}", one.id));
                return Ok(progress.done(one.id, turns)?);
            }
        };
        if !sample.is_worth_it() {
            return Ok(progress.done(one.id, turns)?);
        }
        let today = (self.today)();
        let shelves = self.memory.shelves(&(self.root)(&one.workspace));
        let mut books: Vec<(Book, State)> = Vec::new();
        for shelf in &shelves {
            books.push(
                shelf
                    .read()?
                    .map(|kept| kept.book(today))
                    .map(|(book, state, _)| (book, state))
                    .unwrap_or_default(),
            );
        }
        let known: Vec<_> =
            books.iter().flat_map(|(book, state)| state.by_worth(book).into_iter().take(KNOWN)).collect();
        let guard = self.memory.guard();
        let mark = uuid::Uuid::new_v4().simple().to_string();
        let shown = extract::message(&sample, self.settings.log_tokens, &known, &mark, guard);
        let asked = Asked {
            phase: Phase::Extract,
            of: one.id.to_string(),
            instructions: extract::INSTRUCTIONS,
            message: &shown.text,
            schema: extract::schema(),
        };
        let found = match self.ask(asked, |answer| extract::check(answer, &shown, &known, guard)).await {
            Ok(found) => found,
            Err(Failure::Answer(why)) => {
                progress.failed(one.id, turns)?;
                report.problems.push(format!("no notes of session {}: {why}", one.id));
                return Ok(());
            }
            Err(Failure::Stop(stop)) => return Err(stop),
        };
        let date = Date::from(
            jiff::Timestamp::try_from(one.changed).unwrap_or_default().to_zoned(jiff::tz::TimeZone::system()),
        );
        for (shelf, (book, _)) in shelves.iter().zip(&books) {
            let mine = found.notes.iter().filter(|(about, ..)| *about == shelf.about());
            let notes = SessionNotes {
                session: one.id.to_string(),
                date,
                slug: found.slug.clone(),
                summary: found.summary.clone(),
                notes: mine.map(|(_, topic, text)| (topic.clone(), text.clone())).collect(),
                wrong: found.wrong.iter().filter(|(id, _)| book.get(id).is_some()).cloned().collect(),
            };
            let says_something = shelf.about() == About::Project && !notes.summary.is_empty();
            if says_something || !notes.notes.is_empty() || !notes.wrong.is_empty() {
                shelf.keep(&notes)?;
            }
            shelf.used(found.used.iter().map(String::as_str).filter(|id| book.get(id).is_some()), today);
        }
        progress.done(one.id, turns)?;
        let line = format!(
            "session {} ({}): {} notes, {} corrections{}",
            one.id,
            found.slug,
            found.notes.len(),
            found.wrong.len(),
            left_out(&found.dropped)
        );
        tell(&line);
        report.done.push(line);
        Ok(())
    }

    /// Puts together what has gathered on a shelf, if it is time.
    async fn consolidate(
        &self,
        shelf: &Shelf,
        wish: Wish,
        progress: &mut Progress,
        report: &mut Report,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), Stop> {
        let (today, days) = ((self.today)(), self.settings.unused_days);
        let (mut book, state, edits) = match shelf.read() {
            Ok(kept) => kept.map_or_else(Default::default, |kept| kept.book(today)),
            Err(error) => {
                report.problems.push(error.to_string());
                return Ok(());
            }
        };
        let expired = state.expire(&mut book, today, days);
        let gathered = consolidate::gather(shelf.sessions(), &book, &state);
        let write = Change { at: (self.clock)(), today, told_tokens: self.settings.told_tokens };
        let full = {
            let sessions: BTreeSet<&str> =
                gathered.candidates.iter().map(|one| one.session.as_str()).collect();
            let age = gathered.oldest.map_or(0, |oldest| (today - oldest).get_days());
            sessions.len() >= self.settings.gather_sessions
                || u64::try_from(age).is_ok_and(|age| age >= self.settings.gather_days)
        };
        let rests = progress.rests(shelf.folder(), (self.clock)(), PAUSE);
        let due = !gathered.candidates.is_empty() && (wish == Wish::Now || full && !rests);
        let changes = if due {
            let guard = self.memory.guard();
            let mark = uuid::Uuid::new_v4().simple().to_string();
            let message = consolidate::message(&book, &state, &edits, &expired, &gathered, &mark, guard);
            let asked = Asked {
                phase: Phase::Consolidate,
                of: shelf.title().to_owned(),
                instructions: consolidate::INSTRUCTIONS,
                message: &message,
                schema: consolidate::schema(),
            };
            match self.ask(asked, |answer| consolidate::check(answer, &book, &state, &gathered, guard)).await
            {
                Ok(changes) => Some(changes),
                Err(Failure::Answer(why)) => {
                    progress.pause(shelf.folder(), (self.clock)())?;
                    report
                        .problems
                        .push(format!("the notes about {} stay as they are: {why}", shelf.title()));
                    None
                }
                Err(Failure::Stop(stop)) => return Err(stop),
            }
        } else {
            None
        };
        if changes.is_none() && expired.is_empty() {
            return Ok(());
        }
        let mut line = String::new();
        shelf.change(write, |book, state| {
            let gone = state.expire(book, today, days).len();
            let mut done = changes.as_ref().map(|changes| changes.apply(book, state)).unwrap_or_default();
            done.expired = gone;
            let sessions = match &changes {
                Some(_) => {
                    state.taken.extend(gathered.sessions.clone());
                    let count = gathered.sessions.len();
                    format!(" from {count} session{}", if count == 1 { "" } else { "s" })
                }
                None => String::new(),
            };
            state.by_itself = wish == Wish::Due;
            line = format!("{}{sessions}", done.in_words());
            Ok::<_, MemoryError>(Some(line.clone()))
        })?;
        let dropped = changes.map(|changes| left_out(&changes.dropped)).unwrap_or_default();
        let line = format!("about {}: {line}{dropped}", shelf.title());
        tell(&line);
        report.done.push(line);
        Ok(())
    }
}

/// What the last run did, and when, for people.
#[must_use]
pub fn last_run(memory: &Memory) -> Option<(protocol::Time, Report)> {
    Progress::read(memory.folder()).last
}

/// What did not pass the checks, in a few words.
fn left_out(dropped: &[String]) -> String {
    if dropped.is_empty() { String::new() } else { format!("; left out: {}", dropped.join("; ")) }
}
