//! The tool `exec_command`: run a command, and come back with its output or with a running session.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use serde::Deserialize;
use serde_json::json;

use super::{
    Output, Tool, ToolCx, ToolError, Workspace, apply_patch,
    args::parse_args,
    command::{self, Wait},
};
use crate::{
    patch,
    protocol::{Args, Content, Intent, ToolForm, ToolSpec},
    shell::Launch,
};

const WAIT: Wait = Wait { default: 10_000, least: 250, most: 30_000 };

/// Runs commands.
pub struct ExecCommand;

#[derive(Debug, Deserialize)]
struct Params {
    cmd: String,
    workdir: Option<PathBuf>,
    shell: Option<PathBuf>,
    login: Option<bool>,
    tty: Option<bool>,
    yield_time_ms: Option<f64>,
    max_output_tokens: Option<f64>,
    sandbox_permissions: Option<Permissions>,
    justification: Option<String>,
    prefix_rule: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Permissions {
    #[default]
    UseDefault,
    RequireEscalated,
}

impl Params {
    fn parse(args: &Args) -> Result<Self, ToolError> {
        let params: Self = parse_args(args)?;
        if params.justification().is_some() && !params.escalated() {
            let error = "`justification` is the question for leaving the sandbox. Set `sandbox_permissions` to \
                         `require_escalated` with it, or leave it out.";
            return Err(ToolError(error.into()));
        }
        Ok(params)
    }

    fn escalated(&self) -> bool {
        self.sandbox_permissions.unwrap_or_default() == Permissions::RequireEscalated
    }

    fn justification(&self) -> Option<&str> {
        self.justification.as_deref().filter(|text| !text.trim().is_empty())
    }

    fn workdir(&self, workspace: &Workspace) -> PathBuf {
        match &self.workdir {
            Some(workdir) if !workdir.as_os_str().is_empty() => workspace.absolute(workdir),
            _ => workspace.root.clone(),
        }
    }
}

#[async_trait::async_trait]
impl Tool for ExecCommand {
    fn spec(&self) -> ToolSpec {
        let description = include_str!("../../assets/tools/exec_command.md").trim_end().to_owned();
        ToolSpec {
            name: "exec_command".into(),
            description,
            form: ToolForm::Function { parameters: parameters() },
        }
    }

    fn intent(&self, args: &Args, workspace: &Workspace) -> Result<Intent, ToolError> {
        let params = Params::parse(args)?;
        let workdir = params.workdir(workspace);
        if let Some(patch) = typed_patch(&params.cmd, &workdir) {
            return patch.intent(workspace);
        }
        let escalated = params.escalated();
        Ok(Intent::Command {
            workdir,
            escalated,
            justification: params.justification().map(str::to_owned),
            prefix: params.prefix_rule.filter(|_| escalated).unwrap_or_default(),
            shell: params.shell,
            command: params.cmd,
        })
    }

    async fn run(&self, args: &Args, cx: ToolCx) -> Result<Output, ToolError> {
        let params = Params::parse(args)?;
        let workdir = params.workdir(&cx.workspace);
        if let Some(patch) = typed_patch(&params.cmd, &workdir) {
            return patch.run(cx).await;
        }
        let look = command::look(&cx, WAIT.of(params.yield_time_ms), params.max_output_tokens);
        let launch = Launch {
            outside: params.escalated(),
            command: params.cmd,
            workdir,
            shell: params.shell,
            login: params.login.unwrap_or(true),
            tty: params.tty.unwrap_or(false),
        };
        let seen = cx.shell.exec(launch, look).await;
        let seen = seen.map_err(|error| ToolError(format!("exec_command failed: {error}")))?;
        Ok(command::output(seen, &cx.call))
    }
}

/// The parameters, in the order in which models know them.
fn parameters() -> serde_json::Value {
    json!({
        "type": "object",
        "properties": {
            "cmd": {"type": "string", "description": "The command, as shell text."},
            "workdir": {"type": "string", "description": "Directory to run in; default is the workspace."},
            "shell": {"type": "string", "description": "bash, zsh, sh or dash; default is the user's shell."},
            "login": {
                "type": "boolean",
                "description": "With the environment of a login shell; default true.",
            },
            "tty": {
                "type": "boolean",
                "description": "With a terminal, which can be typed into; default false: pipes, no input.",
            },
            "yield_time_ms": {
                "type": "number",
                "description": "How long to wait for the end; default 10000, from 250 to 30000.",
            },
            "max_output_tokens": {
                "type": "number",
                "description": "The most output to return; default and limit 10000.",
            },
            "sandbox_permissions": {
                "type": "string",
                "enum": ["use_default", "require_escalated"],
                "description": "require_escalated asks to run the command outside the sandbox.",
            },
            "justification": {
                "type": "string",
                "description": "Only with require_escalated: the question to the user, in one short sentence.",
            },
            "prefix_rule": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Only with require_escalated: first words of the command, to be allowed from \
                                now on, such as [\"npm\", \"install\"].",
            },
        },
        "required": ["cmd"],
        "additionalProperties": false,
    })
}

/// A command that only is `apply_patch` typed into the shell: it becomes the tool of that name.
struct TypedPatch {
    patch: String,
    workdir: PathBuf,
}

fn typed_patch(command: &str, workdir: &Path) -> Option<TypedPatch> {
    let typed = patch::typed(command)?;
    let workdir = workdir.join(typed.workdir.unwrap_or_default());
    Some(TypedPatch { patch: typed.patch.into_owned(), workdir })
}

impl TypedPatch {
    fn intent(&self, workspace: &Workspace) -> Result<Intent, ToolError> {
        apply_patch::intent_for(&self.patch, &self.workdir, workspace)
    }

    async fn run(&self, cx: ToolCx) -> Result<Output, ToolError> {
        let begun = Instant::now();
        let mut output = apply_patch::run_for(&self.patch, &self.workdir, &cx).await?;
        let wall = begun.elapsed().as_secs_f64();
        for part in &mut output.content {
            if let Content::Text { text } = part {
                text.insert_str(0, &format!("Wall time: {wall:.4} seconds\nOutput:\n"));
            }
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent(args: &str) -> Result<Intent, String> {
        let workspace = Workspace { root: "/w".into(), writable: vec![], own: Vec::new() };
        ExecCommand.intent(&Args::Json(args.into()), &workspace).map_err(|error| error.0)
    }

    #[test]
    fn an_intent_is_the_command_to_the_byte_and_where_it_runs() {
        let plain = |workdir: &str| Intent::Command {
            command: " ls  ".into(),
            workdir: workdir.into(),
            escalated: false,
            justification: None,
            prefix: vec![],
            shell: None,
        };
        assert_eq!(intent(r#"{"cmd":" ls  "}"#), Ok(plain("/w")));
        assert_eq!(intent(r#"{"cmd":" ls  ","workdir":"src","tty":null}"#), Ok(plain("/w/src")));
        assert_eq!(intent(r#"{"cmd":" ls  ","workdir":"/else","justification":""}"#), Ok(plain("/else")));
        let escalated = r#"{"cmd":"npm i","sandbox_permissions":"require_escalated","justification":"May I?",
            "prefix_rule":["npm","i"]}"#;
        let expected = Intent::Command {
            command: "npm i".into(),
            workdir: "/w".into(),
            escalated: true,
            justification: Some("May I?".into()),
            prefix: vec!["npm".into(), "i".into()],
            shell: None,
        };
        assert_eq!(intent(escalated), Ok(expected));
    }

    #[test]
    fn wrong_arguments_get_the_words_that_models_know() {
        assert_eq!(
            intent(r#"{"workdir":"/tmp/a/b/c"}"#),
            Err("failed to parse function arguments: missing field `cmd` at line 1 column 24".into())
        );
        let unasked = intent(r#"{"cmd":"ls","justification":"May I?"}"#).unwrap_err();
        assert!(unasked.contains("`require_escalated`"), "{unasked}");
    }

    #[test]
    fn the_parameters_are_those_that_models_know_in_their_order() {
        let parameters = parameters();
        let names: Vec<&str> =
            parameters["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "cmd",
                "workdir",
                "shell",
                "login",
                "tty",
                "yield_time_ms",
                "max_output_tokens",
                "sandbox_permissions",
                "justification",
                "prefix_rule"
            ]
        );
        assert_eq!(
            (&parameters["required"], &parameters["additionalProperties"]),
            (&json!(["cmd"]), &json!(false))
        );
    }
}
