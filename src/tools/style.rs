//! The same tools under other names and in other forms, for models that know them so.
//!
//! What a style offers is data (`assets/tools/styles.json`); a call of one of its tools becomes a call of `exec_command` or
//! a patch, and from there on is nothing else: the same intent, the same permissions, the same result.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Output, Tool, ToolCx, ToolError, Workspace, apply_patch, args::parse_args, exec_command::ExecCommand,
};
use crate::{
    patch::edit,
    protocol::{Args, Intent, ToolForm, ToolSpec, ToolStyle, quoted},
};

/// Lines of a file that are shown unless the model says which.
const LINES: usize = 400;

/// A tool of a style.
#[derive(Debug, Clone, Deserialize)]
pub struct Styled {
    name: String,
    maps: Maps,
    description: String,
    parameters: Value,
}

/// What a call is a call of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Maps {
    Shell,
    Read,
    List,
    Search,
    Replace,
    Write,
    /// Any of those that are about a file, by the argument `command`.
    Editor,
}

#[derive(Deserialize)]
struct Styles {
    claude: Vec<Styled>,
    plain: Vec<Styled>,
}

/// What a call becomes.
#[derive(Debug, PartialEq)]
enum Mapped {
    /// Arguments of `exec_command`.
    Command(Args),
    Patch(String),
}

/// The arguments of all tools of all styles: each reads what belongs to it.
#[derive(Debug, Deserialize)]
struct Given {
    command: Option<String>,
    path: Option<String>,
    workdir: Option<String>,
    #[serde(alias = "timeout_ms")]
    timeout: Option<f64>,
    #[serde(default)]
    restart: bool,
    sandbox_permissions: Option<Value>,
    justification: Option<Value>,
    first_line: Option<i64>,
    last_line: Option<i64>,
    view_range: Option<Vec<i64>>,
    depth: Option<u32>,
    pattern: Option<String>,
    #[serde(alias = "old_text")]
    old_str: Option<String>,
    #[serde(alias = "new_text")]
    new_str: Option<String>,
    #[serde(alias = "content")]
    file_text: Option<String>,
    insert_line: Option<usize>,
    insert_text: Option<String>,
}

/// The tools of a style that stand in the place of others. None: of `codex`, which has the others themselves.
#[must_use]
pub fn tools(style: ToolStyle) -> Vec<Styled> {
    let file = include_str!("../../assets/tools/styles.json");
    let styles: Styles = serde_json::from_str(file).expect("a test reads the file that ships");
    match style {
        ToolStyle::Codex => Vec::new(),
        ToolStyle::Claude => styles.claude,
        ToolStyle::Plain => styles.plain,
    }
}

impl Styled {
    fn mapped(&self, args: &Args, workspace: &Workspace) -> Result<Mapped, ToolError> {
        let given: Given = parse_args(args)?;
        let maps = match (self.maps, given.command.as_deref()) {
            (Maps::Editor, Some("view")) => Maps::Read,
            (Maps::Editor, Some("create")) => Maps::Write,
            (Maps::Editor, Some("str_replace")) => Maps::Replace,
            (Maps::Editor, Some("insert")) => return given.insert(workspace),
            (Maps::Editor, other) => {
                let other = other.unwrap_or("nothing");
                return Err(ToolError(format!(
                    "`command` is view, create, str_replace or insert, and not {other}"
                )));
            }
            (maps, _) => maps,
        };
        match maps {
            Maps::Shell => given.shell(),
            Maps::Read => given.read(workspace),
            Maps::List => Ok(given.list()),
            Maps::Search => given.search(),
            Maps::Replace => given.replace(workspace),
            Maps::Write | Maps::Editor => given.write(),
        }
    }
}

impl Given {
    fn path(&self) -> Result<&str, ToolError> {
        let path = wanted(self.path.as_deref(), "path")?;
        match path.contains(['\n', '\r']) {
            true => Err(ToolError("a `path` has no line break".to_owned())),
            false => Ok(path),
        }
    }

    fn shell(&self) -> Result<Mapped, ToolError> {
        let command = match (&self.command, self.restart) {
            (None, true) => "true",
            (command, _) => wanted(command.as_deref(), "command")?,
        };
        let mut args = json!({ "cmd": command });
        let more = [
            ("workdir", self.workdir.as_ref().map(|workdir| json!(workdir))),
            ("yield_time_ms", self.timeout.map(|timeout| json!(timeout))),
            ("sandbox_permissions", self.sandbox_permissions.clone()),
            ("justification", self.justification.clone()),
        ];
        for (name, value) in more {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                args[name] = value;
            }
        }
        Ok(Mapped::Command(Args::Json(args.to_string())))
    }

    fn read(&self, workspace: &Workspace) -> Result<Mapped, ToolError> {
        let path = self.path()?;
        if workspace.absolute(path).is_dir() {
            return Ok(command(&format!("ls -la -- {}", quoted(path))));
        }
        let range = self.view_range.as_deref().unwrap_or_default();
        let line = |given: Option<i64>, at: usize| given.or_else(|| range.get(at).copied());
        let first = usize::try_from(line(self.first_line, 0).unwrap_or(1)).unwrap_or(1).max(1);
        let last = match line(self.last_line, 1) {
            Some(last) if last < 0 => "$".to_owned(),
            Some(last) => usize::try_from(last).unwrap_or(first).max(first).to_string(),
            None => (first.saturating_add(LINES - 1)).to_string(),
        };
        Ok(command(&format!("cat -n -- {} | sed -n '{first},{last}p'", quoted(path))))
    }

    fn list(&self) -> Mapped {
        let path = self.path.as_deref().filter(|path| !path.is_empty()).unwrap_or(".");
        let depth = self.depth.unwrap_or(2).clamp(1, 20);
        let path = if path.starts_with('-') { format!("./{path}") } else { path.to_owned() };
        command(&format!(
            "find {} -maxdepth {depth} -not -path '*/.git/*' -not -path '*/node_modules/*' | sort | head -n 500",
            quoted(&path)
        ))
    }

    fn search(&self) -> Result<Mapped, ToolError> {
        let pattern = wanted(self.pattern.as_deref(), "pattern")?;
        let path = self.path.as_deref().filter(|path| !path.is_empty()).unwrap_or(".");
        Ok(command(&format!(
            "grep -rnIE --exclude-dir=.git --exclude-dir=node_modules -e {} -- {} | head -n 300",
            quoted(pattern),
            quoted(path)
        )))
    }

    fn replace(&self, workspace: &Workspace) -> Result<Mapped, ToolError> {
        let path = self.path()?;
        let old = wanted(self.old_str.as_deref(), "the old text")?;
        let patch = edit::replacing(
            path,
            &existing(path, workspace)?,
            old,
            self.new_str.as_deref().unwrap_or_default(),
        );
        patch.map(Mapped::Patch).map_err(ToolError)
    }

    fn insert(&self, workspace: &Workspace) -> Result<Mapped, ToolError> {
        let path = self.path()?;
        let line = self.insert_line.ok_or_else(|| ToolError("`insert_line` is missing".to_owned()))?;
        // Older models call it so.
        let text = self.insert_text.as_deref().or(self.new_str.as_deref());
        let patch = edit::inserting(path, &existing(path, workspace)?, line, wanted(text, "insert_text")?);
        patch.map(Mapped::Patch).map_err(ToolError)
    }

    fn write(&self) -> Result<Mapped, ToolError> {
        let content = self.file_text.as_deref();
        let content = content.ok_or_else(|| ToolError("the content of the file is missing".to_owned()))?;
        Ok(Mapped::Patch(edit::writing(self.path()?, content)))
    }
}

fn wanted<'a>(given: Option<&'a str>, name: &str) -> Result<&'a str, ToolError> {
    given.filter(|text| !text.is_empty()).ok_or_else(|| ToolError(format!("`{name}` is missing")))
}

fn existing(path: &str, workspace: &Workspace) -> Result<String, ToolError> {
    apply_patch::content(path, workspace)?.ok_or_else(|| {
        let whole = workspace.absolute(Path::new(path));
        ToolError(format!("there is no file {}", whole.display()))
    })
}

fn command(cmd: &str) -> Mapped {
    Mapped::Command(Args::Json(json!({ "cmd": cmd }).to_string()))
}

#[async_trait::async_trait]
impl Tool for Styled {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: self.name.clone(),
            description: self.description.clone(),
            form: ToolForm::Function { parameters: self.parameters.clone() },
        }
    }

    fn intent(&self, args: &Args, workspace: &Workspace) -> Result<Intent, ToolError> {
        match self.mapped(args, workspace)? {
            Mapped::Command(args) => ExecCommand.intent(&args, workspace),
            Mapped::Patch(patch) => apply_patch::intent_for(&patch, &workspace.root, workspace),
        }
    }

    async fn run(&self, args: &Args, cx: ToolCx) -> Result<Output, ToolError> {
        match self.mapped(args, &cx.workspace)? {
            Mapped::Command(args) => ExecCommand.run(&args, cx).await,
            Mapped::Patch(patch) => apply_patch::run_for(&patch, &cx.workspace.root, &cx).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mapped(style: ToolStyle, tool: &str, args: &Value) -> Result<Mapped, String> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::write(root.join("a.txt"), "one\ntwo\n").unwrap();
        let workspace = Workspace { root, writable: vec![], own: Vec::new() };
        let all = tools(style);
        let tool = all.iter().find(|styled| styled.name == tool).unwrap();
        tool.mapped(&Args::Json(args.to_string()), &workspace).map_err(|error| error.0)
    }

    #[test]
    fn every_call_becomes_a_command_or_a_patch() {
        use ToolStyle::{Claude, Plain};
        let cmd = |args: Value| Ok(Mapped::Command(Args::Json(args.to_string())));
        let update = "*** Begin Patch\n*** Update File: a.txt\n@@\n-two\n+2\n*** End Patch\n";
        let insert =
            "*** Begin Patch\n*** Update File: a.txt\n@@\n-one\n-two\n+one\n+new\n+two\n*** End Patch\n";
        let add = "*** Begin Patch\n*** Add File: b.txt\n+x\n*** End Patch\n";
        let patch = |text: &str| Ok(Mapped::Patch(text.to_owned()));
        let editor = "str_replace_based_edit_tool";
        for (style, tool, args, expected) in [
            (Claude, "bash", json!({"command": "ls 'a b'"}), cmd(json!({"cmd": "ls 'a b'"}))),
            (Claude, "bash", json!({"restart": true}), cmd(json!({"cmd": "true"}))),
            (
                Plain,
                "run_command",
                json!({"command": "x", "workdir": "d", "timeout_ms": 500, "justification": null}),
                cmd(json!({"cmd": "x", "workdir": "d", "yield_time_ms": 500.0})),
            ),
            (
                Plain,
                "read_file",
                json!({"path": "it's.rs", "first_line": 5}),
                cmd(json!({"cmd": "cat -n -- 'it'\\''s.rs' | sed -n '5,404p'"})),
            ),
            (
                Claude,
                editor,
                json!({"command": "view", "path": "a.txt", "view_range": [2, -1]}),
                cmd(json!({"cmd": "cat -n -- a.txt | sed -n '2,$p'"})),
            ),
            (Claude, editor, json!({"command": "view", "path": "."}), cmd(json!({"cmd": "ls -la -- ."}))),
            (
                Plain,
                "search",
                json!({"pattern": "a|b $(x)"}),
                cmd(
                    json!({"cmd": "grep -rnIE --exclude-dir=.git --exclude-dir=node_modules -e 'a|b $(x)' -- . | head -n 300"}),
                ),
            ),
            (Plain, "edit_file", json!({"path": "a.txt", "old_text": "two", "new_text": "2"}), patch(update)),
            (
                Claude,
                editor,
                json!({"command": "str_replace", "path": "a.txt", "old_str": "two", "new_str": "2"}),
                patch(update),
            ),
            (
                Claude,
                editor,
                json!({"command": "insert", "path": "a.txt", "insert_line": 1, "insert_text": "new"}),
                patch(insert),
            ),
            (Plain, "write_file", json!({"path": "b.txt", "content": "x"}), patch(add)),
            (Claude, editor, json!({"command": "create", "path": "b.txt", "file_text": "x\n"}), patch(add)),
        ] {
            assert_eq!(mapped(style, tool, &args), expected, "{tool} {args}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        use ToolStyle::{Claude, Plain};
        let editor = "str_replace_based_edit_tool";
        for (style, tool, args, told) in [
            (Plain, "read_file", json!({}), "`path` is missing"),
            (
                Plain,
                "edit_file",
                json!({"path": "no.txt", "old_text": "a", "new_text": "b"}),
                "there is no file",
            ),
            (
                Plain,
                "edit_file",
                json!({"path": "a.txt", "old_text": "nine", "new_text": "b"}),
                "no such text",
            ),
            (Plain, "write_file", json!({"path": "a\nb", "content": "x"}), "no line break"),
            (Claude, editor, json!({"command": "undo_edit", "path": "a.txt"}), "not undo_edit"),
            (Claude, "bash", json!({"command": 7}), "invalid type"),
        ] {
            let error = mapped(style, tool, &args).unwrap_err();
            assert!(error.contains(told), "{tool} {args}: {error}");
        }
    }
}
