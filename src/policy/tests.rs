use super::*;
use crate::protocol::{FileOperation, Grant, ProcessId, Scope};

use Approval::{Never, OnRequest, Untrusted};
use SandboxMode::{DangerFullAccess, ReadOnly, WorkspaceWrite};

fn policy(approval: Approval, sandbox: SandboxMode) -> Policy {
    Policy {
        approval,
        sandbox,
        weak: None,
        roots: vec!["/ws".into(), "/extra".into()],
        scripts: BTreeMap::new(),
        configured: BTreeSet::new(),
    }
}

fn command(text: &str, escalated: bool) -> Intent {
    Intent::Command {
        command: text.into(),
        workdir: "/ws".into(),
        escalated,
        justification: escalated.then(|| "May I?".to_owned()),
        prefix: Vec::new(),
        shell: None,
    }
}

fn prefix(words: &[&str]) -> Grant {
    Grant::CommandPrefix { words: words.iter().map(|word| (*word).to_owned()).collect() }
}

fn change(path: &str, outside: bool) -> FileChange {
    FileChange {
        path: path.into(),
        operation: FileOperation::Update,
        moved_to: None,
        outside,
        diff: String::new(),
    }
}

fn rules(grants: &[Grant]) -> Vec<Rule> {
    grants.iter().map(|grant| Rule { grant: grant.clone(), scope: Scope::Session }).collect()
}

/// One letter a judgement: (a)llowed, by (g)rant, (?) asked, (x) refused.
fn letter(judgement: &Judgement) -> char {
    match judgement {
        Judgement::Allow(By::Policy) => 'a',
        Judgement::Allow(By::Grant { .. }) => 'g',
        Judgement::Allow(_) => '!',
        Judgement::Ask { .. } => '?',
        Judgement::Refuse { .. } => 'x',
    }
}

/// The judgements in all nine settings: `read-only workspace-write danger-full-access`, each under `untrusted`,
/// `on-request`, `never`.
fn everywhere(intent: &Intent, grants: &[Grant]) -> String {
    [ReadOnly, WorkspaceWrite, DangerFullAccess]
        .map(|sandbox| {
            [Untrusted, OnRequest, Never]
                .map(|approval| letter(&judge(intent, &policy(approval, sandbox), &rules(grants))))
                .iter()
                .collect::<String>()
        })
        .join(" ")
}

#[test]
fn commands_are_judged_by_sandbox_and_approval() {
    for (text, escalated, verdicts) in [
        ("ls -la", false, "aaa aaa ?aa"),
        ("/bin/ls -la", false, "aaa aaa aaa"),
        ("cargo test", false, "?aa ?aa ?aa"),
        ("cargo test > log", false, "?aa ?aa ?aa"),
        ("rm -rf build", false, "?aa ?aa ??a"),
        ("git reset --hard", false, "?aa ?aa ??a"),
        ("ls -la", true, "??x ??x ?aa"),
        ("cargo test", true, "??x ??x ?aa"),
        ("rm -rf build", true, "??x ??x ??a"),
    ] {
        assert_eq!(everywhere(&command(text, escalated), &[]), verdicts, "{text} {escalated}");
    }
}

/// The same where the sandbox does not hold what a command may do to the workspace.
fn everywhere_unheld(intent: &Intent, grants: &[Grant]) -> String {
    [ReadOnly, WorkspaceWrite, DangerFullAccess]
        .map(|sandbox| {
            [Untrusted, OnRequest, Never]
                .map(|approval| Policy {
                    weak: Some("its .git is open to it".into()),
                    ..policy(approval, sandbox)
                })
                .map(|policy| letter(&judge(intent, &policy, &rules(grants))))
                .iter()
                .collect::<String>()
        })
        .join(" ")
}

#[test]
fn where_the_workspace_is_not_held_a_command_is_judged_as_one_that_leaves_the_sandbox() {
    let grants = [prefix(&["cargo", "test"])];
    for (text, escalated, without, with) in [
        // What only looks is a matter of its words, which are no border.
        ("ls -la", false, "aaa ??x ?aa", "aaa ??x ?aa"),
        ("cargo test", false, "?aa ??x ?aa", "gaa ggx gaa"),
        ("cargo test && rm -rf .git", false, "?aa ??x ??a", "?aa ??x ??a"),
        ("rm -rf build", false, "?aa ??x ??a", "?aa ??x ??a"),
        ("ls -la", true, "??x ??x ?aa", "??x ??x ?aa"),
        ("cargo test", true, "??x ??x ?aa", "ggx ggx gaa"),
    ] {
        let intent = command(text, escalated);
        assert_eq!(everywhere_unheld(&intent, &[]), without, "{text} {escalated}");
        assert_eq!(everywhere_unheld(&intent, &grants), with, "{text} {escalated}, with a rule");
        // A rule counts as much as it does for leaving the sandbox, and no more.
        let leaves = everywhere(&command(text, true), &grants);
        let (unheld, leaves) = (everywhere_unheld(&intent, &grants), leaves);
        assert_eq!(unheld.split(' ').nth(1), leaves.split(' ').nth(1), "{text}");
    }
}

#[test]
fn who_can_not_be_asked_is_told_what_works_where_the_workspace_is_not_held() {
    let policy = Policy { weak: Some("its .git is open to it".into()), ..policy(Never, WorkspaceWrite) };
    let Judgement::Refuse { reason } = judge(&command("ls", false), &policy, &[]) else { panic!() };
    assert!(reason.contains("its .git is open to it") && reason.contains("--sandbox read-only"), "{reason}");
    let typed = Intent::Input { process: ProcessId(1), text: "x".into() };
    assert_eq!(letter(&judge(&typed, &policy, &[])), 'a', "whoever was let in may be spoken to");
}

#[test]
fn a_grant_covers_commands_that_begin_with_its_words() {
    let grants = [prefix(&["cargo", "test"]), prefix(&["npm", "ci"])];
    for (text, verdicts) in [
        ("cargo test", "ggx ggx gaa"),
        ("cargo test --all", "ggx ggx gaa"),
        ("cargo 'test' --all", "ggx ggx gaa"),
        ("cargo test && npm ci", "ggx ggx gaa"),
        ("cargo testing", "??x ??x ?aa"),
        ("cargo", "??x ??x ?aa"),
        ("cargo +nightly test", "??x ??x ?aa"),
        ("cargo test && rm f", "??x ??x ?aa"),
        ("cargo test; ls", "??x ??x ?aa"),
        ("cargo test $X", "??x ??x ?aa"),
        ("cargo test > f", "??x ??x ?aa"),
        ("A=1 cargo test", "??x ??x ?aa"),
        ("cargo test &", "??x ??x ?aa"),
        ("cargo test\nrm f", "??x ??x ?aa"),
        ("cargo test | sh", "??x ??x ?aa"),
        ("cargo test `x`", "??x ??x ?aa"),
        ("./cargo test", "??x ??x ?aa"),
    ] {
        assert_eq!(everywhere(&command(text, true), &grants), verdicts, "{text}");
    }
}

/// Prefixes under which anything can be run.
const CARRY: &str = "busybox / busybox sh / strace / strace ls / flock l / systemd-run / systemd-run ls / setpriv ls / runuser -u me \
    / script -c / nodejs / tmux new / screen -d / gdb x / bwrap ls / mksh / mksh -c / uv run / uv tool / uv / npm exec / npm x / npm run \
    / npm run -- / pnpm dlx / pnpm exec / yarn dlx / poetry run / pipenv run / pipx run / cargo +nightly / cargo run / go run \
    / go generate / docker run / docker exec / docker compose / podman run / kubectl exec / kubectl run / ssh host / ssh / nix run \
    / rustup run / bun x / deno run / deno eval / git config / git bisect / git submodule / vim x / watch ls / ltrace ls / taskset 1 \
    / git push / git push origin main / npm run x / npm test / npx tsc / uvx ruff / python3 x.py / python3.12 x.py / perl x.pl \
    / make test / just build / yarn run lint / yarn start / mvn test / gradle build";

/// And ones that mean something.
const MEAN_ONE_THING: &str = "cargo build / npm install / curl / docker ps / docker pull / kubectl get / uv sync / poetry install / go build \
    / pnpm install / gh pr";

#[test]
fn a_grant_that_runs_a_file_that_commands_write_is_none() {
    let offered = |command: &str, workdir: &str| {
        let intent = Intent::Command {
            command: command.into(),
            workdir: workdir.into(),
            escalated: true,
            justification: None,
            prefix: Vec::new(),
            shell: None,
        };
        proposals(&intent, &policy(OnRequest, WorkspaceWrite)).len()
    };
    for (text, workdir, grants) in [
        ("./test.sh", "/ws", 0),
        ("./test.sh --fast", "/ws/sub", 0),
        ("scripts/test.sh", "/ws", 0),
        ("../test.sh", "/ws/sub", 0),
        ("/ws/test.sh", "/else", 0),
        ("/extra/bin/tool x", "/ws", 0),
        ("/else/../ws/test.sh", "/ws", 0),
        ("bash test.sh", "/ws", 0),
        ("sh scripts/test.sh", "/ws", 0),
        ("python3 x.py", "/ws", 0),
        ("python3.12 /ws/x.py", "/else", 0),
        ("node build.js", "/ws", 0),
        ("perl x.pl", "/ws", 0),
        ("/usr/local/bin/deploy now", "/ws", 1),
        ("python3 /opt/x.py", "/ws", 0),
        ("./x", "/else", 1),
        ("cargo publish", "/ws", 1),
    ] {
        assert_eq!(offered(text, workdir), grants, "{text} in {workdir}");
        // Nor does one count that was given by its words.
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let intent = Intent::Command {
            command: text.into(),
            workdir: workdir.into(),
            escalated: true,
            justification: None,
            prefix: Vec::new(),
            shell: None,
        };
        let judged =
            judge(&intent, &policy(OnRequest, WorkspaceWrite), &rules(&[Grant::CommandPrefix { words }]));
        assert_eq!(letter(&judged), if grants == 0 { '?' } else { 'g' }, "{text} in {workdir}");
    }
}

#[test]
fn a_rule_for_a_program_of_the_workspace_holds_as_long_as_that_is_what_it_was() {
    let with = |content: Option<&str>| Policy {
        scripts: content.map(|hash| ("/ws/test.sh".into(), hash.to_owned())).into_iter().collect(),
        ..policy(OnRequest, WorkspaceWrite)
    };
    let intent = command("./test.sh --fast", true);
    assert_eq!(own_programs(&intent, &with(None)), [PathBuf::from("/ws/test.sh")]);
    let words = vec!["./test.sh".to_owned(), "--fast".to_owned()];
    let script = Grant::Script { words, hash: "one".into() };
    assert_eq!(proposals(&intent, &with(Some("one"))), std::slice::from_ref(&script));
    assert_eq!(proposals(&intent, &with(None)), []);
    for (text, content, verdict) in [
        ("./test.sh --fast", Some("one"), 'g'),
        ("./test.sh --fast x", Some("one"), 'g'),
        ("./test.sh --fast", Some("two"), '?'),
        ("./test.sh --fast", None, '?'),
        ("./test.sh", Some("one"), '?'),
        ("./other.sh --fast", Some("one"), '?'),
        ("./test.sh --fast; ls", Some("one"), '?'),
        ("bash test.sh --fast", Some("one"), '?'),
    ] {
        let judged = judge(&command(text, true), &with(content), &rules(std::slice::from_ref(&script)));
        assert_eq!(letter(&judged), verdict, "{text} {content:?}");
    }
    assert!(!script.fits(Scope::Everywhere) && script.fits(Scope::Project));
}

#[test]
fn without_a_sandbox_a_loss_is_asked_for_by_what_it_is() {
    use crate::protocol::{Tally, Touched};
    let open = policy(OnRequest, DangerFullAccess);
    assert!(
        open.watches()
            && !policy(Never, DangerFullAccess).watches()
            && !policy(OnRequest, WorkspaceWrite).watches()
    );
    for (verb, path, outside, uncommitted, asked) in [
        (Verb::Remove, "/ws/f", 0, 1, false),
        (Verb::Remove, "/ws/d", 0, 2, true),
        (Verb::Remove, "/ws/target", 0, 0, false),
        (Verb::Overwrite, "/ws/f", 0, 1, false),
        (Verb::Overwrite, "/home/me/f", 1, 1, true),
        (Verb::Remove, "/tmp/f", 1, 1, false),
        (Verb::Remove, "/tmp/d", 2, 2, true),
        (Verb::Discard, "/ws", 0, 3, true),
        (Verb::Change, "/home/me/f", 1, 1, false),
        (Verb::Create, "/home/me/f", 1, 0, false),
    ] {
        let tally = Tally { files: 2, outside, uncommitted, ..Tally::default() };
        let touched = vec![Touched { verb, path: path.into(), tally }];
        let effects = Effects { touched, ..Effects::default() };
        assert_eq!(open.loss(&effects).is_some(), asked, "{verb:?} {path}");
    }
}

#[test]
fn what_was_allowed_tells_by_which_rule_and_how_far_it_reaches() {
    let rule = |words: &[&str], scope| Rule { grant: prefix(words), scope };
    let rules = [
        rule(&["npm"], Scope::Everywhere),
        rule(&["npm", "ci"], Scope::Unknown),
        rule(&["npm", "ci"], Scope::Project),
        rule(&["curl"], Scope::Unknown),
    ];
    let judged = |text: &str| judge(&command(text, true), &policy(OnRequest, WorkspaceWrite), &rules);
    let by = Judgement::Allow(By::Grant { grant: prefix(&["npm", "ci"]), scope: Scope::Project });
    assert_eq!(judged("npm ci y"), by);
    // What only a newer version understands allows nothing.
    assert_eq!(letter(&judged("curl x")), '?');
    assert_eq!(letter(&judged("npm install")), '?', "a rule that is too broad, wherever it stands");
}

#[test]
fn a_grant_that_would_cover_everything_covers_nothing() {
    for words in [
        &[][..],
        &[""],
        &["bash"],
        &["bash", "-c"],
        &["/bin/sh"],
        &["python3"],
        &["python3.12", "-c"],
        &["node", "-e"],
        &["git"],
        &["git", "-c"],
        &["env"],
        &["env", "A=1"],
        &["sudo", "ls"],
        &["xargs", "rm"],
        &["find", "."],
        &["npx"],
        &["npm"],
        &["timeout", "5"],
        &["."],
        &["source", "x"],
    ]
    .into_iter()
    .map(<[&str]>::to_vec)
    .chain(CARRY.split('/').map(|words| words.split_whitespace().collect()))
    {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert!(too_broad(&words), "{words:?}");
        let text = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ") + " x";
        let grants = [Grant::CommandPrefix { words }];
        assert_eq!(
            letter(&judge(&command(&text, true), &policy(OnRequest, WorkspaceWrite), &rules(&grants))),
            '?'
        );
    }
    for text in MEAN_ONE_THING.split('/') {
        assert!(!too_broad(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()), "{text}");
    }
}

#[test]
fn changes_of_files_are_judged_by_place() {
    let mut moved = change("/ws/a", false);
    moved.moved_to = Some("/etc/a".into());
    for (files, verdicts) in [
        (vec![], "aaa aaa aaa"),
        (vec![change("/ws/a", false)], "??x ?aa ?aa"),
        (vec![change("/extra/a", false)], "??x ?aa ?aa"),
        (vec![change("/etc/a", true)], "??x ??x ?aa"),
        // A tool that forgot to say so, a link that leads out, names that climb or only begin alike.
        (vec![change("/etc/a", false)], "??x ??x ?aa"),
        (vec![change("/ws/link/a", true)], "??x ??x ?aa"),
        (vec![change("/ws/../etc/a", false)], "??x ??x ?aa"),
        (vec![change("/wsx/a", false)], "??x ??x ?aa"),
        (vec![change("ws/a", false)], "??x ??x ?aa"),
        (vec![moved], "??x ??x ?aa"),
        (vec![change("/ws/a", false), change("/etc/a", true)], "??x ??x ?aa"),
    ] {
        assert_eq!(everywhere(&Intent::Write { files: files.clone() }, &[]), verdicts, "{files:?}");
    }
}

#[test]
fn what_other_programs_obey_is_always_asked_for() {
    let mut moved = change("/ws/a", false);
    moved.moved_to = Some("/ws/.git/hooks/pre-commit".into());
    for file in [
        change("/ws/.git/config", false),
        change("/ws/.GIT/config", false),
        change("/ws/.git", false),
        change("/extra/sub/.git/config", false),
        change("/ws/.envrc", false),
        change("/ws/.vscode/tasks.json", false),
        change("/ws/.agent/config.toml", false),
        moved,
    ] {
        let intent = Intent::Write { files: vec![file.clone()] };
        // A grant for what is around it does not mean it.
        for grants in [vec![], vec![Grant::WriteBelow { path: "/ws".into() }]] {
            assert_eq!(everywhere(&intent, &grants), "??x ??x ?aa", "{file:?} {grants:?}");
        }
    }
    let intent = Intent::Write { files: vec![change("/ws/.git/config", false)] };
    let meant = [Grant::WriteBelow { path: "/ws/.git".into() }];
    assert_eq!(everywhere(&intent, &meant), "ggg ggg gaa");
    let Judgement::Ask { reason } = judge(&intent, &policy(OnRequest, WorkspaceWrite), &[]) else { panic!() };
    assert_eq!(reason, "it changes /ws/.git/config, which git obeys later, outside the sandbox");
    let mut inside = policy(OnRequest, WorkspaceWrite);
    inside.roots = vec!["/home/.claude/ws".into()];
    let intent = Intent::Write { files: vec![change("/home/.claude/ws/a", false)] };
    assert_eq!(letter(&judge(&intent, &inside, &[])), 'a', "the workspace's own place does not count");
}

#[test]
fn a_grant_to_write_covers_what_lies_below_it() {
    let grants =
        [Grant::WriteBelow { path: "/other/p".into() }, Grant::WriteBelow { path: "/ws/src".into() }];
    // Under `never` nobody is asked, and what was granted before stays granted.
    for (files, verdicts) in [
        (vec![change("/other/p", true)], "ggg ggg gaa"),
        (vec![change("/other/p/a", true)], "ggg ggg gaa"),
        (vec![change("/other/p/a", true), change("/ws/src/b", false)], "ggg ggg gaa"),
        (vec![change("/other/px", true)], "??x ??x ?aa"),
        (vec![change("/other/p/../q", true)], "??x ??x ?aa"),
        (vec![change("/other/p/a", true), change("/etc/b", true)], "??x ??x ?aa"),
        // Granted by its name, but a link leads out of the workspace.
        (vec![change("/ws/src/link/a", true)], "??x ??x ?aa"),
    ] {
        let seen = everywhere(&Intent::Write { files: files.clone() }, &grants);
        assert_eq!(seen, verdicts, "{files:?}");
    }
}

#[test]
fn reading_is_free_inside_the_workspace() {
    for (path, verdicts) in [
        ("/ws/a.png", "aaa aaa aaa"),
        ("/ws", "aaa aaa aaa"),
        ("/extra/a.png", "aaa aaa aaa"),
        ("/etc/passwd", "??x ??x aaa"),
        ("/ws/../etc/passwd", "??x ??x aaa"),
        ("a.png", "??x ??x aaa"),
    ] {
        assert_eq!(everywhere(&Intent::Read { paths: vec![path.into()] }, &[]), verdicts, "{path}");
    }
}

#[test]
fn the_rest_is_judged_by_kind() {
    assert_eq!(everywhere(&Intent::None, &[]), "aaa aaa aaa");
    assert_eq!(everywhere(&Intent::Input { process: ProcessId(1), text: "y\n".into() }, &[]), "aaa aaa aaa");
    assert_eq!(everywhere(&Intent::Unknown, &[Grant::Unknown]), "??x ??x ??x");
    // Also where there is no sandbox: whoever changes the memory talks to all later sessions.
    let remember = Intent::Remember { before: String::new(), after: "x".into() };
    assert_eq!(everywhere(&remember, &[]), "??x ??x ??x");
}

#[test]
fn the_words_are_those_that_the_models_know() {
    let never = policy(Never, WorkspaceWrite);
    assert_eq!(
        judge(&command("ls", true), &never, &[]),
        Judgement::Refuse {
            reason:
                "approval policy is Never; reject command — you cannot ask for escalated permissions if the \
                     approval policy is Never"
                    .into()
        }
    );
    assert_eq!(
        judge(&Intent::Write { files: vec![change("/etc/a", true)] }, &never, &[]),
        Judgement::Refuse {
            reason: "patch rejected: writing outside of the project; rejected by user approval settings"
                .into()
        }
    );
    assert_eq!(
        judge(&command("ls", true), &policy(OnRequest, WorkspaceWrite), &[]),
        Judgement::Ask { reason: "May I?".into() }
    );
    assert_eq!(
        judge(&command("rm -rf build", false), &policy(OnRequest, DangerFullAccess), &[]),
        Judgement::Ask { reason: "it deletes recursively (`rm -rf build`), and there is no sandbox".into() }
    );
}

#[test]
fn only_rules_that_mean_something_are_offered() {
    let offered = |command: &str, prefix: &[&str]| {
        let prefix: Vec<String> = prefix.iter().map(|word| (*word).to_owned()).collect();
        let intent = Intent::Command {
            command: command.into(),
            workdir: "/w".into(),
            escalated: true,
            justification: None,
            prefix,
            shell: None,
        };
        let words = |grant: Grant| match grant {
            Grant::CommandPrefix { words } => words.join(" "),
            other => panic!("{other:?}"),
        };
        proposals(&intent, &policy(OnRequest, WorkspaceWrite))
            .into_iter()
            .map(words)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let table = [
        ("npm install left-pad", &["npm", "install"][..], "npm install, npm install left-pad"),
        ("npm install", &["npm", "install"], "npm install"),
        ("npm install left-pad", &["npm"], "npm install left-pad"),
        ("npm install left-pad", &["yarn"], "npm install left-pad"),
        ("npm install left-pad", &[], "npm install left-pad"),
        ("rm -rf build && npm install", &["npm"], ""),
        ("bash -c 'x'", &["bash"], ""),
        ("echo $(id)", &["echo"], ""),
    ];
    for (command, prefix, wanted) in table {
        assert_eq!(offered(command, prefix), wanted, "{command} {prefix:?}");
    }
}

#[test]
fn a_host_is_reached_by_its_own_rule_whoever_is_asked_and_else_only_by_asking() {
    let connect = |host: &str, port| Intent::Connect { host: host.into(), port };
    let grant = Grant::Host { host: "a.b".into(), port: 443 };
    let given = rules(std::slice::from_ref(&grant));
    for approval in [Approval::Untrusted, OnRequest, Approval::Never] {
        let policy = policy(approval, WorkspaceWrite);
        assert!(matches!(judge(&connect("a.b", 443), &policy, &given), Judgement::Allow(By::Grant { .. })));
        for (host, port) in [("a.b", 80), ("c.a.b", 443), ("b", 443)] {
            let judged = judge(&connect(host, port), &policy, &given);
            assert_eq!(matches!(judged, Judgement::Refuse { .. }), approval == Approval::Never, "{judged:?}");
            assert!(!matches!(judged, Judgement::Allow(_)));
        }
        assert_eq!(proposals(&connect("a.b", 443), &policy), std::slice::from_ref(&grant));
        // It is no rule for anything else.
        let command = Intent::Command {
            command: "a.b".into(),
            workdir: "/ws".into(),
            escalated: true,
            justification: None,
            prefix: vec![],
            shell: None,
        };
        assert!(!matches!(judge(&command, &policy, &given), Judgement::Allow(_)));
    }
}

#[test]
fn a_file_that_a_configuration_makes_obeyed_is_asked_for_whatever_was_granted() {
    let policy = Policy {
        configured: [PathBuf::from("/ws/.githooks/pre-commit")].into(),
        ..policy(OnRequest, WorkspaceWrite)
    };
    let written = |path: &str| Intent::Write {
        files: vec![FileChange {
            path: path.into(),
            operation: FileOperation::Add,
            moved_to: None,
            outside: false,
            diff: String::new(),
        }],
    };
    let granted = rules(&[Grant::WriteBelow { path: "/ws".into() }]);
    for rules in [&[][..], &granted] {
        let asked = judge(&written("/ws/.githooks/pre-commit"), &policy, rules);
        let Judgement::Ask { reason } = asked else { panic!("{asked:?}") };
        assert!(reason.contains("/ws/.githooks/pre-commit, which git"), "{reason}");
        assert!(matches!(judge(&written("/ws/.githooks/other"), &policy, rules), Judgement::Allow(_)));
    }
}
