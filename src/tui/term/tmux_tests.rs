//! A screen in a real multiplexer, which wraps rows anew, keeps cleared screens, and knows no synchronized updates.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    process::Command,
    time::Duration,
};

use ratatui::text::Line;
use tempfile::TempDir;

use super::{Caps, Screen, Size};

/// A pane that shows what is written to it. Each step waits until it is seen to be done.
struct Pane {
    folder: TempDir,
    input: File,
    frames: u32,
}

impl Pane {
    fn open(size: Size) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            #[expect(clippy::print_stderr, reason = "a test that can't run says so")]
            {
                eprintln!("skipped: there is no tmux here");
            }
            return None;
        }
        let folder = TempDir::new().unwrap();
        let fifo = folder.path().join("input");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let settings = folder.path().join("settings");
        std::fs::write(
            &settings,
            "set -g history-limit 50000\nset -g status off\nset -g default-shell /bin/sh\n",
        )
        .unwrap();
        let show = format!("stty raw -echo; exec cat '{}'", fifo.display());
        let (columns, rows) = (size.columns.to_string(), size.rows.to_string());
        let settings = settings.display().to_string();
        tmux(&folder, &["-f", &settings, "new-session", "-d", "-x", &columns, "-y", &rows, &show]);
        let input = OpenOptions::new().write(true).open(fifo).unwrap();
        Some(Self { folder, input, frames: 0 })
    }

    fn feed(&mut self, screen: &mut Screen<Vec<u8>>) {
        self.frames += 1;
        let mut bytes = std::mem::take(screen.out());
        bytes.extend(format!("\x1b]2;frame {}\x1b\\", self.frames).bytes());
        self.input.write_all(&bytes).unwrap();
        self.wait("#{pane_title}", &format!("frame {}", self.frames));
    }

    fn resize(&self, size: Size) {
        let (columns, rows) = (size.columns.to_string(), size.rows.to_string());
        tmux(&self.folder, &["resize-window", "-x", &columns, "-y", &rows]);
        self.wait("#{pane_width} #{pane_height}", &format!("{columns} {rows}"));
    }

    fn wait(&self, what: &str, wanted: &str) {
        for _ in 0..2000 {
            if tmux(&self.folder, &["display-message", "-p", what]).trim() == wanted {
                return;
            }
            std::thread::yield_now();
        }
        panic!("{what} did not become {wanted}");
    }

    /// Scrollback and screen, lines that were wrapped joined.
    fn lines(&self) -> Vec<String> {
        let text = tmux(&self.folder, &["capture-pane", "-p", "-J", "-S", "-"]);
        let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        tmux(&self.folder, &["kill-server"]);
    }
}

fn tmux(folder: &TempDir, arguments: &[&str]) -> String {
    let output = Command::new("tmux")
        .arg("-S")
        .arg(folder.path().join("socket"))
        .args(arguments)
        .env_remove("TMUX")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn filled(tag: &str, width: usize, fill: char) -> String {
    let mut text = tag.to_owned();
    while Line::from(format!("{text}{fill}")).width() <= width {
        text.push(fill);
    }
    text
}

#[test]
fn fifty_resizes_leave_every_line_once() {
    fifty_resizes(|screen| screen.set_quiet(Duration::ZERO), 1);
}

/// As in a stream: tmux tells late, so most frames are painted for a size that is over.
#[test]
fn fifty_resizes_that_are_told_late_leave_every_line_once() {
    fifty_resizes(|screen| screen.park(true), 4);
}

/// Every so many resizes the screen is told.
fn fifty_resizes(prepare: impl Fn(&mut Screen<Vec<u8>>), told: usize) {
    let mut size = Size { columns: 80, rows: 24 };
    let Some(mut pane) = Pane::open(size) else { return };
    let mut screen =
        Screen::new(Vec::new(), size, Caps { reflow: true, multiplexed: true, ..Caps::default() });
    prepare(&mut screen);
    let mut printed = Vec::new();
    for turn in 0..50_usize {
        let fill = if turn % 3 == 0 { '漢' } else { '-' };
        let lines: Vec<String> = (0..turn % 5)
            .map(|line| {
                filled(&format!("p{:04}", printed.len() + line), (turn * 37 + line * 11) % 70 + 8, '·')
            })
            .map(|line| line.chars().take(usize::from(screen.size().columns)).collect())
            .collect();
        screen.print(&lines.iter().cloned().map(Line::from).collect::<Vec<_>>());
        printed.extend(lines);
        let live: Vec<String> = (0..turn % 6 + 1)
            .map(|row| {
                filled(&format!("~{row}"), (turn * 29 + row * 31) % usize::from(size.columns) + 1, fill)
            })
            .collect();
        let cursor = u16::try_from((turn * 7) % 90).unwrap();
        let row = u16::try_from(turn % live.len()).unwrap();
        screen.draw(&live.iter().cloned().map(Line::from).collect::<Vec<_>>(), Some((cursor, row))).unwrap();
        pane.feed(&mut screen);
        if turn < 49 {
            size = Size {
                columns: u16::try_from(24 + (turn * 53) % 170).unwrap(),
                rows: u16::try_from(20 + (turn * 17) % 30).unwrap(),
            };
            pane.resize(size);
            if turn % told == 0 {
                screen.resize(size);
            }
        }
    }
    screen.resize(size);
    let live = [filled("~0", usize::from(size.columns), '-')];
    screen.draw(&[Line::from(live[0].clone())], Some((3, 0))).unwrap();
    pane.feed(&mut screen);
    let lines = pane.lines();
    let found: Vec<&String> = lines.iter().filter(|line| line.contains('p')).collect();
    assert_eq!(found, printed.iter().collect::<Vec<_>>(), "all: {lines:#?}");
    let below: Vec<&String> = lines.iter().rev().take(live.len()).rev().collect();
    assert_eq!(below, live.iter().collect::<Vec<_>>(), "all: {lines:#?}");
    assert_eq!(lines.len(), printed.len() + live.len(), "old live rows are left: {lines:#?}");
}

#[test]
fn after_a_view_of_all_and_a_resize_meanwhile_the_main_screen_goes_on() {
    let size = Size { columns: 80, rows: 24 };
    let Some(mut pane) = Pane::open(size) else { return };
    let mut screen =
        Screen::new(Vec::new(), size, Caps { reflow: true, multiplexed: true, ..Caps::default() });
    let rows = |range: std::ops::Range<usize>, tag: &str| -> Vec<Line<'static>> {
        range.map(|row| Line::from(filled(&format!("{tag}{row:04}"), 70, '·'))).collect()
    };
    screen.print(&rows(0..30, "p"));
    screen.draw(&rows(0..4, "~"), Some((60, 2))).unwrap();
    pane.feed(&mut screen);
    screen.enter_full().unwrap();
    screen.draw_full(&rows(0..24, "a view ")).unwrap();
    pane.feed(&mut screen);
    assert!(pane.lines().iter().any(|line| line.starts_with("a view 0023")));
    screen.print(&rows(30..33, "p"));
    let size = Size { columns: 50, rows: 20 };
    pane.resize(size);
    screen.resize(size);
    screen.draw_full(&rows(0..20, "a view ")).unwrap();
    pane.feed(&mut screen);
    screen.leave_full().unwrap();
    screen.draw(&rows(0..4, "~"), Some((30, 2))).unwrap();
    pane.feed(&mut screen);
    let mut wanted: Vec<String> = (0..33).map(|row| filled(&format!("p{row:04}"), 70, '·')).collect();
    wanted.extend((0..4).map(|row| filled(&format!("~{row:04}"), 50, '·')));
    assert_eq!(pane.lines(), wanted);
}
