//! Skills, with the real program: told of in a line, taken up when they are wanted, and what is hostile left alone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{
    has_sandbox,
    mock::{Step, call},
    world::{World, output, shell},
};

fn write(folder: &Path, name: &str, description: &str, body: &str) {
    fs::create_dir_all(folder).unwrap();
    let text = format!("---\nname: {name}\ndescription: {description}\n---\n{body}\n");
    fs::write(folder.join("SKILL.md"), text).unwrap();
}

fn load(name: &str) -> Value {
    call("load_skill", json!({ "name": name }))
}

/// All that a request says, as text.
fn said(world: &World, number: usize) -> String {
    world.mock.requests()[number - 1].body["input"].to_string()
}

/// The folder of a skill, as the model is told it in request N.
fn place(world: &World, number: usize, name: &str) -> PathBuf {
    let all = world.mock.requests()[number - 1].body["input"].clone();
    let list =
        all.as_array().unwrap().iter().map(|item| item["content"][0]["text"].as_str().unwrap_or_default());
    let list = list.into_iter().find(|text| text.starts_with("<skills>")).unwrap().to_owned();
    let line =
        list.lines().find(|line| line.starts_with(&format!("- {name}"))).unwrap_or_else(|| panic!("{list}"));
    let file = line.rsplit_once('(').unwrap().1.trim_end_matches(')');
    PathBuf::from(file).parent().unwrap().to_owned()
}

#[tokio::test]
async fn a_skill_is_a_line_until_it_is_called_for_and_its_scripts_run_in_the_sandbox() {
    if !has_sandbox() {
        return;
    }
    let world = World::new([
        Step::items([load("greet"), load("nothing")]),
        Step::items([load("greet")]),
        Step::reply(|request| {
            let all = request.body["input"].to_string();
            let (_, rest) = all.split_once("are relative to: ").unwrap();
            let place: String = rest.chars().take_while(|char| *char != '\\').collect();
            let line =
                format!("sh {place}/scripts/hello.sh; touch {place}/x; rm {place}/SKILL.md; ls {place}");
            Step::items([shell(&line)])
        }),
        Step::text("done"),
    ])
    .await;
    let folder = world.home.join("skills/greet");
    write(
        &folder,
        "greet",
        "Greets people. Use when somebody comes.",
        "Run scripts/hello.sh, the canary way.",
    );
    fs::create_dir(folder.join("scripts")).unwrap();
    fs::write(folder.join("scripts/hello.sh"), "echo hello from the skill\n").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("scripts/passwd")).unwrap();

    let run = world.exec(&["--json", "go"]).await.expect(0);
    assert!(
        said(&world, 1).contains("- greet: Greets people. Use when somebody comes. ("),
        "{}",
        said(&world, 1)
    );
    assert!(!said(&world, 1).contains("canary"), "the body is not there before it is called for");
    let results = world.results(2);
    assert!(results[0].1.as_str().unwrap().contains("the canary way"), "{results:?}");
    let missing = results[1].1.as_str().unwrap();
    assert!(
        missing.contains("there is no skill `nothing`; there are: greet, commit, fix-failing-test"),
        "{missing}"
    );
    let again = world.results(3).pop().unwrap().1;
    assert_eq!(
        again,
        "The skill `greet` is loaded already in this conversation and has not changed: follow it as it stands."
    );
    let listed = world.results(4).pop().unwrap().1;
    let listed = output(listed.as_str().unwrap());
    assert!(listed.contains("hello from the skill"), "{listed}");
    assert_eq!(listed.matches("Read-only file system").count(), 2, "{listed}");
    assert!(listed.ends_with("SKILL.md\nscripts\n") || listed.ends_with("SKILL.md\nscripts"), "{listed}");
    let place = place(&world, 1, "greet");
    assert!(
        place.join("scripts/hello.sh").exists() && place.join("scripts/passwd").symlink_metadata().is_err()
    );
    assert!(run.stdout.contains(r#""type":"skill","name":"greet""#), "{}", run.stdout);
}

#[tokio::test]
async fn of_calls_side_by_side_one_loads_the_skill() {
    let world = World::new([
        Step::items([load("greet"), load("greet"), load("greet")]),
        Step::items([load("greet")]),
        Step::text("done"),
    ])
    .await;
    write(&world.home.join("skills/greet"), "greet", "Greets people.", "The canary way.");
    world.exec(&["go"]).await.expect(0);
    for (number, results) in [(2, 3), (3, 4)] {
        assert_eq!(world.results(number).len(), results);
        assert_eq!(said(&world, number).matches("The canary way.").count(), 1, "in request {number}");
    }
}

#[tokio::test]
async fn what_the_person_calls_for_is_there_with_the_first_request_and_once() {
    let world = World::new([Step::text("one"), Step::text("two"), Step::text("three")]).await;
    let folder = world.home.join("skills/greet");
    write(&folder, "greet", "Greets.\ndisable-model-invocation: true", "The canary way.");
    let run = world.exec(&["$greet the guests, for $5 and $HOME"]).await.expect(0);
    assert!(run.stderr.contains("took up the skill greet"), "{run:#?}");
    assert_eq!(said(&world, 1).matches("The canary way").count(), 1);
    assert!(!said(&world, 1).contains("- greet"), "only the person calls for it");
    world.agent(["exec", "resume", "--last", "$greet again"]).await.expect(0);
    assert_eq!(said(&world, 2).matches("The canary way").count(), 1, "it is not loaded twice");
    write(&folder, "greet", "Greets.", "The other way.");
    world.agent(["exec", "resume", "--last", "$greet again"]).await.expect(0);
    assert_eq!(said(&world, 3).matches("The other way").count(), 1, "it has changed");
}

#[tokio::test]
async fn a_projects_skills_wait_for_trust_and_go_before_the_persons() {
    let world = World::new([
        Step::items([load("greet")]),
        Step::text("one"),
        Step::items([load("greet")]),
        Step::text("two"),
    ])
    .await;
    write(&world.home.join("skills/greet"), "greet", "The person's.", "mine");
    let project = world.workspace.join(".agent/skills/greet");
    write(&project, "greet", "The project's.", "theirs, the canary");
    let run = world.exec(&["go"]).await.expect(0);
    let why = "greet/SKILL.md: nobody was asked about it as it is now; the skill is not used";
    assert!(run.stderr.contains(why), "{run:#?}");
    assert!(said(&world, 1).contains("The person's.") && !said(&world, 2).contains("canary"));
    let trusted = format!("projects.{:?}.trusted=true", world.workspace.to_str().unwrap());
    let run = world.exec(&["-c", &trusted, "go"]).await.expect(0);
    assert!(run.stderr.contains("two skills are called `greet`"), "{run:#?}");
    assert_eq!(place(&world, 3, "greet"), project, "it lies in the workspace, where commands see it");
    assert!(said(&world, 4).contains("theirs, the canary"));
}

#[tokio::test]
async fn the_list_keeps_its_budget_whatever_there_is() {
    let world = World::new([Step::text("one")]).await;
    for number in 0..2_050 {
        let name = format!("s{number:04}");
        write(&world.home.join("skills").join(&name), &name, &"many words ".repeat(90), "x");
    }
    let huge = world.home.join("skills/a-huge");
    write(&huge, "a-huge", &"x".repeat(1 << 20), "x");
    let broken = world.home.join("skills/b-broken");
    fs::create_dir_all(&broken).unwrap();
    fs::write(broken.join("SKILL.md"), "---\nname: b-broken\ndescription: [\n---\n").unwrap();
    let run = world.exec(&["go"]).await.expect(0);
    for part in [
        "more than 2000 folders",
        "a-huge/SKILL.md",
        "b-broken/SKILL.md:3: its front matter is no YAML",
        "the list of skills is longer than its budget",
    ] {
        assert!(run.stderr.contains(part), "{part}\n{}", run.stderr);
    }
    let items = world.mock.requests()[0].body["input"].clone();
    let texts =
        items.as_array().unwrap().iter().map(|item| item["content"][0]["text"].as_str().unwrap_or_default());
    let list = texts.into_iter().find(|text| text.starts_with("<skills>")).unwrap().to_owned();
    assert!(list.len() <= 8 * 1024 && list.len() > 6 * 1024, "{}", list.len());
    assert!(list.contains("more skills are not listed"), "{list}");
    // Only those that are listed were laid out.
    let shelf = fs::read_dir(world.home.join("cache/skills")).unwrap().count();
    assert!(shelf < 250, "{shelf}");
}

fn git(folder: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(args).current_dir(folder);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn skills_come_from_git_in_versions_and_each_can_be_called_for() {
    let world = World::new([]).await;
    let [bare, work] = ["skills.git", "work"].map(|name| world.root.join(name));
    git(&world.root, &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
    git(&world.root, &["init", "-q", "-b", "main", work.to_str().unwrap()]);
    let push = |body: &str| {
        write(&work.join("tools/pdf"), "pdf", "Fills in forms.", body);
        // What git would run for whoever checks it out.
        fs::write(work.join(".gitattributes"), "* filter=evil\n").unwrap();
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "-m", body]);
        git(&work, &["push", "-q", bare.to_str().unwrap(), "HEAD:main"]);
    };
    push("the first way");
    let source = format!("{}@main#tools", bare.display());
    let run = world.agent(["skills", "add", &source, "--json"]).await.expect(0);
    let added: Value = serde_json::from_str(&run.stdout).unwrap();
    let first = added["changes"][0]["version"].as_str().unwrap().to_owned();
    push("the second way");
    let run = world.agent(["skills", "update"]).await.expect(0);
    assert!(run.stdout.starts_with("pdf@") && run.stdout.contains(&format!("(was {first})")), "{run:#?}");
    assert!(world.agent(["skills", "update"]).await.expect(0).stdout.contains("Nothing has changed."));

    let listed = |run: crate::support::world::Run| -> Vec<(String, String, Value)> {
        let all: Value = serde_json::from_str(&run.expect(0).stdout).unwrap();
        let skill = |skill: &Value| {
            let text = |key: &str| skill[key].as_str().unwrap_or_default().to_owned();
            (text("name"), text("version"), skill["hidden"].clone())
        };
        all["skills"].as_array().unwrap().iter().map(skill).filter(|(name, ..)| name == "pdf").collect()
    };
    let all = listed(world.agent(["skills", "list", "--json", "--all"]).await);
    assert_eq!(all.len(), 2);
    assert_ne!(all[0].1, first);
    assert_eq!(all[1], ("pdf".to_owned(), first.clone(), json!(true)));
    assert!(world.agent(["skills", "show", "pdf"]).await.expect(0).stdout.contains("the second way"));
    let old = format!("pdf@{}", first.chars().take(8).collect::<String>());
    assert!(world.agent(["skills", "show", &old]).await.expect(0).stdout.contains("the first way"));
    world.agent(["skills", "use", &old]).await.expect(0);
    assert_eq!(
        listed(world.agent(["skills", "list", "--json"]).await),
        [("pdf".to_owned(), first, json!(false))]
    );
    assert!(world.agent(["skills", "rm", &old]).await.expect(0).stdout.contains("removed pdf@"));
    assert!(world.agent(["skills", "show", "pdf"]).await.expect(0).stdout.contains("the second way"));
    world.agent(["skills", "rm", "pdf"]).await.expect(0);

    let run = world.agent(["skills", "rm", "commit"]).await.expect(2);
    assert!(
        run.stderr.contains("no skill `commit` is installed")
            && run.stderr.contains("ships with the program"),
        "{run:#?}"
    );
    let run = world.agent(["skills", "add", "ext::sh -c evil"]).await.expect(2);
    assert!(run.stderr.contains("`::` names a program"), "{run:#?}");
}

#[tokio::test]
async fn what_a_skill_of_the_person_needs_is_not_asked_for_when_the_person_called_for_it() {
    if !has_sandbox() {
        return;
    }
    // Each run ends with a question, so that it is asked no further.
    let step = || Step::items([shell("printf made >made.txt"), shell("touch other.txt")]);
    let world = World::new([step(), step()]).await;
    let description = "Makes.\nallowed-tools: Bash(touch:*)";
    write(&world.home.join("skills/make"), "make", description, "Make it.");
    world.exec(&["-a", "untrusted", "$make it"]).await.expect(3);
    assert!(!world.workspace.join("made.txt").exists() && world.workspace.join("other.txt").exists());
    fs::remove_file(world.workspace.join("other.txt")).unwrap();
    world.exec(&["-a", "untrusted", "make it"]).await.expect(3);
    assert!(!world.workspace.join("other.txt").exists(), "without the skill it is asked for");
}

#[tokio::test]
async fn those_that_ship_are_there_without_anything_and_each_can_be_called_for() {
    let world = World::new([Step::text("one")]).await;
    let names = ["commit", "fix-failing-test", "review", "security-scan", "write-skill"];
    let message = names.map(|name| format!("${name}")).join(" ");
    world.exec(&[&message]).await.expect(0);
    let request = said(&world, 1);
    for name in names {
        assert!(request.contains(&format!("- {name}: ")), "{name} is in the list");
        assert_eq!(
            request.matches(&format!("by the user\\\" name=\\\"{name}\\\"")).count(),
            1,
            "{name} is there"
        );
    }
}
