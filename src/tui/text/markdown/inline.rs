//! The text of one paragraph, heading or table cell: emphasis, code, links.
//!
//! Lines of a paragraph stay lines: what the model wrote as two lines is read and copied as two.

use std::{path::Path, sync::Arc};

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd, TextMergeStream};

use crate::tui::text::{
    Ink, Look, link,
    plain::{first, speech},
};

/// Stands between the lines of a paragraph. Outside text can't contain it: it is made visible before.
pub const BREAK: char = '\u{2028}';

/// A piece of text in one look. A line feed in it ends a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub text: String,
    pub look: Look,
    /// Where it leads.
    pub link: Option<Arc<str>>,
}

impl From<(String, Look)> for Run {
    fn from((text, look): (String, Look)) -> Self {
        Self { text, look, link: None }
    }
}

/// How links are made, if they are.
pub type Root = Option<Links>;

/// How links are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// Where paths in a text begin.
    pub root: Arc<Path>,
    /// They are certain to be followed: an honest text need not say where it leads.
    pub certain: bool,
}

/// A word before the text, so that nothing in it can be read as the beginning of a block.
const WORD: &str = "a ";

/// Reads the text of a paragraph.
#[must_use]
pub fn inline(text: &str, base: Look, root: &Root) -> Vec<Run> {
    let mut out = Out { runs: Vec::new(), looks: vec![base], links: Vec::new(), root: root.as_ref() };
    if !text.contains(['*', '_', '`', '[', '<', '~', '&', '\\', '!']) {
        out.text(text);
        return out.runs;
    }
    let source = format!("{WORD}{text}");
    let mut word = Some(WORD);
    // In one piece each, so that an address is not cut at its marks.
    for event in TextMergeStream::new(Parser::new_ext(&source, Options::ENABLE_STRIKETHROUGH)) {
        match (word, &event) {
            (Some(before), Event::Text(text)) => {
                word = None;
                out.text(text.strip_prefix(before).unwrap_or(text));
            }
            _ => out.event(event),
        }
    }
    // A paragraph's trailing spaces are not part of it for the parser, but they are between two parts of one.
    let end = text.len() - text.trim_end_matches(' ').len();
    out.text(&" ".repeat(end));
    out.runs
}

/// Where a text that is too long may be cut so that both parts read as they would together: behind a space that
/// no open mark comes before, in the second half of `limit`. When there is no such place, the best that there is.
#[must_use]
pub fn split(text: &str, limit: usize) -> usize {
    let head = first(text, limit);
    let limit = head.len();
    let source = format!("{WORD}{head}");
    let mut depth = 0;
    let (mut safe, mut fair) = (0, 0);
    let mut doubtful = false;
    for (event, range) in Parser::new_ext(&source, Options::ENABLE_STRIKETHROUGH).into_offset_iter() {
        match event {
            Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => {}
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            Event::Text(_) if depth == 0 => {
                let piece = source.get(range.clone()).unwrap_or_default();
                for (at, char) in piece.char_indices() {
                    let after = (range.start + at + char.len_utf8()).saturating_sub(WORD.len());
                    if matches!(char, ' ' | BREAK) {
                        fair = after;
                        safe = if doubtful { safe } else { after };
                    }
                    let next = piece.get(at + char.len_utf8()..).and_then(|rest| rest.chars().next());
                    doubtful |= opens(char, next);
                }
            }
            _ => {}
        }
    }
    let last = head
        .rfind([' ', BREAK])
        .map_or(0, |at| at + head.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
    let choice = [safe, fair, last].into_iter().find(|at| *at >= limit / 2);
    choice.or_else(|| Some(last).filter(|at| *at > limit / 4)).unwrap_or(limit)
}

/// Whether a mark in plain text may turn out to open something.
fn opens(mark: char, next: Option<char>) -> bool {
    matches!(mark, '`' | '[' | '<' | '&')
        || (matches!(mark, '*' | '_' | '~') && next.is_none_or(|next| next != ' '))
}

struct Out<'a> {
    runs: Vec<Run>,
    looks: Vec<Look>,
    links: Vec<Link>,
    root: Option<&'a Links>,
}

struct Link {
    target: String,
    /// Where its text begins: the run, and the place in it.
    begin: usize,
}

impl Out<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            Event::Text(text) => self.text(&text),
            Event::Code(text) => self.code(&text),
            Event::InlineHtml(text) | Event::Html(text) => self.inked(&text, Ink::Dim),
            Event::SoftBreak | Event::HardBreak => self.push("\n", self.look()),
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        let mut look = self.look();
        match tag {
            Tag::Emphasis => look.emphasis = true,
            Tag::Strong => look.strong = true,
            Tag::Strikethrough => look.struck = true,
            Tag::Link { link_type, dest_url, .. } => {
                look.ink = Ink::Link;
                let target = match link_type {
                    LinkType::Email => format!("mailto:{dest_url}"),
                    _ => dest_url.to_string(),
                };
                self.links.push(Link { target, begin: self.runs.len() });
            }
            Tag::Image { dest_url, .. } => {
                look.ink = Ink::Link;
                self.links.push(Link { target: dest_url.to_string(), begin: self.runs.len() });
            }
            _ => return,
        }
        self.looks.push(look);
    }

    fn end(&mut self, end: TagEnd) {
        match end {
            TagEnd::Link | TagEnd::Image => {
                self.looks.pop();
                let Some(Link { target, begin }) = self.links.pop() else { return };
                let text: String = self.runs.iter().skip(begin).map(|run| run.text.as_str()).collect();
                let to = self.root.and_then(|_| link::target(&target));
                let certain = self.root.is_some_and(|links| links.certain) && !text.trim().is_empty();
                let honest = certain && to.as_ref().is_some_and(|to| !link::misleads(&text, to));
                for run in self.runs.iter_mut().skip(begin).filter(|_| to.is_some()) {
                    run.link.clone_from(&to);
                }
                if target.is_empty()
                    || text == target
                    || honest
                    || target.strip_prefix("mailto:") == Some(&text)
                {
                    return;
                }
                let (before, after) = if text.is_empty() { ("", "") } else { (" (", ")") };
                // It is no text to be searched for links.
                let look = Look { ink: Ink::Dim, ..self.look() };
                self.lines(&format!("{before}{target}{after}"), look);
            }
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                self.looks.pop();
            }
            _ => {}
        }
    }

    fn look(&self) -> Look {
        self.looks.last().copied().unwrap_or_default()
    }

    fn inked(&mut self, text: &str, ink: Ink) {
        let look = Look { ink, ..self.look() };
        self.lines(text, look);
    }

    /// Text, and the links in it that nothing marks as such.
    fn text(&mut self, text: &str) {
        let found = match self.root {
            Some(Links { root, .. }) if self.links.is_empty() => link::find(text, root),
            _ => Vec::new(),
        };
        let look = self.look();
        let mut from = 0;
        for (range, to) in found {
            self.lines(text.get(from..range.start).unwrap_or_default(), look);
            let begin = self.runs.len();
            let shown = text.get(range.clone()).unwrap_or_default();
            self.runs.push(Run {
                text: String::new(),
                look: Look { ink: Ink::Link, ..look },
                link: Some(to),
            });
            self.lines(shown, Look { ink: Ink::Link, ..look });
            // What is not shown as it is written does not lead anywhere.
            if self.runs.get(begin).is_none_or(|run| run.text != shown) {
                self.runs.iter_mut().skip(begin).for_each(|run| run.link = None);
            }
            from = range.end;
        }
        self.lines(text.get(from..).unwrap_or_default(), look);
    }

    fn code(&mut self, text: &str) {
        let begin = self.runs.len();
        self.inked(text, Ink::Code);
        let Some(Links { root, .. }) = self.root.filter(|_| self.links.is_empty()) else { return };
        // The whole of it, or nothing: code is code.
        if let [(range, to)] = &link::find(text, root)[..]
            && *range == (0..text.len())
            && let [run] = self.runs.get_mut(begin..).unwrap_or_default()
        {
            run.link = Some(Arc::clone(to));
        }
    }

    /// Text that may have been written with entities: only here is it known what it says.
    fn lines(&mut self, text: &str, look: Look) {
        for (index, line) in text.split(BREAK).enumerate() {
            if index > 0 {
                self.push("\n", look);
            }
            self.push(&speech(line), look);
        }
    }

    fn push(&mut self, text: &str, look: Look) {
        // The text of a link is compared with its target, and so begins a run.
        let joins = self.links.last().is_none_or(|link| link.begin < self.runs.len());
        match self.runs.last_mut() {
            Some(last) if last.look == look && joins && (last.link.is_none() || last.text.is_empty()) => {
                last.text.push_str(text);
            }
            _ if text.is_empty() => {}
            _ => self.runs.push((text.to_owned(), look).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> String {
        let runs = inline(text, Look::default(), &None).into_iter().map(|Run { text, look, .. }| {
            let mut out = text;
            for (set, mark) in [(look.strong, "**"), (look.emphasis, "*"), (look.struck, "~~")] {
                if set {
                    out = format!("{mark}{out}{mark}");
                }
            }
            match look.ink {
                Ink::Code => format!("`{out}`"),
                Ink::Link => format!("_{out}_"),
                Ink::Dim => format!("({out})"),
                _ => out,
            }
        });
        runs.collect()
    }

    #[test]
    fn marks_become_looks() {
        let table = [
            ("plain", "plain"),
            ("a **b *c* d** ~~e~~ `f*`", "a **b *****c***** d** ~~e~~ `f*`"),
            ("5 * 3 * 2 and snake_case_word", "5 * 3 * 2 and snake_case_word"),
            ("- no list, # no heading", "- no list, # no heading"),
            ("[text](https://a.b) [https://a.b](https://a.b)", "_text_( (https://a.b)) _https://a.b_"),
            ("<https://a.b/c> <me@a.b>", "_https://a.b/c_ _me@a.b_"),
            ("![alt](pic.png) ![](only.png)", "_alt_( (pic.png)) (only.png)"),
            ("a <b>c</b>", "a (<b>)c(</b>)"),
            ("&lt;&amp;&copy; \\*x\\*", "<&© *x*"),
            ("one\u{2028}**two\u{2028}three**", "one\n**two\nthree**"),
            ("ends with spaces `x`  ", "ends with spaces `x`  "),
        ];
        for (text, expected) in table {
            assert_eq!(marked(text), expected, "{text}");
        }
    }

    /// The text, with what leads somewhere as `{text>where}`.
    fn linked(text: &str, certain: bool) -> String {
        let root: Root = Some(Links { root: Path::new("/w").into(), certain });
        let runs = inline(text, Look::default(), &root).into_iter().map(|run| match run.link {
            Some(to) => format!("{{{}>{to}}}", run.text),
            None => run.text,
        });
        runs.collect()
    }

    #[test]
    fn links_lead_where_they_say() {
        let table = [
            ("[text](https://a.b/c) x", "{text>https://a.b/c} x"),
            ("[a.b](https://c.d)", "{a.b>https://c.d} (https://c.d)"),
            ("[x **y** `z`](https://a.b)", "{x >https://a.b}{y>https://a.b}{ >https://a.b}{z>https://a.b}"),
            ("[run](javascript:x)", "run (javascript:x)"),
            ("[![alt](https://a.b/i.png)](https://c.d)", "{alt>https://c.d}"),
            ("<me@a.b>", "{me@a.b>mailto:me@a.b}"),
            (
                "at https://a.b/c_d_e?f=1&g=2, ok",
                "at {https://a.b/c_d_e?f=1&g=2>https://a.b/c_d_e?f=1&g=2}, ok",
            ),
            ("https://a.b https://c.d", "{https://a.b>https://a.b} {https://c.d>https://c.d}"),
            (
                "see `src/a.rs:3` and b/c.rs:4.",
                "see {src/a.rs:3>file:///w/src/a.rs} and {b/c.rs:4>file:///w/b/c.rs}.",
            ),
            ("`let a = b/c.rs:4`", "let a = b/c.rs:4"),
            ("[](https://a.b)", "https://a.b"),
        ];
        for (text, expected) in table {
            assert_eq!(linked(text, true), expected, "{text}");
        }
        let doubtful = "{text>https://a.b} (https://a.b)";
        assert_eq!(linked("[text](https://a.b)", false), doubtful, "whoever can't follow it can read it");
    }

    #[test]
    fn what_entities_smuggle_in_is_made_visible() {
        assert_eq!(marked("&#27;[2J &#x202e; `&#27;` &#10;x"), "\\u{1b}[2J \\u{202e} `&#27;`  x");
    }

    #[test]
    fn a_long_text_is_cut_where_nothing_is_open() {
        let table = [
            ("aaaa bbbb cccc dddd", 16, "aaaa bbbb cccc "),
            ("aaaa bbbb cc **dd dd", 16, "aaaa bbbb cc "),
            ("**aa bb cc dd ee ff", 16, "**aa bb cc dd "),
            ("aaaaaaaaaa [b c](d) e", 19, "aaaaaaaaaa "),
            ("aaaaaaaaaaaaaaaaaaaa", 16, "aaaaaaaaaaaaaaaa"),
            ("ääääääääää", 15, "äääääää"),
        ];
        for (text, limit, head) in table {
            assert_eq!(text.get(..split(text, limit)), Some(head), "{text}");
        }
    }
}
