//! Git inside: it works on a `.git` of its own, of which only data goes out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use agent::protocol::SandboxMode;

use super::world::{Gave, World, settings};

/// A workspace with a real repository in it, of one commit.
struct Repo {
    world: World,
    at: PathBuf,
}

const IDENTITY: &str =
    "export GIT_AUTHOR_NAME=i GIT_AUTHOR_EMAIL=i@x GIT_COMMITTER_NAME=i GIT_COMMITTER_EMAIL=i@x; set -e; ";

impl Repo {
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let at = root.join("workspace");
        fs::create_dir_all(&at).unwrap();
        fs::create_dir(root.join("outside")).unwrap();
        let world = settings(&root, SandboxMode::WorkspaceWrite);
        git(&at, &["init", "-q", "-b", "main"]);
        fs::write(at.join("a"), "one\n").unwrap();
        git(&at, &["add", "a"]);
        git(&at, &["commit", "-qm", "first"]);
        let world = World::at(directory, world)?;
        let layer = world.sandbox.describe();
        assert!(layer.contains("commits, branches and the stash go out"), "{layer}");
        Some(Self { world, at })
    }

    /// A script inside, which must succeed, with what is told after it.
    fn inside(&self, script: &str) -> (String, Vec<String>) {
        let gave = self.try_inside(script);
        assert_eq!(gave.code, Some(0), "{script}: {gave:?}");
        (gave.out, self.world.publish())
    }

    fn try_inside(&self, script: &str) -> Gave {
        self.world.run(&format!("{IDENTITY}{script}"))
    }

    /// The user's git, outside.
    fn git(&self, args: &[&str]) -> String {
        git(&self.at, args)
    }

    fn config(&self) -> String {
        fs::read_to_string(self.at.join(".git/config")).unwrap()
    }

    /// Git is content with the repository, and nothing of ours is left in it.
    fn is_sound(&self) {
        self.git(&["fsck", "--strict", "--no-dangling"]);
        let left = Command::new("find")
            .arg(self.at.join(".git"))
            .args(["-name", "*.lock", "-o", "-name", "tmp_obj*", "-o", "-name", "agent*"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    }

    fn layer(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.world.settings.scratch.join("git")];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() && !path.ends_with("work") {
                    open.push(path);
                } else if path.components().any(|part| part.as_os_str() == "upper") {
                    found.push(path);
                }
            }
        }
        found
    }
}

fn git(at: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=u", "-c", "user.email=u@x", "-c", "commit.gpgsign=false", "-c", "gc.auto=0"])
        .args(args)
        .current_dir(at)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[test]
fn a_commit_inside_is_there_outside() {
    let Some(repo) = Repo::new() else { return };
    let config = repo.config();
    let (out, said) = repo.inside("echo two > b; git add b; git commit -qm second; git log --format=%s");
    assert_eq!((out.as_str(), said), ("second\nfirst\n", vec![]));
    assert_eq!(repo.git(&["log", "--format=%s %an"]), "second i\nfirst u");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    assert_eq!(repo.git(&["reflog", "--format=%gs"]), "commit: second\ncommit (initial): first");
    let (_, said) = repo
        .inside("git commit -q --amend -m third; git branch side; git tag -m t v1; git status --porcelain");
    assert_eq!(said, [] as [String; 0]);
    assert_eq!(repo.git(&["log", "--format=%s"]), "third\nfirst");
    assert_eq!(
        repo.git(&["for-each-ref", "--format=%(refname)"]),
        "refs/heads/main\nrefs/heads/side\nrefs/tags/v1"
    );
    repo.is_sound();
    assert_eq!(repo.config(), config);
    let layer = repo.layer();
    assert!(layer.iter().all(|path| path.ends_with("index")), "nothing stays: {layer:?}");
}

#[test]
fn branches_stash_and_packed_references_come_and_go() {
    let Some(repo) = Repo::new() else { return };
    repo.git(&["branch", "old"]);
    repo.git(&["branch", "deep/er"]);
    repo.git(&["pack-refs", "--all"]);
    let (_, said) = repo.inside(
        "echo x >> a; git stash -q; echo y >> a; git stash -q; git stash list | wc -l; git branch -D old deep/er; \
         git branch deep; git checkout -q -b feature/x; echo z > z; git add z; git commit -qm z; git checkout -q main",
    );
    assert_eq!(said, [] as [String; 0]);
    assert_eq!(
        repo.git(&["for-each-ref", "--format=%(refname)"]),
        "refs/heads/deep\nrefs/heads/feature/x\nrefs/heads/main\nrefs/stash"
    );
    assert_eq!(repo.git(&["stash", "list"]).lines().count(), 2);
    let (_, said) = repo.inside("git stash drop -q; git stash pop -q; git pack-refs --all; git gc -q; git branch -m feature/x feature");
    assert_eq!(said, [] as [String; 0]);
    assert_eq!(repo.git(&["stash", "list"]), "");
    assert_eq!(fs::read_to_string(repo.at.join("a")).unwrap(), "one\nx\n");
    assert_eq!(
        repo.git(&["for-each-ref", "--format=%(refname)"]),
        "refs/heads/deep\nrefs/heads/feature\nrefs/heads/main"
    );
    repo.is_sound();
}

#[test]
fn a_rebase_with_a_conflict_lasts_over_commands_and_the_user_sees_its_end() {
    let Some(repo) = Repo::new() else { return };
    repo.inside(
        "git checkout -q -b side; echo side > a; git commit -qam side; git checkout -q main; echo main > a; \
         git commit -qam main; git checkout -q side",
    );
    let before = repo.git(&["rev-parse", "HEAD"]);
    let gave = repo.try_inside("git rebase -q main");
    assert_eq!(gave.code, Some(1), "{gave:?}");
    let said = repo.world.publish();
    assert!(said.iter().any(|said| said.starts_with("a rebase, cherry-pick")), "{said:?}");
    assert_eq!(
        (repo.git(&["rev-parse", "HEAD"]), repo.git(&["symbolic-ref", "HEAD"])),
        (before, "refs/heads/side".into())
    );
    assert!(!repo.at.join(".git/rebase-merge").exists());
    let (out, said) = repo
        .inside("echo both > a; git add a; GIT_EDITOR=true git rebase --continue > /dev/null 2>&1; git log --format=%s");
    assert_eq!((out.as_str(), said), ("side\nmain\nfirst\n", vec![]));
    assert_eq!(repo.git(&["log", "--format=%s"]), "side\nmain\nfirst");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    assert_eq!(repo.git(&["symbolic-ref", "HEAD"]), "refs/heads/side");
    repo.is_sound();
}

#[test]
fn a_merge_with_a_conflict_is_seen_outside_and_ended_inside() {
    let Some(repo) = Repo::new() else { return };
    let (_, said) = repo.inside(
        "git checkout -q -b side; echo side > a; git commit -qam side; git checkout -q main; echo main > a; \
         git commit -qam main; ! git merge -q side",
    );
    assert_eq!(said, [] as [String; 0]);
    assert_eq!(repo.git(&["status", "--porcelain"]), "UU a");
    assert!(repo.at.join(".git/MERGE_HEAD").exists());
    let (_, said) = repo.inside("echo both > a; git commit -qam merged");
    assert_eq!(said, [] as [String; 0]);
    assert!(!repo.at.join(".git/MERGE_HEAD").exists());
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "merged");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    repo.is_sound();
}

#[test]
fn what_the_user_does_meanwhile_stays_and_is_seen_inside() {
    let Some(repo) = Repo::new() else { return };
    repo.inside("git status -s; git log --oneline");
    fs::write(repo.at.join("u"), "u").unwrap();
    repo.git(&["add", "u"]);
    repo.git(&["commit", "-qm", "by the user"]);
    repo.git(&["tag", "theirs"]);
    let (out, _) = repo.inside("git log --format=%s; git tag; git status --porcelain");
    assert_eq!(out, "by the user\nfirst\ntheirs\n");
    // At the same time: the user's stays, and what the command made is named.
    let gave = repo.try_inside(
        "echo c > c; git add c; git commit -qm 'by the command'; git branch own; git rev-parse HEAD",
    );
    fs::write(repo.at.join("v"), "v").unwrap();
    repo.git(&["add", "v"]);
    repo.git(&["commit", "-qm", "meanwhile"]);
    let said = repo.world.publish();
    assert!(
        said.iter().any(|said| said.starts_with("refs/heads/main of ") && said.contains(gave.out.trim())),
        "{said:?}"
    );
    assert!(said.iter().any(|said| said.starts_with("index of ")), "{said:?}");
    assert_eq!(repo.git(&["log", "--format=%s"]), "meanwhile\nby the user\nfirst");
    assert_eq!(repo.git(&["log", "-1", "--format=%s", "own"]), "by the command");
    let (out, said) = repo.inside("git log -1 --format=%s; git status --porcelain");
    assert_eq!((out.as_str(), said), ("meanwhile\n?? c\n", vec![]));
    repo.is_sound();
}

#[test]
fn a_command_that_goes_on_sees_the_user_and_is_seen() {
    let Some(repo) = Repo::new() else { return };
    let mut long = repo.world.start("until [ -e stop ]; do sleep 0.01; done");
    repo.inside("echo two > b; git add b; git commit -qm second");
    assert_eq!(repo.git(&["log", "--format=%s"]), "second\nfirst");
    fs::write(repo.at.join("u"), "u").unwrap();
    repo.git(&["add", "u"]);
    repo.git(&["commit", "-qm", "by the user"]);
    repo.git(&["branch", "theirs"]);
    let (out, said) =
        repo.inside("git log --format=%s theirs; git status --porcelain; git commit --allow-empty -qm third");
    assert_eq!((out.as_str(), said), ("by the user\nsecond\nfirst\n", vec![]));
    assert_eq!(repo.git(&["log", "--format=%s"]), "third\nby the user\nsecond\nfirst");
    fs::write(repo.at.join("stop"), "").unwrap();
    long.wait().unwrap();
    repo.inside("true");
    repo.is_sound();
}

#[test]
fn what_git_would_obey_never_gets_out() {
    let Some(repo) = Repo::new() else { return };
    let config = repo.config();
    let evil = repo.world.outside().join("witness");
    let run = format!("touch {}", evil.display());
    for plant in [
        format!("git config core.fsmonitor '{run}'; git config alias.st '!{run}'; git config user.name x"),
        format!("printf '#!/bin/sh\\n{run}\\n' > .git/hooks/post-checkout; chmod +x .git/hooks/post-checkout"),
        format!("mkdir -p evil; printf '[core]\\nfsmonitor={run}\\n' > evil/config; echo ../evil > .git/commondir"),
        format!("mkdir -p .git/rebase-merge; echo 'exec {run}' > .git/rebase-merge/git-rebase-todo; echo x > .git/rebase-merge/onto"),
        "mkdir -p .git/info; echo '* filter=x' > .git/info/attributes; rm -f .git/commondir".into(),
        "ln -sfn /etc .git/objects/ff; ln -sf ../config .git/refs/heads/link; ln -sf config .git/ORIG_HEAD".into(),
        "mkdir -p .git/modules/m .git/worktrees/w; echo x > .git/modules/m/config; echo /etc > .git/worktrees/w/gitdir".into(),
        "echo /etc > .git/objects/info/alternates".into(),
        "echo 'ref: refs/heads/../../config' > .git/HEAD".into(),
        "rm .git/HEAD; ln -s config .git/HEAD".into(),
        "echo 'ref: refs/heads/main' > .git/HEAD; echo nonsense > .git/refs/heads/bad; echo x > .git/index".into(),
    ] {
        let gave = repo.world.run(&plant);
        assert_eq!(gave.code, Some(0), "{plant}: {gave:?}");
        repo.world.publish();
        for args in [&["status"][..], &["log"], &["checkout", "-q", "-B", "other"], &["checkout", "-q", "main"]] {
            repo.git(args);
        }
        assert!(!evil.exists(), "{plant}");
        assert_eq!(repo.config(), config, "{plant}");
    }
    for gone in [
        "commondir",
        "rebase-merge",
        "info/attributes",
        "modules",
        "worktrees",
        "objects/ff",
        "objects/info/alternates",
        "refs/heads/link",
        "refs/heads/bad",
    ] {
        assert!(repo.at.join(".git").join(gone).symlink_metadata().is_err(), "{gone}");
    }
    repo.git(&["branch", "-D", "other"]);
    repo.is_sound();
}

#[test]
fn an_object_is_believed_by_its_content_alone() {
    let Some(repo) = Repo::new() else { return };
    let first = repo.git(&["rev-parse", "HEAD"]);
    let (_, said) = repo.inside(
        "o=$(echo evil | git hash-object -w --stdin); mkdir -p .git/objects/aa; \
         cp .git/objects/${o:0:2}/${o:2} .git/objects/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; \
         echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa > .git/refs/heads/bad; \
         c=$(git rev-parse HEAD); chmod +w .git/objects/${c:0:2}/${c:2}; echo broken > .git/objects/${c:0:2}/${c:2}",
    );
    assert!(said.iter().any(|said| said.contains("are not what their names say")), "{said:?}");
    assert!(said.iter().any(|said| said.starts_with("refs/heads/bad of ")), "{said:?}");
    assert!(!repo.at.join(".git/objects/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").exists());
    assert_eq!(repo.git(&["cat-file", "-t", &first]), "commit");
    repo.is_sound();
}

#[test]
fn a_repository_that_a_command_destroys_is_whole_outside_and_inside_again() {
    let Some(repo) = Repo::new() else { return };
    let gave = repo.world.run("rm -rf .git/* 2>/dev/null; ls -A .git");
    assert_eq!(gave.out, "", "{gave:?}");
    let said = repo.world.publish();
    assert!(said.iter().any(|said| said.contains("that make it a repository")), "{said:?}");
    assert_eq!(repo.git(&["log", "--format=%s"]), "first");
    assert_eq!(repo.inside("git log --format=%s").0, "first\n");
    repo.is_sound();
}

#[test]
fn a_new_repository_inside_is_one_outside_without_what_git_would_obey() {
    let Some(repo) = Repo::new() else { return };
    fs::remove_dir_all(repo.at.join(".git")).unwrap();
    let (_, said) = repo.inside("git init -q -b trunk; git add a; git commit -qm new");
    assert_eq!(said, [] as [String; 0]);
    assert_eq!(repo.git(&["log", "--format=%s trunk", "trunk"]), "new trunk");
    assert!(!repo.at.join("untrusted.git").exists() && !repo.at.join(".git/hooks").exists());
    let (out, said) = repo.inside("echo b > b; git add b; git commit -qm next; git log --format=%s");
    assert_eq!((out.as_str(), said), ("next\nnew\n", vec![]));
    assert_eq!(repo.git(&["log", "--format=%s"]), "next\nnew");
    repo.is_sound();
    // With something that git would run, that is left where it can be looked at.
    fs::remove_dir_all(repo.at.join(".git")).unwrap();
    let (_, said) =
        repo.inside("git init -q; git config core.fsmonitor 'touch x'; git add a; git commit -qm again");
    assert!(said.len() == 1 && said[0].contains("untrusted.git"), "{said:?}");
    assert!(!repo.config().contains("fsmonitor"));
    assert!(fs::read_to_string(repo.at.join("untrusted.git/config")).unwrap().contains("fsmonitor"));
    repo.is_sound();
}

#[test]
fn a_session_that_goes_on_finds_what_was_under_way() {
    let Some(repo) = Repo::new() else { return };
    repo.inside(
        "git checkout -q -b side; echo side > a; git commit -qam side; git checkout -q main; echo main > a; \
         git commit -qam main; git checkout -q side",
    );
    repo.try_inside("git rebase -q main");
    // The agent ends without another word, and goes on later.
    let again = agent::sandbox::pick(repo.world.settings.clone()).unwrap();
    super::world::block_on(repo.world.sandbox.stop());
    super::world::block_on(again.refresh()).unwrap();
    let script =
        format!("{IDENTITY}echo both > a; git add a; GIT_EDITOR=true git rebase --continue > /dev/null 2>&1");
    let gave = super::world::gave(repo.world.spawn(&again, &script));
    assert_eq!(gave.code, Some(0), "{gave:?}");
    super::world::block_on(again.publish());
    assert_eq!(repo.git(&["log", "--format=%s"]), "side\nmain\nfirst");
    repo.is_sound();
}

#[test]
fn repositories_within_are_worked_in_and_only_their_history_goes_out() {
    let Some(repo) = Repo::new() else { return };
    let sub = repo.at.join("deep/sub");
    fs::create_dir_all(&sub).unwrap();
    git(&sub, &["init", "-q", "-b", "main"]);
    git(&sub, &["commit", "-q", "--allow-empty", "-m", "first"]);
    git(&repo.at, &["init", "-q", "--bare", "-b", "main", "bare"]);
    let config = fs::read_to_string(sub.join(".git/config")).unwrap();
    let (_, said) = repo.inside(
        "cd deep/sub; echo x > x; git add x; git commit -qm second; git branch other; git push -q ../../bare main; \
         git config user.name evil",
    );
    assert!(said.iter().all(|said| said.contains("config")), "{said:?}");
    assert_eq!(git(&sub, &["log", "--format=%s", "other"]), "second\nfirst");
    assert_eq!(git(&sub, &["status", "--porcelain"]), "");
    assert_eq!(git(&repo.at.join("bare"), &["log", "--format=%s"]), "second\nfirst");
    assert_eq!(fs::read_to_string(sub.join(".git/config")).unwrap(), config);
    // It is the same one under another name, with what the session has of it.
    let (out, said) = repo
        .inside("mv deep other; cd other/sub; git config user.name; git commit -q --allow-empty -m third");
    assert_eq!((out.as_str(), said), ("evil\n", vec![]));
    assert_eq!(git(&repo.at.join("other/sub"), &["log", "-1", "--format=%s"]), "third");
    // What the user does there is seen.
    git(&repo.at.join("other/sub"), &["commit", "-q", "--allow-empty", "-m", "by the user"]);
    let (out, _) = repo.inside("cd other/sub; git log -1 --format=%s");
    assert_eq!(out, "by the user\n");
    repo.is_sound();
}

#[test]
fn a_module_is_committed_to_inside_and_outside_it_is_there() {
    let Some(repo) = Repo::new() else { return };
    let up = repo.world.outside().join("up");
    fs::create_dir_all(&up).unwrap();
    git(&up, &["init", "-q", "-b", "main"]);
    git(&up, &["commit", "-q", "--allow-empty", "-m", "up"]);
    let from = up.to_str().unwrap();
    git(&repo.at, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", from, "sub"]);
    git(&repo.at, &["commit", "-qm", "with a module"]);
    let (_, said) = repo.inside(
        "cd sub; echo x > x; git add x; git commit -qm inside; cd ..; git add sub; git commit -qm moved; \
         git submodule status",
    );
    assert_eq!(said, [] as [String; 0]);
    assert_eq!(git(&repo.at.join("sub"), &["log", "--format=%s"]), "inside\nup");
    assert_eq!(git(&repo.at.join("sub"), &["status", "--porcelain"]), "");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "moved");
    let (_, said) = repo.inside("cd sub; git config core.fsmonitor 'touch evil'");
    assert!(said.iter().any(|said| said.contains("modules/sub")), "{said:?}");
    assert!(!fs::read_to_string(repo.at.join(".git/modules/sub/config")).unwrap().contains("evil"));
    repo.is_sound();
}

#[test]
fn a_repository_within_that_a_command_makes_is_one_outside_without_what_git_would_obey() {
    let Some(repo) = Repo::new() else { return };
    let (_, said) = repo.inside("git init -q -b main sub; cd sub; git commit -q --allow-empty -m new");
    assert_eq!(said, [] as [String; 0]);
    let sub = repo.at.join("sub");
    assert_eq!(git(&sub, &["log", "--format=%s"]), "new");
    let (_, said) = repo.inside("cd sub; git commit -q --allow-empty -m next; git init -q --bare ../bare");
    assert!(said.len() == 1 && said[0].contains("untrusted.HEAD"), "{said:?}");
    assert_eq!(git(&sub, &["log", "--format=%s"]), "next\nnew");
    assert!(repo.at.join("bare/untrusted.HEAD").exists() && !repo.at.join("bare/HEAD").exists());
    repo.is_sound();
}
