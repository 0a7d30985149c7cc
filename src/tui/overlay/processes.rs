//! The commands that outlived their call: what they say, typing into them, ending them.

use std::collections::HashMap;

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::text::{Line, Span};

use crate::protocol::{Command, ProcessId, printable};
use crate::session::{Process, ProcessState, Session};
use crate::tui::{
    action::Action,
    host::{Answer, Question},
    keymap::Key,
    term::Size,
    text::{Break, Prefix, Text, columns, plain},
    theme::Theme,
    transcript::duration,
};

use super::{Look, Output, Overlay, Page, Place, Reaction, fit, hints};

/// Milliseconds between two looks at a process.
const EVERY_MS: u64 = 200;
/// Ended processes that are listed.
const ENDED: usize = 20;

/// The list of processes, or one of them.
#[derive(Default)]
pub(in crate::tui) struct Processes {
    /// The one that keys are about.
    selected: Option<ProcessId>,
    /// It has the whole page, and takes what is typed.
    looking: bool,
    /// The line that is typed.
    line: String,
    /// The one that a person is asked about: whether it is to end.
    ending: Option<ProcessId>,
    said: HashMap<ProcessId, Said>,
    asked_ms: u64,
    /// Rows and columns that there were for one process when it was last drawn.
    room: Option<(u16, u16)>,
    /// Rows of the output that are scrolled out below.
    below: usize,
}

/// What a process said last.
#[derive(Default)]
struct Said {
    latest: String,
    tty: bool,
    /// What is typed is not to be seen.
    hidden: bool,
    /// It was asked for after its end: there is no more.
    last: bool,
}

impl Processes {
    pub(in crate::tui) fn new() -> Self {
        Self::default()
    }

    /// The process that keys are about.
    fn current<'a>(&self, session: &'a Session) -> Option<(ProcessId, &'a Process)> {
        let listed = listed(session);
        let chosen = listed.iter().find(|(id, _)| Some(*id) == self.selected);
        chosen.or(listed.first()).copied()
    }

    /// One that is listed no longer is not looked at: what is typed goes to no other.
    fn look_away(&mut self, session: &Session) {
        if self.looking && self.current(session).map(|(id, _)| id) != self.selected {
            (self.looking, self.line) = (false, String::new());
        }
    }

    fn step(&mut self, back: bool, session: &Session) {
        let listed = listed(session);
        let now = self.current(session).map(|(id, _)| id);
        let at = listed.iter().position(|(id, _)| Some(*id) == now).unwrap_or(0);
        let next = if back { at.saturating_sub(1) } else { (at + 1).min(listed.len().saturating_sub(1)) };
        self.selected = listed.get(next).map(|(id, _)| *id);
        self.below = 0;
    }

    fn ending_key(&mut self, key: Key, id: ProcessId) -> Reaction {
        match key.code {
            KeyCode::Char('y') => {
                self.ending = None;
                Reaction::Do(vec![Action::Send(Command::Kill { process: id })])
            }
            KeyCode::Char('n') | KeyCode::Esc => {
                self.ending = None;
                Reaction::Consumed
            }
            _ => Reaction::Consumed,
        }
    }

    /// Keys for a process that is looked at: what is typed goes to it.
    fn typing_key(&mut self, key: Key, id: ProcessId) -> Reaction {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let send = |text: String| Reaction::Do(vec![Action::Send(Command::WriteStdin { process: id, text })]);
        let types = self.said.get(&id).is_some_and(|said| said.tty);
        match key.code {
            KeyCode::Esc => (self.looking, self.line) = (false, String::new()),
            KeyCode::Char('k') if control => self.ending = Some(id),
            KeyCode::Up => self.below += 1,
            KeyCode::Down => self.below = self.below.saturating_sub(1),
            KeyCode::Char('q') if !types => self.looking = false,
            _ if !types => return Reaction::Ignored,
            KeyCode::Enter => {
                self.below = 0;
                return send(std::mem::take(&mut self.line) + "\r");
            }
            KeyCode::Char('c') if control => return send("\u{3}".to_owned()),
            KeyCode::Char('d') if control && self.line.is_empty() => return send("\u{4}".to_owned()),
            KeyCode::Char('u') if control => self.line.clear(),
            KeyCode::Backspace => drop(self.line.pop()),
            KeyCode::Char(char) if key.modifiers.is_empty() => self.line.push(char),
            _ => return Reaction::Ignored,
        }
        Reaction::Consumed
    }

    fn list_key(&mut self, key: Key, id: Option<ProcessId>, session: &Session) -> Reaction {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Reaction::Close(Vec::new()),
            KeyCode::Char('c') if control => return Reaction::Close(Vec::new()),
            _ if control => return Reaction::Ignored,
            KeyCode::Up => self.step(true, session),
            KeyCode::Down | KeyCode::Char('j') => self.step(false, session),
            KeyCode::Char('k') => self.ending = id,
            KeyCode::Enter => match id.and_then(|id| kept(session, id)) {
                Some(output) => return Reaction::Open(Box::new(output)),
                None => (self.looking, self.selected) = (id.is_some(), id),
            },
            _ => return Reaction::Ignored,
        }
        Reaction::Consumed
    }

    /// The last rows of what a process said.
    fn output(&self, id: ProcessId, width: u16, rows: usize, theme: &Theme) -> Vec<Line<'static>> {
        let latest = self.said.get(&id).map(|said| said.latest.as_str()).unwrap_or_default();
        let row = |line| {
            Text::of(&plain::output(line), theme.plain).rows(width, Break::Anywhere, &Prefix::default())
        };
        let mut all: Vec<Line<'static>> = latest.trim_end().lines().flat_map(row).collect();
        if latest.trim().is_empty() {
            return vec![Line::styled("(no output is here)", theme.dim)];
        }
        let below = self.below.min(all.len().saturating_sub(rows));
        all.truncate(all.len() - below);
        all.split_off(all.len().saturating_sub(rows))
    }

    fn list(&mut self, size: Size, look: &Look<'_>) -> Page {
        let all = listed(look.session);
        let theme = look.theme;
        let running = all.iter().filter(|(_, process)| process.state == ProcessState::Running).count();
        let mut rows = vec![Line::styled(
            format!("Processes: {running} running, {} ended", all.len() - running),
            theme.strong,
        )];
        let current = self.current(look.session).map(|(id, _)| id);
        let at = all.iter().position(|(id, _)| Some(*id) == current).unwrap_or(0);
        let room = (usize::from(size.rows).saturating_sub(3) / 2).max(1);
        let first = (at + 1).saturating_sub(room);
        for (id, process) in all.iter().skip(first).take(room) {
            let mark = if Some(*id) == current { "▸ " } else { "  " };
            let (state, style) = state(process, look.now_ms, theme);
            let words =
                printable(process.command.trim().lines().next().unwrap_or_default()).replace('\t', " ");
            let line = Line::from(vec![
                Span::styled(mark, theme.accent),
                Span::styled(format!("{id:<6}"), theme.plain),
                Span::styled(format!("{state:<16} "), style),
                Span::styled(words, theme.strong),
            ]);
            rows.push(fit(line, size.columns));
        }
        if let Some(id) = current {
            let rule = usize::from(size.columns);
            rows.push(Line::styled("─".repeat(rule), theme.dim));
            let room = usize::from(size.rows).saturating_sub(rows.len() + 1);
            rows.extend(self.output(id, size.columns, room, theme));
        }
        let keys: &[&str] = match current {
            None => &["q close"],
            Some(id) if runs(look.session, id) => &["⏎ look and type", "k end it", "q close", "↑↓ choose"],
            Some(_) => &["⏎ output", "q close", "↑↓ choose"],
        };
        let footer = hints(keys.iter().copied(), size.columns, theme);
        self.page(rows, footer, size, theme)
    }

    fn one(&mut self, id: ProcessId, process: &Process, size: Size, look: &Look<'_>) -> Page {
        let theme = look.theme;
        let (state, style) = state(process, look.now_ms, theme);
        let words = printable(process.command.trim().lines().next().unwrap_or_default()).replace('\t', " ");
        let head = Line::from(vec![
            Span::styled(format!("{id} "), theme.plain),
            Span::styled(format!("{state} "), style),
            Span::styled(words, theme.strong),
        ]);
        let mut rows = vec![fit(head, size.columns)];
        let running = process.state == ProcessState::Running;
        let types = running && self.said.get(&id).is_some_and(|said| said.tty);
        let room = usize::from(size.rows).saturating_sub(3);
        self.room = (size.rows < u16::MAX).then(|| (size.rows.saturating_sub(3), size.columns));
        rows.extend(self.output(id, size.columns, room, theme));
        rows.resize(room + 1, Line::default());
        let mut cursor = None;
        if types && self.said.get(&id).is_some_and(|said| said.hidden) {
            // Not even how long it is.
            cursor = Some((2, size.rows.saturating_sub(2)));
            let line = vec![Span::styled("› ", theme.accent), Span::styled("(not shown)", theme.dim)];
            rows.push(fit(Line::from(line), size.columns));
        } else if types {
            let line = printable(&self.line);
            let most = usize::from(size.columns).saturating_sub(3);
            let shown: String = line.chars().skip(line.chars().count().saturating_sub(most)).collect();
            let column = u16::try_from(2 + columns(&shown)).unwrap_or(u16::MAX);
            cursor = Some((column, size.rows.saturating_sub(2)));
            rows.push(Line::from(vec![Span::styled("› ", theme.accent), Span::styled(shown, theme.plain)]));
        } else {
            let why = if running { "it has no terminal to type into" } else { "it has ended" };
            rows.push(fit(Line::styled(format!("({why})"), theme.dim), size.columns));
        }
        let keys: &[&str] = match (types, running) {
            (true, _) => &["⏎ sends", "Esc back", "^C sends ^C", "^K end it", "↑↓ scroll"],
            (false, true) => &["Esc back", "^K end it", "↑↓ scroll"],
            (false, false) => &["Esc back", "↑↓ scroll"],
        };
        let footer = hints(keys.iter().copied(), size.columns, theme);
        let mut page = self.page(rows, footer, size, look.theme);
        page.cursor = cursor.filter(|_| self.ending.is_none());
        page
    }

    fn page(&self, mut rows: Vec<Line<'static>>, footer: Line<'static>, size: Size, theme: &Theme) -> Page {
        rows.resize(usize::from(size.rows).saturating_sub(1), Line::default());
        rows.push(match self.ending {
            Some(id) => {
                fit(Line::styled(format!("End process {id}? y yes · n no"), theme.warning), size.columns)
            }
            None => footer,
        });
        Page { rows, cursor: None }
    }
}

impl Overlay for Processes {
    fn place(&self) -> Place {
        Place::Full
    }

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        let current = self.current(look.session).map(|(id, _)| id);
        if self.ending.take_if(|id| !runs(look.session, *id)).is_some() {
            // The key was meant for a question that is gone: it says nothing about another process.
            return Reaction::Consumed;
        }
        self.look_away(look.session);
        let reaction = match (self.ending, current) {
            (Some(id), _) => self.ending_key(key, id),
            (None, Some(id)) if self.looking => self.typing_key(key, id),
            (None, _) => self.list_key(key, current, look.session),
        };
        self.ending = self.ending.filter(|id| runs(look.session, *id));
        reaction
    }

    fn paste(&mut self, text: &str) {
        if self.looking && self.ending.is_none() {
            self.line.push_str(&text.replace(['\r', '\n'], " "));
        }
    }

    fn wants(&mut self, look: &Look<'_>) -> Vec<Question> {
        let Some((process, known)) = self.current(look.session) else { return Vec::new() };
        let ended = known.state != ProcessState::Running;
        let said = self.said.get(&process);
        let due = look.now_ms.saturating_sub(self.asked_ms) >= EVERY_MS || said.is_none();
        if !due || said.is_some_and(|said| said.last) {
            return Vec::new();
        }
        self.asked_ms = look.now_ms;
        self.said.entry(process).or_default().last = ended;
        vec![Question::Process { process, size: self.room.filter(|_| self.looking) }]
    }

    fn answer(&mut self, answer: &Answer) {
        if let Answer::Process { process, latest, tty, hidden } = answer {
            let said = self.said.entry(*process).or_default();
            said.latest.clone_from(latest);
            (said.tty, said.hidden) = (*tty, *hidden);
        }
    }

    fn lives(&self) -> bool {
        true
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        self.ending = self.ending.filter(|id| runs(look.session, *id));
        self.look_away(look.session);
        match self.current(look.session) {
            Some((id, process)) if self.looking => self.one(id, process, size, look),
            _ => self.list(size, look),
        }
    }
}

/// Those that run, the oldest first, and those that ended last.
fn listed(session: &Session) -> Vec<(ProcessId, &Process)> {
    let key = |process: &Process| match process.state {
        ProcessState::Running => (false, process.started.as_millisecond()),
        ProcessState::Ended { at, .. } => (true, -at.as_millisecond()),
    };
    let mut all: Vec<_> = session.processes.iter().map(|(id, process)| (*id, process)).collect();
    all.sort_by_key(|(_, process)| key(process));
    let running = all.iter().filter(|(_, process)| process.state == ProcessState::Running).count();
    all.truncate(running + ENDED);
    all
}

fn runs(session: &Session, id: ProcessId) -> bool {
    session.processes.get(&id).is_some_and(|process| process.state == ProcessState::Running)
}

/// All of the output of a process that has ended, if it is kept.
fn kept(session: &Session, id: ProcessId) -> Option<Output> {
    match &session.processes.get(&id)?.state {
        ProcessState::Ended { output: Some(blob), .. } => Some(Output::new(blob.clone())),
        ProcessState::Ended { .. } | ProcessState::Running => None,
    }
}

fn state(process: &Process, now_ms: u64, theme: &Theme) -> (String, ratatui::style::Style) {
    let since = |from: crate::protocol::Time| {
        let from = u64::try_from(from.as_millisecond()).unwrap_or(0);
        duration(now_ms.saturating_sub(from) / 1000 * 1000)
    };
    match &process.state {
        ProcessState::Running => (format!("runs {}", since(process.started)), theme.good),
        ProcessState::Ended { exit: Some(0), .. } => ("ended".to_owned(), theme.dim),
        ProcessState::Ended { exit: Some(code), .. } => (format!("exit {code}"), theme.bad),
        ProcessState::Ended { exit: None, .. } => ("was ended".to_owned(), theme.dim),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tui::overlay::testing::Stage;

    fn stage() -> Stage {
        let mut stage = Stage::new();
        let mut start = |process: u32, command: &str| {
            stage.fact(
                json!({"type": "process_started", "process": process, "call": "c", "command": command}),
            );
        };
        start(4711, "npm run dev -- --port 8080 --host 127.0.0.1");
        start(815, "tail -f log");
        start(99, "make");
        stage.fact(json!({"type": "process_exited", "process": 99, "exit": 2}));
        stage.now_ms = 125_000;
        stage
    }

    fn says(view: &mut Processes, process: u32, latest: &str, tty: bool) {
        let process = ProcessId(process);
        view.answer(&Answer::Process { process, latest: latest.into(), tty, hidden: false });
    }

    #[test]
    fn those_that_run_are_listed_before_those_that_ended_with_what_they_said() {
        let stage = stage();
        let mut view = Processes::new();
        assert_eq!(view.wants(&stage.look()), [Question::Process { process: ProcessId(4711), size: None }]);
        assert_eq!(view.wants(&stage.look()), [], "it is asked for a few times a second");
        says(&mut view, 4711, "ready\r\n\x1b[32mlistening\x1b[0m \x1b[2J\r\n", true);
        insta::assert_snapshot!(stage.draw(&mut view, 80, 24).replace("\n\n", "\n"), @r"
        Processes: 2 running, 1 ended
        ▸ 4711  runs 2m 03s      npm run dev -- --port 8080 --host 127.0.0.1
          815   runs 2m 02s      tail -f log
          99    exit 2           make
        ────────────────────────────────────────────────────────────────────────────────
        ready
        listening \u{1b}[2J








        ⏎ look and type · k end it · q close · ↑↓ choose
        ");
        insta::assert_snapshot!(stage.draw(&mut view, 40, 12), @r"
        Processes: 2 running, 1 ended
        ▸ 4711  runs 2m 03s      npm run dev --…
          815   runs 2m 02s      tail -f log
          99    exit 2           make
        ────────────────────────────────────────
        ready
        listening \u{1b}[2J




        ⏎ look and type · k end it · q close
        ");
        assert_eq!(stage.press(&mut view, "↓"), []);
        assert_eq!(view.wants(&stage.look()), [Question::Process { process: ProcessId(815), size: None }]);
    }

    #[test]
    fn nothing_runs_at_first() {
        let stage = Stage::new();
        let mut view = Processes::new();
        assert!(stage.draw(&mut view, 40, 12).starts_with("Processes: 0 running, 0 ended\n"));
        assert_eq!((view.wants(&stage.look()), stage.press(&mut view, "⏎k↓")), (vec![], vec![]));
    }

    #[test]
    fn a_process_is_ended_after_a_question() {
        let stage = stage();
        let mut view = Processes::new();
        assert_eq!(stage.press(&mut view, "↓kx"), []);
        assert!(stage.draw(&mut view, 40, 12).ends_with("\nEnd process 815? y yes · n no"));
        assert_eq!(stage.press(&mut view, "nky"), [Action::Send(Command::Kill { process: ProcessId(815) })]);
        assert_eq!(stage.press(&mut view, "↓ky"), [], "it has ended");
    }

    #[test]
    fn the_question_is_about_one_process_and_goes_with_it() {
        let gone = json!({"type": "process_exited", "process": 4711, "exit": 0});
        for drawn in [false, true] {
            let mut stage = stage();
            let mut view = Processes::new();
            stage.press(&mut view, "k");
            assert!(stage.draw(&mut view, 40, 12).ends_with("\nEnd process 4711? y yes · n no"));
            stage.fact(gone.clone());
            if drawn {
                assert!(!stage.draw(&mut view, 40, 12).contains("End process"));
            }
            assert_eq!(stage.press(&mut view, "y"), [], "drawn: {drawn}");
            assert!(!stage.draw(&mut view, 40, 12).contains("End process"));
        }
        // Another one that ends, and with it the order of the list, changes nothing about the question.
        let mut stage = stage();
        let mut view = Processes::new();
        stage.press(&mut view, "↓k");
        stage.fact(gone);
        assert!(stage.draw(&mut view, 40, 12).ends_with("\nEnd process 815? y yes · n no"));
        assert_eq!(stage.press(&mut view, "y"), [Action::Send(Command::Kill { process: ProcessId(815) })]);
    }

    #[test]
    fn what_is_typed_goes_to_no_other_process_when_one_leaves_the_list() {
        let mut stage = stage();
        let mut view = Processes::new();
        says(&mut view, 4711, "", true);
        says(&mut view, 815, "", true);
        stage.press(&mut view, "↓⏎s3c");
        stage.fact(json!({"type": "process_exited", "process": 815, "exit": 0}));
        stage.session.processes.remove(&ProcessId(815));
        assert_eq!(stage.press(&mut view, "s3⏎"), []);
        assert_eq!(view.line, "");
    }

    #[test]
    fn what_a_terminal_does_not_echo_is_not_shown_and_its_length_neither() {
        let stage = stage();
        let mut view = Processes::new();
        stage.press(&mut view, "⏎");
        let process = ProcessId(4711);
        let latest = "Password: ".to_owned();
        view.answer(&Answer::Process { process, latest, tty: true, hidden: true });
        let before = stage.draw(&mut view, 40, 12);
        assert!(before.contains("\n› (not shown)\n"), "{before}");
        stage.press(&mut view, "s3cret");
        assert_eq!(stage.draw(&mut view, 40, 12), before);
        let text = "s3cret\r".to_owned();
        assert_eq!(stage.press(&mut view, "⏎"), [Action::Send(Command::WriteStdin { process, text })]);
    }

    #[test]
    fn lines_and_interrupts_are_typed_into_the_one_that_is_looked_at() {
        let stage = stage();
        let mut view = Processes::new();
        stage.press(&mut view, "⏎");
        assert!(stage.draw(&mut view, 80, 24).contains("(it has no terminal to type into)"));
        assert_eq!(stage.press(&mut view, "lost⏎"), []);
        says(&mut view, 4711, "Password: ", true);
        view.paste("two\nlines");
        stage.press(&mut view, "q⌫!");
        let one = stage.draw(&mut view, 40, 12);
        assert!(one.starts_with("4711 runs 2m 03s npm run dev -- --port …\nPassword:\n"), "{one}");
        assert!(one.contains("\n› two lines!\n⏎ sends · Esc back · ^C sends ^C"), "{one}");
        let typed =
            |text: &str| Action::Send(Command::WriteStdin { process: ProcessId(4711), text: text.into() });
        assert_eq!(stage.press(&mut view, "⏎"), [typed("two lines!\r")]);
        let Reaction::Do(actions) = stage.control(&mut view, 'c') else { panic!() };
        assert_eq!(actions, [typed("\u{3}")]);
        stage.press(&mut view, "⎋");
        assert!(stage.draw(&mut view, 40, 12).starts_with("Processes"));
    }
}
