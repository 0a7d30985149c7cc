//! The state of the screen, and what changes it. No IO: what is to be done comes back as actions.

mod commands;
mod keys;
mod lines;
mod playback;
mod view;

use std::path::PathBuf;

use crossterm::event::KeyEventKind;
use ratatui::text::Line;

use crate::protocol::{
    Command, Content, Delivery, Event, Fact, Outcome, ProcessId, Rejection, Time, Update, Verdict,
};
use crate::session::Session;

use crate::tui::{
    action::{Action, Input},
    approval::Approval,
    asked::Asked,
    composer::{Composer, Message},
    host::{Answer, KnownSkill, Question},
    keymap::Keymap,
    overlay::{Look, OverBudget, Overlay, Secret},
    prompts::{self, Prompt},
    settings::{self, StatusItem},
    slash,
    status::Ground,
    text::link::Follow,
    theme::{self, Theme},
    transcript::Transcript,
};

use playback::Playback;
pub use playback::Recorded;

/// Milliseconds in which a second ^C quits.
const QUIT_MS: u64 = 2_000;
/// With fewer rows than this, none is given to hints.
const HINTED: u16 = 16;

/// The state of the screen.
pub(super) struct App {
    pub(super) session: Session,
    pub(super) transcript: Transcript,
    pub(super) composer: Composer,
    approval: Option<Approval>,
    /// The process whose question for what is not echoed is shown.
    secret: Option<ProcessId>,
    /// The question of the budget was shown.
    over_budget: bool,
    /// The last one has the keys.
    overlays: Vec<Box<dyn Overlay>>,
    pub(super) ground: Ground,
    pub(super) theme: Theme,
    keymap: Keymap,
    prompts: Vec<Prompt>,
    /// What was said of prompts that are none.
    noticed: Vec<String>,
    status_line: Vec<StatusItem>,
    /// The name of the theme in use.
    theme_name: String,
    /// A theme that is being read, and whether it is to be kept.
    theme_wanted: Option<(String, bool)>,
    /// Whether the terminal's background is dark, if it said so.
    dark: Option<bool>,
    /// Colours are welcome.
    colours: bool,
    /// The command that the person runs.
    shell: Option<String>,
    /// Until when a second ^C quits.
    quit_until_ms: Option<u64>,
    /// When a key was last pressed, or something pasted.
    typed_ms: u64,
    /// Until when a second Esc goes back.
    back_until_ms: Option<u64>,
    /// A line above the status, until the next key.
    said: Option<String>,
    /// A message of which the person was told what it will cost.
    foretold: Option<String>,
    /// What is shown is a session that was kept, step by step.
    playback: Option<Playback>,
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
            secret: None,
            over_budget: false,
            overlays: Vec::new(),
            ground,
            theme,
            keymap: Keymap::default(),
            prompts: Vec::new(),
            noticed: Vec::new(),
            status_line: StatusItem::USUAL.to_vec(),
            theme_name: "ansi".to_owned(),
            theme_wanted: None,
            dark: None,
            colours: true,
            shell: None,
            quit_until_ms: None,
            typed_ms: 0,
            back_until_ms: None,
            said: None,
            foretold: None,
            playback: None,
        }
    }

    /// Makes these commands, beside those that are built in; with what the person should know, once.
    pub(super) fn set_prompts(&mut self, own: Vec<Prompt>, mut notices: Vec<String>) {
        let built_in = slash::specs();
        self.prompts.clear();
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
        if !notices.is_empty() && notices != self.noticed {
            self.transcript.say(notices.clone());
        }
        self.noticed = notices;
    }

    /// Puts back what was being written when the program ended.
    pub(super) fn restore(&mut self, draft: &str) {
        self.composer.set_text(draft);
        self.said = Some("what you were writing last time is back; it was not sent".to_owned());
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

    /// Begins anew: the next session is another one.
    pub(super) fn forget(&mut self) {
        self.session = Session::default();
        self.transcript = self.transcript.anew();
        self.approval = None;
        self.secret = None;
        self.over_budget = false;
        self.overlays.clear();
    }

    /// Folds what happened before. The same code as for what happens now.
    pub(super) fn replay(&mut self, history: &[Event], now_ms: u64) {
        for event in history {
            self.session.apply(event);
            self.transcript.apply(event);
        }
        // What was asked and answered then is no question any more.
        self.settle(now_ms);
        self.transcript.pass_over_old();
    }

    pub(super) fn update(&mut self, input: Input, now_ms: u64) -> Vec<Action> {
        // A view is asked when what it answers is done: that is not so of what is only told.
        let asks = matches!(input, Input::Key(_) | Input::Paste(_) | Input::Answer(_) | Input::Tick);
        let typed = match &input {
            Input::Key(key) => key.kind != KeyEventKind::Release,
            input => matches!(input, Input::Paste(_)),
        };
        let mut actions = self.take(input, now_ms);
        if typed {
            self.typed_ms = now_ms;
        }
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
            // Nobody is there who could be told.
            Input::Paste(_) if self.playback.is_some() && self.overlays.is_empty() => Vec::new(),
            Input::Paste(text) => {
                match (self.overlays.last_mut(), &mut self.approval) {
                    (Some(overlay), _) => overlay.paste(&text),
                    (None, Some(approval)) => approval.paste(&text),
                    (None, None) => return self.pasted(&text, now_ms),
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
                match &answer {
                    Answer::Themes(themes) => self.themes_read(themes),
                    Answer::Memory(lines) => {
                        if !lines.is_empty() {
                            self.transcript.say(lines.clone());
                        }
                        Vec::new()
                    }
                    Answer::Skills { skills, .. } => {
                        let named = |skill: &KnownSkill| (skill.name.clone(), skill.about.clone());
                        self.composer.set_skills(skills.iter().map(named).collect());
                        Vec::new()
                    }
                    Answer::WouldRestore(prospect) => {
                        self.would_restore(prospect);
                        Vec::new()
                    }
                    Answer::WouldRewind { to, text, prospect } => self.would_rewind(*to, text, prospect),
                    Answer::Failed {
                        question:
                            Question::WouldRestore(_)
                            | Question::WouldRewind { .. }
                            | Question::Memory(_)
                            | Question::MemoryCost,
                        problem,
                    } => {
                        self.said = Some(problem.clone());
                        Vec::new()
                    }
                    _ => Vec::new(),
                }
            }
            Input::Clipboard(Ok(picture)) => {
                self.said = None;
                self.composer.attach_image(picture);
                Vec::new()
            }
            Input::Clipboard(Err(problem)) => {
                self.said = Some(problem);
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
                self.play_on(now_ms);
                let over = |until: &mut Option<u64>| until.take_if(|until| now_ms >= *until).is_some();
                if over(&mut self.quit_until_ms) | over(&mut self.back_until_ms) {
                    // What a second press would have done, it does no more.
                    self.said = None;
                }
                let reaction = self.composer.on_wake(std::time::Instant::now());
                self.composed(reaction, now_ms)
            }
        }
    }

    /// A path that was pasted as a picture may be none: better said now than when it is sent.
    fn pasted(&mut self, text: &str, now_ms: u64) -> Vec<Action> {
        let before = self.composer.images();
        let reaction = self.composer.on_paste(text);
        let mut actions = self.composed(reaction, now_ms);
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
        self.settle(now_ms);
    }

    /// Shows the questions that are open, and none else.
    fn settle(&mut self, now_ms: u64) {
        self.composer.set_running(self.session.turn.is_some());
        let shown = self.approval.as_ref().map(|approval| &approval.asked);
        let asked = Asked::first(&self.session, shown);
        if asked.as_ref() != shown {
            self.approval = asked.and_then(|asked| self.approval(&asked, now_ms));
        }
        self.ask_secret(now_ms);
        self.ask_budget(now_ms);
    }

    /// Asks whether the turn goes on although the budget is reached, for as long as that is the question.
    fn ask_budget(&mut self, now_ms: u64) {
        let reached = self.session.spending.reached.as_ref().filter(|_| self.playback.is_none());
        match (reached, self.over_budget) {
            (Some((_, reason)), false) => {
                let view = OverBudget::new(reason);
                self.over_budget = true;
                self.overlays.push(Box::new(view));
            }
            (None, true) => {
                self.over_budget = false;
                self.overlays.retain(|overlay| !overlay.is_over(&self.session));
                if self.overlays.is_empty() {
                    self.appear(now_ms);
                }
            }
            _ => {}
        }
    }

    /// Shows the question of a process for what is not echoed, for as long as there is one.
    fn ask_secret(&mut self, now_ms: u64) {
        let asked = &self.session.secrets;
        if self.secret.is_some_and(|process| !asked.contains_key(&process)) {
            self.overlays.retain(|overlay| !overlay.is_over(&self.session));
            self.secret = None;
            if self.overlays.is_empty() {
                self.appear(now_ms);
            }
        }
        if self.secret.is_none()
            && self.playback.is_none()
            && let Some((process, asked)) = self.session.secrets.first_key_value()
        {
            self.secret = Some(*process);
            let view = Secret::new(*process, asked.clone(), self.typed_ms, now_ms);
            self.overlays.push(Box::new(view));
        }
    }

    fn approval(&self, asked: &Asked, now_ms: u64) -> Option<Approval> {
        match asked {
            Asked::Call(call) => Approval::of(self.session.call(call)?, &self.ground, self.typed_ms, now_ms),
            Asked::Host(request) => {
                let question = self.session.hosts_asked().find(|question| question.request == *request)?;
                Some(Approval::of_host(question, &self.ground, self.typed_ms, now_ms))
            }
        }
    }

    /// Ends the turn that a question comes from. A command that outlived its turn can ask as well: then it is a no.
    fn leave_question(&self) -> Action {
        Action::Send(match (&self.approval, &self.session.turn) {
            (Some(Approval { asked, .. }), None) => {
                asked.clone().decide(Verdict::Deny { note: String::new() })
            }
            _ => Command::Interrupt,
        })
    }

    fn rejected(&mut self, rejection: &Rejection) {
        self.said = Some(match rejection {
            Rejection::Unwritable(reason) => {
                format!("the session can't be written, and takes no more work: {reason}")
            }
            other => other.to_string(),
        });
    }

    /// A question can be seen again, behind what covered it.
    pub(super) fn appear(&mut self, now_ms: u64) {
        if let Some(approval) = &mut self.approval {
            approval.appear(now_ms);
        }
    }

    fn look(&self, now_ms: u64) -> Look<'_> {
        let now_ms = self.clock(now_ms);
        let Self { session, transcript, ground, theme, .. } = self;
        Look { session, transcript, ground, theme, now_ms }
    }

    /// When the composer wants to be called, if at all.
    pub(super) fn wake_at(&self) -> Option<tokio::time::Instant> {
        self.composer.wake_at().map(Into::into)
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
        Fact::ApprovalRequested { .. } | Fact::HostRequested { .. } => Some("needs your approval"),
        Fact::SecretAsked { .. } => Some("needs a password"),
        Fact::BudgetReached { hard: false, .. } => Some("has reached its budget"),
        Fact::TurnFinished { outcome: Outcome::Interrupted, .. } => None,
        Fact::TurnFinished { outcome: Outcome::Failed { .. }, .. } => Some("failed"),
        Fact::TurnFinished { .. } => Some("finished"),
        _ => None,
    }
}

/// Milliseconds of the clock as a time.
fn moment(now_ms: u64) -> Time {
    i64::try_from(now_ms).ok().and_then(|now| Time::from_millisecond(now).ok()).unwrap_or_default()
}
