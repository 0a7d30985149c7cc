//! Code in colours, line by line as it streams.
//!
//! It knows token classes and no grammar: words, strings, numbers, comments. What it carries from one line to
//! the next is only whether a string or a comment is open, so a line costs its length and nothing else.

mod languages;

use languages::{LANGUAGES, Language, Quote};

use super::{Ink, Look};

/// Longer lines than this stay plain: they are data, and not read.
pub const LONGEST: usize = 2048;

/// Colours the lines of one piece of code, in order.
#[derive(Debug, Clone, Default)]
pub struct Highlighter {
    language: Option<&'static Language>,
    open: Option<Open>,
}

/// What goes on from the last line.
#[derive(Debug, Clone, Copy)]
enum Open {
    Comment(&'static str),
    String(&'static Quote),
}

impl Highlighter {
    /// For a language by its name, as it stands behind a fence, or by a file's ending. Others stay plain.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let language = LANGUAGES.iter().find(|language| language.names.contains(&name.as_str()));
        Self { language, open: None }
    }

    /// The next line in pieces.
    pub fn line(&mut self, line: &str) -> Vec<(String, Look)> {
        let Some(language) = self.language else { return whole(line, Ink::Plain) };
        if line.len() > LONGEST {
            return whole(line, Ink::Plain);
        }
        if language.by_line {
            return whole(line, by_line(line));
        }
        let mut pieces = Pieces::default();
        let mut rest = line;
        while !rest.is_empty() {
            let (len, ink) = self.token(language, rest, pieces.last);
            let (token, after) = rest.split_at_checked(len).unwrap_or((rest, ""));
            pieces.push(token, ink);
            rest = after;
        }
        if let Some(Open::String(quote)) = self.open
            && !quote.lines
        {
            self.open = None;
        }
        pieces.all
    }

    /// Length and ink of the token at the beginning of `rest`.
    fn token(&mut self, language: &'static Language, rest: &str, before: char) -> (usize, Ink) {
        match self.open {
            Some(Open::Comment(end)) => return self.until(rest, 0, end),
            Some(Open::String(quote)) => return self.string(rest, 0, quote),
            None => {}
        }
        let starts = |mark: &&str| rest.starts_with(*mark);
        if let Some((start, end)) = language.block_comments.iter().find(|(start, _)| rest.starts_with(start))
        {
            self.open = Some(Open::Comment(end));
            return self.until(rest, start.len(), end);
        }
        let alone = before == ' ' || before == '\0' || !language.comment_after_space;
        if alone && language.line_comments.iter().any(starts) {
            return (rest.len(), Ink::Comment);
        }
        if let Some(quote) = language.quotes.iter().find(|quote| rest.starts_with(quote.start)) {
            if quote.character && !character(rest) {
                return (1, Ink::Plain);
            }
            self.open = Some(Open::String(quote));
            return self.string(rest, quote.start.len(), quote);
        }
        let char = rest.chars().next().unwrap_or_default();
        if char.is_ascii_digit() {
            let len = rest.find(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '_' | '.')));
            return (len.unwrap_or(rest.len()), Ink::Number);
        }
        let in_word = |char: char| char.is_alphanumeric() || char == '_' || language.in_words.contains(char);
        if in_word(char) || language.before_words.contains(char) {
            let first = char.len_utf8();
            let len = rest.get(first..).and_then(|rest| rest.find(|char: char| !in_word(char)));
            let len = len.map_or(rest.len(), |len| first + len);
            let word = rest.get(..len).unwrap_or_default();
            let after = rest.get(len..).unwrap_or_default();
            return (len, if language.is_keyword(word, after, before) { Ink::Keyword } else { Ink::Plain });
        }
        (char.len_utf8(), Ink::Plain)
    }

    fn until(&mut self, rest: &str, from: usize, end: &str) -> (usize, Ink) {
        let found = rest.get(from..).and_then(|body| body.find(end));
        if found.is_some() {
            self.open = None;
        }
        (found.map_or(rest.len(), |at| from + at + end.len()), Ink::Comment)
    }

    fn string(&mut self, rest: &str, from: usize, quote: &'static Quote) -> (usize, Ink) {
        let mut at = from;
        while let Some(char) = rest.get(at..).and_then(|rest| rest.chars().next()) {
            if quote.escapes && char == '\\' {
                at += 1;
                at += rest.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            } else if rest.get(at..).is_some_and(|rest| rest.starts_with(quote.end)) {
                self.open = None;
                return (at + quote.end.len(), Ink::String);
            } else {
                at += char.len_utf8();
            }
        }
        (rest.len(), Ink::String)
    }
}

/// Pieces with neighbours of one ink joined.
#[derive(Default)]
struct Pieces {
    all: Vec<(String, Look)>,
    last: char,
}

impl Pieces {
    fn push(&mut self, text: &str, ink: Ink) {
        self.last = text.chars().next_back().unwrap_or(self.last);
        match self.all.last_mut() {
            Some((piece, look)) if look.ink == ink => piece.push_str(text),
            _ => self.all.push((text.to_owned(), ink.into())),
        }
    }
}

fn whole(line: &str, ink: Ink) -> Vec<(String, Look)> {
    vec![(line.to_owned(), ink.into())]
}

/// Diffs are read by the first character of a line.
fn by_line(line: &str) -> Ink {
    match line.as_bytes() {
        [b'@', b'@', ..] => Ink::Accent,
        [b'+', ..] => Ink::Added,
        [b'-', ..] => Ink::Removed,
        _ => Ink::Plain,
    }
}

/// Whether a quote begins a character and not, say, a lifetime.
fn character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with each coloured piece in brackets behind the first letter of its class.
    fn marked(language: &str, code: &str) -> String {
        let mut highlighter = Highlighter::new(language);
        let lines = code.lines().map(|line| {
            let pieces = highlighter.line(line).into_iter().map(|(text, look)| match look.ink {
                Ink::Keyword => format!("k[{text}]"),
                Ink::String => format!("s[{text}]"),
                Ink::Number => format!("n[{text}]"),
                Ink::Comment => format!("c[{text}]"),
                Ink::Added => format!("+[{text}]"),
                Ink::Removed => format!("-[{text}]"),
                Ink::Accent => format!("@[{text}]"),
                _ => text,
            });
            pieces.collect::<String>()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn classes_are_told_apart() {
        let table = [
            ("rust", "let x: &'a str = \"a\\\"b\"; // 1", "k[let] x: &'a str = s[\"a\\\"b\"]; c[// 1]"),
            ("rs", "match 'x' { '\\'' => 0x1f_u8 }", "k[match] s['x'] { s['\\''] => n[0x1f_u8] }"),
            ("rust", "a /* b\nc */ fn", "a c[/* b]\nc[c */] k[fn]"),
            (
                "python",
                "def f(): # x\n  \"\"\"a\nb\"\"\" + 'c'",
                "k[def] f(): c[# x]\n  s[\"\"\"a]\ns[b\"\"\"] + s['c']",
            ),
            ("js", "const a = `x\n${y}`;", "k[const] a = s[`x]\ns[${y}`];"),
            ("bash", "echo a#b # c\nif true; then", "k[echo] a#b c[# c]\nk[if] true; k[then]"),
            ("sql", "SELECT * from t -- x", "k[SELECT] * k[from] t c[-- x]"),
            ("json", "{\"a\": [1.5, true]}", "{s[\"a\"]: [n[1.5], k[true]]}"),
            ("yaml", "key: value # c", "k[key]: value c[# c]"),
            ("toml", "[a.b]\nkey = \"v\"", "[a.b]\nk[key] = s[\"v\"]"),
            ("html", "<p class=\"a\">x</p>", "<k[p] class=s[\"a\"]>x</k[p]>"),
            ("diff", "@@ -1 +1 @@\n-a\n+b\n c", "@[@@ -1 +1 @@]\n-[-a]\n+[+b]\n c"),
            ("unheard-of", "if 1 \"x\"", "if 1 \"x\""),
        ];
        for (language, code, expected) in table {
            assert_eq!(marked(language, code), expected, "{language}");
        }
    }

    #[test]
    fn a_string_that_is_never_closed_ends_with_its_line() {
        assert_eq!(marked("c", "char *a = \"x\nint b;"), "k[char] *a = s[\"x]\nk[int] b;");
    }

    #[test]
    fn long_lines_stay_plain_and_nothing_is_ever_lost() {
        let long = "let ".repeat(LONGEST);
        assert_eq!(Highlighter::new("rust").line(&long), whole(&long, Ink::Plain));
        for language in LANGUAGES {
            let mut highlighter = Highlighter::new(language.names[0]);
            for line in ["é\"ü\\", "'\\é", "/* ä -- # <!-- `", "0é.1 漢字", ""] {
                let all: String = highlighter.line(line).into_iter().map(|(text, _)| text).collect();
                assert_eq!(all, line);
            }
        }
    }

    #[test]
    fn keywords_are_sorted_for_the_search() {
        for language in LANGUAGES {
            assert!(language.keywords.is_sorted(), "{}", language.names[0]);
        }
    }
}
