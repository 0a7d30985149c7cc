//! The composer as a person sees it: text before, keys, text after.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr as _;

use super::{buffer::marked, *};
use crate::tui::theme::Theme;

pub(super) fn composer() -> Composer {
    let spec = |name: &str, usage: &str, args: &[&str]| CommandSpec {
        name: name.to_owned(),
        about: format!("about {name}"),
        usage: usage.to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
    };
    Composer::new(Options {
        history: vec!["first".to_owned(), "second\nline".to_owned(), "third".to_owned()],
        commands: vec![
            spec("model", "[model]", &["gpt-5.5", "gpt-5.5-mini", "opus"]),
            spec("memory", "", &[]),
            spec("rename", "<name>", &[]),
            spec("quit", "", &[]),
        ],
        vim: false,
    })
}

/// A text with the cursor as `|`.
pub(super) fn at(composer: &mut Composer, text: &str) {
    let cursor = text.find('|').unwrap();
    composer.set_text(&text.replacen('|', "", 1));
    composer.buffer.set_cursor(cursor);
    assert_eq!(marked(&composer.buffer), text, "the table has the cursor inside a cluster");
    composer.undo.close();
}

/// Presses keys: characters as they are, others as `<ctrl-a>`. Gives the last reaction that is not `Consumed`.
pub(super) fn press(composer: &mut Composer, keys: &str) -> Reaction {
    let mut last = Reaction::Consumed;
    for key in parsed(keys) {
        // Far apart: nothing is a paste.
        let reaction = composer.on_key_at(KeyEvent::new(key.code, key.modifiers), Instant::now());
        composer.burst.end();
        if reaction != Reaction::Consumed {
            last = reaction;
        }
    }
    last
}

fn parsed(keys: &str) -> Vec<Key> {
    let mut rest = keys;
    let mut parsed = Vec::new();
    while let Some(char) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|inside| {
            // A key may itself be `>`.
            let end = inside.find('>')?;
            let end = if inside.get(end..)?.starts_with(">>") { end + 1 } else { end };
            Some((inside.get(..end)?, inside.get(end + 1..)?))
        });
        match named {
            Some((name, behind)) if !name.is_empty() && !name.contains(' ') => {
                parsed.push(name.parse().unwrap());
                rest = behind;
            }
            _ => {
                parsed.push(Key::new(KeyCode::Char(char), KeyModifiers::NONE));
                rest = rest.get(char.len_utf8()..).unwrap();
            }
        }
    }
    parsed
}

pub(super) fn check(new: impl Fn() -> Composer, table: &[(&str, &str, &str)]) {
    for (before, keys, after) in table {
        let mut composer = new();
        at(&mut composer, before);
        press(&mut composer, keys);
        assert_eq!(marked(&composer.buffer), *after, "{before:?} and {keys}");
    }
}

#[test]
fn keys_edit_as_in_readline() {
    check(
        composer,
        &[
            ("|", "abc", "abc|"),
            ("a|b", "<enter>", "|"),
            ("a|b", "<shift-enter>", "a\n|b"),
            ("a|b", "<alt-enter>x", "a\nx|b"),
            ("a|b", "<ctrl-j>", "a\n|b"),
            ("a\\|", "<enter>b", "a\nb|"),
            ("ab|", "<left><ctrl-b>", "|ab"),
            ("|ab", "<right><ctrl-f><right>", "ab|"),
            ("a\nbc|d\ne", "<home>", "a\n|bcd\ne"),
            ("a\nbc|d\ne", "<ctrl-a>x", "a\nx|bcd\ne"),
            ("a\nb|cd\ne", "<ctrl-e>", "a\nbcd|\ne"),
            ("a\nb|cd\ne", "<ctrl-home>x<ctrl-end>y", "xa\nbcd\ney|"),
            ("ab|c", "<backspace><ctrl-h>", "|c"),
            ("a|bcd", "<delete><ctrl-d>", "a|d"),
            ("one two, thr|ee", "<alt-b>", "one two, |three"),
            ("one two, |three", "<alt-b>", "one |two, three"),
            ("one |two, three", "<alt-f>", "one two|, three"),
            ("one two|, three", "<ctrl-right><ctrl-left>", "one two, |three"),
            ("one two, three|", "<ctrl-w>", "one two, |"),
            ("one two, |", "<ctrl-w>", "one |"),
            ("one two, |", "<alt-backspace>", "one |"),
            ("one |two, three", "<alt-d>", "one |, three"),
            ("ab|cd\nef", "<ctrl-k>", "ab|\nef"),
            ("ab|\nef", "<ctrl-k>", "ab|ef"),
            ("x\nab|cd", "<ctrl-u>", "x\n|cd"),
            ("x\n|cd", "<ctrl-u>", "x|cd"),
            ("one two|", "<ctrl-w><ctrl-w><ctrl-y><ctrl-y>", "one twoone two|"),
            ("a b|", "<ctrl-w><ctrl-a><ctrl-k><ctrl-y>", "a |"),
            ("a b|", "<ctrl-w>x<ctrl-w><ctrl-y><alt-y>", "a b|"),
            ("a b|", "<ctrl-w>x<ctrl-w><ctrl-y><alt-y><alt-y>", "a x|"),
            ("ab|c", "<alt-t>", "acb|"),
            ("abc|", "<alt-t>", "acb|"),
            ("|abc", "<alt-t>", "|abc"),
            ("a\n|b", "<alt-t>", "a\n|b"),
            ("|one two", "<alt-u><alt-c>", "ONE Two|"),
            ("|ONE", "<alt-l>", "one|"),
            ("ab|", "<ctrl-x><f9><ctrl-z>", "ab|"),
        ],
    );
}

#[test]
fn every_key_takes_whole_clusters() {
    let family = "👩\u{200d}👩\u{200d}👧";
    for cluster in ["é", "e\u{301}", family, "漢", "🇩🇪", "👍🏽", "ש\u{5b8}", "कि", "1\u{fe0f}\u{20e3}"]
    {
        let table = [
            ("a{}b|", "<left><backspace>", "a|b"),
            ("a{}|b", "<ctrl-h>", "a|b"),
            ("a|{}b", "<delete>", "a|b"),
            ("a|{}b", "<right>x", "a{}x|b"),
            ("a{}|b", "<left>x", "ax|{}b"),
            ("a|{}", "<alt-t>", "{}a|"),
            ("{}|", "<ctrl-w><ctrl-y>", "{}|"),
        ]
        .map(|(before, keys, after)| (before.replace("{}", cluster), keys, after.replace("{}", cluster)));
        for (before, keys, after) in &table {
            check(composer, &[(before, keys, after)]);
        }
    }
    check(composer, &[("🇩🇪🇫🇷|", "<backspace>", "🇩🇪|"), ("👩|", "\u{200d}👧<backspace>", "|")]);
}

#[test]
fn undo_goes_back_by_words_and_runs_and_redo_forward() {
    check(
        composer,
        &[
            ("|", "one two<ctrl-_>", "one |"),
            ("|", "one two<ctrl-/><ctrl-/>", "|"),
            ("|", "one two<ctrl-_><ctrl-_><alt-_><alt-_>", "one two|"),
            ("|", "one<ctrl-_>x<alt-_>", "x|"),
            ("abcd|", "<backspace><backspace><ctrl-_>", "abcd|"),
            ("abcd|", "<backspace><left><backspace><ctrl-_>", "ab|c"),
            ("ab cd|", "<ctrl-w><ctrl-_>", "ab cd|"),
            ("ab|", "x<ctrl-c><ctrl-_>", "abx|"),
            ("draft|", "<up><up><ctrl-_>", "draft|"),
        ],
    );
}

#[test]
fn up_and_down_move_in_the_text_and_then_through_history() {
    check(
        composer,
        &[
            ("abc\nd|", "<up>", "a|bc\nd"),
            ("abc\nd\nabc|", "<up><up>", "abc|\nd\nabc"),
            ("abc\nd\nabc|", "<ctrl-p><ctrl-p><ctrl-n><ctrl-n>", "abc\nd\nabc|"),
            ("dr|aft", "<up>", "third|"),
            ("dr|aft", "<up><up>", "second\nline|"),
            ("dr|aft", "<up><up><up>", "first|"),
            ("dr|aft", "<up><up><up><up>", "|first"),
            ("dr|aft", "<up><up><down><down>", "draft|"),
            ("draft|", "<up><up><left><up>", "sec|ond\nline"),
            ("draft|", "<up>!<up><down>", "third!|"),
            ("dr|aft", "<down>", "draft|"),
            ("漢字漢\nabcd|", "<up>", "漢字|漢\nabcd"),
        ],
    );
    assert_eq!(press(&mut composer(), "<down>"), Reaction::Ignored);
}

#[test]
fn up_and_down_go_by_rows_as_they_are_drawn() {
    let mut composer = composer();
    at(&mut composer, "aaaa bbbb cccc|");
    let _ = composer.draw(8, 5, &Theme::ansi());
    press(&mut composer, "<up>");
    assert_eq!(marked(&composer.buffer), "aaaa bbbb| cccc");
    press(&mut composer, "<up><up>");
    assert_eq!(composer.text(), "third");
}

#[test]
fn history_is_searched_while_typing() {
    let mut composer = composer();
    at(&mut composer, "my dr|aft");
    press(&mut composer, "<ctrl-r>");
    press(&mut composer, "ir");
    assert_eq!(marked(&composer.buffer), "th|ird");
    press(&mut composer, "<ctrl-r>");
    assert_eq!(marked(&composer.buffer), "f|irst");
    press(&mut composer, "<ctrl-r>");
    let drawn = composer.draw(40, 3, &Theme::ansi());
    assert_eq!(texts(&drawn.popup), ["nothing earlier has: ir"]);
    press(&mut composer, "<down>");
    assert_eq!(composer.text(), "third");
    press(&mut composer, "<esc>");
    assert_eq!(marked(&composer.buffer), "my dr|aft");
    press(&mut composer, "<ctrl-r>li<enter>");
    assert_eq!(marked(&composer.buffer), "second\nline|");
    press(&mut composer, "<up><down><down><down>");
    assert_eq!(composer.text(), "my draft", "the search left the person in the history");
    press(&mut composer, "<ctrl-r>sec<ctrl-a>x");
    assert_eq!(marked(&composer.buffer), "x|second\nline");
}

fn message(text: &str) -> Message {
    Message { text: text.to_owned(), images: Vec::new() }
}

#[test]
fn enter_sends_and_what_was_sent_is_the_newest_of_history() {
    let mut composer = composer();
    assert_eq!(press(&mut composer, "<enter>"), Reaction::Ignored);
    assert_eq!(press(&mut composer, "  <enter>"), Reaction::Consumed);
    assert_eq!(press(&mut composer, "hello <enter>"), Reaction::Submit(message("hello")));
    assert!(composer.is_empty());
    assert_eq!(press(&mut composer, "hi<tab>"), Reaction::Ignored);
    composer.set_running(true);
    assert_eq!(press(&mut composer, "<tab>"), Reaction::Queue(message("hi")));
    assert_eq!(composer.take_unsaved(), ["hello", "hi"]);
    assert!(composer.take_unsaved().is_empty());
    press(&mut composer, "<ctrl-_><up><up>");
    assert_eq!(composer.text(), "  hello ");
    assert_eq!(press(&mut composer, "<ctrl-g>"), Reaction::Editor);
    assert_eq!(press(&mut composer, "<ctrl-c>"), Reaction::Consumed);
    assert_eq!(press(&mut composer, "<ctrl-c>"), Reaction::Ignored);
    assert_eq!(press(&mut composer, "<ctrl-d>"), Reaction::Ignored);
    assert_eq!(press(&mut composer, "<esc>"), Reaction::Ignored);
}

#[test]
fn a_mark_of_exclamation_is_for_the_shell_and_a_slash_for_commands() {
    let command = |name: &str, args: &str| Reaction::Command { name: name.into(), args: args.into() };
    let table = [
        ("!ls -la <enter>", Reaction::Shell("ls -la".into())),
        ("!<enter>", Reaction::Consumed),
        ("/quit <enter>", command("quit", "")),
        ("/model opus<enter>", command("model", "opus")),
        ("/rename a new  name<enter>", command("rename", "a new  name")),
        ("/tmp/x is broken<enter>", Reaction::Submit(message("/tmp/x is broken"))),
        ("/ what<enter>", Reaction::Submit(message("/ what"))),
        (" /quit<enter>", Reaction::Submit(message("/quit"))),
        ("/nope<enter>", Reaction::Consumed),
    ];
    for (keys, expected) in table {
        assert_eq!(press(&mut composer(), keys), expected, "{keys}");
    }
    let mut composer = composer();
    press(&mut composer, "/nope x<enter>");
    assert_eq!(composer.text(), "/nope x");
    let drawn = composer.draw(80, 5, &Theme::ansi());
    assert_eq!(texts(&drawn.popup), ["no command /nope; with a blank before it, it is sent as text"]);
}

#[test]
fn a_large_paste_is_a_label_that_expands_when_it_is_sent() {
    let mut composer = composer();
    let large = "line\r\n".repeat(1234);
    press(&mut composer, "see ");
    composer.on_paste(&large);
    press(&mut composer, " end");
    assert_eq!(composer.text(), "see [Pasted 1234 lines #1] end");
    press(&mut composer, "<alt-b><left><backspace><ctrl-_><ctrl-e>");
    assert_eq!(marked(&composer.buffer), "see [Pasted 1234 lines #1] end|");
    press(&mut composer, "<ctrl-w><ctrl-w><ctrl-a><ctrl-y>");
    assert_eq!(marked(&composer.buffer), "[Pasted 1234 lines #1] end|see ");
    assert_eq!(composer.draft(), format!("{} endsee ", "line\n".repeat(1234)));
    composer.set_text("edited [Pasted 1234 lines #1]!");
    assert_eq!(
        press(&mut composer, "<enter>"),
        Reaction::Submit(message(&format!("edited {}!", "line\n".repeat(1234))))
    );
    press(&mut composer, "<up>");
    assert_eq!(composer.text(), "edited [Pasted 1234 lines #1]!");
    composer.on_paste(&"x".repeat(1001));
    assert_eq!(composer.text(), "edited [Pasted 1234 lines #1]![Pasted 1001 chars #2]");
}

#[test]
fn a_paste_never_sends_and_a_small_one_is_text() {
    let mut composer = composer();
    composer.on_paste("rm -rf x\r\nls\r");
    assert_eq!(composer.text(), "rm -rf x\nls\n");
    press(&mut composer, "<ctrl-_>");
    assert!(composer.is_empty());
}

#[test]
fn images_are_labels_with_their_numbers_in_the_message() {
    let mut composer = composer();
    composer.on_paste("/tmp/a.png");
    composer.on_paste("'/tmp/my shot.png'");
    composer.attach_image("/clip/c.png".into());
    press(&mut composer, "x");
    assert_eq!(composer.text(), "[Image #1] [Image #2] [Image #3] x");
    composer.reject_image(Path::new("/tmp/my shot.png"));
    assert_eq!(marked(&composer.buffer), "[Image #1] '/tmp/my shot.png' [Image #3] x|");
    assert_eq!(composer.images(), [PathBuf::from("/tmp/a.png"), "/clip/c.png".into()]);
    press(&mut composer, "<ctrl-a><delete>");
    assert_eq!(
        press(&mut composer, "<enter>"),
        Reaction::Submit(Message {
            text: "'/tmp/my shot.png' [Image #1] x".into(),
            images: vec!["/clip/c.png".into()]
        })
    );
}

/// Keys at times, in milliseconds.
fn burst(composer: &mut Composer, start: Instant, keys: &[(u64, &str)]) -> Vec<Reaction> {
    let mut reactions = Vec::new();
    for (ms, keys) in keys {
        for key in parsed(keys) {
            let now = start + Duration::from_millis(*ms);
            reactions.push(composer.on_key_at(KeyEvent::new(key.code, key.modifiers), now));
        }
    }
    reactions.retain(|reaction| *reaction != Reaction::Consumed);
    reactions
}

#[test]
fn keys_as_fast_as_a_paste_do_not_send() {
    let start = Instant::now();
    let ms = |ms| start + Duration::from_millis(ms);
    let mut composer = composer();
    assert_eq!(burst(&mut composer, start, &[(0, "one<enter>two<enter><tab>three<enter>")]), []);
    assert_eq!(composer.text(), "one\ntwo\n\tthree\n");
    assert!(composer.wake_at().is_some());
    assert_eq!(composer.on_wake(ms(10)), Reaction::Ignored, "too early");
    assert_eq!(composer.on_wake(ms(30)), Reaction::Consumed);
    assert_eq!(composer.wake_at(), None);
    let sent = burst(&mut composer, start, &[(500, "<enter>")]);
    assert_eq!(sent, [Reaction::Submit(message("one\ntwo\n\tthree"))]);
}

#[test]
fn an_enter_behind_fast_keys_waits_a_moment_and_then_sends() {
    let start = Instant::now();
    let ms = |ms| start + Duration::from_millis(ms);
    // A script that types a line at once.
    let mut composer = composer();
    assert_eq!(burst(&mut composer, start, &[(0, "hello<enter>")]), []);
    assert_eq!(composer.on_wake(ms(25)), Reaction::Submit(message("hello")));
    // The same when the next key is what comes first.
    assert_eq!(
        burst(&mut composer, start, &[(100, "again<enter>"), (200, "x")]),
        [Reaction::Submit(message("again"))]
    );
    assert_eq!(composer.text(), "x");
    // A person is never made to wait.
    assert_eq!(
        burst(&mut composer, start, &[(300, "y"), (330, "<enter>")]),
        [Reaction::Submit(message("xy"))]
    );
    // A command from a script.
    assert_eq!(burst(&mut composer, start, &[(400, "/qui<enter>")]), []);
    assert_eq!(composer.on_wake(ms(430)), Reaction::Command { name: "quit".into(), args: String::new() });
}

#[test]
fn a_large_paste_that_came_as_keys_becomes_a_label() {
    let start = Instant::now();
    let mut composer = composer();
    burst(&mut composer, start, &[(0, "a "), (100, &"x<enter>".repeat(20))]);
    assert_eq!(composer.on_wake(start + Duration::from_millis(200)), Reaction::Consumed);
    assert_eq!(composer.text(), "a [Pasted 20 lines #1]");
}

#[test]
fn the_popup_of_commands_filters_completes_and_runs() {
    let mut composer = composer();
    press(&mut composer, "/");
    let drawn = composer.draw(40, 5, &Theme::ansi());
    assert_eq!(
        texts(&drawn.popup),
        [
            "▸ /model [model]  about model",
            "  /memory         about memory",
            "  /rename <name>  about rename",
            "  /quit           about quit"
        ]
    );
    press(&mut composer, "m<down><tab>");
    assert_eq!(marked(&composer.buffer), "/memory |");
    assert!(composer.popup.is_none());
    press(&mut composer, "<ctrl-u>/emo");
    assert_eq!(texts(&composer.draw(40, 5, &Theme::ansi()).popup), ["▸ /memory  about memory"]);
    press(&mut composer, "<esc>");
    assert!(composer.draw(40, 5, &Theme::ansi()).popup.is_empty());
    press(&mut composer, "o<backspace>");
    assert!(composer.popup.is_none(), "closed for this word");
    press(&mut composer, "<ctrl-u>/qt");
    assert_eq!(
        press(&mut composer, "<enter>"),
        Reaction::Command { name: "quit".into(), args: String::new() }
    );
    // What must have an argument is only completed.
    assert_eq!(press(&mut composer, "/ren<enter>"), Reaction::Consumed);
    assert_eq!(marked(&composer.buffer), "/rename |");
}

#[test]
fn arguments_are_completed() {
    let mut composer = composer();
    press(&mut composer, "/mod<tab>");
    assert_eq!(composer.popup.as_ref().unwrap().rows.len(), 3);
    press(&mut composer, "mini<tab>");
    assert_eq!(marked(&composer.buffer), "/model gpt-5.5-mini |");
    let sent = press(&mut composer, "<enter>");
    assert_eq!(sent, Reaction::Command { name: "model".into(), args: "gpt-5.5-mini".into() });
    let sent = press(&mut composer, "/model op<enter>");
    assert_eq!(sent, Reaction::Command { name: "model".into(), args: "opus".into() });
    let sent = press(&mut composer, "/model <enter>");
    assert_eq!(sent, Reaction::Command { name: "model".into(), args: String::new() });
    let sent = press(&mut composer, "/model <down><enter>");
    assert_eq!(sent, Reaction::Command { name: "model".into(), args: "gpt-5.5-mini".into() });
    let sent = press(&mut composer, "/model gpt-5.5<enter>");
    assert_eq!(sent, Reaction::Command { name: "model".into(), args: "gpt-5.5".into() });
}

fn files(paths: &[&str]) -> Vec<FileMatch> {
    paths.iter().map(|path| FileMatch { path: (*path).to_owned(), positions: vec![0, 1] }).collect()
}

#[test]
fn the_popup_of_files_asks_shows_and_inserts() {
    let mut composer = composer();
    assert_eq!(press(&mut composer, "see @"), Reaction::WantFiles(String::new()));
    assert_eq!(press(&mut composer, "m"), Reaction::WantFiles("m".into()));
    let drawn = composer.draw(30, 5, &Theme::ansi());
    assert_eq!(texts(&drawn.popup), ["  looking for files…"]);
    composer.set_files("", files(&["late"]));
    assert!(composer.popup.as_ref().unwrap().rows.is_empty(), "an answer to an older question");
    composer.set_files("m", files(&["src/main.rs", "my file.txt", "src/"]));
    let drawn = composer.draw(30, 5, &Theme::ansi());
    assert_eq!(texts(&drawn.popup), ["▸ src/main.rs", "  my file.txt", "  src/"]);
    press(&mut composer, "<down><enter>");
    assert_eq!(marked(&composer.buffer), "see \"my file.txt\" |");
    assert!(composer.popup.is_none());

    // Tab goes into a directory.
    press(&mut composer, "@s");
    composer.set_files("s", files(&["src/"]));
    assert_eq!(press(&mut composer, "<tab>"), Reaction::WantFiles("src/".into()));
    assert!(composer.text().ends_with("@src/"));
    composer.set_files("src/", Vec::new());
    assert_eq!(texts(&composer.draw(30, 5, &Theme::ansi()).popup), ["  no file matches"]);
    // With nothing to choose, Enter sends.
    assert!(matches!(press(&mut composer, "<enter>"), Reaction::Submit(_)));
}

#[test]
fn only_a_word_that_begins_with_the_sign_asks_for_files() {
    let table = [
        ("me@host", false),
        ("@a b", false),
        ("(@a", true),
        ("a\n@a", true),
        ("!cat @a", true),
        ("漢 @a", true),
        ("漢@a", false),
    ];
    for (text, asks) in table {
        let mut composer = composer();
        press(&mut composer, &text.replace('\n', "<ctrl-j>"));
        assert_eq!(composer.file_query().is_some(), asks, "{text}");
    }
    // What is called up or walked over opens nothing.
    let mut composer = composer();
    press(&mut composer, "see @a <enter>");
    press(&mut composer, "<up><left>");
    assert!(composer.popup.is_none());
}

fn texts(lines: &[Line<'_>]) -> Vec<String> {
    lines.iter().map(|line| line.spans.iter().map(|span| span.content.as_ref()).collect()).collect()
}

#[test]
fn the_rows_are_marked_indented_and_scroll_with_the_cursor() {
    let mut composer = composer();
    composer.set_placeholder("Say what");
    let theme = Theme::ansi();
    let drawn = composer.draw(20, 5, &theme);
    assert_eq!((texts(&drawn.lines), drawn.cursor), (vec!["› Say what".to_owned()], (2, 0)));
    at(&mut composer, "one two three four five\nsix|");
    let drawn = composer.draw(14, 5, &theme);
    assert_eq!(texts(&drawn.lines), ["› one two ", "  three four ", "  five", "  six"]);
    assert_eq!(drawn.cursor, (5, 3));
    let drawn = composer.draw(14, 2, &theme);
    assert_eq!((texts(&drawn.lines), drawn.cursor), (vec!["  five".to_owned(), "  six".into()], (5, 1)));
    press(&mut composer, "<ctrl-home>");
    let drawn = composer.draw(14, 2, &theme);
    assert_eq!(texts(&drawn.lines), ["› one two ", "  three four "]);
    assert_eq!(drawn.cursor, (2, 0));
}

#[test]
fn a_shell_command_has_its_own_mark() {
    let mut composer = composer();
    at(&mut composer, "!ls|");
    let drawn = composer.draw(20, 5, &Theme::ansi());
    assert_eq!((texts(&drawn.lines), drawn.cursor), (vec!["! ls".to_owned()], (4, 0)));
    press(&mut composer, "<home>");
    assert_eq!(composer.draw(20, 5, &Theme::ansi()).cursor, (0, 0));
    press(&mut composer, "<delete>");
    assert_eq!(texts(&composer.draw(20, 5, &Theme::ansi()).lines), ["› ls"]);
}

#[test]
fn the_hints_are_the_keys_in_force() {
    let mut composer = composer();
    let keys = |composer: &Composer, state| -> Vec<String> {
        composer.hints(state).into_iter().map(|(key, what)| format!("{key} {what}")).collect()
    };
    assert_eq!(keys(&composer, State::Idle), ["/ commands", "@ files", "! shell", "ctrl-r search"]);
    press(&mut composer, "x");
    assert_eq!(keys(&composer, State::Running)[..2], ["enter steer", "tab queue"]);
    let alt_enter = ["alt-enter".to_owned()];
    composer.set_keymap(Keymap::rebound([("submit", &alt_enter[..])]).unwrap());
    assert_eq!(keys(&composer, State::Idle)[0], "alt-enter send");
    press(&mut composer, "<ctrl-r>");
    assert_eq!(keys(&composer, State::Idle)[0], "alt-enter take");
}

#[test]
fn a_million_characters_are_edited_and_taken_back() {
    for text in ["word ".repeat(200_000), "x".repeat(1_000_000), "a\n".repeat(500_000), "漢".repeat(333_333)]
    {
        let mut composer = composer();
        composer.set_text(&text);
        let theme = Theme::ansi();
        composer.buffer.set_cursor(text.len() / 2);
        for key in parsed("a<backspace><ctrl-w><ctrl-y>") {
            composer.on_key_at(KeyEvent::new(key.code, key.modifiers), Instant::now());
            let drawn = composer.draw(80, 10, &theme);
            assert!(drawn.lines.len() <= 10 && usize::from(drawn.cursor.1) < drawn.lines.len());
            composer.burst.end();
        }
        assert!(composer.text() == text, "{:?}…", text.get(..9));
    }
    let mut composer = composer();
    composer.on_paste(&"paste me\r\n".repeat(100_000));
    assert_eq!(composer.text(), "[Pasted 100000 lines #1]");
}

#[test]
fn in_a_line_for_the_shell_a_path_stays_a_path() {
    let mut composer = composer();
    press(&mut composer, "!file ");
    composer.on_paste("/tmp/my\\ shot.png");
    assert_eq!(press(&mut composer, "<enter>"), Reaction::Shell("file /tmp/my\\ shot.png".into()));
}

fn any_key() -> impl Strategy<Value = String> {
    let bound: Vec<String> = Keymap::default()
        .all()
        .filter(|(action, _)| action.layer() == Layer::Composer && *action != Action::Submit)
        .flat_map(|(_, keys)| keys.iter().map(|key| format!("<{key}>")).collect::<Vec<_>>())
        .collect();
    prop_oneof![
        2 => prop::sample::select(bound),
        2 => "[ -;=-~]".prop_map(String::from),
        1 => prop::sample::select(vec![
            "é", "\u{301}", "👩", "\u{200d}", "👧", "🇩", "🇪", "漢", "ש", "\u{202e}", "<enter>", "<pageup>", "<f5>", "@", "/", "!",
        ]).prop_map(str::to_owned),
    ]
}

#[derive(Debug, Clone)]
enum Do {
    Key(String),
    Paste(String),
    SetText(String),
    Files,
    Draw(u16, u16),
}

fn any_do() -> impl Strategy<Value = Do> {
    prop_oneof![
        12 => any_key().prop_map(Do::Key),
        1 => prop_oneof!["\\PC{0,20}", Just("a\n".repeat(12)), Just("/tmp/x.png".to_owned())].prop_map(Do::Paste),
        1 => "(a|b|\n|漢| ){0,30}".prop_map(Do::SetText),
        1 => Just(Do::Files),
        1 => (0u16..90, 0u16..8).prop_map(|(width, rows)| Do::Draw(width, rows)),
    ]
}

fn drawn_well(composer: &Composer, width: u16, rows: u16) {
    let drawn = composer.draw(width, rows, &Theme::ansi());
    assert!(!drawn.lines.is_empty() && drawn.lines.len() <= usize::from(rows.max(1)));
    assert!(drawn.cursor.0 < width.max(1) && usize::from(drawn.cursor.1) < drawn.lines.len());
    for text in texts(&drawn.lines).iter().chain(&texts(&drawn.popup)) {
        assert!(text.width() <= usize::from(width.max(1)), "{text:?} is wider than {width}");
        assert!(!text.chars().any(|char| char.is_control() || char == '\u{202e}'), "{text:?}");
    }
}

/// Does the steps, and takes all of them back and forth again.
fn keys_can_be_undone(steps: &[Do], vim: bool) {
    let mut composer = composer();
    composer.set_vim(vim);
    let mut now = Instant::now();
    for step in steps {
        match step {
            Do::Key(keys) => {
                for key in parsed(keys) {
                    now += Duration::from_millis(u64::try_from(keys.len()).unwrap() * 7 % 40);
                    composer.on_key_at(KeyEvent::new(key.code, key.modifiers), now);
                }
            }
            Do::Paste(text) => {
                composer.on_paste(text);
            }
            Do::SetText(text) => composer.set_text(text),
            Do::Files => {
                let query = composer.file_query().unwrap_or_default().to_owned();
                composer.set_files(&query, files(&["a b", "src/", "漢/\u{202e}"]));
            }
            Do::Draw(width, rows) => drawn_well(&composer, *width, *rows),
        }
        let body = composer.buffer.body();
        assert_eq!(body.snap(composer.buffer.cursor()), composer.buffer.cursor());
        for element in &body.elements {
            assert!(body.slice(element.at..element.end()).starts_with('['));
        }
    }
    for (width, rows) in [(80, 10), (40, 3), (10, 2), (1, 1), (0, 0)] {
        drawn_well(&composer, width, rows);
    }
    // Only a text that was sent, taken with its past, can not come back.
    let end = composer.buffer.body().clone();
    let mut back = 0;
    while composer.undo.undo(&mut composer.buffer) {
        back += 1;
    }
    assert_eq!(composer.text(), "");
    for _ in 0..back {
        composer.undo.redo(&mut composer.buffer);
    }
    assert_eq!(composer.buffer.body(), &end);
}

#[test]
fn a_message_that_is_recalled_in_the_middle_of_a_change_is_a_change_of_its_own() {
    let keys = ["<esc>", "C", "<up>", "A", "<up>"].map(|key| Do::Key(key.to_owned()));
    keys_can_be_undone(&keys, true);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_keys_panic_and_everything_can_be_undone(
        steps in prop::collection::vec(any_do(), 1..60),
        vim in any::<bool>(),
    ) {
        keys_can_be_undone(&steps, vim);
    }

    #[test]
    fn inserts_and_deletes_do_what_a_list_of_characters_does(
        keys in prop::collection::vec(prop::sample::select(vec![
            "a", "b", " ", "漢", "<ctrl-j>", "<left>", "<right>", "<backspace>", "<delete>", "<home>", "<end>", "<ctrl-k>", "<ctrl-u>",
        ]), 0..80),
    ) {
        let mut composer = composer();
        let (mut text, mut at): (Vec<char>, usize) = (Vec::new(), 0);
        for key in keys {
            press(&mut composer, key);
            let start = text.iter().take(at).rposition(|char| *char == '\n').map_or(0, |newline| newline + 1);
            let end = text.iter().skip(at).position(|char| *char == '\n').map_or(text.len(), |newline| at + newline);
            match key {
                "<left>" => at = at.saturating_sub(1),
                "<right>" => at = (at + 1).min(text.len()),
                "<home>" => at = start,
                "<end>" => at = end,
                "<backspace>" => if at > 0 { at -= 1; text.remove(at); },
                "<delete>" => if at < text.len() { text.remove(at); },
                "<ctrl-k>" => { text.drain(at..if end == at { (at + 1).min(text.len()) } else { end }); }
                "<ctrl-u>" => { let from = if start == at { at.saturating_sub(1) } else { start }; text.drain(from..at); at = from; }
                key => { text.insert(at, if key == "<ctrl-j>" { '\n' } else { key.chars().next().unwrap() }); at += 1; }
            }
            let expected: String = text.iter().collect();
            prop_assert_eq!(composer.text(), expected);
            prop_assert_eq!(composer.text().get(..composer.buffer.cursor()).unwrap().chars().count(), at);
        }
    }
}
