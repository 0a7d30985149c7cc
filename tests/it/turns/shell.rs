//! Commands: pipes, terminals, and sessions that outlive their call.

use serde_json::json;

use crate::support::{
    mock::{Step, call},
    world::{World, output, process, results, sent, shell},
};

#[tokio::test]
async fn a_command_runs_in_the_workspace_and_its_result_has_the_known_shape() {
    let world =
        World::new([Step::items([shell("pwd; echo err >&2; echo x > made; exit 3")]), Step::text("ok")])
            .await;
    world.exec(&["go"]).await.expect(0);
    let result = world.result(2);
    let lines: Vec<&str> = result.lines().collect();
    let id = lines[0].strip_prefix("Chunk ID: ").unwrap();
    assert!(id.len() == 6 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{result}");
    let wall = lines[1].strip_prefix("Wall time: ").and_then(|rest| rest.strip_suffix(" seconds")).unwrap();
    assert_eq!(wall.split_once('.').unwrap().1.len(), 4, "{result}");
    assert_eq!(lines[2], "Process exited with code 3");
    let tokens = (world.workspace.as_os_str().len() + 1 + 4).div_ceil(4);
    assert_eq!(lines[3], format!("Original token count: {tokens}"));
    assert_eq!(output(&result), format!("{}\nerr\n", world.workspace.display()));
    assert_eq!(world.read("made"), "x\n");
}

#[tokio::test]
async fn with_a_terminal_a_command_sees_one_and_without_it_does_not() {
    let look = "test -t 0 && test -t 1 && echo terminal || echo pipes";
    let world = World::new([
        Step::items([shell(look), call("exec_command", json!({"cmd": look, "tty": true}))]),
        Step::text("ok"),
    ])
    .await;
    world.exec(&["go"]).await.expect(0);
    let texts: Vec<String> =
        world.results(2).iter().map(|(_, text)| output(text.as_str().unwrap()).to_owned()).collect();
    assert_eq!(texts, ["pipes\n", "terminal\r\n"]);
}

#[tokio::test]
async fn a_command_that_goes_on_is_typed_into_looked_at_and_ended() {
    // Each look ends because the program waits for input, however long that takes it.
    let script = "echo ready; read -r line; echo \"got $line\"; read -r line; echo \"and $line\"; exec cat";
    let write = |request: &crate::support::mock::Request, chars: &str| {
        let first = results(&sent(request))[0].1.as_str().unwrap().to_owned();
        call("write_stdin", json!({"session_id": process(&first), "chars": chars, "yield_time_ms": 30_000}))
    };
    let world = World::new([
        Step::call("exec_command", json!({"cmd": script, "tty": true, "yield_time_ms": 30_000})),
        Step::reply(move |request| Step::items([write(request, "one\n")])),
        Step::reply(move |request| Step::items([write(request, "two\n")])),
        Step::reply(move |request| Step::items([write(request, "\u{3}")])),
        Step::reply(move |request| Step::items([write(request, "late\n")])),
        Step::text("ok"),
    ])
    .await;
    let run = world.exec(&["--json", "go"]).await.expect(0);
    let results: Vec<String> =
        world.results(6).iter().map(|(_, text)| text.as_str().unwrap().to_owned()).collect();
    assert_eq!(output(&results[0]), "ready\r\n");
    // The terminal echoes what is typed.
    assert_eq!(output(&results[1]), "one\r\ngot one\r\n");
    assert_eq!(output(&results[2]), "two\r\nand two\r\n");
    assert!(results[3].contains("Process exited with code 130"), "{results:#?}");
    let id = process(&results[0]);
    assert_eq!(results[4], format!("write_stdin failed: Unknown process id {id}"));
    assert_eq!(run.of("process_started").len(), 1);
    assert_eq!(run.of("process_exited")[0]["process"], json!(id));
}

#[tokio::test]
async fn a_call_returns_when_its_program_waits_for_input_and_says_so() {
    let script = "read -r name; read -rs secret; echo \"$name has it\"";
    let write = |request: &crate::support::mock::Request, chars: &str| {
        let first = results(&sent(request))[0].1.as_str().unwrap().to_owned();
        call("write_stdin", json!({"session_id": process(&first), "chars": chars, "yield_time_ms": 30_000}))
    };
    let world = World::new([
        Step::call("exec_command", json!({"cmd": script, "tty": true, "yield_time_ms": 30_000})),
        Step::reply(move |request| Step::items([write(request, "Ada\n")])),
        Step::reply(move |request| Step::items([write(request, "1815\n")])),
        Step::text("ok"),
    ])
    .await;
    world.exec(&["go"]).await.expect(0);
    let results: Vec<String> =
        world.results(4).iter().map(|(_, text)| text.as_str().unwrap().to_owned()).collect();
    assert!(results[0].contains("\nWaiting for input: it reads a line from the terminal\n"), "{results:#?}");
    assert!(results[1].contains("\nWaiting for input: it reads a line that is not echoed"), "{results:#?}");
    assert!(results[2].contains("Process exited with code 0"), "{results:#?}");
    assert!(output(&results[2]).contains("Ada has it") && !results[2].contains("1815"), "{results:#?}");
}

#[tokio::test]
async fn a_look_waits_for_the_end_of_a_command_and_not_for_its_own() {
    // The command ends when the test says so, which is after the model has begun to look.
    let world = World::new([
        Step::call("exec_command", json!({"cmd": "echo begun; cat gate", "yield_time_ms": 250})),
        Step::reply(|request| {
            let first = results(&sent(request))[0].1.as_str().unwrap().to_owned();
            Step::call("write_stdin", json!({"session_id": process(&first), "yield_time_ms": 300_000}))
        }),
        Step::text("ok"),
    ])
    .await;
    let gate = world.fifo("gate");
    let mut run = world.start(&["go"]);
    run.until(|fact| fact["type"] == "tool_started" && fact["call"] == "call_2_1").await;
    tokio::task::spawn_blocking(move || std::fs::write(gate, "through the gate\n")).await.unwrap().unwrap();
    run.end().await.expect(0);
    let results = world.results(3);
    let [first, second] = [0, 1].map(|at: usize| results[at].1.as_str().unwrap());
    assert!(second.contains("Process exited with code 0"), "{second}");
    // On a machine that is busy the first words may come with the second look.
    assert_eq!(format!("{}{}", output(first), output(second)), "begun\nthrough the gate\n");
}

#[tokio::test]
async fn typing_into_a_pipe_and_into_nothing_is_told() {
    let world = World::new([
        Step::call("exec_command", json!({"cmd": "cat gate", "yield_time_ms": 250})),
        Step::reply(|request| {
            let first = results(&sent(request))[0].1.as_str().unwrap().to_owned();
            Step::items([
                call("write_stdin", json!({"session_id": process(&first), "chars": "x\n"})),
                call("write_stdin", json!({"session_id": 1, "chars": "x"})),
            ])
        }),
        Step::text("ok"),
    ])
    .await;
    world.fifo("gate");
    world.exec(&["go"]).await.expect(0);
    let results = world.results(3);
    let closed = results[1].1.as_str().unwrap();
    assert!(closed.starts_with("write_stdin failed: ") && closed.contains("tty"), "{closed}");
    assert_eq!(results[2].1, "write_stdin failed: Unknown process id 1");
    // It ran to the end of the session, and not longer: nobody reads that pipe any more.
    use rustix::fs::{Mode, OFlags, open};
    let opened = open(world.workspace.join("gate"), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty());
    assert_eq!(opened.unwrap_err(), rustix::io::Errno::NXIO);
}

#[tokio::test]
async fn a_long_output_keeps_its_head_and_tail_and_is_whole_in_a_blob() {
    let world = World::new([
        Step::call("exec_command", json!({"cmd": "seq 100000", "max_output_tokens": 100})),
        Step::text("ok"),
    ])
    .await;
    let run = world.exec(&["--json", "go"]).await.expect(0);
    let result = world.result(2);
    let text = output(&result);
    assert!(text.starts_with("Warning: truncated output (original token count: 147224)"), "{text}");
    assert!(text.contains("\n\n1\n2\n3\n") && text.ends_with("99999\n100000\n"), "{text}");
    assert!(text.contains("tokens truncated…") && text.len() < 700, "{text}");
    let results: Vec<_> =
        run.of("item_added").into_iter().filter(|fact| fact["item"]["type"] == "tool_result").collect();
    let blob = results[0]["item"]["shown"]["output"]["blob"].as_str().unwrap();
    let path = world.home.join("sessions").join(world.session()).join("blobs").join(blob);
    let whole = std::fs::read_to_string(path).unwrap();
    assert_eq!((whole.lines().count(), whole.lines().last()), (100_000, Some("100000")));
}
