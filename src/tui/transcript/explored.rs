//! Commands that only look at files, folded together: what was read, searched and listed.
//!
//! Recognised by the text of the command, for show only: nothing is allowed because of it, and a mistake costs
//! nothing but a misleading line. Anything but plain words is not recognised.

use ratatui::text::Line;

use crate::tui::text::plain;

use super::{Cell, view::View};

/// Lines of what was looked at that are shown.
const SHOWN: usize = 12;
/// Longer commands are shown as commands.
const LONGEST: usize = 400;

/// One look at something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    Read(String),
    Search { what: String, place: Option<String> },
    List(Option<String>),
}

/// Cells that are shown as one.
pub struct Group {
    begin: usize,
    pub end: usize,
    /// Nothing can join it any more, and all of it has ended.
    pub finished: bool,
    /// All of it has ended.
    pub idle: bool,
}

/// The group that begins at `at`. Thoughts between two looks do not part them.
pub(super) fn group(cells: &[Cell], at: usize) -> Option<Group> {
    let explores = |cell: &Cell| matches!(cell, Cell::Call(call) if call.explores());
    if !cells.get(at).is_some_and(explores) {
        return None;
    }
    let mut end = at;
    let mut closed = false;
    for (index, cell) in cells.iter().enumerate().skip(at) {
        match cell {
            Cell::Call(call) if call.explores() => end = index + 1,
            Cell::Call(call) if call.is_undecided() => break,
            Cell::Reasoning(_) | Cell::Void => {}
            _ => {
                closed = true;
                break;
            }
        }
    }
    let idle =
        cells.iter().take(end).skip(at).all(|cell| !matches!(cell, Cell::Call(call) if call.is_open()));
    Some(Group { begin: at, end, finished: closed && idle, idle })
}

pub(super) fn rows(cells: &[Cell], group: &Group, view: &View<'_>) -> Vec<Line<'static>> {
    let theme = view.theme;
    let mut looks: Vec<(&'static str, String)> = Vec::new();
    for cell in cells.iter().take(group.end).skip(group.begin) {
        let Cell::Call(call) = cell else { continue };
        for reading in &call.readings {
            let (verb, mut what) = reading.words(view);
            match (call.exit(), reading) {
                (None | Some(0), _) => {}
                (Some(1), Reading::Search { .. }) => what.push_str(" (nothing found)"),
                (Some(code), _) => what.push_str(&format!(" (exit {code})")),
            }
            match looks.last_mut() {
                Some((last, all)) if *last == verb && verb == "Read" => {
                    if !all.split(", ").any(|one| one == what) {
                        all.push_str(", ");
                        all.push_str(&what);
                    }
                }
                _ => looks.push((verb, what)),
            }
        }
    }
    looks.dedup();
    let verb = if group.idle { "Explored" } else { "Exploring" };
    let mark = if group.idle { theme.good } else { theme.accent };
    let mut rows = vec![view.row(vec![("• ".to_owned(), mark), (verb.to_owned(), theme.plain)])];
    for (verb, what) in looks.iter().take(SHOWN) {
        rows.extend(view.prose("  ", theme.dim, &format!("{verb} {what}"), theme.dim));
    }
    if looks.len() > SHOWN {
        rows.push(view.row(vec![(format!("  … +{} more", looks.len() - SHOWN), theme.dim)]));
    }
    rows
}

impl Reading {
    fn words(&self, view: &View<'_>) -> (&'static str, String) {
        let path = |path: &str| view.path(path.as_ref());
        match self {
            Self::Read(file) => ("Read", path(file)),
            Self::Search { what, place: None } => ("Search", plain::plain(what).into_owned()),
            Self::Search { what, place: Some(place) } => {
                ("Search", format!("{} in {}", plain::plain(what), path(place)))
            }
            Self::List(place) => ("List", path(place.as_deref().unwrap_or("."))),
        }
    }
}

/// What a command looks at, if it does nothing else.
pub fn read(command: &str) -> Option<Vec<Reading>> {
    if command.len() > LONGEST {
        return None;
    }
    let mut readings = Vec::new();
    for step in steps(command)? {
        let mut parts = step.iter();
        readings.extend(one(parts.next()?)?);
        // What comes behind a pipe only cuts or counts what was read.
        for filter in parts {
            let fits = matches!(
                filter.first()?.as_str(),
                "head" | "tail" | "wc" | "sort" | "uniq" | "nl" | "cat" | "grep" | "rg"
            );
            if !fits && !is_sed_print(filter) {
                return None;
            }
        }
    }
    (!readings.is_empty()).then_some(readings)
}

fn one(words: &[String]) -> Option<Vec<Reading>> {
    let (program, args) = words.split_first()?;
    let mut plain = args.iter().filter(|arg| !arg.starts_with('-')).cloned();
    Some(match program.as_str() {
        "cat" | "nl" | "bat" => plain.map(Reading::Read).collect::<Vec<_>>(),
        "head" | "tail" => {
            // The number behind -n is not a file.
            let files = args.iter().enumerate().filter(|(index, arg)| {
                let count = index.checked_sub(1).and_then(|before| args.get(before));
                !arg.starts_with('-') && !count.is_some_and(|before| before == "-n" || before == "-c")
            });
            files.map(|(_, file)| Reading::Read(file.clone())).collect()
        }
        "sed" if is_sed_print(words) => plain.skip(1).map(Reading::Read).collect(),
        "ls" | "tree" => {
            let places: Vec<_> = plain.map(|place| Reading::List(Some(place))).collect();
            if places.is_empty() { vec![Reading::List(None)] } else { places }
        }
        "find" if !args.iter().any(|arg| acts(arg)) => {
            let place = args.first().filter(|arg| !arg.starts_with('-')).cloned();
            let named = args
                .iter()
                .zip(args.iter().skip(1))
                .find(|(option, _)| matches!(option.as_str(), "-name" | "-iname" | "-path"));
            match named {
                Some((_, what)) => vec![Reading::Search { what: what.clone(), place }],
                None => vec![Reading::List(place)],
            }
        }
        "rg" if args.iter().any(|arg| arg == "--files") => vec![Reading::List(plain.next())],
        "rg" | "grep" => {
            let what = plain.next()?;
            vec![Reading::Search { what, place: plain.next() }]
        }
        "pwd" | "wc" => plain.map(Reading::Read).collect(),
        _ => return None,
    })
    .filter(|readings| !readings.is_empty() || program == "pwd")
}

/// `sed -n 1,20p`: prints lines and does nothing else.
fn is_sed_print(words: &[String]) -> bool {
    let script = |script: &String| {
        script
            .strip_suffix('p')
            .is_some_and(|lines| lines.chars().all(|char| char.is_ascii_digit() || matches!(char, ',' | '$')))
    };
    matches!(words, [sed, option, lines, ..] if sed == "sed" && option == "-n" && script(lines))
}

/// Options of `find` that do more than find.
fn acts(option: &str) -> bool {
    ["-exec", "-ok", "-delete", "-fprint", "-fls"].iter().any(|act| option.starts_with(act))
}

/// A command as steps, each a row of programs that are piped, each of these a row of words. Nothing if it has
/// anything in it but words, quotes, `&&`, `;` and `|`.
fn steps(command: &str) -> Option<Vec<Vec<Vec<String>>>> {
    let mut steps = vec![vec![Vec::new()]];
    let mut word: Option<String> = None;
    let mut chars = command.trim().chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' => finish(&mut steps, &mut word),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        end if end == char => break,
                        '$' | '`' | '\\' if char == '"' => return None,
                        inner => word.push(inner),
                    }
                }
            }
            ';' => {
                finish(&mut steps, &mut word);
                steps.push(vec![Vec::new()]);
            }
            '&' => {
                chars.next_if_eq(&'&')?;
                finish(&mut steps, &mut word);
                steps.push(vec![Vec::new()]);
            }
            '|' => {
                finish(&mut steps, &mut word);
                steps.last_mut()?.push(Vec::new());
            }
            '<' | '>' | '$' | '`' | '(' | ')' | '{' | '}' | '\\' | '#' | '!' => return None,
            char if char.is_control() => return None,
            char => word.get_or_insert_default().push(char),
        }
    }
    finish(&mut steps, &mut word);
    Some(steps)
}

fn finish(steps: &mut [Vec<Vec<String>>], word: &mut Option<String>) {
    if let (Some(word), Some(words)) = (word.take(), steps.last_mut().and_then(|step| step.last_mut())) {
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(command: &str) -> Option<String> {
        let readings = read(command)?.into_iter().map(|reading| match reading {
            Reading::Read(file) => format!("read {file}"),
            Reading::Search { what, place } => format!("search {what} in {}", place.unwrap_or_default()),
            Reading::List(place) => format!("list {}", place.unwrap_or_default()),
        });
        Some(readings.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn what_only_looks_is_recognised() {
        for (command, expected) in [
            ("cat a.rs b.rs", "read a.rs, read b.rs"),
            ("sed -n '1,200p' src/main.rs", "read src/main.rs"),
            ("head -n 5 a && tail -20 b", "read a, read b"),
            ("ls -la; ls src", "list , list src"),
            ("rg -n \"fn main\" src | head -50", "search fn main in src"),
            ("grep -rn foo .", "search foo in ."),
            ("find . -name '*.rs'", "search *.rs in ."),
            ("rg --files src", "list src"),
            ("pwd && ls", "list "),
        ] {
            assert_eq!(shown(command).as_deref(), Some(expected), "{command}");
        }
    }

    #[test]
    fn whatever_may_do_more_is_a_command() {
        for command in [
            "",
            "cat",
            "cat a > b",
            "cat $(x)",
            "cat `x`",
            "sed -i s/a/b/ f",
            "sed -n 1e f",
            "find . -delete",
            "find . -exec rm {} +",
            "ls & rm x",
            "ls && rm x",
            "cat a | sh",
            "cat \"$HOME\"",
            "cat 'a",
            "cargo test",
            "cat a\nrm b",
            "cat \\a",
            "rg",
        ] {
            assert_eq!(shown(command), None, "{command}");
        }
    }
}
