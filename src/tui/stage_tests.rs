//! An app and its screen on a terminal model: facts, deltas and keys go in, what the terminal shows comes out.

use std::num::NonZeroU16;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::{
    action::{Action, Input},
    app::{App, Recorded},
    composer::{self, Composer},
    run::paint,
    slash,
    status::Ground,
    term::{Caps, Screen, Size},
    theme::Theme,
};
use crate::protocol::{Delta, Event, ResponseId, Time, Update};

const START: &str = "2026-11-20T10:00:00Z";

pub struct Stage {
    app: App,
    screen: Screen<Vec<u8>>,
    terminal: vt100::Parser,
    seq: u64,
    now_ms: u64,
    shots: Vec<String>,
}

impl Stage {
    pub fn new(columns: u16, rows: u16) -> Self {
        let ground = Ground { branch: Some("main".into()), ..Ground::sample() };
        let composer =
            Composer::new(composer::Options { commands: slash::specs(), ..composer::Options::default() });
        let some = |count| NonZeroU16::new(count).unwrap();
        let caps = Caps { sync: true, ..Caps::default() };
        let start: Time = START.parse().unwrap();
        Self {
            app: App::new(composer, ground, Theme::ansi()),
            screen: Screen::new(Vec::new(), Size { columns, rows }, caps),
            terminal: vt100::Parser::new(some(rows), some(columns), 10_000),
            seq: 0,
            now_ms: u64::try_from(start.as_millisecond()).unwrap(),
            shots: Vec::new(),
        }
    }

    /// A fact becomes true, a second after the one before.
    pub fn fact(&mut self, mut fact: Value) {
        self.seq += 1;
        self.now_ms += 1000;
        fact["seq"] = json!(self.seq);
        fact["at"] = json!(Time::from_millisecond(i64::try_from(self.now_ms).unwrap()).unwrap());
        let event: Event = serde_json::from_str(&fact.to_string()).unwrap();
        self.give(Input::Update(Update::Event(event)));
    }

    pub fn item(&mut self, item: &Value) {
        self.fact(json!({"type": "item_added", "item": item}));
    }

    pub fn delta(&mut self, delta: Delta) {
        self.give(Input::Update(Update::Delta(delta)));
    }

    pub fn text(&mut self, text: &str) {
        self.delta(Delta::Text { response: ResponseId(1), text: text.to_owned() });
    }

    pub fn press(&mut self, code: KeyCode) -> Vec<Action> {
        self.give(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    /// Types as a person does, with time between the keys.
    pub fn types(&mut self, text: &str) {
        for char in text.chars() {
            self.now_ms += 100;
            self.press(KeyCode::Char(char));
        }
    }

    pub fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.give(Input::Tick);
    }

    fn give(&mut self, input: Input) -> Vec<Action> {
        let actions = self.app.update(input, self.now_ms);
        self.paint();
        actions
    }

    fn paint(&mut self) {
        paint(&mut self.app, &mut self.screen, self.now_ms).unwrap();
        self.terminal.process(&std::mem::take(self.screen.out()));
    }

    /// Something that became true before.
    pub fn event(&mut self, event: &Event) {
        self.now_ms = u64::try_from(event.at.as_millisecond()).unwrap();
        self.give(Input::Update(Update::Event(event.clone())));
    }

    /// Shows a session again.
    pub fn play(&mut self, recorded: Recorded) {
        self.app.play(recorded, self.now_ms);
        self.paint();
    }

    pub fn app(&self) -> &App {
        &self.app
    }

    /// All rows, those that were scrolled out first.
    pub fn everything(&mut self) -> Vec<String> {
        self.paint();
        let columns = self.terminal.screen().size().1.get();
        self.terminal.screen_mut().set_scrollback(usize::MAX);
        let mut rows = Vec::new();
        for offset in (1..=self.terminal.screen().scrollback()).rev() {
            self.terminal.screen_mut().set_scrollback(offset);
            rows.extend(self.terminal.screen().rows(0, columns).next());
        }
        self.terminal.screen_mut().set_scrollback(0);
        rows.extend(self.terminal.screen().rows(0, columns));
        rows.iter().map(|row| row.trim_end().to_owned()).collect()
    }

    /// Keeps what the terminal shows now.
    pub fn shot(&mut self, caption: &str) {
        self.paint();
        let screen = self.terminal.screen();
        let columns = screen.size().1.get();
        let mut rows: Vec<String> = screen.rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
        let (row, column) = screen.cursor_position();
        if !screen.hide_cursor() {
            // Below the row in which it stands.
            rows.insert(usize::from(row) + 1, format!("{}▔", " ".repeat(column.into())));
        }
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        self.shots.push(format!("=== {caption}\n{}", rows.join("\n")));
    }

    pub fn shots(self) -> String {
        self.shots.join("\n")
    }
}

/// How a session begins.
impl Stage {
    pub fn begun(columns: u16, rows: u16) -> Self {
        let mut stage = Self::new(columns, rows);
        stage.fact(json!({"type": "session_started", "session": "01936f3e-7a10-7000-8000-000000000001",
            "version": 1, "agent": "0.1.0", "workspace": "/home/me/project"}));
        stage.fact(json!({"type": "configured", "settings": {"model": "openai/gpt-5.5", "effort": "high",
            "approval": "on-request", "sandbox": "workspace-write", "backend": "local",
            "limits": {"window": 272_000, "tool_output": 10_000}}}));
        stage
    }

    pub fn turn(&mut self, text: &str) {
        self.fact(json!({"type": "turn_started", "turn": 1}));
        self.item(&json!({"type": "user", "content": [{"type": "text", "text": text}]}));
        self.fact(json!({"type": "response_started", "response": 1}));
    }

    pub fn said(&mut self, text: &str) {
        self.item(&json!({"type": "assistant", "text": text}));
    }

    pub fn call(&mut self, call: &str) {
        self.item(&json!({"type": "tool_call", "call": call, "tool": "whatever", "args": {"json": "{}"}}));
    }

    pub fn answered(&mut self) {
        self.fact(json!({"type": "response_finished", "response": 1, "outcome": {"type": "completed"},
            "usage": {"input": 12_000, "cached": 9_000, "output": 340}}));
    }

    pub fn runs(&mut self, call: &str, command: &str) {
        self.call(call);
        self.fact(json!({"type": "call_allowed", "call": call, "by": {"type": "policy"},
            "intent": {"type": "command", "command": command, "workdir": "/home/me/project"}}));
        self.fact(json!({"type": "tool_started", "call": call}));
    }

    pub fn ran(&mut self, call: &str, command: &str, exit: i32, output: &str) {
        self.item(&json!({"type": "tool_result", "call": call, "content": [], "shown":
            {"type": "command", "command": command, "workdir": "/home/me/project", "exit": exit,
             "duration_ms": 2345, "output": {"head": output, "lines": output.lines().count(), "bytes": output.len()}}}));
    }

    pub fn result(&mut self, call: &str, shown: &Value) {
        self.item(&json!({"type": "tool_result", "call": call, "content": [], "shown": shown}));
    }

    pub fn asks(&mut self, call: &str, intent: &Value, reason: &str, grants: &Value) {
        self.call(call);
        self.fact(json!({"type": "approval_requested", "call": call, "intent": intent, "reason": reason,
            "grants": grants}));
        self.wait(400);
    }

    pub fn ends(&mut self, outcome: &Value) {
        self.fact(json!({"type": "turn_finished", "turn": 1, "outcome": outcome, "duration_ms": 42_000}));
    }
}
