//! Text that somebody decides about, as rows from which it can be read back to the byte.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use crate::protocol::{Exact, exact_parts};

use super::{Break, Prefix, Text};

/// Stands at the end of a row whose line goes on in the next one.
const GOES_ON: &str = "↵";
/// With fewer columns than this a row has no room for its marks.
pub const LEAST_COLUMNS: u16 = 16;

/// The styles of a quotation.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Of the text.
    pub plain: Style,
    /// Of what is spelled out in it.
    pub spelled: Style,
    /// Of the marks around it.
    pub mark: Style,
}

/// The rows of a text: `mark` before its first line, `>` before each further one, and a sign at the end of each row
/// that is not the end of its line. Nothing is cut, and no two texts have the same rows.
#[must_use]
pub fn quoted(text: &str, mark: char, width: u16, look: Look) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    for (at, line) in text.split('\n').enumerate() {
        let mark = if at == 0 { mark } else { '>' };
        let prefix = Prefix::hanging(&format!("  {mark} "), look.mark);
        let mut all = Text::default();
        for part in exact_parts(line) {
            match part {
                Exact::Plain(text) => all.push(&text, look.plain),
                Exact::Spelled(text) => all.push(&text, look.spelled),
            }
        }
        let mut lines = all.rows(width.saturating_sub(1), Break::Anywhere, &prefix);
        let last = lines.len().saturating_sub(1);
        for line in lines.iter_mut().take(last) {
            line.push_span(Span::styled(GOES_ON, look.mark));
        }
        rows.extend(lines);
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    const LOOK: Look = Look { plain: Style::new(), spelled: Style::new(), mark: Style::new() };

    /// What stands in the rows of a quotation.
    fn read_back(rows: &[String]) -> String {
        let mut shown = String::new();
        let mut whole = true;
        for (at, row) in rows.iter().enumerate() {
            let mut chars = row.chars();
            let mark: String = chars.by_ref().take(4).collect();
            match mark.as_str() {
                "    " => assert!(!whole, "{row}"),
                "  $ " => assert_eq!(at, 0),
                // A row of nothing leaves no blank behind it.
                "  > " | "  >" => {
                    assert!(whole, "{row}");
                    shown.push('\n');
                }
                mark => assert!(mark.trim_end() == "  $", "{row:?}"),
            }
            let rest = chars.as_str();
            whole =
                !(rest.ends_with(GOES_ON) && rows.get(at + 1).is_some_and(|next| next.starts_with("    ")));
            shown.push_str(if whole { rest } else { rest.strip_suffix(GOES_ON).unwrap() });
        }
        spelled_back(&shown)
    }

    fn spelled_back(shown: &str) -> String {
        let mut out = String::new();
        let mut rest = shown;
        while let Some((before, after)) = rest.split_once("\\u{") {
            let (code, after) = after.split_once('}').expect("a spelling ends");
            let (code, count) =
                code.split_once('*').map_or((code, 1), |(code, n)| (code, n.parse().unwrap()));
            out.push_str(before);
            let c = char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
            out.extend(std::iter::repeat_n(c, count));
            rest = after;
        }
        out + rest
    }

    fn shown(text: &str, width: u16) -> Vec<String> {
        quoted(text, '$', width, LOOK).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn line_ends_are_told_from_the_ends_of_rows() {
        assert_eq!(shown("ls\nrm x\n", 20), ["  $ ls", "  > rm x", "  >"]);
        assert_eq!(shown("0123456789abcdefg", 20), ["  $ 0123456789abcde↵", "    fg"]);
        assert_eq!(shown("0123456789abcde\nfg", 20), ["  $ 0123456789abcde", "  > fg"]);
        // A blank before a wide character that does not fit.
        assert_eq!(shown("0123456789abcd漢", 20), ["  $ 0123456789abcd↵", "    漢"]);
        assert_eq!(shown("0123456789abcd 漢", 20), ["  $ 0123456789abcd ↵", "    漢"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

        #[test]
        fn what_stands_in_the_rows_is_the_text_to_the_byte(
            parts in prop::collection::vec(prop_oneof![
                4 => "[a-z./ $'\"\\\\{}*;|&<>()↵-]{1,12}",
                1 => " {1,40}",
                1 => Just("\\u{".to_owned()),
                1 => "[\\n\\t\\r]{1,3}",
                1 => "[漢字語é]{1,9}",
                2 => any::<char>().prop_map(String::from),
                1 => prop::sample::select(vec!["\u{200b}", "\u{202e}", "\u{301}", "\u{1b}[2J", "👨\u{200d}👩", "  > ", "  $ "])
                    .prop_map(str::to_owned),
            ], 0..16),
            width in LEAST_COLUMNS..120,
        ) {
            let text = parts.concat();
            let rows = shown(&text, width);
            prop_assert!(rows.iter().all(|row| row.width() <= usize::from(width)));
            prop_assert_eq!(read_back(&rows), text);
        }
    }

    /// The long form is for before a release: `AGENT_TEST_LONG=1`.
    fn cases() -> u32 {
        if std::env::var_os("AGENT_TEST_LONG").is_some() { 10_000 } else { 1_500 }
    }
}
