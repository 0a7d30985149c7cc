//! Tells a paste from typing where the terminal does not mark pastes.
//!
//! Nobody types two keys within a few milliseconds, so an Enter right behind a character is held for a moment:
//! when more text follows it was a line end of a paste, when nothing follows it was meant. Characters are never
//! held.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{Composer, Reaction, placeholder, undo::Cause};
use crate::tui::keymap::{Action, Key, Layer};

/// Two keys closer than this were not typed.
const GAP: Duration = Duration::from_millis(8);
/// How long an Enter behind a run is held.
const HOLD: Duration = Duration::from_millis(25);

#[derive(Debug, Clone, Copy)]
struct Run {
    /// Where in the text it began.
    start: usize,
    chars: usize,
    lines: usize,
    last: Instant,
}

/// What is known of the latest keys.
#[derive(Debug, Default)]
pub(super) struct Burst {
    run: Option<Run>,
    held: bool,
}

/// A run that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub start: usize,
    pub chars: usize,
    pub lines: usize,
}

impl Burst {
    /// Whether a key now would be part of a run.
    pub fn runs(&self, now: Instant) -> bool {
        let gap = if self.held { HOLD } else { GAP };
        self.run.is_some_and(|run| now.saturating_duration_since(run.last) <= gap)
    }

    /// Whether an Enter is held.
    pub fn holds(&self) -> bool {
        self.held
    }

    /// Whether the run has line ends already: then it is a paste, whatever follows.
    pub fn has_lines(&self) -> bool {
        self.run.is_some_and(|run| run.lines > 0)
    }

    /// A character came; `at` is where it goes.
    pub fn typed(&mut self, at: usize, now: Instant) {
        match &mut self.run {
            Some(run) => {
                run.chars += 1;
                run.last = now;
            }
            None => self.run = Some(Run { start: at, chars: 1, lines: 0, last: now }),
        }
    }

    /// A line end came, or the one that was held has become one.
    pub fn line(&mut self, now: Instant) {
        self.held = false;
        if let Some(run) = &mut self.run {
            run.chars += 1;
            run.lines += 1;
            run.last = now;
        }
    }

    /// Holds an Enter.
    pub fn hold(&mut self, now: Instant) {
        self.held = true;
        if let Some(run) = &mut self.run {
            run.last = now;
        }
    }

    /// When to look again: only while something waits for the run to end.
    pub fn due(&self) -> Option<Instant> {
        let run = self.run?;
        (self.held || run.lines > 0 || run.chars > placeholder::MOST_CHARS).then(|| run.last + HOLD)
    }

    /// Forgets the run.
    pub fn end(&mut self) -> Option<Ended> {
        self.held = false;
        self.run.take().map(|run| Ended { start: run.start, chars: run.chars, lines: run.lines })
    }
}

impl Composer {
    /// A key, now.
    pub fn on_key(&mut self, key: KeyEvent) -> Reaction {
        self.on_key_at(key, Instant::now())
    }

    /// A key at a time. After it, [`Self::wake_at`] says whether to call [`Self::on_wake`] later.
    pub fn on_key_at(&mut self, event: KeyEvent, now: Instant) -> Reaction {
        if event.kind == KeyEventKind::Release {
            return Reaction::Ignored;
        }
        let key = Key::from(event);
        let text = key.typed().is_some()
            || (key.modifiers.is_empty() && matches!(key.code, KeyCode::Enter | KeyCode::Tab))
            || key == Key::new(KeyCode::Char('j'), KeyModifiers::CONTROL);
        let runs = text && self.burst.runs(now);
        if self.burst.holds() {
            if runs {
                self.insert("\n");
                self.burst.line(now);
            } else {
                // The Enter was meant, and this key comes after it.
                let first = self.settle();
                let second = self.on_key_at(event, now);
                return if matches!(first, Reaction::Consumed | Reaction::Ignored) { second } else { first };
            }
        }
        if !runs {
            self.end_run();
        }
        if self.is_normal() || self.search.is_some() {
            return self.press(key);
        }
        let submits = self.keymap.action(Layer::Composer, key) == Some(Action::Submit);
        match key.code {
            KeyCode::Enter if runs && submits && self.burst.has_lines() => self.pasted_line(now),
            KeyCode::Enter if runs && submits && text => {
                self.burst.hold(now);
                Reaction::Consumed
            }
            KeyCode::Tab if runs && self.burst.has_lines() => {
                self.insert("\t");
                self.burst.typed(self.buffer.cursor(), now);
                Reaction::Consumed
            }
            KeyCode::Char('j') if runs && key.typed().is_none() => self.pasted_line(now),
            _ if key.typed().is_some() => {
                let at = self.buffer.cursor();
                let reaction = self.press(key);
                self.burst.typed(at, now);
                reaction
            }
            _ => {
                self.burst.end();
                self.press(key)
            }
        }
    }

    fn pasted_line(&mut self, now: Instant) -> Reaction {
        self.insert("\n");
        self.popup = None;
        self.burst.line(now);
        Reaction::Consumed
    }

    /// When [`Self::on_wake`] wants to be called, if at all: soon after keys that came as fast as a paste.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.burst.due()
    }

    /// The time has come: an Enter that was held is one, and a paste that came as keys is over.
    pub fn on_wake(&mut self, now: Instant) -> Reaction {
        if self.burst.due().is_none_or(|due| now < due) {
            return Reaction::Ignored;
        }
        self.settle()
    }

    fn settle(&mut self) -> Reaction {
        let held = self.burst.holds();
        self.end_run();
        if held { self.press(Key::new(KeyCode::Enter, KeyModifiers::NONE)) } else { Reaction::Consumed }
    }

    /// A run of keys is over: a large one becomes a label, as a paste does.
    fn end_run(&mut self) {
        let Some(run) = self.burst.end() else { return };
        let at = self.buffer.cursor();
        if run.chars <= placeholder::MOST_CHARS && run.lines <= placeholder::MOST_LINES || run.start >= at {
            return;
        }
        let part = self.buffer.body().part(run.start..at);
        if part.elements.is_empty()
            && let Some(label) = self.labels.large(&part.text)
        {
            self.undo.close();
            self.edit(run.start..at, label, Cause::Other);
            self.popup = None;
        }
    }
}
