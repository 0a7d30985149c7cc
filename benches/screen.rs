//! Frames as they come while an answer streams: most change a row or two, some print.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may say so by panicking")]

use agent::tui::term::{Caps, Screen, Size};
use divan::Bencher;
use ratatui::{
    style::Stylize as _,
    text::{Line, Span},
};

fn main() {
    divan::main();
}

/// A live region of 20 rows: text with some colour, as wide as the terminal. The last but one changes.
fn rows(frame: usize, columns: usize) -> Vec<Line<'static>> {
    (0..20)
        .map(|row| {
            let text = "word ".repeat(columns / 5 - 4);
            let changing = if row == 18 { format!("{frame} ") } else { String::new() };
            Line::from(vec!["• ".cyan(), Span::raw(changing), Span::raw(text), "end".bold()])
        })
        .collect()
}

fn frames(columns: u16) -> (Size, Vec<Vec<Line<'static>>>) {
    let frames = (0..1000).map(|frame| rows(frame, usize::from(columns))).collect();
    (Size { columns, rows: 50 }, frames)
}

/// 1,000 draws that change one row each.
#[divan::bench(args = [80, 220])]
fn a_row_changes(bencher: Bencher<'_, '_>, columns: u16) {
    let (size, frames) = frames(columns);
    bencher.bench(|| {
        let mut screen =
            Screen::new(Vec::with_capacity(1 << 20), size, Caps { sync: true, ..Caps::default() });
        for frame in &frames {
            screen.draw(frame, Some((3, 18))).unwrap();
        }
        screen.out().len()
    });
}

/// 1,000 draws with a printed row each, which move everything below.
#[divan::bench(args = [80, 220])]
fn a_row_is_printed(bencher: Bencher<'_, '_>, columns: u16) {
    let (size, frames) = frames(columns);
    bencher.bench(|| {
        let mut screen =
            Screen::new(Vec::with_capacity(1 << 23), size, Caps { sync: true, ..Caps::default() });
        for frame in &frames {
            screen.print(frame.get(..1).unwrap());
            screen.draw(frame, Some((3, 18))).unwrap();
        }
        screen.out().len()
    });
}

/// 1,000 draws that change nothing.
#[divan::bench]
fn nothing_changes(bencher: Bencher<'_, '_>) {
    let size = Size { columns: 220, rows: 50 };
    let frame = rows(0, 220);
    bencher.bench(|| {
        let mut screen = Screen::new(Vec::new(), size, Caps::default());
        for _ in 0..1000 {
            screen.draw(&frame, Some((3, 18))).unwrap();
        }
        screen.out().len()
    });
}
