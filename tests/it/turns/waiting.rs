//! Waiting for several sessions, and programs that take the whole screen.

use serde_json::json;

use crate::support::{
    mock::{Request, Step, call},
    world::{World, output, process, results, sent},
};

/// The sessions that the results of a request tell of.
fn sessions(request: &Request) -> Vec<u32> {
    results(&sent(request)).iter().map(|(_, text)| process(text.as_str().unwrap())).collect()
}

#[tokio::test]
async fn the_model_waits_for_several_sessions_at_once() {
    let reader = |name: &str| {
        let cmd = format!("exec 3<> {name}; read line <&3; echo {name} $line; exit 3");
        call("exec_command", json!({"cmd": cmd, "yield_time_ms": 250}))
    };
    let world = World::new([
        Step::items([reader("one"), reader("two")]),
        Step::reply(|request| {
            let ids = sessions(request);
            let wait = call("wait", json!({"session_ids": ids, "pattern": "^two "}));
            Step::items([wait, call("exec_command", json!({"cmd": "echo go > two"}))])
        }),
        Step::items([
            call("wait", json!({"until": "exit_all"})),
            call("exec_command", json!({"cmd": "echo end > one"})),
        ]),
        Step::items([call("wait", json!({}))]),
        Step::text("ok"),
    ])
    .await;
    world.fifo("one");
    world.fifo("two");
    world.exec(&["go"]).await.expect(0);
    let first: Vec<u32> = sessions(&world.mock.requests()[1]);
    let text = |request: usize, at: usize| world.results(request)[at].1.as_str().unwrap().to_owned();
    let met = text(3, 2);
    assert!(met.starts_with("Chunk ID: "), "{met}");
    assert!(
        met.contains(&format!("\nWait ended: what was waited for came from session ID {}", first[1])),
        "{met}"
    );
    assert!(met.contains(&format!("\nSession ID {} (`exec 3<> one; read", first[0])), "{met}");
    assert!(met.contains(&format!("\nProcess running with session ID {}\n", first[0])), "{met}");
    assert!(met.contains("\nOutput:\ntwo go\n"), "{met}");
    let all = text(4, 4);
    assert!(all.contains("Wait ended: ended: session ID "), "{all}");
    assert!(all.contains("Process exited with code 3\n") && all.contains("\nOutput:\none end\n"), "{all}");
    assert_eq!(text(5, 6), "wait failed: no session is running");
}

#[tokio::test]
async fn a_full_screen_program_comes_as_its_screen() {
    let draws = r"printf 'one\r\n\033[?1049h\033[2J\033[3;3Hthere\033]52;c;AAAA\007'; read -rsn 1; printf '\033[?1049l'; echo two";
    let world = World::new([
        Step::call("exec_command", json!({"cmd": draws, "tty": true, "shell": "bash"})),
        Step::reply(|request| {
            Step::items([call(
                "write_stdin",
                json!({"session_id": sessions(request)[0], "chars": "q", "yield_time_ms": 30_000}),
            )])
        }),
        Step::text("ok"),
    ])
    .await;
    world.exec(&["go"]).await.expect(0);
    let results = world.results(3);
    let first = results[0].1.as_str().unwrap();
    assert!(
        first.contains(
            "\nFull-screen program: its screen of 40 rows and 120 columns, cursor at row 3, column 8\n"
        ),
        "{first}"
    );
    assert_eq!(output(first), "one\r\n\n\n  there\n");
    assert_eq!(output(results[1].1.as_str().unwrap()), "two\r\n");
}
