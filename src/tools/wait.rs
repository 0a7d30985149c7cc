//! The tool `wait`: for several running sessions at once.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::json;

use super::{
    Output, Tool, ToolCx, ToolError, Workspace,
    args::parse_args,
    command::{self, Wait},
};
use crate::{
    protocol::{Args, Content, Intent, ProcessId, Shown, ToolForm, ToolSpec},
    shell::{Look, Pattern, Seen, State, Until},
};

const WAIT: Wait = Wait { default: 60_000, least: 250, most: 600_000 };

/// Waits for running sessions.
pub struct WaitForSessions;

#[derive(Debug, Deserialize)]
struct Params {
    session_ids: Option<Vec<u32>>,
    until: Option<Event>,
    pattern: Option<String>,
    yield_time_ms: Option<f64>,
    max_output_tokens: Option<f64>,
}

/// What ends the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    ExitAny,
    ExitAll,
    Output,
}

impl Params {
    fn parse(args: &Args) -> Result<Self, ToolError> {
        parse_args(args)
    }

    fn until(&self) -> Result<Until, ToolError> {
        match (self.pattern.as_deref().filter(|pattern| !pattern.is_empty()), self.until) {
            (Some(pattern), _) => Pattern::new(pattern).map(Until::Match).map_err(|error| {
                ToolError(format!("wait failed: `pattern` is no regular expression: {error}"))
            }),
            (None, Some(Event::Output)) => Ok(Until::Output),
            (None, Some(Event::ExitAny | Event::ExitAll) | None) => Ok(Until::End),
        }
    }

    /// The sessions that are waited for: those that run, if none is named.
    fn sessions(&self, cx: &ToolCx) -> Result<Vec<ProcessId>, ToolError> {
        let mut ids: Vec<ProcessId> = match &self.session_ids {
            Some(ids) if !ids.is_empty() => ids.iter().copied().map(ProcessId).collect(),
            _ => cx.shell.list().iter().map(|listed| listed.process).collect(),
        };
        let mut known = std::collections::HashSet::new();
        ids.retain(|id| known.insert(*id));
        if ids.is_empty() {
            return Err(ToolError("wait failed: no session is running".to_owned()));
        }
        Ok(ids)
    }
}

#[async_trait::async_trait]
impl Tool for WaitForSessions {
    fn spec(&self) -> ToolSpec {
        let description = include_str!("../../assets/tools/wait.md").trim_end().to_owned();
        ToolSpec { name: "wait".into(), description, form: ToolForm::Function { parameters: parameters() } }
    }

    fn intent(&self, args: &Args, _workspace: &Workspace) -> Result<Intent, ToolError> {
        Params::parse(args)?.until()?;
        // The sessions were allowed when they began, and nothing is typed into them.
        Ok(Intent::None)
    }

    async fn run(&self, args: &Args, cx: ToolCx) -> Result<Output, ToolError> {
        let params = Params::parse(args)?;
        let sessions = params.sessions(&cx)?;
        let look = command::look(&cx, WAIT.of(params.yield_time_ms), params.max_output_tokens);
        let mut look = Look { until: params.until()?, ..look };
        if sessions.len() > 1 {
            // Live, nobody could tell whose output is whose.
            look.sink = std::sync::Arc::new(|_| {});
        }
        let all = params.until == Some(Event::ExitAll);
        let seen = cx.shell.wait(&sessions, all, look).await;
        let seen = seen.map_err(|error| ToolError(format!("wait failed: {error}")))?;
        Ok(output(&seen, &cx))
    }
}

fn output(seen: &[(ProcessId, Seen)], cx: &ToolCx) -> Output {
    let wall = seen.iter().map(|(_, seen)| seen.wall).max().unwrap_or_default();
    let mut text = command::opening(&cx.call, wall);
    // Writing to a string can't fail.
    let _ = writeln!(text, "Wait ended: {}", reason(seen));
    for (id, seen) in seen {
        let command = seen.command.trim().lines().next().unwrap_or_default();
        let command: String = command.chars().take(80).collect();
        let _ = write!(text, "\nSession ID {id} (`{command}`)\n{}", command::account(seen));
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Output { content: vec![Content::text(text.clone())], shown: Shown::text(text), blobs: Vec::new() }
}

/// Why the wait is over.
fn reason(seen: &[(ProcessId, Seen)]) -> String {
    let ids = |holds: &dyn Fn(&Seen) -> bool| -> Vec<String> {
        seen.iter().filter(|(_, seen)| holds(seen)).map(|(id, _)| id.to_string()).collect()
    };
    let ended = ids(&|seen| !matches!(seen.state, State::Running(_)));
    let met = ids(&|seen| seen.met);
    let waiting = ids(&|seen| seen.waiting.is_some());
    let mut reasons = Vec::new();
    for (ids, what) in
        [(met, "what was waited for came from"), (ended, "ended:"), (waiting, "waits for input:")]
    {
        if !ids.is_empty() {
            reasons.push(format!("{what} session ID {}", ids.join(", ")));
        }
    }
    if reasons.is_empty() { "nothing of it happened in this time".to_owned() } else { reasons.join("; ") }
}

/// The parameters, named as those of the tools beside it.
fn parameters() -> serde_json::Value {
    json!({
        "type": "object",
        "properties": {
            "session_ids": {
                "type": "array",
                "items": {"type": "number"},
                "description": "The session IDs that exec_command gave; default is all that run.",
            },
            "until": {
                "type": "string",
                "enum": ["exit_any", "exit_all", "output"],
                "description": "What ends the wait; default exit_any.",
            },
            "pattern": {
                "type": "string",
                "description": "Regular expression: a line of new output that fits ends the wait.",
            },
            "yield_time_ms": {
                "type": "number",
                "description": "The time limit; default 60000, from 250 to 600000.",
            },
            "max_output_tokens": {
                "type": "number",
                "description": "The most output to return, of all sessions together; default and limit 10000.",
            },
        },
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_does_nothing_to_the_world_and_patterns_are_checked_beforehand() {
        let workspace = Workspace { root: "/w".into(), writable: vec![], own: Vec::new() };
        let intent = |args: &str| WaitForSessions.intent(&Args::Json(args.into()), &workspace);
        for args in ["{}", r#"{"session_ids":[1],"until":"exit_all"}"#, r#"{"pattern":"done$"}"#] {
            assert_eq!(intent(args), Ok(Intent::None), "{args}");
        }
        let error = intent(r#"{"pattern":"(done"}"#).unwrap_err().0;
        assert!(error.starts_with("wait failed: `pattern` is no regular expression"), "{error}");
        let error = intent(r#"{"until":"forever"}"#).unwrap_err().0;
        assert!(error.contains("expected one of `exit_any`, `exit_all`, `output`"), "{error}");
    }
}
