//! Calls of tools: judged, then run.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
};

use crate::policy::{self, Judgement};
use crate::protocol::{By, CallId, Delta, Effects, Fact, Intent, Limits};
use crate::session::{Call, CallState};
use crate::tools::{OutputSink, ToolCx};

use super::{Harness, disk::Disk, work::Work};

impl Harness {
    /// Finds out what a call would do, and whether it may.
    pub(super) fn judge(&mut self, id: &CallId) {
        self.read_rules();
        let Some(call) = self.session.call(id) else { return };
        // A bug of a tool costs its call, and not the session.
        let judged = catch_unwind(AssertUnwindSafe(|| self.judgement(call)));
        let fact = judged.unwrap_or_else(|_| {
            refused(
                id,
                "looking at what it would do crashed; this is a bug of the agent, and not of the call",
            )
        });
        if let Err(why) = self.try_record(vec![fact]) {
            self.record(vec![refused(id, format!("what it would do can't be recorded: {why}"))]);
        }
    }

    fn judgement(&self, call: &Call) -> Fact {
        let id = &call.id;
        match self.tools.get(&call.tool).map(|tool| tool.intent(&call.args, &self.workspace)) {
            None => refused(id, format!("unsupported call: {}", call.tool)),
            Some(Err(error)) => refused(id, error.0),
            Some(Ok(intent)) => match policy::judge(&intent, &self.policy(), &self.session.rules) {
                Judgement::Allow(by) => Fact::CallAllowed { call: id.clone(), by, intent },
                Judgement::Ask { reason } => {
                    let policy = self.policy();
                    let grants = policy::proposals(&intent, &policy);
                    let effects = self.effects(&intent, &policy.roots);
                    Fact::ApprovalRequested { call: id.clone(), intent, reason, grants, effects }
                }
                Judgement::Refuse { reason } => refused(id, reason),
            },
        }
    }

    /// What a command would touch, for the person who is asked.
    fn effects(&self, intent: &Intent, roots: &[PathBuf]) -> Option<Box<Effects>> {
        let Intent::Command { command, workdir, escalated, .. } = intent else { return None };
        let disk = Disk::new(self.shell.surroundings(*escalated), &self.workspace.root);
        Some(Box::new(policy::effects::of(command, workdir, roots, &disk)))
    }

    /// Lets an allowed call begin. That it does is on the disk before it does.
    pub(super) fn run_call(&mut self, id: &CallId) {
        let Some(call) = self.session.call(id) else { return };
        let (tool, args) = (self.tools.get(&call.tool).cloned(), call.args.clone());
        self.record(vec![Fact::ToolStarted { call: id.clone() }]);
        if self.unwritable.is_some() {
            return;
        }
        let intent = self.session.call(id).and_then(|call| match &call.state {
            CallState::Running { intent, .. } => Some(intent.clone()),
            _ => None,
        });
        let (Some(tool), Some(intent)) = (tool, intent) else {
            // It was allowed by a version that had such a tool.
            return self.record(vec![super::work::refusal(id, "unsupported call".to_owned())]);
        };
        let cx = ToolCx {
            call: id.clone(),
            workspace: self.workspace.widened(&intent),
            shell: self.shell.clone(),
            output: self.output_sink(id),
            cancel: self.turn.child_token(),
            output_limit: self.limits().tool_output,
        };
        let call = id.clone();
        let job = self.jobs.spawn(async move {
            let result = tool.run(&args, cx).await;
            Work::Ran { call, result }
        });
        self.calls.insert(job.id(), id.clone());
    }

    fn output_sink(&self, call: &CallId) -> OutputSink {
        if !self.deltas {
            return Arc::new(|_| {});
        }
        let (fanout, call) = (self.fanout.clone(), call.clone());
        Arc::new(move |text| fanout.delta(Delta::Output { call: call.clone(), text: text.to_owned() }))
    }

    pub(super) fn limits(&self) -> Limits {
        let fallback = Limits { window: 128_000, tool_output: 10_000 };
        self.session.settings.as_ref().map_or(fallback, |settings| settings.limits)
    }
}

fn refused(call: &CallId, reason: impl Into<String>) -> Fact {
    Fact::CallRefused { call: call.clone(), by: By::Policy, reason: reason.into() }
}
