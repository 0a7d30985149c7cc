//! The view of the whole conversation at two sizes.

use super::*;
use crate::protocol::{Delta, ResponseId};
use crate::tui::overlay::testing::Stage;

fn story() -> Stage {
    let mut stage = Stage::new();
    stage.user("find the needle");
    stage.ran("cat haystack", &(1..=30).map(|n| format!("straw {n}\n")).collect::<String>());
    stage.said("There is a **needle** in line 7, and another needle in the barn over there.");
    stage
}

#[test]
fn it_opens_at_its_end_with_everything_in_full() {
    let stage = story();
    let wide = stage.draw(&mut Pager::new(), 80, 24);
    let narrow = stage.draw(&mut Pager::new(), 40, 12);
    assert!(!wide.contains("find the needle") && wide.starts_with("straw 10\n"), "{wide}");
    insta::assert_snapshot!(narrow, @r"
    straw 23
    straw 24
    straw 25
    straw 26
    straw 27
    straw 28
    straw 29
    straw 30

    • There is a needle in line 7, and
      another needle in the barn over there.
    3/3 · / find · ⏎ fold · y copy · q close
    ");
}

#[test]
fn it_is_scrolled_by_rows_and_pages_from_end_to_end() {
    let stage = story();
    let mut pager = Pager::new();
    let end = stage.draw(&mut pager, 80, 12);
    stage.press(&mut pager, "g");
    let start = stage.draw(&mut pager, 80, 12);
    assert!(start.starts_with("› find the needle\n\n• Ran cat haystack\nstraw 1\n"), "{start}");
    for _ in 0..100 {
        stage.press(&mut pager, "↓");
    }
    assert_eq!(stage.draw(&mut pager, 80, 12), end);
    stage.press(&mut pager, "bbbbbbbb");
    assert_eq!(stage.draw(&mut pager, 80, 12), start);
    let mut seen = String::new();
    for _ in 0..5 {
        seen += &stage.draw(&mut pager, 80, 12);
        stage.press(&mut pager, " ");
    }
    for n in 1..=30 {
        assert!(seen.contains(&format!("straw {n}\n")), "{n}\n{seen}");
    }
}

#[test]
fn what_comes_is_followed_only_at_the_end() {
    let mut stage = story();
    let mut pager = Pager::new();
    stage.draw(&mut pager, 80, 12);
    stage.said("news");
    assert!(stage.draw(&mut pager, 80, 12).contains("• news"));
    stage.press(&mut pager, "g");
    let before = stage.draw(&mut pager, 80, 12);
    stage.said("more news");
    assert_eq!(stage.draw(&mut pager, 80, 12), before.replace("/4 ", "/5 "));
    stage.press(&mut pager, "G");
    assert!(stage.draw(&mut pager, 80, 12).contains("• more news"));
}

#[test]
fn a_cell_is_folded_and_unfolded_and_so_are_all() {
    let stage = story();
    let mut pager = Pager::new();
    stage.draw(&mut pager, 80, 24);
    stage.press(&mut pager, "K⇥");
    let folded = stage.draw(&mut pager, 80, 24);
    assert!(folded.starts_with("› find the needle\n\n• Ran cat haystack +30\n\n• There is"), "{folded}");
    stage.press(&mut pager, "⏎");
    assert!(stage.draw(&mut pager, 80, 24).contains("straw 30"));
    stage.press(&mut pager, "f");
    let narrow = stage.draw(&mut pager, 40, 12);
    assert_eq!(narrow.lines().filter(|line| line.contains('+')).count(), 2, "{narrow}");
    stage.press(&mut pager, "F");
    assert!(stage.draw(&mut pager, 80, 24).contains("straw 30"));
}

#[test]
fn a_search_counts_steps_wraps_and_unfolds() {
    let stage = story();
    let mut pager = Pager::new();
    stage.draw(&mut pager, 40, 12);
    stage.press(&mut pager, "f/NEEDLEx⌫");
    assert!(stage.draw(&mut pager, 40, 12).ends_with("\nno match /NEEDLE"));
    stage.press(&mut pager, "⎋/needle");
    let typed = stage.draw(&mut pager, 40, 12);
    assert!(typed.ends_with("\n1/3 /needle"), "{typed}");
    stage.press(&mut pager, "⏎n");
    let second = stage.draw(&mut pager, 40, 12);
    assert!(second.contains("n N 2/3") && second.contains("needle in line 7"), "{second}");
    stage.press(&mut pager, "nn");
    assert!(stage.draw(&mut pager, 40, 12).contains("n N 1/3"));
    stage.press(&mut pager, "N");
    assert!(stage.draw(&mut pager, 40, 12).contains("n N 3/3"));
    // A row ends between these words.
    stage.press(&mut pager, "⎋/needle in the barn over there");
    let narrow = stage.draw(&mut pager, 24, 12);
    assert!(narrow.ends_with("\n1/1 /he barn over there"), "{narrow}");
    let page = pager.draw(Size { columns: 24, rows: 12 }, &stage.look());
    let marked: String = page.rows[..11]
        .iter()
        .flat_map(|row| &row.spans)
        .filter(|span| span.style.add_modifier.contains(Modifier::REVERSED))
        .map(|span| span.content.as_ref())
        .collect();
    assert_eq!(marked.replace(' ', ""), "needleinthebarnoverthere");
}

#[test]
fn of_a_long_session_only_what_is_seen_is_laid_out() {
    let mut stage = Stage::new();
    for n in 0..1000 {
        stage.ran(&format!("seq {n}"), "one\ntwo\n");
    }
    let mut pager = Pager::new();
    assert!(stage.draw(&mut pager, 80, 24).contains("Ran seq 999"));
    assert!(pager.laid.cells() < 20, "{}", pager.laid.cells());
    stage.press(&mut pager, "/seq 5");
    assert!(stage.draw(&mut pager, 80, 24).contains("1/111 /seq 5"));
    stage.press(&mut pager, "⏎N");
    assert!(stage.draw(&mut pager, 80, 24).contains("Ran seq 599"));
}

#[test]
fn a_message_that_comes_in_pieces_is_laid_out_as_when_it_is_whole() {
    let text = "A *first* paragraph that is longer than a row of forty columns.\n\n- one\n- two\n\n```sh\nls\n```\nend";
    let mut stage = Stage::new();
    stage.fact(serde_json::json!({"type": "turn_started", "turn": 1}));
    stage.fact(serde_json::json!({"type": "response_started", "response": 1}));
    let mut pager = Pager::new();
    for char in text.chars() {
        stage.transcript.delta(&Delta::Text { response: ResponseId(1), text: char.to_string() });
        stage.draw(&mut pager, 40, 24);
    }
    let streamed = stage.draw(&mut pager, 40, 24);
    stage.said(text);
    assert_eq!(stage.draw(&mut pager, 40, 24), streamed);
    assert_eq!(stage.draw(&mut Pager::new(), 40, 24), streamed);
}

#[test]
fn the_text_of_a_cell_is_copied_as_it_was_written() {
    let stage = story();
    let mut pager = Pager::new();
    stage.draw(&mut pager, 40, 12);
    let said = "There is a **needle** in line 7, and another needle in the barn over there.";
    assert_eq!(stage.press(&mut pager, "y"), [Action::Copy(said.into())]);
    let copied = stage.press(&mut pager, "Ky");
    assert!(
        matches!(&copied[..], [Action::Copy(text)] if text.starts_with("$ cat haystack\nstraw 1\n")),
        "{copied:?}"
    );
}

#[test]
fn an_output_that_was_cut_is_opened_whole() {
    let mut stage = Stage::new();
    let blob = "ab".repeat(32);
    stage.result(&serde_json::json!({"type": "command", "command": "yes", "workdir": "/w", "exit": 0, "duration_ms": 5,
        "output": {"head": "y\ny\n", "tail": "y\n", "lines": 500_000_000, "bytes": 1_000_000_000, "blob": blob}}));
    let mut pager = Pager::new();
    let drawn = stage.draw(&mut pager, 80, 24);
    assert!(drawn.contains("o opens all of its output, 1.0 GB"), "{drawn}");
    let reaction = pager.key(Key::new(KeyCode::Char('o'), KeyModifiers::NONE), &stage.look());
    let Reaction::Open(mut output) = reaction else { panic!() };
    assert_eq!(output.wants(&stage.look()).len(), 1);
}
