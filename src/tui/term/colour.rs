//! Colours in as many shades as the terminal has, as the numbers of an SGR sequence.
//!
//! It does not choose colours: that is the theme's.

use std::fmt::Write as _;

use ratatui::style::Color;

/// How many colours the terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Depth {
    /// Weight and underline only (`NO_COLOR`).
    None,
    /// The palette of the terminal.
    #[default]
    Sixteen,
    Indexed,
    True,
}

/// The sixteen, as most terminals show them. Only for finding the nearest.
const SIXTEEN: [(u8, u8, u8); 16] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
];

/// The steps of the colour cube.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

impl Depth {
    /// The nearest colour that can be shown; nothing where the terminal's own is meant.
    pub(super) fn nearest(self, color: Color) -> Option<Color> {
        match (self, color) {
            (Self::None, _) | (_, Color::Reset) => None,
            (Self::Sixteen, Color::Indexed(index)) => Some(named(sixteenth(rgb(index)))),
            (Self::Sixteen, Color::Rgb(r, g, b)) => Some(named(sixteenth((r, g, b)))),
            (Self::Indexed, Color::Rgb(r, g, b)) => Some(Color::Indexed(cube((r, g, b)))),
            (_, color) => Some(color),
        }
    }
}

/// Which part of a cell is coloured.
#[derive(Clone, Copy)]
pub(super) enum Ground {
    Fore,
    Back,
    /// With colons inside: a terminal that doesn't know it must not take its parts for attributes.
    Underline,
}

/// Appends the SGR parameter of a colour, with a `;` behind it.
pub(super) fn parameter(out: &mut String, ground: Ground, color: Option<Color>) {
    let base = match ground {
        Ground::Fore => 30,
        Ground::Back => 40,
        Ground::Underline => 50,
    };
    let write = |out: &mut String, args: std::fmt::Arguments<'_>| {
        out.write_fmt(args).expect("a string takes every write");
    };
    match (ground, color.map(|color| (index(color), color))) {
        (_, None) => write(out, format_args!("{};", base + 9)),
        (Ground::Underline, Some((Some(index), _))) => write(out, format_args!("58:5:{index};")),
        (Ground::Underline, Some((None, Color::Rgb(r, g, b)))) => {
            write(out, format_args!("58:2::{r}:{g}:{b};"));
        }
        (_, Some((None, Color::Rgb(r, g, b)))) => write(out, format_args!("{};2;{r};{g};{b};", base + 8)),
        (_, Some((Some(index), Color::Indexed(_)))) => write(out, format_args!("{};5;{index};", base + 8)),
        (_, Some((Some(index @ 0..8), _))) => write(out, format_args!("{};", base + u16::from(index))),
        (_, Some((Some(index), _))) => write(out, format_args!("{};", base + 52 + u16::from(index))),
        (_, Some((None, _))) => {}
    }
}

/// The place in the palette of 256.
fn index(color: Color) -> Option<u8> {
    Some(match color {
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
        Color::Indexed(index) => index,
        Color::Rgb(..) | Color::Reset => return None,
    })
}

fn named(index: u8) -> Color {
    match index {
        0 => Color::Black,
        1 => Color::Red,
        2 => Color::Green,
        3 => Color::Yellow,
        4 => Color::Blue,
        5 => Color::Magenta,
        6 => Color::Cyan,
        7 => Color::Gray,
        8 => Color::DarkGray,
        9 => Color::LightRed,
        10 => Color::LightGreen,
        11 => Color::LightYellow,
        12 => Color::LightBlue,
        13 => Color::LightMagenta,
        14 => Color::LightCyan,
        _ => Color::White,
    }
}

fn rgb(index: u8) -> (u8, u8, u8) {
    match index {
        0..16 => SIXTEEN[usize::from(index)],
        16..232 => {
            let step = |n: u8| STEPS[usize::from(n % 6)];
            (step((index - 16) / 36), step((index - 16) / 6), step(index - 16))
        }
        232.. => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
    }
}

fn sixteenth(wanted: (u8, u8, u8)) -> u8 {
    (0..16).min_by_key(|index| distance(rgb(*index), wanted)).unwrap_or(7)
}

fn cube(wanted: (u8, u8, u8)) -> u8 {
    let step = |value: u8| (0..6u8).min_by_key(|n| STEPS[usize::from(*n)].abs_diff(value)).unwrap_or(0);
    let in_cube = 16 + 36 * step(wanted.0) + 6 * step(wanted.1) + step(wanted.2);
    let mean = (u16::from(wanted.0) + u16::from(wanted.1) + u16::from(wanted.2)) / 3;
    let grey = 232 + u8::try_from((mean.saturating_sub(3) / 10).min(23)).unwrap_or(23);
    if distance(rgb(grey), wanted) < distance(rgb(in_cube), wanted) { grey } else { in_cube }
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    square(a.0, b.0) + square(a.1, b.1) + square(a.2, b.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_said_in_the_shades_that_the_terminal_has() {
        let orange = Color::Rgb(255, 135, 0);
        let table = [
            (Depth::None, Color::Red, "39;"),
            (Depth::Sixteen, Color::Red, "31;"),
            (Depth::Sixteen, Color::White, "97;"),
            (Depth::Sixteen, Color::DarkGray, "90;"),
            (Depth::Sixteen, Color::Reset, "39;"),
            (Depth::Sixteen, Color::Indexed(196), "91;"),
            (Depth::Sixteen, Color::Rgb(1, 2, 3), "30;"),
            (Depth::Indexed, Color::Indexed(3), "38;5;3;"),
            (Depth::Indexed, orange, "38;5;208;"),
            (Depth::Indexed, Color::Rgb(128, 128, 128), "38;5;244;"),
            (Depth::True, orange, "38;2;255;135;0;"),
        ];
        for (depth, color, expected) in table {
            let mut out = String::new();
            parameter(&mut out, Ground::Fore, depth.nearest(color));
            assert_eq!(out, expected, "{depth:?} {color:?}");
        }
        let mut out = String::new();
        parameter(&mut out, Ground::Back, Some(Color::LightRed));
        parameter(&mut out, Ground::Underline, Some(Color::Red));
        parameter(&mut out, Ground::Underline, None);
        assert_eq!(out, "101;58:5:1;59;");
    }
}
