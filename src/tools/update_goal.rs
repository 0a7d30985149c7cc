//! The tool `update_goal`: the model says that the goal is met, or what blocks it. Changes nothing itself.

use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Args, Claim, Content, Intent, Shown, ToolForm, ToolSpec};

use super::{Offered, Output, Tool, ToolCx, ToolError, Workspace, args::parse_args};

/// Says how the goal stands.
#[derive(Debug, Clone, Copy)]
pub struct UpdateGoal;

#[derive(Debug, Deserialize)]
struct Params {
    status: Status,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Complete,
    Blocked,
}

impl Params {
    fn parse(args: &Args) -> Result<Self, ToolError> {
        let params: Self = parse_args(args)?;
        if params.status == Status::Blocked && params.reason.trim().is_empty() {
            return Err(ToolError("`reason` has to say what blocks you".to_owned()));
        }
        Ok(params)
    }
}

#[async_trait::async_trait]
impl Tool for UpdateGoal {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "update_goal".to_owned(),
            description: include_str!("../../assets/tools/update_goal.md").trim_end().to_owned(),
            form: ToolForm::Function {
                parameters: json!({
                    "type": "object",
                    "required": ["status"],
                    "properties": {
                        "status": { "type": "string", "enum": ["complete", "blocked"] },
                        "reason": {
                            "type": "string",
                            "description": "How it was seen to be done, or what blocks you, in a sentence.",
                        },
                    },
                    "additionalProperties": false,
                }),
            },
        }
    }

    fn offered(&self) -> Offered {
        Offered::Goal
    }

    fn intent(&self, args: &Args, _workspace: &Workspace) -> Result<Intent, ToolError> {
        Params::parse(args).map(|_| Intent::None)
    }

    async fn run(&self, args: &Args, _cx: ToolCx) -> Result<Output, ToolError> {
        let Params { status, reason } = Params::parse(args)?;
        let (claim, text) = match status {
            Status::Complete => (Claim::Complete, "Noted. End your turn now."),
            Status::Blocked => (Claim::Blocked, "Noted. End your turn now, and say what you need."),
        };
        let shown = Shown::Goal { claim, note: reason.trim().to_owned() };
        Ok(Output { content: vec![Content::text(text)], shown, blobs: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testing;

    fn json(text: &str) -> Args {
        Args::Json(text.to_owned())
    }

    #[tokio::test]
    async fn the_model_says_how_the_goal_stands() {
        let dir = tempfile::tempdir().unwrap();
        for (args, claim, note) in [
            (r#"{"status":"complete"}"#, Claim::Complete, ""),
            (r#"{"status":"blocked","reason":" no key "}"#, Claim::Blocked, "no key"),
        ] {
            let output = UpdateGoal.run(&json(args), testing::context(dir.path())).await.unwrap();
            assert_eq!(output.shown, Shown::Goal { claim, note: note.to_owned() });
        }
        let workspace = testing::workspace("/w".as_ref());
        let wrong = |args| UpdateGoal.intent(&json(args), &workspace).unwrap_err().0;
        assert!(wrong(r#"{"status":"done"}"#).contains("expected `complete` or `blocked`"));
        assert_eq!(wrong(r#"{"status":"blocked"}"#), "`reason` has to say what blocks you");
    }
}
