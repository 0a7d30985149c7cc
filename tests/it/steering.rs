//! A person who speaks, takes back and interrupts while a turn runs: the harness as a face uses it.

use std::{fs, sync::Arc};

use agent::{
    harness::{self, Handle, OpenedModel, Parts},
    model::catalog::{self, Catalog},
    protocol::{
        Approval, Command, Content, Delivery, Event, FORMAT_VERSION, Fact, InputId, Limits, Rejection,
        SandboxMode, SessionId, Settings, Time, Update,
    },
    sandbox,
    session::Session,
    shell::{self, Shell},
    store::{Blobs, Log},
    tools::{Toolbox, Workspace},
};
use tokio::sync::mpsc;

use crate::support::{
    mock::{Gate, Step},
    world::{World, facts, output, results, shell as call, story},
};

/// A running harness, and everything that it has told.
struct Talk {
    world: World,
    handle: Handle,
    told: Vec<Event>,
}

impl Talk {
    /// A harness without a sandbox, whose model answers with these steps.
    async fn with(steps: impl IntoIterator<Item = Step>) -> Self {
        let world = World::bare(steps).await;
        let id = SessionId(uuid::Uuid::now_v7());
        let folder = world.home.join("sessions").join(id.to_string());
        let outside = sandbox::outside(env!("CARGO_BIN_EXE_agent").into());
        let (told, exits) = mpsc::unbounded_channel();
        let shell = Shell::new(
            shell::Settings {
                blobs: folder.join("blobs"),
                workspace: world.workspace.clone(),
                env: sandbox::env::for_commands(SandboxMode::DangerFullAccess),
                shell: "/bin/bash".into(),
                sandbox: Arc::clone(&outside),
                outside,
                max_processes: 8,
                seed: 1,
            },
            told,
        );
        let settings = Settings {
            model: "mock/m".parse().unwrap(),
            effort: None,
            verbosity: None,
            approval: Approval::Never,
            sandbox: SandboxMode::DangerFullAccess,
            backend: "local".into(),
            limits: Limits { window: 100_000, tool_output: 10_000 },
            output_schema: None,
        };
        let providers = format!("mock.base_url = '{}'", world.mock.base_url());
        let catalog = Catalog::builtin().with(&toml::from_str(&providers).unwrap());
        let handle = harness::start(Parts {
            log: Log::create(&folder.join("log.jsonl")).unwrap(),
            session: Session::default(),
            begin: vec![
                Fact::SessionStarted {
                    session: id,
                    version: FORMAT_VERSION,
                    agent: "test".into(),
                    workspace: world.workspace.clone(),
                },
                Fact::Configured { settings },
            ],
            blobs: Blobs::new(folder.join("blobs")),
            models: Arc::new(move |settings| {
                let resolved = catalog.resolve(&settings.model).unwrap();
                Ok(OpenedModel { model: catalog::open(&resolved, None)?, name: settings.model.model.clone() })
            }),
            tools: Toolbox::builtin(),
            workspace: Workspace { root: world.workspace.clone(), writable: Vec::new(), own: Vec::new() },
            shell,
            exits,
            clock: Arc::new(Time::now),
            deltas: true,
        });
        Self { world, handle, told: Vec::new() }
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
