//! Asking a person for what a process wants typed and does not echo.
//!
//! What is typed goes to the process. Nobody else is told it, the model least of all.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::protocol::ProcessId;

/// What whoever can reach a person is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A person is to be asked; the answer is for [`super::Shell::answer`].
    Begun {
        process: ProcessId,
        command: String,
        /// What the process said last.
        prompt: String,
    },
    /// The process does not wait for it any more, or nobody waits for the process.
    Over { process: ProcessId },
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// They typed it.
    Typed,
    /// They left it to whoever looks at the process.
    Left,
}

/// Where a process is with its person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Unasked,
    Asked,
    Answered(Answered),
}

/// A process's way to the person, if there is one.
pub(super) struct Asking {
    process: ProcessId,
    person: Option<mpsc::UnboundedSender<Ask>>,
    stand: watch::Sender<Stand>,
}

/// The question, for as long as somebody looks at the process.
pub(super) struct Question {
    asking: Arc<Asking>,
    answers: watch::Receiver<Stand>,
}

impl Asking {
    pub(super) fn new(process: ProcessId, person: Option<mpsc::UnboundedSender<Ask>>) -> Arc<Self> {
        Arc::new(Self { process, person, stand: watch::Sender::new(Stand::Unasked) })
    }

    /// Asks. Not when there is nobody, when they are asked already, or when they did not want to and the process has
    /// said nothing since.
    pub(super) fn begin(self: &Arc<Self>, command: &str, prompt: String) -> Option<Question> {
        let person = self.person.as_ref()?;
        let begun = self.stand.send_if_modified(|stand| {
            let begins = matches!(*stand, Stand::Unasked | Stand::Answered(Answered::Typed));
            if begins {
                *stand = Stand::Asked;
            }
            begins
        });
        if !begun {
            return None;
        }
        let answers = self.stand.subscribe();
        let ask = Ask::Begun { process: self.process, command: command.to_owned(), prompt };
        // Nobody listens any more when the session is over, and then nobody looks either.
        drop(person.send(ask));
        Some(Question { asking: Arc::clone(self), answers })
    }

    /// The person has answered. Whether they were asked.
    pub(super) fn answered(&self, answer: Answered) -> bool {
        self.stand.send_if_modified(|stand| {
            let asked = *stand == Stand::Asked;
            if asked {
                *stand = Stand::Answered(answer);
            }
            asked
        })
    }

    /// The process has said something: what comes is another question.
    pub(super) fn went_on(&self) {
        self.stand.send_if_modified(|stand| {
            let left = *stand == Stand::Answered(Answered::Left);
            if left {
                *stand = Stand::Unasked;
            }
            left
        });
    }
}

impl Question {
    /// The answer. Safe to cancel.
    pub(super) async fn answer(&mut self) -> Answered {
        loop {
            if let Stand::Answered(answer) = *self.answers.borrow_and_update() {
                return answer;
            }
            if self.answers.changed().await.is_err() {
                // The sender lives as long as this does.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let over = self.asking.stand.send_if_modified(|stand| {
            let asked = *stand == Stand::Asked;
            if asked {
                *stand = Stand::Unasked;
            }
            asked
        });
        if over && let Some(person) = &self.asking.person {
            drop(person.send(Ask::Over { process: self.asking.process }));
        }
    }
}
