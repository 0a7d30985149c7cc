//! The commands that begin with a slash.

use std::path::PathBuf;

use crate::protocol::{Command, Effort, ProcessId, Settings};
use crate::session::{ProcessState, Session};

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
    Open(View),
    /// Write the conversation to a file, if one is named.
    Export(Option<PathBuf>),
    Unknown,
}

/// A view that a command opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Changes,
    Processes,
}

/// All commands, with what they do and the words that they take.
const COMMANDS: &[(&str, &str, &[&str])] = &[
    ("copy", "copy the last answer to the clipboard", &[]),
    ("diff", "what has changed, file by file", &[]),
    ("effort", "how hard the model thinks", &["none", "minimal", "low", "medium", "high", "xhigh"]),
    ("export", "write the conversation to a file, as Markdown", &[]),
    ("help", "keys and commands", &[]),
    ("new", "begin a new session", &[]),
    ("ps", "commands that go on: look, type, end", &[]),
    ("quit", "leave; the session is kept", &[]),
    ("rename", "give this session a name", &[]),
    ("status", "model, permissions, tokens, session", &[]),
    ("stop", "end a command that goes on, or all of them", &[]),
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
        "diff" => Run::Open(View::Changes),
        "effort" => effort(args, session),
        "export" => Run::Export(Some(args.trim()).filter(|file| !file.is_empty()).map(PathBuf::from)),
        "help" => Run::Print(help()),
        "new" => Run::Do(vec![Action::New]),
        "ps" => Run::Open(View::Processes),
        "quit" | "exit" => Run::Do(vec![Action::Quit]),
        "rename" if args.trim().is_empty() => Run::Print(vec!["/rename NAME".to_owned()]),
        "rename" => Run::Do(vec![Action::Send(Command::Rename { title: args.trim().to_owned() })]),
        "status" => Run::Print(state(session, ground)),
        "stop" => stop(args.trim(), session),
        _ => Run::Unknown,
    }
}

/// Ends the process with this number, or all.
fn stop(id: &str, session: &Session) -> Run {
    let runs = |state: &ProcessState| *state == ProcessState::Running;
    let running: Vec<ProcessId> =
        session.processes.iter().filter(|(_, process)| runs(&process.state)).map(|(id, _)| *id).collect();
    let chosen: Vec<ProcessId> =
        running.iter().copied().filter(|process| id.is_empty() || process.to_string() == id).collect();
    if chosen.is_empty() {
        let list: Vec<String> = running.iter().map(ToString::to_string).collect();
        return Run::Print(vec![match (id, list.is_empty()) {
            (_, true) => "Nothing runs.".to_owned(),
            (id, false) => format!("There is no process {id}; these run: {}", list.join(", ")),
        }]);
    }
    Run::Do(chosen.into_iter().map(|process| Action::Send(Command::Kill { process })).collect())
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
        ("Esc", "interrupt"),
        ("Ctrl-T", "the whole conversation: search, fold, full outputs"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Event, Fact, SandboxMode, Seq, Time};

    fn run_with(processes: &[u32], line: &str) -> Run {
        let mut session = Session::default();
        for id in processes {
            let fact =
                Fact::ProcessStarted { process: ProcessId(*id), call: "c".into(), command: "make".into() };
            session.apply(&Event { seq: Seq(1), at: Time::UNIX_EPOCH, fact });
        }
        let ground = Ground {
            model: "m".into(),
            sandbox: SandboxMode::ReadOnly,
            workspace: "/w".into(),
            directory: "/w".into(),
            branch: None,
        };
        let (name, args) = line.split_once(' ').unwrap_or((line, ""));
        run(name, args, &session, &ground)
    }

    #[test]
    fn processes_are_stopped_one_or_all() {
        let kill = |id| Action::Send(Command::Kill { process: ProcessId(id) });
        let print = |text: &str| Run::Print(vec![text.to_owned()]);
        for (processes, line, expected) in [
            (&[][..], "stop", print("Nothing runs.")),
            (&[], "stop 7", print("Nothing runs.")),
            (&[1, 2], "stop", Run::Do(vec![kill(1), kill(2)])),
            (&[1, 2], "stop  2 ", Run::Do(vec![kill(2)])),
            (&[1, 2], "stop 7", print("There is no process 7; these run: 1, 2")),
        ] {
            assert_eq!(run_with(processes, line), expected, "{line}");
        }
    }

    #[test]
    fn views_and_exports_are_asked_for() {
        assert_eq!(run_with(&[], "ps"), Run::Open(View::Processes));
        assert_eq!(run_with(&[], "diff"), Run::Open(View::Changes));
        assert_eq!(run_with(&[], "export"), Run::Export(None));
        assert_eq!(run_with(&[], "export a b.md "), Run::Export(Some("a b.md".into())));
    }
}
