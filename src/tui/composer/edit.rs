//! What the editing keys do, after readline.

use super::{
    Composer, Reaction,
    buffer::Fragment,
    kill::Side,
    undo::{Cause, Change},
};
use crate::tui::keymap::Action;

/// What the last key did, where that changes what the next one means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Last {
    #[default]
    Other,
    Kill,
    /// Put back the piece of an age between two places.
    Yank {
        start: usize,
        end: usize,
        age: usize,
    },
    /// Up or down, towards a column.
    Vertical(usize),
}

impl Composer {
    /// Puts a fragment in place of a range; every change of the text but undo goes through here.
    pub(super) fn edit(&mut self, range: std::ops::Range<usize>, new: Fragment, cause: Cause) -> Fragment {
        let before = self.buffer.cursor();
        let (at, removed) = self.buffer.replace(range, &new);
        self.revision += 1;
        if !(removed.is_empty() && new.is_empty()) {
            let change = Change { at, removed: removed.clone(), inserted: new };
            self.undo.push(cause, change, before, self.buffer.cursor());
        }
        removed
    }

    pub(super) fn insert(&mut self, text: &str) {
        let at = self.buffer.cursor();
        self.edit(at..at, text.into(), Cause::Typing);
    }

    /// Puts another text in place of the whole, as one step back.
    pub(super) fn recall(&mut self, text: Fragment, cursor: usize) {
        self.labels.seen(&text);
        self.edit(0..self.buffer.len(), text, Cause::Recall);
        self.buffer.set_cursor(cursor);
        self.quiet = true;
    }

    fn go(&mut self, at: usize) -> Reaction {
        self.buffer.set_cursor(at);
        self.undo.close();
        Reaction::Consumed
    }

    fn cut(&mut self, from: usize, to: usize, side: Side) -> Reaction {
        let removed = self.edit(from..to, Fragment::default(), Cause::Other);
        if self.last == Last::Kill {
            self.kills.join(&removed, side);
        } else {
            self.kills.push(removed, false);
        }
        self.next_last = Last::Kill;
        Reaction::Consumed
    }

    pub(super) fn act(&mut self, action: Action) -> Reaction {
        let at = self.buffer.cursor();
        let body = self.buffer.body();
        match action {
            Action::Submit => self.enter(),
            Action::Queue => self.queue(),
            Action::Newline => {
                self.insert("\n");
                Reaction::Consumed
            }
            Action::Left => self.go(body.prev(at)),
            Action::Right => self.go(body.next(at)),
            Action::WordLeft => self.go(body.word_left(at)),
            Action::WordRight => self.go(body.word_right(at)),
            Action::LineStart => self.go(body.line_start(at)),
            Action::LineEnd => self.go(body.line_end(at)),
            Action::TextStart => self.go(0),
            Action::TextEnd => self.go(self.buffer.len()),
            Action::Up => self.up(),
            Action::Down => self.down(),
            Action::RubOut => {
                self.edit(body.prev(at)..at, Fragment::default(), Cause::RubOut);
                Reaction::Consumed
            }
            Action::Delete if body.is_empty() => Reaction::Ignored,
            Action::Delete => {
                self.edit(at..body.next(at), Fragment::default(), Cause::Other);
                Reaction::Consumed
            }
            Action::KillWordLeft => self.cut(body.word_left(at), at, Side::Before),
            Action::KillBlankWord => self.cut(body.blank_word_left(at), at, Side::Before),
            Action::KillWordRight => self.cut(at, body.word_right(at), Side::Behind),
            Action::KillToEnd => {
                let end = body.line_end(at);
                self.cut(at, if end == at { body.next(at) } else { end }, Side::Behind)
            }
            Action::KillToStart => {
                let start = body.line_start(at);
                self.cut(if start == at { body.prev(at) } else { start }, at, Side::Before)
            }
            Action::Yank => self.yank(at, at, 0),
            Action::YankPop => match self.last {
                Last::Yank { start, end, age } => self.yank(start, end, age + 1),
                _ => Reaction::Consumed,
            },
            Action::Transpose => self.transpose(),
            Action::Uppercase => self.recase(|word| word.to_uppercase()),
            Action::Lowercase => self.recase(|word| word.to_lowercase()),
            Action::Capitalize => self.recase(capitalized),
            Action::Undo => self.undone(|undo, buffer| undo.undo(buffer)),
            Action::Redo => self.undone(|undo, buffer| undo.redo(buffer)),
            Action::Search => self.start_search(),
            Action::Editor => Reaction::Editor,
            Action::Clear if body.is_empty() => Reaction::Ignored,
            Action::Clear => {
                let draft = body.clone();
                self.edit(0..self.buffer.len(), Fragment::default(), Cause::Other);
                // Not lost: it is the newest of the earlier messages, and a step back.
                self.history.add(draft);
                Reaction::Consumed
            }
            Action::Close if self.leave_insertion() => Reaction::Consumed,
            _ => Reaction::Ignored,
        }
    }

    fn undone(
        &mut self,
        turn: impl FnOnce(&mut super::undo::Undo, &mut super::buffer::Buffer) -> bool,
    ) -> Reaction {
        if turn(&mut self.undo, &mut self.buffer) {
            self.revision += 1;
        }
        self.quiet = true;
        Reaction::Consumed
    }

    fn yank(&mut self, start: usize, end: usize, age: usize) -> Reaction {
        if let Some(kill) = self.kills.get(age) {
            let fragment = kill.fragment.clone();
            let length = fragment.text.len();
            self.labels.seen(&fragment);
            self.edit(start..end, fragment, Cause::Other);
            self.next_last = Last::Yank { start, end: start + length, age };
        }
        Reaction::Consumed
    }

    /// Swaps the clusters around the cursor; at the end of a line, the two before it.
    fn transpose(&mut self) -> Reaction {
        let body = self.buffer.body();
        let at = self.buffer.cursor();
        let middle = if at == body.line_end(at) { body.prev(at) } else { at };
        let (start, end) = (body.prev(middle), body.next(middle));
        if middle > body.line_start(at) && start < middle && middle < end {
            let mut swapped = body.part(middle..end);
            swapped.append(&body.part(start..middle));
            self.edit(start..end, swapped, Cause::Other);
        }
        Reaction::Consumed
    }

    fn recase(&mut self, change: impl Fn(&str) -> String) -> Reaction {
        let body = self.buffer.body();
        let at = self.buffer.cursor();
        let end = body.word_right(at);
        let part = body.part(at..end);
        if part.elements.is_empty() {
            self.edit(at..end, change(&part.text).as_str().into(), Cause::Other);
        } else {
            self.buffer.set_cursor(end);
        }
        Reaction::Consumed
    }

    /// A row up; from the first row, or through entries that were called up, to the history.
    pub(super) fn up(&mut self) -> Reaction {
        if !self.walks_history() && self.vertical(-1) {
            return Reaction::Consumed;
        }
        match self.history.older(self.buffer.body()) {
            Some(entry) => {
                let end = entry.text.len();
                self.recall(entry, end);
            }
            None => {
                self.go(0);
            }
        }
        Reaction::Consumed
    }

    pub(super) fn down(&mut self) -> Reaction {
        if !self.walks_history() && self.vertical(1) {
            return Reaction::Consumed;
        }
        match self.history.newer(self.buffer.body()) {
            Some(entry) => {
                let end = entry.text.len();
                self.recall(entry, end);
            }
            None if self.buffer.body().is_empty() => return Reaction::Ignored,
            None => {
                self.go(self.buffer.len());
            }
        }
        Reaction::Consumed
    }

    /// Whether an entry is shown as it was called up, with the cursor where calling up leaves it.
    fn walks_history(&self) -> bool {
        let at = self.buffer.cursor();
        let resting = self.vim_resting_end();
        (at == 0 || at == self.buffer.len() || at == resting) && self.history.shows(self.buffer.body())
    }

    /// Moves by rows as drawn last. False when there is no such row.
    fn vertical(&mut self, by: isize) -> bool {
        let columns = self.columns.get();
        let at = self.buffer.cursor();
        let (target, column) = {
            let body = self.buffer.body();
            let mut layout = self.buffer.layout.borrow_mut();
            layout.refresh(body, columns);
            let Some(row) = layout.row_of(at).checked_add_signed(by).filter(|row| *row < layout.rows())
            else {
                return false;
            };
            let column = match self.last {
                Last::Vertical(column) => column,
                _ => layout.column_of(body, at),
            };
            (layout.at_column(body, row, column), column)
        };
        if target == at {
            return false;
        }
        self.go(target);
        self.next_last = Last::Vertical(column);
        true
    }
}

fn capitalized(word: &str) -> String {
    let start = word.find(char::is_alphanumeric).unwrap_or(word.len());
    let (signs, rest) = word.split_at(start);
    let mut chars = rest.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{signs}{first}{}", chars.as_str().to_lowercase())
}
