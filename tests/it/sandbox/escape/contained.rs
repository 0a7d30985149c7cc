//! The same attacks in containers. That they succeed without a sandbox is shown by the others.

use std::sync::Mutex;

use super::{
    backend_of,
    bare::Where,
    field,
    run::{self, Outcome},
    table::{Attack, Class},
    told,
};
use crate::{docker::world::image_with, support::chance::long};

/// Programs that the attacks are made of, beside those of the other tests; and the directories that these need.
const PROGRAMS: &str = "awk base64 chmod chown comm cut dirname expr flock git getent head join kill ln mount mv nice \
                        nohup python3 readlink sync unshare xargs /usr/lib/git-core /usr/lib/python3.11";
/// Sandboxes at once.
const AT_ONCE: usize = 3;

/// Runs all attacks of a class in containers, as many in one as can be.
fn holds_against(name: &str) {
    let Some(image) = image_with(PROGRAMS) else { return };
    let Some(helper) = field::helper() else { return };
    let class = Class::named(name);
    let place = Where::Inside(backend_of(&format!("docker:{image}")));
    let (mut apart, mut left) = (Vec::new(), 0);
    let mut batches: Vec<Vec<Attack>> = Vec::new();
    let mut together = Vec::new();
    for attack in class.attacks.iter().cloned() {
        if let Some(why) = &attack.not_in_containers {
            apart.push(format!("{}: {why}", attack.name));
        } else if attack.long && !long() {
            left += 1;
        } else if attack.alone || attack.long || attack.end.is_some() || class.repository {
            batches.push(vec![attack]);
        } else {
            together.push(attack);
        }
    }
    batches.extend((!together.is_empty()).then_some(together));
    let all: usize = batches.iter().map(Vec::len).sum();
    let queue = Mutex::new(batches);
    let outcomes: Mutex<Vec<Outcome>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(batch) = queue.lock().unwrap().pop() else { return };
                    let done = run::run(&class, &batch, helper, &place);
                    outcomes.lock().unwrap().extend(done);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    // An attack that never ran held nobody off.
    let silent: Vec<&str> =
        outcomes.iter().filter(|outcome| !outcome.ran).map(|outcome| outcome.attack.name.as_str()).collect();
    let (awaited, lost): (Vec<&Outcome>, Vec<&Outcome>) = outcomes
        .iter()
        .filter(|outcome| outcome.won.is_some())
        .partition(|outcome| outcome.attack.awaits.is_some());
    eprintln!(
        "escape, {name}, in a container: {} of {all} held; {left} left to the long form",
        all - lost.len() - awaited.len()
    );
    for Attack { name: attack, awaits, .. } in awaited.iter().map(|outcome| &outcome.attack) {
        eprintln!("NOT YET HELD in a container: {name}: {attack}: {}", awaits.as_deref().unwrap_or_default());
    }
    for apart in apart {
        eprintln!("does not apply in a container: {name}: {apart}");
    }
    let lost: String = lost.into_iter().map(told).collect();
    assert!(lost.is_empty(), "{name}, in a container: attacks succeeded inside:{lost}");
    assert!(silent.is_empty() && outcomes.len() == all, "{name}, in a container: did not run: {silent:?}");
}

macro_rules! classes {
    ($($test:ident: $class:literal)*) => {
        $(#[test]
        fn $test() {
            holds_against($class);
        })*
    };
}

classes! {
    nothing_is_written_outside_of_a_container: "write"
    nothing_secret_is_read_from_a_container: "read"
    nothing_is_inherited_in_a_container: "environment"
    nobody_is_reached_from_a_container: "network"
    no_other_process_is_touched_from_a_container: "processes"
    no_door_of_the_kernel_opens_in_a_container: "kernel"
    nothing_is_taken_without_measure_in_a_container: "limits"
    nothing_lives_on_after_a_container: "survival"
    nothing_that_was_planted_in_a_container_runs: "later"
}
