//! Full-screen programs on real terminals.

use std::time::Duration;

use super::{
    Size, State, Waiting,
    tests::{World, look},
    waiting_tests::is_there,
};

/// The look ends when the program waits for keys, so this only bounds a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes the screen over, draws with the cursor all over the place, reads one key, and gives it back.
const DRAWS: &str = r"stty -echo -icanon; printf 'before\r\n\033[?1049h\033[2J\033[12;40Hmiddle\033[1;1Htop\033]0;title\007\033[31m!\033[0m'; dd bs=1 count=1 of=/dev/null 2>/dev/null; printf '\033[?1049l'; stty echo icanon; echo after";

#[tokio::test]
async fn a_program_that_takes_the_screen_over_is_shown_as_its_screen_until_it_gives_it_back() {
    let world = World::new();
    let seen = world.on_tty_for(DRAWS, PATIENCE).await;
    let State::Running(id) = seen.state else { panic!("{seen:?}") };
    assert_eq!(seen.waiting, Some(Waiting::Keys));
    let expected = format!("before\r\ntop!\n{}{}middle\n", "\n".repeat(10), " ".repeat(39));
    assert_eq!(seen.output.head, expected);
    let shot = seen.screen.unwrap();
    assert_eq!((shot.size, shot.cursor), (Size::USUAL, (1, 5)));
    assert_eq!(world.shell().peek(id).unwrap().latest, shot.text, "people see the same");
    let seen = world.type_for(id, "x", PATIENCE).await;
    assert_eq!((seen.state, seen.output.head.as_str(), seen.screen), (State::Exited(0), "after\r\n", None));
}

#[tokio::test]
async fn a_terminal_takes_another_size_and_its_program_hears_of_it() {
    let world = World::new();
    let command = r"trap 'stty size' WINCH; stty -icanon; stty size; while :; do sleep 0.05; done";
    let id = world.stay_until(world.on_tty(command), "40 120").await;
    let look = look(Duration::from_millis(250));
    let seen = world.shell().write(id, "\u{1b}[8;24;80t", look).await.unwrap();
    world.until(id, seen.output.head, "24 80").await;
    world.shell().resize(id, Size { rows: 30, columns: 100 }).unwrap();
    world.until(id, String::new(), "30 100").await;
    world.shell().end(id).unwrap();
}

#[tokio::test]
async fn pagers_and_editors_are_read_as_people_read_them() {
    let world = World::new();
    let lines: String = (1..=100).map(|line| format!("this is line {line}\n")).collect();
    std::fs::write(world.path("text"), lines).unwrap();
    if is_there("less text") {
        let seen = world.on_tty_for("less text", PATIENCE).await;
        let State::Running(id) = seen.state else { panic!("{seen:?}") };
        assert!(seen.output.head.starts_with("this is line 1\nthis is line 2\n"), "{seen:?}");
        assert!(seen.screen.is_some() && !seen.output.head.contains('\u{1b}'), "{seen:?}");
        let seen = world.type_for(id, "G", PATIENCE).await;
        assert!(seen.output.head.contains("\nthis is line 100\n"), "{seen:?}");
        let seen = world.type_for(id, "q", PATIENCE).await;
        assert_eq!((seen.state, seen.screen), (State::Exited(0), None));
    }
    if is_there("vi text") {
        let seen = world.on_tty_for("vi text", PATIENCE).await;
        let State::Running(id) = seen.state else { panic!("{seen:?}") };
        // It sets modes of the terminal before it takes the screen over.
        assert!(seen.screen.unwrap().text.starts_with("this is line 1\nthis is line 2\n"));
        let seen = world.type_for(id, "ihello \u{1b}", PATIENCE).await;
        assert!(seen.output.head.starts_with("hello this is line 1\n"), "{seen:?}");
        let seen = world.type_for(id, ":wq\n", PATIENCE).await;
        assert_eq!(seen.state, State::Exited(0), "{seen:?}");
        assert!(std::fs::read_to_string(world.path("text")).unwrap().starts_with("hello this"));
    }
    if is_there("top") {
        let seen = world.on_tty_for("top -d 600", PATIENCE).await;
        let State::Running(id) = seen.state else { panic!("{seen:?}") };
        // It sets modes of the terminal before it draws.
        assert!(seen.screen.is_some_and(|shot| shot.text.contains("PID") && !shot.text.contains('\u{1b}')));
        let seen = world.type_for(id, "q", PATIENCE).await;
        assert_eq!(seen.state, State::Exited(0), "{seen:?}");
    }
}

/// Escapes by the million: bounded in memory, and answered by a screen.
#[tokio::test]
async fn hostile_escapes_on_a_full_screen_are_drawn_and_go_no_further() {
    let world = World::new();
    let command = r"stty -icanon; printf '\033[?1049h'; i=0; while [ $i -lt 2000 ]; do printf '\033[%d;%dH\033[38;5;%dmx\033]52;c;AAAA\007\033P+q\033\\\033[6n\033[?2004h' $((i % 50)) $((i % 130)) $((i % 256)); i=$((i+1)); done; printf '\033[2J\033[1;1Hend'; exec sleep 600";
    let seen = world.on_tty_for(command, Duration::from_millis(1500)).await;
    let State::Running(id) = seen.state else { panic!("{seen:?}") };
    let mut shown = seen.output.head;
    while !shown.starts_with("end") {
        shown = world.type_for(id, "", Duration::from_millis(200)).await.output.head;
        assert!(!shown.contains('\u{1b}') && shown.len() < 40 * 130, "{shown:?}");
    }
    world.shell().end(id).unwrap();
}
