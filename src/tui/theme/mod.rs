//! Colours by what they mean. The sixteen of the terminal, so that light and dark are the terminal's own, unless a
//! theme from a file says otherwise.

mod file;

use ratatui::style::{Color, Modifier, Style};

pub use file::{MAX_FILE, SHIPPED, ThemeError, is_name, named, parse};

macro_rules! styles {
    ($($(#[doc = $what:literal])* $name:ident)*) => {
        /// How each kind of text looks.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Theme { $($(#[doc = $what])* pub $name: Style,)* }

        impl Theme {
            /// The kinds of text, by their names in a file.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];

            fn style_mut(&mut self, name: &str) -> Option<&mut Style> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

styles! {
    /// Ordinary text: the terminal's own colours.
    plain
    /// What matters less.
    dim
    /// What can be done, and where the focus is.
    accent
    /// What the person said.
    user
    good
    bad
    warning
    /// Lines of a diff.
    added
    removed
    /// Markdown.
    heading
    code
    link
    strong
    emphasis
    /// Syntax of code blocks.
    keyword
    string
    number
    comment
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
        let mut plain = Self::ansi();
        for name in Self::NAMES {
            let Some(style) = plain.style_mut(name) else { continue };
            *style = Style { fg: None, bg: None, underline_color: None, ..*style };
        }
        for style in [&mut plain.accent, &mut plain.bad, &mut plain.keyword] {
            *style = style.add_modifier(Modifier::BOLD);
        }
        plain
    }
}
