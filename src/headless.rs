//! The face without a screen: text for people and pipes, or facts as JSON lines.
//!
//! Data goes to the one stream and everything else to the other. It folds the same facts as the log does, and
//! says when the session has come to an end of its own.

use std::io::{self, Write};

use crate::protocol::{
    Connection, Content, Context, Delta, Event, Excerpt, Fact, FileOperation, HostedCall, Item, Level,
    Outcome, Passage, PatchedFile, Rejection, Shown, StepStatus, Update, grouped, printable, words,
};
use crate::session::Session;

/// Lines of a command's output that are shown.
const OUTPUT_LINES: usize = 6;

/// How facts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The answer as data, progress beside it.
    Text,
    /// Each fact as a line of JSON; with `deltas` the live parts as well, as `{"delta":…}`.
    Json { deltas: bool },
}

/// Why there is nothing more to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The turn ended, and nothing waits to be said.
    Turn(Outcome),
    /// Only a person can let it go on.
    Waiting,
    /// Only a larger budget lets it go on. How much of it was used.
    Budget(String),
    /// The session can't be written.
    Unwritable(String),
    /// The harness is gone.
    Gone,
}

/// A session as a stream of lines.
pub struct Headless<D, N> {
    form: Form,
    session: Session,
    data: D,
    notes: N,
    /// Somebody closed our end of the data; there is no reason to stop working.
    data_closed: bool,
    /// The data goes to a terminal, and nothing in it may act there.
    on_terminal: bool,
}

impl<D: Write, N: Write> Headless<D, N> {
    /// Begins after what `history` tells; that is folded and not printed.
    pub fn new(form: Form, history: &[Event], data: D, notes: N) -> Self {
        Self { form, session: Session::replay(history), data, notes, data_closed: false, on_terminal: false }
    }

    /// The same where the answer is read by a person on a terminal, and not by a program.
    #[must_use]
    pub fn on_terminal(self, on_terminal: bool) -> Self {
        Self { on_terminal, ..self }
    }

    /// What has become true so far.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Shows an update, and tells whether it was the last one to wait for.
    ///
    /// # Errors
    /// When the data can't be written, but for a reader that has gone away.
    pub fn update(&mut self, update: &Update) -> io::Result<Option<Ending>> {
        match update {
            Update::Event(event) => {
                match self.form {
                    Form::Json { .. } => self.line(event)?,
                    Form::Text => self.tell(event)?,
                }
                self.session.apply(event);
                Ok(self.ending(event))
            }
            Update::Delta(delta) => {
                if self.form == (Form::Json { deltas: true }) {
                    self.line(&serde_json::json!({ "delta": delta }))?;
                } else if let (Form::Text, Delta::Status { text }) = (self.form, delta) {
                    self.note(&format!("… {text}"))?;
                }
                Ok(None)
            }
            Update::Rejected(Rejection::Unwritable(reason)) => Ok(Some(Ending::Unwritable(reason.clone()))),
            Update::Rejected(rejection) => self.note(&format!("refused: {rejection}")).map(|()| None),
        }
    }

    fn ending(&self, event: &Event) -> Option<Ending> {
        match &event.fact {
            Fact::TurnFinished { outcome, .. } if self.session.idle() => Some(Ending::Turn(outcome.clone())),
            _ if self.session.waits_for_person() => Some(Ending::Waiting),
            _ => self.session.out_of_budget().map(|(_, reason)| Ending::Budget(reason.clone())),
        }
    }

    /// Writes the last answer as the data of a text run.
    ///
    /// # Errors
    /// When it can't be written, but for a reader that has gone away.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.form == Form::Text
            && let Some(answer) = self.session.answer()
        {
            let mut text = if self.on_terminal { printable(answer).into_owned() } else { answer.to_owned() };
            if !text.ends_with('\n') {
                text.push('\n');
            }
            self.write(text.as_bytes())?;
        }
        self.notes.flush()
    }

    fn line(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.write(&line)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.data_closed {
            return Ok(());
        }
        match self.data.write_all(bytes).and_then(|()| self.data.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.data_closed = true;
                Ok(())
            }
            written => written,
        }
    }

    /// Progress that can't be shown is no reason to stop.
    fn note(&mut self, text: &str) -> io::Result<()> {
        let _ = writeln!(self.notes, "{}", printable(text));
        Ok(())
    }

    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.fact {
            Fact::ItemAdded { item } => self.item(item),
            Fact::Noted { level, text } => self.noted(*level, text),
            Fact::ApprovalRequested { call, reason, effects, .. } => {
                self.note(&format!("? call {call} waits for your approval: {reason}"))?;
                for line in effects.iter().flat_map(|effects| effects.lines()) {
                    self.note(&format!("  {}", line.replace('\n', "\\n")))?;
                }
                Ok(())
            }
            Fact::ConnectionEnded(Connection {
                host, port, passage: Passage::Refused { reason }, ..
            }) => self.note(&format!("! {host}:{port} was refused: {reason}")),
            Fact::TurnFinished { outcome, duration_ms, .. } => {
                let usage = self.session.turn.as_ref().map(|turn| turn.usage).unwrap_or_default();
                let how = match outcome {
                    Outcome::Done => "done",
                    Outcome::Interrupted => "interrupted",
                    Outcome::Failed { message, .. } => message,
                    Outcome::Unknown => "ended",
                };
                let cost = usage.cost.map(|cost| format!(" · {cost}")).unwrap_or_default();
                self.note(&format!(
                    "{how} · {:.1} s · {} tokens in ({} cached), {} out{cost}",
                    seconds(*duration_ms),
                    grouped(usage.input),
                    grouped(usage.cached),
                    grouped(usage.output)
                ))
            }
            Fact::Rewound { to, .. } => {
                let said = self.session.said_at(*to).map(words).unwrap_or_default();
                self.note(&format!("‹ back to before: {}", said.lines().next().unwrap_or_default()))
            }
            Fact::CompactionStarted { .. } => self.note("· the conversation is being compacted …"),
            Fact::Compacted(compaction) => {
                self.note(&format!("· compacted: {}", compaction.in_words()))?;
                match &compaction.problem {
                    Some(problem) => self.note(&format!("  without a summary of the model: {problem}")),
                    None => Ok(()),
                }
            }
            Fact::CompactionFailed { problem, .. } => self.note(&format!("! not compacted: {problem}")),
            Fact::Restored { restore, count, .. } => {
                let what = match restore.turn {
                    Some(_) => "undone",
                    None if restore.left => "put back as they were left",
                    None => "redone",
                };
                self.note(&format!("‹ {what}: {count} paths"))
            }
            Fact::VerifyStarted { command } => {
                self.note(&format!("· running `{command}`, which has to pass …"))
            }
            fact => match fact.in_words() {
                Some((level, text)) => self.noted(level, &text),
                None => Ok(()),
            },
        }
    }

    fn noted(&mut self, level: Level, text: &str) -> io::Result<()> {
        let mark = match level {
            Level::Info => "·",
            Level::Warning => "!",
            Level::Error => "✗",
        };
        self.note(&format!("{mark} {text}"))
    }

    fn item(&mut self, item: &Item) -> io::Result<()> {
        match item {
            Item::User { content, .. } => {
                for part in content {
                    match part {
                        Content::Text { text } => self.note(&format!("› {}", text.replace('\n', "\n  ")))?,
                        Content::Image { width, height, mime, .. } => {
                            self.note(&format!("› [image {mime} {width}×{height}]"))?;
                        }
                        Content::Unknown(_) => self.note("› [something of a newer version]")?,
                    }
                }
                Ok(())
            }
            Item::Assistant { text, .. } => {
                self.note(&format!("• {}", text.trim_end().replace('\n', "\n  ")))
            }
            Item::Reasoning { summary, .. } => match summary.first() {
                Some(headline) => self.note(&format!("  {}", headline.lines().next().unwrap_or_default())),
                None => Ok(()),
            },
            Item::ToolResult { shown, .. } => self.note(&shape(shown)),
            // What the model is told of the person's own doings, the person is told as well.
            Item::Context { context: Context::Notice, text } => {
                self.note(&format!("· {}", text.replace('\n', "\n  ")))
            }
            Item::Sources { sources } => {
                let all: Vec<String> = sources.iter().map(|source| format!("    {source}")).collect();
                self.note(&format!("  sources:\n{}", all.join("\n")))
            }
            Item::Unknown(value) => match HostedCall::of(value) {
                Some(HostedCall { verb, what, output, failed }) => {
                    let mark = if failed { '✗' } else { '•' };
                    let head = format!("{mark} {verb} {what}").trim_end().replace('\n', "\n  ");
                    let output: Vec<String> = output
                        .lines()
                        .take(OUTPUT_LINES)
                        .map(|line| line.chars().take(400).collect())
                        .collect();
                    self.note(&indented(head, &output))
                }
                None => Ok(()),
            },
            Item::Context { .. } | Item::ToolCall { .. } | Item::Sealed { .. } => Ok(()),
        }
    }
}

/// A result in a few lines, by its shape.
fn shape(shown: &Shown) -> String {
    match shown {
        Shown::Command { command, exit, process, duration_ms, output, .. } => {
            let state = match (exit, process) {
                (Some(0), _) => String::new(),
                (Some(code), _) => format!(" · exit {code}"),
                (None, Some(process)) => format!(" · goes on as {process}"),
                (None, None) => " · lost".to_owned(),
            };
            let head = format!("$ {}{state} · {:.1} s", command.replace('\n', "\n  "), seconds(*duration_ms));
            indented(head, &excerpt(output))
        }
        Shown::Patch { files } => {
            let lines: Vec<String> = files.iter().map(file).collect();
            format!("± {}", lines.join("\n± "))
        }
        Shown::Plan { steps, .. } => {
            let steps = steps.iter().map(|step| {
                let mark = match step.status {
                    StepStatus::Pending => "☐",
                    StepStatus::InProgress => "▶",
                    StepStatus::Completed => "☑",
                };
                format!("{mark} {}", step.step)
            });
            indented("plan".to_owned(), &steps.collect::<Vec<_>>())
        }
        Shown::Image { path, width, height, .. } => format!("▣ {} {width}×{height}", path.display()),
        Shown::Goal { claim, note } => format!("◎ {}{}", claim.in_words(), note_of(note)),
        Shown::Skill { name, place } => format!("✦ skill {name} ({})", place.display()),
        Shown::Text { text } => text.clone(),
        Shown::Failure { text } => format!("✗ {}", text.replace('\n', "\n  ")),
        Shown::Unknown(_) => "(a result of a newer version)".to_owned(),
    }
}

fn note_of(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(": {}", note.replace('\n', "\n  ")) }
}

fn file(file: &PatchedFile) -> String {
    let verb = match file.operation {
        FileOperation::Add => "added",
        FileOperation::Overwrite => "overwrote",
        FileOperation::Update => "edited",
        FileOperation::Delete => "deleted",
        FileOperation::Unknown => "changed",
    };
    let to = file.moved_to.as_ref().map(|to| format!(" → {}", to.display())).unwrap_or_default();
    format!("{verb} {}{to} (+{} -{})", file.path.display(), file.added, file.removed)
}

fn excerpt(output: &Excerpt) -> Vec<String> {
    let text = if output.tail.is_empty() { &output.head } else { &output.tail };
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.len().min(OUTPUT_LINES);
    let left_out = output.lines.saturating_sub(shown as u64);
    let mut out: Vec<String> =
        lines.iter().skip(lines.len() - shown).map(|line| line.chars().take(400).collect()).collect();
    if left_out > 0 {
        out.insert(0, format!("… {left_out} lines before"));
    }
    out
}

fn indented(head: String, lines: &[String]) -> String {
    lines.iter().fold(head, |text, line| text + "\n  " + line)
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Seq, Time};

    #[test]
    fn an_answer_acts_on_no_terminal_and_goes_to_a_pipe_as_it_is() {
        let item = Item::Assistant { id: None, text: "\x1b]52;c;eA==\x07 ok".into(), partial: false };
        let history = [Event { seq: Seq(1), at: Time::UNIX_EPOCH, fact: Fact::item(item) }];
        for (on_terminal, expected) in
            [(true, "\\u{1b}]52;c;eA==\\u{7} ok\n"), (false, "\x1b]52;c;eA==\x07 ok\n")]
        {
            let mut data = Vec::new();
            let mut face =
                Headless::new(Form::Text, &history, &mut data, io::sink()).on_terminal(on_terminal);
            face.finish().unwrap();
            assert_eq!(String::from_utf8(data).unwrap(), expected);
        }
    }
}
