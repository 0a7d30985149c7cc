//! A value that was taken out of the transcript, for as long as the person looks at it.
//!
//! It takes the whole terminal, so that nothing of it stays among the lines that can be scrolled back to.

use crossterm::event::KeyCode;
use ratatui::text::Line;

use crate::protocol::printable;
use crate::tui::{
    action::Action,
    host::Answer,
    keymap::Key,
    term::Size,
    text::{Break, Prefix, Text},
};

use super::{Look, Overlay, Page, Place, Reaction, hints};

/// One value.
pub(in crate::tui) struct Reveal {
    handle: String,
    /// What was answered: nothing when nobody knows the value any more.
    value: Option<Option<String>>,
}

impl Reveal {
    pub(in crate::tui) fn new(handle: String) -> Self {
        Self { handle, value: None }
    }
}

impl Overlay for Reveal {
    fn place(&self) -> Place {
        Place::Full
    }

    fn key(&mut self, key: Key, _look: &Look<'_>) -> Reaction {
        match (key.code, &self.value) {
            (KeyCode::Char('c'), Some(Some(value))) if key.modifiers.is_empty() => {
                Reaction::Close(vec![Action::Copy(value.clone())])
            }
            (KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'c'), _) => Reaction::Close(Vec::new()),
            _ => Reaction::Ignored,
        }
    }

    fn answer(&mut self, answer: &Answer) {
        if let Answer::Revealed { handle, value } = answer
            && *handle == self.handle
        {
            self.value = Some(value.clone());
        }
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        let theme = look.theme;
        let name = printable(&self.handle);
        let (head, text) = match &self.value {
            None => (format!("What {name} stands for:"), String::new()),
            Some(Some(value)) => (format!("What {name} stands for (it is shown here only):"), value.clone()),
            Some(None) => (
                format!("Nobody knows what {name} stands for."),
                "A value is in the memory of the program that took it out, and nowhere else: it is gone when that \
                 program has ended, and when a session is opened again. /reveal takes the part behind the colon: \
                 /reveal 3f2a"
                    .to_owned(),
            ),
        };
        let mut rows: Vec<Line<'static>> = Vec::new();
        let mut say = |text: &str, style, breaks| {
            rows.extend(Text::of(text, style).rows(size.columns, breaks, &Prefix::default()));
        };
        say(&head, theme.strong, Break::Words);
        say("", theme.plain, Break::Words);
        let breaks = if matches!(self.value, Some(Some(_))) { Break::Anywhere } else { Break::Words };
        for line in text.lines() {
            say(&printable(line).replace('\t', "    "), theme.plain, breaks);
        }
        let keys: &[&str] =
            if matches!(self.value, Some(Some(_))) { &["q close", "c copy and close"] } else { &["q close"] };
        let footer = hints(keys.iter().copied(), size.columns, theme);
        rows.resize(usize::from(size.rows).saturating_sub(1), Line::default());
        rows.push(footer);
        Page { rows, cursor: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::overlay::testing::Stage;

    #[test]
    fn a_value_is_shown_copied_and_gone_with_the_view() {
        let stage = Stage::new();
        let mut view = Reveal::new("3f2a".into());
        let key = "sk-\u{1b}[31m-0123456789012345678901234567890123456789";
        let value = Some(key.to_owned());
        view.answer(&Answer::Revealed { handle: "other".into(), value: Some("no".into()) });
        assert!(!stage.draw(&mut view, 40, 8).contains("no"));
        view.answer(&Answer::Revealed { handle: "3f2a".into(), value });
        let drawn = stage.draw(&mut view, 30, 8);
        assert!(drawn.contains("What 3f2a stands for") && drawn.contains("0123456789"), "{drawn}");
        let copy = Key::new(KeyCode::Char('c'), crossterm::event::KeyModifiers::NONE);
        let Reaction::Close(actions) = view.key(copy, &stage.look()) else { panic!() };
        assert_eq!(actions, [Action::Copy(key.to_owned())]);
    }

    #[test]
    fn a_value_that_nobody_knows_any_more_is_told_to_be_gone() {
        let stage = Stage::new();
        let mut view = Reveal::new("3f2a".into());
        view.answer(&Answer::Revealed { handle: "3f2a".into(), value: None });
        let drawn = stage.draw(&mut view, 60, 8);
        assert!(drawn.starts_with("Nobody knows what 3f2a stands for."), "{drawn}");
        assert!(drawn.contains("it is gone when"), "{drawn}");
    }
}
