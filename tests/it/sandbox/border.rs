//! Where the border is drawn: what is no workspace by any of its names, and what stays private wherever it lies.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::world::{Gave, gave};
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
