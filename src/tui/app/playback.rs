//! A session that was kept, shown again: its facts come one after the other, and nothing else does.
//!
//! They go through the same fold and the same cells as facts that become true. The clock is theirs: it stands still
//! while the person steps, and runs as fast as they chose while it plays.

use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::protocol::{Event, Fact, HostedCall, Item, Seq};
use crate::session::Session;

use crate::tui::{
    action::Action,
    keymap::{Action as K, Key, Layer},
    overlay::Pager,
};

use super::App;

/// Milliseconds of a pause that are played at most: nobody wants to wait for an approval twice.
const LONGEST: u64 = 3_000;
/// How much slower or faster than it was.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.125..=1024.0;

/// A session to be shown again.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub events: Vec<Event>,
    /// Plays by itself, so many times as fast as it was. None: a key for each step.
    pub speed: Option<f64>,
    /// What is wrong with what would come next.
    pub damage: Option<String>,
}

/// Where it is.
pub(super) struct Playback {
    left: VecDeque<Event>,
    /// Facts in all.
    count: usize,
    speed: f64,
    plays: bool,
    /// The time of the fact that was shown last, by its own clock.
    shown_ms: u64,
    /// When it was shown.
    since_ms: u64,
    /// The number of the fact that was shown last.
    seq: Seq,
    damage: Option<String>,
}

impl Playback {
    /// Whether it goes on by itself.
    pub(super) fn plays(&self) -> bool {
        self.plays && !self.left.is_empty()
    }

    /// What the keys do.
    pub(super) fn hints(&self) -> Vec<(String, &'static str)> {
        let play = if self.plays() { "pause" } else { "play" };
        let on: &[(&str, &str)] = &[("space", "next"), ("t", "turn"), ("e", "end")];
        let on = if self.left.is_empty() { &[] } else { on };
        let mut hints: Vec<_> = on.iter().map(|(key, what)| ((*key).to_owned(), *what)).collect();
        if !self.left.is_empty() {
            hints.push(("p".to_owned(), play));
        }
        hints.extend([("q".to_owned(), "leave"), ("ctrl-t".to_owned(), "transcript")]);
        if !self.left.is_empty() {
            hints.push(("+/-".to_owned(), "faster/slower"));
        }
        hints
    }

    /// Where it is, in the place of what runs.
    pub(super) fn status(&self, session: &Session) -> Vec<String> {
        let state = match (self.left.is_empty(), self.plays) {
            (true, _) => "replay, at its end".to_owned(),
            (false, true) => format!("replay, {}× as fast", self.speed),
            (false, false) => "replay".to_owned(),
        };
        let mut parts = vec![state, format!("fact {} of {}", self.seq.0, self.count)];
        if session.turns.0 > 0 {
            parts.push(format!("turn {}", session.turns.0));
        }
        let at = crate::protocol::Time::from_millisecond(i64::try_from(self.shown_ms).unwrap_or(0));
        if let (Ok(at), true) = (at, self.seq.0 > 0) {
            parts.push(at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string());
        }
        parts.extend(session.settings.as_ref().map(|settings| settings.model.to_string()));
        parts
    }

    /// When the next fact comes by itself.
    fn due_ms(&self) -> Option<u64> {
        let next = self.left.front().filter(|_| self.plays)?;
        let pause = milliseconds(next).saturating_sub(self.shown_ms).min(LONGEST);
        Some(self.since_ms + (pause as f64 / self.speed) as u64)
    }
}

impl App {
    /// Shows a session again. It begins with what was true before anybody said a word.
    pub(in crate::tui) fn play(&mut self, recorded: Recorded, now_ms: u64) {
        let Recorded { events, speed, damage } = recorded;
        let shown_ms = events.first().map_or(0, milliseconds);
        self.playback = Some(Playback {
            count: events.len(),
            left: events.into(),
            speed: speed.map_or(1.0, |speed| speed.clamp(*SPEEDS.start(), *SPEEDS.end())),
            plays: speed.is_some(),
            shown_ms,
            since_ms: now_ms,
            seq: Seq(0),
            damage,
        });
        self.step(now_ms);
    }

    /// The time by the clock of what is shown.
    pub(super) fn clock(&self, now_ms: u64) -> u64 {
        let Some(playback) = &self.playback else { return now_ms };
        if !playback.plays() {
            return playback.shown_ms;
        }
        let passed = (now_ms.saturating_sub(playback.since_ms) as f64 * playback.speed) as u64;
        let next = playback.left.front().map_or(playback.shown_ms, milliseconds);
        (playback.shown_ms + passed).min(next.max(playback.shown_ms))
    }

    /// When what is played goes on.
    pub(in crate::tui) fn due_ms(&self) -> Option<u64> {
        self.playback.as_ref()?.due_ms()
    }

    /// Where what is shown again is, in a few words.
    pub(in crate::tui) fn played(&self) -> Option<String> {
        let playback = self.playback.as_ref()?;
        let parts = playback.status(&self.session);
        let keys: Vec<String> = playback.hints().iter().map(|(key, what)| format!("{key} {what}")).collect();
        Some(format!("{} · {}", parts.get(..2)?.join(" · "), keys.join(", ")))
    }

    /// Lets everything come that is due.
    pub(super) fn play_on(&mut self, now_ms: u64) {
        while self.due_ms().is_some_and(|due| due <= now_ms) {
            let due = self.due_ms().unwrap_or(now_ms);
            // What came late shifts nothing, unless it was very late: a machine that slept is not caught up with.
            self.show_next(if now_ms - due > LONGEST { now_ms } else { due });
        }
    }

    /// What a key does while a session is shown again.
    pub(super) fn playback_key(&mut self, key: KeyEvent, now_ms: u64) -> Vec<Action> {
        let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
        match key.code {
            KeyCode::Char(' ' | 'n' | 'l' | 'j') | KeyCode::Enter | KeyCode::Right | KeyCode::Down
                if plain =>
            {
                self.step(now_ms);
            }
            KeyCode::Char('t') | KeyCode::PageDown if plain => {
                while self.show_next(now_ms).is_some_and(|fact| !matches!(fact, Fact::TurnFinished { .. })) {}
            }
            KeyCode::Char('e' | 'G') | KeyCode::End if plain => while self.show_next(now_ms).is_some() {},
            KeyCode::Char('p') if plain => self.play_or_pause(now_ms),
            KeyCode::Char('+' | '=') if plain => self.faster(2.0, now_ms),
            KeyCode::Char('-') if plain => self.faster(0.5, now_ms),
            KeyCode::Char('q') | KeyCode::Esc if plain => return vec![Action::Quit],
            _ => match self.keymap.action(Layer::Screen, Key::from(key)) {
                Some(K::Leave | K::Quit) => return vec![Action::Quit],
                Some(K::Suspend) => return vec![Action::Suspend],
                Some(K::Redraw) => return vec![Action::Redraw],
                Some(K::Transcript) => self.overlays.push(Box::new(Pager::new())),
                _ => {}
            },
        }
        Vec::new()
    }

    fn play_or_pause(&mut self, now_ms: u64) {
        let clock = self.clock(now_ms);
        if let Some(playback) = &mut self.playback {
            playback.plays = !playback.plays;
            (playback.shown_ms, playback.since_ms) = (clock, now_ms);
        }
    }

    fn faster(&mut self, times: f64, now_ms: u64) {
        let clock = self.clock(now_ms);
        if let Some(playback) = &mut self.playback {
            playback.speed = (playback.speed * times).clamp(*SPEEDS.start(), *SPEEDS.end());
            (playback.shown_ms, playback.since_ms) = (clock, now_ms);
            self.said = Some(format!("{}× as fast as it was", playback.speed));
        }
    }

    /// Shows facts up to the next one that a person can see.
    fn step(&mut self, now_ms: u64) {
        while self.show_next(now_ms).is_some_and(|fact| !seen(&fact)) {}
    }

    /// Folds the next fact, as if it had become true now; gives it.
    fn show_next(&mut self, now_ms: u64) -> Option<Fact> {
        let playback = self.playback.as_mut()?;
        let event = playback.left.pop_front()?;
        // Clocks are set back at times.
        playback.shown_ms = milliseconds(&event).max(playback.shown_ms);
        (playback.since_ms, playback.seq) = (now_ms, event.seq);
        let clock = playback.shown_ms;
        let damage = playback.damage.take_if(|_| playback.left.is_empty());
        self.event(&event, clock);
        if let Some(damage) = damage {
            self.said = Some(format!("what comes next can't be read: {damage}"));
        }
        Some(event.fact)
    }
}

fn milliseconds(event: &Event) -> u64 {
    u64::try_from(event.at.as_millisecond()).unwrap_or(0)
}

/// Whether a fact changes what a person sees. Others come along with the next one that does.
fn seen(fact: &Fact) -> bool {
    match fact {
        Fact::ItemAdded { item } => match &**item {
            Item::Context { .. } | Item::Sealed { .. } => false,
            Item::Unknown(value) => HostedCall::of(value).is_some(),
            _ => true,
        },
        Fact::Noted { .. }
        | Fact::TurnFinished { .. }
        | Fact::InputQueued { .. }
        | Fact::InputRetracted { .. }
        | Fact::ApprovalRequested { .. }
        | Fact::CallRefused { .. }
        | Fact::ToolStarted { .. }
        | Fact::ProcessExited { .. }
        | Fact::SecretAsked { .. }
        | Fact::HostRequested { .. }
        | Fact::HostAllowed { .. }
        | Fact::HostRefused { .. }
        | Fact::Rewound { .. }
        | Fact::CompactionStarted { .. }
        | Fact::Compacted(_)
        | Fact::CompactionFailed { .. }
        | Fact::Restored { .. }
        | Fact::RestoreFailed { .. }
        | Fact::BudgetReached { .. }
        | Fact::VerifyStarted { .. }
        | Fact::VerifyFinished { .. }
        | Fact::Checked(_)
        | Fact::GoalSet { .. }
        | Fact::GoalChanged { .. } => true,
        Fact::SessionStarted { .. }
        | Fact::Configured { .. }
        | Fact::Renamed { .. }
        | Fact::RulesRead { .. }
        | Fact::Revoked { .. }
        | Fact::TurnStarted { .. }
        | Fact::ResponseStarted { .. }
        | Fact::ResponseFinished { .. }
        | Fact::CallAllowed { .. }
        | Fact::ProcessStarted { .. }
        | Fact::SecretAnswered { .. }
        | Fact::ConnectionEnded(_)
        | Fact::SnapshotStarted { .. }
        | Fact::SnapshotTaken { .. }
        | Fact::SnapshotFailed { .. }
        | Fact::RestoreStarted { .. }
        | Fact::CompactionAsked { .. }
        | Fact::Budgeted { .. }
        | Fact::VerifyWanted { .. }
        | Fact::GoalContinued { .. }
        | Fact::Unknown(_) => false,
    }
}
