//! The same attacks where no namespaces can be had. That they succeed without a sandbox is shown by the others.
//!
//! They run as commands that may write the workspace: whoever may not has less. What is not held is named in the tables,
//! with the reason.

use super::{
    bare::Where,
    field,
    run::{self, Outcome},
    table::Class,
    told,
};
use crate::support::chance::long;

/// Runs all attacks of a class on a machine without namespaces.
fn holds_against(name: &str) {
    let Some(helper) = field::helper() else { return };
    let class = Class::named(name);
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut left = 0;
    for batch in class.batches() {
        if batch.iter().any(|attack| attack.long) && !long() {
            left += 1;
            continue;
        }
        outcomes.extend(run::run(&class, &batch, helper, &Where::Alone));
    }
    // An attack that never ran held nobody off.
    let silent: Vec<String> =
        outcomes.iter().filter(|outcome| !outcome.ran).map(|outcome| outcome.attack.name.clone()).collect();
    let all = outcomes.len();
    let (open, lost): (Vec<Outcome>, Vec<Outcome>) = outcomes
        .into_iter()
        .filter(|outcome| outcome.won.is_some())
        .partition(|outcome| outcome.attack.not_alone.is_some());
    eprintln!(
        "escape, {name}, without namespaces: {} of {all} held; {left} left to the long form",
        all - lost.len() - open.len()
    );
    for outcome in open {
        let why = outcome.attack.not_alone.unwrap_or_default();
        eprintln!("not held without namespaces: {name}: {}: {why}", outcome.attack.name);
    }
    let lost: String = lost.iter().map(told).collect();
    assert!(lost.is_empty(), "{name}, without namespaces: attacks succeeded inside:{lost}");
    assert!(silent.is_empty(), "{name}, without namespaces: did not run: {silent:?}");
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
    nothing_is_written_outside_without_namespaces: "write"
    nothing_secret_is_read_without_namespaces: "read"
    nothing_is_inherited_without_namespaces: "environment"
    nobody_is_reached_without_namespaces: "network"
    no_other_process_is_touched_without_namespaces: "processes"
    no_door_of_the_kernel_opens_without_namespaces: "kernel"
    nothing_is_taken_without_measure_without_namespaces: "limits"
    nothing_lives_on_without_namespaces: "survival"
}
