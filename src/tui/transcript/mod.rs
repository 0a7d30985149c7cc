//! What happened, as cells. Facts and deltas go in; rows for the scrollback and rows for the live region come out.
//!
//! Cells are made by the shape of facts, never by the name of a tool, and the same way for a session that runs
//! and for one that is resumed. A row that was handed out for the scrollback never changes: only what is finished
//! is, in order. Everything else is shown live.

mod approval;
mod assistant;
mod call;
mod command;
mod explored;
mod hosted;
mod image;
mod notice;
mod output;
mod patch;
mod pending;
mod plan;
mod reasoning;
mod source;
#[cfg(test)]
mod tests;
mod turn;
mod user;
mod view;

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::Arc,
};

use ratatui::text::Line;

use crate::protocol::{
    BlobId, By, CallId, Context, Delta, Event, Fact, HostedCall, Intent, Item, Level, Outcome, ProcessId,
    RequestId, ResponseId, Rule, Seq, Source, Usage, words,
};
use crate::tui::{
    term::Row,
    text::{link::Follow, markdown::Root},
    theme::Theme,
};

use assistant::Assistant;
use call::Call;
use notice::Notice;
use pending::Pending;
use reasoning::Thinking;
use turn::TurnEnd;
use view::View;

pub use view::duration;

/// What is said while the conversation is made smaller.
const COMPACTING: &str = "compacting the conversation";

/// Everything that happened in a session, for people.
#[derive(Default)]
pub struct Transcript {
    cells: Vec<Cell>,
    /// Cells before this one stand in the scrollback, all of them.
    printed: usize,
    /// Cells that lie so far back that they are not printed, and that nobody was told of yet.
    passed_over: usize,
    /// Whether anything stands there: cells are set off by an empty row.
    any: bool,
    /// Calls without a result, by the place of their cell.
    calls: HashMap<CallId, usize>,
    processes: HashMap<ProcessId, String>,
    /// Hosts that a person was asked about.
    hosts: HashMap<RequestId, (String, bool)>,
    /// What the person said, by its fact.
    messages: HashMap<Seq, String>,
    answer: Answer,
    thinking: Thinking,
    status: Option<String>,
    pending: Pending,
    turn: Option<Running>,
    /// Since when the conversation is being made smaller.
    compacting: Option<i64>,
    /// A state of the files is being kept.
    keeping: bool,
    workspace: PathBuf,
    links: Follow,
    /// What the person says stands on the terminal already.
    echoed: bool,
}

/// Cells of what was before that are printed: dozens of screens of it. The prompt stands behind them, and whoever
/// resumes waits for each of them; a terminal takes seconds for all of what days have left.
const PRINTED: usize = 500;

/// What is told while a state of the files is being kept.
const KEEPING: &str = "Keeping the files as they are now, for /undo";

/// The turn that is going on.
struct Running {
    since: i64,
    usage: Usage,
}

/// The answer that is being received.
#[derive(Default)]
struct Answer {
    response: ResponseId,
    /// The cell that deltas go to.
    streams: Option<usize>,
    /// Messages of it that are whole.
    said: Vec<Arc<Item>>,
    /// Those of them that come again as deltas, after it broke off.
    again: VecDeque<Arc<Item>>,
    /// What came again so far of the first of these.
    echo: String,
}

enum Cell {
    User(Arc<Item>),
    Assistant(Box<Assistant>),
    Reasoning(Arc<Item>),
    Call(Box<Call>),
    /// The provider has used a tool of its own.
    Hosted(Box<HostedCall>),
    /// What the message before it rests on.
    Sources(Arc<Item>),
    Notice(Notice),
    TurnEnd(TurnEnd),
    /// It was shown live, and came to nothing.
    Void,
}

/// A cell in full, for a view that scrolls.
#[derive(Default)]
pub struct Whole {
    pub rows: Vec<Line<'static>>,
    /// Where all of an output is kept, when the rows have only its beginning and end; and its bytes.
    pub blob: Option<(BlobId, u64)>,
}

impl Transcript {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With links, where the terminal follows them.
    #[must_use]
    pub fn linked(self, links: Follow) -> Self {
        Self { links, ..self }
    }

    /// From now on, what the person says is not shown: it was typed where it stays.
    pub fn set_echoed(&mut self) {
        self.echoed = true;
    }

    /// The same for another session.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { links: self.links, echoed: self.echoed, ..Self::default() }
    }

    fn root(&self) -> Root {
        view::root(self.links, &self.workspace)
    }

    /// Takes in what has become true.
    pub fn apply(&mut self, event: &Event) {
        let at = event.at.as_millisecond();
        match &event.fact {
            Fact::SessionStarted { workspace, .. } => self.workspace.clone_from(workspace),
            Fact::Configured { .. } | Fact::Renamed { .. } | Fact::RulesRead { .. } => {}
            Fact::Revoked { rule: Rule { grant, scope } } => {
                self.say(vec![format!("No longer allowed ({scope}): {grant}")]);
            }
            Fact::Noted { level, text } => self.notice(Notice::Noted { level: *level, text: text.clone() }),
            Fact::TurnStarted { .. } => self.turn = Some(Running { since: at, usage: Usage::default() }),
            Fact::TurnFinished { outcome, duration_ms, .. } => self.turn_finished(outcome, *duration_ms),
            Fact::InputQueued { input, content, delivery } => self.pending.add(*input, content, *delivery),
            Fact::InputRetracted { input } => self.pending.remove(*input),
            Fact::ItemAdded { item } => {
                if let Item::User { content, .. } = &**item {
                    self.messages.insert(event.seq, words(content));
                }
                self.item(item);
            }
            Fact::Rewound { to, .. } => {
                self.turn = None;
                self.notice(Notice::Rewound(self.messages.get(to).cloned().unwrap_or_default()));
            }
            Fact::CompactionAsked { .. } => {}
            Fact::CompactionStarted { .. } => self.compacting = Some(at),
            Fact::Compacted(compaction) => {
                self.compacting = None;
                if let (Some(turn), Some(usage)) = (&mut self.turn, compaction.usage) {
                    turn.usage += usage;
                }
                self.notice(Notice::Compacted(compaction.clone()));
            }
            Fact::CompactionFailed { problem, .. } => {
                self.compacting = None;
                let text = format!("the conversation stays as it is: {problem}");
                self.notice(Notice::Noted { level: Level::Warning, text });
            }
            Fact::SnapshotStarted { .. } => self.keeping = true,
            // What came of them is told by a notice, or by the fact that follows.
            Fact::SnapshotTaken { .. } | Fact::SnapshotFailed { .. } => self.keeping = false,
            Fact::RestoreStarted { .. } | Fact::RestoreFailed { .. } => {}
            Fact::Restored { restore, count, paths, left, .. } => {
                let what = match restore.turn {
                    Some(_) => "Undone",
                    None if restore.left => "Put back as they were left",
                    None => "Redone",
                };
                let list = |lines: Vec<String>| lines.into_iter().map(|line| format!("  {line}"));
                let how_many = if *count == 1 { "1 path".to_owned() } else { format!("{count} paths") };
                let mut lines = vec![format!("{what}: {how_many} changed.")];
                lines.extend(list(paths.clone()));
                lines.extend(list(left.iter().map(|(path, why)| format!("{path}: {why}")).collect()));
                self.say(lines);
            }
            Fact::ResponseStarted { response } => {
                self.close_answer();
                self.answer.response = *response;
            }
            Fact::ResponseFinished { usage, .. } => {
                self.close_answer();
                if let (Some(turn), Some(usage)) = (&mut self.turn, usage) {
                    turn.usage += *usage;
                }
            }
            Fact::ApprovalRequested { call, intent, .. } => self.with_call(call, |call| call.asked(intent)),
            Fact::CallAllowed { call, by, intent } => self.with_call(call, |call| call.allowed(by, intent)),
            Fact::CallRefused { call, by, reason } => {
                let by_person = matches!(by, By::Person { .. });
                self.with_call(call, |call| call.refused(by_person, reason));
            }
            Fact::ToolStarted { call } => self.with_call(call, |call| call.started(at)),
            Fact::ProcessStarted { process, command, .. } => {
                self.processes.insert(*process, command.clone());
            }
            Fact::ProcessExited { process, exit, .. } => {
                let command = self.processes.remove(process).unwrap_or_default();
                self.notice(Notice::ProcessEnded { process: *process, exit: *exit, command });
            }
            // A view asks, and the result of the call says what came of it.
            Fact::SecretAsked { .. } | Fact::SecretAnswered { .. } => {}
            Fact::HostRequested { request, intent: Intent::Connect { host, port }, .. } => {
                self.hosts.insert(*request, (format!("connections to {host}:{port}"), false));
            }
            Fact::HostRequested { request, intent: Intent::Hosted { tools }, .. } => {
                self.hosts.insert(*request, (format!("the provider's own {}", tools.join(", ")), true));
            }
            Fact::HostAllowed { request, by: By::Person { grant, scope } } => {
                let rule = grant.clone().map(|grant| Rule { grant, scope: *scope });
                let hosted = self.hosts.get(request).is_some_and(|(_, hosted)| *hosted);
                let allowed = approval::Decision::Allowed(rule);
                self.host_decided(*request, if hosted { approval::Decision::ForSession } else { allowed });
            }
            Fact::HostRefused { request, by: By::Person { .. }, reason } => {
                self.host_decided(*request, approval::Decision::Refused { note: reason.clone() });
            }
            // What became of the connection is told with the result of its command.
            Fact::HostRequested { .. }
            | Fact::HostAllowed { .. }
            | Fact::HostRefused { .. }
            | Fact::ConnectionEnded(_) => {}
            Fact::VerifyStarted { command } => {
                self.status = Some(format!("running {command}, which has to pass"));
            }
            Fact::Budgeted { .. }
            | Fact::BudgetReached { .. }
            | Fact::VerifyWanted { .. }
            | Fact::VerifyFinished { .. }
            | Fact::Checked(_)
            | Fact::GoalSet { .. }
            | Fact::GoalContinued { .. }
            | Fact::GoalChanged { .. } => {
                self.status = None;
                if let Some((level, text)) = event.fact.in_words() {
                    self.notice(Notice::Noted { level, text });
                }
            }
            Fact::Unknown(fields) => {
                let name = fields.get("type").and_then(|name| name.as_str()).unwrap_or("something");
                self.notice(Notice::Unknown(name.to_owned()));
            }
        }
    }

    /// Takes in a part of something that is not finished.
    pub fn delta(&mut self, delta: &Delta) {
        match delta {
            Delta::Text { response, text } => self.text(*response, text),
            Delta::Reasoning { text, .. } => {
                self.status = None;
                self.thinking.push(text);
            }
            Delta::Arguments { .. } => self.status = None,
            Delta::Output { call, text } => self.with_call(call, |call| call.output(text)),
            Delta::Status { text } => self.status = Some(text.clone()),
            Delta::Restarted { .. } => {
                self.drop_stream();
                self.thinking.clear();
                self.answer.again = self.answer.said.iter().cloned().collect();
                self.answer.echo.clear();
            }
        }
    }

    fn host_decided(&mut self, request: RequestId, decision: approval::Decision) {
        if let Some((host, _)) = self.hosts.remove(&request) {
            self.notice(Notice::HostDecided { host, decision });
        }
    }

    /// Shows what the person asked the program for. It is no fact, and gone with the screen.
    pub fn say(&mut self, lines: Vec<String>) {
        self.notice(Notice::Said(lines));
    }

    /// Has only the end of what was told so far printed. All of it stays in the view of the whole conversation.
    pub fn pass_over_old(&mut self) {
        let most = self.cells.len().saturating_sub(PRINTED);
        let old = self.cells.iter().take(most).skip(self.printed).take_while(|cell| cell.finished()).count();
        self.printed += old;
        self.passed_over += old;
    }

    /// The rows to print into the scrollback now. Each is handed out once.
    pub fn take_finished(&mut self, width: u16, theme: &Theme) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let passed_over = std::mem::take(&mut self.passed_over);
        if passed_over > 0 {
            let view = View { width, theme, workspace: &self.workspace, links: self.links };
            let text = format!(
                "{passed_over} earlier parts are not printed again: the view of the whole conversation has them"
            );
            let told = Cell::Notice(Notice::Said(vec![text])).take(&view);
            set_off(told, &mut self.any, &mut rows);
        }
        while self.printed < self.cells.len() {
            let view = View { width, theme, workspace: &self.workspace, links: self.links };
            let (cell, next) = match explored::group(&self.cells, self.printed) {
                Some(group) if group.finished => {
                    (linkless(explored::rows(&self.cells, &group, &view)), group.end)
                }
                Some(_) => break,
                None => {
                    let Some(cell) = self.cells.get_mut(self.printed) else { break };
                    let handed = matches!(cell, Cell::Assistant(answer) if answer.handed());
                    let finished = cell.finished();
                    let part = cell.take(&view);
                    if handed {
                        rows.extend(part);
                        (Vec::new(), self.printed + usize::from(finished))
                    } else {
                        (part, self.printed + usize::from(finished))
                    }
                }
            };
            set_off(cell, &mut self.any, &mut rows);
            if next == self.printed {
                break;
            }
            self.printed = next;
        }
        rows
    }

    /// What is going on, in at most `max_rows` rows: the last ones. `now` is in milliseconds, by the clock of the
    /// events.
    #[must_use]
    pub fn live(&self, width: u16, max_rows: u16, theme: &Theme, now: i64) -> Vec<Line<'static>> {
        let view = View { width, theme, workspace: &self.workspace, links: self.links };
        let (mut rows, mut any) = (Vec::new(), self.any);
        let mut at = self.printed;
        // Of very many cells that wait for one only the last can be seen.
        at = at.max(self.cells.len().saturating_sub(usize::from(max_rows).max(1)));
        let mut busy = self.answer.streams.is_some();
        while at < self.cells.len() {
            if let Some(group) = explored::group(&self.cells, at) {
                set_off(explored::rows(&self.cells, &group, &view), &mut any, &mut rows);
                busy |= !group.idle;
                at = group.end;
                continue;
            }
            let Some(cell) = self.cells.get(at) else { break };
            let shown = cell.live(&view, now);
            busy |= matches!(cell, Cell::Call(call) if call.is_busy());
            match cell {
                Cell::Assistant(answer) if answer.handed() => rows.extend(shown),
                _ => set_off(shown, &mut any, &mut rows),
            }
            at += 1;
        }
        if let Some(since) = self.compacting {
            set_off(turn::working(Some(COMPACTING), now - since, &view), &mut any, &mut rows);
        } else if let Some(turn) = self.turn.as_ref().filter(|_| !busy || self.keeping) {
            // What holds up a command is more worth to be told than the command that waits for it.
            let keeping = self.keeping.then_some(KEEPING);
            let doing = keeping.or(self.status.as_deref()).or(self.thinking.headline());
            set_off(turn::working(doing, now - turn.since, &view), &mut any, &mut rows);
        }
        set_off(self.pending.rows(&view), &mut any, &mut rows);
        let excess = rows.len().saturating_sub(usize::from(max_rows));
        rows.drain(..excess);
        rows
    }

    /// What the model is thinking about, in a few words.
    #[must_use]
    pub fn headline(&self) -> Option<&str> {
        self.thinking.headline()
    }

    /// Whether rows would change with the clock alone.
    #[must_use]
    pub fn ticks(&self) -> bool {
        self.turn.is_some() || self.compacting.is_some()
    }

    fn item(&mut self, item: &Arc<Item>) {
        match &**item {
            Item::User { input, .. } => {
                if let Some(input) = input {
                    self.pending.remove(*input);
                }
                if !self.echoed {
                    self.cells.push(Cell::User(Arc::clone(item)));
                }
            }
            Item::Assistant { text, .. } => self.said(item, text),
            Item::Reasoning { .. } => {
                self.thinking.clear();
                self.cells.push(Cell::Reasoning(Arc::clone(item)));
            }
            Item::ToolCall { call, .. } => {
                self.calls.insert(call.clone(), self.cells.len());
                self.cells.push(Cell::Call(Box::default()));
            }
            Item::ToolResult { call, .. } => match self.calls.remove(call) {
                Some(at) => {
                    if let Some(Cell::Call(call)) = self.cells.get_mut(at) {
                        call.finish(item);
                    }
                }
                None => {
                    let mut call = Box::<Call>::default();
                    call.finish(item);
                    self.cells.push(Cell::Call(call));
                }
            },
            Item::Context { context: Context::Notice, text } => {
                self.notice(Notice::Noted { level: Level::Info, text: text.clone() });
            }
            Item::Sources { .. } => self.cells.push(Cell::Sources(Arc::clone(item))),
            Item::Context { .. } | Item::Sealed { .. } => {}
            Item::Unknown(value) => {
                if let Some(call) = HostedCall::of(value) {
                    return self.cells.push(Cell::Hosted(Box::new(call)));
                }
                let name = value.get("type").and_then(|name| name.as_str()).unwrap_or("something");
                self.notice(Notice::Unknown(name.to_owned()));
            }
        }
    }

    fn text(&mut self, response: ResponseId, text: &str) {
        if text.is_empty() {
            return;
        }
        self.status = None;
        self.answer.response = response;
        let Some(text) = self.answer.news(text) else { return };
        let root = self.root();
        let at = *self.answer.streams.get_or_insert_with(|| {
            self.cells.push(Cell::Assistant(Box::default()));
            self.cells.len() - 1
        });
        if let Some(Cell::Assistant(answer)) = self.cells.get_mut(at) {
            answer.push(&text, &root);
        }
    }

    /// A message is whole. The cell that showed it coming is finished by it.
    fn said(&mut self, item: &Arc<Item>, text: &str) {
        self.answer.said.push(Arc::clone(item));
        self.answer.again.clear();
        self.answer.echo.clear();
        let root = self.root();
        match self.answer.streams.take().and_then(|at| self.cells.get_mut(at)) {
            Some(Cell::Assistant(answer)) => answer.finish(item, text, &root),
            _ if text.trim().is_empty() => {}
            _ => self.cells.push(Cell::Assistant(Box::new(Assistant::whole(item)))),
        }
    }

    /// Nothing more comes of what was streaming.
    fn drop_stream(&mut self) {
        let Some(cell) = self.answer.streams.take().and_then(|at| self.cells.get_mut(at)) else { return };
        match cell {
            Cell::Assistant(answer) if answer.handed() => answer.break_off(),
            cell => *cell = Cell::Void,
        }
    }

    fn close_answer(&mut self) {
        self.drop_stream();
        self.answer = Answer::default();
        self.thinking.clear();
        self.status = None;
    }

    fn turn_finished(&mut self, outcome: &Outcome, duration_ms: u64) {
        self.close_answer();
        let usage = self.turn.take().map(|turn| turn.usage).unwrap_or_default();
        self.cells.push(Cell::TurnEnd(TurnEnd { outcome: outcome.clone(), duration_ms, usage }));
    }

    fn notice(&mut self, notice: Notice) {
        self.cells.push(Cell::Notice(notice));
    }

    fn with_call(&mut self, id: &CallId, change: impl FnOnce(&mut Call)) {
        if let Some(Cell::Call(call)) = self.calls.get(id).and_then(|at| self.cells.get_mut(*at)) {
            change(call);
        }
    }
}

impl Answer {
    /// What of a text is new. After an answer broke off, messages that were whole come again.
    fn news(&mut self, text: &str) -> Option<String> {
        let Some(known) = self.again.front() else { return Some(text.to_owned()) };
        let Item::Assistant { text: known, .. } = &**known else { return Some(text.to_owned()) };
        self.echo.push_str(text);
        if *known == self.echo {
            self.echo.clear();
            self.again.pop_front();
            return None;
        }
        if known.starts_with(&self.echo) {
            return None;
        }
        self.again.clear();
        Some(std::mem::take(&mut self.echo))
    }
}

impl Cell {
    fn finished(&self) -> bool {
        match self {
            Self::Assistant(answer) => answer.finished(),
            Self::Call(call) => !call.is_open(),
            Self::User(_)
            | Self::Reasoning(_)
            | Self::Hosted(_)
            | Self::Sources(_)
            | Self::Notice(_)
            | Self::TurnEnd(_)
            | Self::Void => true,
        }
    }

    /// The rows that are finished and were not taken before.
    fn take(&mut self, view: &View<'_>) -> Vec<Row> {
        match self {
            Self::Assistant(answer) => answer.take(view),
            Self::Call(call) if call.is_open() => Vec::new(),
            cell => linkless(cell.live(view, 0)),
        }
    }

    fn live(&self, view: &View<'_>, now: i64) -> Vec<Line<'static>> {
        match self {
            Self::User(item) => user::rows(item, user::SHORT, view),
            Self::Assistant(answer) => answer.live(view),
            Self::Reasoning(item) => reasoning::rows(item, view),
            Self::Call(call) => call.rows(view, now),
            Self::Hosted(call) => hosted::rows(call, false, view),
            Self::Sources(item) => hosted::sources(sources_of(item), false, view),
            Self::Notice(notice) => notice.rows(view),
            Self::TurnEnd(end) => end.rows(view),
            Self::Void => Vec::new(),
        }
    }

    fn full(&self, view: &View<'_>, now: i64) -> Whole {
        let rows = match self {
            Self::User(item) => user::rows(item, usize::MAX, view),
            Self::Assistant(answer) => answer.full(view),
            Self::Reasoning(item) => reasoning::full(item, view),
            Self::Call(call) if call.is_open() => call.rows(view, now),
            Self::Call(call) => return Whole { rows: call.full(view), blob: call.blob() },
            Self::Hosted(call) => hosted::rows(call, true, view),
            Self::Sources(item) => hosted::sources(sources_of(item), true, view),
            Self::Notice(_) | Self::TurnEnd(_) | Self::Void => self.live(view, 0),
        };
        Whole { rows, blob: None }
    }
}

fn sources_of(item: &Item) -> &[Source] {
    match item {
        Item::Sources { sources } => sources,
        _ => &[],
    }
}

fn linkless(rows: Vec<Line<'static>>) -> Vec<Row> {
    rows.into_iter().map(Row::from).collect()
}

/// Adds a cell behind an empty row.
fn set_off<R: From<Line<'static>>>(cell: Vec<R>, any: &mut bool, rows: &mut Vec<R>) {
    if cell.is_empty() {
        return;
    }
    if std::mem::replace(any, true) {
        rows.push(Line::default().into());
    }
    rows.extend(cell);
}
