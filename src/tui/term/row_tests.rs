//! Rows as cells and bytes: what is hostile, what is wide, what is linked, and how little is written.

use proptest::prelude::*;
use ratatui::{
    style::{Color, Modifier, Style, Stylize as _},
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr as _;

use super::{Caps, Depth, Row, Screen, Size, encode, row::Laid};

fn encoded(row: &Row, columns: u16, depth: Depth) -> String {
    let laid = Laid::new(row, columns, depth, true);
    let mut out = String::new();
    encode::cells(&mut out, &laid, 0..laid.len());
    out
}

fn plain(text: &str, columns: u16) -> String {
    encoded(&Row::from(text.to_owned()), columns, Depth::True)
}

/// What tries to act on a terminal, or to hide from the eye.
const HOSTILE: [&str; 42] = [
    "\x1b[2J",
    "\x1b[3J",
    "\x1b[H",
    "\x1b[10A",
    "\x1b[999;999H",
    "\x1b[1;5r",
    "\x1b[5S",
    "\x1b[?1049h",
    "\x1b[?1000h\x1b[?1006h",
    "\x1b[?25l",
    "\x1b[?2004l",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[21t",
    "\x1b[8m",
    "\x1b[>1u",
    "\x1b]0;title\x07",
    "\x1b]2;title\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]9;notice\x07",
    "\x1b]11;?\x07",
    "\x1b]50;font\x07",
    "\x1b]1337;File=:AAAA\x07",
    "\x1bP+q544e\x1b\\",
    "\x1bPtmux;\x1b\x1b]0;x\x07\x1b\\",
    "\x1b_Ga=T\x1b\\",
    "\x1b^private\x1b\\",
    "\x1bX string\x1b\\",
    "\x1bc",
    "\x1b7\x1b8",
    "\x1b(0",
    "\x1b#8",
    "\u{9b}2J",
    "\u{9d}0;title\u{9c}",
    "\u{90}q\u{9c}",
    "\u{85}\u{84}\u{8d}",
    "a\rb\nc\x0bd\x0ce\x08\x08f",
    "\x0e\x0f\x05\x07\x7f\0",
    "\u{202e}fdp.exe\u{2066}\u{2069}",
    "\u{200b}\u{2028}\u{feff}\u{e0041}\u{ad}",
    "\t\t\x1b[\u{301}31m",
];

#[test]
fn no_hostile_text_reaches_the_terminal_as_anything_but_text() {
    for hostile in HOSTILE {
        for text in [hostile.to_owned(), format!("before{hostile}after"), hostile.repeat(50)] {
            let out = plain(&text, 200);
            assert!(!out.chars().any(char::is_control), "{hostile:?} gave {out:?}");
            assert!(out.width() <= 200);
        }
        // In pieces of a character: a sequence could be put together from two spans.
        let spans: Vec<Span<'static>> = hostile.chars().map(|char| Span::raw(char.to_string())).collect();
        let out = encoded(&Row::from(Line::from(spans)), 200, Depth::True);
        assert!(!out.chars().any(char::is_control), "{hostile:?} in pieces gave {out:?}");
    }
    assert_eq!(plain("\x1b[2J\u{9b}m\t|", 80), "␛[2J▯m |");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_text_is_cut_at_the_width_and_has_no_control_characters(
        texts in prop::collection::vec(any::<String>(), 0..6),
        columns in 1..60_u16,
    ) {
        let line = Line::from(texts.into_iter().map(Span::raw).collect::<Vec<_>>());
        let laid = Laid::new(&Row::from(line.clone()), columns, Depth::None, true);
        prop_assert!(laid.columns() <= columns);
        prop_assert!((2..=columns).all(|narrow| laid.height(narrow) >= laid.columns().div_ceil(narrow).max(1)));
        let out = encoded(&Row::from(line), columns, Depth::None);
        prop_assert!(!out.chars().any(char::is_control));
    }
}

#[test]
fn rows_are_cut_before_the_edge_and_lose_blanks_at_their_end() {
    let table = [
        ("abcdef", 4, "abcd"),
        ("漢字漢字", 5, "漢字"),
        ("a漢字", 2, "a"),
        ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}e\u{301}"),
        ("\u{301}abc", 3, "abc"),
        ("👍🏽👍🏽", 3, "👍🏽"),
        ("abc   ", 10, "abc"),
        ("   ", 10, ""),
        ("漢", 1, ""),
    ];
    for (text, columns, expected) in table {
        assert_eq!(plain(text, columns), expected, "{text:?} in {columns}");
    }
    let book = format!("a{}b", "\u{301}".repeat(100_000));
    assert!(plain(&book, 10).len() < 200);
    assert_eq!(plain(&"x".repeat(10_000_000), 3), "xxx");
}

#[test]
fn attributes_are_written_as_differences_and_end_plain() {
    let row = Row::from(Line::from(vec![
        "a".into(),
        "b".red(),
        "c".red().bold(),
        "d".red().bold().dim(),
        "e".red().dim(),
        "f".on_blue().underlined(),
        "g".into(),
        " ".on_green(),
    ]));
    assert_eq!(
        encoded(&row, 80, Depth::Sixteen),
        "a\x1b[31mb\x1b[1mc\x1b[2md\x1b[22;2me\x1b[22;4;39;44mf\x1b[mg\x1b[42m \x1b[m"
    );
    assert_eq!(encoded(&row, 80, Depth::None), "ab\x1b[1mc\x1b[2md\x1b[22;2me\x1b[22;4mf\x1b[mg");
    let patched =
        Line::from(vec!["x".bold(), Span::styled("y", Style::new().remove_modifier(Modifier::ITALIC))])
            .style(Style::new().fg(Color::Rgb(1, 2, 3)).add_modifier(Modifier::ITALIC));
    assert_eq!(encoded(&Row::from(patched), 80, Depth::True), "\x1b[1;3;38;2;1;2;3mx\x1b[22;23my\x1b[m");
}

#[test]
fn links_are_opened_and_closed_around_their_spans_and_only_harmless_ones() {
    let line: Line<'static> =
        Line::from(vec!["see ".into(), "this".underlined(), " page".into(), " now".into()]);
    let linked = |to: &str| Row { line: line.clone(), links: vec![(1..3, to.into())] };
    let out = encoded(&linked("https://example.com/a"), 80, Depth::None);
    let open = "\x1b]8;id=";
    assert_eq!(out.matches(open).count(), 1);
    let (before, rest) = out.split_once(open).unwrap();
    let (_, rest) = rest.split_once(';').unwrap();
    assert_eq!(before, "see ");
    assert_eq!(rest, "https://example.com/a\x1b\\\x1b[4mthis\x1b[m page\x1b]8;;\x1b\\ now");
    for bad in ["javascript:alert(1)", "https://a\x1b]52;c;x\x07", "https://a b", "https://ä", "", "ssh://x"]
    {
        assert!(!encoded(&linked(bad), 80, Depth::None).contains("]8;"), "{bad}");
    }
    assert!(!encoded(&linked(&format!("https://{}", "a".repeat(3000))), 80, Depth::None).contains("]8;"));
}

/// Draws one row, then another in its place, among others and with the cursor in it; gives what that wrote.
fn second(first: &str, then: &str, caps: Caps) -> String {
    let mut screen = Screen::new(Vec::new(), Size { columns: 220, rows: 50 }, caps);
    let rows = |text: &str| [Line::from("above"), Line::from(text.to_owned()), Line::from("below")];
    let cursor = |text: &str| Some((u16::try_from(text.width()).unwrap(), 1));
    screen.draw(&rows(first), cursor(first)).unwrap();
    screen.out().clear();
    screen.draw(&rows(then), cursor(then)).unwrap();
    String::from_utf8(std::mem::take(screen.out())).unwrap()
}

#[test]
fn a_change_of_one_character_is_a_few_bytes() {
    let long = "x".repeat(200);
    let bare = Caps::default();
    assert_eq!(second("hell", "hello", bare), "\x1b[5Go\x1b[6G");
    // A row that gets shorter is written whole.
    assert_eq!(second("hello", "hell", bare), "\r\x1b[Khell\x1b[5G");
    assert_eq!(second(&format!("{long}12s{long}"), &format!("{long}13s{long}"), bare), "\x1b[202G3\x1b[220G");
    assert_eq!(second("漢字", "漢中", bare), "\x1b[3G中\x1b[5G");
    assert_eq!(second("same", "same", bare), "");
    let synced = Caps { sync: true, ..bare };
    assert_eq!(second("hell", "hello", synced), "\x1b[?2026h\x1b[5Go\x1b[6G\x1b[?2026l");
    assert!(second(&long, &format!("{long}y"), synced).len() < 32);
}

#[test]
fn a_row_whose_width_terminals_dispute_is_written_whole() {
    let bare = Caps::default();
    assert_eq!(second("❤\u{fe0f} a", "❤\u{fe0f} b", bare), "\r\x1b[K❤\u{fe0f} b\x1b[5G");
}

#[test]
fn the_terminal_wraps_what_is_printed_and_nothing_that_is_live() {
    let mut screen = Screen::new(Vec::new(), Size { columns: 80, rows: 24 }, Caps::default());
    let drawn = |screen: &mut Screen<Vec<u8>>| {
        screen.draw(&[Line::from("live")], None).unwrap();
        String::from_utf8(std::mem::take(screen.out())).unwrap()
    };
    assert_eq!(drawn(&mut screen), "\r\x1b[K\x1b[C\x1b[J\r\x1b[?7llive\r\x1b[?25l");
    screen.print(&[Line::from("printed")]);
    assert_eq!(drawn(&mut screen), "\r\x1b[?7h\x1b[Kprinted\r\n\x1b[?7l\x1b[Klive\r");
    screen.finish().unwrap();
    assert_eq!(drawn(&mut screen).matches("\x1b[?7h").count(), 1);
}

#[test]
fn a_parked_cursor_is_shown_by_an_attribute() {
    let mut screen = Screen::new(Vec::new(), Size { columns: 80, rows: 24 }, Caps::default());
    let rows = [Line::from("above"), Line::from("typed")];
    let mut drawn = |park: bool, column: u16| {
        screen.park(park);
        screen.draw(&rows, Some((column, 1))).unwrap();
        String::from_utf8(std::mem::take(screen.out())).unwrap()
    };
    assert!(drawn(false, 5).ends_with("typed\x1b[6G"));
    assert_eq!(drawn(true, 5), "\x1b[6G\x1b[7m \x1b[m\x1b[A\r\x1b[?25l");
    assert_eq!(drawn(true, 4), "\n\r\x1b[Ktype\x1b[7md\x1b[m\x1b[A\r");
    assert_eq!(drawn(true, 4), "");
    assert_eq!(drawn(false, 4), "\r\x1b[Kabove\n\r\x1b[Ktyped\x1b[5G\x1b[?25h");
}

#[test]
fn a_frame_without_synchronized_updates_hides_the_cursor_if_it_is_long() {
    let long = second("x", &"漢".repeat(110), Caps::default());
    assert!(long.starts_with("\x1b[?25l") && long.ends_with("\x1b[?25h"), "{long:?}");
}
