//! What a paste becomes: plain text, a label that stands for a large text, or images.
//!
//! No file is looked at: an image is proposed by the look of its path, and the app takes it back
//! ([`super::Composer::reject_image`]) when there is none.

use std::{borrow::Cow, path::PathBuf};

use super::buffer::{Fragment, Held};

/// Pastes above either of these become a label.
pub(super) const MOST_CHARS: usize = 1000;
pub(super) const MOST_LINES: usize = 10;

const IMAGES: [&str; 5] = ["png", "jpg", "jpeg", "gif", "webp"];

/// Numbers for the labels of one message.
#[derive(Debug, Default)]
pub(super) struct Labels {
    pastes: usize,
    images: usize,
}

impl Labels {
    /// What a pasted text goes into the composer as; whether paths of images become labels is asked for.
    pub fn pasted(&mut self, text: &str, images: bool) -> Fragment {
        let text = clean(text);
        if let Some(paths) = images.then(|| image_paths(&text)).flatten() {
            let mut all = Fragment::default();
            for (path, typed) in paths {
                all.append(&self.image(path, typed));
                all.text.push(' ');
            }
            return all;
        }
        match self.large(&text) {
            Some(label) => label,
            None => Fragment { text: text.into_owned(), elements: Vec::new() },
        }
    }

    /// The label of a text that is too large to be shown.
    pub fn large(&mut self, text: &str) -> Option<Fragment> {
        let lines = text.trim_end_matches('\n').matches('\n').count() + 1;
        // A text of fewer bytes can't have more characters.
        let chars = if text.len() > MOST_CHARS { text.chars().count() } else { 0 };
        if chars <= MOST_CHARS && lines <= MOST_LINES {
            return None;
        }
        self.pastes += 1;
        let size = if lines > 1 { format!("{lines} lines") } else { format!("{chars} chars") };
        Some(Fragment::element(&format!("[Pasted {size} #{}]", self.pastes), Held::Paste(text.into())))
    }

    /// Counts on from the labels in a text that was called up.
    pub fn seen(&mut self, text: &Fragment) {
        for element in &text.elements {
            let label = text.slice(element.at..element.end()).trim_end_matches(']');
            let number = label.rsplit('#').next().and_then(|number| number.parse().ok()).unwrap_or(0);
            let count = match element.held {
                Held::Paste(_) => &mut self.pastes,
                Held::Image { .. } => &mut self.images,
            };
            *count = number.max(*count);
        }
    }

    /// The label of an image.
    pub fn image(&mut self, path: PathBuf, typed: String) -> Fragment {
        self.images += 1;
        Fragment::element(&image_label(self.images), Held::Image { path, typed })
    }
}

pub(super) fn image_label(number: usize) -> String {
    format!("[Image #{number}]")
}

/// The text of a paste: line ends of one kind; no control characters and no escape sequences. Some
/// multiplexers write the line ends of a paste as key sequences.
fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(|char: char| char.is_control() && !matches!(char, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push('\n');
            }
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                let mut sequence = String::new();
                while let Some(char) = chars.next_if(|char| matches!(char, ' '..='?')) {
                    sequence.push(char);
                }
                let last = chars.next_if(|char| matches!(char, '@'..='~'));
                match (sequence.as_str(), last) {
                    ("106;5" | "109;5" | "13" | "13;2" | "13;5", Some('u')) => out.push('\n'),
                    ("105;5" | "9", Some('u')) => out.push('\t'),
                    _ => {}
                }
            }
            '\n' | '\t' => out.push(char),
            char if char.is_control() => {}
            char => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// The paths, when a text is nothing but paths of images: what a terminal pastes for dragged files.
fn image_paths(text: &str) -> Option<Vec<(PathBuf, String)>> {
    let text = text.trim();
    if text.is_empty() || text.len() > 16 << 10 || text.contains('\n') {
        return None;
    }
    // A path with blanks that nobody quoted, alone.
    let whole = (!text.contains(['\'', '"', '\\'])).then(|| image_path(text)).flatten();
    if let (Some(path), false) = (&whole, text.contains("file://") || text.contains(" /")) {
        return Some(vec![(path.clone(), text.to_owned())]);
    }
    words(text)?.into_iter().map(|(word, typed)| Some((image_path(&word)?, typed))).collect()
}

fn image_path(word: &str) -> Option<PathBuf> {
    let path = match word.strip_prefix("file://") {
        Some(rest) => percent_decoded(rest.strip_prefix("localhost").unwrap_or(rest))?,
        None => word.to_owned(),
    };
    let placed = ["/", "~/", "./", "../"].iter().any(|start| path.starts_with(start));
    let (stem, extension) = path.rsplit_once('.')?;
    let known = IMAGES.iter().any(|known| extension.eq_ignore_ascii_case(known));
    (placed && known && !stem.ends_with('/')).then(|| PathBuf::from(path))
}

/// The words of a shell line, each with how it stands in the line; nothing when a quote is open.
fn words(text: &str) -> Option<Vec<(String, String)>> {
    let mut words = Vec::new();
    let (mut word, mut typed) = (String::new(), String::new());
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if quote.is_none() && char.is_whitespace() {
            if !typed.is_empty() {
                words.push((std::mem::take(&mut word), std::mem::take(&mut typed)));
            }
            continue;
        }
        typed.push(char);
        match (quote, char) {
            (None, '\'' | '"') => quote = Some(char),
            (Some(open), char) if open == char => quote = None,
            (None | Some('"'), '\\') => {
                let next = chars.next()?;
                typed.push(next);
                word.push(next);
            }
            (_, char) => word.push(char),
        }
    }
    if !typed.is_empty() {
        words.push((word, typed));
    }
    quote.is_none().then_some(words)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_pastes_become_labels() {
        let table = [
            ("a".repeat(1000), None),
            ("é".repeat(1000), None),
            ("a".repeat(1001), Some("[Pasted 1001 chars #1]")),
            ("a\n".repeat(10), None),
            ("a\n".repeat(11), Some("[Pasted 11 lines #1]")),
            ("a\r\n".repeat(1234), Some("[Pasted 1234 lines #1]")),
            ("a\r".repeat(12), Some("[Pasted 12 lines #1]")),
        ];
        for (text, label) in table {
            let fragment = Labels::default().pasted(&text, true);
            match label {
                Some(label) => assert_eq!(fragment.text, label),
                None => assert_eq!(fragment.text, text),
            }
        }
    }

    #[test]
    fn a_paste_brings_no_control_characters() {
        let table = [
            ("a\r\nb\rc\td", "a\nb\nc\td"),
            ("one\u{1b}[106;5utwo\u{1b}[13utwo", "one\ntwo\ntwo"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]52;c;eA==\u{7}x\0\u{9b}", "]52;c;eA==x"),
            ("end\u{1b}", "end"),
            ("end\u{1b}[12", "end"),
        ];
        for (text, expected) in table {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn paths_of_images_are_found_in_the_spellings_of_terminals() {
        let table: &[(&str, &[&str])] = &[
            ("/tmp/a.png", &["/tmp/a.png"]),
            ("/tmp/my shot.PNG\n", &["/tmp/my shot.PNG"]),
            ("'/tmp/my shot.png' ", &["/tmp/my shot.png"]),
            ("/tmp/my\\ shot.png", &["/tmp/my shot.png"]),
            ("\"/tmp/it's.webp\"", &["/tmp/it's.webp"]),
            ("file:///tmp/my%20shot.jpg", &["/tmp/my shot.jpg"]),
            ("/tmp/a.png /tmp/b.gif", &["/tmp/a.png", "/tmp/b.gif"]),
            ("'/tmp/a b.png' '/tmp/c.png'", &["/tmp/a b.png", "/tmp/c.png"]),
            ("~/x.jpeg", &["~/x.jpeg"]),
            ("logo.png", &[]),
            ("/tmp/a.png is broken", &[]),
            ("look at /tmp/a.png", &[]),
            ("/tmp/.png", &[]),
            ("/tmp/a.txt", &[]),
            ("'/tmp/a.png", &[]),
            ("file:///tmp/%zz.png", &[]),
            ("", &[]),
        ];
        for (text, expected) in table {
            let found = image_paths(text).unwrap_or_default();
            let paths: Vec<_> = found.iter().map(|(path, _)| path.to_str().unwrap()).collect();
            assert_eq!(paths, *expected, "{text:?}");
        }
    }
}
