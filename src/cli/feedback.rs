//! A file about the program and the machine, to be sent along with a report. Nothing of a conversation is in it, no
//! key, and no name of a directory but the program's own.

use std::{fmt::Write as _, fs, path::PathBuf};

use crate::protocol::printable;

use super::{doctor, start::Start};

/// Of an error only so much.
const ERROR: usize = 500;

/// Writes the file, and says where.
///
/// # Errors
/// With a sentence for the person.
pub(super) fn write(start: &Start, terminal: &str, last_error: Option<&str>) -> Result<PathBuf, String> {
    let path = start.home.state.join(format!("feedback-{}.md", jiff::Zoned::now().strftime("%Y%m%d-%H%M%S")));
    let text = redacted(&report(start, terminal, last_error), &places(start));
    let written = start.home.state.as_path();
    let written = fs::create_dir_all(written).and_then(|()| fs::write(&path, text));
    written.map(|()| path.clone()).map_err(|error| format!("can't write {}: {error}", path.display()))
}

fn report(start: &Start, terminal: &str, last_error: Option<&str>) -> String {
    let config = &start.config;
    let mut out = String::from(
        "# Feedback about agent\n\nRead this before you send it; it is meant to hold nothing private.\n",
    );
    let mut section = |title: &str, body: &str| {
        // Writing to a string can't fail.
        let _ = write!(out, "\n## {title}\n\n```\n{}\n```\n", printable(body.trim_end()));
    };
    let system = rustix::system::uname();
    let system = [system.sysname(), system.release(), system.machine()]
        .map(|part| part.to_string_lossy().into_owned());
    section("Program", &format!("agent {}\n{}", env!("CARGO_PKG_VERSION"), system.join(" ")));
    section("Terminal", terminal);
    // What is not listed may be private: providers' addresses and headers, projects, variables.
    let providers: Vec<&str> = config.providers.keys().map(String::as_str).collect();
    section(
        "Configuration",
        &format!(
            "model = {}\neffort = {:?}\nverbosity = {:?}\napproval = {}\nsandbox = {}\nbackend = {}\n\
             context_window = {:?}\nidle_timeout = {}\nproviders = {providers:?}\ntui = {:#?}",
            config.model,
            config.effort,
            config.verbosity,
            start.approval,
            config.sandbox,
            config.backend,
            config.context_window,
            config.idle_timeout,
            config.tui
        ),
    );
    section("Machine", &doctor::report(start));
    let error: String = last_error.unwrap_or("none").chars().take(ERROR).collect();
    section("Last error", &error);
    out
}

/// Directories with what stands for them, the longest first.
fn places(start: &Start) -> Vec<(String, &'static str)> {
    let home = std::env::var("HOME").unwrap_or_default();
    let mut places = vec![(start.workspace.display().to_string(), "WORKSPACE"), (home, "~")];
    places.retain(|(place, _)| place.len() > 1);
    places.sort_by_key(|(place, _)| std::cmp::Reverse(place.len()));
    places
}

fn redacted(text: &str, places: &[(String, &str)]) -> String {
    let text = places.iter().fold(text.to_owned(), |text, (place, name)| text.replace(place, name));
    let secret = |word: &str| {
        let word = word.trim_matches(|char: char| !char.is_ascii_alphanumeric());
        word.starts_with("sk-") || (word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    };
    let words = text.split_inclusive(|char: char| char.is_whitespace() || char == '"');
    words
        .map(|word| {
            if secret(word) {
                word.replace(|char: char| char.is_ascii_alphanumeric(), "x")
            } else {
                word.to_owned()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_directories_and_keys_are_taken_out() {
        let places = [("/home/me/project".to_owned(), "WORKSPACE"), ("/home/me".to_owned(), "~")];
        let text = "at /home/me/project/x and /home/me/.config\nkey: \"sk-abc-DEF123\", abcdefghijklmnopqrstuvwxyz0123456789!";
        assert_eq!(
            redacted(text, &places),
            format!("at WORKSPACE/x and ~/.config\nkey: \"xx-xxx-xxxxxx\", {}!", "x".repeat(36))
        );
    }
}
