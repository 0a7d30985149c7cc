//! A line that a process asks for and does not echo: a password, as a rule. The person types it to that process alone.

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::text::{Line, Span};

use crate::protocol::{Command, Hidden, ProcessId, printable};
use crate::session::{SecretAsked, Session};
use crate::tui::{
    action::Action,
    keymap::Key,
    settle::Settle,
    term::Size,
    text::{Break, Prefix, Text, plain},
};

use super::{Look, Overlay, Page, Place, Reaction, fit, hints};

/// One question.
pub(in crate::tui) struct Secret {
    process: ProcessId,
    asked: SecretAsked,
    line: Hidden,
    settle: Settle,
    /// It was answered, and what came of it is not known yet.
    sent: bool,
}

impl Secret {
    /// The question of a process, which appears at `now_ms`. A key was pressed at `typed_ms` before that.
    pub(in crate::tui) fn new(process: ProcessId, asked: SecretAsked, typed_ms: u64, now_ms: u64) -> Self {
        let settle = Settle::new(typed_ms, now_ms);
        Self { process, asked, line: Hidden::default(), settle, sent: false }
    }

    fn answer(&mut self, line: Option<Hidden>) -> Reaction {
        self.sent = true;
        Reaction::Do(vec![Action::Send(Command::AnswerSecret { process: self.process, line })])
    }
}

impl Overlay for Secret {
    fn place(&self) -> Place {
        Place::Below
    }

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Reaction::Do(vec![Action::Send(Command::Interrupt)]);
        }
        if self.sent || self.settle.is_early(look.now_ms) {
            return Reaction::Consumed;
        }
        match key.code {
            KeyCode::Esc => return self.answer(None),
            KeyCode::Enter => {
                let line = std::mem::take(&mut self.line);
                return self.answer(Some(line));
            }
            KeyCode::Backspace => self.line.pop(),
            KeyCode::Char('u') if control => self.line.clear(),
            KeyCode::Char(char) if key.modifiers.difference(KeyModifiers::SHIFT).is_empty() => {
                self.line.push_str(char.encode_utf8(&mut [0; 4]));
            }
            _ => return Reaction::Ignored,
        }
        Reaction::Consumed
    }

    fn paste(&mut self, text: &str) {
        if !self.sent {
            self.line.push_str(text.trim_end_matches(['\r', '\n']));
        }
    }

    fn is_over(&self, session: &Session) -> bool {
        !session.secrets.contains_key(&self.process)
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        let theme = look.theme;
        let mut rows: Vec<Line<'static>> = Vec::new();
        let mut say = |text: &str, style| {
            rows.extend(Text::of(text, style).rows(size.columns, Break::Words, &Prefix::default()));
        };
        say("A command waits for something that is not shown, such as a password:", theme.strong);
        let command = self.asked.command.trim().lines().next().unwrap_or_default();
        say(&format!("$ {}", printable(command).replace('\t', " ")), theme.accent);
        if !self.asked.prompt.is_empty() {
            say(&plain::output(&self.asked.prompt), theme.warning);
        }
        say(
            &format!(
                "What you type goes to process {} alone: not to the model, and into no log.",
                self.process
            ),
            theme.dim,
        );
        // The answer and what the keys do are always to be seen.
        rows.truncate(usize::from(size.rows).saturating_sub(2));
        let at = u16::try_from(rows.len()).unwrap_or(u16::MAX);
        // Not even how long it is.
        let state = if self.sent { "(sent)" } else { "(not shown)" };
        let line = Line::from(vec![Span::styled("› ", theme.accent), Span::styled(state, theme.dim)]);
        rows.push(fit(line, size.columns));
        let keys = ["⏎ sends it", "Esc leaves it to the model", "^C interrupts", "^U begins anew"];
        rows.push(hints(keys, size.columns, theme));
        Page { rows, cursor: (!self.sent).then_some((2, at)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tui::overlay::testing::Stage;

    fn asked() -> (Stage, Secret) {
        let mut stage = Stage::new();
        stage.fact(json!({"type": "secret_asked", "process": 4711, "command": "sudo apt install x\nmore",
            "prompt": "\u{1b}[1m[sudo] password for me:"}));
        let asked = stage.session.secrets[&ProcessId(4711)].clone();
        stage.now_ms = 10_000;
        (stage, Secret::new(ProcessId(4711), asked, 0, 9_000))
    }

    fn rows(stage: &Stage, view: &mut Secret) -> Vec<String> {
        let page = view.draw(Size { columns: 50, rows: 9 }, &stage.look());
        page.rows.iter().map(|row| row.to_string().trim_end().to_owned()).collect()
    }

    #[test]
    fn a_person_sees_who_asks_for_what_and_nothing_of_what_they_type() {
        let (stage, mut view) = asked();
        let before = rows(&stage, &mut view);
        assert_eq!(
            before,
            [
                "A command waits for something that is not shown,",
                "such as a password:",
                "$ sudo apt install x",
                "[sudo] password for me:",
                "What you type goes to process 4711 alone: not to",
                "the model, and into no log.",
                "› (not shown)",
                "⏎ sends it · Esc leaves it to the model",
            ]
        );
        assert_eq!(stage.press(&mut view, "hunterx⌫2"), []);
        view.paste("!\n");
        assert_eq!(rows(&stage, &mut view), before, "not even how long it is");
        let line = Some(Hidden::from("hunter2!".to_owned()));
        let process = ProcessId(4711);
        assert_eq!(stage.press(&mut view, "⏎"), [Action::Send(Command::AnswerSecret { process, line })]);
        assert_eq!(stage.press(&mut view, "more⏎"), [], "it was answered");
    }

    #[test]
    fn what_was_on_its_way_is_no_password_and_leaving_it_is_an_answer() {
        let (mut stage, mut view) = asked();
        stage.now_ms = 9_100;
        assert_eq!(stage.press(&mut view, "yes⏎⎋"), []);
        stage.now_ms = 12_000;
        let left = Command::AnswerSecret { process: ProcessId(4711), line: None };
        assert_eq!(stage.press(&mut view, "⎋"), [Action::Send(left)]);
        assert!(!view.is_over(&stage.session));
        stage.fact(json!({"type": "secret_answered", "process": 4711, "answer": "left"}));
        assert!(view.is_over(&stage.session));
    }
}
