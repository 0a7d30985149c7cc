//! What the terminal can do, from the environment: a pure function over variables that are handed in.
//!
//! What only the terminal itself can say comes from [`Answers`](super::Answers).

use super::colour::Depth;

/// What the terminal can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// It isn't one that rows can be repainted on (`TERM=dumb`): plain lines are all that it takes.
    pub dumb: bool,
    pub depth: Depth,
    /// It shows a frame as a whole (`?2026`).
    pub sync: bool,
    /// It follows links (OSC 8), or leaves out what it doesn't know.
    pub links: bool,
    /// It is known to follow links, so that a text need not say where it leads.
    pub follows: bool,
    /// It knows the Kitty keyboard protocol.
    pub keyboard: bool,
    /// It wraps rows anew when its width changes. Where this is not certain it is not assumed.
    pub reflow: bool,
    /// It may be asked what only it knows.
    pub asks: bool,
    /// It may be asked about modes. Some print a part of that question.
    pub asks_modes: bool,
    /// How it tells its person that something happened.
    pub notices: Notices,
    /// Its background is dark. Unknown: not said.
    pub dark: Option<bool>,
    /// It runs inside a multiplexer.
    pub multiplexed: bool,
}

/// How a terminal tells its person that something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Notices {
    #[default]
    Bell,
    Osc9,
    Osc99,
    Osc777,
}

impl Default for Caps {
    /// A terminal of which nothing is known but that it is one.
    fn default() -> Self {
        Self {
            dumb: false,
            depth: Depth::Sixteen,
            sync: false,
            links: true,
            follows: false,
            keyboard: false,
            reflow: false,
            asks: true,
            asks_modes: true,
            notices: Notices::Bell,
            dark: None,
            multiplexed: false,
        }
    }
}

impl Caps {
    /// What the environment tells.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| get(name).filter(|value| !value.is_empty());
        let has = |name: &str| value(name).is_some();
        let term = value("TERM").unwrap_or_default();
        let program = value("TERM_PROGRAM").unwrap_or_default();
        let starts = |names: &[&str]| names.iter().any(|name| term.starts_with(name));

        let dumb = term.is_empty() || term == "dumb";
        let console = starts(&["linux", "vt", "ansi", "cons"]);
        // The variables of the terminal outside are inherited by what runs in a multiplexer, and say nothing there.
        let tmux = has("TMUX") || starts(&["tmux"]);
        let screen = !tmux && (has("STY") || starts(&["screen"]));
        let multiplexed = tmux || screen;
        let outside = |name: &str| !multiplexed && has(name);

        let kitty = outside("KITTY_WINDOW_ID") || starts(&["xterm-kitty"]);
        let foot = starts(&["foot"]);
        let known = kitty
            || foot
            || starts(&["alacritty", "xterm-ghostty", "ghostty", "wezterm", "rio", "contour"])
            || outside("ALACRITTY_WINDOW_ID")
            || outside("KONSOLE_VERSION")
            || outside("WT_SESSION")
            || (outside("VTE_VERSION"))
            || (!multiplexed
                && ["iTerm.app", "Apple_Terminal", "WezTerm", "ghostty", "vscode", "rio", "WarpTerminal"]
                    .contains(&program.as_str()));
        let notices = match () {
            () if multiplexed => Notices::Bell,
            () if kitty => Notices::Osc99,
            () if foot || starts(&["rxvt"]) => Notices::Osc777,
            () if ["iTerm.app", "WezTerm", "ghostty", "WarpTerminal"].contains(&program.as_str()) => {
                Notices::Osc9
            }
            () if outside("WT_SESSION") || starts(&["xterm-ghostty"]) => Notices::Osc9,
            () => Notices::Bell,
        };
        Self {
            dumb,
            depth: depth(&value, &term, dumb),
            links: !dumb && !console,
            // A multiplexer hands them on or not, by its version and by what is outside.
            follows: known
                && !dumb
                && !multiplexed
                && !["Apple_Terminal", "WarpTerminal"].contains(&program.as_str()),
            reflow: tmux || (known && !screen),
            asks: !dumb && !console,
            asks_modes: program != "Apple_Terminal" || multiplexed,
            notices,
            dark: value("COLORFGBG").filter(|_| !multiplexed).and_then(|colors| dark(&colors)),
            multiplexed,
            ..Self::default()
        }
    }
}

fn depth(value: &impl Fn(&str) -> Option<String>, term: &str, dumb: bool) -> Depth {
    let direct = value("COLORTERM").is_some_and(|kind| kind == "truecolor" || kind == "24bit");
    match () {
        () if dumb || value("NO_COLOR").is_some() || term == "vt100" || term == "vt220" => Depth::None,
        () if direct || term.ends_with("-direct") || term == "xterm-kitty" => Depth::True,
        () if term.contains("256color") || value("WT_SESSION").is_some() => Depth::Indexed,
        () => Depth::Sixteen,
    }
}

/// The background of `15;0` or `15;default;0`: a number of the palette.
fn dark(colors: &str) -> Option<bool> {
    let back: u8 = colors.rsplit(';').next()?.parse().ok()?;
    Some(back < 7 || back == 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(variables: &[(&str, &str)]) -> Caps {
        Caps::from_variables(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_tells_the_colours() {
        let table: [(&[(&str, &str)], Depth); 8] = [
            (&[("TERM", "xterm")], Depth::Sixteen),
            (&[("TERM", "xterm-256color")], Depth::Indexed),
            (&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")], Depth::True),
            (&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("NO_COLOR", "1")], Depth::None),
            (&[("TERM", "xterm-256color"), ("NO_COLOR", "")], Depth::Indexed),
            (&[("TERM", "dumb"), ("COLORTERM", "truecolor")], Depth::None),
            (&[("TERM", "linux")], Depth::Sixteen),
            (&[], Depth::None),
        ];
        for (variables, depth) in table {
            assert_eq!(caps(variables).depth, depth, "{variables:?}");
        }
    }

    #[test]
    fn wrapping_anew_is_assumed_only_where_it_is_known() {
        let table: [(&[(&str, &str)], bool); 9] = [
            (&[("TERM", "xterm-256color")], false),
            (&[("TERM", "linux")], false),
            (&[("TERM", "xterm-256color"), ("VTE_VERSION", "6800")], true),
            (&[("TERM", "xterm-kitty")], true),
            (&[("TERM", "tmux-256color")], true),
            (&[("TERM", "screen-256color"), ("TMUX", "/tmp/x")], true),
            (&[("TERM", "screen-256color"), ("STY", "1.x"), ("VTE_VERSION", "6800")], false),
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "iTerm.app")], true),
            (&[("TERM", "screen"), ("STY", "1.x"), ("KITTY_WINDOW_ID", "1")], false),
        ];
        for (variables, reflow) in table {
            assert_eq!(caps(variables).reflow, reflow, "{variables:?}");
        }
    }

    #[test]
    fn what_takes_no_escape_sequences_is_asked_nothing() {
        assert!(caps(&[("TERM", "dumb")]).dumb);
        assert!(caps(&[]).dumb);
        assert!(!caps(&[("TERM", "dumb")]).asks);
        assert!(!caps(&[("TERM", "linux")]).asks);
        assert!(!caps(&[("TERM", "linux")]).links);
        assert!(caps(&[("TERM", "xterm-kitty")]).follows);
        for unknown in [
            &[("TERM", "xterm-256color")][..],
            &[("TERM", "xterm"), ("TERM_PROGRAM", "Apple_Terminal")],
            &[("TERM", "tmux-256color"), ("KITTY_WINDOW_ID", "1")],
        ] {
            assert!(caps(unknown).links && !caps(unknown).follows, "{unknown:?}");
        }
        assert!(!caps(&[("TERM", "xterm"), ("TERM_PROGRAM", "Apple_Terminal")]).asks_modes);
        assert_eq!(caps(&[("TERM", "xterm"), ("COLORFGBG", "0;15")]).dark, Some(false));
        assert_eq!(caps(&[("TERM", "xterm"), ("COLORFGBG", "15;default;0")]).dark, Some(true));
        assert_eq!(caps(&[("TERM", "xterm-kitty")]).notices, Notices::Osc99);
        assert_eq!(caps(&[("TERM", "tmux"), ("KITTY_WINDOW_ID", "1")]).notices, Notices::Bell);
    }
}
