//! Tools that the provider runs: the person is asked once, and sees what was done with them.

use std::fs;

use serde_json::{Value, json};

use super::{
    say,
    terminal::{Place, Screen},
};

fn found() -> Value {
    json!({"type": "web_search_call", "id": "ws_1", "status": "completed",
           "action": {"type": "search", "query": "rust", "sources": [{"type": "url", "url": "https://a.b/found"}]}})
}

/// A session with a search of the web that is turned on.
fn searching(answers: &[Value]) -> Screen {
    let place = Place::new(answers);
    let file = place.home.join("config.toml");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{before}\n[hosted]\nweb_search = true\n")).unwrap();
    let mut screen = Screen::start(place, &[]);
    screen.shows("›");
    screen.say("go");
    screen.shows("Let the provider use this?");
    screen.shows("web search");
    screen.shows("it leaves this machine");
    assert!(!screen.log().contains("response_started"), "nothing was sent");
    screen
}

#[test]
fn the_person_is_asked_once_in_a_session_and_sees_what_was_found() {
    let sources = json!({"type": "sources", "sources": [{"title": "A page", "url": "https://a.b/page"}]});
    let answers = [json!([found(), say("Rust is fine."), sources])];
    let mut screen = searching(&answers);
    screen.shows("yes, for this session");
    screen.insist("y", "it is allowed", |screen| screen.log().contains("host_allowed"));
    screen.shows("You allowed the provider's own web search for this session");
    screen.shows("Searched the web rust");
    screen.shows("https://a.b/found");
    screen.shows("Rust is fine.");
    screen.shows("A page (https://a.b/page)");
    let place = screen.give_place();
    // Nobody is asked again: what was said holds for the session.
    let mut screen = Screen::start(place, &["resume", "--last"]);
    screen.shows("›");
    screen.say("once more");
    screen.until("a second answer", |screen| screen.log().matches("response_finished").count() == 2);
    assert_eq!(screen.log().matches("host_requested").count(), 1);
    screen.leave();
}

#[test]
fn a_no_is_a_no_for_the_session() {
    let mut screen = searching(&[say("Without it, then.")]);
    screen.insist("n", "a place for the note", |screen| {
        screen.terminal.screen().contents().contains("What should it do instead?")
    });
    screen.insist("\r", "it is refused", |screen| screen.log().contains("host_refused"));
    screen.shows("You refused the provider's own web search");
    screen.shows("Without it, then.");
    screen.leave();
}

#[test]
fn a_hosted_server_asks_like_a_command_does() {
    let asked = json!({"type": "tool_call", "call": "mcpr_1", "id": "mcpr_1", "tool": "hosted_mcp",
                       "args": {"json": json!({"server": "docs", "tool": "find", "arguments": "{\"q\":\"x\"}"}).to_string()}});
    let mut screen = Screen::new(&[asked, say("It is there.")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("find of the MCP server docs");
    screen.insist("y", "it is allowed", |screen| screen.log().contains("call_allowed"));
    screen.shows("find of docs may be called");
    screen.shows("It is there.");
    screen.leave();
}
