//! The conversation as plain lines: for screen readers, and for terminals that rows can't be repainted on.
//!
//! The same facts through the same cells; only what is finished is written, once, and nothing is ever written
//! over. What goes on is told as a line of its own. No escape sequence leaves it.

use std::{
    io::{self, BufRead as _, Write as _},
    thread,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::protocol::{Delta, Event, Fact, Intent, Update, printable};

use super::{
    action::{Action, Input},
    ends::Ends,
    host::Host,
    run::{Face, Flow, Options, at, next_update, now_ms, played_on},
    surface::{Abilities, Surface},
    term::gate,
    text::link::Follow,
};

/// Rows are as long as their text: whoever shows them wraps them.
const WIDTH: u16 = 4_096;
/// Columns of what is laid out for a page.
const PAGE: u16 = 100;

/// Runs the conversation until the person leaves.
///
/// # Errors
/// When nothing can be written any more.
pub(super) async fn run<H: Host>(host: H, options: Options) -> anyhow::Result<(Option<String>, H)> {
    let abilities = Abilities { colours: false, dark: None, links: Follow::No };
    let options = Options { settings: options.settings.without_screen(), draft: None, ..options };
    let (mut face, found) = Face::new(host, options, abilities, Lines::default()).await?;
    let result = face.follow(found).await;
    let farewell = face.app.farewell();
    face.disconnect().await;
    // A terminal that is gone hears nothing any more.
    let _ = face.finished().and_then(|()| face.surface.end_prompt());
    result.map(|()| (farewell, face.host)).map_err(Into::into)
}

/// Standard output, a line at a time.
#[derive(Debug, Default)]
struct Lines {
    /// The question that was asked last, so that it is asked once.
    asked: Vec<String>,
    /// A line begins with a prompt.
    prompted: bool,
    /// Something was sent, and what comes of it is not known yet.
    sent: bool,
}

impl Lines {
    fn say(&mut self, line: &str) -> io::Result<()> {
        self.end_prompt()?;
        writeln!(io::stdout().lock(), "{}", gate(line.trim_end()))
    }

    fn end_prompt(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.prompted) { writeln!(io::stdout().lock()) } else { Ok(()) }
    }

    fn prompt(&mut self, prompt: &str) -> io::Result<()> {
        if std::mem::replace(&mut self.prompted, true) {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        write!(out, "{prompt}")?;
        out.flush()
    }
}

impl Surface for Lines {
    fn hand_over(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn take_back(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn stop(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn copy(&mut self, _text: &str) -> io::Result<&'static str> {
        Ok("copying takes an escape sequence, and none is written here")
    }

    fn clear(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn describe(&self) -> String {
        "plain lines".to_owned()
    }
}

impl<H: Host> Face<H, Lines> {
    async fn follow(&mut self, mut found: mpsc::UnboundedReceiver<Input>) -> io::Result<()> {
        let mut end = Ends::new()?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut lines = read_lines();
        self.tell()?;
        self.app.transcript.set_echoed();
        loop {
            let played = played_on(&self.app);
            let flow = tokio::select! {
                biased;
                () = end.next() => return Ok(()),
                _ = interrupt.recv() => {
                    let actions = self.app.control_c(now_ms());
                    self.all(actions).await?
                }
                Some(input) = found.recv() => self.input(input).await?,
                line = lines.recv() => match line {
                    None => return Ok(()),
                    Some(line) => {
                        // The terminal has ended the line.
                        self.surface.prompted = false;
                        if line.is_empty() {
                            self.surface.asked.clear();
                        }
                        self.line(&line).await?
                    }
                },
                update = next_update(&mut self.connection) => {
                    self.take(update)?;
                    Flow::Go
                }
                () = at(played) => self.input(Input::Tick).await?,
            };
            if flow == Flow::Quit {
                return Ok(());
            }
            self.tell()?;
        }
    }

    async fn line(&mut self, line: &str) -> io::Result<Flow> {
        let actions = self.app.line(line, now_ms());
        for text in self.app.composer.take_unsaved() {
            self.host.remember(&text);
        }
        self.all(actions).await
    }

    async fn all(&mut self, actions: Vec<Action>) -> io::Result<Flow> {
        self.surface.sent |=
            actions.iter().any(|action| matches!(action, Action::Send(_) | Action::Attach { .. }));
        self.perform(actions).await
    }

    /// Takes in an update, and all that are there already.
    fn take(&mut self, first: Option<Update>) -> io::Result<()> {
        let mut next = first;
        self.surface.sent = false;
        if next.is_none() {
            self.connection = None;
        }
        while let Some(update) = next {
            let state = announced(&update, self.app.session.turn.is_some());
            // What an update changes asks for nothing to be done.
            drop(self.app.update(Input::Update(update), now_ms()));
            self.finished()?;
            if let Some(state) = state {
                self.surface.say(&format!("[{state}]"))?;
            }
            next = self.connection.as_mut().and_then(|connection| connection.updates.ready());
        }
        Ok(())
    }

    fn finished(&mut self) -> io::Result<()> {
        for row in self.app.transcript.take_finished(WIDTH, &self.app.theme) {
            self.surface.say(&row.to_string())?;
        }
        Ok(())
    }

    /// Writes what is new, and asks for what is wanted.
    fn tell(&mut self) -> io::Result<()> {
        self.finished()?;
        if let Some(said) = self.app.take_said() {
            self.surface.say(&format!("[{}]", printable(&said)))?;
            self.surface.sent = false;
        }
        if self.surface.sent {
            return Ok(());
        }
        if let Some(place) = self.app.played() {
            return self.surface.prompt(&format!("[{place}] "));
        }
        match self.app.question(PAGE, now_ms()) {
            Some(rows) => {
                let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
                if rows != self.surface.asked {
                    rows.iter().try_for_each(|row| self.surface.say(row))?;
                    self.surface.asked = rows;
                }
                self.surface.prompt("? ")
            }
            None if self.app.session.turn.is_none() => self.surface.prompt("> "),
            None => Ok(()),
        }
    }
}

/// What begins, in a few words. What has ended tells of itself.
fn announced(update: &Update, running: bool) -> Option<String> {
    match update {
        Update::Delta(Delta::Status { text }) => Some(printable(text).into_owned()),
        Update::Event(Event { fact, .. }) => match fact {
            Fact::TurnStarted { .. } => Some("working; Ctrl-C interrupts".to_owned()),
            Fact::InputQueued { .. } if running => Some("this waits for its turn".to_owned()),
            Fact::CallAllowed { intent: Intent::Command { command, .. }, .. } => {
                Some(format!("runs: {}", printable(command.lines().next().unwrap_or_default())))
            }
            _ => None,
        },
        _ => None,
    }
}

/// What is typed, from a thread of its own: reading a line can't be broken off.
fn read_lines() -> mpsc::UnboundedReceiver<String> {
    let (told, lines) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let mut whole = String::new();
        let mut bytes = Vec::new();
        let mut input = io::stdin().lock();
        while input.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            whole.push_str(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']));
            bytes.clear();
            // As where keys are read: behind a backslash the line goes on.
            if whole.ends_with('\\') {
                whole.pop();
                whole.push('\n');
                continue;
            }
            if told.send(std::mem::take(&mut whole)).is_err() {
                return;
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_is_told_as_a_line() {
        let event = |fact| {
            Update::Event(Event { seq: crate::protocol::Seq(1), at: crate::protocol::Time::UNIX_EPOCH, fact })
        };
        let status = Update::Delta(Delta::Status { text: "waiting\u{1b}[2J".into() });
        assert_eq!(announced(&status, true).as_deref(), Some("waiting\\u{1b}[2J"));
        let started = event(Fact::TurnStarted { turn: crate::protocol::TurnId(1) });
        assert_eq!(announced(&started, false).as_deref(), Some("working; Ctrl-C interrupts"));
    }
}
