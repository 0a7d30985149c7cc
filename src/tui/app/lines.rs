//! Whole lines in the place of keys, for terminals that can't be painted and for readers of screens.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::text::Line;

use crate::tui::{action::Action, approval, asked::Asked, term::Size};

use super::App;

impl App {
    /// A whole line, where there are no keys: for what has them now.
    pub(in crate::tui) fn line(&mut self, line: &str, now_ms: u64) -> Vec<Action> {
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
        if self.playback.is_some() {
            let key = line.trim().chars().next().map_or(KeyCode::Enter, KeyCode::Char);
            return self.playback_key(pressed(key), now_ms);
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
                approval::Reaction::Decide(asked, verdict) => {
                    vec![Action::Send(asked.decide(verdict))]
                }
                approval::Reaction::Interrupt => vec![self.leave_question()],
                approval::Reaction::Consumed | approval::Reaction::Ignored => Vec::new(),
            };
        }
        let reaction = self.composer.say(line);
        let actions = self.composed(reaction, now_ms);
        if self.foretold.is_some() {
            // Here nothing stays in the line: it is typed again.
            self.composer.set_text("");
        }
        if let Some(notice) = self.composer.notice() {
            self.said = Some(notice.to_owned());
            self.composer.set_text("");
        }
        actions
    }

    /// What has to be answered now, in full: a view, or an approval with its call.
    pub(in crate::tui) fn question(&mut self, width: u16, now_ms: u64) -> Option<Vec<Line<'static>>> {
        let size = Size { columns: width, rows: u16::MAX };
        if let Some(page) = self.draw_overlay(size, now_ms) {
            return Some(page.rows);
        }
        let more = Asked::count(&self.session).saturating_sub(1);
        Some(self.approval.as_mut()?.draw(width, u16::MAX, &self.theme, more).0)
    }

    /// What the person should know, told once.
    pub(in crate::tui) fn take_said(&mut self) -> Option<String> {
        self.said.take()
    }
}
