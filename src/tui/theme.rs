//! Colours by what they mean. The sixteen of the terminal, so that light and dark are the terminal's own.

use ratatui::style::{Color, Modifier, Style};

/// How each kind of text looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// Ordinary text: the terminal's own colours.
    pub plain: Style,
    /// What matters less.
    pub dim: Style,
    /// What can be done, and where the focus is.
    pub accent: Style,
    /// What the person said.
    pub user: Style,
    pub good: Style,
    pub bad: Style,
    pub warning: Style,
    /// Lines of a diff.
    pub added: Style,
    pub removed: Style,
    /// Markdown.
    pub heading: Style,
    pub code: Style,
    pub link: Style,
    pub strong: Style,
    pub emphasis: Style,
    /// Syntax of code blocks.
    pub keyword: Style,
    pub string: Style,
    pub number: Style,
    pub comment: Style,
}

impl Theme {
    /// The colours of the terminal's palette.
    #[must_use]
    pub fn ansi() -> Self {
        let fg = |color| Style::new().fg(color);
        let plain = Style::new();
        Self {
            plain,
            dim: plain.add_modifier(Modifier::DIM),
            accent: fg(Color::Cyan),
            user: plain.add_modifier(Modifier::BOLD),
            good: fg(Color::Green),
            bad: fg(Color::Red),
            warning: fg(Color::Yellow),
            added: fg(Color::Green),
            removed: fg(Color::Red),
            heading: plain.add_modifier(Modifier::BOLD),
            code: fg(Color::Cyan),
            link: fg(Color::Blue).add_modifier(Modifier::UNDERLINED),
            strong: plain.add_modifier(Modifier::BOLD),
            emphasis: plain.add_modifier(Modifier::ITALIC),
            keyword: fg(Color::Magenta),
            string: fg(Color::Green),
            number: fg(Color::Yellow),
            comment: plain.add_modifier(Modifier::DIM),
        }
    }

    /// Without colours (`NO_COLOR`): weight and underline are all that tells things apart.
    #[must_use]
    pub fn plain() -> Self {
        let colourless = |style: Style| Style { fg: None, bg: None, underline_color: None, ..style };
        let ansi = Self::ansi();
        Self {
            plain: ansi.plain,
            dim: ansi.dim,
            accent: colourless(ansi.accent).add_modifier(Modifier::BOLD),
            user: ansi.user,
            good: colourless(ansi.good),
            bad: colourless(ansi.bad).add_modifier(Modifier::BOLD),
            warning: colourless(ansi.warning),
            added: colourless(ansi.added),
            removed: colourless(ansi.removed),
            heading: ansi.heading,
            code: colourless(ansi.code),
            link: colourless(ansi.link),
            strong: ansi.strong,
            emphasis: ansi.emphasis,
            keyword: colourless(ansi.keyword).add_modifier(Modifier::BOLD),
            string: colourless(ansi.string),
            number: colourless(ansi.number),
            comment: ansi.comment,
        }
    }
}
