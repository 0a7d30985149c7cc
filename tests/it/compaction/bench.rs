//! A harness in this process, with a model that works on for ever, a small window, and a look at every request.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use agent::{
    context::{Network, Permissions, Person},
    harness::{self, Handle, OpenedModel, Parts, Place, Surroundings},
    model::{Chunk, Model, ModelError, ModelErrorKind, Prompt, Sealed, responses::encode::Encoder},
    protocol::{
        Approval, Args, Command, Content, Context, Delivery, Event, FORMAT_VERSION, Fact, FileOperation,
        Intent, Item, Limits, PatchedFile, Rule, SandboxMode, SessionId, Settings, Shown, Time, ToolForm,
        ToolSpec, Update, Usage,
    },
    sandbox,
    session::Session,
    shell::{self, Shell},
    store::{Blobs, Log},
    tools::{Output, Tool, ToolCx, ToolError, Toolbox, Workspace, recall::Recall, update_plan::UpdatePlan},
};
use futures::stream::{self, BoxStream, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// What the person wants first; in every request from then on.
pub const TASK: &str = "Port the fluxcapacitor driver to the new interface, and keep the calibration table.";
/// A rule of the project; in every request.
pub const RULE: &str = "RULE-7: nothing below vendor/ is ever touched.";
/// A step of the plan; in every request once it was told.
pub const PLAN: &str = "rewrite the calibration loader";

/// What the model's provider takes, counted as it counts.
pub const WINDOW: u64 = 24_000;

/// The host of the model's provider.
pub const HOST: &str = "bench.example";

/// What the model answers when it is asked for a summary.
pub type Summarise = Arc<dyn Fn(usize, &Prompt) -> Result<Vec<Item>, ModelError> + Send + Sync>;
/// What the model answers otherwise: to which request, and what that request held.
pub type Answer = Arc<dyn Fn(usize, &Prompt) -> Result<Vec<Item>, ModelError> + Send + Sync>;

/// What the provider makes of a conversation itself.
pub type Seal = Arc<dyn Fn(&Prompt) -> Result<Option<Sealed>, ModelError> + Send + Sync>;

/// A good summary.
pub const GOOD: &str = "## Goal\nPort the fluxcapacitor driver to the new interface.\n\n## Decisions\nKeep the table \
                        as it is.\n\n## State\nHalf of the functions are ported.\n\n## Next step\nPort the next function.";

/// What the model has seen and done.
#[derive(Default)]
pub struct Seen {
    /// Requests for an answer, and for a summary.
    pub requests: usize,
    pub summaries: usize,
    /// The hash of each request for an answer, as it went out.
    pub hashes: Vec<blake3::Hash>,
    /// The largest request, in tokens of the provider.
    pub largest: u64,
    /// Requests that the provider found too long.
    pub refused: usize,
    /// Calls whose results the next request has to hold.
    pub owed: Vec<String>,
    /// How much longer the provider finds a text than the program does, in percent.
    pub dearer: u64,
    /// What it says was wrong with the requests.
    pub wrong: Vec<String>,
    /// It never answers when it is asked for a summary.
    pub hangs: bool,
    /// Answers with an error that come before all others.
    pub errors: VecDeque<ModelError>,
    /// How often the provider was to make the conversation smaller itself, where it can.
    pub sealings: usize,
    pub seal: Option<Seal>,
    /// How long this model has looked at requests.
    pub looked: Duration,
}

pub struct Scripted {
    pub seen: Mutex<Seen>,
    answer: Answer,
    summarise: Summarise,
}

impl Scripted {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

#[async_trait::async_trait]
impl Model for Scripted {
    async fn respond(
        &self,
        prompt: &Prompt,
    ) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError> {
        let since = Instant::now();
        let answer = self.answer(prompt).await;
        self.seen().looked += since.elapsed();
        answer
    }

    async fn compact(&self, prompt: &Prompt, _: &str) -> Result<Option<Sealed>, ModelError> {
        let Some(seal) = self.seen().seal.clone() else { return Ok(None) };
        self.seen().sealings += 1;
        seal(prompt)
    }
}

impl Scripted {
    async fn answer(
        &self,
        prompt: &Prompt,
    ) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError> {
        let body = Encoder::default().at(HOST).request(prompt);
        let asked = prompt.kept.last().is_some_and(|item| matches!(**item, Item::User { .. }));
        let hangs = asked && self.seen().hangs;
        if hangs {
            std::future::pending::<()>().await;
        }
        let (items, usage) = {
            let mut seen = self.seen();
            let dearer = seen.dearer;
            let tokens = |bytes: u64| bytes * (100 + dearer) / 100 / 4;
            let input = tokens(body.len() as u64);
            if let Some(error) = seen.errors.pop_front() {
                return Err(error);
            }
            if input > WINDOW {
                seen.refused += 1;
                return Err(ModelError::new(ModelErrorKind::ContextWindow, "maximum context length"));
            }
            let items = if asked {
                seen.summaries += 1;
                let number = seen.summaries;
                drop(seen);
                (self.summarise)(number, prompt)?
            } else {
                seen.largest = seen.largest.max(input);
                look(&mut seen, prompt, &body);
                seen.hashes.push(blake3::hash(&body));
                seen.requests += 1;
                let number = seen.requests;
                drop(seen);
                let items = (self.answer)(number, prompt)?;
                let calls = items.iter().filter_map(Item::call).map(ToString::to_string);
                self.seen().owed = calls.collect();
                items
            };
            let output =
                items.iter().map(|item| tokens(serde_json::to_vec(item).unwrap().len() as u64)).sum();
            (items, Usage { input, output, ..Usage::default() })
        };
        let chunks: Vec<Chunk> =
            items.into_iter().map(Chunk::Item).chain([Chunk::Finished { usage: Some(usage) }]).collect();
        Ok(stream::iter(chunks.into_iter().map(Ok)).boxed())
    }
}

/// Holds a request against what must be in it.
fn look(seen: &mut Seen, prompt: &Prompt, body: &[u8]) {
    let mut wrong = |what: String| seen.wrong.push(format!("request {}: {what}", seen.requests + 1));
    let text = std::str::from_utf8(body).unwrap();
    if !text.contains(TASK) {
        wrong("the task is not in it".to_owned());
    }
    if !text.contains(RULE) {
        wrong("the rule is not in it".to_owned());
    }
    if seen.requests > 1 && !text.contains(PLAN) {
        wrong("the plan is not in it".to_owned());
    }
    let body: Value = serde_json::from_slice(body).unwrap();
    let items = body["input"].as_array().unwrap();
    let ids = |kind: &str| -> Vec<&str> {
        let of_kind =
            items.iter().filter(|item| item["type"].as_str().is_some_and(|name| name.ends_with(kind)));
        of_kind.map(|item| item["call_id"].as_str().unwrap()).collect()
    };
    let (calls, results) = (ids("_call"), ids("_call_output"));
    if calls != results {
        wrong(format!("calls {calls:?} have results {results:?}"));
    }
    for owed in &seen.owed {
        if !results.contains(&owed.as_str()) {
            wrong(format!("the result of {owed} is lost"));
        }
    }
    let system =
        prompt.items.iter().filter(|item| matches!(***item, Item::Context { context: Context::System, .. }));
    if system.count() != 1 {
        wrong("there is not one system prompt".to_owned());
    }
}

/// A tool that says as much as it is asked to; one that changes a file.
struct Talks(&'static str);

#[async_trait::async_trait]
impl Tool for Talks {
    fn spec(&self) -> ToolSpec {
        let parameters = json!({"type": "object"});
        ToolSpec {
            name: self.0.into(),
            description: "a tool".into(),
            form: ToolForm::Function { parameters },
        }
    }

    fn intent(&self, _: &Args, _: &Workspace) -> Result<Intent, ToolError> {
        Ok(Intent::None)
    }

    async fn run(&self, args: &Args, cx: ToolCx) -> Result<Output, ToolError> {
        let args: Value = serde_json::from_str(args.as_str()).unwrap();
        let (name, bytes) = (args["name"].as_str().unwrap(), args["bytes"].as_u64().unwrap_or(40));
        let line = format!("{name}: line of an output\n");
        let text = line.repeat(usize::try_from(bytes).unwrap() / line.len() + 1);
        let shown = if self.0 == "change" {
            let file = PatchedFile {
                path: cx.workspace.root.join(name),
                operation: FileOperation::Update,
                moved_to: None,
                added: 1,
                removed: 1,
                diff: String::new(),
            };
            Shown::Patch { files: vec![file] }
        } else {
            Shown::Text { text: format!("looked at {name}") }
        };
        Ok(Output { content: vec![Content::text(text)], shown, blobs: Vec::new() })
    }
}

struct Around;

impl Surroundings for Around {
    fn place(&self, _: &Settings) -> Result<Place, String> {
        Err("there is only one place here".to_owned())
    }

    fn opening(&self, _: &Settings) -> Vec<Item> {
        opening()
    }

    fn keep(&self, _: &Rule) -> Result<(), String> {
        Err("there is no settings file".to_owned())
    }

    fn forget(&self, _: &Rule) -> Result<(), String> {
        Err("there is no settings file".to_owned())
    }

    fn rules(&self) -> Option<Result<Vec<Rule>, String>> {
        None
    }
}

fn permissions() -> Permissions {
    Permissions {
        sandbox: SandboxMode::DangerFullAccess,
        approval: Approval::Never,
        network: Network::On,
        backend: String::new(),
        weak: None,
        person: Person::Present,
    }
}

pub fn opening() -> Vec<Item> {
    let item = |context, text: &str| Item::Context { context, text: text.to_owned() };
    vec![
        item(Context::System, "You work."),
        permissions().item(),
        item(Context::Instructions, RULE),
        item(Context::Environment, "<environment>here</environment>"),
    ]
}

pub fn toolbox() -> Toolbox {
    Toolbox::new(vec![
        Arc::new(Talks("look")),
        Arc::new(Talks("change")),
        Arc::new(UpdatePlan),
        Arc::new(Recall),
    ])
}

/// A session with such a model, that can be stopped and gone on with.
pub struct Bench {
    _folder: tempfile::TempDir,
    pub root: PathBuf,
    pub model: Arc<Scripted>,
    window: u64,
    handle: Option<Handle>,
}

impl Bench {
    pub fn new(answer: Answer, summarise: Summarise) -> Self {
        Self::in_window(WINDOW, answer, summarise)
    }

    /// The program believes in this window, whatever the provider takes.
    pub fn in_window(window: u64, answer: Answer, summarise: Summarise) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let model = Arc::new(Scripted { seen: Mutex::default(), answer, summarise });
        let mut bench = Self { _folder: folder, root, model, window, handle: None };
        bench.open();
        bench
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("session/log.jsonl")
    }

    fn open(&mut self) {
        let (log, history) = if self.log().exists() {
            crate::support::scripted::open_log(&self.log()).unwrap()
        } else {
            (Log::create(&self.log()).unwrap(), Vec::new())
        };
        let begin = if history.is_empty() { self.begin() } else { Vec::new() };
        let outside = sandbox::outside(env!("CARGO_BIN_EXE_agent").into());
        let (told, exits) = mpsc::unbounded_channel();
        let blobs = self.root.join("session/blobs");
        let shell = Shell::new(
            shell::Settings {
                blobs: blobs.clone(),
                workspace: self.root.clone(),
                env: Vec::new(),
                shell: "/bin/sh".into(),
                sandbox: Arc::clone(&outside),
                outside,
                forbidden: Vec::new(),
                secrets: Default::default(),
                person: None,
                max_processes: 1,
                seed: 1,
            },
            told,
        );
        let model: Arc<dyn Model> = Arc::<Scripted>::clone(&self.model);
        self.handle = Some(harness::start(Parts {
            log,
            session: Session::replay(&history),
            begin,
            blobs: Blobs::new(blobs),
            snapshots: None,
            tarball: None,
            models: Arc::new(move |_| Ok(OpenedModel { model: Arc::clone(&model), name: "m".into() })),
            tools: toolbox(),
            workspace: Workspace { root: self.root.clone(), writable: Vec::new(), own: Vec::new() },
            shell,
            exits,
            asks: mpsc::unbounded_channel().1,
            network: None,
            clock: Arc::new(|| Time::UNIX_EPOCH),
            permissions: permissions(),
            surroundings: Arc::new(Around),
            deltas: false,
            patience: Duration::from_millis(500),
        }));
    }

    fn begin(&self) -> Vec<Fact> {
        let settings = Settings {
            model: "mock/m".parse().unwrap(),
            effort: None,
            verbosity: None,
            approval: Approval::Never,
            sandbox: SandboxMode::DangerFullAccess,
            backend: "local".into(),
            limits: Limits::new(self.window, 10_000),
            tools: agent::protocol::ToolStyle::Codex,
            price: None,
            snapshots: agent::protocol::Snapshots::Off,
            output_schema: None,
        };
        let started = Fact::SessionStarted {
            session: SessionId(uuid::Uuid::from_u128(7)),
            version: FORMAT_VERSION,
            agent: "test".into(),
            workspace: self.root.clone(),
            parent: None,
        };
        let opening = opening().into_iter().map(Fact::item);
        [started, Fact::Configured { settings }].into_iter().chain(opening).collect()
    }

    pub fn command(&self, command: Command) {
        self.handle.as_ref().unwrap().commands.send(command).unwrap();
    }

    pub fn say(&self, text: &str) {
        self.command(Command::Submit { content: vec![Content::text(text)], delivery: Delivery::AfterTurn });
    }

    /// Listens until a fact is what is wanted; that fact.
    pub async fn until(&mut self, mut wanted: impl FnMut(&Fact) -> bool) -> Event {
        let updates = &mut self.handle.as_mut().unwrap().updates;
        let listening = async {
            loop {
                match updates.recv().await.expect("the harness goes on") {
                    Update::Event(event) if wanted(&event.fact) => return event,
                    Update::Rejected(rejection) => panic!("{rejection}"),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(1200), listening).await.expect("it is told in time")
    }

    /// Says something, and waits for the end of the turn.
    pub async fn turn(&mut self, text: &str) -> Fact {
        self.say(text);
        self.until(|fact| matches!(fact, Fact::TurnFinished { .. })).await.fact
    }

    pub async fn stop(&mut self) {
        let mut handle = self.handle.take().unwrap();
        // It may have ended on its own.
        let _ = handle.commands.send(Command::Shutdown);
        while handle.updates.recv().await.is_some() {}
        handle.ended.await.unwrap().unwrap();
    }

    pub async fn again(&mut self) {
        self.stop().await;
        self.open();
    }

    pub fn events(&self) -> Vec<Event> {
        agent::store::read_events(&self.log()).unwrap()
    }
}

pub fn call(tool: &str, id: &str, args: &Value) -> Item {
    Item::ToolCall { call: id.into(), id: None, tool: tool.into(), args: Args::Json(args.to_string()) }
}

pub fn says(text: &str) -> Item {
    Item::Assistant { id: None, text: text.into(), partial: false }
}

pub fn plan() -> Item {
    let steps = json!([
        {"step": "read the driver", "status": "completed"},
        {"step": PLAN, "status": "in_progress"},
    ]);
    call("update_plan", "plan", &json!({ "plan": steps }))
}

/// Memory of this process that is not on the disk, in bytes.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}
