//! The question whether the turn goes on although the budget is reached.

use crate::protocol::Command;
use crate::session::Session;
use crate::tui::{action::Action, keymap::Key, term::Size};

use super::{
    Look, Overlay, Page, Place, Reaction,
    menu::{Entry, Menu},
};

/// The question. Until it is answered the turn waits; closed without an answer, `/budget` answers it.
pub(in crate::tui) struct OverBudget {
    menu: Menu<Option<Command>>,
}

impl OverBudget {
    pub(in crate::tui) fn new(reason: &str) -> Self {
        let entries = vec![
            // The first one is what a key that was on its way may choose.
            Entry::new(None, "Leave it paused").about("/budget sets another one, and lets it go on"),
            Entry::new(Some(Command::Extend), "Go on, with as much again"),
            Entry::new(Some(Command::Interrupt), "End the turn here"),
        ];
        Self { menu: Menu::new(&format!("The budget is reached: {reason}"), entries) }
    }
}

impl Overlay for OverBudget {
    fn place(&self) -> Place {
        Place::Below
    }

    fn key(&mut self, key: Key, _look: &Look<'_>) -> Reaction {
        self.menu.key(key).or_choose(|| {
            let chosen = self.menu.selected().and_then(Option::clone);
            Reaction::Close(chosen.map(Action::Send).into_iter().collect())
        })
    }

    fn is_over(&self, session: &Session) -> bool {
        session.spending.reached.is_none()
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        self.menu.draw(size, look.theme)
    }
}
