//! `agent exec`: one task without a screen, and going on with a session.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::headless::{Ending, Form, Headless};
use crate::protocol::{
    CallId, Command, Content, Delivery, Event, Fact, Intent, Item, Outcome, ProcessId, SessionId, Update,
    Verdict, printable,
};
use crate::session::Session;
use crate::tools::view_image;

use super::{
    args::{ExecArgs, ExecCommandArgs, ResumeArgs, RunArgs},
    error::{CliError, Kind},
    start::{Open, Place, Start},
    stdin,
};

/// The exit code for an answer that does not follow its schema.
const NOT_VERIFIED: u8 = 7;

pub(super) async fn run(start: &Start, args: &ExecArgs) -> Result<ExitCode, CliError> {
    match &args.resume {
        Some(ExecCommandArgs::Resume(resume)) => go_on(start, resume).await,
        None => {
            let schema = schema(args.run.output_schema.as_deref())?;
            let task = stdin::task(args.prompt.as_deref())?;
            let place = if args.run.ephemeral { Place::Ephemeral } else { Place::Kept };
            let open = start.new_session(place, schema, args.run.deltas)?;
            let content = content(&open, &args.run, &task)?;
            work(open, &args.run, vec![submit(content)]).await
        }
    }
}

/// One task with a fresh session, in words.
pub(super) async fn task(start: &Start, args: &RunArgs, task: &str) -> Result<ExitCode, CliError> {
    let open = start.new_session(Place::Kept, None, args.deltas)?;
    work(open, args, vec![submit(vec![Content::text(task)])]).await
}

async fn go_on(start: &Start, args: &ResumeArgs) -> Result<ExitCode, CliError> {
    // With --last the only word is what to say.
    let (id, prompt) = if args.last {
        (None, args.prompt.as_ref().or(args.id.as_ref()))
    } else {
        (args.id.as_deref(), args.prompt.as_ref())
    };
    let id = start.find(id)?;
    let schema = schema(args.run.output_schema.as_deref())?;
    let open = start.resume(id, schema, args.run.deltas)?;
    let mut commands = decisions(args);
    if let Some(prompt) = prompt {
        let task = stdin::task(Some(prompt))?;
        let content = content(&open, &args.run, &task)?;
        commands.push(submit(content));
    }
    let session = Session::replay(&open.history);
    if commands.is_empty() && session.idle() {
        return Err(CliError::usage(format!("session {id} has nothing left to do"))
            .hint(format!("say what comes next: agent exec resume {id} \"TASK\"")));
    }
    for command in &commands {
        if let Command::Decide { call, .. } = command
            && !session.asked().any(|asked| asked.id == *call)
        {
            let asked: Vec<String> = session.asked().map(|call| call.id.to_string()).collect();
            let waiting = if asked.is_empty() { "none".to_owned() } else { asked.join(", ") };
            return Err(CliError::usage(format!(
                "call {call} is not waiting for an approval (waiting: {waiting})"
            )));
        }
    }
    work(open, &args.run, commands).await
}

fn submit(content: Vec<Content>) -> Command {
    Command::Submit { content, delivery: Delivery::Steer }
}

fn decisions(args: &ResumeArgs) -> Vec<Command> {
    let allowed = args.approve.iter().map(|call| (call, Verdict::Allow));
    let note = args.deny.get(1).cloned().unwrap_or_default();
    let denied = args.deny.first().map(|call| (call, Verdict::Deny { note }));
    allowed
        .chain(denied)
        .map(|(call, verdict)| Command::Decide { call: CallId(call.clone()), verdict })
        .collect()
}

fn content(open: &Open, args: &RunArgs, task: &str) -> Result<Vec<Content>, CliError> {
    let mut content = vec![Content::text(task)];
    for path in &args.image {
        let (image, blob, bytes) = view_image::load(path).map_err(CliError::usage)?;
        open.blobs
            .put(&blob, &bytes)
            .map_err(|error| CliError::failed(format!("can't keep the picture: {error}")))?;
        content.push(image);
    }
    Ok(content)
}

fn schema(path: Option<&Path>) -> Result<Option<serde_json::Value>, CliError> {
    let Some(path) = path else { return Ok(None) };
    let name = path.display();
    let text =
        fs::read_to_string(path).map_err(|error| CliError::usage(format!("can't read {name}: {error}")))?;
    let schema: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| CliError::usage(format!("{name} is not JSON: {error}")))?;
    jsonschema::validator_for(&schema)
        .map_err(|error| CliError::usage(format!("{name} is not a JSON Schema: {error}")))?;
    Ok(Some(schema))
}

/// What ended the wait.
enum End {
    Session(Ending),
    Signal(Kind),
}

async fn work(mut open: Open, args: &RunArgs, commands: Vec<Command>) -> Result<ExitCode, CliError> {
    let form = if args.json { Form::Json { deltas: args.deltas } } else { Form::Text };
    let mut face = Headless::new(form, &open.history, io::stdout(), io::stderr());
    if form == Form::Text {
        note(&open.headline);
    }
    let mut signals = Signals::new()?;
    let said = commands.iter().any(|command| matches!(command, Command::Submit { .. }));
    // Nothing will happen that would tell it.
    let waiting = commands.is_empty() && face.session().waits_for_person();
    for command in commands {
        open.command(command);
    }
    let end = match waiting {
        true => End::Session(Ending::Waiting),
        false => follow(&mut open, &mut face, &mut signals, said).await?,
    };
    open.command(Command::Shutdown);
    while let Some(update) = open.handle.updates.recv().await {
        show(&mut face, &update)?;
    }
    let ended = (&mut open.handle.ended).await;
    let closed = match ended {
        Ok(closed) => {
            closed.map_err(|error| CliError::failed(format!("the session could not be closed: {error}")))
        }
        Err(error) => Err(CliError::failed(format!("the agent crashed: {error}. The session is kept"))
            .hint(format!("agent exec resume {}", open.id))),
    };
    let code = conclude(&open, args, &mut face, end);
    closed.and(code)
}

/// Waits for the end. With `said`, an end before the message was taken is that of an earlier turn, which was about
/// to end when the program was stopped, and does not count.
async fn follow<D: io::Write, N: io::Write>(
    open: &mut Open,
    face: &mut Headless<D, N>,
    signals: &mut Signals,
    mut said: bool,
) -> Result<End, CliError> {
    let mut interrupted = false;
    loop {
        tokio::select! {
            biased;
            kind = signals.next() => match kind {
                // The first ^C ends the turn in order; the second does not wait for that.
                Kind::Interrupted if !interrupted => {
                    interrupted = true;
                    open.command(Command::Interrupt);
                }
                kind => return Ok(End::Signal(kind)),
            },
            update = open.handle.updates.recv() => {
                let Some(update) = update else { return Ok(End::Session(Ending::Gone)) };
                said &= !taken(&update);
                let Some(ending) = show(face, &update)? else { continue };
                if !(said && matches!(ending, Ending::Turn(_) | Ending::Waiting)) {
                    return Ok(if interrupted { End::Signal(Kind::Interrupted) } else { End::Session(ending) });
                }
            }
        }
    }
}

/// Whether this tells that a message was taken, or was not.
fn taken(update: &Update) -> bool {
    match update {
        Update::Event(Event { fact: Fact::InputQueued { .. }, .. }) | Update::Rejected(_) => true,
        Update::Event(Event { fact: Fact::ItemAdded { item }, .. }) => {
            matches!(**item, Item::User { input: None, .. })
        }
        Update::Event(_) | Update::Delta(_) => false,
    }
}

fn show<D: io::Write, N: io::Write>(
    face: &mut Headless<D, N>,
    update: &Update,
) -> Result<Option<Ending>, CliError> {
    face.update(update).map_err(|error| CliError::failed(format!("can't write to standard output: {error}")))
}

fn conclude<D: io::Write, N: io::Write>(
    open: &Open,
    args: &RunArgs,
    face: &mut Headless<D, N>,
    end: End,
) -> Result<ExitCode, CliError> {
    let resume = format!("agent exec resume {}", open.id);
    let resumable =
        |error: CliError| if open.kept() { error.hint(format!("go on with: {resume}")) } else { error };
    match end {
        End::Session(Ending::Turn(Outcome::Done)) => {
            face.finish()
                .map_err(|error| CliError::failed(format!("can't write to standard output: {error}")))?;
            let answer = face.session().last_answer().unwrap_or_default();
            if let Some(path) = &args.output_last_message {
                fs::write(path, answer)
                    .map_err(|error| CliError::failed(format!("can't write {}: {error}", path.display())))?;
            }
            if let Some(problem) = against_schema(face.session(), answer) {
                note(&format!("✗ the answer does not follow the schema: {problem}"));
                return Ok(ExitCode::from(NOT_VERIFIED));
            }
            Ok(ExitCode::SUCCESS)
        }
        End::Session(Ending::Turn(Outcome::Interrupted)) | End::Signal(Kind::Interrupted) => {
            Err(resumable(CliError::new(Kind::Interrupted, "interrupted")))
        }
        End::Session(Ending::Turn(Outcome::Failed { kind, message })) => {
            let kind = if kind == "auth" { Kind::Auth } else { Kind::Failed };
            Err(resumable(CliError::new(kind, message)))
        }
        End::Session(Ending::Turn(Outcome::Unknown)) => {
            Err(CliError::failed("the turn ended in an unknown way"))
        }
        End::Session(Ending::Waiting) => {
            let mut lines = vec!["a person has to decide:".to_owned()];
            for call in face.session().asked() {
                lines.push(format!("  {}  {}", call.id, call.intent().map(intent).unwrap_or_default()));
            }
            let hint = format!("{resume} --approve CALL, or --deny CALL [NOTE]");
            Err(CliError::new(Kind::Waiting, lines.join("\n")).hint(hint))
        }
        End::Session(Ending::Unwritable(reason)) => Err(CliError::failed(format!(
            "the session can't be written: {reason}. What was recorded is kept"
        ))
        .hint("make room, or mend the folder's permissions; then go on with: ".to_owned() + &resume)),
        End::Session(Ending::Gone) => Err(resumable(CliError::failed("the session ended unexpectedly"))),
        End::Signal(kind) => Err(resumable(CliError::new(kind, "stopped"))),
    }
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
        Intent::None | Intent::Unknown => String::new(),
    };
    printable(&text).replace('\n', "\\n")
}

/// Progress that can't be shown is no reason to stop.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

/// The id to show and to use, from what was typed.
impl Start {
    fn find(&self, id: Option<&str>) -> Result<SessionId, CliError> {
        match id {
            Some(id) => self.sessions().find(id),
            None => self.sessions().last(Some(self.workspace())),
        }
        .map_err(|error| CliError::usage(error.to_string()))
    }
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
