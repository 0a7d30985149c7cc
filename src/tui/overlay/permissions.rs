//! What may happen without asking: the two modes, and the rules that people gave.

use crossterm::event::KeyCode;

use crate::protocol::{Approval, Command, Rule, SandboxMode, Scope, Settings};
use crate::tui::{
    action::Action,
    host::{Answer, Question},
    keymap::Key,
    term::Size,
};

use super::{
    Look, Overlay, Page, Place, Reaction,
    menu::{Entry, Menu, Picked},
};

/// The view.
pub(in crate::tui) struct Permissions {
    all: Menu<Row>,
    /// One of the modes is being chosen.
    modes: Option<Menu<Mode>>,
    /// The rules that are kept, where there is no session that knows them.
    kept: Vec<Rule>,
}

/// A line of the view.
#[derive(Debug, Clone, PartialEq)]
enum Row {
    Approval,
    Sandbox,
    Rule(Rule),
}

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Approval(Approval),
    Sandbox(SandboxMode),
    /// Not chosen before it was said twice.
    Unconfined,
    /// As it is.
    Stay,
}

impl Permissions {
    pub(in crate::tui) fn new() -> Self {
        let all = Menu::new("What may happen without asking you", Vec::new());
        Self { all, modes: None, kept: Vec::new() }
    }

    fn rules<'a>(&'a self, look: &'a Look<'_>) -> &'a [Rule] {
        match look.session.settings {
            Some(_) => &look.session.rules,
            None => &self.kept,
        }
    }

    fn entries(&self, look: &Look<'_>) -> Vec<Entry<Row>> {
        let Settings { approval, sandbox, .. } = look.settings();
        let mut entries = vec![
            Entry::new(Row::Approval, &format!("You are asked: {approval}")).about(about_approval(*approval)),
            Entry::new(Row::Sandbox, &format!("Sandbox: {sandbox}")).about(about_sandbox(*sandbox)),
        ];
        for rule in self.rules(look) {
            let about = match rule.scope {
                Scope::Session | Scope::Unknown => rule.scope.to_string(),
                Scope::Project => {
                    format!("{}, {}; in {}", rule.scope, look.ground.project, look.ground.config)
                }
                Scope::Everywhere => format!("{}; in {}", rule.scope, look.ground.config),
            };
            entries.push(Entry::new(Row::Rule(rule.clone()), &format!("Rule: {}", rule.grant)).about(&about));
        }
        entries
    }

    fn chosen(&mut self, look: &Look<'_>) -> Reaction {
        let Settings { approval, sandbox, .. } = look.settings();
        self.modes = match self.all.selected() {
            Some(Row::Approval) => Some(approvals(*approval)),
            Some(Row::Sandbox) => Some(sandboxes(*sandbox)),
            Some(Row::Rule(_)) | None => None,
        };
        Reaction::Consumed
    }

    /// Takes a rule back.
    fn revoke(&self, look: &Look<'_>) -> Reaction {
        let Some(Row::Rule(rule)) = self.all.selected() else { return Reaction::Ignored };
        let rule = rule.clone();
        Reaction::Do(match look.session.settings {
            Some(_) => vec![Action::Send(Command::Revoke { rule })],
            None => vec![Action::ForgetRule(rule), Action::Ask(Question::Rules)],
        })
    }

    fn mode_key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        let Some(modes) = &mut self.modes else { return Reaction::Ignored };
        match modes.key(key) {
            Picked::Ignored => return Reaction::Ignored,
            Picked::Consumed => return Reaction::Consumed,
            Picked::Closed => {}
            Picked::Chosen => {
                let settings = look.settings().clone();
                let settings = match modes.selected() {
                    Some(Mode::Approval(approval)) => Settings { approval: *approval, ..settings },
                    Some(Mode::Sandbox(SandboxMode::DangerFullAccess)) => {
                        self.modes = Some(sure(settings.sandbox));
                        return Reaction::Consumed;
                    }
                    Some(Mode::Sandbox(sandbox)) => Settings { sandbox: *sandbox, ..settings },
                    Some(Mode::Unconfined) => Settings { sandbox: SandboxMode::DangerFullAccess, ..settings },
                    Some(Mode::Stay) | None => settings,
                };
                self.modes = None;
                if settings != *look.settings() {
                    return Reaction::Do(vec![Action::configure(look.session, settings)]);
                }
            }
        }
        self.modes = None;
        Reaction::Consumed
    }
}

impl Overlay for Permissions {
    fn place(&self) -> Place {
        Place::Below
    }

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        if self.modes.is_some() {
            return self.mode_key(key, look);
        }
        self.all.set_entries(self.entries(look));
        if key.typed() == Some('d') || key.code == KeyCode::Delete {
            return self.revoke(look);
        }
        match self.all.key(key) {
            Picked::Ignored => Reaction::Ignored,
            Picked::Consumed => Reaction::Consumed,
            Picked::Chosen => self.chosen(look),
            Picked::Closed => Reaction::Close(Vec::new()),
        }
    }

    fn answer(&mut self, answer: &Answer) {
        if let Answer::Rules(rules) = answer {
            self.kept.clone_from(rules);
        }
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        if let Some(modes) = &mut self.modes {
            return modes.draw(size, look.theme);
        }
        self.all.set_entries(self.entries(look));
        let revokes = matches!(self.all.selected(), Some(Row::Rule(_)));
        self.all.set_hint(if revokes { "d revokes the rule" } else { "" });
        self.all.draw(size, look.theme)
    }
}

fn approvals(now: Approval) -> Menu<Mode> {
    let entry = |mode: Approval| {
        Entry::new(Mode::Approval(mode), &mode.to_string()).about(about_approval(mode)).current(mode == now)
    };
    let all = [Approval::Untrusted, Approval::OnRequest, Approval::Never];
    Menu::new("When are you asked?", all.map(entry).into())
}

fn sandboxes(now: SandboxMode) -> Menu<Mode> {
    let entry = |mode: SandboxMode| {
        Entry::new(Mode::Sandbox(mode), &mode.to_string()).about(about_sandbox(mode)).current(mode == now)
    };
    let all = [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess];
    Menu::new("What may commands touch, from the next one on?", all.map(entry).into())
}

/// Asked before there is no sandbox. The answer that is selected changes nothing.
fn sure(now: SandboxMode) -> Menu<Mode> {
    let entries = vec![
        Entry::new(Mode::Stay, &format!("No, stay with {now}")),
        Entry::new(Mode::Unconfined, "Yes, run commands without a sandbox"),
    ];
    Menu::new("Without a sandbox, really?", entries).about(
        "Commands of the model may then read, change and send all that you can yourself, your keys and other \
         projects included.",
    )
}

fn about_approval(approval: Approval) -> &'static str {
    match approval {
        Approval::Untrusted => "before everything that is not known to be harmless",
        Approval::OnRequest => "when something is to leave the sandbox",
        Approval::Never => "nobody is asked: what would need you is refused",
    }
}

fn about_sandbox(sandbox: SandboxMode) -> &'static str {
    match sandbox {
        SandboxMode::ReadOnly => "commands look, and write only to a private temporary directory",
        SandboxMode::WorkspaceWrite => {
            "commands change the workspace; hosts that you have not allowed and all else are closed"
        }
        SandboxMode::DangerFullAccess => "no sandbox: commands may do everything that you may",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Event, Fact, Grant, Seq, Time};
    use crate::session::Session;
    use crate::tui::{status::Ground, theme::Theme, transcript::Transcript};

    struct Seat {
        session: Session,
        transcript: Transcript,
        ground: Ground,
        theme: Theme,
        view: Permissions,
    }

    fn rule(scope: Scope) -> Rule {
        Rule { grant: Grant::CommandPrefix { words: vec!["npm".into(), "ci".into()] }, scope }
    }

    impl Seat {
        fn new(rules: &[Rule], session: bool) -> Self {
            let ground = Ground::sample();
            let mut seat = Self {
                session: Session::default(),
                transcript: Transcript::new(),
                theme: Theme::plain(),
                view: Permissions::new(),
                ground,
            };
            if session {
                let settings = seat.ground.settings.clone();
                for fact in [Fact::Configured { settings }, Fact::RulesRead { rules: rules.to_vec() }] {
                    seat.session.apply(&Event { seq: Seq(1), at: Time::UNIX_EPOCH, fact });
                }
            } else {
                seat.view.answer(&Answer::Rules(rules.to_vec()));
            }
            seat
        }

        /// Presses keys; what the last one does.
        fn press(&mut self, keys: &str) -> Vec<Action> {
            let Self { session, transcript, ground, theme, view } = self;
            let look = Look { session, transcript, ground, theme, now_ms: 0 };
            let mut done = Vec::new();
            for key in keys.split(' ') {
                view.draw(Size { columns: 80, rows: 24 }, &look);
                done = match view.key(key.parse().unwrap(), &look) {
                    Reaction::Do(actions) | Reaction::Close(actions) => actions,
                    Reaction::Consumed | Reaction::Ignored | Reaction::Open(_) => Vec::new(),
                };
            }
            done
        }

        fn text(&mut self, columns: u16, rows: u16) -> String {
            let Self { session, transcript, ground, theme, view } = self;
            let look = Look { session, transcript, ground, theme, now_ms: 0 };
            let page = view.draw(Size { columns, rows }, &look);
            assert!(page.rows.len() <= usize::from(rows), "{page:?}");
            page.rows.iter().map(|row| row.to_string().trim_end().to_owned()).collect::<Vec<_>>().join("\n")
        }

        fn configured(&self, change: impl FnOnce(&mut Settings)) -> Vec<Action> {
            let mut settings = self.ground.settings.clone();
            change(&mut settings);
            vec![Action::configure(&self.session, settings)]
        }
    }

    #[test]
    fn modes_and_rules_are_shown_with_what_they_mean_and_where_they_stand() {
        let mut seat = Seat::new(&[rule(Scope::Everywhere), rule(Scope::Project)], true);
        seat.session.rules.push(rule(Scope::Session));
        assert_eq!(
            seat.text(80, 22),
            "  What may happen without asking you\n\n\
             › 1. You are asked: on-request  when something is to leave the sandbox\n  \
             2. Sandbox: workspace-write  commands change the workspace; hosts that you\n     have not allowed and all else are closed\n  \
             3. Rule: commands that begin with `npm ci`, outside the sandbox too  always\n     everywhere; in ~/.config/agent/config.toml\n  \
             4. Rule: commands that begin with `npm ci`, outside the sandbox too  always in\n     this project, ~/project; in ~/.config/agent/config.toml\n  \
             5. Rule: commands that begin with `npm ci`, outside the sandbox too  until\n     this session ends\n\n  \
             ↑↓ Enter chooses · Esc goes back"
        );
        seat.text(40, 12);
    }

    #[test]
    fn a_mode_is_changed_for_the_session_or_else_for_the_next_one() {
        for session in [true, false] {
            let mut seat = Seat::new(&[], session);
            let wanted = seat.configured(|settings| settings.approval = Approval::Never);
            assert_eq!(seat.press("enter 3"), wanted);
            let wanted = seat.configured(|settings| settings.sandbox = SandboxMode::ReadOnly);
            assert_eq!(seat.press("2 up enter"), wanted);
            assert_eq!(matches!(wanted[..], [Action::Send(_)]), session);
            // What holds already is no change.
            assert_eq!(seat.press("2 enter"), []);
        }
    }

    #[test]
    fn full_access_is_asked_for_twice_and_enter_alone_does_not_give_it() {
        let mut seat = Seat::new(&[], true);
        assert_eq!(seat.press("2 3"), []);
        assert!(seat.text(80, 24).contains("really?"));
        assert_eq!(seat.press("enter"), []);
        assert_eq!(seat.press("2 3 esc"), []);
        let wanted = seat.configured(|settings| settings.sandbox = SandboxMode::DangerFullAccess);
        assert_eq!(seat.press("2 3 2"), wanted);
    }

    #[test]
    fn d_takes_the_selected_rule_back_and_nothing_else() {
        let revoke = |scope| vec![Action::Send(Command::Revoke { rule: rule(scope) })];
        let mut seat = Seat::new(&[rule(Scope::Everywhere), rule(Scope::Project)], true);
        assert_eq!(seat.press("d"), []);
        assert_eq!(seat.press("down down d"), revoke(Scope::Everywhere));
        assert_eq!(seat.press("down delete"), revoke(Scope::Project));
        let mut without = Seat::new(&[rule(Scope::Everywhere)], false);
        let wanted = vec![Action::ForgetRule(rule(Scope::Everywhere)), Action::Ask(Question::Rules)];
        assert_eq!(without.press("end d"), wanted);
    }
}
