//! What a person does to a process by hand: type into it, end it.

use crate::protocol::{Command, Fact, Level, Rejection};
use crate::shell::ShellError;

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
