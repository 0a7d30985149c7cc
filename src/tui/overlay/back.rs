//! What goes back to before a message: the conversation, the files, or both. What would become of the files stands above
//! the question, in the conversation.

use crate::protocol::{Command, Restore, Seq};
use crate::tui::{action::Action, host::Prospect, keymap::Key, term::Size};

use super::{
    Look, Overlay, Page, Place, Reaction,
    menu::{Entry, Menu},
    undo::paths,
};

/// The question. Nothing but a choice of the person changes anything.
pub(in crate::tui) struct Back {
    to: Seq,
    text: String,
    menu: Menu<Choice>,
}

/// What goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    Conversation,
    /// The conversation as well, once the files are back.
    Both(Restore),
    Files(Restore),
}

impl Back {
    /// Going back to before message `to`, whose words come back to be edited. `about` says what the files would be.
    pub(in crate::tui) fn new(to: Seq, text: String, prospect: &Prospect, about: &str) -> Self {
        let Prospect { known, from, ours, theirs, .. } = prospect;
        let restore = |all, rewind| Restore { rewind, ..known.restore(from.clone(), all) };
        let only = Entry::new(Choice::Conversation, "Only the conversation");
        let mut entries = vec![only.about("files stay as they are")];
        let mut offer = |what: &str, choice: &dyn Fn(bool) -> Choice| {
            if *ours > 0 {
                let but = if *theirs > 0 { "; what was changed since stays" } else { "" };
                entries.push(Entry::new(choice(false), &format!("{what}: {}{but}", paths(*ours))));
            }
            if *theirs > 0 {
                let all = paths(ours + theirs);
                let label = format!("{what}: all of it, {all}, {theirs} of them changed since");
                entries.push(Entry::new(choice(true), &label));
            }
        };
        offer("Conversation and files", &|all| Choice::Both(restore(all, Some(to))));
        offer("Only files", &|all| Choice::Files(restore(all, None)));
        Self { to, text, menu: Menu::new("What is to go back?", entries).about(about) }
    }
}

impl Overlay for Back {
    fn place(&self) -> Place {
        Place::Below
    }

    fn key(&mut self, key: Key, _look: &Look<'_>) -> Reaction {
        self.menu.key(key).or_choose(|| {
            let restore = |restore: &Restore| Action::Send(Command::Restore { restore: restore.clone() });
            Reaction::Close(match self.menu.selected() {
                None => Vec::new(),
                Some(Choice::Conversation) => conversation(self.to, &self.text),
                Some(Choice::Both(both)) => vec![restore(both), Action::Write(self.text.clone())],
                Some(Choice::Files(files)) => vec![restore(files)],
            })
        })
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        self.menu.draw(size, look.theme)
    }
}

/// The conversation alone goes back, and the message can be edited.
pub(in crate::tui) fn conversation(to: Seq, text: &str) -> Vec<Action> {
    vec![Action::Send(Command::Rewind { to }), Action::Write(text.to_owned())]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::Stage, *};
    use crate::protocol::SnapshotId;

    fn stage() -> Stage {
        let mut stage = Stage::new();
        stage.fact(json!({"type": "turn_started", "turn": 1}));
        stage.user("change it");
        for (moment, snapshot) in [("before", "b1"), ("after", "a1")] {
            stage.fact(json!({"type": "snapshot_taken", "turn": 1, "moment": moment, "snapshot": snapshot}));
        }
        stage
            .fact(json!({"type": "turn_finished", "turn": 1, "outcome": {"type": "done"}, "duration_ms": 1}));
        stage
    }

    fn asked(stage: &Stage, ours: usize, theirs: usize) -> (Seq, Back) {
        let to = stage.session.said().next().unwrap().0;
        let known = stage.session.files_before(to).unwrap();
        let from = SnapshotId("now".into());
        let prospect = Prospect { known, from, lines: Vec::new(), ours, theirs };
        (to, Back::new(to, "change it".into(), &prospect, "What would become of the files is listed above."))
    }

    fn chosen(stage: &Stage, back: &mut Back, keys: &[&str]) -> Vec<Action> {
        let mut actions = Vec::new();
        for key in keys {
            if let Reaction::Close(more) = back.key(key.parse().unwrap(), &stage.look()) {
                actions = more;
            }
        }
        actions
    }

    #[test]
    fn the_conversation_the_files_or_both_go_back() {
        let stage = stage();
        let rewound = |actions: &[Action]| {
            actions.iter().any(|action| matches!(action, Action::Send(Command::Rewind { .. })))
        };
        let restored = |actions: &[Action]| {
            actions.iter().find_map(|action| match action {
                Action::Send(Command::Restore { restore }) => Some((restore.rewind, restore.all)),
                _ => None,
            })
        };
        for (downs, conversation, files, edited) in [
            (0, true, None, true),
            (1, false, Some((true, false)), true),
            (2, false, Some((true, true)), true),
            (3, false, Some((false, false)), false),
            (4, false, Some((false, true)), false),
        ] {
            let (to, mut back) = asked(&stage, 2, 1);
            let keys: Vec<&str> = std::iter::repeat_n("down", downs).chain(["enter"]).collect();
            let actions = chosen(&stage, &mut back, &keys);
            assert_eq!(rewound(&actions), conversation, "{downs}");
            let files = files.map(|(rewind, all)| (rewind.then_some(to), all));
            assert_eq!(restored(&actions), files, "{downs}");
            assert_eq!(actions.contains(&Action::Write("change it".into())), edited, "{downs}");
        }
        let (_, mut back) = asked(&stage, 2, 1);
        assert_eq!(chosen(&stage, &mut back, &["esc"]), []);
    }

    #[test]
    fn all_of_it_is_seen_on_a_usual_terminal() {
        let stage = stage();
        let (_, mut back) = asked(&stage, 2, 1);
        let shown: Vec<String> = back
            .draw(Size { columns: 80, rows: 14 }, &stage.look())
            .rows
            .iter()
            .map(|row| row.to_string().trim_end().to_owned())
            .collect();
        let shown = shown.join("\n");
        for words in [
            "What is to go back?",
            "Only the conversation",
            "Conversation and files: 2 paths; what was changed since stays",
            "Conversation and files: all of it, 3 paths, 1 of them changed since",
            "Only files: 2 paths; what was changed since stays",
            "Only files: all of it, 3 paths, 1 of them changed since",
        ] {
            let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flat.contains(words), "{words}:\n{shown}");
        }
        let (_, mut back) = asked(&stage, 0, 1);
        let page = back.draw(Size { columns: 80, rows: 14 }, &stage.look());
        let rows: Vec<String> = page.rows.iter().map(ToString::to_string).collect();
        assert!(!rows.join("\n").contains(": 0 paths"), "{rows:?}");
    }
}
