//! Every beginning of a real log, cut at a line or within one, opens to something that can go on.

use std::{fs, path::Path};

use agent::{
    protocol::{Event, Time},
    session::Session,
};

use super::{demo, pending};
use crate::support::{chance::long, has_sandbox, scripted::open_log};

#[test]
fn every_prefix_of_the_demonstration_can_be_gone_on_with() {
    if has_sandbox() {
        let (_folder, log) = demo();
        every_prefix(&log);
    }
}

#[test]
fn every_prefix_of_a_session_that_waits_for_a_person_can_be_gone_on_with() {
    if has_sandbox() {
        let (world, _) = pending("workspace-write");
        every_prefix(&world.log().unwrap());
    }
}

#[test]
fn what_was_printed_live_is_what_the_log_says() {
    if has_sandbox() {
        let (world, ran) = pending("workspace-write");
        let live: Vec<Event> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(live, world.events());
    }
}

fn every_prefix(log: &Path) {
    let bytes = fs::read(log).unwrap();
    let whole = agent::store::read_events(log).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("log.jsonl");
    let mut live = Session::default();
    let (mut start, mut lines) = (0, 0);
    goes_on(&copy, &[], &live);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        // Each byte of the last line, and fewer of those before it where there is little time.
        let last = start + line.len() == bytes.len();
        let step = if last || long() { 1 } else { line.len() / 5 + 1 };
        for cut in (0..line.len()).step_by(step) {
            goes_on(&copy, &bytes[..start + cut], &live);
        }
        start += line.len();
        live.apply(&whole[lines]);
        lines += 1;
        goes_on(&copy, &bytes[..start], &live);
    }
    assert_eq!(lines, whole.len());
}

/// The log opens with what `live` was folded from, and the session is finished, waits for a person, or has a
/// next step.
fn goes_on(log: &Path, bytes: &[u8], live: &Session) {
    fs::write(log, bytes).unwrap();
    let (mut open, events) = open_log(log).unwrap();
    let mut session = Session::replay(&events);
    assert_eq!(&session, live, "a replay is not the live session at {:?}", session.seq);
    let closing = session.reconcile();
    let recorded = open.append(closing, Time::UNIX_EPOCH).unwrap();
    recorded.iter().for_each(|event| session.apply(event));
    assert_eq!(session.reconcile(), [], "reconciling twice finds something at {:?}", session.seq);
    let due = session.next().is_some();
    assert!(
        session.idle() || session.waits_for_person() || due,
        "stuck after {:?}: {:?}",
        session.seq,
        session.turn
    );
    drop(open);
    assert_eq!(agent::store::read_events(log).unwrap().len(), events.len() + recorded.len());
}
