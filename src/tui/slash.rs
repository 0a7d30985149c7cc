//! The commands that begin with a slash.

use crate::protocol::{Command, Effort, Settings};
use crate::session::Session;

use super::{
    app::Action,
    composer::CommandSpec,
    status::{self, Ground},
};

/// What a command comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Run {
    Do(Vec<Action>),
    /// Lines for the transcript.
    Print(Vec<String>),
    Rewind,
    Sessions,
    Fork,
    Unknown,
}

/// All commands, with what they do and the words that they take.
const COMMANDS: &[(&str, &str, &[&str])] = &[
    ("copy", "copy the last answer to the clipboard", &[]),
    ("effort", "how hard the model thinks", &["none", "minimal", "low", "medium", "high", "xhigh"]),
    ("fork", "go on in a copy of this session", &[]),
    ("help", "keys and commands", &[]),
    ("new", "begin a new session", &[]),
    ("ps", "commands that still run", &[]),
    ("quit", "leave; the session is kept", &[]),
    ("rename", "give this session a name", &[]),
    ("resume", "go on with another session", &[]),
    ("rewind", "go back to before an earlier message", &[]),
    ("status", "model, permissions, tokens, session", &[]),
];

pub(super) fn specs() -> Vec<CommandSpec> {
    let spec = |(name, what, words): &(&str, &str, &[&str])| CommandSpec {
        name: (*name).to_owned(),
        about: (*what).to_owned(),
        usage: if words.is_empty() { String::new() } else { format!("<{}>", words.join("|")) },
        args: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    COMMANDS.iter().map(spec).collect()
}

pub(super) fn run(name: &str, args: &str, session: &Session, ground: &Ground) -> Run {
    match name {
        "copy" => match session.last_answer() {
            Some(answer) => Run::Do(vec![Action::Copy(answer.to_owned())]),
            None => Run::Print(vec!["There is no answer yet.".to_owned()]),
        },
        "effort" => effort(args, session),
        "fork" => Run::Fork,
        "help" => Run::Print(help()),
        "new" => Run::Do(vec![Action::New]),
        "ps" => Run::Print(processes(session)),
        "quit" | "exit" => Run::Do(vec![Action::Quit]),
        "rename" if args.trim().is_empty() => Run::Print(vec!["/rename NAME".to_owned()]),
        "rename" => Run::Do(vec![Action::Send(Command::Rename { title: args.trim().to_owned() })]),
        "resume" => Run::Sessions,
        "rewind" => Run::Rewind,
        "status" => Run::Print(state(session, ground)),
        _ => Run::Unknown,
    }
}

fn effort(args: &str, session: &Session) -> Run {
    let Some(settings) = session.settings.clone() else {
        return Run::Print(vec!["There is no session yet; say something first.".to_owned()]);
    };
    let word = serde_json::Value::String(args.trim().to_owned());
    match serde_json::from_value::<Effort>(word) {
        Ok(effort) => {
            let settings = Box::new(Settings { effort: Some(effort), ..settings });
            Run::Do(vec![Action::Send(Command::Configure { settings })])
        }
        Err(_) => Run::Print(vec!["/effort none|minimal|low|medium|high|xhigh".to_owned()]),
    }
}

fn help() -> Vec<String> {
    let mut lines: Vec<String> =
        COMMANDS.iter().map(|(name, what, _)| format!("  {:<10} {what}", format!("/{name}"))).collect();
    lines.insert(0, "Commands:".to_owned());
    lines.push("Keys:".to_owned());
    for (key, what) in [
        ("Enter", "send; while a turn runs: steer it"),
        ("Tab", "while a turn runs: say it afterwards"),
        ("Alt-↑", "take back the last message that waits"),
        ("Esc", "interrupt; twice on an empty line: go back to an earlier message"),
        ("Ctrl-J", "new line"),
        ("Ctrl-G", "edit in your editor"),
        ("Ctrl-R", "search what you said before"),
        ("@", "find a file"),
        ("!", "run a command as yourself"),
        ("Ctrl-Z", "suspend"),
        ("Ctrl-C", "clear; interrupt; twice: quit"),
        ("Ctrl-D", "quit, on an empty line"),
    ] {
        lines.push(format!("  {key:<10} {what}"));
    }
    lines
}

fn processes(session: &Session) -> Vec<String> {
    let running: Vec<String> = session
        .processes
        .iter()
        .filter(|(_, process)| process.state == crate::session::ProcessState::Running)
        .map(|(id, process)| format!("  {id}  {}", process.command))
        .collect();
    if running.is_empty() { vec!["Nothing runs.".to_owned()] } else { running }
}

fn state(session: &Session, ground: &Ground) -> Vec<String> {
    let mut lines: Vec<String> =
        vec![format!("agent {}", env!("CARGO_PKG_VERSION")), status::parts(session, ground).join(" · ")];
    if let Some(settings) = &session.settings {
        lines.push(format!("asks: {} · sandbox: {}", settings.approval, settings.sandbox));
    }
    if let Some(id) = session.id {
        lines.push(format!("session: {id}"));
    }
    let usage = session.usage;
    lines.push(format!(
        "tokens: {} in ({} cached), {} out ({} of it reasoning)",
        usage.input, usage.cached, usage.output, usage.reasoning
    ));
    lines
}
