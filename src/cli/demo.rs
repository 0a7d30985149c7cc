//! `agent demo`: the whole loop on a small sample project. Only the model is scripted.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use crate::config::{self, Home, Inputs};
use crate::context::Person;
use crate::protocol::Approval;

use super::{
    args::RunArgs,
    error::CliError,
    exec,
    start::{Start, Typed},
};

const PROJECT: &[(&str, &str)] = &[
    ("README.md", include_str!("../../assets/demo/project/README.md")),
    ("sum.sh", include_str!("../../assets/demo/project/sum.sh")),
    ("test.sh", include_str!("../../assets/demo/project/test.sh")),
];
const SCRIPT: &str = include_str!("../../assets/demo/script.jsonl");
const TASK: &str = "The test of this project fails. Find out why, and mend it.";

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
        "This is a demo: the model's answers are scripted, so it needs no key and no network. Everything else is\n\
         real: the sandbox, the shell, the patch, the log. The sample project is in {}\n",
        start.workspace.display()
    );
    let args = RunArgs {
        json: false,
        deltas: false,
        output_last_message: None,
        output_schema: None,
        image: Vec::new(),
        ephemeral: false,
    };
    exec::task(&start, &args, TASK).await
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
    })
}
