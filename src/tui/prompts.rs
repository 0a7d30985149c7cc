//! Commands that are texts: a file in Markdown that is said to the model, with words put into it.

use super::composer::CommandSpec;

/// A file that is larger is no prompt.
pub const MAX_FILE: u64 = 64 << 10;

/// Prompts that the program brings along, with the words that may follow their names.
const SHIPPED: [(&str, &str, &[&str]); 2] = [
    ("init", include_str!("../../assets/prompts/init.md"), &[]),
    ("review", include_str!("../../assets/prompts/review.md"), &["uncommitted", "branch", "commit"]),
];

/// A text with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub name: String,
    about: String,
    /// What may follow the name.
    hint: String,
    words: Vec<String>,
    body: String,
}

/// Whether a command can have this name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let named = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | ':' | '.');
    !name.is_empty() && name.chars().count() <= 64 && name.chars().all(named)
}

/// The prompts that the program brings along.
#[must_use]
pub fn shipped() -> Vec<Prompt> {
    let read = |(name, text, words): &(&str, &str, &[&str])| Prompt {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        ..Prompt::read(name, text)
    };
    SHIPPED.iter().map(read).collect()
}

impl Prompt {
    /// Reads a file. Between two lines `---` at its beginning may stand `description:` and `argument-hint:`.
    #[must_use]
    pub fn read(name: &str, text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let front = text.strip_prefix("---\n").and_then(|rest| {
            rest.strip_prefix("---\n").map(|body| ("", body)).or_else(|| rest.split_once("\n---\n"))
        });
        let (head, body) = front.unwrap_or(("", text.as_str()));
        let field = |key: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            let value = line.unwrap_or_default().trim();
            let quoted = |quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
            quoted('"').or_else(|| quoted('\'')).unwrap_or(value).to_owned()
        };
        let body = body.trim().to_owned();
        let about = match field("description") {
            about if about.is_empty() => body.lines().next().unwrap_or_default().chars().take(80).collect(),
            about => about,
        };
        Self { name: name.to_owned(), about, hint: field("argument-hint"), words: Vec::new(), body }
    }

    /// The same, offered with a word about whose it is.
    #[must_use]
    pub fn of(self, whose: &str) -> Self {
        Self { about: format!("{} ({whose})", self.about), ..self }
    }

    /// How it is offered.
    #[must_use]
    pub fn spec(&self) -> CommandSpec {
        CommandSpec {
            name: self.name.clone(),
            about: self.about.clone(),
            usage: self.hint.clone(),
            args: self.words.clone(),
        }
    }

    /// What is said: `$1` to `$9` are words of the arguments, `$ARGUMENTS` is all of them, `$$` is `$`. A text with
    /// no place for them gets them behind.
    #[must_use]
    pub fn expand(&self, args: &str) -> String {
        let words = words(args);
        let mut out = String::with_capacity(self.body.len() + args.len());
        let mut rest = self.body.as_str();
        let mut placed = false;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let digit = after.chars().next().and_then(|char| char.to_digit(10)).filter(|digit| *digit > 0);
            if let Some(digit) = digit {
                let index = usize::try_from(digit).unwrap_or(1) - 1;
                out.push_str(words.get(index).map_or("", String::as_str));
                placed = true;
                rest = after.get(1..).unwrap_or_default();
            } else if let Some(after) = after.strip_prefix("ARGUMENTS") {
                out.push_str(args.trim());
                placed = true;
                rest = after;
            } else {
                out.push('$');
                rest = after.strip_prefix('$').unwrap_or(after);
            }
        }
        out.push_str(rest);
        if !placed && !args.trim().is_empty() {
            out.push_str("\n\n");
            out.push_str(args.trim());
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// The words of a line. Quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for char in line.chars() {
        match (quote, char) {
            (Some(open), char) if char == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, char) if char.is_whitespace() => words.extend(word.take()),
            (_, char) => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_where_the_text_wants_them() {
        let table = [
            ("fix $1 in $2", "'the bug' x.rs", "fix the bug in x.rs"),
            ("all: $ARGUMENTS.", " a  b ", "all: a  b."),
            ("$1$1$9", "a", "aa"),
            ("costs $$5 and $x, $", "", "costs $5 and $x, $"),
            ("no place", "but words", "no place\n\nbut words"),
            ("no place", " ", "no place"),
            ("$1", "$2 b", "$2"),
            ("ä$1ö", "\"\"", "äö"),
        ];
        for (body, args, expected) in table {
            assert_eq!(Prompt::read("p", body).expand(args), expected, "{body}");
        }
    }

    #[test]
    fn what_stands_before_the_text_describes_it() {
        let prompt = Prompt::read(
            "p",
            "---\r\ndescription: \"Does it\"\r\nargument-hint: [file]\r\n---\r\nDo $1.\r\n",
        );
        assert_eq!(
            prompt.spec(),
            CommandSpec { name: "p".into(), about: "Does it".into(), usage: "[file]".into(), args: vec![] }
        );
        assert_eq!(prompt.expand("x"), "Do x.");
        let bare = Prompt::read("p", "First line.\nSecond.\n---\nx");
        assert_eq!(
            (bare.about.as_str(), bare.expand("").as_str()),
            ("First line.", "First line.\nSecond.\n---\nx")
        );
        assert_eq!(Prompt::read("p", "---\n---\nbody").expand(""), "body");
        assert_eq!(Prompt::read("p", "---\nnever closed").expand(""), "---\nnever closed");
    }

    #[test]
    fn prompts_that_ship_say_what_they_are_for() {
        for prompt in shipped() {
            assert!(!prompt.about.is_empty() && !prompt.expand("x").contains('$'), "{prompt:?}");
        }
    }
}
