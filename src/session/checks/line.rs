//! What a command line checks and changes, as far as its words tell.
//!
//! It is read as people write such lines, and not as a shell would: nothing is decided by it. Where it can't be told
//! what an exit code is the one of, that is said.

use super::table::{CHECKS, EDITS, Known, RUNNERS, WRAPPERS};

/// Longer command lines are not read.
const MAX_BYTES: usize = 16 * 1024;
/// Shells within shells that are looked into.
const DEEPEST: u32 = 3;

/// What stands behind a command of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    And,
    Or,
    Pipe,
    /// Whatever comes next comes in any case.
    Next,
    End,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Part {
    words: Vec<String>,
    /// It writes into a file of the workspace.
    writes: bool,
}

/// What a line does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line {
    /// The checks, by name, each with whether the exit code of the line says that it passed (0) and whether it says
    /// that it failed.
    pub checks: Vec<(String, Says)>,
    /// It changes files, and this many of its checks come after that.
    pub edits: Option<usize>,
}

/// What the exit code of a line says of one of its checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// How it ended.
    All,
    /// That it passed, when it is 0.
    Passed,
    Nothing,
}

impl Says {
    /// The exit code of the check, as far as that of the line tells.
    pub(super) fn exit(self, exit: Option<i32>) -> Option<i32> {
        match self {
            Self::All => exit,
            Self::Passed => exit.filter(|code| *code == 0),
            Self::Nothing => None,
        }
    }
}

/// Reads a line.
pub(super) fn read(text: &str) -> Line {
    let mut line = Line::default();
    read_in(text, Says::All, 0, &mut line);
    line
}

fn read_in(text: &str, outer: Says, depth: u32, line: &mut Line) {
    if text.len() > MAX_BYTES || depth > DEEPEST {
        return;
    }
    let parts = split(text);
    let pipefail = parts.iter().any(|(part, _)| part.words.iter().any(|word| word == "pipefail"));
    for (at, (part, _)) in parts.iter().enumerate() {
        let rest: Vec<Joint> = parts.iter().skip(at).map(|(_, joint)| *joint).collect();
        let before = at.checked_sub(1).and_then(|before| parts.get(before)).map(|(_, joint)| *joint);
        let says = match (outer, says(&rest, pipefail)) {
            _ if before == Some(Joint::Or) => Says::Nothing,
            (Says::All, says) | (says, Says::All) => says,
            (Says::Passed, Says::Passed) => Says::Passed,
            _ => Says::Nothing,
        };
        let words = bare(&part.words);
        if let Some(inner) = shell(words) {
            read_in(inner, says, depth + 1, line);
            continue;
        }
        if EDITS.iter().any(|known| known.name(words).is_some()) {
            line.edits = Some(line.checks.len());
        } else if let Some(name) = CHECKS.iter().find_map(|known| known.name(words)) {
            // What a check says may be kept in a file.
            line.checks.push((name, says));
        } else if part.writes {
            line.edits = Some(line.checks.len());
        }
    }
}

/// What the exit code of a line says of a command with these joints behind it.
fn says(rest: &[Joint], pipefail: bool) -> Says {
    let mut says = Says::All;
    for (at, joint) in rest.iter().enumerate() {
        match joint {
            Joint::End => return says,
            Joint::And => says = Says::Passed,
            Joint::Pipe if pipefail => says = Says::Passed,
            // Behind an `&&` it is part of what came only because the command had passed.
            Joint::Pipe if at > 0 && says == Says::Passed => {}
            Joint::Pipe | Joint::Or | Joint::Next => return Says::Nothing,
        }
    }
    says
}

impl Known {
    /// What a command of this kind is called by.
    fn name(&self, words: &[String]) -> Option<String> {
        let (program, rest) = words.split_first()?;
        let program = program.rsplit('/').next().unwrap_or(program);
        let program = program.strip_suffix(".sh").unwrap_or(program);
        if program != self.program {
            return None;
        }
        let has = |option: &&str| {
            rest.iter().any(|word| word == option || word.strip_prefix(option).is_some_and(is_value))
        };
        if !self.options.is_empty() && !self.options.iter().any(has) {
            return None;
        }
        let option = self.options.iter().find(|option| option.starts_with("--check") && has(option));
        let suffix = option.map(|option| format!(" {option}")).unwrap_or_default();
        if self.words.is_empty() {
            return Some(format!("{program}{suffix}"));
        }
        let mut own = rest.iter().filter(|word| !word.starts_with(['-', '+'])).map(String::as_str);
        let is = |word: &str| self.words.iter().any(|known| *known == word.split(':').next().unwrap_or(word));
        let word = match self.anywhere {
            true => own.find(|word| is(word))?,
            false => {
                let first = own.next()?;
                let runs = matches!(first, "run" | "run-script") && !matches!(program, "cargo" | "go");
                let word = if runs { own.next()? } else { first };
                Some(word).filter(|word| is(word))?
            }
        };
        Some(format!("{program} {word}{suffix}"))
    }
}

/// What follows an option in the same word.
fn is_value(rest: &str) -> bool {
    rest.starts_with('=') || rest.starts_with('.')
}

/// The words from the program that is meant: without assignments, and without what only runs it.
fn bare(mut words: &[String]) -> &[String] {
    loop {
        let Some((first, rest)) = words.split_first() else { return words };
        let name = first.rsplit('/').next().unwrap_or(first);
        let assigns = first.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|char| char == '_' || char.is_ascii_alphanumeric())
        });
        if assigns || matches!(first.as_str(), "!" | "if" | "then" | "do" | "while") {
            words = rest;
        } else if WRAPPERS.contains(&name) {
            // Options, and the number that `timeout` and `nice -n` take.
            let own = |word: &&String| {
                word.starts_with('-') || word.starts_with(|char: char| char.is_ascii_digit())
            };
            words = rest.get(rest.iter().take_while(own).count()..).unwrap_or_default();
        } else if let Some((_, runs)) = RUNNERS.iter().find(|(runner, _)| *runner == name)
            && let Some((second, rest)) = rest.split_first()
            && runs.contains(&second.as_str())
        {
            words = rest;
        } else if name.starts_with("python") && rest.first().is_some_and(|word| word == "-m") {
            words = rest.get(1..).unwrap_or_default();
        } else {
            return words;
        }
    }
}

/// The line that a shell is given.
fn shell(words: &[String]) -> Option<&str> {
    let (program, rest) = words.split_first()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    if !matches!(name, "sh" | "bash" | "zsh" | "dash" | "ksh") {
        return None;
    }
    let at = rest
        .iter()
        .position(|word| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c'))?;
    rest.get(at + 1).map(String::as_str)
}

/// The commands of a line, each with what stands behind it.
fn split(text: &str) -> Vec<(Part, Joint)> {
    let mut parts: Vec<(Part, Joint)> = Vec::new();
    let (mut part, mut word) = (Part::default(), None::<String>);
    let mut chars = text.chars().peekable();
    // The word that comes is a file that is written to.
    let mut target = false;
    macro_rules! end_word {
        () => {
            if let Some(done) = word.take() {
                if std::mem::take(&mut target) {
                    part.writes |= !is_outside(&done);
                } else {
                    part.words.push(done);
                }
            }
        };
    }
    macro_rules! end_part {
        ($joint:expr) => {
            end_word!();
            if part != Part::default() {
                parts.push((std::mem::take(&mut part), $joint));
            } else if let (Some((_, last)), Joint::Or | Joint::And) = (parts.last_mut(), $joint) {
                *last = $joint;
            }
        };
    }
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' => {
                end_word!();
            }
            '#' if word.is_none() => while chars.next_if(|char| *char != '\n').is_some() {},
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(char) => word.get_or_insert_default().push(char),
            },
            quote @ ('\'' | '"') => {
                let word = word.get_or_insert_default();
                while let Some(char) = chars.next() {
                    match char {
                        '\\' if quote == '"' => word.extend(chars.next()),
                        char if char == quote => break,
                        char => word.push(char),
                    }
                }
            }
            '<' if chars.next_if_eq(&'<').is_some() => {
                // What follows is data, up to a mark; what stands on the line itself is not looked at any more.
                end_word!();
                for rest in chars.by_ref().take_while(|char| *char != '\n') {
                    part.writes |= rest == '>';
                }
                break;
            }
            '>' => {
                // `2>` and `&>` belong together.
                if word
                    .as_ref()
                    .is_some_and(|word| word.len() == 1 && word.chars().all(|c| c.is_ascii_digit()))
                {
                    word = None;
                }
                end_word!();
                while chars.next_if(|char| matches!(char, '>' | '|')).is_some() {}
                if chars.next_if_eq(&'&').is_some() {
                    while chars.next_if(|char| char.is_ascii_digit() || *char == '-').is_some() {}
                } else {
                    target = true;
                }
            }
            '&' if chars.peek() == Some(&'>') => {}
            '&' if chars.next_if_eq(&'&').is_some() => {
                end_part!(Joint::And);
            }
            '|' if chars.next_if_eq(&'|').is_some() => {
                end_part!(Joint::Or);
            }
            '|' => {
                chars.next_if_eq(&'&');
                end_part!(Joint::Pipe);
            }
            ';' | '\n' | '&' => {
                end_part!(Joint::Next);
            }
            '(' | ')' => {
                end_word!();
            }
            char => word.get_or_insert_default().push(char),
        }
    }
    end_part!(Joint::Next);
    if let Some((_, joint)) = parts.last_mut() {
        // A separator at the end separates nothing; a command in the background has not ended.
        let background = text.trim_end().ends_with('&') && !text.trim_end().ends_with("&&");
        *joint = if background { Joint::Next } else { Joint::End };
    }
    parts
}

/// A file that is not one of the workspace, as far as its name tells.
fn is_outside(path: &str) -> bool {
    path.starts_with("/dev/") || path.starts_with("/tmp/") || path.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_known_by_their_first_words_whatever_stands_around_them() {
        for (text, expected) in [
            ("cargo test", "cargo test"),
            ("cargo +nightly --locked test -p x -- --nocapture", "cargo test"),
            ("cd crates/x && RUST_BACKTRACE=1 timeout 60 cargo test 2>&1", "cargo test"),
            ("/usr/bin/env FOO=1 ./node_modules/.bin/tsc --noEmit", "tsc"),
            ("npm test", "npm test"),
            ("npm run lint:css -- --quiet", "npm lint:css"),
            ("yarn --silent typecheck", "yarn typecheck"),
            ("npx eslint . --max-warnings=0", "eslint"),
            ("python3 -m pytest -x tests/", "pytest"),
            ("uv run --no-sync x; poetry run mypy src", "mypy"),
            ("bash -lc 'go vet ./... && go test ./...'", "go vet, go test"),
            ("make -j8 -C out check", "make check"),
            ("./gradlew :app:test", ""),
            ("./gradlew clean test", "gradlew test"),
            (
                "cargo fmt --check && cargo clippy --all-targets -- -D warnings",
                "cargo fmt --check, cargo clippy",
            ),
            ("(cargo build) && ruff check src", "cargo build, ruff check"),
            ("if cargo check; then echo ok; fi", "cargo check"),
            ("cargo run", ""),
            ("make", ""),
            ("npm start", ""),
            ("echo 'cargo test'; grep \"cargo test\" README.md", ""),
            ("# cargo test\nls", ""),
            ("cat > run.sh <<'EOF'\ncargo test\nEOF", ""),
            ("", ""),
            (" && ; | ", ""),
        ] {
            let names: Vec<String> = read(text).checks.into_iter().map(|(name, _)| name).collect();
            assert_eq!(names.join(", "), expected, "{text}");
        }
    }

    #[test]
    fn an_exit_code_says_no_more_than_it_does() {
        for (text, expected) in [
            ("cargo test", Says::All),
            ("cd x && cargo test", Says::All),
            ("cd x; cargo test;", Says::All),
            ("cargo test 2>&1 > out.log", Says::All),
            ("cargo test &> /tmp/log", Says::All),
            ("cargo test && echo ok", Says::Passed),
            ("cargo test && git diff | head", Says::Passed),
            ("cargo test | tail -5", Says::Nothing),
            ("cargo test 2>&1 | tail -5", Says::Nothing),
            ("cargo test |& tail -5 && ls", Says::Nothing),
            ("set -o pipefail; cargo test | tail -5", Says::Passed),
            ("bash -o pipefail -c 'cargo test'", Says::All),
            ("bash -c 'cargo test' | tail", Says::Nothing),
            ("cargo test || true", Says::Nothing),
            ("true || cargo test", Says::Nothing),
            ("cargo test; echo $?", Says::Nothing),
            ("cargo test &", Says::Nothing),
            ("cargo test & wait", Says::Nothing),
        ] {
            let line = read(text);
            assert!(matches!(&line.checks[..], [(_, says)] if *says == expected), "{text}: {line:?}");
        }
        let exits = |says: Says| [Some(0), Some(1), None].map(|exit| says.exit(exit));
        assert_eq!(exits(Says::All), [Some(0), Some(1), None]);
        assert_eq!(exits(Says::Passed), [Some(0), None, None]);
        assert_eq!(exits(Says::Nothing), [None, None, None]);
    }

    #[test]
    fn what_changes_files_is_known_as_far_as_words_tell() {
        for (text, expected) in [
            ("sed -i s/a/b/ x", Some(0)),
            ("sed -i.bak s/a/b/ x && cargo test", Some(0)),
            ("cargo test && git checkout -- x", Some(1)),
            ("echo x > src/x", Some(0)),
            ("echo x >> src/x", Some(0)),
            ("cat > x <<EOF\na\nEOF", Some(0)),
            ("cat <<EOF > x\na\nEOF", Some(0)),
            ("cargo fmt --check", None),
            ("ruff check --fix", Some(0)),
            ("ruff check", None),
            ("sed -n 1,5p x", None),
            ("cargo test > /dev/null 2>&1", None),
            ("cargo test > /tmp/out", None),
            ("git diff && git status", None),
            ("ls", None),
        ] {
            assert_eq!(read(text).edits, expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(text in ".{0,200}") {
            read(&text);
        }
    }
}
