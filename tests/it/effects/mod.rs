//! What commands would touch, against a real disk and a real repository: a table of lines, with what is said of each.
//!
//! `tests/data/approvals.txt` holds a command a paragraph, with whether a person is asked (`=`, in all nine settings, in
//! the sandbox and outside of it), and what the dialog says of its effects (`-`). `AGENT_BLESS=1` writes down what is
//! true now, for somebody to read line by line.

mod world;

use std::{fs, path::Path};

use agent::{
    policy::{self, Judgement, Policy},
    protocol::{Approval, By, Intent, SandboxMode, exact},
};

use self::world::Ground;

const TABLE: &str = "tests/data/approvals.txt";

/// What is meant by what `exact` shows.
fn read(shown: &str) -> String {
    let mut out = String::new();
    let mut rest = shown;
    while let Some((before, after)) = rest.split_once("\\u{") {
        let (code, after) = after.split_once('}').expect("a spelling ends");
        let (code, count) =
            code.split_once('*').map_or((code, 1), |(code, count)| (code, count.parse().unwrap()));
        out.push_str(before);
        let c = char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
        out.extend(std::iter::repeat_n(c, count));
        rest = after;
    }
    out + rest
}

/// The judgements in all nine settings, as `policy::tests` has them.
fn verdicts(command: &str, ground: &Ground, escalated: bool) -> String {
    let letter = |sandbox, approval| {
        let intent = Intent::Command {
            command: command.into(),
            workdir: ground.workspace.clone(),
            escalated,
            justification: None,
            prefix: Vec::new(),
            shell: None,
        };
        let policy = Policy {
            approval,
            sandbox,
            weak: None,
            roots: vec![ground.workspace.clone()],
            scripts: Default::default(),
            configured: Default::default(),
        };
        match policy::judge(&intent, &policy, &[]) {
            Judgement::Allow(By::Policy) => 'a',
            Judgement::Allow(_) => '!',
            Judgement::Ask { .. } => '?',
            Judgement::Refuse { .. } => 'x',
        }
    };
    [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess]
        .map(|sandbox| {
            [Approval::Untrusted, Approval::OnRequest, Approval::Never]
                .map(|approval| letter(sandbox, approval))
                .iter()
                .collect::<String>()
        })
        .join(" ")
}

fn entry(shown: &str, ground: &Ground) -> String {
    let command = read(shown);
    let mut lines = vec![
        shown.to_owned(),
        format!("= {} / {}", verdicts(&command, ground, false), verdicts(&command, ground, true)),
    ];
    let told = ground.settled(ground.effects(&command)).lines();
    lines.extend(
        told.iter().map(|line| format!("- {}", ground.scrubbed(&exact(line).replace('\n', "\\u{a}")))),
    );
    lines.join("\n")
}

#[test]
fn the_table_of_commands_says_who_is_asked_and_what_would_be_lost() {
    let Some(ground) = Ground::new() else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let table = fs::read_to_string(&path).unwrap();
    let (head, entries) = table.split_once("\n\n").unwrap();
    let commands: Vec<&str> =
        entries.split("\n\n").filter_map(|entry| entry.trim_start_matches('\n').lines().next()).collect();
    assert!(commands.len() >= 150, "{} commands", commands.len());
    let now: Vec<String> = commands.iter().map(|command| entry(command, &ground)).collect();
    let now = format!("{head}\n\n{}\n", now.join("\n\n"));
    if std::env::var_os("AGENT_BLESS").is_some() {
        fs::write(&path, now).unwrap();
        return;
    }
    for (was, is) in table.split("\n\n").zip(now.split("\n\n")) {
        assert_eq!(is.trim_end(), was.trim_end());
    }
    assert_eq!(now, table);
}

#[test]
fn nothing_is_run_and_nothing_changes_while_it_is_told() {
    let Some(ground) = Ground::new() else { return };
    let before = ground.picture();
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE)).unwrap();
    for entry in table.split("\n\n").skip(1) {
        let command = read(entry.lines().next().unwrap_or_default());
        ground.effects(&command);
    }
    assert_eq!(ground.picture(), before);
}
