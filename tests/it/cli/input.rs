//! What a run takes: the task, standard input, pictures, instructions, settings.

use std::{fs, process::Stdio};

use serde_json::json;

use crate::support::{
    mock::Step,
    world::{Running, World, shell},
};

/// What the model heard as the task.
fn task(world: &World) -> String {
    world.sent(1)[0]["content"][0]["text"].as_str().unwrap().to_owned()
}

async fn piped(world: &World, args: &[&str], input: &str) -> crate::support::world::Run {
    let mut command = world.command(["exec"].iter().chain(args));
    command.stdin(Stdio::piped());
    let mut run = Running::spawn(command);
    run.type_in(input).await;
    run.end().await
}

#[tokio::test]
async fn the_task_comes_from_the_argument_from_standard_input_or_both() {
    for (args, input, expected) in [
        (&["-"][..], "the task\n", "the task\n"),
        (&[], "the task\n", "the task\n"),
        (&["explain"], "a\nb\n", "explain\n\n<stdin>\na\nb\n</stdin>"),
        (&["explain"], "", "explain"),
        (&["explain"], " \n", "explain"),
    ] {
        let world = World::new([Step::text("ok")]).await;
        piped(&world, args, input).await.expect(0);
        assert_eq!(task(&world), expected, "{args:?} {input:?}");
    }
}

#[tokio::test]
async fn a_file_on_standard_input_is_read_and_no_task_is_told() {
    let world = World::new([Step::text("ok")]).await;
    let file = world.write("data", "from a file\n");
    let mut command = world.command(["exec", "explain"]);
    command.stdin(fs::File::open(file).unwrap());
    Running::spawn(command).end().await.expect(0);
    assert_eq!(task(&world), "explain\n\n<stdin>\nfrom a file\n</stdin>");
    for args in [&["-"][..], &[], &[" "]] {
        let world = World::new([]).await;
        let run = world.exec(args).await.expect(2);
        assert!(run.stderr.contains("no task was given"), "{args:?} {run:#?}");
        assert!(world.sessions().is_empty());
    }
}

#[tokio::test]
async fn a_pipe_that_says_nothing_hangs_nobody() {
    let world = World::new([Step::text("ok")]).await;
    let mut command = world.command(["exec", "go"]);
    let (silent, _kept_open) = std::io::pipe().unwrap();
    command.stdin(silent);
    let run = Running::spawn(command).end().await.expect(0);
    assert!(run.stderr.contains("standard input is a pipe that has said nothing"), "{run:#?}");
    assert_eq!(task(&world), "go");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let world = World::new([]).await;
    let file = world.write("data", b"abc\xff");
    let mut command = world.command(["exec", "-"]);
    command.stdin(fs::File::open(file).unwrap());
    let run = Running::spawn(command).end().await.expect(2);
    assert!(run.stderr.contains("not UTF-8 text (byte 3)"), "{run:#?}");
}

#[tokio::test]
async fn pictures_go_with_the_task_and_a_wrong_one_begins_nothing() {
    let world = World::new([Step::text("ok"), Step::text("ok")]).await;
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(2, 2).write_to(&mut png, image::ImageFormat::Png).unwrap();
    world.write("a.png", png.get_ref());
    let run = world.exec(&["-i", "a.png", "-i", "none.png", "look"]).await.expect(2);
    assert!(run.stderr.contains("none.png"), "{run:#?}");
    assert!(world.sessions().is_empty(), "nothing has begun");
    world.exec(&["-i", "a.png", "look"]).await.expect(0);
    let content = &world.sent(1)[0]["content"];
    assert_eq!((&content[0]["text"], &content[1]["type"]), (&json!("look"), &json!("input_image")));
    // It is kept with the session, and is there in the next run.
    fs::remove_file(world.workspace.join("a.png")).unwrap();
    world.exec(&["resume", "--last", "again"]).await.expect(0);
    assert_eq!(&world.sent(2)[0]["content"], content);
}

#[tokio::test]
async fn another_directory_model_and_setting_are_taken_from_the_command_line() {
    let world = World::new([Step::items([shell("pwd")]), Step::text("ok")]).await;
    let other = world.root.join("other");
    fs::create_dir(&other).unwrap();
    let args =
        ["-C", "../other", "-m", "mock/vendor/thing", "-c", "effort=high", "-c", "verbosity=low", "go"];
    let run = world.exec(&args).await.expect(0);
    assert!(run.stderr.contains("model mock/vendor/thing is not known here"), "{run:#?}");
    let body = &world.mock.requests()[0].body;
    assert_eq!(
        (&body["model"], &body["reasoning"]["effort"], &body["text"]["verbosity"]),
        (&json!("vendor/thing"), &json!("high"), &json!("low"))
    );
    assert!(world.result(2).ends_with(&format!("{}\n", other.display())), "{}", world.result(2));
    for (args, problem) in [
        (["-C", "/nowhere"], "can't work in /nowhere"),
        (["-C", "/etc/passwd"], "is not a directory"),
        (["-m", "m"], "PROVIDER/MODEL"),
        (["-m", "mokc/m"], "did you mean `mock`?"),
        (["-c", "efort=high"], "did you mean `effort`?"),
        (["-c", "effort=hig"], "did you mean `high`?"),
        (["-c", "effort"], "KEY=VALUE"),
        (["-s", "everything"], "possible values"),
        (["--backend", "elsewhere"], "local"),
    ] {
        let run = world.exec(&[&args[..], &["go"]].concat()).await.expect(2);
        assert!(run.stderr.contains(problem), "{args:?}: {run:#?}");
    }
    assert_eq!(world.sessions().len(), 1);
}

#[tokio::test]
async fn instructions_of_every_level_reach_the_model_the_nearest_last() {
    let world = World::new([Step::text("ok")]).await;
    fs::write(world.home.join("AGENTS.md"), "of the user").unwrap();
    world.write(".git/HEAD", "ref: refs/heads/main");
    world.write("AGENTS.md", "of the repository");
    world.write("deep/AGENTS.md", "of the directory");
    world.write("deep/er/file", "");
    world.write("other/AGENTS.md", "of somewhere else");
    world.exec(&["-C", "deep/er", "go"]).await.expect(0);
    let body = String::from_utf8(world.mock.requests()[0].raw.clone()).unwrap();
    let at = |text: &str| body.find(text).unwrap_or_else(|| panic!("`{text}` is not in {body}"));
    assert!(at("of the user") < at("of the repository") && at("of the repository") < at("of the directory"));
    assert!(!body.contains("of somewhere else"));
}

#[tokio::test]
async fn a_link_of_the_repository_shows_the_model_nothing_from_elsewhere() {
    use std::os::unix::fs::symlink;

    let world = World::new([Step::text("ok"), Step::text("ok")]).await;
    let outside = world.root.join("secret");
    fs::write(&outside, "from elsewhere").unwrap();
    world.write(".git/HEAD", "ref: refs/heads/main");
    for target in [outside.as_path(), std::path::Path::new("/proc/self/environ")] {
        symlink(target, world.workspace.join("AGENTS.md")).unwrap();
        let run = world.exec(&["go"]).await.expect(0);
        let body = String::from_utf8(world.mock.requests().last().unwrap().raw.clone()).unwrap();
        assert!(!body.contains("from elsewhere") && !body.contains("MOCK_KEY"), "{body}");
        assert!(run.stderr.contains("a link to a place outside of the repository"), "{run:#?}");
        fs::remove_file(world.workspace.join("AGENTS.md")).unwrap();
    }
}

#[tokio::test]
async fn a_link_within_the_repository_is_followed() {
    let world = World::new([Step::text("ok")]).await;
    world.write(".git/HEAD", "ref: refs/heads/main");
    world.write("docs/rules.md", "the rules");
    std::os::unix::fs::symlink("docs/rules.md", world.workspace.join("AGENTS.md")).unwrap();
    world.exec(&["go"]).await.expect(0);
    assert!(String::from_utf8_lossy(&world.mock.requests()[0].raw).contains("the rules"));
}

#[tokio::test]
async fn instructions_beyond_the_budget_are_said_aloud() {
    let world = World::new([Step::text("ok")]).await;
    world.write(".git/HEAD", "");
    world.write("AGENTS.md", format!("beginning {}", "x".repeat(4000)));
    world.write("near/AGENTS.md", "the nearest");
    let run = world.exec(&["-C", "near", "-c", "instructions.max_bytes=1000", "go"]).await.expect(0);
    let path = world.workspace.join("AGENTS.md");
    let note = run.stderr.lines().find(|line| line.starts_with('!'));
    assert!(note.is_some_and(|note| note.contains(path.to_str().unwrap())), "{run:#?}");
    let body = String::from_utf8(world.mock.requests()[0].raw.clone()).unwrap();
    assert!(body.contains("the nearest"), "the nearest goes first");
}

#[tokio::test]
async fn a_task_that_no_log_could_hold_is_refused_and_the_session_goes_on() {
    let world = World::new([Step::text("ok")]).await;
    // Each NUL is six characters in the log.
    let run = piped(&world, &["-"], &"\0".repeat(16 << 20)).await.expect(2);
    assert!(run.stderr.contains("it can't be recorded: it is longer than 64 MiB"), "{}", run.stderr);
    let run = world.exec(&["resume", &world.session(), "go"]).await.expect(0);
    assert_eq!(run.stdout, "ok\n");
}
