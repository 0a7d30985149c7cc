//! The tool `recall`: looks up in the session's own log what is not in the conversation any more. Changes nothing.
//!
//! It is offered from the first compaction on: before that everything is there.

use std::{io, sync::Arc};

use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Args, BlobId, Content, Intent, Item, Shown, ToolForm, ToolSpec, words};

use super::{Offered, Output, Tool, ToolCx, ToolError, Workspace, args::parse_args};

/// Tokens of a result, where the model says nothing else.
const USUAL: u64 = 4_000;
/// Bytes to a token.
const BYTES: u64 = 4;
/// Places that a search shows.
const FOUND: usize = 20;
/// Characters of each.
const LINE: usize = 240;
/// A larger output is not read whole.
const LARGEST: u64 = 32 << 20;

/// What a session has kept of itself.
pub trait Past: Send + Sync {
    /// Shows all items that there ever were, the oldest first.
    ///
    /// # Errors
    /// When the log can't be read.
    fn items(&self, visit: &mut dyn FnMut(&Item)) -> io::Result<()>;

    /// Content that the log names.
    ///
    /// # Errors
    /// When it can't be read.
    fn blob(&self, blob: &BlobId) -> io::Result<Vec<u8>>;
}

/// Looks things up.
#[derive(Debug, Clone, Copy)]
pub struct Recall;

#[derive(Debug, Deserialize)]
struct Wish {
    #[serde(default)]
    call: Option<String>,
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    from_line: Option<usize>,
    #[serde(default)]
    max_output_tokens: Option<u64>,
}

#[async_trait::async_trait]
impl Tool for Recall {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "recall".to_owned(),
            description: include_str!("../../assets/tools/recall.md").trim_end().to_owned(),
            form: ToolForm::Function {
                parameters: json!({
                    "type": "object",
                    "properties": {
                        "call": {
                            "type": "string",
                            "description": "The id of a call: its arguments and its whole result come back.",
                        },
                        "query": {
                            "type": "string",
                            "description": "Words to look for, in any case: messages, commands and results that hold them are listed, the last first.",
                        },
                        "from_line": { "type": "integer", "description": "Line of the result to begin with; 1 if not said." },
                        "max_output_tokens": { "type": "integer", "description": "How much to bring back; 4000 if not said." },
                    },
                    "additionalProperties": false,
                }),
            },
        }
    }

    fn offered(&self) -> Offered {
        Offered::Compacted
    }

    fn intent(&self, args: &Args, _workspace: &Workspace) -> Result<Intent, ToolError> {
        let wish: Wish = parse_args(args)?;
        match (&wish.call, &wish.query) {
            (Some(_), None) => Ok(Intent::None),
            (None, Some(query)) if !query.trim().is_empty() => Ok(Intent::None),
            _ => Err(ToolError(
                "recall takes either `call`, the id of a call, or `query`, words to look for".to_owned(),
            )),
        }
    }

    async fn run(&self, args: &Args, cx: ToolCx) -> Result<Output, ToolError> {
        let wish: Wish = parse_args(args)?;
        let most = wish.max_output_tokens.unwrap_or(USUAL).min(cx.output_limit);
        let most = usize::try_from(most.saturating_mul(BYTES)).unwrap_or(usize::MAX).max(200);
        let past = Arc::clone(&cx.past);
        let looking = tokio::task::spawn_blocking(move || match (&wish.call, &wish.query) {
            (Some(call), _) => by_call(&*past, call, wish.from_line.unwrap_or(1).max(1), most),
            (None, query) => by_words(&*past, query.as_deref().unwrap_or_default(), most),
        });
        let text = looking
            .await
            .map_err(|_| ToolError("looking it up crashed; this is a bug of the agent".to_owned()))??;
        let shown = text.lines().next().unwrap_or_default().to_owned();
        Ok(Output { content: vec![Content::text(text)], shown: Shown::text(shown), blobs: Vec::new() })
    }
}

fn unread(error: &io::Error) -> ToolError {
    ToolError(format!("the session's log can't be read: {error}"))
}

fn by_call(past: &dyn Past, id: &str, from: usize, most: usize) -> Result<String, ToolError> {
    let (mut asked, mut result) = (None, None);
    past.items(&mut |item| match item {
        Item::ToolCall { call, tool, args, .. } if call.as_str() == id => {
            asked = Some(format!("{tool} {}", start(args.as_str(), LINE * 4)));
        }
        Item::ToolResult { call, content, shown } if call.as_str() == id => {
            let whole = match shown {
                Shown::Command { output, .. } if output.bytes <= LARGEST => output.blob.clone(),
                _ => None,
            };
            result = Some((words(content), whole));
        }
        _ => {}
    })
    .map_err(|error| unread(&error))?;
    let Some((text, whole)) = result else {
        return Err(ToolError(format!(
            "there is no result of a call `{id}` in this session; search with `query`"
        )));
    };
    // All of an output, where what the model was shown of it was only a part.
    let all = whole.and_then(|blob| past.blob(&blob).ok());
    let text = all.map_or(text, |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let lines = text.lines().count();
    let mut shown = String::new();
    let mut next = from;
    for line in text.split_inclusive('\n').skip(from - 1) {
        if shown.len() + line.len() > most {
            if shown.is_empty() {
                shown = start(line, most);
                next += 1;
            }
            break;
        }
        shown += line;
        next += 1;
    }
    let until = next.saturating_sub(1);
    let mut said = format!(
        "Call {id}: {}\nLines {from} to {until} of {lines} of its result:\n{shown}",
        asked.unwrap_or_default()
    );
    if until < lines {
        said += &format!("\n[from_line {next} brings the rest]");
    }
    Ok(said)
}

fn by_words(past: &dyn Past, query: &str, most: usize) -> Result<String, ToolError> {
    let wanted = query.trim().to_lowercase();
    let mut found: std::collections::VecDeque<String> = std::collections::VecDeque::new();
    let mut count = 0usize;
    past.items(&mut |item| {
        let (what, text) = match item {
            Item::User { content, .. } => ("a message of the user".to_owned(), words(content)),
            Item::Assistant { text, .. } => ("your answer".to_owned(), text.clone()),
            // What it looked for is no find.
            Item::ToolCall { tool, .. } if tool == "recall" => return,
            Item::ToolCall { call, tool, args, .. } => {
                (format!("call {call}, {tool}"), args.as_str().to_owned())
            }
            Item::ToolResult { call, content, .. } => (format!("result of call {call}"), words(content)),
            Item::Context { .. }
            | Item::Reasoning { .. }
            | Item::Sources { .. }
            | Item::Sealed { .. }
            | Item::Unknown(_) => return,
        };
        let Some((number, line)) =
            text.lines().enumerate().find(|(_, line)| line.to_lowercase().contains(&wanted))
        else {
            return;
        };
        count += 1;
        found.push_front(format!("- {what}, line {}: {}", number + 1, around(line, &wanted)));
        found.truncate(FOUND);
    })
    .map_err(|error| unread(&error))?;
    if found.is_empty() {
        return Err(ToolError(format!("nothing in this session holds `{}`", start(query, LINE))));
    }
    let mut text = format!("{count} places hold `{}`, the last first:", start(query, LINE));
    for line in found {
        if text.len() + line.len() > most {
            break;
        }
        text += "\n";
        text += &line;
    }
    Ok(text)
}

/// The part of a line where the words are.
fn around(line: &str, wanted: &str) -> String {
    let at = line.to_lowercase().find(wanted).unwrap_or(0).min(line.len());
    let from = at.saturating_sub(LINE / 4);
    start((from..=line.len()).find_map(|at| line.get(at..)).unwrap_or_default().trim(), LINE)
}

/// At most so many bytes of the beginning of a text.
fn start(text: &str, bytes: usize) -> String {
    let cut = (0..=bytes.min(text.len())).rev().find_map(|at| text.get(..at)).unwrap_or_default();
    if cut.len() < text.len() { format!("{cut}…") } else { cut.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testing;

    struct Said(Vec<Item>);

    impl Past for Said {
        fn items(&self, visit: &mut dyn FnMut(&Item)) -> io::Result<()> {
            self.0.iter().for_each(visit);
            Ok(())
        }

        fn blob(&self, _: &BlobId) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn past() -> Said {
        let lines: String = (1..=1000).map(|line| format!("line {line}\n")).collect();
        let call = |id: &str, args: &str| Item::ToolCall {
            call: id.into(),
            id: None,
            tool: "exec_command".into(),
            args: Args::Json(args.into()),
        };
        let result = |id: &str, text: String| Item::ToolResult {
            call: id.into(),
            content: vec![Content::text(text)],
            shown: Shown::text(""),
        };
        Said(vec![
            Item::user("Mend the Parser"),
            call("one", "seq 1000"),
            result("one", lines),
            call("two", "cat parser.rs"),
            result("two", "fn parse() {}".into()),
        ])
    }

    async fn recall(args: serde_json::Value) -> Result<String, ToolError> {
        let dir = tempfile::tempdir().unwrap();
        let args = Args::Json(args.to_string());
        Recall.intent(&args, &testing::workspace(dir.path()))?;
        let cx = ToolCx { past: Arc::new(past()), ..testing::context(dir.path()) };
        Recall.run(&args, cx).await.map(|output| words(&output.content))
    }

    #[tokio::test]
    async fn a_result_comes_back_line_for_line_and_in_parts() {
        let all = recall(json!({"call": "one"})).await.unwrap();
        assert!(all.starts_with("Call one: exec_command seq 1000\nLines 1 to 1000 of 1000"), "{all}");
        assert!(all.ends_with("line 1000\n"), "{all}");
        let part = recall(json!({"call": "one", "from_line": 500, "max_output_tokens": 50})).await.unwrap();
        assert!(part.contains("Lines 500 to 521 of 1000 of its result:\nline 500\n"), "{part}");
        assert!(part.ends_with("[from_line 522 brings the rest]"), "{part}");
        let error = recall(json!({"call": "three"})).await.unwrap_err();
        assert!(error.0.contains("no result of a call `three`"), "{error}");
    }

    #[tokio::test]
    async fn words_are_found_wherever_they_were_said_the_last_first() {
        let found = recall(json!({"query": "parse"})).await.unwrap();
        let expected = "3 places hold `parse`, the last first:\n\
                        - result of call two, line 1: fn parse() {}\n\
                        - call two, exec_command, line 1: cat parser.rs\n\
                        - a message of the user, line 1: Mend the Parser";
        assert_eq!(found, expected);
        assert!(recall(json!({"query": "nowhere"})).await.is_err());
        for nonsense in [json!({}), json!({"query": " "}), json!({"query": "x", "call": "one"})] {
            assert!(recall(nonsense).await.unwrap_err().0.contains("either `call`"));
        }
    }
}
