//! What is written in the composer, with help from outside: the shell, an editor, files, earlier sessions.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::{
    say,
    terminal::{Place, Screen},
};
use crate::support::mock::{Mock, Step};

/// What the person said, as a request has it.
fn said(request: &Value) -> Vec<String> {
    let items = request["input"].as_array().unwrap().iter().filter(|item| item["role"] == "user");
    items.filter_map(|item| item["content"][0]["text"].as_str()).map(str::to_owned).collect()
}

#[test]
fn a_command_of_the_person_an_editor_and_a_file_help_to_say_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mock = runtime.block_on(Mock::start(["heard", "edited", "found"].map(Step::text)));
    let mut place = Place::served(&mock.base_url());
    place.program("my-editor", "cat \"$2\" > before; printf 'one\\ntwo' > \"$2\"");
    place.set.push(("EDITOR", "my-editor --wait".to_owned()));
    for (file, text) in
        [("src/main.rs", "x"), ("src/mail.rs", "x"), (".gitignore", "hidden\n"), ("hidden", "x")]
    {
        let file = place.workspace.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let mut screen = Screen::start(place, &[]);
    screen.shows("›");
    screen.press("!printf 'a\\tb' && pwd && echo \"[$MOCK_KEY]\"");
    screen.shows("! printf 'a\\tb' && pwd && echo \"[$MOCK_KEY]\"");
    screen.press("\r");
    screen.shows("• heard");
    let heard = said(&runtime.block_on(mock.request(1)).body);
    let pwd = screen.place.workspace.display().to_string();
    assert!(
        heard.last().unwrap().ends_with(&format!("(exit status: 0):\n```\na\tb{pwd}\n[]\n```")),
        "{heard:?}"
    );

    screen.press("draft");
    screen.shows("› draft");
    screen.press("\x07");
    screen.shows("› one");
    assert_eq!(fs::read_to_string(screen.place.root.join("before")).unwrap(), "draft");
    screen.press("\r");
    screen.shows("• edited");
    assert_eq!(said(&runtime.block_on(mock.request(2)).body).last().unwrap(), "one\ntwo");

    screen.press("read @mainr");
    // The list of all letters, and not that of the first ones.
    screen.until("the file alone", |screen| {
        let shown = screen.terminal.screen().contents();
        shown.contains("src/main.rs") && !shown.contains("src/mail.rs")
    });
    screen.press("\t");
    screen.shows("› read src/main.rs");
    screen.press("\r");
    screen.shows("• found");
    let read = said(&runtime.block_on(mock.request(3)).body);
    assert_eq!(read.last().unwrap().trim_end(), "read src/main.rs");
    screen.leave();
}

#[test]
fn what_was_said_is_found_again_and_a_draft_survives_a_kill() {
    let mut screen = Screen::new(&[say("one"), say("two")]);
    screen.shows("›");
    screen.say("mend the 漢字 parser");
    screen.shows("• one");
    screen.press("half a sen");
    screen.until("the draft is kept", |screen| {
        let drafts = fs::read_dir(screen.place.home.join("state/drafts")).into_iter().flatten().flatten();
        drafts
            .map(|draft| fs::read_to_string(draft.path()).unwrap_or_default())
            .any(|text| text.contains("half a sen"))
    });
    screen.signal(Signal::KILL);
    screen.ended();
    let mut screen = Screen::start(screen.give_place(), &[]);
    screen.shows("› half a sen");
    screen.shows("what you were writing last time is back");
    screen.press("\x15");
    screen.shows("› Say what to do");
    screen.press("\x12");
    screen.press("PARSER\x7f\x7f\x7f\x7f\x7f\x7fparser");
    screen.shows("mend the 漢字 parser");
    screen.press("\r");
    screen.press("\r");
    screen.shows("• one");
    assert!(screen.log().contains("mend the 漢字 parser"));
    screen.leave();
}

#[test]
fn who_looks_elsewhere_is_told_and_what_is_copied_goes_to_the_clipboard() {
    let mut screen = Screen::new(&[say("first"), say("second 漢")]);
    let copy = "\x1b]52;c;c2Vjb25kIOa8og==\x1b\\";
    // This terminal did not say that it knows more than a bell.
    screen.asked_for = vec!["\x07", copy];
    let told = |screen: &Screen| screen.raw.contains(&7);
    screen.shows("›");
    screen.say("go");
    screen.shows("• first");
    screen.shows("Worked for");
    assert!(!told(&screen), "who looks here needs no notice");
    // The window loses the focus.
    screen.press("\x1b[O");
    screen.say("again");
    screen.until("the notice", told);
    screen.press("\x1b[I");
    screen.shows("second 漢");
    screen.say("/copy");
    screen.shows("copied");
    assert!(String::from_utf8_lossy(&screen.raw).contains(copy));
    screen.leave();
}
