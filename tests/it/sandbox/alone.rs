//! A machine that allows no namespaces, as in most containers, and what a person has of it there.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

use super::{
    escape::bare::{Bare, Where},
    missing::{NO_NAMESPACES, without},
    world::{Gave, gave},
};
use crate::support::{
    mock::{Step, call},
    world::World,
};

/// `agent ARGS…` on such a machine.
fn agent(bare: &Bare, args: &[&str]) -> Gave {
    let mut command = bare.agent(&Where::Alone, args);
    gave(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn what_holds_and_what_does_not_is_said() {
    let bare = Bare::new();
    let ran = agent(&bare, &["sandbox", "--", "echo", "ran"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "ran\n"), "{ran:?}");
    assert!(ran.err.contains("no namespaces") && ran.err.contains(".git"), "{ran:?}");
    let doctor = agent(&bare, &["doctor"]);
    for line in ["✗ sandbox namespaces", "✓ sandbox landlock", "✓ sandbox seccomp", "✗ sandbox git"] {
        assert!(doctor.out.contains(line), "{line}: {doctor:?}");
    }
    for (mode, words) in [("read-only", "can't be read"), ("workspace-write", "each command is asked for")] {
        let explained = agent(&bare, &["sandbox", "explain", "-s", mode]);
        let text = explained.out.replace(|c: char| c.is_whitespace(), " ");
        let text = text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        assert!(text.contains("without namespaces") && text.contains(words), "{mode}: {explained:?}");
        assert!(text.contains("✓ reads nothing of yours outside of it"), "{mode}: {explained:?}");
        assert!(text.contains("✓ sees no key of yours"), "{mode}: {explained:?}");
    }
    let judged = agent(&bare, &["sandbox", "explain", "ls"]);
    assert!(judged.out.contains("on the screen: asks") && judged.out.contains("is refused"), "{judged:?}");
    let judged = agent(&bare, &["sandbox", "explain", "-s", "read-only", "ls"]);
    assert!(
        judged.out.contains("runs without a question") && !judged.out.contains("namespaces"),
        "{judged:?}"
    );
}

#[test]
fn in_read_only_mode_the_workspace_is_read_but_for_its_secrets() {
    let bare = Bare::new();
    bare.make_repository();
    let write = |name: &str, text: &str| {
        let path = bare.workspace.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    };
    for (name, text) in
        [(".env", "TOKEN=x"), ("deep/down/.env", "TOKEN=x"), ("deep/down/seen", "seen"), ("top", "top")]
    {
        write(name, text);
    }
    std::os::unix::fs::symlink(bare.workspace.join(".env"), bare.workspace.join("link")).unwrap();
    let before = super::escape::listing(&bare.workspace);
    let script = r#"
        say() { printf '%s=%s\n' "$1" "$2"; }
        say top "$(cat top)"; say seen "$(cat deep/down/seen)"; say log "$(git log --format=%s)"
        for hidden in .env deep/down/.env link; do cat $hidden && say hidden $hidden; done
        ln .env hard && say linked hard; cp .env $HOME/copy && say copied .env
        ls >/dev/null && say lists yes
        echo x > new && say made new; echo x >> top && say changed top; rm -f top; chmod 777 top && say chmod top
        touch -d 2001-01-01 top && say touched top; chown 12345 top && say chown top
        python3 -c 'import os; f=os.open("top", os.O_RDONLY); os.fchmod(f, 0o777)' && say fchmod top
        python3 -c 'import os; f=os.open("top", os.O_RDONLY); os.utime(f)' && say futime top
        :
    "#;
    let ran = agent(&bare, &["sandbox", "-s", "read-only", "--", "sh", "-c", script]);
    let said: Vec<&str> = ran.out.lines().collect();
    assert_eq!(said, ["top=top", "seen=seen", "log=one", "lists=yes"], "{ran:?}");
    assert_eq!(super::escape::listing(&bare.workspace), before);
}

#[test]
fn what_a_command_makes_that_others_obey_is_put_away_all_the_same() {
    let bare = Bare::new();
    bare.make_repository();
    let script = "mkdir .vscode && echo x > .vscode/tasks.json && echo two >> file && git commit -qam two";
    let ran = agent(&bare, &["sandbox", "--", "sh", "-c", script]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("untrusted"), "{ran:?}");
    assert!(!bare.workspace.join(".vscode").exists());
    let (_, log) = bare.host(&bare.workspace, "git log --format=%s", &[]);
    assert_eq!(log, "two\none\n", "what it may write is the real repository");
}

#[test]
fn a_home_and_temporary_files_of_its_own_behave_like_any() {
    let bare = Bare::new();
    fs::create_dir_all(bare.home.join(".cargo/bin")).unwrap();
    let tool = bare.home.join(".cargo/bin/tool");
    fs::write(&tool, "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(bare.home.join("private"), "private").unwrap();
    let script = r#"
        set -e
        cd; echo x > a; chmod 640 a; stat -c %a a; touch -d 2001-02-03 a; stat -c %y a | cut -c1-10
        ln -s a l; touch -h -d 2001-02-04 l; stat -c %y l | cut -c1-10; cp -p a b; stat -c %a b
        f=$(mktemp); echo y > $f; cat $f; mkdir -m 700 d; (cd d; tar cf ../t.tar -C .. a; tar xpf ../t.tar; stat -c %a a)
        ~/.cargo/bin/tool; apply_patch --help >/dev/null 2>&1 || test $? != 127
        cat OWN/private 2>/dev/null || echo refused
        chmod 777 OWN/private 2>/dev/null || echo refused
    "#;
    let script = script.replace("OWN", bare.home.to_str().unwrap());
    let ran = agent(&bare, &["sandbox", "-s", "read-only", "--", "sh", "-c", &script]);
    let want = "640\n2001-02-03\n2001-02-04\n640\ny\n640\nran\nrefused\nrefused\n";
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), want), "{ran:?}");
    assert_eq!(fs::metadata(bare.home.join("private")).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn what_ordinary_work_needs_is_there() {
    let bare = Bare::new();
    bare.make_repository();
    for (needs, script) in [
        ("cc", "cd $TMPDIR && printf 'int main(void){return 42;}' > m.c && cc m.c -o m; ./m; [ $? = 42 ]"),
        ("git", "git status && git log && git diff && git show HEAD"),
        (
            "git",
            "git clone -q . $HOME/r && cd $HOME/r && git config user.name n && git config user.email e && echo x > x && \
                 git add x && git commit -qm x && git log --oneline | grep x",
        ),
        ("python3", "python3 -c 'import asyncio; asyncio.run(asyncio.sleep(0.01))'"),
        (
            "python3",
            "python3 -c 'import subprocess,threading; print(subprocess.run([\"echo\",\"x\"],capture_output=True).stdout)'",
        ),
        (
            "python3",
            "python3 -c 'import socket; a,b=socket.socketpair(); a.send(b\"x\"); assert b.recv(1)==b\"x\"'",
        ),
        ("node", "node -e 'require(\"child_process\").execFileSync(\"echo\",[\"x\"])'"),
        ("bash", "bash -c 'diff <(echo a) <(echo a) && cat <<< x && set -m && sleep 100 & kill %1'"),
        (
            "tar",
            "tar cf $TMPDIR/x.tar . && mkdir $TMPDIR/x && tar xf $TMPDIR/x.tar -C $TMPDIR/x && ls $TMPDIR/x/file",
        ),
    ] {
        let found =
            std::process::Command::new("sh").args(["-c", &format!("command -v {needs}")]).output().unwrap();
        if !found.status.success() {
            crate::support::skip(&format!("{needs} without namespaces: it is not installed"));
            continue;
        }
        let ran = agent(&bare, &["sandbox", "-s", "read-only", "--", "sh", "-c", script]);
        assert_eq!(ran.code, Some(0), "{script}: {ran:?}");
    }
}

#[tokio::test]
async fn without_a_person_only_what_is_read_only_runs() {
    for (mode, runs) in [("workspace-write", false), ("read-only", true)] {
        let shell = call("exec_command", serde_json::json!({"cmd": "echo ra''n"}));
        let world = World::bare([Step::items([shell]), Step::text("done")]).await;
        let mut command = world.command(["exec", "-s", mode, "go"]);
        #[expect(unsafe_code, reason = "a filter can only be put around a program by hand")]
        // SAFETY: only system calls are made between fork and exec, with memory that was made before.
        unsafe {
            command.pre_exec(without(NO_NAMESPACES));
        }
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        let told = world.result(2);
        assert_eq!(told.contains("ran\n"), runs, "{told}");
        assert_eq!(told.contains("--sandbox read-only"), !runs, "{told}");
    }
}

/// What the README says of it, word for word where a test can.
#[test]
fn the_guide_names_what_does_not_hold() {
    let guide = include_str!("../../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["no namespaces", "asked before each command", "how large and how old it is"] {
        assert!(guide.contains(words), "{words}");
    }
}
