//! `agent exec`: one task without a screen, and going on with a session.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::headless::{Ending, Form, Headless};
use crate::model::record::Recorder;
use crate::protocol::{
    BlobId, CallId, Command, Content, Delivery, Event, Fact, Goal, GoalStatus, Intent, Item, Outcome,
    ProcessId, Rejection, Update, Verdict, Verify, printable,
};
use crate::session::Session;
use crate::tools::view_image;

use super::{
    args::{Decisions, ExecArgs, ExecCommandArgs, ResumeArgs, RunArgs},
    error::{CliError, Kind},
    start::{Open, Place, Start},
    stdin, workspace,
};

/// The exit code for an answer that does not follow its schema, and for work that does not pass its check.
const NOT_VERIFIED: u8 = 7;

/// No provider takes a schema that is nested as deep as this, and no log.
const DEEPEST_SCHEMA: usize = 64;

pub(super) async fn run(start: &Start, args: &ExecArgs) -> Result<ExitCode, CliError> {
    let ended = begin(start, args).await;
    if let Some(problem) = start.recorder.as_ref().and_then(|recorder| recorder.problem()) {
        note(&format!("✗ {problem}"));
    }
    ended
}

async fn begin(start: &Start, args: &ExecArgs) -> Result<ExitCode, CliError> {
    match (&args.resume, &args.prompt) {
        (Some(_), Some(prompt)) => {
            Err(CliError::usage(format!("either the task {prompt:?} or `resume`, not both")))
        }
        (Some(_), None) if args.run.ephemeral => Err(CliError::usage(
            "a session that is gone on with is kept already; --ephemeral is for new ones",
        )),
        (Some(ExecCommandArgs::Resume(resume)), None) => go_on(start, resume, &args.run).await,
        (None, _) => {
            writable(args.run.output_last_message.as_deref())?;
            let schema = schema(args.run.output_schema.as_deref())?;
            let message = match args.run.goal {
                Some(_) if args.prompt.is_some() => {
                    return Err(CliError::usage("either a task or --goal, not both"));
                }
                Some(_) => None,
                None => Some(Message::read(args.prompt.as_deref(), &args.run.image)?),
            };
            let place = if args.run.ephemeral { Place::Ephemeral } else { Place::Kept };
            let open = start.new_session(place, schema, args.run.deltas)?;
            let mut commands = wanted(&args.run);
            commands.extend(message.map(|message| message.submit(&open)).transpose()?);
            work(start, open, &args.run, commands).await
        }
    }
}

/// What the session is to come to, as commands.
fn wanted(args: &RunArgs) -> Vec<Command> {
    let verify = args.verify.clone();
    if let Some(text) = args.goal.clone() {
        return vec![Command::SetGoal { goal: Goal { text, tokens: None, seconds: None, verify } }];
    }
    let tries = args.verify_tries;
    let verify = verify.map(|command| Command::SetVerify { verify: Some(Verify { command, tries }) });
    verify.into_iter().collect()
}

/// The same, with all that goes to the provider and comes back kept in a file.
pub(super) fn recorded(start: Start, file: Option<&Path>) -> Result<Start, CliError> {
    let Some(file) = file else { return Ok(start) };
    let recorder = Recorder::open(file)
        .map_err(|error| CliError::failed(format!("can't record to {}: {error}", file.display())))?;
    Ok(Start { recorder: Some(Arc::new(recorder)), ..start })
}

/// One task with a fresh session, in words.
pub(super) async fn task(start: &Start, args: &RunArgs, task: &str) -> Result<ExitCode, CliError> {
    writable(args.output_last_message.as_deref())?;
    let open = start.new_session(Place::Kept, None, args.deltas)?;
    let message = Message { text: task.to_owned(), images: Vec::new() };
    let mut commands = wanted(args);
    commands.push(message.submit(&open)?);
    work(start, open, args, commands).await
}

pub(super) async fn go_on(start: &Start, args: &ResumeArgs, run: &RunArgs) -> Result<ExitCode, CliError> {
    // With --last the only word is what to say.
    let (id, prompt) = match (args.last, &args.id, &args.prompt) {
        (true, Some(id), Some(_)) => {
            return Err(CliError::usage(format!("either --last or the session {id}, not both")));
        }
        (true, word, _) => (None, word.as_deref()),
        (false, id, prompt) => (id.as_deref(), prompt.as_deref()),
    };
    let id = start.find(id)?;
    writable(run.output_last_message.as_deref())?;
    let schema = schema(run.output_schema.as_deref())?;
    if prompt.is_none() && !run.image.is_empty() {
        return Err(
            CliError::usage("a picture needs a word about it").hint("agent exec resume ID \"TASK\" -i FILE")
        );
    }
    let message = prompt.map(|prompt| Message::read(Some(prompt), &run.image)).transpose()?;
    // What makes no sense is refused before anything goes on.
    let kept = start.reopen_with(id, &args.back)?;
    // It may be another one now, which goes on elsewhere.
    let id = kept.id();
    let mut commands = decisions(&args.decisions, &kept.session)?;
    commands.extend(wanted(run));
    let goal = kept.session.goal.as_ref().map(|goal| goal.status);
    let halted = goal.filter(|status| !matches!(status, GoalStatus::Active | GoalStatus::Met));
    if halted.is_some() && run.goal.is_none() && message.is_none() {
        commands.push(Command::ChangeGoal { status: GoalStatus::Active });
    }
    if commands.is_empty() && message.is_none() && kept.session.idle() {
        if args.back.any() {
            // That was all that was asked for.
            return Ok(ExitCode::SUCCESS);
        }
        return Err(CliError::usage(format!("session {id} has nothing left to do"))
            .hint(format!("say what comes next: agent exec resume {id} \"TASK\"")));
    }
    let more = start.budget(Some(&kept.session.spending.budget), kept.settings())?.is_some();
    if let (Some((_, reason)), false, true) =
        (kept.session.out_of_budget(), more, commands.is_empty() && message.is_none())
    {
        return Err(out_of_budget(reason).hint(larger(id)));
    }
    let open = start.resume(kept, schema, run.deltas)?;
    if let Some(message) = message {
        commands.push(message.submit(&open)?);
    }
    work(start, open, run, commands).await
}

fn out_of_budget(reason: &str) -> CliError {
    CliError::new(Kind::Budget, format!("the budget is used up: {reason}"))
}

fn larger(id: impl std::fmt::Display) -> String {
    format!(
        "go on with a larger one: agent exec resume {id} --max-usd USD (or --max-tokens, --max-turns, --deadline)"
    )
}

/// The decisions as commands, if each is about another call that waits for one.
fn decisions(args: &Decisions, session: &Session) -> Result<Vec<Command>, CliError> {
    let allowed = args.approve.iter().map(|call| (call, Verdict::Allow));
    let denied = args.deny.iter().map(|(call, note)| (call, Verdict::Deny { note: note.clone() }));
    let mut undecided: Vec<&str> = session.asked().map(|call| call.id.as_str()).collect();
    let mut commands = Vec::new();
    for (call, verdict) in allowed.chain(denied) {
        let Some(at) = undecided.iter().position(|asked| asked == call) else {
            let twice = session.asked().any(|asked| asked.id.as_str() == call);
            let waiting = if undecided.is_empty() { "none".to_owned() } else { undecided.join(", ") };
            return Err(CliError::usage(match twice {
                true => format!("call {call} is decided twice"),
                false => format!("call {call} is not waiting for an approval (waiting: {waiting})"),
            }));
        };
        undecided.remove(at);
        commands.push(Command::Decide { call: CallId(call.clone()), verdict });
    }
    Ok(commands)
}

/// What a person says, read whole before a session is begun or goes on for it.
struct Message {
    text: String,
    images: Vec<(Content, BlobId, Vec<u8>)>,
}

impl Message {
    fn read(prompt: Option<&str>, images: &[PathBuf]) -> Result<Self, CliError> {
        let images = images.iter().map(|path| view_image::load(path).map_err(CliError::usage));
        let images = images.collect::<Result<_, _>>()?;
        Ok(Self { text: stdin::task(prompt)?, images })
    }

    fn submit(self, open: &Open) -> Result<Command, CliError> {
        let mut content = vec![Content::text(self.text)];
        for (image, blob, bytes) in self.images {
            open.blobs
                .put(&blob, &bytes)
                .map_err(|error| CliError::failed(format!("can't keep the picture: {error}")))?;
            content.push(image);
        }
        Ok(Command::Submit { content, delivery: Delivery::Steer })
    }
}

/// Tells before a task costs anything that its answer could not be written. What is in the file stays until then.
fn writable(path: Option<&Path>) -> Result<(), CliError> {
    let Some(path) = path else { return Ok(()) };
    // Whoever reads a pipe would take the end of this look for the end of the answer.
    if path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        return Ok(());
    }
    let new = path.symlink_metadata().is_err();
    fs::File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| CliError::failed(format!("can't write {}: {error}", path.display())))?;
    if new {
        // No answer, no file. Should it stay, then empty, until the answer comes.
        let _ = fs::remove_file(path);
    }
    Ok(())
}

fn schema(path: Option<&Path>) -> Result<Option<serde_json::Value>, CliError> {
    let Some(path) = path else { return Ok(None) };
    let name = path.display();
    let text =
        fs::read_to_string(path).map_err(|error| CliError::usage(format!("can't read {name}: {error}")))?;
    let schema: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| CliError::usage(format!("{name} is not JSON: {error}")))?;
    if depth(&schema) > DEEPEST_SCHEMA {
        return Err(CliError::usage(format!("{name} is nested deeper than {DEEPEST_SCHEMA} levels"))
            .hint("name the inner parts in `$defs`, and refer to them with `$ref`"));
    }
    jsonschema::validator_for(&schema)
        .map_err(|error| CliError::usage(format!("{name} is not a JSON Schema: {error}")))?;
    Ok(Some(schema))
}

/// Lists and objects in one another.
fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        serde_json::Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// What ended the wait.
enum End {
    Session(Ending),
    /// What was said was not taken.
    Refused(Rejection),
    Signal(Kind),
}

async fn work(
    start: &Start,
    mut open: Open,
    args: &RunArgs,
    commands: Vec<Command>,
) -> Result<ExitCode, CliError> {
    let left = open.kept().then(|| workspace::Left::of(&open));
    let sending = Arc::clone(&open.handle.sending);
    let form = if args.json { Form::Json { deltas: args.deltas } } else { Form::Text };
    let mut face = Headless::new(form, &open.history, io::stdout(), io::stderr())
        .on_terminal(io::stdout().is_terminal());
    if form == Form::Text {
        note(&open.headline);
    }
    let mut signals = Signals::new()?;
    let mut owed = Owed::new(&commands);
    for command in commands {
        open.command(command);
    }
    let end = if owed.nothing() && face.session().waits_for_person() {
        End::Session(Ending::Waiting)
    } else {
        follow(&mut open, &mut face, &mut owed, &mut signals).await?
    };
    open.command(Command::Shutdown);
    while let Some(update) = open.handle.updates.recv().await {
        show(&mut face, &update)?;
    }
    let ended = (&mut open.handle.ended).await;
    let closed =
        ended.map_err(|error| resumable(&open, CliError::failed(format!("the agent crashed: {error}"))))?;
    let hurried = matches!(end, End::Signal(_));
    let code = conclude(&open, args, &mut face, end);
    // Whoever has stopped it does not want to wait.
    if !hurried && closed.is_ok() {
        let stopped = async {
            signals.next().await;
        };
        workspace::keep(start, left.into_iter().collect(), stopped).await;
    }
    sending.stop();
    let code = code?;
    closed.map_err(|error| CliError::failed(format!("the session could not be closed: {error}")))?;
    Ok(code)
}

/// Waits for the end. With `said`, an end before the message was taken is that of an earlier turn, which was about
/// to end when the program was stopped, and does not count.
async fn follow<D: io::Write, N: io::Write>(
    open: &mut Open,
    face: &mut Headless<D, N>,
    owed: &mut Owed,
    signals: &mut Signals,
) -> Result<End, CliError> {
    let mut interrupted = false;
    let mut taken_back = false;
    loop {
        tokio::select! {
            biased;
            kind = signals.next() => match kind {
                // The first ^C ends the turn in order; the second does not wait for that.
                Kind::Interrupted if !interrupted => {
                    interrupted = true;
                    // What waits to be said would else begin the next turn.
                    for queued in &face.session().queue {
                        open.command(Command::Retract { input: queued.input });
                    }
                    open.command(Command::Interrupt);
                }
                kind => return Ok(End::Signal(kind)),
            },
            update = open.handle.updates.recv() => {
                let Some(update) = update else { return Ok(End::Session(Ending::Gone)) };
                owed.take(&update);
                match &update {
                    Update::Rejected(
                        rejection @ (Rejection::Empty | Rejection::Unfit(_) | Rejection::GoalIs(_)),
                    ) => {
                        return Ok(End::Refused(rejection.clone()));
                    }
                    // What was on its way when ^C came.
                    Update::Event(Event { fact: Fact::InputQueued { input, .. }, .. }) if interrupted => {
                        open.command(Command::Retract { input: *input });
                    }
                    Update::Event(Event { fact: Fact::TurnStarted { .. }, .. }) if interrupted => {
                        open.command(Command::Interrupt);
                    }
                    Update::Event(Event { fact: Fact::InputRetracted { .. }, .. }) => taken_back = true,
                    Update::Event(_) | Update::Rejected(_) | Update::Delta(_) => {}
                }
                match show(face, &update)? {
                    // The turn may have ended by itself before ^C met it; what was to be said next was not.
                    Some(Ending::Turn(_)) if owed.nothing() && taken_back => {
                        return Ok(End::Signal(Kind::Interrupted));
                    }
                    // The interrupt will be heard, and ends the turn.
                    Some(Ending::Waiting | Ending::Budget(_)) if interrupted => {}
                    Some(Ending::Turn(_) | Ending::Waiting | Ending::Budget(_)) if !owed.nothing() => {}
                    Some(ending) => return Ok(End::Session(ending)),
                    None => {}
                }
            }
        }
    }
}

/// The commands that the session has not taken up. What was left of an earlier run may end before it does.
struct Owed {
    decisions: Vec<CallId>,
    message: bool,
}

impl Owed {
    fn new(commands: &[Command]) -> Self {
        let decisions = commands.iter().filter_map(|command| match command {
            Command::Decide { call, .. } => Some(call.clone()),
            _ => None,
        });
        let begins = |command: &Command| matches!(command, Command::Submit { .. } | Command::SetGoal { .. });
        let message = commands.iter().any(begins);
        Self { decisions: decisions.collect(), message }
    }

    fn nothing(&self) -> bool {
        self.decisions.is_empty() && !self.message
    }

    fn take(&mut self, update: &Update) {
        match update {
            Update::Event(Event { fact, .. }) => match fact {
                Fact::CallAllowed { call, .. } | Fact::CallRefused { call, .. } => {
                    self.decisions.retain(|owed| owed != call);
                }
                Fact::InputQueued { .. } | Fact::GoalSet { .. } => self.message = false,
                Fact::ItemAdded { item } if matches!(**item, Item::User { input: None, .. }) => {
                    self.message = false;
                }
                _ => {}
            },
            Update::Rejected(Rejection::NotWaiting(call)) => self.decisions.retain(|owed| owed != call),
            Update::Rejected(_) | Update::Delta(_) => {}
        }
    }
}

fn show<D: io::Write, N: io::Write>(
    face: &mut Headless<D, N>,
    update: &Update,
) -> Result<Option<Ending>, CliError> {
    if matches!(update, Update::Rejected(Rejection::Idle | Rejection::NotQueued(_))) {
        return Ok(None); // ^C came when there was nothing left to stop.
    }
    face.update(update).map_err(|error| CliError::failed(format!("can't write to standard output: {error}")))
}

fn resume(open: &Open) -> String {
    format!("agent exec resume {}", open.id)
}

/// The error with the way to go on, if there is one.
fn resumable(open: &Open, error: CliError) -> CliError {
    if open.kept() { error.hint(format!("go on with: {}", resume(open))) } else { error }
}

fn conclude<D: io::Write, N: io::Write>(
    open: &Open,
    args: &RunArgs,
    face: &mut Headless<D, N>,
    end: End,
) -> Result<ExitCode, CliError> {
    match end {
        End::Session(Ending::Turn(Outcome::Done)) => {
            let answer = answered(args, face)?;
            if let Some(goal) = face.session().goal.as_ref().filter(|goal| goal.status == GoalStatus::Blocked)
            {
                let error = CliError::failed(format!("the goal is blocked: {}", goal.reason));
                return Err(resumable(open, error));
            }
            let answer = answer.as_str();
            if let Some(problem) = against_schema(face.session(), answer) {
                note(&format!("✗ the answer does not follow the schema: {problem}"));
                return Ok(ExitCode::from(NOT_VERIFIED));
            }
            Ok(ExitCode::SUCCESS)
        }
        End::Session(Ending::Turn(Outcome::Interrupted)) | End::Signal(Kind::Interrupted) => {
            Err(resumable(open, CliError::new(Kind::Interrupted, "interrupted")))
        }
        End::Session(Ending::Turn(Outcome::Failed { kind, message })) if kind == "verify" => {
            answered(args, face)?;
            note(&format!("✗ {message}"));
            Ok(ExitCode::from(NOT_VERIFIED))
        }
        End::Session(Ending::Turn(Outcome::Failed { kind, message })) if kind == "budget" => {
            let error = CliError::new(Kind::Budget, message);
            Err(if open.kept() { error.hint(larger(open.id)) } else { error })
        }
        End::Session(Ending::Budget(reason)) => {
            let error = out_of_budget(&reason);
            Err(if open.kept() { error.hint(larger(open.id)) } else { error })
        }
        End::Session(Ending::Turn(Outcome::Failed { kind, message })) => {
            let kind = if kind == "auth" { Kind::Auth } else { Kind::Failed };
            Err(resumable(open, CliError::new(kind, message)))
        }
        End::Session(Ending::Turn(Outcome::Unknown)) => {
            Err(CliError::failed("the turn ended in an unknown way"))
        }
        End::Session(Ending::Waiting) => {
            let mut lines = vec!["a person has to decide:".to_owned()];
            for call in face.session().asked() {
                lines.push(format!("  {}  {}", call.id, call.intent().map(intent).unwrap_or_default()));
            }
            let error = CliError::new(Kind::Waiting, lines.join("\n"));
            Err(match open.kept() {
                true => error.hint(format!("{} --approve CALL, or --deny CALL [NOTE]", resume(open))),
                false => error.hint("nobody can: a session with --ephemeral can't be gone on with"),
            })
        }
        End::Session(Ending::Unwritable(reason)) => {
            let error = CliError::failed(format!("the session can't be written: {reason}"));
            Err(match open.kept() {
                true => error.hint(format!(
                    "what was recorded is kept: make room, or mend the folder's permissions; then go on with: {}",
                    resume(open)
                )),
                false => error,
            })
        }
        End::Refused(rejection) => {
            Err(resumable(open, CliError::usage(format!("the task is refused: {rejection}"))))
        }
        End::Session(Ending::Gone) => {
            Err(resumable(open, CliError::failed("the session ended unexpectedly")))
        }
        End::Signal(kind) => Err(resumable(open, CliError::new(kind, "stopped"))),
    }
}

/// Writes the last answer where it is wanted.
fn answered<D: io::Write, N: io::Write>(
    args: &RunArgs,
    face: &mut Headless<D, N>,
) -> Result<String, CliError> {
    face.finish().map_err(|error| CliError::failed(format!("can't write to standard output: {error}")))?;
    let answer = face.session().answer().unwrap_or_default().to_owned();
    if let Some(path) = &args.output_last_message {
        fs::write(path, &answer)
            .map_err(|error| CliError::failed(format!("can't write {}: {error}", path.display())))?;
    }
    Ok(answer)
}

fn against_schema(session: &Session, answer: &str) -> Option<String> {
    let schema = session.settings.as_ref()?.output_schema.as_ref()?;
    let value = match serde_json::from_str(answer) {
        Ok(value) => value,
        Err(error) => return Some(format!("it is not JSON: {error}")),
    };
    let validator = jsonschema::validator_for(schema).ok()?;
    let error = validator.iter_errors(&value).next()?;
    Some(format!("{error} (at {:?})", error.instance_path().to_string()))
}

/// What a call would do, on one line.
fn intent(intent: &Intent) -> String {
    let text = match intent {
        Intent::Command { command, justification, .. } => match justification {
            Some(why) => format!("$ {command}  ({why})"),
            None => format!("$ {command}"),
        },
        Intent::Write { files } => {
            let paths: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
            format!("change {}", paths.join(", "))
        }
        Intent::Read { paths } => {
            let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            format!("read {}", paths.join(", "))
        }
        Intent::Input { process: ProcessId(process), text } => format!("type {text:?} into {process}"),
        Intent::Connect { host, port } => format!("reach {host}:{port}"),
        Intent::Remember { before, after } if before.is_empty() => format!("remember {after:?}"),
        Intent::Remember { before, after } if after.is_empty() => format!("forget {before:?}"),
        Intent::Remember { before, after } => format!("remember {after:?} instead of {before:?}"),
        Intent::Hosted { tools } => format!("have the provider use {}", tools.join(", ")),
        Intent::None | Intent::Unknown => String::new(),
    };
    printable(&text).replace('\n', "\\n")
}

/// Progress that can't be shown is no reason to stop.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, CliError> {
        let on = |kind| {
            signal(kind).map_err(|error| CliError::failed(format!("can't listen to signals: {error}")))
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Kind {
        tokio::select! {
            _ = self.interrupt.recv() => Kind::Interrupted,
            _ = self.terminate.recv() => Kind::Terminated,
            _ = self.hangup.recv() => Kind::Terminated,
        }
    }
}
