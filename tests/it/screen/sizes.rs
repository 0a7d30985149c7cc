//! Much at once: many changes of the size, a large paste.

use serde_json::Value;

use super::terminal::{Place, Screen};
use crate::support::mock::{Gate, Mock, Step};

/// An answer of short paragraphs, four of which come with each gate.
pub fn gated(gates: &[Gate]) -> Step {
    // One paragraph is one delta; three events come before the first.
    let text: String = (0..gates.len() * 4 + 4).map(|n| format!("Line {n:03}.\n\n")).collect();
    let step = Step::text(text).chunk("Line 000.\n\n".len());
    gates.iter().enumerate().fold(step, |step, (at, gate)| step.gate(3 + 4 * (at + 1), gate))
}

#[test]
fn fifty_resizes_during_a_stream_leave_every_line_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gates: Vec<Gate> = (0..50).map(|_| Gate::new()).collect();
    let mock = runtime.block_on(Mock::start([gated(&gates)]));
    let mut screen = Screen::start(Place::served(&mock.base_url()), &["go"]);
    screen.shows("Line 003.");
    for (at, gate) in gates.iter().enumerate() {
        // This terminal model would lose rows if it got lower; a real multiplexer does that in `tmux.rs`.
        screen.resize(u16::try_from(40 + at * 37 % 100).unwrap(), 24);
        gate.open();
        screen.shows(&format!("Line {:03}.", at * 4 + 7));
    }
    screen.shows("Worked for");
    let rows = screen.leave();
    for n in 0..204 {
        let line = format!("Line {n:03}.");
        assert_eq!(rows.matches(&line).count(), 1, "{line}\n{rows}");
    }
    assert_eq!(rows.matches("› go").count(), 1, "{rows}");
}

#[test]
fn a_paste_of_a_megabyte_is_a_label_here_and_whole_at_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mock = runtime.block_on(Mock::start([Step::text("read")]));
    let place = Place::served(&mock.base_url());
    let mut screen = Screen::start(place, &["-c", "models.m.window=4000000"]);
    screen.shows("›");
    let mut text: String =
        (0..).map(|n| format!("{n}: \"ünï\" 漢字 🎉 \\ and so on\n")).take(30_000).collect();
    text.push_str("the end");
    assert!(text.len() > 1 << 20);
    screen.press(&format!("\x1b[200~{}\x1b[201~", text.replace('\n', "\r")));
    screen.shows("[Pasted 30001 lines #1]");
    screen.press("\r");
    screen.shows("read");
    let request = runtime.block_on(mock.request(1));
    let input = request.body["input"].as_array().unwrap();
    let said = |item: &Value| item["content"][0]["text"].as_str().is_some_and(|said| said == text);
    assert!(input.iter().any(said), "the model did not see what was pasted");
    screen.leave();
}

#[test]
fn an_answer_of_20000_deltas_is_drawn_in_at_most_60_frames_a_second() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let text: String =
        (0..20_000).map(|n| if n % 40 == 39 { "end.\n\n".to_owned() } else { format!("w{n:05} ") }).collect();
    let mock = runtime.block_on(Mock::start([Step::text(text).chunk(6)]));
    let mut screen = Screen::start(Place::served(&mock.base_url()), &["go"]);
    screen.shows("Worked for");
    // Each frame is one synchronized update, and its end comes with its write.
    let frames = screen.frames();
    let (first, last) = (frames[0], frames[frames.len() - 1]);
    let most = (last - first).as_secs_f64() * 60.0;
    // What was written together may be read together: some frames seem later than they were.
    assert!((frames.len() as f64) < most + 15.0, "{} frames in {:?}", frames.len(), last - first);
    let rows = screen.leave();
    assert_eq!(rows.matches("end.").count(), 500);
}
