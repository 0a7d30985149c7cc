//! Long answers in small pieces, to finished rows: what a stream costs beside the terminal.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may say so by panicking")]

use agent::{
    protocol::{Content, Delta, Event, Fact, Item, ResponseId, Seq, Shown},
    tui::{text::Markdown, theme::Theme, transcript::Transcript},
};
use divan::{Bencher, black_box};

/// Deltas of four characters.
const DELTAS: usize = 20_000;

fn main() {
    divan::main();
}

const SHAPES: [&str; 5] = ["paragraphs", "endless paragraph", "code", "list", "table"];

fn answer(shape: &str) -> String {
    let words = "abc def ghi jkl ";
    let (before, unit) = match shape {
        "paragraphs" => ("", words.repeat(7) + "abc def ghi j\n\n"),
        "endless paragraph" => ("", words.to_owned()),
        "code" => ("```rust\n", "let ".to_owned() + &words.repeat(5) + "= \"1\" + 23;\n"),
        "table" => ("| a | b |\n|---|---|\n", "| abc def | ghi jkl mno pqr |\n".to_owned()),
        _ => ("", "- ".to_owned() + &words.repeat(7) + "abc def ghi j\n"),
    };
    let mut text = before.to_owned();
    while text.len() < 4 * DELTAS {
        text.push_str(&unit);
    }
    text.truncate(4 * DELTAS);
    text
}

fn deltas(text: &str) -> Vec<&str> {
    (0..text.len() / 4).map(|at| text.get(4 * at..4 * at + 4).unwrap()).collect()
}

/// Rows are taken after each delta.
#[divan::bench(args = SHAPES)]
fn finished(bencher: Bencher<'_, '_>, shape: &str) {
    let (text, theme) = (answer(shape), Theme::ansi());
    let deltas = deltas(&text);
    bencher.bench(|| {
        let mut markdown = Markdown::with_margin("• ");
        let mut rows = 0;
        for delta in &deltas {
            markdown.push(delta);
            rows += markdown.finished(220, &theme).len();
        }
        markdown.end();
        rows + markdown.finished(220, &theme).len()
    });
}

/// As it comes: through the transcript, which is drawn after every twentieth delta.
#[divan::bench(args = SHAPES)]
fn drawn(bencher: Bencher<'_, '_>, shape: &str) {
    let (text, theme) = (answer(shape), Theme::ansi());
    let deltas: Vec<Delta> = deltas(&text)
        .iter()
        .map(|text| Delta::Text { response: ResponseId(1), text: (*text).to_owned() })
        .collect();
    let whole = event(1, Item::Assistant { id: None, text, partial: false });
    bencher.bench(|| {
        let mut transcript = Transcript::new();
        let mut rows = 0;
        for (index, delta) in deltas.iter().enumerate() {
            transcript.delta(delta);
            if index % 20 == 0 {
                rows += transcript.take_finished(220, &theme).len();
                rows += transcript.live(220, 40, &theme, 0).len();
            }
        }
        transcript.apply(&whole);
        rows + transcript.take_finished(220, &theme).len()
    });
}

/// A session with a thousand calls, from its facts to its rows.
#[divan::bench]
fn resume(bencher: Bencher<'_, '_>) {
    let theme = Theme::ansi();
    let output: String = (0..200).map(|line| format!("{line}: some output of a command\n")).collect();
    let mut events = Vec::new();
    for number in 0..1000u64 {
        let call = format!("call_{number}").as_str().into();
        let shown = serde_json::json!({"type": "command", "command": "cargo test", "workdir": "/w", "exit": 0,
            "duration_ms": 10, "output": {"head": output, "lines": 200, "bytes": output.len()}});
        let shown: Shown = serde_json::from_value(shown).unwrap();
        events.push(event(
            3 * number,
            Item::Assistant { id: None, text: "I *look* at it.".into(), partial: false },
        ));
        events.push(event(3 * number + 1, Item::ToolResult { call, content: vec![], shown }));
        events.push(event(3 * number + 2, Item::User { content: vec![Content::text("go on")], input: None }));
    }
    bencher.bench(|| {
        let mut transcript = Transcript::new();
        for event in &events {
            transcript.apply(black_box(event));
        }
        transcript.take_finished(220, &theme).len()
    });
}

fn event(seq: u64, item: Item) -> Event {
    Event { seq: Seq(seq), at: "2026-11-20T10:00:00Z".parse().unwrap(), fact: Fact::item(item) }
}
