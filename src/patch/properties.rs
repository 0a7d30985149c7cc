//! Properties of the whole language.

use std::path::Path;

use proptest::prelude::*;
use similar::{Algorithm, ChangeTag, capture_diff_slices, group_diff_ops};

use super::{Action, Diff, Patch, apply::Place, plan, typed};

/// A tree with one file.
struct Single(Vec<u8>);

impl super::Tree for Single {
    fn locate(&self, path: &str) -> Result<Place, String> {
        let path = Path::new("/").join(path);
        Ok(Place { entry: path.clone(), target: path, quotable: true })
    }

    fn read(&self, path: &Path) -> Result<Option<super::Node>, String> {
        Ok((path == Path::new("/f")).then(|| super::Node::File(std::sync::Arc::new(self.0.clone()))))
    }
}

/// The file after the patch.
fn applied(file: &str, patch: &str) -> Result<String, String> {
    let patch = Patch::parse(patch).map_err(|error| error.to_string())?;
    let plan = plan(&patch, &Single(file.as_bytes().to_vec())).map_err(|error| error.to_string())?;
    let change = plan.changes.first().expect("one file is changed");
    Ok(String::from_utf8(change.new.to_vec()).unwrap())
}

/// A patch that makes the new lines from the old ones, with some lines of context. Nothing when they are equal.
fn patch_between(old: &[String], new: &[String], context: usize) -> Option<String> {
    let operations = capture_diff_slices(Algorithm::Myers, old, new);
    let mut patch = String::from("*** Begin Patch\n*** Update File: f\n");
    let groups = group_diff_ops(operations, context);
    for group in &groups {
        patch.push_str("@@\n");
        for change in group.iter().flat_map(|operation| operation.iter_changes(old, new)) {
            patch.push(match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            });
            patch.push_str(&change.value());
            patch.push('\n');
        }
    }
    patch.push_str("*** End Patch\n");
    (!groups.is_empty()).then_some(patch)
}

fn joined(lines: &[String], ending: &str) -> String {
    lines.iter().flat_map(|line| [line.as_str(), ending]).collect()
}

/// Lines that are often equal, or nearly so.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[abc]",
        1 => "[ \t]{0,2}[ab][ \t]{0,2}",
        1 => Just(String::new()),
        1 => "(\\*\\*\\* (Begin|End) Patch|@@ x|\\+a|-b|\u{2014}|\u{e9})",
    ]
}

fn old_and_new() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    (prop::collection::vec(line(), 1..30), prop::collection::vec(line(), 0..30))
}

/// A text and a few changes in it.
fn edited() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(line())), 1..5);
    (prop::collection::vec(line(), 1..40), edits).prop_map(|(old, edits)| {
        let mut new = old.clone();
        for (at, line) in edits {
            let at = at.index(new.len().max(1)).min(new.len());
            match line {
                Some(line) => new.insert(at, line),
                None if at < new.len() => drop(new.remove(at)),
                None => {}
            }
        }
        (old, new)
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(.|\n){0,200}") {
        let _ = Patch::parse(&text).map_err(|error| error.to_string());
        let _ = typed(&text);
    }

    #[test]
    fn no_patch_like_text_makes_anything_panic(
        rows in prop::collection::vec(
            prop_oneof![
                Just("*** Begin Patch"), Just("*** End Patch"), Just("*** Update File: f"),
                Just("*** Add File: f"), Just("*** Delete File: f"), Just("*** Move to: g"),
                Just("*** End of File"), Just("@@"), Just("@@ a"), Just("-a"), Just("+b"), Just(" a"),
                Just(" "), Just(""), Just("\t"), Just("-"), Just("+"), Just("é"), Just("apply_patch <<'EOF'"),
                Just("EOF"),
            ],
            0..20,
        ),
        file in "[ab\n\r\u{feff}]{0,12}",
    ) {
        let text = rows.join("\n");
        let _ = typed(&text);
        for text in [format!("*** Begin Patch\n{text}\n*** End Patch"), text] {
            if let Ok(patch) = Patch::parse(&text) {
                let _ = plan(&patch, &Single(file.clone().into_bytes())).map_err(|error| error.to_string());
            }
        }
    }

    /// A patch that shows the whole file can mean one thing only.
    #[test]
    fn a_patch_with_all_context_makes_the_new_text((old, new) in old_and_new(), ending in "\r?\n") {
        if let Some(patch) = patch_between(&old, &new, 1_000) {
            prop_assert_eq!(applied(&joined(&old, &ending), &patch), Ok(joined(&new, &ending)));
        }
    }

    /// With less context there may be several places, but never a wrong one.
    #[test]
    fn a_patch_with_some_context_is_right_or_ambiguous((old, new) in edited(), context in 1..4_usize) {
        if let Some(patch) = patch_between(&old, &new, context) {
            match applied(&joined(&old, "\n"), &patch) {
                Ok(text) => prop_assert_eq!(text, joined(&new, "\n")),
                Err(error) => prop_assert!(error.contains("more than once"), "{}", error),
            }
        }
    }

    /// The mark, the endings and the missing newline of untouched lines survive.
    #[test]
    fn untouched_lines_keep_every_byte(
        lines in prop::collection::vec(("[a-z]{1,3}", "\r?\n"), 2..20),
        at in any::<prop::sample::Index>(),
        bom in prop::bool::ANY,
        bare in prop::bool::ANY,
        crlf in prop::bool::ANY,
    ) {
        // Line numbers make every line unique.
        let at = at.index(lines.len() - 1);
        let text = |changed: bool| {
            let mut text = String::from(if bom { "\u{feff}" } else { "" });
            for (index, (line, ending)) in lines.iter().enumerate() {
                let line = if changed && index == at { "NEW".to_owned() } else { format!("{index}{line}") };
                let last = bare && index + 1 == lines.len();
                text.extend([line.as_str(), if last { "" } else { ending }]);
            }
            text
        };
        let mut patch =
            format!("*** Begin Patch\n*** Update File: f\n-{at}{}\n+NEW\n*** End Patch\n", lines[at].0);
        if crlf {
            patch = patch.replace('\n', "\r\n");
        }
        prop_assert_eq!(applied(&text(false), &patch), Ok(text(true)));
    }

    /// The hunks that people see say the same as the texts.
    #[test]
    fn a_shown_diff_has_all_the_lines((old, new) in edited()) {
        let diff = Diff::between(joined(&old, "\n").as_bytes(), joined(&new, "\n").as_bytes(), usize::MAX);
        let count = |sign: char| diff.text.lines().filter(|line| line.starts_with(sign)).count();
        prop_assert_eq!(count('+'), diff.added as usize);
        prop_assert_eq!(count('-'), diff.removed as usize);
        prop_assert_eq!(old.len() + diff.added as usize, new.len() + diff.removed as usize);
    }

    #[test]
    fn a_new_file_is_what_the_plus_lines_say(lines in prop::collection::vec(line(), 0..10)) {
        let body: String = lines.iter().map(|line| format!("+{line}\n")).collect();
        let text = format!("*** Begin Patch\n*** Add File: f\n{body}*** End Patch");
        let patch = Patch::parse(&text).unwrap();
        prop_assert_eq!(&patch.operations[0].action, &Action::Add(lines.iter().map(String::as_str).collect()));
    }
}
