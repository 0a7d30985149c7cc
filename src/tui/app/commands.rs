//! Commands that begin with a slash, and the views that they open.

use std::path::PathBuf;

use crate::protocol::{Command, Content, Delivery, Seq, TurnId, printable};

use crate::tui::{
    action::Action,
    host::{Apart, Prospect, Question, Switch},
    overlay::{
        Back, Changes, Models, Overlay, Permissions, Processes, Reveal, Rewind, Room, Sessions, Skills,
        Themes, Undo, conversation,
    },
    slash,
    theme::{self, Theme},
};

use super::{App, moment};

impl App {
    pub(super) fn command(&mut self, name: &str, args: &str, now_ms: u64) -> Vec<Action> {
        match slash::run(name, args, &self.session, &self.ground, moment(now_ms)) {
            slash::Run::Do(actions) => actions,
            slash::Run::New if self.is_busy() => Vec::new(),
            slash::Run::New => vec![Action::New],
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
                Some(theme) => self.put_on(name, theme),
                None => self.read_theme(&name, true),
            },
            slash::Run::Models(name) => self.models(name),
            slash::Run::Cost(lines) => {
                self.transcript.say(lines);
                // What is beside the session is known elsewhere.
                vec![Action::Ask(Question::MemoryCost)]
            }
            slash::Run::Memory(words) => vec![Action::Ask(Question::Memory(words))],
            slash::Run::Permissions => {
                self.overlays.push(Box::new(Permissions::new()));
                vec![Action::Ask(Question::Rules)]
            }
            slash::Run::Open(slash::View::Skills) => {
                self.overlays.push(Box::new(Skills::new()));
                vec![Action::Ask(Question::Skills)]
            }
            slash::Run::Open(view) => {
                self.overlays.push(match view {
                    slash::View::Context => Box::new(Room),
                    slash::View::Changes => Box::new(Changes::new()),
                    slash::View::Processes => Box::new(Processes::new()),
                    slash::View::Skills => Box::new(Skills::new()),
                });
                Vec::new()
            }
            slash::Run::Export(file) => self.export(file),
            slash::Run::Feedback => vec![Action::Feedback],
            slash::Run::Reveal(handle) => {
                self.open(Box::new(Reveal::new(handle.clone())));
                vec![Action::Ask(Question::Reveal { handle })]
            }
            slash::Run::Rewind => {
                self.rewind();
                Vec::new()
            }
            slash::Run::Restore(_) if self.is_busy() => Vec::new(),
            slash::Run::Restore(Err(nothing)) => {
                self.said = Some(nothing.to_string());
                Vec::new()
            }
            slash::Run::Restore(Ok(known)) => {
                self.said = Some("looking at what would change".to_owned());
                vec![Action::Ask(Question::WouldRestore(known))]
            }
            slash::Run::Sessions if self.is_busy() => Vec::new(),
            slash::Run::Sessions => self.sessions(false),
            slash::Run::Fork(_) if self.is_busy() => Vec::new(),
            slash::Run::Fork(apart) => match self.session.id {
                Some(id) if self.session.turns > TurnId(0) => {
                    if apart != Apart::No {
                        self.said = Some("making the directory".to_owned());
                    }
                    vec![Action::Switch(Switch::Fork(id, apart))]
                }
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

    /// Lines for the transcript that come from elsewhere.
    pub fn tell(&mut self, lines: Vec<String>) {
        self.transcript.say(lines.into_iter().map(|line| printable(&line).into_owned()).collect());
    }

    /// Lets the person choose a model, or what to do with one that was named.
    pub(super) fn models(&mut self, name: String) -> Vec<Action> {
        self.overlays.push(Box::new(Models::default()));
        let like = self.ground.settings_of(&self.session).model.clone();
        let mut questions = vec![Question::Models];
        if !name.is_empty() {
            questions.push(Question::Model { name, like });
        }
        questions.into_iter().map(Action::Ask).collect()
    }

    pub(super) fn export(&mut self, file: Option<PathBuf>) -> Vec<Action> {
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

    pub(super) fn help(&mut self) -> Vec<Action> {
        self.transcript.say(slash::help(&self.keymap, &self.prompts));
        Vec::new()
    }

    /// Says that something must wait for the end of a turn, if one runs.
    pub(super) fn is_busy(&mut self) -> bool {
        let busy = !self.session.idle();
        if busy {
            self.said = Some("a turn is running; interrupt it first, or wait for its end".to_owned());
        }
        busy
    }

    /// Shows a view.
    pub(in crate::tui) fn open(&mut self, overlay: Box<dyn Overlay>) {
        self.overlays.push(overlay);
    }

    /// Shows the sessions that are kept. With `only`, closing them is leaving.
    pub(in crate::tui) fn sessions(&mut self, only: bool) -> Vec<Action> {
        let (sessions, action) = Sessions::open(only, self.session.id);
        self.open(Box::new(sessions));
        vec![action]
    }

    /// Shows what an undo or a redo would change, and asks.
    pub(super) fn would_restore(&mut self, prospect: &Prospect) {
        self.said = None;
        if prospect.ours + prospect.theirs == 0 {
            self.said = Some("nothing to put back: the files are as they were".to_owned());
            return;
        }
        let what = match prospect.known.turn {
            Some(turn) => format!("Undo what was done to files since turn {turn} began:"),
            None => "Take back the last undo:".to_owned(),
        };
        self.transcript.say([vec![what], prospect.lines.clone()].concat());
        self.open(Box::new(Undo::new(prospect)));
    }

    /// Asks what is to go back to before a message, or goes back where no file would change.
    pub(super) fn would_rewind(&mut self, to: Seq, text: &str, prospect: &Prospect) -> Vec<Action> {
        self.said = None;
        if self.session.said_at(to).is_none() || !self.session.idle() {
            self.said = Some("nothing went back: the conversation has gone on meanwhile".to_owned());
            return Vec::new();
        }
        if prospect.ours + prospect.theirs == 0 {
            return conversation(to, text);
        }
        let turn = prospect.known.turn.map(|turn| turn.to_string()).unwrap_or_default();
        let what = format!("Files as they were before turn {turn} began:");
        self.transcript.say([vec![what], prospect.lines.clone()].concat());
        let about = match self.session.began_turn(to) {
            true => "What would become of the files is listed above.",
            false => "It came while a turn ran: files can only go back to before that turn, as listed above.",
        };
        self.open(Box::new(Back::new(to, text.to_owned(), prospect, about)));
        Vec::new()
    }

    pub(super) fn rewind(&mut self) {
        match Rewind::new(&self.session) {
            _ if !self.session.idle() => {
                self.said = Some("a turn is running; interrupt it first".to_owned());
            }
            Some(rewind) => self.open(Box::new(rewind)),
            None => self.said = Some("nothing was said yet".to_owned()),
        }
    }

    /// A theme by its name: at once, or when its file was read.
    pub(super) fn choose_theme(&mut self, name: &str) -> Vec<Action> {
        if let Some(theme) = theme::named(name, self.dark) {
            self.wear(name.to_owned(), theme);
            return Vec::new();
        }
        self.read_theme(name, false)
    }

    /// A theme of the person's own. With `keep`, it is just being chosen.
    fn read_theme(&mut self, name: &str, keep: bool) -> Vec<Action> {
        self.theme_wanted = Some((name.to_owned(), keep));
        vec![Action::Ask(Question::Themes)]
    }

    pub(super) fn themes_read(&mut self, themes: &[(String, Result<String, String>)]) -> Vec<Action> {
        let Some((wanted, keep)) = self.theme_wanted.take() else { return Vec::new() };
        let read = match themes.iter().find(|(name, _)| *name == wanted) {
            None => {
                Err("there is no such file in the folder of themes, and none of that name ships".to_owned())
            }
            Some((_, Err(problem))) => Err(problem.clone()),
            Some((_, Ok(text))) => theme::parse(text).map_err(|error| error.to_string()),
        };
        match read {
            Ok(theme) if keep => return self.put_on(wanted, theme),
            Ok(theme) => self.wear(wanted, theme),
            Err(problem) => self.said = Some(format!("theme `{wanted}`: {problem}")),
        }
        Vec::new()
    }

    /// Wears what the person chose just now, and has it kept.
    pub(in crate::tui) fn put_on(&mut self, name: String, theme: Theme) -> Vec<Action> {
        self.wear(name.clone(), theme);
        vec![Action::KeepTheme(name)]
    }

    pub(super) fn wear(&mut self, name: String, theme: Theme) {
        self.theme = if self.colours { theme } else { Theme::plain() };
        self.theme_name = name;
    }
}
