//! A configuration file of git, read without git (gitconfig(5), "Syntax"): which names have which values. Of one that
//! git would refuse, more may be found than there is.

/// Each name, in small letters but for its middle part, with its value.
pub(super) fn read(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut section = String::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start();
        if let Some(rest) = line.strip_prefix('[') {
            let (head, rest) = head(rest);
            section = head;
            // A name may stand on the same line.
            line = rest.trim_start();
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let mut value = value.to_owned();
        while continues(&value) {
            value.pop();
            let Some(next) = lines.next() else { break };
            value.push_str(next);
        }
        found.push((format!("{section}.{}", name.trim().to_ascii_lowercase()), plain(value.trim())));
    }
    found
}

/// What stands in brackets, as the beginning of names, and what follows.
fn head(text: &str) -> (String, &str) {
    let Some((name, rest)) = text.split_once('"') else {
        let (name, rest) = text.split_once(']').unwrap_or((text, ""));
        return (name.trim().to_ascii_lowercase(), rest);
    };
    if let Some((name, rest)) = name.split_once(']') {
        return (name.trim().to_ascii_lowercase(), text.get(text.len() - rest.len()..).unwrap_or_default());
    }
    let mut middle = String::new();
    let mut chars = rest.char_indices();
    let mut end = rest.len();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => middle.extend(chars.next().map(|(_, char)| char)),
            '"' => {
                end = at + 1;
                break;
            }
            char => middle.push(char),
        }
    }
    let rest = rest.get(end..).unwrap_or_default();
    let rest = rest.split_once(']').map_or("", |(_, rest)| rest);
    (format!("{}.{middle}", name.trim().to_ascii_lowercase()), rest)
}

/// Whether a line goes on with the next one.
fn continues(value: &str) -> bool {
    value.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// A value without its quotes, escapes and comment.
fn plain(value: &str) -> String {
    let mut text = String::new();
    let mut quoted = false;
    let mut chars = value.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => quoted = !quoted,
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(char) => text.push(char),
                None => {}
            },
            '#' | ';' if !quoted => break,
            char => text.push(char),
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_what_git_takes_them_for() {
        let text = "[Core] hooksPath = .githooks ; mine\n\tFSMonitor=./watch\n\
                    [filter \"x y\\\"z\"]\n clean = \"./cl ean\" -a \\\n  b\n[diff]external\n\
                    [includeIf \"gitdir:~/w/\"]path = ../c#\n[alias]\nst = \"!touch x; true\"\n# no = thing\n";
        let found: Vec<(String, String)> = read(text);
        let expected = [
            ("core.hookspath", ".githooks"),
            ("core.fsmonitor", "./watch"),
            ("filter.x y\"z.clean", "./cl ean -a   b"),
            ("diff.external", ""),
            ("includeif.gitdir:~/w/.path", "../c"),
            ("alias.st", "!touch x; true"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn no_text_is_too_much_for_it() {
        for text in
            ["[", "[a", "[a \"", "[a \"b\\", "=", "\\", "a = \\", "[a]]\nb", "\"", "[a \"b\" ü] c = ü\\"]
        {
            let _ = read(text);
        }
    }
}
