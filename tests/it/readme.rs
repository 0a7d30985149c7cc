//! The commands of the README, run as they are written.

use std::{fs, process::Command};

use serde_json::json;

use crate::support::{
    has_sandbox,
    mock::{Step, call},
    world::{Running, World},
};

/// Lines that are not run here, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("./install.sh --test", "it is what runs this"),
    ("agent login", "the key is in the environment already"),
    ("cd my-project", "the directory is given already"),
    ("agent undo", "no task here changes files; snapshots.rs undoes one that does"),
    ("agent redo", "as above"),
];

/// What the model answers to each task that the README gives, and how the command then ends.
const TASKS: &[(&str, &str, i32)] = &[
    ("login test", "mended", 0),
    ("exec - < task.md", "done", 0),
    ("review this change", "fine", 0),
    ("signup test", "the same", 0),
    ("update the dependencies", "updated", 0),
    ("publish the package", "ESCALATE", 3),
    ("--approve CALL", "published", 0),
    ("--deny CALL", "not published", 0),
    ("public functions", "none", 0),
    ("licences", r#"{"licences":["MIT"]}"#, 0),
    ("button cut off", "a margin", 0),
    ("--from 1", "once more", 0),
];

fn commands() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let mut inside = false;
    let mut found = Vec::new();
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside {
            // What installs is run by whoever runs these tests; what is installed is run here.
            found.push(line.replace("./install.sh --deps && ", ""));
        }
    }
    assert!(found.len() > 15, "the README has lost its commands: {found:?}");
    found
}

fn step(answer: &str) -> Step {
    if answer != "ESCALATE" {
        return Step::text(answer);
    }
    let args =
        json!({"cmd": "true", "sandbox_permissions": "require_escalated", "justification": "Publish?"});
    Step::items([call("exec_command", args)])
}

#[tokio::test]
async fn every_command_of_the_readme_works_as_it_is_written() {
    if !has_sandbox() {
        return;
    }
    let pending = || step("ESCALATE");
    // Before a decision is shown, a session is made that waits for it.
    let steps = TASKS.iter().flat_map(|(line, answer, _)| {
        let before = line.contains("CALL").then(pending);
        before.into_iter().chain([step(answer)])
    });
    let world = World::bare(steps.collect::<Vec<_>>()).await;
    let config = format!(
        "[providers.openai]\nbase_url = '{}'\n[permissions]\nallow = [{{ command = ['make', 'x'] }}]\n",
        world.mock.base_url()
    );
    fs::write(world.config_file(), config).unwrap();
    world.write("task.md", "say done");
    world.write("schema.json", r#"{"type":"object","required":["licences"]}"#);
    let mut png = Vec::new();
    let picture = image::DynamicImage::new_rgb8(4, 4);
    picture.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    world.write("screenshot.png", png);
    let git = Command::new("git").args(["init", "-q"]).current_dir(&world.workspace).status().unwrap();
    assert!(git.success());

    for line in commands() {
        if ELSEWHERE.iter().any(|(beginning, _)| line.starts_with(beginning)) {
            continue;
        }
        let task = TASKS.iter().find(|(part, ..)| line.contains(part));
        if line.contains("CALL") {
            shell(&world, "agent exec -a on-request 'publish'").await.expect(3);
        }
        let id = world.sessions().last().cloned().unwrap_or_default();
        let calls = if line.contains("CALL") { call_of(&world, &id) } else { String::new() };
        // Without jq the line is as good up to it.
        let line = line.replace("ID", &id).replace("CALL", &calls);
        let line = line.split(" | jq").next().unwrap_or_default();
        let run = shell(&world, line).await;
        match task {
            Some((_, answer, code)) => {
                let run = run.expect(*code);
                let said =
                    *answer == "ESCALATE" || run.stdout.contains(answer) || line.contains("-o answer.json");
                assert!(said, "{line}: {run:#?}");
            }
            // It is there to show what fails.
            None if line.contains("agent sandbox --") => {
                assert_ne!(run.code, 0, "{line}: {run:#?}");
                let home: Vec<String> = std::fs::read_dir(std::env::var("HOME").unwrap())
                    .map(|dir| dir.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
                    .unwrap_or_default();
                let shown = home.iter().filter(|name| run.stdout.lines().any(|line| line == *name));
                assert_eq!(shown.collect::<Vec<_>>(), Vec::<&String>::new(), "{run:#?}");
                assert!(!std::path::Path::new("/etc/x").exists());
            }
            None => drop(run.expect(0)),
        }
    }
    assert_eq!(world.read("answer.json"), r#"{"licences":["MIT"]}"#);
    assert_eq!(world.mock.requests().len(), TASKS.len() + 2, "each task was asked once");
}

/// The call that a session waits for a decision about.
fn call_of(world: &World, id: &str) -> String {
    let log = fs::read_to_string(world.home.join("sessions").join(id).join("log.jsonl")).unwrap();
    let mut facts = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let asked = facts.rfind(|fact| fact["type"] == "approval_requested").unwrap();
    asked["call"].as_str().unwrap().to_owned()
}

async fn shell(world: &World, line: &str) -> crate::support::world::Run {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_agent")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut command = world.program("/bin/sh");
    command.args(["-c", line]);
    command.env("PATH", path).env("OPENAI_API_KEY", "a-key");
    Running::spawn(command).end().await
}
