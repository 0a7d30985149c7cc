//! Notes that are made while something else is done: nothing waits for them, and a kill costs only that they come later.

use std::time::{Duration, Instant};

use super::{extract, note, notes, project, takes};
use crate::support::{
    mock::{Gate, Step},
    world::World,
};

const SAID: &str = "The build takes ten minutes";

/// Opens a world where one session is over, and the next one's answer waits at a gate.
async fn waiting(then: impl IntoIterator<Item = Step>) -> (World, Gate) {
    let gate = Gate::new();
    let steps = [Step::text(SAID), Step::text("done").gate(0, &gate)];
    let world = World::new(steps.into_iter().chain(then).collect::<Vec<_>>()).await;
    world.exec(&["one"]).await.expect(0);
    world.configure("memory.write = true\nmemory.gather_sessions = 1");
    (world, gate)
}

#[tokio::test]
async fn notes_of_the_session_before_are_made_while_the_next_one_works() {
    let (world, gate) = waiting([
        extract("one", &[note("project", SAID, SAID)]),
        takes(&[("c1", SAID)]),
        Step::text("told"),
        Step::text("not told again"),
    ])
    .await;
    let running = world.start(&["two"]);
    world.mock.request(4).await;
    let since = Instant::now();
    while !notes_are_there(&world) {
        assert!(since.elapsed() < Duration::from_secs(30), "no notes came");
        tokio::task::yield_now().await;
    }
    gate.open();
    running.end().await.expect(0);
    assert!(notes(&world).contains(&format!("- {SAID} (")));
    assert_eq!(world.mock.requests().len(), 4, "nothing is made of the session that is open");
    // The person is told once of what was done unasked.
    for told in [true, false] {
        let run = world
            .exec(&["--json", "-c", "memory.write=false", "-c", "memory.read=true", "three"])
            .await
            .expect(0);
        let said =
            |note: &String| note.contains("1 added from 1 session") && note.contains("agent memory undo");
        assert_eq!(run.notes().iter().any(said), told, "{run:?}");
    }
}

fn notes_are_there(world: &World) -> bool {
    world.home.join("memory/projects").exists() && project(world).join("current/MEMORY.md").exists()
}

#[tokio::test]
async fn the_end_of_a_session_does_not_wait_and_the_next_run_does_what_was_cut_off() {
    let never = Gate::new();
    let (world, gate) = waiting([
        extract("never", &[]).gate(0, &never),
        extract("one", &[note("project", SAID, SAID)]),
        extract("two", &[]),
        takes(&[("c1", SAID)]),
    ])
    .await;
    let running = world.start(&["two"]);
    never.reached().await;
    let since = Instant::now();
    gate.open();
    running.end().await.expect(0);
    assert!(since.elapsed() < Duration::from_secs(10), "it took {:?}", since.elapsed());
    assert!(!notes_are_there(&world));
    world.agent(["memory", "run"]).await.expect(0);
    assert!(notes(&world).contains(SAID));
}

#[tokio::test]
async fn only_one_process_makes_notes_at_a_time() {
    let gate = Gate::new();
    let world = World::new([Step::text(SAID), extract("one", &[]).gate(0, &gate)]).await;
    world.exec(&["one"]).await.expect(0);
    world.configure("memory.write = true");
    let first = crate::support::world::Running::spawn(world.command(["memory", "run"]));
    gate.reached().await;
    let second = world.agent(["memory", "run"]).await.expect(1);
    assert!(second.stderr.contains("another program is making notes"), "{second:?}");
    gate.open();
    first.end().await.expect(0);
    assert_eq!(world.mock.requests().len(), 2);
}
