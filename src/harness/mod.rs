//! The one task that makes things happen.
//!
//! It owns the session, asks it what is due, does that, and records what came of it. It never draws, never
//! prints and never waits for a person: whoever is owed something is told by a fact.

mod border;
mod call;
mod clock;
mod compact;
mod disk;
mod fanout;
mod foreseen;
mod hand;
mod hosted;
mod network;
pub mod notes;
mod past;
mod record;
mod respond;
mod resumed;
mod retry;
mod snapshot;
mod surroundings;
mod verify;
mod window;
mod work;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::context::Permissions;
use crate::model::{Model, ModelError};
use crate::protocol::{
    CallId, Command, Fact, Item, ModelRef, ProcessId, Rejection, Settings, Time, ToolStyle,
};
use crate::sandbox::network::Reports;
use crate::session::{Session, Step};
use crate::shell::{Ask, Exit, Shell};
use crate::snapshot::{Sending, Snapshots};
use crate::store::{Blobs, Log, LogError};
use crate::tools::{Toolbox, Workspace};

use self::{fanout::Fanout, network::Knock, past::Kept, surroundings::Lasting, work::Work};

pub use disk::Disk;
pub use fanout::Updates;
pub use snapshot::restored;
pub use surroundings::{Place, Surroundings};

/// What a harness is made of.
pub struct Parts {
    pub log: Log,
    /// The fold of everything in the log.
    pub session: Session,
    /// What is recorded first, after what a dead process left open has been closed.
    pub begin: Vec<Fact>,
    pub blobs: Blobs,
    /// Where states of the workspace are kept, or why they can't be; nothing, if they are not wanted.
    pub snapshots: Option<Result<Arc<Snapshots>, String>>,
    /// Opens the model that the settings name.
    /// The file that the workspace is written to after each turn that may have changed it, if it is to be.
    pub tarball: Option<PathBuf>,
    pub models: OpenModel,
    pub tools: Toolbox,
    pub workspace: Workspace,
    pub shell: Shell,
    /// Ends of the shell's processes.
    pub exits: mpsc::UnboundedReceiver<Exit>,
    /// What the shell's processes want a person to be asked.
    pub asks: mpsc::UnboundedReceiver<Ask>,
    /// What is told of the network of commands, where they have one.
    pub network: Option<Reports>,
    pub clock: Clock,
    /// What the model is to know of what it may do.
    pub permissions: Permissions,
    pub surroundings: Arc<dyn Surroundings>,
    /// Whether somebody looks at deltas.
    pub deltas: bool,
    /// How long the model may take for a summary of the conversation.
    pub patience: Duration,
}

/// Long enough for a summary of a full window by a slow model.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Opens the model that the settings name. An error ends the turn that wanted it.
pub type OpenModel = Arc<dyn Fn(&Settings) -> Result<OpenedModel, ModelError> + Send + Sync>;

/// A model, and the name that its provider knows it by.
#[derive(Clone)]
pub struct OpenedModel {
    pub model: Arc<dyn Model>,
    pub name: String,
}

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// A front end's end of a running harness.
pub struct Handle {
    pub commands: mpsc::UnboundedSender<Command>,
    pub updates: Updates,
    /// Ends when the harness has ended: after `Shutdown`, or when nobody can command it any more.
    pub ended: tokio::task::JoinHandle<Result<(), LogError>>,
    /// What is on its way elsewhere, also after the end.
    pub sending: Arc<Sending>,
}

struct Harness {
    session: Session,
    log: Log,
    /// Why nothing more can be recorded.
    unwritable: Option<String>,
    blobs: Blobs,
    snapshots: Option<Result<Arc<Snapshots>, String>>,
    /// Where the workspace is written to after a turn, and what writes it.
    tarball: Option<PathBuf>,
    writing: snapshot::Writing,
    /// What a person was told that no snapshot holds.
    told: HashSet<PathBuf>,
    /// Whether a person was told that snapshots can't be sent elsewhere.
    unsent: Arc<AtomicBool>,
    sending: Arc<Sending>,
    models: OpenModel,
    model: Option<(ModelRef, OpenedModel)>,
    tools: Toolbox,
    workspace: Workspace,
    shell: Shell,
    clock: Clock,
    permissions: Permissions,
    surroundings: Arc<dyn Surroundings>,
    /// Changes of rules that could not be written.
    unkept: Vec<Lasting>,
    deltas: bool,
    fanout: Fanout,
    /// What was there before, for the model to look up.
    past: Arc<Kept>,
    work: mpsc::UnboundedSender<Work>,
    /// Running calls. A job that panics is found by its id.
    jobs: JoinSet<Work>,
    calls: HashMap<Id, CallId>,
    /// Cancelled when the turn is interrupted.
    turn: CancellationToken,
    /// Cancelled when nobody waits for the answer any more.
    asking: CancellationToken,
    /// What the model has said of the message that it is writing. A whole message leaves it and is told under
    /// one lock.
    partial: Arc<Mutex<String>>,
    /// Ends of processes that were told before the call that started them was over.
    early: HashMap<ProcessId, Exit>,
    /// What the model was told that its tools are called. None: it has not been asked yet.
    told_tools: Option<ToolStyle>,
    /// Whether a person was told that nothing more can be left out.
    window_told: bool,
    patience: Duration,
    /// Connections that wait for a person.
    knocks: Vec<Knock>,
}

/// Starts a harness for one session.
#[must_use]
pub fn start(parts: Parts) -> Handle {
    let (commands, inbox) = mpsc::unbounded_channel();
    let (fanout, updates) = Fanout::new();
    let (work, outcomes) = mpsc::unbounded_channel();
    let past = Kept { log: parts.log.path().to_owned(), blobs: parts.blobs.clone() };
    let (exits, asks, reports) = (parts.exits, parts.asks, parts.network);
    let sending = Arc::<Sending>::default();
    let told_tools = parts.session.settings.as_ref().map(|settings| settings.tools);
    let harness = Harness {
        session: parts.session,
        log: parts.log,
        unwritable: None,
        blobs: parts.blobs,
        snapshots: parts.snapshots,
        tarball: parts.tarball,
        writing: snapshot::Writing::default(),
        told: HashSet::new(),
        unsent: Arc::default(),
        sending: Arc::clone(&sending),
        models: parts.models,
        model: None,
        tools: parts.tools,
        workspace: parts.workspace,
        shell: parts.shell,
        clock: parts.clock,
        permissions: parts.permissions,
        surroundings: parts.surroundings,
        unkept: Vec::new(),
        deltas: parts.deltas,
        fanout,
        past: Arc::new(past),
        work,
        jobs: JoinSet::new(),
        calls: HashMap::new(),
        turn: CancellationToken::new(),
        asking: CancellationToken::new(),
        partial: Arc::default(),
        early: HashMap::new(),
        told_tools,
        window_told: false,
        patience: parts.patience,
        knocks: Vec::new(),
    };
    let ended = tokio::spawn(harness.run(parts.begin, inbox, outcomes, exits, asks, reports));
    Handle { commands, updates, ended, sending }
}

impl Harness {
    async fn run(
        mut self,
        begin: Vec<Fact>,
        mut inbox: mpsc::UnboundedReceiver<Command>,
        mut outcomes: mpsc::UnboundedReceiver<Work>,
        mut exits: mpsc::UnboundedReceiver<Exit>,
        mut asks: mpsc::UnboundedReceiver<Ask>,
        mut reports: Option<Reports>,
    ) -> Result<(), LogError> {
        self.record(self.session.reconcile());
        self.finish_restore().await;
        self.look_around().await;
        self.record(begin);
        loop {
            self.watch_clock(&mut outcomes);
            while self.unwritable.is_none()
                && let Some(step) = self.session.next()
            {
                self.begin(step);
            }
            let alarm = self.until_alarm();
            tokio::select! {
                command = inbox.recv() => match command {
                    None | Some(Command::Shutdown) => break,
                    Some(Command::Interrupt) => self.interrupt(&mut outcomes),
                    Some(command) => self.obey(command),
                },
                Some(work) = outcomes.recv() => self.take(work),
                Some(job) = self.jobs.join_next_with_id() => self.joined(job),
                Some(exit) = exits.recv() => self.exited(exit),
                Some(ask) = asks.recv() => self.asks_person(ask),
                Some(report) = network::told(&mut reports) => self.reported(report),
                () = clock::passed(alarm) => {}
            }
            self.settle_knocks();
        }
        self.turn.cancel();
        self.jobs.shutdown().await;
        self.shell.stop().await;
        self.pause(&mut outcomes).await;
        self.writing.stop().await;
        if let Some(reports) = reports {
            let ended = reports.finish().await;
            self.record(ended.into_iter().map(Fact::ConnectionEnded).collect());
        }
        self.log.sync()
    }

    /// Starts a step. What it records makes the step not due.
    fn begin(&mut self, step: Step) {
        match step {
            Step::Judge(call) => self.judge(&call),
            Step::Snapshot(turn, moment) => self.take_snapshot(turn, moment),
            Step::Run(call) => self.run_call(&call),
            Step::Refuse(call, reason) => self.record(vec![work::refusal(&call, reason)]),
            Step::Compact(wanted) => self.compact(wanted),
            Step::AskModel(response) => self.ask_model(response),
            Step::Deliver(input) => {
                let content = self.session.queue.iter().find(|queued| queued.input == input);
                let content = content.map(|queued| queued.content.clone()).unwrap_or_default();
                self.record(vec![Fact::item(Item::User { content, input: Some(input) })]);
            }
            Step::StartQueued(input) => {
                let turn = crate::protocol::TurnId(self.session.turns.0 + 1);
                let content = self.session.queue.iter().find(|queued| queued.input == input);
                let content = content.map(|queued| queued.content.clone()).unwrap_or_default();
                self.turn = CancellationToken::new();
                self.record(vec![
                    Fact::TurnStarted { turn },
                    Fact::item(Item::User { content, input: Some(input) }),
                ]);
            }
            Step::RunOut(limit) => {
                let facts = self.session.run_out(limit, (self.clock)());
                if self.session.spending.budget.hard {
                    self.stop_turn(String::new(), facts);
                } else {
                    self.record(facts);
                }
            }
            Step::Verify(command) => self.verify(command),
            Step::Settle(status, reason) => self.record(vec![Fact::GoalChanged { status, reason }]),
            Step::Pursue => {
                self.turn = CancellationToken::new();
                self.record(self.session.pursue());
            }
            Step::EndTurn(turn, outcome) => {
                let duration_ms = self.session.turn_duration_ms((self.clock)());
                let checked = self.session.checked().map(Fact::Checked);
                let finished = Fact::TurnFinished { turn, outcome, duration_ms };
                self.record(checked.into_iter().chain([finished]).collect());
            }
        }
    }

    /// Obeys a command, or says why not.
    fn obey(&mut self, command: Command) {
        if let Some(reason) = &self.unwritable {
            return self.fanout.rejected(Rejection::Unwritable(reason.clone()));
        }
        if matches!(command, Command::WriteStdin { .. } | Command::Kill { .. }) {
            return self.by_hand(command);
        }
        if let Command::AnswerSecret { process, line } = command {
            return self.answer_secret(process, line.as_ref());
        }
        let submit = matches!(command, Command::Submit { .. });
        if let Command::Configure { settings } = &command
            && let Err(problem) = self.settle(settings)
        {
            return self.fanout.rejected(Rejection::NoSandbox(problem));
        }
        let restore = match &command {
            Command::Restore { restore } => Some(restore.clone()),
            _ => None,
        };
        match self.session.decide(command, (self.clock)()) {
            Err(rejection) => self.fanout.rejected(rejection),
            Ok(mut facts) => {
                if let Err(problem) = past::bring_back(&self.session, &self.past.log, &mut facts) {
                    return self.fanout.rejected(Rejection::Unfit(problem));
                }
                if submit && self.session.turn.is_none() {
                    self.turn = CancellationToken::new();
                }
                let lasting = Lasting::of(&facts);
                if let Err(why) = self.try_record(facts) {
                    return self.fanout.rejected(Rejection::Unfit(why));
                }
                self.keep_rules(lasting);
                if let Some(restore) = restore {
                    self.put_back(restore);
                }
            }
        }
    }

    /// Stops the turn. What was there before counts: what the model has said, and what calls have come to.
    fn interrupt(&mut self, outcomes: &mut mpsc::UnboundedReceiver<Work>) {
        if let Some(reason) = &self.unwritable {
            return self.fanout.rejected(Rejection::Unwritable(reason.clone()));
        }
        let said = self.hear_out(outcomes);
        match self.session.decide(Command::Interrupt, (self.clock)()) {
            Err(rejection) => self.fanout.rejected(rejection),
            Ok(facts) => self.stop_turn(said, facts),
        }
    }

    /// Takes in all that has come; what of a message is there already comes back.
    fn hear_out(&mut self, outcomes: &mut mpsc::UnboundedReceiver<Work>) -> String {
        // A message is either whole and on its way, or a part of it is here.
        let (ready, said) = {
            let mut partial = lock(&self.partial);
            let ready: Vec<Work> = std::iter::from_fn(|| outcomes.try_recv().ok()).collect();
            (ready, std::mem::take(&mut *partial))
        };
        for work in ready {
            self.take(work);
        }
        while let Some(job) = self.jobs.try_join_next_with_id() {
            self.joined(job);
        }
        said
    }

    /// Stops all that the turn does, and records what says so.
    fn stop_turn(&mut self, said: String, mut facts: Vec<Fact>) {
        self.turn.cancel();
        let answering = self.session.turn.as_ref().is_some_and(|turn| turn.response.is_some());
        if answering && !said.trim().is_empty() {
            facts.insert(0, Fact::item(Item::Assistant { id: None, text: said, partial: true }));
        }
        self.record(facts);
    }
}

/// Locks what the model has said. Whoever panicked while it held the lock has left text, and nothing half done.
fn lock(said: &Mutex<String>) -> MutexGuard<'_, String> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}
