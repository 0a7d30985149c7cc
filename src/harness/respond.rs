//! Asking the model: one answer, however many tries it takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::model::{Chunk, Model, ModelError, ModelErrorKind, Prompt, ReadBlob};
use crate::policy::Policy;
use crate::protocol::{
    Approval, BlobId, Context, Delta, Fact, Item, Price, ResponseId, ResponseOutcome, SandboxMode, Settings,
    ToolSpec, ToolStyle, Usage,
};
use crate::store::Blobs;

use super::{
    Harness, OpenedModel, lock, retry,
    work::{Ending, Work},
};

/// How often deltas are sent on: faster than this nobody reads.
const FRAME: Duration = Duration::from_millis(33);

impl Harness {
    /// Begins to ask for an answer.
    pub(super) fn ask_model(&mut self, response: ResponseId) {
        self.read_rules();
        self.tell_permissions();
        self.tell_news();
        self.tell_tools();
        self.watch_window();
        if self.asks_for_hosted() {
            return;
        }
        self.foresee();
        self.record(vec![Fact::ResponseStarted { response }]);
        let opened = match self.session.settings.clone() {
            Some(settings) => self.opened(&settings).map(|opened| (opened, settings)),
            None => return self.fail(response, "internal", "the session has no settings".to_owned()),
        };
        let (OpenedModel { model, name }, settings) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.fail(response, error.kind.as_str(), error.message),
        };
        let prompt = self.prompt(name, &settings);
        // What was said of an earlier answer is none of this one.
        self.partial = Arc::default();
        self.asking = self.turn.child_token();
        let job = Asking {
            response,
            model,
            prompt,
            work: self.work.clone(),
            cancel: self.asking.clone(),
            partial: Arc::clone(&self.partial),
            deltas: self.deltas,
            pending: Pending::default(),
            price: settings.price,
            another: self.surroundings.instead(&settings).is_some(),
        };
        tokio::spawn(job.run());
    }

    /// Tells the model that its tools are called otherwise, if another model was there before.
    fn tell_tools(&mut self) {
        let Some(now) = self.session.settings.as_ref().map(|settings| settings.tools) else { return };
        if self.told_tools.replace(now).is_none_or(|told| told == now) {
            return;
        }
        let specs = self.specs(now);
        let names: Vec<String> = specs.iter().map(|spec| format!("`{}`", spec.name)).collect();
        let text = format!(
            "Another model takes over here. Your tools are {}. Calls above by other names were of the same tools; use only \
             these from now on.",
            names.join(", ")
        );
        self.record(vec![Fact::item(Item::Context { context: Context::Notice, text })]);
    }

    /// What a model that knows this style is told of the tools.
    fn specs(&self, style: ToolStyle) -> Arc<[ToolSpec]> {
        self.tools.specs(style, self.session.compactions > 0, self.session.goals > 0)
    }

    /// What the model is asked with.
    pub(super) fn prompt(&self, model: String, settings: &Settings) -> Prompt {
        Prompt {
            model,
            cache_key: self.session.id.map(|id| id.to_string()).unwrap_or_default(),
            effort: settings.effort,
            verbosity: settings.verbosity,
            output_schema: settings.output_schema.clone(),
            tools: self.with_hosted(self.specs(settings.tools), settings),
            epoch: self.session.epoch,
            items: Arc::clone(&self.session.items),
            left_out: self.session.left_out,
            kept: Vec::new(),
            blobs: Arc::new(StoredBlobs(self.blobs.clone())),
        }
    }

    pub(super) fn opened(&mut self, settings: &Settings) -> Result<OpenedModel, ModelError> {
        if let Some((of, opened)) = &self.model
            && *of == settings.model
        {
            return Ok(opened.clone());
        }
        let opened = catch_unwind(AssertUnwindSafe(|| (self.models)(settings)))
            .unwrap_or_else(|_| Err(crashed("opening the model")))?;
        self.model = Some((settings.model.clone(), opened.clone()));
        Ok(opened)
    }

    /// What the session goes on with when its model can't answer, because too many ask it or nobody reaches it.
    pub(super) fn instead(&self, error: &ModelError) -> Option<Settings> {
        match error.kind {
            ModelErrorKind::RateLimit | ModelErrorKind::Server | ModelErrorKind::Network => {
                self.surroundings.instead(self.session.settings.as_ref()?)
            }
            ModelErrorKind::Auth
            | ModelErrorKind::Request
            | ModelErrorKind::ContextWindow
            | ModelErrorKind::Incomplete
            | ModelErrorKind::Garbage
            | ModelErrorKind::Internal => None,
        }
    }

    pub(super) fn fail(&mut self, response: ResponseId, kind: &str, message: String) {
        self.asking.cancel();
        let outcome = ResponseOutcome::Failed { kind: kind.to_owned(), message };
        self.record(vec![Fact::ResponseFinished { response, outcome, usage: None }]);
    }

    pub(super) fn policy(&self) -> Policy {
        let (approval, sandbox) =
            self.session.settings.as_ref().map_or((Approval::Never, SandboxMode::ReadOnly), |settings| {
                (settings.approval, settings.sandbox)
            });
        let mut roots = vec![self.workspace.root.clone()];
        roots.extend(self.workspace.writable.iter().cloned());
        let weak = self.permissions.weak.clone();
        Policy { approval, sandbox, weak, roots, scripts: BTreeMap::new(), configured: BTreeSet::new() }
    }
}

struct StoredBlobs(Blobs);

impl ReadBlob for StoredBlobs {
    fn read(&self, blob: &BlobId) -> io::Result<Vec<u8>> {
        self.0.read(blob)
    }
}

/// One answer being asked for.
struct Asking {
    response: ResponseId,
    model: Arc<dyn Model>,
    prompt: Prompt,
    work: mpsc::UnboundedSender<Work>,
    cancel: CancellationToken,
    partial: Arc<Mutex<String>>,
    deltas: bool,
    pending: Pending,
    price: Option<Price>,
    /// Whether another model can be asked instead.
    another: bool,
}

/// Deltas that wait for the next frame.
#[derive(Default)]
struct Pending {
    kind: Kind,
    text: String,
    since: Option<Instant>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    #[default]
    Text,
    Reasoning,
    Arguments,
}

impl Asking {
    async fn run(mut self) {
        let cancel = self.cancel.clone();
        let response = self.response;
        let ending = tokio::select! {
            () = cancel.cancelled() => return,
            ending = AssertUnwindSafe(self.tries()).catch_unwind() => {
                ending.unwrap_or_else(|_| Ending::Failed { error: crashed("asking the model") })
            }
        };
        self.tell(Work::Answered { response, ending: ending.priced(self.price) });
    }

    async fn tries(&mut self) -> Ending {
        let mut tries = 1;
        loop {
            let error = match self.one_try().await {
                Ok(usage) => return Ending::Completed { usage },
                Err(error) => error,
            };
            self.flush();
            lock(&self.partial).clear();
            // A call that came whole is answered; the model goes on from its result.
            let has_call = self.prompt.kept.iter().any(|item| matches!(**item, Item::ToolCall { .. }));
            if has_call {
                return Ending::Cut { error };
            }
            let Some(pause) = retry::pause(&error, tries, jitter(), self.another) else {
                return Ending::Failed { error };
            };
            let note = retry::note(&error, tries, pause);
            self.tell(Work::Retrying { response: self.response, note });
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    async fn one_try(&mut self) -> Result<Option<Usage>, ModelError> {
        let mut stream = self.model.respond(&self.prompt).await?;
        // What an earlier try of this answer had completed comes again as a rule; it is not said twice. Thoughts
        // never come again as they were: new ones go with the item that they lead to.
        let kept = self.prompt.kept.clone().into_iter();
        let mut repeated = kept.filter(|item| !matches!(**item, Item::Reasoning { .. })).peekable();
        let mut thoughts = Vec::new();
        loop {
            let next = match self.pending.since {
                None => stream.next().await,
                Some(since) => match tokio::time::timeout_at(since + FRAME, stream.next()).await {
                    Ok(next) => next,
                    Err(_) => {
                        self.flush();
                        continue;
                    }
                },
            };
            match next {
                Some(Ok(Chunk::Text(text))) => {
                    lock(&self.partial).push_str(&text);
                    self.delta(Kind::Text, &text);
                }
                Some(Ok(Chunk::Reasoning(text))) => self.delta(Kind::Reasoning, &text),
                Some(Ok(Chunk::Arguments(text))) => self.delta(Kind::Arguments, &text),
                Some(Ok(Chunk::Item(item))) => {
                    self.flush();
                    let partial = Arc::clone(&self.partial);
                    let mut partial = lock(&partial);
                    if matches!(item, Item::Assistant { .. }) {
                        partial.clear();
                    }
                    if repeated.peek().is_some() && matches!(item, Item::Reasoning { .. }) {
                        thoughts.push(item);
                    } else if repeated.next_if(|kept| same(kept, &item)).is_some() {
                        thoughts.clear();
                    } else {
                        thoughts.drain(..).for_each(|thought| self.keep(thought));
                        self.keep(item);
                    }
                }
                Some(Ok(Chunk::Note(text))) => self.tell(Work::Note { text }),
                Some(Ok(Chunk::Finished { usage })) => {
                    self.flush();
                    thoughts.drain(..).for_each(|thought| self.keep(thought));
                    return Ok(usage);
                }
                Some(Err(error)) => return Err(error),
                None => return Err(ModelError::new(ModelErrorKind::Network, "the answer just stopped")),
            }
        }
    }

    /// An item is whole: whatever becomes of the rest, it was said.
    fn keep(&mut self, item: Item) {
        self.prompt.kept.push(Arc::new(item.clone()));
        self.tell(Work::Item { response: self.response, item });
    }

    fn delta(&mut self, kind: Kind, text: &str) {
        if !self.deltas {
            return;
        }
        if self.pending.kind != kind {
            self.flush();
            self.pending.kind = kind;
        }
        self.pending.text.push_str(text);
        let since = *self.pending.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= FRAME {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.pending.since = None;
        if self.pending.text.is_empty() {
            return;
        }
        let (response, text) = (self.response, std::mem::take(&mut self.pending.text));
        self.tell(Work::Delta(match self.pending.kind {
            Kind::Text => Delta::Text { response, text },
            Kind::Reasoning => Delta::Reasoning { response, text },
            Kind::Arguments => Delta::Arguments { response, text },
        }));
    }

    fn tell(&self, work: Work) {
        // The harness has ended: nobody is left to care.
        let _ = self.work.send(work);
    }
}

/// What a panic comes to.
fn crashed(what: &str) -> ModelError {
    let message = format!("{what} crashed; this is a bug of the agent, and not of the model");
    ModelError::new(ModelErrorKind::Internal, message)
}

/// Whether two items say the same, whatever ids the provider gave them.
fn same(a: &Item, b: &Item) -> bool {
    match (a, b) {
        (Item::Assistant { text: a, .. }, Item::Assistant { text: b, .. }) => a == b,
        (Item::ToolCall { tool: a, args: x, .. }, Item::ToolCall { tool: b, args: y, .. }) => {
            a == b && x == y
        }
        _ => a == b,
    }
}

/// From 0 to 1: the clock's last digits are random enough to spread clients.
fn jitter() -> f64 {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.subsec_nanos());
    f64::from(nanos % 1000) / 1000.0
}
