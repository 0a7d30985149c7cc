//! What a key or an update changes. No IO: what is to be done comes back as actions.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::text::Line;

use crate::protocol::{
    Command, Content, Delivery, Event, Fact, InputId, Outcome, Rejection, Update, Usage, printable,
};
use crate::session::Session;

use super::{
    approval::{self, Approval},
    composer::{Composer, Message, Reaction, files::FileMatch},
    host::{Answer, Question},
    keymap::Key,
    overlay::{self, Look, Overlay, Pager, Place},
    slash,
    status::{self, Ground},
    term::Size,
    theme::Theme,
    transcript::Transcript,
};

/// Milliseconds in which a second ^C quits.
const QUIT_MS: u64 = 2_000;

/// What comes in.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Key(KeyEvent),
    Paste(String),
    Update(Update),
    /// Files that were asked for with [`Action::Files`].
    Files {
        query: String,
        found: Vec<FileMatch>,
    },
    /// The text of a draft that was edited elsewhere.
    Edited(String),
    /// What a view had asked for.
    Answer(Answer),
    /// What a command of the person came to, for the model.
    Ran(String),
    /// Something that the person should know.
    Said(String),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Send(Command),
    /// Attach pictures to a message, and send it.
    Attach {
        message: Message,
        delivery: Delivery,
    },
    Quit,
    Suspend,
    /// Edit a draft in the editor of the person.
    Edit(String),
    /// Find files for the composer.
    Files(String),
    /// Run a command as the person, and show it to the model.
    Shell(String),
    /// End the command that the person runs.
    StopShell,
    Copy(String),
    /// Find out something for a view.
    Ask(Question),
    /// Begin a new session in the place of this one.
    New,
}

/// The state of the screen.
pub(super) struct App {
    pub(super) session: Session,
    pub(super) transcript: Transcript,
    pub(super) composer: Composer,
    approval: Option<Approval>,
    /// The last one has the keys.
    overlays: Vec<Box<dyn Overlay>>,
    pub(super) ground: Ground,
    pub(super) theme: Theme,
    /// The command that the person runs.
    shell: Option<String>,
    /// Until when a second ^C quits.
    quit_until_ms: Option<u64>,
    /// A line above the status, until the next key.
    said: Option<String>,
}

/// What is drawn: rows, and the place of the cursor in them.
pub(super) struct Live {
    pub(super) rows: Vec<Line<'static>>,
    pub(super) cursor: Option<(u16, u16)>,
}

impl App {
    pub(super) fn new(composer: Composer, ground: Ground, theme: Theme) -> Self {
        Self {
            session: Session::default(),
            transcript: Transcript::new(),
            composer,
            approval: None,
            overlays: Vec::new(),
            ground,
            theme,
            shell: None,
            quit_until_ms: None,
            said: None,
        }
    }

    /// Begins anew: the next session is another one.
    pub(super) fn forget(&mut self) {
        self.session = Session::default();
        self.transcript = Transcript::new();
        self.approval = None;
        self.overlays.clear();
    }

    /// Folds what happened before. The same code as for what happens now.
    pub(super) fn replay(&mut self, history: &[Event], now_ms: u64) {
        for event in history {
            self.event(event, now_ms);
        }
    }

    pub(super) fn update(&mut self, input: Input, now_ms: u64) -> Vec<Action> {
        match input {
            Input::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
            Input::Key(key) => {
                self.said = None;
                self.key(key, now_ms)
            }
            Input::Paste(text) => {
                match (self.overlays.last_mut(), &mut self.approval) {
                    (Some(overlay), _) => overlay.paste(&text),
                    (None, Some(approval)) => approval.paste(&text),
                    (None, None) => drop(self.composer.on_paste(&text)),
                }
                Vec::new()
            }
            Input::Update(update) => {
                match update {
                    Update::Event(event) => self.event(&event, now_ms),
                    Update::Delta(delta) => self.transcript.delta(&delta),
                    Update::Rejected(rejection) => self.rejected(&rejection),
                }
                Vec::new()
            }
            Input::Files { query, found } => {
                self.composer.set_files(&query, found);
                Vec::new()
            }
            Input::Edited(text) => {
                self.composer.set_text(&text);
                Vec::new()
            }
            Input::Answer(answer) => {
                self.overlays.iter_mut().for_each(|overlay| overlay.answer(&answer));
                Vec::new()
            }
            // It was ended just when it had ended by itself.
            Input::Ran(_) if self.shell.is_none() => Vec::new(),
            Input::Ran(text) => {
                self.shell = None;
                vec![Action::Send(Command::Submit {
                    content: vec![Content::text(text)],
                    delivery: Delivery::Steer,
                })]
            }
            Input::Said(text) => {
                self.said = Some(text);
                Vec::new()
            }
            Input::Tick => {
                self.quit_until_ms = self.quit_until_ms.filter(|until| now_ms < *until);
                let reaction = self.composer.on_wake(std::time::Instant::now());
                self.composed(reaction)
            }
        }
    }

    fn event(&mut self, event: &Event, now_ms: u64) {
        self.session.apply(event);
        self.transcript.apply(event);
        self.composer.set_running(self.session.turn.is_some());
        let asked = self.session.asked().next();
        let shown = self.approval.as_ref().map(|approval| &approval.call);
        if asked.map(|call| &call.id) != shown {
            self.approval = asked.and_then(|call| Approval::of(call, now_ms));
        }
    }

    fn rejected(&mut self, rejection: &Rejection) {
        self.said = Some(match rejection {
            Rejection::Unwritable(reason) => {
                format!("the session can't be written, and takes no more work: {reason}")
            }
            other => other.to_string(),
        });
    }

    fn key(&mut self, key: KeyEvent, now_ms: u64) -> Vec<Action> {
        if !self.overlays.is_empty() {
            return self.overlay_key(key, now_ms);
        }
        if let Some(approval) = &mut self.approval {
            match approval.key(key, now_ms) {
                approval::Reaction::Consumed => return Vec::new(),
                approval::Reaction::Decide(call, verdict) => {
                    return vec![Action::Send(Command::Decide { call, verdict })];
                }
                approval::Reaction::Interrupt => return vec![Action::Send(Command::Interrupt)],
                approval::Reaction::Ignored => {}
            }
        } else {
            match self.composer.on_key(key) {
                Reaction::Ignored => {}
                reaction => return self.composed(reaction),
            }
        }
        self.own_key(key, now_ms)
    }

    /// The topmost overlay is asked, and nobody below it, so that no key does what can't be seen.
    fn overlay_key(&mut self, key: KeyEvent, now_ms: u64) -> Vec<Action> {
        let Some(mut overlay) = self.overlays.pop() else { return Vec::new() };
        let reaction = overlay.key(Key::from(key), &self.look(now_ms));
        match reaction {
            overlay::Reaction::Close(actions) => return actions,
            overlay::Reaction::Do(actions) => {
                self.overlays.push(overlay);
                return actions;
            }
            overlay::Reaction::Open(above) => self.overlays.extend([overlay, above]),
            overlay::Reaction::Consumed => self.overlays.push(overlay),
            overlay::Reaction::Ignored => {
                self.overlays.push(overlay);
                if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('z') {
                    return vec![Action::Suspend];
                }
            }
        }
        Vec::new()
    }

    fn look(&self, now_ms: u64) -> Look<'_> {
        let Self { session, transcript, ground, theme, .. } = self;
        Look { session, transcript, ground, theme, now_ms }
    }

    fn composed(&mut self, reaction: Reaction) -> Vec<Action> {
        match reaction {
            Reaction::Consumed | Reaction::Ignored => Vec::new(),
            Reaction::Submit(message) => vec![send(message, Delivery::Steer)],
            Reaction::Queue(message) => vec![send(message, Delivery::AfterTurn)],
            Reaction::Shell(command) => {
                if let Some(running) = &self.shell {
                    self.said = Some(format!("`{running}` still runs; Esc ends it"));
                    self.composer.set_text(&format!("!{command}"));
                    return Vec::new();
                }
                self.shell = Some(command.clone());
                vec![Action::Shell(command)]
            }
            Reaction::Editor => vec![Action::Edit(self.composer.draft())],
            Reaction::WantFiles(query) => vec![Action::Files(query)],
            Reaction::Command { name, args } => self.command(&name, &args),
        }
    }

    fn command(&mut self, name: &str, args: &str) -> Vec<Action> {
        match slash::run(name, args, &self.session, &self.ground) {
            slash::Run::Do(actions) => actions,
            slash::Run::Print(lines) => {
                self.transcript.say(lines);
                Vec::new()
            }
            slash::Run::Unknown => {
                self.said = Some(format!("there is no command /{}", printable(name)));
                Vec::new()
            }
        }
    }

    /// Keys that neither the question nor the composer wanted.
    fn own_key(&mut self, key: KeyEvent, now_ms: u64) -> Vec<Action> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc if self.shell.is_some() => self.stop_shell(),
            KeyCode::Esc if self.session.turn.is_some() => vec![Action::Send(Command::Interrupt)],
            KeyCode::Char('c') if control => self.control_c(now_ms),
            KeyCode::Char('d') if control && self.composer.is_empty() => vec![Action::Quit],
            KeyCode::Char('z') if control => vec![Action::Suspend],
            KeyCode::Char('t') if control => {
                self.overlays.push(Box::new(Pager::new()));
                Vec::new()
            }
            KeyCode::Up if key.modifiers.contains(KeyModifiers::ALT) => self.take_back(),
            _ => Vec::new(),
        }
    }

    /// Clears what was typed; then stops what runs; then warns; then quits.
    fn control_c(&mut self, now_ms: u64) -> Vec<Action> {
        if !self.composer.is_empty() {
            self.composer.set_text("");
            return Vec::new();
        }
        if self.shell.is_some() {
            return self.stop_shell();
        }
        if self.session.turn.is_some() && self.approval.is_none() {
            return vec![Action::Send(Command::Interrupt)];
        }
        if self.quit_until_ms.is_some_and(|until| now_ms < until) {
            return vec![Action::Quit];
        }
        self.quit_until_ms = Some(now_ms + QUIT_MS);
        self.said = Some("^C again quits; the session is kept".to_owned());
        Vec::new()
    }

    fn stop_shell(&mut self) -> Vec<Action> {
        self.said = self.shell.take().map(|command| format!("`{command}` was ended, and the model not told"));
        vec![Action::StopShell]
    }

    /// Takes the last message that waits back into the composer.
    fn take_back(&mut self) -> Vec<Action> {
        let Some(queued) = self.session.queue.back() else { return Vec::new() };
        let text: Vec<&str> = queued
            .content
            .iter()
            .filter_map(|part| match part {
                Content::Text { text } => Some(text.as_str()),
                Content::Image { .. } | Content::Unknown(_) => None,
            })
            .collect();
        self.composer.set_text(&text.join("\n"));
        let InputId(_) = queued.input;
        vec![Action::Send(Command::Retract { input: queued.input })]
    }

    /// Whether something moves by itself, so that time has to be shown.
    pub(super) fn animated(&self) -> bool {
        self.session.turn.is_some() && self.approval.is_none() || self.quit_until_ms.is_some()
    }

    /// When the composer wants to be called, if at all.
    pub(super) fn wake_at(&self) -> Option<tokio::time::Instant> {
        self.composer.wake_at().map(Into::into)
    }

    /// What is on the whole terminal, if an overlay takes it.
    pub(super) fn full(&mut self, size: Size, now_ms: u64) -> Option<Live> {
        let overlay = self.overlays.last()?;
        if overlay.place() != Place::Full {
            return None;
        }
        let page = self.draw_overlay(size, now_ms)?;
        Some(Live { rows: page.rows, cursor: page.cursor })
    }

    fn draw_overlay(&mut self, size: Size, now_ms: u64) -> Option<overlay::Page> {
        let mut overlay = self.overlays.pop()?;
        let page = overlay.draw(size, &self.look(now_ms));
        self.overlays.push(overlay);
        Some(page)
    }

    /// The rows below what is printed, at most `max_rows`.
    pub(super) fn live(&mut self, width: u16, max_rows: u16, now_ms: u64) -> Live {
        let size = Size { columns: width, rows: max_rows.saturating_sub(2).max(1) };
        let page = self.draw_overlay(size, now_ms);
        let (mut below, cursor) = match (page, &mut self.approval) {
            (Some(page), _) => (page.rows, page.cursor),
            (None, Some(approval)) => {
                let more = self.session.asked().count().saturating_sub(1);
                approval.draw(width, max_rows.saturating_sub(2), &self.theme, more)
            }
            (None, None) => {
                let drawn = self.composer.draw(width, (max_rows / 2).max(1), &self.theme);
                let mut rows = drawn.lines;
                rows.extend(drawn.popup);
                (rows, Some(drawn.cursor))
            }
        };
        let running = self.shell.as_ref().map(|command| format!("running `{command}` as you · Esc ends it"));
        let said = self.said.as_deref().or(running.as_deref());
        below.push(status::line(&self.session, &self.ground, said, width, &self.theme));
        let room = usize::from(max_rows).saturating_sub(below.len() + 1);
        let room = u16::try_from(room).unwrap_or(u16::MAX);
        let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let mut rows = self.transcript.live(width, room, &self.theme, now);
        rows.push(Line::default());
        let above = u16::try_from(rows.len()).unwrap_or(u16::MAX);
        rows.extend(below);
        Live { rows, cursor: cursor.map(|(column, row)| (column, above.saturating_add(row))) }
    }

    /// What is said when the screen is left: tokens, the id, and how to go on.
    pub(super) fn farewell(&self) -> Option<String> {
        let id = self.session.id?;
        let Usage { input, cached, output, .. } = self.session.usage;
        let waits = match &self.session.outcome {
            _ if self.session.asked().next().is_some() => "\nAn approval is pending; it will be asked again.",
            Some(Outcome::Failed { .. }) => "\nThe last turn failed.",
            _ => "",
        };
        Some(format!(
            "Tokens: {input} in ({cached} cached), {output} out{waits}\nTo go on with this session: agent resume {id}"
        ))
    }
}

fn send(message: Message, delivery: Delivery) -> Action {
    if message.images.is_empty() {
        Action::Send(Command::Submit { content: vec![Content::text(message.text)], delivery })
    } else {
        Action::Attach { message, delivery }
    }
}

/// Whether the end of a turn is something that a person who looks elsewhere should hear of.
pub(super) fn worth_a_bell(update: &Update) -> bool {
    matches!(
        update,
        Update::Event(Event { fact: Fact::TurnFinished { .. } | Fact::ApprovalRequested { .. }, .. })
    )
}
