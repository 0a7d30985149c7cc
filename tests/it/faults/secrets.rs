//! The provider's key: nothing that the program writes or starts has it.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::support::{
    mock::Step,
    world::{KEY, Run, Running, World, files, output, shell},
};

/// Everything that a session left behind, and everything that a run printed.
fn assert_clean(world: &World, run: &Run) {
    assert!(!run.all().contains(KEY), "{run:#?}");
    let key_file = world.home.join("auth.json");
    for path in files(&world.root).into_iter().filter(|path| *path != key_file) {
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
        assert!(!found, "{} holds the key", path.display());
    }
}

#[tokio::test]
async fn the_key_goes_to_the_server_and_nowhere_else() {
    let look = "env; tr '\\0' '\\n' < /proc/self/environ; tr '\\0' '\\n' < /proc/$PPID/environ 2>&1; \
                cat /proc/1/environ 2>&1 | tr '\\0' '\\n'; true";
    let echo = format!("{{\"error\":{{\"message\":\"Incorrect API key provided: {KEY}\"}}}}");
    for mode in ["workspace-write", "danger-full-access"] {
        if mode == "workspace-write" && !crate::support::has_sandbox() {
            continue;
        }
        let world = World::new([
            Step::status(500).header("retry-after-ms", "10").body(&echo),
            Step::items([shell(look), shell("exec -a x sh -c env")]),
            Step::text("half").fail("server_error", &format!("you said {KEY}")),
            Step::status(401).body(&echo),
        ])
        .await;
        let run = world.exec(&["--json", "-s", mode, "go"]).await.expect(5);
        let sent = &world.mock.requests()[0].headers["authorization"];
        assert_eq!(sent, &format!("Bearer {KEY}"));
        assert!(run.stderr.contains("[secret]"), "the server's words are shown without it: {run:#?}");
        let results = world.results(3);
        let seen = output(results[0].1.as_str().unwrap());
        assert!(seen.contains("HOME=") && !seen.contains("MOCK_KEY"), "{mode}: {seen}");
        assert_clean(&world, &run);
    }
}

#[tokio::test]
async fn a_key_from_the_file_is_as_secret() {
    let world = World::new([Step::items([shell("env")]), Step::text("ok")]).await;
    let file = world.home.join("auth.json");
    fs::write(&file, format!("{{\"mock\": {{\"key\": \"{KEY}\"}}}}")).unwrap();
    let command = |world: &World| {
        let mut command = world.command(["exec", "--json", "go"]);
        command.env_remove("MOCK_KEY");
        crate::support::world::Running::spawn(command)
    };
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let run = command(&world).end().await.expect(5);
    assert!(run.stderr.contains("chmod 600"), "{run:#?}");
    assert_clean(&world, &run);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let run = command(&world).end().await.expect(0);
    assert_eq!(world.mock.requests()[0].headers["authorization"], format!("Bearer {KEY}"));
    assert_clean(&world, &run);
}

#[tokio::test]
async fn a_key_is_kept_from_standard_input_used_and_forgotten() {
    use tokio::io::AsyncWriteExt as _;

    let world = World::new([Step::text("ok")]).await;
    let run = async |args: &[&str], input: &str| {
        let mut command = world.command(args);
        command.env_remove("MOCK_KEY").stdin(std::process::Stdio::piped());
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        let all = [&output.stdout[..], &output.stderr[..]].concat();
        (output.status.code(), String::from_utf8(all).unwrap())
    };
    let (code, said) = run(&["login"], "two words\n").await;
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = run(&["login", "mokc"], KEY).await;
    assert!(code == Some(2) && said.contains("mock"), "{said}");
    let (code, said) = run(&["login"], &format!("{KEY}\n")).await;
    assert!(code == Some(0) && !said.contains(KEY), "{said}");
    let mode = fs::metadata(world.home.join("auth.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (code, said) = run(&["exec", "go"], "").await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.mock.requests()[0].headers["authorization"], format!("Bearer {KEY}"));
    let (code, said) = run(&["logout", "mock"], "").await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["exec", "go"], "").await;
    assert!(code == Some(5) && said.contains("agent login mock"), "{said}");
}

#[tokio::test]
async fn without_a_key_nothing_is_asked_and_the_places_for_one_are_named() {
    let world = World::new([Step::text("never")]).await;
    let mut command = world.command(["exec", "go"]);
    command.env_remove("MOCK_KEY");
    let run = crate::support::world::Running::spawn(command).end().await.expect(5);
    assert!(run.stderr.contains("MOCK_KEY") && run.stderr.contains("auth.json"), "{run:#?}");
    assert_eq!(world.mock.requests().len(), 0);
}

#[tokio::test]
async fn a_key_with_a_name_of_its_own_stays_out_of_commands_wherever_it_comes_from() {
    let world = World::new([Step::items([shell("env")]), Step::text("ok")]).await;
    let config = fs::read_to_string(world.config_file()).unwrap().replace("MOCK_KEY", "MY_MODEL");
    fs::write(world.config_file(), config).unwrap();
    world.configure("shell.env_allow = ['MY_MODEL', 'MY_FLAG']");
    // Login files are read where the user's own can be seen.
    let login = format!("export MY_MODEL={KEY} NPM_CONFIG__AUTH={KEY} FROM_LOGIN=1\n");
    fs::write(world.root.join("user/.bash_profile"), login).unwrap();
    let mut command = world.command(["exec", "-s", "danger-full-access", "go"]);
    command.env("MY_MODEL", KEY).env("MY_FLAG", "flag").env("SHELL", "/bin/bash");
    Running::spawn(command).end().await.expect(0);
    let result = world.result(2);
    assert!(result.contains("MY_FLAG=flag") && result.contains("FROM_LOGIN=1"), "{result}");
    assert!(!result.contains("MY_MODEL") && !result.contains(KEY), "{result}");
}
