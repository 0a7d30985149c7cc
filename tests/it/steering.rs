//! A person who speaks, takes back and interrupts while a turn runs: the harness as a face uses it.

use std::{
    collections::VecDeque,
    fs,
    sync::{Arc, Mutex, OnceLock},
};

use agent::{
    context::{Network, Permissions, Person},
    harness::{self, Handle, OpenModel, OpenedModel, Parts, Place, Surroundings},
    model::{
        Chunk, Model, ModelError, Prompt,
        catalog::{self, Catalog},
    },
    protocol::{
        Approval, Args, By, Command, Content, Delivery, Event, FORMAT_VERSION, Fact, Grant, InputId, Intent,
        Item, Limits, Outcome, ProcessId, Rejection, Rule, SandboxMode, Scope, SessionId, Settings, Time,
        ToolForm, ToolSpec, Update, Verdict,
    },
    sandbox::{self, SharedSandbox},
    session::{ProcessState, Session},
    shell::{self, Exit, Shell},
    store::{Blobs, Log},
    tools::{Output, Tool, ToolCx, ToolError, Toolbox, Workspace},
};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::mpsc;

use serde_json::json;

use crate::support::{
    mock::{self, Gate, Step},
    world::{World, facts, output, results, shell as call, story},
};

/// A running harness, and everything that it has told.
struct Talk {
    world: World,
    handle: Handle,
    /// Tells the harness of ends of processes, as the shell does.
    exits: mpsc::UnboundedSender<Exit>,
    told: Vec<Event>,
}

/// The only place is without a sandbox, and nothing can be kept.
struct Unconfined(SharedSandbox);

fn permissions(approval: Approval) -> Permissions {
    Permissions {
        sandbox: SandboxMode::DangerFullAccess,
        approval,
        network: Network::On,
        backend: String::new(),
        weak: None,
        person: Person::Present,
    }
}

impl Surroundings for Unconfined {
    fn place(&self, settings: &Settings) -> Result<Place, String> {
        match settings.sandbox {
            SandboxMode::DangerFullAccess => Ok(Place {
                sandbox: Arc::clone(&self.0),
                env: sandbox::env::for_commands(settings.sandbox),
                permissions: permissions(settings.approval),
            }),
            SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => Err("there is no sandbox here".to_owned()),
        }
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

impl Talk {
    /// A harness without a sandbox, whose model answers with these steps.
    async fn with(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::changed(steps, |_| {}).await
    }

    /// The same of other parts.
    async fn changed(steps: impl IntoIterator<Item = Step>, change: impl FnOnce(&mut Parts)) -> Self {
        let world = World::bare(steps).await;
        let id = SessionId(uuid::Uuid::now_v7());
        let folder = world.home.join("sessions").join(id.to_string());
        let outside = sandbox::outside(env!("CARGO_BIN_EXE_agent").into());
        let unconfined = Unconfined(Arc::clone(&outside));
        let (told, exits) = mpsc::unbounded_channel();
        let shell = Shell::new(
            shell::Settings {
                blobs: folder.join("blobs"),
                workspace: world.workspace.clone(),
                env: sandbox::env::for_commands(SandboxMode::DangerFullAccess),
                shell: "/bin/bash".into(),
                sandbox: Arc::clone(&outside),
                outside,
                forbidden: Vec::new(),
                secrets: Default::default(),
                person: None,
                max_processes: 8,
                seed: 1,
            },
            told.clone(),
        );
        let settings = Settings {
            model: "mock/m".parse().unwrap(),
            effort: None,
            verbosity: None,
            approval: Approval::Never,
            sandbox: SandboxMode::DangerFullAccess,
            backend: "local".into(),
            limits: Limits::new(100_000, 10_000),
            tools: agent::protocol::ToolStyle::Codex,
            price: None,
            snapshots: agent::protocol::Snapshots::Off,
            output_schema: None,
        };
        let providers = format!("mock.base_url = '{}'", world.mock.base_url());
        let catalog = Catalog::builtin().with(&toml::from_str(&providers).unwrap());
        let mut parts = Parts {
            log: Log::create(&folder.join("log.jsonl")).unwrap(),
            session: Session::default(),
            begin: vec![
                Fact::SessionStarted {
                    session: id,
                    version: FORMAT_VERSION,
                    agent: "test".into(),
                    workspace: world.workspace.clone(),
                    parent: None,
                },
                Fact::Configured { settings },
            ],
            blobs: Blobs::new(folder.join("blobs")),
            snapshots: None,
            tarball: None,
            models: Arc::new(move |settings| {
                let resolved = catalog.resolve(&settings.model).unwrap();
                Ok(OpenedModel {
                    model: catalog::open(&resolved, None, None)?,
                    name: settings.model.model.clone(),
                })
            }),
            tools: Toolbox::builtin(),
            workspace: Workspace { root: world.workspace.clone(), writable: Vec::new(), own: Vec::new() },
            shell,
            exits,
            asks: mpsc::unbounded_channel().1,
            network: None,
            clock: Arc::new(Time::now),
            permissions: permissions(Approval::Never),
            surroundings: Arc::new(unconfined),
            deltas: true,
            patience: harness::PATIENCE,
        };
        change(&mut parts);
        Self { world, handle: harness::start(parts), exits: told, told: Vec::new() }
    }

    fn command(&self, command: Command) {
        self.handle.commands.send(command).unwrap();
    }

    fn say(&self, text: &str, delivery: Delivery) {
        self.command(Command::Submit { content: vec![Content::text(text)], delivery });
    }

    /// Listens until a fact is what is wanted.
    async fn until(&mut self, wanted: impl Fn(&Fact) -> bool) {
        self.listen(|update| matches!(update, Update::Event(event) if wanted(&event.fact))).await;
    }

    async fn rejection(&mut self) -> Rejection {
        match self.listen(|update| matches!(update, Update::Rejected(_))).await {
            Update::Rejected(rejection) => rejection,
            other => unreachable!("{other:?}"),
        }
    }

    async fn listen(&mut self, wanted: impl Fn(&Update) -> bool) -> Update {
        let listening = async {
            loop {
                let update = self.handle.updates.recv().await.expect("the harness goes on");
                if let Update::Event(event) = &update {
                    self.told.push(event.clone());
                }
                if wanted(&update) {
                    return update;
                }
            }
        };
        let limit = std::time::Duration::from_secs(60);
        tokio::time::timeout(limit, listening).await.expect("it is told in time")
    }

    async fn until_idle(&mut self) {
        loop {
            self.until(|fact| matches!(fact, Fact::TurnFinished { .. })).await;
            if Session::replay(&self.told).idle() {
                return;
            }
        }
    }

    /// Ends it; the whole story from the first turn on. What was told equals what was kept.
    async fn end(mut self) -> (World, Vec<String>) {
        self.command(Command::Shutdown);
        while let Some(update) = self.handle.updates.recv().await {
            if let Update::Event(event) = update {
                self.told.push(event);
            }
        }
        self.handle.ended.await.unwrap().unwrap();
        let kept = facts(&fs::read_to_string(self.world.log_file()).unwrap());
        let told: Vec<_> = self.told.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
        assert_eq!(kept, told);
        let begin = kept.iter().position(|fact| fact["type"] == "turn_started").unwrap();
        (self.world, story(&kept[begin..]))
    }
}

fn started(call: &'static str) -> impl Fn(&Fact) -> bool {
    move |fact| matches!(fact, Fact::ToolStarted { call: id } if id.as_str() == call)
}

fn queued(fact: &Fact) -> bool {
    matches!(fact, Fact::InputQueued { .. })
}

/// Lets the command go on that reads this pipe.
async fn open_gate(path: std::path::PathBuf) {
    tokio::task::spawn_blocking(move || fs::write(path, "through\n")).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_message_during_calls_is_heard_after_all_of_their_results() {
    let mut talk = Talk::with([Step::items([call("cat one"), call("cat two")]), Step::text("ok")]).await;
    let [one, two] = ["one", "two"].map(|name| talk.world.fifo(name));
    talk.say("go", Delivery::Steer);
    talk.until(started("call_1_2")).await;
    talk.say("also this", Delivery::Steer);
    talk.say("and that", Delivery::Steer);
    talk.until(|fact| matches!(fact, Fact::InputQueued { input: InputId(2), .. })).await;
    open_gate(two).await;
    open_gate(one).await;
    talk.until_idle().await;
    let (world, story) = talk.end().await;
    let kinds: Vec<String> = world
        .sent(2)
        .iter()
        .map(|item| match item["type"].as_str().unwrap() {
            "message" => item["content"][0]["text"].as_str().unwrap().to_owned(),
            kind => format!("{kind} {}", item["call_id"].as_str().unwrap()),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "go",
            "function_call call_1_1",
            "function_call call_1_2",
            "function_call_output call_1_1",
            "function_call_output call_1_2",
            "also this",
            "and that",
        ]
    );
    assert_eq!(story.iter().filter(|word| *word == "turn_started").count(), 1);
    assert_eq!(world.mock.requests().len(), 2);
}

#[tokio::test]
async fn a_message_during_an_answer_without_calls_goes_on_with_the_same_turn() {
    let gate = Gate::new();
    let mut talk = Talk::with([Step::text("first").gate(0, &gate), Step::text("second")]).await;
    talk.say("go", Delivery::Steer);
    gate.reached().await;
    talk.say("wait, this too", Delivery::Steer);
    talk.until(queued).await;
    gate.open();
    talk.until_idle().await;
    let (_, story) = talk.end().await;
    assert_eq!(
        story,
        [
            "turn_started",
            "user go",
            "response_started",
            "input_queued",
            "assistant first",
            "response_finished completed",
            "user wait, this too",
            "response_started",
            "assistant second",
            "response_finished completed",
            "turn_finished done",
        ]
    );
}

#[tokio::test]
async fn a_message_for_later_is_a_turn_of_its_own() {
    let gate = Gate::new();
    let mut talk = Talk::with([Step::text("first").gate(0, &gate), Step::text("second")]).await;
    talk.say("go", Delivery::Steer);
    gate.reached().await;
    talk.say("then this", Delivery::AfterTurn);
    talk.until(queued).await;
    gate.open();
    talk.until_idle().await;
    let (_, story) = talk.end().await;
    let turns: Vec<&str> = story
        .iter()
        .map(String::as_str)
        .filter(|word| word.starts_with("turn_") || word.starts_with("user"))
        .collect();
    assert_eq!(
        turns,
        [
            "turn_started",
            "user go",
            "turn_finished done",
            "turn_started",
            "user then this",
            "turn_finished done"
        ]
    );
}

#[tokio::test]
async fn what_was_taken_back_is_never_heard() {
    let gate = Gate::new();
    let mut talk = Talk::with([Step::text("first").gate(0, &gate), Step::text("second")]).await;
    talk.say("go", Delivery::Steer);
    gate.reached().await;
    talk.say("no, not this", Delivery::Steer);
    talk.say("but this", Delivery::Steer);
    talk.command(Command::Retract { input: InputId(1) });
    talk.until(|fact| matches!(fact, Fact::InputRetracted { .. })).await;
    // Only once, and only what is still waiting.
    talk.command(Command::Retract { input: InputId(1) });
    assert_eq!(talk.rejection().await, Rejection::NotQueued(InputId(1)));
    gate.open();
    talk.until_idle().await;
    talk.command(Command::Retract { input: InputId(2) });
    assert_eq!(talk.rejection().await, Rejection::NotQueued(InputId(2)));
    let (world, story) = talk.end().await;
    let said: Vec<&str> = story.iter().filter_map(|word| word.strip_prefix("user ")).collect();
    assert_eq!(said, ["go", "but this"]);
    assert!(!String::from_utf8_lossy(&world.mock.requests()[1].raw).contains("not this"));
}

#[tokio::test]
async fn an_interrupt_gives_running_calls_their_results_and_ends_the_turn() {
    let mut talk = Talk::with([
        Step::items([call("trap '' INT TERM; echo up; cat gate; cat gate"), call("cat gate")]),
        Step::text("ok"),
    ])
    .await;
    talk.world.fifo("gate");
    talk.say("go", Delivery::Steer);
    talk.until(started("call_1_2")).await;
    talk.command(Command::Interrupt);
    talk.until_idle().await;
    // What comes too late changes nothing: the next turn is the proof that the old one is over.
    talk.say("again", Delivery::Steer);
    talk.until_idle().await;
    talk.command(Command::Interrupt);
    assert_eq!(talk.rejection().await, Rejection::Idle);
    let (world, story) = talk.end().await;
    let at = story.iter().position(|word| word == "tool_result call_1_1").unwrap();
    assert_eq!(
        story[at..],
        [
            "tool_result call_1_1",
            "tool_result call_1_2",
            "turn_finished interrupted",
            "turn_started",
            "user again",
            "response_started",
            "assistant ok",
            "response_finished completed",
            "turn_finished done",
        ]
    );
    let results = results(&world.sent(2));
    assert!(results.iter().all(|(_, text)| text.as_str().unwrap().starts_with("aborted by user after")));
}

#[tokio::test]
async fn a_message_that_waits_survives_an_interrupt_as_the_next_turn() {
    let mut talk =
        Talk::with([Step::items([call("cat gate")]), Step::items([call("echo on")]), Step::text("ok")]).await;
    talk.world.fifo("gate");
    talk.say("go", Delivery::Steer);
    talk.until(started("call_1_1")).await;
    talk.say("do this instead", Delivery::Steer);
    talk.command(Command::Interrupt);
    talk.until_idle().await;
    let (world, story) = talk.end().await;
    let at = story.iter().position(|word| word == "turn_finished interrupted").unwrap();
    assert_eq!(story[at + 1..at + 3], ["turn_started", "user do this instead"]);
    // The interrupt of one turn does not reach into the next.
    assert_eq!(output(world.results(3)[1].1.as_str().unwrap()), "on\n");
    assert_eq!(story.last().unwrap(), "turn_finished done");
}

#[tokio::test]
async fn an_interrupt_during_an_answer_keeps_its_beginning_and_hangs_up() {
    let gate = Gate::new();
    let mut talk =
        Talk::with([Step::text("One half. The other half.").gate(4, &gate), Step::text("ok")]).await;
    talk.say("go", Delivery::Steer);
    talk.listen(|update| matches!(update, Update::Delta(agent::protocol::Delta::Text { .. }))).await;
    talk.command(Command::Interrupt);
    talk.until_idle().await;
    gate.open();
    talk.say("again", Delivery::Steer);
    talk.until_idle().await;
    let (world, story) = talk.end().await;
    let said: Vec<&str> = story.iter().filter_map(|word| word.strip_prefix("assistant ")).collect();
    assert_eq!(said.len(), 2, "{story:?}");
    assert!("One half. The other half.".starts_with(said[0]) && said[1] == "ok", "{said:?}");
    assert_eq!(world.sent(2)[1]["content"][0]["text"], said[0]);
}

#[tokio::test]
async fn nothing_but_spaces_is_no_message() {
    let mut talk = Talk::with([Step::text("ok")]).await;
    talk.say(" \n", Delivery::Steer);
    assert_eq!(talk.rejection().await, Rejection::Empty);
    talk.say("go", Delivery::Steer);
    talk.until_idle().await;
    assert_eq!(talk.end().await.1.last().unwrap(), "turn_finished done");
}

#[tokio::test]
async fn a_rule_that_can_not_be_kept_is_told_and_counts_for_the_session_until_it_is_taken_back() {
    let remove = || Step::items([call("rm -rf made")]);
    let mut talk = Talk::with([remove(), remove(), Step::text("ok")]).await;
    let settings = Session::replay(&{
        talk.until(|fact| matches!(fact, Fact::Configured { .. })).await;
        talk.told.clone()
    });
    let settings = Settings { approval: Approval::OnRequest, ..settings.settings.unwrap() };
    talk.command(Command::Configure { settings: Box::new(settings.clone()) });
    talk.say("go", Delivery::Steer);
    talk.until(|fact| matches!(fact, Fact::ApprovalRequested { .. })).await;
    let rule = Rule {
        grant: Grant::CommandPrefix { words: ["rm", "-rf", "made"].map(str::to_owned).into() },
        scope: Scope::Project,
    };
    let verdict = Verdict::AllowAlways { grant: rule.grant.clone(), scope: rule.scope };
    talk.command(Command::Decide { call: "call_1_1".into(), verdict });
    talk.until(|fact| matches!(fact, Fact::Noted { text, .. } if text.contains("there is no settings file")))
        .await;
    talk.until(|fact| matches!(fact, Fact::CallAllowed { by: By::Grant { scope: Scope::Project, .. }, .. }))
        .await;
    talk.until_idle().await;
    talk.command(Command::Revoke { rule: rule.clone() });
    talk.until(|fact| *fact == Fact::Revoked { rule: rule.clone() }).await;
    talk.command(Command::Revoke { rule });
    assert_eq!(talk.rejection().await, Rejection::NoRule);
    talk.end().await;
}

#[tokio::test]
async fn a_sandbox_that_can_not_be_had_changes_nothing() {
    let mut talk = Talk::with([Step::text("ok")]).await;
    talk.until(|fact| matches!(fact, Fact::Configured { .. })).await;
    let settings = Session::replay(&talk.told).settings.unwrap();
    let other = Settings { sandbox: SandboxMode::ReadOnly, ..settings.clone() };
    talk.command(Command::Configure { settings: Box::new(other) });
    assert_eq!(talk.rejection().await, Rejection::NoSandbox("there is no sandbox here".into()));
    talk.say("go", Delivery::Steer);
    talk.until_idle().await;
    assert_eq!(Session::replay(&talk.told).settings.unwrap(), settings);
}

#[tokio::test]
async fn a_process_that_ended_before_its_call_was_over_is_not_shown_as_running() {
    let look = mock::call("exec_command", json!({ "cmd": "cat gate", "yield_time_ms": 500 }));
    let mut talk = Talk::with([Step::items([look]), Step::text("ok")]).await;
    talk.world.fifo("gate");
    talk.say("go", Delivery::Steer);
    talk.until(started("call_1_1")).await;
    // The first id of a shell with this seed.
    let process = ProcessId(1001);
    talk.exits.send(Exit { process, code: Some(0), blob: None }).unwrap();
    talk.until_idle().await;
    let session = Session::replay(&talk.told);
    let state = &session.processes[&process].state;
    assert!(matches!(state, ProcessState::Ended { exit: Some(0), output: None, .. }), "{state:?}");
    let (_, story) = talk.end().await;
    let at = story.iter().position(|word| word == "process_started").unwrap();
    assert_eq!(story[at..at + 3], ["process_started", "tool_result call_1_1", "process_exited"]);
}

/// A model whose answers are these streams, in order.
struct Streams(Mutex<VecDeque<Chunks>>);

type Chunks = BoxStream<'static, Result<Chunk, ModelError>>;

impl Streams {
    /// Models that are this one.
    fn of(streams: impl IntoIterator<Item = Chunks>) -> OpenModel {
        let model = OpenedModel {
            model: Arc::new(Self(Mutex::new(streams.into_iter().collect()))),
            name: "m".to_owned(),
        };
        Arc::new(move |_| Ok(model.clone()))
    }
}

#[async_trait::async_trait]
impl Model for Streams {
    async fn respond(&self, _: &Prompt) -> Result<Chunks, ModelError> {
        Ok(self.0.lock().unwrap().pop_front().expect("another answer was asked for"))
    }
}

fn assistant(text: &str) -> Item {
    Item::Assistant { id: None, text: text.to_owned(), partial: false }
}

#[tokio::test]
async fn an_interrupt_loses_nothing_that_was_said_and_says_nothing_twice() {
    const TURNS: usize = 24;
    let commands: Arc<OnceLock<mpsc::UnboundedSender<Command>>> = Arc::default();
    let answer = |number: usize| -> Chunks {
        let commands = Arc::clone(&commands);
        let text = format!("answer {number}");
        let said = [Ok(Chunk::Text(text.clone())), Ok(Chunk::Item(assistant(&text)))];
        let begun = [Ok(Chunk::Text(format!("begun {number}")))];
        // The interrupt comes when the harness has looked at nothing of this.
        let interrupt = stream::once(async move {
            commands.get().unwrap().send(Command::Interrupt).unwrap();
            std::future::pending().await
        });
        stream::iter(said).chain(stream::iter(begun)).chain(interrupt).boxed()
    };
    let streams: Vec<Chunks> = (0..TURNS).map(answer).collect();
    let mut talk = Talk::changed([], |parts| parts.models = Streams::of(streams)).await;
    commands.set(talk.handle.commands.clone()).unwrap();
    for number in 0..TURNS {
        talk.say(&number.to_string(), Delivery::Steer);
        talk.until_idle().await;
    }
    let (_, story) = talk.end().await;
    let said: Vec<&str> = story.iter().filter_map(|word| word.strip_prefix("assistant ")).collect();
    let expected: Vec<String> =
        (0..TURNS).flat_map(|number| [format!("answer {number}"), format!("begun {number}")]).collect();
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_model_that_panics_ends_the_turn_and_not_the_session() {
    let panics = stream::once(async { panic!("a bug") }).boxed();
    let says = stream::iter([Ok(Chunk::Item(assistant("ok"))), Ok(Chunk::Finished { usage: None })]).boxed();
    let mut talk = Talk::changed([], |parts| parts.models = Streams::of([panics, says])).await;
    talk.say("go", Delivery::Steer);
    talk.until_idle().await;
    let Some(Outcome::Failed { kind, message }) = Session::replay(&talk.told).outcome else { panic!() };
    assert_eq!(kind, "internal");
    assert!(message.contains("this is a bug of the agent"), "{message}");
    talk.say("again", Delivery::Steer);
    talk.until_idle().await;
    assert_eq!(talk.end().await.1.last().unwrap(), "turn_finished done");
}

/// A tool with a bug.
struct Broken;

#[async_trait::async_trait]
impl Tool for Broken {
    fn spec(&self) -> ToolSpec {
        let form = ToolForm::Function { parameters: json!({ "type": "object" }) };
        ToolSpec { name: "broken".to_owned(), description: String::new(), form }
    }

    fn intent(&self, _: &Args, _: &Workspace) -> Result<Intent, ToolError> {
        panic!("a bug")
    }

    async fn run(&self, _: &Args, _: ToolCx) -> Result<Output, ToolError> {
        unreachable!("it is never allowed")
    }
}

#[tokio::test]
async fn a_tool_that_panics_when_it_is_asked_what_it_would_do_costs_its_call() {
    let steps = [Step::items([mock::call("broken", "{}")]), Step::text("ok")];
    let mut talk = Talk::changed(steps, |parts| parts.tools = Toolbox::new(vec![Arc::new(Broken)])).await;
    talk.say("go", Delivery::Steer);
    talk.until_idle().await;
    let (world, story) = talk.end().await;
    assert!(world.result(2).contains("this is a bug of the agent"), "{}", world.result(2));
    assert_eq!(story.last().unwrap(), "turn_finished done");
}

#[tokio::test]
async fn an_answer_that_no_log_could_hold_ends_the_turn_and_is_hung_up_on() {
    let deep = (0..127).fold(json!(1), |inner, _| json!([inner]));
    let (hung_up, told) = tokio::sync::oneshot::channel::<()>();
    let waits = stream::once(async move {
        let _dropped_with_the_stream = hung_up;
        std::future::pending().await
    });
    let unfit = stream::iter([Ok(Chunk::Item(Item::Unknown(deep)))]).chain(waits).boxed();
    let mut talk = Talk::changed([], |parts| parts.models = Streams::of([unfit])).await;
    talk.say("go", Delivery::Steer);
    talk.until_idle().await;
    let Some(Outcome::Failed { message, .. }) = Session::replay(&talk.told).outcome else { panic!() };
    assert!(message.contains("nested deeper than 127 levels"), "{message}");
    assert!(told.await.is_err());
    talk.end().await;
}
