//! A list to choose from: arrows, numbers, and (where it is wanted) letters that leave only what matches.
//!
//! It is a part of a view and no view itself: whoever shows it says what a choice means, and asks first for the
//! keys that it knows beyond these.

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::text::{Line, Span};

use crate::tui::{
    keymap::Key,
    term::Size,
    text::{Break, Prefix, Text, columns, plain::plain},
    theme::Theme,
};

use super::{Page, Reaction};

/// With fewer rows than this there is no room for blank ones.
pub(super) const ROOMY: usize = 10;
/// Rows of an entry at most, so that a long sentence does not push the others out.
pub(super) const TALLEST: usize = 4;

/// A line that can be chosen.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tui) struct Entry<T> {
    pub(in crate::tui) value: T,
    label: String,
    about: String,
    current: bool,
}

/// What a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui) enum Picked {
    /// The key means nothing to a list.
    Ignored,
    Consumed,
    /// The selected entry is chosen.
    Chosen,
    Closed,
}

impl Picked {
    /// What that means for a view that is nothing but the list; what a choice means is the view's to say.
    pub(super) fn or_choose(self, chosen: impl FnOnce() -> Reaction) -> Reaction {
        match self {
            Self::Ignored => Reaction::Ignored,
            Self::Consumed => Reaction::Consumed,
            Self::Closed => Reaction::Close(Vec::new()),
            Self::Chosen => chosen(),
        }
    }
}

/// A list to choose from.
#[derive(Debug, Clone)]
pub(in crate::tui) struct Menu<T> {
    title: String,
    /// A sentence below the title.
    about: String,
    entries: Vec<Entry<T>>,
    /// What was typed; nothing where letters are keys of the view.
    filter: Option<String>,
    /// The entries that match, by their place.
    shown: Vec<usize>,
    /// Which of those is selected.
    at: usize,
    /// The first of those that is drawn.
    top: usize,
    /// Entries that were drawn last.
    page: usize,
    /// What further keys of the view do.
    hint: String,
}

impl<T> Entry<T> {
    /// Text from anywhere: it is made safe to draw here.
    pub(in crate::tui) fn new(value: T, label: &str) -> Self {
        Self { value, label: plain(label).into_owned(), about: String::new(), current: false }
    }

    /// With a sentence behind it.
    pub(in crate::tui) fn about(mut self, about: &str) -> Self {
        self.about = plain(about).into_owned();
        self
    }

    /// Whether it is what holds now.
    pub(in crate::tui) fn current(mut self, current: bool) -> Self {
        self.current = current;
        self
    }

    fn matches(&self, terms: &[String]) -> bool {
        let text = format!("{} {}", self.label, self.about).to_lowercase();
        terms.iter().all(|term| text.contains(term))
    }
}

impl<T> Menu<T> {
    /// A list; what holds now is selected.
    pub(in crate::tui) fn new(title: &str, entries: Vec<Entry<T>>) -> Self {
        let mut menu = Self {
            title: plain(title).into_owned(),
            about: String::new(),
            entries: Vec::new(),
            filter: None,
            shown: Vec::new(),
            at: 0,
            top: 0,
            page: 1,
            hint: String::new(),
        };
        menu.set_entries(entries);
        menu.at = menu.entries.iter().position(|entry| entry.current).unwrap_or(0);
        menu
    }

    pub(in crate::tui) fn about(mut self, about: &str) -> Self {
        self.about = plain(about).into_owned();
        self
    }

    /// What is typed leaves only the entries that hold every word of it.
    pub(in crate::tui) fn filtered(mut self) -> Self {
        self.filter = Some(String::new());
        self
    }

    /// What further keys of the view do, such as `d revokes`.
    pub(in crate::tui) fn set_hint(&mut self, hint: &str) {
        hint.clone_into(&mut self.hint);
    }

    /// Other entries. What was typed holds on, and the selection stays where it was in the list.
    pub(in crate::tui) fn set_entries(&mut self, entries: Vec<Entry<T>>) {
        self.entries = entries;
        self.refilter();
    }

    /// The selected entry, if there is any.
    pub(in crate::tui) fn selected(&self) -> Option<&T> {
        self.shown.get(self.at).and_then(|at| self.entries.get(*at)).map(|entry| &entry.value)
    }

    /// What was typed.
    pub(in crate::tui) fn typed(&self) -> &str {
        self.filter.as_deref().unwrap_or_default()
    }

    pub(in crate::tui) fn paste(&mut self, text: &str) {
        if let Some(filter) = &mut self.filter {
            filter.push_str(plain(text.trim()).as_ref());
            self.refilter();
        }
    }

    pub(in crate::tui) fn key(&mut self, key: Key) -> Picked {
        let control = key.modifiers == KeyModifiers::CONTROL;
        let page = isize::try_from(self.page).unwrap_or(isize::MAX);
        match key.code {
            KeyCode::Enter if key.modifiers.is_empty() => {
                return if self.selected().is_some() { Picked::Chosen } else { Picked::Consumed };
            }
            KeyCode::Esc => return Picked::Closed,
            KeyCode::Char('c') if control => return Picked::Closed,
            KeyCode::Up => self.step(-1),
            KeyCode::Char('p') if control => self.step(-1),
            KeyCode::Down => self.step(1),
            KeyCode::Char('n') if control => self.step(1),
            KeyCode::PageUp => self.jump(-page),
            KeyCode::PageDown => self.jump(page),
            KeyCode::Home => self.jump(isize::MIN),
            KeyCode::End => self.jump(isize::MAX),
            KeyCode::Backspace => match &mut self.filter {
                Some(filter) => {
                    filter.pop();
                    self.refilter();
                }
                None => return Picked::Ignored,
            },
            KeyCode::Char('u') if control && self.filter.is_some() => {
                self.filter = Some(String::new());
                self.refilter();
            }
            _ => return self.character(key),
        }
        Picked::Consumed
    }

    fn character(&mut self, key: Key) -> Picked {
        let Some(char) = key.typed() else { return Picked::Ignored };
        let number =
            char.to_digit(10).and_then(|number| usize::try_from(number).ok()).filter(|_| self.numbered());
        if let Some(at) = number.and_then(|number| number.checked_sub(1)).filter(|at| *at < self.shown.len())
        {
            self.at = at;
            return Picked::Chosen;
        }
        let Some(filter) = &mut self.filter else { return Picked::Ignored };
        filter.push(char);
        self.refilter();
        Picked::Consumed
    }

    /// Numbers choose until something was typed: then they belong to it.
    fn numbered(&self) -> bool {
        self.typed().is_empty()
    }

    /// One up or down, and round at the ends.
    fn step(&mut self, by: isize) {
        let count = self.shown.len().max(1);
        self.at = match by {
            ..0 => self.at.checked_sub(1).unwrap_or(count - 1),
            _ => (self.at + 1) % count,
        };
    }

    fn jump(&mut self, by: isize) {
        self.at = self.at.saturating_add_signed(by).min(self.shown.len().saturating_sub(1));
    }

    fn refilter(&mut self) {
        let terms: Vec<String> = self.typed().to_lowercase().split_whitespace().map(str::to_owned).collect();
        let matching = self.entries.iter().enumerate().filter(|(_, entry)| entry.matches(&terms));
        let shown: Vec<usize> = matching.map(|(at, _)| at).collect();
        if shown.len() < self.shown.len() && !terms.is_empty() {
            self.at = 0;
        }
        self.at = self.at.min(shown.len().saturating_sub(1));
        self.shown = shown;
    }

    /// The rows, at most `size.rows`.
    pub(in crate::tui) fn draw(&mut self, size: Size, theme: &Theme) -> Page {
        let most = usize::from(size.rows).max(1);
        let mut rows = Vec::new();
        let mut cursor = None;
        if most > 4 {
            rows.extend(wrapped(&self.title, "  ", theme.strong, size.columns));
            if !self.about.is_empty() {
                rows.extend(wrapped(&self.about, "  ", theme.dim, size.columns));
            }
        }
        let mut hint = wrapped(&self.keys(), "  ", theme.dim, size.columns);
        // What Enter would choose comes first, then where one types, and what the keys do last.
        let chosen = self.entry(self.at, size.columns, theme).len().max(1);
        let filter = usize::from(self.filter.is_some());
        let roomy = most >= ROOMY && rows.len() + chosen + hint.len() + 2 <= most;
        if !roomy && chosen + filter + hint.len() > most {
            hint.clear();
        }
        let filtered = chosen + filter <= most;
        if !roomy {
            rows.truncate(most.saturating_sub(chosen + filter + hint.len()));
        }
        if let Some(filter) = self.filter.as_ref().filter(|_| filtered) {
            let room = usize::from(size.columns).saturating_sub(5);
            let shown = tail(filter, room);
            let column = u16::try_from(4 + columns(&shown)).unwrap_or(u16::MAX);
            cursor = Some((column, u16::try_from(rows.len()).unwrap_or(u16::MAX)));
            let text = match shown.is_empty() {
                true => Span::styled("type to find".to_owned(), theme.dim),
                false => Span::styled(shown, theme.plain),
            };
            rows.push(Line::from(vec![Span::styled("  › ".to_owned(), theme.accent), text]));
        } else if roomy {
            rows.push(Line::default());
        }
        let below = hint.len() + usize::from(roomy);
        rows.truncate(most.saturating_sub(below + 1));
        let room = most.saturating_sub(rows.len() + below).max(1);
        rows.extend(self.list(size.columns, room, theme));
        if roomy {
            rows.push(Line::default());
        }
        rows.extend(hint);
        rows.truncate(most);
        Page { rows, cursor }
    }

    /// What the keys do.
    fn keys(&self) -> String {
        let mut keys = match self.shown.is_empty() {
            true => "Esc goes back".to_owned(),
            false => "↑↓ Enter chooses · Esc goes back".to_owned(),
        };
        if !self.hint.is_empty() {
            keys = format!("{keys} · {}", self.hint);
        }
        keys
    }

    /// The part of the list around the selected entry, with marks where there is more.
    fn list(&mut self, width: u16, room: usize, theme: &Theme) -> Vec<Line<'static>> {
        if self.shown.is_empty() {
            let text = if self.typed().is_empty() { "Nothing is here." } else { "Nothing matches." };
            return wrapped(text, "  ", theme.dim, width);
        }
        // Only the entries near the selected one are laid out: a list may be long.
        let near = self.at.saturating_sub(room)..self.shown.len().min(self.at + room + 1);
        let (first, last) = (near.start, near.end);
        let blocks: Vec<Vec<Line<'static>>> = near.map(|at| self.entry(at, width, theme)).collect();
        let height = |from: usize, to: usize| -> usize {
            blocks.get(from - first..to - first).unwrap_or_default().iter().map(Vec::len).sum()
        };
        let fits = |from: usize, to: usize| {
            let marks = usize::from(from > 0) + usize::from(to < self.shown.len());
            height(from, to) + marks <= room
        };
        let mut top = self.top.clamp(first, self.at);
        while top < self.at && !fits(top, self.at + 1) {
            top += 1;
        }
        let mut end = self.at + 1;
        while end < last && fits(top, end + 1) {
            end += 1;
        }
        // What was taken away at the end leaves room at the top.
        while top > first && fits(top - 1, end) {
            top -= 1;
        }
        self.top = top;
        self.page = (end - top).max(1);
        let mark = |text: String| Line::styled(text, theme.dim);
        let mut rows = Vec::new();
        let mut spare = room.saturating_sub(height(top, end));
        if top > 0 && room > 2 && spare > 0 {
            spare -= 1;
            rows.push(mark(format!("    ↑ {top} more")));
        }
        rows.extend(blocks.into_iter().skip(top - first).take(end - top).flatten());
        if end < self.shown.len() && room > 2 && spare > 0 {
            rows.push(mark(format!("    ↓ {} more", self.shown.len() - end)));
        }
        rows.truncate(room);
        rows
    }

    fn entry(&self, at: usize, width: u16, theme: &Theme) -> Vec<Line<'static>> {
        let Some(entry) = self.shown.get(at).and_then(|at| self.entries.get(*at)) else { return Vec::new() };
        let selected = at == self.at;
        let style = if selected { theme.accent } else { theme.plain };
        let number = if self.numbered() && at < 9 { format!("{}. ", at + 1) } else { String::new() };
        let mark = if selected { "› " } else { "  " };
        let mut text = Text::of(&entry.label, style);
        if entry.current {
            text.push(" (current)", style);
        }
        if !entry.about.is_empty() {
            text.push(&format!("  {}", entry.about), theme.dim);
        }
        let mut rows = text.rows(width, Break::Words, &Prefix::hanging(&format!("{mark}{number}"), style));
        if rows.len() > TALLEST {
            rows.truncate(TALLEST);
            if let Some(last) = rows.last_mut() {
                let room = usize::from(width).saturating_sub(1);
                while last.width() > room
                    && let Some(span) = last.spans.last_mut()
                {
                    if span.content.to_mut().pop().is_none() {
                        last.spans.pop();
                    }
                }
                last.spans.push(Span::styled("…", theme.dim));
            }
        }
        rows
    }
}

fn wrapped(text: &str, prefix: &str, style: ratatui::style::Style, width: u16) -> Vec<Line<'static>> {
    Text::of(text, style).rows(width, Break::Words, &Prefix::hanging(prefix, style))
}

/// The end of a text that takes at most `room` columns.
fn tail(text: &str, room: usize) -> String {
    let mut from = text;
    while columns(from) > room {
        let mut chars = from.chars();
        chars.next();
        from = chars.as_str();
    }
    from.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu(count: usize) -> Menu<usize> {
        let entry = |n| Entry::new(n, &format!("model-{n}")).about(if n == 1 { "the first one" } else { "" });
        Menu::new("Which model?", (1..=count).map(entry).collect())
    }

    fn press(menu: &mut Menu<usize>, keys: &str) -> Vec<Picked> {
        keys.split(' ').map(|key| menu.key(key.parse().unwrap())).collect()
    }

    fn shown(menu: &mut Menu<usize>, columns: u16, rows: u16) -> String {
        let page = menu.draw(Size { columns, rows }, &Theme::plain());
        assert!(page.rows.len() <= usize::from(rows), "{page:?}");
        assert!(page.rows.iter().all(|row| row.width() <= usize::from(columns)), "{page:?}");
        page.rows.iter().map(|row| row.to_string().trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn it_shows_what_can_be_chosen_and_what_holds() {
        let entries = vec![
            Entry::new(1, "ask").about("you are asked").current(true),
            Entry::new(2, "never").about("nobody is asked, and what would need a person is refused"),
        ];
        let mut menu = Menu::new("When are you asked?", entries);
        menu.set_hint("d revokes");
        assert_eq!(
            shown(&mut menu, 40, 12),
            "  When are you asked?\n\n› 1. ask (current)  you are asked\n  2. never  nobody is asked, and what\n     \
             would need a person is refused\n\n  ↑↓ Enter chooses · Esc goes back · d\n  revokes"
        );
    }

    #[test]
    fn keys_move_choose_and_close() {
        let mut three = menu(3);
        for (keys, selected, last) in [
            ("down", 2, Picked::Consumed),
            ("down down", 1, Picked::Consumed),
            ("up", 3, Picked::Consumed),
            ("ctrl-n enter", 1, Picked::Chosen),
            ("2", 2, Picked::Chosen),
            ("end", 3, Picked::Consumed),
            ("pageup home", 1, Picked::Consumed),
            ("4", 1, Picked::Ignored),
            ("d", 1, Picked::Ignored),
            ("esc", 1, Picked::Closed),
        ] {
            assert_eq!(press(&mut three, keys).last(), Some(&last), "{keys}");
            assert_eq!(three.selected(), Some(&selected), "{keys}");
        }
    }

    #[test]
    fn what_is_typed_leaves_what_matches() {
        let mut many = menu(30).filtered();
        press(&mut many, "m o d e l minus 2");
        assert_eq!(many.selected(), Some(&2));
        press(&mut many, "9");
        assert_eq!(many.selected(), Some(&29), "a number belongs to what was typed");
        press(&mut many, "x");
        assert_eq!(press(&mut many, "enter"), [Picked::Consumed]);
        assert_eq!(many.selected(), None);
        assert!(shown(&mut many, 80, 24).contains("Nothing matches."));
        press(&mut many, "ctrl-u F I R S T");
        assert_eq!((many.selected(), many.typed()), (Some(&1), "FIRST"));
        many.paste("x\ny");
        assert_eq!(many.typed(), "FIRSTx y");
    }

    #[test]
    fn the_selected_entry_is_always_seen_and_the_rest_is_counted() {
        for (columns, rows) in [(80, 24), (40, 12), (20, 7), (40, 4), (16, 3)] {
            let mut many = menu(40).filtered();
            for at in (1..=40).chain([1]) {
                let text = shown(&mut many, columns, rows);
                let line = text.lines().find(|line| line.contains('›') && line.contains("model-"));
                let mut words = line.iter().flat_map(|line| line.split_whitespace());
                assert!(words.any(|word| word == format!("model-{at}")), "{at}:\n{text}");
                let marks: usize = text
                    .lines()
                    .filter(|line| line.contains(" more"))
                    .filter_map(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok())
                    .sum();
                let listed = text.matches("model-").count();
                assert!(rows < 8 || marks + listed == 40, "{marks} + {listed}\n{text}");
                press(&mut many, "down");
            }
        }
    }

    #[test]
    fn on_a_tiny_screen_what_enter_chooses_is_seen_whole() {
        let entry = |n| Entry::new(n, &format!("model-{n}")).about("words that take more rows up to the end");
        for filtered in [false, true] {
            let mut tall = Menu::new("Which one of these models?", (1..=9).map(entry).collect());
            tall.set_hint("d revokes · e edits");
            if filtered {
                tall = tall.filtered();
            }
            for rows in 4..=14 {
                for at in 1..=9 {
                    let text = shown(&mut tall, 20, rows);
                    let from = text.find(&format!("› {at}. model-{at}"));
                    let block = from.and_then(|from| text.get(from..)).unwrap_or_default();
                    assert!(block.lines().take(TALLEST).any(|line| line.contains("end")), "{at}:\n{text}");
                    press(&mut tall, "down");
                }
            }
        }
        // Short entries leave room for what is typed, and that for what the keys do.
        assert_eq!(shown(&mut menu(3).filtered(), 20, 5).lines().count(), 5);
        let mut three = menu(3).filtered();
        press(&mut three, "down");
        let text = shown(&mut three, 20, 5);
        assert!(text.contains("› 2. model-2") && text.contains("type to find"), "{text}");
    }

    #[test]
    fn text_from_outside_acts_on_nothing() {
        let mut hostile = Menu::new("a\u{1b}[2J", vec![Entry::new(1, "x\ny\u{202e}").about("\u{7}")]);
        let text = shown(&mut hostile, 80, 24);
        assert!(text.contains("a\\u{1b}[2J") && text.contains("x y\\u{202e}  \\u{7}"), "{text}");
    }

    #[test]
    fn entries_that_go_leave_the_selection_in_the_list() {
        let mut three = menu(3);
        press(&mut three, "end");
        three.set_entries(vec![Entry::new(1, "one"), Entry::new(2, "two")]);
        assert_eq!(three.selected(), Some(&2));
        three.set_entries(Vec::new());
        assert_eq!(three.selected(), None);
        assert!(shown(&mut three, 80, 24).contains("Nothing is here."));
    }
}
