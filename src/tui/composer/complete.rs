//! The three popups: `/` commands with their arguments, `@` files, and `$` skills.
//!
//! A popup follows what is typed and never what is called up. Files are searched elsewhere: the popup says what
//! it wants ([`Reaction::WantFiles`]) and shows what it is given.

use std::ops::Range;

use super::{
    Composer, Reaction,
    buffer::Fragment,
    files::{FileMatch, quoted},
    undo::Cause,
};
use crate::tui::keymap::{Action, Key, Layer};

/// How far back a word under the cursor is looked for.
const REACH: usize = 512;

/// A command that can be typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandSpec {
    /// Without the slash.
    pub name: String,
    /// One line.
    pub about: String,
    /// What may follow the name: `[model]`; what must: `<name>`; empty when nothing does.
    pub usage: String,
    /// Words to offer behind the name.
    pub args: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Commands,
    Arguments,
    Files { query: String, waiting: bool },
    Skills,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub label: String,
    pub about: String,
    /// Characters of the label to show as matched.
    pub marks: Vec<u32>,
    insert: String,
    /// Something must be typed behind it.
    unfinished: bool,
}

#[derive(Debug)]
pub(super) struct Popup {
    pub kind: Kind,
    /// What a choice replaces.
    range: Range<usize>,
    pub rows: Vec<Row>,
    pub selected: usize,
    moved: bool,
}

impl Composer {
    /// Shows the popup that the text asks for. Called after a change that was typed.
    pub(super) fn refresh_popup(&mut self) {
        let wanted = self.wanted_popup();
        let start = wanted.as_ref().map(|popup| popup.range.start);
        let left = self.dismissed.is_some_and(|closed| self.buffer.cursor() <= closed);
        if left || (start.is_some() && start != self.dismissed) {
            self.dismissed = None;
        }
        let mut wanted = wanted.filter(|_| self.dismissed.is_none());
        // Until the answer comes, the files of the last query are better than none.
        if let (Some(new), Some(old)) = (&mut wanted, &mut self.popup)
            && matches!((&new.kind, &old.kind), (Kind::Files { .. }, Kind::Files { .. }))
        {
            new.rows = std::mem::take(&mut old.rows);
        }
        self.popup = wanted;
    }

    fn wanted_popup(&self) -> Option<Popup> {
        let body = self.buffer.body();
        let at = self.buffer.cursor();
        slash(body, at, &self.commands).or_else(|| self.skills_popup(body, at)).or_else(|| {
            let start = at_word(body, at, '@')?;
            let kind = Kind::Files { query: body.slice(start + 1..at).to_owned(), waiting: true };
            Some(Popup { kind, range: start..at, rows: Vec::new(), selected: 0, moved: false })
        })
    }

    fn skills_popup(&self, body: &Fragment, at: usize) -> Option<Popup> {
        let start = at_word(body, at, '$')?;
        let typed = body.slice(start + 1..at);
        let rows: Vec<Row> = best(typed, &self.skills, |(name, _)| name)
            .into_iter()
            .map(|((name, about), marks)| Row {
                label: format!("${name}"),
                about: about.clone(),
                marks: marks.into_iter().map(|mark| mark + 1).collect(),
                insert: name.clone(),
                unfinished: false,
            })
            .collect();
        (!rows.is_empty()).then_some(Popup {
            kind: Kind::Skills,
            range: start..at,
            rows,
            selected: 0,
            moved: false,
        })
    }

    /// Where the `$` of the word before the cursor stands.
    pub(super) fn dollar(&self) -> Option<usize> {
        at_word(self.buffer.body(), self.buffer.cursor(), '$')
    }

    /// The skills that can be called for, with what they are for.
    pub fn set_skills(&mut self, skills: Vec<(String, String)>) {
        self.skills = skills;
        if self.dollar().is_some() && !self.is_normal() && self.search.is_none() {
            self.refresh_popup();
        }
    }

    /// The query of the file popup.
    pub(super) fn file_query(&self) -> Option<&str> {
        match &self.popup.as_ref()?.kind {
            Kind::Files { query, .. } => Some(query),
            _ => None,
        }
    }

    /// The files for a query. An answer to an older query is passed over.
    pub fn set_files(&mut self, query: &str, found: Vec<FileMatch>) {
        let Some(popup) = &mut self.popup else { return };
        let Kind::Files { query: asked, waiting } = &mut popup.kind else { return };
        if asked != query {
            return;
        }
        *waiting = false;
        popup.rows = found
            .into_iter()
            .map(|found| Row {
                insert: found.path.clone(),
                label: found.path,
                about: String::new(),
                marks: found.positions,
                unfinished: false,
            })
            .collect();
        popup.selected = 0;
        popup.moved = false;
    }

    /// A key while a popup is open; nothing when it is not the popup's.
    pub(super) fn popup_key(&mut self, key: Key) -> Option<Reaction> {
        let popup = self.popup.as_mut()?;
        let rows = popup.rows.len();
        match self.keymap.action(Layer::Composer, key)? {
            Action::Close => {
                self.dismissed = Some(popup.range.start);
                self.popup = None;
                Some(Reaction::Consumed)
            }
            action @ (Action::Up | Action::Down) if rows > 0 => {
                let step = if action == Action::Up { rows - 1 } else { 1 };
                popup.selected = (popup.selected + step) % rows;
                popup.moved = true;
                Some(Reaction::Consumed)
            }
            Action::Queue if rows > 0 => {
                self.choose(false);
                Some(Reaction::Consumed)
            }
            // Nothing to complete; and a Tab that queued here would surprise.
            Action::Queue => Some(Reaction::Consumed),
            Action::Submit if rows > 0 => self.choose_and_enter(),
            _ => None,
        }
    }

    fn choose_and_enter(&mut self) -> Option<Reaction> {
        let popup = self.popup.as_ref()?;
        let row = popup.rows.get(popup.selected)?;
        let unfinished = row.unfinished;
        let typed = self.buffer.body().slice(popup.range.clone());
        if typed.ends_with('\\') {
            return None;
        }
        match popup.kind {
            Kind::Files { .. } | Kind::Skills => {
                self.choose(true);
                Some(Reaction::Consumed)
            }
            // A bare Enter behind `/model ` means what is written.
            Kind::Arguments if typed.is_empty() && !popup.moved => None,
            Kind::Arguments | Kind::Commands => {
                self.choose(true);
                if unfinished { Some(Reaction::Consumed) } else { Some(self.enter()) }
            }
        }
    }

    /// Puts the chosen row into the text. Tab on a directory goes on inside it.
    fn choose(&mut self, finished: bool) {
        let Some(popup) = self.popup.take() else { return };
        let Some(row) = popup.rows.get(popup.selected) else { return };
        let (text, goes_on) = match popup.kind {
            Kind::Commands => (format!("/{}", row.insert), false),
            Kind::Arguments => (row.insert.clone(), false),
            Kind::Files { .. } if !finished && row.insert.ends_with('/') => {
                (format!("@{}", row.insert), !row.insert.contains(char::is_whitespace))
            }
            Kind::Files { .. } => (quoted(&row.insert), false),
            Kind::Skills => (format!("${}", row.insert), false),
        };
        self.undo.close();
        self.edit(popup.range, text.as_str().into(), Cause::Other);
        if !goes_on {
            self.space_behind();
            self.quiet = popup.kind != Kind::Commands;
        }
    }

    /// One blank behind the cursor, which then stands behind the blank.
    fn space_behind(&mut self) {
        let at = self.buffer.cursor();
        if self.buffer.body().is_blank(at) {
            self.buffer.set_cursor(at + 1);
        } else {
            self.edit(at..at, " ".into(), Cause::Other);
        }
    }
}

fn slash(body: &Fragment, at: usize, commands: &[CommandSpec]) -> Option<Popup> {
    let rest = body.text.strip_prefix('/')?;
    let line = body.slice(0..at);
    if line.contains('\n') || at == 0 || at > REACH {
        return None;
    }
    let name_end = 1 + rest.find(char::is_whitespace).unwrap_or(rest.len());
    let popup = |kind, range, rows: Vec<Row>| {
        (!rows.is_empty()).then_some(Popup { kind, range, rows, selected: 0, moved: false })
    };
    if at <= name_end {
        let rows =
            best(body.slice(1..at), commands, |spec| &spec.name).into_iter().map(|(spec, marks)| Row {
                label: match spec.usage.as_str() {
                    "" => format!("/{}", spec.name),
                    usage => format!("/{} {usage}", spec.name),
                },
                about: spec.about.clone(),
                marks: marks.into_iter().map(|mark| mark + 1).collect(),
                insert: spec.name.clone(),
                unfinished: spec.usage.starts_with('<')
                    && body.slice(name_end..body.text.len()).trim().is_empty(),
            });
        return popup(Kind::Commands, 0..name_end, rows.collect());
    }
    let spec = commands.iter().find(|spec| body.slice(1..name_end) == spec.name)?;
    let start = line.rfind(char::is_whitespace)? + 1;
    let typed = body.slice(start..at);
    let rows = best(typed, &spec.args, |word| word)
        .into_iter()
        .map(|(word, marks)| Row {
            label: word.clone(),
            about: String::new(),
            marks,
            insert: word.clone(),
            unfinished: false,
        })
        .collect();
    // Done: what is typed is a word of the list, so there is nothing to choose.
    let done = spec.args.iter().any(|word| word == typed);
    if done { None } else { popup(Kind::Arguments, start..at, rows) }
}

/// What fits a typed word: the same, then what begins with it, has it, or has its letters in order; with the
/// characters that fit. Within each in the order given.
fn best<'a, T>(typed: &str, all: &'a [T], name: impl Fn(&T) -> &str) -> Vec<(&'a T, Vec<u32>)> {
    let typed = typed.to_lowercase();
    let mut found: Vec<(u8, usize, Vec<u32>)> = Vec::new();
    for (index, entry) in all.iter().enumerate() {
        let name = name(entry).to_lowercase();
        let run = |from: usize| {
            let first = u32::try_from(name.chars().count().min(from)).unwrap_or(0);
            (first..).take(typed.chars().count()).collect()
        };
        let fit = match name.find(&typed) {
            Some(0) if name.len() == typed.len() => Some((0, run(0))),
            Some(0) => Some((1, run(0))),
            Some(at) => Some((2, run(name.get(..at).map_or(0, |before| before.chars().count())))),
            None => in_order(&typed, &name).map(|marks| (3, marks)),
        };
        found.extend(fit.map(|(class, marks)| (class, index, marks)));
    }
    found.sort_by_key(|(class, index, _)| (*class, *index));
    found.into_iter().filter_map(|(_, index, marks)| Some((all.get(index)?, marks))).collect()
}

fn in_order(typed: &str, name: &str) -> Option<Vec<u32>> {
    let mut chars = (0u32..).zip(name.chars());
    typed.chars().map(|wanted| chars.find(|(_, char)| *char == wanted).map(|(at, _)| at)).collect()
}

/// Where the sign (such as `@`) of the word before the cursor stands.
fn at_word(body: &Fragment, at: usize, wanted: char) -> Option<usize> {
    let mut from = at.saturating_sub(REACH);
    while !body.text.is_char_boundary(from) {
        from += 1;
    }
    let near = body.slice(from..at);
    let start = near.rfind(char::is_whitespace).map_or(0, |blank| {
        blank + near.get(blank..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
    });
    let word = near.get(start..)?;
    let sign = word.find(wanted)?;
    let before = word.get(..sign)?.chars().next_back();
    let opens =
        before.is_none_or(|char| matches!(char, '(' | '[' | '{' | '"' | '\'' | '`' | ',' | ':' | '!'));
    let place = from + start + sign;
    (opens && (from == 0 || start > 0) && body.element_over(place).is_none()).then_some(place)
}
