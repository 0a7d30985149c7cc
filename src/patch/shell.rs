//! Recognising a patch that was typed into the shell: `apply_patch <<'EOF'`, or with the patch as one argument,
//! also after `cd DIR &&`.
//!
//! Strict: whatever is not exactly that is a command like any other. The text of a heredoc is taken as it
//! stands, also when the shell would have expanded it: a patch means its letters.

use std::borrow::Cow;

/// A patch found in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed<'a> {
    pub patch: Cow<'a, str>,
    /// Where `cd` goes first.
    pub workdir: Option<String>,
}

const NAMES: [&str; 2] = ["apply_patch", "applypatch"];

/// The patch that a command is, if it is nothing else.
#[must_use]
pub fn typed(command: &str) -> Option<Typed<'_>> {
    // Most commands are not patches, and many are long.
    if !NAMES.iter().any(|name| command.contains(name)) {
        return None;
    }
    let mut rest = command.trim_start();
    let mut workdir = None;
    if let Some(after) = rest.strip_prefix("cd").filter(|after| after.starts_with([' ', '\t'])) {
        let (directory, after) = word(blanks(after))?;
        if directory.is_empty() || directory.starts_with('-') {
            return None;
        }
        rest = blanks(after).strip_prefix("&&")?.trim_start();
        workdir = Some(directory);
    }
    let rest = NAMES.iter().find_map(|name| rest.strip_prefix(name))?;
    let patch = match blanks(rest).strip_prefix("<<") {
        Some(heredoc) => Cow::Borrowed(body(heredoc)?),
        None if rest.starts_with([' ', '\t']) => Cow::Owned(argument(blanks(rest))?),
        None => return None,
    };
    Some(Typed { patch, workdir })
}

/// What follows the blanks; a newline is none.
fn blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// The text between the line of `<<` and the line of its word, if nothing follows.
fn body(heredoc: &str) -> Option<&str> {
    let (head, body) = heredoc.split_once('\n')?;
    let head = head.trim();
    let word = ['\'', '"']
        .into_iter()
        .find_map(|quote| head.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(head);
    if word.is_empty() || !word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let mut end = 0;
    for line in body.split_inclusive('\n') {
        let after = end + line.len();
        if line.trim_end_matches(['\n', '\r']) == word {
            return body.get(after..)?.trim().is_empty().then(|| body.get(..end)).flatten();
        }
        end = after;
    }
    None
}

/// The only argument, when it looks like a patch.
fn argument(text: &str) -> Option<String> {
    let (argument, rest) = word(text)?;
    (rest.trim().is_empty() && argument.trim_start().starts_with("*** ")).then_some(argument)
}

/// One word as the shell reads it, and what follows; nothing when the shell would do more than take quotes away.
fn word(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => loop {
                match chars.next()?.1 {
                    '\'' => break,
                    c => word.push(c),
                }
            },
            '"' => loop {
                match chars.next()?.1 {
                    '"' => break,
                    '$' | '`' => return None,
                    '\\' => match chars.next()?.1 {
                        '\n' => {}
                        c @ ('"' | '\\' | '$' | '`') => word.push(c),
                        c => word.extend(['\\', c]),
                    },
                    c => word.push(c),
                }
            },
            '\\' => match chars.next()?.1 {
                '\n' => {}
                c => word.push(c),
            },
            ' ' | '\t' | '\n' | '&' | ';' | '|' => return Some((word, text.get(at..)?)),
            '~' if at == 0 => return None,
            '$' | '`' | '*' | '?' | '[' | '{' | '(' | ')' | '<' | '>' | '#' | '!' => return None,
            c => word.push(c),
        }
    }
    Some((word, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "*** Begin Patch\n*** Delete File: a\n*** End Patch";

    #[test]
    fn a_patch_typed_into_the_shell_is_recognised() {
        let cases = [
            (format!("apply_patch <<'EOF'\n{PATCH}\nEOF"), None),
            (format!("apply_patch <<EOF\n{PATCH}\nEOF\n"), None),
            (format!("  apply_patch<<\"PATCH\"\n{PATCH}\nPATCH\n\n"), None),
            (format!("applypatch << 'EOF' \r\n{PATCH}\nEOF\r\n"), None),
            (format!("cd some/dir && apply_patch <<'EOF'\n{PATCH}\nEOF"), Some("some/dir")),
            (format!("cd 'a b'&&apply_patch <<'EOF'\n{PATCH}\nEOF"), Some("a b")),
            (format!("cd a\\ b &&\napply_patch '{PATCH}'"), Some("a b")),
            (format!("apply_patch '{PATCH}'"), None),
            (format!("apply_patch \"{PATCH}\"  \n"), None),
        ];
        for (command, workdir) in cases {
            let typed = typed(&command).unwrap_or_else(|| panic!("not recognised: {command}"));
            assert_eq!(typed.patch.trim_end(), PATCH, "{command}");
            assert_eq!(typed.workdir.as_deref(), workdir, "{command}");
        }
    }

    #[test]
    fn quotes_within_the_argument_are_read_as_the_shell_reads_them() {
        let typed = typed(r#"apply_patch '*** It'\''s "one"'" \"word\" \$HOME \n""#).unwrap();
        assert_eq!(typed.patch, r#"*** It's "one" "word" $HOME \n"#);
    }

    #[test]
    fn the_letters_of_a_heredoc_are_not_expanded() {
        let typed = typed("apply_patch <<EOF\n*** $HOME `x` \\n\nEOF").unwrap();
        assert_eq!(typed.patch, "*** $HOME `x` \\n\n");
    }

    #[test]
    fn anything_else_is_a_command() {
        let commands = [
            "apply_patch".to_owned(),
            "apply_patch --help".to_owned(),
            "apply_patch file.patch".to_owned(),
            format!("apply_patch <<'EOF'\n{PATCH}\nEOF\nls"),
            format!("apply_patch <<'EOF' && ls\n{PATCH}\nEOF"),
            format!("apply_patch <<'EOF'\n{PATCH}\n"),
            format!("apply_patch <<-EOF\n{PATCH}\nEOF"),
            format!("apply_patch '{PATCH}' && ls"),
            format!("apply_patch '{PATCH}' more"),
            format!("apply_patch \"{PATCH} $HOME\""),
            format!("echo x | apply_patch '{PATCH}'"),
            format!("cd a; apply_patch '{PATCH}'"),
            format!("cd $HOME && apply_patch '{PATCH}'"),
            format!("cd ~/x && apply_patch '{PATCH}'"),
            format!("cd - && apply_patch '{PATCH}'"),
            format!("cd a && cd b && apply_patch '{PATCH}'"),
            format!("cd && apply_patch '{PATCH}'"),
            format!("my_apply_patch '{PATCH}'"),
            format!("apply_patches '{PATCH}'"),
            format!("apply_patch'{PATCH}'"),
            format!("apply_patch '{PATCH}"),
            "cat apply_patch".to_owned(),
        ];
        for command in commands {
            assert_eq!(typed(&command), None, "{command}");
        }
    }
}
