//! Real programs that ask for what is not echoed, and a person who answers.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::{
    Answered, Ask, Look, Seen, State, Waiting,
    tests::{World, look, world_with},
};
use crate::protocol::ProcessId;

const PATIENCE: Duration = Duration::from_secs(20);

fn world() -> (World, UnboundedReceiver<Ask>) {
    let (person, asks) = unbounded_channel();
    (world_with(|settings| settings.person = Some(person)), asks)
}

async fn begun(asks: &mut UnboundedReceiver<Ask>) -> (ProcessId, String) {
    match asks.recv().await {
        Some(Ask::Begun { process, prompt, .. }) => (process, prompt),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_person_types_goes_to_the_process_and_is_in_no_output() {
    let (world, mut asks) = world();
    let command = "stty -echo; printf 'Password for me: '; read a; printf '\nAgain: '; read b; stty echo; \
                   echo; echo ${#a} $a ${#b}; exec sleep 600";
    let look = world.on_tty_for(command, Duration::from_secs(2));
    let person = async {
        let (process, prompt) = begun(&mut asks).await;
        assert_eq!(prompt, "Password for me:");
        world.shell().answer(process, Some("hunter2-hunter2")).unwrap();
        let (process, prompt) = begun(&mut asks).await;
        assert_eq!(prompt, "Again:");
        world.shell().answer(process, Some("")).unwrap();
    };
    let (seen, ()) = tokio::join!(look, person);
    assert_eq!(seen.answered, Some(Answered::Typed));
    let text = &seen.output.head;
    assert!(text.contains("\n15 [redacted:") && text.contains("] 0"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(asks.try_recv().is_err(), "nothing more is asked");
}

#[tokio::test]
async fn what_a_person_leaves_is_the_models_and_is_not_asked_again() {
    let (world, mut asks) = world();
    let look = world.on_tty_for("read -s a; echo got it; read -s b", PATIENCE);
    let person = async {
        let (process, _) = begun(&mut asks).await;
        world.shell().answer(process, None).unwrap();
        process
    };
    let (seen, process) = tokio::join!(look, person);
    assert_eq!((seen.answered, seen.waiting), (Some(Answered::Left), Some(Waiting::Secret)));
    let seen = world.type_for(process, "", PATIENCE).await;
    assert_eq!((seen.answered, seen.waiting), (None, Some(Waiting::Secret)));
    assert!(asks.try_recv().is_err(), "it was left, and nothing was said since");
    // The model types something, and the process asks for something else.
    let look = world.type_for(process, "x\n", PATIENCE);
    let person = async {
        let (process, prompt) = begun(&mut asks).await;
        assert_eq!(prompt, "got it");
        world.shell().answer(process, None).unwrap();
    };
    let (seen, ()) = tokio::join!(look, person);
    assert_eq!(seen.answered, Some(Answered::Left));
}

#[tokio::test]
async fn a_question_ends_with_the_wait_of_the_process() {
    let (world, mut asks) = world();
    let command = "stty -echo; timeout --foreground 1 head -n 1; stty echo; echo too late; exec sleep 600";
    let seen = world.on_tty_for(command, Duration::from_secs(3)).await;
    assert!(seen.output.head.contains("too late"), "{seen:?}");
    let (process, _) = begun(&mut asks).await;
    assert_eq!(asks.recv().await, Some(Ask::Over { process }));
    assert_eq!(seen.answered, None);
}

#[tokio::test]
async fn a_question_ends_with_the_process_and_with_the_call() {
    let (world, mut asks) = world();
    let cancel = CancellationToken::new();
    let asked = Look { cancel: cancel.clone(), ..look(PATIENCE) };
    let command = world.on_tty("read -s a");
    let call = world.shell().exec(command, asked);
    let person = async {
        let (process, _) = begun(&mut asks).await;
        cancel.cancel();
        process
    };
    let (seen, process) = tokio::join!(call, person);
    let Seen { state, .. } = seen.unwrap();
    assert_eq!(state, State::Killed);
    assert_eq!(asks.recv().await, Some(Ask::Over { process }));
    let look = world.on_tty_for("read -s a", PATIENCE);
    let person = async {
        let (process, _) = begun(&mut asks).await;
        world.shell().end(process).unwrap();
        assert_eq!(asks.recv().await, Some(Ask::Over { process }));
    };
    let (seen, ()) = tokio::join!(look, person);
    assert_eq!(seen.state, State::Killed);
}
