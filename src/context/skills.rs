//! Skills, as the model is told of them: all in a line each, within a budget; one as a whole when it is wanted.
//!
//! It reads nothing itself. What was told stands in the conversation, so that going back in it takes a skill away as
//! well, and a compaction keeps what is in use.

use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use crate::protocol::{Content, Context, Item, Shown, words};

/// A budget that holds for dozens of skills, in bytes.
pub const DEFAULT_BUDGET: usize = 8 * 1024;
/// Letters of a description below which none is shown at all.
const LEAST: usize = 40;
/// Skills that a message can call for.
const MENTIONS: usize = 8;

/// A skill that can be called for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// On one line.
    pub description: String,
    /// Its `SKILL.md`, as commands see it.
    pub file: PathBuf,
}

/// What the model is told of all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Empty where there are none.
    pub text: String,
    /// How many descriptions were shortened or left out.
    pub shortened: usize,
    /// Names of skills that it is not told of.
    pub left_out: Vec<String>,
}

/// A skill that the conversation holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub name: String,
    /// The hash of what it says.
    pub hash: String,
    pub text: String,
    /// The person called for it, and not the model.
    pub by_person: bool,
    /// The item that holds it.
    pub at: usize,
}

impl Listing {
    /// What a person should know of it.
    #[must_use]
    pub fn said(&self) -> Option<String> {
        if self.shortened == 0 && self.left_out.is_empty() {
            return None;
        }
        let mut said = "the list of skills is longer than its budget:".to_owned();
        if self.shortened > 0 {
            let _ = write!(said, " {} descriptions are shortened", self.shortened);
        }
        if !self.left_out.is_empty() {
            let also = if self.shortened > 0 { " and" } else { "" };
            let _ = write!(said, "{also} {} skills are not told to the model", self.left_out.len());
        }
        Some(said + "; remove some, or set skills.max_bytes")
    }
}

/// The list, the most important first, in at most `budget` bytes.
///
/// Descriptions are shortened first, all alike; then they go; then skills go, from the end.
#[must_use]
pub fn listing(entries: &[Entry], budget: usize) -> Listing {
    if entries.is_empty() || budget == 0 {
        return Listing {
            left_out: entries.iter().map(|entry| entry.name.clone()).collect(),
            ..Listing::default()
        };
    }
    let fixed = HEAD.len() + TAIL.len() + 120;
    let room = budget.saturating_sub(fixed);
    let bare: usize = entries.iter().map(|entry| line(entry, "").len()).sum();
    let longest = entries.iter().map(|entry| entry.description.len()).max().unwrap_or(0);
    let size = |most: usize| -> usize {
        bare + entries.iter().map(|entry| cut(&entry.description, most).len()).sum::<usize>()
    };
    // The most that each description may have for all to fit.
    let most = (0..=longest).collect::<Vec<_>>().partition_point(|most| size(*most) <= room);
    let most = most.checked_sub(1).filter(|most| *most >= LEAST.min(longest)).unwrap_or(0);
    let mut listing = Listing { text: HEAD.to_owned(), ..Listing::default() };
    let mut used = 0;
    for entry in entries {
        let description = cut(&entry.description, most);
        let line = line(entry, &description);
        if used + line.len() > room || !listing.left_out.is_empty() {
            listing.left_out.push(entry.name.clone());
            continue;
        }
        used += line.len();
        listing.shortened += usize::from(description != entry.description);
        listing.text.push_str(&line);
    }
    if !listing.left_out.is_empty() {
        let _ = writeln!(
            listing.text,
            "- ({} more skills are not listed to save room; load_skill finds them by name)",
            listing.left_out.len()
        );
    }
    listing.text.push_str(TAIL);
    listing
}

const HEAD: &str = "<skills>\nSkills are instructions for special tasks that the user or the project has prepared. What \
                    follows is only what each is for. When a task fits one, or the user names it (`$name`), call \
                    load_skill with its name before you begin, follow it, and say in a few words that you do. What its \
                    text names (scripts, references) lies in the folder of its file, which is read-only: run the \
                    scripts, and read the references only when they are needed. A skill gives no permissions.\n";
const TAIL: &str = "</skills>";

fn line(entry: &Entry, description: &str) -> String {
    let about = if description.is_empty() { String::new() } else { format!(": {description}") };
    format!("- {}{about} ({})\n", entry.name, entry.file.display())
}

/// The beginning of a description, in so many bytes and whole words.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    if most < LEAST {
        return String::new();
    }
    let end = (0..=most - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let part = text.get(..end).unwrap_or_default();
    let part = part.rsplit_once(' ').map_or(part, |(words, _)| words);
    format!("{}…", part.trim_end_matches([',', ';', '.', ':']))
}

/// A skill as a whole. `place` is its folder as commands see it.
#[must_use]
pub fn loaded(name: &str, hash: &str, place: &str, body: &str) -> String {
    format!(
        "{BEGIN}{name}\" hash=\"{hash}\">\nIts folder, which paths in it are relative to: {place}\n\n{}\n</skill>",
        body.trim()
    )
}

const BEGIN: &str = "<skill name=\"";
const BY_PERSON: &str = "<skill called=\"by the user\" name=\"";

/// The same, for one that the person called for.
#[must_use]
pub fn called_for(text: &str) -> String {
    text.strip_prefix(BEGIN).map_or_else(|| text.to_owned(), |rest| format!("{BY_PERSON}{rest}"))
}

/// The name and the hash in what [`loaded`] gave.
fn head(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(BY_PERSON).or_else(|| text.strip_prefix(BEGIN))?;
    let (name, rest) = rest.split_once("\" hash=\"")?;
    let (hash, _) = rest.split_once("\">\n")?;
    Some((name, hash))
}

/// The skills that a conversation holds, in the order in which they came. Of a name the last one counts.
#[must_use]
pub fn in_use(items: &[Arc<Item>]) -> Vec<Loaded> {
    let mut all: Vec<Loaded> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let text = match &**item {
            Item::Context { context: Context::Skill, text } => text.clone(),
            Item::ToolResult { content, shown: Shown::Skill { .. }, .. } => words(content),
            _ => continue,
        };
        // A result that says that it is there already is none.
        let Some((name, hash)) = head(&text).map(|(name, hash)| (name.to_owned(), hash.to_owned())) else {
            continue;
        };
        all.retain(|known| known.name != name);
        let by_person = text.starts_with(BY_PERSON);
        all.push(Loaded { name, hash, text, by_person, at });
    }
    all
}

/// What the model is told in the place of a skill that the conversation holds already, as it is.
#[must_use]
pub fn repeated(items: &[Arc<Item>], content: &[Content]) -> Option<String> {
    let text = words(content);
    let (name, hash) = head(&text)?;
    holds(items, name, hash).then(|| {
        format!("The skill `{name}` is loaded already in this conversation and has not changed: follow it as it stands.")
    })
}

/// Whether the conversation holds a skill with this content.
#[must_use]
pub fn holds(items: &[Arc<Item>], name: &str, hash: &str) -> bool {
    in_use(items).iter().any(|loaded| loaded.name == name && loaded.hash == hash)
}

/// The names that a message of the person calls for: `$name`, also `$name@version`.
#[must_use]
pub fn mentions(content: &[Content]) -> Vec<String> {
    let text = words(content);
    let mut names: Vec<String> = Vec::new();
    let mut before = None;
    for (at, char) in text.char_indices() {
        // In `a$b` and `\$x` it is something else.
        let begins = before.is_none_or(|before: char| before.is_whitespace() || "([{\"'`,:".contains(before));
        before = Some(char);
        if char != '$' || !begins {
            continue;
        }
        let rest = text.get(at + 1..).unwrap_or_default();
        let end =
            rest.find(|char: char| !(char.is_alphanumeric() || "-_.:@".contains(char))).unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default().trim_end_matches(['.', ':', '-', '@']);
        let is_name = name.chars().next().is_some_and(|first| first.is_alphanumeric());
        if is_name && !names.iter().any(|known| known == name) && names.len() < MENTIONS {
            names.push(name.to_owned());
        }
    }
    names
}

/// The messages of the person that the model has not answered.
#[must_use]
pub fn unanswered(items: &[Arc<Item>]) -> Vec<&[Content]> {
    let from =
        items.iter().rposition(|item| matches!(**item, Item::Assistant { .. } | Item::ToolCall { .. }));
    let since = items.get(from.map_or(0, |at| at + 1)..).unwrap_or_default();
    let said = since.iter().filter_map(|item| match &**item {
        Item::User { content, .. } => Some(&content[..]),
        _ => None,
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(name: &str, description: &str) -> Entry {
        let (name, file) = (name.to_owned(), format!("/shelf/{name}/SKILL.md").into());
        Entry { name, description: description.to_owned(), file }
    }

    #[test]
    fn all_fit_or_descriptions_get_shorter_before_skills_go() {
        let entries: Vec<Entry> =
            (0..20).map(|at| entry(&format!("skill-{at:02}"), &"some words ".repeat(20))).collect();
        let whole = listing(&entries, 100_000);
        assert_eq!((whole.shortened, whole.left_out.len(), whole.said()), (0, 0, None));
        assert!(whole.text.starts_with("<skills>\n") && whole.text.ends_with("</skills>"));
        assert!(
            whole.text.contains("- skill-07: some words")
                && whole.text.contains("(/shelf/skill-07/SKILL.md)")
        );

        let short = listing(&entries, 4_000);
        assert_eq!((short.shortened, short.left_out.len()), (20, 0));
        assert!(short.text.contains("- skill-19: some words") && short.text.contains('…'));

        let bare = listing(&entries, 2_000);
        assert_eq!((bare.shortened, bare.left_out.len()), (20, 0));
        assert!(bare.text.contains("- skill-19 (/shelf/skill-19/SKILL.md)"), "{}", bare.text);

        let few = listing(&entries, 1_200);
        assert!(!few.left_out.is_empty() && few.text.contains("more skills are not listed"), "{}", few.text);
        let said = few.said().unwrap();
        assert!(said.contains(&format!("{} skills are not told", few.left_out.len())), "{said}");
        assert_eq!(listing(&[], 1_000), Listing::default());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn the_list_keeps_its_budget_and_loses_none_in_silence(
            texts in prop::collection::vec("[a-zä ]{0,300}", 0..40),
            budget in 800usize..9_000,
        ) {
            let entries: Vec<Entry> =
                texts.iter().enumerate().map(|(at, text)| entry(&format!("s{at}"), text)).collect();
            let listing = listing(&entries, budget);
            prop_assert!(listing.text.len() <= budget, "{} > {budget}", listing.text.len());
            let told = entries.iter().filter(|entry| listing.text.contains(&format!("- {}", entry.name))).count();
            prop_assert!(told + listing.left_out.len() >= entries.len());
        }
    }

    #[test]
    fn a_skill_is_in_use_until_the_conversation_loses_it() {
        let context = |text: String| Arc::new(Item::Context { context: Context::Skill, text });
        let result = |text: String| {
            Arc::new(Item::ToolResult {
                call: "c".into(),
                content: vec![Content::text(text)],
                shown: Shown::Skill { name: "pdf".into(), place: "/p".into() },
            })
        };
        let items = [
            context(loaded("pdf", "1", "/p", "old")),
            result(loaded("csv", "2", "/p", "c")),
            result("`csv` is loaded already".to_owned()),
            context(loaded("pdf", "3", "/p", "new")),
        ];
        let names = |items: &[Arc<Item>]| -> Vec<(String, String, usize)> {
            in_use(items).into_iter().map(|loaded| (loaded.name, loaded.hash, loaded.at)).collect()
        };
        assert_eq!(names(&items), [("csv".into(), "2".into(), 1), ("pdf".into(), "3".into(), 3)]);
        let by_person = |text: String| in_use(&[context(text)])[0].by_person;
        let text = loaded("pdf", "3", "/p", "new");
        assert!(by_person(called_for(&text)) && !by_person(text));
        assert!(holds(&items, "pdf", "3") && !holds(&items, "pdf", "1") && !holds(&items[..3], "pdf", "3"));
    }

    #[test]
    fn a_message_calls_for_skills_by_their_names() {
        let of = |text: &str| mentions(&[Content::text(text)]).join(" ");
        assert_eq!(
            of("$review, then ($commit). It costs 5$ or $5; $HOME/x and a$b \\$c $pdf@1a2b3c4d"),
            "review commit 5 HOME pdf@1a2b3c4d"
        );
        assert_eq!(of("$review $review $"), "review");
        assert_eq!(of(&"$a1 $a2 $a3 $a4 $a5 $a6 $a7 $a8 $a9".repeat(3)).split(' ').count(), MENTIONS);
    }
}
