//! Cells into bytes: attributes as differences, links, motion. Every sequence that a screen writes is spelled here.
//!
//! It does not know where the cursor is; the screen does.

use ratatui::style::Modifier;

use super::{
    colour::{Ground, parameter},
    row::{Laid, Pen},
};

pub(super) const SYNC_BEGIN: &str = "\x1b[?2026h";
pub(super) const SYNC_END: &str = "\x1b[?2026l";
pub(super) const HIDE: &str = "\x1b[?25l";
pub(super) const SHOW: &str = "\x1b[?25h";
pub(super) const ERASE_LINE: &str = "\x1b[K";
/// Erases from the row of the cursor (which must be in its first column) downwards. Not by an erase from the
/// first column: where that is the first row as well, multiplexers take it for a clear and keep what was there.
pub(super) const ERASE_BELOW: &str = "\x1b[K\x1b[C\x1b[J\r";
pub(super) const WRAP_OFF: &str = "\x1b[?7l";
pub(super) const WRAP_ON: &str = "\x1b[?7h";
pub(super) const FULL_ENTER: &str = "\x1b[?1049h\x1b[H";
pub(super) const FULL_LEAVE: &str = "\x1b[?1049l";

/// The attributes with the number that sets and the number that unsets them.
const MODIFIERS: [(Modifier, &str, &str); 9] = [
    (Modifier::BOLD, "1;", "22;"),
    (Modifier::DIM, "2;", "22;"),
    (Modifier::ITALIC, "3;", "23;"),
    (Modifier::UNDERLINED, "4;", "24;"),
    (Modifier::SLOW_BLINK, "5;", "25;"),
    (Modifier::RAPID_BLINK, "6;", "25;"),
    (Modifier::REVERSED, "7;", "27;"),
    (Modifier::HIDDEN, "8;", "28;"),
    (Modifier::CROSSED_OUT, "9;", "29;"),
];

/// Appends some cells of a row. The pen is plain before and after, so that erasing and scrolling colour nothing.
pub(super) fn cells(out: &mut String, row: &Laid, range: std::ops::Range<usize>) {
    let plain = Pen::default();
    let mut pen = &plain;
    for cell in range {
        let next = row.pen_of(cell);
        if next != pen {
            change(out, pen, next);
            pen = next;
        }
        out.push_str(row.text_of(cell));
    }
    if *pen != plain {
        change(out, pen, &plain);
    }
}

/// Appends what turns one pen into another.
fn change(out: &mut String, from: &Pen, to: &Pen) {
    if from.link != to.link {
        match &to.link {
            // The same id for the same address: a link that goes on in the next row is one link.
            Some(address) => out.push_str(&format!("\x1b]8;id={:x};{address}\x1b\\", digest(address))),
            None => out.push_str("\x1b]8;;\x1b\\"),
        }
    }
    let start = out.len();
    out.push_str("\x1b[");
    let style = |pen: &Pen| (pen.fg, pen.bg, pen.underline, pen.modifier);
    if style(from) == style(to) {
        out.truncate(start);
        return;
    }
    if style(to) != style(&Pen::default()) {
        let mut kept = from.modifier;
        for (modifier, _, unset) in MODIFIERS {
            if kept.contains(modifier) && !to.modifier.contains(modifier) {
                out.push_str(unset);
                // One number ends two attributes; what goes on of them is set again below.
                kept -=
                    MODIFIERS.iter().filter(|(_, _, same)| *same == unset).map(|(each, ..)| *each).collect();
            }
        }
        for (modifier, set, _) in MODIFIERS {
            if to.modifier.contains(modifier) && !kept.contains(modifier) {
                out.push_str(set);
            }
        }
        for (ground, old, new) in [
            (Ground::Fore, from.fg, to.fg),
            (Ground::Back, from.bg, to.bg),
            (Ground::Underline, from.underline, to.underline),
        ] {
            if old != new {
                parameter(out, ground, new);
            }
        }
        out.pop();
    }
    out.push('m');
}

/// FNV-1a.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Appends a motion to another row. Downwards by line feeds: they go as many rows as they are, also where the
/// terminal has become lower than it is known to be, and so the way back up is as long.
pub(super) fn vertical(out: &mut String, from: u16, to: u16) {
    match from.checked_sub(to) {
        None => out.extend(std::iter::repeat_n('\n', usize::from(to - from))),
        Some(0) => {}
        Some(1) => out.push_str("\x1b[A"),
        Some(count) => out.push_str(&format!("\x1b[{count}A")),
    }
}

/// Appends a motion to a column of the same row.
pub(super) fn column(out: &mut String, column: u16) {
    match column {
        0 => out.push('\r'),
        column => out.push_str(&format!("\x1b[{}G", u32::from(column) + 1)),
    }
}

/// Appends a motion to a place of the alternate screen.
pub(super) fn place(out: &mut String, row: u16, column: u16) {
    out.push_str(&format!("\x1b[{};{}H", u32::from(row) + 1, u32::from(column) + 1));
}
