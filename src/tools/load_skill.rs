//! The tool `load_skill`: brings the text of a skill into the conversation. Changes nothing.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Args, Content, Intent, Shown, ToolForm, ToolSpec};

use super::{Output, Tool, ToolCx, ToolError, Workspace, args::parse_args};

/// Where skills come from.
pub trait Skills: Send + Sync {
    /// The skill of this name, as it is now. Blocks.
    ///
    /// # Errors
    /// A sentence that helps the model, such as with names that there are.
    fn load(&self, name: &str) -> Result<Text, String>;
}

/// A skill as the model is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub name: String,
    /// The hash of what it says.
    pub hash: String,
    /// Its folder, as commands see it.
    pub place: String,
    /// All that the model is told.
    pub text: String,
    /// Calls that it says it needs.
    pub allowed: Vec<String>,
}

/// Loads a skill.
#[derive(Clone)]
pub struct LoadSkill {
    pub skills: Arc<dyn Skills>,
}

#[derive(Debug, Deserialize)]
struct Wish {
    name: String,
}

#[async_trait::async_trait]
impl Tool for LoadSkill {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "load_skill".to_owned(),
            description: include_str!("../../assets/tools/load_skill.md").trim_end().to_owned(),
            form: ToolForm::Function {
                parameters: json!({
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {
                            "type": "string",
                            "description": "The name of the skill, as it is listed; NAME@VERSION for another version than the default one.",
                        },
                    },
                    "additionalProperties": false,
                }),
            },
        }
    }

    fn intent(&self, args: &Args, _workspace: &Workspace) -> Result<Intent, ToolError> {
        let wish: Wish = parse_args(args)?;
        if wish.name.trim().is_empty() {
            return Err(ToolError("load_skill takes the name of a skill".to_owned()));
        }
        Ok(Intent::None)
    }

    async fn run(&self, args: &Args, _cx: ToolCx) -> Result<Output, ToolError> {
        let wish: Wish = parse_args(args)?;
        let skills = Arc::clone(&self.skills);
        let loading =
            tokio::task::spawn_blocking(move || skills.load(wish.name.trim().trim_start_matches('$')));
        let Text { name, place, text, .. } = loading
            .await
            .map_err(|_| ToolError("loading it crashed; this is a bug of the agent".to_owned()))?
            .map_err(ToolError)?;
        let shown = Shown::Skill { name, place: place.into() };
        Ok(Output { content: vec![Content::text(text)], shown, blobs: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testing;

    struct One;

    impl Skills for One {
        fn load(&self, name: &str) -> Result<Text, String> {
            let of = |name: &str| Text {
                name: name.to_owned(),
                hash: "1".into(),
                place: "/p".into(),
                text: format!("how to {name}"),
                allowed: Vec::new(),
            };
            if name == "pdf" {
                Ok(of(name))
            } else {
                Err(format!("there is no skill `{name}`; there are: pdf"))
            }
        }
    }

    #[tokio::test]
    async fn a_skill_is_loaded_by_its_name_and_a_wrong_one_teaches() {
        let dir = tempfile::tempdir().unwrap();
        let tool = LoadSkill { skills: Arc::new(One) };
        for (args, expected) in [
            (r#"{"name":"pdf"}"#, Ok("how to pdf")),
            (r#"{"name":" $pdf "}"#, Ok("how to pdf")),
            (r#"{"name":"csv"}"#, Err("there is no skill `csv`; there are: pdf")),
        ] {
            let args = Args::Json(args.into());
            let cx = testing::context(dir.path());
            assert_eq!(tool.intent(&args, &cx.workspace), Ok(Intent::None));
            let said = tool.run(&args, cx).await;
            match expected {
                Ok(text) => {
                    let output = said.unwrap();
                    assert_eq!(output.content, [Content::text(text)]);
                    assert_eq!(output.shown, Shown::Skill { name: "pdf".into(), place: "/p".into() });
                }
                Err(text) => assert_eq!(said.unwrap_err().0, text),
            }
        }
        let cx = testing::context(dir.path());
        assert!(tool.intent(&Args::Json(r#"{"name":" "}"#.into()), &cx.workspace).is_err());
    }
}
