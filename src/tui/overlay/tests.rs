//! Views on the screen as a whole.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;

use super::*;
use crate::protocol::{Event, Update};
use crate::tui::{
    action::Input,
    app::App,
    composer::{self, Composer},
};

fn app() -> App {
    let options = composer::Options { history: vec![], commands: crate::tui::slash::specs(), vim: false };
    let ground = Ground::sample();
    App::new(Composer::new(options), ground, Theme::ansi())
}

fn hear(app: &mut App, facts: &[serde_json::Value]) {
    for (seq, fact) in facts.iter().enumerate() {
        let mut fact = fact.clone();
        fact["seq"] = json!(seq + 1);
        fact["at"] = json!("2026-11-20T10:00:00Z");
        let event: Event = serde_json::from_str(&fact.to_string()).unwrap();
        app.update(Input::Update(Update::Event(event)), 0);
    }
}

fn press(app: &mut App, code: KeyCode, modifiers: KeyModifiers) -> Vec<Action> {
    app.update(Input::Key(KeyEvent::new(code, modifiers)), 10_000)
}

fn shown(app: &mut App, columns: u16, rows: u16) -> Option<Vec<String>> {
    let full = app.full(Size { columns, rows }, 0)?;
    Some(full.rows.iter().map(ToString::to_string).collect())
}

#[test]
fn an_approval_that_comes_while_a_view_is_open_is_not_missed() {
    let mut app = app();
    hear(&mut app, &[json!({"type": "turn_started", "turn": 1})]);
    press(&mut app, KeyCode::Char('t'), KeyModifiers::CONTROL);
    assert!(shown(&mut app, 80, 24).unwrap()[23].contains("q close"));
    hear(
        &mut app,
        &[
            json!({"type": "item_added", "item":
            {"type": "tool_call", "call": "c", "tool": "t", "args": {"json": "{}"}}}),
            json!({"type": "approval_requested", "call": "c", "reason": "r", "intent": {"type": "none"}}),
        ],
    );
    for (columns, rows) in [(80, 24), (40, 12)] {
        let seen = shown(&mut app, columns, rows).unwrap();
        assert_eq!(seen.len(), usize::from(rows));
        assert_eq!(seen[usize::from(rows) - 1], "An approval waits for you: Esc shows it");
        assert!(seen[usize::from(rows) - 2].contains("q close"), "{seen:?}");
    }
    // No key of the view answers it.
    assert_eq!(press(&mut app, KeyCode::Char('y'), KeyModifiers::NONE), []);
    press(&mut app, KeyCode::Esc, KeyModifiers::NONE);
    assert_eq!(shown(&mut app, 80, 24), None);
}

#[test]
fn what_a_view_wants_to_know_is_asked_for_when_it_opens() {
    let mut app = app();
    app.update(Input::Edited("/diff ".into()), 0);
    let actions = press(&mut app, KeyCode::Enter, KeyModifiers::NONE);
    let question = Question::WorkTree { folder: "/home/me/project".into() };
    assert_eq!(actions, [Action::Ask(question.clone())]);
    let problem = "this is no git work tree".to_owned();
    let failed = Answer::Failed { question, problem };
    assert_eq!(app.update(Input::Answer(failed), 0), []);
    assert!(shown(&mut app, 80, 24).unwrap()[0].contains("this is no git work tree"));
}
