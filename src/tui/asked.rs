//! What a question to the person is about, and which of those that wait comes first.

use crate::protocol::{CallId, Command, RequestId, Verdict};
use crate::session::Session;

/// A call, or a host that a running command wants to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Call(CallId),
    Host(RequestId),
}

impl Asked {
    /// The one to be shown: the one that is, as long as it waits. Hosts come before calls, since a connection does not
    /// wait for ever.
    pub(super) fn first(session: &Session, shown: Option<&Self>) -> Option<Self> {
        let all: Vec<Self> = Self::all(session).collect();
        shown.filter(|shown| all.contains(shown)).or(all.first()).cloned()
    }

    /// How many wait.
    pub(super) fn count(session: &Session) -> usize {
        Self::all(session).count()
    }

    fn all(session: &Session) -> impl Iterator<Item = Self> {
        let hosts = session.hosts_asked().map(|question| Self::Host(question.request));
        hosts.chain(session.asked().map(|call| Self::Call(call.id.clone())))
    }

    /// The answer, as a command.
    pub(super) fn decide(self, verdict: Verdict) -> Command {
        match self {
            Self::Call(call) => Command::Decide { call, verdict },
            Self::Host(request) => Command::DecideHost { request, verdict },
        }
    }
}

#[cfg(test)]
impl From<&str> for Asked {
    fn from(call: &str) -> Self {
        Self::Call(call.into())
    }
}
