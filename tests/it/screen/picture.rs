//! The picture of the README: a real screen of the demo, as text in an SVG.
//!
//! `AGENT_PICTURE=write cargo test --test it picture` makes it anew.

use std::{fmt::Write as _, fs, path::Path};

use super::{demo, terminal::Screen};
use crate::support::has_sandbox;

const COLUMNS: u16 = 80;
const ROWS: u16 = 50;
/// Pixels of a cell, and around all of them.
const CELL: (f64, f64) = (8.4, 19.0);
const MARGIN: f64 = 18.0;

/// The sixteen colours, and what is in none of them.
const PALETTE: [&str; 16] = [
    "#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4", "#6e7681",
    "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc",
];
const INK: &str = "#d6dde5";
const GROUND: &str = "#0d1117";

/// Text of one look.
#[derive(PartialEq)]
struct Run {
    column: usize,
    columns: usize,
    text: String,
    look: Look,
}

#[derive(Clone, PartialEq, Eq)]
struct Look {
    ink: &'static str,
    ground: &'static str,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
}

impl Look {
    fn of(cell: &vt100::Cell) -> Self {
        let colour = |colour: vt100::Color, default: &'static str| match colour {
            vt100::Color::Default => default,
            vt100::Color::Idx(number) => PALETTE[usize::from(number)],
            vt100::Color::Rgb(..) => panic!("the screen has the colours of its terminal only"),
        };
        let (ink, ground) = (colour(cell.fgcolor(), INK), colour(cell.bgcolor(), GROUND));
        let (ink, ground) = if cell.inverse() { (ground, ink) } else { (ink, ground) };
        let (bold, dim, italic, underline) = (cell.bold(), cell.dim(), cell.italic(), cell.underline());
        Self { ink, ground, bold, dim, italic, underline }
    }
}

/// The runs of a row. What is another in each run of the program is replaced.
fn runs(screen: &Screen, row: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for column in 0..COLUMNS {
        let cell = screen.terminal.screen().cell(row, column).unwrap();
        if cell.is_wide_continuation() {
            continue;
        }
        let (look, text) = (Look::of(cell), if cell.has_contents() { cell.contents() } else { " " });
        let columns = if cell.is_wide() { 2 } else { 1 };
        match runs.last_mut() {
            Some(run) if run.look == look => {
                run.text.push_str(text);
                run.columns += columns;
            }
            _ => runs.push(Run { column: column.into(), columns, text: text.to_owned(), look }),
        }
    }
    for run in &mut runs {
        let root = screen.place.root.display().to_string();
        let text = run.text.replace(&root, "/home/you");
        let text = text.split(" · ").filter(|part| !is_time(part.trim_end())).collect::<Vec<_>>().join(" · ");
        if text != run.text {
            run.text = text.trim_end().to_owned();
            run.columns = run.text.chars().count();
        }
    }
    runs.retain(|run| !run.text.trim().is_empty() || run.look.ground != GROUND);
    runs
}

/// `0.3s` and the like: how long something took.
fn is_time(text: &str) -> bool {
    text.strip_suffix('s').is_some_and(|number| number.parse::<f64>().is_ok())
}

fn svg(screen: &Screen) -> String {
    let mut rows: Vec<Vec<Run>> = (0..ROWS).map(|row| runs(screen, row)).collect();
    while rows.last().is_some_and(Vec::is_empty) {
        rows.pop();
    }
    let (wide, high) = CELL;
    let width = f64::from(COLUMNS) * wide + 2.0 * MARGIN;
    let height = rows.len() as f64 * high + 2.0 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">\n<title>agent demo</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{GROUND}\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" \
         font-size=\"14\" xml:space=\"preserve\">\n"
    );
    for (at, row) in rows.iter().enumerate() {
        for run in row {
            draw(&mut out, at, run);
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn draw(out: &mut String, row: usize, run: &Run) {
    let (wide, high) = CELL;
    // Blanks at the ends need no ink, and no room that the renderer might take from others.
    let text = run.text.trim_start();
    let before = run.text.chars().count() - text.chars().count();
    let x = (run.column + before) as f64 * wide + MARGIN;
    let y = row as f64 * high + MARGIN;
    let look = &run.look;
    if look.ground != GROUND {
        let (x, width) = (run.column as f64 * wide + MARGIN, run.columns as f64 * wide);
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{high:.1}\" fill=\"{}\"/>",
            look.ground
        );
    }
    let after = text.chars().count() - text.trim_end().chars().count();
    let width = (run.columns - before - after) as f64 * wide;
    let mut style = String::new();
    for (holds, words) in [
        (look.bold, " font-weight=\"bold\""),
        (look.dim, " opacity=\"0.65\""),
        (look.italic, " font-style=\"italic\""),
        (look.underline, " text-decoration=\"underline\""),
    ] {
        style.push_str(if holds { words } else { "" });
    }
    let text = text.trim_end().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" fill=\"{}\"{style}>{text}</text>",
        y + high * 0.75,
        look.ink
    );
}

#[test]
fn the_picture_of_the_readme_is_what_the_demo_shows() {
    if !has_sandbox() {
        return;
    }
    let screen = demo::play(COLUMNS, ROWS);
    let made = svg(&screen);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo/screen.svg");
    if std::env::var("AGENT_PICTURE").as_deref() == Ok("write") {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let words = |svg: &str| {
        let rows = svg.lines().filter(|line| line.starts_with("<text"));
        rows.map(|row| row.split(['>', '<']).nth(2).unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(
        words(&kept),
        words(&made),
        "the picture is stale; make it anew: AGENT_PICTURE=write cargo test --test it picture"
    );
    assert_eq!(kept, made, "the picture has other colours; AGENT_PICTURE=write cargo test --test it picture");
}
