//! Searching the history while typing (Ctrl-R).

use super::{Composer, Reaction, history::Search};
use crate::tui::keymap::{Action, Key, Layer};

impl Composer {
    pub(super) fn start_search(&mut self) -> Reaction {
        let draft = self.buffer.body().clone();
        self.undo.close();
        self.search = Some(Search { draft, cursor: self.buffer.cursor(), ..Search::default() });
        Reaction::Consumed
    }

    /// A key while searching. What is no key of the search takes what was found, and then does what it does.
    pub(super) fn search_key(&mut self, key: Key) -> Reaction {
        let Some(search) = &mut self.search else { return Reaction::Ignored };
        match (self.keymap.action(Layer::Composer, key), key.typed()) {
            (Some(Action::Search | Action::Up), _) => self.look(true),
            (Some(Action::Down), _) => self.look(false),
            (Some(Action::Submit | Action::Queue), _) => {
                self.take_found();
                self.buffer.set_cursor(self.buffer.len());
            }
            (Some(Action::Close | Action::Clear | Action::Editor), _) => {
                if let Some(search) = self.search.take() {
                    self.recall(search.draft, search.cursor);
                }
            }
            (Some(Action::RubOut), _) => {
                search.wanted.pop();
                self.search_again();
            }
            (Some(Action::KillToStart), _) => {
                search.wanted.clear();
                self.search_again();
            }
            (Some(action), _) => {
                self.take_found();
                let reaction = self.act(action);
                self.quiet = true;
                return reaction;
            }
            (None, Some(char)) if !char.is_control() => {
                search.wanted.push(char);
                self.search_again();
            }
            _ => return Reaction::Ignored,
        }
        Reaction::Consumed
    }

    fn take_found(&mut self) {
        let Some(search) = self.search.take() else { return };
        if let Some((index, _)) = search.found {
            self.history.show(index, search.draft);
        }
    }

    /// What is wanted has changed: the entry that is shown may still have it.
    pub(super) fn search_again(&mut self) {
        let Some(search) = &mut self.search else { return };
        if search.wanted.is_empty() {
            (search.found, search.failed) = (None, false);
            let (draft, cursor) = (search.draft.clone(), search.cursor);
            return self.recall(draft, cursor);
        }
        let from = search.found.map_or(usize::MAX - 1, |(index, _)| index);
        // Less is wanted than before when it was rubbed out: then newer ones count as well.
        let found = self.history.find(&search.wanted, from, true);
        let newest = || self.history.find(&search.wanted, usize::MAX - 1, true);
        let found = found.or_else(newest);
        self.show_found(found);
    }

    fn look(&mut self, older: bool) {
        let Some(search) = &self.search else { return };
        if search.wanted.is_empty() {
            return;
        }
        let from = match (search.found, older) {
            (Some((index, _)), true) => index.checked_sub(1),
            (Some((index, _)), false) => Some(index + 1),
            (None, _) => None,
        };
        let shown = search.found.and_then(|(index, _)| self.history.get(index));
        let same = |found: &(usize, usize)| self.history.get(found.0) == shown;
        let found = from.and_then(|from| self.history.find(&search.wanted, from, older));
        self.show_found(found.filter(|found| !same(found)));
    }

    fn show_found(&mut self, found: Option<(usize, usize)>) {
        let Some(search) = &mut self.search else { return };
        search.failed = found.is_none();
        if let Some((index, at)) = found {
            search.found = found;
            if let Some(entry) = self.history.get(index).cloned() {
                self.recall(entry, at);
            }
        }
    }
}
