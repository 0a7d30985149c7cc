//! What jobs tell the harness, and what becomes of it.

use tokio::task::{Id, JoinError};

use crate::context::{compact::Summary, skills};
use crate::model::ModelError;
use crate::protocol::{
    BlobId, CallId, Content, Delta, Fact, Item, Level, Moment, Price, ProcessId, ResponseId, ResponseOutcome,
    Restore, Seq, Shown, TurnId, Usage,
};
use crate::session::ProcessState;
use crate::shell::{Exit, Seen, ShellError};
use crate::snapshot::{Done, Taken};
use crate::tools::{Output, ToolError};

use super::{Harness, border};

/// What a job tells the harness.
#[derive(Debug)]
pub(super) enum Work {
    Delta(Delta),
    /// A whole item of an answer.
    Item {
        response: ResponseId,
        item: Item,
    },
    /// Something about an answer that a person should know.
    Note {
        text: String,
    },
    /// An answer could not be had, and is asked for again.
    Retrying {
        response: ResponseId,
        note: String,
    },
    Answered {
        response: ResponseId,
        ending: Ending,
    },
    /// A summary of the conversation, or why there is none.
    Summed {
        /// The fact that it was begun.
        at: Seq,
        summary: Summary,
    },
    Ran {
        call: CallId,
        result: Result<Output, ToolError>,
    },
    /// The command that has to pass has ended, or could not be run.
    Verified {
        /// The fact that it began.
        at: Seq,
        seen: Result<Seen, ShellError>,
    },
    /// A state of the workspace was kept.
    Snapped {
        turn: TurnId,
        moment: Moment,
        result: Result<Taken, String>,
    },
    /// Files were put back.
    PutBack {
        restore: Restore,
        result: Result<(Done, Taken), String>,
    },
}

/// How an answer ended.
#[derive(Debug)]
pub(super) enum Ending {
    Completed {
        usage: Option<Usage>,
    },
    /// Lost after a whole call had come.
    Cut {
        error: ModelError,
    },
    Failed {
        error: ModelError,
    },
}

impl Ending {
    /// The same, with what it cost.
    pub(super) fn priced(mut self, price: Option<Price>) -> Self {
        let usage = match &mut self {
            Self::Completed { usage } => usage,
            Self::Cut { error } | Self::Failed { error } => &mut error.usage,
        };
        if let Some(usage) = usage {
            usage.cost = usage.cost.or(price.map(|price| price.of(usage)));
        }
        self
    }
}

impl Harness {
    pub(super) fn take(&mut self, work: Work) {
        match work {
            Work::Delta(delta) => self.fanout.delta(delta),
            Work::Note { text } => self.record(vec![Fact::Noted { level: Level::Warning, text }]),
            Work::Item { response, item } if self.awaits(response) => {
                let item = self.with_fresh_call(item);
                if let Err(why) = self.try_record(vec![Fact::item(item)]) {
                    self.fail(response, "provider", format!("the model's answer can't be recorded: {why}"));
                }
            }
            Work::Retrying { response, note } if self.awaits(response) => {
                self.fanout.delta(Delta::Restarted { response });
                self.record(vec![Fact::Noted { level: Level::Warning, text: note }]);
            }
            Work::Answered { response, ending } if self.awaits(response) => self.answered(response, ending),
            Work::Summed { at, summary } => self.summed(at, &summary),
            Work::Ran { call, result } => self.ran(&call, result),
            Work::Verified { at, seen } => self.verified(at, seen),
            Work::Snapped { turn, moment, result } => self.snapped(turn, moment, result),
            Work::PutBack { restore, result } => self.was_put_back(&restore, result),
            // Of an answer that was interrupted meanwhile: it has been closed already.
            Work::Item { .. } | Work::Retrying { .. } | Work::Answered { .. } => {}
        }
    }

    pub(super) fn joined(&mut self, job: Result<(Id, Work), JoinError>) {
        match job {
            Ok((id, work)) => {
                self.calls.remove(&id);
                self.take(work);
            }
            Err(error) => {
                let Some(call) = self.calls.remove(&error.id()) else { return };
                if error.is_panic() {
                    let text = "the tool crashed; this is a bug of the agent, and not of the call";
                    self.ran(&call, Err(ToolError(text.to_owned())));
                }
            }
        }
    }

    pub(super) fn exited(&mut self, exit: Exit) {
        if self.runs(exit.process) {
            self.record(vec![ended(exit)]);
        } else {
            // Its call is not over, and will say first that there is such a process.
            self.early.insert(exit.process, exit);
        }
    }

    fn runs(&self, process: ProcessId) -> bool {
        self.session.processes.get(&process).is_some_and(|known| known.state == ProcessState::Running)
    }

    fn awaits(&self, response: ResponseId) -> bool {
        self.session.turn.as_ref().is_some_and(|turn| turn.response == Some(response))
    }

    fn answered(&mut self, response: ResponseId, ending: Ending) {
        let mut facts = Vec::new();
        let (outcome, usage) = match ending {
            Ending::Completed { usage } => (ResponseOutcome::Completed, usage),
            Ending::Cut { error } => {
                facts.push(Fact::Noted { level: Level::Warning, text: error.message });
                (ResponseOutcome::Cut, error.usage)
            }
            Ending::Failed { error } if let Some(settings) = self.instead(&error) => {
                let text = format!(
                    "{error}; going on with {}, as `fallback` says. What the model before had thought is not told to this \
                     one; /model changes it back",
                    settings.model
                );
                facts.push(Fact::Noted { level: Level::Warning, text });
                facts.push(Fact::Configured { settings });
                (ResponseOutcome::Cut, error.usage)
            }
            Ending::Failed { error } => {
                let kind = error.kind.as_str().to_owned();
                (ResponseOutcome::Failed { kind, message: error.message }, error.usage)
            }
        };
        let unpriced = self.session.asked_provider();
        let usage = usage.map(|usage| Usage { unpriced: usage.unpriced || unpriced, ..usage });
        facts.push(Fact::ResponseFinished { response, outcome, usage });
        self.record(facts);
        self.explain_miss();
    }

    fn ran(&mut self, call: &CallId, result: Result<Output, ToolError>) {
        if self.session.call(call).is_none() {
            // It was interrupted meanwhile, and has its result. A process that nobody was told of goes.
            if let Ok(Output { shown: Shown::Command { process: Some(process), .. }, .. }) = &result
                && !self.runs(*process)
            {
                let (shell, process) = (self.shell.clone(), *process);
                tokio::spawn(async move { shell.kill(process).await });
            }
            return;
        }
        let output = border::result(self.shell.secrets(), result).unwrap_or_else(|ToolError(text)| Output {
            content: vec![Content::text(text.clone())],
            shown: Shown::failure(text),
            blobs: Vec::new(),
        });
        for (blob, bytes) in &output.blobs {
            if let Err(error) = self.keep(blob, bytes) {
                return self.record(vec![refusal(call, error)]);
            }
        }
        let mut facts = Vec::new();
        let mut exit = None;
        if let Shown::Command { process: Some(process), command, .. } = &output.shown
            && !self.runs(*process)
        {
            facts.push(started(*process, call, command));
            exit = self.early.remove(process);
        }
        let Output { mut content, shown, .. } = output;
        if matches!(shown, Shown::Skill { .. }) {
            // One that was called for beside this one may be there as well, and not yet in its place.
            let all: Vec<_> =
                self.session.items.iter().chain(self.session.waiting_results()).cloned().collect();
            if let Some(known) = skills::repeated(&all, &content) {
                content = vec![Content::text(known)];
            }
        }
        facts.push(Fact::item(Item::ToolResult { call: call.clone(), content, shown }));
        facts.extend(exit.map(ended));
        if let Err(why) = self.try_record(facts) {
            self.record(vec![refusal(call, format!("it was done, but its result can't be recorded: {why}"))]);
        }
    }

    fn keep(&self, blob: &BlobId, bytes: &[u8]) -> Result<(), String> {
        self.blobs.put(blob, bytes).map_err(|error| format!("the result can't be kept: {error}"))
    }

    /// A call whose id was used before gets another one: each call has exactly one result.
    fn with_fresh_call(&mut self, mut item: Item) -> Item {
        if let Item::ToolCall { call, .. } = &mut item {
            let given = call.clone();
            let mut copy = 1;
            while self.session.called.contains(call) {
                copy += 1;
                *call = CallId(format!("{given}_{copy}"));
            }
        }
        item
    }
}

fn started(process: ProcessId, call: &CallId, command: &str) -> Fact {
    Fact::ProcessStarted { process, call: call.clone(), command: command.to_owned() }
}

fn ended(Exit { process, code, blob }: Exit) -> Fact {
    Fact::ProcessExited { process, exit: code, output: blob }
}

/// The result of a call that did not run.
pub(super) fn refusal(call: &CallId, reason: String) -> Fact {
    Fact::item(Item::ToolResult {
        call: call.clone(),
        content: vec![Content::text(reason.clone())],
        shown: Shown::failure(reason),
    })
}
