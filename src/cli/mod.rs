//! The command line, one file per command.

mod args;
mod around;
mod budget;
mod bundle;
mod check;
mod clipboard;
mod demo;
mod docker;
#[cfg(target_os = "linux")]
mod docker_context;
mod doctor;
mod drafts;
mod error;
mod exec;
mod explain;
mod export;
mod feedback;
mod fork;
mod hosted;
mod import;
mod keep;
mod listing;
mod login;
mod machine;
mod memory;
mod models;
mod newer;
mod news;
mod online;
mod opening;
mod permissions;
mod person;
mod prompts;
mod rehydrate;
mod remote;
mod replay;
mod sandbox;
mod screen;
mod selftest;
mod sessions;
mod skills;
mod skills_command;
mod start;
mod stdin;
mod temporary;
mod themes;
mod undo;
mod usage;
mod workspace;
mod worktree;

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _};

use crate::config::{self, Inputs};
use crate::context::Person;
use crate::protocol::{Approval, ModelRef, SandboxMode, TurnId};
use crate::sandbox::network::Pattern;
use crate::secrets::Secrets;

use self::{
    args::{Cli, CommandArgs, Common, ConfigArgs, ModelsArgs, SandboxArgs},
    error::CliError,
    fork::Place,
    screen::First,
    start::{Start, Typed},
};

/// Runs the program as a person or a script called it.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, and go to standard output; a closed one is nobody's concern.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            error.kind.into()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, CliError> {
    let common = cli.common;
    if let (Some(prompt), Some(_)) = (&cli.prompt, &cli.command) {
        return Err(CliError::usage(format!("`{prompt}` stands before a command"))
            .hint("a prompt alone begins a session; options may stand before or after a command's name"));
    }
    match cli.command {
        None => {
            let start = with_person(&common)?;
            start.can_begin()?;
            let notice = keep::in_background(&start);
            memory::in_background(&start);
            let code = runtime()?.block_on(screen::run(start, First::New, cli.prompt));
            notice.tell();
            code
        }
        Some(CommandArgs::Resume { id, last, prompt, back }) => {
            let start = with_person(&common)?;
            let notice = keep::in_background(&start);
            memory::in_background(&start);
            // With --last the only word is what to say.
            let (id, prompt) = if last { (None, prompt.or(id)) } else { (id, prompt) };
            let first = match (last, id) {
                (false, None) if back.any() => {
                    return Err(CliError::usage(
                        "which session? --restore and --into need its id, or --last",
                    ));
                }
                (false, None) => First::Choose,
                (_, id) => First::Resume(Box::new(start.reopen_with(start.find(id.as_deref())?, &back)?)),
            };
            let code = runtime()?.block_on(screen::run(start, first, prompt));
            notice.tell();
            code
        }
        Some(CommandArgs::Fork { id, last, prompt, at, copy, worktree }) => {
            let (id, prompt) = if last { (None, prompt.or(id)) } else { (id, prompt) };
            // Without a terminal the new session is only made, and named.
            let screen = with_person(&common).ok();
            let start = screen.clone().map_or_else(|| start(&common), Ok)?;
            let place = match (copy, worktree) {
                (Some(dir), _) => Place::Copy(dir),
                (None, Some(dir)) => Place::WorkTree(dir),
                (None, None) => Place::Same,
            };
            let fork = start.fork(start.find(id.as_deref())?, at.map(TurnId), &place, &mut fork::say)?;
            match screen {
                Some(start) => {
                    let first = First::Resume(Box::new(start.reopen(fork)?));
                    runtime()?.block_on(screen::run(start, first, prompt))
                }
                None => print(&fork.to_string()),
            }
        }
        Some(CommandArgs::Exec(args)) => {
            let start = exec::recorded(start(&common)?, args.run.record.as_deref())?;
            let notice = keep::in_background(&start);
            memory::in_background(&start);
            let code = runtime()?.block_on(exec::run(&start, &args));
            notice.tell();
            code
        }
        Some(CommandArgs::Replay(args)) => replay::run(&common, &args),
        Some(CommandArgs::Undo { which, to }) => {
            undo::run(&start(&common)?, &which, undo::Way::Back(to.map(TurnId)))
        }
        Some(CommandArgs::Redo { which }) => undo::run(&start(&common)?, &which, undo::Way::Forth),
        Some(CommandArgs::Sessions { command }) => sessions::run(&start(&common)?, &command),
        Some(CommandArgs::Usage(args)) => usage::run(&start(&common)?, &args),
        Some(CommandArgs::Export(args)) => export::run(&start(&common)?, &args),
        Some(CommandArgs::Import(args)) => import::run(&start(&common)?, &args),
        Some(CommandArgs::Memory { command }) => memory::run(&start(&common)?, &command),
        Some(CommandArgs::Skills { command }) => {
            skills_command::run(&start(&common)?, &command).map(|()| ExitCode::SUCCESS)
        }
        Some(CommandArgs::Permissions { command }) => {
            permissions::run(&start(&common)?, &command).map(|()| ExitCode::SUCCESS)
        }
        Some(CommandArgs::Sandbox { explain: Some(SandboxArgs::Explain { json, command }), .. }) => {
            let start = start(&common)?;
            match command.is_empty() {
                true => runtime()?.block_on(explain::policy(&start, json)),
                false => explain::command(&start, &command, json),
            }
        }
        Some(CommandArgs::Sandbox { explain: None, command }) => {
            let start = start(&common)?;
            runtime()?.block_on(sandbox::run(&start, &command))
        }
        Some(CommandArgs::Demo { keep }) => runtime()?.block_on(demo::run(keep.as_deref())),
        Some(CommandArgs::Login { provider, keyring }) => login::login(&start(&common)?, provider, keyring),
        Some(CommandArgs::Logout { provider }) => login::logout(&start(&common)?, provider),
        Some(CommandArgs::Whoami { json }) => login::whoami(&start(&common)?, json),
        Some(CommandArgs::Models { refresh, json, command: None }) => {
            runtime()?.block_on(listing::list(&start(&common)?, refresh, json))
        }
        Some(CommandArgs::Models { command: Some(ModelsArgs::Doctor { model, json }), .. }) => {
            runtime()?.block_on(listing::measure(&start(&common)?, &model, json))
        }
        Some(CommandArgs::Doctor { json }) => doctor::run(&common, json),
        Some(CommandArgs::Config { command: ConfigArgs::Schema }) => print(&config::schema()),
        Some(CommandArgs::Config { command: ConfigArgs::Path }) => {
            let inputs = Inputs::from_process(None, Vec::new()).map_err(CliError::usage)?;
            print(&inputs.home.config_file().to_string_lossy())
        }
        Some(CommandArgs::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "agent", &mut io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What was typed, the configuration, and the directory to work in.
fn start(common: &Common) -> Result<Start, CliError> {
    let here = match &common.cd {
        Some(dir) => dir.clone(),
        None => std::env::current_dir()
            .map_err(|error| CliError::usage(format!("the current directory is gone: {error}")))?,
    };
    let workspace = here
        .canonicalize()
        .map_err(|error| CliError::usage(format!("can't work in {}: {error}", here.display())))?;
    if !workspace.is_dir() {
        return Err(CliError::usage(format!("can't work in {}: it is not a directory", here.display())));
    }
    for entry in &common.allow_host {
        Pattern::read(entry).map_err(|error| CliError::usage(format!("--allow-host {error}")))?;
    }
    let mut overrides = common.config.clone();
    if let Some(model) = &common.model {
        model.parse::<ModelRef>().map_err(CliError::usage)?;
        overrides.push(format!("model={}", toml::Value::from(model.as_str())));
    }
    if let Some(mode) = common.sandbox {
        overrides.push(format!("sandbox=\"{}\"", SandboxMode::from(mode)));
    }
    if let Some(approval) = common.ask_for_approval {
        overrides.push(format!("approval=\"{}\"", Approval::from(approval)));
    }
    if let Some(backend) = &common.backend {
        overrides.push(format!("backend={}", toml::Value::from(backend.as_str())));
    }
    if common.keep_container {
        overrides.push("docker.keep=true".to_owned());
    }
    overrides.extend(common.budget.overrides());
    if common.plain {
        overrides.push("tui.plain=true".to_owned());
    }
    let inputs = Inputs::from_process(Some(&workspace), overrides).map_err(CliError::usage)?;
    let config = config::load(&inputs).map_err(CliError::usage)?;
    let typed = Typed::of(&config);
    let approval = start::approval(&config, Person::Absent);
    let home = inputs.home.clone();
    Ok(Start {
        config,
        inputs,
        home,
        workspace,
        typed,
        approval,
        person: Person::Absent,
        models: None,
        secrets: Secrets::default(),
        allow_hosts: common.allow_host.clone(),
        recorder: None,
    })
}

/// The same where somebody sits before a screen.
fn with_person(common: &Common) -> Result<Start, CliError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(CliError::usage("the screen needs a terminal").hint("without one: agent exec \"TASK\""));
    }
    let start = start(common)?;
    let approval = start::approval(&start.config, Person::Present);
    Ok(Start { approval, person: Person::Present, ..start })
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::failed(format!("can't start: {error}")))
}

fn print(text: &str) -> Result<ExitCode, CliError> {
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::failed(error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}
