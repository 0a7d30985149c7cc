//! Going back, forking, and choosing another session, as the next request and the logs tell it.

use std::fs;

use serde_json::Value;

use super::terminal::{Place, Screen};
use crate::support::{
    has_sandbox,
    mock::{Mock, Step},
    world::{sent, shell},
};

/// What the person says in a request.
fn said(mock: &Mock, number: usize) -> Vec<String> {
    let request = &mock.requests()[number - 1];
    let of_person = |item: &Value| item["role"] == "user" || item["role"] == "assistant";
    let text = |item: &Value| item["content"][0]["text"].as_str().unwrap().to_owned();
    let environment = |text: &String| !text.starts_with('<') && !text.starts_with("# ");
    sent(request).iter().filter(|item| of_person(item)).map(text).filter(environment).collect()
}

#[test]
fn what_was_taken_back_reaches_no_request() {
    if !has_sandbox() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mock = runtime.block_on(Mock::start(["one", "two", "three", "four"].map(Step::text)));
    let mut screen = Screen::start(Place::served(&mock.base_url()), &[]);
    screen.shows("›");
    screen.say("first");
    screen.shows("• one");
    screen.say("second");
    screen.shows("• two");
    screen.press("\x1b");
    screen.shows("Esc again goes back");
    screen.press("\x1b");
    screen.shows("2. first");
    screen.press("\r");
    screen.shows("back to before: second");
    screen.press(", otherwise");
    screen.shows("second, otherwise");
    screen.press("\r");
    screen.shows("• three");
    assert_eq!(said(&mock, 3), ["first", "one", "second, otherwise"]);
    // The log keeps it all, and a resumed session is where this one was.
    let place = screen.give_place();
    assert!(place.log().contains("\"rewound\"") && place.log().contains("\"two\""));
    let mut screen = Screen::start(place, &["resume", "--last", "last"]);
    screen.shows("• four");
    assert_eq!(said(&mock, 4), ["first", "one", "second, otherwise", "three", "last"]);
    screen.leave();
}

#[test]
fn a_fork_works_in_a_directory_of_its_own_if_that_is_wanted() {
    if !has_sandbox() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let steps = [Step::text("one"), Step::items([shell("echo changed > file.txt")]), Step::text("two")];
    let mock = runtime.block_on(Mock::start(steps));
    let mut screen = Screen::start(Place::served(&mock.base_url()), &[]);
    let workspace = screen.place.workspace.clone();
    fs::write(workspace.join("file.txt"), "as it was\n").unwrap();
    let git = |args: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        let run = std::process::Command::new("git").args(who).args(args).current_dir(&workspace).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{args:?}: {run:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "first"]);
    screen.shows("›");
    screen.say("first");
    screen.shows("• one");
    screen.say("/fork elsewhere");
    screen.shows("/fork worktree [DIR]");
    screen.say("/fork copy ../the copy");
    screen.shows("a copy goes on in a directory of its own");
    screen.shows("copied to");
    let beside = |name: &str| workspace.parent().unwrap().join(name);
    let read = |folder: &str, file: &str| fs::read_to_string(beside(folder).join(file)).unwrap_or_default();
    // Nothing is made where something is.
    screen.say("/fork copy ../home");
    screen.shows("is there already");
    // The fork of a fork has what was not committed, too.
    fs::write(beside("the copy").join("mine.txt"), "mine\n").unwrap();
    screen.say("/fork worktree ../tree");
    screen.shows("a work tree of the last commit");
    assert_eq!(read("tree", "mine.txt"), "mine\n");
    assert!(beside("tree").join(".git").is_file());
    screen.say("change it");
    screen.shows("• two");
    assert_eq!(read("tree", "file.txt"), "changed\n");
    for untouched in ["workspace", "the copy"] {
        assert_eq!(read(untouched, "file.txt"), "as it was\n", "{untouched}");
    }
    screen.leave();
}

#[test]
fn a_fork_goes_on_beside_its_parent_and_either_is_found_in_the_list() {
    if !has_sandbox() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mock = runtime.block_on(Mock::start(["one", "two", "three"].map(Step::text)));
    let mut screen = Screen::start(Place::served(&mock.base_url()), &[]);
    screen.shows("›");
    screen.say("first");
    screen.shows("• one");
    screen.say("/rename The parent");
    screen.until("it has the name", |screen| screen.log().contains("\"renamed\""));
    screen.say("/fork");
    screen.shows("a copy goes on here");
    screen.say("in the fork");
    screen.shows("• two");
    assert_eq!(said(&mock, 2), ["first", "one", "in the fork"]);
    let logs = |screen: &Screen| -> Vec<String> {
        let mut folders: Vec<_> = fs::read_dir(screen.place.home.join("sessions"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort();
        folders.iter().map(|folder| fs::read_to_string(folder.join("log.jsonl")).unwrap()).collect()
    };
    let [parent, fork] = &logs(&screen)[..] else { panic!("two sessions") };
    assert!(!parent.contains("in the fork") && fork.contains("in the fork") && fork.contains("\"parent\""));

    // The list has both; the one that is open is not deleted.
    screen.say("/resume");
    screen.shows("Sessions of this directory");
    screen.shows("• two");
    screen.press("\x04");
    screen.shows("Delete “The parent” for good");
    screen.press("y");
    screen.shows("open in another process");
    screen.press("\x1b[B\r");
    screen.until("the list is gone", |screen| !screen.terminal.screen().contents().contains("Sessions of"));
    screen.say("in the parent");
    screen.shows("• three");
    assert_eq!(said(&mock, 3), ["first", "one", "in the parent"]);

    // From outside: the list comes first, and Esc leaves.
    let mut screen = Screen::start(screen.give_place(), &["resume"]);
    screen.shows("Sessions of this directory");
    screen.shows("› in the parent");
    screen.press("\x1b[B\x01");
    screen.until("one is gone from the list", |screen| {
        screen.terminal.screen().contents().matches("The parent").count() == 1
    });
    screen.press("\x1b");
    assert!(screen.ended().success());
}
