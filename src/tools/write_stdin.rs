//! The tool `write_stdin`: type into a running session, or only look at it.

use serde::Deserialize;
use serde_json::json;

use super::{
    Output, Tool, ToolCx, ToolError, Workspace,
    args::parse_args,
    command::{self, Wait},
};
use crate::protocol::{Args, Intent, ProcessId, ToolForm, ToolSpec};

const WAIT_AFTER_TYPING: Wait = Wait { default: 250, least: 250, most: 30_000 };
const WAIT_FOR_OUTPUT: Wait = Wait { default: 5_000, least: 5_000, most: 300_000 };

/// Types into running sessions.
pub struct WriteStdin;

#[derive(Debug, Deserialize)]
struct Params {
    session_id: u32,
    chars: Option<String>,
    yield_time_ms: Option<f64>,
    max_output_tokens: Option<f64>,
}

#[async_trait::async_trait]
impl Tool for WriteStdin {
    fn spec(&self) -> ToolSpec {
        let description = include_str!("../../assets/tools/write_stdin.md").trim_end().to_owned();
        ToolSpec {
            name: "write_stdin".into(),
            description,
            form: ToolForm::Function { parameters: parameters() },
        }
    }

    fn intent(&self, args: &Args, _workspace: &Workspace) -> Result<Intent, ToolError> {
        let params: Params = parse_args(args)?;
        Ok(Intent::Input { process: ProcessId(params.session_id), text: params.chars.unwrap_or_default() })
    }

    async fn run(&self, args: &Args, cx: ToolCx) -> Result<Output, ToolError> {
        let params: Params = parse_args(args)?;
        let chars = params.chars.unwrap_or_default();
        let wait = if chars.is_empty() { WAIT_FOR_OUTPUT } else { WAIT_AFTER_TYPING };
        let look = command::look(&cx, wait.of(params.yield_time_ms), params.max_output_tokens);
        let seen = cx.shell.write(ProcessId(params.session_id), &chars, look).await;
        let seen = seen.map_err(|error| ToolError(format!("write_stdin failed: {error}")))?;
        Ok(command::output(seen, &cx.call))
    }
}

/// The parameters, in the order in which models know them.
fn parameters() -> serde_json::Value {
    json!({
        "type": "object",
        "properties": {
            "session_id": {"type": "number", "description": "The session ID that exec_command gave."},
            "chars": {"type": "string", "description": "What to type; empty, the default, only looks."},
            "yield_time_ms": {
                "type": "number",
                "description": "How long to wait for output: after typing 250 (the default) to 30000, else \
                                5000 (the default) to 300000.",
            },
            "max_output_tokens": {
                "type": "number",
                "description": "The most output to return; default and limit 10000.",
            },
        },
        "required": ["session_id"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_names_the_process_and_what_is_typed() {
        let workspace = Workspace { root: "/w".into(), writable: vec![], own: Vec::new() };
        let intent = |args: &str| WriteStdin.intent(&Args::Json(args.into()), &workspace);
        let typed = Intent::Input { process: ProcessId(12_345), text: "y\n\u{3}".into() };
        assert_eq!(intent(r#"{"session_id":12345,"chars":"y\n\u0003"}"#), Ok(typed));
        let looked = Intent::Input { process: ProcessId(12_345), text: String::new() };
        assert_eq!(intent(r#"{"session_id":12345}"#), Ok(looked));
        let error = intent("{}").unwrap_err().0;
        assert_eq!(
            error,
            "failed to parse function arguments: missing field `session_id` at line 1 column 2"
        );
    }
}
