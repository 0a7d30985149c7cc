//! Patterns of names, as a shell reads them.

/// A character, and whether it stands for itself alone.
pub(super) type Marked = (char, bool);

/// Whether anything in it is a pattern.
pub(super) fn is_pattern(text: &[Marked]) -> bool {
    text.iter().any(|(c, quoted)| !quoted && matches!(c, '*' | '?' | '['))
}

/// A pattern of a program (`find -name`), which has its own backslash.
pub(super) fn marked(pattern: &str) -> Vec<Marked> {
    let mut out = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => out.extend(rest.next().map(|c| (c, true))),
            c => out.push((c, false)),
        }
    }
    out
}

/// Whether a name is one that a shell takes for the pattern: a hidden one has to be meant.
pub(super) fn names(pattern: &[Marked], name: &str) -> bool {
    let meant = pattern.first().is_some_and(|(c, _)| *c == '.');
    (meant || !name.starts_with('.')) && matches(pattern, name)
}

/// Whether the pattern is the whole of the text.
pub(super) fn matches(pattern: &[Marked], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut seen) = (0, 0);
    // Where to go on when the last star has to take one more.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match step(pattern, at, text[seen]) {
            Step::Star => {
                star = Some((at, seen));
                at += 1;
            }
            Step::Taken(next) => {
                at = next;
                seen += 1;
            }
            Step::Not => match star {
                Some((from, taken)) => {
                    at = from + 1;
                    seen = taken + 1;
                    star = Some((from, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|(c, quoted)| *c == '*' && !quoted)
}

enum Step {
    Star,
    /// The pattern goes on there.
    Taken(usize),
    Not,
}

fn step(pattern: &[Marked], at: usize, c: char) -> Step {
    match pattern.get(at) {
        Some(('*', false)) => Step::Star,
        Some(('?', false)) => Step::Taken(at + 1),
        Some(('[', false)) => match class(pattern, at, c) {
            Some((true, next)) => Step::Taken(next),
            Some((false, _)) => Step::Not,
            // It does not end: a bracket.
            None if c == '[' => Step::Taken(at + 1),
            None => Step::Not,
        },
        Some((own, _)) if *own == c => Step::Taken(at + 1),
        _ => Step::Not,
    }
}

/// Whether `[…]` holds the character, and where the pattern goes on.
fn class(pattern: &[Marked], at: usize, c: char) -> Option<(bool, usize)> {
    let mut next = at + 1;
    let negated = matches!(pattern.get(next), Some(('!' | '^', false)));
    next += usize::from(negated);
    let first = next;
    let mut held = false;
    loop {
        let (from, quoted) = *pattern.get(next)?;
        if from == ']' && !quoted && next > first {
            return Some((held != negated, next + 1));
        }
        if from == '[' && !quoted && matches!(pattern.get(next + 1), Some((':', false))) {
            let end = (next + 2..pattern.len())
                .find(|end| pattern[*end].0 == ':' && pattern.get(end + 1).is_some_and(|(c, _)| *c == ']'))?;
            let name: String = pattern[next + 2..end].iter().map(|(c, _)| c).collect();
            held |= match name.as_str() {
                "alpha" => c.is_alphabetic(),
                "digit" => c.is_ascii_digit(),
                "alnum" => c.is_alphanumeric(),
                "upper" => c.is_uppercase(),
                "lower" => c.is_lowercase(),
                "space" => c.is_whitespace(),
                "punct" => c.is_ascii_punctuation(),
                "xdigit" => c.is_ascii_hexdigit(),
                _ => false,
            };
            next = end + 2;
            continue;
        }
        let range = matches!(pattern.get(next + 1), Some(('-', false)))
            && pattern.get(next + 2).is_some_and(|(c, quoted)| *c != ']' || *quoted);
        if range {
            held |= (from..=pattern[next + 2].0).contains(&c);
            next += 3;
        } else {
            held |= from == c;
            next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_a_shell_takes_them() {
        for (pattern, name, taken) in [
            ("*", "a", true),
            ("*", ".a", false),
            (".*", ".a", true),
            ("*.rs", "main.rs", true),
            ("*.rs", "main.rsx", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("?", "é", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a]", "b", true),
            ("[]a]", "]", true),
            ("[a", "[a", true),
            ("[[:digit:]]*", "7up", true),
            ("[[:digit:]]*", "up", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("", "", true),
            ("**", "abc", true),
        ] {
            assert_eq!(names(&marked(pattern), name), taken, "{pattern} {name}");
        }
    }

    #[test]
    fn a_long_pattern_takes_no_long_time() {
        let text = "a".repeat(4_000) + "b";
        assert!(!matches(&marked(&"a*".repeat(200)), &text.replace('a', "c")));
        assert!(!matches(&marked(&("a*".repeat(20) + "x")), &text));
    }
}
