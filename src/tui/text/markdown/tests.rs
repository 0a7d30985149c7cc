use proptest::prelude::*;

use super::*;
use crate::tui::text::plain;

fn text(rows: &[Line<'_>]) -> String {
    rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn all(source: &str, width: u16) -> Vec<Line<'static>> {
    let mut markdown = Markdown::with_margin("• ");
    markdown.push(source);
    markdown.end();
    markdown.finished(width, &Theme::ansi())
}

fn show(source: &str, width: u16) -> String {
    text(&all(source, width))
}

#[test]
fn prose_lists_and_quotes() {
    let source = "# Title\nSome **bold** text that is a bit longer than one row.\nA second line\n\n- one\n- two\n  goes on\n\n  and on\n  1. nested\n  1. numbers\n     - [x] deep\n- three\n\n> quoted\n> > twice\nlazy\n\n***\n\nend";
    insta::assert_snapshot!(show(source, 40), @r"
    • Title
      Some bold text that is a bit longer
      than one row.
      A second line

      - one
      - two
        goes on

        and on
        1. nested
        2. numbers
           - [x] deep
      - three

      │ quoted
      │ │ twice
      │ │ lazy

      ──────────────────────────────────────

      end
    ");
}

#[test]
fn code_stands_at_the_left_edge_without_its_fences() {
    let source = "Look:\n```rust\nfn main() {}\n\n```\n1. item\n   ```\n   in item\n   ```\n2. next\n\n    indented\n\n\n    code\n\nend";
    insta::assert_snapshot!(show(source, 40), @r"
    • Look:

    fn main() {}


      1. item

    in item

      2. next

         indented

         code

      end
    ");
}

#[test]
fn tables_fit_the_width() {
    let source = "Before\n\n| Name | What it is | n |\n|:--|---|--:|\n| `a` | short | 1 |\n| b | a **long** text that does not fit | 200 |\n\nafter";
    insta::assert_snapshot!(show(source, 80), @r"
    • Before

      ┌──────┬───────────────────────────────┬─────┐
      │ Name │ What it is                    │   n │
      ├──────┼───────────────────────────────┼─────┤
      │ a    │ short                         │   1 │
      │ b    │ a long text that does not fit │ 200 │
      └──────┴───────────────────────────────┴─────┘

      after
    ");
    insta::assert_snapshot!(show(source, 36), @r"
    • Before

      ┌──────┬───────────────────┬─────┐
      │ Name │ What it is        │   n │
      ├──────┼───────────────────┼─────┤
      │ a    │ short             │   1 │
      ├──────┼───────────────────┼─────┤
      │ b    │ a long text that  │ 200 │
      │      │ does not fit      │     │
      └──────┴───────────────────┴─────┘

      after
    ");
    insta::assert_snapshot!(show(source, 18), @r"
    • Before

      - Name · What it
        is · n
      - a · short · 1
      - b · a long
        text that does
        not fit · 200

      after
    ");
}

#[test]
fn an_item_that_begins_with_code_or_nothing_keeps_its_mark() {
    insta::assert_snapshot!(show("- ```\n  x\n  ```\n-\n- > q", 40), @r"
    • -
    x

      -
      - │ q
    ");
}

#[test]
fn a_table_may_follow_text_and_go_on_for_long() {
    let mut source = "text\n| a | b |\n|---|---|\n".to_owned();
    for row in 0..2000 {
        source.push_str(&format!("| {row:04} | x |\n"));
    }
    let rows = all(&source, 40);
    assert_eq!(rows.len(), 2000 + 6);
    assert!(rows.iter().skip(3).all(|row| columns(&row.to_string()) == 14), "{}", text(&rows));
}

#[test]
fn a_long_paragraph_is_handed_out_before_it_ends_and_reads_the_same() {
    let words = "some *words* and `code` that go [on](https://a.b) and on ".repeat(300);
    let mut markdown = Markdown::with_margin("• ");
    markdown.push(&words);
    let early = markdown.finished(60, &Theme::ansi());
    assert!(early.len() > 200, "{}", early.len());
    let tail = markdown.tail(60, &Theme::ansi());
    assert!((1..60).contains(&tail.len()), "{}", tail.len());
    markdown.end();
    let mut rows = early;
    rows.extend(markdown.finished(60, &Theme::ansi()));
    // As one text, which nothing was ever taken from.
    let mut whole = Text::default();
    for run in inline::inline(&words, super::super::Look::default(), &None) {
        whole.push(&run.text, run.look.style(&Theme::ansi()));
    }
    let expected = whole.rows(60, Break::Words, &Prefix::hanging("• ", ratatui::style::Style::new()));
    assert_eq!(text(&rows), text(&expected).trim_end());
}

#[test]
fn an_endless_line_of_code_streams_plain() {
    let source = format!("```json\n{}\nafter\n```", "[1],".repeat(5000));
    let rows = all(&source, 50);
    assert_eq!(rows.len(), 20_000 / 50 + 1);
    assert!(rows[3].spans.len() == 1);
}

#[test]
fn the_open_end_is_shown_as_it_stands() {
    let mut markdown = Markdown::new();
    markdown.push("One\n\nTwo **bo");
    assert_eq!(text(&markdown.finished(40, &Theme::ansi())), "One");
    assert_eq!(text(&markdown.tail(40, &Theme::ansi())), "\nTwo **bo");
    markdown.push("ld**\n\n-");
    assert_eq!(text(&markdown.finished(40, &Theme::ansi())), "\nTwo bold");
    assert_eq!(text(&markdown.tail(40, &Theme::ansi())), "");
    markdown.push(" item\n```rs\nlet a");
    assert_eq!(text(&markdown.finished(40, &Theme::ansi())), "\n- item");
    assert_eq!(text(&markdown.tail(40, &Theme::ansi())), "\nlet a");
}

#[test]
fn depth_is_bounded() {
    for source in ["> ".repeat(20_000), "- ".repeat(20_000), "1. > ".repeat(5000) + "x"] {
        assert!(all(&source, 80).len() < 20_000);
    }
}

#[test]
fn nothing_in_a_text_acts_on_the_terminal() {
    let hostile = "\x1b]52;c;eA==\x07\u{202e}\0\u{200b}\u{9b}2J\r x";
    let source = format!(
        "# {hostile}\n{hostile} `{hostile}` [{hostile}](<{hostile}>) &#27;&#x202e;&#8203;\n\n| a | b |\n|-|-|\n| {hostile} | &#27; |\n\n```\n{hostile}\n```\n- {hostile}\n"
    );
    for row in all(&source, 40) {
        let row = row.to_string();
        assert_eq!(crate::protocol::printable(&row), row);
        assert!(!row.contains(['\t', '\n']), "{row:?}");
        assert!(columns(&row) <= 40, "{row:?}");
    }
}

fn any_source() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-z]{1,9}[ .]",
        4 => Just("\n".to_owned()),
        3 => Just("\n\n".to_owned()),
        1 => Just("漢字👍🏽e\u{301} ".to_owned()),
        2 => prop_oneof!["- ", "1\\. ", "  - ", "> ", "# ", "    ", "\t", "---\n", "===\n"].prop_map(|mark| format!("\n{mark}")),
        2 => prop_oneof!["\\*\\*", "\\*", "`", "~~", "\\[x\\]\\(y\\)", "\\[", "<b>", "&#38;", "\\\\\n", "\\|"],
        1 => prop_oneof!["\n```rust\n", "\n```\n", "\n~~~\n", "\n  ```\n"],
        1 => Just("\n| a | b |\n|---|--:|\n| c | d |\n".to_owned()),
        1 => Just("a word and *another* one ".repeat(120)),
        1 => Just("x".repeat(3000)),
        1 => Just("\r\n".to_owned()),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_do_not_depend_on_the_pieces_of_a_stream(
        source in any_source(),
        sizes in proptest::collection::vec(1usize..40, 1..12),
        width in prop_oneof![Just(8u16), 20u16..100],
    ) {
        let theme = Theme::ansi();
        let mut markdown = Markdown::with_margin("• ");
        let (mut rows, mut at) = (Vec::new(), 0);
        for size in sizes.iter().cycle() {
            if at == source.len() {
                break;
            }
            let end = source.len() - plain::last(&source, source.len().saturating_sub(at + size)).len();
            markdown.push(source.get(at..end).unwrap());
            at = end;
            if size % 8 == 0 {
                rows.extend(markdown.finished(width, &theme));
                let _ = markdown.tail(width, &theme);
            }
        }
        markdown.end();
        rows.extend(markdown.finished(width, &theme));
        let expected = all(&source, width);
        prop_assert_eq!(&rows, &expected);
        for row in &rows {
            prop_assert!(row.width() <= usize::from(width), "{:?}", row.to_string());
        }
    }

    #[test]
    fn no_word_is_lost(source in any_source()) {
        let letters = |text: &str| text.chars().filter(|char| char.is_ascii_lowercase()).collect::<String>();
        let source: String = source.replace("```rust", "```");
        // What stands behind a fence names a language, and is not shown.
        let named = |line: &str| {
            let line = line.trim_start_matches([' ', '\t', '>', '-', '#', '1', '.']);
            (line.starts_with("~~~") || line.starts_with("```")) && !letters(line).is_empty()
        };
        prop_assume!(!source.lines().any(named));
        let expected = letters(&source.replace("&#38;", ""));
        prop_assert_eq!(letters(&show(&source, 50)), expected);
    }
}

#[test]
fn joined_emoji_stay_one_and_stray_joiners_are_seen() {
    let rows: Vec<String> =
        all("a 👨\u{200d}👩\u{200d}👧 family; a\u{200d}b", 40).iter().map(ToString::to_string).collect();
    assert_eq!(rows, ["• a 👨\u{200d}👩\u{200d}👧 family; a\\u{200d}b"]);
}
