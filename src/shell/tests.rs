//! Real processes, run as they are: no sandbox.

use std::{collections::HashSet, ffi::OsString, fs, process::Command, time::Duration};

use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::{
    protocol::BlobId,
    sandbox::{CommandLine, Sandbox},
};

/// Runs commands as they are. On a terminal it does what the helper of a sandbox would: it takes the terminal
/// as its controlling one, which a session without one gets by opening it.
pub(crate) struct Plain;

#[async_trait::async_trait]
impl Sandbox for Plain {
    fn wrap(&self, command: CommandLine) -> Result<CommandLine, SandboxError> {
        if !command.tty {
            return Ok(command);
        }
        let take = r#"exec 0<>"$(tty)" 1>&0 2>&0; exec "$@""#;
        // Nobody but the end of its terminal ends what a command leaves here, also where these tests run under `nohup`.
        let words = ["--default-signal=HUP", "/bin/sh", "-c", take, "sh"];
        let mut args: Vec<OsString> = words.map(OsString::from).into();
        args.push(command.program);
        args.extend(command.args);
        Ok(CommandLine { program: "/usr/bin/env".into(), args, ..command })
    }

    fn describe(&self) -> String {
        "none".into()
    }

    async fn stop(&self) {}
}

pub(super) struct World {
    dir: TempDir,
    pub(super) shell: Shell,
    exits: UnboundedReceiver<Exit>,
}

const MINUTE: Duration = Duration::from_secs(60);

fn world() -> World {
    world_with(|_| {})
}

pub(super) fn world_with(change: impl FnOnce(&mut Settings)) -> World {
    let dir = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut settings = Settings {
        blobs: dir.path().join("blobs"),
        workspace: dir.path().to_owned(),
        env: vec![("PATH".into(), path), ("HOME".into(), dir.path().into())],
        shell: "/bin/bash".into(),
        sandbox: Arc::new(Plain),
        outside: Arc::new(Plain),
        forbidden: Vec::new(),
        secrets: Default::default(),
        person: None,
        max_processes: 64,
        seed: 0,
    };
    change(&mut settings);
    let (sender, exits) = unbounded_channel();
    World { dir, shell: Shell::new(settings, sender), exits }
}

pub(super) fn look(wait: Duration) -> Look {
    Look {
        wait,
        max_bytes: 40_000,
        sink: Arc::new(|_| {}),
        cancel: CancellationToken::new(),
        until: Until::End,
    }
}

impl World {
    pub(super) fn new() -> Self {
        world()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn shell(&self) -> &Shell {
        &self.shell
    }

    /// Runs a command on a terminal, and looks at it for so long.
    pub(super) async fn on_tty_for(&self, command: &str, wait: Duration) -> Seen {
        self.shell.exec(self.on_tty(command), look(wait)).await.unwrap()
    }

    pub(super) async fn type_for(&self, id: ProcessId, text: &str, wait: Duration) -> Seen {
        self.shell.write(id, text, look(wait)).await.unwrap()
    }

    pub(super) fn launch(&self, command: &str) -> Launch {
        Launch {
            command: command.into(),
            workdir: self.dir.path().to_owned(),
            shell: None,
            login: false,
            tty: false,
            outside: false,
        }
    }

    pub(super) fn on_tty(&self, command: &str) -> Launch {
        Launch { tty: true, ..self.launch(command) }
    }

    async fn run(&self, command: &str) -> Seen {
        self.shell.exec(self.launch(command), look(MINUTE)).await.unwrap()
    }

    /// Starts a command that stays, and gives its id.
    pub(super) async fn stay(&self, launch: Launch) -> ProcessId {
        self.stay_until(launch, "").await
    }

    /// Starts a command that stays, and returns when it has said `text`.
    pub(super) async fn stay_until(&self, launch: Launch, text: &str) -> ProcessId {
        let seen = self.shell.exec(launch, look(Duration::ZERO)).await.unwrap();
        let State::Running(id) = seen.state else { panic!("{seen:?}") };
        self.until(id, seen.output.head, text).await;
        id
    }

    /// Looks until the output, of which there was `all`, has `text` in it.
    pub(super) async fn until(&self, id: ProcessId, mut all: String, text: &str) -> String {
        while !all.contains(text) {
            let seen = self.shell.write(id, "", look(Duration::from_millis(20))).await.unwrap();
            all.push_str(&seen.output.head);
            assert!(matches!(seen.state, State::Running(_)), "ended without {text:?}: {all:?}");
        }
        all
    }
}

#[tokio::test]
async fn a_command_gives_its_output_in_order_and_its_code() {
    let world = world();
    let seen = world.run("echo out; echo err >&2; echo out again; exit 3").await;
    assert_eq!(seen.state, State::Exited(3));
    assert_eq!(seen.output.head, "out\nerr\nout again\n");
    assert_eq!((seen.output.bytes, seen.output.lines, seen.output.blob), (18, 3, None));
    assert!(!world.dir.path().join("blobs").exists(), "a short output costs no file");
    assert_eq!(world.shell.list(), []);
}

#[tokio::test]
async fn a_command_sees_its_directory_its_environment_and_no_input() {
    let world = world();
    let seen = world.run("pwd; cat; env | grep -v -e ^PWD -e ^SHLVL -e ^_ -e ^PATH | sort").await;
    let dir = world.dir.path().display();
    assert_eq!(seen.output.head, format!("{dir}\nHOME={dir}\nTERM=dumb\n"));
}

#[tokio::test]
async fn a_signal_is_a_code_as_in_a_shell() {
    assert_eq!(world().run("kill -9 $$").await.state, State::Exited(137));
}

#[tokio::test]
async fn what_can_not_be_started_says_why() {
    let world = world();
    let missing = Launch { workdir: "/nowhere".into(), ..world.launch("true") };
    let error = world.shell.exec(missing, look(MINUTE)).await.unwrap_err();
    assert_eq!(error.to_string(), "workdir `/nowhere` is not a directory, or does not exist");
    let python = Launch { shell: Some("python3".into()), ..world.launch("true") };
    let error = world.shell.exec(python, look(MINUTE)).await.unwrap_err();
    assert_eq!(error.to_string(), "can't use `python3` as shell: choose bash, zsh, sh or dash");
    let evil = Launch { shell: Some(world.dir.path().join("bash")), ..world.launch("true") };
    fs::write(world.dir.path().join("bash"), "").unwrap();
    assert!(world.shell.exec(evil, look(MINUTE)).await.is_err(), "not a shell of the system");
    let other = Launch { shell: Some("sh".into()), ..world.launch("echo $0") };
    assert_eq!(world.shell.exec(other, look(MINUTE)).await.unwrap().output.head, "/bin/sh\n");
}

#[tokio::test]
async fn a_missing_program_is_an_error_and_not_an_exit() {
    for tty in [false, true] {
        let world = world_with(|settings| settings.shell = "/nowhere/sh".into());
        let launch = Launch { tty, ..world.launch("true") };
        let result = world.shell.exec(launch, look(MINUTE)).await;
        // On a terminal it is the stand-in for the sandbox's helper that fails to run it.
        match result {
            Err(error) => assert!(error.to_string().starts_with("can't run `/nowhere/sh`"), "{error}"),
            Ok(seen) => assert!(tty && seen.state == State::Exited(127), "{seen:?}"),
        }
    }
}

#[tokio::test]
async fn a_long_runner_goes_on_and_its_end_is_told() {
    let mut world = world();
    let go = world.dir.path().join("go");
    assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
    let id = world.stay(world.launch("read line < go; exit 4")).await;
    assert_eq!(world.shell.list().iter().map(|listed| listed.process).collect::<Vec<_>>(), [id]);
    fs::write(go, "now\n").unwrap();
    let exit = world.exits.recv().await.unwrap();
    assert_eq!(exit, Exit { process: id, code: Some(4), blob: None });
    assert_eq!(world.shell.list(), []);
    let seen = world.shell.write(id, "", look(MINUTE)).await.unwrap();
    assert_eq!(seen.state, State::Exited(4), "readable once more after its end");
    assert_eq!(world.shell.write(id, "", look(MINUTE)).await, Err(ShellError::Unknown(id)));
}

#[tokio::test]
async fn commands_of_one_response_run_side_by_side() {
    let world = world();
    // Each waits for the other two: one after another they would never end.
    let meet = |name: &str| {
        let wait = "until [ -e a ] && [ -e b ] && [ -e c ]; do sleep 0.01; done";
        world.launch(&format!("touch {name}; {wait}; echo {name}"))
    };
    let (a, b, c) = tokio::join!(
        world.shell.exec(meet("a"), look(MINUTE)),
        world.shell.exec(meet("b"), look(MINUTE)),
        world.shell.exec(meet("c"), look(MINUTE)),
    );
    let heads: Vec<String> = [a, b, c].into_iter().map(|seen| seen.unwrap().output.head).collect();
    assert_eq!(heads, ["a\n", "b\n", "c\n"]);
}

#[tokio::test]
async fn a_terminal_echoes_what_is_typed_and_has_a_size() {
    let world = world();
    let seen = world
        .shell
        .exec(world.on_tty("stty size; echo $TERM; [ -t 0 ] && [ -t 1 ] && echo tty"), look(MINUTE))
        .await
        .unwrap();
    assert_eq!(seen.output.head, "40 120\r\nxterm-256color\r\ntty\r\n");
    let id = world.stay(world.on_tty("read line; echo got $line; read line")).await;
    let echo = world.shell.write(id, "héllo\n", look(Duration::ZERO)).await.unwrap().output.head;
    let text = world.until(id, echo, "got héllo\r\n").await;
    assert_eq!(text, "héllo\r\ngot héllo\r\n");
    let seen = world.shell.write(id, "\n", look(MINUTE)).await.unwrap();
    assert_eq!(seen.state, State::Exited(0));
}

#[tokio::test]
async fn control_c_interrupts_the_command_on_its_terminal() {
    let world = world();
    // Whoever started the tests may have had the signal ignored, which a shell can't take back.
    let script = "trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.05; done";
    let id = world
        .stay_until(world.on_tty(&format!("exec env --default-signal=INT bash -c \"{script}\"")), "ready\r\n")
        .await;
    let seen = world.shell.write(id, "\u{3}", look(MINUTE)).await.unwrap();
    assert_eq!((seen.state, seen.output.head.as_str()), (State::Exited(7), "^Ccaught\r\n"));
}

#[tokio::test]
async fn a_process_that_does_not_read_hangs_nobody() {
    let world = world();
    let id = world.stay_until(world.on_tty("stty raw -echo; echo ready; sleep 600"), "ready").await;
    let much = "x".repeat(100_000);
    let mut refused = None;
    for _ in 0..10 {
        if let Err(error) = world.shell.write(id, &much, look(Duration::ZERO)).await {
            refused = Some(error);
        }
    }
    assert!(matches!(refused, Some(ShellError::NotReading { .. })), "{refused:?}");
    world.shell.kill(id).await.unwrap();
}

#[tokio::test]
async fn without_a_terminal_nothing_can_be_typed() {
    let world = world();
    let id = world.stay(world.launch("sleep 600")).await;
    let error = world.shell.write(id, "x", look(MINUTE)).await.unwrap_err();
    assert_eq!(error, ShellError::NoTerminal);
    assert_eq!(
        world.shell.write(ProcessId(99_999), "", look(MINUTE)).await,
        Err(ShellError::Unknown(ProcessId(99_999)))
    );
    world.shell.stop().await;
}

#[tokio::test]
async fn a_grandchild_that_holds_the_output_open_does_not_hold_up_the_end() {
    let world = world();
    let since = Instant::now();
    for tty in [false, true] {
        let command = "trap '' HUP; sleep 600 & echo $! > pid; echo done";
        let launch = Launch { tty, ..world.launch(command) };
        let seen = world.shell.exec(launch, look(MINUTE)).await.unwrap();
        let done = if tty { "done\r\n" } else { "done\n" };
        assert_eq!((seen.state, seen.output.head.as_str()), (State::Exited(0), done));
        let pid = fs::read_to_string(world.dir.path().join("pid")).unwrap();
        assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success(), "it lived on");
    }
    assert!(since.elapsed() < MINUTE, "the whole wait");
}

#[tokio::test]
async fn the_sixty_fifth_process_ends_the_first() {
    let mut world = world();
    let first = world.stay(world.launch("exec sleep 600")).await;
    let mut ids = HashSet::from([first]);
    for _ in 1..64 {
        ids.insert(world.stay(world.launch("exec sleep 600")).await);
    }
    assert_eq!((ids.len(), world.shell.list().len()), (64, 64));
    let seen = world.shell.exec(world.launch("exec sleep 600"), look(Duration::ZERO)).await.unwrap();
    assert_eq!(seen.pruned, [first]);
    assert_eq!(world.shell.list().len(), 64);
    assert_eq!(world.shell.write(first, "", look(MINUTE)).await, Err(ShellError::Unknown(first)));
    assert_eq!(world.exits.recv().await, Some(Exit { process: first, code: None, blob: None }));
    world.shell.stop().await;
    let mut ended = HashSet::from([first]);
    while let Ok(exit) = world.exits.try_recv() {
        ended.insert(exit.process);
    }
    assert_eq!(ended.len(), 65, "all are reaped when `stop` returns");
    assert_eq!(world.shell.exec(world.launch("true"), look(MINUTE)).await, Err(ShellError::Stopped));
}

#[tokio::test]
async fn an_interrupt_ends_the_call_and_its_process() {
    let world = world();
    let mut looking = look(MINUTE);
    let cancel = looking.cancel.clone();
    // The interrupt comes when the command says that it is there.
    looking.sink = Arc::new(move |text| {
        if text.contains("ready") {
            cancel.cancel();
        }
    });
    let command = "trap 'touch asked; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let seen = world.shell.exec(world.launch(command), looking).await.unwrap();
    assert_eq!((seen.state, seen.output.head.as_str()), (State::Killed, "ready\n"));
    assert_eq!(world.shell.list(), []);
    world.shell.inner.tasks.close();
    world.shell.inner.tasks.wait().await;
    assert!(world.dir.path().join("asked").exists(), "it was asked before it was forced");
}

#[tokio::test]
async fn an_interrupt_does_not_wait_for_a_process_that_will_not_end() {
    let world = world();
    let mut looking = look(MINUTE);
    let cancel = looking.cancel.clone();
    looking.sink = Arc::new(move |_| cancel.cancel());
    let command = "trap '' TERM; echo $$ > pid; echo ready; while :; do sleep 0.01; done";
    let seen = world.shell.exec(world.launch(command), looking).await.unwrap();
    assert_eq!(seen.state, State::Killed);
    assert!(seen.wall < Duration::from_secs(2), "{:?}", seen.wall);
    let pid = fs::read_to_string(world.dir.path().join("pid")).unwrap();
    world.shell.stop().await;
    assert!(!Command::new("kill").args(["-0", pid.trim()]).output().unwrap().status.success());
}

#[tokio::test]
async fn a_call_that_is_dropped_takes_its_process_with_it() {
    let world = world();
    let (sender, mut ready) = unbounded_channel();
    let mut looking = look(MINUTE);
    looking.sink = Arc::new(move |_| sender.send(()).unwrap());
    {
        let call = world.shell.exec(world.launch("echo $$ > pid; echo ready; exec sleep 600"), looking);
        tokio::pin!(call);
        tokio::select! {
            _ = &mut call => panic!("it sleeps"),
            ready = ready.recv() => ready.unwrap(),
        }
    }
    world.shell.inner.tasks.close();
    world.shell.inner.tasks.wait().await;
    let pid = fs::read_to_string(world.dir.path().join("pid")).unwrap();
    assert!(!Command::new("kill").args(["-0", pid.trim()]).output().unwrap().status.success());
}

#[tokio::test]
async fn a_person_types_looks_and_ends_and_takes_no_output_from_the_model() {
    let world = world();
    let command = "read line; echo got $line; exec sleep 600";
    let id = world.stay(Launch { tty: true, ..world.launch(command) }).await;
    world.shell.type_in(id, "hello\r").unwrap();
    // Nothing tells of output to those who only peek.
    let heard = async {
        while !world.shell.peek(id).unwrap().latest.contains("got hello") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(MINUTE, heard).await.unwrap();
    assert!(world.shell.peek(id).unwrap().tty);
    world.until(id, String::new(), "got hello").await;
    world.shell.end(id).unwrap();
    assert_eq!(world.shell.write(id, "", look(MINUTE)).await.unwrap().state, State::Killed);
    assert_eq!(world.shell.peek(id), Err(ShellError::Unknown(id)));

    let deaf = world.stay(world.launch("exec sleep 600")).await;
    assert_eq!(world.shell.type_in(deaf, "y"), Err(ShellError::NoTerminal));
    assert!(!world.shell.peek(deaf).unwrap().tty);
}

#[tokio::test]
async fn people_are_told_whether_what_they_type_is_to_be_seen() {
    let world = world();
    let command = "stty -echo; echo silent; read secret; stty echo; echo heard; exec sleep 600";
    let id = world.stay_until(world.on_tty(command), "silent").await;
    assert!(world.shell.peek(id).unwrap().hidden);
    world.shell.type_in(id, "s3cret\r").unwrap();
    world.until(id, String::new(), "heard").await;
    assert!(!world.shell.peek(id).unwrap().hidden);
    let deaf = world.stay(world.launch("exec sleep 600")).await;
    assert!(!world.shell.peek(deaf).unwrap().hidden);
}

#[tokio::test]
async fn an_interrupted_look_leaves_the_process_alone() {
    let world = world();
    let id = world.stay(world.launch("exec sleep 600")).await;
    let looking = look(MINUTE);
    looking.cancel.cancel();
    let seen = world.shell.write(id, "", looking).await.unwrap();
    assert_eq!(seen.state, State::Running(id));
    world.shell.kill(id).await.unwrap();
    assert_eq!(world.shell.write(id, "", look(MINUTE)).await.unwrap().state, State::Killed);
}

#[tokio::test]
async fn a_long_output_is_cut_for_the_result_and_whole_in_its_blob() {
    let world = world();
    let seen = world.run("seq 1 300000").await;
    let all: String = (1..=300_000).map(|n| format!("{n}\n")).collect();
    let output = &seen.output;
    assert_eq!((output.bytes, output.lines), (all.len() as u64, 300_000));
    assert_eq!(output.dropped, all.len() as u64 - (1 << 20));
    assert_eq!((output.head.len(), output.tail.len()), (20_000, 20_000));
    assert!(all.starts_with(&output.head) && all.ends_with(&output.tail));
    let blob = output.blob.clone().unwrap();
    assert_eq!(blob, BlobId::of(all.as_bytes()));
    assert!(fs::read(world.dir.path().join("blobs").join(blob.as_str())).unwrap() == all.as_bytes());
}

#[tokio::test]
async fn a_short_output_that_was_cut_is_whole_in_its_blob_too() {
    let world = world();
    let few = Look { max_bytes: 4, ..look(MINUTE) };
    let seen = world.shell.exec(world.launch("echo 0123456789"), few).await.unwrap();
    assert_eq!((seen.output.head.as_str(), seen.output.tail.as_str()), ("01", "9\n"));
    assert_eq!(seen.output.blob, Some(BlobId::of(b"0123456789\n")));
}

#[tokio::test]
async fn a_login_shell_is_asked_once_and_its_profile_paid_once() {
    let world = world();
    let profile = "echo noise; echo x >> count; export GREETING=hello PATH=$PATH:/extra API_KEY=no TERM=no\n";
    fs::write(world.dir.path().join(".bash_profile"), profile).unwrap();
    let login = || Launch { login: true, ..world.launch("echo $GREETING ${PATH##*:} [$API_KEY] $TERM") };
    let run = || world.shell.exec(login(), look(MINUTE));
    let (a, b) = tokio::join!(run(), run());
    let c = run().await;
    for seen in [a, b, c] {
        assert_eq!(seen.unwrap().output.head, "hello /extra [] dumb\n");
    }
    assert_eq!(fs::read_to_string(world.dir.path().join("count")).unwrap(), "x\n");
    assert_eq!(world.run("echo [$GREETING]").await.output.head, "[]\n");
}

#[tokio::test]
async fn login_files_that_ask_or_are_noisy_or_leave_somebody_behind_are_understood() {
    for profile in [
        "read answer; read -p 'Really? ' really; export GREETING=hello",
        "yes noise | head -c 3000000; export GREETING=hello",
        "head -c 700000 /dev/urandom; export GREETING=hello",
        "sleep 600 & export GREETING=hello",
        "set -x; export GREETING=hello; cat",
        "export GREETING=hello; export TOKENS_OF_ALL='x'; export LONG=$(head -c 100000 /dev/zero | tr '\\0' y)",
        "echo '--- environment of the login shell ---'; export GREETING=hello",
    ] {
        let world = world();
        fs::write(world.dir.path().join(".bash_profile"), profile).unwrap();
        let login = Launch { login: true, ..world.launch("echo $GREETING") };
        let seen = world.shell.exec(login, look(MINUTE)).await.unwrap();
        assert_eq!(seen.output.head, "hello\n", "{profile}");
        world.shell.stop().await;
    }
}

#[tokio::test]
async fn login_files_that_hang_cost_their_limit_once_and_no_command() {
    let world = world();
    fs::write(world.dir.path().join(".bash_profile"), "sleep 600").unwrap();
    for _ in 0..2 {
        let login = Launch { login: true, ..world.launch("echo fine") };
        let seen = world.shell.exec(login, look(MINUTE)).await.unwrap();
        assert_eq!(seen.output.head, "fine\n");
    }
}

#[tokio::test]
async fn login_files_that_break_the_shell_do_not_break_commands() {
    let world = world();
    fs::write(world.dir.path().join(".bash_profile"), "exit 1\n").unwrap();
    let login = Launch { login: true, ..world.launch("echo fine") };
    assert_eq!(world.shell.exec(login, look(MINUTE)).await.unwrap().output.head, "fine\n");
}

#[test]
fn an_excerpt_is_the_beginning_and_the_end() {
    let captured = |head: &str, tail: &str| Captured {
        head: head.into(),
        tail: tail.into(),
        bytes: 100,
        lines: 9,
        ..Captured::default()
    };
    for (head, tail, expected) in
        [("abcd", "", ("abcd", "")), ("abcdef", "", ("ab", "ef")), ("abc", "xyz", ("ab", "yz"))]
    {
        let excerpt = captured(head, tail).excerpt(4);
        assert_eq!((excerpt.head.as_str(), excerpt.tail.as_str()), expected);
        assert_eq!((excerpt.bytes, excerpt.lines), (100, 9));
    }
}

/// Runs alone, in a process of its own: it counts all threads and descriptors that there are.
#[tokio::test]
#[ignore = "run in a process of its own by `three_hundred_commands_leave_nothing_behind`"]
async fn three_hundred_commands_alone() {
    let count = |of: &str| fs::read_dir(format!("/proc/self/{of}")).unwrap().count();
    let world = world();
    let round = async |times: usize| {
        for n in 0..times {
            let launch = Launch { tty: n % 3 == 0, ..world.launch("echo hello") };
            assert_eq!(world.shell.exec(launch, look(MINUTE)).await.unwrap().state, State::Exited(0));
        }
        world.shell.inner.tasks.close();
        world.shell.inner.tasks.wait().await;
        world.shell.inner.tasks.reopen();
    };
    round(10).await;
    let before = (count("fd"), count("task"));
    round(300).await;
    // A reader may still be on its way out after its last word.
    while count("fd") > before.0 || count("task") > before.1 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn three_hundred_commands_leave_nothing_behind() {
    let test = std::env::current_exe().unwrap();
    let name = "shell::tests::three_hundred_commands_alone";
    let run = Command::new(test).args([name, "--exact", "--include-ignored"]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    assert!(String::from_utf8_lossy(&run.stdout).contains("1 passed"), "it ran");
}

#[tokio::test]
async fn after_a_move_commands_run_elsewhere_and_what_runs_stays_where_it_is() {
    /// A sandbox that says its name to what runs in it.
    struct Named(&'static str);

    #[async_trait::async_trait]
    impl Sandbox for Named {
        fn wrap(&self, mut command: CommandLine) -> Result<CommandLine, SandboxError> {
            command.env.push(("WHERE".into(), self.0.into()));
            Plain.wrap(command)
        }

        fn describe(&self) -> String {
            self.0.into()
        }

        async fn stop(&self) {}
    }

    let world = world_with(|settings| settings.sandbox = Arc::new(Named("first")));
    let id = world.stay(world.on_tty("read line; echo $line from $WHERE $MODE")).await;
    let mut env = world.shell.inner.settings.env.clone();
    env.push(("MODE".into(), "other".into()));
    world.shell.move_to(Arc::new(Named("second")), env);
    assert_eq!(world.run("echo $WHERE $MODE").await.output.head, "second other\n");
    let outside = Launch { outside: true, ..world.launch("echo ${WHERE-nowhere}") };
    assert_eq!(world.shell.exec(outside, look(MINUTE)).await.unwrap().output.head, "nowhere\n");
    let ended = world.type_for(id, "typed\n", MINUTE).await;
    assert!(ended.output.head.contains("typed from first\r\n"), "{ended:?}");
}
