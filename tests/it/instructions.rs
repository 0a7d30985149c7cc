//! Instruction files, with the real program: those further down when they matter, what they name, and what becomes of
//! them while a session works.

use std::fs;

use crate::support::{
    mock::{Request, Step, custom_call},
    world::{World, shell},
};

fn said(request: &Request) -> String {
    request.body["input"].to_string()
}

fn add(name: &str, text: &str) -> Step {
    let patch = format!("*** Begin Patch\n*** Add File: {name}\n+{text}\n*** End Patch");
    Step::items([custom_call("apply_patch", &patch)])
}

#[tokio::test]
async fn a_directorys_file_is_told_when_something_in_it_is_first_touched() {
    let world = World::new([
        Step::items([shell("cat sub/deep/code.txt")]),
        add("other/x.txt", "x"),
        Step::items([shell("ls sub/deep; true")]),
        Step::text("done"),
        Step::text("again"),
    ])
    .await;
    world.write("AGENTS.md", "At the top.\n");
    world.write("sub/CLAUDE.md", "In sub, canary one.\n");
    world.write("sub/deep/AGENTS.md", "Deep down, canary two.\n");
    world.write("sub/deep/AGENTS.override.md", "Instead, canary three.\n");
    world.write("sub/deep/code.txt", "code\n");
    world.write("other/GEMINI.md", "In other, canary four.\n");
    world.write("never/AGENTS.md", "Never touched, canary five.\n");
    let run = world.exec(&["go"]).await.expect(0);
    let all: Vec<String> = world.mock.requests().iter().map(said).collect();
    assert!(all[0].contains("At the top.") && !all[0].contains("canary"));
    for (text, first) in [("canary one", 1), ("canary three", 1), ("canary four", 2)] {
        for (number, request) in all.iter().enumerate() {
            assert_eq!(request.matches(text).count(), usize::from(number >= first), "{text} in {number}");
        }
    }
    let last = all.last().unwrap();
    assert!(!last.contains("canary two") && !last.contains("canary five"));
    // The nearest comes last.
    assert!(last.find("canary one") < last.find("canary three"));
    assert!(run.stderr.contains("the model was told of") && run.stderr.contains("sub/CLAUDE.md"), "{run:#?}");
    // A restart tells nothing again.
    world.agent(["exec", "resume", "--last", "more"]).await.expect(0);
    assert_eq!(said(world.mock.requests().last().unwrap()).matches("canary one").count(), 1);
}

#[tokio::test]
async fn a_change_is_told_once_as_a_difference() {
    let world = World::new([
        Step::items([shell("true")]),
        Step::items([shell("true")]),
        Step::text("one"),
        Step::text("two"),
        Step::text("three"),
        Step::text("four"),
    ])
    .await;
    let lines: String = (0..200).map(|number| format!("Rule {number} of the house.\n")).collect();
    let file = world.write("AGENTS.md", &lines);
    let other = file.clone();
    let changed = lines.replace("Rule 7 of", "Rule 7b of");
    let now = changed.clone();
    // It is changed while the model is asked for the second time.
    world.write("now.md", &now);
    world.exec(&["go"]).await.expect(0);
    assert_eq!(world.mock.requests().len(), 3);
    assert!(!said(world.mock.requests().last().unwrap()).contains("instructions_changed"));

    fs::write(&other, &changed).unwrap();
    let run = world.agent(["exec", "resume", "--last", "more"]).await.expect(0);
    assert!(run.stderr.contains("AGENTS.md has changed; the model was told the difference"), "{run:#?}");
    let request = said(world.mock.requests().last().unwrap());
    assert_eq!(request.matches("<instructions_changed").count(), 1);
    assert!(request.contains("-Rule 7 of the house.") && request.contains("+Rule 7b of the house."));
    assert_eq!(request.matches("Rule 150 of").count(), 1, "only what differs is told");

    world.agent(["exec", "resume", "--last", "more"]).await.expect(0);
    assert_eq!(
        said(world.mock.requests().last().unwrap()).matches("<instructions_changed").count(),
        1,
        "once"
    );
    fs::remove_file(&file).unwrap();
    let run = world.agent(["exec", "resume", "--last", "more"]).await.expect(0);
    assert!(run.stderr.contains("is gone or empty"), "{run:#?}");
    assert!(said(world.mock.requests().last().unwrap()).contains("holds no longer"));
}

#[tokio::test]
async fn what_a_file_names_is_read_and_links_out_are_not() {
    let world = World::new([Step::text("one")]).await;
    world.write("AGENTS.md", "Follow @docs/style.md and @docs/out.md. Ask @somebody.\n");
    world.write("docs/style.md", "Short names, the canary says. @../AGENTS.md\n");
    fs::write(world.root.join("secret.md"), "the secret\n").unwrap();
    std::os::unix::fs::symlink(world.root.join("secret.md"), world.workspace.join("docs/out.md")).unwrap();
    let run = world.exec(&["go"]).await.expect(0);
    let request = said(&world.mock.requests()[0]);
    assert!(request.contains("the canary says") && !request.contains("the secret"));
    assert!(request.find("the canary says") < request.find("Follow @docs"));
    assert!(run.stderr.contains("names @docs/out.md, which is not read: it is a link"), "{run:#?}");
}

#[tokio::test]
async fn a_file_that_comes_while_the_session_works_is_told() {
    let world = World::new([
        add("AGENTS.md", "Written just now, the canary."),
        Step::items([shell("true")]),
        Step::text("done"),
    ])
    .await;
    world.exec(&["go"]).await.expect(0);
    let block = "# AGENTS.md instructions for";
    let requests: Vec<String> = world.mock.requests().iter().map(said).collect();
    assert_eq!(requests.iter().map(|request| request.matches(block).count()).collect::<Vec<_>>(), [0, 1, 1]);
}

#[tokio::test]
async fn a_file_that_came_while_the_session_was_closed_is_told_once() {
    let world = World::new(["one", "two", "three"].map(Step::text)).await;
    world.exec(&["go"]).await.expect(0);
    world.write("AGENTS.md", "Written meanwhile, the canary.\n");
    let resume = ["exec", "resume", "--last", "more"];
    let run = world.agent(resume).await.expect(0);
    assert!(run.stderr.contains("the model was told of") && run.stderr.contains("AGENTS.md"), "{run:#?}");
    let run = world.agent(resume).await.expect(0);
    assert!(!run.stderr.contains("AGENTS.md"), "{run:#?}");
    let requests: Vec<String> = world.mock.requests().iter().map(said).collect();
    let told = |request: &String| request.matches("the canary").count();
    assert_eq!(requests.iter().map(told).collect::<Vec<_>>(), [0, 1, 1]);
}
