//! The border between tools and the transcript: nothing passes it with a secret in it.
//!
//! What commands say comes without them already, since it is also kept and shown on other ways. What the model wrote
//! stays as it wrote it: its words are no output, and people approve them to the letter.

use crate::protocol::{Content, Excerpt, Intent, PatchedFile, Shown};
use crate::secrets::Secrets;
use crate::tools::{Output, ToolError};

/// What a call gave.
pub(super) fn result(secrets: &Secrets, result: Result<Output, ToolError>) -> Result<Output, ToolError> {
    match result {
        Ok(output) => {
            let Output { content, shown, blobs } = output;
            let content = content.into_iter().map(|part| self::content(secrets, part)).collect();
            // What is kept beside the log are pictures, by the hash of their bytes.
            Ok(Output { content, shown: self::shown(secrets, shown), blobs })
        }
        Err(ToolError(text)) => Err(ToolError(clean(secrets, text))),
    }
}

/// What a call would do: with the lines of files that it would change. It is what people are shown; what is done
/// is not made from it.
pub(super) fn intent(secrets: &Secrets, intent: Intent) -> Intent {
    match intent {
        Intent::Write { mut files } => {
            for file in &mut files {
                file.diff = clean(secrets, std::mem::take(&mut file.diff));
            }
            Intent::Write { files }
        }
        same @ (Intent::None
        | Intent::Read { .. }
        | Intent::Command { .. }
        | Intent::Input { .. }
        | Intent::Connect { .. }
        | Intent::Remember { .. }
        | Intent::Hosted { .. }
        | Intent::Unknown) => same,
    }
}

/// A text without secrets.
pub(super) fn clean(secrets: &Secrets, text: String) -> String {
    match secrets.text(&text) {
        std::borrow::Cow::Borrowed(_) => text,
        std::borrow::Cow::Owned(clean) => clean,
    }
}

fn content(secrets: &Secrets, part: Content) -> Content {
    match part {
        Content::Text { text } => Content::text(clean(secrets, text)),
        same @ (Content::Image { .. } | Content::Unknown(_)) => same,
    }
}

fn shown(secrets: &Secrets, shown: Shown) -> Shown {
    match shown {
        Shown::Text { text } => Shown::Text { text: clean(secrets, text) },
        Shown::Failure { text } => Shown::Failure { text: clean(secrets, text) },
        Shown::Command { command, workdir, exit, process, duration_ms, output } => {
            let Excerpt { head, tail, lines, bytes, blob } = output;
            let (head, tail) = (clean(secrets, head), clean(secrets, tail));
            let output = Excerpt { head, tail, lines, bytes, blob };
            Shown::Command { command, workdir, exit, process, duration_ms, output }
        }
        Shown::Patch { files } => {
            let clean = |file: PatchedFile| PatchedFile { diff: clean(secrets, file.diff.clone()), ..file };
            Shown::Patch { files: files.into_iter().map(clean).collect() }
        }
        same @ (Shown::Plan { .. }
        | Shown::Goal { .. }
        | Shown::Image { .. }
        | Shown::Skill { .. }
        | Shown::Unknown(_)) => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{FileChange, FileOperation};

    const KEY: &str = "sk-Q1w2E3r4T5y6U7i8O9p0";

    #[test]
    fn no_part_of_a_result_passes_with_a_secret_in_it() {
        let secrets = Secrets::default();
        let text = format!("the key {KEY}.");
        let clean = secrets.text(&text).into_owned();
        assert!(!clean.contains(KEY));
        let output = |text: &str| {
            let excerpt = Excerpt { head: text.into(), tail: text.into(), ..Excerpt::default() };
            let file = PatchedFile {
                path: "f".into(),
                operation: FileOperation::Update,
                moved_to: None,
                added: 1,
                removed: 0,
                diff: text.into(),
            };
            let command = Shown::Command {
                command: "cat f".into(),
                workdir: "/w".into(),
                exit: None,
                process: None,
                duration_ms: 1,
                output: excerpt,
            };
            let all = [Shown::text(text), Shown::failure(text), command, Shown::Patch { files: vec![file] }];
            all.map(|shown| Output { content: vec![Content::text(text)], shown, blobs: Vec::new() })
        };
        for (before, after) in output(&text).into_iter().zip(output(&clean)) {
            assert_eq!(result(&secrets, Ok(before)), Ok(after));
        }
        assert_eq!(result(&secrets, Err(ToolError(text.clone()))), Err(ToolError(clean.clone())));
        let change = |diff: &str| {
            let (path, operation) = ("f".into(), FileOperation::Update);
            let file = FileChange { path, operation, moved_to: None, outside: false, diff: diff.into() };
            Intent::Write { files: vec![file] }
        };
        assert_eq!(intent(&secrets, change(&text)), change(&clean));
    }
}
