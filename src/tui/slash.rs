//! The commands that begin with a slash.

use std::path::PathBuf;

use crate::protocol::{Command, Effort, ProcessId, Rejection, Settings, Time, TurnId, Usage, grouped};
use crate::session::{ProcessState, Session, Undoable};

use super::{
    action::Action,
    composer::CommandSpec,
    host::Apart,
    keymap::{Action as K, Keymap},
    prompts::Prompt,
    status::{self, Ground},
    wants,
};

/// What a command comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Run {
    Do(Vec<Action>),
    /// Lines for the transcript.
    Print(Vec<String>),
    /// Begin a new session.
    New,
    Help,
    Keys,
    Vim,
    /// Write a file for a report.
    Feedback,
    /// The name of a theme; empty: let the person choose.
    Theme(String),
    /// Choose a model: the one of this name, if there is a name.
    Models(String),
    Permissions,
    /// What the session has cost, and then what is beside it.
    Cost(Vec<String>),
    /// What is remembered of earlier sessions, or what these words ask for.
    Memory(String),
    Open(View),
    /// Write the conversation to a file, if one is named.
    Export(Option<PathBuf>),
    /// Show what a handle stands for.
    Reveal(String),
    Rewind,
    /// Put files back, if there is anything to put back.
    Restore(Result<Undoable, Rejection>),
    Sessions,
    Fork(Apart),
    Unknown,
}

/// A view that a command opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Changes,
    Context,
    Processes,
    Skills,
}

/// All commands, with what they do and the words that they take.
const COMMANDS: &[(&str, &str, &[&str])] = &[
    ("budget", "what the session may spend: usd, tokens, turns, deadline, or off", &[]),
    ("compact", "make the conversation smaller; a note says what matters", &[]),
    ("context", "what fills the model's window", &[]),
    ("copy", "copy the last answer to the clipboard", &[]),
    ("cost", "tokens and money: this turn, this session, each model; notes", &[]),
    ("diff", "what has changed, file by file", &[]),
    ("effort", "how hard the model thinks", &["none", "minimal", "low", "medium", "high", "xhigh"]),
    ("export", "write the conversation to a file, as Markdown", &[]),
    ("feedback-file", "write what a report should hold, and nothing private, to a file", &[]),
    ("fork", "go on in a copy of this session, in its own directory if wanted", &["copy", "worktree"]),
    ("goal", "work on it turn after turn until it is met", &["pause", "resume", "clear"]),
    ("help", "keys and commands", &[]),
    ("keys", "every key and what it does", &[]),
    ("memory", "what is remembered of earlier sessions; on or off", &["on", "off", "diff"]),
    ("model", "which model, and how hard it thinks", &[]),
    ("new", "begin a new session", &[]),
    ("permissions", "what may happen without asking, and its rules", &[]),
    ("ps", "commands that go on: look, type, end", &[]),
    ("quit", "leave; the session is kept", &[]),
    ("redo", "take back the last undo", &[]),
    ("rename", "give this session a name", &[]),
    ("resume", "go on with another session", &[]),
    ("reveal", "show what [redacted:…] stands for", &[]),
    ("rewind", "go back to before an earlier message", &[]),
    ("skills", "instructions for special tasks: which there are", &[]),
    ("status", "model, permissions, tokens, session", &[]),
    ("stop", "end a command that goes on, or all of them", &[]),
    ("theme", "colours", &["ansi", "light", "dark", "contrast", "auto"]),
    ("undo", "put files back as they were before the last turn that changed any", &[]),
    ("vim", "Vim's keys where you write, on or off", &[]),
];

pub(super) fn specs() -> Vec<CommandSpec> {
    let spec = |(name, what, words): &(&str, &str, &[&str])| CommandSpec {
        name: (*name).to_owned(),
        about: (*what).to_owned(),
        usage: match (*name, words) {
            ("budget", _) => "[usd|tokens|turns <number>]|[deadline <time>]".to_owned(),
            ("compact", _) => "[note]".to_owned(),
            ("goal", _) => {
                "[text [--tokens N] [--time T] [--verify CMD] | pause | resume | clear]".to_owned()
            }
            ("reveal", _) => "<handle>".to_owned(),
            ("fork", words) => format!("[{}]", words.join("|")),
            (_, []) => String::new(),
            ("theme", _) => "[name]".to_owned(),
            ("memory", _) => "[on|off|diff|words]".to_owned(),
            (_, words) => format!("<{}>", words.join("|")),
        },
        args: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    COMMANDS.iter().map(spec).collect()
}

pub(super) fn run(name: &str, args: &str, session: &Session, ground: &Ground, now: Time) -> Run {
    match name {
        "budget" => wants::budget(args, session, now),
        "cost" => Run::Cost(cost(session, ground)),
        "copy" => match session.last_answer() {
            Some(answer) => Run::Do(vec![Action::Copy(answer.to_owned())]),
            None => Run::Print(vec!["There is no answer yet.".to_owned()]),
        },
        "compact" => Run::Do(vec![Action::Send(Command::Compact { note: args.trim().to_owned() })]),
        "context" => Run::Open(View::Context),
        "diff" => Run::Open(View::Changes),
        "effort" => effort(args, session, ground),
        "export" => {
            Run::Export(Some(unquoted(args.trim())).filter(|file| !file.is_empty()).map(PathBuf::from))
        }
        "feedback-file" => Run::Feedback,
        "fork" => fork(args.trim()),
        "goal" => wants::goal(args, session),
        "help" => Run::Help,
        "keys" => Run::Keys,
        "memory" => Run::Memory(args.trim().to_owned()),
        "model" => Run::Models(args.trim().to_owned()),
        "permissions" => Run::Permissions,
        "new" => Run::New,
        "ps" => Run::Open(View::Processes),
        "quit" | "exit" => Run::Do(vec![Action::Quit]),
        "rename" if args.trim().is_empty() => Run::Print(vec!["/rename NAME".to_owned()]),
        "rename" => Run::Do(vec![Action::Send(Command::Rename { title: args.trim().to_owned() })]),
        "resume" => Run::Sessions,
        "reveal" => match args.trim() {
            "" => Run::Print(vec!["/reveal HANDLE, such as /reveal 3f2a for [redacted:3f2a]".to_owned()]),
            handle => Run::Reveal(handle.to_owned()),
        },
        "rewind" => Run::Rewind,
        "redo" => Run::Restore(session.undo.redo()),
        "undo" if args.trim().is_empty() => Run::Restore(session.undo.undo(None)),
        "undo" => match args.trim().parse() {
            Ok(turn) => Run::Restore(session.undo.undo(Some(TurnId(turn)))),
            Err(_) => {
                Run::Print(vec!["/undo, or /undo TURN: back to before that turn, such as 1".to_owned()])
            }
        },
        "skills" => Run::Open(View::Skills),
        "status" => Run::Print(state(session, ground)),
        "stop" => stop(args.trim(), session),
        "theme" => Run::Theme(args.trim().to_owned()),
        "vim" => Run::Vim,
        _ => Run::Unknown,
    }
}

/// A copy of the session: in the same directory, or in one of its own.
fn fork(args: &str) -> Run {
    let (word, rest) = args.split_once(char::is_whitespace).unwrap_or((args, ""));
    let place = Some(unquoted(rest.trim())).filter(|place| !place.is_empty()).map(PathBuf::from);
    match word {
        "" => Run::Fork(Apart::No),
        "copy" => Run::Fork(Apart::Copy(place)),
        "worktree" => Run::Fork(Apart::WorkTree(place)),
        _ => Run::Print(vec![
            line("/fork", "in the same directory"),
            line("/fork copy [DIR]", "in a copy of the directory"),
            line("/fork worktree [DIR]", "in a further git work tree"),
        ]),
    }
}

/// A name without the quotes that people put around one with blanks.
pub(super) fn unquoted(name: &str) -> &str {
    let inside = |quote| name.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(name)
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

fn effort(args: &str, session: &Session, ground: &Ground) -> Run {
    let settings = ground.settings_of(session).clone();
    let word = serde_json::Value::String(args.trim().to_owned());
    match serde_json::from_value::<Effort>(word) {
        Ok(effort) => {
            let settings = Settings { effort: Some(effort), ..settings };
            Run::Do(vec![Action::configure(session, settings)])
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
    lines.push(line("$", "call for a skill"));
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
        // The last column is the one that is wrapped.
        format!("  {:<15}  {:<33}  {}", action.name(), action.what(), keys)
    }));
    lines
}

fn line(left: &str, right: &str) -> String {
    format!("  {left:<15} {right}")
}

fn state(session: &Session, ground: &Ground) -> Vec<String> {
    let mut lines: Vec<String> =
        vec![format!("agent {}", env!("CARGO_PKG_VERSION")), status::parts(session, ground).join(" · ")];
    let settings = ground.settings_of(session);
    lines.push(format!("asks: {} · sandbox: {}", settings.approval, settings.sandbox));
    if let Some(id) = session.id {
        lines.push(format!("session: {id}"));
    }
    lines.push(spent("tokens", &session.usage));
    lines
}

/// What the session has used and cost: the turn that goes on, each model, and all together.
fn cost(session: &Session, ground: &Ground) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(turn) = &session.turn {
        lines.push(spent("this turn", &turn.usage));
    }
    if session.spent.len() > 1 {
        lines.extend(session.spent.iter().map(|(model, usage)| spent(model, usage)));
    }
    lines.push(spent("this session", &session.usage));
    if ground.settings_of(session).price.is_none() {
        let model = &ground.settings_of(session).model;
        lines.push(format!(
            "What {model} costs is not known here. To have it counted, in config.toml, in US dollars per million tokens:"
        ));
        lines.push(format!("  [models.\"{}\"]", model.model));
        lines.push("  price = { input = 5.00, cached = 0.50, output = 30.00 }".to_owned());
    }
    lines
}

fn spent(of: &str, usage: &Usage) -> String {
    let cost = usage.cost.map(|cost| format!(" · {cost}")).unwrap_or_default();
    format!(
        "{of}: {} in ({} cached), {} out ({} of it reasoning){cost}",
        grouped(usage.input),
        grouped(usage.cached),
        grouped(usage.output),
        grouped(usage.reasoning)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Event, Fact, Seq};

    fn run_with(processes: &[u32], line: &str) -> Run {
        let mut session = Session::default();
        for id in processes {
            let fact =
                Fact::ProcessStarted { process: ProcessId(*id), call: "c".into(), command: "make".into() };
            session.apply(&Event { seq: Seq(1), at: Time::UNIX_EPOCH, fact });
        }
        let ground = Ground::sample();
        let (name, args) = line.split_once(' ').unwrap_or((line, ""));
        run(name, args, &session, &ground, Time::UNIX_EPOCH)
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
    fn what_was_spent_is_told_by_model_and_how_a_price_is_set() {
        use crate::protocol::{Price, ResponseId, ResponseOutcome};
        let mut session = Session::default();
        let mut ground = Ground::sample();
        let mut seq = 0;
        let mut tell = |fact| {
            seq += 1;
            session.apply(&Event { seq: Seq(seq), at: Time::UNIX_EPOCH, fact });
        };
        let price: Price = serde_json::from_str(r#"{"input": 5, "output": 30}"#).unwrap();
        for (model, price) in [("a/x", Some(price)), ("b/y", None)] {
            ground.settings = Settings { model: model.parse().unwrap(), price, ..ground.settings };
            tell(Fact::Configured { settings: ground.settings.clone() });
            let mut usage =
                Usage { input: 1000, cached: 10, output: 100, reasoning: 7, cost: None, unpriced: false };
            usage.cost = price.map(|price| price.of(&usage));
            let (response, outcome) = (ResponseId(1), ResponseOutcome::Completed);
            tell(Fact::ResponseFinished { response, outcome, usage: Some(usage) });
        }
        assert_eq!(
            cost(&session, &ground),
            [
                "a/x: 1,000 in (10 cached), 100 out (7 of it reasoning) · $0.0080",
                "b/y: 1,000 in (10 cached), 100 out (7 of it reasoning)",
                "this session: 2,000 in (20 cached), 200 out (14 of it reasoning) · $0.0080+",
                "What b/y costs is not known here. To have it counted, in config.toml, in US dollars per million tokens:",
                "  [models.\"y\"]",
                "  price = { input = 5.00, cached = 0.50, output = 30.00 }",
            ]
        );
        assert_eq!(
            status::part(super::super::settings::StatusItem::Cost, &session, &ground).unwrap(),
            "$0.0080+"
        );
    }

    #[test]
    fn views_and_exports_are_asked_for() {
        assert_eq!(run_with(&[], "ps"), Run::Open(View::Processes));
        assert_eq!(run_with(&[], "diff"), Run::Open(View::Changes));
        assert_eq!(run_with(&[], "export"), Run::Export(None));
        for (line, file) in [
            ("export a b.md ", "a b.md"),
            ("export \"a b/x.md\" ", "a b/x.md"),
            ("export 'it.md'", "it.md"),
            ("export \"", "\""),
            ("export it's.md", "it's.md"),
        ] {
            assert_eq!(run_with(&[], line), Run::Export(Some(file.into())), "{line}");
        }
        assert_eq!(run_with(&[], "export \"\""), Run::Export(None));
    }
}
