//! A call of a tool, from the moment it is proposed to its result. It is drawn by what it would do and by the
//! shape of what came of it.

use std::{path::PathBuf, sync::Arc};

use ratatui::text::Line;

use crate::protocol::{BlobId, By, Intent, Item, ProcessId, Rule, Shown, printable};

use super::{
    approval::{self, Decision},
    command::{self, Ended},
    explored::{self, Reading},
    image, notice,
    output::{self, Tail},
    patch, plan,
    view::{View, headline},
};

/// Lines of plain words that are shown.
const WORDS: usize = 10;

/// A call.
#[derive(Default)]
pub struct Call {
    about: About,
    /// What a command only looks at, if that is all it does.
    pub readings: Vec<Reading>,
    decision: Option<Decision>,
    /// Why a rule does not let it run.
    refused: Option<String>,
    started: Option<i64>,
    asked: bool,
    tail: Tail,
    result: Option<Arc<Item>>,
}

/// What a call is about.
#[derive(Default)]
pub enum About {
    #[default]
    Nothing,
    Command(String),
    Input(ProcessId, String),
    Read(Vec<PathBuf>),
    Write(Vec<PathBuf>),
}

impl Call {
    pub fn asked(&mut self, intent: &Intent) {
        self.asked = true;
        self.about = About::of(intent);
    }

    pub fn allowed(&mut self, by: &By, intent: &Intent) {
        self.asked = false;
        self.about = About::of(intent);
        match by {
            By::Person { grant, scope } => {
                let rule = grant.clone().map(|grant| Rule { grant, scope: *scope });
                self.decision = Some(Decision::Allowed(rule));
            }
            By::Grant { grant, scope } => {
                self.decision = Some(Decision::Ruled(Rule { grant: grant.clone(), scope: *scope }));
            }
            By::Policy | By::Unknown => {
                if let About::Command(command) = &self.about {
                    self.readings = explored::read(command).unwrap_or_default();
                }
            }
        }
    }

    pub fn refused(&mut self, by_person: bool, reason: &str) {
        self.asked = false;
        if by_person {
            // What the model is told has more words than the person said.
            let note = reason.split_once("and says: ").map(|(_, note)| note.to_owned()).unwrap_or_default();
            self.decision = Some(Decision::Refused { note });
        } else {
            self.refused = Some(reason.to_owned());
        }
    }

    pub fn started(&mut self, at: i64) {
        self.started = Some(at);
    }

    pub fn output(&mut self, text: &str) {
        self.tail.push(text);
    }

    pub fn finish(&mut self, result: &Arc<Item>) {
        self.asked = false;
        self.tail = Tail::default();
        self.result = Some(Arc::clone(result));
    }

    pub fn is_open(&self) -> bool {
        self.result.is_none()
    }

    /// Whether it is seen to go on, or a person is asked about it.
    pub fn is_busy(&self) -> bool {
        self.is_open() && (self.asked || self.started.is_some())
    }

    /// Whether it is not known yet what it does.
    pub fn is_undecided(&self) -> bool {
        self.is_open() && self.started.is_none() && matches!(self.about, About::Nothing)
    }

    /// Whether it is one of those that are folded together: it only looks at files, and did.
    pub fn explores(&self) -> bool {
        let did = match self.shown() {
            None => true,
            Some(Shown::Command { process, exit, .. }) => process.is_none() && exit.is_some(),
            Some(_) => false,
        };
        did && !self.readings.is_empty()
    }

    /// The exit code of a command that has ended.
    pub fn exit(&self) -> Option<i32> {
        match self.shown() {
            Some(Shown::Command { exit, .. }) => *exit,
            _ => None,
        }
    }

    pub fn blob(&self) -> Option<(BlobId, u64)> {
        match self.shown() {
            Some(Shown::Command { output, .. }) => Some((output.blob.clone()?, output.bytes)),
            _ => None,
        }
    }

    pub fn rows(&self, view: &View<'_>, now: i64) -> Vec<Line<'static>> {
        let mut rows = self.decided(view);
        rows.extend(match self.shown() {
            Some(shown) => self.ended(shown, false, view),
            None => self.running(view, now),
        });
        rows
    }

    pub fn full(&self, view: &View<'_>) -> Vec<Line<'static>> {
        let mut rows = self.decided(view);
        rows.extend(self.shown().map(|shown| self.ended(shown, true, view)).unwrap_or_default());
        rows
    }

    pub fn shown(&self) -> Option<&Shown> {
        match self.result.as_deref() {
            Some(Item::ToolResult { shown, .. }) => Some(shown),
            _ => None,
        }
    }

    fn decided(&self, view: &View<'_>) -> Vec<Line<'static>> {
        let about = || self.about.words(view).unwrap_or_else(|| "it".to_owned());
        match (&self.decision, &self.refused) {
            (Some(decision), _) => approval::rows(decision, &about(), view),
            (None, Some(reason)) => {
                let about = self.about.words(view).map(|about| format!("Not allowed: {about}"));
                notice::short(about.as_deref(), reason, view)
            }
            (None, None) => Vec::new(),
        }
    }

    fn running(&self, view: &View<'_>, now: i64) -> Vec<Line<'static>> {
        let Some(since) = self.started else { return Vec::new() };
        let doing = |verb: &str, what: &str| command::running(verb, what, since, now, &self.tail, view);
        match &self.about {
            About::Command(command) => doing("Running", command),
            About::Input(process, text) if text.is_empty() => {
                doing("Waiting for", &format!("process {process}"))
            }
            About::Input(process, text) => doing("Typing", &typed(text, *process)),
            About::Read(paths) => doing("Reading", &names(paths, view)),
            About::Write(paths) => doing("Editing", &names(paths, view)),
            About::Nothing => Vec::new(),
        }
    }

    fn ended(&self, shown: &Shown, whole: bool, view: &View<'_>) -> Vec<Line<'static>> {
        match shown {
            Shown::Command { command, exit, process, duration_ms, output, .. } => {
                let (verb, command) = match &self.about {
                    About::Input(_, text) if text.is_empty() => ("Waited for", command.clone()),
                    About::Input(process, text) => ("Typed", typed(text, *process)),
                    _ => ("Ran", command.clone()),
                };
                let ended = Ended {
                    command: &command,
                    exit: *exit,
                    process: *process,
                    duration_ms: *duration_ms,
                    output,
                };
                command::ended(verb, &ended, whole, view)
            }
            Shown::Patch { files } => patch::rows(files, if whole { usize::MAX } else { patch::SHORT }, view),
            Shown::Plan { explanation, steps } => plan::rows(explanation.as_deref(), steps, view),
            Shown::Image { path, width, height, .. } => image::rows(path, (*width, *height), view),
            Shown::Goal { claim, note } => {
                let why = if note.is_empty() { String::new() } else { format!(": {note}") };
                let text = output::cut(
                    &format!("{}{why}", claim.in_words()),
                    if whole { usize::MAX } else { WORDS },
                );
                view.prose("◎ ", view.theme.accent, &text, view.theme.plain)
            }
            Shown::Skill { name, place } => {
                let text = format!("Took up the skill {name} ({})", place.display());
                view.prose("• ", view.theme.accent, &printable(&text), view.theme.plain)
            }
            Shown::Text { text } => {
                let text = output::cut(text, if whole { usize::MAX } else { WORDS });
                view.prose("• ", view.theme.accent, &text, view.theme.plain)
            }
            // The decision was shown, and says the same.
            Shown::Failure { .. }
                if self.refused.is_some() || matches!(self.decision, Some(Decision::Refused { .. })) =>
            {
                Vec::new()
            }
            Shown::Failure { text } => {
                let about = self.about.words(view);
                let most = if whole { usize::MAX } else { 8 };
                notice::failure(about.as_deref(), text, most, view)
            }
            Shown::Unknown(value) => {
                let name = value.get("type").and_then(|name| name.as_str()).unwrap_or("a result");
                notice::unknown(name, view)
            }
        }
    }
}

impl About {
    pub fn of(intent: &Intent) -> Self {
        match intent {
            Intent::None
            | Intent::Connect { .. }
            | Intent::Remember { .. }
            | Intent::Hosted { .. }
            | Intent::Unknown => Self::Nothing,
            Intent::Read { paths } => Self::Read(paths.clone()),
            Intent::Write { files } => Self::Write(files.iter().map(|file| file.path.clone()).collect()),
            Intent::Command { command, .. } => Self::Command(command.clone()),
            Intent::Input { process, text } => Self::Input(*process, text.clone()),
        }
    }

    /// In a few words; nothing if there is nothing to say.
    fn words(&self, view: &View<'_>) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Command(command) => Some(format!("$ {}", headline(command))),
            Self::Input(process, text) => Some(typed(text, *process)),
            Self::Read(paths) => Some(format!("reading {}", names(paths, view))),
            Self::Write(paths) => Some(format!("changes to {}", names(paths, view))),
        }
    }
}

/// What is typed, with its control characters as people know them.
fn typed(text: &str, process: ProcessId) -> String {
    let shown = text.chars().take(80).map(|char| match char {
        '\n' | '\r' => "⏎".to_owned(),
        '\u{1}'..='\u{1a}' if char != '\t' => {
            format!("^{}", char::from(b'A' + u8::try_from(u32::from(char)).unwrap_or(1) - 1))
        }
        char => char.to_string(),
    });
    let cut = if text.chars().nth(80).is_some() { "…" } else { "" };
    format!("`{}{cut}` into process {process}", headline(&shown.collect::<String>()))
}

fn names(paths: &[PathBuf], view: &View<'_>) -> String {
    let mut names: Vec<String> = paths.iter().take(4).map(|path| view.path(path)).collect();
    if paths.len() > 4 {
        names.push(format!("{} more", paths.len() - 4));
    }
    names.join(", ")
}
