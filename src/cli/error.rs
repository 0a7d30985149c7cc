//! What went wrong, for the person at the command line: a sentence, what to do next, and an exit code.

use std::{fmt, process::ExitCode};

use crate::protocol::printable;

/// An error with its kind and advice.
#[derive(Debug)]
pub(super) struct CliError {
    pub(super) kind: Kind,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// The exit codes of the command-line contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Failed,
    Usage,
    Waiting,
    Budget,
    Auth,
    Sandbox,
    Interrupted,
    Terminated,
}

impl Kind {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Waiting => 3,
            Self::Budget => 4,
            Self::Auth => 5,
            Self::Sandbox => 6,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl CliError {
    pub(super) fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(super) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Kind::Failed, message)
    }
}

impl From<Kind> for ExitCode {
    fn from(kind: Kind) -> Self {
        Self::from(kind.code())
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both may hold words of a provider, a file or a log.
        write!(f, "agent: {}", printable(&self.message))?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", printable(hint)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CliError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_error_acts_on_the_terminal() {
        let error = CliError::failed("call \x1b[2J waits\nfor you").hint("--approve \x1b[2J");
        assert_eq!(error.to_string(), "agent: call \\u{1b}[2J waits\nfor you\nhint: --approve \\u{1b}[2J");
    }
}
