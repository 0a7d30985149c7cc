//! A pending approval, in the place of the composer.
//!
//! It shows what would happen, all of it, and what each key does. No answer is ever the default, and keys that
//! were on their way before it could be read mean nothing.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{style::Style, text::Line};

use crate::protocol::{CallId, FileOperation, Grant, Intent, Verdict, printable};
use crate::session::{Call, CallState};

use super::{
    text::{Break, Prefix, Text, diff},
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
        // The choices get the room that they take at most: once all has been read.
        let all_choices = self.choices(width, theme, more, true).len();
        let room = usize::from(max_rows).saturating_sub(all_choices + 1).max(1);
        let last = body.len().saturating_sub(room);
        self.top = self.top.min(last);
        self.read |= self.top == last;
        let choices = self.choices(width, theme, more, self.read);
        let mut rows: Vec<Line<'static>> = body.iter().skip(self.top).take(room).cloned().collect();
        if last > 0 {
            let text = format!("  lines {}–{} of {} · ↑↓", self.top + 1, self.top + rows.len(), body.len());
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
            Intent::Command { command, workdir, escalated, justification, .. } => {
                let place = if *escalated { " outside the sandbox" } else { "" };
                page.say(&format!("Run this command{place}?"), theme.strong);
                if let Some(why) = justification {
                    page.say(&format!("Why: {why}"), theme.plain);
                }
                page.say(&format!("In: {}", workdir.display()), theme.dim);
                // What the model gave as its reason is not said twice.
                if justification.as_deref().is_none_or(|why| why.trim() != self.reason.trim()) {
                    page.say(&format!("Asked because: {}", self.reason), theme.dim);
                }
                page.quote(command, "$ ", theme.accent);
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
                    page.say(&format!("{verb} {}{to}{outside}", file.path.display()), theme.accent);
                    page.rows.extend(diff::rows(&file.diff, usize::MAX, width, theme).0);
                }
            }
            Intent::Read { paths } => {
                page.say("Read these files?", theme.strong);
                page.say(&format!("Asked because: {}", self.reason), theme.dim);
                for path in paths {
                    page.say(&path.to_string_lossy(), theme.accent);
                }
            }
            Intent::Input { .. } | Intent::None | Intent::Unknown => {
                page.say("Allow this call?", theme.strong);
                page.say(&self.reason, theme.plain);
            }
        }
        page.rows
    }

    /// What each key does. The last row is where a note is written.
    fn choices(&self, width: u16, theme: &Theme, more: usize, read: bool) -> Vec<Line<'static>> {
        let mut page = Page { rows: vec![Line::default()], width };
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
            page.say("y  yes, this once", theme.plain);
            if let Some(grant) = self.grants.first() {
                let rule = match grant {
                    Grant::CommandPrefix { words } => {
                        format!("commands that begin with `{}`", words.join(" "))
                    }
                    Grant::WriteBelow { path } => format!("changes at {}", path.display()),
                    Grant::Unknown => "this".to_owned(),
                };
                page.say(&format!("s  yes, and until this session ends: {rule}"), theme.plain);
            }
        }
        page.say("n  no, and say what instead", theme.plain);
        let others = if more == 0 { String::new() } else { format!(" · {more} more after this one") };
        page.say(&format!("Esc interrupts the turn{others}"), theme.dim);
        page.rows
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

    /// Text that is passed on to the byte: every space is kept, and nothing is cut.
    fn quote(&mut self, text: &str, mark: &str, style: Style) {
        let prefix = Prefix::hanging(&format!("  {mark}"), style);
        // A carriage return before a line end is part of what runs, too.
        let text = text.replace("\r\n", "\\u{d}\n");
        self.rows.extend(Text::of(&printable(&text), style).rows(self.width, Break::Anywhere, &prefix));
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
        };
        let state = CallState::Asked { intent, reason: "it leaves the sandbox".into(), grants };
        let call = Call { id: "c1".into(), tool: "t".into(), args: Args::Json("{}".into()), state };
        Approval::of(&call, 1_000).unwrap()
    }

    fn press(approval: &mut Approval, code: KeyCode, at: u64) -> Reaction {
        approval.key(KeyEvent::new(code, KeyModifiers::NONE), at)
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
        assert_eq!(press(&mut approval, KeyCode::Char('y'), 1_300), allowed);
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
        let grant = Grant::CommandPrefix { words: vec!["npm".into(), "install".into()] };
        let mut approval = question("npm install x", vec![grant.clone()]);
        assert!(text(&mut approval, 80, 24).contains("commands that begin with `npm install`"));
        let allowed = Reaction::Decide("c1".into(), Verdict::AllowAlways { grant });
        assert_eq!(press(&mut approval, KeyCode::Char('s'), 5_000), allowed);
        let mut without = question("npm install x", vec![]);
        text(&mut without, 80, 24);
        assert_eq!(press(&mut without, KeyCode::Char('s'), 5_000), Reaction::Consumed);
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
