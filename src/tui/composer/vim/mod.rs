//! The small vim: insert and normal mode, operators with motions and counts, one register (the kill-ring).
//!
//! No visual mode, no macros, no ex commands: this is one field of a form. Keys that normal mode does not know
//! mean what they mean otherwise.

mod motion;

use crossterm::event::{KeyCode, KeyModifiers};

use super::{Composer, Reaction, buffer::Fragment, undo::Cause};
use crate::tui::keymap::{Action, Key, Layer};

/// No count repeats anything more often.
const MOST: usize = 999;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Delete,
    Change,
    Yank,
}

/// `f F t T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seek {
    back: bool,
    till: bool,
}

/// What the next key completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    G,
    Seek(Seek),
    Object { around: bool },
    Replace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Motion {
    /// Up to a place.
    To(usize),
    /// The cluster at the place as well.
    Onto(usize),
    /// Whole lines.
    Lines(usize),
}

/// The state of the mode.
#[derive(Debug, Default)]
pub(super) struct Vim {
    normal: bool,
    count: Option<usize>,
    operator: Option<(Operator, Option<usize>)>,
    waits: Option<Waits>,
    sought: Option<(Seek, char)>,
}

impl Vim {
    fn clear(&mut self) -> bool {
        let busy = self.count.is_some() || self.operator.is_some() || self.waits.is_some();
        (self.count, self.operator, self.waits) = (None, None, None);
        busy
    }

    fn digit(&mut self, digit: u32) {
        let count = self.count.unwrap_or(0).saturating_mul(10).saturating_add(digit as usize);
        self.count = Some(count.min(MOST));
    }

    /// The count before the operator times the one behind it.
    fn total(&self) -> Option<usize> {
        match (self.operator.and_then(|(_, count)| count), self.count) {
            (Some(first), Some(second)) => Some((first * second).min(MOST)),
            (first, second) => first.or(second),
        }
    }
}

impl Composer {
    /// Turns vim keys on or off.
    pub fn set_vim(&mut self, on: bool) {
        self.undo.ungroup();
        self.vim = on.then(Vim::default);
    }

    /// The mode to show: `NORMAL` or `INSERT` with vim keys, nothing without.
    #[must_use]
    pub fn mode(&self) -> Option<&'static str> {
        self.vim.as_ref().map(|vim| if vim.normal { "NORMAL" } else { "INSERT" })
    }

    pub(super) fn is_normal(&self) -> bool {
        self.vim.as_ref().is_some_and(|vim| vim.normal)
    }

    /// Esc in insert mode. False when there is nothing to leave.
    pub(super) fn leave_insertion(&mut self) -> bool {
        let Some(vim) = self.vim.as_mut().filter(|vim| !vim.normal) else { return false };
        vim.normal = true;
        self.undo.ungroup();
        let (at, body) = (self.buffer.cursor(), self.buffer.body());
        if at > body.line_start(at) {
            self.buffer.set_cursor(body.prev(at));
        }
        true
    }

    fn enter_insertion(&mut self) {
        if let Some(vim) = &mut self.vim {
            vim.normal = false;
        }
        self.undo.close();
        self.undo.group();
    }

    /// Where the cursor rests at the end of the text: in normal mode on the last cluster.
    pub(super) fn vim_resting_end(&self) -> usize {
        let len = self.buffer.len();
        if self.is_normal() { self.on_line(len) } else { len }
    }

    /// In normal mode the cursor stands on a cluster, never behind the last one of a line.
    fn on_line(&self, at: usize) -> usize {
        let body = self.buffer.body();
        if at == body.line_end(at) && at > body.line_start(at) { body.prev(at) } else { at }
    }

    /// A key in normal mode.
    pub(super) fn normal_key(&mut self, key: Key) -> Reaction {
        let reaction = self.normal(key);
        self.rest_on_line();
        reaction
    }

    pub(super) fn rest_on_line(&mut self) {
        let at = self.on_line(self.buffer.cursor());
        if self.is_normal() && at != self.buffer.cursor() {
            self.buffer.set_cursor(at);
        }
    }

    fn normal(&mut self, key: Key) -> Reaction {
        let Some(vim) = &mut self.vim else { return Reaction::Ignored };
        if let Some(char) = key.typed() {
            self.normal_char(char);
            return Reaction::Consumed;
        }
        let busy = vim.clear();
        if key == Key::new(KeyCode::Char('r'), KeyModifiers::CONTROL) {
            return self.act(Action::Redo);
        }
        match self.keymap.action(Layer::Composer, key) {
            Some(Action::Close) => return if busy { Reaction::Consumed } else { Reaction::Ignored },
            Some(Action::RubOut) => return self.act(Action::Left),
            Some(action) => return self.act(action),
            None => {}
        }
        Reaction::Ignored
    }

    fn normal_char(&mut self, char: char) {
        let Some(vim) = &mut self.vim else { return };
        let count = vim.total();
        let times = count.unwrap_or(1);
        match vim.waits.take() {
            Some(Waits::G) => {
                let motion = (char == 'g').then(|| self.line_motion(count.unwrap_or(1)));
                return self.moved(motion);
            }
            Some(Waits::Seek(seek)) => {
                vim.sought = Some((seek, char));
                let motion = self.seek(seek, char, times, false);
                return self.moved(motion);
            }
            Some(Waits::Object { around }) => {
                let range = self.word_object(char, around);
                let operator = self.vim.as_ref().and_then(|vim| vim.operator);
                self.clear_vim();
                if let (Some((operator, _)), Some(range)) = (operator, range) {
                    self.operate(operator, range, false);
                }
                return;
            }
            Some(Waits::Replace) => {
                self.clear_vim();
                return self.replace_clusters(char, times);
            }
            None => {}
        }
        let operator = vim.operator.map(|(operator, _)| operator);
        match char {
            '1'..='9' => vim.digit(char.to_digit(10).unwrap_or(0)),
            '0' if vim.count.is_some() => vim.digit(0),
            'g' => vim.waits = Some(Waits::G),
            'f' | 'F' | 't' | 'T' => {
                let seek = Seek { back: char.is_uppercase(), till: matches!(char, 't' | 'T') };
                vim.waits = Some(Waits::Seek(seek));
            }
            'i' | 'a' if operator.is_some() => vim.waits = Some(Waits::Object { around: char == 'a' }),
            'r' if operator.is_none() => vim.waits = Some(Waits::Replace),
            'd' | 'c' | 'y' => {
                let this = match char {
                    'd' => Operator::Delete,
                    'c' => Operator::Change,
                    _ => Operator::Yank,
                };
                match operator {
                    None => vim.operator = Some((this, vim.count.take())),
                    Some(other) if other == this => self.moved(Some(self.lines_down(times))),
                    Some(_) => self.clear_vim(),
                }
            }
            char => match self.motion(char, count) {
                Some(motion) => self.moved(motion),
                None if operator.is_some() => self.clear_vim(),
                None => {
                    self.clear_vim();
                    self.simple(char, times);
                }
            },
        }
    }

    fn clear_vim(&mut self) {
        if let Some(vim) = &mut self.vim {
            vim.clear();
        }
    }

    /// A motion has been typed: the cursor goes there, or the operator takes what lies between.
    fn moved(&mut self, motion: Option<Motion>) {
        let operator = self.vim.as_ref().and_then(|vim| vim.operator);
        self.clear_vim();
        let Some(motion) = motion else { return };
        let at = self.buffer.cursor();
        let body = self.buffer.body();
        let Some((operator, _)) = operator else {
            let to = match motion {
                Motion::To(to) | Motion::Onto(to) => to,
                Motion::Lines(to) => body.first_sign(to),
            };
            self.undo.close();
            return self.buffer.set_cursor(to);
        };
        let (range, lines) = match motion {
            Motion::To(to) => (at.min(to)..at.max(to), false),
            Motion::Onto(to) => (at.min(to)..body.next(at.max(to)), false),
            Motion::Lines(to) => (body.line_start(at.min(to))..body.line_end(at.max(to)), true),
        };
        self.operate(operator, range, lines);
    }

    fn operate(&mut self, operator: Operator, range: std::ops::Range<usize>, lines: bool) {
        let body = self.buffer.body();
        let kept = body.part(range.clone());
        let text_len = body.text.len();
        if lines && kept.is_empty() {
            // An empty line is a line all the same.
            self.kills.push("\n".into(), false);
        } else {
            self.kills.push(kept, lines);
        }
        self.undo.close();
        match operator {
            Operator::Yank => {
                let to = if lines { self.column_in(range.start) } else { range.start };
                self.buffer.set_cursor(to);
            }
            Operator::Delete if lines => {
                let whole = match (range.end < text_len, range.start > 0) {
                    (true, _) => range.start..range.end + 1,
                    (false, true) => range.start - 1..range.end,
                    (false, false) => range,
                };
                let start = whole.start;
                self.edit(whole, Fragment::default(), Cause::Other);
                self.buffer.set_cursor(self.buffer.body().first_sign(start));
            }
            Operator::Delete => {
                self.edit(range, Fragment::default(), Cause::Other);
            }
            Operator::Change => {
                self.enter_insertion();
                self.edit(range, Fragment::default(), Cause::Other);
            }
        }
    }

    /// The cursor's column, in the line that begins at `start`.
    fn column_in(&self, start: usize) -> usize {
        let body = self.buffer.body();
        let at = self.buffer.cursor();
        let mut steps = 0;
        let mut from = body.line_start(at);
        while from < at {
            from = body.next(from);
            steps += 1;
        }
        let end = body.line_end(start);
        (0..steps).fold(start, |at, _| if at < end { body.next(at) } else { at })
    }

    fn replace_clusters(&mut self, char: char, times: usize) {
        let body = self.buffer.body();
        let at = self.buffer.cursor();
        let end = (0..times).try_fold(at, |at, _| (at < body.line_end(at)).then(|| body.next(at)));
        if let Some(end) = end {
            self.undo.close();
            let new: String = std::iter::repeat_n(char, times).collect();
            self.edit(at..end, new.as_str().into(), Cause::Other);
            self.buffer.set_cursor(self.buffer.body().prev(self.buffer.cursor()));
        }
    }

    /// Keys that are neither motions nor operators.
    fn simple(&mut self, char: char, times: usize) {
        let body = self.buffer.body();
        let at = self.buffer.cursor();
        let end = body.line_end(at);
        let ahead = || (0..times).fold(at, |at, _| if at < end { body.next(at) } else { at });
        match char {
            'i' => self.enter_insertion(),
            'a' => self.insert_at(if at < end { body.next(at) } else { at }),
            'I' => self.insert_at(body.first_sign(at)),
            'A' => self.insert_at(end),
            'o' => self.open_line(end, end + 1),
            'O' => self.open_line(body.line_start(at), body.line_start(at)),
            'x' => self.operate(Operator::Delete, at..ahead(), false),
            'X' => {
                let start = body.line_start(at);
                let back = (0..times).fold(at, |at, _| if at > start { body.prev(at) } else { at });
                self.operate(Operator::Delete, back..at, false);
            }
            's' => self.operate(Operator::Change, at..ahead(), false),
            'S' => self.operate(Operator::Change, body.line_start(at)..end, true),
            'D' => self.operate(Operator::Delete, at..end, false),
            'C' => self.operate(Operator::Change, at..end, false),
            'Y' => {
                let lines = self.lines_down(times);
                if let Some(vim) = &mut self.vim {
                    vim.operator = Some((Operator::Yank, None));
                }
                self.moved(Some(lines));
            }
            'J' => {
                let next = body.first_sign((end + 1).min(body.text.len()));
                if end < body.text.len() {
                    self.undo.close();
                    self.edit(end..next, " ".into(), Cause::Other);
                    self.buffer.set_cursor(end);
                }
            }
            '~' => {
                let to = ahead();
                let part = body.part(at..to);
                if part.elements.is_empty() && to > at {
                    self.undo.close();
                    let turned: String = part.text.chars().flat_map(turned).collect();
                    self.edit(at..to, turned.as_str().into(), Cause::Other);
                }
            }
            'p' => self.put(true, times),
            'P' => self.put(false, times),
            'j' | 'k' => {
                for _ in 0..times {
                    if char == 'j' {
                        self.down()
                    } else {
                        self.up()
                    };
                    self.last = self.next_last;
                }
            }
            'u' => {
                for _ in 0..times {
                    self.act(Action::Undo);
                }
            }
            _ => {}
        }
    }

    fn insert_at(&mut self, at: usize) {
        self.enter_insertion();
        self.buffer.set_cursor(at);
    }

    fn open_line(&mut self, newline: usize, at: usize) {
        self.enter_insertion();
        self.edit(newline..newline, "\n".into(), Cause::Typing);
        self.buffer.set_cursor(at);
    }

    /// Puts the register behind the cursor or before it; lines go below or above.
    fn put(&mut self, behind: bool, times: usize) {
        let Some(kill) = self.kills.get(0) else { return };
        let (fragment, lines) = (kill.fragment.clone(), kill.lines);
        let mut all = Fragment::default();
        for _ in 0..times.min(1 + (1 << 20) / fragment.text.len().max(1)) {
            all.append(&fragment);
            if lines {
                all.text.push('\n');
            }
        }
        let body = self.buffer.body();
        let at = self.buffer.cursor();
        self.undo.close();
        self.labels.seen(&all);
        if lines {
            let mut place = body.line_start(at);
            if behind {
                place = body.line_end(at);
                all.text.pop();
                let mut below = Fragment::from("\n");
                below.append(&all);
                all = below;
            }
            self.edit(place..place, all, Cause::Other);
            self.buffer.set_cursor(self.buffer.body().first_sign(place + usize::from(behind)));
        } else {
            let place = if behind && at < body.line_end(at) { body.next(at) } else { at };
            self.edit(place..place, all, Cause::Other);
            self.buffer.set_cursor(self.buffer.body().prev(self.buffer.cursor()));
        }
    }
}

fn turned(char: char) -> Vec<char> {
    if char.is_uppercase() { char.to_lowercase().collect() } else { char.to_uppercase().collect() }
}
