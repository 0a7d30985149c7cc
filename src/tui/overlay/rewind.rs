//! Going back to before a message: the person's own messages, to choose from.

use crate::protocol::{Content, Seq, words};
use crate::session::Session;
use crate::tui::{action::Action, host::Question, keymap::Key, term::Size, text::plain::first};

use super::{
    Look, Overlay, Page, Place, Reaction, conversation,
    menu::{Entry, Menu},
};

/// Bytes of a message that are shown.
const SHOWN: usize = 300;

/// The messages that the conversation can go back to before, the last one first.
pub(in crate::tui) struct Rewind {
    menu: Menu<(Seq, String)>,
}

impl Rewind {
    /// Nothing, when nothing was said.
    pub(in crate::tui) fn new(session: &Session) -> Option<Self> {
        let entries: Vec<_> = session.said().rev().map(|(seq, content)| entry(seq, content)).collect();
        if entries.is_empty() {
            return None;
        }
        let menu = Menu::new("Go back to before which message?", entries)
            .about("It comes back to be edited. Files can go back as well; you are asked, and nothing is changed before.")
            .filtered();
        Some(Self { menu })
    }
}

fn entry(seq: Seq, content: &[Content]) -> Entry<(Seq, String)> {
    let text = words(content);
    let pictures = content.iter().filter(|part| matches!(part, Content::Image { .. })).count();
    let label = first(text.trim(), SHOWN).split_whitespace().collect::<Vec<_>>().join(" ");
    let entry = Entry::new((seq, text), if label.is_empty() { "(no words)" } else { &label });
    if pictures == 0 { entry } else { entry.about("its pictures have to be attached again") }
}

impl Overlay for Rewind {
    fn place(&self) -> Place {
        Place::Below
    }

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        self.menu.key(key).or_choose(|| match self.menu.selected() {
            None => Reaction::Consumed,
            Some((to, text)) => Reaction::Close(match look.session.files_before(*to) {
                Ok(known) => {
                    let (to, text) = (*to, text.clone());
                    vec![Action::Ask(Question::WouldRewind { to, text, known })]
                }
                // No file was changed since, as far as that is known.
                Err(_) => conversation(*to, text),
            }),
        })
    }

    fn paste(&mut self, text: &str) {
        self.menu.paste(text);
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        self.menu.draw(size, look.theme)
    }
}
