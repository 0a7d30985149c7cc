//! Running the command that has to pass before a turn counts as done: in the sandbox, as a command of the model would.

use std::{sync::Arc, time::Duration};

use crate::protocol::{CallId, Content, Context, Fact, Item, Seq};
use crate::shell::{Launch, Look, Seen, ShellError, State, Until};
use crate::tools::{self, Output};

use super::{Harness, border, work::Work};

/// How long it may take.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Bytes of its output that the model is told: its beginning and its end.
const TOLD: usize = 12 * 1024;

impl Harness {
    /// Begins to run it.
    pub(super) fn verify(&mut self, command: String) {
        self.record(vec![Fact::VerifyStarted { command: command.clone() }]);
        if self.unwritable.is_some() {
            return;
        }
        let (at, work, shell) = (self.session.seq, self.work.clone(), self.shell.clone());
        let launch = Launch {
            command,
            workdir: self.workspace.root.clone(),
            shell: None,
            login: true,
            tty: false,
            outside: false,
        };
        let limit = usize::try_from(self.limits().tool_output.saturating_mul(4)).unwrap_or(usize::MAX);
        let look = Look {
            wait: LONGEST,
            max_bytes: TOLD.min(limit),
            sink: Arc::new(|_| {}),
            cancel: self.turn.child_token(),
            until: Until::End,
        };
        tokio::spawn(async move {
            let seen = shell.exec(launch, look).await;
            if let Ok(Seen { state: State::Running(process), .. }) = &seen {
                // It took too long, and whatever became of it is nothing that anybody waits for.
                let _ = shell.kill(*process).await;
            }
            // The harness has ended: nobody is left to care.
            let _ = work.send(Work::Verified { at, seen });
        });
    }

    /// It has ended. What did not pass is told to the model, and to the person.
    pub(super) fn verified(&mut self, at: Seq, seen: Result<Seen, ShellError>) {
        let Some(command) =
            self.session.verifying.running.clone().filter(|_| self.session.verifying.began == at)
        else {
            // It was interrupted meanwhile.
            return;
        };
        let (exit, duration_ms, output) = match seen {
            Ok(seen) => {
                let exit = match seen.state {
                    State::Exited(code) => Some(code),
                    State::Running(_) | State::Killed => None,
                };
                let duration_ms = u64::try_from(seen.wall.as_millis()).unwrap_or(u64::MAX);
                let late = matches!(seen.state, State::Running(_));
                let Output { content, .. } = tools::output(seen, &CallId::from("verify"));
                let mut text: String = content.into_iter().map(words).collect();
                if late {
                    text = format!("It was ended after {} s.\n{text}", LONGEST.as_secs());
                }
                (exit, duration_ms, text)
            }
            Err(error) => (None, 0, format!("It could not be run: {error}")),
        };
        let mut facts = Vec::new();
        if exit != Some(0) {
            let text = self.session.not_verified(&command, &border::clean(self.shell.secrets(), output));
            facts.push(Fact::item(Item::Context { context: Context::Notice, text }));
        }
        facts.insert(0, Fact::VerifyFinished { command, exit, duration_ms, stopped: false });
        if let Err(why) = self.try_record(facts.clone()) {
            let Some(finished) = facts.into_iter().next() else { return };
            let text = format!("what the command said can't be recorded: {why}");
            self.record(vec![finished, Fact::item(Item::Context { context: Context::Notice, text })]);
        }
    }
}

fn words(part: Content) -> String {
    match part {
        Content::Text { text } => text,
        Content::Image { .. } | Content::Unknown(_) => String::new(),
    }
}
