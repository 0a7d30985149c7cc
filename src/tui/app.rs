//! What a key or an update changes. No IO: what is to be done comes back as actions.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::text::Line;

use crate::protocol::{
    Command, Content, Delivery, Event, Fact, InputId, Outcome, Rejection, Rule, Settings, TurnId, Update,
    Usage, printable, words,
};
use crate::session::Session;

use super::{
    approval::{self, Approval},
    composer::{self, Composer, Message, Reaction, files::FileMatch},
    host::{Answer, Question, Switch},
    keymap::{self, Key, Keymap, Layer},
    overlay::{
        self, Changes, Look, Models, Overlay, Pager, Permissions, Place, Processes, Rewind, Sessions, Themes,
    },
    prompts::{self, Prompt},
    settings::{self, StatusItem},
    slash,
    status::{self, Ground},
    term::Size,
    text::link::Follow,
    theme::{self, Theme},
    transcript::Transcript,
};

/// Milliseconds in which a second ^C quits.
const QUIT_MS: u64 = 2_000;
/// With fewer rows than this, none is given to hints.
const HINTED: u16 = 16;

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
    /// Write a text to a file that is not there yet.
    Export {
        file: PathBuf,
        text: String,
    },
    /// Find out something for a view.
    Ask(Question),
    /// Draw everything anew.
    Redraw,
    /// Look whether these are pictures.
    Recognize(Vec<PathBuf>),
    /// Attach the picture on the clipboard.
    Clipboard,
    /// Write a file for a report.
    Feedback,
    /// Use another theme from now on.
    Wear(String, Box<Theme>),
    /// Begin the next session with other settings.
    Prepare(Box<Settings>),
    /// Begin every new session with this model and effort.
    KeepModel(Box<Settings>),
    /// Keep a rule no longer; without a session.
    ForgetRule(Rule),
    /// Begin a new session in the place of this one.
    New,
    /// Open another session in the place of this one.
    Switch(Switch),
    /// Put a text into the composer.
    Write(String),
    /// What the repository brings along is trusted, or not.
    Trust(bool),
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
    keymap: Keymap,
    prompts: Vec<Prompt>,
    status_line: Vec<StatusItem>,
    /// The name of the theme in use.
    theme_name: String,
    /// A theme that is being read.
    theme_wanted: Option<String>,
    /// Whether the terminal's background is dark, if it said so.
    dark: Option<bool>,
    /// Colours are welcome.
    colours: bool,
    /// The command that the person runs.
    shell: Option<String>,
    /// Until when a second ^C quits.
    quit_until_ms: Option<u64>,
    /// Until when a second Esc goes back.
    back_until_ms: Option<u64>,
    /// A line above the status, until the next key.
    said: Option<String>,
}

/// What is drawn: rows, and the place of the cursor in them.
pub(super) struct Live {
    pub(super) rows: Vec<Line<'static>>,
    pub(super) cursor: Option<(u16, u16)>,
}

impl Action {
    /// Runs with other settings: this session, or else the next one.
    pub(super) fn configure(session: &Session, settings: Settings) -> Self {
        let settings = Box::new(settings);
        match session.settings {
            Some(_) => Self::Send(Command::Configure { settings }),
            None => Self::Prepare(settings),
        }
    }
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
            keymap: Keymap::default(),
            prompts: Vec::new(),
            status_line: StatusItem::USUAL.to_vec(),
            theme_name: "ansi".to_owned(),
            theme_wanted: None,
            dark: None,
            colours: true,
            shell: None,
            quit_until_ms: None,
            back_until_ms: None,
            said: None,
        }
    }

    /// Makes these commands, beside those that are built in; with what the person should know.
    pub(super) fn add_prompts(&mut self, own: Vec<Prompt>, mut notices: Vec<String>) {
        let built_in = slash::specs();
        for prompt in own.into_iter().chain(prompts::shipped()) {
            if built_in.iter().any(|spec| spec.name == prompt.name) {
                notices.push(format!("your prompt `{0}` is not used: /{0} is built in", prompt.name));
            } else if self.prompts.iter().all(|other| other.name != prompt.name) {
                self.prompts.push(prompt);
            }
        }
        let mut specs: Vec<_> = built_in.into_iter().chain(self.prompts.iter().map(Prompt::spec)).collect();
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        self.composer.set_commands(specs);
        if !notices.is_empty() {
            self.transcript.say(notices);
        }
    }

    /// Puts back what was being written when the program ended.
    pub(super) fn restore(&mut self, draft: &str) {
        self.composer.set_text(draft);
        self.said = Some("what you were writing last time is back; it was not sent".to_owned());
    }

    /// How the last turn failed, if it did.
    pub(super) fn last_error(&self) -> Option<String> {
        match &self.session.outcome {
            Some(Outcome::Failed { kind, message }) => Some(format!("{kind}: {message}")),
            _ => None,
        }
    }

    /// The terminal follows links.
    pub(super) fn with_links(mut self, links: Follow) -> Self {
        self.transcript = self.transcript.linked(links);
        self
    }

    /// Takes over what the person set. What has to be found out for it comes back.
    pub(super) fn configure(
        &mut self,
        settings: &settings::Settings,
        colours: bool,
        dark: Option<bool>,
    ) -> Vec<Action> {
        // Settings that could not be used were refused when they were read.
        self.keymap = settings.keys.keymap().unwrap_or_default();
        self.composer.set_keymap(self.keymap.clone());
        self.composer.set_vim(settings.vim);
        self.status_line.clone_from(&settings.status_line);
        (self.colours, self.dark) = (colours, dark);
        self.choose_theme(&settings.theme)
    }

    /// The terminal said how bright its background is.
    pub(super) fn background(&mut self, dark: bool) {
        self.dark = Some(dark);
        if self.theme_name == "auto"
            && let Some(theme) = theme::named("auto", self.dark)
        {
            self.wear("auto".to_owned(), theme);
        }
    }

    /// Wears what the person chose just now, and says how to keep it.
    pub(super) fn put_on(&mut self, name: String, theme: Theme) {
        self.said = Some(format!("for now; to keep it: theme = \"{name}\" below [tui] in config.toml"));
        self.wear(name, theme);
    }

    fn wear(&mut self, name: String, theme: Theme) {
        self.theme = if self.colours { theme } else { Theme::plain() };
        self.theme_name = name;
    }

    /// A theme by its name: at once, or when its file was read.
    fn choose_theme(&mut self, name: &str) -> Vec<Action> {
        if let Some(theme) = theme::named(name, self.dark) {
            self.wear(name.to_owned(), theme);
            return Vec::new();
        }
        self.theme_wanted = Some(name.to_owned());
        vec![Action::Ask(Question::Themes)]
    }

    fn themes_read(&mut self, themes: &[(String, Result<String, String>)]) {
        let Some(wanted) = self.theme_wanted.take() else { return };
        let read = match themes.iter().find(|(name, _)| *name == wanted) {
            None => {
                Err("there is no such file in the folder of themes, and none of that name ships".to_owned())
            }
            Some((_, Err(problem))) => Err(problem.clone()),
            Some((_, Ok(text))) => theme::parse(text).map_err(|error| error.to_string()),
        };
        match read {
            Ok(theme) => self.wear(wanted, theme),
            Err(problem) => self.said = Some(format!("theme `{wanted}`: {problem}")),
        }
    }

    /// Begins anew: the next session is another one.
    pub(super) fn forget(&mut self) {
        self.session = Session::default();
        self.transcript = self.transcript.anew();
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
        // A view is asked when what it answers is done: that is not so of what is only told.
        let asks = matches!(input, Input::Key(_) | Input::Paste(_) | Input::Answer(_) | Input::Tick);
        let mut actions = self.take(input, now_ms);
        if let Some(mut overlay) = self.overlays.pop_if(|_| asks) {
            actions.extend(overlay.wants(&self.look(now_ms)).into_iter().map(Action::Ask));
            self.overlays.push(overlay);
        }
        actions
    }

    fn take(&mut self, input: Input, now_ms: u64) -> Vec<Action> {
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
                    (None, None) => return self.pasted(&text),
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
                if let Answer::Themes(themes) = &answer {
                    self.themes_read(themes);
                }
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

    /// A path that was pasted as a picture may be none: better said now than when it is sent.
    fn pasted(&mut self, text: &str) -> Vec<Action> {
        let before = self.composer.images();
        let reaction = self.composer.on_paste(text);
        let mut actions = self.composed(reaction);
        let new: Vec<PathBuf> =
            self.composer.images().into_iter().filter(|image| !before.contains(image)).collect();
        if !new.is_empty() {
            actions.push(Action::Recognize(new));
        }
        actions
    }

    fn event(&mut self, event: &Event, now_ms: u64) {
        self.session.apply(event);
        self.transcript.apply(event);
        self.composer.set_running(self.session.turn.is_some());
        let asked = self.session.asked().next();
        let shown = self.approval.as_ref().map(|approval| &approval.call);
        if asked.map(|call| &call.id) != shown {
            self.approval = asked.and_then(|call| Approval::of(call, &self.ground, now_ms));
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
                if self.keymap.action(Layer::Screen, Key::from(key)) == Some(keymap::Action::Suspend) {
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
            slash::Run::Help => self.help(),
            slash::Run::Keys => {
                self.transcript.say(slash::keys(&self.keymap));
                Vec::new()
            }
            slash::Run::Vim => {
                let on = self.composer.mode().is_none();
                self.composer.set_vim(on);
                self.said = Some(format!("vim keys are {}", if on { "on" } else { "off" }));
                Vec::new()
            }
            slash::Run::Theme(_) if !self.colours => {
                self.said =
                    Some("there are no colours here (NO_COLOR is set, or these are plain lines)".to_owned());
                Vec::new()
            }
            slash::Run::Theme(name) if name.is_empty() => {
                self.overlays.push(Box::new(Themes::new(&self.theme_name, self.dark)));
                vec![Action::Ask(Question::Themes)]
            }
            slash::Run::Theme(name) => match theme::named(&name, self.dark) {
                Some(theme) => {
                    self.put_on(name, theme);
                    Vec::new()
                }
                None => self.choose_theme(&name),
            },
            slash::Run::Models(name) => self.models(name),
            slash::Run::Permissions => {
                self.overlays.push(Box::new(Permissions::new()));
                vec![Action::Ask(Question::Rules)]
            }
            slash::Run::Open(view) => {
                self.overlays.push(match view {
                    slash::View::Changes => Box::new(Changes::new()),
                    slash::View::Processes => Box::new(Processes::new()),
                });
                Vec::new()
            }
            slash::Run::Export(file) => self.export(file),
            slash::Run::Feedback => vec![Action::Feedback],
            slash::Run::Rewind => {
                self.rewind();
                Vec::new()
            }
            slash::Run::Sessions => self.sessions(false),
            slash::Run::Fork => match self.session.id {
                _ if !self.session.idle() => {
                    self.said = Some("a turn is running; interrupt it first, or wait for its end".to_owned());
                    Vec::new()
                }
                Some(id) if self.session.turns > TurnId(0) => vec![Action::Switch(Switch::Fork(id))],
                _ => {
                    self.said = Some("there is no conversation yet".to_owned());
                    Vec::new()
                }
            },
            slash::Run::Unknown if self.prompts.iter().any(|prompt| prompt.name == name) => {
                let said =
                    self.prompts.iter().find(|prompt| prompt.name == name).map(|prompt| prompt.expand(args));
                let content = vec![Content::text(said.unwrap_or_default())];
                vec![Action::Send(Command::Submit { content, delivery: Delivery::Steer })]
            }
            slash::Run::Unknown => {
                self.said = Some(format!("there is no command /{}", printable(name)));
                Vec::new()
            }
        }
    }

    /// Lets the person choose a model, or what to do with one that was named.
    fn models(&mut self, name: String) -> Vec<Action> {
        self.overlays.push(Box::new(Models::default()));
        let like = self.ground.settings_of(&self.session).model.clone();
        let mut questions = vec![Question::Models];
        if !name.is_empty() {
            questions.push(Question::Model { name, like });
        }
        questions.into_iter().map(Action::Ask).collect()
    }

    fn export(&mut self, file: Option<PathBuf>) -> Vec<Action> {
        let Some(id) = self.session.id.filter(|_| !self.transcript.is_empty()) else {
            self.said = Some("there is no conversation yet".to_owned());
            return Vec::new();
        };
        let short: String = id.to_string().chars().take(13).collect();
        let file = file.unwrap_or_else(|| PathBuf::from(format!("agent-{short}.md")));
        let title = self.session.title.clone().unwrap_or_else(|| format!("Session {id}"));
        let place = self.session.workspace.display();
        let text = printable(&format!("# {title}\n\nSession `{id}` in `{place}`\n")).into_owned();
        vec![Action::Export { file, text: format!("{text}\n{}\n", self.transcript.markdown()) }]
    }

    /// Keys that neither the question nor the composer wanted.
    fn own_key(&mut self, key: KeyEvent, now_ms: u64) -> Vec<Action> {
        use keymap::Action as K;
        match self.keymap.action(Layer::Screen, Key::from(key)) {
            Some(K::Interrupt) if self.shell.is_some() => self.stop_shell(),
            Some(K::Interrupt) if self.session.turn.is_some() => vec![Action::Send(Command::Interrupt)],
            Some(K::Interrupt) if self.composer.is_empty() && self.approval.is_none() => self.escape(now_ms),
            Some(K::Leave) => self.control_c(now_ms),
            Some(K::Quit) if self.composer.is_empty() => vec![Action::Quit],
            Some(K::Suspend) => vec![Action::Suspend],
            Some(K::Transcript) => {
                self.overlays.push(Box::new(Pager::new()));
                Vec::new()
            }
            Some(K::Retract) => self.take_back(),
            Some(K::PasteImage) if self.approval.is_none() => vec![Action::Clipboard],
            Some(K::Redraw) => vec![Action::Redraw],
            Some(K::Help) => self.help(),
            _ => Vec::new(),
        }
    }

    fn help(&mut self) -> Vec<Action> {
        self.transcript.say(slash::help(&self.keymap, &self.prompts));
        Vec::new()
    }

    /// What the keys do now. Questions and views tell it themselves.
    fn hints(&self) -> Vec<(String, &'static str)> {
        use keymap::Action as K;
        if self.approval.is_some() || !self.overlays.is_empty() {
            return Vec::new();
        }
        let running = self.session.turn.is_some();
        let state = if running { composer::State::Running } else { composer::State::Idle };
        let own: &[(K, &'static str)] = match (running, self.composer.is_empty()) {
            _ if self.composer.is_choosing() => &[],
            (true, true) => &[(K::Interrupt, "interrupt"), (K::Transcript, "transcript"), (K::Help, "help")],
            (true, false) => &[(K::Interrupt, "interrupt")],
            (false, true) => &[(K::Transcript, "transcript"), (K::Help, "help")],
            (false, false) => &[],
        };
        let own = own.iter().filter_map(|(action, what)| self.keymap.hint_as(*action, what));
        self.composer.hints(state).into_iter().chain(own).collect()
    }

    fn status(&self) -> Vec<String> {
        let part = |item: &StatusItem| match item {
            StatusItem::Vim => self.composer.mode().map(str::to_owned),
            item => status::part(*item, &self.session, &self.ground),
        };
        self.status_line.iter().filter_map(part).collect()
    }

    /// Shows a view.
    pub(super) fn open(&mut self, overlay: Box<dyn Overlay>) {
        self.overlays.push(overlay);
    }

    /// Shows the sessions that are kept. With `only`, closing them is leaving.
    pub(super) fn sessions(&mut self, only: bool) -> Vec<Action> {
        let (sessions, action) = Sessions::open(only, self.session.id);
        self.open(Box::new(sessions));
        vec![action]
    }

    /// The first Esc warns, the second one goes back.
    fn escape(&mut self, now_ms: u64) -> Vec<Action> {
        if self.back_until_ms.take().is_some_and(|until| now_ms < until) {
            self.rewind();
        } else if self.session.said().next().is_some() {
            self.back_until_ms = Some(now_ms + QUIT_MS);
            self.said = Some("Esc again goes back to an earlier message".to_owned());
        }
        Vec::new()
    }

    fn rewind(&mut self) {
        match Rewind::new(&self.session) {
            _ if !self.session.idle() => {
                self.said = Some("a turn is running; interrupt it first".to_owned());
            }
            Some(rewind) => self.open(Box::new(rewind)),
            None => self.said = Some("nothing was said yet".to_owned()),
        }
    }

    /// Clears what was typed; then stops what runs; then warns; then quits.
    pub(super) fn control_c(&mut self, now_ms: u64) -> Vec<Action> {
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
        let key = self.keymap.hint(keymap::Action::Leave).map(|(key, _)| key).unwrap_or_default();
        self.said = Some(format!("{key} again quits; the session is kept"));
        Vec::new()
    }

    fn stop_shell(&mut self) -> Vec<Action> {
        self.said = self.shell.take().map(|command| format!("`{command}` was ended, and the model not told"));
        vec![Action::StopShell]
    }

    /// Takes the last message that waits back into the composer.
    fn take_back(&mut self) -> Vec<Action> {
        let Some(queued) = self.session.queue.back() else { return Vec::new() };
        self.composer.set_text(&words(&queued.content));
        let InputId(_) = queued.input;
        vec![Action::Send(Command::Retract { input: queued.input })]
    }

    /// A whole line, where there are no keys: for what has them now.
    pub(super) fn line(&mut self, line: &str, now_ms: u64) -> Vec<Action> {
        self.said = None;
        let pressed = |code| KeyEvent::new(code, KeyModifiers::NONE);
        if !self.overlays.is_empty() {
            let mut keys: Vec<KeyEvent> = line.chars().map(|char| pressed(KeyCode::Char(char))).collect();
            match keys.len() {
                0 => keys.push(pressed(KeyCode::Esc)),
                1 => {}
                _ if line == "esc" => keys = vec![pressed(KeyCode::Esc)],
                _ => keys.push(pressed(KeyCode::Enter)),
            }
            return keys.into_iter().flat_map(|key| self.overlay_key(key, now_ms)).collect();
        }
        if let Some(approval) = &mut self.approval {
            let (word, note) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            let mut letters = word.chars();
            // A sentence that was on its way is no answer.
            let code = match (letters.next(), letters.next()) {
                (Some(letter), None) if note.is_empty() || word == "n" => KeyCode::Char(letter),
                _ if word == "esc" => KeyCode::Esc,
                _ if word == "tab" && note.is_empty() => KeyCode::Tab,
                (None, _) => return Vec::new(),
                _ => {
                    let how = "answer with one letter, `tab` or `esc`; `n`, a blank and words say what to do instead";
                    self.said = Some(how.to_owned());
                    return Vec::new();
                }
            };
            let mut reaction = approval.key(pressed(code), now_ms);
            if reaction == approval::Reaction::Consumed && word == "n" {
                approval.paste(note);
                reaction = approval.key(pressed(KeyCode::Enter), now_ms);
            }
            return match reaction {
                approval::Reaction::Decide(call, verdict) => {
                    vec![Action::Send(Command::Decide { call, verdict })]
                }
                approval::Reaction::Interrupt => vec![Action::Send(Command::Interrupt)],
                approval::Reaction::Consumed | approval::Reaction::Ignored => Vec::new(),
            };
        }
        let reaction = self.composer.say(line);
        let actions = self.composed(reaction);
        if let Some(notice) = self.composer.notice() {
            self.said = Some(notice.to_owned());
            self.composer.set_text("");
        }
        actions
    }

    /// What has to be answered now, in full: a view, or an approval with its call.
    pub(super) fn question(&mut self, width: u16, now_ms: u64) -> Option<Vec<Line<'static>>> {
        let size = Size { columns: width, rows: u16::MAX };
        if let Some(page) = self.draw_overlay(size, now_ms) {
            return Some(page.rows);
        }
        let more = self.session.asked().count().saturating_sub(1);
        Some(self.approval.as_mut()?.draw(width, u16::MAX, &self.theme, more).0)
    }

    /// What the person should know, told once.
    pub(super) fn take_said(&mut self) -> Option<String> {
        self.said.take()
    }

    /// Whether something moves by itself, so that time has to be shown.
    pub(super) fn animated(&self) -> bool {
        self.session.turn.is_some() && self.approval.is_none()
            || self.quit_until_ms.is_some()
            || self.overlays.last().is_some_and(|overlay| overlay.lives())
    }

    /// What the session is called, or else where it is.
    pub(super) fn name(&self) -> String {
        match &self.session.title {
            Some(title) => title.clone(),
            None => {
                let directory = self.ground.directory.as_str();
                directory.rsplit('/').find(|part| !part.is_empty()).unwrap_or(directory).to_owned()
            }
        }
    }

    /// The title of the window: the name, and what goes on.
    pub(super) fn title(&self) -> String {
        let state = match (&self.approval, &self.session.turn) {
            (Some(_), _) => "needs approval",
            (None, Some(_)) => "working",
            (None, None) => "ready",
        };
        format!("{} · {state} · agent", self.name())
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
        let Some(word) = self.word() else {
            let page = self.draw_overlay(size, now_ms)?;
            return Some(Live { rows: page.rows, cursor: page.cursor });
        };
        let less = Size { rows: size.rows.saturating_sub(1).max(1), ..size };
        let page = self.draw_overlay(less, now_ms)?;
        let mut rows = page.rows;
        rows.push(status::line(&[], Some(&word), size.columns, &self.theme));
        Some(Live { rows, cursor: page.cursor })
    }

    /// What a person must not miss who looks at something else.
    fn word(&self) -> Option<String> {
        let waits = self.approval.is_some() && !self.overlays.is_empty();
        let asks = || "An approval waits for you: Esc shows it".to_owned();
        waits.then(asks).or_else(|| self.said.clone())
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
        let key = self
            .keymap
            .hint_as(keymap::Action::Interrupt, "ends it")
            .map(|(key, what)| format!(" · {key} {what}"));
        let key = key.unwrap_or_default();
        let running = self.shell.as_ref().map(|command| format!("running `{command}` as you{key}"));
        let said = self.word().or(running);
        below.push(status::line(&self.status(), said.as_deref(), width, &self.theme));
        if max_rows >= HINTED {
            let hints = self.hints();
            if !hints.is_empty() {
                below.push(status::hints(&hints, width, &self.theme));
            }
        }
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

/// What a person who looks elsewhere should hear of. Not what they just did themselves.
pub(super) fn notice(update: &Update) -> Option<&'static str> {
    let Update::Event(event) = update else { return None };
    match &event.fact {
        Fact::ApprovalRequested { .. } => Some("needs your approval"),
        Fact::TurnFinished { outcome: Outcome::Interrupted, .. } => None,
        Fact::TurnFinished { outcome: Outcome::Failed { .. }, .. } => Some("failed"),
        Fact::TurnFinished { .. } => Some("finished"),
        _ => None,
    }
}
