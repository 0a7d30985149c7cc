//! A pending approval, in the place of the composer.
//!
//! It shows what would happen, all of it, and what each key does. No answer is ever the default, and keys that
//! were on their way before it could be read mean nothing.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::text::{Line, Span};

use crate::protocol::{CallId, FileOperation, Grant, Intent, Verdict, printable};
use crate::session::{Call, CallState};

use super::{
    text::{diff, wrap},
    theme::Theme,
};

/// Milliseconds after it appeared during which no key counts.
const SETTLE_MS: u64 = 300;

/// What a key did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reaction {
    Consumed,
    Ignored,
    Decide(CallId, Verdict),
    /// End the turn.
    Interrupt,
}

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Approval {
    pub(super) call: CallId,
    intent: Intent,
    reason: String,
    grants: Vec<Grant>,
    since_ms: u64,
    /// The note for a no, once the person has said that it is a no.
    note: Option<String>,
    /// First row that is shown.
    top: usize,
    /// The last row of what would happen has been on the screen.
    read: bool,
}

impl Approval {
    /// The question that a call asks, which appears at `now_ms`.
    pub(super) fn of(call: &Call, now_ms: u64) -> Option<Self> {
        let CallState::Asked { intent, reason, grants } = &call.state else { return None };
        Some(Self {
            call: call.id.clone(),
            intent: intent.clone(),
            reason: reason.clone(),
            grants: grants.clone(),
            since_ms: now_ms,
            note: None,
            top: 0,
            read: false,
        })
    }

    pub(super) fn key(&mut self, key: KeyEvent, now_ms: u64) -> Reaction {
        if key.code == KeyCode::Esc && self.note.is_none() {
            return Reaction::Interrupt;
        }
        if now_ms.saturating_sub(self.since_ms) < SETTLE_MS {
            return Reaction::Consumed;
        }
        if self.note.is_some() {
            return self.note_key(key);
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Up | KeyCode::PageUp => self.top = self.top.saturating_sub(1),
            KeyCode::Down | KeyCode::PageDown | KeyCode::Char(' ') => self.top = self.top.saturating_add(1),
            KeyCode::Char('y') if !control && self.read => {
                return Reaction::Decide(self.call.clone(), Verdict::Allow);
            }
            KeyCode::Char('s') if !control && self.read => {
                if let Some(grant) = self.grants.first() {
                    let verdict = Verdict::AllowAlways { grant: grant.clone() };
                    return Reaction::Decide(self.call.clone(), verdict);
                }
            }
            KeyCode::Char('n') if !control => self.note = Some(String::new()),
            _ => return if control { Reaction::Ignored } else { Reaction::Consumed },
        }
        Reaction::Consumed
    }

    fn note_key(&mut self, key: KeyEvent) -> Reaction {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let Some(note) = &mut self.note else { return Reaction::Consumed };
        match key.code {
            KeyCode::Enter => {
                let verdict = Verdict::Deny { note: std::mem::take(note) };
                return Reaction::Decide(self.call.clone(), verdict);
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
        let choices = self.choices(width, theme, more);
        let room = usize::from(max_rows).saturating_sub(choices.len() + 1).max(1);
        let last = body.len().saturating_sub(room);
        self.top = self.top.min(last);
        self.read |= self.top == last;
        let mut rows: Vec<Line<'static>> = body.iter().skip(self.top).take(room).cloned().collect();
        if last > 0 {
            let text = format!("  lines {}–{} of {} · ↑↓", self.top + 1, self.top + rows.len(), body.len());
            rows.push(Line::styled(text, theme.dim));
        }
        let cursor = self.note.as_ref().map(|_| {
            let row = rows.len() + choices.len() - 1;
            let column = choices.last().map_or(0, Line::width);
            (u16::try_from(column).unwrap_or(u16::MAX).min(width.saturating_sub(1)), u16::try_from(row).unwrap_or(0))
        });
        rows.extend(choices);
        (rows, cursor)
    }

    fn body(&self, width: u16, theme: &Theme) -> Vec<Line<'static>> {
        let mut rows = Vec::new();
        let mut say = |text: String, style| {
            let line = Line::from(Span::styled(text, style));
            rows.extend(wrap::wrap(&line, width, 2, 2));
        };
        match &self.intent {
            Intent::Command { command, workdir, escalated, justification, .. } => {
                let where_ = if *escalated { " outside the sandbox" } else { "" };
                say(format!("Run this command{where_}?"), theme.strong);
                if let Some(why) = justification {
                    say(format!("Why: {}", printable(why)), theme.plain);
                }
                say(format!("In: {}", printable(&workdir.to_string_lossy())), theme.dim);
                say(format!("Asked because: {}", printable(&self.reason)), theme.dim);
                for (number, line) in command.split('\n').enumerate() {
                    let mark = if number == 0 { "$ " } else { "  " };
                    say(format!("{mark}{}", printable(line)), theme.accent);
                }
            }
            Intent::Write { files } => {
                say("Make these changes?".to_owned(), theme.strong);
                say(format!("Asked because: {}", printable(&self.reason)), theme.dim);
                for file in files {
                    let verb = match file.operation {
                        FileOperation::Add => "add",
                        FileOperation::Overwrite => "OVERWRITE",
                        FileOperation::Update => "edit",
                        FileOperation::Delete => "delete",
                    };
                    let outside = if file.outside { " (outside the workspace)" } else { "" };
                    let to = file.moved_to.as_ref().map(|to| format!(" → {}", to.display())).unwrap_or_default();
                    say(printable(&format!("{verb} {}{to}{outside}", file.path.display())).into_owned(), theme.accent);
                    for row in diff::lines(&file.diff, theme) {
                        rows_extend(&mut say, row);
                    }
                }
            }
            Intent::Read { paths } => {
                say("Read these files?".to_owned(), theme.strong);
                say(format!("Asked because: {}", printable(&self.reason)), theme.dim);
                for path in paths {
                    say(printable(&path.to_string_lossy()).into_owned(), theme.accent);
                }
            }
            Intent::Input { .. } | Intent::None | Intent::Unknown => {
                say("Allow this call?".to_owned(), theme.strong);
                say(printable(&self.reason).into_owned(), theme.plain);
            }
        }
        rows
    }
}
