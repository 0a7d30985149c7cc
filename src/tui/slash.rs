//! The commands that begin with a slash.

use crate::protocol::{Command, Effort, Settings};
use crate::session::Session;

use super::{
    app::Action,
    composer::CommandSpec,
    keymap::{Action as K, Keymap},
    prompts::Prompt,
    status::{self, Ground},
};

/// What a command comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Run {
    Do(Vec<Action>),
    /// Lines for the transcript.
    Print(Vec<String>),
    Help,
    Keys,
    Vim,
    /// Write a file for a report.
    Feedback,
    /// The name of a theme; empty: let the person choose.
    Theme(String),
    Unknown,
}

/// All commands, with what they do and the words that they take.
const COMMANDS: &[(&str, &str, &[&str])] = &[
    ("copy", "copy the last answer to the clipboard", &[]),
    ("effort", "how hard the model thinks", &["none", "minimal", "low", "medium", "high", "xhigh"]),
    ("feedback-file", "write what a report should hold, and nothing private, to a file", &[]),
    ("help", "keys and commands", &[]),
    ("keys", "every key and what it does", &[]),
    ("new", "begin a new session", &[]),
    ("ps", "commands that still run", &[]),
    ("quit", "leave; the session is kept", &[]),
    ("rename", "give this session a name", &[]),
    ("status", "model, permissions, tokens, session", &[]),
    ("theme", "colours", &["ansi", "light", "dark", "contrast", "auto"]),
    ("vim", "Vim's keys where you write, on or off", &[]),
];

pub(super) fn specs() -> Vec<CommandSpec> {
    let spec = |(name, what, words): &(&str, &str, &[&str])| CommandSpec {
        name: (*name).to_owned(),
        about: (*what).to_owned(),
        usage: match (*name, words) {
            (_, []) => String::new(),
            ("theme", _) => "[name]".to_owned(),
            (_, words) => format!("<{}>", words.join("|")),
        },
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
        "feedback-file" => Run::Feedback,
        "help" => Run::Help,
        "keys" => Run::Keys,
        "new" => Run::Do(vec![Action::New]),
        "ps" => Run::Print(processes(session)),
        "quit" | "exit" => Run::Do(vec![Action::Quit]),
        "rename" if args.trim().is_empty() => Run::Print(vec!["/rename NAME".to_owned()]),
        "rename" => Run::Do(vec![Action::Send(Command::Rename { title: args.trim().to_owned() })]),
        "status" => Run::Print(state(session, ground)),
        "theme" => Run::Theme(args.trim().to_owned()),
        "vim" => Run::Vim,
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

/// Commands, and the keys that one needs most.
pub(super) fn help(keymap: &Keymap, prompts: &[Prompt]) -> Vec<String> {
    let mut lines = vec!["Commands:".to_owned()];
    lines.extend(COMMANDS.iter().map(|(name, what, _)| line(&format!("/{name}"), what)));
    lines.extend(prompts.iter().map(|prompt| line(&format!("/{}", prompt.name), &prompt.spec().about)));
    lines.push(line("@", "find a file"));
    lines.push(line("!", "run a command as yourself, and show it to the model"));
    lines.push("Keys (/keys has all of them):".to_owned());
    let most = [
        (K::Submit, "send; while a turn runs: steer it"),
        (K::Queue, "while a turn runs: say it afterwards"),
        (K::Retract, "take back the last message that waits"),
        (K::Interrupt, "interrupt"),
        (K::Newline, "new line"),
        (K::Editor, "edit in your editor"),
        (K::Search, "search what you said before"),
        (K::Transcript, "the whole conversation"),
        (K::Suspend, "suspend"),
        (K::Leave, "clear; interrupt; twice: quit"),
        (K::Quit, "quit, on an empty line"),
    ];
    lines.extend(most.iter().filter_map(|(action, what)| {
        let (key, what) = keymap.hint_as(*action, what)?;
        Some(line(&key, what))
    }));
    lines
}

/// Every key, by what it does, with the name that it has in the configuration.
pub(super) fn keys(keymap: &Keymap) -> Vec<String> {
    let mut lines =
        vec!["Keys, and the names by which [tui.keys] in config.toml gives them others:".to_owned()];
    lines.extend(keymap.all().map(|(action, keys)| {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let keys = if keys.is_empty() { "(none)".to_owned() } else { keys.join(" ") };
        format!("  {:<16} {:<36} {}", action.name(), action.what(), keys)
    }));
    lines
}

fn line(left: &str, right: &str) -> String {
    format!("  {left:<15} {right}")
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
