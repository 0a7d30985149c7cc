//! `agent replay`: a session shown again, proved whole, or gone on with from one of its turns.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    thread,
    time::Duration,
};

use crate::headless::{Form, Headless};
use crate::protocol::{Event, Fact, Item, SessionId, TurnId, Update, printable};
use crate::session::Session;
use crate::store::{self, BlobFault, Damage, LogError, Verified};
use crate::tui::Recorded;

use super::{
    args::{BackArgs, Common, Decisions, ReplayArgs, ResumeArgs, RunArgs},
    error::CliError,
    exec,
    screen::{self, First},
    start::Start,
};

/// Milliseconds of a pause that are played at most.
const LONGEST: u64 = 3_000;

pub(super) fn run(common: &Common, args: &ReplayArgs) -> Result<ExitCode, CliError> {
    let start = super::start(common)?;
    // With --last the only word is what to say.
    let (id, prompt) = match args.last {
        true if args.id.is_some() && args.from.is_none() => {
            return Err(CliError::usage("either --last or a session, not both"));
        }
        true => (None, args.prompt.clone().or_else(|| args.id.clone())),
        false => (args.id.as_deref(), args.prompt.clone()),
    };
    let id = start.find(id)?;
    if args.verify {
        return verify(&start, id, args);
    }
    let (events, damage) =
        store::read_whole_lines(&start.sessions().log(id)).map_err(|error| lost(id, &error))?;
    if let Some(turn) = args.from {
        return go_on(common, &start, id, from(events, TurnId(turn), prompt.is_none())?, prompt, args.json);
    }
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if args.json || !terminal {
        print(events, damage, args.json, args.speed).or_else(|error| {
            match error.downcast_ref::<io::Error>() {
                // Whoever reads has seen enough.
                Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                _ => Err(CliError::failed(format!("{error:#}"))),
            }
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if events.is_empty() {
        let nothing = CliError::failed(format!("there is nothing to show of session {id}"));
        return Err(damage.map_or_else(|| nothing, |damage| lost(id, &damage)));
    }
    let workspace = Session::replay(events.iter().take(1)).workspace;
    let start = Start { workspace, ..start };
    let damage = damage.map(|damage| damage.to_string());
    let recorded = Recorded { events, speed: args.speed, damage };
    super::runtime()?.block_on(screen::replay(start, id, recorded))
}

/// Prints facts, at the speed that is wanted. What is whole comes first; what is wrong is said after it.
pub(super) fn print(
    events: Vec<Event>,
    damage: Option<LogError>,
    json: bool,
    speed: Option<f64>,
) -> anyhow::Result<()> {
    let form = if json { Form::Json { deltas: false } } else { Form::Text };
    // There is no progress here: all of it is what was asked for.
    let mut shown = Headless::new(form, &[], io::stdout().lock(), io::stdout());
    let mut before = events.first().map(|event| event.at);
    for event in events {
        if let (Some(speed), Some(before)) = (speed, before.replace(event.at)) {
            let pause = u64::try_from(event.at.as_millisecond() - before.as_millisecond()).unwrap_or(0);
            thread::sleep(Duration::from_secs_f64(pause.min(LONGEST) as f64 / 1000.0 / speed));
        }
        shown.update(&Update::Event(event))?;
    }
    damage.map_or(Ok(()), |damage| Err(damage.into()))
}

fn verify(start: &Start, id: SessionId, args: &ReplayArgs) -> Result<ExitCode, CliError> {
    let verified = start.sessions().verify(id, args.sum.as_deref()).map_err(|error| lost(id, &error))?;
    let noted = args.sum.is_none() || verified.found.is_some();
    let text = if args.json { json(id, &verified, args.sum.is_some()) } else { words(id, &verified, args) };
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(CliError::failed(error)),
        _ => {}
    }
    Ok(if verified.whole() && noted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn json(id: SessionId, verified: &Verified, asked: bool) -> String {
    let Verified { records, sum, damage, torn, found, blobs, blob } = verified;
    let mut object = serde_json::json!({
        "session": id,
        "whole": verified.whole(),
        "records": records,
        "sum": sum,
        "torn_bytes": torn,
        "blobs": blobs,
        "damage": damage.as_ref().map(|Damage { line, what }| serde_json::json!({"record": line, "what": what})),
        "damaged_blob": blob.as_ref().map(|(record, blob, fault)| {
            serde_json::json!({"record": record, "blob": blob, "what": fault_words(*fault)})
        }),
    });
    if let (true, Some(fields)) = (asked, object.as_object_mut()) {
        fields.insert("sum_found_at".to_owned(), serde_json::json!(found));
    }
    object.to_string()
}

fn words(id: SessionId, verified: &Verified, args: &ReplayArgs) -> String {
    let Verified { records, sum, damage, torn, found, blobs, blob } = verified;
    let mut lines = vec![match damage {
        None => format!("session {id} is whole: {records} records, each chained to the one before"),
        Some(Damage { line, what }) => format!(
            "session {id} is damaged: record {line} is not as it was written ({what})\n\
             the {records} before it are whole; what comes after it can't be proved"
        ),
    }];
    match blob {
        None if *blobs > 0 => lines.push(format!("its {blobs} blobs are what their names say")),
        None => {}
        Some((record, blob, fault)) => {
            lines.push(format!("blob {blob}, which record {record} names, {}", fault_words(*fault)));
        }
    }
    if *torn > 0 {
        lines.push(format!(
            "{torn} bytes at the end are of a record that a crash cut off: it never became true"
        ));
    }
    if let Some(noted) = &args.sum {
        lines.push(match found {
            Some(record) => {
                format!("record {record} has the sum {noted}: up to it nothing was changed or left out")
            }
            None => format!(
                "no record has the sum {noted}: records were written anew, or the last ones were cut off"
            ),
        });
    }
    lines.extend(sum.as_ref().map(|sum| format!("sum of record {records}: {sum}")));
    printable(&lines.join("\n")).into_owned()
}

fn fault_words(fault: BlobFault) -> &'static str {
    match fault {
        BlobFault::Missing => "is missing",
        BlobFault::Changed => "is not what its name says",
        BlobFault::Unreadable => "can't be read",
    }
}

/// The facts with which a session goes on from a turn: up to what was said in it, or else from just before it.
fn from(events: Vec<Event>, turn: TurnId, again: bool) -> Result<Vec<Event>, CliError> {
    let is_said = |event: &Event| matches!(&event.fact, Fact::ItemAdded { item } if matches!(**item, Item::User { .. }));
    let begins = |event: &Event| matches!(event.fact, Fact::TurnStarted { turn: begun } if begun == turn);
    let Some(at) = events.iter().position(begins) else {
        let last = Session::replay(&events).turns;
        return Err(CliError::usage(match last.0 {
            0 => "the session has no turn to go on from".to_owned(),
            1 => format!("the session has no turn {}, but only turn 1", turn.0),
            last => format!("the session has no turn {}, but those from 1 to {last}", turn.0),
        }));
    };
    let after = events.get(at + 1..).unwrap_or_default();
    let mut kept = at;
    if again {
        let words = after.iter().position(is_said).ok_or_else(|| {
            CliError::usage(format!("what was said in turn {} is not kept", turn.0))
                .hint("say it again: agent replay ID --from TURN \"TASK\"")
        })?;
        kept = at + 1 + words + after.iter().skip(words).take_while(|event| is_said(event)).count();
    }
    let mut events = events;
    events.truncate(kept);
    if !again {
        // What waited to be said then would go before what is said now.
        let waiting: Vec<_> = Session::replay(&events).queue.iter().map(|queued| queued.input).collect();
        if let Some(last) = events.last().map(|event| (event.seq, event.at)) {
            let retracted = waiting.into_iter().map(|input| Fact::InputRetracted { input });
            events.extend(retracted.map(|fact| Event { seq: last.0, at: last.1, fact }));
        }
    }
    Ok(events)
}

fn go_on(
    common: &Common,
    start: &Start,
    id: SessionId,
    events: Vec<Event>,
    prompt: Option<String>,
    json: bool,
) -> Result<ExitCode, CliError> {
    let fork = SessionId(uuid::Uuid::now_v7());
    start
        .sessions()
        .fork_with(id, events, fork)
        .map_err(|error| CliError::failed(format!("session {id} can't be forked: {error}")))?;
    match super::with_person(common).ok().filter(|_| !json) {
        Some(start) => {
            let first = First::Resume(Box::new(start.reopen(fork)?));
            super::runtime()?.block_on(screen::run(start, first, prompt))
        }
        None => {
            let resume = ResumeArgs {
                id: Some(fork.to_string()),
                last: false,
                prompt,
                decisions: Decisions::default(),
                back: BackArgs::default(),
            };
            let run = RunArgs { json, ..RunArgs::default() };
            super::runtime()?.block_on(exec::go_on(start, &resume, &run))
        }
    }
}

fn lost(id: SessionId, error: &LogError) -> CliError {
    CliError::failed(format!("session {id} can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Content, Delivery, InputId, Outcome, Seq, Time};

    fn events(facts: Vec<Fact>) -> Vec<Event> {
        let event = |(number, fact)| Event { seq: Seq(number), at: Time::UNIX_EPOCH, fact };
        (1..).zip(facts).map(event).collect()
    }

    fn turn(number: u32) -> Fact {
        Fact::TurnStarted { turn: TurnId(number) }
    }

    fn ended(number: u32) -> Fact {
        Fact::TurnFinished { turn: TurnId(number), outcome: Outcome::Done, duration_ms: 1 }
    }

    fn told() -> Vec<Event> {
        let said = |input| Fact::item(Item::User { content: vec![Content::text("x")], input });
        let content = vec![Content::text("two")];
        events(vec![
            turn(1),
            said(None),
            Fact::InputQueued { input: InputId(1), content, delivery: Delivery::AfterTurn },
            ended(1),
            turn(2),
            said(Some(InputId(1))),
            ended(2),
        ])
    }

    #[test]
    fn a_turn_is_gone_on_with_from_what_was_said_or_from_just_before_it() {
        let facts = |turn, again| from(told(), TurnId(turn), again).unwrap();
        assert_eq!(facts(1, true), told()[..2]);
        assert_eq!(facts(2, true), told()[..6]);
        // The turn is open, and what is due is to ask the model.
        let session = Session::replay(&facts(2, true));
        assert!(
            matches!(session.next(), Some(crate::session::Step::AskModel(_))) && session.queue.is_empty()
        );
        assert_eq!(facts(1, false), []);
        let before = Session::replay(&facts(2, false));
        assert!(before.idle(), "what waited is not said");
        let error = from(told(), TurnId(3), true).unwrap_err();
        assert!(error.message.contains("those from 1 to 2"), "{}", error.message);
    }
}
