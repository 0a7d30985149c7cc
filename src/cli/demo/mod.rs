//! `agent demo`: the whole loop on a small sample project. Only the model is scripted.
//!
//! On a terminal it plays in the screen and asks the person once; elsewhere it is a task that ends by itself.

mod player;

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use crate::config::{self, Backend, Home, Inputs};
use crate::context::Person;
use crate::harness::OpenedModel;
use crate::protocol::Approval;
use crate::secrets::Secrets;

use super::{
    args::RunArgs,
    error::CliError,
    exec, screen,
    start::{Start, Typed},
};

use player::{Player, Pulse};

const PROJECT: &[(&str, &str)] = &[
    ("README.md", include_str!("../../../assets/demo/project/README.md")),
    ("sum.sh", include_str!("../../../assets/demo/project/sum.sh")),
    ("test.sh", include_str!("../../../assets/demo/project/test.sh")),
];
const SCRIPT: &str = concat!(
    include_str!("../../../assets/demo/script.jsonl"),
    include_str!("../../../assets/demo/end.jsonl")
);
const TASK: &str = "The test of this project fails. Find out why, and mend it.";
const NEXT: &str = "
That was the demo. To begin with a project of yours:

  export OPENAI_API_KEY=…   for other models: agent config path, agent config schema
  cd my-project
  agent

`agent doctor` says what is missing on this machine, if anything.";

pub(super) async fn run(keep: Option<&Path>) -> Result<ExitCode, CliError> {
    let temporary = tempfile::tempdir().map_err(CliError::failed)?;
    let folder = match keep {
        Some(folder) => fs::create_dir_all(folder).and_then(|()| folder.canonicalize()),
        None => temporary.path().canonicalize(),
    };
    let folder =
        folder.map_err(|error| CliError::failed(format!("can't make the sample project: {error}")))?;
    let start = prepare(&folder)
        .map_err(|error| CliError::failed(format!("can't make the sample project: {error}")))?;
    let _ = writeln!(
        io::stderr(),
        "This is a demo: the model's answers are scripted, so it needs no key and no\n\
         network. Everything else is real: the sandbox, the shell, the patch, the log.\n\
         The sample project is in {}\n",
        start.workspace.display()
    );
    if plays() {
        return play(start, &folder).await;
    }
    exec::task(&start, &RunArgs::default(), TASK).await
}

/// Whether somebody sits before a screen.
fn plays() -> bool {
    let able = std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb");
    able && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The demo in the screen, at the speed of a reader, with a question that is the person's to answer.
async fn play(start: Start, folder: &Path) -> Result<ExitCode, CliError> {
    // Else it would be found out inside of the screen, where there is no place for what to do about it.
    drop(start.sandbox_in(&Backend::Local, start.config.sandbox, folder, None)?);
    let pulse = Pulse::default();
    let player = Player::new(pulse.clone()).map_err(CliError::failed)?;
    let model = OpenedModel { model: Arc::new(player), name: "scripted".to_owned() };
    let start = Start {
        approval: Approval::OnRequest,
        person: Person::Present,
        models: Some(Arc::new(move |_| Ok(model.clone()))),
        ..start
    };
    let pressed = Box::new(move || pulse.hurry());
    screen::show(start, screen::First::New, Some(TASK.to_owned()), Some(pressed)).await?;
    let _ = writeln!(io::stdout(), "{NEXT}");
    Ok(ExitCode::SUCCESS)
}

/// Writes the project and a configuration that knows nothing of the user's own.
fn prepare(folder: &Path) -> anyhow::Result<Start> {
    let workspace = folder.join("sum");
    fs::create_dir_all(&workspace)?;
    for (name, text) in PROJECT {
        fs::write(workspace.join(name), text)?;
    }
    let home = folder.join("home");
    fs::create_dir_all(&home)?;
    let script = home.join("script.jsonl");
    fs::write(&script, SCRIPT)?;
    let overrides = vec![
        "model=\"demo/scripted\"".to_owned(),
        "providers.demo.wire=\"replay\"".to_owned(),
        format!("providers.demo.script={}", toml::Value::from(script.to_string_lossy().into_owned())),
    ];
    let inputs = Inputs { home: Home::below(&home), cwd: workspace.clone(), env: Vec::new(), overrides };
    let config = config::load(&inputs)?;
    Ok(Start {
        config,
        home: inputs.home.clone(),
        inputs,
        workspace,
        typed: Typed::default(),
        approval: Approval::Never,
        person: Person::Absent,
        models: None,
        secrets: Secrets::default(),
        allow_hosts: Vec::new(),
        recorder: None,
    })
}
