//! The sessions that are kept: found by their words, looked at, opened, named, put away, deleted.

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::text::Line;

use crate::protocol::{SessionId, printable};
use crate::tui::{
    action::Action,
    host::{Answer, Known, Question, Switch},
    keymap::Key,
    status::short,
    term::Size,
    text::{Break, Prefix, Text, plain::plain},
    theme::Theme,
};

use super::{
    Look, Overlay, Page, Place, Reaction,
    menu::{Entry, Menu, Picked, ROOMY, TALLEST},
};

/// With fewer rows than this the list has all of them.
const PREVIEWED: u16 = 16;
/// Bytes of a message in the preview.
const SHOWN: usize = 2_000;

/// The sessions to choose from.
pub(in crate::tui) struct Sessions {
    /// Nothing until they were read.
    all: Option<Vec<Known>>,
    menu: Menu<SessionId>,
    /// Those of every directory, and not of this one alone.
    everywhere: bool,
    /// Those that were put away, and not the others.
    archived: bool,
    /// The one that is open.
    current: Option<SessionId>,
    preview: Option<(SessionId, Vec<(bool, String)>)>,
    /// The session whose last words were asked for.
    asked: Option<SessionId>,
    doing: Doing,
    said: Option<String>,
    /// The program was started for this list: it ends with it.
    only: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Doing {
    Choosing,
    /// A name is being typed.
    Naming(SessionId, String),
    /// It is asked whether this one is to be deleted.
    Deleting(SessionId),
}

impl Sessions {
    /// The list, and what has to be asked for it. With `only`, closing it is leaving.
    pub(in crate::tui) fn open(only: bool, current: Option<SessionId>) -> (Self, Action) {
        let sessions = Self {
            all: None,
            menu: Menu::new("", Vec::new()).filtered(),
            everywhere: false,
            archived: false,
            current,
            preview: None,
            asked: None,
            doing: Doing::Choosing,
            said: None,
            only,
        };
        (sessions, Action::Ask(Question::Sessions))
    }

    fn rebuild(&mut self, now_ms: u64) {
        let entries = self.all.iter().flatten().filter(|known| self.lists(known));
        let entries: Vec<_> = entries
            .map(|known| entry(known, self.everywhere, now_ms).current(self.current == Some(known.id)))
            .collect();
        self.menu.set_entries(entries);
    }

    fn lists(&self, known: &Known) -> bool {
        known.archived == self.archived && (self.everywhere || known.here)
    }

    fn selected(&self) -> Option<&Known> {
        let id = self.menu.selected()?;
        self.all.iter().flatten().find(|known| known.id == *id)
    }

    fn close(&self) -> Reaction {
        Reaction::Close(if self.only { vec![Action::Quit] } else { Vec::new() })
    }

    fn choosing(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        let control = key.modifiers == KeyModifiers::CONTROL;
        let selected = self.selected().map(|known| (known.id, known.title.clone(), known.archived));
        match (key.code, selected) {
            (KeyCode::Tab, _) => {
                self.everywhere = !self.everywhere;
                self.rebuild(look.now_ms);
            }
            (KeyCode::Char('o'), _) if control => {
                self.archived = !self.archived;
                self.rebuild(look.now_ms);
            }
            (KeyCode::Char('r'), Some((id, title, _))) if control => self.doing = Doing::Naming(id, title),
            (KeyCode::Char('a'), Some((session, _, archived))) if control => {
                return ask(Question::Archive { session, away: !archived });
            }
            (KeyCode::Char('d'), Some((id, ..))) if control => self.doing = Doing::Deleting(id),
            (KeyCode::Delete, Some((id, ..))) => self.doing = Doing::Deleting(id),
            _ => match self.menu.key(key) {
                Picked::Ignored => return Reaction::Ignored,
                Picked::Closed => return self.close(),
                Picked::Consumed => {}
                Picked::Chosen => return self.chosen(look),
            },
        }
        Reaction::Consumed
    }

    /// The last words of the selected session, once.
    fn wanted(&mut self) -> Option<Question> {
        let id = *self.menu.selected()?;
        (self.asked.replace(id) != Some(id)).then_some(Question::Words(id))
    }

    fn chosen(&self, look: &Look<'_>) -> Reaction {
        match self.menu.selected() {
            None => Reaction::Consumed,
            // It is open already.
            Some(id) if look.session.id == Some(*id) => self.close(),
            Some(id) => Reaction::Close(vec![Action::Switch(Switch::Resume(*id))]),
        }
    }

    fn naming(&mut self, key: Key, session: SessionId, mut name: String, look: &Look<'_>) -> Reaction {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Enter => {
                let title = name.trim().to_owned();
                if look.session.id == Some(session) {
                    let rename = crate::protocol::Command::Rename { title };
                    return Reaction::Do(vec![Action::Send(rename), Action::Ask(Question::Sessions)]);
                }
                return ask(Question::Rename { session, title });
            }
            KeyCode::Esc => return Reaction::Consumed,
            KeyCode::Char('c') if control => return Reaction::Consumed,
            KeyCode::Backspace => drop(name.pop()),
            KeyCode::Char('u') if control => name.clear(),
            _ => name.extend(key.typed().filter(|char| !char.is_control())),
        }
        self.doing = Doing::Naming(session, name);
        Reaction::Consumed
    }

    /// What the list is, and what the keys do.
    fn frame(&self, theme: &Theme, size: Size) -> (Vec<Line<'static>>, Vec<Line<'static>>, Option<u16>) {
        let place = if self.everywhere { "all directories" } else { "this directory" };
        let what = if self.archived { "Archived sessions" } else { "Sessions" };
        let prose = |text: &str, style| {
            Text::of(text, style).rows(size.columns, Break::Words, &Prefix::hanging("  ", style))
        };
        let head = prose(&format!("{what} of {place}"), theme.heading);
        let mut cursor = None;
        let below = match &self.doing {
            Doing::Naming(_, name) => {
                let name = plain(name).into_owned();
                let row = format!("Name: {name}");
                let rows = prose(&row, theme.accent);
                cursor = rows.last().map(|row| u16::try_from(row.width()).unwrap_or(u16::MAX));
                rows
            }
            Doing::Deleting(id) => {
                let title = self.all.iter().flatten().find(|known| known.id == *id);
                let title = title.map(|known| plain(&known.title).into_owned()).unwrap_or_default();
                prose(&format!("Delete “{title}” for good, with all that it keeps? y deletes"), theme.warning)
            }
            Doing::Choosing => {
                let put = if self.archived { "back" } else { "archive" };
                let other = if self.archived { "not archived" } else { "archived" };
                let wide = if self.everywhere { "this directory" } else { "all" };
                prose(&format!("Tab {wide} · ^R rename · ^A {put} · ^D delete · ^O {other}"), theme.dim)
            }
        };
        (head, below, cursor)
    }

    fn preview(&self, size: Size, theme: &Theme) -> Vec<Line<'static>> {
        let mut rows = Vec::new();
        let Some(known) = self.selected() else { return rows };
        let rule = "─".repeat(usize::from(size.columns));
        rows.push(Line::styled(rule, theme.dim));
        let mut said: Vec<Line<'static>> = Vec::new();
        if let Some((id, words)) = &self.preview
            && *id == known.id
        {
            for (person, text) in words {
                let (mark, style) = if *person { ("› ", theme.user) } else { ("• ", theme.plain) };
                let text = printable(crate::tui::text::plain::last(text.trim(), SHOWN)).into_owned();
                let mut all = Text::default();
                for (index, line) in text.lines().enumerate() {
                    all.push(if index > 0 { "\n" } else { "" }, style);
                    all.push(&plain(line), style);
                }
                said.extend(all.rows(size.columns, Break::Words, &Prefix::hanging(mark, style)));
            }
        }
        let room = usize::from(size.rows).saturating_sub(1);
        let skip = said.len().saturating_sub(room);
        rows.extend(said.into_iter().skip(skip));
        rows
    }
}

fn ask(question: Question) -> Reaction {
    Reaction::Do(vec![Action::Ask(question)])
}

fn entry(known: &Known, everywhere: bool, now_ms: u64) -> Entry<SessionId> {
    let title = if known.title.trim().is_empty() { "(nothing was said)" } else { known.title.trim() };
    let mut about = vec![age(now_ms.saturating_sub(known.changed_ms))];
    about
        .extend(known.turns.map(|turns| if turns == 1 { "1 turn".into() } else { format!("{turns} turns") }));
    about.push(format!("{}B", short(known.size)));
    if known.fork {
        about.push("fork".to_owned());
    }
    if everywhere {
        about.push(known.directory.clone());
    }
    Entry::new(known.id, title).about(&about.join(" · "))
}

/// A time span as people say it.
fn age(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0 => "now".to_owned(),
        1..60 => format!("{minutes} min"),
        60..1440 => format!("{} h", minutes / 60),
        1440..2880 => "1 day".to_owned(),
        _ => format!("{} days", minutes / 1440),
    }
}

impl Overlay for Sessions {
    fn place(&self) -> Place {
        Place::Full
    }

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        self.said = None;
        match std::mem::replace(&mut self.doing, Doing::Choosing) {
            Doing::Choosing => self.choosing(key, look),
            Doing::Naming(id, name) => self.naming(key, id, name, look),
            Doing::Deleting(session) if key.typed() == Some('y') => ask(Question::Delete(session)),
            Doing::Deleting(_) => Reaction::Consumed,
        }
    }

    fn paste(&mut self, text: &str) {
        match &mut self.doing {
            Doing::Choosing => self.menu.paste(text),
            Doing::Naming(_, name) => name.push_str(&plain(text.trim())),
            Doing::Deleting(_) => {}
        }
    }

    fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Sessions { known, now_ms } => {
                self.all = Some(known.clone());
                // Nothing is here, and something is elsewhere.
                if self.only && !known.iter().any(|known| self.lists(known)) {
                    self.everywhere |= known.iter().any(|known| !known.archived && !known.here);
                }
                self.rebuild(*now_ms);
            }
            Answer::Words { session, words } => self.preview = Some((*session, words.clone())),
            Answer::Failed { problem, .. } => self.said = Some(problem.clone()),
            _ => {}
        }
    }

    fn wants(&mut self, _look: &Look<'_>) -> Vec<Question> {
        self.wanted().into_iter().collect()
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        let (mut rows, mut below, column) = self.frame(look.theme, size);
        if let Some(said) = &self.said {
            below = Text::of(&plain(said), look.theme.warning).rows(
                size.columns,
                Break::Words,
                &Prefix::hanging("  ", look.theme.warning),
            );
        }
        let most = usize::from(size.rows);
        if most < ROOMY {
            let full = |rows: &[_], below: &[_]| rows.len() + below.len() + TALLEST > most;
            // Hints go first, and then what the list is: what Enter would choose is seen, and what is asked.
            if self.doing == Doing::Choosing && self.said.is_none() && full(&rows, &below) {
                below.clear();
            }
            if full(&rows, &below) {
                rows.clear();
            }
            // A question ends with its answers.
            let over = if self.said.is_none() { below.len().saturating_sub(most) } else { 0 };
            below.drain(..over);
            below.truncate(if self.said.is_some() { most.saturating_sub(2).max(1) } else { most });
        }
        let room = most.saturating_sub(rows.len() + below.len());
        let previewed = if size.rows >= PREVIEWED { room * 2 / 5 } else { 0 };
        let fit = |rows: usize| Size { rows: u16::try_from(rows).unwrap_or(u16::MAX), ..size };
        let mut cursor = None;
        if self.all.is_none() {
            rows.push(Line::styled("  reading …", look.theme.dim));
        } else {
            let page = self.menu.draw(fit(room.saturating_sub(previewed).max(1)), look.theme);
            let above = u16::try_from(rows.len()).unwrap_or(u16::MAX);
            cursor = page.cursor.map(|(column, row)| (column, row.saturating_add(above)));
            rows.extend(page.rows);
        }
        rows.resize(usize::from(size.rows).saturating_sub(below.len() + previewed), Line::default());
        if previewed > 0 {
            rows.extend(self.preview(fit(previewed), look.theme));
        }
        rows.resize(usize::from(size.rows).saturating_sub(below.len()), Line::default());
        if let Some(column) = column {
            let row = rows.len() + below.len() - 1;
            cursor = Some((column, u16::try_from(row).unwrap_or(u16::MAX)));
        }
        rows.extend(below);
        rows.truncate(usize::from(size.rows));
        Page { rows, cursor }
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
