//! The calls that a skill says it needs (`allowed-tools`), such as `Bash(git log:*)`.

use super::command;

/// Whether every command of a line is among what a skill says it needs. A bare `Bash` says nothing that could be held
/// against a command, and so is none.
#[must_use]
pub fn needed(needs: &[String], line: &str) -> bool {
    let patterns: Vec<(Vec<&str>, bool)> = needs.iter().filter_map(|need| pattern(need)).collect();
    if patterns.is_empty() {
        return false;
    }
    let Some(commands) = command::plain(line) else { return false };
    let fits = |words: &Vec<String>| {
        patterns.iter().any(|(wanted, more)| {
            let begins =
                words.len() >= wanted.len() && words.iter().zip(wanted).all(|(word, wanted)| word == wanted);
            begins && (*more || words.len() == wanted.len())
        })
    };
    !commands.is_empty() && commands.iter().all(fits)
}

/// The words that a command begins with, and whether others may follow.
fn pattern(need: &str) -> Option<(Vec<&str>, bool)> {
    let inner = ["Bash(", "Shell(", "exec_command("].iter().find_map(|name| need.strip_prefix(name))?;
    let inner = inner.strip_suffix(')')?.trim();
    let (words, more) = match inner.strip_suffix(":*").or_else(|| inner.strip_suffix(" *")) {
        Some(words) => (words, true),
        None => (inner, false),
    };
    let words: Vec<&str> = words.split_whitespace().collect();
    (!words.is_empty() && !inner.starts_with('*')).then_some((words, more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_skill_needs_is_read_to_the_letter() {
        let needs: Vec<String> =
            ["Bash(git log:*)", "Bash(git status)", "Bash(npm test *)", "Read", "Bash", "Bash(*)"]
                .map(str::to_owned)
                .into();
        for (line, fits) in [
            ("git log --oneline -5", true),
            ("git log", true),
            ("git status", true),
            ("git status --short", false),
            ("git log && git status", true),
            ("git log | tee out", false),
            ("npm test -- --watch", true),
            ("git push", false),
            ("git log; rm -rf x", false),
            ("git log $(rm x)", false),
            ("git log > file", false),
            ("ls", false),
            ("", false),
        ] {
            assert_eq!(needed(&needs, line), fits, "{line}");
        }
        assert!(!needed(&["Bash".to_owned(), "Bash(*)".to_owned(), "Bash(:*)".to_owned()], "ls"));
    }
}
