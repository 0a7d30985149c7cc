//! Calls of tools: judged, then run.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
};

use crate::context::skills;
use crate::policy::{self, Judgement, Policy};
use crate::protocol::{Approval, By, CallId, Delta, Effects, Fact, Intent, Limits, SandboxMode};
use crate::sandbox;
use crate::session::{Call, CallState};
use crate::tools::{OutputSink, ToolCx};

use super::{
    Harness, border,
    disk::{self, Disk},
    work::Work,
};

/// Refusals of a kind in one turn after which nobody is asked again.
const MOST_DENIALS: usize = 3;
/// What the model is told then.
const ASKED_ENOUGH: &str = "The user has refused calls like this one three times in this turn, and is not asked again \
                            before the next message. Do not try it in another way: go on without it, or say at the end \
                            what it was needed for.";

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
        let secrets = self.shell.secrets();
        match self.tools.get(&call.tool).map(|tool| tool.intent(&call.args, &self.workspace)) {
            None => refused(id, format!("unsupported call: {}", call.tool)),
            Some(Err(error)) => refused(id, border::clean(secrets, error.0)),
            Some(Ok(intent)) => self.judged(id, intent),
        }
    }

    fn judged(&self, id: &CallId, intent: Intent) -> Fact {
        let mut policy = self.policy();
        for path in policy::own_programs(&intent, &policy) {
            if let Some(hash) = disk::hash(&path) {
                policy.scripts.insert(path, hash);
            }
        }
        if let Intent::Write { files } = &intent
            && policy.sandbox != SandboxMode::DangerFullAccess
        {
            policy.configured = sandbox::obeyed(files, &policy.roots);
        }
        let judgement = if let Some(limited) = self.limited(&intent, &policy) {
            limited
        } else if ends_own(&intent, &policy) {
            // Whoever may start something may end it.
            Judgement::Allow(By::Policy)
        } else {
            match policy::judge(&intent, &policy, &self.session.rules) {
                Judgement::Ask { .. } if self.needed_by_skill(&intent, &policy) => {
                    Judgement::Allow(By::Policy)
                }
                judged => judged,
            }
        };
        let mut effects = None;
        let judgement = match judgement {
            // Without a sandbox nothing else keeps what is lost from being lost.
            Judgement::Allow(By::Policy) if policy.watches() => {
                effects = self.effects(&intent, &policy.roots);
                let lost = effects.as_deref().and_then(|effects| policy.loss(effects));
                lost.map_or(Judgement::Allow(By::Policy), |reason| Judgement::Ask { reason })
            }
            judgement => judgement,
        };
        let secrets = self.shell.secrets();
        match judgement {
            Judgement::Allow(by) => {
                Fact::CallAllowed { call: id.clone(), by, intent: border::intent(secrets, intent) }
            }
            Judgement::Refuse { reason } => refused(id, reason),
            Judgement::Ask { .. } if self.refused_before(&intent) => refused(id, ASKED_ENOUGH),
            Judgement::Ask { reason } => {
                let grants = policy::proposals(&intent, &policy);
                let effects = effects.or_else(|| self.effects(&intent, &policy.roots));
                let intent = border::intent(secrets, intent);
                Fact::ApprovalRequested { call: id.clone(), intent, reason, grants, effects }
            }
        }
    }

    /// What the rules that limit say of a command.
    fn limited(&self, intent: &Intent, policy: &Policy) -> Option<Judgement> {
        let Intent::Command { command, workdir, .. } = intent else { return None };
        if !self.session.rules.iter().any(|rule| rule.grant.limits()) {
            return None;
        }
        let calls = policy::effects::calls(command, workdir, &self.disk(intent));
        policy::limited(&calls, &self.session.rules, policy)
    }

    /// Whether a skill that the person called for says that it needs this command, and the command stays in the sandbox: then nobody is asked
    /// who wants to be asked before everything. What leaves the sandbox is another matter, and so are rules that limit.
    fn needed_by_skill(&self, intent: &Intent, policy: &Policy) -> bool {
        let Intent::Command { command, escalated: false, shell: None, .. } = intent else { return false };
        let held = policy.sandbox == SandboxMode::ReadOnly || policy.weak.is_none();
        let careful =
            held && policy.approval == Approval::Untrusted && policy.sandbox != SandboxMode::DangerFullAccess;
        careful
            && skills::in_use(&self.session.items).iter().filter(|skill| skill.by_person).any(|skill| {
                let needs = self.surroundings.allowed_by_skill(&skill.name);
                policy::needed(&needs, command)
            })
    }

    /// Whether the person has refused the like so often in this turn that the answer is known.
    fn refused_before(&self, intent: &Intent) -> bool {
        let decided = self.session.turn.iter().flat_map(|turn| turn.decided.iter().rev());
        let alike = decided.filter(|(other, _)| policy::alike(other, intent));
        alike.take_while(|(_, allowed)| !allowed).count() >= MOST_DENIALS
    }

    /// The disk as a command would find it.
    fn disk(&self, intent: &Intent) -> Disk {
        let escalated = matches!(intent, Intent::Command { escalated: true, .. });
        let mut around = self.shell.surroundings(escalated);
        if let Intent::Command { shell: Some(shell), .. } = intent {
            around.shell.clone_from(shell);
        }
        Disk::new(around, &self.workspace.root)
    }

    /// What a command would touch, for the person who is asked.
    fn effects(&self, intent: &Intent, roots: &[PathBuf]) -> Option<Box<Effects>> {
        let Intent::Command { command, workdir, .. } = intent else { return None };
        let disk = self.disk(intent);
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
            shell: self.shell.of(id),
            output: self.output_sink(id),
            cancel: self.turn.child_token(),
            output_limit: self.limits().tool_output,
            past: self.past.clone(),
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
        self.session.limits()
    }
}

/// Whether it only ends what the agent has started. In a sandbox nothing else can be reached.
fn ends_own(intent: &Intent, policy: &Policy) -> bool {
    let escalated = matches!(intent, Intent::Command { escalated: true, .. });
    let inside = !escalated && policy.sandbox != SandboxMode::DangerFullAccess;
    policy::killed(intent).is_some_and(|all| inside || all.into_iter().all(disk::is_own_process))
}

fn refused(call: &CallId, reason: impl Into<String>) -> Fact {
    Fact::CallRefused { call: call.clone(), by: By::Policy, reason: reason.into() }
}
