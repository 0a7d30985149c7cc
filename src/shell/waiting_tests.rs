//! Real programs on real terminals: those that wait for somebody, and those that only take their time.

use std::time::Duration;

use futures::future::join_all;

use super::{State, Waiting, tests::World};

/// What a command that waits is looked at for. The look ends when it is seen, so this only bounds a failure.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a command that does not wait is looked at for: several times as long as it takes to see one that does.
const A_WHILE: Duration = Duration::from_millis(1200);

const WAIT: &[(&str, Waiting)] = &[
    ("read answer", Waiting::Line),
    ("echo -n 'Proceed? [y/N] '; read answer", Waiting::Line),
    ("cat", Waiting::Line),
    ("cat | wc -l", Waiting::Line),
    ("dd of=/dev/null", Waiting::Line),
    ("head -n 1", Waiting::Line),
    ("grep x", Waiting::Line),
    ("sort", Waiting::Line),
    ("cat < /dev/tty", Waiting::Line),
    ("sh", Waiting::Line),
    ("(sleep 600 & read answer)", Waiting::Line),
    ("python3 -c 'input()'", Waiting::Line),
    ("perl -e '<STDIN>'", Waiting::Line),
    ("stty -echo; echo -n Password:; read secret", Waiting::Secret),
    ("read -s secret", Waiting::Secret),
    ("python3 -c 'import getpass; getpass.getpass()'", Waiting::Secret),
    ("bash --norc", Waiting::Keys),
    ("read -n 1 key", Waiting::Keys),
    ("read -e line", Waiting::Keys),
    ("stty -icanon -echo; dd bs=1 count=1 of=/dev/null", Waiting::Keys),
    ("select answer in yes no; do break; done", Waiting::Line),
    ("less /etc/passwd", Waiting::Keys),
];

const WORK: &[&str] = &[
    "sleep 600",
    "sleep 600 | cat",
    "sleep 600 < /dev/null",
    "while :; do :; done",
    "while sleep 0.3; do echo tick; done",
    "tail -f /etc/passwd",
    "stty -echo; sleep 600",
    "stty raw -echo; sleep 600",
    "make -f - <<< 'all: ; @sleep 600'",
    "sleep 600 & wait",
    "read line < <(sleep 600)",
    "mkfifo pipe; cat pipe",
    "python3 -m http.server 0",
    "find / -name nothing-has-this-name > /dev/null 2>&1; sleep 600",
    "trap '' TTIN; sleep 600 & cat < /dev/zero > /dev/null",
];

/// Whether the program of a command is installed; where not, that is said and counted (see `install.sh`).
pub(super) fn is_there(command: &str) -> bool {
    let program = command.split_whitespace().next().unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = ["python3", "perl", "less", "make", "vi", "top"];
    if !known.contains(&program) || std::env::split_paths(&path).any(|folder| folder.join(program).exists()) {
        return true;
    }
    let line = format!("NOT TESTED: whether `{command}` waits for input: {program} is not installed\n");
    if let Some(skips) = std::env::var_os("AGENT_TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(skips);
        file.and_then(|mut file| std::io::Write::write_all(&mut file, line.as_bytes())).unwrap();
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{line}");
    false
}

#[tokio::test]
async fn programs_that_wait_for_input_are_seen_to() {
    let world = World::new();
    let all = WAIT.iter().filter(|(command, _)| is_there(command));
    let looks =
        all.map(async |(command, expected)| (command, expected, world.on_tty_for(command, PATIENCE).await));
    for (command, expected, seen) in join_all(looks).await {
        assert!(matches!(seen.state, State::Running(_)), "{command}: {seen:?}");
        assert_eq!(seen.waiting, Some(*expected), "{command}: {seen:?}");
        assert!(seen.wall < PATIENCE, "{command}: the look did not end when it was seen");
    }
    world.shell.stop().await;
}

#[tokio::test]
async fn programs_that_take_their_time_are_left_alone() {
    let world = World::new();
    let all = WORK.iter().filter(|command| is_there(command));
    let looks = all.map(async |command| (command, world.on_tty_for(command, A_WHILE).await));
    for (command, seen) in join_all(looks).await {
        assert!(matches!(seen.state, State::Running(_)), "{command}: {seen:?}");
        assert_eq!(seen.waiting, None, "{command}: {seen:?}");
    }
    // Without it, one of them may miss that its terminal is gone, and take its time for ever.
    world.shell.stop().await;
}

#[tokio::test]
async fn what_is_typed_is_taken_before_anybody_is_said_to_wait() {
    let world = World::new();
    let seen = world.on_tty_for("read a; read -s b; echo $a$b; exec sleep 600", PATIENCE).await;
    let State::Running(id) = seen.state else { panic!("{seen:?}") };
    assert_eq!(seen.waiting, Some(Waiting::Line));
    let seen = world.type_for(id, "one\n", PATIENCE).await;
    assert_eq!(seen.waiting, Some(Waiting::Secret), "{seen:?}");
    let seen = world.type_for(id, "two\n", A_WHILE).await;
    assert_eq!((seen.waiting, seen.output.head.contains("onetwo")), (None, true), "{seen:?}");
    world.shell.stop().await;
}

#[tokio::test]
async fn a_program_that_also_takes_keys_does_not_end_every_look() {
    let world = World::new();
    let seen =
        world.on_tty_for("stty -icanon -echo; dd bs=1 count=1 of=/dev/null; exec sleep 600", PATIENCE).await;
    let State::Running(id) = seen.state else { panic!("{seen:?}") };
    let seen = world.type_for(id, "", A_WHILE).await;
    assert_eq!(seen.waiting, Some(Waiting::Keys), "{seen:?}");
    assert!(seen.wall >= A_WHILE, "nothing was new, and yet the look ended after {:?}", seen.wall);
    world.shell.stop().await;
}
