//! Themes as files: `kind = "COLOUR on COLOUR MODIFIERS"` a line. What a file does not name is as in `ansi`.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};

use super::Theme;

/// Nobody writes a theme that is larger.
pub const MAX_FILE: u64 = 64 << 10;

/// Themes that the program brings along, beside `ansi`.
pub const SHIPPED: [(&str, &str); 3] = [
    ("light", include_str!("../../../assets/themes/light.toml")),
    ("dark", include_str!("../../../assets/themes/dark.toml")),
    ("contrast", include_str!("../../../assets/themes/contrast.toml")),
];

const MODIFIERS: [(&str, Modifier); 6] = [
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underlined", Modifier::UNDERLINED),
    ("reversed", Modifier::REVERSED),
    ("struck", Modifier::CROSSED_OUT),
];

/// Names of colours, for whoever mistypes one.
const COLOURS: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "gray",
    "darkgray",
    "lightred",
    "lightgreen",
    "lightyellow",
    "lightblue",
    "lightmagenta",
    "lightcyan",
    "white",
];

/// What is wrong with the file of a theme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ThemeError {
    pub line: usize,
    pub what: String,
}

/// Whether a word may name a theme: it becomes the name of a file.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '-' || char == '_')
}

/// A theme that needs no file. `auto` is light or dark; as long as the background is not known, it is `ansi`.
#[must_use]
pub fn named(name: &str, dark: Option<bool>) -> Option<Theme> {
    let name = match (name, dark) {
        ("auto", Some(true)) => "dark",
        ("auto", Some(false)) => "light",
        ("auto", None) => "ansi",
        (name, _) => name,
    };
    if name == "ansi" {
        return Some(Theme::ansi());
    }
    let (_, text) = SHIPPED.iter().find(|(shipped, _)| *shipped == name)?;
    parse(text).ok()
}

/// Reads a theme.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(text: &str) -> Result<Theme, ThemeError> {
    let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    let table: BTreeMap<String, toml::Spanned<String>> =
        toml::from_str(text).map_err(|error| ThemeError {
            line: line(error.span().map_or(0, |span| span.start)),
            what: error.message().lines().next().unwrap_or("it is not TOML").to_owned(),
        })?;
    let mut theme = Theme::ansi();
    for (name, value) in &table {
        let told = |what| ThemeError { line: line(value.span().start), what };
        let Some(style) = theme.style_mut(name) else {
            return Err(told(unknown(name, Theme::NAMES, "kind of text")));
        };
        *style = read(value.get_ref()).map_err(told)?;
    }
    Ok(theme)
}

/// `#005f87 on white bold`: the colours first or last, in any order.
fn read(text: &str) -> Result<Style, String> {
    let mut style = Style::new();
    let mut back = false;
    for word in text.split_whitespace() {
        if word == "on" && !back {
            back = true;
        } else if let Some((_, modifier)) = MODIFIERS.iter().find(|(name, _)| *name == word) {
            style = style.add_modifier(*modifier);
        } else {
            let color = word.parse::<Color>().map_err(|_| {
                let words: Vec<&str> =
                    COLOURS.iter().copied().chain(MODIFIERS.iter().map(|(name, _)| *name)).collect();
                unknown(word, &words, "colour (a name, #rrggbb or 0 to 255) and no modifier")
            })?;
            style = if back { style.bg(color) } else { style.fg(color) };
            back = false;
        }
    }
    if back { Err("no colour follows `on`".to_owned()) } else { Ok(style) }
}

fn unknown(word: &str, known: &[&str], what: &str) -> String {
    let alike = |known: &&str| strsim::jaro_winkler(&word.to_lowercase(), known);
    let nearest =
        known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|known| alike(known) > 0.8);
    let hint = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
    format!("`{word}` is no {what}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changes_what_it_names() {
        let theme = parse("accent = '#ff8700 bold'\nadded = 'white on 22'\ndim = ''\n").unwrap();
        assert_eq!(theme.accent, Style::new().fg(Color::Rgb(255, 135, 0)).bold());
        assert_eq!(theme.added, Style::new().fg(Color::White).bg(Color::Indexed(22)));
        assert_eq!(theme.dim, Style::new());
        assert_eq!(theme.link, Theme::ansi().link);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_what_may_be_meant() {
        let table = [
            ("\nacent = 'red'", "line 2: `acent` is no kind of text; did you mean `accent`?"),
            (
                "link = 'bleu'",
                "`bleu` is no colour (a name, #rrggbb or 0 to 255) and no modifier; did you mean `blue`?",
            ),
            ("link = 'blue undrlined'", "did you mean `underlined`?"),
            ("link = 'red on'", "line 1: no colour follows `on`"),
            ("link = 1", "line 1: invalid type: integer `1`, expected a string"),
            ("a =", "line 1:"),
        ];
        for (text, part) in table {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn the_name_of_a_theme_is_no_path() {
        assert!(is_name("solar-2_b"));
        for name in ["", "..", "a/b", "a.toml", "ä", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn auto_follows_the_background_and_shipped_themes_are_all_there() {
        for (name, text) in SHIPPED {
            assert_eq!(named(name, None), Some(parse(text).unwrap()), "{name}");
        }
        assert_eq!(named("auto", Some(true)), named("dark", None));
        assert_eq!(named("auto", Some(false)), named("light", None));
        assert_eq!(named("auto", None), Some(Theme::ansi()));
        assert_eq!(named("mine", None), None);
    }

    /// Relative luminance as the accessibility guidelines define it.
    fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
        let part = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
    }

    fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Colours of shipped themes are spelled out: those of the palette are whatever the terminal makes of them.
    fn rgb(color: Color) -> (u8, u8, u8) {
        match color {
            Color::Rgb(r, g, b) => (r, g, b),
            other => panic!("{other} depends on the terminal's palette"),
        }
    }

    #[test]
    fn shipped_themes_can_be_read_on_the_backgrounds_that_they_are_for() {
        let white: &[(u8, u8, u8)] = &[(0xff, 0xff, 0xff), (0xfd, 0xf6, 0xe3)];
        let black: &[(u8, u8, u8)] = &[(0, 0, 0), (0x1e, 0x1e, 0x1e), (0x28, 0x2c, 0x34), (0, 0x2b, 0x36)];
        let both = [white, black].concat();
        for (name, grounds, least) in
            [("light", white, 4.5), ("dark", black, 4.5), ("contrast", &both[..], 7.0)]
        {
            let mut theme = named(name, None).unwrap();
            for kind in Theme::NAMES {
                let style = *theme.style_mut(kind).unwrap();
                assert!(!style.add_modifier.contains(Modifier::DIM), "{name}: {kind} is dimmed");
                // The terminal's own colour on the terminal's own background is the terminal's concern.
                let Some(fore) = style.fg else {
                    assert_eq!(
                        style.bg, None,
                        "{name}: {kind} has a background for a colour that is not known"
                    );
                    continue;
                };
                let own = style.bg.map(|back| vec![rgb(back)]);
                for ground in own.as_deref().unwrap_or(grounds) {
                    let found = contrast(rgb(fore), *ground);
                    assert!(found >= least, "{name}: {kind} on {ground:?}: {found:.1}");
                }
            }
        }
        // The palette's own: what is readable there is what the person chose, if no background is assumed.
        let mut ansi = Theme::ansi();
        for kind in Theme::NAMES {
            let style = *ansi.style_mut(kind).unwrap();
            assert!(
                style.bg.is_none() && !matches!(style.fg, Some(Color::Black | Color::White | Color::Rgb(..)))
            );
        }
    }
}
