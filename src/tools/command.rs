//! What `exec_command` and `write_stdin` have in common: limits, and the texts of a result.
//!
//! The texts are those that models know, to the letter.

use std::{fmt::Write as _, time::Duration};

use super::{Output, ToolCx};
use crate::{
    protocol::{BlobId, CallId, Content, Shown},
    shell::{Answered, Captured, Look, Seen, Shot, Size, State, Until, Waiting},
};

/// What a result brings at most, unless the model or its limits say less.
const DEFAULT_TOKENS: u64 = 10_000;
const BYTES_PER_TOKEN: u64 = 4;
/// What people see of an output at first sight.
const EXCERPT: usize = 8 * 1024;

/// Milliseconds that a call may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    pub default: u32,
    pub least: u32,
    pub most: u32,
}

impl Wait {
    /// The wait that was asked for, within the limits.
    pub(super) fn of(self, asked: Option<f64>) -> Duration {
        let asked = asked.unwrap_or_else(|| f64::from(self.default));
        Duration::from_secs_f64(asked.clamp(f64::from(self.least), f64::from(self.most)) / 1000.0)
    }
}

/// The look of a call.
pub(super) fn look(cx: &ToolCx, wait: Duration, max_tokens: Option<f64>) -> Look {
    Look {
        wait,
        max_bytes: max_bytes(max_tokens, cx.output_limit),
        sink: cx.output.clone(),
        cancel: cx.cancel.clone(),
        until: Until::End,
    }
}

fn max_bytes(asked: Option<f64>, limit: u64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is out of range ends at the limits"
    )]
    let asked = asked.map_or(DEFAULT_TOKENS, |asked| asked as u64);
    let tokens = asked.min(DEFAULT_TOKENS).min(limit);
    usize::try_from(tokens * BYTES_PER_TOKEN).unwrap_or(usize::MAX)
}

/// The result of a look.
#[must_use]
pub fn output(seen: Seen, call: &CallId) -> Output {
    let content = vec![Content::text(text(&seen, call))];
    let (exit, process) = match seen.state {
        State::Running(id) => (None, Some(id)),
        State::Exited(code) => (Some(code), None),
        State::Killed => (None, None),
    };
    let shown = Shown::Command {
        output: seen.output.excerpt(EXCERPT),
        command: seen.command,
        workdir: seen.workdir,
        exit,
        process,
        duration_ms: u64::try_from(seen.wall.as_millis()).unwrap_or(u64::MAX),
    };
    Output { content, shown, blobs: Vec::new() }
}

fn text(seen: &Seen, call: &CallId) -> String {
    let mut text = String::new();
    for warning in &seen.warnings {
        // Writing to a string can't fail.
        let _ = writeln!(text, "Warning: {warning}");
    }
    text + &opening(call, seen.wall) + &state(seen)
}

/// The first lines of a result.
pub(super) fn opening(call: &CallId, wall: Duration) -> String {
    let chunk = BlobId::of(call.as_str().as_bytes()).0;
    format!("Chunk ID: {chunk:.6}\nWall time: {:.4} seconds\n", wall.as_secs_f64())
}

/// What became of one of several processes, with what the sandbox said of it.
pub(super) fn account(seen: &Seen) -> String {
    let warnings: String = seen.warnings.iter().map(|warning| format!("Warning: {warning}\n")).collect();
    warnings + &state(seen)
}

/// How a process stands, and what it has said.
fn state(seen: &Seen) -> String {
    let state = match seen.state {
        State::Running(id) => format!("Process running with session ID {id}"),
        State::Exited(code) => format!("Process exited with code {code}"),
        State::Killed => "Process was killed".to_owned(),
    };
    let mut text = format!("{state}\nOriginal token count: {}\n", tokens(seen.output.bytes));
    if let Some(waiting) = seen.waiting {
        text += match waiting {
            Waiting::Line => "Waiting for input: it reads a line from the terminal\n",
            Waiting::Secret => "Waiting for input: it reads a line that is not echoed, such as a password\n",
            Waiting::Keys => {
                "Waiting for input: it reads single keys from the terminal (a prompt, pager, menu or editor)\n"
            }
        };
    }
    if let Some(Shot { size, cursor: (row, column), .. }) = &seen.screen {
        let Size { rows, columns } = size;
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "Full-screen program: its screen of {rows} rows and {columns} columns, cursor at row {row}, column {column}"
        );
    }
    match seen.answered {
        Some(Answered::Typed) => {
            text += "The user was asked for what is not echoed, and typed it; only the process was told it\n";
        }
        Some(Answered::Left) => text += "The user was asked for it, and did not type it\n",
        None => {}
    }
    for id in &seen.pruned {
        // Writing to a string can't fail.
        let _ = writeln!(text, "Warning: too many sessions; session ID {id} was ended to make room");
    }
    text + "Output:\n" + &body(&seen.output)
}

/// The output, with a warning before it and a mark in it when it was cut.
fn body(output: &Captured) -> String {
    let kept = (output.head.len() + output.tail.len()) as u64;
    if output.bytes <= kept {
        return format!("{}{}", output.head, output.tail);
    }
    let missing = match output.dropped {
        0 => format!("Total output lines: {}", output.lines),
        dropped => format!("... {dropped} bytes omitted ..."),
    };
    format!(
        "Warning: truncated output (original token count: {})\n{missing}\n\n{}…{} tokens truncated…{}",
        tokens(output.bytes),
        output.head,
        tokens(output.bytes - kept),
        output.tail,
    )
}

fn tokens(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Excerpt, ProcessId};

    fn seen(state: State, output: Captured) -> Seen {
        Seen {
            command: "make".into(),
            workdir: "/w".into(),
            wall: Duration::from_micros(69_512),
            state,
            waiting: None,
            screen: None,
            answered: None,
            met: false,
            output,
            pruned: vec![],
            warnings: vec![],
        }
    }

    fn captured(head: &str) -> Captured {
        Captured { head: head.into(), bytes: head.len() as u64, lines: 1, ..Captured::default() }
    }

    #[test]
    fn a_result_is_the_text_that_models_know() {
        let call = CallId::from("call_1");
        let expected = "Chunk ID: 9f7049\nWall time: 0.0695 seconds\nProcess exited with code 3\nOriginal token \
                        count: 2\nOutput:\nout\nerr\n";
        let exited = seen(State::Exited(3), captured("out\nerr\n"));
        let chunk = BlobId::of(b"call_1").0;
        assert_eq!(text(&exited, &call), expected.replace("9f7049", chunk.get(..6).unwrap()));
        let running =
            Seen { pruned: vec![ProcessId(4711)], ..seen(State::Running(ProcessId(85_108)), captured("")) };
        let text = text(&running, &call);
        let (_, rest) = text.split_once("seconds\n").unwrap();
        assert_eq!(
            rest,
            "Process running with session ID 85108\nOriginal token count: 0\nWarning: too many sessions; session \
             ID 4711 was ended to make room\nOutput:\n"
        );
    }

    #[test]
    fn what_was_cut_is_said_before_and_in_the_output() {
        let cut = Captured {
            head: "head".into(),
            tail: "tail".into(),
            bytes: 8 + 4000,
            lines: 77,
            ..Captured::default()
        };
        assert_eq!(
            body(&cut),
            "Warning: truncated output (original token count: 1002)\nTotal output lines: 77\n\nhead…1000 tokens \
             truncated…tail"
        );
        let dropped = Captured { dropped: 3000, ..cut };
        assert_eq!(
            body(&dropped),
            "Warning: truncated output (original token count: 1002)\n... 3000 bytes omitted ...\n\nhead…1000 \
             tokens truncated…tail"
        );
    }

    #[test]
    fn limits_hold_whatever_the_model_asks_for() {
        for (asked, limit, expected) in [
            (None, 20_000, 40_000),
            (Some(50.0), 20_000, 200),
            (Some(90_000.0), 20_000, 40_000),
            (None, 100, 400),
            (Some(-1.0), 100, 0),
        ] {
            assert_eq!(max_bytes(asked, limit), expected, "{asked:?} {limit}");
        }
        let wait = Wait { default: 10_000, least: 250, most: 30_000 };
        for (asked, expected) in
            [(None, 10_000), (Some(1.0), 250), (Some(-5.0), 250), (Some(300.5), 300), (Some(1e9), 30_000)]
        {
            assert_eq!(wait.of(asked).as_millis(), expected, "{asked:?}");
        }
    }

    #[test]
    fn people_see_the_state_and_an_excerpt() {
        let output = output(seen(State::Exited(0), captured("hello\n")), &CallId::from("c"));
        let Shown::Command { exit, process, duration_ms, output, .. } = output.shown else { panic!() };
        assert_eq!((exit, process, duration_ms), (Some(0), None, 69));
        assert_eq!(output, Excerpt { head: "hello\n".into(), lines: 1, bytes: 6, ..Excerpt::default() });
    }
}
