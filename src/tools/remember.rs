//! The tool `remember`: looks up what earlier sessions have noted, and changes a note when the person says yes.

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use crate::memory::{
    Change, Date, Memory, MemoryError, Note, Origin, Shelf,
    note::{self, same},
    search::search,
};
use crate::protocol::{Args, Content, Intent, SessionId, Shown, ToolForm, ToolSpec};

use super::{Output, Tool, ToolCx, ToolError, Workspace, args::parse_args};

/// Looks things up in the memory, and changes them.
pub struct Remember {
    /// The person's, and the project's.
    shelves: [Shelf; 2],
    session: SessionId,
    told_tokens: usize,
}

#[derive(Debug, Deserialize)]
struct Wish {
    action: Action,
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    everywhere: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Search,
    Add,
    Correct,
    Forget,
}

/// A change that was looked at, and would work now.
struct Wanted {
    shelf: Shelf,
    /// The note that it is about, as it stands.
    before: Option<Note>,
    /// Empty to forget it.
    after: String,
}

impl Remember {
    /// The memory of a session in the project with this root.
    #[must_use]
    pub fn new(memory: &Memory, root: &Path, session: SessionId, told_tokens: usize) -> Self {
        Self { shelves: memory.shelves(root), session, told_tokens }
    }

    /// What a wish comes to.
    fn wanted(&self, wish: &Wish) -> Result<Wanted, ToolError> {
        let text = |wanted: bool| match &wish.text {
            Some(text) if wanted => note::checked(text, self.shelves[0].guard())
                .map_err(|why| ToolError(format!("that can't be remembered: {why}"))),
            None if wanted => Err(ToolError("say in `text` what is to be remembered".to_owned())),
            _ => Ok(String::new()),
        };
        if wish.action == Action::Add {
            let after = text(true)?;
            for shelf in &self.shelves {
                let known = notes(shelf)?.into_iter().find(|known| same(&known.text) == same(&after));
                if let Some(known) = known {
                    return Err(ToolError(format!("that is remembered already, as note {}", known.id)));
                }
            }
            let shelf = &self.shelves[usize::from(!wish.everywhere)];
            return Ok(Wanted { shelf: shelf.clone(), before: None, after });
        }
        let after = text(wish.action == Action::Correct)?;
        let id = wish.note.as_deref().unwrap_or_default().trim();
        if id.is_empty() {
            return Err(ToolError(
                "say in `note` which one: the id at its end; `search` shows them".to_owned(),
            ));
        }
        for shelf in &self.shelves {
            if let Some(note) = notes(shelf)?.into_iter().find(|note| note.id == id) {
                return Ok(Wanted { shelf: shelf.clone(), before: Some(note), after });
            }
        }
        Err(ToolError(format!("there is no note {id}; `search` shows those that are there")))
    }

    fn change(&self, wanted: &Wanted) -> Result<String, ToolError> {
        let now = jiff::Zoned::now();
        let write = Change { at: now.timestamp(), today: now.date(), told_tokens: self.told_tokens };
        let from = Origin::session(&self.session.to_string());
        let mut said = String::new();
        let changed = wanted.shelf.change(write, |book, state| {
            let Some(before) = &wanted.before else {
                let note = Note::new(&wanted.after, write.today, from, |id| book.get(id).is_some());
                state.forgotten.retain(|gone| same(gone) != same(&wanted.after));
                said = format!("Remembered as note {}.", note.id);
                book.add("Notes", note);
                return Ok(Some(format!("the model remembered, with your word: {}", wanted.after)));
            };
            let Some(note) = book.get_mut(&before.id).filter(|note| note.text == before.text) else {
                return Err(MemoryError::Refused(format!(
                    "note {} has changed meanwhile; look again",
                    before.id
                )));
            };
            if wanted.after.is_empty() {
                book.remove(&before.id);
                state.forget(&before.text);
                said = format!("Note {} is forgotten.", before.id);
                return Ok(Some(format!("the model forgot, with your word: {}", before.text)));
            }
            (note.text, note.date, note.from) = (wanted.after.clone(), write.today, from);
            state.forget(&before.text);
            said = format!("Note {} is corrected.", before.id);
            Ok(Some(format!("the model corrected, with your word: {} → {}", before.text, wanted.after)))
        });
        changed.map(|_| said).map_err(told)
    }
}

fn notes(shelf: &Shelf) -> Result<Vec<Note>, ToolError> {
    let kept = shelf.read().map_err(told)?;
    Ok(kept.map(|kept| kept.book(today()).0.notes().cloned().collect()).unwrap_or_default())
}

fn today() -> Date {
    jiff::Zoned::now().date()
}

#[expect(clippy::needless_pass_by_value, reason = "it is what maps an error")]
fn told(error: MemoryError) -> ToolError {
    ToolError(format!("the memory can't be used: {error}"))
}

#[async_trait::async_trait]
impl Tool for Remember {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "remember".to_owned(),
            description: include_str!("../../assets/tools/remember.md").trim_end().to_owned(),
            form: ToolForm::Function {
                parameters: json!({
                    "type": "object",
                    "required": ["action"],
                    "properties": {
                        "action": { "type": "string", "enum": ["search", "add", "correct", "forget"] },
                        "query": { "type": "string", "description": "search: words that a note has to hold." },
                        "note": { "type": "string", "description": "correct, forget: the id of the note, such as 3f2a." },
                        "text": { "type": "string", "description": "add, correct: what is true, in one sentence." },
                        "everywhere": {
                            "type": "boolean",
                            "description": "add: it is about the user, and holds in every project.",
                        },
                    },
                    "additionalProperties": false,
                }),
            },
        }
    }

    fn intent(&self, args: &Args, _workspace: &Workspace) -> Result<Intent, ToolError> {
        let wish: Wish = parse_args(args)?;
        if wish.action == Action::Search {
            return Ok(Intent::None);
        }
        let Wanted { before, after, .. } = self.wanted(&wish)?;
        Ok(Intent::Remember { before: before.map(|note| note.text).unwrap_or_default(), after })
    }

    async fn run(&self, args: &Args, cx: ToolCx) -> Result<Output, ToolError> {
        let wish: Wish = parse_args(args)?;
        let text = if wish.action == Action::Search {
            let found =
                search(&self.shelves, wish.query.as_deref().unwrap_or_default(), today()).map_err(told)?;
            let mut lines = found.lines;
            let mut room = usize::try_from(cx.output_limit.saturating_mul(4)).unwrap_or(usize::MAX);
            let fits = lines.iter().take_while(|line| {
                room = room.saturating_sub(line.len() + 1);
                room > 0
            });
            let fits = fits.count();
            let more = found.more + lines.len() - fits;
            lines.truncate(fits);
            if more > 0 {
                lines.push(format!("[{more} more: search for more words]"));
            }
            if lines.is_empty() { "Nothing is remembered of that.".to_owned() } else { lines.join("\n") }
        } else {
            self.change(&self.wanted(&wish)?)?
        };
        let shown = match wish.action {
            Action::Search => text.lines().take(5).collect::<Vec<_>>().join("\n"),
            _ => text.clone(),
        };
        Ok(Output { content: vec![Content::text(text)], shown: Shown::text(shown), blobs: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::memory::Guard;
    use crate::protocol::words;
    use crate::tools::testing;

    struct Strict;

    impl Guard for Strict {
        fn redact(&self, text: &str) -> String {
            text.replace("SECRET", "[redacted:0000]")
        }

        fn hidden(&self, text: &str) -> Option<String> {
            text.contains('\u{200b}').then(|| "U+200B".to_owned())
        }
    }

    struct World {
        folder: tempfile::TempDir,
        tool: Remember,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let memory = Memory::new(folder.path().join("memory"), Arc::new(Strict));
            let session = "0199a2b3-c4d5-7000-8000-000000000000".parse().unwrap();
            Self { tool: Remember::new(&memory, folder.path(), session, 500), folder }
        }

        /// The intent, and what came of it.
        async fn call(&self, args: serde_json::Value) -> Result<(Intent, String), ToolError> {
            let args = Args::Json(args.to_string());
            let intent = self.tool.intent(&args, &testing::workspace(self.folder.path()))?;
            let output = self.tool.run(&args, testing::context(self.folder.path())).await?;
            Ok((intent, words(&output.content)))
        }
    }

    #[tokio::test]
    async fn a_wrong_note_is_corrected_in_place_and_says_what_it_would_do() {
        let world = World::new();
        let (intent, said) = world.call(json!({"action": "add", "text": "The port is 5433"})).await.unwrap();
        assert_eq!(intent, Intent::Remember { before: String::new(), after: "The port is 5433".into() });
        let id = said.strip_prefix("Remembered as note ").unwrap().trim_end_matches('.');
        let (intent, _) =
            world.call(json!({"action": "correct", "note": id, "text": "The port is 5434"})).await.unwrap();
        assert_eq!(
            intent,
            Intent::Remember { before: "The port is 5433".into(), after: "The port is 5434".into() }
        );
        let (intent, found) = world.call(json!({"action": "search", "query": "port"})).await.unwrap();
        assert_eq!(intent, Intent::None);
        assert!(found.starts_with(&format!("- The port is 5434 ({id} · ")), "{found}");
        assert!(found.contains("session 0199a2b3-c4d5)"), "{found}");
        let (intent, _) = world.call(json!({"action": "forget", "note": id})).await.unwrap();
        assert_eq!(intent, Intent::Remember { before: "The port is 5434".into(), after: String::new() });
        let (_, found) = world.call(json!({"action": "search"})).await.unwrap();
        assert_eq!(found, "Nothing is remembered of that.");
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_told_and_nothing_is_written() {
        let world = World::new();
        for (args, why) in [
            (json!({"action": "add"}), "say in `text`"),
            (json!({"action": "add", "text": "the key is SECRET"}), "a secret"),
            (json!({"action": "add", "text": "a\u{200b}b"}), "people don't see"),
            (json!({"action": "correct", "text": "x"}), "which one"),
            (json!({"action": "forget", "note": "3f2a"}), "there is no note 3f2a"),
            (json!({"action": "dance"}), "unknown variant `dance`"),
        ] {
            let error = world.call(args.clone()).await.unwrap_err();
            assert!(error.0.contains(why), "{args}: {error}");
        }
        assert!(!world.folder.path().join("memory").exists());
        world.call(json!({"action": "add", "text": "Be brief", "everywhere": true})).await.unwrap();
        let error = world.call(json!({"action": "add", "text": "be BRIEF."})).await.unwrap_err();
        assert!(error.0.contains("remembered already"), "{error}");
        assert!(world.folder.path().join("memory/user/current/MEMORY.md").exists());
    }
}
