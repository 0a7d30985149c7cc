//! What a person does to a process by hand: type into it, give it the line that it asks for, end it.

use crate::protocol::{Command, Fact, Hidden, Level, ProcessId, Rejection, SecretAnswer};
use crate::shell::{Ask, ShellError};

use super::Harness;

impl Harness {
    /// The fact that it was done is on the disk before it is done.
    pub(super) fn by_hand(&mut self, command: Command) {
        let (process, text) = match &command {
            Command::WriteStdin { process, text } => (*process, Some(text.clone())),
            Command::Kill { process } => (*process, None),
            _ => return,
        };
        let decided = self.session.decide(command, (self.clock)());
        let facts = match decided {
            Err(rejection) => return self.fanout.rejected(rejection),
            Ok(_) if text.is_some() && self.shell.peek(process).is_ok_and(|peek| !peek.tty) => {
                return self.fanout.rejected(Rejection::NoTerminal(process));
            }
            Ok(facts) => facts,
        };
        self.record(facts);
        if self.unwritable.is_some() {
            return;
        }
        let done = match text {
            Some(text) => self.shell.type_in(process, &text),
            None => self.shell.end(process),
        };
        self.told(process, done);
    }

    /// A process wants a person to be asked, or does not any more.
    pub(super) fn asks_person(&mut self, ask: Ask) {
        match ask {
            Ask::Begun { process, command, prompt } => {
                self.record(vec![Fact::SecretAsked { process, command, prompt }]);
            }
            Ask::Over { process } if self.session.secrets.contains_key(&process) => {
                self.record(vec![Fact::SecretAnswered { process, answer: SecretAnswer::Gone }]);
            }
            // Its end was told already.
            Ask::Over { .. } => {}
        }
    }

    /// The person has typed what a process asked for, or does not want to.
    pub(super) fn answer_secret(&mut self, process: ProcessId, line: Option<&Hidden>) {
        let command = Command::AnswerSecret { process, line: line.cloned() };
        match self.session.decide(command, (self.clock)()) {
            Err(rejection) => return self.fanout.rejected(rejection),
            Ok(facts) => self.record(facts),
        }
        if self.unwritable.is_some() {
            return;
        }
        let done = self.shell.answer(process, line.map(Hidden::expose));
        self.told(process, done);
    }

    fn told(&mut self, process: ProcessId, done: Result<(), ShellError>) {
        match done {
            // It has ended meanwhile, which is told by itself.
            Ok(()) | Err(ShellError::Unknown(_)) => {}
            Err(error) => {
                let text = format!("process {process} did not take what was typed: {error}");
                self.record(vec![Fact::Noted { level: Level::Warning, text }]);
            }
        }
    }
}
