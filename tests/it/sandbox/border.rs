//! Where the border is drawn: what is no workspace by any of its names, and what stays private wherever it lies.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    refused::{NOTICE, over_bubblewrap},
    world::{Gave, gave},
};
use crate::support::{
    has_sandbox,
    mock::Step,
    program,
    world::{Running, World, output, shell},
};

/// A user's home with a project in it, and the program to be started there.
struct Place {
    _directory: tempfile::TempDir,
    root: PathBuf,
    home: PathBuf,
    project: PathBuf,
}

impl Place {
    /// Nothing where no sandbox can be had; that is said.
    fn new() -> Option<Self> {
        if !has_sandbox() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let home = root.join("home");
        let project = home.join("project");
        fs::create_dir_all(&project).unwrap();
        Some(Self { _directory: directory, root, home, project })
    }

    fn agent(&self, cwd: &Path, vars: &[(&str, &Path)], args: &[&str]) -> Gave {
        let child = Command::new(program())
            .args(args)
            .current_dir(cwd)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", &self.home)
            .env("AGENT_HOME", self.root.join("agent"))
            .envs(vars.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        gave(child.unwrap())
    }

    /// A script in the sandbox, in the project.
    fn run(&self, vars: &[(&str, &Path)], script: &str) -> Gave {
        self.agent(&self.project, vars, &["sandbox", "--", "sh", "-c", script])
    }
}

#[test]
fn a_home_is_no_workspace_by_any_of_its_names() {
    let Some(place) = Place::new() else { return };
    let link = place.root.join("link");
    symlink(&place.home, &link).unwrap();
    symlink(&place.root, place.root.join("up")).unwrap();
    let through = place.root.join("up/home");
    for home in [&place.home, &link, &through] {
        let vars = [("HOME", home.as_path())];
        let refused = place.agent(&place.home, &vars, &["sandbox", "--", "true"]);
        assert_eq!(refused.code, Some(6), "{refused:?}");
        assert!(refused.err.contains("is or holds your home directory"), "{refused:?}");
        // Nor is it one of the directories beside the workspace, or the place of a tool.
        for root in [&place.home, &link] {
            let roots = format!("writable_roots=['{}']", root.display());
            let refused = place.agent(&place.project, &vars, &["sandbox", "-c", &roots, "--", "true"]);
            assert_eq!(refused.code, Some(6), "{refused:?}");
        }
        fs::write(place.home.join("secret"), "canary").unwrap();
        for tool in [&place.home, &link] {
            let seen = place.run(
                &[("HOME", home), ("GOPATH", tool)],
                &format!("cat {}/secret {}/secret; true", place.home.display(), tool.display()),
            );
            assert_eq!((seen.code, seen.out.as_str()), (Some(0), ""), "{seen:?}");
        }
    }
}

#[test]
fn a_further_directory_may_be_named_by_a_link() {
    let Some(place) = Place::new() else { return };
    let data = place.root.join("data");
    fs::create_dir(&data).unwrap();
    symlink("data", place.root.join("alias")).unwrap();
    let roots = format!("writable_roots=['{}/alias']", place.root.display());
    let script = format!("echo x > {}/made", data.display());
    let wrote = place.agent(&place.project, &[], &["sandbox", "-c", &roots, "--", "sh", "-c", &script]);
    assert_eq!((wrote.code, data.join("made").exists()), (Some(0), true), "{wrote:?}");
    let roots = format!("writable_roots=['{}/missing']", place.root.display());
    let refused = place.agent(&place.project, &[], &["sandbox", "-c", &roots, "--", "true"]);
    assert_eq!(refused.code, Some(6));
    assert!(refused.err.contains("missing can't be written: No such file"), "{refused:?}");
}

#[tokio::test]
async fn a_program_that_a_command_replaced_is_not_what_runs_outside() {
    if !has_sandbox() {
        return;
    }
    for replace in [
        "cp evil new && mv -f new agent",
        "cat evil > agent || { cp evil new && mv -f new agent; }",
        "rm agent",
        "mkdir d && mv agent d/ && ln -s ../evil agent",
    ] {
        let world =
            World::new([Step::items([shell(replace)]), Step::items([shell("echo two")]), Step::text("ok")])
                .await;
        let witness = world.root.join("witness");
        let evil = world.write("evil", format!("#!/bin/sh\necho > {}\n", witness.display()));
        let own = world.workspace.join("agent");
        fs::copy(program(), &own).unwrap();
        fs::set_permissions(&evil, fs::metadata(&own).unwrap().permissions()).unwrap();
        let mut agent = world.program(&own);
        agent.args(["exec", "go"]);
        Running::spawn(agent).end().await.expect(0);
        let results = world.results(3);
        assert_eq!(output(results[1].1.as_str().unwrap()), "two\n", "{replace}: {results:?}");
        assert!(!witness.exists(), "{replace}");
    }
}

#[tokio::test]
async fn a_session_does_not_follow_its_directory_to_another_place() {
    let world = World::new([Step::items([shell("echo one")]), Step::text("ok")]).await;
    world.exec(&["go"]).await.expect(0);
    let moved = world.root.join("moved");
    fs::rename(&world.workspace, &moved).unwrap();
    symlink(world.root.join("user"), &world.workspace).unwrap();
    let mut resume = world.command(["exec", "resume", &world.session(), "again"]);
    let run = Running::spawn({
        resume.current_dir(&world.root);
        resume
    });
    let run = run.end().await.expect(1);
    assert!(run.stderr.contains("leads to another place now"), "{run:#?}");
    assert_eq!(world.mock.requests().len(), 2);
}

#[test]
fn the_programs_own_home_is_neither_read_nor_written_wherever_it_lies() {
    let Some(place) = Place::new() else { return };
    let config = place.home.join(".config");
    fs::create_dir(&config).unwrap();
    let deep = config.join("a/b/agent");
    let beside = place.root.join("beside");
    symlink(&config, &beside).unwrap();
    let standard = config.join("agent");
    let through = beside.join("agent");
    for (vars, own) in [
        (vec![("AGENT_HOME", standard.as_path())], &standard),
        (vec![("AGENT_HOME", through.as_path())], &standard),
        (vec![("AGENT_HOME", deep.as_path())], &deep),
        // The standard places, one of which is not there yet.
        (vec![("AGENT_HOME", Path::new("")), ("XDG_DATA_HOME", place.root.as_path())], &standard),
    ] {
        fs::create_dir_all(own).unwrap();
        fs::write(own.join("auth.json"), "{}").unwrap();
        fs::write(own.join("config.toml"), "").unwrap();
        let script = format!(
            "cat {own}/auth.json; ls -A {own}; ls -A {own}/cache; echo x > {own}/config.toml; echo x > {own}/new; rm -rf {own}; \
             mv {own} away; mv a away; mkdir -p {own} && echo x > {own}/config.toml; ln -s . {own}; echo done",
            own = own.display()
        );
        for roots in ["[]".to_owned(), format!("['{}']", config.display())] {
            let cwd = if roots == "[]" { &config } else { &place.project };
            let roots = format!("writable_roots={roots}");
            let gave = place.agent(cwd, &vars, &["sandbox", "-c", &roots, "--", "sh", "-c", &script]);
            // All that is seen of it is the shelf of skills, where that lies in it.
            let seen = if vars.len() == 1 { "cache\nskills\ndone\n" } else { "done\n" };
            assert_eq!((gave.code, gave.out.as_str()), (Some(0), seen), "{vars:?} {gave:?}");
            assert_eq!(fs::read_to_string(own.join("auth.json")).unwrap(), "{}");
            assert_eq!(fs::read_to_string(own.join("config.toml")).unwrap(), "");
            assert!(!own.join("new").exists());
        }
        let refused = place.agent(own, &vars, &["sandbox", "--", "true"]);
        assert_eq!(refused.code, Some(6));
        assert!(refused.err.contains("belongs to this program"), "{refused:?}");
        fs::remove_dir_all(own).unwrap();
    }
    // Not there at all: no command makes it.
    let gave = place.agent(
        &config,
        &[("AGENT_HOME", Path::new("")), ("XDG_DATA_HOME", &place.root)],
        &["sandbox", "--", "sh", "-c", "mkdir -p agent; echo x > agent/config.toml; echo done"],
    );
    assert_eq!(gave.out, "done\n", "{gave:?}");
    assert!(!standard.join("config.toml").exists());
}

#[test]
fn credentials_of_tools_are_hidden_wherever_they_lie() {
    let Some(place) = Place::new() else { return };
    let tool = place.project.join("tool");
    fs::create_dir(&tool).unwrap();
    for (variable, name) in
        [("CARGO_HOME", "credentials.toml"), ("CARGO_HOME", "credentials"), ("GEM_HOME", "credentials")]
    {
        fs::write(tool.join(name), "canary").unwrap();
        fs::write(tool.join("shown"), "shown").unwrap();
        let gave = place.run(&[(variable, &tool)], &format!("cat tool/{name} tool/shown"));
        assert_eq!(gave.out, "shown", "{variable} {name} {gave:?}");
    }
}

#[test]
fn what_git_obeys_is_read_only_in_every_directory_that_may_be_written() {
    let Some(place) = Place::new() else { return };
    let [data, tree, bare] = ["data", "tree", "bare"].map(|name| place.root.join(name));
    for path in [&data.join(".git"), &bare.join("worktrees/tree"), &tree] {
        fs::create_dir_all(path).unwrap();
    }
    fs::write(tree.join(".git"), "gitdir: ../bare/worktrees/tree\n").unwrap();
    fs::write(bare.join("worktrees/tree/commondir"), "../..\n").unwrap();
    let roots = format!("writable_roots=['{}', '{}']", data.display(), tree.display());
    let script = format!(
        "for at in {0}/data/.git {0}/tree/.git; do \
         (echo x > $at/config) 2>/dev/null; (echo x > $at) 2>/dev/null; mv $at $at.old 2>/dev/null; rm -rf $at 2>/dev/null; \
         ls -d $at; done; echo x > {0}/data/free && cat {0}/data/free",
        place.root.display()
    );
    let gave = place.agent(&place.project, &[], &["sandbox", "-c", &roots, "--", "sh", "-c", &script]);
    assert_eq!(gave.out, format!("{0}/data/.git\n{0}/tree/.git\nx\n", place.root.display()), "{gave:?}");
    assert_eq!(fs::read_dir(data.join(".git")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(tree.join(".git")).unwrap(), "gitdir: ../bare/worktrees/tree\n");
}

#[test]
fn a_repository_that_is_new_is_protected_from_the_next_command_on_or_put_away() {
    use agent::protocol::SandboxMode;
    let Some(world) = super::world::World::new(SandboxMode::WorkspaceWrite) else { return };
    let git = world.settings.workspace.join(".git");
    let writes = "echo x > .git/config 2>/dev/null && echo wrote";
    assert_eq!(world.run(writes).out.as_str(), "");
    // It is no whole repository: said once, where others are not read-only.
    let said = format!("{} is read-only to commands: it is not a whole repository", git.display());
    let said = if over_bubblewrap() { Vec::new() } else { vec![said] };
    assert_eq!(world.published(), said);
    // By the user, during the session.
    fs::remove_dir_all(&git).unwrap();
    assert_eq!((world.run("ls -d .git").out.as_str(), world.published()), ("", vec![]));
    fs::create_dir(&git).unwrap();
    assert_eq!((world.run(writes).out.as_str(), world.published()), ("", vec![]));
    // By a command.
    fs::remove_dir_all(&git).unwrap();
    assert_eq!(world.run("mkdir .git && echo x > .git/config && echo wrote").out, "wrote\n");
    assert_eq!(
        world.published(),
        [format!("a command made {}: git would obey its configuration", git.display())]
    );
    assert!(!git.exists() && world.settings.workspace.join("untrusted.git/config").exists());
    assert_eq!(world.published(), [] as [String; 0]);
}

#[tokio::test]
async fn the_model_is_told_of_what_others_obey_that_a_command_made() {
    if !has_sandbox() {
        return;
    }
    let world = World::new([
        Step::items([shell("echo x > .envrc")]),
        Step::items([shell("cat untrusted.envrc .envrc")]),
        Step::text("ok"),
    ])
    .await;
    world.exec(&["go"]).await.expect(0);
    let result = world.results(2)[0].1.as_str().unwrap().to_owned();
    let envrc = world.workspace.join(".envrc");
    let warning = format!("Warning: a command made {}: ", envrc.display());
    let first = result.lines().find(|line| !over_bubblewrap() || !line.contains(NOTICE)).unwrap();
    assert!(first.starts_with(&warning), "{result}");
    let result = world.results(3)[1].1.as_str().unwrap().to_owned();
    assert!(result.starts_with("Chunk ID") && result.contains("x\ncat: .envrc: No such file"), "{result}");
}

#[test]
fn what_a_command_left_in_the_way_does_not_keep_the_next_session_from_starting() {
    use agent::protocol::SandboxMode;
    let Some(world) = super::world::World::new(SandboxMode::WorkspaceWrite) else { return };
    let git = world.settings.workspace.join(".git");
    fs::remove_dir_all(&git).unwrap();
    let mut settings = world.settings.clone();
    settings.own = vec![world.outside().with_file_name("own")];
    for way in [
        "ln -s /nowhere .git",
        "ln -s ../outside .git",
        "echo 'gitdir: /nowhere' > .git",
        "mkfifo .git",
        "mkdir -p ~/.cargo && mv ~/.cargo ~/.old && ln -s /nowhere ~/.cargo",
        "mkdir -p ~/.cargo && rm -rf ~/.cargo/bin && ln -s /etc ~/.cargo/bin",
        "rm -rf ~/.cargo; echo x > ~/.cargo",
        "ln -s /usr ../own",
    ] {
        assert_eq!(world.run(&format!("{way}; true")).code, Some(0), "{way}");
        // As a session that goes on: the same scratch directory, another holder.
        let again = agent::sandbox::pick(settings.clone()).unwrap_or_else(|error| panic!("{way}: {error}"));
        let gave = gave(world.spawn(&again, "echo still here"));
        assert_eq!(gave.out, "still here\n", "{way}: {gave:?}");
        let _ = fs::remove_file(&git);
    }
}

#[test]
fn secrets_in_the_workspace_are_hidden_unless_they_are_revealed() {
    let Some(place) = Place::new() else { return };
    fs::create_dir(place.project.join("deep")).unwrap();
    for name in [".env", "deep/.env.local", "shown.env", ".env.example"] {
        fs::write(place.project.join(name), "canary").unwrap();
    }
    let script = "cat .env deep/.env.local shown.env .env.example; echo x > .env; rm -f .env; mv .env y; mv deep moved; \
                  cat moved/.env.local; ln .env z && cat z; true";
    let gave = place.run(&[], script);
    assert_eq!(gave.out.matches("canary").count(), 2, "{gave:?}");
    assert!(gave.out.contains("hidden from commands") && gave.out.contains("reveal"), "{gave:?}");
    assert_eq!(fs::read_to_string(place.project.join(".env")).unwrap(), "canary");
    let gave = place.agent(&place.project, &[], &["sandbox", "-c", "reveal=['.env']", "--", "cat", ".env"]);
    assert_eq!(gave.out, "canary", "{gave:?}");
}
