//! The tool `update_plan`: the model tells its plan, and people see how far it is. Changes nothing.

use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Args, Content, Intent, PlanStep, Shown, ToolForm, ToolSpec};

use super::{Output, Tool, ToolCx, ToolError, Workspace, args::parse_args};

/// Shows a plan.
#[derive(Debug, Clone, Copy)]
pub struct UpdatePlan;

#[derive(Debug, Deserialize)]
struct Plan {
    #[serde(default)]
    explanation: Option<String>,
    plan: Vec<PlanStep>,
}

#[async_trait::async_trait]
impl Tool for UpdatePlan {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "update_plan".to_owned(),
            description: include_str!("../../assets/tools/update_plan.md").trim_end().to_owned(),
            form: ToolForm::Function {
                parameters: json!({
                    "type": "object",
                    "required": ["plan"],
                    "properties": {
                        "explanation": {
                            "type": "string",
                            "description": "Why the plan changes, in a sentence.",
                        },
                        "plan": {
                            "type": "array",
                            "description": "All steps, in order.",
                            "items": {
                                "type": "object",
                                "required": ["step", "status"],
                                "properties": {
                                    "step": { "type": "string", "description": "What is done, in a few words." },
                                    "status": { "type": "string", "enum": ["pending", "in_progress", "completed"] },
                                },
                                "additionalProperties": false,
                            },
                        },
                    },
                    "additionalProperties": false,
                }),
            },
        }
    }

    fn intent(&self, args: &Args, _workspace: &Workspace) -> Result<Intent, ToolError> {
        parse_args::<Plan>(args).map(|_| Intent::None)
    }

    async fn run(&self, args: &Args, _cx: ToolCx) -> Result<Output, ToolError> {
        let Plan { explanation, plan } = parse_args(args)?;
        Ok(Output {
            content: vec![Content::text("Plan updated")],
            shown: Shown::Plan {
                explanation: explanation.filter(|text| !text.trim().is_empty()),
                steps: plan,
            },
            blobs: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::StepStatus, tools::testing};

    fn json(text: &str) -> Args {
        Args::Json(text.to_owned())
    }

    #[tokio::test]
    async fn a_plan_is_shown_as_it_stands() {
        let args = json(
            r#"{"explanation":"Found it","plan":[{"step":"look","status":"completed"},{"step":"mend","status":"in_progress"}]}"#,
        );
        let dir = tempfile::tempdir().unwrap();
        let output = UpdatePlan.run(&args, testing::context(dir.path())).await.unwrap();
        assert_eq!(output.content, [Content::text("Plan updated")]);
        let step = |step: &str, status| PlanStep { step: step.to_owned(), status };
        assert_eq!(
            output.shown,
            Shown::Plan {
                explanation: Some("Found it".to_owned()),
                steps: vec![step("look", StepStatus::Completed), step("mend", StepStatus::InProgress)],
            }
        );
    }

    #[test]
    fn an_unknown_status_is_told_with_the_known_ones() {
        let workspace = testing::workspace("/w".as_ref());
        let args = json(r#"{"plan":[{"step":"look","status":"done"}]}"#);
        let error = UpdatePlan.intent(&args, &workspace).unwrap_err();
        assert!(error.0.contains("unknown variant `done`, expected one of `pending`"), "{error}");
        let error = UpdatePlan.intent(&json("{}"), &workspace).unwrap_err();
        assert_eq!(error.0, "failed to parse function arguments: missing field `plan` at line 1 column 2");
        assert_eq!(UpdatePlan.intent(&json(r#"{"plan":[]}"#), &workspace), Ok(Intent::None));
    }
}
