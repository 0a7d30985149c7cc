//! What a person has to decide, when nobody is there: refused, or kept in the log until somebody comes.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    has_sandbox,
    mock::{Step, call, custom_call},
    world::{World, of, output, shell, story},
};

const REFUSED: &str = "approval policy is Never; reject command — you cannot ask for escalated permissions if \
                       the approval policy is Never";

fn escalated(cmd: &str) -> Value {
    let args = json!({"cmd": cmd, "sandbox_permissions": "require_escalated", "justification": "May I?"});
    call("exec_command", args)
}

/// A world in which the model wants to run each command outside of the sandbox, and then says `ok`.
async fn waiting(cmds: &[&str]) -> Option<World> {
    if !has_sandbox() {
        return None;
    }
    let world = World::new([Step::items(cmds.iter().map(|cmd| escalated(cmd))), Step::text("ok")]).await;
    let run = world.exec(&["-a", "on-request", "go"]).await.expect(3);
    assert!(run.stderr.contains("call_1_1") && run.stderr.contains("May I?"), "{run:#?}");
    assert!(run.stderr.contains(&format!("agent exec resume {} --approve", world.session())), "{run:#?}");
    assert_eq!(world.mock.requests().len(), 1);
    Some(world)
}

/// A command that only works outside of the sandbox, and leaves a line each time.
fn leave_a_line(world: &World) -> String {
    fs::read_to_string(world.root.join("outside")).unwrap_or_default()
}

#[tokio::test]
async fn under_never_the_model_is_told_in_the_words_that_it_knows() {
    if !has_sandbox() {
        return;
    }
    let world = World::new([Step::items([escalated("echo x > ../outside")]), Step::text("ok")]).await;
    world.exec(&["go"]).await.expect(0);
    assert_eq!(world.result(2), REFUSED);
    assert_eq!(leave_a_line(&world), "");
    assert_eq!(of(&world.log(), "call_refused").len(), 1);
}

#[tokio::test]
async fn an_approved_call_runs_once_and_outside_of_the_sandbox() {
    let Some(world) = waiting(&["echo line >> ../outside; echo out"]).await else { return };
    assert_eq!(of(&world.log(), "approval_requested")[0]["intent"]["escalated"], true);
    assert_eq!(leave_a_line(&world), "");
    let id = world.session();
    let run = world.exec(&["resume", &id, "--approve", "call_1_1"]).await.expect(0);
    assert_eq!(run.stdout, "ok\n");
    assert_eq!(leave_a_line(&world), "line\n");
    assert_eq!(output(&world.result(2)), "out\n");
    assert_eq!(of(&world.log(), "call_allowed")[0]["by"]["type"], "person");
    // A second time there is nothing to approve, and nothing happens.
    let before = fs::read(world.log_file()).unwrap();
    let run = world.exec(&["resume", &id, "--approve", "call_1_1"]).await.expect(2);
    assert!(run.stderr.contains("call call_1_1 is not waiting for an approval (waiting: none)"), "{run:#?}");
    assert_eq!(fs::read(world.log_file()).unwrap(), before);
    assert_eq!((leave_a_line(&world).as_str(), world.mock.requests().len()), ("line\n", 2));
}

#[tokio::test]
async fn a_refusal_comes_to_the_model_with_its_note() {
    let Some(world) = waiting(&["echo line >> ../outside"]).await else { return };
    let id = world.session();
    world.exec(&["resume", &id, "--deny", "call_1_1", "Use the other\nfile"]).await.expect(0);
    assert_eq!(world.result(2), "The user does not want this to be done, and says: Use the other\nfile");
    assert_eq!(leave_a_line(&world), "");
    let Some(world) = waiting(&["echo line >> ../outside"]).await else { return };
    world.exec(&["resume", &world.session(), "--deny", "call_1_1"]).await.expect(0);
    assert!(world.result(2).starts_with("The user does not want this to be done."), "{}", world.result(2));
}

#[tokio::test]
async fn a_decision_for_a_call_that_does_not_wait_changes_nothing() {
    let Some(world) = waiting(&["echo line >> ../outside"]).await else { return };
    let id = world.session();
    let before = fs::read(world.log_file()).unwrap();
    for args in [
        &["--approve", "call_9"][..],
        &["--deny", "call_9", "no"],
        &["--approve", "call_1_1", "--approve", "call_9"],
        // Twice, and both: somebody did not mean one of them.
        &["--approve", "call_1_1", "--approve", "call_1_1"],
        &["--approve", "call_1_1", "--deny", "call_1_1"],
    ] {
        let run = world.exec(&[&["resume", &id][..], args].concat()).await.expect(2);
        assert_eq!(run.stdout, "", "{args:?}");
        assert_eq!(fs::read(world.log_file()).unwrap(), before, "{args:?}");
    }
    assert_eq!(leave_a_line(&world), "");
}

#[tokio::test]
async fn going_on_without_a_decision_waits_again() {
    let Some(world) = waiting(&["echo line >> ../outside"]).await else { return };
    let id = world.session();
    for args in [&[][..], &["-a", "on-request"], &["-c", "effort=high", "-m", "mock/other"]] {
        let run = world.exec(&[&["resume", &id][..], args].concat()).await.expect(3);
        assert!(run.stderr.contains("call_1_1"), "{run:#?}");
    }
    // What is said meanwhile is heard after the result.
    world.exec(&["resume", &id, "and be quick"]).await.expect(3);
    world.exec(&["resume", &id, "--approve", "call_1_1"]).await.expect(0);
    let sent = world.sent(2);
    let kinds: Vec<&str> = sent.iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(kinds, ["message", "function_call", "function_call_output", "message"]);
    assert_eq!(sent[3]["content"][0]["text"], "and be quick");
    assert_eq!(leave_a_line(&world), "line\n");
}

#[tokio::test]
async fn two_calls_wait_side_by_side_and_are_decided_one_by_one_or_together() {
    let cmds = ["echo one >> ../outside", "echo two >> ../outside"];
    let Some(world) = waiting(&cmds).await else { return };
    let id = world.session();
    let run = world.exec(&["resume", &id, "--approve", "call_1_2"]).await.expect(3);
    assert!(run.stderr.contains("call_1_1") && !run.stderr.contains("  call_1_2"), "{run:#?}");
    assert_eq!((leave_a_line(&world).as_str(), world.mock.requests().len()), ("two\n", 1));
    world.exec(&["resume", &id, "--deny", "call_1_1", "no"]).await.expect(0);
    let ids: Vec<String> = world.results(2).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["call_1_1", "call_1_2"]);

    let both: [(&[&str], &str); 3] = [
        (&["--approve", "call_1_1", "--approve", "call_1_2"], "two lines"),
        (&["--deny", "call_1_1", "--deny", "call_1_2"], "none"),
        (&["--approve", "call_1_1", "--deny", "call_1_2", "not this"], "one"),
    ];
    for (args, expected) in both {
        let Some(world) = waiting(&cmds).await else { return };
        let run = world.exec(&[&["resume", &world.session()][..], args].concat()).await.expect(0);
        assert_eq!(run.stdout, "ok\n", "{args:?}");
        let mut lines: Vec<String> = leave_a_line(&world).lines().map(str::to_owned).collect();
        lines.sort();
        match expected {
            "none" => assert!(lines.is_empty(), "{lines:?}"),
            "one" => assert_eq!(lines, ["one"]),
            _ => assert_eq!(lines, ["one", "two"]),
        }
    }
}

#[tokio::test]
async fn a_write_outside_the_workspace_is_refused_or_asked_for() {
    if !has_sandbox() {
        return;
    }
    let patch = "*** Begin Patch\n*** Add File: ../outside\n+written\n*** End Patch\n";
    let steps = || [Step::items([custom_call("apply_patch", patch)]), Step::text("ok")];
    let world = World::new(steps()).await;
    world.exec(&["go"]).await.expect(0);
    assert_eq!(
        world.result(2),
        "patch rejected: writing outside of the project; rejected by user approval settings"
    );
    let world = World::new(steps()).await;
    let run = world.exec(&["-a", "on-request", "go"]).await.expect(3);
    let path = world.root.join("outside");
    assert!(run.stderr.contains(&format!("change {}", path.display())), "{run:#?}");
    assert_eq!(leave_a_line(&world), "");
    world.exec(&["resume", &world.session(), "--approve", "call_1_1"]).await.expect(0);
    assert_eq!(leave_a_line(&world), "written\n", "{:?}", world.results(2));
}

#[tokio::test]
async fn a_patch_to_what_git_obeys_needs_a_person_in_either_form() {
    if !has_sandbox() {
        return;
    }
    let patch =
        "*** Begin Patch\n*** Update File: .git/config\n-[core]\n+[core]\n+fsmonitor = ./x\n*** End Patch\n";
    let forms = [custom_call("apply_patch", patch), shell(&format!("apply_patch <<'EOF'\n{patch}EOF\n"))];
    for form in forms {
        let steps = || [Step::items([form.clone()]), Step::text("ok")];
        let world = World::new(steps()).await;
        world.write(".git/config", "[core]\n");
        world.exec(&["go"]).await.expect(0);
        let result = world.result(2);
        assert!(result.starts_with("patch rejected: git obeys "), "{result}");
        assert_eq!(world.read(".git/config"), "[core]\n");
        let world = World::new(steps()).await;
        world.write(".git/config", "[core]\n");
        let run = world.exec(&["-a", "on-request", "go"]).await.expect(3);
        assert!(run.stderr.contains("which git obeys later"), "{run:#?}");
        assert_eq!(world.read(".git/config"), "[core]\n");
        world.exec(&["resume", &world.session(), "--approve", "call_1_1"]).await.expect(0);
        assert_eq!(world.read(".git/config"), "[core]\nfsmonitor = ./x\n", "{:?}", world.results(2));
    }
}

#[tokio::test]
async fn read_only_is_read_only() {
    if !has_sandbox() {
        return;
    }
    let patch = "*** Begin Patch\n*** Add File: new\n+x\n*** End Patch\n";
    let world = World::new([
        Step::items([shell("echo x > made || echo no; cat kept"), custom_call("apply_patch", patch)]),
        Step::text("ok"),
    ])
    .await;
    world.write("kept", "kept\n");
    world.exec(&["-s", "read-only", "go"]).await.expect(0);
    let results = world.results(2);
    assert!(output(results[0].1.as_str().unwrap()).ends_with("no\nkept\n"), "{results:?}");
    assert_eq!(
        results[1].1,
        "patch rejected: the sandbox mode is read-only; rejected by user approval settings"
    );
    assert_eq!((world.read("made"), world.read("new")), (String::new(), String::new()));
}

#[tokio::test]
async fn untrusted_asks_for_what_is_not_known_to_be_harmless() {
    let world = World::new([
        Step::items([shell("/bin/ls"), shell("touch made"), shell("/bin/ls && touch made")]),
        Step::text("ok"),
    ])
    .await;
    let run = world.exec(&["--json", "-a", "untrusted", "go"]).await.expect(3);
    let story = story(&run.facts());
    let decided: Vec<&str> = story
        .iter()
        .map(String::as_str)
        .filter(|word| word.starts_with("call_allowed") || word.starts_with("approval"))
        .collect();
    assert_eq!(
        decided,
        ["call_allowed call_1_1", "approval_requested call_1_2", "approval_requested call_1_3"]
    );
    // The harmless one has run meanwhile.
    assert!(story.contains(&"tool_result call_1_1".to_owned()), "{story:?}");
}
