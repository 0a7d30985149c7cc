//! Patches for edits that are said in another way: a text in the place of another one, text behind a line, a whole file.
//!
//! Says nothing new of how files are changed: what comes out is a patch like any other.

/// A patch that puts `new` in the place of `old`, which must be there exactly once.
///
/// # Errors
/// When it is not, with a sentence for the model.
pub fn replacing(path: &str, content: &str, old: &str, new: &str) -> Result<String, String> {
    // Lines of a patch end as those of the file do.
    let (content, old, new) = (unix(content), unix(old), unix(new));
    if old.is_empty() {
        return Err("the text to be replaced is empty".to_owned());
    }
    if old == new {
        return Err("the new text is the same as the old one".to_owned());
    }
    let mut places = content.match_indices(&old).map(|(at, _)| at);
    let Some(at) = places.next() else {
        return Err(format!(
            "{path} has no such text: it must be exactly as in the file, blanks and line breaks too"
        ));
    };
    let more = places.count();
    if more > 0 {
        return Err(format!("{path} has that text {} times: take more of what stands around it", more + 1));
    }
    let end = at + old.len();
    let (before, after) = (content.get(..at).unwrap_or_default(), content.get(end..).unwrap_or_default());
    // Whole lines.
    let begun = before.rfind('\n').map_or(0, |newline| newline + 1);
    let rest = match old.ends_with('\n') {
        true => 0,
        false => after.find('\n').map_or(after.len(), |newline| newline + 1),
    };
    let (head, tail) = (before.get(begun..).unwrap_or_default(), after.get(..rest).unwrap_or_default());
    let lines = format!("{head}{old}{tail}");
    let mut replaced = format!("{head}{new}{tail}");
    if lines.ends_with('\n') && !replaced.is_empty() && !replaced.ends_with('\n') {
        // What follows would become a part of its last line.
        let next = after.find('\n').map_or(after.len(), |newline| newline + 1);
        let next = after.get(..next).unwrap_or_default();
        replaced.push_str(next);
        return Ok(update(path, &format!("{lines}{next}"), &replaced));
    }
    Ok(update(path, &lines, &replaced))
}

/// A patch that puts text behind a line, counted from 1; behind line 0 is the beginning.
///
/// # Errors
/// When there is no such line, or nothing to be put there.
pub fn inserting(path: &str, content: &str, line: usize, text: &str) -> Result<String, String> {
    let (content, text) = (unix(content), unix(text));
    if text.is_empty() {
        return Err("the text to be put there is empty".to_owned());
    }
    let lines: Vec<&str> = content.lines().collect();
    if line > lines.len() {
        return Err(format!("{path} has {} lines, and no line {line}", lines.len()));
    }
    if lines.is_empty() {
        return Ok(writing(path, &text));
    }
    // As much around it as says where that is.
    let mut around = 3;
    let (from, to) = loop {
        let (from, to) = (line.saturating_sub(around), (line + around).min(lines.len()));
        let block = lines.get(from..to).unwrap_or_default();
        let whole = from == 0 && to == lines.len();
        if whole || lines.windows(block.len()).filter(|window| *window == block).count() == 1 {
            break (from, to);
        }
        around *= 2;
    };
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let (above, below) = (lines.get(from..line).unwrap_or_default(), lines.get(line..to).unwrap_or_default());
    let ended = if text.ends_with('\n') { text } else { text + "\n" };
    Ok(update(path, &joined(&[above, below].concat()), &format!("{}{ended}{}", joined(above), joined(below))))
}

/// A patch that writes a whole file, whether there is one or not.
#[must_use]
pub fn writing(path: &str, content: &str) -> String {
    let lines: String = unix(content).lines().map(|line| format!("+{line}\n")).collect();
    format!("*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch\n")
}

/// Lines in the place of others.
fn update(path: &str, old: &str, new: &str) -> String {
    let marked =
        |mark: char, text: &str| text.lines().map(|line| format!("{mark}{line}\n")).collect::<String>();
    format!(
        "*** Begin Patch\n*** Update File: {path}\n@@\n{}{}*** End Patch\n",
        marked('-', old),
        marked('+', new)
    )
}

fn unix(text: &str) -> String {
    text.replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use std::{
        path::{Path, PathBuf},
        sync::Arc,
    };

    use proptest::prelude::*;

    use super::*;
    use crate::patch::{Node, Patch, Place, Tree, plan};

    struct One(String);

    impl Tree for One {
        fn locate(&self, path: &str) -> Result<Place, String> {
            Ok(Place { entry: path.into(), target: path.into(), quotable: true })
        }

        fn read(&self, _: &Path) -> Result<Option<Node>, String> {
            Ok(Some(Node::File(Arc::new(self.0.clone().into_bytes()))))
        }

        fn resembling(&self, _: &Path) -> Option<PathBuf> {
            None
        }
    }

    /// What a file becomes by a patch.
    fn patched(content: &str, patch: &str) -> String {
        let patch = Patch::parse(patch).unwrap_or_else(|error| panic!("{error}: {patch}"));
        let plan = plan(&patch, &One(content.to_owned())).unwrap_or_else(|error| panic!("{}", error.0));
        let new = plan.changes[0].new.as_ref();
        String::from_utf8(new.to_vec()).unwrap()
    }

    #[test]
    fn a_text_is_replaced_wherever_it_stands() {
        for (content, old, new, expected) in [
            ("a\nb\nc\n", "b", "x", "a\nx\nc\n"),
            ("let a = 1;\n", "a = 1", "b = 2", "let b = 2;\n"),
            ("a\nb\nc\n", "a\nb", "x", "x\nc\n"),
            ("a\nb\nc\n", "b\n", "", "a\nc\n"),
            ("a\nb\nc\n", "b\n", "x", "a\nxc\n"),
            ("a\r\nb\r\n", "a\nb", "x\ny", "x\r\ny\r\n"),
            ("*** End Patch\n-b\n", "-b", "+c", "*** End Patch\n+c\n"),
        ] {
            assert_eq!(
                patched(content, &replacing("f", content, old, new).unwrap()),
                expected,
                "{content:?} {old:?}"
            );
        }
        for (content, old, new, told) in [
            ("a\na\n", "a", "b", "2 times"),
            ("a\n", "b", "c", "no such text"),
            ("a\n", "", "c", "empty"),
            ("a\n", "a", "a", "the same"),
        ] {
            let error = replacing("f", content, old, new).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_text_is_put_behind_a_line_also_where_lines_are_alike() {
        let alike = "x\n".repeat(9) + "y\n" + &"x\n".repeat(9);
        for (content, line, text, expected) in [
            ("a\nb\n", 0, "n", "n\na\nb\n"),
            ("a\nb\n", 1, "n\nm\n", "a\nn\nm\nb\n"),
            ("a\nb\n", 2, "n", "a\nb\nn\n"),
            (
                alike.as_str(),
                4,
                "n",
                &("x\n".repeat(4) + "n\n" + &"x\n".repeat(5) + "y\n" + &"x\n".repeat(9)),
            ),
        ] {
            assert_eq!(
                patched(content, &inserting("f", content, line, text).unwrap()),
                expected,
                "{content:?} {line}"
            );
        }
        assert!(inserting("f", "a\n", 7, "n").unwrap_err().contains("1 lines"));
    }

    proptest! {
        #[test]
        fn what_is_replaced_is_what_was_meant(lines in prop::collection::vec("[ab \\-+*@]{0,4}", 1..12), from in 0usize..40, length in 1usize..8, new in "[ab\\n]{0,6}") {
            let content: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let from = from.min(content.len() - 1);
            let old = content.get(from..(from + length).min(content.len())).unwrap_or_default();
            if let Ok(patch) = replacing("f", &content, old, &new) {
                let meant = content.replacen(old, &new, 1);
                // A patch ends each file that has lines with a line break.
                let meant = if meant.is_empty() || meant.ends_with('\n') { meant } else { meant + "\n" };
                prop_assert_eq!(patched(&content, &patch), meant, "{}", patch);
            }
        }
    }
}
