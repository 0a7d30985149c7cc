//! The question before files are put back. What would change stands above it, in the conversation.

use crate::protocol::{Command, Restore};
use crate::tui::{action::Action, host::Prospect, keymap::Key, term::Size};

use super::{
    Look, Overlay, Page, Place, Reaction,
    menu::{Entry, Menu},
};

/// The question. Nothing but a choice of the person changes anything.
pub(in crate::tui) struct Undo {
    menu: Menu<Option<Restore>>,
}

impl Undo {
    pub(in crate::tui) fn new(prospect: &Prospect) -> Self {
        let Prospect { known, from, ours, theirs, .. } = prospect;
        let restore = |all| Some(known.restore(from.clone(), all));
        let mut entries = vec![Entry::new(None, "Leave everything as it is").current(true)];
        if *ours > 0 {
            entries.push(Entry::new(restore(false), &format!("Put {} back", paths(*ours))));
        }
        if *theirs > 0 {
            let label = match ours {
                0 => format!("Put {} back that somebody has changed since", paths(*theirs)),
                _ => format!("Put all back, also {} that somebody has changed since", paths(*theirs)),
            };
            entries.push(Entry::new(restore(true), &label).about("/redo or /undo brings these changes back"));
        }
        Self { menu: Menu::new("Put these files back?", entries) }
    }
}

pub(super) fn paths(count: usize) -> String {
    if count == 1 { "1 path".to_owned() } else { format!("{count} paths") }
}

impl Overlay for Undo {
    fn place(&self) -> Place {
        Place::Below
    }

    fn key(&mut self, key: Key, _look: &Look<'_>) -> Reaction {
        self.menu.key(key).or_choose(|| {
            let chosen = self.menu.selected().and_then(Option::clone);
            Reaction::Close(
                chosen.map(|restore| Action::Send(Command::Restore { restore })).into_iter().collect(),
            )
        })
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        self.menu.draw(size, look.theme)
    }
}
