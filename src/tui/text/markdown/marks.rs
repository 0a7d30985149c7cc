//! The marks at the beginning of a line that make it a block of its own kind.

use std::fmt;

/// The marks around fenced code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    mark: char,
    len: usize,
    /// Columns before it: so many are taken from its lines.
    pub indent: usize,
}

/// The mark of a list item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    Bullet,
    Number { number: u64, mark: char },
}

pub fn is_blank(line: &str) -> bool {
    line.bytes().all(|byte| byte == b' ')
}

/// Spaces at the beginning. Tabs are spaces already.
pub fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The line without up to `most` spaces at its beginning.
pub fn without_indent(line: &str, most: usize) -> &str {
    line.get(indent(line).min(most)..).unwrap_or_default()
}

/// The text of a heading: up to six `#` and a space.
pub fn heading(body: &str) -> Option<&str> {
    let text = body.trim_start_matches('#');
    let level = body.len() - text.len();
    let set_off = text.is_empty() || text.starts_with(' ');
    ((1..=6).contains(&level) && set_off).then(|| text.trim_start())
}

/// The text of a heading without the `#` that may close it.
pub fn without_closing(text: &str) -> &str {
    let text = text.trim_end();
    let open = text.trim_end_matches('#');
    if open.is_empty() || open.ends_with(' ') { open.trim_end() } else { text }
}

/// Whether a line below a paragraph makes it a heading.
pub fn underline(body: &str) -> bool {
    let body = body.trim_end();
    !body.is_empty() && (body.bytes().all(|byte| byte == b'=') || body.bytes().all(|byte| byte == b'-'))
}

/// Whether a line is a rule: three or more of `-`, `*` or `_`, with spaces between.
pub fn rule(body: &str) -> bool {
    let mut marks = body.bytes().filter(|byte| *byte != b' ');
    let Some(first) = marks.next().filter(|byte| b"-*_".contains(byte)) else { return false };
    let mut count = 1;
    marks.all(|byte| {
        count += 1;
        byte == first
    }) && count >= 3
}

impl Fence {
    /// Reads the opening of fenced code, and what it says about the code.
    pub fn open(body: &str, indent: usize) -> Option<(Self, &str)> {
        let mark = body.chars().next().filter(|char| matches!(char, '`' | '~'))?;
        let info = body.trim_start_matches(mark);
        let len = body.len() - info.len();
        let fits = len >= 3 && !(mark == '`' && info.contains('`'));
        fits.then(|| (Self { mark, len, indent }, info.trim()))
    }

    /// Whether a line closes it.
    pub fn closes(self, line: &str) -> bool {
        let body = line.trim_end();
        let before = indent(body);
        let marks = body.len() - before;
        before < 4 && marks >= self.len && body.chars().skip(before).all(|char| char == self.mark)
    }
}

impl Marker {
    /// Reads the mark of an item, and gives what comes after it.
    pub fn read(body: &str) -> Option<(Self, &str)> {
        let (marker, rest) = match body.as_bytes().first()? {
            b'-' | b'+' | b'*' => (Self::Bullet, body.get(1..)?),
            _ => {
                let rest = body.trim_start_matches(|char: char| char.is_ascii_digit());
                let digits = body.get(..body.len() - rest.len())?;
                let mark = rest.chars().next().filter(|char| matches!(char, '.' | ')'))?;
                if digits.len() > 9 {
                    return None;
                }
                (Self::Number { number: digits.parse().ok()?, mark }, rest.get(1..)?)
            }
        };
        let spaces = indent(rest);
        match spaces {
            0 if rest.is_empty() => Some((marker, rest)),
            0 => None,
            // Code in an item is indented by four and the one space that belongs to the mark.
            1..=4 => Some((marker, rest.get(spaces..)?)),
            _ => Some((marker, rest.get(1..)?)),
        }
    }

    /// Whether it may end a paragraph: a number in running text must not begin a list.
    pub fn interrupts(self, inner: &str) -> bool {
        !inner.is_empty() && !matches!(self, Self::Number { number: 2.. | 0, .. })
    }

    /// Takes its number from the item before it in the same list.
    pub fn follows(&mut self, before: &Self) {
        if let (Self::Number { number, mark }, Self::Number { number: last, mark: same }) = (self, before)
            && mark == same
        {
            *number = last.saturating_add(1);
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bullet => f.write_str("- "),
            Self::Number { number, mark } => write!(f, "{number}{mark} "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_from_text() {
        assert_eq!(
            [heading("## a"), heading("#"), heading("#a"), heading("####### a")],
            [Some("a"), Some(""), None, None]
        );
        assert_eq!([without_closing("a ##"), without_closing("c#"), without_closing("##")], ["a", "c#", ""]);
        assert_eq!(
            ["---", "* * *", "__", "--a", "-*-", ""].map(rule),
            [true, true, false, false, false, false]
        );
        assert_eq!(["==", "-", "=-", ""].map(underline), [true, true, false, false]);
        let bullet = |inner| Some((Marker::Bullet, inner));
        assert_eq!(
            ["- a", "-", "-a", "*   a"].map(Marker::read),
            [bullet("a"), bullet(""), None, bullet("a")]
        );
        let number = |number, mark, inner| Some((Marker::Number { number, mark }, inner));
        assert_eq!(
            ["7. a", "7) a", "1234567890. a", "7.a"].map(Marker::read),
            [number(7, '.', "a"), number(7, ')', "a"), None, None]
        );
    }

    #[test]
    fn a_fence_is_closed_by_its_own_kind() {
        let (fence, info) = Fence::open("````rust ignore", 1).unwrap();
        assert_eq!((info, fence.indent), ("rust ignore", 1));
        assert_eq!(
            ["````", "  `````  ", "```", "~~~~", "```` x", "    ````"].map(|line| fence.closes(line)),
            [true, true, false, false, false, false]
        );
        assert_eq!(Fence::open("``` a`b", 0), None);
    }
}
