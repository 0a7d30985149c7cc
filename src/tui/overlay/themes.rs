//! Choosing a theme: the list, and a sample in the one that is selected.

use ratatui::text::{Line, Span};

use crate::tui::{
    action::Action,
    host::Answer,
    keymap::Key,
    term::Size,
    theme::{self, Theme},
};

use super::{
    Look, Overlay, Page, Place, Reaction,
    menu::{Entry, Menu},
};

/// Rows of the sample, with the blank one before it.
const SAMPLE: u16 = 6;

/// The themes.
pub(in crate::tui) struct Themes {
    menu: Menu<usize>,
    /// Names, and what was made of the files.
    known: Vec<(String, Result<Theme, String>)>,
    current: String,
}

impl Themes {
    pub(in crate::tui) fn new(current: &str, dark: Option<bool>) -> Self {
        let shipped = ["ansi", "auto"].into_iter().chain(theme::SHIPPED.iter().map(|(name, _)| *name));
        let known =
            shipped.filter_map(|name| Some((name.to_owned(), Ok(theme::named(name, dark)?)))).collect();
        let mut themes = Self { menu: Menu::new("", Vec::new()), known, current: current.to_owned() };
        themes.list();
        themes
    }

    fn list(&mut self) {
        let entries = self.known.iter().enumerate().map(|(at, (name, theme))| {
            let about = match (name.as_str(), theme) {
                (_, Err(problem)) => problem.as_str(),
                ("ansi", _) => "the colours of the terminal",
                ("auto", _) => "light or dark, as the terminal's background is",
                ("light", _) => "for light backgrounds",
                ("dark", _) => "for dark backgrounds",
                ("contrast", _) => "strong contrast on any background",
                _ => "yours",
            };
            Entry::new(at, name).about(about).current(*name == self.current)
        });
        self.menu = Menu::new("Which theme?", entries.collect()).filtered();
    }

    fn selected(&self) -> Option<&(String, Result<Theme, String>)> {
        self.menu.selected().and_then(|at| self.known.get(*at))
    }
}

impl Overlay for Themes {
    fn place(&self) -> Place {
        Place::Below
    }

    fn key(&mut self, key: Key, _look: &Look<'_>) -> Reaction {
        self.menu.key(key).or_choose(|| match self.selected() {
            Some((name, Ok(theme))) => {
                Reaction::Close(vec![Action::Wear(name.clone(), Box::new(theme.clone()))])
            }
            // It can't be used, and says why.
            _ => Reaction::Consumed,
        })
    }

    fn paste(&mut self, text: &str) {
        self.menu.paste(text);
    }

    fn answer(&mut self, answer: &Answer) {
        let Answer::Themes(files) = answer else { return };
        for (name, text) in files {
            if self.known.iter().all(|(known, _)| known != name) {
                let theme = text
                    .as_ref()
                    .map_err(Clone::clone)
                    .and_then(|text| theme::parse(text).map_err(|error| error.to_string()));
                self.known.push((name.clone(), theme));
            }
        }
        self.list();
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        let theme = match self.selected() {
            Some((_, Ok(theme))) => theme.clone(),
            _ => look.theme.clone(),
        };
        let room = size.rows > SAMPLE + 4;
        let rows = if room { size.rows - SAMPLE } else { size.rows };
        let mut page = self.menu.draw(Size { rows, ..size }, &theme);
        if room {
            page.rows.splice(0..0, sample(&theme));
        }
        page
    }
}

/// A little of everything.
fn sample(theme: &Theme) -> Vec<Line<'static>> {
    let row = |spans: &[(&'static str, ratatui::style::Style)]| {
        Line::from(spans.iter().map(|(text, style)| Span::styled(*text, *style)).collect::<Vec<_>>())
    };
    vec![
        row(&[("  › ", theme.accent), ("mend the parser", theme.user), ("   context 82% left", theme.dim)]),
        row(&[
            ("  • ", theme.plain),
            ("Strong", theme.strong),
            (", ", theme.plain),
            ("stressed", theme.emphasis),
            (", ", theme.plain),
            ("code", theme.code),
            (" and a ", theme.plain),
            ("link", theme.link),
        ]),
        row(&[
            ("    let", theme.keyword),
            (" n = ", theme.plain),
            ("42", theme.number),
            ("; say(", theme.plain),
            ("\"hi\"", theme.string),
            (") ", theme.plain),
            ("// why", theme.comment),
        ]),
        row(&[("    -old line", theme.removed), ("   ", theme.plain), ("+new line", theme.added)]),
        row(&[
            ("    passed", theme.good),
            ("   ", theme.plain),
            ("failed", theme.bad),
            ("   ", theme.plain),
            ("careful", theme.warning),
        ]),
        Line::default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        session::Session,
        tui::{status::Ground, transcript::Transcript},
    };

    fn with_look<T>(act: impl FnOnce(&Look<'_>) -> T) -> T {
        let ground = Ground::sample();
        let (session, transcript, theme) = (Session::default(), Transcript::new(), Theme::ansi());
        act(&Look { session: &session, transcript: &transcript, ground: &ground, theme: &theme, now_ms: 0 })
    }

    fn rows(themes: &mut Themes, rows: u16) -> Vec<Line<'static>> {
        with_look(|look| themes.draw(Size { columns: 60, rows }, look).rows)
    }

    fn press(themes: &mut Themes, key: &str) -> Reaction {
        with_look(|look| themes.key(key.parse().unwrap(), look))
    }

    #[test]
    fn the_sample_wears_the_theme_that_is_selected() {
        let mut themes = Themes::new("ansi", Some(true));
        assert_eq!(rows(&mut themes, 20)[0].spans[0].style, Theme::ansi().accent);
        press(&mut themes, "down");
        assert_eq!(rows(&mut themes, 20)[0].spans[0].style, theme::named("dark", None).unwrap().accent);
        assert!(rows(&mut themes, 8).len() <= 8);
        let chosen = press(&mut themes, "enter");
        assert!(
            matches!(chosen, Reaction::Close(actions) if matches!(&actions[..], [Action::Wear(name, _)] if name == "auto"))
        );
    }

    #[test]
    fn own_themes_follow_and_one_that_is_broken_says_why_and_is_not_taken() {
        let mut themes = Themes::new("mine", None);
        themes.answer(&Answer::Themes(vec![
            ("broken".into(), Ok("acent = 'red'".into())),
            ("dark".into(), Ok("accent = 'red'".into())),
            ("mine".into(), Ok("accent = 'red'".into())),
        ]));
        let text: Vec<String> = rows(&mut themes, 24).iter().map(ToString::to_string).collect();
        assert!(
            text.iter().any(|row| row.contains("6. broken  line 1: `acent` is no kind of text")),
            "{text:#?}"
        );
        assert!(text.iter().any(|row| row.contains("› 7. mine (current)  yours")), "{text:#?}");
        assert_eq!(text.iter().filter(|row| row.contains(". dark")).count(), 1, "names that ship stay");
        assert!(matches!(press(&mut themes, "6"), Reaction::Consumed));
        assert!(matches!(press(&mut themes, "7"), Reaction::Close(_)));
    }
}
