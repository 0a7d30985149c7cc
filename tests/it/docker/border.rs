//! Files on their way in and out: what is carried, what is not, and what is said of it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use agent::protocol::SandboxMode;

use super::world::World;

fn world(prepare: impl FnOnce(&Path)) -> Option<World> {
    World::with(SandboxMode::WorkspaceWrite, prepare)
}

#[test]
fn what_either_side_changes_comes_to_the_other() {
    let Some(world) = world(|workspace| {
        fs::create_dir_all(workspace.join("d/deep")).unwrap();
        fs::write(workspace.join("d/deep/file"), "one").unwrap();
        fs::write(workspace.join("gone"), "x").unwrap();
        fs::write(workspace.join("tool"), "#!/bin/sh\necho ran").unwrap();
        fs::set_permissions(workspace.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("d/deep/file", workspace.join("link")).unwrap();
    }) else {
        return;
    };
    let gave = world.run("cat link && ./tool && rm gone && echo two > d/deep/file && mkdir empty && ln -s nowhere new && chmod 600 tool");
    assert_eq!((gave.out.as_str(), gave.err.as_str()), ("oneran\n", ""));
    assert_eq!(world.names(), ["d", "d/deep", "d/deep/file", "empty", "link", "new", "tool"]);
    assert_eq!(world.read("d/deep/file"), "two\n");
    assert_eq!(fs::read_link(world.path("new")).unwrap(), Path::new("nowhere"));
    assert_eq!(fs::metadata(world.path("tool")).unwrap().permissions().mode() & 0o777, 0o600);

    world.write("d/deep/file", "three");
    world.write("it's \"odd\"/näme", "four");
    fs::remove_file(world.path("new")).unwrap();
    fs::remove_dir(world.path("empty")).unwrap();
    let gave = world.run("cat d/deep/file it*/*; ls");
    assert_eq!(gave.out, "threefourd\nit's \"odd\"\nlink\ntool\n", "{gave:?}");

    // Kinds change places.
    world.run("rm tool && mkdir tool && echo in > tool/in && rm -r d && echo file > d");
    assert_eq!((world.read("tool/in"), world.read("d")), ("in\n".into(), "file\n".into()));
    fs::remove_file(world.path("d")).unwrap();
    world.write("d/again", "x");
    assert_eq!(world.run("cat d/again").out, "x");
}

#[test]
fn changes_in_the_same_moment_and_of_the_same_size_are_seen() {
    let Some(world) = world(|workspace| fs::write(workspace.join("n"), "0").unwrap()) else { return };
    for n in 1..=5 {
        world.run(&format!("printf {n} > n"));
        assert_eq!(world.read("n"), n.to_string());
        let next = (b'a' + n) as char;
        world.write("n", next.to_string());
        assert_eq!(world.run("cat n").out, next.to_string());
    }
}

#[test]
fn what_both_changed_stays_as_the_user_has_it_and_the_other_one_is_kept_aside() {
    let Some(world) = world(|workspace| {
        for name in ["both", "removed", "same", "edited"] {
            fs::write(workspace.join(name), "base").unwrap();
        }
    }) else {
        return;
    };
    world.refresh();
    let gave = crate::sandbox::world::gave(
        world.start("echo theirs | tee both removed > /dev/null; printf equal > same; rm edited"),
    );
    assert_eq!(gave.code, Some(0));
    world.write("both", "mine");
    world.write("same", "equal");
    world.write("edited", "mine");
    fs::remove_file(world.path("removed")).unwrap();
    let warnings = world.publish();
    assert_eq!(world.read("both"), "mine");
    assert_eq!(world.read("edited"), "mine");
    assert_eq!(world.names(), ["both", "edited", "same"]);
    let of = |name: &str| {
        warnings.iter().find(|warning| warning.starts_with(&format!("`{name}` was changed both"))).unwrap()
    };
    for name in ["both", "removed"] {
        let place = of(name).rsplit(' ').next().unwrap();
        assert_eq!(fs::read_to_string(place).unwrap(), "theirs\n", "{warnings:?}");
    }
    assert!(of("edited").contains("it was removed by a command"), "{warnings:?}");
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    // Commands go on with what the user has.
    assert_eq!(world.run("cat both edited; ls").out, "minemineboth\nedited\nsame\n");
    assert_eq!(world.publish(), Vec::<String>::new());
}

#[test]
fn what_others_obey_stays_inside_and_is_told_once() {
    let Some(world) = world(|workspace| {
        fs::create_dir(workspace.join(".vscode")).unwrap();
        fs::write(workspace.join(".vscode/settings.json"), "mine").unwrap();
    }) else {
        return;
    };
    let script = "mkdir -p .agent a/.claude .GIT && echo evil | tee .envrc .agent/config.toml a/.claude/settings.json \
                  .mcp.json .vscode/settings.json .vscode/tasks.json .GIT/config > /dev/null; echo fine > a/file";
    let warnings = world.told(script);
    assert_eq!(world.names(), [".vscode", ".vscode/settings.json", "a", "a/file"]);
    assert_eq!(world.read(".vscode/settings.json"), "mine");
    for name in [".agent", "a/.claude", ".GIT", ".envrc", ".mcp.json", ".vscode"] {
        assert!(
            warnings.iter().any(|warning| warning.starts_with(&format!("`{name}` was made or changed"))),
            "{name}: {warnings:?}"
        );
    }
    assert_eq!(warnings.len(), 6, "{warnings:?}");
    assert_eq!(world.told("cat .envrc; touch a/more"), Vec::<String>::new());
    // A removed one stays outside, too.
    assert_eq!(world.told("rm -r .vscode").len(), 1);
    assert_eq!(world.read(".vscode/settings.json"), "mine");
}

fn git(workspace: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(workspace)
        .args(["-c", "user.name=n", "-c", "user.email=e@x"])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn of_a_repository_its_history_comes_out_and_nothing_that_git_would_run() {
    let Some(world) = world(|workspace| {
        git(workspace, &["init", "-q", "-b", "main"]);
        fs::write(workspace.join("file"), "one\n").unwrap();
        git(workspace, &["add", "."]);
        git(workspace, &["commit", "-q", "-m", "first"]);
    }) else {
        return;
    };
    let before = fs::read(world.path(".git/config")).unwrap();
    let identity = "export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e@x GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e@x; set -e; ";
    let warnings = world.told(&format!(
        "{identity} echo two >> file; git commit -q -am second; git checkout -q -b side; echo three >> file; git commit -q -am third; \
         git tag v1; echo four >> file; git stash -q; git checkout -q main; git merge -q --no-ff -m merged side"
    ));
    assert_eq!(warnings, Vec::<String>::new());
    let workspace = world.settings.workspace.clone();
    assert_eq!(git(&workspace, &["log", "--topo-order", "--format=%s", "-3"]), "merged\nthird\nsecond");
    assert_eq!(git(&workspace, &["status", "--porcelain"]), "");
    assert_eq!(git(&workspace, &["tag"]), "v1");
    assert_eq!(git(&workspace, &["stash", "list", "--format=%gd"]), "stash@{0}");
    git(&workspace, &["fsck", "--strict"]);

    // Back again, from outside.
    git(&workspace, &["commit", "-q", "--allow-empty", "-m", "mine"]);
    assert_eq!(world.run("git log --format=%s -1; git branch -d side -q").out, "mine\n");
    assert_eq!(git(&workspace, &["branch", "--format=%(refname:short)"]), "main");

    let warnings = world.told(
        "git config core.fsmonitor evil; mkdir -p .git/hooks .git/rebase-merge sub; echo evil > .git/hooks/post-checkout; chmod +x .git/hooks/post-checkout; \
         echo /x > .git/commondir; echo 'exec evil' > .git/rebase-merge/git-rebase-todo; echo /x > .git/objects/info/alternates; \
         echo 'ref: ../config' > .git/refs/heads/bad; ln -s /etc/passwd .git/refs/heads/link; rm -rf .git/objects/??; cp -r .git sub/; \
         mkdir -p bare/objects bare/refs; cp .git/HEAD bare/",
    );
    assert_eq!(fs::read(world.path(".git/config")).unwrap(), before);
    for name in [
        ".git/hooks/post-checkout",
        ".git/commondir",
        ".git/rebase-merge",
        ".git/objects/info/alternates",
        ".git/refs/heads/bad",
        ".git/refs/heads/link",
        "sub/.git",
        "bare/HEAD",
    ] {
        assert!(fs::symlink_metadata(world.path(name)).is_err(), "{name}");
    }
    assert!(
        warnings.iter().any(|warning| warning.starts_with("`.git/config` was made or changed")),
        "{warnings:?}"
    );
    assert!(warnings.iter().any(|warning| warning.starts_with("`sub/.git")), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.starts_with("`bare/HEAD`")), "{warnings:?}");
    // Nothing was lost: what a command removed of the history is still there.
    git(&workspace, &["fsck", "--strict"]);
}

#[test]
fn hostile_names_and_links_hurt_nobody() {
    let Some(world) = world(|workspace| fs::create_dir(workspace.join("real")).unwrap()) else { return };
    let outside = world.root().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "whole").unwrap();
    let script = format!(
        "touch $'line\\nbreak' $'\\e]0;title\\a' $'bidi\\u202ename' -- '-rf' ' ' '*' '$(touch x)' \"quo'te\"; mkfifo pipe; \
         ln -s {0} door; ln -s {0}/victim file; mkfifo real/pipe; head -c 100 /dev/zero > sparse; truncate -s 5G sparse; \
         perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Listen=>1,Local=>\"socket\") or die'; test -S socket",
        outside.display()
    );
    let warnings = world.told(&script);
    let names = world.names();
    assert_eq!(names, [" ", "$(touch x)", "*", "-rf", "door", "file", "quo'te", "real"], "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("line break")), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("`sparse` is too large")), "{warnings:?}");
    assert!(
        warnings.iter().all(|warning| !warning.contains('\u{1b}') && !warning.contains('\u{202e}')),
        "{warnings:?}"
    );

    // In the place of a link comes a directory inside; outside, the link is replaced, not followed.
    world.run("rm door file; mkdir door; echo evil > door/victim; echo evil > file");
    assert_eq!((world.read("door/victim"), world.read("file")), ("evil\n".into(), "evil\n".into()));
    // A directory that becomes a link outside is not written through.
    fs::remove_dir_all(world.path("real")).unwrap();
    world.refresh();
    let gave = crate::sandbox::world::gave(world.start("mkdir -p real; echo evil > real/victim"));
    assert_eq!(gave.code, Some(0), "{gave:?}");
    std::os::unix::fs::symlink(&outside, world.path("real")).unwrap();
    world.publish();
    assert_eq!(fs::read_to_string(outside.join("victim")).unwrap(), "whole");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn three_hundred_files_and_more_come_in_and_out() {
    let Some(world) = world(|workspace| {
        for n in 0..300 {
            fs::create_dir_all(workspace.join(format!("d{}", n % 20))).unwrap();
            fs::write(workspace.join(format!("d{}/f{n}", n % 20)), vec![b'x'; 1000]).unwrap();
        }
    }) else {
        return;
    };
    assert_eq!(world.run("find . -type f | wc -l; for f in */*; do echo y >> $f; done; for n in $(seq 300); do echo $n > new$n; done").out, "300\n");
    assert_eq!(world.names().len(), 20 + 300 + 300);
    assert!(world.read("d7/f7").ends_with("xy\n") && world.read("new300") == "300\n");
}

#[test]
fn a_background_process_brings_out_what_it_changes_at_each_look() {
    let Some(world) = world(|_| {}) else { return };
    let mut child = world.start("echo early > early; echo said; cat > /dev/null < <(sleep 1000)");
    let mut said = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    world.publish();
    assert_eq!(world.read("early"), "early\n");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A repository with one commit, and the name of the file in it as an object.
fn committed(workspace: &Path) {
    git(workspace, &["init", "-q", "-b", "main"]);
    fs::write(workspace.join("file"), "one\n").unwrap();
    git(workspace, &["add", "."]);
    git(workspace, &["commit", "-q", "-m", "first"]);
}

const IDENTITY: &str =
    "export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e@x GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e@x; set -e; ";

#[test]
fn an_object_that_is_not_what_its_name_says_ends_what_comes_out_of_a_repository() {
    let Some(world) = world(committed) else { return };
    let workspace = world.settings.workspace.clone();
    let head = git(&workspace, &["rev-parse", "HEAD"]);
    let warnings = world.told(&format!(
        "{IDENTITY} echo evil > evil; one=$(git hash-object -w evil); rm evil; other=23456789abcdef0123456789abcdef0123456789; \
         mkdir -p .git/objects/23; cp .git/objects/$(echo $one | cut -c1-2)/$(echo $one | cut -c3-) .git/objects/23/${{other#23}}; \
         echo two >> file; git commit -q -am second"
    ));
    assert!(warnings.len() == 1 && warnings[0].contains("is not what its name says"), "{warnings:?}");
    assert!(!world.path(".git/objects/23/456789abcdef0123456789abcdef0123456789").exists());
    assert_eq!(git(&workspace, &["rev-parse", "HEAD"]), head);
    assert_eq!(world.read("file"), "one\ntwo\n");
    git(&workspace, &["fsck", "--strict"]);
}

#[test]
fn packs_come_out_through_git_and_never_with_an_index_of_their_own() {
    let Some(world) = world(committed) else { return };
    let workspace = world.settings.workspace.clone();
    assert_eq!(
        world.told(&format!("{IDENTITY} echo two >> file; git commit -q -am second; git gc -q")),
        Vec::<String>::new()
    );
    assert_eq!(git(&workspace, &["log", "--format=%s"]), "second\nfirst");
    git(&workspace, &["fsck", "--strict"]);
    assert_eq!(world.run("git fsck --strict && git log --format=%s -1").out, "second\n");
    // One whose bytes are not what they were.
    let warnings = world.told(&format!(
        "{IDENTITY} echo three >> file; git commit -q -am third; git repack -q -a -d; chmod u+w .git/objects/pack/*; \
         for pack in .git/objects/pack/*.pack; do printf 'XXXX' | dd of=$pack bs=1 seek=40 conv=notrunc 2>/dev/null; done"
    ));
    assert!(
        warnings.iter().any(|warning| warning.contains("nothing that commands do in .git")),
        "{warnings:?}"
    );
    assert_eq!(git(&workspace, &["log", "--format=%s", "-1"]), "second");
    git(&workspace, &["fsck", "--strict"]);
}

#[test]
fn an_index_with_a_repository_as_a_part_that_was_none_stays_inside() {
    let Some(world) = world(committed) else { return };
    let workspace = world.settings.workspace.clone();
    let warnings = world.told(&format!(
        "{IDENTITY} git init -q part; cd part; git commit -q --allow-empty -m x; git config core.fsmonitor 'touch ran; false'; cd ..; \
         git add part 2>/dev/null"
    ));
    assert!(warnings.iter().any(|warning| warning.contains(".git/index")), "{warnings:?}");
    assert_eq!(git(&workspace, &["ls-files"]), "file");
}

#[test]
fn history_comes_out_of_every_repository_and_one_that_is_destroyed_is_whole_again() {
    let Some(world) = world(|workspace| {
        committed(workspace);
        fs::create_dir(workspace.join("sub")).unwrap();
        committed(&workspace.join("sub"));
        git(workspace, &["init", "-q", "--bare", "-b", "main", "bare.git"]);
    }) else {
        return;
    };
    let workspace = world.settings.workspace.clone();
    let warnings = world.told(&format!(
        "{IDENTITY} cd sub; echo two >> file; git commit -q -am second; git -C .. status > /dev/null; cd ../bare.git; \
         tree=$(git hash-object -w -t tree /dev/null); git update-ref refs/heads/main $(git commit-tree -m bare $tree)"
    ));
    assert_eq!(warnings, Vec::<String>::new());
    for (at, said) in [("sub", "second\nfirst"), ("bare.git", "bare"), (".", "first")] {
        assert_eq!(git(&workspace.join(at), &["log", "--format=%s", "main"]), said, "{at}");
    }
    for script in
        ["rm -rf .git", "rm -rf .git; git init -q .; git config core.fsmonitor evil", "rm .git/HEAD"]
    {
        let warnings = world.told(script);
        assert!(
            warnings.iter().any(|warning| warning.contains("removed parts of `.git`")),
            "{script}: {warnings:?}"
        );
        assert_eq!(git(&workspace, &["log", "--format=%s", "main"]), "first", "{script}");
        assert_eq!(
            world.run("git log --format=%s && git fsck --strict && git config core.fsmonitor").out,
            "first\n",
            "{script}"
        );
    }
}

#[test]
fn what_a_configuration_names_stays_as_it_is_and_an_index_that_says_the_same_too() {
    let Some(world) = world(|workspace| {
        committed(workspace);
        git(workspace, &["config", "core.hooksPath", ".githooks"]);
        git(workspace, &["config", "diff.external", "tools/differ"]);
        fs::create_dir(workspace.join("tools")).unwrap();
        fs::write(workspace.join("tools/differ"), "mine").unwrap();
    }) else {
        return;
    };
    let index = fs::read(world.path(".git/index")).unwrap();
    let warnings = world.told(
        "mkdir .githooks tools/more; echo evil | tee .githooks/pre-commit tools/differ > /dev/null; touch file tools/more/x; \
         git status > /dev/null; git update-index --force-write-index",
    );
    for name in [".githooks", "tools/differ"] {
        assert!(
            warnings.iter().any(|warning| warning.starts_with(&format!("`{name}` was made or changed"))),
            "{name}: {warnings:?}"
        );
    }
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(!world.path(".githooks").exists() && world.path("tools/more/x").exists());
    assert_eq!(world.read("tools/differ"), "mine");
    assert_eq!(fs::read(world.path(".git/index")).unwrap(), index);
    // The user's own word is enough.
    world.write(".githooks/pre-commit", "fine");
    assert_eq!(world.run("cat .githooks/pre-commit").out, "fine");
}

#[test]
fn files_with_secrets_are_not_in_a_container_and_stay_as_they_are() {
    let Some(world) = world(|workspace| {
        fs::write(workspace.join(".env"), "TOKEN=canary\n").unwrap();
        fs::create_dir(workspace.join("app")).unwrap();
        fs::write(workspace.join("app/.env.local"), "PASSWORD=canary\n").unwrap();
    }) else {
        return;
    };
    let gave = world.run("cat .env app/.env.local; ls -A . app");
    assert!(!gave.out.contains("canary") && gave.out.contains("hidden from commands"), "{gave:?}");
    let warnings = world.told("rm .env; echo evil > .env; mv app/.env.local app/moved");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(
        (world.read(".env"), world.read("app/.env.local")),
        ("TOKEN=canary\n".into(), "PASSWORD=canary\n".into())
    );
    world.write(".env", "TOKEN=other canary\n");
    world.write(".netrc", "password canary\n");
    assert!(!world.run("cat .env .netrc").out.contains("canary"));
}

#[test]
fn a_rebase_with_a_conflict_lasts_over_commands_in_a_container_and_the_user_sees_its_end() {
    let Some(world) = world(committed) else { return };
    let workspace = world.settings.workspace.clone();
    world.run(&format!(
        "{IDENTITY} git checkout -q -b side; echo side > file; git commit -qam side; git checkout -q main; \
         echo main > file; git commit -qam main; git checkout -q side"
    ));
    let before = git(&workspace, &["rev-parse", "HEAD"]);
    let said = world.told(&format!("{IDENTITY} ! git rebase -q main"));
    assert!(said.len() == 1 && said[0].starts_with("a rebase, cherry-pick"), "{said:?}");
    let is_before = || {
        assert_eq!(git(&workspace, &["rev-parse", "HEAD"]), before);
        assert_eq!(git(&workspace, &["symbolic-ref", "HEAD"]), "refs/heads/side");
    };
    is_before();
    assert!(world.read("file").contains("<<<<<<<"));
    // A look at the repository outside writes its index anew, and is none of the container's business.
    assert_eq!(git(&workspace, &["status", "--porcelain"]), "M file");
    assert_eq!(world.run("git status --porcelain").out, "UU file\n");
    is_before();
    let said = world.told(&format!(
        "{IDENTITY} echo both > file; git add file; GIT_EDITOR=true git rebase --continue > /dev/null 2>&1"
    ));
    assert_eq!(said, [] as [String; 0]);
    assert_eq!(git(&workspace, &["log", "--format=%s"]), "side\nmain\nfirst");
    assert_eq!(git(&workspace, &["status", "--porcelain"]), "");
    assert_eq!(git(&workspace, &["symbolic-ref", "HEAD"]), "refs/heads/side");
    assert!(!world.path(".git/rebase-merge").exists());
    git(&workspace, &["fsck", "--strict"]);
}

#[test]
fn a_rebase_that_the_user_began_can_be_ended_in_a_container() {
    let Some(world) = world(|workspace| {
        committed(workspace);
        let commit = |text: &str| {
            fs::write(workspace.join("file"), text).unwrap();
            git(workspace, &["commit", "-qam", text]);
        };
        git(workspace, &["checkout", "-qb", "side"]);
        commit("side");
        git(workspace, &["checkout", "-q", "main"]);
        commit("main");
        let rebase = std::process::Command::new("git")
            .args(["-c", "user.name=n", "-c", "user.email=e@x", "rebase", "-q", "main", "side"])
            .current_dir(workspace)
            .output()
            .unwrap();
        assert!(!rebase.status.success(), "{rebase:?}");
    }) else {
        return;
    };
    let said = world.told(&format!(
        "{IDENTITY} echo both > file; git add file; GIT_EDITOR=true git rebase --continue > /dev/null 2>&1"
    ));
    assert_eq!(said, [] as [String; 0]);
    let workspace = &world.settings.workspace;
    assert_eq!(git(workspace, &["log", "--format=%s"]), "side\nmain\nfirst");
    assert_eq!(git(workspace, &["status"]), "On branch side\nnothing to commit, working tree clean");
}
