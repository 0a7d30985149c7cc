//! A pending approval, in the place of the composer.
//!
//! It shows what would happen, all of it, and what each key does. No answer is ever the default, and keys that
//! were on their way before it could be read mean nothing.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{style::Style, text::Line};

use crate::protocol::{
    Effects, FileOperation, Grant, Intent, Rule, Scope, Verdict, exact as exactly, printable,
};
use crate::session::{Call, CallState, HostQuestion};

use super::{
    asked::Asked,
    settle::Settle,
    status::Ground,
    text::{Break, Prefix, Text, diff, exact},
    theme::Theme,
};

/// Rows for what would happen, at least; with fewer the choices are told in short.
const LEAST: usize = 5;
/// The keys that say yes for longer.
const LONGER: [(char, Scope); 3] = [('s', Scope::Session), ('p', Scope::Project), ('a', Scope::Everywhere)];

/// What a key did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reaction {
    Consumed,
    Ignored,
    Decide(Asked, Verdict),
    /// End the turn.
    Interrupt,
}

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Approval {
    pub(super) asked: Asked,
    intent: Intent,
    reason: String,
    grants: Vec<Grant>,
    effects: Effects,
    /// Which of them a longer yes gives.
    grant: usize,
    /// The project, and the file that rules are kept in, for a person to read.
    project: String,
    config: String,
    settle: Settle,
    /// Rows of what would happen that were shown last.
    page: usize,
    /// The note for a no, once the person has said that it is a no.
    note: Option<String>,
    /// First row that is shown.
    top: usize,
    /// The last row of what would happen has been on the screen.
    read: bool,
}

impl Approval {
    /// The question that a call asks, which appears at `now_ms`. A key was pressed at `typed_ms` before that.
    pub(super) fn of(call: &Call, ground: &Ground, typed_ms: u64, now_ms: u64) -> Option<Self> {
        let CallState::Asked { intent, reason, grants, effects } = &call.state else { return None };
        let asked = Asked::Call(call.id.clone());
        let effects = effects.as_deref().cloned().unwrap_or_default();
        Some(Self { effects, ..Self::new(asked, (intent, reason, grants), ground, typed_ms, now_ms) })
    }

    /// The question that a connection asks.
    pub(super) fn of_host(question: &HostQuestion, ground: &Ground, typed_ms: u64, now_ms: u64) -> Self {
        let HostQuestion { request, intent, reason, grants, .. } = question;
        Self::new(Asked::Host(*request), (intent, reason, grants), ground, typed_ms, now_ms)
    }

    fn new(
        asked: Asked,
        (intent, reason, grants): (&Intent, &str, &[Grant]),
        ground: &Ground,
        typed_ms: u64,
        now_ms: u64,
    ) -> Self {
        Self {
            asked,
            intent: intent.clone(),
            reason: reason.to_owned(),
            grants: grants.to_vec(),
            effects: Effects::default(),
            grant: 0,
            project: ground.project.clone(),
            config: ground.config.clone(),
            settle: Settle::new(typed_ms, now_ms),
            page: 1,
            note: None,
            top: 0,
            read: false,
        }
    }

    /// It can be seen only now: what was pressed before was meant for something else.
    pub(super) fn appear(&mut self, now_ms: u64) {
        self.settle.appear(now_ms);
    }

    pub(super) fn key(&mut self, key: KeyEvent, now_ms: u64) -> Reaction {
        if key.code == KeyCode::Esc && self.note.is_none() {
            return Reaction::Interrupt;
        }
        if self.note.is_none() && self.settle.is_early(now_ms) {
            return Reaction::Consumed;
        }
        // A letter that follows Esc at once arrives as Alt and that letter: it is no letter.
        if matches!(key.code, KeyCode::Char(_))
            && key.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER)
        {
            return Reaction::Consumed;
        }
        if self.note.is_some() {
            return self.note_key(key);
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Up => self.top = self.top.saturating_sub(1),
            KeyCode::Down => self.top = self.top.saturating_add(1),
            KeyCode::PageUp => self.top = self.top.saturating_sub(self.step()),
            KeyCode::PageDown | KeyCode::Char(' ') => self.top = self.top.saturating_add(self.step()),
            KeyCode::Home => self.top = 0,
            KeyCode::Char('y') if !control && self.read => {
                return Reaction::Decide(self.asked.clone(), Verdict::Allow);
            }
            KeyCode::Char(key) if !control && self.read && self.longer(key).is_some() => {
                if let Some(Rule { grant, scope }) = self.longer(key) {
                    return Reaction::Decide(self.asked.clone(), Verdict::AllowAlways { grant, scope });
                }
            }
            KeyCode::Tab if self.grants.len() > 1 => {
                self.grant = (self.grant + 1) % self.grants.len();
                // Another rule is to be read before it is given.
                self.read = false;
                self.top = usize::MAX;
            }
            KeyCode::Char('n') if !control => self.note = Some(String::new()),
            _ => return if control { Reaction::Ignored } else { Reaction::Consumed },
        }
        Reaction::Consumed
    }

    /// A page, with a row of the one before.
    fn step(&self) -> usize {
        self.page.saturating_sub(1).max(1)
    }

    /// The rule that a key gives.
    fn longer(&self, key: char) -> Option<Rule> {
        let (_, scope) = LONGER.iter().find(|(known, _)| *known == key)?;
        let grant = self.grants.get(self.grant).filter(|grant| grant.fits(*scope))?;
        Some(Rule { grant: grant.clone(), scope: *scope })
    }

    fn note_key(&mut self, key: KeyEvent) -> Reaction {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let Some(note) = &mut self.note else { return Reaction::Consumed };
        match key.code {
            KeyCode::Enter => {
                let verdict = Verdict::Deny { note: std::mem::take(note) };
                return Reaction::Decide(self.asked.clone(), verdict);
            }
            KeyCode::Esc => self.note = None,
            KeyCode::Backspace => drop(note.pop()),
            KeyCode::Char('u') if control => note.clear(),
            KeyCode::Char(char) if !control => note.push(char),
            _ if control => return Reaction::Ignored,
            _ => {}
        }
        Reaction::Consumed
    }

    /// Text that was pasted belongs to the note, and decides nothing.
    pub(super) fn paste(&mut self, text: &str) {
        if let Some(note) = &mut self.note {
            note.push_str(&text.replace(['\r', '\n'], " "));
        }
    }

    /// The rows of the question, at most `max_rows` of them, and where the cursor is.
    pub(super) fn draw(
        &mut self,
        width: u16,
        max_rows: u16,
        theme: &Theme,
        more: usize,
    ) -> (Vec<Line<'static>>, Option<(u16, u16)>) {
        let body = self.body(width, theme);
        // The choices get the room that they take at most: once all has been read.
        let most = usize::from(max_rows);
        let short = self.choices(width, theme, more, (true, false)).len() + LEAST > most;
        let all_choices = self.choices(width, theme, more, (true, short)).len();
        let room = most.saturating_sub(all_choices + 1);
        if room == 0 || width < exact::LEAST_COLUMNS {
            // What can't be seen can't be allowed.
            self.read = false;
            let text = "Make the terminal larger to answer; Esc interrupts";
            let mut page = Page { rows: Vec::new(), width };
            page.say(text, theme.warning);
            page.rows.truncate(most.max(1));
            return (page.rows, None);
        }
        let last = body.len().saturating_sub(room);
        self.top = self.top.min(last);
        self.page = room;
        self.read |= self.top == last;
        let choices = self.choices(width, theme, more, (self.read, short));
        let mut rows: Vec<Line<'static>> = body.iter().skip(self.top).take(room).cloned().collect();
        if last > 0 {
            let text = format!(
                "  lines {}–{} of {} · ↑↓ PgUp PgDn",
                self.top + 1,
                self.top + rows.len(),
                body.len()
            );
            rows.push(Line::styled(text, theme.dim));
        }
        let cursor = self.note.as_ref().map(|_| {
            let row = rows.len() + choices.len() - 1;
            let column = choices.last().map_or(0, Line::width);
            (
                u16::try_from(column).unwrap_or(u16::MAX).min(width.saturating_sub(1)),
                u16::try_from(row).unwrap_or(0),
            )
        });
        rows.extend(choices);
        (rows, cursor)
    }

    fn body(&self, width: u16, theme: &Theme) -> Vec<Line<'static>> {
        let mut page = Page { rows: Vec::new(), width };
        match &self.intent {
            Intent::Command { command, workdir, escalated, justification, shell, .. } => {
                let place = if *escalated { " outside the sandbox" } else { "" };
                page.say(&format!("Run this command{place}?"), theme.strong);
                if let Some(why) = justification {
                    page.say(&format!("Why: {why}"), theme.plain);
                }
                page.say_exactly(&format!("In: {}", workdir.display()), theme.dim);
                if let Some(shell) = shell {
                    page.say_exactly(&format!("Read by: {}", shell.display()), theme.dim);
                }
                // What the model gave as its reason is not said twice.
                if justification.as_deref().is_none_or(|why| why.trim() != self.reason.trim()) {
                    page.say(&format!("Asked because: {}", self.reason), theme.dim);
                }
                let look = exact::Look { plain: theme.accent, spelled: theme.warning, mark: theme.dim };
                page.rows.extend(exact::quoted(command, '$', width, look));
                for line in self.effects.lines() {
                    page.say_exactly(&line, theme.warning);
                }
            }
            Intent::Write { files } => {
                page.say("Make these changes?", theme.strong);
                page.say(&format!("Asked because: {}", self.reason), theme.dim);
                for file in files {
                    let verb = match file.operation {
                        FileOperation::Add => "add",
                        FileOperation::Overwrite => "OVERWRITE",
                        FileOperation::Update => "edit",
                        FileOperation::Delete => "delete",
                        FileOperation::Unknown => "change",
                    };
                    let outside = if file.outside { " (outside the workspace)" } else { "" };
                    let to =
                        file.moved_to.as_ref().map(|to| format!(" → {}", to.display())).unwrap_or_default();
                    page.say_exactly(&format!("{verb} {}{to}{outside}", file.path.display()), theme.accent);
                    page.rows.extend(diff::rows(&file.diff, usize::MAX, width, theme).0);
                }
            }
            Intent::Read { paths } => {
                page.say("Read these files?", theme.strong);
                page.say(&format!("Asked because: {}", self.reason), theme.dim);
                for path in paths {
                    page.say_exactly(&path.to_string_lossy(), theme.accent);
                }
            }
            Intent::Connect { host, port } => {
                page.say("Let this command reach another machine?", theme.strong);
                page.say(&format!("{host}:{port}"), theme.accent);
                page.say(&format!("Asked because: {}", self.reason), theme.dim);
                page.say("It can send there whatever it can read.", theme.dim);
            }
            Intent::Remember { before, after } => {
                let what = match (before.is_empty(), after.is_empty()) {
                    (true, _) => "Remember this for later sessions?",
                    (false, true) => "Forget this?",
                    (false, false) => "Correct what is remembered?",
                };
                page.say(what, theme.strong);
                if !before.is_empty() {
                    page.say_exactly(&format!("- {before}"), theme.removed);
                }
                if !after.is_empty() {
                    page.say_exactly(&format!("+ {after}"), theme.added);
                }
                page.say(&format!("Asked because: {}", self.reason), theme.dim);
            }
            Intent::Hosted { tools } => {
                page.say("Let the provider use this?", theme.strong);
                for tool in tools {
                    page.say_exactly(tool, theme.accent);
                }
                page.say(&format!("Asked because: {}", self.reason), theme.dim);
            }
            Intent::Input { .. } | Intent::None | Intent::Unknown => {
                page.say("Allow this call?", theme.strong);
                page.say(&self.reason, theme.plain);
            }
        }
        if let Some(grant) = self.grants.get(self.grant) {
            let which = match self.grants.len() {
                1 => String::new(),
                count => format!(" {} of {count} (Tab: another)", self.grant + 1),
            };
            page.say_exactly(&format!("Rule{which}: {grant}"), theme.warning);
        }
        page.rows
    }

    /// What each key does. The last row is where a note is written.
    fn choices(
        &self,
        width: u16,
        theme: &Theme,
        more: usize,
        (read, short): (bool, bool),
    ) -> Vec<Line<'static>> {
        let mut page = Page { rows: Vec::new(), width };
        if !short {
            page.rows.push(Line::default());
        }
        if let Some(note) = &self.note {
            page.say("No. What should it do instead? (Enter sends it, Esc goes back)", theme.dim);
            // The end of a long note is what is being written.
            let room = usize::from(width).saturating_sub(4);
            let from = note.chars().count().saturating_sub(room);
            let tail: String = note.chars().skip(from).collect();
            page.rows.push(Line::from(format!("› {}", printable(&tail))));
            return page.rows;
        }
        if !read {
            page.say("↓  read on: yes can be said at the end", theme.warning);
        } else {
            let hosted = matches!(self.intent, Intent::Hosted { .. });
            let once = match self.asked {
                Asked::Call(_) => "y  yes, this once",
                Asked::Host(_) if hosted => "y  yes, for this session",
                Asked::Host(_) => "y  yes, for this command",
            };
            page.say(once, theme.plain);
            for (key, scope) in LONGER.iter().filter(|(key, _)| self.longer(*key).is_some()) {
                let what = if short { brief(*scope).to_owned() } else { self.long(*scope) };
                page.say(&format!("{key}  yes, by this rule {what}"), theme.plain);
            }
        }
        let others = if more == 0 { String::new() } else { format!(" · {more} more after this one") };
        if short {
            page.say(&format!("n  no, and why · Esc interrupts{others}"), theme.plain);
        } else {
            page.say("n  no, and say what instead", theme.plain);
            page.say(&format!("Esc interrupts the turn{others}"), theme.dim);
        }
        page.rows
    }

    /// What a yes by the rule means, and where it is kept.
    fn long(&self, scope: Scope) -> String {
        match scope {
            Scope::Project => {
                format!("always in {} (kept in {})", self.project, self.config)
            }
            Scope::Everywhere => format!("always and everywhere (kept in {})", self.config),
            Scope::Session | Scope::Unknown => "until the session ends".to_owned(),
        }
    }
}

fn brief(scope: Scope) -> &'static str {
    match scope {
        Scope::Project => "always here",
        Scope::Everywhere => "everywhere",
        Scope::Session | Scope::Unknown => "this session",
    }
}

/// Rows being written.
struct Page {
    rows: Vec<Line<'static>>,
    width: u16,
}

impl Page {
    /// A sentence. Line ends in it are shown as what they are.
    fn say(&mut self, text: &str, style: Style) {
        let text = printable(text).replace('\n', "\\n");
        self.rows.extend(Text::of(&text, style).rows(
            self.width,
            Break::Words,
            &Prefix::hanging("  ", style),
        ));
    }

    /// A sentence with a name in it that is decided about.
    fn say_exactly(&mut self, text: &str, style: Style) {
        self.say(&exactly(text).replace('\n', "\\u{a}"), style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Args;

    fn question(command: &str, grants: Vec<Grant>) -> Approval {
        let intent = Intent::Command {
            command: command.into(),
            workdir: "/w".into(),
            escalated: true,
            justification: Some("May I?".into()),
            prefix: vec![],
            shell: None,
        };
        let state =
            CallState::Asked { intent, reason: "it leaves the sandbox".into(), grants, effects: None };
        let call = Call { id: "c1".into(), tool: "t".into(), args: Args::Json("{}".into()), state };
        Approval::of(&call, &Ground::sample(), 0, 101_000).unwrap()
    }

    fn prefix(words: &[&str]) -> Grant {
        Grant::CommandPrefix { words: words.iter().map(|word| (*word).to_owned()).collect() }
    }

    fn press(approval: &mut Approval, code: KeyCode, at: u64) -> Reaction {
        approval.key(KeyEvent::new(code, KeyModifiers::NONE), 100_000 + at)
    }

    fn text(approval: &mut Approval, width: u16, rows: u16) -> String {
        let (rows, _) = approval.draw(width, rows, &Theme::plain(), 0);
        rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn keys_that_were_on_their_way_decide_nothing() {
        let mut approval = question("rm -rf /", vec![]);
        text(&mut approval, 80, 24);
        for code in [KeyCode::Char('y'), KeyCode::Enter, KeyCode::Char('n')] {
            assert_eq!(press(&mut approval, code, 1_299), Reaction::Consumed);
        }
        assert_eq!(approval.note, None);
        assert_eq!(press(&mut approval, KeyCode::Enter, 5_000), Reaction::Consumed);
        let allowed = Reaction::Decide("c1".into(), Verdict::Allow);
        assert_eq!(press(&mut approval, KeyCode::Char('y'), 5_001), allowed);
    }

    #[test]
    fn whoever_goes_on_typing_is_not_heard_until_there_is_a_pause() {
        let mut approval = question("rm -rf /", vec![]);
        text(&mut approval, 80, 24);
        for at in [1_100, 1_350, 1_600, 1_850, 2_149] {
            assert_eq!(press(&mut approval, KeyCode::Char('y'), at), Reaction::Consumed, "{at}");
        }
        let allowed = Reaction::Decide("c1".into(), Verdict::Allow);
        assert_eq!(press(&mut approval, KeyCode::Char('y'), 2_449), allowed);

        // Somebody was writing when it came: a slow typist is one, too.
        let mut approval = Approval { settle: Settle::new(101_000, 101_000), ..question("rm -rf /", vec![]) };
        text(&mut approval, 80, 24);
        for at in [1_400, 2_300, 3_299] {
            assert_eq!(press(&mut approval, KeyCode::Char('y'), at), Reaction::Consumed, "{at}");
        }
        assert_eq!(press(&mut approval, KeyCode::Char('y'), 4_299), allowed);

        // What was covered is seen anew.
        approval.appear(110_000);
        assert_eq!(press(&mut approval, KeyCode::Char('y'), 10_200), Reaction::Consumed);
    }

    #[test]
    fn a_letter_behind_esc_is_no_letter() {
        let grant = Grant::CommandPrefix { words: vec!["npm".into(), "ci".into()] };
        let mut approval = question("npm ci", vec![grant]);
        text(&mut approval, 80, 24);
        for letter in "yspan".chars() {
            let key = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::ALT);
            assert_eq!(approval.key(key, 105_000), Reaction::Consumed, "{letter}");
        }
        assert_eq!(approval.note, None);
    }

    #[test]
    fn what_can_not_be_seen_can_not_be_allowed() {
        let grant = Grant::CommandPrefix { words: vec!["npm".into(), "ci".into()] };
        let mut approval = question("npm ci && rm -rf /", vec![grant]);
        for (width, rows) in [(20, 3), (20, 2), (20, 1), (80, 2)] {
            let shown = text(&mut approval, width, rows);
            assert!(shown.lines().count() <= usize::from(rows), "{width}x{rows}:\n{shown}");
            assert!(shown.starts_with("  Make the terminal"), "{width}x{rows}:\n{shown}");
            assert_eq!(press(&mut approval, KeyCode::Char('y'), 5_000), Reaction::Consumed);
        }
        let shown = text(&mut approval, 40, 8);
        assert!(shown.lines().count() <= 8 && shown.contains("↓  read on"), "{shown}");
    }

    #[test]
    fn a_long_question_is_read_by_the_page() {
        let long: String = (0..500).map(|n| format!("echo {n}\n")).collect();
        let mut approval = question(&long, vec![]);
        text(&mut approval, 80, 20);
        let mut presses = 0;
        while press(&mut approval, KeyCode::Char('y'), 5_000) == Reaction::Consumed {
            press(&mut approval, KeyCode::PageDown, 5_000);
            text(&mut approval, 80, 20);
            presses += 1;
        }
        assert!(presses < 60, "{presses}");
        press(&mut approval, KeyCode::Home, 5_000);
        assert!(text(&mut approval, 80, 20).starts_with("  Run this command"));
    }

    #[test]
    fn yes_can_not_be_said_before_the_end_was_shown() {
        let long: String = (0..50).map(|n| format!("echo {n}\n")).collect();
        let mut approval = question(&long, vec![]);
        assert!(text(&mut approval, 80, 20).contains("read on"));
        assert_eq!(press(&mut approval, KeyCode::Char('y'), 5_000), Reaction::Consumed);
        for _ in 0..60 {
            press(&mut approval, KeyCode::Down, 5_000);
            text(&mut approval, 80, 20);
        }
        let allowed = Reaction::Decide("c1".into(), Verdict::Allow);
        assert_eq!(press(&mut approval, KeyCode::Char('y'), 5_000), allowed);
    }

    #[test]
    fn a_reason_is_said_once() {
        let mut approval = question("x", vec![]);
        assert!(text(&mut approval, 80, 24).contains("Asked because: it leaves the sandbox"));
        approval.reason = "May I?".into();
        assert!(!text(&mut approval, 80, 24).contains("Asked because"));
    }

    #[test]
    fn the_rule_that_is_saved_is_shown_word_for_word() {
        let mut approval = question("npm install x", vec![prefix(&["npm", "install"])]);
        assert_eq!(
            text(&mut approval, 80, 24),
            "  Run this command outside the sandbox?\n  Why: May I?\n  In: /w\n  Asked because: it leaves the sandbox\n  \
             $ npm install x\n  Rule: commands that begin with `npm install`, outside the sandbox too\n\n  \
             y  yes, this once\n  s  yes, by this rule until the session ends\n  \
             p  yes, by this rule always in ~/project (kept in ~/.config/agent/config.toml)\n  \
             a  yes, by this rule always and everywhere (kept in\n  ~/.config/agent/config.toml)\n  \
             n  no, and say what instead\n  Esc interrupts the turn"
        );
    }

    #[test]
    fn each_key_gives_the_scope_that_stands_beside_it_or_nothing() {
        let (npm, script) = (prefix(&["npm", "install"]), prefix(&["./deploy", "it's"]));
        let longer = |grant: &Grant, scope| {
            Reaction::Decide("c1".into(), Verdict::AllowAlways { grant: grant.clone(), scope })
        };
        for (key, grants, reaction) in [
            ('y', vec![npm.clone()], Reaction::Decide("c1".into(), Verdict::Allow)),
            ('s', vec![npm.clone()], longer(&npm, Scope::Session)),
            ('p', vec![npm.clone()], longer(&npm, Scope::Project)),
            ('a', vec![npm.clone()], longer(&npm, Scope::Everywhere)),
            ('s', vec![script.clone()], longer(&script, Scope::Session)),
            ('p', vec![script.clone()], longer(&script, Scope::Project)),
            // Another program in each project.
            ('a', vec![script], Reaction::Consumed),
            ('s', vec![], Reaction::Consumed),
            ('p', vec![], Reaction::Consumed),
            ('a', vec![], Reaction::Consumed),
            ('\n', vec![npm], Reaction::Consumed),
        ] {
            let mut approval = question("npm install x", grants.clone());
            let shown = text(&mut approval, 80, 24);
            let listed = shown.lines().any(|line| line.starts_with(&format!("  {key}  yes")));
            assert_eq!(listed, reaction != Reaction::Consumed, "{key}\n{shown}");
            assert_eq!(press(&mut approval, KeyCode::Char(key), 5_000), reaction, "{key}");
        }
    }

    #[test]
    fn tab_changes_the_rule_and_what_is_given_is_what_is_shown() {
        let grants = vec![prefix(&["npm", "install"]), prefix(&["npm", "install", "x"])];
        let mut approval = question("npm install x", grants.clone());
        assert!(
            text(&mut approval, 80, 24)
                .contains("Rule 1 of 2 (Tab: another): commands that begin with `npm install`,")
        );
        press(&mut approval, KeyCode::Tab, 5_000);
        // Not before it has been seen.
        assert_eq!(press(&mut approval, KeyCode::Char('s'), 5_000), Reaction::Consumed);
        assert!(
            text(&mut approval, 80, 24)
                .contains("Rule 2 of 2 (Tab: another): commands that begin with `npm install x`,")
        );
        let verdict = Verdict::AllowAlways { grant: grants[1].clone(), scope: Scope::Project };
        assert_eq!(press(&mut approval, KeyCode::Char('p'), 5_000), Reaction::Decide("c1".into(), verdict));
    }

    #[test]
    fn a_host_is_shown_with_its_port_and_what_a_yes_means() {
        let question = HostQuestion {
            request: crate::protocol::RequestId(3),
            call: None,
            intent: Intent::Connect { host: "files.example.com".into(), port: 8443 },
            reason: "`make` connects to it, and it is in no list".into(),
            grants: vec![Grant::Host { host: "files.example.com".into(), port: 8443 }],
        };
        let mut approval = Approval::of_host(&question, &Ground::sample(), 0, 101_000);
        let shown = text(&mut approval, 80, 24);
        for part in [
            "reach another machine?",
            "files.example.com:8443",
            "`make` connects to it",
            "y  yes, for this command",
            "s  yes, by this rule until the session ends",
            "p  yes, by this rule always in",
            "a  yes, by this rule always and everywhere",
            "n  no",
        ] {
            assert!(shown.contains(part), "{part}:\n{shown}");
        }
        // Before it could be read, a key means nothing; then it is an answer to this question.
        assert_eq!(press(&mut approval, KeyCode::Char('y'), 1_100), Reaction::Consumed);
        let asked = Asked::Host(crate::protocol::RequestId(3));
        assert_eq!(
            press(&mut approval, KeyCode::Char('y'), 5_000),
            Reaction::Decide(asked.clone(), Verdict::Allow)
        );
        assert!(matches!(asked.decide(Verdict::Allow), crate::protocol::Command::DecideHost { .. }));
    }

    #[test]
    fn a_small_terminal_has_room_for_the_question_and_every_choice() {
        for (width, rows) in [(40, 9), (80, 9), (40, 21)] {
            let mut approval = question("npm install left-pad", vec![prefix(&["npm", "install"])]);
            let mut seen = String::new();
            for _ in 0..20 {
                let shown = text(&mut approval, width, rows);
                assert!(shown.lines().count() <= usize::from(rows), "{shown}");
                seen = format!("{seen}\n{shown}");
                press(&mut approval, KeyCode::Down, 5_000);
            }
            for part in
                ["outside the sandbox?", "$ npm install left-pad", "y  yes", "s ", "p ", "a ", "n  no", "Esc"]
            {
                assert!(seen.contains(part), "{part} at {width}x{rows}:\n{seen}");
            }
        }
    }

    #[test]
    fn a_no_carries_its_note_and_esc_goes_back_first() {
        let mut approval = question("x", vec![]);
        text(&mut approval, 80, 24);
        press(&mut approval, KeyCode::Char('n'), 5_000);
        press(&mut approval, KeyCode::Esc, 5_000);
        assert_eq!(press(&mut approval, KeyCode::Esc, 5_000), Reaction::Interrupt);
        press(&mut approval, KeyCode::Char('n'), 5_000);
        approval.paste("try\nls");
        let denied = Reaction::Decide("c1".into(), Verdict::Deny { note: "try ls".into() });
        assert_eq!(press(&mut approval, KeyCode::Enter, 5_000), denied);
    }

    #[test]
    fn what_hides_is_made_visible() {
        let mut approval = question("echo a\u{202e}b\u{1b}[2J \u{200b}", vec![]);
        let shown = text(&mut approval, 200, 24);
        for visible in ["\\u{202e}", "\\u{1b}", "\\u{200b}"] {
            assert!(shown.contains(visible), "{shown}");
        }
    }
}
