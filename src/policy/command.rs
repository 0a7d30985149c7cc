//! Reads a shell command into words, when there can be no doubt about them.
//!
//! Only plain words and quoted strings, joined by `&&`, `||`, `;` and `|`. Whatever a shell might expand, redirect,
//! assign, escape or group is not read at all: not to understand a command costs a question, to misunderstand one
//! costs more.

/// Longer command lines are not read.
const MAX_BYTES: usize = 8 * 1024;
/// Command lines of more members are not read.
const MAX_COMMANDS: usize = 32;

/// Words that a shell reads as its own grammar where a command may begin.
const RESERVED: &[&str] = &[
    "if",
    "then",
    "else",
    "elif",
    "fi",
    "case",
    "esac",
    "for",
    "foreach",
    "select",
    "while",
    "until",
    "do",
    "done",
    "in",
    "end",
    "repeat",
    "function",
    "time",
    "coproc",
    "nocorrect",
    "noglob",
    "always",
];

/// The words of each command of the line; nothing when it is not certain that a shell sees the same ones.
#[must_use]
pub fn plain(text: &str) -> Option<Vec<Vec<String>>> {
    if text.len() > MAX_BYTES || text.chars().any(|c| c.is_control() && c != '\t' || is_invisible(c)) {
        return None;
    }
    let mut commands = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => quoted(&mut rest, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut rest, '"', word.get_or_insert_default())?,
            ';' | '|' | '&' => {
                words.extend(word.take());
                let doubled = rest.next_if_eq(&c).is_some();
                // `;;` belongs to `case`, and a single `&` lets the command go on alone.
                if doubled == (c == ';') && c != '|' {
                    return None;
                }
                finish(&mut commands, &mut words)?;
            }
            // Some shells expand `=name` to a path.
            '=' if word.is_none() => return None,
            _ if is_plain(c) => word.get_or_insert_default().push(c),
            _ => return None,
        }
    }
    words.extend(word);
    finish(&mut commands, &mut words)?;
    Some(commands)
}

fn quoted(rest: &mut impl Iterator<Item = char>, quote: char, word: &mut String) -> Option<()> {
    for c in rest {
        if c == quote {
            return Some(());
        }
        if quote == '"' && matches!(c, '$' | '`' | '\\' | '!') {
            return None;
        }
        word.push(c);
    }
    None
}

fn finish(commands: &mut Vec<Vec<String>>, words: &mut Vec<String>) -> Option<()> {
    let name = words.first()?;
    let assigns = name.contains('=');
    if name.is_empty() || assigns || RESERVED.contains(&name.as_str()) || commands.len() == MAX_COMMANDS {
        return None;
    }
    commands.push(std::mem::take(words));
    Some(())
}

/// Characters that no shell gives a meaning to, wherever they stand in a word.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ',' | ':' | '+' | '@' | '%' | '=')
}

/// Characters that take no room on a screen, or turn around what stands beside them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use proptest::{prelude::*, strategy::ValueTree as _};

    use super::*;

    fn read(text: &str) -> Option<String> {
        plain(text)
            .map(|commands| commands.iter().map(|words| words.join("·")).collect::<Vec<_>>().join(" / "))
    }

    #[test]
    fn plain_words_and_strings_are_read() {
        for (text, words) in [
            ("ls", "ls"),
            ("  ls\t-la  ", "ls·-la"),
            ("ls -la src/main.rs", "ls·-la·src/main.rs"),
            ("grep 'a b' \"c d\"", "grep·a b·c d"),
            ("rg --glob='*.rs' x", "rg·--glob=*.rs·x"),
            ("ec\"h\"'o' a''b \"\"", "echo·ab·"),
            ("a && b || c ; d | e", "a / b / c / d / e"),
            ("a&&b||c;d|e", "a / b / c / d / e"),
            ("grep 'über $HOME `x` \\' f", "grep·über $HOME `x` \\·f"),
            ("echo if then; echo done", "echo·if·then / echo·done"),
            ("printf %s a@b:c,d+e", "printf·%s·a@b:c,d+e"),
            ("find . '(' -name x ')'", "find·.·(·-name·x·)"),
        ] {
            assert_eq!(read(text).as_deref(), Some(words), "{text}");
        }
    }

    #[test]
    fn whatever_a_shell_might_change_is_not_read() {
        for text in [
            "",
            " ",
            ";",
            "ls;",
            "ls ;; ls",
            "&& ls",
            "ls &&",
            "ls | | ls",
            "ls &",
            "ls & ls",
            "ls |& cat",
            "ls &&& ls",
            "ls > f",
            "ls >> f",
            "cat < f",
            "cat << E",
            "cat <<< x",
            "ls 2>&1",
            "ls &> f",
            "cat <(ls)",
            "ls >| f",
            "echo $HOME",
            "echo \"$HOME\"",
            "echo ${x}",
            "echo $(ls)",
            "echo `ls`",
            "echo \"`ls`\"",
            "echo $'a'",
            "echo $\"a\"",
            "echo \"a\\\"b\"",
            "echo a\\ b",
            "r\\m x",
            "ls *",
            "ls a?",
            "ls [ab]",
            "ls {a,b}",
            "ls ~",
            "ls a:~/b",
            "A=1",
            "A=1 ls",
            "A+=1 ls",
            "'A=1' ls",
            "ls =cat",
            "!ls",
            "! ls",
            "echo \"a!b\"",
            "ls # x",
            "ls a#b",
            "(ls)",
            "{ ls; }",
            "f() { ls; }",
            "if true; then ls; fi",
            "while true; do ls; done",
            "for x in a; do ls; done",
            "case x in x) ls;; esac",
            "time ls",
            "coproc ls",
            "function f",
            "[ a ]",
            "[[ a ]]",
            "((1))",
            "echo 'open",
            "echo \"open",
            "ls\nrm x",
            "ls\rrm x",
            "ls\0x",
            "'' x",
            "echo 'a\nb'",
            "ls\u{a0}x",
            "l\u{455} x",
            "echo 'a\u{202e}b'",
            "echo 'a\u{200b}b'",
            "echo \u{7}",
            "echo 'a\u{9b}31m'",
            "echo 'a\u{e0041}'",
            "caf\u{e9} x",
            "a^b",
            "ls \u{2028} x",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(plain(&"a ".repeat(MAX_BYTES)), None);
        assert_eq!(plain(&vec!["ls"; MAX_COMMANDS + 1].join(";")), None);
        assert!(plain(&vec!["ls"; MAX_COMMANDS].join(";")).is_some());
    }

    /// Pieces that meet each other in unlucky ways.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[a-z./,:+@%=_-]{1,4}",
            3 => " {1,2}|\t",
            2 => "'[a-z $`\\\\\"*!~#&|;é=-]{0,5}'",
            2 => "\"[a-z '*~#&|;é=-]{0,5}\"",
            1 => "[&|;]{1,2}",
            1 => "[\\\\'\"$`*?~#!(){}<>\\[\\]\n\r]",
        ]
    }

    /// What bash makes of these lines, each a list of words. `None` without a bash.
    fn bash(lines: &[String], locale: &str) -> Option<Vec<Vec<String>>> {
        let script: String =
            lines.iter().map(|line| format!("printf '%s\\0' {line}\nprintf '\\1\\0'\n")).collect();
        let run = Command::new("bash")
            .args(["--norc", "-c", &script])
            .env_clear()
            .env("LC_ALL", locale)
            .env("PATH", "/nonexistent")
            .stdin(Stdio::null())
            .output()
            .ok()?;
        assert!(run.status.success(), "{script}\n{}", String::from_utf8_lossy(&run.stderr));
        let text = String::from_utf8(run.stdout).unwrap();
        let mut seen = vec![Vec::new()];
        for word in text.split_terminator('\0') {
            if word == "\u{1}" {
                seen.push(Vec::new());
            } else {
                seen.last_mut().unwrap().push(word.to_owned());
            }
        }
        seen.pop();
        Some(seen)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = plain(&text);
        }

        #[test]
        fn a_line_reads_as_its_parts(parts in prop::collection::vec("[a-z]{1,3}( '[^'\\p{C}\\p{M}\\u{115f}\\u{1160}\\u{3164}\\u{ffa0}\u{2028}\u{2029}]{0,4}'){0,2}", 1..5)) {
            prop_assume!(parts.iter().all(|part| plain(part).is_some()));
            let line = parts.join(" && ");
            let each: Vec<_> = parts.iter().flat_map(|part| plain(part).unwrap()).collect();
            prop_assert_eq!(plain(&line), Some(each));
        }
    }

    #[test]
    fn bash_sees_the_same_words() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let lines = prop::collection::vec(piece(), 1..10);
        let mut taken = Vec::new();
        while taken.len() < 600 {
            let text = lines.new_tree(&mut runner).unwrap().current().concat();
            // Bash reads what follows `printf` as operands, so a line of one command is a list of words.
            if let Some(commands) = plain(&text)
                && let [words] = commands.as_slice()
            {
                taken.push((text, words.clone()));
            }
        }
        let texts: Vec<String> = taken.iter().map(|(text, _)| text.clone()).collect();
        for locale in ["C", "C.UTF-8"] {
            let Some(seen) = bash(&texts, locale) else {
                return skip("bash_sees_the_same_words: there is no bash");
            };
            assert_eq!(seen.len(), taken.len());
            for ((text, words), seen) in taken.iter().zip(seen) {
                assert_eq!(words, &seen, "{text:?} in {locale}");
            }
        }
    }

    #[test]
    fn bash_parses_every_line_that_is_read() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let lines = prop::collection::vec(piece(), 1..14);
        let mut script = String::new();
        let mut taken = 0;
        while taken < 600 {
            let text = lines.new_tree(&mut runner).unwrap().current().concat();
            if plain(&text).is_some() {
                script.push_str(&text);
                script.push('\n');
                taken += 1;
            }
        }
        match Command::new("bash").args(["--norc", "-n", "-c", &script]).output() {
            Ok(run) => assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr)),
            Err(_) => skip("bash_parses_every_line_that_is_read: there is no bash"),
        }
    }

    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn skip(what: &str) {
        eprintln!("skipped {what}");
    }
}
