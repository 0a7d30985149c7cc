//! `hosted_mcp`: an MCP server that the provider calls asks whether it may do something.
//!
//! The provider made the call, and waits for the answer; here nothing is done but to let a person decide. The model is
//! not offered it.

use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Args, Content, Intent, MCP_APPROVAL, MCP_APPROVED, Shown, ToolForm, ToolSpec};

use super::{Offered, Output, Tool, ToolCx, ToolError, Workspace, args::parse_args};

/// Says yes, once it was allowed.
#[derive(Debug, Clone, Copy)]
pub struct HostedMcp;

#[derive(Deserialize)]
struct Question {
    server: String,
    tool: String,
    #[serde(default)]
    arguments: String,
}

#[async_trait::async_trait]
impl Tool for HostedMcp {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: MCP_APPROVAL.to_owned(),
            description: "Asks whether an MCP server that the provider calls may do something.".to_owned(),
            form: ToolForm::Function { parameters: json!({"type": "object"}) },
        }
    }

    fn offered(&self) -> Offered {
        Offered::Never
    }

    fn intent(&self, args: &Args, _workspace: &Workspace) -> Result<Intent, ToolError> {
        let Question { server, tool, arguments } = parse_args(args)?;
        Ok(Intent::Hosted { tools: vec![format!("{tool} of the MCP server {server}, with {arguments}")] })
    }

    async fn run(&self, args: &Args, _cx: ToolCx) -> Result<Output, ToolError> {
        let Question { server, tool, .. } = parse_args(args)?;
        let shown = Shown::text(format!("{tool} of {server} may be called"));
        Ok(Output { content: vec![Content::text(MCP_APPROVED)], shown, blobs: Vec::new() })
    }
}
