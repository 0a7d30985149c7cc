//! Which calls are alike for a person who was asked about one of them, and which only end what the agent started.

use std::collections::BTreeSet;

use crate::protocol::{FileChange, Intent};

use super::{command, destructive};

/// Words that say nothing of what a command is about.
const BESIDE: &[&str] = &[
    "cd", "echo", "true", "false", "set", "export", "sudo", "doas", "env", "nohup", "timeout", "time",
    "command", "exec", "nice", "stdbuf", "setsid", "sh", "bash", "zsh", "dash", "eval", "xargs", "if",
    "then", "else", "fi", "do", "done", "for", "while", "pwd", "sleep", "test", "[", "{", "!",
];

/// Scripts within scripts that are looked into.
const MOST_DEPTH: u8 = 4;

/// Whether somebody who refused the one has said enough about the other: the same program, with the same rights; the
/// same file.
#[must_use]
pub fn alike(one: &Intent, other: &Intent) -> bool {
    match (one, other) {
        (
            Intent::Command { command: a, escalated: x, .. },
            Intent::Command { command: b, escalated: y, .. },
        ) => x == y && (a == b || !programs(a).is_disjoint(&programs(b))),
        (Intent::Write { files: a }, Intent::Write { files: b }) => {
            let paths =
                |files: &[FileChange]| files.iter().map(|file| file.path.clone()).collect::<BTreeSet<_>>();
            !paths(a).is_disjoint(&paths(b))
        }
        (Intent::Read { paths: a }, Intent::Read { paths: b }) => a.iter().any(|path| b.contains(path)),
        _ => false,
    }
}

/// The names of the programs that a command runs, read generously: behind wrappers, and in scripts within scripts.
fn programs(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut work = vec![(text.to_owned(), MOST_DEPTH)];
    while let Some((text, depth)) = work.pop() {
        for words in destructive::segments(&text) {
            for word in destructive::after_prelude(&words) {
                let name = word.rsplit('/').next().unwrap_or(word);
                let option =
                    word.starts_with('-') || word.contains('=') || word.chars().all(|c| c.is_ascii_digit());
                if word.contains([' ', '\n']) && depth > 0 {
                    work.push((word.clone(), depth - 1));
                } else if !option && !BESIDE.contains(&name) {
                    names.insert(name.to_owned());
                    break;
                } else if matches!(name, "cd" | "echo" | "export" | "set") {
                    break;
                }
            }
        }
    }
    names
}

/// The processes, or groups of them, that a command ends and does nothing else; nothing where it does more.
#[must_use]
pub fn killed(intent: &Intent) -> Option<Vec<u32>> {
    let Intent::Command { command, .. } = intent else { return None };
    let commands = command::plain(command)?;
    let [words] = commands.as_slice() else { return None };
    let (program, mut args) = words.split_first()?;
    if program != "kill" {
        return None;
    }
    let signal = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    let mut group = false;
    match args {
        [option, name, rest @ ..] if option == "-s" && signal(name) => args = rest,
        [option, rest @ ..]
            if option.strip_prefix('-').is_some_and(|name| name != "l" && name != "L" && signal(name)) =>
        {
            args = rest;
        }
        _ => {}
    }
    if let [dashes, rest @ ..] = args
        && dashes == "--"
    {
        group = true;
        args = rest;
    }
    let number = |text: &String| {
        let digits = text.strip_prefix('-').filter(|_| group).unwrap_or(text);
        let plain = digits.chars().all(|c| c.is_ascii_digit());
        // 0 and 1 mean more than a process.
        digits.parse().ok().filter(|pid| plain && *pid > 1)
    };
    let all: Option<Vec<u32>> = args.iter().map(number).collect();
    all.filter(|all| !all.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, escalated: bool) -> Intent {
        Intent::Command {
            command: command.into(),
            workdir: "/w".into(),
            escalated,
            justification: None,
            prefix: vec![],
            shell: None,
        }
    }

    #[test]
    fn the_same_program_again_is_alike() {
        for (one, other, same) in [
            ("curl a", "curl b", true),
            ("curl a", "cd x && timeout 5 curl b | head", true),
            ("curl a", "sh -c 'curl b'", true),
            ("curl a", "env X=1 /usr/bin/curl b", true),
            ("curl a", "wget a", false),
            ("cd a && npm install", "cd b && cargo build", false),
            ("sh -c 'a'", "sh -c 'b'", false),
            ("$X", "$X", true),
        ] {
            assert_eq!(alike(&run(one, true), &run(other, true)), same, "{one} {other}");
            assert!(!alike(&run(one, true), &run(other, false)), "with other rights");
        }
    }

    #[test]
    fn only_a_plain_kill_of_processes_is_one() {
        for (text, pids) in [
            ("kill 123", Some(vec![123])),
            ("kill -9 123 45", Some(vec![123, 45])),
            ("kill -KILL 123", Some(vec![123])),
            ("kill -s TERM 123", Some(vec![123])),
            ("kill -TERM -- -123", Some(vec![123])),
            ("kill -9 -1", None),
            ("kill -9 -- -1", None),
            ("kill 0", None),
            ("kill 1", None),
            ("kill", None),
            ("kill -9", None),
            ("kill -l", None),
            ("kill $PID", None),
            ("kill %1", None),
            ("kill 123; rm x", None),
            ("kill 123 && ls", None),
            ("./kill 123", None),
            ("pkill x", None),
            ("kill +5", None),
        ] {
            assert_eq!(killed(&run(text, true)), pids, "{text}");
        }
    }
}
