//! A session to look at, for the tests of views.

use crossterm::event::{KeyCode, KeyModifiers};
use serde_json::{Value, json};

use crate::protocol::{Event, Time, printable};
use crate::session::Session;
use crate::tui::{
    action::Action, keymap::Key, status::Ground, term::Size, text::columns, theme::Theme,
    transcript::Transcript,
};

use super::{Look, Overlay, Reaction};

pub(super) struct Stage {
    pub session: Session,
    pub transcript: Transcript,
    ground: Ground,
    pub theme: Theme,
    pub now_ms: u64,
    seq: u64,
}

impl Stage {
    pub fn new() -> Self {
        let ground = Ground::sample();
        let mut stage = Self {
            session: Session::default(),
            transcript: Transcript::new(),
            ground,
            theme: Theme::ansi(),
            now_ms: 600_000,
            seq: 0,
        };
        stage.fact(json!({"type": "session_started", "session": "01936f3e-7a10-7000-8000-000000000001",
            "version": 1, "agent": "0.1.0", "workspace": "/w"}));
        stage
    }

    /// Something that became true, a second after the one before.
    pub fn fact(&mut self, mut fact: Value) {
        self.seq += 1;
        fact["seq"] = json!(self.seq);
        fact["at"] = json!(Time::from_second(i64::try_from(self.seq).unwrap()).unwrap());
        let event: Event = serde_json::from_str(&fact.to_string()).unwrap();
        self.session.apply(&event);
        self.transcript.apply(&event);
    }

    pub fn user(&mut self, text: &str) {
        self.fact(json!({"type": "item_added", "item":
            {"type": "user", "content": [{"type": "text", "text": text}]}}));
    }

    pub fn said(&mut self, text: &str) {
        self.fact(json!({"type": "item_added", "item": {"type": "assistant", "text": text}}));
    }

    pub fn result(&mut self, shown: &Value) {
        let call = format!("call{}", self.seq);
        self.fact(json!({"type": "item_added", "item":
            {"type": "tool_result", "call": call, "content": [], "shown": shown}}));
    }

    pub fn ran(&mut self, command: &str, output: &str) {
        self.result(
            &json!({"type": "command", "command": command, "workdir": "/w", "exit": 0, "duration_ms": 5,
            "output": {"head": output, "lines": output.lines().count(), "bytes": output.len()}}),
        );
    }

    pub fn look(&self) -> Look<'_> {
        Look {
            session: &self.session,
            transcript: &self.transcript,
            ground: &self.ground,
            theme: &self.theme,
            now_ms: self.now_ms,
        }
    }

    /// The view as text. No row is too wide, and none can do anything.
    pub fn draw(&self, view: &mut dyn Overlay, columns_: u16, rows: u16) -> String {
        let page = view.draw(Size { columns: columns_, rows }, &self.look());
        assert_eq!(page.rows.len(), usize::from(rows), "a view fills its place");
        let rows: Vec<String> = page.rows.iter().map(ToString::to_string).collect();
        for row in &rows {
            assert!(columns(row) <= usize::from(columns_), "{row:?} is wider than {columns_}");
            assert_eq!(printable(row), row.as_str());
        }
        rows.iter().map(|row| row.trim_end()).collect::<Vec<_>>().join("\n")
    }

    /// Presses keys: characters, and `⏎ ⎋ ↑ ↓ → ⇥ ⌫` for those that have none. Gives what is to be done.
    pub fn press(&self, view: &mut dyn Overlay, keys: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        for char in keys.chars() {
            let code = match char {
                '⏎' => KeyCode::Enter,
                '⎋' => KeyCode::Esc,
                '↑' => KeyCode::Up,
                '↓' => KeyCode::Down,
                '→' => KeyCode::Right,
                '⇥' => KeyCode::Tab,
                '⌫' => KeyCode::Backspace,
                char => KeyCode::Char(char),
            };
            match view.key(Key::new(code, KeyModifiers::NONE), &self.look()) {
                Reaction::Do(more) => actions.extend(more),
                Reaction::Open(_) => panic!("{char} opened a view"),
                Reaction::Consumed | Reaction::Ignored | Reaction::Close(_) => {}
            }
        }
        actions
    }

    pub fn control(&self, view: &mut dyn Overlay, char: char) -> Reaction {
        view.key(Key::new(KeyCode::Char(char), KeyModifiers::CONTROL), &self.look())
    }
}
