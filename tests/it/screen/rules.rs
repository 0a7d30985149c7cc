//! Rules that outlive a session: kept with a key, found again, and taken back.

use std::fs;

use serde_json::json;

use super::{
    call, say,
    terminal::{Place, Screen},
};
use crate::support::has_sandbox;

#[test]
fn a_yes_for_the_project_is_kept_there_and_asked_for_elsewhere() {
    if !has_sandbox() {
        return;
    }
    let touch = json!({"cmd": "touch ../made", "sandbox_permissions": "require_escalated",
                       "justification": "May I?", "prefix_rule": ["touch", "../made"]});
    let mut screen = Screen::new(&[call("c1", &touch), say("it is there")]);
    screen.shows("›");
    screen.say("go");
    screen.shows("always in ~/workspace (kept in ~/home/config.toml)");
    screen.insist("p", "it is allowed", |screen| screen.log().contains("call_allowed"));
    screen.shows("it is there");
    let kept = fs::read_to_string(screen.place.home.join("config.toml")).unwrap();
    let rule = format!(
        "[projects.\"{}\"]\nallow = [\n    {{ command = [\"touch\", \"../made\"] }},\n]\n",
        screen.place.workspace.display()
    );
    assert!(kept.starts_with("model = 'demo/scripted'\n") && kept.ends_with(&rule), "{kept}");

    // The next session, in a directory of the project.
    let mut screen = Screen::start(screen.give_place(), &["go"]);
    screen.shows("Allowed by a rule (always in this project)");
    screen.shows("it is there");

    let mut place = screen.give_place();
    let elsewhere = place.root.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let project = std::mem::replace(&mut place.workspace, elsewhere);
    let mut screen = Screen::start(place, &["go"]);
    screen.shows("Run this command outside the sandbox?");

    // Taken back without a session, it is asked for again.
    let mut place = screen.give_place();
    place.workspace = project;
    let mut screen = Screen::start(place, &[]);
    screen.shows("›");
    screen.say("/permissions");
    screen.shows("Rule: commands that begin with `touch ../made`");
    screen.press("\x1b[F");
    screen.shows("d revokes the rule");
    screen.press("d");
    screen.until("the rule is gone", |screen| !screen.terminal.screen().contents().contains("Rule:"));
    screen.press("\x1b");
    screen
        .until("the view is gone", |screen| !screen.terminal.screen().contents().contains("What may happen"));
    screen.say("go");
    screen.shows("Run this command outside the sandbox?");
    assert_eq!(
        fs::read_to_string(screen.place.home.join("config.toml")).unwrap(),
        kept.replace(&format!("\n{rule}"), "")
    );
}

#[test]
fn a_yes_for_everywhere_holds_in_other_directories_and_others_wait_their_turn() {
    if !has_sandbox() {
        return;
    }
    let touch = |id: &str, file: &str| {
        let args = json!({"cmd": format!("touch /tmp/../{file}"), "sandbox_permissions": "require_escalated",
                          "justification": "May I?", "prefix_rule": ["touch", format!("/tmp/../{file}")]});
        call(id, &args)
    };
    let place = Place::new(&[]);
    let [made, other] = ["made", "other"].map(|name| place.root.join(name).display().to_string());
    let script = [json!([touch("c1", &made), touch("c2", &other)]), say("that is all")];
    let script: String = script.iter().map(|answer| format!("{answer}\n")).collect();
    fs::write(place.home.join("script.jsonl"), script).unwrap();
    let mut screen = Screen::start(place, &["go"]);
    screen.shows("always and everywhere (kept in ~/home/config.toml)");
    screen.shows("1 more");
    screen.insist("a", "it is allowed", |screen| screen.log().contains("call_allowed"));
    // The second one is not heard before it was seen.
    screen.shows("other");
    screen.insist("n", "a place for the note", |screen| {
        screen.terminal.screen().contents().contains("What should it do instead?")
    });
    screen.press("\r");
    screen.shows("that is all");
    let kept = fs::read_to_string(screen.place.home.join("config.toml")).unwrap();
    let rule =
        format!("\n[permissions]\nallow = [\n    {{ command = [\"touch\", \"/tmp/../{made}\"] }},\n]\n");
    assert!(kept.ends_with(&rule), "{kept}");
    assert!(fs::exists(&made).unwrap() && !fs::exists(&other).unwrap());

    let mut place = screen.give_place();
    place.workspace = place.root.join("elsewhere");
    fs::create_dir(&place.workspace).unwrap();
    let mut screen = Screen::start(place, &["go"]);
    screen.shows("Allowed by a rule (always everywhere)");
    screen.shows("Run this command outside the sandbox?");
    assert!(!screen.terminal.screen().contents().contains("1 more"), "only one is asked");
    screen.press("\x1b");
    screen.shows("Interrupted");
    screen.leave();
}
