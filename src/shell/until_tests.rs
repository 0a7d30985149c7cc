//! Waiting for several real processes at once.

use std::{fs, process::Command, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Look, Pattern, Seen, ShellError, State, Until, Waiting,
    tests::{World, look},
};
use crate::protocol::ProcessId;

/// A failure, and no wait that is meant to take it.
const MINUTE: Duration = Duration::from_secs(60);

/// Processes that each wait for a line of a pipe, say it, and go on until there is none.
async fn readers(world: &World, names: &[&str]) -> Vec<ProcessId> {
    let mut ids = Vec::new();
    for name in names {
        assert!(Command::new("mkfifo").arg(world.path(name)).status().unwrap().success());
        let command = format!(
            "exec 3<> {name}; while read line <&3; do [ \"$line\" = end ] && exit 3; echo \"$line\"; done"
        );
        ids.push(world.stay(world.launch(&command)).await);
    }
    ids
}

fn say(world: &World, name: &str, line: &str) {
    fs::write(world.path(name), format!("{line}\n")).unwrap();
}

async fn wait(world: &World, ids: &[ProcessId], all: bool, until: Until) -> Vec<(ProcessId, Seen)> {
    world.shell().wait(ids, all, Look { until, ..look(MINUTE) }).await.unwrap()
}

fn states(seen: &[(ProcessId, Seen)]) -> Vec<(State, &str, bool)> {
    seen.iter().map(|(_, seen)| (seen.state, seen.output.head.as_str(), seen.met)).collect()
}

#[tokio::test]
async fn a_wait_ends_with_the_first_process_or_with_all() {
    let world = World::new();
    let ids = readers(&world, &["a", "b", "c"]).await;
    let running = |at: usize| State::Running(ids[at]);
    let (seen, ()) = tokio::join!(wait(&world, &ids, false, Until::End), async {
        say(&world, "a", "one");
        say(&world, "b", "end");
    });
    assert_eq!(
        seen.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        ids,
        "in the order in which they were named"
    );
    assert_eq!(seen[1].1.state, State::Exited(3));
    assert_eq!((seen[0].1.state, seen[2].1.state), (running(0), running(2)));
    let error = world.shell().wait(&ids, false, look(MINUTE)).await;
    assert_eq!(error, Err(ShellError::Unknown(ids[1])), "its end was told");
    let rest = [ids[0], ids[2]];
    let (seen, ()) = tokio::join!(wait(&world, &rest, true, Until::End), async {
        say(&world, "c", "two");
        say(&world, "c", "end");
        say(&world, "a", "end");
    });
    assert!(states(&seen).iter().all(|(state, ..)| *state == State::Exited(3)), "{seen:?}");
    assert_eq!(seen[1].1.output.head, "two\n");
}

#[tokio::test]
async fn a_wait_ends_with_output_or_with_a_line_that_fits() {
    let world = World::new();
    let ids = readers(&world, &["a", "b"]).await;
    say(&world, "b", "early");
    let seen = wait(&world, &ids, false, Until::Output).await;
    assert_eq!(states(&seen)[1], (State::Running(ids[1]), "early\n", true));
    let pattern = || Until::Match(Pattern::new("^ready: [0-9]+$").unwrap());
    let (seen, ()) = tokio::join!(wait(&world, &ids, false, pattern()), async {
        say(&world, "a", "not ready: 1");
        say(&world, "b", "ready: 80");
    });
    assert_eq!(states(&seen)[1], (State::Running(ids[1]), "ready: 80\n", true));
    // What was said before is new as long as nobody has looked at it.
    say(&world, "a", "ready: 81");
    let seen = wait(&world, &ids[..1], true, pattern()).await;
    assert!(states(&seen)[0].2 && seen[0].1.output.head.ends_with("ready: 81\n"), "{seen:?}");
    // An end is an end, whatever is waited for.
    let (seen, ()) = tokio::join!(wait(&world, &ids, false, pattern()), async { say(&world, "a", "end") });
    assert_eq!(seen[0].1.state, State::Exited(3));
}

#[tokio::test]
async fn a_wait_ends_when_a_process_waits_for_input() {
    let world = World::new();
    let quiet = world.stay(world.launch("exec sleep 600")).await;
    let asks = world.stay(world.on_tty("sleep 0.3; read answer")).await;
    let seen = wait(&world, &[quiet, asks], true, Until::End).await;
    assert_eq!((seen[0].1.waiting, seen[1].1.waiting), (None, Some(Waiting::Line)));
}

#[tokio::test]
async fn a_wait_has_its_time_and_an_interrupt_ends_it_at_once_and_no_process() {
    let world = World::new();
    let ids =
        [world.stay(world.launch("exec sleep 600")).await, world.stay(world.launch("exec sleep 600")).await];
    let seen = world.shell().wait(&ids, false, look(Duration::from_millis(300))).await.unwrap();
    assert!(seen.iter().all(|(id, seen)| seen.state == State::Running(*id)), "{seen:?}");
    let mut fastest = MINUTE;
    for _ in 0..3 {
        let cancel = CancellationToken::new();
        let asked = Look { cancel: cancel.clone(), ..look(MINUTE) };
        let (seen, since) = tokio::join!(world.shell().wait(&ids, true, asked), async {
            // It has begun: the other branch was polled first.
            cancel.cancel();
            Instant::now()
        });
        fastest = fastest.min(since.elapsed());
        assert!(seen.unwrap().iter().all(|(id, seen)| seen.state == State::Running(*id)));
    }
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
}
