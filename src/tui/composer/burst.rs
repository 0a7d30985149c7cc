//! Tells a paste from typing where the terminal does not mark pastes.
//!
//! Nobody types two keys within a few milliseconds, so an Enter right behind a character is held for a moment:
//! when more text follows it was a line end of a paste, when nothing follows it was meant. Characters are never
//! held. Time is handed in.

use std::time::{Duration, Instant};

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
        (self.held || run.lines > 0 || run.chars > super::placeholder::MOST_CHARS).then(|| run.last + HOLD)
    }

    /// Forgets the run.
    pub fn end(&mut self) -> Option<Ended> {
        self.held = false;
        self.run.take().map(|run| Ended { start: run.start, chars: run.chars, lines: run.lines })
    }
}
