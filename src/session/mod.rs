//! What is true of a session, folded from its facts; what may be done; what is due.
//!
//! Pure: no IO, no clock, nothing async. The harness owns one and makes things happen; each front end folds
//! the same facts through the same code.

mod budget;
mod cache;
mod checks;
mod compaction;
mod decide;
pub mod fork;
mod goal;
mod hosts;
mod next;
mod reconcile;
mod rewind;
pub mod room;
#[cfg(test)]
mod spending_tests;
#[cfg(test)]
mod tests;
mod turn;
mod undo;
mod verify;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    path::PathBuf,
    sync::Arc,
};

use crate::protocol::{
    BlobId, By, CallId, Checked, Content, Delivery, Event, Fact, HostedCall, InputId, Item, Outcome,
    PlanStep, ProcessId, Rule, Scope, Seq, SessionId, Settings, Shown, Time, TurnId, Usage,
};

use checks::Checks;
use hosts::Hosts;

pub use budget::Spending;
pub use cache::{Cold, Missed, Why};
pub use compaction::{Compacting, Wanted};
pub use goal::Pursuit;
pub use hosts::HostQuestion;
pub use next::Step;
pub use turn::{Call, CallState, Turn};
pub use undo::{Undo, Undoable};
pub use verify::Verifying;

/// Everything that the facts so far have made true.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Session {
    pub id: Option<SessionId>,
    pub workspace: PathBuf,
    pub title: Option<String>,
    pub settings: Option<Settings>,
    /// The last fact that was folded.
    pub seq: Seq,
    /// The conversation as the model sees it. Results stand in the order of their calls.
    pub items: Arc<Vec<Arc<Item>>>,
    /// Changes whenever `items` changes otherwise than by growing at its end.
    pub epoch: u64,
    /// The turn that is going on.
    pub turn: Option<Turn>,
    /// The last turn that was started.
    pub turns: TurnId,
    /// How the last turn ended.
    pub outcome: Option<Outcome>,
    /// Messages that wait to be delivered.
    pub queue: VecDeque<Queued>,
    /// Commands that outlived their call, by the number that the model knows.
    pub processes: BTreeMap<ProcessId, Process>,
    /// Processes for which a person is asked to type what is not echoed.
    pub secrets: BTreeMap<ProcessId, SecretAsked>,
    /// What people allowed for longer than one call.
    pub rules: Vec<Rule>,
    pub plan: Vec<PlanStep>,
    /// The states of the workspace that were kept.
    pub undo: Undo,
    /// Tokens of the whole session.
    pub usage: Usage,
    /// The same by the model that was asked.
    pub spent: BTreeMap<String, Usage>,
    /// What the provider counted last of this conversation.
    pub counted: Option<Counted>,
    /// The compaction that is going on, or waits to be begun.
    pub compacting: Compacting,
    /// How often the conversation was compacted, as it stands.
    pub compactions: u32,
    /// Items that the model made and that compactions have left out.
    pub left_out: usize,
    /// Files that calls have changed, each with the fact that told so.
    pub touched: BTreeMap<PathBuf, Seq>,
    /// What may be spent, and whether it is.
    pub spending: Spending,
    /// What has to pass before a turn counts as done.
    pub verifying: Verifying,
    /// What is worked on turn after turn.
    pub goal: Option<Pursuit>,
    /// How many goals were set.
    pub goals: u32,
    /// The ids of all calls that there were.
    pub called: Arc<HashSet<CallId>>,
    /// What the conversation comes to by its size alone.
    estimated: u64,
    learnt: room::Learnt,
    /// Words of the program that came while an answer was worked off. They stand behind it.
    held: Vec<Arc<Item>>,
    /// The messages of the person in `items`, in order.
    points: Vec<Point>,
    responses: u32,
    inputs: u32,
    hosts: Hosts,
    checks: Checks,
    cache: cache::Cache,
}

/// A message that waits to be delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    pub input: InputId,
    pub content: Vec<Content>,
    pub delivery: Delivery,
}

/// A command that outlived its call.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// The call that started it.
    pub call: CallId,
    pub command: String,
    pub started: Time,
    pub state: ProcessState,
}

/// A line that a person is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretAsked {
    pub command: String,
    /// What the process said last.
    pub prompt: String,
}

/// Whether it still runs.
#[derive(Debug, Clone, PartialEq)]
pub enum ProcessState {
    Running,
    Ended { exit: Option<i32>, output: Option<BlobId>, at: Time },
}

/// The provider's count of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub usage: Usage,
    /// What the conversation came to by its size alone when this was counted, the answer included.
    estimated: u64,
}

/// A message of the person, and what was true before it.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    /// The fact that it was said.
    seq: Seq,
    said: Arc<Item>,
    /// Its place in the conversation; none where a compaction has made another one of it.
    item: Option<usize>,
    /// The turn that it began, or that it came into.
    turn: TurnId,
    /// Whether it began that turn.
    began: bool,
    plan: Vec<PlanStep>,
    counted: Option<Counted>,
    left_out: usize,
}

impl Session {
    /// Folds a whole log.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut session = Self::default();
        for event in events {
            session.apply(event);
        }
        session
    }

    /// Takes in what has become true. Can't fail: it already happened.
    pub fn apply(&mut self, event: &Event) {
        self.seq = event.seq;
        self.hosts.apply(event);
        self.cache_fact(event);
        self.check_fact(event);
        match &event.fact {
            Fact::SessionStarted { session, workspace, .. } => {
                self.id = Some(*session);
                self.workspace.clone_from(workspace);
            }
            Fact::Configured { settings } => self.configured(settings),
            Fact::Renamed { title } => self.title = Some(title.clone()),
            Fact::RulesRead { rules } => {
                self.rules.retain(|rule| rule.scope == Scope::Session);
                self.rules.extend(rules.iter().cloned());
            }
            Fact::Revoked { rule } => self.rules.retain(|known| known != rule),
            Fact::TurnStarted { turn } => {
                self.turns = *turn;
                self.outcome = None;
                self.compacting.tries = 0;
                (self.verifying.failed, self.verifying.passed) = (0, false);
                self.turn = Some(Turn::new(*turn, event.at));
                self.undo.begin(*turn);
            }
            Fact::TurnFinished { outcome, duration_ms, .. } => {
                self.turn = None;
                self.spending.reached = None;
                self.goal_turn_over(*duration_ms);
                self.outcome = Some(outcome.clone());
            }
            Fact::InputQueued { input, content, delivery } => {
                self.inputs = self.inputs.max(input.0);
                self.queue.push_back(Queued { input: *input, content: content.clone(), delivery: *delivery });
            }
            Fact::InputRetracted { input } => self.queue.retain(|queued| queued.input != *input),
            Fact::ItemAdded { item } => self.add(item),
            Fact::ResponseStarted { response } => {
                self.responses = self.responses.max(response.0);
                self.verifying.passed = false;
                if let Some(turn) = &mut self.turn {
                    turn.response = Some(*response);
                    turn.due = false;
                }
            }
            Fact::ResponseFinished { outcome, usage, .. } => {
                if let Some(usage) = usage {
                    self.usage += *usage;
                    if let Some(settings) = &self.settings {
                        *self.spent.entry(settings.model.to_string()).or_default() += *usage;
                    }
                    self.learnt.learn(room::total(*usage), self.estimated);
                    self.counted = Some(Counted { usage: *usage, estimated: self.estimated });
                }
                self.was_answered(outcome);
                let mended = self.compacting.too_long.is_some() && self.compaction_due().is_some();
                if let Some(turn) = &mut self.turn {
                    turn.answered(outcome, *usage, mended);
                }
            }
            Fact::ApprovalRequested { call, intent, reason, grants, effects } => {
                let (intent, reason) = (intent.clone(), reason.clone());
                let (grants, effects) = (grants.clone(), effects.clone());
                self.call_becomes(call, CallState::Asked { intent, reason, grants, effects });
            }
            Fact::CallAllowed { call, by, intent } => {
                self.was_decided(call, by, true);
                if let By::Person { grant: Some(grant), scope } = by {
                    self.rules.push(Rule { grant: grant.clone(), scope: *scope });
                }
                self.call_becomes(call, CallState::Allowed { intent: intent.clone() });
            }
            Fact::CallRefused { call, by, reason } => {
                self.was_decided(call, by, false);
                self.call_becomes(call, CallState::Refused { reason: reason.clone() });
            }
            Fact::ToolStarted { call } => {
                if let Some(call) = self.turn.as_mut().and_then(|turn| turn.call_mut(call)) {
                    call.start(event.at);
                }
            }
            Fact::ProcessStarted { process, command, call } => {
                let (call, command, state) = (call.clone(), command.clone(), ProcessState::Running);
                self.processes.insert(*process, Process { call, command, started: event.at, state });
            }
            Fact::SecretAsked { process, command, prompt } => {
                let asked = SecretAsked { command: command.clone(), prompt: prompt.clone() };
                self.secrets.insert(*process, asked);
            }
            Fact::SecretAnswered { process, .. } => {
                self.secrets.remove(process);
            }
            Fact::ProcessExited { process, exit, output } => {
                self.secrets.remove(process);
                if let Some(process) = self.processes.get_mut(process) {
                    process.state = ProcessState::Ended { exit: *exit, output: output.clone(), at: event.at };
                }
            }
            Fact::HostAllowed { by: By::Person { grant: Some(grant), scope }, .. } => {
                self.rules.push(Rule { grant: grant.clone(), scope: *scope });
            }
            Fact::Rewound { to, items } => self.rewound(*to, items.as_deref()),
            Fact::CompactionAsked { .. }
            | Fact::CompactionStarted { .. }
            | Fact::Compacted(_)
            | Fact::CompactionFailed { .. } => self.compaction(event.seq, &event.fact),
            Fact::SnapshotStarted { .. }
            | Fact::SnapshotTaken { .. }
            | Fact::SnapshotFailed { .. }
            | Fact::RestoreStarted { .. }
            | Fact::Restored { .. }
            | Fact::RestoreFailed { .. } => self.undo.apply(&event.fact),
            Fact::Budgeted { budget } => self.budgeted(budget, event.at),
            Fact::BudgetReached { limit, reason, hard: false } => {
                self.spending.reached = Some((*limit, reason.clone()));
            }
            Fact::VerifyWanted { verify } => self.verifying.wanted.clone_from(verify),
            Fact::VerifyStarted { command } => {
                self.verifying.running = Some(command.clone());
                self.verifying.began = event.seq;
            }
            Fact::VerifyFinished { command, exit, stopped, .. } => self.verified(command, *exit, *stopped),
            Fact::GoalSet { .. } | Fact::GoalContinued { .. } | Fact::GoalChanged { .. } => {
                self.goal_fact(&event.fact);
            }
            Fact::HostRequested { .. }
            | Fact::BudgetReached { .. }
            | Fact::Checked(_)
            | Fact::HostAllowed { .. }
            | Fact::HostRefused { .. }
            | Fact::ConnectionEnded(_)
            | Fact::Noted { .. }
            | Fact::Unknown(_) => {}
        }
        if !self.answering() {
            for item in std::mem::take(&mut self.held) {
                self.push(&item);
            }
        }
    }

    /// Whether an answer is being received or worked off: between its parts and results nothing else may stand.
    fn answering(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.response.is_some() || !turn.calls.is_empty())
    }

    /// Whether nothing is going on and nothing waits to be started.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.turn.is_none()
            && self.queue.is_empty()
            && self.undo.restoring.is_none()
            && self.compacting.asked.is_none()
            && self.compacting.running.is_none()
            && !self.pursues()
    }

    /// What was checked since files were last changed, for the end of the turn; nothing where there is nothing to say.
    #[must_use]
    pub fn checked(&self) -> Option<Checked> {
        self.checks.report()
    }

    /// Whether the provider ran tools of its own for the answer that came last.
    #[must_use]
    pub fn asked_provider(&self) -> bool {
        let answer = |item: &&Arc<Item>| {
            !matches!(***item, Item::Context { .. } | Item::User { .. } | Item::ToolResult { .. })
        };
        let hosted =
            |item: &Arc<Item>| matches!(&**item, Item::Unknown(value) if HostedCall::of(value).is_some());
        self.items.iter().rev().take_while(answer).any(hosted)
    }

    /// The calls that wait for a person, in the order in which the model made them.
    pub fn asked(&self) -> impl Iterator<Item = &Call> {
        self.calls().filter(|call| matches!(call.state, CallState::Asked { .. }))
    }

    /// Whether a person is all that the turn waits for.
    #[must_use]
    pub fn waits_for_person(&self) -> bool {
        self.next().is_none()
            && self.undo.going.is_none()
            && self.asked().next().is_some()
            && self.turn.as_ref().is_some_and(|turn| turn.response.is_none())
            && !self.calls().any(|call| matches!(call.state, CallState::Running { .. }))
    }

    /// The calls without a result, in the order in which the model made them.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.turn.iter().flat_map(|turn| turn.open())
    }

    /// Results that wait for those of earlier calls: the conversation will hold them behind these.
    pub fn waiting_results(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.turn.iter().flat_map(|turn| &turn.calls).filter_map(|call| match &call.state {
            CallState::Done { result } => Some(result),
            _ => None,
        })
    }

    /// A call without a result.
    #[must_use]
    pub fn call(&self, id: &crate::protocol::CallId) -> Option<&Call> {
        self.calls().find(|call| call.id == *id)
    }

    /// What the model answered to what the person said last.
    #[must_use]
    pub fn answer(&self) -> Option<&str> {
        let since = self.items.iter().rev().take_while(|item| !matches!(***item, Item::User { .. }));
        since.filter_map(said).next()
    }

    /// What the model said last.
    #[must_use]
    pub fn last_answer(&self) -> Option<&str> {
        self.items.iter().rev().find_map(said)
    }

    /// Keeps what a person said of a call, for as long as the turn goes on.
    fn was_decided(&mut self, call: &crate::protocol::CallId, by: &By, allowed: bool) {
        let intent = self.call(call).and_then(Call::intent).cloned();
        if let (By::Person { .. }, Some(intent), Some(turn)) = (by, intent, &mut self.turn) {
            turn.decided.push((intent, allowed));
        }
    }

    fn call_becomes(&mut self, call: &crate::protocol::CallId, state: CallState) {
        if let Some(call) = self.turn.as_mut().and_then(|turn| turn.call_mut(call)) {
            call.state = state;
        }
    }

    fn add(&mut self, item: &Arc<Item>) {
        match &**item {
            Item::ToolCall { call, tool, args, .. } => {
                self.push(item);
                Arc::make_mut(&mut self.called).insert(call.clone());
                if let Some(turn) = &mut self.turn {
                    turn.calls.push_back(Call::new(call.clone(), tool.clone(), args.clone()));
                }
            }
            Item::ToolResult { call, shown, .. } => {
                self.goal_heard(shown);
                if let Shown::Plan { steps, .. } = shown {
                    self.plan.clone_from(steps);
                }
                if let Shown::Patch { files } = shown {
                    let paths = files.iter().map(|file| file.moved_to.as_ref().unwrap_or(&file.path));
                    self.touched.extend(paths.map(|path| (path.clone(), self.seq)));
                }
                let Some(turn) = &mut self.turn else { return self.push(item) };
                for result in turn.finish(call, item) {
                    self.push(&result);
                }
            }
            Item::User { input, .. } => {
                if let Some(input) = input {
                    self.queue.retain(|queued| queued.input != *input);
                }
                self.points.push(self.point(item));
                self.push(item);
                if let Some(turn) = &mut self.turn {
                    turn.begun = true;
                    turn.due = true;
                }
            }
            Item::Context { .. } if self.answering() => self.held.push(Arc::clone(item)),
            Item::Context { .. }
            | Item::Assistant { .. }
            | Item::Reasoning { .. }
            | Item::Sources { .. }
            | Item::Sealed { .. }
            | Item::Unknown(_) => self.push(item),
        }
    }

    fn push(&mut self, item: &Arc<Item>) {
        self.estimated = self.estimated.saturating_add(self.estimate(item));
        Arc::make_mut(&mut self.items).push(Arc::clone(item));
    }

    fn configured(&mut self, settings: &Settings) {
        let before = self.settings.replace(settings.clone());
        let of = |settings: &Settings| (settings.model.clone(), settings.limits);
        if before.as_ref().map(of) != Some(of(settings)) {
            // Another model counts in another way.
            self.learnt = room::Learnt::default();
            self.estimate_anew();
        }
    }
}

/// How many of these items the model has made.
fn answers(items: &[Arc<Item>]) -> usize {
    items.iter().filter(|item| item.is_made()).count()
}

/// The words of the model.
fn said(item: &Arc<Item>) -> Option<&str> {
    match &**item {
        Item::Assistant { text, .. } => Some(text),
        _ => None,
    }
}
