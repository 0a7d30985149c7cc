//! How a piece of text looks, by what it means. A theme turns it into a style when it is drawn.

use ratatui::style::{Modifier, Style};

use crate::tui::theme::Theme;

/// What a piece of text is, and how it is stressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    pub ink: Ink,
    pub strong: bool,
    pub emphasis: bool,
    pub struck: bool,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ink {
    #[default]
    Plain,
    Dim,
    Heading,
    Code,
    Link,
    Keyword,
    String,
    Number,
    Comment,
    Added,
    Removed,
    Accent,
}

impl Look {
    /// The style of this look.
    #[must_use]
    pub fn style(self, theme: &Theme) -> Style {
        let mut style = match self.ink {
            Ink::Plain => theme.plain,
            Ink::Dim => theme.dim,
            Ink::Heading => theme.heading,
            Ink::Code => theme.code,
            Ink::Link => theme.link,
            Ink::Keyword => theme.keyword,
            Ink::String => theme.string,
            Ink::Number => theme.number,
            Ink::Comment => theme.comment,
            Ink::Added => theme.added,
            Ink::Removed => theme.removed,
            Ink::Accent => theme.accent,
        };
        if self.strong {
            style = style.patch(theme.strong);
        }
        if self.emphasis {
            style = style.patch(theme.emphasis);
        }
        if self.struck {
            style = style.add_modifier(Modifier::CROSSED_OUT);
        }
        style
    }
}

impl From<Ink> for Look {
    fn from(ink: Ink) -> Self {
        Self { ink, ..Self::default() }
    }
}
